//! Volume snapshots of a backup: when all are taken, when one can be read, and what must go with them.

use crate::{
    conditions::shorten,
    engine::TakenSnapshot,
    runs::ClaimSnapshot,
    time::{human_duration, whole_seconds},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A driver's error is tried again by its sidecar. One that stands for so long fails the attempt; it was shown from the first moment on.
const ERROR_PATIENCE: SignedDuration = SignedDuration::from_secs(20);
/// A snapshot that no controller has begun with for so long is called that.
const UNSEEN_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// An attempt that has so little time left ends with what it waits for, and not with the bare fact that it was too long.
const LAST_MOMENT: SignedDuration = SignedDuration::from_secs(3);
/// An attempt that was given less time than this has no last moment.
const SHORTEST_WITH_LAST_MOMENT: SignedDuration = SignedDuration::from_secs(15);
const MAX_ERROR_CHARS: usize = 400;

/// A VolumeSnapshot as the API server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// It is being deleted.
    pub deleting: bool,
    /// A snapshot controller has seen it.
    pub seen: bool,
    /// Its point in time, once that has passed.
    pub time: Option<Timestamp>,
    /// Claims can be made from it.
    pub ready: bool,
    /// The least size of such a claim, in bytes.
    pub restore_bytes: Option<u64>,
    /// The driver's or the controller's error.
    pub error: Option<String>,
}

impl SnapshotStatus {
    /// Reads a VolumeSnapshot.
    pub fn of(object: &Value) -> Self {
        let status = object.get("status");
        let field = |name: &str| status.and_then(|status| status.get(name));
        let time = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
        let ready = field("readyToUse").and_then(Value::as_bool).unwrap_or_default();
        // One that is ready was taken after it was asked for.
        let asked = || time(object.pointer("/metadata/creationTimestamp")).filter(|_| ready);
        Self {
            deleting: object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()),
            seen: field("boundVolumeSnapshotContentName").is_some() || field("error").is_some() || field("creationTime").is_some(),
            time: time(field("creationTime")).or_else(asked),
            ready,
            restore_bytes: field("restoreSize").and_then(Value::as_str).and_then(|size| crate::quantity::Quantity::parse(size).ok()?.bytes().ok()),
            error: error_of(object),
        }
    }
}

/// The error in the status of a VolumeSnapshot or VolumeSnapshotContent.
pub fn error_of(object: &Value) -> Option<String> {
    let error = object.pointer("/status/error")?;
    let message = error.get("message").and_then(Value::as_str).unwrap_or("an error without a message");
    Some(shorten(message, MAX_ERROR_CHARS))
}

/// A snapshot that a step wants: what it is of, and its name.
pub type Wanted<'a> = (&'a ClaimSnapshot, &'a str);

/// Where the snapshots of an attempt stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taking {
    /// All points in time have passed.
    Taken(Vec<TakenSnapshot>),
    /// It waits, and for what.
    Waits(String),
    /// The attempt fails. Another takes all snapshots anew.
    Failed(String),
}

/// When an attempt began, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Since its beginning.
    pub age: SignedDuration,
    /// How long it may take in all.
    pub deadline: SignedDuration,
}

impl Attempt {
    fn is_at_its_end(self) -> bool {
        self.deadline >= SHORTEST_WITH_LAST_MOMENT && self.deadline - self.age <= LAST_MOMENT
    }
}

/// Whether all snapshots are taken. `status` gives one by namespace and name.
///
/// A recovery point is never later than `now`, whatever the clock of the storage says.
pub fn taking<'a>(wanted: &[Wanted<'_>], status: impl Fn(&str, &str) -> Option<&'a SnapshotStatus>, attempt: Attempt, now: Timestamp) -> Taking {
    let (mut taken, mut errors, mut unseen, mut waiting) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (of, name) in wanted {
        let claim = || format!("{}/{}", of.namespace, of.claim);
        match status(&of.namespace, name) {
            None => return Taking::Failed(format!("VolumeSnapshot {}/{name} of claim {} is gone: somebody has deleted it", of.namespace, of.claim)),
            Some(status) if status.deleting => {
                return Taking::Failed(format!("VolumeSnapshot {}/{name} of claim {} is being deleted, and not by this run", of.namespace, of.claim));
            }
            Some(SnapshotStatus { time: Some(time), .. }) => taken.push(TakenSnapshot {
                namespace: of.namespace.clone(),
                claim: of.claim.clone(),
                name: (*name).to_owned(),
                storage_class: of.storage_class.clone(),
                bytes: of.bytes,
                time: (*time).min(now),
            }),
            Some(SnapshotStatus { error: Some(error), .. }) => errors.push(format!("the snapshot of claim {} fails: {error}", claim())),
            Some(SnapshotStatus { seen: true, .. }) => waiting.push(claim()),
            Some(_) => unseen.push(claim()),
        }
    }
    if taken.len() == wanted.len() {
        return Taking::Taken(taken);
    }
    let progress = format!("{} of {} snapshots are taken", taken.len(), wanted.len());
    let more = |number: usize| if number > 1 { format!(" and {} more", number - 1) } else { String::new() };
    let message = if let Some(error) = errors.first() {
        format!("{error}{}", more(errors.len()))
    } else if let Some(claim) = waiting.first() {
        format!("{progress}; the storage driver has not taken that of claim {claim}{}", more(waiting.len()))
    } else {
        let claim = unseen.first().map(String::as_str).unwrap_or_default();
        let why = if attempt.age < UNSEEN_AFTER { "" } else { ": does a snapshot controller run, and the driver's csi-snapshotter?" };
        format!("{progress}; nothing has begun with that of claim {claim}{}{why}", more(unseen.len()))
    };
    if !errors.is_empty() && attempt.age >= ERROR_PATIENCE {
        return Taking::Failed(message);
    }
    if attempt.is_at_its_end() {
        return Taking::Failed(format!("{message} (after {})", human_duration(whole_seconds(attempt.age))));
    }
    Taking::Waits(message)
}

/// Whether a taken snapshot can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Through a claim of at least so many bytes.
    Ready(u64),
    /// Not yet, and why.
    Waits(String),
    /// Never again, and why.
    Gone(String),
}

/// Whether a taken snapshot can be read; `status` is none if it doesn't exist.
pub fn reading(taken: &TakenSnapshot, status: Option<&SnapshotStatus>) -> Reading {
    let name = format!("VolumeSnapshot {}/{}", taken.namespace, taken.name);
    match status {
        None => Reading::Gone(format!("{name} of claim {} is gone before it was read: back up again", taken.claim)),
        Some(status) if status.deleting => Reading::Gone(format!("{name} of claim {} is being deleted before it was read: back up again", taken.claim)),
        Some(SnapshotStatus { ready: true, restore_bytes, .. }) => Reading::Ready(taken.bytes.max(restore_bytes.unwrap_or_default())),
        Some(SnapshotStatus { error: Some(error), .. }) => Reading::Waits(format!("{name} can't be read yet: {error}")),
        Some(_) => Reading::Waits(format!("{name} can't be read yet: the storage still works on it")),
    }
}

/// A VolumeSnapshotContent that a run has left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftContent {
    /// Its name.
    pub name: String,
    /// It would keep what it stands for in the storage.
    pub retains: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// Why it is still there, if its driver says so.
    pub error: Option<String>,
}

/// What a VolumeSnapshotContent has left of a run, whose snapshots have names with this prefix, in these namespaces; none if it is of another.
pub fn left_of_run(content: &Value, prefix: &str, namespaces: &[String]) -> Option<LeftContent> {
    let text = |pointer: &str| content.pointer(pointer).and_then(Value::as_str);
    let (namespace, snapshot) = (text("/spec/volumeSnapshotRef/namespace")?, text("/spec/volumeSnapshotRef/name")?);
    let of_run = snapshot.starts_with(prefix) && namespaces.iter().any(|own| own == namespace);
    of_run.then(|| LeftContent {
        name: text("/metadata/name").unwrap_or_default().to_owned(),
        retains: text("/spec/deletionPolicy") != Some("Delete"),
        deleting: content.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()),
        error: error_of(content),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-15T01:00:10Z";

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn wanted(claim: &str) -> ClaimSnapshot {
        ClaimSnapshot { namespace: "n".into(), claim: claim.into(), class: "snap".into(), storage_class: "block".into(), bytes: 1000 }
    }

    fn taken(claim: &str, at: &str) -> TakenSnapshot {
        TakenSnapshot { namespace: "n".into(), claim: claim.into(), name: format!("s-{claim}"), storage_class: "block".into(), bytes: 1000, time: time(at) }
    }

    fn status(status: Value) -> SnapshotStatus {
        SnapshotStatus::of(&json!({"metadata": {"creationTimestamp": "2026-11-15T01:00:00Z"}, "status": status}))
    }

    /// Takes snapshots of `a` and `b`, which stand so, `age` seconds after the beginning of an attempt of two minutes.
    fn of_two(a: Option<SnapshotStatus>, b: Option<SnapshotStatus>, age: i64) -> Taking {
        let (of_a, of_b) = (wanted("a"), wanted("b"));
        let attempt = Attempt { age: SignedDuration::from_secs(age), deadline: SignedDuration::from_mins(2) };
        let find = |_: &str, name: &str| if name == "s-a" { a.as_ref() } else { b.as_ref() };
        taking(&[(&of_a, "s-a"), (&of_b, "s-b")], find, attempt, time(NOW))
    }

    #[test]
    fn snapshots_are_taken_once_every_point_in_time_has_passed_and_say_what_they_wait_for_until_then() {
        let done = || Some(status(json!({"boundVolumeSnapshotContentName": "c", "creationTime": "2026-11-15T01:00:01Z", "readyToUse": false})));
        let ready = || Some(status(json!({"readyToUse": true})));
        let bound = || Some(status(json!({"boundVolumeSnapshotContentName": "c"})));
        let failing = || Some(status(json!({"error": {"message": "rpc error: no space"}})));
        let gone = || Some(SnapshotStatus { deleting: true, ..SnapshotStatus::default() });
        let fresh = || Some(SnapshotStatus::default());
        for (name, a, b, age, expected) in [
            ("taken, and not ready to be read", done(), done(), 1, Ok(Ok(["2026-11-15T01:00:01Z", "2026-11-15T01:00:01Z"]))),
            ("without a time of its own", done(), ready(), 1, Ok(Ok(["2026-11-15T01:00:01Z", "2026-11-15T01:00:00Z"]))),
            ("one is not taken", done(), bound(), 1, Ok(Err("1 of 2 snapshots are taken; the storage driver has not taken that of claim n/b"))),
            ("no controller yet", fresh(), fresh(), 1, Ok(Err("0 of 2 snapshots are taken; nothing has begun with that of claim n/a and 1 more"))),
            ("no controller at all", fresh(), done(), 11, Ok(Err("does a snapshot controller run"))),
            ("an error at first", done(), failing(), 1, Ok(Err("the snapshot of claim n/b fails: rpc error: no space"))),
            ("an error that stands", failing(), bound(), 20, Err("the snapshot of claim n/a fails: rpc error: no space")),
            (
                "an error of one that was taken",
                Some(SnapshotStatus { error: Some("slow".into()), ..done().unwrap_or_default() }),
                done(),
                60,
                Ok(Ok(["2026-11-15T01:00:01Z", "2026-11-15T01:00:01Z"])),
            ),
            ("the end of the attempt", done(), bound(), 118, Err("the storage driver has not taken that of claim n/b (after 1m58s)")),
            ("deleted by somebody", done(), gone(), 1, Err("being deleted, and not by this run")),
            ("gone", None, done(), 1, Err("is gone: somebody has deleted it")),
        ] {
            match (of_two(a, b, age), expected) {
                (Taking::Taken(snapshots), Ok(Ok(times))) => assert_eq!(snapshots, [taken("a", times[0]), taken("b", times[1])], "{name}"),
                (Taking::Waits(message), Ok(Err(text))) | (Taking::Failed(message), Err(text)) => assert!(message.contains(text), "{name}: {message}"),
                (other, expected) => panic!("{name}: {other:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn the_recovery_point_is_never_in_the_future_whatever_the_storages_clock_says() {
        let ahead = || Some(status(json!({"creationTime": "2026-11-15T02:00:00Z"})));
        assert_eq!(of_two(ahead(), ahead(), 1), Taking::Taken(vec![taken("a", NOW), taken("b", NOW)]));
    }

    #[test]
    fn a_snapshot_is_read_once_it_is_ready_through_a_claim_that_is_large_enough() {
        let snapshot = taken("a", NOW);
        for (name, found, expected) in [
            ("as large as the claim", Some(status(json!({"readyToUse": true, "restoreSize": "1000"}))), Ok(1000)),
            ("larger than the claim", Some(status(json!({"readyToUse": true, "restoreSize": "2Ki"}))), Ok(2048)),
            ("of unknown size", Some(status(json!({"readyToUse": true}))), Ok(1000)),
            ("uploading", Some(status(json!({"readyToUse": false}))), Err("the storage still works on it")),
            ("failing", Some(status(json!({"error": {"message": "no space"}}))), Err("no space")),
            ("gone", None, Err("is gone before it was read")),
            ("going", Some(SnapshotStatus { deleting: true, ..SnapshotStatus::default() }), Err("being deleted before it was read")),
        ] {
            match (reading(&snapshot, found.as_ref()), expected) {
                (Reading::Ready(bytes), Ok(expected)) => assert_eq!(bytes, expected, "{name}"),
                (Reading::Waits(message) | Reading::Gone(message), Err(text)) => assert!(message.contains(text), "{name}: {message}"),
                (other, expected) => panic!("{name}: {other:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn what_the_storage_keeps_of_a_run_is_found_by_the_names_of_its_snapshots_and_nothing_else_is() {
        let content = |namespace: &str, snapshot: &str, policy: &str| {
            json!({"metadata": {"name": "content"}, "spec": {"deletionPolicy": policy, "volumeSnapshotRef": {"namespace": namespace, "name": snapshot}},
                "status": {"error": {"message": "busy"}}})
        };
        for (object, expected) in [
            (content("n", "p861-snap-u-x-1", "Retain"), Some(true)),
            (content("n", "p861-snap-u-x-1", "Delete"), Some(false)),
            (content("n", "p861-snap-v-x-1", "Retain"), None),
            (content("n", "nightly", "Retain"), None),
            (content("m", "p861-snap-u-x-1", "Retain"), None),
            (json!({"metadata": {"name": "content"}, "spec": {}}), None),
        ] {
            let left = left_of_run(&object, "p861-snap-u-", &["n".into()]);
            let expected = expected.map(|retains| LeftContent { name: "content".into(), retains, deleting: false, error: Some("busy".into()) });
            assert_eq!(left, expected, "{object}");
        }
    }
}
