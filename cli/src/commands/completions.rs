//! `p861 completions SHELL`

use crate::{
    completing,
    error::{Failure, Result},
    exit::ExitStatus,
    printer::Printer,
    text,
};

/// Prints the script that makes a shell complete commands, options and names.
pub fn print(shell: clap_complete::Shell, printer: &Printer) -> Result<ExitStatus> {
    let script = completing::script(shell).map_err(|error| Failure::unexpected(text::unwritable(&error.to_string())))?;
    printer.raw(&String::from_utf8_lossy(&script));
    Ok(ExitStatus::Good)
}
