//! The list of tickets, and a ticket's page.

use super::{
    super::{
        agreed::Shown,
        page::{self, Facts, Reader, cell, is_bad},
    },
    history,
    next::next,
};
use crate::{
    format::{Clock, Line, Table, Tone},
    hub::typed,
    run::question,
    text::{self, Bilingual, Language},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{maintenance::ticket::plan_text, time::whole_seconds};
use p861_crds::{
    Condition, ConditionType, MaintenanceTicket, MaintenanceTicketStatus, Reason,
    common::RunPhase,
    maintenance::{
        change::Change,
        ticket::{AlertState, ClockState, EscalationState, TicketPhase},
        window::ChangeClass,
    },
};

/// Who looks at a ticket, and where.
#[derive(Clone, Copy)]
pub struct TicketReader<'a> {
    /// The district's time.
    pub clock: &'a Clock,
    /// The language.
    pub language: Language,
    /// The options that lead to the district.
    pub place: &'a str,
    /// By what name the hub knows the reader, if that matters.
    pub person: Option<&'a str>,
}

/// The next deadline: `resolve 3h47m`, or the time by which somebody wants it.
fn due(ticket: &MaintenanceTicket, clock: &Clock, language: Language) -> Option<Line> {
    let status = ticket.status.as_ref()?;
    if status.phase.is_some_and(TicketPhase::is_end) {
        return None;
    }
    let open = status.clocks.iter().filter(|clock| matches!(clock.state, ClockState::Running | ClockState::Overdue));
    if let Some(next) = open.min_by_key(|clock| clock.due_time.0) {
        let word = text::clock_name(next.name).pick(language);
        let left = next.due_time.0.duration_since(clock.now);
        let said = text::measured(minutes(left.abs()), language);
        return Some(if left.is_negative() { Line::toned(Tone::Bad, text::overdue(word, &said).pick(language)) } else { Line::of(format!("{word} {said}")) });
    }
    Some(Line::of(clock.minute(ticket.spec.due_time.as_ref()?.0)))
}

/// When a change may start, as long as that is to come: `from Sat 22:00`.
fn starts(ticket: &MaintenanceTicket, clock: &Clock, language: Language) -> Option<String> {
    let status = ticket.status.as_ref().filter(|status| matches!(status.phase, Some(TicketPhase::Approved | TicketPhase::Scheduled)))?;
    let time = status.scheduled_time.as_ref()?.0;
    (time > clock.now).then(|| text::starts_from(&clock.minute(time)).pick(language).to_owned())
}

/// Seconds where there are only a few minutes; else minutes.
fn minutes(duration: jiff::SignedDuration) -> jiff::SignedDuration {
    let seconds = whole_seconds(duration).as_secs();
    jiff::SignedDuration::from_secs(if seconds < 600 { seconds } else { seconds - seconds % 60 })
}

/// The table of tickets: the most urgent first.
pub fn list(tickets: &[MaintenanceTicket], clock: &Clock, wide: bool, language: Language, place: &str) -> Vec<Line> {
    let clock = clock.at(Timestamp::now());
    let mut heads = vec![text::TICKET, text::TYPE, text::PRIORITY, text::STATE, text::ASSIGNEE, text::DUE, text::TITLE];
    if wide {
        heads.push(text::REASON);
    }
    let mut table = Table::new(language, &heads).spare(&[text::TYPE, text::ASSIGNEE]);
    let mut sorted: Vec<&MaintenanceTicket> = tickets.iter().collect();
    sorted.sort_by_key(|ticket| {
        (ticket.status.as_ref().and_then(|status| status.priority), ticket.metadata.creation_timestamp.as_ref().map(|time| time.0), ticket.name_any())
    });
    for ticket in sorted {
        let status = ticket.status.clone().unwrap_or_default();
        let mut row = vec![
            Line::of(ticket.name_any()),
            Line::of(text::ticket_type(ticket.spec.r#type).pick(language)),
            cell(status.priority.map(|priority| format!("{priority:?}"))),
            Line::of(text::ticket_phase(status.phase.unwrap_or_default()).pick(language)),
            cell(status.assignee.as_ref()),
            due(ticket, &clock, language).or_else(|| starts(ticket, &clock, language).map(Line::of)).unwrap_or_else(page::dash),
            Line::of(ticket.spec.title.in_language(language.key())),
        ];
        if wide {
            let said = trouble(&status.conditions).map(|condition| page::says(condition, &Reader { language, place, name: &ticket.name_any() }).0);
            row.push(cell(said));
        }
        table.row(row);
    }
    table.lines()
}

/// Blockers, if any. For the condition Blocked, True is the bad value.
fn trouble(conditions: &[Condition]) -> Option<&Condition> {
    let blocked = page::condition(conditions, ConditionType::Blocked).filter(|condition| condition.status == "True");
    let others =
        [ConditionType::Approved, ConditionType::WithinClocks, ConditionType::Succeeded].into_iter().filter_map(|kind| page::condition(conditions, kind));
    others.filter(|condition| is_bad(condition)).chain(blocked).next()
}

/// The page of a ticket, with the steps that are agreed to.
pub fn page(ticket: &MaintenanceTicket, shown: &Shown, reader: &TicketReader<'_>) -> Vec<Line> {
    let TicketReader { clock, language, place, person } = *reader;
    let clock = clock.at(Timestamp::now());
    let status = ticket.status.clone().unwrap_or_default();
    let title = ticket.spec.title.in_language(language.key());
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {}", text::noun("ticket").pick(language), ticket.name_any())).with(format!(" · {title}"))];
    let names = |references: &[p861_crds::ObjectReference]| page::listed(references.iter().map(|reference| &reference.name), language);
    let affected = [names(&ticket.spec.affects.application_refs), names(&ticket.spec.affects.site_refs)]
        .into_iter()
        .filter(|names| !names.is_empty())
        .collect::<Vec<_>>()
        .join(text::SEMICOLON.pick(language));
    let standing = format!(
        "{} {} · {}",
        text::ticket_type(ticket.spec.r#type).pick(language),
        status.priority.map_or_else(String::new, |priority| format!("{priority:?}")),
        text::ticket_phase(status.phase.unwrap_or_default()).pick(language)
    );
    let change = ticket.spec.change.as_ref();
    let mut facts = Facts::new(language)
        .with(text::F_STATE, standing)
        .maybe(text::F_ASSIGNEE, status.assignee.as_ref())
        .maybe(text::F_REQUESTED_BY, ticket.spec.requested_by.as_ref())
        .maybe(text::F_AFFECTS, Some(affected).filter(|affected| !affected.is_empty()))
        .maybe(text::F_FROM, ticket.spec.from.as_ref().map(|from| format!("{}/{}", from.kind, from.name)))
        .maybe(text::F_CLASS, change.map(|change| class(change.class, status.change_class).pick(language).to_owned()))
        .maybe(text::F_TEMPLATE, template(change, &status).map(|said| said.pick(language).to_owned()))
        .maybe(text::F_RUNBOOK, ticket.spec.incident.as_ref().and_then(|incident| incident.runbook.as_deref()).map(runbook))
        .maybe(text::F_DUE, due(ticket, &clock, language).map(|line| line.to_string()))
        .maybe(text::F_STARTS, starts(ticket, &clock, language))
        .maybe(text::F_PLAN_OF_CHANGE, plan_text(&ticket.spec, &status).map(|plan| plan.in_language(language.key()).to_owned()))
        .maybe(text::F_ROLLBACK, change.and_then(|change| change.rollback.plan.as_ref()).map(|plan| plan.in_language(language.key())))
        .maybe(text::F_DIGEST, status.plan_digest.as_ref().map(|digest| digest.trim_start_matches("sha256:").chars().take(12).collect::<String>()));
    if let Some(drain) = change.and_then(|change| change.work.drain_node.as_ref()) {
        facts = facts.with(text::F_NODE, format!("{}/{}", drain.site_ref.name, drain.node_name));
    }
    if let Some(steps) = &status.steps {
        facts = facts.with(text::F_STEPS, format!("{}/{}", steps.done, steps.total));
    }
    for step in &status.current_steps {
        let said =
            if step.phase == RunPhase::WaitingForPerson { question(step, language) } else { text::operator_says(&step.message).pick(language).to_owned() };
        let remedy = step.remedy.as_ref().map(|remedy| format!(" · {}", typed(remedy, place))).unwrap_or_default();
        facts = facts.with(text::F_STEP, format!("{} · {said}{remedy}", step.id));
    }
    for backup in &status.backups {
        facts = facts.with(text::F_BACKUP_TAKEN, backup);
    }
    for silence in &status.silences {
        facts = facts.with(text::F_SILENCE, format!("{} · {}", silence.site, clock.minute(silence.end_time.0)));
    }
    for alert in &status.alerts {
        let state = if alert.state == AlertState::Firing { text::FIRING } else { text::RESOLVED };
        facts = facts.with(text::F_ALERT, format!("{} {} · {}", alert.alert_name, state.pick(language), clock.minute(alert.start_time.0)));
    }
    if let Some(truncated) = status.truncated_alerts {
        facts = facts.with(text::F_ALERT, format!("+{truncated}"));
    }
    if let Some(next) = next(ticket, person, &clock) {
        let command = next.command.map(|command| format!(" · {}", typed(&command, place))).unwrap_or_default();
        facts = facts.with(text::F_NEXT, format!("{}{command}", next.said.pick(language)));
    }
    facts = clocks(facts, &status, &clock, language);
    facts = told(facts, &status, &clock, language);
    lines.extend(facts.lines());
    lines.extend(conditions(&status.conditions, &Reader { language, place, name: &ticket.name_any() }));
    lines.extend(shown.lines(text::steps_head(status.start_time.is_some()), &clock, language));
    lines.extend(history::lines(ticket, &status, &clock, language));
    lines
}

/// Where the runbook of an alert stands, if it is one of ours.
fn runbook(alert: &str) -> String {
    if alert.starts_with("P861") { format!("runbooks/{alert}.md") } else { alert.to_owned() }
}

/// Each deadline, and whether it was met.
fn clocks(facts: Facts, status: &MaintenanceTicketStatus, clock: &Clock, language: Language) -> Facts {
    status.clocks.iter().fold(facts, |facts, deadline| {
        let (word, state) = (text::clock_name(deadline.name).pick(language), text::clock_state(deadline.state).pick(language));
        let met = deadline.met_time.as_ref().map(|time| format!(" {}", clock.moment(time.0))).unwrap_or_default();
        facts.with(text::F_CLOCK, format!("{word} {} · {state}{met}", clock.moment(deadline.due_time.0)))
    })
}

/// Who was told, by what, and who is called next.
fn told(facts: Facts, status: &MaintenanceTicketStatus, clock: &Clock, language: Language) -> Facts {
    let facts = status.notifications.iter().fold(facts, |facts, told| {
        let why = told.message.as_ref().map(|why| format!("{}{}", text::COLON.pick(language), text::told(why).pick(language))).unwrap_or_default();
        let state = text::notification_state(told.state, told.late).pick(language);
        facts.with(text::F_TOLD, format!("{} · {} · {state} {}{why}", told.person, told.channel, clock.moment(told.time.0)))
    });
    let Some(escalation) = &status.escalation else { return facts };
    let nobody = (status.notifications.is_empty() && escalation.state != EscalationState::Stopped)
        .then(|| text::nobody_was_told(&escalation.level).pick(language).to_owned());
    let next = escalation.next_level.as_ref().zip(escalation.next_time.as_ref()).filter(|_| escalation.state == EscalationState::Running);
    facts.maybe(text::F_TOLD, nobody).maybe(text::F_NEXT_CALL, next.map(|(level, time)| format!("{level} · {}", clock.moment(time.0))))
}

/// The class of a change, and the one in force if that is another.
fn class(asked: ChangeClass, in_force: Option<ChangeClass>) -> Bilingual {
    if in_force.is_some_and(|in_force| in_force != asked) {
        return text::not_standard();
    }
    let word = text::change_class(asked);
    Bilingual { zh: word.zh.to_owned(), en: word.en.to_owned() }
}

/// The template of a Standard change: as it was at the opening, or else its name.
fn template(change: Option<&Change>, status: &MaintenanceTicketStatus) -> Option<Bilingual> {
    let name = &change?.template_ref.as_ref()?.name;
    let Some(pinned) = &status.template else { return Some(Bilingual::same(name)) };
    let digest: String = pinned.digest.trim_start_matches("sha256:").chars().take(12).collect();
    Some(text::pinned_template(name, pinned.published_by.as_deref().unwrap_or("-"), &digest))
}

/// Conditions, with Blocked turned round: a change that is not blocked is well.
fn conditions(conditions: &[Condition], reader: &Reader<'_>) -> Vec<Line> {
    let turned: Vec<Condition> = conditions
        .iter()
        .filter(|condition| condition.reason != Reason::Finished)
        .map(|condition| match (condition.type_.as_str(), condition.status.as_str()) {
            ("Blocked", "True") => Condition { status: "False".into(), ..condition.clone() },
            ("Blocked", "False") => Condition { status: "True".into(), ..condition.clone() },
            _ => condition.clone(),
        })
        .collect();
    page::conditions(&turned, reader)
}
