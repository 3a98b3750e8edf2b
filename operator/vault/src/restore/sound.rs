//! Whether what is to be written can be read, found before anything is changed: a damaged backup must not cost what it was to save.

use super::{Chosen, ahead::standing, place::Place, utf8};
use crate::{OnProgress, Progress, Repository, VaultError, repository::Indexed, source::watched};
use rustic_core::{Id, LocalDestination, LsOptions, RestoreOptions};
use rustix::fs::FileType;
use std::{collections::BTreeSet, path::PathBuf};

/// So many packs are read between two words of progress.
const PACKS_AT_ONCE: usize = 4;

impl Repository {
    /// Reads the packs from which files would be written, and compares each with its digest; of a place where nothing is, none. The volume is read, too: what is the
    /// same in it already is not written.
    ///
    /// # Errors
    /// The pack that is damaged or missing, and a file that needs it; or if the repository or the volume can't be read.
    pub(super) fn require_sound(&self, repository: &Indexed, chosen: &Chosen, place: &mut Place, on_progress: OnProgress<'_>) -> Result<(), VaultError> {
        if !may_replace(chosen, place)? {
            return Ok(());
        }
        let wanted = self.wanted(repository, chosen, place, on_progress)?;
        if wanted.is_empty() {
            return Ok(());
        }
        let nodes = self.entries(repository, &chosen.node)?.map(|entry| entry.map(|(_, node)| node)).chain([Ok(chosen.node.clone())]);
        let mut packs = self.packs_of(repository, nodes, &chosen.relative.display().to_string())?;
        packs.retain(|(id, ..)| wanted.contains(id));
        let total = packs.iter().map(|(_, size, _)| size).sum();
        let mut read = 0;
        for some in packs.chunks(PACKS_AT_ONCE) {
            self.digest_packs(some)?;
            read += some.iter().map(|(_, size, _)| size).sum::<u64>();
            on_progress(Progress { bytes_done: read, bytes_total: Some(total), ..Progress::default() });
        }
        Ok(())
    }

    /// The packs of which the engine would write something.
    fn wanted(&self, repository: &Indexed, chosen: &Chosen, place: &mut Place, on_progress: OnProgress<'_>) -> Result<BTreeSet<Id>, VaultError> {
        let mut wanted = BTreeSet::new();
        // A folder of the backup that is damaged is named here. And the engine looks through links, which will be gone when it writes.
        for entry in self.entries(repository, &chosen.node)?.chain([Ok((PathBuf::new(), chosen.node.clone()))]) {
            let (path, node) = entry?;
            if !node.is_file() || standing(place, &chosen.at(&path))?.is_some_and(|there| there.kind == FileType::RegularFile) {
                continue;
            }
            let packs = node.content.iter().flatten().filter_map(|blob| repository.get_index_entry(blob).ok());
            wanted.extend(packs.map(|entry| *entry.pack));
        }
        let full = place.full(&chosen.relative);
        let listed = self.engine("list files", repository.ls(&chosen.node, &LsOptions::default()))?;
        let destination = self.engine("prepare the destination", LocalDestination::new(utf8(&full)?, false, chosen.node.is_file()))?;
        let options = RestoreOptions::default().numeric_id(true).verify_existing(true);
        let plan = watched(on_progress, Progress::default, || {
            self.engine("compare with what is there", repository.prepare_restore(&options, listed, &destination, true))
        })?;
        wanted.extend(plan.to_packs().into_iter().map(|pack| *pack));
        Ok(wanted)
    }
}

/// Whether anything is there that could be changed.
fn may_replace(chosen: &Chosen, place: &mut Place) -> Result<bool, VaultError> {
    if chosen.node.is_dir() { place.is_empty(&chosen.relative).map(|empty| !empty) } else { Ok(standing(place, &chosen.relative)?.is_some()) }
}
