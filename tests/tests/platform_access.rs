//! Who may do what on hub and site, asked of a real API server with each role's credentials: in his own district what his role says, in another's nothing.

use crate::support::{
    lone::lone,
    operator::{api, apply, condition, operator, until},
};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

const DISTRICTS: [&str; 2] = ["laixi", "pingdu"];

/// Verb, group, resource, and who of viewer, engineer, approver (P), commander and auditor may do it: on the hub, in the district's namespace.
const HUB: [(&str, &str, &str, &str); 12] = [
    ("get", "platform861.io", "platforms", "VEPCA"),
    ("list", "platform861.io", "applications", "VEPCA"),
    ("patch", "platform861.io", "platforms", "E"),
    ("delete", "platform861.io", "platforms", "E"),
    ("create", "platform861.io", "drills", "C"),
    ("patch", "platform861.io", "drills", "PC"),
    ("create", "platform861.io", "backups", "EC"),
    ("get", "", "secrets", ""),
    ("create", "", "secrets", "E"),
    ("list", "rbac.authorization.k8s.io", "rolebindings", "A"),
    ("create", "rbac.authorization.k8s.io", "rolebindings", ""),
    ("create", "", "pods", ""),
];

/// The same on a site, in a namespace of the district.
const SITE: [(&str, &str, &str, &str); 11] = [
    ("list", "", "pods", "VEPCA"),
    ("get", "apps", "deployments", "VEPCA"),
    ("get", "networking.k8s.io", "networkpolicies", "VEPCA"),
    ("get", "", "pods/log", "VECA"),
    ("patch", "apps", "deployments", "E"),
    ("delete", "", "pods", "E"),
    ("get", "", "secrets", ""),
    ("create", "", "pods/exec", ""),
    ("delete", "networking.k8s.io", "networkpolicies", ""),
    ("patch", "", "resourcequotas", ""),
    ("list", "rbac.authorization.k8s.io", "rolebindings", "A"),
];

const ROLES: [(char, &str); 5] = [('V', "Viewer"), ('E', "Engineer"), ('P', "Approver"), ('C', "Commander"), ('A', "Auditor")];

async fn may(client: &Client, verb: &str, group: &str, resource: &str, namespace: &str) -> bool {
    let (resource, part) = resource.split_once('/').map_or((resource, None), |(resource, part)| (resource, Some(part.to_owned())));
    let attributes = ResourceAttributes {
        verb: Some(verb.into()),
        group: Some(group.into()),
        resource: Some(resource.into()),
        subresource: part,
        namespace: Some(namespace.into()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    reviews.create(&PostParams::default(), &review).await.expect("a review").status.expect("an answer").allowed
}

async fn declare(client: &Client, district: &str, roles: &[&str]) {
    let bindings: Vec<_> = roles.iter().map(|role| json!({"role": role, "groups": [format!("{district}-{}", role.to_lowercase())]})).collect();
    let sites = json!([{"siteRef": {"name": "here"}, "role": "Primary"}]);
    let spec = json!({"code": "370285", "names": {"zh": "莱西市"}, "sites": sites, "roleBindings": bindings});
    apply(client, &json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": district}, "spec": spec}).to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_its_table_says_in_its_own_district_and_nothing_in_another() {
    let server = lone("platform_access");
    let client = server.client(None).await;
    apply(&client, "{apiVersion: platform861.io/v1alpha1, kind: Site, metadata: {name: here}, spec: {failureDomain: here, access: {inCluster: {}}}}").await;
    for district in DISTRICTS {
        declare(&client, district, &ROLES.map(|(_, role)| role)).await;
        apply(&client, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {district}-tax}}}}")).await;
    }
    apply(&client, "{apiVersion: v1, kind: Namespace, metadata: {name: laixi-tax--drill-abcde, labels: {platform861.io/drill: abcde}}}").await;
    let operator = operator(&server);
    let districts = api(&client, "platform861.io", "District", "districts", None);
    let bindings: Api<RoleBinding> = Api::all(client.clone());
    for district in DISTRICTS {
        until(&operator, "the roles are bound", async || {
            let seen = districts.get(district).await.map_err(|error| error.to_string())?;
            let ours = ListParams::default().labels(&format!("platform861.io/district={district},platform861.io/role=access"));
            let found = bindings.list(&ours).await.map_err(|error| error.to_string())?;
            let said = condition(&seen, "AccessApplied");
            let all = said["message"] == "5 roles bound on the hub and on 1 site" && found.items.len() == 10;
            if all { Ok(()) } else { Err(format!("{said}, {} bindings", found.items.len())) }
        })
        .await;
    }

    let mut wrong = Vec::new();
    for (letter, role) in ROLES {
        let group = format!("laixi-{}", role.to_lowercase());
        let person = server.client(Some((role, &[group.as_str(), "system:authenticated"]))).await;
        for (table, own, other) in [(HUB.as_slice(), "laixi", "pingdu"), (SITE.as_slice(), "laixi-tax", "pingdu-tax")] {
            for (verb, group, resource, who) in table {
                if may(&person, verb, group, resource, own).await != who.contains(letter) {
                    wrong.push(format!("{role} {verb} {resource} in {own}: it should be {}", who.contains(letter)));
                }
                for elsewhere in [other, "kube-system", "p861-system", "laixi-tax--drill-abcde"] {
                    if may(&person, verb, group, resource, elsewhere).await {
                        wrong.push(format!("{role} {verb} {resource} in {elsewhere}: it should be refused"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A role that is not declared any more is taken back, on hub and site; somebody's own binding stays.
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    let guest = json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "guest"}]);
    let metadata = json!({"name": "own", "namespace": "laixi-tax"});
    let own = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": guest});
    let of_tax: Api<RoleBinding> = Api::namespaced(client.clone(), "laixi-tax");
    of_tax.patch("own", &PatchParams::apply("test").force(), &Patch::Apply(own)).await.expect("his binding");
    declare(&client, "laixi", &["Viewer"]).await;
    until(&operator, "four roles are taken back", async || {
        let found = bindings.list(&ListParams::default().labels("platform861.io/district=laixi")).await.map_err(|error| error.to_string())?;
        let names: Vec<String> = found.items.iter().map(kube::ResourceExt::name_any).collect();
        if names.len() == 2 && names.iter().all(|name| name.ends_with("viewer")) { Ok(()) } else { Err(names.join(", ")) }
    })
    .await;
    of_tax.get("own").await.expect("somebody's own binding");
    let engineer = server.client(Some(("Engineer", &["laixi-engineer", "system:authenticated"]))).await;
    assert!(!may(&engineer, "list", "", "pods", "laixi-tax").await);
    for district in DISTRICTS {
        districts.delete(district, &DeleteParams::default()).await.expect("deleted");
    }
}
