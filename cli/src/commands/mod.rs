//! One file per command.

mod act;
mod agreed;
mod app;
mod backup;
mod calendar;
mod completions;
mod district;
mod drill;
mod duty;
mod explain;
#[cfg(test)]
mod headings;
mod known;
mod list;
mod man;
mod needs;
mod page;
mod plan;
mod platform;
mod policy;
mod profile;
mod reference;
mod repository;
mod restore;
mod site;
mod start;
mod status;
mod template;
mod ticket;
mod window;

// What several nouns show of a drill.
use drill::{list as drill_list, run as drill_run};

use crate::{
    args::{Cli, Command},
    error::{Failure, Result},
    exit::ExitStatus,
    hub::{self, Hub},
    printer::{Output, Printer},
    text,
};

/// Context of a command that talks to the hub.
pub struct Context<'a> {
    /// The hub, and the district that is meant.
    pub hub: Hub,
    /// Where text goes.
    pub printer: &'a Printer,
    /// Options of every command.
    pub global: &'a crate::args::Global,
}

/// Runs the command.
pub async fn perform(cli: &Cli, printer: &Printer) -> Result<ExitStatus> {
    match &cli.command {
        Command::Completions { shell } => return completions::print(*shell, printer),
        Command::Man { folder } => return man::write(folder, printer),
        Command::Reference => return Ok(reference::print(printer)),
        _ => {}
    }
    let report = matches!(&cli.command, Command::Drill(crate::args::DrillCommand::Report(_)));
    if printer.output == Output::Html && !report {
        return Err(Failure::usage(text::html_is_for_reports()));
    }
    if let Command::Explain { reason } = &cli.command {
        return explain::show(reason.as_ref(), printer, &hub::place(&cli.global));
    }
    let context = Context { hub: Hub::connect(&cli.global).await?, printer, global: &cli.global };
    text::settle(context.hub.place(), context.hub.clock.zone.clone());
    if !matches!(&cli.command, Command::Site(_) | Command::District(_)) {
        context.hub.must_be_somewhere()?;
        context.hub.remarks.iter().for_each(|remark| printer.warn(remark));
    }
    // That page tells it itself, among what needs a person.
    if let Some(leaderless) = context.hub.leaderless().filter(|_| !matches!(&cli.command, Command::Status)) {
        let warning = leaderless.warning(&context.hub.clock.at(jiff::Timestamp::now()));
        printer.warn(&text::kept_by_nobody_look(&warning, &context.hub.operator_namespace));
    }
    match &cli.command {
        Command::Status => status::show(&context).await,
        Command::Site(command) => site::perform(&context, command).await,
        Command::District(command) => district::perform(&context, command).await,
        Command::Profile(command) => profile::perform(&context, command).await,
        Command::Platform(command) => platform::perform(&context, command).await,
        Command::App(command) => app::perform(&context, command).await,
        Command::Repository(command) => repository::perform(&context, command).await,
        Command::Policy(command) => policy::perform(&context, command).await,
        Command::Backup(command) => backup::perform(&context, command).await,
        Command::Restore(command) => restore::perform(&context, command).await,
        Command::Plan(command) => plan::perform(&context, command).await,
        Command::Drill(command) => drill::perform(&context, command).await,
        Command::Window(command) => window::perform(&context, command).await,
        Command::Template(command) => template::perform(&context, command).await,
        Command::Ticket(command) => ticket::perform(&context, command).await,
        Command::Duty(command) => duty::perform(&context, command).await,
        Command::Explain { .. } | Command::Completions { .. } | Command::Man { .. } | Command::Reference => Ok(ExitStatus::Good),
    }
}
