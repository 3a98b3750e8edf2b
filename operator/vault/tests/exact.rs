//! A restored volume is what the backup has, and nothing else; what is kept is kept; nothing outside is touched.

use crate::support::{describe, odd_tree, seal, spec, whole};
use p861_vault::{Existing, FolderComparison, FolderRestore, Location, Repository, RepositoryAccess, VaultError};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tempfile::TempDir;

struct Fixture {
    folder: TempDir,
    repository: Repository,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let access = RepositoryAccess {
            location: Location::Folder { path: folder.path().join("repository") },
            credentials: None,
            password: "correct horse".into(),
            id: None,
        };
        Self { repository: Repository::open_or_init(&access).unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A snapshot of a folder, as `volumes/x`.
    fn saved(&self, run: &str, source: &Path) -> String {
        self.repository.write_folder(&spec(run, "volumes/x"), source, &|_| {}).unwrap();
        seal(&self.repository, run, &["volumes/x"], None).snapshot
    }

    fn restore(&self, snapshot: &str, volume: &Path, existing: Existing<'_>) -> Result<p861_vault::RestoreResult, VaultError> {
        self.repository.restore_folder(&whole(snapshot, "volumes/x", volume, existing), &|_| {})
    }

    fn compare(&self, snapshot: &str, volume: &Path, existing: Existing<'_>) -> FolderComparison {
        self.repository.compare_folder(&whole(snapshot, "volumes/x", volume, existing), &|_| {}).unwrap()
    }
}

/// Something that a file system can hold.
#[derive(Clone, Copy, Debug)]
enum Thing {
    File(u16),
    Folder,
    Link(u8),
    Pipe,
    Socket,
    /// Another name of a file that is there.
    Name(u8),
    Mode(u16),
}

type Put = (Vec<u8>, Thing);

const NAMES: [&[u8]; 5] = [b"a", b"b", b"c \n", b"not-utf8-\xff", "\u{6587}".as_bytes()];

fn path_of(names: &[u8], of: &[&[u8]]) -> PathBuf {
    names.iter().map(|name| OsStr::from_bytes(of[usize::from(*name) % of.len()])).collect()
}

/// Puts things into a folder. One that can't be there, as a file below a file, is left out.
fn put(root: &Path, all: &[Put], of: &[&[u8]]) {
    fs::create_dir_all(root).unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for (names, thing) in all {
        let path = root.join(path_of(names, of));
        // Not through a link: it may lead out of the folder.
        let below: Vec<&Path> = path.ancestors().skip(1).take_while(|above| *above != root).collect();
        if below.iter().any(|above| fs::symlink_metadata(above).is_ok_and(|there| !there.is_dir())) || fs::create_dir_all(path.parent().unwrap()).is_err() {
            continue;
        }
        let there = fs::symlink_metadata(&path).ok();
        match thing {
            Thing::Mode(mode) if there.as_ref().is_some_and(|there| !there.is_symlink()) => {
                fs::set_permissions(&path, fs::Permissions::from_mode(u32::from(mode & 0o777) | 0o700)).unwrap();
            }
            _ if there.is_some() => {}
            Thing::File(size) => {
                fs::write(&path, vec![u8::try_from(size % 251).unwrap(); usize::from(*size)]).unwrap();
                files.push(path);
            }
            Thing::Folder => fs::create_dir(&path).unwrap(),
            Thing::Link(to) => symlink(path_of(&[*to], &[b"a", b"/etc", b"..", b"dangling"]), &path).unwrap(),
            Thing::Pipe => mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0).unwrap(),
            Thing::Socket => drop(UnixListener::bind(&path)),
            Thing::Name(of) => {
                if let Some(file) = files.get(usize::from(*of) % files.len().max(1)) {
                    fs::hard_link(file, &path).unwrap();
                }
            }
            Thing::Mode(_) => {}
        }
    }
}

fn things() -> impl Strategy<Value = Vec<Put>> {
    let thing = prop_oneof![
        4 => any::<u16>().prop_map(Thing::File),
        2 => Just(Thing::Folder),
        1 => any::<u8>().prop_map(Thing::Link),
        1 => Just(Thing::Pipe),
        1 => Just(Thing::Socket),
        2 => any::<u8>().prop_map(Thing::Name),
        1 => any::<u16>().prop_map(Thing::Mode),
    ];
    prop::collection::vec((prop::collection::vec(any::<u8>(), 1..4), thing), 0..24)
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 32, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() }
}

#[test]
fn fault_c4_a_volume_that_is_restored_exactly_is_what_the_backup_has_whatever_was_in_it() {
    let fixture = Fixture::new();
    let number = std::cell::Cell::new(0);
    proptest!(cases(), |(backup in things(), left in things(), garbage in things())| {
        number.set(number.get() + 1);
        let case = tempfile::tempdir().unwrap();
        let (source, target) = (case.path().join("source"), case.path().join("target"));
        put(&source, &backup, &NAMES);
        let snapshot = fixture.saved(&format!("run-{}", number.get()), &source);
        // Some of what is saved, at its place, with other things around and in between.
        put(&target, &left, &NAMES);
        put(&target, &backup[..backup.len() / 2], &NAMES);
        put(&target, &garbage, &NAMES);
        let foreseen = fixture.compare(&snapshot, &target, Existing::Exact);
        let restored = fixture.restore(&snapshot, &target, Existing::Exact).unwrap();
        prop_assert_eq!(describe(&target), describe(&source));
        prop_assert_eq!(foreseen.removed, restored.removed, "a preview counts what is removed");
        prop_assert_eq!(fixture.compare(&snapshot, &target, Existing::Exact), FolderComparison::default());
        prop_assert_eq!(fixture.restore(&snapshot, &target, Existing::Exact).unwrap().removed, 0, "done again it does nothing");
    });
}

#[test]
fn fault_c4_what_is_not_in_the_backup_stays_if_that_was_chosen() {
    let fixture = Fixture::new();
    let number = std::cell::Cell::new(0);
    // Names of its own: nothing is in the way, but everything may be among what is restored.
    let others: [&[u8]; 5] = [b"x", b"y", b"z \n", b"other-\xfe", "\u{5176}".as_bytes()];
    proptest!(cases(), |(backup in things(), garbage in things(), below in prop::collection::vec(any::<prop::sample::Index>(), 8))| {
        number.set(number.get() + 1);
        let case = tempfile::tempdir().unwrap();
        let (source, target) = (case.path().join("source"), case.path().join("target"));
        put(&source, &backup, &NAMES);
        let snapshot = fixture.saved(&format!("run-{}", number.get()), &source);
        put(&target, &backup[..backup.len() / 2], &NAMES);
        put(&target, &garbage, &others);
        let folders: Vec<PathBuf> = describe(&target).into_keys().filter(|path| target.join(path).symlink_metadata().unwrap().is_dir()).collect();
        for (number, index) in below.iter().enumerate() {
            fs::write(target.join(index.get(&folders)).join(format!("extra-{number}")), "stays").unwrap();
        }
        let extra = |tree: BTreeMap<PathBuf, String>, wanted: &BTreeMap<PathBuf, String>| -> BTreeMap<PathBuf, String> {
            tree.into_iter().filter(|(path, _)| !wanted.contains_key(path)).collect()
        };
        let wanted = describe(&source);
        let before = extra(describe(&target), &wanted);
        match fixture.restore(&snapshot, &target, Existing::Keep) {
            Ok(restored) => prop_assert_eq!(restored.removed, 0),
            // A folder of what was left stands where the backup has a file: it is named and stays.
            Err(error) => prop_assert!(error.to_string().contains("move it away"), "{}", error),
        }
        let after = describe(&target);
        for (path, is) in before {
            let now = after.get(&path);
            // A file of the backup had this second name, and has only its own now.
            prop_assert!(now == Some(&is) || now.is_some_and(|now| is.rsplit_once(' ').unwrap().0 == now.rsplit_once(' ').unwrap().0), "{:?}: {:?}", path, now);
        }
    });
}

#[test]
fn fault_c4_a_restore_counts_the_intruders_page_and_the_newer_log_and_a_preview_names_them() {
    let fixture = Fixture::new();
    let (source, target) = (fixture.path("source"), fixture.path("target"));
    fs::create_dir_all(source.join("pg_wal")).unwrap();
    fs::write(source.join("pg_wal/000001"), "old").unwrap();
    fs::write(source.join("index.html"), "home").unwrap();
    let snapshot = fixture.saved("run", &source);
    fixture.restore(&snapshot, &target, Existing::Exact).unwrap();
    fs::write(target.join("pg_wal/000002"), "newer").unwrap();
    fs::create_dir_all(target.join("uploads/deep")).unwrap();
    fs::write(target.join("uploads/deep/shell.php"), "<?php").unwrap();
    fs::write(target.join("index.html"), "defaced").unwrap();
    fs::remove_file(target.join("pg_wal/000001")).unwrap();
    let before = describe(&target);
    let preview = fixture.compare(&snapshot, &target, Existing::Exact);
    let first = ["pg_wal/000002", "uploads/deep/shell.php"].map(String::from).to_vec();
    assert_eq!(preview, FolderComparison { removed: 2, changed: 1, created: 1, first });
    let keeping = fixture.compare(&snapshot, &target, Existing::Keep);
    assert_eq!(keeping, FolderComparison { removed: 0, changed: 1, created: 1, first: vec!["index.html".into()] });
    assert_eq!(describe(&target), before, "a preview writes nothing");
    let restored = fixture.restore(&snapshot, &target, Existing::Exact).unwrap();
    assert_eq!((restored.files, restored.removed, restored.removed_bytes), (2, 2, 10));
    assert_eq!(describe(&target), describe(&source));
}

#[test]
fn only_a_selected_folder_is_restored_exactly_and_what_is_beside_it_stays() {
    let fixture = Fixture::new();
    let (source, target) = (fixture.path("source"), fixture.path("target"));
    fs::create_dir_all(source.join("news/2026")).unwrap();
    fs::write(source.join("news/2026/a"), "a").unwrap();
    let snapshot = fixture.saved("run", &source);
    fs::create_dir_all(target.join("news/2026")).unwrap();
    fs::write(target.join("news/2026/extra"), "goes").unwrap();
    fs::write(target.join("news/beside"), "stays").unwrap();
    let paths = ["/news/2026".to_owned()];
    let request = FolderRestore { paths: &paths, ..whole(&snapshot, "volumes/x", &target, Existing::Exact) };
    assert_eq!(fixture.repository.restore_folder(&request, &|_| {}).unwrap().removed, 1);
    assert!(target.join("news/2026/a").exists() && !target.join("news/2026/extra").exists() && target.join("news/beside").exists());
}

#[test]
fn a_path_that_leads_out_of_the_volume_is_refused() {
    let fixture = Fixture::new();
    let (source, target) = (fixture.path("source"), fixture.path("target"));
    odd_tree(&source);
    let snapshot = fixture.saved("run", &source);
    fs::create_dir_all(&target).unwrap();
    symlink(fixture.path("outside"), target.join("link")).unwrap();
    fs::create_dir(fixture.path("outside")).unwrap();
    for prefix in ["/../outside", "/sub/../../outside", "/link", "/link/sub"] {
        let request = FolderRestore { prefix: Some(prefix), ..whole(&snapshot, "volumes/x", &target, Existing::Untouched { run: "run" }) };
        let error = fixture.repository.restore_folder(&request, &|_| {}).unwrap_err();
        assert_eq!(error.reason(), "DestinationRefused", "{prefix}: {error}");
        assert_eq!(fs::read_dir(fixture.path("outside")).unwrap().count(), 0, "{prefix}");
    }
}

#[test]
fn under_a_path_nothing_is_replaced_and_an_attempt_that_was_cut_short_goes_on() {
    let fixture = Fixture::new();
    let (source, target) = (fixture.path("source"), fixture.path("target"));
    fs::create_dir_all(source.join("news")).unwrap();
    fs::write(source.join("news/a"), "old").unwrap();
    fs::write(source.join("news/b"), "b").unwrap();
    let snapshot = fixture.saved("run", &source);
    fs::create_dir_all(target.join("back/news")).unwrap();
    fs::write(target.join("back/news/a"), "mine").unwrap();
    fs::write(target.join("back/news/other"), "stays").unwrap();
    let restore = |run: &str| {
        let request = FolderRestore { prefix: Some("/back"), ..whole(&snapshot, "volumes/x", &target, Existing::Untouched { run }) };
        fixture.repository.restore_folder(&request, &|_| {})
    };
    let error = restore("one").unwrap_err().to_string();
    assert!(error.contains("back/news/a") && error.contains("choose another path"), "{error}");
    assert!(!target.join("back/news/b").exists(), "nothing is written");
    assert_eq!(fs::read(target.join("back/news/a")).unwrap(), b"mine");
    fs::remove_file(target.join("back/news/a")).unwrap();
    // An attempt of run two that was killed: its mark is there, and half of a file.
    fs::write(target.join(".p861-restoring-two"), "").unwrap();
    fs::write(target.join("back/news/a"), "ol").unwrap();
    assert!(restore("three").is_err(), "what another run left is nobody's to replace");
    restore("two").unwrap();
    assert_eq!(fs::read(target.join("back/news/a")).unwrap(), b"old");
    assert_eq!(fs::read(target.join("back/news/other")).unwrap(), b"stays");
    assert!(!target.join(".p861-restoring-two").exists());
}

#[test]
fn fault_i2_what_is_in_the_way_is_found_before_anything_is_changed_whatever_stands_there() {
    let fixture = Fixture::new();
    let number = std::cell::Cell::new(0);
    proptest!(cases(), |(backup in things(), garbage in things(), chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..3), prefix in 0_usize..4)| {
        number.set(number.get() + 1);
        let case = tempfile::tempdir().unwrap();
        let (source, target) = (case.path().join("source"), case.path().join("target"));
        put(&source, &backup, &NAMES);
        let snapshot = fixture.saved(&format!("run-{}", number.get()), &source);
        put(&target, &garbage, &NAMES);
        let there: Vec<String> = describe(&source).into_keys().filter_map(|path| path.to_str().map(|path| format!("/{path}"))).collect();
        // One that is there and one that isn't.
        let mut paths: Vec<String> = chosen.iter().map(|index| index.get(&there).clone()).collect();
        if prefix == 3 {
            paths.push("/nope".into());
        }
        let (prefix, existing) = if prefix == 1 { (Some("/a"), Existing::Untouched { run: "run" }) } else { (None, Existing::Keep) };
        let request = FolderRestore { paths: &paths, prefix, ..whole(&snapshot, "volumes/x", &target, existing) };
        let (before, began) = (describe(&target), AtomicBool::new(false));
        let foreseen = fixture.repository.refuse_in_the_way(&request).map_err(|error| error.to_string());
        prop_assert_eq!(&describe(&target), &before, "to look changes nothing");
        let restored = fixture.repository.restore_folder_from(&request, &|| began.store(true, Ordering::Relaxed), &|_| {}).map_err(|error| error.to_string());
        match foreseen {
            Ok(()) => prop_assert!(began.load(Ordering::Relaxed), "{:?}", restored),
            Err(foreseen) => {
                prop_assert_eq!(restored.err(), Some(foreseen));
                prop_assert!(!began.load(Ordering::Relaxed), "nothing was begun");
                prop_assert_eq!(&describe(&target), &before);
            }
        }
    });
}

#[test]
fn fault_i7_what_is_the_same_is_not_touched_and_a_file_that_the_volume_refuses_is_named() {
    let fixture = Fixture::new();
    let (source, target) = (fixture.path("source"), fixture.path("target"));
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("sub/a"), "saved").unwrap();
    symlink("a", source.join("sub/link")).unwrap();
    mknodat(CWD, source.join("sub/pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let snapshot = fixture.saved("run", &source);
    fixture.restore(&snapshot, &target, Existing::Exact).unwrap();
    let number = |name: &str| fs::symlink_metadata(target.join(name)).unwrap().ino();
    let (link, pipe) = (number("sub/link"), number("sub/pipe"));
    fs::write(target.join("sub/a"), "changed since").unwrap();
    fixture.restore(&snapshot, &target, Existing::Exact).unwrap();
    assert_eq!((number("sub/link"), number("sub/pipe")), (link, pipe), "they are as they were saved");
    assert_eq!(describe(&target), describe(&source));

    // One file that can't be written: a mount of its own that only lets it be read.
    fs::write(target.join("sub/a"), "changed since").unwrap();
    let file = target.join("sub/a");
    let flags = rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::RDONLY;
    if !rustix::process::geteuid().is_root() || rustix::mount::mount_bind(&file, &file).is_err() {
        return;
    }
    let _mounted = Mounted(file.clone());
    rustix::mount::mount_remount(&file, flags, "").unwrap();
    let error = fixture.restore(&snapshot, &target, Existing::Exact).unwrap_err().to_string();
    assert!(error.starts_with("/sub/a: "), "{error}");
    assert_eq!((number("sub/link"), number("sub/pipe")), (link, pipe), "what was the same is still there");
}

/// A small file system of its own, as root; unmounted at its end.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted =
            rustix::process::geteuid().is_root() && rustix::mount::mount("tmpfs", &path, "tmpfs", rustix::mount::MountFlags::empty(), c"size=4m").is_ok();
        mounted.then_some(Self(path))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_volume_is_emptied_first_and_the_file_systems_own_folder_and_mounts_inside_stay() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("data"), (0..3_u32 << 20).map(|byte| u8::try_from(byte % 249).unwrap()).collect::<Vec<_>>()).unwrap();
    let snapshot = fixture.saved("run", &source);
    let Some(volume) = Mounted::new(fixture.path("volume")) else { return };
    fs::create_dir(volume.0.join("lost+found")).unwrap();
    fs::write(volume.0.join("lost+found/#12"), "stays").unwrap();
    fs::create_dir_all(volume.0.join("extra/lost+found")).unwrap();
    fs::write(volume.0.join("extra/log"), vec![7; 3 << 20]).unwrap();
    let inside = Mounted::new(volume.0.join("extra/inside")).unwrap();
    fs::write(inside.0.join("file"), "stays").unwrap();
    let restored = fixture.restore(&snapshot, &volume.0, Existing::Exact).unwrap();
    assert_eq!((restored.files, restored.removed, restored.removed_bytes), (1, 1, 3 << 20));
    let names: Vec<PathBuf> = describe(&volume.0).into_keys().collect();
    let expected = ["", "data", "extra", "extra/inside", "extra/inside/file", "lost+found", "lost+found/#12"].map(PathBuf::from);
    assert_eq!(names, expected);
}

#[test]
fn fault_e16_a_link_that_is_swapped_in_while_a_volume_is_emptied_leads_nowhere() {
    let fixture = Fixture::new();
    let (source, target, outside) = (fixture.path("source"), fixture.path("target"), fixture.path("outside"));
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("sub/kept"), "kept").unwrap();
    let snapshot = fixture.saved("run", &source);
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    fs::create_dir_all(target.join("sub")).unwrap();
    symlink(&outside, target.join("link")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, target.join("sub"), CWD, target.join("link"), RenameFlags::EXCHANGE);
                if !target.join("link").exists() {
                    let _ = symlink(&outside, target.join("link"));
                }
            }
        });
        for _ in 0..40 {
            // It may fail: somebody writes into the volume. It must not do harm.
            let _ = fixture.restore(&snapshot, &target, Existing::Exact);
            let _ = fs::create_dir(target.join("sub"));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"precious");
}
