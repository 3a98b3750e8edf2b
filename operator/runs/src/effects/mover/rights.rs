//! The rights of a run's movers over cluster-scoped objects.
//!
//! The site's administrator says by name which of them are a district's (the chart's value `site.clusterResources`). The chart makes a ClusterRole and a
//! ClusterRoleBinding without subjects for reading them, and another for writing them. The operator may do one thing with these: enter the account of a run's
//! mover as a subject, and strike it out again. It makes no ClusterRole and no ClusterRoleBinding. As the role has neither `escalate` nor `bind`, a mover writes
//! only ClusterRoles and ClusterRoleBindings whose rights it has itself, which are those that the administrator lists beside the names.

use super::{MoverPlace, run_name};
use crate::{
    context::RunContext,
    effects::StepContext,
    error::{Error, ErrorContext as _, Result, is_conflict},
};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Subject};
use kube::{Api, Client, api::PostParams};
use p861_core::{
    ids::SiteName,
    runs::{AllottedSite, MoverTask},
};
use p861_crds::{Reason, platform::application::ClusterResource};

/// How often an entry is tried that another run was faster than.
const MAX_TRIES: u32 = 5;

/// What a mover may do with cluster-scoped objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Read,
    Write,
}

impl Right {
    const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// Of a task; none if it touches no such object.
    fn of(task: &MoverTask) -> Option<Self> {
        if task.cluster_resources().is_empty() {
            return None;
        }
        // A preview tries by dry run, which needs the same rights.
        Some(if matches!(task, MoverTask::RestoreObjects { .. }) { Self::Write } else { Self::Read })
    }

    /// The chart's binding for a district, by its namespace on the hub.
    fn binding(self, district: &str) -> String {
        format!("p861-cluster-{}-{district}", if self == Self::Read { "backup" } else { "restore" })
    }
}

/// Enters a subject. Returns whether that changes the binding.
fn enter(binding: &mut ClusterRoleBinding, namespace: &str, name: &str) -> bool {
    let subjects = binding.subjects.get_or_insert_default();
    let is_there = subjects.iter().any(|subject| subject.name == name && subject.namespace.as_deref() == Some(namespace));
    if !is_there {
        subjects.push(Subject { kind: "ServiceAccount".into(), name: name.into(), namespace: Some(namespace.into()), api_group: None });
    }
    !is_there
}

/// Strikes out every account of a run, whatever its namespace. Returns whether that changes the binding.
fn strike_out(binding: &mut ClusterRoleBinding, name: &str) -> bool {
    let Some(subjects) = &mut binding.subjects else { return false };
    let before = subjects.len();
    subjects.retain(|subject| subject.name != name);
    subjects.len() < before
}

/// Changes the chart's binding, whoever else changes it meanwhile. Returns false if the site has none.
async fn change(client: &Client, site: &SiteName, binding: &str, change: impl Fn(&mut ClusterRoleBinding) -> bool) -> Result<bool> {
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let mut tries = 0;
    loop {
        tries += 1;
        // Where the site permits nothing, the operator may not even look for the binding.
        let mut found = match bindings.get_opt(binding).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(false),
            Err(error) => return Err(error).context(|| format!("read ClusterRoleBinding {binding} on {site}")),
        };
        if !change(&mut found) {
            return Ok(true);
        }
        match bindings.replace(binding, &PostParams::default(), &found).await {
            Ok(_) => return Ok(true),
            Err(error) if is_conflict(&error) && tries < MAX_TRIES => {}
            Err(error) => return Err(error).context(|| format!("change the subjects of ClusterRoleBinding {binding} on {site}")),
        }
    }
}

/// Gives the mover its rights over the cluster-scoped objects of its task.
///
/// # Errors
/// If the site permits none. A copy goes on without them: its definitions may be there already.
pub async fn give(client: &Client, place: &MoverPlace<'_>, district: &str, account: &str, task: &MoverTask) -> Result<()> {
    let Some(right) = Right::of(task) else { return Ok(()) };
    let binding = right.binding(district);
    let given = change(client, place.site, &binding, |found| enter(found, place.namespace, account)).await?;
    if given || task.writes_a_copy() { Ok(()) } else { Err(not_permitted(place.site, district, task.cluster_resources())) }
}

fn not_permitted(site: &SiteName, district: &str, named: &[ClusterResource]) -> Error {
    let named: Vec<String> = named.iter().map(|named| format!("{} {}", named.kind, named.name)).collect();
    let message = format!(
        "site {site} does not permit runs of {district} to touch cluster-scoped objects, and the Application's spec.clusterResources names {}: the site's \
         administrator lists them under site.clusterResources.{district} in the values of the chart p861 there (docs/SECURITY.md), or take them out of the Application",
        named.join(", ")
    );
    Error::invalid(Reason::ClusterResourcesNotGranted, message)
}

/// Refuses cluster-scoped objects that an Application names, if its site permits its district none: every backup would fail. Which names the site permits the movers
/// find out.
///
/// # Errors
/// [`Reason::ClusterResourcesNotGranted`], or that the site can't be reached.
pub async fn refuse_unpermitted(client: &Client, site: &SiteName, district: &str, named: &[ClusterResource]) -> Result<()> {
    if named.is_empty() || change(client, site, &Right::Read.binding(district), |_| false).await? {
        return Ok(());
    }
    Err(not_permitted(site, district, named))
}

/// Takes back all that a run's movers were given.
///
/// # Errors
/// If the site can't be reached, or refuses.
pub async fn take_back(client: &Client, site: &SiteName, district: &str, account: &str) -> Result<()> {
    for right in Right::ALL {
        change(client, site, &right.binding(district), |found| strike_out(found, account)).await?;
    }
    Ok(())
}

/// As [`take_back`], of the step's run.
///
/// # Errors
/// As [`take_back`].
pub async fn take_back_of_run(context: &RunContext, step_context: &StepContext, site: &AllottedSite) -> Result<()> {
    let client = context.sites.client(site).await?;
    take_back(&client, site, &step_context.run.namespace, &run_name(&step_context.run.uid)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use std::convert::Infallible;

    #[tokio::test]
    async fn fault_i11_cluster_scoped_objects_that_a_site_permits_nobody_are_refused_before_a_backup_fails() {
        let named = [ClusterResource { group: Some("scheduling.k8s.io".into()), kind: "PriorityClass".into(), name: "orchard".into() }];
        let site: SiteName = "laoshan-dr".into();
        for (code, names, refused) in [(200_u16, &named[..], false), (404, &named[..], true), (403, &named[..], true), (404, &[][..], false)] {
            let answer = move |request: Request<Body>| async move {
                assert!(request.uri().path().ends_with("/clusterrolebindings/p861-cluster-backup-shinan"), "{}", request.uri());
                let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"});
                let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": role});
                let reason = if code == 404 { "NotFound" } else { "Forbidden" };
                let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"});
                let body = if code == 200 { binding } else { status };
                Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap())
            };
            let client = Client::new(tower::service_fn(answer), "n");
            let found = refuse_unpermitted(&client, &site, "shinan", names).await;
            assert_eq!(found.is_err(), refused, "{code}");
            if let Err(error) = found {
                assert!(error.reason() == Reason::ClusterResourcesNotGranted && error.to_string().contains("PriorityClass orchard"), "{error}");
            }
        }
    }

    #[test]
    fn fault_b12_only_a_task_that_names_cluster_scoped_objects_gets_a_right_over_them() {
        let named = vec![ClusterResource { group: Some("scheduling.k8s.io".into()), kind: "PriorityClass".into(), name: "a".into() }];
        let save = |cluster: Vec<ClusterResource>| MoverTask::BackupObjects { namespaces: Vec::new(), exclude: Vec::new(), cluster, parent: None };
        let restore = |cluster: Vec<ClusterResource>| {
            let task = serde_json::json!({"task": "restoreObjects", "snapshot": "s", "rules": {"namespaces": {}, "isolated": false, "stopped": false}, "cluster": cluster, "conflict": "Own"});
            serde_json::from_value::<MoverTask>(task).unwrap()
        };
        for (task, right) in [
            (save(Vec::new()), None),
            (save(named.clone()), Some(Right::Read)),
            (restore(Vec::new()), None),
            (restore(named), Some(Right::Write)),
            (MoverTask::VerifyStored { snapshot: None }, None),
        ] {
            assert_eq!(Right::of(&task), right, "{task:?}");
        }
        assert_eq!(Right::ALL.map(|right| right.binding("shinan")), ["p861-cluster-backup-shinan", "p861-cluster-restore-shinan"]);
    }

    #[test]
    fn fault_b12_a_run_takes_back_its_own_rights_and_leaves_those_of_others() {
        let mut binding = ClusterRoleBinding::default();
        assert!(
            enter(&mut binding, "shinan-a", "p861-run-1") && enter(&mut binding, "shinan-b", "p861-run-1") && enter(&mut binding, "shinan-a", "p861-run-2")
        );
        assert!(!enter(&mut binding, "shinan-a", "p861-run-1"), "once is enough");
        assert!(strike_out(&mut binding, "p861-run-1") && !strike_out(&mut binding, "p861-run-1"));
        let left: Vec<String> = binding.subjects.unwrap_or_default().into_iter().map(|subject| subject.name).collect();
        assert_eq!(left, ["p861-run-2"]);
        assert!(!strike_out(&mut ClusterRoleBinding::default(), "p861-run-1"), "the chart's binding has no subjects");
    }
}
