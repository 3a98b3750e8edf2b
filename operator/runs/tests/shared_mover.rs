//! Steps that share a mover, with the executor's own effects: the API server is simulated, and so is what a mover does in its pod.

use crate::gate::context_over;
use http::{Method, Request, Response};
use jiff::{SignedDuration, Timestamp};
use kube::{Client, client::Body};
use p861_core::{
    engine::{Event, Evidence, Plan, StoredObject, sealed::DistrictKey},
    protection::backup::{self, BackupFacts},
    runs::{Action, Allotment, Scope},
};
use p861_crds::{
    ApplicationSpec, District, Reason,
    common::{ActionKind, RunAction, RunPhase},
};
use p861_runs::{
    Executor, JournalStore, Pass, RunContext, RunIdentity, Sealing,
    folders::FolderRoot,
    load,
    movers::{MoverAnswer, MoverLine, NextTask},
    pass,
    repository::StoreCache,
    run_objects::RunObjects,
};
use p861_vault::{AsyncStore, Location};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, convert::Infallible, path::Path, sync::Arc, time::Duration};

const NAMESPACE: &str = "shinan-portal";

/// A Job and what its pod says.
#[derive(Clone)]
struct Mover {
    job: Value,
    line: String,
    /// Its termination message.
    answer: Option<String>,
}

impl Mover {
    fn variable(&self, name: &str) -> Option<String> {
        let variables = self.job["spec"]["template"]["spec"]["containers"][0]["env"].as_array()?;
        Some(variables.iter().find(|variable| variable["name"] == name)?["value"].as_str()?.to_owned())
    }

    fn step(&self) -> String {
        self.variable("P861_STEP").unwrap()
    }

    fn pod(&self) -> Value {
        let (name, template) = (self.job["metadata"]["name"].as_str().unwrap(), &self.job["spec"]["template"]);
        let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": self.job["metadata"]["uid"], "controller": true});
        let ended = self.answer.as_ref().map(|message| json!({"terminated": {"exitCode": 0, "message": message}}));
        json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
            "metadata": {"name": format!("{name}-pod"), "labels": template["metadata"]["labels"], "ownerReferences": [owner]},
            "status": {"phase": if ended.is_some() { "Succeeded" } else { "Running" }, "containerStatuses": [
                {"name": "mover", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": ended.unwrap_or(json!({"running": {}}))}]}})
    }
}

/// A cluster that is hub and site.
#[derive(Clone, Default)]
struct Cluster {
    movers: Arc<Mutex<BTreeMap<String, Mover>>>,
    /// The steps of all Jobs that were ever made, in order.
    made: Arc<Mutex<Vec<String>>>,
}

impl Cluster {
    fn client(&self, folder: &Path) -> Client {
        let (cluster, folder) = (self.clone(), folder.to_owned());
        let answer = move |request: Request<Body>| {
            let (cluster, folder) = (cluster.clone(), folder.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
                let (status, answer) = cluster.answer(&parts.method, &path, &query, serde_json::from_slice(&body).unwrap_or_default(), &folder);
                Ok::<_, Infallible>(Response::builder().status(status).body(Body::from(answer.into_bytes())).unwrap())
            }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: Value, folder: &Path) -> (u16, String) {
        let list = |items: Vec<Value>| (200, json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}).to_string());
        let absent = || (404, json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}).to_string());
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut movers = self.movers.lock();
        // Names and labels are hexadecimal digests, or contain them: what is asked for stands in the query as it is.
        let asked_for = |mover: &Mover| {
            let labels = &mover.job["metadata"]["labels"];
            [&mover.job["metadata"]["name"], &labels["platform861.io/step"]].iter().any(|text| text.as_str().is_some_and(|text| query.contains(text)))
                || !query.contains("job-name") && !query.contains("step")
        };
        match (method.as_str(), path) {
            ("GET", "/api/v1/nodes") => list(vec![json!({"metadata": {"name": "node-1"}})]),
            ("GET", _) if path.ends_with("/sites/west") => {
                (200, json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Site", "metadata": {"name": "west"}, "spec": {"failureDomain": "a", "access": {"inCluster": {}}}}).to_string())
            }
            ("GET", _) if path.ends_with("/backuprepositories/main") => {
                let spec = json!({"failureDomain": "b", "folder": {"path": folder}, "encryption": {"keySecretRef": {"name": "key"}}});
                (200, json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupRepository", "metadata": {"name": "main", "namespace": "shinan"}, "spec": spec}).to_string())
            }
            ("GET", "/api/v1/namespaces/shinan/secrets/key") => {
                (200, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "shinan"}, "data": {"password": "cGFzc3dvcmQ="}}).to_string())
            }
            ("POST", _) if path.ends_with("/jobs") => {
                let (mut job, name) = (body.clone(), body["metadata"]["name"].as_str().unwrap().to_owned());
                job["metadata"]["uid"] = json!(format!("uid-of-{name}"));
                let mover = Mover { job: job.clone(), line: String::new(), answer: None };
                self.made.lock().push(mover.step());
                movers.insert(name, mover);
                (201, job.to_string())
            }
            ("GET", _) if path.ends_with("/jobs") => list(movers.values().filter(|mover| asked_for(mover)).map(|mover| mover.job.clone()).collect()),
            ("GET", _) if path.ends_with("/pods") => list(movers.values().filter(|mover| asked_for(mover)).map(Mover::pod).collect()),
            ("GET", _) if path.ends_with("/log") => {
                let of_pod = movers.values().find(|mover| path.contains(&format!("/{}-pod/", mover.job["metadata"]["name"].as_str().unwrap())));
                of_pod.map_or_else(absent, |mover| (200, mover.line.clone()))
            }
            ("GET", _) if path.contains("/jobs/") => movers.get(name).map_or_else(absent, |mover| (200, mover.job.to_string())),
            ("DELETE", _) if path.contains("/jobs/") => movers.remove(name).map_or_else(absent, |mover| (200, mover.job.to_string())),
            ("PATCH", _) => (200, body.to_string()),
            _ => absent(),
        }
    }

    /// Changes the mover of this name; says whether it is there.
    fn change(&self, name: &str, change: impl FnOnce(&mut Mover)) -> bool {
        self.movers.lock().get_mut(name).map(change).is_some()
    }
}

/// What becomes of the first mover after its own step; every other does all that it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    GoesOn,
    /// Its Job is deleted during the step after its own.
    Deleted,
    /// It waits in vain, and ends.
    Ends,
    /// The step after its own fails there.
    Fails,
    /// It never comes to the end of the step after its own.
    Hangs,
}

async fn stored(objects: &RunObjects, step: &str) -> StoredObject {
    objects.put(&Evidence::CheckSeen { check: step.to_owned(), seen: String::new() }).await.unwrap()
}

/// What a mover does in its pod.
async fn work(cluster: Cluster, objects: RunObjects, mover: Mover, fate: Fate) {
    let name = mover.variable("P861_MOVER").unwrap();
    let next: Vec<NextTask> = mover.variable("P861_THEN").map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default();
    let mut line = MoverLine::default();
    line.done.insert(mover.step(), stored(&objects, &mover.step()).await);
    let mut then = BTreeMap::new();
    for next in next {
        line.waits = Some(next.step.clone());
        let say = |mover: &mut Mover| mover.line = serde_json::to_string(&line).unwrap();
        if !cluster.change(&name, say) {
            return;
        }
        if fate == Fate::Ends {
            break;
        }
        while !objects.is_told_to_begin(&name, &next.step).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        line.waits = None;
        match fate {
            Fate::Deleted => return drop(cluster.movers.lock().remove(&name)),
            Fate::Hangs => {
                cluster.change(&name, |mover| mover.line = serde_json::to_string(&line).unwrap());
                return;
            }
            Fate::Fails => {
                then.insert(
                    next.step.clone(),
                    MoverAnswer::Failed { reason: Reason::StoreError, message: "no answer".into(), permanent: false, untouched: false },
                );
                break;
            }
            Fate::GoesOn | Fate::Ends => {}
        }
        let evidence = stored(&objects, &next.step).await;
        line.done.insert(next.step.clone(), evidence.clone());
        then.insert(next.step, MoverAnswer::done(evidence));
    }
    let answer = MoverAnswer::Done { evidence: line.done[&mover.step()].clone(), then };
    cluster.change(&name, |mover| mover.answer = Some(serde_json::to_string(&answer).unwrap()));
}

fn plan() -> Plan<Action> {
    let spec: ApplicationSpec = serde_json::from_value(json!({"department": "d", "namespaces": [NAMESPACE]})).unwrap();
    let (site, deadline) = ("west".into(), SignedDuration::from_hours(6));
    let (claims, missing, snapshots) = (&[], &[], &[]);
    let facts = BackupFacts {
        backup: "b",
        application: "portal",
        district: "shinan",
        site: &site,
        spec: &spec,
        claims,
        missing,
        half_restored: None,
        snapshots,
        parent: None,
        deadline,
    };
    backup::compile(&facts).unwrap()
}

/// A backup of objects only, on a simulated cluster.
struct Bed {
    cluster: Cluster,
    folder: tempfile::TempDir,
    executor: Executor<RunContext>,
    run: RunIdentity,
    journal: JournalStore,
    objects: RunObjects,
}

impl Bed {
    async fn new() -> Self {
        let (cluster, folder) = (Cluster::default(), tempfile::tempdir().unwrap());
        let root = folder.path().canonicalize().unwrap();
        let mut context = context_over(cluster.client(&root.join("main")));
        context.hub.stores = StoreCache::with_folders(FolderRoot::new(&root).unwrap());
        let district: District = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
            "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}]}}))
        .unwrap();
        let scope = Scope::of_district("shinan", ["west"], Allotment::of(&district)).with_repository("main");
        let run = RunIdentity { kind: "Backup", namespace: "shinan".into(), name: "b".into(), uid: "uid".into(), repository: "main".into(), scope };
        let path = root.join("main");
        std::fs::create_dir(&path).unwrap();
        let store = AsyncStore::new(&Location::Folder { path }, None).await.unwrap();
        let objects = RunObjects::new(store.clone(), "uid");
        let key = DistrictKey::from_text(&"5a".repeat(32)).unwrap().of_run("uid");
        let journal = JournalStore::Bucket { store, prefix: "journal/uid".into(), location: "folder".into(), sealing: Box::new(Sealing::without_hub(key)) };
        journal.begin(&plan()).await.unwrap();
        Self { cluster, folder, executor: context.executor(), run, journal, objects }
    }

    /// Passes until the run has ended; a person aborts it where `aborts` says so.
    async fn until_end(&self, fate: Fate, aborts: impl Fn(&Pass) -> bool) -> Pass {
        let (mut begun, mut actions) = (0, Vec::new());
        for _ in 0..2_000 {
            let stored = load(&self.executor, &self.run, &self.journal).await.unwrap();
            let pass = pass(&self.executor, &self.run, &self.journal, &actions, stored).await.unwrap();
            if pass.summary.phase.is_end() {
                return pass;
            }
            if actions.is_empty() && aborts(&pass) {
                let (reason, by) = (Some("for the test".to_owned()), Some("engineer".to_owned()));
                actions.push(RunAction { action: ActionKind::Abort, step: None, reason, answer: None, duration: None, by });
            }
            let made: Vec<Mover> = self.cluster.movers.lock().values().filter(|mover| mover.line.is_empty() && mover.answer.is_none()).cloned().collect();
            for mover in made {
                // It is begun once.
                self.cluster.change(mover.job["metadata"]["name"].as_str().unwrap(), |mover| mover.line = "{}".into());
                let fate = if begun == 0 { fate } else { Fate::GoesOn };
                begun += 1;
                tokio::spawn(work(self.cluster.clone(), self.objects.clone(), mover, fate));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain in {}: {:#?}", self.folder.path().display(), self.cluster.made.lock());
    }
}

fn intended(pass: &Pass, step: &str) -> Option<Timestamp> {
    let mut records = pass.journal.records().iter();
    records.find(|record| record.step.as_ref().is_some_and(|id| id.as_str() == step) && matches!(record.event, Event::Intent)).map(|record| record.at)
}

#[tokio::test]
async fn fault_g2_a_backup_of_objects_runs_in_one_pod_and_a_step_that_this_one_does_not_do_has_its_own() {
    let (save, seal, verify) = ("save/portal/objects", "seal/portal", "verify/portal");
    for (fate, made, attempts) in [
        (Fate::GoesOn, vec![save], [1, 1, 1]),
        (Fate::Deleted, vec![save, seal], [1, 1, 1]),
        (Fate::Ends, vec![save, seal], [1, 1, 1]),
        (Fate::Fails, vec![save, seal], [1, 2, 1]),
    ] {
        let bed = Bed::new().await;
        let end = bed.until_end(fate, |_| false).await;
        assert_eq!(end.summary.phase, RunPhase::Succeeded, "{fate:?}: {:?}", end.summary.result);
        assert_eq!(*bed.cluster.made.lock(), made, "{fate:?}: each mover goes on with what comes after its own step");
        for (step, attempt) in [save, seal, verify].into_iter().zip(attempts) {
            let records = || end.journal.records().iter().filter(|record| record.step.as_ref().is_some_and(|id| id.as_str() == step));
            let done: Vec<_> = records().filter(|record| matches!(record.event, Event::Done)).collect();
            assert_eq!(done.iter().map(|record| record.attempt).collect::<Vec<_>>(), [attempt], "{fate:?}: {step}");
            assert_eq!(done[0].evidence, Some(Evidence::CheckSeen { check: step.into(), seen: String::new() }), "{fate:?}: each has its own evidence");
        }
        assert!(intended(&end, save) <= intended(&end, seal) && intended(&end, seal) <= intended(&end, verify), "{fate:?}");
        assert!(bed.cluster.movers.lock().is_empty(), "{fate:?}: clean-up removes what is left");
    }
}

#[tokio::test]
async fn fault_g2_to_abort_a_step_that_a_shared_mover_does_stops_that_mover() {
    let bed = Bed::new().await;
    let end = bed.until_end(Fate::Hangs, |pass| intended(pass, "seal/portal").is_some() && !bed.cluster.movers.lock().is_empty()).await;
    assert_eq!(end.summary.phase, RunPhase::Aborted, "{:?}", end.summary.result);
    assert_eq!(*bed.cluster.made.lock(), ["save/portal/objects"], "no other is started");
    assert!(bed.cluster.movers.lock().is_empty());
}
