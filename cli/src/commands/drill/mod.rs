//! `p861 drill …`

pub mod list;
mod report;
pub mod run;
pub mod show;

use super::{Context, act};
use crate::{
    args::{DrillCommand, Extend},
    error::{Failure, Result},
    exit::ExitStatus,
    text,
};
use p861_crds::{
    Drill,
    common::{ActionKind, RunAction},
};

/// Does what was typed.
pub async fn perform(context: &Context<'_>, command: &DrillCommand) -> Result<ExitStatus> {
    match command {
        DrillCommand::Run(what) => run::run(context, what).await,
        DrillCommand::List(what) => list::list(context, what).await,
        DrillCommand::Show(name) => show::show(context, &name.name).await,
        DrillCommand::Report(name) => report::report(context, &name.name).await,
        DrillCommand::Cleanup(what) => act::on_run::<Drill>(context, what, ActionKind::CleanUp).await,
        DrillCommand::Extend(what) => extend(context, what).await,
        DrillCommand::Act(verb) => act::perform::<Drill>(context, verb).await,
    }
}

async fn extend(context: &Context<'_>, what: &Extend) -> Result<ExitStatus> {
    act::open::<Drill>(context, &what.name).await?;
    let by = p861_core::time::print_duration(what.by).map_err(|error| Failure::usage(text::Bilingual::same(error.to_string())))?;
    act::send::<Drill>(context, &what.name, RunAction { duration: Some(by.into()), ..act::new(ActionKind::Extend, None, what.reason.clone()) }).await
}
