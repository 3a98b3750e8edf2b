//! By which policy the snapshots of each application are thinned out.

use crate::{context::Context, hub_cache::ReadFrom};
use p861_core::protection::policy::holding::thinning;
use p861_crds::{Application, BackupPolicy, Retention};
use p861_runs::error::Result;
use std::collections::BTreeMap;

/// By application: the policy that holds for it, and the numbers that this states, if any.
pub type Policies = BTreeMap<String, (String, Option<Retention>)>;

/// The policies by which snapshots in a repository of a namespace are thinned out.
pub async fn policies(context: &Context, from: ReadFrom, namespace: &str, repository: &str) -> Result<Policies> {
    let applications: Vec<Application> = from.list(context, namespace).await?;
    let policies: Vec<BackupPolicy> = from.list(context, namespace).await?;
    Ok(thinning(&applications, &policies, repository))
}
