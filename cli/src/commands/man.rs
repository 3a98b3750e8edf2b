//! `p861 man FOLDER`: for packagers.

use crate::{
    args,
    error::{Failure, Result},
    exit::ExitStatus,
    printer::Printer,
    text,
};
use std::path::Path;

/// Writes one page per command into a folder.
pub fn write(folder: &Path, printer: &Printer) -> Result<ExitStatus> {
    let failed = |error: std::io::Error| Failure::refused(text::cannot_write(&folder.display().to_string(), &error.to_string()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(args::command(printer.language, false), folder).map_err(failed)?;
    Ok(ExitStatus::Good)
}
