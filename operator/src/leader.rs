//! Leader election: one replica acts at a time, and only while its lease is certainly unexpired. The rule is `candidate.rs`; here are its requests.
//!
//! The lease is kept by a thread of its own: thousands of reconciles that wait for a worker don't delay its renewal.

mod candidate;

pub use candidate::LeaseTimes;

use candidate::Candidate;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config, api::PostParams};
use p861_runs::leadership::Leadership;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Name of the lease, in the operator's namespace.
pub const LEASE_NAME: &str = "p861-operator";
/// How long a process that acts no more tries to release the lease.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// One term of a replica: it waits for the lease, holds it, and loses or releases it.
pub struct Term {
    /// Turns true once this process leads; when it turns false again, or its sender is gone, the lease is lost, and the process must start anew (`lease_loss.rs`): it competes no more.
    pub leads: watch::Receiver<bool>,
    end: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Term {
    /// Competes no more, and then releases the lease if this replica still holds it, so that another one needn't wait until it runs out. Nothing may act any more when this is called.
    pub async fn end(self) {
        // If nobody listens, the thread has ended already.
        let _ = self.end.send(());
        let _ = self.ended.await;
    }
}

/// Competes for the lease, for one term. Errors, such as a missing permission, are retried: a running process that reports that it doesn't lead is easier to diagnose than one in a
/// crash loop.
///
/// # Errors
/// If the thread can't be started, or the cluster's certificates are unusable.
pub fn compete(config: Config, namespace: &str, identity: &str, times: LeaseTimes, leadership: Leadership) -> std::io::Result<Term> {
    let (sender, leads) = watch::channel(false);
    let (end, mut asked) = oneshot::channel();
    let (done, ended) = oneshot::channel();
    let (namespace, identity) = (namespace.to_owned(), identity.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keep = async move {
        // A client belongs to the runtime that made it.
        match Client::try_from(config) {
            Ok(client) => {
                let mut keeper =
                    Keeper { client, namespace, candidate: Candidate::new(&identity, times), times, leadership, leading: sender, said: String::new() };
                tokio::select! {
                    () = keeper.keep() => drop(asked.await),
                    _ = &mut asked => {}
                }
                keeper.release().await;
            }
            Err(error) => tracing::error!("there is no client for the lease: {error}"),
        }
        drop(done);
    };
    std::thread::Builder::new().name("lease".into()).spawn(move || runtime.block_on(keep))?;
    Ok(Term { leads, end, ended })
}

/// Keeps the lease of one term.
struct Keeper {
    client: Client,
    namespace: String,
    candidate: Candidate,
    times: LeaseTimes,
    leadership: Leadership,
    leading: watch::Sender<bool>,
    /// The last fault that was logged: each is logged once.
    said: String,
}

impl Keeper {
    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns when the lease was held and is lost. It may be dropped at any moment.
    async fn keep(&mut self) {
        loop {
            let (led, until) = (*self.leading.borrow(), self.candidate.acts_until());
            // Also if nobody has taken the lease meanwhile: requests were refused, and what sent them has ended.
            let lapsed = || led && until.is_none_or(|until| until <= Instant::now());
            let answered = !lapsed() && self.step().await;
            let until = self.candidate.acts_until().filter(|until| !lapsed() && Instant::now() < *until);
            self.leadership.set(until);
            self.leading.send_replace(until.is_some());
            if led && until.is_none() {
                return;
            }
            let next = if answered { self.candidate.claims_at() } else { Some(Instant::now() + self.times.retry_interval()) };
            // Nobody tells a replica that the lease was released: it looks. A holder does not.
            let read = until.is_none().then(|| Instant::now() + self.times.read_interval());
            if let Some(wake) = [next, read, until].into_iter().flatten().min() {
                tokio::time::sleep_until(wake.into()).await;
            }
        }
    }

    /// Writes what may be claimed, and reads otherwise. False: there was no answer, or a refusal; it is tried again after a while.
    async fn step(&mut self) -> bool {
        let sent = Instant::now();
        let claim = self.candidate.claim(sent, Timestamp::now());
        let is_claim = claim.is_some();
        let request = async {
            match claim {
                Some(lease) => self.write(lease).await.map(Some),
                None => self.leases().get_opt(LEASE_NAME).await,
            }
        };
        let fault = match tokio::time::timeout(self.times.read_interval() * 2, request).await {
            Ok(Ok(Some(lease))) if is_claim => {
                self.candidate.wrote(lease, sent, Instant::now());
                return true;
            }
            Ok(Ok(lease)) => {
                self.candidate.saw(lease, Instant::now());
                return true;
            }
            // Somebody else has written it: read what.
            Ok(Err(error)) if is_claim && is_conflict(&error) => return self.read().await,
            Ok(Err(kube::Error::Api(status))) if is_claim && status.code == 404 => {
                self.candidate.saw(None, Instant::now());
                "somebody has deleted it".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server does not answer".to_owned(),
        };
        self.say(fault);
        false
    }

    async fn read(&mut self) -> bool {
        match tokio::time::timeout(self.times.read_interval() * 2, self.leases().get_opt(LEASE_NAME)).await {
            Ok(Ok(lease)) => self.candidate.saw(lease, Instant::now()),
            Ok(Err(error)) => self.say(error.to_string()),
            Err(_) => self.say("the API server does not answer".to_owned()),
        }
        // Also after an answer: what was refused once is not tried again at once.
        false
    }

    /// In its version, or as the first.
    async fn write(&self, lease: Lease) -> kube::Result<Lease> {
        let parameters = PostParams::default();
        if lease.metadata.resource_version.is_some() {
            return self.leases().replace(LEASE_NAME, &parameters, &lease).await;
        }
        let mut lease = lease;
        lease.metadata.name = Some(LEASE_NAME.to_owned());
        self.leases().create(&parameters, &lease).await
    }

    /// Releases the lease if it is still this replica's.
    async fn release(&mut self) {
        match tokio::time::timeout(RELEASE_PATIENCE, self.free()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the lease, if it is still this replica's, is left to run out: {error}"),
            Err(_) => tracing::warn!("the lease, if it is still this replica's, is left to run out: the API server did not answer within {RELEASE_PATIENCE:?}"),
        }
    }

    async fn free(&mut self) -> kube::Result<()> {
        loop {
            // A renewal whose answer never came may have made it another version, or may yet.
            self.candidate.saw(self.leases().get_opt(LEASE_NAME).await?, Instant::now());
            let Some(freed) = self.candidate.freed() else { return Ok(()) };
            match self.write(freed).await {
                Err(error) if is_conflict(&error) => {}
                written => return written.map(drop),
            }
        }
    }

    fn say(&mut self, fault: String) {
        if self.said != fault {
            tracing::warn!("lease {LEASE_NAME} can't be had or renewed, and without it nothing is done: {fault}");
            self.said = fault;
        }
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
