//! `p861 ticket open`

use super::{
    super::{Context, list::full_name, template},
    known,
    titles::{self, UPGRADE, is_upgrade},
};
use crate::{
    args::{ClassWord, DurationText, TicketOpen},
    error::{Failure, Result},
    exit::ExitStatus,
    format::Line,
    hub::create_stamped,
    printer::Output,
    text,
};
use p861_core::maintenance::template::{differences, stated_affects};
use p861_crds::{
    ChangeTemplateSpec, Duration, LocalizedText, MaintenanceTicket, MaintenanceTicketSpec, ObjectReference, Platform, Time,
    maintenance::{
        change::{BlockingAlert, Change, ChangeBackup, ChangeSilence, DrainNode, Manual, Rollback, RollbackPolicy, UpgradeComponent, Work},
        template::{TemplateDrain, TemplateUpgrade},
        ticket::{Affected, Incident, TicketType},
    },
    platform::platform::Bundle,
};

/// The template that the change follows, by name.
struct Followed {
    name: String,
    spec: ChangeTemplateSpec,
}

impl Followed {
    fn upgrade(&self) -> Option<&TemplateUpgrade> {
        self.spec.work.upgrade_component.as_ref()
    }

    fn drain(&self) -> Option<&TemplateDrain> {
        self.spec.work.drain_node.as_ref()
    }

    /// The only component that it upgrades.
    fn only_component(&self) -> Option<&str> {
        match self.upgrade()?.components.as_slice() {
            [only] => Some(&only.0),
            _ => None,
        }
    }

    /// The only node that it drains.
    fn only_node(&self) -> Option<(&str, &str)> {
        let [nodes] = self.drain()?.nodes.as_slice() else { return None };
        match nodes.node_names.as_deref()? {
            [only] => Some((&nodes.site_ref.name, only)),
            _ => None,
        }
    }
}

async fn followed(context: &Context<'_>, what: &TicketOpen) -> Result<Option<Followed>> {
    let Some(name) = &what.template else {
        return if what.change == Some(ClassWord::Standard) { Err(Failure::usage(text::template_is_of_standard(context.hub.place()))) } else { Ok(None) };
    };
    if what.change.is_some_and(|class| class != ClassWord::Standard) {
        return Err(Failure::usage(text::template_is_of_standard(context.hub.place())));
    }
    let found = template::named(context, name).await?.object;
    Ok(Some(Followed { name: name.clone(), spec: found.spec }))
}

/// A duration that was typed, as the API has it.
fn typed(duration: Option<&DurationText>) -> Option<Duration> {
    duration.map(|duration| duration.0.as_str().into())
}

/// An upgrade to the version that the district's Platform declares now, and where its manifests come from.
async fn upgrade(context: &Context<'_>, what: &TicketOpen, followed: Option<&Followed>) -> Result<Option<(UpgradeComponent, Option<Bundle>)>> {
    let stated = followed.and_then(Followed::upgrade);
    let component = match (&what.title, &what.component) {
        (Some(title), Some(component)) if !is_upgrade(title) => return Err(Failure::usage(text::one_title(title, component))),
        (_, Some(component)) => component.as_str(),
        (_, None) => match (followed, followed.and_then(Followed::only_component)) {
            (_, Some(only)) => only,
            (Some(followed), None) if stated.is_some() => {
                let example = format!("p861 ticket open {UPGRADE} COMPONENT --template {}{}", followed.name, context.hub.place());
                return Err(Failure::usage(text::template_leaves_open(&followed.name, &example)));
            }
            _ => return Ok(None),
        },
    };
    let hub = &context.hub;
    let district = hub.district.as_ref().map_or_else(|| hub.namespace.clone(), kube::ResourceExt::name_any);
    let platform = hub.get_here::<Platform>(&district).await?.object;
    let declared = &platform.spec.base_software.components;
    let names: Vec<&str> = declared.iter().map(|component| component.name.as_str()).collect();
    let found = declared.iter().find(|declared| declared.name == component);
    let found = found.ok_or_else(|| Failure::refused(text::no_component(component, &names)))?;
    let upgrade = UpgradeComponent {
        component: component.to_owned(),
        version: found.version.clone(),
        healthy_within: stated.map_or_else(|| "5m".into(), |stated| stated.healthy_within.clone()),
        watch_for: typed(what.watch.as_ref()).unwrap_or_else(|| stated.map_or_else(|| "10m".into(), |stated| stated.watch_for.clone())),
    };
    known::refuse_installed(&platform, &upgrade)?;
    Ok(Some((upgrade, found.bundle.clone())))
}

/// The node that is drained.
fn drain(context: &Context<'_>, what: &TicketOpen, followed: Option<&Followed>) -> Result<Option<DrainNode>> {
    let stated = followed.and_then(Followed::drain);
    let (site, node) = match what.drain.as_deref().map(|place| (place, place.split_once('/'))) {
        Some((_, Some((site, node)))) if !site.is_empty() && !node.is_empty() => (site, node),
        Some((place, _)) => return Err(Failure::usage(text::not_a_node(place))),
        None => match (followed, followed.and_then(Followed::only_node)) {
            (_, Some(only)) => only,
            (Some(followed), None) if stated.is_some() => {
                let example = format!("p861 ticket open --template {} --drain SITE/NODE{}", followed.name, context.hub.place());
                return Err(Failure::usage(text::template_leaves_open(&followed.name, &example)));
            }
            _ => return Ok(None),
        },
    };
    Ok(Some(DrainNode {
        site_ref: ObjectReference::new(site),
        node_name: node.to_owned(),
        deadline: typed(what.drain_deadline.as_ref()).unwrap_or_else(|| stated.map_or_else(|| "30m".into(), |stated| stated.deadline.clone())),
        delete_empty_dir_data: what.delete_emptydir_data,
        force: what.force,
    }))
}

/// The change, with what its template states.
fn change(what: &TicketOpen, class: ClassWord, work: Work, followed: Option<&Followed>) -> Change {
    let stated = followed.map(|followed| &followed.spec);
    let of = |typed: &Option<String>, stated: Option<&LocalizedText>| typed.as_deref().map(LocalizedText::written).or_else(|| stated.cloned());
    let silent = !what.no_silence && stated.is_none_or(|stated| stated.silence == ChangeSilence::Affected);
    Change {
        class: class.into(),
        template_ref: followed.map(|followed| ObjectReference::new(&followed.name)),
        window_ref: what.window.as_ref().map(ObjectReference::new),
        work,
        expected_duration: typed(what.expected.as_ref()).or_else(|| stated.and_then(|stated| stated.expected_duration.clone())),
        backup: if what.no_backup { ChangeBackup::Skip } else { ChangeBackup::Affected },
        silence: if silent { ChangeSilence::Affected } else { ChangeSilence::None },
        blocking_alerts: stated.map_or_else(|| vec![BlockingAlert { severity: "critical".into() }], |stated| stated.blocking_alerts.clone()),
        plan: of(&what.plan, stated.and_then(|stated| stated.plan.as_ref())),
        rollback: Rollback {
            policy: stated.map_or(RollbackPolicy::OnFailure, |stated| stated.rollback.policy),
            plan: of(&what.rollback, stated.and_then(|stated| stated.rollback.plan.as_ref())),
        },
        rehearsal: None,
    }
}

/// Refuses options of other work than the change's: they would have no effect.
fn refuse_idle_options(what: &TicketOpen, work: &Work) -> Result<()> {
    for (given, takes_effect, option, of) in [
        (what.watch.is_some(), work.upgrade_component.is_some(), "--watch", "upgrade"),
        (what.drain_deadline.is_some(), work.drain_node.is_some(), "--drain-deadline", "--drain"),
        (what.delete_emptydir_data, work.drain_node.is_some(), "--delete-emptydir-data", "--drain"),
        (what.force, work.drain_node.is_some(), "--force", "--drain"),
    ] {
        if given && !takes_effect {
            return Err(Failure::usage(text::not_of_this_work(option, of)));
        }
    }
    Ok(())
}

/// The objects that it affects: those that were typed, or else those that the template states.
fn affects(what: &TicketOpen, followed: Option<&Followed>) -> Affected {
    let references = |names: &[String]| names.iter().map(ObjectReference::new).collect::<Vec<_>>();
    let (applications, sites) = (references(&what.applications), references(&what.sites));
    let stated = followed.map(|followed| stated_affects(&followed.spec)).unwrap_or_default();
    Affected {
        application_refs: if applications.is_empty() { stated.application_refs } else { applications },
        site_refs: if sites.is_empty() { stated.site_refs } else { sites },
    }
}

/// Opens a ticket.
pub async fn open(context: &Context<'_>, what: &TicketOpen) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let due = match &what.due {
        Some(text) => Some(Time(hub.clock.parse(text).ok_or_else(|| Failure::usage(text::not_a_time("--due", text)))?)),
        None => None,
    };
    let from = match &what.from {
        Some(from) => Some(known::origin(hub, from).await?),
        None => None,
    };
    let followed = followed(context, what).await?;
    titles::refuse_kind(what, followed.as_ref().map(|followed| &followed.spec), hub.place())?;
    let drain_node = drain(context, what, followed.as_ref())?;
    let (upgrade_component, source) = upgrade(context, what, followed.as_ref()).await?.unzip();
    // An upgrade is always a change.
    let by_work = upgrade_component.as_ref().map(|_| ClassWord::Normal);
    let class = if followed.is_some() { Some(ClassWord::Standard) } else { what.change.or(by_work) };
    if class.is_none()
        && (what.plan.is_some() || what.rollback.is_some() || what.window.is_some() || what.expected.is_some() || what.no_backup || what.no_silence)
    {
        return Err(Failure::usage(text::only_of_a_change()));
    }
    let title = match (&what.title, &upgrade_component, &followed) {
        (Some(title), None, _) => LocalizedText::written(title),
        (Some(title), Some(_), _) if !is_upgrade(title) => LocalizedText::written(title),
        (_, Some(upgrade), _) => text::upgrade_title(&upgrade.component, &upgrade.version),
        (None, None, Some(followed)) => followed.spec.title.clone(),
        (None, None, None) => LocalizedText::default(),
    };
    let manual = (drain_node.is_none() && upgrade_component.is_none()).then_some(Manual {});
    let work = Work { upgrade_component, drain_node, manual };
    refuse_idle_options(what, &work)?;
    let affects = affects(what, followed.as_ref());
    known::refuse_unknown(context, what, &affects, work.drain_node.as_ref()).await?;
    let change = class.map(|class| change(what, class, work, followed.as_ref()));
    let (kind, base) = if change.is_some() { (TicketType::Change, "chg") } else { (TicketType::Incident, "inc") };
    let spec = MaintenanceTicketSpec {
        r#type: kind,
        title,
        impact: what.impact.into(),
        urgency: what.urgency.into(),
        affects,
        incident: change.is_none().then(Incident::default),
        change,
        from,
        due_time: due,
        requested_by: Some(hub.identity().await?),
        actions: Vec::new(),
    };
    if let (Some(followed), Some(change)) = (&followed, &spec.change) {
        let differences = differences(&followed.spec, &spec, change, source.flatten().as_ref());
        if !differences.is_empty() {
            return Err(Failure::refused(text::outside_template(&followed.name, &differences)));
        }
    }
    let ticket = create_stamped(hub, base, MaintenanceTicket::new("", spec)).await?;
    let name = kube::ResourceExt::name_any(&ticket);
    match printer.output {
        Output::Name => printer.line(&Line::of(full_name::<MaintenanceTicket>(&name))),
        Output::Json | Output::Yaml => printer.structure(&ticket)?,
        Output::Table | Output::Wide | Output::Html => printer.say(&text::ticket_opened(&name, &format!("p861 ticket show {name}{}", hub.place()))),
    }
    Ok(ExitStatus::Good)
}
