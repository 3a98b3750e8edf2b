//! Running one program to its end, bounded in time, with an error that shows what it last printed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes of a failed program's output an error shows, counted from the end.
const TAIL: u64 = 2_000;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program could not be started.
    #[error("{program} could not be started: {source}; is it installed and executable?")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program ended with a failure.
    #[error("`{command}` ended with {status}; its last output:\n{tail}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        tail: String,
    },
    /// The program was killed at its deadline.
    #[error("`{command}` was killed after {} s; its last output:\n{tail}", limit.as_secs())]
    TooLong {
        /// The command line.
        command: String,
        /// Its deadline.
        limit: Duration,
        /// The end of its output.
        tail: String,
    },
    /// The program's output could not be kept or read.
    #[error("the output of `{command}` could not be kept: {source}; is the temporary directory full?")]
    Output {
        /// The command line.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Runs `command` to its end and gives back what it wrote to standard output.
///
/// Output goes to unnamed files, not to pipes: a program that prints much can never block on us.
pub fn run(command: &mut Command, limit: Duration) -> Result<String, RunError> {
    let line = command_line(command);
    let output = |source| RunError::Output { command: line.clone(), source };
    let mut stdout = tempfile::tempfile().map_err(output)?;
    let mut stderr = tempfile::tempfile().map_err(output)?;
    command.stdin(Stdio::null()).stdout(stdout.try_clone().map_err(output)?).stderr(stderr.try_clone().map_err(output)?);
    let mut child = command.spawn().map_err(|source| RunError::Start { program: command.get_program().to_string_lossy().into_owned(), source })?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(output)? {
            break status;
        }
        if start.elapsed() >= limit {
            child.kill().map_err(output)?;
            child.wait().map_err(output)?;
            let tail = tail(&mut stdout, &mut stderr).map_err(output)?;
            return Err(RunError::TooLong { command: line, limit, tail });
        }
        thread::sleep(Duration::from_millis(10));
    };
    if !status.success() {
        let tail = tail(&mut stdout, &mut stderr).map_err(output)?;
        return Err(RunError::Failed { command: line, status, tail });
    }
    stdout.seek(SeekFrom::Start(0)).map_err(output)?;
    let mut bytes = Vec::new();
    stdout.read_to_end(&mut bytes).map_err(output)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn command_line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

fn tail(stdout: &mut File, stderr: &mut File) -> std::io::Result<String> {
    let mut text = String::new();
    for file in [stdout, stderr] {
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_handed_back() {
        assert_eq!(run(&mut shell("echo yes"), Duration::from_secs(10)).unwrap(), "yes\n");
    }

    #[test]
    fn a_failure_shows_the_last_output() {
        let error = run(&mut shell("echo reason >&2; exit 3"), Duration::from_secs(10)).unwrap_err();
        assert!(matches!(error, RunError::Failed { .. }), "{error}");
        assert!(error.to_string().contains("reason"), "{error}");
    }

    #[test]
    fn a_program_that_never_ends_is_killed_at_its_deadline() {
        let start = Instant::now();
        let error = run(&mut shell("echo so far; exec sleep 60"), Duration::from_millis(300)).unwrap_err();
        assert!(matches!(error, RunError::TooLong { .. }), "{error}");
        assert!(error.to_string().contains("so far"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here"), Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"), "{error}");
    }
}
