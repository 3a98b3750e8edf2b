//! Finds the key file that the password opens.
//!
//! A key is derived from the password by scrypt, with the parameters that the key file gives: whoever writes the file decides how much memory and time that takes. So
//! - they are bounded before anything is derived ([`KeyFile::parse`]), and few files are tried;
//! - a process derives one key at a time, and asks nothing of a store meanwhile: a slow store holds up nobody else's;
//! - it derives none twice, and waits longer each time if something new that it derives doesn't open the repository ([`known`]);
//! - one that has derived a key may tell it to another that has the password ([`derived`]): a mover that works for a moment needn't compute for half a second.

mod file;
mod known;

use crate::{
    RepositoryAccess, VaultError,
    backend::Store,
    cipher::{Cipher, CipherError},
    limits,
};
use file::{KeyFile, MAX_TOTAL_WORK_BYTES, Refusal, make};
use jiff::Timestamp;
use known::{Attempt, KNOWN};
use parking_lot::Mutex;
use rustic_core::repofile::MasterKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// Key files that are tried. Source: as many as restic tries.
const MAX_KEYS_TRIED: usize = 20;
/// How long the key files of a repository may take to be read.
const READ_WITHIN: Duration = Duration::from_mins(2);

/// Held while a key is derived.
static DERIVING: Mutex<()> = Mutex::new(());

/// SHA-256 of a key file.
type Digest = [u8; 32];

/// What opens a repository.
#[derive(Clone)]
pub(crate) struct OpenKey {
    pub(crate) master: MasterKey,
    pub(crate) cipher: Cipher,
    /// Key of the key file in the store, for example `keys/ab12…`.
    pub(crate) name: String,
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OpenKey {
    fn new(master: MasterKey, digest: &Digest) -> Option<Self> {
        let cipher = Cipher::of(&master)?;
        Some(Self { master, cipher, name: name(digest) })
    }
}

/// A key that a process has derived for a repository, for another that has the password as well. Who has it can read the repository: it goes where the password goes, and
/// nowhere else.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DerivedKey {
    /// Name of the key file that the password opens.
    file: String,
    master: MasterKey,
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKey").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The key that this process has derived for a repository, if it has opened it with this password lately.
pub fn derived(access: &RepositoryAccess) -> Option<DerivedKey> {
    let mut known = KNOWN.lock();
    let file = known.file(&access.location.to_string())?;
    let master = known.key(&Attempt::new(&access.password, &file))?;
    Some(DerivedKey { file: name(&file), master })
}

/// Takes over a key that another process has derived for the repository. It is tried as if this one had derived it: one that does not open the repository changes nothing.
pub fn take_over(access: &RepositoryAccess, key: &DerivedKey) {
    if let Some(file) = named(&key.file) {
        KNOWN.lock().keep(Attempt::new(&access.password, &file), Some(&key.master));
    }
}

/// One derivation at a time: the memory of one, however many repositories are opened or made at once.
fn alone<T>(derive: impl FnOnce() -> T) -> T {
    let _turn = DERIVING.lock();
    #[cfg(test)]
    tests::DERIVED.with(|derived| derived.set(derived.get() + 1));
    derive()
}

/// Opens the only key file of a repository with the password; none if that doesn't open it. Derives a key, if it was not derived before.
///
/// # Errors
/// `KeyWrong` if nothing new is derived for this place yet.
pub(crate) fn open_only(store: &Store, password: &str, body: &[u8]) -> Result<Option<OpenKey>, VaultError> {
    let Ok(file) = KeyFile::parse(body) else { return Ok(None) };
    let attempt = Attempt::new(password, &digest(body));
    if KNOWN.lock().is_wrong(&attempt) {
        return Ok(None);
    }
    if KNOWN.lock().key(&attempt).is_none() {
        not_before(store)?;
    }
    let key = open(password, &file, body);
    if key.is_none() {
        KNOWN.lock().failed(store.location(), Instant::now(), Timestamp::now());
    }
    Ok(key)
}

/// Refuses to derive something new for a place that waits.
fn not_before(store: &Store) -> Result<(), VaultError> {
    let waits = KNOWN.lock().waits(store.location(), Instant::now());
    waits.map_or(Ok(()), |failures| Err(VaultError::KeyWaits { location: store.location().to_owned(), until: failures.next_time }))
}

/// Opens a key file with the password; none if that doesn't open it. Derives a key, if it was not derived before.
fn open(password: &str, file: &KeyFile, body: &[u8]) -> Option<OpenKey> {
    let digest = digest(body);
    let attempt = Attempt::new(password, &digest);
    let known = KNOWN.lock().key(&attempt);
    let master = known.or_else(|| {
        let master = master_key(password, file);
        KNOWN.lock().keep(attempt, master.as_ref());
        master
    })?;
    OpenKey::new(master, &digest)
}

/// Makes a key file for a new master key, and gives both. Derives a key.
///
/// # Errors
/// If this machine gives no random numbers.
pub(crate) fn make_for(master: MasterKey, password: &str) -> Result<(Vec<u8>, Option<OpenKey>), VaultError> {
    let body = make(&master, password)?;
    let digest = digest(&body);
    KNOWN.lock().keep(Attempt::new(password, &digest), Some(&master));
    let key = OpenKey::new(master, &digest);
    Ok((body, key))
}

/// The master key in a key file; none if the password doesn't open it.
fn master_key(password: &str, file: &KeyFile) -> Option<MasterKey> {
    let derived = alone(|| file.derive(password))?;
    let plain = Cipher::new(&derived).decrypt(file.data()).ok()?;
    serde_json::from_slice(&plain).ok()
}

/// Finds the key that the password and `config` belong to. `config` is the content of the repository's file of that name.
///
/// # Errors
/// `KeyWrong` if the password opens none of the keys; `KeyRefused` if none is left because of what they ask for; `Damaged` if a key file has changed, if none is there,
/// or if `config` belongs to none of them.
pub(crate) fn find(store: &Store, password: &str, config: &[u8]) -> Result<OpenKey, VaultError> {
    let began = Instant::now();
    let mut listed: Vec<Digest> = store.run(|| store.store().list("keys/"))?.iter().filter_map(|name| named(name)).collect();
    listed.sort_unstable();
    let opens = |key: &OpenKey| key.cipher.open(config, limits::unpacked_bytes("config")).map(drop);
    // One that is known to open it. Its file is read nevertheless: whoever has no memory of the key needs it.
    for digest in &listed {
        let known = KNOWN.lock().key(&Attempt::new(password, digest)).and_then(|master| OpenKey::new(master, digest));
        if let Some(key) = known.filter(|key| opens(key).is_ok())
            && matches!(read(store, digest)?, Body::Intact(_))
        {
            KNOWN.lock().opens_by(store.location(), digest);
            return Ok(key);
        }
    }
    let mut tried = Tried { listed: listed.len(), ..Tried::default() };
    let mut candidates = Vec::new();
    for digest in listed.into_iter().take(MAX_KEYS_TRIED) {
        if began.elapsed() > READ_WITHIN {
            return Err(VaultError::Other {
                what: format!("open {}", store.location()),
                message: format!("its key files could not be read within {} seconds: the store answers too slowly", READ_WITHIN.as_secs()),
            });
        }
        match read(store, &digest)? {
            Body::Intact(body) => match KeyFile::parse(&body) {
                Ok(file) => candidates.push((digest, file, body)),
                Err(Refusal(what)) => tried.refused(&digest, what),
            },
            Body::Refused(what) => tried.refused(&digest, what),
            Body::Changed => drop(tried.damaged.get_or_insert(name(&digest))),
            Body::Gone => {}
        }
    }
    // Those that cost least first: a costly one is only derived if no other opens the repository.
    candidates.sort_by_key(|(_, file, _)| file.work_bytes());
    let (mut work, mut derived) = (0, false);
    for (digest, file, body) in candidates {
        let attempt = Attempt::new(password, &digest);
        let (is_wrong, is_known) = {
            let mut known = KNOWN.lock();
            (known.is_wrong(&attempt), known.key(&attempt).is_some())
        };
        if is_wrong {
            continue;
        }
        if !is_known {
            work += file.work_bytes();
            if work > MAX_TOTAL_WORK_BYTES {
                tried
                    .refused(&digest, format!("the key files before it take as much work as is spent on one opening ({})", limits::size(MAX_TOTAL_WORK_BYTES)));
                break;
            }
            // The files of one opening are tried together.
            if !derived {
                not_before(store)?;
            }
            derived = true;
        }
        let Some(key) = open(password, &file, &body) else { continue };
        match opens(&key) {
            Ok(()) => {
                KNOWN.lock().opened(store.location(), &digest);
                return Ok(key);
            }
            Err(error) => tried.config = Some(error),
        }
    }
    if derived {
        KNOWN.lock().failed(store.location(), Instant::now(), Timestamp::now());
    }
    Err(tried.error(store.location()))
}

/// A key file as the store gives it.
enum Body {
    /// Its digest is its name.
    Intact(Vec<u8>),
    Changed,
    /// Removed since it was listed.
    Gone,
    /// It is too large.
    Refused(String),
}

fn read(store: &Store, file: &Digest) -> Result<Body, VaultError> {
    let name = name(file);
    match store.run(|| store.store().get(&name)) {
        Ok(body) if digest(&body) == *file => Ok(Body::Intact(body)),
        Ok(_) => Ok(Body::Changed),
        Err(error) if error.is_missing() => Ok(Body::Gone),
        Err(error) if error.is_too_large() => Ok(Body::Refused(error.what().to_owned())),
        Err(error) => Err(error.into()),
    }
}

fn digest(body: &[u8]) -> Digest {
    Sha256::digest(body).into()
}

/// Where a key file with that digest is.
fn name(digest: &Digest) -> String {
    format!("keys/{}", hex::encode(digest))
}

/// The digest that an object is named by; none if it is not named like a key file.
fn named(name: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    hex::decode_to_slice(name.strip_prefix("keys/")?, &mut digest).ok()?;
    Some(digest)
}

/// Why no key file opens the repository.
#[derive(Debug, Default)]
struct Tried {
    listed: usize,
    damaged: Option<String>,
    refused: Option<(String, String)>,
    /// The password opened a key, and that did not open config.
    config: Option<CipherError>,
}

impl Tried {
    fn refused(&mut self, digest: &Digest, what: String) {
        let name = name(digest);
        tracing::warn!("key file {name} is passed over: {what}");
        self.refused.get_or_insert((name, what));
    }

    fn error(self, location: &str) -> VaultError {
        let location = location.to_owned();
        match self {
            Self { config: Some(CipherError::NotOurs), .. } => {
                VaultError::Damaged { object: "config".into(), what: "none of the repository's keys that the password opens can decrypt it".into() }
            }
            Self { config: Some(error), .. } => VaultError::Damaged { object: "config".into(), what: error.to_string() },
            Self { damaged: Some(object), .. } => VaultError::Damaged { object, what: "its content has changed: its digest is not its name".into() },
            Self { listed: 0, .. } => VaultError::Damaged { object: "keys/".into(), what: "no key is there, so nobody can open the repository".into() },
            Self { refused: Some((key, what)), .. } => VaultError::KeyRefused { location, key, what },
            Self { listed, .. } => VaultError::KeyWrong { location, tried: listed.min(MAX_KEYS_TRIED), listed },
        }
    }
}

#[cfg(test)]
mod tests;
