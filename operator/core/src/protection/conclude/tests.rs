//! Every way in which a backup ends, and what its status then says.

mod restores;

use super::*;
use crate::{
    engine::{EVIDENCE_VERSION, Failure, LeftOutObjects, ObjectChange, RefusedObjects, SavedKind, SavedPart, StoredObject},
    protection::{
        backup::{self as backup_plan, BackupFacts, Claim},
        choose::RecoveryPoint,
        restore::{self as restore_plan, RestoreFacts},
    },
    recovery::bring_up::Subject,
    runs::{
        ClaimSnapshot,
        played::{End, Played, asked, play, start},
    },
};
use jiff::SignedDuration;
use p861_crds::{ApplicationSpec, Reason, RestoreSpec, common::ActionKind, protection::restore::RestoreChanges};
use restores::{brings, restored, restored_without};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A dumped database beside volumes that nothing quiesces.
const STREAM: &str =
    r#"{"streams": [{"name": "db", "workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "dump": ["pg_dump"], "restore": ["pg_restore"]}]}"#;
/// Volumes that hooks quiesce.
const HOOKS: &str = r#"{"hooks": {"quiesce": {"workloadRef": {"kind": "Deployment", "name": "cms"}, "command": ["stop"]},
    "resume": {"workloadRef": {"kind": "Deployment", "name": "cms"}, "command": ["go"]}}}"#;

fn application(data: &str) -> ApplicationSpec {
    let mut spec: Value = serde_json::from_str(data).expect("the data");
    spec["department"] = json!("d");
    spec["namespaces"] = json!(["shinan-portal"]);
    serde_json::from_value(spec).expect("a spec")
}

fn claims() -> Vec<Claim> {
    ["files", "uploads"].map(|name| Claim { namespace: "shinan-portal".into(), name: name.into() }).to_vec()
}

fn backed_up(data: &str, end_of: impl Fn(&str) -> End) -> Played {
    backed_up_until(data, &[], end_of)
}

fn backed_up_until(data: &str, actions: &[p861_crds::common::RunAction], end_of: impl Fn(&str) -> End) -> Played {
    backed_up_from(data, &[], actions, end_of)
}

fn backed_up_from(data: &str, snapshots: &[ClaimSnapshot], actions: &[p861_crds::common::RunAction], end_of: impl Fn(&str) -> End) -> Played {
    backed_up_without(&[], data, snapshots, actions, end_of)
}

fn backed_up_without(
    missing: &[MissingClaim],
    data: &str,
    snapshots: &[ClaimSnapshot],
    actions: &[p861_crds::common::RunAction],
    end_of: impl Fn(&str) -> End,
) -> Played {
    backed_up_after(None, missing, data, snapshots, actions, end_of)
}

fn backed_up_after(
    half_restored: Option<&str>,
    missing: &[MissingClaim],
    data: &str,
    snapshots: &[ClaimSnapshot],
    actions: &[p861_crds::common::RunAction],
    end_of: impl Fn(&str) -> End,
) -> Played {
    let facts = BackupFacts {
        backup: "b",
        application: "portal",
        district: "shinan",
        site: &"home".into(),
        spec: &application(data),
        claims: &claims(),
        missing,
        snapshots,
        half_restored,
        parent: None,
        deadline: SignedDuration::from_hours(6),
    };
    play(backup_plan::compile(&facts).expect("compiles"), actions, end_of)
}

fn works(step: &str) -> End {
    let (snapshot, recovery_point_time) = ("0a1b2c3d".into(), "2026-11-15T00:59:00Z".parse().expect("a time"));
    End::Done(match step {
        "seal/portal" => Some(Evidence::Sealed { snapshot, recovery_point_time, objects: 143, files: 7, bytes: 1024, added: 512 }),
        "verify/portal" => Some(Evidence::SnapshotVerified { snapshot, blobs: 9, packs: 1, bytes: 1024, not_ready: Vec::new() }),
        _ => None,
    })
}

fn but(step: &'static str, end: End) -> impl Fn(&str) -> End {
    move |this| if this == step { end.clone() } else { works(this) }
}

fn fails(reason: &str) -> End {
    End::Failed(Failure::permanent(Reason::from_text(reason), format!("{reason} happened")))
}

/// Type, status and reason of each update.
fn told(updates: &[ConditionUpdate]) -> Vec<(&str, Option<bool>, &str)> {
    updates.iter().map(|update| (update.kind.as_str(), update.status, update.reason.as_str())).collect()
}

#[test]
fn each_end_of_a_backup_has_its_conditions() {
    let abort = [asked(ActionKind::Abort, None)];
    let verified = ("Verified", Some(true), "Stored");
    for (case, run, expected) in [
        ("all works", backed_up(STREAM, works), vec![verified, ("Succeeded", Some(true), "Complete")]),
        ("a stream fails", backed_up(STREAM, but("save/portal/stream/db", fails("ReadErrors"))), vec![("Succeeded", Some(false), "ReadErrors")]),
        (
            "a volume fails",
            backed_up(STREAM, but("save/portal/volume/files", fails("ReadErrors"))),
            vec![verified, ("Succeeded", Some(false), "PartiallySaved")],
        ),
        ("the seal fails", backed_up(STREAM, but("seal/portal", fails("RepositoryRefused"))), vec![("Succeeded", Some(false), "RepositoryRefused")]),
        (
            "the verification fails",
            backed_up(STREAM, but("verify/portal", fails("Damaged"))),
            vec![("Verified", Some(false), "Damaged"), ("Succeeded", Some(false), "Damaged")],
        ),
        ("a volume is under way", backed_up(STREAM, but("save/portal/volume/files", End::Open)), vec![("Succeeded", None, "Running")]),
        ("the verification is under way", backed_up(STREAM, but("verify/portal", End::Open)), vec![("Succeeded", None, "Running")]),
        ("it is aborted", backed_up_until(STREAM, &abort, but("save/portal/volume/files", End::Open)), vec![("Succeeded", Some(false), "Aborted")]),
    ] {
        let concluded = backup(&BackupStatus::default(), &run.outcome());
        assert_eq!(told(&concluded.updates), expected, "{case}");
        assert!(concluded.findings.is_empty(), "{case}");
    }
}

#[test]
fn fault_e39_a_backup_whose_clean_up_a_person_skipped_says_what_is_left() {
    let unreachable = || End::Failed(Failure::transient(Reason::Unreachable, "no answer"));
    for (skips, ended) in [(2, false), (3, true)] {
        // A request before the third failure has no effect: the clean-up is tried again.
        let skips = vec![asked(ActionKind::Skip, Some("clean-up")); skips];
        let run = backed_up_until(STREAM, &skips, but("clean-up", unreachable()));
        let concluded = backup(&BackupStatus::default(), &run.outcome());
        let kinds = told(&concluded.updates);
        if ended {
            assert_eq!(kinds, [("Verified", Some(true), "Stored"), ("CleanedUp", Some(false), "StepSkipped"), ("Succeeded", Some(true), "Complete")]);
            let left = &concluded.updates[1].message;
            assert!(left.starts_with("a person skipped step clean-up, which leaves ") && left.contains("in shinan-portal on home"), "{left}");
        } else {
            assert_eq!(kinds, [("Verified", Some(true), "Stored"), ("Succeeded", None, "Running")]);
            assert_eq!(run.summary.refused_actions.len(), 2);
        }
    }
}

#[test]
fn a_sealed_backup_says_what_is_in_it() {
    for (data, expected, message) in [
        (STREAM, (Consistency::Crash, 2, 1), "143 objects, 2 volumes, 1 stream"),
        (HOOKS, (Consistency::Application, 2, 0), "143 objects, 2 volumes, 0 streams"),
    ] {
        let concluded = backup(&BackupStatus::default(), &backed_up(data, works).outcome());
        let status = concluded.status;
        let contents = status.contents.expect("contents");
        assert_eq!((status.consistency.expect("a consistency"), contents.volumes, contents.streams), expected);
        assert_eq!(status.site.as_deref(), Some("home"));
        assert_eq!(status.snapshot_id.as_deref(), Some("0a1b2c3d"));
        assert_eq!(status.recovery_point_time.map(|time| time.0.to_string()).as_deref(), Some("2026-11-15T00:59:00Z"));
        assert_eq!(status.size.map(|size| (size.total.0, size.added.map(|added| added.0))), Some(("1Ki".into(), Some("1Ki".into()))));
        assert_eq!(status.verification.as_ref().map(|it| it.level), Some(VerificationLevel::Stored));
        assert_eq!(concluded.updates.last().map(|update| update.message.as_str()), Some(message));
    }
}

#[test]
fn a_backup_says_how_many_volumes_are_as_of_a_snapshot_and_fails_if_none_can_be_taken() {
    let snapshot = ClaimSnapshot { namespace: "shinan-portal".into(), claim: "files".into(), class: "snap".into(), storage_class: "block".into(), bytes: 1 };
    let concluded = backup(&BackupStatus::default(), &backed_up_from(HOOKS, std::slice::from_ref(&snapshot), &[], works).outcome());
    let message = concluded.updates.last().map(|update| update.message.as_str());
    assert_eq!(message, Some("143 objects, 2 volumes (1 as of a volume snapshot), 0 streams"));
    let failed = backed_up_from(HOOKS, &[snapshot], &[], but("snapshot/portal", fails("SnapshotNotTaken")));
    let concluded = backup(&BackupStatus::default(), &failed.outcome());
    assert_eq!(told(&concluded.updates), vec![("Succeeded", Some(false), "SnapshotNotTaken")]);
}

#[test]
fn fault_a1_what_a_backup_left_out_stands_in_its_status_unless_it_comes_again_by_itself() {
    let left = |reason: &str, count: i64, name: &str| LeftOut { reason: reason.into(), count, names: vec![name.into()] };
    let part = SavedPart { part: "objects".into(), files: 1, bytes: 1, added: 1, started_at: start(), sha256: None, warnings: Vec::new(), warned: 0 };
    let left_out =
        vec![left("MadeByOwner", 7, "Pod n/web-1"), left("BeingDeleted", 2, "Secret n/a"), left("StaleDiscovery", 1, "every kind of metrics.k8s.io/v1beta1")];
    let saved = Evidence::ObjectsSaved {
        part,
        objects: 143,
        resources: 0,
        kinds: Vec::new(),
        left_out: left_out.clone(),
        left_out_names: Vec::new(),
        not_ready: Vec::new(),
    };
    let concluded = backup(&BackupStatus::default(), &backed_up(STREAM, but("save/portal/objects", End::Done(Some(saved)))).outcome());
    assert_eq!(concluded.status.contents.expect("contents").left_out, left_out[1..]);
    let message = concluded.updates.last().map(|update| update.message.as_str());
    let said = "143 objects, 2 volumes, 1 stream; left out: 2 BeingDeleted (Secret n/a, …), 1 StaleDiscovery (every kind of metrics.k8s.io/v1beta1)";
    assert_eq!(message, Some(said));
}

#[test]
fn fault_i8_files_that_changed_while_they_were_read_are_counted_in_the_status_and_the_first_are_named() {
    let saved = |part: &str, warned: u64, warnings: &[&str]| {
        let warnings = warnings.iter().map(|warning| (*warning).to_owned()).collect();
        Evidence::VolumeSaved(SavedPart { part: part.into(), files: 1, bytes: 1, added: 1, started_at: start(), sha256: None, warnings, warned })
    };
    for (warned, warnings, expected) in [
        (12, &["changed while it was read: /a", "vanished: /b"][..], Some(12)),
        // As a release before this one says it.
        (0, &["vanished: /b"][..], Some(1)),
        (0, &[][..], None),
    ] {
        let end = End::Done(Some(saved("volumes/files", warned, warnings)));
        let concluded = backup(&BackupStatus::default(), &backed_up(STREAM, but("save/portal/volume/files", end)).outcome());
        let changed = concluded.status.contents.expect("contents").changed_files;
        assert_eq!(changed.first().map(|changed| changed.count), expected, "{warned}");
        let Some(changed) = changed.first() else { continue };
        assert_eq!((changed.claim.as_str(), changed.first.iter().map(String::as_str).collect::<Vec<_>>()), ("shinan-portal/files", warnings.to_vec()));
    }
}

#[test]
fn fault_b12_a_backup_without_an_object_that_the_application_names_has_failed_and_says_where_the_rest_is() {
    let part = SavedPart { part: "objects".into(), files: 1, bytes: 1, added: 1, started_at: start(), sha256: None, warnings: Vec::new(), warned: 0 };
    let kind = |namespace: &str, kind: &str, count: u64| SavedKind {
        namespace: namespace.into(),
        group: String::new(),
        kind: kind.into(),
        version: "v1".into(),
        count,
    };
    let kinds = vec![kind("", "PersistentVolume", 2), kind("n", "Secret", 141)];
    let missing = LeftOut { reason: "Missing".into(), count: 1, names: vec!["PriorityClass gone".into()] };
    for (left_out, expected) in [(Vec::new(), (Some(true), "Complete")), (vec![missing], (Some(false), "ClusterResourceMissing"))] {
        let saved = Evidence::ObjectsSaved {
            part: part.clone(),
            objects: 143,
            resources: 2,
            kinds: kinds.clone(),
            left_out: left_out.clone(),
            left_out_names: Vec::new(),
            not_ready: Vec::new(),
        };
        let concluded = backup(&BackupStatus::default(), &backed_up(STREAM, but("save/portal/objects", End::Done(Some(saved)))).outcome());
        let succeeded = concluded.updates.last().expect("a condition");
        assert_eq!((succeeded.status, succeeded.reason.as_str()), expected);
        let contents = concluded.status.contents.expect("contents");
        assert_eq!((contents.objects, contents.cluster_objects, contents.left_out.is_empty()), (143, 2, left_out.is_empty()));
        if !left_out.is_empty() {
            assert_eq!(concluded.status.phase, Some(RunPhase::Failed));
            assert!(succeeded.message.contains("PriorityClass gone; create it") && succeeded.message.contains("snapshot 0a1b2c3d"), "{}", succeeded.message);
        }
    }
}

#[test]
fn fault_d5_a_backup_without_some_volumes_has_failed_and_says_which_and_why_and_where_the_rest_is() {
    let disk = MissingClaim { claim: "shinan-portal/disk".into(), reason: "ClaimNotReadable".into(), message: "is a block device, which has no files".into() };
    let named = |missing: &[MissingClaim]| missing.iter().map(|missing| (missing.claim.clone(), missing.reason.clone())).collect::<Vec<_>>();
    let said = |claim: &str, reason: &str| (format!("shinan-portal/{claim}"), reason.to_owned());
    let skip = [asked(ActionKind::Skip, Some("save/portal/volume/files"))];
    let (not_read, failed) = (std::slice::from_ref(&disk), "save/portal/volume/files");
    for (case, run, volumes, missing, message) in [
        (
            "it could not be read from the beginning",
            backed_up_without(not_read, STREAM, &[], &[], works),
            2,
            vec![said("disk", "ClaimNotReadable")],
            "1 volume was not saved: claim shinan-portal/disk is a block device, which has no files. Everything else is in snapshot 0a1b2c3d: ",
        ),
        (
            "its step fails",
            backed_up(HOOKS, but(failed, fails("ReadErrors"))),
            1,
            vec![said("files", "ReadErrors")],
            "1 volume was not saved: claim shinan-portal/files: ReadErrors happened. Everything else",
        ),
        (
            "both",
            backed_up_without(not_read, STREAM, &[], &[], but(failed, fails("ReadErrors"))),
            1,
            vec![said("disk", "ClaimNotReadable"), said("files", "ReadErrors")],
            "2 volumes were not saved: claim shinan-portal/disk is a block device, which has no files; claim shinan-portal/files: ReadErrors happened. ",
        ),
        (
            "a person skips it",
            backed_up_until(STREAM, &skip, but(failed, End::Open)),
            1,
            vec![said("files", "StepSkipped")],
            "1 volume was not saved: claim shinan-portal/files: a person skipped it: for the test. Everything else",
        ),
    ] {
        let concluded = backup(&BackupStatus::default(), &run.outcome());
        let status = &concluded.status;
        assert_eq!(told(&concluded.updates), [("Verified", Some(true), "Stored"), ("Succeeded", Some(false), "PartiallySaved")], "{case}");
        let update = concluded.updates.last().expect("a condition");
        assert!(
            update.message.starts_with(message) && update.message.contains("a Restore that names this Backup brings it back"),
            "{case}: {}",
            update.message
        );
        let never_read = missing.iter().any(|(_, reason)| reason == "ClaimNotReadable");
        assert_eq!(update.message.contains("in spec.volumes of the Application, with method Skip"), never_read, "fault_i11, {case}: {}", update.message);
        assert_eq!(status.snapshot_id.as_deref(), Some("0a1b2c3d"), "{case}: it is sealed");
        let contents = status.contents.clone().expect("contents");
        assert_eq!((contents.volumes, named(&contents.missing_claims)), (volumes, missing), "{case}");
        // As the controller stores it: its phase is the run's, or what the conclusion makes of it.
        let phase = if run.summary.result.as_ref().is_some_and(|(result, ..)| *result == RunResult::Succeeded) { status.phase } else { Some(RunPhase::Failed) };
        assert_eq!(phase, Some(RunPhase::Failed), "{case}");
    }
    // A snapshot that was found damaged is not offered, whatever it lacks besides.
    let damaged = backed_up_without(not_read, STREAM, &[], &[], but("verify/portal", fails("Damaged")));
    let concluded = backup(&BackupStatus::default(), &damaged.outcome());
    let update = concluded.updates.last().expect("a condition");
    assert_eq!(
        (update.reason.as_str(), update.message.as_str()),
        ("Damaged", "Damaged happened; it also lacks claim shinan-portal/disk is a block device, which has no files")
    );
}

#[test]
fn a_backup_is_whole_without_the_files_of_a_claim_that_nothing_has_mounted_yet_and_names_it() {
    let unused = MissingClaim { claim: "shinan-portal/new".into(), reason: "ClaimUnused".into(), message: "it had no volume when the backup was taken".into() };
    let run = backed_up_without(std::slice::from_ref(&unused), STREAM, &[], &[], works);
    let concluded = backup(&BackupStatus::default(), &run.outcome());
    assert_eq!(told(&concluded.updates), [("Verified", Some(true), "Stored"), ("Succeeded", Some(true), "Complete")]);
    let message = &concluded.updates.last().expect("a condition").message;
    assert!(message.ends_with("; no data of claim shinan-portal/new: it had no volume when the backup was taken"), "{message}");
    assert_eq!(concluded.status.contents.expect("contents").missing_claims, std::slice::from_ref(&unused));
    let restored = restored_without(std::slice::from_ref(&unused), RestoreMode::Preview, false, brings);
    let message = &restored.updates[0].message;
    assert!(message.contains("; the backup has no data of claim shinan-portal/new: it had no volume when the backup was taken"), "{message}");
}

#[test]
fn fault_d5_a_restore_of_a_partial_backup_says_beforehand_and_afterwards_what_the_backup_lacks() {
    let disk = MissingClaim { claim: "shinan-portal/disk".into(), reason: "ClaimNotReadable".into(), message: "is a block device, which has no files".into() };
    for mode in [RestoreMode::Preview, RestoreMode::Execute] {
        let concluded = restored_without(std::slice::from_ref(&disk), mode, false, brings);
        assert_eq!(concluded.status.missing_claims, std::slice::from_ref(&disk), "{mode:?}");
        let message = &concluded.updates[0].message;
        assert!(message.contains("; the backup has no data of claim shinan-portal/disk, which is a block device"), "{mode:?}: {message}");
    }
}

#[test]
fn an_unsealed_backup_has_no_snapshot_to_offer() {
    let status = backup(&BackupStatus::default(), &backed_up(STREAM, but("save/portal/stream/db", fails("ReadErrors"))).outcome()).status;
    assert_eq!((status.snapshot_id, status.recovery_point_time, status.contents, status.verification), (None, None, None, None));
}

/// Evidence of a later release, as an older one reads it from the journal.
fn of_later_release() -> End {
    let stored = json!({"v": EVIDENCE_VERSION + 1, "kind": "sealed", "snapshot": "0a1b2c3d"});
    End::Done(Some(serde_json::from_value(stored).expect("kept")))
}

#[test]
fn a_run_whose_evidence_cannot_be_read_has_not_succeeded() {
    let but = |step: &'static str, end: End| move |this: &str| if this == step { end.clone() } else { works(this) };
    let unreadable = ("Succeeded", Some(false), "EvidenceUnreadable");
    for (case, step, end, verified) in [
        ("the seal is of a later release", "seal/portal", of_later_release(), ("Verified", Some(true), "Stored")),
        ("the seal proves nothing", "seal/portal", End::Done(None), ("Verified", Some(true), "Stored")),
        ("a volume is of a later release", "save/portal/volume/files", of_later_release(), ("Verified", Some(true), "Stored")),
        ("the verification is of a later release", "verify/portal", of_later_release(), ("Verified", Some(false), "EvidenceUnreadable")),
    ] {
        let concluded = backup(&BackupStatus::default(), &backed_up(STREAM, but(step, end)).outcome());
        assert_eq!(told(&concluded.updates), [verified, unreadable], "{case}");
        let status = concluded.status;
        assert_eq!(status.phase, Some(RunPhase::Failed), "{case}");
        assert_eq!(status.snapshot_id.is_some(), step != "seal/portal", "{case}");
        assert_eq!(status.verification.is_some(), step != "verify/portal", "{case}");
    }
    for (case, step, end) in [
        ("the objects are of a later release", "restore/portal/objects", of_later_release()),
        ("the objects prove nothing", "restore/portal/objects", End::Done(None)),
        ("a volume is of a later release", "restore/portal/volume/files", of_later_release()),
    ] {
        let ends = move |this: &str| if this == step { end.clone() } else { brings(this) };
        let concluded = restored(RestoreMode::Execute, ends);
        assert_eq!(told(&concluded.updates), [unreadable], "{case}");
        assert_eq!(concluded.status.phase, Some(RunPhase::Failed), "{case}");
        assert!(concluded.updates[0].message.contains(step), "{case}: {}", concluded.updates[0].message);
    }
}
