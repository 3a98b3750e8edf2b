//! `p861 app …`

use super::{
    Context,
    list::{print_list, print_object},
    needs::{self, Objects},
    page::{self, Facts, Reader, cell, truth},
};
use crate::{
    args::{AppCommand, Discover},
    discover,
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{SiteAccount, connect_site, explain_at_site, site_client},
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_core::{platform::district::is_allotted, runs::Scope};
use p861_crds::{Application, ConditionType, Site};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &AppCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        AppCommand::Discover(what) => discover(context, what).await,
        AppCommand::List => {
            let applications = hub.list_here::<Application>("").await?;
            print_list(printer, &applications, &text::no_applications(&hub.namespace, hub.place()), |list| {
                table(list, printer.output == Output::Wide, &hub.clock, printer.language)
            })
        }
        AppCommand::Status(name) => {
            let read = hub.get_here::<Application>(&name.name).await?;
            print_object(printer, &read, |application| page(application, &hub.clock, printer.language, hub.place()))?;
            Ok(needs::verdict(hub, &Objects { applications: vec![read.object], ..Objects::default() }))
        }
    }
}

fn table(applications: &[Application], wide: bool, clock: &Clock, language: Language) -> Vec<Line> {
    let mut heads = vec![text::APPLICATION, text::DEPARTMENT, text::SITE, text::HEALTHY, text::PROTECTED, text::RECOVERABLE, text::LAST_BACKUP];
    if wide {
        heads.extend([text::POLICY, text::PLAN]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::DEPARTMENT, text::SITE]);
    for application in applications {
        let status = application.status.clone().unwrap_or_default();
        let mut row = vec![
            Line::of(application.name_any()),
            Line::of(&application.spec.department),
            cell(status.active_site.as_ref()),
            truth(&status.conditions, ConditionType::Healthy, language),
            truth(&status.conditions, ConditionType::Protected, language),
            truth(&status.conditions, ConditionType::Recoverable, language),
            cell(status.last_backup.as_ref().map(|last| clock.age(last.recovery_point_time.0, language))),
        ];
        if wide {
            row.extend([cell(status.backup_policy.as_ref()), cell(status.recovery_plan.as_ref())]);
        }
        table.row(row);
    }
    table.lines()
}

fn page(application: &Application, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let (name, status) = (application.name_any(), application.status.clone().unwrap_or_default());
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {name}", text::noun("app").pick(language))).with(match &application.spec.names {
        Some(names) => format!(" · {}", page::both_names(Some(names), &name, language)),
        None => String::new(),
    })];
    let objectives = status.objectives.as_ref().map(|o| {
        let text = |value: Option<&p861_crds::Duration>| value.map_or_else(|| "-".to_owned(), |value| text::span(&value.0, language));
        format!("RTO {}{}RPO {}", text(o.rto.as_ref()), text::COMMA.pick(language), text(o.rpo.as_ref()))
    });
    let comma = text::COMMA.pick(language);
    let ago = |time: jiff::Timestamp| text::ago(&clock.minute(time), &clock.age(time, language)).pick(language).to_owned();
    lines.extend(
        Facts::new(language)
            .with(text::F_DEPARTMENT, &application.spec.department)
            .maybe(text::F_ACTIVE_SITE, status.active_site.as_ref())
            .maybe(text::F_OBJECTIVES, objectives)
            .maybe(text::F_POLICY, status.backup_policy.as_ref())
            .maybe(text::F_NEXT_BACKUP, status.next_backup_time.as_ref().map(|time| clock.minute(time.0)))
            .maybe(text::F_BACKUP, status.last_backup.as_ref().map(|last| format!("{}{comma}{}", last.name, ago(last.recovery_point_time.0))))
            .maybe(
                text::F_VERIFIED,
                (!status.verified.is_empty())
                    .then(|| status.verified.iter().map(|v| format!("{} {}", text::value(v.level).pick(language), v.backup)).collect::<Vec<_>>().join(comma)),
            )
            .maybe(text::F_PLAN, status.recovery_plan.as_ref())
            .maybe(text::F_DRILL, status.last_drill.as_ref().map(|last| format!("{}{comma}{}", last.name, ago(last.completion_time.0))))
            .lines(),
    );
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &name }));
    lines
}

async fn discover(context: &Context<'_>, what: &Discover) -> Result<ExitStatus> {
    let (hub, printer, namespace) = (&context.hub, context.printer, what.namespace_on_site.as_str());
    if let (Some(site), Some(district)) = (&what.site, &hub.district)
        && Scope::of(district).site(&site.as_str().into()).is_err()
    {
        return Err(Failure::refused(text::site_not_allotted(site, &district.name_any())));
    }
    let ((client, address), account) = match (&what.site_kubeconfig, &what.site_context, &what.site) {
        (None, None, Some(name)) => {
            let site = hub.get::<Site>(None, name).await?.object;
            // The hub's own cluster is looked into by the person.
            let account = if site.spec.access.in_cluster.is_some() { SiteAccount::Own } else { SiteAccount::OfHub(name) };
            (site_client(hub, &site).await?, account)
        }
        (file, context_name, _) => (connect_site(context.global, file.as_deref(), context_name.as_deref()).await?, SiteAccount::Own),
    };
    let site = what.site.as_deref().or(what.site_context.as_deref()).unwrap_or("?");
    let found = discover::look(&client, namespace).await.map_err(|error| explain_at_site(&error, &address, &text::to_look_into(namespace, site), account))?;
    if found.is_empty() {
        return Err(Failure::refused(text::nothing_discovered(namespace, site)));
    }
    let prefix = hub.district.as_ref().map(|district| format!("{}-", district.name_any()));
    let default_name = prefix.as_deref().and_then(|prefix| namespace.strip_prefix(prefix)).unwrap_or(namespace);
    let name = what.name.as_deref().unwrap_or(default_name);
    let departments: Vec<&str> = hub.district.iter().flat_map(|district| &district.spec.departments).map(|department| department.name.as_str()).collect();
    let draft = discover::draft(&found, name, &hub.namespace, namespace);
    if printer.output == Output::Json {
        printer.structure(&draft)?;
    } else {
        let yaml = discover::manifest(&draft, &found, site, &departments).map_err(|why| Failure::unexpected(text::unwritable(&why)))?;
        printer.raw(&yaml);
    }
    for line in discover::remarks(&found, printer.language) {
        printer.note(&line);
    }
    if let Some(district) = hub.district.as_ref().filter(|district| !is_allotted(district, namespace)) {
        printer.warn(&text::not_allotted(namespace, &district.name_any()));
    }
    printer.remark(&text::discover_next(&format!("{name}.yaml")));
    Ok(ExitStatus::Good)
}
