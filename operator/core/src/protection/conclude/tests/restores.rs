//! Every way in which a restore ends, and what its status then says.

use super::*;

pub(super) fn restored(mode: RestoreMode, end_of: impl Fn(&str) -> End) -> Conclusion<RestoreStatus> {
    restored_of(mode, false, end_of)
}

fn restored_of(mode: RestoreMode, reads_damaged_anew: bool, end_of: impl Fn(&str) -> End) -> Conclusion<RestoreStatus> {
    restored_without(&[], mode, reads_damaged_anew, end_of)
}

pub(super) fn restored_without(
    missing: &[MissingClaim],
    mode: RestoreMode,
    reads_damaged_anew: bool,
    end_of: impl Fn(&str) -> End,
) -> Conclusion<RestoreStatus> {
    restored_until(&[], missing, mode, reads_damaged_anew, end_of)
}

fn restored_until(
    actions: &[p861_crds::common::RunAction],
    missing: &[MissingClaim],
    mode: RestoreMode,
    reads_damaged_anew: bool,
    end_of: impl Fn(&str) -> End,
) -> Conclusion<RestoreStatus> {
    let run = run_of(actions, mode, end_of);
    let in_place = (mode == RestoreMode::Execute).then_some(InPlace { application: "portal", is_whole: true });
    let (before, writes) = (RestoreStatus::default(), ["shinan-portal".to_owned()]);
    restore(
        &RestoreConclusionFacts { mode, before: &before, backup: "b", reads_damaged_anew, missing, in_place, writes: &writes, quiesced: false },
        &run.outcome(),
    )
}

fn run_of(actions: &[p861_crds::common::RunAction], mode: RestoreMode, end_of: impl Fn(&str) -> End) -> Played {
    let spec: RestoreSpec = serde_json::from_value(json!({"source": {"backupRef": {"name": "b"}}, "mode": mode})).expect("a spec");
    let point = RecoveryPoint { backup: "b".into(), snapshot: "s".into(), time: start(), repository: "r".into(), level: None, site: None };
    let application = application(STREAM);
    let subject = Subject { name: "portal", spec: &application, point, claims: claims() };
    let parts = ["objects".into(), "streams/db".into()];
    let facts = RestoreFacts {
        spec: &spec,
        subject,
        parts: &parts,
        is_partial: false,
        unused: &[],
        district: "shinan",
        site: &"home".into(),
        present: &claims(),
        hidden: &[],
        deadline: SignedDuration::from_hours(6),
        platform: None,
    };
    play(restore_plan::compile(&facts).expect("compiles"), actions, end_of)
}

#[test]
fn fault_i2_only_what_may_have_written_leaves_a_mixture_and_the_message_says_what_the_status_says() {
    let but = |step: &'static str, end: End| move |this: &str| if this == step { end.clone() } else { brings(this) };
    let untouched = || End::Failed(Failure::permanent(Reason::MoverUnschedulable, "no node takes its mover").and_untouched(true));
    let aborted = |open: &'static str| restored_until(&[asked(ActionKind::Abort, None)], &[], RestoreMode::Execute, false, but(open, End::Open));
    let (partly, all) = ("The application's data is partly that of backup b", "All data of backup b was written before");
    for (case, concluded, data, says) in [
        ("no mover could begin to write", restored(RestoreMode::Execute, but("restore/portal/objects", untouched())), None, None),
        (
            "objects are written, and a volume is certainly as it was",
            restored(RestoreMode::Execute, but("restore/portal/volume/files", untouched())),
            Some(RestoredData::Partly),
            Some(partly),
        ),
        ("it may have written", restored(RestoreMode::Execute, but("restore/portal/objects", fails("MoverLost"))), Some(RestoredData::Partly), Some(partly)),
        ("aborted while volumes are written", aborted("restore/portal/volume/files"), Some(RestoredData::Partly), Some(partly)),
        ("aborted after all was written", aborted("restore/portal/objects-again"), None, Some(all)),
    ] {
        let expected = data.map(|data| RestoredInPlace { application: "portal".into(), data });
        assert_eq!(concluded.status.in_place, expected, "{case}");
        let message = &concluded.updates[0].message;
        for words in [partly, all] {
            assert_eq!(message.contains(words), says == Some(words), "{case}: {message}");
        }
    }
}

#[test]
fn fault_i4_a_restore_elsewhere_says_what_it_has_left_there_and_what_stays_stopped_with_the_command() {
    let facts = |writes: &'static [String], before: &'static RestoreStatus| RestoreConclusionFacts {
        mode: RestoreMode::Execute,
        before,
        backup: "b",
        reads_damaged_anew: false,
        missing: &[],
        in_place: None,
        writes,
        quiesced: false,
    };
    let (writes, before): (&'static [String], _) = (Box::leak(Box::new(["portal-look".to_owned()])), Box::leak(Box::new(RestoreStatus::default())));
    let mut run =
        run_of(&[asked(ActionKind::Abort, None)], RestoreMode::Execute, |step| if step == "restore/portal/volume/files" { End::Open } else { brings(step) });
    let left = Evidence::WorkloadsLeft {
        again: Vec::new(),
        made: vec!["portal-look".into()],
        workloads: 2,
        stopped: vec!["portal-look/Deployment/web 2".into(), "portal-look/CronJob/nightly running".into()],
    };
    let stop = run.summary.timeline.iter_mut().find(|step| step.id.as_str() == "stop/portal").expect("a stop");
    stop.evidence = Some(left);
    let message = restore(&facts(writes, before), &run.outcome()).updates[0].message.clone();
    assert!(!message.contains("started again") && !message.contains("The application's data"), "nothing of the application was touched: {message}");
    for words in [
        ". In portal-look there is a part of backup b (begun: restore/portal/objects, ",
        "restore again with spec.conflictPolicy Merge, or remove it",
        ". Left stopped in portal-look, which this restore has made: 2 workloads (portal-look/Deployment/web 2, portal-look/CronJob/nightly running). ",
        "or remove them: kubectl delete namespace portal-look",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn fault_c9_a_restore_that_ends_half_way_in_place_says_so_and_one_that_wrote_nothing_or_everything_does_not() {
    let but = |step: &'static str, end: End| move |this: &str| if this == step { end.clone() } else { brings(this) };
    for (case, concluded, data) in [
        ("all works", restored(RestoreMode::Execute, brings), Some(RestoredData::Whole)),
        ("a preview", restored(RestoreMode::Preview, brings), None),
        ("nothing was stopped", restored(RestoreMode::Execute, but("stop/portal", fails("WorkloadNotStopped"))), None),
        (
            "objects are in the way",
            restored(RestoreMode::Execute, but("restore/portal/objects", End::Failed(Failure::refused(Reason::Conflicts, "3 objects differ")))),
            None,
        ),
        ("the first step that writes fails", restored(RestoreMode::Execute, but("restore/portal/objects", fails("Damaged"))), Some(RestoredData::Partly)),
        ("a volume fails", restored(RestoreMode::Execute, but("restore/portal/volume/files", fails("ReadErrors"))), Some(RestoredData::Partly)),
        (
            "its streams come never, since it can't start",
            restored(RestoreMode::Execute, but("start/portal/rest", fails("ImageMissing"))),
            Some(RestoredData::Partly),
        ),
        ("only the second try at some objects fails", restored(RestoreMode::Execute, but("restore/portal/objects-again", fails("Unreachable"))), None),
        (
            "some objects could not be written",
            restored(RestoreMode::Execute, |step| match step {
                "restore/portal/objects" => {
                    End::Done(Some(written(RestoreChanges { create: 5, refused: 1, ..RestoreChanges::default() }, Some("Ingress"), &[])))
                }
                step => brings(step),
            }),
            None,
        ),
    ] {
        let expected = data.map(|data| RestoredInPlace { application: "portal".into(), data });
        assert_eq!(concluded.status.in_place, expected, "{case}: {:?}", concluded.updates);
    }
}

#[test]
fn fault_c9_a_backup_of_a_half_restored_application_says_so_in_its_status() {
    let run = backed_up(STREAM, works);
    assert_eq!(concluded_of(&run).0, None);
    let mixture = backed_up_after(Some("restore-1"), &[], STREAM, &[], &[], works);
    let (half, updates) = concluded_of(&mixture);
    assert_eq!(half.as_deref(), Some("restore-1"));
    let succeeded = updates.iter().find(|update| update.kind == ConditionType::Succeeded).expect("Succeeded");
    assert_eq!((succeeded.status, succeeded.reason.as_str()), (Some(true), "HalfRestored"));
    assert!(succeeded.message.contains("Restore restore-1 had ended half way"), "{}", succeeded.message);
}

fn concluded_of(run: &Played) -> (Option<String>, Vec<ConditionUpdate>) {
    let concluded = backup(&BackupStatus::default(), &run.outcome());
    (concluded.status.half_restored, concluded.updates)
}

/// The objects of a restore, the first that was refused, and how many were of kinds that are not served.
fn written(changes: RestoreChanges, refused: Option<&str>, not_served: &[(&str, u64)]) -> Evidence {
    let list = StoredObject { sha256: "a".into(), bytes: 1 };
    let first = |kind: &str| ListedChange {
        action: ObjectChange::Refused,
        group: String::new(),
        kind: kind.into(),
        namespace: "n".into(),
        name: "x".into(),
        why: "no".into(),
        awaits: None,
        diff: String::new(),
        manifest: None,
    };
    let refused = refused.map(|kind| RefusedObjects { first: first(kind), listed: 1, list, awaiting: 0 });
    let not_served = not_served.iter().map(|(kind, number)| ((*kind).to_owned(), *number)).collect();
    let adjusted = BTreeMap::new();
    Evidence::ObjectsRestored { changes, left_out: BTreeMap::new(), left_out_names: None, not_served, adjusted, refused, patches_unmatched: Vec::new() }
}

#[test]
fn fault_b13_a_restore_that_could_not_write_all_goes_on_and_ends_failed_with_the_first_and_the_count() {
    let ends = |refused: i64, not_served: &'static [(&str, u64)]| {
        let number = not_served.iter().map(|(_, number)| i64::try_from(*number).unwrap()).sum();
        let changes = RestoreChanges { create: 5, refused, not_served: number, ..RestoreChanges::default() };
        restored(RestoreMode::Execute, move |step| match step {
            "restore/portal/objects" => End::Done(Some(written(changes.clone(), Some("Ingress"), not_served))),
            step => brings(step),
        })
    };
    let unserved = "3 objects are of kinds that the site doesn't serve (Gadget.demo.example 1, Widget.demo.example 2): install what defines them, or leave them out with spec.exclude";
    for (refused, not_served, expected) in [
        (2, &[][..], "2 objects were not written, the first Ingress x in n: no; everything else was".to_owned()),
        (
            0,
            &[("Widget.demo.example", 2), ("Gadget.demo.example", 1)][..],
            format!("3 objects were not written, the first Ingress x in n: no; {unserved}; everything else was"),
        ),
    ] {
        let concluded = ends(refused, not_served);
        let update = &concluded.updates[0];
        assert_eq!((update.status, update.reason.as_str(), update.message.as_str()), (Some(false), "PartiallyRestored", expected.as_str()));
        assert_eq!(concluded.status.phase, Some(RunPhase::Failed));
        assert_eq!(concluded.status.changes.map(|changes| changes.refused), Some(refused));
    }
}

/// The same, with what was left out for one reason, and its first names.
fn leaving(evidence: Evidence, count: u64, reason: &str, names: &[&str]) -> Evidence {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let (of_reason, first) = (BTreeMap::from([(reason.to_owned(), count)]), BTreeMap::from([(reason.to_owned(), names)]));
    let names = |lists: usize| Some(LeftOutObjects { first: first.clone(), listed: count, lists: vec![StoredObject { sha256: "b".into(), bytes: 1 }; lists] });
    match evidence {
        Evidence::ObjectsRestored { changes, not_served, adjusted, refused, patches_unmatched, .. } => {
            Evidence::ObjectsRestored { changes, left_out: of_reason, left_out_names: names(1), not_served, adjusted, refused, patches_unmatched }
        }
        Evidence::RestorePreviewed { changes, listed, lists, not_served, adjusted, .. } => {
            Evidence::RestorePreviewed { changes, listed, lists, left_out: of_reason, left_out_names: names(0), not_served, adjusted }
        }
        other => other,
    }
}

#[test]
fn fault_a_what_a_restore_left_out_is_named_in_its_status_and_its_message_whatever_its_end() {
    let skip = "it is there and different: conflictPolicy Skip leaves it";
    let changes = || RestoreChanges { create: 5, change: 1, same: 2, ..RestoreChanges::default() };
    let previewed = Evidence::RestorePreviewed {
        changes: changes(),
        listed: 0,
        lists: Vec::new(),
        left_out: BTreeMap::new(),
        left_out_names: None,
        not_served: BTreeMap::new(),
        adjusted: BTreeMap::new(),
    };
    let partial = RestoreChanges { refused: 1, ..changes() };
    for (mode, evidence, message) in [
        (
            RestoreMode::Execute,
            written(changes(), None, &[]),
            format!("5 objects created, 1 changed, 2 the same; 40 files; 3 left out: 3 {skip} (Secret n/a, …)"),
        ),
        (
            RestoreMode::Execute,
            written(partial, Some("Ingress"), &[]),
            format!("1 object was not written, the first Ingress x in n: no; everything else was; 3 left out: 3 {skip} (Secret n/a, …)"),
        ),
        (RestoreMode::Preview, previewed, format!("would create 5, change 1; 2 same, 0 refused; 3 would be left out: 3 {skip} (Secret n/a, …)")),
    ] {
        let evidence = leaving(evidence, 3, skip, &["Secret n/a", "Secret n/b", "Secret n/c"]);
        let concluded = restored(mode, move |step| match step {
            "restore/portal/objects" => End::Done(Some(evidence.clone())),
            step if mode == RestoreMode::Execute => brings(step),
            _ => End::Done(None),
        });
        assert_eq!(concluded.updates[0].message, message, "{mode:?}");
        let names = ["Secret n/a", "Secret n/b", "Secret n/c"].map(str::to_owned).to_vec();
        assert_eq!(concluded.status.left_out, [LeftOut { reason: skip.into(), count: 3, names }], "{mode:?}");
    }
}

#[test]
fn what_is_written_otherwise_than_it_was_saved_is_told_by_the_preview_and_whatever_the_end() {
    let how = || BTreeMap::from([("without rights of people (RoleBinding n/all)".to_owned(), 1)]);
    let changes = || RestoreChanges { create: 5, ..RestoreChanges::default() };
    let but_for = |evidence: Evidence| match evidence {
        Evidence::ObjectsRestored { changes, left_out, left_out_names, not_served, refused, patches_unmatched, .. } => {
            Evidence::ObjectsRestored { changes, left_out, left_out_names, not_served, adjusted: how(), refused, patches_unmatched }
        }
        other => other,
    };
    let (lists, left_out, not_served) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let previewed = Evidence::RestorePreviewed { changes: changes(), listed: 0, lists, left_out, left_out_names: None, not_served, adjusted: how() };
    let partial = RestoreChanges { refused: 1, ..changes() };
    for (mode, evidence, before) in [
        (RestoreMode::Execute, but_for(written(changes(), None, &[])), "5 objects created, 0 changed, 0 the same; 40 files"),
        (RestoreMode::Execute, but_for(written(partial, Some("Ingress"), &[])), "1 object was not written, the first Ingress x in n: no; everything else was"),
        (RestoreMode::Preview, previewed, "would create 5, change 0; 0 same, 0 refused"),
    ] {
        let concluded = restored(mode, move |step| match step {
            "restore/portal/objects" => End::Done(Some(evidence.clone())),
            step if mode == RestoreMode::Execute => brings(step),
            _ => End::Done(None),
        });
        assert_eq!(concluded.updates[0].message, format!("{before}; 1 × without rights of people (RoleBinding n/all)"), "{mode:?}");
    }
}

#[test]
fn fault_b13_a_second_try_after_the_start_says_how_the_run_ends() {
    let before =
        || written(RestoreChanges { create: 5, refused: 2, not_served: 1, ..RestoreChanges::default() }, Some("Ingress"), &[("Widget.demo.example", 1)]);
    let all = written(RestoreChanges { create: 8, ..RestoreChanges::default() }, None, &[]);
    let some = written(RestoreChanges { create: 7, refused: 1, ..RestoreChanges::default() }, Some("Ingress"), &[]);
    let none = "3 objects were not written, the first Ingress x in n: no; 1 object is of kinds that the site doesn't serve (Widget.demo.example 1): install what defines them, or leave them out with spec.exclude; everything else was";
    for (case, again, expected, created) in [
        ("all is there now", End::Done(Some(all)), (Some(true), "Complete", "8 objects created, 0 changed, 0 the same; 40 files"), 8),
        (
            "one is not",
            End::Done(Some(some)),
            (Some(false), "PartiallyRestored", "1 object was not written, the first Ingress x in n: no; everything else was"),
            7,
        ),
        ("nothing was worth a try", End::Done(None), (Some(false), "PartiallyRestored", none), 5),
        ("the try failed", fails("Unreachable"), (Some(false), "Unreachable", "step restore/portal/objects-again failed: Unreachable happened"), 5),
    ] {
        let concluded = restored(RestoreMode::Execute, move |step| match step {
            "restore/portal/objects" => End::Done(Some(before())),
            "restore/portal/objects-again" => again.clone(),
            step => brings(step),
        });
        let update = &concluded.updates[0];
        assert_eq!((update.status, update.reason.as_str()), (expected.0, expected.1), "{case}: {}", update.message);
        assert!(update.message.starts_with(expected.2), "{case}: {}", update.message);
        assert_eq!(concluded.status.changes.map(|changes| changes.create), Some(created), "{case}");
    }
}

pub(super) fn brings(step: &str) -> End {
    let changes = RestoreChanges { create: 137, change: 1, same: 5, ..RestoreChanges::default() };
    End::Done(match step {
        "restore/portal/objects" => Some(written(changes, None, &[])),
        step if step.starts_with("restore/portal/volume/") => Some(Evidence::VolumeRestored { files: 20, bytes: 4096, removed: 0, removed_bytes: 0 }),
        _ => None,
    })
}

#[test]
fn each_end_of_a_restore_has_its_condition() {
    let but = |step: &'static str, end: End| move |this: &str| if this == step { end.clone() } else { brings(this) };
    for (case, concluded, expected, finding) in [
        ("all works", restored(RestoreMode::Execute, brings), (Some(true), "Complete", "137 objects created, 1 changed, 5 the same; 40 files"), None),
        ("a preview", restored(RestoreMode::Preview, brings), (Some(true), "Previewed", "would create 137, change 1; 5 same, 0 refused"), None),
        (
            "objects are refused",
            restored(RestoreMode::Execute, but("restore/portal/objects", End::Failed(Failure::refused(Reason::Conflicts, "3 objects differ")))),
            (Some(false), "Conflicts", "step restore/portal/objects failed: 3 objects differ; what ran before was started again"),
            None,
        ),
        (
            "the data is damaged",
            restored(RestoreMode::Execute, but("restore/portal/objects", fails("Damaged"))),
            (
                Some(false),
                "Damaged",
                "step restore/portal/objects failed: Damaged happened; what ran before was started again. The application's data is partly that of backup b (begun: restore/portal/objects): restore again, this backup or another",
            ),
            Some("b"),
        ),
        (
            "something can't be stopped",
            restored(RestoreMode::Execute, but("stop/portal", End::Failed(Failure::permanent(Reason::WorkloadNotStopped, "it can't")))),
            (Some(false), "WorkloadNotStopped", "step stop/portal failed: it can't; what ran before was started again"),
            None,
        ),
        ("objects are under way", restored(RestoreMode::Execute, but("restore/portal/objects", End::Open)), (None, "Running", "restore/portal/objects"), None),
    ] {
        let update = &concluded.updates[0];
        assert_eq!((update.status, update.reason.as_str(), update.message.as_str()), expected, "{case}");
        assert_eq!(concluded.findings.first().map(|finding| finding.backup.as_str()), finding, "{case}");
        assert!(concluded.findings.iter().all(|finding| finding.update.reason == Reason::Damaged && finding.level.is_none()), "{case}");
    }
}

#[test]
fn fault_i5_a_restore_that_waits_says_for_what_and_one_that_has_ended_for_what_it_did_not_wait() {
    let but = |step: &'static str, end: End| move |this: &str| if this == step { end.clone() } else { brings(this) };
    for (said, expected) in [
        (Some("1 of 2 ready; waits for Deployment/web 0/1"), "start/portal/rest: 1 of 2 ready; waits for Deployment/web 0/1"),
        (Some(crate::engine::UNDER_WAY), "start/portal/rest"),
        (None, "start/portal/rest"),
    ] {
        let mut run = run_of(&[], RestoreMode::Execute, but("start/portal/rest", End::Open));
        let step = StepKey::start_rest("portal").id().expect("an id");
        run.progress = said.map(|said| (step, crate::engine::StepProgress::message(said))).into_iter().collect();
        let (before, writes) = (RestoreStatus::default(), ["shinan-portal".to_owned()]);
        let facts = RestoreConclusionFacts {
            mode: RestoreMode::Execute,
            before: &before,
            backup: "b",
            reads_damaged_anew: false,
            missing: &[],
            in_place: None,
            writes: &writes,
            quiesced: false,
        };
        assert_eq!(restore(&facts, &run.outcome()).updates[0].message, expected, "{said:?}");
    }
    let ready = Evidence::WorkloadsReady { workloads: 2, ready: Vec::new(), not_awaited: vec!["Deployment/old 0/1".into()] };
    let concluded = restored(RestoreMode::Execute, but("start/portal/rest", End::Done(Some(ready))));
    let said = "137 objects created, 1 changed, 5 the same; 40 files; not ready when the backup was taken, and not waited for: Deployment/old 0/1";
    assert_eq!((concluded.updates[0].status, concluded.updates[0].message.as_str()), (Some(true), said));
}

#[test]
fn fault_i9_a_preview_says_that_what_quiesced_the_application_comes_back_and_nothing_else_does() {
    let (before, writes) = (RestoreStatus::default(), ["shinan-portal".to_owned()]);
    for (mode, quiesced, said) in [(RestoreMode::Preview, true, true), (RestoreMode::Preview, false, false), (RestoreMode::Execute, true, false)] {
        let facts =
            RestoreConclusionFacts { mode, before: &before, backup: "b", reads_damaged_anew: false, missing: &[], in_place: None, writes: &writes, quiesced };
        let concluded = restore(&facts, &run_of(&[], mode, brings).outcome());
        assert_eq!(concluded.updates[0].message.ends_with(QUIESCED), said, "{mode:?} {quiesced}");
    }
}

#[test]
fn fault_c4_removed_files_are_counted_in_the_status_and_told_beforehand() {
    let first = vec!["shell.php".into()];
    let found = Evidence::VolumePreviewed { removed: 3, changed: 12, created: 2, first };
    let removed = Evidence::VolumeRestored { files: 20, bytes: 4096, removed: 3, removed_bytes: 512 };
    for (mode, evidence, message) in [
        (RestoreMode::Preview, found, "would create 137, change 1; 5 same, 0 refused; in 2 volumes, 6 files would be removed, 24 changed, 4 created"),
        (RestoreMode::Execute, removed, "137 objects created, 1 changed, 5 the same; 40 files; 6 files removed that the backup doesn't have (1024 bytes)"),
    ] {
        let concluded = restored(mode, |step| if step.starts_with("restore/portal/volume/") { End::Done(Some(evidence.clone())) } else { brings(step) });
        assert_eq!(concluded.status.files_removed, Some(6), "{mode:?}");
        assert_eq!(concluded.updates[0].message, message, "{mode:?}");
    }
    let nothing = restored(RestoreMode::Execute, brings);
    assert_eq!(nothing.status.files_removed, Some(0));
    assert_eq!(nothing.updates[0].message, "137 objects created, 1 changed, 5 the same; 40 files");
}

#[test]
fn fault_a8_a_backup_that_was_called_damaged_and_comes_whole_is_sound_again() {
    let but = |step: &'static str, end: End| move |this: &str| if this == step { end.clone() } else { brings(this) };
    let verdict = |concluded: Conclusion<RestoreStatus>| concluded.findings.into_iter().next().map(|finding| (finding.update.status, finding.update.reason));
    let execute = RestoreMode::Execute;
    let partial = written(RestoreChanges { create: 136, refused: 1, ..RestoreChanges::default() }, Some("Ingress"), &[]);
    for (case, concluded, expected) in [
        ("all of it came", restored_of(execute, true, brings), Some((Some(true), Reason::Stored))),
        ("a preview reads no volume", restored_of(RestoreMode::Preview, true, brings), None),
        ("it is damaged still", restored_of(execute, true, but("restore/portal/objects", fails("Damaged"))), Some((Some(false), Reason::Damaged))),
        ("another failure proves nothing", restored_of(execute, true, but("restore/portal/objects", fails("Conflicts"))), None),
        ("not all of it could be written", restored_of(execute, true, but("restore/portal/objects", End::Done(Some(partial)))), None),
        ("it has not ended", restored_of(execute, true, but("restore/portal/objects", End::Open)), None),
        ("evidence of a later release", restored_of(execute, true, but("restore/portal/volume/files", of_later_release())), None),
        ("nobody called it damaged", restored_of(execute, false, brings), None),
    ] {
        assert_eq!(verdict(concluded), expected, "{case}");
    }
}

#[test]
fn fault_e39_a_restore_whose_clean_up_a_person_skipped_says_what_is_left() {
    // The first two come before it has failed three times, and have no effect.
    let skips = vec![asked(ActionKind::Skip, Some("clean-up")); 3];
    let unreachable = |this: &str| if this == "clean-up" { End::Failed(Failure::transient(Reason::Unreachable, "no answer")) } else { brings(this) };
    let concluded = restored_until(&skips, &[], RestoreMode::Execute, false, unreachable);
    assert_eq!(told(&concluded.updates), [("Succeeded", Some(false), "StepSkipped"), ("CleanedUp", Some(false), "StepSkipped")]);
    let left = &concluded.updates[1].message;
    let said = "a person skipped step clean-up, which leaves ServiceAccounts, RoleBindings and Jobs of the run in shinan-portal on home";
    assert!(left.starts_with(said), "{left}");
}
