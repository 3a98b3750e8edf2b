//! Arguments of the command line. The English help is here; `text::help` has the Chinese one, keyed by the English text.

mod asking;
mod folding;
mod kinds;
mod maintenance;
mod nouns;
mod runs;

pub use asking::{Walk, walk};
pub use kinds::{kind, kind_that_looks_like, nearest_kind, resource, typed as typed_kind};
pub use maintenance::*;
pub use nouns::*;
pub use runs::*;

use crate::{
    printer::Output,
    text::{
        self, Language,
        explain::alerts::{ALERTS, Alert},
    },
};
use clap::{
    Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser},
};
use jiff::SignedDuration;
use p861_crds::Reason;
use std::{any::TypeId, ffi::OsString, path::PathBuf};

/// The namespace of the operator, unless it is said otherwise.
const OPERATOR_NAMESPACE: &str = "p861-system";

/// Disaster recovery for the 861 platforms of a city: proven backups, measured drills
#[derive(Clone, Debug, Parser)]
#[command(name = "p861", version, disable_help_subcommand = true, max_term_width = 120)]
#[command(
    after_help = "Exit codes: 0 success, 1 unexpected error, 2 wrong usage, 3 refused, 4 bad result, 5 a person must answer, 6 unreachable, 7 --timeout passed, 130 Ctrl-C"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// District; default: the namespace of the kubeconfig context
    #[arg(short, long, global = true, value_name = "DISTRICT", conflicts_with = "namespace")]
    pub district: Option<String>,
    /// Namespace of the district on the hub
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Output format: a table, one with more columns, the objects as JSON or YAML, their names; html for reports only
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORM")]
    pub output: Output,
    /// Print every column of a table, each row on one line: the same as -o wide
    #[arg(long, global = true, conflicts_with = "output")]
    pub wide: bool,
    /// Language of tables and messages; default: P861_LANG, then LANG
    #[arg(long, global = true, value_enum, env = "P861_LANG", hide_env_values = true, value_name = "LANGUAGE")]
    pub lang: Option<Language>,
    /// Stop watching after this time, for example 30m (exit code 7); the run continues
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<SignedDuration>,
    /// Do not watch: start the run, or print its state, and return at once
    #[arg(long, global = true)]
    pub no_wait: bool,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Kubeconfig file; default: KUBECONFIG, then ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// User to act as; the hub must allow you to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to act as, together with --as; may be repeated
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,
    /// Namespace of the operator on the hub
    #[arg(long, global = true, value_name = "NAMESPACE", default_value = OPERATOR_NAMESPACE, hide = true)]
    pub operator_namespace: String,
}

impl Global {
    /// The form of the answer that was asked for.
    pub fn form(&self) -> Output {
        if self.wide { Output::Wide } else { self.output }
    }
}

/// The commands of p861.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show one page: state, protection, and open problems (exit code 4 if there are any)
    Status,
    /// Sites: the managed clusters
    #[command(subcommand)]
    Site(SiteCommand),
    /// Districts
    #[command(subcommand)]
    District(DistrictCommand),
    /// Profiles: the standards for districts
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// The district's platform: layers, gaps, forecast
    #[command(subcommand)]
    Platform(PlatformCommand),
    /// Applications of the district
    #[command(subcommand)]
    App(AppCommand),
    /// Repositories: storage for backups
    #[command(subcommand)]
    Repository(RepositoryCommand),
    /// Backup policies: when applications are backed up
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Backups: take, list, watch
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Restores: preview, run, watch
    #[command(subcommand)]
    Restore(RestoreCommand),
    /// Recovery plans: list, check
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Drills: run, watch, control, report
    #[command(subcommand)]
    Drill(DrillCommand),
    /// Maintenance windows: when changes are allowed
    #[command(subcommand)]
    Window(WindowCommand),
    /// Templates: changes that are approved once for all
    #[command(subcommand)]
    Template(TemplateCommand),
    /// Tickets: incidents and changes
    #[command(subcommand)]
    Ticket(TicketCommand),
    /// Duty: who is on duty, and hand-over
    #[command(subcommand)]
    Duty(DutyCommand),
    /// Explain a reason or an alert; without one, list all reasons
    Explain {
        /// The reason, as conditions, Events and -o json have it; or the name of an alert
        #[arg(value_parser = explainable(), hide_possible_values = true)]
        reason: Option<Explainable>,
    },
    /// Print the completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages to a directory
    Man {
        /// The directory
        folder: PathBuf,
    },
    /// Print the reference of all commands as Markdown
    #[command(hide = true)]
    Reference,
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    p861_core::time::parse_duration(text).map_err(|error| error.to_string())
}

/// A duration as it was typed, which is sent so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationText(pub String);

fn duration_text(text: &str) -> Result<DurationText, String> {
    duration(text).map(|_| DurationText(text.to_owned()))
}

/// What can be explained.
#[derive(Clone, Debug)]
pub enum Explainable {
    /// A reason.
    Reason(Reason),
    /// An alert.
    Alert(&'static Alert),
}

/// The names of what can be explained.
pub fn explainable_names() -> impl Iterator<Item = &'static str> {
    Reason::ALL.iter().map(Reason::as_str).chain(ALERTS.iter().map(|alert| alert.name))
}

/// A reason or an alert that there is, whatever the case of its letters. A wrong one is answered with the one that was meant, and shells complete it.
fn explainable() -> impl TypedValueParser<Value = Explainable> {
    PossibleValuesParser::new(explainable_names()).map(|typed| {
        let alert = ALERTS.iter().find(|alert| alert.name.eq_ignore_ascii_case(&typed));
        let reason = || Reason::ALL.iter().find(|reason| reason.as_str().eq_ignore_ascii_case(&typed)).cloned();
        alert.map_or_else(|| Explainable::Reason(reason().unwrap_or_else(|| Reason::from_text(&typed))), Explainable::Alert)
    })
}

/// The whole command, in a language. `plugin` if it was called by kubectl.
pub fn command(language: Language, plugin: bool) -> clap::Command {
    let command = grammar();
    let command = if plugin { command.name("kubectl-p861").bin_name("kubectl p861") } else { command };
    text::with_examples(text::translate(command, language), language, program(plugin))
}

/// The command without what people read of it.
fn grammar() -> clap::Command {
    each_argument(Cli::command(), |argument| any_case(refuse_empty_text(argument)))
}

/// What the reader types for this program.
pub fn program(plugin: bool) -> &'static str {
    if plugin { "kubectl p861" } else { "p861" }
}

/// An empty text is the name of nothing: it comes from a shell variable that was not set.
fn refuse_empty_text(argument: Arg) -> Arg {
    let is_text = argument.get_action().takes_values() && argument.get_value_parser().type_id() == TypeId::of::<String>();
    if is_text { argument.value_parser(NonEmptyStringValueParser::new()) } else { argument }
}

/// A value out of a list is the same in small letters and in capitals.
fn any_case(argument: Arg) -> Arg {
    if argument.get_action().takes_values() && !argument.get_possible_values().is_empty() { argument.ignore_case(true) } else { argument }
}

/// Changes each argument of a command and of those under it.
fn each_argument(command: clap::Command, change: fn(Arg) -> Arg) -> clap::Command {
    command.mut_args(change).mut_subcommands(|inner| each_argument(inner, change))
}

/// Parses the command line. The error is clap's: a usage error, or the requested help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, language: Language, plugin: bool) -> Result<Cli, clap::Error> {
    let arguments = asking::as_options(arguments.into_iter().collect(), &grammar());
    let matches = folding::fold(command(language, plugin), language, program(plugin)).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// The language that was typed, before anything else is parsed: help is printed while parsing.
pub fn language_in(arguments: &[OsString]) -> Option<Language> {
    let typed: Vec<&str> = arguments.iter().take_while(|argument| *argument != "--").filter_map(|argument| argument.to_str()).collect();
    let beside = typed.windows(2).find_map(|pair| if let [option, value] = pair { (*option == "--lang").then_some(*value) } else { None });
    let value = beside.or_else(|| typed.iter().find_map(|argument| argument.strip_prefix("--lang=")))?;
    clap::ValueEnum::from_str(value, true).ok()
}

/// The options of every command on a line that is being typed: its end, and what is wrong with it, don't matter.
pub fn typed_so_far(line: &[OsString]) -> Global {
    let Ok(matches) = grammar().ignore_errors(true).try_get_matches_from(line) else { return Global::default() };
    let text = |id: &str| matches.try_get_one::<String>(id).ok().flatten().cloned();
    Global {
        district: text("district"),
        namespace: text("namespace"),
        context: text("context"),
        kubeconfig: matches.try_get_one::<PathBuf>("kubeconfig").ok().flatten().cloned(),
        as_user: text("as_user"),
        as_group: matches.try_get_many::<String>("as_group").ok().flatten().map(|groups| groups.cloned().collect()).unwrap_or_default(),
        operator_namespace: text("operator_namespace").unwrap_or_else(|| OPERATOR_NAMESPACE.to_owned()),
        ..Global::default()
    }
}

/// The run that a line which is being typed is about: its noun and its name.
pub fn run_so_far(line: &[OsString]) -> Option<(&'static str, String)> {
    let matches = grammar().ignore_errors(true).try_get_matches_from(line).ok()?;
    let (noun, of_noun) = matches.subcommand()?;
    let (_, of_verb) = of_noun.subcommand()?;
    let noun = ["backup", "restore", "drill"].into_iter().find(|run| *run == noun)?;
    Some((noun, of_verb.try_get_one::<String>("name").ok().flatten()?.clone()))
}

/// The words of a line with an option in the place of a word that asks for help or the version.
pub fn settled(words: &[OsString]) -> Vec<OsString> {
    asking::as_options(words.to_vec(), &grammar())
}

/// Whether a line is understood, and what is wrong with it otherwise. `command` is the whole command, built.
///
/// # Errors
/// clap's; none if help or the version is asked for.
pub fn understood(command: &clap::Command, words: &[OsString]) -> Result<(), clap::Error> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    // Whatever the file is called, what is printed has the program's own name.
    let named = std::iter::once(OsString::from(command.get_name().to_owned())).chain(words.iter().skip(1).cloned());
    match command.clone().try_get_matches_from(named) {
        Err(error) if !matches!(error.kind(), DisplayHelp | DisplayVersion) => Err(error),
        _ => Ok(()),
    }
}

/// Whether a command that a status or a condition names is one of this program's.
pub fn understands(line: &str) -> bool {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    words.first().is_some_and(|word| word == "p861") && grammar().try_get_matches_from(words).is_ok()
}

/// Whether a command is a noun of this program and a verb of it, of which what follows is left out.
pub fn names_verb(line: &str) -> bool {
    let grammar = grammar();
    let named = line.split_whitespace().skip(1).try_fold(&grammar, |at, word| at.find_subcommand(word));
    line.starts_with("p861 ") && named.is_some_and(|verb| !verb.has_subcommands())
}

/// Whether the program was called as `kubectl p861`.
pub fn is_plugin(program: Option<&OsString>) -> bool {
    program.map(std::path::Path::new).and_then(|path| path.file_stem()).is_some_and(|name| name == "kubectl-p861" || name == "kubectl_p861")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    /// Every argument of every command, with the command's path.
    fn all(command: &Command, path: &str, found: &mut Vec<(String, Arg)>) {
        let path = format!("{path} {}", command.get_name());
        found.extend(command.get_arguments().map(|argument| (path.clone(), argument.clone())));
        command.get_subcommands().for_each(|inner| all(inner, &path, found));
    }

    #[test]
    fn fault_h5_no_argument_takes_an_empty_value() {
        let mut arguments = Vec::new();
        all(&command(Language::En, false), "", &mut arguments);
        let (mut seen, mut taken) = (0, Vec::new());
        for (path, argument) in arguments.iter().filter(|(_, argument)| argument.get_action().takes_values()) {
            seen += 1;
            let alone = Command::new("alone").arg(Arg::new("value").value_parser(argument.get_value_parser().clone()));
            if alone.try_get_matches_from(["alone", ""]).is_ok() {
                taken.push(format!("{path} {argument}"));
            }
        }
        assert!(seen > 80, "only {seen} arguments");
        assert!(taken.is_empty(), "an empty value is taken by:\n{}", taken.join("\n"));
    }

    #[test]
    fn fault_h17_a_reason_that_is_demanded_is_not_called_optional() {
        let mut arguments = Vec::new();
        all(&command(Language::En, false), "", &mut arguments);
        let reasons: Vec<(String, bool)> = arguments
            .iter()
            .filter(|(_, argument)| argument.get_id() == "reason")
            .map(|(path, argument)| (path.clone(), argument.get_help().is_some_and(|help| help.to_string().contains("required"))))
            .collect();
        assert!(reasons.len() > 30, "{reasons:?}");
        for (path, required) in reasons {
            // Those that `needed_reason` is called for.
            let demanded = ["abort", "skip", "rollback", "cancel", "forget"].iter().any(|verb| path.ends_with(&format!(" {verb}")));
            assert_eq!(required, demanded, "{path}");
        }
    }

    #[test]
    fn a_line_that_is_being_typed_says_which_district_is_meant() {
        let typed = |line: &str| typed_so_far(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in [
            "p861 -d shinan drill show ",
            "p861 drill show -d shinan ",
            "p861 drill show --district=shinan sh",
            "p861 drill -d shinan run --ty",
            "p861 -d shinan ",
        ] {
            assert_eq!(typed(line).district.as_deref(), Some("shinan"), "{line}");
        }
        let all = typed("p861 --context hub --kubeconfig /k -n a --as li --as-group x ticket approve  --as-group y");
        assert_eq!((all.context.as_deref(), all.kubeconfig.as_deref(), all.namespace.as_deref()), (Some("hub"), Some(std::path::Path::new("/k")), Some("a")));
        assert_eq!((all.as_user.as_deref(), all.as_group.len(), all.operator_namespace.as_str()), (Some("li"), 1, "p861-system"));
    }

    #[test]
    fn a_line_that_is_being_typed_says_which_run_is_meant() {
        let run = |line: &str| run_so_far(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["p861 drill skip d ", "p861 -d shinan drill skip d hol", "p861 drill skip --reason x d --district shinan ", "p861 drill answer d"] {
            assert_eq!(run(line), Some(("drill", "d".to_owned())), "{line}");
        }
        for line in ["p861 ticket show t ", "p861 drill skip ", "p861 drill list"] {
            assert_eq!(run(line), None, "{line}");
        }
    }

    /// The values of an argument that are also those of a field.
    fn values(path: &[&str], id: &str) -> Vec<String> {
        let command = command(Language::En, false);
        let at = path.iter().fold(&command, |at, word| at.find_subcommand(word).expect("a command"));
        let argument = at.get_arguments().find(|argument| argument.get_id() == id).expect("an argument");
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
    }

    #[test]
    fn fault_h22_a_value_is_spelled_on_the_command_line_as_in_yaml() {
        fn yaml<T: serde::Serialize>(values: &[T]) -> Vec<String> {
            values.iter().map(|value| serde_json::to_value(value).expect("a word").as_str().expect("a word").to_owned()).collect()
        }
        use clap::ValueEnum as _;
        use p861_crds::{
            maintenance::{
                ticket::{Grade, Resolution},
                window::ChangeClass,
            },
            protection::restore::ConflictPolicy,
            recovery::drill::DrillType,
        };
        let of = |words: &[&str], id: &str| values(words, id);
        assert_eq!(of(&["drill", "run"], "kind"), yaml(&DrillKind::value_variants().iter().map(|kind| DrillType::from(*kind)).collect::<Vec<_>>()));
        let conflicts = Conflict::value_variants().iter().map(|conflict| ConflictPolicy::from(*conflict)).collect::<Vec<_>>();
        assert_eq!(of(&["restore", "run"], "conflict"), yaml(&conflicts));
        let grades = yaml(&GradeWord::value_variants().iter().map(|grade| Grade::from(*grade)).collect::<Vec<_>>());
        assert_eq!((of(&["ticket", "open"], "impact"), of(&["ticket", "open"], "urgency")), (grades.clone(), grades));
        assert_eq!(of(&["ticket", "open"], "change"), yaml(&ClassWord::value_variants().iter().map(|class| ChangeClass::from(*class)).collect::<Vec<_>>()));
        let resolutions = ResolutionWord::value_variants().iter().map(|word| Resolution::from(*word)).collect::<Vec<_>>();
        assert_eq!(of(&["ticket", "resolve"], "resolution"), yaml(&resolutions));
    }

    #[test]
    fn a_value_out_of_a_list_is_understood_in_small_letters_and_in_capitals() {
        let mut arguments = Vec::new();
        all(&command(Language::En, false), "", &mut arguments);
        let mut seen = 0;
        for (path, argument) in arguments {
            for value in argument.get_possible_values() {
                seen += 1;
                let small = value.get_name().to_lowercase();
                let arg = Arg::new("value").value_parser(argument.get_value_parser().clone()).ignore_case(argument.is_ignore_case_set());
                assert!(Command::new("alone").arg(arg).try_get_matches_from(["alone", &small]).is_ok(), "{path} {argument}: {small}");
            }
        }
        assert!(seen > 40, "only {seen} values");
        for words in [
            vec!["drill", "run", "core", "--type", "isolated"],
            vec!["restore", "run", "b", "--conflict", "MERGE"],
            vec!["ticket", "open", "t", "--impact", "high"],
            vec!["status", "-o", "JSON"],
            vec!["explain", "keywrong"],
            vec!["explain", "p861drillfailed"],
        ] {
            let typed = ["p861"].iter().chain(&words).map(OsString::from);
            assert!(parse(typed, Language::En, false).is_ok(), "{words:?}");
        }
    }
}
