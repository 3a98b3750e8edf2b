//! What the API holds in English or in its own spelling, for a reader of Chinese: messages, durations, values.

use super::{Bilingual, Language, Word, both, noun};
use jiff::SignedDuration;
use p861_core::{
    shown::{self, Shown},
    told::{self as catalogue, in_chinese, word},
};
use p861_crds::Reason;
use std::fmt::Debug;

/// A message of the operator.
pub fn told(message: &str) -> Bilingual {
    both(message, in_chinese(message))
}

/// A message whose command is shown beside it: `said` is its part before the command.
pub fn told_without_command(message: &str, said: &str) -> Bilingual {
    let chinese = in_chinese(message);
    let command = message.get(said.len()..).unwrap_or_default().trim_start_matches([':', ';', ' ']);
    match chinese.strip_suffix(command) {
        _ if said.is_empty() => Bilingual::default(),
        Some(before) => both(said, before.trim_end_matches(['：', '；', ' '])),
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
    fn a_value_without_a_word_keeps_its_spelling() {
        assert_eq!(value(p861_crds::common::ActionKind::Pause).zh, "暂停");
        assert_eq!(value(7).zh, "7");
    }
}
