//! `p861 ticket …`

mod act;
mod approve;
mod history;
mod known;
pub mod next;
mod open;
mod show;
mod titles;

use super::{
    Context, agreed,
    list::{print_list, print_object},
    needs::{self, Objects},
};
use crate::{args::TicketCommand, error::Result, exit::ExitStatus, printer::Output, text};
use p861_crds::{
    MaintenanceTicket,
    maintenance::ticket::{TicketAction, TicketActionKind, TicketPhase},
};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &TicketCommand) -> Result<ExitStatus> {
    use TicketActionKind::{Acknowledge, Assign, Cancel, Done, Note, Plan, Reopen, Resolve, Resume, RollBack, Start, Suspend};
    let (hub, printer) = (&context.hub, context.printer);
    let with_reason = |kind: TicketActionKind, reason: &Option<String>| TicketAction { reason: reason.clone(), ..act::new(kind) };
    match command {
        TicketCommand::Open(what) => open::open(context, what).await,
        TicketCommand::List(what) => {
            let mut tickets = hub.list_here::<MaintenanceTicket>("").await?;
            if !what.all {
                let ended = |ticket: &MaintenanceTicket| ticket.status.as_ref().and_then(|status| status.phase).is_some_and(TicketPhase::is_end);
                let gone: Vec<String> = tickets.items.iter().filter(|ticket| ended(ticket)).map(kube::ResourceExt::name_any).collect();
                tickets.items.retain(|ticket| !ended(ticket));
                tickets
                    .raw
                    .retain(|raw| !raw.pointer("/metadata/name").and_then(serde_json::Value::as_str).is_some_and(|name| gone.iter().any(|gone| gone == name)));
            }
            print_list(printer, &tickets, &text::no_tickets(&hub.namespace, hub.place()), |tickets| {
                show::list(tickets, &hub.clock, printer.output == Output::Wide, printer.language, hub.place())
            })
        }
        TicketCommand::Show(name) => {
            let (read, shown) = agreed::of_ticket(hub, &name.name).await?;
            let person = if next::depends_on_person(&read.object) { hub.identity().await.ok() } else { None };
            let reader = show::TicketReader { clock: &hub.clock, language: printer.language, place: hub.place(), person: person.as_deref() };
            print_object(printer, &read, |ticket| show::page(ticket, &shown, &reader))?;
            Ok(needs::verdict(hub, &Objects { tickets: vec![read.object], ..Objects::default() }))
        }
        TicketCommand::Approve(what) => approve::approve(context, what).await,
        TicketCommand::Ack(what) => act::send(context, &what.name, with_reason(Acknowledge, &what.reason)).await,
        TicketCommand::Assign(what) => {
            super::known::on_rosters(hub, &what.person).await?;
            act::send(context, &what.name, TicketAction { assignee: Some(what.person.clone()), ..with_reason(Assign, &what.reason) }).await
        }
        TicketCommand::Note(what) => {
            let note = TicketAction { note: Some(what.text.clone()), reported: what.reported.then_some(true), ..act::new(Note) };
            act::send(context, &what.name, note).await
        }
        TicketCommand::Plan(what) => act::send(context, &what.name, TicketAction { note: Some(what.text.clone()), ..act::new(Plan) }).await,
        TicketCommand::Start(what) => act::send(context, &what.name, with_reason(Start, &what.reason)).await,
        TicketCommand::Done(what) => act::send(context, &what.name, with_reason(Done, &what.reason)).await,
        TicketCommand::Rollback(what) => {
            act::send(context, &what.name, with_reason(RollBack, &Some(act::needed_reason(context, what.reason.clone(), RollBack)?))).await
        }
        TicketCommand::Resolve(what) => {
            act::send(context, &what.name, TicketAction { resolution: Some(what.resolution.into()), ..with_reason(Resolve, &what.reason) }).await
        }
        TicketCommand::Suspend(what) => act::send(context, &what.name, with_reason(Suspend, &what.reason)).await,
        TicketCommand::Resume(what) => act::send(context, &what.name, with_reason(Resume, &what.reason)).await,
        TicketCommand::Reopen(what) => act::send(context, &what.name, with_reason(Reopen, &what.reason)).await,
        TicketCommand::Cancel(what) => {
            act::send(context, &what.name, with_reason(Cancel, &Some(act::needed_reason(context, what.reason.clone(), Cancel)?))).await
        }
    }
}
