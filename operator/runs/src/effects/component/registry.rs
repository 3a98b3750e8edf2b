//! Bundles in a registry, addressed by the digest of their manifest, so that an approved bundle can't be replaced.

use crate::{
    context::RunContext,
    error::{Category, Error, Result},
    secrets,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::StreamExt as _;
use oci_client::{
    Client, Reference,
    client::{Certificate, CertificateEncoding, ClientConfig},
    errors::{DigestError, OciDistributionError, OciErrorCode},
    manifest::{OciDescriptor, OciManifest},
    secrets::RegistryAuth,
};
use p861_core::{
    conditions::shorten,
    platform::bundle::{
        BundleError,
        image::{self, Layer, MOST_LAYERS, MOST_SENT},
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

/// Time limit for connecting to a registry.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for pulling an image; manifests are small.
const PULL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an unreachable registry is not asked again, so that waiting for it doesn't block others.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Bundles kept in memory.
const MAX_CACHED_BUNDLES: usize = 64;
/// Error for a blob whose content does not match the digest it was requested by.
const DIGEST_MISMATCH: &str = "it is damaged in the registry: what it sends has another digest";
/// Annotation with a layer's file name.
const TITLE_ANNOTATION: &str = "org.opencontainers.image.title";

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
    /// The manifests of an image.
    ///
    /// # Errors
    /// If the registry can't be read, or the bundle isn't one.
    pub async fn files(&self, context: &RunContext, namespace: &str, bundle: &OciBundle) -> Result<Files> {
        let key = (namespace.to_owned(), bundle.clone());
        let known = self.kept.lock().get(&key).cloned();
        if let Some(files) = known {
            return Ok(files.as_ref().clone());
        }
        let away = self.away.lock().get(&key).cloned();
        if let Some((_, reason, message)) = away.filter(|(at, ..)| at.elapsed() < RETRY_AFTER) {
            return Err(Error::transient(reason, message));
        }
        match read(context, namespace, bundle).await {
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

/// Adds an entry; a full map is cleared first.
fn remember<T>(kept: &Mutex<HashMap<Key, T>>, key: Key, value: T) {
    let mut kept = kept.lock();
    if kept.len() >= MAX_CACHED_BUNDLES {
        kept.clear();
    }
    kept.insert(key, value);
}

async fn read(context: &RunContext, namespace: &str, bundle: &OciBundle) -> Result<Files> {
    let named = format!("{}@{}", bundle.image, bundle.digest);
    let image: Reference =
        named.parse().map_err(|error| Error::invalid(Reason::BundleRefused, format!("bundle {named}: {error}: write registry/path, without tag")))?;
    let who = identity(context, namespace, bundle, image.registry()).await?;
    let client = client(context, namespace, bundle).await?;
    let layers = tokio::time::timeout(PULL_TIMEOUT, layers(&client, &image, &who, &bundle.digest)).await;
    let late = || Err(Error::transient(Reason::RegistryUnreachable, format!("bundle {named}: its registry did not send it within {PULL_TIMEOUT:?}")));
    let layers = layers.unwrap_or_else(|_| late())?;
    image::files(&layers).map_err(|error| refused(&image, &error))
}

async fn client(context: &RunContext, namespace: &str, bundle: &OciBundle) -> Result<Client> {
    let mut config =
        ClientConfig { connect_timeout: Some(CONNECT_TIMEOUT), read_timeout: Some(PULL_TIMEOUT), platform_resolver: None, ..ClientConfig::default() };
    if let Some(secret) = &bundle.ca_secret_ref {
        let pem = secrets::read(&context.hub, namespace, &secret.name, &["ca.crt"]).await?.remove(0);
        config.extra_root_certificates = vec![Certificate { encoding: CertificateEncoding::Pem, data: pem.into_bytes() }];
    }
    Client::try_from(config).map_err(|error| Error::invalid(Reason::EndpointInvalid, format!("bundle {}: no connection can be made: {error}", bundle.image)))
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
    fn basic(&self) -> Option<RegistryAuth> {
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Some(RegistryAuth::Basic(user.clone(), password.clone()));
        }
        let text = String::from_utf8(BASE64_STANDARD.decode(self.auth.as_ref()?).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
    }
}

async fn identity(context: &RunContext, namespace: &str, bundle: &OciBundle, registry: &str) -> Result<RegistryAuth> {
    let Some(secret) = &bundle.pull_secret_ref else { return Ok(RegistryAuth::Anonymous) };
    let text = secrets::read(&context.hub, namespace, &secret.name, &[".dockerconfigjson"]).await?.remove(0);
    who(&text, registry).ok_or_else(|| {
        let make = format!("kubectl create secret docker-registry {} --docker-server={registry} …", secret.name);
        Error::invalid(Reason::SecretMissing, format!("Secret {namespace}/{} says nothing of registry {registry}: {make}", secret.name))
    })
}

fn who(text: &str, registry: &str) -> Option<RegistryAuth> {
    let config: DockerConfig = serde_json::from_str(text).ok()?;
    config.auths.iter().find(|(key, _)| host(key) == host(registry))?.1.basic()
}

/// The host of a key. Docker Hub has several names; this returns the one that `docker login` writes.
fn host(key: &str) -> &str {
    match key.trim_start_matches("https://").trim_start_matches("http://").split('/').next().unwrap_or_default() {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        other => other,
    }
}

async fn layers(client: &Client, image: &Reference, who: &RegistryAuth, digest: &str) -> Result<Vec<Layer>> {
    let (manifest, found) = client.pull_manifest(image, who).await.map_err(|error| failed(image, error))?;
    if found != *digest {
        return Err(refused(image, &DIGEST_MISMATCH));
    }
    let OciManifest::Image(manifest) = manifest else {
        return Err(refused(image, &"it is an index of images: write the digest of one image's manifest"));
    };
    let sent = manifest.layers.iter().fold(0_i64, |sum, layer| sum.saturating_add(layer.size.max(0)));
    if manifest.layers.len() > MOST_LAYERS || usize::try_from(sent).is_ok_and(|sent| sent > MOST_SENT) {
        let message = format!("it has {} layers of {sent} bytes, and an image of manifests has at most {MOST_LAYERS} of {MOST_SENT}", manifest.layers.len());
        return Err(refused(image, &message));
    }
    let (mut layers, mut room) = (Vec::new(), MOST_SENT);
    for descriptor in &manifest.layers {
        let layer = layer(client, image, descriptor, room).await?;
        room -= layer.bytes.len();
        layers.push(layer);
    }
    Ok(layers)
}

/// Reads a layer of at most `room` bytes. The size in the manifest is not trusted.
async fn layer(client: &Client, image: &Reference, descriptor: &OciDescriptor, room: usize) -> Result<Layer> {
    let mut stream = client.pull_blob_stream(image, descriptor).await.map_err(|error| failed(image, error))?;
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| failed(image, OciDistributionError::IoError(error)))?;
        if bytes.len() + part.len() > room {
            return Err(refused(image, &BundleError::TooLarge(bytes.len() + part.len())));
        }
        bytes.extend_from_slice(&part);
    }
    if descriptor.digest != format!("sha256:{}", hex::encode(Sha256::digest(&bytes))) {
        return Err(refused(image, &DIGEST_MISMATCH));
    }
    let title = descriptor.annotations.as_ref().and_then(|annotations| annotations.get(TITLE_ANNOTATION)).cloned();
    Ok(Layer { media_type: descriptor.media_type.clone(), title, bytes })
}

fn refused(image: &Reference, why: &dyn std::fmt::Display) -> Error {
    Error::invalid(Reason::BundleRefused, format!("bundle {image}: {why}"))
}

/// Converts an error of a registry. Its own message is left out: the district's people read this, and a URL may contain a signature.
fn failed(image: &Reference, error: OciDistributionError) -> Error {
    const REFUSES: &str = "the registry refuses: see bundle.oci.pullSecretRef";
    const HAS_NONE: &str = "the registry has no such image";
    let damaged = |error: &std::io::Error| error.get_ref().and_then(|inner| inner.downcast_ref::<DigestError>()).is_some();
    let (reason, category, what) = match error {
        OciDistributionError::ImageManifestNotFoundError(_) | OciDistributionError::ServerError { code: 404, .. } => {
            (Reason::BundleMissing, Category::Invalid, HAS_NONE.to_owned())
        }
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::ServerError { code: 401 | 403, .. } => (Reason::CredentialsRefused, Category::Invalid, REFUSES.to_owned()),
        OciDistributionError::RegistryError { envelope, .. } => {
            let codes: Vec<OciErrorCode> = envelope.errors.into_iter().map(|error| error.code).collect();
            let any = |wanted: &[OciErrorCode]| codes.iter().any(|code| wanted.contains(code));
            if any(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                (Reason::CredentialsRefused, Category::Invalid, REFUSES.to_owned())
            } else if any(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::BlobUnknown, OciErrorCode::NotFound]) {
                (Reason::BundleMissing, Category::Invalid, HAS_NONE.to_owned())
            } else {
                (Reason::RegistryUnreachable, Category::Transient, format!("the registry answers {codes:?}"))
            }
        }
        OciDistributionError::ServerError { code, .. } => (Reason::RegistryUnreachable, Category::Transient, format!("the registry answers {code}")),
        OciDistributionError::DigestError(_) => (Reason::BundleRefused, Category::Invalid, DIGEST_MISMATCH.to_owned()),
        OciDistributionError::IoError(error) if damaged(&error) => (Reason::BundleRefused, Category::Invalid, DIGEST_MISMATCH.to_owned()),
        // The inner transport error would show the URL of a redirect.
        OciDistributionError::IoError(error) => (Reason::RegistryUnreachable, Category::Transient, format!("what it sends broke off: {}", error.kind())),
        OciDistributionError::RequestError(error) => (Reason::RegistryUnreachable, Category::Transient, whole(&error.without_url())),
        other => (Reason::RegistryUnreachable, Category::Transient, whole(&other)),
    };
    Error::Stated { reason, message: format!("bundle {image}: {}", shorten(&what, 256)), category }
}

/// An error with its chain of causes: the outermost message of a client only says that it could not send.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        let words = why.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = why.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docker_config_names_who_asks_by_registry_in_either_form() {
        let auth = BASE64_STANDARD.encode("robot:secret:with:colons");
        let hub = r#""https://index.docker.io/v1/": {"username": "h", "password": "q"}"#;
        let text =
            format!(r#"{{"auths": {{"https://one.example/v1/": {{"auth": "{auth}"}}, "two.example:5000": {{"username": "u", "password": "p"}}, {hub}}}}}"#);
        let basic = |registry| match who(&text, registry) {
            Some(RegistryAuth::Basic(user, password)) => Some((user, password)),
            _ => None,
        };
        assert_eq!(basic("one.example"), Some(("robot".into(), "secret:with:colons".into())));
        assert_eq!(basic("two.example:5000"), Some(("u".into(), "p".into())));
        assert_eq!(basic("two.example"), None);
        let of_hub: Reference = "district/ingress".parse().expect("an image");
        assert_eq!(basic(of_hub.registry()), Some(("h".into(), "q".into())));
        assert!(who("{}", "one.example").is_none() && who("no JSON", "one.example").is_none());
    }
}
