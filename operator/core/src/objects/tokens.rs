//! ServiceAccounts and their tokens: what people put there, apart from what the controllers of a cluster did.

use super::{metadata, name, text};
use serde_json::Value;

/// Type of a Secret that holds a token of a ServiceAccount.
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
/// Keys that the token controller fills in.
const TOKEN_KEYS: [&str; 3] = ["ca.crt", "namespace", "token"];
/// The characters of generated names. Source: k8s.io/apimachinery/pkg/util/rand.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";
/// How many of them a generated name ends with.
const GENERATED_CHARS: usize = 5;

/// Whether a Secret holds a token of a ServiceAccount.
pub fn is_token(secret: &Value) -> bool {
    text(secret, "/type") == TOKEN_TYPE
}

/// Whether the token controller has made it by itself, as it did for every ServiceAccount until Kubernetes 1.23, and named it after the ServiceAccount.
pub fn is_automatic(secret: &Value) -> bool {
    is_generated_for(text(secret, "/metadata/annotations/kubernetes.io~1service-account.name"), name(secret))
}

fn is_generated_for(account: &str, secret: &str) -> bool {
    let suffix = secret.strip_prefix(account).and_then(|rest| rest.strip_prefix("-token-"));
    !account.is_empty() && suffix.is_some_and(|suffix| suffix.len() == GENERATED_CHARS && suffix.chars().all(|c| GENERATED.contains(c)))
}

/// Takes out of a hand-made token what its cluster filled in: the token controller of another fills it in again. With the UID of another ServiceAccount it would
/// delete the Secret.
pub fn empty_token(secret: &mut Value) {
    if let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) {
        data.retain(|key, _| !TOKEN_KEYS.contains(&key.as_str()));
    }
    let Some(object) = secret.as_object_mut() else { return };
    if object.get("data").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
        object.remove("data");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for (map, keys) in [
        ("annotations", &["kubernetes.io/service-account.uid"][..]),
        ("labels", &["kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"][..]),
    ] {
        let Some(values) = metadata.get_mut(map).and_then(Value::as_object_mut) else { continue };
        values.retain(|key, _| !keys.contains(&key.as_str()));
        if values.is_empty() {
            metadata.remove(map);
        }
    }
}

/// Takes the automatic tokens out of a ServiceAccount's list of Secrets.
pub fn forget_automatic(account: &mut Value) {
    let named = name(account).to_owned();
    let Some(object) = account.as_object_mut() else { return };
    let Some(secrets) = object.get_mut("secrets").and_then(Value::as_array_mut) else { return };
    secrets.retain(|secret| !is_generated_for(&named, text(secret, "/name")));
    if secrets.is_empty() {
        object.remove("secrets");
    }
}

/// Whether a ServiceAccount is the one that every namespace gets, and nobody put anything into it. Called without the server's own fields.
pub fn is_untouched_default(account: &Value) -> bool {
    let nothing_but = |value: &serde_json::Map<String, Value>, keys: &[&str]| value.keys().all(|key| keys.contains(&key.as_str()));
    name(account) == "default"
        && account.as_object().is_some_and(|account| nothing_but(account, &["apiVersion", "kind", "metadata"]))
        && metadata(account).is_some_and(|metadata| nothing_but(metadata, &["name", "namespace"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fault_b3_an_automatic_token_is_told_from_one_that_a_person_made() {
        for (secret, automatic) in
            [("web-token-x7k2p", true), ("web-token-ab1de", false), ("web-token", false), ("web-token-x7k2pz", false), ("ci-token-x7k2p", false)]
        {
            let secret = json!({"type": TOKEN_TYPE, "metadata": {"name": secret, "annotations": {"kubernetes.io/service-account.name": "web"}}});
            assert_eq!(is_automatic(&secret), automatic, "{secret}");
        }
    }
}
