//! `p861 restore show NAME --objects`: every object that a restore did not write, refused or left out, with the reason.

use super::{
    super::Context,
    preview::{Extent, Planned, load, load_list, objects_page, tone},
};
use crate::{
    error::Result,
    exit::ExitStatus,
    format::Line,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{
    Restore, RestoreStatus,
    protection::{backup::LeftOut, restore::RestoreMode},
};
use serde_json::{Value, json};

/// Names of each reason on the page of a restore. The status has more.
const MAX_NAMES_SHOWN: usize = 3;

/// Prints the lists of a restore, or of a preview, whose differences come first.
pub(super) async fn show(context: &Context<'_>, name: &str) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let restore = hub.get_here::<Restore>(name).await?.object;
    let status = restore.status.clone().unwrap_or_default();
    let is_preview = restore.spec.mode == RestoreMode::Preview;
    let mut objects = if is_preview { Vec::new() } else { load_list(hub, name, "refused", Extent::All).await?.objects };
    objects.append(&mut load_list(hub, name, "left-out", Extent::All).await?.objects);
    let unlisted = unlisted(&status, is_preview, objects.len());
    if printer.structured() {
        printer.structure(&document(&restore, &objects, unlisted))?;
        return Ok(ExitStatus::Good);
    }
    if is_preview {
        printer.lines(&objects_page(&load(hub, name, Extent::All).await, printer.language));
    }
    let mut lines: Vec<Line> = objects.iter().map(|object| line(object, printer.language)).collect();
    if unlisted > 0 {
        lines.push(Line::of(text::unwritten_unlisted(unlisted).pick(printer.language)));
    }
    if lines.is_empty() && !is_preview {
        printer.remark(&text::nothing_unwritten(&restore.name_any()));
    }
    printer.lines(&lines);
    Ok(ExitStatus::Good)
}

/// How many objects were not written and are in no list.
fn unlisted(status: &RestoreStatus, is_preview: bool, listed: usize) -> i64 {
    let changes = status.changes.clone().unwrap_or_default();
    let refused = if is_preview { 0 } else { changes.refused + changes.not_served };
    let left_out: i64 = status.left_out.iter().map(|left| left.count).sum();
    (refused + left_out - i64::try_from(listed).unwrap_or(i64::MAX)).max(0)
}

fn line(object: &Planned, language: Language) -> Line {
    let kind = if object.group.is_empty() { object.kind.clone() } else { format!("{}.{}", object.kind, object.group) };
    let place = if object.namespace.is_empty() { String::new() } else { format!("{}/", object.namespace) };
    Line::toned(
        tone(object),
        format!(
            "{} {kind} {place}{}{}{}",
            text::planned(&object.action, language),
            object.name,
            text::COLON.pick(language),
            text::told(&object.why).pick(language)
        ),
    )
}

fn document(restore: &Restore, objects: &[Planned], unlisted: i64) -> Value {
    let status = restore.status.clone().unwrap_or_default();
    json!({
        "apiVersion": "cli.platform861.io/v1", "kind": "RestoreObjects", "restore": restore.name_any(), "backup": status.backup, "site": status.site,
        "changes": status.changes, "leftOut": status.left_out, "objects": objects, "objectsNotListed": unlisted,
    })
}

/// The lines of a restore's page about one reason for which objects were left out.
pub(super) fn left_out_fact(LeftOut { reason, count, names }: &LeftOut, language: Language) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_NAMES_SHOWN).map(String::as_str).collect();
    let more = usize::try_from(*count).is_ok_and(|count| count > shown.len());
    text::left_out(*count, reason, &shown, more).pick(language).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::restore, *};

    #[test]
    fn fault_a_what_is_in_no_list_is_counted() {
        let of = |changes: Value, left_out: Value| {
            let mut document = serde_json::to_value(restore(json!({}), changes)).expect("a restore");
            document["status"]["leftOut"] = left_out;
            serde_json::from_value::<Restore>(document).expect("a restore").status.expect("a status")
        };
        let left = json!([{"reason": "not selected", "count": 70_000, "names": ["Secret n/a"]}, {"reason": "excluded by the Application", "count": 2}]);
        let status = of(json!({"create": 1, "refused": 2, "notServed": 1}), left);
        assert_eq!((unlisted(&status, false, 50_003), unlisted(&status, true, 2), unlisted(&status, false, 80_000)), (20_002, 70_000, 0));
        assert_eq!(unlisted(&of(json!({"create": 1}), json!([])), false, 0), 0);
    }

    #[test]
    fn fault_a_an_object_that_was_not_written_has_a_line_with_its_reason() {
        let planned = |action: &str, group: &str, namespace: &str, why: &str| {
            let text = json!({"action": action, "group": group, "kind": "Widget", "namespace": namespace, "name": "w", "why": why});
            serde_json::from_value::<Planned>(text).expect("an object")
        };
        for (object, en, zh) in [
            (
                planned("refused", "demo.example", "n", "not served"),
                "refused Widget.demo.example n/w: not served",
                "被拒绝 Widget.demo.example n/w：not served",
            ),
            (planned("leave", "", "", "not selected"), "leave Widget w: not selected", "保留 Widget w：未选择"),
        ] {
            assert_eq!((line(&object, Language::En).to_string().as_str(), line(&object, Language::Zh).to_string().as_str()), (en, zh));
        }
        let left = |count: i64, names: &[&str]| LeftOut { reason: "not selected".into(), count, names: names.iter().map(|name| (*name).to_owned()).collect() };
        for (left, said) in [
            (left(2, &["Secret n/a", "Secret n/b"]), "2 not selected: Secret n/a, Secret n/b"),
            (left(5, &["Secret n/a", "Secret n/b", "Secret n/c", "Secret n/d"]), "5 not selected: Secret n/a, Secret n/b, Secret n/c, …"),
            (left(5, &[]), "5 not selected"),
        ] {
            assert_eq!(left_out_fact(&left, Language::En), said);
        }
    }
}
