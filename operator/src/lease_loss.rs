//! Losing the lease is no crash: the process starts anew and waits for the lease again.
//!
//! It replaces itself by its own program (`exec`), with the same arguments: threads, tasks, caches and connections are gone for certain, as if it had ended, and the next term
//! begins from the journals. But it is the same process in the same container: nobody counts a crash, and no back-off of the kubelet keeps both replicas from the lease at once.
//! Who starves waits longer from loss to loss, since each start lists everything again.

use p861_runs::own_program::own_program;
use std::{env, ffi::OsString, fmt, io, os::unix::process::CommandExt as _, process::Command, str::FromStr, time::Duration};

/// Hands the losses on to the program that follows.
const VARIABLE: &str = "P861_LEASE_LOSSES";
/// A lease that was held for so long was lost for a reason of its own.
const LONG_TERM: Duration = Duration::from_mins(10);
/// The wait after the second loss in a row; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Shorter than the two minutes without a leader after which a person is called.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How often this process has lost the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Since it was started.
    pub total: u64,
    /// Since it last held the lease for long.
    in_a_row: u32,
}

impl Losses {
    /// Of this process; none if it was just started.
    ///
    /// # Errors
    /// If somebody else has set the variable.
    pub fn of_environment() -> Result<Self, String> {
        env::var(VARIABLE).map_or_else(|_| Ok(Self::default()), |text| text.parse())
    }

    /// After another one, of a lease that was held for so long.
    pub fn after(self, held_for: Duration) -> Self {
        let before = if held_for < LONG_TERM { self.in_a_row } else { 0 };
        Self { total: self.total.saturating_add(1), in_a_row: before.saturating_add(1) }
    }

    /// The wait before this process competes for the lease again. None after a single loss: whatever it was, it may be over.
    pub fn pause(self) -> Duration {
        match self.in_a_row {
            0 | 1 => Duration::ZERO,
            times => FIRST_PAUSE.saturating_mul(1 << (times - 2).min(16)).min(LONGEST_PAUSE),
        }
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.total, self.in_a_row)
    }
}

impl FromStr for Losses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(',').and_then(|(total, in_a_row)| Some(Self { total: total.parse().ok()?, in_a_row: in_a_row.parse().ok()? }));
        parsed.ok_or_else(|| format!("{VARIABLE} is {text:?}: the operator sets it itself; remove it"))
    }
}

/// Replaces this process by its program, started as it was. Returns only if that can't be done.
///
/// What a program inherits is its arguments and environment, its working directory, and its standard input and output; every other file is closed (they are opened so), signals
/// have their default handlers, and nothing is blocked: one that comes before the program has set its handlers is lost, as at every start. What it would inherit as well are child processes: end them before.
pub fn start_anew(losses: Losses) -> io::Error {
    let program = match own_program() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = env::args_os();
    // The name by which it was started, whatever its path: people and tests find the process by it.
    let name = arguments.next().unwrap_or_else(|| OsString::from("p861-operator"));
    Command::new(program).arg0(name).args(arguments).env(VARIABLE, losses.to_string()).exec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, fs, path::Path, process::Output, sync::mpsc, thread};

    #[test]
    fn fault_h7_who_loses_the_lease_again_and_again_waits_longer_each_time_and_never_for_long() {
        let mut losses = Losses::default();
        assert_eq!(losses.pause(), Duration::ZERO);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            losses = losses.after(Duration::from_secs(30));
            pauses.push(losses.pause().as_secs());
        }
        assert_eq!(pauses, [0, 5, 10, 20, 40, 60, 60, 60]);
        losses = losses.after(Duration::from_mins(10));
        assert_eq!((losses.total, losses.pause()), (9, Duration::ZERO), "it was held for long meanwhile");
        let often = Losses { total: u64::MAX, in_a_row: u32::MAX }.after(Duration::ZERO);
        assert_eq!((often.total, often.pause()), (u64::MAX, LONGEST_PAUSE));
    }

    #[test]
    fn losses_are_handed_on_as_they_are_and_nothing_else_is_taken_for_them() {
        let losses = Losses { total: 12, in_a_row: 3 };
        assert_eq!(losses.to_string().parse(), Ok(losses));
        for wrong in ["", "12", "12,", "a,3", "12,3,4", "-1,0"] {
            assert!(wrong.parse::<Losses>().unwrap_err().contains(VARIABLE), "{wrong}");
        }
    }

    /// Says to the test program, started by itself, that it is to start anew.
    const TOLD: &str = "P861_TEST_STARTS_ANEW";

    /// What a process is, apart from what it has done. Its signals are those of the thread that asks: the first one has them blocked for the moment in which it makes another.
    fn self_portrait() -> String {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines: BTreeMap<&str, &str> = status.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key, value.trim())).collect();
        // The twentieth value after the name, which may have spaces in it: when it began.
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let began = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().to_owned();
        let name = env::args().next().unwrap();
        format!("pid {} began {began} blocked {} ignored {} name {name}", std::process::id(), lines["SigBlk"], lines["SigIgn"])
    }

    fn open_files() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    /// Starts anew if told, with threads, files and a server that nobody has ended. Does nothing in the test program itself.
    #[test]
    fn starts_anew_if_told() {
        let Ok(told) = env::var(TOLD) else { return };
        let losses = Losses::of_environment().unwrap();
        eprintln!("{} losses {losses} files {}", self_portrait(), open_files());
        if losses.total == 2 {
            return;
        }
        let (_held, hold) = mpsc::channel::<()>();
        thread::spawn(move || hold.recv());
        let _server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _file = fs::File::open("/proc/self/status").unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        drop(runtime.spawn(std::future::pending::<()>()));
        if told == "replaced" && losses.total == 0 {
            // As an upgrade does it: another file has the name, and the running program has none.
            let program = env::current_exe().unwrap();
            let other = program.with_extension("new");
            fs::write(&other, "another version").unwrap();
            fs::rename(&other, &program).unwrap();
        }
        let error = start_anew(losses.after(Duration::ZERO));
        panic!("it can't start anew: {error}");
    }

    fn told_to_start_anew(program: &Path, told: &str) -> (Output, Vec<String>) {
        let mut command = Command::new(program);
        command.args(["--exact", "lease_loss::tests::starts_anew_if_told", "--nocapture"]).env(TOLD, told).env_remove(VARIABLE);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.starts_with("pid ")).map(str::to_owned).collect();
        (output, said)
    }

    #[test]
    fn fault_h7_the_same_process_starts_anew_and_inherits_no_thread_file_or_signal() {
        let (output, said) = told_to_start_anew(&env::current_exe().unwrap(), "same");
        assert!(output.status.success() && said.len() == 3, "{output:?}");
        let portraits: Vec<(&str, &str)> = said.iter().map(|line| line.split_once(" losses ").unwrap()).collect();
        assert!(portraits.iter().all(|(portrait, _)| *portrait == portraits[0].0), "{portraits:?}");
        let handed_on: Vec<&str> = portraits.iter().map(|(_, rest)| rest.split_once(' ').unwrap().0).collect();
        assert_eq!(handed_on, ["0,0", "1,1", "2,2"]);
        let files: Vec<&str> = portraits.iter().map(|(_, rest)| rest.split_once(" files ").unwrap().1).collect();
        assert!(files.iter().all(|count| *count == files[0]), "files are inherited: {files:?}");
    }

    #[test]
    fn fault_h7_it_is_the_same_program_that_starts_anew_also_if_an_upgrade_has_replaced_its_file() {
        let running = env::current_exe().unwrap();
        let program = running.with_extension("replaced-meanwhile");
        let _ = fs::remove_file(&program);
        fs::hard_link(&running, &program).unwrap();
        let (output, said) = told_to_start_anew(&program, "replaced");
        fs::remove_file(&program).unwrap();
        assert!(output.status.success() && said.len() == 3, "{output:?}");
    }
}
