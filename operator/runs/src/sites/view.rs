//! What the applications of a site stand on, read in one go for all of them: namespaces, claims and workloads. Two thousand applications would ask for them one
//! by one otherwise, twice a minute.

use super::{Sites, list_all, pods::WorkloadState};
use crate::error::{Category, Error, Result};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    core::v1::{Namespace, PersistentVolumeClaim},
};
use kube::{Api, Client, ResourceExt as _};
use p861_crds::{WorkloadKind, WorkloadReference};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A view that is older than this is not shown.
pub const VIEW_TTL: Duration = Duration::from_secs(25);
/// What is missing, or in a bad way, is last for again in a view that is no older than this.
pub const VIEW_RECHECK_TTL: Duration = Duration::from_secs(2);
/// A site that does not show everything within this time counts as unreachable.
const VIEW_TIMEOUT: Duration = Duration::from_secs(30);

/// A site, as it was a moment ago.
#[derive(Debug)]
pub struct View {
    /// Namespaces that are not on their way out, with their labels.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    claims: HashMap<String, Vec<String>>,
    workloads: HashMap<(WorkloadKind, String, String), WorkloadState>,
}

impl View {
    /// The names of a namespace's claims. None: there is no such namespace.
    pub fn claims(&self, namespace: &str) -> Option<Vec<String>> {
        self.namespaces.contains_key(namespace).then(|| self.claims.get(namespace).cloned().unwrap_or_default())
    }

    /// A workload. None: it doesn't exist.
    pub fn workload(&self, namespace: &str, reference: &WorkloadReference) -> Option<&WorkloadState> {
        self.workloads.get(&(reference.kind, namespace.to_owned(), reference.name.clone()))
    }
}

/// The last view of each site, or why there was none. Whoever comes while it is being read waits for it.
#[derive(Clone, Default)]
pub struct Views {
    sites: Arc<Mutex<HashMap<String, SharedView>>>,
}

/// The last look at a site; one pass at a time takes it.
type SharedView = Arc<tokio::sync::Mutex<Option<ViewResult>>>;

struct ViewResult {
    at: Instant,
    seen: std::result::Result<Arc<View>, (&'static str, String, Category)>,
}

impl Sites {
    /// A view of a site that is no older than `age`. That it can't be seen is remembered for [`VIEW_TTL`]: its applications don't wait for it one after another.
    pub async fn view(&self, site: &str, age: Duration) -> Result<Arc<View>> {
        let place = self.views.sites.lock().unwrap_or_else(PoisonError::into_inner).entry(site.to_owned()).or_default().clone();
        let mut last = place.lock().await;
        let fresh = last.as_ref().filter(|last| last.at.elapsed() < if last.seen.is_ok() { age } else { VIEW_TTL });
        if fresh.is_none() {
            let seen = read_with_timeout(self, site).await.map(Arc::new).map_err(|error| (error.reason(), error.to_string(), error.category()));
            *last = Some(ViewResult { at: Instant::now(), seen });
        }
        match last.as_ref().map(|last| &last.seen) {
            Some(Ok(view)) => Ok(view.clone()),
            Some(Err((reason, message, category))) => Err(Error::Stated { reason, message: message.clone(), category: *category }),
            None => Err(Error::Internal(format!("site {site} was not looked at"))),
        }
    }
}

async fn read_with_timeout(sites: &Sites, site: &str) -> Result<View> {
    let client = sites.client(site).await?;
    let read = tokio::time::timeout(VIEW_TIMEOUT, read(&client, site)).await;
    read.unwrap_or_else(|_| Err(Error::transient("Unreachable", format!("site {site} did not show its workloads within {VIEW_TIMEOUT:?}"))))
}

async fn read(client: &Client, site: &str) -> Result<View> {
    let namespaces = list_all(&Api::<Namespace>::all(client.clone()), || format!("the namespaces of {site}")).await?;
    let mut view = View { namespaces: BTreeMap::new(), claims: HashMap::new(), workloads: HashMap::new() };
    let staying = namespaces.into_iter().filter(|namespace| namespace.metadata.deletion_timestamp.is_none());
    view.namespaces.extend(staying.map(|namespace| (namespace.name_any(), namespace.metadata.labels.unwrap_or_default())));
    for claim in list_all(&Api::<PersistentVolumeClaim>::all(client.clone()), || format!("the claims of {site}")).await? {
        view.claims.entry(claim.namespace().unwrap_or_default()).or_default().push(claim.name_any());
    }
    let mut add = |kind, namespace: Option<String>, name: String, state| view.workloads.insert((kind, namespace.unwrap_or_default(), name), state);
    for found in list_all(&Api::<Deployment>::all(client.clone()), || format!("the Deployments of {site}")).await? {
        add(WorkloadKind::Deployment, found.namespace(), found.name_any(), found.into());
    }
    for found in list_all(&Api::<StatefulSet>::all(client.clone()), || format!("the StatefulSets of {site}")).await? {
        add(WorkloadKind::StatefulSet, found.namespace(), found.name_any(), found.into());
    }
    for found in list_all(&Api::<DaemonSet>::all(client.clone()), || format!("the DaemonSets of {site}")).await? {
        add(WorkloadKind::DaemonSet, found.namespace(), found.name_any(), found.into());
    }
    Ok(view)
}
