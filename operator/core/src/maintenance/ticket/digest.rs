//! What a change is agreed to by: how many people, and the digest of what they were shown.

use super::{facts::Work, planned::Planned};
use crate::canonical;
use p861_crds::{MaintenanceTicketSpec, MaintenanceTicketStatus, maintenance::window::ChangeClass};

/// How many people must agree to a change while that class is in force. To a Standard one its template's publisher has agreed, once for all.
pub fn required_approvals(class: ChangeClass) -> usize {
    match class {
        ChangeClass::Standard => 0,
        ChangeClass::Normal | ChangeClass::Emergency => 1,
    }
}

/// The digest of a change: of its spec, its affected objects, the texts that were planned, and the compiled steps of its `work`. None while the work is not
/// described, its steps cannot be compiled, or they were compiled with another text than the one that is planned.
pub fn plan_digest(spec: &MaintenanceTicketSpec, planned: &Planned, work: Option<&Work>) -> Option<String> {
    let change = spec.change.as_ref()?;
    let steps = match work.map(|work| (&work.steps, &work.planned)) {
        None => None,
        Some((Ok(steps), with)) if with == planned => Some(steps),
        Some(_) => return None,
    };
    let known = if change.work.by_operator() { steps.is_some() } else { planned.text(spec).is_some() };
    if !known {
        return None;
    }
    let whole = serde_json::json!({"title": spec.title, "affects": spec.affects, "change": change, "said": planned.said(spec), "steps": steps});
    Some(canonical::digest(&whole))
}

/// Whether these steps are what was agreed to when the work was let begin.
pub fn still_agreed(spec: &MaintenanceTicketSpec, status: &MaintenanceTicketStatus, steps: &str) -> bool {
    let planned = Planned::of(spec, status);
    let work = Work { planned: planned.clone(), ..Work::compiled(Ok(steps.to_owned())) };
    plan_digest(spec, &planned, Some(&work)) == status.plan_digest
}

/// Whether the ticket's digest is that of these steps, by their own digest: who reads them beside the ticket asks this before people agree to them.
pub fn is_digest_of(spec: &MaintenanceTicketSpec, status: &MaintenanceTicketStatus, steps: &str) -> bool {
    status.plan_digest.is_some() && still_agreed(spec, status, steps)
}
