//! DutyRoster: who is on duty, and whether the duty was handed over.

use super::{
    cached_district,
    window::{until, zone_of},
};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf, StatusWrite},
    maintenance::notify::{Message, deliver},
    metrics::Metrics,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use p861_core::{
    maintenance::{
        roster::{Heard, Roster, as_level},
        roster_standing::{DueTest, RosterFacts, is_covered, standing},
        ticket::clocks::Level,
    },
    names::short_digest,
};
use p861_crds::{ConditionType, DutyRoster, DutyRosterSpec, DutyRosterStatus, Site, maintenance::roster::OnDuty};
use p861_runs::{error::Result, secrets::SecretsOf, thinking};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Longest time between reconciles.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);

/// The controller. Remembers which deliveries of a test message failed, by the roster's UID, until the next test.
#[derive(Default)]
pub struct RosterController {
    failed_deliveries: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl Controller for RosterController {
    type Kind = DutyRoster;
    type Status = DutyRosterStatus;
    type Observed = RosterFacts;
    /// A test message to send.
    type Effects = Option<DueTest>;
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Ready;
    const STATUS_WRITE: StatusWrite = StatusWrite::IfUnchanged;
    const DECIDES_LONG: bool = true;

    async fn observe(&self, context: &ReadContext, roster: &DutyRoster, _: Timestamp) -> Result<RosterFacts> {
        let namespace = roster.namespace().unwrap_or_default();
        Ok(RosterFacts {
            default_zone: zone_of(context, &namespace).await?,
            heard: heartbeats(context, &namespace, roster).await?,
            failed_deliveries: self.failed_deliveries.lock().get(&roster.uid().unwrap_or_default()).cloned(),
        })
    }

    fn decide(roster: &DutyRoster, facts: &RosterFacts, now: Timestamp) -> DecisionOf<Self> {
        let stands = standing(roster, facts, now);
        Decision {
            status: stands.status,
            conditions: stands.conditions,
            events: stands.happened,
            effects: stands.test,
            requeue: until(stands.next_change, now).min(RECONCILE_INTERVAL),
        }
    }

    fn set_metrics(&self, metrics: &Metrics, roster: &DutyRoster, _: &RosterFacts, status: &DutyRosterStatus) {
        let labels = [roster.namespace().unwrap_or_default(), roster.name_any()];
        metrics.duty_covered.with_label_values(&labels).set(i64::from(is_covered(status)));
        for condition in &status.conditions {
            if condition.type_ == ConditionType::AlertsArrive {
                metrics.alerts_arrive.with_label_values(&labels).set(i64::from(condition.status != "False"));
            } else if condition.type_ == ConditionType::PeopleReachable {
                metrics.people_reachable.with_label_values(&labels).set(i64::from(condition.status == "True"));
            }
        }
    }

    /// The status has the test before its first message is sent, so that a crash doesn't send it twice.
    async fn follow_up(&self, context: &Context, roster: &DutyRoster, decision: DecisionOf<Self>, _: Timestamp) -> Result<Option<Duration>> {
        if let Some(test) = decision.effects {
            self.failed_deliveries.lock().remove(&roster.uid().unwrap_or_default());
            self.send_test(context, roster, test);
        }
        Ok(None)
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.duty_covered.remove_label_values(&[namespace, name]);
        let _ = metrics.alerts_arrive.remove_label_values(&[namespace, name]);
        let _ = metrics.people_reachable.remove_label_values(&[namespace, name]);
    }
}

impl RosterController {
    /// Sends a test to everybody by every channel, in a task of its own.
    fn send_test(&self, context: &Context, roster: &DutyRoster, DueTest { text, total }: DueTest) {
        let (client, failed_deliveries, roster) = (context.hub.client.clone(), self.failed_deliveries.clone(), roster.clone());
        tracing::info!(roster = roster.name_any(), total, "sends the test message");
        tokio::spawn(async move {
            let (uid, secrets) = (roster.uid().unwrap_or_default(), SecretsOf::object(&client, &roster));
            let mut failures = Vec::new();
            for person in &roster.spec.people {
                for channel in &roster.spec.channels {
                    let id = format!("test.{uid}.{}.{}.{}", short_digest(&[&text.subject], 8), person.name, channel.name);
                    let message = Message { id, person: &person.name, text: &text, ticket: None };
                    if let Err(why) = deliver(&secrets, &roster.spec, &channel.name, &message).await {
                        failures.push(format!("{} by {}: {why}", person.name, channel.name));
                    }
                }
            }
            failed_deliveries.lock().insert(uid, failures);
        });
    }
}

/// When the heartbeat of each site with an Alertmanager was last heard; none if the roster watches none.
async fn heartbeats(context: &Context, namespace: &str, roster: &DutyRoster) -> Result<Option<Vec<Heard>>> {
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
    let heard = |site: String| {
        let (last, heard) = context.messaging.heartbeats.last(&site, &heartbeat.alert_name);
        Heard { site, last, heard }
    };
    Ok(Some(names.into_iter().map(heard).collect()))
}

/// The parts of a roster that tickets need.
pub struct CalledLevels {
    /// Its levels, in order of escalation.
    pub levels: Vec<Level>,
    /// Who is on duty now.
    pub current: Vec<OnDuty>,
    /// Its channels.
    pub channels: Vec<String>,
    /// The Secrets that it may name: those of its namespace.
    pub secrets: SecretsOf,
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
                current: parsed.map(|parsed| thinking::beside(|| parsed.current(hand_over, Timestamp::now()))).unwrap_or_default(),
                channels: roster.spec.channels.iter().map(|channel| channel.name.clone()).collect(),
                secrets: SecretsOf::object(&context.hub.client, &roster),
                spec: roster.spec,
            }));
        }
    }
    Ok(None)
}
