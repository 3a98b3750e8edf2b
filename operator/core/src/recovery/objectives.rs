//! Objectives in force: an application's own, over its criticality's.

use crate::time::{DurationError, parse_duration};
use jiff::SignedDuration;
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
