//! The executor: effects, and in-memory state of the runs that this process has claimed.

use crate::{cache::RunCache, context::RunContext, effects::Effects, leadership::Leadership, metrics::RunMetrics, tasks::EffectTasks};

/// Executes runs with effects on real sites, or with simulated ones in tests.
#[derive(Clone)]
pub struct Executor<E> {
    /// The effects.
    pub effects: E,
    /// Runs that this process has claimed.
    pub cache: RunCache,
    /// Effects under way.
    pub tasks: EffectTasks,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// Name of this process, in claims.
    pub identity: String,
    /// Metrics.
    pub metrics: RunMetrics,
}

impl<E: Effects> Executor<E> {
    /// An executor that has claimed nothing yet.
    pub fn new(effects: E, leadership: Leadership, identity: &str, metrics: RunMetrics) -> Self {
        Self { effects, cache: RunCache::default(), tasks: EffectTasks::default(), leadership, identity: identity.to_owned(), metrics }
    }
}

impl RunContext {
    /// The executor over this context's sites.
    pub fn executor(&self) -> Executor<Self> {
        Executor {
            effects: self.clone(),
            cache: self.cache.clone(),
            tasks: self.tasks.clone(),
            leadership: self.hub.leadership.clone(),
            identity: self.hub.identity.clone(),
            metrics: self.metrics.clone(),
        }
    }
}
