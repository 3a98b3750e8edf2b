//! Where a mover runs whose namespaces aren't there. A preview makes none, and needs none; nor does what only works in the repository: it runs in the product's own namespace
//! on the site.

use super::{Error, MoverPlace, MoverTask, Reason, Result};
use crate::error::ErrorContext as _;
use k8s_openapi::api::{batch::v1::Job, core::v1::Namespace};
use kube::{Api, Client};
use p861_core::ids::SiteName;
use std::borrow::Cow;

/// The Job of an attempt, and the namespace that it is in or would be: its own, or the product's (`own`).
pub async fn find<'a>(client: &Client, place: &MoverPlace<'a>, own: &'a str, task: &MoverTask, name: &str) -> Result<(MoverPlace<'a>, Option<Job>)> {
    let job = job(client, place, name).await?;
    if job.is_some() || place.claim.is_some() || !task.runs_anywhere() {
        return Ok((*place, job));
    }
    // It may have begun before somebody made its namespace.
    let elsewhere = MoverPlace { namespace: own, ..*place };
    if let Some(job) = self::job(client, &elsewhere, name).await? {
        return Ok((elsewhere, Some(job)));
    }
    if is_there(client, place.site, place.namespace).await? {
        return Ok((*place, None));
    }
    if !is_there(client, place.site, own).await? {
        let message = format!(
            "a mover needs a namespace to run in, and neither {} nor {own} is on {}: install the chart p861 there in namespace {own}",
            place.namespace, place.site
        );
        return Err(Error::invalid(Reason::NotFound, message));
    }
    Ok((elsewhere, None))
}

async fn job(client: &Client, place: &MoverPlace<'_>, name: &str) -> Result<Option<Job>> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), place.namespace);
    jobs.get_opt(name).await.context(|| format!("read mover {}/{name} on {}", place.namespace, place.site))
}

/// Whether a namespace is there and stays: one that is being deleted takes nothing.
async fn is_there(client: &Client, site: &SiteName, name: &str) -> Result<bool> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = namespaces.get_opt(name).await.context(|| format!("read namespace {name} on {site}"))?;
    Ok(found.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none()))
}

/// The task of a preview, told which of its namespaces aren't there: it can't ask for what is in them.
pub async fn told<'t>(client: &Client, place: &MoverPlace<'_>, task: &'t MoverTask) -> Result<Cow<'t, MoverTask>> {
    if !task.is_preview_of_objects() {
        return Ok(Cow::Borrowed(task));
    }
    let mut missing = Vec::new();
    for namespace in place.namespaces {
        if !is_there(client, place.site, namespace).await? {
            missing.push(namespace.clone());
        }
    }
    Ok(Cow::Owned(task.clone().without(missing)))
}
