//! `p861 drill …`

pub mod list;
mod report;
pub mod run;
pub mod show;

use super::{Context, act, list::show_run};
use crate::{
    args::{DrillCommand, Extend},
    error::{Failure, Result},
    exit::ExitStatus,
    hub::Run as _,
    run::{is_hold, stated},
    text,
};
use p861_crds::{
    Drill,
    common::{ActionKind, RunAction},
};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &DrillCommand) -> Result<ExitStatus> {
    match command {
        DrillCommand::Run(what) => run::run(context, what).await,
        DrillCommand::List(what) => list::list(context, what).await,
        DrillCommand::Show(name) => show_run::<Drill>(context, &name.name).await,
        DrillCommand::Report(name) => report::report(context, &name.name).await,
        DrillCommand::Cleanup(what) => {
            let drill = keeps_something(context, &what.name).await?;
            let status = act::on_run::<Drill>(context, what, ActionKind::CleanUp).await?;
            if !drill.current_steps().iter().any(is_hold) {
                context.printer.remark(&text::cleaned_when_checked());
            }
            Ok(status)
        }
        DrillCommand::Extend(what) => extend(context, what).await,
        DrillCommand::Act(verb) => act::perform::<Drill>(context, verb).await,
    }
}

/// Only a drill with `keepFor` leaves a copy standing.
async fn keeps_something(context: &Context<'_>, name: &str) -> Result<Drill> {
    let drill = act::open::<Drill>(context, name).await?;
    let kept = stated(Some(&drill.spec.keep_for)).is_some_and(|kept| !kept.is_zero());
    if kept { Ok(drill) } else { Err(Failure::refused(text::keeps_nothing(name, context.hub.place()))) }
}

async fn extend(context: &Context<'_>, what: &Extend) -> Result<ExitStatus> {
    let drill = keeps_something(context, &what.name).await?;
    let by = p861_core::time::print_duration(what.by).map_err(|error| Failure::usage(text::Bilingual::same(error.to_string())))?;
    let extends = RunAction { duration: Some(by.as_str().into()), ..act::new(ActionKind::Extend, None, what.reason.clone()) };
    let status = act::send::<Drill>(context, &what.name, extends).await?;
    // Before the hold there is no end yet that could be told.
    if !drill.current_steps().iter().any(is_hold) {
        context.printer.remark(&text::copy_kept_longer(&by, &drill.spec.keep_for.0));
    }
    Ok(status)
}
