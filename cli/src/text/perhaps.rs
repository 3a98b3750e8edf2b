//! What a mistyped name was perhaps meant to be.

use super::{Bilingual, both};

/// More wrong letters than these are another name.
const MOST_WRONG: usize = 3;

/// The name that looks most like what was typed, if one does: at most a third of its letters are wrong, missing, too many, or in the wrong order.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = typed.chars().count();
    let most = (letters / 3).clamp(1, MOST_WRONG);
    let wrong = |name: &str| strsim::osa_distance(&typed.to_lowercase(), &name.to_lowercase());
    let near = names.into_iter().map(|name| (wrong(name), name)).filter(|(wrong, _)| *wrong <= most && *wrong < letters);
    near.min().map(|(_, name)| name)
}

/// Whether a name looks so much like what was typed that it was perhaps meant, or begins with it.
pub fn is_near(typed: &str, name: &str) -> bool {
    let begins = || typed.chars().count() >= 3 && name.to_lowercase().starts_with(&typed.to_lowercase());
    nearest(typed, [name]).is_some() || begins()
}

/// `, perhaps approval`; nothing if no name looks like what was typed.
pub fn perhaps<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Bilingual {
    nearest(typed, names).map_or_else(Bilingual::default, |name| both(format!(", perhaps {name}"), format!("，是否想用 {name}")))
}

/// What people type who know the thing and not its word: the noun, the word, and what it perhaps means. Where one word means several things, or acts, it is no alias: whoever
/// types it chooses.
#[rustfmt::skip]
const MEANT: &[(&[&str], &[&str], &str)] = &[
    (&[""], &["application", "applications", "service"], "app"),
    (&[""], &["incident", "change", "issue"], "ticket open"),
    (&[""], &["roster", "oncall", "who"], "duty now"),
    (&[""], &["repo", "bucket", "storage"], "repository"),
    (&[""], &["recover", "failover"], "drill run, restore run"),
    (&[""], &["alerts", "reasons"], "explain, ticket list"),
    (&["backup", "drill", "restore"], &["stop", "cancel", "kill", "end", "terminate"], "abort, pause"),
    (&["backup", "drill", "restore"], &["continue", "unpause"], "resume"),
    (&["backup", "drill", "restore"], &["log", "logs", "follow", "wait"], "watch, show"),
    (&["drill"], &["clean", "delete", "destroy", "remove"], "cleanup"),
    (&["drill"], &["keep", "prolong"], "extend"),
    (&["restore"], &["apply", "create", "now", "start"], "run, preview"),
    (&["plan"], &["drill", "run", "start", "test"], "check, drill run"),
    (&["backup", "drill", "plan", "repository", "site", "template", "ticket", "window"], &["get"], "show, list"),
    (&["app"], &["get"], "status, list"),
    (&["district", "profile"], &["show", "status", "get", "describe"], "list"),
    (&["platform"], &["list"], "status"),
    (&["ticket"], &["close", "end", "fix"], "resolve, cancel"),
    (&["ticket"], &["acknowledge", "accept"], "ack"),
    (&["ticket"], &["comment", "report"], "note"),
    (&["ticket"], &["complete", "finish"], "done, resolve"),
    (&["ticket"], &["reject", "deny"], "approve --reject"),
    (&["ticket"], &["abort", "delete", "stop"], "cancel, rollback"),
    (&["ticket"], &["begin", "run"], "start"),
    (&["ticket"], &["claim", "take"], "assign"),
    (&["ticket"], &["history", "log"], "show"),
    (&["ticket"], &["pause"], "suspend"),
    (&["duty"], &["list", "who"], "now"),
    (&["duty"], &["give", "swap"], "handover"),
];

/// What a word that is no command of a noun perhaps means; `noun` is empty where a noun was expected.
pub fn by_meaning(noun: &str, word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let meant = MEANT.iter().find(|(nouns, words, _)| nouns.contains(&noun) && words.contains(&word.as_str()));
    meant.map(|(.., meant)| *meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_word_perhaps_means_is_there_and_the_word_is_not() {
        let root = crate::args::command(crate::text::Language::En, false);
        let is_there =
            |line: &str| line.split_whitespace().take_while(|word| !word.starts_with('-')).try_fold(&root, |at, word| at.find_subcommand(word)).is_some();
        for (nouns, words, meant) in MEANT {
            for noun in *nouns {
                assert!(noun.is_empty() || is_there(noun), "{noun}");
                for word in *words {
                    assert!(!is_there(&format!("{noun} {word}")), "{noun} {word} is a command");
                    assert_eq!(by_meaning(noun, &word.to_uppercase()), Some(*meant), "{noun} {word} stands twice");
                }
                for one in meant.split(", ") {
                    assert!(is_there(&format!("{noun} {one}")) || is_there(one), "{noun}: {one}");
                }
            }
        }
        for (noun, word) in [("drill", "stop"), ("ticket", "close"), ("", "incident")] {
            assert!(by_meaning(noun, word).is_some(), "{noun} {word}");
        }
        assert_eq!(by_meaning("drill", "wacth"), None);
    }

    #[test]
    fn fault_h22_a_name_with_a_slip_is_recognized_and_another_name_is_not() {
        let names = ["approval", "portal", "core", "shinan-core-20261124-0900", "shinan-core-20261125-0900"];
        for (typed, expected) in [
            ("aproval", Some("approval")),
            ("apporval", Some("approval")),
            ("Approval", Some("approval")),
            ("portall", Some("portal")),
            ("cor", Some("core")),
            ("shinan-core-20261125-090", Some("shinan-core-20261125-0900")),
            ("nobody", None),
            ("d", None),
            ("", None),
            ("approval-server", None),
        ] {
            assert_eq!(nearest(typed, names), expected, "{typed}");
        }
    }
}
