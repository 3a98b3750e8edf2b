//! Running runs, and admission of new ones. [`p861_core::runs::admit`] has the rules; this module applies them under one lock.

use p861_core::runs::{Admission, Limits, Request, Running, admit};
use p861_crds::Reason;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long new runs wait for a former leader's runs to be resumed. A run that can't be, for example because its plan is gone, must not block all others.
const TAKE_UP_TIMEOUT: Duration = Duration::from_mins(1);

/// Admission of runs. Clones share one state.
#[derive(Clone, Default)]
pub struct Admissions(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By UID.
    running: BTreeMap<String, Running>,
    /// Runs that were told to abort, with the reason, by UID.
    aborted: BTreeMap<String, String>,
    /// UIDs of runs of a former leader that are not resumed yet, and the time until which new runs wait for them.
    expected: Option<(HashSet<String>, Instant)>,
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
        let running: Vec<Running> = state.running.values().cloned().collect();
        let aborted = match admit(&request, &running, &Limits::default()) {
            Admission::Admit => Vec::new(),
            Admission::Preempt(aborted) => aborted,
            Admission::Wait(why) => return Answer::Wait { reason: why.reason.into(), message: why.message },
        };
        for other in aborted {
            state.aborted.insert(other.uid.clone(), format!("{} goes first", request.run));
            if let Some(running) = state.running.get_mut(&other.uid) {
                running.stopping = true;
            }
        }
        state.running.insert(request.run.uid.clone(), Running::new(request));
        Answer::Begin
    }

    /// Resumes a run that has begun; it counts as running.
    pub(crate) fn take_up(&self, request: Request) {
        let mut state = self.0.lock();
        state.take_off(&request.run.uid);
        state.running.entry(request.run.uid.clone()).or_insert_with(|| Running::new(request));
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
}
