//! Assessment of a platform: from facts to a status with reasons and remedies.

use super::{
    balance,
    facts::Facts,
    forecast, items,
    layers::{self, Finding},
    supply::{self, Supply},
};
use crate::{conditions::ConditionUpdate, told::Noun};
use jiff::{Timestamp, tz::TimeZone};
use p861_crds::{
    ConditionType, PlatformProfileSpec, PlatformSpec, Reason,
    platform::{
        profile::Layer,
        status::{Balance, ComponentSite, ComponentStatus, Gap, ItemStatus, LayerStatus, SiteState, State},
    },
};

/// Gaps of a layer that a status holds.
const MOST_GAPS: usize = 32;

/// What follows from the facts.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Layer by layer.
    pub layers: Vec<LayerStatus>,
    /// Item by item.
    pub items: Vec<ItemStatus>,
    /// Component by component.
    pub components: Vec<ComponentStatus>,
    /// How the layers compare.
    pub balance: Balance,
    /// Conditions.
    pub updates: Vec<ConditionUpdate>,
    /// What was counted, for the history.
    pub supplies: Vec<Supply>,
}

/// Judges a platform.
pub fn judge(
    spec: &PlatformSpec,
    profile: Option<&PlatformProfileSpec>,
    facts: &Facts,
    history: &[forecast::Sample],
    zone: &TimeZone,
    now: Timestamp,
) -> Judgement {
    let demand = profile.map(|profile| profile.standard_application.as_slice()).unwrap_or_default();
    let running = i64::try_from(facts.applications.iter().filter(|application| application.ready).count()).unwrap_or(i64::MAX);
    let supplies = supply::supplies(spec, facts, running, demand);
    let findings = layers::findings(spec, facts, &supplies, now);
    let layers: Vec<LayerStatus> =
        Layer::ALL.into_iter().map(|layer| status_of(layer, &findings, facts, supply::supportable(layer, demand, &supplies, facts))).collect();
    let blind = facts.sites.iter().any(|site| site.counts() && site.sight.is_err());
    let uncounted: Vec<Layer> = layers
        .iter()
        .filter(|layer| blind && layer.supportable.is_none() && demand.iter().any(|row| row.layer == layer.layer))
        .map(|layer| layer.layer)
        .collect();
    let mut balance = balance::weigh(&layers, &uncounted, running);
    balance.forecast = forecast::forecast(&supplies, history, zone);
    let items = profile.map(|profile| items::judge(profile, &layers, &facts.applications)).unwrap_or_default();
    let updates = conditions(&layers, &balance, facts, profile.is_some());
    Judgement { items, components: components(spec, facts), updates, layers, balance, supplies }
}

fn status_of(layer: Layer, findings: &[Finding], facts: &Facts, supportable: Option<i64>) -> LayerStatus {
    let mut of_layer: Vec<&Finding> = findings.iter().filter(|finding| finding.layer == layer).collect();
    // The worst first, then by site, so that the same facts give the same status.
    of_layer.sort_by(|a, b| b.state.cmp(&a.state).then_with(|| a.gap.cmp(&b.gap)));
    let worst = |site: Option<&str>| {
        of_layer
            .iter()
            .filter(|finding| site.is_none() || finding.gap.site.is_none() || finding.gap.site.as_deref() == site)
            .map(|finding| finding.state)
            .max()
            .unwrap_or(State::Ready)
    };
    let sites = facts.sites.iter().map(|site| SiteState { site: site.name.clone(), state: worst(Some(&site.name)) }).collect();
    let gaps: Vec<Gap> = of_layer.iter().take(MOST_GAPS).map(|finding| finding.gap.clone()).collect();
    LayerStatus { layer, state: worst(None), supportable, sites, gaps }
}

fn components(spec: &PlatformSpec, facts: &Facts) -> Vec<ComponentStatus> {
    let of = |component: &p861_crds::platform::platform::Component| {
        let at = |site: &super::facts::SiteFacts| {
            let seen = site.sight.as_ref().ok()?.components.get(&component.name);
            let state = match seen {
                None => State::Missing,
                Some(seen) if seen.installed == component.version && seen.failing.is_empty() && seen.trouble.is_none() => State::Ready,
                Some(_) => State::Weak,
            };
            Some(ComponentSite { site: site.name.clone(), installed: seen.map(|seen| seen.installed.clone()), state })
        };
        ComponentStatus { name: component.name.clone(), version: component.version.clone(), sites: facts.sites.iter().filter_map(at).collect() }
    };
    spec.base_software.components.iter().map(of).collect()
}

fn join(layers: &[Layer]) -> String {
    let names: Vec<String> = layers.iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last} are", rest.join(", ")),
        _ => format!("{} is", names.join("")),
    }
}

fn conditions(layers: &[LayerStatus], balance: &Balance, facts: &Facts, measured: bool) -> Vec<ConditionUpdate> {
    let of_state = |state: State| layers.iter().filter(|layer| layer.state == state).map(|layer| layer.layer).collect::<Vec<_>>();
    let (missing, weak) = (of_state(State::Missing), of_state(State::Weak));
    let mut updates = vec![match (missing.is_empty(), weak.is_empty()) {
        (false, _) => ConditionUpdate::bad(ConditionType::Ready, Reason::LayerMissing, format!("{} missing something: p861 platform gaps", join(&missing))),
        (true, false) => ConditionUpdate::bad(ConditionType::Ready, Reason::LayerWeak, format!("{} weak: p861 platform gaps", join(&weak))),
        (true, true) => ConditionUpdate::good(ConditionType::Ready, Reason::AsDeclared, "every layer is as declared"),
    }];
    for layer in layers {
        let kind = PlatformSpec::condition_of(layer.layer);
        updates.push(match layer.gaps.first() {
            None => ConditionUpdate::good(kind, Reason::AsDeclared, format!("{} of {}", facts.sites.len(), Noun::Site.count(facts.sites.len()))),
            Some(gap) => {
                let place = gap.site.as_ref().map(|site| format!("{site}: ")).unwrap_or_default();
                let more = if layer.gaps.len() > 1 { format!(" (and {} more)", layer.gaps.len() - 1) } else { String::new() };
                ConditionUpdate::bad(kind, gap.reason.clone(), format!("{place}{}{more}", gap.message))
            }
        });
    }
    updates.push(balanced(layers, balance, measured));
    updates
}

fn balanced(layers: &[LayerStatus], balance: &Balance, measured: bool) -> ConditionUpdate {
    if !measured {
        return ConditionUpdate::unknown(
            ConditionType::Balanced,
            Reason::ProfileMissing,
            "the District names no profile that exists: nothing says what a standard application needs",
        );
    }
    let (Some(supportable), Some(shortest)) = (balance.supportable, balance.shortest_layer) else {
        return ConditionUpdate::unknown(ConditionType::Balanced, Reason::NotCounted, "no layer could be counted, or a site could not be seen");
    };
    let weak = layers.iter().any(|layer| layer.layer == shortest && layer.state != State::Ready);
    let carries = |layer: Layer| layers.iter().find(|status| status.layer == layer).and_then(|status| status.supportable).unwrap_or_default();
    let others: Vec<String> = balance.excess_layers.iter().map(|layer| format!("{layer} {}", carries(*layer))).collect();
    let others = others.join(", ");
    if balance.running > supportable {
        return ConditionUpdate::bad(
            ConditionType::Balanced,
            Reason::ShortPlank,
            format!("{shortest} supports {}, {} run: p861 platform gaps", Noun::Application.count(supportable), balance.running),
        );
    }
    match (others.is_empty(), weak) {
        (true, _) => ConditionUpdate::good(
            ConditionType::Balanced,
            Reason::Matched,
            format!("{} supportable, {} run; shortest {shortest}", Noun::Application.count(supportable), balance.running),
        ),
        (false, true) => ConditionUpdate::bad(
            ConditionType::Balanced,
            Reason::ShortPlank,
            format!("{shortest} supports {}, {others}: p861 platform gaps", Noun::Application.count(supportable)),
        ),
        (false, false) => ConditionUpdate::bad(
            ConditionType::Balanced,
            Reason::Excess,
            format!("{shortest} supports {}, {others}; strengthen {shortest} first: p861 platform gaps", Noun::Application.count(supportable)),
        ),
    }
}
