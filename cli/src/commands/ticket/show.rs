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

/// What it affects. A change that names nothing protects nothing, which is said.
fn affected(ticket: &MaintenanceTicket, language: Language) -> Option<String> {
    let names = |references: &[p861_crds::ObjectReference]| page::listed(references.iter().map(|reference| &reference.name), language);
    let affects = &ticket.spec.affects;
    let named: Vec<String> = [names(&affects.application_refs), names(&affects.site_refs)].into_iter().filter(|names| !names.is_empty()).collect();
    let is_change = ticket.spec.change.is_some();
    match named.as_slice() {
        [] => is_change.then(|| text::affects_nothing().pick(language).to_owned()),
        named => Some(named.join(text::SEMICOLON.pick(language))),
    }
}

/// What is asked for, by whom, and where it stands.
fn described(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus, clock: &Clock, language: Language) -> Facts {
    let standing = format!(
        "{} {} · {}",
        text::ticket_type(ticket.spec.r#type).pick(language),
        status.priority.map_or_else(String::new, |priority| format!("{priority:?}")),
        text::ticket_phase(status.phase.unwrap_or_default()).pick(language)
    );
    let resolution = status.resolution.filter(|_| status.phase.is_some_and(TicketPhase::is_end));
    let change = ticket.spec.change.as_ref();
    let node = change.and_then(|change| change.work.drain_node.as_ref()).map(|drain| format!("{}/{}", drain.site_ref.name, drain.node_name));
    Facts::new(language)
        .with(text::F_STATE, standing)
        .maybe(text::F_RESOLUTION, resolution.map(|resolution| text::value(resolution).pick(language).to_owned()))
        .maybe(text::F_ASSIGNEE, status.assignee.as_ref())
        .maybe(text::F_REQUESTED_BY, ticket.spec.requested_by.as_ref())
        .maybe(text::F_AFFECTS, affected(ticket, language))
        .maybe(text::F_FROM, ticket.spec.from.as_ref().map(|from| format!("{}/{}", from.kind, from.name)))
        .maybe(text::F_CLASS, change.map(|change| class(change.class, status.change_class).pick(language).to_owned()))
        .maybe(text::F_TEMPLATE, template(change, status).map(|said| said.pick(language).to_owned()))
        .maybe(text::F_RUNBOOK, ticket.spec.incident.as_ref().and_then(|incident| incident.runbook.as_deref()).map(runbook))
        .maybe(text::F_DUE, due(ticket, clock, language).map(|line| line.to_string()))
        .maybe(text::F_STARTS, starts(ticket, clock, language))
        .maybe(text::F_PLAN_OF_CHANGE, plan_text(&ticket.spec, status).map(|plan| plan.in_language(language.key()).to_owned()))
        .maybe(text::F_ROLLBACK, change.and_then(|change| change.rollback.plan.as_ref()).map(|plan| plan.in_language(language.key())))
        .maybe(text::F_DIGEST, status.plan_digest.as_ref().map(|digest| digest.trim_start_matches("sha256:").chars().take(12).collect::<String>()))
        .maybe(text::F_NODE, node)
}

/// How far the work is.
fn work(facts: Facts, status: &MaintenanceTicketStatus, clock: &Clock, language: Language, place: &str) -> Facts {
    let facts = facts.maybe(text::F_STEPS, status.steps.as_ref().map(|steps| format!("{}/{}", steps.done, steps.total)));
    let facts = status.current_steps.iter().fold(facts, |facts, step| {
        let said =
            if step.phase == RunPhase::WaitingForPerson { question(step, language) } else { text::operator_says(&step.message).pick(language).to_owned() };
        let remedy = step.remedy.as_ref().map(|remedy| format!(" · {}", typed(remedy, place))).unwrap_or_default();
        facts.with(text::F_STEP, format!("{} · {said}{remedy}", step.id))
    });
    let facts = status.backups.iter().fold(facts, |facts, backup| facts.with(text::F_BACKUP_TAKEN, backup));
    status.silences.iter().fold(facts, |facts, silence| facts.with(text::F_SILENCE, format!("{} · {}", silence.site, clock.minute(silence.end_time.0))))
}

/// Since when each alert fires, or when it ended.
fn alerts(facts: Facts, status: &MaintenanceTicketStatus, clock: &Clock, language: Language) -> Facts {
    let facts = status.alerts.iter().fold(facts, |facts, alert| {
        let (state, time) = match alert.state {
            AlertState::Firing => (text::FIRING, Some(&alert.start_time)),
            AlertState::Resolved => (text::RESOLVED, alert.end_time.as_ref()),
        };
        let time = time.map(|time| format!(" · {}", clock.minute(time.0))).unwrap_or_default();
        facts.with(text::F_ALERT, format!("{} {}{time}", alert.alert_name, state.pick(language)))
    });
    facts.maybe(text::F_ALERT, status.truncated_alerts.map(|truncated| format!("+{truncated}")))
}

/// The page of a ticket, with the steps that are agreed to.
pub fn page(ticket: &MaintenanceTicket, shown: &Shown, reader: &TicketReader<'_>) -> Vec<Line> {
    let TicketReader { clock, language, place, person } = *reader;
    let clock = clock.at(Timestamp::now());
    let status = ticket.status.clone().unwrap_or_default();
    let title = ticket.spec.title.in_language(language.key());
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {}", text::noun("ticket").pick(language), ticket.name_any())).with(format!(" · {title}"))];
    let mut facts = described(ticket, &status, &clock, language);
    facts = work(facts, &status, &clock, language, place);
    facts = alerts(facts, &status, &clock, language);
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
