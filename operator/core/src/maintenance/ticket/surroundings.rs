//! What a change depends on besides itself: approvals, windows, and everything in its namespace that may be in its way.

use super::{
    block::{Access, Block, Neighbours, obstacles},
    digest::plan_digest,
    facts::Work,
    planned::Planned,
};
use crate::maintenance::{
    approval::{Subject, Tally, count, words},
    template::ClassStanding,
    window::{Window, zone},
    window_standing::freezes_of,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    Application, Approval, Backup, ChangeTemplate, Drill, MaintenanceTicket, MaintenanceWindow, RecoveryPlan,
    maintenance::{approval::Purpose, change::Change, window::ChangeClass},
};

/// What a change depends on besides itself.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The time zone of its namespace.
    pub default_zone: String,
    /// Approvals of its namespace.
    pub approvals: Vec<Approval>,
    /// Windows that apply to its namespace.
    pub windows: Vec<MaintenanceWindow>,
    /// Templates that apply to its namespace: its own, then the city's.
    pub templates: Vec<ChangeTemplate>,
    /// Drills of its namespace.
    pub drills: Vec<Drill>,
    /// Plans of its namespace.
    pub plans: Vec<RecoveryPlan>,
    /// Backups of its namespace.
    pub backups: Vec<Backup>,
    /// Tickets of its namespace.
    pub tickets: Vec<MaintenanceTicket>,
    /// Applications of its namespace.
    pub applications: Vec<Application>,
}

/// What the surroundings say of a change.
#[derive(Clone, Debug)]
pub struct Permit {
    /// The class that is in force; none for an incident.
    pub class: Option<ClassStanding>,
    /// Who agreed.
    pub tally: Tally,
    /// What the windows say.
    pub access: Access,
    /// What else is in the way.
    pub obstacles: Vec<Block>,
}

impl Permit {
    /// That of an incident, which needs no window and nobody's word.
    pub fn of_incident() -> Self {
        let access = Access { opening: None, fits: None, takes: SignedDuration::ZERO, freeze: None, zone: TimeZone::UTC };
        Self { class: None, tally: Tally::default(), access, obstacles: Vec::new() }
    }
}

impl Surroundings {
    /// What they say of a change with this work at `now`.
    pub fn permit(&self, ticket: &MaintenanceTicket, change: &Change, work: Option<&Work>, now: Timestamp) -> Permit {
        // Once work has begun, what was agreed to is what was begun.
        let begun = ticket.status.as_ref().filter(|status| status.start_time.is_some()).and_then(|status| status.plan_digest.clone());
        let refused = ticket.status.as_ref().map(|status| status.refused_actions.as_slice()).unwrap_or_default();
        let planned = Planned::among(&ticket.spec, ticket.spec.actions.len(), refused);
        let digest = begun.or_else(|| plan_digest(&ticket.spec, &planned, work));
        let uid = ticket.metadata.uid.as_deref().unwrap_or_default();
        let tally = count(Some(&Subject::of_ticket(ticket, digest)), Purpose::Start, &words(&self.approvals, uid), now);
        let around = Neighbours { drills: &self.drills, plans: &self.plans, backups: &self.backups, tickets: &self.tickets, applications: &self.applications };
        let name = ticket.metadata.name.as_deref().unwrap_or_default();
        let before = ticket.status.clone().unwrap_or_default();
        let standing = ClassStanding::judge(&ticket.spec, change, &before, &self.templates, work.and_then(|work| work.source.as_ref()));
        let access = self.access(change, standing.class, work, now);
        Permit { class: Some(standing), tally, access, obstacles: obstacles(name, &ticket.spec.affects, change, &around) }
    }

    fn access(&self, change: &Change, class: ChangeClass, work: Option<&Work>, now: Timestamp) -> Access {
        let wanted = change.window_ref.as_ref().map(|wanted| wanted.name.as_str());
        let fitting = self.windows.iter().filter(|window| wanted.is_none() || window.metadata.name.as_deref() == wanted);
        // An invalid window never opens, and reports that on its own status.
        let parsed = fitting.filter_map(|window| Window::parse(&window.spec, &self.default_zone).ok());
        let parsed: Vec<Window> = parsed.filter(|window| window.classes.contains(&class)).collect();
        let takes = work.map(|work| work.takes).unwrap_or_default();
        Access::of(&parsed, class, &freezes_of(&self.windows), zone(&self.default_zone).unwrap_or(TimeZone::UTC), takes, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-11-28T12:00:00Z".parse().expect("a time")
    }

    fn window(name: &str, classes: &[&str], schedule: &str) -> MaintenanceWindow {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceWindow", "metadata": {"name": name},
            "spec": {"changeClasses": classes, "recurrences": [{"schedule": schedule, "duration": "24h"}]}}))
        .expect("a window")
    }

    fn ticket(change: &Value, status: Option<Value>) -> MaintenanceTicket {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "chg", "uid": "u"},
            "spec": {"type": "Change", "title": {"zh": "变更", "en": "A change"}, "impact": "Low", "urgency": "Low", "affects": {}, "change": change}, "status": status}))
        .expect("a ticket")
    }

    fn permit(surroundings: &Surroundings, ticket: &MaintenanceTicket) -> Permit {
        let change = ticket.spec.change.clone().expect("a change");
        surroundings.permit(ticket, &change, None, now())
    }

    #[test]
    fn a_change_uses_the_windows_of_its_class_or_the_one_that_it_names() {
        let windows = vec![window("always", &["Normal"], "0 0 * * *"), window("standard", &["Standard"], "0 0 * * *"), window("broken", &["Normal"], "daily")];
        let around = Surroundings { default_zone: "UTC".into(), windows, ..Surroundings::default() };
        for (case, name, there) in
            [("any", None, true), ("named", Some("always"), true), ("of another class", Some("standard"), false), ("broken", Some("broken"), false)]
        {
            let reference = name.map(|name| json!({"name": name}));
            let ticket = ticket(&json!({"class": "Normal", "work": {"manual": {}}, "windowRef": reference, "plan": {"zh": "做", "en": "do"}}), None);
            assert_eq!(permit(&around, &ticket).access.opening.is_some(), there, "{case}");
        }
    }

    #[test]
    fn once_work_has_begun_the_approvals_of_what_was_begun_count() {
        let approval: Approval = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Approval",
            "metadata": {"name": "a", "creationTimestamp": "2026-11-28T11:00:00Z"},
            "spec": {"subjectRef": {"kind": "MaintenanceTicket", "name": "chg", "uid": "u"}, "purpose": "Start", "digest": "sha256:begun", "decision": "Approved",
                "approver": "leader"}}))
        .expect("an approval");
        let around = Surroundings { default_zone: "UTC".into(), approvals: vec![approval], ..Surroundings::default() };
        let change = json!({"class": "Normal", "work": {"manual": {}}, "plan": {"zh": "做", "en": "do"}});
        for (status, agrees) in [
            (json!({"planDigest": "sha256:begun", "startTime": "2026-11-28T11:30:00Z"}), true),
            (json!({"planDigest": "sha256:begun"}), false),
            (json!({"planDigest": "sha256:other", "startTime": "2026-11-28T11:30:00Z"}), false),
        ] {
            assert_eq!(permit(&around, &ticket(&change, Some(status.clone()))).tally.agrees(1), agrees, "{status}");
        }
    }
}
