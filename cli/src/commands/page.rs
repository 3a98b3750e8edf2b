//! What pages have in common: a title, facts, conditions.

use crate::{
    args,
    format::{Line, Table, Tone},
    text::{self, Language, Word},
};
use p861_crds::{Condition, LocalizedText};

/// Facts of an object, a line each.
pub struct Facts {
    language: Language,
    table: Table,
}

impl Facts {
    /// No facts yet.
    pub fn new(language: Language) -> Self {
        Self { language, table: Table::bare() }
    }

    /// A fact.
    #[must_use]
    pub fn with(mut self, name: Word, value: impl AsRef<str>) -> Self {
        self.table.row(vec![Line::toned(Tone::Dim, name.pick(self.language)), Line::of(value)]);
        self
    }

    /// A fact that may be absent.
    #[must_use]
    pub fn maybe(self, name: Word, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The lines.
    pub fn lines(self) -> Vec<Line> {
        self.table.lines()
    }
}

/// The condition of a type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether a condition is False.
pub fn is_bad(condition: &Condition) -> bool {
    condition.status == "False"
}

/// A condition's status as a cell: True, False, Unknown, or - if there is none.
pub fn truth(conditions: &[Condition], kind: &str, language: Language) -> Line {
    match condition(conditions, kind).map(|condition| condition.status.as_str()) {
        Some("True") => Line::toned(Tone::Good, text::TRUE.pick(language)),
        Some("False") => Line::toned(Tone::Bad, text::FALSE.pick(language)),
        Some(_) => Line::toned(Tone::Warn, text::UNKNOWN.pick(language)),
        None => dash(),
    }
}

/// An absent value.
pub fn dash() -> Line {
    Line::of("-")
}

/// A value that may be absent, as a cell.
pub fn cell(value: Option<impl AsRef<str>>) -> Line {
    value.map_or_else(dash, Line::of)
}

/// Names for people beside a name, in the reader's language first: `Shinan District 市南区`.
pub fn both_names(names: Option<&LocalizedText>, name: &str, language: Language) -> String {
    let Some(names) = names else { return name.to_owned() };
    let (first, second) = match language {
        Language::Zh => (&names.zh, &names.en),
        Language::En => (&names.en, &names.zh),
    };
    let words: Vec<&str> = [first.as_deref(), second.as_deref()].into_iter().flatten().collect();
    if words.is_empty() { name.to_owned() } else { words.join(" ") }
}

/// What a condition says, and the command that mends it if its message ends with one.
///
/// In Chinese the reason's text stands first, and the message, which is English, behind it.
pub fn says(condition: &Condition, language: Language) -> (String, Option<String>) {
    let (message, command) = split_command(&condition.message);
    let said = match (language, text::reason(&condition.reason)) {
        (Language::Zh, Some(word)) if message.is_empty() => word.pick(language).to_owned(),
        (Language::Zh, Some(word)) => format!("{}（{message}）", word.pick(language)),
        (Language::En, Some(word)) if message.is_empty() => word.pick(language).to_owned(),
        (_, None) if message.is_empty() => condition.reason.clone(),
        (Language::En, _) | (Language::Zh, None) => message.to_owned(),
    };
    (said, command)
}

/// Splits `…: p861 plan check shinan-core` into what is said and the command, if this program understands the command.
pub fn split_command(message: &str) -> (&str, Option<String>) {
    let at = [": p861 ", "; p861 ", ": kubectl "].iter().filter_map(|mark| message.rfind(mark)).max();
    let Some((said, command)) = at.and_then(|at| Some((message.get(..at)?, message.get(at + 2..)?))) else { return (message, None) };
    let usable = command.starts_with("kubectl ") || args::understands(command);
    (said, usable.then(|| command.to_owned()))
}

/// Conditions, a line each: a mark, the type, what it says, the command.
pub fn conditions(conditions: &[Condition], language: Language) -> Vec<Line> {
    let mut table = Table::bare();
    for condition in conditions {
        let (mark, tone) = match condition.status.as_str() {
            "True" => ("✓", Tone::Good),
            "False" => ("✗", Tone::Bad),
            _ => ("·", Tone::Warn),
        };
        let (said, command) = says(condition, language);
        let head = Line::toned(tone, mark).with(" ").with(text::condition(&condition.type_).map_or(condition.type_.as_str(), |word| word.pick(language)));
        let mut row = vec![head, Line::of(said)];
        row.extend(command.filter(|_| condition.status != "True").map(|command| Line::toned(Tone::Strong, command)));
        table.row(row);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_cut_off_a_message_only_if_it_can_be_typed() {
        assert_eq!(split_command("1 of 7 checks: p861 plan check shinan-core"), ("1 of 7 checks", Some("p861 plan check shinan-core".into())));
        assert_eq!(split_command("too old: p861 backup frobnicate portal"), ("too old", None));
        assert_eq!(split_command("portal: last Probed 2026-11-15"), ("portal: last Probed 2026-11-15", None));
        assert_eq!(split_command("no: kubectl get pods"), ("no", Some("kubectl get pods".into())));
    }

    #[test]
    fn a_chinese_reader_gets_the_reasons_text_and_the_message() {
        let condition = Condition { type_: "Recoverable".into(), status: "False".into(), reason: "NeverVerified".into(), message: "no Probed backup".into(), observed_generation: None, last_transition_time: p861_crds::Time(jiff::Timestamp::UNIX_EPOCH) };
        assert_eq!(says(&condition, Language::Zh).0, "从未验证（no Probed backup）");
        assert_eq!(says(&condition, Language::En).0, "no Probed backup");
    }
}
