//! A ticket's life, as tables, stories and properties.

use crate::ticket_world::{World, action, after, change, condition, due, fired, incident, open_now, ticket};
use p861_core::maintenance::{
    approval::Tally,
    ticket::{
        Block, BlockReason, Decision, Planned, change_under_way, clocks,
        life::{Course, Event, next},
        plan_digest,
    },
    window::Opening,
};
use p861_crds::{
    MaintenanceTicket, Time,
    common::RunPhase,
    maintenance::ticket::{
        AlertState, ClockName, ClockState, EscalationState, Grade, NotificationState, Priority, Resolution, TicketActionKind, TicketAlert, TicketPhase,
        TicketType,
    },
};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn a_change_under_way_keeps_a_drill_of_the_same_applications_or_site_waiting() {
    let (approval, standby) = (json!({"applicationRefs": [{"name": "approval"}]}), json!({"siteRefs": [{"name": "laoshan-dr"}]}));
    let busy = |ticket: MaintenanceTicket| change_under_way(&[ticket], &["approval", "portal"], &"laoshan-dr".into()).is_some();
    for phase in ["InProgress", "Verifying"] {
        assert!(busy(ticket(change("Normal"), approval.clone(), phase)) && busy(ticket(change("Normal"), standby.clone(), phase)), "{phase}");
    }
    for phase in ["Open", "Approved", "Scheduled", "Suspended", "Closed", "RolledBack", "Cancelled"] {
        assert!(!busy(ticket(change("Normal"), approval.clone(), phase)), "{phase}");
    }
    let mut paused = ticket(change("Normal"), approval.clone(), "Suspended");
    paused.status.as_mut().unwrap().work_phase = Some(RunPhase::Paused);
    assert!(busy(paused), "its steps are not over");
    assert!(!busy(ticket(change("Normal"), json!({"applicationRefs": [{"name": "other"}]}), "InProgress")));
    assert!(!busy(ticket(incident(), approval, "InProgress")), "an incident changes nothing");
}

#[test]
fn priority_is_impact_times_urgency() {
    use Grade::{High, Low, Medium};
    let table = [
        (High, [Priority::P1, Priority::P2, Priority::P3]),
        (Medium, [Priority::P2, Priority::P3, Priority::P4]),
        (Low, [Priority::P3, Priority::P4, Priority::P4]),
    ];
    for (impact, row) in table {
        assert_eq!([High, Medium, Low].map(|urgency| clocks::priority(impact, urgency)), row, "{impact:?}");
    }
}

#[test]
fn the_life_of_a_change_goes_one_way_and_back_when_the_agreement_is_lost() {
    use TicketPhase::{Approved, Closed, InProgress, Open, Planned, RolledBack, Scheduled, Verifying};
    let go = |phase, event| next(TicketType::Change, phase, None, event);
    for (phase, event, to) in [
        (Open, Event::Compiled, Planned),
        (Planned, Event::Agreed, Approved),
        (Approved, Event::Scheduled, Scheduled),
        (Scheduled, Event::Start, InProgress),
        (InProgress, Event::Done, Verifying),
        (Verifying, Event::Resolve, Closed),
        (Verifying, Event::RollBack, RolledBack),
        (Scheduled, Event::AgreementLost, Planned),
        (Scheduled, Event::Plan, Planned),
        (Closed, Event::Reopen, Open),
    ] {
        assert_eq!(go(phase, event), Course::Go(to), "{phase} {event:?}");
    }
    for phase in [Open, Planned, Approved] {
        assert!(matches!(go(phase, Event::Start), Course::Refuse(_)), "{phase}");
    }
    assert!(matches!(go(InProgress, Event::Cancel), Course::Refuse(_)), "what has begun is taken back or done");
    assert_eq!(go(InProgress, Event::AgreementLost), Course::Stay, "what has begun is not stopped by it");
}

#[test]
fn an_incident_is_acknowledged_in_time_noted_reported_and_closed_when_its_alerts_stop() {
    let mut world = World::of(incident());
    let alert = TicketAlert {
        fingerprint: "8d1c5e0a4b7f2c39".into(),
        alert_name: "P861SiteUnreachable".into(),
        severity: Some("critical".into()),
        state: AlertState::Firing,
        start_time: Time(after(0)),
        end_time: None,
        posted_by: None,
    };
    world.status.alerts = vec![alert];
    let opened = world.pass(0);
    assert_eq!((world.phase(), world.status.priority), (TicketPhase::Open, Some(Priority::P1)));
    assert_eq!(opened.happened[0].reason, "IncidentOpened");
    assert_eq!(world.status.escalation.as_ref().unwrap().next_level.as_deref(), Some("leader"));
    assert_eq!(opened.next, Some(after(5)), "the clock Acknowledge runs out first");
    let acknowledged = world.act(3, action(TicketActionKind::Acknowledge, "duty-engineer-b"));
    assert_eq!(
        (world.phase(), world.status.assignee.as_deref(), world.clock(ClockName::Acknowledge)),
        (TicketPhase::Acknowledged, Some("duty-engineer-b"), ClockState::Met)
    );
    assert_eq!(condition(&acknowledged, "WithinClocks"), (Some(true), "InTime".into()));
    assert_eq!(world.status.escalation.as_ref().unwrap().state, EscalationState::Stopped);
    let mut note = action(TicketActionKind::Note, "duty-engineer-b");
    (note.note, note.reported) = (Some("reported to the city".into()), Some(true));
    world.act(20, note);
    assert_eq!(world.clock(ClockName::Report), ClockState::Met);
    world.act(30, action(TicketActionKind::Resolve, "duty-engineer-b"));
    assert!(world.refused().contains("1 of its alerts fire"), "{}", world.refused());
    world.status.alerts[0].state = AlertState::Resolved;
    let closed = world.pass(40);
    assert_eq!((world.phase(), world.status.resolution, world.clock(ClockName::Resolve)), (TicketPhase::Closed, Some(Resolution::Done), ClockState::Met));
    assert_eq!(condition(&closed, "Succeeded"), (Some(true), "Done".into()));
    assert_eq!(world.pass(50).happened, [], "what ended is told once");
}

/// An incident of low impact and urgency.
fn small_incident() -> World {
    let mut spec = incident();
    (spec.impact, spec.urgency) = (Grade::Low, Grade::Low);
    World::of(spec)
}

#[test]
fn fault_f4_an_incident_is_as_grave_as_its_gravest_alert_and_its_clocks_run_from_then() {
    let mut world = small_incident();
    world.status.alerts = vec![fired(1, "info", AlertState::Firing)];
    world.pass(0);
    assert_eq!((world.status.priority, due(&world, ClockName::Acknowledge)), (Some(Priority::P4), after(120)));
    world.status.alerts.push(fired(2, "warning", AlertState::Firing));
    let warned = world.pass(10);
    assert_eq!((world.status.priority, due(&world, ClockName::Acknowledge)), (Some(Priority::P3), after(40)));
    assert_eq!((warned.happened[0].reason.as_str(), warned.happened[0].note.as_str()), ("PriorityRaised", "P4 → P3: alert Alert2 is warning"));
    // It is critical now: due sooner, and to be reported.
    world.status.alerts.push(fired(3, "critical", AlertState::Firing));
    let raised = world.pass(20);
    assert_eq!(raised.happened.iter().map(|happened| happened.note.as_str()).collect::<Vec<_>>(), ["P3 → P1: alert Alert3 is critical"]);
    let clocks = [ClockName::Acknowledge, ClockName::Resolve, ClockName::Report].map(|name| due(&world, name));
    assert_eq!((world.status.priority, clocks), (Some(Priority::P1), [after(25), after(20 + 240), after(20 + 240)]));
    assert_eq!(world.pass(21).happened, [], "it is told once");
    // The critical alert ends: a person decides whether it is less grave.
    world.status.alerts[2].state = AlertState::Resolved;
    assert_eq!((world.pass(22).happened, world.status.priority), (vec![], Some(Priority::P1)));
}

#[test]
fn fault_f4_a_deadline_never_moves_back_and_one_that_is_met_or_missed_stays_so() {
    let mut world = small_incident();
    world.pass(0);
    world.act(1, action(TicketActionKind::Acknowledge, "a"));
    world.act(10, action(TicketActionKind::Suspend, "a"));
    world.status.alerts = vec![fired(1, "critical", AlertState::Firing)];
    world.pass(100);
    assert_eq!((world.clock(ClockName::Acknowledge), world.clock(ClockName::Resolve)), (ClockState::Met, ClockState::Paused));
    world.act(610, action(TicketActionKind::Resume, "a"));
    assert_eq!(due(&world, ClockName::Resolve), after(610 + 240), "it has the whole limit once it goes on");
    let mut late = small_incident();
    late.pass(0);
    let resolve = 72 * 60;
    late.pass(resolve + 1);
    late.status.alerts = vec![fired(1, "critical", AlertState::Firing)];
    late.pass(resolve + 2);
    assert_eq!((late.clock(ClockName::Resolve), due(&late, ClockName::Resolve)), (ClockState::Overdue, after(resolve)));
    let mut soon = small_incident();
    soon.spec.due_time = Some(Time(after(30)));
    soon.pass(0);
    soon.status.alerts = vec![fired(1, "critical", AlertState::Firing)];
    soon.pass(1);
    assert_eq!(due(&soon, ClockName::Resolve), after(30));
}

#[test]
fn fault_f4_who_was_called_for_the_lower_priority_is_called_again() {
    let mut world = small_incident();
    world.channels = vec!["sms".into()];
    world.current = vec![serde_json::from_value(json!({"level": "duty", "person": "duty-engineer-a"})).unwrap()];
    world.status.alerts = vec![fired(1, "info", AlertState::Firing)];
    world.pass(0);
    world.status.notifications[0].state = NotificationState::Delivered;
    world.pass(1);
    assert_eq!(world.status.notifications[0].state, NotificationState::Delivered);
    world.status.alerts.push(fired(2, "critical", AlertState::Firing));
    world.pass(2);
    assert_eq!((world.status.notifications.len(), world.status.notifications[0].state), (1, NotificationState::Pending));
}

#[test]
fn fault_f4_an_incident_with_alerts_that_it_does_not_list_stays_open_and_says_so() {
    let mut world = small_incident();
    world.status.alerts = vec![fired(1, "critical", AlertState::Resolved)];
    world.status.truncated_alerts = Some(40);
    let open = world.pass(0);
    assert_eq!(world.phase(), TicketPhase::Open);
    let succeeded = open.updates.iter().find(|update| update.kind == "Succeeded").unwrap();
    assert!(succeeded.message.starts_with("0 alerts firing, and 40 more of the group"), "{}", succeeded.message);
    world.status.truncated_alerts = None;
    world.pass(1);
    assert_eq!(world.phase(), TicketPhase::Closed);
    let mut by_hand = small_incident();
    by_hand.status.alerts = vec![fired(1, "critical", AlertState::Resolved)];
    by_hand.status.truncated_alerts = Some(40);
    by_hand.pass(0);
    by_hand.act(1, action(TicketActionKind::Resolve, "a"));
    assert_eq!(by_hand.phase(), TicketPhase::Closed, "a person has looked");
}

#[test]
fn nobody_acknowledges_so_level_after_level_is_called_and_the_clocks_run_out() {
    let mut world = World::of(incident());
    world.pass(0);
    assert_eq!(world.pass(9).happened, []);
    let leader = world.pass(10);
    assert_eq!(leader.happened.iter().map(|happened| happened.reason.as_str()).collect::<Vec<_>>(), ["Escalated"]);
    assert_eq!(condition(&leader, "WithinClocks"), (Some(false), "AcknowledgeOverdue".into()));
    // The operator was away: what is due is caught up with at once, and no level is left out.
    let both = world.pass(300);
    assert_eq!(both.happened.len(), 1, "{:?}", both.happened);
    assert_eq!(
        (world.status.escalation.as_ref().unwrap().level.as_str(), world.status.escalation.as_ref().unwrap().state),
        ("director", EscalationState::Exhausted)
    );
    world.act(301, action(TicketActionKind::Acknowledge, "centre-director"));
    assert_eq!((world.clock(ClockName::Acknowledge), world.clock(ClockName::Resolve)), (ClockState::MetLate, ClockState::Overdue));
}

/// An incident whose only alert fires.
#[test]
fn a_suspended_ticket_gets_its_time_back() {
    let mut world = World::of(incident());
    world.pass(0);
    world.act(1, action(TicketActionKind::Acknowledge, "a"));
    world.act(10, action(TicketActionKind::Suspend, "a"));
    assert_eq!((world.phase(), world.clock(ClockName::Resolve)), (TicketPhase::Suspended, ClockState::Paused));
    world.pass(600);
    assert_eq!(world.clock(ClockName::Resolve), ClockState::Paused);
    world.act(610, action(TicketActionKind::Resume, "a"));
    assert_eq!((world.phase(), world.clock(ClockName::Resolve)), (TicketPhase::Acknowledged, ClockState::Running));
    let due = world.status.clocks.iter().find(|clock| clock.name == ClockName::Resolve).unwrap().due_time.0;
    assert_eq!(due, after(4 * 60 + 600));
}

#[test]
fn a_change_waits_for_agreement_then_for_its_window_and_starts_only_with_nothing_in_the_way() {
    let mut world = World::of(change("Normal"));
    let missing = world.pass(0);
    assert_eq!(world.phase(), TicketPhase::Planned);
    assert_eq!(condition(&missing, "Approved"), (Some(false), "ApprovalsMissing".into()));
    assert_eq!(condition(&missing, "Blocked"), (Some(true), "OutsideWindow".into()));
    assert!(world.status.clocks.is_empty() && world.status.escalation.is_none(), "nobody is woken for a change");
    world.tally.given = vec!["shift-leader-a".into()];
    let approved = world.pass(1);
    assert_eq!((world.phase(), condition(&approved, "Approved")), (TicketPhase::Approved, (Some(true), "EnoughApprovals".into())));
    world.opening = Some(Opening { open: false, frozen_by: None, next_open_time: Some(after(60)), next_close_time: Some(after(420)) });
    let scheduled = world.pass(2);
    assert_eq!((world.phase(), world.status.scheduled_time.clone(), scheduled.next), (TicketPhase::Scheduled, Some(Time(after(60))), Some(after(60))));
    world.act(3, action(TicketActionKind::Start, "a"));
    assert!(world.refused().starts_with("OutsideWindow: the window opens"), "{}", world.refused());
    world.opening = Some(open_now());
    world.obstacles =
        vec![Block { reason: BlockReason::BackupRunning, message: "backup x".into() }, Block { reason: BlockReason::DrillRunning, message: "drill y".into() }];
    world.act(61, action(TicketActionKind::Start, "a"));
    assert_eq!((world.phase(), world.refused()), (TicketPhase::Scheduled, "DrillRunning: drill y"));
    world.obstacles.clear();
    world.act(62, action(TicketActionKind::Start, "a"));
    assert_eq!((world.phase(), world.status.start_time.clone(), world.status.assignee.as_deref()), (TicketPhase::InProgress, Some(Time(after(62))), Some("a")));
    // The window closes in the middle: it is said, and a person decides.
    world.opening = Some(Opening { open: false, frozen_by: None, next_open_time: Some(after(9_000)), next_close_time: None });
    let closed = world.pass(500);
    assert_eq!((world.phase(), condition(&closed, "Blocked")), (TicketPhase::InProgress, (Some(true), "OutsideWindow".into())));
    world.act(501, action(TicketActionKind::Done, "a"));
    let end = world.act(510, action(TicketActionKind::Resolve, "a"));
    assert_eq!((world.phase(), condition(&end, "Blocked")), (TicketPhase::Closed, (Some(false), "Finished".into())));
}

#[test]
fn what_the_classes_of_change_need_differs() {
    for (class, freeze, given, phase, blocked) in [
        ("Standard", None, false, TicketPhase::Scheduled, "Clear"),
        ("Normal", None, false, TicketPhase::Planned, "Clear"),
        ("Normal", Some("visit"), true, TicketPhase::Scheduled, "Frozen"),
        ("Emergency", None, true, TicketPhase::Scheduled, "Clear"),
    ] {
        let mut world = World::of(change(class));
        world.opening = Some(open_now());
        world.freeze = freeze.map(str::to_owned);
        if given {
            world.tally.given = vec!["b".into()];
        }
        let decision = world.pass(0);
        assert_eq!((world.phase(), condition(&decision, "Blocked").1.as_str()), (phase, blocked), "{class} {freeze:?}");
    }
    let mut emergency = World::of(change("Emergency"));
    emergency.tally.given = vec!["b".into()];
    emergency.pass(0);
    emergency.act(1, action(TicketActionKind::Start, "a"));
    assert_eq!(emergency.phase(), TicketPhase::InProgress, "an emergency needs no window");
}

#[test]
fn another_plan_is_another_digest_and_one_no_holds_everything_up() {
    let mut world = World::of(change("Normal"));
    world.opening = Some(open_now());
    world.tally.given = vec!["b".into()];
    world.pass(0);
    let before = world.status.plan_digest.clone().unwrap();
    let mut plan = action(TicketActionKind::Plan, "a");
    plan.note = Some("both at once".into());
    world.spec.actions.push(plan);
    // The approval names the old digest, so it doesn't count any more.
    world.tally.given.clear();
    world.pass(1);
    assert_ne!(world.status.plan_digest.as_ref(), Some(&before));
    assert_eq!(world.phase(), TicketPhase::Planned);
    world.tally.given = vec!["b".into()];
    world.tally.rejected = vec!["c".into()];
    let rejected = world.pass(2);
    assert_eq!((world.phase(), condition(&rejected, "Approved").1), (TicketPhase::Planned, "Rejected".into()));
}

#[test]
fn a_rejection_is_told_with_its_words_once_and_stays_when_it_is_withdrawn() {
    let mut world = World::of(change("Normal"));
    world.pass(0);
    let no = json!({"name": "no", "approver": "leader", "decision": "Rejected", "time": "2026-12-07T19:07:00Z", "reason": "too close to the holiday"});
    (world.tally.rejected, world.tally.records) = (vec!["leader".into()], vec![serde_json::from_value(no).unwrap()]);
    let rejected = world.pass(1);
    let approved = rejected.updates.iter().find(|update| update.kind == "Approved").unwrap();
    assert!(approved.reason == "Rejected" && approved.message.starts_with("leader rejected it: too close to the holiday; "), "{approved:?}");
    let told = |decision: &Decision| decision.happened.iter().filter(|event| event.reason == "Rejected").count();
    assert_eq!((told(&rejected), told(&world.pass(2))), (1, 0));
    world.tally = Tally::default();
    let withdrawn = world.pass(3);
    assert_eq!(condition(&withdrawn, "Approved").1, "ApprovalsMissing");
    let kept = &world.status.approvals.as_ref().unwrap().decisions;
    assert_eq!((kept.len(), kept[0].void.as_deref()), (1, Some("it was withdrawn")));
}

#[test]
fn without_a_word_on_how_it_is_done_there_is_nothing_to_agree_to() {
    let mut spec = change("Normal");
    spec.change.as_mut().unwrap().plan = None;
    assert_eq!(plan_digest(&spec, &Planned::default(), None), None);
    let mut world = World::of(spec);
    (world.opening, world.tally.given) = (Some(open_now()), vec!["b".into()]);
    let decision = world.pass(0);
    assert_eq!((world.phase(), condition(&decision, "Approved").1), (TicketPhase::Open, "NoPlan".into()));
    let mut plan = action(TicketActionKind::Plan, "a");
    plan.note = Some("one by one".into());
    world.act(1, plan);
    assert_eq!(world.phase(), TicketPhase::Scheduled);
}

/// A change whose work the operator does, agreed to, with its window open.
fn kinds() -> impl Strategy<Value = TicketType> {
    prop_oneof![Just(TicketType::Incident), Just(TicketType::Change)]
}

fn actions() -> impl Strategy<Value = Vec<(TicketActionKind, i64)>> {
    use TicketActionKind::{Acknowledge, Assign, Cancel, Done, Note, Plan, Reopen, Resolve, Resume, RollBack, Start, Suspend};
    let kind = prop::sample::select(vec![Acknowledge, Assign, Note, Plan, Start, Done, RollBack, Resolve, Suspend, Resume, Reopen, Cancel]);
    prop::collection::vec((kind, 0i64..600), 0..24)
}

proptest! {
    #[test]
    fn an_end_is_left_only_by_reopening_or_by_the_alerts_that_closed_it(kind in kinds(), before in prop::option::of(prop::sample::select(TicketPhase::ALL.to_vec()))) {
        for phase in TicketPhase::ALL.into_iter().filter(|phase| phase.is_end()) {
            for event in Event::ALL {
                let course = next(kind, phase, before, event);
                let again = event == Event::AlertsAgain && phase == TicketPhase::Closed && kind == TicketType::Incident && before.is_some();
                prop_assert!(!matches!(course, Course::Go(_)) || event == Event::Reopen || again, "{phase} {event:?}: {course:?}");
            }
        }
    }

    #[test]
    fn work_of_a_change_begins_only_when_it_was_agreed_and_nothing_is_in_the_way(actions in actions(), agreed in prop::collection::vec(any::<bool>(), 24), open in prop::collection::vec(any::<bool>(), 24)) {
        let mut world = World::of(change("Normal"));
        let mut now = 0;
        world.pass(now);
        for (index, (kind, wait)) in actions.into_iter().enumerate() {
            now += wait;
            world.tally.given = if agreed[index] { vec!["b".into()] } else { vec![] };
            world.opening = open[index].then(open_now);
            // What was agreed to is known before the action is read, as in the operator.
            world.pass(now);
            let before = world.phase();
            let mut action = action(kind, "a");
            action.note = Some(format!("note {index}"));
            world.act(now, action);
            if world.phase() == TicketPhase::InProgress && before == TicketPhase::Scheduled {
                prop_assert!(agreed[index] && open[index]);
            }
            prop_assert_eq!(world.phase() == TicketPhase::Suspended, world.status.suspended_phase.is_some());
            prop_assert_eq!(world.phase().is_end(), world.status.completion_time.is_some());
        }
    }

    #[test]
    fn a_pass_that_nothing_happened_before_changes_nothing(incidents in any::<bool>(), actions in actions(), fires in any::<bool>()) {
        let mut world = World::of(if incidents { incident() } else { change("Standard") });
        world.opening = Some(open_now());
        if fires && incidents {
            world.status.alerts = vec![TicketAlert { fingerprint: "a".into(), alert_name: "A".into(), severity: None, state: AlertState::Firing, start_time: Time(after(0)), end_time: None, posted_by: None }];
        }
        let mut now = 0;
        for (kind, wait) in actions {
            now += wait;
            let mut action = action(kind, "a");
            action.note = Some("note".into());
            world.act(now, action);
        }
        let first = world.pass(now);
        let second = world.pass(now);
        prop_assert_eq!(&first.status, &second.status);
        prop_assert_eq!(second.happened, vec![]);
        prop_assert!(second.next.is_none_or(|next| next >= after(now)));
    }

    #[test]
    fn every_action_is_read_once_and_either_done_or_refused_with_a_reason(incidents in any::<bool>(), actions in actions()) {
        let mut world = World::of(if incidents { incident() } else { change("Normal") });
        for (kind, _) in &actions {
            let mut action = action(*kind, "a");
            action.note = Some("note".into());
            world.spec.actions.push(action);
        }
        world.pass(0);
        prop_assert_eq!(world.status.observed_actions, i32::try_from(actions.len()).ok());
        prop_assert!(world.status.refused_actions.iter().all(|refused| !refused.why.is_empty()));
    }
}
