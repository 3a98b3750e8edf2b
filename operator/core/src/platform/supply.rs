//! Capacity of each layer, and the number of standard applications that it supports.

use super::facts::{Amounts, Facts, Sight};
use crate::quantity::Quantity;
use p861_crds::{
    PlatformSpec,
    names::POOL_LABEL,
    platform::{
        platform::NodePool,
        profile::{DemandResource, Layer, StandardDemand},
    },
};

/// What there is of a resource, on a site or for the whole district.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supply {
    /// The layer.
    pub layer: Layer,
    /// The resource.
    pub resource: DemandResource,
    /// The Site; none for what belongs to the district.
    pub site: Option<String>,
    /// What it is, for people, for example `repository shinan`.
    pub what: String,
    /// All of it: thousandths of a core, or bytes, pods, bits per second.
    pub capacity: i64,
    /// What is used of it, if that is known.
    pub used: Option<i64>,
    /// Kept free, in percent.
    pub reserve_percent: i32,
}

impl Supply {
    /// What may be used: all but the reserve.
    pub fn usable(&self) -> i64 {
        let kept = i128::from(100 - self.reserve_percent.clamp(0, 100));
        i64::try_from(i128::from(self.capacity.max(0)) * kept / 100).unwrap_or(i64::MAX)
    }

    /// Whether the reserve is being used.
    pub fn into_reserve(&self) -> bool {
        self.used.is_some_and(|used| used > self.usable())
    }

    /// Standard applications that it carries: (capacity − reserve) / demand.
    pub fn carries(&self, demand: i64) -> i64 {
        self.usable() / demand.max(1)
    }
}

/// A quantity in a resource's unit: thousandths of a core, or whole ones.
pub fn amount(resource: DemandResource, text: &str) -> Option<i64> {
    let quantity = Quantity::parse(text).ok()?;
    match resource {
        DemandResource::Cpu => i64::try_from(quantity.thousandths()).ok(),
        _ => Some(quantity.ones()),
    }
}

/// Whether a node is of a pool.
pub fn in_pool(pool: &NodePool, node: &super::facts::NodeFacts) -> bool {
    if pool.node_selector.is_empty() {
        return node.labels.get(POOL_LABEL) == Some(&pool.name);
    }
    pool.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
}

/// What a site's usable nodes of the pools offer, and what is asked of them.
fn servers(spec: &PlatformSpec, site: &str, sight: &Sight) -> (Amounts, Amounts) {
    let pools: Vec<&NodePool> = spec.servers.pools.iter().filter(|pool| pool.sites.iter().any(|at| at.site_ref.name == site)).collect();
    let (mut offered, mut asked) = (Amounts::default(), Amounts::default());
    for node in sight.nodes.iter().filter(|node| node.usable && (spec.servers.pools.is_empty() || pools.iter().any(|pool| in_pool(pool, node)))) {
        offered += node.allocatable;
        asked += node.requested;
    }
    (offered, asked)
}

/// Everything that can be counted, of the sites that could be seen.
pub fn supplies(spec: &PlatformSpec, facts: &Facts, running: i64, demand: &[StandardDemand]) -> Vec<Supply> {
    let mut all = Vec::new();
    let line = demand.iter().find(|row| row.resource == DemandResource::BitsPerSecond).and_then(|row| amount(row.resource, &row.quantity.0));
    for uplink in &spec.network.uplinks {
        let capacity = amount(DemandResource::BitsPerSecond, &uplink.capacity_bits_per_second.0).unwrap_or_default();
        // Link usage is not measured: estimate it from the running applications.
        let used = line.map(|line| line.saturating_mul(running));
        all.push(Supply {
            layer: Layer::Network,
            resource: DemandResource::BitsPerSecond,
            site: None,
            what: format!("uplink {}", uplink.name),
            capacity,
            used,
            reserve_percent: 0,
        });
    }
    for site in facts.sites.iter().filter(|site| site.counts()) {
        let Ok(sight) = &site.sight else { continue };
        let (offered, asked) = servers(spec, &site.name, sight);
        let rows = [
            (DemandResource::Cpu, offered.cpu, asked.cpu),
            (DemandResource::Memory, offered.memory, asked.memory),
            (DemandResource::Pods, offered.pods, asked.pods),
        ];
        for (resource, capacity, used) in rows {
            all.push(Supply {
                layer: Layer::Servers,
                resource,
                site: Some(site.name.clone()),
                what: resource.word().into(),
                capacity,
                used: Some(used),
                reserve_percent: spec.servers.reserve_percent,
            });
        }
        let classes: Vec<(&str, i64)> = spec
            .storage
            .classes
            .iter()
            .flat_map(|class| &class.sites)
            .filter(|at| at.site_ref.name == site.name)
            .filter_map(|at| Some((at.storage_class_name.as_str(), amount(DemandResource::Volumes, &at.capacity.as_ref()?.0)?)))
            .collect();
        if !classes.is_empty() {
            all.push(Supply {
                layer: Layer::Storage,
                resource: DemandResource::Volumes,
                site: Some(site.name.clone()),
                what: "volumes".into(),
                capacity: classes.iter().fold(0, |sum, (_, capacity)| sum.saturating_add(*capacity)),
                used: Some(classes.iter().fold(0, |sum, (name, _)| sum.saturating_add(sight.claims.get(*name).copied().unwrap_or_default()))),
                reserve_percent: spec.storage.reserve_percent,
            });
        }
    }
    let counted: Vec<_> = facts.repositories.iter().filter_map(|repository| Some((repository, repository.capacity?))).collect();
    if !counted.is_empty() {
        let used: Option<Vec<i64>> = counted.iter().map(|(repository, _)| repository.used).collect();
        let names: Vec<&str> = counted.iter().map(|(repository, _)| repository.name.as_str()).collect();
        all.push(Supply {
            layer: Layer::Storage,
            resource: DemandResource::Repository,
            site: None,
            what: format!("repository {}", names.join(", ")),
            capacity: counted.iter().fold(0, |sum, (_, capacity)| sum.saturating_add(*capacity)),
            used: used.map(|used| used.into_iter().fold(0, i64::saturating_add)),
            reserve_percent: spec.storage.reserve_percent,
        });
    }
    all
}

/// Standard applications that a layer carries: as many as its scarcest resource on its poorest site, since an application must run on either of two.
/// None where the profile asks nothing of the layer, nothing of it can be counted, or a site that counts could not be seen.
pub fn supportable(layer: Layer, demand: &[StandardDemand], supplies: &[Supply], facts: &Facts) -> Option<i64> {
    let rows = || demand.iter().filter(|row| row.layer == layer);
    let of_sites = rows().any(|row| matches!(row.resource, DemandResource::Cpu | DemandResource::Memory | DemandResource::Pods | DemandResource::Volumes));
    if of_sites && facts.sites.iter().any(|site| site.counts() && site.sight.is_err()) {
        return None;
    }
    rows()
        .filter_map(|row| Some((row.resource, amount(row.resource, &row.quantity.0).filter(|amount| *amount > 0)?)))
        .flat_map(|(resource, amount)| {
            supplies.iter().filter(move |supply| supply.layer == layer && supply.resource == resource).map(move |supply| supply.carries(amount))
        })
        .min()
}
