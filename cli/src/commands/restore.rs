//! `p861 restore …`

use super::{
    Context, act,
    backup::journal_map,
    drill_list::phase as phase_cell,
    list::{print_list, print_object},
    page::{self, Facts, cell},
    start::started,
};
use crate::{
    args::{RestoreCommand, RestorePreview, RestoreRun, RestoreWhat},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Hub, Run as _, create_run},
    run::{Snapshot, Stand, Watched},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{
    Backup, ObjectReference, Restore, RestoreSpec,
    common::RunPhase,
    protection::restore::{RestoreMode, RestoreSelection, RestoreSource, RestoreTarget},
};
use serde::Deserialize;

/// Does what was typed.
pub async fn perform(context: &Context<'_>, command: &RestoreCommand) -> Result<ExitStatus> {
    match command {
        RestoreCommand::Preview(what) => preview(context, what).await,
        RestoreCommand::Run(what) => run(context, what).await,
        RestoreCommand::List => {
            let restores = context.hub.list_here::<Restore>("").await?;
            print_list(context.printer, &restores, &text::no_restores(&context.hub.namespace), |restores| table(restores, &context.hub.clock, context.printer.language))
        }
        RestoreCommand::Show(name) => {
            let read = context.hub.get_here::<Restore>(&name.name).await?;
            print_object(context.printer, &read, |restore| page(restore, &[], false, context.printer.language))?;
            Ok(ExitStatus::Good)
        }
        RestoreCommand::Act(verb) => act::perform::<Restore>(context, verb).await,
    }
}

fn spec(what: &RestoreWhat, mode: RestoreMode) -> RestoreSpec {
    RestoreSpec {
        source: RestoreSource { backup_ref: Some(ObjectReference::new(&what.backup)), ..RestoreSource::default() },
        mode,
        target: RestoreTarget { site_ref: what.site.clone().map(ObjectReference::new), namespace_mappings: what.map.clone(), ..RestoreTarget::default() },
        select: RestoreSelection::default(),
        conflict_policy: what.conflict.into(),
        deadline: "6h".into(),
        requested_by: None,
        actions: Vec::new(),
    }
}

async fn preview(context: &Context<'_>, what: &RestorePreview) -> Result<ExitStatus> {
    let hub = &context.hub;
    hub.get_here::<Backup>(&what.what.backup).await?;
    let created = create_run(hub, &format!("{}-preview", what.what.backup), Restore::new("", spec(&what.what, RestoreMode::Preview))).await?;
    let status = started(context, &created, &text::restore_announced(&what.what.backup, true)).await?;
    if what.list && status != ExitStatus::Refused {
        let name = created.name_any();
        let read = hub.get_here::<Restore>(&name).await?;
        let lines = load(hub, &name).await;
        context.printer.lines(&page(&read.object, &lines, true, context.printer.language));
    }
    Ok(status)
}

async fn run(context: &Context<'_>, what: &RestoreRun) -> Result<ExitStatus> {
    let (hub, printer, backup) = (&context.hub, context.printer, &what.what.backup);
    hub.get_here::<Backup>(backup).await?;
    match (&what.belief, what.yes) {
        (Some(belief), true) if belief == backup => {}
        (Some(belief), true) => return Err(Failure::refused(text::wrong_belief("--backup", belief, backup))),
        _ if printer.interactive => {
            printer.say(&text::restore_announced(backup, false));
            let typed = act::ask(&format!("{} ", text::type_to_go_on(backup).pick(printer.language)))?;
            if typed.trim() != backup {
                return Err(Failure::refused(text::not_confirmed(backup)));
            }
        }
        _ => return Err(Failure::refused(text::needs_asking("p861 restore run", &format!("--yes --backup {backup}")))),
    }
    let created = create_run(hub, &format!("{backup}-restore"), Restore::new("", spec(&what.what, RestoreMode::Execute))).await?;
    started(context, &created, &text::restore_announced(backup, false)).await
}

fn table(restores: &[Restore], clock: &Clock, language: Language) -> Vec<Line> {
    let mut table = Table::new(language, &[text::RESTORE, text::BACKUP, text::SITE, text::PHASE, text::STARTED]);
    let mut sorted: Vec<&Restore> = restores.iter().collect();
    sorted.sort_by_key(|restore| (std::cmp::Reverse(restore.metadata.creation_timestamp.as_ref().map(|time| time.0)), restore.name_any()));
    for restore in sorted {
        let status = restore.status.clone().unwrap_or_default();
        table.row(vec![
            Line::of(restore.name_any()),
            cell(status.backup.as_ref()),
            cell(status.site.as_ref()),
            phase_cell(status.phase.unwrap_or_default(), language),
            cell(status.start_time.as_ref().map(|time| clock.minute(time.0))),
        ]);
    }
    table.lines()
}

/// A line of a preview, as the operator writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    action: String,
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    why: String,
}

async fn load(hub: &Hub, name: &str) -> Vec<Planned> {
    let map = hub.config_map(&format!("{name}-preview")).await.ok().flatten();
    map.and_then(|mut map| map.remove("preview.json")).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn page(restore: &Restore, planned: &[Planned], whole: bool, language: Language) -> Vec<Line> {
    let status = restore.status.clone().unwrap_or_default();
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {} ", text::noun("restore").pick(language), restore.name_any())).then(phase_cell(status.phase.unwrap_or_default(), language))];
    let changes = status.changes.as_ref().map(|c| format!("create {}, change {}, same {}, refused {}", c.create, c.change, c.same, c.refused));
    lines.extend(Facts::new(language).maybe(text::BACKUP, status.backup.as_ref()).maybe(text::SITE, status.site.as_ref()).maybe(text::F_CONTENTS, changes).lines());
    let mut table = Table::new(language, &[text::ACTION, text::KIND, text::NAME, text::WHY]);
    for line in planned.iter().filter(|line| whole || matches!(line.action.as_str(), "change" | "refused")) {
        let tone = match line.action.as_str() {
            "refused" => Tone::Bad,
            "change" => Tone::Warn,
            _ => Tone::Plain,
        };
        table.row(vec![Line::toned(tone, &line.action), Line::of(&line.kind), Line::of(&line.name), Line::of(&line.why)]);
    }
    if !table.is_empty() {
        lines.extend(table.lines());
    }
    lines.extend(page::conditions(&status.conditions, language));
    lines
}

impl Watched for Restore {
    const STAND: Stand = Stand::Below;

    fn snapshot(&self, _clock: &Clock, _language: Language) -> Snapshot {
        Snapshot::of(self)
    }

    fn outline(&self) -> Option<(String, &'static str)> {
        journal_map(self.journal())
    }

    fn verdict(&self) -> ExitStatus {
        let refused = self.status.as_ref().and_then(|s| s.changes.as_ref()).is_some_and(|changes| changes.refused > 0);
        match self.phase() {
            RunPhase::Succeeded => ExitStatus::judged(!refused),
            RunPhase::Refused => ExitStatus::Refused,
            _ => ExitStatus::Bad,
        }
    }

    async fn summary(&self, hub: &Hub, language: Language) -> Vec<Line> {
        let planned = load(hub, &self.name_any()).await;
        page(self, &planned, false, language)
    }
}
