//! Objectives in force: an application's own, over its criticality's.

use crate::time::{DurationError, parse_duration};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    ApplicationSpec,
    platform::application::{ApplicationObjectives, Criticality},
};

/// RTO, RPO (in Gateway API's form) and recovery level of a criticality. Source: profile 861-2008, table of criticalities; levels after GB/T 20988-2007 table C.1.
fn of_criticality(criticality: Criticality) -> (&'static str, &'static str, i32) {
    match criticality {
        Criticality::Critical => ("30m", "15m", 5),
        Criticality::Important => ("4h", "4h", 4),
        Criticality::Ordinary => ("24h", "24h", 3),
    }
}

/// The objectives in force, each stated.
pub fn in_force(spec: &ApplicationSpec) -> ApplicationObjectives {
    let (rto, rpo, level) = of_criticality(spec.criticality);
    let own = spec.objectives.clone().unwrap_or_default();
    ApplicationObjectives { rto: own.rto.or(Some(rto.into())), rpo: own.rpo.or(Some(rpo.into())), recovery_level: own.recovery_level.or(Some(level)) }
}

/// An objective as a duration.
///
/// # Errors
/// [`DurationError`] if it is no duration.
pub fn duration(objective: Option<&p861_crds::Duration>) -> Result<Option<SignedDuration>, DurationError> {
    objective.map(|text| parse_duration(&text.0)).transpose()
}

/// The age of a recovery point and the RPO in force, if what is recovered from it now misses the RPO: a recovery is never newer than its recovery point.
pub fn misses_rpo(spec: &ApplicationSpec, point: Timestamp, now: Timestamp) -> Option<(SignedDuration, SignedDuration)> {
    // An RPO that is no duration is the application's own trouble, which its conditions name.
    let rpo = duration(in_force(spec).rpo.as_ref()).ok().flatten()?;
    let age = now.duration_since(point);
    (age > rpo).then_some((age, rpo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_recovery_point_that_is_older_than_the_rpo_in_force_misses_it() {
        let now: Timestamp = "2026-11-24T00:30:00Z".parse().unwrap();
        let minutes = SignedDuration::from_mins;
        for (criticality, own, age, missed) in [
            ("Critical", json!(null), 15, None),
            ("Critical", json!(null), 16, Some(15)),
            ("Ordinary", json!(null), 16, None),
            ("Ordinary", json!({"rpo": "10m"}), 16, Some(10)),
            ("Ordinary", json!({"rpo": "soon"}), 1600, None),
            // A clock that was ahead.
            ("Critical", json!(null), -5, None),
        ] {
            let mut spec: Value = json!({"department": "d", "criticality": criticality, "namespaces": ["a"]});
            if !own.is_null() {
                spec["objectives"] = own;
            }
            let spec: ApplicationSpec = serde_json::from_value(spec).unwrap();
            let found = misses_rpo(&spec, now - minutes(age), now);
            assert_eq!(found, missed.map(|rpo| (minutes(age), minutes(rpo))), "{criticality} {age}");
        }
    }
}
