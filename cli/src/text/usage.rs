//! What was typed wrongly, on one line: what it is, and what to type instead.

use super::{Bilingual, both, by_meaning};
use crate::{args::typed_so_far, hub::place};
use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::ffi::OsString;

/// One line for a usage error. `words` is what was typed.
pub fn usage(error: &Error, mut command: Command, words: &[OsString]) -> Bilingual {
    command.build();
    let meant = meant(&command, words);
    let what = what(error);
    let noun = if std::ptr::eq(meant, &raw const command) { "" } else { meant.get_name() };
    let (en, zh) = instead(error, meant, noun);
    // Where something is missing, clap's own line has it in its place.
    let shortest = text_of(error.get(ContextKind::Usage)).filter(|_| error.kind() == ErrorKind::MissingRequiredArgument);
    let usage = shortest.unwrap_or_else(|| meant.clone().render_usage().to_string());
    let usage = usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ");
    // Options that exclude each other lead nowhere.
    let place = if error.kind() == ErrorKind::ArgumentConflict { String::new() } else { place(&typed_so_far(words)) };
    let help = format!("{} --help", meant.get_bin_name().unwrap_or_else(|| meant.get_name()));
    both(format!("{}{en}: type {usage}{place}; more: {help}", what.en), format!("{}{zh}：请输入 {usage}{place}；详见 {help}", what.zh))
}

/// The innermost command that the words name.
fn meant<'a>(command: &'a Command, words: &[OsString]) -> &'a Command {
    words.iter().skip(1).fold(command, |at, word| at.find_subcommand(word).unwrap_or(at))
}

fn what(error: &Error) -> Bilingual {
    let value = |kind| text_of(error.get(kind)).unwrap_or_default();
    let (argument, given) = (value(ContextKind::InvalidArg), value(ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => both(format!("there is no option {argument}"), format!("没有选项 {argument}")),
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
        ErrorKind::InvalidValue if is_reason(error) => both(format!("there is no reason {given}"), format!("没有原因 {given}")),
        ErrorKind::InvalidValue => both(format!("{argument}: {given} is not a valid value"), format!("{argument}：{given} 不是可用的值")),
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            let said = in_chinese(&argument, &given).unwrap_or_else(|| why.clone());
            both(format!("{argument}: {why}"), format!("{argument}：{said}"))
        }
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
    ];
    if argument.contains("[KIND]") || argument.contains("<KIND[.GROUP][/NAME]>") {
        let meant = crate::args::kind_that_looks_like(given).zh;
        return Some(format!("{given} 不是对象类型{meant}：请写作 ConfigMap，或按清单写作 KIND.GROUP，例如 Widget.demo.example"));
    }
    form.iter().find(|(name, _)| argument.contains(name)).map(|(_, form)| format!("{given} 不是{form}"))
}

/// What could have been meant: what the word means, or what clap suggests, else what there is.
fn instead(error: &Error, meant: &Command, noun: &str) -> (String, String) {
    if let Some(other) = text_of(error.get(ContextKind::InvalidSubcommand)).and_then(|word| by_meaning(noun, &word)) {
        return (format!(", perhaps {other}"), format!("，是否想用 {other}"));
    }
    let suggested =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue].into_iter().find_map(|kind| text_of(error.get(kind)));
    // Values are few: all of them say more than the one that looks like what was typed. Reasons are many.
    if let Some(other) = suggested.filter(|_| error.kind() != ErrorKind::InvalidValue || is_reason(error)) {
        return (format!(", perhaps {other}"), format!("，是否想用 {other}"));
    }
    if is_reason(error) {
        return ("; p861 explain lists all".to_owned(), "，可用 p861 explain 列出全部".to_owned());
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
            (vec!["p861", "drill", "wacth"], "there is no command wacth, perhaps watch: type p861 drill [OPTIONS] <COMMAND>; more: p861 drill --help"),
            (
                vec!["p861", "drill", "stop", "d"],
                "there is no command stop, perhaps abort, pause: type p861 drill [OPTIONS] <COMMAND>; more: p861 drill --help",
            ),
            (
                vec!["p861", "ticket", "close", "t"],
                "there is no command close, perhaps resolve, cancel: type p861 ticket [OPTIONS] <COMMAND>; more: p861 ticket --help",
            ),
            (
                vec!["p861", "-d", "shinan", "--as", "li", "drill", "run"],
                "<PLAN> is missing: type p861 drill run <PLAN> -d shinan --as li; more: p861 drill run --help",
            ),
            (vec!["p861", "incident"], "there is no command incident, perhaps ticket open: type p861 [OPTIONS] <COMMAND>; more: p861 --help"),
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
            (
                vec!["p861", "explain", "KeyWrogn"],
                "there is no reason KeyWrogn, perhaps KeyWrong: type p861 explain [OPTIONS] [REASON]; more: p861 explain --help",
            ),
            (vec!["p861", "explain", "zzz"], "there is no reason zzz; p861 explain lists all: type p861 explain [OPTIONS] [REASON]; more: p861 explain --help"),
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
}
