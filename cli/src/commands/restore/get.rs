//! `p861 restore get`: objects out of a backup, as they were saved.
//!
//! The operator reads them, by a Restore that only previews: whoever may preview a restore may read them, and nobody needs the repository. Its answer is a
//! ConfigMap of the district, so values of Secrets are not in it. A Secret is restored into another namespace and read there, with the rights of that site.

use super::{
    super::{Context, known},
    preview::{Extent, Planned, load},
    watched_silently,
};
use crate::{
    args::{RestoreGet, typed_kind},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Line, Table},
    hub::{Run as _, create_run},
    printer::{Output, Printer},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_core::objects;
use p861_crds::{
    Backup, ConditionType, ObjectReference, Restore, RestoreSpec,
    common::RunPhase,
    protection::restore::{ConflictPolicy, ResourceSelector, RestoreMode, RestoreSelection, RestoreSource, RestoreTarget},
};
use serde_json::{Value, json};

/// The kind of a selector that means all kinds.
const EVERY_KIND: &str = "*";

/// Runs the command.
pub(super) async fn get(context: &Context<'_>, what: &RestoreGet) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    if context.global.no_wait {
        return Err(Failure::usage(text::get_waits()));
    }
    hub.get_here::<Backup>(&what.backup).await?;
    if let Some(site) = &what.site {
        known::site(hub, site).await?;
    }
    let created = create_run(hub, &format!("{}-get", what.backup), Restore::new("", spec(what))).await?;
    let name = created.name_any();
    if printer.interactive() {
        printer.remark(&text::get_begins(&what.backup, &name));
    }
    let status = watched_silently(context, &name).await?;
    if !matches!(status, ExitStatus::Good | ExitStatus::Bad) {
        return Ok(status);
    }
    let restore = hub.get_here::<Restore>(&name).await?.object;
    if restore.phase() != RunPhase::Succeeded {
        let why = restore.conditions().iter().find(|condition| condition.type_ == ConditionType::Succeeded).map(|condition| condition.message.clone());
        return Err(Failure::new(status, text::get_failed(&what.backup, &why.unwrap_or_default())));
    }
    let mut found = load(hub, &name, Extent::All).await.objects;
    found.sort_by(|a, b| (&a.namespace, &a.kind, &a.group, &a.name).cmp(&(&b.namespace, &b.kind, &b.group, &b.name)));
    if what.name.is_some() { print_manifests(context, what, &found) } else { print_names(printer, what, &found) }
}

fn spec(what: &RestoreGet) -> RestoreSpec {
    let kind = what.kind.clone().unwrap_or_else(|| ResourceSelector { group: None, kind: EVERY_KIND.into(), name: None });
    RestoreSpec {
        source: RestoreSource { backup_ref: Some(ObjectReference::new(&what.backup)), ..RestoreSource::default() },
        mode: RestoreMode::Preview,
        target: RestoreTarget { site_ref: what.site.clone().map(ObjectReference::new), ..RestoreTarget::default() },
        select: RestoreSelection { resources: vec![ResourceSelector { name: what.name.clone(), ..kind }], ..RestoreSelection::default() },
        // Nothing that is there stands in the way of reading.
        conflict_policy: ConflictPolicy::Merge,
        deadline: "1h".into(),
        requested_by: None,
        actions: Vec::new(),
    }
}

/// `deployment.apps/web`, as kubectl names an object.
fn full_name(object: &Planned) -> String {
    let group = if object.group.is_empty() { String::new() } else { format!(".{}", object.group) };
    format!("{}{group}/{}", object.kind.to_lowercase(), object.name)
}

fn table(found: &[Planned], language: Language) -> Vec<Line> {
    let mut table = Table::new(language, &[text::NAMESPACE, text::KIND, text::NAME]);
    for object in found {
        let kind = if object.group.is_empty() { object.kind.clone() } else { format!("{}.{}", object.kind, object.group) };
        table.row(vec![Line::of(&object.namespace), Line::of(kind), Line::of(&object.name)]);
    }
    table.lines()
}

fn print_names(printer: &Printer, what: &RestoreGet, found: &[Planned]) -> Result<ExitStatus> {
    match printer.output {
        Output::Json | Output::Yaml => {
            let object = |object: &Planned| json!({"group": object.group, "kind": object.kind, "namespace": object.namespace, "name": object.name});
            let objects: Vec<Value> = found.iter().map(object).collect();
            printer.structure(&json!({"apiVersion": "cli.platform861.io/v1", "kind": "BackupObjects", "backup": what.backup, "objects": objects}))?;
        }
        Output::Name => found.iter().for_each(|object| printer.line(&Line::of(full_name(object)))),
        Output::Table | Output::Wide | Output::Html if found.is_empty() => {
            printer.remark(&text::get_nothing(&what.backup, &what.kind.as_ref().map(typed_kind).unwrap_or_default()));
        }
        Output::Table | Output::Wide | Output::Html => printer.lines(&table(found, printer.language)),
    }
    Ok(ExitStatus::Good)
}

fn print_manifests(context: &Context<'_>, what: &RestoreGet, found: &[Planned]) -> Result<ExitStatus> {
    let printer = context.printer;
    let kind = what.kind.as_ref().map(typed_kind).unwrap_or_default();
    let name = what.name.as_deref().unwrap_or_default();
    let manifests: Vec<&Value> = found.iter().filter_map(|object| object.manifest.as_ref()).collect();
    if manifests.is_empty() {
        let list = context.hub.typed(&format!("p861 restore get {} {kind}", what.backup));
        return Err(Failure::new(ExitStatus::Bad, text::get_missing(&what.backup, &format!("{kind}/{name}"), &list)));
    }
    match (printer.output, manifests.as_slice()) {
        (Output::Name, _) => found.iter().for_each(|object| printer.line(&Line::of(full_name(object)))),
        (Output::Json, [one]) => printer.structure(one)?,
        (Output::Json, all) => printer.structure(&json!({"apiVersion": "v1", "kind": "List", "items": all}))?,
        (Output::Table | Output::Wide | Output::Html | Output::Yaml, all) => {
            let mut yaml = printer.clone();
            yaml.output = Output::Yaml;
            for (number, manifest) in all.iter().enumerate() {
                if number > 0 {
                    yaml.raw("---\n");
                }
                yaml.structure(manifest)?;
            }
        }
    }
    if manifests.iter().any(|manifest| is_hidden(manifest)) {
        let command = context.hub.typed(&format!("p861 restore run {} --resource {kind}/{name} --map NAMESPACE=OTHER", what.backup));
        printer.warn(&text::get_hidden(&command));
    }
    Ok(ExitStatus::Good)
}

/// Whether values are left out of the manifest.
fn is_hidden(manifest: &Value) -> bool {
    let hides = |map: &Value| map.as_object().is_some_and(|map| map.values().any(|value| value == objects::HIDDEN_VALUE));
    manifest["kind"] == "Secret" && (hides(&manifest["data"]) || hides(&manifest["metadata"]["annotations"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_selects_all_kinds_a_kind_or_one_object_and_writes_nothing() {
        let get = |kind: Option<&str>, name: Option<&str>| RestoreGet {
            backup: "b".into(),
            kind: kind.map(|kind| crate::args::kind(kind).expect("a kind")),
            name: name.map(str::to_owned),
            site: None,
        };
        for (what, expected) in [
            (get(None, None), json!([{"kind": "*"}])),
            (get(Some("deploy"), None), json!([{"group": "apps", "kind": "Deployment"}])),
            (get(Some("cm"), Some("settings")), json!([{"kind": "ConfigMap", "name": "settings"}])),
        ] {
            let spec = serde_json::to_value(spec(&what)).expect("a spec");
            assert_eq!((&spec["select"]["resources"], &spec["mode"]), (&expected, &json!("Preview")));
        }
    }

    #[test]
    fn a_secret_says_that_its_values_are_hidden_and_nothing_else_does() {
        let saved = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": {"a": "aHVzaA=="}});
        for (saved, hidden) in [
            (saved, true),
            (json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}}), false),
            (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "data": {"a": "(hidden)"}}), false),
        ] {
            assert_eq!(is_hidden(&objects::manifest(&saved)), hidden, "{saved}");
        }
    }

    #[test]
    fn names_are_listed_by_namespace_and_kind() {
        let found: Vec<Planned> = serde_json::from_value(json!([
            {"action": "same", "kind": "ConfigMap", "namespace": "n", "name": "settings"},
            {"action": "create", "group": "apps", "kind": "Deployment", "namespace": "n", "name": "web"},
        ]))
        .expect("objects");
        let lines: Vec<String> = table(&found, Language::En).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["NAMESPACE  KIND             NAME", "n          ConfigMap        settings", "n          Deployment.apps  web"]);
        assert_eq!(found.iter().map(full_name).collect::<Vec<_>>(), ["configmap/settings", "deployment.apps/web"]);
    }
}
