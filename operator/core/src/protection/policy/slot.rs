//! A time at which an application is to be backed up: its name, its jitter, and the register by which it is taken once.

use crate::time::after;
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use p861_crds::Backup;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How a slot is written in a name: to the minute, in UTC, which no change of clocks repeats.
const FORMAT: &str = "%Y%m%d-%H%Mz";
/// How far ahead of ours the clock of another hub may be before what it has taken is not believed to be of the present.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);

/// How long after a slot the backup of an application begins: always the same, less than `within`, and different for applications that have different UIDs.
pub fn jitter_of(application_uid: &str, within: SignedDuration) -> SignedDuration {
    let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return SignedDuration::ZERO;
    }
    let digest = Sha256::digest([b"jitter\0", application_uid.as_bytes()].concat());
    let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    SignedDuration::from_millis(i64::try_from(number % millis).unwrap_or(i64::MAX))
}

/// The name of the Backup of an application at a slot, for example `approval-20261124-0000z`. No two applications, and no two slots, have the same.
pub fn name(application: &str, slot: Timestamp) -> String {
    format!("{application}-{}", slot.strftime(FORMAT))
}

/// The slot of a Backup, by its name; none if it was not named by one.
pub fn of_backup(backup: &Backup) -> Option<Timestamp> {
    let name = backup.metadata.name.as_deref()?;
    let application = backup.spec.application_ref.name.as_str();
    let stamp = name.strip_prefix(application)?.strip_prefix('-')?;
    let slot = DateTime::strptime(FORMAT, stamp).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    (self::name(application, slot) == name).then_some(slot)
}

/// What the register of an application in a repository says: the newest slot that was taken, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotRecord {
    /// Version of this document.
    pub version: u32,
    /// The slot.
    pub slot: Timestamp,
    /// The Backup's name.
    pub backup: String,
    /// UID of the Application: no two hubs have the same.
    pub application: String,
    /// The Backup was made. Without this, whoever has taken the slot may have died before it could make it.
    pub made: bool,
}

impl SlotRecord {
    /// The version that is written.
    pub const VERSION: u32 = 1;

    /// That this application takes a slot, and will make its Backup next.
    pub fn taking(application: &str, uid: &str, slot: Timestamp) -> Self {
        Self { version: Self::VERSION, slot, backup: name(application, slot), application: uid.to_owned(), made: false }
    }
}

/// Where the register of an application is in its repository. An application's name has only letters, digits, `-` and `.`.
pub fn register(application: &str) -> String {
    format!("p861/slots/{application}.json")
}

/// Whether a slot may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Write that it is, over what was read; then make the Backup.
    Write,
    /// It was taken from here, and its Backup may not have been made: make it.
    Ours,
    /// It, or a newer one, was taken.
    Taken,
}

/// Whether `wanted` may be taken, by what the register says.
///
/// What a clock that was ahead has taken is in the future, and keeps nobody from taking what is due now: a backup more is better than none.
pub fn claim(register: Option<&SlotRecord>, wanted: &SlotRecord, now: Timestamp) -> Claim {
    match register {
        Some(last) if last.slot == wanted.slot => {
            if last.application == wanted.application && !last.made {
                Claim::Ours
            } else {
                Claim::Taken
            }
        }
        Some(last) if last.slot > wanted.slot && last.slot <= after(now, CLOCK_SKEW) => Claim::Taken,
        Some(_) | None => Claim::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn backup(name: &str, application: &str) -> Backup {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": name},
            "spec": {"applicationRef": {"name": application}}}))
        .expect("a backup")
    }

    #[test]
    fn a_slot_has_one_name_on_every_day_of_the_year_and_is_read_back_from_it() {
        // Berlin has 02:30 twice on that day.
        let names = ["2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z"].map(|slot| name("approval", time(slot)));
        assert_eq!(names, ["approval-20271031-0030z", "approval-20271031-0130z"]);
        assert_eq!(of_backup(&backup(&names[0], "approval")), Some(time("2027-10-31T00:30:00Z")));
        for (name, application) in [
            ("approval-20271031-0030", "approval"),
            ("approval-20271031-0030z", "appro"),
            ("approval-20271331-0030z", "approval"),
            ("approval-20271031-0030z-2", "approval"),
            ("approval-+0271031-0030z", "approval"),
            ("before-the-upgrade", "approval"),
        ] {
            assert_eq!(of_backup(&backup(name, application)), None, "{name} of {application}");
        }
        let longest = name(&"n".repeat(40), time("2027-10-31T00:30:00Z"));
        assert!(longest.len() <= 63 && crate::names::is_object_name(&longest), "{longest}");
    }

    proptest! {
        #[test]
        fn no_two_applications_and_no_two_slots_share_a_name(
            applications in prop::collection::btree_set("[a-z]([-a-z0-9]{0,20}[a-z0-9])?(-2026112[0-9]-0000z)?", 2..6),
            minutes in prop::collection::btree_set(29_000_000i64..30_000_000, 1..6),
        ) {
            let slots: Vec<Timestamp> = minutes.iter().map(|minute| Timestamp::from_second(minute * 60).expect("a time")).collect();
            let names: BTreeSet<String> = applications.iter().flat_map(|application| slots.iter().map(|slot| name(application, *slot))).collect();
            prop_assert_eq!(names.len(), applications.len() * slots.len());
            for (application, slot) in applications.iter().zip(&slots) {
                prop_assert_eq!(of_backup(&backup(&name(application, *slot), application)), Some(*slot));
            }
        }

        #[test]
        fn a_jitter_is_always_the_same_and_within_its_bound(uid in "[0-9a-f-]{36}", within in 1i64..100_000_000) {
            let within = SignedDuration::from_millis(within);
            let jitter = jitter_of(&uid, within);
            prop_assert!(!jitter.is_negative() && jitter < within);
            prop_assert_eq!(jitter, jitter_of(&uid, within));
        }
    }

    #[test]
    fn two_thousand_applications_are_spread_over_the_jitter() {
        let within = SignedDuration::from_mins(10);
        let mut of_a_second = [0; 600];
        for number in 0..2000 {
            let second = jitter_of(&format!("{number:08}-0000-4000-8000-000000000000"), within).as_secs();
            of_a_second[usize::try_from(second).expect("a second")] += 1;
        }
        // 3.3 on average.
        assert!(of_a_second.iter().all(|count| *count <= 14), "{of_a_second:?}");
        assert_eq!(jitter_of("x", SignedDuration::ZERO), SignedDuration::ZERO);
    }

    #[test]
    fn a_slot_is_taken_once_by_whichever_hub_was_first_and_a_clock_that_was_ahead_stops_nobody() {
        let now = time("2026-11-24T00:05:00Z");
        let record = |slot: &str, uid: &str, made| SlotRecord { made, ..SlotRecord::taking("a", uid, time(slot)) };
        let wanted = record("2026-11-24T00:00:00Z", "mine", false);
        for (case, register, expected) in [
            ("nobody has taken any", None, Claim::Write),
            ("the one before", Some(record("2026-11-23T23:50:00Z", "mine", true)), Claim::Write),
            ("the one before, by another hub", Some(record("2026-11-23T23:50:00Z", "other", true)), Claim::Write),
            ("this one, and then this process died", Some(record("2026-11-24T00:00:00Z", "mine", false)), Claim::Ours),
            ("this one, and its Backup was deleted since", Some(record("2026-11-24T00:00:00Z", "mine", true)), Claim::Taken),
            ("this one, by another hub", Some(record("2026-11-24T00:00:00Z", "other", false)), Claim::Taken),
            ("a newer one", Some(record("2026-11-24T00:05:00Z", "other", true)), Claim::Taken),
            ("one that is still to come", Some(record("2027-11-24T00:00:00Z", "mine", true)), Claim::Write),
        ] {
            assert_eq!(claim(register.as_ref(), &wanted, now), expected, "{case}");
        }
    }
}
