//! Running runs, and admission of new ones. [`p861_core::runs::admit`] has the rules; this module applies them under one lock.

use p861_core::runs::{Admission, Limits, RepositoryUse, Request, Running, Why, admit, held_back};
use p861_crds::Reason;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long new runs wait for a former leader's runs to be resumed. A run that can't be, for example because its plan is gone, must not block all others.
const TAKE_UP_TIMEOUT: Duration = Duration::from_mins(1);

/// A run that waits to have a repository for itself lets no younger one into it for so long, and then again after each [`ALONE_EVERY`]: what is under way there may last for
/// hours, and other backups must not wait for that.
const ALONE_PATIENCE: Duration = Duration::from_mins(10);
const ALONE_EVERY: Duration = Duration::from_hours(1);
/// A run that hasn't asked for so long waits no more.
const ASKS_WITHIN: Duration = Duration::from_secs(10);

/// Admission of runs. Clones share one state.
#[derive(Clone, Default)]
pub struct Admissions(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By UID.
    running: BTreeMap<String, Running>,
    /// Runs that were told to abort, with the reason, by UID.
    aborted: BTreeMap<String, String>,
    /// Runs that wait to have a repository for themselves, by UID.
    alone: BTreeMap<String, WaitsAlone>,
    /// UIDs of runs of a former leader that are not resumed yet, and the time until which new runs wait for them.
    expected: Option<(HashSet<String>, Instant)>,
}

/// A run that waits to have a repository for itself.
struct WaitsAlone {
    request: Request,
    since: Instant,
    asked: Instant,
}

impl WaitsAlone {
    /// Whether it lets no younger one pass now.
    fn holds_back(&self, now: Instant) -> bool {
        now.duration_since(self.since).as_secs() % ALONE_EVERY.as_secs() < ALONE_PATIENCE.as_secs()
    }
}

/// Whether a run may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It begins, and counts as running from now on.
    Begin,
    /// It waits.
    Wait {
        /// Reason of its condition.
        reason: Reason,
        /// For people of its district.
        message: String,
    },
}

impl Admissions {
    /// Sets the UIDs of runs that began under a former leader: no new run begins until each is resumed or has ended.
    pub fn expect(&self, runs: impl IntoIterator<Item = String>) {
        let mut state = self.0.lock();
        let runs: HashSet<String> = runs.into_iter().filter(|uid| !state.running.contains_key(uid)).collect();
        state.expected = Some((runs, Instant::now() + TAKE_UP_TIMEOUT));
    }

    /// Asks whether a run may begin.
    pub(crate) fn ask(&self, request: Request) -> Answer {
        let mut state = self.0.lock();
        if let Some((expected, until)) = &state.expected
            && !expected.is_empty()
            && Instant::now() < *until
        {
            return Answer::Wait { reason: Reason::NotYet, message: "waits until the runs that began before are taken up again: seconds".into() };
        }
        let now = Instant::now();
        if let Some(why) = state.held_back(&request, now) {
            return Answer::Wait { reason: why.reason.into(), message: why.message };
        }
        let running: Vec<Running> = state.running.values().cloned().collect();
        let aborted = match admit(&request, &running, &Limits::default()) {
            Admission::Admit => Vec::new(),
            Admission::Preempt(aborted) => aborted,
            Admission::Wait(why) => {
                state.note_waiting(request, now);
                return Answer::Wait { reason: why.reason.into(), message: why.message };
            }
        };
        state.alone.remove(&request.run.uid);
        for other in aborted {
            state.aborted.insert(other.uid.clone(), format!("{} goes first", request.run));
            if let Some(running) = state.running.get_mut(&other.uid) {
                running.stopping = true;
            }
        }
        state.running.insert(request.run.uid.clone(), Running::new(request));
        Answer::Begin
    }

    /// Resumes a run that has begun; it counts as running. One that was resumed before may have let go of its repository since.
    pub(crate) fn take_up(&self, request: Request) {
        let mut state = self.0.lock();
        state.take_off(&request.run.uid);
        match state.running.get_mut(&request.run.uid) {
            Some(running) => running.request.repository = request.repository,
            None => drop(state.running.insert(request.run.uid.clone(), Running::new(request))),
        }
    }

    /// Why the run was told to abort, if it was.
    pub(crate) fn aborted(&self, uid: &str) -> Option<String> {
        self.0.lock().aborted.get(uid).cloned()
    }

    /// Watches over a run that was admitted, until its object is held.
    pub(crate) fn until_held(&self, uid: &str) -> Unheld {
        Unheld { admissions: self.clone(), uid: Some(uid.to_owned()) }
    }

    /// Removes a run that has ended or needs no admission.
    pub fn end(&self, uid: &str) {
        let mut state = self.0.lock();
        state.take_off(uid);
        state.running.remove(uid);
        state.aborted.remove(uid);
        state.alone.remove(uid);
    }
}

/// A run that was admitted and has nothing on the hub that would outlive its object. If this is dropped, for example because the pass is given up, the run is asked for
/// anew: an object that is deleted meanwhile never comes back, and would hold up others for good.
pub(crate) struct Unheld {
    admissions: Admissions,
    /// None once the object can't go without being let go.
    uid: Option<String>,
}

impl Unheld {
    /// The object stays until it is let go, which ends the admission.
    pub(crate) fn held(mut self) {
        self.uid = None;
    }
}

impl Drop for Unheld {
    fn drop(&mut self) {
        if let Some(uid) = &self.uid {
            self.admissions.end(uid);
        }
    }
}

impl State {
    /// Why a run may not pass one that waits to have its repository for itself.
    fn held_back(&mut self, request: &Request, now: Instant) -> Option<Why> {
        self.alone.retain(|_, waits| now.duration_since(waits.asked) < ASKS_WITHIN);
        let others = self.alone.iter().filter(|(uid, waits)| **uid != request.run.uid && waits.holds_back(now));
        let others: Vec<Request> = others.map(|(_, waits)| waits.request.clone()).collect();
        held_back(request, &others)
    }

    fn note_waiting(&mut self, request: Request, now: Instant) {
        if matches!(request.repository, Some((_, RepositoryUse::Exclusive))) {
            let uid = request.run.uid.clone();
            self.alone.entry(uid).or_insert(WaitsAlone { request, since: now, asked: now }).asked = now;
        }
    }

    fn take_off(&mut self, uid: &str) {
        if let Some((expected, _)) = &mut self.expected {
            expected.remove(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::runs::{RunClass, RunRef};

    fn request(class: RunClass, name: &str) -> Request {
        let run = RunRef { class, namespace: "shinan".into(), name: name.into(), uid: name.into() };
        Request { applications: ["approval".to_owned()].into(), writes_in_place: class == RunClass::Restore, ..Request::new(run, jiff::Timestamp::UNIX_EPOCH) }
    }

    fn reason(answer: Answer) -> Option<Reason> {
        match answer {
            Answer::Begin => None,
            Answer::Wait { reason, .. } => Some(reason),
        }
    }

    #[test]
    fn two_backups_of_one_application_run_one_after_the_other() {
        let admissions = Admissions::default();
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "a"))), None);
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "b"))), Some(Reason::ApplicationBusy));
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "a"))), None, "a run that begins is asked for again after a crash");
        admissions.end("a");
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "b"))), None);
    }

    #[test]
    fn fault_e12_a_pass_that_is_given_up_before_its_object_is_held_leaves_no_run_that_holds_up_others() {
        let admissions = Admissions::default();
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "a"))), None);
        drop(admissions.until_held("a"));
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "b"))), None, "nobody knows whether a comes back");
        admissions.until_held("b").held();
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "a"))), Some(Reason::ApplicationBusy), "b may have begun");
    }

    #[test]
    fn a_restore_in_place_tells_a_backup_to_abort_and_why() {
        let admissions = Admissions::default();
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "nightly"))), None);
        assert_eq!(reason(admissions.ask(request(RunClass::Restore, "back"))), None);
        assert_eq!(admissions.aborted("nightly").as_deref(), Some("restore back goes first"));
        assert_eq!(admissions.aborted("back"), None);
        admissions.end("nightly");
        assert_eq!(admissions.aborted("nightly"), None);
    }

    #[test]
    fn nothing_begins_before_the_runs_of_before_are_taken_up() {
        let admissions = Admissions::default();
        admissions.expect(["old".to_owned(), "gone".to_owned()]);
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "new"))), Some(Reason::NotYet));
        admissions.take_up(request(RunClass::Backup, "old"));
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "new"))), Some(Reason::NotYet));
        admissions.end("gone");
        assert_eq!(reason(admissions.ask(request(RunClass::Backup, "new"))), Some(Reason::ApplicationBusy), "the old one runs");
    }

    #[test]
    fn a_prune_that_waits_lets_no_younger_backup_pass_for_ten_minutes_of_each_hour() {
        let admissions = Admissions::default();
        let of = |class, name: &str, second, how| Request {
            created: jiff::Timestamp::from_second(second).unwrap(),
            repository: Some(("main".into(), how)),
            applications: [name.to_owned()].into(),
            ..request(class, name)
        };
        let backup = |name: &str, second| of(RunClass::Backup, name, second, RepositoryUse::Shared);
        let prune = || of(RunClass::Prune, "prune", 2, RepositoryUse::Exclusive);
        assert_eq!(reason(admissions.ask(backup("running", 0))), None);
        assert_eq!(reason(admissions.ask(prune())), Some(Reason::RepositoryBusy));
        assert_eq!(reason(admissions.ask(backup("younger", 3))), Some(Reason::RepositoryBusy));
        assert_eq!(reason(admissions.ask(backup("older", 1))), None);
        let since = |age: Duration| {
            let mut state = admissions.0.lock();
            let waits = state.alone.get_mut("prune").unwrap();
            waits.since = Instant::now().checked_sub(age).unwrap();
            waits.holds_back(Instant::now())
        };
        let minutes = [0, 9, 11, 59, 61, 69, 71].map(|minutes| since(Duration::from_mins(minutes)));
        assert_eq!(minutes, [true, true, false, false, true, true, false]);
        assert_eq!(reason(admissions.ask(backup("younger", 3))), None, "what is under way may last for hours");
        for name in ["running", "older", "younger"] {
            admissions.end(name);
        }
        assert_eq!(reason(admissions.ask(prune())), None);
        assert_eq!(reason(admissions.ask(backup("late", 4))), Some(Reason::RepositoryBusy), "it runs alone");
        admissions.end("prune");
        assert_eq!(reason(admissions.ask(backup("late", 4))), None);
    }

    #[test]
    fn a_run_that_has_let_go_of_its_repository_keeps_no_prune_out_of_it() {
        let admissions = Admissions::default();
        let uses = |how| Request { repository: how, ..request(RunClass::Drill, "held") };
        let prune = || Request {
            repository: Some(("main".into(), RepositoryUse::Exclusive)),
            applications: ["b".to_owned()].into(),
            ..request(RunClass::Prune, "prune")
        };
        assert_eq!(reason(admissions.ask(uses(Some(("main".into(), RepositoryUse::Shared))))), None);
        assert_eq!(reason(admissions.ask(prune())), Some(Reason::RepositoryBusy));
        admissions.take_up(uses(None));
        assert_eq!(reason(admissions.ask(prune())), None);
    }

    #[test]
    fn a_prune_that_asks_no_more_holds_nobody_back() {
        let admissions = Admissions::default();
        let of = |class, name: &str, how| Request { repository: Some(("main".into(), how)), applications: [name.to_owned()].into(), ..request(class, name) };
        assert_eq!(reason(admissions.ask(of(RunClass::Backup, "a", RepositoryUse::Shared))), None);
        assert_eq!(reason(admissions.ask(of(RunClass::Prune, "0-prune", RepositoryUse::Exclusive))), Some(Reason::RepositoryBusy));
        assert_eq!(reason(admissions.ask(of(RunClass::Backup, "b", RepositoryUse::Shared))), Some(Reason::RepositoryBusy));
        admissions.0.lock().alone.get_mut("0-prune").unwrap().asked = Instant::now().checked_sub(ASKS_WITHIN).unwrap();
        assert_eq!(reason(admissions.ask(of(RunClass::Backup, "b", RepositoryUse::Shared))), None);
    }
}
