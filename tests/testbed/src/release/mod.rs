//! The files that users install: image, charts, command line, bill of materials, checksums. Made on this machine; no registry is needed.

mod client;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::components::{self, ComponentsError, Packagers, run::RunError, run::run};
use crate::images::{self, ImagesError};
use crate::report::Report;

/// The version of everything in a release; a test compares the charts' with it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The registry and name that the chart asks for when nobody sets `operator.image.repository`.
pub const IMAGE_REPOSITORY: &str = "platform861.io/p861-operator";
/// The charts, in the order of their installation.
const CHARTS: [&str; 2] = ["p861-crds", "p861"];
/// The file that lists the others. A folder with one may be replaced by the next release.
const CHECKSUMS: &str = "SHA256SUMS";
/// How long helm, tar or cargo may take.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(10);

/// Why a release could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A program that makes packages is missing.
    #[error(transparent)]
    Components(#[from] ComponentsError),
    /// The image could not be made.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// A program failed.
    #[error("{what}: {source}")]
    Run {
        /// What it was called for.
        what: String,
        /// How it failed.
        source: RunError,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A person can mend it.
    #[error("{0}")]
    Refused(String),
}

/// A result of this module.
pub type Result<T> = std::result::Result<T, ReleaseError>;

/// What a release is made from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder with the programs `p861` and `p861-operator`.
    pub programs: PathBuf,
    /// The folder to write. It must be new, empty, or hold an earlier release, which it replaces.
    pub folder: PathBuf,
    /// The URL of the folder in which the files will be published. Without it the krew manifest names the local file.
    pub url: Option<String>,
}

/// The repository's root.
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `linux-amd64`: the platform of this program, and so of what it packs.
pub fn platform() -> String {
    format!("linux-{}", images::architecture())
}

/// Writes a release. The same programs and sources give the same files, byte for byte.
///
/// # Errors
/// If a program is missing or of another version, the folder holds something else, or a packager fails. The folder is then unchanged.
pub fn make(options: &Options, report: &Report) -> Result<()> {
    refuse_other_folders(&options.folder)?;
    for name in ["p861", "p861-operator"] {
        refuse_other_versions(&options.programs, name)?;
    }
    let packagers = components::packagers(report)?;
    // Beside its place, so that it can be moved there whole.
    let part = options.folder.with_added_extension("part");
    remove(&part)?;
    fs::create_dir_all(&part).map_err(io(&part))?;
    let part = part.canonicalize().map_err(io(&part))?;
    write_files(options, &packagers, &part, report)?;
    remove(&options.folder)?;
    fs::rename(&part, &options.folder).map_err(io(&options.folder))
}

fn write_files(options: &Options, packagers: &Packagers, part: &Path, report: &Report) -> Result<()> {
    report.timed("Packing the image", || {
        let reference = format!("{IMAGE_REPOSITORY}:{VERSION}");
        let image = images::release(&packagers.mmdebstrap, &options.programs.join("p861-operator"), &reference, report)?;
        let archive = part.join(format!("p861-operator-{VERSION}-{}.oci.tar", platform()));
        fs::copy(&image.archive, &archive).map(drop).map_err(io(&archive))
    })?;
    report.timed("Packing the charts", || CHARTS.iter().try_for_each(|chart| package_chart(&packagers.helm, chart, part)))?;
    report.timed("Packing the command line", || client::write(&options.programs, part))?;
    report.timed("Writing the bill of materials", || {
        let path = part.join(format!("p861-{VERSION}.cdx.json"));
        fs::write(&path, format!("{:#}\n", sbom::of_source(&source())?)).map_err(io(&path))
    })?;
    let plugin = client::plugin_archive();
    let url = match &options.url {
        Some(url) => format!("{}/{plugin}", url.trim_end_matches('/')),
        None => format!("file://{}", absolute(&options.folder)?.join(&plugin).display()),
    };
    let manifest = client::krew_manifest(&url, &digest(&part.join(&plugin))?);
    let path = part.join("p861.yaml");
    fs::write(&path, manifest).map_err(io(&path))?;
    write_checksums(part)
}

/// In the form that `sha256sum --check` reads.
fn write_checksums(folder: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        names.push(entry.map_err(io(folder))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let lines = names.iter().map(|name| Ok(format!("{}  {name}\n", digest(&folder.join(name))?))).collect::<Result<String>>()?;
    let path = folder.join(CHECKSUMS);
    fs::write(&path, lines).map_err(io(&path))
}

fn package_chart(helm: &Path, chart: &str, to: &Path) -> Result<()> {
    let work = tempfile::tempdir().map_err(io(&std::env::temp_dir()))?;
    let copy = work.path().join(chart);
    let what = format!("the chart {chart} could not be packed");
    run_for(&what, Command::new("cp").args(["-R", "--no-preserve=all"]).arg(source().join("charts").join(chart)).arg(&copy))?;
    // helm packs the times of the files, which are those of a checkout.
    let time = format!("--date=@{}", images::EPOCH_SECONDS);
    run_for(&what, Command::new("find").arg(&copy).args(["-exec", "touch", &time, "{}", "+"]))?;
    run_for(&what, Command::new(helm).args(["package", "--version", VERSION, "--app-version", VERSION, "--destination"]).arg(to).arg(&copy)).map(drop)
}

/// A release replaces a release, and nothing that somebody keeps.
fn refuse_other_folders(folder: &Path) -> Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(folder)(error)),
    };
    if folder.join(CHECKSUMS).is_file() || entries.next().is_none() {
        return Ok(());
    }
    Err(ReleaseError::Refused(format!("{} holds other files than a release: remove them, or name another folder with --to", folder.display())))
}

/// Old programs in new packages would be found out on somebody's cluster.
fn refuse_other_versions(programs: &Path, name: &str) -> Result<()> {
    let program = programs.join(name);
    if !program.is_file() {
        return Err(ReleaseError::Refused(format!("{} is not built: make release builds it", program.display())));
    }
    let says = run_for(&format!("{name} does not tell its version"), Command::new(&program).arg("--version"))?;
    if says.trim() == format!("{name} {VERSION}") {
        return Ok(());
    }
    Err(ReleaseError::Refused(format!("{} is {}, and this release is {VERSION}: build it again", program.display(), says.trim())))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(io(path))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(folder)(error)),
        _ => Ok(()),
    }
}

fn run_for(what: &str, command: &mut Command) -> Result<String> {
    run(command, COMMAND_TIMEOUT).map_err(|source| ReleaseError::Run { what: what.to_owned(), source })
}

fn digest(path: &Path) -> Result<String> {
    images::digest(path).map_err(ReleaseError::from)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ReleaseError {
    let path = path.to_owned();
    move |source| ReleaseError::Io { path, source }
}

/// JSON that a program printed.
fn parse(what: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| ReleaseError::Refused(format!("{what} is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_replaces_a_release_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("dist");
        refuse_other_folders(&here).unwrap();
        fs::create_dir(&here).unwrap();
        refuse_other_folders(&here).unwrap();
        fs::write(here.join("notes"), "mine").unwrap();
        let said = refuse_other_folders(&here).unwrap_err().to_string();
        assert!(said.contains("holds other files than a release"), "{said}");
        fs::write(here.join(CHECKSUMS), "").unwrap();
        refuse_other_folders(&here).unwrap();
    }

    #[test]
    fn a_program_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = refuse_other_versions(folder.path(), "p861").unwrap_err().to_string();
        assert!(said.contains("is not built"), "{said}");
        std::os::unix::fs::symlink("/bin/echo", folder.path().join("p861")).unwrap();
        let said = refuse_other_versions(folder.path(), "p861").unwrap_err().to_string();
        assert!(said.contains(&format!("this release is {VERSION}")), "{said}");
    }
}
