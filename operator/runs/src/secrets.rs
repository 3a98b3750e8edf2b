//! Secrets of a district's namespace on the hub: read when they are needed, and never kept or shown.

use crate::{
    context::Hub,
    error::{Error, Result, Tried as _},
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

/// The texts of a Secret under these keys. What is missing is said by name, never by value.
pub async fn read(hub: &Hub, namespace: &str, name: &str, keys: &[&str]) -> Result<Vec<String>> {
    let secrets: Api<Secret> = Api::namespaced(hub.client.clone(), namespace);
    let secret = secrets.get_opt(name).await.tried(|| format!("read Secret {namespace}/{name}"))?;
    let missing = |what: String| Error::invalid("SecretMissing", what);
    let secret = secret.ok_or_else(|| missing(format!("Secret {name} doesn't exist in namespace {namespace}: create it with the keys {}", keys.join(", "))))?;
    keys.iter().map(|key| value(&secret, key).ok_or_else(|| missing(format!("Secret {namespace}/{name} has no text under the key {key}")))).collect()
}

fn value(secret: &Secret, key: &str) -> Option<String> {
    secret.data.as_ref()?.get(key).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()).map(|text| text.trim_end_matches('\n').to_owned())
}
