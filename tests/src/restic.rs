//! Stock restic as the independent reader of the district's repository.

use crate::install::decoded;
use crate::look::Look as _;
use crate::stage::{BUCKET, DISTRICT, Stage};
use p861_testbed::bed::{BedError, Result};
use p861_testbed::components::run::run;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long restic may take.
const LIMIT: Duration = Duration::from_mins(5);

/// Runs restic on the district's repository, and gives what it printed. Keys go by environment, never on a command line.
pub fn restic(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let secret = stage.standby()?.get(&["--namespace", DISTRICT, "secret", "repository-key"])?;
    let password = decoded(secret["data"]["password"].as_str().unwrap_or_default())?;
    let identity = stage.bed.services.identity(BUCKET)?;
    let mut command = Command::new(&stage.bed.components.restic);
    command.args(["--no-cache", "--quiet"]).args(arguments);
    command.env("RESTIC_REPOSITORY", format!("s3:{}/{BUCKET}", stage.bed.s3().endpoint())).env("RESTIC_PASSWORD", password);
    command.env("AWS_ACCESS_KEY_ID", identity.access_key).env("AWS_SECRET_ACCESS_KEY", identity.secret_key);
    run(&mut command, LIMIT).map_err(|source| BedError::Run { what: format!("restic {}", arguments.first().unwrap_or(&"")), source: Box::new(source) })
}

/// Files of a folder in a pod that its application does not write all the time, with their digests.
pub fn digests_in_pod(stage: &Stage, namespace: &str, pod: &str, folder: &str, parts: &[&str]) -> Result<BTreeMap<String, String>> {
    let script = format!("cd {folder} && find {} -type f -exec sha256sum {{}} +", parts.join(" "));
    let text = stage.primary()?.kubectl(&["exec", "--namespace", namespace, pod, "--", "sh", "-c", &script])?;
    Ok(listed(&text))
}

/// The same of a folder here.
pub fn digests_here(folder: &Path, parts: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("find {} -type f -exec sha256sum {{}} +", parts.join(" "))]).current_dir(folder);
    run(&mut command, LIMIT).map(|text| listed(&text)).map_err(|source| BedError::Run { what: "sha256sum".to_owned(), source: Box::new(source) })
}

fn listed(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once("  ")).map(|(digest, path)| (path.to_owned(), digest.to_owned())).collect()
}

/// Restores a snapshot with stock restic and compares the portal's files with those in its pod. Gives how many were compared.
pub fn compare_portal(stage: &Stage, snapshot: &str, folder: &Path) -> Result<usize> {
    restic(stage, &["restore", snapshot, "--target", &folder.to_string_lossy()])?;
    let parts = ["conf", "data/pages", "data/media", "data/attic"];
    let restored = digests_here(&folder.join("volumes/site-files"), &parts)?;
    let original = digests_in_pod(stage, "shinan-portal", "deployment/portal-web", "/srv/site", &parts)?;
    if restored.is_empty() || restored != original {
        let differing: Vec<&String> = original.keys().chain(restored.keys()).filter(|path| original.get(*path) != restored.get(*path)).take(10).collect();
        return Err(BedError::Refused(format!(
            "what restic restored differs from the pod's files: {differing:?} ({} files in the pod, {} restored)",
            original.len(),
            restored.len()
        )));
    }
    Ok(original.len())
}
