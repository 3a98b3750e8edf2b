//! Who acts: one replica at a time, and only while its lease is certainly unexpired.
//!
//! The lease is kept by `kube-lease-manager`, which goes by wall clocks. Beside it this module keeps a deadline on the monotonic clock: a renewal that
//! appeared between two readings counts from when the *earlier* reading was sent, so a slow answer or a clock that jumps only shortens our time.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use kube_lease_manager::LeaseManagerBuilder;
use p861_runs::{
    error::{Result, Tried as _},
    leadership::Leadership,
};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a lease lasts after its renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long before its end it is renewed.
const GRACE: u64 = 5;
/// How often it is read.
const READ_EVERY: Duration = Duration::from_secs(2);
/// Name of the lease, in the operator's namespace.
pub const LEASE_NAME: &str = "p861-operator";

/// Competes for the lease. The receiver turns true once this process leads; when it turns false again, the process must end. Where the lease can't be had, for want of
/// a right or of an answer, it is asked for again: a process that stands and says that it doesn't lead tells more than one that comes and goes.
pub async fn compete(client: Client, namespace: &str, identity: &str, leadership: Leadership) -> Result<watch::Receiver<bool>> {
    let manager = loop {
        let lease = LeaseManagerBuilder::new(client.clone(), LEASE_NAME)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(LEASE_DURATION.as_secs())
            .with_grace(GRACE);
        match lease.build().await {
            Ok(manager) => break manager,
            Err(error) => tracing::warn!("lease {namespace}/{LEASE_NAME} can't be had, and without it nothing is done: {error}"),
        }
        tokio::time::sleep(READ_EVERY).await;
    };
    let leases: Api<Lease> = Api::namespaced(client, namespace);
    // Read before anything is asked for: the first renewal that is another than this one is certainly younger. Without it the first reading would tell nothing of
    // when: a container that was started again has the name of the one before, and may find its lease.
    let sent = Instant::now();
    let (mut sent_before, mut last_renewal) = match tokio::time::timeout(READ_EVERY * 2, leases.get_opt(LEASE_NAME)).await {
        Ok(Ok(lease)) => (Some(sent), lease.and_then(|lease| lease.spec?.renew_time)),
        _ => (None, None),
    };
    let (mut held, _task) = manager.watch().await;
    let (sender, receiver) = watch::channel(false);
    let identity = identity.to_owned();
    tokio::spawn(async move {
        loop {
            let sent = Instant::now();
            let lease = tokio::time::timeout(READ_EVERY * 2, leases.get(LEASE_NAME)).await;
            if let Ok(Ok(lease)) = lease {
                let spec = lease.spec.unwrap_or_default();
                let ours = spec.holder_identity.as_deref() == Some(identity.as_str());
                if !ours {
                    leadership.set(None);
                } else if spec.renew_time != last_renewal {
                    if let Some(sent_before) = sent_before {
                        leadership.set(Some(sent_before + LEASE_DURATION));
                    }
                    last_renewal = spec.renew_time;
                }
                sent_before = Some(sent);
            }
            let leads = leadership.holds();
            let led = *sender.borrow();
            if leads != led && sender.send(leads).is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(if leads { READ_EVERY } else { READ_EVERY / 4 }) => {}
                changed = held.changed() => if changed.is_err() { tokio::time::sleep(READ_EVERY).await },
            }
        }
    });
    Ok(receiver)
}

/// Gives the lease up, so that another replica needn't wait for its end.
pub async fn release(client: Client, namespace: &str, identity: &str) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(client, namespace);
    let lease = leases.get(LEASE_NAME).await.tried(|| format!("read lease {LEASE_NAME}"))?;
    if lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) != Some(identity) {
        return Ok(());
    }
    let mut freed = lease;
    if let Some(spec) = freed.spec.as_mut() {
        spec.holder_identity = None;
        spec.renew_time = None;
        spec.acquire_time = None;
    }
    leases.replace(LEASE_NAME, &PostParams::default(), &freed).await.tried(|| format!("release lease {LEASE_NAME}"))?;
    Ok(())
}
