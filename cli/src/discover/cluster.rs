//! Reads what an application may need of the whole cluster. Whoever may not read some of it still gets a proposal of the rest, and is told.

use super::Found;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::{core::v1::Pod, rbac::v1::RoleBinding};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, GroupVersionKind, ListParams},
    core::DynamicObject,
};
use p861_core::objects::{CLUSTER_KINDS, CLUSTER_VERSION, ClusterKind, Survey, needed};
use p861_crds::platform::application::ClusterResource;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Lists that are made at the same time.
const PARALLEL_LISTS: usize = 8;

/// Cluster-scoped objects that the namespace's application needs.
#[derive(Clone, Debug, Default)]
pub struct OfCluster {
    /// Those that are proposed.
    pub proposed: Vec<ClusterResource>,
    /// What could not be read, by plural.
    pub unread: Vec<String>,
}

/// Looks at the cluster. `found` is what was found in the namespace.
pub async fn look(client: &Client, namespace: &str, found: &Found) -> kube::Result<OfCluster> {
    let mut unread = Vec::new();
    let mut survey = Survey {
        pod_specs: found.workloads.iter().filter_map(|workload| serde_json::to_value(workload.template.spec.as_ref()?).ok()).collect(),
        ..Survey::default()
    };
    let every = ListParams::default();
    if let Some(pods) = readable(Api::<Pod>::namespaced(client.clone(), namespace).list(&every).await, "pods", &mut unread)? {
        survey.pod_specs.extend(pods.items.into_iter().filter_map(|pod| serde_json::to_value(pod.spec?).ok()));
    }
    let bindings = Api::<RoleBinding>::namespaced(client.clone(), namespace).list(&every).await;
    if let Some(bindings) = readable(bindings, "rolebindings", &mut unread)? {
        survey.role_bindings.extend(bindings.items.into_iter().filter_map(|binding| serde_json::to_value(binding).ok()));
    }
    for kind in CLUSTER_KINDS.iter().filter(|kind| !is_found_by_people(kind)) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
        // Definitions are long, and their names are enough.
        let objects: Option<Vec<Value>> = if kind.goes_into_a_copy() {
            readable(api.list_metadata(&every).await, kind.plural, &mut unread)?
                .map(|list| list.items.into_iter().map(|object| json!({"metadata": {"name": object.name_any()}})).collect())
        } else {
            readable(api.list(&every).await, kind.plural, &mut unread)?
                .map(|list| list.items.into_iter().filter_map(|object| serde_json::to_value(object).ok()).collect())
        };
        survey.cluster.extend(objects.into_iter().flatten().map(|object| of_kind(object, kind)));
    }
    let definitions: BTreeSet<String> = survey
        .cluster
        .iter()
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    survey.used_definitions = used(client, namespace, &definitions).await?;
    Ok(OfCluster { proposed: needed(&[namespace.to_owned()], &survey), unread })
}

/// Nothing in a namespace says that these belong to it alone.
fn is_found_by_people(kind: &ClusterKind) -> bool {
    matches!(kind.kind, "PersistentVolume" | "StorageClass")
}

fn resource(kind: &ClusterKind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(kind.group, CLUSTER_VERSION, kind.kind), kind.plural)
}

/// The items of a list don't say their kind.
fn of_kind(mut object: Value, kind: &ClusterKind) -> Value {
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    object
}

/// What was read; none if it may not be, or isn't served, which is noted.
fn readable<T>(answer: kube::Result<T>, what: &str, unread: &mut Vec<String>) -> kube::Result<Option<T>> {
    match answer {
        Ok(read) => Ok(Some(read)),
        Err(kube::Error::Api(status)) if matches!(status.code, 403..=405) => {
            unread.push(what.to_owned());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Which of the definitions have objects in the namespace.
async fn used(client: &Client, namespace: &str, definitions: &BTreeSet<String>) -> kube::Result<BTreeSet<String>> {
    let groups = client.list_api_groups_aggregated().await?;
    let mut kinds: Vec<(String, ApiResource)> = Vec::new();
    for group in &groups.items {
        let name = group.metadata.as_ref().and_then(|metadata| metadata.name.clone()).unwrap_or_default();
        for version in &group.versions {
            for served in version.resources.iter().filter(|served| served.scope.as_deref() == Some("Namespaced")) {
                let (Some(plural), Some(kind)) = (&served.resource, served.response_kind.as_ref().and_then(|kind| kind.kind.clone())) else { continue };
                let definition = format!("{plural}.{name}");
                if definitions.contains(&definition) && !kinds.iter().any(|(known, _)| *known == definition) {
                    let gvk = GroupVersionKind::gvk(&name, version.version.as_deref().unwrap_or_default(), &kind);
                    kinds.push((definition, ApiResource::from_gvk_with_plural(&gvk, plural)));
                }
            }
        }
    }
    let one = ListParams::default().limit(1);
    let looks = kinds.into_iter().map(|(definition, resource)| {
        let (api, one): (Api<DynamicObject>, _) = (Api::namespaced_with(client.clone(), namespace, &resource), &one);
        // One that can't be listed is not known to be used.
        async move { api.list_metadata(one).await.is_ok_and(|list| !list.items.is_empty()).then_some(definition) }
    });
    Ok(stream::iter(looks).buffer_unordered(PARALLEL_LISTS).filter_map(|used| async move { used }).collect().await)
}
