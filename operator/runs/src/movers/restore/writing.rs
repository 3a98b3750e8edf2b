//! Writes one object, or tries it by dry run: created where it is not there, else as the policy for existing objects says. A preview goes the same way.

use super::{counting::Outcome, place::Place, quotas::Quotas};
use crate::{
    asking::{ask, fields, is_duplicate, is_untried},
    movers::work::WorkError,
};
use kube::{Client, api::ApiResource, core::Status};
use p861_core::{
    objects::{self, ClaimMatch, Identity, NamespaceChanges, Owner, Pace},
    runs::ConflictHandling,
};
use p861_crds::protection::restore::ConflictPolicy;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

/// Time between looks at an object that is being deleted.
const REMOVAL_INTERVAL: Duration = Duration::from_millis(500);
/// How long an object that is being deleted is waited for.
const REMOVAL_PATIENCE: Duration = Duration::from_mins(1);
/// How often an update is tried that another writer was faster than.
const MAX_UPDATES: u32 = 4;
/// UIDs of owners that are remembered.
const MAX_OWNERS: usize = 20_000;
/// How a claim that was enlarged counts.
const ENLARGED: &str = "claim larger than in the backup, it stays as large";
const NEW_NAMESPACE: &str = "it is not there; objects in it are not tried by dry run";
/// How a Namespace counts whose Pod Security level is not the one of the backup.
const OWN_LEVEL: &str = "Pod Security level of the namespace: its own holds, and not the backup's";
const SKIPPED: &str = "it is there and different: conflictPolicy Skip leaves it";

/// The kinds that a site serves in namespaces, by group and kind.
pub(super) type Kinds = HashMap<(String, String), ApiResource>;

/// Writes objects to a site.
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of the task")]
pub(super) struct Writer<'a> {
    pub(super) client: &'a Client,
    pub(super) kinds: Kinds,
    pub(super) conflict: ConflictHandling,
    /// UID of its run.
    pub(super) run: &'a str,
    /// It writes a copy, which changes nothing of the whole cluster.
    pub(super) isolated: bool,
    /// Namespaces that are restored to: their accounts may be given rights.
    pub(super) restored: BTreeSet<String>,
    /// Namespaces that aren't there: a preview makes none.
    pub(super) absent: &'a [String],
    pub(super) dry_run: bool,
    /// What runs pods is written held.
    pub(super) holds: bool,
    /// It only looks, and what runs is stopped before anything is written.
    pub(super) stops_first: bool,
    /// Objects that are there and that the API server refuses to change in place.
    pub(super) fixed: Mutex<HashSet<Identity>>,
    pub(super) pace: &'a Mutex<Pace>,
    pub(super) owners: Mutex<HashMap<(String, Owner), String>>,
    pub(super) quotas: Quotas,
}

/// What came of creating an object.
enum Made {
    Yes,
    Exists,
    Refused(Box<Status>),
}

/// One object with its place.
pub(super) struct Item<'a> {
    pub(super) place: &'a Place,
    pub(super) object: Value,
    /// Its owner was restored before it and may have made it meanwhile.
    pub(super) owned: bool,
    /// How it is written otherwise than it was saved.
    pub(super) adjusted: Vec<&'static str>,
}

impl Item<'_> {
    pub(super) fn what(&self) -> String {
        let (kind, name) = (objects::kind(&self.object), objects::name(&self.object));
        match objects::namespace(&self.object) {
            "" => format!("write {kind} {name}"),
            namespace => format!("write {kind} {name} to {namespace}"),
        }
    }

    fn is(&self, kind: &str) -> bool {
        (objects::group(&self.object), objects::kind(&self.object)) == ("", kind)
    }
}

/// Whether the object is a Namespace.
fn is_namespace(object: &Value) -> bool {
    (objects::group(object), objects::kind(object)) == ("", "Namespace")
}

fn namespaces() -> ApiResource {
    ApiResource { group: String::new(), version: "v1".into(), api_version: "v1".into(), kind: "Namespace".into(), plural: "namespaces".into() }
}

/// What an object that is written or would be has become, told from its contents before and after.
fn told(live: &Value, after: &Value, wanted: &Value) -> Outcome {
    let live = objects::held_alike(live, wanted);
    let (before, after) = (objects::content_as(&live, wanted), objects::content_as(after, wanted));
    let differences = objects::differences(&before, &after);
    if differences.is_empty() { Outcome::Same } else { Outcome::Changed(differences) }
}

/// Leaves to the cluster what it can't give a Service; `counts` if that is what will be written.
fn allocated_anew(item: &mut Item<'_>, status: &Status, counts: bool) -> bool {
    let anew = if status.code == 422 { objects::allocate_anew(&mut item.object, &fields(status)) } else { None };
    item.adjusted.extend(anew.filter(|_| counts));
    anew.is_some()
}

impl Writer<'_> {
    fn kind_of(&self, object: &Value) -> Option<ApiResource> {
        if is_namespace(object) {
            return Some(namespaces());
        }
        self.kinds.get(&(objects::group(object).to_owned(), objects::kind(object).to_owned())).cloned()
    }

    /// The remark about an object in a namespace that would be made with it; none if its namespace is there.
    fn in_absent(&self, object: &Value) -> Option<&'static str> {
        let (namespace, remark) = if is_namespace(object) { (objects::name(object), NEW_NAMESPACE) } else { (objects::namespace(object), "") };
        self.absent.iter().any(|absent| absent == namespace).then_some(remark)
    }

    /// The UID of an owner that is there; none if it isn't, or is being deleted.
    pub(super) async fn owner(&self, namespace: &str, owner: &Owner) -> Result<Option<String>, WorkError> {
        let key = (namespace.to_owned(), owner.clone());
        if let Some(uid) = self.owners.lock().get(&key) {
            return Ok(Some(uid.clone()));
        }
        let Some(resource) = self.kinds.get(&(owner.group.clone(), owner.kind.clone())) else { return Ok(None) };
        let named = json!({"metadata": {"name": owner.name, "namespace": namespace}});
        let Ok(place) = Place::of(self.client, resource, &named) else { return Ok(None) };
        let what = || format!("read {} {} in {namespace}", owner.kind, owner.name);
        let Ok(Some(live)) = ask(self.pace, what, || place.get()).await? else { return Ok(None) };
        let uid = live.pointer("/metadata/uid").and_then(Value::as_str).filter(|_| live.pointer("/metadata/deletionTimestamp").is_none());
        if let Some(uid) = uid {
            let mut known = self.owners.lock();
            if known.len() < MAX_OWNERS {
                known.insert(key, uid.to_owned());
            }
        }
        Ok(uid.map(str::to_owned))
    }

    /// Writes the object, or tries it. Also says how it is written otherwise than it was saved.
    pub(super) async fn write(&self, mut object: Value, owned: bool) -> Result<(Outcome, Vec<&'static str>), WorkError> {
        let nothing = Vec::new;
        let Some(resource) = self.kind_of(&object) else { return Ok((Outcome::NotServed, nothing())) };
        if let Some(remark) = self.in_absent(&object) {
            return Ok((Outcome::Created(remark.to_owned()), nothing()));
        }
        let place = match Place::of(self.client, &resource, &object) {
            Ok(place) => place,
            Err(error) => return Ok((Outcome::Refused(error.to_string()), nothing())),
        };
        // The version of the backup may be served no more.
        object["apiVersion"] = json!(resource.api_version);
        let mut item = Item { place: &place, object, owned, adjusted: nothing() };
        if is_namespace(&item.object) {
            return Ok((self.namespace(&mut item).await?, item.adjusted));
        }
        if let Some(outcome) = self.within_rights(&mut item).await? {
            return Ok((outcome, item.adjusted));
        }
        let outcome = self.put(&mut item, &resource).await?;
        Ok((outcome, item.adjusted))
    }

    /// Creates the object, or does with the one that is there as the policy says.
    async fn put(&self, item: &mut Item<'_>, resource: &ApiResource) -> Result<Outcome, WorkError> {
        if self.quotas.charge(&item.object, resource)
            && let Some(outcome) = self.if_there(item).await?
        {
            return Ok(outcome);
        }
        let adjusted = item.adjusted.len();
        match self.create(item).await? {
            Made::Yes => Ok(Outcome::Created(String::new())),
            Made::Refused(status) => Ok(Outcome::Refused(status.message)),
            Made::Exists => {
                // The API server looks at addresses and ports before it looks at names: those of a Service that is there are taken by itself.
                item.adjusted.truncate(adjusted);
                self.existing(item).await
            }
        }
    }

    /// Looks at an object that is there: what the policy would do with it, by dry run.
    pub(super) async fn look(&self, mut object: Value) -> Result<Outcome, WorkError> {
        let Some(resource) = self.kind_of(&object) else { return Ok(Outcome::NotServed) };
        let Ok(place) = Place::of(self.client, &resource, &object) else { return Ok(Outcome::Same) };
        object["apiVersion"] = json!(resource.api_version);
        let mut item = Item { place: &place, object, owned: false, adjusted: Vec::new() };
        if is_namespace(&item.object) {
            return self.namespace(&mut item).await;
        }
        match self.within_rights(&mut item).await? {
            Some(outcome) => Ok(outcome),
            None => self.existing(&mut item).await,
        }
    }

    /// Creates the object. What this cluster can't give a Service is left to it, and said.
    async fn create(&self, item: &mut Item<'_>) -> Result<Made, WorkError> {
        loop {
            let Err(status) = ask(self.pace, || item.what(), || item.place.create(&item.object, self.dry_run)).await? else { return Ok(Made::Yes) };
            if status.code == 409 && status.reason == "AlreadyExists" {
                return Ok(Made::Exists);
            }
            // A namespace that a preview would create, or a webhook that knows no dry run.
            if self.dry_run && (status.code == 404 || is_untried(&status)) {
                return Ok(Made::Yes);
            }
            if !allocated_anew(item, &status, true) {
                return Ok(Made::Refused(status));
            }
        }
    }

    /// In a copy nothing is there but what it wrote itself.
    fn policy(&self) -> ConflictPolicy {
        match self.conflict {
            ConflictHandling::Own => ConflictPolicy::Merge,
            ConflictHandling::Policy(policy) => policy,
        }
    }

    /// An object that is there, differs, and can't become as saved. Under Refuse that is a difference like any other: found beforehand, nothing is written.
    pub(super) fn in_the_way(&self, why: String) -> Outcome {
        match self.policy() {
            ConflictPolicy::Skip => Outcome::Left(SKIPPED, why),
            ConflictPolicy::Refuse if self.dry_run => Outcome::Changed(why),
            ConflictPolicy::Refuse | ConflictPolicy::Merge | ConflictPolicy::Replace => Outcome::Refused(why),
        }
    }

    /// Does with the object that is there as the policy says.
    pub(super) async fn existing(&self, item: &mut Item<'_>) -> Result<Outcome, WorkError> {
        Ok(self.if_there(item).await?.unwrap_or_else(|| Outcome::Refused("it was deleted while it was compared".into())))
    }

    /// The same; none if it is not there.
    async fn if_there(&self, item: &mut Item<'_>) -> Result<Option<Outcome>, WorkError> {
        match ask(self.pace, || item.what(), || item.place.get()).await? {
            Ok(Some(live)) => self.found(item, live).await.map(Some),
            Ok(None) => Ok(None),
            Err(status) => Ok(Some(Outcome::Refused(status.message))),
        }
    }

    async fn found(&self, item: &mut Item<'_>, live: Value) -> Result<Outcome, WorkError> {
        if live.pointer("/metadata/deletionTimestamp").is_some() {
            return Ok(self.in_the_way("it is being deleted: see its metadata.finalizers".into()));
        }
        if item.is("PersistentVolumeClaim") {
            return self.claim(item, &live).await;
        }
        if self.holds
            && let Some(marked) = objects::marked_at_rest(&item.object)
        {
            item.object = marked;
        }
        let policy = self.policy();
        let content = objects::content_as(&objects::held_alike(&live, &item.object), &item.object);
        if policy != ConflictPolicy::Replace && objects::covers(&content, &item.object) {
            return Ok(Outcome::Same);
        }
        match policy {
            ConflictPolicy::Merge => self.apply(item, &live, self.dry_run).await,
            ConflictPolicy::Replace => self.update(item, live, true).await,
            ConflictPolicy::Skip => Ok(match self.apply(item, &live, true).await? {
                Outcome::Changed(how) | Outcome::Refused(how) => Outcome::Left(SKIPPED, how),
                same => same,
            }),
            // Nobody has written this object: the cluster made it with the namespace, or its owner did, restored a moment ago.
            ConflictPolicy::Refuse if item.owned || objects::is_untouched(&live) => Ok(match self.apply(item, &live, self.dry_run).await? {
                // It was not there when everything was compared.
                Outcome::Changed(how) if item.owned => Outcome::Created(objects::brief(&how)),
                Outcome::Changed(how) => Outcome::Added(how),
                other => other,
            }),
            ConflictPolicy::Refuse => Ok(match self.apply(item, &live, true).await? {
                Outcome::Changed(how) if !self.dry_run => Outcome::Refused(format!("it appeared while the restore ran, and differs: {}", objects::brief(&how))),
                // That it can't be changed in place is a difference, too.
                Outcome::Refused(why) if self.dry_run => Outcome::Changed(why),
                other => other,
            }),
        }
    }

    async fn apply(&self, item: &mut Item<'_>, live: &Value, dry_run: bool) -> Result<Outcome, WorkError> {
        loop {
            match ask(self.pace, || item.what(), || item.place.apply(&item.object, dry_run)).await? {
                Ok(after) => return Ok(told(live, &after, &item.object)),
                Err(status) if is_duplicate(&status) && dry_run == self.dry_run => return self.update(item, live.clone(), false).await,
                Err(status) if is_duplicate(&status) || (dry_run && is_untried(&status)) => {
                    return Ok(Outcome::Changed(objects::differences_of(live, &item.object)));
                }
                Err(status) if allocated_anew(item, &status, dry_run == self.dry_run) => {}
                Err(status) => return Ok(self.refused(item, *status)),
            }
        }
    }

    /// A refusal to change what is there. One that will be the same whenever it is asked is remembered.
    fn refused(&self, item: &Item<'_>, status: Status) -> Outcome {
        if status.code == 422 {
            self.fixed.lock().insert(Identity::of(&item.object));
        }
        Outcome::Refused(status.message)
    }

    /// Puts the object in the place of the live one. With `remake`, one that can't be changed in place may be deleted and made again.
    async fn update(&self, item: &mut Item<'_>, mut live: Value, remake: bool) -> Result<Outcome, WorkError> {
        for _ in 0..MAX_UPDATES {
            let object = objects::in_place(&item.object, &live);
            let content = objects::content_as(&objects::held_alike(&live, &item.object), &item.object);
            if objects::content_as(&object, &item.object) == content {
                return Ok(Outcome::Same);
            }
            let status = match ask(self.pace, || item.what(), || item.place.update(&object, self.dry_run)).await? {
                Ok(after) => return Ok(told(&live, &after, &item.object)),
                Err(status) => status,
            };
            match status.code {
                // Another writer was faster.
                409 => match ask(self.pace, || item.what(), || item.place.get()).await? {
                    Ok(Some(newer)) => live = newer,
                    _ => break,
                },
                422 if allocated_anew(item, &status, true) => {}
                422 if remake => return self.remake(item, &live, &status.message).await,
                _ if self.dry_run && is_untried(&status) => return Ok(told(&live, &object, &item.object)),
                _ => return Ok(self.refused(item, *status)),
            }
        }
        Ok(Outcome::Refused("another writer changes it at the same time".into()))
    }

    /// Deletes and creates an object that can't be changed in place, if its kind holds no data and the API server would take it.
    async fn remake(&self, item: &mut Item<'_>, live: &Value, why: &str) -> Result<Outcome, WorkError> {
        let stopped = if self.stops_first { Some(objects::once_stopped(live)) } else { None };
        let permission = match objects::replaceable(stopped.as_ref().unwrap_or(live), &item.object) {
            Ok(permission) => permission,
            Err(kept) => {
                self.fixed.lock().insert(Identity::of(&item.object));
                return Ok(Outcome::Refused(format!("{kept} ({why})")));
            }
        };
        // Validation and admission come before the name is looked at.
        match ask(self.pace, || item.what(), || item.place.create(&item.object, true)).await? {
            Err(status) if status.reason != "AlreadyExists" && !is_untried(&status) => return Ok(self.refused(item, *status)),
            _ => {}
        }
        let changed = Outcome::Changed(format!("deleted and made again, since it can't be changed in place: {why}"));
        if self.dry_run {
            return Ok(changed);
        }
        match ask(self.pace, || item.what(), || item.place.delete(&permission)).await? {
            Err(status) if status.code != 404 => return Ok(Outcome::Refused(status.message)),
            _ => {}
        }
        let since = Instant::now();
        while let Ok(Some(_)) = ask(self.pace, || item.what(), || item.place.get()).await? {
            if since.elapsed() > REMOVAL_PATIENCE {
                let limit = REMOVAL_PATIENCE.as_secs();
                return Ok(Outcome::Refused(format!("it is still there {limit} s after it was deleted: see its metadata.finalizers")));
            }
            tokio::time::sleep(REMOVAL_INTERVAL).await;
        }
        match self.create(item).await? {
            Made::Yes | Made::Exists => Ok(changed),
            Made::Refused(status) => {
                // As it was is better than gone.
                let before = objects::content_as(live, &item.object);
                let back = ask(self.pace, || item.what(), || item.place.create(&before, false)).await?;
                let back = if back.is_ok() { "the one before was made again" } else { "the one before is gone" };
                Ok(Outcome::Refused(format!("{}; {back}", status.message)))
            }
        }
    }

    /// A claim that is there keeps its spec under every policy: only its labels and annotations follow the policy.
    async fn claim(&self, item: &mut Item<'_>, live: &Value) -> Result<Outcome, WorkError> {
        match objects::compare_claims(live, &item.object) {
            ClaimMatch::Other(why) => return Ok(self.in_the_way(why)),
            ClaimMatch::Larger => item.adjusted.push(ENLARGED),
            ClaimMatch::Same => {}
        }
        let Some(patch) = objects::metadata_patch(&item.object, live, true, |_| true) else { return Ok(Outcome::Same) };
        let changed = Outcome::Changed(format!("labels and annotations: {}", patch["metadata"]));
        match self.policy() {
            ConflictPolicy::Skip => Ok(Outcome::Left(SKIPPED, format!("labels and annotations: {}", patch["metadata"]))),
            ConflictPolicy::Refuse => Ok(if self.dry_run { changed } else { Outcome::Refused("it appeared while the restore ran, and differs".into()) }),
            ConflictPolicy::Merge | ConflictPolicy::Replace => self.merge(item, &patch, changed).await,
        }
    }

    /// Labels and annotations that the namespace lacks are added under every policy; those that it has otherwise follow the policy. It counts as created if the run
    /// itself has made it, a moment ago.
    async fn namespace(&self, item: &mut Item<'_>) -> Result<Outcome, WorkError> {
        let live = match ask(self.pace, || item.what(), || item.place.get()).await? {
            Ok(Some(live)) => live,
            Ok(None) => return Ok(Outcome::Created(String::new())),
            Err(status) => return Ok(Outcome::Refused(status.message)),
        };
        let NamespaceChanges { missing, all, keeps_level, made_by_run } = objects::namespace_changes(&item.object, &live, self.run);
        item.adjusted.extend(keeps_level.then_some(OWN_LEVEL));
        let or_created = |outcome: Outcome| if made_by_run { Outcome::Created(String::new()) } else { outcome };
        let added = |patch: &Value| or_created(Outcome::Added(format!("labels and annotations are added: {}", patch["metadata"])));
        let differs = || format!("its labels or annotations differ: {}", all.as_ref().map_or(&Value::Null, |all| &all["metadata"]));
        let (patch, outcome) = match self.conflict {
            ConflictHandling::Policy(ConflictPolicy::Refuse) if all != missing => {
                return Ok(if self.dry_run { Outcome::Changed(differs()) } else { Outcome::Refused(differs()) });
            }
            ConflictHandling::Policy(ConflictPolicy::Skip) if all != missing && missing.is_none() => return Ok(Outcome::Left(SKIPPED, differs())),
            ConflictHandling::Policy(ConflictPolicy::Skip | ConflictPolicy::Refuse) => (missing.as_ref(), missing.as_ref().map(added)),
            _ if all == missing => (all.as_ref(), all.as_ref().map(added)),
            _ => (all.as_ref(), Some(or_created(Outcome::Changed(differs())))),
        };
        match (patch, outcome) {
            (Some(patch), Some(outcome)) => self.merge(item, patch, outcome).await,
            _ => Ok(or_created(Outcome::Same)),
        }
    }

    async fn merge(&self, item: &Item<'_>, patch: &Value, done: Outcome) -> Result<Outcome, WorkError> {
        Ok(match ask(self.pace, || item.what(), || item.place.merge(patch, self.dry_run)).await? {
            Err(status) if !is_untried(&status) => Outcome::Refused(status.message),
            _ => done,
        })
    }
}
