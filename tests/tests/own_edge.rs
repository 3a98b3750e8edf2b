//! The operator's own edge as it is by default: where it doesn't connect, and what it answers to strangers.

use crate::support::{
    lone::Lone,
    operator::{Operator, api, apply, condition, until},
};
use kube::{Api, Client, api::DynamicObject};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};

const DISTRICT: &str = "shinan";
const PLACES: &str = r#"
{apiVersion: platform861.io/v1alpha1, kind: Site, metadata: {name: here}, spec: {failureDomain: here, access: {inCluster: {}}}}
---
{apiVersion: platform861.io/v1alpha1, kind: District, metadata: {name: shinan}, spec: {code: "370202", names: {en: Shinan}, sites: [{siteRef: {name: here}, role: Primary}]}}
---
{apiVersion: v1, kind: Secret, metadata: {name: keys, namespace: shinan}, stringData: {accessKeyID: a, secretAccessKey: s}}
"#;

fn repositories(client: &Client) -> Api<DynamicObject> {
    api(client, "platform861.io", "BackupRepository", "backuprepositories", Some(DISTRICT))
}

fn repository(name: &str, place: &Value) -> Value {
    let mut spec = json!({"failureDomain": "there", "encryption": {"keySecretRef": {"name": format!("{name}-key")}}});
    spec.as_object_mut().expect("a spec").extend(place.as_object().expect("a place").clone());
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupRepository", "metadata": {"name": name, "namespace": DISTRICT}, "spec": spec})
}

fn bucket(endpoint: &str) -> Value {
    json!({"s3": {"endpoint": endpoint, "bucket": "bucket", "credentialsSecretRef": {"name": "keys"}}})
}

fn answer(address: &str, request: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).expect("the operator listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e18_e21_by_default_no_district_leads_the_operator_inside_and_strangers_make_it_no_work() {
    let server = Lone::start_with_charts();
    let client = server.client(None).await;
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shinan}}");
    apply(&client, PLACES).await;
    // A bucket of somebody else on this machine: nobody may connect to it.
    let inner = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    inner.set_nonblocking(true).expect("set");
    let port = inner.local_addr().expect("an address").port();
    let operator = Operator::start_closed(&server);
    let places = [
        ("loopback", bucket(&format!("http://127.0.0.1:{port}")), "EgressRefused"),
        ("by-name", bucket(&format!("http://localhost:{port}")), "EgressRefused"),
        ("metadata", bucket("http://169.254.169.254"), "EgressRefused"),
        // The range of this hub's Services.
        ("service", bucket("https://10.99.0.1"), "EgressRefused"),
        ("folder", json!({"folder": {"path": "/etc/p861"}}), "FolderRefused"),
    ];
    for (name, place, _) in &places {
        apply(&client, &repository(name, place).to_string()).await;
    }
    for (name, _, reason) in &places {
        until(&operator, &format!("repository {name} is refused"), async || {
            let seen = repositories(&client).get(name).await.map_err(|error| error.to_string())?;
            let ready = condition(&seen, "Ready");
            let said = ready["message"].as_str().unwrap_or_default();
            let told = said.contains("operator.egress.allow") || said.contains("operator.folders.path");
            if ready["reason"] == *reason && told { Ok(()) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
    }
    assert!(matches!(inner.accept(), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "nobody has connected");
    assert!(!std::path::Path::new("/etc/p861").exists());

    let forged = format!("GET /ack/shinan/inc-1/li/1-uid/{} HTTP/1.1\r\nHost: x\r\n\r\n", "0".repeat(64));
    until(&operator, "a forged link is refused, once the operator knows its key", async || {
        let said = answer(&operator.address, &forged);
        if said.starts_with("HTTP/1.1 403") { Ok(()) } else { Err(said) }
    })
    .await;
    let post = "POST /alertmanager/here HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guessed\r\nContent-Length: 2\r\n\r\n{}";
    assert!(answer(&operator.address, post).starts_with("HTTP/1.1 401"));
    assert!(answer(&operator.address, &format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10))).starts_with("HTTP/1.1 431"));
}
