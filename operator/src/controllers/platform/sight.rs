//! One site: enforces the desired objects and observes the state that the layers are assessed by.

use super::{
    certificates::Certificates,
    components,
    inventory::{Inventory, resource},
    keep::{self, Keeper},
    probes::Probes,
    quotas,
};
use crate::context::Context;
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt as _, core::DynamicObject};
use p861_core::platform::{
    desired::{self, Document, Owner, Place},
    facts::{ComponentFacts, GatewayFacts, Sight},
};
use p861_crds::{District, Platform};
use p861_runs::error::{Result, Tried as _};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Enforces and observes a district's platform on one site.
pub struct SiteObserver<'a> {
    /// Shared by all controllers.
    pub context: &'a Context,
    /// The site's client.
    pub client: &'a Client,
    /// The site.
    pub site: &'a str,
    /// The district.
    pub district: &'a District,
    /// The Platform.
    pub platform: &'a Platform,
    /// The site's inventory.
    pub inventory: &'a Inventory,
    /// Certificates that were read.
    pub certificates: &'a Certificates,
    /// Probes that were tried.
    pub probes: &'a Probes,
}

impl SiteObserver<'_> {
    /// Corrects drift, then observes the site.
    pub async fn enforce_and_observe(&self, places: &[Place], now: Timestamp) -> Result<Sight> {
        let (spec, inventory) = (&self.platform.spec, self.inventory);
        let keeper = Keeper { context: self.context, client: self.client, site: self.site, district: self.district };
        let district = self.district.name_any();
        let owner = Owner { district: &district, site: self.site, image: &self.context.runs.movers.image };
        // On a standby an application's namespace may be missing until a recovery creates it.
        let here: Vec<Place> = places.iter().filter(|place| inventory.namespaces.contains_key(&place.namespace)).cloned().collect();
        let there = keeper.quotas().await?;
        let (quotas, quota_facts) = quotas::divide(spec, owner, &here, &inventory.usage, &keep::counted(&there));
        let mut documents: Vec<Document> = desired::network_policies(spec, owner, &here);
        documents.extend(quotas);
        documents.extend(desired::priority_classes(spec, owner));
        documents.extend(desired::admission(spec, owner));
        let labels: Vec<Document> = here.iter().map(|place| desired::namespace_labels(spec, owner, place)).collect();
        // Labels before policies: policies select by label, and must not cut off a department's own namespaces, not even briefly.
        let namespaces = self.namespaces(&here).await?;
        let mut refused = keeper.namespaces(&labels, &namespaces).await?;
        refused.extend(keeper.apply(&documents, &namespaces, there).await?);
        let (gateways, gateway_secrets) = self.gateways().await?;
        Ok(Sight {
            nodes: inventory.nodes.clone(),
            storage_classes: inventory.storage_classes.clone(),
            snapshot_classes: inventory.snapshot_classes.clone(),
            claims: inventory.claims.clone(),
            gateways,
            probes: self.probes.facts_for_site(&district, spec, self.site),
            certificates: self.certificates(&here, gateway_secrets, now).await,
            admission_policies: inventory.admission_policies.clone(),
            quotas: quota_facts,
            components: self.components().await?,
            refused,
        })
    }

    /// Labels of namespaces: fresh for the district's own, so that drift is corrected at once, and from the inventory for all others.
    async fn namespaces(&self, here: &[Place]) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        let mut namespaces = self.inventory.namespaces.clone();
        let selector = kube::api::ListParams::default().labels(&format!("{}={}", p861_crds::names::DISTRICT_LABEL, self.district.name_any()));
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let labelled = api.list(&selector).await.tried(|| format!("list the district's namespaces on {}", self.site))?.items;
        let now: BTreeMap<String, BTreeMap<String, String>> =
            labelled.into_iter().map(|namespace| (namespace.name_any(), namespace.metadata.labels.unwrap_or_default())).collect();
        for place in here {
            // A namespace that lost our label isn't in the list; treat it as unlabelled.
            namespaces.insert(place.namespace.clone(), now.get(&place.namespace).cloned().unwrap_or_default());
        }
        namespaces.extend(now);
        Ok(namespaces)
    }

    async fn components(&self) -> Result<BTreeMap<String, ComponentFacts>> {
        let mut all = BTreeMap::new();
        for component in &self.platform.spec.base_software.components {
            if let Some(facts) = components::observe(self.context, self.district, self.client, self.site, component).await? {
                all.insert(component.name.clone(), facts);
            }
        }
        Ok(all)
    }

    /// The Platform's gateways on this site, and the Secrets of their certificates.
    async fn gateways(&self) -> Result<(BTreeMap<String, GatewayFacts>, BTreeSet<(String, String)>)> {
        let resource = resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways");
        let (mut facts, mut secrets) = (BTreeMap::new(), BTreeSet::new());
        for at in self.platform.spec.network.gateways.iter().flat_map(|gateway| &gateway.sites).filter(|at| at.site_ref.name == self.site) {
            let (name, namespace) = (&at.gateway_ref.name, &at.gateway_ref.namespace);
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            // A site without Gateway API answers 404, too, which means the same: no gateway.
            let Some(gateway) = api.get_opt(name).await.tried(|| format!("read Gateway {namespace}/{name} on {}", self.site))? else { continue };
            let conditions = gateway.data.pointer("/status/conditions").and_then(Value::as_array);
            let programmed = conditions.into_iter().flatten().find(|condition| condition["type"] == "Programmed");
            let message = programmed.and_then(|condition| condition["message"].as_str()).unwrap_or("it says nothing of itself yet").to_owned();
            facts
                .insert(format!("{namespace}/{name}"), GatewayFacts { programmed: programmed.is_some_and(|condition| condition["status"] == "True"), message });
            let listeners = gateway.data.pointer("/spec/listeners").and_then(Value::as_array);
            for reference in listeners.into_iter().flatten().filter_map(|listener| listener.pointer("/tls/certificateRefs")?.as_array()).flatten() {
                let of = reference["namespace"].as_str().unwrap_or(namespace).to_owned();
                secrets.extend(reference["name"].as_str().map(|name| (of, name.to_owned())));
            }
        }
        Ok((facts, secrets))
    }

    async fn certificates(&self, here: &[Place], mut secrets: BTreeSet<(String, String)>, now: Timestamp) -> Vec<p861_core::platform::facts::CertificateFacts> {
        for place in here {
            secrets.extend(self.inventory.tls_secrets.get(&place.namespace).into_iter().flatten().map(|name| (place.namespace.clone(), name.clone())));
        }
        let mut all = vec![self.certificates.read_api_server(self.context, self.site, now).await];
        for (namespace, name) in secrets {
            all.push(self.certificates.read_tls_secret(self.client, self.site, &namespace, &name, now).await);
        }
        all
    }
}
