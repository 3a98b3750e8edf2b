//! File metadata: type, owner, mode, times, attributes. rustic only warns if it cannot read or restore these.

use crate::beneath::opened;
use aws_smithy_types::base64;
use jiff::SignedDuration;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustix::{
    fs::{AtFlags, CWD, FileType, StatxFlags, makedev, readlinkat, statx},
    io::Errno,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{PermissionsExt as _, lchown},
        },
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

/// restic writes Go's bits for modes, and among them the type. Source: Go's `io/fs.FileMode`.
const GO_DIR: u32 = 1 << 31;
const GO_LINK: u32 = 1 << 27;
const GO_DEVICE: u32 = 1 << 26;
const GO_PIPE: u32 = 1 << 25;
const GO_SOCKET: u32 = 1 << 24;
const GO_CHARACTER_DEVICE: u32 = 1 << 21;
const SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
/// Attributes that belong to the file; others belong to the machine that it is on.
const OURS: [&str; 3] = ["user.", "system.posix_acl_", "security.capability"];

fn go_of_mode(mode: u32) -> u32 {
    SPECIAL.iter().filter(|(bit, _)| mode & bit != 0).fold(mode & 0o777, |go, (_, bit)| go | bit)
}

fn mode_of_go(go: u32) -> u32 {
    SPECIAL.iter().filter(|(_, bit)| go & bit != 0).fold(go & 0o777, |mode, (bit, _)| mode | bit)
}

/// The attributes of a file, links not followed; none where the file system has none.
fn attributes(path: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let names = match xattr::list(path) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        names => names?,
    };
    let mut found = BTreeMap::new();
    for name in names.map(|name| name.to_string_lossy().into_owned()).filter(|name| wanted(name)) {
        // One that is gone since it was listed was removed by the application.
        if let Some(value) = xattr::get(path, &name)? {
            found.insert(name, value);
        }
    }
    Ok(found)
}

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| name.starts_with(ours))
}

/// Attributes of a node that belong to the file.
fn ours(node: &Node) -> impl Iterator<Item = (&str, &[u8])> {
    let all = node.meta.extended_attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.value.as_deref().unwrap_or_default()));
    all.filter(|(name, _)| is_ours(name))
}

/// What has a name in an opened folder, as the backup holds it, called `called` there; `.` is the folder itself. None if nothing has that name any more. Links are not
/// followed.
pub(crate) fn node(folder: &OwnedFd, name: &OsStr, called: &OsStr) -> io::Result<Option<Node>> {
    let there = match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
        Err(Errno::NOENT) => return Ok(None),
        there => there?,
    };
    let device = makedev(there.stx_rdev_major, there.stx_rdev_minor);
    let (kind, bits) = match FileType::from_raw_mode(there.stx_mode.into()) {
        FileType::Directory => (NodeType::Dir, GO_DIR),
        FileType::Symlink => match readlinkat(folder, name, Vec::new()) {
            // Something else took its place.
            Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
            target => (NodeType::from_link(Path::new(OsStr::from_bytes(target?.to_bytes()))), GO_LINK),
        },
        FileType::BlockDevice => (NodeType::Dev { device }, GO_DEVICE),
        FileType::CharacterDevice => (NodeType::Chardev { device }, GO_DEVICE | GO_CHARACTER_DEVICE),
        FileType::Fifo => (NodeType::Fifo, GO_PIPE),
        FileType::Socket => (NodeType::Socket, GO_SOCKET),
        _ => (NodeType::File, 0),
    };
    let found = match attributes(&opened(folder, name), |_| true) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|error| io::Error::new(error.kind(), format!("its attributes can't be read: {error}")))?,
    };
    // The engine keeps the type of attributes to itself, but reads it.
    let found: Vec<_> = found.into_iter().map(|(name, value)| json!({"name": name, "value": base64::encode(value)})).collect();
    let extended_attributes = if found.is_empty() { Vec::new() } else { serde_json::from_value(json!(found)).map_err(io::Error::other)? };
    let time = |seconds: i64, nanos: u32| jiff::Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0)).ok();
    let mtime = time(there.stx_mtime.tv_sec, there.stx_mtime.tv_nsec);
    let is_folder = bits == GO_DIR;
    // So that names of the same file are known as such.
    let shared = there.stx_nlink > 1 && !is_folder;
    let meta = Metadata {
        mode: Some(go_of_mode(there.stx_mode.into()) | bits),
        mtime,
        atime: mtime,
        ctime: time(there.stx_ctime.tv_sec, there.stx_ctime.tv_nsec),
        uid: Some(there.stx_uid),
        gid: Some(there.stx_gid),
        inode: there.stx_ino,
        device_id: if shared { makedev(there.stx_dev_major, there.stx_dev_minor) } else { 0 },
        size: if is_folder { 0 } else { there.stx_size },
        links: if is_folder { 0 } else { there.stx_nlink.into() },
        extended_attributes,
        ..Metadata::default()
    };
    Ok(Some(Node::new_node(called, kind, meta)))
}

/// What stands at a place, links not followed.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) kind: FileType,
    /// It has other names, too.
    pub(crate) shared: bool,
    /// Bits of the mode, without the type.
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// The number of a device.
    device: u64,
    pub(crate) size: u64,
    /// Since 1970.
    modified: SignedDuration,
    /// Where a link leads.
    target: Option<PathBuf>,
}

impl Standing {
    /// What has a name in a folder; none if nothing has.
    pub(crate) fn at(folder: impl AsFd, name: &OsStr) -> io::Result<Option<Self>> {
        let there = match statx(&folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            there => there?,
        };
        let kind = FileType::from_raw_mode(there.stx_mode.into());
        let target = match kind {
            FileType::Symlink => match readlinkat(&folder, name, Vec::new()) {
                Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                target => Some(PathBuf::from(OsStr::from_bytes(target?.to_bytes()))),
            },
            _ => None,
        };
        Ok(Some(Self {
            kind,
            shared: there.stx_nlink != 1,
            mode: u32::from(there.stx_mode) & 0o7777,
            owner: (there.stx_uid, there.stx_gid),
            device: makedev(there.stx_rdev_major, there.stx_rdev_minor),
            size: there.stx_size,
            modified: SignedDuration::new(there.stx_mtime.tv_sec, i32::try_from(there.stx_mtime.tv_nsec).unwrap_or(0)),
            target,
        }))
    }

    fn of(path: &Path) -> io::Result<Self> {
        Self::at(CWD, path.as_os_str())?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Puts owner, mode, attributes and time of the folder itself back, which the engine leaves alone. A folder that only stands above others in the snapshot has
/// no owner.
pub(crate) fn restore_root(place: &Path, node: &Node) -> io::Result<()> {
    let meta = &node.meta;
    if meta.uid.is_some() || meta.gid.is_some() {
        lchown(place, meta.uid, meta.gid)?;
    }
    if let Some(mode) = meta.mode {
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode_of_go(mode)))?;
    }
    let wanted: BTreeSet<&str> = ours(node).map(|(name, _)| name).collect();
    for extra in attributes(place, is_ours)?.into_keys().filter(|name| !wanted.contains(name.as_str())) {
        xattr::remove(place, extra)?;
    }
    for (name, value) in ours(node) {
        xattr::set(place, name, value)?;
    }
    if let Some(mtime) = meta.mtime {
        std::fs::File::open(place)?.set_modified(SystemTime::from(mtime))?;
    }
    Ok(())
}

/// Whether the existing file has the same type as in the backup, so that it can be updated instead of replaced.
pub(crate) fn same_kind(there: &Standing, node: &Node) -> bool {
    match &node.node_type {
        // Writing through another name of the same file would change that too.
        NodeType::File => there.kind == FileType::RegularFile && (!there.shared || node.meta.links > 1),
        NodeType::Dir => there.kind == FileType::Directory,
        NodeType::Symlink { .. } => there.target.as_deref() == Some(node.node_type.to_link()),
        NodeType::Dev { device } => there.kind == FileType::BlockDevice && there.device == *device,
        NodeType::Chardev { device } => there.kind == FileType::CharacterDevice && there.device == *device,
        NodeType::Fifo => there.kind == FileType::Fifo,
        NodeType::Socket => there.kind == FileType::Socket,
    }
}

/// How a restored file differs from the backup in anything but its content.
pub(crate) fn difference(path: &Path, node: &Node) -> Option<String> {
    let there = match Standing::of(path) {
        Ok(there) => there,
        Err(error) => return Some(error.to_string()),
    };
    if let Some(difference) = plain_difference(&there, node) {
        return Some(difference);
    }
    // A link's own attributes mean nothing.
    if there.kind == FileType::Symlink {
        return None;
    }
    let found = match attributes(path, is_ours) {
        Ok(found) => found,
        Err(error) => return Some(format!("its attributes can't be read: {error}")),
    };
    ours(node)
        .find(|(name, value)| found.get(*name).map(Vec::as_slice) != Some(*value))
        .map(|(name, _)| format!("its attribute {name} is not as in the backup"))
}

/// How a file differs from the backup in type, owner, mode or time.
pub(crate) fn plain_difference(there: &Standing, node: &Node) -> Option<String> {
    let meta = &node.meta;
    if !same_kind(there, node) {
        return Some(format!("it is no {}, as in the backup, or one to elsewhere", node.node_type));
    }
    let owner = (meta.uid.unwrap_or(there.owner.0), meta.gid.unwrap_or(there.owner.1));
    if owner != there.owner {
        return Some(format!("its owner is {}:{}, in the backup {}:{}", there.owner.0, there.owner.1, owner.0, owner.1));
    }
    // A link's own mode means nothing.
    if there.kind == FileType::Symlink {
        return None;
    }
    let mode = meta.mode.map_or(there.mode, mode_of_go);
    if mode != there.mode {
        return Some(format!("its mode is {:o}, in the backup {mode:o}", there.mode));
    }
    // File systems keep times more or less finely.
    meta.mtime.filter(|mtime| mtime.as_second().abs_diff(there.modified.as_secs()) > 1).map(|mtime| {
        let seen = jiff::Timestamp::from_duration(there.modified).map_or_else(|_| "unknown".into(), |time| time.to_string());
        format!("its time is {seen}, in the backup {mtime}")
    })
}

/// Whether what is no file and no folder is there as it was saved, to the last digit of its time: nothing of it needs to be written.
pub(crate) fn is_as_saved(there: &Standing, node: &Node) -> bool {
    plain_difference(there, node).is_none() && node.meta.mtime.is_none_or(|mtime| mtime.as_duration() == there.modified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_survive_the_way_through_go() {
        for mode in 0..0o10000 {
            assert_eq!(mode_of_go(go_of_mode(mode)), mode, "{mode:o}");
        }
        assert_eq!(go_of_mode(0o4755), 0o755 | 1 << 23);
    }

    #[test]
    fn every_way_in_which_a_file_can_differ_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub");
        std::fs::create_dir(&path).unwrap();
        xattr::set(&path, "user.p861", b"value").unwrap();
        let above = OwnedFd::from(std::fs::File::open(folder.path()).unwrap());
        let node = node(&above, OsStr::new("sub"), OsStr::new("sub")).unwrap().unwrap();
        assert_eq!(difference(&path, &node), None);
        let with = |change: &dyn Fn(&mut Metadata)| {
            let mut node = node.clone();
            change(&mut node.meta);
            difference(&path, &node).unwrap_or_default()
        };
        assert!(with(&|meta| meta.uid = Some(4711)).contains("4711"));
        assert!(with(&|meta| meta.mode = Some(0o700 | 1 << 20 | GO_DIR)).contains("1700"));
        assert!(with(&|meta| meta.mtime = Some(jiff::Timestamp::UNIX_EPOCH)).contains("1970"));
        assert!(with(&|meta| meta.extended_attributes[0].value = None).contains("user.p861"));
        let link = Node::new_node(OsStr::new("sub"), NodeType::from_link(Path::new("elsewhere")), Metadata::default());
        assert!(difference(&path, &link).unwrap().contains("symlink"));
        assert!(difference(&folder.path().join("gone"), &node).is_some());
    }
}
