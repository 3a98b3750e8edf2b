//! `p861 profile …`

use super::{
    Context,
    list::print_list,
    page::{cell, listed, truth},
};
use crate::{
    args::ProfileCommand,
    error::Result,
    exit::ExitStatus,
    format::{Line, Table},
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{ConditionType, PlatformProfile};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &ProfileCommand) -> Result<ExitStatus> {
    let printer = context.printer;
    match command {
        ProfileCommand::List => {
            let profiles = context.hub.list::<PlatformProfile>(None, "").await?;
            print_list(printer, &profiles, &text::no_profiles(), |profiles| list(profiles, printer.output == Output::Wide, printer.language))
        }
    }
}

/// The table of profiles.
fn list(profiles: &[PlatformProfile], wide: bool, language: Language) -> Vec<Line> {
    let mut heads = vec![text::PROFILE, text::NAME, text::EDITION, text::ITEMS, text::PROVISIONAL, text::READY, text::DISTRICTS];
    if wide {
        heads.push(text::SOURCE);
    }
    let mut table = Table::new(language, &heads).spare(&[text::PROVISIONAL, text::ITEMS, text::EDITION, text::DISTRICTS]);
    for profile in profiles {
        let status = profile.status.clone().unwrap_or_default();
        let mut row = vec![
            Line::of(profile.name_any()),
            Line::of(profile.spec.names.in_language(language.key())),
            Line::of(&profile.spec.edition),
            Line::of(profile.spec.items.len().to_string()),
            cell(status.items.as_ref().map(|items| items.provisional.to_string())),
            truth(&status.conditions, ConditionType::Ready, language),
            cell(Some(listed(&status.districts, language)).filter(|names| !names.is_empty())),
        ];
        if wide {
            row.push(Line::of(&profile.spec.source));
        }
        table.row(row);
    }
    table.lines()
}
