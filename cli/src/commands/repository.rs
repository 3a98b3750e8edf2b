//! `p861 repository …`

use super::{
    Context,
    list::{print_list, print_object},
    page::{self, Facts, Reader, cell, size, truth},
};
use crate::{
    args::RepositoryCommand,
    error::Result,
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{BackupRepository, ConditionType};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &RepositoryCommand) -> Result<ExitStatus> {
    let printer = context.printer;
    match command {
        RepositoryCommand::List => {
            let repositories = context.hub.list_here::<BackupRepository>("").await?;
            print_list(printer, &repositories, &text::no_repositories(&context.hub.namespace), |all| {
                list(all, printer.output == Output::Wide, printer.language)
            })
        }
        RepositoryCommand::Show(name) => {
            let repository = context.hub.get_here::<BackupRepository>(&name.name).await?;
            print_object(printer, &repository, |repository| show(repository, &context.hub.clock, printer.language, context.hub.place()))?;
            Ok(ExitStatus::Good)
        }
    }
}

/// Where a repository is, in one word.
pub fn location(repository: &BackupRepository) -> String {
    match (&repository.spec.s3, &repository.spec.folder) {
        (Some(s3), _) if s3.prefix.is_empty() => format!("{}/{}", s3.endpoint.trim_end_matches('/'), s3.bucket),
        (Some(s3), _) => format!("{}/{}/{}", s3.endpoint.trim_end_matches('/'), s3.bucket, s3.prefix.trim_matches('/')),
        (None, Some(folder)) => folder.path.clone().or_else(|| folder.claim_name.as_ref().map(|claim| format!("claim {claim}"))).unwrap_or_default(),
        (None, None) => String::new(),
    }
}

/// The table of repositories.
fn list(repositories: &[BackupRepository], wide: bool, language: Language) -> Vec<Line> {
    let mut heads = vec![text::REPOSITORY, text::READY, text::CHECKED, text::OFF_SITE, text::ESCROW, text::USED, text::CAPACITY];
    if wide {
        heads.extend([text::LOCATION, text::DOMAIN, text::SNAPSHOTS]);
    }
    let mut table = Table::new(language, &heads);
    for repository in repositories {
        let status = repository.status.clone().unwrap_or_default();
        let conditions = &status.conditions;
        let mut row = vec![
            Line::of(repository.name_any()),
            truth(conditions, ConditionType::Ready, language),
            truth(conditions, ConditionType::Checked, language),
            truth(conditions, ConditionType::OffSite, language),
            truth(conditions, ConditionType::EscrowProven, language),
            cell(status.used.as_ref().map(size)),
            cell(repository.spec.capacity.as_ref().map(size)),
        ];
        if wide {
            row.extend([Line::of(location(repository)), Line::of(&repository.spec.failure_domain), cell(status.snapshots.map(|number| number.to_string()))]);
        }
        table.row(row);
    }
    table.lines()
}

/// The page of a repository.
fn show(repository: &BackupRepository, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let status = repository.status.clone().unwrap_or_default();
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {}", text::noun("repository").pick(language), repository.name_any()))];
    lines.extend(
        Facts::new(language)
            .with(text::F_LOCATION, location(repository))
            .with(text::F_DOMAIN, &repository.spec.failure_domain)
            .maybe(
                text::F_USED,
                status.used.as_ref().map(|used| match &repository.spec.capacity {
                    Some(capacity) => text::of(&size(used), &size(capacity)).pick(language).to_owned(),
                    None => size(used),
                }),
            )
            .maybe(text::F_SNAPSHOTS, status.snapshots.map(|number| number.to_string()))
            .maybe(
                text::F_LAST_CHECK,
                status.last_check_time.as_ref().map(|time| text::ago(&clock.minute(time.0), &clock.age(time.0, language)).pick(language).to_owned()),
            )
            .with(text::F_MOVERS, repository.spec.limits.movers.to_string())
            .maybe(text::F_REPOSITORY_ID, status.repository_id.as_ref())
            .lines(),
    );
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &repository.name_any() }));
    lines
}
