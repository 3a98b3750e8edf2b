//! What people have decided about a change: each approval and each rejection, with its time and its reason, for as long as there is the ticket.

use super::{decide::Pass, digest::required_approvals};
use p861_crds::{
    Reason,
    maintenance::{
        approval::ApprovalDecision,
        ticket::{ApprovalCounts, ApprovalRecord},
        window::ChangeClass,
    },
};

/// Maximum number of decisions in the status.
const MAX_DECISIONS: usize = 64;

/// The decisions that were known before and those that are there now. One whose Approval is gone was withdrawn, and stays.
fn remembered(before: &[ApprovalRecord], now: &[ApprovalRecord]) -> Vec<ApprovalRecord> {
    let is_there = |known: &ApprovalRecord| now.iter().any(|seen| seen.name == known.name && seen.time == known.time);
    let withdrawn = before.iter().filter(|known| !is_there(known)).map(|known| ApprovalRecord { void: Some("it was withdrawn".to_owned()), ..known.clone() });
    let mut all: Vec<ApprovalRecord> = withdrawn.chain(now.iter().cloned()).collect();
    all.sort_by(|a, b| (a.time.0, &a.name).cmp(&(b.time.0, &b.name)));
    all.drain(..all.len().saturating_sub(MAX_DECISIONS));
    all
}

/// `leader rejected it: too close to the holiday`.
fn rejected(record: &ApprovalRecord) -> String {
    let why = record.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} rejected it{why}", record.approver)
}

fn rejects(record: &ApprovalRecord) -> bool {
    record.decision == ApprovalDecision::Rejected && record.void.is_none()
}

impl Pass<'_> {
    /// Counts the approvals, and keeps every decision. People are told of a rejection once.
    pub(super) fn count_decisions(&mut self, class: ChangeClass) {
        let whole = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let tally = &self.facts.tally;
        let before = self.status.approvals.take().unwrap_or_default().decisions;
        let decisions = remembered(&before, &tally.records);
        let is_new = |record: &&ApprovalRecord| rejects(record) && !before.contains(record);
        let told: Vec<String> = decisions.iter().filter(is_new).map(rejected).collect();
        self.status.approvals =
            Some(ApprovalCounts { required: whole(required_approvals(class)), given: whole(tally.given.len()), by: tally.given.clone(), decisions });
        for note in told {
            self.tell(Reason::Rejected, note, true);
        }
    }

    /// Who has rejected the change, and why; none if nobody has.
    pub(super) fn rejection(&self) -> Option<String> {
        let tally = &self.facts.tally;
        let said: Vec<String> = tally.records.iter().filter(|record| rejects(record)).map(rejected).collect();
        let names = || tally.rejected.iter().map(|person| format!("{person} rejected it")).collect();
        let said = if said.is_empty() { names() } else { said };
        (!said.is_empty()).then(|| format!("{}; nothing starts until the plan is another, or the rejection is withdrawn", said.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::Time;

    fn record(name: &str, second: i64) -> ApprovalRecord {
        ApprovalRecord {
            name: name.into(),
            approver: "leader".into(),
            decision: ApprovalDecision::Approved,
            time: Time(jiff::Timestamp::from_second(second).unwrap_or_default()),
            reason: None,
            void: None,
        }
    }

    #[test]
    fn a_decision_that_is_withdrawn_stays_and_is_no_more_than_history() {
        let first = remembered(&[], &[record("a", 1), record("b", 2)]);
        let withdrawn = remembered(&first, &[record("b", 2)]);
        assert_eq!((withdrawn[0].name.as_str(), withdrawn[0].void.as_deref(), withdrawn[1].void.as_deref()), ("a", Some("it was withdrawn"), None));
        // One of the same name is another one.
        let again = remembered(&withdrawn, &[record("b", 2), record("a", 3)]);
        assert_eq!(again.iter().map(|known| (known.name.as_str(), known.void.is_some())).collect::<Vec<_>>(), [("a", true), ("b", false), ("a", false)]);
        let many: Vec<ApprovalRecord> = (0..100).map(|second| record("a", second)).collect();
        let kept = remembered(&[], &many);
        assert_eq!((kept.len(), kept[0].time.0.as_second()), (MAX_DECISIONS, 36), "the newest stay");
    }
}
