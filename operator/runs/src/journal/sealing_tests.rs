#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it is wrong")]

use super::{
    super::{JournalStore, StoreError},
    *,
};
use jiff::{SignedDuration, Timestamp};
use p861_core::engine::{Entry, Event, Failure, Step, StepId, sealed::DistrictKey};
use p861_vault::Location;
use std::{
    fs,
    path::{Path, PathBuf},
};

const PREFIX: &str = "journal/core/uid";

fn key(district: &str, run: &str) -> RunKey {
    DistrictKey::from_text(&district.repeat(32)).unwrap().of_run(run)
}

/// A plan that removes movers from a namespace.
fn plan(namespace: &str) -> Plan<Action> {
    let remove = Action::RemoveMovers { site: "west".into(), namespaces: vec![namespace.into()] };
    Plan::new(vec![Step::new(StepId::new("remove").unwrap(), remove, SignedDuration::from_secs(9)).finally()]).unwrap()
}

/// A run in a folder that everybody can write to.
struct Bed {
    folder: tempfile::TempDir,
    sealing: Sealing,
}

impl Bed {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), sealing: Sealing::without_hub(key("5a", "uid")) }
    }

    async fn store(&self, sealing: &Sealing) -> JournalStore {
        let store = AsyncStore::new(&Location::Folder { path: self.folder.path().to_owned() }, None).await.unwrap();
        JournalStore::Bucket { store, prefix: PREFIX.into(), location: "folder".into(), sealing: Box::new(sealing.clone()) }
    }

    /// A run that has begun, and whose step has failed so often.
    async fn run(&self, failures: u32) -> StoredRun {
        let store = self.store(&self.sealing).await;
        let mut run = store.begin(&plan("shinan-approval")).await.unwrap();
        let claim = run.journal.claim(run.plan.digest(), "operator", Timestamp::UNIX_EPOCH);
        append(&store, &mut run, claim).await.unwrap();
        fail(&store, &mut run, failures).await;
        store.pin(&run.plan, run.head.as_ref()).await.unwrap();
        run
    }

    /// What the next process reads.
    async fn read(&self) -> Result<Option<StoredRun>> {
        self.store(&self.sealing).await.load().await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(PREFIX).join(name)
    }

    fn record(&self, first: u64) -> PathBuf {
        self.path(&format!("records/{first:020}.jsonl"))
    }
}

async fn append(store: &JournalStore, run: &mut StoredRun, record: Record) -> std::result::Result<(), StoreError> {
    run.head = store.append(run.head.as_ref(), std::slice::from_ref(&record)).await?;
    run.journal.push(record).unwrap();
    Ok(())
}

async fn fail(store: &JournalStore, run: &mut StoredRun, times: u32) {
    let step = StepId::new("remove").unwrap();
    let done = run.journal.records().iter().map(|record| record.attempt).max().unwrap_or_default();
    for attempt in done + 1..=done + times {
        let failed = Entry::failed(step.clone(), attempt, Failure::transient(Reason::Unreachable, "no"), None);
        for entry in [Entry::of(step.clone(), attempt, Event::Intent), failed] {
            let record = run.journal.stamp(entry, run.journal.token(), Timestamp::UNIX_EPOCH);
            append(store, run, record).await.unwrap();
        }
    }
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

type Change = (&'static str, fn(&Bed), Reason);

/// What somebody with the credentials of the bucket can do.
const CHANGES: [Change; 14] = [
    ("an action of the plan", |bed| edit(&bed.path("plan.json"), "shinan-approval", "kube-system"), Reason::JournalTampered),
    ("a plan without a seal", |bed| fs::write(bed.path("plan.json"), format::plan_text(&plan("kube-system")).unwrap()).unwrap(), Reason::JournalTampered),
    (
        "a plan of another run",
        |bed| fs::write(bed.path("plan.json"), sealed::seal_plan(&key("5a", "other"), &format::plan_text(&plan("kube-system")).unwrap())).unwrap(),
        Reason::JournalTampered,
    ),
    (
        "another plan of the same run, which the operator once wrote",
        |bed| fs::write(bed.path("plan.json"), bed.sealing.seal_plan(&format::plan_text(&plan("shinan-data")).unwrap())).unwrap(),
        Reason::JournalTampered,
    ),
    ("no text", |bed| fs::write(bed.path("plan.json"), [0xff, 0xfe]).unwrap(), Reason::JournalTampered),
    ("a record", |bed| edit(&bed.record(3), "Unreachable", "AccessDenied"), Reason::JournalTampered),
    ("who wrote it", |bed| edit(&bed.record(1), "operator", "somebody"), Reason::JournalTampered),
    ("a record is no text", |bed| fs::write(bed.record(3), [0xff]).unwrap(), Reason::JournalTampered),
    ("a record is gone", |bed| fs::remove_file(bed.record(3)).unwrap(), Reason::JournalTampered),
    ("the newest records are gone", |bed| [4, 5].map(|first| fs::remove_file(bed.record(first)).unwrap()).into_iter().collect(), Reason::JournalTampered),
    ("all records are gone", |bed| fs::remove_dir_all(bed.path("records")).unwrap(), Reason::JournalTampered),
    (
        "two records change places",
        |bed| {
            fs::rename(bed.record(2), bed.path("x")).unwrap();
            fs::rename(bed.record(4), bed.record(2)).unwrap();
            fs::rename(bed.path("x"), bed.record(4)).unwrap();
        },
        Reason::JournalTampered,
    ),
    (
        "a compacted journal that nobody wrote",
        |bed| {
            fs::create_dir_all(bed.path("compacted")).unwrap();
            fs::write(bed.path("compacted/00000000000000000009.jsonl"), r#"{"compacted":{"through":9,"records":0}}"#).unwrap();
        },
        Reason::JournalTampered,
    ),
    ("everything is gone", |bed| fs::remove_dir_all(bed.path("")).unwrap(), Reason::JournalMissing),
];

#[tokio::test]
async fn fault_e2_whatever_somebody_writes_into_the_bucket_is_not_acted_upon() {
    let tried = CHANGES.map(|(name, change, reason)| async move {
        let bed = Bed::new();
        let run = bed.run(2).await;
        let read = bed.read().await.unwrap().unwrap();
        assert_eq!((read.plan.digest(), &read.journal, &read.head), (run.plan.digest(), &run.journal, &run.head), "before");
        change(&bed);
        let error = bed.read().await.map(|read| read.is_some()).expect_err(name);
        assert_eq!((error.reason(), error.category()), (reason, Category::NeedsPerson), "{name}: {error}");
        assert!(error.to_string().starts_with("the journal folder "), "{name}: {error}");
    });
    futures::future::join_all(tried).await;
}

#[tokio::test]
async fn fault_e2_what_nobody_knows_of_can_be_cut_and_nothing_before_it() {
    let bed = Bed::new();
    let mut run = bed.run(1).await;
    let store = bed.store(&bed.sealing).await;
    // The process dies before the hub knows of these.
    fail(&store, &mut run, 1).await;
    for first in [5, 4] {
        fs::remove_file(bed.record(first)).unwrap();
        assert!(bed.read().await.unwrap().unwrap().journal.sequence() < first);
    }
    fs::remove_file(bed.record(3)).unwrap();
    assert_eq!(bed.read().await.unwrap_err().reason(), Reason::JournalTampered);
    // The status knows more than the record of the run.
    let bed = Bed::new();
    let mut run = bed.run(1).await;
    fail(&bed.store(&bed.sealing).await, &mut run, 1).await;
    let head = run.head.clone().unwrap();
    let status = JournalReference { location: String::new(), sequence: 5, token: 1, plan: Some(run.plan.digest().to_owned()), seal: Some(head.seal) };
    let knows = |status: JournalReference| Sealing { status: Some(status), ..bed.sealing.clone() };
    assert!(bed.store(&knows(status.clone())).await.load().await.is_ok());
    fs::remove_file(bed.record(5)).unwrap();
    assert_eq!(bed.store(&knows(status.clone())).await.load().await.unwrap_err().reason(), Reason::JournalTampered);
    let other = JournalReference { sequence: 0, seal: None, plan: Some("sha256:x".into()), ..status };
    assert_eq!(bed.store(&knows(other)).await.load().await.unwrap_err().reason(), Reason::JournalTampered, "the plan of the status");
}

#[tokio::test]
async fn fault_e2_a_compacted_journal_is_sealed_and_goes_on_where_it_was() {
    let bed = Bed::new();
    let mut run = bed.run(20).await;
    let store = bed.store(&bed.sealing).await;
    run.journal = store.compact(&run.plan, &run.journal, run.head.as_ref()).await.unwrap().expect("it can be shortened");
    assert!(!bed.record(1).exists());
    let read = bed.read().await.unwrap().unwrap();
    assert_eq!((&read.journal, &read.head), (&run.journal, &run.head));
    fail(&store, &mut run, 1).await;
    assert_eq!(bed.read().await.unwrap().unwrap().journal, run.journal);
    let compacted = bed.path("compacted/00000000000000000041.jsonl");
    edit(&compacted, "Unreachable", "AccessDenied");
    assert_eq!(bed.read().await.unwrap_err().reason(), Reason::JournalTampered);
}

#[tokio::test]
async fn fault_e2_a_run_begins_with_its_own_plan_and_no_other_that_is_there() {
    let bed = Bed::new();
    fs::create_dir_all(bed.path("")).unwrap();
    fs::write(bed.path("plan.json"), format::plan_text(&plan("kube-system")).unwrap()).unwrap();
    let store = bed.store(&bed.sealing).await;
    assert_eq!(store.begin(&plan("shinan-approval")).await.unwrap_err().reason(), Reason::JournalTampered);
    // One that the operator wrote before it was killed, and that was compiled anew since: the hub knows of the newer one only.
    fs::write(bed.path("plan.json"), bed.sealing.seal_plan(&format::plan_text(&plan("shinan-data")).unwrap())).unwrap();
    assert_eq!(store.begin(&plan("shinan-approval")).await.unwrap_err().reason(), Reason::JournalTampered);
}

#[tokio::test]
async fn fault_e2_a_journal_of_a_key_that_is_lost_waits_for_the_key() {
    let bed = Bed::new();
    bed.run(1).await;
    let another = Sealing { key: key("5b", "uid"), ..bed.sealing.clone() };
    let error = bed.store(&another).await.load().await.unwrap_err();
    assert_eq!((error.reason(), error.category()), (Reason::JournalKeyLost, Category::NeedsPerson));
    assert!(error.to_string().contains("put back the one that was there"), "{error}");
    assert!(bed.read().await.is_ok());
}

#[tokio::test]
async fn who_knows_less_of_a_journal_than_is_known_has_lost_the_run() {
    let bed = Bed::new();
    let run = bed.run(1).await;
    let store = bed.store(&bed.sealing).await;
    let old = ChainHead { sequence: 2, seal: String::new() };
    for head in [None, Some(&old)] {
        assert!(matches!(store.pin(&run.plan, head).await, Err(Error::RunLost(_))));
    }
    assert!(store.pin(&run.plan, run.head.as_ref()).await.is_ok());
}
