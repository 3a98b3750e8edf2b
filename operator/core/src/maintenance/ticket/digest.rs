//! What a change is agreed to by: how many people, and the digest of what they were shown.

use super::facts::Work;
use crate::canonical;
use jiff::SignedDuration;
use p861_crds::{
    MaintenanceTicketSpec, MaintenanceTicketStatus,
    maintenance::{ticket::TicketActionKind, window::ChangeClass},
};

/// How many people must agree to a change while that class is in force. To a Standard one its template's publisher has agreed, once for all.
pub fn required_approvals(class: ChangeClass) -> usize {
    match class {
        ChangeClass::Standard => 0,
        ChangeClass::Normal | ChangeClass::Emergency => 1,
    }
}

/// The digest of a change: of its spec, its affected objects, the texts of Plan actions among the first `observed` actions, and the compiled steps of its `work`.
/// None while the work is not described, or its steps cannot be compiled.
pub fn plan_digest(spec: &MaintenanceTicketSpec, observed: usize, work: Option<&Work>) -> Option<String> {
    let change = spec.change.as_ref()?;
    let steps = work.map(|work| work.steps.as_deref());
    if matches!(steps, Some(Err(_))) {
        return None;
    }
    let steps = steps.and_then(Result::ok);
    let said: Vec<&str> =
        spec.actions.iter().take(observed).filter(|action| action.action == TicketActionKind::Plan).filter_map(|action| action.note.as_deref()).collect();
    let known = if change.work.by_operator() { steps.is_some() } else { change.plan.is_some() || !said.is_empty() };
    if !known {
        return None;
    }
    let whole = serde_json::json!({"title": spec.title, "affects": spec.affects, "change": change, "said": said, "steps": steps});
    Some(canonical::digest(&whole))
}

/// Whether these steps are what was agreed to when the work was let begin.
pub fn still_agreed(spec: &MaintenanceTicketSpec, status: &MaintenanceTicketStatus, steps: &str) -> bool {
    digest_with(spec, status.work_first_action, steps) == status.plan_digest
}

/// Whether the ticket's digest is that of these steps, by their own digest: who reads them beside the ticket asks this before people agree to them.
pub fn is_digest_of(spec: &MaintenanceTicketSpec, status: &MaintenanceTicketStatus, steps: &str) -> bool {
    let said = if status.start_time.is_some() { status.work_first_action } else { status.observed_actions };
    status.plan_digest.is_some() && digest_with(spec, said, steps) == status.plan_digest
}

fn digest_with(spec: &MaintenanceTicketSpec, observed: Option<i32>, steps: &str) -> Option<String> {
    let observed = usize::try_from(observed.unwrap_or_default()).unwrap_or_default();
    let work = Work { steps: Ok(steps.to_owned()), takes: SignedDuration::ZERO, run: None, warning: None, source: None };
    plan_digest(spec, observed, Some(&work))
}
