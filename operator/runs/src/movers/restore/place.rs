//! The place of one object on the site: the only way from here to its API server. What is deleted there needs a permission that only `core` gives.

use crate::{error::Result, object_path::in_path};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::DynamicObject,
};
use p861_core::objects::{self, MayReplace};
use p861_crds::names::FIELD_MANAGER;
use serde_json::Value;
use std::collections::HashSet;

/// Names per page of a list.
const PAGE_SIZE: u32 = 500;

/// Where an object is, or will be.
#[derive(Clone)]
pub(super) struct Place {
    client: Client,
    resource: ApiResource,
    /// Empty for a Namespace itself.
    namespace: String,
    /// Its name as a segment of a path.
    segment: String,
}

fn parse(object: &Value) -> kube::Result<DynamicObject> {
    serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)
}

fn print(object: DynamicObject) -> kube::Result<Value> {
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}

impl Place {
    /// The place of an object of that kind.
    pub(super) fn of(client: &Client, resource: &ApiResource, object: &Value) -> Result<Self> {
        let namespace = objects::namespace(object).to_owned();
        Ok(Self { client: client.clone(), resource: resource.clone(), namespace, segment: in_path(objects::name(object))?.into_owned() })
    }

    fn api(&self) -> Api<DynamicObject> {
        match self.namespace.as_str() {
            "" => Api::all_with(self.client.clone(), &self.resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
        }
    }

    pub(super) async fn get(&self) -> kube::Result<Option<Value>> {
        let api = self.api();
        api.get_opt(&self.segment).await?.map(print).transpose()
    }

    pub(super) async fn create(&self, object: &Value, dry_run: bool) -> kube::Result<()> {
        let api = self.api();
        api.create(&PostParams { dry_run, field_manager: Some(FIELD_MANAGER.into()) }, &parse(object)?).await.map(drop)
    }

    /// Applies an object that is not there, which makes it. Unlike a creation, this is a right that can be given for one name. What somebody else has made
    /// meanwhile is a conflict.
    pub(super) async fn make(&self, object: &Value, dry_run: bool) -> kube::Result<()> {
        let api = self.api();
        let parameters = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER) };
        api.patch(&self.segment, &parameters, &Patch::Apply(parse(object)?)).await.map(drop)
    }

    pub(super) async fn apply(&self, object: &Value, dry_run: bool) -> kube::Result<Value> {
        let api = self.api();
        let parameters = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).force() };
        print(api.patch(&self.segment, &parameters, &Patch::Apply(parse(object)?)).await?)
    }

    /// Puts the object in the place of the one with its resourceVersion.
    pub(super) async fn update(&self, object: &Value, dry_run: bool) -> kube::Result<Value> {
        let api = self.api();
        print(api.replace(&self.segment, &PostParams { dry_run, field_manager: Some(FIELD_MANAGER.into()) }, &parse(object)?).await?)
    }

    /// Merges labels and annotations.
    pub(super) async fn merge(&self, patch: &Value, dry_run: bool) -> kube::Result<()> {
        let api = self.api();
        let parameters = PatchParams { dry_run, field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        api.patch(&self.segment, &parameters, &Patch::Merge(patch)).await.map(drop)
    }

    /// Deletes the one object that the permission is for. What it owns stays.
    pub(super) async fn delete(&self, permission: &MayReplace) -> kube::Result<()> {
        let api = self.api();
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            preconditions: Some(Preconditions { uid: Some(permission.uid().to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let segment = in_path(permission.name()).map_err(|error| kube::Error::Service(error.to_string().into()))?;
        api.delete(&segment, &parameters).await.map(drop)
    }
}

/// The names of all objects of a kind in a namespace.
pub(super) async fn names(client: &Client, resource: &ApiResource, namespace: &str) -> kube::Result<HashSet<String>> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
    let (mut names, mut token) = (HashSet::new(), None);
    loop {
        let list = api.list_metadata(&ListParams { limit: Some(PAGE_SIZE), continue_token: token.take(), ..ListParams::default() }).await?;
        token = list.metadata.continue_.filter(|token| !token.is_empty());
        names.extend(list.items.into_iter().filter_map(|object| object.metadata.name));
        if token.is_none() {
            return Ok(names);
        }
    }
}
