//! Priority, deadlines and escalation.

use crate::time::{after, parse_duration};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Time,
    maintenance::{
        roster::PriorityClock,
        ticket::{ClockName, ClockState, Escalation, EscalationState, Grade, Priority, TicketClock},
    },
};
use std::collections::BTreeMap;

/// The priority of impact × urgency.
pub fn priority(impact: Grade, urgency: Grade) -> Priority {
    match (impact, urgency) {
        (Grade::High, Grade::High) => Priority::P1,
        (Grade::High, Grade::Medium) | (Grade::Medium, Grade::High) => Priority::P2,
        (Grade::High, Grade::Low) | (Grade::Low, Grade::High) | (Grade::Medium, Grade::Medium) => Priority::P3,
        (Grade::Medium, Grade::Low) | (Grade::Low, Grade::Medium | Grade::Low) => Priority::P4,
    }
}

/// Times within which something must be done about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until somebody has it.
    pub acknowledge: SignedDuration,
    /// Until it is over.
    pub resolve: SignedDuration,
    /// Until it was reported upwards, where that is asked for.
    pub report: Option<SignedDuration>,
}

/// What a centre does that has said nothing else. Source: P1 to P4 response of 5 min, 15 min, 30 min and 2 h in the operation manuals of city computer
/// centres; report within 4 h by the rules on reporting network-security incidents in force since 2025-11-01.
fn usual(priority: Priority) -> Limits {
    let (acknowledge, resolve, report) = match priority {
        Priority::P1 => (5, 4, Some(4)),
        Priority::P2 => (15, 8, None),
        Priority::P3 => (30, 24, None),
        Priority::P4 => (120, 72, None),
    };
    Limits { acknowledge: SignedDuration::from_mins(acknowledge), resolve: SignedDuration::from_hours(resolve), report: report.map(SignedDuration::from_hours) }
}

/// The roster's numbers for a priority. A duration that can't be read is refused at admission; one that slipped in counts as not said.
pub fn limits(clocks: &[PriorityClock], priority: Priority) -> Limits {
    let usual = usual(priority);
    let Some(clock) = clocks.iter().find(|clock| clock.priority == priority) else { return usual };
    let read = |text: Option<&p861_crds::Duration>| text.and_then(|text| parse_duration(&text.0).ok());
    Limits {
        acknowledge: read(clock.acknowledge.as_ref()).unwrap_or(usual.acknowledge),
        resolve: read(clock.resolve.as_ref()).unwrap_or(usual.resolve),
        report: read(clock.report.as_ref()).or(usual.report),
    }
}

/// The clocks of a ticket that was opened, or opened again, at `from`.
pub fn wind(limits: &Limits, from: Timestamp) -> Vec<TicketClock> {
    let clock = |name, within| TicketClock { name, state: ClockState::Running, due_time: Time(after(from, within)), met_time: None };
    let mut clocks = vec![clock(ClockName::Acknowledge, limits.acknowledge), clock(ClockName::Resolve, limits.resolve)];
    clocks.extend(limits.report.map(|report| clock(ClockName::Report, report)));
    clocks
}

/// The ticket has become graver at `now`: what is still due is due within the new limits from now on, if that is sooner. A paused deadline counts from the
/// suspension, whose length it gets back later. A deadline that has been missed stays missed.
pub fn hasten(clocks: &mut Vec<TicketClock>, limits: &Limits, now: Timestamp, suspended: Option<Timestamp>) {
    // A ticket without any clocks is none that has deadlines.
    if clocks.is_empty() {
        return;
    }
    for new in wind(limits, now) {
        match clocks.iter_mut().find(|clock| clock.name == new.name) {
            None => clocks.push(new),
            Some(known) if known.state == ClockState::Running => known.due_time = Time(known.due_time.0.min(new.due_time.0)),
            Some(known) if known.state == ClockState::Paused => {
                let within = new.due_time.0.duration_since(now);
                known.due_time = Time(known.due_time.0.min(after(suspended.unwrap_or(now), within)));
            }
            // Met, missed, or not needed any more.
            Some(_) => {}
        }
    }
}

/// Meets a deadline.
pub fn meet(clocks: &mut [TicketClock], name: ClockName, now: Timestamp) {
    for clock in clocks.iter_mut().filter(|clock| clock.name == name && clock.met_time.is_none()) {
        match clock.state {
            ClockState::Running | ClockState::Paused | ClockState::Overdue => {
                clock.state = if now <= clock.due_time.0 { ClockState::Met } else { ClockState::MetLate };
                clock.met_time = Some(Time(now));
            }
            ClockState::Met | ClockState::MetLate | ClockState::Stopped => {}
        }
    }
}

/// Nobody waits for it any more.
pub fn stop(clocks: &mut [TicketClock], name: ClockName) {
    for clock in clocks.iter_mut().filter(|clock| clock.name == name && clock.met_time.is_none()) {
        clock.state = ClockState::Stopped;
    }
}

/// Suspends the ticket: pauses its Resolve deadline.
pub fn pause(clocks: &mut [TicketClock]) {
    for clock in clocks.iter_mut().filter(|clock| clock.name == ClockName::Resolve && matches!(clock.state, ClockState::Running | ClockState::Overdue)) {
        clock.state = ClockState::Paused;
    }
}

/// Continues the ticket: extends paused deadlines by the time of the suspension.
pub fn go_on(clocks: &mut [TicketClock], paused: SignedDuration) {
    for clock in clocks.iter_mut().filter(|clock| clock.state == ClockState::Paused) {
        clock.state = ClockState::Running;
        clock.due_time = Time(after(clock.due_time.0, paused.max(SignedDuration::ZERO)));
    }
}

/// The ticket was closed and goes on: deadlines that its end met or stopped are due when they were.
pub fn take_up(clocks: &mut [TicketClock]) {
    for clock in clocks {
        let by_the_end = match clock.state {
            ClockState::Met | ClockState::MetLate => clock.name == ClockName::Resolve,
            ClockState::Stopped => true,
            ClockState::Running | ClockState::Overdue | ClockState::Paused => false,
        };
        if by_the_end {
            (clock.state, clock.met_time) = (ClockState::Running, None);
        }
    }
}

/// Time passes. Returns when a clock runs out next.
pub fn tick(clocks: &mut [TicketClock], now: Timestamp) -> Option<Timestamp> {
    for clock in clocks.iter_mut().filter(|clock| clock.state == ClockState::Running && clock.due_time.0 < now) {
        clock.state = ClockState::Overdue;
    }
    clocks.iter().filter(|clock| clock.state == ClockState::Running).map(|clock| clock.due_time.0).min()
}

/// A level of the roster, as an escalation needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its name.
    pub name: String,
    /// The next level is called this long after; never if absent.
    pub escalate_after: Option<SignedDuration>,
}

/// The first level is called.
pub fn first_call(levels: &[Level], from: Timestamp) -> Option<Escalation> {
    levels.first().map(|_| called(levels, 0, from))
}

fn called(levels: &[Level], index: usize, at: Timestamp) -> Escalation {
    let level = levels[index].clone();
    let next = levels.get(index + 1).zip(level.escalate_after);
    Escalation {
        level: level.name,
        next_level: next.map(|(next, _)| next.name.clone()),
        next_time: next.map(|(_, wait)| Time(after(at, wait))),
        state: if next.is_some() { EscalationState::Running } else { EscalationState::Exhausted },
    }
}

/// Time passes and nobody has the ticket: the levels that were called meanwhile, the last one in force. After a long absence all of them are called at once.
pub fn escalate(escalation: &mut Escalation, levels: &[Level], now: Timestamp) -> Vec<String> {
    let order: BTreeMap<&str, usize> = levels.iter().enumerate().map(|(index, level)| (level.name.as_str(), index)).collect();
    let mut now_called = Vec::new();
    while escalation.state == EscalationState::Running {
        let Some(due) = escalation.next_time.as_ref().map(|time| time.0).filter(|due| *due <= now) else { break };
        // The roster no longer has the level, so there is nobody to call.
        let Some(index) = escalation.next_level.as_deref().and_then(|name| order.get(name)) else {
            escalation.state = EscalationState::Exhausted;
            break;
        };
        *escalation = called(levels, *index, due);
        now_called.push(escalation.level.clone());
    }
    now_called
}
