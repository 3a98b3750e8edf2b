//! What is agreed to is shown first, and what would never count is not created.

use super::hub::{Hub, condition};
use jiff::SignedDuration;
use p861_core::{
    engine::{Plan, Prompt, Step, StepId},
    maintenance::ticket::{Planned, Work, plan_digest},
    runs::Action,
};
use p861_crds::{LocalizedText, MaintenanceTicket};
use serde_json::json;

fn whole(steps: &Plan<Action>) -> String {
    serde_json::to_string(steps).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h8_a_ticket_shows_the_steps_whose_digest_it_has_and_no_others() {
    let hub = Hub::of("agrees").await;
    let steps = hub.change("chg-1", "engineer-li").await;
    let page = hub.p861(&["ticket", "show", "chg-1"]);
    assert_eq!(page.code, 4, "it waits for a person: {page:?}");
    for words in [
        "The steps to approve:",
        "· install/laoshan-dr/bulletin",
        "install bulletin 1.1.0 on laoshan-dr from ConfigMap bulletin-bundle, manifests 2b6d7f8e9a0c",
        "everything is rolled back",
    ] {
        assert!(page.out.contains(words), "{words:?} is not on the page:\n{}", page.out);
    }
    let chinese = hub.p861(&["ticket", "show", "chg-1", "--lang", "zh"]);
    assert!(chinese.out.contains("待批准的步骤：") && chinese.out.contains("在 laoshan-dr 安装 bulletin 1.1.0"), "{}", chinese.out);

    // Others than those of the digest: a ConfigMap says nothing by itself.
    let tampered = whole(&steps).replace("bulletin-bundle", "another-bundle");
    hub.map("chg-1.steps", json!({"plan.json": tampered})).await;
    for (command, code) in [(&["ticket", "show", "chg-1"][..], 4), (&["ticket", "approve", "chg-1", "--digest", "0123456789ab"], 3)] {
        let said = hub.p861(command);
        assert_eq!(said.code, code, "{said:?}");
        assert!(!said.out.contains("another-bundle"), "{said:?}");
    }
    let said = hub.p861(&["ticket", "show", "chg-1"]);
    assert!(said.out.contains("! the steps in ConfigMap chg-1.steps are not those of ticket chg-1: their digests differ"), "{}", said.out);
    let digest = hub.get("MaintenanceTicket", "chg-1").await["status"]["planDigest"].as_str().unwrap_or_default().to_owned();
    let refused = hub.p861(&["ticket", "approve", "chg-1", "--digest", &digest, "--no-wait"]);
    assert!(refused.code == 3 && refused.err.contains("approve nothing"), "{refused:?}");
    assert_eq!(hub.names("Approval").await, Vec::<String>::new(), "nothing was signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h8_an_approval_is_of_steps_that_were_read() {
    let hub = Hub::of("readsfirst").await;
    hub.change("chg-1", "engineer-li").await;
    let unread = hub.p861(&["ticket", "approve", "chg-1", "--no-wait"]);
    assert!(unread.code == 3 && unread.err.contains("read them with p861 ticket show chg-1 -d readsfirst, then add --digest DIGEST"), "{unread:?}");
    let digest = hub.get("MaintenanceTicket", "chg-1").await["status"]["planDigest"].as_str().unwrap_or_default().to_owned();
    for wrong in ["ffffffffffff", &digest[..10]] {
        let said = hub.p861(&["ticket", "approve", "chg-1", "--digest", wrong, "--no-wait"]);
        assert!(said.code == 3 && said.err.contains("nothing was done"), "{wrong}: {said:?}");
    }
    assert_eq!(hub.names("Approval").await, Vec::<String>::new(), "nothing was signed");

    // At a terminal the steps are shown, and the name is asked for.
    for (typed, code) in [("yes\n", 3), ("chg-1\n", 0)] {
        let mut asks = hub.at_terminal(&["ticket", "approve", "chg-1", "--no-wait"]);
        asks.until("Type chg-1 to continue, anything else to stop: ");
        asks.press(typed);
        let said = asks.end();
        assert_eq!(said.code, code, "{typed:?}: {said:?}");
        assert!(said.out.contains("install bulletin 1.1.0 on laoshan-dr"), "what is approved stands above the question: {said:?}");
    }
    let approvals = hub.names("Approval").await;
    assert_eq!(approvals.len(), 1, "{approvals:?}");
    let spec = hub.get("Approval", &approvals[0]).await["spec"].clone();
    assert_eq!((&spec["digest"], &spec["approver"], &spec["decision"]), (&json!(digest), &json!("administrator"), &json!("Approved")));

    // Who states the digest is not asked; no is said to whatever it may be.
    let short = digest.trim_start_matches("sha256:")[..12].to_owned();
    assert_eq!(hub.p861(&["ticket", "approve", "chg-1", "--digest", &short, "--no-wait"]).code, 0);
    assert_eq!(hub.p861(&["ticket", "approve", "chg-1", "--reject", "--reason", "not tonight", "--no-wait"]).code, 0);
    assert_eq!(hub.names("Approval").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h9_an_approval_that_would_never_count_is_not_created() {
    let hub = Hub::of("own").await;
    hub.change("mine", "administrator").await;
    hub.change("ended", "engineer-li").await;
    hub.write("MaintenanceTicket", "ended", json!({"phase": "Cancelled", "completionTime": "2026-11-24T00:00:00Z"})).await;
    hub.change("begun", "engineer-li").await;
    hub.write("MaintenanceTicket", "begun", json!({"phase": "InProgress", "startTime": "2026-11-24T00:00:00Z", "workFirstAction": 0})).await;
    hub.put(
        "MaintenanceTicket",
        "inc",
        json!({"type": "Incident", "title": {"en": "x"}, "impact": "Low", "urgency": "Low", "incident": {}, "requestedBy": "administrator"}),
        json!({"phase": "Open"}),
    )
    .await;
    for (name, words) in [
        ("mine", "error: ticket mine: you opened it or wrote a part of its plan, and can't approve it: somebody else must; nothing was created\n"),
        ("ended", "error: ticket ended: it has ended: there is nothing to approve; nothing was created\n"),
        ("begun", "error: ticket begun: its work has begun: it is too late to approve it; nothing was created\n"),
        ("inc", "error: ticket inc is an incident: it needs no approval\n"),
    ] {
        let said = hub.p861(&["ticket", "approve", name, "--no-wait"]);
        assert_eq!((said.code, said.err.as_str()), (3, words), "{name}");
    }
    assert_eq!(hub.names("Approval").await, Vec::<String>::new(), "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h8_an_incident_names_its_runbook_its_deadlines_who_was_told_and_when_each_thing_was_done() {
    let hub = Hub::of("told").await;
    let actions = json!([{"action": "Acknowledge", "by": "administrator"}, {"action": "Note", "note": "mains cut", "by": "administrator"}]);
    let spec = json!({"type": "Incident", "title": {"en": "P861DrillFailed"}, "impact": "High", "urgency": "High", "requestedBy": "administrator",
        "incident": {"runbook": "P861DrillFailed"}, "actions": actions});
    let status = json!({
        "phase": "Acknowledged", "priority": "P1", "observedActions": 2,
        "clocks": [{"name": "Acknowledge", "state": "Met", "dueTime": "2026-11-23T19:05:00Z", "metTime": "2026-11-23T19:03:12Z"},
            {"name": "Resolve", "state": "Running", "dueTime": "2026-11-23T23:00:00Z"}],
        "escalation": {"level": "duty", "nextLevel": "leader", "nextTime": "2026-11-23T19:10:00Z", "state": "Running"},
        "actionTimes": [{"index": 0, "time": "2026-11-23T19:03:12Z"}, {"index": 1, "time": "2026-11-23T19:11:40Z"}],
    });
    hub.put("MaintenanceTicket", "inc", spec, status).await;
    let page = hub.p861(&["ticket", "show", "inc"]);
    assert_eq!(page.code, 0, "{page:?}");
    for words in [
        "runbooks/P861DrillFailed.md",
        "acknowledge 2026-11-24 03:05:00 · met 2026-11-24 03:03:12",
        "resolve 2026-11-24 07:00:00 · running",
        "nobody: level duty is called, but nobody on it was sent a message",
        "leader · 2026-11-24 03:10:00",
        "▸ 2026-11-24 03:11:40 noted · administrator mains cut",
    ] {
        assert!(page.out.contains(words), "{words:?} is not on the page:\n{}", page.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h8_a_plan_shows_the_steps_whose_digest_it_has() {
    let hub = Hub::of("plansteps").await;
    hub.plan(true).await;
    hub.steps().await;
    let page = hub.p861(&["plan", "show", "core"]);
    assert_eq!(page.code, 0, "{page:?}");
    for words in ["The steps:", "· isolate", "make closed namespaces on laoshan-dr: shinan-approval--drill-x", "remove the copy from laoshan-dr"] {
        assert!(page.out.contains(words), "{words:?} is not on the page:\n{}", page.out);
    }
    let steps = hub.p861(&["plan", "check", "core", "--steps"]);
    assert!(steps.code == 0, "{steps:?}");
    let names = |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).take(2).map(ToOwned::to_owned).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = steps.out.lines().map(names).collect();
    for row in [["STEP", "ID"], ["approval check login-page", "check/approval/login-page"], ["clean up", "clean-up"]] {
        assert!(rows.iter().any(|found| *found == row), "{row:?}: {}", steps.out);
    }
    let other = whole(&super::scenes::core_steps()).replace("login-page", "another-page");
    hub.map("core-steps", json!({"plan.json": other})).await;
    let refused = hub.p861(&["plan", "check", "core", "--steps"]);
    assert!(refused.code == 3 && refused.err.contains("are not those of plan core: their digests differ"), "{refused:?}");
    assert!(hub.p861(&["plan", "show", "core"]).out.contains("! the steps in ConfigMap core-steps are not those of plan core"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_change_from_being_approved_is_said_and_a_drains_loss_has_its_own_line() {
    let hub = Hub::of("drains").await;
    let spec = |node: &str| {
        json!({"type": "Change", "title": {"en": "Disk"}, "impact": "Low", "urgency": "Low", "requestedBy": "li",
            "change": {"class": "Normal", "work": {"drainNode": {"siteRef": {"name": "xinxi-dasha"}, "nodeName": node}}}})
    };
    hub.declare_as("li", "MaintenanceTicket", "missing", spec("n9")).await;
    let missing = "site xinxi-dasha has no node n9: kubectl get nodes";
    hub.write("MaintenanceTicket", "missing", json!({"phase": "Open", "conditions": [condition("Approved", "False", "NodeMissing", missing)]})).await;
    let refused = hub.p861(&["ticket", "approve", "missing", "--no-wait"]);
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (3, "error: ticket missing can't be approved as it is: site xinxi-dasha has no node n9: kubectl get nodes; nothing was created\n")
    );
    hub.declare_as("li", "MaintenanceTicket", "lossy", spec("n1")).await;
    let lost = condition("DrainSafe", "False", "PodHasLocalData", "the emptyDir data of pod a/cache is deleted by the drain");
    let counted = condition("Approved", "False", "ApprovalsMissing", "0 of 1; it is never the one who asked for it");
    hub.write("MaintenanceTicket", "lossy", json!({"phase": "Planned", "conditions": [counted, lost]})).await;
    let page = hub.p861(&["ticket", "show", "lossy"]);
    let line = |word: &str| page.lines().into_iter().find(|line| line.contains(word)).unwrap_or_default().to_owned();
    assert!(line("DrainSafe").contains("the emptyDir data of pod a/cache is deleted") && !line("Approved").contains("emptyDir"), "{}", page.out);
}

/// The steps of work by hand, which asks this.
fn by_hand(question: &str) -> Plan<Action> {
    let id = StepId::new("manual").expect("an id");
    let asks = Step::new(id, Action::Ask {}, SignedDuration::from_hours(1)).needs_person(Prompt::new(LocalizedText::written(question)));
    Plan::new(vec![asks]).expect("a plan")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_on_every_page_is_the_one_that_was_said_last() {
    let hub = Hub::of("lastplan").await;
    let spec = json!({"type": "Change", "title": {"en": "Cables"}, "impact": "Low", "urgency": "Low", "requestedBy": "li",
        "change": {"class": "Normal", "work": {"manual": {}}, "plan": {"en": "one cable"}},
        "actions": [{"action": "Plan", "note": "replace the whole rack", "by": "li"}, {"action": "Plan", "note": "no word of this", "by": "li"}]});
    hub.declare_as("li", "MaintenanceTicket", "chg-1", spec).await;
    let seen: MaintenanceTicket = serde_json::from_value(hub.get("MaintenanceTicket", "chg-1").await).expect("a ticket");
    let refused = json!([{"index": 1, "action": "Plan", "why": "it is suspended: Resume it first"}]);
    let refusals: Vec<_> = serde_json::from_value(refused.clone()).expect("refusals");
    let planned = Planned::among(&seen.spec, 2, &refusals);
    let steps = by_hand("replace the whole rack");
    let work = Work { planned: planned.clone(), ..Work::compiled(Ok(steps.digest().to_owned())) };
    let digest = plan_digest(&seen.spec, &planned, Some(&work)).expect("a digest");
    let status = json!({"observedGeneration": 1, "observedActions": 2, "refusedActions": refused, "phase": "Planned", "priority": "P4", "planDigest": digest});
    hub.write("MaintenanceTicket", "chg-1", status).await;
    hub.map("chg-1.steps", json!({"plan.json": whole(&steps)})).await;
    let page = hub.p861(&["ticket", "show", "chg-1"]);
    let approved = hub.p861(&["ticket", "approve", "chg-1", "--digest", &digest, "--no-wait"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    for said in [&page, &approved] {
        assert!(said.out.matches("replace the whole rack").count() >= 2, "as the plan, and as what the step asks: {said:?}");
        assert!(!said.out.contains("one cable"), "{said:?}");
    }
    let plan = page.lines().into_iter().find(|line| line.starts_with("how ")).unwrap_or_default().to_owned();
    assert!(plan.ends_with("replace the whole rack"), "{plan:?}\n{}", page.out);
}
