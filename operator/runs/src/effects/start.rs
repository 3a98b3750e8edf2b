//! Starting workloads that were stopped, or restored held.

use super::{
    EffectOutcome, StepContext,
    bubble::LABEL_VALUE_DNS,
    workloads::{self, Look, first_of, kept::Kept},
};
use crate::{context::RunContext, error::Result, sites::pods};
use futures::{StreamExt as _, stream};
use kube::{Api, Client, api::ListParams};
use p861_core::{
    engine::{Evidence, Failure},
    objects::{self, Runner},
    runs::{self, AllottedSite},
};
use p861_crds::{
    Reason, WorkloadReference,
    names::{ROLE_LABEL, RUN_LABEL},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Workloads that a message names.
const MAX_NAMED: usize = 5;
/// Workloads that the evidence names.
const MAX_PROVEN: usize = 50;

/// What a step starts, and what of it isn't waited for.
#[derive(Clone, Copy, Debug)]
pub struct Starts<'a> {
    /// Namespace → workloads; no workloads means all that are still stopped, of every kind.
    pub workloads: &'a BTreeMap<String, Vec<WorkloadReference>>,
    /// Namespace → claims: only workloads that use them are waited for.
    pub claims: &'a BTreeMap<String, Vec<String>>,
    /// Namespace → its name in the backup.
    pub saved_as: &'a BTreeMap<String, String>,
    /// Namespace → workloads that a step before has waited for.
    pub awaited: &'a BTreeMap<String, Vec<WorkloadReference>>,
}

impl Starts<'_> {
    /// Whether a step before has waited for it.
    fn is_awaited(&self, namespace: &str, object: &Value) -> bool {
        self.awaited.get(namespace).into_iter().flatten().any(|workload| is(workload, object))
    }

    /// Whether it was not ready when the backup was taken.
    fn was_down(&self, namespace: &str, object: &Value, not_ready: &BTreeSet<&str>) -> bool {
        let saved = self.saved_as.get(namespace).map_or(namespace, String::as_str);
        not_ready.contains(format!("{saved}/{}/{}", objects::kind(object), objects::name(object)).as_str())
    }
}

/// The workloads that were not ready when the backup was taken, as the step proves that has verified it.
fn not_ready(inputs: &BTreeMap<String, Evidence>) -> BTreeSet<&str> {
    let mut named = BTreeSet::new();
    for evidence in inputs.values() {
        if let Evidence::SnapshotVerified { not_ready, .. } = evidence {
            named.extend(not_ready.iter().map(String::as_str));
        }
    }
    named
}

/// Where the workloads of a step stand.
#[derive(Default)]
struct Standing {
    ready: Vec<String>,
    /// Workloads that are not ready, and were not when the backup was taken.
    not_awaited: Vec<String>,
    /// Workloads that are not ready: namespace, words, selector of its pods.
    waiting: Vec<(String, String, String)>,
    /// Objects that are started now.
    started: usize,
}

/// Gives each workload what it had and waits until all are ready: but not for those that were not when the backup was taken, nor twice for any.
pub async fn perform(context: &RunContext, step_context: &StepContext, site: &AllottedSite, starts: &Starts<'_>) -> Result<EffectOutcome> {
    let (client, look) = (context.sites.client(site).await?, Look::begins());
    let kept = Kept { client: &client, own: &context.hub.namespace, run: &step_context.run.uid };
    let (mut standing, not_ready) = (Standing::default(), not_ready(&step_context.inputs));
    for (namespace, listed) in starts.workloads {
        let named_kinds: BTreeSet<Runner> = listed.iter().filter_map(runner).collect();
        let kinds = if listed.is_empty() { BTreeSet::from(Runner::ALL) } else { named_kinds };
        let found = workloads::list(&client, namespace, kinds).await?;
        let named = |object: &&Value| listed.is_empty() || listed.iter().any(|workload| is(workload, object));
        if let Some(missing) = listed.iter().find(|workload| !found.iter().any(|object| is(workload, object))) {
            let message = format!("{missing} is not in the backup's objects of {namespace}: correct spec.tiers of the Application");
            return Ok(EffectOutcome::Failed(Failure::permanent(Reason::WorkloadMissing, message), None));
        }
        let wanted: Vec<&Value> = found.iter().filter(named).collect();
        let patches = workloads::starts(wanted.iter().copied());
        standing.started += patches.len();
        workloads::patch(&client, namespace, patches).await?;
        if listed.is_empty() {
            standing.started += kept.bring_back(namespace, &found, false).await?;
        }
        let claims = starts.claims.get(namespace).map_or(&[][..], Vec::as_slice);
        let awaits = |object: &&Value| (claims.is_empty() || objects::uses(object, claims)) && !starts.is_awaited(namespace, object);
        look_at(&mut standing, namespace, wanted.into_iter().filter(awaits), |object| starts.was_down(namespace, object, &not_ready));
    }
    let all = standing.ready.len() + standing.waiting.len();
    if standing.started == 0 && standing.waiting.is_empty() {
        let Standing { mut ready, mut not_awaited, .. } = standing;
        ready.truncate(MAX_PROVEN);
        not_awaited.truncate(MAX_PROVEN);
        return Ok(EffectOutcome::done(Evidence::WorkloadsReady { workloads: u64::try_from(all).unwrap_or(u64::MAX), ready, not_awaited }));
    }
    let waits = waits_for(&client, &standing).await + &runs::not_awaited(&standing.not_awaited);
    let message = format!("{} of {all} ready{waits}", standing.ready.len());
    look.pause().await;
    Ok(EffectOutcome::running(message))
}

fn runner(workload: &WorkloadReference) -> Option<Runner> {
    Runner::named("apps", &workload.kind.to_string())
}

fn is(workload: &WorkloadReference, object: &Value) -> bool {
    Runner::of(object) == runner(workload) && objects::name(object) == workload.name
}

/// Whether it is the DNS of a drill's copy, and no workload of the application.
fn is_dns_of_copy(object: &Value) -> bool {
    let label = |name: &str| object.get("metadata")?.get("labels")?.get(name)?.as_str();
    label(ROLE_LABEL) == Some(LABEL_VALUE_DNS) && label(RUN_LABEL).is_some()
}

/// Sorts workloads that keep a number of pods by whether they have them. What is started in this pass counts as waiting: its status is of before.
fn look_at<'a>(standing: &mut Standing, namespace: &str, found: impl Iterator<Item = &'a Value>, was_down: impl Fn(&Value) -> bool) {
    for object in found.filter(|object| objects::controller(object).is_none() && !is_dns_of_copy(object)) {
        let Some(runner) = Runner::of(object).filter(|runner| runner.keeps_ready()) else { continue };
        let Some(state) = pods::state_of(object) else { continue };
        let words = format!("{}/{} {}/{}", runner.kind(), objects::name(object), state.ready, state.wanted);
        if objects::start(object).is_none() && pods::is_up(object, &state) {
            standing.ready.push(words);
        } else if was_down(object) {
            standing.not_awaited.push(words);
        } else {
            standing.waiting.push((namespace.to_owned(), words, state.selector));
        }
    }
}

/// The first workloads that are not ready, each with the reason that its pods give.
async fn waits_for(client: &Client, standing: &Standing) -> String {
    if standing.waiting.is_empty() {
        return String::new();
    }
    let first: Vec<(String, String, String)> = standing.waiting.iter().take(MAX_NAMED).cloned().collect();
    let named = stream::iter(first).map(|(namespace, words, selector)| async move {
        let why = why_not(client, &namespace, &selector).await;
        format!("{words}{why}")
    });
    let mut named: Vec<String> = named.buffered(MAX_NAMED).collect().await;
    named.extend(standing.waiting.iter().skip(MAX_NAMED).map(|(_, words, _)| words.clone()));
    format!("; waits for {}", first_of(&named, MAX_NAMED))
}

/// Why a workload's pods aren't ready, if they say so: an image that can't be pulled, a container that crashes, no room.
pub async fn why_not(client: &Client, namespace: &str, selector: &str) -> String {
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client.clone(), namespace);
    let Ok(list) = pods.list(&ListParams::default().labels(selector)).await else { return String::new() };
    let reason = list.items.iter().filter(|pod| !pods::is_ready(pod)).find_map(reason);
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

/// What keeps a pod from being ready.
pub fn reason(pod: &k8s_openapi::api::core::v1::Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let waiting = containers.filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
        Some(format!("{reason}: {}", waiting.message.as_deref().unwrap_or(&container.image)))
    });
    let unscheduled = status.conditions.iter().flatten().filter(|c| c.type_ == "PodScheduled" && c.status == "False").filter_map(|c| c.message.clone());
    // Checked last: an init container that hangs is reported only if nothing else explains the wait.
    let preparing = status.init_container_statuses.iter().flatten().filter(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()));
    let preparing = preparing.map(|container| format!("its init container {} still runs", container.name));
    waiting.chain(unscheduled).chain(preparing).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(name: &str, replicas: i64, ready: i64, annotations: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "generation": 2, "annotations": annotations},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {}},
            "status": {"observedGeneration": 2, "replicas": ready, "updatedReplicas": ready, "readyReplicas": ready}})
    }

    #[test]
    fn fault_g1_what_is_at_its_number_costs_nothing_and_is_ready() {
        let mut dns = deployment("p861-dns-k7m2q", 1, 0, &json!({}));
        dns["metadata"]["labels"] = json!({"platform861.io/role": "copy-dns", "platform861.io/run": "u"});
        let found = [
            deployment("off", 0, 0, &json!({})),
            deployment("up", 2, 2, &json!({})),
            deployment("held", 0, 0, &json!({"platform861.io/replicas": "3"})),
            deployment("slow", 2, 1, &json!({})),
            dns,
        ];
        let starts = workloads::starts(&found);
        assert_eq!(starts.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>(), ["held"]);
        let mut standing = Standing::default();
        look_at(&mut standing, "n", found.iter(), |_| false);
        assert_eq!(standing.ready, ["Deployment/off 0/0", "Deployment/up 2/2"]);
        assert_eq!(standing.waiting.iter().map(|(_, words, _)| words.as_str()).collect::<Vec<_>>(), ["Deployment/held 0/0", "Deployment/slow 1/2"]);
    }

    #[test]
    fn fault_i5_nobody_waits_for_what_was_not_ready_when_the_backup_was_taken_nor_twice_for_anything() {
        let found = ["up", "broken", "slow", "given-up"].map(|name| deployment(name, 1, i64::from(name == "up"), &json!({})));
        let reference = |name: &str| WorkloadReference { kind: p861_crds::WorkloadKind::Deployment, name: name.into(), namespace: None };
        let (saved_as, nothing) = (BTreeMap::from([("n".to_owned(), "of-the-backup".to_owned())]), BTreeMap::new());
        let (workloads, awaited) = (BTreeMap::new(), BTreeMap::from([("n".to_owned(), vec![reference("given-up")])]));
        let starts = Starts { workloads: &workloads, claims: &nothing, saved_as: &saved_as, awaited: &awaited };
        let verified = |not_ready: &[&str]| Evidence::SnapshotVerified {
            snapshot: "s".into(),
            blobs: 1,
            packs: 1,
            bytes: 1,
            not_ready: not_ready.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (named, waits, not_awaited) in [
            (&["of-the-backup/Deployment/broken", "of-the-backup/Deployment/up"][..], &["Deployment/slow 0/1"][..], &["Deployment/broken 0/1"][..]),
            // Of another namespace or kind, or from a backup of an earlier release.
            (&["n/Deployment/broken", "of-the-backup/StatefulSet/broken"][..], &["Deployment/broken 0/1", "Deployment/slow 0/1"][..], &[][..]),
            (&[][..], &["Deployment/broken 0/1", "Deployment/slow 0/1"][..], &[][..]),
        ] {
            let inputs = BTreeMap::from([("verify/a".to_owned(), verified(named))]);
            let (mut standing, not_ready) = (Standing::default(), not_ready(&inputs));
            let awaits = |object: &&Value| !starts.is_awaited("n", object);
            look_at(&mut standing, "n", found.iter().filter(awaits), |object| starts.was_down("n", object, &not_ready));
            assert_eq!(standing.ready, ["Deployment/up 1/1"], "{named:?}");
            assert_eq!(standing.waiting.iter().map(|(_, words, _)| words.as_str()).collect::<Vec<_>>(), waits, "{named:?}");
            assert_eq!(standing.not_awaited, not_awaited, "{named:?}");
        }
    }

    #[test]
    fn fault_g1_what_wants_no_pods_is_not_waited_for_until_its_controller_has_seen_it() {
        let unseen = |mut object: Value| {
            object["metadata"]["generation"] = json!(1);
            object.as_object_mut().unwrap().remove("status");
            object
        };
        let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "generation": 1},
            "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": {}}});
        let found = [
            unseen(deployment("off", 0, 0, &json!({}))),
            unseen(deployment("held", 0, 0, &json!({"platform861.io/replicas": "0"}))),
            unseen(deployment("up", 1, 0, &json!({}))),
            set,
        ];
        let mut standing = Standing::default();
        look_at(&mut standing, "n", found.iter(), |_| false);
        assert_eq!(standing.ready, ["Deployment/off 0/0"]);
        let waiting: Vec<&str> = standing.waiting.iter().map(|(_, words, _)| words.as_str()).collect();
        assert_eq!(waiting, ["Deployment/held 0/0", "Deployment/up 0/1", "DaemonSet/agent 0/0"]);
    }
}
