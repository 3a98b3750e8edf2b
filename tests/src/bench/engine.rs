//! The engine alone: no world, no journal that is stored.

use super::failed;
use super::figures::{EngineFigures, Spread, milliseconds};
use jiff::{SignedDuration, Timestamp};
use p861_core::engine::{Command, Entry, Journal, Plan, Step, StepId, settle, summary};
use p861_testbed::bed::{BedError, Result};
use std::fmt::Display;
use std::time::{Duration, Instant};

fn wrong(error: &dyn Display) -> BedError {
    failed("the engine alone")(error)
}

/// A plan of so many steps: each after the one before, or all at once.
fn plan(steps: usize, chain: bool) -> Result<Plan<String>> {
    let mut made: Vec<Step<String>> = Vec::with_capacity(steps);
    for number in 0..steps {
        let id = StepId::new(format!("step-{number:05}")).map_err(|error| wrong(&error))?;
        let before = made.last().filter(|_| chain).map(|step| step.id.clone());
        made.push(Step::new(id, "nothing".to_owned(), SignedDuration::from_mins(1)).after(before));
    }
    Plan::new(made).map_err(|error| wrong(&error))
}

fn claimed(plan: &Plan<String>) -> Result<(Journal, u64)> {
    let mut journal = Journal::new();
    let record = journal.claim(plan.digest(), "bench", Timestamp::now());
    let token = record.token;
    journal.push(record).map_err(|error| wrong(&error))?;
    Ok((journal, token))
}

/// Runs a plan to its end with effects that are done at once. Gives the time of each round.
fn run(plan: &Plan<String>) -> Result<(Journal, Vec<Duration>)> {
    let (mut journal, token) = claimed(plan)?;
    let mut rounds = Vec::new();
    while !journal.is_finished() {
        let begun = Instant::now();
        let due = settle(plan, &mut journal, token, Timestamp::now()).map_err(|error| wrong(&error))?;
        for command in &due.commands {
            let Command::Perform { step, attempt } = command else { return Err(wrong(&format!("it wants {command:?}"))) };
            let record = journal.stamp(Entry::done(step.clone(), *attempt, None), token, Timestamp::now());
            journal.push(record).map_err(|error| wrong(&error))?;
        }
        rounds.push(begun.elapsed());
    }
    Ok((journal, rounds))
}

/// Measures it.
pub fn measure(steps: usize) -> Result<EngineFigures> {
    let begun = Instant::now();
    let chain = plan(steps, true)?;
    let compile = begun.elapsed();
    let begun = Instant::now();
    let (journal, rounds) = run(&chain)?;
    let whole = begun.elapsed();
    let begun = Instant::now();
    summary(&chain, &journal, Timestamp::now()).map_err(|error| wrong(&error))?;
    let summed = begun.elapsed();
    let wide = plan(steps, false)?;
    let begun = Instant::now();
    let (_, at_once) = run(&wide)?;
    Ok(EngineFigures {
        steps,
        compile_milliseconds: milliseconds(compile),
        round: Spread::of(rounds),
        chain_milliseconds: milliseconds(whole),
        summary_milliseconds: milliseconds(summed),
        at_once_milliseconds: milliseconds(begun.elapsed()),
        at_once_rounds: at_once.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_a_chain_takes_a_round_and_steps_at_once_share_one() {
        let chain = run(&plan(20, true).unwrap()).unwrap();
        assert_eq!(chain.1.len(), 21);
        let wide = run(&plan(20, false).unwrap()).unwrap();
        assert_eq!(wide.1.len(), 2);
    }
}
