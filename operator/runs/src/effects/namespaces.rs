//! Namespaces that a restore writes to.

use super::{EffectOutcome, StepContext};
use crate::{
    context::RunContext,
    error::{ErrorContext as _, Result, is_conflict},
    hub::labels_of_new_namespace,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt as _, api::PostParams};
use p861_core::{
    engine::{Evidence, Failure},
    ids::SiteName,
    objects,
    runs::AllottedSite,
};
use p861_crds::{
    Reason,
    names::{DRILL_LABEL, MADE_BY_ANNOTATION, RUN_LABEL},
};
use serde_json::json;

/// Makes those that are missing. One that exists stays as it is; one that is being deleted is waited for, and made anew. A preview makes none.
pub async fn make(
    context: &RunContext,
    step_context: &StepContext,
    site: &AllottedSite,
    names: &[String],
    district: &str,
    preview: bool,
) -> Result<EffectOutcome> {
    let namespaces: Api<Namespace> = Api::all(context.sites.client(site).await?);
    let run = &step_context.run;
    let mut made = Vec::new();
    if let Some(failure) = of_another_run(&namespaces, site, names, &run.uid).await? {
        return Ok(EffectOutcome::Failed(failure, None));
    }
    if preview {
        return Ok(EffectOutcome::done(Evidence::NamespacesMade { made }));
    }
    let mut labels = None;
    for name in names {
        match namespaces.get_opt(name).await.context(|| format!("read namespace {name} on {site}"))? {
            Some(existing) if existing.metadata.deletion_timestamp.is_some() => {
                return Ok(EffectOutcome::running(told_terminating(&existing)));
            }
            Some(_) => continue,
            None => {}
        }
        if labels.is_none() {
            labels = Some(labels_of_new_namespace(&context.hub.client, &run.namespace, district).await?);
        }
        let metadata = json!({"name": name, "labels": labels, "annotations": {MADE_BY_ANNOTATION: run.uid}});
        let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        let namespace: Namespace =
            serde_json::from_value(document).map_err(|error| crate::error::Error::Internal(format!("a Namespace can't be written: {error}")))?;
        match namespaces.create(&PostParams::default(), &namespace).await {
            Ok(_) => made.push(name.clone()),
            // Somebody else was quicker: it is theirs.
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error).context(|| format!("make namespace {name} on {site}")),
        }
    }
    Ok(EffectOutcome::done(Evidence::NamespacesMade { made }))
}

/// Says that a namespace is being deleted, and why it is still there.
pub fn told_terminating(namespace: &Namespace) -> String {
    objects::told_terminating(&serde_json::to_value(namespace).unwrap_or_default())
}

/// Whether one of them is the copy of a drill, or what another run has made for itself: that run would remove it, with whatever was restored into it.
async fn of_another_run(namespaces: &Api<Namespace>, site: &SiteName, names: &[String], run: &str) -> Result<Option<Failure>> {
    for name in names {
        let Some(namespace) = namespaces.get_opt(name).await.context(|| format!("read namespace {name} on {site}"))? else { continue };
        if let Some(owner) = owner_of(&namespace, run) {
            let message = format!("namespace {name} on {site} is {owner}, which removes it when it ends; nothing was written. Restore into another namespace");
            return Ok(Some(Failure::permanent(Reason::NamespaceTaken, message)));
        }
    }
    Ok(None)
}

/// Whose namespace for a time it is, in words; none if it is nobody's, or this run's.
fn owner_of(namespace: &Namespace, run: &str) -> Option<String> {
    let (labels, of_run) = (namespace.labels(), namespace.labels().get(RUN_LABEL));
    match (labels.get(DRILL_LABEL), of_run) {
        (_, Some(owner)) if owner == run => None,
        (Some(drill), _) => Some(format!("the isolated copy of drill {drill}")),
        (None, Some(owner)) => Some(format!("of another run (UID {owner})")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::names::DISTRICT_LABEL;

    #[test]
    fn fault_c7_the_copy_of_a_drill_and_what_another_run_made_is_nobodys_target() {
        for (labels, owner) in [
            (json!({}), None),
            (json!({DISTRICT_LABEL: "shinan"}), None),
            (json!({RUN_LABEL: "mine"}), None),
            (json!({RUN_LABEL: "other"}), Some("of another run (UID other)")),
            (json!({RUN_LABEL: "other", DRILL_LABEL: "k7m2q"}), Some("the isolated copy of drill k7m2q")),
            (json!({DRILL_LABEL: "k7m2q"}), Some("the isolated copy of drill k7m2q")),
        ] {
            let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "n", "labels": labels}})).unwrap();
            assert_eq!(owner_of(&namespace, "mine").as_deref(), owner, "{labels}");
        }
    }
}
