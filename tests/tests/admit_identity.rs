//! Who asked: the API server writes the name that it knows the caller by into a run and into each action, and refuses any other. Tried with people who are
//! known by their own tokens and have the roles that a District gives them.

use crate::support::lone::{Lone, lone};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::sync::Arc;

const DISTRICT: &str = "shinan";

/// A kind that runs, the least that a spec of it says, and who may make one, beside the commander.
struct Run {
    kind: &'static str,
    spec: fn() -> Value,
    makers: &'static [&'static str],
}

const RUNS: [Run; 3] = [
    Run { kind: "Backup", spec: || json!({"applicationRef": {"name": "tax"}}), makers: &["engineer-li", "commander-zhao"] },
    Run { kind: "Restore", spec: || json!({"source": {"backupRef": {"name": "tax-20261124-0800"}}}), makers: &["engineer-li", "commander-zhao"] },
    Run { kind: "Drill", spec: || json!({"planRef": {"name": "core"}, "type": "Isolated"}), makers: &["commander-zhao"] },
];

impl Run {
    fn api(&self, client: Client) -> Api<DynamicObject> {
        let plural = format!("{}s", self.kind.to_lowercase());
        Api::namespaced_with(client, DISTRICT, &ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", self.kind), &plural))
    }

    fn object(&self, name: &str, more: &Value) -> DynamicObject {
        let mut document =
            json!({"apiVersion": "platform861.io/v1alpha1", "kind": self.kind, "metadata": {"name": name, "namespace": DISTRICT}, "spec": (self.spec)()});
        for (key, value) in more.as_object().expect("fields") {
            document["spec"][key] = value.clone();
        }
        serde_json::from_value(document).expect("a run")
    }
}

/// The server with the district's roles bound, as the operator binds them.
pub async fn hub() -> Arc<Lone> {
    let server = lone("admit_identity");
    prepare(&server).await;
    server
}

async fn prepare(server: &Lone) {
    server.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {DISTRICT}}}}}"));
    for role in ["viewer", "engineer", "approver", "commander", "auditor"] {
        server.apply(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: p861-role-{role}, namespace: {DISTRICT}}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: p861-role-{role}}}, \
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: Group, name: shinan-{role}s}}]}}"
        ));
    }
    // The authorizer learns of new bindings in its own time.
    let approver = RUNS[2].api(server.person("approver-sun").await);
    for _ in 0..1200 {
        if approver.list(&kube::api::ListParams::default()).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the roles of {DISTRICT} are still not in force after a minute");
}

fn refusal(what: &str, result: kube::Result<DynamicObject>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
        other => panic!("{what}: not refused: {other:?}"),
    }
}

/// Appends an action, as `p861` and people with kubectl do.
async fn append(api: &Api<DynamicObject>, name: &str, action: &Value) -> kube::Result<DynamicObject> {
    let mut object = api.get(name).await?;
    let actions = object.data["spec"].as_object_mut().expect("a spec").entry("actions").or_insert_with(|| json!([]));
    actions.as_array_mut().expect("a list").push(action.clone());
    api.replace(name, &PostParams::default(), &object).await
}

async fn delete(server: &Lone, run: &Run, names: &[&str]) {
    let api = run.api(server.client(None).await);
    for name in names {
        api.delete(name, &DeleteParams::default()).await.unwrap_or_else(|error| panic!("{} {name}: {error}", run.kind));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_carries_the_name_of_who_made_it_and_no_other() {
    let server = hub().await;
    for run in &RUNS {
        for maker in run.makers {
            let api = run.api(server.person(maker).await);
            let what = format!("{} of {maker}", run.kind);
            for wrong in ["administrator", "approver-sun", "", "Engineer-li", "system:serviceaccount:p861-system:p861-operator"] {
                let (_, said) = refusal(&what, api.create(&PostParams::default(), &run.object("as-other", &json!({"requestedBy": wrong}))).await);
                assert!(
                    said.contains(&format!("spec.requestedBy is the name of who creates the run: write requestedBy: {maker}, or leave it out")),
                    "{what}, as {wrong:?}: {said}"
                );
            }
            let stated = api
                .create(&PostParams::default(), &run.object("stated", &json!({"requestedBy": maker})))
                .await
                .unwrap_or_else(|error| panic!("{what} states its own name: {error}"));
            let silent =
                api.create(&PostParams::default(), &run.object("silent", &json!({}))).await.unwrap_or_else(|error| panic!("{what} leaves it out: {error}"));
            let applied = api
                .patch("applied", &PatchParams::apply("kubectl"), &Patch::Apply(run.object("applied", &json!({}))))
                .await
                .unwrap_or_else(|error| panic!("{what} applies: {error}"));
            for made in [stated, silent, applied] {
                assert_eq!(made.data["spec"]["requestedBy"], *maker, "{what}: {}", made.name_any());
            }
            // Once made, the name stands.
            let mut other = api.get("silent").await.expect("there");
            other.data["spec"]["requestedBy"] = "approver-sun".into();
            let (_, said) = refusal(&what, api.replace("silent", &PostParams::default(), &other).await);
            assert!(said.contains("a run can't be changed"), "{what}: {said}");
            let removal = json!([{"op": "remove", "path": "/spec/requestedBy"}]);
            let kept = api
                .patch("silent", &PatchParams::default(), &Patch::Json::<()>(serde_json::from_value(removal).expect("a patch")))
                .await
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(kept.data["spec"]["requestedBy"], *maker, "{what}: taken out, it is filled in again");
            delete(&server, run, &["stated", "silent", "applied"]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_carries_the_name_of_who_appended_it_and_no_other() {
    let server = hub().await;
    for run in &RUNS {
        let (first, second) = (run.makers[0], if run.kind == "Drill" { "approver-sun" } else { "commander-zhao" });
        let (of_first, of_second) = (run.api(server.person(first).await), run.api(server.person(second).await));
        let what = run.kind;
        let (_, said) =
            refusal(what, of_first.create(&PostParams::default(), &run.object("born", &json!({"actions": [{"action": "Pause", "by": second}]}))).await);
        assert!(
            said.contains(&format!("by is the name of who appends the action: write by: {first}, or leave it out")),
            "{what}: a name in the first manifest counts too: {said}"
        );
        of_first
            .create(&PostParams::default(), &run.object("acted", &json!({"actions": [{"action": "Pause"}]})))
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        for wrong in [first, "administrator", ""] {
            let (_, said) = refusal(what, append(&of_second, "acted", &json!({"action": "Resume", "by": wrong})).await);
            assert!(said.contains(&format!("write by: {second}, or leave it out")), "{what}, as {wrong:?}: {said}");
        }
        append(&of_second, "acted", &json!({"action": "Resume"})).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        append(&of_second, "acted", &json!({"action": "Pause", "by": second})).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        // The form in which p861 appends.
        let patch = json!([{"op": "add", "path": "/spec/actions/-", "value": {"action": "Abort", "reason": "wrong day"}}]);
        let last = of_first
            .patch("acted", &PatchParams::default(), &Patch::Json::<()>(serde_json::from_value(patch).expect("a patch")))
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let by: Vec<&str> = last.data["spec"]["actions"].as_array().expect("actions").iter().filter_map(|action| action["by"].as_str()).collect();
        assert_eq!(by, [first, second, second, first], "{what}");
        // The manifest of the first day, applied again by somebody else: nothing is taken away and nobody renamed.
        let mut again = run
            .object("acted", &json!({"actions": [{"action": "Pause"}, {"action": "Resume"}, {"action": "Pause"}, {"action": "Abort", "reason": "wrong day"}]}));
        again.metadata.resource_version = last.resource_version();
        let same = of_second.replace("acted", &PostParams::default(), &again).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((&same.data["spec"]["actions"], &same.data["spec"]["requestedBy"]), (&last.data["spec"]["actions"], &json!(first)), "{what}");
        // A name that stands is not changed afterwards, not even by its owner.
        let mut renamed = same.clone();
        renamed.data["spec"]["actions"][0]["by"] = second.into();
        let (_, said) = refusal(what, of_second.replace("acted", &PostParams::default(), &renamed).await);
        assert!(said.contains("actions are appended, never changed or removed"), "{what}: {said}");
        delete(&server, run, &["acted"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_delete_backups_lets_the_data_of_one_go() {
    let server = hub().await;
    let run = RUNS.iter().find(|run| run.kind == "Backup").expect("backups");
    let (engineer, commander) = (run.api(server.person("engineer-li").await), run.api(server.person("commander-zhao").await));
    engineer.create(&PostParams::default(), &run.object("going", &json!({}))).await.expect("made");
    let forget = json!({"action": "Forget", "reason": "test data"});
    append(&commander, "going", &json!({"action": "Pause"})).await.expect("other actions are a commander's");
    let (_, said) = refusal("Forget", append(&commander, "going", &forget).await);
    assert!(said.contains("an action Forget lets data go: it needs the right to delete Backups"), "{said}");
    append(&engineer, "going", &forget).await.expect("an engineer may delete Backups");
    // What stands there keeps nobody else from acting.
    append(&commander, "going", &json!({"action": "Resume"})).await.expect("appended");
    delete(&server, run, &["going"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_acts_as_somebody_else_is_known_as_that_one_and_a_program_by_its_account() {
    let server = hub().await;
    let run = &RUNS[2];
    for name in ["alice", "system:serviceaccount:shinan:pipeline"] {
        let api = run.api(server.client(Some((name, &["system:masters"]))).await);
        let made = api.create(&PostParams::default(), &run.object("acting", &json!({}))).await.expect("made");
        assert_eq!(made.data["spec"]["requestedBy"], name);
        delete(&server, run, &["acting"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_role_for_it_makes_no_run_whatever_name_is_written() {
    let server = hub().await;
    for run in &RUNS {
        for person in ["viewer-zhou", "auditor-qian", "approver-sun", "engineer-li", "stranger-wu"].iter().filter(|person| !run.makers.contains(person)) {
            let api = run.api(server.person(person).await);
            for name in [*person, "commander-zhao"] {
                let (code, said) = refusal(run.kind, api.create(&PostParams::default(), &run.object("not-allowed", &json!({"requestedBy": name}))).await);
                assert!(code == 403 && said.contains(&format!("User \"{person}\" cannot create resource")), "{} of {person}: {code} {said}", run.kind);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_and_a_finalizer_are_written_without_asking_who_requested_the_run() {
    let server = hub().await;
    let operator = server.client(Some(("system:serviceaccount:p861-system:p861-operator", &["system:serviceaccounts", "system:authenticated"]))).await;
    for run in &RUNS {
        run.api(server.person(run.makers[0]).await)
            .create(&PostParams::default(), &run.object("status", &json!({"actions": [{"action": "Pause"}]})))
            .await
            .expect("created");
        let api = run.api(operator.clone());
        let patch = json!({"apiVersion": "platform861.io/v1alpha1", "kind": run.kind, "metadata": {"name": "status"}, "status": {"phase": "Running"}});
        api.patch_status("status", &PatchParams::apply("p861-operator").force(), &Patch::Apply(patch))
            .await
            .unwrap_or_else(|error| panic!("the operator writes the status of a {}: {error}", run.kind));
        if run.kind == "Drill" {
            for finalizers in [json!(["platform861.io/cleanup"]), json!(null)] {
                api.patch("status", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": finalizers}})))
                    .await
                    .expect("the operator sets its finalizer and takes it away");
            }
        }
        let after = api.get("status").await.expect("there");
        assert_eq!((&after.data["spec"]["requestedBy"], &after.data["spec"]["actions"][0]["by"]), (&json!(run.makers[0]), &json!(run.makers[0])));
        delete(&server, run, &["status"]).await;
    }
}

/// Before Kubernetes 1.36 nothing is filled in: a name that is left out is refused as a wrong one is, with the name to write.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_cluster_fills_nothing_in_the_name_must_be_written() {
    let server = tokio::task::spawn_blocking(|| {
        let server = Lone::bare();
        server.install(&["admission.mutating=none"]);
        server
    });
    let server = server.await.expect("a server");
    prepare(&server).await;
    for run in &RUNS {
        let maker = run.makers[0];
        let api = run.api(server.person(maker).await);
        let (_, said) = refusal(run.kind, api.create(&PostParams::default(), &run.object("silent", &json!({}))).await);
        assert!(said.contains(&format!("write requestedBy: {maker}")), "{said}");
        api.create(&PostParams::default(), &run.object("stated", &json!({"requestedBy": maker}))).await.expect("the name is written");
        let (_, said) = refusal(run.kind, append(&api, "stated", &json!({"action": "Pause"})).await);
        assert!(said.contains(&format!("write by: {maker}")), "{said}");
        append(&api, "stated", &json!({"action": "Pause", "by": maker})).await.expect("the name is written");
    }
}
