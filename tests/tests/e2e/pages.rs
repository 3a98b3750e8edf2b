//! The two pages for newcomers, typed word for word on the sites that the demo leaves up.

use crate::backups::backed_up_within;
use p861_testbed::bed::{BedError, Result};
use p861_tests::Stage;
use p861_tests::faults::{kill_leader, leader_after};
use p861_tests::install::program;
use p861_tests::rooms;
use p861_tests::scenes::{Scene, demand};
use p861_tests::stage::{DISTRICT, read};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

pub const SCENES: &[Scene] = &[("the page of a district's first day does what it says, word for word", first_day)];

/// Those of `make soak`.
pub const SOAK: &[Scene] = &[("the page of a first night on duty does what it says, word for word", first_night)];

fn first_day(stage: &Stage) -> Result<()> {
    // What the demo has done before.
    backed_up_within(stage, Duration::MAX)?;
    rooms::declare_platform(stage)?;
    let said = typed(stage, "docs/FIRST-DAY.md");
    // The stage as it was. What is declared is kept, also if somebody deletes it: so that goes first.
    stage.delete("platform", DISTRICT)?;
    for site in [stage.primary()?, stage.standby()?] {
        site.kubectl(&["delete", "namespace", "shinan-bulletin", "--ignore-not-found", "--timeout=110s"])?;
    }
    let said = said?;
    demand(said.contains("Closed") && said.contains("bulletin"), || format!("the change was not closed: {said}"))?;
    demand(said.contains("yes\nno\n"), || format!("what may be seen: {said}"))
}

fn first_night(stage: &Stage) -> Result<()> {
    backed_up_within(stage, Duration::MAX)?;
    stage.route_alerts()?;
    // As on the page before: who leads is killed, and Alertmanager finds whoever comes in its place.
    let before = kill_leader(stage)?;
    leader_after(stage, &before)?;
    let said = typed(stage, "docs/FIRST-NIGHT.md")?;
    demand(said.contains("P861DrillFailed") && said.contains("mains cut") && said.contains("Closed"), || format!("the ticket's life: {said}"))?;
    // The stage as it was.
    stage.delete("dutyroster", "night")
}

/// Seconds that a page may take.
const LIMIT: &str = "900";

/// A person reads on when a command has said what it was asked for: `p861` ends with 4 if something is not good, `kubectl auth can-i` with 1 if the answer is no.
pub const READER: &str = "p861() { command p861 \"$@\" || test $? = 4; }
kubectl() { command kubectl \"$@\" || case \"$? $1 $2\" in '4 p861 '* | *' auth can-i') ;; *) return 1 ;; esac; }
";

/// Types what the demo says to paste and then the commands of a page, and gives everything that was said.
fn typed(stage: &Stage, page: &str) -> Result<String> {
    let pasted = format!("eval \"$('{}' --name {} env --hub)\"\n", program("testbed")?.display(), stage.bed.name());
    type_script(stage, page, &format!("{READER}{pasted}{}", commands(&read(page)?)), &[], |_| {})
}

/// Types commands in one shell that finds `programs` first, and gives everything that was said. The first command that fails ends it.
pub fn type_script(stage: &Stage, page: &str, text: &str, programs: &[PathBuf], configure: impl FnOnce(&mut Command)) -> Result<String> {
    let script = stage.folder().join("page.sh");
    fs::write(&script, format!("set -euo pipefail\n{text}")).map_err(|source| BedError::Io { path: script.clone(), source })?;
    let folders: Vec<String> = programs.iter().map(|folder| folder.display().to_string()).collect();
    let path = format!("{}:", folders.join(":"));
    // A page may wait for something that never comes; a test doesn't.
    let mut command = Command::new("timeout");
    command.args([LIMIT, "bash", "-x"]).arg(&script).env("PATH", format!("{path}{}", std::env::var("PATH").unwrap_or_default()));
    command.env("P861_LANG", "en").stdin(Stdio::null());
    configure(&mut command);
    let output = command.output().map_err(|error| BedError::Refused(format!("bash could not be started: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let beside = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said) } else { Err(BedError::Refused(format!("{page} ended with {}\n{said}\n{beside}", output.status))) }
}

/// What stands in a page's blocks of shell commands.
pub fn commands(page: &str) -> String {
    let (mut lines, mut open) = (Vec::new(), false);
    for line in page.lines() {
        match (open, line) {
            (false, "```sh") => open = true,
            (true, "```") => open = false,
            (true, command) => lines.push(command),
            (false, _) => {}
        }
    }
    lines.join("\n") + "\n"
}
