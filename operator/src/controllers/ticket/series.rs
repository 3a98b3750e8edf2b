//! Metrics of tickets: how many there are of a sort, how many are late, and how many messages are not delivered.

use crate::metrics::Metrics;
use p861_crds::{
    MaintenanceTicket, MaintenanceTicketStatus,
    maintenance::ticket::{ClockState, NotificationState, TicketType},
};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Metric labels and values of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketSeries {
    kind: TicketType,
    priority: String,
    overdue: Vec<String>,
    undelivered: usize,
}

impl TicketSeries {
    /// Those of a ticket with this status; none if it has ended.
    pub fn of(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus) -> Option<Self> {
        if status.phase.unwrap_or_default().is_end() {
            return None;
        }
        let overdue = status.clocks.iter().filter(|clock| clock.state == ClockState::Overdue).map(|clock| format!("{:?}", clock.name)).collect();
        let undelivered = status.notifications.iter().filter(|known| known.state == NotificationState::Pending && known.attempts > 0).count();
        let priority = status.priority.map_or_else(String::new, |priority| format!("{priority:?}"));
        Some(Self { kind: ticket.spec.r#type, undelivered, priority, overdue })
    }
}

/// The metric labels of all open tickets, by namespace and name.
#[derive(Default)]
pub struct AllSeries(Mutex<HashMap<(String, String), TicketSeries>>);

impl AllSeries {
    /// Updates the metrics for a ticket; None if it has ended or was deleted.
    pub fn update(&self, metrics: &Metrics, namespace: &str, name: &str, standing: Option<TicketSeries>) {
        let mut all = self.0.lock();
        let key = (namespace.to_owned(), name.to_owned());
        let before = match standing.clone() {
            Some(standing) => all.insert(key, standing),
            None => all.remove(&key),
        };
        if before == standing {
            return;
        }
        let undelivered: usize = all.iter().filter(|((district, _), _)| district == namespace).map(|(_, standing)| standing.undelivered).sum();
        metrics.messages_undelivered.with_label_values(&[namespace]).set(i64::try_from(undelivered).unwrap_or(i64::MAX));
        // Only series with the ticket's present or former labels can have changed.
        for touched in [before, standing].into_iter().flatten() {
            let of_district = || all.iter().filter(|((district, _), _)| district == namespace).map(|(_, standing)| standing);
            let same = of_district().filter(|other| other.kind == touched.kind && other.priority == touched.priority).count();
            metrics.tickets.with_label_values(&[namespace, &format!("{:?}", touched.kind), &touched.priority]).set(i64::try_from(same).unwrap_or(i64::MAX));
            for clock in &touched.overdue {
                let late = of_district().filter(|other| other.overdue.contains(clock)).count();
                metrics.tickets_overdue.with_label_values(&[namespace, clock]).set(i64::try_from(late).unwrap_or(i64::MAX));
            }
        }
    }
}
