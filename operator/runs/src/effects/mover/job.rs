//! A mover's Job: what it may do. [`super::placement`] says where it runs.
//!
//! A mover that mounts no claim runs as a user without rights and is valid under Pod Security *restricted*. One that mounts a claim runs as root, with only the
//! capabilities that reading or writing files of any owner needs, and is valid under *baseline*. All have requests and limits, so that quotas take them.

use super::{MoverPlace, keys, placement::Placement, run_name, shared, told::environment};
use crate::{
    context::RunContext,
    effects::{StepContext, snapshot},
    error::{Error, Result},
    movers::NEXT_PATIENCE,
};
use jiff::SignedDuration;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use p861_core::{engine::StoredObject, names, objects::LABEL_VALUE_MOVER, runs::MoverTask};
use p861_crds::names::{ROLE_LABEL, RUN_LABEL, STEP_ANNOTATION, STEP_LABEL};
use serde_json::{Value, json};

/// Memory limit of a mover. docs/FIGURES.md lists measured peaks.
const MOVER_MEMORY_LIMIT: &str = "1Gi";
/// CPU limit of a mover: a quota on limits.cpu refuses pods without one.
const MOVER_CPU_LIMIT: &str = "2";
/// User and group of a mover that needs no root.
const MOVER_UID: i64 = 65532;
/// Name of the volume with the data. A claim that is made for it is called `<pod>-data`.
pub const DATA_VOLUME: &str = "data";

/// The memory limit of a mover's pod, as it is called in messages.
pub fn memory_limit_of(pod: &Pod) -> String {
    let limits = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.resources.as_ref()?.limits.as_ref());
    limits.and_then(|limits| limits.get("memory")).map_or_else(|| MOVER_MEMORY_LIMIT.to_owned(), |limit| limit.0.clone())
}

/// Security contexts of the pod and of its container.
fn security(task: &MoverTask, mounts_claim: bool) -> (Value, Value) {
    let seccomp = json!({"type": "RuntimeDefault"});
    if !mounts_claim {
        // The group lets it read its token.
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
    let mut volumes = vec![json!({"name": "tmp", "emptyDir": {}})];
    let mut mounts = vec![json!({"name": "tmp", "mountPath": "/tmp"})];
    let (pod_security, container_security) = security(task, data.is_some());
    if let Some(data) = data {
        volumes.push(data);
        mounts.push(json!({"name": DATA_VOLUME, "mountPath": "/data", "readOnly": reads_only}));
    }
    let labels = json!({RUN_LABEL: run.uid, ROLE_LABEL: LABEL_VALUE_MOVER, STEP_LABEL: names::step_label(step_context.step.as_str())});
    let (mut limit, mut needs_api) = (step_context.deadline, task.needs_api());
    for (next, task) in shared::followers(step_context) {
        limit = limit.saturating_add(next.deadline).saturating_add(SignedDuration::try_from(NEXT_PATIENCE).unwrap_or_default());
        needs_api |= task.needs_api();
    }
    let seconds = limit.as_secs().max(1);
    let memory = task.memory_limit().unwrap_or(MOVER_MEMORY_LIMIT);
    let document = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": place.namespace, "labels": labels, "annotations": {STEP_ANNOTATION: step_context.step.as_str()}},
        "spec": {
            "backoffLimit": 0, "activeDeadlineSeconds": seconds, "ttlSecondsAfterFinished": 86400,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never", "serviceAccountName": run_name(&run.uid), "automountServiceAccountToken": needs_api,
                    "enableServiceLinks": false, "terminationGracePeriodSeconds": 5, "securityContext": pod_security,
                    "affinity": placement.affinity(), "tolerations": placement.tolerations, "volumes": volumes,
                    "containers": [{
                        "name": keys::CONTAINER, "stdin": true, "image": context.movers.image, "imagePullPolicy": context.movers.image_pull_policy, "args": ["mover"],
                        "env": told,
                        "volumeMounts": mounts, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": MOVER_CPU_LIMIT, "memory": memory}},
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
            let rules = placement.affinity().map(|affinity| affinity["nodeAffinity"].as_object().unwrap().keys().cloned().collect::<Vec<_>>());
            assert_eq!(rules, rule.map(|rule| vec![rule.to_owned()]));
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
            missing: Vec::new(),
            half_restored: None,
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
