//! What a restore is compiled to, of everything and of parts.

use super::*;
use crate::{
    protection::{choose::RecoveryPoint, claims::claims_in},
    runs::{ExtraFiles, MoverTask, ObjectsMode, RefusedFiles},
};
use serde_json::{Value, json};

fn plan(spec: &Value) -> Result<Plan<Action>, CompileError> {
    plan_from(spec, &["objects", "streams/db", "volumes/data-0", "volumes/files"])
}

/// Compiles a restore of a backup with these parts, which the snapshot names.
fn plan_from(spec: &Value, parts: &[&str]) -> Result<Plan<Action>, CompileError> {
    plan_of(spec, parts, false)
}

fn plan_of(spec: &Value, parts: &[&str], is_partial: bool) -> Result<Plan<Action>, CompileError> {
    let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    let application: ApplicationSpec = serde_json::from_value(json!({
        "department": "d", "namespaces": ["n"], "volumes": [{"claim": "data-*", "method": "Skip"}, {"claim": "files"}],
        "tiers": [{"name": "data", "workloadRefs": [{"kind": "StatefulSet", "name": "postgres"}]}],
        "streams": [{"name": "db", "workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "dump": ["dump"], "restore": ["load"]}],
        "checks": [{"name": "login", "tcp": {"serviceName": "web", "port": 80}}]}))
    .expect("a spec");
    let mut whole = json!({"source": {"backupRef": {"name": "b"}}});
    whole.as_object_mut().expect("an object").extend(spec.as_object().expect("an object").clone());
    let spec: RestoreSpec = serde_json::from_value(whole).expect("a spec");
    let point = RecoveryPoint { backup: "b".into(), snapshot: "s".into(), time: jiff::Timestamp::UNIX_EPOCH, repository: "r".into(), level: None, site: None };
    let subject = Subject { name: "a", spec: &application, point, claims: claims_in(&parts, "n") };
    let claim = |namespace: &str, name: &str| Claim { namespace: namespace.into(), name: name.into() };
    // What is there and can be looked into, and what can't.
    let present = [claim("n", "files"), claim("n", "data-0"), claim("there", "files")];
    let hidden = [(claim("busy", "files"), Unreadable::InUse("web-0".into())), (claim("new", "files"), Unreadable::Unbound("Pending".into()))];
    let deadline = SignedDuration::from_hours(1);
    let site = "s".into();
    let (present, hidden, platform) = (&present, &hidden, None);
    let facts = RestoreFacts { spec: &spec, subject, parts: &parts, is_partial, unused: &[], district: "d", site: &site, present, hidden, deadline, platform };
    compile(&facts)
}

fn compiled(spec: &Value) -> Result<Vec<String>, CompileError> {
    Ok(steps_of(&plan(spec)?))
}

fn steps_of(plan: &Plan<Action>) -> Vec<String> {
    plan.steps().iter().map(|step| step.id.to_string()).filter(|id| id != "verify/a" && id != "clean-up" && id != "prepare").collect()
}

#[test]
fn fault_h12_a_restore_beside_the_running_application_is_a_second_writer() {
    let application: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["a", "b"]})).expect("a spec");
    let (there, deployments) = (json!({"siteRef": {"name": "standby"}}), json!([{"group": "apps", "kind": "Deployment"}]));
    let mapped = |to: [&str; 2]| json!({"siteRef": {"name": "standby"}, "namespaceMappings": [{"from": "a", "to": to[0]}, {"from": "b", "to": to[1]}]});
    for (what, target, select, site) in [
        ("all of it on the other site", there.clone(), json!({}), Some("standby")),
        ("a part of it that runs", there.clone(), json!({"resources": deployments}), Some("standby")),
        ("every kind", there.clone(), json!({"resources": [{"kind": "*"}]}), Some("standby")),
        ("a part of it that runs nothing", there.clone(), json!({"resources": [{"kind": "ConfigMap"}]}), None),
        ("files", there, json!({"files": [{"claim": "site-files"}]}), None),
        ("one of its namespaces elsewhere", mapped(["x", "b"]), json!({}), Some("standby")),
        ("all of them elsewhere", mapped(["x", "y"]), json!({}), None),
        ("where it runs", json!({"siteRef": {"name": "home"}}), json!({}), None),
        ("where it runs, unsaid", json!({}), json!({}), None),
    ] {
        let restore: RestoreSpec = serde_json::from_value(json!({"source": {"backupRef": {"name": "b"}}, "target": target, "select": select})).expect("a spec");
        assert_eq!(second_writer(&application, &restore, "home"), site, "{what}");
    }
}

#[test]
fn fault_a8_a_restore_goes_elsewhere_only_if_it_writes_into_none_of_the_applications_namespaces() {
    let application: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["a", "b"]})).expect("a spec");
    for (mappings, elsewhere) in [
        (json!([]), false),
        (json!([{"from": "a", "to": "x"}]), false),
        (json!([{"from": "a", "to": "a"}, {"from": "b", "to": "b"}]), false),
        (json!([{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]), false),
        (json!([{"from": "c", "to": "x"}]), false),
        (json!([{"from": "a", "to": "x"}, {"from": "b", "to": "y"}]), true),
    ] {
        let restore = json!({"source": {"backupRef": {"name": "b"}}, "target": {"namespaceMappings": mappings}});
        let restore: RestoreSpec = serde_json::from_value(restore).expect("a spec");
        assert_eq!(goes_elsewhere(&application, &restore), elsewhere, "{mappings}");
    }
}

/// Whether a step comes after another, however many are between.
fn comes_after(plan: &Plan<Action>, step: &Step<Action>, before: &str) -> bool {
    step.dependencies().any(|id| id.as_str() == before || plan.step(id).is_some_and(|step| comes_after(plan, step, before)))
}

/// Whether a step writes into volumes, containers or objects that may be there.
fn writes(action: &Action) -> bool {
    let Action::Move { task, .. } = action else { return false };
    task.writes_objects() || matches!(task, MoverTask::RestoreVolume { .. } | MoverTask::RestoreStream { .. })
}

#[test]
fn fault_c3_whatever_the_policy_nothing_is_written_before_all_that_runs_there_is_stopped() {
    let mapped = json!({"namespaceMappings": [{"from": "n", "to": "m"}]});
    for policy in ["Refuse", "Skip", "Merge", "Replace"] {
        for more in [
            json!({}),
            json!({"target": mapped}),
            json!({"select": {"files": [{"claim": "files", "paths": ["a"]}]}}),
            json!({"select": {"files": [{"claim": "files"}]}, "target": {"pathPrefix": "/old"}}),
        ] {
            let mut spec = more.clone();
            spec["conflictPolicy"] = json!(policy);
            let plan = plan(&spec).expect("compiles");
            let written: Vec<&Step<Action>> = plan.steps().iter().filter(|step| writes(&step.action)).collect();
            assert!(!written.is_empty() && written.iter().all(|step| comes_after(&plan, step, "stop/a")), "{policy} {more}: {written:#?}");
        }
    }
}

#[test]
fn fault_c6_a_preview_makes_changes_and_removes_nothing_on_the_site() {
    for more in [
        json!({}),
        json!({"target": {"namespaceMappings": [{"from": "n", "to": "m"}]}}),
        json!({"select": {"tiers": ["data"]}}),
        json!({"select": {"files": [{"claim": "files"}]}}),
    ] {
        let mut spec = more.clone();
        spec["mode"] = json!("Preview");
        for step in plan(&spec).expect("compiles").steps() {
            let harmless = match &step.action {
                Action::MakeNamespaces { preview, .. } => *preview,
                Action::Move { task, .. } => {
                    matches!(
                        task,
                        MoverTask::VerifyStored { .. } | MoverTask::PreviewVolume { .. } | MoverTask::RestoreObjects { mode: ObjectsMode::Preview, .. }
                    )
                }
                // What its movers were given.
                Action::RemoveMovers { .. } => true,
                _ => false,
            };
            assert!(harmless && step.undo.is_none(), "{more}: {step:?}");
        }
    }
}

#[test]
fn fault_f9_a_restore_to_another_site_maps_what_the_platform_declares_unless_it_says_otherwise() {
    let at = |site: &str, name: &str| json!({"siteRef": {"name": site}, "storageClassName": name});
    let classes =
        json!([{"name": "block", "sites": [at("home", "ceph-rbd"), at("s", "topolvm")]}, {"name": "files", "sites": [at("home", "cephfs"), at("s", "nfs")]}]);
    let platform: PlatformSpec = serde_json::from_value(json!({"storage": {"classes": classes}})).expect("a Platform");
    let spec: RestoreSpec =
        serde_json::from_value(json!({"source": {"backupRef": {"name": "b"}}, "target": {"storageClassMappings": [{"from": "cephfs", "to": "mine"}]}}))
            .expect("a spec");
    let application: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["n"]})).expect("a spec");
    for (from, expected) in [("home", vec![("cephfs", "mine"), ("ceph-rbd", "topolvm"), ("cephfs", "nfs")]), ("s", vec![("cephfs", "mine")])] {
        let site = Some(from.into());
        let point = RecoveryPoint { backup: "b".into(), snapshot: "s".into(), time: jiff::Timestamp::UNIX_EPOCH, repository: "r".into(), level: None, site };
        let subject = Subject { name: "a", spec: &application, point, claims: Vec::new() };
        let (deadline, parts) = (SignedDuration::from_hours(1), ["objects".to_owned()]);
        let (site, platform) = ("s".into(), Some(&platform));
        let (present, hidden) = (&[], &[]);
        let facts = RestoreFacts {
            spec: &spec,
            subject,
            parts: &parts,
            is_partial: false,
            unused: &[],
            district: "d",
            site: &site,
            present,
            hidden,
            deadline,
            platform,
        };
        let compiled = compile(&facts).expect("compiles");
        let mapped = compiled.steps().iter().find_map(|step| match &step.action {
            Action::Move { task: MoverTask::RestoreObjects { rules, .. }, .. } => Some(rules.storage_classes.clone()),
            _ => None,
        });
        let mapped = mapped.expect("a restore of objects");
        // The first that fits holds.
        assert_eq!(mapped.iter().map(|mapping| (mapping.from.as_str(), mapping.to.as_str())).collect::<Vec<_>>(), expected, "{from}");
    }
}

#[test]
fn fault_c3_and_b14_what_the_policy_refuses_is_found_before_anything_is_stopped() {
    for (spec, compares) in [
        (json!({}), true),
        (json!({"conflictPolicy": "Merge"}), true),
        (json!({"conflictPolicy": "Replace"}), true),
        (json!({"conflictPolicy": "Skip"}), false),
        (json!({"mode": "Preview"}), false),
        (json!({"select": {"resources": [{"kind": "ConfigMap"}]}}), false),
        (json!({"select": {"files": [{"claim": "files"}]}}), false),
    ] {
        let plan = plan(&spec).expect("compiles");
        let compare = plan.steps().iter().find(|step| step.id.as_str() == "compare/a");
        assert_eq!(compare.is_some(), compares, "{spec}");
        let Some(compare) = compare else { continue };
        let task = |action: &Action| {
            if let Action::Move { task: MoverTask::RestoreObjects { mode, rules, .. }, .. } = action { Some((*mode, rules.stopped)) } else { None }
        };
        // H2: what runs is not compared with how it would stand still.
        assert_eq!((task(&compare.action), compare.on_failure), (Some((ObjectsMode::Compare, false)), OnFailure::Abort));
        let objects = plan.steps().iter().find(|step| step.id.as_str() == "restore/a/objects").expect("objects");
        assert_eq!(task(&objects.action), Some((ObjectsMode::Write, true)));
        let stop = plan.steps().iter().find(|step| step.id.as_str() == "stop/a").expect("a stop");
        assert!(comes_after(&plan, stop, "compare/a") && !comes_after(&plan, compare, "stop/a"));
        // G: it is compared while it is verified, and nothing is stopped before both are done.
        assert!(comes_after(&plan, stop, "verify/a") && !comes_after(&plan, compare, "verify/a"));
    }
}

#[test]
fn fault_c5_what_is_stopped_is_started_again_at_the_end_and_by_the_undo() {
    let starts = |plan: &Plan<Action>| {
        let rest = plan.steps().iter().find(|step| step.id.as_str() == "start/a/rest").expect("a last start").action.clone();
        let stop = plan.steps().iter().find(|step| step.id.as_str() == "stop/a").expect("a stop").clone();
        let Action::Start { workloads, claims, .. } = rest else { panic!("a start") };
        let Action::Stop { namespaces, .. } = stop.action else { panic!("a stop") };
        let Some(Action::StartAgain { namespaces: again, .. }) = stop.undo else { panic!("its undo") };
        assert!(stop.after.iter().any(|id| id.as_str() == "prepare"), "the undo knows which namespaces the run has made");
        assert!(namespaces.keys().eq(workloads.keys()) && namespaces.keys().eq(&again), "{namespaces:?} {workloads:?} {again:?}");
        (namespaces, claims)
    };
    let whole = plan(&json!({"target": {"namespaceMappings": [{"from": "n", "to": "m"}]}})).expect("compiles");
    assert_eq!(starts(&whole), (BTreeMap::from([("m".to_owned(), vec![])]), BTreeMap::new()));
    let files = plan(&json!({"select": {"files": [{"claim": "data-0"}]}})).expect("compiles");
    let claims = BTreeMap::from([("n".to_owned(), vec!["data-0".to_owned()])]);
    assert_eq!(starts(&files), (claims.clone(), claims), "only what uses the claim is stopped, and waited for");
}

#[test]
fn what_is_selected_says_which_steps_there_are() {
    let whole = [
        "compare/a",
        "stop/a",
        "restore/a/objects",
        "restore/a/volume/files",
        "start/a/tier/data",
        "restore/a/stream/db",
        "start/a/rest",
        "restore/a/objects-again",
    ];
    for (spec, expected) in [
        (json!({}), &whole[..]),
        (json!({"conflictPolicy": "Merge"}), &whole[..]),
        (json!({"conflictPolicy": "Skip"}), &whole[1..]),
        (json!({"mode": "Preview"}), &["restore/a/objects", "restore/a/volume/files"][..]),
        (json!({"select": {"tiers": ["data"]}}), &whole[2..3]),
        (json!({"select": {"resources": [{"kind": "ConfigMap"}]}}), &whole[2..3]),
        // Files are taken from a claim that the application skips, too: an older backup may have it.
        (
            json!({"select": {"files": [{"claim": "data-0", "paths": ["pg"]}]}}),
            &["compare/a/volume/data-0", "stop/a", "restore/a/volume/data-0", "start/a/rest"][..],
        ),
        (json!({"select": {"files": [{"claim": "files"}]}, "mode": "Preview"}), &["restore/a/volume/files"][..]),
        (json!({"select": {"files": [{"claim": "data-0"}]}, "mode": "Preview"}), &["restore/a/volume/data-0"][..]),
        (json!({"select": {"tiers": ["data"]}, "mode": "Preview"}), &["restore/a/objects"][..]),
        (json!({"mode": "Preview", "target": {"namespaceMappings": [{"from": "n", "to": "m"}]}}), &["restore/a/objects"][..]),
    ] {
        assert_eq!(compiled(&spec).expect("compiles"), expected, "{spec}");
    }
}

#[test]
fn fault_a1_every_volume_and_stream_that_the_snapshot_names_is_restored_and_one_that_it_lacks_refuses_the_whole_application() {
    let whole = ["objects", "streams/db", "volumes/files"];
    let refused = |what: &str| Err(format!("backup b has no {what}, which the Application names: choose a backup that has it"));
    for (spec, parts, expected) in [
        (json!({}), vec!["objects", "streams/db", "volumes/files", "volumes/later"], Ok(2)),
        (json!({}), whole.to_vec(), Ok(1)),
        (json!({}), vec!["objects", "volumes/files"], refused("stream db")),
        (json!({"mode": "Preview"}), vec!["objects", "volumes/files"], refused("stream db")),
        (json!({}), vec!["objects", "streams/db"], refused("volume files")),
        (json!({}), vec![], refused("objects, no stream db, no volume files")),
        // What is skipped, or matched by a pattern only, is not promised. What is not asked for is not missed.
        (json!({"select": {"tiers": ["data"]}}), vec!["objects"], Ok(0)),
        (json!({"select": {"files": [{"claim": "files"}]}}), vec!["objects", "volumes/files"], Ok(1)),
    ] {
        let steps = plan_from(&spec, &parts).map(|plan| steps_of(&plan)).map_err(|error| error.to_string());
        let volumes = steps.map(|steps| steps.iter().filter(|step| step.contains("/volume/")).count());
        match (&volumes, &expected) {
            (Err(message), Err(start)) => assert!(message.starts_with(start.as_str()), "{spec} {parts:?}: {message}"),
            _ => assert_eq!(volumes, expected, "{spec} {parts:?}"),
        }
    }
}

#[test]
fn fault_d5_a_backup_that_says_what_it_lacks_is_restored_without_it_and_without_nothing_else() {
    let lacks = |parts: &[&str]| plan_of(&json!({}), parts, true).map(|plan| steps_of(&plan)).map_err(|error| error.to_string());
    let steps = lacks(&["objects", "streams/db", "volumes/other"]).expect("volume files is said to be missing");
    assert!(steps.contains(&"restore/a/volume/other".to_owned()) && !steps.iter().any(|step| step == "restore/a/volume/files"), "{steps:?}");
    let refused = lacks(&["objects", "volumes/other"]).expect_err("a partial backup has every stream");
    assert!(refused.contains("has no stream db"), "{refused}");
}

#[test]
fn fault_c4_a_whole_claim_is_restored_exactly_and_a_selection_removes_nothing() {
    let files = |selection: &Value| json!({"select": {"files": [selection]}});
    let target = |target: &Value| json!({"target": target});
    for (spec, expected) in [
        (json!({}), ExtraFiles::Remove),
        (json!({"conflictPolicy": "Merge"}), ExtraFiles::Remove),
        (target(&json!({"namespaceMappings": [{"from": "n", "to": "m"}]})), ExtraFiles::Remove),
        (target(&json!({"keepExtraFiles": true})), ExtraFiles::Keep),
        (files(&json!({"claim": "files"})), ExtraFiles::Remove),
        (files(&json!({"claim": "files", "paths": ["/news"]})), ExtraFiles::Keep),
        (target(&json!({"pathPrefix": "/back"})), ExtraFiles::Keep),
    ] {
        let plan = plan(&spec).expect("compiles");
        let chosen = plan.steps().iter().find_map(|step| match &step.action {
            Action::Move { task: MoverTask::RestoreVolume { extra_files, .. }, .. } => Some(*extra_files),
            _ => None,
        });
        assert_eq!(chosen, Some(expected), "{spec}");
        let mut preview = spec.clone();
        preview["mode"] = json!("Preview");
        let writes = self::plan(&preview).expect("compiles").steps().iter().any(|step| match &step.action {
            Action::Move { task: MoverTask::RestoreVolume { .. } | MoverTask::RestoreStream { .. }, .. } => true,
            Action::Move { task: MoverTask::PreviewVolume { extra_files, .. }, .. } => *extra_files != expected,
            _ => false,
        });
        assert!(!writes, "{spec}: a preview says what the restore will do, and writes nothing");
    }
}

/// What a look at the claim `files` before the stop refuses, and whether it is mounted for that; none if there is no such step.
fn looks(spec: &Value) -> Option<(RefusedFiles, bool)> {
    let plan = plan(spec).expect("compiles");
    let step = plan.steps().iter().find(|step| step.id.as_str() == "compare/a/volume/files")?;
    let stop = plan.steps().iter().find(|step| step.id.as_str() == "stop/a").expect("a stop");
    assert!(comes_after(&plan, stop, step.id.as_str()) && step.on_failure == OnFailure::Abort && step.undo.is_none(), "{spec}: {step:?}");
    match &step.action {
        Action::Move { claim, task: MoverTask::PreviewVolume { refuses: Some(refuses), .. }, .. } => Some((*refuses, claim.is_some())),
        action => panic!("{spec}: {action:?}"),
    }
}

#[test]
fn fault_i1_and_i2_what_stands_in_a_claim_is_looked_at_before_anything_is_stopped() {
    use RefusedFiles::{Differences, InTheWay, MissingPaths};
    let into = |namespace: &str| json!([{"from": "n", "to": namespace}]);
    let path = json!([{"claim": "files", "paths": ["/a"]}]);
    for (case, spec, expected) in [
        ("in its own place all becomes as it was", json!({}), None),
        ("elsewhere, where nothing is", json!({"target": {"namespaceMappings": into("m")}}), None),
        ("elsewhere, where a claim is", json!({"target": {"namespaceMappings": into("there")}}), Some((Differences, true))),
        ("the same, under another policy", json!({"conflictPolicy": "Merge", "target": {"namespaceMappings": into("there")}}), None),
        ("a claim that never had a volume", json!({"target": {"namespaceMappings": into("new")}}), None),
        ("a path", json!({"select": {"files": path}}), Some((InTheWay, true))),
        ("a path, elsewhere: it was named", json!({"select": {"files": path}, "target": {"namespaceMappings": into("there")}}), Some((InTheWay, true))),
        (
            "a path of a claim that can't be mounted beside its pod",
            json!({"select": {"files": path}, "target": {"namespaceMappings": into("busy")}, "conflictPolicy": "Skip"}),
            Some((MissingPaths, false)),
        ),
        ("under another path", json!({"select": {"files": [{"claim": "files"}]}, "target": {"pathPrefix": "/old"}}), Some((InTheWay, true))),
        ("extra files stay", json!({"target": {"keepExtraFiles": true}}), Some((InTheWay, true))),
    ] {
        assert_eq!(looks(&spec), expected, "{case}");
    }
    // A preview refuses what the restore would.
    for (spec, expected) in [
        (json!({"select": {"files": path}, "mode": "Preview"}), InTheWay),
        (json!({"target": {"namespaceMappings": into("there")}, "mode": "Preview"}), Differences),
    ] {
        let plan = plan(&spec).expect("compiles");
        let refuses = plan.steps().iter().find_map(|step| match &step.action {
            Action::Move { task: MoverTask::PreviewVolume { refuses, .. }, .. } => *refuses,
            _ => None,
        });
        assert_eq!(refuses, Some(expected), "{spec}");
    }
}

#[test]
fn fault_i2_files_that_can_be_known_to_fail_compile_to_nothing() {
    let into = |namespace: &str| json!({"namespaceMappings": [{"from": "n", "to": namespace}]});
    for (spec, says) in [
        (json!({"select": {"files": [{"claim": "files", "paths": ["/a", "/../../etc/passwd"]}]}}), "select.files has the path \"/../../etc/passwd\""),
        (json!({"target": {"pathPrefix": "/old/.."}}), "target.pathPrefix has the path \"/old/..\""),
        (json!({"select": {"files": [{"claim": "files"}, {"claim": "flies"}]}}), "select.files names claim flies, which the backup doesn't have"),
        (json!({"select": {"files": [{"claim": "files"}]}, "target": into("m")}), "claim files doesn't exist in m on s, and a restore of files makes none"),
        (json!({"target": into("busy")}), "claim files is there in busy on s, and its files can't be compared with the backup: it is ReadWriteOncePod"),
    ] {
        for mode in ["Execute", "Preview"] {
            let mut spec = spec.clone();
            spec["mode"] = json!(mode);
            let error = compiled(&spec).expect_err("refused").to_string();
            assert!(error.starts_with(says), "{spec}: {error}");
        }
    }
}

#[test]
fn a_mapping_of_what_the_application_does_not_have_compiles_to_nothing() {
    for mappings in [json!([{"from": "other", "to": "m"}]), json!([{"from": "n", "to": "m"}, {"from": "n", "to": "o"}])] {
        for mode in ["Execute", "Preview"] {
            let spec = json!({"mode": mode, "target": {"namespaceMappings": mappings}});
            let error = compiled(&spec).expect_err("refused").to_string();
            assert!(error.starts_with("spec.target.namespaceMappings maps ") && error.ends_with("the namespaces of application a: n"), "{spec}: {error}");
        }
    }
}

#[test]
fn a_selection_of_what_is_not_there_names_what_is() {
    for (spec, named) in [(json!({"select": {"tiers": ["web"]}}), "it has data"), (json!({"select": {"files": [{"claim": "x"}]}}), "it has data-0, files")] {
        let error = compiled(&spec).expect_err("refused").to_string();
        assert!(error.ends_with(named), "{spec}: {error}");
    }
}

#[test]
fn a_selection_of_what_there_is_none_of_says_so() {
    let without: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["n"]})).expect("a spec");
    let error = workloads_of_tiers(&without, &["nix".to_owned()]).expect_err("refused").to_string();
    assert!(error.ends_with("it has none: leave select.tiers out, or declare spec.tiers"), "{error}");
    let error = plan_from(&json!({"select": {"files": [{"claim": "x"}]}}), &["objects", "streams/db"]).expect_err("refused").to_string();
    assert!(error.ends_with("it has no claim's files"), "{error}");
}
