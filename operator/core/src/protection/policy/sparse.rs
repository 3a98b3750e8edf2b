//! Whether a schedule can meet an RPO at all.

use crate::{schedule::Periods, time::human_duration};
use jiff::SignedDuration;

/// Why the RPO can't be met by backups that are so far apart and each take so long; none if it can.
///
/// Just before a backup is stored, the newest one that is stored is of a whole period before its beginning: so the longest period and the time that a backup takes must
/// together be within the RPO.
pub fn too_sparse(policy: &str, periods: Periods, takes: Option<SignedDuration>, rpo: Option<SignedDuration>) -> Option<String> {
    let (rpo, takes) = (rpo?, takes.unwrap_or(SignedDuration::ZERO));
    let needed = periods.longest.checked_add(takes)?;
    if needed <= rpo {
        return None;
    }
    let (period, rpo_words) = (human_duration(periods.longest), human_duration(rpo));
    let long = if takes.is_zero() { String::new() } else { format!(", and one takes {}", human_duration(crate::time::whole_seconds(takes))) };
    let remedy = if takes < rpo {
        format!("let it take them at least every {}", human_duration(whole_minutes(rpo - takes)))
    } else {
        "one backup alone takes longer: agree on another RPO, or save less".to_owned()
    };
    Some(format!("policy {policy} takes backups up to {period} apart{long}: the RPO of {rpo_words} can't be met; {remedy}"))
}

/// Cut to whole minutes, which is what a schedule has, if that leaves any.
fn whole_minutes(duration: SignedDuration) -> SignedDuration {
    let minutes = SignedDuration::from_mins(duration.as_mins());
    if minutes.is_zero() { duration } else { minutes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rpo_is_met_if_the_longest_period_and_one_backup_are_within_it() {
        let minutes = SignedDuration::from_mins;
        let periods = |longest| Periods { shortest: minutes(1), longest: minutes(longest) };
        for (longest, takes, rpo, words) in [
            (10, Some(4), Some(15), None),
            (10, Some(5), Some(15), None),
            (15, None, Some(15), None),
            (
                10,
                Some(6),
                Some(15),
                Some("policy p takes backups up to 10m apart, and one takes 6m: the RPO of 15m can't be met; let it take them at least every 9m"),
            ),
            (60, None, Some(15), Some("policy p takes backups up to 1h apart: the RPO of 15m can't be met; let it take them at least every 15m")),
            (10, Some(20), Some(15), Some("one backup alone takes longer")),
            (10_000, Some(20), None, None),
        ] {
            let said = too_sparse("p", periods(longest), takes.map(minutes), rpo.map(minutes));
            assert_eq!(said.is_some(), words.is_some(), "{longest} {takes:?} {rpo:?}: {said:?}");
            assert!(words.is_none_or(|words| said.as_deref().is_some_and(|said| said.contains(words))), "{said:?}");
        }
    }
}
