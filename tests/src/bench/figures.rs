//! The figures, as a table for people and as JSON for programs.

use super::load;
use super::targets::{self, Large, Limits, Target};
use serde::Serialize;
use std::time::Duration;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// What they hold for.
    pub conditions: Conditions,
    /// What the API servers take for the same objects without us.
    pub limits: Limits,
    /// How near the figures come to what is wanted of them.
    pub targets: Vec<Target>,
    /// A namespace of many small objects, saved.
    pub backup: ObjectFigures,
    /// The same again, with nothing changed.
    pub backup_again: ObjectFigures,
    /// The same, written into an empty namespace of the other site.
    pub restore: ObjectFigures,
    /// The operator's processes.
    pub operators: Vec<OperatorFigures>,
    /// What a run costs beside its work.
    pub overhead: Overhead,
    /// The engine without a world.
    pub engine: EngineFigures,
    /// Many more objects, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large: Option<Large>,
}

/// What figures hold for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conditions {
    /// When the measurement began.
    pub begun: String,
    /// Objects.
    pub objects: u64,
    /// How many of them are Deployments that want no replicas; the others are ConfigMaps.
    pub deployments: u64,
    /// Bytes of data of each ConfigMap.
    pub bytes_per_object: usize,
    /// How the operator, which is also the mover, was built: `debug` or `release`.
    pub build: &'static str,
    /// Processors of the machine, which everything shares: both sites, S3, the operator and the measurement.
    pub processors: usize,
    /// Its memory.
    pub memory_mebibytes: u64,
    /// Niceness of the measurement, and so of the sites' own processes; movers and the operator have none.
    pub niceness: i64,
    /// How many processes wanted a processor before the sites came up, on the average of a minute.
    pub load_before: String,
    /// The same while figures were taken, after each part.
    pub load_during: Vec<String>,
    /// Version of the sites' API servers.
    pub kubernetes: String,
    /// Other test beds that were up at the beginning or the end: figures taken beside them are worse.
    pub other_beds: Vec<String>,
    /// What whoever measured wants to add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A step that saves or writes objects.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectFigures {
    /// Objects that it saved or wrote, those of Kubernetes' own included.
    pub objects: u64,
    /// From the step's intent to its outcome.
    pub step_seconds: f64,
    /// How long of that time its mover's process ran.
    pub mover_seconds: f64,
    /// The steps that start workloads; none of a backup.
    pub start_seconds: f64,
    /// Objects by the time of the step.
    pub objects_per_minute: u64,
    /// From being asked for the run until its end was seen.
    pub run_seconds: f64,
    /// The other steps of the run.
    pub other_steps: Vec<StepSeconds>,
    /// Bytes that the backup added to the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_mebibytes: Option<f64>,
    /// What each mover of the run used.
    pub movers: Vec<MoverFigures>,
    /// Processor time of the others during the run: what a busy machine changes least.
    pub beside: Vec<ProcessorSeconds>,
}

/// How long a step took.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepSeconds {
    /// The step.
    pub step: String,
    /// From intent to outcome.
    pub seconds: f64,
}

/// Processor time of a process.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessorSeconds {
    /// The process.
    pub process: String,
    /// How much.
    pub seconds: f64,
}

/// What a mover used.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MoverFigures {
    /// Its first task.
    pub task: String,
    /// How long its process ran.
    pub seconds: f64,
    /// Processor time.
    pub processor_seconds: f64,
    /// The most memory that was resident.
    pub resident_mebibytes: f64,
    /// The most that its control group was charged, with the kernel's cache of its files.
    pub group_mebibytes: f64,
}

/// A replica of the operator.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorFigures {
    /// Its pod.
    pub pod: String,
    /// Whether it held the lease at the end.
    pub leads: bool,
    /// Resident while nothing ran.
    pub idle_mebibytes: f64,
    /// Share of one processor while nothing ran.
    pub idle_cores: f64,
    /// How long that was looked at.
    pub idle_seconds: f64,
    /// The most that was resident, from its start to the end of all runs.
    pub peak_resident_mebibytes: f64,
    /// The most that its control group was charged.
    pub peak_group_mebibytes: f64,
}

/// What a run costs beside its work. Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overhead {
    /// From asking for a Backup or Restore to its journal's first record.
    pub claim: Spread,
    /// From the journal's last record to the end being seen on its object.
    pub tell: Spread,
    /// A step with a trivial effect, journal in a ConfigMap: from its intent to its outcome.
    pub step_in_config_map: Spread,
    /// The same with the journal in the bucket.
    pub step_in_bucket: Spread,
    /// A step whose work a mover does: its time without the time in which the mover's process ran.
    pub step_of_mover: Spread,
    /// A Backup of next to nothing: (from asking to the end − what ran of movers) ÷ steps on the critical path.
    pub backup_per_step: Spread,
    /// A Backup of next to nothing, from asking to the end.
    pub small_backup: Spread,
    /// What of a run's time no step of the critical path accounts for.
    pub between_steps: Spread,
    /// A Tabletop drill, from asking to the end.
    pub tabletop: Spread,
    /// Steps that needed more than one attempt; they are in no figure.
    pub retried: usize,
}

/// The engine without a world. Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineFigures {
    /// Steps of the plan.
    pub steps: usize,
    /// Checking and ordering the plan.
    pub compile_milliseconds: f64,
    /// One round of a chain: replay of the journal, what is due, and the records for it.
    pub round: Spread,
    /// The whole chain, one round for each step.
    pub chain_milliseconds: f64,
    /// Summing up the finished chain for the status.
    pub summary_milliseconds: f64,
    /// As many steps that wait for nothing, to their end.
    pub at_once_milliseconds: f64,
    /// In how many rounds.
    pub at_once_rounds: usize,
}

/// Several times of one thing, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// How many.
    pub samples: usize,
    /// Half of them took no longer.
    pub p50: f64,
    /// 95 of a hundred took no longer.
    pub p95: f64,
    /// The longest.
    pub longest: f64,
}

impl Spread {
    /// Of these times; all zero if there are none.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let count = times.len();
        // Nearest rank: a time that was measured, never one between two.
        let rank = |percent: usize| times.get((count * percent).div_ceil(100).saturating_sub(1)).copied().map(milliseconds).unwrap_or_default();
        Self { samples: count, p50: rank(50), p95: rank(95), longest: rank(100) }
    }
}

/// To a hundredth.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// To a hundredth.
pub fn in_seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}

/// To a tenth.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
pub fn mebibytes(bytes: u64) -> f64 {
    (bytes as f64 / 1_048_576.0 * 10.0).round() / 10.0
}

/// So many of them in a minute.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are far below 2^52 and positive")]
pub fn per_minute(count: u64, time: Duration) -> u64 {
    (count as f64 * 60.0 / time.as_secs_f64().max(0.001)).round() as u64
}

impl Figures {
    /// What people read.
    pub fn table(&self) -> String {
        let mut rows: Vec<(String, String)> = Vec::new();
        let mut row = |what: &str, value: String| rows.push((what.to_owned(), value));
        row(&format!("Bare LIST, pages of {}, one connection", load::PAGE_SIZE), self.limits.list.to_string());
        row(&format!("Bare creates, {} connections", load::CONNECTIONS), self.limits.creates.to_string());
        for target in &self.targets {
            row(target.what, target.to_string());
        }
        if self.conditions.objects != targets::OBJECTS {
            row("Targets", format!("they are for {} objects", targets::OBJECTS));
        }
        let mut runs = vec![("Backup", &self.backup), ("Backup again, nothing changed", &self.backup_again), ("Restore", &self.restore)];
        runs.extend(self.large.iter().flat_map(|large| [("Backup, large", &large.backup), ("Restore, large", &large.restore)]));
        for (what, figures) in runs {
            row(
                what,
                format!(
                    "{} objects in {} s: {} a minute (its mover ran {} s)",
                    figures.objects, figures.step_seconds, figures.objects_per_minute, figures.mover_seconds
                ),
            );
            let others: Vec<String> = figures.other_steps.iter().map(|step| format!("{} {} s", step.step, step.seconds)).collect();
            row("  the whole run", format!("{} s ({})", figures.run_seconds, others.join(", ")));
            if let Some(added) = figures.added_mebibytes {
                row("  added to the repository", format!("{added} MiB"));
            }
            for mover in &figures.movers {
                let MoverFigures { task, seconds, processor_seconds, resident_mebibytes, group_mebibytes } = mover;
                let used =
                    format!("{seconds} s, of a processor {processor_seconds} s; at most {resident_mebibytes} MiB resident, {group_mebibytes} MiB charged");
                row(&format!("  mover {task}"), used);
            }
            let beside: Vec<String> = figures.beside.iter().map(|used| format!("{} {} s", used.process, used.seconds)).collect();
            row("  processor time beside", beside.join(", "));
        }
        for operator in &self.operators {
            let role = if operator.leads { "Operator, leading" } else { "Operator, waiting" };
            row(role, format!("most memory {} MiB resident, {} MiB charged", operator.peak_resident_mebibytes, operator.peak_group_mebibytes));
            row("  idle", format!("{} MiB resident, {} cores over {} s", operator.idle_mebibytes, operator.idle_cores, operator.idle_seconds));
        }
        let overhead = &self.overhead;
        for (what, spread) in [
            ("Run: asked → claimed", &overhead.claim),
            ("Run: finished → told", &overhead.tell),
            ("Run: outside its steps", &overhead.between_steps),
            ("Step, trivial, journal in ConfigMap", &overhead.step_in_config_map),
            ("Step, trivial, journal in bucket", &overhead.step_in_bucket),
            ("Step of a mover, without the mover", &overhead.step_of_mover),
            ("Backup of nothing, overhead per step", &overhead.backup_per_step),
            ("Backup of nothing, whole", &overhead.small_backup),
            ("Tabletop drill, whole", &overhead.tabletop),
        ] {
            row(what, spread.to_string());
        }
        if overhead.retried > 0 {
            row("Steps left out, because they were retried", overhead.retried.to_string());
        }
        let engine = &self.engine;
        row(
            &format!("Engine alone, {} steps in a chain", engine.steps),
            format!("compile {} ms, to the end {} ms, summary {} ms", engine.compile_milliseconds, engine.chain_milliseconds, engine.summary_milliseconds),
        );
        row("  one round", engine.round.to_string());
        row(&format!("Engine alone, {} steps at once", engine.steps), format!("{} ms in {} rounds", engine.at_once_milliseconds, engine.at_once_rounds));
        let widest = rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or_default();
        let lines = rows.iter().map(|(what, value)| format!("{what}{}  {value}\n", " ".repeat(widest - what.chars().count())));
        format!("{}\n{}", self.conditions, lines.collect::<String>())
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {} ms, p95 {} ms, longest {} ms ({} samples)", self.p50, self.p95, self.longest, self.samples)
    }
}

impl std::fmt::Display for Conditions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { objects, deployments, bytes_per_object, build, processors, memory_mebibytes, kubernetes, niceness, load_before, .. } = self;
        writeln!(
            f,
            "{objects} objects: {deployments} Deployments without replicas, and ConfigMaps of {bytes_per_object} bytes; operator of a {build} build; Kubernetes {kubernetes}; {processors} processors, {memory_mebibytes} MiB, niceness {niceness}, load {load_before} before"
        )?;
        if !self.other_beds.is_empty() {
            writeln!(f, "Beside these test beds, so figures are worse than they need be: {}", self.other_beds.join(", "))?;
        }
        self.note.as_ref().map_or(Ok(()), |note| writeln!(f, "{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times = |numbers: &[u64]| numbers.iter().map(|number| Duration::from_millis(*number)).collect();
        let spread = |samples, p50, p95, longest| Spread { samples, p50, p95, longest };
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(Spread::of(times(&hundred)), spread(100, 50.0, 95.0, 100.0));
        assert_eq!(Spread::of(times(&[7])), spread(1, 7.0, 7.0, 7.0));
        assert_eq!(Spread::of(times(&[30, 10, 20])), spread(3, 20.0, 30.0, 30.0));
        assert_eq!(Spread::of(vec![]), Spread::default());
    }

    #[test]
    fn objects_a_minute_follow_from_objects_and_time() {
        assert_eq!(per_minute(30_000, Duration::from_secs(45)), 40_000);
    }
}
