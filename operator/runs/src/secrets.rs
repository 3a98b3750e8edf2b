//! Secrets on the hub. They are read when needed, and reach no log, status, Event or message.
//!
//! Rule: an object names Secrets of its own namespace, and no others. So they are not read by namespace and name, but through [`SecretsOf`], which is made from
//! whoever names the Secret. It is the only code that reads a Secret of the hub; a test of the sources refuses others.

use crate::{
    cache::RunIdentity,
    error::{Error, ErrorContext as _, Result, is_conflict},
    leadership::Leadership,
};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Secret};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use p861_crds::{District, Reason};
use std::{collections::BTreeMap, fmt};

/// The Secrets that somebody may name: those of one namespace of the hub.
#[derive(Clone)]
pub struct SecretsOf {
    client: Client,
    namespace: String,
}

/// The texts of a Secret by key. Its debug output has the keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretTexts(BTreeMap<String, String>);

impl fmt::Debug for SecretTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl SecretTexts {
    /// The text under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Takes the text under a key out.
    pub fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// All of them, to be handed on. They are secrets.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl fmt::Debug for SecretsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretsOf({})", self.namespace)
    }
}

impl SecretsOf {
    /// Those that a namespaced object may name: of its own namespace.
    pub fn object<K: Resource<Scope = NamespaceResourceScope>>(hub: &Client, object: &K) -> Self {
        Self { client: hub.clone(), namespace: object.namespace().unwrap_or_default() }
    }

    /// Those that a run's actions may name: of the run's namespace, whatever its plan says.
    pub fn run(hub: &Client, run: &RunIdentity) -> Self {
        Self { client: hub.clone(), namespace: run.namespace.clone() }
    }

    /// Those that a district's objects may name.
    pub fn district(hub: &Client, district: &District) -> Self {
        Self { client: hub.clone(), namespace: district.hub_namespace().to_owned() }
    }

    /// Those of the operator itself, and of cluster-scoped objects: only the city's administrators write these.
    pub fn operator(hub: &Client, operator_namespace: &str) -> Self {
        Self { client: hub.clone(), namespace: operator_namespace.to_owned() }
    }

    /// Their namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The texts of a Secret, without trailing line ends (editors add them); none if it doesn't exist. Values that are not UTF-8 are left out.
    ///
    /// # Errors
    /// `Invalid` for a name that no Secret has; otherwise that of the API server.
    pub async fn find(&self, name: &str) -> Result<Option<SecretTexts>> {
        if !is_name(name) {
            let message = format!("a Secret of namespace {} is to be read, and {name:?} is no name of one", self.namespace);
            return Err(Error::invalid(Reason::Invalid, message));
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = secrets.get_opt(name).await.context(|| format!("read Secret {}/{name}", self.namespace))?;
        Ok(secret.map(|secret| {
            let data = secret.data.unwrap_or_default().into_iter();
            let texts = data.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.trim_end_matches(['\r', '\n']).to_owned())));
            SecretTexts(texts.collect())
        }))
    }

    /// The texts of a Secret that must exist. `keys` names its keys for the error message.
    ///
    /// # Errors
    /// `SecretMissing` if it doesn't exist, with a message that says which keys it needs; otherwise as [`SecretsOf::find`].
    pub async fn required(&self, name: &str, keys: &str) -> Result<SecretTexts> {
        let namespace = &self.namespace;
        let missing = || Error::invalid(Reason::SecretMissing, format!("Secret {name} doesn't exist in namespace {namespace}: create it with the keys {keys}"));
        self.find(name).await?.ok_or_else(missing)
    }

    /// The texts of a Secret under these keys, in their order.
    ///
    /// # Errors
    /// `SecretMissing` if the Secret or a key is missing; otherwise as [`SecretsOf::find`]. The message has names only.
    pub async fn texts(&self, name: &str, keys: &[&str]) -> Result<Vec<String>> {
        let mut found = self.required(name, &keys.join(", ")).await?;
        let missing = |key: &str| Error::invalid(Reason::SecretMissing, format!("Secret {}/{name} has no text under the key {key}", self.namespace));
        keys.iter().map(|key| found.take(key).ok_or_else(|| missing(key))).collect()
    }

    /// The texts of a Secret, which is made with a random text under `key` (64 hexadecimal digits) if it isn't there; and whether it was made.
    ///
    /// # Errors
    /// If this process doesn't lead, or the API server refuses; otherwise as [`SecretsOf::find`].
    pub async fn found_or_made(&self, leadership: &Leadership, name: &str, key: &str) -> Result<(SecretTexts, bool)> {
        if let Some(found) = self.find(name).await? {
            return Ok((found, false));
        }
        leadership.ensure()?;
        let made = BTreeMap::from([(key.to_owned(), random_hex()?)]);
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let secret = Secret { metadata, string_data: Some(made.clone()), ..Secret::default() };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok((SecretTexts(made), true)),
            // Another replica was first.
            Err(error) if is_conflict(&error) => self.required(name, key).await.map(|found| (found, false)),
            Err(error) => Err(error).context(|| format!("make Secret {}/{name}", self.namespace)),
        }
    }
}

/// Whether a Secret can have this name (a DNS subdomain). Another one, with a slash for example, could mean another object in the path of a request.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<u8>| byte.is_some_and(plain);
    name.len() <= 253 && name.bytes().all(|byte| plain(byte) || b"-.".contains(&byte)) && ends(name.bytes().next()) && ends(name.bytes().last())
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
