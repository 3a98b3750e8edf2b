//! Nouns and verbs of kinds that do not run.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `p861 site …`
#[derive(Clone, Debug, Subcommand)]
pub enum SiteCommand {
    /// List the sites
    List,
    /// Show one site
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
    /// Show layers, components and items of the profile (exit code 4 if a layer is not ready)
    Status,
    /// Show what is missing or weak, where, and what to do about it (exit code 4 if a gap exists)
    Gaps,
    /// Show which layer runs short when, and what that rests on
    Forecast,
}

/// `p861 repository …`
#[derive(Clone, Debug, Subcommand)]
pub enum RepositoryCommand {
    /// List the repositories
    List,
    /// Show one repository
    Show(Name),
}

/// `p861 app …`
#[derive(Clone, Debug, Subcommand)]
pub enum AppCommand {
    /// Write the Application for what runs in a site's namespace: YAML to stdout, what was found to stderr
    Discover(Discover),
    /// List the applications
    List,
    /// Show one application: conditions, objectives, newest backup and drill (exit code 4 if a condition is bad)
    Status(Name),
}

/// `p861 plan …`
#[derive(Clone, Debug, Subcommand)]
pub enum PlanCommand {
    /// List the plans
    List,
    /// Show one plan
    Show(Name),
    /// Show whether a plan could be run now: its checks, one by one (exit code 4 if one fails)
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
    /// Also print the order: what may run at once, wave by wave
    #[arg(long)]
    pub graph: bool,
}

/// `p861 app discover`
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("from").required(true).multiple(true).args(["site", "site_context", "site_kubeconfig"]))]
pub struct Discover {
    /// The namespace on the site
    pub namespace_on_site: String,
    /// The site, read by its own kubeconfig if you may read that Secret
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// Read the site by this context of your kubeconfig instead
    #[arg(long, value_name = "CONTEXT")]
    pub site_context: Option<String>,
    /// Read the site by this kubeconfig instead
    #[arg(long, value_name = "FILE")]
    pub site_kubeconfig: Option<PathBuf>,
    /// The Application's name; the namespace without the district's prefix when absent
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}
