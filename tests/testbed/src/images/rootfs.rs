//! Root file systems from Debian's packages: mmdebstrap extracts them, a script of ours does what their own scripts would have done.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::components::cache::key;
use crate::components::run::{RunError, run};

const LIMIT: Duration = Duration::from_mins(30);

/// The Debian release of every image.
const RELEASE: &str = "bookworm";

/// Every file's time of last change, in seconds: what is made twice is the same twice.
pub const EPOCH_SECONDS: &str = "1700000000";

/// What no image needs: documents, translations, and what only an installation uses.
const EXCLUDED: [&str; 9] = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/bug/*",
    "/usr/share/debconf/*",
    "/usr/lib/systemd/*",
    "/usr/lib/*/gconv/*",
];

/// Why a root file system could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// mmdebstrap failed.
    #[error("the root file system of {name} could not be made: {source}")]
    Mmdebstrap {
        /// The recipe.
        name: &'static str,
        /// How it failed.
        source: RunError,
    },
}

/// What a root file system is made from.
#[derive(Debug, Clone, Copy)]
pub struct Rootfs {
    /// For people.
    pub name: &'static str,
    /// Debian's packages; their dependencies come with them.
    pub packages: &'static [&'static str],
    /// Paths that the packages bring and the image leaves out, as dpkg's path patterns.
    pub excluded: &'static [&'static str],
    /// Files of our own: path in the image, mode, content.
    pub files: &'static [(&'static str, u32, &'static str)],
    /// Shell scripts that finish it, each called with the root as its argument, on this machine and not inside.
    pub scripts: &'static [&'static str],
}

impl Rootfs {
    /// A key over everything that decides what comes out, but for the versions that Debian has today.
    pub fn key(&self) -> String {
        let modes: Vec<[u8; 4]> = self.files.iter().map(|(_, mode, _)| mode.to_le_bytes()).collect();
        let files = self.files.iter().zip(&modes).flat_map(|((path, _, text), mode)| [path.as_bytes(), mode.as_slice(), text.as_bytes()]);
        let lists = [self.packages, self.excluded, self.scripts, &EXCLUDED, &[RELEASE, EPOCH_SECONDS]];
        // The lists' lengths come first, so that a word does not move from one list to the next unseen.
        let lengths = lists.map(|list| list.len().to_le_bytes());
        let words = lists.into_iter().flatten().map(|word| word.as_bytes());
        key(lengths.iter().map(<[u8; 8]>::as_slice).chain(words).chain(files))
    }
}

/// Makes the root file system as a plain tar file at `layer`.
pub fn build(mmdebstrap: &Path, recipe: &Rootfs, layer: &Path) -> Result<(), RootfsError> {
    let work = tempfile::tempdir().map_err(|source| RootfsError::Io { path: std::env::temp_dir(), source })?;
    let files = work.path().join("files");
    for (path, mode, text) in recipe.files {
        write(&files.join(path.trim_start_matches('/')), *mode, text)?;
    }
    let mut command = Command::new(mmdebstrap);
    command.env("SOURCE_DATE_EPOCH", EPOCH_SECONDS).args(["--variant=extract", "--quiet", "--skip=output/dev,cleanup/run"]);
    command.arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr");
    command.arg(format!("--include={}", recipe.packages.join(",")));
    for path in EXCLUDED.iter().chain(recipe.excluded) {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    if !recipe.files.is_empty() {
        command.arg(format!("--extract-hook=cp -R --preserve=mode {}/. \"$1\"/", files.display()));
    }
    for (index, script) in recipe.scripts.iter().enumerate() {
        let path = work.path().join(format!("script-{index}"));
        write(&path, 0o755, script)?;
        command.arg(format!("--extract-hook={} \"$1\"", path.display()));
    }
    run(command.arg(RELEASE).arg(layer), LIMIT).map(drop).map_err(|source| RootfsError::Mmdebstrap { name: recipe.name, source })
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), RootfsError> {
    let error = |source| RootfsError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(error)?;
    }
    fs::write(path, text).map_err(error)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(error)
}

/// Makes a layer with one program, at /usr/local/bin/`name`.
pub fn program_layer(program: &Path, name: &str, layer: &Path) -> Result<(), RunError> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=0755", "--hard-dereference", "--dereference"]);
    // Whatever the program's own path is, in the layer it has this one.
    tar.args(["--absolute-names", "--transform"]).arg(format!("s,.*,usr/local/bin/{name},"));
    run(tar.arg("--file").arg(layer).arg(program), LIMIT).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Rootfs = Rootfs { name: "tool", packages: &["one", "two"], excluded: &[], files: &[("/etc/tool", 0o644, "text")], scripts: &["#!/bin/sh\n"] };

    #[test]
    fn the_key_changes_with_whatever_changes_the_image() {
        let others = [
            Rootfs { packages: &["one"], ..RECIPE },
            Rootfs { packages: &["one"], excluded: &["two"], ..RECIPE },
            Rootfs { files: &[("/etc/tool", 0o755, "text")], ..RECIPE },
            Rootfs { files: &[("/etc/tool", 0o644, "other")], ..RECIPE },
            Rootfs { scripts: &["#!/bin/sh\ntrue\n"], ..RECIPE },
        ];
        for other in others {
            assert_ne!(other.key(), RECIPE.key(), "{other:?}");
        }
    }

    #[test]
    fn a_program_layer_holds_the_program_under_its_name_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("built-somewhere");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let layer = folder.path().join("layer.tar");
        program_layer(&program, "tool", &layer).unwrap();
        let list = run(Command::new("tar").arg("--numeric-owner").arg("-tvf").arg(&layer), LIMIT).unwrap();
        assert_eq!(list.lines().count(), 1, "{list}");
        assert!(list.starts_with("-rwxr-xr-x 0/0") && list.trim_end().ends_with(" usr/local/bin/tool"), "{list}");
    }
}
