//! An incident that becomes graver.

use super::{clocks, decide::Pass};
use crate::maintenance::alerts::grades;
use p861_crds::{
    Reason,
    maintenance::ticket::{TicketPhase, TicketType},
};

impl Pass<'_> {
    /// An incident becomes as grave as the gravest of its alerts, and never less grave by itself. Its clocks have the shorter limits from now on, and people who
    /// were called for the lower priority are called again.
    pub(super) fn raise(&mut self) {
        if self.facts.spec.r#type != TicketType::Incident || self.phase().is_end() {
            return;
        }
        let graded = self.status.alerts.iter().map(|alert| {
            let (impact, urgency) = grades(alert.severity.as_deref());
            (clocks::priority(impact, urgency), alert)
        });
        let Some((risen, gravest)) = graded.min_by_key(|(priority, alert)| (*priority, alert.start_time.0)) else { return };
        let before = self.priority();
        if risen >= before {
            return;
        }
        let note = format!("{before:?} → {risen:?}: alert {} is {}", gravest.alert_name, gravest.severity.as_deref().unwrap_or_default());
        self.status.priority = Some(risen);
        let limits = clocks::limits(self.facts.clocks, risen);
        let suspended = self.status.suspended_time.as_ref().map(|time| time.0);
        clocks::hasten(&mut self.status.clocks, &limits, self.now, suspended);
        if self.phase() == TicketPhase::Open {
            self.status.notifications.clear();
        }
        self.tell(Reason::PriorityRaised, note, true);
    }
}
