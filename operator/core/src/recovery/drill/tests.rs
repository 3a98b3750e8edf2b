//! What follows from a plan.

use super::*;
use crate::{
    protection::{backup::Claim, choose::RecoveryPoint},
    runs::MoverTask,
};
use jiff::Timestamp;
use p861_crds::ApplicationSpec;

fn application(namespace: &str) -> ApplicationSpec {
    serde_json::from_value(serde_json::json!({
        "department": "d", "namespaces": [namespace], "volumes": [{"claim": "data-*", "method": "Skip"}],
        "tiers": [{"name": "data", "workloadRefs": [{"kind": "StatefulSet", "name": "postgres"}]}, {"name": "web", "workloadRefs": [{"kind": "Deployment", "name": "web"}]}],
        "streams": [{"name": "db", "workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "dump": ["pg_dump"], "restore": ["pg_restore"]}],
        "checks": [{"name": "login", "tcp": {"serviceName": "web", "port": 80}}]
    }))
    .expect("a spec")
}

fn point() -> RecoveryPoint {
    RecoveryPoint { backup: "b".into(), snapshot: "s".into(), time: Timestamp::UNIX_EPOCH, repository: "r".into(), level: None, site: None }
}

fn compiled(groups: serde_json::Value, keep_for: i64) -> Plan<Action> {
    with_steps(groups, serde_json::json!([]), keep_for).expect("compiles")
}

fn with_steps(groups: serde_json::Value, steps: serde_json::Value, keep_for: i64) -> Result<Plan<Action>, CompileError> {
    let plan: RecoveryPlanSpec = serde_json::from_value(serde_json::json!({"repositoryRef": {"name": "r"}, "groups": groups, "steps": steps})).expect("a plan");
    let (one, two) = (application("shinan-one"), application("shinan-two"));
    let claims = |n: &str| ["data-postgres-0", "files"].map(|name| Claim { namespace: n.into(), name: name.into() }).to_vec();
    let subjects = [
        Subject { name: "one", spec: &one, point: point(), claims: claims("shinan-one") },
        Subject { name: "two", spec: &two, point: point(), claims: claims("shinan-two") },
    ];
    let facts = DrillFacts {
        drill_type: DrillType::Isolated,
        id: "k7m2q",
        site: &"standby".into(),
        plan: &plan,
        subjects: &subjects,
        keep_for: SignedDuration::from_secs(keep_for),
        ground: &Ground::default(),
    };
    compile(&facts)
}

fn waits(plan: &Plan<Action>, id: &str) -> Vec<String> {
    let mut waits: Vec<String> =
        plan.steps().iter().find(|s| s.id.as_str() == id).unwrap_or_else(|| panic!("no step {id}")).dependencies().map(ToString::to_string).collect();
    waits.sort();
    waits
}

fn two_groups() -> serde_json::Value {
    serde_json::json!([{"name": "services", "members": [{"applicationRef": {"name": "one"}}]}, {"name": "public", "members": [{"applicationRef": {"name": "two"}}]}])
}

#[test]
fn fault_e48_no_drill_takes_and_no_copy_is_kept_longer_than_thirty_days() {
    let (usual, month, longest) = (SignedDuration::from_hours(4), SignedDuration::from_hours(720), SignedDuration::from_hours(399_996));
    let ms = SignedDuration::from_millis(1);
    for (case, deadline, keep_for, refused) in [
        ("as usual", usual, SignedDuration::ZERO, None),
        ("as long as it may", month, month, None),
        ("the deadline of a person who means never", longest, SignedDuration::ZERO, Some("spec.deadline: 399996h is more than 720h (30 days)")),
        ("a copy for ever", usual, longest, Some("spec.keepFor: 399996h is more than 720h (30 days)")),
        ("a moment too long", usual, month + ms, Some("spec.keepFor: 720h1ms is more than 720h (30 days)")),
        ("no time", SignedDuration::ZERO, SignedDuration::ZERO, Some("spec.deadline: a drill takes longer than 0s")),
    ] {
        let said = check_times(deadline, keep_for).err().map(|error| error.to_string());
        match refused {
            Some(refused) => assert!(said.as_ref().is_some_and(|said| said.starts_with(refused)), "{case}: {said:?}"),
            None => assert_eq!(said, None, "{case}"),
        }
    }
}

#[test]
fn data_is_brought_for_all_at_once_and_starting_goes_group_by_group() {
    let plan = compiled(two_groups(), 0);
    assert_eq!(waits(&plan, "restore/two/objects"), ["prove-isolation", "verify/two"]);
    assert_eq!(waits(&plan, "verify/two"), ["isolate"]);
    assert_eq!(waits(&plan, "start/two/tier/data"), ["check/one/login", "restore/two/objects", "restore/two/volume/files", "verify/two"]);
}

#[test]
fn fault_f9_a_drill_on_another_site_maps_what_the_platform_declares_for_the_two() {
    let at = |site: &str, name: &str| serde_json::json!({"siteRef": {"name": site}, "storageClassName": name});
    let platform = serde_json::from_value(serde_json::json!({
        "storage": {"classes": [{"name": "block", "sites": [at("home", "ceph-rbd"), at("standby", "topolvm")]}]},
        "baseSoftware": {"registries": [{"name": "registry.city", "mirrors": [{"siteRef": {"name": "home"}, "endpoint": "registry.home"}]}]}
    }));
    let classes = [("one".to_owned(), Ok(["ceph-rbd".to_owned()].into()))];
    let ground = Ground { platform: platform.expect("a Platform"), classes: classes.into() };
    let plan: RecoveryPlanSpec = serde_json::from_value(
        serde_json::json!({"repositoryRef": {"name": "r"}, "groups": [{"name": "a", "members": [{"applicationRef": {"name": "one"}}]}]}),
    )
    .expect("a plan");
    let one = application("shinan-one");
    for (from, expected) in [(Some("home"), Some(("topolvm", "registry.city"))), (Some("standby"), None), (None, None)] {
        let subjects = [Subject { name: "one", spec: &one, point: RecoveryPoint { site: from.map(SiteName::from), ..point() }, claims: vec![] }];
        let facts = DrillFacts {
            drill_type: DrillType::Isolated,
            id: "x",
            site: &"standby".into(),
            plan: &plan,
            subjects: &subjects,
            keep_for: SignedDuration::ZERO,
            ground: &ground,
        };
        let compiled = compile(&facts).expect("compiles");
        let rules = compiled.steps().iter().find_map(|step| match &step.action {
            Action::Move { task: MoverTask::RestoreObjects { rules, .. }, .. } => Some(rules.clone()),
            _ => None,
        });
        let rules = rules.expect("a restore of objects");
        let mapped = rules.storage_classes.first().zip(rules.images.first()).map(|(class, image)| (class.to.as_str(), image.to.as_str()));
        assert_eq!(mapped, expected, "{from:?}");
        let Action::Preflight { subjects, .. } = &compiled.steps()[0].action else { panic!("a preflight") };
        assert_eq!(subjects[0].classes.get("ceph-rbd").map(String::as_str), Some(expected.map_or("ceph-rbd", |(class, _)| class)), "{from:?}");
    }
}

#[test]
fn the_next_tier_waits_for_the_stream_that_the_tier_before_is_fed() {
    let plan = compiled(two_groups(), 0);
    assert_eq!(waits(&plan, "restore/one/stream/db"), ["start/one/tier/data"]);
    assert_eq!(waits(&plan, "start/one/tier/web"), ["restore/one/stream/db", "start/one/tier/data", "verify/one"]);
}

#[test]
fn clean_up_is_last_and_runs_however_it_ends() {
    let plan = compiled(two_groups(), 60);
    let last = plan.steps().iter().find(|s| s.finally).expect("clean-up");
    assert!(matches!(last.action, Action::RemoveBubble { .. }));
    assert!(plan.steps().iter().any(|s| s.id == StepKey::Hold));
}

#[test]
fn nothing_in_an_isolated_drill_touches_the_home_namespaces() {
    let text = serde_json::to_string(
        &compiled(two_groups(), 0)
            .steps()
            .iter()
            .filter(|s| !matches!(s.action, Action::Isolate { .. } | Action::ProveIsolation { .. } | Action::RemoveBubble { .. }))
            .map(|s| match &s.action {
                Action::Move { namespace, namespaces, .. } => format!("{namespace} {namespaces:?}"),
                Action::Start { workloads, .. } => format!("{:?}", workloads.keys()),
                Action::Check { namespace, .. } | Action::ReadMarker { namespace, .. } => namespace.clone(),
                _ => String::new(),
            })
            .collect::<Vec<_>>(),
    )
    .expect("json");
    assert!(!text.replace("shinan-one--drill-k7m2q", "").replace("shinan-two--drill-k7m2q", "").contains("shinan-"), "{text}");
}

#[test]
fn a_group_after_one_that_is_not_above_it_is_refused() {
    let plan: RecoveryPlanSpec = serde_json::from_value(
        serde_json::json!({"repositoryRef": {"name": "r"}, "groups": [{"name": "a", "after": ["b"], "members": [{"applicationRef": {"name": "one"}}]}]}),
    )
    .expect("a plan");
    let one = application("shinan-one");
    let subjects = [Subject { name: "one", spec: &one, point: point(), claims: vec![] }];
    let error = compile(&DrillFacts {
        drill_type: DrillType::Isolated,
        id: "x",
        site: &"s".into(),
        plan: &plan,
        subjects: &subjects,
        keep_for: SignedDuration::ZERO,
        ground: &Ground::default(),
    })
    .expect_err("refused");
    assert!(error.to_string().contains("not a group above it"), "{error}");
}

#[test]
fn a_persons_step_before_start_holds_back_every_start_and_nothing_else() {
    let ask = serde_json::json!([{"name": "announce", "before": "Start", "prompt": {"text": {"en": "Announced?"}}}]);
    let plan = with_steps(two_groups(), ask, 0).expect("compiles");
    assert!(waits(&plan, "start/one/tier/data").contains(&"announce".to_owned()));
    assert!(!waits(&plan, "restore/one/objects").contains(&"announce".to_owned()), "data is brought meanwhile");
    assert_eq!(waits(&plan, "announce"), ["prove-isolation"]);
}

#[test]
fn a_step_that_would_never_come_is_a_mistake() {
    let step = |place: serde_json::Value| {
        let mut step = serde_json::json!({"name": "look", "prompt": {"text": {"en": "Good?"}}});
        step.as_object_mut().expect("an object").extend(place.as_object().expect("an object").clone());
        with_steps(two_groups(), serde_json::json!([step]), 0)
    };
    for (place, named) in [
        (serde_json::json!({"after": "Start/publik"}), "publik"),
        (serde_json::json!({"before": "Traffic", "runs": ["IsolatedDrill"]}), "Traffic"),
        (serde_json::json!({"before": "Check", "runs": ["IsolatedDrill"]}), "Check"),
    ] {
        let error = step(place.clone()).expect_err("refused").to_string();
        assert!(error.contains(named) && error.contains("look"), "{place}: {error}");
    }
    // One for failovers is no mistake in a plan that is also drilled.
    let plan = step(serde_json::json!({"before": "Traffic"})).expect("compiles");
    assert!(plan.steps().iter().all(|step| step.id.as_str() != "look"));
}

#[test]
fn a_step_of_the_plan_may_not_be_called_like_one_of_the_drill() {
    for name in ["hold", "isolate", "prove-isolation", "clean-up"] {
        let step = serde_json::json!([{"name": name, "before": "Start", "prompt": {"text": {"en": "Good?"}}}]);
        let error = with_steps(two_groups(), step, 0).expect_err("refused").to_string();
        assert!(error.contains(name) && error.contains("another step"), "{error}");
    }
}

/// Every step that something of the drill comes after, however far back.
fn before(plan: &Plan<Action>, id: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut next = vec![id.to_owned()];
    while let Some(id) = next.pop() {
        next.extend(waits(plan, &id).into_iter().filter(|dependency| all.insert(dependency.clone())));
    }
    all
}

#[test]
fn fault_e13_nothing_is_written_into_a_copy_and_nothing_starts_in_it_before_it_is_proven_to_be_closed() {
    let steps = serde_json::json!([
        {"name": "announce", "before": "Start", "prompt": {"text": {"en": "Announced?"}}},
        {"name": "warm", "after": "Start/services", "exec": {"applicationRef": {"name": "one"}, "workloadRef": {"kind": "StatefulSet", "name": "postgres"}, "command": ["warm"]}}
    ]);
    let plan = with_steps(two_groups(), steps, 60).expect("compiles");
    assert_eq!(waits(&plan, "prove-isolation"), ["isolate"]);
    for step in plan.steps() {
        let id = step.id.as_str();
        let reads_only = ["preflight", "isolate", "prove-isolation", "verify/one", "verify/two", "clean-up"].contains(&id);
        assert_eq!(before(&plan, id).contains("prove-isolation"), !reads_only, "{id}");
        // A mover is told whom pods ask by the proof, which must be among the evidence that it is given.
        if let Action::Move { task: MoverTask::RestoreObjects { rules, .. }, .. } = &step.action {
            assert!(waits(&plan, id).contains(&"prove-isolation".to_owned()) && rules.isolated && rules.resolver.is_empty(), "{id}");
        }
    }
}

#[test]
fn fault_e14_a_bubble_knows_the_entrypoints_of_its_applications_and_what_they_may_connect_to() {
    let plan: RecoveryPlanSpec = serde_json::from_value(
        serde_json::json!({"repositoryRef": {"name": "r"}, "groups": [{"name": "a", "members": [{"applicationRef": {"name": "one"}}]}]}),
    )
    .expect("a plan");
    let compiled = |isolation: serde_json::Value| {
        let mut spec = application("shinan-one");
        spec.isolation = Some(serde_json::from_value(isolation).expect("an isolation"));
        spec.entrypoints = vec![
            serde_json::from_value(serde_json::json!({"name": "web", "hostname": "Shenpi.Shinan.example.", "serviceName": "web", "port": 80}))
                .expect("an entrypoint"),
        ];
        let subjects = [Subject { name: "one", spec: &spec, point: point(), claims: vec![] }];
        let facts = DrillFacts {
            drill_type: DrillType::Isolated,
            id: "k7m2q",
            site: &"standby".into(),
            plan: &plan,
            subjects: &subjects,
            keep_for: SignedDuration::ZERO,
            ground: &Ground::default(),
        };
        compile(&facts)
    };
    let good = compiled(serde_json::json!({"allowEgress": ["10.20.3.7/32", "ldap.city.example"], "kinds": [{"group": "example.com", "kind": "Widget"}]}))
        .expect("compiles");
    let bubble =
        good.steps().iter().find_map(|step| if let Action::Isolate { bubble, .. } = &step.action { Some(bubble.clone()) } else { None }).expect("a bubble");
    let zone = bubble.zone().expect("a zone");
    assert_eq!(zone.namespaces, bubble.namespaces);
    assert_eq!(zone.entrypoints, [Entrypoint { hostname: "shenpi.shinan.example".into(), namespace: "shinan-one--drill-k7m2q".into(), service: "web".into() }]);
    assert_eq!((zone.egress.cidrs(), zone.egress.names), (vec!["10.20.3.7/32".to_owned()], vec!["ldap.city.example".to_owned()]));
    for (isolation, says) in [
        (serde_json::json!({"allowEgress": ["10.20.3.7"]}), "application one: spec.isolation.allowEgress: 10.20.3.7 is an address"),
        (
            serde_json::json!({"kinds": [{"group": "networking.k8s.io", "kind": "NetworkPolicy"}]}),
            "application one: spec.isolation.kinds: NetworkPolicy.networking.k8s.io can't be in a copy",
        ),
    ] {
        let error = compiled(isolation).expect_err("refused").to_string();
        assert!(error.contains(says), "{error}");
    }
}
