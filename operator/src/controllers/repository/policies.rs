//! By which policy the snapshots of each application are thinned out.

use crate::{context::Context, hub_cache::ReadFrom};
use p861_crds::Retention;
use p861_runs::error::Result;
use std::collections::BTreeMap;

/// By application: the policy that holds for it, and the numbers that this states, if any.
pub type Policies = BTreeMap<String, (String, Option<Retention>)>;

/// The policies of a namespace's applications.
pub async fn policies(_context: &Context, _from: ReadFrom, _namespace: &str) -> Result<Policies> {
    Ok(Policies::new())
}
