//! Arguments of the command line. The English help is here; `text::help` has the Chinese one, keyed by the English text.

mod kinds;
mod maintenance;
mod nouns;
mod runs;

pub use kinds::{kind, resource, typed as typed_kind};
pub use maintenance::*;
pub use nouns::*;
pub use runs::*;

use crate::{
    printer::Output,
    text::{self, Language},
};
use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::SignedDuration;
use p861_crds::Reason;
use std::{ffi::OsString, path::PathBuf};

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
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORM")]
    pub output: Output,
    /// Print every column of a table, each row on one line: the same as -o wide
    #[arg(long, global = true, conflicts_with = "output")]
    pub wide: bool,
    /// Language of tables and messages; default: P861_LANG, then LANG
    #[arg(long, global = true, value_enum, env = "P861_LANG", hide_env_values = true, value_name = "LANGUAGE", ignore_case = true)]
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
    /// Namespace of the operator on the hub
    #[arg(long, global = true, value_name = "NAMESPACE", default_value = "p861-system", hide = true)]
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
    /// Explain a reason: what it means and what to do; without one, list all of them
    Explain {
        /// The reason, as conditions, Events and -o json have it
        #[arg(value_parser = reasons(), ignore_case = true, hide_possible_values = true)]
        reason: Option<Reason>,
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

/// A reason that there is, whatever the case of its letters. A wrong one is answered with the one that was meant, and shells complete it.
fn reasons() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.iter().map(Reason::as_str)).map(|typed| {
        let known = Reason::ALL.iter().find(|reason| reason.as_str().eq_ignore_ascii_case(&typed));
        known.cloned().unwrap_or_else(|| Reason::from_text(&typed))
    })
}

/// The whole command, in a language. `plugin` if it was called by kubectl.
pub fn command(language: Language, plugin: bool) -> clap::Command {
    let command = Cli::command();
    let command = if plugin { command.name("kubectl-p861").bin_name("kubectl p861") } else { command };
    text::translate(command, language)
}

/// Parses the command line. The error is clap's: a usage error, or the requested help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, language: Language, plugin: bool) -> Result<Cli, clap::Error> {
    let matches = command(language, plugin).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// The language that was typed, before anything else is parsed: help is printed while parsing.
pub fn language_in(arguments: &[OsString]) -> Option<Language> {
    let typed: Vec<&str> = arguments.iter().take_while(|argument| *argument != "--").filter_map(|argument| argument.to_str()).collect();
    let beside = typed.windows(2).find_map(|pair| if let [option, value] = pair { (*option == "--lang").then_some(*value) } else { None });
    let value = beside.or_else(|| typed.iter().find_map(|argument| argument.strip_prefix("--lang=")))?;
    clap::ValueEnum::from_str(value, true).ok()
}

/// Whether a command that a status or a condition names is one of this program's.
pub fn understands(line: &str) -> bool {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    words.first().is_some_and(|word| word == "p861") && parse(words, Language::En, false).is_ok()
}

/// Whether the program was called as `kubectl p861`.
pub fn is_plugin(program: Option<&OsString>) -> bool {
    program.map(std::path::Path::new).and_then(|path| path.file_stem()).is_some_and(|name| name == "kubectl-p861" || name == "kubectl_p861")
}
