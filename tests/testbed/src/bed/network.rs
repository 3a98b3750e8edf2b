//! The bed's network: a bridge in a namespace of its own, which is the city; a wire from it to each site, and one to this machine.
//!
//! Nothing leads out of it: the city forwards nothing to the machine's own network, and the machine nothing to the city.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::{BedError, Result};
use super::place::Place;
use crate::components::run::run;

/// How long one call of `ip` may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The namespace of the bridge and of what stands beside the sites.
pub const CITY: &str = "city";

/// The network of one bed.
#[derive(Debug, Clone)]
pub struct Network {
    place: Place,
    ip: PathBuf,
}

impl Network {
    /// The network of the bed at `place`, made with the program `ip`.
    pub fn of(place: &Place, ip: &Path) -> Self {
        Self { place: place.clone(), ip: ip.to_owned() }
    }

    /// Makes the city and its wire to this machine.
    pub fn make_city(&self) -> Result<()> {
        let (city, wire) = (self.place.namespace(CITY), self.place.interface());
        self.machine(&format!("netns add {city}"))?;
        self.machine(&format!("link add {wire} type veth peer name machine netns {city}"))?;
        self.machine(&format!("address add {}/24 dev {wire}", self.place.machine()))?;
        self.machine(&format!("link set {wire} up"))?;
        for line in ["link set lo up", "link add street type bridge", "link set street up", "link set machine master street", "link set machine up"] {
            self.inside(CITY, line)?;
        }
        self.inside(CITY, &format!("address add {}/24 dev street", self.place.city()))
    }

    /// Makes the namespace of a site, its wire to the city, and the city's way to the site's pods.
    pub fn make_site(&self, site: &str, position: u8) -> Result<()> {
        let (namespace, city) = (self.place.namespace(site), self.place.namespace(CITY));
        self.machine(&format!("netns add {namespace}"))?;
        self.machine(&format!("-n {city} link add {site} type veth peer name wire netns {namespace}"))?;
        self.inside(CITY, &format!("link set {site} master street"))?;
        self.inside(CITY, &format!("link set {site} up"))?;
        self.inside(site, "link set lo up")?;
        self.inside(site, &format!("address add {}/24 dev wire", self.place.site(position)))?;
        self.inside(site, "link set wire up")?;
        self.inside(site, &format!("route add default via {}", self.place.city()))?;
        self.inside(CITY, &format!("route add {} via {}", pods(position), self.place.site(position)))
    }

    /// Cuts a site off from everything, or joins it again.
    pub fn set_wire(&self, site: &str, up: bool) -> Result<()> {
        self.inside(CITY, &format!("link set {site} {}", if up { "up" } else { "down" }))
    }

    /// Removes the namespaces that are there, and the wires with them.
    pub fn remove(&self, sites: &[&str]) -> Result<()> {
        for part in std::iter::once(CITY).chain(sites.iter().copied()) {
            if self.place.namespace_file(part).exists() {
                self.machine(&format!("netns delete {}", self.place.namespace(part)))?;
            }
        }
        // It goes with the city, a moment later, unless a crash came between the two.
        let wire = Path::new("/sys/class/net").join(self.place.interface());
        if !wire.exists() {
            return Ok(());
        }
        match self.machine(&format!("link delete {}", self.place.interface())) {
            Err(error) if wire.exists() => Err(error),
            _ => Ok(()),
        }
    }

    fn inside(&self, part: &str, line: &str) -> Result<()> {
        self.machine(&format!("-n {} {line}", self.place.namespace(part)))
    }

    fn machine(&self, line: &str) -> Result<()> {
        run(Command::new(&self.ip).args(line.split_whitespace()), LIMIT).map(drop).map_err(BedError::run(format!("ip {line}")))
    }
}

/// The addresses of a site's pods.
pub fn pods(position: u8) -> String {
    format!("10.244.{}.0/24", position + 1)
}

/// The addresses of a site's services, the same on every site: they are never seen outside.
pub const SERVICES: &str = "10.96.0.0/16";
/// The API server's service.
pub const API_SERVICE: &str = "10.96.0.1";
/// The DNS service.
pub const DNS_SERVICE: &str = "10.96.0.10";
/// What a pod that asks no cluster DNS finds in its resolver: nobody.
pub const NO_RESOLVER: &str = "search .\noptions ndots:1\n";
