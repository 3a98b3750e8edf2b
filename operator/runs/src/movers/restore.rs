//! Restores the objects of a snapshot to a site, rank by rank, or previews the restore.

use super::{
    save::namespaced_kinds,
    work::{WorkError, blocking},
};
use crate::{error::ErrorContext as _, object_path::in_path};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use p861_core::{
    engine::{ListedChange, ObjectChange},
    ids::SnapshotId,
    objects::{self, Prepared, SaveDecision},
    runs::{ConflictHandling, CopyRules},
};
use p861_crds::{
    Reason, WorkloadReference,
    names::FIELD_MANAGER,
    protection::restore::{ConflictPolicy, RestoreChanges, RestoreSelection},
};
use p861_vault::{Progress, Repository, RepositoryAccess};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead as _, BufReader},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Concurrent writes during a restore.
const MAX_PARALLEL_WRITES: usize = 16;
/// Differences that a preview or a refusal lists by name.
const MAX_LISTED_DIFFERENCES: usize = 20_000;
/// Objects that a preview lists by name because they would be created. Those never take the place of a difference.
const MAX_LISTED_CREATIONS: usize = 20_000;

/// Time between looks at an object that is being deleted.
const REMOVAL_INTERVAL: Duration = Duration::from_millis(500);
/// Looks at an object that is being deleted, until the attempt fails.
const REMOVAL_LOOKS: u32 = 120;

/// Which objects of a snapshot are restored.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// As the Restore says.
    pub select: RestoreSelection,
    /// If there are any, no other workloads.
    pub workloads: Vec<WorkloadReference>,
}

impl Choice {
    fn includes(&self, object: &Value) -> bool {
        let (kind, group) = (objects::kind(object), objects::group(object));
        let resources = &self.select.resources;
        let of_kind = resources.is_empty() || resources.iter().any(|wanted| wanted.kind == kind && wanted.group.as_deref().unwrap_or_default() == group);
        let is_workload = group == "apps" && matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet");
        let named = |workload: &WorkloadReference| {
            workload.kind.to_string() == kind && workload.name == objects::name(object) && workload.namespace.as_deref() == Some(objects::namespace(object))
        };
        of_kind && (self.workloads.is_empty() || !is_workload || self.workloads.iter().any(named))
    }
}

/// Counts of objects by action, done or previewed.
#[derive(Default)]
struct Tally {
    create: AtomicU64,
    change: AtomicU64,
    same: AtomicU64,
    refused: AtomicU64,
    differences: parking_lot::Mutex<Vec<ListedChange>>,
    creations: parking_lot::Mutex<Vec<ListedChange>>,
}

impl Tally {
    fn note(&self, action: ObjectChange, object: &Value, why: &str) {
        let counter = match action {
            ObjectChange::Create => &self.create,
            ObjectChange::Change => &self.change,
            ObjectChange::Same => &self.same,
            ObjectChange::Refused => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let (list, most) = match action {
            ObjectChange::Change | ObjectChange::Refused => (&self.differences, MAX_LISTED_DIFFERENCES),
            ObjectChange::Create => (&self.creations, MAX_LISTED_CREATIONS),
            ObjectChange::Same => return,
        };
        let mut list = list.lock();
        if list.len() < most {
            list.push(ListedChange {
                action,
                kind: objects::kind(object).to_owned(),
                namespace: objects::namespace(object).to_owned(),
                name: objects::name(object).to_owned(),
                why: p861_core::conditions::shorten(why, 300),
            });
        }
    }

    fn changes(&self) -> RestoreChanges {
        let count = |counter: &AtomicU64| i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        RestoreChanges { create: count(&self.create), change: count(&self.change), same: count(&self.same), refused: count(&self.refused) }
    }
}

/// What a restore of objects did, or would do.
#[derive(Clone, Debug)]
pub struct ObjectsOutcome {
    /// Number of objects by what happened, or would.
    pub changes: RestoreChanges,
    /// Of a preview: the objects that would change or be refused, then those that would be created; each sorted.
    pub previewed: Option<Vec<ListedChange>>,
    /// Number of objects that were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
}

/// Writes the objects of a snapshot: rank by rank, many of a rank at a time, by server-side apply. A preview asks the API server by dry run and writes nothing.
///
/// # Errors
/// If the snapshot can't be read, or the API server can't be reached or refuses an object.
#[expect(clippy::too_many_arguments, reason = "one argument per field of the task")]
pub async fn restore(
    client: &Client,
    access: RepositoryAccess,
    snapshot: &SnapshotId,
    rules: &CopyRules,
    choice: &Choice,
    conflict: ConflictHandling,
    preview: bool,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<ObjectsOutcome, WorkError> {
    let (ranks, left_out) = read(access, snapshot.clone(), rules.clone(), choice.clone()).await?;
    let kinds = kinds_by_group(client).await?;
    let total: u64 = ranks.values().map(|objects| objects.len() as u64).sum();
    let tally = Tally::default();
    // Refuse must write nothing if any object differs, so all objects are compared before the first write.
    let look_first = preview || conflict == ConflictHandling::Policy(ConflictPolicy::Refuse);
    if look_first {
        for objects in ranks.values() {
            let looks = stream::iter(objects).map(|object| async {
                let (change, why) = compare(client, &kinds, object, preview).await?;
                tally.note(change, object, &why);
                Ok::<(), WorkError>(())
            });
            looks.buffer_unordered(MAX_PARALLEL_WRITES).try_collect::<Vec<()>>().await?;
        }
    }
    let changes = tally.changes();
    let mut differences = tally.differences.into_inner();
    if preview {
        // Compared side by side, they come in any order. Differences come first: a list may be cut where it is shown.
        let mut creations = tally.creations.into_inner();
        for list in [&mut differences, &mut creations] {
            list.sort_by(|a, b| (&a.namespace, &a.kind, &a.name).cmp(&(&b.namespace, &b.kind, &b.name)));
        }
        differences.append(&mut creations);
        return Ok(ObjectsOutcome { changes, previewed: Some(differences), left_out });
    }
    if look_first && (changes.change > 0 || changes.refused > 0) {
        let first = differences.first().map_or_else(String::new, |item| format!("{} {}", item.kind, item.name));
        let message = format!(
            "{} objects are there and different, for example {first}; nothing was written. Choose spec.conflictPolicy Skip, Merge or Replace, or other namespaces",
            changes.change + changes.refused
        );
        return Err(WorkError::stated(Reason::Conflicts, message, true));
    }
    let tally = Tally::default();
    let done = AtomicU64::new(0);
    for objects in ranks.values() {
        let writes = stream::iter(objects).map(|object| async {
            write(client, &kinds, object, conflict, &tally).await?;
            let items_done = done.fetch_add(1, Ordering::Relaxed) + 1;
            on_progress(Progress { items_done, items_total: Some(total), bytes_done: 0, bytes_total: None });
            Ok::<(), WorkError>(())
        });
        writes.buffer_unordered(MAX_PARALLEL_WRITES).try_collect::<Vec<()>>().await?;
    }
    Ok(ObjectsOutcome { changes: tally.changes(), previewed: None, left_out })
}

type Ranks = BTreeMap<u8, Vec<Value>>;

/// Reads and prepares the objects of a snapshot, and counts the skipped ones by reason.
async fn read(access: RepositoryAccess, snapshot: SnapshotId, rules: CopyRules, choice: Choice) -> Result<(Ranks, BTreeMap<String, u64>), WorkError> {
    let texts = blocking(move || {
        let repository = Repository::open(&access)?;
        let mut texts = Vec::new();
        for (path, size) in repository.list_files(snapshot.as_str(), "objects")? {
            let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            repository.read_file(snapshot.as_str(), &format!("objects/{path}"), &mut text)?;
            texts.push((path, text));
        }
        Ok(texts)
    })
    .await?;
    let (mut ranks, mut left): (Ranks, BTreeMap<String, u64>) = Default::default();
    for (path, text) in texts {
        for (number, line) in BufReader::new(text.as_slice()).lines().enumerate() {
            let broken = |error: &dyn std::fmt::Display| WorkError::stated(Reason::Damaged, format!("objects/{path}, line {}: {error}", number + 1), true);
            let line = line.map_err(|error| broken(&error))?;
            let object: Value = serde_json::from_str(&line).map_err(|error| broken(&error))?;
            if !choice.includes(&object) {
                *left.entry("not selected".into()).or_default() += 1;
                continue;
            }
            match objects::prepare(object, &rules) {
                Prepared::Write(object) => ranks.entry(objects::rank(&object)).or_default().push(object),
                Prepared::Leave(why) => *left.entry(why.into()).or_default() += 1,
            }
        }
    }
    Ok((ranks, left))
}

type Kinds = HashMap<(String, String), ApiResource>;

async fn kinds_by_group(client: &Client) -> Result<Kinds, WorkError> {
    Ok(namespaced_kinds(client).await?.into_iter().map(|resource| ((resource.group.clone(), resource.kind.clone()), resource)).collect())
}

fn api_of(client: &Client, kinds: &Kinds, object: &Value) -> Option<Api<DynamicObject>> {
    let resource = kinds.get(&(objects::group(object).to_owned(), objects::kind(object).to_owned()))?;
    Some(Api::namespaced_with(client.clone(), objects::namespace(object), resource))
}

fn parse(object: &Value) -> Result<DynamicObject, WorkError> {
    serde_json::from_value(object.clone())
        .map_err(|error| WorkError::stated(Reason::Damaged, format!("{} {}: {error}", objects::kind(object), objects::name(object)), true))
}

/// Converts the object's apiVersion to the one that this API server prefers, if the backup's is no longer served.
fn in_served_version(kinds: &Kinds, object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(resource) = kinds.get(&(objects::group(&object).to_owned(), objects::kind(&object).to_owned())) {
        object["apiVersion"] = json!(resource.api_version);
    }
    object
}

/// What writing the object would change, and how.
async fn compare(client: &Client, kinds: &Kinds, object: &Value, dry_run: bool) -> Result<(ObjectChange, String), WorkError> {
    let (kind, name) = (objects::kind(object), objects::name(object));
    let Some(api) = api_of(client, kinds, object) else {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        return Ok((ObjectChange::Refused, format!("{version} {kind} is not served here")));
    };
    let segment = match in_path(name) {
        Ok(segment) => segment,
        Err(error) => return Ok((ObjectChange::Refused, error.to_string())),
    };
    let object = &in_served_version(kinds, object);
    let there = api.get_opt(&segment).await.context(|| format!("read {kind} {name}"))?;
    let applied = if dry_run || there.is_some() {
        let parameters = PatchParams { dry_run: true, ..PatchParams::apply(FIELD_MANAGER).force() };
        match api.patch(&segment, &parameters, &Patch::Apply(parse(object)?)).await {
            Ok(applied) => Some(applied),
            // The namespace doesn't exist yet, so a dry run is impossible.
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(kube::Error::Api(status)) => return Ok((ObjectChange::Refused, status.message)),
            Err(error) => return Err(error).context(|| format!("try {kind} {name}")).map_err(Into::into),
        }
    } else {
        None
    };
    Ok(match (there, applied) {
        (None, _) => (ObjectChange::Create, String::new()),
        (Some(there), Some(applied)) => {
            let strip = |object: DynamicObject| match objects::save(serde_json::to_value(object).unwrap_or_default(), &[]) {
                SaveDecision::Keep(value) => value,
                SaveDecision::Leave(_) => Value::Null,
            };
            let (before, after) = (strip(there), strip(applied));
            if before == after { (ObjectChange::Same, String::new()) } else { (ObjectChange::Change, difference(&before, &after)) }
        }
        (Some(_), None) => (ObjectChange::Same, String::new()),
    })
}

/// The first field that differs, and how.
fn difference(before: &Value, after: &Value) -> String {
    fn walk(path: &str, before: &Value, after: &Value) -> Option<String> {
        match (before, after) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                keys.into_iter().find_map(|key| {
                    walk(
                        &if path.is_empty() { key.clone() } else { format!("{path}.{key}") },
                        a.get(key).unwrap_or(&Value::Null),
                        b.get(key).unwrap_or(&Value::Null),
                    )
                })
            }
            _ if before != after => {
                let brief = |value: &Value| p861_core::conditions::shorten(&value.to_string(), 60);
                Some(format!("{path}: {} → {}", brief(before), brief(after)))
            }
            _ => None,
        }
    }
    // Values of Secrets are not shown.
    if before.get("kind").and_then(Value::as_str) == Some("Secret") { "its data differs".into() } else { walk("", before, after).unwrap_or_default() }
}

async fn write(client: &Client, kinds: &Kinds, object: &Value, conflict: ConflictHandling, tally: &Tally) -> Result<(), WorkError> {
    let (kind, name, namespace) = (objects::kind(object).to_owned(), objects::name(object).to_owned(), objects::namespace(object).to_owned());
    let Some(api) = api_of(client, kinds, object) else {
        return Err(WorkError::stated(
            Reason::RefusedByAdmission,
            format!(
                "{kind} {name}: {} is not served on this site: install it, or leave the kind out with spec.exclude",
                object["apiVersion"].as_str().unwrap_or_default()
            ),
            true,
        ));
    };
    let object = in_served_version(kinds, object);
    let what = || format!("write {kind} {name} to {namespace}");
    let mut done = ObjectChange::Create;
    match conflict {
        ConflictHandling::Policy(ConflictPolicy::Skip) => {
            match api.create(&PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }, &parse(&object)?).await {
                Ok(_) => tally.note(ObjectChange::Create, &object, ""),
                Err(error) if crate::error::is_conflict(&error) => tally.note(ObjectChange::Same, &object, ""),
                Err(error) => return Err(error).context(what).map_err(Into::into),
            }
            return Ok(());
        }
        ConflictHandling::Policy(ConflictPolicy::Replace) => {
            match compare(client, kinds, &object, false).await?.0 {
                // What is as it was saved stays: its preview said so.
                ObjectChange::Same => {
                    tally.note(ObjectChange::Same, &object, "");
                    return Ok(());
                }
                ObjectChange::Create => {}
                // What can't be changed in place, such as a selector, can be replaced.
                ObjectChange::Change | ObjectChange::Refused => done = ObjectChange::Change,
            }
            remove(&api, &object).await?;
        }
        ConflictHandling::Own | ConflictHandling::Policy(ConflictPolicy::Refuse | ConflictPolicy::Merge) => {}
    }
    api.patch(&in_path(&name)?, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(parse(&object)?)).await.context(what)?;
    tally.note(done, &object, "");
    Ok(())
}

/// Deletes an object that will be created anew, and waits until it is gone. One that the API server would not accept again stays.
async fn remove(api: &Api<DynamicObject>, object: &Value) -> Result<(), WorkError> {
    let (kind, name) = (objects::kind(object), objects::name(object));
    let what = || format!("replace {kind} {name} in {}", objects::namespace(object));
    let trial = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.into()) };
    match api.create(&trial, &parse(object)?).await {
        Ok(_) => {}
        // Admission and validation come before.
        Err(error) if crate::error::is_conflict(&error) => {}
        Err(error) => return Err(error).context(what).map_err(Into::into),
    }
    let segment = in_path(name)?;
    match api.delete(&segment, &DeleteParams::foreground()).await {
        Ok(_) => {}
        Err(error) if crate::error::is_not_found(&error) => return Ok(()),
        Err(error) => return Err(error).context(what).map_err(Into::into),
    }
    for _ in 0..REMOVAL_LOOKS {
        if api.get_opt(&segment).await.context(what)?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(REMOVAL_INTERVAL).await;
    }
    let limit = REMOVAL_INTERVAL.as_secs_f64() * f64::from(REMOVAL_LOOKS);
    let message = format!("{kind} {name} is still there {limit:.0} s after it was deleted: see its metadata.finalizers and its owner");
    Err(WorkError::stated(Reason::Conflicts, message, false))
}

#[cfg(test)]
#[path = "restore/tests.rs"]
mod tests;
