//! Application: whether it is found, healthy, protected and recoverable. Also writes its marker once per period.

use super::{cached_district, plan::members, refuse_foreign_namespaces, site_of};
use crate::{context::Context, metrics::Metrics, reconciler::Reconciler};
use jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt};
use p861_core::{
    conditions::{self, ConditionUpdate},
    platform::district::plan_of,
    protection::{choose, standing},
    recovery::objectives,
    time::parse_duration,
};
use p861_crds::{
    Application, Backup, ConditionType, Reason, RecoveryPlan, Time,
    platform::application::{BackupSummary, Marker},
};
use p861_runs::status::apply_status;
use p861_runs::{
    effects::check::{self, CheckResult},
    error::{Error, Result},
    sites::{
        pods,
        view::{VIEW_RECHECK_TTL, VIEW_TTL, View},
    },
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// Longest time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
/// Time limit for the command that writes a marker.
const MARKER_WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// The controller. Remembers in memory when each marker was written; a restart only causes one extra write.
#[derive(Default)]
pub struct ApplicationReconciler {
    markers: Mutex<HashMap<String, Timestamp>>,
}

impl Reconciler for ApplicationReconciler {
    type Kind = Application;
    const CONDITION: ConditionType = ConditionType::Ready;

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        // Fails if the series doesn't exist, which is fine.
        let _ = metrics.backup_last_success.remove_label_values(&[namespace, name]);
        let _ = metrics.rpo_objective.remove_label_values(&[namespace, name]);
    }

    async fn reconcile(&self, context: &Context, application: Arc<Application>, now: Timestamp) -> Result<Duration> {
        let (name, namespace) = (application.name_any(), application.namespace().unwrap_or_default());
        let mut status = application.status.clone().unwrap_or_default();
        status.observed_generation = application.metadata.generation;
        status.objectives = Some(objectives::in_force(&application.spec));
        let mut updates = Vec::new();
        let mut next = RECONCILE_INTERVAL;
        let of_application = |plan: &RecoveryPlan| members(plan).any(|member| member == name).then(|| plan.clone());
        let plans = context.cache.filter_map(Some(&namespace), of_application).await?;
        match resolve(context, &application, &namespace, &plans).await {
            Ok(found) => {
                status.active_site = Some(found.site);
                updates.push(ConditionUpdate::good(ConditionType::Ready, Reason::Resolved, found.said));
                updates.push(healthy(&found.client, &application, found.conditions).await);
                if let Some(marker) = &application.spec.marker {
                    next = next.min(self.write_marker(context, &found.client, &application, marker, now).await);
                }
            }
            Err(error) => {
                updates.push(ConditionUpdate::bad(ConditionType::Ready, error.reason(), error.to_string()));
                updates.push(ConditionUpdate::unknown(ConditionType::Healthy, Reason::NotResolved, "see Ready"));
            }
        }
        let own = |backup: &Backup| (backup.spec.application_ref.name == name).then(|| backup.clone());
        let backups = context.cache.filter_map(Some(&namespace), own).await?;
        let newest = choose::newest_sound(&name, &backups, None);
        if let Ok(point) = &newest {
            status.last_backup = Some(BackupSummary { name: point.backup.clone(), recovery_point_time: Time(point.time) });
        }
        let rpo = objectives::duration(status.objectives.as_ref().and_then(|o| o.rpo.as_ref())).ok().flatten();
        updates.push(standing::protected(&name, &newest, rpo, now));
        status.verified = standing::verified(&name, &backups);
        let recoverable = standing::recoverable(&name, &status.verified, now);
        let plan = plan_of(&name, &plans);
        status.recovery_plan = plan.map(ResourceExt::name_any);
        let ready = standing::ready_to_failover(plan, &recoverable);
        updates.extend([recoverable, ready]);
        if let Some(last) = &status.last_backup {
            context.metrics.backup_last_success.with_label_values(&[&namespace, &name]).set(last.recovery_point_time.0.as_duration().as_secs_f64());
        }
        if let Some(rpo) = rpo {
            context.metrics.rpo_objective.with_label_values(&[&namespace, &name]).set(rpo.as_secs_f64());
        }
        status.conditions = conditions::apply(&status.conditions, &updates, application.metadata.generation, now);
        apply_status(&context.hub, application.as_ref(), application.status.as_ref(), &status).await?;
        Ok(next)
    }
}

/// State of the objects that an application names.
struct Found {
    site: String,
    client: Client,
    said: String,
    /// Results of its condition checks, by name.
    conditions: BTreeMap<String, CheckResult>,
}

/// Finds the application's objects on its site.
async fn resolve(context: &Context, application: &Application, namespace: &str, plans: &[RecoveryPlan]) -> Result<Found> {
    let district = cached_district(context, namespace).await?;
    refuse_foreign_namespaces(&district, application)?;
    if !district.spec.departments.is_empty() && !district.spec.departments.iter().any(|department| department.name == application.spec.department) {
        let known: Vec<&str> = district.spec.departments.iter().map(|d| d.name.as_str()).collect();
        return Err(Error::invalid(
            Reason::DepartmentUnknown,
            format!("department {} is not of district {}: it has {}", application.spec.department, district.name_any(), known.join(", ")),
        ));
    }
    // Two applications in one namespace would save and restore each other's objects, so only the older may have it.
    let age = |a: &Application| (a.metadata.creation_timestamp.as_ref().map(|t| t.0), a.name_any());
    let taken = |other: &Application| {
        let theirs = || other.uid() != application.uid() && age(other) < age(application);
        let taken = other.spec.namespaces.iter().find(|taken| application.spec.namespaces.contains(taken))?;
        theirs().then(|| (other.name_any(), taken.clone()))
    };
    if let Some((other, taken)) = context.cache.filter_map(Some(namespace), taken).await?.into_iter().min() {
        return Err(Error::invalid(Reason::NamespaceTaken, format!("namespace {taken} belongs to application {other}: a namespace is in one application")));
    }
    let site = site_of(&application.name_any(), plans, &district)?;
    let client = context.sites.client(&site).await?;
    let view = context.sites.view(&site, VIEW_TTL).await?;
    let mut found = find(&view, &site, application);
    // Confirm with a fresh view before reporting anything as missing or unhealthy.
    if found.as_ref().map_or(true, |(_, conditions)| conditions.values().any(|seen| !seen.holds)) {
        found = find(&*context.sites.view(&site, VIEW_RECHECK_TTL).await?, &site, application);
    }
    let (said, conditions) = found?;
    Ok(Found { site, client, said, conditions })
}

/// Finds the application's objects in a view of its site, and evaluates its condition checks.
fn find(view: &View, site: &str, application: &Application) -> Result<(String, BTreeMap<String, CheckResult>)> {
    let spec = &application.spec;
    let first = spec.namespaces.first().map(String::as_str).unwrap_or_default();
    let claims = super::backup::own_claims(site, application, |namespace| view.claims(namespace))?;
    let mut workloads = BTreeSet::new();
    for workload in spec.workload_refs() {
        let place = workload.namespace.as_deref().unwrap_or(first);
        if view.workload(place, workload).is_none() {
            return Err(Error::invalid(
                Reason::WorkloadMissing,
                format!("{workload} doesn't exist in namespace {place} on {site}: correct where spec names it"),
            ));
        }
        workloads.insert(format!("{place}/{workload}"));
    }
    let found = format!("{} workloads, {} claims, {} checks found in {}", workloads.len(), claims.len(), spec.checks.len(), spec.namespaces.join(", "));
    let conditions = spec.checks.iter().filter_map(|check| {
        let condition = check.condition.as_ref()?;
        let namespace = condition.workload_ref.namespace.as_deref().unwrap_or(first);
        Some((check.name.clone(), check::condition_result(view.workload(namespace, &condition.workload_ref), namespace, condition)))
    });
    Ok((found, conditions.collect()))
}

/// Tries every check once; condition checks are already evaluated.
async fn healthy(client: &Client, application: &Application, mut conditions: BTreeMap<String, CheckResult>) -> ConditionUpdate {
    let first = application.spec.namespaces.first().cloned().unwrap_or_default();
    let mut failing = Vec::new();
    for check in &application.spec.checks {
        let namespace = check.exec.as_ref().and_then(|exec| exec.workload_ref.namespace.as_ref()).unwrap_or(&first);
        let seen = match conditions.remove(&check.name) {
            Some(seen) => Ok(seen),
            None => check::try_once(client, namespace, check).await,
        };
        match seen {
            Ok(seen) if seen.holds => {}
            Ok(seen) => failing.push(format!("{}: {}", check.name, seen.what)),
            Err(error) => failing.push(format!("{}: {error}", check.name)),
        }
    }
    let total = application.spec.checks.len();
    match (total, failing.is_empty()) {
        (0, _) => ConditionUpdate::unknown(ConditionType::Healthy, Reason::NoChecks, "spec.checks is empty: nobody can tell"),
        (_, true) => ConditionUpdate::good(ConditionType::Healthy, Reason::ChecksPass, format!("{total} of {total}")),
        (_, false) => ConditionUpdate::bad(ConditionType::Healthy, Reason::ChecksFail, failing.join("; ")),
    }
}

impl ApplicationReconciler {
    /// Writes the marker if its period has passed. Returns the time until the next one.
    async fn write_marker(&self, context: &Context, client: &Client, application: &Application, marker: &Marker, now: Timestamp) -> Duration {
        let period = parse_duration(&marker.period.0).unwrap_or(SignedDuration::from_mins(1)).max(SignedDuration::from_secs(1));
        let uid = application.uid().unwrap_or_default();
        let last = self.markers.lock().get(&uid).copied();
        let due = last.map_or(SignedDuration::ZERO, |last| period - now.duration_since(last));
        if due > SignedDuration::from_millis(500) {
            return Duration::try_from(due).unwrap_or(RECONCILE_INTERVAL);
        }
        let first = application.spec.namespaces.first().cloned().unwrap_or_default();
        let namespace = marker.workload_ref.namespace.as_ref().unwrap_or(&first);
        // Milliseconds: finer than any objective, and every database can store them.
        let text = format!("{now:.3}");
        let command: Vec<String> = marker.write.iter().map(|word| word.replace("$(MARKER)", &text)).collect();
        if context.hub.leadership.ensure().is_err() {
            return RECONCILE_INTERVAL;
        }
        match pods::execute(client, namespace, &marker.workload_ref, marker.container.as_deref(), &command, MARKER_WRITE_TIMEOUT).await {
            Ok(output) if output.success => {
                self.markers.lock().insert(uid, now);
            }
            Ok(output) => tracing::warn!(application = application.name_any(), "marker.write failed: {}", output.excerpt()),
            Err(error) => tracing::warn!(application = application.name_any(), "marker.write failed: {error}"),
        }
        Duration::try_from(period).unwrap_or(RECONCILE_INTERVAL)
    }
}
