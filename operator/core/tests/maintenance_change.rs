//! The work of a change, as its ticket follows it: agreed to, begun by itself, asked for, taken back.

use crate::ticket_world::{World, action, after, change, condition, open_now, template};
use p861_core::{
    engine::Plan,
    maintenance::{
        drain::DrainOutlook,
        ticket::{Asks, Block, BlockReason, Decision, Planned, Work, WorkRun, is_digest_of, plan_text, still_agreed},
        window::Opening,
        work::{self, WorkFacts},
    },
    runs::Action,
};
use p861_crds::{
    Reason,
    common::RunPhase,
    maintenance::{
        ticket::{Resolution, TicketActionKind, TicketPhase},
        window::ChangeClass,
    },
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
    world.work = Some(Work::compiled(Ok("sha256:1".into())));
    world
}

fn run(phase: RunPhase, asks: Option<Asks>) -> Work {
    let run = Some(WorkRun { phase, asks, said: (Reason::Running, "2 of 5 steps".into()) });
    Work::begun(run)
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
    world.work = Some(Work::begun(Some(refused)));
    let ended = world.pass(3);
    assert_eq!((world.phase(), condition(&ended, "Succeeded").0), (TicketPhase::RolledBack, Some(false)));
}

#[test]
fn fault_h8_the_digest_of_a_ticket_is_that_of_the_steps_that_are_shown_before_and_after_the_start() {
    let mut world = drain();
    world.tally.given.clear();
    assert!(!is_digest_of(&world.spec, &world.status, "sha256:1"), "before the first look nothing is known to be shown");
    world.pass(0);
    assert!(is_digest_of(&world.spec, &world.status, "sha256:1") && !is_digest_of(&world.spec, &world.status, "sha256:2"));
    let mut plan = action(TicketActionKind::Plan, "li");
    plan.note = Some("one by one".into());
    world.act(1, plan);
    assert!(is_digest_of(&world.spec, &world.status, "sha256:1"), "what was said of the plan is part of it");
    world.tally.given = vec!["b".into()];
    world.pass(2);
    assert_eq!(world.phase(), TicketPhase::InProgress);
    world.act(3, action(TicketActionKind::Note, "li"));
    assert!(is_digest_of(&world.spec, &world.status, "sha256:1") && !is_digest_of(&world.spec, &world.status, "sha256:2"));
}

/// The steps of a ticket, compiled with the text that is planned as its status says.
fn compiled(world: &World) -> Plan<Action> {
    let planned = Planned::of(&world.spec, &world.status);
    let (spec, ticket, namespace) = (&world.spec, "chg-1", "shinan");
    let facts = WorkFacts { ticket, namespace, district: Some(namespace), spec, planned, applications: &[], alertmanagers: &[], component: None };
    work::compile(&facts).unwrap()
}

/// What the step of people's work asks.
fn asked(plan: &Plan<Action>) -> String {
    let hands = plan.steps().iter().find(|step| step.id.as_str() == "manual").unwrap();
    hands.needs_person.as_ref().unwrap().text.in_language("en").to_owned()
}

fn said(text: &str) -> p861_crds::maintenance::ticket::TicketAction {
    let mut plan = action(TicketActionKind::Plan, "li");
    plan.note = Some(text.into());
    plan
}

#[test]
fn what_is_shown_agreed_to_compiled_and_worked_by_is_the_text_that_was_planned_last() {
    let node = json!({"drainNode": {"siteRef": {"name": "a"}, "nodeName": "n1"}});
    for work in [json!({"manual": {}}), node] {
        let mut world = World::of(change("Normal"));
        world.spec.change.as_mut().unwrap().work = serde_json::from_value(work).unwrap();
        let shown = |world: &World| plan_text(&world.spec, &world.status).map(|text| text.in_language("en").to_owned());
        let mut digests = Vec::new();
        for (minutes, text) in [(0, "one by one"), (1, "replace the whole rack"), (2, "one by one")] {
            if minutes > 0 {
                world.spec.actions.push(said(text));
            }
            // The controller compiles what is planned once everything is read.
            world.status = world.decide(minutes).status;
            let steps = compiled(&world);
            assert_eq!((asked(&steps).as_str(), shown(&world).as_deref()), (text, Some(text)));
            world.work = Some(Work::compiled(Ok(steps.digest().to_owned())));
            world.pass(minutes);
            assert!(is_digest_of(&world.spec, &world.status, steps.digest()), "{text}");
            digests.push(world.status.plan_digest.clone().unwrap());
        }
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 3, "another plan needs another agreement, also one that goes back to the first");
        // A plan that the ticket refuses is no plan, however much it has refused since.
        let agreed = world.status.plan_digest.clone();
        world.act(3, action(TicketActionKind::Suspend, "li"));
        world.act(4, said("take everything out"));
        assert!(world.refused().contains("suspended"), "{}", world.refused());
        for minutes in 5..25 {
            world.act(minutes, action(TicketActionKind::Done, "li"));
        }
        world.act(25, action(TicketActionKind::Resume, "li"));
        assert_eq!((shown(&world).as_deref(), asked(&compiled(&world)).as_str()), (Some("one by one"), "one by one"));
        assert_eq!(world.status.plan_digest, agreed);
        assert_eq!(world.status.refused_actions.len(), 17, "of other refusals the newest sixteen stay");
    }
}

#[test]
fn steps_of_another_text_than_the_planned_one_are_nobodys_to_agree_to() {
    let mut world = drain();
    world.pass(0);
    assert!(world.status.plan_digest.is_some());
    world.status.start_time = None;
    world.status.phase = Some(TicketPhase::Planned);
    world.spec.actions.push(said("replace the whole rack"));
    let decision = world.decide(1);
    assert_eq!((decision.status.plan_digest.clone(), condition(&decision, "Approved").1), (None, "NotCompiled".to_owned()));
    assert_eq!((decision.status.phase, decision.next), (Some(TicketPhase::Planned), Some(after(1))), "it is compiled again at once");
    world.pass(1);
    assert!(world.status.plan_digest.is_some(), "and then has a digest again");
}

#[test]
fn one_place_decides_which_text_of_a_plan_is_in_force() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders: Vec<_> = ["operator/core/src", "operator/src", "operator/runs/src", "cli/src"].map(|folder| root.join(folder)).into();
    let mut readers = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let source = std::fs::read_to_string(&entry).unwrap();
            if source.contains("change.plan") && !entry.ends_with("maintenance/ticket/planned.rs") {
                readers.push(entry);
            }
        }
    }
    assert!(readers.is_empty(), "these read spec.change.plan, which may not be the text in force: ask maintenance::ticket::plan_text\n{readers:#?}");
}

#[test]
fn fault_h8_a_ticket_says_when_each_action_was_read_also_one_that_was_refused() {
    let mut world = drain();
    world.act(1, action(TicketActionKind::Acknowledge, "li"));
    world.act(7, action(TicketActionKind::Done, "li"));
    world.pass(9);
    let read: Vec<(i32, jiff::Timestamp)> = world.status.action_times.iter().map(|read| (read.index, read.time.0)).collect();
    assert_eq!(read, [(0, after(1)), (1, after(7))]);
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
    world.work = Some(Work::compiled(Err("site a isn't there".into())));
    let decision = world.pass(0);
    assert_eq!((world.phase(), condition(&decision, "Approved").1), (TicketPhase::Open, "NotCompiled".into()));
    assert_eq!(world.status.plan_digest, None);
    world.work = Some(Work::compiled(Ok("sha256:1".into())));
    world.pass(1);
    let first = world.status.plan_digest.clone();
    assert_eq!(world.phase(), TicketPhase::InProgress);
    let mut other = drain();
    other.work = Some(Work::compiled(Ok("sha256:2".into())));
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
    let lost = "no controller makes pod a/debug anew: gone for good after the drain";
    world.work.as_mut().unwrap().drain = Some(DrainOutlook::Unsafe(Reason::PodUnmanaged, lost.into()));
    for agreed in [false, true] {
        world.tally.given = if agreed { vec!["b".into()] } else { vec![] };
        let decision = world.pass(0);
        let said = |kind: &str| decision.updates.iter().find(|update| update.kind == kind).unwrap().clone();
        assert_eq!((said("DrainSafe").status, said("DrainSafe").message.as_str()), (Some(false), lost));
        assert!(said("Approved").status == Some(agreed) && !said("Approved").message.contains("debug"), "who agreed is another matter: {:?}", said("Approved"));
    }
}

#[test]
fn nobody_is_asked_to_agree_to_the_drain_of_a_node_that_is_not_there() {
    let mut world = drain();
    let missing = "site a has no node n1: kubectl get nodes";
    world.work = Some(Work { drain: Some(DrainOutlook::Missing(missing.into())), ..Work::compiled(Err(missing.into())) });
    let decision = world.pass(0);
    assert_eq!((world.phase(), approved(&decision)), (TicketPhase::Open, (Some(false), "NodeMissing".into())));
    assert_eq!((world.status.plan_digest.clone(), condition(&decision, "DrainSafe")), (None, (Some(false), "NodeMissing".into())));
    // It goes while people look at the ticket: what they agreed to is not there any more.
    let mut world = drain();
    world.obstacles = vec![Block { reason: BlockReason::DrillRunning, message: "drill d".into() }];
    world.pass(0);
    assert_eq!(world.phase(), TicketPhase::Scheduled);
    world.work = Some(Work { drain: Some(DrainOutlook::Missing(missing.into())), ..Work::compiled(Err(missing.into())) });
    world.obstacles.clear();
    world.pass(1);
    assert_eq!((world.phase(), world.status.start_time.clone()), (TicketPhase::Planned, None), "and nothing begins");
}

/// A Standard change whose window is open, and which nothing is in the way of.
fn standard() -> World {
    let mut world = World::of(change("Standard"));
    world.opening = Some(open_now());
    world
}

fn approved(decision: &Decision) -> (Option<bool>, String) {
    condition(decision, "Approved")
}

#[test]
fn fault_e5_a_standard_change_is_one_by_its_template_and_says_whose() {
    let mut world = standard();
    let decision = world.pass(0);
    assert_eq!((world.phase(), approved(&decision)), (TicketPhase::Scheduled, (Some(true), "PreApproved".into())));
    let pinned = world.status.template.clone().unwrap();
    assert_eq!((pinned.namespace.as_str(), pinned.name.as_str(), pinned.published_by.as_deref()), ("shinan", "disk", Some("leader")));
    assert_eq!(world.status.change_class, Some(ChangeClass::Standard));
    assert_eq!(world.status.approvals.as_ref().map(|approvals| approvals.required), Some(0));
    let said = decision.updates.iter().find(|update| update.kind == "Approved").unwrap();
    assert_eq!(said.message, "within template disk, published by leader");
    world.act(1, action(TicketActionKind::Start, "li"));
    assert_eq!(world.phase(), TicketPhase::InProgress);
}

#[test]
fn fault_e5_any_other_change_of_class_standard_needs_an_approval_as_a_normal_one_does() {
    let none = |world: &mut World| world.templates.clear();
    let nameless = |world: &mut World| world.templates[0].spec.published_by = None;
    let own = |world: &mut World| world.templates = vec![template("li")];
    let unnamed = |world: &mut World| world.spec.requested_by = None;
    let old = |world: &mut World| world.spec.change.as_mut().unwrap().template_ref = None;
    let outside = |world: &mut World| world.spec.change.as_mut().unwrap().plan = Some(serde_json::from_value(json!({"en": "all at once"})).unwrap());
    let leaving = |world: &mut World| world.templates[0].metadata.deletion_timestamp = Some(p861_crds::Time(crate::ticket_world::after(0)));
    let cases: [(&str, Happen<'_>); 7] = [
        ("TemplateMissing", &none),
        ("TemplateMissing", &old),
        ("TemplateMissing", &leaving),
        ("TemplateNotReady", &nameless),
        ("RequesterCannotApprove", &own),
        ("Nameless", &unnamed),
        ("OutsideTemplate", &outside),
    ];
    for (reason, spoil) in cases {
        let mut world = standard();
        spoil(&mut world);
        let decision = world.pass(0);
        assert_eq!((world.phase(), approved(&decision)), (TicketPhase::Planned, (Some(false), reason.into())), "{reason}");
        let said = decision.updates.iter().find(|update| update.kind == "Approved").unwrap();
        assert!(said.message.contains("it needs approvals as a Normal change does, 0 of 1"), "{}", said.message);
        assert_eq!(world.status.change_class, Some(ChangeClass::Normal));
        world.act(1, action(TicketActionKind::Start, "li"));
        assert_eq!(world.phase(), TicketPhase::Planned, "{reason}: it does not start");
        world.tally.given = vec!["leader".into()];
        let decision = world.pass(2);
        assert_eq!((world.phase(), approved(&decision)), (TicketPhase::Scheduled, (Some(true), "EnoughApprovals".into())), "{reason}");
        world.act(3, action(TicketActionKind::Start, "li"));
        assert_eq!((world.phase(), world.status.change_class), (TicketPhase::InProgress, Some(ChangeClass::Normal)), "{reason}");
    }
}

/// Something that happens meanwhile.
type Happen<'a> = &'a dyn Fn(&mut World);

#[test]
fn fault_e5_a_template_that_is_withdrawn_or_published_anew_is_noticed_at_the_start() {
    let withdraw = |world: &mut World| world.templates.clear();
    let widen = |world: &mut World| world.templates[0].spec.blocking_alerts.clear();
    let publish_anew = |world: &mut World| world.templates = vec![template("director")];
    let cases: [(&str, Happen<'_>); 3] = [("TemplateMissing", &withdraw), ("TemplateChanged", &widen), ("TemplateChanged", &publish_anew)];
    for (reason, happen) in cases {
        let mut world = standard();
        world.pass(0);
        assert_eq!(world.phase(), TicketPhase::Scheduled);
        happen(&mut world);
        // In the very pass in which it would start.
        let decision = world.act(1, action(TicketActionKind::Start, "li"));
        assert!(world.refused().contains("not agreed to any more"), "{reason}: {}", world.refused());
        assert_eq!((world.phase(), approved(&decision)), (TicketPhase::Planned, (Some(false), reason.into())));
        // Nor is it followed after a pause. Only who opens the ticket again opens it by the template as it is now.
        world.act(2, action(TicketActionKind::Suspend, "li"));
        world.act(3, action(TicketActionKind::Resume, "li"));
        assert_eq!(approved(&world.pass(4)), (Some(false), reason.into()));
        world.act(5, action(TicketActionKind::Cancel, "li"));
        world.act(6, action(TicketActionKind::Reopen, "li"));
        let expected = if world.templates.is_empty() { (Some(false), "TemplateMissing") } else { (Some(true), "PreApproved") };
        assert_eq!(approved(&world.pass(7)), (expected.0, expected.1.into()), "{reason}");
    }
}

#[test]
fn fault_e5_work_that_has_begun_is_not_stopped_by_what_becomes_of_its_template() {
    let mut world = standard();
    world.pass(0);
    world.act(1, action(TicketActionKind::Start, "li"));
    world.templates.clear();
    let decision = world.pass(2);
    assert_eq!((world.phase(), approved(&decision)), (TicketPhase::InProgress, (Some(true), "PreApproved".into())));
    assert_eq!(world.status.change_class, Some(ChangeClass::Standard));
}

#[test]
fn fault_e5_what_a_reopened_change_was_agreed_to_before_lets_nothing_begin() {
    let mut world = drain();
    world.spec.change.as_mut().unwrap().class = ChangeClass::Standard;
    world.templates[0].spec.work = serde_json::from_value(json!({"drainNode": {"nodes": [{"siteRef": {"name": "a"}}]}})).unwrap();
    world.templates[0].spec.plan = None;
    world.spec.change.as_mut().unwrap().template_ref = Some(p861_crds::ObjectReference::new("disk"));
    world.tally.given.clear();
    world.pass(0);
    assert_eq!((world.phase(), world.status.change_class), (TicketPhase::InProgress, Some(ChangeClass::Standard)));
    world.work = Some(run(RunPhase::Succeeded, None));
    world.pass(1);
    assert_eq!(world.phase(), TicketPhase::Closed);
    world.templates.clear();
    world.act(2, action(TicketActionKind::Reopen, "li"));
    assert_eq!((world.phase(), world.status.template.clone()), (TicketPhase::Open, None));
    world.work = Some(Work::compiled(Ok("sha256:1".into())));
    assert_eq!((approved(&world.pass(3)), world.phase()), ((Some(false), "TemplateMissing".into()), TicketPhase::Planned));
}
