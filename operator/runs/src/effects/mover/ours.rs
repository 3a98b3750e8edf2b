//! Whether what has a mover's name is a mover's. A tenant who may make Jobs, accounts or bindings in a namespace can work out the names that this product will use there.
//!
//! Only the operator may write the role label and the account of movers: the site's admission policies `p861-movers` and `p861-mover-accounts` refuse them to others. So
//! these, and no name, tell whose a Job or a pod is.

use super::{LABEL_VALUE_MOVER, run_name};
use crate::error::{Error, ErrorContext as _, Result};
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Pod, PodSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use p861_core::ids::SiteName;
use p861_crds::{
    Reason,
    names::{FIELD_MANAGER, ROLE_LABEL, RUN_LABEL, STEP_LABEL},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

fn has(metadata: &ObjectMeta, label: &str, value: &str) -> bool {
    metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|own| own == value)
}

fn is_of(metadata: &ObjectMeta, pod: Option<&PodSpec>, run: &str, step: &str) -> bool {
    let account = pod.and_then(|pod| pod.service_account_name.as_deref());
    has(metadata, ROLE_LABEL, LABEL_VALUE_MOVER) && has(metadata, RUN_LABEL, run) && has(metadata, STEP_LABEL, step) && account == Some(run_name(run).as_str())
}

/// Whether the operator has made the Job for this step (by its label) of this run.
pub fn is_job(job: &Job, run: &str, step: &str) -> bool {
    is_of(&job.metadata, job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()), run, step)
}

/// Whether it is a pod of such a Job.
pub fn is_pod(pod: &Pod, run: &str, step: &str) -> bool {
    is_of(&pod.metadata, pod.spec.as_ref(), run, step)
}

/// Whether it is a pod of this Job, which is a mover's: by the labels and the account that the Job gives its pods.
pub fn is_pod_of(pod: &Pod, job: &Job) -> bool {
    let label = |name: &str| job.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str).unwrap_or_default();
    is_pod(pod, label(RUN_LABEL), label(STEP_LABEL))
}

/// What says that something stands in the way under a name of ours, and what to do.
pub fn in_the_way(kind: &str, metadata: &ObjectMeta, site: &str, why: &str) -> Error {
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let message = format!(
        "{kind} {namespace}/{name} on {site} was not made by the operator: {why}. It is neither trusted nor used. Find out who made it, delete it \
         (kubectl delete {} -n {namespace} {name}), and try the step again",
        kind.to_ascii_lowercase()
    );
    Error::invalid(Reason::NotOurs, message)
}

/// The Job, if it is this step's.
///
/// # Errors
/// That another has its name.
pub fn job(job: Job, site: &str, run: &str, step: &str) -> Result<Job> {
    if is_job(&job, run, step) {
        return Ok(job);
    }
    Err(in_the_way("Job", &job.metadata, site, "it has the name of this step's mover, and not its labels and account"))
}

/// Applies an object of a mover, and looks at what is there then: one that somebody made before under its name keeps what they gave it, and can outlive the run.
///
/// # Errors
/// That it is another's, or that the API server refuses.
pub async fn apply<K>(api: &Api<K>, (site, namespace, name): (&SiteName, &str, &str), document: Value) -> Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let kind = K::kind(&());
    let force = PatchParams::apply(FIELD_MANAGER).force();
    let made = match api.patch(name, &force, &Patch::Apply(document)).await {
        Err(kube::Error::Api(status)) if status.code == 422 => {
            let metadata = ObjectMeta { name: Some(name.to_owned()), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() };
            return Err(in_the_way(&kind, &metadata, site.as_str(), &format!("it can't be changed ({})", status.message)));
        }
        made => made.context(|| format!("make {kind} {namespace}/{name} of the mover on {site}"))?,
    };
    if !made.finalizers().is_empty() {
        return Err(in_the_way(&kind, made.meta(), site.as_str(), "it has finalizers, by which it would outlive the run"));
    }
    if !made.owner_references().is_empty() {
        return Err(in_the_way(&kind, made.meta(), site.as_str(), "it has an owner, with which it would be deleted"));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use k8s_openapi::api::rbac::v1::RoleBinding;
    use kube::{Client, client::Body};
    use p861_core::objects;
    use serde_json::json;
    use std::convert::Infallible;

    fn labels() -> Value {
        json!({ROLE_LABEL: "mover", RUN_LABEL: "run-1", STEP_LABEL: "s1"})
    }

    fn job_with(labels: &Value, account: &str) -> Job {
        serde_json::from_value(json!({"metadata": {"name": "p861-files-x-1", "namespace": "shinan-a", "labels": labels},
            "spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": [], "serviceAccountName": account}}}}))
        .unwrap()
    }

    #[test]
    fn fault_e24_a_job_that_somebody_made_first_under_a_movers_name_answers_for_nothing() {
        let account = run_name("run-1");
        assert!(job(job_with(&labels(), &account), "home", "run-1", "s1").is_ok());
        for (what, labels, account) in [
            ("nothing of a mover's", json!({}), "default"),
            ("no account", labels(), "default"),
            ("no role", json!({RUN_LABEL: "run-1", STEP_LABEL: "s1"}), account.as_str()),
            ("another role", json!({ROLE_LABEL: "x", RUN_LABEL: "run-1", STEP_LABEL: "s1"}), account.as_str()),
            ("another run", json!({ROLE_LABEL: "mover", RUN_LABEL: "run-2", STEP_LABEL: "s1"}), account.as_str()),
            ("another step", json!({ROLE_LABEL: "mover", RUN_LABEL: "run-1", STEP_LABEL: "s2"}), account.as_str()),
        ] {
            let refused = job(job_with(&labels, account), "home", "run-1", "s1").expect_err(what);
            assert_eq!(refused.reason(), Reason::NotOurs, "{what}");
            assert!(refused.to_string().contains("kubectl delete job -n shinan-a p861-files-x-1"), "{refused}");
        }
    }

    /// An API server that keeps what these objects had before, and refuses to change one that is immutable.
    fn site_with(before: Value) -> Client {
        let server = move |request: Request<Body>| {
            let before = before.clone();
            async move {
                let mut object: Value = serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
                object["metadata"]["namespace"] = json!("shinan-a");
                let answer = if before["immutable"] == true {
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "message": "field is immutable when `immutable` is set", "reason": "Invalid"})
                } else {
                    objects::merged(object, &before)
                };
                let code = answer["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
                Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap())
            }
        };
        Client::new(tower::service_fn(server), "default")
    }

    #[tokio::test]
    async fn fault_e24_an_account_or_binding_that_was_there_before_is_named_and_not_used() {
        let site: SiteName = "home".into();
        let place = (&site, "shinan-a", "p861-run-x");
        for (what, before, ours) in [
            ("nothing", json!({}), true),
            ("immutable", json!({"immutable": true}), false),
            ("a finalizer", json!({"metadata": {"finalizers": ["example.com/stay"]}}), false),
            ("an owner", json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u"}]}}), false),
        ] {
            let bindings: Api<RoleBinding> = Api::namespaced(site_with(before), "shinan-a");
            let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "p861-run-x"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}});
            let made = apply(&bindings, place, binding).await;
            assert_eq!(made.is_ok(), ours, "{what}");
            if let Err(refused) = made {
                assert_eq!(refused.reason(), Reason::NotOurs, "{what}");
                assert!(refused.to_string().contains("kubectl delete rolebinding -n shinan-a p861-run-x"), "{what}: {refused}");
            }
        }
    }
}
