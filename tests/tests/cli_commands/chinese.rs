//! Pages in Chinese have no English words: names, kinds and commands aside, and what other programs said, which stands in “quotation marks”.

use super::{
    english::{english_words, has_english_stops},
    hub::{Hub, condition},
    scenes::{asking, rest, running},
};
use serde_json::json;

/// Names of what stands on the hub.
const NAMES: [&str; 34] = [
    "approval",
    "portal",
    "core",
    "main",
    "waits",
    "announce",
    "preflight",
    "isolate",
    "services",
    "public",
    "night",
    "pages",
    "shinan",
    "critical",
    "general",
    "yx",
    "clean",
    "up",
    "Shinan",
    "District",
    "Online",
    "election",
    "nobody",
    "app",
    "plan",
    "answered",
    "Complete",
    "administrator",
    "mail",
    "shifts",
    "platform",
    "duty",
    "ticket",
    "bulletin",
];

#[test]
fn stops_as_in_english_are_seen_only_beside_chinese() {
    for (line, seen) in [
        ("1个卷, 576 KiB", true),
        ("b-1, 已存储", true),
        ("无残留。 报告", true),
        ("备份 (b-1)", true),
        ("原因: 超时", true),
        ("approval, portal", false),
        ("1个卷，576 KiB", false),
        ("备份 “a, 乙”", false),
        ("离开？任务继续。  q 离开", false),
    ] {
        assert_eq!(has_english_stops(line), seen, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h27_a_chinese_page_has_no_english_words() {
    let hub = Hub::of("pages").await;
    hub.repository().await;
    hub.policy("critical").await;
    let overdue = condition("Recoverable", "False", "VerificationTooOld", "last Probed 2026-11-15, allowed 168h: run a drill of its plan");
    hub.application("approval", 3, condition("Recoverable", "True", "Proven", "approval-20261124-0230 was restored and probed")).await;
    hub.application("portal", 5, overdue).await;
    hub.plan(false).await;
    hub.steps().await;
    hub.backup("approval-1", "approval", 3, "Probed").await;
    hub.ended_drill("core-20261115-0900", true).await;
    hub.ended_drill("core-20261114-0900", false).await;
    let steps = json!([asking("waits", "announce"), running("restore/portal/volume/site-files", "its mover starts; before: no answer within 10 s")]);
    hub.drill("waits", "WaitingForPerson", steps).await;
    rest(&hub).await;
    let mut found = Vec::new();
    for words in [
        "status",
        "app list",
        "app status approval",
        "app status portal",
        "repository list",
        "repository show main",
        "policy list",
        "policy show critical",
        "backup calendar",
        "backup calendar approval",
        "backup list",
        "backup list -o wide",
        "backup show approval-1",
        "plan list",
        "plan show core",
        "plan check core",
        "plan check core --steps",
        "drill list",
        "drill show core-20261115-0900",
        "drill show core-20261114-0900",
        "drill show waits",
        "platform status",
        "platform gaps",
        "platform forecast",
        "window list",
        "window list -o wide",
        "window show night",
        "template list",
        "template show replace-a-disk",
        "ticket list",
        "ticket list -o wide",
        "ticket show inc-20261124-ab12",
        "ticket show upgrade-bulletin",
        "duty now",
        "app status nobody",
        "drill abort waits --no-wait",
        "drill resume waits",
        "drill retry core-20261115-0900 preflight",
    ] {
        let said = hub.p861(&words.split(' ').chain(["--lang", "zh"]).collect::<Vec<_>>());
        for line in said.out.lines().chain(said.err.lines()) {
            let english: Vec<String> = english_words(line).into_iter().filter(|word| !NAMES.contains(&word.as_str())).collect();
            if !english.is_empty() {
                found.push(format!("{words}: {english:?} in {line:?}"));
            }
            if has_english_stops(line) {
                found.push(format!("{words}: a stop as in English in {line:?}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
