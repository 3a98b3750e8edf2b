//! The CRDs of the external snapshotter, from its Go module: VolumeSnapshot, VolumeSnapshotContent, VolumeSnapshotClass.
//!
//! A CSI driver that takes snapshots can't be had beside them: the module proxy refuses `csi-driver-host-path` and `node-driver-registrar`.

use std::fs;
use std::path::{Path, PathBuf};

use super::ComponentsError;
use super::cache::{Cache, Leftover};
use super::go::{self, GoError, Module};
use crate::report::Report;

/// The module, and what it must be.
const MODULE: Module =
    Module { path: "github.com/kubernetes-csi/external-snapshotter/client/v8", version: "v8.7.0", sum: "h1:HVaSUeRRHPu49aSiL8eXOjS9Re9G6pM0NzdTGI7mM14=" };
/// What a file's name begins with.
const GROUP: &str = "snapshot.storage.k8s.io_";

/// The folder with one YAML file for each of the three; downloaded once.
///
/// # Errors
/// If the module can't be downloaded, or its files can't be copied.
pub fn ensure(report: &Report) -> Result<PathBuf, ComponentsError> {
    let cache = Cache::of_user()?;
    let lock = cache.lock(report)?;
    cache.add(&lock, &format!("snapshot-crds-{}", MODULE.version), Leftover::Discard, |folder| {
        let module = go::download(&cache, &lock, &MODULE, report)?;
        copy(&module.join("config/crd"), folder).map_err(|source| ComponentsError::from(GoError::Io { path: module, source }))
    })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(GROUP) {
            fs::write(to.join(entry.file_name()), fs::read(entry.path())?)?;
        }
    }
    Ok(())
}
