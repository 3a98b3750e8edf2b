//! What happened to a ticket: who opened it, what people have done and decided, and how it ended, each with its time, its person and its reason.

use crate::{
    format::{Clock, Line, Tone},
    text::{self, Language},
};
use jiff::Timestamp;
use p861_crds::{
    MaintenanceTicket, MaintenanceTicketStatus,
    maintenance::{
        approval::ApprovalDecision,
        ticket::{ApprovalRecord, TicketAction, TicketActionKind},
    },
};

/// What happened at a time; none if it is not known yet.
struct Entry {
    time: Option<Timestamp>,
    mark: (&'static str, Tone),
    said: String,
}

impl Entry {
    fn new(time: Option<Timestamp>, said: impl Into<String>) -> Self {
        Self { time, mark: ("▸", Tone::Plain), said: said.into() }
    }

    fn marked(self, mark: &'static str, tone: Tone) -> Self {
        Self { mark: (mark, tone), ..self }
    }
}

/// Who did what: `noted · li mains cut`, `approved · leader: the plan has changed since`.
fn said(word: &str, person: &str, texts: &[&str], why: Option<&str>, language: Language) -> String {
    let person = if person.is_empty() { "-" } else { person };
    let texts = texts.join(" · ");
    let texts = if texts.is_empty() { String::new() } else { format!(" {texts}") };
    let why = why.map(|why| format!("{}{}", text::COLON.pick(language), text::told(why).pick(language))).unwrap_or_default();
    format!("{word} · {person}{texts}{why}")
}

fn opening(ticket: &MaintenanceTicket, language: Language) -> Entry {
    let source = ticket.spec.incident.as_ref().and_then(|incident| incident.source.as_ref()?.alertmanager.as_ref());
    let by = source
        .map_or_else(|| ticket.spec.requested_by.clone().unwrap_or_default(), |source| text::alertmanager_of(&source.site_ref.name).pick(language).to_owned());
    Entry::new(ticket.metadata.creation_timestamp.as_ref().map(|time| time.0), said(text::TICKET_OPENED.pick(language), &by, &[], None, language))
}

fn action(index: usize, action: &TicketAction, status: &MaintenanceTicketStatus, language: Language) -> Entry {
    let is_it = |at: i32| usize::try_from(at) == Ok(index);
    let refused = status.refused_actions.iter().find(|refused| is_it(refused.index));
    let time = status.action_times.iter().find(|read| is_it(read.index)).map(|read| read.time.0);
    let resolution = action.resolution.map(|resolution| text::value(resolution).pick(language).to_owned());
    let reported = (action.reported == Some(true)).then(|| text::REPORTED.pick(language));
    let texts = [action.assignee.as_deref(), resolution.as_deref(), reported, action.note.as_deref(), action.reason.as_deref()];
    let texts: Vec<&str> = texts.into_iter().flatten().collect();
    let why = refused.map(|refused| refused.why.as_str());
    let entry = Entry::new(time, said(text::ticket_action(action.action).pick(language), action.person(), &texts, why, language));
    if refused.is_some() { entry.marked("✗", Tone::Bad) } else { entry }
}

fn decision(record: &ApprovalRecord, language: Language) -> Entry {
    let (word, mark) = match record.decision {
        ApprovalDecision::Approved => (text::APPROVED, ("✓", Tone::Good)),
        ApprovalDecision::Rejected => (text::REJECTED, ("✗", Tone::Bad)),
    };
    let void = record.void.as_ref().map(|why| text::does_not_count(why).pick(language).to_owned());
    let texts: Vec<&str> = record.reason.as_deref().into_iter().collect();
    let said = said(word.pick(language), &record.approver, &texts, None, language);
    let (mark, tone) = if void.is_some() { ("·", Tone::Dim) } else { mark };
    Entry::new(Some(record.time.0), format!("{said}{}", void.unwrap_or_default())).marked(mark, tone)
}

/// Work that nobody has started: the operator did.
fn beginning(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus, language: Language) -> Option<Entry> {
    let began = status.start_time.as_ref()?.0;
    let is_start =
        |index: i32| usize::try_from(index).ok().and_then(|index| ticket.spec.actions.get(index)).map(|action| action.action) == Some(TicketActionKind::Start);
    let started = status.action_times.iter().any(|read| read.time.0 == began && is_start(read.index));
    (!started).then(|| Entry::new(Some(began), text::WORK_BEGAN.pick(language)))
}

fn end(status: &MaintenanceTicketStatus, language: Language) -> Option<Entry> {
    let phase = status.phase.filter(|phase| phase.is_end())?;
    let time = status.completion_time.as_ref().map(|time| time.0);
    let phase = text::ticket_phase(phase).pick(language);
    let resolution = status.resolution.map(|resolution| text::value(resolution).pick(language).to_owned()).filter(|resolution| resolution != phase);
    let alerts = status.closed_phase.is_some().then(|| text::ALERTS_ENDED.pick(language).to_owned());
    let said: Vec<String> = [Some(phase.to_owned()), resolution, alerts].into_iter().flatten().collect();
    Some(Entry::new(time, said.join(" · ")))
}

/// Everything that happened, in the order of time. What has no time yet stays behind what was asked before it.
pub fn lines(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus, clock: &Clock, language: Language) -> Vec<Line> {
    let mut entries = vec![opening(ticket, language)];
    entries.extend(ticket.spec.actions.iter().enumerate().map(|(index, done)| action(index, done, status, language)));
    let mut last = None;
    let mut ordered: Vec<(Option<Timestamp>, Entry)> = Vec::new();
    for entry in entries {
        last = entry.time.or(last);
        ordered.push((last, entry));
    }
    let decisions = status.approvals.iter().flat_map(|approvals| &approvals.decisions).map(|record| decision(record, language));
    let others = decisions.chain(beginning(ticket, status, language)).chain(end(status, language));
    ordered.extend(others.map(|entry| (entry.time, entry)));
    ordered.sort_by_key(|(time, _)| *time);
    let line = |entry: Entry| {
        let time = entry.time.map(|time| format!("{} ", clock.moment(time))).unwrap_or_default();
        Line::toned(entry.mark.1, entry.mark.0).with(" ").tone(Tone::Dim, time).with(entry.said)
    };
    ordered.into_iter().map(|(_, entry)| line(entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ticket() -> MaintenanceTicket {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket",
            "metadata": {"name": "chg", "creationTimestamp": "2026-11-24T00:00:00Z"},
            "spec": {"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "requestedBy": "li", "change": {"class": "Normal", "work": {"manual": {}}},
                "actions": [{"action": "Plan", "note": "the whole rack", "by": "li"}, {"action": "Start", "by": "administrator"},
                    {"action": "Start", "by": "li"}, {"action": "Done", "by": "li"}, {"action": "Resolve", "resolution": "Duplicate", "reason": "see the other", "by": "li"}]},
            "status": {"phase": "Closed", "resolution": "Duplicate", "startTime": "2026-11-24T00:05:00Z", "completionTime": "2026-11-24T00:09:00Z",
                "refusedActions": [{"index": 1, "action": "Start", "why": "it is suspended already"}],
                "actionTimes": [{"index": 0, "time": "2026-11-24T00:01:00Z"}, {"index": 1, "time": "2026-11-24T00:02:00Z"}, {"index": 2, "time": "2026-11-24T00:05:00Z"},
                    {"index": 3, "time": "2026-11-24T00:07:00Z"}, {"index": 4, "time": "2026-11-24T00:09:00Z"}],
                "approvals": {"required": 1, "given": 1, "by": ["chief"], "decisions": [
                    {"name": "a", "approver": "leader", "decision": "Rejected", "time": "2026-11-24T00:00:30Z", "reason": "too close to the holiday",
                        "void": "the plan has changed since: look at what it does now and approve that"},
                    {"name": "b", "approver": "leader", "decision": "Rejected", "time": "2026-11-24T00:03:00Z", "reason": "too late"},
                    {"name": "c", "approver": "chief", "decision": "Approved", "time": "2026-11-24T00:04:00Z"}]}}}))
        .expect("a ticket")
    }

    fn shown(ticket: &MaintenanceTicket, language: Language) -> Vec<String> {
        let clock = Clock { now: "2026-11-24T01:00:00Z".parse().expect("a time"), zone: jiff::tz::TimeZone::UTC };
        lines(ticket, ticket.status.as_ref().expect("a status"), &clock, language).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_act_decision_and_end_stands_in_the_history_with_who_when_and_why() {
        assert_eq!(
            shown(&ticket(), Language::En),
            [
                "▸ 00:00:00 opened · li",
                "· 00:00:30 rejected · leader too close to the holiday; does not count: the plan has changed since: look at what it does now and approve that",
                "▸ 00:01:00 planned · li the whole rack",
                "✗ 00:02:00 started · administrator: it is suspended already",
                "✗ 00:03:00 rejected · leader too late",
                "✓ 00:04:00 approved · chief",
                "▸ 00:05:00 started · li",
                "▸ 00:07:00 done · li",
                "▸ 00:09:00 resolved · li Duplicate · see the other",
                "▸ 00:09:00 Closed · Duplicate",
            ]
        );
        assert_eq!(shown(&ticket(), Language::Zh)[5], "✓ 00:04:00 已批准 · chief");
    }

    #[test]
    fn what_began_and_ended_by_itself_says_so_and_what_is_not_read_yet_stays_where_it_was_asked() {
        let mut ticket = ticket();
        let status = ticket.status.as_mut().expect("a status");
        status.action_times.clear();
        status.approvals = None;
        let shown = shown(&ticket, Language::En);
        assert_eq!((shown[0].as_str(), shown[1].as_str()), ("▸ 00:00:00 opened · li", "▸ planned · li the whole rack"));
        assert!(shown.contains(&"▸ 00:05:00 work began by itself".to_owned()), "{shown:?}");
        let incident: MaintenanceTicket = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "inc"},
            "spec": {"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "requestedBy": "system:serviceaccount:p861-system:p861-operator",
                "incident": {"source": {"alertmanager": {"siteRef": {"name": "east"}, "groupKey": "k"}}}, "actions": [{"action": "Note", "note": "called", "reported": true, "by": "li"}]},
            "status": {"phase": "Closed", "closedPhase": "Open", "resolution": "Done"}}))
        .expect("a ticket");
        assert_eq!(
            self::shown(&incident, Language::En),
            ["▸ opened · Alertmanager of east", "▸ noted · li reported to the authority · called", "▸ Closed · Done · none of its alerts fires any more"]
        );
    }
}
