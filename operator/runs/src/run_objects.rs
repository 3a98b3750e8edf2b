//! Objects that a run's movers and the operator exchange, in the run's repository: inputs, results, lists.
//!
//! A termination message holds 4 KiB and an environment variable 128 KiB, so both carry only a [`StoredObject`]: the digest and the size of an object that is
//! stored at `p861/runs/<run's UID>/<digest>.json`. Its name follows from its content, therefore
//! - a write that is repeated, or whose answer was lost, is harmless, and two attempts never overwrite each other's objects;
//! - a reader needs to trust only the pointer, which comes by way of the API server, and not whoever can write to the bucket;
//! - a mover that dies after it stored an object, and before it said so, leaves one that nobody refers to. It is removed with the others when the run has ended.

use crate::repository::reason_of_vault;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use p861_core::engine::StoredObject;
use p861_crds::Reason;
use p861_vault::{AsyncStore, StoreError};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

/// Largest object of a run. Bounds what a reader takes into memory.
pub const MAX_OBJECT_BYTES: u64 = 16 * 1024 * 1024;
/// Objects that are removed at once.
const PARALLEL_REMOVALS: usize = 16;

/// An object of a run can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is larger than [`MAX_OBJECT_BYTES`].
    #[error("an object of the run has {bytes} bytes, and at most {MAX_OBJECT_BYTES} are allowed: select less, or split the application")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// It is not what the pointer says.
    #[error("object {key} of the repository is not what was stored there: {what}")]
    Damaged {
        /// Its key in the repository.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// A value that can't be written as JSON.
    #[error("an object of the run can't be written: {0}")]
    Unwritable(String),
    /// The repository.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ObjectError {
    /// Reason of the API.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::ResultTooLarge,
            Self::Damaged { .. } => Reason::ResultDamaged,
            Self::Unwritable(_) => Reason::InternalError,
            Self::Store(error) if error.is_not_found() => Reason::ResultMissing,
            Self::Store(error) => reason_of_vault(error.reason()),
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// The objects of one run.
#[derive(Clone, Debug)]
pub struct RunObjects {
    store: AsyncStore,
    prefix: String,
}

impl RunObjects {
    /// The objects of the run with that UID in this repository. Asks nothing of it yet.
    pub fn new(store: AsyncStore, run_uid: &str) -> Self {
        Self { store, prefix: format!("p861/runs/{run_uid}/") }
    }

    /// The key of the object with that digest; none if it is no digest, which could lead to another place of the repository.
    fn key(&self, sha256: &str) -> Option<String> {
        let is_digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
        is_digest.then(|| format!("{}{sha256}.json", self.prefix))
    }

    /// Stores a value. One request.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`]; otherwise the repository's error.
    pub async fn put<T: Serialize + ?Sized>(&self, value: &T) -> Result<StoredObject, ObjectError> {
        let body = serde_json::to_vec(value).map_err(|error| ObjectError::Unwritable(error.to_string()))?;
        let stored = StoredObject { sha256: hex::encode(Sha256::digest(&body)), bytes: body.len() as u64 };
        if stored.bytes > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge { bytes: stored.bytes });
        }
        let key = format!("{}{}.json", self.prefix, stored.sha256);
        match self.store.put_if_absent(&key, body).await {
            Ok(_) => Ok(stored),
            // Its name is its content's digest: it is the same.
            Err(error) if error.is_already_exists() => Ok(stored),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a value again. One request, and at most [`MAX_OBJECT_BYTES`].
    ///
    /// # Errors
    /// [`ObjectError::Damaged`] if the object is not the one that the pointer names; otherwise the repository's error.
    pub async fn get<T: DeserializeOwned>(&self, stored: &StoredObject) -> Result<T, ObjectError> {
        if stored.bytes > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge { bytes: stored.bytes });
        }
        let damaged = |key: &str, what: String| ObjectError::Damaged { key: key.to_owned(), what };
        let Some(key) = self.key(&stored.sha256) else {
            return Err(damaged(&self.prefix, format!("{:?} is no digest", p861_core::conditions::shorten(&stored.sha256, 80))));
        };
        let body = self.store.get_range(&key, 0, stored.bytes).await?;
        let seen = hex::encode(Sha256::digest(&body));
        if seen != stored.sha256 {
            return Err(damaged(&key, format!("its digest is {seen}")));
        }
        serde_json::from_slice(&body).map_err(|error| damaged(&key, error.to_string()))
    }

    /// Where it is written that a step has begun with which this mover goes on. Nothing is believed that stands there: what a mover may begin, its Job says.
    fn begin_key(&self, mover: &str, step: &str) -> String {
        let digest = hex::encode(Sha256::digest(format!("{mover} {step}")));
        format!("{}begin-{digest}", self.prefix)
    }

    /// Tells a running mover to go on with a step, which has begun. One request; doing it again changes nothing.
    ///
    /// # Errors
    /// The repository's error.
    pub async fn tell_to_begin(&self, mover: &str, step: &str) -> Result<(), StoreError> {
        self.store.put(&self.begin_key(mover, step), "begin").await.map(drop)
    }

    /// Whether a mover was told to go on with a step. One request.
    ///
    /// # Errors
    /// The repository's error.
    pub async fn is_told_to_begin(&self, mover: &str, step: &str) -> Result<bool, StoreError> {
        match self.store.head(&self.begin_key(mover, step)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes all objects of the run and returns how many there were. One list, and a request for each.
    ///
    /// # Errors
    /// The repository's error; some may be gone then.
    pub async fn remove_all(&self) -> Result<usize, StoreError> {
        let keys = self.store.list(&self.prefix).await?;
        let count = keys.len();
        let removals = keys.into_iter().map(|key| async move { self.store.delete(&key).await }).collect::<Vec<_>>();
        stream::iter(removals).buffer_unordered(PARALLEL_REMOVALS).try_collect::<Vec<()>>().await?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_vault::Location;
    use std::{fs, path::Path};

    async fn objects(folder: &Path, run: &str) -> RunObjects {
        let store = AsyncStore::new(&Location::Folder { path: folder.to_owned() }, None).await.unwrap();
        RunObjects::new(store, run)
    }

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(folder.join("p861/runs/one")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[tokio::test]
    async fn an_object_is_read_as_it_was_stored_and_storing_it_again_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path(), "one").await;
        let value: Vec<String> = (0..1_000).map(|number| format!("deployment {number} differs")).collect();
        let stored = objects.put(&value).await.unwrap();
        assert_eq!(objects.put(&value).await.unwrap(), stored, "the answer to the first may have been lost");
        objects.put(&["another attempt's"]).await.unwrap();
        assert_eq!(objects.get::<Vec<String>>(&stored).await.unwrap(), value);
        assert_eq!(files(folder.path()).len(), 2);
    }

    #[tokio::test]
    async fn what_is_not_as_the_pointer_says_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path(), "one").await;
        let stored = objects.put("true").await.unwrap();
        let file = files(folder.path()).remove(0);
        let reason = async |stored: &StoredObject| objects.get::<String>(stored).await.map_err(|error| (error.reason(), error.is_transient()));
        fs::write(&file, r#""lies""#).unwrap();
        assert_eq!(reason(&stored).await, Err((Reason::ResultDamaged, false)), "somebody else wrote it");
        fs::write(&file, r#""tr"#).unwrap();
        assert_eq!(reason(&stored).await, Err((Reason::ResultMissing, false)), "it is cut");
        fs::remove_file(&file).unwrap();
        assert_eq!(reason(&stored).await, Err((Reason::ResultMissing, false)), "it is gone");
        for sha256 in ["../../keys/1", "", &"A".repeat(64)] {
            assert_eq!(reason(&StoredObject { sha256: sha256.into(), bytes: 4 }).await, Err((Reason::ResultDamaged, false)), "{sha256}");
        }
        assert_eq!(reason(&StoredObject { bytes: MAX_OBJECT_BYTES + 1, ..stored }).await, Err((Reason::ResultTooLarge, false)));
    }

    #[tokio::test]
    async fn an_object_that_is_too_large_is_not_stored() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path(), "one").await;
        let text = "x".repeat(usize::try_from(MAX_OBJECT_BYTES).unwrap());
        assert!(matches!(objects.put(&text).await, Err(ObjectError::TooLarge { .. })));
        assert!(!folder.path().join("p861").exists());
    }

    #[tokio::test]
    async fn a_run_that_is_over_leaves_nothing_and_takes_nothing_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (objects(folder.path(), "one").await, objects(folder.path(), "one-more").await);
        one.put(&1).await.unwrap();
        one.put(&2).await.unwrap();
        let kept = other.put(&1).await.unwrap();
        assert_eq!(one.remove_all().await.unwrap(), 2);
        assert_eq!(one.remove_all().await.unwrap(), 0);
        assert_eq!(other.get::<u8>(&kept).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn fault_g2_a_mover_is_told_of_its_own_steps_only_and_a_run_that_is_over_leaves_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path(), "one").await;
        assert!(!objects.is_told_to_begin("mover-1", "seal/a").await.unwrap());
        for _ in 0..2 {
            objects.tell_to_begin("mover-1", "seal/a").await.unwrap();
        }
        let told = async |mover: &str, step: &str| objects.is_told_to_begin(mover, step).await.unwrap();
        assert!(told("mover-1", "seal/a").await && !told("mover-2", "seal/a").await && !told("mover-1", "verify/a").await);
        assert_eq!(objects.remove_all().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_repository_that_does_not_answer_is_a_passing_fault() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::S3 {
            endpoint: "http://127.0.0.1:9".into(),
            region: "r".into(),
            bucket: "b".into(),
            prefix: String::new(),
            virtual_host: false,
            ca: None,
        };
        let keys = p861_vault::Credentials { access_key_id: "a".into(), secret_access_key: "b".into() };
        let away = RunObjects::new(AsyncStore::new(&location, Some(&keys)).await.unwrap(), "one");
        let stored = objects(folder.path(), "one").await.put(&1).await.unwrap();
        assert!(away.get::<u8>(&stored).await.is_err_and(|error| error.is_transient()));
        assert!(away.put(&1).await.is_err_and(|error| error.is_transient()));
    }
}
