//! `p861 completions SHELL`

use crate::{args, exit::ExitStatus, printer::Printer};

/// Prints the completion script.
pub fn print(shell: clap_complete::Shell, printer: &Printer) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(printer.language, false), "p861", &mut script);
    printer.raw(&String::from_utf8_lossy(&script));
    ExitStatus::Good
}
