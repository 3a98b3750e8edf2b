//! Approval: whether it counts.

use super::window::until;
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use p861_core::maintenance::approval::{Subject, condition, count, refusal, words};
use p861_crds::{Approval, ApprovalStatus, ConditionType, Drill, MaintenanceTicket, maintenance::approval::SubjectKind};
use p861_runs::error::{ErrorContext as _, Result};
use std::time::Duration;

/// Longest time between reconciles: the approved object may change or be deleted.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(15);
/// Time until the next reconcile of an approval that its namespace's list doesn't have yet.
const NOT_LISTED_INTERVAL: Duration = Duration::from_millis(500);

/// The controller.
pub struct ApprovalController;

/// What it approves, and all approvals of its namespace.
pub struct Observed {
    subject: Option<Subject>,
    approvals: Vec<Approval>,
}

impl Controller for ApprovalController {
    type Kind = Approval;
    type Status = ApprovalStatus;
    type Observed = Observed;
    type Effects = ();
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Counted;

    async fn observe(&self, context: &ReadContext, approval: &Approval, _: Timestamp) -> Result<Observed> {
        let namespace = approval.namespace().unwrap_or_default();
        let subject = subject_of(context, &namespace, approval).await?;
        Ok(Observed { subject, approvals: context.cache.list(&namespace).await? })
    }

    fn decide(approval: &Approval, observed: &Observed, now: Timestamp) -> DecisionOf<Self> {
        let status = approval.status.clone().unwrap_or_default();
        let subject = observed.subject.as_ref();
        let tally = count(subject, approval.spec.purpose, &words(&observed.approvals, &approval.spec.subject_ref.uid), now);
        let result = approval.metadata.name.as_ref().and_then(|name| tally.words.get(name)).copied();
        let counted = result.map(|result| condition(result, &tally, subject.map_or(0, |subject| subject.required)));
        Decision {
            events: counted.iter().filter_map(|counted| refusal(&status.conditions, counted)).collect(),
            requeue: if counted.is_some() { until(tally.expires, now).min(RECONCILE_INTERVAL) } else { NOT_LISTED_INTERVAL },
            status,
            conditions: counted.into_iter().collect(),
            effects: (),
        }
    }
}

/// The approved object; none if it doesn't exist any more.
async fn subject_of(context: &Context, namespace: &str, approval: &Approval) -> Result<Option<Subject>> {
    let about = &approval.spec.subject_ref;
    match about.kind {
        SubjectKind::MaintenanceTicket => {
            let tickets: Api<MaintenanceTicket> = Api::namespaced(context.hub.client.clone(), namespace);
            let ticket = tickets.get_opt(&about.name).await.context(|| format!("read ticket {}", about.name))?;
            Ok(ticket.map(|ticket| Subject::of_ticket(&ticket, ticket.status.as_ref().and_then(|status| status.plan_digest.clone()))))
        }
        SubjectKind::Drill => {
            let drills: Api<Drill> = Api::namespaced(context.hub.client.clone(), namespace);
            let drill = drills.get_opt(&about.name).await.context(|| format!("read drill {}", about.name))?;
            Ok(drill.as_ref().map(Subject::of_drill))
        }
    }
}
