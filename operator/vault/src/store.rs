//! Objects in a bucket or files in a folder, under keys.

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Builder, Credentials as SdkCredentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::http::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

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
        /// The bucket stands in the host name instead of the path.
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

/// Everything that is needed to open a repository. Its JSON is what a mover is given.
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

/// What kind of refusal it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Unreachable,
    AccessDenied,
    NotFound,
    AlreadyExists,
    PreconditionFailed,
    NoSpace,
    Other,
}

/// The store refused, or can't be reached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    refusal: Refusal,
    message: String,
}

impl StoreError {
    /// The object is there already.
    pub fn is_already_exists(&self) -> bool {
        self.refusal == Refusal::AlreadyExists
    }

    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        self.refusal == Refusal::NotFound
    }

    /// The object has changed.
    pub fn is_precondition_failed(&self) -> bool {
        self.refusal == Refusal::PreconditionFailed
    }

    /// It may go away by itself.
    pub fn is_transient(&self) -> bool {
        matches!(self.refusal, Refusal::Unreachable | Refusal::Other)
    }

    /// Reason, as the API spells it.
    pub fn reason(&self) -> &'static str {
        match self.refusal {
            Refusal::Unreachable => "Unreachable",
            Refusal::AccessDenied => "AccessDenied",
            Refusal::NotFound => "NotFound",
            Refusal::AlreadyExists => "AlreadyExists",
            Refusal::PreconditionFailed => "PreconditionFailed",
            Refusal::NoSpace => "NoSpace",
            Refusal::Other => "StoreError",
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// A store for callers that don't block. Keys are relative to the location.
#[derive(Clone, Debug)]
pub struct AsyncStore(Kind);

#[derive(Clone, Debug)]
enum Kind {
    S3 { client: Client, bucket: String, prefix: String, name: String },
    Folder { path: PathBuf },
}

/// One request may take this long.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl AsyncStore {
    /// Prepares a store; nothing is asked of it yet.
    #[allow(clippy::unused_async, reason = "the SDK may come to need it; callers are async anyway")]
    pub async fn new(location: &Location, credentials: Option<&Credentials>) -> Result<Self> {
        Self::prepare(location, credentials)
    }

    pub(crate) fn prepare(location: &Location, credentials: Option<&Credentials>) -> Result<Self> {
        let (endpoint, region, bucket, prefix, virtual_host, ca) = match location {
            Location::Folder { path } => return Ok(Self(Kind::Folder { path: path.clone() })),
            Location::S3 { endpoint, region, bucket, prefix, virtual_host, ca } => (endpoint, region, bucket, prefix, virtual_host, ca),
        };
        let invalid = |what: String| StoreError { refusal: Refusal::AccessDenied, message: format!("{location}: {what}") };
        let keys = credentials.ok_or_else(|| invalid("keys are missing: give accessKeyID and secretAccessKey".into()))?;
        let mut context = TlsContext::builder();
        if let Some(ca) = ca {
            context = context.with_trust_store(TrustStore::empty().with_pem_certificate(ca.as_bytes()));
        }
        let context = context.build().map_err(|_| invalid("the certificate authority is no PEM certificate".into()))?;
        let http = aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https();
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(region.clone()))
            .endpoint_url(endpoint)
            .force_path_style(!virtual_host)
            .credentials_provider(SdkCredentials::new(&keys.access_key_id, &keys.secret_access_key, None, None, "p861"))
            // Not every store knows the newer checksums; the repository has its own.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
            .build();
        Ok(Self(Kind::S3 { client: Client::from_conf(config), bucket: bucket.clone(), prefix: prefix.clone(), name: location.to_string() }))
    }

    fn key(prefix: &str, key: &str) -> String {
        if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{key}") }
    }

    /// Creates the bucket or folder if it is absent.
    pub async fn ensure_bucket(&self) -> Result<()> {
        match &self.0 {
            Kind::S3 { client, bucket, name, .. } => match client.head_bucket().bucket(bucket).send().await {
                Ok(_) => Ok(()),
                Err(error) => {
                    let refused = refusal(name, "", &error);
                    if refused.refusal != Refusal::NotFound {
                        return Err(refused);
                    }
                    match client.create_bucket().bucket(bucket).send().await {
                        Ok(_) => Ok(()),
                        Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => Ok(()),
                        Err(error) => Err(refusal(name, "", &error)),
                    }
                }
            },
            Kind::Folder { path } => std::fs::create_dir_all(path).map_err(|error| io(path, "", &error)),
        }
    }

    /// Reads an object.
    pub async fn get(&self, key: &str) -> Result<Vec<u8>> {
        self.get_with_tag(key).await.map(|(body, _)| body)
    }

    /// Reads an object and the tag that [`Self::put_if_match`] takes.
    pub async fn get_with_tag(&self, key: &str) -> Result<(Vec<u8>, String)> {
        match &self.0 {
            Kind::S3 { client, bucket, prefix, name } => {
                let answer = client.get_object().bucket(bucket).key(Self::key(prefix, key)).send().await.map_err(|error| refusal(name, key, &error))?;
                let tag = answer.e_tag().unwrap_or_default().to_owned();
                let body = answer.body.collect().await.map_err(|error| StoreError { refusal: Refusal::Unreachable, message: format!("{name}, object {key}: the connection broke while it was read: {error}") })?;
                Ok((body.to_vec(), tag))
            }
            Kind::Folder { path } => {
                let body = std::fs::read(path.join(key)).map_err(|error| io(path, key, &error))?;
                let tag = hex::encode(Sha256::digest(&body));
                Ok((body, tag))
            }
        }
    }

    /// Reads `length` bytes of an object from `offset`.
    pub async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        if length == 0 {
            return Ok(Vec::new());
        }
        let body = match &self.0 {
            Kind::S3 { client, bucket, prefix, name } => {
                let range = format!("bytes={offset}-{}", offset + length - 1);
                let answer = client.get_object().bucket(bucket).key(Self::key(prefix, key)).range(range).send().await.map_err(|error| refusal(name, key, &error))?;
                let body = answer.body.collect().await.map_err(|error| StoreError { refusal: Refusal::Unreachable, message: format!("{name}, object {key}: the connection broke while it was read: {error}") })?;
                body.to_vec()
            }
            Kind::Folder { path } => {
                let read = || -> std::io::Result<Vec<u8>> {
                    let mut file = std::fs::File::open(path.join(key))?;
                    file.seek(SeekFrom::Start(offset))?;
                    let mut body = Vec::new();
                    file.take(length).read_to_end(&mut body)?;
                    Ok(body)
                };
                read().map_err(|error| io(path, key, &error))?
            }
        };
        if body.len() as u64 != length {
            return Err(StoreError { refusal: Refusal::NotFound, message: format!("object {key} is shorter than it should be: {} bytes at {offset} instead of {length}", body.len()) });
        }
        Ok(body)
    }

    /// Writes an object, whatever was there.
    pub async fn put(&self, key: &str, body: Vec<u8>) -> Result<String> {
        self.write(key, body, None, false).await
    }

    /// Writes an object only if it is not there.
    pub async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String> {
        self.write(key, body, None, true).await
    }

    /// Writes an object only if it is as it was read.
    pub async fn put_if_match(&self, key: &str, body: Vec<u8>, tag: &str) -> Result<String> {
        self.write(key, body, Some(tag), false).await
    }

    async fn write(&self, key: &str, body: Vec<u8>, tag: Option<&str>, absent: bool) -> Result<String> {
        match &self.0 {
            Kind::S3 { client, bucket, prefix, name } => {
                let mut request = client.put_object().bucket(bucket).key(Self::key(prefix, key)).body(ByteStream::from(body));
                if absent {
                    request = request.if_none_match("*");
                }
                if let Some(tag) = tag {
                    request = request.if_match(tag);
                }
                let answer = request.send().await.map_err(|error| {
                    let mut refused = refusal(name, key, &error);
                    if absent && refused.refusal == Refusal::PreconditionFailed {
                        refused = StoreError { refusal: Refusal::AlreadyExists, message: format!("{name}: object {key} is there already") };
                    }
                    refused
                })?;
                Ok(answer.e_tag().unwrap_or_default().to_owned())
            }
            Kind::Folder { path } => write_file(path, key, &body, tag, absent),
        }
    }

    /// All keys under a prefix.
    pub async fn list(&self, under: &str) -> Result<Vec<String>> {
        Ok(self.list_with_size(under).await?.into_iter().map(|(key, _)| key).collect())
    }

    /// All keys under a prefix, with their sizes.
    pub async fn list_with_size(&self, under: &str) -> Result<Vec<(String, u64)>> {
        match &self.0 {
            Kind::S3 { client, bucket, prefix, name } => {
                let full = Self::key(prefix, under);
                let cut = if prefix.is_empty() { 0 } else { prefix.len() + 1 };
                let mut keys = Vec::new();
                let mut pages = client.list_objects_v2().bucket(bucket).prefix(full).into_paginator().send();
                while let Some(page) = pages.next().await {
                    let page = page.map_err(|error| refusal(name, under, &error))?;
                    keys.extend(page.contents().iter().filter_map(|object| Some((object.key()?.get(cut..)?.to_owned(), u64::try_from(object.size().unwrap_or(0)).unwrap_or(0)))));
                }
                Ok(keys)
            }
            Kind::Folder { path } => {
                let mut keys = Vec::new();
                let start = match under.rsplit_once('/') {
                    Some((folder, _)) => path.join(folder),
                    None => path.clone(),
                };
                walk(path, &start, &mut keys).map_err(|error| io(path, under, &error))?;
                keys.retain(|(key, _)| key.starts_with(under));
                keys.sort();
                Ok(keys)
            }
        }
    }

    /// The size of an object.
    pub async fn head(&self, key: &str) -> Result<u64> {
        match &self.0 {
            Kind::S3 { client, bucket, prefix, name } => {
                let answer = client.head_object().bucket(bucket).key(Self::key(prefix, key)).send().await.map_err(|error| refusal(name, key, &error))?;
                Ok(u64::try_from(answer.content_length().unwrap_or(0)).unwrap_or(0))
            }
            Kind::Folder { path } => std::fs::metadata(path.join(key)).map(|metadata| metadata.len()).map_err(|error| io(path, key, &error)),
        }
    }

    /// Deletes an object; one that isn't there is deleted.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match &self.0 {
            Kind::S3 { client, bucket, prefix, name } => client.delete_object().bucket(bucket).key(Self::key(prefix, key)).send().await.map(|_| ()).map_err(|error| refusal(name, key, &error)),
            Kind::Folder { path } => match std::fs::remove_file(path.join(key)) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(io(path, key, &error)),
                _ => Ok(()),
            },
        }
    }
}

/// What S3 said, in words that say what to do. The SDK's own text may hold the request; only code and message are taken.
fn refusal<E: ProvideErrorMetadata>(name: &str, key: &str, error: &SdkError<E, Response>) -> StoreError {
    let object = if key.is_empty() { String::new() } else { format!(", object {key}") };
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default();
    let (refusal, what) = match (status, code) {
        (_, "NoSuchBucket") => (Refusal::NotFound, "the bucket doesn't exist: create it, or correct spec.s3.bucket".to_owned()),
        (Some(404), _) => (Refusal::NotFound, "it doesn't exist".into()),
        (Some(412), _) | (Some(409), "ConditionalRequestConflict") => (Refusal::PreconditionFailed, "it was changed by another".into()),
        (Some(401 | 403), code) => (Refusal::AccessDenied, format!("access denied ({}): check the keys in the repository's credentials Secret and the bucket's policy", if code.is_empty() { "403" } else { code })),
        (Some(507), _) => (Refusal::NoSpace, "the store is full".into()),
        (Some(status), code) if status < 500 => (Refusal::Other, format!("refused with {status} {code}: {}", error.message().unwrap_or_default())),
        (Some(status), code) => (Refusal::Unreachable, format!("the store answers {status} {code}: {}", error.message().unwrap_or_default())),
        (None, _) => {
            let source = match error {
                SdkError::DispatchFailure(failure) => failure.as_connector_error().map(|error| innermost(error)).unwrap_or_default(),
                SdkError::TimeoutError(_) => "timed out".into(),
                _ => String::new(),
            };
            (Refusal::Unreachable, format!("the store can't be reached ({}): check the endpoint and the network", if source.is_empty() { "no answer".into() } else { source }))
        }
    };
    StoreError { refusal, message: format!("{name}{object}: {what}") }
}

/// The last cause of an error: "connection refused" instead of "dispatch failure".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn io(path: &Path, key: &str, error: &std::io::Error) -> StoreError {
    let refusal = match error.kind() {
        ErrorKind::NotFound => Refusal::NotFound,
        ErrorKind::AlreadyExists => Refusal::AlreadyExists,
        ErrorKind::PermissionDenied => Refusal::AccessDenied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Refusal::NoSpace,
        _ => Refusal::Other,
    };
    StoreError { refusal, message: format!("folder {}, file {key}: {error}", path.display()) }
}

fn walk(root: &Path, folder: &Path, keys: &mut Vec<(String, u64)>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(root, &path, keys)?;
        } else if let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str).filter(|key| !key.ends_with(PARTIAL)) {
            keys.push((key.to_owned(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

/// Files that are being written end like this.
const PARTIAL: &str = ".p861-partial";

/// Writes beside, then puts in place: a file is there whole or not at all. Creating is a hard link, which fails if the name is taken.
fn write_file(root: &Path, key: &str, body: &[u8], tag: Option<&str>, absent: bool) -> Result<String> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let path = root.join(key);
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let partial = path.with_file_name(format!("{}-{}{PARTIAL}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        let put = || -> std::io::Result<()> {
            let mut file = std::fs::File::create(&partial)?;
            file.write_all(body)?;
            file.sync_all()?;
            if absent { std::fs::hard_link(&partial, &path) } else { std::fs::rename(&partial, &path) }
        };
        let result = put();
        let _ = std::fs::remove_file(&partial);
        result
    };
    if let Some(tag) = tag {
        // One at a time: comparing and writing are two steps on a file system.
        let lock = std::fs::File::create(root.join(".p861-lock")).map_err(|error| io(root, key, &error))?;
        lock.lock().map_err(|error| io(root, key, &error))?;
        let current = std::fs::read(&path).map_err(|error| io(root, key, &error))?;
        if hex::encode(Sha256::digest(&current)) != tag {
            return Err(StoreError { refusal: Refusal::PreconditionFailed, message: format!("folder {}, file {key}: it was changed by another", root.display()) });
        }
        write().map_err(|error| io(root, key, &error))?;
    } else {
        write().map_err(|error| io(root, key, &error))?;
    }
    Ok(hex::encode(Sha256::digest(body)))
}
