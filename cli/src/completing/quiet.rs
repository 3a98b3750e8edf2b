//! Shells that are answered with nothing where a name was asked for and there is none. Options would be answered instead, and a shell types what they have in common: `--`.

use clap::Command;
use clap_complete::env::EnvCompleter;
use std::{
    ffi::OsString,
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether a name was asked for where nothing is typed yet, and none was found.
static NO_NAME: AtomicBool = AtomicBool::new(false);

/// Says that there is no name to answer with.
pub fn no_name() {
    NO_NAME.store(true, Ordering::Relaxed);
}

/// A shell, answered so.
pub struct Quiet<'a>(pub &'a dyn EnvCompleter);

impl EnvCompleter for Quiet<'_> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn is(&self, name: &str) -> bool {
        self.0.is(name)
    }

    fn write_registration(&self, var: &str, name: &str, bin: &str, completer: &str, buf: &mut dyn io::Write) -> io::Result<()> {
        self.0.write_registration(var, name, bin, completer, buf)
    }

    fn write_complete(&self, command: &mut Command, words: Vec<OsString>, folder: Option<&Path>, buf: &mut dyn io::Write) -> io::Result<()> {
        let mut answer = Vec::new();
        self.0.write_complete(command, words, folder, &mut answer)?;
        // Where nothing is typed, options are answered alone or not at all.
        let is_options = answer.first() == Some(&b'-');
        if is_options && NO_NAME.load(Ordering::Relaxed) { Ok(()) } else { buf.write_all(&answer) }
    }
}
