//! What names mean in a copy.
//!
//! | name | answer |
//! |---|---|
//! | `<service>.<namespace>.svc[.<domain>]`, `<host>.<service>.…`, `_<port>._<protocol>.<service>.…`, `<address>.<namespace>.pod[.<domain>]` | as Kubernetes answers it, of the copy; the namespace may be the original's or the copy's |
//! | an entrypoint's host name | the Service behind it, in the copy |
//! | a name of `isolation.allowEgress` | what the cluster's DNS says, as far as it leads into the allowed networks |
//! | anything else | there is no such name |
//!
//! Names that are missing are answered NXDOMAIN and not REFUSED. A resolver takes NXDOMAIN at once and for good. REFUSED makes glibc ask again and report a
//! temporary failure, after which most programs wait and try anew, and musl ignores it and waits for its timeout, 5 s for each name of its search list.
//!
//! The domain after `svc` may be any, or none: the configuration of an application has the one of the cluster where it came from.
//!
//! Source of the cluster's names: Kubernetes DNS-Based Service Discovery, version 1.1.0.

use super::{
    directory::{Backend, Directory, Endpoint, Port},
    egress::{AllowedEgress, matches_name},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The domain in the copy's search list and in names of addresses. Any other is understood as well.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// How many aliases are followed.
const MAX_ALIASES: usize = 8;

/// An entrypoint of an application: its host name, and the Service behind it in the copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entrypoint {
    /// Its DNS name; it may begin with `*.`.
    pub hostname: String,
    /// Namespace of the copy.
    pub namespace: String,
    /// The Service.
    pub service: String,
}

/// What a copy's names follow from: the order of its DNS server. No secret is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CopyZone {
    /// Namespace in the backup → namespace of the copy.
    pub namespaces: BTreeMap<String, String>,
    /// Entrypoints of its applications.
    pub entrypoints: Vec<Entrypoint>,
    /// Names that are asked outside, and networks that they may lead to.
    pub egress: AllowedEgress,
}

impl CopyZone {
    /// The namespace of the copy that a name means by an original or a copy.
    fn copy_of(&self, namespace: &str) -> Option<&str> {
        let of_copy = self.namespaces.values().find(|copy| *copy == namespace);
        self.namespaces.get(namespace).or(of_copy).map(String::as_str)
    }

    /// The original of a namespace of the copy: what other programs know it by.
    fn original_of<'a>(&'a self, copy: &'a str) -> &'a str {
        self.namespaces.iter().find(|(_, of)| *of == copy).map_or(copy, |(original, _)| original)
    }
}

/// The domains that a pod of this namespace of the copy completes names with, as a kubelet would give them.
pub fn searches(namespace: &str) -> Vec<String> {
    vec![format!("{namespace}.svc.{CLUSTER_DOMAIN}"), format!("svc.{CLUSTER_DOMAIN}"), CLUSTER_DOMAIN.to_owned()]
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Hosts and ports.
    Srv,
    /// The name of an address.
    Ptr,
    /// Anything else.
    Other,
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The name, in lower case and without a dot at its end.
    pub name: &'a str,
    /// The type.
    pub record_type: RecordType,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// An address.
    Address(IpAddr),
    /// Another name.
    Alias(String),
    /// Host and port of a service.
    Service {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The name of an address.
    Pointer(String),
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Whose it is.
    pub name: String,
    /// What it says.
    pub data: Data,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name is there, with these records; without any, it has none of that type.
    Records(Vec<Record>),
    /// There is no such name.
    Missing,
    /// The cluster's DNS is asked for addresses of this name. Those in the allowed networks are answered, after these aliases; without one, the name is missing.
    AskOutside {
        /// Aliases that led to it.
        aliases: Vec<Record>,
        /// The name.
        name: String,
    },
}

/// The order in which records of a name are answered: another for each question, so that clients that take the first are spread.
pub fn order_of<T>(mut records: Vec<T>, question: u16) -> Vec<T> {
    if records.len() > 1 {
        let first = usize::from(question) % records.len();
        records.rotate_left(first);
    }
    records
}

/// Answers a question.
pub fn answer(zone: &CopyZone, directory: &Directory, question: Question<'_>) -> Answer {
    let mut aliases: Vec<Record> = Vec::new();
    let mut name = question.name.to_owned();
    for _ in 0..=MAX_ALIASES {
        let found = find(zone, directory, &name, question.record_type);
        match found {
            Found::Records(data) => {
                let of_name = data.into_iter().map(|data| Record { name: name.clone(), data });
                return Answer::Records(aliases.into_iter().chain(of_name).collect());
            }
            Found::Alias(target) => {
                aliases.push(Record { name: name.clone(), data: Data::Alias(target.clone()) });
                name = target;
            }
            Found::Outside if matches!(question.record_type, RecordType::A | RecordType::Aaaa) => return Answer::AskOutside { aliases, name },
            Found::Outside => return Answer::Records(aliases),
            Found::Nothing => return Answer::Missing,
        }
    }
    Answer::Missing
}

/// What there is of one name, before an alias is followed.
enum Found {
    Records(BTreeSet<Data>),
    Alias(String),
    Outside,
    Nothing,
}

fn find(zone: &CopyZone, directory: &Directory, name: &str, wanted: RecordType) -> Found {
    if let Some(entrypoint) = zone.entrypoints.iter().find(|entrypoint| matches_name(&entrypoint.hostname.to_ascii_lowercase(), name)) {
        return match directory.service(&entrypoint.namespace, &entrypoint.service) {
            Some(backend) => of_service(backend, wanted, |_| String::new(), false),
            None => Found::Nothing,
        };
    }
    if let Some(address) = address_of_reverse(name) {
        return pointer(zone, directory, address, wanted);
    }
    let labels: Vec<&str> = name.split('.').collect();
    // The first place that can be a namespace: a search domain may have been put after a whole name.
    for (at, label) in labels.iter().enumerate().skip(1) {
        let Some(namespace) = zone.copy_of(labels[at - 1]).filter(|_| matches!(*label, "svc" | "pod")) else { continue };
        let (before, rest) = (&labels[..at - 1], labels[at - 1..].join("."));
        return if *label == "pod" { of_pod(before, wanted) } else { of_namespace(directory, namespace, before, &rest, wanted) };
    }
    if zone.egress.names_it(name) { Found::Outside } else { Found::Nothing }
}

/// A name in a namespace: `before` are its labels, `rest` is the namespace and what follows it, as it was asked.
fn of_namespace(directory: &Directory, namespace: &str, before: &[&str], rest: &str, wanted: RecordType) -> Found {
    let service = |name: &str| directory.service(namespace, name);
    match *before {
        // The namespace itself is a name without records.
        [] => Found::Records(BTreeSet::new()),
        [name] => service(name).map_or(Found::Nothing, |backend| of_service(backend, wanted, |host| in_service(host, name, rest), true)),
        [host, name] if !host.starts_with('_') => match service(name) {
            Some(Backend::Endpoints(endpoints)) => of_host(endpoints, host, wanted),
            _ => Found::Nothing,
        },
        [port, protocol, name] => match (port.strip_prefix('_'), protocol.strip_prefix('_'), service(name)) {
            (Some(port), Some(protocol), Some(backend)) => of_port(backend, (port, protocol), wanted, |host| in_service(host, name, rest)),
            _ => Found::Nothing,
        },
        _ => Found::Nothing,
    }
}

/// The name of a host in a Service; of the Service itself without one.
fn in_service(host: &str, service: &str, rest: &str) -> String {
    if host.is_empty() { format!("{service}.{rest}") } else { format!("{host}.{service}.{rest}") }
}

fn addresses(all: impl IntoIterator<Item = IpAddr>, wanted: RecordType) -> BTreeSet<Data> {
    let fits = |address: &IpAddr| match wanted {
        RecordType::A => address.is_ipv4(),
        RecordType::Aaaa => address.is_ipv6(),
        RecordType::Srv | RecordType::Ptr | RecordType::Other => false,
    };
    all.into_iter().filter(fits).map(Data::Address).collect()
}

/// The records of a Service. `name_of` names a host of it; the Service itself by an empty text.
fn of_service(backend: &Backend, wanted: RecordType, name_of: impl Fn(&str) -> String, names_ports: bool) -> Found {
    if let Backend::Alias(target) = backend {
        return Found::Alias(target.clone());
    }
    if wanted == RecordType::Srv {
        return Found::Records(if names_ports { services(backend, |_| true, name_of) } else { BTreeSet::new() });
    }
    Found::Records(match backend {
        Backend::Addresses(all, _) => addresses(all.iter().copied(), wanted),
        Backend::Endpoints(endpoints) => addresses(endpoints.iter().map(|endpoint| endpoint.address), wanted),
        Backend::Alias(_) => BTreeSet::new(),
    })
}

/// The hosts and ports of a Service that fit.
fn services(backend: &Backend, fits: impl Fn(&Port) -> bool, name_of: impl Fn(&str) -> String) -> BTreeSet<Data> {
    let service = |host: &str, port: &Port| Data::Service { host: name_of(host), port: port.number };
    match backend {
        Backend::Addresses(_, ports) => ports.iter().filter(|port| fits(port)).map(|port| service("", port)).collect(),
        Backend::Endpoints(endpoints) => {
            endpoints.iter().flat_map(|endpoint| endpoint.ports.iter().filter(|port| fits(port)).map(|port| service(&endpoint.host, port))).collect()
        }
        Backend::Alias(_) => BTreeSet::new(),
    }
}

/// `_<port>._<protocol>.<service>`: only a named port has such a name.
fn of_port(backend: &Backend, (port, protocol): (&str, &str), wanted: RecordType, name_of: impl Fn(&str) -> String) -> Found {
    let found = services(backend, |known| known.name == port && known.protocol == protocol, name_of);
    if found.is_empty() {
        return Found::Nothing;
    }
    Found::Records(if wanted == RecordType::Srv { found } else { BTreeSet::new() })
}

fn of_host(endpoints: &[Endpoint], host: &str, wanted: RecordType) -> Found {
    let all: Vec<IpAddr> = endpoints.iter().filter(|endpoint| endpoint.host == host).map(|endpoint| endpoint.address).collect();
    if all.is_empty() { Found::Nothing } else { Found::Records(addresses(all, wanted)) }
}

/// `10-244-1-7.<namespace>.pod`: the name says its address.
fn of_pod(before: &[&str], wanted: RecordType) -> Found {
    let [label] = *before else { return Found::Nothing };
    let address = label.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::V4).or_else(|_| label.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::V6));
    address.map_or(Found::Nothing, |address| Found::Records(addresses([address], wanted)))
}

fn pointer(zone: &CopyZone, directory: &Directory, address: IpAddr, wanted: RecordType) -> Found {
    let Some((namespace, service, host)) = directory.named(address) else { return Found::Nothing };
    let rest = format!("{}.svc.{CLUSTER_DOMAIN}", zone.original_of(namespace));
    let name = in_service(host.unwrap_or_default(), service, &rest);
    Found::Records(if wanted == RecordType::Ptr { BTreeSet::from([Data::Pointer(name)]) } else { BTreeSet::new() })
}

/// The address that a name of `in-addr.arpa` or `ip6.arpa` stands for.
fn address_of_reverse(name: &str) -> Option<IpAddr> {
    if let Some(reversed) = name.strip_suffix(".in-addr.arpa") {
        let numbers: Vec<&str> = reversed.split('.').rev().collect();
        return numbers.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
    if digits.len() != 32 || digits.iter().any(|digit| digit.len() != 1) {
        return None;
    }
    u128::from_str_radix(&digits.concat(), 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
