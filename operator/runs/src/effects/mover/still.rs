//! What a run has stopped stays so while its movers write. Who starts it again (a GitOps controller, an autoscaler, a person) writes beside the restore, or reads
//! what is half there: then the run fails, and says who it was.

use super::{MoverPlace, stopping};
use crate::{
    context::RunContext,
    effects::{
        EffectOutcome, StepContext, stop,
        workloads::{self, first_of},
    },
    error::Result,
};
use kube::Client;
use p861_core::{
    engine::{Evidence, Failure},
    names,
    objects::{self, Runner, Watch},
    runs::{MoverTask, ObjectsMode},
};
use p861_crds::Reason;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// While movers write, a namespace is listed as often, however many of them there are.
const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// Time between looks at a mover that is being stopped.
const STOP_INTERVAL: Duration = Duration::from_secs(1);
/// Workloads that a message names.
const MAX_NAMED: usize = 5;

/// Run, site and namespace.
type Key = (String, String, String);
/// When a namespace was listed, and what was there.
type Seen = (Instant, Arc<Vec<Value>>);

/// What was seen lately in namespaces that are written to.
#[derive(Clone, Default)]
pub struct Watched(Arc<Mutex<HashMap<Key, Seen>>>);

impl Watched {
    /// Everything that runs pods in a namespace, now, or as it was a moment ago.
    async fn look(&self, client: &Client, key: Key, now: bool) -> Result<Arc<Vec<Value>>> {
        let known = self.0.lock().get(&key).cloned();
        if let Some((_, objects)) = known.filter(|(listed, _)| !now && listed.elapsed() < LIST_INTERVAL) {
            return Ok(objects);
        }
        let listed = Instant::now();
        let objects = Arc::new(workloads::list(client, &key.2, Runner::ALL).await?);
        let mut seen = self.0.lock();
        seen.retain(|_, (listed, _)| listed.elapsed() < LIST_INTERVAL);
        seen.insert(key, (listed, objects.clone()));
        Ok(objects)
    }
}

/// What must stay still while a step's mover works.
struct Still<'a> {
    run: &'a str,
    /// Name of the mover's Job.
    mover: String,
    /// The first of what was stopped, in words.
    stopped: &'a [String],
    /// Whatever carries our annotation was stopped, and has not been started by the run yet.
    all_annotated: bool,
    /// All objects of the namespaces are written, held.
    all_written: bool,
    /// Also those of `stopped` that don't carry it any more.
    by_name: bool,
}

impl<'a> Still<'a> {
    /// None if the run has stopped nothing, or the task writes nothing beside what was stopped.
    fn of(step_context: &'a StepContext, task: &MoverTask) -> Option<Self> {
        let (everything, by_name) = match task {
            MoverTask::RestoreObjects { mode: ObjectsMode::Write, .. } => (true, true),
            // Of some files only what uses their claims was stopped.
            MoverTask::RestoreVolume { .. } => (false, true),
            // The tiers up to its own have been started, and carry no annotation.
            MoverTask::RestoreStream { .. } => (true, false),
            _ => return None,
        };
        let (workloads, stopped) = step_context.inputs.values().find_map(|evidence| match evidence {
            Evidence::WorkloadsStopped { workloads, stopped } => Some((*workloads, stopped.as_slice())),
            _ => None,
        })?;
        let is_cut = workloads > u64::try_from(stopped.len()).unwrap_or(u64::MAX);
        let run = step_context.run.uid.as_str();
        let mover = names::mover(run, step_context.step.as_str(), step_context.attempt);
        Some(Self { run, mover, stopped, all_annotated: everything || is_cut, all_written: everything, by_name })
    }

    /// Who runs again in a namespace, each in words.
    fn broken(&self, namespace: &str, claim: Option<&str>, objects: &[Value]) -> Vec<String> {
        let stopped = if self.by_name { stop::listed(self.stopped, namespace) } else { BTreeSet::new() };
        let claim = claim.map(|claim| (claim, self.mover.as_str()));
        let Self { all_annotated, all_written, run, .. } = *self;
        let watch = Watch { objects, stopped: &stopped, all_annotated, all_written, claim, run };
        objects::started_again(&watch).into_iter().map(|words| format!("{namespace}: {words}")).collect()
    }

    /// Looks at all namespaces of the run. Returns the failure, if something runs again.
    async fn look(&self, watched: &Watched, client: &Client, place: &MoverPlace<'_>, now: bool) -> Result<Option<Failure>> {
        let mut broken = Vec::new();
        for namespace in place.namespaces.iter().collect::<BTreeSet<_>>() {
            let key = (self.run.to_owned(), place.site.to_string(), namespace.clone());
            let objects = watched.look(client, key, now).await?;
            broken.extend(self.broken(namespace, place.claim.filter(|_| namespace == place.namespace), &objects));
        }
        Ok((!broken.is_empty()).then(|| failure(&broken)))
    }
}

fn failure(broken: &[String]) -> Failure {
    let message = format!(
        "started again by somebody else while data was written: {}. The restored data may be mixed with what that wrote. Suspend what starts it (the sync of a GitOps controller, an autoscaler), and restore again",
        first_of(broken, MAX_NAMED)
    );
    Failure::permanent(Reason::WorkloadNotStopped, message)
}

/// The outcome of a mover's step, unless something that the run has stopped was started again: then its mover is stopped, and the step fails. Looks while the mover
/// is under way, and once more when it has ended: no step that was written beside counts as done.
///
/// # Errors
/// If the API server can't be read.
pub async fn kept(context: &RunContext, step_context: &StepContext, place: &MoverPlace<'_>, task: &MoverTask, outcome: EffectOutcome) -> Result<EffectOutcome> {
    let has_ended = match &outcome {
        EffectOutcome::Running(_) => false,
        EffectOutcome::Done(_) => true,
        EffectOutcome::Failed(..) | EffectOutcome::Stopped { .. } | EffectOutcome::Unreachable(_) => return Ok(outcome),
    };
    let Some(still) = Still::of(step_context, task) else { return Ok(outcome) };
    let client = context.sites.client(place.site).await?;
    let Some(failure) = still.look(&context.movers.watched, &client, place, has_ended).await? else { return Ok(outcome) };
    // Nothing is started again by the undo while the mover may write.
    while let EffectOutcome::Running(_) = stopping::cancel(context, step_context, place.site, place.namespace, task).await? {
        tokio::time::sleep(STOP_INTERVAL).await;
    }
    Ok(EffectOutcome::Failed(failure, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunIdentity;
    use http::{Request, Response};
    use jiff::{SignedDuration, Timestamp};
    use kube::client::Body;
    use p861_core::{
        engine::{FailureClass, StepId},
        runs::{ExtraFiles, Scope},
    };
    use serde_json::json;
    use std::{
        collections::BTreeMap,
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    /// An API server with these Deployments and nothing else, which counts what it is asked.
    fn server(deployments: Vec<Value>, asked: &Arc<AtomicUsize>) -> Client {
        let asked = asked.clone();
        let answer = move |request: Request<Body>| {
            asked.fetch_add(1, Ordering::Relaxed);
            let items = if request.uri().path().ends_with("/deployments") { deployments.clone() } else { Vec::new() };
            let body = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}).to_string();
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(body.into_bytes()))))
        };
        Client::new(tower::service_fn(answer), "n")
    }

    fn deployment(replicas: u32, annotated: bool) -> Value {
        let annotations = if annotated { json!({"platform861.io/replicas": "2"}) } else { json!({}) };
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas}, "metadata": {"name": "web", "namespace": "n", "uid": "u",
            "annotations": annotations, "managedFields": [{"manager": "argocd-controller", "time": "2026-11-15T01:00:09Z"}]}})
    }

    fn volume() -> MoverTask {
        MoverTask::RestoreVolume { snapshot: "5a1f".into(), part: "p".into(), paths: Vec::new(), path_prefix: None, extra_files: ExtraFiles::Keep }
    }

    fn step_context(stopped: &[&str]) -> StepContext {
        let scope = Scope::of_city("p861", ["west"]);
        let run = RunIdentity { kind: "Restore", namespace: "shinan".into(), name: "r".into(), uid: "run-1".into(), repository: "main".into(), scope };
        let stopped = Evidence::WorkloadsStopped { workloads: stopped.len() as u64, stopped: stopped.iter().map(|words| (*words).to_owned()).collect() };
        StepContext {
            run,
            step: StepId::new("restore/a/volume/files").unwrap(),
            attempt: 1,
            started: Timestamp::UNIX_EPOCH,
            deadline: SignedDuration::from_hours(1),
            inputs: BTreeMap::from([("stop/a".to_owned(), stopped)]),
            followers: Vec::new(),
            leaders: Vec::new(),
        }
    }

    #[tokio::test]
    async fn fault_c_what_gitops_starts_again_while_a_volume_is_written_fails_the_step_with_its_name() {
        let site = Scope::of_city("p861", ["west"]).site(&"west".into()).unwrap();
        let namespaces = ["n".to_owned()];
        let place = MoverPlace { site: &site, namespace: "n", claim: Some("files"), snapshot: None, namespaces: &namespaces };
        for (case, live, stopped, fails) in [
            ("still", deployment(0, true), &["n/Deployment/web 2"][..], false),
            ("scaled", deployment(2, true), &["n/Deployment/web 2"][..], true),
            ("replaced, our annotation with it", deployment(2, false), &["n/Deployment/web 2"][..], true),
            ("of another namespace", deployment(2, false), &["m/Deployment/web 2"][..], false),
        ] {
            let context = step_context(stopped);
            let still = Still::of(&context, &volume()).unwrap();
            let client = server(vec![live], &Arc::default());
            let failure = still.look(&Watched::default(), &client, &place, true).await.unwrap();
            assert_eq!(failure.is_some(), fails, "{case}");
            if let Some(failure) = failure {
                assert_eq!((failure.class, &failure.reason), (FailureClass::Permanent, &Reason::WorkloadNotStopped), "{case}");
                assert!(failure.message.contains("n: Deployment/web by argocd-controller") && failure.message.contains("Suspend"), "{}", failure.message);
            }
        }
        let nothing = StepContext { inputs: BTreeMap::new(), ..step_context(&[]) };
        assert!(Still::of(&nothing, &volume()).is_none(), "a copy in namespaces of its own has stopped nothing");
        assert!(Still::of(&step_context(&[]), &MoverTask::VerifyStored { snapshot: None }).is_none());
    }

    #[tokio::test]
    async fn however_many_movers_write_a_namespace_is_listed_once_in_a_while_and_always_at_the_end() {
        let (asked, watched) = (Arc::default(), Watched::default());
        let client = server(Vec::new(), &asked);
        let key = || ("run-1".to_owned(), "west".to_owned(), "n".to_owned());
        for (now, lists) in [(false, 1), (false, 1), (true, 2), (false, 2)] {
            watched.look(&client, key(), now).await.unwrap();
            assert_eq!(asked.load(Ordering::Relaxed), lists * Runner::ALL.len(), "{now}");
        }
    }
}
