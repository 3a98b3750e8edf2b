//! What is tried, and what follows from it.

use super::*;
use serde_json::json;

fn resolver() -> Vec<IpAddr> {
    vec!["10.96.7.7".parse().expect("an address")]
}

fn facts_of(site: &Value) -> Vec<ProbeTarget> {
    let list = |field: &str| site[field].as_array().cloned().unwrap_or_default();
    let (api_server, dns_services, dns_pods) = (list("api"), list("dns"), list("pods"));
    let (nodes, originals) = (list("nodes"), list("originals"));
    let repository = ["192.0.2.9:8333".parse().expect("a place")];
    let facts =
        ProbeFacts { api_server: &api_server, dns_services: &dns_services, dns_pods: &dns_pods, nodes: &nodes, originals: &originals, repository: &repository };
    let allowed = AllowedEgress::of(&["10.20.3.0/24".to_owned()]).expect("read");
    targets(&facts, &allowed)
}

#[test]
fn fault_e13_a_probe_tries_everything_outside_that_is_known_and_not_allowed() {
    let service = |name: &str, address: &str, port: u16| json!({"metadata": {"namespace": "n", "name": name}, "spec": {"clusterIPs": [address], "ports": [{"port": 53, "protocol": "UDP"}, {"port": port}]}});
    let node = |name: &str, address: &str| json!({"metadata": {"name": name}, "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}], "daemonEndpoints": {"kubeletEndpoint": {"Port": 10260}}}});
    let found = facts_of(&json!({
        "api": [service("kubernetes", "10.96.0.1", 443)],
        "dns": [service("kube-dns", "10.96.0.10", 53)],
        "pods": [{"status": {"podIP": "10.244.1.2"}, "spec": {"containers": [{"ports": [{"containerPort": 1053, "protocol": "UDP"}, {"containerPort": 1053}]}]}}],
        "nodes": [node("n1", "192.0.2.1"), node("inside", "10.20.3.4")],
        "originals": [service("web", "10.96.3.3", 80), {"metadata": {"name": "headless"}, "spec": {"clusterIPs": ["None"], "ports": [{"port": 1}]}}, service("ldap", "10.20.3.7", 636)],
    }));
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "the API server (10.96.0.1:443/tcp)",
            "the cluster's DNS (10.96.0.10:53/udp)",
            "the cluster's DNS (10.96.0.10:53/tcp)",
            "a pod of the cluster's DNS (10.244.1.2:1053/tcp)",
            "Service n/web (10.96.3.3:80/tcp)",
            "the backup repository (192.0.2.9:8333/tcp)",
            "the kubelet of node n1 (192.0.2.1:10260/tcp)",
            "the cloud's metadata (169.254.169.254:80/tcp)",
            "the cloud's metadata (100.100.100.200:80/tcp)",
            "the node's DNS cache (169.254.20.10:53/udp)",
        ]
    );
    assert_eq!(facts_of(&json!({})).len(), 4, "what every site may have");
}

#[test]
fn fault_e13_a_copy_is_closed_only_if_that_is_proven() {
    let target = |what: &str, last: u8| ProbeTarget { what: what.into(), address: Ipv4Addr::new(10, 96, 0, last).into(), port: 443, transport: Transport::Tcp };
    let (api, dns, metadata) = (target("the API server", 1), target("the DNS", 10), target("the metadata", 99));
    let all = [api, dns, metadata];
    let answer = |inside: Option<&str>, reached: &[usize]| ProbeAnswer { inside: inside.map(str::to_owned), reached: reached.to_vec() };
    let on = |node: &str, answer: ProbeAnswer| (node.to_owned(), answer);
    let closed = || vec![on("n1", answer(None, &[])), on("n2", answer(None, &[]))];
    for (case, targets, free, closed, verdict_of, says) in [
        ("closed", &all[..], answer(None, &[0, 1]), closed(), None, ""),
        (
            "open",
            &all[..],
            answer(None, &[0, 1]),
            vec![on("n1", answer(None, &[])), on("n2", answer(None, &[1]))],
            Some("open"),
            "the DNS (10.96.0.10:443/tcp)",
        ),
        // What the closed one reaches counts, whatever else went wrong.
        ("open to what the free one missed", &all[..], answer(None, &[]), vec![on("n1", answer(Some("no"), &[2]))], Some("open"), "the metadata"),
        (
            "a broken network",
            &all[..],
            answer(None, &[0]),
            vec![on("n1", answer(None, &[])), on("n2", answer(Some("no answer within 5s"), &[]))],
            Some("unproven"),
            "node n2",
        ),
        ("nothing answers", &all[..], answer(None, &[]), closed(), Some("unproven"), "a free pod"),
        ("everything is allowed", &[][..], answer(None, &[]), closed(), Some("unproven"), "allowEgress"),
        ("a closed one reached what is unknown", &all[..], answer(None, &[0]), vec![on("n1", answer(None, &[3]))], Some("unproven"), "not told to try"),
        ("a free one reached what is unknown", &all[..], answer(None, &[0, 3]), closed(), Some("unproven"), "not told to try"),
        ("nobody tried", &all[..], answer(None, &[0]), vec![], Some("unproven"), "no pod of the copy"),
    ] {
        let verdict = judge(&resolver(), targets, &free, &closed);
        let (found, message, evidence) = match verdict {
            Verdict::Closed(evidence) => (None, String::new(), evidence),
            Verdict::Open(message, evidence) => (Some("open"), message, evidence),
            Verdict::Unproven(message, evidence) => (Some("unproven"), message, evidence),
        };
        assert_eq!(found, verdict_of, "{case}: {message}");
        assert!(message.contains(says), "{case}: {message}");
        // Nothing is written into a copy without the proof.
        let inputs = BTreeMap::from([("prove-isolation".to_owned(), evidence)]);
        assert_eq!(resolver_of(&inputs).is_some(), verdict_of.is_none(), "{case}");
    }
    assert_eq!(resolver_of(&BTreeMap::from([("isolate".to_owned(), Evidence::Isolated { namespaces: vec!["a".into()] })])), None);
}

#[test]
fn fault_e13_what_was_proven_is_told_target_by_target() {
    let target = |what: &str, last: u8| ProbeTarget { what: what.into(), address: Ipv4Addr::new(10, 96, 0, last).into(), port: 443, transport: Transport::Tcp };
    let free = ProbeAnswer { inside: None, reached: vec![0] };
    let closed = [("n1".to_owned(), ProbeAnswer::default())];
    let Verdict::Closed(Evidence::IsolationProbed { resolver: told, nodes, refused, silent, reached }) =
        judge(&resolver(), &[target("a", 1), target("b", 2)], &free, &closed)
    else {
        panic!("closed")
    };
    assert_eq!(
        (told, nodes, refused, silent),
        (resolver(), vec!["n1".to_owned()], vec!["a (10.96.0.1:443/tcp)".to_owned()], vec!["b (10.96.0.2:443/tcp)".to_owned()])
    );
    assert!(reached.is_empty());
}
