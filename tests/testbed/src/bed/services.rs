//! What stands beside the sites, in the city: S3, Prometheus, Alertmanager.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Options;
use super::error::{BedError, Result};
use super::place::Place;
use super::process::{Process, Room};
use crate::components::Components;
use crate::services::prometheus::Scrape;
use crate::services::s3::Identity;
use crate::services::{Spec, alertmanager, http, prometheus, s3};

/// How long a service may take until it answers.
const READY: Duration = Duration::from_secs(90);

/// The services of a bed.
#[derive(Debug)]
pub struct Services {
    room: Room,
    address: std::net::Ipv4Addr,
    folder: PathBuf,
    components: Components,
}

impl Services {
    pub(super) fn of(place: &Place, room: Room, components: &Components) -> Self {
        Self { room, address: place.city(), folder: place.folder().join("services"), components: components.clone() }
    }

    pub(super) fn start(&self, options: &Options) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(BedError::io(&self.folder))?;
        let mut identities = vec![Identity::admin("admin")];
        identities.extend(options.buckets.iter().map(|bucket| Identity::of_bucket(bucket, bucket)));
        let identities = identities.into_iter().collect::<std::io::Result<Vec<_>>>().map_err(BedError::io(Path::new("/dev/urandom")))?;
        self.start_spec(&s3::spec(&self.components.weed, self.address.into(), &self.folder.join("s3"), &identities[0], &identities[1..]))?;
        let client = self.s3();
        options.buckets.iter().try_for_each(|bucket| client.create_bucket(bucket, true))?;
        if options.rules.is_empty() {
            return Ok(());
        }
        let alerts = SocketAddr::new(self.address.into(), alertmanager::PORT);
        self.start_spec(&alertmanager::spec(&self.components.alertmanager, self.address.into(), &self.folder.join("alertmanager"), &[], ""))?;
        prometheus::write_targets(&self.targets(), &[])?;
        let scrapes = [Scrape::File { job: "p861-operator".to_owned(), path: self.targets() }];
        self.start_spec(&prometheus::spec(
            &self.components.prometheus,
            self.address.into(),
            &self.folder.join("prometheus"),
            &scrapes,
            &options.rules,
            Some(alerts),
        ))
    }

    fn start_spec(&self, spec: &Spec) -> Result<()> {
        spec.prepare()?;
        let process = self.room.start(spec.name, &spec.program, &spec.args, &spec.env)?;
        spec.wait_ready(READY).map_err(|error| match process.check() {
            Ok(()) => error.into(),
            Err(ended) => ended,
        })
    }

    /// The file that lists what Prometheus scrapes.
    pub fn targets(&self) -> PathBuf {
        self.folder.join("prometheus-targets.json")
    }

    /// A client of S3 that may do everything.
    pub fn s3(&self) -> s3::Client {
        let nobody = Identity { name: "nobody".to_owned(), access_key: String::new(), secret_key: String::new(), actions: vec![] };
        s3::Client { address: SocketAddr::new(self.address.into(), s3::PORT), identity: self.identity("admin").unwrap_or(nobody) }
    }

    /// Who may use this bucket and no other.
    pub fn identity(&self, name: &str) -> Result<Identity> {
        let file = self.folder.join("s3/s3.json");
        let text = fs::read_to_string(&file).map_err(BedError::io(&file))?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| BedError::Refused(format!("{}: {error}", file.display())))?;
        let found = value["identities"].as_array().into_iter().flatten().find(|one| one["name"] == name);
        let found = found.ok_or_else(|| BedError::Refused(format!("S3 has no identity {name}")))?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let actions = found["actions"].as_array().into_iter().flatten().map(text).collect();
        Ok(Identity {
            name: name.to_owned(),
            access_key: text(&found["credentials"][0]["accessKey"]),
            secret_key: text(&found["credentials"][0]["secretKey"]),
            actions,
        })
    }

    /// The process of S3.
    pub fn s3_process(&self) -> Process {
        self.room.process("seaweedfs")
    }

    /// Starts S3 again after it was stopped or killed, with the keys that it had.
    pub fn restart_s3(&self) -> Result<()> {
        let file = self.folder.join("s3/s3.json");
        let text = fs::read_to_string(&file).map_err(BedError::io(&file))?;
        let mut spec = s3::spec(&self.components.weed, self.address.into(), &self.folder.join("s3"), &self.identity("admin")?, &[]);
        spec.files.iter_mut().filter(|wanted| wanted.path == file).for_each(|wanted| wanted.text.clone_from(&text));
        self.start_spec(&spec)
    }

    /// Where Prometheus answers.
    pub fn prometheus(&self) -> SocketAddr {
        SocketAddr::new(self.address.into(), prometheus::PORT)
    }

    /// Where Alertmanager answers.
    pub fn alertmanager(&self) -> SocketAddr {
        SocketAddr::new(self.address.into(), alertmanager::PORT)
    }

    /// Sends alerts to these URLs from now on, with a bearer token.
    pub fn route_alerts(&self, urls: &[String], token: &str) -> Result<()> {
        let spec = alertmanager::spec(&self.components.alertmanager, self.address.into(), &self.folder.join("alertmanager"), urls, token);
        spec.prepare()?;
        let answer = http::request(self.alertmanager(), "POST", "/-/reload", &[], &[]);
        let answer = answer.map_err(|error| BedError::Refused(format!("Alertmanager does not read its configuration again: {error}")))?;
        if answer.status == 200 { Ok(()) } else { Err(BedError::Refused(format!("Alertmanager refuses its configuration: {}", answer.body))) }
    }

    /// Starts a program beside the services, unless it runs already under this name. It ends with the bed.
    pub fn start_beside(&self, name: &str, program: &Path, arguments: &[String]) -> Result<Process> {
        let process = self.room.process(name);
        if process.id().is_some() { Ok(process) } else { self.room.start(name, program, arguments, &[]) }
    }

    /// Every process.
    pub fn processes(&self) -> Vec<Process> {
        self.room.processes()
    }
}
