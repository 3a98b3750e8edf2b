//! A change that cannot clean up.

use crate::{
    runbook_alerts::night::{DISTRICT, Night},
    support::operator::apply,
};
use serde_json::json;

/// A change whose silence can't be ended: when its work is done, the site's Alertmanager has another address.
pub async fn silent_for_ever(night: &mut Night) {
    let spec = json!({"type": "Change", "title": {"en": "Check the cabling"}, "impact": "Low", "urgency": "Low", "requestedBy": "administrator", "affects": {"applicationRefs": [{"name": "ledger"}]},
        "change": {"class": "Emergency", "backup": "Skip", "blockingAlerts": [], "work": {"manual": {}}, "plan": {"en": "Look at every plug"}}});
    night.declare("MaintenanceTicket", "cabling", spec).await;
    let ticket = night
        .until("there are steps to agree to", async |night: &Night| {
            let seen = night.ours("MaintenanceTicket", "maintenancetickets").get("cabling").await.map_err(|error| error.to_string())?;
            if seen.data["status"]["planDigest"].is_string() { Ok(seen) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
    let about = json!({"kind": "MaintenanceTicket", "name": "cabling", "uid": ticket.metadata.uid});
    let spec =
        json!({"subjectRef": about, "purpose": "Start", "digest": ticket.data["status"]["planDigest"], "decision": "Approved", "approver": "shift-leader-a"});
    let approval =
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Approval", "metadata": {"name": "cabling-agreed", "namespace": DISTRICT}, "spec": spec});
    apply(&night.hub.client(Some(("shift-leader-a", &["system:masters"]))).await, &approval.to_string()).await;
    night
        .until("the change may begin", async |night: &Night| {
            let seen = night.ours("MaintenanceTicket", "maintenancetickets").get("cabling").await.map_err(|error| error.to_string())?;
            if seen.data["status"]["phase"] == "Scheduled" { Ok(()) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
    night.p861(DISTRICT, &["ticket", "start", "cabling"]);
    until_step(night, "manual").await;
    alertmanager(night, "http://127.0.0.1:9").await;
    night.p861(DISTRICT, &["ticket", "done", "cabling"]);
}

async fn until_step(night: &Night, step: &str) {
    night
        .until(&format!("the change is at step {step}"), async |night: &Night| {
            let seen = night.ours("MaintenanceTicket", "maintenancetickets").get("cabling").await.map_err(|error| error.to_string())?;
            let current = seen.data["status"]["currentSteps"].as_array().into_iter().flatten();
            if current.clone().any(|found| found["id"] == step) { Ok(()) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
}

async fn alertmanager(night: &Night, url: &str) {
    night.merge("Site", "sites", "here", json!({"spec": {"monitoring": {"alertmanager": {"url": url}}}})).await;
}

pub async fn alertmanager_back(night: &mut Night) {
    alertmanager(night, &night.monitors.alertmanager_url()).await;
}
