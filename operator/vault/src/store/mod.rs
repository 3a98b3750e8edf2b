//! Objects in a bucket or files in a folder, under keys.

mod dial;
mod error;
#[cfg(test)]
mod faulty;
mod folder;
mod s3;

pub(crate) use error::Refusal;
pub use error::StoreError;
#[cfg(test)]
pub(crate) use faulty::{Fault, Faults};

use crate::{limits, pace::Pace};
use bytes::Bytes;
use error::Result;
use folder::Folder;
use jiff::Timestamp;
use s3::S3;
use serde::{Deserialize, Serialize};
use std::{fmt, ops::ControlFlow, path::PathBuf};

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Location {
    /// A bucket.
    S3 {
        /// Base URL.
        endpoint: String,
        /// Region.
        region: String,
        /// Bucket.
        bucket: String,
        /// Path in the bucket, without a slash at its ends; may be empty.
        prefix: String,
        /// The bucket is part of the host name instead of the path.
        virtual_host: bool,
        /// Certificate authority (PEM) of the endpoint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
    /// A folder.
    Folder {
        /// Its path.
        path: PathBuf,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { endpoint, bucket, prefix, .. } if prefix.is_empty() => write!(f, "bucket {bucket} at {endpoint}"),
            Self::S3 { endpoint, bucket, prefix, .. } => write!(f, "bucket {bucket}/{prefix} at {endpoint}"),
            Self::Folder { path } => write!(f, "folder {}", path.display()),
        }
    }
}

/// Keys of a bucket. They are never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Name of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// Everything needed to open a repository. A mover gets it as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryAccess {
    /// Where it is.
    pub location: Location,
    /// Keys of the bucket.
    pub credentials: Option<Credentials>,
    /// The repository's password.
    pub password: String,
    /// restic's id that it must have.
    pub id: Option<String>,
}

impl fmt::Debug for RepositoryAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepositoryAccess").field("location", &self.location).field("id", &self.id).finish_non_exhaustive()
    }
}

/// When a write is done.
#[derive(Clone, Copy, Debug)]
enum Condition<'a> {
    Always,
    IfAbsent,
    /// The object still has this tag.
    IfMatch(&'a str),
}

/// Takes a key and the size of its object; may end the listing.
type Take<'a> = &'a mut (dyn FnMut(&str, u64) -> ControlFlow<()> + Send);

/// A store for callers that don't block. Keys are relative to the location. Whatever it reads is bounded in size and time, by the kind of object that the key names:
/// who serves a repository must not be able to fill the memory of who reads it, or to hold it up.
#[derive(Clone, Debug)]
pub struct AsyncStore(Kind);

#[derive(Clone, Debug)]
enum Kind {
    S3(Box<S3>),
    Folder(Folder),
    #[cfg(test)]
    Faulty(Folder, std::sync::Arc<faulty::Faults>),
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What became of an object that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It is not there any more.
    Gone,
    /// It is not there any more, and the store keeps what was there as an old version.
    Hidden,
    /// The store keeps it by its lock; until then, if it says so.
    Locked(Option<Timestamp>),
}

impl AsyncStore {
    /// Prepares a store; nothing is asked of it yet.
    ///
    /// # Errors
    /// If the location or its certificates can't be used.
    #[expect(clippy::unused_async, reason = "the SDK may come to need it; callers are async anyway")]
    pub async fn new(location: &Location, credentials: Option<&Credentials>) -> Result<Self> {
        Self::prepare(location, credentials)
    }

    pub(crate) fn prepare(location: &Location, credentials: Option<&Credentials>) -> Result<Self> {
        Ok(Self(match location {
            Location::Folder { path } => Kind::Folder(Folder::new(path)),
            Location::S3 { .. } => Kind::S3(Box::new(S3::new(location, credentials)?)),
        }))
    }

    /// Creates the bucket or folder if it is absent.
    ///
    /// # Errors
    /// If the bucket can't be reached or made.
    pub async fn ensure_bucket(&self) -> Result<()> {
        match &self.0 {
            Kind::S3(s3) => s3.ensure_bucket().await,
            Kind::Folder(folder) => folder.ensure(),
            #[cfg(test)]
            Kind::Faulty(folder, faults) => faults.around("", || folder.ensure()),
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// If there is no such object, if it is larger than one of its kind may be, or if the store can't be read.
    pub async fn get(&self, key: &str) -> Result<Vec<u8>> {
        self.get_with_tag(key).await.map(|(body, _)| body)
    }

    /// Reads an object and the tag that [`Self::put_if_match`] takes.
    ///
    /// # Errors
    /// If there is no such object, if it is larger than one of its kind may be, or if the store can't be read.
    pub async fn get_with_tag(&self, key: &str) -> Result<(Vec<u8>, String)> {
        let limit = limits::object_bytes(key);
        match &self.0 {
            Kind::S3(s3) => s3.get(key, limit).await,
            Kind::Folder(folder) => folder.get(key, limit),
            #[cfg(test)]
            Kind::Faulty(folder, faults) => faults.around(key, || folder.get(key, limit)),
        }
    }

    /// Reads `length` bytes of an object from `offset`. An object that is shorter is not found.
    ///
    /// # Errors
    /// If there is no such object, if that is more than is read at once (128 MiB), or if the store can't be read.
    pub async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        if length == 0 {
            return Ok(Vec::new());
        }
        if length > limits::MAX_RANGE_BYTES {
            let what = format!("{} of it were asked for, and at most {} are read at once", limits::size(length), limits::size(limits::MAX_RANGE_BYTES));
            return Err(StoreError::new(Refusal::TooLarge, &self.place(), key, what));
        }
        match &self.0 {
            Kind::S3(s3) => s3.get_range(key, offset, length).await,
            Kind::Folder(folder) => folder.get_range(key, offset, length),
            #[cfg(test)]
            Kind::Faulty(folder, faults) => faults.around(key, || folder.get_range(key, offset, length)),
        }
    }

    fn place(&self) -> String {
        match &self.0 {
            Kind::S3(s3) => s3.place().to_owned(),
            Kind::Folder(folder) => folder.location(),
            #[cfg(test)]
            Kind::Faulty(folder, _) => folder.location(),
        }
    }

    /// Writes an object, whatever was there.
    ///
    /// # Errors
    /// If the store can't be written.
    pub async fn put(&self, key: &str, body: impl Into<Bytes>) -> Result<String> {
        self.write(key, body.into(), Condition::Always).await
    }

    /// Writes an object only if it is not there.
    ///
    /// # Errors
    /// One that [`StoreError::is_already_exists`], if there is such an object; any other if the store can't be written.
    pub async fn put_if_absent(&self, key: &str, body: impl Into<Bytes>) -> Result<String> {
        self.write(key, body.into(), Condition::IfAbsent).await
    }

    /// Writes an object only if it is as it was read. The tag may be of the content, so content that is to be told from what it replaces needs something
    /// that never repeats in it.
    ///
    /// # Errors
    /// If the object has another tag by now, or the store can't be written.
    pub async fn put_if_match(&self, key: &str, body: impl Into<Bytes>, tag: &str) -> Result<String> {
        self.write(key, body.into(), Condition::IfMatch(tag)).await
    }

    async fn write(&self, key: &str, body: Bytes, condition: Condition<'_>) -> Result<String> {
        match &self.0 {
            Kind::S3(s3) => s3.write(key, body, condition).await,
            Kind::Folder(folder) => {
                let (pace, size) = (Pace::of_process(), body.len() as u64);
                let _turn = pace.turn(size).await;
                let written = folder.write(key, &body, condition)?;
                let pause = pace.pause(size);
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Ok(written)
            }
            #[cfg(test)]
            Kind::Faulty(folder, faults) => faults.around(key, || folder.write(key, &body, condition)),
        }
    }

    /// All keys under a prefix.
    ///
    /// # Errors
    /// If there are more than may be, or the store can't be listed.
    pub async fn list(&self, under: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        self.each(under, &mut |key, _| {
            keys.push(key.to_owned());
            ControlFlow::Continue(())
        })
        .await?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// All keys under a prefix, with their sizes.
    ///
    /// # Errors
    /// If there are more than may be, or the store can't be listed.
    pub async fn list_with_size(&self, under: &str) -> Result<Vec<(String, u64)>> {
        let mut keys = Vec::new();
        self.each(under, &mut |key, size| {
            keys.push((key.to_owned(), size));
            ControlFlow::Continue(())
        })
        .await?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// The first key under a prefix that the store lists; none if there is none. Costs one request.
    ///
    /// # Errors
    /// If the store can't be listed.
    pub async fn first(&self, under: &str) -> Result<Option<String>> {
        let mut first = None;
        self.each(under, &mut |key, _| {
            first = Some(key.to_owned());
            ControlFlow::Break(())
        })
        .await?;
        Ok(first)
    }

    /// How much is stored under a prefix. Lists every object of it, and keeps none in memory.
    ///
    /// # Errors
    /// If there are more than may be, or the store can't be listed.
    pub async fn measure(&self, under: &str) -> Result<Stored> {
        let mut stored = Stored::default();
        self.each(under, &mut |_, size| {
            stored.objects += 1;
            stored.bytes = stored.bytes.saturating_add(size);
            ControlFlow::Continue(())
        })
        .await?;
        Ok(stored)
    }

    /// Hands on every key under a prefix, in the store's order.
    pub(crate) async fn each(&self, under: &str, take: Take<'_>) -> Result<()> {
        match &self.0 {
            Kind::S3(s3) => s3.each(under, take).await,
            Kind::Folder(folder) => folder.each(under, take),
            #[cfg(test)]
            Kind::Faulty(folder, faults) => faults.around(under, || folder.each(under, take)),
        }
    }

    /// The size of an object.
    ///
    /// # Errors
    /// If there is no such object, or the store can't be read.
    pub async fn head(&self, key: &str) -> Result<u64> {
        match &self.0 {
            Kind::S3(s3) => s3.head(key).await,
            Kind::Folder(folder) => folder.head(key),
            #[cfg(test)]
            Kind::Faulty(folder, faults) => faults.around(key, || folder.head(key)),
        }
    }

    /// Deletes an object; one that isn't there is deleted.
    ///
    /// # Errors
    /// If the store can't be written.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match &self.0 {
            Kind::S3(s3) => s3.delete(key).await,
            Kind::Folder(folder) => folder.delete(key),
            #[cfg(test)]
            Kind::Faulty(folder, faults) => faults.around(key, || folder.delete(key)),
        }
    }

    /// As [`Self::delete`], and says what became of the object. One that the store keeps by its lock is no error.
    ///
    /// # Errors
    /// If the store can't be written.
    pub(crate) async fn remove(&self, key: &str) -> Result<Removal> {
        match &self.0 {
            Kind::S3(s3) => s3.remove(key).await,
            Kind::Folder(_) => self.delete(key).await.map(|()| Removal::Gone),
            #[cfg(test)]
            Kind::Faulty(..) => self.delete(key).await.map(|()| Removal::Gone),
        }
    }
}
