//! Bundles in a registry, addressed by the digest of their manifest, so that an approved bundle can't be replaced.

mod client;

use crate::{
    error::{Category, Error, Result},
    http_client::HttpError,
    secrets::SecretsOf,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use client::{Account, PullError, Registry};
use p861_core::{
    conditions::shorten,
    platform::bundle::{
        BundleError,
        image::{self, Layer, MOST_LAYERS, MOST_SENT},
        registry::{self, ImageName, account_host},
    },
};
use p861_crds::{Reason, platform::platform::OciBundle};
use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// Time limit for pulling an image, and for each request; manifests are small.
const PULL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an unreachable registry is not asked again, so that waiting for it doesn't block others.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Bundles of one district that are kept in memory.
const MAX_CACHED_BUNDLES: usize = 16;
/// Error for a blob whose content does not match the digest it was requested by.
const DIGEST_MISMATCH: &str = "it is damaged in the registry: what it sends has another digest";
/// A manifest is at most so large: one of [`MOST_LAYERS`] layers has a tenth of it.
const MAX_MANIFEST_BYTES: usize = 256 << 10;

/// The manifests of a bundle, by file.
type Files = BTreeMap<String, String>;

/// Namespace and bundle: a bundle that one district's credentials can read must not be served to another.
type Key = (String, OciBundle);

/// Time, reason and message of a failed pull.
type Away = (Instant, Reason, String);

/// Cache of bundles. Content addressed by digest never changes, so waiting changes need not ask the registry again.
#[derive(Clone, Default)]
pub struct BundleCache {
    kept: Arc<Mutex<HashMap<Key, Arc<Files>>>>,
    away: Arc<Mutex<HashMap<Key, Away>>>,
}

impl BundleCache {
    /// The manifests of an image. `secrets` are those that the bundle may name.
    ///
    /// # Errors
    /// If the registry can't be read, or the bundle isn't one.
    pub async fn files(&self, secrets: &SecretsOf, bundle: &OciBundle) -> Result<Files> {
        let key = (secrets.namespace().to_owned(), bundle.clone());
        let known = self.kept.lock().get(&key).cloned();
        if let Some(files) = known {
            return Ok(files.as_ref().clone());
        }
        let away = self.away.lock().get(&key).cloned();
        if let Some((_, reason, message)) = away.filter(|(at, ..)| at.elapsed() < RETRY_AFTER) {
            return Err(Error::transient(reason, message));
        }
        match read(secrets, bundle).await {
            Ok(files) => {
                remember(&self.kept, key, Arc::new(files.clone()));
                Ok(files)
            }
            Err(error) => {
                if error.category() == Category::Transient {
                    remember(&self.away, key, (Instant::now(), error.reason(), error.to_string()));
                }
                Err(error)
            }
        }
    }
}

/// Adds an entry. If its district has too many, those go first: another district's stay.
fn remember<T>(kept: &Mutex<HashMap<Key, T>>, key: Key, value: T) {
    let mut kept = kept.lock();
    if kept.keys().filter(|(namespace, _)| *namespace == key.0).count() >= MAX_CACHED_BUNDLES {
        kept.retain(|(namespace, _), _| *namespace != key.0);
    }
    kept.insert(key, value);
}

async fn read(secrets: &SecretsOf, bundle: &OciBundle) -> Result<Files> {
    let named = format!("{}@{}", bundle.image, bundle.digest);
    let image = ImageName::parse(&bundle.image)
        .map_err(|what| Error::invalid(Reason::BundleRefused, format!("bundle {named}: {what}: write registry/path, without tag")))?;
    let account = identity(secrets, bundle, &image.registry).await?;
    let ca = match &bundle.ca_secret_ref {
        Some(secret) => Some(secrets.texts(&secret.name, &["ca.crt"]).await?.remove(0)),
        None => None,
    };
    let mut registry = Registry::new(image, account, ca.as_deref(), PULL_TIMEOUT)
        .map_err(|what| Error::invalid(Reason::EndpointInvalid, format!("bundle {named}: the ca.crt of its caSecretRef {what}")))?;
    let layers = tokio::time::timeout(PULL_TIMEOUT, layers(&mut registry, &named, &bundle.digest)).await;
    let late = || Err(Error::transient(Reason::RegistryUnreachable, format!("bundle {named}: its registry did not send it within {PULL_TIMEOUT:?}")));
    let layers = layers.unwrap_or_else(|_| late())?;
    image::files(&layers).map_err(|error| refused(&named, &error))
}

/// Content of a Secret of type kubernetes.io/dockerconfigjson.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
}

impl DockerAuth {
    fn account(&self) -> Option<Account> {
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Some(Account { user: user.clone(), password: password.clone() });
        }
        let text = String::from_utf8(BASE64_STANDARD.decode(self.auth.as_ref()?).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Account { user: user.to_owned(), password: password.to_owned() })
    }
}

async fn identity(secrets: &SecretsOf, bundle: &OciBundle, registry: &str) -> Result<Option<Account>> {
    let Some(secret) = &bundle.pull_secret_ref else { return Ok(None) };
    let text = secrets.texts(&secret.name, &[".dockerconfigjson"]).await?.remove(0);
    who(&text, registry).map(Some).ok_or_else(|| {
        let make = format!("kubectl create secret docker-registry {} --docker-server={registry} …", secret.name);
        Error::invalid(Reason::SecretMissing, format!("Secret {}/{} says nothing of registry {registry}: {make}", secrets.namespace(), secret.name))
    })
}

fn who(text: &str, registry: &str) -> Option<Account> {
    let config: DockerConfig = serde_json::from_str(text).ok()?;
    config.auths.iter().find(|(key, _)| account_host(key) == account_host(registry))?.1.account()
}

async fn layers(registry: &mut Registry, named: &str, digest: &str) -> Result<Vec<Layer>> {
    let manifest = registry.manifest(digest, MAX_MANIFEST_BYTES).await.map_err(|error| failed(named, &error))?;
    if is_other(&manifest, digest) {
        return Err(refused(named, &DIGEST_MISMATCH));
    }
    let described = registry::layers(&manifest).map_err(|what| refused(named, &what))?;
    let sent = described.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.bytes));
    if described.len() > MOST_LAYERS || sent > MOST_SENT as u64 {
        let message = format!("it has {} layers of {sent} bytes, and an image of manifests has at most {MOST_LAYERS} of {MOST_SENT}", described.len());
        return Err(refused(named, &message));
    }
    let (mut layers, mut room) = (Vec::new(), MOST_SENT);
    for layer in described {
        // The size in the manifest is not trusted.
        let bytes = match registry.blob(&layer.digest, room).await {
            Err(PullError::Http(HttpError::TooLong(limit))) => return Err(refused(named, &BundleError::TooLarge(MOST_SENT - room + limit))),
            bytes => bytes.map_err(|error| failed(named, &error))?,
        };
        if is_other(&bytes, &layer.digest) {
            return Err(refused(named, &DIGEST_MISMATCH));
        }
        room -= bytes.len();
        layers.push(Layer { media_type: layer.media_type, title: layer.title, bytes });
    }
    Ok(layers)
}

/// Whether bytes have another digest than this.
fn is_other(bytes: &[u8], digest: &str) -> bool {
    digest != format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn refused(named: &str, why: &dyn std::fmt::Display) -> Error {
    Error::invalid(Reason::BundleRefused, format!("bundle {named}: {why}"))
}

/// Converts an error of a registry. Its own words are left out: the district's people read this, and a URL may contain a signature.
fn failed(named: &str, error: &PullError) -> Error {
    let (reason, category, what) = match error {
        PullError::Denied => (Reason::CredentialsRefused, Category::Invalid, "the registry refuses: see bundle.oci.pullSecretRef".to_owned()),
        PullError::Missing => (Reason::BundleMissing, Category::Invalid, "the registry has no such image".to_owned()),
        PullError::Redirect(what) => (Reason::BundleRefused, Category::Invalid, format!("the registry redirects {what}")),
        PullError::Unreadable(what) => (Reason::RegistryUnreachable, Category::Transient, format!("the registry's answer {what}")),
        PullError::Answers(status) => (Reason::RegistryUnreachable, Category::Transient, format!("the registry answers {}", status.as_u16())),
        PullError::Http(error @ HttpError::NotAllowed(_)) => (Reason::EgressRefused, Category::Invalid, format!("the registry {error}")),
        PullError::Http(error @ HttpError::TooLong(_)) => (Reason::BundleRefused, Category::Invalid, format!("the registry {error}")),
        PullError::Http(error) => (Reason::RegistryUnreachable, Category::Transient, format!("the registry {error}")),
    };
    Error::Stated { reason, message: format!("bundle {named}: {}", shorten(&what, 256)), category }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_e34_a_district_with_many_bundles_drives_out_its_own_only() {
        let kept: Mutex<HashMap<Key, u8>> = Mutex::default();
        let key = |district: &str, number: usize| {
            let bundle = OciBundle { image: format!("registry.example/{number}"), digest: "sha256:1".into(), pull_secret_ref: None, ca_secret_ref: None };
            (district.to_owned(), bundle)
        };
        remember(&kept, key("licang", 0), 0);
        (0..200).for_each(|number| remember(&kept, key("shinan", number), 0));
        let kept = kept.lock();
        assert!(kept.contains_key(&key("licang", 0)) && kept.contains_key(&key("shinan", 199)));
        assert!(kept.len() <= MAX_CACHED_BUNDLES + 1);
    }

    #[test]
    fn a_docker_config_names_who_asks_by_registry_in_either_form() {
        let auth = BASE64_STANDARD.encode("robot:secret:with:colons");
        let hub = r#""https://index.docker.io/v1/": {"username": "h", "password": "q"}"#;
        let text =
            format!(r#"{{"auths": {{"https://one.example/v1/": {{"auth": "{auth}"}}, "two.example:5000": {{"username": "u", "password": "p"}}, {hub}}}}}"#);
        let basic = |registry: &str| who(&text, registry).map(|account| (account.user, account.password));
        assert_eq!(basic("one.example"), Some(("robot".into(), "secret:with:colons".into())));
        assert_eq!(basic("two.example:5000"), Some(("u".into(), "p".into())));
        assert_eq!(basic("two.example"), None);
        let of_hub = ImageName::parse("district/ingress").expect("an image");
        assert_eq!(basic(&of_hub.registry), Some(("h".into(), "q".into())));
        assert!(who("{}", "one.example").is_none() && who("no JSON", "one.example").is_none());
    }
}
