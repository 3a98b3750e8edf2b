//! The targets, and how near the figures come to them. A target that is missed is said, and is no error.

use super::figures::ObjectFigures;
use super::limits::Limit;
use super::processes::Together;
use serde::Serialize;
use std::fmt::{Display, Formatter};

/// Objects that the targets of speed are for.
pub const OBJECTS: u64 = 30_000;
/// Backup: its step of objects beside a bare paged LIST.
const BACKUP_OF_LIST: f64 = 0.5;
/// Backup: what the whole run may take beyond that step, in seconds.
const BACKUP_BEYOND: f64 = 3.0;
/// Restore: the whole run, with its start, beside bare creates.
const RESTORE_OF_CREATES: f64 = 0.8;
/// Memory of all our processes together, in MiB.
const MEMORY: f64 = 512.0;

/// What the API servers take for the same objects without us.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// A paged LIST of them on the site that is saved.
    pub list: Limit,
    /// Their creation on the site that is restored to.
    pub creates: Limit,
}

/// Many more objects, saved and restored: what that takes of memory.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Large {
    /// Objects. No more of them are Deployments than of the objects that the speed is measured on.
    pub objects: u64,
    /// How long their creation took.
    pub create_seconds: f64,
    /// They are saved.
    pub backup: ObjectFigures,
    /// They are restored.
    pub restore: ObjectFigures,
    /// The most memory of all our processes together meanwhile.
    pub memory: Together,
}

/// A figure beside what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// What was measured.
    pub what: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The figure.
    pub measured: f64,
    /// At least or at most so much is wanted; none of a figure that only explains another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
    /// Whether it is as wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

/// A bound of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Wanted {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

impl Wanted {
    fn is_met(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
        }
    }
}

impl Target {
    fn wanted(what: &'static str, unit: &'static str, measured: f64, wanted: Wanted) -> Self {
        Self { what, unit, measured, wanted: Some(wanted), met: Some(wanted.is_met(measured)) }
    }

    fn explains(what: &'static str, unit: &'static str, measured: f64) -> Self {
        Self { what, unit, measured, wanted: None, met: None }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.measured, self.unit)?;
        match (self.wanted, self.met) {
            (Some(Wanted::AtLeast(wanted)), Some(met)) => write!(f, " (at least {wanted}): {}", said(met)),
            (Some(Wanted::AtMost(wanted)), Some(met)) => write!(f, " (at most {wanted}): {}", said(met)),
            _ => Ok(()),
        }
    }
}

fn said(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// To a hundredth.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// How many times as quick as the limit; the limit itself is 1.
fn ratio(limit: Limit, seconds: f64) -> f64 {
    rounded(limit.seconds / seconds.max(0.01))
}

/// All targets, each followed by what explains it.
pub fn judge(limits: &Limits, backup: &ObjectFigures, again: &ObjectFigures, restore: &ObjectFigures, large: Option<&Large>) -> Vec<Target> {
    let (of_list, of_creates) = ("of a bare LIST", "of bare creates");
    let mut all = vec![
        Target::wanted("Backup, its step of objects", of_list, ratio(limits.list, backup.step_seconds), Wanted::AtLeast(BACKUP_OF_LIST)),
        Target::explains("  its mover's process alone", of_list, ratio(limits.list, backup.mover_seconds)),
        Target::explains("  again, nothing changed", of_list, ratio(limits.list, again.step_seconds)),
        Target::wanted("Backup, whole, beyond that step", "s", rounded(backup.run_seconds - backup.step_seconds), Wanted::AtMost(BACKUP_BEYOND)),
        Target::wanted("Restore, whole", of_creates, ratio(limits.creates, restore.run_seconds), Wanted::AtLeast(RESTORE_OF_CREATES)),
        Target::explains("  its objects and their start", of_creates, ratio(limits.creates, restore.step_seconds + restore.start_seconds)),
        Target::explains("  its objects alone", of_creates, ratio(limits.creates, restore.step_seconds)),
    ];
    if let Some(Large { memory, .. }) = large {
        all.push(Target::wanted("Memory, most of all together", "MiB, each at its peak so far", memory.peaks_mebibytes, Wanted::AtMost(MEMORY)));
        all.push(Target::explains("  resident at one time", "MiB", memory.resident_mebibytes));
        all.push(Target::explains("  charged, with the kernel's cache of files", "MiB", memory.groups_mebibytes));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn figures(step_seconds: f64, start_seconds: f64, run_seconds: f64) -> ObjectFigures {
        ObjectFigures {
            objects: OBJECTS,
            step_seconds,
            mover_seconds: step_seconds - 1.0,
            start_seconds,
            objects_per_minute: 0,
            run_seconds,
            other_steps: Vec::new(),
            added_mebibytes: None,
            movers: Vec::new(),
            beside: Vec::new(),
        }
    }

    #[test]
    fn a_target_is_met_or_missed_beside_the_quicker_limit_and_the_whole_restore_counts() {
        let of = |seconds| Limit::of(Duration::from_secs(seconds), Duration::from_secs(seconds + 1));
        let limits = Limits { list: of(2), creates: of(40) };
        let (backup, again, restore) = (figures(4.0, 0.0, 7.01), figures(3.0, 0.0, 6.0), figures(45.0, 3.0, 51.0));
        let memory = Together { peaks_mebibytes: 512.0, resident_mebibytes: 400.0, groups_mebibytes: 900.0 };
        let large = Large { objects: 300_000, create_seconds: 0.0, backup: backup.clone(), restore: restore.clone(), memory };
        let all = judge(&limits, &backup, &again, &restore, Some(&large));
        let judged: Vec<String> = all.iter().filter(|target| target.met.is_some()).map(|target| format!("{}: {target}", target.what)).collect();
        assert_eq!(
            judged,
            [
                "Backup, its step of objects: 0.5 of a bare LIST (at least 0.5): met",
                "Backup, whole, beyond that step: 3.01 s (at most 3): missed",
                "Restore, whole: 0.78 of bare creates (at least 0.8): missed",
                "Memory, most of all together: 512 MiB, each at its peak so far (at most 512): met",
            ]
        );
        assert_eq!(judge(&limits, &backup, &again, &restore, None).len(), all.len() - 3, "memory is measured with the large load only");
    }
}
