//! docs/INSTALL.md, typed line by line in a plain shell with the files of a release. The last scene: at its end the operator is uninstalled, as the page ends.

use p861_testbed::bed::{BedError, Result};
use p861_testbed::release::{self, IMAGE_REPOSITORY, VERSION};
use p861_testbed::report::Report;
use p861_tests::book::Page;
use p861_tests::install::{SYSTEM, helm, program};
use p861_tests::look::wait_rolled_out;
use p861_tests::scenes::{Scene, demand};
use p861_tests::typist::Typist;
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
const LOOK: [&str; 2] = [
    "kubectl -n p861-system get pods -l app.kubernetes.io/component=operator -o jsonpath='{.items[*].spec.containers[*].image}'",
    "kubectl --context \"$SITE\" -n p861-system get pods -l app.kubernetes.io/component=prober -o jsonpath='{.items[*].spec.containers[*].image}'",
];

/// The page, on any stage. At its end no operator is there.
pub fn installation(stage: &Stage) -> Result<()> {
    let folder = stage.folder().join("install");
    create(&folder)?;
    release_files(&folder)?;
    prepare(stage)?;
    let images = read(stage, &folder).map_err(BedError::Refused)?;
    let image = format!("{IMAGE_REPOSITORY}:{VERSION}");
    demand(images == [format!("{image} {image}"), image], || format!("what runs: {images:?}"))?;
    // The operator is gone, on both sites; what people declared is there.
    for site in stage.bed.sites() {
        let left = site.get(&["deployments", "--namespace", SYSTEM])?;
        demand(left["items"].as_array().is_some_and(Vec::is_empty), || format!("left on {}: {left}", site.name))?;
    }
    let backups = stage.standby()?.get(&["--namespace", "licang", "backups.platform861.io"])?;
    let phases: Vec<&str> = backups["items"].as_array().into_iter().flatten().filter_map(|backup| backup["status"]["phase"].as_str()).collect();
    demand(!phases.is_empty() && phases.iter().all(|phase| *phase == "Succeeded"), || format!("backups: {phases:?}"))?;
    let key = fs::read_to_string(folder.join("dist/repository-key.txt")).unwrap_or_default();
    demand(key.len() > 20, || "the repository's key was not saved".to_owned())
}

/// Types the page, with its reader's values. Gives the images that ran before it came to upgrading.
fn read(stage: &Stage, folder: &Path) -> std::result::Result<Vec<String>, String> {
    let told = |error: BedError| error.to_string();
    let page = with_values(stage, Page::read("docs/INSTALL.md")?)?;
    let programs = [node_programs(stage, folder).map_err(told)?, parent(&stage.bed.components.helm), parent(&stage.bed.components.kubectl)];
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&inherited))).map_err(|error| error.to_string())?;
    let kubeconfig = stage.bed.readers_kubeconfig().map_err(told)?;
    let mut typist = Typist::sit_down(folder, &[("HOME", folder.into()), ("KUBECONFIG", kubeconfig.into()), ("PATH", path)])?;
    let later = ["Upgrade", "Uninstall"];
    typist.read(&page, |block| !later.contains(&block.section.as_str()))?;
    let images = LOOK.iter().map(|command| typist.type_own(command)).collect::<std::result::Result<_, _>>()?;
    typist.read(&page, |block| later.contains(&block.section.as_str()))?;
    typist.done()?;
    Ok(images)
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

/// The page with the reader's values in its first block. The release is the one that the page is about.
fn with_values(stage: &Stage, mut page: Page) -> std::result::Result<Page, String> {
    let told = |error: BedError| error.to_string();
    let identity = stage.bed.services.identity("admin").map_err(told)?;
    let values = [
        ("SITE_SERVER", stage.primary().map_err(told)?.server()),
        ("S3_ENDPOINT", stage.bed.s3().endpoint()),
        ("S3_ACCESS_KEY", identity.access_key),
        ("S3_SECRET_KEY", identity.secret_key),
    ];
    let lines = &mut page.blocks.first_mut().ok_or("the page asks for no values")?.lines;
    for (name, value) in values {
        let prefix = format!("export {name}=");
        let line = lines.iter_mut().find(|line| line.text.starts_with(&prefix)).ok_or_else(|| format!("the page does not ask for {name}"))?;
        line.text = format!("{prefix}'{value}'");
    }
    for own in [format!("export VERSION={VERSION}"), format!("export S3_BUCKET={BUCKET}")] {
        if !lines.iter().any(|line| line.text == own) {
            return Err(format!("the page has no line {own}"));
        }
    }
    Ok(page)
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
