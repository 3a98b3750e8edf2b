//! Cluster-scoped objects of an application, as a mover reads them: one by one, by their names.

use super::work::WorkError;
use crate::{error::Error, object_path::in_path};
use kube::{Api, Client, api::ApiResource, core::DynamicObject};
use p861_core::objects::{self, CLUSTER_VERSION, ClusterKind};
use p861_crds::{Reason, platform::application::ClusterResource};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Their folder beside those of the namespaces. No namespace can have that name.
pub const FOLDER: &str = "_cluster";

/// What to do where the site doesn't permit it.
pub const NOT_GRANTED: &str = "the site's administrator permits it with the chart's value site.clusterResources there (docs/SECURITY.md)";

/// How long after its start a mover waits for its rights: an API server learns of a binding with a delay.
const RIGHTS_PATIENCE: Duration = Duration::from_secs(10);
const RIGHTS_INTERVAL: Duration = Duration::from_millis(500);

/// Waits a moment for rights that were given at `since`; says no once they should have come.
pub async fn wait_for_rights(since: Instant) -> bool {
    let goes_on = since.elapsed() < RIGHTS_PATIENCE;
    if goes_on {
        tokio::time::sleep(RIGHTS_INTERVAL).await;
    }
    goes_on
}

/// A kind as kube addresses it.
pub fn resource(kind: &ClusterKind) -> ApiResource {
    ApiResource {
        group: kind.group.into(),
        version: CLUSTER_VERSION.into(),
        api_version: kind.api_version(),
        kind: kind.kind.into(),
        plural: kind.plural.into(),
    }
}

/// The names of each kind, both in order.
///
/// # Errors
/// If one of them is none that an Application may name.
pub fn by_kind(named: &[ClusterResource]) -> Result<Vec<(ApiResource, BTreeSet<String>)>, WorkError> {
    let mut kinds: BTreeMap<(&str, &str), (ApiResource, BTreeSet<String>)> = BTreeMap::new();
    for one in named {
        let kind = objects::permitted(one).map_err(|why| WorkError::stated(Reason::Invalid, why, true))?;
        kinds.entry((kind.group, kind.plural)).or_insert_with(|| (resource(kind), BTreeSet::new())).1.insert(one.name.clone());
    }
    Ok(kinds.into_values().collect())
}

/// Reads one; none if it doesn't exist. The right to it was given at `since`.
///
/// # Errors
/// If the API server can't be reached, or doesn't permit it.
pub async fn read(client: &Client, resource: &ApiResource, name: &str, since: Instant) -> Result<Option<Value>, WorkError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    let what = || format!("read {} {name}", resource.kind);
    let segment = in_path(name)?;
    loop {
        match api.get_opt(&segment).await {
            Ok(None) => return Ok(None),
            Ok(Some(object)) => {
                let object = serde_json::to_value(object).map_err(|error| Error::Internal(format!("{}: {error}", what())))?;
                return Ok(Some(object));
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                if !wait_for_rights(since).await {
                    let message = format!("{}: {}; {NOT_GRANTED}", what(), status.message);
                    return Err(WorkError::stated(Reason::ClusterResourcesNotGranted, message, true));
                }
            }
            Err(error) => return Err(Error::Kube { what: what(), source: Box::new(error) }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_b12_named_objects_are_read_once_each_kind_by_kind_and_nothing_else_is() {
        let named = |group: Option<&str>, kind: &str, name: &str| ClusterResource { group: group.map(str::to_owned), kind: kind.into(), name: name.into() };
        let rbac = Some("rbac.authorization.k8s.io");
        let all = [named(rbac, "ClusterRole", "b"), named(None, "PersistentVolume", "v"), named(rbac, "ClusterRole", "a"), named(rbac, "ClusterRole", "b")];
        let kinds = by_kind(&all).unwrap();
        let told: Vec<(&str, Vec<&str>)> =
            kinds.iter().map(|(resource, names)| (resource.plural.as_str(), names.iter().map(String::as_str).collect())).collect();
        assert_eq!(told, [("persistentvolumes", vec!["v"]), ("clusterroles", vec!["a", "b"])]);
        assert!(by_kind(&[named(None, "Namespace", "kube-system")]).is_err());
    }
}
