//! A copy that stands in a drill reaches nothing outside itself, and nothing outside reaches it.

use crate::drills::{DRILL, ended_clean, start_drill};
use p861_testbed::bed::{BedError, Result, Site};
use p861_tests::install::SYSTEM;
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};

pub const SCENES: &[Scene] = &[("a copy in a drill reaches nothing outside itself, and nothing outside reaches it", it_is_alone)];

/// Whether a pod can open a connection. What answers is asked from elsewhere as well, so that "no" means the policy and not a dead server.
fn reaches(site: &Site, namespace: &str, workload: &str, address: &str, port: u16) -> Result<bool> {
    let script = format!("timeout 8 nc -w 4 {address} {port} </dev/null >/dev/null 2>&1 && echo reached || echo not");
    let said = site.kubectl(&["exec", "--namespace", namespace, workload, "--", "sh", "-c", &script])?;
    Ok(said.trim() == "reached")
}

fn pod_address(site: &Site, namespace: &str, selector: &str) -> Result<String> {
    let pods = site.get(&["pods", "--namespace", namespace, "--selector", selector])?;
    let address = pods["items"].as_array().into_iter().flatten().find_map(|pod| pod["status"]["podIP"].as_str()).map(str::to_owned);
    address.ok_or_else(|| BedError::Refused(format!("no pod of {namespace} with {selector} has an address")))
}

fn it_is_alone(stage: &Stage) -> Result<()> {
    start_drill(stage, "kept", json!({"keepFor": "30m"}))?;
    let (primary, standby) = (stage.primary()?, stage.standby()?);
    let held = stage.wait("the copy is left standing", DRILL, "drill", "kept", |seen| {
        let steps = seen["status"]["currentSteps"].as_array().into_iter().flatten();
        if steps.clone().any(|step| step["id"] == "hold") { Ok(seen.clone()) } else { Err(seen["status"].to_string()) }
    });
    let looked = held.and_then(|drill| look_round(stage, primary, standby, &drill));
    stage.say_expecting(0, &["drill", "cleanup", "kept", "--reason", "seen"])?;
    looked?;
    ended_clean(stage, "kept", "Succeeded").map(drop)
}

fn look_round(stage: &Stage, primary: &Site, standby: &Site, drill: &Value) -> Result<()> {
    let namespaces: Vec<&str> = drill["status"]["isolation"]["namespaces"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let of = |prefix: &str| {
        namespaces
            .iter()
            .find(|name| name.starts_with(prefix))
            .map(|name| (*name).to_owned())
            .ok_or_else(|| BedError::Refused(format!("no copy of {prefix}: {namespaces:?}")))
    };
    let (approval, portal) = (of("shinan-approval")?, of("shinan-portal")?);
    let s3 = stage.bed.s3().address;
    let outside = [
        ("S3", s3.ip().to_string(), s3.port()),
        ("the primary's API server", primary.address.to_string(), 6443),
        ("the hub's API server", standby.address.to_string(), 6443),
        ("the API server's Service", "10.96.0.1".to_owned(), 443),
        ("the operator", pod_address(standby, SYSTEM, "app.kubernetes.io/component=operator")?, 8080),
        ("the primary's database", pod_address(primary, "shinan-approval", "app=postgres")?, 5432),
    ];
    // The same questions from pods that nothing holds back: these servers answer.
    for (what, address, port) in [&outside[0], &outside[1], &outside[2], &outside[5]] {
        demand(reaches(primary, "shinan-portal", "deployment/portal-web", address, *port)?, || {
            format!("{what} at {address}:{port} does not answer the primary's portal, so a drill that does not reach it proves nothing")
        })?;
    }
    for (namespace, workload) in [(&portal, "deployment/portal-web"), (&approval, "deployment/approval-web")] {
        for (what, address, port) in &outside {
            demand(!reaches(standby, namespace, workload, address, *port)?, || format!("{workload} of {namespace} reaches {what} at {address}:{port}"))?;
        }
    }
    demand(reaches(standby, &approval, "deployment/approval-web", "postgres", 5432)?, || "the copy does not reach its own database by name".to_owned())?;
    // And the other way: from the namespace of a restored copy that no policy holds, on the same site.
    standby.kubectl(&["create", "namespace", "shinan-outside"])?;
    let inside = pod_address(standby, &approval, "app=postgres")?;
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger", "namespace": "shinan-outside"}, "spec": {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
        "containers": [{"name": "stranger", "image": "localhost/p861-portal:1", "imagePullPolicy": "Never", "command": ["sleep", "600"]}]}});
    let asked = stage.apply(standby, "stranger.json", &manifest.to_string()).and_then(|()| {
        standby.kubectl(&["wait", "--namespace", "shinan-outside", "pod/stranger", "--for=condition=Ready", "--timeout=110s"])?;
        Ok((reaches(standby, "shinan-outside", "pod/stranger", &outside[4].1, 8080)?, reaches(standby, "shinan-outside", "pod/stranger", &inside, 5432)?))
    });
    standby.kubectl(&["delete", "namespace", "shinan-outside", "--timeout=110s"])?;
    let (control, intruded) = asked?;
    demand(control, || "the stranger reaches not even the operator, so it proves nothing".to_owned())?;
    demand(!intruded, || format!("a stranger reaches the copy's database at {inside}"))
}
