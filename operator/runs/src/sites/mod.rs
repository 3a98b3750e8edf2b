//! Clients of the sites: the hub's own cluster, or the cluster of a kubeconfig in a Secret.
//!
//! They are given out for an [`AllottedSite`], which only the check of a district's sites makes: no code gets at a site by a name that an object states.

pub mod answer;
pub mod attached;
pub mod pods;
pub mod view;

use crate::{
    error::{Error, ErrorContext as _, Result, is_not_found},
    guard,
    leadership::Leadership,
    secrets::SecretsOf,
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::{
    Api, Client, Config, Resource, ResourceExt as _,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
    core::Request,
};
use p861_core::{ids::SiteName, platform::kubeconfig, runs::AllottedSite};
use p861_crds::{Reason, Site};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use view::Views;

/// Time limits for connecting to an API server, and for its answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a client is reused before its Site and Secret are read again.
const SITE_CLIENT_TTL: Duration = Duration::from_secs(5);
/// How long a site that had nodes is assumed to have some.
const NODES_TTL: Duration = Duration::from_mins(1);
/// Objects per page of a list: of pods with all their fields, a page is about 3 MiB of text.
pub const PAGE_SIZE: u32 = 250;

/// Clients of all sites, created on first use and again when the kubeconfig changes.
#[derive(Clone)]
pub struct Sites {
    hub: Client,
    namespace: String,
    leadership: Leadership,
    clients: Arc<Mutex<HashMap<SiteName, (String, Client)>>>,
    addresses: Arc<Mutex<HashMap<SiteName, http::Uri>>>,
    believed: Arc<Mutex<HashMap<SiteName, (Instant, Client)>>>,
    views: Views,
    nodes: Arc<Mutex<HashMap<SiteName, (Instant, bool)>>>,
    reads_only: bool,
}

impl Sites {
    /// Sites of this hub; Secrets are read in the operator's `namespace`.
    pub fn new(hub: Client, namespace: &str, leadership: Leadership) -> Self {
        Self {
            hub,
            namespace: namespace.into(),
            leadership,
            clients: Arc::default(),
            addresses: Arc::default(),
            believed: Arc::default(),
            views: Views::default(),
            nodes: Arc::default(),
            reads_only: false,
        }
    }

    /// The same sites, with clients that refuse to write. Both share what they know.
    #[must_use]
    pub fn reading(&self) -> Self {
        Self { reads_only: true, ..self.clone() }
    }

    fn as_allowed(&self, client: Client) -> Client {
        if self.reads_only { guard::reading(&client) } else { client }
    }

    /// The client of a site, for whom the site was allotted to: nobody else gets one. Reads Site and Secret at most once in 5 seconds.
    ///
    /// # Errors
    /// If the Site or its Secret is missing or unusable, or the cluster is not the one that the Site had at first.
    pub async fn client(&self, name: &AllottedSite) -> Result<Client> {
        Ok(self.as_allowed(self.whole_client(name).await?))
    }

    async fn whole_client(&self, name: &SiteName) -> Result<Client> {
        let believed = self.believed.lock().get(name).cloned();
        if let Some((_, client)) = believed.filter(|(since, _)| since.elapsed() < SITE_CLIENT_TTL) {
            return Ok(client);
        }
        let sites: Api<Site> = Api::all(self.hub.clone());
        let site = match sites.get(name.as_str()).await {
            Ok(site) => site,
            Err(error) if is_not_found(&error) => return Err(Error::invalid(Reason::SiteMissing, format!("site {name} doesn't exist: kubectl get sites"))),
            Err(error) => return Err(error).context(|| format!("read site {name}")),
        };
        let (client, fresh) = self.whole_connect(&site).await?;
        let pinned = site.status.as_ref().and_then(|status| status.cluster_uid.clone());
        if let Some(pinned) = pinned.filter(|_| fresh) {
            let uid = cluster_uid(&client).await?;
            if uid != pinned {
                self.forget(name);
                return Err(Error::invalid(
                    Reason::ClusterChanged,
                    format!("site {name} is cluster {pinned}, but its kubeconfig leads to cluster {uid}: correct the Secret, or make a new Site"),
                ));
            }
        }
        self.believed.lock().insert(name.clone(), (Instant::now(), client.clone()));
        Ok(client)
    }

    /// A client for the Site as it is now, and whether it is a new one. Doesn't check the cluster's identity. For the Site's own status: a Site is the city's.
    ///
    /// # Errors
    /// If the kubeconfig is missing or unusable.
    pub async fn connect(&self, site: &Site) -> Result<(Client, bool)> {
        let (client, fresh) = self.whole_connect(site).await?;
        Ok((self.as_allowed(client), fresh))
    }

    async fn whole_connect(&self, site: &Site) -> Result<(Client, bool)> {
        let name = SiteName::from(site.name_any());
        let Some(text) = self.kubeconfig_of(site).await? else {
            return Ok((self.hub.clone(), false));
        };
        let digest = hex::encode(Sha256::digest(&text));
        if let Some((known, client)) = self.clients.lock().get(&name)
            && *known == digest
        {
            return Ok((client.clone(), false));
        }
        // The parser's message could quote the kubeconfig, which is a secret.
        let unusable = || self.wrong(site, "has no usable context, cluster or user");
        let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|_| unusable())?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|_| unusable())?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(ANSWER_TIMEOUT);
        self.addresses.lock().insert(name.clone(), config.cluster_url.clone());
        let client = guard::client(config, &self.leadership).map_err(|_| self.wrong(site, "can't be used: check its certificates"))?;
        self.clients.lock().insert(name, (digest, client.clone()));
        Ok((client, true))
    }

    /// Whether the site has a node that could run a Job. Asked at most every [`NODES_TTL`] of a site that has one.
    ///
    /// # Errors
    /// If the site can't be reached.
    pub async fn has_nodes(&self, name: &AllottedSite) -> Result<bool> {
        let seen = self.nodes.lock().get(&**name).copied();
        if let Some((_, true)) = seen.filter(|(since, _)| since.elapsed() < NODES_TTL) {
            return Ok(true);
        }
        let nodes: Api<Node> = Api::all(self.client(name).await?);
        let some = !nodes.list_metadata(&ListParams::default().limit(1)).await.context(|| format!("look for nodes of {name}"))?.items.is_empty();
        self.nodes.lock().insert((**name).clone(), (Instant::now(), some));
        Ok(some)
    }

    /// The kubeconfig of a site, with this context only; none if the site is the hub's cluster.
    ///
    /// # Errors
    /// If the Site or its Secret is missing or unusable.
    pub async fn kubeconfig(&self, name: &AllottedSite) -> Result<Option<String>> {
        let sites: Api<Site> = Api::all(self.hub.clone());
        self.kubeconfig_of(&sites.get(name.as_str()).await.context(|| format!("read site {name}"))?).await
    }

    async fn kubeconfig_of(&self, site: &Site) -> Result<Option<String>> {
        let name = site.name_any();
        let Some(access) = &site.spec.access.kubeconfig else { return Ok(None) };
        let secret_name = &access.secret_ref.name;
        let secret = format!("site {name}: Secret {}/{secret_name}", self.namespace);
        let missing = |what: &str| Error::invalid(Reason::CredentialsRefused, format!("{secret} {what}"));
        let mut keys = SecretsOf::operator(&self.hub, &self.namespace)
            .find(secret_name)
            .await?
            .ok_or_else(|| missing("doesn't exist; put the kubeconfig in it under the key kubeconfig"))?;
        let text = keys.take("kubeconfig").ok_or_else(|| missing("has no text under the key kubeconfig"))?;
        kubeconfig::inert(&text, access.context.as_deref()).map(Some).map_err(|fault| self.wrong(site, &fault.to_string()))
    }

    fn wrong(&self, site: &Site, what: &str) -> Error {
        let secret = site.spec.access.kubeconfig.as_ref().map(|access| access.secret_ref.name.as_str()).unwrap_or_default();
        Error::invalid(Reason::CredentialsRefused, format!("site {}: the kubeconfig in Secret {}/{secret} {what}", site.name_any(), self.namespace))
    }

    /// URL of a site's API server.
    ///
    /// # Errors
    /// If the Site or its Secret is missing or unusable.
    pub async fn address(&self, name: &AllottedSite) -> Result<http::Uri> {
        let site: Site = Api::all(self.hub.clone()).get(name.as_str()).await.context(|| format!("read site {name}"))?;
        if site.spec.access.kubeconfig.is_some() {
            self.connect(&site).await?;
            let known = self.addresses.lock().get(&**name).cloned();
            return known.ok_or_else(|| Error::transient(Reason::Unreachable, format!("site {name} was not reached yet")));
        }
        Ok(Config::infer().await.map_err(|_| Error::Internal("the hub's own address is not known".into()))?.cluster_url)
    }

    fn forget(&self, name: &SiteName) {
        self.clients.lock().remove(name);
    }
}

/// Lists all objects, page by page, without their `managedFields`. For kinds of which a site has few: all of them are in memory at once.
///
/// # Errors
/// If a page can't be read.
pub async fn list_all<K>(api: &Api<K>, what: impl Fn() -> String) -> Result<Vec<K>>
where
    K: Resource + Clone + DeserializeOwned,
{
    let mut all = Vec::new();
    let add = |Stripped(object): Stripped<K>| all.push(object);
    for_each_of(&api.clone().into_client(), api.resource_url(), ListParams::default(), what, add).await?;
    Ok(all)
}

/// Lists the objects that the selectors choose, page by page, without their `managedFields`.
///
/// # Errors
/// If a page can't be read.
pub async fn list_selected<K>(api: &Api<K>, selectors: ListParams, what: impl Fn() -> String) -> Result<Vec<K>>
where
    K: Resource + Clone + DeserializeOwned,
{
    let mut all = Vec::new();
    let add = |Stripped(object): Stripped<K>| all.push(object);
    for_each_of(&api.clone().into_client(), api.resource_url(), selectors, what, add).await?;
    Ok(all)
}

/// Hands over every object that the selectors choose, without its `managedFields`. No more than a page is in memory: for kinds of which a site has very many.
///
/// # Errors
/// If a page can't be read.
pub async fn for_each<K>(api: &Api<K>, selectors: ListParams, what: impl Fn() -> String, mut take: impl FnMut(K)) -> Result<()>
where
    K: Resource + Clone + DeserializeOwned,
{
    let add = |Stripped(object): Stripped<K>| take(object);
    for_each_of(&api.clone().into_client(), api.resource_url(), selectors, what, add).await
}

/// The same, for items of any form at that URL.
pub(crate) async fn for_each_of<T>(client: &Client, url: &str, selectors: ListParams, what: impl Fn() -> String, mut take: impl FnMut(T)) -> Result<()>
where
    T: DeserializeOwned,
{
    let mut parameters = selectors.clone().limit(PAGE_SIZE);
    loop {
        let page = async {
            let request = Request::new(url).list(&parameters).map_err(kube::Error::BuildRequest)?;
            client.request::<Page<T>>(request).await
        };
        let Page { metadata, items } = page.await.context(|| format!("list {}", what()))?;
        items.unwrap_or_default().into_iter().for_each(&mut take);
        match metadata.next.filter(|token| !token.is_empty()) {
            Some(token) => parameters = selectors.clone().limit(PAGE_SIZE).continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// An object without its `managedFields`, which are several times as large as the rest once they are parsed. They go as each object is read, so that a page has them
/// of one object at a time.
struct Stripped<K>(K);

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Stripped<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut object = K::deserialize(deserializer)?;
        object.meta_mut().managed_fields = None;
        Ok(Self(object))
    }
}

/// The UID of namespace kube-system, which identifies a cluster.
///
/// # Errors
/// If the API server can't be read.
pub async fn cluster_uid(client: &Client) -> Result<String> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces.get("kube-system").await.context(|| "read namespace kube-system".into())?;
    namespace.uid().ok_or_else(|| Error::Internal("namespace kube-system has no UID".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::Pod;
    use kube::client::Body;
    use serde_json::json;

    #[tokio::test]
    async fn fault_e10_scale_a_list_is_read_in_pages_and_its_objects_have_no_managed_fields() {
        let server = tower::service_fn(|request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (limited, first) = (query.contains(&format!("limit={PAGE_SIZE}")), !query.contains("continue="));
            let fields = json!([{"manager": "kubelet", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:phase": {}}}}]);
            let pod = json!({"metadata": {"name": if first { "a" } else { "b" }, "managedFields": fields, "annotations": {"keep": "me"}}});
            let items = if limited { json!([pod]) } else { json!(null) };
            let answer = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": if first { "next" } else { "" }}, "items": items});
            async move { Ok::<_, std::convert::Infallible>(Response::new(Body::from(answer.to_string().into_bytes()))) }
        });
        let pods = list_all(&Api::<Pod>::all(Client::new(server, "default")), || "the pods".into()).await.expect("pods");
        assert_eq!(pods.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>(), ["a", "b"]);
        assert!(pods.iter().all(|pod| pod.metadata.managed_fields.is_none() && pod.metadata.annotations.is_some()));
    }
}
