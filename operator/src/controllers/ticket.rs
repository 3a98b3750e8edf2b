//! MaintenanceTicket: observes people's actions, alerts and the work of a change, and decides the next state.

mod messages;
mod series;
mod work;

use super::{
    roster::{CalledLevels, roster_for},
    steps,
    template::templates_for,
    vanished::Going,
    window::{until, windows_for, zone_of},
};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf, StatusWrite},
    hub_cache::ReadFrom,
    metrics::Metrics,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use messages::{Address, Messages};
use p861_core::{
    engine::Plan,
    maintenance::{
        notify::{self, Outcome},
        ticket::{self, Facts, Permit, Planned, Surroundings, Work, decide},
    },
    names::steps_of_ticket,
    runs::Action,
};
use p861_crds::{
    ConditionType, MaintenanceTicket, MaintenanceTicketStatus,
    maintenance::ticket::{TicketPhase, TicketType},
};
use p861_runs::{Pass, RunIdentity, error::Result, finalizer};
use series::{AllSeries, TicketSeries};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::Notify;
use work::{Preview, Progress};

/// Longest time between reconciles of a waiting change.
const WAITING_CHANGE_INTERVAL: Duration = Duration::from_secs(10);
/// Longest time between reconciles of an open ticket.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);
/// Time between reconciles of an ended ticket.
const ENDED_INTERVAL: Duration = Duration::from_hours(1);
/// Longest time between reconciles while messages are being delivered.
const DELIVERY_INTERVAL: Duration = Duration::from_secs(1);

/// The controller. Remembers each ticket's metric labels, and messages in delivery.
#[derive(Default)]
pub struct TicketController {
    series: AllSeries,
    messages: Messages,
    /// Called when a change has installed something, or has ended.
    installs: Arc<Notify>,
    /// Changes whose steps go on.
    going: Going<work::ChangeRun>,
}

impl TicketController {
    /// The controller. `installs` is called when a change has installed something, or has ended.
    pub fn new(installs: Arc<Notify>) -> Self {
        Self { installs, ..Self::default() }
    }
}

/// What a ticket depends on.
pub struct Observed {
    /// The roster that is called; none if there is none.
    roster: Option<Arc<CalledLevels>>,
    /// Messages that were tried.
    outcomes: Vec<(Address, Outcome)>,
    /// Of a change: what it depends on besides itself.
    surroundings: Option<Surroundings>,
    /// Of a change that has not begun: its compiled steps.
    preview: Option<Preview>,
}

impl Observed {
    fn work(&self) -> Option<&Work> {
        self.preview.as_ref().map(|preview| &preview.work)
    }
}

/// What is done for a ticket.
#[derive(Default)]
pub struct Effects {
    /// Carries the steps of a change on, from this status.
    carry_on: Option<Box<MaintenanceTicketStatus>>,
    /// Steps to store, for those who are to agree to them.
    steps: Option<Box<Plan<Action>>>,
    /// The steps that were carried on, whose Events are published once the status is written.
    run: Option<(Box<RunIdentity>, Box<Pass>)>,
    /// Messages whose outcomes the status has.
    settled: Vec<Address>,
    /// The roster whose people are sent messages.
    roster: Option<Arc<CalledLevels>>,
}

impl Controller for TicketController {
    type Kind = MaintenanceTicket;
    type Status = MaintenanceTicketStatus;
    type Observed = Observed;
    type Effects = Effects;
    /// Of a change that has begun: how far its steps are.
    type Performed = Option<Progress>;
    const CONDITION: ConditionType = ConditionType::Succeeded;
    const STATUS_WRITE: StatusWrite = StatusWrite::IfUnchanged;
    const DECIDES_LONG: bool = true;

    fn idle(ticket: &MaintenanceTicket) -> Option<Duration> {
        (ticket.metadata.deletion_timestamp.is_some() && !finalizer::is_held(ticket)).then_some(ENDED_INTERVAL)
    }

    async fn observe(&self, context: &ReadContext, ticket: &MaintenanceTicket, now: Timestamp) -> Result<Observed> {
        let namespace = ticket.namespace().unwrap_or_default();
        if finalizer::is_held(ticket) {
            self.going.note(&Arc::new(ticket.clone()));
        }
        let mut observed = Observed {
            roster: roster_for(context, &namespace).await?.map(Arc::new),
            outcomes: self.messages.outcomes(ticket),
            surroundings: None,
            preview: None,
        };
        let Some(change) = &ticket.spec.change else { return Ok(observed) };
        observed.surroundings = Some(surroundings(context, &namespace, ReadFrom::Cache).await?);
        if !has_begun(ticket) {
            observed.preview = Some(work::preview(context, ticket, change, planned(ticket, &observed, now)).await?);
            // Starting is irreversible: read from the API server, not from the cache.
            if assess(ticket, &observed, &before(ticket, &observed), observed.work(), now).status.start_time.is_some() {
                observed.surroundings = Some(surroundings(context, &namespace, ReadFrom::ApiServer).await?);
            }
        }
        Ok(observed)
    }

    /// A change that has begun is decided once its steps were carried on.
    fn decide(ticket: &MaintenanceTicket, observed: &Observed, now: Timestamp) -> DecisionOf<Self> {
        let before = before(ticket, observed);
        let settled = observed.outcomes.iter().map(|(address, _)| address.clone()).collect();
        let effects = Effects { settled, roster: observed.roster.clone(), ..Effects::default() };
        if ticket.spec.change.is_some() && has_begun(ticket) {
            let effects = Effects { carry_on: Some(Box::new(before.clone())), ..effects };
            return Decision { status: before, conditions: Vec::new(), events: Vec::new(), effects, requeue: WAITING_CHANGE_INTERVAL };
        }
        let effects = Effects { steps: observed.preview.as_ref().and_then(|preview| preview.compiled.clone()), ..effects };
        decision(ticket, assess(ticket, observed, &before, observed.work(), now), effects, now)
    }

    async fn perform(&self, context: &Context, ticket: &MaintenanceTicket, effects: &Effects, now: Timestamp) -> Result<Option<Progress>> {
        if let Some(compiled) = &effects.steps {
            steps::store(context, ticket, &steps_of_ticket(&ticket.name_any()), compiled).await?;
        }
        match &effects.carry_on {
            Some(before) => Box::pin(work::carry_on(context, ticket, before.as_ref().clone(), now)).await.map(Some),
            None => Ok(None),
        }
    }

    fn conclude(ticket: &MaintenanceTicket, observed: &Observed, before: DecisionOf<Self>, progress: Option<Progress>, now: Timestamp) -> DecisionOf<Self> {
        let Some(Progress { status, work, run }) = progress else { return before };
        decision(ticket, assess(ticket, observed, &status, Some(&work), now), Effects { run, ..before.effects }, now)
    }

    fn set_metrics(&self, metrics: &Metrics, ticket: &MaintenanceTicket, _: &Observed, status: &MaintenanceTicketStatus) {
        let (name, namespace) = (ticket.name_any(), ticket.namespace().unwrap_or_default());
        self.series.update(metrics, &namespace, &name, TicketSeries::of(ticket, status));
    }

    /// The status has the messages as pending before they are sent, so that the next leader sends the ones that this process doesn't finish.
    async fn follow_up(&self, context: &Context, ticket: &MaintenanceTicket, decision: DecisionOf<Self>, now: Timestamp) -> Result<Option<Duration>> {
        if has_installed(ticket, &decision.status) {
            self.installs.notify_one();
        }
        self.messages.forget(&decision.effects.settled);
        let wait = decision.effects.roster.as_ref().is_some_and(|roster| self.messages.send(context, ticket, &decision.status, roster, now));
        let steps = match decision.effects.run {
            Some((run, pass)) => work::publish(context, ticket, &run, &pass, now).await?,
            None => None,
        };
        let delivers = !decision.status.phase.unwrap_or_default().is_end() && (wait || self.messages.are_under_way(ticket));
        Ok(steps.or(delivers.then_some(DELIVERY_INTERVAL)))
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, name: &str) {
        self.series.update(metrics, namespace, name, None);
    }

    fn sweep(&self, context: &Context, present: &dyn Fn() -> HashSet<String>) {
        self.going.sweep(context, present);
    }
}

fn has_begun(ticket: &MaintenanceTicket) -> bool {
    ticket.status.as_ref().is_some_and(|status| status.start_time.is_some())
}

/// Whether the steps of an upgrade have come further since: what the Platform says of its components may not be so any more.
fn has_installed(ticket: &MaintenanceTicket, after: &MaintenanceTicketStatus) -> bool {
    let upgrades = ticket.spec.change.as_ref().is_some_and(|change| change.work.upgrade_component.is_some());
    let stands = |status: &MaintenanceTicketStatus| (status.steps.as_ref().map(|steps| (steps.done, steps.failed)), status.work_phase, status.phase);
    upgrades && ticket.status.as_ref().map(stands).unwrap_or_default() != stands(after)
}

/// The present status, with the outcomes of messages.
fn before(ticket: &MaintenanceTicket, observed: &Observed) -> MaintenanceTicketStatus {
    let mut before = ticket.status.clone().unwrap_or_default();
    observed.outcomes.iter().for_each(|(_, outcome)| notify::settle(&mut before.notifications, outcome));
    before
}

/// The text that is planned once everything that people have said is read: the steps are compiled with it.
fn planned(ticket: &MaintenanceTicket, observed: &Observed, now: Timestamp) -> Planned {
    let before = before(ticket, observed);
    let read = usize::try_from(before.observed_actions.unwrap_or_default()).unwrap_or_default();
    if read >= ticket.spec.actions.len() {
        return Planned::of(&ticket.spec, &before);
    }
    Planned::of(&ticket.spec, &assess(ticket, observed, &before, None, now).status)
}

/// Decides on a ticket with this status and work.
fn assess(ticket: &MaintenanceTicket, observed: &Observed, before: &MaintenanceTicketStatus, work: Option<&Work>, now: Timestamp) -> ticket::Decision {
    let Permit { class, tally, access, obstacles } = match (&ticket.spec.change, &observed.surroundings) {
        (Some(change), Some(surroundings)) => surroundings.permit(ticket, change, work, now),
        _ => Permit::of_incident(),
    };
    let roster = observed.roster.as_ref();
    let facts = Facts {
        spec: &ticket.spec,
        before,
        created: ticket.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0),
        clocks: roster.map(|roster| roster.spec.clocks.as_slice()).unwrap_or_default(),
        levels: roster.map(|roster| roster.levels.as_slice()).unwrap_or_default(),
        current: roster.map(|roster| roster.current.as_slice()).unwrap_or_default(),
        channels: roster.map(|roster| roster.channels.as_slice()).unwrap_or_default(),
        class,
        tally,
        access,
        obstacles,
        work: work.cloned(),
    };
    decide(&facts, now)
}

fn decision(ticket: &MaintenanceTicket, decided: ticket::Decision, effects: Effects, now: Timestamp) -> DecisionOf<TicketController> {
    let phase = decided.status.phase.unwrap_or_default();
    let next = until(decided.next, now);
    let requeue = match (phase.is_end(), ticket.spec.r#type) {
        (true, _) => ENDED_INTERVAL,
        (false, TicketType::Change) if !matches!(phase, TicketPhase::InProgress | TicketPhase::Verifying) => next.min(WAITING_CHANGE_INTERVAL),
        (false, TicketType::Change | TicketType::Incident) => next.min(RECONCILE_INTERVAL),
    };
    let events = decided.happened;
    Decision { status: decided.status, conditions: decided.updates, events, effects, requeue }
}

/// Reads what the changes of a namespace depend on.
async fn surroundings(context: &Context, namespace: &str, source: ReadFrom) -> Result<Surroundings> {
    Ok(Surroundings {
        default_zone: zone_of(context, namespace).await?,
        approvals: source.list(context, namespace).await?,
        windows: windows_for(context, source, namespace).await?,
        templates: templates_for(context, source, namespace).await?,
        drills: source.list(context, namespace).await?,
        plans: source.list(context, namespace).await?,
        backups: source.list(context, namespace).await?,
        tickets: source.list(context, namespace).await?,
        applications: source.list(context, namespace).await?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ticket(work: Value, status: Value) -> MaintenanceTicket {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceTicket", "metadata": {"name": "chg"},
            "spec": {"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "change": {"class": "Normal", "work": work}}, "status": status}))
        .unwrap()
    }

    #[test]
    fn fault_f6_the_platform_is_called_whenever_an_upgrade_has_come_further_and_when_it_ends() {
        let upgrade = || json!({"upgradeComponent": {"component": "cache", "version": "1.0.0"}});
        let standing = |done: u32, work: &str, phase: &str| json!({"phase": phase, "workPhase": work, "steps": {"done": done, "total": 4}});
        let under_way = standing(1, "Running", "InProgress");
        for (work, after, called) in [
            (upgrade(), standing(1, "Running", "InProgress"), false),
            (upgrade(), standing(2, "Running", "InProgress"), true),
            (upgrade(), standing(1, "Aborting", "InProgress"), true),
            (upgrade(), standing(1, "Running", "Closed"), true),
            (json!({"manual": {}}), standing(2, "Running", "InProgress"), false),
        ] {
            let status: MaintenanceTicketStatus = serde_json::from_value(after.clone()).unwrap();
            assert_eq!(has_installed(&ticket(work, under_way.clone()), &status), called, "{after}");
        }
    }
}
