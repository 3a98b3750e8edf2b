//! Pods without an owner: they can only be stopped by deleting them, so their manifests are kept meanwhile.
//!
//! A manifest is kept as a PodTemplate in the product's own namespace on the site, where no tenant can write. The operator makes pods of what is kept, and admission lets
//! it make any pod, a mover's as well: were the manifest in the tenant's namespace, whoever can write PodTemplates there could have any pod made.

use crate::error::{Error, ErrorContext as _, Result, is_conflict, is_not_found};
use k8s_openapi::api::core::v1::{Pod, PodTemplate};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use p861_core::{
    names,
    objects::{self, Runner},
};
use p861_crds::{
    Reason,
    names::{FIELD_MANAGER, NAMESPACE_LABEL, ROLE_LABEL, RUN_LABEL},
};
use serde_json::{Value, json};

/// Value of the role label on the kept manifest of a pod.
const LABEL_VALUE_KEPT: &str = "stopped";
/// Beginning of the names of movers' accounts.
const MOVER_ACCOUNTS: &str = "p861-run-";

/// The kept pods of a run on a site.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// The site.
    pub client: &'a Client,
    /// The product's own namespace there.
    pub own: &'a str,
    /// UID of the run.
    pub run: &'a str,
}

impl Kept<'_> {
    fn templates(&self) -> Api<PodTemplate> {
        Api::namespaced(self.client.clone(), self.own)
    }

    fn name(&self, namespace: &str, pod: &str) -> String {
        format!("p861-stopped-{}", names::short_digest(&["stopped", self.run, namespace, pod], 12))
    }

    /// Deletes bare pods, and makes each again, held, once it is gone. Its manifest is kept meanwhile, so that a crash loses none.
    pub async fn remake(&self, namespace: &str, remakes: Vec<(String, Value)>) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        for (uid, again) in remakes {
            let pod = objects::name(&again).to_owned();
            self.keep(namespace, &pod, again).await?;
            // With its UID: another pod of that name is another's.
            let this = DeleteParams { preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }), ..DeleteParams::default() };
            match pods.delete(&pod, &this).await {
                Err(error) if !is_not_found(&error) && !is_conflict(&error) => {
                    return Err(error).context(|| format!("stop pod {namespace}/{pod}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn keep(&self, namespace: &str, pod: &str, again: Value) -> Result<()> {
        let again = plain(again, namespace)?;
        let name = self.name(namespace, pod);
        let templates = self.templates();
        let document = json!({
            "apiVersion": "v1", "kind": "PodTemplate",
            "metadata": {"name": name, "labels": {ROLE_LABEL: LABEL_VALUE_KEPT, RUN_LABEL: self.run, NAMESPACE_LABEL: namespace}},
            "template": {"metadata": again["metadata"], "spec": again["spec"]},
        });
        let kept: PodTemplate = serde_json::from_value(document).map_err(|error| Error::Internal(format!("pod {namespace}/{pod}: {error}")))?;
        let what = || format!("keep the manifest of pod {namespace}/{pod} in {}", self.own);
        match templates.create(&PostParams::default(), &kept).await {
            // Kept before, and the pod was not brought back: the pod that is there now is another.
            Err(error) if is_conflict(&error) => {
                match templates.delete(&name, &DeleteParams::default()).await {
                    Err(error) if !is_not_found(&error) => return Err(error).context(what),
                    _ => {}
                }
                templates.create(&PostParams::default(), &kept).await.map(drop).context(what)
            }
            Err(error) if is_not_found(&error) => {
                let message = format!(
                    "pod {namespace}/{pod} has no owner, so its manifest must be kept while it is stopped, and namespace {0} is not there: install the chart p861 \
                     there in namespace {0}",
                    self.own
                );
                Err(Error::invalid(Reason::NotFound, message))
            }
            created => created.map(drop).context(what),
        }
    }

    /// Makes the pods of a namespace again whose manifest this run has kept: held, or to run. Returns how many are not there yet.
    pub async fn bring_back(&self, namespace: &str, found: &[Value], held: bool) -> Result<usize> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let templates = self.templates();
        let ours = format!("{ROLE_LABEL}={LABEL_VALUE_KEPT},{RUN_LABEL}={},{NAMESPACE_LABEL}={namespace}", self.run);
        let kept = templates.list(&ListParams::default().labels(&ours)).await.context(|| format!("list the kept pods of {namespace} in {}", self.own))?;
        let mut missing = 0;
        for template in kept.items {
            let again = pod_of(&template, namespace, held)?;
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
}

/// A pod without what only the operator may give one: admission lets the operator make a mover, and would let it make this one.
fn plain(mut pod: Value, namespace: &str) -> Result<Value> {
    let account = pod.pointer("/spec/serviceAccountName").or_else(|| pod.pointer("/spec/serviceAccount")).and_then(Value::as_str).unwrap_or_default();
    if account.starts_with(MOVER_ACCOUNTS) {
        let message = format!(
            "pod {namespace}/{} has account {account}, which only movers have, and is none: it would not be made again. Delete it, or give it another account",
            objects::name(&pod)
        );
        return Err(Error::invalid(Reason::NotOurs, message));
    }
    if let Some(labels) = pod.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(ROLE_LABEL);
        labels.remove(RUN_LABEL);
    }
    pod["metadata"]["namespace"] = json!(namespace);
    Ok(pod)
}

/// The pod whose manifest a template keeps: held whatever the template says, or to run.
fn pod_of(template: &PodTemplate, namespace: &str, held: bool) -> Result<Value> {
    let kept = serde_json::to_value(&template.template).map_err(|error| Error::Internal(format!("PodTemplate {}: {error}", template.name_any())))?;
    let pod = plain(json!({"apiVersion": "v1", "kind": "Pod", "metadata": kept["metadata"], "spec": kept["spec"]}), namespace)?;
    if held {
        return Ok(objects::held(pod));
    }
    Ok(match objects::start(&pod) {
        Some(start) => objects::merged(pod, &start),
        None => pod,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Request, Response, StatusCode};
    use kube::client::Body;
    use parking_lot::Mutex;
    use std::{convert::Infallible, sync::Arc};

    fn template(name: &str, labels: &Value, template: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name, "labels": labels}, "template": template})
    }

    fn bare() -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": "n", "labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    }

    /// What was written to a site: each path with its document.
    type Written = Arc<Mutex<Vec<(String, Value)>>>;

    /// A site with these PodTemplates, each with its namespace, that notes what is written to it.
    fn site(kept: Vec<(&'static str, Value)>) -> (Client, Written) {
        let written = Written::default();
        let noted = written.clone();
        let server = move |request: Request<Body>| {
            let (kept, noted) = (kept.clone(), noted.clone());
            async move {
                let (head, body) = request.into_parts();
                let path = head.uri.path().to_owned();
                let answer = if head.method == Method::GET {
                    let query = head.uri.query().unwrap_or_default().replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
                    let selected = |item: &Value| {
                        let selector = query.split('&').find_map(|part| part.strip_prefix("labelSelector=")).unwrap_or_default();
                        selector.split(',').filter_map(|one| one.split_once('=')).all(|(key, value)| item["metadata"]["labels"][key] == value)
                    };
                    let here = |namespace: &str| path == "/api/v1/podtemplates" || path == format!("/api/v1/namespaces/{namespace}/podtemplates");
                    let items: Vec<&Value> = kept.iter().filter(|(namespace, item)| here(namespace) && selected(item)).map(|(_, item)| item).collect();
                    json!({"apiVersion": "v1", "kind": "PodTemplateList", "metadata": {}, "items": items})
                } else {
                    let body: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
                    noted.lock().push((format!("{} {path}", head.method), body.clone()));
                    body
                };
                Ok::<_, Infallible>(Response::builder().status(StatusCode::OK).body(Body::from(answer.to_string().into_bytes())).unwrap())
            }
        };
        (Client::new(tower::service_fn(server), "default"), written)
    }

    #[tokio::test]
    async fn fault_e23_no_pod_is_made_of_a_manifest_that_a_tenant_can_write() {
        let mover = json!({"metadata": {"name": "x", "labels": {ROLE_LABEL: "mover"}}, "spec": {"serviceAccountName": "p861-run-bcdfghjk", "containers": [{"name": "c", "image": "evil"}]}});
        let labels = json!({ROLE_LABEL: LABEL_VALUE_KEPT, RUN_LABEL: "run-1", NAMESPACE_LABEL: "shinan-a"});
        let (client, written) = site(vec![("shinan-a", template("x", &labels, &mover))]);
        let kept = Kept { client: &client, own: "p861-system", run: "run-1" };
        for held in [true, false] {
            assert_eq!(kept.bring_back("shinan-a", &[], held).await.unwrap(), 0);
        }
        assert_eq!(*written.lock(), []);
        // Neither is one of another run or for another namespace, nor what keeps a mover, wherever it is.
        let of = |run: &str, namespace: &str| json!({ROLE_LABEL: LABEL_VALUE_KEPT, RUN_LABEL: run, NAMESPACE_LABEL: namespace});
        let pod = json!({"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let others = vec![("p861-system", template("a", &of("run-2", "shinan-a"), &pod)), ("p861-system", template("b", &of("run-1", "shinan-b"), &pod))];
        let (client, written) = site(others);
        assert_eq!(Kept { client: &client, ..kept }.bring_back("shinan-a", &[], false).await.unwrap(), 0);
        assert_eq!(*written.lock(), []);
        let (client, written) = site(vec![("p861-system", template("x", &labels, &mover))]);
        let refused = Kept { client: &client, ..kept }.bring_back("shinan-a", &[], false).await.unwrap_err();
        assert!(refused.reason() == Reason::NotOurs && refused.to_string().contains("p861-run-bcdfghjk"), "{refused}");
        assert_eq!(*written.lock(), []);
    }

    #[tokio::test]
    async fn fault_e23_a_bare_pod_is_kept_where_no_tenant_writes_and_comes_back_as_it_was() {
        let objects::Stop::Remake(again) = objects::stop(&bare()) else { panic!("a bare pod is made again") };
        let (client, written) = site(Vec::new());
        let kept = Kept { client: &client, own: "p861-system", run: "run-1" };
        kept.remake("n", vec![("uid-1".into(), again.clone())]).await.unwrap();
        let written = written.lock().clone();
        assert_eq!(
            written.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>(),
            ["POST /api/v1/namespaces/p861-system/podtemplates", "DELETE /api/v1/namespaces/n/pods/bare"]
        );
        let template: PodTemplate = serde_json::from_value(written[0].1.clone()).unwrap();
        assert_eq!(pod_of(&template, "n", true).unwrap(), again);
        assert_eq!(pod_of(&template, "n", false).unwrap()["spec"]["containers"], bare()["spec"]["containers"]);
        // While data is written it is held, whatever the template says.
        let mut running = template;
        running.template.as_mut().unwrap().spec.as_mut().unwrap().scheduling_gates = None;
        assert!(objects::is_stopped(&pod_of(&running, "n", true).unwrap()));
    }

    #[test]
    fn fault_e23_a_pod_that_is_made_again_has_nothing_of_a_mover() {
        let mut pod = bare();
        pod["metadata"]["labels"] = json!({ROLE_LABEL: "mover", RUN_LABEL: "run-1", "a": "b"});
        assert_eq!(plain(pod.clone(), "n").unwrap()["metadata"]["labels"], json!({"a": "b"}));
        for field in ["serviceAccountName", "serviceAccount"] {
            pod["spec"] = json!({field: "p861-run-bcdfghjk"});
            assert!(plain(pod.clone(), "n").is_err(), "{field}");
        }
    }
}
