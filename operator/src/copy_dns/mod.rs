//! The DNS server of a drill's copy: `p861-operator dns`, in a pod of the copy. What it answers is decided in `p861_core::isolation`; it reads Services and
//! EndpointSlices of the copy's namespaces, and asks the cluster's DNS about names that the Applications allow, and about no others.

mod known;
pub mod outside;
mod reply;
mod serve;

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use known::Known;
use kube::Client;
use outside::Outside;
use p861_core::isolation::{COPY_DNS_PORT, CopyZone, ZONE_VARIABLE};
use serve::Server;
use std::{error::Error, sync::Arc};

/// Serves until the process is told to end.
///
/// # Errors
/// If its order can't be read, its port is taken, or it can't reach the API server at all.
pub async fn run() -> Result<(), Box<dyn Error>> {
    let order = std::env::var(ZONE_VARIABLE).map_err(|_| format!("{ZONE_VARIABLE} is not set: the operator starts this program in the copy of a drill"))?;
    let zone: CopyZone = serde_json::from_str(&order).map_err(|error| format!("{ZONE_VARIABLE} can't be read: {error}"))?;
    let client = Client::try_default().await?;
    let (known, mut first) = Known::watch(zone.namespaces.len() * 2);
    for namespace in zone.namespaces.values() {
        tokio::spawn(known.clone().keep::<Service>(client.clone(), namespace.clone()));
        tokio::spawn(known.clone().keep::<EndpointSlice>(client.clone(), namespace.clone()));
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    // Who is answered must be answered rightly, and that the port is open says that the API server has answered.
    tokio::select! {
        listed = first.wait_for(|missing| *missing == 0) => drop(listed?),
        _ = terminate.recv() => return Ok(()),
    }
    let server = Server::bind(Arc::new(zone), known, Arc::new(Outside::of_pod()?), COPY_DNS_PORT).await?;
    tracing::info!(port = COPY_DNS_PORT, "answers");
    tokio::select! {
        ended = server.serve() => ended.map_err(Into::into),
        _ = terminate.recv() => Ok(()),
    }
}
