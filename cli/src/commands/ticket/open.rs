//! `p861 ticket open`

use super::super::{Context, list::full_name};
use crate::{
    args::{ClassWord, TicketOpen},
    error::{Failure, Result},
    exit::ExitStatus,
    format::Line,
    hub::create_stamped,
    printer::Output,
    text,
};
use p861_crds::{
    LocalizedText, MaintenanceTicket, MaintenanceTicketSpec, ObjectReference, Platform, Time,
    maintenance::{
        change::{BlockingAlert, Change, ChangeBackup, ChangeSilence, DrainNode, Manual, Rollback, RollbackPolicy, UpgradeComponent, Work},
        ticket::{Affected, Incident, Origin, TicketType},
    },
};

/// A text in the language that it is written in: Chinese if it has a Chinese character.
fn localized(text: &str) -> LocalizedText {
    let chinese = text.chars().any(|c| ('\u{3400}'..='\u{9fff}').contains(&c));
    let text = Some(text.to_owned());
    if chinese { LocalizedText { zh: text, en: None } } else { LocalizedText { zh: None, en: text } }
}

/// `upgrade COMPONENT`: to the version that the district's Platform declares now.
async fn upgrade(context: &Context<'_>, what: &TicketOpen) -> Result<Option<UpgradeComponent>> {
    let Some(component) = &what.component else { return Ok(None) };
    if what.title != "upgrade" {
        return Err(Failure::usage(text::one_title(&what.title, component)));
    }
    let hub = &context.hub;
    let district = hub.district.as_ref().map_or_else(|| hub.namespace.clone(), kube::ResourceExt::name_any);
    let platform = hub.get_here::<Platform>(&district).await?.object;
    let declared = platform.spec.base_software.components;
    let names: Vec<&str> = declared.iter().map(|component| component.name.as_str()).collect();
    let found = declared.iter().find(|declared| declared.name == *component);
    let found = found.ok_or_else(|| Failure::refused(text::no_component(component, &names)))?;
    Ok(Some(UpgradeComponent {
        component: component.clone(),
        version: found.version.clone(),
        healthy_within: "5m".into(),
        watch_for: what.watch.as_str().into(),
    }))
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
    let drain_node = match what.drain.as_deref().map(|place| place.split_once('/')) {
        Some(Some((site, node))) if !site.is_empty() && !node.is_empty() => Some(DrainNode {
            site_ref: ObjectReference::new(site),
            node_name: node.to_owned(),
            deadline: what.drain_deadline.as_str().into(),
            delete_empty_dir_data: what.delete_emptydir_data,
            force: what.force,
        }),
        Some(_) => return Err(Failure::usage(text::not_a_node(what.drain.as_deref().unwrap_or_default()))),
        None => None,
    };
    let upgrade_component = upgrade(context, what).await?;
    let manual = (drain_node.is_none() && upgrade_component.is_none()).then_some(Manual {});
    // An upgrade is always a change.
    let class = what.change.or(upgrade_component.as_ref().map(|_| ClassWord::Normal));
    if class.is_none()
        && (what.plan.is_some() || what.rollback.is_some() || what.window.is_some() || what.expected.is_some() || what.no_backup || what.no_silence)
    {
        return Err(Failure::usage(text::only_of_a_change()));
    }
    let title = match &upgrade_component {
        Some(upgrade) => text::upgrade_title(&upgrade.component, &upgrade.version),
        None => localized(&what.title),
    };
    let change = class.map(|class| Change {
        class: class.into(),
        window_ref: what.window.as_ref().map(ObjectReference::new),
        work: Work { upgrade_component, drain_node, manual },
        expected_duration: what.expected.as_deref().map(Into::into),
        backup: if what.no_backup { ChangeBackup::Skip } else { ChangeBackup::Affected },
        silence: if what.no_silence { ChangeSilence::None } else { ChangeSilence::Affected },
        blocking_alerts: vec![BlockingAlert { severity: "critical".into() }],
        plan: what.plan.as_deref().map(localized),
        rollback: Rollback { policy: RollbackPolicy::OnFailure, plan: what.rollback.as_deref().map(localized) },
        rehearsal: None,
    });
    let (kind, base) = if change.is_some() { (TicketType::Change, "chg") } else { (TicketType::Incident, "inc") };
    let spec = MaintenanceTicketSpec {
        r#type: kind,
        title,
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
