//! A mover's Job: what it may do, and where it runs.
//!
//! A mover that mounts no claim runs as a user without rights and is valid under Pod Security *restricted*. One that mounts a claim runs as root, with only the
//! capabilities that reading or writing files of any owner needs, and is valid under *baseline*. All have requests and limits, so that quotas take them.

use super::{MoverPlace, environment, run_name};
use crate::{
    context::RunContext,
    effects::{StepContext, snapshot},
    error::{Error, ErrorContext as _, Result},
};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{Pod, PodSpec, Toleration},
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use p861_core::{engine::StoredObject, names, objects::LABEL_VALUE_MOVER, runs::MoverTask};
use p861_crds::names::{ROLE_LABEL, RUN_LABEL, STEP_ANNOTATION, STEP_LABEL};
use serde_json::{Value, json};

/// Memory limit of a mover. docs/FIGURES.md lists measured peaks.
pub const MOVER_MEMORY_LIMIT: &str = "1Gi";
/// CPU limit of a mover: a quota on limits.cpu refuses pods without one.
const MOVER_CPU_LIMIT: &str = "2";
/// User and group of a mover that needs no root.
const MOVER_UID: i64 = 65532;
/// Name of the volume with the data. A claim that is made for it is called `<pod>-data`.
pub const DATA_VOLUME: &str = "data";
/// Taint of a cordoned node.
const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

/// Where a mover may run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// The node on which the claim is in use: a ReadWriteOnce claim can only be mounted there.
    pub node: Option<String>,
    /// The node is only the best: a snapshot of the claim can be mounted elsewhere, if the storage can be reached from there.
    pub node_is_preferred: bool,
    /// Taints that it takes: those that the pods of the claim take.
    pub tolerations: Vec<Toleration>,
}

impl Placement {
    fn tolerate<'a>(&mut self, more: impl IntoIterator<Item = &'a Toleration>) {
        for toleration in more {
            if !self.tolerations.contains(toleration) {
                self.tolerations.push(toleration.clone());
            }
        }
    }
}

/// Where the mover of a claim may run.
///
/// # Errors
/// If the API server can't be read.
pub async fn placement(client: &Client, place: &MoverPlace<'_>) -> Result<Placement> {
    let Some(claim) = place.claim else { return Ok(Placement::default()) };
    let every = ListParams::default();
    let pods: Api<Pod> = Api::namespaced(client.clone(), place.namespace);
    let pods = pods.list(&every).await.context(|| format!("list the pods of {}", place.namespace))?.items;
    let mut placement = Placement { node_is_preferred: place.snapshot.is_some(), ..among_pods(&pods, claim) };
    if placement.node.is_none() {
        // While its application is stopped, as in a restore, its workloads say which taints of its node they take.
        let what = || format!("list the workloads of {}", place.namespace);
        let deployments = Api::<Deployment>::namespaced(client.clone(), place.namespace).list(&every).await.context(what)?.items;
        let stateful_sets = Api::<StatefulSet>::namespaced(client.clone(), place.namespace).list(&every).await.context(what)?.items;
        let daemon_sets = Api::<DaemonSet>::namespaced(client.clone(), place.namespace).list(&every).await.context(what)?.items;
        let templates = deployments.iter().filter_map(|found| found.spec.as_ref()?.template.spec.as_ref());
        let templates = templates.chain(daemon_sets.iter().filter_map(|found| found.spec.as_ref()?.template.spec.as_ref()));
        for template in templates.filter(|template| mounts(template, claim)) {
            placement.tolerate(template.tolerations.iter().flatten());
        }
        for found in stateful_sets.iter().filter(|found| set_uses(found, claim)) {
            let template = found.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
            placement.tolerate(template.and_then(|template| template.tolerations.as_ref()).into_iter().flatten());
        }
    }
    Ok(placement)
}

fn mounts(pod: &PodSpec, claim: &str) -> bool {
    let mut volumes = pod.volumes.iter().flatten();
    volumes.any(|volume| volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == claim))
}

/// Whether the claim is one of the set's own, or is mounted by all of its pods.
fn set_uses(set: &StatefulSet, claim: &str) -> bool {
    let Some(spec) = &set.spec else { return false };
    let name = set.name_any();
    let own = spec.volume_claim_templates.iter().flatten().any(|template| {
        let ordinal = claim.strip_prefix(&format!("{}-{name}-", template.name_any()));
        ordinal.is_some_and(|ordinal| !ordinal.is_empty() && ordinal.bytes().all(|digit| digit.is_ascii_digit()))
    });
    own || spec.template.spec.as_ref().is_some_and(|template| mounts(template, claim))
}

/// Where the claim is in use, by the pods of its namespace.
fn among_pods(pods: &[Pod], claim: &str) -> Placement {
    let mut placement = Placement::default();
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let ended = pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
        let Some(spec) = pod.spec.as_ref().filter(|spec| !ended && mounts(spec, claim)) else { continue };
        if placement.node.is_none() {
            placement.node.clone_from(&spec.node_name);
        }
        placement.tolerate(spec.tolerations.iter().flatten());
    }
    if placement.node.is_some() {
        // The data is there, cordoned or not: a cordon keeps new work away, and this work can be nowhere else.
        let cordoned =
            Toleration { key: Some(UNSCHEDULABLE_TAINT.into()), operator: Some("Exists".into()), effect: Some("NoSchedule".into()), ..Toleration::default() };
        placement.tolerate([&cordoned]);
    }
    placement
}

/// Security contexts of the pod and of its container.
fn security(task: &MoverTask, mounts_claim: bool) -> (Value, Value) {
    let seccomp = json!({"type": "RuntimeDefault"});
    if !mounts_claim {
        // The group lets it read its Secret.
        let pod = json!({"runAsNonRoot": true, "runAsUser": MOVER_UID, "runAsGroup": MOVER_UID, "fsGroup": MOVER_UID, "seccompProfile": seccomp});
        return (pod, json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}));
    }
    // A backup must read files of any owner: DAC_OVERRIDE on a read-only mount, since Pod Security Baseline doesn't allow DAC_READ_SEARCH. A restore must write
    // owner, mode, times and attributes. All other capabilities are dropped.
    let capabilities: &[&str] = match task {
        MoverTask::BackupVolume { .. } | MoverTask::PreviewVolume { .. } => &["DAC_OVERRIDE"],
        MoverTask::RestoreVolume { .. } => &["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP", "MKNOD"],
        _ => &[],
    };
    let capabilities = json!({"drop": ["ALL"], "add": capabilities});
    let container = json!({"runAsUser": 0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": capabilities});
    (json!({"seccompProfile": seccomp}), container)
}

/// The volume of the data: the claim, or one that is made from a snapshot of it, of at least so many bytes. None if the mover mounts none.
pub fn data(run: &str, place: &MoverPlace<'_>, bytes: u64) -> Option<Value> {
    match (place.snapshot, place.claim) {
        (Some(taken), _) => Some(json!({"name": DATA_VOLUME, "ephemeral": snapshot::volume(run, taken, bytes)})),
        (None, Some(claim)) => Some(json!({"name": DATA_VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": false}})),
        (None, None) => None,
    }
}

/// The node that the mover runs on: it must, or it had better.
fn affinity(placement: &Placement) -> Option<Value> {
    let node = placement.node.as_ref()?;
    let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    Some(if placement.node_is_preferred {
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": term}]}})
    } else {
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}})
    })
}

/// The Job of an attempt. `data` is the volume that it mounts, if any.
///
/// # Errors
/// Never in practice: if its document can't be read.
pub fn job(
    context: &RunContext,
    step_context: &StepContext,
    place: &MoverPlace<'_>,
    (task, inputs, data): (&MoverTask, Option<&StoredObject>, Option<Value>),
    name: &str,
    placement: &Placement,
) -> Result<Job> {
    let run = &step_context.run;
    let told: Vec<Value> = environment(step_context, task, inputs)?.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let reads_only = matches!(task, MoverTask::BackupVolume { .. } | MoverTask::PreviewVolume { .. });
    let mut volumes =
        vec![json!({"name": "repository", "secret": {"secretName": run_name(&run.uid), "defaultMode": 0o400}}), json!({"name": "tmp", "emptyDir": {}})];
    let mut mounts = vec![json!({"name": "repository", "mountPath": "/var/run/p861", "readOnly": true}), json!({"name": "tmp", "mountPath": "/tmp"})];
    let (pod_security, container_security) = security(task, data.is_some());
    if let Some(data) = data {
        volumes.push(data);
        mounts.push(json!({"name": DATA_VOLUME, "mountPath": "/data", "readOnly": reads_only}));
    }
    let labels = json!({RUN_LABEL: run.uid, ROLE_LABEL: LABEL_VALUE_MOVER, STEP_LABEL: names::step_label(step_context.step.as_str())});
    let seconds = step_context.deadline.as_secs().max(1);
    let document = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": place.namespace, "labels": labels, "annotations": {STEP_ANNOTATION: step_context.step.as_str()}},
        "spec": {
            "backoffLimit": 0, "activeDeadlineSeconds": seconds, "ttlSecondsAfterFinished": 86400,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never", "serviceAccountName": run_name(&run.uid), "automountServiceAccountToken": task.needs_api(),
                    "enableServiceLinks": false, "terminationGracePeriodSeconds": 5, "securityContext": pod_security,
                    "affinity": affinity(placement), "tolerations": placement.tolerations, "volumes": volumes,
                    "containers": [{
                        "name": "mover", "image": context.movers.image, "imagePullPolicy": context.movers.image_pull_policy, "args": ["mover"],
                        "env": told,
                        "volumeMounts": mounts, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": MOVER_CPU_LIMIT, "memory": MOVER_MEMORY_LIMIT}},
                        "securityContext": container_security,
                    }],
                },
            },
        },
    });
    serde_json::from_value(document).map_err(|error| Error::Internal(format!("the mover's Job can't be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::runs::{ExtraFiles, SealFacts};

    fn pod(name: &str, node: Option<&str>, claim: &str, phase: &str, tolerated: &[&str]) -> Pod {
        let tolerations: Vec<Value> = tolerated.iter().map(|key| json!({"key": key, "operator": "Exists"})).collect();
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"phase": phase},
            "spec": {"nodeName": node, "containers": [], "tolerations": tolerations, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}}))
        .unwrap()
    }

    #[test]
    fn fault_d5_a_mover_runs_where_the_claim_is_in_use_whatever_taints_that_node_has() {
        let (running, cordoned) = ("Running", UNSCHEDULABLE_TAINT);
        for (name, pods, node, tolerated) in [
            ("nobody uses it", vec![pod("a", Some("n1"), "other", running, &["database"])], None, vec![]),
            ("on a node", vec![pod("a", Some("n1"), "data", running, &[])], Some("n1"), vec![cordoned]),
            ("on a tainted node", vec![pod("a", Some("n1"), "data", running, &["database", "gpu"])], Some("n1"), vec!["database", "gpu", cordoned]),
            (
                "by two",
                vec![pod("a", None, "data", "Pending", &["x"]), pod("b", Some("n2"), "data", running, &["x", "y"])],
                Some("n2"),
                vec!["x", "y", cordoned],
            ),
            ("by one that has ended", vec![pod("a", Some("gone"), "data", "Succeeded", &["x"])], None, vec![]),
        ] {
            let placement = among_pods(&pods, "data");
            let keys: Vec<&str> = placement.tolerations.iter().filter_map(|toleration| toleration.key.as_deref()).collect();
            assert_eq!((placement.node.as_deref(), keys), (node, tolerated), "{name}");
        }
    }

    #[test]
    fn a_mover_of_a_snapshot_mounts_no_claim_of_the_application_and_runs_near_it_if_it_can() {
        let taken = p861_core::engine::TakenSnapshot {
            namespace: "n".into(),
            claim: "files".into(),
            name: "s".into(),
            storage_class: "block".into(),
            bytes: 1,
            time: jiff::Timestamp::UNIX_EPOCH,
        };
        let site = p861_core::runs::Scope::of_city("p861", ["west"]).site(&"west".into()).unwrap();
        let live = MoverPlace { site: &site, namespace: "n", claim: Some("files"), snapshot: None, namespaces: &[] };
        let data = |place: &MoverPlace<'_>| data("u", place, 1).unwrap();
        assert_eq!(data(&live)["persistentVolumeClaim"]["claimName"], "files");
        let volume = data(&MoverPlace { snapshot: Some(&taken), ..live });
        assert_eq!((volume.get("persistentVolumeClaim"), volume["ephemeral"]["volumeClaimTemplate"]["spec"]["dataSource"]["name"].as_str()), (None, Some("s")));
        for (node, preferred, rule) in [
            (None, false, None),
            (Some("n1"), false, Some("requiredDuringSchedulingIgnoredDuringExecution")),
            (Some("n1"), true, Some("preferredDuringSchedulingIgnoredDuringExecution")),
        ] {
            let placement = Placement { node: node.map(str::to_owned), node_is_preferred: preferred, tolerations: Vec::new() };
            let rules = affinity(&placement).map(|affinity| affinity["nodeAffinity"].as_object().unwrap().keys().cloned().collect::<Vec<_>>());
            assert_eq!(rules, rule.map(|rule| vec![rule.to_owned()]));
        }
    }

    #[test]
    fn fault_d5_the_claims_of_a_stopped_set_are_known_by_their_names() {
        let set: StatefulSet = serde_json::from_value(json!({"metadata": {"name": "postgres"}, "spec": {"selector": {}, "serviceName": "p",
            "template": {"spec": {"containers": [], "volumes": [{"name": "s", "persistentVolumeClaim": {"claimName": "shared"}}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}}))
        .unwrap();
        for (claim, uses) in [
            ("data-postgres-0", true),
            ("data-postgres-12", true),
            ("shared", true),
            ("data-postgres-", false),
            ("data-postgres-x", false),
            ("data-mysql-0", false),
        ] {
            assert_eq!(set_uses(&set, claim), uses, "{claim}");
        }
    }

    /// The rules of Pod Security that a security context can break, of the standard named restricted.
    fn is_restricted(pod: &Value, container: &Value) -> bool {
        let either = |field: &str| container.get(field).or_else(|| pod.get(field)).cloned().unwrap_or_default();
        either("runAsNonRoot") == true
            && either("runAsUser") != 0
            && either("seccompProfile")["type"] == "RuntimeDefault"
            && container["allowPrivilegeEscalation"] == false
            && container["capabilities"]["drop"] == json!(["ALL"])
            && container["capabilities"]["add"].as_array().is_none_or(Vec::is_empty)
    }

    #[test]
    fn fault_d3_a_mover_has_no_right_that_it_does_not_need() {
        const BASELINE: [&str; 13] = [
            "AUDIT_WRITE",
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "FSETID",
            "KILL",
            "MKNOD",
            "NET_BIND_SERVICE",
            "SETFCAP",
            "SETGID",
            "SETPCAP",
            "SETUID",
            "SYS_CHROOT",
        ];
        let volume = MoverTask::BackupVolume { part: "p".into(), parent: None, from_snapshot: false };
        let write = MoverTask::RestoreVolume { snapshot: "5a1f".into(), part: "p".into(), paths: Vec::new(), path_prefix: None, extra_files: ExtraFiles::Keep };
        let facts = SealFacts {
            backup: "b".into(),
            application: "a".into(),
            district: "d".into(),
            site: "west".into(),
            namespaces: Vec::new(),
            parts: Vec::new(),
            consistent: false,
        };
        for (task, mounts_claim) in [(&volume, true), (&write, true), (&MoverTask::Seal { facts }, false), (&MoverTask::VerifyStored { snapshot: None }, false)]
        {
            let (pod, container) = security(task, mounts_claim);
            assert_eq!(is_restricted(&pod, &container), !mounts_claim, "{}: {pod} {container}", task.word());
            assert_eq!(container["readOnlyRootFilesystem"], true);
            let added = container["capabilities"]["add"].as_array().cloned().unwrap_or_default();
            assert!(added.iter().all(|capability| BASELINE.contains(&capability.as_str().unwrap())), "{}: {container}", task.word());
        }
    }
}
