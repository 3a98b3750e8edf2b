//! The hub as a person reaches it: through a kubeconfig, with that person's rights.

mod connect;
mod explain;
mod follow;
mod read;
mod write;

pub use connect::{connect_site, site_client};
pub use follow::{Seen, follow};
pub use read::{Kind, Listing, Read};
pub use write::{Run, append, append_action, create_run, create_stamped};

use crate::{
    args::Global,
    error::{Failure, Result},
    format::Clock,
    text,
};
use jiff::tz::TimeZone;
use kube::Client;
use p861_crds::District;

/// A connection to the hub, and the district that is meant.
#[derive(Clone)]
pub struct Hub {
    /// The client.
    pub client: Client,
    /// The API server's address, for messages.
    pub address: String,
    /// The namespace that is meant.
    pub namespace: String,
    /// Its district, if it is one's and can be read.
    pub district: Option<District>,
    /// Now, in the district's time zone.
    pub clock: Clock,
}

impl Hub {
    /// Connects, and finds the district that is meant: `-d`, `-n`, or the context's namespace.
    pub async fn connect(global: &Global) -> Result<Self> {
        let (client, address, default_namespace) = connect::connect(global.kubeconfig.as_deref(), global.context.as_deref()).await?;
        let mut hub = Self { client, address, namespace: default_namespace, district: None, clock: Clock::in_zone(TimeZone::UTC) };
        let districts = match hub.list::<District>(None, "").await {
            Ok(districts) => districts.items,
            // Who may not list districts may still work in a namespace: only its time zone stays unknown.
            Err(failure) if failure.exit == crate::exit::ExitStatus::Refused && global.namespace.is_some() => Vec::new(),
            Err(failure) => return Err(failure),
        };
        let found = match (&global.district, &global.namespace) {
            (Some(name), _) => {
                let names: Vec<String> = districts.iter().map(kube::ResourceExt::name_any).collect();
                let found = districts.iter().find(|d| d.metadata.name.as_ref() == Some(name));
                Some(found.ok_or_else(|| Failure::refused(text::no_such_district(name, &names)))?)
            }
            (None, Some(namespace)) => {
                hub.namespace.clone_from(namespace);
                districts.iter().find(|d| d.hub_namespace() == namespace)
            }
            (None, None) => districts.iter().find(|d| d.hub_namespace() == hub.namespace),
        };
        if let Some(district) = found.cloned() {
            hub.namespace = district.hub_namespace().to_owned();
            let zone = &district.spec.time_zone;
            let zone = TimeZone::get(zone).map_err(|_| Failure::refused(text::unknown_zone(&kube::ResourceExt::name_any(&district), zone)))?;
            hub.clock = Clock::in_zone(zone);
            hub.district = Some(district);
        }
        Ok(hub)
    }

    /// The options that lead to the same namespace again, for commands that are printed: ` -d shinan`.
    pub fn place(&self) -> String {
        match &self.district {
            Some(district) => format!(" -d {}", kube::ResourceExt::name_any(district)),
            None => format!(" -n {}", self.namespace),
        }
    }
}
