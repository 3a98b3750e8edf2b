//! What the suites share: an odd tree, how it is described, and a backup of it.

pub mod noise;
pub mod seaweed;

use p861_vault::{AsyncStore, Existing, FolderRestore, PartSpec, Repository, SealSpec, Sealed};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};

pub fn spec<'a>(run: &'a str, part: &'a str) -> PartSpec<'a> {
    PartSpec { run, part, host: "primary", parent: None }
}

/// All of a part.
pub fn whole<'a>(snapshot: &'a str, part: &'a str, volume: &'a Path, existing: Existing<'a>) -> FolderRestore<'a> {
    FolderRestore { snapshot, part, volume, prefix: None, paths: &[], existing }
}

pub fn seal(repository: &Repository, run: &str, parts: &[&str], sha256: Option<&str>) -> Sealed {
    let inventory = json!({"parts": {"save/a/stream/db": {"part": "streams/db", "sha256": sha256}}});
    repository.seal(&seal_spec(run, parts, inventory), &|| Ok(())).unwrap()
}

pub fn seal_spec(run: &str, parts: &[&str], inventory: serde_json::Value) -> SealSpec {
    SealSpec {
        run: run.into(),
        host: "primary".into(),
        time: "2026-11-15T00:50:03Z".parse().unwrap(),
        tags: vec!["application=approval".into()],
        parts: parts.iter().map(ToString::to_string).collect(),
        inventory,
        label: "approval".into(),
    }
}

/// A link whose target is no UTF-8: restic learned these after 0.14.
pub const LINK_TO_BYTES: &str = "link to bytes";
/// A socket: restic stores it and does not make it anew.
pub const SOCKET: &str = "socket";

/// A tree with everything that file systems can hold and backups like to lose.
pub fn odd_tree(root: &Path) {
    fs::create_dir_all(root.join("empty folder/deeper")).unwrap();
    fs::write(root.join("plain"), b"hello").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not-utf8-\xff\xfe")), b"bytes").unwrap();
    fs::write(root.join("中文文件.txt"), "市南区").unwrap();
    fs::write(root.join("private"), b"0600").unwrap();
    fs::set_permissions(root.join("private"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(root.join("set-uid"), b"4755").unwrap();
    fs::set_permissions(root.join("set-uid"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(root.join("plain"), root.join("hard-link")).unwrap();
    symlink("plain", root.join("symlink")).unwrap();
    symlink("/nowhere/at/all", root.join("dangling")).unwrap();
    symlink(OsStr::from_bytes(b"to-\xff-bytes"), root.join(LINK_TO_BYTES)).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    fs::write(root.join("new\nline and \"quotes\" \\"), b"name").unwrap();
    fs::create_dir(root.join("sticky")).unwrap();
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o1777)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o640), 0).unwrap();
    UnixListener::bind(root.join(SOCKET)).unwrap();
    let mut sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.write_all(b"begin").unwrap();
    sparse.set_len(64 << 20).unwrap();
    xattr::set(root.join("plain"), "user.p861", b"attribute").unwrap();
    xattr::set(root.join("empty folder"), "user.empty", b"").unwrap();
    xattr::set(root, "user.root", b"\x00\xff").unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(root.join("private"), Some(1234), Some(5678)).unwrap();
        std::os::unix::fs::chown(root, Some(999), Some(999)).unwrap();
        fs::set_permissions(root, fs::Permissions::from_mode(0o750)).unwrap();
        std::os::unix::fs::lchown(root.join("dangling"), Some(1000), Some(1000)).unwrap();
        // CAP_NET_BIND_SERVICE, permitted and effective: version 2, little endian. Source: linux/capability.h.
        xattr::set(root.join("set-uid"), "security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    }
    fs::File::open(root.join("中文文件.txt")).unwrap().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
}

/// Everything about a tree that must come back, by path.
pub fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(root: &Path, path: &Path, found: &mut BTreeMap<PathBuf, String>) {
        let meta = fs::symlink_metadata(path).unwrap();
        let content = if meta.is_file() {
            hex::encode(Sha256::digest(fs::read(path).unwrap()))
        } else {
            fs::read_link(path).map(|link| link.as_os_str().as_encoded_bytes().escape_ascii().to_string()).unwrap_or_default()
        };
        let attributes: BTreeMap<_, _> = xattr::list(path).unwrap().map(|name| (name.clone(), xattr::get(path, &name).unwrap())).collect();
        let time = (meta.mtime(), meta.mtime_nsec());
        found.insert(
            path.strip_prefix(root).unwrap().to_owned(),
            format!("{:o} {}:{} {time:?} {content} {attributes:?} {}", meta.mode(), meta.uid(), meta.gid(), if meta.is_dir() { 0 } else { meta.nlink() }),
        );
        if meta.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(root, &entry.unwrap().path(), found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// A repository as stock restic is told of it.
pub struct Restic {
    environment: Vec<(&'static str, String)>,
}

impl Restic {
    pub fn new(repository: &str, password: &str, more: &[(&'static str, &str)]) -> Self {
        let all = [("RESTIC_REPOSITORY", repository), ("RESTIC_PASSWORD", password)];
        Self { environment: all.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect() }
    }

    /// Runs restic and gives what it printed, or fails with it.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("restic")
            .args(arguments)
            .arg("--no-cache")
            .envs(self.environment.iter().cloned())
            .output()
            .expect("restic is installed (Debian: apt-get install restic)");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "restic {arguments:?}: {text}");
        text
    }

    /// The paths of the only snapshot.
    pub fn paths(&self) -> Vec<String> {
        let text = self.run(&["snapshots", "--json"]);
        let snapshots: serde_json::Value = serde_json::from_str(&text[..=text.rfind(']').unwrap()]).unwrap();
        serde_json::from_value(snapshots[0]["paths"].clone()).unwrap()
    }

    /// Lists, checks and restores a snapshot that has [`odd_tree`] as `volumes/attachments`, and compares it with its source.
    pub fn lists_checks_and_restores(&self, snapshot: &str, source: &Path, target: &Path) {
        assert!(self.run(&["snapshots"]).contains(&snapshot[..8]));
        self.run(&["check", "--read-data"]);
        self.run(&["restore", snapshot, "--target", target.to_str().unwrap()]);
        let (mut restored, mut wanted) = (describe(&target.join("volumes/attachments")), describe(source));
        for known in [LINK_TO_BYTES, SOCKET] {
            restored.remove(Path::new(known));
            wanted.remove(Path::new(known));
        }
        for (path, wanted) in &wanted {
            assert_eq!(restored.get(path), Some(wanted), "{}", path.display());
        }
        assert_eq!(restored.len(), wanted.len());
    }
}

/// All clients create the same object at once: one must succeed, the others must be told that it is there.
pub async fn race_for_creation(clients: &[AsyncStore], rounds: usize) {
    for round in 0..rounds {
        let key = format!("race/{round}");
        let mut racers = tokio::task::JoinSet::new();
        for (number, client) in clients.iter().cloned().enumerate() {
            let key = key.clone();
            racers.spawn(async move { (number, client.put_if_absent(&key, format!("client {number}").into_bytes()).await) });
        }
        let results = racers.join_all().await;
        let winners: Vec<usize> = results.iter().filter(|(_, result)| result.is_ok()).map(|(number, _)| *number).collect();
        assert_eq!(winners.len(), 1, "round {round}: {results:?}");
        assert!(
            results.iter().filter_map(|(_, result)| result.as_ref().err()).all(|error| error.is_already_exists() && error.reason() == "AlreadyExists"),
            "{results:?}"
        );
        assert_eq!(clients[0].get(&key).await.unwrap(), format!("client {}", winners[0]).into_bytes());
    }
}

/// All clients count up in the same object, each reading it and writing it only if it is as it was read.
pub async fn race_for_increments(clients: &[AsyncStore], each: usize) {
    clients[0].put("counter", b"0".to_vec()).await.unwrap();
    let mut racers = tokio::task::JoinSet::new();
    for client in clients {
        let client = client.clone();
        racers.spawn(async move {
            for _ in 0..each {
                loop {
                    let (body, tag) = client.get_with_tag("counter").await.unwrap();
                    let next = String::from_utf8(body).unwrap().parse::<usize>().unwrap() + 1;
                    match client.put_if_match("counter", next.to_string().into_bytes(), &tag).await {
                        Ok(_) => break,
                        Err(error) => assert!(error.is_precondition_failed(), "{error}"),
                    }
                }
            }
        });
    }
    racers.join_all().await;
    assert_eq!(clients[0].get("counter").await.unwrap(), (clients.len() * each).to_string().into_bytes());
}
