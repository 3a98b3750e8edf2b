//! The gate lets through what compilers make for a district, and nothing that names another's.

use super::*;
use crate::{
    engine::Plan,
    maintenance::work::{self, Affected, ComponentOf, WorkFacts},
    protection::{
        backup::{self, BackupFacts, Claim},
        choose::RecoveryPoint,
        restore::{self, RestoreFacts},
    },
    recovery::{
        bring_up::Subject,
        drill::{self, DrillFacts},
        ground::Ground,
    },
    runs::{Bubble, ClaimSnapshot, ConflictHandling, CopyRules, MoverTask, ObjectsMode, PreflightSubject, SealFacts},
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{ApplicationSpec, MaintenanceTicketSpec, RecoveryPlanSpec, RestoreSpec, protection::restore::RestoreSelection, recovery::drill::DrillType};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

fn district(name: &str, site_namespaces: Value) -> District {
    read(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": name}, "spec": {"code": "370202", "names": {"en": name},
        "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}], "siteNamespaces": site_namespaces}}))
}

fn scope() -> Scope {
    Scope::of_district("shinan", ["west", "east"], Allotment::of(&district("shinan", json!({})))).with_repository("main")
}

/// An application of two namespaces that names workloads of both in every field that can.
fn application() -> ApplicationSpec {
    let web = json!({"kind": "Deployment", "name": "web"});
    let database = json!({"kind": "StatefulSet", "name": "postgres", "namespace": "shinan-data"});
    let command = json!({"workloadRef": database, "command": ["sync"]});
    read(json!({
        "department": "d", "namespaces": ["shinan-approval", "shinan-data"],
        "tiers": [{"name": "data", "workloadRefs": [database]}, {"name": "web", "workloadRefs": [web]}],
        "streams": [{"name": "db", "workloadRef": database, "dump": ["pg_dump"], "restore": ["pg_restore"]}],
        "hooks": {"quiesce": command, "resume": command},
        "marker": {"workloadRef": database, "write": ["psql", "$(MARKER)"], "read": ["psql"]},
        "checks": [{"name": "login", "tcp": {"serviceName": "web", "port": 80}}, {"name": "query", "exec": {"workloadRef": database, "command": ["psql"]}},
            {"name": "up", "condition": {"workloadRef": database, "type": "Available"}}]
    }))
}

fn claims() -> Vec<Claim> {
    vec![Claim { namespace: "shinan-approval".into(), name: "files".into() }, Claim { namespace: "shinan-data".into(), name: "data-postgres-0".into() }]
}

fn snapshot_of(claim: &Claim) -> ClaimSnapshot {
    let (namespace, claim) = (claim.namespace.clone(), claim.name.clone());
    ClaimSnapshot { namespace, claim, class: "snap".into(), storage_class: "block".into(), bytes: 1 }
}

fn point() -> RecoveryPoint {
    RecoveryPoint { backup: "nightly-1".into(), snapshot: "5a1f".into(), time: Timestamp::UNIX_EPOCH, repository: "main".into(), level: None, site: None }
}

const DEADLINE: SignedDuration = SignedDuration::from_hours(6);

fn of_backup() -> Plan<Action> {
    of_backup_with(&[])
}

fn of_backup_with(snapshots: &[ClaimSnapshot]) -> Plan<Action> {
    let (spec, claims) = (application(), claims());
    let facts = BackupFacts {
        backup: "nightly-1",
        application: "approval",
        district: "shinan",
        site: &"west".into(),
        spec: &spec,
        claims: &claims,
        snapshots,
        parent: None,
        deadline: DEADLINE,
    };
    backup::compile(&facts).expect("compiles")
}

fn of_restore(spec: Value) -> Plan<Action> {
    let (spec, application): (RestoreSpec, _) = (read(spec), application());
    let subject = Subject { name: "approval", spec: &application, point: point(), claims: claims() };
    let parts = ["objects".into(), "streams/db".into()];
    let facts =
        RestoreFacts { spec: &spec, subject, parts: &parts, district: "shinan", site: &"west".into(), present: &claims(), deadline: DEADLINE, platform: None };
    restore::compile(&facts).expect("compiles")
}

fn of_drill(drill_type: DrillType) -> Plan<Action> {
    let exec = json!({"applicationRef": {"name": "approval"}, "workloadRef": {"kind": "StatefulSet", "name": "postgres", "namespace": "shinan-data"}, "command": ["warm"]});
    let plan: RecoveryPlanSpec =
        read(json!({"repositoryRef": {"name": "main"}, "groups": [{"name": "all", "members": [{"applicationRef": {"name": "approval"}}]}],
        "steps": [{"name": "warm", "after": "Start/all", "exec": exec}]}));
    let spec = application();
    let subjects = [Subject { name: "approval", spec: &spec, point: point(), claims: claims() }];
    let keep_for = SignedDuration::from_hours(1);
    drill::compile(&DrillFacts { drill_type, id: "k7m2q", site: &"east".into(), plan: &plan, subjects: &subjects, keep_for, ground: &Ground::default() })
        .expect("compiles")
}

fn of_change(namespace: &str, district: Option<&str>, affects: Value, change: Value) -> Plan<Action> {
    let spec: MaintenanceTicketSpec =
        read(json!({"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "affects": affects, "change": change}));
    let application = application();
    let affected = [Affected { name: "approval", spec: &application, site: &"west".into(), last_backup: None }];
    let affected = if district.is_some() { &affected[..] } else { &[] };
    let declared = read(json!({"name": "cache", "version": "2.0.0", "bundle": {"configMapRef": {"name": "cache-2"}},
        "health": [{"name": "up", "condition": {"workloadRef": {"kind": "Deployment", "name": "cache", "namespace": "shinan-cache"}, "type": "Available"}}]}));
    let bundle = crate::platform::bundle::Bundle { digest: "sha256:1".into(), objects: Vec::new() };
    let source = read(json!({"configMapRef": {"name": "cache-2"}}));
    let sites = ["east", "west"].map(Into::into);
    let component = Some(ComponentOf { declared: &declared, source: &source, bundle: &bundle, sites: &sites });
    let facts = WorkFacts { ticket: "chg-1", namespace, district, spec: &spec, applications: affected, alertmanagers: &sites, component };
    work::compile(&facts).expect("compiles")
}

fn drain() -> Value {
    json!({"class": "Standard", "work": {"drainNode": {"siteRef": {"name": "west"}, "nodeName": "west-1"}}})
}

fn actions(plan: &Plan<Action>) -> impl Iterator<Item = &Action> {
    plan.steps().iter().flat_map(|step| std::iter::once(&step.action).chain(&step.undo))
}

fn refused(scope: &Scope, plan: &Plan<Action>) -> Vec<String> {
    actions(plan).filter_map(|action| scope.permits(action).err()).map(|error| error.to_string()).collect()
}

#[test]
fn every_action_that_a_compiler_makes_for_the_district_passes() {
    let affects = json!({"applicationRefs": [{"name": "approval"}], "siteRefs": [{"name": "west"}]});
    let own = |change: Value| of_change("shinan", Some("shinan"), affects.clone(), change);
    let upgrade = json!({"class": "Normal", "work": {"upgradeComponent": {"component": "cache", "version": "2.0.0"}}});
    let mapped = json!({"namespaceMappings": [{"from": "shinan-approval", "to": "shinan-look"}]});
    for (name, scope, plan) in [
        ("backup", scope(), of_backup()),
        ("backup from snapshots", scope(), of_backup_with(&claims().iter().map(snapshot_of).collect::<Vec<_>>())),
        ("restore in place", scope(), of_restore(json!({"source": {"applicationRef": {"name": "approval"}}}))),
        ("restore elsewhere", scope(), of_restore(json!({"source": {"applicationRef": {"name": "approval"}}, "target": mapped}))),
        ("restore of a tier", scope(), of_restore(json!({"source": {"applicationRef": {"name": "approval"}}, "select": {"tiers": ["data"]}}))),
        ("tabletop drill", scope().isolated("k7m2q"), of_drill(DrillType::Tabletop)),
        ("isolated drill", scope().isolated("k7m2q"), of_drill(DrillType::Isolated)),
        ("drain", scope(), own(drain())),
        ("upgrade", scope(), own(upgrade)),
        ("work by hand", scope(), own(json!({"class": "Normal", "work": {"manual": {}}}))),
        ("drain by the city", Scope::of_city("p861-system", ["west", "east"]), of_change("p861-system", None, json!({}), drain())),
    ] {
        assert_eq!(refused(&scope, &plan), Vec::<String>::new(), "{name}");
        assert!(actions(&plan).count() > 0);
    }
}

#[test]
fn a_plan_of_one_run_is_refused_to_a_run_of_another_scope() {
    let others = Scope::of_district("laoshan", ["west", "east"], Allotment::of(&district("laoshan", json!({})))).with_repository("main");
    let affects = json!({"applicationRefs": [{"name": "approval"}]});
    let drained = of_change("shinan", Some("shinan"), affects, drain());
    for (name, scope, plan, least) in [
        ("another district's backup", &others, of_backup(), 8),
        ("another district's drill", &others.clone().isolated("k7m2q"), of_drill(DrillType::Isolated), 8),
        ("another district's drain", &others, drained, 4),
        ("a backup in the scope of a drill", &scope().isolated("k7m2q"), of_backup(), 6),
        ("a drill in the scope of a backup", &scope(), of_drill(DrillType::Isolated), 6),
        ("a drill of another id", &scope().isolated("zzzzz"), of_drill(DrillType::Isolated), 6),
        ("a drain of the city's", &scope(), of_change("p861-system", None, json!({}), drain()), 4),
    ] {
        assert!(refused(scope, &plan).len() >= least, "{name}: {:#?}", refused(scope, &plan));
    }
}

#[test]
fn what_a_reference_names_itself_counts() {
    let stray = json!({"kind": "Deployment", "name": "coredns", "namespace": "kube-system"});
    let exec = json!({"name": "c", "exec": {"workloadRef": stray, "command": ["sh"]}});
    let condition = json!({"name": "c", "condition": {"workloadRef": stray, "type": "Available"}});
    let place = json!({"site": "west", "namespace": "shinan-approval"});
    let with = |more: Value| {
        let mut action = place.clone();
        action.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        read::<Action>(action)
    };
    let stream =
        json!({"task": "restoreStream", "snapshot": "s", "part": "streams/db", "namespace": "shinan-approval", "workloadRef": stray, "restore": ["sh"]});
    let objects = json!({"task": "restoreObjects", "snapshot": "s", "rules": {"namespaces": {"shinan-a": "kube-system"}, "isolated": false, "stopped": false}, "conflict": "Own"});
    for (reason, action) in [
        ("NamespaceNotAllotted", with(json!({"do": "execute", "command": {"workloadRef": stray, "command": ["sh"]}}))),
        ("NamespaceNotAllotted", with(json!({"do": "check", "check": exec}))),
        ("NamespaceNotAllotted", with(json!({"do": "check", "check": condition}))),
        ("NamespaceNotAllotted", with(json!({"do": "readMarker", "marker": {"workloadRef": stray, "write": ["$(MARKER)"], "read": ["sh"]}}))),
        ("NamespaceNotAllotted", with(json!({"do": "watch", "checks": [["shinan-approval", exec]], "duration": "1m"}))),
        (
            "NamespaceNotAllotted",
            with(json!({"do": "watch", "checks": [["kube-system", {"name": "c", "tcp": {"serviceName": "s", "port": 1}}]], "duration": "1m"})),
        ),
        ("NamespaceNotAllotted", with(json!({"do": "start", "workloads": {"shinan-approval": [stray]}}))),
        ("NamespaceNotAllotted", with(json!({"do": "start", "workloads": {"kube-system": []}}))),
        ("NamespaceNotAllotted", with(json!({"do": "move", "namespaces": [], "task": stream}))),
        ("NamespaceNotAllotted", with(json!({"do": "move", "namespaces": [], "task": objects}))),
        ("NamespaceNotAllotted", with(json!({"do": "move", "namespaces": ["kube-system"], "task": {"task": "verifyStored"}}))),
        ("OutOfScope", with(json!({"do": "silence", "owner": "shinan/chg-1", "labels": [{"alertname": "Watchdog"}]}))),
        ("OutOfScope", with(json!({"do": "silence", "owner": "shinan/chg-1", "labels": [{"district": "laoshan"}]}))),
        ("OutOfScope", with(json!({"do": "endSilence", "owner": "laoshan/chg-1"}))),
        ("OutOfScope", with(json!({"do": "inspectNode", "node": "n"}))),
        ("OutOfScope", with(json!({"do": "takeBackup", "application": "a", "backup": "../laoshan/b"}))),
        ("SiteNotAllotted", read(json!({"do": "drain", "site": "north", "node": "n"}))),
    ] {
        let error = scope().permits(&action).expect_err("refused");
        assert_eq!(error.reason(), reason, "{action:?}: {error}");
    }
}

#[test]
fn a_mover_needs_a_repository_of_the_run_and_a_preflight_names_no_other() {
    let verify = read::<Action>(json!({"do": "move", "site": "west", "namespace": "shinan-a", "namespaces": [], "task": {"task": "verifyStored"}}));
    let without = Scope::of_district("shinan", ["west"], Allotment::of(&district("shinan", json!({}))));
    assert_eq!(without.permits(&verify).expect_err("refused").reason(), "RepositoryNotAllotted");
    let subject = PreflightSubject {
        application: "a".into(),
        backup: "b".into(),
        repository: "others".into(),
        snapshot: "s".into(),
        time: Timestamp::UNIX_EPOCH,
        level: None,
        classes: BTreeMap::new(),
        classes_unknown: None,
        images: Vec::new(),
    };
    assert_eq!(scope().permits(&Action::Preflight { site: "west".into(), subjects: vec![subject] }).expect_err("refused").reason(), "RepositoryNotAllotted");
}

#[test]
fn namespaces_are_allotted_by_the_districts_rule() {
    for (rule, namespace, expected) in [
        (json!({}), "shinan-approval", true),
        (json!({}), "shinan", false),
        (json!({}), "shinanx-approval", false),
        (json!({}), "", false),
        (json!({"names": ["shared"]}), "shared", true),
        (json!({"names": ["shared"]}), "shinan-approval", false),
        (json!({"prefixes": ["gov-"]}), "gov-approval", true),
        (json!({"prefixes": [""]}), "laoshan-approval", false),
        (json!({"prefixes": ["k"]}), "kube-system", false),
        (json!({"names": ["kube-extra"]}), "kube-extra", true),
    ] {
        assert_eq!(Allotment::of(&district("shinan", rule.clone())).holds(namespace), expected, "{rule} {namespace}");
    }
}

#[test]
fn fault_b12_a_stored_plan_reaches_no_cluster_scoped_object_that_an_application_may_not_name() {
    let touching = |task: &str, group: &str, kind: &str, name: &str, namespace: &str| {
        let rules = json!({"namespaces": {}, "isolated": false, "stopped": false});
        let cluster = json!([{"group": group, "kind": kind, "name": name}]);
        let task = json!({"task": task, "namespaces": [], "snapshot": "s", "rules": rules, "conflict": "Own", "cluster": cluster});
        read::<Action>(json!({"do": "move", "site": "west", "namespace": namespace, "namespaces": [namespace], "task": task}))
    };
    let (rbac, definitions) = ("rbac.authorization.k8s.io", "apiextensions.k8s.io");
    for task in ["backupObjects", "restoreObjects"] {
        for (group, kind, name, in_place, in_a_copy) in [
            (definitions, "CustomResourceDefinition", "gadgets.demo.example", true, true),
            (rbac, "ClusterRole", "gadget-operator", true, false),
            (rbac, "ClusterRole", "cluster-admin", false, false),
            (rbac, "ClusterRole", "p861-site", false, false),
            (definitions, "CustomResourceDefinition", "districts.platform861.io", false, false),
            ("", "Secret", "x", false, false),
        ] {
            let answer = scope().permits(&touching(task, group, kind, name, "shinan-approval"));
            assert_eq!(answer.is_ok(), in_place, "{task} {kind} {name}: {answer:?}");
            assert!(answer.is_ok() || answer.is_err_and(|refused| refused.reason() == Reason::OutOfScope));
            let copy = names::bubble_namespace("shinan-approval", "k7m2q");
            let answer = scope().isolated("k7m2q").permits(&touching(task, group, kind, name, &copy));
            assert_eq!(answer.is_ok(), in_a_copy, "{task} {kind} {name} in a copy: {answer:?}");
        }
    }
}

/// Names of a world of two districts. Whatever is the other's has `laoshan` in its name.
const SITES: [&str; 3] = ["west", "east", "laoshan-site"];
const NAMESPACES: [&str; 4] = ["shinan-approval", "shinan-data", "laoshan-approval", "laoshan-data"];
const HUB: [&str; 2] = ["shinan", "laoshan"];
const REPOSITORIES: [&str; 2] = ["main", "laoshan-main"];

fn reference() -> impl Strategy<Value = Value> {
    prop::option::of(select(&NAMESPACES[..])).prop_map(|namespace| match namespace {
        Some(namespace) => json!({"kind": "Deployment", "name": "web", "namespace": namespace}),
        None => json!({"kind": "Deployment", "name": "web"}),
    })
}

fn check() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"name": "c", "tcp": {"serviceName": "web", "port": 80}})),
        reference().prop_map(|workload| json!({"name": "c", "exec": {"workloadRef": workload, "command": ["true"]}})),
        reference().prop_map(|workload| json!({"name": "c", "condition": {"workloadRef": workload, "type": "Available"}})),
    ]
}

fn spaces() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(select(&NAMESPACES[..]).prop_map(str::to_owned), 0..3)
}

fn task() -> impl Strategy<Value = MoverTask> {
    let stream = (select(&NAMESPACES[..]), reference(), any::<bool>()).prop_map(|(namespace, workload, restore)| {
        let (task, command) = if restore { ("restoreStream", "restore") } else { ("backupStream", "dump") };
        read(json!({"task": task, "snapshot": "s", "part": "p", "namespace": namespace, "workloadRef": workload, command: ["c"]}))
    });
    let seal = (spaces(), select(&HUB[..]), select(&SITES[..])).prop_map(|(namespaces, district, site)| {
        let (district, site) = (district.into(), site.into());
        MoverTask::Seal { facts: SealFacts { backup: "b".into(), application: "a".into(), district, site, namespaces, parts: Vec::new(), consistent: false } }
    });
    let objects = (prop::collection::btree_map(select(&NAMESPACES[..]), select(&NAMESPACES[..]), 0..2), reference()).prop_map(|(namespaces, workload)| {
        let namespaces = namespaces.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
        let rules = CopyRules { namespaces, ..read(json!({"namespaces": {}, "isolated": false, "stopped": false})) };
        let (select, workloads) = (RestoreSelection::default(), vec![read(workload)]);
        let (exclude, cluster, absent, conflict) = (Vec::new(), Vec::new(), Vec::new(), ConflictHandling::Own);
        MoverTask::RestoreObjects { snapshot: "s".into(), rules, select, workloads, exclude, cluster, conflict, mode: ObjectsMode::Write, absent }
    });
    prop_oneof![
        stream,
        seal,
        objects,
        spaces().prop_map(|namespaces| MoverTask::BackupObjects { namespaces, exclude: Vec::new(), cluster: Vec::new(), parent: None }),
        Just(MoverTask::VerifyStored { snapshot: None }),
        Just(MoverTask::BackupVolume { part: "p".into(), parent: None, from_snapshot: false }),
    ]
}

/// Any action but those of drills' copies, which have a scope of their own.
fn action() -> impl Strategy<Value = Action> {
    let place = (select(&SITES[..]), select(&NAMESPACES[..]));
    let owned = (select(&SITES[..]), select(&HUB[..]), any::<u8>()).prop_map(|(site, hub, which)| {
        let owner = format!("{hub}/chg-1");
        read(match which % 5 {
            0 => json!({"do": "silence", "site": site, "owner": "shinan/chg-1", "labels": [{"district": hub}]}),
            1 => json!({"do": "endSilence", "site": site, "owner": owner}),
            2 => json!({"do": "cordon", "site": site, "node": "n", "owner": owner}),
            3 => json!({"do": "uncordon", "site": site, "node": "n", "owner": owner}),
            _ => json!({"do": "inspectNode", "site": site, "node": "n", "district": hub}),
        })
    });
    let of_site = (select(&SITES[..]), select(&REPOSITORIES[..]), any::<u8>()).prop_map(|(site, repository, which)| {
        let bundle = json!({"configMapRef": {"name": "m"}});
        read(match which % 6 {
            0 => json!({"do": "drain", "site": site, "node": "n"}),
            1 => json!({"do": "installComponent", "site": site, "component": "c", "version": "1", "bundle": bundle, "digest": "d"}),
            2 => json!({"do": "revertComponent", "site": site, "component": "c", "version": "1"}),
            3 => json!({"do": "endInstallation", "site": site, "component": "c"}),
            4 => json!({"do": "silence", "site": "west", "owner": "shinan/chg-1", "labels": [{"site": site}]}),
            _ => json!({"do": "preflight", "site": site, "subjects": [{"application": "a", "backup": "b", "repository": repository, "snapshot": "s", "time": "2026-01-01T00:00:00Z"}]}),
        })
    });
    let in_namespace = (place.clone(), check(), reference(), any::<u8>()).prop_map(|((site, namespace), check, workload, which)| {
        read(match which % 5 {
            0 => json!({"do": "check", "site": site, "namespace": namespace, "check": check}),
            1 => json!({"do": "watch", "site": site, "checks": [[namespace, check]], "duration": "1m"}),
            2 => json!({"do": "execute", "site": site, "namespace": namespace, "command": {"workloadRef": workload, "command": ["c"]}}),
            3 => json!({"do": "readMarker", "site": site, "namespace": namespace, "marker": {"workloadRef": workload, "write": ["$(MARKER)"], "read": ["c"]}}),
            _ => json!({"do": "start", "site": site, "workloads": {namespace: [workload]}}),
        })
    });
    prop_oneof![
        (place.clone(), spaces(), task()).prop_map(|((site, namespace), namespaces, task)| Action::Move {
            site: site.into(),
            namespace: namespace.into(),
            claim: None,
            namespaces,
            task
        }),
        (place.clone(), spaces()).prop_map(|((site, namespace), namespaces)| {
            let of = |namespace: &str| snapshot_of(&Claim { namespace: namespace.into(), name: "c".into() });
            Action::TakeSnapshots { site: site.into(), snapshots: namespaces.iter().map(String::as_str).chain([namespace]).map(of).collect() }
        }),
        (place.clone(), spaces()).prop_map(|((site, _), namespaces)| Action::RemoveSnapshots { site: site.into(), namespaces }),
        (place, spaces()).prop_map(|((site, _), namespaces)| Action::RemoveMovers { site: site.into(), namespaces }),
        owned,
        of_site,
        in_namespace,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn an_action_passes_exactly_if_it_names_nothing_of_another_district(action in action()) {
        let foreign = serde_json::to_string(&action).expect("json").contains("laoshan");
        let answer = scope().permits(&action);
        prop_assert_eq!(answer.is_err(), foreign, "{:?}", answer);
    }

    #[test]
    fn a_drill_touches_only_its_own_copies(action in action(), original in select(&NAMESPACES[..]), copy in select(&NAMESPACES[..]), id in select(vec!["k7m2q", "other"])) {
        let drill = scope().isolated("k7m2q");
        // Everything of `action` is an original, so whatever it names there is refused.
        if !action.touches().namespaces.is_empty() {
            prop_assert!(drill.permits(&action).is_err());
        }
        let bubble = Bubble { id: id.into(), namespaces: [(original.to_owned(), names::bubble_namespace(copy, id))].into(), allow_egress: Vec::new() };
        let own = id == "k7m2q" && original == copy && original.starts_with("shinan-");
        for action in [Action::Isolate { site: "east".into(), bubble: bubble.clone() }, Action::RemoveBubble { site: "east".into(), bubble }] {
            prop_assert_eq!(drill.permits(&action).is_ok(), own);
            prop_assert!(scope().permits(&action).is_err(), "no other run may touch a drill's copy");
        }
    }
}
