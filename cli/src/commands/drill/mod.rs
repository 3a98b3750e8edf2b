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
    run::stated,
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
            keeps_something(context, &what.name).await?;
            act::on_run::<Drill>(context, what, ActionKind::CleanUp).await
        }
        DrillCommand::Extend(what) => extend(context, what).await,
        DrillCommand::Act(verb) => act::perform::<Drill>(context, verb).await,
    }
}

/// Only a drill with `keepFor` leaves a copy standing.
async fn keeps_something(context: &Context<'_>, name: &str) -> Result<()> {
    let drill = act::open::<Drill>(context, name).await?;
    let kept = stated(Some(&drill.spec.keep_for)).is_some_and(|kept| !kept.is_zero());
    if kept { Ok(()) } else { Err(Failure::refused(text::keeps_nothing(name, context.hub.place()))) }
}

async fn extend(context: &Context<'_>, what: &Extend) -> Result<ExitStatus> {
    keeps_something(context, &what.name).await?;
    let by = p861_core::time::print_duration(what.by).map_err(|error| Failure::usage(text::Bilingual::same(error.to_string())))?;
    act::send::<Drill>(context, &what.name, RunAction { duration: Some(by.into()), ..act::new(ActionKind::Extend, None, what.reason.clone()) }).await
}
