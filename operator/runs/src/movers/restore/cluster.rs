//! Cluster-scoped objects of a snapshot. They are few, each named by the Application, so they are kept in memory and written one after the other: definitions
//! first, then what other objects need; webhook configurations after everything else, since they would refuse it while what they call doesn't run yet.
//!
//! A copy gets only definitions that are missing. None is deleted, whatever the policy.

use super::{
    Restoring,
    counting::{Outcome, Tally},
    place::Place,
    writing::{Item, Writer},
};
use crate::{
    asking::{ask, is_untried},
    movers::{
        cluster::{NOT_GRANTED, resource, wait_for_rights},
        kinds::namespaced_kinds,
        work::WorkError,
    },
};
use kube::core::Status;
use p861_core::objects::{self, ClusterKind, ClusterObject, Identity};
use p861_crds::platform::application::ClusterResource;
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How long a definition may take until objects of its kind can be written. Those that can't be by then are listed as not served.
const SERVED_PATIENCE: Duration = Duration::from_mins(1);
const SERVED_INTERVAL: Duration = Duration::from_millis(500);
/// Of a preview: why an object would be created whose kind isn't served yet.
pub(super) const DEFINED_BEFORE: &str = "its kind is defined before it, by a CustomResourceDefinition of the backup";
const OWNERS_DROPPED: &str = "cluster-scoped object, its references to owners were dropped";

/// One cluster-scoped object that may be written.
pub(super) struct OfCluster {
    kind: &'static ClusterKind,
    prepared: ClusterObject,
    /// As it was saved, of a preview that shows it.
    manifest: Option<Value>,
    /// Size of its line in bytes.
    bytes: u64,
}

impl OfCluster {
    fn told(&self) -> String {
        format!("{} {}", self.kind.kind, objects::name(&self.prepared.object))
    }
}

/// What came of one.
enum Written {
    /// As of any object, with how it was written otherwise than saved.
    As(Outcome, Vec<&'static str>),
    /// A copy leaves it as it is, and why that matters.
    Kept(String),
}

/// Why the API server refused a cluster-scoped object, with what to do where it's a matter of rights.
fn refusal(status: &Status) -> String {
    if status.code == 403 { format!("{}; {NOT_GRANTED}", status.message) } else { status.message.clone() }
}

impl Writer<'_> {
    /// Writes one, or tries it. The rights to it were given at `since`.
    async fn of_cluster(&self, one: &OfCluster, since: Instant) -> Result<Written, WorkError> {
        let as_refused = |why: String| Ok(Written::As(Outcome::Refused(why), Vec::new()));
        let ClusterObject { object, forbidden, had_owners } = &one.prepared;
        let place = match Place::of(self.client, &resource(one.kind), object) {
            Ok(place) => place,
            Err(error) => return as_refused(error.to_string()),
        };
        let mut object = object.clone();
        object["apiVersion"] = json!(one.kind.api_version());
        let mut item = Item { place: &place, object, owned: false, adjusted: Vec::new() };
        let live = loop {
            match ask(self.pace, || item.what(), || item.place.get()).await? {
                Ok(live) => break live,
                Err(status) if status.code == 403 => {
                    if wait_for_rights(since).await {
                        continue;
                    }
                    let is_served = objects::defined_kind(&item.object).is_some_and(|kind| self.kinds.contains_key(&kind));
                    if self.isolated && is_served {
                        let told = one.told();
                        return Ok(Written::Kept(format!(
                            "{told}: its kind is served here, by the same definition or another: the site doesn't let it be read"
                        )));
                    }
                    return as_refused(refusal(&status));
                }
                Err(status) => return as_refused(status.message),
            }
        };
        let is_same = live.as_ref().is_some_and(|live| objects::covers(&objects::content(live), &item.object));
        if is_same && self.isolated {
            return Ok(Written::As(Outcome::Same, Vec::new()));
        }
        if let Some(why) = forbidden.as_ref().filter(|_| !is_same) {
            return if live.is_some() { Ok(Written::As(self.in_the_way(why.clone()), Vec::new())) } else { as_refused(why.clone()) };
        }
        if live.is_some() && self.isolated {
            return Ok(Written::Kept(format!("{} is there with another content, which a copy doesn't change", one.told())));
        }
        let outcome = if live.is_some() {
            self.existing(&mut item).await?
        } else {
            match ask(self.pace, || item.what(), || item.place.make(&item.object, self.dry_run)).await? {
                Ok(()) => Outcome::Created(String::new()),
                Err(status) if self.dry_run && is_untried(&status) => Outcome::Created(String::new()),
                Err(status) => Outcome::Refused(refusal(&status)),
            }
        };
        let mut adjusted = item.adjusted;
        adjusted.extend(had_owners.then_some(OWNERS_DROPPED));
        Ok(Written::As(outcome, adjusted))
    }
}

impl Restoring<'_> {
    /// The cluster-scoped objects of the snapshot that may be written, in the order in which they are. Of a second try those that the first could not write.
    pub(super) async fn of_cluster(&self) -> Result<Vec<OfCluster>, WorkError> {
        let (again, choice) = (self.task.again.as_ref(), &self.task.choice);
        let files: Vec<usize> = self.source.files.iter().enumerate().filter(|(_, file)| file.is_of_cluster()).map(|(index, _)| index).collect();
        let mut found = Vec::new();
        // Whoever selects kinds doesn't ask for the others. What is missing was said by the first try.
        let asks_for_all = choice.select.resources.is_empty() && again.is_none();
        let mut unseen: Vec<&ClusterResource> = if asks_for_all { choice.cluster.iter().collect() } else { Vec::new() };
        if !files.is_empty() {
            let mut lines = self.source.read(files.clone(), files.into_iter().map(|file| (file, None)).collect());
            while let Some(line) = lines.recv().await {
                let line = line?;
                let object = self.parse(&line)?;
                unseen.retain(|named| !objects::names_object(named, &object));
                let bytes = line.text.len() as u64 + 1;
                match self.may_be_written(&object) {
                    Ok(kind) if again.is_none_or(|again| again.contains(&Identity::of(&object))) => {
                        let manifest = (self.task.preview && choice.is_by_name()).then(|| objects::manifest(&object));
                        found.push(OfCluster { kind, prepared: objects::prepare_cluster(object, &self.task.rules), manifest, bytes });
                    }
                    Ok(_) => self.progressed(bytes),
                    Err(why) => {
                        if again.is_none() {
                            self.tally.lock().leave(why, Identity::of(&object));
                        }
                        self.progressed(bytes);
                    }
                }
            }
        }
        for named in unseen {
            self.tally.lock().adjust(&format!("{} {} is not in the backup, though the Application names it", named.kind, named.name));
        }
        found.sort_by_key(|one| one.kind.order());
        Ok(found)
    }

    /// Whether the Application's list lets it be written.
    fn may_be_written(&self, object: &Value) -> Result<&'static ClusterKind, &'static str> {
        let choice = &self.task.choice;
        if let Some(why) = choice.leaves(object) {
            return Err(why);
        }
        let kind = ClusterKind::of(objects::group(object), objects::kind(object)).ok_or("cluster-scoped kind that no Application may name")?;
        if self.task.rules.isolated && !kind.goes_into_a_copy() {
            return Err("it holds for the whole cluster, which a copy doesn't touch");
        }
        let named = choice.cluster.iter().any(|named| objects::names_object(named, object) && objects::permitted(named).is_ok());
        if named { Ok(kind) } else { Err("spec.clusterResources of the Application doesn't name it") }
    }

    /// Writes one, or tries it, unless it was told to end.
    async fn write_of_cluster(&self, writer: &Writer<'_>, one: &OfCluster, since: Instant) -> Result<Written, WorkError> {
        if self.end.is_made() {
            return Err(self.ended());
        }
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let written = writer.of_cluster(one, since).await;
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        written
    }

    /// Writes those that come first, and waits until the API server serves what they define. Returns those that are for the end, with those that were refused.
    pub(super) async fn write_first(&self, writer: &Writer<'_>, all: Vec<OfCluster>) -> Result<Vec<OfCluster>, WorkError> {
        let since = Instant::now();
        let (mut at_the_end, mut defined) = (Vec::new(), Vec::new());
        for one in all {
            if one.kind.comes_last() {
                at_the_end.push(one);
                continue;
            }
            let written = self.write_of_cluster(writer, &one, since).await?;
            if matches!(written, Written::As(Outcome::Refused(_), _)) && !self.task.preview {
                at_the_end.push(one);
                continue;
            }
            let refused = matches!(written, Written::As(Outcome::Refused(_), _));
            self.note_of_cluster(written, &one);
            if let Some(kind) = objects::defined_kind(&one.prepared.object).filter(|_| !refused) {
                defined.push((kind, one));
            }
        }
        if self.task.preview {
            self.promised.lock().extend(defined.into_iter().map(|(kind, _)| kind));
        } else {
            self.until_served(writer, &defined).await?;
        }
        Ok(at_the_end)
    }

    /// Writes those that come last, and tries once more what was refused.
    pub(super) async fn write_last(&self, all: Vec<OfCluster>) -> Result<(), WorkError> {
        if all.is_empty() {
            return Ok(());
        }
        let (writer, since) = (self.writer(self.task.preview).await?, Instant::now());
        for one in all {
            let written = self.write_of_cluster(&writer, &one, since).await?;
            self.note_of_cluster(written, &one);
        }
        Ok(())
    }

    /// Notes those that are there and may not become as saved.
    pub(super) async fn compare_cluster(&self, writer: &Writer<'_>, all: &[OfCluster], different: &mut Tally) -> Result<(), WorkError> {
        let since = Instant::now();
        for one in all {
            if let Written::As(outcome, _) = writer.of_cluster(one, since).await? {
                self.note_compared(writer, outcome, &one.prepared.object, different);
            }
        }
        Ok(())
    }

    fn note_of_cluster(&self, written: Written, one: &OfCluster) {
        let mut tally = self.tally.lock();
        if self.task.again.is_some() {
            tally.tried.insert(Identity::of(&one.prepared.object));
        }
        match written {
            Written::Kept(why) => tally.adjust(&why),
            Written::As(outcome, adjusted) => {
                if !matches!(outcome, Outcome::Refused(_)) {
                    let identity = Identity::of(&one.prepared.object);
                    for how in adjusted {
                        tally.adjust_of(how, &identity);
                    }
                }
                if self.task.rules.isolated && matches!(outcome, Outcome::Created(_)) && !self.task.preview {
                    tally.adjust(&format!("{} was missing and was made; it stays, since its deletion would take along every object of its kind", one.told()));
                }
                tally.note_with(outcome, &one.prepared.object, one.manifest.clone());
            }
        }
        drop(tally);
        self.progressed(one.bytes);
    }

    /// Waits until objects of these kinds can be written. A definition that isn't taken in time is no error here: its objects are listed as not served.
    async fn until_served(&self, writer: &Writer<'_>, defined: &[((String, String), OfCluster)]) -> Result<(), WorkError> {
        let since = Instant::now();
        let mut waited_for: HashSet<&(String, String)> = defined.iter().map(|(kind, _)| kind).filter(|kind| !writer.kinds.contains_key(*kind)).collect();
        for (kind, one) in defined {
            let Ok(place) = Place::of(self.client, &resource(one.kind), &one.prepared.object) else { continue };
            let what = || format!("wait for {}", one.told());
            while waited_for.contains(kind) && since.elapsed() < SERVED_PATIENCE {
                match ask(self.pace, what, || place.get()).await? {
                    Ok(Some(live)) if objects::is_established(&live) => break,
                    _ => tokio::time::sleep(SERVED_INTERVAL).await,
                }
            }
        }
        while !waited_for.is_empty() && since.elapsed() < SERVED_PATIENCE {
            for served in namespaced_kinds(self.client).await? {
                waited_for.remove(&(served.group, served.kind));
            }
            if !waited_for.is_empty() {
                tokio::time::sleep(SERVED_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Whether the object's kind would be defined before it.
    pub(super) fn is_promised(&self, object: &Identity) -> bool {
        self.promised.lock().contains(&(object.group.clone(), object.kind.clone()))
    }
}
