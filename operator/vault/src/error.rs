//! Errors of a repository.

use crate::StoreError;
use rustic_core::RusticError;

/// Every reason that an error of this crate gives, sorted.
pub const REASONS: [&str; 21] = [
    "AccessDenied",
    "AlreadyExists",
    "Damaged",
    "DestinationRefused",
    "Invalid",
    "KeyWrong",
    "LeaseLost",
    "LeaseUnreadable",
    "NoSpace",
    "NotARepository",
    "NotFound",
    "PreconditionFailed",
    "RandomUnavailable",
    "ReadErrors",
    "RepositoryBusy",
    "RepositoryChanged",
    "SnapshotMissing",
    "StoreError",
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
    #[error("{location}: the repository's password opens none of its keys: check the Secret of spec.encryption.keySecretRef")]
    KeyWrong {
        /// Where.
        location: String,
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
            Self::KeyWrong { .. } => "KeyWrong",
            Self::RepositoryChanged { .. } => "RepositoryChanged",
            Self::NotARepository { .. } => "NotARepository",
            Self::Damaged { .. } => "Damaged",
            Self::ReadErrors { .. } => "ReadErrors",
            Self::SnapshotMissing { .. } => "SnapshotMissing",
            Self::PartsUnnamed { .. } => "Unsupported",
            Self::Destination { full: true, .. } => "NoSpace",
            Self::Destination { .. } => "DestinationRefused",
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
