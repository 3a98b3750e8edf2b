//! The Chinese texts of the command line have no English words, and show no value as Rust spells it.

#[path = "../../operator/core/tests/told/english.rs"]
mod english;
#[path = "../../operator/core/tests/told/source.rs"]
mod source;

use english::{english_words, has_english_stops};
use source::literals;
use std::path::Path;

/// The text without its holes, and what stands in them.
fn holes(text: &str) -> (String, Vec<&str>) {
    let (mut words, mut holes, mut rest) = (String::new(), Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        words.push_str(before);
        let Some((hole, after)) = after.split_once('}') else { break };
        holes.push(hole);
        rest = after;
    }
    words.push_str(rest);
    (words, holes)
}

#[test]
fn fault_h27_a_chinese_text_has_no_english_word_no_english_stop_and_no_value_as_rust_spells_it() {
    let chinese = |text: &str| text.chars().any(|character| ('\u{4e00}'..='\u{9fff}').contains(&character));
    let mut found = Vec::new();
    for literal in literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[]).iter().filter(|literal| chinese(&literal.text)) {
        // The examples speak of the demo, by its names; every one of them has its English beside it.
        if literal.file.ends_with("text/examples.rs") {
            continue;
        }
        let (words, holes) = holes(&literal.text);
        let english = english_words(&words);
        // What a person has typed is shown in quotation marks; an action, a phase or a level is told by its word.
        let spelled: Vec<&&str> = holes.iter().filter(|hole| hole.ends_with(":?") && !["text:?", "from:?", "place:?", "kind:?"].contains(*hole)).collect();
        let stops = has_english_stops(&literal.text);
        if !english.is_empty() || !spelled.is_empty() || stops {
            found.push(format!("{}:{}: {english:?} {spelled:?} in {}", literal.file, literal.line, literal.text));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
