//! `p861 platform …`: state, gaps and forecast of a district's platform.

use super::{
    Context,
    list::print_object,
    needs::{self, Objects},
    page::{cell, dash},
};
use crate::{
    args::PlatformCommand,
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Hub, Read},
    printer::{Output, Printer},
    text::{self, Bilingual, Language, Word},
};
use kube::ResourceExt as _;
use p861_crds::{
    Platform, PlatformProfile, PlatformStatus,
    platform::{
        profile::Layer,
        status::{Gap, LayerStatus, State},
    },
};
use serde_json::json;
use std::collections::BTreeMap;

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &PlatformCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let read = the_platform(hub).await?;
    let status = read.object.status.clone().unwrap_or_default();
    if status.conditions.is_empty() {
        return Err(Failure::refused(text::platform_not_judged(&read.object.name_any())));
    }
    match command {
        PlatformCommand::Status => {
            let names = item_names(hub, printer.language).await;
            print_object(printer, &read, |platform| page(platform, &status, &names, printer.language))?;
        }
        PlatformCommand::Gaps => gaps(hub, printer, &read.object, &status).await?,
        PlatformCommand::Forecast => return forecast(printer, &hub.clock, &read.object, &status),
    }
    Ok(needs::verdict(hub, &Objects { platforms: vec![read.object], ..Objects::default() }))
}

/// The district's one Platform: it has the district's name.
async fn the_platform(hub: &Hub) -> Result<Read<Platform>> {
    let name = hub.district.as_ref().map_or_else(|| hub.namespace.clone(), kube::ResourceExt::name_any);
    hub.get_here::<Platform>(&name).await
}

/// Names of the profile's items. Who may not read profiles sees their keys.
async fn item_names(hub: &Hub, language: Language) -> BTreeMap<String, String> {
    let reference = hub.district.as_ref().and_then(|district| district.spec.profile_ref.clone());
    let Some(reference) = reference else { return BTreeMap::new() };
    match hub.find::<PlatformProfile>(None, &reference.name).await {
        Ok(Some(profile)) => profile.object.spec.items.into_iter().map(|item| (item.key, item.names.in_language(language.key()).to_owned())).collect(),
        _ => BTreeMap::new(),
    }
}

/// One line: running and supportable applications, the weakest layer, oversized layers.
pub fn summary(status: &PlatformStatus, language: Language) -> String {
    let balance = status.balance.clone().unwrap_or_default();
    let excess: Vec<String> = balance
        .excess_layers
        .iter()
        .map(|layer| text::with_more(text::layer(*layer).pick(language), carries(status, *layer).pick(language)).pick(language).to_owned())
        .collect();
    let shortest = balance.shortest_layer.map(|layer| text::layer(layer).pick(language));
    text::platform_summary(balance.running, balance.supportable, shortest, &excess).pick(language).to_owned()
}

fn carries(status: &PlatformStatus, layer: Layer) -> Bilingual {
    let number = status.layers.iter().find(|one| one.layer == layer).and_then(|one| one.supportable);
    number.map_or_else(|| Bilingual::same("-"), text::applications)
}

fn state(state: State, language: Language) -> Line {
    let tone = match state {
        State::Ready => Tone::Good,
        State::Weak => Tone::Warn,
        State::Missing => Tone::Bad,
        State::NotAssessed => Tone::Dim,
    };
    Line::toned(tone, text::state(state).pick(language))
}

fn supports(layer: &LayerStatus) -> Line {
    cell(layer.supportable.map(|number| number.to_string()))
}

fn page(platform: &Platform, status: &PlatformStatus, names: &BTreeMap<String, String>, language: Language) -> Vec<Line> {
    let mut lines = vec![
        Line::toned(Tone::Strong, format!("{} {}", text::noun("platform").pick(language), platform.name_any())).with(" · ").with(summary(status, language)),
    ];
    let sites: Vec<&str> = status.layers.first().map(|layer| layer.sites.iter().map(|at| at.site.as_str()).collect()).unwrap_or_default();
    let word = |head: Word| head.pick(language).to_owned();
    let of_sites = sites.iter().map(|site| (*site).to_owned());
    let heads = [text::LAYER, text::STATE, text::SUPPORTS].map(word).into_iter().chain(of_sites).chain([word(text::GAPS)]);
    let mut table = Table::headed(language, heads.collect()).spare(&[text::GAPS, text::SUPPORTS]);
    for layer in &status.layers {
        let mut row = vec![Line::of(text::layer(layer.layer).pick(language)), state(layer.state, language), supports(layer)];
        row.extend(sites.iter().map(|site| layer.sites.iter().find(|at| at.site == *site).map_or_else(dash, |at| state(at.state, language))));
        row.push(Line::of(layer.gaps.len().to_string()));
        table.row(row);
    }
    lines.extend(table.lines());
    if !status.components.is_empty() {
        let mut table = Table::new(language, &[text::COMPONENT, text::DECLARED, text::SITE, text::INSTALLED, text::STATE]).spare(&[text::DECLARED]);
        for component in &status.components {
            for at in &component.sites {
                table.row(vec![
                    Line::of(&component.name),
                    Line::of(&component.version),
                    Line::of(&at.site),
                    cell(at.installed.as_ref()),
                    state(at.state, language),
                ]);
            }
        }
        lines.extend(table.lines());
    }
    if !status.items.is_empty() {
        let mut table = Table::new(language, &[text::ITEM, text::STATE, text::PROVIDED_BY]);
        for item in &status.items {
            let name = names.get(&item.key).map_or_else(|| item.key.clone(), |name| format!("{} {name}", item.key));
            table.row(vec![Line::of(name), state(item.state, language), cell(Some(item.provided_by.join(", ")).filter(|names| !names.is_empty()))]);
        }
        lines.extend(table.lines());
    }
    lines
}

async fn gaps(hub: &Hub, printer: &Printer, platform: &Platform, status: &PlatformStatus) -> Result<()> {
    let balance = status.balance.clone().unwrap_or_default();
    let missing: Vec<&str> = status.items.iter().filter(|item| item.state == State::Missing).map(|item| item.key.as_str()).collect();
    if printer.structured() {
        printer.structure(&json!({"apiVersion": "cli.platform861.io/v1", "kind": "PlatformGaps", "platform": platform.name_any(), "layers": status.layers, "items": status.items, "balance": balance}))?;
        return Ok(());
    }
    if printer.output == Output::Name {
        status.layers.iter().filter(|layer| layer.state != State::Ready).for_each(|layer| printer.line(&Line::of(layer.layer.to_string())));
        return Ok(());
    }
    printer.lines(&gap_table(status, printer.language));
    let names = item_names(hub, printer.language).await;
    let missing: Vec<String> = missing.iter().map(|key| names.get(*key).map_or_else(|| (*key).to_owned(), |name| format!("{key} {name}"))).collect();
    let provisional = status.items.iter().filter(|item| item.state == State::NotAssessed).count();
    let short = balance
        .forecast
        .iter()
        .filter_map(|forecast| Some((text::layer(forecast.layer).pick(printer.language), hub.clock.day(forecast.short_time.as_ref()?.0))))
        .min_by(|a, b| a.1.cmp(&b.1));
    printer.say(&text::gaps_foot(&missing, provisional, short));
    Ok(())
}

/// A row for each gap, the worst layers first; then the layers that are ready and counted.
fn gap_table(status: &PlatformStatus, language: Language) -> Vec<Line> {
    let balance = status.balance.clone().unwrap_or_default();
    let mut layers: Vec<&LayerStatus> = status.layers.iter().collect();
    layers.sort_by_key(|layer| (std::cmp::Reverse(layer.state), layer.supportable.unwrap_or(i64::MAX)));
    let mut table = Table::new(language, &[text::LAYER, text::STATE, text::SUPPORTS, text::SITE, text::GAP, text::REMEDY]).spare(&[text::SUPPORTS]);
    for layer in layers {
        let head = || vec![Line::of(text::layer(layer.layer).pick(language)), state(layer.state, language), supports(layer)];
        for gap in &layer.gaps {
            let mut row = head();
            row.extend([
                place(gap, layer.sites.len(), language),
                Line::of(said(gap, language)),
                Line::toned(Tone::Strong, text::told(&gap.remedy).pick(language)),
            ]);
            table.row(row);
        }
        match balance.shortest_layer.filter(|_| balance.excess_layers.contains(&layer.layer)) {
            Some(shortest) => {
                let shortest = text::layer(shortest).pick(language);
                let mut row = head();
                row.extend([
                    Line::new(),
                    Line::of(text::lopsided(shortest).pick(language)),
                    Line::toned(Tone::Strong, text::spend_first(shortest).pick(language)),
                ]);
                table.row(row);
            }
            None if layer.gaps.is_empty() && layer.supportable.is_some() => table.row(head()),
            None => {}
        }
    }
    table.lines()
}

/// Where a gap is. One of the whole district is on all of its sites.
fn place(gap: &Gap, sites: usize, language: Language) -> Line {
    let everywhere = if sites == 2 { text::BOTH } else { text::ALL };
    Line::of(gap.site.as_deref().unwrap_or_else(|| everywhere.pick(language)))
}

fn said(gap: &Gap, language: Language) -> String {
    match (language, text::reason(&gap.reason)) {
        (Language::Zh, Some(word)) => format!("{}（{}）", word.pick(language), text::told(&gap.message).zh),
        _ => text::told(&gap.message).en,
    }
}

fn forecast(printer: &Printer, clock: &Clock, platform: &Platform, status: &PlatformStatus) -> Result<ExitStatus> {
    let balance = status.balance.clone().unwrap_or_default();
    if printer.structured() {
        printer.structure(&json!({"apiVersion": "cli.platform861.io/v1", "kind": "PlatformForecast", "platform": platform.name_any(), "running": balance.running, "supportable": balance.supportable, "forecast": balance.forecast}))?;
        return Ok(ExitStatus::Good);
    }
    if balance.forecast.is_empty() {
        printer.remark(&text::nothing_to_forecast());
        return Ok(ExitStatus::Good);
    }
    let language = printer.language;
    let mut table = Table::new(language, &[text::LAYER, text::SHORT, text::BASIS, text::ADVICE]).spare(&[text::BASIS]);
    for forecast in &balance.forecast {
        let basis: Bilingual = text::forecast_basis(forecast.basis.days);
        table.row(vec![
            Line::of(text::layer(forecast.layer).pick(language)),
            cell(forecast.short_time.as_ref().map(|time| clock.day(time.0))),
            Line::of(basis.pick(language)),
            cell(forecast.advice.as_ref().map(|advice| text::told(advice).pick(language).to_owned())),
        ]);
    }
    printer.lines(&table.lines());
    Ok(ExitStatus::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> PlatformStatus {
        serde_json::from_value(json!({
            "layers": [
                {"layer": "Network", "state": "Ready", "supportable": 62, "sites": [{"site": "xinxi-dasha", "state": "Ready"}, {"site": "laoshan-dr", "state": "Ready"}]},
                {"layer": "Servers", "state": "Ready", "supportable": 42, "sites": [{"site": "xinxi-dasha", "state": "Ready"}, {"site": "laoshan-dr", "state": "Ready"}]},
                {"layer": "Storage", "state": "Weak", "supportable": 17, "sites": [{"site": "xinxi-dasha", "state": "Ready"}, {"site": "laoshan-dr", "state": "Weak"}],
                 "gaps": [{"site": "laoshan-dr", "reason": "ReserveUsed", "message": "repository main: 15.3 TiB of 20 TiB used, reserve 25%", "remedy": "add 4Ti"}]},
                {"layer": "Security", "state": "Ready", "sites": [{"site": "xinxi-dasha", "state": "Ready"}, {"site": "laoshan-dr", "state": "Ready"}]},
                {"layer": "BaseSoftware", "state": "Weak", "sites": [{"site": "xinxi-dasha", "state": "Weak"}, {"site": "laoshan-dr", "state": "Weak"}],
                 "gaps": [{"reason": "UpgradeNeedsTicket", "message": "envoy-gateway: 1.6.0 installed, 1.6.1 declared", "remedy": "p861 ticket open upgrade envoy-gateway"}]}],
            "balance": {"supportable": 17, "running": 12, "shortestLayer": "Storage", "excessLayers": ["Network"]}
        }))
        .expect("a status")
    }

    #[test]
    fn gaps_stand_worst_first_and_a_layer_far_above_is_told_too() {
        let text = |language| gap_table(&status(), language).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            text(Language::En),
            [
                "LAYER         STATE  SUPPORTS  SITE        GAP                                                    REMEDY",
                "Storage       Weak   17        laoshan-dr  repository main: 15.3 TiB of 20 TiB used, reserve 25%  add 4Ti",
                "BaseSoftware  Weak   -         both        envoy-gateway: 1.6.0 installed, 1.6.1 declared         p861 ticket open upgrade envoy-gateway",
                "Servers       Ready  42",
                "Network       Ready  62                    oversized: more than 3 × Storage                       strengthen Storage first",
            ]
        );
        let words: Vec<Vec<String>> = text(Language::Zh).iter().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
        assert_eq!(words[0], ["层", "状态", "可支撑", "站点", "差距", "措施"]);
        assert_eq!(words[1][..4], ["存储", "薄弱", "17", "laoshan-dr"]);
        assert_eq!(words[1][4..].join(" "), "已动用储备（备份库 main：20 TiB 已用 15.3 TiB，储备 25%） 请增加 4Ti");
        assert_eq!(words[2][..4], ["基础软件", "薄弱", "-", "两站"]);
        assert_eq!(words[4], ["网络", "就绪", "62", "一枝独秀：超过存储的", "3", "倍", "先加强存储"]);
    }

    #[test]
    fn one_line_says_what_is_carried_and_which_plank_is_short() {
        assert_eq!(summary(&status(), Language::En), "12 applications run, 17 supportable; weakest layer Storage; oversized: Network (62 applications)");
        assert_eq!(summary(&status(), Language::Zh), "运行 12 个应用，可支撑 17 个；短板：存储；一枝独秀：网络（62 个应用）");
    }
}
