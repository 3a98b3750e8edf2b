//! Who may connect where in a copy.

use super::*;

#[test]
fn fault_e14_pods_of_a_copy_reach_each_other_and_the_allowed_networks_and_no_dns_but_their_own() {
    let bubble =
        Bubble { id: "k7m2q".into(), namespaces: [("a".to_owned(), "a--drill-k7m2q".to_owned())].into(), allow_egress: Vec::new(), entrypoints: Vec::new() };
    let allowed = |entries: &[&str]| AllowedEgress::of(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap();
    let same = json!({"namespaceSelector": {"matchLabels": {"platform861.io/drill": "k7m2q"}}});
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
