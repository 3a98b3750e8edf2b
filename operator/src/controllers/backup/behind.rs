//! What stands behind the claims of a backup on their site, as far as snapshots depend on it.

use super::super::{
    all,
    platform::inventory::{resource, served},
};
use crate::context::Context;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{core::v1::PersistentVolume, storage::v1::StorageClass};
use kube::{Api, Client, ResourceExt as _};
use p861_core::{
    ids::SiteName,
    protection::{
        backup::{Claim, rule_of},
        readable::ClaimState,
        volumes::{ClaimVolume, DEFAULT_CLASS_ANNOTATION, SavedBy, SnapshotClass},
    },
    runs::ClaimSnapshot,
};
use p861_crds::{ApplicationSpec, Platform, platform::application::VolumeMethod};
use p861_runs::{
    error::{ErrorContext as _, Result},
    sites::list_all,
};
use std::collections::BTreeMap;

/// PersistentVolumes that are read at once.
const MAX_PARALLEL_READS: usize = 16;

/// The volumes behind the claims, and the VolumeSnapshotClasses of the site. A claim's volume is read only if a snapshot of it may be taken, or is asked for.
///
/// # Errors
/// If the site or the hub can't be read.
pub async fn behind_claims(
    context: &Context,
    district: &str,
    (client, site): (&Client, &SiteName),
    spec: &ApplicationSpec,
    states: &[&ClaimState],
) -> Result<(Vec<ClaimVolume>, Vec<SnapshotClass>)> {
    let classes = snapshot_classes(client).await?;
    let asked = |state: &ClaimState| rule_of(spec, &state.claim.name) == Some(VolumeMethod::Snapshot);
    if classes.is_empty() && !states.iter().any(|state| asked(state)) {
        let nothing = |state: &&ClaimState| ClaimVolume {
            claim: state.claim.clone(),
            storage_class: state.storage_class.clone(),
            provisioner: None,
            driver: None,
            declared: None,
        };
        return Ok((states.iter().map(nothing).collect(), classes));
    }
    let storage = list_all(&Api::<StorageClass>::all(client.clone()), || format!("the storage classes of {site}")).await?;
    let provisioners: BTreeMap<String, String> = storage.into_iter().map(|class| (class.name_any(), class.provisioner)).collect();
    let platforms: Vec<Platform> = all(&context.hub.client, district).await?;
    let volume = |state: &ClaimState| {
        let provisioner = state.storage_class.as_ref().and_then(|class| provisioners.get(class)).cloned();
        let declared = state.storage_class.as_deref().and_then(|class| declared(&platforms, site, class));
        let snapshots = declared.is_some() || classes.iter().any(|class| Some(&class.driver) == provisioner.as_ref());
        let read = state.volume.clone().filter(|_| snapshots || asked(state));
        (read, ClaimVolume { claim: state.claim.clone(), storage_class: state.storage_class.clone(), driver: provisioner.clone(), provisioner, declared })
    };
    let volumes: Vec<(Option<String>, ClaimVolume)> = states.iter().map(|state| volume(state)).collect();
    let volumes: Vec<_> = volumes.into_iter().map(|(read, volume)| with_driver(client, site, read, volume)).collect();
    Ok((stream::iter(volumes).buffered(MAX_PARALLEL_READS).try_collect().await?, classes))
}

/// The volume itself says whose it is: one that somebody made by hand may have the name of any class.
async fn with_driver(client: &Client, site: &SiteName, read: Option<String>, volume: ClaimVolume) -> Result<ClaimVolume> {
    let Some(name) = read else { return Ok(volume) };
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let found = volumes.get_opt(&name).await.context(|| format!("read PersistentVolume {name} on {site}"))?;
    let driver = found.and_then(|found| Some(found.spec?.csi?.driver));
    Ok(ClaimVolume { driver, ..volume })
}

async fn snapshot_classes(client: &Client) -> Result<Vec<SnapshotClass>> {
    let found = served(client, &resource("snapshot.storage.k8s.io", "v1", "VolumeSnapshotClass", "volumesnapshotclasses")).await?;
    let class = |object: kube::core::DynamicObject| SnapshotClass {
        driver: object.data.get("driver").and_then(|driver| driver.as_str()).unwrap_or_default().to_owned(),
        is_default: object.annotations().get(DEFAULT_CLASS_ANNOTATION).is_some_and(|value| value == "true"),
        name: object.name_any(),
    };
    Ok(found.unwrap_or_default().into_iter().map(class).collect())
}

/// The VolumeSnapshotClass that the district's Platform declares for a StorageClass of a site.
fn declared(platforms: &[Platform], site: &SiteName, class: &str) -> Option<String> {
    let mut places = platforms.iter().flat_map(|platform| &platform.spec.storage.classes).flat_map(|class| &class.sites);
    let place = places.find(|place| place.site_ref.name == site.as_str() && place.storage_class_name == class && place.volume_snapshot_class_name.is_some());
    place.and_then(|place| place.volume_snapshot_class_name.clone())
}

/// The snapshots that the backup takes.
pub fn snapshots_of(saved: &BTreeMap<Claim, SavedBy>, states: &[&ClaimState]) -> Vec<ClaimSnapshot> {
    let snapshot = |(claim, by): (&Claim, &SavedBy)| {
        let SavedBy::Snapshot { class } = by else { return None };
        let state = states.iter().find(|state| state.claim == *claim)?;
        Some(ClaimSnapshot {
            namespace: claim.namespace.clone(),
            claim: claim.name.clone(),
            class: class.clone(),
            storage_class: state.storage_class.clone()?,
            bytes: state.bytes,
        })
    };
    saved.iter().filter_map(snapshot).collect()
}
