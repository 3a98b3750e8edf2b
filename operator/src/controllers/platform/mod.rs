//! Platform: enforces the five layers of a district on its sites, and assesses them.
//!
//! 1. `inventory`: state of each site, read once a minute for all districts on it.
//! 2. `p861_core::platform::desired`: the desired objects; `keep` applies them.
//! 3. `sight`: observations for the assessment.
//! 4. `p861_core::platform::judge`: the assessment, written to the status; `history` stores a sample per day.

mod certificates;
mod components;
mod history;
mod inventory;
mod keep;
pub mod probes;
mod quotas;
mod sight;

use super::{cached_district, refuse_foreign_namespaces};
use crate::{context::Context, metrics::Metrics, reconciler::Reconciler};
use inventory::Inventory;
use jiff::{Timestamp, tz::TimeZone};
use kube::{Api, Client, ResourceExt as _, core::DeserializeGuard};
use p861_core::{
    conditions::{self, ConditionUpdate},
    platform::{
        desired::Place,
        facts::{ApplicationFacts, Facts, RepositoryFacts, SiteFacts, Unseen},
        forecast,
        judge::{Judgement, judge},
        quota,
    },
};
use p861_crds::{
    Application, BackupRepository, ConditionType, District, Platform, PlatformProfile, PlatformProfileSpec, Reason,
    platform::{profile::Layer, status::State},
};
use p861_runs::error::{Error, Result, Tried as _};
use p861_runs::status::{apply_status, event_type, publish_event};
use parking_lot::Mutex;
use probes::Probes;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between reconciles; drift is corrected within a minute.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(45);
/// Time until the next reconcile while a probe has no result yet.
const UNTRIED_PROBE_INTERVAL: Duration = Duration::from_secs(6);
/// Largest age of an inventory.
const INVENTORY_TTL: Duration = Duration::from_secs(45);
/// Time limit for reading an inventory.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(30);

/// The controller and its caches, which are filled again after a restart.
#[derive(Default)]
pub struct PlatformReconciler {
    inventories: Mutex<HashMap<String, (Instant, Arc<Inventory>)>>,
    certificates: certificates::Certificates,
    probes: Arc<Probes>,
}

impl PlatformReconciler {
    /// The controller, with the probes that [`probes::watch`] tries.
    pub fn new(probes: Arc<Probes>) -> Self {
        Self { probes, ..Self::default() }
    }
}

impl Reconciler for PlatformReconciler {
    type Kind = Platform;
    const CONDITION: ConditionType = ConditionType::Ready;

    fn on_deleted(&self, metrics: &Metrics, namespace: &str, _name: &str) {
        for layer in Layer::ALL.map(|layer| layer.to_string()) {
            let _ = metrics.platform_layer_state.remove_label_values(&[namespace, &layer]);
            let _ = metrics.platform_supportable.remove_label_values(&[namespace, &layer]);
            let _ = metrics.platform_short.remove_label_values(&[namespace, &layer]);
        }
        let _ = metrics.platform_running.remove_label_values(&[namespace]);
    }

    async fn reconcile(&self, context: &Context, platform: Arc<Platform>, now: Timestamp) -> Result<Duration> {
        let namespace = platform.namespace().unwrap_or_default();
        let mut status = platform.status.clone().unwrap_or_default();
        status.observed_generation = platform.metadata.generation;
        let seen = self.observe(context, &platform, &namespace, now).await;
        let judged = match seen {
            Ok((district, profile, facts)) => {
                let zone = TimeZone::get(&district.spec.time_zone).map_err(|_| {
                    Error::invalid(Reason::Invalid, format!("district {}: there is no time zone {}", district.name_any(), district.spec.time_zone))
                })?;
                let history = history::read(context, &platform).await?;
                let judgement = judge(&platform.spec, profile.as_ref(), &facts, &history, &zone, now);
                history::record(context, &platform, &history, forecast::sample(&judgement.supplies, judgement.balance.running, now)).await?;
                update_metrics(&context.metrics, &namespace, &facts, &judgement);
                Ok(judgement)
            }
            Err(error) if matches!(error, Error::Stated { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        let updates = match judged {
            Ok(judgement) => {
                status.layers = judgement.layers;
                status.items = judgement.items;
                status.components = judgement.components;
                status.balance = Some(judgement.balance);
                judgement.updates
            }
            Err(error) => vec![ConditionUpdate::bad(ConditionType::Ready, error.reason(), error.to_string())],
        };
        let before = platform.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        for update in updates.iter().filter(|update| update.kind == ConditionType::Ready) {
            let known = before.iter().find(|condition| condition.type_ == ConditionType::Ready);
            if known.is_none_or(|known| known.reason != update.reason) {
                publish_event(&context.hub, platform.as_ref(), event_type(!update.holds()), update.reason.clone(), &update.message).await;
            }
        }
        status.conditions = conditions::apply(&status.conditions, &updates, platform.metadata.generation, now);
        apply_status(&context.hub, platform.as_ref(), platform.status.as_ref(), &status).await?;
        // A new probe gets its first result soon.
        Ok(if self.probes.all_tried(&platform.name_any(), &platform.spec) { RECONCILE_INTERVAL } else { UNTRIED_PROBE_INTERVAL })
    }
}

impl PlatformReconciler {
    /// Enforces the desired objects on every site, and observes its state.
    async fn observe(&self, context: &Context, platform: &Platform, namespace: &str, now: Timestamp) -> Result<(District, Option<PlatformProfileSpec>, Facts)> {
        let district = cached_district(context, namespace).await?;
        if platform.name_any() != district.name_any() {
            return Err(Error::invalid(
                Reason::Invalid,
                format!("a district has one Platform, with the district's name: rename this one {}, or delete it", district.name_any()),
            ));
        }
        let profile = profile_of(context, &district).await?;
        let applications: Vec<Application> = context.cache.list(namespace).await?;
        let places = places(&district, &applications);
        let mut facts = Facts {
            applications: applications.iter().map(application_facts).collect(),
            repositories: repositories(context, platform, namespace).await?,
            ..Facts::default()
        };
        for site in &district.spec.sites {
            let name = &site.site_ref.name;
            let seen = self.site(context, platform, &district, name, &places, now).await;
            let sight = match seen {
                Ok(sight) => Ok(sight),
                // Without the lease not even the status may be written.
                Err(Error::LeaseLost) => return Err(Error::LeaseLost),
                Err(error) => Err(Unseen { reason: error.reason(), message: error.to_string() }),
            };
            facts.sites.push(SiteFacts { name: name.clone(), role: site.role, sight });
        }
        Ok((district, profile, facts))
    }

    async fn site(
        &self,
        context: &Context,
        platform: &Platform,
        district: &District,
        site: &str,
        places: &[Place],
        now: Timestamp,
    ) -> Result<p861_core::platform::facts::Sight> {
        let client = context.sites.client(site).await?;
        let inventory = self.inventory(&client, site).await?;
        let observer = sight::SiteObserver {
            context,
            client: &client,
            site,
            district,
            platform,
            inventory: &inventory,
            certificates: &self.certificates,
            probes: &self.probes,
        };
        let limit = INVENTORY_TIMEOUT * 2;
        tokio::time::timeout(limit, observer.enforce_and_observe(places, now))
            .await
            .unwrap_or_else(|_| Err(Error::transient(Reason::Unreachable, format!("site {site} did not answer everything within {limit:?}"))))
    }

    /// The inventory of a site, shared by its districts and read again after [`INVENTORY_TTL`].
    async fn inventory(&self, client: &Client, site: &str) -> Result<Arc<Inventory>> {
        let known = self.inventories.lock().get(site).cloned();
        if let Some((_, inventory)) = known.filter(|(at, _)| at.elapsed() < INVENTORY_TTL) {
            return Ok(inventory);
        }
        let read = tokio::time::timeout(INVENTORY_TIMEOUT, inventory::read(client)).await;
        let read =
            Arc::new(read.unwrap_or_else(|_| {
                Err(Error::transient(Reason::Unreachable, format!("site {site} did not show what it has within {INVENTORY_TIMEOUT:?}")))
            })?);
        self.inventories.lock().insert(site.to_owned(), (Instant::now(), read.clone()));
        Ok(read)
    }
}

/// Namespaces of the district's applications, each with its department. A namespace of another district is skipped; the Application reports it.
fn places(district: &District, applications: &[Application]) -> Vec<Place> {
    let mut taken = BTreeSet::new();
    let mut all: Vec<&Application> = applications.iter().filter(|application| refuse_foreign_namespaces(district, application).is_ok()).collect();
    // If two applications name one namespace, the older has it, as everywhere.
    all.sort_by_key(|application| (application.metadata.creation_timestamp.as_ref().map(|time| time.0), application.name_any()));
    let mut places: Vec<Place> = all
        .into_iter()
        .flat_map(|application| {
            application.spec.namespaces.iter().map(|namespace| Place { namespace: namespace.clone(), department: application.spec.department.clone() })
        })
        .filter(|place| taken.insert(place.namespace.clone()))
        .collect();
    places.sort();
    places
}

fn application_facts(application: &Application) -> ApplicationFacts {
    let conditions = application.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    ApplicationFacts {
        name: application.name_any(),
        profile_item: application.spec.profile_item.clone(),
        ready: conditions::is_true(conditions, ConditionType::Ready),
        failing: conditions.iter().any(|condition| condition.type_ == ConditionType::Healthy && condition.status == "False"),
    }
}

async fn profile_of(context: &Context, district: &District) -> Result<Option<PlatformProfileSpec>> {
    let Some(reference) = &district.spec.profile_ref else { return Ok(None) };
    let profiles: Api<DeserializeGuard<PlatformProfile>> = Api::all(context.hub.client.clone());
    let found = profiles.get_opt(&reference.name).await.tried(|| format!("read profile {}", reference.name))?;
    Ok(found.and_then(|guard| guard.0.ok()).map(|profile| profile.spec))
}

async fn repositories(context: &Context, platform: &Platform, namespace: &str) -> Result<Vec<RepositoryFacts>> {
    let there: Vec<BackupRepository> = context.cache.list(namespace).await?;
    let bytes = |text: &p861_crds::common::Quantity| quota::read("requests.storage", &text.0);
    let one = |name: &String| {
        let Some(found) = there.iter().find(|repository| repository.name_any() == *name) else {
            return RepositoryFacts { name: name.clone(), ..RepositoryFacts::default() };
        };
        let status = found.status.as_ref();
        RepositoryFacts {
            name: name.clone(),
            exists: true,
            ready: status.is_some_and(|status| conditions::is_true(&status.conditions, ConditionType::Ready)),
            capacity: found.spec.capacity.as_ref().and_then(bytes),
            used: status.and_then(|status| status.used.as_ref()).and_then(bytes),
        }
    };
    Ok(platform.spec.storage.repository_refs.iter().map(|reference| one(&reference.name)).collect())
}

/// Sets the metrics of a district's platform.
fn update_metrics(metrics: &Metrics, district: &str, facts: &Facts, judgement: &Judgement) {
    metrics.platform_running.with_label_values(&[district]).set(judgement.balance.running);
    for layer in &judgement.layers {
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
        let short = judgement.balance.forecast.iter().find(|forecast| forecast.layer == layer.layer).and_then(|forecast| forecast.short_time.as_ref());
        match short {
            Some(short) => metrics.platform_short.with_label_values(&labels).set(short.0.as_duration().as_secs_f64()),
            None => drop(metrics.platform_short.remove_label_values(&labels)),
        }
    }
    for site in &facts.sites {
        let first = site.sight.as_ref().ok().and_then(|sight| sight.certificates.iter().filter_map(|certificate| certificate.expires.as_ref().ok()).min());
        match first {
            Some(first) => metrics.platform_certificate_expiry.with_label_values(&[district, &site.name]).set(first.as_duration().as_secs_f64()),
            None => drop(metrics.platform_certificate_expiry.remove_label_values(&[district, &site.name])),
        }
    }
}
