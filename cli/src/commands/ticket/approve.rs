//! `p861 ticket approve`

use super::super::Context;
use crate::{
    args::TicketApprove,
    error::{Failure, Result},
    exit::ExitStatus,
    hub::{Seen, create_stamped, follow},
    text,
};
use p861_crds::{
    Approval, ApprovalSpec, ConditionType, MaintenanceTicket, Reason,
    maintenance::approval::{ApprovalDecision, Purpose, SubjectKind, SubjectReference},
};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The operator counts an approval within this time, or something is wrong with it.
const COUNTED_WITHIN: Duration = Duration::from_secs(20);

/// Approves the current plan, and waits until the approval counts.
pub async fn approve(context: &Context<'_>, what: &TicketApprove) -> Result<ExitStatus> {
    let (hub, printer, name) = (&context.hub, context.printer, &what.name);
    let ticket = hub.get_here::<MaintenanceTicket>(name).await?.object;
    let status = ticket.status.clone().unwrap_or_default();
    let digest = status.plan_digest.ok_or_else(|| Failure::refused(text::nothing_to_approve(name, hub.place())))?;
    if let Some(stated) = &what.digest
        && !digest.trim_start_matches("sha256:").starts_with(stated.trim_start_matches("sha256:"))
    {
        return Err(Failure::refused(text::wrong_belief("--digest", stated, &digest)));
    }
    let person = hub.identity().await?;
    let plan = ticket.spec.change.as_ref().and_then(|change| change.plan.as_ref()).map(|plan| plan.in_language(printer.language.key()).to_owned());
    let short: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
    printer.say(&text::approving(ticket.spec.title.in_language(printer.language.key()), plan.as_deref(), &short));
    // A drain can lose pods and data: the condition names them.
    let drains = ticket.spec.change.as_ref().is_some_and(|change| change.work.drain_node.is_some());
    if let Some(approved) = super::super::page::condition(&status.conditions, ConditionType::Approved).filter(|_| drains) {
        printer.say(&text::approving_drain(&approved.message));
    }
    let spec = ApprovalSpec {
        subject_ref: SubjectReference { kind: SubjectKind::MaintenanceTicket, name: name.clone(), uid: kube::ResourceExt::uid(&ticket).unwrap_or_default() },
        purpose: Purpose::Start,
        digest: Some(digest),
        site_ref: None,
        decision: if what.reject { ApprovalDecision::Rejected } else { ApprovalDecision::Approved },
        approver: Some(person.clone()),
        reason: what.reason.clone(),
        valid_for: "24h".into(),
    };
    let readable: String = person.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let base = format!("{name}-{}", readable.trim_matches('-'));
    let made = create_stamped(hub, &base, Approval::new("", spec)).await?;
    let made = kube::ResourceExt::name_any(&made);
    if context.global.no_wait {
        return Ok(ExitStatus::Good);
    }
    let patience = context.global.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(COUNTED_WITHIN);
    let deadline = Instant::now() + patience;
    let mut updates = follow::<Approval>(hub, &made);
    loop {
        tokio::select! {
            seen = updates.recv() => match seen {
                Some(Seen::Object(approval, _)) => {
                    let status = approval.status.unwrap_or_default();
                    let Some(counted) = super::super::page::condition(&status.conditions, ConditionType::Counted) else { continue };
                    if counted.status == "True" || (what.reject && counted.reason == Reason::Rejected) {
                        printer.remark(&text::approval_counted(name, what.reject, &counted.message));
                        return Ok(ExitStatus::Good);
                    }
                    return Err(Failure::refused(text::approval_void(&made, &counted.reason, &counted.message)));
                }
                Some(Seen::Unreachable(_)) => {}
                Some(Seen::Refused(failure)) => return Err(failure),
                Some(Seen::Gone) | None => return Err(Failure::refused(text::run_gone("approval", &made))),
            },
            () = sleep_until(deadline) => {
                let back = format!("p861 ticket show {name}{}", hub.place());
                printer.warn(&super::super::act::unread(hub, "approval", &made, patience, &back).await);
                return Ok(ExitStatus::Timeout);
            }
        }
    }
}
