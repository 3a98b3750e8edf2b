//! Conditions of a ticket.

use super::{decide::Pass, digest::required_approvals};
use crate::{
    conditions::ConditionUpdate,
    maintenance::{drain::DrainOutlook, template::NotStandard},
    time::human_duration,
    told::Noun,
};
use p861_crds::{
    ConditionType, Reason,
    maintenance::{
        ticket::{ClockName, ClockState, Resolution, TicketActionKind, TicketPhase},
        window::ChangeClass,
    },
};

/// Why a person ended it, and what its steps said; once, where one says what the other does.
fn said_once(why: Option<String>, steps: Option<String>) -> String {
    match (why, steps) {
        (Some(why), Some(steps)) if !steps.contains(&why) => format!("{why}; {steps}"),
        (why, steps) => steps.or(why).unwrap_or_default(),
    }
}

impl Pass<'_> {
    /// Succeeded, and of a change Approved and Blocked, of a drain DrainSafe, and of what has clocks WithinClocks.
    pub(super) fn conditions(&self) -> Vec<ConditionUpdate> {
        let mut updates = vec![self.succeeded()];
        if let Some(class) = self.class() {
            updates.push(self.approved(class));
            updates.extend(self.outlook().map(DrainOutlook::condition));
            updates.push(self.blocked());
        }
        if !self.status.clocks.is_empty() {
            updates.push(self.within_clocks());
        }
        updates
    }

    fn succeeded(&self) -> ConditionUpdate {
        let phase = self.phase();
        let reason = self.reason();
        let of_steps = self.run().map(|run| run.said.1.clone()).filter(|said| !said.is_empty());
        match phase {
            TicketPhase::Closed if of_steps.is_some() => ConditionUpdate::good(ConditionType::Succeeded, reason, of_steps.unwrap_or_default()),
            TicketPhase::Closed => {
                let took = self
                    .status
                    .completion_time
                    .as_ref()
                    .map(|end| format!("after {}", human_duration(crate::time::whole_seconds(end.0.duration_since(self.facts.created)))));
                ConditionUpdate::good(ConditionType::Succeeded, reason, took.unwrap_or_default())
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
                ConditionUpdate::bad(ConditionType::Succeeded, reason, said_once(why, of_steps))
            }
            TicketPhase::Open
            | TicketPhase::Acknowledged
            | TicketPhase::Planned
            | TicketPhase::Approved
            | TicketPhase::Scheduled
            | TicketPhase::InProgress
            | TicketPhase::Verifying
            | TicketPhase::Suspended => {
                let said = self.alerts_said().or(of_steps).unwrap_or_default();
                ConditionUpdate::unknown(ConditionType::Succeeded, reason, said)
            }
        }
    }

    /// How many alerts fire, and how many nobody knows of.
    fn alerts_said(&self) -> Option<String> {
        let firing = self.firing();
        let Some(truncated) = self.status.truncated_alerts else { return (firing > 0).then(|| format!("{} firing", Noun::Alert.count(firing))) };
        Some(format!(
            "{} firing, and {truncated} more of the group that this ticket doesn't list, because Alertmanager left them out of its post: see them \
             in Alertmanager; when none fires any more, p861 ticket resolve",
            Noun::Alert.count(firing)
        ))
    }

    /// The reason of Succeeded: the phase, and of a ticket that has ended its resolution.
    fn reason(&self) -> Reason {
        match self.phase() {
            TicketPhase::Open => Reason::Open,
            TicketPhase::Acknowledged => Reason::Acknowledged,
            TicketPhase::Planned => Reason::Planned,
            TicketPhase::Approved => Reason::Approved,
            TicketPhase::Scheduled => Reason::Scheduled,
            TicketPhase::InProgress => Reason::InProgress,
            TicketPhase::Verifying => Reason::Verifying,
            TicketPhase::Suspended => Reason::Suspended,
            TicketPhase::Closed | TicketPhase::RolledBack | TicketPhase::Cancelled => match self.status.resolution.unwrap_or(Resolution::Done) {
                Resolution::Done => Reason::Done,
                Resolution::RolledBack => Reason::RolledBack,
                Resolution::Cancelled => Reason::Cancelled,
                Resolution::Duplicate => Reason::Duplicate,
                Resolution::NotReproducible => Reason::NotReproducible,
            },
        }
    }

    fn approved(&self, class: ChangeClass) -> ConditionUpdate {
        let (required, tally) = (required_approvals(class), &self.facts.tally);
        if let Some(said) = self.rejection() {
            return ConditionUpdate::bad(ConditionType::Approved, Reason::Rejected, said);
        }
        if let Some(DrainOutlook::Missing(why)) = self.outlook() {
            return ConditionUpdate::bad(ConditionType::Approved, Reason::NodeMissing, why);
        }
        if let Some(Err(why)) = self.facts.work.as_ref().map(|work| &work.steps)
            && self.status.plan_digest.is_none()
        {
            return ConditionUpdate::bad(ConditionType::Approved, Reason::NotCompiled, why.clone());
        }
        if self.is_compiled_otherwise() {
            return ConditionUpdate::bad(ConditionType::Approved, Reason::NotCompiled, "its steps are compiled anew, for the plan that was said last");
        }
        if self.status.plan_digest.is_none() {
            return ConditionUpdate::bad(ConditionType::Approved, Reason::NoPlan, "it has no plan yet: append the action Plan");
        }
        let missing = format!("{} of {required}; it is never the one who asked for it", tally.given.len());
        match (required, tally.agrees(required), self.not_standard()) {
            (0, true, _) => ConditionUpdate::good(ConditionType::Approved, Reason::PreApproved, self.template_said()),
            (_, true, None) => ConditionUpdate::good(ConditionType::Approved, Reason::EnoughApprovals, tally.given.join(", ")),
            (_, true, Some(refused)) => {
                let message = format!("{}, as a Normal change: {}", tally.given.join(", "), refused.message());
                ConditionUpdate::good(ConditionType::Approved, Reason::EnoughApprovals, message)
            }
            (_, false, None) => ConditionUpdate::bad(ConditionType::Approved, Reason::ApprovalsMissing, missing),
            (_, false, Some(refused)) => {
                let counted = format!("{} of {required}, never by the one who asked for it", tally.given.len());
                let message = format!("{}; it needs approvals as a Normal change does, {counted}", refused.message());
                ConditionUpdate::bad(ConditionType::Approved, refused.reason(), message)
            }
        }
    }

    /// What people agree to lose by a drain, or why there is none: as long as it has not begun.
    fn outlook(&self) -> Option<&DrainOutlook> {
        self.facts.work.as_ref().and_then(|work| work.drain.as_ref())
    }

    /// Why a Standard change is treated as a Normal one; none once it has begun.
    fn not_standard(&self) -> Option<&NotStandard> {
        self.facts.class.as_ref().and_then(|standing| standing.refused.as_ref())
    }

    /// By which template it is approved, and who has published that.
    fn template_said(&self) -> String {
        let Some(template) = &self.status.template else { return "approved once for all".to_owned() };
        let publisher = template.published_by.as_ref().map(|publisher| format!(", published by {publisher}")).unwrap_or_default();
        format!("within template {}{publisher}", template.name)
    }

    fn blocked(&self) -> ConditionUpdate {
        // True is the bad value here: programs ask whether it is blocked.
        let is = |reason: Reason, message: String| ConditionUpdate { kind: ConditionType::Blocked, status: Some(true), reason, message };
        let phase = self.phase();
        if phase.is_end() {
            return ConditionUpdate::bad(ConditionType::Blocked, Reason::Finished, "");
        }
        match self.block() {
            Some(block) if matches!(phase, TicketPhase::InProgress | TicketPhase::Verifying) => {
                is(block.reason.into(), format!("{}; work is under way all the same: finish it, or RollBack", block.message))
            }
            Some(block) => is(block.reason.into(), block.message),
            None => ConditionUpdate::bad(ConditionType::Blocked, Reason::Clear, "no freeze, drill, backup or alert is in the way"),
        }
    }

    fn within_clocks(&self) -> ConditionUpdate {
        let state = |name: ClockName| self.status.clocks.iter().find(|clock| clock.name == name).map(|clock| clock.state);
        let late = |name| matches!(state(name), Some(ClockState::Overdue | ClockState::MetLate));
        for (name, reason) in
            [(ClockName::Acknowledge, Reason::AcknowledgeOverdue), (ClockName::Resolve, Reason::ResolveOverdue), (ClockName::Report, Reason::ReportOverdue)]
        {
            if late(name) {
                let due = self.status.clocks.iter().find(|clock| clock.name == name).map(|clock| clock.due_time.0.to_string());
                return ConditionUpdate::bad(ConditionType::WithinClocks, reason, format!("{name:?} was due {}", due.unwrap_or_default()));
            }
        }
        let acknowledged = self.status.clocks.iter().find(|clock| clock.name == ClockName::Acknowledge);
        let message = acknowledged.and_then(|clock| Some((clock.met_time.as_ref()?.0, clock.due_time.0))).map_or_else(String::new, |(met, due)| {
            format!("acknowledged {} before it was due", human_duration(crate::time::whole_seconds(due.duration_since(met))))
        });
        ConditionUpdate::good(ConditionType::WithinClocks, Reason::InTime, message)
    }
}
