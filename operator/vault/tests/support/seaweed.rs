//! A real S3 server for a suite, and a slow line to it.

use p861_testbed::{
    components,
    report::Report,
    services::{Spec, s3},
};
use p861_vault::{AsyncStore, Credentials, Location, RepositoryAccess};
use parking_lot::Mutex;
use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU8, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_mins(1);

/// A process that is gone when this value is, or when this test process is. A thread of its own starts it, since the kernel ends a child with the thread that
/// started it.
struct Process {
    stop: mpsc::Sender<()>,
    keeper: Option<JoinHandle<()>>,
}

impl Process {
    fn start(spec: &Spec) -> Self {
        let (stop, stopped) = mpsc::channel();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&spec.program).args(&spec.args).envs(spec.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = std::thread::spawn(move || {
            let mut child = command.spawn().unwrap();
            let _ = stopped.recv();
            child.kill().unwrap();
            child.wait().unwrap();
        });
        Self { stop, keeper: Some(keeper) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        let _ = self.keeper.take().map(JoinHandle::join);
    }
}

/// SeaweedFS on an address of its own.
pub struct Seaweed {
    process: Mutex<Option<Process>>,
    spec: Spec,
    address: IpAddr,
    admin: s3::Identity,
    other: s3::Identity,
    buckets: AtomicUsize,
    _folder: TempDir,
}

impl Seaweed {
    pub fn start() -> Self {
        static WEED: OnceLock<std::path::PathBuf> = OnceLock::new();
        static SERVERS: AtomicU8 = AtomicU8::new(0);
        let weed = WEED.get_or_init(|| components::ensure(&Report::stderr()).unwrap().weed);
        let [low, high, ..] = std::process::id().to_le_bytes();
        let address = Ipv4Addr::new(127, 110 + SERVERS.fetch_add(1, Ordering::Relaxed), high, low.clamp(1, 254)).into();
        let folder = tempfile::tempdir().unwrap();
        let (admin, other) = (s3::Identity::admin("admin").unwrap(), s3::Identity::of_bucket("other", "other").unwrap());
        let spec = s3::spec(weed, address, folder.path(), &admin, std::slice::from_ref(&other));
        spec.prepare().unwrap();
        let server = Self { process: Mutex::default(), spec, address, admin, other, buckets: AtomicUsize::new(0), _folder: folder };
        server.up();
        server
    }

    /// One that tests share; it goes with the last of them.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Seaweed>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock();
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    pub fn up(&self) {
        *self.process.lock() = Some(Process::start(&self.spec));
        self.spec.wait_ready(LIMIT).unwrap();
    }

    /// Kills it; its data stays.
    pub fn down(&self) {
        self.process.lock().take();
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.address, s3::PORT)
    }

    /// The way into a new bucket.
    pub fn access(&self) -> RepositoryAccess {
        let bucket = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        let location =
            Location::S3 { endpoint: self.endpoint(), region: s3::REGION.into(), bucket, prefix: "districts/shinan".into(), virtual_host: false, ca: None };
        RepositoryAccess { location, credentials: Some(self.credentials()), password: "correct horse".into(), id: None }
    }

    pub fn credentials(&self) -> Credentials {
        Credentials { access_key_id: self.admin.access_key.clone(), secret_access_key: self.admin.secret_key.clone() }
    }

    /// Of one who may use another bucket.
    pub fn other_credentials(&self) -> Credentials {
        Credentials { access_key_id: self.other.access_key.clone(), secret_access_key: self.other.secret_key.clone() }
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        self.down();
        s3::leftovers(self.address).iter().filter(|path| path.exists()).for_each(|path| fs::remove_file(path).unwrap());
    }
}

/// The bucket of an access.
pub fn bucket(access: &RepositoryAccess) -> &str {
    match &access.location {
        Location::S3 { bucket, .. } => bucket,
        Location::Folder { .. } => panic!("it is a folder"),
    }
}

/// The same access through another endpoint.
pub fn through(access: &RepositoryAccess, proxy: &str) -> RepositoryAccess {
    let mut access = access.clone();
    if let Location::S3 { endpoint, .. } = &mut access.location {
        proxy.clone_into(endpoint);
    }
    access
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

pub fn store(access: &RepositoryAccess) -> AsyncStore {
    runtime().block_on(AsyncStore::new(&access.location, access.credentials.as_ref())).unwrap()
}

/// Waits until a repository's objects can be read: a server that was killed lists its buckets before it finds what is in them.
pub fn until_read(access: &RepositoryAccess) {
    let (store, runtime, begin) = (store(access), runtime(), Instant::now());
    while let Err(error) = runtime.block_on(store.get("config")) {
        assert!(begin.elapsed() < LIMIT, "its objects can't be read after {LIMIT:?}: {error}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A line to the server that carries so many bytes per second in each connection and direction. It ends with the test process.
pub fn slow_line(server: &Seaweed, bytes_per_second: usize) -> String {
    fn carry(mut from: TcpStream, mut to: TcpStream, bytes_per_second: usize) {
        // A twentieth of a second's worth at a time.
        let mut piece = vec![0; (bytes_per_second / 20).max(1)];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(u64::try_from(read * 1000 / bytes_per_second).unwrap()));
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let address = (server.address, s3::PORT);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(address).unwrap());
            let (client_back, server_back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || carry(client, server, bytes_per_second));
            std::thread::spawn(move || carry(server_back, client_back, bytes_per_second));
        }
    });
    endpoint
}
