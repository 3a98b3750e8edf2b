//! Common parts of pages: title, facts, conditions.

use crate::{
    args,
    format::{Line, Table, Tone},
    hub::typed,
    text::{self, Language, Word},
};
use p861_core::quantity;
use p861_crds::{Condition, ConditionType, LocalizedText, Reason, common::Quantity};

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
pub fn condition(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether a condition is False.
pub fn is_bad(condition: &Condition) -> bool {
    condition.status == "False"
}

/// A condition's status as a cell: True, False, Unknown, or - if there is none.
pub fn truth(conditions: &[Condition], kind: ConditionType, language: Language) -> Line {
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

/// Names in a list: `approval, portal`, `approval、portal`.
pub fn listed(names: impl IntoIterator<Item = impl AsRef<str>>, language: Language) -> String {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect::<Vec<_>>().join(text::BETWEEN.pick(language))
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

/// The text of a condition's reason; the reason itself where there is none.
pub fn reason_of(condition: &Condition, language: Language) -> String {
    text::reason(&Reason::from_text(&condition.reason)).map_or_else(|| condition.reason.clone(), |word| word.pick(language).to_owned())
}

/// A quantity as people read sizes; as it is written if it is none.
pub fn size(quantity: &Quantity) -> String {
    quantity::Quantity::parse(&quantity.0).ok().and_then(|parsed| parsed.bytes().ok()).map_or_else(|| quantity.0.clone(), quantity::human_bytes)
}

/// Who is told, where, and about which object.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The reader's language.
    pub language: Language,
    /// The options that lead to the district, see `Hub::place`.
    pub place: &'a str,
    /// The object's name.
    pub name: &'a str,
}

/// Text of a condition, and the command that fixes it if its message ends with one.
///
/// In Chinese, the reason's text comes first, followed by the message; in English only where the message is a single word, such as a name, which says nothing of what is wrong.
pub fn says(condition: &Condition, reader: &Reader<'_>) -> (String, Option<String>) {
    let language = reader.language;
    let (message, command) = split_command(&condition.message, reader.name);
    let command = command.map(|command| typed(&command, reader.place));
    let told = text::told_without_command(&condition.message, message);
    let message = told.pick(language);
    let said = match (language, text::reason(&Reason::from_text(&condition.reason))) {
        (Language::Zh, Some(word)) if message.is_empty() => word.pick(language).to_owned(),
        (Language::Zh, Some(word)) => format!("{}（{message}）", word.pick(language)),
        (Language::En, Some(word)) if message.is_empty() => word.pick(language).to_owned(),
        (Language::En, Some(word)) if is_bad(condition) && !message.contains(' ') => format!("{}: {message}", word.pick(language)),
        (_, None) if message.is_empty() => condition.reason.clone(),
        (Language::En, _) | (Language::Zh, None) => message.to_owned(),
    };
    (said, command)
}

/// Splits `…: p861 plan check shinan-core` into what is said and the command, if this program understands the command, perhaps with the object's name
/// behind it.
pub fn split_command<'a>(message: &'a str, name: &str) -> (&'a str, Option<String>) {
    let at = [": p861 ", "; p861 ", ": kubectl "].iter().filter_map(|mark| message.rfind(mark)).max();
    let (said, command) = match at.and_then(|at| Some((message.get(..at)?, message.get(at + 2..)?))) {
        Some(parts) => parts,
        None if args::understands(message) => ("", message),
        None => return (message, None),
    };
    if command.starts_with("kubectl ") || args::understands(command) {
        return (said, Some(command.to_owned()));
    }
    let named = format!("{command} {name}");
    (said, args::understands(&named).then_some(named))
}

/// The command that explains why a condition is bad, where there is something to do about it.
fn explanation(condition: &Condition) -> Option<String> {
    let (_, said) = text::explain::explain(&Reason::from_text(&condition.reason))?;
    (is_bad(condition) && said.todo.is_act()).then(|| format!("p861 explain {}", condition.reason))
}

/// Conditions, a line each: a mark, the type, what it says, the command. An object without any was not looked at, which is no good news.
pub fn conditions(conditions: &[Condition], reader: &Reader<'_>) -> Vec<Line> {
    let language = reader.language;
    if conditions.is_empty() {
        return vec![Line::toned(Tone::Warn, "! ").with(text::never_looked_at().pick(language))];
    }
    let mut table = Table::bare();
    for condition in conditions {
        let (mark, tone) = match condition.status.as_str() {
            "True" => ("✓", Tone::Good),
            "False" => ("✗", Tone::Bad),
            _ => ("·", Tone::Warn),
        };
        let (said, command) = says(condition, reader);
        let command = command.or_else(|| explanation(condition));
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
        let split = |message| split_command(message, "core");
        assert_eq!(split("1 of 7 checks: p861 plan check shinan-core"), ("1 of 7 checks", Some("p861 plan check shinan-core".into())));
        assert_eq!(split("too old: p861 backup frobnicate portal"), ("too old", None));
        assert_eq!(split("portal: last Probed 2026-11-15"), ("portal: last Probed 2026-11-15", None));
        assert_eq!(split("no: kubectl get pods"), ("no", Some("kubectl get pods".into())));
        assert_eq!(split("p861 plan check shinan-core"), ("", Some("p861 plan check shinan-core".into())), "a message may be nothing but a command");
        assert_eq!(split("never drilled: p861 drill run"), ("never drilled", Some("p861 drill run core".into())), "the object's own name is what is missing");
    }

    #[test]
    fn a_bad_condition_that_names_no_command_names_the_explanation_of_its_reason() {
        let shown = |status: &str, reason: &str, message: &str| {
            let condition = Condition {
                type_: "Ready".into(),
                status: status.into(),
                reason: reason.into(),
                message: message.into(),
                observed_generation: None,
                last_transition_time: p861_crds::Time(jiff::Timestamp::UNIX_EPOCH),
            };
            conditions(&[condition], &Reader { language: Language::En, place: " -d shinan", name: "main" })[0].to_string()
        };
        assert_eq!(shown("False", "KeyWrong", "wrong password"), "✗ Ready  wrong password  p861 explain KeyWrong");
        assert_eq!(shown("False", "KeyWrong", "it is another: p861 repository list"), "✗ Ready  it is another  p861 repository list -d shinan");
        assert_eq!(shown("False", "KeyWrong", "minio-1"), "✗ Ready  wrong password: minio-1  p861 explain KeyWrong", "a name says nothing of what is wrong");
        assert_eq!(shown("False", "BetweenOccurrences", "opens at night"), "✗ Ready  opens at night", "nothing is to be done");
        assert_eq!(shown("Unknown", "NotYet", ""), "· Ready  not yet");
        assert_eq!(shown("False", "FromTheFuture", "who knows"), "✗ Ready  who knows");
    }

    #[test]
    fn fault_h27_a_chinese_reader_gets_the_reasons_text_and_the_message_in_chinese() {
        let condition = Condition {
            type_: "Recoverable".into(),
            status: "False".into(),
            reason: "NeverVerified".into(),
            message: "no backup of portal was ever restored and probed: run a drill of its plan".into(),
            observed_generation: None,
            last_transition_time: p861_crds::Time(jiff::Timestamp::UNIX_EPOCH),
        };
        let reader = |language| Reader { language, place: " -d shinan", name: "portal" };
        assert_eq!(says(&condition, &reader(Language::Zh)).0, "从未验证（portal 尚无经恢复并检查的备份：请演练其预案）");
        assert_eq!(says(&condition, &reader(Language::En)).0, condition.message);
        let named = Condition { message: "the newest backup is older than the RPO of 15m: p861 backup now portal".into(), ..condition };
        assert_eq!(says(&named, &reader(Language::Zh)).0, "从未验证（最近备份已超出 RPO 15分钟）");
        assert_eq!(says(&named, &reader(Language::En)).1.as_deref(), Some("p861 backup now portal -d shinan"), "a command is complete");
    }
}
