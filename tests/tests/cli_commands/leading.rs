//! While no operator leads, that is said wherever somebody waits or looks: with since when, and once.

use super::{
    hub::{Hub, Running, ago, condition},
    scenes::{asking, running},
};
use jiff::SignedDuration;
use serde_json::json;

/// A lease that holds for 15 s, renewed so many hours ago, in the district's own namespace: other districts have their own.
async fn led_until(hub: &Hub, hours: i64) {
    hub.beat(hub.district, SignedDuration::from_secs(15), SignedDuration::from_hours(hours)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h7_whatever_is_looked_at_while_no_operator_leads_is_told_to_be_old() {
    let hub = Hub::of("leaderless").await;
    hub.application("approval", 3, condition("Recoverable", "True", "Proven", "x")).await;
    hub.plan(true).await;
    hub.repository().await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    led_until(&hub, 12).await;
    let elsewhere = ["--operator-namespace", hub.district];
    for words in [
        "app status approval",
        "app list",
        "plan show core",
        "plan check core",
        "repository list",
        "site list",
        "drill show d",
        "drill watch d --no-wait",
        "ticket list",
        "window list",
        "backup calendar",
        "app status approval --output json",
    ] {
        let said = hub.p861(&[words.split(' ').collect::<Vec<_>>().as_slice(), &elsewhere].concat());
        let warnings: Vec<&str> = said.err.lines().filter(|line| line.contains("no operator")).collect();
        let [warning] = warnings.as_slice() else { panic!("{words} says it {} times: {said:?}", warnings.len()) };
        assert!(warning.starts_with("! no operator has led since ") && warning.contains(" (12h ago): the state shown is of that time"), "{words}: {warning}");
        assert!(warning.ends_with(": kubectl -n leaderless get pods"), "{words}: {warning}");
        let now = hub.p861(&words.split(' ').collect::<Vec<_>>());
        assert!(!now.err.contains("no operator") && now.code == said.code, "an operator leads there: {now:?}");
        assert_eq!(now.out.is_empty(), said.out.is_empty(), "{words}");
    }
    let status = hub.p861(&["status", "--operator-namespace", hub.district]);
    assert_eq!((status.code, status.err.as_str()), (4, ""), "that page says it among what needs a person, and once: {status:?}");
    assert_eq!(status.out.matches("no operator has led since").count(), 1, "{}", status.out);
    let zh = hub.p861(&["app", "status", "approval", "--lang", "zh", "--operator-namespace", hub.district]);
    assert!(zh.err.contains("起 operator 没有领导者：所示为当时的状态"), "{}", zh.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h7_an_action_that_nobody_reads_says_that_no_operator_leads() {
    let hub = Hub::of("unread").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    led_until(&hub, 7).await;
    let said = hub.p861(&["drill", "pause", "d", "--timeout", "1s", "--operator-namespace", hub.district]);
    assert_eq!(said.code, 7);
    let last = said.err.lines().last().expect("a line");
    assert!(last.starts_with("! no operator has led since "), "{last}");
    assert!(last.contains(" (7h ago), so nobody has read it after 1 s; it is recorded in drill d and will be read: kubectl -n unread get pods, "), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h7_who_watches_line_by_line_is_told_once_when_the_operator_goes_and_when_one_leads_again() {
    let hub = Hub::of("goes").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    hub.beat(hub.district, SignedDuration::from_secs(1), SignedDuration::ZERO).await;
    let watch = Running::start(hub.command(&["drill", "watch", "d", "--operator-namespace", hub.district]));
    watch.until("started   isolate");
    watch.until("! no operator has led since ");
    // It stays so for longer than the lease is read again.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    hub.beat(hub.district, SignedDuration::from_hours(1), SignedDuration::ZERO).await;
    watch.until("an operator leads again");
    hub.ended_drill("d", true).await;
    let said = watch.end();
    assert_eq!(said.code, 0, "{said:?}");
    let told: Vec<&str> = said.err.lines().collect();
    assert_eq!(told.len(), 2, "each is said once: {said:?}");
    assert!(told[0].ends_with(": nothing goes on until one does"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h1_a_drill_that_is_kept_shows_what_is_done_and_what_failed_however_late_one_looks() {
    let hub = Hub::of("late").await;
    hub.drill("d", "WaitingForPerson", json!([asking("d", "check/approval/login-page")])).await;
    let steps = json!({"total": 6, "done": 3, "failed": 1, "waiting": 2, "states": "dddfww"});
    hub.write("Drill", "d", json!({"startTime": ago(SignedDuration::from_hours(2)), "steps": steps})).await;
    for verb in ["show", "watch"] {
        let said = hub.p861(&["drill", verb, "d", "--no-wait"]);
        for line in [
            "waiting for a person · 3 of 6 steps, 1 failed",
            "✓ preflight, isolate",
            "  ✓ stream approval-db",
            "  ? check login-page            Was the hotline called?",
            "✗ portal",
            "  ✗ volume site-files           failed",
            "· clean up",
        ] {
            assert!(said.lines().iter().any(|seen| seen.starts_with(line)), "{verb}: {line:?} is not in\n{}", said.out);
        }
    }
}
