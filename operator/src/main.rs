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
mod lease_loss;
mod log_limit;
mod maintenance;
mod metrics;
mod own_networks;
mod panics;
mod prober;
mod pulse;
mod reconciler;
mod replica;
mod reports;
mod server;

use clap::{Parser, Subcommand};
use log_limit::LogLimit;
use p861_egress::Egress;
use p861_runs::movers;
use std::{io::IsTerminal as _, process::ExitCode};
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
    let filter =
        EnvFilter::try_from_env("P861_LOG_FILTER").unwrap_or_else(|_| EnvFilter::new("info,kube_client::client::builder=off,rustic_core=warn,jiff=error"));
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
            match replica::operate(run, limit).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!("{error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}
