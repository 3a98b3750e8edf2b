//! The headings of every table, read from the source: no table has one twice, in either language, and none is a word that says nothing without its neighbour.

use std::{collections::BTreeMap, fs, path::Path};

/// Headings that are of the column to the left, which may be empty and left out.
const OF_A_NEIGHBOUR: &[&str] = &["TARGET", "目标"];

/// The files under a folder.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read_to_string(&path).expect("a source")));
        }
    }
}

/// The words of `words!`, by name: English, Chinese.
fn words() -> BTreeMap<String, [String; 2]> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/text"), &mut found);
    let word = |line: &str| {
        let (name, rest) = line.trim().strip_suffix(';')?.split_once(": \"")?;
        let (en, zh) = rest.strip_suffix('"')?.split_once("\", \"")?;
        let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        is_name.then(|| (name.to_owned(), [en.to_owned(), zh.to_owned()]))
    };
    found.iter().flat_map(|(_, source)| source.lines()).filter_map(word).collect()
}

/// The names of the words in a piece of source: `text::NAME`.
fn named(source: &str) -> Vec<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect::<String>();
    source.split("text::").skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

/// The headings of each table of a file: those that are written where it is made, and those of the list that is made before it.
fn tables(source: &str) -> Vec<Vec<String>> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let written = source.split("Table::new(").skip(1).filter_map(|made| made.split_once(", &[")?.1.split_once(']')).map(|(heads, _)| named(heads));
    let listed = source.split("let mut heads = ").skip(1).filter_map(|made| made.split_once("Table::new(")).map(|(heads, _)| named(heads));
    // One whose list is made before it is no list where it is made.
    let written = written.filter(|heads| heads.len() > 1);
    listed.chain(written).collect()
}

#[test]
fn no_table_has_a_heading_twice_or_one_that_needs_its_neighbour() {
    let words = words();
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands"), &mut found);
    let mut seen = 0;
    for (file, source) in &found {
        for names in tables(source) {
            seen += 1;
            for language in 0..2 {
                let heads: Vec<&str> =
                    names.iter().map(|name| words.get(name).unwrap_or_else(|| panic!("{file}: no word {name}"))[language].as_str()).collect();
                for (at, head) in heads.iter().enumerate() {
                    assert!(!heads[..at].contains(head), "{file}: {head} stands twice over a table: {heads:?}");
                    assert!(!OF_A_NEIGHBOUR.contains(head), "{file}: {head} says nothing without its neighbour: {heads:?}");
                }
            }
        }
    }
    assert!(seen >= 25, "only {seen} tables");
}

#[test]
fn a_heading_that_stands_twice_is_found() {
    let source = "let mut heads = vec![text::RTO, text::RTO_TARGET];\nheads.extend([text::RTO]);\nlet t = Table::new(language, &heads).spare(&[text::RTO]);\n\
                  let u = Table::new(language, &[text::A, text::B]).spare(&[text::A]);";
    assert_eq!(tables(source), [vec!["RTO", "RTO_TARGET", "RTO"], vec!["A", "B"]]);
}
