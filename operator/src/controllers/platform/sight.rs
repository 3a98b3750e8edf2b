//! One site: observes the state that the layers are assessed by, and enforces the desired objects.

use super::{
    certificates::Certificates,
    components,
    inventory::{Inventory, resource},
    keep::Keeper,
    probes::Probes,
    shown,
};
use crate::{
    context::{Context, ReadContext},
    controllers::is_allotted,
};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt as _, core::DynamicObject};
use p861_core::{
    ids::SiteName,
    names,
    platform::{
        desired::{DesiredSite, Place},
        facts::{CertificateFacts, ComponentFacts, GatewayFacts, Refused, Sight},
    },
    runs::AllottedSite,
};
use p861_crds::{District, Platform};
use p861_runs::{
    error::{ErrorContext as _, Result},
    object_path::in_path,
    sites::list_selected,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Observes a district's platform on one site.
pub struct SiteObserver<'a> {
    /// Shared by all controllers.
    pub context: &'a ReadContext,
    /// The site's client.
    pub client: &'a Client,
    /// The site.
    pub site: &'a AllottedSite,
    /// The district.
    pub district: &'a District,
    /// The Platform.
    pub platform: &'a Platform,
    /// Certificates that were read.
    pub certificates: &'a Certificates,
    /// Probes that were tried.
    pub probes: &'a Probes,
}

/// What was seen of a site before anything was enforced there.
pub struct SiteSeen {
    /// Everything on the site.
    pub inventory: Arc<Inventory>,
    /// The district's namespaces that exist. On a standby an application's namespace may be missing until a recovery creates it.
    pub here: Vec<Place>,
    /// Labels of the district's namespaces.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Our ResourceQuotas.
    pub quotas: Vec<DynamicObject>,
    /// What the layers are assessed by, without quotas, components and refused objects.
    pub sight: Sight,
}

/// What came of enforcing the desired objects on a site.
pub struct Enforced {
    /// Objects that could not be applied.
    pub refused: Vec<Refused>,
    /// The installed components, once their drift was corrected.
    pub components: BTreeMap<String, ComponentFacts>,
}

/// Makes a site as desired. Refused objects don't hold up the others.
pub async fn enforce(
    context: &Context,
    client: &Client,
    site: &SiteName,
    district: &District,
    platform: &Platform,
    seen: &SiteSeen,
    desired: &DesiredSite,
) -> Result<Enforced> {
    let keeper = Keeper { context, client, site, district };
    let mut refused = keeper.namespaces(&desired.labels, &seen.namespaces).await?;
    refused.extend(keeper.apply(&desired.objects, &seen.namespaces, seen.quotas.clone()).await?);
    let mut installed = BTreeMap::new();
    for component in &platform.spec.base_software.components {
        if let Some(facts) = components::assess(context, district, client, site, component).await? {
            installed.insert(component.name.clone(), facts);
        }
    }
    Ok(Enforced { refused, components: installed })
}

impl SiteObserver<'_> {
    /// Observes the site.
    pub async fn observe(&self, inventory: Arc<Inventory>, places: &[Place], now: Timestamp) -> Result<SiteSeen> {
        let here: Vec<Place> = places.iter().filter(|place| inventory.namespaces.contains_key(&place.namespace)).cloned().collect();
        let quotas = Keeper { context: self.context, client: self.client, site: self.site, district: self.district }.quotas().await?;
        let namespaces = self.namespaces(&inventory, &here).await?;
        let (gateways, gateway_secrets, unread) = self.gateways().await?;
        let sight = Sight {
            nodes: inventory.nodes.clone(),
            storage_classes: inventory.storage_classes.clone(),
            snapshot_classes: inventory.snapshot_classes.clone(),
            claims: inventory.claims.clone(),
            gateways,
            probes: self.probes.facts_for_site(&self.district.name_any(), &self.platform.spec, self.site),
            certificates: self.certificates(&inventory, &here, gateway_secrets, now).await.into_iter().chain(unread).collect(),
            admission_policies: inventory.admission_policies.clone(),
            ..Sight::default()
        };
        Ok(SiteSeen { inventory, here, namespaces, quotas, sight })
    }

    /// Labels of the district's namespaces: fresh for those of its applications, so that drift is corrected at once, and from the inventory for all others.
    async fn namespaces(&self, inventory: &Inventory, here: &[Place]) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        // Nothing is done to those of others, and a city has thousands.
        let own = inventory.namespaces.iter().filter(|(name, _)| is_allotted(self.district, name));
        let mut namespaces: BTreeMap<String, BTreeMap<String, String>> = own.map(|(name, labels)| (name.clone(), labels.clone())).collect();
        let selector = kube::api::ListParams::default().labels(&format!("{}={}", p861_crds::names::DISTRICT_LABEL, self.district.name_any()));
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let labelled = list_selected(&api, selector, || format!("the district's namespaces on {}", self.site)).await?;
        let now: BTreeMap<String, BTreeMap<String, String>> =
            labelled.into_iter().map(|namespace| (namespace.name_any(), namespace.metadata.labels.unwrap_or_default())).collect();
        for place in here {
            // A namespace that lost our label isn't in the list; treat it as unlabelled.
            namespaces.insert(place.namespace.clone(), now.get(&place.namespace).cloned().unwrap_or_default());
        }
        namespaces.extend(now);
        Ok(namespaces)
    }

    /// The Platform's gateways on this site, the Secrets of their certificates, and what is said of certificates that are not read.
    async fn gateways(&self) -> Result<(BTreeMap<String, GatewayFacts>, BTreeSet<(String, String)>, Vec<CertificateFacts>)> {
        let resource = resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways");
        let shown = shown::namespaces(self.context, self.district, self.site).await?;
        let (mut facts, mut secrets, mut unread) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for at in self.platform.spec.network.gateways.iter().flat_map(|gateway| &gateway.sites).filter(|at| self.site.as_str() == at.site_ref.name) {
            let (name, namespace) = (&at.gateway_ref.name, &at.gateway_ref.namespace);
            if let Some(message) = shown.refuses(namespace) {
                facts.insert(format!("{namespace}/{name}"), GatewayFacts { programmed: false, message });
                continue;
            }
            if !names::is_object_name(name) {
                let message = format!("spec.network.gateways names Gateway {name:?}: {}", names::NAME_RULE);
                facts.insert(format!("{namespace}/{name}"), GatewayFacts { programmed: false, message });
                continue;
            }
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            // A site without Gateway API answers 404, too, which means the same: no gateway.
            let Some(gateway) = api.get_opt(&in_path(name)?).await.context(|| format!("read Gateway {namespace}/{name} on {}", self.site))? else { continue };
            let conditions = gateway.data.pointer("/status/conditions").and_then(Value::as_array);
            let programmed = conditions.into_iter().flatten().find(|condition| condition["type"] == "Programmed");
            let message = programmed.and_then(|condition| condition["message"].as_str()).unwrap_or("it has no status yet").to_owned();
            facts
                .insert(format!("{namespace}/{name}"), GatewayFacts { programmed: programmed.is_some_and(|condition| condition["status"] == "True"), message });
            let (read, others) = shown.certificates(&gateway.data, namespace);
            secrets.extend(read);
            unread.extend(others);
        }
        let elsewhere = |(namespace, name)| CertificateFacts {
            name: format!("Secret {namespace}/{name}"),
            expires: Err("it is in a namespace of others, and is not read: a Gateway's certificates belong in its own namespace".into()),
        };
        Ok((facts, secrets, unread.into_iter().take(shown::MAX_CERTIFICATES).map(elsewhere).collect()))
    }

    async fn certificates(&self, inventory: &Inventory, here: &[Place], mut secrets: BTreeSet<(String, String)>, now: Timestamp) -> Vec<CertificateFacts> {
        for place in here {
            secrets.extend(inventory.tls_secrets.get(&place.namespace).into_iter().flatten().map(|name| (place.namespace.clone(), name.clone())));
        }
        let mut all = vec![self.certificates.read_api_server(self.context, self.site, now).await];
        for (namespace, name) in secrets.into_iter().take(shown::MAX_CERTIFICATES) {
            all.push(self.certificates.read_tls_secret(self.client, self.site, &namespace, &name, now).await);
        }
        all
    }
}
