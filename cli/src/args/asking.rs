//! `p861 help` and `p861 version`: whoever asks so has not read yet that these are options.

use clap::Command;
use std::ffi::OsString;

/// The words with the option in the place of the word that asks: `p861 help drill run` is `p861 drill run --help`.
pub fn as_options(mut words: Vec<OsString>, root: &Command) -> Vec<OsString> {
    match asked(&words, root) {
        Some((at, Asked::Help)) => {
            words.remove(at);
            words.push("--help".into());
        }
        Some((at, Asked::Version)) => {
            words.insert(at, "--version".into());
            words.truncate(at + 1);
        }
        None => {}
    }
    words
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Help,
    Version,
}

/// The first word that stands where a command is expected and asks.
fn asked(words: &[OsString], root: &Command) -> Option<(usize, Asked)> {
    let mut command = root;
    let mut rest = words.iter().enumerate().skip(1);
    while let Some((at, word)) = rest.next() {
        match word.to_str()? {
            "--" => return None,
            option if option.starts_with('-') => {
                if takes_the_next(root, option) {
                    rest.next();
                }
            }
            "help" if command.has_subcommands() => return Some((at, Asked::Help)),
            "version" if std::ptr::eq(command, root) => return Some((at, Asked::Version)),
            name => command = command.find_subcommand(name)?,
        }
    }
    None
}

/// The commands that a line names.
pub struct Walk<'a> {
    /// The innermost one.
    pub at: &'a Command,
    /// Where their names stand.
    pub named: Vec<usize>,
    /// The word that should name another, and names none.
    pub stopped: Option<usize>,
}

/// Finds the commands that a line names, past the options of every command and their values. `root` is a built command.
pub fn walk<'a>(root: &'a Command, words: &[OsString]) -> Walk<'a> {
    let mut found = Walk { at: root, named: Vec::new(), stopped: None };
    let mut rest = words.iter().enumerate().skip(1);
    while let Some((index, word)) = rest.next() {
        let word = word.to_string_lossy();
        if word == "--" {
            break;
        }
        if word.starts_with('-') {
            if takes_the_next(root, &word) {
                rest.next();
            }
            continue;
        }
        let Some(inner) = found.at.find_subcommand(word.as_ref()) else {
            found.stopped = found.at.has_subcommands().then_some(index);
            break;
        };
        found.at = inner;
        found.named.push(index);
    }
    found
}

/// Whether an option of every command has its value in the next word.
fn takes_the_next(root: &Command, option: &str) -> bool {
    let is_it = |argument: &&clap::Arg| match option.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument.get_short().is_some_and(|short| option.strip_prefix('-').is_some_and(|rest| rest.chars().eq([short]))),
    };
    root.get_arguments().find(is_it).is_some_and(|argument| argument.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_that_a_line_names_are_found_past_the_options() {
        let mut root = super::super::grammar();
        root.build();
        for (line, at, named, stopped) in [
            ("p861 -d shinan app status approval", "status", vec![3, 4], None),
            ("p861 -d app ap status approval", "p861", vec![], Some(3)),
            ("p861 --district=shinan drill --lang zh runn core", "drill", vec![2], Some(5)),
            ("p861 drill run --type status core", "run", vec![1, 2], None),
            ("p861 -- drill", "p861", vec![], None),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let found = walk(&root, &words);
            assert_eq!((found.at.get_name(), found.named, found.stopped), (at, named, stopped), "{line}");
        }
    }

    #[test]
    fn help_and_version_are_asked_for_by_a_word_as_by_an_option() {
        for (typed, meant) in [
            ("p861 help", "p861 --help"),
            ("p861 help drill", "p861 drill --help"),
            ("p861 help drill run", "p861 drill run --help"),
            ("p861 drill help", "p861 drill --help"),
            ("p861 drill help run", "p861 drill run --help"),
            ("p861 -d shinan help --lang zh drill", "p861 -d shinan --lang zh drill --help"),
            ("p861 help nothing", "p861 nothing --help"),
            ("p861 version", "p861 --version"),
            ("p861 --lang zh version -o json", "p861 --lang zh --version"),
            // Names, values and texts that are spelled so.
            ("p861 -d help status", "p861 -d help status"),
            ("p861 --district=help status", "p861 --district=help status"),
            ("p861 drill show help", "p861 drill show help"),
            ("p861 ticket note t1 help", "p861 ticket note t1 help"),
            ("p861 drill version", "p861 drill version"),
            ("p861 -- help", "p861 -- help"),
            ("p861", "p861"),
        ] {
            let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(as_options(words(typed), &super::super::grammar()), words(meant), "{typed}");
        }
    }
}
