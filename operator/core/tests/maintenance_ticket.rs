//! A ticket's life, as tables, stories and properties.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_core::maintenance::{
    approval::Tally,
    notify::{self, Outcome},
    ticket::{
        Access, Asks, Block, BlockReason, Decision, Facts, Work, WorkRun, change_under_way, clocks,
        clocks::Level,
        decide,
        life::{Course, Event, next},
        plan_digest, still_agreed,
    },
    window::Opening,
};
use p861_crds::{
    MaintenanceTicket, MaintenanceTicketSpec, MaintenanceTicketStatus, Time,
    common::RunPhase,
    maintenance::roster::OnDuty,
    maintenance::ticket::{
        AlertState, ClockName, ClockState, EscalationState, Grade, NotificationState, Priority, Resolution, TicketAction, TicketActionKind, TicketAlert,
        TicketNotification, TicketPhase, TicketType,
    },
};
use proptest::prelude::*;
use serde_json::json;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn after(minutes: i64) -> Timestamp {
    time("2026-12-07T19:06:12Z") + SignedDuration::from_mins(minutes)
}

fn incident() -> MaintenanceTicketSpec {
    serde_json::from_value(json!({"type": "Incident", "title": {"en": "Site unreachable"}, "impact": "High", "urgency": "High", "incident": {}})).unwrap()
}

fn change(class: &str) -> MaintenanceTicketSpec {
    serde_json::from_value(json!({"type": "Change", "title": {"en": "Replace the disk"}, "impact": "Medium", "urgency": "Low", "change": {"class": class, "work": {"manual": {}}, "plan": {"en": "one by one"}}})).unwrap()
}

fn action(kind: TicketActionKind, by: &str) -> TicketAction {
    TicketAction {
        action: kind,
        reason: Some("why".into()),
        note: None,
        reported: None,
        assignee: None,
        resolution: None,
        by: Some(by.into()),
        on_behalf_of: None,
    }
}

fn ticket(spec: MaintenanceTicketSpec, affects: serde_json::Value, phase: &str) -> MaintenanceTicket {
    let mut value =
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "t"}, "spec": spec, "status": {"phase": phase}});
    value["spec"]["affects"] = affects;
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_change_under_way_keeps_a_drill_of_the_same_applications_or_site_waiting() {
    let (approval, standby) = (json!({"applicationRefs": [{"name": "approval"}]}), json!({"siteRefs": [{"name": "laoshan-dr"}]}));
    let busy = |ticket: MaintenanceTicket| change_under_way(&[ticket], &["approval", "portal"], "laoshan-dr").is_some();
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

fn levels() -> Vec<Level> {
    let level = |name: &str, minutes: Option<i64>| Level { name: name.into(), escalate_after: minutes.map(SignedDuration::from_mins) };
    vec![level("duty", Some(10)), level("leader", Some(15)), level("director", None)]
}

/// The world around a ticket, as a story tells it.
struct World {
    spec: MaintenanceTicketSpec,
    status: MaintenanceTicketStatus,
    tally: Tally,
    opening: Option<Opening>,
    freeze: Option<String>,
    obstacles: Vec<Block>,
    current: Vec<OnDuty>,
    channels: Vec<String>,
    work: Option<Work>,
}

impl World {
    fn of(spec: MaintenanceTicketSpec) -> Self {
        Self {
            spec,
            status: MaintenanceTicketStatus::default(),
            tally: Tally::default(),
            opening: None,
            freeze: None,
            obstacles: vec![],
            current: vec![],
            channels: vec![],
            work: None,
        }
    }

    fn pass(&mut self, minutes: i64) -> Decision {
        let levels = levels();
        let facts = Facts {
            spec: &self.spec,
            before: &self.status,
            created: after(0),
            clocks: &[],
            levels: &levels,
            current: &self.current,
            channels: &self.channels,
            tally: self.tally.clone(),
            access: self.access(),
            obstacles: self.obstacles.clone(),
            work: self.work.clone(),
        };
        let decision = decide(&facts, after(minutes));
        self.status = decision.status.clone();
        decision
    }

    /// What the window says to a change that takes no time.
    fn access(&self) -> Access {
        let fits = self.opening.as_ref().and_then(|opening| if opening.open { Some(after(0)) } else { opening.next_open_time });
        Access { opening: self.opening.clone(), fits, takes: SignedDuration::ZERO, freeze: self.freeze.clone(), zone: TimeZone::UTC }
    }

    fn act(&mut self, minutes: i64, action: TicketAction) -> Decision {
        self.spec.actions.push(action);
        self.pass(minutes)
    }

    fn phase(&self) -> TicketPhase {
        self.status.phase.unwrap()
    }

    fn clock(&self, name: ClockName) -> ClockState {
        self.status.clocks.iter().find(|clock| clock.name == name).unwrap().state
    }

    fn refused(&self) -> &str {
        self.status.refused_actions.last().map_or("", |refused| refused.why.as_str())
    }
}

fn verdict(decision: &Decision, kind: &str) -> (Option<bool>, String) {
    let found = decision.verdicts.iter().find(|verdict| verdict.kind == kind).unwrap();
    (found.status, found.reason.clone())
}

fn open_now() -> Option<Opening> {
    Some(Opening { open: true, frozen_by: None, next_open_time: None, next_close_time: None })
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
    assert_eq!(verdict(&acknowledged, "WithinClocks"), (Some(true), "InTime".into()));
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
    assert_eq!(verdict(&closed, "Succeeded"), (Some(true), "Done".into()));
    assert_eq!(world.pass(50).happened, [], "what ended is told once");
}

#[test]
fn nobody_acknowledges_so_level_after_level_is_called_and_the_clocks_run_out() {
    let mut world = World::of(incident());
    world.pass(0);
    assert_eq!(world.pass(9).happened, []);
    let leader = world.pass(10);
    assert_eq!(leader.happened.iter().map(|happened| happened.reason).collect::<Vec<_>>(), ["Escalated"]);
    assert_eq!(verdict(&leader, "WithinClocks"), (Some(false), "AcknowledgeOverdue".into()));
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
    assert_eq!(verdict(&missing, "Approved"), (Some(false), "ApprovalsMissing".into()));
    assert_eq!(verdict(&missing, "Blocked"), (Some(true), "OutsideWindow".into()));
    assert!(world.status.clocks.is_empty() && world.status.escalation.is_none(), "nobody is woken for a change");
    world.tally.given = vec!["shift-leader-a".into()];
    let approved = world.pass(1);
    assert_eq!((world.phase(), verdict(&approved, "Approved")), (TicketPhase::Approved, (Some(true), "EnoughApprovals".into())));
    world.opening = Some(Opening { open: false, frozen_by: None, next_open_time: Some(after(60)), next_close_time: Some(after(420)) });
    let scheduled = world.pass(2);
    assert_eq!((world.phase(), world.status.scheduled_time.clone(), scheduled.next), (TicketPhase::Scheduled, Some(Time(after(60))), Some(after(60))));
    world.act(3, action(TicketActionKind::Start, "a"));
    assert!(world.refused().starts_with("OutsideWindow: the window opens"), "{}", world.refused());
    world.opening = open_now();
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
    assert_eq!((world.phase(), verdict(&closed, "Blocked")), (TicketPhase::InProgress, (Some(true), "OutsideWindow".into())));
    world.act(501, action(TicketActionKind::Done, "a"));
    let end = world.act(510, action(TicketActionKind::Resolve, "a"));
    assert_eq!((world.phase(), verdict(&end, "Blocked")), (TicketPhase::Closed, (Some(false), "Finished".into())));
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
        world.opening = open_now();
        world.freeze = freeze.map(str::to_owned);
        if given {
            world.tally.given = vec!["b".into()];
        }
        let decision = world.pass(0);
        assert_eq!((world.phase(), verdict(&decision, "Blocked").1.as_str()), (phase, blocked), "{class} {freeze:?}");
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
    world.opening = open_now();
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
    assert_eq!((world.phase(), verdict(&rejected, "Approved").1), (TicketPhase::Planned, "Rejected".into()));
}

#[test]
fn without_a_word_on_how_it_is_done_there_is_nothing_to_agree_to() {
    let mut spec = change("Standard");
    spec.change.as_mut().unwrap().plan = None;
    assert_eq!(plan_digest(&spec, 0, None), None);
    let mut world = World::of(spec);
    world.opening = open_now();
    let decision = world.pass(0);
    assert_eq!((world.phase(), verdict(&decision, "Approved").1), (TicketPhase::Open, "NoPlan".into()));
    let mut plan = action(TicketActionKind::Plan, "a");
    plan.note = Some("one by one".into());
    world.act(1, plan);
    assert_eq!(world.phase(), TicketPhase::Scheduled);
}

/// A change whose work the operator does, agreed to, with its window open.
fn drain() -> World {
    let mut spec = change("Normal");
    let change = spec.change.as_mut().unwrap();
    change.work = serde_json::from_value(json!({"drainNode": {"siteRef": {"name": "a"}, "nodeName": "n1"}})).unwrap();
    change.plan = None;
    let mut world = World::of(spec);
    world.opening = open_now();
    world.tally.given = vec!["b".into()];
    world.work = Some(Work { steps: Ok("sha256:1".into()), takes: SignedDuration::ZERO, run: None });
    world
}

fn run(phase: RunPhase, asks: Option<Asks>) -> Option<Work> {
    Some(Work { steps: Ok(String::new()), takes: SignedDuration::ZERO, run: Some(WorkRun { phase, asks, said: ("Running".into(), "2 of 5 steps".into()) }) })
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
    world.work = run(RunPhase::Running, None);
    world.act(2, action(TicketActionKind::Done, "li"));
    assert!(world.refused().contains("the operator does this work"), "{}", world.refused());
    assert_eq!(world.status.plan_digest, agreed, "what was begun stays what was agreed to");
    world.work = run(RunPhase::WaitingForPerson, Some(Asks::Done));
    world.act(3, action(TicketActionKind::Done, "li"));
    assert_eq!((world.phase(), world.status.refused_actions.len()), (TicketPhase::InProgress, 1));
    world.opening = Some(Opening { open: false, frozen_by: None, next_open_time: None, next_close_time: None });
    let closed = world.pass(4);
    assert_eq!(
        (world.phase(), verdict(&closed, "Blocked")),
        (TicketPhase::InProgress, (Some(true), "OutsideWindow".into())),
        "a window that closes stops nothing, and is told"
    );
    world.work = run(RunPhase::Succeeded, None);
    let ended = world.pass(5);
    assert_eq!((world.phase(), verdict(&ended, "Succeeded")), (TicketPhase::Closed, (Some(true), "Done".into())));
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
    let refused = WorkRun { phase: RunPhase::Refused, asks: None, said: ("PlanChanged".into(), "it is another".into()) };
    world.work = Some(Work { steps: Ok(String::new()), takes: SignedDuration::ZERO, run: Some(refused) });
    let ended = world.pass(3);
    assert_eq!((world.phase(), verdict(&ended, "Succeeded").0), (TicketPhase::RolledBack, Some(false)));
}

#[test]
fn a_rollback_waits_for_the_steps_to_be_taken_back() {
    let mut world = drain();
    world.pass(0);
    world.work = run(RunPhase::WaitingForPerson, Some(Asks::Done));
    world.act(1, action(TicketActionKind::RollBack, "li"));
    assert_eq!((world.phase(), world.status.refused_actions.len()), (TicketPhase::InProgress, 0), "the node is still closed");
    world.work = run(RunPhase::Aborted, None);
    let ended = world.pass(2);
    assert_eq!((world.phase(), verdict(&ended, "Succeeded")), (TicketPhase::RolledBack, (Some(false), "RolledBack".into())));
    assert_eq!(world.status.resolution, Some(Resolution::RolledBack));
}

#[test]
fn steps_that_can_t_be_compiled_can_t_be_agreed_to() {
    let mut world = drain();
    world.work = Some(Work { steps: Err("site a isn't there".into()), takes: SignedDuration::ZERO, run: None });
    let decision = world.pass(0);
    assert_eq!((world.phase(), verdict(&decision, "Approved").1), (TicketPhase::Open, "NotCompiled".into()));
    assert_eq!(world.status.plan_digest, None);
    world.work = Some(Work { steps: Ok("sha256:1".into()), takes: SignedDuration::ZERO, run: None });
    world.pass(1);
    let first = world.status.plan_digest.clone();
    assert_eq!(world.phase(), TicketPhase::InProgress);
    let mut other = drain();
    other.work = Some(Work { steps: Ok("sha256:2".into()), takes: SignedDuration::ZERO, run: None });
    other.pass(0);
    assert_ne!(other.status.plan_digest, first, "other steps are another plan");
}

#[test]
fn a_change_that_people_made_is_resolved_when_its_checks_are_over() {
    let mut world = World::of(change("Standard"));
    world.opening = open_now();
    world.pass(0);
    world.act(1, action(TicketActionKind::Start, "li"));
    assert_eq!(world.status.work_first_action, Some(1), "the start itself says nothing to the steps");
    world.work = run(RunPhase::WaitingForPerson, Some(Asks::Done));
    world.act(2, action(TicketActionKind::Done, "li"));
    assert_eq!(world.phase(), TicketPhase::Verifying);
    world.work = run(RunPhase::Running, None);
    world.act(3, action(TicketActionKind::Resolve, "li"));
    assert!(world.refused().contains("checks"), "{}", world.refused());
    world.work = run(RunPhase::Succeeded, None);
    world.act(4, action(TicketActionKind::Resolve, "li"));
    assert_eq!(world.phase(), TicketPhase::Closed);
}

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
    fn an_end_is_left_only_by_reopening(kind in kinds(), suspended in prop::option::of(prop::sample::select(TicketPhase::ALL.to_vec()))) {
        for phase in TicketPhase::ALL.into_iter().filter(|phase| phase.is_end()) {
            for event in Event::ALL {
                let course = next(kind, phase, suspended, event);
                prop_assert!(!matches!(course, Course::Go(_)) || event == Event::Reopen, "{phase} {event:?}: {course:?}");
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
            world.opening = if open[index] { open_now() } else { None };
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
        world.opening = open_now();
        if fires && incidents {
            world.status.alerts = vec![TicketAlert { fingerprint: "a".into(), alert_name: "A".into(), severity: None, state: AlertState::Firing, start_time: Time(after(0)), end_time: None }];
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

fn on_duty() -> Vec<OnDuty> {
    let level = |level: &str, person: &str, also: Option<&str>| OnDuty {
        level: level.into(),
        person: Some(person.into()),
        also: also.map(str::to_owned),
        until_time: None,
    };
    vec![level("duty", "b", Some("c")), level("leader", "lead", None), level("director", "chief", None)]
}

fn told(notifications: &[TicketNotification], state: NotificationState) -> Vec<String> {
    notifications
        .iter()
        .filter(|notification| notification.state == state)
        .map(|notification| format!("{} by {}", notification.person, notification.channel))
        .collect()
}

#[test]
fn who_is_called_is_told_once_by_each_channel_and_late_if_the_receiver_was_away() {
    let mut world = World::of(incident());
    (world.current, world.channels) = (on_duty(), vec!["message".into(), "mail".into()]);
    world.pass(0);
    assert_eq!(told(&world.status.notifications, NotificationState::Pending), ["b by message", "b by mail", "c by message", "c by mail"]);
    let outcome = |person: &str, channel: &str, minutes: i64, result: Result<(), String>| Outcome {
        person: person.into(),
        channel: channel.into(),
        at: after(minutes),
        result,
    };
    notify::settle(&mut world.status.notifications, &outcome("b", "message", 0, Ok(())));
    notify::settle(&mut world.status.notifications, &outcome("b", "mail", 0, Err("connection refused".into())));
    let again = world.pass(0);
    assert!(again.next.is_some_and(|next| next > after(0) || notify::due(&world.status.notifications, after(0)).count() == 2));
    assert_eq!(notify::due(&world.status.notifications, after(0)).map(|due| due.person.clone()).collect::<Vec<_>>(), ["c", "c"], "what failed waits a little");
    notify::settle(&mut world.status.notifications, &outcome("b", "mail", 9, Ok(())));
    let late: Vec<bool> = world.status.notifications.iter().filter(|known| known.state == NotificationState::Delivered).map(|known| known.late).collect();
    assert_eq!(late, [false, true]);
    notify::settle(&mut world.status.notifications, &outcome("b", "mail", 9, Err("again".into())));
    assert_eq!(told(&world.status.notifications, NotificationState::Delivered).len(), 2, "what was delivered stays delivered");
    world.pass(10);
    assert!(told(&world.status.notifications, NotificationState::Pending).contains(&"lead by mail".to_owned()), "the next level");
    world.act(11, action(TicketActionKind::Acknowledge, "b"));
    assert_eq!(told(&world.status.notifications, NotificationState::Pending), Vec::<String>::new(), "nobody waits for it any more");
    assert_eq!(notify::next(&world.status.notifications), None);
}

#[test]
fn a_message_says_what_where_who_and_that_it_is_late() {
    let mut world = World::of(incident());
    (world.current, world.channels) = (on_duty(), vec!["mail".into()]);
    world.pass(0);
    let notification = &world.status.notifications[0];
    let message = |minutes| notify::message("inc-1", &world.spec, Some(Priority::P1), notification, Some("https://hub/ack/x"), &TimeZone::UTC, after(minutes));
    let on_time = message(0);
    assert_eq!(on_time.subject, "[P1] Site unreachable");
    assert!(on_time.body.contains("https://hub/ack/x") && on_time.body.contains("inc-1") && !on_time.body.contains("LATE"), "{}", on_time.body);
    assert!(message(30).subject.contains("LATE") && message(30).body.contains("2026-12-07 19:06:12"), "{:?}", message(30));
    let (a, b) = (notify::seal(b"key", "uid", after(5), "b"), notify::seal(b"key", "uid", after(5), "c"));
    assert!(a != b && a != notify::seal(b"key", "uid", after(6), "b") && a != notify::seal(b"other", "uid", after(5), "b"), "a link is for one person, once");
}

#[test]
fn a_mail_carries_chinese_and_nobody_adds_a_line_to_it() {
    let message = notify::Message { subject: format!("[P1] {}\r\nBcc: x@y", "门户打不开".repeat(8)), body: "你好\n.\nend".into() };
    let text = notify::mail("p861@x", "a@y", &message, "id", after(0));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.split("\r\n").all(|line| line.len() <= 76 && line.is_ascii()), "{head}");
    assert!(!head.contains("Bcc") && head.contains("Date: Mon, 07 Dec 2026 19:06:12 +0000"), "{head}");
    assert!(body.split("\r\n").all(|line| line.len() <= 76 && !line.starts_with('.')), "{body}");
    for (address, good) in
        [("a@b.example", true), (" a@b ", true), ("a", false), ("a@b\r\nRCPT TO:<c@d>", false), ("<a@b>", false), ("a b@c", false), ("@b", false)]
    {
        assert_eq!(notify::mail_address(address).is_some(), good, "{address:?}");
    }
}
