//! Reachability and latency: a TCP connection, as often as the probe says. On its own site the operator tries it itself; on another the site's prober does.

use crate::{
    error::{Error, Result, Tried as _},
    prober::{Connected, PATIENCE, connect},
    sites::pods,
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use p861_core::{platform::facts::ProbeFacts, time::parse_duration};
use p861_crds::{PlatformSpec, platform::platform::Probe};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// So many tries in a row must fail before it is said: one lost packet is nobody's gap.
const FAILURES: u32 = 2;
/// The prober's pod.
const PROBER: &str = "app.kubernetes.io/name=p861,app.kubernetes.io/component=prober";
/// What the way to a prober may take, beside the connection itself.
const WAY: Duration = Duration::from_secs(10);

/// Where a probe begins.
#[derive(Clone, Copy)]
pub enum Begins<'a> {
    /// Where the operator stands.
    Here,
    /// On another site, whose prober is in this namespace.
    There(&'a Client, &'a str),
}

/// A probe's last try.
#[derive(Clone, Debug)]
struct Tried {
    at: Timestamp,
    failures: u32,
    result: ProbeFacts,
}

/// The last tries of all probes.
#[derive(Default)]
pub struct Probes {
    tried: Mutex<HashMap<String, Tried>>,
}

impl Probes {
    /// Results of the probes that begin on a site.
    pub async fn of_site(&self, platform: &str, spec: &PlatformSpec, site: &str, begins: Begins<'_>, now: Timestamp) -> BTreeMap<String, ProbeFacts> {
        let of_site = spec.network.probes.iter().filter(|probe| probe.from_site_ref.name == site);
        let tries = of_site.map(async |probe| (probe.name.clone(), self.try_if_due(&format!("{platform}/{}", probe.name), probe, begins, now).await));
        join_all(tries).await.into_iter().collect()
    }

    async fn try_if_due(&self, key: &str, probe: &Probe, begins: Begins<'_>, now: Timestamp) -> ProbeFacts {
        let period = parse_duration(&probe.period.0).unwrap_or(SignedDuration::from_secs(30));
        let last = self.tried.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if let Some(last) = last.as_ref().filter(|last| now.duration_since(last.at) < period) {
            return last.result.clone();
        }
        let port = u16::try_from(probe.tcp.port).unwrap_or(0);
        let result = match begins {
            Begins::Here => Ok(connect(&probe.tcp.host, port).await),
            Begins::There(client, namespace) => connect_there(client, namespace, &probe.tcp.host, port).await,
        };
        let result = match result {
            Ok(Connected::Millis(millis)) => ProbeFacts::Connected { millis },
            Ok(Connected::Failed(message)) => ProbeFacts::Failed { message },
            // The line may be as good as ever; nobody was there to try it.
            Err(error) => ProbeFacts::Unmeasured { message: error.to_string() },
        };
        let failed = matches!(result, ProbeFacts::Failed { .. });
        let failures = if failed { last.as_ref().map_or(0, |last| last.failures) + 1 } else { 0 };
        let believed = match last {
            Some(last) if failed && failures < FAILURES => last.result,
            _ => result,
        };
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), Tried { at: now, failures, result: believed.clone() });
        believed
    }
}

/// Has the site's prober connect.
async fn connect_there(client: &Client, namespace: &str, host: &str, port: u16) -> Result<Connected> {
    let probers: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = probers.list(&ListParams::default().labels(PROBER)).await.tried(|| "look for the site's prober".to_owned())?;
    let ready = listed.items.iter().filter(|pod| pods::is_ready(pod)).map(kube::ResourceExt::name_any).min();
    let prober = ready.ok_or_else(|| {
        Error::transient("ProberMissing", format!("no prober is ready in namespace {namespace} of the site: upgrade chart p861 there, with site.prober=true"))
    })?;
    let command = ["p861-operator", "connect", host, &port.to_string()].map(str::to_owned);
    let output = pods::execute_in(client, namespace, &prober, None, &command, PATIENCE + WAY).await?;
    serde_json::from_str(output.stdout.trim())
        .map_err(|_| Error::transient("ProberFailed", format!("the site's prober {prober} gave no answer: {} {}", output.message, output.stderr.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn probe(port: u16) -> PlatformSpec {
        let text = format!("{{network: {{probes: [{{name: one, fromSiteRef: {{name: here}}, tcp: {{host: 127.0.0.1, port: {port}}}, period: 10s}}]}}}}");
        serde_saphyr::from_str(&text).expect("a spec")
    }

    #[tokio::test]
    async fn a_port_that_closes_is_a_gap_after_the_second_failure_and_none_when_it_opens_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (probes, spec) = (Probes::default(), probe(address.port()));
        let at = |second| Timestamp::from_second(second).expect("a time");
        let result = async |second| probes.of_site("shinan", &spec, "here", Begins::Here, at(second)).await.remove("one").expect("a result");
        assert!(matches!(result(0).await, ProbeFacts::Connected { .. }));
        drop(listener);
        assert!(matches!(result(5).await, ProbeFacts::Connected { .. }), "not due yet");
        assert!(matches!(result(10).await, ProbeFacts::Connected { .. }), "one failure");
        assert!(matches!(result(20).await, ProbeFacts::Failed { .. }), "two failures");
        let _listener = TcpListener::bind(address).await.expect("the same port");
        assert!(matches!(result(30).await, ProbeFacts::Connected { .. }));
    }
}
