//! The real program, with nothing of this computer's own settings.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What a command said.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its answer.
    pub out: String,
    /// What it said beside the answer.
    pub err: String,
}

/// The program.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_p861"))
}

/// A folder of this test alone, removed afterwards.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder.
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A command without a terminal. Whoever runs the tests has a kubeconfig, a language and a terminal of their own: none of them counts.
pub fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for name in ["KUBECONFIG", "P861_LANG", "LANG", "LC_ALL", "LC_MESSAGES", "COLUMNS", "LINES", "NO_COLOR", "CLICOLOR_FORCE", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(name);
    }
    command.env("HOME", env!("CARGO_TARGET_TMPDIR")).env("TERM", "xterm");
    command
}

/// What a command says.
pub fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// What `p861` says.
pub fn p861(arguments: &[&str]) -> Said {
    said(&mut command(program(), arguments))
}

/// Compares with `tests/golden/NAME.snap`, which a person can read: the text as it is printed.
pub fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
