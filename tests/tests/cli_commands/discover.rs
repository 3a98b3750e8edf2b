//! `app discover`: from what runs in a namespace to an Application that the API server takes.

use super::hub::{Hub, said};
use serde_json::{Value, json};

const NAMESPACE: &str = "finds-approval";

fn manifest() -> String {
    let labels = |app: &str| json!({"app": app});
    let workload = |kind: &str, name: &str, container: Value, claims: Value| {
        let mut spec =
            json!({"selector": {"matchLabels": labels(name)}, "template": {"metadata": {"labels": labels(name)}, "spec": {"containers": [container]}}});
        if kind == "StatefulSet" {
            spec["serviceName"] = json!(name);
            spec["volumeClaimTemplates"] = claims;
        }
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
    };
    let service = |name: &str, port: i64| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"selector": labels(name), "ports": [{"port": port}]}});
    let claim = |size: &str| json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
    let documents = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": NAMESPACE}, "data": {"DB_HOST": "postgres", "LDAP_URL": "ldaps://reader:s3cr3t@10.20.3.7:636"}}),
        workload(
            "StatefulSet",
            "postgres",
            json!({"name": "postgres", "image": "postgres:16.4", "env": [{"name": "POSTGRES_USER", "value": "approval"}]}),
            json!([{"metadata": {"name": "data"}, "spec": claim("8Gi")}]),
        ),
        workload(
            "Deployment",
            "approval-server",
            json!({"name": "server", "image": "server:1", "envFrom": [{"configMapRef": {"name": "settings"}}]}),
            json!(null),
        ),
        workload(
            "Deployment",
            "approval-web",
            json!({"name": "web", "image": "web:1", "env": [{"name": "PEER", "value": "http://approval-server:8080/"}]}),
            json!(null),
        ),
        service("postgres", 5432),
        service("approval-server", 8080),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "attachments", "namespace": NAMESPACE}, "spec": claim("20Gi")}),
    ];
    documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_is_an_application_that_the_hub_takes_once_the_todos_are_done() {
    let hub = Hub::of("finds").await;
    hub.apply(&manifest());
    // The hub is a site of itself here: its own kubeconfig leads to it, and so does the Site laoshan-dr, which is in the cluster.
    let found = hub.p861(&["app", "discover", NAMESPACE, "--site", "laoshan-dr"]);
    assert_eq!(found.code, 0, "{found:?}");
    assert_eq!(
        found.err.lines().collect::<Vec<_>>(),
        [
            "✓ workloads   StatefulSet/postgres, Deployment/approval-server, approval-web",
            "✓ order       postgres → approval-server → approval-web, from calls between Services",
            "✓ data        PostgreSQL 16: stream postgres-db, its volume skipped; attachments 20Gi (files)",
            "! outside     LDAP_URL refers to 10.20.3.7:636: unreachable in a drill unless isolation.allowEgress allows it",
            "? yours       names, department, criticality, marker: marked TODO",
            "Next: edit approval.yaml (marked TODO), then kubectl apply -f approval.yaml",
        ]
    );
    assert!(!found.out.contains("s3cr3t"), "what stands in a variable stays there: {}", found.out);
    hub.apply(
        &found.out.replace("TODO  # one of approval-bureau", "approval-bureau").replace("zh: TODO", "zh: 网上审批").replace("en: TODO", "en: Online approval"),
    );
    let spec = hub.get("Application", "approval").await["spec"].clone();
    assert_eq!((&spec["department"], &spec["namespaces"]), (&json!("approval-bureau"), &json!([NAMESPACE])));
    assert_eq!(spec["tiers"][0], json!({"name": "postgres", "workloadRefs": [{"kind": "StatefulSet", "name": "postgres"}]}));
    assert_eq!(spec["streams"][0]["dump"], json!(["pg_dump", "--username=approval", "--format=custom", "approval"]));
    assert_eq!(spec["volumes"], json!([{"claim": "data-postgres-*", "method": "Skip"}]));

    let json = hub.p861(&["app", "discover", NAMESPACE, "--site", "laoshan-dr", "--name", "shop", "-o", "json"]).json();
    assert_eq!((&json["kind"], &json["metadata"]), (&json!("Application"), &json!({"name": "shop", "namespace": "finds"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_nothing_in_it_is_no_application() {
    let hub = Hub::of("nothing").await;
    let empty = hub.p861(&["app", "discover", "nothing-there", "--site", "laoshan-dr"]);
    assert_eq!((empty.code, empty.out.as_str()), (3, ""));
    assert!(empty.err.starts_with("error: nothing runs in namespace nothing-there of site laoshan-dr, or there is no such namespace: "), "{}", empty.err);
    let secret = hub.p861(&["app", "discover", "nothing-there", "--site", "xinxi-dasha"]);
    assert_eq!((secret.code, secret.err.as_str()), (3, "error: site xinxi-dasha: Secret p861-system/site-xinxi-dasha has no key kubeconfig\n"));
    // E3: refused by the sites of the district, before the Site is even looked for.
    let foreign = hub.p861(&["app", "discover", "nothing-there", "--site", "laixi"]);
    let told = "error: site laixi is not one of the sites of district nothing: see spec.sites of District nothing\n";
    assert_eq!((foreign.code, foreign.err.as_str()), (3, told));
    let mut command = hub.command(&["app", "discover", "nothing-there", "--site-kubeconfig"]);
    command.arg(hub.kubeconfig("kubeconfig-elsewhere", |text| text.replace("server: \"https://127.0.0.1:", "server: \"https://127.0.0.1:1")));
    let unreachable = said(command);
    assert!(matches!(unreachable.code, 2 | 6), "the site, not the hub, can't be reached: {unreachable:?}");
}

/// A kubeconfig of an account, for a site.
fn of_account(hub: &Hub, file: &str, account: &str) -> String {
    hub.kubeconfig(file, |text| {
        let acting = text.replace("user: {token: ", &format!("user: {{as: \"{account}\", as-groups: [system:serviceaccounts, system:authenticated], token: "));
        assert!(acting.contains(account), "the kubeconfig has another form: {text}");
        acting
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h6_the_account_that_the_hub_has_on_a_site_finds_what_an_administrator_finds() {
    let hub = Hub::of("sees").await;
    hub.apply(&manifest());
    let found = |account: Option<&str>| {
        let mut command = hub.command(&["app", "discover", NAMESPACE, "--name", "approval"]);
        match account {
            Some(account) => command.args(["--site-kubeconfig", &of_account(&hub, "kubeconfig-of-the-site", account)]),
            None => command.args(["--site", "laoshan-dr"]),
        };
        said(command)
    };
    let (administrator, hubs) = (found(None), found(Some("system:serviceaccount:p861-system:p861-site")));
    assert_eq!(hubs.code, 0, "{hubs:?}");
    // It may not see who has which rights in the cluster, and says so.
    let rest = |text: &str| text.lines().filter(|line| !line.starts_with("! cluster")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rest(&hubs.err), rest(&administrator.err));
    let nobody = found(Some("system:serviceaccount:default:nobody"));
    assert_eq!(nobody.code, 3);
    assert!(
        nobody.err.contains("permissions on a site are given by the administrators of that cluster") && !nobody.err.contains("roleBindings"),
        "{}",
        nobody.err
    );
}
