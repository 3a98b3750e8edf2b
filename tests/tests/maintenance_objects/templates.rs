//! Templates of changes: who publishes them, and which changes they approve.

use super::stage::{COLLEAGUE, DISTRICT, ENGINEER, LEADER, NOTICED, Person, Stage, WINDOWS, api, condition, is, name_in, object, refusal, stage};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PLAN: &str = "swap the disk, wait for the rebuild";

fn template(more: &Value) -> Value {
    let mut spec = json!({"title": {"en": "Replace a disk", "zh": "更换磁盘"}, "work": {"manual": {}}, "plan": {"en": PLAN}});
    spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    spec
}

async fn publish(stage: &Stage, person: Person, namespace: &str, name: &str, spec: Value) -> kube::Result<DynamicObject> {
    api(&stage.of(person).await, "ChangeTemplate", namespace).create(&PostParams::default(), &object("ChangeTemplate", namespace, name, spec)).await
}

fn standard(template: Option<&str>, plan: &str) -> Value {
    let mut change = json!({"class": "Standard", "work": {"manual": {}}, "plan": {"en": plan}, "windowRef": {"name": "for-templates"}});
    if let Some(name) = template {
        change["templateRef"] = json!({"name": name});
    }
    json!({"type": "Change", "title": {"en": "A disk"}, "impact": "Low", "urgency": "Low", "change": change})
}

async fn open(stage: &Stage, person: Person, name: &str, spec: Value) -> kube::Result<DynamicObject> {
    api(&stage.of(person).await, "MaintenanceTicket", DISTRICT).create(&PostParams::default(), &object("MaintenanceTicket", DISTRICT, name, spec)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e5_only_who_may_approve_changes_publishes_a_template_and_in_their_own_name() {
    let stage = stage().await;
    let said = refusal(publish(&stage, ENGINEER, DISTRICT, "of-engineer", template(&json!({}))).await);
    assert!(said.contains("cannot create resource \"changetemplates\""), "{said}");
    let said = refusal(publish(&stage, LEADER, "p861-system", "of-leader", template(&json!({}))).await);
    assert!(said.contains("cannot create resource \"changetemplates\""), "the city's are the city's: {said}");
    let said = refusal(publish(&stage, LEADER, DISTRICT, "forged", template(&json!({"publishedBy": "shift-leader-b"}))).await);
    assert!(said.contains("write publishedBy: shift-leader-a"), "{said}");
    let said = said_to_who_may_make_templates_only(&stage).await;
    assert!(said.contains("duty-engineer-b may not publish templates in shinan"), "making a template is not the right to approve: {said}");

    let made = publish(&stage, LEADER, DISTRICT, "immutable", template(&json!({}))).await.expect("published");
    assert_eq!(made.data["spec"]["publishedBy"], "shift-leader-a", "the API server knows who it is");
    stage.wait("it is ready", "ChangeTemplate", "immutable", |seen| is(seen, "Ready", "True", "Valid") && seen["status"]["digest"].is_string()).await;
    for person in [LEADER, ("administrator", "system:masters")] {
        let templates = api(&stage.of(person).await, "ChangeTemplate", DISTRICT);
        for change in [json!({"spec": {"silence": "None"}}), json!({"spec": {"publishedBy": "shift-leader-b"}})] {
            let said = refusal(templates.patch("immutable", &PatchParams::default(), &Patch::Merge(change)).await);
            assert!(said.contains("a template can't be changed"), "{}: {said}", person.0);
        }
    }
    // The same manifest again changes nothing, whoever applies it.
    let manifest = object("ChangeTemplate", DISTRICT, "immutable", template(&json!({})));
    let leaders = api(&stage.of(LEADER).await, "ChangeTemplate", DISTRICT);
    let again = leaders.patch("immutable", &PatchParams::apply("gitops").force(), &Patch::Apply(manifest)).await;
    assert_eq!(again.expect("applied").data["spec"]["publishedBy"], "shift-leader-a");
    let engineer = api(&stage.of(ENGINEER).await, "ChangeTemplate", DISTRICT);
    let said = refusal(engineer.delete("immutable", &DeleteParams::default()).await.map(|_| made.clone()));
    assert!(said.contains("cannot delete"), "{said}");
    leaders.delete("immutable", &DeleteParams::default()).await.expect("withdrawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e5_a_change_is_standard_only_by_a_template_that_somebody_else_has_published() {
    let stage = stage().await;
    let _alone = WINDOWS.lock().await;
    stage.create("MaintenanceWindow", "for-templates", json!({"recurrences": [{"schedule": "* * * * *", "duration": "1h"}]})).await;
    publish(&stage, LEADER, DISTRICT, "replace-disk", template(&json!({}))).await.expect("published");
    stage.wait("it is ready", "ChangeTemplate", "replace-disk", |seen| is(seen, "Ready", "True", "Valid")).await;

    // From the command line: listed, shown, followed, and refused beforehand where it would not be followed.
    let (code, said) = stage.p861_as(ENGINEER, &["template", "list", "--lang", "en"]);
    assert!(code == 0 && said.lines().any(|line| line.starts_with("replace-disk") && line.contains("shift-leader-a")), "{said}");
    let (code, said) = stage.p861_as(ENGINEER, &["template", "show", "replace-disk", "--lang", "zh"]);
    assert!(code == 0 && said.contains("变更模板 replace-disk · 更换磁盘") && said.contains("人工作业"), "{said}");
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "open", "A disk", "--change", "Standard", "--lang", "en"]);
    assert!(code == 2 && said.contains("give --template NAME"), "{said}");
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "open", "--template", "replace-disk", "--plan", "all at once", "--lang", "en"]);
    assert!(code == 3 && said.contains("its plan is another"), "{said}");
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "open", "--template", "replace-disk", "--window", "for-templates", "-o", "name"]);
    assert_eq!(code, 0, "{said}");
    let by_template = name_in(&said);
    let scheduled = stage.wait("nobody needs to agree", "MaintenanceTicket", &by_template, |seen| seen["status"]["phase"] == "Scheduled").await;
    assert!(is(&scheduled, "Approved", "True", "PreApproved"), "{scheduled:#}");
    assert_eq!((&scheduled["status"]["changeClass"], &scheduled["status"]["template"]["publishedBy"]), (&json!("Standard"), &json!("shift-leader-a")));

    // By kubectl: without a template it is none, and outside one, or by its publisher, it is a Normal one.
    let said = refusal(open(&stage, ENGINEER, "without", standard(None, PLAN)).await);
    assert!(said.contains("a Standard change follows a template that somebody else has published"), "{said}");
    let publisher: Person = ("shift-leader-a", "system:masters");
    for (name, person, template, plan, reason) in [
        ("outside", ENGINEER, "replace-disk", "all at once", "OutsideTemplate"),
        ("unknown", ENGINEER, "no-such", PLAN, "TemplateMissing"),
        ("own", publisher, "replace-disk", PLAN, "RequesterCannotApprove"),
    ] {
        open(&stage, person, name, standard(Some(template), plan)).await.expect("opened");
        let seen = stage.wait("it needs an approval", "MaintenanceTicket", name, |seen| is(seen, "Approved", "False", reason)).await;
        assert_eq!((&seen["status"]["changeClass"], &seen["status"]["phase"]), (&json!("Normal"), &json!("Planned")), "{name}");
        assert!(condition(&seen, "Approved")["message"].as_str().is_some_and(|said| said.contains("0 of 1")), "{seen:#}");
        let (code, said) = stage.p861_as(ENGINEER, &["ticket", "start", name, "--lang", "en"]);
        assert_eq!(code, 3, "{name} starts: {said}");
        stage.delete("MaintenanceTicket", name).await;
    }

    // The city's holds for every district.
    publish(&stage, ("administrator", "system:masters"), "p861-system", "of-city", template(&json!({}))).await.expect("published");
    open(&stage, ENGINEER, "by-city", standard(Some("of-city"), PLAN)).await.expect("opened");
    let seen = stage.wait("it follows the city's", "MaintenanceTicket", "by-city", |seen| is(seen, "Approved", "True", "PreApproved")).await;
    assert_eq!(seen["status"]["template"]["namespace"], "p861-system");
    stage.delete("MaintenanceTicket", "by-city").await;
    api(&stage.client, "ChangeTemplate", "p861-system").delete("of-city", &DeleteParams::default()).await.expect("withdrawn");

    // Published anew under its name, it is another: what was opened by the first needs an approval, and is then a Normal change.
    let leaders = api(&stage.of(LEADER).await, "ChangeTemplate", DISTRICT);
    leaders.delete("replace-disk", &DeleteParams::default()).await.expect("withdrawn");
    stage.wait("it is noticed", "MaintenanceTicket", &by_template, |seen| is(seen, "Approved", "False", "TemplateMissing")).await;
    publish(&stage, LEADER, DISTRICT, "replace-disk", template(&json!({"silence": "None"}))).await.expect("published");
    stage.wait("it is another", "MaintenanceTicket", &by_template, |seen| is(seen, "Approved", "False", "TemplateChanged")).await;
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "start", &by_template, "--lang", "en"]);
    assert_eq!(code, 3, "{said}");
    let seen = stage.wait("there is something to agree to", "MaintenanceTicket", &by_template, |seen| seen["status"]["planDigest"].is_string()).await;
    let digest = seen["status"]["planDigest"].as_str().expect("a digest");
    let (code, said) = stage.p861_as(LEADER, &["ticket", "approve", &by_template, "--digest", digest, "--lang", "en"]);
    assert!(code == 0 && said.contains("your approval counts, 1 of 1"), "{said}");
    for (verb, phase) in [("start", "InProgress"), ("done", "Verifying"), ("resolve", "Closed")] {
        stage
            .wait("it may go on", "MaintenanceTicket", &by_template, |seen| !["Planned", "Approved"].iter().any(|phase| seen["status"]["phase"] == *phase))
            .await;
        let (code, said) = stage.p861_as(ENGINEER, &["ticket", verb, &by_template, "--lang", "en"]);
        assert!(code == 0 && said.contains(phase), "{verb}: {said}");
    }
    leaders.delete("replace-disk", &DeleteParams::default()).await.expect("withdrawn");
    stage.delete("MaintenanceWindow", "for-templates").await;
}

/// Gives one engineer the right to make templates, which is not the right to approve changes. Returns how they are refused who try.
async fn said_to_who_may_make_templates_only(stage: &Stage) -> String {
    let roles: Api<ClusterRole> = Api::all(stage.client.clone());
    let role =
        json!({"metadata": {"name": "makes-templates"}, "rules": [{"apiGroups": ["platform861.io"], "resources": ["changetemplates"], "verbs": ["create"]}]});
    roles.create(&PostParams::default(), &serde_json::from_value(role).expect("a role")).await.expect("a role");
    let granted = json!({"metadata": {"name": "makes-templates"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "makes-templates"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": COLLEAGUE.0}]});
    let bindings: Api<RoleBinding> = Api::namespaced(stage.client.clone(), DISTRICT);
    bindings.create(&PostParams::default(), &serde_json::from_value(granted).expect("a binding")).await.expect("a binding");
    let since = Instant::now();
    loop {
        let said = refusal(publish(stage, COLLEAGUE, DISTRICT, "without-verb", template(&json!({}))).await);
        // RBAC takes a moment to know of the binding.
        if said.contains("may not publish") || since.elapsed() > NOTICED {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
