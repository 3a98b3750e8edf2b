//! `p861 window …`

use super::{
    Context,
    list::{print_list, print_object},
    page::{self, Facts, Reader, dash, truth},
};
use crate::{
    args::WindowCommand,
    error::Result,
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{ConditionType, MaintenanceWindow, Time};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &WindowCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        WindowCommand::List => {
            let windows = hub.list_here::<MaintenanceWindow>("").await?;
            print_list(printer, &windows, &text::no_windows(&hub.namespace), |windows| {
                list(windows, &hub.clock, printer.output == Output::Wide, printer.language, hub.place())
            })
        }
        WindowCommand::Show(name) => {
            let read = hub.get_here::<MaintenanceWindow>(&name.name).await?;
            print_object(printer, &read, |window| show(window, &hub.clock, printer.language, hub.place()))?;
            Ok(ExitStatus::Good)
        }
    }
}

fn moment(time: Option<&Time>, clock: &Clock) -> Line {
    time.map_or_else(dash, |time| Line::of(clock.minute(time.0)))
}

fn classes(window: &MaintenanceWindow, language: Language) -> String {
    page::listed(window.spec.change_classes.iter().map(|class| text::change_class(*class).pick(language)), language)
}

/// The table of windows.
fn list(windows: &[MaintenanceWindow], clock: &Clock, wide: bool, language: Language, place: &str) -> Vec<Line> {
    let mut heads = vec![text::WINDOW, text::OPEN, text::OPENS, text::CLOSES];
    if wide {
        heads.extend([text::FOR, text::REASON]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::CLOSES]);
    for window in windows {
        let status = window.status.clone().unwrap_or_default();
        let mut row = vec![
            Line::of(window.name_any()),
            truth(&status.conditions, ConditionType::Open, language),
            moment(status.next_open_time.as_ref(), clock),
            moment(status.next_close_time.as_ref(), clock),
        ];
        if wide {
            let said = page::condition(&status.conditions, ConditionType::Open)
                .map(|condition| page::says(condition, &Reader { language, place, name: &window.name_any() }).0);
            row.extend([Line::of(classes(window, language)), page::cell(said)]);
        }
        table.row(row);
    }
    table.lines()
}

/// The page of a window.
fn show(window: &MaintenanceWindow, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let status = window.status.clone().unwrap_or_default();
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {}", text::noun("window").pick(language), window.name_any()))];
    let mut facts = Facts::new(language)
        .with(text::F_FOR, classes(window, language))
        .maybe(text::F_TIME_ZONE, window.spec.time_zone.as_ref())
        .maybe(text::F_OPENS, status.next_open_time.as_ref().map(|time| clock.minute(time.0)))
        .maybe(text::F_CLOSES, status.next_close_time.as_ref().map(|time| clock.minute(time.0)));
    for recurrence in &window.spec.recurrences {
        facts =
            facts.with(text::F_RECURRENCE, format!("{}{}{}", recurrence.schedule, text::COMMA.pick(language), text::span(&recurrence.duration.0, language)));
    }
    let span = |start: &Time, end: &Time| text::from_to(&clock.minute(start.0), &clock.minute(end.0)).pick(language).to_owned();
    for date in &window.spec.dates {
        facts = facts.with(text::F_DATE, span(&date.start_time, &date.end_time));
    }
    for freeze in &window.spec.freezes {
        let why = freeze.reason.as_ref().map(|reason| format!(" · {}", reason.in_language(language.key()))).unwrap_or_default();
        facts = facts.with(text::F_FREEZE, format!("{}{}{}{why}", freeze.name, text::COLON.pick(language), span(&freeze.start_time, &freeze.end_time)));
    }
    lines.extend(facts.lines());
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &window.name_any() }));
    lines
}
