//! The demo: two sites come up, two applications are backed up and recovered in isolation, and the drill is measured. A drill that fails becomes an alert and a
//! ticket, the platform is judged, and a change runs under a ticket.

use p861_core::quantity::{Quantity, human_bytes};
use p861_testbed::bed::{self, BedError, Result};
use p861_testbed::report::{Report, seconds};
use p861_tests::install::root;
use p861_tests::restic::{compare_portal, restic};
use p861_tests::rooms;
use p861_tests::stage::{APPROVER, Stage};
use serde_json::Value;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The alert whose ticket is shown.
const ALERT: &str = "P861DrillFailed";

/// What to type to use the sites, and to take them down: make knows the bed that it has named itself, and no other.
struct Typed {
    environment: String,
    down: String,
}

impl Typed {
    fn of(bed: &str) -> Self {
        let is_makes = bed.strip_prefix("demo-").is_some_and(|mark| !mark.is_empty() && mark.bytes().all(|byte| byte.is_ascii_digit()));
        if is_makes {
            return Self { environment: "make -s demo-env".into(), down: "make clean-demo".into() };
        }
        let testbed = |verb: &str| format!("target/debug/testbed --name {bed} {verb}");
        Self { environment: testbed("env --hub"), down: testbed("down") }
    }

    /// What the demo says when the sites stay up. One line is all that a shell needs.
    fn look_round(&self) -> String {
        format!(
            "The sites stay up. To look round, paste:
  eval \"$({})\"
  p861 -d shinan status
  kubectl get applications,backups,recoveryplans,drills -n shinan
{} takes them down.",
            self.environment, self.down
        )
    }
}

fn main() -> ExitCode {
    let name = std::env::var("P861_TESTBED").unwrap_or_else(|_| "demo".to_owned());
    let typed = Typed::of(&name);
    let keep = std::env::var("KEEP").is_ok_and(|value| value == "1");
    let report = Report::stderr();
    let start = Instant::now();
    let result = perform(&name, &report);
    if let Err(error) = &result {
        report.line(&format!("The demo failed after {}: {error}", seconds(start.elapsed())));
    }
    let ended = if keep && result.is_ok() { Ok(()) } else { bed::down(&name, &report) };
    if let Err(error) = &ended {
        report.line(&format!("The sites could not be taken down: {error}; {} tries again", typed.down));
    }
    match (result, ended) {
        (Ok(lines), Ok(())) => {
            say(&format!("\n{}\nThe demo took {}.", lines.join("\n"), seconds(start.elapsed())));
            if keep {
                say(&typed.look_round());
            }
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

/// Plays the demo. Returns the lines that sum it up.
fn perform(name: &str, report: &Report) -> Result<Vec<String>> {
    if bed::Place::find(name)?.is_some() {
        report.line("An earlier demo's sites are still up; they are taken down first.");
        bed::down(name, report)?;
    }
    let stage = Stage::up(name, report)?;
    show(&stage, &["site", "list"])?;
    show(&stage, &["app", "list"])?;
    let mut backups = Vec::new();
    for application in ["approval", "portal"] {
        let start = Instant::now();
        show(&stage, &["backup", "now", application])?;
        backups.push((application, start.elapsed()));
    }
    let (trouble, ticket) = trouble(&stage, report)?;
    show(&stage, &["drill", "run", "shinan-core"])?;
    let drill = newest_drill(&stage)?;
    let folder = root().join("target/demo");
    std::fs::create_dir_all(&folder).map_err(|source| BedError::Io { path: folder.clone(), source })?;
    let page = folder.join("report.html");
    let drill_name = drill["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let html = output(&stage, &["drill", "report", &drill_name, "-o", "html"])?;
    std::fs::write(&page, html).map_err(|source| BedError::Io { path: page.clone(), source })?;
    let compared = report.timed("Reading the repository with stock restic: list, check, restore, compare", || read_back(&stage))?;
    let plank = platform(&stage, report)?;
    let (change, came_to) = change(&stage, report)?;
    // Late, because an alert goes on for a while after its cause.
    let alert = report.timed("The drill has passed: the alert ends, and with it its ticket", || rooms::ticket_of(&stage, ALERT, "Closed"))?;
    show(&stage, &["ticket", "show", &alert])?;
    let mut lines = summary(&stage, &backups, &drill, &page, compared)?;
    lines.extend([
        format!("Platform: weakest layer {plank}."),
        format!("Change {change}: {came_to}."),
        format!("Alert {ALERT} ({trouble}): ticket {ticket}, acknowledged, closed when the drill passed."),
    ]);
    Ok(lines)
}

/// A drill that can't end well, and what becomes of its alert: a ticket, which is acknowledged.
fn trouble(stage: &Stage, report: &Report) -> Result<(String, String)> {
    stage.route_alerts()?;
    let said = report.timed("Somebody allows a drill five seconds: it fails, and its copy is removed", || rooms::failing_drill(stage))?;
    let ticket = report.timed(&format!("Alert {ALERT} fires in Prometheus, and Alertmanager tells the operator"), || rooms::ticket_of(stage, ALERT, "Open"))?;
    show(stage, &["ticket", "list"])?;
    show(stage, &["ticket", "ack", &ticket])?;
    Ok((said, ticket))
}

/// What the district stands on. Its page says that a component waits for a ticket, which is a gap and no error.
fn platform(stage: &Stage, report: &Report) -> Result<String> {
    report.timed("Declaring the district's platform, and waiting until it is judged", || rooms::declare_platform(stage))?;
    show_ending(stage, &["platform", "status"], &[0, 4])?;
    show_ending(stage, &["platform", "gaps"], &[4])?;
    rooms::shortest_plank(stage)
}

/// The gap's own remedy: a change, in a window, with another person's agreement.
fn change(stage: &Stage, report: &Report) -> Result<(String, String)> {
    stage.open_window()?;
    show(stage, &["window", "list"])?;
    let words = ["ticket", "open", "upgrade", "notice", "--window", "any-time", "--watch", "3s"];
    say(&format!("\n$ p861 -d shinan {}", words.join(" ")));
    let opened = output(stage, &[&words[..], &["-o", "name"]].concat())?;
    let ticket = String::from_utf8_lossy(&opened).trim().rsplit('/').next().unwrap_or_default().to_owned();
    say(&ticket);
    let came_to = report
        .timed(&format!("{APPROVER} agrees to its steps; the standby is installed and watched, then the primary"), || rooms::see_through(stage, &ticket))?;
    show(stage, &["ticket", "show", &ticket])?;
    Ok((ticket, came_to))
}

/// A command of p861 as its user would type it.
fn show(stage: &Stage, arguments: &[&str]) -> Result<()> {
    show_ending(stage, arguments, &[0])
}

/// The same, if it ends with one of these exit codes.
fn show_ending(stage: &Stage, arguments: &[&str], codes: &[i32]) -> Result<()> {
    say(&format!("\n$ p861 -d shinan {}", arguments.join(" ")));
    let status = stage.p861(arguments)?.stdin(Stdio::null()).status();
    let status = status.map_err(|error| BedError::Refused(format!("p861 could not be started: {error}")))?;
    if status.code().is_some_and(|code| codes.contains(&code)) {
        Ok(())
    } else {
        Err(BedError::Refused(format!("p861 {} ended with {status}\n{}", arguments.join(" "), stage.operator_log())))
    }
}

fn output(stage: &Stage, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = stage.p861(arguments)?.output().map_err(|error| BedError::Refused(format!("p861 could not be started: {error}")))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(BedError::Refused(format!("p861 {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr))))
    }
}

fn newest_drill(stage: &Stage) -> Result<Value> {
    let text = output(stage, &["drill", "list", "-o", "json"])?;
    let list: Value = serde_json::from_slice(&text).map_err(|error| BedError::Refused(format!("p861 drill list: {error}")))?;
    let newest = list["items"].as_array().into_iter().flatten().max_by_key(|drill| drill["status"]["startTime"].as_str().unwrap_or_default().to_owned());
    newest.cloned().ok_or_else(|| BedError::Refused("p861 drill list lists no drill".to_owned()))
}

/// Stock restic lists, checks and restores; the portal's files are compared with those in its pod.
fn read_back(stage: &Stage) -> Result<usize> {
    let text = output(stage, &["backup", "list", "portal", "-o", "json"])?;
    let list: Value = serde_json::from_slice(&text).map_err(|error| BedError::Refused(format!("p861 backup list: {error}")))?;
    let snapshot = list["items"][0]["status"]["snapshotID"].as_str().unwrap_or_default().to_owned();
    let listed = restic(stage, &["snapshots", "--json"])?;
    if !listed.contains(&snapshot) {
        return Err(BedError::Refused(format!("restic does not list snapshot {snapshot}")));
    }
    restic(stage, &["check", "--read-data"])?;
    let folder = stage.folder().join("by-restic");
    compare_portal(stage, &snapshot, &folder)
}

fn summary(stage: &Stage, backups: &[(&str, Duration)], drill: &Value, page: &Path, compared: usize) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (application, took) in backups {
        let text = output(stage, &["backup", "list", application, "-o", "json"])?;
        let list: Value = serde_json::from_slice(&text).map_err(|error| BedError::Refused(format!("p861 backup list: {error}")))?;
        let status = &list["items"][0]["status"];
        lines.push(format!(
            "Backup of {application}: {} in {}, verified {}.",
            status["size"]["total"].as_str().and_then(|text| Quantity::parse(text).ok()?.bytes().ok()).map_or_else(|| "?".to_owned(), human_bytes),
            seconds(*took),
            status["verification"]["level"].as_str().unwrap_or("?")
        ));
    }
    let status = &drill["status"];
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    lines.push(format!(
        "Drill {}: {}, {} of {} steps.",
        text(&drill["metadata"]["name"]),
        text(&status["result"]),
        status["steps"]["done"],
        status["steps"]["total"]
    ));
    for application in status["applications"].as_array().into_iter().flatten() {
        lines.push(format!(
            "  {}: RTO {} of {}, RPO {} of {} ({}), checks {} of {}.",
            text(&application["name"]),
            text(&application["measured"]["rto"]),
            text(&application["objectives"]["rto"]),
            text(&application["measured"]["rpo"]),
            text(&application["objectives"]["rpo"]),
            text(&application["rpoProof"]),
            application["checks"]["passed"],
            application["checks"]["total"]
        ));
    }
    lines.push(format!("Stock restic lists, checks and restores the repository; {compared} files of the portal are what they are in its pod."));
    lines.push(format!("Report: {}", page.display()));
    Ok(lines)
}

#[expect(clippy::print_stdout, reason = "it is what the demo shows")]
fn say(text: &str) {
    println!("{text}");
}
