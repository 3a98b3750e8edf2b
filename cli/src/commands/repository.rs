//! `p861 repository …`

use super::{
    Context,
    list::{print_list, print_object},
    needs::{self, Objects},
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
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_crds::{BackupRepository, BackupRepositoryStatus, ConditionType, common::Quantity};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &RepositoryCommand) -> Result<ExitStatus> {
    let printer = context.printer;
    match command {
        RepositoryCommand::List => {
            let repositories = context.hub.list_here::<BackupRepository>("").await?;
            print_list(printer, &repositories, &text::no_repositories(&context.hub.namespace), |all| {
                list(all, printer.output == Output::Wide, &context.hub.clock.at(Timestamp::now()), printer.language)
            })
        }
        RepositoryCommand::Show(name) => {
            let repository = context.hub.get_here::<BackupRepository>(&name.name).await?;
            print_object(printer, &repository, |repository| show(repository, &context.hub.clock.at(Timestamp::now()), printer.language, context.hub.place()))?;
            Ok(needs::verdict(&context.hub, &Objects { repositories: vec![repository.object], ..Objects::default() }))
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

/// The bytes that are stored, and how long ago they were measured: they grow between two measurements.
fn used(status: &BackupRepositoryStatus, capacity: Option<&Quantity>, clock: &Clock, language: Language) -> Option<String> {
    let used = size(status.used.as_ref()?);
    let used = capacity.map_or_else(|| used.clone(), |capacity| text::of(&used, &size(capacity)).pick(language).to_owned());
    Some(match &status.used_time {
        Some(time) => text::ago(&used, &clock.age(time.0, language)).pick(language).to_owned(),
        None => used,
    })
}

/// The table of repositories.
fn list(repositories: &[BackupRepository], wide: bool, clock: &Clock, language: Language) -> Vec<Line> {
    let mut heads = vec![text::REPOSITORY, text::READY, text::CHECKED, text::OFF_SITE, text::ESCROW, text::USED, text::CAPACITY];
    if wide {
        heads.extend([text::LOCATION, text::DOMAIN, text::SNAPSHOTS]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::ESCROW, text::CAPACITY, text::OFF_SITE]);
    for repository in repositories {
        let status = repository.status.clone().unwrap_or_default();
        let conditions = &status.conditions;
        let mut row = vec![
            Line::of(repository.name_any()),
            truth(conditions, ConditionType::Ready, language),
            truth(conditions, ConditionType::Checked, language),
            truth(conditions, ConditionType::OffSite, language),
            truth(conditions, ConditionType::EscrowProven, language),
            cell(used(&status, None, clock, language)),
            cell(repository.spec.capacity.as_ref().map(size)),
        ];
        if wide {
            row.extend([Line::of(location(repository)), Line::of(&repository.spec.failure_domain), cell(status.snapshots.map(|number| number.to_string()))]);
        }
        table.row(row);
    }
    table.lines()
}

/// When it was last pruned, and what left it then.
fn pruned(status: &BackupRepositoryStatus, clock: &Clock, language: Language) -> Option<String> {
    let time = status.last_prune_time.as_ref()?.0;
    let reclaimed = status.reclaimed.as_ref().map_or_else(|| "?".to_owned(), size);
    Some(text::ago(text::reclaimed_at(&reclaimed, &clock.minute(time)).pick(language), &clock.age(time, language)).pick(language).to_owned())
}

/// When snapshots were last forgotten, and how many.
fn forgotten(status: &BackupRepositoryStatus, clock: &Clock, language: Language) -> Option<String> {
    let time = status.last_forget_time.as_ref()?.0;
    let number = status.forgotten.unwrap_or_default();
    Some(text::ago(text::forgotten_at(number, &clock.minute(time)).pick(language), &clock.age(time, language)).pick(language).to_owned())
}

/// The run that thins it out, while it has not ended: what it does, and what it waits for.
fn under_way(status: &BackupRepositoryStatus, language: Language) -> Option<String> {
    let run = status.retention_run.as_ref().filter(|run| !run.phase.is_end())?;
    let said = run.current_steps.first().map(|step| step.message.clone());
    let said = said.or_else(|| run.conditions.first().map(|condition| condition.message.clone())).filter(|said| !said.is_empty());
    let work = text::value(run.work).pick(language).to_owned();
    Some(match said {
        Some(said) => format!("{work}{}{}", text::COLON.pick(language), text::told(&said).pick(language)),
        None => work,
    })
}

/// The page of a repository.
fn show(repository: &BackupRepository, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let status = repository.status.clone().unwrap_or_default();
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {}", text::noun("repository").pick(language), repository.name_any()))];
    lines.extend(
        Facts::new(language)
            .with(text::F_LOCATION, location(repository))
            .with(text::F_DOMAIN, &repository.spec.failure_domain)
            .maybe(text::F_USED, used(&status, repository.spec.capacity.as_ref(), clock, language))
            .maybe(text::F_SNAPSHOTS, status.snapshots.map(|number| number.to_string()))
            .maybe(
                text::F_LAST_CHECK,
                status.last_check_time.as_ref().map(|time| text::ago(&clock.minute(time.0), &clock.age(time.0, language)).pick(language).to_owned()),
            )
            .maybe(text::F_PRUNED, pruned(&status, clock, language))
            .maybe(text::F_MARKED, status.marked.as_ref().map(size))
            .maybe(text::F_FORGOTTEN, forgotten(&status, clock, language))
            .maybe(text::F_TO_FORGET, status.to_forget.filter(|number| *number > 0).map(|number| number.to_string()))
            .maybe(text::F_NEXT_RETENTION, status.next_retention_time.as_ref().map(|time| clock.minute(time.0)))
            .maybe(text::F_RUN, under_way(&status, language))
            .with(text::F_MOVERS, repository.spec.limits.movers.to_string())
            .maybe(text::F_REPOSITORY_ID, status.repository_id.as_ref())
            .lines(),
    );
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &repository.name_any() }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fault_h20_what_is_stored_has_a_unit_and_says_how_long_ago_it_was_measured() {
        let clock = Clock { now: "2026-11-24T00:34:00Z".parse().expect("a time"), zone: jiff::tz::TimeZone::UTC };
        let repository = |time: Option<&str>| -> BackupRepository {
            let mut document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupRepository", "metadata": {"name": "main"},
                "spec": {"failureDomain": "d", "folder": {"path": "/b"}, "encryption": {"keySecretRef": {"name": "k"}}, "capacity": "20Gi"}, "status": {"used": "1434Ki"}});
            document["status"]["usedTime"] = json!(time);
            serde_json::from_value(document).expect("a repository")
        };
        for (time, language, listed, shown) in [
            (Some("2026-11-24T00:00:00Z"), Language::En, "1.4 MiB (34m ago)", "1.4 MiB of 20 GiB (34m ago)"),
            (Some("2026-11-24T00:00:00Z"), Language::Zh, "1.4 MiB（34分钟前）", "1.4 MiB／20 GiB（34分钟前）"),
            (None, Language::En, "1.4 MiB", "1.4 MiB of 20 GiB"),
        ] {
            let repository = repository(time);
            let page = |lines: Vec<Line>| lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            let (list, show) = (page(list(std::slice::from_ref(&repository), false, &clock, language)), page(show(&repository, &clock, language, "")));
            assert!(list.contains(listed) && show.contains(shown), "{list}\n{show}");
        }
    }
}
