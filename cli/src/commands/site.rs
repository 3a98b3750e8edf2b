//! `p861 site …`

use super::{
    Context,
    list::{print_list, print_object},
    needs::{self, Objects},
    page::{self, Facts, Reader, both_names, cell, dash, size, truth},
};
use crate::{
    args::SiteCommand,
    error::Result,
    exit::ExitStatus,
    format::{Line, Table},
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{ConditionType, Site, platform::site::Capacity};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &SiteCommand) -> Result<ExitStatus> {
    let printer = context.printer;
    match command {
        SiteCommand::List => {
            let sites = context.hub.list::<Site>(None, "").await?;
            print_list(printer, &sites, &text::no_sites(), |sites| list(sites, printer.output == Output::Wide, printer.language))
        }
        SiteCommand::Show(name) => {
            let site = context.hub.get::<Site>(None, &name.name).await?;
            print_object(printer, &site, |site| show(site, printer.language, context.hub.place()))?;
            Ok(needs::verdict(&context.hub, &Objects { sites: vec![site.object], ..Objects::default() }))
        }
    }
}

/// The table of sites.
fn list(sites: &[Site], wide: bool, language: Language) -> Vec<Line> {
    let mut heads = vec![text::SITE, text::READY, text::VERSION, text::READY_NODES, text::AGENT];
    if wide {
        heads.extend([text::DOMAIN, text::CLUSTER_UID]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::AGENT, text::VERSION]);
    for site in sites {
        let status = site.status.clone().unwrap_or_default();
        let mut row = vec![
            Line::of(site.name_any()),
            truth(&status.conditions, ConditionType::Ready, language),
            cell(status.kubernetes_version),
            status.nodes.map_or_else(dash, |nodes| Line::of(format!("{}/{}", nodes.ready, nodes.total))),
            cell(status.agent_version),
        ];
        if wide {
            row.extend([Line::of(&site.spec.failure_domain), cell(status.cluster_uid)]);
        }
        table.row(row);
    }
    table.lines()
}

/// The page of a site.
fn show(site: &Site, language: Language, place: &str) -> Vec<Line> {
    let name = site.name_any();
    let status = site.status.clone().unwrap_or_default();
    let access = match &site.spec.access.kubeconfig {
        Some(access) => format!("Secret {}", access.secret_ref.name),
        None => text::HUB_ITSELF.pick(language).to_owned(),
    };
    let capacity = |capacity: &Capacity| text::capacity(&capacity.cpu.0, &size(&capacity.memory), &capacity.pods.0).pick(language).to_owned();
    let mut lines = vec![Line::toned(crate::format::Tone::Strong, format!("{} {name}", text::noun("site").pick(language))).with(match &site.spec.names {
        Some(names) => format!(" · {}", both_names(Some(names), &name, language)),
        None => String::new(),
    })];
    lines.extend(
        Facts::new(language)
            .with(text::F_DOMAIN, &site.spec.failure_domain)
            .with(text::F_ACCESS, access)
            .maybe(text::F_VERSION, status.kubernetes_version.as_ref())
            .maybe(text::F_AGENT, status.agent_version.as_ref())
            .maybe(text::F_NODES, status.nodes.as_ref().map(|nodes| format!("{}/{}", nodes.ready, nodes.total)))
            .maybe(text::F_ALLOCATABLE, status.allocatable.as_ref().map(capacity))
            .maybe(text::F_REQUESTED, status.requested.as_ref().map(capacity))
            .maybe(text::F_CLUSTER_UID, status.cluster_uid.as_ref())
            .lines(),
    );
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &name }));
    lines
}
