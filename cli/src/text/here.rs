//! What the operator says, as it holds where it is read: its commands lead back to the district that is meant, and its times are that district's.

use crate::args;
use jiff::{Timestamp, tz::TimeZone};
use p861_core::shown;
use regex::{Captures, Regex};
use std::sync::{LazyLock, OnceLock};

/// Where the person is. A process asks one hub about one place.
#[derive(Debug)]
struct Here {
    /// The options that lead to the district.
    place: String,
    /// The district's time zone.
    zone: TimeZone,
}

static HERE: OnceLock<Here> = OnceLock::new();

/// Says where the person is, once that is known.
pub fn settle(place: &str, zone: TimeZone) {
    // A second place would be a second hub, which no command asks.
    let _ = HERE.set(Here { place: place.to_owned(), zone });
}

/// What the operator says, for a reader who is here.
pub fn here(text: &str) -> String {
    HERE.get().map_or_else(|| text.to_owned(), |here| local(&placed(text, &here.place), Timestamp::now(), &here.zone))
}

/// A command of this program in a sentence: words up to what no word of a command begins or ends with.
static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
    let (edge, inner) = ("[A-Za-z0-9_@=+%/-]", "[A-Za-z0-9_@=+%/.:-]");
    pattern(&format!("p861((?: {edge}(?:{inner}*{edge})?)+)"))
});
/// A time as programs write it.
static TIME: LazyLock<Regex> = LazyLock::new(|| pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?Z"));

#[expect(clippy::expect_used, reason = "the patterns are this file's, and its tests use both")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// The text with the options of a place behind each command in it.
fn placed(text: &str, place: &str) -> String {
    if place.is_empty() {
        return text.to_owned();
    }
    let with_place = |found: &Captures<'_>| {
        let all = &found[0];
        command_in(all).map_or_else(|| all.to_owned(), |command| format!("{command}{place}{}", all.get(command.len()..).unwrap_or_default()))
    };
    COMMAND.replace_all(text, with_place).into_owned()
}

/// The command that the words begin with: the longest that is understood, else a noun and a verb of which something is left out.
pub fn command_in(words: &str) -> Option<&str> {
    let ends = words.match_indices(' ').map(|(at, _)| at).chain([words.len()]).skip(1);
    let prefixes: Vec<&str> = ends.filter_map(|end| words.get(..end)).collect();
    let whole = prefixes.iter().rev().find(|prefix| args::understands(prefix));
    whole.or_else(|| prefixes.iter().rev().find(|prefix| args::names_verb(prefix))).copied()
}

/// The text with its times in a zone, without what is finer than a second.
fn local(text: &str, now: Timestamp, zone: &TimeZone) -> String {
    let written = |found: &Captures<'_>| found[0].parse().map_or_else(|_| found[0].to_owned(), |time| shown::moment(time, now, zone));
    TIME.replace_all(text, written).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::told::pairs;

    #[test]
    fn each_command_in_what_the_operator_says_leads_back_to_the_district() {
        for (said, expected) in [
            (
                "change t1 is under way: wait for its end (p861 ticket show t1), and run the drill anew",
                "change t1 is under way: wait for its end (p861 ticket show t1 -d shinan), and run the drill anew",
            ),
            ("use another backup (p861 backup list). Put it back", "use another backup (p861 backup list -d shinan). Put it back"),
            ("节点 n1 已排空。完成作业后执行：p861 ticket done t1", "节点 n1 已排空。完成作业后执行：p861 ticket done t1 -d shinan"),
            ("可用 p861 backup list 查看；或 p861 drill abort d1", "可用 p861 backup list -d shinan 查看；或 p861 drill abort d1 -d shinan"),
            ("when none fires any more, p861 ticket resolve", "when none fires any more, p861 ticket resolve -d shinan"),
            ("p861 restore run b1 --map NAMESPACE=OTHER: it counts again", "p861 restore run b1 --map NAMESPACE=OTHER -d shinan: it counts again"),
            ("upgrade chart p861 on the site", "upgrade chart p861 on the site"),
            ("nothing is said of commands", "nothing is said of commands"),
        ] {
            assert_eq!(placed(said, " -d shinan"), expected);
            assert_eq!(placed(said, ""), said);
        }
    }

    #[test]
    fn the_times_in_what_the_operator_says_are_the_districts() {
        let zone = TimeZone::get("Asia/Shanghai").expect("the zone is in the program");
        let now = "2026-11-24T03:00:00Z".parse().expect("a time");
        for (said, expected) in [
            ("tried again at 2026-11-24T02:59:04Z", "tried again at 10:59:04"),
            ("was due 2026-11-23T15:00:00.123456Z, and is late", "was due 2026-11-23 23:00:00, and is late"),
            ("应于 2026-11-23T15:00Z。", "应于 2026-11-23 23:00:00。"),
            ("snapshot d-2026-99-23T15:00:00Z", "snapshot d-2026-99-23T15:00:00Z"),
            ("opens Tue 2026-11-24 08:00", "opens Tue 2026-11-24 08:00"),
        ] {
            assert_eq!(local(said, now, &zone), expected);
        }
    }

    #[test]
    fn what_follows_a_command_in_a_message_of_the_operator_is_no_word_of_it() {
        let hole = Regex::new(r"\{[a-z_]+\}").expect("a pattern");
        let (mut seen, mut run_on) = (0, Vec::new());
        for text in pairs().flat_map(|(english, chinese)| [english, chinese]) {
            let text = hole.replace_all(text, "x");
            for found in COMMAND.find_iter(&text) {
                match command_in(found.as_str()) {
                    Some(command) if command == found.as_str() => seen += 1,
                    Some(command) => run_on.push(format!("{command} | {text}")),
                    None => {}
                }
            }
        }
        assert!(seen > 20, "only {seen} commands");
        assert!(run_on.is_empty(), "a mark must stand behind the command:\n{}", run_on.join("\n"));
    }
}
