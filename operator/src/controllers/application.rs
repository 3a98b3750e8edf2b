//! Application: whether it is found, healthy, protected and recoverable. Also writes its marker once per period.

use super::{cached_district, plan::members, refuse_foreign_namespaces, refuse_taken_namespaces, run::scope_of, site_of, window::zone_of};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
    metrics::Metrics,
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{
    ids::SiteName,
    platform::{
        application::{self, ApplicationSeen, CheckSeen, Misplaced, marker_turn, refuse_unknown_department},
        facts::Unseen,
        pattern::{has_patterns, refuse_patterns},
    },
    protection::policy::decide::of_application,
    recovery::objectives,
    runs::Scope,
    told::Noun,
};
use p861_crds::{
    Application, ApplicationSpec, ApplicationStatus, Backup, BackupPolicy, ConditionType, Reason, RecoveryPlan, Restore, common::ContainerCommand,
    platform::application::Check,
};
use p861_runs::{
    effects::{
        check::{self, CheckResult},
        gated, refuse_unpermitted,
    },
    error::{Error, Result},
    sites::view::{VIEW_RECHECK_TTL, VIEW_TTL, View},
    thinking,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// Longest time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
/// Checks of an application that are tried at once.
const CHECKS_AT_ONCE: usize = 4;
/// Time limit for one try of all checks of an application.
const CHECKS_TIMEOUT: Duration = Duration::from_mins(1);
/// Time limit for the command that writes a marker.
const MARKER_WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// The controller. Remembers when each marker was written; a restart only causes one extra write.
#[derive(Default)]
pub struct ApplicationController {
    markers: Mutex<HashMap<String, Timestamp>>,
}

/// What an application is judged by.
pub struct Observed {
    plans: Vec<RecoveryPlan>,
    seen: std::result::Result<ApplicationSeen, Unseen>,
    backups: Vec<Backup>,
    /// Those that write where an application runs.
    restores: Vec<Restore>,
    /// All policies of its district.
    policies: Vec<BackupPolicy>,
    /// The district's time zone.
    zone: String,
    last_marker: Option<Timestamp>,
}

/// A marker to write.
pub struct WriteMarker {
    site: SiteName,
}

impl Controller for ApplicationController {
    type Kind = Application;
    type Status = ApplicationStatus;
    type Observed = Observed;
    type Effects = Option<WriteMarker>;
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, context: &ReadContext, application: &Application, _: Timestamp) -> Result<Observed> {
        let (name, namespace) = (application.name_any(), application.namespace().unwrap_or_default());
        let of_application = |plan: &RecoveryPlan| members(plan).any(|member| member == name).then(|| plan.clone());
        let plans = context.cache.filter_map(Some(&namespace), of_application).await?;
        let seen = find(context, application, &namespace, &plans).await;
        let own = |backup: &Backup| (backup.spec.application_ref.name == name).then(|| backup.clone());
        let in_place = |restore: &Restore| restore.status.as_ref()?.in_place.as_ref().map(|_| restore.clone());
        Ok(Observed {
            plans,
            seen: seen.map_err(|error| Unseen { reason: error.reason(), message: error.to_string() }),
            backups: context.cache.filter_map(Some(&namespace), own).await?,
            restores: context.cache.filter_map(Some(&namespace), in_place).await?,
            policies: context.cache.list(&namespace).await?,
            zone: zone_of(context, &namespace).await?,
            last_marker: self.markers.lock().get(&application.uid().unwrap_or_default()).copied(),
        })
    }

    fn decide(application: &Application, observed: &Observed, now: Timestamp) -> DecisionOf<Self> {
        let runs = (observed.backups.as_slice(), observed.restores.as_slice());
        let policy = of_application(application, &observed.policies, &observed.backups, &observed.zone, now);
        let (status, conditions) = application::decide(application, &observed.seen, &observed.plans, runs, &policy, now);
        let seen = observed.seen.as_ref().ok();
        let turn = application.spec.marker.as_ref().filter(|_| seen.is_some()).map(|marker| marker_turn(marker, observed.last_marker, now));
        let next_marker = turn.and_then(|turn| Duration::try_from(turn.next).ok());
        Decision {
            status,
            conditions,
            events: Vec::new(),
            effects: seen.filter(|_| turn.is_some_and(|turn| turn.due)).map(|seen| WriteMarker { site: seen.site.clone() }),
            requeue: next_marker.map_or(RECONCILE_INTERVAL, |next| next.min(RECONCILE_INTERVAL)),
        }
    }

    /// A marker that can't be written is logged, and written next time; the newest marker that a restore finds shows the gap.
    async fn perform(&self, context: &Context, application: &Application, marker: &Option<WriteMarker>, now: Timestamp) -> Result<()> {
        if let Some(marker) = marker {
            match write_marker(context, application, marker, now).await {
                Ok(()) => drop(self.markers.lock().insert(application.uid().unwrap_or_default(), now)),
                Err(why) => tracing::warn!(application = application.name_any(), "marker.write failed: {why}"),
            }
        }
        Ok(())
    }

    fn set_metrics(&self, metrics: &Metrics, application: &Application, _: &Observed, status: &ApplicationStatus) {
        let labels = [application.namespace().unwrap_or_default(), application.name_any()];
        if let Some(last) = &status.last_backup {
            metrics.backup_last_success.with_label_values(&labels).set(last.recovery_point_time.0.as_duration().as_secs_f64());
        }
        let rpo = status.objectives.as_ref().and_then(|objectives| objectives.rpo.as_ref());
        if let Some(rpo) = objectives::duration(rpo).ok().flatten() {
            metrics.rpo_objective.with_label_values(&labels).set(rpo.as_secs_f64());
        }
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        // Fails if the series doesn't exist, which is fine.
        let _ = metrics.backup_last_success.remove_label_values(&[namespace, name]);
        let _ = metrics.rpo_objective.remove_label_values(&[namespace, name]);
    }
}

/// Finds the application's objects on its site, and tries its checks.
async fn find(context: &Context, application: &Application, namespace: &str, plans: &[RecoveryPlan]) -> Result<ApplicationSeen> {
    let misplaced = |error: Misplaced| Error::invalid(error.reason(), error.to_string());
    let district = cached_district(context, namespace).await?;
    refuse_foreign_namespaces(&district, application)?;
    refuse_unknown_department(&district, application).map_err(misplaced)?;
    if has_patterns(application) {
        let declared = application.clone();
        thinking::apart(move || refuse_patterns(&declared)).await?.map_err(|why| Error::invalid(Reason::Invalid, why))?;
    }
    refuse_taken_namespaces(context, application).await?;
    let site = site_of(&application.name_any(), plans, &district)?;
    let view = context.sites.view(&site, VIEW_TTL).await?;
    let mut found = find_in(&view, &site, application);
    // Confirm with a fresh view before reporting anything as missing or unhealthy.
    if found.as_ref().map_or(true, |(_, conditions)| conditions.values().any(|seen| !seen.holds)) {
        found = find_in(&*context.sites.view(&site, VIEW_RECHECK_TTL).await?, &site, application);
    }
    let (found, conditions) = found?;
    if !application.spec.cluster_resources.is_empty() {
        refuse_unpermitted(&context.sites.client(&site).await?, &site, namespace, &application.spec.cluster_resources).await?;
    }
    let scope = Scope::of(&district);
    let once = |namespace, check| gated::try_check(&context.sites, &scope, &site, namespace, check);
    let checks = try_checks(application, conditions, CHECKS_TIMEOUT, once).await;
    Ok(ApplicationSeen { site: site.into(), found, checks })
}

/// Finds the application's objects in a view of its site, and evaluates its condition checks.
fn find_in(view: &View, site: &SiteName, application: &Application) -> Result<(String, BTreeMap<String, CheckResult>)> {
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
    let found = found_in_words(workloads.len(), claims.len(), spec);
    let conditions = spec.checks.iter().filter_map(|check| {
        let condition = check.condition.as_ref()?;
        let namespace = condition.workload_ref.namespace.as_deref().unwrap_or(first);
        Some((check.name.clone(), check::condition_result(view.workload(namespace, &condition.workload_ref), namespace, condition)))
    });
    Ok((found, conditions.collect()))
}

/// What was found. Workloads are only looked for where spec names them: that none are counted says nothing of the namespaces.
fn found_in_words(workloads: usize, claims: usize, spec: &ApplicationSpec) -> String {
    let workloads =
        if workloads == 0 { "no workloads looked for (spec names none)".to_owned() } else { format!("{} that spec names", Noun::Workload.count(workloads)) };
    format!("{workloads}, {}, {} found in {}", Noun::Claim.count(claims), Noun::Check.count(spec.checks.len()), spec.namespaces.join(", "))
}

/// Tries every check once, some at a time; condition checks are already evaluated. What has no result in time fails: many slow checks must not add up to more than a
/// reconcile may take.
async fn try_checks<'a, Try: Future<Output = Result<CheckResult>>>(
    application: &'a Application,
    mut conditions: BTreeMap<String, CheckResult>,
    limit: Duration,
    attempt: impl Fn(&'a str, &'a Check) -> Try,
) -> Vec<CheckSeen> {
    let first = application.spec.namespaces.first().map_or("", String::as_str);
    let until = tokio::time::Instant::now() + limit;
    let tries = application.spec.checks.iter().map(|check| (check, conditions.remove(&check.name))).map(|(check, known)| {
        let namespace = check.exec.as_ref().and_then(|exec| exec.workload_ref.namespace.as_deref()).unwrap_or(first);
        let tried = attempt(namespace, check);
        async move {
            let failing = match known {
                Some(seen) => (!seen.holds).then_some(seen.what),
                None => match tokio::time::timeout_at(until, tried).await {
                    Ok(Ok(seen)) => (!seen.holds).then_some(seen.what),
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(_) => Some(format!("no result: the application's checks took longer than {limit:?} together")),
                },
            };
            CheckSeen { name: check.name.clone(), failing }
        }
    });
    stream::iter(tries.collect::<Vec<_>>()).buffered(CHECKS_AT_ONCE).collect().await
}

async fn write_marker(context: &Context, application: &Application, WriteMarker { site }: &WriteMarker, now: Timestamp) -> std::result::Result<(), String> {
    let Some(marker) = &application.spec.marker else { return Ok(()) };
    let first = application.spec.namespaces.first().cloned().unwrap_or_default();
    let namespace = marker.workload_ref.namespace.as_ref().unwrap_or(&first);
    // Milliseconds: finer than any objective, and every database can store them.
    let text = format!("{now:.3}");
    let command: Vec<String> = marker.write.iter().map(|word| word.replace("$(MARKER)", &text)).collect();
    let command = ContainerCommand { workload_ref: marker.workload_ref.clone(), container: marker.container.clone(), command };
    context.hub.leadership.ensure().map_err(|error| error.to_string())?;
    let scope = scope_of(context, &application.namespace().unwrap_or_default(), "", None).await.map_err(|error| error.to_string())?;
    match gated::run_command(&context.sites, &scope, site, namespace, &command, MARKER_WRITE_TIMEOUT).await {
        Ok(output) if output.success => Ok(()),
        Ok(output) => Err(output.excerpt()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn that_no_workload_was_looked_for_is_not_told_as_if_there_were_none() {
        let spec: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": ["shinan-a", "shinan-b"]})).expect("a spec");
        for (workloads, expected) in [
            (0, "no workloads looked for (spec names none), 2 claims, 0 checks found in shinan-a, shinan-b"),
            (3, "3 workloads that spec names, 2 claims, 0 checks found in shinan-a, shinan-b"),
        ] {
            assert_eq!(found_in_words(workloads, 2, &spec), expected);
        }
    }

    #[tokio::test]
    async fn fault_e12_many_checks_that_never_answer_end_within_one_limit_and_the_others_have_their_results() {
        let once = |_, check: &Check| {
            let quick = check.http.as_ref().is_some_and(|http| http.service_name == "quick");
            async move {
                if !quick {
                    std::future::pending::<()>().await;
                }
                Ok(CheckResult { holds: true, what: "well".to_owned() })
            }
        };
        let service = |number: usize| if number == 0 { "quick" } else { "slow" };
        let checks: Vec<_> = (0..40).map(|number| json!({"name": format!("c{number}"), "http": {"serviceName": service(number), "port": 80}})).collect();
        let spec = json!({"names": {"en": "a"}, "department": "d", "namespaces": ["shinan-a"], "checks": checks});
        let application: Application =
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": "a"}, "spec": spec}))
                .expect("one");
        let tried = try_checks(&application, BTreeMap::new(), Duration::from_millis(100), once);
        // Each alone may take 15 seconds.
        let seen = tokio::time::timeout(Duration::from_secs(10), tried).await.expect("together they have one limit");
        assert_eq!(seen.len(), 40);
        assert_eq!((seen[0].name.as_str(), &seen[0].failing), ("c0", &None));
        let late = seen[1..].iter().filter(|seen| seen.failing.as_ref().is_some_and(|why| why.contains("no result")));
        assert_eq!(late.count(), 39);
    }
}
