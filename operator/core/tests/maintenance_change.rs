//! The work of a change, as its ticket follows it: agreed to, begun by itself, asked for, taken back.

use crate::ticket_world::{World, action, change, condition, open_now};
use jiff::SignedDuration;
use p861_core::maintenance::{
    ticket::{Asks, Block, BlockReason, Work, WorkRun, still_agreed},
    window::Opening,
};
use p861_crds::{
    Reason,
    common::RunPhase,
    maintenance::ticket::{Resolution, TicketActionKind, TicketPhase},
};
use serde_json::json;

fn drain() -> World {
    let mut spec = change("Normal");
    let change = spec.change.as_mut().unwrap();
    change.work = serde_json::from_value(json!({"drainNode": {"siteRef": {"name": "a"}, "nodeName": "n1"}})).unwrap();
    change.plan = None;
    let mut world = World::of(spec);
    world.opening = Some(open_now());
    world.tally.given = vec!["b".into()];
    world.work = Some(Work { steps: Ok("sha256:1".into()), takes: SignedDuration::ZERO, run: None, warning: None });
    world
}

fn run(phase: RunPhase, asks: Option<Asks>) -> Work {
    let run = Some(WorkRun { phase, asks, said: (Reason::Running, "2 of 5 steps".into()) });
    Work { steps: Ok(String::new()), takes: SignedDuration::ZERO, run, warning: None }
}

#[test]
fn work_of_the_operator_begins_by_itself_hears_done_when_it_asks_and_closes_the_ticket() {
    let mut world = drain();
    world.obstacles = vec![Block { reason: BlockReason::DrillRunning, message: "drill d".into() }];
    world.pass(0);
    assert_eq!(world.phase(), TicketPhase::Scheduled, "a drill is in the way");
    let agreed = world.status.plan_digest.clone();
    world.obstacles.clear();
    world.pass(1);
    assert_eq!(world.phase(), TicketPhase::InProgress);
    assert_eq!(world.status.work_first_action, Some(0));
    world.work = Some(run(RunPhase::Running, None));
    world.act(2, action(TicketActionKind::Done, "li"));
    assert!(world.refused().contains("the operator does this work"), "{}", world.refused());
    assert_eq!(world.status.plan_digest, agreed, "what was begun stays what was agreed to");
    world.work = Some(run(RunPhase::WaitingForPerson, Some(Asks::Done)));
    world.act(3, action(TicketActionKind::Done, "li"));
    assert_eq!((world.phase(), world.status.refused_actions.len()), (TicketPhase::InProgress, 1));
    world.opening = Some(Opening { open: false, frozen_by: None, next_open_time: None, next_close_time: None });
    let closed = world.pass(4);
    assert_eq!(
        (world.phase(), condition(&closed, "Blocked")),
        (TicketPhase::InProgress, (Some(true), "OutsideWindow".into())),
        "a window that closes stops nothing, and is told"
    );
    world.work = Some(run(RunPhase::Succeeded, None));
    let ended = world.pass(5);
    assert_eq!((world.phase(), condition(&ended, "Succeeded")), (TicketPhase::Closed, (Some(true), "Done".into())));
}

#[test]
fn steps_that_compile_to_others_between_the_word_and_the_work_are_not_what_was_agreed_to() {
    let mut world = drain();
    let mut plan = action(TicketActionKind::Plan, "li");
    plan.note = Some("one by one".into());
    world.act(0, plan);
    world.pass(1);
    assert_eq!((world.phase(), world.status.work_first_action), (TicketPhase::InProgress, Some(1)));
    world.act(2, action(TicketActionKind::Note, "li"));
    assert!(still_agreed(&world.spec, &world.status, "sha256:1"), "what is said after the start is no other plan");
    assert!(!still_agreed(&world.spec, &world.status, "sha256:2"));
    let refused = WorkRun { phase: RunPhase::Refused, asks: None, said: (Reason::PlanChanged, "it is another".into()) };
    world.work = Some(Work { steps: Ok(String::new()), takes: SignedDuration::ZERO, run: Some(refused), warning: None });
    let ended = world.pass(3);
    assert_eq!((world.phase(), condition(&ended, "Succeeded").0), (TicketPhase::RolledBack, Some(false)));
}

#[test]
fn a_rollback_waits_for_the_steps_to_be_taken_back() {
    let mut world = drain();
    world.pass(0);
    world.work = Some(run(RunPhase::WaitingForPerson, Some(Asks::Done)));
    world.act(1, action(TicketActionKind::RollBack, "li"));
    assert_eq!((world.phase(), world.status.refused_actions.len()), (TicketPhase::InProgress, 0), "the node is still closed");
    world.work = Some(run(RunPhase::Aborted, None));
    let ended = world.pass(2);
    assert_eq!((world.phase(), condition(&ended, "Succeeded")), (TicketPhase::RolledBack, (Some(false), "RolledBack".into())));
    assert_eq!(world.status.resolution, Some(Resolution::RolledBack));
}

#[test]
fn steps_that_can_t_be_compiled_can_t_be_agreed_to() {
    let mut world = drain();
    world.work = Some(Work { steps: Err("site a isn't there".into()), takes: SignedDuration::ZERO, run: None, warning: None });
    let decision = world.pass(0);
    assert_eq!((world.phase(), condition(&decision, "Approved").1), (TicketPhase::Open, "NotCompiled".into()));
    assert_eq!(world.status.plan_digest, None);
    world.work = Some(Work { steps: Ok("sha256:1".into()), takes: SignedDuration::ZERO, run: None, warning: None });
    world.pass(1);
    let first = world.status.plan_digest.clone();
    assert_eq!(world.phase(), TicketPhase::InProgress);
    let mut other = drain();
    other.work = Some(Work { steps: Ok("sha256:2".into()), takes: SignedDuration::ZERO, run: None, warning: None });
    other.pass(0);
    assert_ne!(other.status.plan_digest, first, "other steps are another plan");
}

#[test]
fn a_change_that_people_made_is_resolved_when_its_checks_are_over() {
    let mut world = World::of(change("Standard"));
    world.opening = Some(open_now());
    world.pass(0);
    world.act(1, action(TicketActionKind::Start, "li"));
    assert_eq!(world.status.work_first_action, Some(1), "the start itself says nothing to the steps");
    world.work = Some(run(RunPhase::WaitingForPerson, Some(Asks::Done)));
    world.act(2, action(TicketActionKind::Done, "li"));
    assert_eq!(world.phase(), TicketPhase::Verifying);
    world.work = Some(run(RunPhase::Running, None));
    world.act(3, action(TicketActionKind::Resolve, "li"));
    assert!(world.refused().contains("checks"), "{}", world.refused());
    world.work = Some(run(RunPhase::Succeeded, None));
    world.act(4, action(TicketActionKind::Resolve, "li"));
    assert_eq!(world.phase(), TicketPhase::Closed);
}

#[test]
fn fault_f5_who_is_to_agree_is_told_what_a_drain_loses() {
    let mut world = drain();
    world.work.as_mut().unwrap().warning = Some("no controller makes pod a/debug anew: gone for good after the drain".into());
    for agreed in [false, true] {
        world.tally.given = if agreed { vec!["b".into()] } else { vec![] };
        let decision = world.pass(0);
        let approved = decision.updates.iter().find(|update| update.kind == "Approved").unwrap();
        assert!(
            approved.status == Some(agreed) && approved.message.ends_with("; no controller makes pod a/debug anew: gone for good after the drain"),
            "{approved:?}"
        );
    }
}
