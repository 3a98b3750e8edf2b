//! The dispatcher and the driver, with a controller of objects some of which never answer. No clock decides: what never ends never ends.

use super::*;
use crate::{
    context::{ReadContext, tests::process},
    driver::{Controller, Decision, DecisionOf, Driver},
    hub_cache::HubCache,
};
use futures::future::join_all;
use http::{Request, Response};
use kube::{Client, client::Body};
use p861_crds::{ConditionType, MaintenanceWindow, MaintenanceWindowStatus};
use serde_json::{Value, json};

/// Objects of each district that is well.
const OBJECTS: usize = 12;
/// Longer than anything here takes, on a busy machine. A reconcile that never ends is given up only after this.
const LIMIT: Duration = Duration::from_mins(1);
const SHORT_DEADLINE: Duration = Duration::from_millis(50);

/// A controller of windows. In a namespace that begins with `dead`, whatever it asks never answers; one named `bug` makes it panic.
#[derive(Default)]
struct Slow {
    /// Reconciles that never end, by namespace.
    hang: Mutex<HashMap<String, usize>>,
}

impl Controller for Slow {
    type Kind = MaintenanceWindow;
    type Status = MaintenanceWindowStatus;
    type Observed = ();
    type Effects = ();
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Open;

    async fn observe(&self, _: &ReadContext, window: &MaintenanceWindow, _: Timestamp) -> Result<()> {
        assert!(window.name_any() != "bug", "a window is wrong");
        let namespace = window.namespace().unwrap_or_default();
        if namespace.starts_with("dead") {
            *self.hang.lock().entry(namespace).or_default() += 1;
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    fn decide(window: &MaintenanceWindow, (): &(), _: Timestamp) -> DecisionOf<Self> {
        let status = window.status.clone().unwrap_or_default();
        Decision { status, conditions: Vec::new(), events: Vec::new(), effects: (), requeue: Duration::from_secs(30) }
    }
}

/// The statuses that were written, by path.
type Written = Arc<Mutex<Vec<(String, Value)>>>;

fn hub(written: &Written) -> Client {
    let written = written.clone();
    let server = tower::service_fn(move |request: Request<Body>| {
        let written = written.clone();
        async move {
            let (head, body) = request.into_parts();
            let body: Value = serde_json::from_slice(&body.collect_bytes().await.expect("a body")).unwrap_or_default();
            if head.method == http::Method::PATCH {
                written.lock().push((head.uri.path().to_owned(), body));
            }
            let name = head.uri.path().trim_end_matches("/status").rsplit('/').next().unwrap_or_default();
            let answer = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceWindow", "metadata": {"name": name, "resourceVersion": "7"}});
            Response::builder().body(Body::from(answer.to_string().into_bytes()))
        }
    });
    Client::new(server, "d")
}

fn dispatcher(written: &Written, deadline: Duration) -> Arc<Dispatcher<Driver<Slow>>> {
    dispatcher_that_tells(written, deadline, 10 * LIMIT)
}

fn dispatcher_that_tells(written: &Written, deadline: Duration, first_look_patience: Duration) -> Arc<Dispatcher<Driver<Slow>>> {
    Dispatcher::with_limits(process(&hub(written), HubCache::default()), Driver::of(Slow::default()), deadline, first_look_patience)
}

fn window(namespace: &str, name: &str) -> Arc<HubObject<MaintenanceWindow>> {
    let object = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceWindow", "metadata": {"name": name, "namespace": namespace},
        "spec": {"changeClasses": ["Normal"]}});
    Arc::new(serde_json::from_value(object).expect("a window"))
}

/// Reconciles an object once, as kube's controller does when it has changed.
fn reconcile_once(dispatcher: &Arc<Dispatcher<Driver<Slow>>>, namespace: String, name: String) -> tokio::task::JoinHandle<Result<Option<Duration>>> {
    let (dispatcher, object) = (dispatcher.clone(), window(&namespace, &name));
    tokio::spawn(async move { dispatcher.reconcile(&(namespace, name), || Some(object)).await })
}

/// Every object of the districts that are well is reconciled beside so many dead districts with so many objects each, although none of theirs ever ends.
async fn settles_beside(dead: usize, objects: usize, well: usize) {
    let dispatcher = dispatcher(&Written::default(), 10 * LIMIT);
    let _dead: Vec<_> = (0..dead * objects).map(|number| reconcile_once(&dispatcher, format!("dead-{}", number % dead), format!("w{number}"))).collect();
    // They hold what they can get before anybody else comes.
    let hang = || dispatcher.reconciler.controller.hang.lock().values().copied().collect::<Vec<_>>();
    let holds = async {
        while hang().len() < dead || hang().iter().sum::<usize>() < dead + WORKERS.borrowed.min(dead * WORKERS.borrowed_per_share) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, holds).await.unwrap_or_else(|_| panic!("the dead districts hold {:?}", hang()));
    let well: Vec<_> = (0..well * OBJECTS).map(|number| reconcile_once(&dispatcher, format!("well-{}", number / OBJECTS), format!("w{number}"))).collect();
    let settled = tokio::time::timeout(LIMIT, join_all(well)).await;
    let settled = settled.unwrap_or_else(|_| panic!("beside {dead} dead districts of {objects} objects a district waits for what never ends"));
    for reconciled in settled {
        assert_eq!(reconciled.expect("it ends").expect("it is reconciled"), Some(Duration::from_secs(30)));
    }
    assert!(hang().into_iter().all(|held| held <= 1 + WORKERS.borrowed_per_share), "a district holds more than its part: {:?}", hang());
}

#[tokio::test]
async fn fault_e12_a_district_whose_objects_never_end_holds_up_no_other_however_many_it_has() {
    // More objects than there are workers, in one district and in nearly all of them.
    for (dead, objects, well) in [(1, 20, 1), (1, 2_000, 3), (3, 500, 1), (11, 200, 1), (6, 200, 6)] {
        settles_beside(dead, objects, well).await;
    }
}

#[tokio::test]
async fn fault_e12_a_reconcile_that_never_ends_is_given_up_says_so_and_is_tried_less_and_less_often() {
    let written = Written::default();
    let dispatcher = dispatcher(&written, SHORT_DEADLINE);
    let (object, key) = (window("dead", "w"), ("dead".to_owned(), "w".to_owned()));
    let mut waits = Vec::new();
    for _ in 0..7 {
        let error = tokio::time::timeout(LIMIT, dispatcher.reconcile(&key, || Some(object.clone()))).await.expect("it is given up").expect_err("it never ends");
        assert_eq!(error.reason(), Reason::ReconcileTimeout);
        waits.push(dispatcher.wait_after(&key, &error).as_secs());
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 300, 300]);
    let metrics = &dispatcher.context.metrics;
    let labels = ["dead", "MaintenanceWindow"];
    assert_eq!((metrics.reconciles_given_up.with_label_values(&labels).get(), metrics.objects_not_reconciled.with_label_values(&labels).get()), (7, 1));
    let (path, patch) = written.lock().last().cloned().expect("its status says so");
    assert!(path.ends_with("/maintenancewindows/w/status"), "{path}");
    let condition = &patch["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"], &condition["reason"]), (&json!("Open"), &json!("Unknown"), &json!("ReconcileTimeout")));
    assert!(condition["message"].as_str().is_some_and(|message| message.contains("given up at the step \"observe\"")), "{condition}");
    assert_eq!(patch["metadata"]["resourceVersion"], "7", "nobody else's conditions are overwritten");
    dispatcher.forget_all_but(&HashSet::new());
    let text = String::from_utf8(metrics.text().expect("metrics")).expect("a text");
    assert!(!text.contains("p861_objects_not_reconciled{"), "an object that is gone alerts nobody");
}

#[tokio::test]
async fn a_first_look_that_takes_long_is_told_of_before_it_is_given_up_and_a_short_one_is_not() {
    for (namespace, patience, reasons) in [("well", 10 * LIMIT, vec![]), ("dead", SHORT_DEADLINE, vec!["NotYet"])] {
        let written = Written::default();
        let dispatcher = dispatcher_that_tells(&written, 10 * LIMIT, patience);
        let reconcile = reconcile_once(&dispatcher, namespace.into(), "w".into());
        let said = || {
            let of_conditions = |(_, patch): &(String, Value)| patch["status"]["conditions"][0].clone();
            written.lock().iter().map(of_conditions).filter(|condition| condition["type"] == "Open").collect::<Vec<_>>()
        };
        let told = async {
            while !reconcile.is_finished() && said().len() < reasons.len().max(1) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LIMIT, told).await.expect("it ends, or is told of");
        assert_eq!(said().iter().map(|condition| condition["reason"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>(), reasons, "{namespace}");
        if let Some(condition) = said().first() {
            assert!(condition["status"] == "Unknown" && condition["message"].as_str().is_some_and(|text| text.contains("step \"observe\"")), "{condition}");
        }
        reconcile.abort();
    }
}

#[tokio::test]
async fn fault_e12_an_object_that_meets_a_bug_ends_no_controller_and_takes_no_other_object_along() {
    let dispatcher = dispatcher(&Written::default(), LIMIT);
    let bug = ("well".to_owned(), "bug".to_owned());
    let error = dispatcher.reconcile(&bug, || Some(window("well", "bug"))).await.expect_err("it panics");
    assert_eq!((error.reason(), dispatcher.wait_after(&bug, &error)), (Reason::InternalError, Duration::from_secs(15)));
    assert!(error.to_string().contains("a window is wrong"), "{error}");
    let other = dispatcher.reconcile(&("well".into(), "w".into()), || Some(window("well", "w"))).await;
    assert_eq!(other.expect("it goes on"), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn fault_e12_an_object_that_is_written_all_the_time_is_reconciled_at_intervals_and_as_it_is_then() {
    let dispatcher = dispatcher(&Written::default(), LIMIT);
    let key = ("well".to_owned(), "w".to_owned());
    let (since, mut asked) = (Instant::now(), 0);
    for _ in 0..10 {
        let newest = || {
            asked += 1;
            None
        };
        assert_eq!(dispatcher.reconcile(&key, newest).await.expect("it is gone"), None);
    }
    assert_eq!(asked, 10, "it is looked for when it has its turn");
    assert!(since.elapsed() >= MIN_INTERVAL * 9, "{:?}", since.elapsed());
}
