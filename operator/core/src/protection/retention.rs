//! Retention: which snapshots of an application stay, each with all reasons why, and which go.
//!
//! A plan is computed from what is known, shown to people (`p861 backup retention --plan`), and only then carried out. Nothing goes that the plan doesn't name.
//!
//! # What stays
//! - *By number* ([`Retention`]): the `last` newest; of the newest so many hours, days, weeks (from Monday), months and years that have a snapshot the newest of each, in
//!   the district's time zone. An hour that a clock that is set back repeats is two hours. Numbers are of places, not ages: where no backup was taken, nothing goes.
//! - *Whatever the numbers say*: the newest sound one; of each verification level the newest, by its recovery point and by its proof; what a person keeps (`keepUntilTime`,
//!   the mark `platform861.io/keep`); what a run uses, or a warm copy stands on; a snapshot of the future, which a clock that was set back leaves; everything, where no
//!   number is stated.
//!
//! # What takes no place
//! Places are for snapshots that can be restored without a second thought. One that is damaged, lacks something or holds a mixture takes none, so that it drives no sound one
//! out. It stays while nothing sound is newer, and for two weeks. Nor does one of the future: its time says nothing.
//!
//! # Asking
//! A person may ask that one goes ([`Asked`]). It does not if it is held, nor if it is the newest or the newest of its level, unless the person has said so.

#[cfg(test)]
mod borders;
pub mod known;
pub mod ledger;
mod listed;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod verdict;

pub use listed::{Listed, stays_although_asked};
pub use verdict::{ForgetReason, Judged, KeepReason, Verdict};

use crate::ids::SnapshotId;
use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};
use p861_crds::{Retention, protection::backup::VerificationLevel};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long a snapshot that is not sound stays once a sound one is newer: somebody may look into it, or mend it.
pub const FLAWED_KEPT_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A snapshot is of the future only if it is this much ahead: clocks of machines differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);
/// The levels, the lowest first.
const LEVELS: [VerificationLevel; 3] = [VerificationLevel::Stored, VerificationLevel::Restored, VerificationLevel::Probed];

/// Why a snapshot is not sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Flaw {
    /// It was found damaged.
    Damaged,
    /// It lacks something that its backup should have.
    Partial,
    /// A restore had ended half way in the application: it holds a mixture.
    HalfRestored,
}

/// Why a snapshot may not go, whatever the numbers say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// `keepUntilTime` of its Backup.
    Until(Timestamp),
    /// Its Backup is marked `platform861.io/keep`.
    Marked,
    /// A run that has not ended uses it, for example `restore back-1`.
    InUse(String),
    /// A plan's warm copy stands on it.
    WarmCopy(String),
}

/// A person's wish that a snapshot goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Who.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Also if it is the newest, or the newest of its level.
    pub even_newest: bool,
}

/// A sealed snapshot of an application, with everything that its stay depends on. Snapshots that this product has not sealed, or for another district, are nobody's to judge:
/// they must not be among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSnapshot {
    /// restic's id.
    pub snapshot: SnapshotId,
    /// Name of its Backup, which may have left the hub.
    pub backup: String,
    /// Its recovery point.
    pub time: Timestamp,
    /// How far it was proven, and when.
    pub proof: Option<(VerificationLevel, Timestamp)>,
    /// Why it is not sound.
    pub flaw: Option<Flaw>,
    /// What keeps it.
    pub holds: Vec<Hold>,
    /// Whether somebody has asked that it goes.
    pub asked: Option<Asked>,
}

/// By what is judged.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The numbers; none if no policy states any.
    pub retention: Option<Retention>,
    /// The district's time zone.
    pub zone: TimeZone,
}

/// What becomes of all snapshots of one application, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// The snapshots.
    pub judged: Vec<Judged>,
}

impl RetentionPlan {
    /// Judges the snapshots of one application. The same snapshots give the same plan, in whatever order they come.
    pub fn of(snapshots: &[KnownSnapshot], terms: &Terms, now: Timestamp) -> Self {
        let mut newest_first: Vec<&KnownSnapshot> = snapshots.iter().collect();
        newest_first.sort_by(|a, b| (b.time, &b.snapshot).cmp(&(a.time, &a.snapshot)));
        let going = granted(&newest_first, now);
        let staying: Vec<&KnownSnapshot> = newest_first.iter().copied().filter(|known| !going.contains(&known.snapshot)).collect();
        let counted = counted(&staying, now);
        let mut reasons = first_of(&counted);
        if let Some(retention) = stated(terms.retention) {
            for (snapshot, reason) in places(&counted, retention, &terms.zone) {
                reasons.entry(snapshot).or_default().insert(reason);
            }
        }
        let newest_sound = counted.first().map(|known| known.time);
        let judge = |known: &&KnownSnapshot| {
            let verdict = match &known.asked {
                Some(asked) if going.contains(&known.snapshot) => Verdict::Forget(ForgetReason::Asked { by: asked.by.clone(), reason: asked.reason.clone() }),
                _ => stays(known, reasons.remove(&known.snapshot).unwrap_or_default(), newest_sound, terms, now),
            };
            let level = known.proof.map(|(level, _)| level);
            Judged { snapshot: known.snapshot.clone(), backup: known.backup.clone(), time: known.time, level, verdict }
        };
        Self { judged: newest_first.iter().map(judge).collect() }
    }

    /// Those that go, the newest first.
    pub fn going(&self) -> impl Iterator<Item = (&Judged, &ForgetReason)> {
        self.judged.iter().filter_map(|judged| match &judged.verdict {
            Verdict::Forget(reason) => Some((judged, reason)),
            Verdict::Keep(_) => None,
        })
    }

    /// Why a snapshot stays; none if it goes, or is none of these.
    pub fn reasons_to_keep(&self, snapshot: &SnapshotId) -> Option<&[KeepReason]> {
        self.judged.iter().find(|judged| judged.snapshot == *snapshot).and_then(|judged| match &judged.verdict {
            Verdict::Keep(reasons) => Some(reasons.as_slice()),
            Verdict::Forget(_) => None,
        })
    }
}

/// The numbers, if any of them keeps something. Numbers that keep nothing mean a mistake, or nothing at all, but never that everything goes.
fn stated(retention: Option<Retention>) -> Option<Retention> {
    let Retention { last, hourly, daily, weekly, monthly, yearly } = retention?;
    let any = [last, hourly, daily, weekly, monthly, yearly].into_iter().flatten().any(|number| number > 0);
    retention.filter(|_| any)
}

fn is_of_future(known: &KnownSnapshot, now: Timestamp) -> bool {
    known.time.duration_since(now) > CLOCKS_DIFFER
}

/// Those that take places: sound, and not of the future.
fn counted<'s>(newest_first: &[&'s KnownSnapshot], now: Timestamp) -> Vec<&'s KnownSnapshot> {
    newest_first.iter().copied().filter(|known| known.flaw.is_none() && !is_of_future(known, now)).collect()
}

/// The first in each respect, which stay whatever the numbers say.
fn first_of<'s>(counted: &[&'s KnownSnapshot]) -> BTreeMap<&'s SnapshotId, BTreeSet<KeepReason>> {
    let mut reasons: BTreeMap<&SnapshotId, BTreeSet<KeepReason>> = BTreeMap::new();
    let mut add = |known: Option<&&'s KnownSnapshot>, reason: KeepReason| {
        if let Some(known) = known {
            reasons.entry(&known.snapshot).or_default().insert(reason);
        }
    };
    add(counted.first(), KeepReason::Newest);
    for level in LEVELS {
        let proven = || counted.iter().filter(|known| known.proof.is_some_and(|(reached, _)| reached >= level));
        add(proven().next(), KeepReason::NewestOfLevel { level });
        // Of several that were proven at the same time the last is taken: the newest.
        add(proven().rev().max_by_key(|known| known.proof.map(|(_, when)| when)), KeepReason::NewestOfLevel { level });
    }
    reasons
}

/// A stretch of time of which one snapshot stays: two snapshots are of the same if these are equal.
type Period = [i32; 5];

/// The period of a moment, for one of the numbers.
type PeriodOf = fn(&Zoned) -> Period;

/// By the offset, too: an hour that comes twice is two.
fn hour_of(at: &Zoned) -> Period {
    let [year, month, day, ..] = day_of(at);
    [year, month, day, at.hour().into(), at.offset().seconds()]
}

fn day_of(at: &Zoned) -> Period {
    let date = at.date();
    [date.year().into(), date.month().into(), date.day().into(), 0, 0]
}

/// ISO 8601: the first days of January may be of the last week of the year before.
fn week_of(at: &Zoned) -> Period {
    let week = at.date().iso_week_date();
    [week.year().into(), week.week().into(), 0, 0, 0]
}

fn month_of(at: &Zoned) -> Period {
    let [year, month, ..] = day_of(at);
    [year, month, 0, 0, 0]
}

fn year_of(at: &Zoned) -> Period {
    let [year, ..] = day_of(at);
    [year, 0, 0, 0, 0]
}

/// Which of them have a place by the numbers, and by which.
fn places<'s>(counted: &[&'s KnownSnapshot], retention: Retention, zone: &TimeZone) -> Vec<(&'s SnapshotId, KeepReason)> {
    let count = |number: Option<u32>| usize::try_from(number.unwrap_or_default()).unwrap_or(usize::MAX);
    let mut placed: Vec<(&SnapshotId, KeepReason)> = counted.iter().take(count(retention.last)).map(|known| (&known.snapshot, KeepReason::Last)).collect();
    let zoned: Vec<(&SnapshotId, Zoned)> = counted.iter().map(|known| (&known.snapshot, known.time.to_zoned(zone.clone()))).collect();
    let rules: [(Option<u32>, PeriodOf, KeepReason); 5] = [
        (retention.hourly, hour_of, KeepReason::Hourly),
        (retention.daily, day_of, KeepReason::Daily),
        (retention.weekly, week_of, KeepReason::Weekly),
        (retention.monthly, month_of, KeepReason::Monthly),
        (retention.yearly, year_of, KeepReason::Yearly),
    ];
    for (number, period_of, reason) in rules {
        let mut before = None;
        let first_of_period = zoned.iter().filter(|(_, at)| {
            let period = Some(period_of(at));
            std::mem::replace(&mut before, period) != period
        });
        placed.extend(first_of_period.take(count(number)).map(|(snapshot, _)| (*snapshot, reason.clone())));
    }
    placed
}

/// The verdict on a snapshot that nobody's wish sends away; `placed` has its reasons so far.
fn stays(known: &KnownSnapshot, placed: BTreeSet<KeepReason>, newest_sound: Option<Timestamp>, terms: &Terms, now: Timestamp) -> Verdict {
    let mut reasons: Vec<KeepReason> = placed.into_iter().collect();
    reasons.extend(known.holds.iter().filter(|hold| holds(hold, now)).cloned().map(KeepReason::from));
    if is_of_future(known, now) {
        reasons.push(KeepReason::Future);
    }
    if stated(terms.retention).is_none() {
        reasons.push(KeepReason::NoRetention);
    }
    if let Some(flaw) = known.flaw {
        let until = known.time.saturating_add(FLAWED_KEPT_FOR).unwrap_or(Timestamp::MAX);
        if newest_sound.is_none_or(|sound| sound <= known.time) {
            reasons.push(KeepReason::NothingSounder { flaw });
        } else if now < until {
            reasons.push(KeepReason::Flawed { flaw, until });
        }
    }
    reasons.sort_unstable();
    reasons.dedup();
    match (reasons.is_empty(), known.flaw) {
        (false, _) => Verdict::Keep(reasons),
        (true, Some(flaw)) => Verdict::Forget(ForgetReason::Flawed { flaw }),
        (true, None) => Verdict::Forget(ForgetReason::NoPlace),
    }
}

fn holds(hold: &Hold, now: Timestamp) -> bool {
    match hold {
        Hold::Until(time) => now < *time,
        Hold::Marked | Hold::InUse(_) | Hold::WarmCopy(_) => true,
    }
}

/// Those that a person has asked for and that may go. The newest are judged first, so that each is judged by those that stay beside it: of two newest ones that go at
/// once, both must have been meant.
fn granted<'s>(newest_first: &[&'s KnownSnapshot], now: Timestamp) -> BTreeSet<&'s SnapshotId> {
    let mut left = newest_first.to_vec();
    let mut going = BTreeSet::new();
    for known in newest_first {
        let Some(asked) = &known.asked else { continue };
        let held = known.holds.iter().any(|hold| holds(hold, now));
        if held || !(asked.even_newest || has_better(known, &left, now)) {
            continue;
        }
        left.retain(|other| other.snapshot != known.snapshot);
        going.insert(&known.snapshot);
    }
    going
}

/// Whether it is the first in no respect among these: something newer, and proven as far, is beside it.
fn has_better(known: &KnownSnapshot, among: &[&KnownSnapshot], now: Timestamp) -> bool {
    let counted = counted(among, now);
    let is_first = first_of(&counted).contains_key(&known.snapshot);
    // Without a sound one, the newest of the others is all that there is.
    let is_last_resort = counted.is_empty() && among.first().is_some_and(|first| first.snapshot == known.snapshot);
    !is_first && !is_last_resort
}
