//! `p861 ticket open`

use super::super::{Context, list::full_name};
use crate::{
    args::TicketOpen,
    error::{Failure, Result},
    exit::ExitStatus,
    format::Line,
    hub::create_stamped,
    printer::Output,
    text,
};
use p861_crds::{
    LocalizedText, MaintenanceTicket, MaintenanceTicketSpec, ObjectReference, Time,
    maintenance::ticket::{Affected, Change, Incident, Manual, Origin, Rollback, RollbackPolicy, TicketType, Work},
};

/// A text in the language that it is written in: Chinese if it has a Chinese character.
fn localized(text: &str) -> LocalizedText {
    let chinese = text.chars().any(|c| ('\u{3400}'..='\u{9fff}').contains(&c));
    let text = Some(text.to_owned());
    if chinese { LocalizedText { zh: text, en: None } } else { LocalizedText { zh: None, en: text } }
}

/// Opens a ticket.
pub async fn open(context: &Context<'_>, what: &TicketOpen) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let references = |names: &[String]| names.iter().map(ObjectReference::new).collect();
    let due = match &what.due {
        Some(text) => Some(Time(hub.clock.parse(text).ok_or_else(|| Failure::usage(text::not_a_time("--due", text)))?)),
        None => None,
    };
    let from = match what.from.as_deref().map(|from| from.split_once('/')) {
        Some(Some((kind, name))) if !kind.is_empty() && !name.is_empty() => Some(Origin { kind: kind.to_owned(), name: name.to_owned() }),
        Some(_) => return Err(Failure::usage(text::not_an_origin(what.from.as_deref().unwrap_or_default()))),
        None => None,
    };
    let change = what.change.map(|class| Change {
        class: class.into(),
        window_ref: what.window.as_ref().map(ObjectReference::new),
        work: Work { manual: Some(Manual {}) },
        blocking_alerts: vec![p861_crds::maintenance::ticket::BlockingAlert { severity: "critical".into() }],
        plan: what.plan.as_deref().map(localized),
        rollback: Rollback { policy: RollbackPolicy::OnFailure, plan: what.rollback.as_deref().map(localized) },
        rehearsal: None,
    });
    let (kind, base) = if change.is_some() { (TicketType::Change, "chg") } else { (TicketType::Incident, "inc") };
    let spec = MaintenanceTicketSpec {
        r#type: kind,
        title: localized(&what.title),
        impact: what.impact.into(),
        urgency: what.urgency.into(),
        affects: Affected { application_refs: references(&what.applications), site_refs: references(&what.sites) },
        incident: change.is_none().then(Incident::default),
        change,
        from,
        due_time: due,
        requested_by: Some(hub.identity().await?),
        actions: Vec::new(),
    };
    let ticket = create_stamped(hub, base, MaintenanceTicket::new("", spec)).await?;
    let name = kube::ResourceExt::name_any(&ticket);
    match printer.output {
        Output::Name => printer.line(&Line::of(full_name::<MaintenanceTicket>(&name))),
        Output::Json | Output::Yaml => printer.structure(&ticket)?,
        Output::Table | Output::Wide | Output::Html => printer.say(&text::ticket_opened(&name, &format!("p861 ticket show {name}{}", hub.place()))),
    }
    Ok(ExitStatus::Good)
}
