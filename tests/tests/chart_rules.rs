//! Alerts, metrics and the dashboard: checked and tested by promtool, and of one mind with the operator's source and the documents.

use crate::support::{named, promtool, render, root, text};
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const RULES: &str = "charts/p861/files/p861.rules.yaml";

fn rules() -> Value {
    serde_saphyr::from_str(&text(RULES)).expect("YAML")
}

fn alerts() -> Vec<Value> {
    let rules = rules();
    let groups = rules["groups"].as_array().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).cloned().collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&text("charts/p861/files/p861.dashboard.json")).expect("JSON")
}

/// Every query of the dashboard, with its panel's title.
fn queries(value: &Value, title: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            let title = map.get("title").and_then(Value::as_str).unwrap_or(title);
            if let Some(query) = map.get("expr").and_then(Value::as_str) {
                found.push((title.to_owned(), query.to_owned()));
            }
            map.values().for_each(|inner| queries(inner, title, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| queries(inner, title, found)),
        _ => {}
    }
}

/// The labels of every metric that the operator registers, with its type.
fn registered() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let source = text("operator/src/metrics.rs") + &text("operator/runs/src/metrics.rs");
    let with_labels = Regex::new(r#"(gauge|whole|counter|histogram)\(\s*"(p861_\w+)",\s*"[^"]*",\s*&\[([^\]]*)\]"#).expect("a pattern");
    let alone = Regex::new(r#"Int(Gauge|Counter)::new\(\s*"(p861_\w+)""#).expect("a pattern");
    let labels = |text: &str| text.split(',').map(|label| label.trim().trim_matches('"').to_owned()).filter(|label| !label.is_empty()).collect();
    let kind = |word: &str| if word == "whole" { "gauge".to_owned() } else { word.to_lowercase() };
    let mut found: BTreeMap<_, _> = with_labels.captures_iter(&source).map(|metric| (metric[2].to_owned(), (kind(&metric[1]), labels(&metric[3])))).collect();
    found.extend(alone.captures_iter(&source).map(|metric| (metric[2].to_owned(), (kind(&metric[1]), BTreeSet::new()))));
    let mentioned: BTreeSet<String> = Regex::new(r#""(p861_\w+)""#).expect("a pattern").captures_iter(&source).map(|name| name[1].to_owned()).collect();
    assert_eq!(mentioned, found.keys().cloned().collect(), "metrics.rs registers one in a form that this test does not read");
    found
}

/// The metrics of a query, without what histograms append.
fn metrics_of(query: &str, histograms: &BTreeSet<String>) -> BTreeSet<String> {
    let names = Regex::new(r"\bp861_\w+").expect("a pattern");
    names
        .find_iter(query)
        .map(|name| {
            let name = name.as_str();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).filter(|base| histograms.contains(*base));
            base.unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn promtool_finds_no_fault_in_the_rules_and_every_alert_fires_when_it_should_and_not_otherwise() {
    promtool(".", &["check", "rules", "--lint=all", "--lint-fatal", RULES]).expect("the rules are sound");
    let tests: Vec<String> = std::fs::read_dir(root().join("tests/rules"))
        .expect("tests/rules")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".test.yaml"))
        .collect();
    assert!(tests.len() >= 2, "{tests:?}");
    for file in &tests {
        promtool("tests/rules", &["test", "rules", file]).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    // Firing and not firing are both tested, of each alert.
    let mut fires: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for file in &tests {
        let document: Value = serde_saphyr::from_str(&text(&format!("tests/rules/{file}"))).expect("YAML");
        let cases = document["tests"].as_array().expect("tests").iter().flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten());
        cases.for_each(|case| {
            let expected = case["exp_alerts"].as_array().expect("exp_alerts");
            fires.entry(case["alertname"].as_str().expect("a name").to_owned()).or_default().insert(!expected.is_empty());
        });
    }
    for alert in alerts() {
        let name = alert["alert"].as_str().expect("a name");
        assert_eq!(fires.get(name), Some(&BTreeSet::from([false, true])), "{name}: a test in which it fires and one in which it does not");
    }
}

#[test]
fn fault_h10_every_alert_outlives_one_missed_scrape_and_the_test_of_that_counts_them_all() {
    for alert in alerts() {
        assert_eq!(alert["keep_firing_for"], "90s", "{}: a failed scrape takes its series away for up to a minute", alert["alert"]);
    }
    let missed: Value = serde_saphyr::from_str(&text("tests/rules/p861.missed.test.yaml")).expect("YAML");
    let counts: Vec<u64> = missed["tests"][0]["promql_expr_test"]
        .as_array()
        .expect("promql_expr_test")
        .iter()
        .filter(|case| case["expr"].as_str().is_some_and(|expr| expr.contains("ALERTS")))
        .map(|case| case["exp_samples"][0]["value"].as_u64().expect("a number"))
        .collect();
    // P861OperatorDown fires when there is no sample: it has a case of its own.
    let all_but_one = u64::try_from(alerts().len() - 1).expect("a number");
    assert_eq!(counts, [all_but_one; 3], "before, at and after the missed scrape: add a series for the new alert");
}

#[test]
fn promtool_understands_every_query_of_the_dashboard() {
    let mut found = Vec::new();
    queries(&dashboard(), "", &mut found);
    assert!(found.len() >= 15, "{found:?}");
    let folder = tempfile::tempdir().expect("a folder");
    // A query that works is one that could be recorded.
    let rules: Vec<Value> =
        found.iter().enumerate().map(|(number, (_, query))| serde_json::json!({"record": format!("panel:query:{number}"), "expr": query})).collect();
    let file = folder.path().join("dashboard.yaml");
    std::fs::write(&file, serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).expect("written");
    promtool(".", &["check", "rules", &file.to_string_lossy()]).expect("every query");
}

#[test]
fn every_alert_says_in_two_languages_what_it_is_how_bad_it_is_and_where_to_read_on() {
    let (mut seen, filled_in) = (BTreeSet::new(), Regex::new(r"\$(?:labels\.\w+|value)").expect("a pattern"));
    let spelled = Regex::new(r"\{\{ \$labels\.(?:layer|clock|result|category) \}\}").expect("a pattern");
    for alert in alerts() {
        let name = alert["alert"].as_str().expect("only alerts stand in the file").to_owned();
        assert!(name.starts_with("P861") && seen.insert(name.clone()), "{name}");
        let annotation = |key: &str| alert["annotations"][key].as_str().unwrap_or_else(|| panic!("{name} has no {key}")).to_owned();
        let (summary, summary_zh) = (annotation("summary"), annotation("summary_zh"));
        assert!(summary.is_ascii() && !summary.ends_with('.'), "{name}: {summary}");
        assert!(summary_zh.chars().any(|character| ('\u{4e00}'..='\u{9fff}').contains(&character)), "{name}: {summary_zh}");
        assert!(!spelled.is_match(&summary_zh), "{name}: a value as the API spells it, give it a word: {summary_zh}");
        let labels = |text: &str| filled_in.find_iter(text).map(|found| found.as_str().to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(labels(&summary), labels(&summary_zh), "{name}: both languages name the same");
        assert!(annotation("description").ends_with('.'), "{name}");
        assert!(["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap_or_default()), "{name}: {}", alert["labels"]);
        let runbook = annotation("runbook");
        assert_eq!(runbook, format!("runbooks/{name}.md"));
        assert!(root().join(&runbook).is_file(), "{runbook}");
        assert_eq!(alert["annotations"].as_object().expect("annotations").len(), 4, "{name}");
    }
    assert!(seen.len() >= 13, "{seen:?}");
}

#[test]
fn a_label_that_an_alert_speaks_of_is_one_that_its_query_keeps() {
    let (by, spoken) = (Regex::new(r"\bby \(([^)]*)\)").expect("a pattern"), Regex::new(r"\$labels\.(\w+)").expect("a pattern"));
    for alert in alerts() {
        let query = alert["expr"].as_str().expect("a query");
        let kept: BTreeSet<&str> =
            by.captures_iter(query).flat_map(|found| found.get(1).expect("labels").as_str().split(',').map(str::trim).collect::<Vec<_>>()).collect();
        let said = alert["annotations"].to_string();
        for label in spoken.captures_iter(&said) {
            assert!(kept.contains(&label[1]), "{}: {} is not among {kept:?}", alert["alert"], &label[1]);
        }
    }
}

#[test]
fn the_rule_object_carries_the_plain_file_s_groups_word_for_word() {
    let documents = render(&["prometheusRule.enabled=true", "prometheusRule.labels.release=monitoring"]);
    let rule = named(&documents, "PrometheusRule", "p861");
    assert_eq!(rule["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(rule["spec"], rules());
    assert_eq!(rule["metadata"]["labels"]["release"], "monitoring");
}

#[test]
fn the_dashboard_is_carried_whole_and_grafana_s_sidecar_finds_it() {
    let documents = render(&[]);
    let map = named(&documents, "ConfigMap", "p861-dashboard");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let carried: Value = serde_json::from_str(map["data"]["p861.json"].as_str().expect("text")).expect("JSON");
    assert_eq!(carried, dashboard());
    let panels = carried["panels"].as_array().expect("panels");
    let ids: BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_the_operator_has_and_by_labels_that_these_have() {
    let registered = registered();
    let histograms: BTreeSet<String> = registered.iter().filter(|(_, (kind, _))| kind == "histogram").map(|(name, _)| name.clone()).collect();
    let mut asked: Vec<(String, String)> =
        alerts().iter().map(|alert| (alert["alert"].as_str().unwrap_or_default().to_owned(), alert["expr"].as_str().unwrap_or_default().to_owned())).collect();
    queries(&dashboard(), "", &mut asked);
    let selector = Regex::new(r"\b(p861_\w+)\{([^}]*)\}").expect("a pattern");
    let label = Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*""#).expect("a pattern");
    let by = Regex::new(r"\b(?:by|on) \(([^)]*)\)").expect("a pattern");
    let mut used = BTreeSet::new();
    for (place, query) in &asked {
        let metrics = metrics_of(query, &histograms);
        for metric in &metrics {
            assert!(registered.contains_key(metric), "{place}: nobody registers {metric}");
        }
        for found in selector.captures_iter(query) {
            let metric = metrics_of(&found[1], &histograms).pop_first().expect("a metric");
            for label in label.captures_iter(&found[2]) {
                assert!(registered[&metric].1.contains(&label[1]), "{place}: {metric} has no label {}", &label[1]);
            }
        }
        let known: BTreeSet<&str> = metrics.iter().flat_map(|metric| registered[metric].1.iter().map(String::as_str)).chain(["le"]).collect();
        for found in by.captures_iter(query) {
            for label in found[1].split(',').map(str::trim) {
                assert!(known.contains(label), "{place}: no metric of it has a label {label}: {query}");
            }
        }
        used.extend(metrics);
    }
    let idle: Vec<&String> = registered.keys().filter(|metric| !used.contains(*metric)).collect();
    assert!(idle.is_empty(), "neither an alert nor the dashboard shows {idle:?}");
}

#[test]
fn the_list_of_metrics_is_the_source_s_with_types_and_labels() {
    let mut listed = BTreeMap::new();
    for line in text("docs/METRICS.md").lines().filter(|line| line.starts_with("| `p861_")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells.as_slice() else { panic!("{line}") };
        assert!(!meaning.is_empty(), "{line}");
        let labels = labels.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect();
        assert!(listed.insert(name.trim_matches('`').to_owned(), ((*kind).to_owned(), labels)).is_none(), "{name} twice");
    }
    assert_eq!(listed, registered());
}
