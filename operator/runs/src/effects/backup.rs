//! The backup that is taken before a change.

use super::{EffectOutcome, StepContext};
use crate::{
    context::RunContext,
    error::{ErrorContext as _, Result, is_conflict},
    hub::own_name,
};
use kube::{Api, ResourceExt, api::PostParams};
use p861_core::{
    engine::{Evidence, Failure},
    ids::SnapshotId,
};
use p861_crds::{
    Backup, ConditionType, Reason,
    common::RunPhase,
    names::{APPLICATION_LABEL, TICKET_LABEL},
};
use serde_json::json;

/// Creates the Backup unless it exists, and waits for its end.
pub async fn take(context: &RunContext, step_context: &StepContext, application: &str, name: &str) -> Result<EffectOutcome> {
    let (namespace, ticket) = (&step_context.run.namespace, &step_context.run.name);
    let backups: Api<Backup> = Api::namespaced(context.hub.client.clone(), namespace);
    let Some(found) = backups.get_opt(name).await.context(|| format!("read Backup {name}"))? else {
        // Admission requires the name of who asks on clusters that don't fill it in.
        let requester = own_name(&context.hub.client).await?;
        let document = json!({
            "apiVersion": "platform861.io/v1alpha1", "kind": "Backup",
            "metadata": {"name": name, "namespace": namespace, "labels": {APPLICATION_LABEL: application, TICKET_LABEL: ticket}},
            "spec": {"applicationRef": {"name": application}, "requestedBy": requester}
        });
        let wanted: Backup = serde_json::from_value(document).map_err(|error| crate::error::Error::Internal(format!("a Backup can't be written: {error}")))?;
        return match backups.create(&PostParams::default(), &wanted).await {
            Ok(_) => Ok(EffectOutcome::running(format!("backup {name} begins"))),
            Err(error) if is_conflict(&error) => Ok(EffectOutcome::running(format!("backup {name} begins"))),
            Err(error) => Err(error).context(|| format!("make Backup {name}")),
        };
    };
    if found.labels().get(TICKET_LABEL) != Some(ticket) {
        let message = format!("backup {name} is there and not of this change: delete it, or open the change under another name");
        return Ok(EffectOutcome::Failed(Failure::permanent(Reason::NameTaken, message), None));
    }
    let status = found.status.unwrap_or_default();
    let said =
        status.conditions.iter().find(|condition| condition.type_ == ConditionType::Succeeded).map(|condition| condition.message.clone()).unwrap_or_default();
    match status.phase {
        Some(RunPhase::Succeeded) => {
            Ok(EffectOutcome::done(Evidence::BackupTaken { backup: name.to_owned(), snapshot: status.snapshot_id.map(SnapshotId::from) }))
        }
        Some(phase) if phase.is_end() => {
            let message = format!("backup {name} of application {application} did not succeed: {said}; nothing was changed");
            Ok(EffectOutcome::Failed(Failure::permanent(Reason::BackupFailed, message), None))
        }
        phase => Ok(EffectOutcome::running(format!("backup {name}: {:?}", phase.unwrap_or_default()))),
    }
}
