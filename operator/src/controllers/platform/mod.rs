//! Platform: enforces the five layers of a district on its sites, and assesses them.
//!
//! 1. `observe`: `inventory` reads the state of each site once a minute for all districts on it, `sight` what is this district's.
//! 2. `decide`: `p861_core::platform::desired`, the objects that each site should have.
//! 3. `perform`: `keep` applies them, `components` corrects the drift of installed components.
//! 4. `conclude`: `p861_core::platform::judge`, the assessment.
//! 5. `follow_up`: `history` stores a sample per day.

mod certificates;
mod components;
mod history;
pub(super) mod inventory;
mod keep;
pub mod probes;
mod shown;
mod sight;

use super::{allotted_site, cached_district};
use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
    metrics::Metrics,
};
use futures::future::join_all;
use inventory::Inventory;
use jiff::{Timestamp, tz::TimeZone};
use kube::{Api, Client, ResourceExt as _, core::DeserializeGuard};
use p861_core::{
    conditions::{ConditionUpdate, ObjectEvent},
    ids::SiteName,
    platform::{
        desired::{DesiredSite, Owner, of_site, places},
        facts::{ApplicationFacts, Facts, RepositoryFacts, Sight, SiteFacts, Unseen},
        forecast::{self, Sample},
        judge::judge,
    },
};
use p861_crds::{
    Application, BackupRepository, Condition, ConditionType, District, Platform, PlatformProfile, PlatformProfileSpec, PlatformStatus, Reason,
    platform::{
        district::SiteRole,
        profile::Layer,
        status::{Balance, State},
    },
};
use p861_runs::error::{Category, Error, ErrorContext as _, Result};
use parking_lot::Mutex;
use probes::Probes;
use sight::{Enforced, SiteObserver, SiteSeen};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between reconciles; drift is corrected within a minute.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(45);
/// Time until the next reconcile while a probe has no result yet.
const UNTRIED_PROBE_INTERVAL: Duration = Duration::from_secs(6);
/// Largest age of an inventory.
const INVENTORY_TTL: Duration = Duration::from_secs(45);
/// How long a failure to read one is remembered, so that districts don't wait for a dead site one after the other.
const INVENTORY_FAILURE_TTL: Duration = Duration::from_secs(25);
/// Time limit for reading an inventory.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit for observing a site, and again for enforcing what is desired there.
const SITE_TIMEOUT: Duration = Duration::from_mins(1);

/// The last inventory of a site, or why there is none, behind a lock: districts that ask at once wait for one reading. Several at once would each hold a page of
/// everything.
type SharedInventory = Arc<tokio::sync::Mutex<Option<(Instant, std::result::Result<Arc<Inventory>, (Unseen, Category)>)>>>;

/// The controller and its caches, which are filled again after a restart.
#[derive(Default)]
pub struct PlatformController {
    inventories: Mutex<HashMap<SiteName, SharedInventory>>,
    certificates: certificates::Certificates,
    probes: Arc<Probes>,
}

impl PlatformController {
    /// The controller, with the probes that [`probes::watch`] tries.
    pub fn new(probes: Arc<Probes>) -> Self {
        Self { probes, ..Self::default() }
    }
}

/// What a platform is decided and judged by.
pub struct Observed {
    /// Its district; or why it can't be assessed.
    seen: std::result::Result<DistrictSeen, Unseen>,
    probes_tried: bool,
}

/// A district, and its sites.
pub struct DistrictSeen {
    district: Arc<District>,
    zone: TimeZone,
    profile: Option<PlatformProfileSpec>,
    applications: Vec<ApplicationFacts>,
    repositories: Vec<RepositoryFacts>,
    sites: Vec<(SiteName, SiteRole, std::result::Result<Arc<SiteSeen>, Unseen>)>,
    history: Vec<Sample>,
}

/// What is done for a platform.
#[derive(Default)]
pub struct Effects {
    /// What is enforced before the assessment, site by site.
    sites: Vec<Enforce>,
    /// Today's sample, and those before it; known after the assessment.
    sample: Option<(Vec<Sample>, Sample)>,
}

/// What is enforced on a site.
struct Enforce {
    site: SiteName,
    district: Arc<District>,
    seen: Arc<SiteSeen>,
    desired: DesiredSite,
}

impl Controller for PlatformController {
    type Kind = Platform;
    type Status = PlatformStatus;
    type Observed = Observed;
    type Effects = Effects;
    /// By site.
    type Performed = BTreeMap<SiteName, std::result::Result<Enforced, Unseen>>;
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, context: &ReadContext, platform: &Platform, now: Timestamp) -> Result<Observed> {
        let seen = match self.observe_district(context, platform, now).await {
            Ok(seen) => Ok(seen),
            Err(error @ Error::Stated { .. }) => Err(unseen(&error)),
            Err(error) => return Err(error),
        };
        // Read as an error, not as an empty history.
        let seen = match seen {
            Ok(seen) => Ok(DistrictSeen { history: history::read(context, platform).await?, ..seen }),
            Err(unseen) => Err(unseen),
        };
        Ok(Observed { seen, probes_tried: self.probes.all_tried(&platform.name_any(), &platform.spec) })
    }

    fn decide(platform: &Platform, observed: &Observed, _: Timestamp) -> DecisionOf<Self> {
        let status = platform.status.clone().unwrap_or_default();
        // A new probe gets its first result soon.
        let requeue = if observed.probes_tried { RECONCILE_INTERVAL } else { UNTRIED_PROBE_INTERVAL };
        let (effects, conditions) = match &observed.seen {
            Ok(seen) => (Effects { sites: desired(platform, seen), sample: None }, Vec::new()),
            Err(unseen) => (Effects::default(), vec![ConditionUpdate::bad(ConditionType::Ready, unseen.reason.clone(), unseen.message.clone())]),
        };
        Decision { events: turns(&status.conditions, &conditions), status, conditions, effects, requeue }
    }

    /// A site where something can't be enforced doesn't hold up the others.
    async fn perform(&self, context: &Context, platform: &Platform, effects: &Effects, _: Timestamp) -> Result<Self::Performed> {
        let sites = join_all(effects.sites.iter().map(async |Enforce { site, district, seen, desired }| {
            let enforced = async {
                let client = context.sites.client(&allotted_site(district, site)?).await?;
                sight::enforce(context, &client, site, district, platform, seen, desired).await
            };
            (site.clone(), within(SITE_TIMEOUT, site, enforced).await)
        }));
        let mut performed = BTreeMap::new();
        for (site, enforced) in sites.await {
            let enforced = match enforced {
                // Without the lease not even the status may be written.
                Err(Error::LeaseLost) => return Err(Error::LeaseLost),
                enforced => enforced.map_err(|error| unseen(&error)),
            };
            performed.insert(site, enforced);
        }
        Ok(performed)
    }

    fn conclude(platform: &Platform, observed: &Observed, mut decision: DecisionOf<Self>, performed: Self::Performed, now: Timestamp) -> DecisionOf<Self> {
        let Ok(seen) = &observed.seen else { return decision };
        let facts = facts(seen, &decision.effects, performed);
        let judgement = judge(&platform.spec, seen.profile.as_ref(), &facts, &seen.history, &seen.zone, now);
        decision.effects.sample = Some((seen.history.clone(), forecast::sample(&judgement.supplies, judgement.balance.running, now)));
        decision.events.extend(turns(&decision.status.conditions, &judgement.updates));
        decision.conditions = judgement.updates;
        decision.status.layers = judgement.layers;
        decision.status.items = judgement.items;
        decision.status.components = judgement.components;
        decision.status.balance = Some(judgement.balance);
        decision
    }

    fn set_metrics(&self, metrics: &Metrics, platform: &Platform, observed: &Observed, status: &PlatformStatus) {
        let district = platform.namespace().unwrap_or_default();
        if let (Ok(seen), Some(balance)) = (&observed.seen, &status.balance) {
            update_metrics(metrics, &district, status, balance);
            seen.sites.iter().for_each(|(site, _, seen)| update_certificate(metrics, &district, site, seen.as_ref().ok()));
        }
    }

    async fn follow_up(&self, context: &Context, platform: &Platform, decision: DecisionOf<Self>, _: Timestamp) -> Result<Option<Duration>> {
        if let Some((history, sample)) = decision.effects.sample {
            history::record(context, platform, &history, sample).await?;
        }
        Ok(None)
    }

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, _name: &str) {
        for layer in Layer::ALL.map(|layer| layer.to_string()) {
            let _ = metrics.platform_layer_state.remove_label_values(&[namespace, &layer]);
            let _ = metrics.platform_supportable.remove_label_values(&[namespace, &layer]);
            let _ = metrics.platform_short.remove_label_values(&[namespace, &layer]);
        }
        let _ = metrics.platform_running.remove_label_values(&[namespace]);
    }
}

impl PlatformController {
    /// Reads the district and the state of its sites.
    async fn observe_district(&self, context: &ReadContext, platform: &Platform, now: Timestamp) -> Result<DistrictSeen> {
        let namespace = platform.namespace().unwrap_or_default();
        let district = Arc::new(cached_district(context, &namespace).await?);
        let name = district.name_any();
        if platform.name_any() != name {
            let message = format!("a district has one Platform, with the district's name: rename this one {name}, or delete it");
            return Err(Error::invalid(Reason::Invalid, message));
        }
        let zone = TimeZone::get(&district.spec.time_zone)
            .map_err(|_| Error::invalid(Reason::Invalid, format!("district {name}: there is no time zone {}", district.spec.time_zone)))?;
        let applications: Vec<Application> = context.cache.list(&namespace).await?;
        let repositories: Vec<BackupRepository> = context.cache.list(&namespace).await?;
        let places = places(&district, &applications);
        // Side by side: sites that don't answer must not add up to more than a reconcile may take.
        let sites = join_all(district.spec.sites.iter().map(async |site| {
            let name = SiteName::from(site.site_ref.name.as_str());
            let seen = async {
                let allotted = allotted_site(&district, &name)?;
                let client = context.sites.client(&allotted).await?;
                let inventory = self.inventory(&client, &name).await?;
                let (certificates, probes) = (&self.certificates, &*self.probes);
                let observer = SiteObserver { context, client: &client, site: &allotted, district: &district, platform, certificates, probes };
                observer.observe(inventory, &places, now).await
            };
            let seen = within(SITE_TIMEOUT, &name, seen).await.map(Arc::new).map_err(|error| unseen(&error));
            (name, site.role, seen)
        }));
        let sites = sites.await;
        Ok(DistrictSeen {
            zone,
            profile: profile_of(context, &district).await?,
            applications: applications.iter().map(ApplicationFacts::of).collect(),
            repositories: platform.spec.storage.repository_refs.iter().map(|reference| RepositoryFacts::of(&reference.name, &repositories)).collect(),
            sites,
            history: Vec::new(),
            district,
        })
    }

    /// The inventory of a site, shared by its districts and read again after [`INVENTORY_TTL`].
    async fn inventory(&self, client: &Client, site: &SiteName) -> Result<Arc<Inventory>> {
        let place = self.inventories.lock().entry(site.clone()).or_default().clone();
        let mut last = place.lock().await;
        let ttl = |seen: &std::result::Result<_, _>| if seen.is_ok() { INVENTORY_TTL } else { INVENTORY_FAILURE_TTL };
        let fresh = last.as_ref().filter(|(at, seen)| at.elapsed() < ttl(seen)).map(|(_, seen)| seen.clone());
        let seen = if let Some(seen) = fresh {
            seen
        } else {
            let late = || Err(Error::transient(Reason::Unreachable, format!("site {site} did not show what it has within {INVENTORY_TIMEOUT:?}")));
            let read = tokio::time::timeout(INVENTORY_TIMEOUT, inventory::read(client)).await.unwrap_or_else(|_| late());
            let seen = read.map(Arc::new).map_err(|error| (unseen(&error), error.category()));
            *last = Some((Instant::now(), seen.clone()));
            seen
        };
        seen.map_err(|(unseen, category)| Error::Stated { reason: unseen.reason, message: unseen.message, category })
    }
}

async fn within<T>(limit: Duration, site: &SiteName, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Err(Error::transient(Reason::Unreachable, format!("site {site} did not answer everything within {limit:?}")));
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| late())
}

fn unseen(error: &Error) -> Unseen {
    Unseen { reason: error.reason(), message: error.to_string() }
}

/// What is desired on each site that was seen.
fn desired(platform: &Platform, seen: &DistrictSeen) -> Vec<Enforce> {
    let district = seen.district.metadata.name.as_deref().unwrap_or_default();
    let of_seen = seen.sites.iter().filter_map(|(site, _, of_site)| Some((site, of_site.as_ref().ok()?)));
    of_seen
        .map(|(site, of)| {
            let owner = Owner { district, site: site.as_str(), limits: seen.district.spec.limits };
            let desired = of_site(&platform.spec, owner, &of.here, &of.inventory.usage, &keep::counted(&of.quotas));
            Enforce { site: site.clone(), district: seen.district.clone(), seen: of.clone(), desired }
        })
        .collect()
}

/// What the platform is judged by: what was seen, and what came of enforcing.
fn facts(seen: &DistrictSeen, effects: &Effects, mut performed: BTreeMap<SiteName, std::result::Result<Enforced, Unseen>>) -> Facts {
    let mut sight = |site: &SiteName, of: &std::result::Result<Arc<SiteSeen>, Unseen>| -> std::result::Result<Sight, Unseen> {
        let of = of.as_ref().map_err(Clone::clone)?;
        let not_enforced = || Err(Unseen { reason: Reason::NotYet, message: format!("nothing was enforced on site {site} yet") });
        let enforced = performed.remove(site).unwrap_or_else(not_enforced)?;
        let desired = effects.sites.iter().find(|enforce| enforce.site == *site).map(|enforce| &enforce.desired);
        let quotas = desired.map(|desired| desired.quotas.clone()).unwrap_or_default();
        let refused = desired.into_iter().flat_map(|desired| desired.refused.clone()).chain(enforced.refused).collect();
        Ok(Sight { quotas, components: enforced.components, refused, ..of.sight.clone() })
    };
    Facts {
        sites: seen.sites.iter().map(|(name, role, of)| SiteFacts { name: name.to_string(), role: *role, sight: sight(name, of) }).collect(),
        repositories: seen.repositories.clone(),
        applications: seen.applications.clone(),
    }
}

/// An Event when condition Ready turns to another reason.
fn turns(before: &[Condition], conditions: &[ConditionUpdate]) -> Vec<ObjectEvent> {
    let told = |ready: &ConditionUpdate| before.iter().any(|condition| condition.type_ == ready.kind && condition.reason == ready.reason);
    let ready = conditions.iter().filter(|condition| condition.kind == ConditionType::Ready && !told(condition));
    ready.map(|ready| ObjectEvent { reason: ready.reason.clone(), note: ready.message.clone(), warning: !ready.holds() }).collect()
}

async fn profile_of(context: &Context, district: &District) -> Result<Option<PlatformProfileSpec>> {
    let Some(reference) = &district.spec.profile_ref else { return Ok(None) };
    let profiles: Api<DeserializeGuard<PlatformProfile>> = Api::all(context.hub.client.clone());
    let found = profiles.get_opt(&reference.name).await.context(|| format!("read profile {}", reference.name))?;
    Ok(found.and_then(|guard| guard.0.ok()).map(|profile| profile.spec))
}

/// Sets the metrics of a district's layers.
fn update_metrics(metrics: &Metrics, district: &str, status: &PlatformStatus, balance: &Balance) {
    metrics.platform_running.with_label_values(&[district]).set(balance.running);
    for layer in &status.layers {
        let labels = [district, &layer.layer.to_string()];
        metrics.platform_layer_state.with_label_values(&labels).set(match layer.state {
            State::Ready => 2,
            State::Weak => 1,
            State::Missing | State::NotAssessed => 0,
        });
        match layer.supportable {
            Some(supportable) => metrics.platform_supportable.with_label_values(&labels).set(supportable),
            None => drop(metrics.platform_supportable.remove_label_values(&labels)),
        }
        let short = balance.forecast.iter().find(|forecast| forecast.layer == layer.layer).and_then(|forecast| forecast.short_time.as_ref());
        match short {
            Some(short) => metrics.platform_short.with_label_values(&labels).set(short.0.as_duration().as_secs_f64()),
            None => drop(metrics.platform_short.remove_label_values(&labels)),
        }
    }
}

/// Sets the metric of a site's certificate that ends first.
fn update_certificate(metrics: &Metrics, district: &str, site: &SiteName, seen: Option<&Arc<SiteSeen>>) {
    let first = seen.and_then(|seen| seen.sight.certificates.iter().filter_map(|certificate| certificate.expires.as_ref().ok()).min());
    match first {
        Some(first) => metrics.platform_certificate_expiry.with_label_values(&[district, site.as_str()]).set(first.as_duration().as_secs_f64()),
        None => drop(metrics.platform_certificate_expiry.remove_label_values(&[district, site.as_str()])),
    }
}
