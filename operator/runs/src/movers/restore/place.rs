//! The place of one object on the site: the only way from here to its API server. What is deleted there needs a permission that only `core` gives.

use crate::{decoding, error::Result, object_path::in_path};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::{DynamicObject, Request, request},
};
use p861_core::objects::{self, MayReplace};
use p861_crds::names::FIELD_MANAGER;
use serde_json::Value;
use std::{collections::HashSet, convert::Infallible};

/// Names per page of a list.
const PAGE_SIZE: u32 = 500;

/// Where an object is, or will be. What is sent is the object's own JSON, and an answer is decoded only if it is asked for: of the tens of thousands that a restore
/// makes nobody reads them, and the site's API server may share this machine's processors.
#[derive(Clone)]
pub(super) struct Place {
    client: Client,
    /// Requests about its kind in its namespace.
    kind: Request,
    /// Its name as a segment of a path.
    segment: String,
}

fn parse(answer: &str) -> kube::Result<Value> {
    decoding::object(answer).map_err(kube::Error::SerdeError)
}

fn bytes(object: &Value) -> kube::Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(kube::Error::SerdeError)
}

fn written_by_us(dry_run: bool) -> PostParams {
    PostParams { dry_run, field_manager: Some(FIELD_MANAGER.into()) }
}

/// All objects of a kind in a namespace; of all namespaces, or of a kind that is in none, if it is empty.
fn all(client: &Client, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
    if namespace.is_empty() { Api::all_with(client.clone(), resource) } else { Api::namespaced_with(client.clone(), namespace, resource) }
}

impl Place {
    /// The place of an object of that kind.
    pub(super) fn of(client: &Client, resource: &ApiResource, object: &Value) -> Result<Self> {
        // A Namespace is in none.
        let kind = Request::new(all(client, resource, objects::namespace(object)).resource_url());
        Ok(Self { client: client.clone(), kind, segment: in_path(objects::name(object))?.into_owned() })
    }

    /// The answer to a request as text; a refusal is an error.
    async fn answer(&self, request: std::result::Result<http::Request<Vec<u8>>, request::Error>) -> kube::Result<String> {
        self.client.request_text(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// The object without its `managedFields`; none if it isn't there.
    pub(super) async fn get(&self) -> kube::Result<Option<Value>> {
        match self.answer(self.kind.get(&self.segment, &GetParams::default())).await {
            Ok(text) => parse(&text).map(Some),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn create(&self, object: &Value, dry_run: bool) -> kube::Result<()> {
        self.answer(self.kind.create(&written_by_us(dry_run), bytes(object)?)).await.map(drop)
    }

    /// Applies an object that is not there, which makes it. Unlike a creation, this is a right that can be given for one name. What somebody else has made
    /// meanwhile is a conflict.
    pub(super) async fn make(&self, object: &Value, dry_run: bool) -> kube::Result<()> {
        let parameters = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER) };
        self.answer(self.kind.patch(&self.segment, &parameters, &Patch::Apply(object))).await.map(drop)
    }

    pub(super) async fn apply(&self, object: &Value, dry_run: bool) -> kube::Result<Value> {
        let parameters = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).force() };
        parse(&self.answer(self.kind.patch(&self.segment, &parameters, &Patch::Apply(object))).await?)
    }

    /// Puts the object in the place of the one with its resourceVersion.
    pub(super) async fn update(&self, object: &Value, dry_run: bool) -> kube::Result<Value> {
        parse(&self.answer(self.kind.replace(&self.segment, &written_by_us(dry_run), bytes(object)?)).await?)
    }

    /// Merges labels and annotations.
    pub(super) async fn merge(&self, patch: &Value, dry_run: bool) -> kube::Result<()> {
        let parameters = PatchParams { dry_run, field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        self.answer(self.kind.patch(&self.segment, &parameters, &Patch::Merge(patch))).await.map(drop)
    }

    /// Deletes the one object that the permission is for. What it owns stays.
    pub(super) async fn delete(&self, permission: &MayReplace) -> kube::Result<()> {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            preconditions: Some(Preconditions { uid: Some(permission.uid().to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let segment = in_path(permission.name()).map_err(|error| kube::Error::Service(error.to_string().into()))?;
        self.answer(self.kind.delete(&segment, &parameters)).await.map(drop)
    }
}

/// The names of all objects of a kind in a namespace.
pub(super) async fn names(client: &Client, resource: &ApiResource, namespace: &str) -> kube::Result<HashSet<String>> {
    let kind = Request::new(all(client, resource, namespace).resource_url());
    let (mut names, mut token) = (HashSet::new(), None);
    loop {
        let parameters = ListParams { limit: Some(PAGE_SIZE), continue_token: token.take(), ..ListParams::default() };
        let page = client.request_text(kind.list_metadata(&parameters).map_err(kube::Error::BuildRequest)?).await?;
        let take = |object: Value| -> std::result::Result<(), Infallible> {
            names.insert(objects::name(&object).to_owned());
            Ok(())
        };
        let Ok(()) = decoding::each_item(&page, take).map_err(kube::Error::SerdeError)?;
        token = decoding::next_page(&page).map_err(kube::Error::SerdeError)?;
        if token.is_none() {
            return Ok(names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    #[tokio::test]
    async fn fault_g4_an_answer_is_decoded_only_if_somebody_reads_it() {
        let answer = |_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from(br#"{"kind":"ConfigMap","metadata":"#.to_vec()))) };
        let client = Client::new(tower::service_fn(answer), "n");
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}});
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
        let place = Place::of(&client, &resource, &map).expect("a place");
        assert!(place.create(&map, false).await.is_ok() && place.make(&map, false).await.is_ok() && place.merge(&json!({}), false).await.is_ok());
        let read = [place.get().await.map(drop), place.apply(&map, true).await.map(drop), place.update(&map, true).await.map(drop)];
        assert!(read.into_iter().all(|read| matches!(read, Err(kube::Error::SerdeError(_)))), "what is compared must be whole");
    }
}
