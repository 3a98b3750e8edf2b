//! Repositories of several districts through the dispatcher and the driver, against an API server in memory and stores that misbehave.

mod retention;

use super::{super::run::fake_hub::FakeHub, *};
use crate::{
    context::tests::process,
    dispatch::Dispatcher,
    driver::Driver,
    hub_cache::{Cached, HubCache},
};
use kube::runtime::{reflector, watcher::Event};
use p861_crds::District;
use p861_runs::{district::work_for, hub_object::HubObject};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{fmt::Debug, net::TcpListener, sync::Arc, thread};

/// Time in which a repository that is well is opened, on a busy machine. A store that never answers is given up after a minute at the earliest.
const OPENS: Duration = Duration::from_secs(50);

/// A store that accepts connections and never answers.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let mut taken = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            taken.push(stream);
        }
    });
    address
}

fn cached<K: Cached + Debug + DeserializeOwned>(hub: &FakeHub, cache: &mut HubCache, plural: &str) {
    let (store, mut writer) = reflector::store::<HubObject<K>>();
    writer.apply_watcher_event(&Event::Init);
    for object in hub.of(plural) {
        writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(object).expect("an object")));
    }
    writer.apply_watcher_event(&Event::InitDone);
    cache.register(store);
}

fn declare(hub: &FakeHub, namespace: &str, name: &str, place: (&str, Value)) -> (String, String) {
    let mut object = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupRepository", "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}-{name}")},
        "spec": {"failureDomain": "there", "encryption": {"keySecretRef": {"name": "key"}}}});
    object["spec"][place.0] = place.1;
    hub.put("backuprepositories", &object);
    (namespace.to_owned(), name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e12_a_district_whose_store_accepts_connections_and_never_answers_holds_up_no_repository_of_another() {
    let (hub, folder, endpoint) = (FakeHub::default(), tempfile::tempdir().expect("a folder"), silent());
    let sites = json!([{"siteRef": {"name": "here"}, "role": "Primary"}]);
    hub.put("sites", &json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Site", "metadata": {"name": "here"}, "spec": {"failureDomain": "here", "access": {"inCluster": {}}}}));
    for (number, namespace) in ["dead", "shinan"].into_iter().enumerate() {
        let spec = json!({"code": format!("37020{number}"), "names": {"en": namespace}, "sites": sites});
        hub.put("districts", &json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": namespace}, "spec": spec}));
        for (name, data) in [("key", json!({"password": "c2VjcmV0"})), ("s3", json!({"accessKeyID": "YQ==", "secretAccessKey": "cw=="}))] {
            hub.put("secrets", &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data}));
        }
    }
    let s3 = json!({"endpoint": endpoint, "bucket": "bucket", "credentialsSecretRef": {"name": "s3"}});
    // More than there are workers of this kind.
    let dead: Vec<_> = (0..40).map(|number| declare(&hub, "dead", &format!("r{number}"), ("s3", s3.clone()))).collect();
    let well: Vec<_> =
        (0..3).map(|number| declare(&hub, "shinan", &format!("r{number}"), ("folder", json!({"path": folder.path().join(number.to_string())})))).collect();
    let mut cache = HubCache::default();
    cached::<District>(&hub, &mut cache, "districts");
    cached::<Application>(&hub, &mut cache, "applications");
    cached::<RecoveryPlan>(&hub, &mut cache, "recoveryplans");
    cached::<Backup>(&hub, &mut cache, "backups");
    let context = process(&hub.client(), cache);
    let dispatcher = Dispatcher::new(context.clone(), Driver::of(RepositoryController::default()));
    let reconcile = |key: (String, String)| {
        let (dispatcher, hub) = (dispatcher.clone(), hub.clone());
        tokio::spawn(async move {
            let newest = || {
                let there =
                    hub.of("backuprepositories").into_iter().find(|found| found["metadata"]["namespace"] == key.0 && found["metadata"]["name"] == key.1);
                there.map(|object| Arc::new(serde_json::from_value(object).expect("a repository")))
            };
            dispatcher.reconcile(&key, newest).await
        })
    };
    let _dead: Vec<_> = dead.into_iter().map(&reconcile).collect();
    // Plans and restores of the district ask its repositories beside their own controller, as often as they like.
    let asked: Vec<_> = (0..64)
        .map(|number| {
            let context = context.clone();
            let look = async move { repository::catalogue(&context.hub, "dead", &format!("r{}", number % 4)).await.map(drop) };
            tokio::spawn(work_for("dead".into(), look))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let settled = tokio::time::timeout(OPENS, futures::future::join_all(well.into_iter().map(&reconcile))).await;
    for reconciled in settled.expect("they wait for a store of another district") {
        reconciled.expect("it ends").expect("it is reconciled");
    }
    let ready = |found: &Value| found["status"]["conditions"].as_array().into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True");
    let well = hub.of("backuprepositories").into_iter().filter(|found| found["metadata"]["namespace"] == "shinan");
    assert!(well.clone().count() == 3 && well.clone().all(|found| ready(&found)), "{:?}", well.collect::<Vec<_>>());
    assert!(asked.iter().all(|task| !task.is_finished()), "the store never answers");
}

#[test]
fn fault_h20_a_repository_is_measured_when_its_snapshots_change_and_no_more_often_than_it_can_bear() {
    let quick = Measurement { at: Instant::now(), took: Duration::from_millis(20), snapshots: Some(3) };
    let slow = Measurement { took: Duration::from_secs(30), ..quick };
    let given_up = Measurement { took: MEASURE_TIMEOUT, snapshots: None, ..quick };
    let minutes = Duration::from_mins;
    for (last, snapshots, age, measured) in [
        (quick, 3, minutes(59), false),
        (quick, 3, minutes(60), true),
        (quick, 4, Duration::from_secs(59), false),
        (quick, 4, minutes(1), true),
        (quick, 2, minutes(1), true),
        (slow, 4, minutes(24), false),
        (slow, 4, minutes(25), true),
        (given_up, 4, minutes(59), false),
        (given_up, 4, minutes(60), true),
    ] {
        assert_eq!(last.is_outdated(snapshots, age), measured, "{last:?} {snapshots} {age:?}");
    }
}
