//! The gate lets through what compilers make for a district, and nothing that names another's.

use super::*;
use crate::{
    engine::Plan,
    maintenance::{
        ticket::Planned,
        work::{self, Affected, ComponentOf, WorkFacts},
    },
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
    runs::{ClaimSnapshot, PreflightSubject},
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{ApplicationSpec, MaintenanceTicketSpec, RecoveryPlanSpec, RestoreSpec, recovery::drill::DrillType};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

pub(super) fn district(name: &str, site_namespaces: Value) -> District {
    read(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": name}, "spec": {"code": "370202", "names": {"en": name},
        "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}], "siteNamespaces": site_namespaces}}))
}

pub(super) fn scope() -> Scope {
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
        missing: &[],
        snapshots,
        half_restored: None,
        parent: None,
        deadline: DEADLINE,
    };
    backup::compile(&facts).expect("compiles")
}

fn of_restore(spec: Value) -> Plan<Action> {
    let (spec, application): (RestoreSpec, _) = (read(spec), application());
    let subject = Subject { name: "approval", spec: &application, point: point(), claims: claims() };
    let parts = ["objects".into(), "streams/db".into()];
    let facts = RestoreFacts {
        spec: &spec,
        subject,
        parts: &parts,
        is_partial: false,
        unused: &[],
        district: "shinan",
        site: &"west".into(),
        present: &claims(),
        hidden: &[],
        deadline: DEADLINE,
        platform: None,
    };
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
    of_change_to(&application(), namespace, district, affects, change)
}

fn of_change_to(application: &ApplicationSpec, namespace: &str, district: Option<&str>, affects: Value, change: Value) -> Plan<Action> {
    let spec: MaintenanceTicketSpec =
        read(json!({"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "affects": affects, "change": change}));
    let affected = [Affected { name: "approval", spec: application, site: &"west".into(), last_backup: None }];
    let affected = if district.is_some() { &affected[..] } else { &[] };
    let declared = read(json!({"name": "cache", "version": "2.0.0", "bundle": {"configMapRef": {"name": "cache-2"}},
        "health": [{"name": "up", "condition": {"workloadRef": {"kind": "Deployment", "name": "cache", "namespace": "shinan-cache"}, "type": "Available"}}]}));
    let bundle = crate::platform::bundle::Bundle { digest: "sha256:1".into(), objects: Vec::new() };
    let source = read(json!({"configMapRef": {"name": "cache-2"}}));
    let sites = ["east", "west"].map(Into::into);
    let component = Some(ComponentOf { declared: &declared, source: &source, bundle: &bundle, sites: &sites });
    let facts =
        WorkFacts { ticket: "chg-1", namespace, district, spec: &spec, planned: Planned::default(), applications: affected, alertmanagers: &sites, component };
    work::compile(&facts).expect("compiles")
}

fn drain() -> Value {
    json!({"class": "Normal", "work": {"drainNode": {"siteRef": {"name": "west"}, "nodeName": "west-1"}}})
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
        ("drain", scope().with_node(&"west".into(), "west-1"), own(drain())),
        ("upgrade", scope(), own(upgrade)),
        ("work by hand", scope(), own(json!({"class": "Normal", "work": {"manual": {}}}))),
        (
            "drain by the city",
            Scope::of_city("p861-system", ["west", "east"]).with_node(&"west".into(), "west-1"),
            of_change("p861-system", None, json!({"siteRefs": [{"name": "west"}]}), drain()),
        ),
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
        ("OutOfScope", with(json!({"do": "drain", "node": "another", "district": "shinan"}))),
        ("OutOfScope", with(json!({"do": "drain", "node": "n"}))),
        ("OutOfScope", with(json!({"do": "drain", "node": "n", "district": "laoshan"}))),
        ("OutOfScope", with(json!({"do": "cordon", "node": "another", "owner": "shinan/chg-1"}))),
        ("OutOfScope", with(json!({"do": "inspectNode", "node": "n"}))),
        ("OutOfScope", with(json!({"do": "takeBackup", "application": "a", "backup": "../laoshan/b"}))),
        ("SiteNotAllotted", read(json!({"do": "drain", "site": "north", "node": "n", "district": "shinan"}))),
    ] {
        let error = scope().permits(&action).expect_err("refused");
        assert_eq!(error.reason(), reason, "{action:?}: {error}");
    }
}

#[test]
fn fault_e1_a_check_of_an_application_runs_in_no_namespace_of_another() {
    let stray = |namespace: &str| json!({"kind": "Deployment", "name": "coredns", "namespace": namespace});
    for (namespaces, workload) in [
        (json!(["shinan-approval"]), stray("kube-system")),
        (json!(["shinan-approval"]), stray("laoshan-approval")),
        (json!(["kube-system"]), json!({"kind": "Deployment", "name": "coredns"})),
    ] {
        let checks = json!([{"name": "steal", "exec": {"workloadRef": workload, "command": ["cat", "/etc/kubernetes/admin.conf"]}}]);
        let application: ApplicationSpec = read(json!({"department": "d", "namespaces": namespaces, "checks": checks}));
        let change = json!({"class": "Standard", "templateRef": {"name": "t"}, "work": {"manual": {}}, "backup": "Skip", "silence": "None"});
        let plan = of_change_to(&application, "shinan", Some("shinan"), json!({"applicationRefs": [{"name": "approval"}]}), change);
        let checks: Vec<&Action> = actions(&plan).filter(|action| matches!(action, Action::Check { .. })).collect();
        assert_eq!(checks.len(), 1, "{workload}");
        assert_eq!(scope().permits(checks[0]).expect_err("refused").reason(), "NamespaceNotAllotted", "{workload}");
        assert!(scope().permits(checks[0]).is_err(), "nothing is there that could be performed");
    }
}

#[test]
fn fault_e1_what_is_permitted_reaches_into_the_namespaces_of_its_action_and_no_others() {
    let check =
        read::<Action>(json!({"do": "check", "site": "west", "namespace": "shinan-approval", "check": {"name": "c", "tcp": {"serviceName": "s", "port": 1}}}));
    let scope = scope();
    let permitted = scope.permits(&check).expect("permitted");
    assert_eq!(permitted.action(), &check);
    for (namespace, expected) in [("shinan-approval", true), ("shinan-data", false), ("kube-system", false), ("", false)] {
        assert_eq!(permitted.reaches(namespace), expected, "{namespace}");
    }
}

#[test]
fn fault_e1_a_probe_begins_on_a_site_of_the_district_only() {
    assert!(scope().site(&"west".into()).is_ok());
    let refused = scope().site(&"laoshan-site".into()).expect_err("refused");
    assert_eq!((refused.reason(), refused.to_string().contains("site laoshan-site is not one of the sites of shinan")), (Reason::SiteNotAllotted, true));
}

#[test]
fn fault_e8_a_district_silences_its_own_alerts_and_those_of_the_node_that_it_drains_and_the_city_what_is_a_sites() {
    let shinan = scope().with_node(&"west".into(), "west-1");
    let city = Scope::of_city("p861-system", ["west", "east"]);
    for (labels, own, of_city) in [
        (json!({"district": "shinan"}), true, true),
        (json!({"district": "shinan", "application": "approval"}), true, true),
        (json!({"district": "shinan", "site": "west"}), true, true),
        (json!({"district": "shinan", "site": "west", "node": "west-2"}), true, true),
        (json!({"site": "west", "node": "west-1"}), true, true),
        (json!({"site": "west", "node": "west-1", "alertname": "KubeNodeNotReady"}), true, true),
        (json!({"site": "west"}), false, true),
        (json!({"site": "west", "alertname": "P861SiteNodesNotReady"}), false, true),
        (json!({"site": "west", "node": "west-2"}), false, true),
        (json!({"site": "east", "node": "west-1"}), false, true),
        (json!({"node": "west-1"}), false, false),
        (json!({"district": "laoshan"}), false, true),
        (json!({"district": "laoshan", "site": "west", "node": "west-1"}), false, true),
        (json!({"district": "shinan", "site": "north"}), false, false),
        (json!({"site": "north"}), false, false),
        (json!({"alertname": "Watchdog"}), false, false),
        (json!({}), false, false),
    ] {
        let silence = |owner: &str| read::<Action>(json!({"do": "silence", "site": "west", "owner": owner, "labels": [labels]}));
        assert_eq!(shinan.permits(&silence("shinan/chg-1")).is_ok(), own, "the district: {labels}");
        assert_eq!(city.permits(&silence("p861-system/chg-1")).is_ok(), of_city, "the city: {labels}");
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
fn fault_e1_the_namespace_of_a_district_on_the_hub_is_none_of_its_site_namespaces_even_if_it_is_called_so() {
    for hub in ["shinan-hub", "shinan"] {
        let scope = Scope::of_district(hub, ["west"], Allotment::of(&district("shinan", json!({"names": ["shinan"], "prefixes": ["shinan-"]}))));
        for (namespace, own) in [("shinan-approval", true), ("shinan-hub", hub != "shinan-hub"), ("shinan", hub != "shinan")] {
            assert_eq!(scope.is_own(namespace), own, "{namespace} with {hub} on the hub");
        }
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
            let answer = scope().permits(&touching(task, group, kind, name, "shinan-approval")).map(drop);
            assert_eq!(answer.is_ok(), in_place, "{task} {kind} {name}: {answer:?}");
            assert!(answer.is_ok() || answer.is_err_and(|refused| refused.reason() == Reason::OutOfScope));
            let copy = names::bubble_namespace("shinan-approval", "k7m2q");
            let answer = scope().isolated("k7m2q").permits(&touching(task, group, kind, name, &copy)).map(drop);
            assert_eq!(answer.is_ok(), in_a_copy, "{task} {kind} {name} in a copy: {answer:?}");
        }
    }
}
