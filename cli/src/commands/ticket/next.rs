//! What is next on a ticket, for whoever must act: its page and `p861 status` say the same. Pure.

use super::super::page::{self, is_bad};
use crate::{
    format::Clock,
    text::{self, Bilingual},
};
use kube::ResourceExt as _;
use p861_core::maintenance::approval::Subject;
use p861_crds::{
    Condition, ConditionType, MaintenanceTicket, MaintenanceTicketStatus, Reason,
    common::RunPhase,
    maintenance::ticket::{TicketPhase, TicketType},
};

/// The next step of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The condition or phase that it follows from.
    pub state: &'static str,
    /// What is to be done, and by whom.
    pub said: Bilingual,
    /// The command that does it; none if nobody needs to type one, or another person must.
    pub command: Option<String>,
    /// Whether nothing goes on until somebody does it.
    pub is_awaited: bool,
}

/// Whether the answer depends on who asks: somebody must approve, and it is never who asked for the change.
pub fn depends_on_person(ticket: &MaintenanceTicket) -> bool {
    let status = ticket.status.clone().unwrap_or_default();
    ticket.spec.change.is_some() && !status.phase.unwrap_or_default().is_end() && approved(&status).is_some_and(is_bad)
}

/// What is next, for this person if he is known; none if the ticket has ended, or goes on by itself.
pub fn next(ticket: &MaintenanceTicket, person: Option<&str>, clock: &Clock) -> Option<Next> {
    let status = ticket.status.clone().unwrap_or_default();
    let (phase, name) = (status.phase.unwrap_or_default(), ticket.name_any());
    let verb = |verb: &str| Some(format!("p861 ticket {verb} {name}"));
    let one = |state, said, command, is_awaited| Some(Next { state, said, command, is_awaited });
    match (ticket.spec.r#type, phase) {
        (_, TicketPhase::Closed | TicketPhase::RolledBack | TicketPhase::Cancelled)
        // A step that waits says itself what is next.
        | (TicketType::Change, TicketPhase::InProgress) => None,
        (_, TicketPhase::Suspended) => one("Suspended", text::next_resume(), verb("resume"), false),
        (TicketType::Incident, TicketPhase::Open) => one("Open", text::nobody_has_it(), verb("ack"), true),
        (TicketType::Incident, _) => one("Acknowledged", text::next_resolve_incident(!status.alerts.is_empty()), verb("resolve"), false),
        (TicketType::Change, TicketPhase::Open | TicketPhase::Acknowledged | TicketPhase::Planned) => agreement(ticket, &status, person, &name),
        (TicketType::Change, TicketPhase::Approved | TicketPhase::Scheduled) => start(ticket, &status, clock, &name),
        (TicketType::Change, TicketPhase::Verifying) => {
            let is_over = status.work_phase.is_none_or(RunPhase::is_end);
            if is_over { one("Verifying", text::next_resolve_change(), verb("resolve"), true) } else { None }
        }
    }
}

fn approved(status: &MaintenanceTicketStatus) -> Option<&Condition> {
    page::condition(&status.conditions, ConditionType::Approved)
}

/// A plan, or somebody's word.
fn agreement(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus, person: Option<&str>, name: &str) -> Option<Next> {
    let condition = approved(status).filter(|condition| is_bad(condition))?;
    let plans = Some(format!("p861 ticket plan {name} \"how it is done\""));
    let awaits = |said, command| Some(Next { state: "Approved", said, command, is_awaited: true });
    let counts = status.approvals.clone().unwrap_or_default();
    let missing = counts.required - counts.given;
    match Reason::from_text(&condition.reason) {
        Reason::NoPlan => awaits(text::next_plan(), plans),
        Reason::Rejected => awaits(text::next_plan_anew(), plans),
        // The condition says what is wrong with the steps.
        Reason::NotCompiled | Reason::NodeMissing => None,
        _ if missing <= 0 => None,
        _ => {
            let authors: Vec<String> = Subject::of_ticket(ticket, None).asked_by.into_iter().collect();
            let is_own = person.is_some_and(|person| authors.iter().any(|author| author == person));
            awaits(text::waits_for_approvals(missing, &authors, is_own), (!is_own).then(|| format!("p861 ticket approve {name}")))
        }
    }
}

/// When an approved change starts, and who starts it.
fn start(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus, clock: &Clock, name: &str) -> Option<Next> {
    let by_operator = ticket.spec.change.as_ref()?.work.by_operator();
    let is_blocked = page::condition(&status.conditions, ConditionType::Blocked).is_some_and(|blocked| blocked.status == "True");
    let time = status.scheduled_time.as_ref()?.0;
    let later = (time > clock.now).then(|| clock.minute(time));
    // What is in its way now is a line of its own.
    if is_blocked && later.is_none() {
        return None;
    }
    let is_awaited = !by_operator && later.is_none();
    let (said, command) = if by_operator {
        (text::next_starts_itself(later.as_deref()), None)
    } else {
        (text::next_start(later.as_deref()), Some(format!("p861 ticket start {name}")))
    };
    Some(Next { state: "Scheduled", said, command, is_awaited })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Language;
    use serde_json::{Value, json};

    fn clock() -> Clock {
        Clock { now: "2026-11-24T00:30:00Z".parse().expect("a time"), zone: jiff::tz::TimeZone::UTC }
    }

    fn ticket(work: &Value, status: &Value) -> MaintenanceTicket {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "t"},
            "spec": {"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "requestedBy": "li", "change": {"class": "Normal", "work": work},
                "actions": [{"action": "Plan", "note": "so", "by": "wu"}]},
            "status": status}))
        .expect("a ticket")
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-11-24T00:00:00Z"})
    }

    fn said(ticket: &MaintenanceTicket, person: Option<&str>) -> Option<(String, Option<String>, bool)> {
        next(ticket, person, &clock()).map(|next| (next.said.pick(Language::En).to_owned(), next.command, next.is_awaited))
    }

    #[test]
    fn who_asked_for_a_change_is_told_that_another_person_must_approve_it() {
        let missing = json!({"phase": "Planned", "approvals": {"required": 1, "given": 0}, "conditions": [condition("Approved", "False", "ApprovalsMissing")]});
        let waits = ticket(&json!({"manual": {}}), &missing);
        let approves = Some("p861 ticket approve t".to_owned());
        assert_eq!(said(&waits, None), Some(("waits for 1 approval, not of li or wu".into(), approves.clone(), true)));
        assert_eq!(said(&waits, Some("leader")), Some(("waits for 1 approval, not of li or wu".into(), approves, true)));
        for author in ["li", "wu"] {
            let own = "waits for 1 approval of another person: you asked for it or wrote a part of its plan".to_owned();
            assert_eq!(said(&waits, Some(author)), Some((own, None, true)), "{author}");
        }
        assert!(depends_on_person(&waits));
    }

    #[test]
    fn an_approved_change_says_who_starts_it_and_when() {
        let at = |time: &str, blocked: &str| json!({"phase": "Scheduled", "scheduledTime": time, "conditions": [condition("Approved", "True", "EnoughApprovals"), condition("Blocked", blocked, "Clear")]});
        let (hands, drain) = (json!({"manual": {}}), json!({"drainNode": {"siteRef": {"name": "a"}, "nodeName": "n1"}}));
        let start = Some("p861 ticket start t".to_owned());
        for (work, status, expected) in [
            (&hands, at("2026-11-24T00:10:00Z", "False"), Some(("it is approved and may be started now: nobody has started it", start.clone(), true))),
            (&hands, at("2026-11-24T22:00:00Z", "True"), Some(("it may be started from 2026-11-24 22:00", start.clone(), false))),
            (&hands, at("2026-11-24T00:10:00Z", "True"), None),
            (&drain, at("2026-11-24T22:00:00Z", "True"), Some(("it begins by itself at 2026-11-24 22:00", None, false))),
            (&drain, at("2026-11-24T00:10:00Z", "False"), Some(("it begins by itself now", None, false))),
        ] {
            let expected = expected.map(|(said, command, awaited)| (said.to_owned(), command, awaited));
            assert_eq!(said(&ticket(work, &status), None), expected, "{status}");
        }
    }

    #[test]
    fn every_phase_in_which_somebody_must_act_says_what_to_type() {
        let hands = json!({"manual": {}});
        for (status, command, awaited) in [
            (json!({"phase": "Open", "conditions": [condition("Approved", "False", "NoPlan")]}), "p861 ticket plan t \"how it is done\"", true),
            (json!({"phase": "Planned", "conditions": [condition("Approved", "False", "Rejected")]}), "p861 ticket plan t \"how it is done\"", true),
            (json!({"phase": "Verifying", "workPhase": "Succeeded"}), "p861 ticket resolve t", true),
            (json!({"phase": "Suspended"}), "p861 ticket resume t", false),
        ] {
            let next = said(&ticket(&hands, &status), None).expect("something is next");
            assert_eq!((next.1.as_deref(), next.2), (Some(command), awaited), "{status}");
        }
        for phase in ["Closed", "RolledBack", "Cancelled"] {
            assert_eq!(said(&ticket(&hands, &json!({ "phase": phase })), None), None);
        }
    }
}
