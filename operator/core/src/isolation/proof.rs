//! The proof that a site keeps a copy closed: a network plugin that ignores NetworkPolicies takes them without a word.
//!
//! Two pods with the same program try the same addresses outside the copy. One is closed, as every pod of the copy is; the other has the label by which movers
//! are free. What the free one reaches answers, so that the closed one would reach it, too, if nothing held it back. And the closed one must reach the copy's own
//! DNS, so that a network that is broken is not taken for one that is closed.

use super::egress::AllowedEgress;
use crate::engine::Evidence;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Addresses that a probe tries at most.
const MAX_TARGETS: usize = 40;
/// Nodes whose addresses are tried.
const MAX_NODES: usize = 8;
/// Services and pods of one kind that are tried.
const MAX_OF_A_KIND: usize = 3;
/// Targets that a message names.
const MAX_NAMED: usize = 5;
/// Where a kubelet listens if its node doesn't say.
const KUBELET_PORT: u16 = 10250;
const DNS_PORT: u16 = 53;
/// Where clouds tell a machine, and whoever runs on it, about itself and its rights: the usual address, and the one of Alibaba Cloud.
const METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(100, 100, 100, 200)];
/// Where a node's own DNS cache answers, if it has one (NodeLocal DNSCache).
const NODE_DNS: Ipv4Addr = Ipv4Addr::new(169, 254, 20, 10);

/// How a target is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Transport {
    /// A connection is opened.
    Tcp,
    /// A DNS question is sent in a datagram; any answer counts.
    Dns,
}

/// An address outside a copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProbeTarget {
    /// What is there, for people.
    pub what: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// How it is tried.
    pub transport: Transport,
}

impl fmt::Display for ProbeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = if self.transport == Transport::Dns { "udp" } else { "tcp" };
        write!(f, "{} ({}/{transport})", self.what, SocketAddr::new(self.address, self.port))
    }
}

/// What a probe is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeOrder {
    /// Addresses of the copy's DNS.
    pub resolver: Vec<IpAddr>,
    /// A name that it answers with an address.
    pub name: String,
    /// What is tried.
    pub targets: Vec<ProbeTarget>,
}

/// What a probe has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    /// Why the copy's DNS was not reached; none if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// Places of the targets that were reached.
    pub reached: Vec<usize>,
}

/// What is known of a site, from which the targets follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProbeFacts<'a> {
    /// Its Service `kubernetes`.
    pub api_server: &'a [Value],
    /// The Services of its DNS.
    pub dns_services: &'a [Value],
    /// The pods behind them.
    pub dns_pods: &'a [Value],
    /// Its nodes.
    pub nodes: &'a [Value],
    /// Services of the original namespaces, if the site has any.
    pub originals: &'a [Value],
    /// Where the backup repository is.
    pub repository: &'a [SocketAddr],
}

/// What a probe tries: everything that is known outside the copy, but for what the copy may connect to.
pub fn targets(facts: &ProbeFacts<'_>, allowed: &AllowedEgress) -> Vec<ProbeTarget> {
    let of = |what: &str, address: IpAddr, port: u16, transport: Transport| ProbeTarget { what: what.to_owned(), address, port, transport };
    let mut all = Vec::new();
    for service in facts.api_server {
        all.extend(ports_of(service).map(|(address, port)| of("the API server", address, port, Transport::Tcp)));
    }
    for service in facts.dns_services {
        let found =
            cluster_ips(service).flat_map(|address| [Transport::Dns, Transport::Tcp].map(|transport| of("the cluster's DNS", address, DNS_PORT, transport)));
        all.extend(found);
    }
    for pod in facts.dns_pods.iter().take(MAX_OF_A_KIND) {
        all.extend(pod_port(pod).map(|(address, port)| of("a pod of the cluster's DNS", address, port, Transport::Tcp)));
    }
    for service in facts.originals.iter().filter(|service| ports_of(service).next().is_some()).take(MAX_OF_A_KIND) {
        let what = format!("Service {}/{}", text(service, "/metadata/namespace"), text(service, "/metadata/name"));
        all.extend(ports_of(service).map(|(address, port)| of(&what, address, port, Transport::Tcp)));
    }
    all.extend(facts.repository.iter().map(|place| of("the backup repository", place.ip(), place.port(), Transport::Tcp)));
    for node in facts.nodes.iter().take(MAX_NODES) {
        let what = format!("the kubelet of node {}", text(node, "/metadata/name"));
        all.extend(node_addresses(node).map(|address| of(&what, address, kubelet_port(node), Transport::Tcp)));
    }
    all.extend(METADATA.map(|address| of("the cloud's metadata", address.into(), 80, Transport::Tcp)));
    all.push(of("the node's DNS cache", NODE_DNS.into(), DNS_PORT, Transport::Dns));
    let mut seen = BTreeSet::new();
    all.retain(|target| !allowed.contains(target.address) && seen.insert((target.address, target.port, target.transport)));
    all.truncate(MAX_TARGETS);
    all
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn cluster_ips(service: &Value) -> impl Iterator<Item = IpAddr> + use<'_> {
    items(service, "/spec/clusterIPs").filter_map(|address| address.as_str()?.parse().ok())
}

/// The addresses of a Service, each with its first TCP port.
fn ports_of(service: &Value) -> impl Iterator<Item = (IpAddr, u16)> + use<'_> {
    let port = items(service, "/spec/ports").find_map(|port| tcp(port, "port"));
    cluster_ips(service).filter_map(move |address| Some((address, port?)))
}

fn tcp(port: &Value, field: &str) -> Option<u16> {
    let is_tcp = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP") == "TCP";
    u16::try_from(port.get(field)?.as_u64()?).ok().filter(|_| is_tcp)
}

/// The address of a pod, with its first TCP port.
fn pod_port(pod: &Value) -> Option<(IpAddr, u16)> {
    let address = text(pod, "/status/podIP").parse().ok()?;
    let port = items(pod, "/spec/containers").flat_map(|container| items(container, "/ports")).find_map(|port| tcp(port, "containerPort"))?;
    Some((address, port))
}

fn node_addresses(node: &Value) -> impl Iterator<Item = IpAddr> + use<'_> {
    let is_address = |address: &&Value| matches!(text(address, "/type"), "InternalIP" | "ExternalIP");
    items(node, "/status/addresses").filter(is_address).filter_map(|address| text(address, "/address").parse().ok())
}

fn kubelet_port(node: &Value) -> u16 {
    let stated = node.pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_u64);
    stated.and_then(|port| u16::try_from(port).ok()).unwrap_or(KUBELET_PORT)
}

/// What the probes of a copy prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The copy is closed.
    Closed(Evidence),
    /// It is not: why, and what was reached.
    Open(String, Evidence),
    /// Neither is proven, and why.
    Unproven(String, Evidence),
}

/// Judges what the free probe and the closed ones, each on its node, have found of these targets.
pub fn judge(resolver: &[IpAddr], targets: &[ProbeTarget], free: &ProbeAnswer, closed: &[(String, ProbeAnswer)]) -> Verdict {
    let told = |which: &dyn Fn(usize) -> bool| -> Vec<String> {
        targets.iter().enumerate().filter(|(at, _)| which(*at)).map(|(_, target)| target.to_string()).collect()
    };
    let is_reached = |at: usize| closed.iter().any(|(_, answer)| answer.reached.contains(&at));
    let answers = |at: usize| free.reached.contains(&at);
    let reached = told(&is_reached);
    let refused = told(&|at| !is_reached(at) && answers(at));
    let nodes: Vec<String> = closed.iter().map(|(node, _)| node.clone()).collect();
    // Only a copy that is proven closed has a DNS to be written to.
    let evidence = |resolver: &[IpAddr]| Evidence::IsolationProbed {
        resolver: resolver.to_vec(),
        nodes: nodes.clone(),
        refused: refused.clone(),
        silent: told(&|at| !is_reached(at) && !answers(at)),
        reached: reached.clone(),
    };
    if !reached.is_empty() {
        let message = format!(
            "a pod of the copy reaches {}: the site's network plugin does not enforce the NetworkPolicies of the copy. Nothing was restored. Give the site a plugin that \
             does, or drill on another site (runbooks/P861DrillFailed.md)",
            named(&reached)
        );
        return Verdict::Open(message, evidence(&[]));
    }
    let is_unknown = |answer: &ProbeAnswer| answer.reached.iter().any(|at| *at >= targets.len());
    if is_unknown(free) || closed.iter().any(|(_, answer)| is_unknown(answer)) {
        return Verdict::Unproven("a probe says that it reached what it was not told to try".into(), evidence(&[]));
    }
    if closed.is_empty() || resolver.is_empty() {
        return Verdict::Unproven("no pod of the copy has tried anything".into(), evidence(&[]));
    }
    if let Some((node, why)) = closed.iter().find_map(|(node, answer)| Some((node, answer.inside.as_ref()?))) {
        let message = format!("a pod of the copy on node {node} does not even reach the copy's own DNS, so that its silence proves nothing: {why}");
        return Verdict::Unproven(message, evidence(&[]));
    }
    if refused.is_empty() {
        let message = if targets.is_empty() {
            "spec.isolation.allowEgress of the Applications allows every address that could prove the isolation: name single addresses in it".to_owned()
        } else {
            "a free pod beside the copy reaches nothing outside it, either, so that a closed one proves nothing: see whether pods of that site reach its API server".to_owned()
        };
        return Verdict::Unproven(message, evidence(&[]));
    }
    Verdict::Closed(evidence(resolver))
}

fn named(all: &[String]) -> String {
    let first = all.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > MAX_NAMED { format!("{first} and {} more", all.len() - MAX_NAMED) } else { first }
}

/// The addresses of the copy's DNS, from the proof that the copy is closed. None without that proof: then nothing may be written into it.
pub fn resolver_of(inputs: &BTreeMap<String, Evidence>) -> Option<Vec<IpAddr>> {
    inputs.values().find_map(|evidence| match evidence {
        Evidence::IsolationProbed { resolver, refused, reached, .. } if reached.is_empty() && !refused.is_empty() && !resolver.is_empty() => {
            Some(resolver.clone())
        }
        _ => None,
    })
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
