//! Two districts share a city. Whatever a run of one of them is told to do, and by whomever: what names a thing of the other's does not pass.
//!
//! What the gate looks at is stated in `touches`. This file judges without it: everything of the other district has `laoshan` in its name, and an action is
//! foreign if any text of its JSON has.

mod generators;

use super::{
    tests::{district, read, scope},
    *,
};
use crate::runs::Bubble;
use generators::{DRILL, Names, OTHER, action, action_variant, actions, task_variant, tasks};
use proptest::{prelude::*, sample::select, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};

/// The scope of the district's run that does such things.
fn scope_for(action: &Action) -> Scope {
    match action {
        Action::Isolate { .. } | Action::ProveIsolation { .. } | Action::RemoveBubble { .. } => scope().isolated(DRILL),
        // One whose work is on the nodes that it names.
        _ => ["west", "east"].into_iter().fold(scope(), |scope, site| scope.with_node(&site.into(), "web").with_node(&site.into(), "postgres-0.data")),
    }
}

/// A text of a document: where it stands, and how it is changed.
struct Text {
    /// Names of members, `[]` for an entry of a list, `*` for the name of one that is a namespace, `{}` for such a name itself.
    place: String,
    says: String,
    change: Change,
}

/// Puts another text in its place.
type Change = Box<dyn Fn(&mut Value, &str)>;

/// Every text of a document, the names of members included.
fn texts(value: &Value) -> Vec<Text> {
    fn walk(value: &Value, place: &str, pointer: &str, found: &mut Vec<Text>) {
        match value {
            Value::String(text) => {
                let pointer = pointer.to_owned();
                let changed = move |whole: &mut Value, by: &str| *whole.pointer_mut(&pointer).expect("it is there") = json!(by);
                found.push(Text { place: place.to_owned(), says: text.clone(), change: Box::new(changed) });
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{place}[]"), &format!("{pointer}/{at}"), found)),
            Value::Object(members) => {
                for (name, member) in members {
                    let escaped = name.replace('~', "~0").replace('/', "~1");
                    let shown = if name.starts_with("shinan") { "*" } else { name };
                    walk(member, &format!("{place}.{shown}"), &format!("{pointer}/{escaped}"), found);
                    let (pointer, old) = (pointer.to_owned(), name.clone());
                    let changed = move |whole: &mut Value, by: &str| {
                        let members = whole.pointer_mut(&pointer).and_then(Value::as_object_mut).expect("it is there");
                        let member = members.remove(&old).expect("it is there");
                        members.insert(by.to_owned(), member);
                    };
                    found.push(Text { place: format!("{place}{{}}"), says: name.clone(), change: Box::new(changed) });
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", "", &mut found);
    found
}

/// The oracle, which knows nothing of what the gate looks at.
fn names_another(action: &Action) -> bool {
    texts(&serde_json::to_value(action).expect("JSON")).iter().any(|text| text.says.contains(OTHER))
}

/// Texts that name an object in a namespace which the action names besides: a plain name is the district's own object of that name.
const OBJECTS: &[&str] = &[
    "application",
    "backup",
    "bubble.entrypoints[].service",
    "bundle.configMapRef.name",
    "bundle.oci.caSecretRef.name",
    "bundle.oci.pullSecretRef.name",
    "check.exec.workloadRef.name",
    "check.condition.workloadRef.name",
    "check.http.serviceName",
    "check.tcp.serviceName",
    "checks[][].exec.workloadRef.name",
    "checks[][].condition.workloadRef.name",
    "checks[][].http.serviceName",
    "checks[][].tcp.serviceName",
    "claim",
    "claims.*[]",
    "command.workloadRef.name",
    "component",
    "marker.workloadRef.name",
    "namespaces.*[]",
    "node",
    "snapshots[].claim",
    "subjects[].application",
    "subjects[].backup",
    "task.facts.application",
    "task.facts.backup",
    "task.snapshots[].application",
    "task.snapshots[].backup",
    "task.workloadRef.name",
    "task.workloads[].name",
    "workloads.*[].name",
];

/// Texts that lead to nothing of anybody's, whatever they say: commands, selectors, ids, words for people, and how a snapshot's own contents are renamed. What a
/// registry serves, and where else a run may connect to, is decided elsewhere.
const FREE: &[&str] = &[
    "bubble.allowEgress[]",
    "bubble.entrypoints[].hostname",
    "bundle.oci.digest",
    "bundle.oci.image",
    "command.command[]",
    "command.container",
    "digest",
    "labels[].alertname",
    "labels[]{}",
    "marker.container",
    "marker.period",
    "marker.read[]",
    "marker.write[]",
    "snapshots[].class",
    "snapshots[].storageClass",
    "subjects[].classes.block",
    "subjects[].classes{}",
    "subjects[].classesUnknown",
    "subjects[].images[].from",
    "subjects[].images[].to",
    "subjects[].snapshot",
    "task.absent[]",
    "task.at",
    "task.container",
    "task.delay",
    "task.dump[]",
    "task.exclude[].group",
    "task.exclude[].kind",
    "task.exclude[].name",
    "task.facts.parts[]",
    "task.memoryLimit",
    "task.parent",
    "task.part",
    "task.pathPrefix",
    "task.paths[]",
    "task.restore[]",
    "task.rules.images[].from",
    "task.rules.images[].to",
    "task.rules.labels.app",
    "task.rules.labels{}",
    "task.rules.patches[].target.group",
    "task.rules.patches[].target.kind",
    "task.rules.patches[].target.name",
    "task.rules.storageClasses[].from",
    "task.rules.storageClasses[].to",
    "task.select.resources[].group",
    "task.select.resources[].kind",
    "task.select.resources[].name",
    "task.select.tiers[]",
    "task.snapshot",
    "task.snapshots[].snapshot",
    "task.snapshots[].why",
    "version",
];

/// What a check compares, or says; without `check.` or `checks[][].`.
const FREE_OF_CHECKS: &[&str] =
    &["name", "period", "deadline", "http.path", "http.expect.pattern", "exec.container", "exec.command[]", "exec.expect.pattern", "condition.type"];

fn is_free(place: &str) -> bool {
    let of_check = place.strip_prefix("check.").or_else(|| place.strip_prefix("checks[][]."));
    FREE.contains(&place) || of_check.is_some_and(|place| FREE_OF_CHECKS.contains(&place))
}

/// Names of things of the other's, of every sort.
const THINGS: [&str; 6] = ["laoshan-site", "laoshan-approval", "laoshan", "laoshan-main", "laoshan/chg-1", "laoshan-approval--drill-k7m2q"];
/// Ways out of a namespace to a thing of the other's.
const WAYS: [&str; 3] = ["../../laoshan-approval/deployments/web", "web/../../laoshan", "laoshan%2Fweb"];

#[test]
fn every_action_and_every_task_has_a_generator_that_makes_it() {
    let mut runner = TestRunner::deterministic();
    for (variant, generator) in actions(Names::Own) {
        assert_eq!(action_variant(&generator.new_tree(&mut runner).expect("a value").current()), variant);
    }
    for (variant, generator) in tasks(Names::Own) {
        assert_eq!(task_variant(&generator.new_tree(&mut runner).expect("a value").current()), variant);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    #[test]
    fn an_action_passes_exactly_if_it_names_nothing_of_another_district(action in action(Names::Any)) {
        let scope = scope_for(&action);
        let answer = scope.permits(&action);
        prop_assert_eq!(answer.is_err(), names_another(&action), "{:?}", answer);
    }

    #[test]
    fn a_drill_touches_only_its_own_copies(action in action(Names::Any), id in select(vec![DRILL, "other"])) {
        let drill = scope().isolated(DRILL);
        if let Action::Isolate { site, bubble } | Action::ProveIsolation { site, bubble } | Action::RemoveBubble { site, bubble } = &action {
            prop_assert!(scope().permits(&action).is_err(), "no other run may touch a drill's copy");
            let of_another = Bubble { id: id.into(), ..bubble.clone() };
            let action = Action::RemoveBubble { site: site.clone(), bubble: of_another };
            prop_assert!(id == DRILL || drill.permits(&action).is_err(), "nor may another drill");
        } else if !action.touches().namespaces.is_empty() {
            // Everything that is named here is an original.
            prop_assert!(drill.permits(&action).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Any text of any action, changed into the name of a thing of the other's. What is in neither list above must be looked at by the gate: a new field is in none.
    #[test]
    fn no_text_of_an_action_leads_to_anything_of_another_district(action in action(Names::Own)) {
        let (scope, document) = (scope_for(&action), serde_json::to_value(&action).expect("JSON"));
        prop_assert!(scope.permits(&action).is_ok(), "{:?}", scope.permits(&action));
        for text in texts(&document).iter().filter(|text| !is_free(text.place.trim_start_matches('.'))) {
            let place = text.place.trim_start_matches('.');
            let plain = if OBJECTS.contains(&place) { &[][..] } else { &THINGS[..] };
            for name in plain.iter().chain(&WAYS) {
                let mut changed = document.clone();
                (text.change)(&mut changed, name);
                // What is no action any more can't be stored. A member that is unknown is none.
                let Ok(changed) = serde_json::from_value::<Action>(changed) else { continue };
                if changed != action && names_another(&changed) {
                    prop_assert!(scope.permits(&changed).is_err(), "{}: {place} = {name}", action_variant(&action));
                }
            }
        }
    }
}

#[test]
fn fault_e3_a_site_is_given_out_to_those_to_whom_it_was_allotted() {
    let of_shinan = Scope::of(&district("shinan", json!({})));
    assert_eq!(of_shinan.site(&"west".into()).map(SiteName::from), Ok("west".into()));
    let refused = of_shinan.site(&"laoshan-site".into()).expect_err("refused");
    assert_eq!(
        (refused.reason(), refused.to_string()),
        (Reason::SiteNotAllotted, "site laoshan-site is not one of the sites of shinan: see spec.sites of its District".into())
    );
    let of_city = Scope::of_city("p861-system", ["west", "laoshan-site"]);
    assert!(of_city.site(&"laoshan-site".into()).is_ok() && of_city.site(&"gone".into()).is_err());
}

#[test]
fn a_name_that_leads_elsewhere_is_no_namespace_of_the_district() {
    let scope = scope();
    for namespace in ["shinan-a/../kube-system", "shinan-", "shinan-a.b", "shinan-A", "shinan-a?x", "shinan-a/pods", &format!("shinan-{}", "a".repeat(60))] {
        let remove = Action::RemoveMovers { site: "west".into(), namespaces: vec![namespace.to_owned()] };
        assert_eq!(scope.permits(&remove).expect_err(namespace).reason(), Reason::NamespaceNotAllotted);
        assert!(Scope::of_city("p861-system", ["west"]).permits(&remove).is_err(), "{namespace}");
    }
}

#[test]
fn a_drill_labels_what_it_writes_with_its_own_id_and_nothing_else_of_ours() {
    let labelled = |labels: Value, namespace: &str| -> Action {
        let rules = json!({"namespaces": {}, "isolated": true, "stopped": true, "labels": labels});
        let task = json!({"task": "restoreObjects", "snapshot": "s", "rules": rules, "conflict": "Own"});
        read(json!({"do": "move", "site": "east", "namespace": namespace, "namespaces": [namespace], "task": task}))
    };
    let (own, copy) = ("shinan-approval", names::bubble_namespace("shinan-approval", DRILL));
    let drill = scope().isolated(DRILL);
    for (labels, in_drill, elsewhere) in [
        (json!({}), true, true),
        (json!({"app": "web"}), true, true),
        (json!({"platform861.io/drill": DRILL}), true, false),
        (json!({"platform861.io/drill": "other"}), false, false),
        (json!({"platform861.io/district": "laoshan"}), false, false),
        (json!({"platform861.io/role": "mover"}), false, false),
    ] {
        assert_eq!(drill.permits(&labelled(labels.clone(), &copy)).is_ok(), in_drill, "{labels}");
        assert_eq!(scope().permits(&labelled(labels.clone(), own)).is_ok(), elsewhere, "{labels}");
    }
}
