//! Finds the damaged file of a repository. rustic reports only that something is unreadable; people need the name of the object.

use crate::{
    Repository, StoreError, VaultError,
    backend::key,
    parallel::{REQUESTS, each},
};
use rustic_core::{FileType, Id, ReadBackend as _, RusticError};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Size of the buffer, per thread, for hashing a pack.
const PIECE: u64 = 8 << 20;
/// Packs that are digested at the same time.
const DIGESTS: usize = 4;

fn changed(object: String, digest: &str, needed_by: Option<&str>) -> VaultError {
    let need = needed_by.map(|file| format!(", and {file} needs it")).unwrap_or_default();
    VaultError::Damaged { object, what: format!("its content has changed (sha256 {digest}){need}") }
}

/// How long after an object was not found it is looked for again, before its backups are called damaged for good.
const LOOKED_FOR_AGAIN_AFTER: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(3) };

impl Repository {
    /// What a store's error means while a required object is read. A missing object is damage if it is missing still some seconds later.
    pub(crate) fn while_reading(&self, store: StoreError, needed_by: &str) -> VaultError {
        let (key, what) = (store.key().to_owned(), store.what().to_owned());
        if !store.is_not_found() || key.is_empty() {
            return VaultError::Store(store);
        }
        if store.is_missing()
            && let Err(error) = self.still_missing(&key)
        {
            return error;
        }
        VaultError::Damaged { object: key, what: format!("{what}; {needed_by} needs it") }
    }

    /// Looks for an object again that was not found.
    ///
    /// # Errors
    /// If it is there after all, or the store does not say.
    pub(crate) fn still_missing(&self, key: &str) -> Result<(), VaultError> {
        std::thread::sleep(LOOKED_FOR_AGAIN_AFTER);
        match self.store.run(|| self.store.store().get_range(key, 0, 1)) {
            Err(error) if error.is_missing() => Ok(()),
            // An empty object is there, too.
            Err(error) if !error.is_not_found() => Err(VaultError::Store(error)),
            _ => Err(VaultError::Other {
                what: format!("read {key}"),
                message: format!("the store said that it doesn't exist, and {} seconds later it was there", LOOKED_FOR_AGAIN_AFTER.as_secs()),
            }),
        }
    }

    /// Reads a file that the engine could not read. Every file but config is named by the digest of its content.
    pub(crate) fn explain(&self, tpe: FileType, id: &Id, what: &str, error: &RusticError) -> VaultError {
        // The file itself says more than the last error, which may be of another thread.
        let last = self.store.take_error().filter(|last| last.is_too_large() && last.key() == key(tpe, id));
        match (self.sound(tpe, id), last) {
            (Err(error), _) => error,
            (Ok(()), Some(last)) => last.into(),
            (Ok(()), None) => VaultError::Other { what: what.into(), message: error.display_log() },
        }
    }

    fn sound(&self, tpe: FileType, id: &Id) -> Result<(), VaultError> {
        let key = key(tpe, id);
        let body = self.store.run(|| self.store.store().get(&key))?;
        let digest = hex::encode(Sha256::digest(&body));
        if digest == id.to_hex().as_str() { Ok(()) } else { Err(changed(key, &digest, None)) }
    }

    /// The first damaged file of a kind, if there is one. Reads all of them; not meant for packs.
    fn damaged_among(&self, tpe: FileType) -> Result<Option<VaultError>, VaultError> {
        let listed = self.engine("list the repository's files", self.store.list_with_size(tpe))?;
        match each(&listed, REQUESTS, |(id, _)| self.sound(tpe, id)) {
            Ok(_) => Ok(None),
            Err(damaged @ VaultError::Damaged { .. }) => Ok(Some(damaged)),
            Err(error) => Err(error),
        }
    }

    /// The cause of an error while files of a kind were read.
    pub(crate) fn blame(&self, tpe: FileType, what: &str, error: &RusticError) -> VaultError {
        if let Some(store) = self.store.take_error() {
            return self.while_reading(store, "every backup");
        }
        match self.damaged_among(tpe) {
            Ok(None) => VaultError::Other { what: what.into(), message: error.display_log() },
            Ok(Some(damaged)) | Err(damaged) => damaged,
        }
    }

    /// Compares packs with their digests. Each comes with its size and with a file that needs it.
    pub(crate) fn digest_packs(&self, packs: &[(Id, u64, String)]) -> Result<(), VaultError> {
        each(packs, DIGESTS, |(id, size, file)| {
            let key = key(FileType::Pack, id);
            let mut hasher = Sha256::new();
            let mut offset = 0;
            while offset < *size {
                let length = PIECE.min(size - offset);
                let piece = self.store.run(|| self.store.store().get_range(&key, offset, length)).map_err(|store| self.while_reading(store, file))?;
                hasher.update(&piece);
                offset += length;
            }
            let digest = hex::encode(hasher.finalize());
            if digest == id.to_hex().as_str() { Ok(()) } else { Err(changed(key, &digest, Some(file))) }
        })
        .map(drop)
    }
}
