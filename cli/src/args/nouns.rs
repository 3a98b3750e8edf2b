//! Nouns and verbs of kinds that do not run.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Other words that people type for `show`.
pub(super) const SHOW: [&str; 2] = ["status", "describe"];
/// Other words that people type for `status`.
pub(super) const STATUS: [&str; 2] = ["show", "describe"];

/// `p861 site …`
#[derive(Clone, Debug, Subcommand)]
pub enum SiteCommand {
    /// List the sites
    List,
    /// Show one site
    #[command(aliases = SHOW)]
    Show(Name),
}

/// `p861 district …`
#[derive(Clone, Debug, Subcommand)]
pub enum DistrictCommand {
    /// List the districts
    List,
}

/// `p861 profile …`
#[derive(Clone, Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the profiles
    List,
}

/// `p861 platform …`
#[derive(Clone, Debug, Subcommand)]
pub enum PlatformCommand {
    /// Show layers, components and profile items (exit code 4 if a layer is not ready)
    #[command(aliases = STATUS)]
    Status,
    /// Show what is missing or weak, on which site, with the remedy (exit code 4 if a layer is not ready)
    Gaps,
    /// Forecast when each layer runs short
    Forecast,
}

/// `p861 repository …`
#[derive(Clone, Debug, Subcommand)]
pub enum RepositoryCommand {
    /// List the repositories
    List,
    /// Show one repository
    #[command(aliases = SHOW)]
    Show(Name),
}

/// `p861 policy …`
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// List the backup policies
    List,
    /// Show one backup policy (exit code 4 if it does not take backups as it says)
    Show(Name),
}

/// `p861 app …`
#[derive(Clone, Debug, Subcommand)]
pub enum AppCommand {
    /// Draft an Application from a namespace on a site: YAML to stdout, findings to stderr
    Discover(Discover),
    /// List the applications
    List,
    /// Show one application: conditions, objectives, newest backup and drill (exit code 4 if a condition is not good)
    #[command(aliases = STATUS)]
    Status(Name),
}

/// `p861 plan …`
#[derive(Clone, Debug, Subcommand)]
pub enum PlanCommand {
    /// List the plans
    List,
    /// Show one plan
    #[command(aliases = SHOW)]
    Show(Name),
    /// Check whether a plan could run now (exit code 4 if a check fails)
    Check(PlanCheck),
}

/// The name of an object.
#[derive(Clone, Debug, Args)]
pub struct Name {
    /// Its name
    pub name: String,
}

/// `p861 plan check`
#[derive(Clone, Debug, Args)]
pub struct PlanCheck {
    /// The plan
    pub name: String,
    /// Also print the compiled steps
    #[arg(long)]
    pub steps: bool,
    /// Also print the order of the steps, in waves that may run in parallel
    #[arg(long)]
    pub graph: bool,
}

/// `p861 app discover`
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("from").required(true).multiple(true).args(["site", "site_context", "site_kubeconfig"]))]
pub struct Discover {
    /// The namespace on the site
    pub namespace_on_site: String,
    /// Site, read with its own kubeconfig (you need access to that Secret)
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// Read the site with this context of your kubeconfig instead
    #[arg(long, value_name = "CONTEXT")]
    pub site_context: Option<String>,
    /// Read the site with this kubeconfig instead
    #[arg(long, value_name = "FILE")]
    pub site_kubeconfig: Option<PathBuf>,
    /// Name of the Application; default: the namespace without the district's prefix
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}
