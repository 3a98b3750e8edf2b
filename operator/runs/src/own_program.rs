//! How this process starts its own program again.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What the kernel keeps of the running program, also if its file was removed or replaced.
const RUNNING: &str = "/proc/self/exe";

/// A path of the program that this process runs, and of no other: after an upgrade its file may be gone, or be another version, which would not understand what this one
/// says to it. The file's own path if it is still the same, since a process is shown by the name that it was started by.
///
/// # Errors
/// If `/proc` is not there.
pub fn own_program() -> io::Result<PathBuf> {
    let running = fs::metadata(RUNNING)?;
    let path = fs::read_link(RUNNING)?;
    let is_same = fs::metadata(&path).is_ok_and(|found| (found.dev(), found.ino()) == (running.dev(), running.ino()));
    Ok(if is_same { path } else { Path::new(RUNNING).to_owned() })
}
