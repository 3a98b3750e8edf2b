//! What every controller has at hand.

use crate::{
    alerts::{Heartbeats, Keys},
    effects::component::{Installing, Registry},
    known::Known,
    leader::Leadership,
    metrics::Metrics,
    movers::child::Children,
    runs::RunCache,
    sites::Sites,
};
use kube::Client;

/// Shared by all controllers of a process.
#[derive(Clone)]
pub struct Context {
    /// The hub.
    pub client: Client,
    /// What the hub holds, as the controllers see it.
    pub known: Known,
    /// The sites.
    pub sites: Sites,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// Metrics.
    pub metrics: Metrics,
    /// The operator's namespace: what stands there is the city's.
    pub namespace: String,
    /// This replica.
    pub identity: String,
    /// Image of movers: the operator's own.
    pub image: String,
    /// Its pull policy.
    pub image_pull_policy: String,
    /// Movers that are children of this process.
    pub children: Children,
    /// Who writes a component.
    pub installing: Installing,
    /// Bundles that were read from registries.
    pub registry: Registry,
    /// Runs that this process has claimed.
    pub runs: RunCache,
    /// When each site's heartbeat was last heard.
    pub heartbeats: Heartbeats,
    /// The key of links in messages.
    pub keys: Keys,
    /// Where people reach the links.
    pub public_url: Option<String>,
}
