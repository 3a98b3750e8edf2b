//! What is desired on a site, and what the District doesn't allow.

use super::declared;
use crate::platform::desired::{self, Owner, Place};
use p861_crds::{
    PlatformSpec, Reason,
    platform::{
        district::DistrictLimits,
        platform::{Isolation, PodSecurity},
        profile::Layer,
    },
};
use serde_json::Value;

fn owner(site: &str) -> Owner<'_> {
    Owner { district: "shinan", site, limits: DistrictLimits::default() }
}

fn places() -> Vec<Place> {
    [("shinan-approval", "approval-bureau"), ("shinan-directory", "computer-centre")]
        .map(|(namespace, department)| Place { namespace: namespace.into(), department: department.into() })
        .into()
}

#[test]
fn departments_are_closed_to_each_other_but_for_allowed_flows_and_gateways() {
    let documents = desired::network_policies(&declared(), owner("xinxi-dasha"), &places());
    let name = |document: &desired::Document| {
        format!(
            "{}/{}",
            document.object["metadata"]["namespace"].as_str().unwrap_or_default(),
            document.object["metadata"]["name"].as_str().unwrap_or_default()
        )
    };
    let names: Vec<String> = documents.iter().map(name).collect();
    assert_eq!(
        names,
        [
            "shinan-approval/p861-default-deny",
            "shinan-approval/p861-inside",
            "shinan-approval/p861-gateways",
            "shinan-directory/p861-default-deny",
            "shinan-directory/p861-inside",
            "shinan-directory/p861-gateways",
            "shinan-directory/p861-allow-approval-to-directory",
        ]
    );
    let inside = &documents[1].object["spec"]["ingress"][0]["from"][0]["namespaceSelector"];
    assert_eq!(inside["matchLabels"], serde_json::json!({"platform861.io/district": "shinan", "platform861.io/department": "approval-bureau"}));
    let named = |names: &[&str]| serde_json::json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": names});
    assert_eq!(inside["matchExpressions"][1], named(&["shinan-approval"]));
    let allowed = &documents[6].object["spec"]["ingress"][0];
    assert_eq!(allowed["from"][0]["namespaceSelector"]["matchExpressions"], serde_json::json!([named(&["shinan-approval"])]));
    assert_eq!(allowed["ports"], serde_json::json!([{"port": 636, "protocol": "TCP"}]));
    assert!(documents.iter().all(|document| document.object["metadata"]["labels"]["platform861.io/platform"] == "shinan"));
    let mut open = declared();
    open.network.isolation = Isolation::None;
    assert!(desired::network_policies(&open, owner("xinxi-dasha"), &places()).is_empty());
    open.network.isolation = Isolation::District;
    let inside = &desired::network_policies(&open, owner("xinxi-dasha"), &places())[1].object["spec"]["ingress"][0]["from"][0]["namespaceSelector"];
    assert_eq!(inside["matchLabels"], serde_json::json!({"platform861.io/district": "shinan"}));
}

#[test]
fn fault_e27_a_namespace_that_labels_itself_as_of_a_department_is_let_in_nowhere() {
    // Of a department without a namespace on the site nothing is let in, rather than everything.
    let elsewhere = &places()[1..];
    let documents = desired::network_policies(&declared(), owner("xinxi-dasha"), elsewhere);
    let flow = documents.iter().find(|document| document.object["metadata"]["name"] == "p861-allow-approval-to-directory").expect("a policy");
    assert_eq!(flow.object["spec"]["ingress"], serde_json::json!([]));
    for document in desired::network_policies(&declared(), owner("xinxi-dasha"), &places()) {
        for rule in document.object["spec"]["ingress"].as_array().expect("rules") {
            for from in rule["from"].as_array().expect("sources") {
                let selector = &from["namespaceSelector"];
                let by_name = selector["matchLabels"].get("kubernetes.io/metadata.name").is_some()
                    || selector["matchExpressions"].as_array().is_some_and(|all| all.iter().any(|one| one["key"] == "kubernetes.io/metadata.name"));
                assert!(by_name, "{}: {selector}", document.object["metadata"]["name"]);
            }
        }
    }
}

#[test]
fn only_mirrors_of_the_site_itself_are_known_registries() {
    let documents = desired::admission(&declared(), owner("laoshan-dr"));
    let text = serde_json::to_string(&documents.iter().map(|document| document.object.clone()).collect::<Vec<Value>>()).expect("JSON");
    assert!(text.contains("'registry.laoshan.qingdao.example/'") && text.contains("'registry.qingdao.example/'") && !text.contains("registry.xinxi"), "{text}");
    let mut spec = declared();
    spec.security.forbidden.clear();
    spec.security.pod_security = PodSecurity::Baseline;
    let least = desired::admission(&spec, owner("laoshan-dr"));
    assert_eq!(messages(&least).len(), 1, "what remains is the limit of priorities: {least:?}");
}

/// What the policy of pods says of each rule.
fn messages(documents: &[desired::Document]) -> Vec<&str> {
    let rules = documents[0].object["spec"]["validations"].as_array().expect("rules");
    rules.iter().filter_map(|rule| rule["message"].as_str()).collect()
}

#[test]
fn fault_e4_policies_hold_in_every_namespace_of_the_district_and_its_limits_hold_against_its_platform() {
    let selected = |document: &desired::Document| document.object["spec"]["matchConstraints"]["namespaceSelector"].clone();
    let all: Vec<Value> = desired::admission(&declared(), owner("laoshan-dr")).iter().map(selected).filter(|selector| !selector.is_null()).collect();
    assert_eq!(all, vec![serde_json::json!({"matchLabels": {"platform861.io/district": "shinan"}}); 2], "new namespaces have a district and no department");
    let mut spec = declared();
    for (declared, limit, enforced, warned, refused, rules) in [
        (PodSecurity::Privileged, PodSecurity::Baseline, "baseline", "baseline", 1, 0),
        (PodSecurity::Privileged, PodSecurity::Privileged, "privileged", "privileged", 0, 0),
        (PodSecurity::Baseline, PodSecurity::Restricted, "baseline", "restricted", 1, 7),
        (PodSecurity::Restricted, PodSecurity::Baseline, "baseline", "restricted", 0, 7),
    ] {
        spec.security.pod_security = declared;
        let owner = Owner { limits: DistrictLimits { pod_security: limit, ..DistrictLimits::default() }, ..owner("laoshan-dr") };
        let labels = desired::namespace_labels(&spec, owner, &places()[0]).object["metadata"]["labels"].clone();
        let told = (labels["pod-security.kubernetes.io/enforce"].as_str(), labels["pod-security.kubernetes.io/warn"].as_str());
        let beyond = desired::beyond_limits(&spec, owner);
        let of_level = messages(&desired::admission(&spec, owner)).iter().filter(|said| said.contains("Restricted")).count();
        assert_eq!((told, beyond.len(), of_level), ((Some(enforced), Some(warned)), refused, rules), "{declared:?} {limit:?}");
        assert!(beyond.iter().all(|refused| (refused.layer, &refused.reason) == (Layer::Security, &Reason::BeyondLimits)), "{beyond:?}");
    }
    let released = desired::released_namespace("shinan-approval", Some("baseline"));
    assert_eq!(released["metadata"]["labels"], serde_json::json!({"pod-security.kubernetes.io/enforce": "baseline"}), "an application that goes opens nothing");
}

#[test]
fn fault_e9_a_priority_class_is_the_districts_by_name_and_no_higher_than_the_city_allows() {
    let mut spec = PlatformSpec::default();
    let class = |name: &str, value: i32| p861_crds::platform::platform::PriorityClass { name: name.into(), value };
    for (name, value, limit, why) in [
        ("shinan-critical", 1_000_000, 1_000_000, None),
        ("shinan-critical", -5, 0, None),
        ("shinan-critical", 1_000_001, 1_000_000, Some("its value 1000001 is above 1000000")),
        ("shinan-critical", 999_999_999, 1_000_000, Some("is above 1000000")),
        ("shinan-critical", 1, 0, Some("is above 0, which spec.limits.maxPriority of District shinan allows")),
        ("critical", 1, 10, Some("its name doesn't begin with shinan-")),
        ("shinan", 1, 10, Some("its name doesn't begin with shinan-")),
        ("jimo-critical", 1, 10, Some("its name doesn't begin with shinan-")),
        ("system-node-critical", 1, 10, Some("its name doesn't begin with shinan-")),
    ] {
        spec.servers.priority_classes = vec![class(name, value)];
        let owner = Owner { limits: DistrictLimits { max_priority: limit, ..DistrictLimits::default() }, ..owner("laoshan-dr") };
        let (made, beyond) = (desired::priority_classes(&spec, owner), desired::beyond_limits(&spec, owner));
        assert_eq!((made.len(), beyond.len()), (usize::from(why.is_none()), usize::from(why.is_some())), "{name} {value}: {beyond:?}");
        assert!(why.is_none_or(|why| beyond[0].message.contains(why)), "{name} {value}: {beyond:?}");
    }
    let limits = DistrictLimits { max_priority: 7, ..DistrictLimits::default() };
    let pods = desired::admission(&spec, Owner { limits, ..owner("laoshan-dr") });
    let rule = pods[0].object["spec"]["validations"][0]["expression"].as_str().expect("a rule");
    assert!(rule.contains("variables.pod.priority <= 7") && rule.contains("startsWith('system-')"), "whoever made the class: {rule}");
}

#[test]
fn fault_e17_what_lets_a_mover_through_is_who_asks_and_no_name_that_anybody_may_write() {
    let pods = &desired::admission(&declared(), owner("laoshan-dr"))[0].object["spec"];
    let mover = pods["variables"].as_array().expect("variables").iter().find(|variable| variable["name"] == "mover").expect("the exemption");
    let expression = mover["expression"].as_str().expect("an expression");
    assert!(!expression.contains("image"), "{expression}");
    for part in ["authorizer.group('platform861.io').resource('movers').check('run').allowed()", "request.userInfo.username in ", "o.kind == 'Job'"] {
        assert!(expression.contains(part), "{part}: {expression}");
    }
    // Over the whole cluster: whoever has every right in a namespace of his own has this one there, too.
    assert!(!expression.contains("authorizer.group('platform861.io').resource('movers').namespace"), "{expression}");
}

#[test]
fn restricted_is_enforced_by_a_policy_that_lets_movers_through() {
    let labels = desired::namespace_labels(&declared(), owner("laoshan-dr"), &places()[0]).object["metadata"]["labels"].clone();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline");
    assert_eq!(labels["pod-security.kubernetes.io/warn"], "restricted");
    let pods = &desired::admission(&declared(), owner("laoshan-dr"))[0].object["spec"];
    assert!(
        pods["validations"]
            .as_array()
            .is_some_and(|rules| rules.iter().all(|rule| rule["expression"].as_str().is_some_and(|e| e.starts_with("variables.same || variables.mover || "))))
    );
}
