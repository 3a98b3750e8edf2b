//! What the runs are of: an application of many small objects, and one of next to nothing.

use crate::look::Look as _;
use crate::stage::{DISTRICT, Stage};
use p861_testbed::bed::Result;
use serde_json::{Value, json};
use std::time::Duration;

/// The application of many objects.
pub const MANY: &str = "bench";
/// The application of many more.
pub const LARGE: &str = "bench-large";
/// The application of next to nothing, and its plan.
pub const FEW: &str = "bench-steps";
/// Tiers of the application of next to nothing: each is a step of its restores and drills.
const TIERS: usize = 30;
/// How long the operator may take to find them.
const READY: Duration = Duration::from_mins(2);

/// The namespace of an application, on the primary.
pub fn namespace(application: &str) -> String {
    format!("{DISTRICT}-{application}")
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A namespace of the district.
fn space(application: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(application), "labels": {"platform861.io/district": DISTRICT}}})
}

/// An object of the district on the hub.
fn ours(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": DISTRICT}, "spec": spec})
}

fn application(name: &str, tiers: &[Value]) -> Value {
    let namespaces = [namespace(name)];
    ours("Application", name, &json!({"department": "computer-centre", "criticality": "Ordinary", "namespaces": namespaces, "tiers": tiers}))
}

/// Applies what stands for applications on the hub, and waits until the operator has found them.
fn declare_on_hub(stage: &Stage, file: &str, objects: &[Value], applications: &[&str]) -> Result<()> {
    let hub = stage.standby()?;
    stage.apply(hub, file, &list(objects))?;
    for application in applications {
        hub.wait_condition(READY, &["--namespace", DISTRICT, "application", application], "Ready")?;
    }
    Ok(())
}

/// Makes the namespaces on the primary and what stands for them on the hub.
pub fn declare(stage: &Stage) -> Result<()> {
    // All tiers name one workload, which has no replicas: to start it is to look at it.
    let labels = json!({"app": "nothing"});
    let pod = json!({"containers": [{"name": "nothing", "image": "localhost/p861-portal:1", "imagePullPolicy": "Never"}]});
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "nothing", "namespace": namespace(FEW)},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}});
    stage.apply(stage.primary()?, "bench-home.json", &list(&[space(MANY), space(FEW), workload]))?;

    let tiers: Vec<Value> =
        (1..=TIERS).map(|tier| json!({"name": format!("tier-{tier:02}"), "workloadRefs": [{"kind": "Deployment", "name": "nothing"}]})).collect();
    let groups = json!([{"name": "all", "members": [{"applicationRef": {"name": FEW}}]}]);
    let plan = ours("RecoveryPlan", FEW, &json!({"repositoryRef": {"name": DISTRICT}, "groups": groups}));
    declare_on_hub(stage, "bench-hub.json", &[application(MANY, &[]), application(FEW, &tiers), plan], &[MANY, FEW])
}

/// The same for the application of many more.
pub fn declare_large(stage: &Stage) -> Result<()> {
    stage.apply(stage.primary()?, "bench-large-home.json", &list(&[space(LARGE)]))?;
    declare_on_hub(stage, "bench-large-hub.json", &[application(LARGE, &[])], &[LARGE])
}
