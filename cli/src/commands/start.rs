//! After creating a run: prints its name, and watches it unless `--no-wait` is given.

use super::{Context, list::full_name};
use crate::{
    error::Result,
    exit::ExitStatus,
    format::Line,
    printer::Output,
    run::{Watched, watch_started},
    text::{self, Bilingual},
};

/// Prints the started run in the requested format, and watches it.
pub async fn started<K: Watched>(context: &Context<'_>, run: &K, words: &Bilingual) -> Result<ExitStatus> {
    let (name, printer) = (kube::ResourceExt::name_any(run), context.printer);
    match printer.output {
        Output::Name => printer.line(&Line::of(full_name::<K>(&name))),
        Output::Json | Output::Yaml if context.global.no_wait => printer.structure(run)?,
        Output::Json | Output::Yaml => {}
        Output::Table | Output::Wide | Output::Html => printer.say(words),
    }
    // The live view shows the name itself. Everywhere else it is said at once: whatever happens to this process, the run goes on.
    if context.global.no_wait || !printer.live() {
        printer.remark(&text::started(K::NOUN, &name, &context.hub.typed(&format!("p861 {} watch {name}", K::NOUN))));
    }
    if context.global.no_wait {
        return Ok(ExitStatus::Good);
    }
    watch_started::<K>(&context.hub, printer, context.global, &name).await
}
