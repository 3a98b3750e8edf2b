//! What docs/SECURITY.md says of movers' capabilities is what their Jobs ask for.

use std::{collections::BTreeMap, fs, path::Path};

/// The capabilities of each task of movers, as the source of their Jobs states them: `MoverTask::One { .. } | MoverTask::Other { .. } => &["NAME"],`.
fn in_the_code(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (tasks, list) in text.lines().filter_map(|line| line.trim().split_once(" => &[")) {
        let names: Vec<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        for task in tasks.split(" | ").filter_map(|task| task.strip_prefix("MoverTask::")?.strip_suffix(" { .. }")) {
            found.insert(task.to_owned(), names.clone());
        }
    }
    found
}

/// The rows of the table in docs/SECURITY.md.
fn in_the_paper(text: &str) -> BTreeMap<String, Vec<String>> {
    let rows = text.lines().skip_while(|line| !line.starts_with("| task | capabilities |")).skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let named: Vec<String> = cells[1].split(", ").filter(|name| *name != "none").map(str::to_owned).collect();
        (cells[0].clone(), named)
    };
    rows.map(row).collect()
}

#[test]
fn fault_a10_the_capabilities_that_security_md_states_are_those_that_movers_ask_for() {
    let operator = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let code = in_the_code(&fs::read_to_string(operator.join("runs/src/effects/mover/job.rs")).unwrap());
    let paper = in_the_paper(&fs::read_to_string(operator.parent().unwrap().join("docs/SECURITY.md")).unwrap());
    assert_eq!(code.keys().map(String::as_str).collect::<Vec<_>>(), ["BackupVolume", "PreviewVolume", "RestoreVolume"], "{code:?}");
    for task in ["BackupVolume", "PreviewVolume"] {
        assert_eq!(paper.get("save a volume, or preview its restore"), code.get(task), "{task}");
    }
    assert_eq!(paper.get("restore a volume"), code.get("RestoreVolume"));
    assert_eq!(paper.get("anything else"), Some(&Vec::new()));
    assert_eq!(paper.len(), 3, "{paper:?}");
}
