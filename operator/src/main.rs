//! The operator of Platform 861, and its movers, in one image.
//!
//! `p861-operator run` is the operator; its Jobs run `p861-operator mover`. With two replicas of the operator, one acts and the other stands by.

mod context;
mod controllers;
mod copy_dns;
mod copy_probe;
mod dispatch;
mod driver;
mod hub_cache;
mod leader;
mod log_limit;
mod maintenance;
mod metrics;
mod own_networks;
mod panics;
mod prober;
mod reconciler;
mod reports;
mod server;

use clap::{Parser, Subcommand};
use context::{Context, Messaging};
use driver::Driver;
use hub_cache::HubCache;
use kube::{Api, Client, Config, api::ListParams};
use log_limit::LogLimit;
use maintenance::{alerts, links, resolution};
use metrics::Metrics;
use p861_crds::District;
use p861_egress::Egress;
use p861_runs::{
    Admissions, ComponentState, EffectTasks, Hub, JournalKeys, MoverSettings, RunCache, RunContext, folders::FolderRoot, guard, hub, hub_object,
    leadership::Leadership, movers, repository::StoreCache, sites,
};
use reconciler::{PendingController, Running, first_end, register, register_called};
use std::{
    io::IsTerminal as _,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};
use tokio::runtime::Builder;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(name = "p861-operator", version, about = "The operator of Platform 861")]
struct Arguments {
    /// Log format: text or json.
    #[arg(long, env = "P861_LOG", default_value = "text", global = true)]
    log: LogForm,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogForm {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the operator.
    Run(RunArguments),
    /// Runs one task of a run; the operator starts it in a Job or as a child process.
    Mover,
    /// Answers names in the copy of a drill; the operator starts it there.
    Dns,
    /// Tries to reach what is outside the copy of a drill; the operator starts it there.
    Probe,
    /// Sleeps in a pod on a site, so that the operator can run `connect` there.
    Prober,
    /// Tries a TCP connection, and prints as JSON how long it took or why it failed.
    Connect {
        /// DNS name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
}

#[derive(Parser)]
struct RunArguments {
    /// Namespace of the operator.
    #[arg(long, env = "POD_NAMESPACE", default_value = "p861-system")]
    namespace: String,
    /// Name of this replica.
    #[arg(long, env = "POD_NAME")]
    identity: String,
    /// Image of movers: the same as the operator's.
    #[arg(long, env = "P861_IMAGE")]
    image: String,
    /// Image pull policy of movers.
    #[arg(long, env = "P861_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    image_pull_policy: String,
    /// Listen address of /healthz, /readyz, /metrics, /alertmanager and /ack.
    #[arg(long, env = "P861_LISTEN", default_value = "0.0.0.0:8080")]
    listen: String,
    /// Base URL under which recipients' devices reach this server, used for links in messages; without it messages have no links.
    #[arg(long, env = "P861_PUBLIC_URL")]
    public_url: Option<String>,
    /// How long the lease lasts, in seconds: tests of a leader's death needn't wait for a quarter of a minute.
    #[arg(long, env = "P861_LEASE_SECONDS", default_value = "15", value_parser = leader::LeaseTimes::parse, hide = true)]
    lease_duration: leader::LeaseTimes,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut runtime = match &arguments.command {
        Command::Mover if movers::work::mostly_asks() => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => {
            eprintln!("the operator's threads can't be started: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> ExitCode {
    let filter = EnvFilter::try_from_env("P861_LOG_FILTER")
        .unwrap_or_else(|_| EnvFilter::new("info,kube_lease_manager=warn,kube_client::client::builder=off,rustic_core=warn,jiff=error"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let limit = LogLimit::default();
    match arguments.log {
        LogForm::Text => builder.finish().with(limit.clone()).init(),
        LogForm::Json => builder.json().finish().with(limit.clone()).init(),
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is installed already");
    }
    if let Err(error) = Egress::configure() {
        tracing::error!("{}, {}: {error}", p861_egress::ALLOW_VARIABLE, p861_egress::OWN_VARIABLE);
        return ExitCode::FAILURE;
    }
    match arguments.command {
        // Ends the process here: returning would wait for blocking work, which a mover that has lost the repository's lease must not go on with.
        Command::Mover => std::process::exit(i32::from(!movers::work::run().await)),
        Command::Dns => match copy_dns::run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
        Command::Probe => match copy_probe::run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
        Command::Prober => match prober::stand().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
        Command::Connect { host, port } => {
            let connected = prober::connect(&host, port).await;
            #[expect(clippy::print_stdout, reason = "this is the answer of the command")]
            {
                println!("{}", serde_json::json!(connected));
            }
            ExitCode::SUCCESS
        }
        Command::Run(run) => {
            panics::end_the_process();
            match operate(run, limit).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!("{error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

#[expect(clippy::too_many_lines, reason = "a start is read from top to bottom")]
async fn operate(arguments: RunArguments, log_limit: LogLimit) -> Result<(), Box<dyn std::error::Error>> {
    let (config, folders) = (Config::infer().await?, FolderRoot::of_environment()?);
    // Only for the lease itself and for reads before it is held; all other requests go through the guard.
    let client = Client::try_from(config.clone())?;
    let (leadership, metrics) = (Leadership::none(), Metrics::new()?);
    let ready = Arc::new(AtomicBool::new(false));
    let listener = tokio::net::TcpListener::bind(&arguments.listen).await?;
    let health = server::Health { ready: ready.clone(), leadership: leadership.clone(), metrics: metrics.clone() };
    let receiver = alerts::AlertReceiver::new(client.clone(), &arguments.namespace, &arguments.identity, leadership.clone(), metrics.clone());
    let (heartbeats, keys) = (receiver.heartbeats.clone(), receiver.keys.clone());
    let links = links::Links::new(client.clone(), keys.clone(), leadership.clone());
    tokio::spawn(server::serve(listener, health, receiver.router().merge(links.router())));
    tokio::spawn(keys.clone().keep_known());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let competes = async {
        wait_for_kinds(&client).await;
        // Before anything is done for a district: its addresses may lead to the hub's own cluster.
        let networks = own_networks::close(client.clone(), Egress::of_process(), config.cluster_url.host().map(str::to_owned)).await;
        ready.store(true, Ordering::Relaxed);
        let leads = leader::compete(config.clone(), &arguments.namespace, &arguments.identity, arguments.lease_duration, leadership.clone());
        leads.map(|leads| (leads, networks))
    };
    let (mut leads, networks) = tokio::select! {
        leads = competes => leads?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tracing::info!(identity = arguments.identity, "waits for the lease");
    tokio::select! {
        led = leads.wait_for(|leads| *leads) => { led?; }
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    tracing::info!(identity = arguments.identity, "leads");
    hub_object::note_hub_namespaces([arguments.namespace.clone()]);
    tokio::select! {
        () = note_districts(&client) => {}
        _ = leads.wait_for(|leads| !*leads) => {}
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    let guarded = guard::client(config, &leadership)?;
    heartbeats.listen_from(jiff::Timestamp::now());
    let mut cache = HubCache::default();
    let probes = Arc::new(controllers::platform::probes::Probes::default());
    // A ticket that has installed something calls the Platforms, whose status says what is installed.
    let installs = Arc::new(tokio::sync::Notify::new());
    let pending: [PendingController; 15] = [
        register(&guarded, &mut cache, Driver::of(controllers::site::SiteController)),
        register(&guarded, &mut cache, Driver::of(controllers::district::DistrictController)),
        register(&guarded, &mut cache, Driver::of(controllers::profile::ProfileController)),
        register_called(&guarded, &mut cache, Driver::of(controllers::platform::PlatformController::new(probes.clone())), installs.clone()),
        register(&guarded, &mut cache, Driver::of(controllers::application::ApplicationController::default())),
        register(&guarded, &mut cache, Driver::of(controllers::repository::RepositoryController::default())),
        register(&guarded, &mut cache, controllers::run::RunReconciler::<controllers::backup::BackupRun>::default()),
        register(&guarded, &mut cache, controllers::run::RunReconciler::<controllers::restore::RestoreRun>::default()),
        register(&guarded, &mut cache, Driver::of(controllers::plan::PlanController)),
        register(&guarded, &mut cache, controllers::run::RunReconciler::<controllers::drill::DrillRun>::default()),
        register(&guarded, &mut cache, Driver::of(controllers::window::WindowController)),
        register(&guarded, &mut cache, Driver::of(controllers::template::TemplateController)),
        register(&guarded, &mut cache, Driver::of(controllers::ticket::TicketController::new(installs))),
        register(&guarded, &mut cache, Driver::of(controllers::approval::ApprovalController)),
        register(&guarded, &mut cache, Driver::of(controllers::roster::RosterController::default())),
    ];
    let hub = Hub {
        client: guarded.clone(),
        leadership: leadership.clone(),
        namespace: arguments.namespace.clone(),
        identity: arguments.identity.clone(),
        stores: StoreCache::with_folders(folders),
        journal_keys: JournalKeys::default(),
    };
    let sites = sites::Sites::new(guarded, &arguments.namespace, leadership.clone());
    let public_url = arguments.public_url.map(|url| url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty());
    let context = Context {
        cache,
        runs: RunContext {
            hub: hub.clone(),
            sites: sites.clone(),
            movers: MoverSettings {
                image: arguments.image,
                image_pull_policy: arguments.image_pull_policy,
                children: movers::child::Children::default(),
                warnings: p861_runs::effects::Warnings::default(),
                watched: p861_runs::effects::Watched::default(),
            },
            components: ComponentState::default(),
            cache: RunCache::default(),
            admissions: Admissions::default(),
            tasks: EffectTasks::default(),
            metrics: metrics.runs.clone(),
        },
        hub,
        sites,
        metrics,
        messaging: Messaging { heartbeats, keys, public_url },
    };
    let mut begun = controllers::run::begun::<p861_crds::Backup>(&context.hub.client).await?;
    begun.extend(controllers::run::begun::<p861_crds::Restore>(&context.hub.client).await?);
    begun.extend(controllers::run::begun::<p861_crds::Drill>(&context.hub.client).await?);
    context.runs.admissions.expect(begun);
    let watches = [
        Running::start("the watch of probes", controllers::platform::probes::watch(context.clone(), probes)),
        Running::start("the watch of resolutions", resolution::watch(context.clone())),
        Running::start("the watch of the hub's own networks", networks),
        Running::start("the report of the log's limit", log_limit.report()),
    ];
    let running = pending.into_iter().map(|controller| controller.start(&context)).chain(watches);
    tokio::select! {
        ended = first_end(running) => Err(format!("{ended}: the process ends, and another goes on from the journals").into()),
        // The next leader finds the work in progress; continuing without the lease could write twice.
        lost = leads.wait_for(|leads| !*leads) => { lost?; Err("the lease was lost; the process ends".into()) }
        _ = terminate.recv() => give_over(client, &arguments.namespace, &arguments.identity, &leadership).await,
        _ = interrupt.recv() => give_over(client, &arguments.namespace, &arguments.identity, &leadership).await,
    }
}

/// Shuts down: work in progress is in the journals, and the lease is released so that the other replica takes over at once.
async fn give_over(client: Client, namespace: &str, identity: &str, leadership: &Leadership) -> Result<(), Box<dyn std::error::Error>> {
    leadership.resign();
    tracing::info!("ends on request");
    // Requests already sent may still be in transit; the other replica must not start before they have arrived.
    tokio::time::sleep(Duration::from_millis(500)).await;
    leader::release(client, namespace, identity).await?;
    Ok(())
}

/// Waits until the hub's API server answers and serves our kinds.
/// Which namespaces are districts', before any of their objects is kept in memory.
async fn note_districts(client: &Client) {
    while let Err(error) = hub::for_each(client, |district: District| hub_object::note_hub_namespaces([district.hub_namespace().to_owned()])).await {
        tracing::warn!("the districts can't be listed yet: {error}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn wait_for_kinds(client: &Client) {
    loop {
        let drills: Api<p861_crds::Drill> = Api::all(client.clone());
        match drills.list(&ListParams::default().limit(1)).await {
            Ok(_) | Err(kube::Error::SerdeError(_)) => return,
            Err(error) => tracing::warn!("the kinds of platform861.io can't be listed yet (is chart p861-crds installed?): {error}"),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
