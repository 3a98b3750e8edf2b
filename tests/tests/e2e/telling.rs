//! What the operator tells: metrics that Prometheus reads, columns, conditions, Events, and one page for a person.

use p861_testbed::bed::{BedError, Result, until};
use p861_tests::follow::{REPLICAS, replicas};
use p861_tests::scenes::{Scene, demand};
use p861_tests::{Look as _, Stage};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// When everything else has been played: one for each stage.
pub const OF_EACH_STAGE: [&[Scene]; 3] = [
    &[("no secret stands in a log, a status, an Event or a journal that a third of the scenes left", no_secret_is_told)],
    &[("no secret stands in a log, a status, an Event or a journal that another third left", no_secret_is_told)],
    &[("no secret stands in a log, a status, an Event or a journal that the last third left", no_secret_is_told)],
];

pub const SCENES: &[Scene] = &[
    ("Prometheus reads the operator's metrics, and every rule can be evaluated", prometheus_reads),
    ("the one page of p861 says what runs, what is protected and what needs a person", the_one_page),
    ("a plan that was drilled says so, and predicts its RTO", a_drilled_plan),
];

fn ask(stage: &Stage, path: &str) -> std::result::Result<Value, String> {
    let answer = p861_testbed::services::http::request(stage.bed.services.prometheus(), "GET", path, &[], &[]).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_str(&answer.body).map_err(|error| format!("{error}: {}", answer.body))?;
    if value["status"] == "success" { Ok(value["data"].clone()) } else { Err(value.to_string()) }
}

fn prometheus_reads(stage: &Stage) -> Result<()> {
    each_replica_is_scraped(stage)?;
    for query in
        ["p861_operator_leader", "p861_backup_last_success_timestamp_seconds", "p861_repository_ready", "p861_site_reachable", "p861_drill_last_result"]
    {
        until(&format!("Prometheus has {query}"), Duration::from_mins(2), || {
            let data = ask(stage, &format!("/api/v1/query?query={query}"))?;
            if data["result"].as_array().is_some_and(|all| !all.is_empty()) { Ok(()) } else { Err(data.to_string()) }
        })?;
    }
    until("every rule is healthy", Duration::from_mins(1), || {
        let data = ask(stage, "/api/v1/rules")?;
        let rules: Vec<&Value> = data["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array().into_iter().flatten()).collect();
        let ill: Vec<_> = rules.iter().filter(|rule| rule["health"] != "ok").map(|rule| rule["name"].to_string()).collect();
        if rules.len() > 10 && ill.is_empty() { Ok(()) } else { Err(format!("{} rules, not healthy: {ill:?}", rules.len())) }
    })
}

/// Prometheus scrapes the replicas that there are, and no other.
pub fn each_replica_is_scraped(stage: &Stage) -> Result<()> {
    until("Prometheus scrapes the replicas that there are", Duration::from_mins(2), || {
        let pods = stage.standby().and_then(|hub| hub.get(&REPLICAS)).map_err(|error| error.to_string())?;
        let wanted: BTreeSet<String> = replicas(&pods).into_iter().map(|replica| replica.address).collect();
        let data = ask(stage, "/api/v1/targets?state=active")?;
        let targets = data["activeTargets"].as_array().into_iter().flatten();
        let address = |target: &Value| target["discoveredLabels"]["__address__"].as_str().unwrap_or_default().to_owned();
        let good = targets.clone().all(|target| target["health"] == "up") && targets.map(address).collect::<BTreeSet<String>>() == wanted;
        if good && wanted.len() == 2 { Ok(()) } else { Err(format!("{wanted:?}, and {data}")) }
    })
}

fn the_one_page(stage: &Stage) -> Result<()> {
    for (language, words) in [("en", ["SITES", "PROTECTION", "RECOVERY", "shinan-core"]), ("zh", ["站点", "保护", "恢复", "shinan-core"])] {
        let said = stage.say(&["status", "--lang", language])?;
        demand(matches!(said.code, 0 | 4), || format!("p861 status: {}", said.all()))?;
        demand(words.iter().all(|word| said.out.contains(word)), || format!("p861 status --lang {language}: {}", said.all()))?;
    }
    let list = stage.standby()?.kubectl(&["get", "papp,rplan,drill,pbk,brepo", "--namespace", "shinan"])?;
    demand(["PROTECTED", "ACTIVE", "RESULT", "DATA-AS-OF", "CHECKED"].iter().all(|column| list.contains(column)), || format!("columns: {list}"))
}

fn a_drilled_plan(stage: &Stage) -> Result<()> {
    let plan = stage.standby()?.wait(
        "the plan says that it was drilled",
        Duration::from_mins(2),
        &["--namespace", "shinan", "recoveryplan", "shinan-core"],
        |seen| {
            let predicted = seen["status"]["prediction"]["rto"].as_str().is_some();
            if predicted { Ok(seen.clone()) } else { Err(seen["status"].to_string()) }
        },
    )?;
    demand(!plan["status"].to_string().is_empty(), String::new)?;
    let check = stage.json(&["plan", "check", "shinan-core"])?;
    demand(check["kind"] == "PlanCheck", || format!("p861 plan check: {check}"))
}

fn no_secret_is_told(stage: &Stage) -> Result<()> {
    let hub = stage.standby()?;
    let mut secrets = Vec::new();
    for (name, key) in [("repository-key", "password"), ("repository-s3", "secretAccessKey")] {
        let value = stage.object("secret", name)?["data"][key].as_str().unwrap_or_default().to_owned();
        secrets.push((format!("{name}/{key}"), p861_tests::install::decoded(&value)?));
    }
    let application = stage.primary()?.get(&["secret", "--namespace", "shinan-approval", "approval-db"])?;
    secrets.push(("approval-db/password".to_owned(), p861_tests::install::decoded(application["data"]["password"].as_str().unwrap_or_default())?));
    let told = [
        (
            "the operator's log",
            hub.kubectl(&["logs", "--namespace", p861_tests::install::SYSTEM, "--selector=app.kubernetes.io/component=operator", "--tail=-1"])?,
        ),
        ("objects and Events", hub.kubectl(&["get", "p861,configmaps,events", "--namespace", "shinan", "--output", "json"])?),
        ("Events of the primary", stage.primary()?.kubectl(&["get", "events,jobs", "--all-namespaces", "--output", "json"])?),
    ];
    for (place, text) in &told {
        for (name, secret) in &secrets {
            if secret.len() < 8 {
                return Err(BedError::Refused(format!("{name} has no value that could be looked for")));
            }
            demand(!text.contains(secret.as_str()), || format!("{place} tell {name}"))?;
        }
    }
    Ok(())
}
