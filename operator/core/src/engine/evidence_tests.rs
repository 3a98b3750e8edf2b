//! The stored form of each kind of evidence, and what becomes of evidence that can't be read.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn time() -> Timestamp {
    "2026-11-15T00:59:00Z".parse().expect("a time")
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn part(sha256: Option<&str>, warnings: &[&str]) -> SavedPart {
    SavedPart {
        part: "p".into(),
        files: 1,
        bytes: 2,
        added: 3,
        started_at: time(),
        sha256: sha256.map(str::to_owned),
        warnings: texts(warnings),
        warned: warnings.len() as u64,
    }
}

fn changes() -> RestoreChanges {
    RestoreChanges { create: 1, change: 2, added: 1, same: 3, refused: 4, not_served: 0 }
}

fn left_out() -> BTreeMap<String, u64> {
    BTreeMap::from([("not selected".into(), 5)])
}

/// The sample after this one. Every kind has a place here: a new one doesn't compile without.
#[expect(clippy::too_many_lines, reason = "a table of all kinds")]
fn next(evidence: Option<&Evidence>) -> Option<Evidence> {
    use Evidence as E;
    Some(match evidence {
        None => E::CommandRun { workload: "Deployment/cms".into(), output: "frozen".into() },
        Some(E::CommandRun { .. }) => E::MarkerRead { time: time(), output: "2026-11-15 00:59:00+00".into() },
        Some(E::MarkerRead { .. }) => E::CheckSeen { check: "login".into(), seen: "200".into() },
        Some(E::CheckSeen { .. }) => E::Watched { checks: 2, duration: SignedDuration::from_mins(5) },
        Some(E::Watched { .. }) => E::Preflight { checks: vec![PreflightResult { name: "KeyAccess".into(), passed: true, seen: "opened".into() }] },
        Some(E::Preflight { .. }) => E::Isolated { namespaces: texts(&["a"]) },
        Some(E::Isolated { .. }) => E::IsolationProbed {
            resolver: vec![std::net::IpAddr::from([10, 96, 7, 7])],
            nodes: texts(&["n1"]),
            refused: texts(&["the API server (10.96.0.1:443/tcp)"]),
            silent: texts(&["the cloud's metadata (169.254.169.254:80/tcp)"]),
            reached: Vec::new(),
        },
        Some(E::IsolationProbed { .. }) => E::IsolationRemoved { namespaces: texts(&["a"]) },
        Some(E::IsolationRemoved { .. }) => E::WorkloadsStopped { workloads: 2, stopped: texts(&["Deployment/cms 2", "CronJob/nightly running"]) },
        Some(E::WorkloadsStopped { .. }) => {
            E::WorkloadsLeft { again: texts(&["a"]), made: texts(&["b"]), workloads: 1, stopped: texts(&["b/Deployment/cms 2"]) }
        }
        Some(E::WorkloadsLeft { .. }) => E::WorkloadsReady { workloads: 1, ready: texts(&["Deployment/cms 2/2"]), not_awaited: texts(&["Deployment/old 0/1"]) },
        Some(E::WorkloadsReady { .. }) => E::SnapshotsTaken {
            snapshots: vec![TakenSnapshot {
                namespace: "a".into(),
                claim: "files".into(),
                name: "p861-snap-1".into(),
                storage_class: "block".into(),
                bytes: 4096,
                time: time(),
            }],
        },
        Some(E::SnapshotsTaken { .. }) => E::SnapshotsRemoved { namespaces: texts(&["a"]) },
        Some(E::SnapshotsRemoved { .. }) => E::MoversRemoved { namespaces: texts(&["a"]) },
        Some(E::MoversRemoved { .. }) => E::NamespacesMade { made: texts(&["a"]) },
        Some(E::NamespacesMade { .. }) => E::BackupTaken { backup: "b".into(), snapshot: Some("0a1b".into()) },
        Some(E::BackupTaken { .. }) => E::Silenced { silences: texts(&["id"]) },
        Some(E::Silenced { .. }) => E::SilencesEnded { ended: 1 },
        Some(E::SilencesEnded { .. }) => {
            E::NodeInspected { pods: 7, cordoned: false, unmanaged: Vec::new(), local_data: texts(&["a/cache"]), returning: texts(&["a/agent"]) }
        }
        Some(E::NodeInspected { .. }) => E::PodsUnmanaged { pods: texts(&["a/b"]), local_data: Vec::new() },
        Some(E::PodsUnmanaged { .. }) => E::NodeCordoned { owner: Some("chg-1".into()) },
        Some(E::NodeCordoned { .. }) => E::NodeUncordoned { result: UncordonResult::CordonOfAnother },
        Some(E::NodeUncordoned { .. }) => E::NodeDrained { node: "n1".into() },
        Some(E::NodeDrained { .. }) => E::DrainHeld { held: texts(&["pod a/b (budget)"]) },
        Some(E::DrainHeld { .. }) => E::ComponentInstalled { version: "7.2.6".into(), objects: 3 },
        Some(E::ComponentInstalled { .. }) => E::ComponentReverted { version: String::new(), objects: 0 },
        Some(E::ComponentReverted { .. }) => E::RevertUnneeded { version: "7.2.5".into() },
        Some(E::RevertUnneeded { .. }) => E::BundleChanged { digest: "sha256:1".into(), approved: "sha256:2".into() },
        Some(E::BundleChanged { .. }) => E::RightsRevoked { namespaces: texts(&["a"]) },
        Some(E::RightsRevoked { .. }) => E::ObjectsCompared { compared: 4 },
        Some(E::ObjectsCompared { .. }) => E::ObjectsSaved {
            part: part(None, &[]),
            objects: 143,
            resources: 12,
            kinds: vec![SavedKind { namespace: "n".into(), group: "apps".into(), kind: "Deployment".into(), version: "v1".into(), count: 3 }],
            left_out: vec![LeftOut { reason: "Excluded".into(), count: 1, names: texts(&["Deployment n/cache"]) }],
            left_out_names: vec![StoredObject { sha256: "ab".into(), bytes: 900 }],
            not_ready: texts(&["n/Deployment/old"]),
        },
        Some(E::ObjectsSaved { .. }) => E::VolumeSaved(part(None, &["vanished"])),
        Some(E::VolumeSaved(_)) => E::StreamSaved(part(Some("ab"), &[])),
        Some(E::StreamSaved(_)) => E::Sealed { snapshot: "0a1b".into(), files: 1, bytes: 2, added: 3, objects: 143, recovery_point_time: time() },
        Some(E::Sealed { .. }) => E::SnapshotVerified { snapshot: "0a1b".into(), blobs: 1, packs: 2, bytes: 3, not_ready: texts(&["n/Deployment/old"]) },
        Some(E::SnapshotVerified { .. }) => {
            let list = StoredObject { sha256: "ab".into(), bytes: 900 };
            E::RestorePreviewed {
                changes: changes(),
                listed: 6,
                lists: vec![list],
                left_out: left_out(),
                left_out_names: None,
                not_served: BTreeMap::new(),
                adjusted: BTreeMap::new(),
            }
        }
        Some(E::RestorePreviewed { .. }) => E::ObjectsRestored {
            changes: RestoreChanges { not_served: 1, ..changes() },
            left_out: left_out(),
            left_out_names: Some(LeftOutObjects {
                first: BTreeMap::from([("not selected".into(), texts(&["Secret n/a"]))]),
                listed: 5,
                lists: vec![StoredObject { sha256: "ab".into(), bytes: 900 }],
            }),
            not_served: BTreeMap::from([("Widget.demo.example".into(), 1)]),
            adjusted: BTreeMap::from([("nodePort".into(), 2)]),
            refused: Some(RefusedObjects {
                first: ListedChange {
                    action: ObjectChange::Refused,
                    group: "demo.example".into(),
                    kind: "Widget".into(),
                    namespace: "n".into(),
                    name: "w".into(),
                    why: "not served".into(),
                    awaits: Some(Awaits::Kind),
                    diff: String::new(),
                    manifest: None,
                },
                listed: 5,
                list: StoredObject { sha256: "ab".into(), bytes: 900 },
                awaiting: 1,
            }),
            patches_unmatched: texts(&["spec.isolation.patches[0] (Deployment web)"]),
        },
        Some(E::ObjectsRestored { .. }) => E::VolumePreviewed { removed: 3, changed: 12, created: 2, first: texts(&["shell.php"]) },
        Some(E::VolumePreviewed { .. }) => E::VolumeRestored { files: 20, bytes: 4096, removed: 3, removed_bytes: 512 },
        Some(E::VolumeRestored { .. }) => E::StreamRestored { bytes: 4096, sha256: "ab".into(), output: "done".into() },
        Some(E::StreamRestored { .. }) => E::SnapshotsForgotten { forgotten: 7, absent: 1, locked: 0 },
        Some(E::SnapshotsForgotten { .. }) => {
            let sum = |packs| PackSum { packs, bytes: packs * 4096 };
            E::Pruned(PrunedPacks {
                marked: sum(3),
                waiting: sum(2),
                removed: sum(5),
                hidden: sum(0),
                locked: sum(1),
                locked_until: Some(time()),
                recovered: 1,
                repacked_bytes: 8192,
            })
        }
        Some(E::Pruned(_)) => E::Stopped(StepProgress { items_done: Some(1), ..StepProgress::message("under way") }),
        Some(E::Stopped(_)) => E::NotDone { reason: Reason::MoverUnschedulable, message: "no node takes its mover".into() },
        Some(E::NotDone { .. }) => E::Unknown(json!({"v": 7, "kind": "teleported", "to": "mars"})),
        Some(E::Unknown(_)) => return None,
    })
}

fn samples() -> Vec<Evidence> {
    std::iter::successors(next(None), |evidence| next(Some(evidence))).collect()
}

#[test]
fn the_stored_form_of_each_kind_is_as_it_was_agreed() {
    let lines: Vec<String> = samples().iter().map(|evidence| serde_json::to_string(evidence).expect("written")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// The places of a JSON value that hold a text or a number.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{at}/{index}"), found)),
        Value::Object(members) => members.iter().for_each(|(key, item)| leaves(item, &format!("{at}/{key}"), found)),
        _ => found.push(at.to_owned()),
    }
}

/// The evidence with other texts and numbers wherever its kind allows them.
fn varied(sample: &Evidence, mut text: impl FnMut() -> String, mut number: impl FnMut() -> u64) -> Evidence {
    let mut value = sample.stored().expect("written");
    let mut places = Vec::new();
    leaves(&value, "", &mut places);
    for place in places {
        let Some(leaf) = value.pointer_mut(&place) else { continue };
        let other = match leaf {
            Value::String(_) => json!(text()),
            Value::Number(_) => json!(number()),
            _ => continue,
        };
        let before = std::mem::replace(leaf, other);
        if Evidence::known(&value).is_none()
            && let Some(leaf) = value.pointer_mut(&place)
        {
            *leaf = before;
        }
    }
    Evidence::known(&value).unwrap_or(Evidence::Unknown(value))
}

/// Any JSON value, often with the keys that evidence has.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0_u64..4).prop_map(Value::from), "[a-z]{0,4}".prop_map(Value::from)];
    let known = || prop_oneof![Just(json!("volumeSaved")), Just(json!("sealed")), Just(json!("isolated")), Just(json!(1))];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let key = prop_oneof![Just("v".to_owned()), Just("kind".to_owned()), Just("namespaces".to_owned()), Just("files".to_owned()), "[a-z]{1,3}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, prop_oneof![inner, known()], 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn evidence_of_any_kind_is_read_as_it_was_written(words in proptest::collection::vec(".{0,40}", 1..12), numbers in proptest::collection::vec(0..=u64::MAX / 2, 1..12)) {
        let (mut words, mut numbers) = (words.iter().cycle(), numbers.iter().cycle());
        for sample in samples() {
            let evidence = varied(&sample, || words.next().cloned().unwrap_or_default(), || numbers.next().copied().unwrap_or_default());
            prop_assert_eq!(evidence.unknown().is_some(), sample.unknown().is_some());
            let text = serde_json::to_string(&evidence).expect("written");
            prop_assert_eq!(serde_json::from_str::<Evidence>(&text).expect("read"), evidence);
        }
    }

    #[test]
    fn whatever_is_stored_is_kept(value in any_json()) {
        let Ok(evidence) = serde_json::from_value::<Evidence>(value.clone()) else {
            prop_assert!(value.is_null());
            return Ok(());
        };
        prop_assert_eq!(serde_json::to_value(evidence).expect("written"), value);
    }
}

#[test]
fn what_this_release_does_not_understand_wholly_is_unknown_and_says_so() {
    let known = json!({"v": 1, "kind": "volumeRestored", "files": 20, "bytes": 4096, "removed": 3, "removedBytes": 512});
    let read = serde_json::from_value::<Evidence>(known.clone()).expect("read");
    assert_eq!(read, Evidence::VolumeRestored { files: 20, bytes: 4096, removed: 3, removed_bytes: 512 });
    for (change, value, said) in [
        ("v", json!(2), r#"kind "volumeRestored", version 2;"#),
        ("v", json!("1"), r#"kind "volumeRestored", version "1";"#),
        ("kind", json!("volumeFolded"), r#"kind "volumeFolded", version 1;"#),
        ("kind", json!("unknown"), r#"kind "unknown", version 1;"#),
        ("files", json!("many"), r#"kind "volumeRestored", version 1;"#),
        ("folds", json!(3), r#"kind "volumeRestored", version 1;"#),
    ] {
        let mut stored = known.clone();
        stored[change] = value;
        let evidence: Evidence = serde_json::from_value(stored.clone()).expect("read");
        assert_eq!(evidence, Evidence::Unknown(stored));
        assert!(evidence.unknown().is_some_and(|text| text.starts_with(said)), "{:?}", evidence.unknown());
    }
    let old: Evidence = serde_json::from_value(json!({"files": 20})).expect("read");
    assert!(old.unknown().is_some_and(|text| text.starts_with("kind none, version none;")));
}
