//! A bed's number, and everything that is named by it: so that several beds on one machine never meet, and so that what a crashed bed
//! left can be found and removed by the number alone.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::error::{BedError, Result};

/// The folder of beds. Unix sockets live below it, and their paths must stay shorter than 108 bytes.
const BEDS: &str = "/var/tmp/p861-testbed";
/// Who has which number. It is empty after a reboot, as are the namespaces that it stands for.
const NUMBERS: &str = "/run/p861-testbed";
/// Numbers are an octet of the bed's addresses.
const LAST: u8 = 250;
/// The longest name of a bed.
const LONGEST_NAME: usize = 24;

/// Where a bed is and what its parts are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bed's name.
    pub name: String,
    /// The bed's number, 1 to 250.
    pub number: u8,
}

impl Place {
    /// Takes the lowest free number for the bed of this name, whose folder it makes.
    pub fn take(name: &str) -> Result<Self> {
        check_name(name)?;
        announce(name)?;
        let folder = folder(name);
        fs::create_dir_all(&folder).map_err(BedError::io(&folder))?;
        let numbers = Path::new(NUMBERS);
        fs::create_dir_all(numbers).map_err(BedError::io(numbers))?;
        for number in 1..=LAST {
            let link = number_link(number);
            match symlink(&folder, &link) {
                Ok(()) => return Ok(Self { name: name.to_owned(), number }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(BedError::Io { path: link, source: error }),
            }
        }
        Err(BedError::Refused(format!("all {LAST} numbers of test beds are taken: look into {NUMBERS}, and end beds with testbed down")))
    }

    /// The bed of this name, if it has a number.
    pub fn find(name: &str) -> Result<Option<Self>> {
        check_name(name)?;
        let folder = folder(name);
        for number in 1..=LAST {
            if fs::read_link(number_link(number)).is_ok_and(|target| target == folder) {
                return Ok(Some(Self { name: name.to_owned(), number }));
            }
        }
        Ok(None)
    }

    /// Every bed of this machine.
    pub fn all() -> Vec<Self> {
        let named = |number| {
            let target = fs::read_link(number_link(number)).ok()?;
            Some(Self { name: target.file_name()?.to_string_lossy().into_owned(), number })
        };
        (1..=LAST).filter_map(named).collect()
    }

    /// Gives the number back; the folder must be gone.
    pub fn give_back(&self) -> Result<()> {
        let link = number_link(self.number);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(BedError::Io { path: link, source: error }),
            _ => Ok(()),
        }
    }

    /// Where the bed keeps everything.
    pub fn folder(&self) -> PathBuf {
        folder(&self.name)
    }

    /// The network namespace of a site, or with `city` of what stands between and beside the sites.
    pub fn namespace(&self, part: &str) -> String {
        format!("p861-{}-{part}", self.number)
    }

    /// The file of a network namespace.
    pub fn namespace_file(&self, part: &str) -> PathBuf {
        Path::new("/run/netns").join(self.namespace(part))
    }

    /// The network interface by which this machine reaches the bed.
    pub fn interface(&self) -> String {
        format!("p861-{}", self.number)
    }

    /// A folder of the disk that beds are on.
    pub fn disk() -> &'static Path {
        Path::new(BEDS).parent().unwrap_or(Path::new("/"))
    }

    /// The bed's cgroup, in each hierarchy.
    pub fn cgroup(&self) -> String {
        format!("p861-testbed-{}", self.number)
    }

    /// This machine, as the bed sees it.
    pub const fn machine(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 86, self.number, 1)
    }

    /// Where S3, Prometheus and Alertmanager are.
    pub const fn city(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 86, self.number, 2)
    }

    /// The site of this position: its node and API server.
    pub const fn site(&self, position: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 86, self.number, 11 + position)
    }
}

/// Adds the name to the file that `P861_BEDS` names: whoever started what brings beds up takes them down, however it ended.
fn announce(name: &str) -> Result<()> {
    let Some(list) = std::env::var_os("P861_BEDS").map(PathBuf::from) else { return Ok(()) };
    let appended = fs::OpenOptions::new().append(true).create(true).open(&list).and_then(|mut file| writeln!(file, "{name}"));
    appended.map_err(BedError::io(&list))
}

fn folder(name: &str) -> PathBuf {
    Path::new(BEDS).join(name)
}

fn number_link(number: u8) -> PathBuf {
    Path::new(NUMBERS).join(number.to_string())
}

fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(good) {
        return Err(BedError::Refused(format!("{name:?} is no name of a bed: write 1 to {LONGEST_NAME} of a-z, 0-9 and -")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::SITES;

    #[test]
    fn parts_of_different_beds_have_different_names_and_fit_the_kernels_limits() {
        let [one, two] = [7, 250].map(|number| Place { name: "x".into(), number });
        assert_ne!(one.namespace("city"), two.namespace("city"));
        assert_ne!(one.site(0), two.site(0));
        assert!(two.interface().len() <= 15);
        for site in SITES {
            assert!(site.len() <= 15, "{site} is the name of an interface, too");
            for socket in ["containerd.sock.ttrpc", "network-policy.sock", "kubelet/device-plugins/kubelet.sock"] {
                let longest = Place { name: "x".repeat(LONGEST_NAME), number: 250 }.folder().join("sites").join(site).join(socket);
                assert!(longest.as_os_str().len() < 108, "{}", longest.display());
            }
        }
    }

    #[test]
    fn a_name_that_could_lead_elsewhere_is_refused() {
        for name in ["", "../x", "a/b", "UPPER", &"x".repeat(25)] {
            assert!(matches!(Place::find(name), Err(BedError::Refused(_))), "{name:?}");
        }
    }
}
