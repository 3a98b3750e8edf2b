//! Help without the options that every command has: the first page lists them, and every other page says where they are.

use crate::text::{self, Language};
use clap::{Arg, ArgAction, Command};

/// The command whose help is short, and lists the options of every command on the first page only. `program` is what the first page is called by.
pub fn fold(mut command: Command, language: Language, program: &str) -> Command {
    // Only the built command has them at every noun and verb.
    command.build();
    let where_they_are = text::options_of_every_command(program).pick(language).to_owned();
    short(command, language).mut_subcommands(|noun| fold_below(noun, language, &where_they_are))
}

fn fold_below(command: Command, language: Language, where_they_are: &str) -> Command {
    let foot = command.get_after_help().map_or_else(|| where_they_are.to_owned(), |examples| format!("{examples}\n\n{where_they_are}"));
    short(command, language)
        .after_help(foot)
        .mut_args(|argument| if argument.is_global_set() { argument.hide_short_help(true) } else { argument })
        .mut_subcommands(|verb| fold_below(verb, language, where_they_are))
}

/// `-h` and `--help` print the same page: the long form would give each option four lines, and list the common ones again.
fn short(command: Command, language: Language) -> Command {
    let text = text::print_help().pick(language);
    command.mut_args(|argument: Arg| if argument.get_id() == "help" { argument.action(ArgAction::HelpShort).help(text) } else { argument })
}
