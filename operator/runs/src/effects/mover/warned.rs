//! A warning of the cluster in words that stay the same while nothing changes: without the random names of pods, and in one order.

use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::api::core::v1::Event;
use p861_core::{conditions::shorten, shown};

const MAX_WHY_CHARS: usize = 400;
/// How a list of limits that a pod exceeds goes on within one of them.
const GOES_ON: &str = "but ";
/// Where such a list begins, which ends the message.
const LIST: &str = ": [";
/// Where a list of what a pod lacks begins.
const LACKS: &str = "specify ";

/// A warning about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// In words.
    pub text: String,
    /// When it was given last.
    pub at: Option<Timestamp>,
}

impl Warning {
    /// How old it is, and what happens next; none if that is not known.
    pub fn age(&self) -> Option<String> {
        Some(format!("as of {} UTC, and the cluster tries again by itself, within minutes", shown::second_of_day(self.at?, &TimeZone::UTC)))
    }
}

/// The newest of some Events.
pub fn newest_of(events: &[Event]) -> Option<Warning> {
    let newest = events.iter().max_by_key(|event| time(event))?;
    let (reason, message) = (newest.reason.as_deref().unwrap_or("Warning"), newest.message.as_deref().unwrap_or_default());
    let message = settled(message.trim_start_matches("Error creating: ").trim());
    Some(Warning { text: shorten(&format!("{reason}: {message}"), MAX_WHY_CHARS), at: time(newest) })
}

fn time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let own = event.event_time.as_ref().map(|time| time.0);
    series.max(own).max(event.last_timestamp.as_ref().map(|time| time.0)).max(event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// The message of a refusal without the name of the pod, which is another each time, and with what the pod exceeds or lacks in order.
fn settled(message: &str) -> String {
    let unnamed = without_name(message);
    let listed = unnamed.strip_suffix(']').and_then(|listed| listed.split_once(LIST));
    if let Some((before, inside)) = listed {
        return format!("{before}{LIST}{}]", in_order(inside, ", "));
    }
    match unnamed.split_once(LACKS) {
        Some((before, lacks)) => format!("{before}{LACKS}{}", in_order(lacks, "; ")),
        None => unnamed,
    }
}

/// `pods "p861-x-abcde" is forbidden` without the name.
fn without_name(message: &str) -> String {
    let is_quoted = |word: &str| word.len() > 1 && word.starts_with('"') && word.ends_with('"');
    let before = std::iter::once("").chain(message.split(' '));
    let words = message.split(' ').zip(before).map(|(word, before)| if before == "pods" && is_quoted(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// The items of a list in order.
fn in_order(list: &str, mark: &str) -> String {
    let mut items: Vec<String> = Vec::new();
    for part in list.split(mark) {
        match items.last_mut() {
            Some(last) if part.starts_with(GOES_ON) => {
                last.push_str(mark);
                last.push_str(part);
            }
            _ => items.push(part.to_owned()),
        }
    }
    items.sort();
    items.join(mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn of_several_events_the_newest_is_said() {
        let event = |message: &str, times: Value| -> Event {
            let mut event = json!({"metadata": {"name": message}, "involvedObject": {}, "reason": "FailedCreate", "message": message});
            event.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
            serde_json::from_value(event).unwrap()
        };
        let events = [
            event("Error creating: first", json!({"lastTimestamp": "2026-11-15T01:00:00Z"})),
            event(
                "Error creating: newest",
                json!({"eventTime": "2026-11-15T00:30:00.000000Z", "series": {"count": 3, "lastObservedTime": "2026-11-15T01:30:00.000000Z"}}),
            ),
            event("second", json!({"eventTime": "2026-11-15T01:10:00.000000Z"})),
        ];
        let newest = newest_of(&events).unwrap();
        assert_eq!((newest.text.as_str(), newest.at), ("FailedCreate: newest", Some("2026-11-15T01:30:00Z".parse().unwrap())));
        assert_eq!(newest_of(&[]), None);
    }

    #[test]
    fn a_refusal_reads_the_same_for_every_pod_and_in_every_order() {
        let (cpu, memory) = ("maximum cpu usage per Container is 1, but limit is 2", "maximum memory usage per Container is 256Mi, but limit is 1Gi");
        let refused = |name: &str, first: &str, second: &str| settled(&format!("pods \"p861-{name}\" is forbidden: [{first}, {second}]"));
        let one = refused("abcde", cpu, memory);
        assert_eq!(one, format!("pods … is forbidden: [{cpu}, {memory}]"));
        assert_eq!(refused("xyz12", memory, cpu), one);
        for (message, expected) in [
            (
                "pods \"p-1\" is forbidden: exceeded quota: small, requested: limits.cpu=2",
                "pods … is forbidden: exceeded quota: small, requested: limits.cpu=2",
            ),
            (
                "pods \"p-1\" is forbidden: failed quota: small: must specify limits.memory for: mover; limits.cpu for: mover",
                "pods … is forbidden: failed quota: small: must specify limits.cpu for: mover; limits.memory for: mover",
            ),
            ("MountVolume.SetUp failed for volume \"data\"", "MountVolume.SetUp failed for volume \"data\""),
            ("pods \"cut", "pods \"cut"),
            ("pods \"p-1\" is forbidden: drop=[\"NET\"], and add=[\"B\", \"A\"]", "pods … is forbidden: drop=[\"NET\"], and add=[\"B\", \"A\"]"),
            ("a [list] that is cut [", "a [list] that is cut ["),
            ("", ""),
        ] {
            assert_eq!(settled(message), expected);
        }
    }
}
