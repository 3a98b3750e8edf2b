//! What a Platform may be shown of its sites: the operator reads there with rights over every namespace, and the Platform's status is the district's to read.

use crate::context::Context;
use kube::ResourceExt as _;
use p861_core::{ids::SiteName, platform::district::is_allotted};
use p861_crds::{District, Site};
use p861_runs::error::Result;
use serde_json::Value;
use std::collections::BTreeSet;

/// Secrets by namespace and name.
type SecretNames = BTreeSet<(String, String)>;

/// Certificates that are looked at for one Platform on one site.
pub const MAX_CERTIFICATES: usize = 256;

/// Namespaces of a site of which a district may be told.
pub struct Shown<'a> {
    district: &'a District,
    site: String,
    /// Those that the city shares.
    shared: Vec<String>,
}

/// The namespaces of a site of which the district may be told: its own, and those that the Site shares.
///
/// # Errors
/// If the cache has no Sites yet.
pub async fn namespaces<'a>(context: &Context, district: &'a District, site: &SiteName) -> Result<Shown<'a>> {
    let of_site = |found: &Site| (found.name_any() == site.as_str()).then(|| found.spec.shared_namespaces.clone());
    let shared = context.cache.filter_map(None, of_site).await?.into_iter().next().unwrap_or_default();
    Ok(Shown { district, site: site.to_string(), shared })
}

impl Shown<'_> {
    fn holds(&self, namespace: &str) -> bool {
        is_allotted(self.district, namespace) || self.shared.iter().any(|shared| shared == namespace)
    }

    /// Why nothing of a namespace is shown; none if it is.
    pub fn refuses(&self, namespace: &str) -> Option<String> {
        (!self.holds(namespace)).then(|| {
            format!(
                "nothing of namespace {namespace:?} is looked at: it is not the district's, and not in spec.sharedNamespaces of Site {}, where the city names what districts \
                 share",
                self.site
            )
        })
    }

    /// The Secrets of a Gateway's certificates, with their namespaces, and those of which nothing is shown. A Gateway can name any Secret of the site.
    pub fn certificates(&self, gateway: &Value, namespace: &str) -> (SecretNames, SecretNames) {
        let listeners = gateway.pointer("/spec/listeners").and_then(Value::as_array);
        let references = listeners.into_iter().flatten().filter_map(|listener| listener.pointer("/tls/certificateRefs")?.as_array()).flatten();
        let named = references.filter_map(|reference| {
            let of = reference["namespace"].as_str().unwrap_or(namespace);
            Some((of.to_owned(), reference["name"].as_str()?.to_owned()))
        });
        named.partition(|(of, _)| of == namespace || is_allotted(self.district, of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn district() -> District {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
            "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": []}}))
        .expect("a district")
    }

    #[test]
    fn fault_e31_a_platform_is_shown_its_districts_namespaces_and_what_the_city_shares_and_nothing_else() {
        let district = district();
        let shown = Shown { district: &district, site: "home".into(), shared: vec!["gateways".into()] };
        for (namespace, seen) in [
            ("shinan-portal", true),
            ("gateways", true),
            ("licang-approval", false),
            ("kube-system", false),
            ("shinan-portal/helmreleases/x?", false),
            ("..", false),
        ] {
            assert_eq!(shown.refuses(namespace).is_none(), seen, "{namespace}");
        }
        assert!(shown.refuses("licang-approval").is_some_and(|why| why.contains("spec.sharedNamespaces of Site home")));
    }

    #[test]
    fn fault_e31_a_gateway_tells_nothing_of_secrets_elsewhere() {
        let district = district();
        let shown = Shown { district: &district, site: "home".into(), shared: vec!["gateways".into()] };
        let references = json!([
            {"kind": "Secret", "name": "portal-tls"},
            {"kind": "Secret", "name": "own", "namespace": "shinan-portal"},
            {"kind": "Secret", "name": "p861-site-token", "namespace": "p861-system"},
            {"kind": "Secret", "name": "etcd-client", "namespace": "kube-system"},
            {"kind": "Secret", "name": "portal-tls", "namespace": "licang-portal"}
        ]);
        let gateway = json!({"spec": {"listeners": [{"tls": {"certificateRefs": references}}, {"name": "plain"}]}});
        let of = |set: BTreeSet<(String, String)>| set.into_iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect::<Vec<_>>();
        let (read, unread) = shown.certificates(&gateway, "gateways");
        assert_eq!(of(read), ["gateways/portal-tls", "shinan-portal/own"]);
        assert_eq!(of(unread), ["kube-system/etcd-client", "licang-portal/portal-tls", "p861-system/p861-site-token"]);
    }
}
