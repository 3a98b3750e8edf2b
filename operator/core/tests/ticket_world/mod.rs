//! The world around a ticket, as the stories of its life, its work and its messages tell it.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_core::maintenance::{
    approval::Tally,
    template::ClassStanding,
    ticket::{Access, Block, Decision, Facts, Planned, Work, clocks::Level, decide},
    window::Opening,
};
use p861_crds::{
    ChangeTemplate, MaintenanceTicket, MaintenanceTicketSpec, MaintenanceTicketStatus, Time,
    maintenance::roster::OnDuty,
    maintenance::ticket::{AlertState, ClockName, ClockState, TicketAction, TicketActionKind, TicketAlert, TicketPhase},
};
use serde_json::json;

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn after(minutes: i64) -> Timestamp {
    time("2026-12-07T19:06:12Z") + SignedDuration::from_mins(minutes)
}

pub fn incident() -> MaintenanceTicketSpec {
    serde_json::from_value(json!({"type": "Incident", "title": {"en": "Site unreachable"}, "impact": "High", "urgency": "High", "incident": {}})).unwrap()
}

/// A change by hand, that keeps within [`template`] if it is of class Standard.
pub fn change(class: &str) -> MaintenanceTicketSpec {
    let template = (class == "Standard").then(|| json!({"name": "disk"}));
    serde_json::from_value(json!({"type": "Change", "title": {"en": "Replace the disk"}, "impact": "Medium", "urgency": "Low", "requestedBy": "li",
        "change": {"class": class, "templateRef": template, "work": {"manual": {}}, "plan": {"en": "one by one"}}}))
    .unwrap()
}

/// A template that somebody has published.
pub fn template(publisher: &str) -> ChangeTemplate {
    serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "ChangeTemplate", "metadata": {"name": "disk", "namespace": "shinan"},
        "spec": {"title": {"en": "Disks"}, "work": {"manual": {}}, "plan": {"en": "one by one"}, "publishedBy": publisher}}))
    .unwrap()
}

pub fn action(kind: TicketActionKind, by: &str) -> TicketAction {
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

pub fn ticket(spec: MaintenanceTicketSpec, affects: serde_json::Value, phase: &str) -> MaintenanceTicket {
    let mut value =
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "t"}, "spec": spec, "status": {"phase": phase}});
    value["spec"]["affects"] = affects;
    serde_json::from_value(value).unwrap()
}

pub fn levels() -> Vec<Level> {
    let level = |name: &str, minutes: Option<i64>| Level { name: name.into(), escalate_after: minutes.map(SignedDuration::from_mins) };
    vec![level("duty", Some(10)), level("leader", Some(15)), level("director", None)]
}

/// The world around a ticket, as a story tells it.
pub struct World {
    pub spec: MaintenanceTicketSpec,
    pub status: MaintenanceTicketStatus,
    pub templates: Vec<ChangeTemplate>,
    pub tally: Tally,
    pub opening: Option<Opening>,
    pub freeze: Option<String>,
    pub obstacles: Vec<Block>,
    pub current: Vec<OnDuty>,
    pub channels: Vec<String>,
    pub work: Option<Work>,
}

impl World {
    pub fn of(spec: MaintenanceTicketSpec) -> Self {
        Self {
            spec,
            status: MaintenanceTicketStatus::default(),
            templates: vec![template("leader")],
            tally: Tally::default(),
            opening: None,
            freeze: None,
            obstacles: vec![],
            current: vec![],
            channels: vec![],
            work: None,
        }
    }

    /// A pass, with the steps compiled for what is planned then, as the controller has them.
    pub fn pass(&mut self, minutes: i64) -> Decision {
        let first = self.decide(minutes);
        let planned = Planned::of(&self.spec, &first.status);
        let decision = match self.work.as_mut().filter(|work| work.planned != planned) {
            Some(work) => {
                work.planned = planned;
                self.decide(minutes)
            }
            None => first,
        };
        self.status = decision.status.clone();
        decision
    }

    /// A decision on the ticket and its steps as they are, which changes nothing.
    pub fn decide(&self, minutes: i64) -> Decision {
        let levels = levels();
        let source = self.work.as_ref().and_then(|work| work.source.as_ref());
        let judge = |change| ClassStanding::judge(&self.spec, change, &self.status, &self.templates, source);
        let facts = Facts {
            class: self.spec.change.as_ref().map(judge),
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
        decide(&facts, after(minutes))
    }

    /// What the window says to a change that takes no time.
    pub fn access(&self) -> Access {
        let fits = self.opening.as_ref().and_then(|opening| if opening.open { Some(after(0)) } else { opening.next_open_time });
        Access { opening: self.opening.clone(), fits, takes: SignedDuration::ZERO, freeze: self.freeze.clone(), zone: TimeZone::UTC }
    }

    pub fn act(&mut self, minutes: i64, action: TicketAction) -> Decision {
        self.spec.actions.push(action);
        self.pass(minutes)
    }

    pub fn phase(&self) -> TicketPhase {
        self.status.phase.unwrap()
    }

    pub fn clock(&self, name: ClockName) -> ClockState {
        self.status.clocks.iter().find(|clock| clock.name == name).unwrap().state
    }

    pub fn refused(&self) -> &str {
        self.status.refused_actions.last().map_or("", |refused| refused.why.as_str())
    }
}

pub fn condition(decision: &Decision, kind: &str) -> (Option<bool>, String) {
    let found = decision.updates.iter().find(|update| update.kind == kind).unwrap();
    (found.status, found.reason.to_string())
}

pub fn open_now() -> Opening {
    Opening { open: true, frozen_by: None, next_open_time: None, next_close_time: None }
}

pub fn fired(number: u32, severity: &str, state: AlertState) -> TicketAlert {
    TicketAlert {
        fingerprint: format!("{number:016x}"),
        alert_name: format!("Alert{number}"),
        severity: Some(severity.into()),
        state,
        start_time: Time(after(0)),
        end_time: None,
        posted_by: None,
    }
}

pub fn due(world: &World, name: ClockName) -> jiff::Timestamp {
    world.status.clocks.iter().find(|clock| clock.name == name).unwrap().due_time.0
}
