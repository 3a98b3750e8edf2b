//! Messages about tickets, each sent in a task of its own.

use crate::{
    context::Context,
    controllers::{roster::CalledLevels, window::zone_of},
    maintenance::{
        links::path_of,
        notify::{Message, deliver},
    },
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::maintenance::{
    notify::{self, Outcome},
    window::zone,
};
use p861_crds::{MaintenanceTicket, MaintenanceTicketStatus, maintenance::ticket::TicketNotification};
use p861_runs::{district::work_for, places::Places};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Ticket's UID, person and channel.
pub type Address = (String, String, String);

/// Messages of one district that are delivered at once: a server that doesn't answer holds each for its whole time limit.
const MAX_DELIVERIES_PER_DISTRICT: usize = 16;

/// Messages that are being delivered, with the outcome of those that were tried, until the status has it.
pub struct Messages {
    under_way: Arc<Mutex<HashMap<Address, Option<Outcome>>>>,
    places: Places,
}

impl Default for Messages {
    fn default() -> Self {
        Self { under_way: Arc::default(), places: Places::new(MAX_DELIVERIES_PER_DISTRICT) }
    }
}

impl Messages {
    /// The outcomes of a ticket's messages that were tried.
    pub fn outcomes(&self, ticket: &MaintenanceTicket) -> Vec<(Address, Outcome)> {
        let messages = self.under_way.lock();
        let ours = messages.iter().filter(|((uid, ..), _)| Some(uid) == ticket.metadata.uid.as_ref());
        ours.filter_map(|(address, outcome)| Some((address.clone(), outcome.clone()?))).collect()
    }

    /// Whether messages of a ticket are being delivered, or their outcomes are not in the status.
    pub fn are_under_way(&self, ticket: &MaintenanceTicket) -> bool {
        self.under_way.lock().keys().any(|(uid, ..)| Some(uid) == ticket.metadata.uid.as_ref())
    }

    /// Forgets messages whose outcomes are in the status.
    pub fn forget(&self, settled: &[Address]) {
        let mut messages = self.under_way.lock();
        for address in settled {
            messages.remove(address);
        }
    }

    /// Sends due messages in tasks of their own. The status has them as pending, so that the next leader sends the ones that this process doesn't finish. Returns
    /// whether some have to wait, because the district has as many under way as it may.
    pub fn send(&self, context: &Context, ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus, roster: &Arc<CalledLevels>, now: Timestamp) -> bool {
        let district: Arc<str> = ticket.namespace().unwrap_or_default().into();
        let current = MaintenanceTicket { status: Some(status.clone()), ..ticket.clone() };
        for notification in notify::due(&status.notifications, now) {
            let address = (ticket.uid().unwrap_or_default(), notification.person.clone(), notification.channel.clone());
            let mut messages = self.under_way.lock();
            if messages.contains_key(&address) {
                continue;
            }
            let Some(place) = self.places.try_take(&district) else { return true };
            messages.insert(address.clone(), None);
            drop(messages);
            let (context, messages, roster, ticket, notification) =
                (context.clone(), self.under_way.clone(), roster.clone(), current.clone(), notification.clone());
            tokio::spawn(work_for(district.clone(), async move {
                let _place = place;
                let result = send_message(&context, &ticket, &roster, &notification).await;
                if let Err(why) = &result {
                    tracing::warn!(
                        ticket = ticket.name_any(),
                        person = notification.person,
                        channel = notification.channel,
                        "a message was not delivered: {why}"
                    );
                }
                let outcome = Outcome { person: notification.person, channel: notification.channel, at: Timestamp::now(), result };
                messages.lock().insert(address, Some(outcome));
            }));
        }
        false
    }
}

/// Composes and delivers one message.
async fn send_message(
    context: &Context,
    ticket: &MaintenanceTicket,
    roster: &CalledLevels,
    notification: &TicketNotification,
) -> std::result::Result<(), String> {
    let (name, namespace) = (ticket.name_any(), ticket.namespace().unwrap_or_default());
    let zone_name = zone_of(context, &namespace).await.map_err(|error| error.to_string())?;
    let zone = zone(&zone_name).unwrap_or(jiff::tz::TimeZone::UTC);
    let link = match &context.messaging.public_url {
        Some(base) => {
            let key = context.messaging.keys.token().await.map_err(|error| error.to_string())?;
            path_of(&key, ticket, &notification.person).map(|path| format!("{base}{path}"))
        }
        None => None,
    };
    let priority = ticket.status.as_ref().and_then(|status| status.priority);
    let text = notify::message(&name, &ticket.spec, priority, notification, link.as_deref(), &zone, Timestamp::now());
    let id = format!("{}.{}.{}.{}", ticket.uid().unwrap_or_default(), notification.due_time.0.as_second(), notification.person, notification.channel);
    let message = Message { id, person: &notification.person, text: &text, ticket: Some(&name) };
    deliver(&roster.secrets, &roster.spec, &notification.channel, &message).await
}
