//! Names and their answers, as a table.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const APPROVAL: &str = "shinan-approval--drill-k7m2q";
const PORTAL: &str = "shinan-portal--drill-k7m2q";

fn zone() -> CopyZone {
    let entrypoint =
        |hostname: &str, namespace: &str, service: &str| Entrypoint { hostname: hostname.into(), namespace: namespace.into(), service: service.into() };
    CopyZone {
        namespaces: [("shinan-approval", APPROVAL), ("shinan-portal", PORTAL)].map(|(from, to)| (from.to_owned(), to.to_owned())).into(),
        entrypoints: vec![
            entrypoint("Shenpi.shinan.example", APPROVAL, "web"),
            entrypoint("*.old.example", APPROVAL, "web"),
            entrypoint("gone.example", APPROVAL, "nobody"),
        ],
        egress: AllowedEgress { networks: vec!["10.20.3.0/24".parse().expect("a network")], names: vec!["ldap.city.example".into(), "*.mail.example".into()] },
    }
}

fn service(namespace: &str, name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

fn slice(namespace: &str, service: &str, endpoints: Value, ports: Value) -> Value {
    json!({"metadata": {"namespace": namespace, "name": "s", "labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints, "ports": ports})
}

fn directory() -> Directory {
    let services = [
        service(
            APPROVAL,
            "web",
            json!({"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1", "fd00::11"], "ports": [{"name": "http", "port": 80}, {"port": 81}]}),
        ),
        service(APPROVAL, "postgres", json!({"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]})),
        service(APPROVAL, "ldap", json!({"type": "ExternalName", "externalName": "LDAP.city.example."})),
        service(APPROVAL, "world", json!({"type": "ExternalName", "externalName": "www.example.com"})),
        service(APPROVAL, "twin", json!({"type": "ExternalName", "externalName": "web.shinan-approval.svc.cluster.local"})),
        service(APPROVAL, "loop", json!({"type": "ExternalName", "externalName": "loop.shinan-approval.svc"})),
        service(PORTAL, "web", json!({"clusterIP": "10.96.2.2", "ports": []})),
    ];
    let endpoints = json!([
        {"addresses": ["10.244.1.5"], "hostname": "postgres-0", "conditions": {"ready": true}},
        {"addresses": ["10.244.1.6"], "conditions": {}},
        {"addresses": ["10.244.1.7"], "hostname": "postgres-2", "conditions": {"ready": false}}
    ]);
    let slices = [slice(APPROVAL, "postgres", endpoints, json!([{"name": "sql", "port": 5432, "protocol": "TCP"}]))];
    Directory::of(&services, &slices)
}

/// An answer in words: records one after the other, `none`, `missing`, or `outside <name>`.
fn said(name: &str, record_type: RecordType) -> String {
    let told = |record: &Record| match &record.data {
        Data::Address(address) => address.to_string(),
        Data::Alias(to) => format!("{} = {to}", record.name),
        Data::Service { host, port } => format!("{host}:{port}"),
        Data::Pointer(name) => name.clone(),
    };
    match answer(&zone(), &directory(), Question { name, record_type }) {
        Answer::Records(records) if records.is_empty() => "none".into(),
        Answer::Records(records) => records.iter().map(told).collect::<Vec<_>>().join(" "),
        Answer::Missing => "missing".into(),
        Answer::AskOutside { aliases, name } => aliases.iter().map(told).chain([format!("outside {name}")]).collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn fault_e14_names_of_the_namespaces_and_entrypoints_mean_the_copy_and_others_are_missing() {
    use RecordType::{A, Aaaa, Other, Ptr, Srv};
    for (name, kind, expected) in [
        // The namespace by either name, with any domain or none, also before a search domain.
        ("web.shinan-approval.svc.cluster.local", A, "10.96.1.1"),
        ("web.shinan-approval--drill-k7m2q.svc.cluster.local", A, "10.96.1.1"),
        ("web.shinan-approval.svc", A, "10.96.1.1"),
        ("web.shinan-approval.svc.xinxi-dasha.internal", A, "10.96.1.1"),
        ("web.shinan-approval.svc.shinan-portal--drill-k7m2q.svc.cluster.local", A, "10.96.1.1"),
        ("web.shinan-portal.svc.cluster.local", A, "10.96.2.2"),
        ("web.shinan-approval.svc.cluster.local", Aaaa, "fd00::11"),
        ("web.shinan-portal.svc.cluster.local", Aaaa, "none"),
        ("web.shinan-approval.svc.cluster.local", Other, "none"),
        ("shinan-approval.svc.cluster.local", A, "none"),
        // Not ready has no name.
        ("postgres.shinan-approval.svc.cluster.local", A, "10.244.1.5 10.244.1.6"),
        ("postgres-0.postgres.shinan-approval.svc.cluster.local", A, "10.244.1.5"),
        ("10-244-1-6.postgres.shinan-approval.svc.cluster.local", A, "10.244.1.6"),
        ("postgres-2.postgres.shinan-approval.svc.cluster.local", A, "missing"),
        ("postgres-0.web.shinan-approval.svc.cluster.local", A, "missing"),
        ("_http._tcp.web.shinan-approval.svc.cluster.local", Srv, "web.shinan-approval.svc.cluster.local:80"),
        ("_http._udp.web.shinan-approval.svc.cluster.local", Srv, "missing"),
        ("_http._tcp.web.shinan-approval.svc.cluster.local", A, "none"),
        (
            "_sql._tcp.postgres.shinan-approval.svc.cluster.local",
            Srv,
            "10-244-1-6.postgres.shinan-approval.svc.cluster.local:5432 postgres-0.postgres.shinan-approval.svc.cluster.local:5432",
        ),
        ("web.shinan-approval.svc", Srv, "web.shinan-approval.svc:80 web.shinan-approval.svc:81"),
        ("10-244-1-5.shinan-approval.pod.cluster.local", A, "10.244.1.5"),
        ("x.shinan-approval.pod.cluster.local", A, "missing"),
        // Reverse names are of the original: other programs know it by that.
        ("1.1.96.10.in-addr.arpa", Ptr, "web.shinan-approval.svc.cluster.local"),
        ("5.1.244.10.in-addr.arpa", Ptr, "postgres-0.postgres.shinan-approval.svc.cluster.local"),
        ("1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", Ptr, "web.shinan-approval.svc.cluster.local"),
        ("9.9.9.9.in-addr.arpa", Ptr, "missing"),
        // Entrypoints.
        ("shenpi.shinan.example", A, "10.96.1.1"),
        ("shenpi.shinan.example", Srv, "none"),
        ("a.old.example", A, "10.96.1.1"),
        ("gone.example", A, "missing"),
        // Aliases are followed inside, and outside only where that is allowed.
        ("twin.shinan-approval.svc.cluster.local", A, "twin.shinan-approval.svc.cluster.local = web.shinan-approval.svc.cluster.local 10.96.1.1"),
        ("ldap.shinan-approval.svc.cluster.local", A, "ldap.shinan-approval.svc.cluster.local = ldap.city.example outside ldap.city.example"),
        ("world.shinan-approval.svc.cluster.local", A, "missing"),
        ("loop.shinan-approval.svc.cluster.local", A, "missing"),
        // The world.
        ("ldap.city.example", A, "outside ldap.city.example"),
        ("ldap.city.example", Other, "none"),
        ("smtp.mail.example", Aaaa, "outside smtp.mail.example"),
        ("www.example.com", A, "missing"),
        ("kubernetes.default.svc.cluster.local", A, "missing"),
        ("postgres.shinan-tax.svc.cluster.local", A, "missing"),
        ("web", A, "missing"),
        ("", A, "missing"),
        ("svc", A, "missing"),
        ("a.b.c.shinan-approval.svc.cluster.local", A, "missing"),
        // What a search domain makes of a name of the world.
        ("www.example.com.shinan-approval--drill-k7m2q.svc.cluster.local", A, "missing"),
        ("shenpi.shinan.example.svc.cluster.local", A, "missing"),
    ] {
        assert_eq!(said(name, kind), expected, "{name} {kind:?}");
    }
}

#[test]
fn fault_e14_a_pod_completes_names_as_a_kubelet_would_let_it() {
    for (asked, expected) in
        [("web", "10.96.1.1"), ("web.shinan-portal", "10.96.2.2"), ("web.shinan-portal.svc", "10.96.2.2"), ("postgres-0.postgres", "10.244.1.5")]
    {
        let found = searches(APPROVAL).into_iter().map(|domain| said(&format!("{asked}.{domain}"), RecordType::A)).find(|said| said != "missing");
        assert_eq!(found.as_deref(), Some(expected), "{asked}");
    }
}

#[test]
fn every_record_of_a_name_comes_first_in_turn() {
    let firsts: BTreeSet<u8> = (0..3).map(|question| order_of(vec![1_u8, 2, 3], question)[0]).collect();
    assert_eq!(firsts.len(), 3);
    assert_eq!(order_of(Vec::<u8>::new(), 7), Vec::<u8>::new());
}

proptest! {
    /// Whatever is asked: no answer has an address that isn't the copy's, and nothing is asked outside that isn't allowed.
    #[test]
    fn fault_e14_no_name_leads_out_of_a_copy_unless_it_is_allowed(
        labels in proptest::collection::vec(prop_oneof![
            "[a-z0-9_-]{0,8}", Just("svc".to_owned()), Just("pod".to_owned()), Just("shinan-approval".to_owned()), Just("web".to_owned()), Just("postgres".to_owned()),
            Just("cluster".to_owned()), Just("local".to_owned()), Just("world".to_owned()), Just("ldap".to_owned()), Just("city".to_owned()), Just("example".to_owned())], 0..7),
        kind in prop_oneof![Just(RecordType::A), Just(RecordType::Aaaa), Just(RecordType::Srv), Just(RecordType::Ptr), Just(RecordType::Other)],
    ) {
        let name = labels.join(".");
        match answer(&zone(), &directory(), Question { name: &name, record_type: kind }) {
            Answer::Missing => {}
            Answer::AskOutside { name, .. } => prop_assert!(zone().egress.names_it(&name), "{name}"),
            Answer::Records(records) => {
                for record in records {
                    if let Data::Address(address) = record.data {
                        let of_copy = directory().named(address).is_some();
                        let said_itself = name.split('.').any(|label| label == "pod");
                        prop_assert!(of_copy || said_itself, "{name}: {address}");
                    }
                }
            }
        }
    }
}
