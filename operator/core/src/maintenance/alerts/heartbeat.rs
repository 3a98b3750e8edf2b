//! Heartbeats: alerts that always fire, so that a roster notices when alerts no longer arrive. They open no incident, as far as they are the roster's own.
//!
//! A roster names its heartbeat, and a district's engineers write its roster. So a district's roster speaks for alerts that have the district in their label
//! `district`, and for no others; the city's roster for all that have none, and for those of districts without a roster.

use super::{Alert, district_of};
use p861_crds::District;
use std::collections::{BTreeMap, BTreeSet};

/// The heartbeats of all rosters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeats {
    /// The operator's namespace, whose rosters are the city's.
    city: String,
    /// The names of the alerts, by the namespace of their rosters. A namespace whose rosters name none is there as well.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Heartbeats {
    /// Of these rosters: the namespace of each, and the name of its heartbeat.
    pub fn of(city: &str, rosters: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (namespace, name) in rosters {
            names.entry(namespace).or_default().extend(name);
        }
        Self { city: city.to_owned(), names }
    }

    /// Whether a roster hears this alert from the Alertmanager of this site. That it is heard keeps nobody from having an incident of it.
    pub fn hears(&self, alert: &Alert, site: &str, districts: &[District]) -> bool {
        let of = alert.label("district").map(|named| district_of(named, districts).map(District::hub_namespace));
        let watches = |namespace: &str| {
            let uses = |district: &&District| district.hub_namespace() == namespace && district.spec.sites.iter().any(|used| used.site_ref.name == site);
            namespace == self.city || (of.is_none_or(|of| of == Some(namespace)) && districts.iter().any(|district| uses(&district)))
        };
        self.names.iter().any(|(namespace, names)| names.contains(&alert.name) && watches(namespace))
    }

    /// Whether the alert is nothing but a heartbeat to those whose it is.
    pub fn owns(&self, alert: &Alert, districts: &[District]) -> bool {
        let own = match alert.label("district") {
            Some(named) => match district_of(named, districts) {
                Some(district) => district.hub_namespace(),
                None => return false,
            },
            None => self.city.as_str(),
        };
        let names = self.names.get(own).or_else(|| self.names.get(&self.city));
        names.is_some_and(|names| names.contains(&alert.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maintenance::alerts::parse;
    use serde_json::{Value, json};

    fn district(name: &str, sites: &[&str]) -> District {
        let sites: Vec<Value> = sites.iter().map(|site| json!({"siteRef": {"name": site}, "role": "Primary"})).collect();
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": name},
            "spec": {"code": "370202", "names": {"en": name}, "sites": sites}}))
        .expect("a district")
    }

    fn alert(labels: &Value) -> Alert {
        let alert = json!({"status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-11-28T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "8d1c5e0a4b7f2c39"});
        let post = json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r", "groupLabels": {}, "commonLabels": {},
            "commonAnnotations": {}, "externalURL": "", "alerts": [alert]});
        parse(post.to_string().as_bytes()).expect("a post").alerts.remove(0)
    }

    fn heartbeats(rosters: &[(&str, Option<&str>)]) -> Heartbeats {
        Heartbeats::of("p861-system", rosters.iter().map(|(namespace, name)| ((*namespace).to_owned(), name.map(str::to_owned))))
    }

    #[test]
    fn fault_e7_a_districts_roster_keeps_no_incident_from_anybody_else() {
        let districts = [district("shinan", &["shared", "own"]), district("laoshan", &["shared"]), district("licang", &["shared"])];
        // What an engineer of shinan can write, whatever the name.
        let hostile = heartbeats(&[("shinan", Some("P861SiteUnreachable")), ("shinan", Some("P861BackupFailed")), ("laoshan", None)]);
        for (name, labels, owned) in [
            ("P861BackupFailed", json!({"district": "shinan"}), true),
            ("P861BackupFailed", json!({"district": "laoshan"}), false),
            ("P861BackupFailed", json!({"district": "licang"}), false),
            ("P861BackupFailed", json!({"district": "nowhere"}), false),
            ("P861SiteUnreachable", json!({"site": "shared"}), false),
            ("P861SiteUnreachable", json!({"site": "own"}), false),
            ("P861SiteUnreachable", json!({}), false),
        ] {
            let mut all = labels.clone();
            all["alertname"] = json!(name);
            assert_eq!(hostile.owns(&alert(&all), &districts), owned, "{name} {labels}");
        }
    }

    #[test]
    fn fault_e7_the_citys_roster_speaks_for_what_is_no_districts_and_for_districts_without_a_roster() {
        let districts = [district("shinan", &["shared"]), district("laoshan", &["shared"])];
        let all = heartbeats(&[("p861-system", Some("Watchdog")), ("shinan", Some("Pulse"))]);
        for (name, labels, owned) in [
            ("Watchdog", json!({}), true),
            ("Watchdog", json!({"site": "shared"}), true),
            ("Watchdog", json!({"district": "laoshan"}), true),
            ("Watchdog", json!({"district": "shinan"}), false),
            ("Pulse", json!({"district": "shinan"}), true),
            ("Pulse", json!({"district": "laoshan"}), false),
            ("Pulse", json!({}), false),
        ] {
            let mut labels = labels.clone();
            labels["alertname"] = json!(name);
            assert_eq!(all.owns(&alert(&labels), &districts), owned, "{labels}");
        }
        assert!(!heartbeats(&[]).owns(&alert(&json!({"alertname": "Watchdog"})), &districts));
    }

    #[test]
    fn a_roster_hears_its_heartbeat_from_its_sites() {
        let districts = [district("shinan", &["west"]), district("laoshan", &["east"])];
        let all = heartbeats(&[("shinan", Some("Watchdog")), ("p861-system", Some("Pulse"))]);
        for (name, site, labels, heard) in [
            ("Watchdog", "west", json!({}), true),
            ("Watchdog", "west", json!({"district": "shinan"}), true),
            ("Watchdog", "west", json!({"district": "laoshan"}), false),
            ("Watchdog", "east", json!({}), false),
            ("Pulse", "east", json!({}), true),
            ("Pulse", "west", json!({"district": "laoshan"}), true),
            ("Other", "west", json!({}), false),
        ] {
            let mut labels = labels.clone();
            labels["alertname"] = json!(name);
            assert_eq!(all.hears(&alert(&labels), site, &districts), heard, "{site} {labels}");
        }
    }
}
