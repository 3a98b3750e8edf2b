//! Programs from Debian's packages: looked for first, installed only when missing, and never started as services.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::run::{RunError, run};
use crate::report::Report;

/// Longer than an install of everything over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_mins(20);

/// Folders that hold administrators' programs and are not on every user's PATH.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Debian's way to say that a package's service must not start; see invoke-rc.d(8).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Why a program from Debian is not there.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// Packages are missing and this user cannot install them.
    #[error("these packages are missing: {0}; install them as root: apt-get install --no-install-recommends {0}")]
    NotRoot(String),
    /// There is no apt-get.
    #[error("these programs are missing: {0}, and there is no apt-get here; install them the way of your system")]
    NotDebian(String),
    /// apt-get or systemctl failed.
    #[error("installing {packages} failed: {source}")]
    Install {
        /// The packages.
        packages: String,
        /// How it failed.
        source: RunError,
    },
    /// The note that keeps services from starting could not be written.
    #[error("{POLICY} could not be written: {0}; without it the packages' services would start, so nothing was installed")]
    Policy(std::io::Error),
    /// A package is installed but its program is not where it should be.
    #[error("package {package} is installed but {program} is on no PATH; reinstall it: apt-get install --reinstall {package}")]
    StillMissing {
        /// The program.
        program: &'static str,
        /// Its package.
        package: &'static str,
    },
}

/// A program and the package that brings it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// A name to look for on PATH, or an absolute path.
    pub program: &'static str,
    /// Debian's package.
    pub package: &'static str,
}

/// Finds a program on PATH or in the administrators' folders; an absolute path is only checked.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    find_in(program, env::split_paths(&path).chain(SYSTEM_FOLDERS.iter().map(PathBuf::from)))
}

fn find_in(program: &str, folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    if program.starts_with('/') {
        return is_program(Path::new(program)).then(|| PathBuf::from(program));
    }
    folders.map(|folder| folder.join(program)).find(|path| is_program(path))
}

/// Whether the path is a file that may be executed.
pub fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Finds every wanted program, after installing the packages of those that are missing. The paths are in the order of `wanted`.
pub fn ensure<const N: usize>(wanted: &[Wanted; N], report: &Report) -> Result<[PathBuf; N], DebianError> {
    let packages = missing(wanted, |program| find(program).is_some());
    if !packages.is_empty() {
        install(&packages, report)?;
    }
    let mut paths = wanted.map(|_| PathBuf::new());
    for (path, &Wanted { program, package }) in paths.iter_mut().zip(wanted) {
        *path = find(program).ok_or(DebianError::StillMissing { program, package })?;
    }
    Ok(paths)
}

fn missing(wanted: &[Wanted], is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<&str> = wanted.iter().filter(|one| !is_there(one.program)).map(|one| one.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn install(packages: &[&str], report: &Report) -> Result<(), DebianError> {
    let names = packages.join(" ");
    if find("apt-get").is_none() {
        return Err(DebianError::NotDebian(names));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(DebianError::NotRoot(names));
    }
    let error = |source| DebianError::Install { packages: names.clone(), source };
    report.timed(&format!("Installing {names} from Debian"), || {
        let _policy = NoServices::new().map_err(DebianError::Policy)?;
        run(apt_get().arg("update"), INSTALL_LIMIT).map_err(error)?;
        run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages), INSTALL_LIMIT).map_err(error)?;
        keep_services_off(packages).map_err(error)
    })
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Another apt on the machine (an unattended upgrade) is waited for instead of failing at once.
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
    command
}

/// The bed runs these programs itself; a package's own service would start at the next boot and hold their ports.
fn keep_services_off(packages: &[&str]) -> Result<(), RunError> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    for (package, service) in [
        ("containerd", "containerd.service"),
        ("docker-registry", "docker-registry.service"),
        ("etcd-server", "etcd.service"),
        ("prometheus", "prometheus.service"),
        ("prometheus-alertmanager", "prometheus-alertmanager.service"),
    ] {
        if packages.contains(&package) {
            run(Command::new("systemctl").args(["disable", "--now", service]), Duration::from_mins(1))?;
        }
    }
    Ok(())
}

/// While it lives, packages that are installed do not start their services.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn new() -> std::io::Result<Self> {
        // Refuses only while this process lives: if we are killed before removing it, it no longer matters to anybody.
        let script = format!("#!/bin/sh\n[ -d /proc/{} ] && exit 101\nexit 0\n", std::process::id());
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY) {
            Ok(mut file) => file.write_all(script.as_bytes()).map(|()| Self { ours: true }),
            // The machine has a policy of its own (containers usually do); it stays in force.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { ours: false }),
            Err(error) => Err(error),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            // If it cannot be removed it answers "start" from now on, because this process is gone.
            let _ = fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [Wanted; 3] = [
        Wanted { program: "prometheus", package: "prometheus" },
        Wanted { program: "promtool", package: "prometheus" },
        Wanted { program: "etcd", package: "etcd-server" },
    ];

    #[test]
    fn only_packages_of_missing_programs_are_installed_and_each_once() {
        assert_eq!(missing(&WANTED, |program| program == "etcd"), ["prometheus"]);
        assert_eq!(missing(&WANTED, |_| false), ["etcd-server", "prometheus"]);
        assert!(missing(&WANTED, |_| true).is_empty());
    }

    #[test]
    fn the_first_executable_file_on_the_path_is_found() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(one.path().join("tool"), "not executable").unwrap();
        fs::create_dir(one.path().join("other")).unwrap();
        let program = two.path().join("tool");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let folders = || [one.path().to_owned(), two.path().to_owned()].into_iter();
        assert_eq!(find_in("tool", folders()), Some(program.clone()));
        assert_eq!(find_in("other", folders()), None);
        assert_eq!(find_in(program.to_str().unwrap(), std::iter::empty()), Some(program));
    }
}
