//! Temporary right to write a component's objects in its namespaces, for the duration of an installation.

use crate::{
    effects::account::own_subject,
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
};
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::RoleBinding};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use p861_core::{
    ids::SiteName,
    platform::{district::is_allotted, pod_security::ENFORCE},
};
use p861_crds::{District, Reason, names::FIELD_MANAGER};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// ClusterRole that is bound for the duration of the step.
const INSTALLER_ROLE: &str = "p861-site-installer";
/// Attempts to see a new right, [`RIGHT_CHECK_INTERVAL`] apart: the authorizer learns of it with a delay.
const RIGHT_CHECK_ATTEMPTS: usize = 20;
const RIGHT_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Calls `act` with the right to write a component's objects in these namespaces, which are created with these labels if missing. The right is revoked however it
/// ends. After a crash, the end of the change or the next drift check revokes it.
pub async fn with_right<F: Future<Output = Result<()>>>(
    client: &Client,
    site: &SiteName,
    spaces: &BTreeSet<String>,
    labels: &BTreeMap<&'static str, String>,
    component: &str,
    act: impl Fn() -> F,
) -> Result<()> {
    make_room(client, site, spaces, labels).await?;
    let binding = binding(component);
    let mut result = give_right(client, site, spaces, &binding).await;
    if result.is_ok() {
        for _ in 0..RIGHT_CHECK_ATTEMPTS {
            result = act().await;
            let unknown_yet = matches!(&result, Err(Error::Kube { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 403));
            if !unknown_yet {
                break;
            }
            tokio::time::sleep(RIGHT_CHECK_INTERVAL).await;
        }
    }
    remove_right(client, site, spaces, &binding).await?;
    result
}

/// Revokes leftover rights over the district's namespaces. Those over others' are of a component of that name of another district, which may be at work. Returns the
/// namespaces that had one.
///
/// # Errors
/// If the site can't be reached.
pub async fn remove_leftover_rights(client: &Client, site: &SiteName, component: &str, district: &District) -> Result<BTreeSet<String>> {
    let name = binding(component);
    let bindings: Api<RoleBinding> = Api::all(client.clone());
    let left =
        bindings.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await.context(|| format!("list what is bound as {name} on {site}"))?;
    let spaces: BTreeSet<String> = left.items.iter().filter_map(kube::ResourceExt::namespace).filter(|space| is_allotted(district, space)).collect();
    remove_right(client, site, &spaces, &name).await?;
    Ok(spaces)
}

fn binding(component: &str) -> String {
    format!("p861-install-{component}")
}

/// Creates missing namespaces of the district. One that is there and enforces nothing on its pods does so from now on: a component's manifests are the district's
/// own word, and write pods with the operator's rights.
async fn make_room(client: &Client, site: &SiteName, spaces: &BTreeSet<String>, labels: &BTreeMap<&'static str, String>) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in spaces {
        let Some(existing) = namespaces.get_opt(name).await.context(|| format!("read namespace {name} on {site}"))? else {
            let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            namespaces
                .patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document))
                .await
                .context(|| format!("make namespace {name} on {site}"))?;
            continue;
        };
        if existing.labels().contains_key(ENFORCE) {
            continue;
        }
        // As it was read: whoever labels it meanwhile has the say.
        let labelled = json!({"metadata": {"resourceVersion": existing.resource_version(), "labels": {ENFORCE: labels.get(ENFORCE)}}});
        match namespaces.patch(name, &PatchParams::default(), &Patch::Merge(labelled)).await {
            Err(error) if is_conflict(&error) => {
                let message = format!("namespace {name} on {site} was changed by somebody else at the same time: it is read again");
                return Err(Error::transient(Reason::Conflict, message));
            }
            result => drop(result.context(|| format!("label namespace {name} on {site}"))?),
        }
    }
    Ok(())
}

/// Binds the role to this client's own account.
async fn give_right(client: &Client, site: &SiteName, spaces: &BTreeSet<String>, binding: &str) -> Result<()> {
    let subject = own_subject(client, site).await?;
    for space in spaces {
        let document = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": binding},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": INSTALLER_ROLE}, "subjects": [subject],
        });
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), space);
        bindings
            .patch(binding, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document))
            .await
            .context(|| format!("bind {INSTALLER_ROLE} in {space} on {site}"))?;
    }
    Ok(())
}

async fn remove_right(client: &Client, site: &SiteName, spaces: &BTreeSet<String>, binding: &str) -> Result<()> {
    for space in spaces {
        match Api::<RoleBinding>::namespaced(client.clone(), space).delete(binding, &DeleteParams::default()).await {
            Err(error) if !is_not_found(&error) => return Err(error).context(|| format!("unbind {INSTALLER_ROLE} in {space} on {site}")),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Request, Response};
    use kube::client::Body;
    use parking_lot::Mutex;
    use std::{convert::Infallible, sync::Arc};

    #[tokio::test]
    async fn fault_e33_the_right_of_another_districts_component_of_the_same_name_is_not_taken_away() {
        let bound = |space: &str| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "p861-install-proxy", "namespace": space},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": INSTALLER_ROLE}})
        };
        let list = json!({"kind": "RoleBindingList", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {}, "items": [bound("shinan-proxy"), bound("licang-proxy")]});
        let removed: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = removed.clone();
        let server = move |request: Request<Body>| {
            let answer = if request.method() == Method::DELETE {
                noted.lock().push(request.uri().path().to_owned());
                json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})
            } else {
                list.clone()
            };
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes()))))
        };
        let client = Client::new(tower::service_fn(server), "default");
        let district: District = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
            "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": []}}))
        .unwrap();
        let spaces = remove_leftover_rights(&client, &"home".into(), "proxy", &district).await.unwrap();
        assert_eq!(spaces.into_iter().collect::<Vec<_>>(), ["shinan-proxy"]);
        assert_eq!(*removed.lock(), ["/apis/rbac.authorization.k8s.io/v1/namespaces/shinan-proxy/rolebindings/p861-install-proxy"]);
    }
}
