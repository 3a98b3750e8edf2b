//! How a recovery plan stands: when it was drilled, and how long a recovery is expected to take.

use super::conclude::is_on_standby;
use crate::{
    conditions::ConditionUpdate,
    time::{human_duration, parse_duration, print_duration, whole_seconds},
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    ConditionType, Drill, Reason, RecoveryPlanSpec,
    recovery::{
        drill::{DrillResult, DrillType},
        plan::{LastDrill, Prediction, PredictionBasis},
    },
};
use std::cmp::Reverse;

/// A plan not drilled for longer is overdue.
pub const DRILL_MAX_AGE: SignedDuration = SignedDuration::from_hours(24 * 31);
/// A prediction is the median of so many of the newest drills.
const MAX_SAMPLES: usize = 5;

/// Names of a plan's applications.
pub fn members(plan: &RecoveryPlanSpec) -> impl Iterator<Item = &str> {
    plan.groups.iter().flat_map(|group| &group.members).map(|member| member.application_ref.name.as_str())
}

/// The newest isolated drill on another site than the applications' that has ended. `drills` are those of one plan.
pub fn last_drill(drills: &[&Drill]) -> Option<LastDrill> {
    let ended = drills.iter().filter(|drill| drill.spec.r#type == DrillType::Isolated).filter_map(|drill| {
        let status = drill.status.as_ref().filter(|status| is_on_standby(status))?;
        Some(LastDrill {
            name: drill.metadata.name.clone()?,
            r#type: Some(DrillType::Isolated),
            result: status.result?,
            completion_time: status.completion_time.clone()?,
        })
    });
    ended.max_by_key(|last| last.completion_time.0)
}

/// Drilled: whether the newest drill passed, and not too long ago.
pub fn drilled(last: Option<&LastDrill>, now: Timestamp) -> ConditionUpdate {
    let Some(LastDrill { name, result, completion_time, .. }) = last else {
        return ConditionUpdate::bad(ConditionType::Drilled, Reason::NeverDrilled, "no isolated drill of this plan has ended on its standby: p861 drill run");
    };
    match result {
        DrillResult::Passed if now.duration_since(completion_time.0) > DRILL_MAX_AGE => {
            let message = format!("the newest drill, {name}, is older than {}: p861 drill run", human_duration(DRILL_MAX_AGE));
            ConditionUpdate::bad(ConditionType::Drilled, Reason::DrillOverdue, message)
        }
        DrillResult::Passed => ConditionUpdate::good(ConditionType::Drilled, Reason::DrillPassed, format!("drill {name} passed")),
        DrillResult::Failed => {
            ConditionUpdate::bad(ConditionType::Drilled, Reason::DrillFailed, format!("the newest drill, {name}, did not pass: p861 drill report {name}"))
        }
        DrillResult::Incomplete => {
            ConditionUpdate::bad(ConditionType::Drilled, Reason::DrillFailed, format!("the newest drill, {name}, was not completed: p861 drill report {name}"))
        }
    }
}

/// The newest drills that measured an RTO on another site than the applications', as many as a prediction follows from, the newest first; each with its RTO.
pub fn measured<'a>(drills: &[&'a Drill]) -> Vec<(&'a Drill, SignedDuration)> {
    let measured = drills.iter().filter_map(|drill| {
        let status = drill.status.as_ref().filter(|status| is_on_standby(status))?;
        Some((status.completion_time.as_ref()?.0, parse_duration(&status.measured.as_ref()?.rto.as_ref()?.0).ok()?, *drill))
    });
    let mut measured: Vec<(Timestamp, SignedDuration, &Drill)> = measured.collect();
    measured.sort_by_key(|(ended, rto, _)| Reverse((*ended, *rto)));
    measured.into_iter().take(MAX_SAMPLES).map(|(_, rto, drill)| (drill, rto)).collect()
}

/// The median RTO of the newest drills that measured one; none if none did.
pub fn predict(drills: &[&Drill]) -> Option<Prediction> {
    let mut newest: Vec<SignedDuration> = measured(drills).into_iter().map(|(_, rto)| rto).collect();
    newest.sort();
    let median = newest.get(newest.len() / 2)?;
    let rto = print_duration(whole_seconds(*median)).unwrap_or_default();
    Some(Prediction { rto: rto.into(), basis: PredictionBasis::Drills, samples: i32::try_from(newest.len()).unwrap_or(i32::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-11-15T00:00:00Z".parse().expect("a time")
    }

    fn drill(name: &str, drill_type: &str, days_ago: i64, result: Option<&str>, rto: Option<&str>) -> Drill {
        let ended = now() - SignedDuration::from_hours(24 * days_ago);
        let mut status = json!({});
        if let Some(result) = result {
            status = json!({"result": result, "completionTime": ended.to_string()});
        }
        if let Some(rto) = rto {
            status["measured"] = json!({"rto": rto});
        }
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Drill", "metadata": {"name": name},
            "spec": {"planRef": {"name": "p"}, "type": drill_type}, "status": status}))
        .expect("a drill")
    }

    #[test]
    fn a_plan_is_drilled_if_its_newest_isolated_drill_passed_in_the_last_month() {
        let passed = || drill("good", "Isolated", 9, Some("Passed"), None);
        for (case, drills, expected) in [
            ("none", vec![], (false, "NeverDrilled")),
            ("on paper only", vec![drill("paper", "Tabletop", 1, Some("Passed"), None)], (false, "NeverDrilled")),
            ("under way", vec![drill("now", "Isolated", 0, None, None)], (false, "NeverDrilled")),
            ("passed", vec![passed()], (true, "DrillPassed")),
            ("passed 31 days ago", vec![drill("then", "Isolated", 31, Some("Passed"), None)], (true, "DrillPassed")),
            ("passed 32 days ago", vec![drill("then", "Isolated", 32, Some("Passed"), None)], (false, "DrillOverdue")),
            ("failed since", vec![passed(), drill("bad", "Isolated", 1, Some("Failed"), None)], (false, "DrillFailed")),
            ("aborted since", vec![drill("cut", "Isolated", 1, Some("Incomplete"), None), passed()], (false, "DrillFailed")),
            ("passed since", vec![drill("bad", "Isolated", 10, Some("Failed"), None), passed()], (true, "DrillPassed")),
        ] {
            let drills: Vec<&Drill> = drills.iter().collect();
            let update = drilled(last_drill(&drills).as_ref(), now());
            assert_eq!((update.holds(), update.reason.as_str()), expected, "{case}");
        }
    }

    #[test]
    fn what_is_said_of_the_newest_drill_is_a_sentence_and_not_its_name() {
        for (drill, says) in [
            (drill("d1", "Isolated", 1, Some("Passed"), None), "drill d1 passed"),
            (drill("d1", "Isolated", 32, Some("Passed"), None), "the newest drill, d1, is older than 744h: p861 drill run"),
            (drill("d1", "Isolated", 1, Some("Failed"), None), "the newest drill, d1, did not pass: p861 drill report d1"),
            (drill("d1", "Isolated", 1, Some("Incomplete"), None), "the newest drill, d1, was not completed: p861 drill report d1"),
        ] {
            assert_eq!(drilled(last_drill(&[&drill]).as_ref(), now()).message, says);
        }
    }

    #[test]
    fn fault_e47_a_drill_on_the_applications_own_site_says_nothing_of_the_plan() {
        let on = |name: &str, days_ago: i64, result: &str, (from, target): (Option<&str>, Option<&str>)| {
            let mut held = drill(name, "Isolated", days_ago, Some(result), Some("5m"));
            let status = held.status.as_mut().expect("a status");
            (status.from_site, status.target_site) = (from.map(str::to_owned), target.map(str::to_owned));
            held
        };
        let (home, away) = ((Some("primary"), Some("primary")), (Some("primary"), Some("standby")));
        for (case, drills, expected, samples) in [
            ("at home only", vec![on("here", 1, "Passed", home)], (false, "NeverDrilled"), None),
            ("on the standby", vec![on("there", 1, "Passed", away)], (true, "DrillPassed"), Some(1)),
            ("failed away, passed at home since", vec![on("there", 2, "Failed", away), on("here", 1, "Passed", home)], (false, "DrillFailed"), Some(1)),
            ("passed away, failed at home since", vec![on("there", 2, "Passed", away), on("here", 1, "Failed", home)], (true, "DrillPassed"), Some(1)),
            ("from a release that named no site", vec![on("old", 1, "Passed", (None, None))], (true, "DrillPassed"), Some(1)),
        ] {
            let proving = drills.iter().filter(|drill| drill.status.as_ref().is_some_and(|status| super::super::conclude::proves(&drill.spec, status)));
            let on_standby = drills.iter().filter(|drill| drill.metadata.name.as_deref() != Some("here"));
            assert_eq!(proving.count(), on_standby.count(), "{case}");
            let drills: Vec<&Drill> = drills.iter().collect();
            let update = drilled(last_drill(&drills).as_ref(), now());
            assert_eq!((update.holds(), update.reason.as_str()), expected, "{case}");
            assert_eq!(predict(&drills).map(|prediction| prediction.samples), samples, "{case}");
        }
    }

    #[test]
    fn a_prediction_is_the_median_of_the_five_newest_measured_drills() {
        let measured = |days: i64, rto: &str| drill("d", "Isolated", days, Some("Passed"), Some(rto));
        for (case, drills, expected) in [
            ("none", vec![], None),
            ("none measured", vec![drill("d", "Isolated", 1, Some("Failed"), None)], None),
            ("one", vec![measured(1, "5m")], Some(("5m", 1))),
            ("two: the slower", vec![measured(1, "5m"), measured(2, "7m")], Some(("7m", 2))),
            ("three", vec![measured(1, "9m"), measured(2, "1m"), measured(3, "5m")], Some(("5m", 3))),
            (
                "the old ones don't count",
                vec![
                    measured(1, "5m"),
                    measured(2, "5m"),
                    measured(3, "5m"),
                    measured(4, "6m"),
                    measured(5, "6m"),
                    measured(6, "1m"),
                    measured(7, "1m"),
                    measured(8, "1m"),
                ],
                Some(("5m", 5)),
            ),
        ] {
            let drills: Vec<&Drill> = drills.iter().collect();
            let prediction = predict(&drills);
            assert_eq!(prediction.as_ref().map(|it| (it.rto.0.as_str(), it.samples)), expected, "{case}");
        }
    }
}
