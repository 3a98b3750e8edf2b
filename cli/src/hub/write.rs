//! Starting runs and acting on them. A run's name is its identity: the same name never runs twice.

use super::{Hub, Kind, explain, read::present};
use crate::{
    error::{Failure, Result},
    format::Clock,
    text,
};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use p861_crds::{
    ConditionType, Reason,
    common::{Condition, CurrentStep, RefusedRunAction, RunAction, RunPhase, RunProgress, StepCounts, Time},
};
use serde::Serialize;
use serde_json::json;

/// A person's request that had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place among the run's requests.
    pub index: usize,
    /// What was asked for.
    pub action: RunAction,
    /// Why it had none, and what to do instead.
    pub why: String,
}

fn refused(actions: &[RunAction], refused: &[RefusedRunAction]) -> Vec<Refused> {
    let one = |refused: &RefusedRunAction| {
        let index = usize::try_from(refused.index).ok()?;
        Some(Refused { index, action: actions.get(index)?.clone(), why: refused.why.clone() })
    };
    refused.iter().filter_map(one).collect()
}

/// A kind whose objects run.
pub trait Run: Kind + Serialize {
    /// Where it stands.
    fn phase(&self) -> RunPhase;
    /// Its conditions.
    fn conditions(&self) -> &[Condition];
    /// Its steps.
    fn steps(&self) -> StepCounts;
    /// Steps under way.
    fn current_steps(&self) -> &[CurrentStep];
    /// How far it is.
    fn progress(&self) -> Option<&RunProgress>;
    /// When it started.
    fn start(&self) -> Option<&Time>;
    /// When it ended.
    fn completion(&self) -> Option<&Time>;
    /// Requests from people, and how many the operator has read.
    fn actions(&self) -> (usize, usize);
    /// Requests that had no effect, the newest ones.
    fn refused(&self) -> Vec<Refused>;
    /// States who asks for it.
    fn ask_as(&mut self, person: String);

    /// What it left, having ended, or can't remove: the condition that says so.
    fn left(&self) -> Option<&Condition> {
        let cleaned = self.conditions().iter().find(|condition| condition.type_ == ConditionType::CleanedUp && condition.status == "False");
        cleaned.filter(|cleaned| self.phase().is_end() || cleaned.reason == Reason::CleanUpFailed)
    }
}

macro_rules! runs {
    ($($kind:ty),* $(,)?) => { $(
        impl Run for $kind {
            fn phase(&self) -> RunPhase {
                self.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
            }
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
            fn steps(&self) -> StepCounts {
                self.status.as_ref().and_then(|status| status.steps.clone()).unwrap_or_default()
            }
            fn current_steps(&self) -> &[CurrentStep] {
                self.status.as_ref().map(|status| status.current_steps.as_slice()).unwrap_or_default()
            }
            fn progress(&self) -> Option<&RunProgress> {
                self.status.as_ref().and_then(|status| status.progress.as_ref())
            }
            fn start(&self) -> Option<&Time> {
                self.status.as_ref().and_then(|status| status.start_time.as_ref())
            }
            fn completion(&self) -> Option<&Time> {
                self.status.as_ref().and_then(|status| status.completion_time.as_ref())
            }
            fn actions(&self) -> (usize, usize) {
                let read = self.status.as_ref().and_then(|status| status.observed_actions).unwrap_or_default();
                (self.spec.actions.len(), usize::try_from(read).unwrap_or_default())
            }
            fn refused(&self) -> Vec<Refused> {
                refused(&self.spec.actions, self.status.as_ref().map(|status| status.refused_actions.as_slice()).unwrap_or_default())
            }
            fn ask_as(&mut self, person: String) {
                self.spec.requested_by = Some(person);
            }
        }
    )* };
}

runs!(p861_crds::Drill, p861_crds::Backup, p861_crds::Restore);

/// More runs of one object within one minute than this is a mistake.
const MOST_OF_A_MINUTE: u32 = 20;

impl Hub {
    /// The name by which the hub knows the person.
    pub async fn identity(&self) -> Result<String> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review =
            reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.map_err(|error| self.explain(&error, &text::to_know_oneself()))?;
        let name = review.status.and_then(|status| status.user_info).and_then(|user| user.username).filter(|name| !name.is_empty());
        name.ok_or_else(|| Failure::refused(text::not_known(&self.address)))
    }
}

/// Creates a run named `<base>-<yyyymmdd>-<hhmm>` in the product's time zone, with a number behind it if that name is taken.
///
/// Before Kubernetes 1.36 the client writes who asks; later the API server writes the same.
pub async fn create_run<K: Run>(hub: &Hub, base: &str, mut run: K) -> Result<K> {
    run.ask_as(hub.identity().await?);
    create_stamped(hub, base, run).await
}

/// Creates an object with such a name.
pub async fn create_stamped<K: Kind + Serialize>(hub: &Hub, base: &str, mut object: K) -> Result<K> {
    object.meta_mut().namespace = Some(hub.namespace.clone());
    let (api, resource) = hub.api::<K>(Some(&hub.namespace));
    let stem = format!("{base}-{}", Clock::stamp(jiff::Timestamp::now()));
    for number in 1..=MOST_OF_A_MINUTE {
        let name = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
        object.meta_mut().name = Some(name.clone());
        let body: DynamicObject =
            serde_json::to_value(&object).and_then(serde_json::from_value).map_err(|error| Failure::unexpected(text::unwritable(&error.to_string())))?;
        match api.create(&PostParams::default(), &body).await {
            Ok(created) => {
                return serde_json::from_value(present(&created, &resource))
                    .map_err(|error| Failure::unexpected(text::unreadable(K::NOUN, &name, &error.to_string())));
            }
            Err(error) if explain::is_taken(&error) => {}
            Err(error) => return Err(hub.explain(&error, &text::to_create(K::NOUN, &name))),
        }
    }
    Err(Failure::refused(text::too_many_runs(K::NOUN, &stem)))
}

/// Appends one action to a run. Returns how many actions the run then has.
pub async fn append_action<K: Run>(hub: &Hub, name: &str, mut action: RunAction) -> Result<usize> {
    action.by = Some(hub.identity().await?);
    let object: K = append(hub, name, &action).await?;
    Ok(object.actions().0)
}

/// Appends to an object's actions. Returns the object as it then is.
pub async fn append<K: Kind>(hub: &Hub, name: &str, action: &impl Serialize) -> Result<K> {
    let (api, resource) = hub.api::<K>(Some(&hub.namespace));
    let unwritable = |error: serde_json::Error| Failure::unexpected(text::unwritable(&error.to_string()));
    let patch = serde_json::from_value(json!([{"op": "add", "path": "/spec/actions/-", "value": action}])).map_err(unwritable)?;
    let patched =
        api.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await.map_err(|error| hub.explain(&error, &text::to_act_on(K::NOUN, name)))?;
    serde_json::from_value(present(&patched, &resource)).map_err(|error| Failure::unexpected(text::unreadable(K::NOUN, name, &error.to_string())))
}
