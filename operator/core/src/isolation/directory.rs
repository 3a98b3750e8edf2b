//! What the Services and EndpointSlices of a copy say, as far as names depend on it.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// The label by which a slice names its Service.
const SERVICE_NAME_LABEL: &str = "/metadata/labels/kubernetes.io~1service-name";

/// A port, as SRV records name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its name; empty if it has none.
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Its number.
    pub number: u16,
}

/// An address behind a Service without an address of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its label in names: the pod's host name, or its address with dashes.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// What a Service leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Its own addresses.
    Addresses(Vec<IpAddr>, Vec<Port>),
    /// Those of its pods: it is headless.
    Endpoints(Vec<Endpoint>),
    /// Another name.
    Alias(String),
}

/// The Services of a copy's namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// By namespace of the copy and name.
    services: BTreeMap<(String, String), Backend>,
    /// The Services, with the host in them, that have an address.
    addresses: BTreeMap<IpAddr, (String, String, Option<String>)>,
}

impl Directory {
    /// Reads Services and EndpointSlices, as their API serves them. Endpoints that are not ready have no name, as in Kubernetes.
    pub fn of<'a>(services: impl IntoIterator<Item = &'a Value>, slices: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut endpoints: BTreeMap<(String, String), BTreeSet<Endpoint>> = BTreeMap::new();
        for slice in slices {
            let Some(service) = slice.pointer(SERVICE_NAME_LABEL).and_then(Value::as_str) else { continue };
            endpoints.entry((text(slice, "/metadata/namespace").to_owned(), service.to_owned())).or_default().extend(endpoints_of(slice));
        }
        let mut directory = Self::default();
        for service in services {
            let key = (text(service, "/metadata/namespace").to_owned(), text(service, "/metadata/name").to_owned());
            let backend = backend(service, endpoints.remove(&key).unwrap_or_default());
            match &backend {
                Backend::Addresses(addresses, _) => {
                    directory.addresses.extend(addresses.iter().map(|address| (*address, (key.0.clone(), key.1.clone(), None))));
                }
                Backend::Endpoints(endpoints) => {
                    for endpoint in endpoints {
                        // A pod can be behind several Services: the first in alphabetical order names it.
                        directory.addresses.entry(endpoint.address).or_insert_with(|| (key.0.clone(), key.1.clone(), Some(endpoint.host.clone())));
                    }
                }
                Backend::Alias(_) => {}
            }
            directory.services.insert(key, backend);
        }
        directory
    }

    /// What a Service leads to; none if there is no such Service.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Backend> {
        self.services.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Namespace, Service and host of an address.
    pub fn named(&self, address: IpAddr) -> Option<(&str, &str, Option<&str>)> {
        self.addresses.get(&address).map(|(namespace, service, host)| (namespace.as_str(), service.as_str(), host.as_deref()))
    }

    /// Number of Services.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is no Service.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn backend(service: &Value, endpoints: BTreeSet<Endpoint>) -> Backend {
    if text(service, "/spec/type") == "ExternalName" {
        return Backend::Alias(text(service, "/spec/externalName").trim_end_matches('.').to_ascii_lowercase());
    }
    let first = text(service, "/spec/clusterIP");
    if first == "None" {
        return Backend::Endpoints(endpoints.into_iter().collect());
    }
    let all: BTreeSet<IpAddr> =
        items(service, "/spec/clusterIPs").filter_map(Value::as_str).chain([first]).filter_map(|address| address.parse().ok()).collect();
    Backend::Addresses(all.into_iter().collect(), items(service, "/spec/ports").filter_map(|port| port_of(port, "name")).collect())
}

fn port_of(port: &Value, name: &str) -> Option<Port> {
    let number = u16::try_from(port.get("port")?.as_u64()?).ok()?;
    let word = |field: &str| port.get(field).and_then(Value::as_str);
    Some(Port { name: word(name).unwrap_or_default().to_ascii_lowercase(), protocol: word("protocol").unwrap_or("TCP").to_ascii_lowercase(), number })
}

fn endpoints_of(slice: &Value) -> Vec<Endpoint> {
    let ports: Vec<Port> = items(slice, "/ports").filter_map(|port| port_of(port, "name")).collect();
    let is_ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false);
    let of = |endpoint: &Value| -> Vec<Endpoint> {
        let host = text(endpoint, "/hostname").to_ascii_lowercase();
        let addresses = items(endpoint, "/addresses").filter_map(|address| address.as_str()?.parse::<IpAddr>().ok());
        let named = |address: IpAddr| Endpoint { host: if host.is_empty() { dashed(address) } else { host.clone() }, address, ports: ports.clone() };
        addresses.map(named).collect()
    };
    items(slice, "/endpoints").filter(is_ready).flat_map(of).collect()
}

/// An address as a label: `10-244-1-7`.
fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}
