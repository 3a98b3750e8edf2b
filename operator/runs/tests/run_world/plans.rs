//! Plans as the compilers make them of sample specs.

use jiff::{SignedDuration, Timestamp};
use p861_core::{
    engine::Plan,
    maintenance::{
        ticket::Planned,
        work::{self, Affected, ComponentOf, WorkFacts},
    },
    platform::bundle::Bundle,
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
    runs::{Action, Allotment, ClaimSnapshot, Scope},
};
use p861_crds::{ApplicationSpec, District, MaintenanceTicketSpec, RecoveryPlanSpec, RestoreSpec, recovery::drill::DrillType};
use serde_json::{Value, json};

const DEADLINE: SignedDuration = SignedDuration::from_hours(6);

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

/// An application of two namespaces, with hooks, tiers, a stream, a marker and checks.
fn approval() -> ApplicationSpec {
    let web = json!({"kind": "Deployment", "name": "web"});
    let database = json!({"kind": "StatefulSet", "name": "postgres", "namespace": "shinan-data"});
    read(json!({
        "department": "d", "namespaces": ["shinan-approval", "shinan-data"],
        "tiers": [{"name": "data", "workloadRefs": [database]}, {"name": "web", "workloadRefs": [web]}],
        "streams": [{"name": "db", "workloadRef": database, "dump": ["pg_dump"], "restore": ["pg_restore"]}],
        "hooks": {"quiesce": {"workloadRef": database, "command": ["freeze"]}, "resume": {"workloadRef": database, "command": ["thaw"]}},
        "marker": {"workloadRef": database, "write": ["psql", "$(MARKER)"], "read": ["psql"]},
        "checks": [{"name": "login", "tcp": {"serviceName": "web", "port": 80}}, {"name": "query", "exec": {"workloadRef": database, "command": ["psql"]}}]
    }))
}

/// A small one.
fn portal() -> ApplicationSpec {
    read(json!({"department": "d", "namespaces": ["shinan-portal"], "checks": [{"name": "page", "tcp": {"serviceName": "web", "port": 80}}]}))
}

fn claims() -> Vec<Claim> {
    [("shinan-approval", "files"), ("shinan-data", "data-postgres-0")].map(|(namespace, name)| Claim { namespace: namespace.into(), name: name.into() }).into()
}

fn snapshot(namespace: &str, claim: &str) -> ClaimSnapshot {
    ClaimSnapshot { namespace: namespace.into(), claim: claim.into(), class: "snap".into(), storage_class: "block".into(), bytes: 1 << 30 }
}

fn point(backup: &str) -> RecoveryPoint {
    RecoveryPoint { backup: backup.into(), snapshot: "5a1f".into(), time: Timestamp::UNIX_EPOCH, repository: "main".into(), level: None, site: None }
}

fn of_backup(snapshots: &[ClaimSnapshot]) -> Plan<Action> {
    let (spec, claims) = (approval(), claims());
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

/// Of an application of objects only, all of whose steps share a mover.
fn of_objects() -> Plan<Action> {
    let spec = portal();
    let (application, site) = ("portal", "west".into());
    let facts = BackupFacts {
        backup: "nightly-2",
        application,
        district: "shinan",
        site: &site,
        spec: &spec,
        claims: &[],
        missing: &[],
        half_restored: None,
        snapshots: &[],
        parent: None,
        deadline: DEADLINE,
    };
    backup::compile(&facts).expect("compiles")
}

fn of_restore(more: Value) -> Plan<Action> {
    let mut spec = json!({"source": {"applicationRef": {"name": "approval"}}});
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let (spec, application): (RestoreSpec, _) = (read(spec), approval());
    let subject = Subject { name: "approval", spec: &application, point: point("nightly-1"), claims: claims() };
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

/// Two groups whose failures mean different things, a step of the plan's own whose failure asks a person, and a copy that is left standing.
fn of_drill() -> Plan<Action> {
    let warm = json!({"applicationRef": {"name": "approval"}, "workloadRef": {"kind": "StatefulSet", "name": "postgres", "namespace": "shinan-data"}, "command": ["warm"]});
    let plan: RecoveryPlanSpec = read(json!({
        "repositoryRef": {"name": "main"},
        "groups": [{"name": "base", "onFailure": "Abort", "members": [{"applicationRef": {"name": "approval"}}]},
            {"name": "front", "onFailure": "Continue", "members": [{"applicationRef": {"name": "portal"}}]}],
        "steps": [{"name": "warm", "after": "Start/base", "exec": warm, "onFailure": "Prompt"}]
    }));
    let (approval, portal) = (approval(), portal());
    let subjects = [
        Subject { name: "approval", spec: &approval, point: point("nightly-1"), claims: claims() },
        Subject { name: "portal", spec: &portal, point: point("nightly-2"), claims: Vec::new() },
    ];
    let keep_for = SignedDuration::from_hours(1);
    drill::compile(&DrillFacts {
        drill_type: DrillType::Isolated,
        id: "k7m2q",
        site: &"east".into(),
        plan: &plan,
        subjects: &subjects,
        keep_for,
        ground: &Ground::default(),
    })
    .expect("compiles")
}

fn of_change(change: Value) -> Plan<Action> {
    let affects = json!({"applicationRefs": [{"name": "approval"}], "siteRefs": [{"name": "west"}]});
    let spec: MaintenanceTicketSpec =
        read(json!({"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "affects": affects, "change": change}));
    let application = approval();
    let affected = [Affected { name: "approval", spec: &application, site: &"west".into(), last_backup: None }];
    let declared = read(json!({"name": "cache", "version": "2.0.0", "bundle": {"configMapRef": {"name": "cache-2"}},
        "health": [{"name": "up", "condition": {"workloadRef": {"kind": "Deployment", "name": "cache", "namespace": "shinan-cache"}, "type": "Available"}}]}));
    let bundle = Bundle { digest: "sha256:1".into(), objects: Vec::new() };
    let source = read(json!({"configMapRef": {"name": "cache-2"}}));
    let sites = ["east", "west"].map(Into::into);
    let component = Some(ComponentOf { declared: &declared, source: &source, bundle: &bundle, sites: &sites });
    let facts = WorkFacts {
        ticket: "chg-1",
        namespace: "shinan",
        district: Some("shinan"),
        spec: &spec,
        planned: Planned::default(),
        applications: &affected,
        alertmanagers: &sites,
        component,
    };
    work::compile(&facts).expect("compiles")
}

/// What the run of a plan may touch.
pub fn scope(plan: &str) -> Scope {
    let district: District = read(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
        "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}]}}));
    let scope = Scope::of_district("shinan", ["west", "east"], Allotment::of(&district)).with_repository("main");
    match plan {
        "drill" => scope.isolated("k7m2q"),
        "drain" => scope.with_node(&"west".into(), "west-1"),
        _ => scope,
    }
}

/// Every plan, by name.
pub fn plans() -> Vec<(&'static str, Plan<Action>)> {
    let rollback = json!({"policy": "OnFailure"});
    vec![
        ("backup", of_backup(&[])),
        ("objects", of_objects()),
        ("snapshots", of_backup(&[snapshot("shinan-data", "data-postgres-0")])),
        ("restore", of_restore(json!({}))),
        ("files", of_restore(json!({"select": {"files": [{"claim": "files", "paths": ["a.txt"]}]}}))),
        ("preview", of_restore(json!({"mode": "Preview"}))),
        ("drill", of_drill()),
        ("failover", crate::failover::failover()),
        ("drain", of_change(json!({"class": "Normal", "rollback": rollback, "work": {"drainNode": {"siteRef": {"name": "west"}, "nodeName": "west-1"}}}))),
        ("upgrade", of_change(json!({"class": "Normal", "rollback": rollback, "work": {"upgradeComponent": {"component": "cache", "version": "2.0.0"}}}))),
    ]
}
