//! Real faults: processes that are killed or frozen, a line that is thin, a bucket that was tampered with.

use crate::install::SYSTEM;
use crate::look::Look as _;
use crate::stage::{BUCKET, Stage};
use p861_testbed::bed::{BedError, Result, Site, until};
use p861_testbed::components::run::run;
use p861_vault::{AsyncStore, Credentials, Location};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// How long a new leader may take: the lease of a dead one must run out first.
pub const TAKE_OVER: Duration = Duration::from_secs(90);

/// Who leads now: the lease's holder, which is a pod's name.
pub fn leader(stage: &Stage) -> Result<String> {
    stage.standby()?.wait("a replica of the operator leads", TAKE_OVER, &["lease", "--namespace", SYSTEM, "p861-operator"], |lease| {
        match lease["spec"]["holderIdentity"].as_str() {
            Some(holder) if !holder.is_empty() => Ok(holder.to_owned()),
            _ => Err(lease["spec"].to_string()),
        }
    })
}

/// Waits until someone else leads, and gives the name.
pub fn leader_after(stage: &Stage, before: &str) -> Result<String> {
    stage.standby()?.wait("another replica of the operator leads", TAKE_OVER, &["lease", "--namespace", SYSTEM, "p861-operator"], |lease| {
        match lease["spec"]["holderIdentity"].as_str() {
            Some(holder) if !holder.is_empty() && holder != before => Ok(holder.to_owned()),
            _ => Err(lease["spec"].to_string()),
        }
    })
}

/// The processes of a pod that run `program`, by the control group that the kubelet made for the pod.
pub fn processes_of(pod: &Value, program: &str) -> Vec<Pid> {
    let group = format!("pod{}", pod["metadata"]["uid"].as_str().unwrap_or("nothing"));
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let read = |file: &str| fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
        let of_pod = String::from_utf8_lossy(&read("cgroup")).contains(&group);
        of_pod && String::from_utf8_lossy(&read("cmdline")).split('\0').next().is_some_and(|first| first.rsplit('/').next() == Some(program))
    })
    .filter_map(Pid::from_raw)
    .collect()
}

/// Sends a signal to the processes of a pod; an error if it has none.
pub fn signal_pod(site: &Site, namespace: &str, name: &str, program: &str, signal: Signal) -> Result<()> {
    let pod = site.get(&["pod", "--namespace", namespace, name])?;
    let found = processes_of(&pod, program);
    if found.is_empty() {
        return Err(BedError::Refused(format!("pod {name} has no process {program}: {}", pod["status"])));
    }
    for id in found {
        kill_process(id, signal).map_err(|error| BedError::Refused(format!("process {id:?} of pod {name}: {error}")))?;
    }
    Ok(())
}

/// Kills the leader's pod as the end of its machine would: no last words, and the lease stays until it runs out. Gives its name.
pub fn kill_leader(stage: &Stage) -> Result<String> {
    let (hub, name) = (stage.standby()?, leader(stage)?);
    let pod = hub.get(&["pod", "--namespace", SYSTEM, &name])?;
    let found = processes_of(&pod, "p861-operator");
    if found.is_empty() {
        return Err(BedError::Refused(format!("pod {name} has no process: {}", pod["status"])));
    }
    let send = |signal: Signal| found.iter().try_for_each(|id| kill_process(*id, signal)).map_err(|error| BedError::Refused(format!("pod {name}: {error}")));
    // Stopped first: killed alone, it would be started again in its own pod before anyone noticed; asked to end, it would hand its lease over.
    send(Signal::STOP)?;
    hub.kubectl(&["delete", "pod", "--namespace", SYSTEM, &name, "--force", "--grace-period=0"])?;
    let _ = send(Signal::KILL);
    Ok(name)
}

/// Kills the first mover process of a site that appears while `limit` lasts, whose Job carries the step.
pub fn kill_mover(site: &Site, namespace: &str, step: &str, limit: Duration) -> Result<()> {
    until(&format!("a mover of step {step} runs in {namespace}"), limit, || {
        let jobs = site.get(&["jobs", "--namespace", namespace]).map_err(|error| error.to_string())?;
        let of_step = |job: &&Value| job["metadata"]["annotations"]["platform861.io/step-id"] == step && job["status"]["completionTime"].is_null();
        let Some(job) = jobs["items"].as_array().into_iter().flatten().find(of_step) else { return Err("there is no such Job".to_owned()) };
        let selector = format!("batch.kubernetes.io/job-name={}", job["metadata"]["name"].as_str().unwrap_or_default());
        let pods = site.get(&["pods", "--namespace", namespace, "--selector", &selector]).map_err(|error| error.to_string())?;
        let found: Vec<Pid> = pods["items"].as_array().into_iter().flatten().flat_map(|pod| processes_of(pod, "p861-operator")).collect();
        if found.is_empty() {
            return Err("its process has not started".to_owned());
        }
        found.into_iter().try_for_each(|id| kill_process(id, Signal::KILL)).map_err(|error| error.to_string())
    })
}

/// Makes the line by which a site sends thin, or wide again. `rate` is one of tc, for example `2mbit`.
pub fn throttle(stage: &Stage, site: &Site, rate: Option<&str>) -> Result<()> {
    let words = match rate {
        Some(rate) => format!("qdisc replace dev wire root tbf rate {rate} burst 16kb latency 2s"),
        None => "qdisc del dev wire root".to_owned(),
    };
    let mut command = Command::new("tc");
    command.args(["-n", &stage.bed.namespace(&site.name)]).args(words.split_whitespace());
    run(&mut command, Duration::from_secs(20)).map(drop).map_err(|source| BedError::Run { what: format!("tc {words}"), source: Box::new(source) })
}

/// The district's bucket, for looking and for tampering.
pub struct Bucket {
    store: AsyncStore,
    runtime: tokio::runtime::Runtime,
}

impl Bucket {
    /// Opens it with the bed's own key.
    pub fn of(stage: &Stage) -> Result<Self> {
        let identity = stage.bed.services.identity("admin")?;
        let location = Location::S3 {
            endpoint: stage.bed.s3().endpoint(),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: String::new(),
            virtual_host: false,
            ca: None,
        };
        let credentials = Credentials { access_key_id: identity.access_key, secret_access_key: identity.secret_key };
        let runtime = tokio::runtime::Runtime::new().map_err(|error| BedError::Refused(format!("no runtime: {error}")))?;
        let store = runtime.block_on(AsyncStore::new(&location, Some(&credentials))).map_err(|error| BedError::Refused(error.to_string()))?;
        Ok(Self { store, runtime })
    }

    /// The keys under a prefix.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.runtime.block_on(self.store.list(prefix)).map_err(|error| BedError::Refused(error.to_string()))
    }

    /// Reads an object.
    pub fn get(&self, key: &str) -> Result<Vec<u8>> {
        self.runtime.block_on(self.store.get(key)).map_err(|error| BedError::Refused(error.to_string()))
    }

    /// Writes an object over what is there.
    pub fn put(&self, key: &str, body: Vec<u8>) -> Result<()> {
        self.runtime.block_on(self.store.put(key, body)).map(drop).map_err(|error| BedError::Refused(error.to_string()))
    }

    /// Deletes an object.
    pub fn delete(&self, key: &str) -> Result<()> {
        self.runtime.block_on(self.store.delete(key)).map_err(|error| BedError::Refused(error.to_string()))
    }
}

/// The records of a run's journal, in order.
pub fn journal(stage: &Stage, kind: &str, name: &str) -> Result<Vec<Value>> {
    let object = stage.object(kind, name)?;
    let location = object["status"]["journal"]["location"].as_str().unwrap_or_default().to_owned();
    let text = if let Some((_, map)) = location.strip_prefix("configmap:").and_then(|place| place.split_once('/')) {
        stage.object("configmap", map)?["data"]["journal.jsonl"].as_str().unwrap_or_default().to_owned()
    } else {
        let bucket = Bucket::of(stage)?;
        let prefix = location.split_once(&format!("{BUCKET}/")).map(|(_, prefix)| prefix).unwrap_or_default();
        let mut keys = bucket.list(&format!("{prefix}/records/"))?;
        keys.sort();
        let parts: Vec<String> = keys.iter().map(|key| bucket.get(key).map(|body| String::from_utf8_lossy(&body).into_owned())).collect::<Result<_>>()?;
        parts.join("\n")
    };
    let records: std::result::Result<Vec<Value>, _> = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect();
    let records = records.map_err(|error| BedError::Refused(format!("the journal of {kind} {name} at {location}: {error}")))?;
    if records.is_empty() { Err(BedError::Refused(format!("the journal of {kind} {name} at {location} is empty"))) } else { Ok(records) }
}
