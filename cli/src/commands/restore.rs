//! `p861 restore …`

use super::{
    Context, act,
    backup::{contents_and_size, journal_map},
    drill_list::phase as phase_cell,
    list::{print_list, show_run},
    page::{self, Facts, Reader, cell, condition},
    start::started,
};
use crate::{
    args::{RestoreCommand, RestorePreview, RestoreRun, RestoreWhat},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Hub, Run as _, create_run, typed},
    printer::Output,
    run::{Snapshot, Stand, Watched},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{
    Application, Backup, ConditionType, ObjectReference, Restore, RestoreSpec,
    common::RunPhase,
    protection::restore::{ConflictPolicy, RestoreMode, RestoreSelection, RestoreSource, RestoreTarget},
};
use serde::Deserialize;

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &RestoreCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        RestoreCommand::Preview(what) => preview(context, what).await,
        RestoreCommand::Run(what) => run(context, what).await,
        RestoreCommand::List => {
            let mut restores = hub.list_here::<Restore>("").await?;
            restores.sort_by_key(|restore| (std::cmp::Reverse(restore.metadata.creation_timestamp.as_ref().map(|time| time.0)), restore.name_any()));
            print_list(printer, &restores, &text::no_restores(&hub.namespace), |restores| {
                table(restores, printer.output == Output::Wide, &hub.clock, printer.language)
            })
        }
        RestoreCommand::Show(name) => show_run::<Restore>(context, &name.name).await,
        RestoreCommand::Act(verb) => act::perform::<Restore>(context, verb).await,
    }
}

fn spec(what: &RestoreWhat, mode: RestoreMode) -> RestoreSpec {
    RestoreSpec {
        source: RestoreSource { backup_ref: Some(ObjectReference::new(&what.backup)), ..RestoreSource::default() },
        mode,
        target: RestoreTarget {
            site_ref: what.site.clone().map(ObjectReference::new),
            namespace_mappings: what.map.clone(),
            path_prefix: what.prefix.clone(),
            keep_extra_files: what.keep_extra_files,
            ..RestoreTarget::default()
        },
        select: RestoreSelection { files: what.selected_files(), ..RestoreSelection::default() },
        conflict_policy: what.conflict.into(),
        deadline: "6h".into(),
        requested_by: None,
        actions: Vec::new(),
    }
}

/// The options that say the same as a spec: ` --site laoshan-dr --conflict Merge`.
fn options(spec: &RestoreSpec) -> String {
    let mut words = spec.target.site_ref.as_ref().map(|site| format!(" --site {}", site.name)).unwrap_or_default();
    words.extend(spec.target.namespace_mappings.iter().map(|mapping| format!(" --map {}={}", mapping.from, mapping.to)));
    for file in &spec.select.files {
        match file.paths.as_slice() {
            [] => words.extend([format!(" --files {}", file.claim)]),
            paths => words.extend(paths.iter().map(|path| format!(" --files {}:{path}", file.claim))),
        }
    }
    words.extend(spec.target.path_prefix.iter().map(|prefix| format!(" --prefix {prefix}")));
    if spec.target.keep_extra_files {
        words.push_str(" --keep-extra-files");
    }
    if spec.conflict_policy != ConflictPolicy::default() {
        words.extend([format!(" --conflict {:?}", spec.conflict_policy)]);
    }
    words
}

async fn preview(context: &Context<'_>, what: &RestorePreview) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    hub.get_here::<Backup>(&what.what.backup).await?;
    let created = create_run(hub, &format!("{}-preview", what.what.backup), Restore::new("", spec(&what.what, RestoreMode::Preview))).await?;
    let status = started(context, &created, &text::preview_announced(&what.what.backup)).await?;
    let ended = matches!(status, ExitStatus::Good | ExitStatus::Bad) && !context.global.no_wait;
    if what.list && ended && matches!(printer.output, Output::Table | Output::Wide) {
        printer.lines(&created_table(&load(hub, &created.name_any()).await.objects, printer.language));
    }
    Ok(status)
}

async fn run(context: &Context<'_>, what: &RestoreRun) -> Result<ExitStatus> {
    let (hub, printer, name) = (&context.hub, context.printer, &what.what.backup);
    let backup = hub.get_here::<Backup>(name).await?.object;
    let spec = spec(&what.what, RestoreMode::Execute);
    match (&what.belief, what.yes) {
        (Some(belief), true) if belief == name => {}
        (Some(belief), true) => return Err(Failure::refused(text::wrong_belief("--backup", belief, name))),
        _ if printer.interactive() => {
            let application = hub.get_here::<Application>(&backup.spec.application_ref.name).await?.object;
            printer.lines(&announcement(&backup, &application, &spec, hub, printer.language));
            let answer = act::ask(&format!("{} ", text::type_to_go_on(name).pick(printer.language)))?;
            if answer.trim() != name {
                return Err(Failure::refused(text::not_confirmed(name)));
            }
        }
        _ => return Err(Failure::refused(text::needs_asking("p861 restore run", &format!("--yes --backup {name}")))),
    }
    let created = create_run(hub, &format!("{name}-restore"), Restore::new("", spec)).await?;
    started(context, &created, &text::restore_announced(name)).await
}

/// Describes the restore before asking for confirmation.
fn announcement(backup: &Backup, application: &Application, spec: &RestoreSpec, hub: &Hub, language: Language) -> Vec<Line> {
    let (name, status) = (backup.name_any(), backup.status.clone().unwrap_or_default());
    let active = application.status.as_ref().and_then(|status| status.active_site.clone());
    let site = spec.target.site_ref.as_ref().map(|site| site.name.clone()).or(active).unwrap_or_else(|| "?".to_owned());
    let into = application.spec.namespaces.iter().map(|namespace| match spec.target.namespace_mappings.iter().find(|mapping| mapping.from == *namespace) {
        Some(mapping) => format!("{namespace} → {}", mapping.to),
        None => namespace.clone(),
    });
    let as_of = status
        .recovery_point_time
        .as_ref()
        .map(|time| text::data_as_of(&hub.clock.moment(time.0), &hub.clock.age(time.0, language), None).pick(language).to_owned());
    let files: Vec<String> = spec
        .select
        .files
        .iter()
        .map(|file| if file.paths.is_empty() { file.claim.clone() } else { format!("{}:{}", file.claim, file.paths.join(", ")) })
        .collect();
    let mut lines = vec![Line::toned(Tone::Warn, text::restore_head(&name).pick(language))];
    let facts = Facts::new(language).maybe(text::F_DATA, as_of).with(text::F_SITE, site).with(text::F_NAMESPACES, into.collect::<Vec<_>>().join(", "));
    let facts = if files.is_empty() {
        facts
            .with(text::F_OBJECTS, text::conflict(spec.conflict_policy).pick(language))
            .with(text::F_VOLUMES, text::volumes_over(spec.target.keep_extra_files).pick(language))
    } else {
        let facts = facts.with(text::F_FILES, text::files_into(&files.join(", "), spec.target.path_prefix.as_deref()).pick(language));
        let whole = spec.target.path_prefix.is_none() && spec.select.files.iter().any(|file| file.paths.is_empty());
        facts.maybe(text::F_VOLUMES, whole.then(|| text::whole_volumes(spec.target.keep_extra_files).pick(language).to_owned()))
    };
    lines.extend(facts.with(text::F_PREVIEW, hub.typed(&format!("p861 restore preview {name}{}", options(spec)))).lines());
    lines
}

fn table(restores: &[Restore], wide: bool, clock: &Clock, language: Language) -> Vec<Line> {
    let mut heads = vec![text::RESTORE, text::BACKUP, text::MODE, text::PHASE, text::PERCENT, text::STARTED];
    if wide {
        heads.extend([text::SITE, text::REASON]);
    }
    let mut table = Table::new(language, &heads);
    for restore in restores {
        let status = restore.status.clone().unwrap_or_default();
        let asked = restore.spec.source.backup_ref.as_ref().map(|backup| backup.name.clone());
        let mut row = vec![
            Line::of(restore.name_any()),
            cell(status.backup.clone().or(asked)),
            Line::of(text::mode(restore.spec.mode).pick(language)),
            phase_cell(status.phase.unwrap_or_default(), language),
            cell(status.progress.as_ref().and_then(|progress| progress.percent).map(|percent| format!("{percent}%"))),
            cell(status.start_time.as_ref().map(|time| clock.minute(time.0))),
        ];
        if wide {
            row.extend([cell(status.site.as_ref()), cell(condition(&status.conditions, ConditionType::Succeeded).map(|succeeded| &succeeded.reason))]);
        }
        table.row(row);
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

/// What a preview would do to the files of a volume, as the operator writes it.
#[derive(Clone, Debug, Deserialize)]
struct PlannedVolume {
    volume: String,
    removed: u64,
    changed: u64,
    created: u64,
    #[serde(default)]
    first: Vec<String>,
}

/// The objects and the volumes of a preview.
#[derive(Clone, Debug, Default)]
struct Foreseen {
    objects: Vec<Planned>,
    volumes: Vec<PlannedVolume>,
}

async fn load(hub: &Hub, name: &str) -> Foreseen {
    let mut map = hub.config_map(&format!("{name}-preview")).await.ok().flatten().unwrap_or_default();
    let mut text = |key: &str| map.remove(key).unwrap_or_default();
    let (objects, volumes) = (text("preview.json"), text("volumes.json"));
    Foreseen { objects: serde_json::from_str(&objects).unwrap_or_default(), volumes: serde_json::from_str(&volumes).unwrap_or_default() }
}

fn planned_row(line: &Planned, language: Language) -> Vec<Line> {
    let tone = match line.action.as_str() {
        "refused" => Tone::Bad,
        "change" => Tone::Warn,
        _ => Tone::Plain,
    };
    vec![Line::toned(tone, text::planned(&line.action, language)), Line::of(&line.kind), Line::of(&line.name), Line::of(&line.why)]
}

/// The objects that the page of a preview only counts.
fn created_table(planned: &[Planned], language: Language) -> Vec<Line> {
    let mut table = Table::new(language, &[text::ACTION, text::KIND, text::NAME, text::WHY]);
    for line in planned.iter().filter(|line| line.action == "create") {
        table.row(planned_row(line, language));
    }
    if table.is_empty() { Vec::new() } else { table.lines() }
}

/// The page of a preview: what would be created and what is the same in numbers, what would change or be refused by name.
fn preview_page(restore: &Restore, foreseen: &Foreseen, data: Option<String>, place: &str, language: Language) -> Vec<Line> {
    let status = restore.status.clone().unwrap_or_default();
    let changes = status.changes.clone().unwrap_or_default();
    let number =
        |action: &str, count: i64| vec![Line::of(text::planned(action, language)), Line::of(text::objects(count).pick(language)), Line::of("-"), Line::of("")];
    let mut table = Table::new(language, &[text::ACTION, text::KIND, text::NAME, text::WHY]);
    if changes.create > 0 {
        table.row(number("create", changes.create));
    }
    let (mut change, mut refused) = (changes.change, changes.refused);
    for line in foreseen.objects.iter().filter(|line| matches!(line.action.as_str(), "change" | "refused")) {
        *(if line.action == "change" { &mut change } else { &mut refused }) -= 1;
        table.row(planned_row(line, language));
    }
    // The operator names the first ones only.
    for (action, count) in [("change", change), ("refused", refused), ("same", changes.same)] {
        if count > 0 {
            table.row(number(action, count));
        }
    }
    if let Some(data) = data {
        table.row(vec![Line::of(text::planned("data", language)), Line::of(data)]);
    }
    for volume in &foreseen.volumes {
        let tone = if volume.removed > 0 { Tone::Warn } else { Tone::Plain };
        let words = text::planned_volume(&volume.volume, [volume.removed, volume.changed, volume.created], &volume.first);
        table.row(vec![Line::of(text::planned("data", language)), Line::toned(tone, words.pick(language))]);
    }
    let mut lines = if table.is_empty() { Vec::new() } else { table.lines() };
    if stands_in_the_way(restore) {
        lines.push(Line::toned(Tone::Warn, text::preview_in_the_way(changes.change, changes.refused, restore.spec.conflict_policy).pick(language)));
        return lines;
    }
    let backup = restore.spec.source.backup_ref.as_ref().map(|backup| backup.name.clone()).or(status.backup);
    if let Some(backup) = backup {
        let command = typed(&format!("p861 restore run {backup}{}", options(&restore.spec)), place);
        lines.push(Line::of(text::to_do_it(&command).pick(language)));
    }
    lines
}

/// Whether a restore as it was previewed would stop: something is refused, or different where nothing different may be.
fn stands_in_the_way(restore: &Restore) -> bool {
    let changes = restore.status.as_ref().and_then(|status| status.changes.clone()).unwrap_or_default();
    changes.refused > 0 || (changes.change > 0 && restore.spec.conflict_policy == ConflictPolicy::Refuse)
}

fn page(restore: &Restore, place: &str, language: Language) -> Vec<Line> {
    let status = restore.status.clone().unwrap_or_default();
    let mut lines = vec![
        Line::toned(Tone::Strong, format!("{} {} ", text::noun("restore").pick(language), restore.name_any()))
            .then(phase_cell(status.phase.unwrap_or_default(), language)),
    ];
    let changes = status.changes.as_ref().map(|changes| text::changes(changes).pick(language).to_owned());
    lines.extend(
        Facts::new(language)
            .maybe(text::F_FROM_BACKUP, status.backup.as_ref())
            .maybe(text::F_SITE, status.site.as_ref())
            .maybe(text::F_CONTENTS, changes)
            .maybe(text::F_FILES, status.files_removed.filter(|files| *files > 0).map(|files| text::files_removed(files).pick(language).to_owned()))
            .lines(),
    );
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &restore.name_any() }));
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
        match self.phase() {
            RunPhase::Succeeded if self.spec.mode == RestoreMode::Preview => ExitStatus::judged(!stands_in_the_way(self)),
            RunPhase::Succeeded => ExitStatus::judged(self.status.as_ref().and_then(|s| s.changes.as_ref()).is_none_or(|changes| changes.refused == 0)),
            RunPhase::Refused => ExitStatus::Refused,
            _ => ExitStatus::Bad,
        }
    }

    async fn summary(&self, hub: &Hub, language: Language) -> Vec<Line> {
        if self.spec.mode == RestoreMode::Execute || self.phase() != RunPhase::Succeeded {
            return page(self, hub.place(), language);
        }
        let name = self.status.as_ref().and_then(|status| status.backup.clone()).unwrap_or_default();
        let backup = hub.get_here::<Backup>(&name).await.ok().and_then(|read| read.object.status);
        let data = backup.filter(|_| self.spec.select.files.is_empty()).map(|status| contents_and_size(&status, language));
        preview_page(self, &load(hub, &self.name_any()).await, data, hub.place(), language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn restore(spec: Value, changes: Value) -> Restore {
        let mut document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Restore", "metadata": {"name": "r"}, "spec": spec, "status": {"phase": "Succeeded", "backup": "approval-1", "changes": changes}});
        document["spec"]["source"] = json!({"backupRef": {"name": "approval-1"}});
        serde_json::from_value(document).expect("a restore")
    }

    #[test]
    fn the_command_of_a_preview_says_the_same_as_the_preview() {
        let typed = [
            "--site",
            "laoshan-dr",
            "--map",
            "a=b",
            "--files",
            "c:/x",
            "--files",
            "c:/y",
            "--files",
            "d",
            "--prefix",
            "/p",
            "--keep-extra-files",
            "--conflict",
            "Merge",
        ];
        let words = ["p861", "restore", "preview", "approval-1"].iter().chain(&typed).map(std::ffi::OsString::from);
        let crate::args::Command::Restore(RestoreCommand::Preview(preview)) = crate::args::parse(words, Language::En, false).expect("it is understood").command
        else {
            panic!("another command")
        };
        assert_eq!(options(&spec(&preview.what, RestoreMode::Preview)).split_whitespace().collect::<Vec<_>>(), typed);
    }

    #[test]
    fn what_would_stop_a_restore_makes_its_preview_bad() {
        let preview = |policy: &str, change: i64, refused: i64| {
            restore(json!({"mode": "Preview", "conflictPolicy": policy}), json!({"create": 1, "change": change, "same": 0, "refused": refused}))
        };
        assert_eq!(preview("Refuse", 0, 0).verdict(), ExitStatus::Good);
        assert_eq!(preview("Refuse", 1, 0).verdict(), ExitStatus::Bad);
        assert_eq!(preview("Merge", 1, 0).verdict(), ExitStatus::Good);
        assert_eq!(preview("Merge", 1, 1).verdict(), ExitStatus::Bad);
    }

    #[test]
    fn fault_c4_a_preview_says_which_files_of_which_volume_would_be_removed() {
        let preview = restore(json!({"mode": "Preview", "conflictPolicy": "Merge"}), json!({"same": 5}));
        let volumes = serde_json::from_value(json!([
            {"volume": "attachments", "removed": 3, "changed": 12, "created": 1, "first": ["shell.php", "a/b"]},
            {"volume": "cache", "removed": 0, "changed": 0, "created": 0, "first": []},
        ]));
        let foreseen = Foreseen { objects: Vec::new(), volumes: volumes.expect("volumes") };
        for (language, expected) in [
            (
                Language::En,
                [
                    "data    volume attachments: 3 files would be removed, 12 changed, 1 created; first: shell.php, a/b",
                    "data    volume cache: nothing would change",
                ],
            ),
            (
                Language::Zh,
                ["\u{6570}\u{636e}  卷 attachments：将移除 3 个文件，更改 12 个，新建 1 个；首先：shell.php, a/b", "\u{6570}\u{636e}  卷 cache：不会改变"],
            ),
        ] {
            let lines: Vec<String> = preview_page(&preview, &foreseen, None, "", language).iter().map(ToString::to_string).collect();
            for line in expected {
                assert!(lines.iter().any(|it| it == line), "{line}: {lines:#?}");
            }
        }
    }

    #[test]
    fn a_preview_names_what_is_in_the_way_and_counts_the_rest() {
        let preview = restore(
            json!({"mode": "Preview", "conflictPolicy": "Refuse", "target": {"siteRef": {"name": "laoshan-dr"}}}),
            json!({"create": 137, "change": 2, "same": 5, "refused": 1}),
        );
        let planned =
            |action: &str, kind: &str, name: &str, why: &str| Planned { action: action.into(), kind: kind.into(), name: name.into(), why: why.into() };
        let listed = [
            planned("change", "ConfigMap", "approval-config", "data.mode: live → maintenance"),
            planned("refused", "Ingress", "approval-old", "v1beta1 is not served"),
        ];
        let lines: Vec<String> = preview_page(
            &preview,
            &Foreseen { objects: listed.to_vec(), volumes: Vec::new() },
            Some("1 streams, 1 volumes, 1.8 GiB".into()),
            " -d shinan",
            Language::En,
        )
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(
            lines,
            [
                "ACTION   KIND                           NAME             WHY",
                "create   137 objects                    -",
                "change   ConfigMap                      approval-config  data.mode: live → maintenance",
                "refused  Ingress                        approval-old     v1beta1 is not served",
                "change   1 object                       -",
                "same     5 objects                      -",
                "data     1 streams, 1 volumes, 1.8 GiB",
                "Blocked by: 1 refused, 2 exist and differ, and the conflict policy is Refuse: nothing would be written",
            ]
        );
        let free = restore(json!({"mode": "Preview", "conflictPolicy": "Merge", "target": {"siteRef": {"name": "laoshan-dr"}}}), json!({"create": 2}));
        let listed = [planned("create", "ConfigMap", "one", ""), planned("change", "ConfigMap", "two", "data.a: 1 → 2")];
        let lines: Vec<String> = preview_page(&free, &Foreseen { objects: listed[..1].to_vec(), volumes: Vec::new() }, None, " -d shinan", Language::En)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            lines,
            ["ACTION  KIND       NAME  WHY", "create  2 objects  -", "To do it: p861 restore run approval-1 --site laoshan-dr --conflict Merge -d shinan",]
        );
        let created: Vec<String> = created_table(&listed, Language::En).iter().map(ToString::to_string).collect();
        assert_eq!(created, ["ACTION  KIND       NAME  WHY", "create  ConfigMap  one"]);
    }
}
