//! What runs pods in a namespace: one list per kind, and many changes side by side.

use crate::{
    asking::ask,
    error::{Error, ErrorContext as _, Result, is_conflict, is_not_found},
};
use futures::{
    StreamExt as _,
    stream::{self, FuturesUnordered},
};
use k8s_openapi::api::core::v1::{Pod, PodTemplate};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::{DynamicObject, GroupVersionKind},
};
use p861_core::{
    names,
    objects::{self, Pace, Runner},
};
use p861_crds::names::{FIELD_MANAGER, ROLE_LABEL, RUN_LABEL};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Kinds that are listed at once.
const PARALLEL_LISTS: usize = 16;
/// A look is followed by a pause of so many times what it took, so that waiting costs the API server little.
const PAUSE_PER_LOOK: u32 = 4;
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Value of the role label on the kept manifest of a pod.
const LABEL_VALUE_KEPT: &str = "stopped";
/// Longest name of a kept manifest, without its prefix.
const MAX_KEPT_NAME: usize = 200;

/// Measures a look at the world, for the pause after it.
pub struct Look(Instant);

impl Look {
    /// It begins.
    pub fn begins() -> Self {
        Self(Instant::now())
    }

    /// Waits in proportion to what it took.
    pub async fn pause(self) {
        tokio::time::sleep((self.0.elapsed() * PAUSE_PER_LOOK).min(LONGEST_PAUSE)).await;
    }
}

fn resource(runner: Runner) -> ApiResource {
    let (group, version, kind, plural) = runner.names();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// All objects of these kinds in a namespace, one list for each kind.
pub async fn list(client: &Client, namespace: &str, runners: impl IntoIterator<Item = Runner>) -> Result<Vec<Value>> {
    let lists = stream::iter(runners).map(|runner| list_kind(client, namespace, runner)).buffered(PARALLEL_LISTS);
    let lists: Vec<Result<Vec<Value>>> = lists.collect().await;
    Ok(lists.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

async fn list_kind(client: &Client, namespace: &str, runner: Runner) -> Result<Vec<Value>> {
    let resource = resource(runner);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let what = || format!("list the {} of {namespace}", resource.plural);
    let found = api.list(&ListParams::default()).await.context(what)?;
    let value = |object: DynamicObject| -> Result<Value> {
        let mut value = serde_json::to_value(object).map_err(|error| Error::Internal(format!("{}: {error}", what())))?;
        // An item of a list doesn't say what it is.
        value["apiVersion"] = json!(resource.api_version);
        value["kind"] = json!(resource.kind);
        Ok(value)
    };
    found.items.into_iter().map(value).collect()
}

/// Patches objects of a namespace side by side, as many at once as the API server takes; one that is gone needs none. All are tried, whatever becomes of one.
pub async fn patch(client: &Client, namespace: &str, patches: Vec<(Runner, String, Value)>) -> Result<()> {
    let pace = Mutex::new(Pace::default());
    let (mut under_way, mut all) = (FuturesUnordered::new(), Ok(()));
    let mut note = |done: Result<()>| all = std::mem::replace(&mut all, Ok(())).and(done);
    for (runner, name, patch) in patches {
        while under_way.len() >= pace.lock().at_once() {
            match under_way.next().await {
                Some(done) => note(done),
                None => break,
            }
        }
        under_way.push(patch_one(client, &pace, namespace, runner, name, patch));
    }
    while let Some(done) = under_way.next().await {
        note(done);
    }
    drop(under_way);
    all
}

async fn patch_one(client: &Client, pace: &Mutex<Pace>, namespace: &str, runner: Runner, name: String, patch: Value) -> Result<()> {
    let resource = resource(runner);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let (what, patch) = (|| format!("change {}/{name} in {namespace}", runner.kind()), Patch::Merge(patch));
    match ask(pace, what, || api.patch(&name, &parameters, &patch)).await? {
        Err(status) if status.code != 404 => Err(Error::Kube { what: what(), source: Box::new(kube::Error::Api(status)) }),
        _ => Ok(()),
    }
}

/// What starts objects that are stopped, by kind and name.
pub fn starts<'a>(found: impl IntoIterator<Item = &'a Value>) -> Vec<(Runner, String, Value)> {
    let start = |object: &Value| Some((Runner::of(object)?, objects::name(object).to_owned(), objects::start(object)?));
    found.into_iter().filter_map(start).collect()
}

/// Deletes bare pods, and makes each again, held, once it is gone. Its manifest is kept as a PodTemplate meanwhile, so that a crash loses none.
pub async fn remake(client: &Client, namespace: &str, run: &str, remakes: Vec<(String, Value)>) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let templates: Api<PodTemplate> = Api::namespaced(client.clone(), namespace);
    for (uid, again) in remakes {
        let name = objects::name(&again).to_owned();
        let document = json!({
            "apiVersion": "v1", "kind": "PodTemplate",
            "metadata": {"name": kept_name(&name), "labels": {ROLE_LABEL: LABEL_VALUE_KEPT, RUN_LABEL: run}},
            "template": {"metadata": again["metadata"], "spec": again["spec"]},
        });
        let kept: PodTemplate = serde_json::from_value(document).map_err(|error| Error::Internal(format!("pod {namespace}/{name}: {error}")))?;
        let what = || format!("keep the manifest of pod {namespace}/{name}");
        match templates.create(&PostParams::default(), &kept).await {
            // Kept by an earlier run that never brought its pod back: the pod that is there now is another.
            Err(error) if is_conflict(&error) => {
                match templates.delete(&kept_name(&name), &DeleteParams::default()).await {
                    Err(error) if !is_not_found(&error) => return Err(error).context(what),
                    _ => {}
                }
                templates.create(&PostParams::default(), &kept).await.context(what)?;
            }
            created => drop(created.context(what)?),
        }
        // With its UID: another pod of that name is another's.
        let this = DeleteParams { preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }), ..DeleteParams::default() };
        match pods.delete(&name, &this).await {
            Err(error) if !is_not_found(&error) && !is_conflict(&error) => {
                return Err(error).context(|| format!("stop pod {namespace}/{name}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes pods again whose manifest is kept: held, or to run. Returns how many are not there yet.
pub async fn bring_back(client: &Client, namespace: &str, found: &[Value], held: bool) -> Result<usize> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let templates: Api<PodTemplate> = Api::namespaced(client.clone(), namespace);
    let kept = templates.list(&ListParams::default().labels(&format!("{ROLE_LABEL}={LABEL_VALUE_KEPT}"))).await;
    let mut missing = 0;
    for template in kept.context(|| format!("list the kept pods of {namespace}"))?.items {
        let again = pod_of(&template, namespace);
        let name = objects::name(&again).to_owned();
        let there = found.iter().find(|object| Runner::of(object) == Some(Runner::Pod) && objects::name(object) == name);
        if there.is_some_and(|pod| pod.pointer("/metadata/deletionTimestamp").is_some()) {
            missing += 1;
            continue;
        }
        // Deleted in this pass, or the pod was not yet asked to go: the next look says so.
        if there.is_some_and(|pod| held && !objects::is_stopped(pod)) {
            missing += 1;
            continue;
        }
        if there.is_none() {
            let again = match objects::start(&again).filter(|_| !held) {
                Some(start) => objects::merged(again, &start),
                None => again,
            };
            let pod: Pod = serde_json::from_value(again).map_err(|error| Error::Internal(format!("pod {namespace}/{name}: {error}")))?;
            match pods.create(&PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }, &pod).await {
                Err(error) if !is_conflict(&error) => return Err(error).context(|| format!("make pod {namespace}/{name} again")),
                _ => {}
            }
            missing += 1;
            continue;
        }
        match templates.delete(&template.name_any(), &DeleteParams::default()).await {
            Err(error) if !is_not_found(&error) => return Err(error).context(|| format!("remove the kept manifest of pod {namespace}/{name}")),
            _ => {}
        }
    }
    Ok(missing)
}

fn kept_name(pod: &str) -> String {
    format!("p861-stopped-{}", names::bounded(pod, MAX_KEPT_NAME))
}

/// The held pod whose manifest a template keeps.
fn pod_of(template: &PodTemplate, namespace: &str) -> Value {
    let kept = serde_json::to_value(&template.template).unwrap_or_default();
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": kept["metadata"], "spec": kept["spec"]});
    pod["metadata"]["namespace"] = json!(namespace);
    pod
}

/// The first few of a list, and how many more there are.
pub fn first_of(all: &[String], most: usize) -> String {
    let named = all.iter().take(most).cloned().collect::<Vec<_>>().join("; ");
    if all.len() > most { format!("{named}; and {} more", all.len() - most) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_a_message_is_bounded() {
        let all: Vec<String> = (1..=7).map(|number| number.to_string()).collect();
        assert_eq!(first_of(&all, 5), "1; 2; 3; 4; 5; and 2 more");
        assert_eq!(first_of(&all[..2], 5), "1; 2");
    }

    #[test]
    fn a_kept_pod_comes_back_as_it_was_held() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": "n", "labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let objects::Stop::Remake(again) = objects::stop(&pod) else { panic!("a bare pod is made again") };
        let kept: PodTemplate =
            serde_json::from_value(json!({"metadata": {"name": kept_name("bare")}, "template": {"metadata": again["metadata"], "spec": again["spec"]}}))
                .unwrap();
        assert_eq!(pod_of(&kept, "n"), again);
        let started = objects::merged(again.clone(), &objects::start(&again).unwrap());
        assert_eq!(started["spec"]["containers"], pod["spec"]["containers"]);
    }
}
