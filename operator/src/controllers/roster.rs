//! DutyRoster: who is on duty, and was the duty handed over.

use super::{
    all, district_of,
    window::{until, zone_of},
};
use crate::{
    context::Context,
    drive::{Drive, announce, record_unless_changed},
    error::{Result, Tried as _},
    metrics::Metrics,
};
use jiff::Timestamp;
use kube::{Api, ResourceExt, api::ListParams};
use p861_core::{
    conditions::{self, Verdict},
    maintenance::{
        roster::{Heard, Roster, as_level, heartbeat_verdict},
        ticket::clocks::Level,
    },
};
use p861_crds::{DutyRoster, DutyRosterStatus, Site, maintenance::roster::PriorityClock};
use std::{sync::Arc, time::Duration};

/// How often a roster is looked at, at most.
const PERIOD: Duration = Duration::from_secs(30);

/// The controller.
pub struct RosterDriver;

impl Drive for RosterDriver {
    type Kind = DutyRoster;
    const CONDITION: &'static str = "Ready";

    fn gone(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.duty_covered.remove_label_values(&[namespace, name]);
        let _ = metrics.alerts_arrive.remove_label_values(&[namespace, name]);
    }

    async fn pass(&self, context: &Context, object: Arc<DutyRoster>, now: Timestamp) -> Result<Duration> {
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        let mut status = object.status.clone().unwrap_or_default();
        status.observed_generation = object.metadata.generation;
        let mut told = Vec::new();
        let (verdict, next) = match Roster::parse(&object.spec, &zone_of(&context.client, &namespace).await?) {
            Ok(roster) => {
                read_actions(&object, &roster, &mut status, &mut told, now);
                status.current = roster.current(status.last_hand_over.as_ref(), now);
                (roster.verdict(now), roster.next_change(now))
            }
            Err(error) => {
                status.current.clear();
                (Verdict::bad("Ready", "Invalid", error.to_string()), None)
            }
        };
        context
            .metrics
            .duty_covered
            .with_label_values(&[&namespace, &name])
            .set(i64::from(!status.current.is_empty() && status.current.iter().all(|level| level.person.is_some())));
        let mut verdicts = vec![verdict];
        verdicts.extend(alerts_arrive(context, &namespace, &object, now).await?);
        let silent_before = status.conditions.iter().any(|condition| condition.reason == "HeartbeatMissing");
        if let Some(silent) = verdicts.iter().find(|verdict| verdict.reason == "HeartbeatMissing").filter(|_| !silent_before) {
            told.push(("HeartbeatMissing", silent.message.clone(), true));
        }
        status.conditions = conditions::apply(&status.conditions, &verdicts, object.metadata.generation, now);
        if let Some(arrives) = status.conditions.iter().find(|condition| condition.type_ == "AlertsArrive") {
            context.metrics.alerts_arrive.with_label_values(&[&namespace, &name]).set(i64::from(arrives.status != "False"));
        }
        if !record_unless_changed(&context.client, &context.leadership, object.as_ref(), object.status.as_ref(), &status).await? {
            return Ok(Duration::from_millis(200));
        }
        for (reason, note, warning) in told {
            announce(&context.client, &context.identity, object.as_ref(), reason, &note, warning).await;
        }
        Ok(until(next, now).min(PERIOD))
    }
}

/// Whether the heartbeat of every site that has an Alertmanager is heard. None: nothing is known yet, and what was said before stays.
async fn alerts_arrive(context: &Context, namespace: &str, roster: &DutyRoster, now: Timestamp) -> Result<Option<Verdict>> {
    let Some(heartbeat) = &roster.spec.heartbeat else { return Ok(None) };
    let sites = Api::<Site>::all(context.client.clone()).list(&ListParams::default()).await.tried(|| "list the sites".into())?.items;
    let with_alerts = sites.iter().filter(|site| site.spec.monitoring.as_ref().is_some_and(|monitoring| monitoring.alertmanager.is_some())).map(ResourceExt::name_any);
    let names: Vec<String> = match district_of(&context.client, namespace).await {
        Ok(district) => with_alerts.filter(|name| district.spec.sites.iter().any(|site| site.site_ref.name == *name)).collect(),
        // The city's roster hears every site.
        Err(_) if namespace == context.namespace => with_alerts.collect(),
        Err(error) => return Err(error),
    };
    let heard: Vec<Heard> = names
        .into_iter()
        .map(|site| {
            let (last, heard) = context.heartbeats.last(&site, &heartbeat.alert_name);
            Heard { site, last, heard }
        })
        .collect();
    Ok(heartbeat_verdict(heartbeat, &heard, now))
}

fn read_actions(object: &DutyRoster, roster: &Roster, status: &mut DutyRosterStatus, told: &mut Vec<(&'static str, String, bool)>, now: Timestamp) {
    let known = usize::try_from(status.observed_actions.unwrap_or_default()).unwrap_or_default();
    for action in object.spec.actions.iter().skip(known) {
        let by = action.by.as_deref().unwrap_or_default();
        match roster.hand_over(status.last_hand_over.as_ref(), action.action, by, action.note.as_deref(), now) {
            Ok(hand_over) => {
                let name = |person: Option<&String>| person.map_or("?", String::as_str).to_owned();
                told.push(match hand_over.taken_time {
                    Some(_) => ("DutyTaken", format!("{} has taken the duty from {}", name(hand_over.to.as_ref()), name(hand_over.from.as_ref())), false),
                    None => ("DutyGiven", format!("{} has given the duty", name(hand_over.from.as_ref())), false),
                });
                status.last_hand_over = Some(hand_over);
            }
            Err(why) => told.push(("ActionRefused", format!("{:?}: {why}", action.action), true)),
        }
    }
    status.observed_actions = i32::try_from(object.spec.actions.len()).ok();
}

/// What tickets need of a roster.
pub struct CalledLevels {
    /// Its levels, in the order in which they are called.
    pub levels: Vec<Level>,
    /// Its clocks.
    pub clocks: Vec<PriorityClock>,
}

/// The roster that holds in a namespace: its own, the first by name, or the city's.
pub async fn roster_for(context: &Context, namespace: &str) -> Result<Option<CalledLevels>> {
    for place in [namespace, context.namespace.as_str()] {
        let found = all::<DutyRoster>(&context.client, place).await?.into_iter().min_by_key(DutyRoster::name_any);
        if let Some(roster) = found {
            return Ok(Some(CalledLevels { levels: roster.spec.levels.iter().map(as_level).collect(), clocks: roster.spec.clocks }));
        }
    }
    Ok(None)
}
