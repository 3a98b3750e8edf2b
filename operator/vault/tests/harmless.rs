//! A restore costs nothing of what it was not asked to replace, and nothing at all if the backup can't be read.

use crate::support::{describe, seal, spec, whole};
use p861_vault::{Existing, FolderRestore, Location, Repository, RepositoryAccess, VaultError};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

fn access(folder: &Path) -> RepositoryAccess {
    RepositoryAccess { location: Location::Folder { path: folder.join("repository") }, credentials: None, password: "correct horse".into(), id: None }
}

fn saved(repository: &Repository, run: &str, source: &Path) -> String {
    repository.write_folder(&spec(run, "volumes/x"), source, &|_| {}).unwrap();
    seal(repository, run, &["volumes/x"], None).snapshot
}

#[test]
fn fault_i12_what_stands_where_the_backup_has_a_folder_is_refused_unless_the_whole_is_restored_exactly_and_then_it_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_init(&access(folder.path())).unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("sub/deep")).unwrap();
    fs::write(source.join("sub/deep/1"), "one").unwrap();
    fs::write(source.join("sub/2"), "two").unwrap();
    let snapshot = saved(&repository, "run", &source);
    for (number, (kind, to)) in [("file", ""), ("symlink", "release"), ("symlink", "/tmp"), ("fifo", "")].into_iter().enumerate() {
        let target = folder.path().join(format!("target-{number}"));
        fs::create_dir_all(target.join("release")).unwrap();
        fs::write(target.join("release/page"), "live").unwrap();
        let at = target.join("sub");
        match kind {
            "file" => fs::write(&at, "live").unwrap(),
            "symlink" => symlink(to, &at).unwrap(),
            _ => mknodat(CWD, &at, FileType::Fifo, Mode::from(0o600), 0).unwrap(),
        }
        let before = describe(&target);
        for paths in [&[][..], &["/sub/deep/1".to_owned()], &["/sub/deep".to_owned()], &["/sub".to_owned()]] {
            let request = FolderRestore { paths, ..whole(&snapshot, "volumes/x", &target, Existing::Keep) };
            let foreseen = repository.refuse_in_the_way(&request).unwrap_err();
            let error = repository.restore_folder(&request, &|_| {}).unwrap_err();
            assert_eq!((error.reason(), error.to_string()), ("DestinationRefused", foreseen.to_string()));
            assert!(error.to_string().starts_with(&format!("/sub: a {kind} is where the backup has a folder")), "{paths:?}: {error}");
            assert_eq!(describe(&target), before, "{paths:?}");
        }
        // Above a folder that is to be exact it is nobody's.
        let paths = ["/sub/deep".to_owned()];
        let above = FolderRestore { paths: &paths, ..whole(&snapshot, "volumes/x", &target, Existing::Exact) };
        assert_eq!(repository.restore_folder(&above, &|_| {}).unwrap_err().reason(), "DestinationRefused");
        assert_eq!(describe(&target), before);
        let exact = whole(&snapshot, "volumes/x", &target, Existing::Exact);
        let preview = repository.compare_folder(&exact, &|_| {}).unwrap();
        assert_eq!((preview.removed, preview.created), (2, 2), "{kind}: the page and what stands in the place of the folder: {preview:?}");
        assert_eq!(repository.restore_folder(&exact, &|_| {}).unwrap().removed, 2, "{kind}");
        assert_eq!(describe(&target), describe(&source));
    }
}

#[test]
fn fault_i13_a_backup_that_cannot_be_read_changes_nothing_of_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (place, source, target) = (folder.path().join("repository"), folder.path().join("source"), folder.path().join("target"));
    let repository = Repository::open_or_init(&access(folder.path())).unwrap();
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("sub/big"), (0..3_u32 << 20).map(|byte| u8::try_from(byte % 253).unwrap()).collect::<Vec<_>>()).unwrap();
    fs::write(source.join("small"), "saved").unwrap();
    symlink("small", source.join("link")).unwrap();
    let snapshot = saved(&repository, "run", &source);
    let lay_out = || {
        let _ = fs::remove_dir_all(&target);
        fs::create_dir_all(target.join("sub")).unwrap();
        fs::write(target.join("sub/big"), "live edit").unwrap();
        fs::write(target.join("small"), "other").unwrap();
        symlink("elsewhere", target.join("link")).unwrap();
        fs::write(target.join("extra"), "not in the backup").unwrap();
    };
    let paths = ["/sub/big".to_owned()];
    let (mut damaged, mut harmless) = (0, 0);
    for pack in packs(&place) {
        let body = fs::read(&pack).unwrap();
        // A byte of each quarter: a reader of the index alone sees none of them.
        for at in [1, 3, 5, 7].map(|eighth| body.len() * eighth / 8) {
            let mut other = body.clone();
            other[at] ^= 1;
            fs::write(&pack, &other).unwrap();
            for (existing, paths) in [(Existing::Exact, &[][..]), (Existing::Keep, &[][..]), (Existing::Keep, &paths[..])] {
                lay_out();
                let before = describe(&target);
                let began = AtomicBool::new(false);
                let request = FolderRestore { paths, ..whole(&snapshot, "volumes/x", &target, existing) };
                let result = Repository::open(&access(folder.path()))
                    .and_then(|repository| repository.restore_folder_from(&request, &|| began.store(true, Ordering::Relaxed), &|_| {}));
                match result {
                    Ok(_) => harmless += 1,
                    Err(VaultError::Damaged { object, .. }) => {
                        damaged += 1;
                        assert!(object.ends_with(pack.file_name().unwrap().to_str().unwrap()), "{object}");
                        assert_eq!(describe(&target), before, "{existing:?} {paths:?}: damaged at {at} of {}", body.len());
                        assert!(!began.load(Ordering::Relaxed), "whoever asks is told that nothing has changed");
                    }
                    Err(error) => panic!("{existing:?} {paths:?}: {error}"),
                }
            }
        }
        fs::write(&pack, &body).unwrap();
    }
    assert!(damaged >= 12, "the pack of the contents, in four places, for three restores: {damaged} damaged, {harmless} not");
    lay_out();
    repository.restore_folder(&whole(&snapshot, "volumes/x", &target, Existing::Exact), &|_| {}).unwrap();
    assert_eq!(describe(&target), describe(&source));
}

fn packs(repository: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(repository.join("data")).unwrap();
    folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()).map(|pack| pack.unwrap().path()).collect()
}
