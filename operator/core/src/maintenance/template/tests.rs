//! What departs from a template in any field is no Standard change, and what keeps within it is one.

use super::*;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

fn merged(mut base: Value, more: &Value) -> Value {
    base.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    base
}

fn template(more: &Value) -> ChangeTemplate {
    let spec = merged(json!({"title": {"en": "t"}, "publishedBy": "leader"}), more);
    read(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "ChangeTemplate", "metadata": {"name": "t", "namespace": "shinan"}, "spec": spec}))
}

fn upgrades() -> Value {
    let bundles = json!([{"image": "registry.example/gateway"}, {"configMapRef": {"name": "gateway"}}, {"digest": format!("sha256:{}", "a".repeat(64))}]);
    json!({"work": {"upgradeComponent": {"components": ["gateway", "mesh"], "versions": {"atLeast": "1.6.0", "below": "1.7.0"}, "bundles": bundles}}})
}

fn drains() -> Value {
    json!({"work": {"drainNode": {"nodes": [{"siteRef": {"name": "west"}, "nodeNames": ["west-1", "west-2"]}, {"siteRef": {"name": "edge"}}], "deadline": "1h"}}})
}

fn by_hand() -> Value {
    json!({"work": {"manual": {}}, "plan": {"en": "swap the disk"}})
}

fn asks(affects: &Value, change: &Value) -> MaintenanceTicketSpec {
    let change = merged(json!({"class": "Standard", "templateRef": {"name": "t"}}), change);
    read(json!({"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "requestedBy": "li", "affects": affects, "change": change}))
}

fn upgrade(more: &Value) -> Value {
    json!({"work": {"upgradeComponent": merged(json!({"component": "gateway", "version": "1.6.1"}), more)}})
}

fn drain(more: &Value) -> Value {
    json!({"work": {"drainNode": merged(json!({"siteRef": {"name": "west"}, "nodeName": "west-1"}), more)}})
}

fn hands(more: &Value) -> Value {
    merged(json!({"work": {"manual": {}}, "plan": {"en": "swap the disk"}}), more)
}

fn from_image(image: &str, digest: &str) -> Value {
    json!({"oci": {"image": image, "digest": format!("sha256:{}", digest.repeat(64))}})
}

fn departs(template: &ChangeTemplate, spec: &MaintenanceTicketSpec, source: &Value) -> String {
    let source: Option<Bundle> = read(source.clone());
    differences(&template.spec, spec, spec.change.as_ref().expect("a change"), source.as_ref()).join("; ")
}

#[test]
fn fault_e5_every_departure_from_a_template_is_said() {
    let (none, image) = (json!({}), from_image("registry.example/gateway", "b"));
    for (expected, stated, affects, asked, source) in [
        // Upgrades.
        ("", upgrades(), none.clone(), upgrade(&none), image.clone()),
        ("", upgrades(), none.clone(), upgrade(&json!({"component": "mesh", "version": "1.6.99", "healthyWithin": "1m", "watchFor": "1h"})), image.clone()),
        ("", upgrades(), none.clone(), upgrade(&none), json!({"configMapRef": {"name": "gateway"}})),
        ("", upgrades(), none.clone(), upgrade(&none), from_image("elsewhere.example/gateway", "a")),
        ("component cache is none of gateway, mesh", upgrades(), none.clone(), upgrade(&json!({"component": "cache"})), image.clone()),
        ("version 1.7.0 is not one from 1.6.0 to below 1.7.0", upgrades(), none.clone(), upgrade(&json!({"version": "1.7.0"})), image.clone()),
        ("version latest is not one from", upgrades(), none.clone(), upgrade(&json!({"version": "latest"})), image.clone()),
        (
            "its manifests come from elsewhere.example/gateway@sha256:bbb",
            upgrades(),
            none.clone(),
            upgrade(&none),
            from_image("elsewhere.example/gateway", "b"),
        ),
        ("its manifests come from registry.example/gateway/evil@", upgrades(), none.clone(), upgrade(&none), from_image("registry.example/gateway/evil", "b")),
        ("its manifests come from ConfigMap mine", upgrades(), none.clone(), upgrade(&none), json!({"configMapRef": {"name": "mine"}})),
        ("where its manifests come from is not known", upgrades(), none.clone(), upgrade(&none), Value::Null),
        ("healthyWithin 6m is longer than 5m", upgrades(), none.clone(), upgrade(&json!({"healthyWithin": "6m"})), image.clone()),
        ("watchFor 9m59s is shorter than 10m", upgrades(), none.clone(), upgrade(&json!({"watchFor": "9m59s"})), image.clone()),
        ("its work is of another kind", upgrades(), none.clone(), drain(&none), image.clone()),
        ("its work is of another kind", upgrades(), none.clone(), hands(&none), image),
        // Drains.
        ("", drains(), none.clone(), drain(&none), Value::Null),
        ("", drains(), none.clone(), drain(&json!({"siteRef": {"name": "edge"}, "nodeName": "any", "deadline": "60m"})), Value::Null),
        ("node west/west-3 is not one of its nodes", drains(), none.clone(), drain(&json!({"nodeName": "west-3"})), Value::Null),
        ("node north/west-1 is not one of its nodes", drains(), none.clone(), drain(&json!({"siteRef": {"name": "north"}})), Value::Null),
        ("deadline 61m is longer than 1h", drains(), none.clone(), drain(&json!({"deadline": "61m"})), Value::Null),
        ("it deletes emptyDir data", drains(), none.clone(), drain(&json!({"deleteEmptyDirData": true})), Value::Null),
        ("it drains pods without a controller", drains(), none.clone(), drain(&json!({"force": true})), Value::Null),
        // By hand, and what every change has.
        ("", by_hand(), none.clone(), hands(&json!({"windowRef": {"name": "w"}, "silence": "None"})), Value::Null),
        ("its plan is another", by_hand(), none.clone(), hands(&json!({"plan": {"en": "swap the board"}})), Value::Null),
        ("its plan is another", by_hand(), none.clone(), json!({"work": {"manual": {}}}), Value::Null),
        ("backup is Skip", by_hand(), none.clone(), hands(&json!({"backup": "Skip"})), Value::Null),
        ("", merged(by_hand(), &json!({"backup": "Skip"})), none.clone(), hands(&none), Value::Null),
        ("silence is not None", merged(by_hand(), &json!({"silence": "None"})), none.clone(), hands(&none), Value::Null),
        ("blockingAlerts lacks severity critical", by_hand(), none.clone(), hands(&json!({"blockingAlerts": [{"severity": "warning"}]})), Value::Null),
        ("", by_hand(), none.clone(), hands(&json!({"blockingAlerts": [{"severity": "warning"}, {"severity": "critical"}]})), Value::Null),
        ("rollback.policy is Impossible instead of OnFailure", by_hand(), none.clone(), hands(&json!({"rollback": {"policy": "Impossible"}})), Value::Null),
        ("rollback.plan is another", merged(by_hand(), &json!({"rollback": {"plan": {"en": "back"}}})), none.clone(), hands(&none), Value::Null),
        ("expectedDuration is 1m instead of absent", by_hand(), none.clone(), hands(&json!({"expectedDuration": "1m"})), Value::Null),
        ("expectedDuration is absent instead of 2h", merged(by_hand(), &json!({"expectedDuration": "2h"})), none.clone(), hands(&none), Value::Null),
        ("", by_hand(), json!({"applicationRefs": [{"name": "a"}], "siteRefs": [{"name": "west"}]}), hands(&none), Value::Null),
        (
            "affects.applicationRefs names none instead of a, b",
            merged(by_hand(), &json!({"affects": {"applicationRefs": [{"name": "b"}, {"name": "a"}]}})),
            none.clone(),
            hands(&none),
            Value::Null,
        ),
        (
            "affects.siteRefs names west instead of none",
            merged(by_hand(), &json!({"affects": {"siteRefs": []}})),
            json!({"siteRefs": [{"name": "west"}]}),
            hands(&none),
            Value::Null,
        ),
    ] {
        let said = departs(&template(&stated), &asks(&affects, &asked), &source);
        assert_eq!(said.is_empty(), expected.is_empty(), "{stated} {asked}: {said}");
        assert!(said.starts_with(expected), "{asked}: {said}");
    }
    let mut spec = asks(&none, &hands(&none));
    spec.actions.push(read(json!({"action": "Plan", "note": "otherwise", "by": "li"})));
    assert_eq!(departs(&template(&by_hand()), &spec, &Value::Null), "an action Plan has changed what is done");
}

#[test]
fn a_template_is_ready_if_somebody_published_it_and_its_limits_can_be_read() {
    let of = |more: Value| ready(&template(&more).spec);
    for work in [upgrades(), drains(), by_hand()] {
        let ready = of(work);
        assert_eq!((ready.holds(), ready.reason.as_str()), (true, "Valid"), "{}", ready.message);
    }
    for (more, reason) in [
        (merged(by_hand(), &json!({"publishedBy": null})), "Nameless"),
        (merged(by_hand(), &json!({"publishedBy": ""})), "Nameless"),
        (merged(by_hand(), &json!({"expectedDuration": "soon"})), "Invalid"),
        (json!({"work": {"drainNode": {"nodes": [], "deadline": "soon"}}}), "Invalid"),
        (json!({"work": {"upgradeComponent": {"components": [], "versions": {"atLeast": "2", "below": "1"}, "bundles": []}}}), "Invalid"),
    ] {
        let ready = of(more);
        assert_eq!((ready.holds(), ready.reason.as_str()), (false, reason), "{}", ready.message);
    }
}

#[test]
fn fault_e5_a_digest_is_of_the_whole_template_and_of_who_published_it() {
    let first = digest(&template(&by_hand()).spec);
    assert_eq!(first, digest(&template(&by_hand()).spec));
    for other in [upgrades(), merged(by_hand(), &json!({"publishedBy": "director"})), merged(by_hand(), &json!({"silence": "None"}))] {
        assert_ne!(first, digest(&template(&other).spec), "{other}");
    }
}

#[test]
fn fault_e5_of_two_templates_of_one_name_the_districts_own_is_followed() {
    let (own, mut of_city) = (template(&merged(by_hand(), &json!({"silence": "None"}))), template(&by_hand()));
    of_city.metadata.namespace = Some("p861-system".into());
    let spec = asks(&json!({}), &hands(&json!({})));
    let judge = |templates: &[ChangeTemplate], before: &MaintenanceTicketStatus| {
        ClassStanding::judge(&spec, spec.change.as_ref().expect("a change"), before, templates, None)
    };
    let before = MaintenanceTicketStatus::default();
    assert_eq!(judge(&[own.clone(), of_city.clone()], &before).class, ChangeClass::Normal, "the district's permits no silence");
    let standing = judge(std::slice::from_ref(&of_city), &before);
    assert_eq!((standing.class, standing.pinned.as_ref().map(|pinned| pinned.namespace.as_str())), (ChangeClass::Standard, Some("p861-system")));
    // One that the district publishes afterwards takes the place of the city's, and is another.
    let pinned = MaintenanceTicketStatus { template: standing.pinned, ..before };
    assert_eq!(judge(&[own, of_city], &pinned).refused.map(|refused| refused.reason()), Some(Reason::TemplateChanged));
}

/// Names and numbers of a small world of drains.
const SITES: [&str; 2] = ["west", "edge"];
const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn any_drain() -> impl Strategy<Value = (Value, Value)> {
    let nodes = prop::collection::vec((select(&SITES[..]), prop::option::of(prop::collection::vec(select(&NODES[..]), 1..3))), 1..3);
    let stated = (nodes, 1_u64..90, any::<bool>(), any::<bool>()).prop_map(|(nodes, deadline, deletes, force)| {
        let nodes: Vec<Value> = nodes.into_iter().map(|(site, names)| json!({"siteRef": {"name": site}, "nodeNames": names})).collect();
        json!({"nodes": nodes, "deadline": format!("{deadline}m"), "deleteEmptyDirData": deletes, "force": force})
    });
    let asked = (select(&SITES[..]), select(&NODES[..]), 1_u64..90, any::<bool>(), any::<bool>()).prop_map(|(site, node, deadline, deletes, force)| {
        json!({"siteRef": {"name": site}, "nodeName": node, "deadline": format!("{deadline}m"), "deleteEmptyDirData": deletes, "force": force})
    });
    (stated, asked)
}

fn minutes(value: &Value) -> u64 {
    value["deadline"].as_str().and_then(|text| text.trim_end_matches('m').parse().ok()).expect("minutes")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn fault_e5_a_drain_is_standard_exactly_if_every_limit_holds((stated, asked) in any_drain()) {
        let permitted = stated["nodes"].as_array().expect("nodes").iter().any(|nodes| {
            nodes["siteRef"] == asked["siteRef"] && nodes["nodeNames"].as_array().is_none_or(|names| names.contains(&asked["nodeName"]))
        });
        let consents = ["deleteEmptyDirData", "force"].iter().all(|flag| stated[flag] == true || asked[flag] == false);
        let expected = permitted && consents && minutes(&asked) <= minutes(&stated);
        let (template, spec) = (template(&json!({"work": {"drainNode": stated}})), asks(&json!({}), &json!({"work": {"drainNode": asked}})));
        let standing = ClassStanding::judge(&spec, spec.change.as_ref().expect("a change"), &MaintenanceTicketStatus::default(), &[template], None);
        prop_assert_eq!(standing.class == ChangeClass::Standard, expected, "{:?}", standing.refused);
        prop_assert_eq!(standing.refused.is_none(), expected);
    }

    #[test]
    fn fault_e5_no_template_of_another_digest_makes_a_change_standard((stated, asked) in any_drain(), (other, _) in any_drain()) {
        let [first, second] = [stated, other].map(|work| template(&json!({"work": {"drainNode": work}})));
        let spec = asks(&json!({}), &json!({"work": {"drainNode": asked}}));
        let change = spec.change.as_ref().expect("a change");
        let opened = ClassStanding::judge(&spec, change, &MaintenanceTicketStatus::default(), std::slice::from_ref(&first), None);
        let before = MaintenanceTicketStatus { template: opened.pinned.clone(), ..MaintenanceTicketStatus::default() };
        let started = ClassStanding::judge(&spec, change, &before, std::slice::from_ref(&second), None);
        if digest(&first.spec) == digest(&second.spec) {
            prop_assert_eq!(started, opened);
        } else {
            prop_assert_eq!(started.class, ChangeClass::Normal);
            prop_assert_eq!(started.refused.map(|refused| refused.reason()), Some(Reason::TemplateChanged));
        }
    }
}
