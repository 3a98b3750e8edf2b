//! A bed: real sites, the city between them, and S3, Prometheus and Alertmanager beside them.

mod certificates;
mod cgroups;
mod disk;
mod error;
mod network;
mod place;
mod process;
mod services;
mod site;
mod wait;

use std::fs::{self, File};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::components::{self, Components};
use crate::images;
use crate::report::Report;
use crate::services::s3;
pub use certificates::base64;
use cgroups::Cgroups;
pub use error::{BedError, Result};
use network::{CITY, Network};
pub use place::Place;
pub use process::{Process, Room};
pub use services::Services;
pub use site::Site;
pub use wait::until;

/// How long another command on the same bed may take.
const TURN: Duration = Duration::from_mins(10);

/// The sites of a bed that is asked for no others: the primary and the standby of the district in the documents. What is installed has the last one as its hub.
pub const SITES: [&str; 2] = ["xinxi-dasha", "laoshan-dr"];

/// What a bed is made of. It is kept beside the bed, so that another process finds the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The names of its sites, in the order of their addresses.
    pub sites: Vec<String>,
    /// The buckets that S3 has, each with a key of its own.
    pub buckets: Vec<String>,
    /// Files of rules for Prometheus; without any, neither Prometheus nor Alertmanager is started.
    pub rules: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { sites: SITES.map(str::to_owned).into(), buckets: vec!["p861-shinan".to_owned()], rules: vec![] }
    }
}

/// A bed that is up. It stays up when this value is dropped: [`Bed::down`] ends it.
#[derive(Debug)]
pub struct Bed {
    place: Place,
    options: Options,
    sites: Vec<Site>,
    /// What runs beside the sites.
    pub services: Services,
    /// The programs that the bed runs.
    pub components: Components,
}

impl Bed {
    /// Brings a bed up. One of this name must not be there. When it fails, or is killed, what there is of it is removed by [`down`].
    pub fn up(name: &str, options: &Options, report: &Report) -> Result<Self> {
        refuse_unless_root()?;
        if options.sites.is_empty() || options.sites.len() > 4 {
            return Err(BedError::Refused("a bed has one to four sites".to_owned()));
        }
        let components = components::ensure(report)?;
        let images = images::ensure(&components, report)?;
        if let Some(place) = Place::find(name)? {
            return Err(BedError::Refused(format!(
                "bed {name} is there already, or was left by a crash: testbed --name {name} down (its folder: {})",
                place.folder().display()
            )));
        }
        disk::refuse_unless_there_is_room(Place::disk())?;
        let place = Place::take(name)?;
        let _turn = turn(&place)?;
        let file = place.folder().join("bed.json");
        let text = serde_json::to_string_pretty(options).map_err(|error| BedError::Refused(format!("the bed's options can't be written: {error}")))?;
        fs::write(&file, text).map_err(BedError::io(&file))?;
        let bed = Self::of(place, options.clone(), components)?;
        let cgroups = Cgroups::of(&bed.place.cgroup())?;
        cgroups.make(&options.sites.iter().map(String::as_str).collect::<Vec<_>>())?;
        report.timed(&format!("Bringing up {} and S3", options.sites.join(", ")), || {
            Network::of(&bed.place, &bed.components.ip).make_city()?;
            thread::scope(|scope| {
                let services = scope.spawn(|| bed.services.start(&bed.options));
                let sites: Vec<_> = bed.sites.iter().map(|site| scope.spawn(|| site.up(&images))).collect();
                let panicked = || Err(BedError::Refused("a part of the bed panicked".to_owned()));
                let mut results: Vec<Result<()>> = sites.into_iter().map(|site| site.join().unwrap_or_else(|_| panicked())).collect();
                results.push(services.join().unwrap_or_else(|_| panicked()));
                results.into_iter().collect::<Result<()>>()
            })
        })?;
        Ok(bed)
    }

    /// The bed of this name that was brought up before, by whatever process.
    pub fn find(name: &str, report: &Report) -> Result<Option<Self>> {
        let Some(place) = Place::find(name)? else { return Ok(None) };
        let file = place.folder().join("bed.json");
        let text = fs::read_to_string(&file).map_err(BedError::io(&file))?;
        let options = serde_json::from_str(&text).map_err(|error| BedError::Refused(format!("{}: {error}", file.display())))?;
        let components = components::ensure(report)?;
        Self::of(place, options, components).map(Some)
    }

    fn of(place: Place, options: Options, components: Components) -> Result<Self> {
        let cgroups = Cgroups::of(&place.cgroup())?;
        let mut sites = Vec::new();
        for (position, name) in (0_u8..).zip(&options.sites) {
            sites.push(Site::of(&place, name, position, &components, &cgroups));
        }
        let room = Room { network: place.namespace_file(CITY), mounts: None, cgroup: Some(cgroups.join()), folder: place.folder().join("processes") };
        let services = Services::of(&place, room, &components);
        Ok(Self { place, options, sites, services, components })
    }

    /// The bed's name.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// Where it keeps everything.
    pub fn folder(&self) -> PathBuf {
        self.place.folder()
    }

    /// All sites.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The site where an operator runs: the last one, which of a district is the standby, so that the hub doesn't burn with the primary.
    pub fn hub(&self) -> Result<&Site> {
        self.sites.last().ok_or_else(|| BedError::Refused("the bed has no sites".to_owned()))
    }

    /// Writes the kubeconfig of a person who looks round, and gives its path: a context for each site, named as the site, the hub's being the current one. It is
    /// nobody else's, so what the person changes in it matters to no process of the bed, and the next call makes it what it was.
    pub fn readers_kubeconfig(&self) -> Result<PathBuf> {
        let path = self.folder().join("kubeconfig");
        Site::write_kubeconfig_of_all(&path, &self.sites.iter().rev().collect::<Vec<_>>())?;
        Ok(path)
    }

    /// The site of this name.
    pub fn site(&self, name: &str) -> Result<&Site> {
        let names = || self.options.sites.join(", ");
        self.sites.iter().find(|site| site.name == name).ok_or_else(|| BedError::Refused(format!("the bed has no site {name}; it has {}", names())))
    }

    /// A client of S3 that may do everything.
    pub fn s3(&self) -> s3::Client {
        self.services.s3()
    }

    /// The network namespace of a site; its line to everything outside is `wire`.
    pub fn namespace(&self, site: &str) -> String {
        self.place.namespace(site)
    }

    /// Every process of the bed, with its site or `city`.
    pub fn processes(&self) -> Vec<(String, Process)> {
        let mut all: Vec<(String, Process)> = self.services.processes().into_iter().map(|process| (CITY.to_owned(), process)).collect();
        all.extend(self.sites.iter().flat_map(|site| site.processes().into_iter().map(|process| (site.name.clone(), process))));
        all
    }
}

/// Removes the bed of this name, whatever state it is in: every process, mount, namespace, rule, control group and file. Twice is as
/// good as once.
pub fn down(name: &str, report: &Report) -> Result<()> {
    refuse_unless_root()?;
    let Some(place) = Place::find(name)? else {
        let folder = Place { name: name.to_owned(), number: 0 }.folder();
        return if folder.exists() { fs::remove_dir_all(&folder).map_err(BedError::io(&folder)) } else { Ok(()) };
    };
    report.timed(&format!("Taking down bed {name}"), || {
        let cgroups = Cgroups::of(&place.cgroup())?;
        cgroups.remove()?;
        let sites = sites_of(&place)?;
        let sites: Vec<&str> = sites.iter().map(String::as_str).collect();
        let ip = components::debian::find("ip").ok_or_else(|| BedError::Refused("ip is not installed: apt-get install iproute2".to_owned()))?;
        Network::of(&place, &ip).remove(&sites)?;
        for path in s3::leftovers(place.city().into()) {
            if path.exists() {
                fs::remove_file(&path).map_err(BedError::io(&path))?;
            }
        }
        let folder = place.folder();
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(BedError::io(&folder))?;
        }
        place.give_back()
    })
}

/// What is left of a bed that was taken down; empty if all went.
pub fn remains(place: &Place) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let cgroups = Cgroups::of(&place.cgroup())?;
    if cgroups.exist() {
        left.push(format!("control group {} with processes {:?}", place.cgroup(), cgroups.processes()));
    }
    let namespaces = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let prefix = place.namespace("");
    left.extend(
        namespaces
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(&prefix))
            .map(|name| format!("network namespace {name}")),
    );
    let folder = place.folder().display().to_string();
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(BedError::io("/proc/self/mounts".as_ref()))?;
    left.extend(mounts.lines().filter(|line| line.contains(&folder)).map(|line| format!("mount {line}")));
    if place.folder().exists() {
        left.push(format!("folder {folder}"));
    }
    let interface = PathBuf::from("/sys/class/net").join(place.interface());
    if interface.exists() {
        left.push(format!("interface {}", place.interface()));
    }
    left.extend(s3::leftovers(place.city().into()).iter().filter(|path| path.exists()).map(|path| format!("socket {}", path.display())));
    Ok(left)
}

/// The sites of a bed that may have crashed before it wrote what it is made of: by its namespaces.
fn sites_of(place: &Place) -> Result<Vec<String>> {
    let folder = std::path::Path::new("/run/netns");
    if !folder.exists() {
        return Ok(vec![]);
    }
    let prefix = place.namespace("");
    let mut sites = Vec::new();
    for entry in fs::read_dir(folder).map_err(BedError::io(folder))? {
        let name = entry.map_err(BedError::io(folder))?.file_name().to_string_lossy().into_owned();
        sites.extend(name.strip_prefix(&prefix).filter(|part| *part != CITY).map(str::to_owned));
    }
    Ok(sites)
}

/// One command at a time on a bed.
fn turn(place: &Place) -> Result<File> {
    process::lock(&place.folder().join("lock"), TURN)
}

fn refuse_unless_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(BedError::Refused("a test bed makes network namespaces and control groups: run it as root".to_owned()))
}
