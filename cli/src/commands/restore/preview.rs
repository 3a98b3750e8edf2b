//! The page of a preview: what a restore would do, as the operator has found it.

use super::options;
use crate::{
    commands::page,
    error::Result,
    format::{Line, Table, Tone},
    hub::{Hub, typed},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_core::protection::conclude::QUIESCED;
use p861_crds::{
    ConditionType, Restore,
    protection::restore::{ConflictPolicy, RestoreChanges},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An object of a preview, as the operator writes it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Planned {
    pub(super) action: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) why: String,
    /// All differences, one a line, if there is more than `why` says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) diff: String,
    /// The object as it was saved, if the preview names single objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifest: Option<Value>,
}

/// What a preview would do to the files of a volume, as the operator writes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
pub(super) struct Foreseen {
    pub(super) objects: Vec<Planned>,
    volumes: Vec<PlannedVolume>,
    /// Number of objects that are not listed.
    left: u64,
}

/// A list of objects that the operator keeps beside a restore.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) objects: Vec<Planned>,
    /// What else its first ConfigMap holds.
    beside: BTreeMap<String, String>,
}

/// How much of a preview is read: its first part has what stands in the way, as far as it fits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    First,
    All,
}

pub(super) async fn load(hub: &Hub, name: &str, extent: Extent) -> Foreseen {
    let List { objects, mut beside } = load_list(hub, name, "preview", extent).await.unwrap_or_default();
    let mut text = |key: &str| beside.remove(key).unwrap_or_default();
    Foreseen { objects, volumes: serde_json::from_str(&text("volumes.json")).unwrap_or_default(), left: text("left").parse().unwrap_or_default() }
}

/// Reads the list `<name>-<what>`; one that isn't there is empty.
///
/// # Errors
/// If the person may not read it, or the hub doesn't answer.
pub(super) async fn load_list(hub: &Hub, name: &str, what: &str, extent: Extent) -> Result<List> {
    let base = format!("{name}-{what}");
    let take = |map: &mut BTreeMap<String, String>| -> Vec<Planned> {
        let text = map.remove(&format!("{what}.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    };
    let mut beside = hub.config_map(&base).await?.unwrap_or_default();
    let mut objects = take(&mut beside);
    let parts: usize = beside.get("parts").and_then(|parts| parts.parse().ok()).unwrap_or(1);
    if extent == Extent::All {
        for number in 1..parts {
            let mut map = hub.config_map(&format!("{base}-{number}")).await?.unwrap_or_default();
            objects.append(&mut take(&mut map));
        }
    }
    Ok(List { objects, beside })
}

pub(super) fn tone(line: &Planned) -> Tone {
    match line.action.as_str() {
        "refused" => Tone::Bad,
        "change" => Tone::Warn,
        _ => Tone::Plain,
    }
}

fn planned_row(line: &Planned, language: Language) -> Vec<Line> {
    vec![
        Line::toned(tone(line), text::planned(&line.action, language)),
        Line::of(&line.kind),
        Line::of(&line.name),
        Line::of(text::told(&line.why).pick(language)),
    ]
}

/// The objects that the page of a preview only counts.
pub(super) fn created_table(planned: &[Planned], language: Language) -> Vec<Line> {
    let mut table = Table::new(language, &[text::ACTION, text::KIND, text::NAME, text::WHY]);
    for line in planned.iter().filter(|line| line.action == "create") {
        table.row(planned_row(line, language));
    }
    if table.is_empty() { Vec::new() } else { table.lines() }
}

/// Every object that would be written, changed or refused, with all of its differences.
pub(super) fn objects_page(foreseen: &Foreseen, language: Language) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in foreseen.objects.iter().filter(|line| line.action != "same") {
        let kind = if line.group.is_empty() { line.kind.clone() } else { format!("{}.{}", line.kind, line.group) };
        let head = format!("{} {kind} {}/{}", text::planned(&line.action, language), line.namespace, line.name);
        let why = text::told(&line.why);
        let (head, body) = match (line.diff.as_str(), why.pick(language)) {
            ("", "") => (head, Vec::new()),
            ("", why) => (head, vec![why]),
            (diff, why) if line.action == "change" || why.is_empty() => (head, diff.lines().collect()),
            (diff, why) => (format!("{head}{}{why}", text::COLON.pick(language)), diff.lines().collect()),
        };
        lines.push(Line::toned(tone(line), head));
        lines.extend(body.into_iter().map(|text| Line::of(format!("  {text}"))));
    }
    if foreseen.left > 0 {
        lines.push(Line::toned(Tone::Warn, text::objects_left(foreseen.left).pick(language)));
    }
    lines
}

/// A preview for programs, with every object.
pub(super) fn document(restore: &Restore, foreseen: &Foreseen) -> Value {
    let status = restore.status.clone().unwrap_or_default();
    json!({
        "apiVersion": "cli.platform861.io/v1", "kind": "RestorePreview", "restore": restore.name_any(), "backup": status.backup, "site": status.site,
        "missingClaims": status.missing_claims, "changes": status.changes, "objects": foreseen.objects, "objectsNotListed": foreseen.left, "volumes": foreseen.volumes,
    })
}

/// The page of a preview: what would be created and what is the same in numbers, what would change or be refused by name.
pub(super) fn preview_page(restore: &Restore, foreseen: &Foreseen, data: Option<String>, place: &str, language: Language) -> Vec<Line> {
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
    for left in &status.left_out {
        table.row(vec![
            Line::of(text::planned("leave", language)),
            Line::of(text::objects(left.count).pick(language)),
            Line::of("-"),
            Line::of(text::told(&left.reason).pick(language)),
        ]);
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
    lines.extend(status.missing_claims.iter().map(|missing| Line::toned(Tone::Warn, text::not_in_backup(missing).pick(language))));
    let says = page::condition(&status.conditions, ConditionType::Succeeded).map(|condition| condition.message.as_str()).unwrap_or_default();
    if says.contains(QUIESCED) {
        lines.push(Line::toned(Tone::Warn, text::told(QUIESCED).pick(language)));
    }
    if is_blocked(restore, &changes) {
        lines.push(Line::toned(Tone::Warn, text::preview_blocked(different(&changes)).pick(language)));
        return lines;
    }
    let unwritten = changes.refused + changes.not_served;
    if unwritten > 0 {
        lines.push(Line::toned(Tone::Warn, text::preview_incomplete(unwritten).pick(language)));
    }
    let backup = restore.spec.source.backup_ref.as_ref().map(|backup| backup.name.clone()).or(status.backup);
    if let Some(backup) = backup {
        let command = typed(&format!("p861 restore run {backup}{}", options(&restore.spec)), place);
        lines.push(Line::of(text::to_do_it(&command).pick(language)));
    }
    lines
}

/// Objects that are there and otherwise than in the backup. What only gets what it lacks is none of them.
fn different(changes: &RestoreChanges) -> i64 {
    changes.change - changes.added
}

/// Whether a restore as it was previewed would write nothing: something is different where nothing different may be.
fn is_blocked(restore: &Restore, changes: &RestoreChanges) -> bool {
    different(changes) > 0 && restore.spec.conflict_policy == ConflictPolicy::Refuse
}

/// Whether a restore as it was previewed would succeed.
pub(super) fn promises_success(restore: &Restore) -> bool {
    let changes = restore.status.as_ref().and_then(|status| status.changes.clone()).unwrap_or_default();
    changes.refused + changes.not_served == 0 && !is_blocked(restore, &changes)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::restore, *};
    use crate::{exit::ExitStatus, run::Watched as _};
    use serde_json::json;

    #[test]
    fn what_would_stop_a_restore_makes_its_preview_bad() {
        let blocked = "Blocked by: 1 exist and differ, and the conflict policy is Refuse: nothing would be written";
        let incomplete = "Not everything: 1 can't be written; everything else would be, and the restore would end as Failed";
        for (policy, change, refused, not_served, verdict, said) in [
            ("Refuse", 0, 0, 0, ExitStatus::Good, None),
            ("Refuse", 1, 0, 0, ExitStatus::Bad, Some(blocked)),
            ("Refuse", 1, 1, 0, ExitStatus::Bad, Some(blocked)),
            ("Refuse", 0, 1, 0, ExitStatus::Bad, Some(incomplete)),
            ("Merge", 1, 0, 0, ExitStatus::Good, None),
            ("Merge", 1, 1, 0, ExitStatus::Bad, Some(incomplete)),
            ("Merge", 0, 0, 1, ExitStatus::Bad, Some(incomplete)),
        ] {
            let changes = json!({"create": 1, "change": change, "same": 0, "refused": refused, "notServed": not_served});
            let preview = restore(json!({"mode": "Preview", "conflictPolicy": policy}), changes);
            assert_eq!(preview.verdict(), verdict, "{policy} {change} {refused} {not_served}");
            let lines: Vec<String> = preview_page(&preview, &Foreseen::default(), None, "", Language::En).iter().map(ToString::to_string).collect();
            let told = |text: &str| lines.iter().any(|line| line == text);
            assert_eq!((told(blocked), told(incomplete)), (said == Some(blocked), said == Some(incomplete)), "{lines:?}");
            // What writes nothing is not offered.
            assert_eq!(lines.iter().any(|line| line.starts_with("To do it: ")), said != Some(blocked), "{lines:?}");
        }
    }

    #[test]
    fn fault_a3_what_only_gets_what_it_lacks_is_a_change_that_blocks_nothing() {
        for (change, added, blocked) in [(1, 1, false), (2, 1, true), (1, 0, true)] {
            let preview = restore(json!({"mode": "Preview", "conflictPolicy": "Refuse"}), json!({"create": 1, "change": change, "added": added}));
            let lines: Vec<String> = preview_page(&preview, &Foreseen::default(), None, "", Language::En).iter().map(ToString::to_string).collect();
            let said = "Blocked by: 1 exist and differ, and the conflict policy is Refuse: nothing would be written";
            assert_eq!((lines.iter().any(|line| line == said), preview.verdict() == ExitStatus::Bad), (blocked, blocked), "{lines:?}");
        }
    }

    #[test]
    fn fault_a_a_preview_says_what_would_be_left_out() {
        let mut document = serde_json::to_value(restore(json!({"mode": "Preview"}), json!({"same": 1}))).expect("a restore");
        document["status"]["leftOut"] = json!([{"reason": "excluded by the Application", "count": 3, "names": ["Secret n/a"]}]);
        let preview = serde_json::from_value(document).expect("a restore");
        let lines: Vec<String> = preview_page(&preview, &Foreseen::default(), None, "", Language::En).iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|line| line == "leave   3 objects  -     excluded by the Application"), "{lines:#?}");
    }

    #[test]
    fn fault_i9_a_preview_says_that_what_quiesced_the_application_comes_back() {
        for quiesced in [true, false] {
            let mut document = serde_json::to_value(restore(json!({"mode": "Preview"}), json!({"same": 1}))).expect("a restore");
            let message = if quiesced { format!("would create 0; {QUIESCED}") } else { "would create 0".into() };
            document["status"]["conditions"] =
                json!([{"type": "Succeeded", "status": "True", "reason": "Previewed", "message": message, "lastTransitionTime": "2026-11-24T08:00:00Z"}]);
            let preview = serde_json::from_value(document).expect("a restore");
            let lines: Vec<String> = preview_page(&preview, &Foreseen::default(), None, "", Language::En).iter().map(ToString::to_string).collect();
            assert_eq!(lines.iter().any(|line| line == QUIESCED), quiesced, "{lines:#?}");
        }
    }

    #[test]
    fn fault_d5_a_preview_of_a_partial_backup_says_which_claims_it_lacks() {
        let mut document = serde_json::to_value(restore(json!({"mode": "Preview"}), json!({"same": 1}))).expect("a restore");
        document["status"]["missingClaims"] = json!([{"claim": "n/uploads", "reason": "MoverUnschedulable", "message": "no node takes its mover"}]);
        let preview = serde_json::from_value(document).expect("a restore");
        for (language, said) in [
            (Language::En, "Not in the backup: claim n/uploads: no node takes its mover"),
            (Language::Zh, "备份中没有：存储卷声明 n/uploads：no node takes its mover"),
        ] {
            let lines: Vec<String> = preview_page(&preview, &Foreseen::default(), None, "", language).iter().map(ToString::to_string).collect();
            assert!(lines.iter().any(|line| line == said), "{lines:#?}");
        }
    }

    #[test]
    fn fault_c4_a_preview_says_which_files_of_which_volume_would_be_removed() {
        let preview = restore(json!({"mode": "Preview", "conflictPolicy": "Merge"}), json!({"same": 5}));
        let volumes = serde_json::from_value(json!([
            {"volume": "attachments", "removed": 3, "changed": 12, "created": 1, "first": ["shell.php", "a/b"]},
            {"volume": "cache", "removed": 0, "changed": 0, "created": 0, "first": []},
        ]));
        let foreseen = Foreseen { volumes: volumes.expect("volumes"), ..Foreseen::default() };
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
                ["\u{6570}\u{636e}  卷 attachments：将移除 3 个文件，更改 12 个，新建 1 个；前几个：shell.php, a/b", "\u{6570}\u{636e}  卷 cache：不会改变"],
            ),
        ] {
            let lines: Vec<String> = preview_page(&preview, &foreseen, None, "", language).iter().map(ToString::to_string).collect();
            for line in expected {
                assert!(lines.iter().any(|it| it == line), "{line}: {lines:#?}");
            }
        }
    }

    #[test]
    fn each_object_is_shown_with_all_of_its_differences() {
        let foreseen = Foreseen {
            objects: serde_json::from_value(json!([
                {"action": "change", "group": "apps", "kind": "Deployment", "namespace": "n", "name": "web", "why": "spec.a: 1 → 2", "diff": "spec.a: 1 → 2\nspec.b:\n  -x\n  +y"},
                {"action": "change", "kind": "ConfigMap", "namespace": "n", "name": "c", "why": "data.a: 1 → 2"},
                {"action": "leave", "kind": "Service", "namespace": "n", "name": "s", "why": "Skip leaves it", "diff": "spec.c: 1 → 2"},
                {"action": "refused", "kind": "Ingress", "namespace": "n", "name": "i", "why": "no host"},
                {"action": "create", "kind": "Secret", "namespace": "n", "name": "k"},
                {"action": "same", "kind": "Secret", "namespace": "n", "name": "l"},
            ]))
            .expect("objects"),
            left: 3,
            ..Foreseen::default()
        };
        let lines: Vec<String> = objects_page(&foreseen, Language::En).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "change Deployment.apps n/web",
                "  spec.a: 1 → 2",
                "  spec.b:",
                "    -x",
                "    +y",
                "change ConfigMap n/c",
                "  data.a: 1 → 2",
                "leave Service n/s: Skip leaves it",
                "  spec.c: 1 → 2",
                "refused Ingress n/i",
                "  no host",
                "create Secret n/k",
                "3 objects are not listed: preview fewer of them",
            ]
        );
        let preview = restore(json!({"mode": "Preview"}), json!({"create": 1}));
        let document = document(&preview, &foreseen);
        assert_eq!((&document["kind"], &document["objects"][0]["diff"]), (&json!("RestorePreview"), &json!("spec.a: 1 → 2\nspec.b:\n  -x\n  +y")));
        assert_eq!((document["objects"].as_array().map(Vec::len), &document["objectsNotListed"]), (Some(6), &json!(3)));
    }

    #[test]
    fn a_preview_names_what_is_in_the_way_and_counts_the_rest() {
        let preview = restore(
            json!({"mode": "Preview", "conflictPolicy": "Refuse", "target": {"siteRef": {"name": "laoshan-dr"}}}),
            json!({"create": 137, "change": 2, "same": 5, "refused": 1}),
        );
        let planned = |action: &str, kind: &str, name: &str, why: &str| Planned {
            action: action.into(),
            kind: kind.into(),
            name: name.into(),
            why: why.into(),
            ..Planned::default()
        };
        let listed = [
            planned("change", "ConfigMap", "approval-config", "data.mode: live → maintenance"),
            planned("refused", "Ingress", "approval-old", "v1beta1 is not served"),
        ];
        let lines: Vec<String> = preview_page(
            &preview,
            &Foreseen { objects: listed.to_vec(), ..Foreseen::default() },
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
                "Blocked by: 2 exist and differ, and the conflict policy is Refuse: nothing would be written",
            ]
        );
        let free = restore(json!({"mode": "Preview", "conflictPolicy": "Merge", "target": {"siteRef": {"name": "laoshan-dr"}}}), json!({"create": 2}));
        let listed = [planned("create", "ConfigMap", "one", ""), planned("change", "ConfigMap", "two", "data.a: 1 → 2")];
        let lines: Vec<String> = preview_page(&free, &Foreseen { objects: listed[..1].to_vec(), ..Foreseen::default() }, None, " -d shinan", Language::En)
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
