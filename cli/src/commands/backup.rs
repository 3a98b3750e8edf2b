//! `p861 backup …`

use super::{
    Context, act,
    drill_list::phase as phase_cell,
    list::{print_list, print_object},
    page::{self, Facts, cell, dash},
    start::started,
};
use crate::{
    args::{BackupCommand, BackupList, BackupNow},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Hub, Run as _, create_run},
    run::{Snapshot, Stand, Watched},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_core::quantity::{Quantity, human_bytes};
use p861_crds::{Application, Backup, BackupSpec, ObjectReference, Time, common::RunPhase};
use std::collections::BTreeSet;

/// How many of the newest are listed.
const NEWEST: usize = 10;

/// Does what was typed.
pub async fn perform(context: &Context<'_>, command: &BackupCommand) -> Result<ExitStatus> {
    match command {
        BackupCommand::Now(what) => now(context, what).await,
        BackupCommand::List(what) => list(context, what).await,
        BackupCommand::Show(name) => {
            let read = context.hub.get_here::<Backup>(&name.name).await?;
            print_object(context.printer, &read, |backup| page(backup, &context.hub.clock, context.printer.language))?;
            Ok(ExitStatus::Good)
        }
        BackupCommand::Act(verb) => act::perform::<Backup>(context, verb).await,
    }
}

async fn now(context: &Context<'_>, what: &BackupNow) -> Result<ExitStatus> {
    let hub = &context.hub;
    hub.get_here::<Application>(&what.application).await?;
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
    let mut backups = context.hub.list_here::<Backup>("").await?;
    if let Some(application) = &what.application {
        backups.items.retain(|backup| backup.spec.application_ref.name == *application);
        let names: BTreeSet<String> = backups.items.iter().map(kube::ResourceExt::name_any).collect();
        backups.raw.retain(|raw| raw.pointer("/metadata/name").and_then(serde_json::Value::as_str).is_some_and(|name| names.contains(name)));
    }
    let printer = context.printer;
    let all = backups.items.len();
    let shown = if what.all { backups.items.clone() } else { worth_showing(&backups.items) };
    let count = shown.len();
    print_list(printer, &backups, &text::no_backups(&context.hub.namespace), |_| table(&shown, &context.hub.clock, printer.language))?;
    if !printer.structured() && count < all {
        printer.remark(&text::backups_shown(count, all));
    }
    Ok(ExitStatus::Good)
}

fn born(backup: &Backup) -> Option<jiff::Timestamp> {
    let status = backup.status.as_ref();
    status.and_then(|s| s.recovery_point_time.as_ref()).map(|time| time.0).or(backup.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// The newest ones, and of each application the newest of each level.
fn worth_showing(backups: &[Backup]) -> Vec<Backup> {
    let mut sorted: Vec<&Backup> = backups.iter().collect();
    sorted.sort_by_key(|backup| (std::cmp::Reverse(born(backup)), backup.name_any()));
    let mut levels = BTreeSet::new();
    let mut shown = Vec::new();
    for (place, backup) in sorted.into_iter().enumerate() {
        let level = backup.status.as_ref().and_then(|s| s.verification.as_ref()).map(|v| v.level);
        let first = level.is_some_and(|level| levels.insert((backup.spec.application_ref.name.clone(), level)));
        if place < NEWEST || first {
            shown.push(backup.clone());
        }
    }
    shown
}

fn size(quantity: &p861_crds::common::Quantity) -> String {
    Quantity::parse(&quantity.0).ok().and_then(|quantity| quantity.bytes().ok()).map_or_else(|| quantity.0.clone(), human_bytes)
}

fn table(backups: &[Backup], clock: &Clock, language: Language) -> Vec<Line> {
    let heads = [text::BACKUP, text::APPLICATION, text::PHASE, text::DATA_AS_OF, text::AGE, text::SIZE, text::ADDED, text::VERIFIED];
    let mut table = Table::new(language, &heads);
    let mut sorted: Vec<&Backup> = backups.iter().collect();
    sorted.sort_by_key(|backup| (std::cmp::Reverse(born(backup)), backup.name_any()));
    for backup in sorted {
        let status = backup.status.clone().unwrap_or_default();
        let as_of = status.recovery_point_time.as_ref().map(|time| time.0);
        table.row(vec![
            Line::of(backup.name_any()),
            Line::of(&backup.spec.application_ref.name),
            phase_cell(status.phase.unwrap_or_default(), language),
            cell(as_of.map(|time| clock.minute(time))),
            cell(as_of.map(|time| clock.age(time, language))),
            cell(status.size.as_ref().map(|s| size(&s.total))),
            cell(status.size.as_ref().and_then(|s| s.added.as_ref()).map(size)),
            status.verification.as_ref().map_or_else(dash, |v| Line::toned(Tone::Good, format!("{:?}", v.level))),
        ]);
    }
    table.lines()
}

/// A backup's page.
fn page(backup: &Backup, clock: &Clock, language: Language) -> Vec<Line> {
    let status = backup.status.clone().unwrap_or_default();
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {} ", text::noun("backup").pick(language), backup.name_any())).then(phase_cell(status.phase.unwrap_or_default(), language))];
    let contents = status.contents.as_ref().map(|c| format!("{} objects, {} volumes, {} streams", c.objects, c.volumes, c.streams));
    lines.extend(
        Facts::new(language)
            .maybe(text::F_DATA_AS_OF, status.recovery_point_time.as_ref().map(|time| text::ago(&clock.minute(time.0), &clock.age(time.0, language)).pick(language).to_owned()))
            .maybe(text::F_CONTENTS, contents)
            .maybe(text::F_SIZE, status.size.as_ref().map(|s| format!("{}, +{}", size(&s.total), s.added.as_ref().map_or_else(|| "?".into(), size))))
            .maybe(text::F_REPOSITORY, status.repository.as_ref())
            .maybe(text::F_SNAPSHOT, status.snapshot_id.as_ref().map(|id| id.chars().take(12).collect::<String>()))
            .lines(),
    );
    lines.extend(page::conditions(&status.conditions, language));
    lines
}

impl Watched for Backup {
    const STAND: Stand = Stand::Below;

    fn snapshot(&self, _clock: &Clock, _language: Language) -> Snapshot {
        Snapshot::of(self)
    }

    fn outline(&self) -> Option<(String, &'static str)> {
        journal_map(self.journal())
    }

    fn verdict(&self) -> ExitStatus {
        match self.phase() {
            RunPhase::Succeeded => ExitStatus::Good,
            RunPhase::Refused => ExitStatus::Refused,
            _ => ExitStatus::Bad,
        }
    }

    async fn summary(&self, hub: &Hub, language: Language) -> Vec<Line> {
        page(self, &hub.clock.at(jiff::Timestamp::now()), language)
    }
}

/// The ConfigMap of a journal, where its plan stands too.
pub fn journal_map(location: Option<&str>) -> Option<(String, &'static str)> {
    let name = location?.strip_prefix("configmap:")?.rsplit('/').next()?;
    Some((name.to_owned(), "plan.json"))
}
