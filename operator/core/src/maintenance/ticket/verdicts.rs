//! Conditions of a ticket.

use super::decide::{Pass, required_approvals};
use crate::{conditions::Verdict, time::human_duration};
use p861_crds::maintenance::{
    change::Change,
    ticket::{ClockName, ClockState, Resolution, TicketActionKind, TicketPhase},
};

/// Why a person ended it, and what its steps said; once, where one says what the other does.
fn said_once(why: Option<String>, steps: Option<String>) -> String {
    match (why, steps) {
        (Some(why), Some(steps)) if !steps.contains(&why) => format!("{why}; {steps}"),
        (why, steps) => steps.or(why).unwrap_or_default(),
    }
}

impl Pass<'_> {
    /// Succeeded, and of a change Approved and Blocked, and of what has clocks WithinClocks.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = vec![self.succeeded()];
        if let Some(change) = self.change() {
            verdicts.push(self.approved(change));
            verdicts.push(self.blocked());
        }
        if !self.status.clocks.is_empty() {
            verdicts.push(self.within_clocks());
        }
        verdicts
    }

    fn succeeded(&self) -> Verdict {
        let phase = self.phase();
        let word = format!("{:?}", self.status.resolution.unwrap_or(Resolution::Done));
        let of_steps = self.run().map(|run| run.said.1.clone()).filter(|said| !said.is_empty());
        match phase {
            TicketPhase::Closed if of_steps.is_some() => Verdict::good("Succeeded", &word, of_steps.unwrap_or_default()),
            TicketPhase::Closed => {
                let took = self
                    .status
                    .completion_time
                    .as_ref()
                    .map(|end| format!("after {}", human_duration(crate::time::whole_seconds(end.0.duration_since(self.facts.created)))));
                Verdict::good("Succeeded", &word, took.unwrap_or_default())
            }
            TicketPhase::RolledBack | TicketPhase::Cancelled => {
                let why = self
                    .facts
                    .spec
                    .actions
                    .iter()
                    .rev()
                    .find(|action| matches!(action.action, TicketActionKind::RollBack | TicketActionKind::Cancel))
                    .and_then(|action| action.reason.clone());
                Verdict::bad("Succeeded", &word, said_once(why, of_steps))
            }
            TicketPhase::Open
            | TicketPhase::Acknowledged
            | TicketPhase::Planned
            | TicketPhase::Approved
            | TicketPhase::Scheduled
            | TicketPhase::InProgress
            | TicketPhase::Verifying
            | TicketPhase::Suspended => {
                let firing = self.firing();
                let said = if firing > 0 { format!("{firing} alerts firing") } else { of_steps.unwrap_or_default() };
                Verdict::unknown("Succeeded", &phase.to_string(), said)
            }
        }
    }

    fn approved(&self, change: &Change) -> Verdict {
        let (required, tally) = (required_approvals(change.class), &self.facts.tally);
        if let Some(person) = tally.rejected.first() {
            return Verdict::bad("Approved", "Rejected", format!("{person} says no"));
        }
        if let Some(Err(why)) = self.facts.work.as_ref().map(|work| &work.steps)
            && self.status.plan_digest.is_none()
        {
            return Verdict::bad("Approved", "NotCompiled", why.clone());
        }
        if self.status.plan_digest.is_none() {
            return Verdict::bad("Approved", "NoPlan", "nobody has said how it is done: append the action Plan");
        }
        match (required, tally.agrees(required)) {
            (0, true) => Verdict::good("Approved", "PreApproved", format!("{} changes are approved once for all", change.class)),
            (_, true) => Verdict::good("Approved", "EnoughApprovals", tally.given.join(", ")),
            (_, false) => Verdict::bad("Approved", "ApprovalsMissing", format!("{} of {required}; it is never the one who asked for it", tally.given.len())),
        }
    }

    fn blocked(&self) -> Verdict {
        // True is the bad value here: programs ask whether it is blocked.
        let is = |reason: &str, message: String| Verdict { kind: "Blocked", status: Some(true), reason: reason.to_owned(), message };
        let phase = self.phase();
        if phase.is_end() {
            return Verdict::bad("Blocked", "Finished", "");
        }
        match self.block() {
            Some(block) if matches!(phase, TicketPhase::InProgress | TicketPhase::Verifying) => {
                is(block.reason.word(), format!("{}; work is under way all the same: finish it, or RollBack", block.message))
            }
            Some(block) => is(block.reason.word(), block.message),
            None => Verdict::bad("Blocked", "Clear", "no freeze, drill, backup or alert is in the way"),
        }
    }

    fn within_clocks(&self) -> Verdict {
        let state = |name: ClockName| self.status.clocks.iter().find(|clock| clock.name == name).map(|clock| clock.state);
        let late = |name| matches!(state(name), Some(ClockState::Overdue | ClockState::MetLate));
        for (name, reason) in [(ClockName::Acknowledge, "AcknowledgeOverdue"), (ClockName::Resolve, "ResolveOverdue"), (ClockName::Report, "ReportOverdue")] {
            if late(name) {
                let due = self.status.clocks.iter().find(|clock| clock.name == name).map(|clock| clock.due_time.0.to_string());
                return Verdict::bad("WithinClocks", reason, format!("{name:?} was due {}", due.unwrap_or_default()));
            }
        }
        let acknowledged = self.status.clocks.iter().find(|clock| clock.name == ClockName::Acknowledge);
        let message = acknowledged.and_then(|clock| Some((clock.met_time.as_ref()?.0, clock.due_time.0))).map_or_else(String::new, |(met, due)| {
            format!("acknowledged {} before it was due", human_duration(crate::time::whole_seconds(due.duration_since(met))))
        });
        Verdict::good("WithinClocks", "InTime", message)
    }
}
