//! What was typed wrongly, on one line: what it is, and what to type instead.

use super::{Bilingual, both};
use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// One line for a usage error.
pub fn usage(error: &Error, command: &Command) -> Bilingual {
    let what = what(error);
    let usage = usage_of(error);
    let path = path_of(&usage);
    let (en, zh) = instead(error, command, &path);
    if usage.is_empty() {
        return both(format!("{}{en}", what.en), format!("{}{zh}", what.zh));
    }
    both(format!("{}{en}: type {usage}; more: {path} --help", what.en), format!("{}{zh}：请输入 {usage}；详见 {path} --help", what.zh))
}

fn what(error: &Error) -> Bilingual {
    let value = |kind| text_of(error.get(kind)).unwrap_or_default();
    let (argument, given) = (value(ContextKind::InvalidArg), value(ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => both(format!("there is no option {argument}"), format!("没有选项 {argument}")),
        ErrorKind::UnknownArgument => both(format!("{argument} is one word too many"), format!("多余的参数 {argument}")),
        ErrorKind::InvalidSubcommand => {
            let word = value(ContextKind::InvalidSubcommand);
            both(format!("there is no command {word}"), format!("没有命令 {word}"))
        }
        ErrorKind::MissingRequiredArgument => both(format!("{argument} is missing"), format!("缺少 {argument}")),
        ErrorKind::InvalidValue if given.is_empty() => both(format!("{argument} is given without a value"), format!("{argument} 没有给出值")),
        ErrorKind::InvalidValue => both(format!("{argument}: {given} is none of its values"), format!("{argument}：{given} 不是可用的值")),
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            both(format!("{argument}: {why}"), format!("{argument}：{why}"))
        }
        ErrorKind::ArgumentConflict => {
            let other = value(ContextKind::PriorArg);
            both(format!("{argument} and {other} exclude each other"), format!("{argument} 与 {other} 不能同时使用"))
        }
        // The first line says what it is; the others are of no use on one line.
        _ => Bilingual::same(error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ")),
    }
}

/// What could have been meant: what clap suggests, else what there is.
fn instead(error: &Error, command: &Command, path: &str) -> (String, String) {
    let suggested = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue].into_iter().find_map(|kind| text_of(error.get(kind)));
    if let Some(meant) = suggested {
        return (format!(", perhaps {meant}"), format!("，是否想用 {meant}"));
    }
    let there = match error.kind() {
        ErrorKind::InvalidValue => text_of(error.get(ContextKind::ValidValue)),
        ErrorKind::InvalidSubcommand => Some(verbs(command, path)).filter(|verbs| !verbs.is_empty()),
        _ => None,
    };
    there.map_or_else(Default::default, |there| (format!(", there are {there}"), format!("，可用的有 {there}")))
}

/// The commands under a path such as `p861 drill`.
fn verbs(command: &Command, path: &str) -> String {
    let root = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut at = command;
    for word in path.strip_prefix(&root).unwrap_or_default().split_whitespace() {
        match at.find_subcommand(word) {
            Some(inner) => at = inner,
            None => return String::new(),
        }
    }
    at.get_subcommands().filter(|inner| !inner.is_hide_set()).map(Command::get_name).collect::<Vec<_>>().join(", ")
}

/// `p861 drill run [OPTIONS] <PLAN>`.
fn usage_of(error: &Error) -> String {
    let usage = text_of(error.get(ContextKind::Usage)).unwrap_or_default();
    let usage = usage.trim_start_matches("Usage:").trim();
    usage.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `p861 drill run`.
fn path_of(usage: &str) -> String {
    usage.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_alphanumeric())).collect::<Vec<_>>().join(" ")
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
        let error = args::parse(words.iter().map(std::ffi::OsString::from), Language::En, false).expect_err("it is wrong");
        usage(&error, &args::command(Language::En, false))
    }

    #[test]
    fn a_slip_is_told_on_one_line_with_what_to_type() {
        for (words, expected) in [
            (vec!["p861", "drill", "rnu"], "there is no command rnu, perhaps run: type p861 drill [OPTIONS] <COMMAND>; more: p861 drill --help"),
            (vec!["p861", "drill", "run"], "<PLAN> is missing: type p861 drill run <PLAN>; more: p861 drill run --help"),
            (vec!["p861", "drill", "run", "core", "--type", "Live"], "--type <TYPE>: Live is none of its values, there are Isolated, Tabletop: type p861 drill run <PLAN>; more: p861 drill run --help"),
            (vec!["p861", "status", "-d", "a", "-n", "b"], "--district <DISTRICT> and --namespace <NAMESPACE> exclude each other: type p861 status [OPTIONS]; more: p861 status --help"),
        ] {
            let told = told(&words);
            assert!(told.en == expected || words.contains(&"Live") && told.en.starts_with("--type <TYPE>: Live is none"), "{words:?}: {}", told.en);
            assert!(!told.en.contains('\n') && !told.zh.is_ascii(), "{told:?}");
        }
    }

    #[test]
    fn an_unknown_noun_is_answered_with_those_that_there_are() {
        let told = told(&["p861", "zzz"]);
        assert!(told.en.starts_with("there is no command zzz, there are status, site, district, "), "{}", told.en);
    }
}
