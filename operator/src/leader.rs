//! Leader election: one replica acts at a time, and only while its lease is certainly unexpired.
//!
//! `kube-lease-manager` maintains the lease by wall clocks. This module adds a deadline on the monotonic clock: a renewal that appears between two readings
//! counts from when the *earlier* reading was sent, so a slow answer or a clock jump can only shorten our time.
//!
//! The lease is kept by a thread of its own: thousands of reconciles that wait for a worker don't delay its renewal.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config, api::PostParams};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use p861_runs::{
    error::{self, ErrorContext as _},
    leadership::Leadership,
};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A shorter lease can't be renewed in time on a busy API server: its margins are fractions of its length.
const MIN_LEASE_SECONDS: u64 = 3;
const MAX_LEASE_SECONDS: u64 = 600;
/// Name of the lease, in the operator's namespace.
pub const LEASE_NAME: &str = "p861-operator";

/// Length of the lease, and the margins derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    seconds: u64,
}

impl LeaseTimes {
    /// From the length in seconds, as a command line has it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let seconds = text.parse().ok().filter(|seconds| (MIN_LEASE_SECONDS..=MAX_LEASE_SECONDS).contains(seconds));
        let seconds = seconds.ok_or_else(|| format!("write whole seconds from {MIN_LEASE_SECONDS} to {MAX_LEASE_SECONDS}, for example 15"))?;
        Ok(Self { seconds })
    }

    /// How long the lease lasts after its renewal.
    fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Seconds before its end at which the lease is renewed: two thirds of its length, so that one that fails or is late can be made up for.
    fn grace_seconds(self) -> u64 {
        self.seconds * 2 / 3
    }

    /// Time between readings. A renewal counts from the reading before it, so this must stay well below the grace.
    fn read_interval(self) -> Duration {
        self.duration() * 2 / 15
    }
}

/// Competes for the lease, for one term. The receiver turns true once this process leads; when it turns false again, or its sender is gone, the term is over: the process must start
/// anew (`lease_loss.rs`), and doesn't compete meanwhile. Errors, such as a missing permission, are retried: a running process that reports that it doesn't lead is easier to
/// diagnose than one in a crash loop.
///
/// # Errors
/// If the thread can't be started, or the cluster's certificates are unusable.
pub fn compete(config: Config, namespace: &str, identity: &str, times: LeaseTimes, leadership: Leadership) -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let (namespace, identity) = (namespace.to_owned(), identity.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keep = async move {
        // A client belongs to the runtime that made it.
        match Client::try_from(config) {
            Ok(client) => keep(client, &namespace, &identity, times, &leadership, sender).await,
            Err(error) => tracing::error!("there is no client for the lease: {error}"),
        }
    };
    std::thread::Builder::new().name("lease".into()).spawn(move || runtime.block_on(keep))?;
    Ok(receiver)
}

/// Competes until it has led and leads no more, or nobody listens.
async fn keep(client: Client, namespace: &str, identity: &str, times: LeaseTimes, leadership: &Leadership, leading: watch::Sender<bool>) {
    let read_interval = times.read_interval();
    let manager = manager(&client, namespace, identity, times).await;
    let leases: Api<Lease> = Api::namespaced(client, namespace);
    // Read before competing: a renewal that differs from this one is certainly younger. Without it the first reading would have no known age, since a restarted
    // container has the same name as before and may find its own old lease.
    let sent = Instant::now();
    let (mut sent_before, mut last_renewal) = match tokio::time::timeout(read_interval * 2, leases.get_opt(LEASE_NAME)).await {
        Ok(Ok(lease)) => (Some(sent), lease.and_then(|lease| lease.spec?.renew_time)),
        _ => (None, None),
    };
    let (mut held, _task) = manager.watch().await;
    loop {
        let sent = Instant::now();
        let lease = tokio::time::timeout(read_interval * 2, leases.get(LEASE_NAME)).await;
        if let Ok(Ok(lease)) = lease {
            let spec = lease.spec.unwrap_or_default();
            let ours = spec.holder_identity.as_deref() == Some(identity);
            if !ours {
                leadership.set(None);
            } else if spec.renew_time != last_renewal {
                if let Some(sent_before) = sent_before {
                    leadership.set(Some(sent_before + times.duration()));
                }
                last_renewal = spec.renew_time;
            }
            sent_before = Some(sent);
        }
        let leads = leadership.holds();
        let led = *leading.borrow();
        if leads != led && (leading.send(leads).is_err() || led) {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(if leads { read_interval } else { read_interval / 4 }) => {}
            changed = held.changed() => if changed.is_err() { tokio::time::sleep(read_interval).await },
        }
    }
}

/// What renews the lease, as soon as the API server gives it.
async fn manager(client: &Client, namespace: &str, identity: &str, times: LeaseTimes) -> LeaseManager {
    loop {
        let lease = LeaseManagerBuilder::new(client.clone(), LEASE_NAME)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(times.seconds)
            .with_grace(times.grace_seconds());
        match lease.build().await {
            Ok(manager) => return manager,
            Err(error) => tracing::warn!("lease {namespace}/{LEASE_NAME} can't be had, and without it nothing is done: {error}"),
        }
        tokio::time::sleep(times.read_interval()).await;
    }
}

/// Releases the lease, so that another replica needn't wait until it expires.
pub async fn release(client: Client, namespace: &str, identity: &str) -> error::Result<()> {
    let leases: Api<Lease> = Api::namespaced(client, namespace);
    let lease = leases.get(LEASE_NAME).await.context(|| format!("read lease {LEASE_NAME}"))?;
    if lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) != Some(identity) {
        return Ok(());
    }
    let mut freed = lease;
    if let Some(spec) = freed.spec.as_mut() {
        spec.holder_identity = None;
        spec.renew_time = None;
        spec.acquire_time = None;
    }
    leases.replace(LEASE_NAME, &PostParams::default(), &freed).await.context(|| format!("release lease {LEASE_NAME}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margins_of_a_lease_are_shares_of_it() {
        for (text, grace, read_interval) in [("15", 10, 2_000), ("6", 4, 800), ("3", 2, 400)] {
            let times = LeaseTimes::parse(text).unwrap();
            assert_eq!((times.grace_seconds(), times.read_interval()), (grace, Duration::from_millis(read_interval)), "{text}");
        }
        for text in ["2", "601", "15s", ""] {
            assert!(LeaseTimes::parse(text).unwrap_err().contains("3 to 600"), "{text}");
        }
    }
}
