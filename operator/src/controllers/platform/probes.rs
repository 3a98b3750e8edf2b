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
use kube::ResourceExt as _;
use p861_core::{
    ids::SiteName,
    platform::facts::ProbeFacts,
    runs::{AllottedSite, Scope},
    time::parse_duration,
};
use p861_crds::{District, Platform, PlatformSpec, Reason, Site, platform::platform::Probe};
use p861_runs::{
    effects::gated,
    error::{Error, Result},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    sync::Arc,
    time::Duration,
};
use tokio::time::MissedTickBehavior;

/// Consecutive failures before a probe is reported as failing, so that one lost packet is ignored.
const FAILURES_BEFORE_REPORT: u32 = 2;
/// Time allowed for exec into the prober pod, in addition to the connection.
const EXEC_OVERHEAD: Duration = Duration::from_secs(10);
/// Time between checks for due probes, and so the shortest interval of a probe.
const DUE_CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Concurrent tries of one Platform from one site.
const MAX_PARALLEL_TRIES: usize = 8;

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

/// Runs a round per key every `tick`, one at a time for each key, so that a slow site, or a district whose probes lead nowhere, doesn't delay others.
async fn rounds<K, T, D, R>(tick: Duration, due: impl Fn() -> D, round: impl Fn(T) -> R)
where
    K: Clone + Eq + Hash,
    D: Future<Output = BTreeMap<K, T>>,
    R: Future<Output = ()>,
{
    let (mut rounds, mut busy) = (FuturesUnordered::new(), HashSet::new());
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(key) = rounds.next() => { busy.remove(&key); }
            _ = ticks.tick() => {
                for (key, due) in due().await {
                    if busy.insert(key.clone()) {
                        rounds.push(round(due).map(|()| key));
                    }
                }
            }
        }
    }
}

/// A probe that is due, with its key and the site that it begins on.
type DueProbe = (String, Probe, AllottedSite);

/// Due probes by source site and Platform.
type ProbesByPlace = BTreeMap<(String, String), Vec<DueProbe>>;

/// The probes that are due.
async fn due(context: &Context, probes: &Probes) -> ProbesByPlace {
    if !context.hub.leadership.holds() {
        return BTreeMap::new();
    }
    let declared = context.cache.filter_map(None, |platform: &Platform| {
        let (name, namespace) = (platform.name_any(), platform.namespace().unwrap_or_default());
        let of = |probe: &Probe| Declared { namespace: namespace.clone(), platform: name.clone(), key: key(&name, probe), probe: probe.clone() };
        Some(platform.spec.network.probes.iter().map(of).collect::<Vec<_>>())
    });
    let scopes = context.cache.filter_map(None, |district: &District| Some((district.hub_namespace().to_owned(), Scope::of(district))));
    let (Ok(declared), Ok(scopes)) = (declared.await, scopes.await) else { return BTreeMap::new() };
    choose(probes, declared.into_iter().flatten().collect(), &scopes.into_iter().collect(), Timestamp::now())
}

/// A probe as its Platform declares it.
struct Declared {
    namespace: String,
    platform: String,
    key: String,
    probe: Probe,
}

/// The probes that are due, by the site that they begin on and their Platform. One that begins on a site of another district is not
/// tried, and its result says so.
fn choose(probes: &Probes, declared: Vec<Declared>, scopes: &HashMap<String, Scope>, now: Timestamp) -> ProbesByPlace {
    let mut by_place: ProbesByPlace = BTreeMap::new();
    probes.forget_all_but(declared.iter().map(|declared| declared.key.as_str()).collect());
    for Declared { namespace, platform, key, probe } in declared.into_iter().filter(|declared| probes.is_due(&declared.key, &declared.probe, now)) {
        let missing = || Error::invalid(Reason::DistrictMissing, format!("namespace {namespace} belongs to no District: kubectl get districts"));
        let site = scopes.get(&namespace).ok_or_else(missing).and_then(|scope| Ok(scope.site(&probe.from_site_ref.name.as_str().into())?));
        match site {
            Ok(site) => by_place.entry((site.to_string(), platform)).or_default().push((key, probe, site)),
            Err(refused) => probes.record_result(&key, Err(refused), now),
        }
    }
    by_place
}

/// Tries a Platform's probes from a site.
async fn round(context: &Context, probes: &Probes, due: Vec<DueProbe>) {
    let tries = due.into_iter().map(async |(key, probe, site)| {
        let now = Timestamp::now();
        let result = tokio::time::timeout(CONNECT_TIMEOUT + EXEC_OVERHEAD, try_from_there(context, &probe, &site)).await;
        let late = || Err(Error::transient(Reason::Unreachable, format!("site {site} did not let it be tried within {:?}", CONNECT_TIMEOUT + EXEC_OVERHEAD)));
        probes.record_result(&key, result.unwrap_or_else(|_| late()), now);
    });
    stream::iter(tries).buffer_unordered(MAX_PARALLEL_TRIES).collect::<()>().await;
}

/// Tries a probe from its source site.
async fn try_from_there(context: &Context, probe: &Probe, site: &AllottedSite) -> Result<Connected> {
    let (host, port) = (&probe.tcp.host, u16::try_from(probe.tcp.port).unwrap_or(0));
    let stands = |found: &Site| (found.name_any() == site.as_str()).then(|| found.spec.access.in_cluster.is_some());
    if context.cache.filter_map(None, stands).await?.contains(&true) {
        return Ok(connect(host, port).await);
    }
    let limit = CONNECT_TIMEOUT + EXEC_OVERHEAD;
    let (pod, output) = gated::probe(&context.sites, site, &context.hub.namespace, host, port, limit).await?;
    serde_json::from_str(output.stdout.trim())
        .map_err(|_| Error::transient(Reason::ProberFailed, format!("the site's prober {pod} gave no answer: {} {}", output.message, output.stderr.trim())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn probe(port: u16) -> PlatformSpec {
        let text = format!("{{network: {{probes: [{{name: one, fromSiteRef: {{name: here}}, tcp: {{host: 127.0.0.1, port: {port}}}, period: 10s}}]}}}}");
        serde_saphyr::from_str(&text).expect("a spec")
    }

    #[tokio::test]
    async fn fault_e12_probes_of_one_site_and_district_that_are_slow_hold_up_no_others() {
        let begun = Mutex::new(BTreeMap::<&str, usize>::new());
        let due = async || BTreeMap::from([(("west", "slow"), "slow"), (("west", "quick"), "quick")]);
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

    #[test]
    fn fault_e3_a_probe_that_begins_on_a_site_of_another_district_is_never_tried() {
        let probes = Probes::default();
        let district = serde_json::json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
            "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "here"}, "role": "Primary"}]}});
        let district: District = serde_json::from_value(district).expect("a district");
        let scopes = HashMap::from([("shinan".to_owned(), Scope::of(&district))]);
        let own = probe(1).network.probes.remove(0);
        let foreign = Probe { name: "two".into(), from_site_ref: p861_crds::ObjectReference::new("laoshan-site"), ..own.clone() };
        let declared = || {
            let all = [("shinan", &own), ("shinan", &foreign), ("nobodys", &own)];
            let of = |(namespace, probe): (&str, &Probe)| Declared {
                namespace: namespace.to_owned(),
                platform: "p".to_owned(),
                key: format!("{namespace} {}", key(namespace, probe)),
                probe: probe.clone(),
            };
            all.map(of).into()
        };
        let due = choose(&probes, declared(), &scopes, Timestamp::UNIX_EPOCH);
        assert_eq!(due.into_iter().map(|(place, due)| (place, due.len())).collect::<Vec<_>>(), [(("here".to_owned(), "p".to_owned()), 1)]);
        let results: BTreeMap<String, String> = probes.tried.lock().iter().map(|(key, tried)| (key[..7].to_owned(), format!("{:?}", tried.result))).collect();
        assert!(results["shinan "].contains("site laoshan-site is not one of the sites of shinan"), "{results:?}");
        assert!(results["nobodys"].contains("belongs to no District"), "{results:?}");
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
