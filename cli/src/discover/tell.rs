//! Findings, as text.

use super::{Found, data::database, draft::tier_names, order::Words};
use crate::{
    format::{Line, Tone, width},
    text::{self, Language, Word},
};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// More addresses than these are only counted.
const MOST_OUTSIDE: usize = 6;

/// Findings, one per line.
pub fn remarks(found: &Found, language: Language) -> Vec<Line> {
    let line = |tone: Tone, mark: &str, head: Word, said: String| {
        let head = head.pick(language);
        Line::toned(tone, format!("{mark} ")).with(format!("{head}{}{said}", " ".repeat(12_usize.saturating_sub(width(head)).max(1))))
    };
    let mut lines = vec![
        line(Tone::Good, "✓", text::D_WORKLOADS, workloads(found)),
        line(Tone::Good, "✓", text::D_ORDER, text::from_services(&tier_names(found).join(" → ")).pick(language).to_owned()),
    ];
    if !found.unread_maps.is_empty() {
        lines.push(line(Tone::Warn, "!", text::D_ORDER, text::unread_maps(&found.unread_maps.join(", ")).pick(language).to_owned()));
    }
    lines.push(line(Tone::Good, "✓", text::D_DATA, data(found, language)));
    if !found.of_cluster.proposed.is_empty() {
        lines.push(line(Tone::Good, "✓", text::D_CLUSTER, of_cluster(found)));
    }
    if !found.of_cluster.unread.is_empty() {
        lines.push(line(Tone::Warn, "!", text::D_CLUSTER, text::unread_of_cluster(&found.of_cluster.unread.join(", ")).pick(language).to_owned()));
    }
    let outside = outside(found);
    lines.extend(
        outside
            .iter()
            .take(MOST_OUTSIDE)
            .map(|(place, address)| line(Tone::Warn, "!", text::D_OUTSIDE, text::names_outside(place, address).pick(language).to_owned())),
    );
    if outside.len() > MOST_OUTSIDE {
        lines.push(line(Tone::Warn, "!", text::D_OUTSIDE, text::more_outside(outside.len() - MOST_OUTSIDE).pick(language).to_owned()));
    }
    lines.push(line(Tone::Warn, "?", text::D_YOURS, text::yours().pick(language).to_owned()));
    lines
}

/// `StatefulSet/postgres, Deployment/approval-server, approval-worker`: each kind is named once.
fn workloads(found: &Found) -> String {
    let mut by_kind: Vec<(&str, Vec<&str>)> = Vec::new();
    for workload in &found.workloads {
        match by_kind.iter_mut().find(|(kind, _)| *kind == workload.kind) {
            Some((_, names)) => names.push(&workload.name),
            None => by_kind.push((workload.kind, vec![&workload.name])),
        }
    }
    by_kind.iter().map(|(kind, names)| format!("{kind}/{}", names.join(", "))).collect::<Vec<_>>().join(", ")
}

/// `CustomResourceDefinition/gadgets.demo.example, PriorityClass/gadgets`: each kind is named once.
fn of_cluster(found: &Found) -> String {
    let mut said = String::new();
    let mut before = "";
    for resource in &found.of_cluster.proposed {
        let separator = if said.is_empty() { "" } else { ", " };
        let kind = if resource.kind == before { String::new() } else { format!("{}/", resource.kind) };
        said = format!("{said}{separator}{kind}{}", resource.name);
        before = &resource.kind;
    }
    said
}

fn data(found: &Found, language: Language) -> String {
    let databases: Vec<_> = found.workloads.iter().filter_map(database).collect();
    let skipped: BTreeSet<&String> = databases.iter().flat_map(|database| &database.workload().claims).collect();
    let is_skipped = |name: &str| skipped.iter().any(|pattern| pattern.strip_suffix('*').map_or(*pattern == name, |prefix| name.starts_with(prefix)));
    let streams = databases
        .iter()
        .map(|database| text::found_stream(&database.title(), &database.stream_name(), !database.workload().claims.is_empty()).pick(language).to_owned());
    let files = found
        .claims
        .iter()
        .filter(|claim| !is_skipped(&claim.name))
        .map(|claim| text::found_files(&claim.name, claim.size.as_deref()).pick(language).to_owned());
    let all: Vec<String> = streams.chain(files).collect();
    if all.is_empty() { text::no_data().pick(language).to_owned() } else { all.join("; ") }
}

/// Addresses outside the namespace that the workloads are told, each with where it stands. A drill's copy reaches none of them.
fn outside(found: &Found) -> Vec<(String, String)> {
    let services: BTreeSet<String> = found.services.iter().map(kube::ResourceExt::name_any).collect();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for words in found.workloads.iter().flat_map(|workload| &workload.words) {
        for address in addresses(words, &services) {
            seen.entry(address).or_insert_with(|| words.place.clone());
        }
    }
    seen.into_iter().map(|(address, place)| (place, address)).collect()
}

/// Hosts and ports only: the rest of a URL may contain a password.
fn addresses(words: &Words, services: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    // A file names many things, such as licences and schemas; there an address counts only as number and port.
    let numbers = if words.file { r"\b(?:\d{1,3}\.){3}\d{1,3}:\d{2,5}\b" } else { r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{2,5})?\b" };
    let numbers = Regex::new(numbers).map(|pattern| pattern.find_iter(&words.text).map(|hit| hit.as_str().to_owned()).collect::<Vec<_>>()).unwrap_or_default();
    let own = ["127.", "0.", "255.", "169.254."];
    found.extend(numbers.into_iter().filter(|address| !own.iter().any(|prefix| address.starts_with(prefix))));
    if !words.file
        && let Ok(urls) = Regex::new(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^\s/@]*@)?([A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9.-]*(?::\d{1,5})?)")
    {
        for host in urls.captures_iter(&words.text).filter_map(|hit| hit.get(1)).map(|host| host.as_str()) {
            let name = host.split(':').next().unwrap_or(host);
            let first = name.split('.').next().unwrap_or(name);
            let inside = !name.contains('.') || services.contains(first) || name.rsplit('.').next() == Some("svc") || name.contains(".svc.");
            if !inside && name != "localhost" {
                found.push(host.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn what_was_found_is_told_in_lines_that_a_person_reads() {
        let lines: Vec<String> = remarks(&samples::found(), Language::En).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "✓ workloads   Deployment/web, api, StatefulSet/db",
                "✓ order       db → api → web, from calls between Services",
                "✓ data        PostgreSQL 16: stream db-db, its volume skipped; attachments 20Gi (files)",
                "! outside     LDAP_URL refers to 10.20.3.7:636: unreachable in a drill unless isolation.allowEgress allows it",
                "? yours       names, department, criticality, marker: marked TODO",
            ]
        );
    }

    #[test]
    fn fault_h6_a_map_that_may_not_be_read_is_told_beside_the_order_that_it_may_change() {
        let found = Found { unread_maps: vec!["settings".into(), "site".into()], ..samples::found() };
        let lines: Vec<String> = remarks(&found, Language::En).iter().map(ToString::to_string).collect();
        assert_eq!(lines[2], "! order       ConfigMaps settings, site: you may not read these, so a Service that is named only there is not seen");
    }

    #[test]
    fn fault_b12_what_is_needed_of_the_cluster_is_told_with_what_could_not_be_read() {
        let lines: Vec<String> = remarks(&samples::with_cluster_resources(), Language::En).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines[3..5],
            [
                "✓ cluster     CustomResourceDefinition/carts.shop.example, PriorityClass/shop",
                "! cluster     clusterroles, clusterrolebindings: you may not list these, so what it needs of them is not proposed",
            ]
        );
    }

    #[test]
    fn an_address_outside_is_a_host_and_a_port_without_the_password_before_it() {
        let services = BTreeSet::from(["api".to_owned()]);
        let of = |text: &str, file: bool| addresses(&Words { place: "X".into(), text: text.into(), file }, &services);
        assert_eq!(of("ldaps://reader:s3cr3t@ldap.gov.example:636/ou=people", false), ["ldap.gov.example:636"]);
        assert_eq!(of("http://api:80/ http://api.shinan-approval/ postgres://db.other.svc:5432/", false), Vec::<String>::new());
        assert_eq!(of("listen 0.0.0.0:80; proxy_pass http://127.0.0.1:8080; # version 1.2.3.4", true), Vec::<String>::new());
        assert_eq!(of("server 10.20.3.7:636;", true), ["10.20.3.7:636"]);
    }
}
