//! One reconcile of a ticket: applies new actions of people and observed events, and decides what follows.

use super::{
    again::goes_on_in,
    block::Block,
    clocks,
    digest::{plan_digest, required_approvals},
    facts::{Asks, Facts, WorkRun},
    life::{Course, Event, next},
    planned::Planned,
};
use crate::{
    conditions::{ConditionUpdate, ObjectEvent},
    maintenance::{notify, window::Opening},
};
use jiff::Timestamp;
use p861_crds::{
    MaintenanceTicketStatus, Reason, Time,
    common::RunPhase,
    maintenance::{
        change::Change,
        ticket::{
            ActionTime, AlertState, ClockName, EscalationState, Priority, RefusedAction, Resolution, TicketAction, TicketActionKind, TicketPhase, TicketType,
        },
        window::ChangeClass,
    },
};

/// Maximum number of refused actions in the status, but for those of a Plan.
const REFUSED: usize = 16;

/// Result of the decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The status, without conditions.
    pub status: MaintenanceTicketStatus,
    /// The conditions.
    pub updates: Vec<ConditionUpdate>,
    /// Events to publish.
    pub happened: Vec<ObjectEvent>,
    /// When to look again even if nothing changes.
    pub next: Option<Timestamp>,
}

/// The decision under construction.
pub(super) struct Pass<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) status: MaintenanceTicketStatus,
    happened: Vec<ObjectEvent>,
    /// It was reopened in this pass: what is known of it is known of what it was.
    reopened: bool,
    pub(super) now: Timestamp,
}

/// Decides.
pub fn decide(facts: &Facts<'_>, now: Timestamp) -> Decision {
    let mut pass = Pass { facts, status: facts.before.clone(), happened: Vec::new(), reopened: false, now };
    pass.open();
    pass.reopen();
    pass.raise();
    pass.read_actions();
    pass.follow_the_world();
    let mut due = clocks::tick(&mut pass.status.clocks, now);
    pass.escalate();
    pass.notify();
    let escalates = pass
        .status
        .escalation
        .as_ref()
        .filter(|escalation| escalation.state == EscalationState::Running)
        .and_then(|escalation| escalation.next_time.as_ref())
        .map(|time| time.0);
    let opens = pass.change().and(facts.access.opening.as_ref()).and_then(Opening::next_change);
    let retries = notify::next(&pass.status.notifications);
    // The steps don't have the text of a plan that was said just now.
    let compiles = (pass.change().is_some() && pass.is_compiled_otherwise()).then_some(now);
    for other in [escalates, opens, retries, compiles].into_iter().flatten() {
        due = Some(due.map_or(other, |due| due.min(other)));
    }
    let updates = pass.conditions();
    Decision { status: pass.status, updates, happened: pass.happened, next: due }
}

impl Pass<'_> {
    pub(super) fn phase(&self) -> TicketPhase {
        self.status.phase.unwrap_or_default()
    }

    pub(super) fn change(&self) -> Option<&Change> {
        self.facts.spec.change.as_ref()
    }

    /// The class that is in force; none for an incident.
    pub(super) fn class(&self) -> Option<ChangeClass> {
        let change = self.change()?;
        Some(self.facts.class.as_ref().map_or(change.class, |standing| standing.class))
    }

    /// Whether enough people agree to it, of those who must while its class is in force.
    fn is_agreed(&self) -> bool {
        self.class().is_none_or(|class| self.facts.tally.agrees(required_approvals(class)))
    }

    pub(super) fn tell(&mut self, reason: Reason, note: impl Into<String>, warning: bool) {
        self.happened.push(ObjectEvent { reason, note: note.into(), warning });
    }

    /// The first pass: priority, clocks, the first call.
    fn open(&mut self) {
        let asked = clocks::priority(self.facts.spec.impact, self.facts.spec.urgency);
        // What an alert has raised stays raised.
        let priority = self.status.priority.map_or(asked, |risen| risen.min(asked));
        self.status.priority = Some(priority);
        if self.status.phase.is_some() {
            return;
        }
        self.status.phase = Some(TicketPhase::Open);
        self.wind(self.facts.created);
        if self.facts.spec.r#type == TicketType::Incident {
            self.tell(Reason::IncidentOpened, format!("{priority:?}: {}", self.facts.spec.title.in_language("en")), true);
        }
    }

    pub(super) fn priority(&self) -> Priority {
        self.status.priority.unwrap_or_else(|| clocks::priority(self.facts.spec.impact, self.facts.spec.urgency))
    }

    fn wind(&mut self, from: Timestamp) {
        if self.facts.spec.r#type == TicketType::Change {
            return;
        }
        let limits = clocks::limits(self.facts.clocks, self.priority());
        self.status.clocks = clocks::wind(&limits, from);
        if let Some(due) = &self.facts.spec.due_time {
            self.status.clocks.iter_mut().filter(|clock| clock.name == ClockName::Resolve).for_each(|clock| clock.due_time = due.clone());
        }
        self.status.escalation = clocks::first_call(self.facts.levels, from);
    }

    fn read_actions(&mut self) {
        let known = usize::try_from(self.status.observed_actions.unwrap_or_default()).unwrap_or_default();
        for (index, action) in self.facts.spec.actions.iter().enumerate().skip(known) {
            self.status.action_times.push(ActionTime { index: i32::try_from(index).unwrap_or(i32::MAX), time: Time(self.now) });
            if let Err(why) = self.act(action) {
                self.tell(Reason::ActionRefused, format!("{} of {}: {why}", action.action, action.person()), true);
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                self.status.refused_actions.push(RefusedAction { index, action: action.action, why });
                self.forget_old_refusals();
            }
            // What is said after the start is said to the steps.
            if self.status.start_time.is_some() && self.status.work_first_action.is_none() {
                self.status.work_first_action = i32::try_from(index + 1).ok();
            }
        }
        self.status.observed_actions = i32::try_from(self.facts.spec.actions.len()).ok();
        self.status.plan_digest = self.digest();
    }

    /// Forgets the oldest refusals beyond [`REFUSED`]. That of a Plan stays: without it, a text that was refused would count as planned.
    fn forget_old_refusals(&mut self) {
        let refused = &mut self.status.refused_actions;
        let others = refused.iter().filter(|refused| refused.action != TicketActionKind::Plan).count();
        let oldest = refused.iter().position(|refused| refused.action != TicketActionKind::Plan);
        if let Some(oldest) = oldest.filter(|_| others > REFUSED) {
            refused.remove(oldest);
        }
    }

    /// The digest of what will be done; of what was begun, once it has.
    fn digest(&self) -> Option<String> {
        match &self.facts.before.plan_digest {
            Some(begun) if self.status.start_time.is_some() => Some(begun.clone()),
            _ => plan_digest(self.facts.spec, &Planned::of(self.facts.spec, &self.status), self.facts.work.as_ref()),
        }
    }

    /// Whether the steps of a change that has not begun have another text than the one that is planned.
    pub(super) fn is_compiled_otherwise(&self) -> bool {
        let compiled = self.facts.work.as_ref().filter(|work| work.steps.is_ok() && self.status.start_time.is_none());
        compiled.is_some_and(|work| work.planned != Planned::of(self.facts.spec, &self.status))
    }

    /// What people say while the operator works is said to its steps. Returns whether it was.
    fn say_to_steps(&self, event: Event) -> Result<bool, String> {
        let by_operator = self.change().is_some_and(|change| change.work.by_operator());
        if !by_operator || self.phase() != TicketPhase::InProgress {
            return Ok(false);
        }
        let asks = self.run().and_then(|run| run.asks);
        match event {
            Event::Done if asks == Some(Asks::Done) => Ok(true),
            Event::Done | Event::Resolve => Err("the operator does this work, and ends it: see the steps; or RollBack".to_owned()),
            Event::Start if asks == Some(Asks::Start) => Ok(true),
            Event::Start => Err("work has begun already, and no step of it waits to be tried again".to_owned()),
            // The steps are taken back first; then the ticket is.
            Event::RollBack => Ok(true),
            _ => Ok(false),
        }
    }

    fn act(&mut self, action: &TicketAction) -> Result<(), String> {
        let event = Event::from(action.action);
        if self.say_to_steps(event)? {
            return Ok(());
        }
        if event == Event::Start
            && let Some(block) = self.block()
        {
            return Err(format!("{}: {}", Reason::from(block.reason), block.message));
        }
        // What the last pass had as agreed to may not be so any more.
        if event == Event::Start && self.phase() == TicketPhase::Scheduled && !self.is_agreed() {
            return Err("it is not agreed to any more: see the condition Approved".to_owned());
        }
        if event == Event::Resolve && self.phase() == TicketPhase::Verifying && self.run().is_some_and(|run| !run.phase.is_end()) {
            return Err("the applications' checks are still under way: see the steps".to_owned());
        }
        let firing = self.firing();
        if event == Event::Resolve && matches!(action.resolution, None | Some(Resolution::Done)) && firing > 0 {
            return Err(format!(
                "{firing} of its alerts fire: it closes by itself when they stop; resolve it as Duplicate or NotReproducible, or Cancel it, if they are wrong"
            ));
        }
        self.go(event)?;
        match action.action {
            TicketActionKind::Acknowledge => {
                self.status.assignee = Some(action.person().to_owned());
                clocks::meet(&mut self.status.clocks, ClockName::Acknowledge, self.now);
                self.stop_escalation();
            }
            TicketActionKind::Assign => self.status.assignee.clone_from(&action.assignee),
            TicketActionKind::Note if action.reported == Some(true) => clocks::meet(&mut self.status.clocks, ClockName::Report, self.now),
            TicketActionKind::Resolve => self.status.resolution = Some(action.resolution.unwrap_or(Resolution::Done)),
            // The person who works on it is the assignee.
            TicketActionKind::Start if self.status.assignee.is_none() => self.status.assignee = Some(action.person().to_owned()),
            TicketActionKind::Note
            | TicketActionKind::Plan
            | TicketActionKind::Start
            | TicketActionKind::Done
            | TicketActionKind::RollBack
            | TicketActionKind::Suspend
            | TicketActionKind::Resume
            | TicketActionKind::Reopen
            | TicketActionKind::Cancel => {}
        }
        Ok(())
    }

    /// Lets an event happen, with what belongs to entering a phase.
    pub(super) fn go(&mut self, event: Event) -> Result<(), String> {
        let from = self.phase();
        let to = match next(self.facts.spec.r#type, from, self.status.suspended_phase.or(self.status.closed_phase), event) {
            Course::Refuse(why) => return Err(why.to_owned()),
            Course::Stay => return Ok(()),
            Course::Go(to) => to,
        };
        self.status.phase = Some(to);
        self.status.closed_phase = (event == Event::AlertsResolved).then(|| goes_on_in(from, self.status.suspended_phase));
        let now = self.now;
        if from == TicketPhase::Suspended {
            let since = self.status.suspended_time.take().map_or(now, |time| time.0);
            self.status.suspended_phase = None;
            clocks::go_on(&mut self.status.clocks, now.duration_since(since));
        }
        if event == Event::AlertsAgain {
            self.take_up();
            return Ok(());
        }
        match to {
            TicketPhase::Open => {
                (self.status.completion_time, self.status.start_time, self.status.resolution, self.status.scheduled_time) = (None, None, None, None);
                (self.status.work_phase, self.status.work_first_action, self.status.steps, self.status.journal) = (None, None, None, None);
                if event == Event::Reopen {
                    (self.status.change_class, self.status.template, self.reopened) = (None, None, true);
                }
                self.wind(now);
                // Notify again everybody who was notified the first time.
                self.status.notifications.clear();
            }
            TicketPhase::InProgress => {
                self.status.start_time.get_or_insert(Time(now));
                clocks::meet(&mut self.status.clocks, ClockName::Acknowledge, now);
                self.stop_escalation();
            }
            TicketPhase::Suspended => {
                self.status.suspended_phase = Some(from);
                self.status.suspended_time = Some(Time(now));
                clocks::pause(&mut self.status.clocks);
                clocks::meet(&mut self.status.clocks, ClockName::Acknowledge, now);
                self.stop_escalation();
            }
            TicketPhase::Closed | TicketPhase::RolledBack | TicketPhase::Cancelled => self.end(to),
            TicketPhase::Planned => self.status.scheduled_time = None,
            TicketPhase::Acknowledged | TicketPhase::Approved | TicketPhase::Scheduled | TicketPhase::Verifying => {}
        }
        Ok(())
    }

    fn end(&mut self, phase: TicketPhase) {
        self.status.completion_time = Some(Time(self.now));
        match phase {
            TicketPhase::RolledBack => self.status.resolution = Some(Resolution::RolledBack),
            TicketPhase::Cancelled => self.status.resolution = Some(Resolution::Cancelled),
            TicketPhase::Closed
            | TicketPhase::Open
            | TicketPhase::Acknowledged
            | TicketPhase::Planned
            | TicketPhase::Approved
            | TicketPhase::Scheduled
            | TicketPhase::InProgress
            | TicketPhase::Verifying
            | TicketPhase::Suspended => {
                self.status.resolution.get_or_insert(Resolution::Done);
            }
        }
        if phase == TicketPhase::Cancelled {
            clocks::stop(&mut self.status.clocks, ClockName::Resolve);
        } else {
            clocks::meet(&mut self.status.clocks, ClockName::Resolve, self.now);
        }
        // The alert resolved before acknowledgement: stop the clock at its present value; a missed deadline stays missed.
        clocks::stop(&mut self.status.clocks, ClockName::Acknowledge);
        clocks::stop(&mut self.status.clocks, ClockName::Report);
        self.stop_escalation();
    }

    fn stop_escalation(&mut self) {
        if let Some(escalation) = &mut self.status.escalation {
            escalation.state = EscalationState::Stopped;
        }
    }

    pub(super) fn run(&self) -> Option<&WorkRun> {
        self.facts.work.as_ref().and_then(|work| work.run.as_ref())
    }

    pub(super) fn firing(&self) -> usize {
        self.status.alerts.iter().filter(|alert| alert.state == AlertState::Firing).count()
    }

    /// What follows from the world: alerts, the plan, agreement, windows. None of these can be refused.
    fn follow_the_world(&mut self) {
        // Nobody knows whether alerts that are not listed still fire.
        let all_listed = self.status.truncated_alerts.is_none();
        if !self.status.alerts.is_empty() && self.firing() == 0 && all_listed && !self.phase().is_end() {
            self.status.resolution.get_or_insert(Resolution::Done);
            let _ = self.go(Event::AlertsResolved);
            self.tell(Reason::IncidentClosed, "none of its alerts fires any more", false);
        }
        let Some(class) = self.class().filter(|_| !self.reopened) else { return };
        if self.facts.before.start_time.is_none() {
            self.status.change_class = Some(class);
            self.status.template = self.facts.class.as_ref().and_then(|standing| standing.pinned.clone());
        }
        self.count_decisions(class);
        if self.status.plan_digest.is_some() {
            let _ = self.go(Event::Compiled);
        }
        // Nobody has agreed to steps that nobody knows.
        let agreed = self.status.plan_digest.is_some() && self.is_agreed();
        let _ = self.go(if agreed { Event::Agreed } else { Event::AgreementLost });
        self.schedule(class);
        self.follow_the_steps();
    }

    /// Work of the operator begins by itself as soon as it may, and its end is the ticket's.
    fn follow_the_steps(&mut self) {
        if !self.change().is_some_and(|change| change.work.by_operator()) {
            return;
        }
        let due = self.status.scheduled_time.as_ref().is_some_and(|time| time.0 <= self.now);
        if self.phase() == TicketPhase::Scheduled && due && self.block().is_none() {
            let _ = self.go(Event::Start);
            self.status.work_first_action = i32::try_from(self.facts.spec.actions.len()).ok();
            self.tell(Reason::WorkBegan, "its window is open, it is agreed to, and nothing is in the way", false);
            return;
        }
        let Some(ended) = self.run().filter(|run| run.phase.is_end()).cloned() else { return };
        if self.phase() != TicketPhase::InProgress {
            return;
        }
        if ended.phase == RunPhase::Succeeded {
            let _ = self.go(Event::Done);
            let _ = self.go(Event::Resolve);
            self.tell(Reason::WorkDone, ended.said.1, false);
        } else {
            let _ = self.go(Event::RollBack);
            self.tell(Reason::WorkRolledBack, format!("{}: {}", ended.said.0, ended.said.1), true);
        }
    }

    /// A change that is agreed to starts when its window is open; one that missed it waits for the next.
    fn schedule(&mut self, class: ChangeClass) {
        if !matches!(self.phase(), TicketPhase::Approved | TicketPhase::Scheduled) {
            return;
        }
        let start = self.facts.access.start(class, self.now);
        let set = self.status.scheduled_time.as_ref().map(|time| time.0);
        self.status.scheduled_time = match (start, set) {
            // Open, and the time that was set has come: it stays what it was.
            (Some(start), Some(set)) if start <= self.now && set <= self.now => Some(Time(set)),
            (Some(start), _) => Some(Time(start)),
            (None, _) => None,
        };
        let _ = self.go(if start.is_some() { Event::Scheduled } else { Event::ScheduleLost });
    }

    /// What keeps a change from starting now.
    pub(super) fn block(&self) -> Option<Block> {
        self.facts.access.block(self.class()?, self.now).or_else(|| self.facts.obstacles.iter().min_by_key(|block| block.reason).cloned())
    }

    fn escalate(&mut self) {
        if self.phase() != TicketPhase::Open {
            return;
        }
        let Some(mut escalation) = self.status.escalation.take() else { return };
        for level in clocks::escalate(&mut escalation, self.facts.levels, self.now) {
            self.tell(Reason::Escalated, format!("nobody has acknowledged it: level {level} is called"), true);
        }
        self.status.escalation = Some(escalation);
    }

    /// Notifies the people on duty until the ticket is acknowledged.
    fn notify(&mut self) {
        match (&self.status.escalation, self.phase()) {
            (Some(escalation), TicketPhase::Open) => {
                let level = escalation.level.clone();
                notify::call(&mut self.status.notifications, self.facts.current, self.facts.levels, &level, self.facts.channels, self.now);
            }
            (_, _) => notify::drop_pending(&mut self.status.notifications, self.now),
        }
    }
}
