//! The driver against an API server that only takes notes.

use super::*;
use crate::{context::tests::process, hub_cache::HubCache};
use http::{Request, Response, StatusCode};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Client,
    api::{ListParams, PostParams},
    client::Body,
};
use p861_crds::{ConditionType, MaintenanceWindow, MaintenanceWindowStatus, Reason};
use parking_lot::Mutex;
use serde_json::json;

/// What happened, in order.
type Notes = Arc<Mutex<Vec<String>>>;

/// A controller of windows that notes its steps. It writes a ConfigMap where it may, and where it may not.
struct Noting {
    notes: Notes,
    writes_while_it_observes: bool,
}

fn maps(context: &Context) -> Api<ConfigMap> {
    Api::namespaced(context.hub.client.clone(), "d")
}

impl Controller for Noting {
    type Kind = MaintenanceWindow;
    type Status = MaintenanceWindowStatus;
    type Observed = ();
    type Effects = ();
    type Performed = bool;
    const CONDITION: ConditionType = ConditionType::Open;
    const STATUS_WRITE: StatusWrite = StatusWrite::IfUnchanged;

    async fn observe(&self, context: &ReadContext, _: &MaintenanceWindow, _: Timestamp) -> Result<()> {
        self.notes.lock().push("observe".into());
        maps(context).list(&ListParams::default()).await.context(|| "list".into())?;
        if self.writes_while_it_observes {
            maps(context).create(&PostParams::default(), &ConfigMap::default()).await.context(|| "create".into())?;
        }
        Ok(())
    }

    fn decide(window: &MaintenanceWindow, (): &(), _: Timestamp) -> DecisionOf<Self> {
        let status = window.status.clone().unwrap_or_default();
        Decision { status, conditions: Vec::new(), events: Vec::new(), effects: (), requeue: Duration::from_secs(30) }
    }

    async fn perform(&self, context: &Context, _: &MaintenanceWindow, (): &(), _: Timestamp) -> Result<bool> {
        self.notes.lock().push("perform".into());
        maps(context).create(&PostParams::default(), &ConfigMap::default()).await.context(|| "create".into())?;
        Ok(true)
    }

    fn conclude(_: &MaintenanceWindow, (): &(), mut decision: DecisionOf<Self>, performed: bool, _: Timestamp) -> DecisionOf<Self> {
        decision.conditions = vec![if performed {
            ConditionUpdate::good(ConditionType::Open, Reason::Open, "performed")
        } else {
            ConditionUpdate::bad(ConditionType::Open, Reason::Frozen, "not performed")
        }];
        decision
    }

    fn set_metrics(&self, metrics: &Metrics, _: &MaintenanceWindow, (): &(), _: &MaintenanceWindowStatus) {
        metrics.window_open.with_label_values(&["d", "w"]).set(1);
    }

    async fn follow_up(&self, _: &Context, _: &MaintenanceWindow, _: DecisionOf<Self>, _: Timestamp) -> Result<Option<Duration>> {
        self.notes.lock().push("follow up".into());
        Ok(Some(Duration::from_secs(1)))
    }
}

/// A context whose hub notes every request, and answers a write of a status with this code.
fn context(notes: &Notes, status_code: StatusCode) -> Context {
    let notes = notes.clone();
    let server = tower::service_fn(move |request: Request<Body>| {
        let (method, path) = (request.method().clone(), request.uri().path().rsplit('/').next().unwrap_or_default().to_owned());
        notes.lock().push(format!("{method} {path}"));
        let code = if path == "status" { status_code } else { StatusCode::OK };
        let answer = match (code, method.as_str()) {
            (StatusCode::OK, "GET") => json!({"metadata": {}, "items": []}),
            (StatusCode::OK, _) => json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "w"}}),
            (code, _) => json!({"status": "Failure", "message": "changed", "reason": "Conflict", "code": code.as_u16()}),
        };
        let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
        std::future::ready(answer)
    });
    process(&Client::new(server, "d"), HubCache::default())
}

fn window(status: Option<&MaintenanceWindowStatus>) -> Arc<MaintenanceWindow> {
    let object = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "MaintenanceWindow", "metadata": {"name": "w", "namespace": "d", "generation": 3},
        "spec": {"changeClasses": ["Normal"]}, "status": status});
    Arc::new(serde_json::from_value(object).expect("a window"))
}

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().expect("a time")
}

async fn reconcile(writes_while_it_observes: bool, status_code: StatusCode, object: Arc<MaintenanceWindow>) -> (Result<Duration>, Vec<String>, Context) {
    let notes = Notes::default();
    let context = context(&notes, status_code);
    let result = Driver::of(Noting { notes: notes.clone(), writes_while_it_observes }).reconcile(&context, object, now(), &Step::default()).await;
    let notes = notes.lock().clone();
    (result, notes, context)
}

#[tokio::test]
async fn the_steps_come_in_their_order_and_the_status_before_what_follows_it() {
    let (result, notes, context) = reconcile(false, StatusCode::OK, window(None)).await;
    assert_eq!(notes, ["observe", "GET configmaps", "perform", "POST configmaps", "PATCH status", "follow up"]);
    assert_eq!(result.expect("a reconcile"), Duration::from_secs(1), "the sooner of the two");
    assert_eq!(context.metrics.window_open.with_label_values(&["d", "w"]).get(), 1);
}

#[tokio::test]
async fn a_controller_that_writes_while_it_observes_is_stopped_before_anything_is_sent() {
    let (result, notes, _) = reconcile(true, StatusCode::OK, window(None)).await;
    assert_eq!(notes, ["observe", "GET configmaps"]);
    let error = result.expect_err("a refusal").to_string();
    assert!(error.contains("POST /api/v1/namespaces/d/configmaps by code that may only read"), "{error}");
}

#[tokio::test]
async fn a_status_that_is_as_decided_is_not_written_again() {
    let conditions =
        conditions::apply(&[], &[ConditionUpdate::good(ConditionType::Open, Reason::Open, "performed")], Some(3), now() - jiff::SignedDuration::from_hours(1));
    let status = MaintenanceWindowStatus { conditions, observed_generation: Some(3), ..MaintenanceWindowStatus::default() };
    let (_, notes, _) = reconcile(false, StatusCode::OK, window(Some(&status))).await;
    assert_eq!(notes, ["observe", "GET configmaps", "perform", "POST configmaps", "follow up"]);
    let older = MaintenanceWindowStatus { observed_generation: Some(2), ..status };
    let (_, notes, _) = reconcile(false, StatusCode::OK, window(Some(&older))).await;
    assert!(notes.contains(&"PATCH status".to_owned()), "it was decided for a newer generation");
}

#[tokio::test]
async fn what_follows_a_status_waits_until_it_could_be_written() {
    let (result, notes, _) = reconcile(false, StatusCode::CONFLICT, window(None)).await;
    assert_eq!(notes.last().map(String::as_str), Some("PATCH status"), "nothing follows");
    assert_eq!(result.expect("a reconcile"), CHANGED_MEANWHILE_INTERVAL);
    let (result, notes, _) = reconcile(false, StatusCode::INTERNAL_SERVER_ERROR, window(None)).await;
    assert!(result.is_err());
    assert_eq!(notes.last().map(String::as_str), Some("PATCH status"), "nothing follows");
}
