//! The operator's own account on a site.

use crate::error::{ErrorContext as _, Result};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, api::PostParams};
use p861_core::ids::SiteName;
use serde_json::{Value, json};

/// This client's own account, as the subject of a RoleBinding.
///
/// # Errors
/// If the site can't be reached.
pub async fn own_subject(client: &Client, site: &SiteName) -> Result<Value> {
    let review: SelfSubjectReview =
        Api::all(client.clone()).create(&PostParams::default(), &SelfSubjectReview::default()).await.context(|| format!("ask {site} who we are"))?;
    let who = review.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap_or_default();
    Ok(match who.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}),
        None => json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": who}),
    })
}
