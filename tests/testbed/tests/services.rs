//! The services of a bed, started for real on loopback addresses of this test alone.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use p861_testbed::components;
use p861_testbed::report::Report;
use p861_testbed::services::{Spec, alertmanager, http, prometheus, s3};

const LIMIT: Duration = Duration::from_mins(1);

/// A process that is gone when the test is over, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(spec: &Spec) -> Running {
    spec.prepare().unwrap();
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).envs(spec.env.iter().cloned()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().unwrap());
    spec.wait_ready(LIMIT).unwrap();
    running
}

/// A loopback address that no other process running this test uses; `test` tells the tests apart.
fn address(test: u8) -> IpAddr {
    let [low, high, ..] = std::process::id().to_le_bytes();
    Ipv4Addr::new(127, 100 + test, high, low.clamp(1, 254)).into()
}

#[test]
fn s3_makes_buckets_and_lets_each_identity_use_only_its_own() {
    let components = components::ensure(&Report::stderr()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (admin, mover) = (s3::Identity::admin("admin").unwrap(), s3::Identity::of_bucket("mover", "shinan").unwrap());
    let spec = s3::spec(&components.weed, address(1), folder.path(), &admin, std::slice::from_ref(&mover));
    let running = start(&spec);
    let client = |identity: &s3::Identity| s3::Client { address: (address(1), s3::PORT).into(), identity: identity.clone() };

    client(&admin).create_bucket("shinan", true).unwrap();
    client(&admin).create_bucket("shinan", true).unwrap();
    client(&admin).create_bucket("other", false).unwrap();
    assert_eq!(client(&admin).buckets().unwrap(), ["other", "shinan"]);

    let refused = client(&mover).create_bucket("third", false).unwrap_err().to_string();
    assert!(refused.contains("AccessDenied"), "{refused}");
    let wrong = s3::Identity { secret_key: "wrong".into(), ..admin };
    let refused = client(&wrong).buckets().unwrap_err().to_string();
    assert!(refused.contains("SignatureDoesNotMatch"), "{refused}");
    // Only what the bed removes at its end is outside its folder.
    let left = s3::leftovers(address(1));
    assert!(left.iter().all(|path| path.exists()), "{left:?}");
    drop(running);
    left.iter().filter(|path| path.exists()).for_each(|path| std::fs::remove_file(path).unwrap());
}

#[test]
fn prometheus_tells_alertmanager_what_it_sees() {
    let components = components::ensure(&Report::stderr()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = address(2);
    let alerts = alertmanager::spec(&components.alertmanager, address, &folder.path().join("alertmanager"), &[], "");
    let _alerts = start(&alerts);
    let rules: PathBuf = folder.path().join("rules.yaml");
    std::fs::write(&rules, "groups: [{name: bed, rules: [{alert: TargetDown, expr: up == 0}]}]\n").unwrap();
    // Nothing listens at port 1, so the target is down.
    let scrapes = [prometheus::Scrape::Static { job: "nothing".into(), targets: vec![format!("{address}:1")] }];
    let spec =
        prometheus::spec(&components.prometheus, address, &folder.path().join("prometheus"), &scrapes, &[rules], Some((address, alertmanager::PORT).into()));
    let _running = start(&spec);

    let start = std::time::Instant::now();
    loop {
        let seen = http::request((address, alertmanager::PORT).into(), "GET", "/api/v2/alerts", &[], &[]).unwrap();
        if seen.body.contains("TargetDown") {
            break;
        }
        assert!(start.elapsed() < LIMIT, "no alert arrived; Alertmanager has {}", seen.summary());
        std::thread::sleep(Duration::from_millis(200));
    }
}
