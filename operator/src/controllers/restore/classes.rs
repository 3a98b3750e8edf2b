//! The storage classes of the site that a restore goes to.

use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, ResourceExt};
use p861_core::{protection::restore, runs::AllottedSite};
use p861_crds::{ApplicationSpec, Reason, protection::restore::Mapping};
use p861_runs::{
    error::{Error, Result},
    sites::{Sites, list_all},
};

/// Refuses a mapping to a class that the site doesn't have. The site is asked only if there are mappings.
///
/// # Errors
/// `ClassMissing`; or that of the site.
pub async fn refuse_missing(sites: &Sites, site: &AllottedSite, spec: &ApplicationSpec, mappings: &[Mapping]) -> Result<()> {
    if mappings.is_empty() {
        return Ok(());
    }
    let client = sites.client(site).await?;
    let classes = list_all(&Api::<StorageClass>::all(client.clone()), || format!("the storage classes of {site}")).await?;
    let there: Vec<String> = classes.iter().map(ResourceExt::name_any).collect();
    restore::refuse_classes(site, spec, &there, mappings).map_err(|error| Error::invalid(Reason::ClassMissing, error.to_string()))
}
