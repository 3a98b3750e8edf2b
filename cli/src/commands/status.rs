//! `p861 status`: one page.

use super::{
    Context,
    drill_show::brief,
    list::full_name,
    page::{self, both_names, is_bad, says},
};
use crate::{
    error::Result,
    exit::ExitStatus,
    format::{Line, Table, Tone},
    hub::Kind,
    printer::Output,
    text::{self, Language},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_crds::{Application, BackupRepository, Condition, Platform, RecoveryPlan, Site};
use serde_json::json;

/// Something that needs a person.
struct Need {
    what: String,
    kind: &'static str,
    name: String,
    said: String,
    condition: String,
    command: Option<String>,
}

/// Prints the page.
pub async fn show(context: &Context<'_>) -> Result<ExitStatus> {
    let (hub, printer, language) = (&context.hub, context.printer, context.printer.language);
    let wanted: Vec<String> = hub.district.iter().flat_map(|district| &district.spec.sites).map(|site| site.site_ref.name.clone()).collect();
    let mut sites = hub.list::<Site>(None, "").await?;
    sites.items.retain(|site| wanted.is_empty() || wanted.contains(&site.name_any()));
    let (applications, plans, repositories) = (hub.list_here::<Application>("").await?, hub.list_here::<RecoveryPlan>("").await?, hub.list_here::<BackupRepository>("").await?);
    let mut needs = Vec::new();
    for site in &sites.items {
        add(&mut needs, site, site.status.as_ref().map(|s| s.conditions.as_slice()), &["Ready", "Reachable"], language);
    }
    for repository in &repositories.items {
        add(&mut needs, repository, repository.status.as_ref().map(|s| s.conditions.as_slice()), &["Ready"], language);
    }
    for application in &applications.items {
        add(&mut needs, application, application.status.as_ref().map(|s| s.conditions.as_slice()), &["Ready", "Healthy", "Protected", "Recoverable"], language);
    }
    for plan in &plans.items {
        add(&mut needs, plan, plan.status.as_ref().map(|s| s.conditions.as_slice()), &["Ready", "ReadyToFailover", "Drilled"], language);
    }
    let platforms = hub.list_here::<Platform>("").await?;
    for platform in &platforms.items {
        add(&mut needs, platform, platform.status.as_ref().map(|s| s.conditions.as_slice()), &["Ready", "Balanced"], language);
    }
    for unreadable in [&platforms.unreadable, &sites.unreadable, &applications.unreadable, &plans.unreadable, &repositories.unreadable].into_iter().flatten() {
        printer.warn(unreadable);
    }
    let verdict = ExitStatus::judged(needs.is_empty());
    if printer.structured() {
        let needs: Vec<_> = needs.iter().map(|need| json!({"object": need.what, "condition": need.condition, "message": need.said, "command": need.command})).collect();
        printer.structure(&json!({"apiVersion": "cli.platform861.io/v1", "kind": "Status", "namespace": hub.namespace, "sites": sites.raw, "applications": applications.raw, "plans": plans.raw, "needs": needs}))?;
        return Ok(verdict);
    }
    if printer.output == Output::Name {
        needs.iter().for_each(|need| printer.line(&Line::of(&need.what)));
        return Ok(verdict);
    }
    let clock = hub.clock.at(Timestamp::now());
    let title = hub.district.as_ref().map_or_else(|| hub.namespace.clone(), |district| format!("{} {}", both_names(Some(&district.spec.names), &district.name_any(), language), district.spec.code));
    printer.line(&Line::toned(Tone::Strong, title).with(format!(" · {} · {}", hub.address, clock.minute_and_offset(clock.now))));
    let mut table = Table::bare();
    table.row(vec![Line::toned(Tone::Dim, text::SITES.pick(language)), Line::of(sites.items.iter().map(site_line).collect::<Vec<_>>().join(" · "))]);
    for status in platforms.items.iter().filter_map(|platform| platform.status.as_ref()) {
        table.row(vec![Line::toned(Tone::Dim, text::PLATFORM.pick(language)), Line::of(super::platform::summary(status, language))]);
    }
    table.row(vec![Line::toned(Tone::Dim, text::PROTECTION.pick(language)), protection(&applications.items, &clock, language)]);
    for plan in &plans.items {
        table.row(vec![Line::toned(Tone::Dim, text::RECOVERY.pick(language)), recovery(plan, &clock, language)]);
    }
    printer.lines(&table.lines());
    if needs.is_empty() {
        printer.line(&Line::toned(Tone::Good, text::nothing_needed().pick(language)));
        return Ok(verdict);
    }
    printer.line(&Line::toned(Tone::Strong, text::NEEDS_YOU.pick(language)));
    let mut table = Table::bare();
    for need in &needs {
        let mut row = vec![Line::toned(Tone::Bad, "✗ ").with(format!("{} {}", need.kind, need.name)), Line::of(format!("{}: {}", need.condition, need.said))];
        row.extend(need.command.as_ref().map(|command| Line::toned(Tone::Strong, command)));
        table.row(row);
    }
    printer.lines(&table.lines());
    Ok(verdict)
}

fn add<K: Kind>(needs: &mut Vec<Need>, object: &K, conditions: Option<&[Condition]>, kinds: &[&str], language: Language) {
    let bad = kinds.iter().filter_map(|kind| page::condition(conditions.unwrap_or_default(), kind)).filter(|condition| is_bad(condition));
    for condition in bad.filter(|condition| !condition.message.starts_with("see ")) {
        let (said, command) = says(condition, language);
        let name = object.name_any();
        needs.push(Need { what: full_name::<K>(&name), kind: K::NOUN, name, said, condition: condition.type_.clone(), command });
    }
}

fn site_line(site: &Site) -> String {
    let status = site.status.clone().unwrap_or_default();
    let nodes = status.nodes.map_or_else(|| "?".to_owned(), |nodes| format!("{}/{} nodes", nodes.ready, nodes.total));
    let ready = page::condition(&status.conditions, "Ready").map_or("Unknown", |condition| if condition.status == "True" { "Ready" } else { condition.reason.as_str() });
    format!("{} {ready}, {nodes}", site.name_any())
}

fn protection(applications: &[Application], clock: &crate::format::Clock, language: Language) -> Line {
    let count = |kind: &str| applications.iter().filter(|a| a.status.as_ref().and_then(|s| page::condition(&s.conditions, kind)).is_some_and(|c| c.status == "True")).count();
    let oldest = applications.iter().filter_map(|a| a.status.as_ref()?.last_backup.as_ref()).map(|last| last.recovery_point_time.0).min();
    let all = applications.len();
    let oldest = oldest.map_or_else(|| "-".to_owned(), |time| clock.age(time, language));
    Line::of(match language {
        Language::En => format!("{} of {all} Protected, {} Recoverable; oldest recovery point {oldest}", count("Protected"), count("Recoverable")),
        Language::Zh => format!("{all} 个应用中 {} 个已保护，{} 个可恢复；最旧恢复点 {oldest}", count("Protected"), count("Recoverable")),
    })
}

fn recovery(plan: &RecoveryPlan, clock: &crate::format::Clock, language: Language) -> Line {
    let status = plan.status.clone().unwrap_or_default();
    let drilled = status.last_drill.as_ref().map(|last| brief(last.result, last.completion_time.0, clock, language));
    let target = plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref()).map(|rto| rto.0.as_str());
    let predicted = status.prediction.as_ref().map(|p| text::predicted(&p.rto.0, target).pick(language).to_owned());
    let parts: Vec<String> = std::iter::once(plan.name_any()).chain(drilled).chain(predicted).collect();
    Line::of(parts.join(" · "))
}
