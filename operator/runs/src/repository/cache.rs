//! Stores and repositories that stay open, within bounds: how many there are, and how much is in them, is decided by the districts.

use crate::folders::FolderRoot;
use p861_vault::{AsyncStore, Credentials, Location, Repository, RepositoryAccess, StoreError, VaultError};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Namespace and name of a BackupRepository.
pub(super) type RepositoryKey = (String, String);

/// Bytes of the parts of snapshots that are kept in memory, of one repository, and repositories of which some are. Parts of a snapshot that take more than
/// [`MAX_PARTS_BYTES`] are read each time.
const MAX_CACHED_BYTES: usize = 256 << 10;
const MAX_REPOSITORIES_OF_PARTS: usize = 128;
const MAX_PARTS_BYTES: usize = 16 << 10;
/// How long an open store is reused before its BackupRepository and Secrets are read again.
const STORE_TTL: Duration = Duration::from_secs(10);
/// How long a store stays open after its BackupRepository or a Secret of it was deleted: for runs that have begun, whose journals are in it.
const STORE_KEPT: Duration = Duration::from_hours(24);
/// Most stores that stay open.
const MAX_STORES: usize = 256;
/// How long a repository that nobody uses stays open.
const REPOSITORY_KEPT: Duration = Duration::from_hours(1);
/// Most repositories that stay open; the one that was used longest ago goes first. To open it again derives no key.
const MAX_REPOSITORIES: usize = 128;
/// Most bytes that open repositories keep of their snapshots, all together; the one with most goes first, so that nobody's is driven out by another's that is large.
const MAX_HELD_BYTES: usize = 64 << 20;

/// An open repository. One use at a time: its store remembers one error.
#[derive(Clone)]
pub(super) struct SharedRepository(Arc<Shared>);

struct Shared {
    repository: Mutex<Repository>,
    /// Bytes that it held after it was last used.
    held: AtomicUsize,
}

impl SharedRepository {
    pub(super) fn new(repository: Repository) -> Self {
        Self(Arc::new(Shared { repository: Mutex::new(repository), held: AtomicUsize::new(0) }))
    }

    /// Uses it. Blocks while another does.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Repository) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let repository = self.0.repository.lock();
        let done = work(&repository);
        self.0.held.store(repository.held_bytes(), Ordering::Relaxed);
        done
    }
}

/// A store that is open.
struct OpenStore {
    /// When its BackupRepository and Secrets were last read.
    read: Instant,
    location: Location,
    credentials: Option<Credentials>,
    store: AsyncStore,
}

/// A repository that is open.
struct OpenRepository {
    used: Instant,
    /// What it was opened with.
    access: RepositoryAccess,
    repository: SharedRepository,
}

/// The parts of a repository's snapshots, by the snapshot's id.
struct PartsOf {
    used: Instant,
    /// What they take.
    bytes: usize,
    parts: HashMap<String, Vec<String>>,
}

/// What was read of repositories.
#[derive(Clone, Default)]
pub struct StoreCache {
    /// Passes ask for stores twice a second.
    stores: Arc<Mutex<HashMap<RepositoryKey, OpenStore>>>,
    /// The parts of snapshots, by repository and the snapshot's id: plans are looked at all the time. Another district's repository may hold something else under that id.
    parts: Arc<Mutex<HashMap<RepositoryKey, PartsOf>>>,
    /// Repositories with what was read of their snapshots. So a look at one reads only snapshots that are new: what it costs does not grow with their number.
    repositories: Arc<Mutex<HashMap<RepositoryKey, OpenRepository>>>,
    /// Where repositories in folders may be.
    pub(super) folders: FolderRoot,
}

impl StoreCache {
    /// A cache that knows nothing yet. Repositories in folders are opened below this folder.
    pub fn with_folders(folders: FolderRoot) -> Self {
        Self { folders, ..Self::default() }
    }

    /// The store, if its BackupRepository was read lately.
    pub(super) fn recent_store(&self, key: &RepositoryKey) -> Option<AsyncStore> {
        self.store_within(key, STORE_TTL)
    }

    /// The store as it was last open.
    pub(super) fn last_store(&self, key: &RepositoryKey) -> Option<AsyncStore> {
        self.store_within(key, STORE_KEPT)
    }

    fn store_within(&self, key: &RepositoryKey, age: Duration) -> Option<AsyncStore> {
        self.stores.lock().get(key).filter(|open| open.read.elapsed() < age).map(|open| open.store.clone())
    }

    /// The store for this location and these credentials: the one that is open, with its connections, unless they have changed.
    pub(super) async fn store<'a, F>(
        &self,
        key: RepositoryKey,
        location: &'a Location,
        credentials: Option<&'a Credentials>,
        open: impl FnOnce(&'a Location, Option<&'a Credentials>) -> F,
    ) -> Result<AsyncStore, StoreError>
    where
        F: Future<Output = Result<AsyncStore, StoreError>>,
    {
        if let Some(known) = self.stores.lock().get_mut(&key).filter(|known| known.location == *location && known.credentials.as_ref() == credentials) {
            known.read = Instant::now();
            return Ok(known.store.clone());
        }
        let store = open(location, credentials).await?;
        let opened = OpenStore { read: Instant::now(), location: location.clone(), credentials: credentials.cloned(), store: store.clone() };
        let mut stores = self.stores.lock();
        stores.retain(|_, open| open.read.elapsed() < STORE_KEPT);
        stores.insert(key, opened);
        remove_first(&mut stores, MAX_STORES, |open| open.read);
        Ok(store)
    }

    /// The open repository, if it was opened with this.
    pub(super) fn repository(&self, key: &RepositoryKey, access: &RepositoryAccess) -> Option<SharedRepository> {
        let mut repositories = self.repositories.lock();
        let open = repositories.get_mut(key)?;
        open.used = Instant::now();
        let with = &open.access;
        let same = with.location == access.location && with.credentials == access.credentials && with.password == access.password;
        (same && access.id.as_ref().is_none_or(|id| Some(id) == with.id.as_ref())).then(|| open.repository.clone())
    }

    pub(super) fn keep_repository(&self, key: RepositoryKey, access: RepositoryAccess, repository: &SharedRepository) {
        let open = OpenRepository { used: Instant::now(), access, repository: repository.clone() };
        self.repositories.lock().insert(key, open);
        self.shrink();
    }

    /// Lets go of repositories until those that stay open are within their bounds. Whoever uses one keeps it until then.
    pub(super) fn shrink(&self) {
        let mut repositories = self.repositories.lock();
        repositories.retain(|_, open| open.used.elapsed() < REPOSITORY_KEPT);
        remove_first(&mut repositories, MAX_REPOSITORIES, |open| open.used);
        let held = |open: &OpenRepository| open.repository.0.held.load(Ordering::Relaxed);
        while repositories.values().map(held).sum::<usize>() > MAX_HELD_BYTES
            && let Some(largest) = repositories.iter().max_by_key(|(_, open)| held(open)).map(|(key, _)| key.clone())
        {
            tracing::warn!(
                namespace = largest.0,
                repository = largest.1,
                "what is kept of the snapshots of all repositories is too much; this one's are read again"
            );
            repositories.remove(&largest);
        }
    }

    /// The parts of a snapshot of a repository.
    pub(super) fn parts(&self, key: &RepositoryKey, snapshot: &str) -> Option<Vec<String>> {
        let mut known = self.parts.lock();
        let of_repository = known.get_mut(key)?;
        of_repository.used = Instant::now();
        of_repository.parts.get(snapshot).cloned()
    }

    pub(super) fn keep_parts(&self, key: RepositoryKey, snapshot: String, parts: &[String]) {
        let bytes = snapshot.len() + parts.iter().map(String::len).sum::<usize>();
        if bytes > MAX_PARTS_BYTES {
            return;
        }
        let mut known = self.parts.lock();
        let of_repository = known.entry(key).or_insert_with(|| PartsOf { used: Instant::now(), bytes: 0, parts: HashMap::new() });
        of_repository.used = Instant::now();
        if of_repository.bytes + bytes > MAX_CACHED_BYTES {
            (of_repository.bytes, of_repository.parts) = (0, HashMap::new());
        }
        of_repository.bytes += bytes;
        of_repository.parts.insert(snapshot, parts.to_vec());
        remove_first(&mut known, MAX_REPOSITORIES_OF_PARTS, |of_repository| of_repository.used);
    }
}

/// Removes what comes first in an order until no more than `most` are left.
fn remove_first<T, O: Ord>(map: &mut HashMap<RepositoryKey, T>, most: usize, order: impl Fn(&T) -> O) {
    while map.len() > most
        && let Some(first) = map.iter().min_by_key(|(_, value)| order(value)).map(|(key, _)| key.clone())
    {
        map.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn access(place: &Path) -> RepositoryAccess {
        RepositoryAccess { location: Location::Folder { path: place.to_owned() }, credentials: None, password: "p".into(), id: None }
    }

    fn key(number: usize) -> RepositoryKey {
        ("shinan".to_owned(), format!("repository-{number:03}"))
    }

    #[test]
    fn fault_e10_open_repositories_are_bounded_in_number_and_memory_and_the_small_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let access = access(folder.path());
        Repository::open_or_init(&access).unwrap();
        let cache = StoreCache::default();
        let open = || SharedRepository::new(Repository::open(&access).unwrap());
        for number in 0..MAX_REPOSITORIES + 3 {
            cache.keep_repository(key(number), access.clone(), &open());
        }
        assert_eq!(cache.repositories.lock().len(), MAX_REPOSITORIES);
        assert!(cache.repository(&key(2), &access).is_none() && cache.repository(&key(3), &access).is_some());

        let hold = |number: usize, bytes: usize| cache.repository(&key(number), &access).unwrap().0.held.store(bytes, Ordering::Relaxed);
        (3..13).for_each(|number| hold(number, 4 << 20));
        hold(13, 20 << 20);
        cache.shrink();
        assert!(cache.repository(&key(13), &access).is_some(), "60 MiB are allowed");
        hold(14, 8 << 20);
        cache.shrink();
        assert!(cache.repository(&key(13), &access).is_none(), "the largest goes");
        assert!((3..13).chain([14]).all(|number| cache.repository(&key(number), &access).is_some()));
    }

    #[test]
    fn fault_e10_a_repository_that_is_used_says_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let repository = SharedRepository::new(Repository::open_or_init(&access(folder.path())).unwrap());
        repository.0.held.store(7, Ordering::Relaxed);
        repository.with(Repository::count_snapshots).unwrap();
        assert_eq!(repository.0.held.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn fault_e10_a_store_stays_open_as_long_as_what_it_was_opened_with_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let cache = StoreCache::default();
        let location = Location::Folder { path: folder.path().to_owned() };
        let keys = |secret: &str| Credentials { access_key_id: "a".into(), secret_access_key: secret.into() };
        let opened = AtomicUsize::new(0);
        let open = async |credentials: &Credentials| {
            let count = |location, credentials| {
                opened.fetch_add(1, Ordering::Relaxed);
                AsyncStore::new(location, credentials)
            };
            cache.store(key(1), &location, Some(credentials), count).await.unwrap();
            opened.load(Ordering::Relaxed)
        };
        let (one, two) = (keys("one"), keys("two"));
        assert_eq!((open(&one).await, open(&one).await, open(&two).await, open(&two).await), (1, 1, 2, 2));
        assert!(cache.recent_store(&key(1)).is_some() && cache.last_store(&key(2)).is_none());
    }

    #[test]
    fn fault_e10_the_parts_of_a_snapshot_with_a_million_are_not_kept() {
        let cache = StoreCache::default();
        cache.keep_parts(key(1), "few".into(), &["objects".into()]);
        cache.keep_parts(key(1), "many".into(), &vec!["x".repeat(100); 10_000]);
        assert_eq!((cache.parts(&key(1), "few").map(|parts| parts.len()), cache.parts(&key(1), "many")), (Some(1), None));
    }

    #[test]
    fn fault_e34_what_a_repository_holds_under_an_id_says_nothing_of_another_repository() {
        let (cache, mine, theirs) = (StoreCache::default(), ("licang".to_owned(), "main".to_owned()), ("shinan".to_owned(), "main".to_owned()));
        cache.keep_parts(mine.clone(), "5a1f".into(), &["objects".into(), "volumes/db".into()]);
        cache.keep_parts(theirs.clone(), "5a1f".into(), &["objects".into()]);
        (0..2_000).for_each(|number| cache.keep_parts(theirs.clone(), format!("{number}"), &["x".repeat(1_000)]));
        assert_eq!(cache.parts(&mine, "5a1f").map(|parts| parts.len()), Some(2));
        assert!(cache.parts(&theirs, "1999").is_some() && cache.parts(&theirs, "5a1f").is_none());
        (0..MAX_REPOSITORIES_OF_PARTS * 2).for_each(|number| cache.keep_parts(key(number), "a".into(), &["objects".into()]));
        assert!(cache.parts.lock().len() <= MAX_REPOSITORIES_OF_PARTS);
    }
}
