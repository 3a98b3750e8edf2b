//! What keeps a copy's namespace from ending: it is listed and told, and finalizers that nobody removes are removed.
//!
//! Only in namespaces with this drill's labels, and with a right that the operator has nowhere else: before it deletes a copy it binds a role to itself there. In
//! a namespace that is being deleted no binding can be made, and those that are there are deleted; so this one has a finalizer of ours until nothing else remains.

use crate::{
    effects::{account::own_subject, mover::run_name},
    error::{Category, Error, ErrorContext as _, Result, is_conflict, is_not_found},
    movers::{kinds::discover, work::WorkError},
    object_path::in_path,
};
use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::RoleBinding};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, ListParams, Patch, PatchParams},
    core::DynamicObject,
};
use p861_core::{
    ids::SiteName,
    objects::{self, Leftover},
};
use p861_crds::{
    Reason,
    names::{CLEANUP_FINALIZER, DRILL_LABEL, FIELD_MANAGER, RUN_LABEL},
};
use serde_json::{Value, json};

/// ClusterRole that the operator binds to itself in a copy that it deletes.
const CLEANER_ROLE: &str = "p861-site-cleaner";
/// Kinds that are looked at in one pass.
const MAX_KINDS: usize = 32;
/// Objects of one kind that are looked at in one pass; the next one sees those behind them.
const MAX_OBJECTS: u32 = 200;
/// Objects that a message names.
const MAX_NAMED: usize = 5;

/// Where a copy is cleaned up.
pub struct Place<'a> {
    /// Client of the site.
    pub client: &'a Client,
    /// The site.
    pub site: &'a SiteName,
    /// UID of the run.
    pub run: &'a str,
    /// Short id of the drill.
    pub drill: &'a str,
}

impl Place<'_> {
    fn binding(&self) -> String {
        format!("{}-cleaner", run_name(self.run))
    }

    fn is_ours(&self, namespace: &Namespace, uid: Option<&str>) -> Result<bool> {
        Ok(objects::is_copy_of(&value_of(namespace)?, (RUN_LABEL, self.run), (DRILL_LABEL, self.drill), uid))
    }

    /// Takes the right to clean up in a copy that is about to be deleted. A site whose chart is older has no such role: the copy is deleted without.
    pub async fn prepare(&self, namespace: &Namespace) -> Result<()> {
        if !self.is_ours(namespace, None)? {
            return Ok(());
        }
        let (cleaner, subject) = (self.binding(), own_subject(self.client, self.site).await?);
        let labels = json!({RUN_LABEL: self.run, DRILL_LABEL: self.drill});
        let document = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": cleaner, "labels": labels, "finalizers": [CLEANUP_FINALIZER]},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CLEANER_ROLE}, "subjects": [subject],
        });
        let space = namespace.name_any();
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), &space);
        let bound = bindings.patch(&cleaner, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(document)).await;
        let Err(error) = bound.context(|| format!("bind {CLEANER_ROLE} in {space} on {}", self.site)) else { return Ok(()) };
        let is_gone = error.reason() == Reason::NamespaceTerminating || matches!(&error, Error::Kube { source, .. } if is_not_found(source));
        if error.category() == Category::Transient && !is_gone {
            return Err(error);
        }
        tracing::warn!(namespace = space, "the copy is deleted without a right to remove finalizers: {error}");
        Ok(())
    }

    /// Looks at a namespace that is being deleted, and removes what only holds it up. Returns what still does, in words.
    pub async fn clear(&self, namespace: &Namespace) -> Result<Vec<String>> {
        let (space, found) = (namespace.name_any(), objects::remains(&value_of(namespace)?));
        let mut told = found.troubles;
        let is_all_seen = told.is_empty() && found.kinds.len() <= MAX_KINDS;
        if found.kinds.is_empty() || !self.is_ours(namespace, None)? {
            return Ok(told);
        }
        let (left, unread) = self.list(&space, &found.kinds).await?;
        let (own, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|(_, object)| self.is_own_binding(object));
        let pods_remain = others.iter().any(|(_, object)| objects::kind(object) == "Pod");
        let judged = others.iter().map(|(resource, object)| (resource, object, objects::leftover(object, pods_remain, Timestamp::now())));
        let (mut release, mut waits) = (Vec::new(), Vec::new());
        for (resource, object, judgement) in judged {
            match judgement {
                Leftover::Release(words) => {
                    release.push((resource, object));
                    waits.push(words);
                }
                Leftover::Wait(words) => waits.push(words),
            }
        }
        if !release.is_empty() && self.is_still_ours(namespace).await? {
            for (resource, object) in release {
                match self.remove_finalizers(resource, object).await {
                    Err(error) if error.is_unreachable() => return Err(error),
                    Err(error) => told.push(error.to_string()),
                    Ok(()) => {}
                }
            }
        }
        let nothing_else = waits.is_empty() && unread.is_empty() && is_all_seen;
        if nothing_else && !own.is_empty() && self.is_still_ours(namespace).await? {
            self.release_binding(&space).await?;
        }
        let more = waits.len().saturating_sub(MAX_NAMED);
        waits.truncate(MAX_NAMED);
        told.extend(waits);
        told.extend((more > 0).then(|| format!("{more} more objects")));
        told.extend(unread);
        Ok(told)
    }

    fn is_own_binding(&self, object: &Value) -> bool {
        (objects::group(object), objects::kind(object)) == ("rbac.authorization.k8s.io", "RoleBinding") && objects::name(object) == self.binding()
    }

    /// Lists what remains of these kinds. Also says, in words, of which kinds it can't be seen.
    async fn list(&self, space: &str, kinds: &[(String, String)]) -> Result<(Vec<(ApiResource, Value)>, Vec<String>)> {
        let served = discover(self.client).await.map_err(|error| match error {
            WorkError::Operator(error) => error,
            other => Error::transient(Reason::ApiError, format!("{}: {other}", self.site)),
        });
        let served = served?.kinds;
        let (mut left, mut unread) = (Vec::new(), Vec::new());
        for (plural, group) in kinds.iter().take(MAX_KINDS) {
            let Some(resource) = served.iter().find(|resource| resource.plural == *plural && resource.group == *group) else {
                unread.push(format!("{plural}.{group} remain and can't be listed: kubectl --context {} get apiservices", self.site));
                continue;
            };
            match self.list_kind(space, resource).await {
                Ok(found) => left.extend(found.into_iter().map(|object| (resource.clone(), object))),
                // The right is not known to every API server yet, or the site's chart has no such role.
                Err(error) if error.category() == Category::Refused => {
                    unread.push(format!("{plural}.{group} remain, and may not be listed ({error}): if this stays so, upgrade chart p861 on {}", self.site));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((left, unread))
    }

    async fn list_kind(&self, space: &str, resource: &ApiResource) -> Result<Vec<Value>> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), space, resource);
        let what = || format!("list the {} that remain in {space} on {}", resource.plural, self.site);
        let found = api.list_metadata(&ListParams::default().limit(MAX_OBJECTS)).await.context(what)?;
        let value = |metadata: &kube::core::ObjectMeta| json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata});
        Ok(found.items.iter().map(|object| value(&object.metadata)).collect())
    }

    /// Whether the namespace is still the one that was looked at: asked right before anything in it is changed.
    async fn is_still_ours(&self, before: &Namespace) -> Result<bool> {
        let name = before.name_any();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let now = namespaces.get_opt(&name).await.context(|| format!("read namespace {name} on {}", self.site))?;
        let Some(now) = now.filter(|now| now.metadata.deletion_timestamp.is_some()) else { return Ok(false) };
        self.is_ours(&now, before.metadata.uid.as_deref())
    }

    /// With the object's UID and version: if anything was done to it meanwhile, it is judged anew.
    async fn remove_finalizers(&self, resource: &ApiResource, object: &Value) -> Result<()> {
        let (space, name) = (objects::namespace(object), objects::name(object));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), space, resource);
        let same = |field: &str| object.pointer(&format!("/metadata/{field}")).cloned().unwrap_or_default();
        let patch = json!({"metadata": {"finalizers": null, "uid": same("uid"), "resourceVersion": same("resourceVersion")}});
        match api.patch(&in_path(name)?, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => {
                let finalizers = same("finalizers");
                tracing::warn!(namespace = space, kind = resource.kind, name, %finalizers, "finalizers were removed from what remains of a drill's copy");
                Ok(())
            }
            Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
            Err(error) => Err(error).context(|| format!("remove the finalizers of {} {name} in {space} on {}", resource.kind, self.site)),
        }
    }

    async fn release_binding(&self, space: &str) -> Result<()> {
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), space);
        let patch = json!({"metadata": {"finalizers": null}});
        match bindings.patch(&self.binding(), &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(error) if !is_not_found(&error) => Err(error).context(|| format!("give back the right to clean up in {space} on {}", self.site)),
            _ => Ok(()),
        }
    }
}

fn value_of(namespace: &Namespace) -> Result<Value> {
    serde_json::to_value(namespace).map_err(|error| Error::Internal(format!("a Namespace can't be written: {error}")))
}

#[cfg(test)]
#[path = "remains/tests.rs"]
mod tests;
