//! What `--help` prints of every noun and verb, in both languages, against files that a person can read.

use crate::support::{golden, p861};

const NOUNS: [&str; 19] = [
    "status",
    "site",
    "district",
    "profile",
    "platform",
    "app",
    "repository",
    "policy",
    "backup",
    "restore",
    "plan",
    "drill",
    "window",
    "template",
    "ticket",
    "duty",
    "explain",
    "completions",
    "man",
];

/// The verbs that a noun's help lists under its head.
fn verbs(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    section
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

/// A noun's help and that of each of its verbs, as one page.
fn page(language: &str, noun: &str) -> String {
    let help = |words: &[&str]| {
        let said = p861(&[words, &["--lang", language, "--help"]].concat());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{words:?}");
        format!("$ p861 {} --help\n{}\n", words.join(" "), said.out)
    };
    let verbs = verbs(&p861(&[noun, "--lang", "en", "--help"]).out);
    let pages: Vec<String> = verbs.iter().map(|verb| help(&[noun, verb])).collect();
    format!("{}\n{}", help(&[noun]), pages.join("\n"))
}

#[test]
fn the_first_page_lists_the_nouns_and_the_exit_codes() {
    let said = p861(&["--help"]);
    assert_eq!(verbs(&said.out), NOUNS, "a noun without a golden file, or a golden file without a noun");
    golden("help-en", &said.out);
    golden("help-zh", &p861(&["--lang", "zh", "--help"]).out);
}

#[test]
fn every_noun_has_its_help_in_english() {
    for noun in NOUNS {
        golden(&format!("help-en-{noun}"), &page("en", noun));
    }
}

#[test]
fn every_noun_has_its_help_in_chinese() {
    for noun in NOUNS {
        golden(&format!("help-zh-{noun}"), &page("zh", noun));
    }
}

#[test]
fn no_line_of_help_is_wider_than_a_hundred_columns() {
    for language in ["en", "zh"] {
        for noun in NOUNS {
            // clap breaks no usage line.
            for line in page(language, noun).lines().filter(|line| !line.starts_with("Usage:") && !line.starts_with("用法：")) {
                let columns: usize = line.chars().map(|c| if c > '\u{2e80}' { 2 } else { 1 }).sum();
                assert!(columns <= 100, "{noun}, {columns} columns: {line}");
            }
        }
    }
}

/// What a command's own page may not repeat.
const COMMON: [&str; 7] = ["--district", "--namespace <", "--output", "--lang", "--timeout <", "--kubeconfig", "--as-group"];

#[test]
fn fault_h25_each_help_has_examples_and_says_where_the_options_of_every_command_are() {
    for (language, head, foot) in [
        ("en", "\nExamples:\n  # ", "\nOptions of every command, such as -d, -o, --as and --timeout: p861 --help\n"),
        ("zh", "\n示例：\n  # ", "\n各命令通用选项（-d、-o、--as、--timeout 等）见 p861 --help\n"),
    ] {
        let all = p861(&["--lang", language, "--help"]).out;
        assert!(all.contains(head) && !all.contains(foot), "{all}");
        for noun in NOUNS {
            let verbs = verbs(&p861(&[noun, "--lang", "en", "--help"]).out);
            for words in std::iter::once(vec![noun]).chain(verbs.iter().map(|verb| vec![noun, verb.as_str()])) {
                let help = p861(&[words.as_slice(), &["--lang", language, "--help"]].concat()).out;
                assert!(help.contains(head) && help.ends_with(foot), "{words:?}: {help}");
                // Its examples may use them.
                let own = help.split(head).next().unwrap_or_default();
                assert!(COMMON.iter().all(|option| !own.contains(option)), "{words:?}: {help}");
                assert_eq!(help, p861(&[words.as_slice(), &["--lang", language, "-h"]].concat()).out, "-h and --help are one page");
            }
        }
        assert!(COMMON.iter().all(|option| all.contains(option)), "{all}");
    }
}

#[test]
fn a_noun_without_a_verb_shows_its_verbs_and_is_wrong_usage() {
    let said = p861(&["drill"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("Usage: p861 drill [OPTIONS] <COMMAND>"), "{}", said.err);
}

#[test]
fn help_and_version_are_also_words() {
    for (words, options) in [
        (vec!["help"], vec!["--help"]),
        (vec!["help", "drill"], vec!["drill", "--help"]),
        (vec!["drill", "help", "run"], vec!["drill", "run", "--help"]),
        (vec!["version"], vec!["--version"]),
    ] {
        let (said, expected) = (p861(&words), p861(&options));
        assert_eq!((said.code, &said.out, said.err.as_str()), (0, &expected.out, ""), "{words:?}");
    }
    assert_eq!(p861(&["help", "zzz"]).code, 2, "there is nothing to explain");
}

#[test]
fn what_people_type_for_a_command_is_that_command() {
    for (typed, meant) in [
        (["app", "show"], ["app", "status"]),
        (["drill", "status"], ["drill", "show"]),
        (["ticket", "status"], ["ticket", "show"]),
        (["plan", "describe"], ["plan", "show"]),
        (["backup", "create"], ["backup", "now"]),
        (["drill", "start"], ["drill", "run"]),
        (["ticket", "new"], ["ticket", "open"]),
        (["duty", "show"], ["duty", "now"]),
        (["platform", "show"], ["platform", "status"]),
    ] {
        let help = |words: [&str; 2]| p861(&[words[0], words[1], "--help"]).out;
        assert_eq!(help(typed), help(meant), "{typed:?}");
        assert!(!help(meant).is_empty(), "{meant:?}");
    }
}

#[test]
fn the_version_is_one_line_in_both_languages() {
    for language in ["en", "zh"] {
        let said = p861(&["--lang", language, "--version"]);
        assert_eq!((said.code, said.out), (0, format!("p861 {}\n", env!("CARGO_PKG_VERSION"))));
    }
}
