//! Errors of a repository.

use crate::StoreError;
use rustic_core::RusticError;

/// Every reason that an error of this crate gives, sorted.
pub const REASONS: [&str; 28] = [
    "AccessDenied",
    "AlreadyExists",
    "ConfigMissing",
    "Damaged",
    "DestinationRefused",
    "EgressRefused",
    "Invalid",
    "KeyRefused",
    "KeyWrong",
    "LeaseLost",
    "LeaseUnreadable",
    "NoSpace",
    "NotARepository",
    "NotFound",
    "NotOurs",
    "ObjectLocked",
    "PathMissing",
    "PreconditionFailed",
    "RandomUnavailable",
    "ReadErrors",
    "RepositoryBusy",
    "RepositoryChanged",
    "SnapshotMissing",
    "StoreError",
    "TooLarge",
    "Unreachable",
    "Unsupported",
    "VaultError",
];

/// An error of a repository.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store refused or can't be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The password opens no key.
    #[error(
        "{location}: the repository's password opens none of its keys{}: check the Secret of spec.encryption.keySecretRef",
        if listed > tried { format!(" ({tried} of its {listed} key files were tried; remove those that nobody uses: restic key remove)") } else { String::new() }
    )]
    KeyWrong {
        /// Where.
        location: String,
        /// Key files that were tried.
        tried: usize,
        /// Key files that are there.
        listed: usize,
    },
    /// What was tried before did not open it, and something new is not tried yet.
    #[error(
        "{location}: its key files or the password have changed, and none of those before opened it: the new ones are tried at {until} (the wait doubles each time, up to an hour). Check the Secret of spec.encryption.keySecretRef"
    )]
    KeyWaits {
        /// Where.
        location: String,
        /// When they are tried.
        until: jiff::Timestamp,
    },
    /// A key file asks for more than is spent on one, or is none.
    #[error(
        "{location}: no key is left to be tried, because key file {key} is refused: {what}. Replace it: `restic key add` makes one with restic's own parameters, then remove this one with `restic key remove`"
    )]
    KeyRefused {
        /// Where.
        location: String,
        /// The key file, for example `keys/ab12…`.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// Only the file `config` of a repository is gone.
    #[error(
        "{location} has no file config, but parts of a repository (for example {found}): a new repository would hide them, so none is made. Put config back from a copy of the repository; or choose an empty place; or, if nobody needs what is there, delete keys/, data/, index/, snapshots/ and locks/"
    )]
    ConfigMissing {
        /// Where.
        location: String,
        /// One of the objects that are there.
        found: String,
    },
    /// A repository was begun to be made with another password.
    #[error(
        "{location}: somebody has begun to make a repository here with another password ({claim}): put that password into the Secret of spec.encryption.keySecretRef; or, if nobody makes one any more, delete this object"
    )]
    BegunByAnother {
        /// Where.
        location: String,
        /// The object that says so.
        claim: &'static str,
    },
    /// Another repository is at the same place.
    #[error(
        "{location} holds repository {found}, but {expected} was there before: someone has replaced it; point spec at the right place, or make a new BackupRepository"
    )]
    RepositoryChanged {
        /// Where.
        location: String,
        /// The id expected.
        expected: String,
        /// The id found.
        found: String,
    },
    /// There is no repository.
    #[error("{location} holds no repository (its file config: {what}). Correct the place, put config back, or make a new BackupRepository")]
    NotARepository {
        /// Where.
        location: String,
        /// What was said of its config.
        what: String,
    },
    /// A file of the repository is missing or changed.
    #[error(
        "repository damaged: {object}: {what}. Use another backup (p861 backup list). Put {object} back from a copy of the repository; if there is none, delete what is left of it and run `restic rebuild-index`: the next backup then stores its data anew"
    )]
    Damaged {
        /// The file, for example `data/ab/abcd…`.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// Files of the source could not be read.
    #[error("{count} files could not be read, the backup is not stored; the first: {first}. Correct their permissions, or leave the volume out")]
    ReadErrors {
        /// How many.
        count: usize,
        /// The first, with its path.
        first: String,
    },
    /// The snapshot isn't there.
    #[error("snapshot {id} is not in the repository: {what}")]
    SnapshotMissing {
        /// Its id.
        id: String,
        /// What was found.
        what: String,
    },
    /// The snapshot is there, and has no such file or folder.
    #[error("the backup has no {path} (snapshot {id}); {beside}")]
    PathMissing {
        /// Its id.
        id: String,
        /// The path in the snapshot, for example `volumes/attachments/2026`.
        path: String,
        /// What there is where it would be.
        beside: String,
    },
    /// The snapshot doesn't say what is in it.
    #[error(
        "snapshot {id} doesn't name its parts (its paths: {paths}), so it was not sealed as a backup by this release: use another backup (p861 backup list)"
    )]
    PartsUnnamed {
        /// Its id.
        id: String,
        /// Its paths.
        paths: String,
    },
    /// The destination can't be written.
    #[error("{path}: {what}")]
    Destination {
        /// Which file.
        path: String,
        /// Why.
        what: String,
        /// There is no room left.
        full: bool,
    },
    /// A snapshot that was to be forgotten was not sealed for the district.
    #[error("snapshot {id} is not forgotten: {what}. Only snapshots that were sealed for the district and the application are")]
    NotOurs {
        /// Its id.
        id: String,
        /// What was found.
        what: String,
    },
    /// The store keeps a file of the repository that must go first.
    #[error(
        "{object} is kept by the store's object lock{}: what it names stays, and a later prune goes on. Lock data/ only, or shorten the bucket's default retention",
        until.map(|until| format!(" until {until:.0}")).unwrap_or_default()
    )]
    Locked {
        /// The file, for example `index/abcd…`.
        object: String,
        /// When the lock ends, if the store says so.
        until: Option<jiff::Timestamp>,
    },
    /// The repository lease was lost while something was to be stored.
    #[error("the repository lease of {holder} was lost ({what}): nothing more is stored; the next attempt takes a new one")]
    LeaseLost {
        /// The holder.
        holder: String,
        /// Why.
        what: String,
    },
    /// Anything else.
    #[error("{what}: {message}")]
    Other {
        /// What was tried.
        what: String,
        /// What was said.
        message: String,
    },
}

impl VaultError {
    /// Reason, as the API spells it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Store(error) => error.reason(),
            Self::KeyWrong { .. } | Self::KeyWaits { .. } | Self::BegunByAnother { .. } => "KeyWrong",
            Self::KeyRefused { .. } => "KeyRefused",
            Self::ConfigMissing { .. } => "ConfigMissing",
            Self::RepositoryChanged { .. } => "RepositoryChanged",
            Self::NotARepository { .. } => "NotARepository",
            Self::Damaged { .. } => "Damaged",
            Self::ReadErrors { .. } => "ReadErrors",
            Self::SnapshotMissing { .. } => "SnapshotMissing",
            Self::PathMissing { .. } => "PathMissing",
            Self::PartsUnnamed { .. } => "Unsupported",
            Self::Destination { full: true, .. } => "NoSpace",
            Self::Destination { .. } => "DestinationRefused",
            Self::NotOurs { .. } => "NotOurs",
            Self::Locked { .. } => "ObjectLocked",
            Self::LeaseLost { .. } => "LeaseLost",
            Self::Other { .. } => "VaultError",
        }
    }

    /// It may go away by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::LeaseLost { .. } | Self::Other { .. } => true,
            _ => false,
        }
    }

    /// An error of the engine; the store's own error, if that was the cause, says more.
    pub(crate) fn engine(what: &str, error: &RusticError, store: Option<StoreError>) -> Self {
        match store {
            Some(store) => Self::Store(store),
            None => Self::Other { what: what.into(), message: error.display_log() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::REASONS;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_has_every_reason_that_the_errors_give() {
        let mut given = BTreeSet::new();
        for source in [include_str!("error.rs"), include_str!("lease.rs"), include_str!("store/error.rs")] {
            let body = source.split_once("pub fn reason(&self)").and_then(|(_, rest)| rest.split_once("\n    }\n")).expect("the function").0;
            given.extend(body.split('"').skip(1).step_by(2));
        }
        assert_eq!(given.into_iter().collect::<Vec<_>>(), REASONS);
    }
}
