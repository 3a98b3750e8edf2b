//! Restores the objects of a snapshot to a site, rank by rank, or previews the restore.
//!
//! The objects are streamed: only those under way are in memory. What can't be written doesn't end the restore: it is tried once more at the end, then listed.

mod asking;
mod counting;
mod place;
mod reading;
mod writing;

use super::{save::namespaced_kinds, work::WorkError};
use crate::error::Error;
use counting::{Outcome, Tally};
use futures::{StreamExt as _, TryStreamExt as _, stream, stream::FuturesUnordered};
use kube::{Client, api::ApiResource, core::Status};
use p861_core::{
    engine::ListedChange,
    ids::SnapshotId,
    objects::{self, Owner, Pace, Prepared},
    runs::{ConflictHandling, CopyRules},
};
use p861_crds::{
    Reason, WorkloadReference,
    platform::application::ObjectSelector,
    protection::restore::{ConflictPolicy, RestoreChanges, RestoreSelection},
};
use p861_vault::{Progress, RepositoryAccess};
use parking_lot::Mutex;
use reading::{File, Line, Source, Wanted};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::atomic::{AtomicU64, Ordering},
};
use writing::{Kinds, Writer};

/// How often what waits for its owner is looked at again.
const MAX_OWNER_PASSES: usize = 8;
/// Lists of names that are made at once.
const PARALLEL_LISTS: usize = 8;
/// The order of a kind that nobody serves: it can't be written in any.
const LAST_RANK: u8 = u8::MAX;
const OWNER_DROPPED: &str = "owner not restored, the reference to it was dropped";

/// Which objects of a snapshot are restored.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// As the Restore says.
    pub select: RestoreSelection,
    /// If there are any, no other workloads.
    pub workloads: Vec<WorkloadReference>,
    /// Left out, as the Application says.
    pub exclude: Vec<ObjectSelector>,
}

impl Choice {
    /// Why an object is left out; none if it is restored.
    fn leaves(&self, object: &Value) -> Option<&'static str> {
        if self.exclude.iter().any(|selector| objects::selects(selector, object)) {
            return Some("excluded by the Application");
        }
        let (kind, group) = (objects::kind(object), objects::group(object));
        let resources = &self.select.resources;
        let of_kind = resources.is_empty() || resources.iter().any(|wanted| wanted.kind == kind && wanted.group.as_deref().unwrap_or_default() == group);
        let is_workload = group == "apps" && matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet");
        let named = |workload: &WorkloadReference| {
            workload.kind.to_string() == kind && workload.name == objects::name(object) && workload.namespace.as_deref() == Some(objects::namespace(object))
        };
        let chosen = of_kind && (self.workloads.is_empty() || !is_workload || self.workloads.iter().any(named));
        (!chosen).then_some("not selected")
    }
}

/// What is restored, and how.
#[derive(Clone, Debug)]
pub struct ObjectsTask {
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
}

/// What a restore of objects did, or would do.
#[derive(Clone, Debug)]
pub struct ObjectsOutcome {
    /// Number of objects by what happened, or would.
    pub changes: RestoreChanges,
    /// Of a preview: the objects that would change or be refused, then those that would be created; each sorted. Else those that were refused.
    pub listed: Vec<ListedChange>,
    /// Number of objects that were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Number of objects of kinds that are not served, by kind.
    pub not_served: BTreeMap<String, u64>,
    /// Number of objects that were written otherwise than they were saved, by what was changed.
    pub adjusted: BTreeMap<String, u64>,
}

/// Writes the objects of a snapshot: rank by rank, many of a rank at a time, then those that have owners, then once more what was refused. A preview asks the
/// API server by dry run and writes nothing.
///
/// # Errors
/// If the snapshot can't be read, the API server can't be reached, or objects differ that may not. An object that is refused is no error.
pub async fn restore(
    client: &Client,
    access: RepositoryAccess,
    task: &ObjectsTask,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<ObjectsOutcome, WorkError> {
    let source = Source::open(access, &task.snapshot).await?;
    let (pace, tally) = (Mutex::default(), Mutex::default());
    let restore = Restoring { client, source, task, pace: &pace, tally: &tally, on_progress, bytes: AtomicU64::new(0), items: AtomicU64::new(0) };
    // Refuse must write nothing if any object differs, so all that are there are compared before the first write.
    if !task.preview && task.conflict == ConflictHandling::Policy(ConflictPolicy::Refuse) {
        restore.refuse_conflicts().await?;
    }
    restore.all().await?;
    let mut tally = std::mem::take(&mut *tally.lock());
    let listed = if task.preview { tally.previewed() } else { tally.refused() };
    Ok(ObjectsOutcome { changes: tally.changes, listed, left_out: tally.left_out, not_served: tally.not_served, adjusted: tally.adjusted })
}

/// What a later pass is to do.
#[derive(Default)]
struct Pending {
    lines: Wanted,
    /// Objects that wait for their owner.
    owned: usize,
    /// All of them, by identity.
    identities: HashSet<String>,
}

/// What came of one line.
enum Handled {
    Done,
    Later { owned: bool, identity: String },
}

/// How a pass goes over its lines.
struct Pass<'a> {
    number: usize,
    /// What is refused now is refused, and owners that are missing now stay so.
    last: bool,
    /// What the pass before left.
    before: &'a HashSet<String>,
}

struct Restoring<'a> {
    client: &'a Client,
    source: Source,
    task: &'a ObjectsTask,
    pace: &'a Mutex<Pace>,
    tally: &'a Mutex<Tally>,
    on_progress: &'a (dyn Fn(Progress) + Send + Sync),
    bytes: AtomicU64,
    items: AtomicU64,
}

/// The names in an answer to a list. Whoever can't see what is there must not write.
fn names_of(answer: Result<HashSet<String>, Box<Status>>, what: impl FnOnce() -> String) -> Result<HashSet<String>, WorkError> {
    match answer {
        Ok(names) => Ok(names),
        // The kind is gone since discovery, or has no list: nothing is there.
        Err(status) if matches!(status.code, 404 | 405) => Ok(HashSet::new()),
        Err(status) => Err(Error::Kube { what: what(), source: Box::new(kube::Error::Api(status)) }.into()),
    }
}

fn identity(namespace: &str, group: &str, kind: &str, name: &str) -> String {
    format!("{namespace}/{kind}.{group}/{name}")
}

impl Restoring<'_> {
    async fn writer(&self, dry_run: bool) -> Result<Writer<'_>, WorkError> {
        let kinds: Kinds =
            namespaced_kinds(self.client).await?.into_iter().map(|resource| ((resource.group.clone(), resource.kind.clone()), resource)).collect();
        Ok(Writer {
            client: self.client,
            kinds,
            conflict: self.task.conflict,
            isolated: self.task.rules.isolated,
            dry_run,
            pace: self.pace,
            owners: Mutex::default(),
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

    /// All passes.
    async fn all(&self) -> Result<(), WorkError> {
        let everything = (0..self.source.files.len()).map(|file| (file, None)).collect();
        let mut writer = self.writer(self.task.preview).await?;
        let mut pending = self.pass(&writer, everything, &Pass { number: 0, last: self.task.preview, before: &HashSet::new() }).await?;
        for number in 1.. {
            if pending.lines.is_empty() {
                break;
            }
            let owned = pending.owned;
            let last = owned == 0 || number > MAX_OWNER_PASSES;
            // A kind may have been defined since by an operator that was restored.
            writer = self.writer(false).await?;
            let next = self.pass(&writer, std::mem::take(&mut pending.lines), &Pass { number, last, before: &pending.identities }).await?;
            if last {
                break;
            }
            let stuck = next.owned > 0 && next.owned >= owned;
            pending = next;
            if stuck {
                let last = Pass { number: number + 1, last: true, before: &pending.identities };
                self.pass(&writer, std::mem::take(&mut pending.lines), &last).await?;
                break;
            }
        }
        Ok(())
    }

    /// Goes over these lines, a rank at a time.
    async fn pass(&self, writer: &Writer<'_>, wanted: Wanted, pass: &Pass<'_>) -> Result<Pending, WorkError> {
        let order = self.order(&writer.kinds);
        let ranks: HashMap<usize, u8> = order.iter().map(|(rank, file)| (*file, *rank)).collect();
        let mut lines = self.source.read(order.into_iter().map(|(_, file)| file).collect(), wanted);
        let (mut pending, mut rank) = (Pending::default(), None);
        let mut under_way = FuturesUnordered::new();
        let mut collect = |(file, number, handled): (usize, usize, Handled)| {
            if let Handled::Later { owned, identity } = handled {
                pending.owned += usize::from(owned);
                pending.identities.insert(identity);
                pending.lines.entry(file).or_insert_with(|| Some(BTreeSet::new())).get_or_insert_default().insert(number);
            }
        };
        while let Some(line) = lines.recv().await {
            let line = line?;
            let of_line = ranks.get(&line.file).copied();
            let most = if of_line == rank { self.pace.lock().at_once() } else { 1 };
            rank = of_line;
            while under_way.len() >= most {
                match under_way.next().await {
                    Some(handled) => collect(handled?),
                    None => break,
                }
            }
            under_way.push(self.line(writer, pass, line));
        }
        while let Some(handled) = under_way.next().await {
            collect(handled?);
        }
        drop(under_way);
        Ok(pending)
    }

    fn parse(&self, line: &Line) -> Result<Value, WorkError> {
        let path = self.source.files.get(line.file).map_or("", |file| file.path.as_str());
        serde_json::from_slice(&line.text)
            .map_err(|error| WorkError::stated(Reason::Damaged, format!("objects/{path}, line {}: {error}", line.number + 1), true))
    }

    async fn line(&self, writer: &Writer<'_>, pass: &Pass<'_>, line: Line) -> Result<(usize, usize, Handled), WorkError> {
        let object = self.parse(&line)?;
        let handled = self.object(writer, pass, object).await?;
        if matches!(handled, Handled::Done) {
            let bytes_done = self.bytes.fetch_add(line.text.len() as u64 + 1, Ordering::Relaxed) + line.text.len() as u64 + 1;
            let items_done = self.items.fetch_add(1, Ordering::Relaxed) + 1;
            let bytes_total = Some(self.source.files.iter().map(|file| file.bytes).sum());
            (self.on_progress)(Progress { items_done, items_total: None, bytes_done, bytes_total });
        }
        Ok((line.file, line.number, handled))
    }

    async fn object(&self, writer: &Writer<'_>, pass: &Pass<'_>, object: Value) -> Result<Handled, WorkError> {
        let object = match self.task.choice.leaves(&object) {
            Some(why) => Prepared::Leave(why),
            None => objects::prepare(object, &self.task.rules),
        };
        let mut object = match object {
            Prepared::Write(object) => object,
            Prepared::Leave(why) => {
                self.tally.lock().leave(why);
                return Ok(Handled::Done);
            }
        };
        let (group, kind, name) = (objects::group(&object), objects::kind(&object), objects::name(&object));
        let identity = identity(objects::namespace(&object), group, kind, name);
        let owned = !objects::owners(&object).is_empty();
        let mut orphaned = false;
        if self.task.preview {
            // The UID of an owner that would be created is not known yet.
            objects::rewire(&mut object, |_| None);
        } else if owned {
            // Its owner comes first.
            let rewired = if pass.number == 0 { None } else { self.rewire(writer, pass, &mut object).await? };
            let Some(dropped) = rewired else { return Ok(Handled::Later { owned, identity }) };
            orphaned = dropped > 0;
        }
        let (outcome, adjusted) = writer.write(object.clone(), owned && !self.task.preview).await?;
        if !pass.last && matches!(outcome, Outcome::Refused(_) | Outcome::NotServed) {
            return Ok(Handled::Later { owned: false, identity });
        }
        let mut tally = self.tally.lock();
        if !matches!(outcome, Outcome::Refused(_) | Outcome::NotServed) {
            adjusted.into_iter().chain(orphaned.then_some(OWNER_DROPPED)).for_each(|how| tally.adjust(how));
        }
        tally.note(outcome, &object);
        Ok(Handled::Done)
    }

    /// Gives the object its owners of this site. Returns how many references to owners were dropped; none while an owner is waited for that is written in this pass
    /// or later.
    async fn rewire(&self, writer: &Writer<'_>, pass: &Pass<'_>, object: &mut Value) -> Result<Option<u64>, WorkError> {
        let namespace = objects::namespace(object).to_owned();
        let mut found: HashMap<Owner, String> = HashMap::new();
        for owner in objects::owners(object) {
            match writer.owner(&namespace, &owner).await? {
                Some(uid) => drop(found.insert(owner, uid)),
                None if !pass.last && pass.before.contains(&identity(&namespace, &owner.group, &owner.kind, &owner.name)) => return Ok(None),
                None => {}
            }
        }
        Ok(Some(objects::rewire(object, |owner| found.get(owner).cloned())))
    }

    /// Compares all objects that are there already.
    async fn refuse_conflicts(&self) -> Result<(), WorkError> {
        let writer = self.writer(true).await?;
        let there = self.names_there(&writer.kinds).await?;
        let wanted: Wanted = there.keys().map(|file| (*file, None)).collect();
        let order = self.order(&writer.kinds).into_iter().map(|(_, file)| file).collect();
        let mut lines = self.source.read(order, wanted);
        let mut under_way = FuturesUnordered::new();
        let mut different = Tally::default();
        let mut note = |(object, outcome): (Value, Outcome)| {
            if matches!(outcome, Outcome::Changed(_)) {
                different.note(outcome, &object);
            }
        };
        while let Some(line) = lines.recv().await {
            let line = line?;
            let object = self.parse(&line)?;
            if self.task.choice.leaves(&object).is_some() {
                continue;
            }
            let Prepared::Write(mut object) = objects::prepare(object, &self.task.rules) else { continue };
            if !there.get(&line.file).is_some_and(|names| names.as_ref().is_none_or(|names| names.contains(objects::name(&object)))) {
                continue;
            }
            objects::rewire(&mut object, |_| None);
            while under_way.len() >= self.pace.lock().at_once() {
                match under_way.next().await {
                    Some(looked) => note(looked?),
                    None => break,
                }
            }
            let writer = &writer;
            under_way.push(async move { Ok::<_, WorkError>((object.clone(), writer.look(object).await?)) });
        }
        while let Some(looked) = under_way.next().await {
            note(looked?);
        }
        drop(under_way);
        let number = different.changes.change;
        let Some(first) = different.previewed().into_iter().next() else { return Ok(()) };
        let message = format!(
            "{number} objects are there and different, for example {} {} ({}); nothing was written. Choose spec.conflictPolicy Skip, Merge or Replace, or other namespaces",
            first.kind, first.name, first.why
        );
        Err(WorkError::stated(Reason::Conflicts, message, true))
    }

    /// The names that exist already, by file of the snapshot; none for a Namespace, which always exists.
    async fn names_there(&self, kinds: &Kinds) -> Result<HashMap<usize, Option<HashSet<String>>>, WorkError> {
        let lists = self.source.files.iter().enumerate().filter_map(|(index, file)| {
            let namespace = self.task.rules.namespaces.get(&file.namespace)?;
            if (file.group.as_str(), file.plural.as_str()) == ("", "namespaces") {
                return Some((index, None));
            }
            Some((index, Some((Self::resource(kinds, file)?, namespace))))
        });
        stream::iter(lists)
            .map(|(index, list)| async move {
                let Some((resource, namespace)) = list else { return Ok::<_, WorkError>((index, None)) };
                let what = || format!("list {} in {namespace}", resource.plural);
                let answer = asking::ask(self.pace, what, || place::names(self.client, resource, namespace)).await?;
                Ok((index, Some(names_of(answer, what)?)))
            })
            .buffer_unordered(PARALLEL_LISTS)
            .try_collect()
            .await
    }
}

#[cfg(test)]
#[path = "restore/tests.rs"]
mod tests;
