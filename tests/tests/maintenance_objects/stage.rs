//! What the scenes share: a server with an operator that leads, people, and what they wait for.

use crate::support::{
    lone::{Lone, lone},
    operator::{Operator, program},
};
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::RoleBinding};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ObjectMeta, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    process::Command,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

/// How long the operator may take to notice something.
pub const NOTICED: Duration = Duration::from_mins(3);
pub const DISTRICT: &str = "shinan";

/// A server with an operator that leads.
pub struct Stage {
    pub shared: Arc<Shared>,
    /// Of this test's own runtime.
    pub client: Client,
}

/// What the tests of this file share.
pub struct Shared {
    pub server: Arc<Lone>,
    pub operator: Operator,
}

/// What changes windows, or needs them as they are, goes one after the other.
pub static WINDOWS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The stage that stands now, or a new one.
pub async fn stage() -> Stage {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let shared = {
        let mut shared = SHARED.lock();
        if let Some(running) = shared.upgrade() {
            running
        } else {
            let server = lone("maintenance_objects");
            let operator = Operator::start(&server);
            let made = Arc::new(Shared { server, operator });
            *shared = Arc::downgrade(&made);
            made
        }
    };
    let client = shared.server.client(None).await;
    namespace(&client, DISTRICT).await;
    roles(&client).await;
    Stage { shared, client }
}

pub async fn namespace(client: &Client, name: &str) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces
        .create(&PostParams::default(), &Namespace { metadata: ObjectMeta { name: Some(name.into()), ..Default::default() }, ..Default::default() })
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        result => drop(result.expect("a namespace")),
    }
}

pub fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", kind), &format!("{}s", kind.to_lowercase()));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

pub fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}))
        .expect("an object")
}

impl Stage {
    pub async fn create(&self, kind: &str, name: &str, spec: Value) -> DynamicObject {
        api(&self.client, kind, DISTRICT).create(&PostParams::default(), &object(kind, DISTRICT, name, spec)).await.expect("created")
    }

    pub async fn delete(&self, kind: &str, name: &str) {
        api(&self.client, kind, DISTRICT).delete(name, &DeleteParams::default()).await.expect("deleted");
    }

    /// Waits until an object is as it shall be, and gives it.
    pub async fn wait(&self, what: &str, kind: &str, name: &str, judge: impl Fn(&Value) -> bool) -> Value {
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
                self.shared.operator.log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What `p861` says: exit code, stdout and stderr.
    pub fn p861(&self, arguments: &[&str]) -> (i32, String) {
        p861(&self.shared.server.kubeconfig(), arguments)
    }

    /// The same, as typed by a person of a role of the district.
    pub fn p861_as(&self, person: Person, arguments: &[&str]) -> (i32, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kubeconfig = std::fs::read_to_string(self.shared.server.kubeconfig()).expect("a kubeconfig");
        let acting = kubeconfig.replace("user: {token: ", &format!("user: {{as: {}, as-groups: [{}, system:authenticated], token: ", person.0, person.1));
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, acting).expect("written");
        p861(&path, arguments)
    }

    /// A client of a person.
    pub async fn of(&self, person: Person) -> Client {
        self.shared.server.client(Some((person.0, &[person.1, "system:authenticated"]))).await
    }
}

/// A person: a username and a group.
pub type Person = (&'static str, &'static str);
pub const ENGINEER: Person = ("duty-engineer-a", "shinan-engineers");
pub const COLLEAGUE: Person = ("duty-engineer-b", "shinan-engineers");
pub const LEADER: Person = ("shift-leader-a", "shinan-leaders");
pub const OTHER_LEADER: Person = ("shift-leader-b", "shinan-leaders");

/// The name that `-o name` printed: its line stands first, before what was said beside it.
pub fn name_in(said: &str) -> String {
    said.lines().next().and_then(|line| line.rsplit('/').next()).expect("a name").to_owned()
}

pub fn p861(kubeconfig: &std::path::Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(program("p861")).args(arguments).args(["-n", DISTRICT, "--timeout", "3m"]).env("KUBECONFIG", kubeconfig).output().expect("p861");
    (output.status.code().unwrap_or(-1), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Binds the district's roles to the groups of its people, as the operator does for a District.
pub async fn roles(client: &Client) {
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), DISTRICT);
    for (role, group) in [("engineer", "shinan-engineers"), ("approver", "shinan-leaders"), ("viewer", "shinan-staff")] {
        let binding = json!({"metadata": {"name": role}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("p861-role-{role}")},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}]});
        match bindings.create(&PostParams::default(), &serde_json::from_value(binding).expect("a binding")).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            result => drop(result.expect("a binding")),
        }
    }
}

pub fn refusal(result: kube::Result<DynamicObject>) -> String {
    match result {
        Err(kube::Error::Api(status)) => status.message,
        other => panic!("not refused: {other:?}"),
    }
}

pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    object["status"]["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

pub fn is(object: &Value, kind: &str, status: &str, reason: &str) -> bool {
    let found = condition(object, kind);
    found["status"] == status && found["reason"] == reason
}
