//! Drills: they recover, measure, tell the truth when something fails, and leave nothing.

use crate::backups::backed_up_within;
use p861_core::time::parse_duration;
use p861_testbed::bed::{BedError, Result, until};
use p861_tests::faults::journal;
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const SCENES: &[Scene] = &[
    ("a drill recovers both applications, proves the RPO by their markers, and the primary's clients never notice", it_recovers_and_nobody_notices),
    ("a check that fails fails the drill with what it saw, and the copy is gone", a_failed_check_fails_the_drill),
    ("a drill whose object is deleted ends, and leaves nothing, even if a finalizer without a controller stands in its copy", deleted_while_it_runs),
    ("Ctrl-C leaves the view and not the drill, and says how to come back", interrupted),
    ("a tabletop drill touches nothing and ends in seconds", tabletop),
];

/// Those of `make soak`.
pub const SOAK: &[Scene] = &[("a drill that is aborted in the middle or late leaves nothing", aborted)];

/// How long one drill may take on a busy machine.
pub const DRILL: Duration = Duration::from_mins(7);

/// Nothing that the drill made stands on the standby any more.
pub fn nothing_left(stage: &Stage) -> Result<()> {
    let standby = stage.standby()?;
    let namespaces = standby.get(&["namespaces", "--selector", "platform861.io/drill"])?;
    let volumes = standby.get(&["persistentvolumes"])?;
    let copies: Vec<String> = namespaces["items"].as_array().into_iter().flatten().map(|one| one["metadata"]["name"].to_string()).collect();
    let claimed = volumes["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["spec"]["claimRef"]["namespace"].as_str().is_some_and(|name| name.contains("--drill-")));
    let volumes: Vec<String> = claimed.map(|one| one["metadata"]["name"].to_string()).collect();
    demand(copies.is_empty() && volumes.is_empty(), || format!("left on the standby: namespaces {copies:?}, volumes {volumes:?}"))
}

/// Creates a drill of the stage's plan, of which each application has a backup.
pub fn start_drill(stage: &Stage, name: &str, more: Value) -> Result<()> {
    backed_up_within(stage, Duration::MAX)?;
    let mut spec = json!({"planRef": {"name": "shinan-core"}, "type": "Isolated"});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    stage.create("Drill", name, spec)
}

/// The drill's condition CleanedUp is True, it has ended as `phase`, and nothing is left.
pub fn ended_clean(stage: &Stage, name: &str, phase: &str) -> Result<Value> {
    let drill = stage.wait_end(DRILL, "drill", name)?;
    demand(drill["status"]["phase"] == phase, || format!("drill {name} ended otherwise than {phase}: {}", drill["status"]))?;
    let cleaned = p861_tests::look::condition_of(&drill, "CleanedUp").cloned().unwrap_or_default();
    demand(cleaned["status"] == "True", || format!("drill {name}: {cleaned}"))?;
    nothing_left(stage)?;
    Ok(drill)
}

/// A client of the primary that writes all the time: one row after the other, each acknowledged by the database before the next is sent.
struct Writer(Child);

const WRITER: &str = "n=0; bad=0; while [ ! -e /tmp/p861-stop ]; do \
    if psql --quiet --set=ON_ERROR_STOP=1 --command=\"insert into cases (applicant, subject) values ('writer', '$n')\" 2>/tmp/p861-error; then n=$((n+1)); else bad=$((bad+1)); cat /tmp/p861-error >&2; fi; sleep 0.2; \
    done; rm /tmp/p861-stop; echo $n $bad";

impl Writer {
    fn start(stage: &Stage) -> Result<Self> {
        let primary = stage.primary()?;
        primary.kubectl(&[
            "exec",
            "--namespace",
            "shinan-approval",
            "deployment/approval-worker",
            "--",
            "sh",
            "-c",
            "rm -f /tmp/p861-stop; psql --quiet --command=\"delete from cases where applicant = 'writer'\"",
        ])?;
        let mut command = Command::new(&stage.bed.components.kubectl);
        command.arg("--kubeconfig").arg(primary.kubeconfig()).args([
            "exec",
            "--namespace",
            "shinan-approval",
            "deployment/approval-worker",
            "--",
            "sh",
            "-c",
            WRITER,
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child.map(Self).map_err(|error| BedError::Refused(format!("the writer could not be started: {error}")))
    }

    /// Stops it; gives how many rows were acknowledged, how many refused, and what was said.
    fn stop(mut self, stage: &Stage) -> Result<(u64, u64, String)> {
        stage.primary()?.kubectl(&["exec", "--namespace", "shinan-approval", "deployment/approval-worker", "--", "touch", "/tmp/p861-stop"])?;
        let ended = until("the writer has ended", Duration::from_mins(1), || match self.0.try_wait() {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let _ = self.0.kill();
        ended?;
        let (mut out, mut err) = (String::new(), String::new());
        let read = self.0.stdout.take().map(|mut pipe| pipe.read_to_string(&mut out)).and(self.0.stderr.take().map(|mut pipe| pipe.read_to_string(&mut err)));
        let mut numbers = out.split_whitespace().filter_map(|word| word.parse().ok());
        match (read, numbers.next(), numbers.next()) {
            (Some(Ok(_)), Some(good), Some(bad)) => Ok((good, bad, err)),
            _ => Err(BedError::Refused(format!("the writer said {out:?} {err:?}"))),
        }
    }
}

fn it_recovers_and_nobody_notices(stage: &Stage) -> Result<()> {
    backed_up_within(stage, Duration::ZERO)?;
    let writer = Writer::start(stage)?;
    let worker = stage.primary()?.get(&["pods", "--namespace", "shinan-approval", "--selector", "app=approval-worker"])?;
    let ran = stage.say(&["drill", "run", "shinan-core"]);
    let (good, bad, complaints) = writer.stop(stage)?;
    let said = ran?;
    demand(said.code == 0 && said.out.contains("PASSED"), || format!("the drill did not pass: {}", said.all()))?;
    demand(good > 10 && bad == 0, || format!("the writer had {good} rows acknowledged and {bad} refused: {complaints}"))?;
    let script = "psql --tuples-only --no-align --command=\"select count(*) from cases where applicant = 'writer'\"";
    let kept = stage.primary()?.kubectl(&["exec", "--namespace", "shinan-approval", "deployment/approval-worker", "--", "sh", "-c", script])?;
    demand(kept.trim() == good.to_string(), || format!("{good} rows were acknowledged, and {kept} are there"))?;
    let log = stage.primary()?.kubectl(&["logs", "--namespace", "shinan-approval", "--selector=app=approval-worker", "--tail=-1"])?;
    demand(!log.contains("ended with an error"), || format!("pgbench on the primary met an error: {log}"))?;
    let again = stage.primary()?.get(&["pods", "--namespace", "shinan-approval", "--selector", "app=approval-worker"])?;
    demand(worker["items"][0]["metadata"]["uid"] == again["items"][0]["metadata"]["uid"], || "the worker's pod was replaced meanwhile".to_owned())?;

    let drill = newest(stage)?;
    let name = drill["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let records = journal(stage, "drill", &name)?;
    for application in drill["status"]["applications"].as_array().into_iter().flatten() {
        proven_by_the_marker(&drill, application, &records)?;
    }
    let balances = evidence(&records, "check/approval/balances-agree")?;
    demand(balances.to_string().contains("balanced"), || format!("pgbench's balances: {balances}"))?;
    nothing_left(stage)?;
    let report = stage.say_expecting(0, &["drill", "report", &name, "-o", "html"])?.out;
    demand(report.contains("<svg") && report.contains(&name) && !report.contains("http://") && !report.contains("<script src"), || {
        "the report is not one self-contained page".to_owned()
    })
}

fn evidence<'a>(records: &'a [Value], step: &str) -> Result<&'a Value> {
    let done = records.iter().find(|record| record["step"] == step && record["event"]["type"] == "Done");
    done.map(|record| &record["evidence"]).ok_or_else(|| BedError::Refused(format!("the journal has no step {step} that is done")))
}

/// The RPO shown is from the drill's start back to the marker that was read in the recovered application, or to the recovery point if that is earlier.
fn proven_by_the_marker(drill: &Value, application: &Value, records: &[Value]) -> Result<()> {
    let name = application["name"].as_str().unwrap_or_default();
    demand(application["rpoProof"] == "Marker", || format!("{name}: the RPO is not proven: {application}"))?;
    let time = |value: &Value| {
        value.as_str().unwrap_or_default().parse::<jiff::Timestamp>().map_err(|error| BedError::Refused(format!("{value} is no time: {error}")))
    };
    let marker = time(&evidence(records, &format!("marker/{name}"))?["time"])?;
    let start = time(&drill["status"]["startTime"])?;
    let shown = parse_duration(application["measured"]["rpo"].as_str().unwrap_or_default()).map_err(|error| BedError::Refused(format!("{name}: {error}")))?;
    let recovery_point = time(&application["recoveryPointTime"])?;
    let expected = start.duration_since(marker.min(recovery_point));
    demand((shown - expected).abs().as_secs() <= 1, || {
        format!("{name}: RPO {shown:?} is shown, but the marker is of {marker}, {expected:?} before the start {start}")
    })
}

/// The drill that was started last.
pub fn newest(stage: &Stage) -> Result<Value> {
    let list = stage.json(&["drill", "list"])?;
    let newest =
        list["items"].as_array().into_iter().flatten().max_by_key(|drill| drill["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned());
    newest.cloned().ok_or_else(|| BedError::Refused(format!("there is no drill: {list}")))
}

fn a_failed_check_fails_the_drill(stage: &Stage) -> Result<()> {
    let application = stage.object("application", "portal")?;
    let mut checks = application["spec"]["checks"].clone();
    checks[0]["http"]["expect"]["pattern"] = json!("a page that never was");
    checks[0]["deadline"] = json!("5s");
    stage.patch("application", "portal", &json!({"spec": {"checks": checks}}))?;
    let said = stage.say(&["drill", "run", "shinan-core"]);
    stage.patch("application", "portal", &json!({"spec": {"checks": application["spec"]["checks"]}}))?;
    let said = said?;
    demand(said.code == 4, || format!("a drill with a failed check must end with 4: {}", said.all()))?;
    let drill = newest(stage)?;
    let name = drill["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let succeeded = p861_tests::look::condition_of(&drill, "Succeeded").cloned().unwrap_or_default();
    demand(succeeded["reason"] == "ChecksFailed", || format!("condition: {succeeded}"))?;
    let report = stage.say_expecting(0, &["drill", "report", &name, "-o", "json"])?.out;
    demand(report.contains("a page that never was") && report.contains("portal-web:8080"), || {
        format!("the report does not show what the check saw: {report}")
    })?;
    ended_clean(stage, &name, "Failed").map(drop)
}

/// Waits until a step whose id begins so is under way, and gives its id; an error at once if the run ends before.
pub fn wait_step(stage: &Stage, kind: &str, name: &str, begins: &str) -> Result<String> {
    wait_any_step(stage, kind, name, &[begins])
}

/// The same for any of several: a step may be over before it is seen.
fn wait_any_step(stage: &Stage, kind: &str, name: &str, begins: &[&str]) -> Result<String> {
    let found = stage.wait(&format!("a step {begins:?} is under way"), DRILL, kind, name, |seen| {
        let steps = seen["status"]["currentSteps"].as_array().into_iter().flatten();
        let mut running = steps.filter(|step| !step["startTime"].is_null()).filter_map(|step| step["id"].as_str());
        match (running.find(|id| begins.iter().any(|begin| id.starts_with(begin))), seen["status"]["completionTime"].as_str()) {
            (Some(id), _) => Ok(Some(id.to_owned())),
            (None, Some(_)) => Ok(None),
            (None, None) => Err(seen["status"].to_string()),
        }
    })?;
    found.ok_or_else(|| BedError::Refused(format!("{kind} {name} ended before a step {begins:?} was seen")))
}

fn aborted(stage: &Stage) -> Result<()> {
    // In the middle, where most is made, and late. The executor's suites abort at every step.
    let places: [&[&str]; 2] = [&["restore/approval/volume/", "start/approval/tier/data"], &["check/", "marker/", "start/portal/", "clean-up"]];
    for (number, begins) in places.iter().enumerate() {
        let name = format!("aborted-{number}");
        start_drill(stage, &name, json!({}))?;
        wait_any_step(stage, "drill", &name, begins)?;
        stage.say_expecting(0, &["drill", "abort", &name, "--reason", "wrong day", "--no-wait"])?;
        // One that had nothing left but its clean-up may end as it would have.
        let late = number + 1 == places.len();
        let drill = stage.wait_end(DRILL, "drill", &name)?;
        let phase = drill["status"]["phase"].as_str().unwrap_or_default().to_owned();
        demand(phase == "Aborted" || (late && phase == "Succeeded"), || format!("drill {name} ended {}", drill["status"]))?;
        ended_clean(stage, &name, &phase)?;
        let succeeded = p861_tests::look::condition_of(&drill, "Succeeded").cloned().unwrap_or_default();
        demand(
            phase == "Succeeded" || (succeeded["reason"] == "Aborted" && succeeded["message"].as_str().is_some_and(|message| message.contains("wrong day"))),
            || format!("condition: {succeeded}"),
        )?;
    }
    Ok(())
}

fn deleted_while_it_runs(stage: &Stage) -> Result<()> {
    start_drill(stage, "deleted", json!({}))?;
    wait_step(stage, "drill", "deleted", "restore/")?;
    // A controller of the standby has put its finalizer on it, and is no more.
    let copies = stage.standby()?.get(&["namespaces", "--selector", "platform861.io/drill"])?;
    let copy = copies["items"][0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let held = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": copy, "finalizers": ["example.com/hold"]}});
    stage.apply(stage.standby()?, "held", &held.to_string())?;
    stage.delete("drill", "deleted")?;
    nothing_left(stage)
}

fn interrupted(stage: &Stage) -> Result<()> {
    let before = newest(stage).map_or(Value::Null, |drill| drill["metadata"]["name"].clone());
    let mut child = stage.start(&["drill", "run", "shinan-core"])?;
    let name = until("the drill is there", Duration::from_mins(1), || {
        let name = newest(stage).map_err(|error| error.to_string())?["metadata"]["name"].clone();
        if name == before { Err("not yet".to_owned()) } else { Ok(name.as_str().unwrap_or_default().to_owned()) }
    })?;
    wait_step(stage, "drill", &name, "")?;
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).map_err(|error| BedError::Refused(error.to_string()))?;
    let status = until("p861 has left", Duration::from_secs(30), || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}")),
    })?;
    let mut text = String::new();
    let _ = child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut text));
    let _ = child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut text));
    demand(status.code() == Some(130) && text.contains(&format!("p861 drill watch {name}")), || format!("p861 ended with {status} and said {text}"))?;
    let phase = stage.object("drill", &name)?["status"]["phase"].clone();
    demand(!matches!(phase.as_str(), Some("Aborted" | "Aborting" | "Failed")), || format!("the drill is {phase}"))?;
    stage.say_expecting(0, &["drill", "abort", &name, "--reason", "seen enough", "--no-wait"])?;
    ended_clean(stage, &name, "Aborted").map(drop)
}

fn tabletop(stage: &Stage) -> Result<()> {
    let said = stage.say_expecting(0, &["drill", "run", "shinan-core", "--type", "Tabletop"])?;
    let drill = newest(stage)?;
    demand(drill["status"]["isolation"].is_null() && drill["spec"]["type"] == "Tabletop", || said.all())?;
    nothing_left(stage)
}
