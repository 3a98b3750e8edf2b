//! The operator's and its movers' processes, looked at from outside: through the bed's control groups, every few milliseconds.
//!
//! A mover's control group is gone when it has ended, so nothing of it can be read afterwards: its peak is what the last look before its end saw.

use super::figures::mebibytes;
use super::timeline::{StepTime, between};
use jiff::Timestamp;
use p861_testbed::bed::{BedError, Result};
use parking_lot::Mutex;
use serde::Serialize;
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

impl Role {
    /// The first task of a mover; nothing of the operator.
    pub fn task(&self) -> &str {
        match self {
            Self::Operator(_) => "",
            Self::Mover { task, .. } => task,
        }
    }
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

    /// How long of a step it ran: it may have done others before, and may go on with others.
    fn ran_within(&self, step: &StepTime) -> Duration {
        between(self.first.max(step.intent), self.last.min(step.done))
    }

    fn began_within(&self, step: &StepTime) -> bool {
        step.intent <= self.first && self.first <= step.done
    }
}

/// The most memory of all processes that ran at the same time: the operator's replicas and the movers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Together {
    /// The sum of what each had needed at most by then (VmHWM). No peak between two looks is missed, so this is what is judged.
    pub peaks_mebibytes: f64,
    /// The sum of what was resident at a look.
    pub resident_mebibytes: f64,
    /// The sum of what their control groups had been charged at most by then, with the kernel's cache of their files.
    pub groups_mebibytes: f64,
}

impl Together {
    fn note(&mut self, running: &[&Seen]) {
        let most = |before: &mut f64, bytes: fn(&Seen) -> u64| *before = before.max(mebibytes(running.iter().map(|seen| bytes(seen)).sum()));
        most(&mut self.peaks_mebibytes, |seen| seen.peak_resident);
        most(&mut self.resident_mebibytes, |seen| seen.resident);
        most(&mut self.groups_mebibytes, |seen| seen.peak_group);
    }
}

/// What was seen so far.
#[derive(Default)]
struct Sight {
    seen: Vec<Seen>,
    together: Together,
}

/// Looks at the processes of a bed until it is dropped.
pub struct Watch {
    sight: Arc<Mutex<Sight>>,
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
        let (sight, over) = (Arc::new(Mutex::new(Sight::default())), Arc::new(AtomicBool::new(false)));
        let (shared, ends) = (sight.clone(), over.clone());
        let looking = thread::spawn(move || {
            let mut look = Look { root, known: BTreeMap::new(), dull: HashSet::new(), first: true };
            while !ends.load(Ordering::Relaxed) {
                look.once(&mut shared.lock());
                thread::sleep(EVERY);
            }
        });
        Ok(Self { sight, over, looking: Some(looking) })
    }

    /// Forgets how much memory all needed together so far.
    pub fn count_together_anew(&self) {
        self.sight.lock().together = Together::default();
    }

    /// The most memory that all needed together since it was counted anew.
    pub fn together(&self) -> Together {
        self.sight.lock().together
    }

    /// Everything that was seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.sight.lock().seen.clone()
    }

    /// The operator's processes.
    pub fn operators(&self) -> Vec<(String, Seen)> {
        let name = |seen: Seen| match &seen.role {
            Role::Operator(pod) => Some((pod.clone(), seen)),
            Role::Mover { .. } => None,
        };
        self.seen().into_iter().filter_map(name).collect()
    }

    /// The movers of a run, in the order in which they were seen.
    pub fn movers(&self, run: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| matches!(&seen.role, Role::Mover { run: of, .. } if of == run)).collect()
    }

    /// How long the mover of a run ran during a step; none if the step needed none.
    pub fn ran_during(&self, run: &str, step: &StepTime) -> Option<Duration> {
        mover_of(self.movers(run), step).map(|seen| seen.ran_within(step))
    }
}

/// The mover that did a step: the last that began within it, for its task, or one that began before and went on with it.
fn mover_of(movers: Vec<Seen>, step: &StepTime) -> Option<Seen> {
    let task = step.task.as_deref()?;
    let own = |seen: &Seen| seen.began_within(step) && seen.role.task() == task;
    let shared = |seen: &Seen| seen.first < step.intent && step.intent < seen.last;
    let at = movers.iter().rposition(own).or_else(|| movers.iter().rposition(shared))?;
    movers.into_iter().nth(at)
}

/// The error for a mover that must have run, and was not seen.
pub fn unseen(step: &StepTime) -> BedError {
    BedError::Refused(format!("no mover of step {} was seen: it ended within {} ms of its start", step.id, EVERY.as_millis()))
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
    fn once(&mut self, sight: &mut Sight) {
        let (seen, now) = (&mut sight.seen, Timestamp::now());
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
        let running: Vec<&Seen> = self.known.values().filter_map(|at| sight.seen.get(*at)).collect();
        sight.together.note(&running);
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
        // Whatever its task is, its memory counts.
        let task: serde_json::Value = serde_json::from_str(&task).unwrap_or_default();
        return Some(Role::Mover { run, task: task["task"].as_str().unwrap_or("unknown").to_owned() });
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
        assert_eq!(role(b"P861_TASK=x\0P861_RUN=u-1\0"), Some(Role::Mover { run: "u-1".into(), task: "unknown".into() }));
        assert_eq!(role(b"POD_NAME=p861-operator-1\0HOME=/\0"), Some(Role::Operator("p861-operator-1".into())));
        assert_eq!(role(b""), None);
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seen(role: Role, first: i64, last: i64) -> Seen {
        let (resident, peak_resident, peak_group) = (0, 0, 0);
        Seen { role, first: at(first), last: at(last), resident, peak_resident, peak_group, cpu: Duration::ZERO, id: 0, group: PathBuf::new() }
    }

    #[test]
    fn the_mover_of_a_step_is_its_own_or_one_that_went_on_with_it() {
        let mover = |task: &str, first, last| seen(Role::Mover { run: "u".into(), task: task.into() }, first, last);
        let movers = vec![mover("restoreObjects", 2, 3), mover("backupObjects", 12, 20)];
        let step = |task: Option<&str>, intent, done| StepTime {
            id: "step".into(),
            action: "move".into(),
            task: task.map(str::to_owned),
            intent: at(intent),
            done: at(done),
            attempts: 1,
            before: Vec::new(),
        };
        let ran = |step: StepTime| mover_of(movers.clone(), &step).map(|seen| seen.ran_within(&step).as_secs());
        assert_eq!(ran(step(Some("restoreObjects"), 1, 5)), Some(1), "its own");
        assert_eq!(ran(step(Some("backupObjects"), 10, 15)), Some(3), "one that goes on afterwards");
        assert_eq!(ran(step(Some("seal"), 16, 21)), Some(4), "one that has gone on");
        assert_eq!([ran(step(Some("restoreObjects"), 5, 6)), ran(step(None, 10, 15))], [None, None], "none was needed");
    }

    #[test]
    fn memory_of_all_together_is_the_most_of_those_that_run_at_the_same_time() {
        let seen = |resident: u64, peak: u64| {
            let (resident, peak_resident) = (resident << 20, peak << 20);
            Seen { resident, peak_resident, peak_group: 2 * peak_resident, ..seen(Role::Operator("o".into()), 0, 0) }
        };
        let mut together = Together::default();
        together.note(&[&seen(60, 64), &seen(30, 30), &seen(100, 200)]);
        together.note(&[&seen(120, 128), &seen(30, 30)]);
        assert_eq!(together, Together { peaks_mebibytes: 294.0, resident_mebibytes: 190.0, groups_mebibytes: 588.0 });
    }

    #[test]
    fn memory_and_time_are_read_as_the_kernel_writes_them() {
        assert_eq!(kibibytes("Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t 99 kB\n", "VmHWM:"), Some(12_345 * 1024));
        let stat = "42 (a name) with) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 12345 1 2";
        assert_eq!(processor_time(stat), Some(Duration::from_secs(2)));
    }
}
