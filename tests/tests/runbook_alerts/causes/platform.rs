//! What happens to the sites, and to the platform that stands on them.

use crate::{
    runbook_alerts::night::{DISTRICT, Night, node},
    support::lone::SYSTEM,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_core::platform::forecast::{Row, Sample};
use p861_crds::platform::profile::{DemandResource, Layer};
use serde_json::{Value, json};
use std::fs;

/// The token that the hub has for the site is none any more.
pub async fn far_refuses(night: &mut Night) {
    let right = fs::read_to_string(night.near.kubeconfig()).expect("a kubeconfig");
    let wrong = right.replace("lone-administrator", "expired");
    assert_ne!(right, wrong, "the kubeconfig has another form");
    night.secret(SYSTEM, "site-far", "kubeconfig", &wrong).await;
}

pub async fn far_mended(night: &mut Night) {
    let right = fs::read_to_string(night.near.kubeconfig()).expect("a kubeconfig");
    night.secret(SYSTEM, "site-far", "kubeconfig", &right).await;
}

pub async fn node_goes(night: &mut Night) {
    node(&night.near.client(None).await, "node-2", "8", false).await;
}

pub async fn node_comes(night: &mut Night) {
    node(&night.near.client(None).await, "node-2", "8", true).await;
}

/// A platform that asks for a class that nobody has made, that is as full as it can be, and whose disks fill faster than anybody buys.
pub async fn platform(night: &mut Night) {
    let claim = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "block", "resources": {"requests": {"storage": "2Ti"}}});
    night
        .apply(
            &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "all", "namespace": "shinan-store"}, "spec": claim}).to_string(),
        )
        .await;
    let tebibyte = 1_i64 << 40;
    let samples: Vec<Sample> = (1..=30)
        .rev()
        .map(|day| Sample {
            at: Timestamp::now() - SignedDuration::from_hours(24 * day),
            running: 4,
            rows: vec![Row {
                layer: Layer::Storage,
                resource: DemandResource::Volumes,
                what: "class block".into(),
                site: Some("here".into()),
                capacity: 3 * tebibyte,
                used: 2 * tebibyte - day * tebibyte / 20,
            }],
        })
        .collect();
    declare_platform(night, "3Ti", &["near"]).await;
    let uid = night.ours("Platform", "platforms").get(DISTRICT).await.expect("the Platform").metadata.uid;
    let owner =
        json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Platform", "name": DISTRICT, "uid": uid, "controller": true, "blockOwnerDeletion": true});
    let samples = serde_json::to_string(&samples).expect("JSON");
    let metadata = json!({"name": "shinan-platform-history", "namespace": DISTRICT, "ownerReferences": [owner]});
    night.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"samples.json": samples}}).to_string()).await;
}

async fn declare_platform(night: &Night, capacity: &str, sites_of_pool: &[&str]) {
    let sites: Vec<Value> = sites_of_pool.iter().map(|site| json!({"siteRef": {"name": site}, "minReadyNodes": 1})).collect();
    let spec = json!({
        "network": {"isolation": "None", "uplinks": [{"name": "line", "capacityBitsPerSecond": "1G"}]},
        "servers": {"reservePercent": 0, "pools": [{"name": "general", "sites": sites}]},
        "storage": {"reservePercent": 0, "classes": [{"name": "block", "sites": [{"siteRef": {"name": "here"}, "storageClassName": "block", "capacity": capacity}]}]},
        "security": {"podSecurity": "Baseline", "certificates": {"warnBefore": "240h"}},
    });
    night.declare("Platform", DISTRICT, spec).await;
}

pub async fn class_made(night: &mut Night) {
    night
        .apply(
            &json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": "example.com/none"}).to_string(),
        )
        .await;
}

/// The shortest layer first; and the disks that were bought are declared.
pub async fn strengthened(night: &mut Night) {
    // The platform carries what its weaker site does: one that has no node of a pool carries nothing.
    node(&night.client, "node-3", "640", true).await;
    node(&night.near.client(None).await, "node-3", "640", true).await;
    declare_platform(night, "3000Ti", &["near", "here"]).await;
}

/// The certificate of an entrypoint ends in so many days.
pub async fn certificate(night: &mut Night, days: i64) {
    let end = Timestamp::now() + SignedDuration::from_hours(24 * days);
    let mut parameters = rcgen::CertificateParams::new(vec!["late.shinan.example".to_owned()]).expect("a name");
    let date = end.to_zoned(TimeZone::UTC).date();
    parameters.not_after = rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs());
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late-tls", "namespace": "shinan-late"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()}});
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "late", "namespace": "shinan-late"},
        "spec": {"tls": [{"hosts": ["late.shinan.example"], "secretName": "late-tls"}], "defaultBackend": {"service": {"name": "late", "port": {"number": 80}}}}});
    night.apply(&secret.to_string()).await;
    night.apply(&ingress.to_string()).await;
}
