//! What is written of an image, and what its registry says: parsed before anything is asked of an address that comes of it.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Docker Hub, as `docker login` writes it.
const DOCKER_HUB: &str = "index.docker.io";
/// Where Docker Hub answers.
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";
/// Annotation with a layer's file name.
const TITLE_ANNOTATION: &str = "org.opencontainers.image.title";

/// An image without tag and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// The registry, as it was written: host, and port if there is one.
    pub registry: String,
    /// The repository in it.
    pub repository: String,
}

impl ImageName {
    /// Reads `registry/path`; without a registry it is one of Docker Hub.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (registry, repository) = match text.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest.to_owned()),
            Some(_) => (DOCKER_HUB, text.to_owned()),
            None => (DOCKER_HUB, format!("library/{text}")),
        };
        let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
        let label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !host.split('.').all(label) || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err("its registry is no host, or host:port");
        }
        let component = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            part.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
                && part.bytes().next().is_some_and(plain)
                && part.bytes().last().is_some_and(plain)
        };
        if !repository.split('/').all(component) {
            return Err("its path has characters that none has: a-z, 0-9, and . _ - between them");
        }
        Ok(Self { registry: registry.to_owned(), repository })
    }

    /// Host, and port if there is one, of the server that has it.
    pub fn server(&self) -> &str {
        if account_host(&self.registry) == DOCKER_HUB { DOCKER_HUB_SERVER } else { &self.registry }
    }
}

/// The host of a registry, or of a key in a docker config. Docker Hub has several names; this returns the one that `docker login` writes.
pub fn account_host(key: &str) -> &str {
    match key.trim_start_matches("https://").trim_start_matches("http://").split('/').next().unwrap_or_default() {
        "docker.io" | DOCKER_HUB_SERVER => DOCKER_HUB,
        other => other,
    }
}

/// What a registry wants to see of somebody (RFC 9110, section 11.6.1; the token protocol of the distribution project).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password.
    Basic,
    /// A token of this server.
    Bearer {
        /// The server's URL.
        realm: String,
        /// The service for which it is.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads the header `WWW-Authenticate`; none if it holds no known scheme.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut values = parameters(rest);
        Some(Self::Bearer { realm: values.remove("realm")?, service: values.remove("service") })
    }
}

/// Parameters `name="value"`, separated by commas; a quoted value may hold commas.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((name, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_once(',').unwrap_or((value, "")),
        };
        found.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| value.trim().to_owned());
        rest = after.trim_start_matches([' ', ',']);
    }
    found
}

/// A layer, as a manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerDescriptor {
    /// Its media type.
    pub media_type: String,
    /// Its digest: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its bytes, as the manifest says.
    pub bytes: u64,
    /// The name that stands beside it, if there is one.
    pub title: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The layers of a manifest.
///
/// # Errors
/// What is wrong with it.
pub fn layers(manifest: &[u8]) -> Result<Vec<LayerDescriptor>, &'static str> {
    let read: Manifest = serde_json::from_slice(manifest).map_err(|_| "its manifest can't be read")?;
    let layers = match (read.layers, read.manifests) {
        (Some(layers), _) => layers,
        (None, Some(_)) => return Err("it is an index of images: write the digest of one image's manifest"),
        (None, None) => return Err("its manifest has no layers"),
    };
    let descriptor = |layer: Descriptor| {
        // The digest becomes a part of a path.
        let hex = layer.digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        hex.ok_or("a layer has a digest that is no sha256")?;
        let title = layer.annotations.get(TITLE_ANNOTATION).cloned();
        Ok(LayerDescriptor { media_type: layer.media_type, digest: layer.digest, bytes: layer.size, title })
    };
    layers.into_iter().map(descriptor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_image_is_read_as_docker_reads_it_and_nothing_else_becomes_an_address() {
        for (text, registry, repository, server) in [
            ("registry.example/shinan/ingress", "registry.example", "shinan/ingress", "registry.example"),
            ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", "127.0.0.1:5000"),
            ("localhost/a", "localhost", "a", "localhost"),
            ("docker.io/a/b", "docker.io", "a/b", DOCKER_HUB_SERVER),
            ("district/ingress", DOCKER_HUB, "district/ingress", DOCKER_HUB_SERVER),
            ("nginx", DOCKER_HUB, "library/nginx", DOCKER_HUB_SERVER),
            ("r.example/a__b/c-d.e", "r.example", "a__b/c-d.e", "r.example"),
        ] {
            let name = ImageName::parse(text).expect(text);
            assert_eq!((name.registry.as_str(), name.repository.as_str(), name.server()), (registry, repository, server), "{text}");
        }
        for wrong in [
            "",
            "r.example/",
            "r.example/../x",
            "r.example/a:tag",
            "r.example/A",
            "u@r.example/a",
            "r.example:99999/a",
            "r..example/a",
            "r.example/a?x",
            "https://r.example/a",
        ] {
            assert!(ImageName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_challenge_is_read_in_either_scheme() {
        let bearer = |realm: &str, service: Option<&str>| Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) });
        for (header, expected) in [
            (r#"Basic realm="registry""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://a.example/t?x=1,2",service="r.example",scope="repository:x:pull""#,
                bearer("https://a.example/t?x=1,2", Some("r.example")),
            ),
            (r#"Bearer service="s", realm=https://a.example/t"#, bearer("https://a.example/t", Some("s"))),
            (r#"Bearer realm="https://a.example"#, bearer("https://a.example", None)),
            ("Bearer", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    #[test]
    fn a_manifest_gives_layers_whose_digest_is_one_or_says_what_it_is() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let good = format!(
            r#"{{"schemaVersion": 2, "layers": [{{"mediaType": "text/yaml", "digest": "{digest}", "size": 7, "annotations": {{"{TITLE_ANNOTATION}": "a.yaml"}}}}]}}"#
        );
        let expected = LayerDescriptor { media_type: "text/yaml".into(), digest: digest.clone(), bytes: 7, title: Some("a.yaml".into()) };
        assert_eq!(layers(good.as_bytes()), Ok(vec![expected]));
        for (text, said) in [
            (r#"{"manifests": []}"#.to_owned(), "index of images"),
            ("{}".to_owned(), "no layers"),
            ("[".to_owned(), "can't be read"),
            (good.replace(&digest, "sha256:../../../../secret"), "no sha256"),
            (good.replace(&digest, &format!("sha512:{}", "a".repeat(64))), "no sha256"),
            (good.replace("\"size\": 7", "\"size\": -7"), "can't be read"),
        ] {
            assert!(layers(text.as_bytes()).expect_err(&text).contains(said), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_registry_says_it_is_read_or_refused(header in ".{0,80}", manifest in proptest::collection::vec(any::<u8>(), 0..200), image in ".{0,60}") {
            let _ = (Challenge::parse(&header), layers(&manifest));
            if let Ok(name) = ImageName::parse(&image) {
                prop_assert!(!name.repository.contains("..") || name.repository.split('/').all(|part| !part.trim_matches('.').is_empty()));
                prop_assert!(!name.server().contains(['/', '@', '?', '#']));
            }
        }
    }
}
