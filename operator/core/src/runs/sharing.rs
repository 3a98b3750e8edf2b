//! Steps that share a mover: to start a pod takes longer than sealing a small backup, or verifying it.
//!
//! A mover that mounts no claim may go on with the steps that directly follow its own, one after the other. It is told of them when it starts, and begins each only
//! once the engine has begun that step: their order, their intents and their ends are in the journal as if each had a mover of its own. So a plan says nothing of
//! sharing. Who shares with whom follows from the plan.

use super::action::Action;
use crate::engine::{Plan, Step, StepId};

/// Most steps of one mover: its answer names each, in 4 KiB.
pub const MAX_STEPS_PER_MOVER: usize = 4;

/// Whether a step's mover may go on with others: it mounts no claim, and it is certain where it runs.
fn may_lead(step: &Step<Action>) -> bool {
    matches!(&step.action, Action::Move { claim: None, task, .. } if !task.runs_anywhere()) && !step.finally
}

/// Whether the mover of a chain of steps may do this one as well: nothing else comes before it, and nobody is asked.
fn may_follow(chain: &[&Step<Action>], step: &Step<Action>) -> bool {
    let (Some(first), Some(last)) = (chain.first(), chain.last()) else { return false };
    let (Action::Move { site, namespace, .. }, Action::Move { site: its_site, namespace: its_namespace, claim: None, task, .. }) =
        (&first.action, &step.action)
    else {
        return false;
    };
    let comes_next = step.after.contains(&last.id) && step.once_settled.is_empty() && step.after.iter().all(|id| chain.iter().any(|before| before.id == *id));
    let begins_by_itself = step.needs_person.is_none() && step.under.is_none() && !step.finally;
    (site, namespace) == (its_site, its_namespace) && task.may_follow() && comes_next && begins_by_itself
}

/// The steps that the mover of a step goes on with, in their order.
pub fn followers<'p>(plan: &'p Plan<Action>, first: &StepId) -> Vec<&'p Step<Action>> {
    let Some(first) = plan.step(first).filter(|step| may_lead(step)) else { return Vec::new() };
    let mut chain = vec![first];
    // A plan's steps are in an order in which they can be done.
    for step in plan.steps() {
        if chain.len() < MAX_STEPS_PER_MOVER && may_follow(&chain, step) {
            chain.push(step);
        }
    }
    chain.split_off(1)
}

/// The steps whose movers go on with this one, the nearest first.
pub fn leaders<'p>(plan: &'p Plan<Action>, step: &StepId) -> Vec<&'p StepId> {
    let follows = matches!(plan.step(step).map(|step| &step.action), Some(Action::Move { task, .. }) if task.may_follow());
    let before = plan.steps().iter().rev().skip_while(|other| other.id != *step).skip(1).filter(|_| follows);
    before.filter(|other| followers(plan, &other.id).iter().any(|follower| follower.id == *step)).map(|leader| &leader.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Hold, Prompt},
        ids::SiteName,
        protection::backup::{BackupFacts, Claim, compile},
        runs::{ClaimSnapshot, MoverTask, SealFacts},
    };
    use jiff::SignedDuration;
    use p861_crds::ApplicationSpec;
    use serde_json::{Value, json};

    fn backup(more: Value, claims: &[&str], snapshots: &[&str]) -> Plan<Action> {
        let mut spec = json!({"department": "d", "namespaces": ["n"]});
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let spec: ApplicationSpec = serde_json::from_value(spec).expect("a spec");
        let claims: Vec<Claim> = claims.iter().map(|name| Claim { namespace: "n".into(), name: (*name).into() }).collect();
        let snapshot =
            |claim: &&str| ClaimSnapshot { namespace: "n".into(), claim: (*claim).into(), class: "snap".into(), storage_class: "block".into(), bytes: 1 };
        let snapshots: Vec<ClaimSnapshot> = snapshots.iter().map(snapshot).collect();
        let (site, deadline) = ("west".into(), SignedDuration::from_hours(6));
        let facts = BackupFacts {
            backup: "b",
            application: "cms",
            district: "shinan",
            site: &site,
            spec: &spec,
            claims: &claims,
            missing: &[],
            half_restored: None,
            snapshots: &snapshots,
            parent: None,
            deadline,
        };
        compile(&facts).expect("compiles")
    }

    fn shared(plan: &Plan<Action>) -> Vec<(&str, Vec<&str>)> {
        let of = |step: &Step<Action>| followers(plan, &step.id).into_iter().map(|follower| plan.step(&follower.id).expect("a step").id.as_str()).collect();
        plan.steps().iter().map(|step| (step.id.as_str(), of(step))).filter(|(_, follow): &(_, Vec<&str>)| !follow.is_empty()).collect()
    }

    #[test]
    fn fault_g2_the_last_steps_of_a_backup_share_a_mover_and_one_of_objects_only_has_a_single_mover() {
        let hook = |word: &str| json!({"workloadRef": {"kind": "Deployment", "name": "cms"}, "command": ["cms", word]});
        let hooks = json!({"hooks": {"quiesce": hook("stop"), "resume": hook("go")}});
        let stream = json!({"streams": [{"name": "db", "workloadRef": {"kind": "StatefulSet", "name": "db"}, "dump": ["d"], "restore": ["r"]}]});
        let (objects, seal, verify) = ("save/cms/objects", "seal/cms", "verify/cms");
        for (name, plan, alone) in [
            ("objects only", backup(json!({}), &[], &[]), true),
            ("hooks", backup(hooks.clone(), &[], &[]), false),
            ("a stream", backup(stream, &[], &[]), false),
            ("a volume", backup(json!({}), &["files"], &[]), false),
            ("a volume's snapshot", backup(hooks, &["files"], &["files"]), false),
        ] {
            let whole = alone.then(|| (objects, vec![seal, verify]));
            assert_eq!(shared(&plan), whole.into_iter().chain([(seal, vec![verify])]).collect::<Vec<_>>(), "{name}");
            let leaders = |step: &str| leaders(&plan, &step.try_into().expect("an id")).into_iter().map(StepId::as_str).collect::<Vec<_>>();
            let first = alone.then_some(objects);
            assert_eq!((leaders(objects), leaders(seal)), (Vec::new(), first.into_iter().collect()), "{name}");
            assert_eq!(leaders(verify), [seal].into_iter().chain(first).collect::<Vec<_>>(), "{name}: the nearest first");
        }
    }

    fn mover(site: &str, namespace: &str, claim: Option<&str>, task: MoverTask) -> Action {
        let site: SiteName = site.into();
        Action::Move { site, namespace: namespace.into(), claim: claim.map(str::to_owned), namespaces: Vec::new(), task }
    }

    fn seal() -> MoverTask {
        let facts = json!({"backup": "b", "application": "a", "district": "d", "site": "west", "namespaces": [], "parts": [], "consistent": false});
        MoverTask::Seal { facts: serde_json::from_value::<SealFacts>(facts).expect("facts") }
    }

    #[test]
    fn fault_g2_a_step_that_waits_for_anything_else_or_works_elsewhere_has_a_mover_of_its_own() {
        let objects = || MoverTask::BackupObjects { namespaces: vec!["n".into()], exclude: Vec::new(), cluster: Vec::new(), parent: None };
        let id = |text: &str| StepId::new(text).expect("an id");
        let step = |text: &str, action: Action| Step::new(id(text), action, SignedDuration::from_mins(1));
        let (first, other) = (step("first", mover("west", "n", None, objects())), step("other", Action::Ask {}));
        let hold = || Hold { since: id("first"), limit: SignedDuration::from_mins(1) };
        let next = |site: &str, namespace: &str, claim, task| step("next", mover(site, namespace, claim, task)).after([id("first")]);
        let plain = || next("west", "n", None, seal());
        for (name, next, shares) in [
            ("directly after it", plain(), true),
            ("of another site", next("east", "n", None, seal()), false),
            ("of another namespace", next("west", "m", None, seal()), false),
            ("with a claim", next("west", "n", Some("files"), seal()), false),
            ("which needs the API server", next("west", "n", None, objects()), false),
            ("of a snapshot that is known", next("west", "n", None, MoverTask::VerifyStored { snapshot: Some("5a1f".into()) }), false),
            ("which waits for another step, too", plain().after([id("other")]), false),
            ("which waits for the end of another step, too", plain().once_settled([id("other")]), false),
            ("which asks a person", plain().needs_person(Prompt::new(serde_json::from_value(json!({"en": "?"})).expect("a text"))), false),
            ("under a hold", plain().under(Some(hold())), false),
        ] {
            let plan = Plan::new(vec![first.clone(), other.clone(), next]).expect("a plan");
            assert_eq!(!followers(&plan, &id("first")).is_empty(), shares, "{name}");
            assert_eq!(!leaders(&plan, &id("next")).is_empty(), shares, "{name}");
        }
        let claimed = Plan::new(vec![step("first", mover("west", "n", Some("files"), objects())), plain()]).expect("a plan");
        assert!(followers(&claimed, &id("first")).is_empty(), "a mover with a claim has rights that the next needs not");
        let cleans = Plan::new(vec![first.clone(), step("next", mover("west", "n", None, seal())).finally()]).expect("a plan");
        assert!(followers(&cleans, &id("first")).is_empty(), "clean-up");
    }

    #[test]
    fn fault_g2_a_chain_has_an_end_and_each_of_its_steps_waits_for_those_before_it_only() {
        let id = |number: usize| StepId::new(format!("step-{number}")).expect("an id");
        let steps = (0..8).map(|number| {
            let step = Step::new(id(number), mover("west", "n", None, seal()), SignedDuration::from_mins(1));
            if number == 0 { step } else { step.after([id(number - 1)]) }
        });
        let plan = Plan::new(steps.collect()).expect("a plan");
        for step in plan.steps() {
            let follow = followers(&plan, &step.id);
            assert!(follow.len() < MAX_STEPS_PER_MOVER, "{}", step.id);
            let mut before = vec![&step.id];
            for follower in follow {
                assert!(follower.dependencies().all(|id| before.contains(&id)), "{} in the mover of {}", follower.id, step.id);
                before.push(&follower.id);
            }
        }
    }

    #[test]
    fn fault_g2_what_may_follow_needs_no_right_that_its_mover_might_lack() {
        let next = [seal(), MoverTask::VerifyStored { snapshot: None }];
        assert!(next.iter().all(|task| task.may_follow() && task.needs_evidence() && !task.needs_api() && task.cluster_resources().is_empty()));
    }
}
