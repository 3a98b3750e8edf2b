//! Approval: whether it counts.

use super::{
    ticket::{subject as ticket_subject, words},
    window::until,
};
use crate::{context::Context, reconciler::Reconciler};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use p861_core::{
    conditions,
    maintenance::approval::{Subject, condition, count},
};
use p861_crds::{Approval, ConditionType, Drill, MaintenanceTicket, Reason, maintenance::approval::SubjectKind};
use p861_runs::error::{Result, Tried as _};
use p861_runs::status::{apply_status, event_type, publish_event};
use std::{sync::Arc, time::Duration};

/// Longest time between reconciles: the approved object may change or be deleted.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(15);

/// The controller.
pub struct ApprovalReconciler;

impl Reconciler for ApprovalReconciler {
    type Kind = Approval;
    const CONDITION: ConditionType = ConditionType::Counted;

    async fn reconcile(&self, context: &Context, approval: Arc<Approval>, now: Timestamp) -> Result<Duration> {
        let (name, namespace) = (approval.name_any(), approval.namespace().unwrap_or_default());
        let subject = subject_of(context, &namespace, &approval).await?;
        let approvals: Vec<Approval> = context.cache.list(&namespace).await?;
        let tally = count(subject.as_ref(), approval.spec.purpose, &words(&approvals, &approval.spec.subject_ref.uid), now);
        // The approval may be younger than the cached list.
        let Some(result) = tally.words.get(&name).copied() else { return Ok(Duration::from_millis(500)) };
        let update = condition(result, &tally, subject.as_ref().map_or(0, |subject| subject.required));
        let mut status = approval.status.clone().unwrap_or_default();
        let counted_before = status.conditions.first().map(|condition| (condition.status.clone(), condition.reason.clone()));
        status.observed_generation = approval.metadata.generation;
        status.conditions = conditions::apply(&status.conditions, std::slice::from_ref(&update), approval.metadata.generation, now);
        apply_status(&context.hub, approval.as_ref(), approval.status.as_ref(), &status).await?;
        if !update.holds() && counted_before.is_none_or(|(_, reason)| reason != update.reason) {
            publish_event(&context.hub, approval.as_ref(), event_type(true), Reason::ApprovalRefused, &format!("{}: {}", update.reason, update.message)).await;
        }
        Ok(until(tally.expires, now).min(RECONCILE_INTERVAL))
    }
}

/// The approved object; none if it doesn't exist any more.
async fn subject_of(context: &Context, namespace: &str, approval: &Approval) -> Result<Option<Subject>> {
    let about = &approval.spec.subject_ref;
    match about.kind {
        SubjectKind::MaintenanceTicket => {
            let tickets: Api<MaintenanceTicket> = Api::namespaced(context.hub.client.clone(), namespace);
            let ticket = tickets.get_opt(&about.name).await.tried(|| format!("read ticket {}", about.name))?;
            Ok(ticket.as_ref().map(|ticket| ticket_subject(ticket, ticket.status.as_ref().and_then(|status| status.plan_digest.clone()))))
        }
        SubjectKind::Drill => {
            let drills: Api<Drill> = Api::namespaced(context.hub.client.clone(), namespace);
            let drill = drills.get_opt(&about.name).await.tried(|| format!("read drill {}", about.name))?;
            Ok(drill.map(|drill| Subject {
                uid: drill.uid().unwrap_or_default(),
                requester: drill.spec.requested_by.clone(),
                digest: drill.status.as_ref().and_then(|status| status.plan_digest.clone()),
                started: drill.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0),
                required: 1,
            }))
        }
    }
}
