//! What happens to repositories, backups and drills.

use super::DRILL_FAILED;
use crate::{
    runbook_alerts::night::{DISTRICT, Night},
    support::operator::{api, apply, mover_rights},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use std::fs;

pub async fn wrong_key(night: &mut Night) {
    let right = night.secret(DISTRICT, "vault-key", "password", "somebody thought it should be changed").await;
    night.kept.insert("vault-key", right);
}

pub async fn right_key(night: &mut Night) {
    let right = night.kept.remove("vault-key").expect("it was kept");
    night.secret(DISTRICT, "vault-key", "password", &right).await;
}

/// What was saved of the ledger is gone from the disk, and somebody wants to look at it.
pub async fn damage(night: &mut Night) {
    fs::rename(night.path("attic/data"), night.path("taken")).expect("moved away");
    let backups = night.ours("Backup", "backups").list(&ListParams::default()).await.expect("backups").items;
    let of_ledger = backups.into_iter().find(|backup| backup.data["spec"]["applicationRef"]["name"] == "ledger").and_then(|backup| backup.metadata.name);
    let backup = of_ledger.expect("a backup of ledger");
    let spec = json!({"source": {"backupRef": {"name": backup}}, "target": {"namespaceMappings": [{"from": "shinan-ledger", "to": "shinan-look"}]}, "requestedBy": "administrator"});
    night.declare("Restore", "look", spec).await;
    night.kept.insert("damaged", backup);
}

pub async fn damage_mended(night: &mut Night) {
    let _ = fs::remove_dir_all(night.path("attic/data"));
    fs::rename(night.path("taken"), night.path("attic/data")).expect("put back");
    night.p861(DISTRICT, &["backup", "now", "ledger", "--repository", "attic"]);
    let damaged = night.kept.remove("damaged").expect("it was kept");
    night.ours("Backup", "backups").delete(&damaged, &DeleteParams::default()).await.expect("deleted");
}

/// A volume that no mover can reach: there is no node that it is on.
pub async fn volume(night: &mut Night) {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "any", "resources": {"requests": {"storage": "1Gi"}}});
    night
        .apply(
            &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "files", "namespace": "shinan-volume"}, "spec": spec})
                .to_string(),
        )
        .await;
    let spec = json!({"applicationRef": {"name": "volume"}, "repositoryRef": {"name": "cellar"}, "requestedBy": "administrator"});
    night.declare("Backup", "of-volume", spec).await;
}

pub async fn volume_gone(night: &mut Night) {
    let claims = api(&night.client, "", "PersistentVolumeClaim", "persistentvolumeclaims", Some("shinan-volume"));
    claims.patch("files", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.expect("a claim");
    let _ = claims.delete("files", &DeleteParams::default()).await;
    night.p861(DISTRICT, &["backup", "now", "volume", "--repository", "cellar"]);
}

/// An application is declared, and nobody backs it up.
pub async fn late(night: &mut Night) {
    let spec = json!({"names": {"en": "late"}, "department": "any", "namespaces": ["shinan-late"], "objectives": {"rto": "2h", "rpo": "20m"}});
    night.declare("Application", "late", spec).await;
}

pub fn in_time(night: &Night) {
    night.p861(DISTRICT, &["backup", "now", "late", "--repository", "cellar"]);
}

/// An application whose namespace doesn't exist is to be backed up in a minute.
pub async fn no_namespace(night: &mut Night) {
    let soon = (Timestamp::now() + SignedDuration::from_secs(60)).to_zoned(TimeZone::get("Asia/Shanghai").expect("a zone"));
    let schedule = soon.strftime("%-M %-H * * *").to_string();
    let spec = json!({"repositoryRef": {"name": "cellar"}, "schedule": schedule, "jitter": "0s", "startingDeadline": "10s"});
    night.declare("BackupPolicy", "daily", spec).await;
    let spec = json!({"names": {"en": "missed"}, "department": "any", "namespaces": ["shinan-missed"], "backupPolicyRef": {"name": "daily"}});
    night.declare("Application", "missed", spec).await;
}

pub async fn namespace_made(night: &mut Night) {
    night.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shinan-missed"}}).to_string()).await;
    apply(&night.client, &mover_rights(&["shinan-missed"])).await;
}

/// The drill that is due. It is honest about a site without storage.
pub fn drilled(night: &Night) {
    let said = night.p861_ending(DISTRICT, &["drill", "run", "core"], 4);
    assert!(said.contains("near has no storage class"), "{said}");
}

/// It is seen, and told of in a ticket, before there is no operator that tells of it.
pub async fn drill_failed(night: &mut Night) {
    night.until_has_fired(DRILL_FAILED, &[("plan", "core")]).await;
    night.until_ticket(DRILL_FAILED, "Firing").await;
}
