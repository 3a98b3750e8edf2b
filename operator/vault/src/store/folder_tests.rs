use super::*;
use rustix::fs::{CWD, Mode, mknodat};
use std::os::unix::fs::symlink;

fn listed(folder: &Folder, under: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    folder.each(under, &mut |key, _| {
        keys.push(key.to_owned());
        ControlFlow::Continue(())
    })?;
    keys.sort();
    Ok(keys)
}

#[test]
fn fault_e11_what_is_too_large_or_no_file_is_named_and_not_read() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(&place.path().join("repository"));
    fs::create_dir_all(folder.root.join("keys")).unwrap();
    fs::write(place.path().join("secret"), "secret").unwrap();
    // No room is taken: it is a hole.
    File::create(folder.root.join("keys/large")).unwrap().set_len(1 << 40).unwrap();
    symlink(place.path().join("secret"), folder.root.join("keys/link")).unwrap();
    symlink(place.path(), folder.root.join("folder-link")).unwrap();
    symlink("/dev/zero", folder.root.join("config")).unwrap();
    mknodat(CWD, folder.root.join("keys/pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let error = folder.get("keys/large", 16 << 10).unwrap_err();
    assert!(error.is_too_large() && error.to_string().contains("object keys/large: it is larger than 16 KiB"), "{error}");
    for key in ["keys/link", "keys/pipe", "config", "folder-link/secret", "../secret", "keys"] {
        for error in [folder.get(key, 1 << 20).unwrap_err(), folder.get_range(key, 0, 6).unwrap_err()] {
            assert!(!error.is_not_found() && error.to_string().contains("no regular file"), "{key}: {error}");
        }
    }
    assert!(folder.get("keys/none", 1 << 20).unwrap_err().is_missing());
    assert!(Folder::new(&place.path().join("none")).get("config", 1 << 20).unwrap_err().is_missing());
    assert_eq!(folder.get_range("keys/large", 1 << 39, 4).unwrap(), [0; 4]);
    assert_eq!(listed(&folder, "").unwrap(), ["keys/large"], "links, pipes and what is behind links are not listed");
}

#[test]
fn fault_e11_a_listing_of_a_folder_ends_at_its_bounds() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path());
    fs::create_dir_all(folder.root.join("keys")).unwrap();
    for number in 0..1_001 {
        File::create(folder.root.join(format!("keys/{number}"))).unwrap();
    }
    let error = listed(&folder, "keys/").unwrap_err();
    assert!(error.is_too_large() && error.to_string().contains("object keys/: its listing is too large: more than 1000 objects"), "{error}");
    fs::remove_file(folder.root.join("keys/7")).unwrap();
    assert_eq!(listed(&folder, "keys/").unwrap().len(), 1_000);
    fs::create_dir_all(folder.root.join("index").join("d/".repeat(MAX_DEPTH))).unwrap();
    assert!(listed(&folder, "index/").unwrap_err().to_string().contains("folders are in each other"));
}
