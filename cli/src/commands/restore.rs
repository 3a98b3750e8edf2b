//! `p861 restore …`

mod get;
mod preview;
mod unwritten;

use super::{
    Context, act,
    backup::contents_and_size,
    drill_list::phase as phase_cell,
    known,
    list::{print_list, show_run},
    page::{self, Facts, Reader, cell, condition, listed},
    start::started,
};
use crate::{
    args::{RestoreCommand, RestorePreview, RestoreRun, RestoreWhat, typed_kind},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Hub, Run as _, create_run, typed},
    printer::Output,
    run::{Snapshot, Stand, Watched, watch},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_core::{
    protection::restore::{goes_elsewhere, second_writer, targets},
    runs::{Action, Occupants, Occupied, Scope},
};
use p861_crds::{
    Application, Backup, ConditionType, ObjectReference, Restore, RestoreSpec,
    common::RunPhase,
    protection::restore::{ConflictPolicy, RestoreMode, RestoreSelection, RestoreSource, RestoreTarget},
};
use preview::{Extent, created_table, document, load, objects_page, preview_page, promises_success};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &RestoreCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        RestoreCommand::Preview(what) => preview(context, what).await,
        RestoreCommand::Run(what) => run(context, what).await,
        RestoreCommand::Get(what) => get::get(context, what).await,
        RestoreCommand::List => {
            let mut restores = hub.list_here::<Restore>("").await?;
            restores.sort_by_key(|restore| (std::cmp::Reverse(restore.metadata.creation_timestamp.as_ref().map(|time| time.0)), restore.name_any()));
            print_list(printer, &restores, &text::no_restores(&hub.namespace, hub.place()), |restores| {
                table(restores, printer.output == Output::Wide, &hub.clock, printer.language)
            })
        }
        RestoreCommand::Show(what) if what.objects => unwritten::show(context, &what.name.name).await,
        RestoreCommand::Show(what) => show_run::<Restore>(context, &what.name.name).await,
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
            path_prefix: what.prefix.as_ref().map(|path| path.0.clone()),
            keep_extra_files: what.keep_extra_files,
            ..RestoreTarget::default()
        },
        select: RestoreSelection { files: what.selected_files(), resources: what.resource.clone(), ..RestoreSelection::default() },
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
    words.extend(spec.select.resources.iter().map(|selector| format!(" --resource {}", typed_kind(selector))));
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
    let backup = hub.get_here::<Backup>(&what.what.backup).await?.object;
    let spec = spec(&what.what, RestoreMode::Preview);
    check_target(context, &backup, &spec).await?;
    let created = create_run(hub, &format!("{}-preview", what.what.backup), Restore::new("", spec)).await?;
    let name = created.name_any();
    if what.objects && printer.structured() && !context.global.no_wait {
        // One document, and not a line for each change before it.
        let status = watched_silently(context, &name).await?;
        let restore = hub.get_here::<Restore>(&name).await?.object;
        if restore.phase() == RunPhase::Succeeded {
            printer.structure(&document(&restore, &load(hub, &name, Extent::All).await))?;
        } else {
            printer.structure(&restore)?;
        }
        return Ok(status);
    }
    let status = started(context, &created, &text::preview_announced(&what.what.backup)).await?;
    let ended = matches!(status, ExitStatus::Good | ExitStatus::Bad) && !context.global.no_wait;
    if (what.list || what.objects) && ended && matches!(printer.output, Output::Table | Output::Wide) {
        let foreseen = load(hub, &name, Extent::All).await;
        let lines = if what.objects { objects_page(&foreseen, printer.language) } else { created_table(&foreseen.objects, printer.language) };
        printer.lines(&lines);
    }
    Ok(status)
}

/// Waits for the end of a restore, and prints nothing on the way.
async fn watched_silently(context: &Context<'_>, name: &str) -> Result<ExitStatus> {
    let mut silent = context.printer.clone();
    silent.output = Output::Name;
    watch::<Restore>(&context.hub, &silent, context.global, name).await
}

async fn run(context: &Context<'_>, what: &RestoreRun) -> Result<ExitStatus> {
    let (hub, printer, name) = (&context.hub, context.printer, &what.what.backup);
    let backup = hub.get_here::<Backup>(name).await?.object;
    let spec = spec(&what.what, RestoreMode::Execute);
    check_target(context, &backup, &spec).await?;
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

/// Refuses a site that isn't the district's and a namespace of another application, and says beforehand if the application would run twice.
async fn check_target(context: &Context<'_>, backup: &Backup, spec: &RestoreSpec) -> Result<()> {
    let hub = &context.hub;
    if let Some(site) = &spec.target.site_ref {
        known::site(hub, &site.name).await?;
    }
    let name = &backup.spec.application_ref.name;
    let applications = match hub.list_here::<Application>("").await {
        Ok(listing) => listing.items,
        // Who may not read them is told by the operator.
        Err(failure) if failure.exit == ExitStatus::Refused => return Ok(()),
        Err(failure) => return Err(failure),
    };
    let Some(application) = applications.iter().find(|application| application.name_any() == *name) else { return Ok(()) };
    let active = application.status.as_ref().and_then(|status| status.active_site.as_deref());
    let site = spec.target.site_ref.as_ref().map(|site| site.name.as_str()).or(active);
    if let Some(occupied) = site.and_then(|site| occupied(application, &applications, spec, site)) {
        return Err(Failure::refused(text::told(&occupied.to_string())));
    }
    if let Some((site, active)) = active.and_then(|active| Some((second_writer(&application.spec, spec, active)?, active))) {
        context.printer.warn(&text::second_writer(name, site, active));
    }
    Ok(())
}

/// Whether a namespace of the site that the restore would fill is another application's, as the operator judges it.
fn occupied(application: &Application, all: &[Application], spec: &RestoreSpec, site: &str) -> Option<Occupied> {
    let mut occupants = Occupants::default();
    for other in all {
        occupants.add(other);
    }
    let scope = Scope::of_city(&application.namespace().unwrap_or_default(), [site]).with_application(&application.name_any());
    let namespaces = targets(&application.spec, spec).into_values().collect();
    let fills = Action::MakeNamespaces { site: site.into(), namespaces, district: String::new(), preview: true };
    occupants.refuse(&scope, &fills).err()
}

/// Describes the restore before asking for confirmation.
fn announcement(backup: &Backup, application: &Application, spec: &RestoreSpec, hub: &Hub, language: Language) -> Vec<Line> {
    let (name, status) = (backup.name_any(), backup.status.clone().unwrap_or_default());
    let active = application.status.as_ref().and_then(|status| status.active_site.clone());
    let (owner, own) = (application.name_any(), &application.spec.namespaces);
    let asked = spec.target.site_ref.as_ref().map(|site| site.name.clone());
    let head = match (&asked, &active) {
        _ if goes_elsewhere(&application.spec, spec) => text::restore_beside(&name, &owner),
        (Some(asked), Some(active)) if asked != active => text::restore_away(&name, &owner, asked, active),
        _ => text::restore_head(&name, &owner),
    };
    let site = asked.or(active).unwrap_or_else(|| "?".to_owned());
    let into = targets(&application.spec, spec).into_iter().map(|(from, to)| {
        if from == to {
            return to;
        }
        let nobodys = if own.contains(&to) { "" } else { text::NOBODYS_NAMESPACE.pick(language) };
        format!("{from} → {to}{nobodys}")
    });
    let as_of = status
        .recovery_point_time
        .as_ref()
        .map(|time| text::data_as_of(&hub.clock.moment(time.0), &hub.clock.age(time.0, language), None).pick(language).to_owned());
    let files: Vec<String> = spec
        .select
        .files
        .iter()
        .map(|file| if file.paths.is_empty() { file.claim.clone() } else { format!("{}:{}", file.claim, listed(&file.paths, language)) })
        .collect();
    let mut lines = vec![Line::toned(Tone::Warn, head.pick(language))];
    let facts = Facts::new(language).maybe(text::F_DATA, as_of).with(text::F_SITE, site).with(text::F_NAMESPACES, listed(into, language));
    let resources: Vec<String> = spec.select.resources.iter().map(typed_kind).collect();
    let facts = if !resources.is_empty() {
        facts.with(
            text::F_OBJECTS,
            format!("{}{}{}", listed(&resources, language), text::SEMICOLON.pick(language), text::conflict(spec.conflict_policy).pick(language)),
        )
    } else if files.is_empty() {
        facts
            .with(text::F_OBJECTS, text::conflict(spec.conflict_policy).pick(language))
            .with(text::F_VOLUMES, text::volumes_over(spec.target.keep_extra_files).pick(language))
    } else {
        let facts = facts.with(text::F_FILES, text::files_into(&listed(&files, language), spec.target.path_prefix.as_deref()).pick(language));
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
    let mut table = Table::new(language, &heads).spare(&[text::STARTED, text::BACKUP, text::PERCENT]);
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

fn page(restore: &Restore, place: &str, language: Language) -> Vec<Line> {
    let status = restore.status.clone().unwrap_or_default();
    let mut lines = vec![
        Line::toned(Tone::Strong, format!("{} {} ", text::noun("restore").pick(language), restore.name_any()))
            .then(phase_cell(status.phase.unwrap_or_default(), language)),
    ];
    let changes = status.changes.as_ref().map(|changes| text::changes(changes).pick(language).to_owned());
    let facts = Facts::new(language)
        .maybe(text::F_FROM_BACKUP, status.backup.as_ref())
        .maybe(text::F_SITE, status.site.as_ref())
        .maybe(text::F_CONTENTS, changes)
        .maybe(text::F_FILES, status.files_removed.filter(|files| *files > 0).map(|files| text::files_removed(files).pick(language).to_owned()));
    let facts = status.left_out.iter().fold(facts, |facts, left| facts.with(text::F_LEFT_OUT, unwritten::left_out_fact(left, language)));
    lines.extend(facts.lines());
    lines.extend(status.missing_claims.iter().map(|missing| Line::toned(Tone::Warn, text::not_in_backup(missing).pick(language))));
    let refused = status.changes.as_ref().map_or(0, |changes| changes.refused + changes.not_served);
    if refused > 0 || !status.left_out.is_empty() {
        let command = typed(&format!("p861 restore show {} --objects", restore.name_any()), place);
        lines.push(Line::toned(Tone::Dim, text::left_out_all(&command).pick(language)));
    }
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &restore.name_any() }));
    lines
}

impl Watched for Restore {
    const STAND: Stand = Stand::Below;

    fn snapshot(&self, _clock: &Clock, _language: Language) -> Snapshot {
        Snapshot::of(self)
    }

    fn verdict(&self) -> ExitStatus {
        match self.phase() {
            RunPhase::Succeeded if self.spec.mode == RestoreMode::Preview => ExitStatus::judged(promises_success(self)),
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
        let data = backup.filter(|_| self.spec.select == RestoreSelection::default()).map(|status| contents_and_size(&status, language));
        preview_page(self, &load(hub, &self.name_any(), Extent::First).await, data, hub.place(), language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(super) fn restore(spec: Value, changes: Value) -> Restore {
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
        let typed = ["--resource", "ConfigMap/settings", "--resource", "Deployment.apps", "--resource", "Widget.demo.example/w"];
        let words = ["p861", "restore", "preview", "approval-1"].iter().chain(&typed).map(std::ffi::OsString::from);
        let crate::args::Command::Restore(RestoreCommand::Preview(preview)) = crate::args::parse(words, Language::En, false).expect("it is understood").command
        else {
            panic!("another command")
        };
        assert_eq!(options(&spec(&preview.what, RestoreMode::Preview)).split_whitespace().collect::<Vec<_>>(), typed);
    }
}
