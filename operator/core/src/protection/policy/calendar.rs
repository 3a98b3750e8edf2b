//! Which backups a policy takes on which day to come.

use super::{slot, terms::Terms};
use crate::{schedule::Budget, time::after};
use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date};

/// A day that has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The date in the policy's time zone.
    pub date: Date,
    /// When backups begin.
    pub times: Vec<Timestamp>,
}

/// The days with backups from `now` on, of so many days; today is the first. The times are those of the schedule; or, of one application by its UID, when its own begin.
pub fn calendar(terms: &Terms, application: Option<&str>, now: Timestamp, days: u8) -> Vec<Day> {
    let zone = terms.schedule.zone();
    let jitter = application.map_or(SignedDuration::ZERO, |uid| slot::jitter_of(uid, terms.jitter));
    let from = match &terms.suspended {
        None => now,
        Some(suspended) => match suspended.until {
            Some(until) => now.max(until),
            None => return Vec::new(),
        },
    };
    let today = now.to_zoned(zone.clone()).date();
    let mut found: Vec<Day> = Vec::new();
    let mut at = after(from, -jitter);
    for day in 0..i64::from(days) {
        let Some(date) = today.checked_add(day.days()).ok() else { break };
        let budget = Budget::of_each(1);
        while let Some(next) = terms.schedule.next(at, &budget) {
            let start = after(next, jitter);
            if start.to_zoned(zone.clone()).date() > date {
                break;
            }
            at = next;
            match found.last_mut().filter(|day| day.date == date) {
                Some(day) => day.times.push(start),
                None => found.push(Day { date, times: vec![start] }),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::{BackupPolicy, BackupPolicySpec};
    use serde_json::{Value, json};

    fn spec(schedule: &str, more: &Value) -> BackupPolicySpec {
        let mut spec = json!({"repositoryRef": {"name": "r"}, "schedule": schedule});
        spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        let policy: BackupPolicy = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).expect("a policy");
        policy.spec
    }

    fn listed(schedule: &str, more: &Value, zone: &str, application: Option<&str>, now: &str) -> Vec<String> {
        let now: Timestamp = now.parse().expect("a time");
        let terms = Terms::parse(&spec(schedule, more), zone, now).expect("it can be read");
        let days = calendar(&terms, application, now, 3);
        let local = |time: &Timestamp| time.to_zoned(terms.schedule.zone().clone()).strftime("%H:%M").to_string();
        days.iter().map(|day| format!("{} {}", day.date, day.times.iter().map(local).collect::<Vec<_>>().join(" "))).collect()
    }

    #[test]
    fn each_day_that_has_backups_is_listed_with_their_times_by_the_clock_on_the_wall() {
        let none = json!({});
        let shanghai = |schedule, now| listed(schedule, &none, "Asia/Shanghai", None, now);
        assert_eq!(shanghai("0 2,14 * * *", "2026-11-24T00:00:00Z"), ["2026-11-24 14:00", "2026-11-25 02:00 14:00", "2026-11-26 02:00 14:00"]);
        assert_eq!(shanghai("0 2 * * *", "2026-11-24T00:00:00Z"), ["2026-11-25 02:00", "2026-11-26 02:00"], "today's is over");
        assert_eq!(shanghai("0 2 1 * *", "2026-11-24T00:00:00Z"), Vec::<String>::new());
        // Berlin skips 02:00 to 03:00 on the 28th.
        let berlin = listed("30 2 * * *", &none, "Europe/Berlin", None, "2027-03-26T12:00:00Z");
        assert_eq!(berlin, ["2027-03-27 02:30", "2027-03-28 03:00"]);
    }

    #[test]
    fn one_application_s_backups_begin_at_its_own_distance_and_may_be_of_the_day_after() {
        let jitter = json!({"jitter": "10m"});
        let uid = (0..10_000)
            .map(|number| format!("uid-{number}"))
            .find(|uid| slot::jitter_of(uid, SignedDuration::from_mins(10)).as_mins() == 7)
            .expect("one has it");
        let own = |schedule| listed(schedule, &jitter, "Asia/Shanghai", Some(&uid), "2026-11-24T00:00:00Z");
        assert_eq!(own("0 2 * * *"), ["2026-11-25 02:07", "2026-11-26 02:07"]);
        assert_eq!(own("55 23 * * *"), ["2026-11-25 00:02", "2026-11-26 00:02"]);
    }

    #[test]
    fn nothing_is_listed_while_the_policy_is_suspended() {
        let suspended = |end: Value| json!({"state": "Suspended", "suspension": {"reason": "moved", "endTime": end}});
        let listed = |more: &Value| listed("0 2,14 * * *", more, "Asia/Shanghai", None, "2026-11-24T00:00:00Z");
        assert_eq!(listed(&suspended(json!("2026-11-25T04:00:00Z"))), ["2026-11-25 14:00", "2026-11-26 02:00 14:00"]);
        assert_eq!(listed(&suspended(Value::Null)), Vec::<String>::new());
    }
}
