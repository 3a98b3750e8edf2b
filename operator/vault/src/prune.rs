//! Pruning: data that no snapshot needs leaves the store, in two phases.
//!
//! The engine's prune is used ([`rustic_core::PrunePlan`]), within what this module adds to it:
//! - *Phase 1* marks: the packs of which nothing is needed any more get an entry with the time in a new index file; of those that are needed in part, the needed rest is
//!   written anew first, up to [`PruneSpec::max_repack_bytes`]. Nothing is removed but index files that the new ones stand for.
//! - *Phase 2*, by a later prune, removes the packs that have been marked for longer than [`PruneSpec::delay`], and that are still not needed. A marked pack that a snapshot
//!   needs after all, of a writer that slept through its lease, is an ordinary one again.
//!
//! # Safe against
//! - *writers*: the caller holds the exclusive lease, and `may_write` is asked before each write and removal, so that whoever has lost it stops at the next. Before the first
//!   removal the snapshots are listed again: if there is one that the plan has not read, because a writer without a lease stored it or because the store had not listed it,
//!   nothing is removed. What a writer without a lease stores later is what the delay is for.
//! - *a crash between any two requests*: what is written are only packs and index files that repeat what others say; these go after them, and packs go last. What is
//!   left over is found and removed by a later prune.
//! - *a store that forgets*: a blob that a snapshot needs and no index names, or a pack that an index names and the store does not list, ends the prune before it has
//!   written anything.
//! - *object lock*: a pack that the store keeps by its lock stays, is counted, and is tried again by a later prune.
//!
//! Stock `restic` knows nothing of marks: to it a marked pack is one that no index names, which `restic check` calls non-critical.

mod guarded;
#[cfg(test)]
mod tests;

use crate::{OnProgress, Progress, Repository, VaultError, repository::Opened, source::watched};
use guarded::{Guarded, Removed};
use jiff::{SignedDuration, Span, Timestamp};
use parking_lot::Mutex;
use rustic_core::{
    FileType, Id, LimitOption, Progress as EngineProgress, ProgressBars, ProgressType, PruneOptions, PruneStats, ReadBackend as _, RusticError, RusticProgress,
    RusticResult, WriteBackend as _,
    repofile::{IndexFile, IndexPack},
};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Asked before each write and each removal.
pub type MayWrite = Arc<dyn Fn() -> Result<(), VaultError> + Send + Sync>;

/// How a repository is pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneSpec {
    /// How long a pack stays marked before it is removed: longer than any writer may work.
    pub delay: Duration,
    /// Most bytes that are written anew, so that others can go.
    pub max_repack_bytes: u64,
    /// So much of what is stored may be unneeded before packs that are needed in part are written anew, in percent.
    pub max_unused_percent: u8,
    /// How long the records of forgotten snapshots stay.
    pub keep_records: Duration,
}

/// Packs, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packs {
    /// Their number.
    pub packs: u64,
    /// Their size; of those that are marked or waiting, of what they hold, which is less by a head of some forty bytes for each piece.
    pub bytes: u64,
}

/// What a prune has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Marked now: they go once the delay is over.
    pub marked: Packs,
    /// Marked before, whose delay is not over.
    pub waiting: Packs,
    /// Removed.
    pub removed: Packs,
    /// Of those, only hidden by the store: it keeps what was there as an old version, until its own rules remove that.
    pub hidden: Packs,
    /// Not removed, because the store keeps them by its lock.
    pub locked: Packs,
    /// When the last of these locks ends, as far as the store says.
    pub locked_until: Option<Timestamp>,
    /// Marked before and needed again.
    pub recovered: u64,
    /// Bytes that were written anew.
    pub repacked_bytes: u64,
}

impl PruneReport {
    /// Whether another prune has nothing to do that this one has left, by what is known now.
    pub const fn is_clean(&self) -> bool {
        self.marked.packs == 0 && self.waiting.packs == 0 && self.locked.packs == 0
    }

    fn of(stats: &PruneStats, removed: Removed) -> Self {
        let size = stats.size_sum();
        Self {
            marked: Packs { packs: stats.packs.unused + stats.packs.repack + stats.packs_unref, bytes: size.remove + size.repack + stats.size_unref },
            waiting: Packs { packs: stats.packs_to_delete.keep, bytes: stats.size_to_delete.keep },
            removed: removed.gone,
            hidden: removed.hidden,
            locked: removed.locked,
            locked_until: removed.locked_until,
            recovered: stats.packs_to_delete.recover,
            repacked_bytes: size.repack - size.repackrm,
        }
    }
}

impl Repository {
    /// Prunes once: marks what is not needed, and removes what was marked for long enough. The caller holds the repository's exclusive lease, and `may_write` says whether it
    /// still does.
    ///
    /// # Errors
    /// What `may_write` says; `Damaged` or another of the repository, before anything is removed; or that of a removal, after which a later prune goes on.
    pub fn prune(&self, spec: &PruneSpec, may_write: &MayWrite, on_progress: OnProgress<'_>) -> Result<PruneReport, VaultError> {
        may_write()?;
        let options = options(spec)?;
        let guarded = Arc::new(Guarded::new(self.store.clone(), may_write.clone()));
        let gauge = Gauge::default();
        let opened = self.opened_through(guarded.clone(), gauge.clone())?;
        let told = |error: Box<RusticError>| match guarded.take_stopped() {
            Some(stopped) => stopped,
            None => VaultError::engine("prune the repository", &error, self.store.take_error()),
        };
        let attempt = || watched(on_progress, || gauge.seen(), || self.carry_out(&opened, &options, &guarded)).map_err(told);
        let report = match attempt() {
            Err(VaultError::Store(missing)) if missing.is_missing() && self.unmark_gone(&opened, &guarded).map_err(told)? > 0 => attempt()?,
            pruned => pruned?,
        };
        let kept_for = SignedDuration::try_from(spec.keep_records).unwrap_or(SignedDuration::MAX);
        self.drop_records(kept_for, Timestamp::now(), may_write)?;
        Ok(report)
    }

    fn carry_out(&self, opened: &Opened, options: &PruneOptions, guarded: &Guarded) -> RusticResult<PruneReport> {
        let plan = opened.prune_plan(options)?;
        // The engine marks packs that no index names only if it writes an index for another reason.
        let marks_alone = plan.stats.packs_unref > 0 && plan.stats.index_files_rebuild == 0;
        let planned = PruneReport::of(&plan.stats, Removed::default());
        opened.prune(options, plan)?;
        if marks_alone {
            self.mark_unnamed(opened, guarded)?;
        }
        let removed = guarded.removed();
        Ok(PruneReport { removed: removed.gone, hidden: removed.hidden, locked: removed.locked, locked_until: removed.locked_until, ..planned })
    }

    /// Marks the packs that no index names: what movers have left that were killed before they wrote one, and packs that a prune was killed before it removed.
    fn mark_unnamed(&self, opened: &Opened, guarded: &Guarded) -> RusticResult<()> {
        let mut named = BTreeSet::new();
        for file in opened.stream_files::<IndexFile>()? {
            let (_, index) = file?;
            named.extend(index.packs.iter().chain(&index.packs_to_delete).map(|pack| *pack.id));
        }
        let time = Some(Timestamp::now());
        let unnamed = guarded.listed_packs().into_iter().filter(|(id, _)| !named.contains(id));
        let marks: Vec<IndexPack> = unnamed.map(|(id, size)| IndexPack { id: id.into(), blobs: Vec::new(), time, size: Some(size) }).collect();
        self.write_index(&IndexFile { packs_to_delete: marks, ..IndexFile::default() }, guarded)
    }

    /// Takes the marks of packs away that are gone: stock restic removes them as packs that nothing names, and leaves their marks, by which the engine would look for
    /// what it needs in them. Gives how many there were.
    fn unmark_gone(&self, opened: &Opened, guarded: &Guarded) -> RusticResult<usize> {
        let there: BTreeSet<Id> = guarded.list_with_size(FileType::Pack)?.into_iter().map(|(id, _)| id).collect();
        let mut gone = 0;
        for file in opened.stream_files::<IndexFile>()? {
            let (id, mut index) = file?;
            let marked = index.packs_to_delete.len();
            index.packs_to_delete.retain(|pack| there.contains(&*pack.id));
            if index.packs_to_delete.len() < marked {
                gone += marked - index.packs_to_delete.len();
                self.write_index(&index, guarded)?;
                guarded.remove(FileType::Index, &id, true)?;
            }
        }
        Ok(gone)
    }

    fn write_index(&self, index: &IndexFile, guarded: &Guarded) -> RusticResult<()> {
        let body = serde_json::to_vec(index).ok().and_then(|plain| self.encrypted(&plain).ok());
        let body = body.ok_or_else(|| guarded.stop(VaultError::Other { what: "mark packs".into(), message: "the index can't be written".into() }))?;
        let id: Id = hex::encode(Sha256::digest(&body)).parse()?;
        guarded.write_bytes(FileType::Index, &id, true, body.into())
    }
}

fn options(spec: &PruneSpec) -> Result<PruneOptions, VaultError> {
    let bad = |what: &str| VaultError::Other { what: "prune the repository".into(), message: format!("{what} can't be used") };
    let seconds = i64::try_from(spec.delay.as_secs()).map_err(|_| bad("the delay"))?;
    let delay = Span::new().try_seconds(seconds).map_err(|_| bad("the delay"))?;
    let repack: LimitOption = format!("{}B", spec.max_repack_bytes).parse().map_err(|_| bad("the limit of what is written anew"))?;
    // Of a whole that is unneeded there is no rest to compare with.
    let unused = LimitOption::Percentage(spec.max_unused_percent.min(99).into());
    Ok(PruneOptions::default().keep_delete(delay).max_repack(repack).max_unused(unused).instant_delete(false))
}

/// How far the engine is, whatever it does at the time.
#[derive(Clone, Debug, Default)]
struct Gauge(Arc<Mutex<Progress>>);

impl Gauge {
    fn seen(&self) -> Progress {
        *self.0.lock()
    }
}

/// One of the engine's stages.
#[derive(Debug)]
struct Stage {
    gauge: Gauge,
    kind: ProgressType,
}

impl ProgressBars for Gauge {
    fn progress(&self, kind: ProgressType, _: &str) -> EngineProgress {
        *self.0.lock() = Progress::default();
        EngineProgress::new(Stage { gauge: self.clone(), kind })
    }
}

impl RusticProgress for Stage {
    fn is_hidden(&self) -> bool {
        false
    }

    fn set_length(&self, length: u64) {
        let mut progress = self.gauge.0.lock();
        match self.kind {
            ProgressType::Bytes => progress.bytes_total = Some(length),
            ProgressType::Counter => progress.items_total = Some(length),
            ProgressType::Spinner => {}
        }
    }

    fn set_title(&self, _: &str) {}

    fn inc(&self, number: u64) {
        let mut progress = self.gauge.0.lock();
        match self.kind {
            ProgressType::Bytes => progress.bytes_done = progress.bytes_done.saturating_add(number),
            ProgressType::Counter => progress.items_done = progress.items_done.saturating_add(number),
            ProgressType::Spinner => {}
        }
    }

    fn finish(&self) {}
}
