//! Names of objects, without the objects: what a mistyped name was perhaps meant to be, and what a shell completes.

use super::{Hub, connect::connect_quietly, explain, read::texts};
use crate::{args::Global, completing::Place, error::Result, run::Outline, text};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};
use p861_core::names::journal;
use p861_crds::{Backup, District, Drill, Restore};
use std::cmp::Reverse;

/// More names than these help nobody who types.
const MOST_NAMES: u32 = 500;

/// The names of a kind's objects, of a namespace or cluster-scoped: the newest first.
///
/// # Errors
/// If the API server does not list them.
async fn names(client: Client, resource: &ApiResource, namespace: Option<&str>) -> std::result::Result<Vec<String>, kube::Error> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    };
    let mut found = api.list_metadata(&ListParams::default().limit(MOST_NAMES)).await?.items;
    found.sort_by_key(|object| (Reverse(object.creation_timestamp().map(|time| time.0)), object.name_any()));
    Ok(found.iter().map(kube::ResourceExt::name_any).collect())
}

impl Hub {
    /// The names of a kind's objects. None if they can't be had: who may read an object may perhaps not list its like, and a suggestion is no reason to fail.
    pub(super) async fn known_names(&self, resource: &ApiResource, namespace: Option<&str>) -> Vec<String> {
        names(self.client.clone(), resource, namespace).await.unwrap_or_default()
    }
}

/// The names of a kind's objects, for a person who is typing a line with these options. Nothing is asked, and nothing is printed.
///
/// # Errors
/// If the hub can't be reached, or does not list them.
pub async fn names_quietly(typed: &Global, resource: &ApiResource, place: Place) -> Result<Vec<String>> {
    let (client, address, default_namespace) = connect_quietly(typed).await?;
    let failed = |error: kube::Error| explain::failure(&error, &address, &text::to_list(&resource.plural, None));
    let district = match (place, &typed.namespace, &typed.district) {
        (Place::Cluster, ..) => return names(client, resource, None).await.map_err(failed),
        (_, Some(namespace), _) => namespace.clone(),
        (_, None, Some(district)) => namespace_of(client.clone(), district).await,
        (_, None, None) => default_namespace,
    };
    let mut found = names(client.clone(), resource, Some(&district)).await.map_err(failed)?;
    if place == Place::DistrictAndCity {
        // Who may not read the city's still has the district's own.
        found.extend(names(client, resource, Some(&typed.operator_namespace)).await.unwrap_or_default());
    }
    Ok(found)
}

/// The ids of the steps of a run, for a person who is typing a line with these options.
///
/// # Errors
/// If the hub can't be reached, or does not show the run.
pub async fn steps_quietly(typed: &Global, noun: &str, name: &str) -> Result<Vec<String>> {
    let (client, address, default_namespace) = connect_quietly(typed).await?;
    let failed = |error: kube::Error| explain::failure(&error, &address, &text::to_read(noun, name));
    let namespace = match (&typed.namespace, &typed.district) {
        (Some(namespace), _) => namespace.clone(),
        (None, Some(district)) => namespace_of(client.clone(), district).await,
        (None, None) => default_namespace,
    };
    let resource = match noun {
        "backup" => ApiResource::erase::<Backup>(&()),
        "restore" => ApiResource::erase::<Restore>(&()),
        _ => ApiResource::erase::<Drill>(&()),
    };
    let run: DynamicObject = Api::namespaced_with(client.clone(), &namespace, &resource).get(name).await.map_err(failed)?;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let map = maps.get_opt(&journal(name, noun, &run.uid().unwrap_or_default())).await.map_err(failed)?;
    let outline = map.map(texts).and_then(|texts| texts.get("steps.json").or_else(|| texts.get("plan.json")).and_then(|text| Outline::parse(text)));
    let under_way = run.data.pointer("/status/currentSteps").and_then(serde_json::Value::as_array).into_iter().flatten();
    let under_way = under_way.filter_map(|step| step.get("id")?.as_str().map(ToOwned::to_owned));
    let known: Vec<String> = outline.unwrap_or_default().0.into_iter().map(|step| step.id).collect();
    Ok(if known.is_empty() { under_way.collect() } else { known })
}

/// The namespace of a district on the hub; that of its name if the District can't be read, which is where it is unless it says otherwise.
async fn namespace_of(client: Client, district: &str) -> String {
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<District>(&()));
    let stated = api.get(district).await.ok().and_then(|found| Some(found.data.pointer("/spec/namespace")?.as_str()?.to_owned()));
    stated.unwrap_or_else(|| district.to_owned())
}
