//! Makes a repository where none is.
//!
//! A repository begins with a key file and `config`, which is encrypted with that key. One without the other is of no use: without its key nobody reads it, and a key file
//! that belongs to no `config` is in the way of stock `restic`, which takes the first that the password opens. And where `config` alone is gone, a new one would hide
//! everything that the old one belongs to. So
//! - nothing is made unless the place is empty: neither `config` nor any object under [`LAYOUT`] is there. Other objects don't count (journals, reports, leases);
//! - both are drafted in memory and written to one object, [`CLAIM`], only if that is absent. Whoever finds a claim completes it, whoever made it: it looks whether the
//!   place is empty but for the claim's own files, writes the key file (whose name is its digest), then `config` only if absent, and removes the claim. However many do
//!   so at once, however often, and wherever one of them stops or loses an answer, all write the same, and the next one goes on;
//! - a claim is removed only when `config` is there, and a new one is made only if none is there. So whoever looks after a claim was made sees what any claim before it
//!   has led to;
//! - no key file is ever removed, but in one case: a program that knows nothing of claims (`restic init`) was faster with `config`. Then the claim's own key file
//!   opens nothing, and goes.

use crate::{
    RepositoryAccess, VaultError,
    backend::Store,
    cipher::CipherError,
    keys::{self, OpenKey},
    limits,
};
use aws_smithy_types::base64;
use bytes::Bytes;
use parking_lot::Mutex;
use rustic_core::{
    BytesList, ConfigOptions, Credentials, ErrorKind, FileType, Id, KeyOptions, ReadBackend, Repository, RepositoryBackends, RepositoryOptions, RusticError,
    RusticResult, WriteBackend, repofile::MasterKey,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The repository that is being made.
pub(crate) const CLAIM: &str = "p861/initialising.json";
/// Where restic keeps the files of a repository, besides `config`.
const LAYOUT: [&str; 5] = ["keys/", "data/", "index/", "snapshots/", "locks/"];
/// Version of a claim's shape.
const VERSION: u32 = 1;
/// Size of a pack that holds files. The engine keeps the type of sizes to itself, but reads it.
const PACK: &str = "16MiB";

/// As it is stored: both files as base64.
#[derive(Serialize, Deserialize)]
struct StoredClaim {
    version: u32,
    key: String,
    config: String,
}

/// The files of a repository that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    key: Vec<u8>,
    config: Vec<u8>,
}

impl Claim {
    /// Drafts a repository, and gives its key. Derives a key.
    fn draft(password: &str) -> Result<(Self, OpenKey), VaultError> {
        let failed = |message: String| VaultError::Other { what: "draft the repository".into(), message };
        let draft = Arc::new(Draft::default());
        let backends = RepositoryBackends::new(draft.clone(), None);
        let raw = Repository::new(&RepositoryOptions::default().no_cache(true), &backends).map_err(|error| failed(error.display_log()))?;
        // restic's own size of packs, at any size of the repository: the engine's would grow with it, and with it every mover's need for memory.
        let mut options = ConfigOptions::default().set_version(2_u32).set_datapack_growfactor(0_u32);
        options.set_datapack_size = PACK.parse().ok();
        let master = MasterKey::new();
        raw.init(&Credentials::Masterkey(master.clone()), &KeyOptions::default(), &options).map_err(|error| failed(error.display_log()))?;
        let config = draft.config.lock().take().ok_or_else(|| failed("the engine wrote no config".into()))?;
        let (key, opened) = keys::make_for(master, password)?;
        Ok((Self { key, config }, opened.ok_or_else(|| failed("the engine made no key".into()))?))
    }

    fn to_bytes(&self) -> Result<Vec<u8>, VaultError> {
        let stored = StoredClaim { version: VERSION, key: base64::encode(&self.key), config: base64::encode(&self.config) };
        serde_json::to_vec(&stored).map_err(|error| VaultError::Other { what: "draft the repository".into(), message: error.to_string() })
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let stored: StoredClaim = serde_json::from_slice(body).ok().filter(|stored: &StoredClaim| stored.version == VERSION)?;
        Some(Self { key: base64::decode(stored.key).ok()?, config: base64::decode(stored.config).ok()? })
    }

    /// The key of the repository; none if the password doesn't open it. Derives a key.
    fn open(&self, store: &Store, password: &str) -> Result<Option<OpenKey>, VaultError> {
        let key = keys::open_only(store, password, &self.key)?;
        Ok(key.filter(|key| key.cipher.open(&self.config, limits::unpacked_bytes("config")).is_ok()))
    }
}

/// Completes a repository that somebody has begun to make. True if there was one; it can be opened then.
///
/// # Errors
/// If it was begun with another password and has no `config` yet; or if the store can't be read or written.
pub(crate) fn complete_begun(store: &Store, access: &RepositoryAccess) -> Result<bool, VaultError> {
    let opened = match claimed(store)? {
        Claimed::By(claim) => claim.open(store, &access.password)?.map(|key| (key, claim)),
        Claimed::Unreadable => None,
        Claimed::No => return Ok(false),
    };
    complete(store, opened).map(|()| true)
}

/// Makes a repository, unless one is made here at the same time. Afterwards there is one.
///
/// # Errors
/// `ConfigMissing` if the place is not empty; or if the store can't be read or written.
pub(crate) fn initialise(store: &Store, access: &RepositoryAccess) -> Result<(), VaultError> {
    store.run(|| store.store().ensure_bucket())?;
    match there(store, None)? {
        There::Config(_) => return Ok(()),
        There::Nothing => {}
        There::Parts(found) => {
            // Perhaps of one that is being made.
            if complete_begun(store, access)? || config(store)?.is_some() {
                return Ok(());
            }
            return Err(VaultError::ConfigMissing { location: store.location().to_owned(), found });
        }
    }
    let (draft, key) = Claim::draft(&access.password)?;
    let body = Bytes::from(draft.to_bytes()?);
    match store.run(|| store.store().put_if_absent(CLAIM, body.clone())) {
        Ok(_) => {}
        // Another's, or our own, whose first answer was lost.
        Err(error) if error.is_already_exists() => {}
        Err(error) => return Err(error.into()),
    }
    match claimed(store)? {
        Claimed::By(claim) if claim == draft => complete(store, Some((key, draft))),
        Claimed::By(_) | Claimed::Unreadable => complete_begun(store, access).map(drop),
        // It was completed meanwhile.
        Claimed::No => Ok(()),
    }
}

/// Whether somebody initialises a repository at this place.
enum Claimed {
    By(Claim),
    Unreadable,
    No,
}

fn claimed(store: &Store) -> Result<Claimed, VaultError> {
    match store.run(|| store.store().get(CLAIM)) {
        Ok(body) => Ok(Claim::parse(&body).map_or(Claimed::Unreadable, Claimed::By)),
        Err(error) if error.is_not_found() => Ok(Claimed::No),
        Err(error) => Err(error.into()),
    }
}

/// What is at the place of a repository.
enum There {
    /// One, with this `config`.
    Config(Vec<u8>),
    /// No `config`, but this.
    Parts(String),
    Nothing,
}

/// Looks at the place, and past a claim's own key file.
fn there(store: &Store, own_key: Option<&str>) -> Result<There, VaultError> {
    if let Some(config) = config(store)? {
        return Ok(There::Config(config));
    }
    for folder in LAYOUT {
        let found = match own_key {
            Some(own) if own.starts_with(folder) => store.run(|| store.store().list(folder))?.into_iter().find(|key| key != own),
            _ => store.run(|| store.store().first(folder))?,
        };
        if let Some(found) = found {
            // It may be of one that somebody has made since.
            return Ok(config(store)?.map_or(There::Parts(found), There::Config));
        }
    }
    Ok(There::Nothing)
}

fn config(store: &Store) -> Result<Option<Vec<u8>>, VaultError> {
    match store.run(|| store.store().get("config")) {
        Ok(config) => Ok(Some(config)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Completes what a claim has begun. `opened` is the claim and its key; none if the password doesn't open it.
fn complete(store: &Store, opened: Option<(OpenKey, Claim)>) -> Result<(), VaultError> {
    let Some((key, claim)) = opened else {
        // Left behind by one who completed it: the repository itself says who may open it.
        return if config(store)?.is_some() { Ok(()) } else { Err(VaultError::BegunByAnother { location: store.location().to_owned(), claim: CLAIM }) };
    };
    let there = match there(store, Some(&key.name))? {
        There::Config(config) => config,
        There::Parts(found) => return Err(VaultError::ConfigMissing { location: store.location().to_owned(), found }),
        There::Nothing => {
            let (key_file, config) = (Bytes::from(claim.key), Bytes::from(claim.config));
            store.run(|| store.store().put(&key.name, key_file.clone()))?;
            match store.run(|| store.store().put_if_absent("config", config.clone())) {
                Ok(_) => {}
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(error.into()),
            }
            // What is there now says whose it is: the answer may be that of a second attempt, after the first was applied and its answer lost.
            store.run(|| store.store().get("config"))?
        }
    };
    match key.cipher.open(&there, limits::unpacked_bytes("config")) {
        Ok(_) => {}
        Err(CipherError::NotOurs) => {
            tracing::warn!("{}: another program has made a repository at the same time; {} belongs to none and is removed", store.location(), key.name);
            store.run(|| store.store().delete(&key.name))?;
        }
        Err(error) => return Err(VaultError::Damaged { object: "config".into(), what: error.to_string() }),
    }
    store.run(|| store.store().delete(CLAIM)).map_err(VaultError::from)
}

/// Takes the `config` that the engine writes when it makes a repository.
#[derive(Default)]
struct Draft {
    config: Mutex<Option<Vec<u8>>>,
}

fn undrafted() -> Box<RusticError> {
    RusticError::new(ErrorKind::Backend, "a draft has only its config")
}

impl ReadBackend for Draft {
    fn location(&self) -> String {
        "a draft".into()
    }

    fn list_with_size(&self, _: FileType) -> RusticResult<Vec<(Id, u32)>> {
        Ok(Vec::new())
    }

    fn read_full(&self, _: FileType, _: &Id) -> RusticResult<Bytes> {
        Err(undrafted())
    }

    fn read_partial(&self, _: FileType, _: &Id, _: bool, _: u32, _: u32) -> RusticResult<Bytes> {
        Err(undrafted())
    }

    fn warmup_path(&self, _: FileType, id: &Id) -> String {
        id.to_hex().to_string()
    }
}

impl WriteBackend for Draft {
    fn write_bytes(&self, tpe: FileType, _: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        if tpe != FileType::Config {
            return Err(undrafted());
        }
        *self.config.lock() = Some(content.into_vec().concat());
        Ok(())
    }

    fn remove(&self, _: FileType, _: &Id, _: bool) -> RusticResult<()> {
        Err(undrafted())
    }
}

#[cfg(test)]
mod tests;
