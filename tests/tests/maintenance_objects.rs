//! The room *maintenance* on a real API server, with the operator as a process beside it: what its objects say, and what they do to each other.

mod support;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ObjectMeta, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::{
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};
use support::{
    lone::{Lone, lone},
    operator::{Operator, program},
};

/// How long the operator may take to notice something.
const NOTICED: Duration = Duration::from_secs(60);
const DISTRICT: &str = "shinan";

/// A server with an operator that leads.
struct Stage {
    server: Arc<Lone>,
    operator: Operator,
    client: Client,
}

/// The stage that stands now, or a new one: the suites of this file share it.
async fn stage() -> Arc<Stage> {
    static SHARED: Mutex<Weak<Stage>> = Mutex::new(Weak::new());
    let stage = {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.upgrade() {
            Some(stage) => stage,
            None => {
                let server = lone();
                let operator = Operator::start(&server);
                let client = futures::executor::block_on(server.client(None));
                let stage = Arc::new(Stage { server, operator, client });
                *shared = Arc::downgrade(&stage);
                stage
            }
        }
    };
    namespace(&stage.server.client(None).await, DISTRICT).await;
    stage
}

async fn namespace(client: &Client, name: &str) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces
        .create(&PostParams::default(), &Namespace { metadata: ObjectMeta { name: Some(name.into()), ..Default::default() }, ..Default::default() })
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        result => drop(result.expect("a namespace")),
    }
}

fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", kind), &format!("{}s", kind.to_lowercase()));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}))
        .expect("an object")
}

impl Stage {
    async fn create(&self, kind: &str, name: &str, spec: Value) -> DynamicObject {
        api(&self.client, kind, DISTRICT).create(&PostParams::default(), &object(kind, DISTRICT, name, spec)).await.expect("created")
    }

    async fn delete(&self, kind: &str, name: &str) {
        api(&self.client, kind, DISTRICT).delete(name, &DeleteParams::default()).await.expect("deleted");
    }

    /// Waits until an object is as it shall be, and gives it.
    async fn wait(&self, what: &str, kind: &str, name: &str, judge: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let seen = api(&self.client, kind, DISTRICT).get(name).await.map(|object| serde_json::to_value(object).expect("a value"));
            let seen = seen.unwrap_or_else(|error| json!({"error": error.to_string()}));
            if judge(&seen) {
                return seen;
            }
            assert!(
                since.elapsed() < NOTICED,
                "{what}: not so after {NOTICED:?}; {kind} {name} last was {seen:#}\nthe operator's log:\n{}",
                self.operator.log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What `p861` says: exit code, stdout and stderr.
    fn p861(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(program("p861")).args(arguments).args(["-n", DISTRICT]).env("KUBECONFIG", self.server.kubeconfig()).output().expect("p861");
        (output.status.code().unwrap_or(-1), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    object["status"]["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn is(object: &Value, kind: &str, status: &str, reason: &str) -> bool {
    let found = condition(object, kind);
    found["status"] == status && found["reason"] == reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_says_when_it_opens_and_a_freeze_of_the_city_closes_it() {
    let stage = stage().await;
    stage.create("MaintenanceWindow", "always", json!({"recurrences": [{"schedule": "* * * * *", "duration": "1h"}]})).await;
    stage.create("MaintenanceWindow", "rare", json!({"recurrences": [{"schedule": "0 22 29 2 *", "duration": "6h"}]})).await;
    stage.create("MaintenanceWindow", "wrong", json!({"recurrences": [{"schedule": "0 25 * * *", "duration": "6h"}]})).await;
    stage.wait("the window is open", "MaintenanceWindow", "always", |seen| is(seen, "Open", "True", "Open")).await;
    let rare = stage.wait("the window is closed", "MaintenanceWindow", "rare", |seen| is(seen, "Open", "False", "BetweenOccurrences")).await;
    assert!(rare["status"]["nextOpenTime"].as_str().is_some_and(|time| time.contains("-02-29T14:00:00")), "{rare}");
    let wrong = stage.wait("the mistake is said", "MaintenanceWindow", "wrong", |seen| is(seen, "Open", "False", "Invalid")).await;
    assert!(condition(&wrong, "Open")["message"].as_str().is_some_and(|said| said.contains("write five fields")), "{wrong}");

    let city = api(&stage.client, "MaintenanceWindow", "p861-system");
    let freeze = json!({"freezes": [{"name": "congress", "startTime": "2020-01-01T00:00:00Z", "endTime": "2099-01-01T00:00:00Z"}]});
    city.create(&PostParams::default(), &object("MaintenanceWindow", "p861-system", "city", freeze)).await.expect("created");
    stage.wait("the city's freeze holds", "MaintenanceWindow", "always", |seen| is(seen, "Open", "False", "Frozen")).await;
    let (code, said) = stage.p861(&["window", "list", "-o", "wide", "--lang", "en"]);
    assert!(code == 0 && said.lines().any(|line| line.starts_with("always") && line.contains("freeze congress is in force")), "{said}");
    let (code, said) = stage.p861(&["window", "show", "rare", "--lang", "zh"]);
    assert!(code == 0 && said.contains("维护窗口 rare") && said.contains("0 22 29 2 *, 6h"), "{said}");
    city.delete("city", &DeleteParams::default()).await.expect("deleted");
    stage.wait("the freeze is over", "MaintenanceWindow", "always", |seen| is(seen, "Open", "True", "Open")).await;
    for name in ["always", "rare", "wrong"] {
        stage.delete("MaintenanceWindow", name).await;
    }
}
