//! What a mover does with the files of its claim.

use super::{
    touch::Touch,
    work::{DATA_PATH, MAX_WARNING_CHARS, Printer, WorkError, blocking},
};
use p861_core::{
    conditions::shorten,
    engine::Evidence,
    ids::SnapshotId,
    runs::{ExtraFiles, RefusedFiles},
    told::Noun,
};
use p861_crds::Reason;
use p861_vault::{Existing, FolderComparison, FolderRestore, Repository, RepositoryAccess, RestoreResult};
use std::path::Path;

/// Files of a part, and where they go in the mounted claim.
pub(super) struct VolumeFiles {
    pub(super) snapshot: SnapshotId,
    pub(super) part: String,
    pub(super) paths: Vec<String>,
    pub(super) path_prefix: Option<String>,
    pub(super) extra_files: ExtraFiles,
}

impl VolumeFiles {
    /// `run` is the run whose earlier attempt may have begun to write.
    fn folder<'a>(&'a self, run: &'a str) -> FolderRestore<'a> {
        let existing = match (&self.path_prefix, self.extra_files) {
            (Some(_), _) => Existing::Untouched { run },
            (None, ExtraFiles::Keep) => Existing::Keep,
            (None, ExtraFiles::Remove) => Existing::Exact,
        };
        let prefix = self.path_prefix.as_deref();
        FolderRestore { snapshot: self.snapshot.as_str(), part: &self.part, volume: Path::new(DATA_PATH), prefix, paths: &self.paths, existing }
    }
}

/// Writes files of a part into the claim.
pub(super) async fn restore(access: RepositoryAccess, run: String, files: VolumeFiles, touch: Touch) -> Result<Evidence, WorkError> {
    blocking(move || {
        let printer = Printer::new();
        let result = Repository::open(&access)?.restore_folder_from(&files.folder(&run), &|| touch.note(), &|progress| printer.print(&progress))?;
        let RestoreResult { files, bytes, removed, removed_bytes } = result;
        Ok(Evidence::VolumeRestored { files, bytes, removed, removed_bytes })
    })
    .await
}

/// Compares a claim's files with those of the backup, and fails for what a restore would be refused for.
pub(super) async fn preview(access: RepositoryAccess, run: String, files: VolumeFiles, refuses: Option<RefusedFiles>) -> Result<Evidence, WorkError> {
    let found = blocking(move || {
        let (printer, folder) = (Printer::new(), files.folder(&run));
        let repository = Repository::open(&access)?;
        match refuses {
            Some(RefusedFiles::MissingPaths) => return repository.refuse_missing(&folder).map(|()| FolderComparison::default()),
            Some(RefusedFiles::InTheWay | RefusedFiles::Differences) => repository.refuse_in_the_way(&folder)?,
            None => {}
        }
        repository.compare_folder(&folder, &|progress| printer.print(&progress))
    });
    let found = found.await?;
    if refuses == Some(RefusedFiles::Differences) {
        refuse_differences(&found)?;
    }
    let FolderComparison { removed, changed, created, first } = found;
    let first = first.iter().map(|path| shorten(path, MAX_WARNING_CHARS)).collect();
    Ok(Evidence::VolumePreviewed { removed, changed, created, first })
}

/// Refuses what is there and would be removed or changed, as objects are that are there and different.
fn refuse_differences(found: &FolderComparison) -> Result<(), WorkError> {
    let FolderComparison { removed, changed, created: _, first } = found;
    if removed + changed == 0 {
        return Ok(());
    }
    let (files, first) = (Noun::File.count(*removed), first.first().map(|first| shorten(first, MAX_WARNING_CHARS)).unwrap_or_default());
    let message = format!(
        "its claim is there and not as in the backup: {files} would be removed, {changed} changed, for example {first}; nothing was written. Choose spec.conflictPolicy Skip, Merge or Replace to overwrite it, or other namespaces"
    );
    Err(WorkError::stated(Reason::Conflicts, message, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_i1_a_claim_whose_files_would_be_changed_or_removed_is_refused_as_a_different_object_is() {
        let found = |removed: u64, changed: u64, created: u64| FolderComparison { removed, changed, created, first: vec!["uploads/a".into()] };
        for (found, refused) in [(found(0, 0, 7), false), (found(1, 0, 0), true), (found(0, 2, 0), true)] {
            let said = refuse_differences(&found);
            assert_eq!(said.is_err(), refused, "{found:?}");
            let Err(WorkError::Stated { reason, message, permanent }) = said else { continue };
            assert_eq!((reason, permanent), (Reason::Conflicts, true));
            assert!(message.contains("for example uploads/a; nothing was written"), "{message}");
        }
    }
}
