//! Keeps the bed's Prometheus and Alertmanager pointed at the operator's replicas: a pod that is replaced has another address, and Debian's Prometheus can't ask a
//! Kubernetes API server for it.

use crate::install::{SYSTEM, decoded, program};
use crate::look::Look as _;
use p861_testbed::bed::{Bed, BedError, Process, Result};
use p861_testbed::report::Report;
use p861_testbed::services::prometheus::{Target, write_targets};
use serde_json::Value;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

/// The operator's replicas, as arguments of `get`.
pub const REPLICAS: [&str; 5] = ["pods", "--namespace", SYSTEM, "--selector", "app.kubernetes.io/component=operator"];
/// How often the replicas are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// The port of metrics and of Alertmanager's posts.
const PORT: u16 = 8080;

/// What follows the replicas: a process of its own, so that it goes on when the one that started it has ended. It ends with the bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// Prometheus scrapes each replica.
    Metrics,
    /// Alertmanager posts to each replica; the one that leads takes the alerts.
    Alerts,
}

impl Follower {
    /// The follower of this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Metrics, Self::Alerts].into_iter().find(|follower| follower.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Alerts => "alerts",
        }
    }

    /// Starts it, unless it runs already.
    pub fn start(self, bed: &Bed) -> Result<Process> {
        let arguments = ["follow", self.name(), bed.name()].map(str::to_owned);
        bed.services.start_beside(&format!("follow-{}", self.name()), &program("p861-stage")?, &arguments)
    }

    /// Goes on until the process is ended. What it can't do now it tries again; its log says why.
    pub fn run(self, bed: &Bed, report: &Report) -> ! {
        let (mut in_force, mut told) = (None, String::new());
        loop {
            let said = self.look(bed, &mut in_force).unwrap_or_else(|error| error.to_string());
            if !said.is_empty() && said != told {
                report.line(&said);
            }
            told = said;
            thread::sleep(EVERY);
        }
    }

    /// One look. Gives what has changed.
    fn look(self, bed: &Bed, in_force: &mut Option<Wanted>) -> Result<String> {
        let wanted = self.wanted(bed)?;
        if in_force.as_ref() == Some(&wanted) {
            return Ok(String::new());
        }
        wanted.enforce(bed)?;
        let said = format!("{}: {}", self.name(), wanted.addresses().join(", "));
        *in_force = Some(wanted);
        Ok(said)
    }

    fn wanted(self, bed: &Bed) -> Result<Wanted> {
        let hub = bed.hub()?;
        let replicas = replicas(&hub.get(&REPLICAS)?);
        Ok(match self {
            Self::Metrics => Wanted::Scraped(replicas),
            Self::Alerts => {
                let secret = hub.get(&["secret", "--namespace", SYSTEM, "p861-alerts"])?;
                let token = secret["data"]["token"].as_str().ok_or_else(|| BedError::Refused("Secret p861-alerts has no token yet".to_owned()))?;
                Wanted::Told { replicas, token: token.to_owned() }
            }
        })
    }
}

/// Replicas, and what they are for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Scraped(Vec<Target>),
    /// The token is base64, as Secrets have it.
    Told {
        replicas: Vec<Target>,
        token: String,
    },
}

impl Wanted {
    fn addresses(&self) -> Vec<&str> {
        let (Self::Scraped(replicas) | Self::Told { replicas, .. }) = self;
        replicas.iter().map(|replica| replica.address.as_str()).collect()
    }

    fn enforce(&self, bed: &Bed) -> Result<()> {
        match self {
            Self::Scraped(replicas) => Ok(write_targets(&bed.services.targets(), replicas)?),
            Self::Told { token, .. } => {
                let path = webhook_path(bed)?;
                let urls: Vec<String> = self.addresses().into_iter().map(|address| format!("http://{address}{path}")).collect();
                bed.services.route_alerts(&urls, &decoded(token)?)
            }
        }
    }
}

/// Where the hub's Alertmanager posts.
pub fn webhook_path(bed: &Bed) -> Result<String> {
    Ok(format!("/alertmanager/{}", bed.hub()?.name))
}

/// The replicas of a list of pods: those that have an address and are not on their way out.
pub fn replicas(pods: &Value) -> Vec<Target> {
    let replica = |pod: &Value| {
        let goes = !pod["metadata"]["deletionTimestamp"].is_null() || matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let labels = BTreeMap::from([("pod".to_owned(), pod["metadata"]["name"].as_str()?.to_owned())]);
        let address = format!("{}:{PORT}", pod["status"]["podIP"].as_str()?);
        (!goes).then_some(Target { address, labels })
    };
    pods["items"].as_array().into_iter().flatten().filter_map(replica).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fault_h4_a_replica_that_was_replaced_is_followed_to_its_successor() {
        let pod = |name: &str, address: Option<&str>, goes: bool| {
            let deleted = goes.then_some("2026-11-24T00:00:00Z");
            json!({"metadata": {"name": name, "deletionTimestamp": deleted}, "status": {"phase": "Running", "podIP": address}})
        };
        let list = |pods: &[Value]| -> Vec<(String, String)> {
            replicas(&json!({"items": pods})).into_iter().map(|replica| (replica.labels["pod"].clone(), replica.address)).collect()
        };
        let (stays, killed) = (pod("a", Some("10.244.2.7"), false), pod("b", Some("10.244.2.8"), true));
        let of = |name: &str, address: &str| (name.to_owned(), address.to_owned());
        assert_eq!(list(&[stays.clone(), killed.clone()]), [of("a", "10.244.2.7:8080")]);
        assert_eq!(list(&[stays.clone(), killed, pod("c", None, false)]), [of("a", "10.244.2.7:8080")], "it has no address yet");
        assert_eq!(list(&[stays, pod("c", Some("10.244.2.9"), false)]), [of("a", "10.244.2.7:8080"), of("c", "10.244.2.9:8080")]);
        assert_eq!(replicas(&json!({"items": []})), vec![], "the operator was uninstalled");
    }

    #[test]
    fn a_follower_is_started_by_the_name_that_it_has() {
        for follower in [Follower::Metrics, Follower::Alerts] {
            assert_eq!(Follower::named(follower.name()), Some(follower));
        }
        assert_eq!(Follower::named("anything"), None);
    }
}
