//! Gaps of each layer: site, reason, and remedy.

use super::{
    facts::{CertificateFacts, Facts, ProbeFacts, Sight, SiteFacts},
    supply::{Supply, in_pool},
};
use crate::{
    quantity::human_bytes,
    shown,
    time::{human_duration, parse_duration},
    told::Noun,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    PlatformSpec, Reason,
    platform::{
        platform::Forbidden,
        profile::{DemandResource, Layer},
        status::{Gap, State},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that is not as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The layer.
    pub layer: Layer,
    /// How bad it is: Weak or Missing.
    pub state: State,
    /// Where, why, what to do.
    pub gap: Gap,
}

/// A finding on a site, or of the whole district.
fn finding(layer: Layer, state: State, site: Option<&str>, reason: Reason, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { layer, state, gap: Gap { site: site.map(str::to_owned), reason, message: message.into(), remedy: remedy.into() } }
}

/// Everything that is not as declared.
pub fn findings(spec: &PlatformSpec, facts: &Facts, supplies: &[Supply], now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    for site in &facts.sites {
        match &site.sight {
            Ok(sight) => {
                network(spec, site, sight, &mut found);
                servers(spec, site, sight, &mut found);
                storage(spec, site, sight, &mut found);
                security(spec, site, sight, now, &mut found);
                software(spec, site, sight, &mut found);
                found.extend(
                    sight
                        .refused
                        .iter()
                        .map(|refused| finding(refused.layer, State::Weak, Some(&site.name), refused.reason.clone(), &refused.message, &refused.remedy)),
                );
            }
            // The state of a layer on an unreachable site is unknown, which counts as Weak.
            Err(unseen) => {
                let remedy = format!("p861 site show {}", site.name);
                found.extend(Layer::ALL.map(|layer| finding(layer, State::Weak, Some(&site.name), unseen.reason.clone(), &unseen.message, &remedy)));
            }
        }
    }
    repositories(spec, facts, &mut found);
    begin_nowhere(spec, facts, &mut found);
    found.extend(supplies.iter().filter(|supply| supply.into_reserve()).map(reserve_used));
    if spec.security.forbidden.contains(&Forbidden::UnknownRegistry) && spec.base_software.registries.is_empty() {
        found.push(finding(
            Layer::Security,
            State::Weak,
            None,
            Reason::RegistriesMissing,
            "UnknownRegistry is forbidden, but baseSoftware.registries names none: nothing is refused",
            "name the registries in baseSoftware.registries",
        ));
    }
    differing(spec, facts, &mut found);
    everywhere(found, facts)
}

/// Probes from a site outside the district, which would never run.
fn begin_nowhere(spec: &PlatformSpec, facts: &Facts, found: &mut Vec<Finding>) {
    let sites: Vec<&str> = facts.sites.iter().map(|site| site.name.as_str()).collect();
    for probe in spec.network.probes.iter().filter(|probe| !sites.contains(&probe.from_site_ref.name.as_str())) {
        found.push(finding(
            Layer::Network,
            State::Weak,
            None,
            Reason::SiteMissing,
            format!("probe {} begins on site {}, which is not of the district", probe.name, probe.from_site_ref.name),
            format!("let network.probes[].fromSiteRef name one of {}", sites.join(", ")),
        ));
    }
}

fn network(spec: &PlatformSpec, site: &SiteFacts, sight: &Sight, found: &mut Vec<Finding>) {
    for gateway in &spec.network.gateways {
        for at in gateway.sites.iter().filter(|at| at.site_ref.name == site.name) {
            let name = format!("{}/{}", at.gateway_ref.namespace, at.gateway_ref.name);
            match sight.gateways.get(&name) {
                None => found.push(finding(
                    Layer::Network,
                    State::Missing,
                    Some(&site.name),
                    Reason::GatewayMissing,
                    format!("gateway {} is to be Gateway {name}, which doesn't exist", gateway.name),
                    format!("create Gateway {name}, or correct network.gateways"),
                )),
                Some(seen) if !seen.programmed => found.push(finding(
                    Layer::Network,
                    State::Weak,
                    Some(&site.name),
                    Reason::GatewayNotReady,
                    format!("Gateway {name} is not in force: {}", seen.message),
                    format!("kubectl describe gateway {} -n {}", at.gateway_ref.name, at.gateway_ref.namespace),
                )),
                Some(_) => {}
            }
        }
    }
    for probe in spec.network.probes.iter().filter(|probe| probe.from_site_ref.name == site.name) {
        let target = format!("{}:{}", probe.tcp.host, probe.tcp.port);
        let limit = probe.max_latency.as_ref().and_then(|text| parse_duration(&text.0).ok());
        let (reason, said) = match sight.probes.get(&probe.name) {
            Some(ProbeFacts::Connected { millis }) => match limit {
                Some(limit) if i128::from(*millis) > limit.as_millis() => {
                    (Reason::ProbeFailed, format!("reaching {target} takes longer than {}", human_duration(limit)))
                }
                _ => continue,
            },
            Some(ProbeFacts::Failed { message }) => (Reason::ProbeFailed, format!("{target} is not reached: {message}")),
            Some(ProbeFacts::Unmeasured { message }) => (Reason::ProbeUnmeasured, format!("{target}: {message}")),
            // It is tried in a moment.
            None => continue,
        };
        let remedy = if reason == Reason::ProbeUnmeasured {
            format!("see what keeps it from being tried: kubectl -n p861-system get pods -l app.kubernetes.io/component=prober, on {}", site.name)
        } else {
            format!("check the line from {} to {}", site.name, probe.tcp.host)
        };
        found.push(finding(Layer::Network, State::Weak, Some(&site.name), reason, format!("probe {}: {said}", probe.name), remedy));
    }
}

fn servers(spec: &PlatformSpec, site: &SiteFacts, sight: &Sight, found: &mut Vec<Finding>) {
    for pool in &spec.servers.pools {
        for at in pool.sites.iter().filter(|at| at.site_ref.name == site.name) {
            let ready = sight.nodes.iter().filter(|node| node.usable && in_pool(pool, node)).count();
            let wanted = usize::try_from(at.min_ready_nodes).unwrap_or(0);
            if ready >= wanted {
                continue;
            }
            let state = if ready == 0 { State::Missing } else { State::Weak };
            found.push(finding(
                Layer::Servers,
                state,
                Some(&site.name),
                Reason::NodesMissing,
                format!("pool {}: {} ready, {wanted} wanted", pool.name, Noun::Node.count(ready)),
                format!("bring {} back or add them, labelled for pool {}", Noun::Node.count(wanted - ready), pool.name),
            ));
        }
    }
    quotas(site, sight, found);
}

fn quotas(site: &SiteFacts, sight: &Sight, found: &mut Vec<Finding>) {
    for quota in sight.quotas.iter().filter(|quota| quota.exceeded) {
        found.push(finding(
            quota.layer,
            State::Weak,
            Some(&site.name),
            Reason::QuotaExceeded,
            format!("department {} uses {} {}, granted {}: nothing more can start", quota.department, quota.used, quota.resource, quota.granted),
            format!("raise the quota of {}, or have it use less", quota.department),
        ));
    }
}

fn storage(spec: &PlatformSpec, site: &SiteFacts, sight: &Sight, found: &mut Vec<Finding>) {
    for class in &spec.storage.classes {
        for at in class.sites.iter().filter(|at| at.site_ref.name == site.name) {
            if !sight.storage_classes.contains(&at.storage_class_name) {
                found.push(finding(
                    Layer::Storage,
                    State::Missing,
                    Some(&site.name),
                    Reason::ClassMissing,
                    format!("class {} is to be StorageClass {}, which doesn't exist", class.name, at.storage_class_name),
                    "install its driver, or correct storage.classes",
                ));
            }
            let Some(snapshots) = &at.volume_snapshot_class_name else { continue };
            if !sight.snapshot_classes.as_ref().is_some_and(|classes| classes.contains(snapshots)) {
                found.push(finding(
                    Layer::Storage,
                    State::Weak,
                    Some(&site.name),
                    Reason::ClassMissing,
                    format!("class {} is to be saved by VolumeSnapshotClass {snapshots}, which doesn't exist: its volumes are saved as files", class.name),
                    "install the snapshot controller and the class, or leave volumeSnapshotClassName out",
                ));
            }
        }
    }
}

fn repositories(spec: &PlatformSpec, facts: &Facts, found: &mut Vec<Finding>) {
    for reference in &spec.storage.repository_refs {
        let name = &reference.name;
        match facts.repositories.iter().find(|repository| repository.name == *name) {
            Some(repository) if repository.exists && repository.ready => {}
            Some(repository) if repository.exists => found.push(finding(
                Layer::Storage,
                State::Weak,
                None,
                Reason::RepositoryNotReady,
                format!("repository {name} can't be used"),
                format!("p861 repository show {name}"),
            )),
            _ => found.push(finding(
                Layer::Storage,
                State::Missing,
                None,
                Reason::NotFound,
                format!("repository {name} doesn't exist"),
                format!("create BackupRepository {name}, or correct storage.repositoryRefs"),
            )),
        }
    }
}

/// For people: cores, bytes or a number.
pub fn say(resource: DemandResource, amount: i64) -> String {
    match resource {
        DemandResource::Cpu => {
            if amount % 1000 == 0 {
                Noun::Core.count(amount / 1000)
            } else {
                format!("{}.{} cores", amount / 1000, (amount % 1000) / 100)
            }
        }
        DemandResource::Memory | DemandResource::Volumes | DemandResource::Repository => human_bytes(u64::try_from(amount).unwrap_or(0)),
        DemandResource::Pods => Noun::Pod.count(amount),
        DemandResource::BitsPerSecond => format!("{} Mbit/s", amount / 1_000_000),
    }
}

fn reserve_used(supply: &Supply) -> Finding {
    let used = supply.used.unwrap_or_default();
    // Capacity to add so that the used amount fits beside the reserve.
    let kept = i128::from(100 - supply.reserve_percent.clamp(0, 99));
    let wanted = i64::try_from((i128::from(used) * 100 + kept - 1) / kept).unwrap_or(i64::MAX);
    let add = say(supply.resource, wanted.saturating_sub(supply.capacity));
    let also = if supply.resource == DemandResource::Repository { ", or shorten retention" } else { "" };
    finding(
        supply.layer,
        State::Weak,
        supply.site.as_deref(),
        Reason::ReserveUsed,
        format!("{}: {} of {} used, reserve {}%", supply.what, say(supply.resource, used), say(supply.resource, supply.capacity), supply.reserve_percent),
        format!("add {add}{also}"),
    )
}

fn security(spec: &PlatformSpec, site: &SiteFacts, sight: &Sight, now: Timestamp, found: &mut Vec<Finding>) {
    let warn_before = parse_duration(&spec.security.certificates.warn_before.0).unwrap_or(SignedDuration::from_hours(720));
    for CertificateFacts { name, expires } in &sight.certificates {
        let (state, reason, message) = match expires {
            Ok(at) if *at <= now => {
                (State::Missing, Reason::CertificateExpired, format!("certificate of {name} has expired on {}", shown::day(*at, &TimeZone::UTC)))
            }
            Ok(at) if at.duration_since(now) <= warn_before => {
                (State::Weak, Reason::CertificateExpiring, format!("certificate of {name} expires on {}", shown::day(*at, &TimeZone::UTC)))
            }
            Ok(_) => continue,
            Err(why) => (State::Weak, Reason::CertificateUnreadable, format!("certificate of {name} can't be read: {why}")),
        };
        found.push(finding(Layer::Security, state, Some(&site.name), reason, message, "renew it, or correct what names it"));
    }
    for policy in &spec.security.admission_policies {
        match sight.admission_policies.get(&policy.name) {
            Some(true) => {}
            Some(false) => found.push(finding(
                Layer::Security,
                State::Weak,
                Some(&site.name),
                Reason::PolicyNotBound,
                format!("ValidatingAdmissionPolicy {} is bound to nothing", policy.name),
                "create its ValidatingAdmissionPolicyBinding",
            )),
            None => found.push(finding(
                Layer::Security,
                State::Missing,
                Some(&site.name),
                Reason::PolicyMissing,
                format!("ValidatingAdmissionPolicy {} doesn't exist", policy.name),
                "create it, or correct security.admissionPolicies",
            )),
        }
    }
}

fn software(spec: &PlatformSpec, site: &SiteFacts, sight: &Sight, found: &mut Vec<Finding>) {
    for component in &spec.base_software.components {
        let name = &component.name;
        let Some(seen) = sight.components.get(name) else {
            // A bundle is installed by a ticket; a HelmRelease that isn't there is somebody else's to make.
            let remedy = component
                .helm_release
                .as_ref()
                .map_or_else(|| upgrade(name), |release| format!("create HelmRelease {}/{} on {}", release.namespace, release.name, site.name));
            found.push(finding(
                Layer::BaseSoftware,
                State::Missing,
                Some(&site.name),
                Reason::ComponentMissing,
                format!("{name} is not installed, {} declared", component.version),
                remedy,
            ));
            continue;
        };
        if seen.installed != component.version {
            found.push(finding(
                Layer::BaseSoftware,
                State::Weak,
                Some(&site.name),
                Reason::UpgradeNeedsTicket,
                format!("{name}: {} installed, {} declared", seen.installed, component.version),
                upgrade(name),
            ));
        }
        if let Some(trouble) = &seen.trouble {
            found.push(finding(
                Layer::BaseSoftware,
                State::Weak,
                Some(&site.name),
                Reason::ComponentFailing,
                format!("{name}: {trouble}"),
                format!("look at {name} on {}", site.name),
            ));
        }
        for failing in &seen.failing {
            found.push(finding(
                Layer::BaseSoftware,
                State::Weak,
                Some(&site.name),
                Reason::HealthFailed,
                format!("{name}: {failing}"),
                format!("look at {name} on {}", site.name),
            ));
        }
    }
}

/// The change that brings a component to its declared version.
fn upgrade(name: &str) -> String {
    format!("p861 ticket open upgrade {name}")
}

/// A component whose version differs from site to site would behave otherwise after a failover.
fn differing(spec: &PlatformSpec, facts: &Facts, found: &mut Vec<Finding>) {
    for component in &spec.base_software.components {
        let seen: BTreeMap<&str, &str> = facts
            .sites
            .iter()
            .filter_map(|site| Some((site.name.as_str(), site.sight.as_ref().ok()?.components.get(&component.name)?.installed.as_str())))
            .collect();
        if seen.values().collect::<BTreeSet<_>>().len() > 1 {
            let list: Vec<String> = seen.iter().map(|(site, version)| format!("{version} on {site}")).collect();
            found.push(finding(
                Layer::BaseSoftware,
                State::Weak,
                None,
                Reason::VersionsDiffer,
                format!("{}: {}", component.name, list.join(", ")),
                upgrade(&component.name),
            ));
        }
    }
}

/// Merges gaps that exist on every site.
fn everywhere(found: Vec<Finding>, facts: &Facts) -> Vec<Finding> {
    let sites: BTreeSet<&str> = facts.sites.iter().map(|site| site.name.as_str()).collect();
    let same = |a: &Finding, b: &Finding| a.layer == b.layer && a.state == b.state && a.gap.reason == b.gap.reason && a.gap.message == b.gap.message;
    let mut merged: Vec<Finding> = Vec::new();
    for one in &found {
        let at: BTreeSet<&str> = found.iter().filter(|other| same(one, other)).filter_map(|other| other.gap.site.as_deref()).collect();
        let mut kept = one.clone();
        if sites.len() > 1 && at == sites {
            kept.gap.site = None;
        }
        if !merged.contains(&kept) {
            merged.push(kept);
        }
    }
    merged
}
