//! Restores the objects of a snapshot to a site, rank by rank, or previews the restore.
//!
//! The objects are streamed: only those under way are in memory, at most 64 that were read and 64 that are being written, of at most 1.5 MiB each, however many the
//! snapshot has. Of the others the mover keeps names alone: of those that wait for their owner, that were refused, and, under the policy Refuse, of those that are
//! there. A preview also keeps its list, with at most 48 MiB of differences.
//!
//! What can't be written doesn't end the restore: it is tried once more at the end, then listed. A mover that died is followed by another, which creates what is
//! missing and leaves what is as saved.

mod choosing;
mod cluster;
mod conflicts;
mod counting;
mod passes;
mod place;
mod quotas;
mod reading;
mod rights;
mod writing;

use super::{
    ending::{END_PATIENCE, EndRequest},
    kinds::discover,
    work::WorkError,
};
use cluster::OfCluster;
use counting::Tally;
use kube::{Client, api::ApiResource};
use p861_core::{
    engine::ListedChange,
    ids::SnapshotId,
    objects::{self, Identity, Pace},
    runs::{ConflictHandling, CopyRules},
    told::Noun,
};
use p861_crds::{
    Reason,
    protection::restore::{ConflictPolicy, RestoreChanges},
};
use p861_vault::{Progress, RepositoryAccess};
use parking_lot::Mutex;
use quotas::Quotas;
use reading::{File, Line, Source};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::{AtomicU64, Ordering},
};
use writing::{Kinds, Writer};

pub use choosing::Choice;

/// The order of a kind that nobody serves: it can't be written in any.
const LAST_RANK: u8 = u8::MAX;

/// What is restored, and how.
#[derive(Clone, Debug)]
pub struct ObjectsTask {
    /// UID of the run, by which namespaces are known that it has made.
    pub run: String,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// How objects differ from those in the backup.
    pub rules: CopyRules,
    /// Which of them.
    pub choice: Choice,
    /// What is done about objects that exist already.
    pub conflict: ConflictHandling,
    /// Only say what would be done.
    pub preview: bool,
    /// Of a preview: namespaces that aren't there. Nothing in them is asked for: there is nothing, and the mover may ask for nothing.
    pub absent: Vec<String>,
    /// Only these, which an earlier try could not write; none means all.
    pub again: Option<HashSet<Identity>>,
}

/// What a restore of objects did, or would do.
#[derive(Clone, Debug)]
pub struct ObjectsOutcome {
    /// Number of objects by what happened, or would.
    pub changes: RestoreChanges,
    /// Of a preview all objects: those that would change, be left or be refused, then those that would be created, then those that are the same; each sorted.
    /// Else those that were refused.
    pub listed: Vec<ListedChange>,
    /// Number of objects that were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// These objects, sorted, as far as they are listed.
    pub left: Vec<ListedChange>,
    /// The first names of each reason.
    pub left_first: BTreeMap<String, Vec<String>>,
    /// Number of objects of kinds that are not served, by kind.
    pub not_served: BTreeMap<String, u64>,
    /// Number of objects that were written otherwise than they were saved, by what was changed, with the first names.
    pub adjusted: BTreeMap<String, u64>,
    /// Patches of a copy that no object was meant by.
    pub patches_unmatched: Vec<String>,
    /// Of a second try: the objects that it came to. All of them are in the counts.
    pub tried: HashSet<Identity>,
}

/// Writes the objects of a snapshot: first those of the whole cluster, then rank by rank, many of a rank at a time, then those that have owners, then once more
/// what was refused, then webhook configurations. A preview asks the API server by dry run and writes nothing.
///
/// # Errors
/// If the snapshot can't be read, the API server can't be reached, or objects differ that may not. An object that is refused is no error.
pub async fn restore(
    client: &Client,
    access: RepositoryAccess,
    task: &ObjectsTask,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<ObjectsOutcome, WorkError> {
    restore_until(client, access, task, on_progress, &EndRequest::never()).await
}

/// The same, unless it is told to end: then it begins to write no more objects, waits a moment for the answers to those under way, and says how many it has written.
///
/// # Errors
/// As [`restore`], and if it was told to end.
pub async fn restore_until(
    client: &Client,
    access: RepositoryAccess,
    task: &ObjectsTask,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
    end: &EndRequest,
) -> Result<ObjectsOutcome, WorkError> {
    let source = Source::open(access, &task.snapshot).await?;
    let (pace, tally) = (Mutex::default(), Mutex::new(if task.preview { Tally::of_preview() } else { Tally::default() }));
    let restore = Restoring::over(client, source, task, (&pace, &tally), on_progress, end);
    tokio::select! {
        // Whoever has written all by the time it is told has done its work.
        biased;
        result = restore.whole() => result.map_err(|error| if end.is_made() { restore.ended() } else { error })?,
        () = end.over() => return Err(restore.ended()),
    }
    let mut tally = std::mem::take(&mut *tally.lock());
    let (listed, (left, left_first), adjusted) = (tally.listed(), tally.left(), tally.adjusted_with_names());
    let patches = task.rules.patches.iter().enumerate().filter(|(at, _)| !tally.patched.contains(at));
    let patches_unmatched = patches.map(|(at, patch)| objects::told_patch(at, patch)).collect();
    let Tally { changes, left_out, not_served, tried, .. } = tally;
    Ok(ObjectsOutcome { changes, listed, left_out, left, left_first, not_served, adjusted, patches_unmatched, tried })
}

/// Compares the objects that are there already with those of a snapshot, unless it is told to end. Returns how many there are.
///
/// # Errors
/// [`Reason::Conflicts`] if one differs under the policy Refuse, or can't be changed under another; otherwise as [`restore_until`].
pub async fn compare_until(
    client: &Client,
    access: RepositoryAccess,
    task: &ObjectsTask,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
    end: &EndRequest,
) -> Result<u64, WorkError> {
    let source = Source::open(access, &task.snapshot).await?;
    let (pace, tally) = (Mutex::default(), Mutex::default());
    let restore = Restoring::over(client, source, task, (&pace, &tally), on_progress, end);
    let compare = async { restore.refuse_conflicts(&restore.of_cluster().await?).await };
    tokio::select! {
        biased;
        result = compare => result,
        () = end.over() => Err(WorkError::stated(Reason::MoverLost, "the mover was told to end before its work was done: nothing was written", false)),
    }
}

struct Restoring<'a> {
    client: &'a Client,
    source: Source,
    task: &'a ObjectsTask,
    pace: &'a Mutex<Pace>,
    tally: &'a Mutex<Tally>,
    on_progress: &'a (dyn Fn(Progress) + Send + Sync),
    end: &'a EndRequest,
    bytes: AtomicU64,
    items: AtomicU64,
    /// Objects that are being written.
    unanswered: AtomicU64,
    /// Kinds whose objects have a status here that is data, by group and kind.
    with_status: Mutex<BTreeSet<(String, String)>>,
    /// Of a preview: kinds that would be defined before their objects are written.
    promised: Mutex<HashSet<(String, String)>>,
}

impl<'a> Restoring<'a> {
    fn over(
        client: &'a Client,
        source: Source,
        task: &'a ObjectsTask,
        (pace, tally): (&'a Mutex<Pace>, &'a Mutex<Tally>),
        on_progress: &'a (dyn Fn(Progress) + Send + Sync),
        end: &'a EndRequest,
    ) -> Self {
        Self {
            client,
            source,
            task,
            pace,
            tally,
            on_progress,
            end,
            bytes: AtomicU64::new(0),
            items: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            with_status: Mutex::default(),
            promised: Mutex::default(),
        }
    }
}

impl Restoring<'_> {
    async fn writer(&self, dry_run: bool) -> Result<Writer<'_>, WorkError> {
        let found = discover(self.client).await?;
        *self.with_status.lock() = found.with_status;
        let targets = self.task.rules.namespaces.values().filter(|target| !self.task.absent.contains(target));
        let quotas = Quotas::read(self.client, self.pace, targets.cloned().collect()).await?;
        let kinds: Kinds = found.kinds.into_iter().map(|resource| ((resource.group.clone(), resource.kind.clone()), resource)).collect();
        Ok(Writer {
            client: self.client,
            kinds,
            conflict: self.task.conflict,
            run: &self.task.run,
            isolated: self.task.rules.isolated,
            restored: self.task.rules.namespaces.values().cloned().collect(),
            absent: &self.task.absent,
            dry_run,
            holds: self.task.rules.stopped,
            // With a selection nothing is stopped.
            stops_first: dry_run && self.task.choice.select.tiers.is_empty() && self.task.choice.select.resources.is_empty(),
            fixed: Mutex::default(),
            pace: self.pace,
            owners: Mutex::default(),
            quotas,
        })
    }

    fn resource<'k>(kinds: &'k Kinds, file: &File) -> Option<&'k ApiResource> {
        kinds.values().find(|resource| resource.plural == file.plural && resource.group == file.group)
    }

    /// The files, each with its rank, lower ranks first.
    fn order(&self, kinds: &Kinds) -> Vec<(u8, usize)> {
        let rank = |file: &File| match (file.group.as_str(), file.plural.as_str()) {
            ("", "namespaces") => objects::rank_of("", "Namespace"),
            _ => Self::resource(kinds, file).map_or(LAST_RANK, |resource| objects::rank_of(&resource.group, &resource.kind)),
        };
        let mut order: Vec<(u8, usize)> = self.source.files.iter().enumerate().map(|(index, file)| (rank(file), index)).collect();
        order.sort_unstable();
        order
    }

    /// The look before, where one is needed, then all passes.
    async fn whole(&self) -> Result<(), WorkError> {
        let task = self.task;
        let of_cluster = self.of_cluster().await?;
        // Refuse must write nothing if any object differs, so all that are there are compared before the first write.
        // What a second try finds there has appeared meanwhile; nothing was written over it.
        if !task.preview && task.again.is_none() && task.conflict == ConflictHandling::Policy(ConflictPolicy::Refuse) {
            self.refuse_conflicts(&of_cluster).await?;
        }
        self.all(of_cluster).await
    }

    /// What a restore that was told to end says. The next attempt finds what is there, and counts it as the same.
    fn ended(&self) -> WorkError {
        let RestoreChanges { create, change, added: _, same, refused, not_served } = self.tally.lock().changes.clone();
        let unanswered = self.unanswered.load(Ordering::Relaxed);
        let written = format!("so far {} created, {change} changed, {same} the same, {} refused", Noun::Object.were(create), refused + not_served);
        let unknown =
            if unanswered == 0 { String::new() } else { format!("; of {unanswered} the API server has not answered within {} ms", END_PATIENCE.as_millis()) };
        let said = if self.task.preview { "nothing was written".to_owned() } else { format!("{written}{unknown}") };
        WorkError::stated(Reason::MoverLost, format!("the mover was told to end before its work was done: {said}"), false)
    }

    /// All passes.
    async fn all(&self, of_cluster: Vec<OfCluster>) -> Result<(), WorkError> {
        let mut writer = self.writer(self.task.preview).await?;
        let at_the_end = self.write_first(&writer, of_cluster).await?;
        if self.source.files.iter().any(File::is_of_cluster) && !self.task.preview {
            // With the kinds that were defined a moment ago.
            writer = self.writer(false).await?;
        }
        self.namespaced(writer).await?;
        self.write_last(at_the_end).await
    }
}

#[cfg(test)]
#[path = "restore/tests.rs"]
mod tests;
