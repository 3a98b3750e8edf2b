//! Whose the namespaces of sites are among the applications, and into which of them a run may put a backup.
//!
//! A namespace is the application's that names it in `spec.namespaces`, in whatever phase that is, and on whichever site of its district it runs at the moment; of several
//! applications, the oldest's. A run fills namespaces of its own applications, and those that are no application's: anywhere else it would stop what runs there, and
//! overwrite its data. [`Action::occupies`] states which namespaces an action fills; a new action doesn't compile before it does.

use super::{Allotment, Scope};
use crate::{
    ids::SiteName,
    platform::age::age,
    runs::{Action, MoverTask},
};
use jiff::Timestamp;
use p861_crds::{Application, District, Reason};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// When something was made, and its name: the lesser is the older.
type Age = (Option<Timestamp>, Option<String>);

fn owned_age(metadata: &p861_crds::ObjectMeta) -> Age {
    let (time, name) = age(metadata);
    (time, name.map(ToOwned::to_owned))
}

/// A district, as far as it says which namespaces of which sites can be its applications'.
#[derive(Clone, Debug)]
struct Ground {
    name: String,
    age: Age,
    sites: BTreeSet<SiteName>,
    allotment: Allotment,
}

/// An application that names namespaces of sites.
#[derive(Clone, Debug)]
struct Occupant {
    /// Its namespace on the hub.
    hub_namespace: String,
    name: String,
    age: Age,
    namespaces: Vec<String>,
}

/// All applications of the city, with what they name.
#[derive(Clone, Debug, Default)]
pub struct Occupants {
    /// By namespace on the hub.
    districts: BTreeMap<String, Ground>,
    applications: Vec<Occupant>,
}

impl Occupants {
    /// Nobody yet, of these districts.
    pub fn of(districts: &[District]) -> Self {
        let ground = |district: &District| Ground {
            name: district.metadata.name.clone().unwrap_or_default(),
            age: owned_age(&district.metadata),
            sites: district.spec.sites.iter().map(|site| site.site_ref.name.as_str().into()).collect(),
            allotment: Allotment::of(district),
        };
        Self { districts: districts.iter().map(|district| (district.hub_namespace().to_owned(), ground(district))).collect(), applications: Vec::new() }
    }

    /// And this application. Of a whole one only what it names is kept.
    pub fn add(&mut self, application: &Application) {
        self.applications.push(Occupant {
            hub_namespace: application.metadata.namespace.clone().unwrap_or_default(),
            name: application.metadata.name.clone().unwrap_or_default(),
            age: owned_age(&application.metadata),
            namespaces: application.spec.namespaces.clone(),
        });
    }

    /// Whether what an application names is a namespace of that site. A district's applications have theirs on all of its sites: they may run on any of them tomorrow. One
    /// whose namespace on the hub is no district's (any more) may stand anywhere.
    fn is_of_site(&self, occupant: &Occupant, site: &SiteName, namespace: &str) -> bool {
        let named = occupant.namespaces.iter().any(|named| named == namespace);
        named && self.districts.get(&occupant.hub_namespace).is_none_or(|ground| ground.sites.contains(site) && ground.allotment.holds(namespace))
    }

    /// Whose namespace of a site it is; none if it is no application's. What two districts were allotted is the older one's.
    fn owner(&self, site: &SiteName, namespace: &str) -> Option<&Occupant> {
        let rank = |occupant: &&Occupant| {
            let district = self.districts.get(&occupant.hub_namespace).map(|ground| ground.age.clone());
            (district.is_none(), district, occupant.age.clone(), occupant.hub_namespace.clone())
        };
        self.applications.iter().filter(|occupant| self.is_of_site(occupant, site, namespace)).min_by_key(rank)
    }

    /// Refuses an action that fills a namespace of another application than those of the run.
    ///
    /// # Errors
    /// [`Occupied`] names the first such namespace, and whose it is.
    pub fn refuse(&self, scope: &Scope, action: &Action) -> Result<(), Occupied> {
        let foreign = |(site, namespace): (&SiteName, &str)| {
            let owner = self.owner(site, namespace)?;
            let same_district = owner.hub_namespace == scope.hub_namespace;
            if same_district && scope.applications.contains(&owner.name) {
                return None;
            }
            let district = self.districts.get(&owner.hub_namespace).map_or(&owner.hub_namespace, |ground| &ground.name);
            let whose = if same_district { Whose::Application(owner.name.clone()) } else { Whose::District(district.clone()) };
            Some(Occupied { namespace: namespace.to_owned(), site: site.to_string(), whose })
        };
        action.occupies().into_iter().find_map(foreign).map_or(Ok(()), Err)
    }
}

/// Whose a namespace is. Of another district's application only the district is told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Application(String),
    District(String),
}

/// An action would fill a namespace that is another application's. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Occupied {
    namespace: String,
    site: String,
    whose: Whose,
}

impl Occupied {
    /// Reason, as conditions and events spell it.
    pub const fn reason(&self) -> Reason {
        Reason::NamespaceTaken
    }
}

impl fmt::Display for Occupied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, site, whose } = self;
        let whose = match whose {
            Whose::Application(name) => format!("application {name}"),
            Whose::District(name) => format!("an application of district {name}"),
        };
        write!(
            f,
            "namespace {namespace} of site {site} belongs to {whose}: a restore there would stop it and overwrite its data. Choose a namespace that no Application names"
        )
    }
}

fn all_of<'a>(site: &'a SiteName, namespaces: impl IntoIterator<Item = &'a String>) -> Vec<(&'a SiteName, &'a str)> {
    namespaces.into_iter().map(|namespace| (site, namespace.as_str())).collect()
}

impl Action {
    /// The namespaces that it fills with what a backup holds, or stops and makes for that, or looks at for it, each with its site. What saves, starts, releases or removes
    /// something fills none.
    pub fn occupies(&self) -> Vec<(&SiteName, &str)> {
        match self {
            Self::Move { site, namespace, claim: _, namespaces: _, task } => match task {
                MoverTask::RestoreObjects { rules, .. } => all_of(site, rules.namespaces.values()),
                MoverTask::RestoreVolume { .. } | MoverTask::PreviewVolume { .. } => vec![(site, namespace.as_str())],
                MoverTask::RestoreStream { namespace: of_workload, .. } => vec![(site, of_workload.as_str())],
                MoverTask::BackupObjects { .. }
                | MoverTask::BackupVolume { .. }
                | MoverTask::BackupStream { .. }
                | MoverTask::Seal { .. }
                | MoverTask::VerifyStored { .. }
                | MoverTask::Forget { .. }
                | MoverTask::Prune { .. } => Vec::new(),
            },
            Self::Stop { site, namespaces } => all_of(site, namespaces.keys()),
            Self::MakeNamespaces { site, namespaces, district: _, preview: _ } => all_of(site, namespaces),
            Self::Isolate { site, bubble } => all_of(site, bubble.namespaces.values()),
            Self::Execute { .. }
            | Self::Preflight { .. }
            | Self::ProveIsolation { .. }
            | Self::RemoveBubble { .. }
            | Self::StartAgain { .. }
            | Self::Start { .. }
            | Self::Check { .. }
            | Self::ReadMarker { .. }
            | Self::TakeSnapshots { .. }
            | Self::RemoveSnapshots { .. }
            | Self::RemoveMovers { .. }
            | Self::TakeBackup { .. }
            | Self::Silence { .. }
            | Self::EndSilence { .. }
            | Self::InspectNode { .. }
            | Self::Cordon { .. }
            | Self::Uncordon { .. }
            | Self::Drain { .. }
            | Self::InstallComponent { .. }
            | Self::RevertComponent { .. }
            | Self::EndInstallation { .. }
            | Self::Watch { .. }
            | Self::Ask {} => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{district, read},
        *,
    };
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// An application of that district's namespace on the hub.
    fn application(hub: &str, name: &str, year: u16, namespaces: &[&str]) -> Application {
        read(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": hub, "uid": name, "creationTimestamp": format!("{year}-01-01T00:00:00Z")},
            "spec": {"department": "d", "namespaces": namespaces}}))
    }

    fn scope_of(applications: &[&str]) -> Scope {
        let scope = Scope::of_district("shinan", ["west", "east"], Allotment::of(&district("shinan", json!({}))));
        applications.iter().fold(scope, |scope, name| scope.with_application(name))
    }

    fn make(site: &str, namespaces: &[&str], preview: bool) -> Action {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        Action::MakeNamespaces { site: site.into(), namespaces, district: "shinan".into(), preview }
    }

    fn occupants(applications: &[Application]) -> Occupants {
        let mut occupants = Occupants::of(&[district("shinan", json!({})), district("laoshan", json!({"prefixes": ["laoshan-"], "names": ["shinan-lent"]}))]);
        for application in applications {
            occupants.add(application);
        }
        occupants
    }

    #[test]
    fn fault_i1_a_restore_fills_only_namespaces_of_its_own_application_and_those_of_none() {
        let portal = application("shinan", "portal", 2025, &["shinan-portal"]);
        let bad = application("shinan", "bad", 2025, &["shinan-bad"]);
        let of_application = |name: &str| Some(format!("application {name}"));
        for (case, applications, targets, whose) in [
            ("its own", vec![bad.clone(), portal.clone()], vec!["shinan-bad"], None),
            ("nobody's", vec![bad.clone(), portal.clone()], vec!["shinan-look"], None),
            ("another's", vec![bad.clone(), portal.clone()], vec!["shinan-portal"], of_application("portal")),
            ("its own and another's", vec![bad.clone(), portal.clone()], vec!["shinan-bad", "shinan-portal"], of_application("portal")),
            ("a younger one names it, too", vec![bad.clone(), application("shinan", "new", 2026, &["shinan-bad"])], vec!["shinan-bad"], None),
            ("an older one names it, too", vec![bad.clone(), application("shinan", "old", 2024, &["shinan-bad"])], vec!["shinan-bad"], of_application("old")),
            ("its own application is gone", vec![portal.clone()], vec!["shinan-bad"], None),
            (
                "another district's, which may stand there",
                vec![bad.clone(), application("laoshan", "portal", 2026, &["shinan-lent"])],
                vec!["shinan-lent"],
                Some("an application of district laoshan".to_owned()),
            ),
            (
                "another district's, which may not",
                vec![bad.clone(), application("laoshan", "bad", 2024, &["shinan-bad", "shinan-look"])],
                vec!["shinan-bad", "shinan-look"],
                None,
            ),
            (
                "of no district any more",
                vec![bad, application("gone", "mail", 2024, &["shinan-mail"])],
                vec!["shinan-mail"],
                Some("an application of district gone".to_owned()),
            ),
        ] {
            for preview in [false, true] {
                let refused = occupants(&applications).refuse(&scope_of(&["bad"]), &make("west", &targets, preview)).err();
                let says = whose.as_ref().map(|whose| format!("belongs to {whose}: a restore there would stop it"));
                assert_eq!(refused.is_some(), says.is_some(), "{case}: {refused:?}");
                let Some((refused, says)) = refused.zip(says) else { continue };
                assert!(refused.to_string().contains(&says) && refused.reason() == Reason::NamespaceTaken, "{case}: {refused}");
            }
        }
    }

    #[test]
    fn fault_i1_on_a_site_that_the_other_district_does_not_have_its_names_are_nobodys() {
        let mut occupants = occupants(&[]);
        occupants.add(&application("laoshan", "portal", 2024, &["shinan-lent"]));
        let refused = |site: &str| occupants.refuse(&scope_of(&["bad"]), &make(site, &["shinan-lent"], false)).is_err();
        assert_eq!((refused("west"), refused("east")), (true, false));
    }

    #[test]
    fn fault_i1_every_action_that_fills_stops_or_compares_names_its_namespaces_and_what_takes_back_is_never_refused() {
        let rules = json!({"namespaces": {"shinan-bad": "shinan-portal"}, "isolated": false, "stopped": true});
        let own = |more: Value| {
            let mut action = json!({"site": "west", "namespace": "shinan-portal", "namespaces": ["shinan-portal"]});
            action.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            read::<Action>(action)
        };
        let task = |task: Value| own(json!({"do": "move", "claim": "files", "task": task}));
        let workload = json!({"kind": "Deployment", "name": "web"});
        let portal = occupants(&[application("shinan", "portal", 2025, &["shinan-portal"])]);
        let mut refused = vec![
            task(json!({"task": "restoreVolume", "snapshot": "5a1f", "part": "volumes/files"})),
            task(json!({"task": "previewVolume", "snapshot": "5a1f", "part": "volumes/files"})),
            task(json!({"task": "restoreStream", "snapshot": "5a1f", "part": "streams/db", "namespace": "shinan-portal", "workloadRef": workload,
                "restore": ["psql"]})),
            own(json!({"do": "stop", "namespaces": {"shinan-portal": []}})),
            own(json!({"do": "makeNamespaces", "district": "shinan"})),
            own(json!({"do": "isolate", "bubble": {"id": "k7m2q", "namespaces": {"shinan-bad": "shinan-portal"}}})),
        ];
        for mode in ["Write", "Again", "Compare", "Preview"] {
            refused.push(task(json!({"task": "restoreObjects", "snapshot": "5a1f", "rules": rules, "conflict": {"Policy": "Refuse"}, "mode": mode})));
        }
        for action in &refused {
            assert!(portal.refuse(&scope_of(&["bad"]), action).is_err(), "{action:?}");
            assert!(portal.refuse(&scope_of(&["portal"]), action).is_ok(), "{action:?}");
        }
        for action in [
            own(json!({"do": "startAgain"})),
            own(json!({"do": "removeMovers"})),
            own(json!({"do": "removeSnapshots"})),
            own(json!({"do": "removeBubble", "bubble": {"id": "k7m2q", "namespaces": {"shinan-bad": "shinan-portal"}}})),
        ] {
            assert!(portal.refuse(&scope_of(&["bad"]), &action).is_ok(), "{action:?}: what was stopped or made could never be taken back");
        }
    }

    proptest! {
        #[test]
        fn fault_i1_whoever_else_is_declared_nothing_of_another_application_is_ever_filled(
            named in proptest::collection::vec((0_usize..4, 2020_u16..2030, proptest::collection::vec(0_usize..5, 1..3)), 0..6),
            own in 0_usize..4,
            target in 0_usize..5,
        ) {
            let (names, namespaces) = (["a", "b", "c", "d"], ["shinan-a", "shinan-b", "shinan-c", "shinan-d", "shinan-e"]);
            let applications: Vec<Application> = named.iter().map(|(name, year, wanted)| {
                let wanted: Vec<&str> = wanted.iter().map(|at| namespaces[*at]).collect();
                application("shinan", names[*name], *year, &wanted)
            }).collect();
            let allowed = occupants(&applications).refuse(&scope_of(&[names[own]]), &make("west", &[namespaces[target]], false)).is_ok();
            let naming = applications.iter().filter(|other| other.spec.namespaces.iter().any(|name| name == namespaces[target]));
            let oldest = naming.min_by_key(|other| age(&other.metadata));
            prop_assert_eq!(allowed, oldest.is_none_or(|oldest| oldest.metadata.name.as_deref() == Some(names[own])));
        }
    }
}
