//! Restores: what they would do is shown first, and what is there is not overwritten unasked.

use crate::backups::{backup_now, name};
use crate::drills::wait_step;
use crate::odd_files::claim_folder;
use p861_testbed::bed::{BedError, Result, Site};
use p861_tests::look::wait_rolled_out;
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::time::Duration;

pub const SCENES: &[Scene] = &[
    ("a restore is previewed, refuses to overwrite, and merges when told to", previewed_refused_merged),
    ("a restore writes only once nothing else can, and starts again what it has stopped, whatever becomes of it", still_before_it_is_written),
];

const MAP: &str = "shinan-approval=shinan-approval-look";
const LOOK: &str = "shinan-approval-look";

fn previewed_refused_merged(stage: &Stage) -> Result<()> {
    let backup = name(&backup_now(stage, "approval")?);
    let outcome = acts(stage, &backup);
    stage.standby()?.kubectl(&["delete", "namespace", LOOK, "--ignore-not-found", "--timeout=110s"])?;
    outcome
}

fn acts(stage: &Stage, backup: &str) -> Result<()> {
    let standby = stage.standby()?;
    let base = |verb: &'static str| vec!["restore", verb, backup, "--site", "laoshan-dr", "--map", MAP];
    let preview = stage.say(&base("preview"))?;
    demand(preview.code == 0 && preview.out.contains("create"), || format!("the first preview: {}", preview.all()))?;
    // Without a terminal and without the stated belief nothing is done.
    let unasked = stage.say(&base("run"))?;
    demand(unasked.code == 3 && unasked.err.contains("--yes"), || format!("without a terminal: {}", unasked.all()))?;
    let mut wrong = base("run");
    wrong.extend(["--yes", "--backup", "approval-of-another-day"]);
    let wrong = stage.say(&wrong)?;
    demand(wrong.code == 3, || format!("with a wrong belief: {}", wrong.all()))?;
    let absent = standby.get(&["namespaces"])?;
    demand(!absent.to_string().contains("\"shinan-approval-look\""), || "a preview or a refusal has made the namespace".to_owned())?;
    let movers = standby.get(&["jobs,secrets", "--namespace", p861_tests::install::SYSTEM, "--selector", "platform861.io/role=mover"])?;
    demand(movers["items"].as_array().is_some_and(Vec::is_empty), || format!("left of the preview's movers: {movers}"))?;

    let mut run = base("run");
    run.extend(["--yes", "--backup", backup]);
    stage.say_expecting(0, &run)?;
    let kept = standby.get(&["configmap", "--namespace", LOOK, "approval-code"])?;
    standby.kubectl(&[
        "patch",
        "configmap",
        "--namespace",
        LOOK,
        "approval-code",
        "--type=merge",
        "--patch",
        &json!({"data": {"schema.sql": "-- changed by hand"}}).to_string(),
    ])?;
    let preview = stage.say(&base("preview"))?;
    demand(preview.out.contains("approval-code") && preview.out.contains("change"), || format!("the preview does not show the change: {}", preview.all()))?;
    let refused = stage.say(&run)?;
    demand(matches!(refused.code, 3 | 4) && refused.all().contains("approval-code"), || format!("a restore that would overwrite: {}", refused.all()))?;
    let still = standby.get(&["configmap", "--namespace", LOOK, "approval-code"])?;
    demand(still["data"]["schema.sql"] == "-- changed by hand", || "a refused restore has written".to_owned())?;
    run.extend(["--conflict", "Merge"]);
    stage.say_expecting(0, &run)?;
    let merged = standby.get(&["configmap", "--namespace", LOOK, "approval-code"])?;
    demand(merged["data"] == kept["data"], || format!("after the merge: {}", merged["data"]))
}

const STILL: &str = "shinan-portal-still";
/// A page of the portal that is in each of its backups.
const PAGE: &str = "data/pages/start.txt";
/// How long starting something may take on a busy machine.
const START: Duration = Duration::from_mins(3);

fn still_before_it_is_written(stage: &Stage) -> Result<()> {
    let backup = name(&backup_now(stage, "portal")?);
    let outcome = stops_and_starts(stage, &backup);
    stage.standby()?.kubectl(&["delete", "namespace", STILL, "--ignore-not-found", "--timeout=170s"])?;
    outcome
}

/// Everything beside the portal that runs pods: a writer that goes on writing into the page while it terminates, a pod without an owner, an unfinished Job, a
/// CronJob, one that somebody has suspended, and a Deployment that somebody has scaled to zero.
fn others() -> String {
    let pod = |command: &str| {
        json!({"terminationGracePeriodSeconds": 40, "automountServiceAccountToken": false,
            "containers": [{"name": "c", "image": "localhost/p861-portal:1", "imagePullPolicy": "Never", "command": ["sh", "-c", command], "volumeMounts": [{"name": "files", "mountPath": "/srv/site"}]}],
            "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "site-files"}}]})
    };
    let writes_while_it_ends = format!(
        "trap 'i=0; while [ $i -lt 15 ]; do echo closing $i >> /srv/site/{PAGE}; sleep 1; i=$((i+1)); done; exit 0' TERM; while true; do sleep 1; done"
    );
    let object =
        |api: &str, kind: &str, name: &str, spec: Value| json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": STILL}, "spec": spec});
    let deployment = |name: &str, replicas: u32, command: &str| {
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod(command)});
        object(
            "apps/v1",
            "Deployment",
            name,
            json!({"replicas": replicas, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": {"app": name}}, "template": template}),
        )
    };
    let job = || json!({"template": {"spec": {"restartPolicy": "Never", "containers": pod("trap 'exit 0' TERM; while true; do sleep 1; done")["containers"], "volumes": pod("")["volumes"]}}});
    let cron =
        |name: &str, suspend: bool| object("batch/v1", "CronJob", name, json!({"schedule": "0 3 1 1 *", "suspend": suspend, "jobTemplate": {"spec": job()}}));
    let waits = "trap 'exit 0' TERM; while true; do sleep 1; done";
    let items = json!([
        deployment("writer", 1, &writes_while_it_ends),
        deployment("off", 0, waits),
        object("batch/v1", "Job", "migrate", job()),
        cron("yearly", false),
        cron("paused", true),
        object("v1", "Pod", "bare", pod(waits)),
    ]);
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn stops_and_starts(stage: &Stage, backup: &str) -> Result<()> {
    let standby = stage.standby()?;
    let mut run = vec!["restore", "run", backup, "--site", "laoshan-dr", "--map", "shinan-portal=shinan-portal-still", "--yes", "--backup", backup];
    stage.say_expecting(0, &run)?;
    stage.apply(standby, "still", &others())?;
    wait_rolled_out(standby, START, STILL, "deployment/writer")?;
    let running = |seen: &Value| if seen["status"]["phase"] == "Running" { Ok(()) } else { Err(seen["status"].to_string()) };
    standby.wait("the pod without an owner runs", START, &["--namespace", STILL, "pod/bare"], running)?;
    let page = claim_folder(stage, standby, STILL)?.join(PAGE);
    let read = || std::fs::read_to_string(&page).map_err(|source| BedError::Io { path: page.clone(), source });
    let saved = read()?;
    let spoil = || std::fs::write(&page, "spoilt\n").map_err(|source| BedError::Io { path: page.clone(), source });

    // Skip leaves objects alone; what runs is stopped all the same.
    spoil()?;
    run.extend(["--conflict", "Skip"]);
    stage.say_expecting(0, &run)?;
    let now = read()?;
    demand(now == saved, || format!("somebody wrote beside the restore: {now}"))?;
    goes_on(standby)?;

    // One file: what uses its claim is stopped, too.
    spoil()?;
    let file = format!("site-files:/{PAGE}");
    run.truncate(run.len() - 2);
    let mut one = run.clone();
    one.extend(["--files", file.as_str()]);
    stage.say_expecting(0, &one)?;
    let now = read()?;
    demand(now == saved, || format!("somebody wrote beside the restore of a file: {now}"))?;
    goes_on(standby)?;

    // One that is aborted while it waits starts again what it had stopped.
    let target = json!({"siteRef": {"name": "laoshan-dr"}, "namespaceMappings": [{"from": "shinan-portal", "to": STILL}]});
    let spec = json!({"source": {"backupRef": {"name": backup}}, "target": target, "conflictPolicy": "Skip"});
    stage.create("Restore", "still-aborted", spec)?;
    wait_step(stage, "restore", "still-aborted", "stop/")?;
    stage.say_expecting(0, &["restore", "abort", "still-aborted", "--reason", "another backup", "--no-wait"])?;
    let ended = stage.wait_end(START, "restore", "still-aborted")?;
    demand(ended["status"]["phase"] == "Aborted", || format!("the aborted restore: {}", ended["status"]))?;
    goes_on(standby)?;

    // Under Refuse, a restore that finds a difference stops nothing.
    let pods = || -> Result<Vec<String>> {
        let all = standby.get(&["pods", "--namespace", STILL, "--selector", "app=writer"])?;
        // The one that the aborted restore stopped may take its time.
        let stay = all["items"].as_array().into_iter().flatten().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(stay.map(|pod| pod["metadata"]["uid"].to_string()).collect())
    };
    let before = pods()?;
    standby.kubectl(&[
        "patch",
        "service",
        "--namespace",
        STILL,
        "portal-web",
        "--type=merge",
        "--patch",
        r#"{"spec": {"ports": [{"name": "http", "port": 8081}]}}"#,
    ])?;
    let refused = stage.say(&run)?;
    demand(matches!(refused.code, 3 | 4) && refused.all().contains("nothing was written"), || format!("a restore over what differs: {}", refused.all()))?;
    let after = pods()?;
    demand(before.len() == 1 && before == after, || format!("a refused restore stopped the writer: {before:?}, then {after:?}"))?;
    goes_on(standby)
}

/// Everything is as it was before it was stopped.
fn goes_on(site: &Site) -> Result<()> {
    wait_rolled_out(site, START, STILL, "deployment/writer")?;
    wait_rolled_out(site, START, STILL, "deployment/portal-web")?;
    site.wait("the pod without an owner runs again", START, &["--namespace", STILL, "pod/bare"], |seen| {
        let good = seen["status"]["phase"] == "Running" && seen["spec"]["schedulingGates"].as_array().is_none_or(Vec::is_empty);
        if good { Ok(()) } else { Err(format!("{} {}", seen["spec"]["schedulingGates"], seen["status"])) }
    })?;
    let all = site.get(&["deployments,cronjobs,jobs,pods,podtemplates", "--namespace", STILL])?;
    for object in all["items"].as_array().into_iter().flatten() {
        let (kind, name) = (object["kind"].as_str().unwrap_or_default(), object["metadata"]["name"].as_str().unwrap_or_default());
        demand(object["metadata"]["annotations"]["platform861.io/replicas"].is_null(), || format!("{kind} {name} still stands still: {object}"))?;
        let state = match (kind, name) {
            ("Deployment", "off") => object["spec"]["replicas"] == 0,
            ("CronJob", "paused") => object["spec"]["suspend"] == true,
            ("CronJob", _) | ("Job", "migrate") => object["spec"]["suspend"] != true,
            ("PodTemplate", _) => false,
            _ => true,
        };
        demand(state, || format!("{kind} {name} is not as it was: {}", object["spec"]))?;
    }
    Ok(())
}
