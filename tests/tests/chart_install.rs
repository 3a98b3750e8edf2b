//! The charts on a real API server: installed, upgraded, taken away; and what must survive each of it.

use crate::support::{
    lone::{Lone, SYSTEM, lone},
    named, render,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an object is known by, and what changes when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    uid: String,
    version: String,
}

/// Every object that the charts have made, the kinds, and every object of ours.
fn state(server: &Lone) -> BTreeMap<String, Mark> {
    let mut found = BTreeMap::new();
    let look = |found: &mut BTreeMap<String, Mark>, arguments: &[&str]| {
        for item in server.get(arguments)["items"].as_array().expect("a list") {
            let metadata = &item["metadata"];
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            found.insert(
                format!("{}/{}", word(&item["kind"]), word(&metadata["name"])),
                Mark { uid: word(&metadata["uid"]), version: word(&metadata["resourceVersion"]) },
            );
        }
    };
    let everything = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings";
    look(&mut found, &[everything, "--selector", "app.kubernetes.io/name=p861"]);
    look(
        &mut found,
        &[
            "deployments,services,serviceaccounts,poddisruptionbudgets,roles,rolebindings,configmaps",
            "--namespace",
            SYSTEM,
            "--selector",
            "app.kubernetes.io/name=p861",
        ],
    );
    look(&mut found, &["customresourcedefinitions"]);
    let kinds: Vec<String> = found.keys().filter_map(|name| name.strip_prefix("CustomResourceDefinition/")).map(ToOwned::to_owned).collect();
    if !kinds.is_empty() {
        look(&mut found, &[&kinds.join(","), "--all-namespaces"]);
    }
    found
}

/// The same, once the API server itself writes no more of it: it does so with conditions of kinds that are new.
fn settled(server: &Lone) -> BTreeMap<String, Mark> {
    let mut seen = state(server);
    for _ in 0..60 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let again = state(server);
        if again == seen {
            return seen;
        }
        seen = again;
    }
    panic!("the API server still writes after 30 s: {seen:?}");
}

fn changed(before: &BTreeMap<String, Mark>, after: &BTreeMap<String, Mark>) -> Vec<String> {
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("-{name}"));
    let new = after.keys().filter(|name| !before.contains_key(*name)).map(|name| format!("+{name}"));
    let other = before.iter().filter(|(name, mark)| after.get(*name).is_some_and(|now| now != *mark)).map(|(name, _)| name.clone());
    let mut all: Vec<String> = gone.chain(new).chain(other).collect();
    all.sort();
    all
}

/// A district with one object of each kind.
fn declare(server: &Lone) {
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shinan}}");
    for example in [
        "site/accepted-in-cluster",
        "district/accepted-two-sites",
        "platformprofile/accepted-least",
        "platform/accepted-least",
        "application/accepted-least",
        "backuprepository/accepted-bucket",
        "backuppolicy/accepted-least",
        "recoveryplan/accepted-least",
        "backup/accepted-least",
        "restore/accepted-least",
        "drill/accepted-isolated",
        "maintenancewindow/accepted-least",
        "changetemplate/accepted-least",
        "maintenanceticket/accepted-incident",
        "approval/accepted-start",
        "dutyroster/accepted-least",
    ] {
        server.apply(&crate::support::text(&format!("tests/examples/{example}.yaml")));
    }
}

fn installed() -> Lone {
    let server = Lone::bare();
    server.install(&[]);
    declare(&server);
    server
}

#[test]
fn an_upgrade_changes_what_its_values_say_and_nothing_else() {
    let server = installed();
    let first = settled(&server);
    assert!(first.len() > 35, "only {} objects: {first:?}", first.len());
    let upgrade = |values: &[&str]| {
        let before = state(&server);
        let mut arguments = vec!["upgrade", "p861", "p861"];
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        server.helm(&arguments).unwrap_or_else(|error| panic!("{values:?}: {error}"));
        changed(&before, &state(&server))
    };
    server.helm(&["upgrade", "p861-crds", "p861-crds"]).expect("the kinds upgrade");
    assert_eq!(changed(&first, &state(&server)), Vec::<String>::new(), "the same kinds again change nothing");
    assert_eq!(upgrade(&[]), Vec::<String>::new(), "the same values again change nothing");
    assert_eq!(upgrade(&["operator.replicas=3"]), ["Deployment/p861-operator"]);
    assert_eq!(upgrade(&["operator.replicas=3", "dashboard.enabled=false"]), ["-ConfigMap/p861-dashboard"]);
    assert_eq!(
        upgrade(&["operator.replicas=3", "dashboard.enabled=false", "hub.clusterReaders={shinan-viewers}"]),
        [
            "+ClusterRoleBinding/p861-cluster-reader",
            "+Role/p861-lease-reader",
            "+Role/p861-template-reader",
            "+RoleBinding/p861-lease-reader",
            "+RoleBinding/p861-template-reader"
        ]
    );
    // The hub moves to another cluster: what a managed site needs stays, and so does everything that people declared.
    let moved = upgrade(&["hub.enabled=false"]);
    let after = state(&server);
    let on_a_site = ["ClusterRoleBinding/p861-site", "+Deployment/p861-prober"];
    assert!(moved.iter().all(|change| change.starts_with('-') || on_a_site.contains(&change.as_str())), "{moved:?}");
    for kept in [
        "ClusterRole/p861-site",
        "ClusterRole/p861-mover-backup",
        "ClusterRole/p861-mover-restore",
        "ServiceAccount/p861-site",
        "Drill/isolated",
        "District/shinana",
        "CustomResourceDefinition/drills.platform861.io",
    ] {
        assert_eq!(after.get(kept), first.get(kept), "{kept}");
    }
    assert!(!after.contains_key("Deployment/p861-operator") && !after.contains_key("ClusterRole/p861-hub"), "{after:?}");
    assert_eq!(server.get(&["clusterrolebinding", "p861-site"])["subjects"], json!([{"kind": "ServiceAccount", "name": "p861-site", "namespace": SYSTEM}]));
}

#[test]
fn uninstalling_leaves_the_kinds_and_every_object_and_installing_again_finds_them() {
    let server = installed();
    let first = state(&server);
    let ours = |state: &BTreeMap<String, Mark>| -> BTreeMap<String, String> {
        let of_charts = |name: &str| name.contains("/p861") && !name.starts_with("CustomResourceDefinition/");
        state.iter().filter(|(name, _)| !of_charts(name)).map(|(name, mark)| (name.clone(), mark.uid.clone())).collect()
    };
    assert_eq!(ours(&first).len(), 35, "sixteen kinds, an object of each, and the three shipped profiles: {:?}", ours(&first));
    server.helm(&["uninstall", "p861"]).expect("the operator goes");
    let left = state(&server);
    assert_eq!(ours(&left), ours(&first), "taking the operator away takes nothing that people declared");
    let of_operator: Vec<&String> = left.keys().filter(|name| name.contains("/p861")).collect();
    assert!(of_operator.is_empty(), "left behind: {of_operator:?}");
    let said = server.helm(&["uninstall", "p861-crds"]).expect("the release of the kinds goes");
    assert!(said.contains("kept due to the resource policy"), "{said}");
    assert_eq!(ours(&state(&server)), ours(&first), "the kinds stay, and with them every object");
    server.helm(&["install", "p861-crds", "p861-crds"]).expect("the kinds are adopted");
    server.helm(&["install", "p861", "p861"]).expect("the operator comes back");
    let again = state(&server);
    assert_eq!(ours(&again), ours(&first));
    assert_eq!(again.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>());
}

#[test]
fn a_site_and_a_hub_install_alone() {
    for (values, absent) in [
        (["hub.enabled=false", "site.tokenSecret=true"], "Deployment/p861-operator"),
        (["site.enabled=false", "dashboard.enabled=true"], "ClusterRole/p861-site"),
    ] {
        let server = Lone::bare();
        let install = || server.helm(&["install", "p861", "p861", "--create-namespace", "--set", values[0], "--set", values[1]]);
        // A site needs no kind of ours; a hub needs them first, since profiles are shipped with it, and says so.
        if values[0] != "hub.enabled=false" {
            let said = install().expect_err("there are no kinds yet");
            assert!(said.contains("no matches for kind \"PlatformProfile\"") && said.contains("ensure CRDs are installed first"), "{said}");
            server.helm(&["install", "p861-crds", "p861-crds", "--create-namespace"]).expect("the kinds");
        }
        install().unwrap_or_else(|error| panic!("{values:?}: {error}"));
        assert!(!state(&server).contains_key(absent), "{values:?}");
        if values[0] == "hub.enabled=false" {
            let secret = server.get(&["secret", "p861-site-token", "--namespace", SYSTEM]);
            assert_eq!(
                (&secret["type"], &secret["metadata"]["annotations"]["kubernetes.io/service-account.name"]),
                (&json!("kubernetes.io/service-account-token"), &json!("p861-site"))
            );
        }
    }
}

/// The strictest of Kubernetes' Pod Security Standards, in the API server's own judgement.
#[test]
fn the_operator_s_pods_pass_the_restricted_pod_security_standard() {
    let server = lone("chart_install");
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: strict, labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: latest}}}");
    server.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: p861-operator, namespace: strict}}");
    // What every namespace has where there are controllers.
    server.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: strict}}");
    let documents = render(&[]);
    let template = &named(&documents, "Deployment", "p861-operator")["spec"]["template"];
    let try_pod = |spec: &Value| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator", "namespace": "strict", "labels": template["metadata"]["labels"]}, "spec": spec});
        std::fs::write(file.path(), pod.to_string()).expect("written");
        server.kubectl(&["create", "--dry-run=server", "--filename", &file.path().to_string_lossy()])
    };
    try_pod(&template["spec"]).expect("the operator's pod");
    let on_site = render(&["hub.enabled=false"]);
    try_pod(&named(&on_site, "Deployment", "p861-prober")["spec"]["template"]["spec"]).expect("the prober's pod");
    // The namespace is strict indeed: each of these alone would be refused.
    for (pointer, value) in [
        ("/securityContext/seccompProfile/type", json!("Unconfined")),
        ("/securityContext/runAsNonRoot", json!(false)),
        ("/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"])),
        ("/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
    ] {
        let mut looser = template["spec"].clone();
        *looser.pointer_mut(pointer).expect("a field") = value;
        let said = try_pod(&looser).expect_err(pointer);
        assert!(said.contains("violates PodSecurity \"restricted:latest\""), "{pointer}: {said}");
    }
}
