//! A replica of the operator: it waits for the lease, leads, and starts anew when it has lost it.

use crate::{
    RunArguments,
    context::{Context, Messaging},
    controllers,
    driver::Driver,
    hub_cache::HubCache,
    leader,
    lease_loss::{Losses, start_anew},
    log_limit::LogLimit,
    maintenance::{alerts, links, resolution},
    metrics::Metrics,
    own_networks,
    pulse::Pulse,
    reconciler::{PendingController, Running, first_end, register, register_called},
    server,
};
use kube::{Api, Client, Config, api::ListParams};
use p861_crds::{Backup, BackupRepository, District, Drill, Restore};
use p861_egress::Egress;
use p861_runs::{
    Admissions, ComponentState, EffectTasks, Hub, JournalKeys, MoverSettings, Occupancy, RunCache, RunContext,
    effects::{KeysGiven, Warnings, Watched},
    error,
    folders::FolderRoot,
    guard, hub, hub_object,
    leadership::Leadership,
    movers::child::Children,
    repository::StoreCache,
    sites,
};
use std::{
    convert::Infallible,
    error::Error,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wait before something that the API server did not answer is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How long children may take to end; those that are left are killed when this process goes.
const CHILDREN_PATIENCE: Duration = Duration::from_secs(10);
/// Requests that were sent before the process resigned have arrived after this.
const IN_TRANSIT: Duration = Duration::from_millis(500);

/// Somebody asks the process to end.
struct EndRequest {
    terminate: Signal,
    interrupt: Signal,
}

impl EndRequest {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a process has, whether it leads or not.
#[derive(Clone)]
struct Replica {
    config: Config,
    /// For reads before the lease is held; all other requests go through the guard.
    client: Client,
    namespace: String,
    identity: String,
    leadership: Leadership,
    metrics: Metrics,
    children: Children,
}

/// Runs a replica until it is asked to end.
///
/// # Errors
/// If it can't start, or something has ended that never should. Not if the lease is lost: then the process starts anew, and this doesn't return.
pub async fn operate(arguments: RunArguments, log_limit: LogLimit) -> Result<(), Box<dyn Error>> {
    // Before anything else: the first process of a container doesn't even end by a signal that it has no handler for.
    let mut end_request = EndRequest::listen()?;
    let losses = Losses::of_environment()?;
    let (config, folders) = (Config::infer().await?, FolderRoot::of_environment()?);
    let client = Client::try_from(config.clone())?;
    let replica = Replica {
        config,
        client,
        namespace: arguments.namespace.clone(),
        identity: arguments.identity.clone(),
        leadership: Leadership::none(),
        metrics: Metrics::new()?,
        children: Children::default(),
    };
    replica.metrics.lease_losses.inc_by(losses.total);
    let ready = Arc::new(AtomicBool::new(false));
    let messaging = replica.serve(&arguments, ready.clone()).await?;
    let competes = async {
        wait_for_kinds(&replica.client).await;
        // Before anything is done for a district: its addresses may lead to the hub's own cluster.
        let api_server = replica.config.cluster_url.host().map(str::to_owned);
        let networks = own_networks::close(replica.client.clone(), Egress::of_process(), api_server).await;
        ready.store(true, Ordering::Relaxed);
        if !losses.pause().is_zero() {
            tracing::warn!(losses = losses.total, "the lease was lost again and again: this replica competes for it in {:?}", losses.pause());
            tokio::time::sleep(losses.pause()).await;
        }
        let term = leader::compete(replica.config.clone(), &replica.namespace, &replica.identity, arguments.lease_duration, replica.leadership.clone());
        term.map(|term| (term, networks))
    };
    let (mut term, networks) = tokio::select! {
        term = competes => term?,
        () = end_request.heard() => return Ok(()),
    };
    tracing::info!(identity = replica.identity, "waits for the lease");
    tokio::select! {
        led = term.leads.wait_for(|leads| *leads) => { led?; }
        () = end_request.heard() => return Ok(()),
    }
    tracing::info!(identity = replica.identity, "leads");
    let began = Instant::now();
    let is_lost = tokio::select! {
        ended = Box::pin(replica.clone().lead(arguments, folders, messaging, networks, log_limit)) => match ended? {},
        lost = term.leads.wait_for(|leads| !*leads) => { lost?; true }
        () = end_request.heard() => false,
    };
    if !is_lost {
        tracing::info!("ends on request");
        replica.stand_down().await;
        term.end().await;
        return Ok(());
    }
    tracing::warn!("the lease was lost: the work in hand is dropped, the journals have it; this process waits for the lease again");
    let let_go = async {
        replica.stand_down().await;
        // If it was only renewed too late for this process to be sure of it, nobody need wait until it runs out.
        term.end().await;
    };
    tokio::select! {
        () = let_go => {}
        () = end_request.heard() => return Ok(()),
    }
    Err(format!("the lease was lost, and the process can't start anew: {}", start_anew(losses.after(began.elapsed()))).into())
}

impl Replica {
    /// Starts the server, and what it needs also while another replica leads.
    async fn serve(&self, arguments: &RunArguments, ready: Arc<AtomicBool>) -> Result<Messaging, Box<dyn Error>> {
        let listener = tokio::net::TcpListener::bind(&arguments.listen).await?.into_std()?;
        let health = server::Health { ready, pulse: Pulse::default(), leadership: self.leadership.clone(), metrics: self.metrics.clone() };
        let (client, leadership) = (self.client.clone(), self.leadership.clone());
        let receiver = alerts::AlertReceiver::new(client.clone(), &self.namespace, &self.identity, leadership.clone(), self.metrics.clone());
        let (heartbeats, keys) = (receiver.heartbeats.clone(), receiver.keys.clone());
        let links = links::Links::new(client, keys.clone(), leadership);
        server::start(listener, health, receiver.router().merge(links.router()))?;
        tokio::spawn(keys.clone().keep_known());
        let public_url = arguments.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty());
        Ok(Messaging { heartbeats, keys, public_url })
    }

    /// Works until something ends that never should, which it returns. It may be dropped at any moment.
    async fn lead(
        self,
        arguments: RunArguments,
        folders: FolderRoot,
        messaging: Messaging,
        networks: impl Future<Output = ()> + Send + 'static,
        log_limit: LogLimit,
    ) -> Result<Infallible, Box<dyn Error>> {
        hub_object::note_hub_namespaces([self.namespace.clone()]);
        // Before any of their objects is kept in memory.
        let districts = async || hub::for_each(&self.client, |district: District| hub_object::note_hub_namespaces([district.hub_namespace().to_owned()])).await;
        until_answered("the districts can't be listed yet", districts).await;
        let guarded = guard::client(self.config, &self.leadership)?;
        messaging.heartbeats.listen_from(jiff::Timestamp::now());
        let (mut cache, probes) = (HubCache::default(), Arc::new(controllers::platform::probes::Probes::default()));
        let pending = controllers_of(&guarded, &mut cache, &probes);
        let hub = Hub {
            client: guarded.clone(),
            leadership: self.leadership.clone(),
            namespace: self.namespace.clone(),
            identity: self.identity,
            stores: StoreCache::with_folders(folders),
            journal_keys: JournalKeys::default(),
        };
        let sites = sites::Sites::new(guarded, &self.namespace, self.leadership);
        let runs = RunContext {
            hub: hub.clone(),
            sites: sites.clone(),
            movers: MoverSettings {
                image: arguments.image,
                image_pull_policy: arguments.image_pull_policy,
                children: self.children,
                given: KeysGiven::default(),
                warnings: Warnings::default(),
                watched: Watched::default(),
            },
            components: ComponentState::default(),
            cache: RunCache::default(),
            admissions: Admissions::default(),
            occupancy: Occupancy::default(),
            tasks: EffectTasks::default(),
            metrics: self.metrics.runs.clone(),
        };
        let context = Context { cache, runs, hub, sites, metrics: self.metrics, messaging };
        let begun = until_answered("the runs that are under way can't be listed yet", async || runs_under_way(&context.hub.client).await).await;
        context.runs.admissions.expect(begun);
        let watches = [
            Running::start("the watch of probes", controllers::platform::probes::watch(context.clone(), probes)),
            Running::start("the watch of resolutions", resolution::watch(context.clone())),
            Running::start("the watch of the hub's own networks", networks),
            Running::start("the report of the log's limit", log_limit.report()),
        ];
        let running = pending.into_iter().map(|controller| controller.start(&context)).chain(watches);
        Err(format!("{}: the process ends, and another goes on from the journals", first_end(running).await).into())
    }

    /// Acts no more, and leaves nobody at work. The other replica must not begin before this has ended.
    async fn stand_down(&self) {
        self.leadership.resign();
        if tokio::time::timeout(CHILDREN_PATIENCE, self.children.end_all()).await.is_err() {
            tracing::warn!("movers that are children of this process have not ended within {CHILDREN_PATIENCE:?}");
        }
        tokio::time::sleep(IN_TRANSIT).await;
    }
}

/// The controllers of all kinds.
fn controllers_of(guarded: &Client, cache: &mut HubCache, probes: &Arc<controllers::platform::probes::Probes>) -> [PendingController; 16] {
    // A ticket that has installed something calls the Platforms, whose status says what is installed.
    let installs = Arc::new(tokio::sync::Notify::new());
    [
        register(guarded, cache, Driver::of(controllers::site::SiteController)),
        register(guarded, cache, Driver::of(controllers::district::DistrictController)),
        register(guarded, cache, Driver::of(controllers::profile::ProfileController)),
        register_called(guarded, cache, Driver::of(controllers::platform::PlatformController::new(probes.clone())), installs.clone()),
        register(guarded, cache, Driver::of(controllers::application::ApplicationController::default())),
        register(guarded, cache, Driver::of(controllers::repository::RepositoryController::default())),
        register(guarded, cache, Driver::of(controllers::policy::PolicyController::default())),
        register(guarded, cache, controllers::run::RunReconciler::<controllers::backup::BackupRun>::default()),
        register(guarded, cache, controllers::run::RunReconciler::<controllers::restore::RestoreRun>::default()),
        register(guarded, cache, Driver::of(controllers::plan::PlanController)),
        register(guarded, cache, controllers::run::RunReconciler::<controllers::drill::DrillRun>::default()),
        register(guarded, cache, Driver::of(controllers::window::WindowController)),
        register(guarded, cache, Driver::of(controllers::template::TemplateController)),
        register(guarded, cache, Driver::of(controllers::ticket::TicketController::new(installs))),
        register(guarded, cache, Driver::of(controllers::approval::ApprovalController)),
        register(guarded, cache, Driver::of(controllers::roster::RosterController::default())),
    ]
}

/// UIDs of the runs that an earlier term has begun.
async fn runs_under_way(client: &Client) -> error::Result<Vec<String>> {
    let mut begun = controllers::run::begun::<Backup>(client).await?;
    begun.extend(controllers::run::begun::<Restore>(client).await?);
    begun.extend(controllers::run::begun::<Drill>(client).await?);
    hub::for_each(client, |repository: BackupRepository| begun.extend(controllers::repository::run::begun_of(&repository))).await?;
    Ok(begun)
}

/// Asks until there is an answer. An API server that is too busy ends no replica: both would be gone.
async fn until_answered<T>(fault: &str, ask: impl AsyncFn() -> error::Result<T>) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => tracing::warn!("{fault}: {error}"),
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Waits until the hub's API server answers and serves our kinds.
async fn wait_for_kinds(client: &Client) {
    loop {
        let drills: Api<Drill> = Api::all(client.clone());
        match drills.list(&ListParams::default().limit(1)).await {
            Ok(_) | Err(kube::Error::SerdeError(_)) => return,
            Err(error) => tracing::warn!("the kinds of platform861.io can't be listed yet (is chart p861-crds installed?): {error}"),
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}
