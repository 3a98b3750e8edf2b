//! A shell as a person has it: an interactive bash at a terminal, with no option set, no function and no file of its own but its prompts, which say how a command ended.
//! A line is pasted when the shell asks for one, as a terminal does it.

use crate::terminal::{Event, Terminal};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Where the marks of a prompt come from: terminals know them as OSC 133.
const PROMPTS: &str = "PS0='\\e]133;C\\a' PS1='\\[\\e]133;D;$?\\a\\]$ ' PS2='\\[\\e]133;P;k=s\\a\\]> '\n";
/// How long a shell may take to begin, or to take a line.
const READY: Duration = Duration::from_mins(1);
/// Rows and columns: those of a large window, so that tables need not give way.
const SIZE: &str = "stty rows 40 cols 140";
/// What a test program has in its environment and a person has not.
const OF_TESTS: [&str; 6] = ["CARGO", "MAKE", "MFLAGS", "P861_", "RUST", "COLUMNS"];
/// What begins so, and yet is a person's: where programs are, and what is kept between builds.
const OF_PERSONS: [&str; 4] = ["CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_HOME", "P861_TESTBED_CACHE"];

/// A command that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// The lines that stay of what it printed.
    pub printed: String,
    /// Whether the shell ran anything; not if it did not understand the line.
    pub ran: bool,
}

/// What came of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The command goes on on the next line.
    Continued,
    /// The command has ended.
    Ended(Ended),
}

/// The shell. It and what it runs end with this value.
pub struct PlainShell {
    script: Child,
    keys: ChildStdin,
    written: Receiver<Vec<u8>>,
    terminal: Terminal,
}

impl PlainShell {
    /// Opens a shell in a folder. `configure` sets what this person has in the environment.
    pub fn open(folder: &Path, configure: impl FnOnce(&mut Command)) -> Result<Self, String> {
        let prompts = write_prompts()?;
        let mut command = Command::new("script");
        // Who runs tests in the background has Ctrl-C ignored, and so would all that they start.
        let line = format!("{SIZE}; exec env --default-signal=INT,QUIT bash --rcfile '{}' -i", prompts.display());
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).current_dir(folder);
        for (name, _) in std::env::vars_os() {
            let name_of = name.to_string_lossy();
            if OF_TESTS.iter().any(|start| name_of.starts_with(start)) && !OF_PERSONS.contains(&name_of.as_ref()) {
                command.env_remove(&name);
            }
        }
        command.envs([("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("HISTFILE", "/dev/null"), ("EDITOR", "true")]).env_remove("LC_ALL");
        configure(&mut command);
        let opened = Self::start(command).and_then(|mut shell| shell.first_prompt().map(|()| shell));
        let _ = fs::remove_file(prompts);
        opened
    }

    fn start(mut command: Command) -> Result<Self, String> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut script = spawned.map_err(|error| format!("script could not be started: {error}"))?;
        let (Some(keys), Some(mut pipe)) = (script.stdin.take(), script.stdout.take()) else { return Err("script has no pipes".to_owned()) };
        let (sender, written) = channel();
        thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { script, keys, written, terminal: Terminal::default() })
    }

    fn first_prompt(&mut self) -> Result<(), String> {
        self.event(Instant::now() + READY).map(drop)
    }

    /// Pastes one line, and waits until the shell has taken it.
    pub fn type_line(&mut self, line: &str) -> Result<(), String> {
        self.press(&format!("{line}\r"))?;
        let until = Instant::now() + READY;
        while self.event(until)? != Event::Accepted {}
        Ok(())
    }

    /// Waits until the shell asks for more, or until the command has ended.
    pub fn answer(&mut self, limit: Duration) -> Result<Answer, String> {
        let (until, mut ran) = (Instant::now() + limit, false);
        loop {
            match self.event(until)? {
                Event::Accepted => {}
                Event::Started => ran = true,
                Event::Continued => return Ok(Answer::Continued),
                Event::Ended { code, printed } => return Ok(Answer::Ended(Ended { code, printed, ran })),
            }
        }
    }

    /// Types a whole command and waits for its end.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<Ended, String> {
        self.type_line(command)?;
        match self.answer(limit)? {
            Answer::Ended(ended) => Ok(ended),
            Answer::Continued => Err(format!("`{command}` is no whole command")),
        }
    }

    /// Waits until a command that runs shows a text. Spaces at the end of a line are nothing that is seen.
    pub fn until(&mut self, text: &str, limit: Duration) -> Result<(), String> {
        let (text, until) = (text.trim_end(), Instant::now() + limit);
        while !self.shown().contains(text) {
            if self.terminal.has_ended() {
                return Err(format!("the command ended before it showed \"{text}\":\n{}", self.shown()));
            }
            self.listen(until)?;
        }
        Ok(())
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) -> Result<(), String> {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).map_err(|error| format!("the shell is gone: {error}"))
    }

    /// What a person sees now.
    pub fn shown(&self) -> String {
        self.terminal.shown()
    }

    fn event(&mut self, until: Instant) -> Result<Event, String> {
        loop {
            if let Some(event) = self.terminal.event() {
                return Ok(event);
            }
            self.listen(until)?;
        }
    }

    fn listen(&mut self, until: Instant) -> Result<(), String> {
        let left = until.saturating_duration_since(Instant::now());
        match self.written.recv_timeout(left) {
            Ok(bytes) => {
                self.terminal.feed(&bytes);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Err(format!("it has not ended in time, and shows:\n{}", self.shown())),
            Err(RecvTimeoutError::Disconnected) => Err(format!("the shell has ended, and showed:\n{}", self.shown())),
        }
    }
}

impl Drop for PlainShell {
    fn drop(&mut self) {
        // Its terminal goes with it: that ends the shell, and what runs in it.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// A file with the prompts, for the time in which a shell begins.
fn write_prompts() -> Result<PathBuf, String> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("p861-prompts-{}-{number}", std::process::id()));
    fs::write(&path, PROMPTS).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    fn shell() -> PlainShell {
        PlainShell::open(&std::env::temp_dir(), |_| {}).unwrap()
    }

    fn printed(shell: &mut PlainShell, command: &str) -> (i32, String) {
        let ended = shell.run(command, LIMIT).unwrap();
        assert!(ended.ran, "{command}: {ended:?}");
        (ended.code, ended.printed)
    }

    #[test]
    fn a_command_says_its_exit_code_and_what_it_printed_and_no_option_is_set() {
        let mut shell = shell();
        assert_eq!(printed(&mut shell, "echo one; (exit 3)"), (3, "one".to_owned()));
        assert_eq!(printed(&mut shell, "false | true; echo \"$?\""), (0, "0".to_owned()), "no pipefail");
        assert_eq!(printed(&mut shell, "false"), (1, String::new()), "no set -e: the shell goes on");
        assert_eq!(printed(&mut shell, "[ -t 0 ] && [ -t 1 ] && echo \"$-\" | grep -c i"), (0, "1".to_owned()), "a person sits there");
        assert_eq!(printed(&mut shell, "env | grep -c '^CARGO_MANIFEST_DIR\\|^P861_EGRESS'"), (1, "0".to_owned()));
    }

    #[test]
    fn heredocs_and_loops_are_pasted_line_by_line() {
        let mut shell = shell();
        let lines = [
            "cat <<EOF",
            "  name: $((1 + 1)), and what goes on past the end of the line, however wide the window may be: it is a hundred and forty columns",
            "EOF",
        ];
        for (line, last) in lines.into_iter().zip([false, false, true]) {
            shell.type_line(line).unwrap();
            let answer = shell.answer(LIMIT).unwrap();
            match answer {
                Answer::Continued => assert!(!last, "{line}"),
                Answer::Ended(ended) => assert!(last && ended.printed == lines[1].replace("$((1 + 1))", "2"), "{line}: {ended:?}"),
            }
        }
        assert_eq!(printed(&mut shell, "until X=$(echo a b | grep -m1 a); do sleep 1; done; echo \"$X\""), (0, "a b".to_owned()));
    }

    #[test]
    fn a_line_that_the_shell_does_not_understand_is_told_from_a_command() {
        let mut shell = shell();
        for line in ["echo )", "echo \"1!nothing\""] {
            let ended = shell.run(line, LIMIT).unwrap();
            assert!(!ended.ran && ended.printed.starts_with("bash: "), "{line}: {ended:?}");
        }
    }

    #[test]
    fn keys_reach_a_command_and_a_wait_is_bounded() {
        let mut shell = shell();
        shell.type_line("read -r -p 'name? ' X; echo \"it is $X\"").unwrap();
        shell.until("name? ", LIMIT).unwrap();
        assert!(shell.answer(Duration::from_millis(200)).unwrap_err().contains("name?"));
        shell.press("li\r").unwrap();
        let Answer::Ended(ended) = shell.answer(LIMIT).unwrap() else { panic!("it is whole") };
        assert_eq!((ended.code, ended.printed.as_str()), (0, "name? li\nit is li"));
        shell.type_line("echo begun; sleep 1000").unwrap();
        shell.until("begun", LIMIT).unwrap();
        shell.press("\u{3}").unwrap();
        let Answer::Ended(ended) = shell.answer(LIMIT).unwrap() else { panic!("it is whole") };
        assert_eq!(ended.code, 130, "{ended:?}");
    }
}
