//! What the demo shows of the other rooms: what the district stands on, a change in a window with another's agreement, and an alert that becomes a ticket.

use crate::Look as _;
use crate::look::condition_of;
use crate::stage::{APPROVER, DISTRICT, Stage, read};
use p861_testbed::bed::{BedError, Result, until};
use serde_json::{Value, json};
use std::time::Duration;

/// How long the operator may take to see to something.
const LIMIT: Duration = Duration::from_mins(4);

/// Declares the district's platform and waits until it has been judged.
pub fn declare_platform(stage: &Stage) -> Result<()> {
    let hub = stage.standby()?;
    // The profile first: the platform is looked at when it is declared, and then again in three quarters of a minute.
    hub.kubectl(&["patch", "district", DISTRICT, "--type=merge", "--patch", r#"{"spec":{"profileRef":{"name":"861-demo"}}}"#])?;
    stage.apply(hub, "platform.yaml", &read("tests/district/platform.yaml")?)?;
    stage.wait("the platform has been judged by its profile", LIMIT, "platform", DISTRICT, |seen| {
        let judged = seen["status"]["items"].as_array().is_some_and(|items| !items.is_empty()) && seen["status"]["balance"]["supportable"].is_number();
        if judged { Ok(()) } else { Err(seen["status"].to_string()) }
    })
}

/// The layer that carries least, and how many applications that is.
pub fn shortest_plank(stage: &Stage) -> Result<String> {
    let status = stage.object("platform", DISTRICT)?["status"].clone();
    let balance = &status["balance"];
    let layer = balance["shortestLayer"].as_str().unwrap_or("?");
    Ok(format!("{layer}: {} applications supportable, {} run", balance["supportable"], balance["running"]))
}

/// Waits for a ticket's steps, agrees to them as somebody else, and waits until it is closed. Gives what it came to.
pub fn see_through(stage: &Stage, ticket: &str) -> Result<String> {
    stage.approve(ticket)?;
    let closed = stage.wait(&format!("ticket {ticket} is closed"), LIMIT, "maintenanceticket", ticket, |seen| {
        if matches!(seen["status"]["phase"].as_str(), Some("Closed" | "RolledBack" | "Cancelled")) { Ok(seen.clone()) } else { Err(seen["status"].to_string()) }
    })?;
    let said = condition_of(&closed, "Succeeded").cloned().unwrap_or_default();
    if closed["status"]["phase"] == "Closed" && said["status"] == "True" {
        Ok(format!("Closed, agreed to by {APPROVER}: {}", said["message"].as_str().unwrap_or_default()))
    } else {
        Err(BedError::Refused(format!("ticket {ticket}: {}", closed["status"])))
    }
}

/// Lets a drill fail for a real cause: nobody recovers two applications in so short a time.
pub fn failing_drill(stage: &Stage) -> Result<String> {
    let name = "too-short";
    let spec = json!({"planRef": {"name": "shinan-core"}, "type": "Isolated", "deadline": "5s"});
    let document = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Drill", "metadata": {"name": name, "namespace": DISTRICT}, "spec": spec});
    stage.apply(stage.standby()?, "too-short.json", &document.to_string())?;
    let ended = stage.wait_end(LIMIT, "drill", name)?;
    let said = condition_of(&ended, "Succeeded").cloned().unwrap_or_default();
    if said["status"] == "False" { Ok(said["message"].as_str().unwrap_or_default().to_owned()) } else { Err(BedError::Refused(format!("it passed: {said}"))) }
}

/// The ticket that an alert became, in the phase that is asked for.
pub fn ticket_of(stage: &Stage, alert: &str, phase: &str) -> Result<String> {
    until(&format!("alert {alert} is a ticket that is {phase}"), LIMIT, || {
        let list = stage.standby().and_then(|hub| hub.get(&["--namespace", DISTRICT, "maintenancetickets"])).map_err(|error| error.to_string())?;
        let of_alert = |ticket: &&Value| {
            let alerts = ticket["status"]["alerts"].as_array().into_iter().flatten();
            alerts.clone().any(|found| found["alertName"] == alert) && ticket["status"]["phase"] == phase
        };
        let found = list["items"].as_array().into_iter().flatten().find(of_alert);
        found.and_then(|ticket| ticket["metadata"]["name"].as_str().map(str::to_owned)).ok_or_else(|| list["items"].to_string())
    })
}
