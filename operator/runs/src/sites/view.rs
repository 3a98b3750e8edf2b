//! Namespaces, claims and workloads of a site, read at once for all applications. Otherwise two thousand applications would each request theirs twice a minute.

use super::{Sites, for_each, pods::WorkloadState};
use crate::error::{Category, Error, Result};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    core::v1::{Namespace, PersistentVolumeClaim},
};
use kube::{Api, Client, Resource, ResourceExt as _, api::ListParams};
use p861_core::{ids::SiteName, protection::volumes::is_of_run, runs::AllottedSite};
use p861_crds::{Reason, WorkloadKind, WorkloadReference};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// Largest age of a view, and how long a failure to read one is remembered.
pub const VIEW_TTL: Duration = Duration::from_secs(25);
/// Largest age of a view on which an object is reported as missing or unhealthy.
pub const VIEW_RECHECK_TTL: Duration = Duration::from_secs(2);
/// Time limit for reading a view; after it the site counts as unreachable.
const VIEW_TIMEOUT: Duration = Duration::from_secs(30);

/// Snapshot of a site.
#[derive(Debug)]
pub struct View {
    /// Labels of namespaces that are not being deleted.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    claims: HashMap<String, Vec<String>>,
    workloads: HashMap<(WorkloadKind, String, String), WorkloadState>,
}

impl View {
    /// The names of a namespace's claims; None if the namespace doesn't exist.
    pub fn claims(&self, namespace: &str) -> Option<Vec<String>> {
        self.namespaces.contains_key(namespace).then(|| self.claims.get(namespace).cloned().unwrap_or_default())
    }

    /// A workload; None if it doesn't exist.
    pub fn workload(&self, namespace: &str, reference: &WorkloadReference) -> Option<&WorkloadState> {
        self.workloads.get(&(reference.kind, namespace.to_owned(), reference.name.clone()))
    }
}

/// The last view of each site, or the error of reading it. Concurrent callers wait for the one that reads.
#[derive(Clone, Default)]
pub struct Views {
    sites: Arc<Mutex<HashMap<SiteName, SharedView>>>,
}

/// The last result of a site, behind a lock: one caller reads at a time.
type SharedView = Arc<tokio::sync::Mutex<Option<ViewResult>>>;

struct ViewResult {
    at: Instant,
    seen: std::result::Result<Arc<View>, (Reason, String, Category)>,
}

impl Sites {
    /// A view of a site that is no older than `age`. A failure is remembered for [`VIEW_TTL`], so that applications don't wait for a dead site one after
    /// another.
    ///
    /// # Errors
    /// `Unreachable` if the site doesn't answer within 30 seconds; otherwise the API server's error.
    pub async fn view(&self, site: &AllottedSite, age: Duration) -> Result<Arc<View>> {
        let place = self.views.sites.lock().entry((**site).clone()).or_default().clone();
        let mut last = place.lock().await;
        let fresh = last.as_ref().filter(|last| last.at.elapsed() < if last.seen.is_ok() { age } else { VIEW_TTL });
        if fresh.is_none() {
            let seen = read_with_timeout(self, site).await.map(Arc::new).map_err(|error| (error.reason(), error.to_string(), error.category()));
            *last = Some(ViewResult { at: Instant::now(), seen });
        }
        match last.as_ref().map(|last| &last.seen) {
            Some(Ok(view)) => Ok(view.clone()),
            Some(Err((reason, message, category))) => Err(Error::Stated { reason: reason.clone(), message: message.clone(), category: *category }),
            None => Err(Error::Internal(format!("site {site} was not looked at"))),
        }
    }
}

async fn read_with_timeout(sites: &Sites, site: &AllottedSite) -> Result<View> {
    let client = sites.client(site).await?;
    let read = tokio::time::timeout(VIEW_TIMEOUT, read(&client, site)).await;
    read.unwrap_or_else(|_| Err(Error::transient(Reason::Unreachable, format!("site {site} did not show its workloads within {VIEW_TIMEOUT:?}"))))
}

/// Reads everything page by page: of each object only what the view has stays in memory.
async fn read(client: &Client, site: &SiteName) -> Result<View> {
    let mut view = View { namespaces: BTreeMap::new(), claims: HashMap::new(), workloads: HashMap::new() };
    let add = |namespace: Namespace| {
        if namespace.metadata.deletion_timestamp.is_none() {
            view.namespaces.insert(namespace.name_any(), namespace.metadata.labels.unwrap_or_default());
        }
    };
    for_each(&Api::<Namespace>::all(client.clone()), ListParams::default(), || format!("the namespaces of {site}"), add).await?;
    let add = |claim: PersistentVolumeClaim| {
        if !is_of_run(claim.labels()) {
            view.claims.entry(claim.namespace().unwrap_or_default()).or_default().push(claim.name_any());
        }
    };
    for_each(&Api::<PersistentVolumeClaim>::all(client.clone()), ListParams::default(), || format!("the claims of {site}"), add).await?;
    add_workloads::<Deployment>(client, site, WorkloadKind::Deployment, &mut view).await?;
    add_workloads::<StatefulSet>(client, site, WorkloadKind::StatefulSet, &mut view).await?;
    add_workloads::<DaemonSet>(client, site, WorkloadKind::DaemonSet, &mut view).await?;
    Ok(view)
}

async fn add_workloads<K>(client: &Client, site: &SiteName, kind: WorkloadKind, view: &mut View) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Into<WorkloadState>,
{
    let add = |found: K| {
        let (namespace, name) = (found.namespace().unwrap_or_default(), found.name_any());
        view.workloads.insert((kind, namespace, name), found.into());
    };
    for_each(&Api::<K>::all(client.clone()), ListParams::default(), || format!("the {kind}s of {site}"), add).await
}
