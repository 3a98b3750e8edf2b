//! `p861-stage up | operator | down`: the demo's stage, to try things on by hand; `operator` brings a newly built operator in.

use p861_testbed::bed;
use p861_testbed::report::Report;
use p861_tests::Stage;
use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::var("P861_TESTBED").unwrap_or_else(|_| "stage".to_owned());
    let report = Report::stderr();
    let result = match std::env::args().nth(1).as_deref() {
        Some("up") => Stage::up(&name, &report).map(|stage| {
            report.line(&format!(
                "export KUBECONFIG={}",
                stage.bed.sites().iter().map(|site| site.kubeconfig().display().to_string()).collect::<Vec<_>>().join(":")
            ));
        }),
        Some("operator") => Stage::find(&name, &report).and_then(|stage| stage.map_or(Ok(()), |stage| stage.renew_operator())),
        Some("down") => bed::down(&name, &report),
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
