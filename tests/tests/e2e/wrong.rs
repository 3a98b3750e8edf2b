//! What people write wrong: the object says so, and nobody else is stopped.

use crate::backups::backup_now;
use p861_testbed::bed::{BedError, Result};
use p861_tests::install::root;
use p861_tests::look::condition_of;
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::time::Duration;

pub const SCENES: &[Scene] = &[
    ("an application that names what doesn't exist says which, and its backup is refused", what_does_not_exist),
    ("of two applications that claim one namespace the older keeps it", one_namespace_twice),
    ("an object that slipped in from another version is told on its status and stops nobody else", another_version),
    ("a site whose kubeconfig leads to another cluster is refused", another_cluster),
];

const SEEN: Duration = Duration::from_mins(2);

fn application(namespace: &str, more: Value) -> Value {
    let mut spec = json!({"names": {"en": "A test"}, "department": "computer-centre", "namespaces": [namespace]});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    spec
}

/// Waits until a condition of an object is False for this reason; gives its message.
fn says(stage: &Stage, kind: &str, name: &str, condition: &str, reason: &str) -> Result<String> {
    stage.wait(&format!("{kind} {name}: {condition} says {reason}"), SEEN, kind, name, |seen| match condition_of(seen, condition) {
        Some(found) if found["status"] == "False" && found["reason"] == reason => Ok(found["message"].as_str().unwrap_or_default().to_owned()),
        found => Err(format!("{found:?}")),
    })
}

fn what_does_not_exist(stage: &Stage) -> Result<()> {
    let nowhere = json!([{"name": "only", "workloadRefs": [{"kind": "Deployment", "name": "nowhere"}]}]);
    // The portal's own namespace has an owner, so what is tried needs one more.
    stage.primary()?.kubectl(&["create", "namespace", "shinan-extra"])?;
    let table = [
        ("ghost-namespace", application("shinan-ghost", json!({})), "NamespaceMissing", "shinan-ghost"),
        ("foreign-namespace", application("kube-system", json!({})), "NamespaceNotAllotted", "kube-system"),
        ("ghost-department", application("shinan-extra", json!({"department": "ministry-of-magic"})), "DepartmentUnknown", "ministry-of-magic"),
        ("ghost-workload", application("shinan-extra", json!({"tiers": nowhere})), "WorkloadMissing", "Deployment/nowhere"),
        ("ghost-claim", application("shinan-extra", json!({"volumes": [{"claim": "nothing", "method": "Files"}]})), "ClaimMissing", "nothing"),
    ];
    let outcome = table.iter().try_for_each(|(name, spec, reason, named)| {
        stage.create("Application", name, spec.clone())?;
        let message = says(stage, "application", name, "Ready", reason)?;
        demand(message.contains(named), || format!("{name}: the message does not name {named}: {message}"))?;
        if *reason != "WorkloadMissing" && *reason != "DepartmentUnknown" {
            let said = stage.say(&["backup", "now", name])?;
            demand(said.code == 3 && said.all().contains(named), || format!("a backup of {name} must be refused and name {named}: {}", said.all()))?;
        }
        stage.delete("application", name)
    });
    stage.primary()?.kubectl(&["delete", "namespace", "shinan-extra", "--timeout=110s"])?;
    outcome
}

fn one_namespace_twice(stage: &Stage) -> Result<()> {
    stage.create("Application", "late-comer", application("shinan-portal", json!({})))?;
    let message = says(stage, "application", "late-comer", "Ready", "NamespaceTaken")?;
    let older = stage.object("application", "portal")?;
    stage.delete("application", "late-comer")?;
    demand(message.contains("portal"), || format!("the message does not name the owner: {message}"))?;
    demand(condition_of(&older, "Ready").is_some_and(|ready| ready["status"] == "True"), || format!("the older one lost it: {}", older["status"]))
}

fn another_version(stage: &Stage) -> Result<()> {
    let hub = stage.standby()?;
    // As an older version of the CRD might have had it: the deadline was a number of seconds.
    let crd: Value = hub.get(&["customresourcedefinition", "backups.platform861.io"])?;
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/deadline";
    demand(crd.pointer(path).is_some(), || "the CRD has no spec.deadline any more: choose another field".to_owned())?;
    let loosened = json!([{"op": "replace", "path": path, "value": {"x-kubernetes-preserve-unknown-fields": true}}, {"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"}]);
    hub.kubectl(&["patch", "customresourcedefinition", "backups.platform861.io", "--type=json", "--patch", &loosened.to_string()])?;
    // Its status is written before the rules are back: they refuse every change of an object that breaks them.
    let seen = until_created(stage).and_then(|()| says(stage, "backup", "from-before", "Succeeded", "Invalid"));
    let chart = root().join("charts/p861-crds/templates/backups.yaml");
    let again = hub.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &chart.to_string_lossy()]);
    let message = seen?;
    again?;
    demand(message.contains("deadline"), || format!("the message does not say what is wrong: {message}"))?;
    // Nobody else is stopped: another object of the same kind is served.
    let outcome = backup_now(stage, "portal").map(drop);
    stage.delete("backup", "from-before")?;
    outcome
}

/// The API server may take a moment to serve the changed schema.
fn until_created(stage: &Stage) -> Result<()> {
    p861_testbed::bed::until("the old object is let in", SEEN, || {
        stage.create("Backup", "from-before", json!({"applicationRef": {"name": "portal"}, "deadline": 600})).map_err(|error| error.to_string())
    })
}

fn another_cluster(stage: &Stage) -> Result<()> {
    let hub = stage.standby()?;
    let secret = hub.get(&["secret", "--namespace", p861_tests::install::SYSTEM, "site-xinxi-dasha"])?;
    let right = secret["data"]["kubeconfig"].as_str().unwrap_or_default().to_owned();
    // The administrator's kubeconfig of the standby: it works, and it is another cluster.
    let path = hub.kubeconfig();
    let text = std::fs::read(&path).map_err(|source| BedError::Io { path, source })?;
    let set = |value: &str| {
        hub.kubectl(&[
            "patch",
            "secret",
            "--namespace",
            p861_tests::install::SYSTEM,
            "site-xinxi-dasha",
            "--type=merge",
            "--patch",
            &json!({"data": {"kubeconfig": value}}).to_string(),
        ])
        .map(drop)
    };
    set(&p861_testbed::bed::base64(&text))?;
    let told = hub.wait("the site says that it is another cluster", SEEN, &["site", "xinxi-dasha"], |seen| match condition_of(seen, "Ready") {
        Some(found) if found["status"] == "False" && found["reason"] == "ClusterChanged" => Ok(()),
        found => Err(format!("{found:?}")),
    });
    set(&right)?;
    told?;
    hub.wait_condition(SEEN, &["site", "xinxi-dasha"], "Ready").map(drop)
}
