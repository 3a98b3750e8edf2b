//! `p861 status`: one page.

use super::{
    Context,
    needs::{self, Found, Need, Objects, Telling},
    page::{self, both_names},
    plan::passes_checks,
    ticket::next::depends_on_person,
};
use crate::{
    error::Result,
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Hub, Kind, Listing},
    printer::{Output, Printer},
    text::{self, Language, Word},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_crds::{
    Application, Backup, BackupPolicy, BackupRepository, ChangeTemplate, Condition, ConditionType, Drill, DutyRoster, MaintenanceTicket, Platform,
    RecoveryPlan, Restore, Site,
};
use serde_json::{Value, json};

/// Prints the page.
pub async fn show(context: &Context<'_>) -> Result<ExitStatus> {
    let (hub, printer, language) = (&context.hub, context.printer, context.printer.language);
    let sites = sites(context).await?;
    let repositories = read(printer, hub.list_here::<BackupRepository>("").await?);
    let policies = read(printer, hub.list_here::<BackupPolicy>("").await?);
    let applications = read(printer, hub.list_here::<Application>("").await?);
    let plans = read(printer, hub.list_here::<RecoveryPlan>("").await?);
    let platforms = read(printer, hub.list_here::<Platform>("").await?);
    let tickets = read(printer, hub.list_here::<MaintenanceTicket>("").await?);
    let templates = read(printer, hub.list_here::<ChangeTemplate>("").await?).items;
    let rosters = read(printer, hub.list_here::<DutyRoster>("").await?).items;
    let (backups, restores, drills) =
        (hub.list_here::<Backup>("").await?.items, hub.list_here::<Restore>("").await?.items, hub.list_here::<Drill>("").await?.items);
    let heartbeat = hub.heartbeat;
    let clock = hub.clock.at(Timestamp::now());
    let objects = Objects {
        district: hub.district.clone(),
        sites: sites.iter().flat_map(|sites| sites.items.clone()).collect(),
        repositories: repositories.items.clone(),
        policies: policies.items.clone(),
        applications: applications.items.clone(),
        plans: plans.items.clone(),
        platforms: platforms.items.clone(),
        templates,
        tickets: tickets.items.clone(),
        rosters,
        backups,
        restores,
        drills,
        heartbeat,
    };
    // Who asked for a change is not told to approve it.
    let person = if objects.tickets.iter().any(depends_on_person) { hub.identity().await.ok() } else { None };
    let telling = Telling { language, place: hub.place(), clock: &clock, operator_namespace: &hub.operator_namespace, person: person.as_deref() };
    let Found { needs, advice } = needs::found(&objects, &telling);
    let verdict = ExitStatus::judged(needs.is_empty());
    match printer.output {
        Output::Json | Output::Yaml => printer.structure(&json!({
            "apiVersion": "cli.platform861.io/v1",
            "kind": "Status",
            "namespace": hub.namespace,
            "district": hub.district.as_ref().map(kube::ResourceExt::name_any),
            "operatorLeaseRenewTime": heartbeat.and_then(|heartbeat| heartbeat.renewed),
            "sites": sites.map(|sites| sites.raw),
            "repositories": repositories.raw,
            "policies": policies.raw,
            "applications": applications.raw,
            "plans": plans.raw,
            "platforms": platforms.raw,
            "tickets": tickets.raw.iter().filter(|ticket| !matches!(ticket["status"]["phase"].as_str(), Some("Closed" | "RolledBack" | "Cancelled"))).collect::<Vec<_>>(),
            "needs": needs.iter().map(for_programs).collect::<Vec<_>>(),
            "advice": advice.iter().map(for_programs).collect::<Vec<_>>(),
        }))?,
        Output::Name => needs.iter().for_each(|need| printer.line(&Line::of(&need.object))),
        Output::Table | Output::Wide | Output::Html => {
            printer.line(&title(hub, &objects.sites, &clock, language));
            printer.lines(&overview(&objects, &clock, language));
            printer.lines(&to_do(&needs, language));
            printer.lines(&advised(&advice, language));
        }
    }
    Ok(verdict)
}

/// The district's sites, its primary first; none if this person may not read them, which is told.
async fn sites(context: &Context<'_>) -> Result<Option<Listing<Site>>> {
    let (hub, printer) = (&context.hub, context.printer);
    let mut sites = match hub.list::<Site>(None, "").await {
        Ok(listing) => read(printer, listing),
        Err(failure) if failure.is_forbidden => {
            printer.warn(&text::sites_hidden());
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    let wanted: Vec<String> = hub.district.iter().flat_map(|district| &district.spec.sites).map(|site| site.site_ref.name.clone()).collect();
    let place = |site: &Site| wanted.iter().position(|name| *name == site.name_any());
    let mut chosen: Vec<Site> = sites.items.iter().filter(|site| wanted.is_empty() || place(site).is_some()).cloned().collect();
    chosen.sort_by_key(|site| place(site));
    sites.show(chosen);
    Ok(Some(sites))
}

fn for_programs(need: &Need) -> Value {
    json!({"object": need.object, "condition": need.condition, "message": need.message, "command": need.command})
}

/// A listing whose unreadable objects were told.
fn read<K: Kind>(printer: &Printer, listing: Listing<K>) -> Listing<K> {
    listing.unreadable.iter().for_each(|why| printer.warn(why));
    listing
}

/// `Shinan District 市南区 370202 · hub on laoshan-dr · 2026-11-24 08:02 +08:00`.
fn title(hub: &Hub, sites: &[Site], clock: &Clock, language: Language) -> Line {
    let title = hub.district.as_ref().map_or_else(
        || hub.namespace.clone(),
        |district| format!("{} {}", both_names(Some(&district.spec.names), &district.name_any(), language), district.spec.code),
    );
    let home = sites.iter().find(|site| site.spec.access.in_cluster.is_some()).map(kube::ResourceExt::name_any);
    let at = home.map_or_else(|| hub.address.clone(), |site| text::hub_on(&site).pick(language).to_owned());
    Line::toned(Tone::Strong, title).with(format!(" · {at} · {}", clock.minute_and_offset(clock.now)))
}

fn overview(objects: &Objects, clock: &Clock, language: Language) -> Vec<Line> {
    let mut table = Table::bare();
    let head = |word: text::Word| Line::toned(Tone::Dim, word.pick(language));
    let sites: Vec<String> = objects.sites.iter().map(|site| site_line(site, objects, language)).collect();
    if !sites.is_empty() {
        table.row(vec![head(text::SITES), Line::of(sites.join(" · "))]);
    }
    for status in objects.platforms.iter().filter_map(|platform| platform.status.as_ref()) {
        table.row(vec![head(text::PLATFORM), Line::of(super::platform::summary(status, language))]);
    }
    table.row(vec![head(text::PROTECTION), protection(&objects.applications, clock, language)]);
    let recovery = recovery(&objects.plans, clock, language);
    for (number, line) in recovery.into_iter().enumerate() {
        table.row(vec![if number == 0 { head(text::RECOVERY) } else { Line::new() }, line]);
    }
    table.lines()
}

fn to_do(needs: &[Need], language: Language) -> Vec<Line> {
    if needs.is_empty() {
        return vec![Line::toned(Tone::Good, text::nothing_needed().pick(language))];
    }
    let mark = |need: &Need| if need.bad { Line::toned(Tone::Bad, "✗ ") } else { Line::toned(Tone::Warn, "! ") };
    block(text::NEEDS_YOU, needs, mark, language)
}

fn advised(advice: &[Need], language: Language) -> Vec<Line> {
    if advice.is_empty() { Vec::new() } else { block(text::ADVICE, advice, |_| Line::toned(Tone::Dim, "· "), language) }
}

/// A line for each: the object, what is said of it, the command.
fn block(head: Word, needs: &[Need], mark: impl Fn(&Need) -> Line, language: Language) -> Vec<Line> {
    let mut table = Table::bare();
    for need in needs {
        let condition = text::condition(&need.condition).map_or(need.condition.as_str(), |word| word.pick(language));
        let said = format!("{condition}{}{}", text::COLON.pick(language), need.said);
        table.row(vec![mark(need).with(format!("{} {}", need.noun, need.name)), Line::of(said), Line::toned(Tone::Strong, &need.command)]);
    }
    let mut lines = vec![Line::toned(Tone::Strong, head.pick(language))];
    lines.extend(table.lines());
    lines
}

/// Whether a condition holds.
fn holds(conditions: Option<&Vec<Condition>>, kind: ConditionType) -> bool {
    conditions.and_then(|conditions| page::condition(conditions, kind)).is_some_and(|condition| condition.status == "True")
}

/// `xinxi-dasha Primary, Ready, 18/18 nodes, 1 plan active`.
fn site_line(site: &Site, objects: &Objects, language: Language) -> String {
    let (name, status) = (site.name_any(), site.status.clone().unwrap_or_default());
    let role = objects
        .district
        .iter()
        .flat_map(|district| &district.spec.sites)
        .find(|known| known.site_ref.name == name)
        .map(|known| text::role(known.role).pick(language));
    let ready = match page::condition(&status.conditions, ConditionType::Ready) {
        Some(condition) if condition.status == "True" => text::READY_NOW.pick(language).to_owned(),
        Some(condition) => page::reason_of(condition, language),
        None => text::UNKNOWN.pick(language).to_owned(),
    };
    let nodes = status.nodes.map(|nodes| text::nodes(nodes.ready, nodes.total).pick(language).to_owned());
    let active = objects.plans.iter().filter(|plan| plan.status.as_ref().is_some_and(|status| status.active_site.as_ref() == Some(&name))).count();
    let active = (active > 0).then(|| text::plans_active(active).pick(language).to_owned());
    let parts: Vec<String> = role.map(str::to_owned).into_iter().chain([ready]).chain(nodes).chain(active).collect();
    format!("{name} {}", parts.join(text::COMMA.pick(language)))
}

/// `12 of 12 Protected, 11 Recoverable; oldest recovery point 32m`.
fn protection(applications: &[Application], clock: &Clock, language: Language) -> Line {
    let count = |kind| applications.iter().filter(|application| holds(application.status.as_ref().map(|status| &status.conditions), kind)).count();
    let points: Vec<Timestamp> =
        applications.iter().filter_map(|application| application.status.as_ref()?.last_backup.as_ref()).map(|last| last.recovery_point_time.0).collect();
    let oldest = points.iter().min().map(|oldest| clock.age(*oldest, language));
    let bare = applications.len() - points.len();
    Line::of(text::protection(applications.len(), count(ConditionType::Protected), count(ConditionType::Recoverable), oldest.as_deref(), bare).pick(language))
}

/// `0 of 1 plans pass their checks; shinan-core drilled 9d ago (passed), predicted 9m40s of 30m`; a line for each further plan.
fn recovery(plans: &[RecoveryPlan], clock: &Clock, language: Language) -> Vec<Line> {
    let passing = plans.iter().filter(|plan| passes_checks(plan)).count();
    let mut lines = Vec::new();
    let head = text::plans_passing(passing, plans.len()).pick(language).to_owned();
    for plan in plans {
        let status = plan.status.clone().unwrap_or_default();
        let target = plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref()).map(|rto| rto.0.as_str());
        let drilled = match &status.last_drill {
            Some(last) => text::drilled(text::result(last.result).pick(language), &clock.age(last.completion_time.0, language)),
            None => text::never_drilled(),
        };
        let predicted = status.prediction.as_ref().map(|p| text::predicted(&p.rto.0, target, 0).pick(language).to_owned());
        let running = status.current_run.as_ref().map(|run| text::runs_now(run).pick(language).to_owned());
        let parts: Vec<String> = [drilled.pick(language).to_owned()].into_iter().chain(predicted).chain(running).collect();
        let line = format!("{} {}", plan.name_any(), parts.join(text::COMMA.pick(language)));
        lines.push(Line::of(if lines.is_empty() { format!("{head}{}{line}", text::SEMICOLON.pick(language)) } else { line }));
    }
    if lines.is_empty() {
        lines.push(Line::of(head));
    }
    lines
}
