//! An incident whose alerts ended and fire again.

use super::{clocks, decide::Pass, life::Event};
use p861_crds::{
    Reason,
    maintenance::ticket::{AlertState, EscalationState, TicketPhase},
};

/// The phase in which an incident that its alerts close in phase `from` goes on if one of them fires again. Whoever suspended it has acknowledged it.
pub(super) fn goes_on_in(from: TicketPhase, suspended: Option<TicketPhase>) -> TicketPhase {
    match (from, suspended) {
        (TicketPhase::Suspended, None | Some(TicketPhase::Open)) => TicketPhase::Acknowledged,
        (TicketPhase::Suspended, Some(before)) => before,
        (from, _) => from,
    }
}

impl Pass<'_> {
    /// Reopens an incident that its alerts closed when one of them fires again: which one may do so, and for how long, is decided where posts are taken.
    pub(super) fn reopen(&mut self) {
        let firing = self.status.alerts.iter().filter(|alert| alert.state == AlertState::Firing);
        let Some(alert) = firing.max_by_key(|alert| alert.start_time.0).map(|alert| alert.alert_name.clone()) else { return };
        if self.status.closed_phase.is_some() && self.go(Event::AlertsAgain).is_ok() {
            self.tell(Reason::IncidentReopened, format!("alert {alert} fires again: the incident is {} as before", self.phase()), true);
        }
    }

    /// Goes on as if the incident had not been closed: its deadlines are those that it had, and nobody who has had a message gets another.
    pub(super) fn take_up(&mut self) {
        (self.status.completion_time, self.status.resolution) = (None, None);
        clocks::take_up(&mut self.status.clocks);
        if self.phase() == TicketPhase::Open
            && let Some(escalation) = &mut self.status.escalation
        {
            escalation.state = if escalation.next_time.is_some() { EscalationState::Running } else { EscalationState::Exhausted };
        }
    }
}
