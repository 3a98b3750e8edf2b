//! Repositories in folders of the machine that this process runs on. Districts write their paths, so they are confined to one folder that the installation names.

use crate::error::{Error, Result};
use p861_core::protection::folder::{FolderFault, below};
use p861_crds::Reason;
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, mkdirat, open, openat2},
    io::Errno,
};
use std::{
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

/// Environment variable with the folder below which repositories may be. Movers that are child processes inherit it.
pub const FOLDER_VARIABLE: &str = "P861_FOLDERS";

/// The folder below which repositories may be; the default has none.
#[derive(Clone, Debug, Default)]
pub struct FolderRoot(Option<PathBuf>);

impl FolderRoot {
    /// Below this folder; nowhere if the path is empty.
    ///
    /// # Errors
    /// If the path is not absolute.
    pub fn new(path: &Path) -> std::result::Result<Self, String> {
        if path.as_os_str().is_empty() {
            return Ok(Self(None));
        }
        if !path.is_absolute() || path.components().any(|part| matches!(part, Component::ParentDir)) {
            return Err(format!("the folder of repositories {} is no absolute path without ..", path.display()));
        }
        Ok(Self(Some(path.to_owned())))
    }

    /// The folder of this process's environment.
    ///
    /// # Errors
    /// If the path is not absolute.
    pub fn of_environment() -> std::result::Result<Self, String> {
        Self::new(Path::new(&std::env::var_os(FOLDER_VARIABLE).unwrap_or_default()))
    }

    /// The path of a repository's folder, which is made if it is missing. No part of it below the installation's folder is a link.
    ///
    /// # Errors
    /// If the installation doesn't allow it, or it leads out by a link.
    pub fn admit(&self, path: &str) -> Result<PathBuf> {
        let refused = |fault: FolderFault| Error::invalid(Reason::FolderRefused, fault.to_string());
        let rest = below(self.0.as_deref(), path).map_err(refused)?;
        let root = self.0.as_deref().unwrap_or(Path::new("/"));
        let failed = |part: &Path, error: Errno| match error {
            // Of what the kernel says of a link where none may be, and of a file.
            Errno::LOOP | Errno::XDEV | Errno::NOTDIR => refused(FolderFault::Link { path: path.to_owned(), part: part.display().to_string() }),
            error => Error::transient(Reason::StoreError, format!("spec.folder.path {path}: {}: {error}", part.display())),
        };
        let mut folder = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|error| failed(root, error))?;
        let mut reached = root.to_owned();
        for part in rest.components() {
            reached.push(part);
            folder = enter(&folder, Path::new(part.as_os_str())).map_err(|error| failed(&reached, error))?;
        }
        Ok(reached)
    }
}

/// Opens a folder in a folder, and makes it if it is missing.
fn enter(folder: &OwnedFd, name: &Path) -> std::result::Result<OwnedFd, Errno> {
    let open = || openat2(folder, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS);
    match open() {
        Err(Errno::NOENT) => match mkdirat(folder, name, Mode::RWXU | Mode::RGRP | Mode::XGRP) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(error) => Err(error),
        },
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn fault_e18_a_repository_in_a_folder_is_opened_below_the_installations_folder_and_never_through_a_link() {
        let machine = tempfile::tempdir().unwrap();
        let (root, secret) = (machine.path().join("backups"), machine.path().join("secret"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&secret).unwrap();
        let folders = FolderRoot::new(&root).unwrap();
        let path = |rest: &str| format!("{}/{rest}", root.display());
        assert_eq!(folders.admit(&path("shinan/one")).unwrap(), root.join("shinan/one"));
        assert!(root.join("shinan/one").is_dir(), "it is made");
        assert!(folders.admit(&path("shinan/one")).is_ok(), "and found");
        symlink(&secret, root.join("out")).unwrap();
        symlink(root.join("shinan"), root.join("in")).unwrap();
        symlink("/", root.join("shinan/top")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        for rest in ["out", "out/new", "in/one", "shinan/top/etc", "file", "file/x"] {
            let error = folders.admit(&path(rest)).unwrap_err();
            assert_eq!(error.reason(), Reason::FolderRefused, "{rest}: {error}");
            assert!(error.to_string().contains("is a link or no folder"), "{error}");
        }
        assert_eq!(fs::read_dir(&secret).unwrap().count(), 0, "nothing was made there");
        for outside in [secret.display().to_string(), path("../secret"), "/etc".to_owned(), root.display().to_string()] {
            assert_eq!(folders.admit(&outside).unwrap_err().reason(), Reason::FolderRefused, "{outside}");
        }
        let none = FolderRoot::default().admit(&path("shinan/one")).unwrap_err();
        assert!(none.reason() == Reason::FolderRefused && none.to_string().contains("operator.folders.path"), "{none}");
        assert!(FolderRoot::new(Path::new("relative")).is_err() && FolderRoot::new(Path::new("/a/../b")).is_err());
        // The installation's own folder may be a link: whoever installs names it.
        symlink(&root, machine.path().join("alias")).unwrap();
        let alias = FolderRoot::new(&machine.path().join("alias")).unwrap();
        assert!(alias.admit(&format!("{}/alias/shinan", machine.path().display())).is_ok());
    }
}
