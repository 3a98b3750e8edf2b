//! Saves the objects of a site: several kinds at once, each listed page by page, one line per object.

use super::{
    cluster,
    kinds::{discover, file_name},
    pieces::{Files, Lines, disk},
    work::{WorkError, broke_off},
};
use crate::{
    decoding,
    error::{Error, ErrorContext as _},
    sites::pods,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, ListParams},
    core::{DynamicObject, Request},
};
use p861_core::{
    engine::SavedKind,
    objects::{self, LeaveReason, LeftOutTally, NamespaceFacts, Runner, SaveDecision, StatusOwner},
};
use p861_crds::{
    Reason,
    platform::application::{ClusterResource, ObjectSelector},
    protection::backup::LeftOut,
};
use p861_vault::{Filled, Progress};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::Instant,
};
use tokio::sync::mpsc;

/// Objects per page of a list.
const PAGE_SIZE: u32 = 500;
/// Kinds that are listed at the same time.
const MAX_PARALLEL_LISTS: usize = 8;
/// Pages of a kind that are fetched, or wait, while another one is written: more would only fill the memory.
const PAGES_AHEAD: usize = 1;
/// Workloads that are named because they are not ready. A restore waits for the others.
const MAX_NOT_READY: usize = 200;

/// What was saved.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// Number of objects.
    pub objects: u64,
    /// Kinds that had any, sorted.
    pub kinds: Vec<SavedKind>,
    /// What was left out, by reason, with the first names of each.
    pub left_out: Vec<LeftOut>,
    /// The same with all names.
    pub named: Vec<LeftOut>,
    /// The first workloads that have not all of their pods ready, as a restore will know them: with namespace, kind and name.
    pub not_ready: Vec<String>,
}

/// What decides whether an object is saved, and as what. Objects are judged beside the task that asks for them.
struct Judge {
    exclude: Vec<ObjectSelector>,
    /// By namespace.
    facts: BTreeMap<String, NamespaceFacts>,
    /// Kinds whose objects have a status that is data, by group and kind.
    with_status: BTreeSet<(String, String)>,
    /// Workloads that have not all of their pods ready.
    not_ready: Mutex<BTreeSet<String>>,
}

/// What is listed, and where it goes.
struct Source<'a> {
    client: &'a Client,
    files: Arc<Files>,
    objects: AtomicU64,
    bytes: AtomicU64,
    on_progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// Where the objects of a kind go, below the folder.
fn place(folder: &str, resource: &ApiResource) -> PathBuf {
    Path::new(folder).join(file_name(resource))
}

/// Lists every namespaced kind and writes one line per object to `folder/<namespace>/<resource.group>.jsonl`; the Namespace itself to `namespaces.jsonl`, the
/// cluster-scoped objects to files under [`cluster::FOLDER`]. What is long is in several files, of which those after the first have a number at the end of their names.
/// Equal objects give equal files. Says of each file when it is whole. The folder is there, and empty.
///
/// # Errors
/// If the API server can't be read, a namespace doesn't exist, a cluster-scoped object may not be read, or `folder` can't be written.
pub async fn save(
    client: &Client,
    namespaces: &[String],
    cluster: &[ClusterResource],
    exclude: &[ObjectSelector],
    (folder, filled): (&Path, Sender<Filled>),
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Saved, WorkError> {
    let found = discover(client).await?;
    let (of_cluster, itself) = (cluster::by_kind(cluster)?, ApiResource::erase::<Namespace>(&()));
    let listed = found.kinds.iter().filter(|resource| objects::may_hold_user_objects(&resource.group, &resource.kind));
    let mut lists: Vec<(PathBuf, &String, &ApiResource)> =
        listed.flat_map(|resource| namespaces.iter().map(move |namespace| (place(namespace, resource), namespace, resource))).collect();
    // What comes first in the folder is listed first: what comes after it is told of no earlier.
    lists.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let expected = of_cluster.iter().map(|(resource, _)| place(cluster::FOLDER, resource));
    let expected = expected.chain(namespaces.iter().map(|namespace| place(namespace, &itself))).chain(lists.iter().map(|(place, ..)| place.clone()));
    let files = Arc::new(Files::new(folder, expected, filled));
    for place in namespaces.iter().map(String::as_str).chain((!of_cluster.is_empty()).then_some(cluster::FOLDER)) {
        let place = folder.join(place);
        std::fs::create_dir_all(&place).map_err(|error| disk(&place, &error))?;
    }
    let (objects, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut judge = Judge { exclude: exclude.to_vec(), facts: BTreeMap::new(), with_status: found.with_status, not_ready: Mutex::default() };
    let source = &Source { client, files, objects, bytes, on_progress };
    let mut left_out = LeftOutTally::default();
    for kinds in found.unanswered {
        left_out.note(LeaveReason::StaleDiscovery, kinds);
    }
    let (mut kinds, left) = source.save_cluster(&judge, of_cluster).await?;
    left_out.merge(left);
    for namespace in namespaces {
        let (kind, left) = source.save_namespace(&judge, namespace).await?;
        kinds.extend(kind);
        left_out.merge(left);
        judge.facts.insert(namespace.clone(), facts(client, namespace).await?);
    }
    let judge = &Arc::new(judge);
    let mut of_kinds = Vec::new();
    for (_, namespace, resource) in lists {
        of_kinds.push(source.save_kind(judge, namespace, resource));
    }
    let mut lists = stream::iter(of_kinds).buffer_unordered(MAX_PARALLEL_LISTS);
    while let Some((kind, left)) = lists.try_next().await? {
        kinds.extend(kind);
        left_out.merge(left);
    }
    source.files.all();
    kinds.sort();
    let not_ready = judge.not_ready.lock().iter().take(MAX_NOT_READY).cloned().collect();
    Ok(Saved { objects: source.objects.load(Ordering::Relaxed), kinds, left_out: left_out.listed(), named: left_out.named(), not_ready })
}

/// Which Services of a namespace select pods: what follows from those is not saved.
async fn facts(client: &Client, namespace: &str) -> Result<NamespaceFacts, WorkError> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let mut facts = NamespaceFacts::default();
    let mut parameters = ListParams { limit: Some(PAGE_SIZE), ..ListParams::default() };
    loop {
        let page = services.list(&parameters).await.context(|| format!("list services in {namespace}"))?;
        let selects = |service: &Service| service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|selector| !selector.is_empty());
        facts.services.extend(page.items.iter().map(|service| (service.name_any(), selects(service))));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(facts),
        }
    }
}

/// Whether it is a workload of the application itself that has not the pods that it wants. What controllers make is their matter.
fn is_down(object: &Value) -> bool {
    let keeps_ready = Runner::of(object).is_some_and(Runner::keeps_ready) && objects::controller(object).is_none();
    keeps_ready && pods::state_of(object).is_some_and(|state| !pods::is_up(object, &state))
}

impl Judge {
    fn judge(&self, namespace: &str, resource: &ApiResource, mut object: Value) -> SaveDecision {
        if let Some(object) = object.as_object_mut() {
            // The items of a list don't say it.
            object.insert("apiVersion".into(), json!(resource.api_version));
            object.insert("kind".into(), json!(resource.kind));
        }
        if is_down(&object) {
            self.not_ready.lock().insert(format!("{namespace}/{}/{}", resource.kind, objects::name(&object)));
        }
        let nothing = NamespaceFacts::default();
        let is_data = self.with_status.contains(&(resource.group.clone(), resource.kind.clone()));
        let status = if is_data { StatusOwner::Writer } else { StatusOwner::Controller };
        objects::judge(object, &self.exclude, self.facts.get(namespace).unwrap_or(&nothing), status)
    }
}

impl Source<'_> {
    fn tell(&self, lines: u64, bytes: u64) {
        let items_done = self.objects.fetch_add(lines, Ordering::Relaxed) + lines;
        let bytes_done = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.on_progress)(Progress { items_done, items_total: None, bytes_done, bytes_total: None });
    }

    /// The cluster-scoped objects that the Application names, kind by kind. One that doesn't exist is noted: the backup is not what was asked for.
    async fn save_cluster(&self, judge: &Judge, named: Vec<(ApiResource, BTreeSet<String>)>) -> Result<(Vec<SavedKind>, LeftOutTally), WorkError> {
        let (mut kinds, mut left_out) = (Vec::new(), LeftOutTally::default());
        let since = Instant::now();
        for (resource, names) in named {
            let mut lines = self.lines(cluster::FOLDER, &resource);
            for name in names {
                let what = format!("{} {name}", resource.kind);
                let Some(object) = cluster::read(self.client, &resource, &name, since).await? else {
                    left_out.note(LeaveReason::Missing, what);
                    continue;
                };
                match judge.judge("", &resource, object) {
                    SaveDecision::Keep(object) => lines.write(&name, &objects::line(&object))?,
                    SaveDecision::Leave(why) => left_out.note(why, what),
                }
            }
            lines.finish()?;
            self.tell(lines.count, lines.bytes);
            kinds.extend(saved_kind("", &resource, &lines));
        }
        Ok((kinds, left_out))
    }

    /// The Namespace itself, with what people put on it.
    async fn save_namespace(&self, judge: &Judge, namespace: &str) -> Result<(Option<SavedKind>, LeftOutTally), WorkError> {
        let there = Api::<Namespace>::all(self.client.clone()).get(namespace).await.context(|| format!("read namespace {namespace}"))?;
        let resource = ApiResource::erase::<Namespace>(&());
        let object = serde_json::to_value(there).map_err(|error| WorkError::stated(Reason::ApiError, format!("namespace {namespace}: {error}"), true))?;
        let mut lines = self.lines(namespace, &resource);
        let mut left_out = LeftOutTally::default();
        match judge.judge(namespace, &resource, object) {
            SaveDecision::Keep(object) => lines.write(namespace, &objects::line(&object))?,
            SaveDecision::Leave(why) => left_out.note(why, format!("Namespace {namespace}")),
        }
        lines.finish()?;
        self.tell(lines.count, lines.bytes);
        Ok((saved_kind(namespace, &resource, &lines), left_out))
    }

    fn lines(&self, folder: &str, resource: &ApiResource) -> Lines {
        Lines::new(&self.files, place(folder, resource))
    }

    /// The objects of one kind in one namespace.
    async fn save_kind(&self, judge: &Arc<Judge>, namespace: &str, resource: &ApiResource) -> Result<(Option<SavedKind>, LeftOutTally), WorkError> {
        let (lines, left_out) = self.list_kind(judge, namespace, resource).await?;
        self.tell(lines.count, lines.bytes);
        Ok((saved_kind(namespace, resource, &lines), left_out))
    }

    /// Fetches the pages of a kind while those before are written. Decoding and judging keep a processor busy: on this task the other kinds' lists would wait for it.
    async fn list_kind(&self, judge: &Arc<Judge>, namespace: &str, resource: &ApiResource) -> Result<(Lines, LeftOutTally), WorkError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, resource);
        let list = Request::new(api.resource_url());
        let lines = self.lines(namespace, resource);
        let (judge, left_out) = (judge.clone(), LeftOutTally::default());
        let mut writing = Writing { judge, namespace: namespace.to_owned(), resource: resource.clone(), lines, left_out };
        let (pages, mut fetched) = mpsc::channel::<String>(PAGES_AHEAD);
        let fetch = async move {
            let mut token = None;
            // The next page is asked for once there is room for it. Without anybody who takes it, the writer says why.
            while let Ok(room) = pages.reserve().await {
                let Some(page) = self.page(&list, namespace, resource, token.take()).await? else { return Ok(()) };
                token = decoding::next_page(&page).map_err(|error| unreadable(namespace, resource, error))?;
                room.send(page);
                if token.is_none() {
                    return Ok(());
                }
            }
            Ok::<(), WorkError>(())
        };
        let write = tokio::task::spawn_blocking(move || {
            while let Some(page) = fetched.blocking_recv() {
                writing.page(&page)?;
            }
            Ok::<_, WorkError>(writing)
        });
        let (fetched, written) = tokio::join!(fetch, write);
        let Writing { mut lines, left_out, .. } = written.map_err(|error| broke_off(&error))??;
        fetched?;
        lines.finish()?;
        Ok((lines, left_out))
    }

    /// One page of a kind as text; none if the kind is gone.
    ///
    /// Whose token has expired is given another by the API server, with which the list goes on after the same name. It is then one of two moments; the lists of two kinds
    /// always are.
    async fn page(&self, list: &Request, namespace: &str, resource: &ApiResource, mut token: Option<String>) -> Result<Option<String>, WorkError> {
        let what = || format!("list {} in {namespace}", resource.plural);
        for has_expired in [false, true] {
            let parameters = ListParams { limit: Some(PAGE_SIZE), continue_token: token.take(), ..ListParams::default() };
            let request = list.list(&parameters).map_err(|error| WorkError::stated(Reason::InternalError, format!("{}: {error}", what()), true))?;
            match self.client.request_text(request).await {
                Ok(page) => return Ok(Some(page)),
                // Gone since discovery, or without a list method: there is none of it. (An aggregated API whose server is down answers 503, which is an error.)
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405) => return Ok(None),
                Err(kube::Error::Api(status)) if status.code == 410 && !has_expired => {
                    token = status.metadata.and_then(|metadata| metadata.continue_).filter(|token| !token.is_empty());
                    if token.is_none() {
                        break;
                    }
                }
                Err(kube::Error::Api(status)) if status.code == 410 => break,
                Err(error) => return Err(Error::Kube { what: what(), source: Box::new(error) }.into()),
            }
        }
        Err(WorkError::stated(Reason::ApiError, format!("{}: its continue token has expired: the API server answers too slowly", what()), false))
    }
}

fn unreadable(namespace: &str, resource: &ApiResource, error: serde_json::Error) -> WorkError {
    WorkError::Operator(Error::Kube { what: format!("list {} in {namespace}", resource.plural), source: Box::new(kube::Error::SerdeError(error)) })
}

/// The file of a kind while its pages come.
struct Writing {
    judge: Arc<Judge>,
    namespace: String,
    resource: ApiResource,
    lines: Lines,
    left_out: LeftOutTally,
}

impl Writing {
    /// Judges the objects of a page one by one as they are decoded, and writes those that are saved.
    fn page(&mut self, page: &str) -> Result<(), WorkError> {
        let mut kept: Vec<(String, String)> = Vec::new();
        let Self { judge, namespace, resource, lines, left_out } = self;
        let take = |object: Value| -> Result<(), WorkError> {
            let name = objects::name(&object).to_owned();
            match judge.judge(namespace, resource, object) {
                SaveDecision::Keep(object) => kept.push((name, objects::line(&object))),
                SaveDecision::Leave(why) => left_out.note(why, format!("{} {namespace}/{name}", resource.kind)),
            }
            Ok(())
        };
        decoding::each_item(page, take).map_err(|error| unreadable(namespace, resource, error))??;
        // Pages arrive sorted by name, so sorting each page sorts the whole.
        kept.sort();
        kept.iter().try_for_each(|(name, line)| lines.write(name, line))
    }
}

fn saved_kind(namespace: &str, resource: &ApiResource, lines: &Lines) -> Option<SavedKind> {
    let (group, version, kind) = (resource.group.clone(), resource.version.clone(), resource.kind.clone());
    (lines.count > 0).then(|| SavedKind { namespace: namespace.into(), group, kind, version, count: lines.count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_i5_a_backup_knows_which_workloads_were_not_ready() {
        let workload = |name: &str, wanted: i64, ready: i64| {
            json!({"metadata": {"name": name, "namespace": "n", "generation": 2},
                "spec": {"replicas": wanted, "selector": {"matchLabels": {"app": name}}, "template": {}, "serviceName": "s"},
                "status": {"observedGeneration": 2, "replicas": wanted, "updatedReplicas": ready, "readyReplicas": ready}})
        };
        let mut made = workload("web-5d", 1, 0);
        made["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": true}]);
        let judge = Judge { exclude: Vec::new(), facts: BTreeMap::new(), with_status: BTreeSet::new(), not_ready: Mutex::default() };
        let resource = |kind: &str, plural: &str| ApiResource {
            group: "apps".into(),
            version: "v1".into(),
            api_version: "apps/v1".into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        for (kind, plural, object) in [
            ("Deployment", "deployments", workload("up", 2, 2)),
            ("Deployment", "deployments", workload("down", 1, 0)),
            ("Deployment", "deployments", workload("off", 0, 0)),
            ("StatefulSet", "statefulsets", workload("db", 3, 2)),
            ("ReplicaSet", "replicasets", made),
        ] {
            judge.judge("n", &resource(kind, plural), object);
        }
        let found: Vec<String> = judge.not_ready.lock().iter().cloned().collect();
        assert_eq!(found, ["n/Deployment/down", "n/StatefulSet/db"]);
    }
}
