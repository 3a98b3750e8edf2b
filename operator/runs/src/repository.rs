//! Access to backup repositories: location, credentials and key, from the BackupRepository and its Secrets on the hub.

mod cache;

pub use cache::StoreCache;
use cache::{RepositoryKey, SharedRepository};

use crate::{
    context::Hub,
    district,
    error::{Category, Error, Result},
    hub::named,
    movers::{HALF_RESTORED_TAG, MoverKeys, PARTIAL_TAG},
    places::Places,
    secrets::SecretsOf,
};
use kube::ResourceExt as _;
use p861_core::protection::{
    choose::{CataloguedPoint, RecoveryPoint},
    policy::bandwidth::UploadLimits,
};
use p861_crds::{BackupRepository, Reason, protection::repository::Addressing};
pub use p861_vault::AsyncStore;
use p861_vault::{Credentials, Location, Repository, RepositoryAccess, SnapshotInfo, VaultError};
use std::sync::LazyLock;

/// The key of a repository's key Secret.
const PASSWORD: &str = "password";

/// The repository's key, generated if the Secret is absent: keys that people invent are weak.
async fn password(hub: &Hub, repository: &BackupRepository, may_create: bool) -> Result<String> {
    let (secrets, name) = (SecretsOf::object(&hub.client, repository), &repository.spec.encryption.key_secret_ref.name);
    if may_create && secrets.found_or_made(&hub.leadership, name, PASSWORD).await?.1 {
        let namespace = secrets.namespace();
        tracing::warn!(namespace, name, "made the repository's key: keep a copy of this Secret elsewhere, without it the backups can't be read");
    }
    Ok(secrets.texts(name, &[PASSWORD]).await?.remove(0))
}

/// Location and credentials of a repository: enough for its journals, which are not encrypted.
async fn location(hub: &Hub, repository: &BackupRepository) -> Result<(Location, Option<Credentials>)> {
    let (secrets, spec) = (SecretsOf::object(&hub.client, repository), &repository.spec);
    match (&spec.s3, &spec.folder) {
        (Some(s3), _) => {
            let mut keys = secrets.texts(&s3.credentials_secret_ref.name, &["accessKeyID", "secretAccessKey"]).await?.into_iter();
            let ca = match &s3.ca_secret_ref {
                Some(reference) => Some(secrets.texts(&reference.name, &["ca.crt"]).await?.remove(0)),
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
            Ok((Location::Folder { path: hub.stores.folders.admit(path)? }, None))
        }
        (None, None) => Err(Error::invalid(Reason::Invalid, "give exactly one of s3 and folder")),
    }
}

/// Location, credentials and key of a repository. Its JSON is the content of a mover's Secret; it is never logged.
async fn access(hub: &Hub, repository: &BackupRepository, may_create: bool) -> Result<RepositoryAccess> {
    let (location, credentials) = location(hub, repository).await?;
    let password = password(hub, repository, may_create).await?;
    Ok(RepositoryAccess { location, credentials, password, id: repository.status.as_ref().and_then(|status| status.repository_id.clone()) })
}

/// What a mover is given to open the repository, and how fast it may upload, as one line of JSON. Never log it.
///
/// # Errors
/// If the repository or one of its Secrets is missing.
pub async fn repository_keys(hub: &Hub, namespace: &str, repository: &str, upload: Option<UploadLimits>) -> Result<String> {
    let repository: BackupRepository = named(&hub.client, namespace, repository).await?;
    let access = access(hub, &repository, false).await?;
    let derived = p861_vault::derived(&access);
    serde_json::to_string(&MoverKeys { access, derived, upload }).map_err(|_| Error::Internal("the repository's access can't be written".into()))
}

/// The repository's store, for journals and reports. Reads the repository and its Secrets at most once in ten seconds. If they are deleted, the store that was
/// open stays open for runs that have begun.
///
/// # Errors
/// If the repository or one of its Secrets is missing, or the store's settings are unusable.
pub async fn open_store(hub: &Hub, namespace: &str, repository: &str) -> Result<AsyncStore> {
    let key = (namespace.to_owned(), repository.to_owned());
    if let Some(store) = hub.stores.recent_store(&key) {
        return Ok(store);
    }
    let opened = async {
        let repository: BackupRepository = named(&hub.client, namespace, repository).await?;
        let (location, credentials) = location(hub, &repository).await?;
        let what = "open the repository's store";
        hub.stores.store(key.clone(), &location, credentials.as_ref(), AsyncStore::new).await.map_err(|error| vault(what, &error))
    };
    match opened.await {
        Ok(store) => Ok(store),
        Err(error) if matches!(error.reason(), Reason::NotFound | Reason::SecretMissing) => match hub.stores.last_store(&key) {
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
    store.measure("").await.map(|stored| stored.bytes).map_err(|error| vault("measure the repository", &error))
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
    let state =
        used(hub, "open the repository", repository, |repository| Ok(RepositoryState { id: repository.id(), snapshots: repository.count_snapshots()? }));
    state.await
}

/// How a repository is opened.
type Open = fn(&RepositoryAccess) -> std::result::Result<Repository, VaultError>;

/// The open repository: the one that is known, as long as it is the same, or else opened now. Several may be opened at once: their keys are derived one at a time, and
/// none twice, by the vault itself.
async fn opened(hub: &Hub, key: RepositoryKey, mut access: RepositoryAccess, open: Open) -> Result<SharedRepository> {
    let what = "open the repository";
    if let Some(known) = hub.stores.repository(&key, &access) {
        let repository = known.clone();
        if blocking(what, move || repository.with(Repository::is_as_opened)).await? {
            return Ok(known);
        }
    }
    let (access, repository) = blocking(what, move || {
        let repository = open(&access)?;
        access.id = Some(repository.id());
        Ok((access, SharedRepository::new(repository)))
    })
    .await?;
    hub.stores.keep_repository(key, access, &repository);
    Ok(repository)
}

/// Uses an open repository. What is read of it stays in memory within the bounds of all.
async fn used<T: Send + 'static>(
    hub: &Hub,
    what: &str,
    repository: SharedRepository,
    work: impl FnOnce(&Repository) -> std::result::Result<T, VaultError> + Send + 'static,
) -> Result<T> {
    let done = blocking(what, move || repository.with(work)).await;
    hub.stores.shrink();
    done
}

/// Threads of one district that work on repositories, or wait for one. All districts share the process's threads.
const MAX_THREADS_PER_DISTRICT: usize = 8;

/// Work on a repository, which blocks. It has its thread until it ends, also if the caller gives up before: however often a repository that doesn't answer is asked,
/// its district takes no more threads.
async fn blocking<T: Send + 'static>(what: &str, work: impl FnOnce() -> std::result::Result<T, VaultError> + Send + 'static) -> Result<T> {
    static THREADS: LazyLock<Places> = LazyLock::new(|| Places::new(MAX_THREADS_PER_DISTRICT));
    let place = THREADS.take(&district::current().unwrap_or_default()).await;
    let work = move || {
        let _place = place;
        work()
    };
    let done = tokio::task::spawn_blocking(district::carried(work)).await.map_err(|error| Error::Internal(format!("{what}: {error}")))?;
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
    let snapshots = used(hub, &format!("list the snapshots of repository {repository}"), open, Repository::snapshots).await?;
    Ok(snapshots.into_iter().map(|snapshot| catalogued(repository, snapshot)).collect())
}

fn catalogued(repository: &str, snapshot: SnapshotInfo) -> CataloguedPoint {
    let is_tagged = |with: &str| snapshot.tags.iter().any(|tag| tag == with);
    let (is_partial, is_half_restored) = (is_tagged(PARTIAL_TAG), is_tagged(HALF_RESTORED_TAG));
    let backup = snapshot.tag("backup").map_or_else(|| snapshot.id.chars().take(12).collect(), str::to_owned);
    let site = Some(snapshot.host.as_str().into());
    let district = snapshot.tag("district").map(str::to_owned);
    let point = RecoveryPoint { backup, snapshot: snapshot.id.into(), time: snapshot.time, repository: repository.to_owned(), level: None, site };
    CataloguedPoint { application: snapshot.label, point, is_partial, is_half_restored, district }
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
    used(hub, "forget the parts of a failed backup", open, move |repository| repository.forget_unsealed(&run)).await
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
    let key = (namespace.to_owned(), repository.to_owned());
    let known = hub.stores.parts(&key, &id);
    // A snapshot never changes, but it can be forgotten.
    if let Some(parts) = known
        && is_stored(&open_store(hub, namespace, repository).await?, &id).await?
    {
        return Ok(parts);
    }
    let declared: BackupRepository = named(&hub.client, namespace, repository).await?;
    let access = access(hub, &declared, false).await?;
    let open = opened(hub, key.clone(), access, Repository::open).await?;
    let snapshot = id.clone();
    let parts = used(hub, &format!("read the snapshot of backup {}", point.backup), open, move |repository| repository.snapshot_parts(&snapshot)).await?;
    hub.stores.keep_parts(key, id, &parts);
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
