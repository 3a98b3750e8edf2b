//! What runs pods in a namespace: one list per kind, and many changes side by side.

pub mod kept;

use crate::{
    asking::ask,
    decoding::WithWriters,
    error::{Error, Result},
    sites::for_each_of,
};
use futures::{
    StreamExt as _,
    stream::{self, FuturesUnordered},
};
use kube::{
    Api, Client,
    api::{ApiResource, ListParams, Patch, PatchParams},
    core::{DynamicObject, GroupVersionKind, Request},
};
use p861_core::objects::{self, Pace, Runner};
use p861_crds::names::FIELD_MANAGER;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Kinds that are listed at once.
const PARALLEL_LISTS: usize = 16;
/// A look is followed by a pause of so many times what it took, so that waiting costs the API server little.
const PAUSE_PER_LOOK: u32 = 4;
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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
    Ok(lists.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Page by page; of `managedFields` only what says who wrote an object.
async fn list_kind(client: &Client, namespace: &str, runner: Runner) -> Result<Vec<Value>> {
    let resource = resource(runner);
    let mut all = Vec::new();
    let take = |WithWriters(mut object): WithWriters| {
        if let Some(members) = object.as_object_mut() {
            // An item of a list doesn't say what it is.
            members.insert("apiVersion".into(), json!(resource.api_version));
            members.insert("kind".into(), json!(resource.kind));
        }
        all.push(object);
    };
    let what = || format!("{} of {namespace}", resource.plural);
    for_each_of(client, all_of(client, namespace, &resource).resource_url(), ListParams::default(), what, take).await?;
    Ok(all)
}

fn all_of(client: &Client, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, resource)
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
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let what = || format!("change {}/{name} in {namespace}", runner.kind());
    let (kind, patch) = (Request::new(all_of(client, namespace, &resource).resource_url()), Patch::Merge(patch));
    // Nobody reads what it has become.
    let send = || async { client.request_text(kind.patch(&name, &parameters, &patch).map_err(kube::Error::BuildRequest)?).await };
    match ask(pace, what, send).await? {
        Err(status) if status.code != 404 => Err(Error::Kube { what: what(), source: Box::new(kube::Error::Api(status)) }),
        _ => Ok(()),
    }
}

/// What starts objects that are stopped, by kind and name.
pub fn starts<'a>(found: impl IntoIterator<Item = &'a Value>) -> Vec<(Runner, String, Value)> {
    let start = |object: &Value| Some((Runner::of(object)?, objects::name(object).to_owned(), objects::start(object)?));
    found.into_iter().filter_map(start).collect()
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
}
