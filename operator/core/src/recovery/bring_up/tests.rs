//! Which steps bring an application up, and in which order.

use super::*;
use jiff::Timestamp;
use p861_crds::platform::application::CronJobsInCopy;
use serde_json::json;
use std::sync::LazyLock;

static SITE: LazyLock<SiteName> = LazyLock::new(|| "s".into());

fn subject(spec: &ApplicationSpec) -> Subject<'_> {
    let point = RecoveryPoint { backup: "b".into(), snapshot: "s".into(), time: Timestamp::UNIX_EPOCH, repository: "r".into(), level: None, site: None };
    Subject { name: "a", spec, point, claims: Vec::new() }
}

fn request<'a>(subject: &'a Subject<'a>, parts: Parts) -> BringUp<'a> {
    let rules = CopyRules {
        namespaces: BTreeMap::from([("n".to_owned(), "n".to_owned())]),
        storage_classes: Vec::new(),
        images: Vec::new(),
        isolated: false,
        stopped: true,
        cron_jobs: CronJobsInCopy::Run,
        patches: Vec::new(),
        kinds: Vec::new(),
        resolver: Vec::new(),
        labels: BTreeMap::new(),
    };
    let target = Target { site: &SITE, rules, conflict: ConflictHandling::Own };
    let deadline = SignedDuration::from_hours(1);
    BringUp { subject, target, gates: Gates::default(), parts, on_failure: OnFailure::Abort, deadline }
}

#[test]
fn fault_b13_what_the_application_excludes_now_is_part_of_the_task_to_restore_its_objects() {
    let spec: ApplicationSpec =
        serde_json::from_value(json!({"department": "d", "namespaces": ["n"], "exclude": [{"group": "demo.example", "kind": "Widget"}]})).expect("a spec");
    let steps = bring_up(&request(&subject(&spec), Parts::all())).expect("compiles").steps;
    let excluded = |step: &Step<Action>| match &step.action {
        Action::Move { task: MoverTask::RestoreObjects { exclude, .. }, .. } => Some(exclude.clone()),
        _ => None,
    };
    let tries: Vec<_> = steps.iter().filter_map(excluded).collect();
    assert_eq!(tries, [spec.exclude.clone(), spec.exclude.clone()], "of both tries");
}

#[test]
fn fault_b12_a_copy_is_told_of_definitions_only_and_a_restore_of_all_that_the_application_names() {
    let named = json!([{"group": "apiextensions.k8s.io", "kind": "CustomResourceDefinition", "name": "gadgets.demo.example"}, {"kind": "PersistentVolume", "name": "v"}]);
    let spec: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["n"], "clusterResources": named})).expect("a spec");
    let told = |step: &Step<Action>| match &step.action {
        Action::Move { task: MoverTask::RestoreObjects { cluster, .. }, .. } => Some(cluster.iter().map(|named| named.name.clone()).collect::<Vec<_>>()),
        _ => None,
    };
    for (isolated, expected) in [(false, vec!["gadgets.demo.example", "v"]), (true, vec!["gadgets.demo.example"])] {
        let subject = subject(&spec);
        let mut request = request(&subject, Parts::all());
        request.target.rules.isolated = isolated;
        let steps = bring_up(&request).expect("compiles").steps;
        assert_eq!(steps.iter().filter_map(told).collect::<Vec<_>>(), [expected.clone(), expected], "of both tries; isolated: {isolated}");
    }
}

#[test]
fn fault_i5_every_start_knows_what_was_not_ready_in_the_backup_and_what_was_waited_for_before() {
    let spec: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["n"],
        "tiers": [{"name": "data", "workloadRefs": [{"kind": "StatefulSet", "name": "db"}]},
            {"name": "web", "workloadRefs": [{"kind": "Deployment", "name": "web"}]}]}))
    .expect("a spec");
    let subject = subject(&spec);
    let mut request = request(&subject, Parts::all());
    request.target.rules.namespaces = BTreeMap::from([("n".to_owned(), "m".to_owned())]);
    let mut before: Vec<String> = Vec::new();
    for step in bring_up(&request).expect("compiles").steps {
        let Action::Start { workloads, saved_as, awaited, .. } = &step.action else { continue };
        assert!(step.dependencies().any(|id| id.as_str() == "verify/a"), "{}: its evidence names what was not ready", step.id);
        assert_eq!(saved_as, &BTreeMap::from([("m".to_owned(), "n".to_owned())]), "{}", step.id);
        let named = |all: &BTreeMap<String, Vec<WorkloadReference>>| all.values().flatten().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(named(awaited), before, "{}: nobody waits twice", step.id);
        before.extend(named(workloads));
    }
    assert_eq!(before, ["StatefulSet/db", "Deployment/web"]);
}

#[test]
fn fault_b13_what_needed_the_application_is_tried_again_once_it_runs_and_before_it_is_checked() {
    let spec: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["n"],
        "tiers": [{"name": "data", "workloadRefs": [{"kind": "StatefulSet", "name": "db"}]}],
        "streams": [{"name": "late", "workloadRef": {"kind": "Deployment", "name": "web"}, "dump": ["dump"], "restore": ["load"]}],
        "checks": [{"name": "login", "tcp": {"serviceName": "web", "port": 80}}]}))
    .expect("a spec");
    let plan = |parts: Parts| bring_up(&request(&subject(&spec), parts)).expect("compiles");
    let whole = plan(Parts::all());
    let step = |id: &str| whole.steps.iter().find(|step| step.id.as_str() == id).unwrap_or_else(|| panic!("no step {id}"));
    let ids = |steps: &[StepId]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
    let again = step("restore/a/objects-again");
    assert_eq!(ids(&again.after), ["start/a/rest", "restore/a/stream/late", "restore/a/objects"], "the first try's evidence is its input");
    assert_eq!(again.on_failure, OnFailure::Continue, "the first try stands");
    let login = step("check/a/login");
    assert_eq!((ids(&login.once_settled), ids(&whole.ends)), (ids(std::slice::from_ref(&again.id)), ids(std::slice::from_ref(&login.id))));
    let tasks = |step: &Step<Action>| match &step.action {
        Action::Move { task: MoverTask::RestoreObjects { rules, mode, .. }, .. } => Some((*mode, rules.stopped)),
        _ => None,
    };
    assert_eq!(whole.steps.iter().filter_map(tasks).collect::<Vec<_>>(), [(ObjectsMode::Write, true), (ObjectsMode::Again, false)]);
    // Without proofs the second try is the end; what starts nothing has none.
    let unproven = plan(Parts { proofs: false, ..Parts::all() });
    assert!(unproven.ends.contains(&again.id), "{:?}", unproven.ends);
    for parts in [Parts { start: false, proofs: false, ..Parts::all() }, Parts { objects: None, ..Parts::all() }] {
        assert!(!plan(parts.clone()).steps.iter().any(|step| step.id == again.id), "{parts:?}");
    }
}
