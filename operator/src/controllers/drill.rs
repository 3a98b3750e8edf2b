//! Drill: one run of a plan into isolated namespaces, measured and reported.

use super::{
    all, allotted_site, district_of, named, plan, plan_sites, platform_of,
    points::newest,
    run::{runs_of, scope_of},
};
use crate::{context::Context, metrics::Metrics, reports};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt as _, api::ListParams};
use p861_core::{
    conditions::ConditionUpdate,
    engine::{Limits, Plan},
    ids::SiteName,
    maintenance::ticket::change_under_way,
    names,
    protection::{
        backup::Claim,
        claims::{claims_in, missing_parts},
        readable,
    },
    recovery::{
        conclude::{self, DrillConclusionFacts},
        drill::{self as compiler, DrillFacts},
        ground::Ground,
        plan_standing::{Point, subjects_of},
    },
    runs::{Action, AllottedSite, Conclusion, Request, RunClass, RunOutcome, StepKey},
    time::parse_duration,
};
use p861_crds::{
    Application, Backup, ConditionType, District, Drill, DrillStatus, MaintenanceTicket, Reason, RecoveryPlan,
    common::RunPhase,
    names::DRILL_LABEL,
    recovery::drill::{DrillResult, DrillType},
};
use p861_runs::{
    JournalStore, Pass, Readiness, RunKind, RunPlace, RunRecord, Sealing,
    error::{Error, ErrorContext as _, Result},
    kind::{remembered, request_of, to_remember},
    repository,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Drills.
pub struct DrillRun {
    context: Context,
}

impl From<Context> for DrillRun {
    fn from(context: Context) -> Self {
        Self { context }
    }
}

/// Input of the compiler.
pub struct Rehearsal {
    site: SiteName,
    points: Vec<Point>,
    keep_for: SignedDuration,
    deadline: SignedDuration,
    /// Duration of each step in the last drill, by step id.
    estimates: BTreeMap<String, SignedDuration>,
    ground: Ground,
}

/// State that a drill depends on.
pub struct Facts {
    plan: RecoveryPlan,
    applications: Vec<Application>,
    district: District,
    home: SiteName,
    /// None once the run has begun.
    rehearsal: Option<Rehearsal>,
}

/// What a drill keeps from its beginning: it is measured and reported by what was declared then.
#[derive(Serialize, Deserialize)]
struct Remembered {
    plan: RecoveryPlan,
    applications: Vec<Application>,
    district: District,
    home: SiteName,
}

impl RunKind for DrillRun {
    type Object = Drill;
    type Facts = Facts;
    const CLASS: RunClass = RunClass::Drill;

    async fn locate(&self, drill: &Drill, begun: Option<&RunRecord>) -> Result<Readiness<RunPlace>> {
        let (hub, namespace, uid) = (&self.context.hub, drill.namespace().unwrap_or_default(), drill.uid().unwrap_or_default());
        let prefix = journal_prefix(&drill.spec.plan_ref.name, &uid);
        let (repository, location) = if let Some(begun) = begun {
            (begun.repository.clone(), begun.journal.clone())
        } else {
            let plan: RecoveryPlan = named(&hub.client, &namespace, &drill.spec.plan_ref.name).await?;
            let repository = plan.spec.repository_ref.name;
            let location = repository::location_of(hub, &namespace, &repository, &prefix).await?;
            (repository, location)
        };
        let store = repository::open_store(hub, &namespace, &repository).await?;
        let scope = scope_of(&self.context, &namespace, &repository, begun).await?.isolated(&names::drill_id(&uid));
        let sealing = Sealing::of_object(hub, drill, Self::CLASS, &Self::run_uid(drill)).await?;
        let repository_runs = runs_of(&self.context, &namespace, &repository).await?;
        let journal = JournalStore::Bucket { store, prefix, location, sealing: Box::new(sealing) };
        Ok(Readiness::Ready(RunPlace { repository, repository_runs, journal, scope }))
    }

    async fn gather(&self, drill: &Drill, _: &RunPlace, begun: Option<&RunRecord>) -> Result<Facts> {
        if let Some(begun) = begun {
            let Remembered { plan, applications, district, home } = remembered(begun)?;
            return Ok(Facts { plan, applications, district, home, rehearsal: None });
        }
        let (client, namespace) = (&self.context.hub.client, drill.namespace().unwrap_or_default());
        let plan: RecoveryPlan = named(client, &namespace, &drill.spec.plan_ref.name).await?;
        let applications: Vec<Application> = all(client, &namespace).await?;
        let district = district_of(client, &namespace).await?;
        let (home, standby) = plan_sites(&plan, &district)?;
        let rehearsal = rehearsal(&self.context, drill, &plan, &applications, (&district, standby)).await?;
        Ok(Facts { plan, applications, district, home: home.into(), rehearsal: Some(rehearsal) })
    }

    fn remember(facts: &Facts) -> Result<serde_json::Value> {
        let members: Vec<&str> = plan::members(&facts.plan).collect();
        let applications = facts.applications.iter().filter(|application| members.contains(&application.name_any().as_str()));
        let mut kept =
            Remembered { plan: facts.plan.clone(), applications: applications.cloned().collect(), district: facts.district.clone(), home: facts.home.clone() };
        // Neither says anything of what is drilled, and both can be long.
        for metadata in kept.applications.iter_mut().map(|application| &mut application.metadata).chain([&mut kept.plan.metadata, &mut kept.district.metadata])
        {
            (metadata.managed_fields, metadata.annotations) = (None, None);
        }
        to_remember(&kept)
    }

    fn request(drill: &Drill, place: &RunPlace, facts: &Facts) -> Option<Request> {
        // A tabletop drill only reads.
        if drill.spec.r#type == DrillType::Tabletop {
            return None;
        }
        let site =
            facts.rehearsal.as_ref().map(|rehearsal| rehearsal.site.clone()).or_else(|| drill.status.as_ref()?.target_site.as_deref().map(SiteName::from));
        let request = Request {
            plan: Some(facts.plan.name_any().into()),
            applications: plan::members(&facts.plan).map(ToOwned::to_owned).collect(),
            sites: site.into_iter().collect(),
            ..request_of(drill, Self::CLASS, place)
        };
        // A copy that is left standing for days reads nothing of the repository any more, and must not keep in it what nobody needs.
        let mut current = drill.status.iter().flat_map(|status| &status.current_steps);
        let stands = current.any(|step| step.phase == RunPhase::WaitingForPerson && step.id.parse() == Ok(StepKey::Hold));
        Some(if stands { Request { repository: None, ..request } } else { request })
    }

    fn compile(drill: &Drill, facts: &Facts) -> Result<Plan<Action>> {
        let rehearsal = facts.rehearsal.as_ref().ok_or_else(|| Error::Internal("a drill that has begun is compiled again".into()))?;
        let invalid = |error: &dyn std::fmt::Display| Error::invalid(Reason::Invalid, error.to_string());
        let subjects = subjects_of(&facts.applications, &rehearsal.points);
        let id = names::drill_id(&drill.uid().unwrap_or_default());
        let of_drill = DrillFacts {
            drill_type: drill.spec.r#type,
            id: &id,
            site: &rehearsal.site,
            plan: &facts.plan.spec,
            subjects: &subjects,
            keep_for: rehearsal.keep_for,
            ground: &rehearsal.ground,
        };
        compiler::check_times(rehearsal.deadline, rehearsal.keep_for).map_err(|error| invalid(&error))?;
        let compiled = compiler::compile(&of_drill).map_err(|error| invalid(&error))?;
        let steps = compiled.steps().iter().map(|step| step.clone().estimate(rehearsal.estimates.get(step.id.as_str()).copied())).collect();
        Plan::with_limits(steps, Limits { parallel: None, deadline: Some(rehearsal.deadline) }).map_err(|error| invalid(&error))
    }

    fn conclude(drill: &Drill, facts: &Facts, before: &DrillStatus, run: &RunOutcome<'_>) -> Conclusion<DrillStatus> {
        let mut before = before.clone();
        if before.from_site.is_none() {
            before.from_site = Some(facts.home.to_string());
        }
        let of_drill = DrillConclusionFacts {
            name: drill.metadata.name.as_deref().unwrap_or_default(),
            drill_type: drill.spec.r#type,
            before: &before,
            plan: &facts.plan.spec,
            prediction: facts.plan.status.as_ref().and_then(|status| status.prediction.as_ref()),
            applications: &facts.applications,
        };
        conclude::conclude(&of_drill, run)
    }

    async fn finish(&self, drill: &Drill, facts: &Facts, status: &mut DrillStatus, pass: &Pass) -> Result<()> {
        let declared = reports::Declared { plan: &facts.plan, applications: &facts.applications, district: &facts.district };
        let report = reports::write(&self.context, drill, status, &declared, pass).await?;
        status.report = Some(report);
        if conclude::proves(&drill.spec, status) {
            gauge(&self.context.metrics, &drill.namespace().unwrap_or_default(), &facts.plan.name_any(), status);
        }
        Ok(())
    }

    fn stop(status: &mut DrillStatus) -> Vec<ConditionUpdate> {
        status.result = Some(DrillResult::Failed);
        let site = status.target_site.as_deref().unwrap_or("the standby site");
        let message = format!("copies of this drill may be left on {site}: kubectl get namespaces -l {DRILL_LABEL}, and delete those of this drill");
        vec![ConditionUpdate::bad(ConditionType::CleanedUp, Reason::JournalTampered, message)]
    }

    fn refuse(status: &mut DrillStatus) -> Vec<ConditionUpdate> {
        status.result = Some(DrillResult::Incomplete);
        vec![ConditionUpdate::good(ConditionType::CleanedUp, Reason::NothingMade, "nothing was made")]
    }
}

/// Where the journal of a drill is in its plan's repository.
pub(super) fn journal_prefix(plan: &str, uid: &str) -> String {
    format!("journal/{plan}/{uid}")
}

async fn rehearsal(
    context: &Context,
    drill: &Drill,
    plan: &RecoveryPlan,
    applications: &[Application],
    (district, standby): (&District, AllottedSite),
) -> Result<Rehearsal> {
    let namespace = drill.namespace().unwrap_or_default();
    let site = match &drill.spec.site_ref {
        Some(named) => allotted_site(district, &named.name.as_str().into())?,
        None => standby,
    };
    if drill.spec.r#type != DrillType::Tabletop {
        let tickets: Vec<MaintenanceTicket> = all(&context.hub.client, &namespace).await?;
        if let Some(busy) = change_under_way(&tickets, &plan::members(plan).collect::<Vec<_>>(), &site) {
            let name = busy.name_any();
            let message = format!("change {name} is under way on what this drill uses: wait for its end (p861 ticket show {name}), and run the drill anew");
            return Err(Error::invalid(Reason::PlanBusy, message));
        }
    }
    let duration = |what: &str, text: &str| parse_duration(text).map_err(|error| Error::invalid(Reason::Invalid, format!("{what}: {error}")));
    let keep_for = duration("spec.keepFor", &drill.spec.keep_for.0)?;
    let deadline = duration("spec.deadline", &drill.spec.deadline.0)?;
    let points = points(context, plan, applications, drill.spec.recovery_point.not_after_time.as_ref().map(|time| time.0)).await?;
    let estimates = reports::durations(context, &namespace, plan).await;
    let ground = Ground { platform: platform_of(&context.hub.client, &namespace).await?, classes: classes(context, district, &points, &site).await };
    Ok(Rehearsal { site: site.into(), points, keep_for, deadline, estimates, ground })
}

/// The plan's applications, each with its newest sound backup and the claims in it.
pub async fn points(context: &Context, plan: &RecoveryPlan, applications: &[Application], not_after: Option<Timestamp>) -> Result<Vec<Point>> {
    let namespace = plan.namespace().unwrap_or_default();
    let backups: Vec<Backup> = all(&context.hub.client, &namespace).await?;
    let mut points = Vec::new();
    for name in plan::members(plan) {
        let application = applications.iter().find(|application| application.name_any() == name).ok_or_else(|| {
            Error::invalid(
                Reason::ApplicationMissing,
                format!("application {name} of plan {} doesn't exist: kubectl get applications -n {namespace}", plan.name_any()),
            )
        })?;
        let point = newest(context, &namespace, name, &backups, not_after).await?;
        let parts = repository::snapshot_parts(&context.hub, &namespace, &point).await?;
        let missing = missing_parts(&application.spec, &parts, &readable::unused_in(&backups, &point.snapshot));
        if !missing.is_empty() {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let message = format!("backup {} of application {name} has no {}: p861 backup now {name}", point.backup, missing.join(", no "));
            return Err(Error::invalid(Reason::NoRecoveryPoint, message));
        }
        let first = application.spec.namespaces.first().map(String::as_str).unwrap_or_default();
        points.push((name.to_owned(), point, claims_in(&parts, first)));
    }
    Ok(points)
}

/// The storage classes of each application's claims where its backup was made, as they are there now: the backup's own objects are read only once it is restored.
/// Not asked of an application that stays on its site.
async fn classes(context: &Context, district: &District, points: &[Point], site: &SiteName) -> BTreeMap<String, std::result::Result<BTreeSet<String>, String>> {
    let mut found = BTreeMap::new();
    let mut silent: BTreeMap<&SiteName, String> = BTreeMap::new();
    for (application, point, claims) in points.iter().filter(|(_, _, claims)| !claims.is_empty()) {
        let Some(source) = point.site.as_ref().filter(|source| *source != site) else { continue };
        let classes = match silent.get(source) {
            Some(why) => Err(why.clone()),
            None => classes_of(context, district, source, claims).await.map_err(|error| error.to_string()),
        };
        if let Err(why) = &classes {
            silent.insert(source, why.clone());
        }
        found.insert(application.clone(), classes);
    }
    found
}

/// Where a backup was made, its snapshot says, which is in the district's own bucket.
async fn classes_of(context: &Context, district: &District, site: &SiteName, wanted: &[Claim]) -> Result<BTreeSet<String>> {
    let client = context.sites.client(&allotted_site(district, site)?).await?;
    let namespaces: BTreeSet<&String> = wanted.iter().map(|claim| &claim.namespace).collect();
    let mut classes = BTreeSet::new();
    for namespace in namespaces {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let there = claims.list(&ListParams::default()).await.context(|| format!("list the claims of {namespace} on {site}"))?.items;
        let saved = there.iter().filter(|claim| wanted.iter().any(|wanted| wanted.namespace == *namespace && wanted.name == claim.name_any()));
        classes.extend(saved.filter_map(|claim| {
            let old = claim.annotations().get("volume.beta.kubernetes.io/storage-class");
            old.or(claim.spec.as_ref()?.storage_class_name.as_ref()).filter(|class| !class.is_empty()).cloned()
        }));
    }
    Ok(classes)
}

/// Sets the metrics of a plan's newest drill that proves recovery.
pub fn gauge(metrics: &Metrics, namespace: &str, plan: &str, status: &DrillStatus) {
    if let Some(end) = &status.completion_time {
        metrics.drill_last_completion.with_label_values(&[namespace, plan]).set(end.0.as_duration().as_secs_f64());
    }
    for result in conclude::RESULTS {
        metrics.drill_last_result.with_label_values(&[namespace, plan, &result.to_string()]).set(i64::from(status.result == Some(result)));
    }
    if let Some(rto) = status.measured.as_ref().and_then(|m| m.rto.as_ref()).and_then(|rto| parse_duration(&rto.0).ok()) {
        metrics.drill_rto.with_label_values(&[namespace, plan]).set(rto.as_secs_f64());
    }
}
