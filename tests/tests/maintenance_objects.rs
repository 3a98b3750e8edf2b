//! The room *maintenance* on a real API server, with the operator as a process beside it: what its objects say, and what they do to each other.

mod support;

use k8s_openapi::api::{core::v1::Namespace, rbac::v1::RoleBinding};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
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
const NOTICED: Duration = Duration::from_secs(180);
const DISTRICT: &str = "shinan";

/// A server with an operator that leads.
struct Stage {
    shared: Arc<Shared>,
    /// Of this test's own runtime.
    client: Client,
}

/// What the tests of this file share.
struct Shared {
    server: Arc<Lone>,
    operator: Operator,
}

/// What changes windows, or needs them as they are, goes one after the other.
static WINDOWS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The stage that stands now, or a new one.
async fn stage() -> Stage {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let shared = {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            running
        } else {
            let server = lone();
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
                self.shared.operator.log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What `p861` says: exit code, stdout and stderr.
    fn p861(&self, arguments: &[&str]) -> (i32, String) {
        p861(&self.shared.server.kubeconfig(), arguments)
    }

    /// The same, as typed by a person of a role of the district.
    fn p861_as(&self, person: Person, arguments: &[&str]) -> (i32, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kubeconfig = std::fs::read_to_string(self.shared.server.kubeconfig()).expect("a kubeconfig");
        let acting = kubeconfig.replace("user: {token: ", &format!("user: {{as: {}, as-groups: [{}, system:authenticated], token: ", person.0, person.1));
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, acting).expect("written");
        p861(&path, arguments)
    }

    /// A client of a person.
    async fn of(&self, person: Person) -> Client {
        self.shared.server.client(Some((person.0, &[person.1, "system:authenticated"]))).await
    }
}

/// A person: a username and a group.
type Person = (&'static str, &'static str);
const ENGINEER: Person = ("duty-engineer-a", "shinan-engineers");
const COLLEAGUE: Person = ("duty-engineer-b", "shinan-engineers");
const LEADER: Person = ("shift-leader-a", "shinan-leaders");
const OTHER_LEADER: Person = ("shift-leader-b", "shinan-leaders");

/// The name that `-o name` printed: its line stands first, before what was said beside it.
fn name_in(said: &str) -> String {
    said.lines().next().and_then(|line| line.rsplit('/').next()).expect("a name").to_owned()
}

fn p861(kubeconfig: &std::path::Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(program("p861")).args(arguments).args(["-n", DISTRICT, "--timeout", "3m"]).env("KUBECONFIG", kubeconfig).output().expect("p861");
    (output.status.code().unwrap_or(-1), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Binds the district's roles to the groups of its people, as the operator does for a District.
async fn roles(client: &Client) {
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

fn refusal(result: kube::Result<DynamicObject>) -> String {
    match result {
        Err(kube::Error::Api(status)) => status.message,
        other => panic!("not refused: {other:?}"),
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
    let _alone = WINDOWS.lock().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_opened_taken_noted_and_closed_from_the_command_line() {
    let stage = stage().await;
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "open", "门户打不开", "--impact", "high", "--urgency", "high", "--app", "portal", "-o", "name"]);
    assert_eq!(code, 0, "{said}");
    let name = name_in(&said);
    let open = stage.wait("it is open", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Open").await;
    assert_eq!((&open["status"]["priority"], &open["spec"]["requestedBy"]), (&json!("P1"), &json!("duty-engineer-a")));
    let clocks: Vec<&str> = open["status"]["clocks"].as_array().into_iter().flatten().filter_map(|clock| clock["name"].as_str()).collect();
    assert_eq!(clocks, ["Acknowledge", "Resolve", "Report"]);

    let (code, said) = stage.p861_as(COLLEAGUE, &["ticket", "ack", &name, "--lang", "en"]);
    assert!(code == 0 && said.contains("it is Acknowledged"), "{said}");
    let (code, said) = stage.p861_as(COLLEAGUE, &["ticket", "ack", &name]);
    assert_eq!(code, 0, "a second time is no harm: {said}");
    let (code, said) = stage.p861_as(COLLEAGUE, &["ticket", "note", &name, "reported to the city", "--reported"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = stage.p861_as(COLLEAGUE, &["ticket", "done", &name, "--lang", "en"]);
    assert!(code == 3 && said.contains("work has not begun: Start it first"), "{said}");
    let (code, said) = stage.p861_as(COLLEAGUE, &["ticket", "cancel", &name, "--lang", "en"]);
    assert!(code == 2 && said.contains("needs --reason"), "{said}");
    let (_, said) = stage.p861(&["ticket", "list", "--lang", "zh"]);
    let row = said.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("not listed: {said}"));
    assert!(["事件", "P1", "已响应", "duty-engineer-b", "解决", "门户打不开"].iter().all(|word| row.contains(word)), "{row}");

    let (code, said) = stage.p861_as(COLLEAGUE, &["ticket", "resolve", &name]);
    assert_eq!(code, 0, "{said}");
    let closed = stage.wait("it is closed", "MaintenanceTicket", &name, |seen| is(seen, "Succeeded", "True", "Done")).await;
    assert!(closed["status"]["clocks"].as_array().into_iter().flatten().all(|clock| clock["state"] == "Met"), "{closed:#}");
    let (_, said) = stage.p861(&["ticket", "list"]);
    assert!(!said.contains(&name), "what has ended is not listed: {said}");
    let (_, said) = stage.p861(&["ticket", "show", &name, "--lang", "en"]);
    assert!(said.contains("noted · duty-engineer-b reported to the city") && said.contains("✗ done · duty-engineer-b"), "{said}");
    stage.delete("MaintenanceTicket", &name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_in_anothers_name_or_as_alertmanager() {
    let stage = stage().await;
    let engineer = api(&stage.of(ENGINEER).await, "MaintenanceTicket", DISTRICT);
    let spec = |more: Value| {
        let mut spec = json!({"type": "Incident", "title": {"en": "x"}, "impact": "Low", "urgency": "Low", "incident": {}});
        spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        object("MaintenanceTicket", DISTRICT, "cheat", spec)
    };
    let source = json!({"incident": {"source": {"alertmanager": {"siteRef": {"name": "x"}, "groupKey": "{}"}}}});
    for (what, cheat, words) in [
        ("opened by another", json!({"requestedBy": "duty-engineer-b"}), "write requestedBy: duty-engineer-a"),
        ("acknowledged by another", json!({"actions": [{"action": "Acknowledge", "by": "duty-engineer-b"}]}), "write by: duty-engineer-a"),
        (
            "acknowledged on behalf of another",
            json!({"actions": [{"action": "Acknowledge", "onBehalfOf": "duty-engineer-b"}]}),
            "onBehalfOf is for the operator",
        ),
        ("as Alertmanager", source, "opened by the operator"),
    ] {
        let said = refusal(engineer.create(&PostParams::default(), &spec(cheat)).await);
        assert!(said.contains(words), "{what}: {said}");
    }
    let made = engineer.create(&PostParams::default(), &spec(json!({}))).await.expect("an honest one");
    let said = refusal(engineer.delete("cheat", &DeleteParams::default()).await.map(|_| made));
    assert!(said.contains("cannot delete"), "a ticket is a record: {said}");
    let patch = json!({"status": {"phase": "Closed"}});
    let said = refusal(engineer.patch_status("cheat", &PatchParams::default(), &Patch::Merge(patch)).await);
    assert!(said.contains("maintenancetickets/status"), "{said}");
    stage.delete("MaintenanceTicket", "cheat").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_needs_anothers_approval_of_what_was_shown_and_an_open_window() {
    let stage = stage().await;
    let _alone = WINDOWS.lock().await;
    let (code, said) =
        stage.p861_as(ENGINEER, &["ticket", "open", "Replace the disk", "--change", "normal", "--plan", "one by one", "--window", "later", "-o", "name"]);
    assert_eq!(code, 0, "{said}");
    let name = name_in(&said);
    let planned = stage.wait("it is planned", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Planned").await;
    assert!(is(&planned, "Approved", "False", "ApprovalsMissing") && is(&planned, "Blocked", "True", "OutsideWindow"), "{planned:#}");
    let (uid, digest) = (planned["metadata"]["uid"].clone(), planned["status"]["planDigest"].clone());
    let approval = |more: Value| {
        let mut spec =
            json!({"subjectRef": {"kind": "MaintenanceTicket", "name": name, "uid": uid}, "purpose": "Start", "digest": digest, "decision": "Approved"});
        spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        spec
    };
    let create = async |person: Person, label: &str, spec: Value| {
        api(&stage.of(person).await, "Approval", DISTRICT).create(&PostParams::default(), &object("Approval", DISTRICT, label, spec)).await
    };

    // Admission: only who may approve, only in one's own name.
    let said = refusal(create(ENGINEER, "own", approval(json!({}))).await);
    assert!(said.contains("approvals"), "an engineer makes no approvals: {said}");
    let said = refusal(create(LEADER, "forged", approval(json!({"approver": "shift-leader-b"}))).await);
    assert!(said.contains("write approver: shift-leader-a"), "{said}");
    let granted = json!({"metadata": {"name": "makes-approvals"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "makes-approvals"}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "shinan-engineers"}]});
    let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(stage.client.clone());
    let role = json!({"metadata": {"name": "makes-approvals"}, "rules": [{"apiGroups": ["platform861.io"], "resources": ["approvals"], "verbs": ["create"]}]});
    roles.create(&PostParams::default(), &serde_json::from_value(role).expect("a role")).await.expect("a role");
    let bindings: Api<RoleBinding> = Api::namespaced(stage.client.clone(), DISTRICT);
    bindings.create(&PostParams::default(), &serde_json::from_value(granted).expect("a binding")).await.expect("a binding");
    let since = Instant::now();
    let said = loop {
        let said = refusal(create(COLLEAGUE, "without-verb", approval(json!({}))).await);
        // RBAC takes a moment to know of the binding.
        if said.contains("may not approve maintenancetickets") || since.elapsed() > NOTICED {
            break said;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(said.contains("duty-engineer-b may not approve maintenancetickets"), "making an Approval is not the right to approve: {said}");

    // The operator: not the requester's, not another plan, not another object of the same name.
    stage.create("Approval", "of-administrator", approval(json!({"digest": format!("sha256:{}", "0".repeat(64))}))).await;
    stage.wait("another plan doesn't count", "Approval", "of-administrator", |seen| is(seen, "Counted", "False", "DigestDiffers")).await;
    create(
        OTHER_LEADER,
        "of-older",
        approval(json!({"subjectRef": {"kind": "MaintenanceTicket", "name": name, "uid": "00000000-0000-0000-0000-000000000000"}})),
    )
    .await
    .expect("created");
    stage.wait("another object doesn't count", "Approval", "of-older", |seen| is(seen, "Counted", "False", "SubjectGone")).await;
    let requester: Person = ("duty-engineer-a", "system:masters");
    create(requester, "of-requester", approval(json!({}))).await.expect("even who may do everything");
    stage.wait("the requester doesn't count", "Approval", "of-requester", |seen| is(seen, "Counted", "False", "RequesterCannotApprove")).await;
    let still = stage.wait("nothing counted", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Planned").await;
    assert_eq!(still["status"]["approvals"]["given"], 0);

    let (code, said) = stage.p861_as(LEADER, &["ticket", "approve", &name, "--digest", "ffff", "--lang", "en"]);
    assert!(code == 3 && said.contains("nothing was done"), "{said}");
    let (code, said) = stage.p861_as(LEADER, &["ticket", "approve", &name, "--reason", "discussed", "--lang", "en"]);
    assert!(code == 0 && said.contains("one by one") && said.contains("your approval is counted, 1 of 1"), "{said}");
    stage.wait("it is approved", "MaintenanceTicket", &name, |seen| is(seen, "Approved", "True", "EnoughApprovals")).await;
    let approvals =
        api(&stage.client, "Approval", DISTRICT).list(&kube::api::ListParams::default().fields(&format!("spec.subjectRef.name={name}"))).await.expect("a list");
    let leaders = approvals.items.iter().find(|found| found.data["spec"]["approver"] == "shift-leader-a").expect("the leader's").clone();
    let leaders = leaders.metadata.name.expect("a name");
    let said =
        refusal(api(&stage.of(OTHER_LEADER).await, "Approval", DISTRICT).delete(&leaders, &DeleteParams::default()).await.map(|_| planned_object(&planned)));
    assert!(said.contains("ask shift-leader-a"), "nobody takes back another's word: {said}");

    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "start", &name, "--lang", "en"]);
    assert!(code == 3 && said.contains("OutsideWindow: no window is for Normal changes"), "{said}");
    stage.create("MaintenanceWindow", "later", json!({"recurrences": [{"schedule": "* * * * *", "duration": "1h"}]})).await;
    stage.wait("it is scheduled", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Scheduled" && is(seen, "Blocked", "False", "Clear")).await;

    // A plan that was changed after the approval needs another.
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "plan", &name, "both at once"]);
    assert_eq!(code, 0, "{said}");
    stage
        .wait("the approval is void", "MaintenanceTicket", &name, |seen| {
            seen["status"]["phase"] == "Planned" && is(seen, "Approved", "False", "ApprovalsMissing")
        })
        .await;
    stage.wait("and says why", "Approval", &leaders, |seen| is(seen, "Counted", "False", "DigestDiffers")).await;
    let (code, said) = stage.p861_as(LEADER, &["ticket", "approve", &name]);
    assert_eq!(code, 0, "{said}");
    stage.wait("it is scheduled again", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Scheduled").await;
    for (verb, phase) in [("start", "InProgress"), ("done", "Verifying"), ("resolve", "Closed")] {
        let (code, said) = stage.p861_as(ENGINEER, &["ticket", verb, &name, "--lang", "en"]);
        assert!(code == 0 && said.contains(phase), "{verb}: {said}");
    }
    stage.delete("MaintenanceWindow", "later").await;
}

fn planned_object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).expect("an object")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_duty_is_said_and_the_duty_is_handed_over_with_both_hands() {
    let stage = stage().await;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Asia/Shanghai").expect("a zone"));
    let yesterday = today.date().yesterday().expect("a day").to_string();
    let spec = json!({
        "people": [{"name": "a", "username": "duty-engineer-a"}, {"name": "b", "username": "duty-engineer-b"}, {"name": "chief"}],
        "levels": [
            {"name": "duty", "escalateAfter": "10m", "rotations": [{"name": "daily", "startDate": yesterday, "people": ["a", "b"]}]},
            {"name": "leader", "rotations": [{"name": "always", "people": ["chief"]}]},
        ],
    });
    stage.create("DutyRoster", "roster", spec).await;
    let roster = stage.wait("the roster is covered", "DutyRoster", "roster", |seen| is(seen, "Ready", "True", "Covered")).await;
    // Yesterday's was a, so today's is b; if midnight has passed meanwhile, a again.
    let on_duty = roster["status"]["current"][0]["person"].as_str().expect("a person").to_owned();
    let (comes, leaves) = if on_duty == "b" { (COLLEAGUE, ENGINEER) } else { (ENGINEER, COLLEAGUE) };
    let (code, said) = stage.p861(&["duty", "now", "--lang", "zh"]);
    assert!(code == 0 && said.contains("未响应 10m 后呼叫") && said.lines().any(|line| line.starts_with("duty") && line.contains(&on_duty)), "{said}");
    let (code, said) = stage.p861_as(leaves, &["duty", "handover", "--note", "portal overdue", "--lang", "en"]);
    assert!(code == 0 && said.contains("both of you are called"), "{said}");
    let given = stage.wait("both are called", "DutyRoster", "roster", |seen| seen["status"]["current"][0]["also"].is_string()).await;
    assert_ne!(given["status"]["current"][0]["also"], json!(on_duty));
    let (code, said) = stage.p861_as(comes, &["duty", "take", "--lang", "en"]);
    assert!(code == 0 && said.contains("Note: portal overdue"), "{said}");
    let taken = stage.wait("one is called", "DutyRoster", "roster", |seen| seen["status"]["current"][0]["also"].is_null()).await;
    assert_eq!(taken["status"]["lastHandOver"]["to"], json!(on_duty));
    let said = refusal(
        api(&stage.of(LEADER).await, "DutyRoster", DISTRICT).patch("roster", &PatchParams::default(), &Patch::Merge(json!({"spec": {"overrides": []}}))).await,
    );
    assert!(said.contains("cannot patch"), "{said}");

    // A gap, and a name that stands nowhere.
    let patch = json!({"spec": {"levels": [{"name": "duty", "rotations": [{"name": "daily", "start": "00:00", "end": "00:01", "startDate": yesterday, "people": ["a"]}]}]}});
    api(&stage.client, "DutyRoster", DISTRICT).patch("roster", &PatchParams::default(), &Patch::Merge(patch)).await.expect("patched");
    stage.wait("the gap is reported", "DutyRoster", "roster", |seen| is(seen, "Ready", "False", "Uncovered")).await;
    let patch =
        json!({"spec": {"overrides": [{"startTime": "2026-12-05T20:00:00Z", "endTime": "2026-12-06T08:00:00Z", "person": "a", "substitute": "somebody"}]}});
    api(&stage.client, "DutyRoster", DISTRICT).patch("roster", &PatchParams::default(), &Patch::Merge(patch)).await.expect("patched");
    stage.wait("the stranger is named", "DutyRoster", "roster", |seen| is(seen, "Ready", "False", "Invalid")).await;
    stage.delete("DutyRoster", "roster").await;
}

/// Posts to the operator as Alertmanager does: the status code.
async fn post(address: &str, path: &str, token: Option<&str>, body: &[u8]) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{authorization}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the operator listens");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // A server that refuses a large body may answer and close before it has read it.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    text.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {text}"))
}

fn firing(district: &str, name: &str, number: u64, resolved: bool) -> Vec<u8> {
    let end = if resolved { "2026-11-24T01:00:00Z" } else { "0001-01-01T00:00:00Z" };
    let alert = json!({"status": if resolved { "resolved" } else { "firing" }, "labels": {"alertname": name, "district": district, "severity": "critical"}, "annotations": {"summary": name},
        "startsAt": "2026-11-24T00:00:00Z", "endsAt": end, "fingerprint": format!("{number:016x}")});
    json!({"version": "4", "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"), "alerts": [alert]}).to_string().into_bytes()
}

impl Stage {
    /// A cluster-scoped object, applied.
    async fn apply(&self, kind: &str, name: &str, spec: Value) {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", kind), &format!("{}s", kind.to_lowercase()));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(document)).await.expect("applied");
    }

    /// The district and the site that alerts come from.
    async fn district(&self) {
        self.apply(
            "Site",
            "laoshan-dr",
            json!({"failureDomain": "laoshan", "access": {"inCluster": {}}, "monitoring": {"alertmanager": {"url": "http://127.0.0.1:9093"}}}),
        )
        .await;
        self.apply(
            "District",
            DISTRICT,
            json!({"code": "370202", "names": {"zh": "市南区"}, "sites": [{"siteRef": {"name": "laoshan-dr"}, "role": "Primary"}]}),
        )
        .await;
    }

    /// The operator's token, which it makes when the first post comes.
    async fn token(&self) -> String {
        let address = &self.shared.operator.address;
        let _ = post(address, "/alertmanager/laoshan-dr", None, b"{}").await;
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(self.client.clone(), "p861-system");
        let secret = secrets.get("p861-alerts").await.expect("the operator makes it");
        String::from_utf8(secret.data.expect("data")["token"].0.clone()).expect("text")
    }

    /// How many posts the operator has counted with that result.
    async fn counted(&self, result: &str) -> f64 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(&self.shared.operator.address).await.expect("the operator listens");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("metrics");
        let line = text.lines().find(|line| line.starts_with(&format!("p861_alert_posts_total{{result=\"{result}\"}}")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// The incidents of an alert.
    async fn incidents(&self, alert: &str) -> Vec<DynamicObject> {
        let all = api(&self.client, "MaintenanceTicket", DISTRICT).list(&kube::api::ListParams::default()).await.expect("a list").items;
        all.into_iter().filter(|ticket| ticket.data["spec"]["incident"]["runbook"] == alert).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_of_strangers_are_refused_and_counted_and_leave_nothing() {
    let stage = stage().await;
    stage.district().await;
    let token = stage.token().await;
    let address = stage.shared.operator.address.clone();
    let good = firing(DISTRICT, "Hostile", 1, false);
    let path = "/alertmanager/laoshan-dr";
    for (what, path, token, body, code, result) in [
        ("no token", path, None, good.clone(), 401, "unauthorized"),
        ("a wrong token", path, Some("0123456789abcdef0123456789abcdef"), good.clone(), 401, "unauthorized"),
        ("no JSON", path, Some(token.as_str()), b"\x00\xff{{{{".to_vec(), 400, "malformed"),
        ("deep JSON", path, Some(token.as_str()), "[".repeat(100_000).into_bytes(), 400, "malformed"),
        ("huge", path, Some(token.as_str()), vec![b'x'; 5 << 20], 413, "tooLarge"),
        ("an unknown district", path, Some(token.as_str()), firing("atlantis", "Hostile", 2, false), 422, "unknownDistrict"),
        ("an unknown site", "/alertmanager/atlantis", Some(token.as_str()), good.clone(), 404, "unknownSite"),
    ] {
        let before = stage.counted(result).await;
        assert_eq!(post(&address, path, token, &body).await, code, "{what}");
        assert!(stage.counted(result).await > before, "{what} is counted as {result}");
    }
    assert_eq!(stage.incidents("Hostile").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_comes_again_and_from_many_sides_at_once_opens_one_ticket_that_ends_with_its_alerts() {
    let stage = stage().await;
    stage.district().await;
    let token = stage.token().await;
    let address = stage.shared.operator.address.clone();
    let body = firing(DISTRICT, "Repeated", 77, false);
    let posts = (0..8).map(|_| post(&address, "/alertmanager/laoshan-dr", Some(&token), &body));
    let codes = futures::future::join_all(posts).await;
    assert!(codes.iter().all(|code| *code == 200), "{codes:?}");
    let incidents = stage.incidents("Repeated").await;
    assert_eq!(incidents.len(), 1);
    let name = incidents[0].metadata.name.clone().expect("a name");
    let open = stage
        .wait("it is open", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Open" && seen["status"]["alerts"][0]["state"] == "Firing")
        .await;
    assert_eq!((&open["status"]["priority"], &open["spec"]["requestedBy"]), (&json!("P1"), &json!(support::operator::ACCOUNT)));
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "ack", &name]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "resolve", &name, "--lang", "en"]);
    assert!(code == 3 && said.contains("1 of its alerts fire"), "{said}");
    assert_eq!(post(&address, "/alertmanager/laoshan-dr", Some(&token), &firing(DISTRICT, "Repeated", 77, true)).await, 200);
    let closed = stage.wait("it is closed", "MaintenanceTicket", &name, |seen| is(seen, "Succeeded", "True", "Done")).await;
    assert_eq!(closed["status"]["assignee"], "duty-engineer-a", "what people did stands beside what alerts did");
    assert_eq!(post(&address, "/alertmanager/laoshan-dr", Some(&token), &body).await, 200);
    assert_eq!(stage.incidents("Repeated").await.len(), 1, "a late post opens nothing again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_alertmanager_opens_and_closes_a_ticket_and_its_heart_is_heard_also_through_a_restart_of_the_operator() {
    // A server of its own: the operator is killed here.
    let server = Arc::new(Lone::start_with_charts());
    let client = server.client(None).await;
    namespace(&client, DISTRICT).await;
    let stage = Stage { shared: Arc::new(Shared { operator: Operator::start(&server), server }), client };
    stage.district().await;
    let token = stage.token().await;
    let roster = json!({"people": [{"name": "a"}], "levels": [{"name": "duty", "rotations": [{"name": "always", "people": ["a"]}]}], "heartbeat": {"alertName": "Watchdog", "maxSilence": "30s"}});
    stage.create("DutyRoster", "roster", roster).await;
    let alertmanager = Alertmanager::start(&stage.shared.operator.address, &token);
    alertmanager.fire(&[("Watchdog", "none"), ("RealTrouble", "critical")], false).await;
    stage.wait("the heart is heard", "DutyRoster", "roster", |seen| is(seen, "AlertsArrive", "True", "HeartbeatSeen")).await;
    let found = stage.wait_incident("RealTrouble").await;
    stage.wait("it is open", "MaintenanceTicket", &found, |seen| seen["status"]["phase"] == "Open").await;
    assert_eq!(stage.incidents("Watchdog").await.len(), 0, "a heartbeat is no incident");

    // The operator dies; meanwhile the trouble ends. Alertmanager's own retries bring the news to the one that comes after.
    let Stage { shared, client } = stage;
    let Shared { server, operator } = Arc::try_unwrap(shared).unwrap_or_else(|_| panic!("nobody else has it"));
    let address = operator.address.clone();
    operator.kill();
    alertmanager.fire(&[("RealTrouble", "critical")], true).await;
    let stage = Stage { shared: Arc::new(Shared { operator: Operator::start_at(&server, &address), server }), client };
    stage.wait("it is closed", "MaintenanceTicket", &found, |seen| is(seen, "Succeeded", "True", "Done")).await;
    assert_eq!(stage.incidents("RealTrouble").await.len(), 1);

    // Alertmanager dies: silence is noticed.
    drop(alertmanager);
    stage.wait("the silence is noticed", "DutyRoster", "roster", |seen| is(seen, "AlertsArrive", "False", "HeartbeatMissing")).await;
}

impl Stage {
    async fn wait_incident(&self, alert: &str) -> String {
        let since = Instant::now();
        loop {
            if let Some(ticket) = self.incidents(alert).await.first() {
                return ticket.metadata.name.clone().expect("a name");
            }
            assert!(since.elapsed() < NOTICED, "no ticket of {alert} after {NOTICED:?}\nthe operator's log:\n{}", self.shared.operator.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A real Alertmanager whose only receiver is the operator. It ends when it is let go.
struct Alertmanager {
    child: std::process::Child,
    address: std::net::SocketAddr,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    fn start(operator: &str, token: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let receiver = json!({"url": format!("http://{operator}/alertmanager/laoshan-dr"), "send_resolved": true, "max_alerts": 500, "http_config": {"authorization": {"credentials": token}}});
        // As a computer centre would have it, but quicker.
        let config = json!({
            "route": {"receiver": "p861", "group_by": ["alertname", "site", "district"], "group_wait": "1s", "group_interval": "1s", "repeat_interval": "4h",
                "routes": [{"receiver": "p861", "matchers": ["alertname=\"Watchdog\""], "repeat_interval": "2s"}]},
            "receivers": [{"name": "p861", "webhook_configs": [receiver]}],
        });
        let path = folder.path().join("alertmanager.yml");
        std::fs::write(&path, config.to_string()).expect("written");
        let log = std::fs::File::create(folder.path().join("alertmanager.log")).expect("a log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&support::programs().alertmanager)
            .args([format!("--config.file={}", path.display()), format!("--storage.path={}", folder.path().join("data").display())])
            .args([format!("--web.listen-address={address}"), "--cluster.listen-address=".to_owned()])
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("setpriv");
        Self { child, address, _folder: folder }
    }

    /// Says that alerts fire, or have ended, as Prometheus would.
    async fn fire(&self, alerts: &[(&str, &str)], ended: bool) {
        let now = jiff::Timestamp::now();
        let end = if ended { now } else { now + jiff::SignedDuration::from_hours(1) };
        let alerts: Vec<Value> = alerts.iter().map(|(name, severity)| json!({"labels": {"alertname": name, "severity": severity, "district": DISTRICT}, "annotations": {"summary": name}, "startsAt": "2026-11-24T00:00:00Z", "endsAt": end.to_string()})).collect();
        let body = json!(alerts).to_string();
        let since = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            assert!(since.elapsed() < NOTICED, "Alertmanager does not listen");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        loop {
            let code = post(&self.address.to_string(), "/api/v2/alerts", None, body.as_bytes()).await;
            if code == 200 {
                return;
            }
            assert!(since.elapsed() < NOTICED, "Alertmanager answers {code}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A receiver of webhooks that remembers what it got.
async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let got: Arc<Mutex<Vec<Value>>> = Arc::default();
    let keep = got.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let keep = keep.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let mut part = [0u8; 4096];
                loop {
                    let read = stream.read(&mut part).await.unwrap_or(0);
                    bytes.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&bytes);
                    let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
                    if let Some(body) = body {
                        keep.lock().unwrap_or_else(PoisonError::into_inner).push(body);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
                        return;
                    }
                    if read == 0 {
                        return;
                    }
                }
            });
        }
    });
    (address, got)
}

/// Python's mail server, which prints what it gets into a file. It ends when it is let go.
struct MailServer {
    child: std::process::Child,
    folder: tempfile::TempDir,
}

impl MailServer {
    fn start(port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = std::fs::File::create(folder.path().join("mails")).expect("a log");
        let mut command = Command::new("setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "--",
            "python3",
            "-u",
            "-W",
            "ignore",
            "-m",
            "smtpd",
            "-n",
            "-c",
            "DebuggingServer",
            &format!("127.0.0.1:{port}"),
        ]);
        let child = command.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("setpriv");
        Self { child, folder }
    }

    fn mails(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn browse(address: &str, method: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the operator listens");
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    (text.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a code"), text)
}

fn notification<'a>(seen: &'a Value, person: &str, channel: &str) -> &'a Value {
    seen["status"]["notifications"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|known| known["person"] == person && known["channel"] == channel)
        .unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_duty_is_told_once_by_each_channel_and_acknowledges_once_by_a_link() {
    // A server of its own: another roster would be called too.
    let server = Arc::new(Lone::start_with_charts());
    let client = server.client(None).await;
    namespace(&client, DISTRICT).await;
    let stage = Stage { shared: Arc::new(Shared { operator: Operator::start(&server), server }), client };
    let (hook, got) = receiver().await;
    let mail_port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(stage.client.clone(), DISTRICT);
    for (name, data) in [
        ("duty-webhook", json!({"url": format!("http://{hook}/call?key=hidden")})),
        ("duty-addresses", json!({"a.mail": "a@qingdao.example", "chief.mail": "chief@qingdao.example", "a.phone": "861"})),
    ] {
        secrets
            .create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": name}, "stringData": data})).expect("a secret"))
            .await
            .expect("created");
    }
    let roster = json!({
        "people": [{"name": "a"}, {"name": "chief"}],
        "levels": [
            {"name": "duty", "escalateAfter": "20s", "rotations": [{"name": "always", "people": ["a"]}]},
            {"name": "leader", "rotations": [{"name": "always", "people": ["chief"]}]},
        ],
        "addressesSecretRef": {"name": "duty-addresses"},
        "channels": [{"name": "message", "webhook": {"urlSecretRef": {"name": "duty-webhook"}}}, {"name": "mail", "smtp": {"server": format!("127.0.0.1:{mail_port}"), "from": "p861@qingdao.example", "security": "None"}}],
    });
    stage.create("DutyRoster", "roster", roster).await;
    stage.wait("the roster is covered", "DutyRoster", "roster", |seen| is(seen, "Ready", "True", "Covered")).await;
    let (code, said) = stage.p861(&["ticket", "open", "门户打不开", "--impact", "high", "--urgency", "high", "-o", "name"]);
    assert_eq!(code, 0, "{said}");
    let name = name_in(&said);

    // The webhook takes it at once; the mail server is away, so the mail is kept and tried again.
    let told = stage
        .wait("a is told by the webhook, the mail is kept", "MaintenanceTicket", &name, |seen| {
            let mail = notification(seen, "a", "mail");
            notification(seen, "a", "message")["state"] == "Delivered" && mail["state"] == "Pending" && mail["attempts"].as_i64() >= Some(1)
        })
        .await;
    let why = notification(&told, "a", "mail")["message"].as_str().expect("why not").to_owned();
    assert!(why.contains("mail server") && !told.to_string().contains("key=hidden"), "{why}");
    stage
        .wait("nobody acknowledges, so the leader is told", "MaintenanceTicket", &name, |seen| notification(seen, "chief", "message")["state"] == "Delivered")
        .await;
    let mails = MailServer::start(mail_port);
    stage
        .wait("the mails are delivered when the server is back", "MaintenanceTicket", &name, |seen| {
            notification(seen, "a", "mail")["state"] == "Delivered" && notification(seen, "chief", "mail")["state"] == "Delivered"
        })
        .await;
    let text = mails.mails();
    assert!(text.contains("a@qingdao.example") && text.contains("chief@qingdao.example") && text.matches("Message-ID").count() == 2, "{text}");

    // Once each, with a link of one's own.
    let of = |person: &str| got.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|body| body["person"] == person).cloned().collect::<Vec<_>>();
    let (to_a, to_chief) = (of("a"), of("chief"));
    assert_eq!((to_a.len(), to_chief.len(), &to_a[0]["phone"]), (1, 1, &json!("861")), "{to_a:?} {to_chief:?}");
    let link = |body: &Value| {
        let text = body["text"].as_str().expect("a text").to_owned();
        text.lines().find_map(|line| Some(line[line.find("/ack/")?..].to_owned())).unwrap_or_else(|| panic!("no link: {text}"))
    };
    let (ours, chiefs, address) = (link(&to_a[0]), link(&to_chief[0]), stage.shared.operator.address.clone());
    let (code, page) = browse(&address, "GET", &ours).await;
    assert!(code == 200 && page.contains("<form") && page.contains("门户打不开"), "{page}");
    stage.wait("looking is not acknowledging", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Open").await;
    let forged = ours.replace("/a/", "/chief/");
    assert_eq!(browse(&address, "POST", &forged).await.0, 403, "a's link in the chief's name");
    let guessed = format!("{}{}", &ours[..ours.len() - 1], if ours.ends_with('0') { '1' } else { '0' });
    assert_eq!(browse(&address, "POST", &guessed).await.0, 403, "a seal that is guessed");
    let (code, page) = browse(&address, "POST", &ours).await;
    assert!(code == 200 && page.contains("已响应"), "{page}");
    let taken = stage.wait("it is acknowledged", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Acknowledged").await;
    assert_eq!(
        (&taken["status"]["assignee"], &taken["spec"]["actions"][0]["onBehalfOf"], &taken["spec"]["actions"][0]["by"]),
        (&json!("a"), &json!("a"), &json!(support::operator::ACCOUNT))
    );
    for late in [&ours, &chiefs] {
        let (code, page) = browse(&address, "POST", late).await;
        assert!(code == 200 && !page.contains("<form") && page.contains("taken by a"), "{page}");
    }
    let after = stage.wait("one acknowledgement", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Acknowledged").await;
    assert_eq!(after["spec"]["actions"].as_array().map(Vec::len), Some(1), "a link acknowledges once");

    // The daily test message: midnight has passed.
    api(&stage.client, "DutyRoster", DISTRICT)
        .patch("roster", &PatchParams::default(), &Patch::Merge(json!({"spec": {"testMessageAt": "00:00"}})))
        .await
        .expect("patched");
    let tested = stage.wait("everybody is reached", "DutyRoster", "roster", |seen| is(seen, "PeopleReachable", "True", "Delivered")).await;
    assert_eq!((&tested["status"]["lastTest"]["delivered"], &tested["status"]["lastTest"]["total"]), (&json!(4), &json!(4)));
    assert_eq!(of("a").len(), 2, "the ticket's and the test");
}
