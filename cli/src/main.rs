//! `p861`: the command line of Platform 861, also installed as `kubectl-p861`.
//!
//! One file per command under `commands`; what is typed is described in `args`, what people read is written in `text`, where it goes is decided in
//! `printer`. The hub is reached through its API server with the person's own kubeconfig; nothing of the operator's code is needed.

mod args;
mod commands;
mod completing;
mod discover;
mod error;
mod exit;
mod format;
mod hub;
mod printer;
mod run;
mod text;

use clap::error::ErrorKind;
use exit::ExitStatus;
use printer::{Output, Printer};
use std::{ffi::OsString, process::ExitCode};
use text::Language;

/// Prints help, version, or a usage error.
fn unparsed(error: &clap::Error, words: &[OsString], language: Language, plugin: bool) -> ExitStatus {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // If printing fails, there is no way to report it.
            let _ = error.print();
            ExitStatus::Good
        }
        // A noun without a verb: its verbs are the answer.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitStatus::Usage
        }
        _ => {
            Printer::new(language, Output::Table).failure(&error::Failure::usage(text::usage(error, args::command(language, plugin), words)));
            ExitStatus::Usage
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(status) = completing::answer(&arguments) {
        return status.into();
    }
    let plugin = args::is_plugin(arguments.first());
    // Help and usage errors are printed before anything is parsed, so the language is looked for first.
    let language = Language::choose(args::language_in(&arguments), |name| std::env::var(name).ok());
    let cli = match args::parse(arguments.clone(), language, plugin) {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error, &arguments, language, plugin).into(),
    };
    text::settle_line(args::program(plugin), &args::settled(&arguments));
    let printer = Printer::new(language, cli.global.form());
    // Two dependencies bring a TLS provider each: choose one. A second call would install the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.failure(&error::Failure::unexpected(text::cannot_start(&error.to_string())));
            return ExitStatus::Unexpected.into();
        }
    };
    let result = runtime.block_on(commands::perform(&cli, &printer));
    // A task that still waits for the hub must not hold the shell up.
    runtime.shutdown_background();
    match result {
        Ok(status) => status.into(),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}
