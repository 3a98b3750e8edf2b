//! Secrets on the hub. They are read when needed, never cached here and never logged.

use crate::{
    context::Hub,
    error::{Error, ErrorContext as _, Result},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use p861_crds::Reason;
use std::collections::BTreeMap;

/// The values of a Secret by key, without trailing line ends (editors add them); None if it doesn't exist. Values that are not UTF-8 are left out.
///
/// # Errors
/// If the API server can't be read.
pub async fn texts(client: &Client, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, String>>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(name).await.context(|| format!("read Secret {namespace}/{name}"))?;
    Ok(secret.map(|secret| {
        let data = secret.data.unwrap_or_default().into_iter();
        data.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.trim_end_matches(['\r', '\n']).to_owned()))).collect()
    }))
}

/// The values of a Secret that must exist. `keys` names its keys for the error message.
///
/// # Errors
/// If it doesn't exist, with a message that says which keys it needs.
pub async fn required(client: &Client, namespace: &str, name: &str, keys: &str) -> Result<BTreeMap<String, String>> {
    let missing = || Error::invalid(Reason::SecretMissing, format!("Secret {name} doesn't exist in namespace {namespace}: create it with the keys {keys}"));
    texts(client, namespace, name).await?.ok_or_else(missing)
}

/// The values of a Secret under these keys, in their order.
///
/// # Errors
/// If the Secret or a key is missing; the message has names only, never values.
pub async fn read(hub: &Hub, namespace: &str, name: &str, keys: &[&str]) -> Result<Vec<String>> {
    let mut found = required(&hub.client, namespace, name, &keys.join(", ")).await?;
    let missing = |key: &str| Error::invalid(Reason::SecretMissing, format!("Secret {namespace}/{name} has no text under the key {key}"));
    keys.iter().map(|key| found.remove(*key).ok_or_else(|| missing(key))).collect()
}

/// 32 random bytes from the operating system as 64 hexadecimal digits, for keys and tokens.
///
/// # Errors
/// If the operating system has no random numbers.
pub fn random_hex() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(hex::encode(bytes))
}
