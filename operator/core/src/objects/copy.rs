//! Transformation of a backed-up object for another namespace or site.

use super::{group, kind, namespace, text};
use crate::runs::CopyRules;
use p861_crds::{
    names::{ROLE_LABEL, RUN_LABEL},
    platform::application::CronJobsInCopy,
    protection::restore::Mapping,
};
use serde_json::{Map, Value, json};

/// How many replicas a stopped workload had. Starting it reads this.
pub const REPLICAS_ANNOTATION: &str = "platform861.io/replicas";
/// Label that no node has: keeps a stopped DaemonSet from running.
pub const NOT_STARTED: &str = "platform861.io/not-started";

/// Result of the transformation of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It is written like this.
    Write(Value),
    /// It is not written, and why.
    Leave(&'static str),
}

/// Prepares one object of a backup for its place.
pub fn prepare(mut object: Value, rules: &CopyRules) -> Prepared {
    let Some(target) = rules.namespaces.get(namespace(&object)).cloned() else {
        return Prepared::Leave("its namespace is not restored");
    };
    if rules.isolated
        && let Some(why) = left_out_of_a_bubble(&object)
    {
        return Prepared::Leave(why);
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".into(), json!(target));
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.remove(ROLE_LABEL);
            labels.remove(RUN_LABEL);
            labels.extend(rules.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
        }
    }
    let (api_group, api_kind) = (group(&object).to_owned(), kind(&object).to_owned());
    match (api_group.as_str(), api_kind.as_str()) {
        ("", "Service") => service(&mut object, rules.isolated),
        ("", "PersistentVolumeClaim") => claim(&mut object, &rules.storage_classes),
        ("rbac.authorization.k8s.io", "RoleBinding") => subjects(&mut object, rules),
        ("batch", "CronJob") if rules.isolated && rules.cron_jobs == CronJobsInCopy::Suspend => set(&mut object, "/spec", "suspend", json!(true)),
        ("batch", "Job") if rules.stopped => set(&mut object, "/spec", "suspend", json!(true)),
        _ => {}
    }
    if api_group == "batch" && api_kind == "Job" {
        generated_job_fields(&mut object);
    }
    template_labels(&mut object);
    if let Some(template) = pod_template(&api_group, &api_kind)
        && let Some(pod) = object.pointer_mut(template)
    {
        pod_spec(pod, rules);
    }
    if rules.stopped {
        stop(&mut object, &api_group, &api_kind);
    }
    if api_kind == "StatefulSet" {
        claim_templates(&mut object, &rules.storage_classes);
    }
    Prepared::Write(object)
}

/// Whether an object in an isolated copy would take a name, port, permission or route that belongs to the outside.
fn left_out_of_a_bubble(object: &Value) -> Option<&'static str> {
    match (group(object), kind(object)) {
        ("networking.k8s.io", "NetworkPolicy") => Some("the bubble has its own policy; another could open it"),
        ("networking.k8s.io", "Ingress") | ("gateway.networking.k8s.io" | "externaldns.k8s.io", _) => Some("it would claim names outside the bubble"),
        ("", "ResourceQuota") => Some("it would refuse the movers"),
        ("autoscaling", _) => Some("it would start what is stopped"),
        ("policy", "PodDisruptionBudget") => Some("it would hold up the clean-up"),
        ("cert-manager.io" | "acme.cert-manager.io", _) => Some("it would ask a certificate authority outside"),
        _ => None,
    }
}

fn pod_template(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => Some("/spec/template/spec"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template/spec"),
        ("", "Pod") => Some("/spec"),
        _ => None,
    }
}

fn set(object: &mut Value, at: &str, key: &str, value: Value) {
    if let Some(map) = object.pointer_mut(at).and_then(Value::as_object_mut) {
        map.insert(key.into(), value);
    }
}

fn service(object: &mut Value, isolated: bool) {
    let headless = text(object, "/spec/clusterIP") == "None";
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for field in ["clusterIPs", "healthCheckNodePort", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
        spec.remove(field);
    }
    if !headless {
        spec.remove("clusterIP");
    }
    if isolated && matches!(spec.get("type").and_then(Value::as_str), Some("LoadBalancer" | "NodePort")) {
        spec.insert("type".into(), json!("ClusterIP"));
        for field in
            ["externalTrafficPolicy", "loadBalancerIP", "loadBalancerClass", "loadBalancerSourceRanges", "externalIPs", "allocateLoadBalancerNodePorts"]
        {
            spec.remove(field);
        }
    }
    if isolated {
        spec.remove("externalIPs");
    }
    // Another cluster may have given the number away.
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}

fn claim(object: &mut Value, classes: &[Mapping]) {
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| {
            !key.starts_with("pv.kubernetes.io/") && !key.starts_with("volume.kubernetes.io/") && !key.starts_with("volume.beta.kubernetes.io/")
        });
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("finalizers");
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("volumeName");
        spec.remove("dataSource");
        spec.remove("dataSourceRef");
        map_class(spec, classes);
    }
}

fn map_class(spec: &mut Map<String, Value>, classes: &[Mapping]) {
    let Some(class) = spec.get("storageClassName").and_then(Value::as_str) else { return };
    if let Some(mapping) = classes.iter().find(|mapping| mapping.from == class) {
        spec.insert("storageClassName".into(), json!(mapping.to));
    }
}

fn claim_templates(object: &mut Value, classes: &[Mapping]) {
    for template in object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(template) = template.as_object_mut() {
            template.remove("status");
            if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
                map_class(spec, classes);
            }
        }
    }
}

fn subjects(object: &mut Value, rules: &CopyRules) {
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        let moved = subject.get("namespace").and_then(Value::as_str).and_then(|from| rules.namespaces.get(from)).cloned();
        if let (Some(to), Some(subject)) = (moved, subject.as_object_mut()) {
            subject.insert("namespace".into(), json!(to));
        }
    }
}

/// The API server generates these for a Job and refuses them on creation.
fn generated_job_fields(object: &mut Value) {
    for at in ["/spec/template/metadata/labels", "/metadata/labels"] {
        if let Some(labels) = object.pointer_mut(at).and_then(Value::as_object_mut) {
            for label in ["controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"] {
                labels.remove(label);
            }
        }
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("selector");
    }
}

/// A pod template with the movers' label would make pods that have the movers' way out of the bubble.
fn template_labels(object: &mut Value) {
    for at in ["/spec/template/metadata/labels", "/spec/jobTemplate/spec/template/metadata/labels"] {
        if let Some(labels) = object.pointer_mut(at).and_then(Value::as_object_mut) {
            labels.remove(ROLE_LABEL);
        }
    }
}

fn pod_spec(pod: &mut Value, rules: &CopyRules) {
    for list in ["initContainers", "containers"] {
        for container in pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let image = text(container, "/image").to_owned();
            if let Some(mapping) = rules.images.iter().find(|mapping| image.starts_with(&mapping.from)) {
                container["image"] = json!(format!("{}{}", mapping.to, &image[mapping.from.len()..]));
            }
            if rules.isolated {
                for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(port) = port.as_object_mut() {
                        port.remove("hostPort");
                    }
                }
            }
        }
    }
    // NetworkPolicy doesn't hold for pods in the host's network.
    if let Some(pod) = pod.as_object_mut().filter(|_| rules.isolated) {
        pod.remove("hostNetwork");
    }
}

fn stop(object: &mut Value, group: &str, kind: &str) {
    match (group, kind) {
        ("apps", "Deployment" | "StatefulSet") => {
            let replicas = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            set(object, "/spec", "replicas", json!(0));
            annotate(object, &replicas.to_string());
        }
        ("apps", "DaemonSet") => {
            if let Some(pod) = object.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut)
                && let Some(selector) = pod.entry("nodeSelector").or_insert_with(|| json!({})).as_object_mut()
            {
                selector.insert(NOT_STARTED.into(), json!("true"));
            }
            annotate(object, "all");
        }
        _ => {}
    }
}

fn annotate(object: &mut Value, replicas: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(annotations) = metadata.entry("annotations").or_insert_with(|| json!({})).as_object_mut()
    {
        annotations.insert(REPLICAS_ANNOTATION.into(), json!(replicas));
    }
}

/// Whether the object is a workload that was stopped, and with how many replicas it is started. `None` for DaemonSets means "on all nodes".
pub fn stopped_replicas(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations/platform861.io~1replicas").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn rules() -> CopyRules {
        CopyRules {
            namespaces: BTreeMap::from([("shinan-approval".into(), "shinan-approval--drill-k7m2q".into())]),
            storage_classes: vec![Mapping { from: "ceph-rbd".into(), to: "topolvm".into() }],
            images: vec![Mapping { from: "registry.xinxi.example".into(), to: "registry.laoshan.example".into() }],
            isolated: true,
            stopped: true,
            cron_jobs: CronJobsInCopy::Suspend,
            labels: BTreeMap::from([("platform861.io/drill".into(), "k7m2q".into())]),
        }
    }

    fn written(object: Value) -> Value {
        match prepare(object, &rules()) {
            Prepared::Write(value) => value,
            Prepared::Leave(why) => panic!("left: {why}"),
        }
    }

    #[test]
    fn nothing_of_a_bubble_claims_a_name_a_port_or_a_way_out() {
        for (api, kind) in [
            ("networking.k8s.io/v1", "Ingress"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ] {
            let object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "shinan-approval"}});
            assert!(matches!(prepare(object, &rules()), Prepared::Leave(_)), "{kind}");
        }
        let service = written(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "shinan-approval"},
            "spec": {"type": "NodePort", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{"port": 80, "nodePort": 30080}], "externalIPs": ["192.0.2.1"]}}));
        assert_eq!(service["spec"], json!({"type": "ClusterIP", "ports": [{"port": 80}]}));
        let pod = written(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "shinan-approval"},
            "spec": {"template": {"spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80, "hostPort": 80}]}]}}}}));
        assert_eq!(pod.pointer("/spec/template/spec/hostNetwork"), None);
        assert_eq!(pod.pointer("/spec/template/spec/containers/0/ports/0/hostPort"), None);
    }

    #[test]
    fn a_headless_service_stays_headless() {
        let service = written(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "shinan-approval"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
        );
        assert_eq!(service["spec"], json!({"clusterIP": "None"}));
    }

    #[test]
    fn a_workload_waits_at_zero_and_remembers_its_replicas() {
        let set = written(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "postgres", "namespace": "shinan-approval"},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "c", "image": "registry.xinxi.example/pg:15"}]}}, "volumeClaimTemplates": [{"spec": {"storageClassName": "ceph-rbd"}}]}}));
        assert_eq!(set.pointer("/spec/replicas"), Some(&json!(0)));
        assert_eq!(stopped_replicas(&set), Some("3"));
        assert_eq!(set.pointer("/spec/template/spec/containers/0/image"), Some(&json!("registry.laoshan.example/pg:15")));
        assert_eq!(set.pointer("/spec/volumeClaimTemplates/0/spec/storageClassName"), Some(&json!("topolvm")));
        assert_eq!(set.pointer("/metadata/namespace"), Some(&json!("shinan-approval--drill-k7m2q")));
    }

    #[test]
    fn a_claim_is_bound_anew() {
        let claim = written(
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d", "namespace": "shinan-approval", "finalizers": ["kubernetes.io/pvc-protection"],
            "annotations": {"pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": "n1", "mine": "1"}}, "spec": {"volumeName": "pvc-1", "storageClassName": "ceph-rbd"}}),
        );
        assert_eq!(claim["spec"], json!({"storageClassName": "topolvm"}));
        assert_eq!(claim.pointer("/metadata/annotations"), Some(&json!({"mine": "1"})));
        assert_eq!(claim.pointer("/metadata/finalizers"), None);
    }

    #[test]
    fn no_object_carries_our_role_into_a_bubble() {
        // A pod with the movers' label would have the movers' way out.
        let object = written(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shinan-approval", "labels": {"platform861.io/role": "mover"}}}),
        );
        assert_eq!(object.pointer("/metadata/labels"), Some(&json!({"platform861.io/drill": "k7m2q"})));
    }

    #[test]
    fn an_object_of_another_namespace_is_left() {
        assert!(matches!(
            prepare(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "kube-system"}}), &rules()),
            Prepared::Leave(_)
        ));
    }
}
