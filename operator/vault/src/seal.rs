//! Sealing: merges the parts of a run into one snapshot.

use crate::{PartSpec, Repository, VaultError, parts::run_tag, snapshots::SEALED};
use jiff::Timestamp;
use rustic_core::{
    SnapshotOptions, last_modified_node,
    repofile::{SnapshotFile, SnapshotSummary, StringList},
};
use std::str::FromStr as _;

/// What is sealed.
#[derive(Clone, Debug)]
pub struct SealSpec {
    /// UID of the run.
    pub run: String,
    /// The site.
    pub host: String,
    /// The recovery point: the snapshot's time.
    pub time: Timestamp,
    /// Tags besides our own; no commas.
    pub tags: Vec<String>,
    /// Parts that must be there.
    pub parts: Vec<String>,
    /// Becomes `inventory.json`.
    pub inventory: serde_json::Value,
    /// The application.
    pub label: String,
}

/// A sealed snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// restic's id.
    pub snapshot: String,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that sealing itself added.
    pub added: u64,
}

/// Where the inventory is in a snapshot.
pub(crate) const INVENTORY: &str = "inventory.json";

impl Repository {
    /// Merges the parts into one snapshot and removes them. Doing it again finds the snapshot, and removes parts that are left. `may_store` is asked right before
    /// the snapshot is stored: whoever has lost the repository's lease must not store one, since a prune may have removed what it refers to.
    ///
    /// # Errors
    /// If a part is missing, or the repository can't be read or written.
    pub fn seal(&self, spec: &SealSpec, may_store: &dyn Fn() -> Result<(), VaultError>) -> Result<Sealed, VaultError> {
        let run = run_tag(&spec.run);
        if let Some(sealed) = self.of_run(&spec.run)?.into_iter().find(|snapshot| snapshot.tags.contains(SEALED)) {
            return self.finish(&spec.run, &sealed, 0);
        }
        let text =
            serde_json::to_vec_pretty(&spec.inventory).map_err(|error| VaultError::Other { what: "write the inventory".into(), message: error.to_string() })?;
        let inventory = PartSpec { run: &spec.run, part: INVENTORY, host: &spec.host, parent: None };
        self.write_stream(&inventory, Box::new(std::io::Cursor::new(text)), &|_| {})?;
        let mut parts = Vec::new();
        for name in spec.parts.iter().map(String::as_str).chain([INVENTORY]) {
            let part = self.part(&spec.run, name)?;
            parts.push(part.ok_or_else(|| VaultError::SnapshotMissing {
                id: format!("part {name}"),
                what: "it was not stored by its mover, or a prune without our lease removed it".into(),
            })?);
        }
        // The index is read only now, with all parts in it.
        let repository = self.indexed()?;
        let mut summary = SnapshotSummary::default();
        let trees: Vec<_> = parts.iter().map(|part| part.tree).collect();
        let tree = self.engine("merge the parts", repository.merge_trees(&trees, &last_modified_node, &mut summary))?;
        let merged_added = summary.data_added_packed;
        let mut snapshot = self.engine("make a snapshot", SnapshotOptions::default().host(spec.host.clone()).to_snapshot())?;
        snapshot.tree = tree;
        snapshot.label.clone_from(&spec.label);
        snapshot.time = spec.time.to_zoned(jiff::tz::TimeZone::UTC);
        let all: Vec<String> = spec.tags.iter().cloned().chain([run.clone(), SEALED.to_owned()]).collect();
        snapshot.tags = StringList::from_str(&all.join(",")).map_err(|error| VaultError::Other { what: "make tags".into(), message: error.to_string() })?;
        // So that whoever plans a restore reads the parts from the snapshot's own small file, without an index.
        let paths: Vec<String> = spec.parts.iter().map(String::as_str).chain([INVENTORY]).map(|part| format!("/{part}")).collect();
        snapshot.paths = StringList::from_str(&paths.join(",")).map_err(|error| VaultError::Other { what: "make paths".into(), message: error.to_string() })?;
        let total = |count: fn(&SnapshotSummary) -> u64| parts.iter().filter_map(|part| part.summary.as_ref()).map(count).sum();
        summary.total_files_processed = total(|s| s.total_files_processed);
        summary.total_bytes_processed = total(|s| s.total_bytes_processed);
        summary.data_added_packed = total(|s| s.data_added_packed) + merged_added;
        snapshot.summary = Some(summary);
        may_store()?;
        self.engine("store the snapshot", repository.save_snapshots(vec![snapshot]))?;
        let sealed = self.of_run(&spec.run)?.into_iter().find(|snapshot| snapshot.tags.contains(SEALED));
        let sealed = sealed.ok_or_else(|| VaultError::Other { what: "seal the snapshot".into(), message: "it was written and is not there".into() })?;
        self.finish(&spec.run, &sealed, merged_added)
    }

    /// Removes the run's parts. Only now: until the sealed snapshot is there, they are the data.
    fn finish(&self, run: &str, sealed: &SnapshotFile, added: u64) -> Result<Sealed, VaultError> {
        let of_run = self.of_run(run)?;
        let left: Vec<String> = of_run.iter().filter(|snapshot| snapshot.id != sealed.id).map(|snapshot| snapshot.id.to_hex().to_string()).collect();
        self.forget(&left)?;
        let summary = sealed.summary.clone().unwrap_or_default();
        Ok(Sealed { snapshot: sealed.id.to_hex().to_string(), files: summary.total_files_processed, bytes: summary.total_bytes_processed, added })
    }
}
