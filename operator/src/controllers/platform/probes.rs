//! Network probes: TCP connections at the probe's interval, made by the operator on its own site and by the prober pod on other sites.

use crate::{
    context::Context,
    prober::{CONNECT_TIMEOUT, Connected, connect},
};
use futures::{
    FutureExt as _, StreamExt as _,
    stream::{self, FuturesUnordered},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use p861_core::{ids::SiteName, platform::facts::ProbeFacts, time::parse_duration};
use p861_crds::{Platform, PlatformSpec, Reason, Site, platform::platform::Probe};
use p861_runs::{
    error::{Error, ErrorContext as _, Result},
    sites::pods,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::MissedTickBehavior;

/// Consecutive failures before a probe is reported as failing, so that one lost packet is ignored.
const FAILURES_BEFORE_REPORT: u32 = 2;
/// The prober's pod.
const PROBER_SELECTOR: &str = "app.kubernetes.io/name=p861,app.kubernetes.io/component=prober";
/// Time allowed for exec into the prober pod, in addition to the connection.
const EXEC_OVERHEAD: Duration = Duration::from_secs(10);
/// Time between checks for due probes, and so the shortest interval of a probe.
const DUE_CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Concurrent tries per site.
const MAX_PARALLEL_TRIES: usize = 16;

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

/// Tries the probes of all Platforms when they are due, until the process ends.
pub async fn watch(context: Context, probes: Arc<Probes>) {
    let (context, probes) = (&context, &*probes);
    rounds(DUE_CHECK_INTERVAL, || due(context, probes), |due| round(context, probes, due)).await;
}

/// Runs a round per site every `tick`, one at a time for each site, so that a slow site doesn't delay others.
async fn rounds<T, D, R>(tick: Duration, due: impl Fn() -> D, round: impl Fn(T) -> R)
where
    D: Future<Output = BTreeMap<String, T>>,
    R: Future<Output = ()>,
{
    let (mut rounds, mut busy) = (FuturesUnordered::new(), HashSet::new());
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(site) = rounds.next() => { busy.remove(&site); }
            _ = ticks.tick() => {
                for (site, due) in due().await {
                    if busy.insert(site.clone()) {
                        rounds.push(round(due).map(|()| site));
                    }
                }
            }
        }
    }
}

/// Due probes by source site.
async fn due(context: &Context, probes: &Probes) -> BTreeMap<String, Vec<(String, Probe)>> {
    let mut by_site: BTreeMap<String, Vec<(String, Probe)>> = BTreeMap::new();
    if !context.hub.leadership.holds() {
        return by_site;
    }
    let all = context.cache.filter_map(None, |platform: &Platform| {
        let name = platform.name_any();
        Some(platform.spec.network.probes.iter().map(move |probe| (key(&name, probe), probe.clone())).collect::<Vec<_>>())
    });
    let Ok(all) = all.await else { return by_site };
    let all: Vec<(String, Probe)> = all.into_iter().flatten().collect();
    probes.forget_all_but(all.iter().map(|(key, _)| key.as_str()).collect());
    let now = Timestamp::now();
    for (key, probe) in all.into_iter().filter(|(key, probe)| probes.is_due(key, probe, now)) {
        by_site.entry(probe.from_site_ref.name.clone()).or_default().push((key, probe));
    }
    by_site
}

/// Tries a site's probes.
async fn round(context: &Context, probes: &Probes, due: Vec<(String, Probe)>) {
    let tries = due.into_iter().map(async |(key, probe)| {
        let now = Timestamp::now();
        let result = tokio::time::timeout(CONNECT_TIMEOUT + EXEC_OVERHEAD, try_from_there(context, &probe)).await;
        let late = || {
            Err(Error::transient(
                Reason::Unreachable,
                format!("site {} did not let it be tried within {:?}", probe.from_site_ref.name, CONNECT_TIMEOUT + EXEC_OVERHEAD),
            ))
        };
        probes.record_result(&key, result.unwrap_or_else(|_| late()), now);
    });
    stream::iter(tries).buffer_unordered(MAX_PARALLEL_TRIES).collect::<()>().await;
}

/// Tries a probe from its source site.
async fn try_from_there(context: &Context, probe: &Probe) -> Result<Connected> {
    let (site, host, port) = (&probe.from_site_ref.name, &probe.tcp.host, u16::try_from(probe.tcp.port).unwrap_or(0));
    let stands = |found: &Site| (found.name_any() == *site).then(|| found.spec.access.in_cluster.is_some());
    if context.cache.filter_map(None, stands).await?.contains(&true) {
        return Ok(connect(host, port).await);
    }
    connect_there(&context.sites.client(&site.as_str().into()).await?, &context.hub.namespace, host, port).await
}

/// Key of a probe with its parameters, so that an edited probe starts without results.
fn key(platform: &str, probe: &Probe) -> String {
    format!("{platform}/{} from {} to {}:{}", probe.name, probe.from_site_ref.name, probe.tcp.host, probe.tcp.port)
}

impl Probes {
    /// Results of the probes from a site, without those that were not tried yet.
    pub fn facts_for_site(&self, platform: &str, spec: &PlatformSpec, site: &SiteName) -> BTreeMap<String, ProbeFacts> {
        let tried = self.tried.lock();
        let of_site = spec.network.probes.iter().filter(|probe| *site == probe.from_site_ref.name.as_str());
        of_site.filter_map(|probe| Some((probe.name.clone(), tried.get(&key(platform, probe))?.result.clone()))).collect()
    }

    fn forget_all_but(&self, there: HashSet<&str>) {
        self.tried.lock().retain(|key, _| there.contains(key.as_str()));
    }

    fn is_due(&self, key: &str, probe: &Probe, now: Timestamp) -> bool {
        let period = parse_duration(&probe.period.0).unwrap_or(SignedDuration::from_secs(30));
        let tried = self.tried.lock();
        // Probe at once if the clock went backwards.
        tried.get(key).is_none_or(|last| now.duration_since(last.at) >= period || now < last.at)
    }

    /// Whether every probe has been tried.
    pub fn all_tried(&self, platform: &str, spec: &PlatformSpec) -> bool {
        let tried = self.tried.lock();
        spec.network.probes.iter().all(|probe| tried.contains_key(&key(platform, probe)))
    }

    fn record_result(&self, key: &str, result: Result<Connected>, now: Timestamp) {
        let result = match result {
            Ok(Connected::Millis(millis)) => ProbeFacts::Connected { millis },
            Ok(Connected::Failed(message)) => ProbeFacts::Failed { message },
            // The prober is missing, which says nothing about the connection.
            Err(error) => ProbeFacts::Unmeasured { message: error.to_string() },
        };
        let mut tried = self.tried.lock();
        let last = tried.get(key);
        let failed = !matches!(result, ProbeFacts::Connected { .. });
        let failures = if failed { last.map_or(0, |last| last.failures) + 1 } else { 0 };
        let believed = match last {
            Some(last) if failed && failures < FAILURES_BEFORE_REPORT => last.result.clone(),
            _ => result,
        };
        tried.insert(key.to_owned(), Tried { at: now, failures, result: believed });
    }
}

/// Runs `connect` in the site's prober pod.
async fn connect_there(client: &Client, namespace: &str, host: &str, port: u16) -> Result<Connected> {
    let probers: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = probers.list(&ListParams::default().labels(PROBER_SELECTOR)).await.context(|| "look for the site's prober".to_owned())?;
    let ready = listed.items.iter().filter(|pod| pods::is_ready(pod)).min_by_key(|pod| pod.name_any());
    let prober = ready.map(|pod| pods::Target::of(pod, None)).ok_or_else(|| {
        Error::transient(
            Reason::ProberMissing,
            format!("no prober is ready in namespace {namespace} of the site: upgrade chart p861 there, with site.prober=true"),
        )
    })?;
    let command = ["p861-operator", "connect", host, &port.to_string()].map(str::to_owned);
    let output = pods::execute_in(client, namespace, &prober, &command, CONNECT_TIMEOUT + EXEC_OVERHEAD).await?;
    serde_json::from_str(output.stdout.trim()).map_err(|_| {
        Error::transient(Reason::ProberFailed, format!("the site's prober {} gave no answer: {} {}", prober.pod, output.message, output.stderr.trim()))
    })
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
    async fn a_site_that_is_slow_holds_up_its_own_probes_only() {
        let begun = Mutex::new(BTreeMap::<&str, usize>::new());
        let due = async || BTreeMap::from([("slow".to_owned(), "slow"), ("quick".to_owned(), "quick")]);
        let round = async |site: &'static str| {
            *begun.lock().entry(site).or_default() += 1;
            if site == "slow" {
                std::future::pending::<()>().await;
            }
        };
        let thrice = async {
            while begun.lock().get("quick").is_none_or(|rounds| *rounds < 3) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = rounds(Duration::from_millis(1), due, round) => {}
            ended = tokio::time::timeout(Duration::from_mins(1), thrice) => ended.expect("the quick one goes on"),
        }
        assert_eq!(begun.lock().get("slow"), Some(&1), "its round has not ended");
    }

    #[tokio::test]
    async fn a_port_that_closes_is_a_gap_after_the_second_failure_and_none_when_it_opens_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (probes, spec) = (Probes::default(), probe(address.port()));
        let at = |second| Timestamp::from_second(second).expect("a time");
        let tried = async |second| {
            let one = &spec.network.probes[0];
            let key = key("shinan", one);
            if probes.is_due(&key, one, at(second)) {
                probes.record_result(&key, Ok(connect("127.0.0.1", address.port()).await), at(second));
            }
            probes.facts_for_site("shinan", &spec, &"here".into()).remove("one").expect("a result")
        };
        assert!(probes.facts_for_site("shinan", &spec, &"here".into()).is_empty(), "not tried yet");
        assert!(matches!(tried(0).await, ProbeFacts::Connected { .. }));
        drop(listener);
        assert!(matches!(tried(5).await, ProbeFacts::Connected { .. }), "not due yet");
        assert!(matches!(tried(10).await, ProbeFacts::Connected { .. }), "one failure");
        assert!(matches!(tried(20).await, ProbeFacts::Failed { .. }), "two failures");
        let _listener = TcpListener::bind(address).await.expect("the same port");
        assert!(matches!(tried(30).await, ProbeFacts::Connected { .. }));
        assert!(probes.facts_for_site("shinan", &spec, &"there".into()).is_empty());
        assert!(probes.is_due(&key("shinan", &spec.network.probes[0]), &spec.network.probes[0], at(1)), "the clock was put back");
        let mut moved = probe(address.port());
        moved.network.probes[0].tcp.port = 1;
        assert!(probes.all_tried("shinan", &spec) && !probes.all_tried("shinan", &moved), "one that is changed is another");
        probes.forget_all_but(HashSet::new());
        assert!(probes.facts_for_site("shinan", &spec, &"here".into()).is_empty(), "its Platform is gone");
    }
}
