//! A change and an incident on real sites: a node that is emptied in a window with another person's agreement, and a real alert that becomes a ticket.

use crate::backups::backed_up_within;
use crate::drills::start_drill;
use p861_testbed::bed::{BedError, Result, Site, until};
use p861_testbed::services::http;
use p861_tests::faults::{journal, kill_leader, leader_after};
use p861_tests::look::{condition_of, wait_rolled_out};
use p861_tests::scenes::{Scene, demand};
use p861_tests::stage::DISTRICT;
use p861_tests::{Look as _, Stage};
use serde_json::{Value, json};
use std::time::Duration;

pub const SCENES: &[Scene] = &[
    (
        "a node is emptied in its window with another's agreement, waits for hands, and everything comes back, also when the leader dies meanwhile",
        a_node_is_emptied,
    ),
    ("a node that never drains is given up: it takes pods again, the silences end, and the ticket says who held it", a_node_never_drains),
    ("probes begin on the site where they are said to, and one that nobody can try is said", probes_begin_on_every_site),
    ("a component is installed and upgraded by a ticket, standby first, and a version that does not get healthy is taken back", a_component_is_upgraded),
];

/// Those of `make soak`.
pub const SOAK: &[Scene] = &[("a real alert becomes a ticket, and its end closes it", an_alert_becomes_a_ticket)];

/// How long a step of a change may take to begin or end.
const STEP: Duration = Duration::from_mins(4);
/// How long an alert may take until it is a ticket.
const ARRIVES: Duration = Duration::from_mins(3);

fn node_of(site: &Site) -> Result<String> {
    let nodes = site.get(&["nodes"])?;
    let name = nodes["items"][0]["metadata"]["name"].as_str().map(str::to_owned);
    name.ok_or_else(|| BedError::Refused(format!("the site has no node: {nodes}")))
}

/// A change that empties the primary's node, opened on the command line. Gives its name.
fn opened(stage: &Stage, title: &str, more: &[&str]) -> Result<String> {
    stage.open_window()?;
    let place = format!("xinxi-dasha/{}", node_of(stage.primary()?)?);
    let mut words = vec!["ticket", "open", title, "--change", "Normal", "--drain", &place, "--app", "portal", "--window", "any-time", "-o", "name"];
    words.extend(more);
    let said = stage.say_expecting(0, &words)?;
    Ok(said.out.trim().rsplit('/').next().unwrap_or_default().to_owned())
}

fn step_waits(stage: &Stage, ticket: &str, step: &str) -> Result<Value> {
    stage.wait(&format!("ticket {ticket} is at step {step}"), STEP, "maintenanceticket", ticket, |seen| {
        let steps = seen["status"]["currentSteps"].as_array().into_iter().flatten();
        let found = steps.clone().any(|current| current["id"] == step && current["phase"] == "WaitingForPerson");
        if found { Ok(seen.clone()) } else { Err(seen["status"].to_string()) }
    })
}

fn ended(stage: &Stage, ticket: &str, phase: &str) -> Result<Value> {
    stage.wait(&format!("ticket {ticket} is {phase}"), STEP, "maintenanceticket", ticket, |seen| {
        let status = &seen["status"];
        let steps_are_over = matches!(status["workPhase"].as_str(), Some("Succeeded" | "Failed" | "Aborted" | "Refused"));
        if status["phase"] == phase && steps_are_over { Ok(seen.clone()) } else { Err(status.to_string()) }
    })
}

/// A ticket that has ended is written no more: a loop of writes would feed itself.
fn rests(stage: &Stage, ticket: &str) -> Result<()> {
    let version = |stage: &Stage| stage.object("maintenanceticket", ticket).map(|seen| seen["metadata"]["resourceVersion"].clone());
    // The last write of its end may still be on its way.
    until("the ticket rests for three seconds", STEP, || {
        let before = version(stage).map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_secs(3));
        let after = version(stage).map_err(|error| error.to_string())?;
        if before == after { Ok(()) } else { Err(format!("version {before} became {after}")) }
    })
}

/// Silences of a ticket that are in force, as Alertmanager itself lists them.
fn silences(stage: &Stage, ticket: &str) -> Result<Vec<Value>> {
    let answer = http::request(stage.bed.services.alertmanager(), "GET", "/api/v2/silences", &[], &[]).map_err(|error| BedError::Refused(error.to_string()))?;
    let all: Vec<Value> = serde_json::from_str(&answer.body).map_err(|error| BedError::Refused(format!("{error}: {}", answer.body)))?;
    let ours = |silence: &Value| silence["status"]["state"] == "active" && silence["comment"] == format!("ticket {DISTRICT}/{ticket}");
    Ok(all.into_iter().filter(ours).collect())
}

fn cordoned(site: &Site) -> Result<bool> {
    let node = site.get(&["node", &node_of(site)?])?;
    Ok(node["spec"]["unschedulable"] == true || !node["metadata"]["annotations"]["platform861.io/cordoned-by"].is_null())
}

fn pods_run(site: &Site, namespace: &str) -> Result<usize> {
    let pods = site.get(&["pods", "--namespace", namespace, "--field-selector=status.phase=Running"])?;
    Ok(pods["items"].as_array().map_or(0, Vec::len))
}

fn a_node_is_emptied(stage: &Stage) -> Result<()> {
    let primary = stage.primary()?;
    // The drill amid the change needs backups, and an application whose node is empty can't be backed up.
    backed_up_within(stage, Duration::MAX)?;
    let ticket = opened(stage, "更换 1 号机柜电源", &[])?;
    let waits = stage.wait("it waits for agreement", STEP, "maintenanceticket", &ticket, |seen| match condition_of(seen, "Approved") {
        Some(found) if found["reason"] == "ApprovalsMissing" => Ok(seen.clone()),
        _ => Err(seen["status"].to_string()),
    })?;
    demand(waits["status"]["planDigest"].is_string() && !cordoned(primary)?, || format!("before it is agreed to: {}", waits["status"]))?;
    let own = stage.say(&["ticket", "approve", &ticket, "--reason", "fine"])?;
    demand(own.code != 0, || format!("who asked can't agree: {}", own.all()))?;
    stage.approve(&ticket)?;
    step_waits(stage, &ticket, "manual")?;
    // A drill of what is being changed would measure nothing that holds tomorrow.
    start_drill(stage, "amid-a-change", json!({}))?;
    let refused = stage.wait_end(STEP, "drill", "amid-a-change")?;
    demand(refused["status"]["phase"] == "Refused" && refused.to_string().contains("PlanBusy") && refused.to_string().contains(&ticket), || {
        format!("a drill amid a change: {}", refused["status"])
    })?;
    // It needs a person, as `status` says too.
    let page = stage.say_expecting(4, &["ticket", "show", &ticket])?;
    demand(page.out.contains(&format!("p861 ticket done {ticket}")), || format!("the page says what to type: {}", page.all()))?;
    let status = stage.object("maintenanceticket", &ticket)?["status"].clone();
    let backup = format!("portal-{ticket}");
    demand(status["backups"] == json!([backup]), || format!("the backup before it: {status}"))?;
    demand(stage.object("backup", &backup)?["status"]["phase"] == "Succeeded", || "the backup did not succeed".to_owned())?;
    demand(cordoned(primary)? && pods_run(primary, "shinan-portal")? == 0 && pods_run(primary, "shinan-approval")? == 0, || {
        "the node is not empty".to_owned()
    })?;
    // One for the application, one for the readiness of the site's nodes.
    let quiet = silences(stage, &ticket)?;
    demand(quiet.len() == 2, || format!("silences: {quiet:?}"))?;
    let before = kill_leader(stage)?;
    leader_after(stage, &before)?;
    // A second one says so too, and finds it said.
    stage.say_expecting(0, &["ticket", "done", &ticket])?;
    let closed = ended(stage, &ticket, "Closed")?;
    let succeeded = condition_of(&closed, "Succeeded").cloned().unwrap_or_default();
    demand(succeeded["status"] == "True" && succeeded["message"].as_str().is_some_and(|said| said.contains("2 of 2 application checks pass")), || {
        format!("{succeeded}")
    })?;
    demand(!cordoned(primary)? && silences(stage, &ticket)?.is_empty(), || "something outlives the work".to_owned())?;
    rests(stage, &ticket)?;
    let records = journal(stage, "maintenanceticket", &ticket)?;
    for step in ["backup/portal", "cordon/", "manual", "uncordon/"] {
        let done = records.iter().filter(|record| record["step"].as_str().is_some_and(|id| id.starts_with(step)) && record["event"]["type"] == "Done").count();
        demand(done == 1, || format!("step {step} was done {done} times: {records:?}"))?;
    }
    settled(stage)
}

fn a_node_never_drains(stage: &Stage) -> Result<()> {
    let primary = stage.primary()?;
    // Budgets that allow nothing hold every pod that could leave.
    let holds = |namespace: &str| ["--namespace".to_owned(), namespace.to_owned()];
    let namespaces = ["shinan-portal", "shinan-approval"];
    let present: Vec<&str> = namespaces.into_iter().filter(|namespace| primary.get(&["namespace", namespace]).is_ok()).collect();
    for namespace in &present {
        let document = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "hold", "namespace": namespace}, "spec": {"maxUnavailable": 0, "selector": {}}});
        stage.apply(primary, &format!("hold-{namespace}.json"), &document.to_string())?;
    }
    let act = || -> Result<()> {
        let ticket = opened(stage, "Replace a fan", &["--no-backup", "--drain-deadline", "45s"])?;
        stage.approve(&ticket)?;
        let rolled_back = ended(stage, &ticket, "RolledBack")?;
        let succeeded = condition_of(&rolled_back, "Succeeded").cloned().unwrap_or_default();
        let said = succeeded["message"].as_str().unwrap_or_default();
        demand(said.contains("was not empty in time") && said.contains("pod "), || format!("it says who held it: {succeeded}"))?;
        demand(!cordoned(primary)? && silences(stage, &ticket)?.is_empty(), || "something outlives the work".to_owned())
    };
    let result = act();
    for namespace in &present {
        let mut words = vec!["delete".to_owned(), "pdb".to_owned(), "hold".to_owned(), "--ignore-not-found".to_owned()];
        words.extend(holds(namespace));
        primary.kubectl(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    result?;
    settled(stage)
}

/// Both applications are what they were.
fn settled(stage: &Stage) -> Result<()> {
    for (namespace, workload) in [
        ("shinan-approval", "statefulset/postgres"),
        ("shinan-approval", "deployment/approval-server"),
        ("shinan-approval", "deployment/approval-worker"),
        ("shinan-approval", "deployment/approval-web"),
        ("shinan-portal", "deployment/portal-web"),
    ] {
        wait_rolled_out(stage.primary()?, STEP, namespace, workload)?;
    }
    for application in ["approval", "portal"] {
        stage.wait(&format!("{application} is healthy"), STEP, "application", application, |seen| match condition_of(seen, "Healthy") {
            Some(found) if found["status"] == "True" => Ok(()),
            _ => Err(seen["status"].to_string()),
        })?;
    }
    Ok(())
}

/// The bundle of a small component: a page server. A wrong image never gets healthy.
fn declare_component(stage: &Stage, version: &str, image: &str) -> Result<()> {
    let hub = stage.standby()?;
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("settings-{version}"), "namespace": "shinan-tools"}, "data": {"version": version}});
    let labels = json!({"app": "notice"});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "notice", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "86400"]}]}});
    let server = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "notice", "namespace": "shinan-tools"}, "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}});
    let bundle = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notice-bundle", "namespace": DISTRICT}, "data": {"settings.yaml": settings.to_string(), "server.yaml": server.to_string()}});
    stage.apply(hub, "notice-bundle.json", &bundle.to_string())?;
    let component = json!({"name": "notice", "version": version, "bundle": {"configMapRef": {"name": "notice-bundle"}}});
    let platform = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Platform", "metadata": {"name": DISTRICT, "namespace": DISTRICT}, "spec": {"baseSoftware": {"components": [component]}}});
    stage.apply(hub, "platform.json", &platform.to_string())
}

/// What stands on a site: the version of the server, and the settings that are there.
fn component_on(site: &Site) -> Result<(String, Vec<String>)> {
    let server = site.get(&["--namespace", "shinan-tools", "deployment", "notice"])?;
    let maps = site.get(&["--namespace", "shinan-tools", "configmaps", "--selector", "platform861.io/component=notice"])?;
    let names = maps["items"].as_array().into_iter().flatten().filter_map(|map| map["metadata"]["name"].as_str().map(str::to_owned)).collect();
    Ok((server["metadata"]["annotations"]["platform861.io/component-version"].as_str().unwrap_or_default().to_owned(), names))
}

fn upgrade(stage: &Stage, phase: &str) -> Result<Value> {
    stage.open_window()?;
    let said = stage.say_expecting(0, &["ticket", "open", "upgrade", "notice", "--window", "any-time", "--watch", "5s", "-o", "name"])?;
    let ticket = said.out.trim().rsplit('/').next().unwrap_or_default().to_owned();
    stage.approve(&ticket)?;
    ended(stage, &ticket, phase)
}

fn a_component_is_upgraded(stage: &Stage) -> Result<()> {
    let (primary, standby) = (stage.primary()?, stage.standby()?);
    let image = primary.get(&["--namespace", "shinan-portal", "deployment", "portal-web"])?["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    declare_component(stage, "1.0.0", &image)?;
    // Declared is not installed.
    until("the platform says that a ticket is needed", STEP, || {
        let gaps = stage.say(&["platform", "gaps"]).map_err(|error| error.to_string())?;
        if gaps.out.contains("p861 ticket open upgrade notice") { Ok(()) } else { Err(gaps.all()) }
    })?;
    let installed = upgrade(stage, "Closed")?;
    // A view says what is so now, not what was so before the change.
    let platform = stage.standby()?.get(&["--namespace", DISTRICT, "platform", DISTRICT])?;
    let shown = platform["status"]["components"].as_array().into_iter().flatten().find(|component| component["name"] == "notice").cloned();
    demand(shown.as_ref().is_some_and(|shown| shown["version"] == "1.0.0"), || format!("the platform knows the component at once: {shown:?}"))?;
    let records = journal(stage, "maintenanceticket", installed["metadata"]["name"].as_str().unwrap_or_default())?;
    let order: Vec<&str> = records
        .iter()
        .filter(|record| record["event"]["type"] == "Done")
        .filter_map(|record| record["step"].as_str())
        .filter(|step| step.starts_with("install/") || step.starts_with("watch/"))
        .collect();
    demand(order == ["install/laoshan-dr/notice", "watch/laoshan-dr/notice", "install/xinxi-dasha/notice", "watch/xinxi-dasha/notice"], || {
        format!("the order of the sites: {order:?}")
    })?;
    for site in [primary, standby] {
        let there = component_on(site)?;
        demand(there == ("1.0.0".to_owned(), vec!["settings-1.0.0".to_owned()]), || format!("{}: {there:?}", site.name))?;
    }
    stays_as_installed(primary)?;
    no_right_is_left(stage, primary)?;
    declare_component(stage, "1.1.0", &image)?;
    upgrade(stage, "Closed")?;
    for site in [primary, standby] {
        let there = component_on(site)?;
        demand(there == ("1.1.0".to_owned(), vec!["settings-1.1.0".to_owned()]), || {
            format!("what only the old version had is gone; {}: {there:?}", site.name)
        })?;
    }
    // The next one never gets healthy: the standby shows it, and the primary is never touched.
    declare_component(stage, "1.2.0", "localhost/p861-is-not-there:1")?;
    stage.open_window()?;
    let digest_of = |site: &Site| site.get(&["--namespace", "shinan-tools", "deployment", "notice"]).map(|seen| seen["metadata"]["generation"].clone());
    let untouched = digest_of(primary)?;
    let uid = "chg-unhealthy";
    stage.create(
        "MaintenanceTicket",
        uid,
        json!({"type": "Change", "title": {"en": "Upgrade notice to 1.2.0"}, "impact": "Low", "urgency": "Low",
            "change": {"class": "Normal", "windowRef": {"name": "any-time"}, "work": {"upgradeComponent": {"component": "notice", "version": "1.2.0", "healthyWithin": "30s", "watchFor": "5s"}}}}),
    )?;
    stage.approve(uid)?;
    let rolled_back = ended(stage, uid, "RolledBack")?;
    let succeeded = condition_of(&rolled_back, "Succeeded").cloned().unwrap_or_default();
    demand(succeeded["message"].as_str().is_some_and(|said| said.contains("deployment-notice")), || format!("it says what was not healthy: {succeeded}"))?;
    let there = component_on(standby)?;
    demand(there == ("1.1.0".to_owned(), vec!["settings-1.1.0".to_owned()]), || format!("the standby is what it was: {there:?}"))?;
    demand(digest_of(primary)? == untouched, || "the primary was touched".to_owned())?;
    // What is declared is kept, also if somebody deletes it: so that goes first.
    stage.delete("platform", DISTRICT)?;
    for site in [primary, standby] {
        let left = site.get(&["--namespace", "shinan-tools", "rolebindings"])?;
        let ours = left["items"].as_array().into_iter().flatten().any(|binding| binding["roleRef"]["name"] == "p861-site-installer");
        demand(!ours, || format!("the right to write outlives the work on {}", site.name))?;
        site.kubectl(&["delete", "namespace", "shinan-tools", "--timeout=110s"])?;
    }
    Ok(())
}

/// Probes begin where they are said to begin: the name of a service is only known inside of a site.
fn probes_begin_on_every_site(stage: &Stage) -> Result<()> {
    let primary = stage.primary()?;
    let probe = |name: &str, site: &str, host: &str, port: u16| json!({"name": name, "fromSiteRef": {"name": site}, "tcp": {"host": host, "port": port}, "period": "5s"});
    let inside = "kubernetes.default.svc.cluster.local";
    let probes = json!([
        probe("over-there", "xinxi-dasha", inside, 443),
        probe("over-here", "laoshan-dr", inside, 443),
        probe("closed", "xinxi-dasha", "127.0.0.1", 9),
        probe("nowhere", "laixi", "127.0.0.1", 9),
    ]);
    let platform = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Platform", "metadata": {"name": DISTRICT, "namespace": DISTRICT}, "spec": {"network": {"probes": probes}}});
    stage.apply(stage.standby()?, "probes.json", &platform.to_string())?;
    let gaps = |wanted: &'static [&'static str], not: &'static [&'static str]| {
        until(&format!("the gaps say {wanted:?} and not {not:?}"), STEP, || {
            // What changes is looked at without waiting for its turn.
            let touch = json!({"metadata": {"annotations": {"touched": jiff::Timestamp::now().to_string()}}});
            stage.patch("platform", DISTRICT, &touch).map_err(|error| error.to_string())?;
            let gaps = stage.say(&["platform", "gaps"]).map_err(|error| error.to_string())?;
            let good = wanted.iter().all(|words| gaps.out.contains(words)) && !not.iter().any(|words| gaps.out.contains(words));
            if good { Ok(()) } else { Err(gaps.all()) }
        })
    };
    gaps(&["probe closed: 127.0.0.1:9 is not reached", "probe nowhere begins on site laixi"], &["over-there", "over-here"])?;
    let scale = |replicas: &str| primary.kubectl(&["--namespace", "p861-system", "scale", "deployment/p861-prober", "--replicas", replicas]).map(drop);
    scale("0")?;
    gaps(&["probe over-there", "no prober is ready", "site.prober=true"], &["over-here"])?;
    scale("1")?;
    gaps(&["probe closed"], &["over-there"])?;
    stage.delete("platform", DISTRICT)
}

/// A leader that dies while it puts something back leaves its right to write; the next one takes it away.
fn no_right_is_left(stage: &Stage, site: &Site) -> Result<()> {
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "p861-install-notice", "namespace": "shinan-tools"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "p861-site-installer"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "p861-system", "name": "p861-site"}]});
    let before = kill_leader(stage)?;
    stage.apply(site, "left.json", &binding.to_string())?;
    leader_after(stage, &before)?;
    site.wait("the right that was left is taken away", STEP, &["--namespace", "shinan-tools", "rolebindings"], |seen| {
        let left = seen["items"].as_array().into_iter().flatten().any(|found| found["metadata"]["name"] == "p861-install-notice");
        if left { Err(seen["items"].to_string()) } else { Ok(()) }
    })
}

/// What another hand changes, adds to or deletes of a component is put back as it was installed.
fn stays_as_installed(site: &Site) -> Result<()> {
    let in_tools = |words: &[&str]| site.kubectl(&[words, &["--namespace", "shinan-tools"]].concat());
    in_tools(&["scale", "deployment/notice", "--replicas=3"])?;
    in_tools(&["patch", "configmap", "settings-1.0.0", "--type=merge", "--patch", r#"{"data":{"version":"by hand"}}"#])?;
    until("what was changed by hand is put back", STEP, || {
        let server = site.get(&["--namespace", "shinan-tools", "deployment", "notice"]).map_err(|error| error.to_string())?;
        let settings = site.get(&["--namespace", "shinan-tools", "configmap", "settings-1.0.0"]).map_err(|error| error.to_string())?;
        let (replicas, version) = (&server["spec"]["replicas"], &settings["data"]["version"]);
        if *replicas == 1 && *version == "1.0.0" { Ok(()) } else { Err(format!("replicas {replicas}, version {version}")) }
    })?;
    in_tools(&["delete", "configmap", "settings-1.0.0"])?;
    until("what was deleted is put back", STEP, || {
        site.get(&["--namespace", "shinan-tools", "configmap", "settings-1.0.0"]).map(drop).map_err(|error| error.to_string())
    })
}

fn an_alert_becomes_a_ticket(stage: &Stage) -> Result<()> {
    stage.route_alerts()?;
    // The real cause: a drill that can't end well, because nobody recovers two applications in so short a time.
    start_drill(stage, "alerting", json!({"deadline": "5s"}))?;
    stage.wait_end(STEP, "drill", "alerting")?;
    let ticket = until("a ticket of the failed drill", ARRIVES, || {
        let tickets = stage.standby().and_then(|hub| hub.get(&["--namespace", DISTRICT, "maintenancetickets"])).map_err(|error| error.to_string())?;
        let items = tickets["items"].as_array().cloned().unwrap_or_default();
        let of_drill = |ticket: &&Value| {
            let fires = ticket["status"]["alerts"].as_array().into_iter().flatten().any(|alert| alert["alertName"] == "P861DrillFailed");
            fires && ticket["status"]["phase"] == "Open"
        };
        items.iter().find(of_drill).and_then(|ticket| ticket["metadata"]["name"].as_str().map(str::to_owned)).ok_or_else(|| tickets.to_string())
    })?;
    stage.say_expecting(0, &["ticket", "ack", &ticket])?;
    let page = stage.say_expecting(0, &["ticket", "show", &ticket])?;
    demand(page.out.contains("P861DrillFailed"), || format!("the page: {}", page.all()))?;
    // The cause is mended, and the next drill says so; what it recovers must be no older than the objectives allow, however long the scenes before this one took.
    backed_up_within(stage, Duration::from_mins(3))?;
    start_drill(stage, "mended", json!({}))?;
    let mended = stage.wait_end(STEP, "drill", "mended")?;
    demand(mended["status"]["result"] == "Passed", || format!("the mended drill: {}", mended["status"]))?;
    stage.wait("the ticket closes by itself", ARRIVES, "maintenanceticket", &ticket, |seen| {
        if seen["status"]["phase"] == "Closed" { Ok(()) } else { Err(seen["status"].to_string()) }
    })
}
