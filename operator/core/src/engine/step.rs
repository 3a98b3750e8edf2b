//! A step: an action with its undo, dependencies, deadline, and the consequence of a failure.

use std::fmt;

use jiff::SignedDuration;
use p861_crds::{LocalizedText, recovery::plan};
use serde::{Deserialize, Serialize};

use crate::time::gep2257;

/// The longest id of a step, in bytes: as much as the CRD's field `step` of an action takes.
pub const LONGEST_ID: usize = 253;

/// The stable id of a step, for example `restore/approval/volume/site-files`.
///
/// Parts are separated by `/`; each is made of ASCII letters, digits, `-`, `_`, `.`, `:` and `@`, so that any name of Kubernetes can be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StepId(String);

/// A text that cannot be the id of a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} cannot be the id of a step: {problem}; write parts of letters, digits and -_.:@ separated by /, for example restore/portal/volume/site-files"
)]
pub struct StepIdError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl StepId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`StepIdError`] if it is empty, longer than [`LONGEST_ID`], has an empty part or a character that is not allowed.
    pub fn new(text: impl Into<String>) -> Result<Self, StepIdError> {
        let text = text.into();
        let problem = if text.is_empty() {
            "it is empty"
        } else if text.len() > LONGEST_ID {
            "it is longer than 253 characters"
        } else if text.split('/').any(str::is_empty) {
            "it has an empty part"
        } else if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:@/".contains(&byte)) {
            "it has a character that is not allowed"
        } else {
            return Ok(Self(text));
        };
        Err(StepIdError { text, problem })
    }

    /// An id made of parts, for example `["restore", application, "volume", claim]`.
    ///
    /// # Errors
    /// As [`StepId::new`].
    pub fn of(parts: &[&str]) -> Result<Self, StepIdError> {
        Self::new(parts.join("/"))
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StepId {
    type Error = StepIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<&str> for StepId {
    type Error = StepIdError;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<StepId> for String {
    fn from(id: StepId) -> Self {
        id.0
    }
}

/// How long to wait after a failed attempt: `first` after the first, twice as long after each further one, never longer than `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The wait after the first failure.
    #[serde(with = "gep2257")]
    pub first: SignedDuration,
    /// The longest wait.
    #[serde(with = "gep2257")]
    pub longest: SignedDuration,
}

/// The longest wait between two attempts of what is tried without end: clean-up and undo. A site may be dead for months; each attempt costs a connection
/// and a record, and a person's Retry starts the next one at once.
pub const LONGEST_CLEAN_UP_WAIT: SignedDuration = SignedDuration::from_hours(1);

impl Backoff {
    /// The same for what is tried without end: its waits grow on, to [`LONGEST_CLEAN_UP_WAIT`].
    #[must_use]
    pub fn without_end(self) -> Self {
        Self { longest: self.longest.max(LONGEST_CLEAN_UP_WAIT), ..self }
    }

    /// The wait after the `failures`-th failure (1 is the first).
    pub fn wait(&self, failures: u32) -> SignedDuration {
        // Beyond 2^30 the product is longer than any run; the cap below holds anyway.
        let factor = 1_i32 << failures.saturating_sub(1).min(30);
        self.first.checked_mul(factor).map_or(self.longest, |wait| wait.min(self.longest))
    }
}

/// How often a step is tried before it has failed, and how long the engine waits between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all; 1 is no retry. Undo and clean-up steps go on trying without bound, with the backoff of [`Backoff::without_end`].
    pub attempts: u32,
    /// The wait between attempts.
    pub backoff: Backoff,
}

impl Retry {
    /// One attempt. (Undo and clean-up still repeat, first after 1 s, at last every hour.)
    pub const ONCE: Self = Self::times(1);

    /// So many attempts, with waits of 1 s, 2 s, 4 s … up to a minute.
    pub const fn times(attempts: u32) -> Self {
        Self { attempts, backoff: Backoff { first: SignedDuration::from_secs(1), longest: SignedDuration::from_secs(60) } }
    }
}

/// What it means for the run that a step has failed for good: its attempts are used up, it failed permanently, or a person answered no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// The run ends: nothing new starts, what runs is cancelled, what was done is undone, then clean-up. After the point of no return there is no way
    /// back, so there it means [`OnFailure::Prompt`].
    Abort,
    /// The run goes on and ends as Failed. Steps that come `after` this one are skipped; steps that come `once_settled` run.
    Continue,
    /// The run waits until a person retries or skips the step, or aborts the run. Independent steps go on meanwhile.
    Prompt,
}

impl From<plan::FailurePolicy> for OnFailure {
    fn from(policy: plan::FailurePolicy) -> Self {
        match policy {
            plan::FailurePolicy::Prompt => Self::Prompt,
            plan::FailurePolicy::Continue => Self::Continue,
            plan::FailurePolicy::Abort => Self::Abort,
        }
    }
}

/// What happens when nobody answers a prompt in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnTimeout {
    /// The step goes on as if the answer were yes.
    Continue,
    /// The step is skipped; what comes after it runs.
    Skip,
    /// The step fails, and its `on_failure` holds.
    Fail,
}

impl From<plan::OnTimeout> for OnTimeout {
    fn from(on_timeout: plan::OnTimeout) -> Self {
        match on_timeout {
            plan::OnTimeout::Continue => Self::Continue,
            plan::OnTimeout::Fail => Self::Fail,
        }
    }
}

/// A question that a step asks before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// What is asked.
    pub text: LocalizedText,
    /// How long it waits; without end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "gep2257::option")]
    pub timeout: Option<SignedDuration>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// How many different people must answer yes.
    pub people: u32,
    /// The question only keeps the result standing for people to look at: no leaves it so, and the action `CleanUp` answers it, even before it was asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
}

impl Prompt {
    /// A question that waits without end for one person.
    pub fn new(text: LocalizedText) -> Self {
        Self { text, timeout: None, on_timeout: OnTimeout::Fail, people: 1, hold: false }
    }

    /// Ends after `timeout` in the way of `on_timeout`.
    #[must_use]
    pub fn within(mut self, timeout: SignedDuration, on_timeout: OnTimeout) -> Self {
        self.timeout = Some(timeout);
        self.on_timeout = on_timeout;
        self
    }

    /// Leaves the result standing for so long, for people to look at, then goes on by itself.
    pub fn hold(text: LocalizedText, keep_for: SignedDuration) -> Self {
        Self { hold: true, ..Self::new(text).within(keep_for, OnTimeout::Continue) }
    }

    /// Needs so many different people.
    #[must_use]
    pub fn by(mut self, people: u32) -> Self {
        self.people = people;
        self
    }
}

/// Something that is held only for a while: its time counts from the start of the step that takes hold of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The step that takes hold. Steps under the hold come after it.
    pub since: StepId,
    /// How long the hold may last.
    #[serde(with = "gep2257")]
    pub limit: SignedDuration,
}

/// One step of a plan. `A` is the caller's enum of actions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "A: Deserialize<'de>"))]
pub struct Step<A> {
    /// Its id, unique in the plan and stable: the journal, the status and people name it.
    pub id: StepId,
    /// Steps that must be done (or skipped by a person) before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepId>,
    /// Steps that must have ended before it starts, however they ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub once_settled: Vec<StepId>,
    /// The effect.
    pub action: A,
    /// The effect that takes it back; it must be harmless where nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<A>,
    /// How long one attempt may take.
    #[serde(with = "gep2257")]
    pub deadline: SignedDuration,
    /// How often it is tried.
    pub retry: Retry,
    /// What its failure means.
    pub on_failure: OnFailure,
    /// It is clean-up: it runs at the end, however the run ends, and is repeated until it succeeds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finally: bool,
    /// Once it is done there is only forward. At most one step of a plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub point_of_no_return: bool,
    /// It starts only once a person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_person: Option<Prompt>,
    /// It works under a hold: all of its attempts end when the hold's time is over, whatever is left of its own deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<Hold>,
    /// It starts even while the run is paused, since something is held until it is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub despite_pause: bool,
    /// How long it took before, by history. It is no part of the digest: a better estimate is not another plan.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "gep2257::option")]
    pub estimate: Option<SignedDuration>,
}

impl<A> Step<A> {
    /// A step of one attempt that waits for nothing and aborts the run when it fails.
    pub fn new(id: StepId, action: A, deadline: SignedDuration) -> Self {
        Self {
            id,
            after: Vec::new(),
            once_settled: Vec::new(),
            action,
            undo: None,
            deadline,
            retry: Retry::ONCE,
            on_failure: OnFailure::Abort,
            finally: false,
            point_of_no_return: false,
            needs_person: None,
            under: None,
            despite_pause: false,
            estimate: None,
        }
    }

    /// Starts only when these are done. May be called repeatedly.
    #[must_use]
    pub fn after(mut self, steps: impl IntoIterator<Item = StepId>) -> Self {
        self.after.extend(steps);
        self
    }

    /// Starts only when these have ended, however they ended. May be called repeatedly.
    #[must_use]
    pub fn once_settled(mut self, steps: impl IntoIterator<Item = StepId>) -> Self {
        self.once_settled.extend(steps);
        self
    }

    /// Is taken back by this action.
    #[must_use]
    pub fn undo(mut self, action: A) -> Self {
        self.undo = Some(action);
        self
    }

    /// Is tried as often as this says.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Its failure means this.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Makes it clean-up.
    #[must_use]
    pub fn finally(mut self) -> Self {
        self.finally = true;
        self
    }

    /// Makes it the point of no return.
    #[must_use]
    pub fn point_of_no_return(mut self) -> Self {
        self.point_of_no_return = true;
        self
    }

    /// Asks a person before it starts.
    #[must_use]
    pub fn needs_person(mut self, prompt: Prompt) -> Self {
        self.needs_person = Some(prompt);
        self
    }

    /// Works under a hold, which a pause doesn't lengthen.
    #[must_use]
    pub fn under(mut self, hold: Option<Hold>) -> Self {
        self.despite_pause |= hold.is_some();
        self.under = hold;
        self
    }

    /// Starts even while the run is paused.
    #[must_use]
    pub fn despite_pause(mut self) -> Self {
        self.despite_pause = true;
        self
    }

    /// Took so long before.
    #[must_use]
    pub fn estimate(mut self, estimate: Option<SignedDuration>) -> Self {
        self.estimate = estimate;
        self
    }

    /// Whether it lets go of what a step before it took hold of: it starts whatever people want of the run, and is under no hold itself.
    pub fn releases(&self) -> bool {
        self.despite_pause && self.under.is_none()
    }

    /// Everything that must have ended before it starts.
    pub fn dependencies(&self) -> impl Iterator<Item = &StepId> {
        self.after.iter().chain(&self.once_settled)
    }
}
