//! Manifests that Go modules carry: objects that other people wrote, for tests. They are fetched by version and checksum and kept in the cache, never in this repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::cache::{Cache, CacheError, CacheLock, Leftover, key};
use super::go::{GoError, go, go_command};
use super::run::{RunError, run};
use crate::report::Report;

/// How long the download of one module may take.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(10);

/// Why manifests are not there.
#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// There is no Go.
    #[error(transparent)]
    Go(#[from] GoError),
    /// The module could not be downloaded.
    #[error("module {module} could not be downloaded: {source}")]
    Download {
        /// The module and version.
        module: String,
        /// How it failed.
        source: RunError,
    },
    /// Go downloaded something else than what was looked at when its checksum was written down.
    #[error("module {module} has the checksum {found:?}, not {expected}: it is not used")]
    OtherContent {
        /// The module and version.
        module: String,
        /// Its checksum; empty if Go named none.
        found: String,
        /// The checksum that it must have.
        expected: &'static str,
    },
    /// The module does not hold what it is known to hold.
    #[error("module {module} holds no manifest in {path}")]
    NotInside {
        /// The module and version.
        module: String,
        /// The file or folder.
        path: &'static str,
    },
    /// A file could not be copied into the cache.
    #[error("{} could not be copied: {source}", path.display())]
    Io {
        /// The file or folder of the module.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A Go module that carries manifests.
#[derive(Debug, Clone, Copy)]
pub struct Carrier {
    /// The cache entry's name begins with it.
    pub name: &'static str,
    /// The module's path.
    pub module: &'static str,
    /// Its version, exactly.
    pub version: &'static str,
    /// Its checksum, as `go.sum` has it: `h1:…`.
    pub sum: &'static str,
    /// Files and folders of the module. Of a folder, every YAML file below it is taken.
    pub paths: &'static [&'static str],
}

impl Carrier {
    fn pinned(&self) -> String {
        format!("{}@{}", self.module, self.version)
    }

    /// The cache entry: name, version and a key over everything that decides what is in it.
    fn entry(&self) -> String {
        let parts = [self.module, self.version, self.sum].into_iter().chain(self.paths.iter().copied());
        format!("manifests-{}-{}-{}", self.name, self.version, key(parts.map(str::as_bytes)))
    }
}

/// The folder that holds a carrier's manifests under their paths in the module, after fetching those that are not there. The modules themselves stay in Go's own
/// cache, where a build finds them again.
pub fn ensure(carriers: &[Carrier], report: &Report) -> Result<Vec<PathBuf>, ManifestsError> {
    let cache = Cache::of_user()?;
    let lock = cache.lock(report)?;
    carriers.iter().map(|carrier| ensure_one(&cache, &lock, carrier, report)).collect()
}

fn ensure_one(cache: &Cache, lock: &CacheLock, carrier: &Carrier, report: &Report) -> Result<PathBuf, ManifestsError> {
    cache.add(lock, &carrier.entry(), Leftover::Discard, |folder| {
        let go = go(cache, lock, report)?;
        let module = report.timed(&format!("Fetching the manifests of {}", carrier.pinned()), || fetch(&go, carrier))?;
        take(&module, carrier, folder)
    })
}

/// Has Go download the module, and gives its folder in Go's cache.
fn fetch(go: &Path, carrier: &Carrier) -> Result<PathBuf, ManifestsError> {
    // Outside of any module: the module alone is fetched, without what it depends on.
    let nowhere = tempfile::tempdir().map_err(|source| ManifestsError::Io { path: std::env::temp_dir(), source })?;
    let mut command = go_command(go, nowhere.path());
    command.args(["mod", "download", "-json", &carrier.pinned()]);
    let answer = run(&mut command, DOWNLOAD_LIMIT).map_err(|source| ManifestsError::Download { module: carrier.pinned(), source })?;
    checked(&answer, carrier)
}

/// What `go mod download -json` prints.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Downloaded {
    dir: PathBuf,
    sum: String,
}

fn checked(answer: &str, carrier: &Carrier) -> Result<PathBuf, ManifestsError> {
    let Downloaded { dir, sum } = serde_json::from_str(answer).unwrap_or_default();
    if sum != carrier.sum || dir.as_os_str().is_empty() {
        return Err(ManifestsError::OtherContent { module: carrier.pinned(), found: sum, expected: carrier.sum });
    }
    Ok(dir)
}

/// Copies the carrier's manifests out of the module.
fn take(module: &Path, carrier: &Carrier, folder: &Path) -> Result<(), ManifestsError> {
    for path in carrier.paths.iter().copied() {
        let from = module.join(path);
        let copied = copy(&from, &folder.join(path)).map_err(|source| ManifestsError::Io { path: from, source })?;
        if copied == 0 {
            return Err(ManifestsError::NotInside { module: carrier.pinned(), path });
        }
    }
    Ok(())
}

/// Copies a YAML file, or all below a folder, and counts them.
fn copy(from: &Path, to: &Path) -> io::Result<usize> {
    if from.is_dir() {
        let mut copied = 0;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copied += copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(copied);
    }
    if !from.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        return Ok(0);
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    // Without its mode: nobody may write the files of Go's cache.
    fs::write(to, fs::read(from)?)?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARRIER: Carrier = Carrier { name: "demo", module: "example.org/demo", version: "v1.0.0", sum: "h1:abc=", paths: &["deploy", "bundle.yaml"] };

    #[test]
    fn a_module_with_another_checksum_is_not_used() {
        assert_eq!(checked(r#"{"Path": "example.org/demo", "Dir": "/go/demo", "Sum": "h1:abc="}"#, &CARRIER).unwrap(), Path::new("/go/demo"));
        for answer in [r#"{"Dir": "/go/demo", "Sum": "h1:other="}"#, r#"{"Dir": "/go/demo"}"#, r#"{"Sum": "h1:abc="}"#, "not JSON"] {
            let error = checked(answer, &CARRIER).unwrap_err();
            assert!(matches!(error, ManifestsError::OtherContent { .. }), "{answer}: {error}");
        }
    }

    #[test]
    fn only_manifests_are_taken_and_a_path_without_any_is_named() {
        let (module, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(module.path().join("deploy/crd")).unwrap();
        for file in ["bundle.yaml", "deploy/crd/one.yml", "deploy/main.go", "deploy/README.md"] {
            fs::write(module.path().join(file), file).unwrap();
        }
        take(module.path(), &CARRIER, folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("deploy/crd/one.yml")).unwrap(), "deploy/crd/one.yml");
        assert!(folder.path().join("bundle.yaml").is_file());
        assert!(!folder.path().join("deploy/main.go").exists() && !folder.path().join("deploy/README.md").exists());
        let wrong = Carrier { paths: &["bundle.yaml", "elsewhere"], ..CARRIER };
        let error = take(module.path(), &wrong, folder.path()).unwrap_err();
        assert!(matches!(error, ManifestsError::NotInside { path: "elsewhere", .. }), "{error}");
    }

    #[test]
    fn the_cache_entry_changes_with_whatever_changes_the_manifests() {
        let others = [
            Carrier { module: "example.org/other", ..CARRIER },
            Carrier { version: "v1.0.1", ..CARRIER },
            Carrier { sum: "h1:def=", ..CARRIER },
            Carrier { paths: &["deploy"], ..CARRIER },
        ];
        for other in others {
            assert_ne!(other.entry(), CARRIER.entry());
        }
        assert!(CARRIER.entry().starts_with("manifests-demo-v1.0.0-"));
    }
}
