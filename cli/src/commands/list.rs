//! Lists and single objects, in every form.

use super::Context;
use crate::{
    error::Result,
    exit::ExitStatus,
    format::Line,
    hub::{Kind, Listing, Read, name_of},
    printer::{Output, Printer},
    run::{Watched, code_of, refusal, standing},
    text::Bilingual,
};
use serde_json::json;

/// How kubectl names an object: `drill.platform861.io/NAME`.
pub fn full_name<K: Kind>(name: &str) -> String {
    format!("{}.{}/{name}", K::kind(&()).to_lowercase(), p861_crds::names::GROUP)
}

/// Prints objects. `table` makes the lines; `none` is said if there are no objects.
pub fn print_list<K: Kind>(printer: &Printer, listing: &Listing<K>, none: &Bilingual, table: impl FnOnce(&[K]) -> Vec<Line>) -> Result<ExitStatus> {
    for why in &listing.unreadable {
        printer.warn(why);
    }
    match printer.output {
        Output::Json | Output::Yaml => {
            printer.structure(&json!({"apiVersion": "v1", "kind": "List", "items": listing.raw, "metadata": {"resourceVersion": ""}}))?;
        }
        Output::Name => {
            for name in listing.raw.iter().filter_map(name_of) {
                printer.line(&Line::of(full_name::<K>(name)));
            }
        }
        Output::Table | Output::Wide | Output::Html if listing.is_empty() => printer.remark(none),
        Output::Table | Output::Wide | Output::Html if listing.items.is_empty() => {}
        Output::Table | Output::Wide | Output::Html => printer.lines(&table(&listing.items)),
    }
    Ok(ExitStatus::Good)
}

/// Prints one object. `page` makes the lines.
pub fn print_object<K: Kind>(printer: &Printer, read: &Read<K>, page: impl FnOnce(&K) -> Vec<Line>) -> Result<()> {
    match printer.output {
        Output::Json | Output::Yaml => printer.structure(&read.raw)?,
        Output::Name => printer.line(&Line::of(full_name::<K>(&kube::ResourceExt::name_any(&read.object)))),
        Output::Table | Output::Wide | Output::Html => printer.lines(&page(&read.object)),
    }
    Ok(())
}

/// Shows a run: its steps while it goes on, its page when it has ended.
pub async fn show_run<K: Watched>(context: &Context<'_>, name: &str) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let read = hub.get_here::<K>(name).await?;
    let mut lines = if printer.structured() || printer.output == Output::Name { Vec::new() } else { standing(hub, &read.object, printer.language).await };
    lines.extend(read.object.refused().iter().map(|refused| refusal(K::NOUN, refused, printer.language)));
    print_object(printer, &read, |_| lines)?;
    Ok(code_of(&read.object))
}
