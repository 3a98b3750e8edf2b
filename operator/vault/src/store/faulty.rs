//! A folder whose requests fail as a test says: before they are applied, after that (the answer is lost), and from then on, as a process that has died.

use super::{
    AsyncStore, Kind,
    error::{Refusal, Result, StoreError},
    folder::Folder,
};
use parking_lot::Mutex;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not applied, and has no answer.
    Lost,
    /// It is applied, and has no answer.
    AnswerLost,
    /// As [`Self::Lost`], and so is every later one.
    DiesBefore,
    /// As [`Self::AnswerLost`], and every later one is lost.
    DiesAfter,
    /// Something else happens before it.
    Before,
}

/// What else happens, once.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// The requests of one store.
pub(crate) struct Faults {
    at: usize,
    fault: Fault,
    requests: AtomicUsize,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at request {}", self.fault, self.at)
    }
}

impl Faults {
    /// The fault comes at the request of this number, from 0.
    pub(crate) fn new(at: usize, fault: Fault, meanwhile: Option<Meanwhile>) -> Arc<Self> {
        Arc::new(Self { at, fault, requests: AtomicUsize::new(0), meanwhile: Mutex::new(meanwhile) })
    }

    /// How many requests were made.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(super) fn around<T>(&self, key: &str, request: impl FnOnce() -> Result<T>) -> Result<T> {
        let lost = || StoreError::new(Refusal::Unreachable, "a faulty folder", key, "no answer");
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Lost if number == self.at => Err(lost()),
            Fault::AnswerLost | Fault::DiesAfter if number == self.at => request().and(Err(lost())),
            Fault::DiesBefore if number >= self.at => Err(lost()),
            Fault::DiesAfter if number > self.at => Err(lost()),
            Fault::Before if number == self.at => {
                let meanwhile = self.meanwhile.lock().take();
                // Whoever works with a store blocks, which this thread must not.
                std::thread::scope(|scope| meanwhile.map(|meanwhile| scope.spawn(meanwhile).join()));
                request()
            }
            _ => request(),
        }
    }
}

impl AsyncStore {
    pub(crate) fn faulty(folder: &Path, faults: Arc<Faults>) -> Self {
        Self(Kind::Faulty(Folder::new(folder), faults))
    }
}
