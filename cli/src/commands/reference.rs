//! `p861 reference`: `docs/CLI.md`, from the definition of the commands.

use crate::{
    args,
    exit::ExitStatus,
    printer::Printer,
    text::{self, Language},
};
use clap::{Arg, Command};
use std::fmt::Write as _;

const HEAD: &str = "\
# p861, command by command

Generated from cli/src/args by: make generate. `p861 COMMAND --help` prints the same text, in Chinese with `--lang zh`. Every command also works as `kubectl p861 …`.

`p861 <noun> <verb> [NAME]`. Results go to stdout, messages to stderr. An error is one line that says what happened, to which object, and what to type next.

`-o json` and `-o yaml` print one document: an object, a list, or a run as it stood when the command ended. Only `watch` of a run prints the run at each change: an object
a line as JSON, a document each as YAML.
";

const SAME_CODE: &str = "
An object has one code, whatever the command and the output format: `show` and `watch` of a run end alike, and `show` or `status` of any other object ends with 4 if
`p861 status` names it under NEEDS YOU. ADVICE changes no code. A list ends with 0.
";

/// Prints the page. It is English, as the other references are.
pub fn print(printer: &Printer) -> ExitStatus {
    let mut root = args::command(Language::En, false);
    root.build();
    let mut page = HEAD.to_owned();
    page.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (status, meaning) in text::EXIT_CODES {
        let _ = writeln!(page, "| {} | {meaning} |", status.code());
    }
    page.push_str(SAME_CODE);
    page.push_str("\n## Options of every command\n\n");
    let every: Vec<&Arg> = root.get_arguments().filter(|argument| is_general(argument) && !argument.is_hide_set()).collect();
    page.push_str(&table(&every));
    for noun in visible(&root) {
        let _ = writeln!(page, "\n## p861 {}\n\n{}.", noun.get_name(), about(noun));
        page.push_str(&own_arguments(noun));
        if !noun.has_subcommands() {
            page.push_str(&examples(noun));
        }
        for verb in visible(noun) {
            let _ = write!(
                page,
                "\n### {}\n\n{}.\n\n```\n{}\n```\n",
                usage(verb).split(" [").next().unwrap_or_default().split(" <").next().unwrap_or_default(),
                about(verb),
                usage(verb)
            );
            page.push_str(&own_arguments(verb));
            page.push_str(&examples(verb));
        }
    }
    printer.raw(&page);
    ExitStatus::Good
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set())
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// `p861 drill run [OPTIONS] <PLAN>`.
fn usage(command: &Command) -> String {
    command.clone().render_usage().to_string().trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether an argument belongs to the options of every command.
fn is_general(argument: &Arg) -> bool {
    argument.get_help_heading().is_some()
}

fn own_arguments(command: &Command) -> String {
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !is_general(argument) && !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version"))
        .collect();
    if own.is_empty() { String::new() } else { format!("\n{}", table(&own)) }
}

/// The examples of a command, as its help prints them.
fn examples(command: &Command) -> String {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines: Vec<&str> = text.lines().skip(1).map(str::trim_start).collect();
    if lines.is_empty() { String::new() } else { format!("\n```sh\n{}\n```\n", lines.join("\n")) }
}

fn table(arguments: &[&Arg]) -> String {
    let mut lines = "| argument | meaning |\n|---|---|\n".to_owned();
    for argument in arguments {
        let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        if argument.get_action().takes_values() {
            let possible: Vec<String> = argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
            if !possible.is_empty() && !argument.is_hide_possible_values_set() {
                let _ = write!(meaning, "; one of {}", possible.join(", "));
            }
            let default: Vec<String> = argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
            if !default.is_empty() {
                let _ = write!(meaning, "; {} when absent", default.join(", "));
            }
        }
        let _ = writeln!(lines, "| `{}` | {} |", spelled(argument), meaning.replace('|', "\\|"));
    }
    lines
}

/// `-o, --output FORM`, or `PLAN`.
fn spelled(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .and_then(|names| names.first())
        .map(ToString::to_string)
        .unwrap_or_default();
    if argument.is_positional() {
        return if argument.is_required_set() { value } else { format!("[{value}]") };
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names = [short, long].into_iter().flatten().collect::<Vec<_>>().join(", ");
    if value.is_empty() { names } else { format!("{names} {value}") }
}
