//! Actions on a ticket: appended to its spec, read by the operator, which does or refuses them.

use super::super::{
    Context,
    act::{ask, unread},
};
use crate::{
    error::{Failure, Result},
    exit::ExitStatus,
    hub::{Seen, append, follow},
    text,
};
use p861_crds::{
    MaintenanceTicket,
    maintenance::ticket::{TicketAction, TicketActionKind},
};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The operator reads an action within this time, or something is wrong with it.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// An action without the fields that few have.
pub fn new(action: TicketActionKind) -> TicketAction {
    TicketAction { action, reason: None, note: None, reported: None, assignee: None, resolution: None, by: None, on_behalf_of: None }
}

/// The reason, asked for if there is a person to ask.
pub fn needed_reason(context: &Context<'_>, reason: Option<String>, kind: TicketActionKind) -> Result<String> {
    let given = match reason {
        Some(reason) => reason,
        None if context.printer.interactive() => ask(&format!("{} ", text::ask_ticket_reason(kind).pick(context.printer.language)))?,
        None => String::new(),
    };
    let given = given.trim().to_owned();
    if given.is_empty() { Err(Failure::usage(text::ticket_reason_missing(kind))) } else { Ok(given) }
}

/// Appends the action and waits until the operator has read it, and done or refused it.
pub async fn send(context: &Context<'_>, name: &str, mut action: TicketAction) -> Result<ExitStatus> {
    let (hub, kind) = (&context.hub, action.action);
    // Report an unknown name before sending anything.
    hub.get_here::<MaintenanceTicket>(name).await?;
    action.by = Some(hub.identity().await?);
    let ticket: MaintenanceTicket = append(hub, name, &action).await?;
    let number = ticket.spec.actions.len();
    if context.global.no_wait {
        context.printer.remark(&text::ticket_action_sent(kind, name, hub.place()));
        return Ok(ExitStatus::Good);
    }
    let patience = context.global.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(READ_WITHIN);
    let deadline = Instant::now() + patience;
    let mut updates = follow::<MaintenanceTicket>(hub, name);
    loop {
        tokio::select! {
            seen = updates.recv() => match seen {
                Some(Seen::Object(ticket, _)) => {
                    let status = ticket.status.unwrap_or_default();
                    if usize::try_from(status.observed_actions.unwrap_or_default()).unwrap_or_default() < number {
                        continue;
                    }
                    // Others may append at the same time; ours is the last that the hub had when it answered.
                    let refused = status.refused_actions.iter().find(|refused| usize::try_from(refused.index) == Ok(number - 1));
                    if let Some(refused) = refused {
                        return Err(Failure::refused(text::ticket_action_refused(kind, name, &refused.why)));
                    }
                    context.printer.remark(&text::ticket_action_done(kind, name, status.phase.unwrap_or_default(), hub.place()));
                    return Ok(ExitStatus::Good);
                }
                Some(Seen::Unreachable(_)) => {}
                Some(Seen::Refused(failure)) => return Err(failure),
                Some(Seen::Gone) | None => return Err(Failure::refused(text::run_gone("ticket", name))),
            },
            () = sleep_until(deadline) => {
                context.printer.warn(&unread(hub, "ticket", name, patience, &format!("p861 ticket show {name}{}", hub.place())).await);
                return Ok(ExitStatus::Timeout);
            }
        }
    }
}
