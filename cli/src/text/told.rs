//! What the API holds in English or in its own spelling, for a reader of Chinese: messages, durations, values.

use super::{Bilingual, Language, Word, both, here, noun};
use jiff::SignedDuration;
use p861_core::{
    shown::{self, Shown},
    told::{self as catalogue, word},
};
use p861_crds::Reason;
use std::fmt::Debug;

/// A message of the operator. Nothing that it says is shown but through this: its commands lead back to the district that is meant, and its times are the district's.
pub fn told(message: &str) -> Bilingual {
    both(here(message), here(&catalogue::in_chinese(message)))
}

/// A message whose command is shown beside it: `said` is its part before the command.
pub fn told_without_command(message: &str, said: &str) -> Bilingual {
    let chinese = catalogue::in_chinese(message);
    let command = message.get(said.len()..).unwrap_or_default().trim_start_matches([':', ';', ' ']);
    match chinese.strip_suffix(command) {
        _ if said.is_empty() => Bilingual::default(),
        Some(before) => both(here(said), here(before.trim_end_matches(['：', '；', ' ']))),
        None => told(said),
    }
}

/// The text of a reason; none if this version doesn't know it.
pub fn reason(reason: &Reason) -> Option<Word> {
    catalogue::reason(reason).map(|catalogue::Word { en, zh }| Word { en, zh })
}

/// A duration as the API writes it: `9m40s`, `9分40秒`.
pub fn span(duration: &str, language: Language) -> String {
    pick(shown::stated(duration), language)
}

/// A duration that was measured, or is left.
pub fn measured(duration: SignedDuration, language: Language) -> String {
    pick(shown::measured(duration), language)
}

/// A time or a duration in one language.
pub fn pick(shown: Shown, language: Language) -> String {
    match language {
        Language::Zh => shown.zh,
        Language::En => shown.en,
    }
}

/// A value of the API: its own spelling, or its Chinese word.
pub fn value(value: impl Debug + Copy) -> Bilingual {
    let spelled = format!("{value:?}");
    let chinese = word(&spelled).map_or_else(|| spelled.clone(), ToOwned::to_owned);
    both(spelled, chinese)
}

/// `演练 core-20261115-0900`.
pub(super) fn object(kind: &str, name: &str) -> String {
    format!("{} {name}", noun(kind).zh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_without_the_command_that_stands_beside_it() {
        let message = "1 of 4 checks fail (KeyAccess): p861 plan check core";
        let told = told_without_command(message, "1 of 4 checks fail (KeyAccess)");
        assert_eq!((told.en.as_str(), told.zh.as_str()), ("1 of 4 checks fail (KeyAccess)", "4 项检查中 1 项未通过（密钥可用）"));
        assert_eq!(told_without_command("p861 plan check core", ""), Bilingual::default());
        assert_eq!(told_without_command("not selected", "not selected").zh, "未选择", "a message without a command");
    }

    #[test]
    fn what_the_operator_says_is_shown_through_told_alone() {
        fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
            for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if path.is_dir() { sources(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        sources(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut found);
        assert!(found.len() > 80, "only {} files", found.len());
        for path in found.iter().filter(|path| !path.ends_with("text/told.rs")) {
            let source = std::fs::read_to_string(path).expect("a file");
            let around = ["told::in_chinese", "told::{in_chinese", "catalogue::in_chinese"].iter().any(|way| source.contains(way));
            assert!(!around, "{}: its commands don't lead back, and its times are not the reader's: use text::told", path.display());
        }
    }

    #[test]
    fn a_value_without_a_word_keeps_its_spelling() {
        assert_eq!(value(p861_crds::common::ActionKind::Pause).zh, "暂停");
        assert_eq!(value(7).zh, "7");
    }
}
