//! A plan: the steps of a run in an order in which they can be done, checked once, and its digest.

use std::{collections::BTreeMap, num::NonZeroU32};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::step::{OnFailure, OnTimeout, Step, StepId};
use crate::{
    canonical,
    time::{gep2257, human_duration, print_duration},
};

/// What is wrong with a plan. Each is a mistake of whoever compiled it, never of the world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is nothing to do.
    #[error("the plan has no steps")]
    Empty,
    /// Two steps have one id.
    #[error("two steps have the id {step}; give each its own")]
    DuplicateId {
        /// The id.
        step: StepId,
    },
    /// A step waits for one that does not exist.
    #[error("step {step} waits for {dependency}, which is not in the plan")]
    UnknownDependency {
        /// The step.
        step: StepId,
        /// What it waits for.
        dependency: StepId,
    },
    /// Steps wait for each other.
    #[error("these steps wait for each other: {}", list(.steps))]
    Cycle {
        /// The steps that can never start, in the plan's order.
        steps: Vec<StepId>,
    },
    /// More than one step is the point of no return.
    #[error("both {first} and {second} are the point of no return; a plan has at most one")]
    TwoPointsOfNoReturn {
        /// The first of them.
        first: StepId,
        /// The second.
        second: StepId,
    },
    /// A step combines things that exclude each other.
    #[error("step {step}: {problem}")]
    Contradiction {
        /// The step.
        step: StepId,
        /// What excludes what.
        problem: &'static str,
    },
    /// A duration is not positive, too long, or finer than a millisecond.
    #[error("{what} is {}; it must be whole milliseconds from 1ms to 99999h", exactly(*.seconds, *.nanoseconds))]
    BadDuration {
        /// Which duration, with its step.
        what: String,
        /// Whole seconds of it.
        seconds: i64,
        /// Nanoseconds beyond them.
        nanoseconds: i32,
    },
    /// The caller's actions cannot be written as JSON, so the plan has no digest.
    #[error("the plan cannot be written as JSON: {problem}")]
    Unwritable {
        /// What the serializer said.
        problem: String,
    },
}

/// A duration as people write it, and what is finer than a millisecond apart.
fn exactly(seconds: i64, nanoseconds: i32) -> String {
    let said = human_duration(SignedDuration::new(seconds, nanoseconds));
    match nanoseconds % 1_000_000 {
        0 => said,
        finer => format!("{said} and {finer} ns"),
    }
}

fn list(steps: &[StepId]) -> String {
    steps.iter().map(StepId::as_str).collect::<Vec<_>>().join(", ")
}

/// What holds for a plan as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// How many effects may be under way at once; no limit if absent. Waiting for a person or for a retry does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<NonZeroU32>,
    /// How long the run may take until clean-up begins; it then ends as Failed with reason `DeadlineExceeded`. It does not hold after the point of no
    /// return.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "gep2257::option")]
    pub deadline: Option<SignedDuration>,
}

/// When a step is expected to start and to end, counted from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// From the run's start to the step's start.
    #[serde(with = "gep2257")]
    pub start: SignedDuration,
    /// From the run's start to the step's end.
    #[serde(with = "gep2257")]
    pub end: SignedDuration,
}

/// The steps of a run, checked, each after everything that it waits for. Immutable.
///
/// It is stored beside the journal when the run starts and read from there ever after: a run goes on with the plan that it started with, whatever a
/// newer release would compile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written<A>", into = "Written<A>", bound(serialize = "A: Clone + Serialize", deserialize = "A: Serialize + Deserialize<'de>"))]
pub struct Plan<A> {
    steps: Vec<Step<A>>,
    limits: Limits,
    digest: String,
    index: BTreeMap<StepId, usize>,
    before: Vec<Vec<usize>>,
    behind: Vec<Vec<usize>>,
}

#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
struct Written<A> {
    #[serde(flatten)]
    limits: Limits,
    steps: Vec<Step<A>>,
}

impl<A> From<Plan<A>> for Written<A> {
    fn from(plan: Plan<A>) -> Self {
        Self { limits: plan.limits, steps: plan.steps }
    }
}

impl<A: Serialize> TryFrom<Written<A>> for Plan<A> {
    type Error = PlanError;
    fn try_from(written: Written<A>) -> Result<Self, PlanError> {
        Self::with_limits(written.steps, written.limits)
    }
}

impl<A: Serialize> Plan<A> {
    /// A plan without limits.
    ///
    /// # Errors
    /// As [`Plan::with_limits`].
    pub fn new(steps: Vec<Step<A>>) -> Result<Self, PlanError> {
        Self::with_limits(steps, Limits::default())
    }

    /// Checks the steps and puts them in order: each after what it waits for, otherwise as given. The order also says who starts first when not all
    /// may start at once.
    ///
    /// # Errors
    /// The first thing that is wrong with them; see [`PlanError`].
    pub fn with_limits(mut steps: Vec<Step<A>>, limits: Limits) -> Result<Self, PlanError> {
        if steps.is_empty() {
            return Err(PlanError::Empty);
        }
        for step in &mut steps {
            check_step(step)?;
            for dependencies in [&mut step.after, &mut step.once_settled] {
                dependencies.sort();
                dependencies.dedup();
            }
        }
        if let Some(deadline) = limits.deadline {
            check_duration(deadline, || "the plan's deadline".to_owned())?;
        }
        check_point_of_no_return(&steps)?;
        check_dependencies(&steps)?;
        let steps = in_order(steps)?;

        let index: BTreeMap<StepId, usize> = steps.iter().enumerate().map(|(at, step)| (step.id.clone(), at)).collect();
        let before: Vec<Vec<usize>> = steps.iter().map(|step| step.dependencies().filter_map(|id| index.get(id).copied()).collect()).collect();
        let mut behind = vec![Vec::new(); steps.len()];
        for (at, dependencies) in before.iter().enumerate() {
            for dependency in dependencies {
                behind[*dependency].push(at);
            }
        }
        let digest = digest(&steps, limits)?;
        Ok(Self { steps, limits, digest, index, before, behind })
    }
}

impl<A> Plan<A> {
    /// The steps, each after everything that it waits for.
    pub fn steps(&self) -> &[Step<A>] {
        &self.steps
    }

    /// What holds for the plan as a whole.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The step of that id.
    pub fn step(&self, id: &StepId) -> Option<&Step<A>> {
        self.position(id).map(|at| &self.steps[at])
    }

    /// `sha256:` and 64 hexadecimal digits over the plan's canonical JSON (sorted keys, no spaces), without the estimates. It is what an Approval names.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub(super) fn position(&self, id: &StepId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// Positions of what the step at `at` waits for, of either kind.
    pub(super) fn before(&self, at: usize) -> &[usize] {
        &self.before[at]
    }

    /// Positions of the steps that wait for the step at `at`.
    pub(super) fn behind(&self, at: usize) -> &[usize] {
        &self.behind[at]
    }

    /// When each step is expected to start and end, by the steps' estimates, in the plan's order; absent for a step that, or a predecessor of which,
    /// has no estimate. Clean-up starts after the last of the others. The limit on parallel effects is not considered.
    pub fn schedule(&self) -> Vec<Option<Planned>> {
        let mut planned: Vec<Option<Planned>> = Vec::with_capacity(self.steps.len());
        let mut forward_end = Some(SignedDuration::ZERO);
        for pass in [false, true] {
            for (at, step) in self.steps.iter().enumerate() {
                if !pass {
                    planned.push(None);
                }
                if step.finally != pass {
                    continue;
                }
                let floor = if pass { forward_end } else { Some(SignedDuration::ZERO) };
                let start = self.before[at].iter().fold(floor, |latest, before| Some(latest?.max(planned[*before]?.end)));
                let this = start.zip(step.estimate).map(|(start, estimate)| Planned { start, end: start.saturating_add(estimate) });
                planned[at] = this;
            }
            if !pass {
                forward_end = self
                    .steps
                    .iter()
                    .zip(&planned)
                    .filter(|(step, _)| !step.finally)
                    .fold(forward_end, |latest, (_, planned)| Some(latest?.max((*planned)?.end)));
            }
        }
        planned
    }

    /// How long a run of all steps takes at least: its longest chain, by the steps' estimates. A step without one counts nothing.
    pub fn at_least(&self) -> SignedDuration {
        let mut ends = vec![SignedDuration::ZERO; self.steps.len()];
        let mut forward = SignedDuration::ZERO;
        for finally in [false, true] {
            let floor = if finally { forward } else { SignedDuration::ZERO };
            for (at, step) in self.steps.iter().enumerate().filter(|(_, step)| step.finally == finally) {
                let start = self.before[at].iter().fold(floor, |latest, before| latest.max(ends[*before]));
                ends[at] = start.saturating_add(step.estimate.unwrap_or_default());
                forward = forward.max(ends[at]);
            }
        }
        forward
    }
}

fn check_duration(duration: SignedDuration, what: impl Fn() -> String) -> Result<(), PlanError> {
    if duration.is_positive() && print_duration(duration).is_ok() {
        return Ok(());
    }
    Err(PlanError::BadDuration { what: what(), seconds: duration.as_secs(), nanoseconds: duration.subsec_nanos() })
}

fn check_step<A>(step: &Step<A>) -> Result<(), PlanError> {
    check_duration(step.deadline, || format!("the deadline of step {}", step.id))?;
    check_duration(step.retry.backoff.first, || format!("the first wait between attempts of step {}", step.id))?;
    check_duration(step.retry.backoff.longest, || format!("the longest wait between attempts of step {}", step.id))?;
    if let Some(timeout) = step.needs_person.as_ref().and_then(|prompt| prompt.timeout) {
        check_duration(timeout, || format!("the time that step {} waits for a person", step.id))?;
    }
    if let Some(hold) = &step.under {
        check_duration(hold.limit, || format!("the hold that step {} works under", step.id))?;
    }
    let skips_by_itself = step.needs_person.as_ref().is_some_and(|prompt| prompt.on_timeout == OnTimeout::Skip);
    let contradictions = [
        (step.retry.attempts == 0, "it may be tried 0 times; 1 is no retry"),
        (step.retry.backoff.longest < step.retry.backoff.first, "its longest wait between attempts is shorter than the first"),
        (step.under.as_ref().is_some_and(|hold| !step.after.contains(&hold.since)), "it works under the hold of a step that it doesn't come after"),
        (step.finally && step.undo.is_some(), "a clean-up step cannot be undone"),
        (step.finally && step.needs_person.is_some(), "a clean-up step cannot wait for a person, or clean-up might never end"),
        (step.finally && step.point_of_no_return, "a clean-up step cannot be the point of no return"),
        (step.point_of_no_return && step.undo.is_some(), "the point of no return cannot be undone"),
        (step.point_of_no_return && step.on_failure == OnFailure::Continue, "the run cannot go on as if it were optional, since it is the point of no return"),
        (step.point_of_no_return && skips_by_itself, "the point of no return cannot be skipped when nobody answers; let it continue or fail"),
        (step.needs_person.as_ref().is_some_and(|prompt| prompt.people == 0), "it waits for the answers of 0 people"),
    ];
    match contradictions.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, problem)) => Err(PlanError::Contradiction { step: step.id.clone(), problem }),
        None => Ok(()),
    }
}

fn check_point_of_no_return<A>(steps: &[Step<A>]) -> Result<(), PlanError> {
    let mut points = steps.iter().filter(|step| step.point_of_no_return);
    match (points.next(), points.next()) {
        (Some(first), Some(second)) => Err(PlanError::TwoPointsOfNoReturn { first: first.id.clone(), second: second.id.clone() }),
        _ => Ok(()),
    }
}

fn check_dependencies<A>(steps: &[Step<A>]) -> Result<(), PlanError> {
    let mut by_id = BTreeMap::new();
    for step in steps {
        if by_id.insert(&step.id, step).is_some() {
            return Err(PlanError::DuplicateId { step: step.id.clone() });
        }
    }
    for step in steps {
        for dependency in step.dependencies() {
            let Some(before) = by_id.get(dependency) else {
                return Err(PlanError::UnknownDependency { step: step.id.clone(), dependency: dependency.clone() });
            };
            let problem = match (before.finally, step.finally) {
                (true, false) => "it waits for a clean-up step, which runs only after it",
                (false, true) => "a clean-up step waits for all other steps already; name only clean-up steps",
                (true, true) | (false, false) => continue,
            };
            return Err(PlanError::Contradiction { step: step.id.clone(), problem });
        }
    }
    Ok(())
}

/// Kahn's algorithm; among the steps that could come next, the one given first.
fn in_order<A>(steps: Vec<Step<A>>) -> Result<Vec<Step<A>>, PlanError> {
    let mut ordered: Vec<Step<A>> = Vec::with_capacity(steps.len());
    let mut placed = std::collections::BTreeSet::new();
    let mut rest = steps;
    while !rest.is_empty() {
        let Some(next) = rest.iter().position(|step| step.dependencies().all(|id| placed.contains(id))) else {
            return Err(PlanError::Cycle { steps: rest.into_iter().map(|step| step.id).collect() });
        };
        let step = rest.remove(next);
        placed.insert(step.id.clone());
        ordered.push(step);
    }
    Ok(ordered)
}

fn digest<A: Serialize>(steps: &[Step<A>], limits: Limits) -> Result<String, PlanError> {
    let unwritable = |error: serde_json::Error| PlanError::Unwritable { problem: error.to_string() };
    let mut steps = serde_json::to_value(steps).map_err(unwritable)?;
    for step in steps.as_array_mut().into_iter().flatten() {
        if let Some(step) = step.as_object_mut() {
            step.remove("estimate");
        }
    }
    let plan = serde_json::json!({ "limits": limits, "steps": steps });
    Ok(canonical::digest(&plan))
}
