//! Tables: every list in every form, and columns that stand under each other in Chinese.

use super::hub::{Hub, condition};
use serde_json::{Value, json};

/// A district with an object of most kinds.
pub async fn full(district: &'static str) -> Hub {
    let hub = Hub::of(district).await;
    hub.repository().await;
    hub.policy("critical").await;
    hub.application("approval", 12, condition("Recoverable", "False", "NeverVerified", "never")).await;
    hub.plan(false).await;
    hub.backup("approval-1", "approval", 5, "Probed").await;
    hub.ended_drill("core-20261115-0900", true).await;
    let spec = json!({"source": {"backupRef": {"name": "approval-1"}}, "mode": "Preview"});
    hub.put(
        "Restore",
        "approval-1-look",
        spec,
        json!({"phase": "Running", "backup": "approval-1", "progress": {"percent": 44}, "startTime": "2026-11-24T01:12:30Z"}),
    )
    .await;
    hub
}

/// A line as columns of a terminal: a wide character takes two.
pub fn columns(line: &str) -> Vec<char> {
    line.chars().flat_map(|c| if is_wide(c) { vec![c, c] } else { vec![c] }).collect()
}

/// Whether a terminal gives a character two columns (Unicode, East Asian Width W and F, as far as these tables need it).
fn is_wide(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}')
}

/// Where the cells of the first line begin.
fn starts(head: &[char]) -> Vec<usize> {
    (0..head.len()).filter(|at| head[*at] != ' ' && (*at == 0 || *at >= 2 && head[at - 1] == ' ' && head[at - 2] == ' ')).collect()
}

/// Every cell of every row begins where its head does.
fn assert_aligned(table: &str) {
    let lines: Vec<Vec<char>> = table.lines().map(columns).collect();
    let (head, rows) = lines.split_first().unwrap_or_else(|| panic!("no lines"));
    assert!(!rows.is_empty(), "no rows:\n{table}");
    for row in rows {
        // A row may have fewer cells than the head.
        for start in starts(head).into_iter().take_while(|start| *start < row.len()) {
            let before = start.checked_sub(1).map_or(' ', |before| row[before]);
            assert!(row[start] != ' ' && before == ' ', "no cell at column {start} of {:?} in\n{table}", row.iter().collect::<String>());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_stand_under_each_other_in_both_languages() {
    let hub = full("tables").await;
    let lists = ["site list", "district list", "app list", "repository list", "policy list", "backup list", "plan list", "drill list", "restore list"];
    for words in lists {
        for (language, form) in [("en", "table"), ("en", "wide"), ("zh", "table"), ("zh", "wide")] {
            let arguments: Vec<&str> = words.split(' ').chain(["--lang", language, "-o", form]).collect();
            let said = hub.p861(&arguments);
            assert_eq!((said.code, said.err.as_str()), (0, ""), "{words}");
            assert_aligned(&said.out);
            let head = said.lines()[0].to_owned();
            assert_eq!(head.is_ascii(), language == "en", "{head}");
        }
    }
    // The page at the end of a drill has a table in its middle.
    let page = hub.p861(&["drill", "show", "core-20261115-0900", "--lang", "zh"]);
    assert_aligned(&page.lines()[1..5].join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_a_list_for_programs_and_a_name_a_line_for_shells() {
    let hub = full("forms").await;
    for (words, kind, name) in [
        ("app list", "Application", "application.platform861.io/approval"),
        ("repository list", "BackupRepository", "backuprepository.platform861.io/main"),
        ("policy list", "BackupPolicy", "backuppolicy.platform861.io/critical"),
        ("backup list", "Backup", "backup.platform861.io/approval-1"),
        ("plan list", "RecoveryPlan", "recoveryplan.platform861.io/core"),
        ("drill list", "Drill", "drill.platform861.io/core-20261115-0900"),
        ("restore list", "Restore", "restore.platform861.io/approval-1-look"),
    ] {
        let of = |form: &str| hub.p861(&words.split(' ').chain(["-o", form, "--lang", "zh"]).collect::<Vec<_>>());
        let list = of("json").json();
        assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")), "{words}");
        let item = &list["items"][0];
        assert_eq!((&item["apiVersion"], &item["kind"]), (&json!("platform861.io/v1alpha1"), &json!(kind)), "{words}");
        assert!(item["status"].is_object() && item["metadata"].get("managedFields").is_none(), "{item}");
        let yaml: Value = serde_saphyr::from_str(&of("yaml").out).unwrap_or_else(|error| panic!("{words}: {error}"));
        assert_eq!(yaml, list, "{words}: YAML says the same");
        assert_eq!(of("name").out, format!("{name}\n"));
        // What is printed can be applied and asked for again by kubectl's own words.
        let mut show: Vec<&str> = words.split(' ').take(1).chain([if kind == "Application" { "status" } else { "show" }]).collect();
        show.push(name.split('/').nth(1).expect("a name"));
        show.extend(["-o", "json"]);
        assert_eq!(&hub.p861(&show).json(), item, "{show:?}");
    }
    for words in ["site list", "district list"] {
        let names = hub.p861(&words.split(' ').chain(["-o", "name"]).collect::<Vec<_>>());
        assert!(names.lines().iter().any(|name| *name == "site.platform861.io/laoshan-dr" || *name == "district.platform861.io/forms"), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_this_version_cannot_read_hides_no_other() {
    let hub = full("unreadable").await;
    // A version to come knows one more phase, and has written it.
    hub.learn_phase("restores.platform861.io", "Archived").await;
    hub.declare("Restore", "later-version", json!({"source": {"backupRef": {"name": "approval-1"}}})).await;
    hub.write_when_known("Restore", "later-version", json!({"phase": "Archived"})).await;
    let said = hub.p861(&["restore", "list"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("approval-1-look") && !said.out.contains("later-version"), "{}", said.out);
    assert!(said.err.starts_with("! restore later-version is unreadable for this version of p861: "), "{}", said.err);
    let list = hub.p861(&["restore", "list", "-o", "json"]).json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "programs get it as it is");
    let show = hub.p861(&["restore", "show", "later-version"]);
    assert_eq!(show.code, 1, "{show:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_says_what_to_type_and_is_an_empty_list_for_programs() {
    let hub = Hub::of("empty").await;
    for (words, hint) in [
        ("app list", "There are no applications in empty: p861 app discover NAMESPACE --site SITE -d empty"),
        ("backup list", "There are no backups in empty: p861 backup now APPLICATION -d empty"),
        ("drill list", "There are no drills in empty: p861 drill run PLAN -d empty"),
        ("restore list", "There are no restores in empty: p861 restore preview BACKUP -d empty"),
        ("plan list", "There are no plans in empty; declare a RecoveryPlan: kubectl explain recoveryplans.spec"),
        (
            "policy list",
            "There are no backup policies in empty, so nothing is backed up unless somebody asks; declare a BackupPolicy: kubectl explain backuppolicies.spec",
        ),
        ("repository list", "There are no repositories in empty; declare a BackupRepository: kubectl explain backuprepositories.spec"),
    ] {
        let arguments: Vec<&str> = words.split(' ').collect();
        let said = hub.p861(&arguments);
        assert_eq!((said.code, said.out.as_str(), said.err.trim_end()), (0, "", hint));
        let list = hub.p861(&[arguments.as_slice(), &["-o", "json"]].concat());
        assert_eq!((list.json()["items"].clone(), list.err.as_str()), (json!([]), ""));
    }
}
