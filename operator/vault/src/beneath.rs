//! Opens what is below a folder, one name at a time, and follows no link on the way: whoever writes into the folder at the same time can make it lead nowhere else.
//! Only regular files are opened for reading, and none of the openings waits: a pipe without a writer would never end.

use rustix::{
    fs::{Dir, FileType, Mode, OFlags, fstat, openat},
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// What stands at a path.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// What was looked for, opened.
    Opened(T),
    /// Nothing.
    Gone,
    /// Something else: a link, a pipe, a socket, a device, a folder instead of a file or a file instead of a folder; there or above it.
    Else,
}

/// A folder.
#[derive(Clone, Debug)]
pub(crate) struct Beneath {
    root: Arc<OwnedFd>,
}

impl Beneath {
    /// Opens the folder itself. Links in its own path are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let root = File::open(path)?;
        if !root.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root: Arc::new(root.into()) })
    }

    /// A folder below it; the folder itself for an empty path.
    pub(crate) fn folder(&self, relative: &Path) -> io::Result<Found<Arc<OwnedFd>>> {
        let mut folder = self.root.clone();
        for name in relative.components() {
            let Component::Normal(name) = name else { return Ok(Found::Else) };
            match subfolder(&folder, name)? {
                Found::Opened(next) => folder = Arc::new(next),
                Found::Gone => return Ok(Found::Gone),
                Found::Else => return Ok(Found::Else),
            }
        }
        Ok(Found::Opened(folder))
    }

    /// A regular file below it.
    pub(crate) fn file(&self, relative: &Path) -> io::Result<Found<File>> {
        let (Some(name), Some(parent)) = (relative.file_name(), relative.parent()) else { return Ok(Found::Else) };
        match self.folder(parent)? {
            Found::Opened(folder) => file(&folder, name),
            Found::Gone => Ok(Found::Gone),
            Found::Else => Ok(Found::Else),
        }
    }
}

/// A folder in a folder.
pub(crate) fn subfolder(folder: impl AsFd, name: &OsStr) -> io::Result<Found<OwnedFd>> {
    found(openat(folder, name, FOLDER, Mode::empty()))
}

/// A regular file in a folder.
fn file(folder: impl AsFd, name: &OsStr) -> io::Result<Found<File>> {
    Ok(match found(openat(folder, name, FILE, Mode::empty()))? {
        Found::Opened(file) if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile => Found::Opened(file.into()),
        Found::Opened(_) | Found::Else => Found::Else,
        Found::Gone => Found::Gone,
    })
}

fn found(opened: Result<OwnedFd, Errno>) -> io::Result<Found<OwnedFd>> {
    match opened {
        Ok(opened) => Ok(Found::Opened(opened)),
        Err(Errno::NOENT) => Ok(Found::Gone),
        // A link; no folder; a socket or a device without a driver.
        Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NODEV) => Ok(Found::Else),
        Err(error) => Err(error.into()),
    }
}

/// The names in a folder, in any order.
pub(crate) fn names(folder: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// A path of a volume for messages: people know it by what is in it, and not by where we have mounted it.
pub(crate) fn shown(relative: &Path) -> String {
    format!("/{}", relative.display())
}

/// A path that means this very folder, or a name in it, wherever it is by now. `.` is the folder itself.
pub(crate) fn opened(folder: &OwnedFd, name: &OsStr) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, mknodat};
    use std::{
        fs,
        io::Read as _,
        os::unix::{fs::symlink, net::UnixListener},
    };

    fn said<T>(found: &Found<T>) -> &'static str {
        match found {
            Found::Opened(_) => "opened",
            Found::Gone => "gone",
            Found::Else => "else",
        }
    }

    #[test]
    fn fault_e16_only_a_regular_file_below_the_folder_is_opened_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, inside) = (folder.path().join("outside"), folder.path().join("inside"));
        fs::create_dir_all(outside.join("sub")).unwrap();
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::write(outside.join("sub/file"), "secret").unwrap();
        fs::write(inside.join("sub/file"), "own").unwrap();
        symlink(outside.join("sub/file"), inside.join("link")).unwrap();
        symlink(outside.join("sub"), inside.join("folder-link")).unwrap();
        symlink("sub", inside.join("link-inside")).unwrap();
        mknodat(CWD, inside.join("pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let _socket = UnixListener::bind(inside.join("socket")).unwrap();
        let beneath = Beneath::open(&inside).unwrap();
        for (path, expected) in [
            ("sub/file", "opened"),
            ("sub/other", "gone"),
            ("none/file", "gone"),
            ("link", "else"),
            ("folder-link/file", "else"),
            ("link-inside/file", "else"),
            ("sub/file/deeper", "else"),
            ("../outside/sub/file", "else"),
            ("/etc/passwd", "else"),
            ("pipe", "else"),
            ("socket", "else"),
            ("sub", "else"),
            ("", "else"),
        ] {
            let found = beneath.file(Path::new(path)).unwrap();
            assert_eq!(said(&found), expected, "{path}");
            if let Found::Opened(mut file) = found {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                assert_eq!(text, "own", "{path}");
            }
        }
        for (path, expected) in [("", "opened"), ("sub", "opened"), ("folder-link", "else"), ("sub/file", "else"), ("none", "gone"), ("..", "else")] {
            assert_eq!(said(&beneath.folder(Path::new(path)).unwrap()), expected, "{path}");
        }
        assert!(Beneath::open(&inside.join("sub/file")).is_err());
    }
}
