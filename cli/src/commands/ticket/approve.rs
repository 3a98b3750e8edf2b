//! `p861 ticket approve`

use super::super::{
    Context, act,
    agreed::{self, Steps},
    page,
};
use crate::{
    args::TicketApprove,
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Line, Tone},
    hub::{Seen, create_stamped, follow},
    text,
};
use jiff::Timestamp;
use p861_core::maintenance::{
    approval::{Subject, Void, would_count},
    ticket::plan_text,
};
use p861_crds::{
    Approval, ApprovalSpec, ConditionType, MaintenanceTicket, Reason,
    maintenance::{
        approval::{ApprovalDecision, Purpose, SubjectKind, SubjectReference},
        ticket::{TicketPhase, TicketType},
    },
};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// So many digits of a digest are shown, and are enough to state it.
const SHOWN_DIGITS: usize = 12;
/// The operator counts an approval within this time, or something is wrong with it.
const COUNTED_WITHIN: Duration = Duration::from_secs(20);

/// Approves the current plan, and waits until the approval counts.
pub async fn approve(context: &Context<'_>, what: &TicketApprove) -> Result<ExitStatus> {
    let (hub, name) = (&context.hub, &what.name);
    let (read, shown) = agreed::of_ticket(hub, name).await?;
    let ticket = read.object;
    let spec = asked_for(context, what, &ticket).await?;
    match shown.steps() {
        Ok(Some(steps)) => print(context, &ticket, steps),
        // No is said to whatever it may be.
        _ if what.reject => {}
        Ok(None) => return Err(Failure::refused(text::nothing_to_approve(name, hub.place()))),
        Err(why) => return Err(why),
    }
    // Whoever states the digest has read what it is of; a rejection lets nothing begin.
    if what.digest.is_none() && !what.reject {
        confirm(context, name)?;
    }
    let person = spec.approver.clone().unwrap_or_default();
    let readable: String = person.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let base = format!("{name}-{}", readable.trim_matches('-'));
    let made = create_stamped(hub, &base, Approval::new("", spec)).await?;
    let made = kube::ResourceExt::name_any(&made);
    if context.global.no_wait { Ok(ExitStatus::Good) } else { counted(context, what, &made).await }
}

/// The approval, unless it would never count: then nothing is created.
async fn asked_for(context: &Context<'_>, what: &TicketApprove, ticket: &MaintenanceTicket) -> Result<ApprovalSpec> {
    let (hub, name) = (&context.hub, &what.name);
    let status = ticket.status.clone().unwrap_or_default();
    if status.phase.is_some_and(TicketPhase::is_end) {
        return Err(Failure::refused(text::would_not_count(name, Void::Ended)));
    }
    if ticket.spec.r#type == TicketType::Incident {
        return Err(Failure::refused(text::incident_needs_nobody(name)));
    }
    // What keeps its steps from being compiled is said by the operator.
    let approved = page::condition(&status.conditions, ConditionType::Approved);
    let uncompiled = approved.filter(|approved| approved.reason == Reason::NotCompiled || approved.reason == Reason::NodeMissing);
    let nothing = uncompiled.map_or_else(|| text::nothing_to_approve(name, hub.place()), |approved| text::not_approvable(name, &approved.message));
    let digest = status.plan_digest.ok_or_else(|| Failure::refused(nothing))?;
    if let Some(stated) = &what.digest
        && !is_beginning(stated, &digest)
    {
        return Err(Failure::refused(text::wrong_belief("--digest", stated, &digest)));
    }
    let spec = ApprovalSpec {
        subject_ref: SubjectReference { kind: SubjectKind::MaintenanceTicket, name: name.clone(), uid: kube::ResourceExt::uid(ticket).unwrap_or_default() },
        purpose: Purpose::Start,
        digest: Some(digest.clone()),
        site_ref: None,
        decision: if what.reject { ApprovalDecision::Rejected } else { ApprovalDecision::Approved },
        approver: Some(hub.identity().await?),
        reason: what.reason.clone(),
        valid_for: "24h".into(),
    };
    match would_count(&Subject::of_ticket(ticket, Some(digest)), &spec, Timestamp::now()) {
        Ok(()) => Ok(spec),
        Err(void) => Err(Failure::refused(text::would_not_count(name, void))),
    }
}

/// Whether a digest begins so. Fewer digits than are shown say too little.
fn is_beginning(stated: &str, digest: &str) -> bool {
    let stated = stated.trim_start_matches("sha256:");
    stated.len() >= SHOWN_DIGITS && digest.trim_start_matches("sha256:").starts_with(stated)
}

/// Prints what is agreed to.
fn print(context: &Context<'_>, ticket: &MaintenanceTicket, steps: &Steps) {
    let (hub, printer) = (&context.hub, context.printer);
    let status = ticket.status.clone().unwrap_or_default();
    let key = printer.language.key();
    let plan = plan_text(&ticket.spec, &status).map(|plan| plan.in_language(key).to_owned());
    let short: String = status.plan_digest.iter().flat_map(|digest| digest.trim_start_matches("sha256:").chars()).take(SHOWN_DIGITS).collect();
    printer.say(&text::approving(ticket.spec.title.in_language(key), plan.as_deref(), &short));
    // A drain can lose pods and data: the condition names them.
    if let Some(drain) = page::condition(&status.conditions, ConditionType::DrainSafe) {
        printer.say(&text::approving_drain(&drain.message));
    }
    printer.line(&Line::toned(Tone::Strong, text::steps_head(false).pick(printer.language)));
    printer.lines(&steps.lines(&hub.clock, printer.language));
}

/// Asks whether the steps that were shown are meant.
fn confirm(context: &Context<'_>, name: &str) -> Result<()> {
    let printer = context.printer;
    if !printer.interactive() {
        return Err(Failure::refused(text::read_before_approving(name, context.hub.place())));
    }
    let answer = act::ask(&format!("{} ", text::type_to_go_on(name).pick(printer.language)))?;
    if answer.trim() == name { Ok(()) } else { Err(Failure::refused(text::not_confirmed(name))) }
}

/// Waits until the operator has counted the approval.
async fn counted(context: &Context<'_>, what: &TicketApprove, made: &str) -> Result<ExitStatus> {
    let (hub, printer, name) = (&context.hub, context.printer, &what.name);
    let patience = context.global.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(COUNTED_WITHIN);
    let deadline = Instant::now() + patience;
    let mut updates = follow::<Approval>(hub, made);
    loop {
        tokio::select! {
            seen = updates.recv() => match seen {
                Some(Seen::Object(approval, _)) => {
                    let status = approval.status.unwrap_or_default();
                    let Some(counted) = page::condition(&status.conditions, ConditionType::Counted) else { continue };
                    // An operator of an earlier release has a rejection as one that doesn't count.
                    if counted.status == "True" || (what.reject && counted.reason == Reason::Rejected) {
                        printer.remark(&text::approval_counted(name, what.reject, &counted.message));
                        return Ok(ExitStatus::Good);
                    }
                    return Err(Failure::refused(text::approval_void(made, &counted.reason, &counted.message)));
                }
                Some(Seen::Unreachable(_)) => {}
                Some(Seen::Refused(failure)) => return Err(failure),
                Some(Seen::Gone) | None => return Err(Failure::refused(text::run_gone("approval", made))),
            },
            () = sleep_until(deadline) => {
                let back = format!("p861 ticket show {name}{}", hub.place());
                printer.warn(&super::super::act::unread(hub, "approval", made, patience, &back).await);
                return Ok(ExitStatus::Timeout);
            }
        }
    }
}
