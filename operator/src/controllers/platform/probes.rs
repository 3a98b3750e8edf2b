//! Reachability and latency: a TCP connection, as often as the probe says. The operator tries it itself where it stands; it has no one to ask on other sites.

use jiff::{SignedDuration, Timestamp};
use p861_core::{platform::facts::ProbeFacts, time::parse_duration};
use p861_crds::{PlatformSpec, platform::platform::Probe};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Connecting may take this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many tries in a row must fail before it is said: one lost packet is nobody's gap.
const FAILURES: u32 = 2;

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
    /// Results of the probes that are tried from a site. `here` if the operator stands there.
    pub async fn of_site(&self, platform: &str, spec: &PlatformSpec, site: &str, here: bool, now: Timestamp) -> BTreeMap<String, ProbeFacts> {
        let mut results = BTreeMap::new();
        for probe in spec.network.probes.iter().filter(|probe| probe.from_site_ref.name == site) {
            let result = if here {
                self.try_if_due(&format!("{platform}/{}", probe.name), probe, now).await
            } else {
                ProbeFacts::Unmeasured { message: format!("only the hub's own site is measured from by this version, and the hub does not stand in {site}") }
            };
            results.insert(probe.name.clone(), result);
        }
        results
    }

    async fn try_if_due(&self, key: &str, probe: &Probe, now: Timestamp) -> ProbeFacts {
        let period = parse_duration(&probe.period.0).unwrap_or(SignedDuration::from_secs(30));
        let last = self.tried.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if let Some(last) = last.as_ref().filter(|last| now.duration_since(last.at) < period) {
            return last.result.clone();
        }
        let result = connect(&probe.tcp.host, u16::try_from(probe.tcp.port).unwrap_or(0)).await;
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

async fn connect(host: &str, port: u16) -> ProbeFacts {
    let since = Instant::now();
    match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => ProbeFacts::Connected { millis: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX) },
        Ok(Err(error)) => ProbeFacts::Failed { message: error.to_string() },
        Err(_) => ProbeFacts::Failed { message: format!("no answer within {PATIENCE:?}") },
    }
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
        let result = async |second| probes.of_site("shinan", &spec, "here", true, at(second)).await.remove("one").expect("a result");
        assert!(matches!(result(0).await, ProbeFacts::Connected { .. }));
        drop(listener);
        assert!(matches!(result(5).await, ProbeFacts::Connected { .. }), "not due yet");
        assert!(matches!(result(10).await, ProbeFacts::Connected { .. }), "one failure");
        assert!(matches!(result(20).await, ProbeFacts::Failed { .. }), "two failures");
        let _listener = TcpListener::bind(address).await.expect("the same port");
        assert!(matches!(result(30).await, ProbeFacts::Connected { .. }));
        assert!(matches!(probes.of_site("shinan", &spec, "here", false, at(40)).await["one"], ProbeFacts::Unmeasured { .. }));
    }
}
