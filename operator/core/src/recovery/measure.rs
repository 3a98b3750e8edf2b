//! Measurements of a drill: RTO from the start until the last check; RPO from the recovery point in the recovered data to the start.

use crate::{
    engine::{Event, Evidence, Journal},
    recovery::objectives,
    runs::{RunOutcome, StepKey},
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{ApplicationSpec, common::ActionKind, recovery::drill::RpoProof};

/// What was measured of one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// From the start until the last check passed; none if one did not.
    pub rto: Option<SignedDuration>,
    /// From the start back to the marker, or to the backup's time if that is earlier or no marker was read.
    pub rpo: Option<SignedDuration>,
    /// How the RPO was proven.
    pub proof: RpoProof,
    /// Checks passed.
    pub passed: i32,
    /// Checks in all.
    pub total: i32,
    /// Whether the RTO was measured and is within its objective.
    pub rto_met: bool,
    /// Whether the RPO is within its objective.
    pub rpo_met: bool,
}

/// Reads an application's measurement out of the journal of a drill.
///
/// `start` is the drill's start, `recovery_point` the time of the backup used: the RPO is never better than from there, and is Assumed where no marker of before the
/// start was read.
pub fn measure(name: &str, spec: &ApplicationSpec, journal: &Journal, start: Timestamp, recovery_point: Timestamp) -> Measurement {
    let done =
        |step: StepKey| journal.records().iter().rev().find(|record| record.step.as_ref().is_some_and(|id| *id == step) && matches!(record.event, Event::Done));
    let ends: Vec<Option<Timestamp>> = if spec.checks.is_empty() {
        vec![done(StepKey::start_rest(name)).map(|record| record.at)]
    } else {
        spec.checks.iter().map(|check| done(StepKey::check(name, &check.name)).map(|record| record.at)).collect()
    };
    let passed = ends.iter().flatten().count();
    let last = if passed == ends.len() { ends.iter().flatten().max().copied() } else { None };
    let rto = last.map(|end| end.duration_since(start));
    let marker = done(StepKey::marker(name)).and_then(|record| match record.evidence {
        Some(Evidence::MarkerRead { time, .. }) => Some(time),
        _ => None,
    });
    // A marker may be newer than the recovery point, as that is when reading began; the application's other data need not be. One from after the start can't be in
    // a backup: a clock is ahead, or what is read is no marker.
    let (rpo, proof) = match marker.filter(|marker| *marker <= start) {
        Some(marker) => (start.duration_since(marker.min(recovery_point)), RpoProof::Marker),
        None => (start.duration_since(recovery_point), RpoProof::Assumed),
    };
    let rpo = rpo.max(SignedDuration::ZERO);
    let stated = objectives::in_force(spec);
    let within = |measured: Option<SignedDuration>, objective: Option<&p861_crds::Duration>| match (measured, objectives::duration(objective)) {
        (Some(measured), Ok(Some(objective))) => measured <= objective,
        (None, _) => false,
        (Some(_), _) => true,
    };
    Measurement {
        rto,
        rpo: Some(rpo),
        proof,
        passed: if spec.checks.is_empty() { 0 } else { i32::try_from(passed).unwrap_or(i32::MAX) },
        total: i32::try_from(spec.checks.len()).unwrap_or(i32::MAX),
        rto_met: within(rto, stated.rto.as_ref()),
        rpo_met: within(Some(rpo), stated.rpo.as_ref()),
    }
}

/// How long people had a run paused before `until`. An RTO includes that time: whoever reads the one must be told the other.
///
/// `actions` are those that had an effect, in order.
pub fn paused(actions: impl IntoIterator<Item = (ActionKind, Timestamp)>, until: Timestamp) -> SignedDuration {
    let (mut total, mut since) = (SignedDuration::ZERO, None);
    for (action, at) in actions {
        match action {
            ActionKind::Pause => since = Some(at),
            ActionKind::Resume => total += since.take().map_or(SignedDuration::ZERO, |since| stretch(since, at.min(until))),
            _ => {}
        }
    }
    total + since.map_or(SignedDuration::ZERO, |since| stretch(since, until))
}

fn stretch(from: Timestamp, to: Timestamp) -> SignedDuration {
    to.duration_since(from).max(SignedDuration::ZERO)
}

/// [`paused`], as the journal of a run has it.
pub fn paused_in(run: &RunOutcome<'_>, until: Timestamp) -> SignedDuration {
    let is_refused = |index: u32| run.summary.refused_actions.iter().any(|(refused, _)| *refused == index);
    let effective = run.journal.records().iter().filter_map(|record| match &record.event {
        Event::Action { index, action } if !is_refused(*index) => Some((action.action, record.at)),
        _ => None,
    });
    paused(effective, until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_from_its_action_until_the_run_goes_on_or_what_is_measured_ends() {
        let at = |seconds: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        for (case, actions, seconds) in [
            ("none", vec![], 0),
            ("one", vec![(ActionKind::Pause, 10), (ActionKind::Resume, 70)], 60),
            ("two", vec![(ActionKind::Pause, 10), (ActionKind::Resume, 20), (ActionKind::Retry, 25), (ActionKind::Pause, 30), (ActionKind::Resume, 35)], 15),
            ("still paused at the end", vec![(ActionKind::Pause, 90)], 10),
            ("resumed after the end", vec![(ActionKind::Pause, 90), (ActionKind::Resume, 200)], 10),
            ("after the end", vec![(ActionKind::Pause, 150), (ActionKind::Resume, 200)], 0),
            ("not paused", vec![(ActionKind::Resume, 50)], 0),
        ] {
            let actions = actions.into_iter().map(|(action, seconds)| (action, at(seconds)));
            assert_eq!(paused(actions, at(100)), SignedDuration::from_secs(seconds), "{case}");
        }
    }
}
