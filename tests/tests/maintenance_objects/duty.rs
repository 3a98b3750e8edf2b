//! Who is on duty, and how the duty is handed over.

use super::stage::{COLLEAGUE, DISTRICT, ENGINEER, LEADER, api, is, refusal, stage};
use kube::api::{Patch, PatchParams};
use serde_json::json;

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
    assert!(code == 0 && said.contains("10分钟内无人响应则呼叫") && said.lines().any(|line| line.starts_with("duty") && line.contains(&on_duty)), "{said}");
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
