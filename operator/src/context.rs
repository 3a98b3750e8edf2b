//! Shared dependencies of controllers, grouped by use.

use crate::{
    hub_cache::HubCache,
    maintenance::{alerts::Heartbeats, links::Keys},
    metrics::Metrics,
};
use p861_runs::{Hub, RunContext, guard, sites::Sites};
use std::ops::Deref;

/// Messages to people, and alerts from Alertmanager.
#[derive(Clone)]
pub struct Messaging {
    /// When each site's heartbeat was last received.
    pub heartbeats: Heartbeats,
    /// Key of links in messages.
    pub keys: Keys,
    /// Base URL of links in messages.
    pub public_url: Option<String>,
}

/// Shared by all controllers of a process.
#[derive(Clone)]
pub struct Context {
    /// The hub.
    pub hub: Hub,
    /// Cache of the hub's objects.
    pub cache: HubCache,
    /// The sites.
    pub sites: Sites,
    /// The executor of runs.
    pub runs: RunContext,
    /// Metrics.
    pub metrics: Metrics,
    /// Messages to people, and alerts from Alertmanager.
    pub messaging: Messaging,
}

impl Context {
    /// The same, for code that only reads.
    pub fn reading(&self) -> ReadContext {
        let hub = Hub { client: guard::reading(&self.hub.client), ..self.hub.clone() };
        let sites = self.sites.reading();
        let runs = RunContext { hub: hub.clone(), sites: sites.clone(), ..self.runs.clone() };
        ReadContext(Context { hub, sites, runs, ..self.clone() })
    }
}

/// A [`Context`] whose clients of the hub and of the sites refuse to write. A repository's store has no such gate.
pub struct ReadContext(Context);

impl Deref for ReadContext {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

/// A context of a process that asks this API server, for tests.
#[cfg(test)]
pub mod tests {
    use super::*;
    use kube::Client;
    use p861_runs::{
        Admissions, ComponentState, EffectTasks, JournalKeys, MoverSettings, Occupancy, RunCache,
        effects::{KeysGiven, Warnings, Watched},
        folders::FolderRoot,
        leadership::Leadership,
        movers::child::Children,
        repository::StoreCache,
    };

    /// Repositories in folders are where temporary ones are.
    fn stores() -> StoreCache {
        StoreCache::with_folders(FolderRoot::new(&std::env::temp_dir()).expect("an absolute path"))
    }

    /// A process that knows nothing yet. The operator's namespace is `p861-system`.
    pub fn process(client: &Client, cache: HubCache) -> Context {
        let (client, leadership, namespace) = (client.clone(), Leadership::without_lease(), "p861-system");
        let metrics = Metrics::new().expect("metrics");
        let hub = Hub {
            client: client.clone(),
            leadership: leadership.clone(),
            namespace: namespace.into(),
            identity: "test".into(),
            stores: stores(),
            journal_keys: JournalKeys::default(),
        };
        let sites = Sites::new(client.clone(), namespace, leadership.clone());
        let runs = RunContext {
            hub: hub.clone(),
            sites: sites.clone(),
            movers: MoverSettings {
                image: "image:1".into(),
                image_pull_policy: "Never".into(),
                children: Children::default(),
                given: KeysGiven::default(),
                warnings: Warnings::default(),
                watched: Watched::default(),
            },
            components: ComponentState::default(),
            cache: RunCache::default(),
            admissions: Admissions::default(),
            occupancy: Occupancy::default(),
            tasks: EffectTasks::default(),
            metrics: metrics.runs.clone(),
        };
        let messaging = Messaging { heartbeats: Heartbeats::default(), keys: Keys::new(client, namespace, leadership), public_url: None };
        Context { hub, cache, sites, runs, metrics, messaging }
    }
}
