//! The gate stands before the executor's own effects: whatever a stored plan says, nothing is asked of what is not the run's.

use http::{Request, Response};
use jiff::SignedDuration;
use kube::{Client, client::Body};
use p861_core::{
    engine::{Event, OnFailure, Plan, Step, StepId, sealed::DistrictKey},
    runs::{Action, Allotment, Scope},
};
use p861_crds::{District, Reason, common::RunPhase};
use p861_runs::{
    Admissions, ComponentState, EffectTasks, Hub, JournalKeys, JournalStore, MoverSettings, Occupancy, RunCache, RunContext, RunIdentity, RunMetrics, Sealing,
    Stored,
    effects::{KeysGiven, Warnings, Watched},
    leadership::Leadership,
    load,
    movers::child::Children,
    pass,
    repository::StoreCache,
    sites::Sites,
};
use p861_vault::{AsyncStore, Location};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// What was asked of API servers: method and path.
type Asked = Arc<Mutex<Vec<String>>>;

/// An API server that has nothing, and remembers what it was asked.
fn server(asked: &Asked) -> Client {
    let asked = asked.clone();
    let answer = move |request: Request<Body>| {
        asked.lock().push(format!("{} {}", request.method(), request.uri().path()));
        let body = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}).to_string();
        std::future::ready(Response::builder().status(404).body(Body::from(body.into_bytes())))
    };
    Client::new(tower::service_fn(answer), "default")
}

/// The executor's context, whose hub and sites are one API server.
pub fn context_over(client: Client) -> RunContext {
    let leadership = Leadership::without_lease();
    let hub = Hub {
        client: client.clone(),
        leadership: leadership.clone(),
        namespace: "p861-system".into(),
        identity: "test".into(),
        stores: StoreCache::default(),
        journal_keys: JournalKeys::default(),
    };
    RunContext {
        hub,
        sites: Sites::new(client, "p861-system", leadership),
        movers: MoverSettings {
            image: "image:1".into(),
            image_pull_policy: "Never".into(),
            children: Children::default(),
            given: KeysGiven::default(),
            warnings: Warnings::default(),
            watched: Watched::default(),
        },
        components: ComponentState::default(),
        cache: RunCache::default(),
        admissions: Admissions::default(),
        occupancy: Occupancy::default(),
        tasks: EffectTasks::default(),
        metrics: RunMetrics::new(&prometheus::Registry::new()).unwrap(),
    }
}

fn scope() -> Scope {
    let district: District = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
        "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}]}}))
    .unwrap();
    Scope::of_district("shinan", ["west"], Allotment::of(&district)).with_repository("main")
}

/// Each action, on a site or with an object of another district.
fn foreign() -> Vec<Value> {
    let (site, own) = ("laoshan-site", "shinan-approval");
    let workload = json!({"kind": "Deployment", "name": "web"});
    let check = json!({"name": "c", "tcp": {"serviceName": "web", "port": 80}});
    let bubble = json!({"id": "k7m2q", "namespaces": {"laoshan-approval": "laoshan-approval--drill-k7m2q"}});
    let here = |more: Value| {
        let mut action = json!({"site": site, "namespace": own, "namespaces": [own], "node": "n", "owner": "shinan/chg-1", "component": "c"});
        action.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        action
    };
    vec![
        here(json!({"do": "move", "task": {"task": "verifyStored"}})),
        here(json!({"do": "execute", "command": {"workloadRef": workload, "command": ["sh"]}})),
        here(json!({"do": "preflight", "subjects": []})),
        here(json!({"do": "isolate", "bubble": bubble})),
        here(json!({"do": "proveIsolation", "bubble": bubble})),
        here(json!({"do": "removeBubble", "bubble": bubble})),
        here(json!({"do": "stop", "namespaces": {own: []}})),
        here(json!({"do": "startAgain"})),
        here(json!({"do": "start", "workloads": {own: []}})),
        here(json!({"do": "check", "check": check})),
        here(json!({"do": "readMarker", "marker": {"workloadRef": workload, "write": ["$(MARKER)"], "read": ["sh"]}})),
        here(json!({"do": "takeSnapshots", "snapshots": [{"namespace": own, "claim": "c", "class": "s", "storageClass": "b", "bytes": 1}]})),
        here(json!({"do": "removeSnapshots"})),
        here(json!({"do": "removeMovers"})),
        json!({"do": "takeBackup", "application": "a", "backup": "../../laoshan/backups/b"}),
        here(json!({"do": "silence", "labels": [{"district": "laoshan"}]})),
        here(json!({"do": "endSilence"})),
        here(json!({"do": "inspectNode", "district": "shinan"})),
        here(json!({"do": "cordon"})),
        here(json!({"do": "uncordon"})),
        here(json!({"do": "drain", "district": "shinan"})),
        here(json!({"do": "installComponent", "version": "1", "bundle": {"configMapRef": {"name": "m"}}, "digest": "d"})),
        here(json!({"do": "revertComponent", "version": "1"})),
        here(json!({"do": "endInstallation"})),
        here(json!({"do": "watch", "checks": [[own, check]], "duration": "1m"})),
        here(json!({"do": "makeNamespaces", "district": "shinan"})),
    ]
}

/// Which sort of action it is. A new one doesn't compile before it is here, and then needs an example above.
fn sort(action: &Action) -> usize {
    match action {
        Action::Move { .. } => 0,
        Action::Execute { .. } => 1,
        Action::Preflight { .. } => 2,
        Action::Isolate { .. } => 3,
        Action::RemoveBubble { .. } => 4,
        Action::Stop { .. } => 5,
        Action::StartAgain { .. } => 6,
        Action::Start { .. } => 7,
        Action::Check { .. } => 8,
        Action::ReadMarker { .. } => 9,
        Action::TakeSnapshots { .. } => 10,
        Action::RemoveSnapshots { .. } => 11,
        Action::RemoveMovers { .. } => 12,
        Action::TakeBackup { .. } => 13,
        Action::Silence { .. } => 14,
        Action::EndSilence { .. } => 15,
        Action::InspectNode { .. } => 16,
        Action::Cordon { .. } => 17,
        Action::Uncordon { .. } => 18,
        Action::Drain { .. } => 19,
        Action::InstallComponent { .. } => 20,
        Action::RevertComponent { .. } => 21,
        Action::EndInstallation { .. } => 22,
        Action::Watch { .. } => 23,
        Action::MakeNamespaces { .. } => 24,
        Action::ProveIsolation { .. } => 25,
        // Nothing happens.
        Action::Ask {} => 26,
    }
}

#[tokio::test]
async fn fault_e2_a_stored_action_that_names_anything_of_another_district_is_refused_before_anything_is_asked() {
    let actions: Vec<Action> = foreign().into_iter().map(|action| serde_json::from_value(action).unwrap()).collect();
    assert_eq!(actions.iter().map(sort).collect::<BTreeSet<_>>(), (0..26).collect(), "an example of each");
    let steps = actions.into_iter().enumerate().map(|(number, action)| {
        let mut step = Step::new(StepId::new(format!("step-{number}")).unwrap(), action, SignedDuration::from_mins(1));
        step.on_failure = OnFailure::Continue;
        step
    });
    let plan = Plan::new(steps.collect()).unwrap();
    let (asked, folder) = (Asked::default(), tempfile::tempdir().unwrap());
    let store = AsyncStore::new(&Location::Folder { path: folder.path().to_owned() }, None).await.unwrap();
    let key = DistrictKey::from_text(&"5a".repeat(32)).unwrap().of_run("uid");
    let journal = JournalStore::Bucket { store, prefix: "journal/core/uid".into(), location: "folder".into(), sealing: Box::new(Sealing::without_hub(key)) };
    let run = RunIdentity { kind: "Drill", namespace: "shinan".into(), name: "drill".into(), uid: "uid".into(), repository: "main".into(), scope: scope() };
    // One process has stored it, and another takes it from the store.
    journal.begin(&plan).await.unwrap();
    let executor = context_over(server(&asked)).executor();
    let mut stored = load(&executor, &run, &journal).await.unwrap();
    assert!(matches!(stored, Stored::Found(_)));
    let ended = loop {
        let passed = pass(&executor, &run, &journal, &[], stored).await.unwrap();
        if passed.summary.phase.is_end() {
            break passed;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        stored = Stored::Claimed;
    };
    assert_eq!(ended.summary.phase, RunPhase::Failed);
    for step in plan.steps() {
        let failures: Vec<&Reason> = ended
            .journal
            .records()
            .iter()
            .filter(|record| record.step.as_ref() == Some(&step.id))
            .filter_map(|record| if let Event::Failed(failure) = &record.event { Some(&failure.reason) } else { None })
            .collect();
        let refused = [Reason::SiteNotAllotted, Reason::NamespaceNotAllotted, Reason::OutOfScope];
        assert!(failures.len() == 1 && refused.contains(failures[0]), "{:?}: {failures:?}", step.action);
    }
    assert_eq!(*asked.lock(), Vec::<String>::new(), "something was asked");
}
