//! The controllers of Backup, Restore and Drill: one for all kinds of runs.

use super::{cached_district, vanished::Going};
use crate::{context::Context, dispatch::Step, reconciler::Reconciler};
use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use p861_core::runs::Scope;
use p861_crds::{BackupRepository, ConditionType, Reason, RunObject, RunStatus as _, Site, common::RunPhase};
use p861_runs::{RunKind, RunRecord, controller::reconcile, error::Result, hub};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Controller of a kind of run whose object is only a run.
pub struct RunReconciler<K: RunKind>(Going<K>);

impl<K: RunKind> Default for RunReconciler<K> {
    fn default() -> Self {
        Self(Going::default())
    }
}

impl<K: RunKind + From<Context>> Reconciler for RunReconciler<K> {
    type Kind = K::Object;
    const CONDITION: ConditionType = ConditionType::Succeeded;

    async fn reconcile(&self, context: &Context, object: Arc<K::Object>, now: Timestamp, step: &Step) -> Result<Duration> {
        self.0.note(&object);
        step.begins("carry the run on");
        reconcile(&context.runs, &K::from(context.clone()), object.as_ref(), now).await
    }

    fn sweep(&self, context: &Context, present: &dyn Fn() -> HashSet<String>) {
        self.0.sweep(context, present);
    }
}

/// Scope of a namespace's runs: the sites, namespaces and repository of its district. Runs in the operator's own namespace are hub-wide. A run that has begun keeps
/// the scope of its beginning if its District is deleted meanwhile: it must clean up.
///
/// # Errors
/// `DistrictMissing` if the namespace belongs to no District.
pub async fn scope_of(context: &Context, namespace: &str, repository: &str, begun: Option<&RunRecord>) -> Result<Scope> {
    let scope = if namespace == context.hub.namespace {
        let sites = context.cache.filter_map(None, |site: &Site| Some(site.name_any())).await?;
        Scope::of_city(namespace, sites)
    } else {
        match (cached_district(context, namespace).await, begun) {
            (Ok(district), _) => Scope::of(&district),
            (Err(error), Some(begun)) if error.reason() == Reason::DistrictMissing => return Ok(begun.scope.clone()),
            (Err(error), _) => return Err(error),
        }
    };
    Ok(if repository.is_empty() { scope } else { scope.with_repository(repository) })
}

/// The most runs that a repository takes at once; none if it isn't known.
///
/// # Errors
/// If repositories can't be read.
pub async fn runs_of(context: &Context, namespace: &str, repository: &str) -> Result<Option<usize>> {
    let movers = |object: &BackupRepository| (object.name_any() == repository).then_some(object.spec.limits.movers);
    Ok(context.cache.filter_map(Some(namespace), movers).await?.first().and_then(|movers| usize::try_from(*movers).ok()))
}

/// UIDs of runs of a kind that have begun and not ended. Admission lets no new run begin before they are resumed.
///
/// # Errors
/// If they can't be listed.
pub async fn begun<K: RunObject>(client: &Client) -> Result<Vec<String>> {
    let mut begun = Vec::new();
    let goes_on = |run: &K| run.run_status().is_some_and(|status| status.has_begun() && !status.phase().is_some_and(RunPhase::is_end));
    hub::for_each(client, |run: K| begun.extend(run.uid().filter(|_| goes_on(&run)))).await?;
    Ok(begun)
}

#[cfg(test)]
pub(super) mod fake_hub;
#[cfg(test)]
mod tests;
