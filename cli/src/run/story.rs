//! History of a run's steps, collected from status changes. A status lists only running steps; the story remembers the others.

use super::{Outline, Snapshot};
use jiff::{SignedDuration, Timestamp};
use p861_core::runs::StepKey;
use p861_crds::common::{CurrentStep, RunPhase, StepCounts};
use std::collections::BTreeMap;

/// More steps than these a status does not list: what is missing from a full list may still be under way.
const MOST_CURRENT: usize = 16;

/// How a step ended, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Skipped.
    Skipped,
    /// It is not under way any more.
    Unclear,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Not started.
    Waiting,
    /// Under way, or waiting for a person or another attempt.
    Current(Box<CurrentStep>),
    /// Over.
    Ended(Ending, Option<SignedDuration>),
}

/// A step that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: State,
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The run is in another phase.
    Phase(RunPhase),
    /// The run has not begun, and waits for something else than before.
    Waits(String),
    /// A step was started, or is tried again.
    Started(Box<CurrentStep>),
    /// A step has been saying something for a while: what it waits for, what keeps it.
    Says(Box<CurrentStep>),
    /// A step waits for a person.
    Asked(Box<CurrentStep>),
    /// A step is over.
    Ended(String, Ending, Option<SignedDuration>),
}

/// What a step says without its numbers: a count that goes on is nothing new.
fn shape(message: &str) -> String {
    let mut shape = String::new();
    for word in message.split_whitespace() {
        // A number may carry its unit, which grows with it.
        let number = word.starts_with(|first: char| first.is_ascii_digit());
        let unit = matches!(word.trim_end_matches([',', ';', '.']), "B" | "KiB" | "MiB" | "GiB" | "TiB" | "PiB");
        if !unit {
            shape.push_str(if number { "0" } else { word });
            shape.push(' ');
        }
    }
    shape
}

/// What every step says that has nothing to say, and counts of its work, which the end of the step tells.
fn is_plain(message: &str) -> bool {
    let shape = shape(message);
    let words = shape.split_whitespace().filter(|word| *word != "0" && *word != "of" && *word != "items");
    shape.trim().is_empty() || message == "under way" || words.count() == 0
}

/// All that is known of a run's steps, in the plan's order where that is known.
#[derive(Clone, Debug, Default)]
pub struct Story {
    outline: Outline,
    steps: Vec<Known>,
    says: BTreeMap<String, Says>,
    last: Option<Snapshot>,
}

/// What a step says of itself.
#[derive(Clone, Debug)]
struct Says {
    shape: String,
    since: Timestamp,
    told: bool,
}

/// A message that lasts so long is told: most waits are shorter.
const LASTING: SignedDuration = SignedDuration::from_secs(5);

impl Story {
    /// A story that has not begun.
    pub fn new(outline: Outline) -> Self {
        let steps = outline.0.iter().map(|step| Known { id: step.id.clone(), state: State::Waiting }).collect();
        Self { outline, steps, says: BTreeMap::new(), last: None }
    }

    /// The steps.
    pub fn steps(&self) -> &[Known] {
        &self.steps
    }

    /// Steps that come before one and are not over.
    pub fn open_before(&self, id: &str) -> Vec<&str> {
        let before = self.outline.0.iter().find(|step| step.id == id).map(|step| step.after.as_slice()).unwrap_or_default();
        let open = |id: &&String| self.steps.iter().any(|known| known.id == **id && !matches!(known.state, State::Ended(..)));
        before.iter().filter(open).map(String::as_str).collect()
    }

    /// How long a step took the last time, if that is known.
    pub fn expected(&self, id: &str) -> Option<SignedDuration> {
        self.outline.0.iter().find(|step| step.id == id).and_then(|step| step.expected)
    }

    /// Takes in what is seen now, and says what changed since.
    pub fn update(&mut self, now: Timestamp, seen: &Snapshot) -> Vec<Change> {
        let mut changes = Vec::new();
        let phase = (self.last.as_ref().map(|last| last.phase) != Some(seen.phase)).then_some(Change::Phase(seen.phase));
        // The end is told after the ends of the steps.
        let (before, after) = if seen.phase.is_end() { (None, phase) } else { (phase, None) };
        changes.extend(before);
        let waited_for = self.last.as_ref().and_then(|last| last.waits_for.as_ref());
        changes.extend(seen.waits_for.clone().filter(|now| waited_for != Some(now)).map(Change::Waits));
        let ended = self.vanished(seen);
        let how = self.how(seen, ended.len());
        for id in ended {
            let took = self.started_at(&id).map(|start| seen.completion.unwrap_or(now).duration_since(start).max(SignedDuration::ZERO));
            changes.push(self.end(&id, how, took));
        }
        for id in self.implied(seen) {
            changes.push(self.end(&id, Ending::Done, None));
        }
        for step in &seen.current {
            changes.extend(self.current(now, step));
        }
        if seen.phase == RunPhase::Succeeded && seen.steps.failed == 0 && seen.steps.skipped == 0 {
            let rest: Vec<String> = self.steps.iter().filter(|known| known.state == State::Waiting).map(|known| known.id.clone()).collect();
            for id in rest {
                changes.push(self.end(&id, Ending::Done, None));
            }
        }
        changes.extend(after);
        self.last = Some(seen.clone());
        changes
    }

    /// Steps that were under way and are not any more.
    fn vanished(&self, seen: &Snapshot) -> Vec<String> {
        if seen.current.len() >= MOST_CURRENT {
            return Vec::new();
        }
        let gone = |known: &&Known| matches!(known.state, State::Current(_)) && !seen.current.iter().any(|step| step.id == known.id);
        self.steps.iter().filter(gone).map(|known| known.id.clone()).collect()
    }

    /// How so many steps ended at once, by the counts.
    fn how(&self, seen: &Snapshot, ended: usize) -> Ending {
        let before = self.last.as_ref().map(|last| last.steps.clone()).unwrap_or_default();
        let more = |new: i32, old: i32| usize::try_from(new.saturating_sub(old)).unwrap_or_default();
        let (done, failed, skipped) = (more(seen.steps.done, before.done), more(seen.steps.failed, before.failed), more(seen.steps.skipped, before.skipped));
        match (done, failed, skipped) {
            (_, 0, 0) => Ending::Done,
            (0, failed, _) if failed >= ended => Ending::Failed,
            (0, 0, _) => Ending::Skipped,
            (done, 0, _) if done >= ended => Ending::Done,
            _ => Ending::Unclear,
        }
    }

    /// Steps that must be done, because one that comes after them is under way.
    fn implied(&self, seen: &Snapshot) -> Vec<String> {
        let started = seen.current.iter().filter(|step| !matches!(step.phase, RunPhase::Aborting | RunPhase::Pending)).map(|step| step.id.as_str());
        let done = self.outline.before(started);
        let all = all_but_clean_up_ended(seen);
        let is_done = |id: &str| if is_clean_up(id) { false } else { all || done.contains(id) };
        let open = |known: &&Known| known.state == State::Waiting && is_done(&known.id) && !seen.current.iter().any(|step| step.id == known.id);
        self.steps.iter().filter(open).map(|known| known.id.clone()).collect()
    }

    fn started_at(&self, id: &str) -> Option<Timestamp> {
        self.steps.iter().find(|known| known.id == id).and_then(|known| match &known.state {
            State::Current(step) => step.start_time.as_ref().map(|time| time.0),
            State::Waiting | State::Ended(..) => None,
        })
    }

    fn end(&mut self, id: &str, how: Ending, took: Option<SignedDuration>) -> Change {
        self.says.remove(id);
        if let Some(known) = self.steps.iter_mut().find(|known| known.id == id) {
            known.state = State::Ended(how, took);
        }
        Change::Ended(id.to_owned(), how, took)
    }

    /// Takes in a step under way; says so if that is new.
    fn current(&mut self, now: Timestamp, step: &CurrentStep) -> Option<Change> {
        let index = self.steps.iter().position(|known| known.id == step.id).unwrap_or_else(|| {
            self.steps.push(Known { id: step.id.clone(), state: State::Waiting });
            self.steps.len() - 1
        });
        let known = self.steps.get_mut(index)?;
        let news = match &known.state {
            State::Current(old) => old.attempt != step.attempt || (old.phase != step.phase && step.phase == RunPhase::WaitingForPerson),
            State::Waiting | State::Ended(..) => true,
        };
        known.state = State::Current(Box::new(step.clone()));
        let shape = shape(&step.message);
        // The line of a later attempt quotes the message.
        let told = news && step.attempt > 1;
        match self.says.get_mut(&step.id) {
            Some(says) if says.shape == shape => says.told |= told,
            _ => drop(self.says.insert(step.id.clone(), Says { shape, since: now, told })),
        }
        news.then(|| if step.phase == RunPhase::WaitingForPerson { Change::Asked(Box::new(step.clone())) } else { Change::Started(Box::new(step.clone())) })
    }

    /// What steps under way have been saying for a while and was not told yet: what they wait for, what keeps them.
    pub fn lasting(&mut self, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for known in &self.steps {
            let (State::Current(step), Some(says)) = (&known.state, self.says.get_mut(&known.id)) else { continue };
            let lasts = now.duration_since(says.since) >= LASTING;
            if lasts && !says.told && step.phase != RunPhase::WaitingForPerson && !is_plain(&step.message) {
                says.told = true;
                changes.push(Change::Says(step.clone()));
            }
        }
        changes
    }
}

fn is_clean_up(id: &str) -> bool {
    id.parse() == Ok(StepKey::CleanUp)
}

/// Whether by the counts nothing is to come but the clean-up, and all went well: so it is while a copy is kept, and while it is removed. A question for a person comes after
/// no step by name.
fn all_but_clean_up_ended(seen: &Snapshot) -> bool {
    let StepCounts { total, done, failed, skipped, .. } = seen.steps;
    let under_way = i32::try_from(seen.current.len()).unwrap_or(i32::MAX);
    let cleans_up = seen.current.iter().any(|step| is_clean_up(&step.id));
    total > 0 && failed == 0 && skipped == 0 && total.saturating_sub(done).saturating_sub(under_way) == i32::from(!cleans_up) && under_way > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::common::Time;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000 + second).expect("a time")
    }

    fn step(id: &str, attempt: i32, second: i64) -> CurrentStep {
        CurrentStep { id: id.into(), phase: RunPhase::Running, attempt, start_time: Some(Time(at(second))), ..Default::default() }
    }

    fn seen(done: i32, failed: i32, current: Vec<CurrentStep>) -> Snapshot {
        Snapshot { phase: RunPhase::Running, steps: StepCounts { total: 4, done, failed, ..Default::default() }, current, ..Default::default() }
    }

    fn brief(changes: &[Change]) -> Vec<String> {
        changes
            .iter()
            .map(|change| match change {
                Change::Phase(phase) => format!("{phase}"),
                Change::Waits(message) => format!("waits {message}"),
                Change::Started(step) => format!("start {} {}", step.id, step.attempt),
                Change::Says(step) => format!("says {}", step.message),
                Change::Asked(step) => format!("ask {}", step.id),
                Change::Ended(id, how, took) => format!("{how:?} {id} {}", took.map_or("-".into(), |took| took.as_secs().to_string())),
            })
            .collect()
    }

    #[test]
    fn a_run_that_has_not_begun_says_for_what_it_waits_once_for_each_reason() {
        let mut story = Story::new(Outline::default());
        let waits = |message: &str| Snapshot { phase: RunPhase::Pending, waits_for: Some(message.into()), ..Snapshot::default() };
        assert_eq!(brief(&story.update(at(1), &waits("for backup a"))), ["Pending", "waits for backup a"]);
        assert!(story.update(at(2), &waits("for backup a")).is_empty());
        assert_eq!(brief(&story.update(at(3), &waits("for backup b"))), ["waits for backup b"]);
        assert_eq!(brief(&story.update(at(4), &seen(0, 0, vec![]))), ["Running"]);
    }

    #[test]
    fn a_step_that_is_not_under_way_any_more_is_done_and_took_its_time() {
        let mut story = Story::new(Outline::default());
        assert_eq!(brief(&story.update(at(1), &seen(0, 0, vec![step("a", 1, 0)]))), ["Running", "start a 1"]);
        assert_eq!(brief(&story.update(at(9), &seen(1, 0, vec![step("b", 1, 8)]))), ["Done a 9", "start b 1"]);
        assert!(story.update(at(10), &seen(1, 0, vec![step("b", 1, 8)])).is_empty(), "nothing changed");
        assert_eq!(brief(&story.update(at(12), &seen(1, 0, vec![step("b", 2, 11)]))), ["start b 2"]);
        assert_eq!(brief(&story.update(at(20), &seen(1, 1, vec![]))), ["Failed b 9"]);
    }

    #[test]
    fn steps_too_quick_to_be_seen_are_done_when_one_after_them_starts() {
        let outline =
            Outline::parse(r#"[{"id":"preflight"},{"id":"isolate","after":["preflight"]},{"id":"restore/a/objects","after":["isolate"]},{"id":"clean-up"}]"#)
                .expect("an outline");
        let mut story = Story::new(outline);
        assert_eq!(
            brief(&story.update(at(5), &seen(2, 0, vec![step("restore/a/objects", 1, 4)]))),
            ["Running", "Done preflight -", "Done isolate -", "start restore/a/objects 1"]
        );
        let end = Snapshot { phase: RunPhase::Succeeded, ..seen(4, 0, vec![]) };
        assert_eq!(brief(&story.update(at(9), &end)), ["Done restore/a/objects 5", "Done clean-up -", "Succeeded"]);
    }

    #[test]
    fn fault_h1_whoever_looks_while_a_copy_is_kept_or_removed_sees_what_is_done() {
        // The question has no predecessors in the plan that a view knows, or isn't in it.
        let outline =
            r#"[{"id":"preflight"},{"id":"restore/a/objects","after":["preflight"]},{"id":"check/a/x","after":["restore/a/objects"]},{"id":"clean-up"}]"#;
        let kept = |done: i32, failed: i32| {
            let hold = CurrentStep { phase: RunPhase::WaitingForPerson, ..step("hold", 1, 4) };
            Snapshot { steps: StepCounts { total: 5, done, failed, ..Default::default() }, ..seen(done, failed, vec![hold]) }
        };
        let done = ["Done preflight -", "Done restore/a/objects -", "Done check/a/x -"];
        let mut story = Story::new(Outline::parse(outline).expect("an outline"));
        let told = story.update(at(5), &kept(3, 0));
        assert_eq!(brief(&told).into_iter().filter(|line| line.starts_with("Done")).collect::<Vec<_>>(), done);
        let mut cleans = Story::new(Outline::parse(outline).expect("an outline"));
        let told = cleans.update(at(9), &Snapshot { phase: RunPhase::CleaningUp, ..seen(3, 0, vec![step("clean-up", 1, 8)]) });
        assert_eq!(brief(&told).into_iter().filter(|line| line.starts_with("Done")).collect::<Vec<_>>(), done);
        let mut failed = Story::new(Outline::parse(outline).expect("an outline"));
        let told = failed.update(at(5), &kept(2, 1));
        assert!(!brief(&told).iter().any(|line| line.starts_with("Done")), "which of them failed can't be told: {:?}", brief(&told));
    }

    #[test]
    fn a_full_list_says_nothing_about_what_is_not_on_it() {
        let mut story = Story::new(Outline::default());
        story.update(at(1), &seen(0, 0, vec![step("a", 1, 0)]));
        let full: Vec<CurrentStep> = (0..16).map(|number| step(&format!("s{number}"), 1, 2)).collect();
        assert!(!brief(&story.update(at(2), &seen(0, 0, full))).iter().any(|line| line.contains(" a ")));
    }

    #[test]
    fn a_step_that_begins_to_wait_for_a_person_is_news() {
        let mut story = Story::new(Outline::default());
        story.update(at(1), &seen(0, 0, vec![step("a", 1, 0)]));
        let asked = CurrentStep { phase: RunPhase::WaitingForPerson, ..step("a", 1, 0) };
        assert_eq!(brief(&story.update(at(2), &seen(0, 0, vec![asked]))), ["ask a"]);
    }

    #[test]
    fn fault_d2_a_step_that_waits_for_a_while_says_for_what_and_counts_are_no_news() {
        let mut story = Story::new(Outline::default());
        let full = "no node takes its mover: 0/1 nodes are available";
        for (second, message, told) in [
            (1, "its mover starts", None),
            (4, full, None),
            (8, full, None),
            (9, full, Some(full)),
            (60, full, None),
            (61, "12 of 300", None),
            (70, "700 KiB of 2 GiB", None),
            (80, "1.2 GiB of 2 GiB", None),
            (81, "3 movers are being removed", None),
            (86, "2 movers are being removed", Some("2 movers are being removed")),
            (99, "1 movers are being removed", None),
            (100, "under way", None),
            (110, "under way", None),
        ] {
            story.update(at(second), &seen(0, 0, vec![CurrentStep { message: message.into(), ..step("a", 1, 0) }]));
            let said = story.lasting(at(second));
            assert_eq!(brief(&said), told.map(|told| format!("says {told}")).into_iter().collect::<Vec<_>>(), "{second}: {message}");
        }
        story.update(at(120), &seen(1, 0, vec![]));
        assert!(story.lasting(at(200)).is_empty(), "it has ended");
    }
}
