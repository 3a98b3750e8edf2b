//! A file of the repository that is changed, cut or gone is named.

use super::*;

fn packs(repository: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(repository.join("data")).unwrap() {
        found.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    found
}

#[test]
fn a_damaged_file_of_the_repository_is_named_and_a_damaged_snapshot_spares_the_others() {
    let fixture = Fixture::new();
    let place = fixture.path("repository");
    let write = |run: &str| {
        fixture.repository.write_stream(&spec(run, "streams/db"), Box::new(io::Cursor::new(run.as_bytes().to_vec())), &|_| {}).unwrap();
        seal(&fixture.repository, run, &["streams/db"], None).snapshot
    };
    let (one, two) = (write("one"), write("two"));
    let damaged = |file: &Path, what: &dyn Fn(&Repository) -> Result<(), p861_vault::VaultError>| {
        let body = fs::read(file).unwrap();
        let mut other = body.clone();
        other[body.len() / 2] ^= 1;
        fs::write(file, &other).unwrap();
        let error = Repository::open(&access(&place)).and_then(|repository| what(&repository)).unwrap_err();
        fs::write(file, &body).unwrap();
        assert_eq!(error.reason(), "Damaged", "{error}");
        assert!(error.to_string().contains(file.strip_prefix(&place).unwrap().to_str().unwrap()), "{error}");
    };
    let first = |folder: &str| fs::read_dir(place.join(folder)).unwrap().next().unwrap().unwrap().path();
    damaged(&place.join("config"), &|_| Ok(()));
    damaged(&first("keys"), &|_| Ok(()));
    damaged(&first("index"), &|repository| repository.verify_snapshot(&one, false).map(drop));
    damaged(&place.join("snapshots").join(&two), &|repository| {
        assert_eq!(repository.snapshots()?.iter().map(|snapshot| snapshot.id.clone()).collect::<Vec<_>>(), std::slice::from_ref(&one));
        repository.verify_snapshot(&one, true)?;
        repository.inventory(&two).map(drop)
    });
    let gone = fs::read(place.join("snapshots").join(&two)).unwrap();
    fixture.repository.forget(std::slice::from_ref(&two)).unwrap();
    let error = fixture.repository.inventory(&two).unwrap_err();
    assert_eq!(error.reason(), "SnapshotMissing", "{error}");
    fs::write(place.join("snapshots").join(&two), gone).unwrap();
    let error = fixture.repository.stream_out(&two, "streams/other", &mut Vec::new(), &|_| {}).unwrap_err();
    assert_eq!(error.reason(), "PathMissing", "{error}");
}

#[test]
fn fault_h11_a_path_that_a_backup_lacks_is_told_with_what_there_is_instead_and_not_as_a_missing_snapshot() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(source.join("news/empty")).unwrap();
    for number in 1..=8 {
        fs::write(source.join(format!("news/2026-0{number}.txt")), "text").unwrap();
    }
    fixture.repository.write_folder(&spec("r", "volumes/files"), &source, &|_| {}).unwrap();
    let snapshot = seal(&fixture.repository, "r", &["volumes/files"], None).snapshot;
    let volume = fixture.path("volume");
    let lacking = |part: &str, path: &str| {
        let paths = [path.to_owned()];
        let request = FolderRestore { snapshot: &snapshot, part, volume: &volume, prefix: None, paths: &paths, existing: Existing::Keep };
        let error = fixture.repository.restore_folder(&request, &|_| {}).unwrap_err();
        assert_eq!((error.reason(), error.is_transient()), ("PathMissing", false), "{error}");
        let text = error.to_string();
        assert!(!text.contains("not in the repository") && text.contains(&format!("(snapshot {snapshot})")), "{text}");
        text.split_once("; ").unwrap().1.to_owned()
    };
    assert_eq!(
        lacking("volumes/files", "news/2026-05.md"),
        "volumes/files/news has 2026-05.txt, 2026-01.txt, 2026-02.txt, 2026-03.txt, 2026-04.txt and 4 more"
    );
    assert_eq!(lacking("volumes/files", "olds/2026-05.txt"), "volumes/files has news");
    assert_eq!(lacking("volumes/files", "news/empty/x"), "volumes/files/news/empty is empty");
    assert_eq!(lacking("volumes/files", "news/2026-01.txt/x"), "volumes/files/news/2026-01.txt is no folder");
    assert_eq!(lacking("volumes/fles", ""), "volumes has files");
    assert_eq!(lacking("streams/db", ""), "its top has inventory.json, volumes");
    assert!(!volume.exists(), "nothing was written");
}

#[test]
fn a_restore_from_a_damaged_pack_names_it() {
    let fixture = Fixture::new();
    let source = fixture.path("source");
    fs::create_dir_all(source.join("deeper")).unwrap();
    fs::write(source.join("deeper/file"), vec![7; 3_000_000]).unwrap();
    fixture.repository.write_folder(&spec("r", "volumes/x"), &source, &|_| {}).unwrap();
    let snapshot = seal(&fixture.repository, "r", &["volumes/x"], None).snapshot;
    let place = fixture.path("repository");
    let mut named = 0;
    for pack in packs(&place) {
        let body = fs::read(&pack).unwrap();
        for other in [None, Some(&body[..20]), Some(&body.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()[..])] {
            match other {
                None => fs::remove_file(&pack).unwrap(),
                Some(other) => fs::write(&pack, other).unwrap(),
            }
            let target = tempfile::tempdir().unwrap();
            // Opened anew, as a mover does.
            let result = Repository::open(&access(&place))
                .and_then(|repository| repository.restore_folder(&whole(&snapshot, "volumes/x", target.path(), Existing::Keep), &|_| {}));
            if let Err(error) = result {
                assert_eq!(error.reason(), "Damaged", "{error}");
                assert!(error.to_string().contains(pack.file_name().unwrap().to_str().unwrap()), "{error}");
                named += 1;
            }
            fs::write(&pack, &body).unwrap();
        }
    }
    assert!(named >= 6, "contents and folders are in packs of their own, each damaged in three ways: {named}");
}

#[test]
fn a_missing_or_cut_pack_is_named_and_another_snapshot_stays_sound() {
    let fixture = Fixture::new();
    let place = fixture.path("repository");
    let write = |run: &str, byte: u8| {
        fixture.repository.write_stream(&spec(run, "streams/db"), Box::new(io::Cursor::new(vec![byte; 200_000])), &|_| {}).unwrap();
        seal(&fixture.repository, run, &["streams/db"], None).snapshot
    };
    let old = write("old", 1);
    let before = packs(&place);
    let new = write("new", 2);
    fixture.repository.verify_snapshot(&new, true).unwrap();
    let of_new: Vec<PathBuf> = packs(&place).into_iter().filter(|pack| !before.contains(pack)).collect();
    for pack in of_new {
        let body = fs::read(&pack).unwrap();
        let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
        for damage in ["missing", "cut", "changed"] {
            match damage {
                "missing" => fs::remove_file(&pack).unwrap(),
                "cut" => fs::write(&pack, &body[..10]).unwrap(),
                _ => fs::write(&pack, body.iter().map(|b| b ^ 1).collect::<Vec<_>>()).unwrap(),
            }
            let result = fixture.repository.verify_snapshot(&new, true);
            // Packs of parts that were merged away hurt nobody.
            if let Err(error) = &result {
                assert_eq!(error.reason(), "Damaged", "{damage}: {error}");
                assert!(error.to_string().contains(&name), "{damage}: {error}");
            }
            fs::write(&pack, &body).unwrap();
        }
    }
    let data = packs(&place).into_iter().filter(|pack| !before.contains(pack)).max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    fs::remove_file(&data).unwrap();
    assert_eq!(fixture.repository.verify_snapshot(&new, false).unwrap_err().reason(), "Damaged");
    fixture.repository.verify_snapshot(&old, true).unwrap();
}
