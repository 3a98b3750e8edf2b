//! Watching a run: its page at the end, a line per change before, and how it is left.

use super::{
    hub::{Hub, Running},
    scenes::{asking, drill_status, failed, running},
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_has_ended_shows_its_page_whoever_asks() {
    let hub = Hub::of("ended").await;
    hub.plan(true).await;
    hub.ended_drill("passed", true).await;
    hub.ended_drill("failed", false).await;
    let page = [
        "Drill passed PASSED · 2026-11-15 09:00:02 to 09:11:26 · xinxi-dasha untouched",
        "APPLICATION  RTO    RTO TARGET  RPO     RPO TARGET  PROOF   CHECKS  FROM",
        "approval     5m48s  30m         10m11s  15m         marker  3/3     approval-20261115-0850",
        "portal       8m41s  30m         10m11s  15m         marker  3/3     portal-20261115-0850",
        "plan         8m41s  30m",
        "Longest: portal volume site-files 4m12s, approval stream approval-db 1m31s. Retried: 1. Skipped by a person: 0.",
        "Cleaned up: 2 namespaces; nothing left. Report: p861 drill report passed -o html -d ended > report.html",
    ];
    for verb in ["show", "watch", "report"] {
        let said = hub.p861(&["drill", verb, "passed"]);
        assert_eq!((said.code, said.lines()), (0, page.to_vec()), "{verb}: {said:?}");
    }
    let failed = hub.p861(&["drill", "watch", "failed"]);
    assert_eq!(failed.code, 4, "a drill that failed is bad: {failed:?}");
    assert!(
        failed.out.starts_with("Drill failed FAILED · ")
            && failed.out.contains("✗ Succeeded  check/portal/home-page: answered 500  p861 explain ChecksFailed\n"),
        "{}",
        failed.out
    );
    for verb in ["show", "report"] {
        assert_eq!(hub.p861(&["drill", verb, "failed"]).code, 4, "{verb}: who shows it says the same as who watches it");
    }
    let list = hub.p861(&["drill", "list", "core"]);
    assert!(list.out.contains("passed  core  isolated  succeeded  passed  8m41s  True   2026-11-15 09:00"), "{}", list.out);
    let slip = hub.p861(&["drill", "list", "cor"]);
    assert_eq!((slip.code, slip.err.as_str()), (3, "error: there is no plan cor in namespace ended, perhaps core: p861 -d ended drill list core\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_written_as_it_is_unless_it_was_changed() {
    let hub = Hub::of("reports").await;
    hub.ended_drill("ended", true).await;
    assert_eq!(hub.p861(&["drill", "report", "ended", "-o", "html"]).out, "<!doctype html><title>Drill</title>\n");
    let report = hub.p861(&["drill", "report", "ended", "-o", "json"]);
    assert_eq!(report.json()["cleanUp"]["removed"], json!(["a", "b"]));
    hub.write("Drill", "ended", json!({"report": {"html": "s3://b/r.html", "json": "s3://b/r.json", "digest": "sha256:0000"}})).await;
    let changed = hub.p861(&["drill", "report", "ended", "-o", "html"]);
    assert_eq!((changed.code, changed.out.as_str()), (3, ""), "a report that somebody changed is no report");
    assert!(changed.err.starts_with("error: the report of drill ended was changed: "), "{}", changed.err);
    hub.drill("goes-on", "Running", json!([])).await;
    let early = hub.p861(&["drill", "report", "goes-on", "-o", "json"]);
    assert_eq!((early.code, early.err.as_str()), (3, "error: drill goes-on has not ended: p861 drill watch goes-on -d reports\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_each_change_is_a_line_and_the_page_follows() {
    let hub = Hub::of("lines").await;
    hub.steps().await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let watch = Running::start(hub.command(&["drill", "watch", "d"]));
    watch.until("started   isolate");
    hub.write("Drill", "d", drill_status("Running", 3, json!([running("restore/approval/stream/approval-db", "1.3 GiB of 1.8 GiB")]))).await;
    watch.until("started   approval stream approval-db");
    let again = json!({"id": "restore/approval/stream/approval-db", "phase": "Running", "attempt": 2, "message": "its mover starts; before: S3 was down"});
    hub.write("Drill", "d", drill_status("Running", 3, json!([again]))).await;
    watch.until("again");
    hub.ended_drill("d", true).await;
    let said = watch.end();
    assert_eq!(said.code, 0, "{said:?}");
    // Without the time, before which a day may stand.
    let untimed = |line: &&str| line.split_whitespace().skip_while(|word| word.starts_with(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = said.lines().iter().map(untimed).collect();
    let expected = [
        "done preflight",
        "started isolate",
        "phase running · 2 of 6 steps",
        "done isolate",
        "started approval stream approval-db",
        "again approval stream approval-db · 2nd attempt · its mover starts; before: S3 was down",
        "done approval stream approval-db",
        "done clean up",
        "phase succeeded · 34 of 34 steps",
    ];
    let mut rest = lines.iter();
    for line in expected {
        assert!(rest.any(|seen| seen.starts_with(line)), "{line:?} is missing, or stands in another place:\n{}", said.out);
    }
    assert!(said.out.contains("Drill d PASSED"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "no colour: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_an_object_a_line_while_they_watch() {
    let hub = Hub::of("stream").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let watch = Running::start(hub.command(&["drill", "watch", "d", "-o", "json", "--lang", "zh"]));
    watch.until("\"Running\"");
    hub.ended_drill("d", false).await;
    let said = watch.end();
    assert_eq!((said.code, said.err.as_str()), (4, ""));
    let phases: Vec<Value> =
        said.lines().iter().map(|line| serde_json::from_str::<Value>(line).expect("an object a line")["status"]["phase"].clone()).collect();
    assert_eq!((phases.first(), phases.last()), (Some(&json!("Running")), Some(&json!("Failed"))), "{phases:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_a_run_and_waits_gets_one_document() {
    let hub = Hub::of("document").await;
    hub.plan(true).await;
    let said = hub.p861(&["drill", "run", "core", "-o", "json", "--timeout", "2s"]);
    assert_eq!(said.code, 7, "{said:?}");
    assert_eq!(said.json()["kind"], "Drill", "one document, however often the run changed: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_timeout_the_run_goes_on_and_it_is_said_how_to_come_back() {
    let hub = Hub::of("timeouts").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let said = hub.p861(&["drill", "watch", "d", "--timeout", "1s"]);
    assert_eq!((said.code, said.err.as_str()), (7, "--timeout has passed; drill d continues: p861 drill watch d -d timeouts\n"));
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([]), "nothing was asked of it");
    let now = hub.p861(&["drill", "watch", "d", "--no-wait"]);
    assert_eq!(now.code, 0);
    assert!(now.out.contains("running · 2 of 6 steps"), "{}", now.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_asked_is_told_that_a_person_is_waited_for() {
    let hub = Hub::of("persons").await;
    hub.drill("asks", "WaitingForPerson", json!([asking("asks", "announce")])).await;
    hub.drill("failed", "WaitingForPerson", json!([failed("failed", "check/approval/login-page")])).await;
    let asks = hub.p861(&["drill", "watch", "asks"]);
    assert_eq!(
        (asks.code, asks.err.as_str()),
        (5, "! announce waits for a person: Was the hotline called?: p861 drill answer asks announce --yes -d persons\n")
    );
    let zh = hub.p861(&["drill", "watch", "asks", "--lang", "zh"]);
    assert_eq!(zh.err, "! announce 等待人工：热线已通知？：p861 drill answer asks announce --yes -d persons\n");
    let failed = hub.p861(&["drill", "watch", "failed"]);
    assert_eq!(failed.code, 5);
    assert!(
        failed.err.contains("failed: the page answered 500; retry, skip or abort: p861 drill retry failed check/approval/login-page -d persons"),
        "{}",
        failed.err
    );
    assert_eq!(hub.p861(&["drill", "watch", "asks", "--no-wait"]).code, 5);
    // As long as something else goes on, nobody is waited for.
    hub.drill("busy", "WaitingForPerson", json!([asking("busy", "announce"), running("isolate", "under way")])).await;
    assert_eq!(hub.p861(&["drill", "watch", "busy", "--timeout", "1s"]).code, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_the_run_alone_and_says_how_to_come_back() {
    let hub = Hub::of("interrupts").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let watch = Running::start(hub.command(&["drill", "watch", "d"]));
    watch.until("started   isolate");
    watch.interrupt();
    let said = watch.end();
    assert_eq!((said.code, said.err.as_str()), (130, "drill d continues: p861 drill watch d -d interrupts\n"));
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([]), "nothing was asked of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_deleted_under_the_watchers_eyes_is_not_called_good() {
    let hub = Hub::of("gone").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let watch = Running::start(hub.command(&["drill", "watch", "d"]));
    watch.until("started   isolate");
    hub.api("Drill").delete("d", &kube::api::DeleteParams::default()).await.expect("deleted");
    let said = watch.end();
    assert_eq!((said.code, said.err.as_str()), (4, "error: drill d was deleted\n"));
    let absent = hub.p861(&["drill", "watch", "d"]);
    assert_eq!((absent.code, absent.err.as_str()), (3, "error: there is no drill d in namespace gone: p861 drill list -d gone\n"));
}
