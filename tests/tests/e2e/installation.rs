//! docs/INSTALL.md, typed word for word with the files of a release. The last scene: at its end the operator is uninstalled, as the page ends.

use crate::pages::{READER, commands, type_script};
use p861_testbed::bed::{BedError, Result};
use p861_testbed::release::{self, IMAGE_REPOSITORY, VERSION};
use p861_testbed::report::Report;
use p861_tests::install::{SYSTEM, helm, program};
use p861_tests::look::wait_rolled_out;
use p861_tests::scenes::{Scene, demand};
use p861_tests::stage::read;
use p861_tests::{Look as _, Stage};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const SCENES: &[Scene] = &[("the page of installation leads from the files of a release to a first backup, and away again", installation)];

/// How long a command beside the page may take.
const LIMIT: Duration = Duration::from_mins(2);
/// The bucket of the page's district.
const BUCKET: &str = "p861-licang";
/// An application that somebody has.
const APPLICATION: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: licang-hello}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello, namespace: licang-hello}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: hello, image: \"localhost/p861-base:1\", imagePullPolicy: Never, command: [sleep, \"86400\"]}
";
/// Typed where the page has installed everything and not yet begun to upgrade.
const LOOK: &str = r#"
echo "images: $(kubectl -n p861-system get pods -l app.kubernetes.io/component=operator -o jsonpath='{.items[*].spec.containers[*].image}')"
echo "prober: $(kubectl --context "$SITE" -n p861-system get pods -l app.kubernetes.io/component=prober -o jsonpath='{.items[*].spec.containers[*].image}')"
"#;

fn installation(stage: &Stage) -> Result<()> {
    let folder = stage.folder().join("install");
    create(&folder)?;
    release_files(&folder)?;
    prepare(stage)?;
    let kubeconfig = stage.bed.readers_kubeconfig()?;
    let programs = [node_programs(stage, &folder)?, parent(&stage.bed.components.helm), parent(&stage.bed.components.kubectl)];

    let page = read("docs/INSTALL.md")?;
    let (first, rest) = page.split_once("\n## Upgrade\n").ok_or_else(|| BedError::Refused("the page has no section Upgrade".to_owned()))?;
    let text = format!("{READER}{}{LOOK}{}", with_values(stage, &commands(first))?, commands(rest));
    let said = type_script(stage, "docs/INSTALL.md", &text, &programs, |command| {
        command.current_dir(&folder).env("HOME", &folder).env("KUBECONFIG", &kubeconfig);
    })?;

    let image = format!("{IMAGE_REPOSITORY}:{VERSION}");
    for line in [format!("images: {image} {image}"), format!("prober: {image}"), format!("kubectl-p861 {VERSION}")] {
        demand(said.lines().any(|found| found == line), || format!("no line \"{line}\": {said}"))?;
    }
    // The operator is gone, on both sites; what people declared is there.
    for site in stage.bed.sites() {
        let left = site.get(&["deployments", "--namespace", SYSTEM])?;
        demand(left["items"].as_array().is_some_and(Vec::is_empty), || format!("left on {}: {left}", site.name))?;
    }
    let backups = stage.standby()?.get(&["--namespace", "licang", "backups.platform861.io"])?;
    let phases: Vec<&str> = backups["items"].as_array().into_iter().flatten().filter_map(|backup| backup["status"]["phase"].as_str()).collect();
    demand(!phases.is_empty() && phases.iter().all(|phase| *phase == "Succeeded"), || format!("backups: {phases:?}\n{said}"))?;
    let key = fs::read_to_string(folder.join("dist/repository-key.txt")).unwrap_or_default();
    demand(key.len() > 20, || "the repository's key was not saved".to_owned())
}

/// What `make release PROFILE=debug` writes into dist.
fn release_files(folder: &Path) -> Result<()> {
    let options = release::Options { programs: parent(&program("p861-operator")?), folder: folder.join("dist"), url: None };
    release::make(&options, &Report::silent()).map_err(|error| BedError::Refused(error.to_string()))
}

/// What the reader of the page has: two clusters without an operator, an application, a bucket.
fn prepare(stage: &Stage) -> Result<()> {
    let (primary, hub) = (stage.primary()?, stage.standby()?);
    for (site, releases) in [(primary, &["p861"][..]), (hub, &["p861", "p861-crds"])] {
        for name in releases {
            helm(&stage.bed, site, &["uninstall", name, "--namespace", SYSTEM, "--ignore-not-found"])?;
        }
    }
    stage.bed.s3().create_bucket(BUCKET, true)?;
    stage.apply(primary, "hello.yaml", APPLICATION)?;
    wait_rolled_out(primary, LIMIT, "licang-hello", "deployment/hello")
}

/// A folder with the program `ctr`: the page says to type it on each node of both clusters.
fn node_programs(stage: &Stage, folder: &Path) -> Result<PathBuf> {
    let programs = folder.join("node");
    create(&programs)?;
    let ctr = stage.bed.components.ctr.display();
    let nodes: String =
        stage.bed.sites().iter().map(|site| format!("{ctr} --address '{}' \"$@\"", site.containerd_socket().display())).collect::<Vec<_>>().join("\n");
    write(&programs.join("ctr"), &format!("#!/bin/sh\nset -e\n{nodes}"), 0o755)?;
    Ok(programs)
}

/// The commands with the reader's values in their first lines. The release is the one that the page is about.
fn with_values(stage: &Stage, commands: &str) -> Result<String> {
    let identity = stage.bed.services.identity("admin")?;
    let values = [
        ("SITE_SERVER", stage.primary()?.server()),
        ("S3_ENDPOINT", stage.bed.s3().endpoint()),
        ("S3_ACCESS_KEY", identity.access_key),
        ("S3_SECRET_KEY", identity.secret_key),
    ];
    let mut text = commands.to_owned();
    for (name, value) in values {
        let prefix = format!("export {name}=");
        let line = commands.lines().find(|line| line.starts_with(&prefix)).ok_or_else(|| BedError::Refused(format!("the page does not ask for {name}")))?;
        text = text.replace(line, &format!("{prefix}'{value}'"));
    }
    for own in [format!("export VERSION={VERSION}\n"), format!("export S3_BUCKET={BUCKET}\n")] {
        demand(text.contains(&own), || format!("the page has no line {own}"))?;
    }
    Ok(text)
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| BedError::Io { path: folder.to_owned(), source })
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let io = |source| BedError::Io { path: path.to_owned(), source };
    fs::write(path, text).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode))).map_err(io)
}
