use super::{super::ending::end_request, *};
use p861_vault::{AsyncStore, Location};
use std::path::Path;

const SHORT: Duration = Duration::from_millis(400);

async fn objects(folder: &Path) -> RunObjects {
    RunObjects::new(AsyncStore::new(&Location::Folder { path: folder.to_owned() }, None).await.unwrap(), "run-1")
}

fn seen(text: &str) -> Evidence {
    Evidence::CheckSeen { check: text.into(), seen: String::new() }
}

fn verify() -> MoverTask {
    MoverTask::VerifyStored { snapshot: None }
}

fn next(step: &str, after: &[&str]) -> NextTask {
    NextTask { step: step.into(), after: after.iter().map(|step| (*step).to_owned()).collect(), task: verify() }
}

/// Lines that a mover printed.
#[derive(Default)]
struct Printed(Mutex<Vec<MoverLine>>);

impl Printed {
    fn last(&self) -> MoverLine {
        self.0.lock().last().cloned().unwrap_or_default()
    }

    async fn until(&self, is_so: impl Fn(&MoverLine) -> bool) -> MoverLine {
        for _ in 0..1_000 {
            let last = self.last();
            if is_so(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain: {:?}", self.0.lock());
    }
}

#[tokio::test]
async fn fault_g2_a_mover_begins_each_step_only_once_it_has_begun_and_says_at_once_what_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, printed) = (objects(folder.path()).await, Printed::default());
    let print = |line: &MoverLine| printed.0.lock().push(line.clone());
    let chain = Chain::new("mover".into(), "save".into(), vec![next("seal", &["save"]), next("verify", &["seal"])], &objects, &print);
    let (told, end) = (Mutex::new(Vec::new()), EndRequest::never());
    let mover = chain.go_through(verify(), BTreeMap::from([("before".to_owned(), seen("before"))]), &end, async |_, inputs| {
        told.lock().push(inputs.keys().cloned().collect::<Vec<_>>().join(" "));
        Ok(seen(&format!("proof {}", told.lock().len())))
    });
    let operator = async {
        for (done, waits, begun) in [("save", "seal", 1), ("seal", "verify", 2)] {
            let line = printed.until(|line| line.waits.as_deref() == Some(waits)).await;
            assert!(objects.get::<Evidence>(&line.done[done]).await.unwrap() == seen(&format!("proof {begun}")), "what is done is proven at once");
            assert_eq!(told.lock().len(), begun, "{waits} has not begun");
            objects.tell_to_begin("another mover", waits).await.unwrap();
            tokio::time::sleep(2 * NEXT_INTERVAL).await;
            assert_eq!(told.lock().len(), begun, "{waits} has not begun: another mover was told");
            objects.tell_to_begin("mover", waits).await.unwrap();
        }
    };
    let (result, ()) = tokio::join!(mover, operator);
    assert_eq!(*told.lock(), ["before", "save", "seal"], "each gets what its own dependencies have proved");
    assert_eq!(printed.last().done.keys().collect::<Vec<_>>(), ["save", "seal", "verify"], "the last step needs no pod that has ended");
    let answer = chain.answer(result);
    let MoverAnswer::Done { evidence, then } = &answer else { panic!("{answer:?}") };
    assert_eq!(objects.get::<Evidence>(evidence).await.unwrap(), seen("proof 1"));
    assert!(answer.is_all_done() && then.keys().collect::<Vec<_>>() == ["seal", "verify"], "{answer:?}");
}

#[tokio::test]
async fn fault_g2_a_mover_that_is_not_told_to_go_on_ends_and_has_done_what_it_has_done() {
    let folder = tempfile::tempdir().unwrap();
    let objects = objects(folder.path()).await;
    let mut chain = Chain::new("mover".into(), "save".into(), vec![next("seal", &["save"])], &objects, &|_| {});
    chain.patience = SHORT;
    let mut begun = 0;
    let result = chain
        .go_through(verify(), BTreeMap::new(), &EndRequest::never(), async |_, _| {
            begun += 1;
            Ok(seen("proof"))
        })
        .await;
    let answer = chain.answer(result);
    assert_eq!(begun, 1);
    assert!(matches!(&answer, MoverAnswer::Done { then, .. } if then.is_empty()), "{answer:?}");
    assert!(answer.is_all_done() && answer.of("seal").is_none(), "nobody has begun it");
}

#[tokio::test]
async fn fault_g2_a_failure_is_that_of_its_own_step_and_nothing_is_begun_after_it() {
    for (fails_at, done, failed) in [(1, 0, None), (2, 1, Some("seal")), (3, 2, Some("verify"))] {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path()).await;
        for step in ["seal", "verify"] {
            objects.tell_to_begin("mover", step).await.unwrap();
        }
        let chain = Chain::new("mover".into(), "save".into(), vec![next("seal", &["save"]), next("verify", &["seal"])], &objects, &|_| {});
        let mut begun = 0;
        let work = async |_, _| {
            begun += 1;
            if begun == fails_at { Err(WorkError::stated(Reason::SnapshotMissing, "it is gone", true)) } else { Ok(seen("proof")) }
        };
        let result = chain.go_through(verify(), BTreeMap::new(), &EndRequest::never(), work).await;
        let answer = chain.answer(result);
        assert_eq!(begun, fails_at);
        assert!(!answer.is_all_done(), "its exit code says so");
        let is_failure = |answer: &MoverAnswer| matches!(answer, MoverAnswer::Failed { message, permanent: true, .. } if message == "it is gone");
        match &answer {
            MoverAnswer::Failed { .. } => assert!(done == 0 && is_failure(&answer), "{answer:?}"),
            MoverAnswer::Done { then, .. } => {
                assert_eq!(then.len(), done, "{answer:?}");
                assert!(failed.is_some_and(|step| answer.of(step).is_some_and(is_failure)), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn fault_g2_a_mover_that_is_told_to_end_while_it_waits_ends_and_has_failed_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let objects = objects(folder.path()).await;
    let chain = Chain::new("mover".into(), "save".into(), vec![next("seal", &["save"])], &objects, &|_| {});
    let (ender, end) = end_request();
    let mover = chain.go_through(verify(), BTreeMap::new(), &end, async |_, _| Ok(seen("proof")));
    let (result, ()) = tokio::join!(mover, async {
        tokio::time::sleep(SHORT).await;
        ender.end();
    });
    // The process takes another way out at that moment: it is the same.
    assert!(chain.answer(result.and(Err(WorkError::stated(Reason::MoverLost, "told to end", false)))).is_all_done());
}
