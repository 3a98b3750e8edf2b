//! Temporary right to write a component's objects in its namespaces, for the duration of an installation.

use crate::{
    effects::account::own_subject,
    error::{Error, ErrorContext as _, Result, is_not_found},
};
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::RoleBinding};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use p861_core::ids::SiteName;
use p861_crds::names::{DISTRICT_LABEL, FIELD_MANAGER};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

/// ClusterRole that is bound for the duration of the step.
const INSTALLER_ROLE: &str = "p861-site-installer";
/// Attempts to see a new right, [`RIGHT_CHECK_INTERVAL`] apart: the authorizer learns of it with a delay.
const RIGHT_CHECK_ATTEMPTS: usize = 20;
const RIGHT_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Calls `act` with the right to write a component's objects in these namespaces, which are created if missing. The right is revoked however it ends. After a
/// crash, the end of the change or the next drift check revokes it.
pub async fn with_right<F: Future<Output = Result<()>>>(
    client: &Client,
    site: &SiteName,
    spaces: &BTreeSet<String>,
    district: &str,
    component: &str,
    act: impl Fn() -> F,
) -> Result<()> {
    make_room(client, site, spaces, district).await?;
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

/// Revokes leftover rights. Returns the namespaces that had one.
///
/// # Errors
/// If the site can't be reached.
pub async fn remove_leftover_rights(client: &Client, site: &SiteName, component: &str) -> Result<BTreeSet<String>> {
    let name = binding(component);
    let bindings: Api<RoleBinding> = Api::all(client.clone());
    let left =
        bindings.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await.context(|| format!("list what is bound as {name} on {site}"))?;
    let spaces: BTreeSet<String> = left.items.iter().filter_map(kube::ResourceExt::namespace).collect();
    remove_right(client, site, &spaces, &name).await?;
    Ok(spaces)
}

fn binding(component: &str) -> String {
    format!("p861-install-{component}")
}

/// Creates missing namespaces of the district.
async fn make_room(client: &Client, site: &SiteName, spaces: &BTreeSet<String>, district: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in spaces {
        if namespaces.get_opt(name).await.context(|| format!("read namespace {name} on {site}"))?.is_none() {
            let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {DISTRICT_LABEL: district}}});
            namespaces
                .patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document))
                .await
                .context(|| format!("make namespace {name} on {site}"))?;
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
