//! What was typed wrongly, on one line: what it is, and what to type instead.

use super::{
    Bilingual, both, by_meaning,
    perhaps::{is_near, nearest},
};
use crate::{
    args::{self, Walk, typed_so_far},
    hub::{place, quoted},
};
use clap::{
    Arg, Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::ffi::OsString;

/// So many slips of one line are put right; whoever makes more types it anew.
const MOST_SLIPS: usize = 4;

/// One line for a usage error. `words` is what was typed.
pub fn usage(error: &Error, mut command: Command, words: &[OsString]) -> Bilingual {
    command.build();
    let words = &args::settled(words);
    let typed = Typed { command: &command, words };
    let Bilingual { en: what, zh: what_zh } = what(error, &typed);
    let lines = meant_lines(error, &typed);
    if is_reason(error) {
        let (en, zh) = of_reasons(error, &lines);
        return both(format!("{what}{en}"), format!("{what_zh}{zh}"));
    }
    let walk = args::walk(&command, words);
    let (en, zh) = instead(error, walk.at, noun(&command, &walk));
    let lines = if lines.is_empty() { vec![form(error, &typed)] } else { lines };
    let help = format!("{} --help", walk.at.get_bin_name().unwrap_or_else(|| walk.at.get_name()));
    let (type_en, type_zh) = (lines.join(" or "), lines.join(" 或 "));
    both(format!("{what}{en}: type {type_en}; more: {help}"), format!("{what_zh}{zh}：请输入 {type_zh}；详见 {help}"))
}

/// A line that was typed, and the program that did not understand it.
struct Typed<'a> {
    command: &'a Command,
    words: &'a [OsString],
}

/// The noun that a verb was looked for in; empty where a noun was expected.
fn noun<'a>(command: &Command, walk: &Walk<'a>) -> &'a str {
    if std::ptr::eq(walk.at, command) { "" } else { walk.at.get_name() }
}

/// The form of the command that was meant, with the options of the place where it was typed.
fn form(error: &Error, typed: &Typed<'_>) -> String {
    // Where something is missing, clap's own line has it in its place.
    let shortest = text_of(error.get(ContextKind::Usage)).filter(|_| error.kind() == ErrorKind::MissingRequiredArgument);
    let usage = shortest.unwrap_or_else(|| args::walk(typed.command, typed.words).at.clone().render_usage().to_string());
    let usage = usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ");
    // Options that exclude each other lead nowhere.
    if error.kind() == ErrorKind::ArgumentConflict { usage } else { usage + &place(&typed_so_far(typed.words)) }
}

/// The whole lines that were perhaps meant: what was typed, with its slip put right. Empty if nothing looks or means like it.
fn meant_lines(error: &Error, typed: &Typed<'_>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for words in put_right(error, typed) {
        let line = whole(typed.command, &words, MOST_SLIPS);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// A line as it can be typed: as it is if it is understood, else with its next slip put right, else the form of what it means.
fn whole(command: &Command, words: &[OsString], slips: usize) -> String {
    let Err(error) = args::understood(command, words) else { return line(command, words) };
    let typed = Typed { command, words };
    match put_right(&error, &typed).into_iter().next() {
        Some(better) if slips > 0 => whole(command, &better, slips - 1),
        _ => form(&error, &typed),
    }
}

/// Words as a shell reads them back, under the name that the program is called by.
fn line(command: &Command, words: &[OsString]) -> String {
    let program = command.get_bin_name().unwrap_or_else(|| command.get_name());
    words.iter().skip(1).fold(program.to_owned(), |line, word| line + " " + &quoted(&word.to_string_lossy()))
}

/// What was typed, each time with another word in the place of the one that is wrong.
fn put_right(error: &Error, typed: &Typed<'_>) -> Vec<Vec<OsString>> {
    let words = typed.words;
    let replaced = |at: usize, with: &str| -> Vec<OsString> {
        words.iter().take(at).cloned().chain([OsString::from(with)]).chain(words.iter().skip(at + 1).cloned()).collect()
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => other_commands(error, typed),
        ErrorKind::UnknownArgument => {
            let (Some(wrong), Some(right)) = (text_of(error.get(ContextKind::InvalidArg)), near(error, ContextKind::SuggestedArg)) else { return Vec::new() };
            // Its value may stand in the same word.
            let is_it = |word: &str| word.strip_prefix(wrong.as_str()).filter(|value| value.is_empty() || value.starts_with('=')).map(ToOwned::to_owned);
            let found = words.iter().enumerate().skip(1).find_map(|(at, word)| Some((at, is_it(word.to_str()?)?)));
            found.map(|(at, value)| replaced(at, &(right + &value))).into_iter().collect()
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let (Some(wrong), Some(right)) = (text_of(error.get(ContextKind::InvalidValue)), near_value(error)) else { return Vec::new() };
            let is_it = |word: &str| word.strip_suffix(wrong.as_str()).filter(|option| option.is_empty() || option.ends_with('=')).map(ToOwned::to_owned);
            let found = words.iter().enumerate().skip(1).rev().find_map(|(at, word)| Some((at, is_it(word.to_str()?)?)));
            found.map(|(at, option)| replaced(at, &(option + &right))).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The same with other commands: what the word means, or else those that look like it.
fn other_commands(error: &Error, typed: &Typed<'_>) -> Vec<Vec<OsString>> {
    let walk = args::walk(typed.command, typed.words);
    let (Some(at), Some(word)) = (walk.stopped, text_of(error.get(ContextKind::InvalidSubcommand))) else { return Vec::new() };
    let others = by_meaning(noun(typed.command, &walk), &word).map(ToOwned::to_owned).or_else(|| near(error, ContextKind::SuggestedSubcommand));
    let mut lines = Vec::new();
    for other in others.iter().flat_map(|others| others.split(", ")) {
        let parts: Vec<&str> = other.split(' ').collect();
        // A verb of this noun, or another noun in its place.
        let is_of_noun = parts.first().is_some_and(|first| walk.at.find_subcommand(first).is_some());
        let dropped = if is_of_noun { None } else { walk.named.last().copied() };
        let kept = |(index, word): (usize, &OsString)| -> Vec<OsString> {
            if index == at {
                parts.iter().map(OsString::from).collect()
            } else if Some(index) == dropped {
                Vec::new()
            } else {
                vec![word.clone()]
            }
        };
        lines.push(typed.words.iter().enumerate().flat_map(kept).collect());
    }
    lines
}

/// What looks like the wrong word, of what clap has found, the most alike first and separated by commas. clap takes what shares some letters for alike, and puts the most
/// alike last.
fn near(error: &Error, kind: ContextKind) -> Option<String> {
    let wrong = match kind {
        ContextKind::SuggestedSubcommand => ContextKind::InvalidSubcommand,
        _ => ContextKind::InvalidArg,
    };
    let (wrong, found) = (text_of(error.get(wrong))?, text_of(error.get(kind))?);
    let near: Vec<&str> = found.rsplit(", ").filter(|name| is_near(wrong.trim_start_matches('-'), name.trim_start_matches('-'))).collect();
    (!near.is_empty()).then(|| near.join(", "))
}

/// The value that was perhaps meant: of a list, a reason, or a kind of object.
fn near_value(error: &Error) -> Option<String> {
    let given = text_of(error.get(ContextKind::InvalidValue)).filter(|given| !given.is_empty())?;
    if is_reason(error) {
        let begin: Vec<&str> = args::explainable_names().filter(|name| is_near(&given, name)).collect();
        let only = if let [only] = begin.as_slice() { Some(*only) } else { None };
        return nearest(&given, args::explainable_names()).or(only).map(ToOwned::to_owned);
    }
    let argument = text_of(error.get(ContextKind::InvalidArg))?;
    if is_of_kinds(&argument) {
        let (word, rest) = given.split_at(given.find(['.', '/']).unwrap_or(given.len()));
        return args::nearest_kind(word).filter(|kind| !kind.eq_ignore_ascii_case(word)).map(|kind| format!("{kind}{rest}"));
    }
    text_of(error.get(ContextKind::SuggestedValue)).filter(|name| is_near(&given, name))
}

/// Whether an argument takes kinds of objects.
fn is_of_kinds(argument: &str) -> bool {
    argument.contains("[KIND]") || argument.contains("<KIND[.GROUP][/NAME]>")
}

/// What there is to say of a reason or an alert that nobody knows: one thing.
fn of_reasons(error: &Error, lines: &[String]) -> (String, String) {
    match (lines, near_value(error)) {
        ([line, ..], Some(other)) => (format!(", perhaps {other}: type {line}"), format!("，是否想用 {other}：请输入 {line}")),
        _ if is_alert(error) => (": runbooks/README.md lists all".to_owned(), "：全部告警见 runbooks/README.md".to_owned()),
        _ => (": p861 explain lists all".to_owned(), "：可用 p861 explain 列出全部".to_owned()),
    }
}

/// Whether what can't be explained is called like an alert.
fn is_alert(error: &Error) -> bool {
    text_of(error.get(ContextKind::InvalidValue)).is_some_and(|given| given.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("P861")))
}

/// A word that begins with a sign and a digit is a value, and no option: the argument that it is of, and why it is no value of it.
fn refused_value(error: &Error, typed: &Typed<'_>) -> Option<(String, String, String)> {
    let start = text_of(error.get(ContextKind::InvalidArg)).filter(|start| start.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit()))?;
    let (at, word) = typed.words.iter().enumerate().skip(1).find_map(|(at, word)| Some((at, word.to_str().filter(|word| word.starts_with(&start))?)))?;
    let why = |argument: &Arg| {
        let alone = Arg::new("value").value_parser(argument.get_value_parser().clone()).allow_hyphen_values(true);
        let refused = Command::new("alone").no_binary_name(true).arg(alone).try_get_matches_from([word]).err()?;
        Some(std::error::Error::source(&refused)?.to_string())
    };
    let command = args::walk(typed.command, typed.words).at;
    let before = typed.words.get(at - 1).and_then(|word| word.to_str()).and_then(|word| word.strip_prefix("--"));
    let of_option = command.get_arguments().find(|argument| argument.get_long().is_some() && argument.get_long() == before);
    let (argument, why) = match of_option {
        Some(argument) => (argument, why(argument)?),
        None => command.get_positionals().find_map(|argument| Some((argument, why(argument)?)))?,
    };
    Some((argument.to_string(), word.to_owned(), why))
}

fn what(error: &Error, typed: &Typed<'_>) -> Bilingual {
    let value = |kind| text_of(error.get(kind)).unwrap_or_default();
    let (argument, given) = (value(ContextKind::InvalidArg), value(ContextKind::InvalidValue));
    let refused = |argument: &str, given: &str, why: String| {
        let said = in_chinese(argument, given).unwrap_or_else(|| why.clone());
        both(format!("{argument}: {why}"), format!("{argument}：{said}"))
    };
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => match refused_value(error, typed) {
            Some((argument, given, why)) => refused(&argument, &given, why),
            None => both(format!("there is no option {argument}"), format!("没有选项 {argument}")),
        },
        ErrorKind::UnknownArgument => both(format!("unexpected argument {argument}"), format!("多余的参数 {argument}")),
        ErrorKind::InvalidSubcommand => {
            let word = value(ContextKind::InvalidSubcommand);
            both(format!("there is no command {word}"), format!("没有命令 {word}"))
        }
        ErrorKind::MissingSubcommand => both("a command is missing", "缺少命令"),
        ErrorKind::MissingRequiredArgument => both(format!("{argument} is missing"), format!("缺少 {argument}")),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if given.is_empty() => {
            both(format!("{argument} is given without a value"), format!("{argument} 缺少值"))
        }
        ErrorKind::InvalidValue if is_reason(error) && is_alert(error) => both(format!("there is no alert {given}"), format!("没有告警 {given}")),
        ErrorKind::InvalidValue if is_reason(error) => both(format!("there is no reason {given}"), format!("没有原因 {given}")),
        ErrorKind::InvalidValue => both(format!("{argument}: {given} is not a valid value"), format!("{argument}：{given} 不是可用的值")),
        ErrorKind::ValueValidation => refused(&argument, &given, std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()),
        ErrorKind::ArgumentConflict => {
            let other = value(ContextKind::PriorArg);
            both(format!("{argument} and {other} exclude each other"), format!("{argument} 与 {other} 不能同时使用"))
        }
        // The first line says what it is; the others are of no use on one line.
        _ => Bilingual::same(error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ")),
    }
}

/// What a value must be, by what the argument calls it.
fn in_chinese(argument: &str, given: &str) -> Option<String> {
    let form = [
        ("<DURATION>", "时长：请写作 15m 或 1h30m，单位为 h、m、s、ms"),
        ("<FROM=TO>", "命名空间映射：请写作 shinan-approval=shinan-approval-look"),
        ("<CLAIM[:/PATH]>", "文件选择：请写作 site-files 或 site-files:/news/2026"),
        ("<PATH>", "绝对路径：请写作 /news/2026"),
        ("<NUMBER>", "可用的整数：范围见该命令的帮助"),
    ];
    if is_of_kinds(argument) {
        let meant = crate::args::kind_that_looks_like(given).zh;
        return Some(format!("{given} 不是对象类型{meant}：请写作 ConfigMap，或按清单写作 KIND.GROUP，例如 Widget.demo.example"));
    }
    form.iter().find(|(name, _)| argument.contains(name)).map(|(_, form)| format!("{given} 不是{form}"))
}

/// What could have been meant: what the word means, or what looks like it, else what there is.
fn instead(error: &Error, meant: &Command, noun: &str) -> (String, String) {
    let by_meaning = text_of(error.get(ContextKind::InvalidSubcommand)).and_then(|word| by_meaning(noun, &word)).map(ToOwned::to_owned);
    let looks_like = || near(error, ContextKind::SuggestedSubcommand).or_else(|| near(error, ContextKind::SuggestedArg));
    // Values are few: all of them say more than the one that looks like what was typed.
    if let Some(other) = by_meaning.or_else(looks_like) {
        return (format!(", perhaps {other}"), format!("，是否想用 {other}"));
    }
    let verbs = || meant.get_subcommands().filter(|inner| !inner.is_hide_set()).map(Command::get_name).collect::<Vec<_>>().join(", ");
    let there = match error.kind() {
        ErrorKind::InvalidValue => text_of(error.get(ContextKind::ValidValue)),
        ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand => Some(verbs()).filter(|verbs| !verbs.is_empty()),
        _ => None,
    };
    there.map_or_else(Default::default, |there| (format!("; available: {there}"), format!("，可用的有 {there}")))
}

/// Whether it is about the reason of `p861 explain`.
fn is_reason(error: &Error) -> bool {
    text_of(error.get(ContextKind::InvalidArg)).is_some_and(|argument| argument == "[REASON]")
}

fn text_of(value: Option<&ContextValue>) -> Option<String> {
    match value? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if texts.is_empty() => None,
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args, text::Language};

    fn told(words: &[&str]) -> Bilingual {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let error = args::parse(words.clone(), Language::En, false).expect_err("it is wrong");
        usage(&error, args::command(Language::En, false), &words)
    }

    #[test]
    fn a_slip_is_told_on_one_line_with_what_to_type() {
        for (words, expected) in [
            (vec!["p861", "drill", "wacth"], "there is no command wacth, perhaps watch: type p861 drill watch <NAME>; more: p861 drill --help"),
            (
                vec!["p861", "drill", "stop", "d"],
                "there is no command stop, perhaps abort, pause: type p861 drill abort d or p861 drill pause d; more: p861 drill --help",
            ),
            (
                vec!["p861", "ticket", "close", "t"],
                "there is no command close, perhaps resolve, cancel: type p861 ticket resolve t or p861 ticket cancel t; more: p861 ticket --help",
            ),
            (
                vec!["p861", "-d", "shinan", "--as", "li", "drill", "run"],
                "<PLAN> is missing: type p861 drill run <PLAN> -d shinan --as li; more: p861 drill run --help",
            ),
            (
                vec!["p861", "incident", "The portal is down"],
                "there is no command incident, perhaps ticket open: type p861 ticket open 'The portal is down'; more: p861 --help",
            ),
            (
                vec!["p861", "-d", "shinan", "ap", "status", "approval"],
                "there is no command ap, perhaps app: type p861 -d shinan app status approval; more: p861 --help",
            ),
            (
                vec!["p861", "-d", "ap", "ap", "status", "approval"],
                "there is no command ap, perhaps app: type p861 -d ap app status approval; more: p861 --help",
            ),
            (
                vec!["p861", "drlil", "runn", "core", "--tpye=Tabletop", "-d", "shinan"],
                "there is no command drlil, perhaps drill: type p861 drill run core --type=Tabletop -d shinan; more: p861 --help",
            ),
            (
                vec!["p861", "plan", "test", "core"],
                "there is no command test, perhaps check, drill run: type p861 plan check core or p861 drill run core; more: p861 plan --help",
            ),
            (
                vec!["p861", "--lang", "en", "drill", "run", "core", "--keep-fro", "1h"],
                "there is no option --keep-fro, perhaps --keep-for: type p861 --lang en drill run core --keep-for 1h; more: p861 drill run --help",
            ),
            (
                vec!["p861", "restore", "run", "b", "--resource", "Confgmap/settings"],
                "--resource <KIND[.GROUP][/NAME]>: Confgmap is no kind, perhaps ConfigMap; write a kind of the cluster, for example ConfigMap, or KIND.GROUP as in the manifests, for example Widget.demo.example: type p861 restore run b --resource ConfigMap/settings; more: p861 restore run --help",
            ),
            (vec!["p861", "drill", "run"], "<PLAN> is missing: type p861 drill run <PLAN>; more: p861 drill run --help"),
            (
                vec!["p861", "restore", "run", "b", "--yes"],
                "--backup <NAME> is missing: type p861 restore run --backup <NAME> --yes <BACKUP>; more: p861 restore run --help",
            ),
            (
                vec!["p861", "drill", "run", "core", "--tpye"],
                "there is no option --tpye, perhaps --type: type p861 drill run [OPTIONS] <PLAN>; more: p861 drill run --help",
            ),
            (
                vec!["p861", "drill", "run", "core", "--type", "Live"],
                "--type <TYPE>: Live is not a valid value; available: Isolated, Tabletop: type p861 drill run [OPTIONS] <PLAN>; more: p861 drill run --help",
            ),
            (vec!["p861", "-d", "shinan", "explain", "KeyWrogn"], "there is no reason KeyWrogn, perhaps KeyWrong: type p861 -d shinan explain KeyWrong"),
            (vec!["p861", "explain", "P861DrillFaild"], "there is no alert P861DrillFaild, perhaps P861DrillFailed: type p861 explain P861DrillFailed"),
            (vec!["p861", "explain", "zzz"], "there is no reason zzz: p861 explain lists all"),
            (vec!["p861", "explain", "P861Foo"], "there is no alert P861Foo: runbooks/README.md lists all"),
            (vec!["p861", "drill", "list", "a", "b"], "unexpected argument b: type p861 drill list [OPTIONS] [PLAN]; more: p861 drill list --help"),
            (
                vec!["p861", "restore", "run", "b", "--files"],
                "--files <CLAIM[:/PATH]> is given without a value: type p861 restore run [OPTIONS] <BACKUP>; more: p861 restore run --help",
            ),
            (
                vec!["p861", "status", "-d", "a", "-n", "b"],
                "--district <DISTRICT> and --namespace <NAMESPACE> exclude each other: type p861 status [OPTIONS]; more: p861 status --help",
            ),
        ] {
            let told = told(&words);
            assert_eq!(told.en, expected, "{words:?}");
            assert!(!told.zh.is_ascii() && !told.zh.contains('\n'), "{told:?}");
        }
    }

    #[test]
    fn an_unknown_noun_is_answered_with_those_that_there_are() {
        let told = told(&["p861", "zzz"]);
        assert!(told.en.starts_with("there is no command zzz; available: status, site, district, "), "{}", told.en);
    }

    #[test]
    fn a_place_without_a_command_is_answered_with_the_commands() {
        let told = told(&["p861", "-d", "shinan"]);
        assert!(told.en.starts_with("a command is missing; available: status, site, "), "{}", told.en);
    }

    #[test]
    fn a_duration_that_is_none_says_how_one_is_written() {
        let told = told(&["p861", "drill", "extend", "d", "3d"]);
        assert!(told.en.contains("for example 15m or 1h30m: type p861 drill extend"), "{}", told.en);
    }

    /// Every argument of every command that takes a duration or a number, with the words that lead to it.
    fn measures(command: &Command, path: &[String], found: &mut Vec<(Vec<String>, Arg)>) {
        let is_one = |argument: &&Arg| argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "DURATION" || name == "NUMBER"));
        found.extend(command.get_arguments().filter(is_one).map(|argument| (path.to_vec(), argument.clone())));
        for inner in command.get_subcommands() {
            measures(inner, &[path, &[inner.get_name().to_owned()]].concat(), found);
        }
    }

    #[test]
    fn a_duration_or_a_number_with_a_sign_is_no_option_and_is_told_as_what_it_is() {
        let mut found = Vec::new();
        measures(&args::command(Language::En, false), &["p861".to_owned()], &mut found);
        let mut seen = 0;
        for (path, argument) in found {
            let is_number = argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "NUMBER"));
            let value = if is_number { "-3" } else { "-5m" };
            let mut words: Vec<&str> = path.iter().map(String::as_str).collect();
            let option = argument.get_long().map(|long| format!("--{long}"));
            match &option {
                // What else the command needs is asked for later: a slip is told first.
                Some(option) => words.extend([option.as_str(), value]),
                None => words.extend(["d", value]),
            }
            if words.len() == 3 {
                // An option of every command, before any.
                words.push("status");
            }
            seen += 1;
            let told = told(&words);
            let why = if is_number { "-3 is not in 1..=31" } else { "\"-5m\" is not a duration: a number was expected" };
            let name = option.as_deref().unwrap_or("<DURATION>");
            assert!(told.en.starts_with(name) && told.en.contains(why), "{words:?}: {}", told.en);
            assert!(told.zh.contains(value) && !told.zh.contains("is not"), "{words:?}: {}", told.zh);
        }
        assert!(seen >= 7, "only {seen} arguments");
    }
}
