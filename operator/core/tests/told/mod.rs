//! Every message of the operator is told in Chinese, and no English word is left in one.

mod english;
mod source;

use english::{english_words, has_english_stops};
use p861_core::told::{pairs, reason, tell};
use p861_crds::Reason;
use regex::Regex;
use source::{Literal, literals};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Source whose texts are in both languages already, or are no messages: pages of links and reports, rules in CEL, help of metrics, worlds for tests.
const SKIPPED: [&str; 20] = [
    "/tests/",
    "told/",
    "evidence/html",
    "evidence/samples.rs",
    "maintenance/notify.rs",
    "maintenance/links.rs",
    "platform/desired/admission.rs",
    "metrics.rs",
    "main.rs",
    "leader.rs",
    "leader/candidate.rs",
    "server.rs",
    "copy_probe.rs",
    "copy_dns/",
    "fake_hub.rs",
    "http_client/hostile.rs",
    "two_districts",
    "_properties.rs",
    "store/faulty.rs",
    "isolation/names.rs",
];

/// The messages that are not told, one a line. It may only shrink.
const UNTOLD: &str = include_str!("untold.txt");
/// How many there are.
const UNTOLD_COUNT: usize = 48;

fn operator() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The texts with an English word and a space in them, by what they say.
fn messages() -> BTreeMap<String, Literal> {
    let word = Regex::new(r"(?:^|[^\w./-])[a-z']{2,}(?:$|[^\w/(-])").expect("a pattern");
    let hole = Regex::new(r"\{[^{}]*\}").expect("a pattern");
    let is_message = |text: &str| text.trim().contains(' ') && text.is_ascii_or_typographic() && word.is_match(&hole.replace_all(text, ""));
    let folders = ["core/src", "runs/src", "src", "vault/src", "egress/src"];
    let all = folders.iter().flat_map(|folder| {
        literals(&operator().join(folder), &SKIPPED).into_iter().map(move |found| Literal { file: format!("{folder}/{}", found.file), ..found })
    });
    all.filter(|literal| is_message(&literal.text) && !literal.text.contains("</")).map(|literal| (literal.text.clone(), literal)).collect()
}

trait Script {
    /// Whether it has no Chinese.
    fn is_ascii_or_typographic(&self) -> bool;
}

impl Script for str {
    fn is_ascii_or_typographic(&self) -> bool {
        !self.chars().any(|character| ('\u{4e00}'..='\u{9fff}').contains(&character))
    }
}

/// The message with something in its holes. A hole that hangs on a word is for what may follow, and empty here.
fn filled(message: &str, fill: impl Fn(usize) -> String) -> String {
    let hanging = Regex::new(r"([A-Za-z)])\{[^{}]*\}($|[^\w/-])").expect("a pattern");
    let hole = Regex::new(r"\{[^{}]*\}").expect("a pattern");
    let escaped = message.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let escaped = hanging.replace_all(&escaped, "$1$2").into_owned();
    let mut number = 0;
    let text = hole.replace_all(&escaped, |_: &regex::Captures<'_>| {
        number += 1;
        fill(number)
    });
    text.replace('\u{1}', "{").replace('\u{2}', "}").trim_matches([' ', ';', ':', ',']).to_owned()
}

/// Whether it is told without an English word, with names, numbers or workloads in its holes.
fn is_told(message: &str) -> bool {
    let ways: [fn(usize) -> String; 3] = [|number| format!("x{number}"), |number| (number + 2).to_string(), |number| format!("Deployment/x{number}")];
    ways.iter().any(|fill| tell(&filled(message, fill)).foreign_words == 0)
}

#[test]
fn fault_h27_every_message_of_the_operator_is_told_in_chinese() {
    let listed: BTreeSet<&str> = UNTOLD.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let untold: BTreeMap<String, Literal> =
        messages().into_iter().filter(|(text, _)| !is_told(text)).map(|(text, at)| (text.trim().replace('\n', "\\n"), at)).collect();
    let new: Vec<String> =
        untold.iter().filter(|(text, _)| !listed.contains(text.as_str())).map(|(text, at)| format!("{}:{}: {text}", at.file, at.line)).collect();
    assert!(new.is_empty(), "give these a pair in operator/core/src/told:\n{}", new.join("\n"));
    let stale: Vec<&&str> = listed.iter().filter(|text| !untold.contains_key(**text)).collect();
    assert!(stale.is_empty(), "these are told, or gone: remove them from untold.txt: {stale:#?}");
    assert_eq!(listed.len(), UNTOLD_COUNT, "the list of messages that are not told may only shrink");
}

#[test]
fn a_pair_has_the_same_names_in_both_languages_and_no_english_words_in_chinese() {
    let hole = Regex::new(r"\{(\w+)\}").expect("a pattern");
    let names = |text: &'static str| hole.captures_iter(text).map(|found| found[1].to_owned()).collect::<Vec<_>>();
    let mut shapes = BTreeSet::new();
    for (english, chinese) in pairs() {
        let (of_english, of_chinese): (Vec<_>, BTreeSet<_>) = (names(english), names(chinese).into_iter().collect());
        let unique: BTreeSet<_> = of_english.iter().cloned().collect();
        assert_eq!(of_english.len(), unique.len(), "a name stands once in the English text: {english}");
        assert!(of_chinese.is_subset(&unique), "{english}: {of_chinese:?}");
        assert_eq!(english_words(&hole.replace_all(chinese, "")), Vec::<String>::new(), "{chinese}");
        assert!(!has_english_stops(chinese), "a stop as in English: {chinese}");
        let shape = hole.replace_all(english, |found: &regex::Captures<'_>| if &found[1] == "number" { "0" } else { "{}" }).into_owned();
        assert!(shapes.insert(shape), "two pairs have this shape: {english}");
    }
}

#[test]
fn the_text_of_a_reason_has_no_english_words_in_chinese() {
    for known in Reason::ALL {
        let word = reason(known).expect("a text");
        assert_eq!(english_words(word.zh), Vec::<String>::new(), "{known}: {}", word.zh);
    }
}

#[test]
fn each_pair_is_told_by_itself_and_by_no_other() {
    let hole = Regex::new(r"\{(\w+)\}").expect("a pattern");
    // Holes that hang on a word or on each other can't be told apart by names.
    let ambiguous = Regex::new(r"[\w}]\{|\} \{|^\{\w+\} \w+ \{\w+\}$").expect("a pattern");
    for (english, chinese) in pairs().filter(|(english, _)| !ambiguous.is_match(english)) {
        let names: Vec<String> = hole.captures_iter(english).map(|found| found[1].to_owned()).collect();
        let value = |name: &str| {
            let at = names.iter().position(|known| known == name).expect("a name of the English text");
            match name {
                "number" => (at + 3).to_string(),
                "workload_ref" => format!("Deployment/x{}", at + 1),
                _ => format!("x{}", at + 1),
            }
        };
        let fill = |text: &str| hole.replace_all(text, |found: &regex::Captures<'_>| value(&found[1])).into_owned();
        assert_eq!(tell(&fill(english)).chinese, fill(chinese), "{english}");
    }
}

/// What is written or read in the form of a time outside of `shown`: names of runs, folders and tickets, commands, and what people type.
const NO_TEXTS: [&str; 9] = [
    "%H:%M",
    "%Y%m%d",
    "%Y%m%d-%H%M",
    "%Y%m%d-%H%Mz",
    "%Y%m%dT%H%M%SZ",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%:z",
    "restore it as a whole, or, if its data is as it should be: kubectl annotate application {application} --namespace {namespace} --overwrite {WHOLE_SINCE_ANNOTATION}=$(date -u +%Y-%m-%dT%H:%M:%SZ)",
];

#[test]
fn fault_h27_times_for_people_are_written_in_one_place_by_one_rule() {
    let form = Regex::new("%-?[YmdHMSaAbB]|年.*月").expect("a pattern");
    let mut seen = BTreeSet::new();
    for folder in ["core/src", "runs/src", "src", "vault/src", "egress/src", "../cli/src"] {
        for found in literals(&operator().join(folder), &["/tests/", "shown.rs"]).into_iter().filter(|found| form.is_match(&found.text)) {
            assert!(NO_TEXTS.contains(&found.text.as_str()), "{folder}/{}:{}: {:?}: use core::shown", found.file, found.line, found.text);
            seen.insert(found.text);
        }
    }
    assert!(seen.len() > 3, "only {seen:?} were found");
}

#[test]
fn fault_h23_messages_count_things_by_their_nouns() {
    let plural = Regex::new(
        r"(\S+ )?\{[^{}]*\} (alerts|applications|backups|checks|claims|cores|days|files|items|kinds|movers|namespaces|nodes|objects|pods|repositories|roles|sites|snapshots|steps|streams|volumes|workloads)\b",
    )
    .expect("a pattern");
    // `1 of 1 steps` is how progress is counted; a pair of the catalogue of limits is never one.
    let counted = |text: &str| plural.captures_iter(text).any(|found| found.get(1).is_none_or(|before| before.as_str() != "of "));
    let known = [
        "it has {0} objects, and a bundle has at most {MOST_OBJECTS}: divide it into two components",
        "{}.{} cores",
        "or save {its} files while they are in use: {its} {name} in spec.volumes, with method Files",
        "list the {} objects of {}",
    ];
    let found: Vec<String> = messages()
        .into_iter()
        .filter(|(text, at)| !at.file.starts_with("vault") && counted(text) && !known.contains(&text.as_str()))
        .map(|(text, at)| format!("{}:{}: {text}", at.file, at.line))
        .collect();
    assert!(found.is_empty(), "write Noun::….count(number), which knows one from several:\n{}", found.join("\n"));
}
