//! Runs on the stage, with the times that only who asks for them can know.

use super::failed;
use super::timeline::{Timeline, between};
use crate::look::condition_of;
use crate::stage::{BUCKET, DISTRICT, Stage};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Resource, ResourceExt as _, api::PostParams, runtime::wait::await_condition};
use p861_core::names;
use p861_crds::common::RunPhase;
use p861_crds::{Backup, Drill, Restore};
use p861_testbed::bed::{BedError, Result};
use p861_vault::{AsyncStore, Credentials, Location};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::{Debug, Display};
use std::time::Duration;

/// How long a run of next to nothing may take before something is wrong.
const LIMIT: Duration = Duration::from_mins(5);

/// A kind of run.
pub trait Run: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where it stands.
    fn phase(&self) -> Option<RunPhase>;
}

impl Run for Backup {
    fn phase(&self) -> Option<RunPhase> {
        self.status.as_ref()?.phase
    }
}

impl Run for Restore {
    fn phase(&self) -> Option<RunPhase> {
        self.status.as_ref()?.phase
    }
}

impl Run for Drill {
    fn phase(&self) -> Option<RunPhase> {
        self.status.as_ref()?.phase
    }
}

/// A run that succeeded.
#[derive(Clone, Debug)]
pub struct Performed<K> {
    /// Its object, as it was when it ended.
    pub object: K,
    /// Just before it was created.
    pub asked: Timestamp,
    /// When its end was seen.
    pub told: Timestamp,
}

impl<K: Run> Performed<K> {
    /// Its UID.
    pub fn uid(&self) -> String {
        self.object.uid().unwrap_or_default()
    }

    /// From asking to seeing its end.
    pub fn took(&self) -> Duration {
        between(self.asked, self.told)
    }
}

/// Creates a run of next to nothing and waits for its end.
pub async fn perform<K: Run>(hub: &Client, run: K) -> Result<Performed<K>> {
    perform_within(hub, run, LIMIT).await
}

/// Creates a run and waits for its end, at most so long.
pub async fn perform_within<K: Run>(hub: &Client, run: K, limit: Duration) -> Result<Performed<K>> {
    let api: Api<K> = Api::namespaced(hub.clone(), DISTRICT);
    let (kind, name) = (K::kind(&()), run.name_any());
    let what = format!("{kind} {name}");
    let asked = Timestamp::now();
    api.create(&PostParams::default(), &run).await.map_err(|error| failed(format!("create {what}"))(&error))?;
    let ended = |run: Option<&K>| run.and_then(K::phase).is_some_and(RunPhase::is_end);
    let waited = tokio::time::timeout(limit, await_condition(api.clone(), &name, ended)).await;
    let told = Timestamp::now();
    let seen = api.get(&name).await.map_err(|error| failed(format!("read {what}"))(&error))?;
    let state = serde_json::to_value(&seen).map_err(|error| failed(&what)(&error))?;
    match waited {
        Err(_) => Err(BedError::NotSo { what: format!("{what} has ended"), limit, last_seen: state["status"].to_string() }),
        Ok(Err(error)) => Err(failed(format!("wait for {what}"))(&error)),
        Ok(Ok(_)) if seen.phase() == Some(RunPhase::Succeeded) => Ok(Performed { object: seen, asked, told }),
        Ok(Ok(_)) => Err(BedError::Refused(format!("{what} ended as {:?}: {}", seen.phase(), condition_of(&state, "Succeeded").unwrap_or(&state["status"])))),
    }
}

/// A run by its manifest's spec.
pub fn run<K: Run>(name: &str, spec: serde_json::Value) -> Result<K> {
    let (kind, version) = (K::kind(&()), K::api_version(&()));
    let object = serde_json::json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": DISTRICT}, "spec": spec});
    serde_json::from_value(object).map_err(|error| failed(format!("{kind} {name}"))(&error))
}

/// The journal of a Backup (`noun` backup) or a Restore (restore): it lies in a ConfigMap.
pub async fn journal(hub: &Client, noun: &str, name: &str) -> Result<Timeline> {
    let uid = match noun {
        "backup" => Api::<Backup>::namespaced(hub.clone(), DISTRICT).get(name).await.map(|run| run.uid()),
        _ => Api::<Restore>::namespaced(hub.clone(), DISTRICT).get(name).await.map(|run| run.uid()),
    };
    let uid = uid.map_err(|error| failed(format!("read {noun} {name}"))(&error))?.unwrap_or_default();
    let map = names::journal(name, noun, &uid);
    let maps: Api<ConfigMap> = Api::namespaced(hub.clone(), DISTRICT);
    let data = maps.get(&map).await.map_err(|error| failed(format!("read ConfigMap {map}"))(&error))?.data.unwrap_or_default();
    let text = |key: &str| data.get(key).ok_or_else(|| BedError::Refused(format!("ConfigMap {map} has no {key}")));
    Timeline::of(name, text("plan.json")?, text("journal.jsonl")?)
}

/// The journal of a Drill: it lies in the plan's repository.
pub async fn journal_of_drill(stage: &Stage, drill: &Drill) -> Result<Timeline> {
    let (name, plan) = (drill.name_any(), &drill.spec.plan_ref.name);
    let prefix = format!("journal/{plan}/{}", drill.uid().unwrap_or_default());
    let wrong = |error: &dyn Display| failed(format!("read {prefix} of bucket {BUCKET}"))(error);
    let keys = stage.bed.services.identity(BUCKET)?;
    let location = Location::S3 {
        endpoint: stage.bed.s3().endpoint(),
        region: "us-east-1".into(),
        bucket: BUCKET.into(),
        prefix: String::new(),
        virtual_host: false,
        ca: None,
    };
    let keys = Credentials { access_key_id: keys.access_key, secret_access_key: keys.secret_key };
    let store = AsyncStore::new(&location, Some(&keys)).await.map_err(|error| wrong(&error))?;
    let read = async |key: &str| {
        let bytes = store.get(key).await.map_err(|error| wrong(&error))?;
        String::from_utf8(bytes).map_err(|error| wrong(&error))
    };
    let mut parts = store.list(&format!("{prefix}/records/")).await.map_err(|error| wrong(&error))?;
    parts.sort();
    let mut records = String::new();
    for part in &parts {
        records.push_str(&read(part).await?);
        records.push('\n');
    }
    Timeline::of(&name, &read(&format!("{prefix}/plan.json")).await?, &records)
}
