//! The backup that is taken before a change.

use super::{EffectOutcome, StepContext};
use crate::{
    context::RunContext,
    error::{ErrorContext as _, Result, is_conflict},
    hub::{named, own_name},
};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, ResourceExt, api::PostParams};
use p861_core::{
    engine::{Evidence, Failure},
    ids::SnapshotId,
};
use p861_crds::{
    Backup, ConditionType, MaintenanceTicket, Reason,
    common::RunPhase,
    names::{APPLICATION_LABEL, TICKET_LABEL},
};
use serde_json::json;

/// How much the clocks of the operator and of the API server may differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);

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
    let change = Change { ticket, application, operator: &own_name(&context.hub.client).await?, begun: begun(context, step_context).await? };
    if let Some(why) = change.is_of_another(&found) {
        let message = format!("backup {name} is there and not of this change: {why}. Delete it and retry the step, or open the change under another name");
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

/// Whose backup it must be.
struct Change<'a> {
    ticket: &'a str,
    application: &'a str,
    /// The operator, as the API server calls it.
    operator: &'a str,
    /// No backup of before is the change's.
    begun: Timestamp,
}

impl Change<'_> {
    /// Why a Backup of that name is another's. People of the district choose labels and names; what was asked, and by whom, they can't forge.
    fn is_of_another(&self, found: &Backup) -> Option<String> {
        let spec = &found.spec;
        let made = found.creation_timestamp().map(|time| time.0);
        if found.labels().get(TICKET_LABEL).map(String::as_str) != Some(self.ticket) {
            Some("it was not taken for this ticket".into())
        } else if spec.application_ref.name != self.application {
            Some(format!("it is of application {}, not of {}", spec.application_ref.name, self.application))
        } else if spec.requested_by.as_deref() != Some(self.operator) {
            Some(format!("{} has asked for it, not the operator", spec.requested_by.as_deref().unwrap_or("somebody")))
        } else {
            made.is_none_or(|made| made < self.begun).then(|| "it was begun before the work of this change".to_owned())
        }
    }
}

/// When the work began that the backup is to be of, at the earliest. A later attempt may find the backup of an earlier one.
async fn begun(context: &RunContext, step_context: &StepContext) -> Result<Timestamp> {
    if step_context.attempt == 1 {
        return Ok(step_context.started.checked_sub(CLOCK_SKEW).unwrap_or(step_context.started));
    }
    let ticket: MaintenanceTicket = named(&context.hub.client, &step_context.run.namespace, &step_context.run.name).await?;
    Ok(ticket.creation_timestamp().map_or(step_context.started, |time| time.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_e26_a_backup_before_a_change_is_the_operators_of_that_application_and_of_this_work() {
        let begun: Timestamp = "2026-11-15T01:00:00Z".parse().unwrap();
        let change = Change { ticket: "chg-7", application: "approval", operator: "system:serviceaccount:p861-system:p861-operator", begun };
        let of = |ticket: &str, application: &str, by: &str, made: &str| -> Backup {
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup",
                "metadata": {"name": "approval-chg-7", "creationTimestamp": made, "labels": {TICKET_LABEL: ticket}},
                "spec": {"applicationRef": {"name": application}, "requestedBy": by}}))
            .unwrap()
        };
        let (by, after) = (change.operator, "2026-11-15T01:00:01Z");
        assert_eq!(change.is_of_another(&of("chg-7", "approval", by, after)), None);
        for (found, words) in [
            (of("chg-8", "approval", by, after), "not taken for this ticket"),
            (of("chg-7", "tiny", by, after), "of application tiny"),
            (of("chg-7", "approval", "li", after), "li has asked for it"),
            (of("chg-7", "approval", by, "2026-11-14T01:00:00Z"), "before the work of this change"),
        ] {
            let why = change.is_of_another(&found).expect(words);
            assert!(why.contains(words), "{why}");
        }
    }
}
