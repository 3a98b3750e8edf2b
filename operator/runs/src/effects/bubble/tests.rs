//! Who may connect where in a copy.

use super::*;

#[test]
fn fault_e14_pods_of_a_copy_reach_each_other_and_the_allowed_networks_and_no_dns_but_their_own() {
    let bubble =
        Bubble { id: "k7m2q".into(), namespaces: [("a".to_owned(), "a--drill-k7m2q".to_owned())].into(), allow_egress: Vec::new(), entrypoints: Vec::new() };
    let allowed = |entries: &[&str]| AllowedEgress::of(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap();
    let same = json!({"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a--drill-k7m2q"]}]}});
    let isolate = |allowed: &AllowedEgress| policies_of(&bubble, allowed)[0].1.clone();
    assert_eq!(
        isolate(&AllowedEgress::default()),
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [same]}], "egress": [{"to": [same]}]})
    );
    // A name opens no network.
    let policy = isolate(&allowed(&["10.20.3.7/32", "ldap.city.example"]));
    assert_eq!(policy["egress"], json!([{"to": [same]}, {"to": [{"ipBlock": {"cidr": "10.20.3.7/32"}}]}]));
    let (name, movers) = &policies_of(&bubble, &AllowedEgress::default())[1];
    assert_eq!((*name, &movers["egress"]), ("p861-movers", &json!([{}])));
    let free = movers["podSelector"]["matchExpressions"][0]["values"].as_array().unwrap();
    assert!(!free.contains(&json!(pods::LABEL_VALUE_CLOSED_PROBE)), "the closed probe is held like any pod of the application");
    assert!(free.contains(&json!(LABEL_VALUE_DNS)) && free.contains(&json!(LABEL_VALUE_FREE_PROBE)) && free.contains(&json!(LABEL_VALUE_MOVER)));
}

#[tokio::test]
async fn fault_e27_clean_up_deletes_what_has_a_name_of_the_copy_and_its_labels_and_tells_what_lost_them() {
    let names = ["a--drill-k7m2q", "b--drill-k7m2q", "c--drill-k7m2q", "d--drill-k7m2q"];
    let bubble = Bubble {
        id: "k7m2q".into(),
        namespaces: names.iter().map(|name| (name[..1].to_owned(), (*name).to_owned())).collect(),
        allow_egress: Vec::new(),
        entrypoints: Vec::new(),
    };
    let labels = |run: &str, drill: &str| json!({RUN_LABEL: run, DRILL_LABEL: drill});
    let there = [
        (names[0], labels("run-1", "k7m2q")),
        // A tenant has taken the labels off, or one of them.
        (names[1], json!({})),
        (names[2], labels("run-1", "other")),
        // Another run's.
        (names[3], labels("run-2", "k7m2q")),
        // A tenant has given its own namespace our labels, to have it deleted.
        ("shinan-portal", labels("run-1", "k7m2q")),
    ];
    let there: std::collections::BTreeMap<String, Value> = there.into_iter().map(|(name, labels)| (name.to_owned(), labels)).collect();
    let server = move |request: http::Request<kube::client::Body>| {
        let namespace =
            |(name, labels): (&String, &Value)| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": name, "labels": labels}});
        let name = request.uri().path().trim_start_matches("/api/v1/namespaces").trim_start_matches('/').to_owned();
        let (code, answer) = match there.get_key_value(&name) {
            Some(found) => (200, namespace(found)),
            None if name.is_empty() => {
                (200, json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": there.iter().map(namespace).collect::<Vec<_>>()}))
            }
            None => (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not here"})),
        };
        let answer = http::Response::builder().status(code).body(kube::client::Body::from(answer.to_string().into_bytes())).unwrap();
        std::future::ready(Ok::<_, std::convert::Infallible>(answer))
    };
    let client = Client::new(tower::service_fn(server), "default");
    let site = p861_core::runs::Scope::of_city("p861", ["west"]).site(&"west".into()).unwrap();
    let (own, held) = left(&client, "run-1", &site, &bubble).await.unwrap();
    assert_eq!(own.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), [names[0]]);
    assert_eq!(held.len(), 2, "{held:?}");
    assert!(held[0].contains(names[1]) && held[1].contains(names[2]) && held[0].contains("delete it by hand"), "{held:?}");
}
