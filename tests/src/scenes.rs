//! Scenes: tests that share one stage, played one after the other. The stage is taken down however they end.

use crate::stage::Stage;
use p861_testbed::bed::{self, BedError, Result};
use p861_testbed::report::{Report, seconds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// A scene: its name, which is a sentence, and what it does.
pub type Scene = (&'static str, fn(&Stage) -> Result<()>);

/// Plays the scenes whose names contain the first argument, as the standard test harness would print them.
///
/// `--list` and unknown options of the harness do nothing. With `P861_KEEP=1` the stage stays after a failure. With `P861_STAGE=NAME` they are played on a stage
/// that is up already (`p861-stage up`), which stays.
#[expect(clippy::print_stdout, reason = "it is what a test harness does")]
pub fn play(name: &str, scenes: &[Scene]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (scene, _) in scenes {
            println!("{scene}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-')).cloned().unwrap_or_default();
    let chosen: Vec<&Scene> = scenes.iter().filter(|(scene, _)| scene.contains(&filter)).collect();
    println!("\nrunning {} tests", chosen.len());
    if chosen.is_empty() {
        println!("\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; {} filtered out; finished in 0.00s\n", scenes.len());
        return ExitCode::SUCCESS;
    }
    let (start, report) = (Instant::now(), Report::stderr());
    let standing = std::env::var("P861_STAGE").ok();
    let name = standing.clone().unwrap_or_else(|| format!("{name}-{}", std::process::id()));
    let mut failed: Vec<(&str, String)> = Vec::new();
    let stage = match &standing {
        Some(name) => Stage::find(name, &report)
            .and_then(|stage| stage.ok_or_else(|| BedError::Refused(format!("there is no stage {name}: P861_TESTBED={name} p861-stage up")))),
        None => Stage::up(&name, &report),
    };
    match stage {
        Ok(stage) => {
            for (scene, act) in &chosen {
                let begun = Instant::now();
                let outcome = catch_unwind(AssertUnwindSafe(|| act(&stage))).unwrap_or_else(|_| Err(BedError::Refused("it panicked, see above".to_owned())));
                let word = if outcome.is_ok() { "ok" } else { "FAILED" };
                println!("test {scene} ... {word} ({})", seconds(begun.elapsed()));
                if let Err(error) = outcome {
                    println!("---- {scene}\n{error}\n{}", stage.operator_log());
                    failed.push((scene, error.to_string()));
                }
            }
        }
        Err(error) => {
            println!("the stage could not be set up: {error}");
            failed.extend(chosen.iter().map(|(scene, _)| (*scene, "no stage".to_owned())));
        }
    }
    let keep = standing.is_some() || !failed.is_empty() && std::env::var("P861_KEEP").is_ok_and(|value| value == "1");
    if !keep && let Err(error) = bed::down(&name, &report) {
        println!("the stage could not be taken down: {error}");
        failed.push(("taking the stage down", error.to_string()));
    }
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    for (scene, error) in &failed {
        println!("failed: {scene}: {}", error.lines().next().unwrap_or_default());
    }
    println!(
        "\ntest result: {word}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        chosen.len().saturating_sub(failed.len()),
        failed.len(),
        scenes.len() - chosen.len(),
        start.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Fails a scene unless something holds.
pub fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(BedError::Refused(otherwise())) }
}
