//! How a plan stands: whether it compiles, its standby is ready, and it was drilled.

use super::{
    bring_up::Subject,
    conclude::is_on_standby,
    drill::{self as compiler, DrillFacts},
    ground::Ground,
    preflight::{PreflightFacts, preflight},
    standing::{self, members},
};
use crate::{
    conditions::ConditionUpdate,
    engine::Plan,
    ids::SiteName,
    platform::facts::Unseen,
    protection::{backup::Claim, choose::RecoveryPoint},
    runs::Action,
    time::print_duration,
    told::Noun,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Application, Backup, ConditionType, Drill, Reason, RecoveryPlan, RecoveryPlanStatus, Time,
    common::StepCounts,
    platform::site::NodeCounts,
    recovery::{
        drill::DrillType,
        plan::{LastDrill, Preflight},
    },
};
use serde_json::{Value, json};

/// An application's recovery point, and the claims in it.
pub type Point = (String, RecoveryPoint, Vec<Claim>);

/// What a recovery would start from.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryInputs {
    /// The recovery point of each of the plan's applications.
    pub points: Vec<Point>,
    /// The standby's nodes, or why they are not known.
    pub nodes: Result<NodeCounts, String>,
    /// Whether the plan's repository can be read, or why not.
    pub repository: Result<(), String>,
}

/// What a plan is compiled from.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanInputs {
    /// Where its applications run.
    pub active: SiteName,
    /// Where they would be recovered.
    pub standby: SiteName,
    /// All plans of its namespace.
    pub plans: Vec<RecoveryPlan>,
    /// All applications of its namespace.
    pub applications: Vec<Application>,
    /// What a recovery would start from, or why there is nothing.
    pub recovery: Result<RecoveryInputs, Unseen>,
    /// What is known of the sites.
    pub ground: Ground,
}

/// What a plan is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanFacts {
    /// The plan's drills.
    pub drills: Vec<Drill>,
    /// All backups of its namespace.
    pub backups: Vec<Backup>,
    /// What it is compiled from, or why that is not known.
    pub inputs: Result<PlanInputs, Unseen>,
}

/// How a plan stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanStanding {
    /// Its status, without conditions.
    pub status: RecoveryPlanStatus,
    /// Its conditions.
    pub conditions: Vec<ConditionUpdate>,
    /// Its compiled steps.
    pub steps: Option<Plan<Action>>,
}

/// How a plan stands at `now`.
pub fn decide(plan: &RecoveryPlan, facts: &PlanFacts, now: Timestamp) -> PlanStanding {
    let mut status = plan.status.clone().unwrap_or_default();
    let drills: Vec<&Drill> = facts.drills.iter().collect();
    let is_running = |drill: &&Drill| drill.status.as_ref().and_then(|status| status.phase).is_some_and(|phase| !phase.is_end());
    status.current_run = facts.drills.iter().find(is_running).and_then(|drill| drill.metadata.name.clone());
    let last_drill = standing::last_drill(&drills);
    let mut conditions = vec![standing::drilled(last_drill.as_ref(), now)];
    // One that says nothing of the plan is not kept, though an earlier release named it.
    let is_beside = |last: &LastDrill| {
        let named = drills.iter().find(|drill| drill.metadata.name.as_deref() == Some(last.name.as_str()));
        named.and_then(|drill| drill.status.as_ref()).is_some_and(|status| !is_on_standby(status))
    };
    status.last_drill = last_drill.or(status.last_drill.filter(|last| !is_beside(last)));
    status.prediction = standing::predict(&drills).or(status.prediction);
    let compiled = facts.inputs.as_ref().map_err(Clone::clone).and_then(|inputs| compile(plan, inputs));
    let steps = match compiled {
        Ok((compiled, inputs, recovery)) => {
            let total = compiled.steps().len();
            status.active_site = Some(inputs.active.to_string());
            status.plan_digest = Some(compiled.digest().to_owned());
            status.steps = Some(StepCounts { total: i32::try_from(total).unwrap_or(i32::MAX), ..StepCounts::default() });
            conditions.push(ConditionUpdate::good(
                ConditionType::Ready,
                Reason::Compiled,
                format!("{}, {}", Noun::Step.count(total), Noun::Application.count(members(&plan.spec).count())),
            ));
            conditions.push(ready_to_failover(plan, &mut status, inputs, recovery, &facts.backups, now));
            Some(compiled)
        }
        Err(unseen) => {
            conditions.push(ConditionUpdate::bad(ConditionType::Ready, unseen.reason.clone(), unseen.message));
            conditions.push(ConditionUpdate::bad(ConditionType::ReadyToFailover, Reason::PlanNotReady, "see Ready"));
            None
        }
    };
    PlanStanding { status, conditions, steps }
}

/// The checks of a recovery's prerequisites. The status keeps its time while no result changes.
fn ready_to_failover(
    plan: &RecoveryPlan,
    status: &mut RecoveryPlanStatus,
    inputs: &PlanInputs,
    recovery: &RecoveryInputs,
    backups: &[Backup],
    now: Timestamp,
) -> ConditionUpdate {
    let of_plan = PreflightFacts {
        plan: plan.metadata.name.as_deref().unwrap_or_default(),
        standby: &inputs.standby,
        nodes: &recovery.nodes,
        repository: &recovery.repository,
        applications: &inputs.applications,
    };
    let (checks, verdict) = preflight(&plan.spec, &of_plan, backups);
    if status.preflight.as_ref().is_none_or(|before| before.checks != checks) {
        status.preflight = Some(Preflight { changed_time: Time(now), checks });
    }
    verdict
}

/// Compiles an isolated drill of the plan as of now.
fn compile<'a>(plan: &RecoveryPlan, inputs: &'a PlanInputs) -> Result<(Plan<Action>, &'a PlanInputs, &'a RecoveryInputs), Unseen> {
    if let Some((application, other)) = shared_application(plan, &inputs.plans) {
        let message = format!("application {application} is in plan {other}: an application is in one plan");
        return Err(Unseen { reason: Reason::ApplicationInOtherPlan, message });
    }
    let recovery = inputs.recovery.as_ref().map_err(Clone::clone)?;
    let subjects = subjects_of(&inputs.applications, &recovery.points);
    let facts = DrillFacts {
        drill_type: DrillType::Isolated,
        id: "00000",
        site: &inputs.standby,
        plan: &plan.spec,
        subjects: &subjects,
        keep_for: SignedDuration::ZERO,
        ground: &inputs.ground,
    };
    let compiled = compiler::compile(&facts).map_err(|error| Unseen { reason: Reason::Invalid, message: error.to_string() })?;
    Ok((compiled, inputs, recovery))
}

/// The first application that another plan has, too, which is not younger; and that plan.
fn shared_application<'a>(plan: &'a RecoveryPlan, plans: &'a [RecoveryPlan]) -> Option<(&'a str, &'a str)> {
    let created = |plan: &RecoveryPlan| plan.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let older = plans.iter().filter(|other| other.metadata.uid != plan.metadata.uid && created(other) <= created(plan));
    let mut shared = older.filter_map(|other| {
        let application = members(&plan.spec).find(|name| members(&other.spec).any(|theirs| theirs == *name))?;
        Some((application, other.metadata.name.as_deref().unwrap_or_default()))
    });
    shared.next()
}

/// The applications of a plan, each with the recovery point and claims to restore.
pub fn subjects_of<'a>(applications: &'a [Application], points: &[Point]) -> Vec<Subject<'a>> {
    let of_point = points.iter().filter_map(|(name, point, claims)| {
        let application = applications.iter().find(|application| application.metadata.name.as_ref() == Some(name))?;
        Some(Subject { name: application.metadata.name.as_deref()?, spec: &application.spec, point: point.clone(), claims: claims.clone() })
    });
    of_point.collect()
}

/// A plan's steps as people read them: id, dependencies, deadline and action of each, and whether it is clean-up.
pub fn listing(steps: &Plan<Action>) -> Vec<Value> {
    let one = |step: &crate::engine::Step<Action>| {
        let deadline = print_duration(step.deadline).unwrap_or_default();
        let mut shown = json!({"id": step.id, "after": step.dependencies().collect::<Vec<_>>(), "deadline": deadline, "action": step.action.word()});
        if step.finally {
            shown["finally"] = Value::Bool(true);
        }
        shown
    };
    steps.steps().iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-28T12:00:00Z".parse().expect("a time")
    }

    fn plan(name: &str, created: &str, application: &str) -> RecoveryPlan {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "RecoveryPlan",
            "metadata": {"name": name, "uid": name, "creationTimestamp": created},
            "spec": {"repositoryRef": {"name": "offsite"}, "groups": [{"name": "g", "members": [{"applicationRef": {"name": application}}]}]}}))
        .expect("a plan")
    }

    fn application(name: &str) -> Application {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name}, "spec": {
            "names": {"zh": "门户", "en": "Portal"}, "department": "office", "criticality": "Important", "namespaces": [name]}}))
        .expect("an application")
    }

    fn inputs() -> PlanInputs {
        let point = RecoveryPoint { backup: "b".into(), snapshot: "s".into(), time: now(), repository: "offsite".into(), level: None, site: None };
        PlanInputs {
            active: "hill".into(),
            standby: "harbour".into(),
            plans: vec![plan("mine", "2026-01-02T00:00:00Z", "portal")],
            applications: vec![application("portal")],
            recovery: Ok(RecoveryInputs {
                points: vec![("portal".into(), point, Vec::new())],
                nodes: Ok(NodeCounts { total: 1, ready: 1 }),
                repository: Ok(()),
            }),
            ground: Ground::default(),
        }
    }

    fn reasons(inputs: Result<PlanInputs, Unseen>) -> (Vec<String>, bool) {
        let facts = PlanFacts { drills: Vec::new(), backups: Vec::new(), inputs };
        let stands = decide(&plan("mine", "2026-01-02T00:00:00Z", "portal"), &facts, now());
        (stands.conditions.iter().map(|condition| condition.reason.to_string()).collect(), stands.steps.is_some())
    }

    #[test]
    fn a_plan_is_ready_if_its_applications_are_its_own_and_can_be_recovered() {
        let unseen = |reason: &str| Unseen { reason: Reason::from_text(reason), message: "why".into() };
        let beside = |other: RecoveryPlan| PlanInputs { plans: vec![other], ..inputs() };
        for (case, inputs, ready, failover) in [
            ("as declared", Ok(inputs()), "Compiled", "PreflightFailed"),
            ("no district", Err(unseen("DistrictMissing")), "DistrictMissing", "PlanNotReady"),
            ("no recovery point", Ok(PlanInputs { recovery: Err(unseen("NoRecoveryPoint")), ..inputs() }), "NoRecoveryPoint", "PlanNotReady"),
            ("an older plan has it", Ok(beside(plan("other", "2026-01-01T00:00:00Z", "portal"))), "ApplicationInOtherPlan", "PlanNotReady"),
            ("a younger plan has it", Ok(beside(plan("other", "2026-01-03T00:00:00Z", "portal"))), "Compiled", "PreflightFailed"),
            ("an older plan has another", Ok(beside(plan("other", "2026-01-01T00:00:00Z", "tax"))), "Compiled", "PreflightFailed"),
        ] {
            assert_eq!(reasons(inputs), (vec!["NeverDrilled".to_owned(), ready.to_owned(), failover.to_owned()], ready == "Compiled"), "{case}");
        }
    }

    #[test]
    fn the_time_of_the_preflight_moves_only_with_a_result() {
        let mut object = plan("mine", "2026-01-02T00:00:00Z", "portal");
        let changed = |object: &RecoveryPlan, inputs: PlanInputs, at: Timestamp| {
            let facts = PlanFacts { drills: Vec::new(), backups: Vec::new(), inputs: Ok(inputs) };
            decide(object, &facts, at).status
        };
        let first = changed(&object, inputs(), now());
        object.status = Some(first);
        let later = now() + SignedDuration::from_mins(1);
        let time = |status: &RecoveryPlanStatus| status.preflight.as_ref().map(|preflight| preflight.changed_time.0);
        assert_eq!(time(&changed(&object, inputs(), later)), Some(now()));
        let mut silent = inputs();
        if let Ok(recovery) = &mut silent.recovery {
            recovery.nodes = Err("no answer".into());
        }
        assert_eq!(time(&changed(&object, silent, later)), Some(later));
    }
}
