//! DutyRoster: who is on duty, and whether the duty was handed over.

use super::{
    cached_district,
    window::{until, zone_of},
};
use crate::{
    context::Context,
    maintenance::notify::{Message, deliver},
    metrics::Metrics,
    reconciler::Reconciler,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{
    conditions::{self, ConditionUpdate},
    maintenance::{
        notify::{MessageText, test_message},
        roster::{Heard, Roster, as_level, heartbeat_condition, test_due},
        ticket::clocks::Level,
        window::zone,
    },
    names::short_digest,
};
use p861_crds::{
    ConditionType, DutyRoster, DutyRosterSpec, DutyRosterStatus, Reason, Site, Time,
    maintenance::roster::{OnDuty, TestMessage},
};
use p861_runs::error::{Error, Result};
use p861_runs::status::{apply_status_if_unchanged, event_type, publish_event};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Longest time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);

/// The controller. Remembers results of test messages until they are in the status.
#[derive(Default)]
pub struct RosterReconciler {
    tested: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl Reconciler for RosterReconciler {
    type Kind = DutyRoster;
    const CONDITION: ConditionType = ConditionType::Ready;

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.duty_covered.remove_label_values(&[namespace, name]);
        let _ = metrics.alerts_arrive.remove_label_values(&[namespace, name]);
        let _ = metrics.people_reachable.remove_label_values(&[namespace, name]);
    }

    async fn reconcile(&self, context: &Context, object: Arc<DutyRoster>, now: Timestamp) -> Result<Duration> {
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        let mut status = object.status.clone().unwrap_or_default();
        status.observed_generation = object.metadata.generation;
        let mut told = Vec::new();
        let (update, next) = match Roster::parse(&object.spec, &zone_of(context, &namespace).await?) {
            Ok(roster) => {
                read_actions(&object, &roster, &mut status, &mut told, now);
                status.current = roster.current(status.last_hand_over.as_ref(), now);
                (roster.condition(now), roster.next_change(now))
            }
            Err(error) => {
                status.current.clear();
                (ConditionUpdate::bad(ConditionType::Ready, Reason::Invalid, error.to_string()), None)
            }
        };
        context
            .metrics
            .duty_covered
            .with_label_values(&[&namespace, &name])
            .set(i64::from(!status.current.is_empty() && status.current.iter().all(|level| level.person.is_some())));
        let mut updates = vec![update];
        updates.extend(alerts_arrive(context, &namespace, &object, now).await?);
        let silent_before = status.conditions.iter().any(|condition| condition.reason == Reason::HeartbeatMissing);
        if let Some(silent) = updates.iter().find(|update| update.reason == Reason::HeartbeatMissing).filter(|_| !silent_before) {
            told.push((Reason::HeartbeatMissing, silent.message.clone(), true));
        }
        status.conditions = conditions::apply(&status.conditions, &updates, object.metadata.generation, now);
        if let Some(arrives) = status.conditions.iter().find(|condition| condition.type_ == ConditionType::AlertsArrive) {
            context.metrics.alerts_arrive.with_label_values(&[&namespace, &name]).set(i64::from(arrives.status != "False"));
        }
        let testing = self.test(context, &object, &mut status, now).await?;
        if !apply_status_if_unchanged(&context.hub.client, &context.hub.leadership, object.as_ref(), object.status.as_ref(), &status).await? {
            return Ok(Duration::from_millis(200));
        }
        // Recorded before the first message is sent, so that a crash doesn't send a test twice.
        if let Some((message, total)) = testing {
            self.send_tests(context, &object, message, total);
        }
        for (reason, note, warning) in told {
            publish_event(&context.hub, object.as_ref(), event_type(warning), reason, &note).await;
        }
        Ok(until(next, now).min(RECONCILE_INTERVAL))
    }
}

impl RosterReconciler {
    /// Records the results of a test. If a test is due, returns its message and number of deliveries.
    async fn test(&self, context: &Context, object: &DutyRoster, status: &mut DutyRosterStatus, now: Timestamp) -> Result<Option<(MessageText, i32)>> {
        let uid = object.uid().unwrap_or_default();
        let outcome = self.tested.lock().get(&uid).cloned();
        if let (Some(failures), Some(last)) = (outcome, status.last_test.as_mut()) {
            last.delivered = Some(last.total.saturating_sub(i32::try_from(failures.len()).unwrap_or(i32::MAX)));
            let (delivered, day) = (last.delivered.unwrap_or_default(), last.time.0.strftime("%Y-%m-%d"));
            let update = if failures.is_empty() {
                ConditionUpdate::good(
                    ConditionType::PeopleReachable,
                    Reason::Delivered,
                    format!("test message of {day} delivered to {delivered} of {}", last.total),
                )
            } else {
                ConditionUpdate::bad(
                    ConditionType::PeopleReachable,
                    Reason::NotDelivered,
                    format!("test message of {day} delivered to {delivered} of {}: {}", last.total, failures.join("; ")),
                )
            };
            status.conditions = conditions::apply(&status.conditions, &[update], object.metadata.generation, now);
        }
        if let Some(reachable) = status.conditions.iter().find(|condition| condition.type_ == ConditionType::PeopleReachable) {
            let labels = [object.namespace().unwrap_or_default(), object.name_any()];
            context.metrics.people_reachable.with_label_values(&labels).set(i64::from(reachable.status == "True"));
        }
        let Some(at) = object.spec.test_message_at.as_deref().filter(|_| !object.spec.channels.is_empty()) else { return Ok(None) };
        let zone = zone(&match &object.spec.time_zone {
            Some(zone) => zone.clone(),
            None => zone_of(context, &object.namespace().unwrap_or_default()).await?,
        })
        .map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))?;
        let Some(due) = test_due(at, &zone, now).filter(|due| status.last_test.as_ref().is_none_or(|last| last.time.0 < *due)) else { return Ok(None) };
        let total = i32::try_from(object.spec.people.len() * object.spec.channels.len()).unwrap_or(i32::MAX);
        status.last_test = Some(TestMessage { time: Time(due), delivered: None, total });
        self.tested.lock().remove(&uid);
        Ok(Some((test_message(&object.name_any(), due, &zone), total)))
    }

    /// Sends a test to everybody by every channel, in tasks of their own.
    fn send_tests(&self, context: &Context, object: &DutyRoster, text: MessageText, total: i32) {
        let (client, tested, roster) = (context.hub.client.clone(), self.tested.clone(), object.clone());
        tracing::info!(roster = roster.name_any(), total, "sends the test message");
        tokio::spawn(async move {
            let (uid, namespace) = (roster.uid().unwrap_or_default(), roster.namespace().unwrap_or_default());
            let mut failures = Vec::new();
            for person in &roster.spec.people {
                for channel in &roster.spec.channels {
                    let id = format!("test.{uid}.{}.{}.{}", short_digest(&[&text.subject], 8), person.name, channel.name);
                    let message = Message { id, person: &person.name, text: &text, ticket: None };
                    if let Err(why) = deliver(&client, &namespace, &roster.spec, &channel.name, &message).await {
                        failures.push(format!("{} by {}: {why}", person.name, channel.name));
                    }
                }
            }
            tested.lock().insert(uid, failures);
        });
    }
}

/// Whether heartbeats arrive from every site with an Alertmanager. None: not known yet, keep the condition.
async fn alerts_arrive(context: &Context, namespace: &str, roster: &DutyRoster, now: Timestamp) -> Result<Option<ConditionUpdate>> {
    let Some(heartbeat) = &roster.spec.heartbeat else { return Ok(None) };
    let watched = |site: &Site| site.spec.monitoring.as_ref().is_some_and(|monitoring| monitoring.alertmanager.is_some());
    let mut with_alerts = context.cache.filter_map(None, |site: &Site| watched(site).then(|| site.name_any())).await?;
    with_alerts.sort();
    let with_alerts = with_alerts.into_iter();
    let names: Vec<String> = match cached_district(context, namespace).await {
        Ok(district) => with_alerts.filter(|name| district.spec.sites.iter().any(|site| site.site_ref.name == *name)).collect(),
        // The hub-wide roster covers every site.
        Err(_) if namespace == context.hub.namespace => with_alerts.collect(),
        Err(error) => return Err(error),
    };
    let heard: Vec<Heard> = names
        .into_iter()
        .map(|site| {
            let (last, heard) = context.messaging.heartbeats.last(&site, &heartbeat.alert_name);
            Heard { site, last, heard }
        })
        .collect();
    Ok(heartbeat_condition(heartbeat, &heard, now))
}

fn read_actions(object: &DutyRoster, roster: &Roster, status: &mut DutyRosterStatus, told: &mut Vec<(Reason, String, bool)>, now: Timestamp) {
    let known = usize::try_from(status.observed_actions.unwrap_or_default()).unwrap_or_default();
    for action in object.spec.actions.iter().skip(known) {
        let by = action.by.as_deref().unwrap_or_default();
        match roster.hand_over(status.last_hand_over.as_ref(), action.action, by, action.note.as_deref(), now) {
            Ok(hand_over) => {
                let name = |person: Option<&String>| person.map_or("?", String::as_str).to_owned();
                told.push(match hand_over.taken_time {
                    Some(_) => (Reason::DutyTaken, format!("{} has taken the duty from {}", name(hand_over.to.as_ref()), name(hand_over.from.as_ref())), false),
                    None => (Reason::DutyGiven, format!("{} has given the duty", name(hand_over.from.as_ref())), false),
                });
                status.last_hand_over = Some(hand_over);
            }
            Err(why) => told.push((Reason::ActionRefused, format!("{:?}: {why}", action.action), true)),
        }
    }
    status.observed_actions = i32::try_from(object.spec.actions.len()).ok();
}

/// The parts of a roster that tickets need.
pub struct CalledLevels {
    /// Its levels, in order of escalation.
    pub levels: Vec<Level>,
    /// Who is on duty now.
    pub current: Vec<OnDuty>,
    /// Its channels.
    pub channels: Vec<String>,
    /// Its namespace, which has its Secrets.
    pub namespace: String,
    /// Its whole spec.
    pub spec: DutyRosterSpec,
}

/// The roster of a namespace: its own (the first by name), or the hub-wide one.
pub async fn roster_for(context: &Context, namespace: &str) -> Result<Option<CalledLevels>> {
    for place in [namespace, context.hub.namespace.as_str()] {
        let found = context.cache.list::<DutyRoster>(place).await?.into_iter().min_by_key(DutyRoster::name_any);
        if let Some(roster) = found {
            // An invalid rotation is reported on the roster itself; levels and clocks are still usable.
            let hand_over = roster.status.as_ref().and_then(|status| status.last_hand_over.as_ref());
            let parsed = Roster::parse(&roster.spec, &zone_of(context, namespace).await?);
            return Ok(Some(CalledLevels {
                levels: roster.spec.levels.iter().map(as_level).collect(),
                current: parsed.map(|parsed| parsed.current(hand_over, Timestamp::now())).unwrap_or_default(),
                channels: roster.spec.channels.iter().map(|channel| channel.name.clone()).collect(),
                namespace: place.to_owned(),
                spec: roster.spec,
            }));
        }
    }
    Ok(None)
}
