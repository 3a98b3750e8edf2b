//! RBAC for a district's people: binds the chart's roles in the district's own namespaces, on the hub and on its sites.

use super::{allotted_site, is_allotted};
use crate::context::Context;
use futures::future::join_all;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use p861_core::{conditions::ConditionUpdate, ids::SiteName, told::Noun};
use p861_crds::{
    ConditionType, District, Reason,
    names::{DISTRICT_LABEL, DRILL_LABEL, FIELD_MANAGER, ROLE_LABEL},
    platform::district::Role,
};
use p861_runs::{
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
    leadership::Leadership,
    sites::{list_selected, view::VIEW_TTL},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Time limit for binding the roles on one site; after it the site counts as unreachable, and the rest is bound next time.
const SITE_TIMEOUT: Duration = Duration::from_mins(1);
/// Value of [`ROLE_LABEL`] that excludes a binding from backups, so that a copy of an application grants no access.
const ACCESS_ROLE: &str = "access";

/// Subjects by role. A role that the District lists twice has the subjects of both entries.
fn people(district: &District) -> BTreeMap<Role, Vec<Value>> {
    let subject = |kind: &str, name: &String| json!({"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name});
    let mut people: BTreeMap<Role, Vec<Value>> = BTreeMap::new();
    for binding in &district.spec.role_bindings {
        let subjects = binding.groups.iter().map(|name| subject("Group", name)).chain(binding.users.iter().map(|name| subject("User", name)));
        let all = people.entry(binding.role).or_default();
        for one in subjects {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    people
}

fn word(role: Role) -> String {
    format!("{role:?}").to_lowercase()
}

/// Binds the roles everywhere. An unreachable site is reported and doesn't affect the others.
pub async fn apply(context: &Context, district: &District) -> Result<ConditionUpdate> {
    let people = people(district);
    let hub: BTreeSet<String> = [district.hub_namespace().to_owned()].into();
    let on_hub = match bind(&context.hub.leadership, &context.hub.client, district, &people, "p861-role", &hub).await {
        Err(Error::LeaseLost) => return Err(Error::LeaseLost),
        bound => bound,
    };
    // Side by side: sites that don't answer must not add up to more than a reconcile may take.
    let sites = join_all(district.spec.sites.iter().map(async |site| {
        let name = SiteName::from(site.site_ref.name.as_str());
        let late = || Err(Error::transient(Reason::Unreachable, format!("it did not answer everything within {SITE_TIMEOUT:?}")));
        let result = tokio::time::timeout(SITE_TIMEOUT, on_site(context, district, &people, &name)).await.unwrap_or_else(|_| late());
        (name, result)
    }));
    let mut bound = 0;
    let mut unbound: Vec<(Reason, String)> = on_hub.err().into_iter().map(|error| (error.reason(), format!("the hub: {error}"))).collect();
    for (name, result) in sites.await {
        match result {
            Ok(()) => bound += 1,
            Err(error) => unbound.push((error.reason(), format!("{name}: {error}"))),
        }
    }
    Ok(match unbound.first() {
        None => ConditionUpdate::good(
            ConditionType::AccessApplied,
            Reason::RolesBound,
            format!("{} bound on the hub and on {}", Noun::Role.count(people.len()), Noun::Site.count(bound)),
        ),
        Some((reason, message)) => ConditionUpdate::bad(ConditionType::AccessApplied, reason.clone(), message.clone()),
    })
}

async fn on_site(context: &Context, district: &District, people: &BTreeMap<Role, Vec<Value>>, site: &SiteName) -> Result<()> {
    let site = allotted_site(district, site)?;
    let client = context.sites.client(&site).await?;
    let view = context.sites.view(&site, VIEW_TTL).await?;
    // A drill's copy has live data: access to the original must not grant access to the copy.
    let ours = view.namespaces.iter().filter(|(name, labels)| is_allotted(district, name) && !labels.contains_key(DRILL_LABEL));
    let ours = ours.map(|(name, _)| name.clone()).collect();
    bind(&context.hub.leadership, &client, district, people, "p861-site-role", &ours).await
}

/// Deletes our bindings that are no longer wanted, and creates one per namespace for each role with subjects. What fails is told in the end and holds up nothing else: a
/// right that was taken away must go, whatever stands in the way of another.
async fn bind(
    leadership: &Leadership,
    client: &Client,
    district: &District,
    people: &BTreeMap<Role, Vec<Value>>,
    prefix: &str,
    namespaces: &BTreeSet<String>,
) -> Result<()> {
    let owner = district.name_any();
    let ours = ListParams::default().labels(&format!("{DISTRICT_LABEL}={owner}"));
    let listed = list_selected(&Api::<RoleBinding>::all(client.clone()), ours, || format!("the role bindings of district {owner}")).await?;
    let mut there: BTreeMap<(String, String), RoleBinding> = listed
        .into_iter()
        .filter(|binding| binding.role_ref.name.starts_with(prefix))
        .map(|binding| ((binding.namespace().unwrap_or_default(), binding.name_any()), binding))
        .collect();
    let roles: Vec<(String, &Vec<Value>)> =
        people.iter().filter(|(_, subjects)| !subjects.is_empty()).map(|(role, subjects)| (format!("{prefix}-{}", word(*role)), subjects)).collect();
    let wanted = |(namespace, name): &(String, String)| namespaces.contains(namespace) && roles.iter().any(|(role, _)| role == name);
    let mut failed = Ok(());
    let mut note = |done: Result<()>| match done {
        // Without the lease nothing more is written.
        Err(Error::LeaseLost) => Err(Error::LeaseLost),
        done => {
            failed = std::mem::replace(&mut failed, Ok(())).and(done);
            Ok(())
        }
    };
    for (key, binding) in there.iter().filter(|(key, _)| !wanted(key)) {
        leadership.ensure()?;
        note(take_back(client, key, binding).await)?;
    }
    for namespace in namespaces {
        for (name, subjects) in &roles {
            let known = there.remove(&(namespace.clone(), name.clone()));
            let alike = |binding: &RoleBinding| {
                serde_json::to_value(&binding.subjects).is_ok_and(|found| found == json!(subjects))
                    && binding.labels().get(ROLE_LABEL).is_some_and(|label| label == ACCESS_ROLE)
            };
            if known.as_ref().is_some_and(alike) {
                continue;
            }
            leadership.ensure()?;
            note(give(client, &owner, (namespace, name), subjects, known.is_some()).await)?;
        }
    }
    failed
}

async fn take_back(client: &Client, (namespace, name): &(String, String), binding: &RoleBinding) -> Result<()> {
    let only_this = DeleteParams { preconditions: Some(kube::api::Preconditions { uid: binding.uid(), resource_version: None }), ..DeleteParams::default() };
    match Api::<RoleBinding>::namespaced(client.clone(), namespace).delete(name, &only_this).await {
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
        result => result.map(drop).context(|| format!("take role binding {name} in {namespace} back")),
    }
}

/// Binds a role to these subjects, if the binding is ours or nobody's.
async fn give(client: &Client, owner: &str, (namespace, name): (&str, &str), subjects: &[Value], is_ours: bool) -> Result<()> {
    let document = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name, "labels": {DISTRICT_LABEL: owner, ROLE_LABEL: ACCESS_ROLE}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}, "subjects": subjects});
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    if !is_ours && bindings.get_opt(name).await.context(|| format!("read role binding {name} in {namespace}"))?.is_some() {
        return Err(Error::invalid(
            Reason::NotOurs,
            format!("role binding {name} in {namespace} is there without label {DISTRICT_LABEL}={owner}: delete it, or label it to hand it over"),
        ));
    }
    match bindings.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await {
        // The namespace was deleted meanwhile.
        Err(error) if is_not_found(&error) => Ok(()),
        result => result.map(drop).context(|| format!("bind role {name} in {namespace}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Request, Response};
    use kube::client::Body;
    use std::convert::Infallible;

    #[tokio::test]
    async fn fault_e30_a_role_that_was_taken_away_goes_whatever_stands_in_the_way_of_another() {
        let binding = |namespace: &str, name: &str, labels: Value| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace, "uid": name, "labels": labels},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}, "subjects": []})
        };
        let ours = json!({DISTRICT_LABEL: "shinan"});
        // In the first namespace somebody's binding has the name of one of ours; eng was an Engineer in both, and is none any more.
        let labelled = [binding("shinan-aaa", "p861-site-role-engineer", ours.clone()), binding("shinan-portal", "p861-site-role-engineer", ours)];
        let strange = binding("shinan-aaa", "p861-site-role-approver", json!({}));
        let done: std::sync::Arc<parking_lot::Mutex<Vec<String>>> = std::sync::Arc::default();
        let noted = done.clone();
        let server = move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let (code, body) = match request.method() {
                &Method::GET if path.ends_with("/rolebindings") => {
                    (200, json!({"kind": "RoleBindingList", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {}, "items": labelled}))
                }
                &Method::GET if path.contains("/shinan-aaa/") => (200, strange.clone()),
                &Method::GET => {
                    (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not here"}))
                }
                method => {
                    noted.lock().push(format!("{method} {}", path.trim_start_matches("/apis/rbac.authorization.k8s.io/v1/namespaces/")));
                    (200, strange.clone())
                }
            };
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).expect("an answer")))
        };
        let client = Client::new(tower::service_fn(server), "default");
        let district: District = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
            "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [], "roleBindings": [{"role": "Approver", "users": ["li"]}]}}))
        .expect("a district");
        let namespaces = ["shinan-aaa", "shinan-portal"].map(str::to_owned).into();
        let result = bind(&Leadership::without_lease(), &client, &district, &people(&district), "p861-site-role", &namespaces).await;
        assert_eq!(result.expect_err("something is in the way").reason(), Reason::NotOurs);
        assert_eq!(
            *done.lock(),
            [
                "DELETE shinan-aaa/rolebindings/p861-site-role-engineer",
                "DELETE shinan-portal/rolebindings/p861-site-role-engineer",
                "PATCH shinan-portal/rolebindings/p861-site-role-approver"
            ]
        );
    }
}
