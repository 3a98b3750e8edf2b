//! Access to backup repositories: location, credentials and key, from the BackupRepository and its Secrets on the hub.

use crate::{
    context::Hub,
    error::{Category, Error, ErrorContext as _, Result, is_conflict},
    hub::named,
    secrets,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use p861_core::protection::choose::{CataloguedPoint, RecoveryPoint};
use p861_crds::{BackupRepository, Reason, protection::repository::Addressing};
use p861_vault::{AsyncStore, Credentials, Location, Repository, RepositoryAccess, SnapshotInfo, VaultError};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// The repository's key, generated if the Secret is absent: keys that people invent are weak.
async fn password(hub: &Hub, namespace: &str, name: &str, may_create: bool) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(hub.client.clone(), namespace);
    if secrets.get_opt(name).await.context(|| format!("read Secret {namespace}/{name}"))?.is_none() && may_create {
        hub.leadership.ensure()?;
        let secret = Secret {
            metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
            string_data: Some(BTreeMap::from([("password".to_owned(), secrets::random_hex()?)])),
            ..Secret::default()
        };
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => tracing::warn!(namespace, name, "made the repository's key: keep a copy of this Secret elsewhere, without it the backups can't be read"),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error).context(|| format!("create Secret {namespace}/{name}")),
        }
    }
    Ok(secrets::read(hub, namespace, name, &["password"]).await?.remove(0))
}

/// Location and credentials of a repository: enough for its journals, which are not encrypted.
async fn location(hub: &Hub, repository: &BackupRepository) -> Result<(Location, Option<Credentials>)> {
    let namespace = repository.namespace().unwrap_or_default();
    let spec = &repository.spec;
    match (&spec.s3, &spec.folder) {
        (Some(s3), _) => {
            let keys = secrets::read(hub, &namespace, &s3.credentials_secret_ref.name, &["accessKeyID", "secretAccessKey"]).await?;
            let mut keys = keys.into_iter();
            let ca = match &s3.ca_secret_ref {
                Some(reference) => Some(secrets::read(hub, &namespace, &reference.name, &["ca.crt"]).await?.remove(0)),
                None => None,
            };
            let location = Location::S3 {
                endpoint: s3.endpoint.clone(),
                region: s3.region.clone(),
                bucket: s3.bucket.clone(),
                prefix: s3.prefix.trim_matches('/').to_owned(),
                virtual_host: s3.addressing == Addressing::VirtualHost,
                ca,
            };
            Ok((location, Some(Credentials { access_key_id: keys.next().unwrap_or_default(), secret_access_key: keys.next().unwrap_or_default() })))
        }
        (None, Some(folder)) => {
            let path = folder
                .path
                .as_ref()
                .ok_or_else(|| Error::invalid(Reason::Unsupported, "folder.claimName is not supported by this release: use folder.path or s3"))?;
            Ok((Location::Folder { path: PathBuf::from(path) }, None))
        }
        (None, None) => Err(Error::invalid(Reason::Invalid, "give exactly one of s3 and folder")),
    }
}

/// Location, credentials and key of a repository. Its JSON is the content of a mover's Secret; it is never logged.
async fn access(hub: &Hub, repository: &BackupRepository, may_create: bool) -> Result<RepositoryAccess> {
    let (namespace, spec) = (repository.namespace().unwrap_or_default(), &repository.spec);
    let (location, credentials) = location(hub, repository).await?;
    let password = password(hub, &namespace, &spec.encryption.key_secret_ref.name, may_create).await?;
    Ok(RepositoryAccess { location, credentials, password, id: repository.status.as_ref().and_then(|status| status.repository_id.clone()) })
}

/// Content of a mover's Secret, as JSON. Never log it.
///
/// # Errors
/// If the repository or one of its Secrets is missing.
pub async fn repository_secret(hub: &Hub, namespace: &str, repository: &str) -> Result<String> {
    let repository: BackupRepository = named(&hub.client, namespace, repository).await?;
    let access = access(hub, &repository, false).await?;
    serde_json::to_string(&access).map_err(|_| Error::Internal("the repository's access can't be written".into()))
}

/// The stores of repositories, by namespace and name, with when they were opened.
type OpenStores = HashMap<(String, String), (Instant, AsyncStore)>;

/// Repositories that are open, by namespace and name: with when they were last used, and what they were opened with.
type OpenRepositories = HashMap<(String, String), (Instant, RepositoryAccess, SharedRepository)>;

/// An open repository. One use at a time: its store remembers one error.
type SharedRepository = Arc<Mutex<Repository>>;

/// What was read of repositories.
#[derive(Clone, Default)]
pub struct StoreCache {
    /// Recently opened stores, since passes ask for them twice a second. Changed credentials are used after at most [`STORE_TTL`].
    stores: Arc<Mutex<OpenStores>>,
    /// The parts of snapshots, by the snapshot's id, which is the digest of what names them: plans are looked at all the time.
    parts: Arc<Mutex<HashMap<String, Vec<String>>>>,
    /// Repositories that stay open, with their key and what was read of their snapshots. So a look at one derives no key, which takes 128 MiB, and reads only
    /// snapshots that are new: what it costs does not grow with their number.
    repositories: Arc<Mutex<OpenRepositories>>,
    /// Held while a repository is opened: deriving its key takes much memory, so that is done once at a time.
    opening: Arc<tokio::sync::Mutex<()>>,
}

/// Snapshots whose parts are kept in memory.
const MAX_CACHED_SNAPSHOTS: usize = 1_024;

impl StoreCache {
    /// The store, if it was opened within this time.
    fn opened_within(&self, key: &(String, String), age: Duration) -> Option<AsyncStore> {
        self.stores.lock().get(key).filter(|(opened, _)| opened.elapsed() < age).map(|(_, store)| store.clone())
    }

    /// The open repository, if it was opened with this.
    fn repository(&self, key: &(String, String), access: &RepositoryAccess) -> Option<SharedRepository> {
        let mut repositories = self.repositories.lock();
        let (used, with, repository) = repositories.get_mut(key)?;
        *used = Instant::now();
        let same = with.location == access.location && with.credentials == access.credentials && with.password == access.password;
        (same && access.id.as_ref().is_none_or(|id| Some(id) == with.id.as_ref())).then(|| repository.clone())
    }

    fn keep_repository(&self, key: (String, String), access: RepositoryAccess, repository: &SharedRepository) {
        let mut repositories = self.repositories.lock();
        repositories.retain(|_, (used, ..)| used.elapsed() < REPOSITORY_KEPT);
        repositories.insert(key, (Instant::now(), access, repository.clone()));
    }

    fn keep(&self, key: (String, String), store: &AsyncStore) {
        let mut stores = self.stores.lock();
        stores.retain(|_, (opened, _)| opened.elapsed() < STORE_KEPT);
        stores.insert(key, (Instant::now(), store.clone()));
    }
}

/// How long an open store is reused.
const STORE_TTL: Duration = Duration::from_secs(10);
/// How long a repository that nobody uses stays open.
const REPOSITORY_KEPT: Duration = Duration::from_hours(1);
/// How long a store stays open after its BackupRepository or a Secret of it was deleted: for runs that have begun, whose journals are in it.
const STORE_KEPT: Duration = Duration::from_hours(24);

/// The repository's store, for journals and reports. Reads the repository and its Secrets at most once in [`STORE_TTL`]. If they are deleted, the store that was
/// open stays open for runs that have begun.
///
/// # Errors
/// If the repository or one of its Secrets is missing, or the store's settings are unusable.
pub async fn open_store(hub: &Hub, namespace: &str, repository: &str) -> Result<AsyncStore> {
    let key = (namespace.to_owned(), repository.to_owned());
    if let Some(store) = hub.stores.opened_within(&key, STORE_TTL) {
        return Ok(store);
    }
    let opened = async {
        let repository: BackupRepository = named(&hub.client, namespace, repository).await?;
        let (location, credentials) = location(hub, &repository).await?;
        AsyncStore::new(&location, credentials.as_ref()).await.map_err(|error| vault("open the repository's store", &error))
    };
    match opened.await {
        Ok(store) => {
            hub.stores.keep(key, &store);
            Ok(store)
        }
        Err(error) if matches!(error.reason(), Reason::NotFound | Reason::SecretMissing) => match hub.stores.opened_within(&key, STORE_KEPT) {
            Some(store) => {
                tracing::warn!(namespace, repository, "the store of a repository stays open for the runs that have begun, although: {error}");
                Ok(store)
            }
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Bytes stored in a repository. Lists every object of it.
///
/// # Errors
/// If the store can't be opened or listed.
pub async fn bytes_stored(hub: &Hub, namespace: &str, repository: &str) -> Result<u64> {
    let store = open_store(hub, namespace, repository).await?;
    let objects = store.list_with_size("").await.map_err(|error| vault("measure the repository", &error))?;
    Ok(objects.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size)))
}

/// Location of an object of a repository, as shown to people.
///
/// # Errors
/// If the repository doesn't exist.
pub async fn location_of(hub: &Hub, namespace: &str, repository: &str, key: &str) -> Result<String> {
    let repository: BackupRepository = named(&hub.client, namespace, repository).await?;
    let spec = &repository.spec;
    Ok(match (&spec.s3, &spec.folder) {
        (Some(s3), _) if s3.prefix.is_empty() => format!("s3://{}/{key}", s3.bucket),
        (Some(s3), _) => format!("s3://{}/{}/{key}", s3.bucket, s3.prefix.trim_matches('/')),
        (None, folder) => format!("{}/{key}", folder.as_ref().and_then(|folder| folder.path.as_deref()).unwrap_or_default()),
    })
}

/// State of a repository that was opened.
#[derive(Clone, Debug)]
pub struct RepositoryState {
    /// restic's id.
    pub id: String,
    /// Snapshots in it.
    pub snapshots: usize,
}

/// Opens a repository, initialises it if it is new, and proves that it is writable and honours conditional writes. `pinned` is the id that it had before: a
/// repository with another id is an error.
///
/// # Errors
/// If the repository can't be opened or written, or its store ignores conditional writes.
pub async fn open_and_inspect(hub: &Hub, repository: &BackupRepository, pinned: Option<String>) -> Result<RepositoryState> {
    hub.leadership.ensure()?;
    let mut access = access(hub, repository, true).await?;
    access.id.clone_from(&pinned);
    let store = AsyncStore::new(&access.location, access.credentials.as_ref()).await.map_err(|error| vault("open the repository's store", &error))?;
    store.ensure_bucket().await.map_err(|error| vault("reach the bucket", &error))?;
    prove_conditional_writes(&store, &hub.identity).await?;
    // A known repository that disappeared must not be replaced by an empty one.
    let open: Open = if pinned.is_some() { Repository::open } else { Repository::open_or_init };
    let namespace = repository.namespace().unwrap_or_default();
    let repository = opened(hub, (namespace, repository.name_any()), access, open).await?;
    blocking("open the repository", move || {
        let repository = repository.lock();
        Ok(RepositoryState { id: repository.id(), snapshots: repository.snapshots()?.len() })
    })
    .await
}

/// How a repository is opened.
type Open = fn(&RepositoryAccess) -> std::result::Result<Repository, VaultError>;

/// The open repository: the one that is known, as long as it is the same, or else opened now.
async fn opened(hub: &Hub, key: (String, String), mut access: RepositoryAccess, open: Open) -> Result<SharedRepository> {
    let what = "open the repository";
    if let Some(known) = hub.stores.repository(&key, &access) {
        let repository = known.clone();
        if blocking(what, move || repository.lock().is_as_opened()).await? {
            return Ok(known);
        }
    }
    let _turn = hub.stores.opening.lock().await;
    let (access, repository) = blocking(what, move || {
        let repository = open(&access)?;
        access.id = Some(repository.id());
        Ok((access, Arc::new(Mutex::new(repository))))
    })
    .await?;
    hub.stores.keep_repository(key, access, &repository);
    Ok(repository)
}

/// Work on a repository, which blocks.
async fn blocking<T: Send + 'static>(what: &str, work: impl FnOnce() -> std::result::Result<T, VaultError> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(format!("{what}: {error}")))?;
    done.map_err(|error| vault_error(what, &error))
}

/// The recovery points in a repository, oldest first: also those whose Backup is not on the hub any more. Only snapshots that are new are read.
///
/// # Errors
/// If the repository can't be opened or read.
pub async fn catalogue(hub: &Hub, namespace: &str, repository: &str) -> Result<Vec<CataloguedPoint>> {
    let declared: BackupRepository = named(&hub.client, namespace, repository).await?;
    let access = access(hub, &declared, false).await?;
    let open = opened(hub, (namespace.to_owned(), repository.to_owned()), access, Repository::open).await?;
    let snapshots = blocking(&format!("list the snapshots of repository {repository}"), move || open.lock().snapshots()).await?;
    Ok(snapshots.into_iter().map(|snapshot| catalogued(repository, snapshot)).collect())
}

fn catalogued(repository: &str, snapshot: SnapshotInfo) -> CataloguedPoint {
    let backup = snapshot.tag("backup").map_or_else(|| snapshot.id.chars().take(12).collect(), str::to_owned);
    let site = Some(snapshot.host.as_str().into());
    let point = RecoveryPoint { backup, snapshot: snapshot.id.into(), time: snapshot.time, repository: repository.to_owned(), level: None, site };
    CataloguedPoint { application: snapshot.label, point }
}

/// Deletes the unsealed data of a failed backup, which no restore can use. Returns the number of parts removed.
///
/// # Errors
/// If the repository can't be opened or written.
pub async fn forget_unsealed(hub: &Hub, namespace: &str, repository: &str, run: &str) -> Result<usize> {
    let repository: BackupRepository = named(&hub.client, namespace, repository).await?;
    let access = access(hub, &repository, false).await?;
    hub.leadership.ensure()?;
    let (key, run) = ((namespace.to_owned(), repository.name_any()), run.to_owned());
    let open = opened(hub, key, access, Repository::open).await?;
    blocking("forget the parts of a failed backup", move || open.lock().forget_unsealed(&run)).await
}

/// Fails on a store that ignores conditional writes: two orchestrators could write the same journal. Each proof uses a new object.
async fn prove_conditional_writes(store: &AsyncStore, identity: &str) -> Result<()> {
    let key = format!("probe/{identity}-{}", jiff::Timestamp::now().as_nanosecond());
    let what = "write a probe object";
    store.put_if_absent(&key, key.clone().into_bytes()).await.map_err(|error| vault(what, &error))?;
    let again = store.put_if_absent(&key, b"second".to_vec()).await;
    let read = store.get(&key).await.map_err(|error| vault("read the probe object", &error))?;
    store.delete(&key).await.map_err(|error| vault("delete the probe object", &error))?;
    let refused = matches!(&again, Err(error) if error.is_already_exists());
    if refused && read == key.as_bytes() {
        return Ok(());
    }
    Err(Error::Stated {
        reason: Reason::ConditionalWriteMissing,
        message:
            "the store took a second write of an object that was to be written only if absent: journals need a store with conditional writes (If-None-Match)"
                .into(),
        category: Category::NeedsPerson,
    })
}

/// The reason that a text of the vault stands for: that crate knows none of the product's kinds.
pub fn reason_of_vault(text: &'static str) -> Reason {
    Reason::from_text(text)
}

/// Converts an error of the repository.
pub fn vault_error(what: &str, error: &VaultError) -> Error {
    Error::Vault {
        what: what.into(),
        message: error.to_string(),
        reason: reason_of_vault(error.reason()),
        category: if error.is_transient() { Category::Transient } else { Category::Refused },
    }
}

/// The parts of a recovery point's snapshot, as the snapshot itself names them. Nothing on the hub is asked: a journal may be gone, or of another backup.
///
/// # Errors
/// If the repository can't be opened, or the snapshot is missing, damaged, or doesn't name its parts.
pub async fn snapshot_parts(hub: &Hub, namespace: &str, point: &RecoveryPoint) -> Result<Vec<String>> {
    let (repository, id) = (point.repository.as_str(), point.snapshot.to_string());
    let known = hub.stores.parts.lock().get(&id).cloned();
    // A snapshot never changes, but it can be forgotten.
    if let Some(parts) = known
        && is_stored(&open_store(hub, namespace, repository).await?, &id).await?
    {
        return Ok(parts);
    }
    let declared: BackupRepository = named(&hub.client, namespace, repository).await?;
    let access = access(hub, &declared, false).await?;
    let open = opened(hub, (namespace.to_owned(), repository.to_owned()), access, Repository::open).await?;
    let snapshot = id.clone();
    let parts = blocking(&format!("read the snapshot of backup {}", point.backup), move || open.lock().snapshot_parts(&snapshot)).await?;
    let mut known = hub.stores.parts.lock();
    if known.len() >= MAX_CACHED_SNAPSHOTS {
        known.clear();
    }
    known.insert(id, parts.clone());
    Ok(parts)
}

/// Whether a snapshot's file is in the repository.
async fn is_stored(store: &AsyncStore, snapshot: &str) -> Result<bool> {
    let key = format!("snapshots/{snapshot}");
    match store.head(&key).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(vault("look for the snapshot", &error)),
    }
}

/// Converts an error of the repository's store.
pub fn vault(what: &str, error: &p861_vault::StoreError) -> Error {
    Error::Vault {
        what: what.into(),
        message: error.to_string(),
        reason: reason_of_vault(error.reason()),
        category: if error.is_transient() { crate::error::Category::Transient } else { crate::error::Category::Refused },
    }
}

#[cfg(test)]
mod tests {
    use super::reason_of_vault;
    use p861_crds::Reason;

    #[test]
    fn every_reason_of_the_vault_is_a_reason_of_the_product() {
        for text in p861_vault::REASONS {
            assert!(Reason::ALL.contains(&reason_of_vault(text)), "{text}");
        }
    }
}
