//! `p861-stage up | operator | down`: the demo's stage, to try things on by hand; `operator` brings a newly built operator in. `p861-stage follow` is started by the
//! stage itself.

use p861_testbed::bed::{self, Bed, BedError, Result};
use p861_testbed::report::Report;
use p861_tests::Stage;
use p861_tests::follow::Follower;
use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::var("P861_TESTBED").unwrap_or_else(|_| "stage".to_owned());
    let report = Report::stderr();
    let result = match std::env::args().nth(1).as_deref() {
        Some("up") => Stage::up(&name, &report).map(|stage| {
            report.line(&format!("To look round: eval \"$(target/debug/testbed --name {} env --hub)\"", stage.bed.name()));
        }),
        Some("operator") => Stage::find(&name, &report).and_then(|stage| stage.map_or(Ok(()), |stage| stage.renew_operator())),
        Some("down") => bed::down(&name, &report),
        Some("follow") => follow(&report),
        _ => {
            report.line("usage: p861-stage up | operator | down");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.line(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// `follow metrics|alerts BED`, until the bed is taken down.
fn follow(report: &Report) -> Result<()> {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let [what, name] = words.as_slice() else { return Err(BedError::Refused("usage: p861-stage follow metrics|alerts BED".to_owned())) };
    let follower = Follower::named(what).ok_or_else(|| BedError::Refused(format!("nothing follows {what}: metrics or alerts")))?;
    let bed = Bed::find(name, report)?.ok_or_else(|| BedError::Refused(format!("there is no bed {name}")))?;
    follower.run(&bed, report)
}
