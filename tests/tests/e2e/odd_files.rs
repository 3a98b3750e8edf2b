//! Files of every kind go through a mover's Job, the repository and a restore on the other site, and are as they were.

use crate::backups::{BACKUP, backup_now, name, volume_folder};
use p861_testbed::bed::{BedError, Result};
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

pub const SCENES: &[Scene] =
    &[("hard links, sparse files, owners, modes, attributes and names that are not UTF-8 come back as they were", odd_files_come_back)];

const ODD: &str = "p861-odd";
const SPARSE: u64 = 64 << 20;

/// What is compared of a file: everything but its inode.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    modified: i64,
    links: u64,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    content: Vec<u8>,
}

fn make(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("empty folder"))?;
    fs::write(folder.join(OsStr::from_bytes(b"not-utf8-\xff\xfe")), "as bytes")?;
    fs::write(folder.join("一枝独秀.txt"), "短板效应")?;
    fs::write(folder.join("first name"), "one file")?;
    fs::hard_link(folder.join("first name"), folder.join("second name"))?;
    symlink("nowhere/at all", folder.join("dangling"))?;
    let sparse = fs::File::create(folder.join("sparse"))?;
    sparse.set_len(SPARSE)?;
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", SPARSE / 2)?;
    fs::write(folder.join("owned"), "by someone")?;
    chown(folder.join("owned"), Some(4711), Some(4712))?;
    fs::set_permissions(folder.join("owned"), fs::Permissions::from_mode(0o640))?;
    fs::write(folder.join("runs as its owner"), "#!/bin/sh\n")?;
    chown(folder.join("runs as its owner"), Some(4711), Some(33))?;
    fs::set_permissions(folder.join("runs as its owner"), fs::Permissions::from_mode(0o4755))?;
    fs::write(folder.join("nobody may read"), "but the mover")?;
    fs::set_permissions(folder.join("nobody may read"), fs::Permissions::from_mode(0o000))?;
    fs::write(folder.join("attributes"), "")?;
    xattr::set(folder.join("attributes"), "user.p861", b"\x00binary\xff")?;
    fs::set_permissions(folder.join("empty folder"), fs::Permissions::from_mode(0o2770))?;
    fs::File::options().write(true).open(folder.join("attributes"))?.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_007))
}

fn see(folder: &Path) -> std::io::Result<BTreeMap<Vec<u8>, Seen>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        let attributes = if metadata.is_symlink() {
            BTreeMap::new()
        } else {
            xattr::list(&path)?.filter_map(|name| Some((name.as_bytes().to_vec(), xattr::get(&path, &name).ok()??))).collect()
        };
        let content = if metadata.is_file() {
            fs::read(&path)?
        } else if metadata.is_symlink() {
            fs::read_link(&path)?.as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let seen = Seen {
            kind: format!("{:?}", metadata.file_type()),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            size: if metadata.is_dir() { 0 } else { metadata.size() },
            modified: metadata.mtime(),
            links: if metadata.is_dir() { 0 } else { metadata.nlink() },
            attributes,
            content,
        };
        all.insert(path.file_name().unwrap_or_default().as_bytes().to_vec(), seen);
    }
    Ok(all)
}

/// The folder of the portal's files on a site.
pub fn claim_folder(stage: &Stage, site: &p861_testbed::bed::Site, namespace: &str) -> Result<std::path::PathBuf> {
    let claim: Value = site.get(&["persistentvolumeclaim", "--namespace", namespace, "site-files"])?;
    volume_folder(stage, site, claim["spec"]["volumeName"].as_str().unwrap_or_default())
}

fn odd_files_come_back(stage: &Stage) -> Result<()> {
    let at_home = claim_folder(stage, stage.primary()?, "shinan-portal")?.join(ODD);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BedError::Io { path, source }
    };
    make(&at_home).map_err(io(&at_home))?;
    let outcome = there_and_back(stage, &at_home);
    fs::remove_dir_all(&at_home).map_err(io(&at_home))?;
    stage.standby()?.kubectl(&["delete", "namespace", "shinan-portal-odd", "--ignore-not-found", "--timeout=110s"])?;
    outcome
}

fn there_and_back(stage: &Stage, at_home: &Path) -> Result<()> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BedError::Io { path, source }
    };
    let before = see(at_home).map_err(io(at_home))?;
    let backup = name(&backup_now(stage, "portal")?);
    let limit = format!("{}s", BACKUP.as_secs());
    stage.say_expecting(
        0,
        &["restore", "run", &backup, "--site", "laoshan-dr", "--map", "shinan-portal=shinan-portal-odd", "--yes", "--backup", &backup, "--timeout", &limit],
    )?;
    let away = claim_folder(stage, stage.standby()?, "shinan-portal-odd")?.join(ODD);
    let after = see(&away).map_err(io(&away))?;
    for (name, was) in &before {
        let is = after.get(name);
        demand(is == Some(was), || format!("{:?} was {}, and is {}", String::from_utf8_lossy(name), brief(Some(was)), brief(is)))?;
    }
    demand(after.len() == before.len(), || format!("{} files were there, {} came back", before.len(), after.len()))?;
    let blocks = fs::metadata(away.join("sparse")).map_err(io(&away))?.blocks() * 512;
    demand(blocks < SPARSE / 4, || format!("the sparse file takes {blocks} bytes of disk"))?;
    let inode = |name: &str| fs::metadata(away.join(name)).map(|metadata| metadata.ino()).map_err(io(&away));
    demand(inode("first name")? == inode("second name")?, || "the two names are not one file any more".to_owned())
}

fn brief(seen: Option<&Seen>) -> String {
    seen.map_or_else(
        || "missing".to_owned(),
        |seen| {
            format!(
                "{} {:o} {:?} {} bytes, {} links, modified {}, attributes {:?}",
                seen.kind, seen.mode, seen.owner, seen.size, seen.links, seen.modified, seen.attributes
            )
        },
    )
}
