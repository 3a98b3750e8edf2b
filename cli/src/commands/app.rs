//! `p861 app …`

use super::{
    Context,
    list::{print_list, print_object},
    page::{self, Facts, cell, truth},
};
use crate::{
    args::{AppCommand, Discover},
    discover,
    error::Result,
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{connect_site, site_client},
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{Application, Site};

/// Does what was typed.
pub async fn perform(context: &Context<'_>, command: &AppCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        AppCommand::Discover(what) => discover(context, what).await,
        AppCommand::List => {
            let applications = hub.list_here::<Application>("").await?;
            print_list(printer, &applications, &text::no_applications(&hub.namespace), |list| table(list, &hub.clock, printer.language))
        }
        AppCommand::Status(name) => {
            let read = hub.get_here::<Application>(&name.name).await?;
            let conditions = read.object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            print_object(printer, &read, |application| page(application, &hub.clock, printer.language))?;
            Ok(ExitStatus::judged(!conditions.iter().any(page::is_bad)))
        }
    }
}

fn table(applications: &[Application], clock: &Clock, language: Language) -> Vec<Line> {
    let mut table = Table::new(language, &[text::APPLICATION, text::DEPARTMENT, text::SITE, text::HEALTHY, text::PROTECTED, text::RECOVERABLE, text::LAST_BACKUP, text::PLAN]);
    for application in applications {
        let status = application.status.clone().unwrap_or_default();
        table.row(vec![
            Line::of(application.name_any()),
            Line::of(&application.spec.department),
            cell(status.active_site.as_ref()),
            truth(&status.conditions, "Healthy", language),
            truth(&status.conditions, "Protected", language),
            truth(&status.conditions, "Recoverable", language),
            cell(status.last_backup.as_ref().map(|last| clock.age(last.recovery_point_time.0, language))),
            cell(status.recovery_plan.as_ref()),
        ]);
    }
    table.lines()
}

fn page(application: &Application, clock: &Clock, language: Language) -> Vec<Line> {
    let (name, status) = (application.name_any(), application.status.clone().unwrap_or_default());
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {name}", text::noun("app").pick(language))).with(format!(" · {}", page::both_names(application.spec.names.as_ref(), &name, language)))];
    let objectives = status.objectives.as_ref().map(|o| {
        let text = |value: Option<&p861_crds::Duration>| value.map_or_else(|| "-".to_owned(), |value| value.0.clone());
        format!("RTO {}, RPO {}", text(o.rto.as_ref()), text(o.rpo.as_ref()))
    });
    let ago = |time: jiff::Timestamp| text::ago(&clock.minute(time), &clock.age(time, language)).pick(language).to_owned();
    lines.extend(
        Facts::new(language)
            .with(text::F_DEPARTMENT, &application.spec.department)
            .maybe(text::F_ACTIVE_SITE, status.active_site.as_ref())
            .maybe(text::F_OBJECTIVES, objectives)
            .maybe(text::F_BACKUP, status.last_backup.as_ref().map(|last| format!("{}, {}", last.name, ago(last.recovery_point_time.0))))
            .maybe(text::F_VERIFIED, (!status.verified.is_empty()).then(|| status.verified.iter().map(|v| format!("{:?} {}", v.level, v.backup)).collect::<Vec<_>>().join(", ")))
            .maybe(text::F_PLAN, status.recovery_plan.as_ref())
            .maybe(text::F_DRILL, status.last_drill.as_ref().map(|last| last.name.clone()))
            .lines(),
    );
    lines.extend(page::conditions(&status.conditions, language));
    lines
}

async fn discover(context: &Context<'_>, what: &Discover) -> Result<ExitStatus> {
    let hub = &context.hub;
    let client = match (&what.site_kubeconfig, &what.site_context, &what.site) {
        (None, None, Some(site)) => site_client(hub, &hub.get::<Site>(None, site).await?.object, &what.operator_namespace).await?.0,
        (file, context_name, _) => connect_site(file.as_deref().or(context.global.kubeconfig.as_deref()), context_name.as_deref()).await?.0,
    };
    let district = hub.district.as_ref().map_or_else(|| hub.namespace.clone(), kube::ResourceExt::name_any);
    let found = discover::look(&client, &what.namespace_on_site).await.map_err(|error| hub.explain(&error, &text::to_list("workloads", Some(&what.namespace_on_site))))?;
    let default_name = what.namespace_on_site.strip_prefix(&format!("{district}-")).unwrap_or(&what.namespace_on_site);
    let name = what.name.as_deref().unwrap_or(default_name);
    let draft = discover::draft(&found, name, &hub.namespace, &what.namespace_on_site);
    match context.printer.output {
        Output::Json => context.printer.structure(&draft)?,
        _ => {
            let yaml = serde_saphyr::to_string(&draft).map_err(|error| crate::error::Failure::unexpected(text::unwritable(&error.to_string())))?;
            context.printer.raw(&yaml);
        }
    }
    for line in discover::remarks(&found) {
        context.printer.note(&line);
    }
    context.printer.remark(&text::discover_next(&format!("{name}.yaml")));
    Ok(ExitStatus::Good)
}
