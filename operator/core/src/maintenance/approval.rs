//! Which approvals count.
//!
//! Each person has one vote per subject and purpose: the newest valid approval. Requesters cannot approve their own requests, nor who has written a part of what is
//! approved. An approval is bound to the digest
//! that was shown, and expires; approvals that counted when the work started count for ever.

use super::ticket::required_approvals;
use crate::{
    conditions::{ConditionUpdate, ObjectEvent},
    time::parse_duration,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    Approval, Condition, ConditionType, Drill, MaintenanceTicket, ObjectMeta, Reason, Time,
    maintenance::{
        approval::{ApprovalDecision, ApprovalSpec, Purpose, SubjectKind, SubjectReference},
        ticket::{ApprovalRecord, TicketActionKind, TicketPhase},
        window::ChangeClass,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// What is approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What an approval of it names. Admission has asked whether the approver may approve that kind and that name, so the UID alone says too little.
    pub reference: SubjectReference,
    /// Who asked for it, and who has written a part of it.
    pub asked_by: BTreeSet<String>,
    /// What it would do, if that is known.
    pub digest: Option<String>,
    /// When work began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// So many must agree.
    pub required: usize,
}

impl Subject {
    /// A ticket, with the digest of its steps.
    pub fn of_ticket(ticket: &MaintenanceTicket, digest: Option<String>) -> Self {
        let status = ticket.status.as_ref();
        let ended = status.filter(|status| status.phase.is_some_and(TicketPhase::is_end)).and_then(|status| status.completion_time.as_ref());
        let plans = ticket.spec.actions.iter().filter(|action| action.action == TicketActionKind::Plan).filter_map(|action| action.by.clone());
        Self {
            reference: reference(SubjectKind::MaintenanceTicket, &ticket.metadata),
            asked_by: ticket.spec.requested_by.iter().cloned().chain(plans).collect(),
            digest,
            started: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
            ended: ended.map(|time| time.0),
            required: class_of(ticket).map_or(0, required_approvals),
        }
    }

    /// A drill.
    pub fn of_drill(drill: &Drill) -> Self {
        let status = drill.status.as_ref();
        Self {
            reference: reference(SubjectKind::Drill, &drill.metadata),
            asked_by: drill.spec.requested_by.iter().cloned().collect(),
            digest: status.and_then(|status| status.plan_digest.clone()),
            started: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
            ended: status.and_then(|status| status.completion_time.as_ref()).map(|time| time.0),
            required: 1,
        }
    }
}

fn reference(kind: SubjectKind, metadata: &ObjectMeta) -> SubjectReference {
    SubjectReference { kind, name: metadata.name.clone().unwrap_or_default(), uid: metadata.uid.clone().unwrap_or_default() }
}

/// The class of a change that is in force, as its ticket says; before it says so, that of its spec.
fn class_of(ticket: &MaintenanceTicket) -> Option<ChangeClass> {
    let change = ticket.spec.change.as_ref()?;
    Some(ticket.status.as_ref().and_then(|status| status.change_class).unwrap_or(change.class))
}

/// A word that was given.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// Its name.
    pub name: &'a str,
    /// What was said.
    pub spec: &'a ApprovalSpec,
    /// When.
    pub created: Timestamp,
}

/// The approvals of the subject with this UID.
pub fn words<'a>(approvals: &'a [Approval], uid: &str) -> Vec<Given<'a>> {
    let of_subject = approvals.iter().filter(|approval| approval.spec.subject_ref.uid == uid);
    of_subject
        .filter_map(|approval| {
            Some(Given { name: approval.metadata.name.as_deref()?, spec: &approval.spec, created: approval.metadata.creation_timestamp.as_ref()?.0 })
        })
        .collect()
}

/// Why a word doesn't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Void {
    /// The subject is gone, or is another one of the same name.
    SubjectGone,
    /// Nobody's name is on it.
    Nameless,
    /// The approver asked for it, or has written a part of it.
    RequesterCannotApprove,
    /// Something else was shown.
    DigestDiffers,
    /// It is too old.
    Expired,
    /// It came after work had begun.
    TooLate,
    /// It came after the end.
    Ended,
    /// The same person has a newer word.
    SamePerson,
}

impl From<Void> for Reason {
    fn from(reason: Void) -> Self {
        match reason {
            Void::SubjectGone => Self::SubjectGone,
            Void::Nameless => Self::Nameless,
            Void::RequesterCannotApprove => Self::RequesterCannotApprove,
            Void::DigestDiffers => Self::DigestDiffers,
            Void::Expired => Self::Expired,
            Void::TooLate | Void::Ended => Self::TooLate,
            Void::SamePerson => Self::SamePerson,
        }
    }
}

impl Void {
    fn message(self) -> &'static str {
        match self {
            Self::SubjectGone => "its subject is gone, or is another object of the same name: delete this approval",
            Self::Nameless => "its author is unknown: is the admission policy p861-identity in force?",
            Self::RequesterCannotApprove => "the requester, or an author of the plan, can't approve it: somebody else must",
            Self::DigestDiffers => "the plan has changed since: look at what it does now and approve that",
            Self::Expired => "it was valid for spec.validFor and nothing was started: approve again",
            Self::TooLate => "work had begun already",
            Self::Ended => "what it is about had ended already",
            Self::SamePerson => "the same person has made a newer decision",
        }
    }
}

/// Tally of the approvals of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Who agrees, sorted.
    pub given: Vec<String>,
    /// Who says no, sorted.
    pub rejected: Vec<String>,
    /// Result for each approval, by name: counted, or the reason why not.
    pub words: BTreeMap<String, Result<ApprovalDecision, Void>>,
    /// When a word that counts expires next.
    pub expires: Option<Timestamp>,
    /// Every word, the oldest first: who, when, why, and whether it counts.
    pub records: Vec<ApprovalRecord>,
}

impl Tally {
    /// Whether that is enough. One no is stronger than every yes.
    pub fn agrees(&self, required: usize) -> bool {
        self.rejected.is_empty() && self.given.len() >= required
    }
}

/// Counts the words on a subject for one purpose. Those for other purposes are left out.
pub fn count(subject: Option<&Subject>, purpose: Purpose, words: &[Given<'_>], now: Timestamp) -> Tally {
    let mut tally = Tally::default();
    let mut newest: Vec<&Given<'_>> = words.iter().filter(|word| word.spec.purpose == purpose).collect();
    // By name where two are equally old, so that the count doesn't depend on the order of a list.
    newest.sort_by(|a, b| (b.created, b.name).cmp(&(a.created, a.name)));
    let mut heard = BTreeSet::new();
    for word in newest {
        let result =
            judge(subject, word, now).and_then(|()| if heard.insert(word.spec.approver.clone()) { Ok(word.spec.decision) } else { Err(Void::SamePerson) });
        if let Ok(decision) = result {
            let person = word.spec.approver.clone().unwrap_or_default();
            match decision {
                ApprovalDecision::Approved => tally.given.push(person),
                ApprovalDecision::Rejected => tally.rejected.push(person),
            }
            if subject.is_some_and(|subject| subject.started.is_none()) {
                let expires = expiry(word);
                tally.expires = Some(tally.expires.map_or(expires, |earlier| earlier.min(expires)));
            }
        }
        tally.words.insert(word.name.to_owned(), result);
        tally.records.push(record(word, result));
    }
    tally.records.reverse();
    tally.given.sort();
    tally.rejected.sort();
    tally
}

fn record(word: &Given<'_>, result: Result<ApprovalDecision, Void>) -> ApprovalRecord {
    ApprovalRecord {
        name: word.name.to_owned(),
        approver: word.spec.approver.clone().unwrap_or_default(),
        decision: word.spec.decision,
        time: Time(word.created),
        reason: word.spec.reason.clone().filter(|reason| !reason.trim().is_empty()),
        void: result.err().map(|void| void.message().to_owned()),
    }
}

/// Whether a word that is given now would count, as far as its subject says. Asked before an Approval is created, so that none is left that never counts.
///
/// # Errors
/// Why it would not.
pub fn would_count(subject: &Subject, spec: &ApprovalSpec, now: Timestamp) -> Result<(), Void> {
    // It comes after whatever has begun or ended, whatever the clock of the one who asks says.
    let after = |time: Timestamp| crate::time::after(time, SignedDuration::from_millis(1));
    let created = [subject.started, subject.ended].into_iter().flatten().map(after).fold(now, Timestamp::max);
    judge(Some(subject), &Given { name: "", spec, created }, now)
}

/// A duration that can't be read is refused at admission; one that slipped in is valid for no time.
fn expiry(word: &Given<'_>) -> Timestamp {
    crate::time::after(word.created, parse_duration(&word.spec.valid_for.0).unwrap_or(SignedDuration::ZERO))
}

fn judge(subject: Option<&Subject>, word: &Given<'_>, now: Timestamp) -> Result<(), Void> {
    let Some(subject) = subject.filter(|subject| subject.reference == word.spec.subject_ref) else { return Err(Void::SubjectGone) };
    let Some(approver) = word.spec.approver.as_deref().filter(|name| !name.is_empty()) else { return Err(Void::Nameless) };
    // A statement of fact may be made by the one who asked; agreement may not.
    if matches!(word.spec.purpose, Purpose::Start | Purpose::SignOff | Purpose::AcceptDataLoss) && subject.asked_by.contains(approver) {
        return Err(Void::RequesterCannotApprove);
    }
    if word.spec.purpose == Purpose::Start && (subject.digest.is_none() || subject.digest != word.spec.digest) {
        return Err(Void::DigestDiffers);
    }
    // A sign-off after the end never expires; an approval to start does.
    if word.spec.purpose == Purpose::SignOff {
        return Ok(());
    }
    if subject.ended.is_some_and(|ended| word.created > ended) {
        return Err(Void::Ended);
    }
    if subject.started.is_some_and(|started| word.created > started) {
        return Err(Void::TooLate);
    }
    if expiry(word) <= subject.started.unwrap_or(now) {
        return Err(Void::Expired);
    }
    Ok(())
}

/// Conditions of an approval.
pub fn condition(result: Result<ApprovalDecision, Void>, tally: &Tally, required: usize) -> ConditionUpdate {
    match result {
        Ok(ApprovalDecision::Approved) => ConditionUpdate::good(
            ConditionType::Counted,
            Reason::Valid,
            if required > 0 { format!("{} of {required}", tally.given.len()) } else { String::new() },
        ),
        Ok(ApprovalDecision::Rejected) => {
            ConditionUpdate::good(ConditionType::Counted, Reason::Rejected, "it rejects this plan: nothing starts until it is deleted, or the plan is another")
        }
        Err(void) => ConditionUpdate::bad(ConditionType::Counted, void.into(), void.message()),
    }
}

/// What people are told of an approval that doesn't count; nothing while its condition keeps its reason.
pub fn refusal(before: &[Condition], counted: &ConditionUpdate) -> Option<ObjectEvent> {
    let told = before.first().is_some_and(|condition| condition.reason == counted.reason);
    let note = || format!("{}: {}", counted.reason, counted.message);
    (!counted.holds() && !told).then(|| ObjectEvent { reason: Reason::ApprovalRefused, note: note(), warning: true })
}
