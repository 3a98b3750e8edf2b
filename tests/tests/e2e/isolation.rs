//! A copy that stands in a drill reaches nothing outside itself, and nothing outside reaches it.

use crate::backups::backed_up_within;
use crate::drills::{DRILL, ended_clean, start_drill};
use p861_testbed::bed::{BedError, Result, Site};
use p861_tests::install::SYSTEM;
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const SCENES: &[Scene] = &[
    ("a copy in a drill reaches nothing outside itself, and nothing outside reaches it", it_is_alone),
    ("a drill is refused where nothing enforces its network policies, and leaves nothing", it_is_refused_where_nothing_holds_it),
];

/// A name by which citizens reach the approval system.
const ENTRYPOINT: &str = "shenpi.shinan.example";
/// The table of the agent that enforces network policies on a site of the bed.
const POLICY_TABLE: &str = "p861_network_policy";

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
    let entrypoint = json!({"name": "web", "hostname": ENTRYPOINT, "serviceName": "approval-web", "port": 8080});
    stage.patch("application", "approval", &json!({"spec": {"entrypoints": [entrypoint]}}))?;
    let looked = its_copy_is_alone(stage);
    stage.patch("application", "approval", &json!({"spec": {"entrypoints": null}}))?;
    looked
}

fn its_copy_is_alone(stage: &Stage) -> Result<()> {
    backed_up_within(stage, Duration::from_mins(3))?;
    start_drill(stage, "kept", json!({"keepFor": "30m"}))?;
    let (primary, standby) = (stage.primary()?, stage.standby()?);
    let held = stage.wait("the copy is left standing", DRILL, "drill", "kept", |seen| {
        let steps = seen["status"]["currentSteps"].as_array().into_iter().flatten();
        if steps.clone().any(|step| step["id"] == "hold") { Ok(seen.clone()) } else { Err(seen["status"].to_string()) }
    });
    let looked = held.and_then(|drill| look_round(stage, primary, standby, &drill));
    stage.say_expecting(0, &["drill", "cleanup", "kept", "--reason", "seen"])?;
    looked?;
    ended_clean(stage, "kept", "Succeeded")?;
    // What was proven before anything was put in stands in the report.
    let report: Value = serde_json::from_str(&stage.say_expecting(0, &["drill", "report", "kept", "-o", "json"])?.out)
        .map_err(|error| BedError::Refused(format!("the report is no JSON: {error}")))?;
    let proof = report["steps"].as_array().into_iter().flatten().find(|step| step["id"] == "prove-isolation").map(|step| step["evidence"].clone());
    let proof = proof.unwrap_or_default();
    let refused = proof["refused"].to_string();
    demand(
        ["the API server", "the cluster's DNS", "the backup repository", "the kubelet"].iter().all(|what| refused.contains(what)) && proof["reached"].is_null(),
        || format!("the report does not say what the copy did not reach: {proof}"),
    )
}

/// The first address of a name in a pod, or nothing; and how long that took.
fn resolved(site: &Site, namespace: &str, workload: &str, name: &str) -> Result<(String, Duration)> {
    let begun = Instant::now();
    // A name that isn't found comes back as it is.
    let code = format!("$found = gethostbyname('{name}'); echo $found === '{name}' ? '' : $found;");
    let said = site.kubectl(&["exec", "--namespace", namespace, workload, "--", "php8.2", "-r", &code])?;
    Ok((said.trim().to_owned(), begun.elapsed()))
}

/// Names of the original namespaces and of entrypoints lead to the copy, and every other name is missing, at once.
fn its_names_are_its_own(standby: &Site, approval: &str, portal: &str) -> Result<()> {
    let address = |name: &str| -> Result<String> {
        let service = standby.get(&["service", "--namespace", approval, name])?;
        Ok(service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned())
    };
    let (postgres, web) = (address("postgres")?, address("approval-web")?);
    let of_copy = format!("postgres.{approval}.svc.cluster.local");
    for (namespace, workload, name, expected) in [
        (approval, "deployment/approval-web", "postgres", postgres.as_str()),
        (approval, "deployment/approval-web", "postgres.shinan-approval.svc.cluster.local", &postgres),
        (approval, "deployment/approval-web", "postgres.shinan-approval.svc.another.domain", &postgres),
        (portal, "deployment/portal-web", "postgres.shinan-approval", &postgres),
        (portal, "deployment/portal-web", &of_copy, &postgres),
        (portal, "deployment/portal-web", ENTRYPOINT, &web),
        (portal, "deployment/portal-web", "kubernetes.default.svc.cluster.local", ""),
        (portal, "deployment/portal-web", "kube-dns.kube-system.svc.cluster.local", ""),
        (portal, "deployment/portal-web", "www.example.com", ""),
    ] {
        let (found, took) = resolved(standby, namespace, workload, name)?;
        demand(found == expected, || format!("{name} in {workload} of {namespace} is {found:?} and not {expected:?}"))?;
        demand(took < Duration::from_secs(5), || format!("{name} in {workload} of {namespace} took {took:?}"))?;
    }
    Ok(())
}

/// Takes the site's rules away as often as its agent makes them, until it is told to stop.
fn take_rules_away(site: &Site, stop: &AtomicBool) -> Result<u32> {
    let agent = site.process("network-policy").id().ok_or_else(|| BedError::Refused("the agent of network policies does not run".to_owned()))?;
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{agent}/ns/net")).args(["nft", "delete", "table", "inet", POLICY_TABLE]);
        let ran = command.output().map_err(|error| BedError::Refused(format!("nft could not be run: {error}")))?;
        taken += u32::from(ran.status.success());
        thread::sleep(Duration::from_millis(50));
    }
    Ok(taken)
}

fn it_is_refused_where_nothing_holds_it(stage: &Stage) -> Result<()> {
    let standby = stage.standby()?;
    let stop = AtomicBool::new(false);
    let (ended, taken) = thread::scope(|scope| {
        let taker = scope.spawn(|| take_rules_away(standby, &stop));
        let ended = start_drill(stage, "open", json!({})).and_then(|()| ended_clean(stage, "open", "Refused"));
        stop.store(true, Ordering::Relaxed);
        (ended, taker.join())
    });
    let taken = taken.map_err(|_| BedError::Refused("the taker of rules died".to_owned()))??;
    let drill = ended?;
    demand(taken > 0, || "no rule was there to be taken away, so that the scene proves nothing".to_owned())?;
    let succeeded = p861_tests::look::condition_of(&drill, "Succeeded").cloned().unwrap_or_default();
    demand(succeeded["reason"] == "IsolationNotEnforced" && succeeded["message"].as_str().is_some_and(|message| message.contains("the API server")), || {
        format!("condition: {succeeded}")
    })?;
    let records = p861_tests::faults::journal(stage, "drill", "open")?;
    let written = records.iter().any(|record| record["step"].as_str().is_some_and(|step| step.starts_with("restore/")) && record["event"]["type"] == "Intent");
    demand(!written, || "something was written into a copy that is open".to_owned())?;
    // The agent makes its rules anew as soon as a policy holds for another pod: the next drill has them.
    start_drill(stage, "closed-again", json!({}))?;
    ended_clean(stage, "closed-again", "Succeeded").map(drop)
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
    // The same questions from pods that nothing holds back: these servers answer. The database is asked from its own namespace, which is open to it whatever a Platform says.
    for (what, address, port) in [&outside[0], &outside[1], &outside[2], &outside[5]] {
        demand(reaches(primary, "shinan-approval", "deployment/approval-web", address, *port)?, || {
            format!("{what} at {address}:{port} does not answer the primary's approval, so a drill that does not reach it proves nothing")
        })?;
    }
    for (namespace, workload) in [(&portal, "deployment/portal-web"), (&approval, "deployment/approval-web")] {
        for (what, address, port) in &outside {
            demand(!reaches(standby, namespace, workload, address, *port)?, || format!("{workload} of {namespace} reaches {what} at {address}:{port}"))?;
        }
    }
    demand(reaches(standby, &approval, "deployment/approval-web", "postgres", 5432)?, || "the copy does not reach its own database by name".to_owned())?;
    its_names_are_its_own(standby, &approval, &portal)?;
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
