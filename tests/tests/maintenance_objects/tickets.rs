//! Incidents and changes, from the first word to the last; windows and approvals.

use super::stage::{COLLEAGUE, DISTRICT, ENGINEER, LEADER, NOTICED, OTHER_LEADER, Person, Stage, WINDOWS, api, condition, is, name_in, object, refusal, stage};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

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
    assert!(code == 0 && said.contains("维护窗口 rare") && said.contains("0 22 29 2 *，6小时"), "{said}");
    city.delete("city", &DeleteParams::default()).await.expect("deleted");
    stage.wait("the freeze is over", "MaintenanceWindow", "always", |seen| is(seen, "Open", "True", "Open")).await;
    for name in ["always", "rare", "wrong"] {
        stage.delete("MaintenanceWindow", name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_opened_taken_noted_and_closed_from_the_command_line() {
    let stage = stage().await;
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "open", "门户打不开", "--impact", "High", "--urgency", "High", "-o", "name"]);
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
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("duty-engineer-b")).collect();
    assert!(lines.iter().any(|line| line.starts_with('▸') && line.contains("noted · duty-engineer-b ") && line.ends_with("reported to the city")), "{said}");
    assert!(lines.iter().any(|line| line.starts_with('✗') && line.contains("done · duty-engineer-b")), "{said}");
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
    stage.create("MaintenanceWindow", "later", json!({"recurrences": [{"schedule": "0 22 29 2 *", "duration": "6h"}]})).await;
    let (code, said) =
        stage.p861_as(ENGINEER, &["ticket", "open", "Replace the disk", "--change", "Normal", "--plan", "one by one", "--window", "later", "-o", "name"]);
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
    let said = said_to_who_may_make_approvals_only(&stage, || create(COLLEAGUE, "without-verb", approval(json!({})))).await;
    assert!(said.contains("duty-engineer-b may not approve maintenancetickets"), "making an Approval is not the right to approve: {said}");

    // The operator: not another plan, not another object of the same name.
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
    stage.wait("nothing counted", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Planned" && seen["status"]["approvals"]["given"] == 0).await;
    for (more, words) in [(&["--digest", "ffff"][..], "nothing was done"), (&[], "add --digest DIGEST")] {
        let (code, said) = stage.p861_as(LEADER, &[&["ticket", "approve", &name, "--lang", "en"], more].concat());
        assert!(code == 3 && said.contains(words), "what nobody can have read is not signed: {said}");
    }
    let (code, said) = stage.p861_as(LEADER, &["ticket", "approve", &name, "--digest", digest.as_str().expect("one"), "--reason", "discussed", "--lang", "en"]);
    assert!(code == 0 && said.contains("one by one") && said.contains("your approval counts, 1 of 1"), "{said}");
    stage.wait("it is approved", "MaintenanceTicket", &name, |seen| is(seen, "Approved", "True", "EnoughApprovals")).await;
    let approvals =
        api(&stage.client, "Approval", DISTRICT).list(&kube::api::ListParams::default().fields(&format!("spec.subjectRef.name={name}"))).await.expect("a list");
    let leaders = approvals.items.iter().find(|found| found.data["spec"]["approver"] == "shift-leader-a").expect("the leader's").clone();
    let leaders = leaders.metadata.name.expect("a name");
    let said =
        refusal(api(&stage.of(OTHER_LEADER).await, "Approval", DISTRICT).delete(&leaders, &DeleteParams::default()).await.map(|_| planned_object(&planned)));
    assert!(said.contains("ask shift-leader-a"), "nobody takes back another's word: {said}");

    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "start", &name, "--lang", "en"]);
    assert!(code == 3 && said.contains("OutsideWindow: "), "{said}");
    stage.delete("MaintenanceWindow", "later").await;
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
    let planned = stage
        .wait("it is planned again", "MaintenanceTicket", &name, |seen| {
            seen["status"]["observedActions"] == seen["spec"]["actions"].as_array().map_or(0, Vec::len)
        })
        .await;
    let (code, said) = stage.p861_as(LEADER, &["ticket", "approve", &name, "--digest", planned["status"]["planDigest"].as_str().expect("a digest")]);
    assert!(code == 0 && said.contains("both at once") && !said.contains("one by one"), "what is approved is what was planned last: {said}");
    stage.wait("it is scheduled again", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Scheduled").await;
    for (verb, phase) in [("start", "InProgress"), ("done", "Verifying"), ("resolve", "Closed")] {
        let (code, said) = stage.p861_as(ENGINEER, &["ticket", verb, &name, "--lang", "en"]);
        assert!(code == 0 && said.contains(phase), "{verb}: {said}");
    }
    let (_, page) = stage.p861_as(ENGINEER, &["ticket", "show", &name, "--lang", "en"]);
    for words in ["opened · duty-engineer-a", "approved · shift-leader-a discussed; does not count: the plan has changed since"] {
        assert!(page.contains(words), "{words:?} is not in the history:\n{page}");
    }
    stage.delete("MaintenanceWindow", "later").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h9_an_approval_of_ones_own_or_an_ended_change_is_refused_where_it_is_given() {
    let stage = stage().await;
    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "open", "Replace a fan", "--change", "Normal", "--plan", "one by one", "-o", "name"]);
    assert_eq!(code, 0, "{said}");
    let name = name_in(&said);
    let planned = stage.wait("it is planned", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Planned").await;
    let spec = json!({"subjectRef": {"kind": "MaintenanceTicket", "name": name, "uid": planned["metadata"]["uid"]}, "purpose": "Start",
        "digest": planned["status"]["planDigest"], "decision": "Approved"});

    let requester: Person = ("duty-engineer-a", "system:masters");
    let said = said_of_approval(&stage, requester, &format!("{name}-own"), &spec).await;
    assert!(said.contains(&format!("duty-engineer-a has asked for maintenancetickets/{name} or written a part of its plan")), "{said}");
    let (code, said) = stage.p861_as(requester, &["ticket", "approve", &name, "--lang", "en"]);
    assert!(code == 3 && said.contains("you opened it") && said.contains("nothing was created"), "{said}");
    let seen = stage.wait("nothing counted", "MaintenanceTicket", &name, |seen| seen["status"]["phase"] == "Planned").await;
    assert_eq!(seen["status"]["approvals"]["given"], 0);

    let (code, said) = stage.p861_as(ENGINEER, &["ticket", "cancel", &name, "--reason", "not needed"]);
    assert_eq!(code, 0, "{said}");
    let said = said_of_approval(&stage, LEADER, &format!("{name}-late"), &spec).await;
    assert!(said.contains(&format!("maintenancetickets/{name} has ended: there is nothing to approve")), "{said}");
    let (code, said) = stage.p861_as(LEADER, &["ticket", "approve", &name, "--lang", "en"]);
    assert!(code == 3 && said.contains("it has ended: there is nothing to approve"), "{said}");
}

/// How an approval is refused that would never count. The API server judges by what it has heard of the ticket, which may take it a moment; one that it lets pass
/// before that counts no more for it.
async fn said_of_approval(stage: &Stage, person: Person, label: &str, spec: &Value) -> String {
    let (approvals, since) = (api(&stage.of(person).await, "Approval", DISTRICT), Instant::now());
    let mut number = 0;
    loop {
        let label = format!("{label}-{number}");
        match approvals.create(&PostParams::default(), &object("Approval", DISTRICT, &label, spec.clone())).await {
            Err(kube::Error::Api(status)) => return status.message,
            Err(error) => panic!("{label}: {error}"),
            Ok(_) => drop(stage.wait("it doesn't count", "Approval", &label, |seen| condition(seen, "Counted")["status"] == "False").await),
        }
        assert!(since.elapsed() < NOTICED, "an approval that never counts is still taken after {NOTICED:?}");
        number += 1;
    }
}

/// Gives the engineers the right to make Approvals, which is not the right to approve. Returns how one of them is refused who tries.
async fn said_to_who_may_make_approvals_only<F: Future<Output = kube::Result<DynamicObject>>>(stage: &Stage, tries: impl Fn() -> F) -> String {
    let roles: Api<ClusterRole> = Api::all(stage.client.clone());
    let role = json!({"metadata": {"name": "makes-approvals"}, "rules": [{"apiGroups": ["platform861.io"], "resources": ["approvals"], "verbs": ["create"]}]});
    roles.create(&PostParams::default(), &serde_json::from_value(role).expect("a role")).await.expect("a role");
    let granted = json!({"metadata": {"name": "makes-approvals"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "makes-approvals"}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "shinan-engineers"}]});
    let bindings: Api<RoleBinding> = Api::namespaced(stage.client.clone(), DISTRICT);
    bindings.create(&PostParams::default(), &serde_json::from_value(granted).expect("a binding")).await.expect("a binding");
    let since = Instant::now();
    loop {
        let said = refusal(tries().await);
        // RBAC takes a moment to know of the binding.
        if said.contains("may not approve maintenancetickets") || since.elapsed() > NOTICED {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn planned_object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).expect("an object")
}
