//! What people ask of a run: it is appended to the run's actions, with a reason and a name, and waited for until the operator has read it.

use super::{
    hub::{Hub, Running},
    scenes::{asking, failed, running},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn abort_appends_an_action_with_its_reason_and_the_name_of_who_asked() {
    let hub = Hub::of("aborts").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let silent = hub.p861(&["drill", "abort", "d"]);
    assert_eq!((silent.code, silent.err.as_str()), (2, "error: Abort needs --reason: it is recorded in the journal and the report\n"));
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([]), "nothing was sent");

    let said = hub.p861(&["drill", "abort", "d", "--reason", "wrong day", "--no-wait"]);
    assert_eq!((said.code, said.err.as_str()), (0, "Abort was requested\n"));
    let action = json!({"action": "Abort", "reason": "wrong day", "by": "administrator"});
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([action]));

    let more = hub.p861(&["drill", "pause", "d", "--no-wait"]);
    assert_eq!(more.code, 0, "{more:?}");
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([action, {"action": "Pause", "by": "administrator"}]), "what was asked before stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_waited_for_until_the_operator_has_read_it() {
    let hub = Hub::of("reads").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let waits = Running::start(hub.command(&["drill", "pause", "d", "--reason", "lunch", "--timeout", "60s"]));
    hub.wait("the action stands there", "Drill", "d", |drill| drill["spec"]["actions"].as_array().is_some_and(|actions| actions.len() == 1)).await;
    hub.write("Drill", "d", json!({"observedActions": 1, "phase": "Paused"})).await;
    let said = waits.end();
    assert_eq!((said.code, said.err.as_str()), (0, "Pause was requested\nthe operator has read it; drill d is Paused: p861 drill watch d -d reads\n"));

    let unread = hub.p861(&["drill", "resume", "d", "--timeout", "1s"]);
    assert_eq!(unread.code, 7);
    assert!(
        unread.err.contains(
            "! the operator has not read it after 1 s; it is recorded in drill d and will be read: kubectl -n p861-system get pods, p861 drill watch d -d reads"
        ),
        "{}",
        unread.err
    );

    let waits = Running::start(hub.command(&["drill", "abort", "d", "--reason", "enough", "--timeout", "60s"]));
    waits.until("Abort was requested");
    hub.wait("the action stands there", "Drill", "d", |drill| drill["spec"]["actions"].as_array().is_some_and(|actions| actions.len() == 3)).await;
    waits.interrupt();
    let left = waits.end();
    assert_eq!((left.code, left.err.as_str()), (130, "Abort was requested\ndrill d continues: p861 drill watch d -d reads\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_that_waits_is_found_and_several_must_be_named() {
    let hub = Hub::of("answers").await;
    hub.drill("d", "WaitingForPerson", json!([asking("d", "announce"), failed("d", "check/approval/login-page")])).await;
    let unsaid = hub.p861(&["drill", "answer", "d"]);
    let words = "error: say which answer is meant: p861 drill answer d --yes -d answers, or p861 drill answer d --no -d answers; nothing was requested\n";
    assert_eq!((unsaid.code, unsaid.err.as_str()), (2, words), "nobody says yes by saying nothing");
    let said = hub.p861(&["drill", "answer", "d", "--yes", "--no-wait"]);
    assert_eq!((said.code, said.err.as_str()), (0, "Answer announce was requested\n"));
    let said = hub.p861(&["drill", "answer", "d", "announce", "--no", "--reason", "nobody picked up", "--no-wait"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = hub.p861(&["drill", "retry", "d", "--no-wait"]);
    assert_eq!((said.code, said.err.as_str()), (0, "Retry check/approval/login-page was requested\n"));
    let by = "administrator";
    assert_eq!(
        hub.get("Drill", "d").await["spec"]["actions"],
        json!([
            {"action": "Answer", "step": "announce", "answer": "yes", "by": by},
            {"action": "Answer", "step": "announce", "answer": "no", "reason": "nobody picked up", "by": by},
            {"action": "Retry", "step": "check/approval/login-page", "by": by},
        ])
    );
    let which = hub.p861(&["drill", "skip", "d", "--reason", "known"]);
    assert_eq!((which.code, which.err.as_str()), (2, "error: several steps of drill d wait; name one: announce, check/approval/login-page\n"));
    let question = hub.p861(&["drill", "retry", "d", "announce"]);
    assert_eq!((question.code, question.err.as_str()), (3, "error: step announce asks a question: p861 drill answer d announce --yes -d answers, or --no\n"));
    hub.drill("busy", "Running", json!([running("isolate", "under way")])).await;
    let none = hub.p861(&["drill", "answer", "busy", "--yes"]);
    assert_eq!((none.code, none.err.as_str()), (3, "error: no step of drill busy is waiting for that: p861 drill show busy -d answers\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_i5_a_step_that_waits_for_no_person_is_found_by_a_skip_and_several_are_named() {
    let hub = Hub::of("skips").await;
    hub.drill("one", "Running", json!([running("start/approval/rest", "1 of 2 ready; waits for Deployment/old 0/1")])).await;
    let said = hub.p861(&["drill", "skip", "one", "--reason", "old never runs", "--no-wait"]);
    assert_eq!((said.code, said.err.as_str()), (0, "Skip start/approval/rest was requested\n"));
    hub.drill("two", "Running", json!([running("start/approval/rest", "waits"), running("start/portal/rest", "waits")])).await;
    let which = hub.p861(&["drill", "skip", "two", "--reason", "known"]);
    assert_eq!((which.code, which.err.as_str()), (2, "error: several steps of drill two wait; name one: start/approval/rest, start/portal/rest\n"));
    hub.drill("none", "Running", json!([])).await;
    let none = hub.p861(&["drill", "skip", "none", "--reason", "known"]);
    assert_eq!((none.code, none.err.as_str()), (3, "error: no step of drill none is waiting for that: p861 drill show none -d skips\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_copy_says_until_when_and_whoever_keeps_it_longer_is_told_the_new_end() {
    let hub = Hub::of("kept").await;
    let spec = json!({"planRef": {"name": "core"}, "type": "Isolated", "keepFor": "15m"});
    let hold = |until: &str| {
        json!({"id": "hold", "phase": "WaitingForPerson", "attempt": 1, "startTime": "2026-11-24T00:50:00Z", "deadlineTime": until, "message": "0 of 1 answered",
            "prompt": {"zh": "现在清理副本吗？", "en": "Clean up now?"}, "remedy": "p861 drill answer d hold --yes"})
    };
    hub.put("Drill", "d", spec.clone(), json!({"phase": "WaitingForPerson", "observedActions": 0, "currentSteps": [hold("2026-11-24T01:05:00Z")]})).await;
    let kept = "the copy is kept until 2026-11-24 09:05:00";
    for words in [["drill", "show", "d"].as_slice(), &["status"], &["drill", "watch", "d"]] {
        let said = hub.p861(words);
        let asked = format!("{kept}. Clean up now?");
        assert!(said.out.contains(&asked) || said.err.contains(&asked), "{words:?}: {said:?}");
    }
    for (number, (words, until, said)) in [
        (["extend", "d", "30m"].as_slice(), "2026-11-24T01:35:00Z", "the copy is kept until 2026-11-24 09:35:00"),
        (&["answer", "d", "hold", "--no"], "2026-11-24T01:35:00Z", "the copy is kept until 2026-11-24 09:35:00"),
    ]
    .into_iter()
    .enumerate()
    {
        let waits = Running::start(hub.command(&[&["drill"], words, &["--timeout", "60s"]].concat()));
        hub.wait("the action stands there", "Drill", "d", |drill| drill["spec"]["actions"].as_array().is_some_and(|actions| actions.len() == number + 1)).await;
        hub.write("Drill", "d", json!({"observedActions": number + 1, "currentSteps": [hold(until)]})).await;
        let told = waits.end();
        assert!(told.code == 0 && told.err.ends_with(&format!("{said}\n")), "{words:?}: {told:?}");
    }
    // Before there is anything to look at, a clean-up means that nothing is kept.
    hub.put("Drill", "early", spec, json!({"phase": "Running", "observedActions": 0, "currentSteps": [running("isolate", "under way")]})).await;
    let early = hub.p861(&["drill", "cleanup", "early", "--no-wait"]);
    assert!(early.code == 0 && early.err.contains("its copy will be removed as soon as the checks have ended"), "{early:?}");
    let longer = hub.p861(&["drill", "extend", "early", "30m", "--no-wait"]);
    assert!(longer.code == 0 && longer.err.contains("the copy will be kept 30m longer"), "{longer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_named_by_its_id_or_as_it_is_shown_and_one_that_is_not_there_is_refused_with_those_that_are() {
    let hub = Hub::of("stepnames").await;
    hub.drill("d", "WaitingForPerson", json!([failed("d", "restore/portal/volume/site-files")])).await;
    for (verb, typed) in [("skip", "nowhere"), ("retry", "restore/portal/volume/site-file"), ("answer", "hold")] {
        let more: &[&str] = if verb == "answer" { &["--no"] } else { &["--reason", "x"] };
        let said = hub.p861(&[&["drill", verb, "d", typed][..], more].concat());
        assert_eq!(said.code, 3, "{verb}: {said:?}");
        let steps = "its steps: preflight, isolate, restore/approval/stream/approval-db, restore/portal/volume/site-files, check/approval/login-page, clean-up";
        assert!(said.err.contains(&format!("error: drill d has no step {typed:?}")) && said.err.contains(steps), "{verb}: {}", said.err);
    }
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([]), "nothing was sent");
    for typed in ["portal volume site-files", "volume site-files", "Portal  Volume Site-files", "restore/portal/volume/site-files"] {
        let said = hub.p861(&["drill", "retry", "d", typed, "--no-wait"]);
        assert_eq!((said.code, said.err.as_str()), (0, "Retry restore/portal/volume/site-files was requested\n"), "{typed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_the_operator_refused_is_told_where_it_was_asked_and_where_the_run_is_shown() {
    let hub = Hub::of("refusals").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let waits = Running::start(hub.command(&["drill", "skip", "d", "preflight", "--reason", "known", "--timeout", "60s"]));
    hub.wait("the action stands there", "Drill", "d", |drill| drill["spec"]["actions"].as_array().is_some_and(|actions| actions.len() == 1)).await;
    let refused = json!([{"index": 0, "why": "step preflight is done; there is nothing to skip"}]);
    hub.write("Drill", "d", json!({"observedActions": 1, "refusedActions": refused})).await;
    let said = waits.end();
    assert_eq!(
        (said.code, said.err.as_str()),
        (3, "Skip preflight was requested\nerror: drill d: Skip preflight had no effect: step preflight is done; there is nothing to skip\n")
    );
    let page = hub.p861(&["drill", "show", "d"]);
    let line = "✗ Skip preflight of administrator had no effect: step preflight is done; there is nothing to skip";
    assert!(page.lines().contains(&line), "{}", page.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_have_no_effect_is_refused_and_not_sent() {
    let hub = Hub::of("effects").await;
    hub.ended_drill("ended", true).await;
    hub.drill("goes-on", "Running", json!([running("isolate", "under way")])).await;
    hub.drill("paused", "Paused", json!([])).await;
    for (words, expected) in [
        ("abort ended --reason x", "error: drill ended has ended (Succeeded): p861 drill show ended -d effects\n"),
        ("resume goes-on", "error: drill goes-on is not paused: it is Running\n"),
        ("pause paused", "error: drill paused is already Paused\n"),
        ("cleanup goes-on", "error: drill goes-on keeps no copy (it was started without --keep-for): p861 drill abort goes-on -d effects ends it early\n"),
        ("extend goes-on 1h", "error: drill goes-on keeps no copy (it was started without --keep-for): p861 drill abort goes-on -d effects ends it early\n"),
        ("abort nobody --reason x", "error: there is no drill nobody in namespace effects: p861 drill list -d effects\n"),
    ] {
        let arguments: Vec<&str> = std::iter::once("drill").chain(words.split(' ')).collect();
        let said = hub.p861(&arguments);
        assert_eq!((said.code, said.err.as_str()), (3, expected), "{words}");
    }
    for name in ["ended", "goes-on", "paused"] {
        assert_eq!(hub.get("Drill", name).await["spec"]["actions"], json!([]), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verbs_are_the_same_for_backups_and_restores() {
    let hub = Hub::of("verbs").await;
    hub.put("Backup", "b", json!({"applicationRef": {"name": "approval"}}), json!({"phase": "Running", "observedActions": 0})).await;
    hub.put("Restore", "r", json!({"source": {"backupRef": {"name": "b"}}}), json!({"phase": "Running", "observedActions": 0})).await;
    for (noun, kind, name) in [("backup", "Backup", "b"), ("restore", "Restore", "r")] {
        let said = hub.p861(&[noun, "abort", name, "--reason", "enough", "--no-wait"]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(hub.get(kind, name).await["spec"]["actions"][0], json!({"action": "Abort", "reason": "enough", "by": "administrator"}));
    }
}
