//! Processes of a bed: started in a network namespace, found again by another process, stopped, killed, frozen.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::{BedError, Result};
use super::wait::until;

/// How long a process may take to end when it is asked to.
const POLITE: Duration = Duration::from_secs(20);
/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(20);
/// Lines of a log that an error shows.
const TAIL: usize = 12;

/// Where processes run.
#[derive(Debug, Clone)]
pub struct Room {
    /// The file of their network namespace.
    pub network: PathBuf,
    /// A process whose mount namespace they share; none: the machine's.
    pub mounts: Option<i32>,
    /// The file of the control group that they join; none: the one of who starts them.
    pub cgroup: Option<PathBuf>,
    /// The folder of their logs and ids.
    pub folder: PathBuf,
}

impl Room {
    /// A command that runs in the room. What it starts stays there.
    pub fn command(&self, program: &Path, arguments: &[String]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.network.display()));
        if let Some(keeper) = self.mounts {
            command.arg(format!("--mount=/proc/{keeper}/ns/mnt"));
        }
        // The shell joins the group before it becomes the program, so that no child can slip out.
        command.args(["--", "sh", "-c", "[ -z \"$P861_CGROUP\" ] || echo $$ > \"$P861_CGROUP\" || exit 1; unset P861_CGROUP; exec \"$@\"", "sh"]);
        command.arg(program).args(arguments);
        command.env("P861_CGROUP", self.cgroup.as_deref().unwrap_or(Path::new("")));
        command
    }

    /// The process of this name, which need not run.
    pub fn process(&self, name: &str) -> Process {
        Process { name: name.to_owned(), record: self.folder.join(format!("{name}.pid")), log: self.folder.join(format!("{name}.log")) }
    }

    /// Every process that was started in the room, by name; also those that have ended.
    pub fn processes(&self) -> Vec<Process> {
        let logs = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let named = |log: PathBuf| log.extension().is_some_and(|end| end == "log").then(|| log.file_stem().map(|name| name.to_string_lossy().into_owned()))?;
        let mut names: Vec<String> = logs.filter_map(named).collect();
        names.sort_unstable();
        names.iter().map(|name| self.process(name)).collect()
    }

    /// Starts a process. Its output goes to its log; it goes on when this process ends.
    pub fn start(&self, name: &str, program: &Path, arguments: &[String], environment: &[(String, String)]) -> Result<Process> {
        let process = self.process(name);
        if let Some(id) = process.id() {
            return Err(BedError::Refused(format!("{name} runs already, as process {id}")));
        }
        fs::create_dir_all(&self.folder).map_err(BedError::io(&self.folder))?;
        let log = OpenOptions::new().create(true).append(true).open(&process.log).map_err(BedError::io(&process.log))?;
        let errors = log.try_clone().map_err(BedError::io(&process.log))?;
        let mut command = self.command(program, arguments);
        command.envs(environment.iter().cloned()).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        let child = command.spawn().map_err(BedError::io(program))?;
        // The id alone could be another process's one day.
        let id = i32::try_from(child.id()).unwrap_or_default();
        let text = format!("{id} {}\n", start_time(id).unwrap_or_default());
        fs::write(&process.record, text).map_err(BedError::io(&process.record))?;
        // Nobody waits for it by handle: it may have been started by an earlier process. When it ends as our child it stays as a zombie,
        // which counts as ended.
        Ok(process)
    }
}

/// A process that was started in a [`Room`].
#[derive(Debug, Clone)]
pub struct Process {
    /// What it is called.
    pub name: String,
    record: PathBuf,
    /// Its log.
    pub log: PathBuf,
}

impl Process {
    /// Its id, if it runs.
    pub fn id(&self) -> Option<i32> {
        let text = fs::read_to_string(&self.record).ok()?;
        let (id, time) = text.trim().split_once(' ')?;
        let id = id.parse().ok()?;
        (start_time(id)? == time).then_some(id)
    }

    /// Whether it runs; the error is the end of its log.
    pub fn check(&self) -> Result<()> {
        match self.id() {
            Some(_) => Ok(()),
            None => Err(BedError::Refused(format!("{} has ended; its log ends with:\n{}", self.name, self.tail()))),
        }
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Asks it to end, and kills it if it doesn't.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        match until(&format!("{} has ended", self.name), POLITE, || self.ended()) {
            Ok(()) => self.forget(),
            Err(_) => self.kill(),
        }
    }

    /// Kills it.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        until(&format!("{} has ended", self.name), KILLED, || self.ended())?;
        self.forget()
    }

    /// Stops it in its tracks, until [`Process::thaw`].
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn ended(&self) -> std::result::Result<(), String> {
        self.id().map_or(Ok(()), |id| Err(format!("process {id} runs")))
    }

    fn forget(&self) -> Result<()> {
        if self.record.exists() { fs::remove_file(&self.record).map_err(BedError::io(&self.record)) } else { Ok(()) }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.id().and_then(Pid::from_raw) else { return Ok(()) };
        match kill_process(pid, signal) {
            Err(error) if error != rustix::io::Errno::SRCH => {
                Err(BedError::Refused(format!("{} (process {}) can't be signalled: {error}", self.name, pid.as_raw_nonzero())))
            }
            _ => Ok(()),
        }
    }
}

/// When a process was started, in ticks since the machine was; nothing if it has ended.
fn start_time(id: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, spaces too.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let state = *fields.first()?;
    (state != "Z" && state != "X").then(|| fields.get(19).map(|time| (*time).to_owned()))?
}

/// Locks a file for as long as the result lives; others wait for `limit`.
pub fn lock(path: &Path, limit: Duration) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(BedError::io(path))?;
    until(&format!("nobody else works on {}", path.display()), limit, || {
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|error| error.to_string())
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(folder: &Path) -> Room {
        Room { network: "/proc/self/ns/net".into(), mounts: None, cgroup: None, folder: folder.to_owned() }
    }

    fn start(room: &Room, script: &str) -> Process {
        room.start("sleeper", Path::new("sh"), &["-c".into(), script.into()], &[]).unwrap()
    }

    #[test]
    fn a_process_is_found_again_and_one_that_ended_shows_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let room = room(folder.path());
        let process = start(&room, "exec sleep 100");
        assert_eq!(room.process("sleeper").id(), process.id());
        assert!(room.start("sleeper", Path::new("true"), &[], &[]).is_err(), "never two of one name");
        assert_eq!(room.processes().iter().map(|process| process.name.as_str()).collect::<Vec<_>>(), ["sleeper"]);
        process.kill().unwrap();
        assert_eq!(process.id(), None);
        let process = start(&room, "echo last words >&2; exit 3");
        until("ended", KILLED, || process.ended()).unwrap();
        assert!(process.check().unwrap_err().to_string().contains("last words"));
    }

    #[test]
    fn a_process_that_will_not_end_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let process = start(&room(folder.path()), "exec sleep 100");
        process.freeze().unwrap();
        process.kill().unwrap();
        assert_eq!(process.id(), None);
        process.stop().unwrap();
    }

    #[test]
    fn the_id_of_another_process_is_not_taken_for_ours() {
        let folder = tempfile::tempdir().unwrap();
        let process = room(folder.path()).process("other");
        fs::write(&process.record, format!("{} 1\n", std::process::id())).unwrap();
        assert_eq!(process.id(), None);
    }
}
