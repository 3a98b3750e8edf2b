//! What a view of a run takes in: the run as it changes, and its steps as soon as it has some.

use super::{Outline, watch::Watched};
use crate::{
    error::Result,
    exit::ExitStatus,
    hub::{Hub, Seen, follow},
};
use p861_core::names;
use tokio::sync::mpsc;

/// One thing that a view takes in.
pub enum Update<K> {
    /// The steps that the run has, before the first look at it and when they change.
    Steps(Outline),
    /// A look at the run.
    Seen(Seen<K>),
}

/// Follows a run until the receiver is dropped, or the hub refuses.
pub fn updates<K: Watched>(hub: &Hub, name: &str) -> mpsc::Receiver<Update<K>> {
    let (sender, receiver) = mpsc::channel(16);
    let mut looks = follow::<K>(hub, name);
    let hub = hub.clone();
    tokio::spawn(async move {
        let mut known: Option<usize> = None;
        while let Some(look) = looks.recv().await {
            if let Seen::Object(run, _) = &look {
                let told = run.steps().states.len();
                // Of a hub that does not answer they are asked for again at the next look.
                if known != Some(told)
                    && let Ok(steps) = outline(&hub, &**run).await
                {
                    known = Some(told);
                    if sender.send(Update::Steps(steps)).await.is_err() {
                        return;
                    }
                }
            }
            if sender.send(Update::Seen(look)).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// The steps of a run: its own once it has begun, and before that what it is expected to have. Empty if they are written nowhere, or the person may not read them: a run is
/// watched with or without.
pub async fn outline<K: Watched>(hub: &Hub, run: &K) -> Result<Outline> {
    let found = if run.steps().states.is_empty() {
        match run.planned() {
            Some((map, key)) => Outline::read(hub, &map, key).await,
            None => Ok(None),
        }
    } else {
        Outline::read_any(hub, &own_map(run), OWN_KEYS).await
    };
    match found {
        Ok(Some(outline)) => Ok(outline.expecting(&run.took_before(hub).await)),
        Err(failure) if failure.exit == ExitStatus::Unreachable => Err(failure),
        Ok(None) | Err(_) => Ok(Outline::default()),
    }
}

/// Where the operator writes a run's own steps: by themselves if its plan is kept elsewhere, else in its plan.
const OWN_KEYS: &[&str] = &["steps.json", "plan.json"];

fn own_map<K: Watched>(run: &K) -> String {
    names::journal(&kube::ResourceExt::name_any(run), K::NOUN, &kube::ResourceExt::uid(run).unwrap_or_default())
}
