//! The networks of the hub's own cluster: its Services, pods, nodes and API server. Districts' addresses may not lead there unless the installation allows it.

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Node, discovery::v1::EndpointSlice, networking::v1::ServiceCIDR};
use kube::{Api, Client, api::ListParams};
use p861_egress::Egress;
use p861_runs::{
    error::{ErrorContext as _, Result, is_not_found},
    sites::for_each,
};
use std::{collections::BTreeSet, net::IpAddr, time::Duration};

/// How often they are read again: a node that joins brings a network of pods.
const READ_INTERVAL: Duration = Duration::from_mins(5);
/// Wait before a failed reading is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Service and EndpointSlice of the API server, in namespace default.
const API_SERVICE: &str = "kubernetes";

/// Reads the networks and closes them; once they were read, again and again. Returns after the first reading, without which nothing may be connected to: the future
/// that it returns is the rest.
pub async fn close(client: Client, egress: Egress, api_server: Option<String>) -> impl Future<Output = ()> + Send + 'static {
    let mut own = OwnNetworks { client, egress, api_server, told: false };
    while let Err(error) = own.read_and_close().await {
        tracing::warn!("the networks of the hub's own cluster can't be read, and before that no run is taken up (is chart p861 of this release?): {error}");
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    async move {
        loop {
            tokio::time::sleep(READ_INTERVAL).await;
            if let Err(error) = own.read_and_close().await {
                tracing::warn!("the networks of the hub's own cluster can't be read; those of {} stay closed: {error}", Timestamp::now());
            }
        }
    }
}

struct OwnNetworks {
    client: Client,
    egress: Egress,
    /// Host of the API server, as this process reaches it.
    api_server: Option<String>,
    /// That the networks of pods are not known.
    told: bool,
}

impl OwnNetworks {
    async fn read_and_close(&mut self) -> Result<()> {
        let mut networks = self.of_services().await?;
        networks.extend(self.of_nodes().await?);
        networks.extend(self.of_api_server().await?);
        let rules = (*self.egress.rules()).clone().with_own(networks.iter().map(String::as_str));
        self.tell_if_unknown(rules.own_text().as_str(), own_addresses().iter().find(|address| !rules.is_own(**address)));
        self.egress.replace(rules);
        Ok(())
    }

    /// Networks of Services. If the API server doesn't serve them, it is the address of its own Service alone, and `clusterNetworks` of the chart says the rest.
    async fn of_services(&self) -> Result<BTreeSet<String>> {
        let ranges: Api<ServiceCIDR> = Api::all(self.client.clone());
        let found = match ranges.list(&ListParams::default()).await {
            Err(error) if is_not_found(&error) => Vec::new(),
            found => found.context(|| "list the ServiceCIDRs".to_owned())?.items,
        };
        let mut networks: BTreeSet<String> = found.into_iter().flat_map(|range| range.spec.and_then(|spec| spec.cidrs).unwrap_or_default()).collect();
        networks.extend(std::env::var("KUBERNETES_SERVICE_HOST").ok());
        Ok(networks)
    }

    /// Networks of pods, as the nodes have them, and the addresses of the nodes: their ports lead to Services, kubelets and pods of the host's network.
    async fn of_nodes(&self) -> Result<BTreeSet<String>> {
        let mut networks = BTreeSet::new();
        let add = |node: Node| {
            let addresses = node.status.and_then(|status| status.addresses).into_iter().flatten().map(|address| address.address);
            // A Hostname is no address.
            networks.extend(addresses.filter(|address| address.parse::<IpAddr>().is_ok()));
            let Some(spec) = node.spec else { return };
            networks.extend(spec.pod_cidr);
            networks.extend(spec.pod_cidrs.into_iter().flatten());
        };
        for_each(&Api::<Node>::all(self.client.clone()), ListParams::default(), || "the nodes".to_owned(), add).await?;
        Ok(networks)
    }

    /// Addresses of the API server: those behind its Service, and those that this process uses.
    async fn of_api_server(&self) -> Result<BTreeSet<String>> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), "default");
        let slice = slices.get_opt(API_SERVICE).await.context(|| "read the addresses of the API server".to_owned())?;
        let mut addresses: BTreeSet<String> = slice.and_then(|slice| slice.endpoints).into_iter().flatten().flat_map(|endpoint| endpoint.addresses).collect();
        if let Some(host) = &self.api_server {
            let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), 443)).await;
            addresses.extend(found.into_iter().flatten().map(|address| address.ip().to_string()));
        }
        Ok(addresses)
    }

    /// Tells once that this pod is in no network that is known, so that others of the cluster may not be known either.
    fn tell_if_unknown(&mut self, known: &str, address: Option<&IpAddr>) {
        if let Some(address) = address.filter(|_| !std::mem::replace(&mut self.told, true)) {
            tracing::warn!(
                known,
                "the operator's pod has address {address}, which is in none of the known networks of this cluster: districts' addresses may lead to its pods. Name the networks of pods in operator.egress.clusterNetworks of chart p861"
            );
        }
    }
}

/// The addresses of this pod, if it is one.
fn own_addresses() -> Vec<IpAddr> {
    let text = std::env::var("P861_POD_IPS").unwrap_or_default();
    text.split(',').filter_map(|address| address.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use p861_egress::{Place, Refused, Rules};
    use serde_json::{Value, json};
    use std::convert::Infallible;

    /// A hub that serves these networks, and a ServiceCIDR or none.
    fn hub(serves_ranges: bool) -> Client {
        let answer = move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let list = |items: Value| (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}));
            let (code, body) = match path.as_str() {
                "/apis/networking.k8s.io/v1/servicecidrs" if serves_ranges => {
                    list(json!([{"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12", "fd96::/108"]}}]))
                }
                "/api/v1/nodes" => list(json!([
                    {"metadata": {"name": "a"}, "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24", "fd77::/80"]}},
                    {"metadata": {"name": "b"}, "spec": {"podCIDR": "10.244.1.0/24"}, "status": {"addresses": [
                        {"type": "Hostname", "address": "b"}, {"type": "InternalIP", "address": "172.20.0.7"}, {"type": "ExternalIP", "address": "2001:db8::7"}]}},
                    {"metadata": {"name": "c"}}
                ])),
                "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes" => (
                    200,
                    json!({"metadata": {"name": "kubernetes"}, "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.10", "192.0.2.11"]}], "ports": []}),
                ),
                _ => (404, json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "no such thing"})),
            };
            async move { Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).expect("an answer")) }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn fault_e32_the_ports_of_the_hubs_nodes_are_closed() {
        let egress = Egress::new(Rules::parse("", "").expect("rules"));
        drop(close(hub(true), egress.clone(), None).await);
        for (address, closed) in [("172.20.0.7", true), ("2001:db8::7", true), ("172.20.0.8", false)] {
            assert_eq!(egress.rules().permit("bucket.example", address.parse().expect("an address")).is_err(), closed, "{address}");
        }
        let allowed = Egress::new(Rules::parse("172.20.0.7", "").expect("rules"));
        drop(close(hub(true), allowed.clone(), None).await);
        assert!(allowed.rules().permit("bucket.example", "172.20.0.7".parse().expect("an address")).is_ok(), "the installation can open one");
    }

    #[tokio::test]
    async fn fault_e18_the_hubs_services_pods_and_api_servers_are_closed_and_what_is_allowed_stays_open() {
        let closed =
            |egress: &Egress, address: &str| egress.rules().permit("bucket.example", address.parse().expect("an address")) == Err(Refused(Place::OwnCluster));
        let egress = Egress::new(Rules::parse("10.96.7.7", "198.51.100.0/24").expect("rules"));
        drop(close(hub(true), egress.clone(), Some("203.0.113.5".into())).await);
        for address in ["10.96.0.1", "10.111.0.1", "fd96::1", "10.244.0.9", "10.244.1.9", "fd77::1", "192.0.2.10", "192.0.2.11", "203.0.113.5", "198.51.100.9"]
        {
            assert!(closed(&egress, address), "{address}");
        }
        for address in ["10.96.7.7", "10.244.2.1", "192.0.2.12", "10.20.0.1"] {
            assert!(!closed(&egress, address), "{address}");
        }
        let old = Egress::new(Rules::default());
        drop(close(hub(false), old.clone(), None).await);
        assert!(closed(&old, "10.244.0.9") && closed(&old, "192.0.2.10"), "without it the others count");
    }
}
