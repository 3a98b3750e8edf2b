//! An alert that closed an incident fires again.

use crate::ticket_world::{World, action, after, due, fired, incident};
use p861_core::maintenance::ticket::Decision;
use p861_crds::maintenance::{
    roster::OnDuty,
    ticket::{AlertState, ClockName, ClockState, NotificationState, Resolution, TicketActionKind, TicketPhase},
};

fn alerted() -> World {
    let mut world = World::of(incident());
    world.status.alerts = vec![fired(1, "critical", AlertState::Firing)];
    world.pass(0);
    world
}

fn reasons(decision: &Decision) -> Vec<&str> {
    decision.happened.iter().map(|happened| happened.reason.as_str()).collect()
}

#[test]
fn fault_h10_an_incident_goes_on_as_it_was_when_an_alert_that_closed_it_fires_again() {
    let mut world = alerted();
    world.act(3, action(TicketActionKind::Acknowledge, "duty-engineer-b"));
    world.status.alerts[0].state = AlertState::Resolved;
    assert_eq!(reasons(&world.pass(20)), ["IncidentClosed"]);
    assert_eq!((world.phase(), world.clock(ClockName::Resolve), world.clock(ClockName::Report)), (TicketPhase::Closed, ClockState::Met, ClockState::Stopped));
    world.status.alerts[0].state = AlertState::Firing;
    let again = world.pass(24);
    assert_eq!(reasons(&again), ["IncidentReopened"]);
    assert_eq!(again.happened[0].note, "alert Alert1 fires again: the incident is Acknowledged as before");
    assert_eq!((world.phase(), world.status.assignee.as_deref()), (TicketPhase::Acknowledged, Some("duty-engineer-b")));
    assert_eq!((world.status.completion_time.clone(), world.status.resolution), (None, None));
    let clocks = [ClockName::Acknowledge, ClockName::Resolve, ClockName::Report].map(|name| world.clock(name));
    assert_eq!(clocks, [ClockState::Met, ClockState::Running, ClockState::Running]);
    assert_eq!(due(&world, ClockName::Resolve), after(240), "its deadline is the one that it had");
    assert!(world.pass(25).happened.is_empty(), "it is told once");
    world.status.alerts[0].state = AlertState::Resolved;
    assert_eq!((reasons(&world.pass(26)), world.phase()), (vec!["IncidentClosed"], TicketPhase::Closed));
}

#[test]
fn fault_h10_who_was_told_of_an_incident_is_not_told_again_when_it_is_reopened_and_the_next_level_is_called_in_time() {
    let mut world = World::of(incident());
    world.current = vec![OnDuty { level: "duty".into(), person: Some("b".into()), also: None, until_time: None }];
    world.channels = vec!["mail".into()];
    world.status.alerts = vec![fired(1, "critical", AlertState::Firing)];
    world.pass(0);
    world.status.notifications[0].state = NotificationState::Delivered;
    world.status.alerts[0].state = AlertState::Resolved;
    world.pass(2);
    world.status.alerts[0].state = AlertState::Firing;
    world.pass(4);
    assert_eq!((world.phase(), world.clock(ClockName::Acknowledge)), (TicketPhase::Open, ClockState::Running));
    let told: Vec<NotificationState> = world.status.notifications.iter().map(|message| message.state).collect();
    assert_eq!(told, [NotificationState::Delivered]);
    assert_eq!(reasons(&world.pass(10)), ["Escalated"]);
}

#[test]
fn fault_h10_who_suspended_an_incident_has_it_when_its_alert_fires_again() {
    let mut world = alerted();
    world.act(3, action(TicketActionKind::Suspend, "a"));
    world.status.alerts[0].state = AlertState::Resolved;
    world.pass(60);
    assert_eq!(world.phase(), TicketPhase::Closed);
    world.status.alerts[0].state = AlertState::Firing;
    world.pass(63);
    assert_eq!((world.phase(), world.clock(ClockName::Resolve)), (TicketPhase::Acknowledged, ClockState::Running));
    assert_eq!(due(&world, ClockName::Resolve), after(240 + 57), "it has its time back");
}

#[test]
fn fault_h10_what_a_person_has_ended_no_alert_reopens() {
    let mut resolve = action(TicketActionKind::Resolve, "a");
    resolve.resolution = Some(Resolution::NotReproducible);
    for (ends, phase) in [(resolve, TicketPhase::Closed), (action(TicketActionKind::Cancel, "a"), TicketPhase::Cancelled)] {
        let mut world = alerted();
        world.act(5, ends);
        assert_eq!((world.phase(), world.status.closed_phase), (phase, None));
        assert_eq!((reasons(&world.pass(6)), world.phase()), (vec![], phase), "its alert still fires");
    }
    // One that its alerts closed is a person's again once he has reopened it.
    let mut world = alerted();
    world.status.alerts[0].state = AlertState::Resolved;
    world.pass(1);
    world.status.truncated_alerts = Some(1);
    world.act(2, action(TicketActionKind::Reopen, "a"));
    assert_eq!((world.phase(), world.status.closed_phase), (TicketPhase::Open, None));
}
