//! How a roster stands: who is on duty, whether alerts arrive and people can be reached, and whether a test message is due.

use super::{
    notify::{MessageText, test_message},
    roster::{Heard, Roster, heartbeat_condition, test_due},
    window::zone,
};
use crate::{
    conditions::{ConditionUpdate, ObjectEvent},
    shown,
};
use jiff::{Timestamp, tz::TimeZone};
use p861_crds::{ConditionType, DutyRoster, DutyRosterStatus, Reason, Time, maintenance::roster::TestMessage};

/// What a roster depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosterFacts {
    /// The time zone of its namespace.
    pub default_zone: String,
    /// The heartbeats of its sites; none if it watches none.
    pub heard: Option<Vec<Heard>>,
    /// The deliveries of the newest test message that failed; none while they are not known.
    pub failed_deliveries: Option<Vec<String>>,
}

/// A test message that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTest {
    /// Its text.
    pub text: MessageText,
    /// Deliveries: one per person and channel.
    pub total: i32,
}

/// How a roster stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RosterStanding {
    /// Its status, without what the conditions change.
    pub status: DutyRosterStatus,
    /// Conditions that are known.
    pub conditions: Vec<ConditionUpdate>,
    /// What people are told.
    pub happened: Vec<ObjectEvent>,
    /// A test message to send.
    pub test: Option<DueTest>,
    /// When this changes.
    pub next_change: Option<Timestamp>,
}

/// How a roster stands at `now`.
pub fn standing(object: &DutyRoster, facts: &RosterFacts, now: Timestamp) -> RosterStanding {
    let mut status = object.status.clone().unwrap_or_default();
    let mut happened = Vec::new();
    let (ready, next_change) = match Roster::parse(&object.spec, &facts.default_zone) {
        Ok(roster) => {
            happened.extend(read_actions(object, &roster, &mut status, now));
            status.current = roster.current(status.last_hand_over.as_ref(), now);
            (roster.condition(now), roster.next_change(now))
        }
        Err(error) => {
            status.current.clear();
            (ConditionUpdate::bad(ConditionType::Ready, Reason::Invalid, error.to_string()), None)
        }
    };
    let alerts_arrive = object.spec.heartbeat.as_ref().zip(facts.heard.as_ref()).and_then(|(heartbeat, heard)| heartbeat_condition(heartbeat, heard, now));
    happened.extend(alerts_arrive.as_ref().and_then(|arrive| silence(&status, arrive)));
    let reachable = facts.failed_deliveries.as_ref().and_then(|failed| people_reachable(&mut status, failed, &zone_of(object, &facts.default_zone)));
    let test = due_test(object, &facts.default_zone, &mut status, now);
    RosterStanding { status, conditions: [Some(ready), alerts_arrive, reachable].into_iter().flatten().collect(), happened, test, next_change }
}

/// Whether every level has somebody on duty.
pub fn is_covered(status: &DutyRosterStatus) -> bool {
    !status.current.is_empty() && status.current.iter().all(|level| level.person.is_some())
}

/// Reads the actions that were added: the duty is handed over.
fn read_actions(object: &DutyRoster, roster: &Roster, status: &mut DutyRosterStatus, now: Timestamp) -> Vec<ObjectEvent> {
    let known = usize::try_from(status.observed_actions.unwrap_or_default()).unwrap_or_default();
    let mut happened = Vec::new();
    for action in object.spec.actions.iter().skip(known) {
        let by = action.by.as_deref().unwrap_or_default();
        match roster.hand_over(status.last_hand_over.as_ref(), action.action, by, action.note.as_deref(), now) {
            Ok(hand_over) => {
                let name = |person: Option<&String>| person.map_or("?", String::as_str).to_owned();
                let (from, to) = (name(hand_over.from.as_ref()), name(hand_over.to.as_ref()));
                happened.push(match hand_over.taken_time {
                    Some(_) => ObjectEvent { reason: Reason::DutyTaken, note: format!("{to} has taken the duty from {from}"), warning: false },
                    None => ObjectEvent { reason: Reason::DutyGiven, note: format!("{from} has given the duty"), warning: false },
                });
                status.last_hand_over = Some(hand_over);
            }
            Err(why) => happened.push(ObjectEvent { reason: Reason::ActionRefused, note: format!("{:?}: {why}", action.action), warning: true }),
        }
    }
    status.observed_actions = i32::try_from(object.spec.actions.len()).ok();
    happened
}

/// What people are told when a heartbeat goes silent.
fn silence(status: &DutyRosterStatus, arrive: &ConditionUpdate) -> Option<ObjectEvent> {
    let silent = arrive.reason == Reason::HeartbeatMissing;
    let told = status.conditions.iter().any(|condition| condition.reason == Reason::HeartbeatMissing);
    (silent && !told).then(|| ObjectEvent { reason: Reason::HeartbeatMissing, note: arrive.message.clone(), warning: true })
}

/// Records the deliveries of the newest test message.
fn people_reachable(status: &mut DutyRosterStatus, failed: &[String], zone: &TimeZone) -> Option<ConditionUpdate> {
    let last = status.last_test.as_mut()?;
    let delivered = last.total.saturating_sub(i32::try_from(failed.len()).unwrap_or(i32::MAX));
    last.delivered = Some(delivered);
    let message = format!("test message of {} delivered to {delivered} of {}", shown::day(last.time.0, zone), last.total);
    Some(if failed.is_empty() {
        ConditionUpdate::good(ConditionType::PeopleReachable, Reason::Delivered, message)
    } else {
        ConditionUpdate::bad(ConditionType::PeopleReachable, Reason::NotDelivered, format!("{message}: {}", failed.join("; ")))
    })
}

/// The zone of a roster; UTC if what it names is none.
fn zone_of(object: &DutyRoster, default_zone: &str) -> TimeZone {
    zone(object.spec.time_zone.as_deref().unwrap_or(default_zone)).unwrap_or(TimeZone::UTC)
}

/// A test message that is due and was not recorded yet. Records it.
fn due_test(object: &DutyRoster, default_zone: &str, status: &mut DutyRosterStatus, now: Timestamp) -> Option<DueTest> {
    let spec = &object.spec;
    let at = spec.test_message_at.as_deref().filter(|_| !spec.channels.is_empty())?;
    let zone = zone(spec.time_zone.as_deref().unwrap_or(default_zone)).ok()?;
    let due = test_due(at, &zone, now).filter(|due| status.last_test.as_ref().is_none_or(|last| last.time.0 < *due))?;
    let total = i32::try_from(spec.people.len() * spec.channels.len()).unwrap_or(i32::MAX);
    status.last_test = Some(TestMessage { time: Time(due), delivered: None, total });
    Some(DueTest { text: test_message(object.metadata.name.as_deref().unwrap_or_default(), due, &zone), total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conditions::apply, maintenance::window::DEFAULT_ZONE};
    use serde_json::{Value, json};

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn roster(with: &Value) -> DutyRoster {
        let mut spec = json!({
            "people": [{"name": "li", "username": "li@x"}, {"name": "wu", "username": "wu@x"}],
            "channels": [{"name": "mail", "webhook": {"urlSecretRef": {"name": "s"}}}],
            "levels": [{"name": "first", "rotations": [{"name": "day", "turnDays": 1, "people": ["li"]}]}],
            "heartbeat": {"alertName": "Watchdog", "maxSilence": "5m"},
        });
        spec.as_object_mut().expect("a map").extend(with.as_object().cloned().unwrap_or_default());
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "DutyRoster", "metadata": {"name": "night"}, "spec": spec}))
            .expect("a roster")
    }

    fn facts() -> RosterFacts {
        RosterFacts { default_zone: DEFAULT_ZONE.into(), ..RosterFacts::default() }
    }

    const NOW: &str = "2026-11-28T12:00:00Z";

    #[test]
    fn a_hand_over_is_read_once_and_a_stranger_is_refused() {
        for (action, by, reason) in [("HandOver", "li@x", "DutyGiven"), ("TakeOver", "wu@x", "DutyTaken"), ("TakeOver", "nobody@x", "ActionRefused")] {
            let mut object = roster(&json!({"actions": [{"action": action, "by": by}]}));
            let first = standing(&object, &facts(), time(NOW));
            assert_eq!(first.happened.iter().map(|happened| happened.reason.as_str()).collect::<Vec<_>>(), [reason], "{action} {by}");
            assert_eq!(first.status.last_hand_over.is_some(), reason != "ActionRefused");
            object.status = Some(first.status);
            assert_eq!(standing(&object, &facts(), time(NOW)).happened, [], "{action} {by}: read once");
        }
    }

    #[test]
    fn an_invalid_roster_has_nobody_on_duty() {
        let stands = standing(&roster(&json!({"timeZone": "Nowhere"})), &facts(), time(NOW));
        assert_eq!((stands.conditions[0].reason.as_str(), is_covered(&stands.status)), ("Invalid", false));
        let stands = standing(&roster(&json!({})), &facts(), time(NOW));
        assert_eq!((stands.conditions[0].reason.as_str(), is_covered(&stands.status)), ("Covered", true));
    }

    #[test]
    fn people_are_told_once_that_a_heartbeat_is_missing() {
        let silent = Heard { site: "a".into(), last: time("2026-11-28T11:00:00Z"), heard: true };
        let facts = RosterFacts { heard: Some(vec![silent]), ..facts() };
        let mut object = roster(&json!({}));
        let first = standing(&object, &facts, time(NOW));
        assert_eq!(first.happened.iter().map(|happened| happened.reason.as_str()).collect::<Vec<_>>(), ["HeartbeatMissing"]);
        let conditions = apply(&[], &first.conditions, None, time(NOW));
        object.status = Some(DutyRosterStatus { conditions, ..first.status });
        assert_eq!(standing(&object, &facts, time(NOW)).happened, []);
    }

    #[test]
    fn a_test_message_is_due_once_a_day_and_its_deliveries_are_counted() {
        let mut object = roster(&json!({"testMessageAt": "08:00"}));
        let first = standing(&object, &facts(), time(NOW));
        assert_eq!(first.test.as_ref().map(|test| test.total), Some(2), "two people, one channel");
        object.status = Some(first.status);
        for (failed, reason, delivered) in [(vec![], "Delivered", 2), (vec!["wu by mail: refused".to_owned()], "NotDelivered", 1)] {
            let facts = RosterFacts { failed_deliveries: Some(failed), ..facts() };
            let later = standing(&object, &facts, time(NOW));
            assert_eq!(later.test, None, "sent already");
            assert_eq!(later.conditions.last().map(|condition| condition.reason.as_str()), Some(reason));
            assert_eq!(later.status.last_test.and_then(|last| last.delivered), Some(delivered));
        }
        assert!(standing(&object, &facts(), time("2026-11-29T00:00:00Z")).test.is_some(), "eight in the morning of the next day");
        let without_channels = roster(&json!({"testMessageAt": "08:00", "channels": []}));
        assert_eq!(standing(&without_channels, &facts(), time(NOW)).test, None);
    }
}
