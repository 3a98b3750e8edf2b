//! Completions. The script of `p861 completions` has the shell ask this program what may follow, in the variable [`VARIABLE`]. Names of objects come from the hub: within
//! a second, or none, and without a word, for the person is in the middle of a line.

mod named;
mod quiet;

use crate::{args, exit::ExitStatus, hub, text::Language};
use clap::Command;
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::{EnvCompleter, Shells},
};
use named::Named;
pub use named::Place;
use quiet::Quiet;
use std::{
    ffi::{OsStr, OsString},
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// Set by the script, to the name of the shell.
const VARIABLE: &str = "P861_COMPLETE";
/// What the script calls, from the person's PATH.
const PROGRAM: &str = "p861";
/// A person who has pressed Tab waits this long at most.
const WITHIN: Duration = Duration::from_secs(1);

/// Answers the shell, if it is a shell that asks.
pub fn answer(arguments: &[OsString]) -> Option<ExitStatus> {
    let line: Vec<OsString> = arguments.iter().skip_while(|argument| *argument != "--").skip(1).cloned().collect();
    let known = Shells::builtins();
    let quiet: Vec<Quiet<'_>> = known.iter().map(Quiet).collect();
    let shells: Vec<&dyn EnvCompleter> = quiet.iter().map(|shell| shell as &dyn EnvCompleter).collect();
    let asked = CompleteEnv::with_factory(|| command(&line)).var(VARIABLE).bin(PROGRAM).completer(PROGRAM).shells(Shells(&shells));
    match asked.try_complete(arguments.iter().cloned(), None) {
        Ok(false) => None,
        Ok(true) => Some(ExitStatus::Good),
        // The shell completes nothing then, and prints nothing.
        Err(_) => Some(ExitStatus::Unexpected),
    }
}

/// The script that makes a shell ask.
///
/// # Errors
/// If the shell is none that can be made to.
pub fn script(shell: clap_complete::Shell) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string()).ok_or(io::ErrorKind::Unsupported)?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    if shell == clap_complete::Shell::Zsh {
        // Zsh loads a file of its function path when it first completes, and expects it to complete then.
        script.extend_from_slice(b"if [ \"$funcstack[1]\" = _p861 ]; then _clap_dynamic_completer_p861; fi\n");
    }
    Ok(script)
}

/// What the line says already, for what completes it.
#[derive(Clone)]
struct Typed {
    /// The options of every command.
    global: args::Global,
    /// The run that it is about.
    run: Option<(&'static str, String)>,
}

/// The command, with what completes the names on this line.
fn command(line: &[OsString]) -> Command {
    let language = Language::choose(args::language_in(line), |name| std::env::var(name).ok());
    let typed = Arc::new(Typed { global: args::typed_so_far(line), run: args::run_so_far(line) });
    // Where nothing is typed yet, the options would bury the names.
    let is_blank = current(line).is_none_or(|word| word.is_empty());
    let mut command = with_names(args::command(language, false), &[], &typed);
    // Only the built command has `--help`.
    command.build();
    if is_blank { without_options(command) } else { command }
}

/// The word that is being typed. The shells that don't say which it is send none after it.
fn current(line: &[OsString]) -> Option<&OsString> {
    let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse::<usize>().ok());
    index.map_or_else(|| line.last(), |index| line.get(index))
}

fn with_names(command: Command, path: &[String], typed: &Arc<Typed>) -> Command {
    let of_this = path.to_vec();
    let command = command.mut_args(|argument| match named::of(&of_this, &argument) {
        Some(named) => {
            let typed = Arc::clone(typed);
            argument.add(ArgValueCompleter::new(move |begun: &OsStr| candidates(named, &typed, begun)))
        }
        None => argument,
    });
    command.mut_subcommands(|inner| {
        let path: Vec<String> = path.iter().cloned().chain([inner.get_name().to_owned()]).collect();
        with_names(inner, &path, typed)
    })
}

/// What is hidden is completed where nothing else fits.
fn without_options(command: Command) -> Command {
    command.mut_args(|argument| if argument.is_positional() { argument } else { argument.hide(true) }).mut_subcommands(without_options)
}

fn candidates(named: Named, typed: &Typed, begun: &OsStr) -> Vec<CompletionCandidate> {
    let Some(begun) = begun.to_str() else { return Vec::new() };
    let names = within(WITHIN, {
        let typed = typed.clone();
        move || named.names(&typed)
    });
    let names = names.unwrap_or_default();
    if names.is_empty() && begun.is_empty() {
        quiet::no_name();
    }
    names.into_iter().filter(|name| name.starts_with(begun)).map(CompletionCandidate::new).collect()
}

/// What `ask` answers, if it does in time. It has a thread of its own: a program that the kubeconfig names for credentials blocks, and ends with this process.
fn within<T: Send + 'static>(time: Duration, ask: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    // The receiver may be gone by then: nobody waits any more.
    thread::spawn(move || drop(sender.send(ask())));
    receiver.recv_timeout(time).ok()
}

impl Named {
    /// The names that there are; none if they can't be had.
    fn names(self, typed: &Typed) -> Vec<String> {
        let Typed { global, run } = typed;
        if self == Self::Context {
            return hub::contexts(global.kubeconfig.as_deref());
        }
        // A second call would install the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
        let asked = runtime.block_on(async {
            match (self.resource(), run) {
                (Some(resource), _) => hub::names_quietly(global, &resource, self.place()).await,
                (None, Some((noun, name))) => hub::steps_quietly(global, noun, name).await,
                (None, None) => Ok(Vec::new()),
            }
        });
        asked.unwrap_or_default()
    }
}
