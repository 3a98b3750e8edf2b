//! Which slot of an application is due, what is in its way, and which were missed.

use super::{slot, terms::Terms};
use crate::{
    ids::SiteName,
    protection::choose::{is_damaged, is_half_restored},
    schedule::Budget,
    time::after,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{Application, Backup, ConditionType, Reason, common::RunPhase};
use std::collections::BTreeMap;

/// Backups that say how long one takes: the newest, so many.
const MAX_SAMPLES: usize = 5;
/// Slots that are counted at a time as missed: more were, if so many are.
const MAX_COUNTED: usize = 1_000;
/// Slots within one jitter and a period. A jitter is no longer than a period.
const MAX_AROUND: usize = 8;
/// What is left of the phase of a Backup that the operator has not looked at.
const UNSEEN: RunPhase = RunPhase::Pending;

/// What is known of the backups of one application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known<'a> {
    /// Slots that were taken, the newest last, with the policy of each.
    taken: Vec<(Timestamp, Option<&'a str>)>,
    /// A Backup that has not ended, the oldest.
    pub unfinished: Option<&'a Backup>,
    /// Recovery point of the newest sound one.
    newest_point: Option<Timestamp>,
    /// How long one takes from its recovery point until it is stored: the median of the newest.
    pub takes: Option<SignedDuration>,
}

/// What is known of the backups of each application.
pub fn known(backups: &[Backup]) -> BTreeMap<&str, Known<'_>> {
    let mut of_applications: BTreeMap<&str, Vec<&Backup>> = BTreeMap::new();
    for backup in backups {
        of_applications.entry(&backup.spec.application_ref.name).or_default().push(backup);
    }
    of_applications.into_iter().map(|(application, backups)| (application, of_one(&backups))).collect()
}

/// Whether a run has not ended.
pub fn is_unfinished(backup: &Backup) -> bool {
    !backup.status.as_ref().and_then(|status| status.phase).unwrap_or(UNSEEN).is_end()
}

fn of_one<'a>(backups: &[&'a Backup]) -> Known<'a> {
    let policy_of = |backup: &'a Backup| backup.spec.policy_ref.as_ref().map(|policy| policy.name.as_str());
    let mut taken: Vec<(Timestamp, Option<&str>)> = backups.iter().filter_map(|backup| Some((slot::of_backup(backup)?, policy_of(backup)))).collect();
    taken.sort_unstable();
    let is_sound = |backup: &&&Backup| !is_damaged(backup) && !is_half_restored(backup);
    let succeeded = backups.iter().filter(is_sound).filter_map(|backup| {
        let status = backup.status.as_ref().filter(|status| status.phase == Some(RunPhase::Succeeded))?;
        Some((status.recovery_point_time.as_ref()?.0, status.completion_time.as_ref().map(|time| time.0)))
    });
    let mut points: Vec<(Timestamp, Option<Timestamp>)> = succeeded.collect();
    points.sort_unstable();
    let newest = points.iter().rev().filter_map(|(point, ended)| Some(ended.as_ref()?.duration_since(*point))).take(MAX_SAMPLES);
    let mut took: Vec<SignedDuration> = newest.filter(|took| !took.is_negative()).collect();
    took.sort_unstable();
    Known {
        taken,
        unfinished: backups.iter().copied().filter(|backup| is_unfinished(backup)).min_by_key(|backup| created(backup)),
        newest_point: points.last().map(|(point, _)| *point),
        takes: took.get(took.len() / 2).copied(),
    }
}

fn created(backup: &Backup) -> Option<Timestamp> {
    backup.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// What a process remembers of applications, by their UIDs, beside what objects say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// When it began to look: what should have begun long before, nobody was there to begin.
    pub began: Option<Timestamp>,
    /// The newest slot that is settled: taken from here, or by another hub.
    pub settled: BTreeMap<String, Timestamp>,
    /// Since when the policy holds for it; not there if it did when the process began.
    pub joined: BTreeMap<String, Timestamp>,
    /// The newest slot that was told as missed.
    pub told: BTreeMap<String, Timestamp>,
    /// Why its slot could not be taken the last time, and until when that is not tried again.
    pub hindered: BTreeMap<String, (Reason, String, Timestamp)>,
}

/// The slot of an application that is due and has not begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The application.
    pub application: String,
    /// Its UID.
    pub uid: String,
    /// Where it runs, if that is known.
    pub site: Option<SiteName>,
    /// The slot.
    pub slot: Timestamp,
    /// Its RPO: the strictest goes first.
    pub rpo: SignedDuration,
    /// When that is broken, or was.
    pub urgent: Timestamp,
    /// What is in its way.
    pub waits: Option<(Reason, String)>,
    /// Something has been in its way for longer than it may be. That it waits for a place is not meant: its turn comes.
    pub is_late: bool,
}

/// Slots of an application that were missed and not told yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// The application.
    pub application: String,
    /// Its UID.
    pub uid: String,
    /// How many.
    pub slots: usize,
    /// The newest.
    pub last: Timestamp,
    /// Why, as far as it is known.
    pub why: Option<(Reason, String)>,
}

/// The slots of a policy that matter to any of its applications now, whatever its jitter is. Searched for once, and not for each of two thousand applications.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Around {
    /// The newest slot for the one that begins last, to the next one.
    now: Vec<Timestamp>,
    /// From when the next backup is looked for, and the slots around that; none if nobody has said when the policy takes backups again.
    next: Option<(Timestamp, Vec<Timestamp>)>,
}

impl Around {
    /// Those around `now`. Slots from before `since` don't matter.
    pub fn of(terms: &Terms, since: Timestamp, now: Timestamp) -> Self {
        let budget = Budget::of_each(1);
        let slots = |since: Timestamp, moment: Timestamp| {
            let from = after(moment, -terms.jitter);
            let mut slots: Vec<Timestamp> = terms.schedule.last(after(since, -terms.jitter), from, &budget).into_iter().collect();
            let mut at = from;
            while let Some(next) = terms.schedule.next(at, &budget) {
                slots.push(next);
                at = next;
                if next > moment || slots.len() >= MAX_AROUND {
                    break;
                }
            }
            slots
        };
        match &terms.suspended {
            None => {
                let around = slots(since, now);
                Self { now: around.clone(), next: Some((now, around)) }
            }
            Some(suspended) => Self { now: Vec::new(), next: suspended.until.map(|until| (until, slots(until, until))) },
        }
    }
}

/// A policy and one of its applications.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// What it says.
    pub terms: &'a Terms,
    /// Since when its schedule is in force.
    pub since: Timestamp,
    /// Its slots around now.
    pub around: &'a Around,
    /// Slots up to this one were counted by a process before.
    pub counted: Option<Timestamp>,
    /// The application.
    pub application: &'a Application,
    /// Its RPO.
    pub rpo: Option<SignedDuration>,
    /// What keeps the policy from taking any backup now.
    pub hindrance: Option<&'a (Reason, String)>,
    /// Its backups.
    pub known: &'a Known<'a>,
    /// What is remembered of it.
    pub memory: &'a Memory,
}

impl Member<'_> {
    fn name(&self) -> &str {
        self.application.metadata.name.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.application.metadata.uid.as_deref().unwrap_or_default()
    }

    fn jitter(&self) -> SignedDuration {
        slot::jitter_of(self.uid(), self.terms.jitter)
    }

    /// Nothing that should have begun before this is begun, or missed. A time that is still to come was written by a clock that was ahead, and says nothing.
    fn beginning(&self, now: Timestamp) -> Timestamp {
        let made = self.application.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let joined = self.memory.joined.get(self.uid()).copied();
        [Some(self.since), made, joined].into_iter().flatten().filter(|time| *time <= now).max().unwrap_or(now)
    }

    /// The newest slot whose beginning has come.
    fn newest(&self, now: Timestamp) -> Option<Timestamp> {
        let (from, jitter) = (self.beginning(now), self.jitter());
        let begins = |slot: &Timestamp| after(*slot, jitter);
        self.around.now.iter().rev().find(|slot| begins(slot) <= now).copied().filter(|slot| begins(slot) >= from)
    }

    /// When the next backup begins.
    pub fn next_start(&self) -> Option<Timestamp> {
        let ((from, slots), jitter) = (self.around.next.as_ref()?, self.jitter());
        slots.iter().map(|slot| after(*slot, jitter)).find(|start| start > from)
    }

    /// The newest slot up to this one that was taken, under this policy or any.
    fn taken_until(&self, at: Timestamp, only_own: bool) -> Option<Timestamp> {
        let of_policy = |policy: Option<&str>| !only_own || policy == Some(self.policy);
        let on_hub = self.known.taken.iter().rev().find(|(slot, policy)| *slot <= at && of_policy(*policy)).map(|(slot, _)| *slot);
        let settled = self.memory.settled.get(self.uid()).copied().filter(|slot| *slot <= at);
        on_hub.max(settled)
    }

    /// The slot that is due and has not begun, and those that were missed and not told yet.
    pub fn due(&self, now: Timestamp, budget: &Budget) -> (Option<Due>, Option<Missed>) {
        if self.terms.suspended.is_some() {
            return (None, None);
        }
        let Some(slot) = self.newest(now) else { return (None, None) };
        let start = after(slot, self.jitter());
        let deadline = after(start, self.terms.starting_deadline);
        let is_taken = self.taken_until(now, false).is_some_and(|taken| taken >= slot);
        // Somebody has had it backed up meanwhile: that makes up for it.
        let is_made_up_for = deadline < now && self.known.newest_point.is_some_and(|point| point >= start);
        let due = (!is_taken && !is_made_up_for).then(|| {
            let waits = self.waits(now);
            Due {
                application: self.name().to_owned(),
                uid: self.uid().to_owned(),
                site: self.application.status.as_ref().and_then(|status| status.active_site.as_deref()).map(SiteName::from),
                slot,
                rpo: self.rpo.unwrap_or(SignedDuration::MAX),
                urgent: self.urgent(),
                is_late: deadline < now && waits.is_some(),
                waits,
            }
        });
        let why = due.as_ref().and_then(|due| due.waits.clone());
        let nobody_was_there = deadline < now && self.memory.began.is_some_and(|began| deadline < began);
        let is_missed = due.as_ref().is_some_and(|due| due.is_late || nobody_was_there);
        let missed = self.missed(slot, is_missed, now, budget);
        let missed = missed.map(|(slots, last)| Missed { application: self.name().to_owned(), uid: self.uid().to_owned(), slots, last, why });
        (due, missed)
    }

    /// Slots that nobody has taken and that are not told yet: those between the newest that was taken and `slot`, and `slot` itself if it is missed. Their number, and
    /// the newest.
    fn missed(&self, slot: Timestamp, is_missed: bool, now: Timestamp, budget: &Budget) -> Option<(usize, Timestamp)> {
        // What is still to come was told of by a clock that was ahead.
        let told = self.memory.told.get(self.uid()).copied().or(self.counted).filter(|told| *told <= slot);
        let is_new = |slot: &Timestamp| told.is_none_or(|told| *slot > told);
        let mut found: Option<(usize, Timestamp)> = None;
        // Of an application that has no backup by this policy yet, the slots before say nothing: it may have had another policy then.
        if let Some(taken) = self.taken_until(slot, true).filter(|taken| *taken < slot) {
            // Nor do those that were not to be taken: the policy was suspended then, or not there.
            let before = after(self.beginning(now), -(self.jitter() + SignedDuration::from_nanos(1)));
            let mut at = told.map_or(taken, |told| told.max(taken)).max(before);
            while let Some(next) = self.terms.schedule.next(at, budget).filter(|next| *next < slot) {
                let slots = found.map_or(0, |(slots, _)| slots) + 1;
                found = Some((slots, next));
                at = next;
                if slots >= MAX_COUNTED {
                    break;
                }
            }
        }
        if is_missed && is_new(&slot) { Some((found.map_or(0, |(slots, _)| slots) + 1, slot)) } else { found }
    }

    /// When the RPO is broken, by the newest sound backup; or by when the application was made, if it has none.
    fn urgent(&self) -> Timestamp {
        let since = self.known.newest_point.or(self.application.metadata.creation_timestamp.as_ref().map(|time| time.0));
        after(since.unwrap_or(Timestamp::UNIX_EPOCH), self.rpo.unwrap_or(SignedDuration::ZERO))
    }

    /// What is in the way of its backup.
    fn waits(&self, now: Timestamp) -> Option<(Reason, String)> {
        if let Some(unfinished) = self.known.unfinished {
            let (name, reason) = (unfinished.metadata.name.as_deref().unwrap_or_default(), Reason::BackupRunning);
            return Some((reason, format!("backup {name} has not ended yet: p861 backup show {name}")));
        }
        if let Some((reason, message, until)) = self.memory.hindered.get(self.uid())
            && now < *until
        {
            return Some((reason.clone(), message.clone()));
        }
        if let Some(hindrance) = self.hindrance {
            return Some(hindrance.clone());
        }
        let conditions = self.application.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let name = self.name();
        match conditions.iter().find(|condition| condition.type_ == ConditionType::Ready) {
            Some(ready) if ready.status == "True" => None,
            Some(ready) => Some((Reason::from_text(&ready.reason), format!("application {name} is not Ready: p861 app status {name}"))),
            None => Some((Reason::NotYet, format!("application {name} was not looked at yet"))),
        }
    }
}

/// The newest `Ready` says that an application can be backed up.
pub fn is_ready(application: &Application) -> bool {
    application.status.as_ref().is_some_and(|status| crate::conditions::is_true(&status.conditions, ConditionType::Ready))
}
