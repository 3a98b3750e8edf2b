//! What the executor of runs works with.

use crate::{
    admissions::Admissions,
    cache::RunCache,
    effects::{
        KeysGiven, Warnings, Watched,
        component::{BundleCache, ComponentLocks},
    },
    journal::JournalKeys,
    leadership::Leadership,
    metrics::RunMetrics,
    movers::child::Children,
    occupancy::Occupancy,
    repository::StoreCache,
    sites::Sites,
    tasks::EffectTasks,
};
use kube::Client;

/// The hub's API server, and this process's right to write to it.
#[derive(Clone)]
pub struct Hub {
    /// Client that refuses writes without the lease.
    pub client: Client,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// Namespace of the operator: hub-wide Secrets and objects live here.
    pub namespace: String,
    /// Name of this replica.
    pub identity: String,
    /// Stores of repositories that were opened lately.
    pub stores: StoreCache,
    /// The key of journals that are kept in repositories.
    pub journal_keys: JournalKeys,
}

/// How movers are started.
#[derive(Clone)]
pub struct MoverSettings {
    /// Their image: the operator's own.
    pub image: String,
    /// Its pull policy.
    pub image_pull_policy: String,
    /// Movers that are child processes.
    pub children: Children,
    /// Which of them were given what opens the repository.
    pub given: KeysGiven,
    /// Why movers that wait do so, as the Events say.
    pub warnings: Warnings,
    /// What runs where movers write over what was stopped.
    pub watched: Watched,
}

/// State of component installations.
#[derive(Clone, Default)]
pub struct ComponentState {
    /// Locks, one per component and site.
    pub locks: ComponentLocks,
    /// Bundles read from registries.
    pub bundles: BundleCache,
}

/// Shared dependencies of all runs' effects.
#[derive(Clone)]
pub struct RunContext {
    /// The hub.
    pub hub: Hub,
    /// The sites.
    pub sites: Sites,
    /// How movers are started.
    pub movers: MoverSettings,
    /// State of component installations.
    pub components: ComponentState,
    /// Runs that this process has claimed.
    pub cache: RunCache,
    /// Admission of new runs beside the running ones.
    pub admissions: Admissions,
    /// Which namespaces of sites are applications'.
    pub occupancy: Occupancy,
    /// Effects under way.
    pub tasks: EffectTasks,
    /// Metrics.
    pub metrics: RunMetrics,
}
