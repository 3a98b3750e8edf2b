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
