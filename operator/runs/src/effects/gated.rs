//! Commands and checks that are not steps of a run: an Application's checks by the clock, its marker, a Platform's probes. They pass the gate that steps pass, and
//! controllers have no other way to run anything on a site.

use super::check::{self, CheckResult};
use crate::{
    error::{Error, ErrorContext as _, Result},
    sites::{
        Sites,
        pods::{self, Output},
    },
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::ListParams};
use p861_core::{
    ids::SiteName,
    runs::{Action, AllottedSite, OutOfScope, Scope},
};
use p861_crds::{Reason, common::ContainerCommand, platform::check::Check};
use std::time::Duration;

/// The prober's pod.
const PROBER_SELECTOR: &str = "app.kubernetes.io/name=p861,app.kubernetes.io/component=prober";

/// What the gate has refused, as an error. Nothing was asked of the site.
pub fn refused(refused: &OutOfScope) -> Error {
    Error::invalid(refused.reason(), refused.to_string())
}

/// Tries a check once.
///
/// # Errors
/// `SiteNotAllotted` or `NamespaceNotAllotted` if the check reaches beyond the scope; else if it can't be tried. A check that fails is a result.
pub async fn try_check(sites: &Sites, scope: &Scope, site: &SiteName, namespace: &str, check: &Check) -> Result<CheckResult> {
    let action = Action::Check { site: site.clone(), namespace: namespace.to_owned(), check: check.clone() };
    let permitted = scope.permits(&action).map_err(|error| refused(&error))?;
    check::try_once(&sites.client(&permitted.site(site)?).await?, permitted, namespace, check).await
}

/// Runs a command in a container of a workload, at most for `limit`.
///
/// # Errors
/// `SiteNotAllotted` or `NamespaceNotAllotted` if the command reaches beyond the scope; else if it can't be started or doesn't end in time. A non-zero exit is not an
/// error.
pub async fn run_command(sites: &Sites, scope: &Scope, site: &SiteName, namespace: &str, command: &ContainerCommand, limit: Duration) -> Result<Output> {
    let action = Action::Execute { site: site.clone(), namespace: namespace.to_owned(), command: command.clone() };
    let permitted = scope.permits(&action).map_err(|error| refused(&error))?;
    pods::execute(&sites.client(&permitted.site(site)?).await?, permitted, namespace, command, limit).await
}

/// Has the site's prober connect to a host, in the operator's `namespace` there. Returns the name of its pod and what it printed.
///
/// # Errors
/// `ProberMissing` if no prober is ready; else if it can't be asked.
pub async fn probe(sites: &Sites, site: &AllottedSite, namespace: &str, host: &str, port: u16, limit: Duration) -> Result<(String, Output)> {
    let client = sites.client(site).await?;
    let probers: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = probers.list(&ListParams::default().labels(PROBER_SELECTOR)).await.context(|| "look for the site's prober".to_owned())?;
    let ready = listed.items.iter().filter(|pod| pods::is_ready(pod)).min_by_key(|pod| pod.name_any());
    let prober = ready.and_then(|pod| pods::Target::of(pod, None)).ok_or_else(|| {
        let message = format!("no prober is ready in namespace {namespace} of the site: upgrade chart p861 there, with site.prober=true");
        Error::transient(Reason::ProberMissing, message)
    })?;
    // A host that begins with a hyphen is no option.
    let command = ["p861-operator", "connect", "--", host, &port.to_string()].map(str::to_owned);
    let output = pods::execute_in(&client, namespace, &prober, &command, limit).await?;
    Ok((prober.pod, output))
}

#[cfg(test)]
#[path = "gated/tests.rs"]
mod tests;
