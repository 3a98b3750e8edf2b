//! Scenes: tests that share a stage. Those of an act are played one after the other; whichever stage is free takes the next act, so none stands idle while another has
//! much to do. Stages are taken down however their scenes end.

use crate::stage::Stage;
use p861_testbed::bed::{self, BedError, Result};
use p861_testbed::report::{Report, seconds};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

/// A scene: its name, which is a sentence, and what it does.
pub type Scene = (&'static str, fn(&Stage) -> Result<()>);

/// A scene that failed, or what failed around it, and why.
type Failed = (String, String);

/// What is still to be played: acts, which any stage takes, and closings, of which each stage takes one when there is no act left.
struct Programme {
    acts: VecDeque<Vec<Scene>>,
    closings: VecDeque<Vec<Scene>>,
}

/// Plays the scenes whose names contain the first argument, as the standard test harness would print them. There are as many stages as closings, and an act may
/// find on its stage what any other has left, or nothing: it asks for no more than a stage that is up. The longest act goes first.
///
/// `--list` and unknown options of the harness do nothing. With `P861_KEEP=1` a stage stays after a failure. With `P861_STAGE=NAME` everything is played in its order
/// on a stage that is up already (`p861-stage up`), which stays.
#[expect(clippy::print_stdout, reason = "it is what a test harness does")]
pub fn play(name: &str, acts: &[Vec<Scene>], closings: &[Vec<Scene>]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = || acts.iter().chain(closings).flatten();
    if arguments.iter().any(|argument| argument == "--list") {
        all().for_each(|(scene, _)| println!("{scene}: test"));
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-')).cloned().unwrap_or_default();
    let chosen = |acts: &[Vec<Scene>]| -> VecDeque<Vec<Scene>> {
        let scenes = acts.iter().map(|act| act.iter().copied().filter(|(scene, _)| scene.contains(&filter)).collect::<Vec<Scene>>());
        scenes.filter(|act| !act.is_empty()).collect()
    };
    let programme = Programme { acts: chosen(acts), closings: chosen(closings) };
    let stages = closings.len().min(programme.acts.len() + programme.closings.len());
    let scenes: Vec<Scene> = programme.acts.iter().chain(&programme.closings).flatten().copied().collect();
    let count = scenes.len();
    println!("\nrunning {count} tests");
    let start = Instant::now();
    let failed = match std::env::var("P861_STAGE") {
        Ok(standing) => on_standing_stage(&standing, &scenes),
        Err(_) => side_by_side(name, stages, programme),
    };
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    for (what, error) in &failed {
        println!("failed: {what}: {}", error.lines().next().unwrap_or_default());
    }
    // A stage that doesn't come up or go down is a failure of its own.
    let scenes_failed = failed.iter().filter(|(what, _)| scenes.iter().any(|(scene, _)| scene == what)).count();
    println!(
        "\ntest result: {word}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        count - scenes_failed,
        failed.len(),
        all().count() - count,
        start.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn side_by_side(name: &str, stages: usize, programme: Programme) -> Vec<Failed> {
    // Two that come up at once take as long as one after the other, and the first would play nothing meanwhile.
    let (turn, programme) = (Mutex::new(()), Mutex::new(programme));
    let mut failed: Vec<Failed> = thread::scope(|scope| {
        let stage = |at: usize| {
            let (name, turn, programme) = (format!("{name}-{}-{}", std::process::id(), at + 1), &turn, &programme);
            scope.spawn(move || on_own_stage(&name, programme, turn))
        };
        let playing: Vec<_> = (0..stages).map(stage).collect();
        playing.into_iter().flat_map(|stage| stage.join().unwrap_or_else(|_| vec![("a stage".to_owned(), "it panicked, see above".to_owned())])).collect()
    });
    // What no stage was there for has not passed.
    let unplayed = programme.into_inner();
    failed.extend(unplayed.acts.iter().chain(&unplayed.closings).flatten().map(|(scene, _)| ((*scene).to_owned(), "no stage".to_owned())));
    failed
}

#[expect(clippy::print_stdout, reason = "it is what a test harness does")]
fn on_own_stage(name: &str, programme: &Mutex<Programme>, turn: &Mutex<()>) -> Vec<Failed> {
    let report = Report::stderr();
    let coming = turn.lock();
    let stage = Stage::up(name, &report);
    drop(coming);
    let mut failed = Vec::new();
    match stage {
        Ok(stage) => {
            // Taken in a statement of its own: the programme is not held while an act is played.
            while let Some(act) = { programme.lock().acts.pop_front() } {
                failed.extend(play_on(&stage, &act));
            }
            let closing = programme.lock().closings.pop_front();
            failed.extend(play_on(&stage, &closing.unwrap_or_default()));
        }
        Err(error) => {
            println!("the stage {name} could not be set up: {error}");
            failed.push((format!("the stage {name}"), error.to_string()));
        }
    }
    let keep = !failed.is_empty() && std::env::var("P861_KEEP").is_ok_and(|value| value == "1");
    if !keep && let Err(error) = bed::down(name, &report) {
        println!("the stage {name} could not be taken down: {error}");
        failed.push(("taking a stage down".to_owned(), error.to_string()));
    }
    failed
}

fn on_standing_stage(name: &str, scenes: &[Scene]) -> Vec<Failed> {
    match Stage::find(name, &Report::stderr()) {
        Ok(Some(stage)) => play_on(&stage, scenes),
        Ok(None) => vec![("the stage".to_owned(), format!("there is no stage {name}: P861_TESTBED={name} p861-stage up"))],
        Err(error) => vec![("the stage".to_owned(), error.to_string())],
    }
}

#[expect(clippy::print_stdout, reason = "it is what a test harness does")]
fn play_on(stage: &Stage, scenes: &[Scene]) -> Vec<Failed> {
    let mut failed = Vec::new();
    for (scene, act) in scenes {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| act(stage))).unwrap_or_else(|_| Err(BedError::Refused("it panicked, see above".to_owned())));
        let took = seconds(begun.elapsed());
        match outcome {
            Ok(()) => println!("test {scene} ... ok ({took})"),
            // At once, so that what another lane says comes before or after it.
            Err(error) => {
                println!("test {scene} ... FAILED ({took})\n---- {scene}\n{error}\n{}", stage.operator_log());
                failed.push(((*scene).to_owned(), error.to_string()));
            }
        }
    }
    failed
}

/// Fails a scene unless something holds.
pub fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(BedError::Refused(otherwise())) }
}
