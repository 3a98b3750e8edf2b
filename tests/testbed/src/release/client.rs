//! The command line, packed: an archive with completions and manual pages, and one with the program alone for krew.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{Result, VERSION, io, platform, run_for, source};
use crate::images;

/// The shells that `p861 completions` knows, and the name under which each looks for the file.
const COMPLETIONS: [(&str, &str); 3] = [("bash", "p861.bash"), ("zsh", "_p861"), ("fish", "p861.fish")];

/// Writes both archives into a folder.
pub fn write(programs: &Path, to: &Path) -> Result<()> {
    let work = tempfile::tempdir().map_err(io(&std::env::temp_dir()))?;
    let name = format!("p861-{VERSION}-{}", platform());
    let folder = work.path().join(&name);
    let program = folder.join("p861");
    create(&folder)?;
    copy(&programs.join("p861"), &program)?;
    copy(&source().join("LICENSE"), &folder.join("LICENSE"))?;
    pack(work.path(), &name, &["p861", "LICENSE"], &to.join(plugin_archive()))?;

    // kubectl finds a plugin by its file's name; the program answers by the name that it was called by.
    let plugin = folder.join("kubectl-p861");
    symlink("p861", &plugin).map_err(io(&plugin))?;
    create(&folder.join("completions"))?;
    for (shell, file) in COMPLETIONS {
        let script = run_for(&format!("no completions for {shell}"), Command::new(&program).args(["completions", shell]))?;
        let path = folder.join("completions").join(file);
        fs::write(&path, script).map_err(io(&path))?;
    }
    let pages = folder.join("man/man1");
    create(&pages)?;
    run_for("no manual pages", Command::new(&program).args(["--lang", "en", "man"]).arg(&pages))?;
    pack(work.path(), "", &[&name], &to.join(format!("{name}.tar.gz")))
}

/// The archive that the krew manifest names. krew refuses an archive that holds a link.
pub fn plugin_archive() -> String {
    format!("kubectl-p861-{VERSION}-{}.tar.gz", platform())
}

/// The manifest of the plugin `p861` for krew, with the archive's URL and digest.
pub fn krew_manifest(url: &str, digest: &str) -> String {
    let archive = plugin_archive();
    let architecture = images::architecture();
    format!(
        "# The kubectl plugin p861, for krew. From this folder:
#   kubectl krew install --manifest=p861.yaml --archive={archive}
# Published, uri is where krew downloads the archive: make release URL=https://… writes it.
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: p861
spec:
  version: v{VERSION}
  shortDescription: Back up, restore and drill applications
  description: |
    The command line of Platform 861: disaster recovery for Kubernetes. Backs
    up applications, proves each backup by restoring it in isolation, and
    measures the recovery time. Needs the operator of Platform 861 on a hub.
  platforms:
  - selector:
      matchLabels:
        os: linux
        arch: {architecture}
    uri: {url}
    sha256: {digest}
    files:
    - {{from: p861, to: .}}
    - {{from: LICENSE, to: .}}
    bin: p861
"
    )
}

/// Packs `members` of a folder. Order, owners, modes and times are fixed, so that the same files give the same archive.
fn pack(work: &Path, folder: &str, members: &[&str], archive: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX", "--use-compress-program=gzip -n"]);
    tar.arg(format!("--mtime=@{}", images::EPOCH_SECONDS));
    tar.arg("--file").arg(archive).arg("--directory").arg(work.join(folder)).args(members);
    run_for(&format!("{} could not be packed", archive.display()), &mut tar).map(drop)
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(io(folder))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).map_err(io(from))
}
