//! `p861 backup …`

mod forget;
mod retention;

use super::{
    Context, act, calendar,
    drill_list::phase as phase_cell,
    list::{print_list, show_run},
    page::{self, Facts, Reader, cell, condition, dash, is_bad, reason_of, size},
    start::started,
};
use crate::{
    args::{BackupCommand, BackupList, BackupNow},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Hub, Run as _, create_run, typed},
    printer::Output,
    run::{Snapshot, Stand, Watched},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_core::protection::choose;
use p861_crds::{Application, Backup, BackupRepository, BackupSpec, BackupStatus, Condition, ConditionType, ObjectReference, Reason, Time, common::RunPhase};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// How many of the newest of each application are listed.
const NEWEST: usize = 2;

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &BackupCommand) -> Result<ExitStatus> {
    match command {
        BackupCommand::Now(what) => now(context, what).await,
        BackupCommand::List(what) => list(context, what).await,
        BackupCommand::Show(name) => show_run::<Backup>(context, &name.name).await,
        BackupCommand::Calendar(what) => calendar::perform(context, what).await,
        BackupCommand::Retention(what) => retention::perform(context, what).await,
        BackupCommand::Forget(what) => forget::perform(context, what).await,
        BackupCommand::Act(verb) => act::perform::<Backup>(context, verb).await,
    }
}

async fn now(context: &Context<'_>, what: &BackupNow) -> Result<ExitStatus> {
    let hub = &context.hub;
    hub.get_here::<Application>(&what.application).await?;
    if let Some(repository) = &what.repository {
        hub.get_here::<BackupRepository>(repository).await?;
    }
    let keep_until_time = match &what.keep_until {
        Some(text) => Some(Time(hub.clock.parse(text).ok_or_else(|| Failure::usage(text::not_a_time("--keep-until", text)))?)),
        None => None,
    };
    let spec = BackupSpec {
        application_ref: ObjectReference::new(&what.application),
        repository_ref: what.repository.clone().map(ObjectReference::new),
        policy_ref: None,
        deadline: "6h".into(),
        reason: what.reason.clone(),
        keep_until_time,
        requested_by: None,
        actions: Vec::new(),
    };
    let created = create_run(hub, &what.application, Backup::new("", spec)).await?;
    started(context, &created, &text::backup_announced(&what.application)).await
}

async fn list(context: &Context<'_>, what: &BackupList) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let fields = what.application.as_ref().map(|name| format!("spec.applicationRef.name={name}")).unwrap_or_default();
    let mut backups = hub.list_here::<Backup>(&fields).await?;
    if let Some(application) = what.application.as_ref().filter(|_| backups.is_empty()) {
        // An empty list for an unknown application would be misleading: report the unknown name.
        hub.get_here::<Application>(application).await?;
    }
    let all = backups.items.len();
    backups.sort_by_key(|backup| (Reverse(born(backup)), backup.name_any()));
    if !what.all {
        let chosen = worth_showing(&backups.items);
        backups.show(chosen);
    }
    let count = backups.items.len();
    let alone = what.application.is_some();
    print_list(printer, &backups, &text::no_backups(&hub.namespace, what.application.as_deref(), hub.place()), |backups| {
        table(backups, alone, printer.output == Output::Wide, &hub.clock, printer.language)
    })?;
    if !printer.structured() && count < all {
        printer.remark(&text::backups_shown(count, all));
    }
    Ok(ExitStatus::Good)
}

fn born(backup: &Backup) -> Option<jiff::Timestamp> {
    let status = backup.status.as_ref();
    status.and_then(|s| s.recovery_point_time.as_ref()).map(|time| time.0).or(backup.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// Of each application the newest ones, and the newest of each level. They come sorted, the newest first.
fn worth_showing(sorted: &[Backup]) -> Vec<Backup> {
    let mut newer: BTreeMap<&str, usize> = BTreeMap::new();
    let mut levels = BTreeSet::new();
    let mut shown = Vec::new();
    for backup in sorted {
        let application = backup.spec.application_ref.name.as_str();
        let so_far = newer.entry(application).or_default();
        *so_far += 1;
        let level = backup.status.as_ref().filter(|_| !choose::is_gone(backup)).and_then(|s| s.verification.as_ref()).map(|v| v.level);
        let first = level.is_some_and(|level| levels.insert((application, level)));
        if *so_far <= NEWEST || first {
            shown.push(backup.clone());
        }
    }
    shown
}

/// The condition that says that a backup was good and is not any more.
pub fn damage(conditions: &[Condition]) -> Option<&Condition> {
    condition(conditions, ConditionType::Verified).filter(|verified| is_bad(verified) && verified.reason == Reason::Damaged)
}

/// The condition that says that the snapshot of a backup is gone.
fn gone(conditions: &[Condition]) -> Option<&Condition> {
    condition(conditions, ConditionType::Kept).filter(|kept| is_bad(kept))
}

/// Verification level of a backup. A damaged backup has none, whatever it reached before; nor has one whose snapshot is gone.
fn verified(status: &BackupStatus, language: Language) -> Line {
    if let Some(gone) = gone(&status.conditions) {
        return Line::toned(Tone::Dim, reason_of(gone, language));
    }
    if let Some(damaged) = damage(&status.conditions) {
        return Line::toned(Tone::Bad, reason_of(damaged, language));
    }
    match (condition(&status.conditions, ConditionType::Verified).filter(|verified| is_bad(verified)), &status.verification) {
        (_, Some(verification)) => Line::toned(Tone::Good, text::value(verification.level).pick(language)),
        (Some(bad), None) => Line::toned(Tone::Bad, reason_of(bad, language)),
        (None, None) => dash(),
    }
}

/// The phase of a backup. One that failed and whose snapshot has all but what could not be read is worth more than one without a snapshot.
fn phase_of(status: &BackupStatus, language: Language) -> Line {
    let phase = phase_cell(status.phase.unwrap_or_default(), language);
    if choose::is_partial(status) { Line::toned(Tone::Bad, text::partial_phase(&phase.to_string(), language)) } else { phase }
}

/// The table, in the order given. `alone` if all are of one application.
fn table(backups: &[Backup], alone: bool, wide: bool, clock: &Clock, language: Language) -> Vec<Line> {
    let mut heads = vec![text::BACKUP];
    heads.extend((!alone).then_some(text::APPLICATION));
    heads.extend([text::PHASE, text::DATA_AS_OF, text::AGE, text::SIZE, text::ADDED, text::VERIFIED]);
    if wide {
        heads.extend([text::SITE, text::SNAPSHOT, text::REASON]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::ADDED, text::SIZE, text::DATA_AS_OF, text::APPLICATION]);
    for backup in backups {
        let status = backup.status.clone().unwrap_or_default();
        let as_of = status.recovery_point_time.as_ref().map(|time| time.0);
        let mut row = vec![Line::of(backup.name_any())];
        row.extend((!alone).then(|| Line::of(&backup.spec.application_ref.name)));
        row.extend([
            phase_of(&status, language),
            cell(as_of.map(|time| clock.minute(time))),
            cell(as_of.map(|time| clock.age(time, language))),
            cell(status.size.as_ref().map(|s| size(&s.total))),
            cell(status.size.as_ref().and_then(|s| s.added.as_ref()).map(size)),
            verified(&status, language),
        ]);
        if wide {
            let reason = condition(&status.conditions, ConditionType::Succeeded).map(|succeeded| succeeded.reason.clone());
            row.extend([cell(status.site.as_ref()), cell(status.snapshot_id.as_ref().map(|id| id.chars().take(12).collect::<String>())), cell(reason)]);
        }
        table.row(row);
    }
    table.lines()
}

/// A backup's page.
fn page(backup: &Backup, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let status = backup.status.clone().unwrap_or_default();
    let mut lines =
        vec![Line::toned(Tone::Strong, format!("{} {} ", text::noun("backup").pick(language), backup.name_any())).then(phase_of(&status, language))];
    let contents = status.contents.as_ref().map(|c| text::contents(c).pick(language).to_owned());
    let facts = Facts::new(language)
        .maybe(
            text::F_DATA_AS_OF,
            status.recovery_point_time.as_ref().map(|time| text::ago(&clock.minute(time.0), &clock.age(time.0, language)).pick(language).to_owned()),
        )
        .with(text::F_APPLICATION, &backup.spec.application_ref.name)
        .maybe(text::F_SITE, status.site.as_ref())
        .maybe(text::F_CONTENTS, contents);
    let missing = status.contents.iter().flat_map(|contents| &contents.missing_claims);
    let facts = missing.fold(facts, |facts, missing| facts.with(text::F_MISSING, text::missing_claim(missing).pick(language)));
    let changed = status.contents.iter().flat_map(|contents| &contents.changed_files);
    let facts = changed.fold(facts, |facts, changed| facts.with(text::F_CHANGED_FILES, text::changed_files(changed).pick(language)));
    let facts = facts
        .maybe(text::F_SIZE, status.size.as_ref().map(|s| format!("{}, +{}", size(&s.total), s.added.as_ref().map_or_else(|| "?".into(), size))))
        .maybe(text::F_REPOSITORY, status.repository.as_ref())
        .maybe(text::F_SNAPSHOT, status.snapshot_id.as_ref().map(|id| id.chars().take(12).collect::<String>()));
    lines.extend(facts.lines());
    if choose::is_partial(&status) {
        let command = typed(&format!("p861 restore preview {}", backup.name_any()), place);
        lines.push(Line::toned(Tone::Dim, text::restores_the_rest(&command).pick(language)));
    }
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &backup.name_any() }));
    lines
}

impl Watched for Backup {
    const STAND: Stand = Stand::Below;

    fn snapshot(&self, _clock: &Clock, _language: Language) -> Snapshot {
        Snapshot::of(self)
    }

    fn verdict(&self) -> ExitStatus {
        match self.phase() {
            RunPhase::Succeeded => ExitStatus::judged(damage(self.conditions()).is_none()),
            RunPhase::Refused => ExitStatus::Refused,
            _ => ExitStatus::Bad,
        }
    }

    async fn summary(&self, hub: &Hub, language: Language) -> Vec<Line> {
        page(self, &hub.clock.at(jiff::Timestamp::now()), language, hub.place())
    }
}

/// Content of a backup: `1 stream, 1 volume, 1.8 GiB`.
pub fn contents_and_size(status: &BackupStatus, language: Language) -> String {
    let contents = status.contents.as_ref().map(|contents| text::data_parts(contents).pick(language).to_owned());
    [contents, status.size.as_ref().map(|s| size(&s.total))].into_iter().flatten().collect::<Vec<_>>().join(text::COMMA.pick(language))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn backup(name: &str, application: &str, minute: u8, level: Option<&str>) -> Backup {
        let time = format!("2026-11-24T08:{minute:02}:00Z");
        let mut document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": name}, "spec": {"applicationRef": {"name": application}},
            "status": {"phase": "Succeeded", "recoveryPointTime": time}});
        if let Some(level) = level {
            document["status"]["verification"] = json!({"level": level, "verifiedTime": time});
        }
        serde_json::from_value(document).expect("a backup")
    }

    #[test]
    fn the_newest_two_of_each_application_and_the_newest_of_each_level_are_worth_showing() {
        let sorted = [
            backup("a5", "a", 50, None),
            backup("a4", "a", 40, Some("Stored")),
            backup("a3", "a", 30, Some("Stored")),
            backup("a2", "a", 20, Some("Probed")),
            backup("a1", "a", 10, Some("Probed")),
            backup("b1", "b", 5, None),
        ];
        let names: Vec<String> = worth_showing(&sorted).iter().map(kube::ResourceExt::name_any).collect();
        assert_eq!(names, ["a5", "a4", "a2", "b1"]);
    }

    #[test]
    fn fault_i8_files_that_changed_while_they_were_read_are_shown_with_their_number() {
        let mut backup = backup("portal-7", "portal", 1, Some("Stored"));
        let changed = json!([{"claim": "n/files", "count": 12, "first": ["changed while it was read: /a", "vanished: /b"]}]);
        let contents = json!({"objects": 143, "volumes": 1, "streams": 0, "changedFiles": changed});
        backup.status.get_or_insert_default().contents = serde_json::from_value(contents).expect("contents");
        let clock = Clock::in_zone(jiff::tz::TimeZone::UTC).at("2026-11-24T09:00:00Z".parse().expect("a time"));
        for (language, told) in [
            (Language::En, "claim n/files, 12 files: changed while it was read: /a; vanished: /b; …"),
            (Language::Zh, "存储卷声明 n/files，12 个文件：读取期间发生变化：/a；已消失：/b；…"),
        ] {
            let shown: Vec<String> = page(&backup, &clock, language, "").iter().map(ToString::to_string).collect();
            assert!(shown.iter().any(|line| line.contains(told)), "{shown:#?}");
        }
    }

    #[test]
    fn fault_d5_a_backup_without_some_volumes_is_shown_as_partial_with_what_it_lacks_and_how_to_get_the_rest() {
        let mut partial = backup("portal-7", "portal", 1, Some("Stored"));
        let status = partial.status.get_or_insert_default();
        status.phase = Some(RunPhase::Failed);
        status.snapshot_id = Some("0a1b2c3d4e5f6a7b".into());
        let contents = json!({"objects": 143, "volumes": 1, "streams": 1,
            "missingClaims": [{"claim": "shinan-portal/disk", "reason": "ClaimNotReadable", "message": "is a block device, which has no files"}]});
        status.contents = serde_json::from_value(contents).expect("contents");
        let condition = json!([{"type": "Succeeded", "status": "False", "reason": "PartiallySaved", "message": "1 volume was not saved", "lastTransitionTime": "2026-11-24T08:00:00Z"}]);
        status.conditions = serde_json::from_value(condition).expect("conditions");
        let clock = Clock::in_zone(jiff::tz::TimeZone::UTC).at("2026-11-24T09:00:00Z".parse().expect("a time"));
        for (language, phase, told) in [
            (
                Language::En,
                "failed, partial",
                ["missing", "claim shinan-portal/disk is a block device, which has no files", "Everything else can be restored: p861 restore preview portal-7"],
            ),
            (
                Language::Zh,
                "失败（部分已保存）",
                ["缺少", "存储卷声明 shinan-portal/disk：is a block device, which has no files", "其余内容可以恢复：p861 restore preview portal-7"],
            ),
        ] {
            let listed: Vec<String> = table(std::slice::from_ref(&partial), true, false, &clock, language).iter().map(ToString::to_string).collect();
            assert!(listed.iter().any(|line| line.contains(phase)), "{listed:#?}");
            let shown: Vec<String> = page(&partial, &clock, language, "").iter().map(ToString::to_string).collect();
            for text in told {
                assert!(shown.iter().any(|line| line.contains(text)), "{text}: {shown:#?}");
            }
            assert!(shown[0].ends_with(phase), "{shown:#?}");
        }
    }

    #[test]
    fn a_backup_whose_snapshot_went_is_not_shown_as_proven_and_its_page_says_why() {
        let mut forgotten = backup("a-1", "a", 1, Some("Probed"));
        let condition = json!([{"type": "Kept", "status": "False", "reason": "Forgotten", "message": "hong has asked for it: test data", "lastTransitionTime": "2026-11-24T08:00:00Z"}]);
        forgotten.status.get_or_insert_default().conditions = serde_json::from_value(condition).expect("conditions");
        let clock = Clock::in_zone(jiff::tz::TimeZone::UTC).at("2026-11-24T09:00:00Z".parse().expect("a time"));
        for (language, word) in [(Language::En, "forgotten"), (Language::Zh, "已删除")] {
            assert_eq!(verified(&forgotten.status.clone().unwrap_or_default(), language).to_string(), word);
            let shown: Vec<String> = page(&forgotten, &clock, language, "").iter().map(ToString::to_string).collect();
            assert!(shown.iter().any(|line| line.contains("test data")), "{shown:#?}");
        }
        let older = backup("a-0", "a", 0, Some("Probed"));
        let newer = [backup("a-3", "a", 3, None), backup("a-2", "a", 2, None), forgotten, older];
        let names: Vec<String> = worth_showing(&newer).iter().map(kube::ResourceExt::name_any).collect();
        assert_eq!(names, ["a-3", "a-2", "a-0"], "the newest that is proven and there");
    }

    #[test]
    fn a_damaged_backup_is_not_shown_as_proven() {
        let mut damaged = backup("a", "a", 1, Some("Probed"));
        let conditions = json!([{"type": "Verified", "status": "False", "reason": "Damaged", "message": "pack 12ab is missing", "lastTransitionTime": "2026-11-24T08:00:00Z"}]);
        damaged.status.get_or_insert_default().conditions = serde_json::from_value(conditions).expect("conditions");
        assert_eq!(verified(&damaged.status.unwrap_or_default(), Language::Zh).to_string(), "已损坏");
    }
}
