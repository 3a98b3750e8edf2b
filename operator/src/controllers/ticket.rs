//! MaintenanceTicket: observes people's actions, alerts and the work of a change, and decides the next state.

mod work;

use super::{
    roster::{CalledLevels, roster_for},
    window::{freezes_of, until, windows_for, zone_of},
};
use crate::{
    context::Context,
    hub_cache::ReadFrom,
    maintenance::{
        links::seal_of,
        notify::{Message, deliver},
    },
    metrics::Metrics,
    reconciler::Reconciler,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use p861_core::{
    conditions,
    maintenance::{
        approval::{Given, Subject, Tally, count},
        notify::{self, Outcome},
        ticket::{Access, Facts, Work, block, decide, plan_digest, required_approvals},
        window::{Window, zone},
    },
};
use p861_crds::{
    Approval, ConditionType, MaintenanceTicket, MaintenanceTicketStatus,
    maintenance::{
        approval::Purpose,
        change::Change,
        ticket::{ClockState, NotificationState, TicketNotification, TicketPhase, TicketType},
    },
};
use p861_runs::status::{apply_status_if_unchanged, event_type, publish_event};
use p861_runs::{error::Result, finalizer};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Longest time between reconciles of a waiting change.
const WAITING_CHANGE_INTERVAL: Duration = Duration::from_secs(10);
/// Longest time between reconciles of an open ticket.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);
/// Time between reconciles of an ended ticket.
const ENDED_INTERVAL: Duration = Duration::from_hours(1);

/// The controller. Remembers each ticket's metric labels, and messages in delivery.
#[derive(Default)]
pub struct TicketReconciler {
    standing: Mutex<HashMap<(String, String), TicketSeries>>,
    messages: Arc<Mutex<HashMap<Address, Option<Outcome>>>>,
}

/// Ticket's UID, person and channel.
type Address = (String, String, String);

/// Metric labels and values of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TicketSeries {
    kind: TicketType,
    priority: String,
    overdue: Vec<String>,
    undelivered: usize,
}

impl Reconciler for TicketReconciler {
    type Kind = MaintenanceTicket;
    const CONDITION: ConditionType = ConditionType::Succeeded;

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        self.update_metrics(metrics, namespace, name, None);
    }

    async fn reconcile(&self, context: &Context, ticket: Arc<MaintenanceTicket>, now: Timestamp) -> Result<Duration> {
        let (name, namespace) = (ticket.name_any(), ticket.namespace().unwrap_or_default());
        let mut before = ticket.status.clone().unwrap_or_default();
        if ticket.metadata.deletion_timestamp.is_some() && !finalizer::is_held(ticket.as_ref()) {
            return Ok(ENDED_INTERVAL);
        }
        let looked = match &ticket.spec.change {
            Some(_) if before.start_time.is_some() => Some(work::carry_on(context, &ticket, &mut before, now).await?),
            Some(change) => Some(work::preview(context, &ticket, change, &before).await?),
            None => None,
        };
        let settled = self.collect_delivery_results(&ticket, &mut before.notifications);
        let roster = roster_for(context, &namespace).await?;
        let levels = roster.as_ref().map(|roster| roster.levels.clone()).unwrap_or_default();
        let (tally, access, obstacles) = match &ticket.spec.change {
            Some(change) => around(context, &ticket, change, looked.as_ref().map(|looked| &looked.work), ReadFrom::Cache, now).await?,
            None => (Tally::default(), nowhere(), Vec::new()),
        };
        let mut facts = Facts {
            spec: &ticket.spec,
            before: &before,
            created: ticket.creation_timestamp().map_or(now, |time| time.0),
            clocks: roster.as_ref().map(|roster| roster.spec.clocks.as_slice()).unwrap_or_default(),
            levels: &levels,
            current: roster.as_ref().map(|roster| roster.current.as_slice()).unwrap_or_default(),
            channels: roster.as_ref().map(|roster| roster.channels.as_slice()).unwrap_or_default(),
            tally,
            access,
            obstacles,
            work: looked.as_ref().map(|looked| looked.work.clone()),
        };
        let mut decision = decide(&facts, now);
        // Starting is irreversible: read from the API server, not from the cache.
        if let (Some(change), true) = (&ticket.spec.change, before.start_time.is_none() && decision.status.start_time.is_some()) {
            (facts.tally, facts.access, facts.obstacles) = around(context, &ticket, change, facts.work.as_ref(), ReadFrom::ApiServer, now).await?;
            decision = decide(&facts, now);
        }
        let mut status = decision.status;
        status.observed_generation = ticket.metadata.generation;
        status.conditions = conditions::apply(&status.conditions, &decision.updates, ticket.metadata.generation, now);
        if !apply_status_if_unchanged(&context.hub.client, &context.hub.leadership, ticket.as_ref(), ticket.status.as_ref(), &status).await? {
            return Ok(Duration::from_millis(200));
        }
        self.forget(&settled);
        if let Some(roster) = roster {
            self.send(context, &ticket, &status, roster, now);
        }
        for happened in &decision.happened {
            publish_event(&context.hub, ticket.as_ref(), event_type(happened.warning), happened.reason.clone(), &happened.note).await;
        }
        let phase = status.phase.unwrap_or_default();
        self.update_metrics(&context.metrics, &namespace, &name, (!phase.is_end()).then(|| series_of(&ticket, &status)));
        let steps = match looked.and_then(|looked| looked.run) {
            Some((run, pass)) => work::publish(context, &ticket, &run, &pass, now).await?,
            None => None,
        };
        if let Some(steps) = steps {
            return Ok(until(decision.next, now).min(steps));
        }
        let at_most = match (phase.is_end(), ticket.spec.r#type) {
            (true, _) => return Ok(ENDED_INTERVAL),
            (false, TicketType::Change) if !matches!(phase, TicketPhase::InProgress | TicketPhase::Verifying) => WAITING_CHANGE_INTERVAL,
            (false, TicketType::Change | TicketType::Incident) => RECONCILE_INTERVAL,
        };
        let under_way = self.messages.lock().keys().any(|(uid, ..)| Some(uid) == ticket.metadata.uid.as_ref());
        Ok(until(decision.next, now).min(if under_way { Duration::from_secs(1) } else { at_most }))
    }
}

impl TicketReconciler {
    /// Copies delivery results into the notifications. Returns their addresses, to be forgotten once the status is written.
    fn collect_delivery_results(&self, ticket: &MaintenanceTicket, notifications: &mut [TicketNotification]) -> Vec<Address> {
        let messages = self.messages.lock();
        let ours = messages.iter().filter(|((uid, ..), _)| Some(uid) == ticket.metadata.uid.as_ref());
        ours.filter_map(|(address, outcome)| {
            notify::settle(notifications, outcome.as_ref()?);
            Some(address.clone())
        })
        .collect()
    }

    fn forget(&self, settled: &[Address]) {
        let mut messages = self.messages.lock();
        for address in settled {
            messages.remove(address);
        }
    }

    /// Sends due messages in tasks of their own. The status has them as pending, so that the next leader sends the ones that this process doesn't finish.
    fn send(&self, context: &Context, ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus, roster: CalledLevels, now: Timestamp) {
        let roster = Arc::new(roster);
        let current = MaintenanceTicket { status: Some(status.clone()), ..ticket.clone() };
        for notification in notify::due(&status.notifications, now) {
            let address = (ticket.uid().unwrap_or_default(), notification.person.clone(), notification.channel.clone());
            let mut messages = self.messages.lock();
            if messages.contains_key(&address) {
                continue;
            }
            messages.insert(address.clone(), None);
            drop(messages);
            let (context, messages, roster, ticket, notification) =
                (context.clone(), self.messages.clone(), roster.clone(), current.clone(), notification.clone());
            tokio::spawn(async move {
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
            });
        }
    }

    /// Updates the metrics for a ticket; None if it has ended or was deleted.
    fn update_metrics(&self, metrics: &Metrics, namespace: &str, name: &str, standing: Option<TicketSeries>) {
        let mut all = self.standing.lock();
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
            seal_of(&key, ticket, &notification.person).map(|seal| format!("{base}/ack/{namespace}/{name}/{}/{seal}", notification.person))
        }
        None => None,
    };
    let priority = ticket.status.as_ref().and_then(|status| status.priority);
    let text = notify::message(&name, &ticket.spec, priority, notification, link.as_deref(), &zone, Timestamp::now());
    let id = format!("{}.{}.{}.{}", ticket.uid().unwrap_or_default(), notification.due_time.0.as_second(), notification.person, notification.channel);
    let message = Message { id, person: &notification.person, text: &text, ticket: Some(&name) };
    deliver(&context.hub.client, &roster.namespace, &roster.spec, &notification.channel, &message).await
}

fn series_of(ticket: &MaintenanceTicket, status: &MaintenanceTicketStatus) -> TicketSeries {
    let overdue = status.clocks.iter().filter(|clock| clock.state == ClockState::Overdue).map(|clock| format!("{:?}", clock.name)).collect();
    let undelivered = status.notifications.iter().filter(|known| known.state == NotificationState::Pending && known.attempts > 0).count();
    TicketSeries { kind: ticket.spec.r#type, undelivered, priority: status.priority.map_or_else(String::new, |priority| format!("{priority:?}")), overdue }
}

/// An incident needs no window.
fn nowhere() -> Access {
    Access { opening: None, fits: None, takes: SignedDuration::ZERO, freeze: None, zone: jiff::tz::TimeZone::UTC }
}

/// Reads the surroundings of a change: approvals, windows and obstacles.
async fn around(
    context: &Context,
    ticket: &MaintenanceTicket,
    change: &Change,
    work: Option<&Work>,
    source: ReadFrom,
    now: Timestamp,
) -> Result<(Tally, Access, Vec<block::Block>)> {
    let (name, namespace) = (ticket.name_any(), ticket.namespace().unwrap_or_default());
    let approvals: Vec<Approval> = source.list(context, &namespace).await?;
    let begun = ticket.status.as_ref().filter(|status| status.start_time.is_some()).and_then(|status| status.plan_digest.clone());
    let digest = begun.or_else(|| plan_digest(&ticket.spec, ticket.spec.actions.len(), work));
    let tally = count(Some(&subject(ticket, digest)), Purpose::Start, &words(&approvals, &ticket.uid().unwrap_or_default()), now);
    let default_zone = zone_of(context, &namespace).await?;
    let windows = windows_for(context, source, &namespace).await?;
    let freezes = freezes_of(&windows);
    // An invalid window never opens, and reports that on its own status.
    let fitting = windows.iter().filter(|window| change.window_ref.as_ref().is_none_or(|wanted| window.name_any() == wanted.name));
    let parsed: Vec<Window> =
        fitting.filter_map(|window| Window::parse(&window.spec, &default_zone).ok()).filter(|window| window.classes.contains(&change.class)).collect();
    let takes = work.map(|work| work.takes).unwrap_or_default();
    let access = Access::of(&parsed, change.class, &freezes, zone(&default_zone).unwrap_or(jiff::tz::TimeZone::UTC), takes, now);
    let obstacles = block::obstacles(
        &name,
        &ticket.spec.affects,
        change,
        &block::Neighbours {
            drills: &source.list(context, &namespace).await?,
            plans: &source.list(context, &namespace).await?,
            backups: &source.list(context, &namespace).await?,
            tickets: &source.list(context, &namespace).await?,
            applications: &source.list(context, &namespace).await?,
        },
    );
    Ok((tally, access, obstacles))
}

/// A ticket as the subject of approvals, with the digest of its steps.
pub fn subject(ticket: &MaintenanceTicket, digest: Option<String>) -> Subject {
    Subject {
        uid: ticket.uid().unwrap_or_default(),
        requester: ticket.spec.requested_by.clone(),
        digest,
        started: ticket.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0),
        required: ticket.spec.change.as_ref().map_or(0, |change| required_approvals(change.class)),
    }
}

/// The approvals of a subject.
pub fn words<'a>(approvals: &'a [Approval], uid: &str) -> Vec<Given<'a>> {
    let of_subject = approvals.iter().filter(|approval| approval.spec.subject_ref.uid == uid);
    of_subject
        .filter_map(|approval| {
            Some(Given { name: approval.metadata.name.as_deref()?, spec: &approval.spec, created: approval.metadata.creation_timestamp.as_ref()?.0 })
        })
        .collect()
}
