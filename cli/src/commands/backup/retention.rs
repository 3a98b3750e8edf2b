//! `p861 backup retention`: which snapshots stay and which go, as the operator has found it. Nothing goes that isn't shown here first.

use super::super::Context;
use crate::{
    args::BackupRetention,
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::Hub,
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_core::{
    names::{RETENTION_LIST, retention_of},
    protection::retention::{Listed, Verdict},
};
use p861_crds::{Application, BackupRepository};
use serde_json::json;
use std::collections::BTreeMap;

/// What is known of a repository's snapshots.
pub struct Found {
    /// The repository.
    pub repository: BackupRepository,
    /// The snapshots, by application, the newest first.
    pub listed: Vec<Listed>,
    /// When that was found.
    pub as_of: Option<String>,
}

/// Reads what the operator has found of a repository; none if it has not looked yet.
pub async fn load(hub: &Hub, repository: BackupRepository) -> Result<Option<Found>> {
    let base = retention_of(&repository.name_any());
    let key = format!("{RETENTION_LIST}.json");
    let take = |map: &mut BTreeMap<String, String>| -> Vec<Listed> { serde_json::from_str(&map.remove(&key).unwrap_or_default()).unwrap_or_default() };
    let Some(mut first) = hub.config_map(&base).await? else { return Ok(None) };
    let mut listed = take(&mut first);
    let parts: usize = first.get("parts").and_then(|parts| parts.parse().ok()).unwrap_or(1);
    for number in 1..parts {
        listed.append(&mut take(&mut hub.config_map(&format!("{base}-{number}")).await?.unwrap_or_default()));
    }
    Ok(Some(Found { repository, listed, as_of: first.remove("asOf") }))
}

/// Runs the command.
pub async fn perform(context: &Context<'_>, what: &BackupRetention) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let repositories = hub.list_here::<BackupRepository>("").await?;
    if repositories.is_empty() {
        return Err(Failure::refused(text::no_repositories(&hub.namespace)));
    }
    let (mut found, mut unseen) = (Vec::new(), Vec::new());
    for repository in repositories.items {
        let name = repository.name_any();
        match load(hub, repository).await? {
            Some(seen) => found.push(seen),
            None => unseen.push(name),
        }
    }
    for seen in &mut found {
        seen.listed.retain(|listed| what.of.as_ref().is_none_or(|of| listed.application == *of || listed.policy.as_ref() == Some(of)));
    }
    found.retain(|seen| !seen.listed.is_empty());
    for name in &unseen {
        printer.warn(&text::retention_unseen(name, hub.place()));
    }
    if found.is_empty()
        && unseen.is_empty()
        && let Some(of) = &what.of
    {
        // An unknown name is not one without snapshots.
        hub.get_here::<Application>(of).await?;
    }
    if printer.structured() {
        printer.structure(&document(&found))?;
        return Ok(ExitStatus::Good);
    }
    if found.is_empty() {
        printer.remark(&text::no_snapshots(&hub.namespace, what.of.as_deref()));
        return Ok(ExitStatus::Good);
    }
    for seen in &found {
        printer.lines(&page(seen, what.plan, printer.output == Output::Wide, &hub.clock, printer.language));
        printer.remark(&text::retention_foot(&seen.repository.name_any(), next_time(seen, &hub.clock).as_deref(), what.plan, hub.place()));
    }
    Ok(ExitStatus::Good)
}

fn next_time(seen: &Found, clock: &Clock) -> Option<String> {
    let going = seen.listed.iter().any(|listed| matches!(listed.judged.verdict, Verdict::Forget(_)));
    let next = seen.repository.status.as_ref()?.next_retention_time.as_ref().filter(|_| going)?;
    Some(clock.minute(next.0))
}

/// For programs.
fn document(found: &[Found]) -> serde_json::Value {
    let repositories: Vec<serde_json::Value> =
        found.iter().map(|seen| json!({"repository": seen.repository.name_any(), "asOf": seen.as_of, "snapshots": seen.listed})).collect();
    json!({"apiVersion": "cli.platform861.io/v1", "kind": "RetentionPlan", "repositories": repositories})
}

/// The page of a repository: a table for each application. `every` also shows what stays.
fn page(seen: &Found, every: bool, wide: bool, clock: &Clock, language: Language) -> Vec<Line> {
    let mut by_application: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
    for listed in &seen.listed {
        by_application.entry(&listed.application).or_default().push(listed);
    }
    let mut lines = Vec::new();
    for (application, of_it) in by_application {
        let goes = |listed: &&&Listed| matches!(listed.judged.verdict, Verdict::Forget(_));
        let going = of_it.iter().filter(goes).count();
        let policy = of_it.first().and_then(|first| first.policy.as_deref());
        lines.push(Line::toned(Tone::Strong, text::retention_head(application, policy, of_it.len() - going, going).pick(language)));
        let shown: Vec<&Listed> = of_it.iter().copied().filter(|listed| every || matches!(listed.judged.verdict, Verdict::Forget(_))).collect();
        if !shown.is_empty() {
            lines.extend(table(&shown, wide, clock, language));
        }
    }
    lines
}

fn table(shown: &[&Listed], wide: bool, clock: &Clock, language: Language) -> Vec<Line> {
    let mut heads = vec![text::BACKUP, text::DATA_AS_OF, text::VERIFIED];
    heads.extend(wide.then_some(text::SNAPSHOT));
    heads.push(text::WHY);
    let mut table = Table::new(language, &heads).spare(&[text::VERIFIED]);
    for listed in shown {
        let judged = &listed.judged;
        let level = judged.level.map_or_else(super::super::page::dash, |level| Line::of(text::value(level).pick(language)));
        let mut row = vec![Line::of(&judged.backup), Line::of(clock.minute(judged.time)), level];
        row.extend(wide.then(|| Line::of(judged.snapshot.as_str().chars().take(12).collect::<String>())));
        row.push(match &judged.verdict {
            Verdict::Keep(reasons) => Line::toned(Tone::Good, text::stays(reasons, |time| clock.minute(time), language)),
            Verdict::Forget(reason) => Line::toned(Tone::Warn, text::goes(reason, language)),
        });
        table.row(row);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Room, fitted};
    use jiff::{Timestamp, tz::TimeZone};
    use p861_core::protection::retention::{Flaw, ForgetReason, Judged, KeepReason};
    use p861_crds::protection::backup::VerificationLevel;

    fn listed(backup: &str, day: &str, level: Option<VerificationLevel>, verdict: Verdict) -> Listed {
        let time: Timestamp = format!("2026-11-{day}T00:50:00Z").parse().expect("a time");
        let judged = Judged { snapshot: "0a1b2c3d4e5f6a7b8c9d".into(), backup: backup.into(), time, level, verdict };
        Listed { application: "approval".into(), policy: Some("nightly".into()), judged }
    }

    fn found() -> Found {
        let repository = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupRepository", "metadata": {"name": "main"},
            "spec": {"failureDomain": "d", "folder": {"path": "/b"}, "encryption": {"keySecretRef": {"name": "k"}}},
            "status": {"nextRetentionTime": "2026-11-24T18:13:00Z"}}))
        .expect("a repository");
        let until = "2027-01-31T00:00:00Z".parse().expect("a time");
        let probed = KeepReason::NewestOfLevel { level: VerificationLevel::Probed };
        let all = vec![
            listed("approval-20261124-0050z", "24", None, Verdict::Keep(vec![KeepReason::Last, KeepReason::Daily, KeepReason::Newest])),
            listed(
                "approval-20261123-0050z",
                "23",
                Some(VerificationLevel::Probed),
                Verdict::Keep(vec![probed, KeepReason::InUse { by: "restore back".into() }]),
            ),
            listed("approval-20261122-0050z", "22", None, Verdict::Keep(vec![KeepReason::Flawed { flaw: Flaw::Damaged, until }])),
            listed("approval-20261110-0050z", "10", Some(VerificationLevel::Stored), Verdict::Forget(ForgetReason::NoPlace)),
        ];
        Found { repository, listed: all, as_of: Some("2026-11-24T01:00:00Z".into()) }
    }

    fn printed(every: bool, language: Language, columns: usize) -> String {
        let clock = Clock { now: "2026-11-24T01:00:00Z".parse().expect("a time"), zone: TimeZone::UTC };
        let lines = page(&found(), every, false, &clock, language);
        fitted(&lines, Room { columns: Some(columns), every_column: false }).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_plan_names_every_snapshot_with_why_it_stays_or_goes() {
        for (language, words) in [
            (
                Language::En,
                [
                    "approval (policy nightly): 3 stay, 1 goes",
                    "stays: last, daily, newest",
                    "stays: newest Probed, used by restore back",
                    "goes: no place for it",
                ],
            ),
            (Language::Zh, ["approval（策略 nightly）：保留 3 个，删除 1 个", "保留：最近、每日、最新", "保留：最新的", "删除：没有保留名额"]),
        ] {
            let text = printed(true, language, 200);
            for word in words {
                assert!(text.contains(word), "{word}\n{text}");
            }
        }
        let short = printed(false, Language::En, 200);
        assert!(short.contains("approval-20261110-0050z") && !short.contains("approval-20261124-0050z"), "{short}");
    }

    #[test]
    fn the_plan_fits_sixty_columns_in_both_languages() {
        for language in [Language::En, Language::Zh] {
            let text = printed(true, language, 60);
            for line in text.lines() {
                let columns: usize = line.chars().map(|c| if c > '\u{2e80}' { 2 } else { 1 }).sum();
                assert!(columns <= 60, "{columns}: {line}");
            }
            for backup in ["approval-20261124-0050z", "approval-20261110-0050z"] {
                assert!(text.contains(backup), "{backup}\n{text}");
            }
        }
    }

    #[test]
    fn a_program_gets_all_of_it() {
        let document = document(&[found()]);
        assert_eq!(document["repositories"][0]["snapshots"][3]["verdict"]["forget"]["why"], "noPlace");
        assert_eq!(document["repositories"][0]["snapshots"][0]["verdict"]["keep"][0]["why"], "last");
    }
}
