//! The operator dies, again and again: the other replica goes on, and each effect happens once. (The executor's suites kill it at every step.)

use crate::backups::{BACKUP, backup_now, nothing_of_movers};
use crate::drills::{DRILL, ended_clean, start_drill};
use p861_testbed::bed::{BedError, Result, until};
use p861_tests::faults::{journal, kill_leader, leader, leader_after, processes_of, signal_pod};
use p861_tests::install::SYSTEM;
use p861_tests::restic::restic;
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub const SCENES: &[Scene] = &[
    ("a backup whose leaders are killed again and again goes on under the other replica, and each effect happens once", a_backup_outlives_its_leaders),
    (
        "a leader that was frozen until its lease ran out writes nothing when it wakes, and waits for the lease as the same process",
        a_frozen_leader_writes_nothing,
    ),
    ("a leader that is asked to end hands over at once, and Prometheus scrapes whoever comes in its place", asked_to_end),
];

/// Those of `make soak`.
pub const SOAK: &[Scene] =
    &[("a drill whose leaders are killed again and again goes on under the other replica, and each effect happens once", a_drill_outlives_its_leaders)];

/// What kind of step it is: the first word of its id, and for data which part of it.
fn phase_of(id: &str) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    match parts.as_slice() {
        [verb @ ("save" | "restore"), _, part, ..] => format!("{verb} {part}"),
        [first, ..] => (*first).to_owned(),
        [] => String::new(),
    }
}

/// Kills the leader once in each of these phases, until the run has ended.
fn kill_in_each_phase(stage: &Stage, kind: &str, name: &str, wanted: &[&str], limit: Duration) -> Result<()> {
    let (since, mut killed) = (Instant::now(), BTreeSet::new());
    loop {
        let run = stage.object(kind, name)?;
        let status = &run["status"];
        if matches!(status["phase"].as_str(), Some("Succeeded" | "Failed" | "Aborted" | "Refused")) {
            let missed: Vec<_> = wanted.iter().filter(|phase| !killed.contains(**phase)).collect();
            return demand(missed.is_empty(), || format!("no leader was killed during {missed:?}, only during {killed:?}"));
        }
        if since.elapsed() > limit {
            return Err(BedError::Refused(format!("{kind} {name} has not ended after {limit:?}; leaders were killed in {killed:?}; {status}")));
        }
        let steps = status["currentSteps"].as_array().into_iter().flatten();
        let phases: BTreeSet<String> = steps.filter(|step| !step["startTime"].is_null()).filter_map(|step| step["id"].as_str()).map(phase_of).collect();
        if phases.iter().any(|phase| wanted.contains(&phase.as_str()) && !killed.contains(phase)) {
            let before = kill_leader(stage)?;
            killed.extend(phases);
            leader_after(stage, &before)?;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Each step that was begun was begun once, and done once.
fn each_once(records: &[Value]) -> Result<()> {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for record in records {
        if let (Some(step), Some(event)) = (record["step"].as_str(), record["event"]["type"].as_str()) {
            *seen.entry((step.to_owned(), event.to_owned())).or_default() += 1;
        }
    }
    let twice: Vec<_> = seen.iter().filter(|((_, event), count)| matches!(event.as_str(), "Intent" | "Done") && **count != 1).collect();
    let failed: Vec<_> = seen.keys().filter(|(_, event)| event == "Failed").collect();
    demand(twice.is_empty() && failed.is_empty(), || format!("not once: {twice:?}; failed: {failed:?}"))?;
    let tokens: Vec<u64> = records.iter().filter_map(|record| record["token"].as_u64()).collect();
    demand(tokens.is_sorted(), || format!("a record of an older claim follows one of a newer: {tokens:?}"))
}

fn a_backup_outlives_its_leaders(stage: &Stage) -> Result<()> {
    stage.create("Backup", "leaderless", json!({"applicationRef": {"name": "approval"}}))?;
    // Verifying goes on in the pod that has sealed, and is over too soon to be met for certain: run_world kills there.
    kill_in_each_phase(stage, "backup", "leaderless", &["save objects", "seal"], BACKUP * 2)?;
    let backup = stage.object("backup", "leaderless")?;
    demand(backup["status"]["phase"] == "Succeeded" && backup["status"]["verification"]["level"] == "Stored", || format!("it ended {}", backup["status"]))?;
    each_once(&journal(stage, "backup", "leaderless")?)?;
    let snapshots: Value = serde_json::from_str(&restic(
        stage,
        &["snapshots", "--json", "--tag", &format!("p861-run:{}", backup["metadata"]["uid"].as_str().unwrap_or_default())],
    )?)
    .map_err(|error| BedError::Refused(format!("restic snapshots: {error}")))?;
    demand(snapshots.as_array().is_some_and(|all| all.len() == 1), || format!("one snapshot was expected: {snapshots}"))?;
    nothing_of_movers(stage, "shinan-approval")
}

fn a_drill_outlives_its_leaders(stage: &Stage) -> Result<()> {
    // What is recovered must be no older than the objectives allow, however long the scenes before this one took.
    backup_now(stage, "approval")?;
    start_drill(stage, "leaderless", json!({}))?;
    kill_in_each_phase(stage, "drill", "leaderless", &["restore objects", "start", "restore stream", "clean-up"], DRILL * 2)?;
    let drill = ended_clean(stage, "leaderless", "Succeeded")?;
    demand(drill["status"]["result"] == "Passed", || format!("its result is {}", drill["status"]))?;
    each_once(&journal(stage, "drill", "leaderless")?)
}

fn a_frozen_leader_writes_nothing(stage: &Stage) -> Result<()> {
    let hub = stage.standby()?;
    stage.create("Backup", "frozen-leader", json!({"applicationRef": {"name": "portal"}}))?;
    crate::drills::wait_step(stage, "backup", "frozen-leader", "")?;
    let frozen = leader(stage)?;
    let portrait = || -> Result<(Vec<Pid>, Value)> {
        let pod = hub.get(&["pod", "--namespace", SYSTEM, &frozen])?;
        Ok((processes_of(&pod, "p861-operator"), pod["status"]["containerStatuses"][0]["restartCount"].clone()))
    };
    let before = portrait()?;
    signal_pod(hub, SYSTEM, &frozen, "p861-operator", Signal::STOP)?;
    let next = leader_after(stage, &frozen);
    signal_pod(hub, SYSTEM, &frozen, "p861-operator", Signal::CONT)?;
    let next = next?;
    let backup = stage.wait_end(BACKUP, "backup", "frozen-leader")?;
    demand(backup["status"]["phase"] == "Succeeded", || format!("it ended {}", backup["status"]))?;
    // FAULTS H7: nobody counts a crash, so that no back-off keeps it from the lease when it is needed.
    until("the frozen leader says that it has lost the lease, and waits for it again", Duration::from_mins(2), || {
        let log = hub.kubectl(&["logs", "--namespace", SYSTEM, &frozen]).map_err(|error| error.to_string())?;
        let after = log.rsplit_once("the lease was lost: ").map(|(_, after)| after.to_owned());
        if after.as_ref().is_some_and(|after| after.contains("waits for the lease identity")) { Ok(()) } else { Err(log) }
    })?;
    let after = portrait()?;
    demand(!after.0.is_empty() && after == before, || format!("{before:?} was frozen, and {after:?} goes on"))?;
    let now = leader(stage)?;
    demand(now == next, || format!("{next} led, and now {now} leads"))?;
    each_once(&journal(stage, "backup", "frozen-leader")?)
}

fn asked_to_end(stage: &Stage) -> Result<()> {
    let before = leader(stage)?;
    stage.create("Backup", "handed-over", json!({"applicationRef": {"name": "portal"}}))?;
    crate::drills::wait_step(stage, "backup", "handed-over", "")?;
    let since = Instant::now();
    stage.standby()?.kubectl(&["delete", "pod", "--namespace", SYSTEM, &before, "--wait=false"])?;
    leader_after(stage, &before)?;
    let took = since.elapsed();
    // The lease lasts fifteen seconds: whoever waits for its end can't be this quick.
    demand(took < Duration::from_secs(12), || format!("the hand-over took {took:?}"))?;
    let backup = stage.wait_end(BACKUP, "backup", "handed-over")?;
    demand(backup["status"]["phase"] == "Succeeded", || format!("it ended {}", backup["status"]))?;
    each_once(&journal(stage, "backup", "handed-over")?)?;
    p861_tests::look::wait_rolled_out(stage.standby()?, Duration::from_mins(3), SYSTEM, "deployment/p861-operator")?;
    crate::telling::each_replica_is_scraped(stage)
}
