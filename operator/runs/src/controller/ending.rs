//! Runs that go no further: refused before they began, or with a journal that can't be trusted.

use super::{Carried, ENDED_INTERVAL, let_go};
use crate::{
    cache::RunIdentity,
    context::RunContext,
    error::{Category, Error, Result},
    kind::RunKind,
    pass,
    status::{apply_status, publish_event},
};
use jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _, runtime::events::EventType};
use p861_core::conditions::{self, ConditionUpdate};
use p861_crds::{ConditionType, Reason, RunObject as _, RunStatus as _, Time, common::RunPhase};
use std::time::Duration;

/// How a run ends that has not begun: aborted, if a person has ended it while it waited.
fn phase_of(reason: &Reason) -> RunPhase {
    if *reason == Reason::Aborted { RunPhase::Aborted } else { RunPhase::Refused }
}

/// Ends a run that has not begun, with the reason in its status. No effect was performed.
pub(super) async fn refuse<K: RunKind>(context: &RunContext, object: &K::Object, error: &Error, now: Timestamp) -> Result<Duration> {
    let generation = object.meta().generation;
    let mut status = object.run_status().cloned().unwrap_or_default();
    status.set_observed_generation(generation);
    status.set_not_begun(phase_of(&error.reason()), Time(now), object.actions().len());
    let mut updates = vec![ConditionUpdate::bad(ConditionType::Succeeded, error.reason(), error.to_string())];
    updates.extend(K::refuse(&mut status));
    status.set_conditions(conditions::apply(status.conditions(), &updates, generation, now));
    apply_status(&context.hub, object, object.run_status(), &status).await?;
    publish_event(&context.hub, object, EventType::Warning, Reason::RunFinished, &error.to_string()).await;
    context.admissions.end(&object.uid().unwrap_or_default());
    let_go::<K>(&context.hub, object).await?;
    Ok(ENDED_INTERVAL)
}

/// An error of the journal that ends the run, or leaves it to a person; others are tried again.
pub(super) fn untrusted<S>(error: Error, run: RunIdentity) -> Result<Carried<S>> {
    match (error.reason(), error.category()) {
        (Reason::JournalTampered, _) => {
            let message =
                format!("{error}. Nothing of it was done since, nor undone or cleaned up: see who can write there, and remove by hand what the run has made");
            Ok(Carried::Tampered { message, run: Box::new(run) })
        }
        (Reason::JournalMissing, Category::NeedsPerson) => Ok(Carried::JournalMissing { message: error.to_string() }),
        _ => Err(error),
    }
}

/// Ends a run whose journal can't be trusted, as failed. No effect is performed or undone, not even clean-up: all that says what to do is the journal.
pub(super) async fn stop<K: RunKind>(context: &RunContext, object: &K::Object, run: &RunIdentity, message: &str, now: Timestamp) -> Result<Duration> {
    let generation = object.meta().generation;
    let mut status = object.run_status().cloned().unwrap_or_default();
    status.set_observed_generation(generation);
    status.set_failed(Time(now));
    let mut updates = vec![ConditionUpdate::bad(ConditionType::Succeeded, Reason::JournalTampered, message)];
    updates.extend(K::stop(&mut status));
    status.set_conditions(conditions::apply(status.conditions(), &updates, generation, now));
    pass::forget(&context.executor(), run);
    context.admissions.end(&run.uid);
    apply_status(&context.hub, object, object.run_status(), &status).await?;
    context.metrics.runs_failed.with_label_values(&[run.namespace.as_str(), run.kind]).inc();
    publish_event(&context.hub, object, EventType::Warning, Reason::JournalTampered, message).await;
    tracing::error!(kind = run.kind, namespace = run.namespace, name = run.name, reason = Reason::JournalTampered.as_str(), "{message}");
    let_go::<K>(&context.hub, object).await?;
    Ok(ENDED_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::BackupStatus;

    #[test]
    fn a_run_that_a_person_ended_while_it_waited_is_aborted_and_any_other_refused() {
        for (reason, phase) in [(Reason::Aborted, RunPhase::Aborted), (Reason::Invalid, RunPhase::Refused), (Reason::PlanBusy, RunPhase::Refused)] {
            let mut status = BackupStatus::default();
            status.set_not_begun(phase_of(&reason), Time(Timestamp::UNIX_EPOCH), 2);
            assert_eq!((status.phase, status.observed_actions), (Some(phase), Some(2)), "{reason}");
            assert!(status.start_time.is_some() && status.start_time == status.completion_time);
        }
    }
}
