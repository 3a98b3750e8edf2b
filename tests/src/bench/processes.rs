//! The operator's and its movers' processes, looked at from outside: through the bed's control groups, every few milliseconds.
//!
//! A mover's control group is gone when it has ended, so nothing of it can be read afterwards: its peak is what the last look before its end saw.

use super::timeline::between;
use jiff::Timestamp;
use p861_testbed::bed::{BedError, Result};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often is looked: times of movers are as exact as this.
pub const EVERY: Duration = Duration::from_millis(25);
/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// The program, as the kernel names it.
const PROGRAM: &str = "p861-operator";
/// Linux counts the time of processes in hundredths of a second, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// What a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A replica of the operator: the pod's name.
    Operator(String),
    /// A mover: its run's UID and its task.
    Mover {
        /// The run.
        run: String,
        /// The task.
        task: String,
    },
}

/// A process and the most that it used.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it is.
    pub role: Role,
    /// When it was first seen to run.
    pub first: Timestamp,
    /// When it was last seen to run.
    pub last: Timestamp,
    /// Resident memory now, in bytes.
    pub resident: u64,
    /// The most that was resident (VmHWM), in bytes.
    pub peak_resident: u64,
    /// The most that its control group was charged, in bytes: with the files that it read and wrote, which the kernel drops when memory is short.
    pub peak_group: u64,
    /// Processor time used.
    pub cpu: Duration,
    id: i32,
    group: PathBuf,
}

impl Seen {
    /// How long it ran.
    pub fn ran(&self) -> Duration {
        between(self.first, self.last)
    }
}

/// Looks at the processes of a bed until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    over: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to look below the bed's control group.
    pub fn begin(group: &str) -> Result<Self> {
        let version_one = Path::new(ROOT).join("memory");
        let root = if version_one.is_dir() { version_one } else { PathBuf::from(ROOT) }.join(group);
        if !root.is_dir() {
            return Err(BedError::Refused(format!("{} is not there: no memory can be measured", root.display())));
        }
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (shared, ends) = (seen.clone(), over.clone());
        let looking = thread::spawn(move || {
            let mut look = Look { root, known: BTreeMap::new(), dull: HashSet::new(), first: true };
            while !ends.load(Ordering::Relaxed) {
                look.once(&mut shared.lock());
                thread::sleep(EVERY);
            }
        });
        Ok(Self { seen, over, looking: Some(looking) })
    }

    /// Everything that was seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// The operator's processes.
    pub fn operators(&self) -> Vec<(String, Seen)> {
        let name = |seen: Seen| match &seen.role {
            Role::Operator(pod) => Some((pod.clone(), seen)),
            Role::Mover { .. } => None,
        };
        self.seen().into_iter().filter_map(name).collect()
    }

    /// The mover of a run that did a task; of several attempts the last.
    pub fn mover(&self, run: &str, task: &str) -> Result<Seen> {
        let wanted = Role::Mover { run: run.to_owned(), task: task.to_owned() };
        let found = self.seen().into_iter().rev().find(|seen| seen.role == wanted);
        found
            .ok_or_else(|| BedError::Refused(format!("no mover of run {run} with task {task} was seen: it ended within {} ms of its start", EVERY.as_millis())))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(looking) = self.looking.take() {
            // It only reads; if it panicked, what it saw before stays.
            let _ = looking.join();
        }
    }
}

struct Look {
    root: PathBuf,
    /// Control groups of processes that are watched, and which of the seen each is.
    known: BTreeMap<PathBuf, usize>,
    /// Control groups of other pods.
    dull: HashSet<PathBuf>,
    first: bool,
}

impl Look {
    fn once(&mut self, seen: &mut Vec<Seen>) {
        let now = Timestamp::now();
        self.known.retain(|_, at| seen.get_mut(*at).is_some_and(|seen| look_again(seen, now)));
        for pod in folders(&self.root).iter().flat_map(|site| pods(site)) {
            if self.dull.contains(&pod) {
                continue;
            }
            let groups = folders(&pod);
            for group in &groups {
                if self.known.contains_key(group) {
                    continue;
                }
                if let Some(found) = find(group, now) {
                    self.known.insert(group.clone(), seen.len());
                    seen.push(found);
                }
            }
            // Pods that were there before the first look and hold nothing of ours never will. Of a later one that can't be said: until the program runs,
            // the runtime's own processes stand there under names of many kinds.
            if self.first && !groups.iter().any(|group| self.known.contains_key(group)) {
                self.dull.insert(pod);
            }
        }
        self.first = false;
    }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// The groups of pods, which a kubelet makes by their quality of service.
fn pods(site: &Path) -> Vec<PathBuf> {
    let all = site.join("kubepods");
    let is_pod = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pod"));
    [all.clone(), all.join("burstable"), all.join("besteffort")].iter().flat_map(|class| folders(class)).filter(is_pod).collect()
}

/// The program in this group, if it runs there.
fn find(group: &Path, now: Timestamp) -> Option<Seen> {
    let text = fs::read_to_string(group.join("cgroup.procs")).ok()?;
    let id = text.lines().find_map(|line| line.trim().parse::<i32>().ok())?;
    let place = PathBuf::from(format!("/proc/{id}"));
    if fs::read_to_string(place.join("comm")).ok()?.trim() != PROGRAM {
        return None;
    }
    // Between being replaced and having its own environment it has none.
    let role = role(&fs::read(place.join("environ")).ok()?)?;
    let mut seen = Seen { role, first: now, last: now, resident: 0, peak_resident: 0, peak_group: 0, cpu: Duration::ZERO, id, group: group.to_owned() };
    look_again(&mut seen, now).then_some(seen)
}

/// Which process it is, by what the operator's Deployment and its Jobs give theirs.
fn role(environment: &[u8]) -> Option<Role> {
    let variable = |name: &str| {
        environment.split(|byte| *byte == 0).find_map(|pair| Some(String::from_utf8_lossy(pair).strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    };
    if let (Some(run), Some(task)) = (variable("P861_RUN"), variable("P861_TASK")) {
        let task: serde_json::Value = serde_json::from_str(&task).ok()?;
        return Some(Role::Mover { run, task: task["task"].as_str()?.to_owned() });
    }
    variable("POD_NAME").map(Role::Operator)
}

/// Reads what the process uses. Says whether it still runs.
fn look_again(seen: &mut Seen, now: Timestamp) -> bool {
    let place = PathBuf::from(format!("/proc/{}", seen.id));
    let Some((resident, peak)) =
        fs::read_to_string(place.join("status")).ok().and_then(|status| Some((kibibytes(&status, "VmRSS:")?, kibibytes(&status, "VmHWM:")?)))
    else {
        return false;
    };
    let group = ["memory.max_usage_in_bytes", "memory.peak"].iter().find_map(|file| fs::read_to_string(seen.group.join(file)).ok()?.trim().parse::<u64>().ok());
    seen.last = now;
    seen.resident = resident;
    seen.peak_resident = seen.peak_resident.max(peak);
    seen.peak_group = seen.peak_group.max(group.unwrap_or_default());
    if let Some(cpu) = fs::read_to_string(place.join("stat")).ok().and_then(|stat| processor_time(&stat)) {
        seen.cpu = cpu;
    }
    true
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let number = status.lines().find_map(|line| line.strip_prefix(name))?;
    number.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// Processor time that a process has used so far, from its start.
pub fn processor_time_of(id: Option<i32>) -> Result<Duration> {
    let time = id.and_then(|id| processor_time(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?));
    time.ok_or_else(|| BedError::Refused("a process of the bed is gone: no processor time can be read".to_owned()))
}

/// User and system time: fields 14 and 15, counted behind the name, which may hold blanks.
fn processor_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_what_it_was_given() {
        let mover = b"PATH=/bin\0P861_TASK={\"task\":\"backupObjects\",\"namespaces\":[\"n\"]}\0P861_RUN=u-1\0P861_RUN_NAME=x\0POD_NAME=y\0";
        assert_eq!(role(mover), Some(Role::Mover { run: "u-1".into(), task: "backupObjects".into() }));
        assert_eq!(role(b"POD_NAME=p861-operator-1\0HOME=/\0"), Some(Role::Operator("p861-operator-1".into())));
        assert_eq!(role(b""), None);
    }

    #[test]
    fn memory_and_time_are_read_as_the_kernel_writes_them() {
        assert_eq!(kibibytes("Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t 99 kB\n", "VmHWM:"), Some(12_345 * 1024));
        let stat = "42 (a name) with) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 12345 1 2";
        assert_eq!(processor_time(stat), Some(Duration::from_secs(2)));
    }
}
