//! The gate before every effect: whether a run's district may touch what an action touches.
//!
//! Plans come from compilers, from stored journals and from buckets. Whatever has made or kept them, the executor asks [`Scope::permits`] at the moment of the
//! effect, for actions and for their undoing. [`Action::touches`] states what an action touches; a new action doesn't compile before it does. What isn't part of a run
//! (the checks of an Application by the clock, its marker, a Platform's probes) passes the same gate.
//!
//! Sites are shared by districts, so a silence must be limited further: a district may silence alerts that have its own label `district`, and alerts of the one node
//! that its change drains (labels `site` and `node`). Whatever else an Alertmanager has is another's too, and only the city silences it.
//!
//! ```
//! use p861_core::runs::{Action, Allotment, Scope};
//! use p861_crds::District;
//!
//! let district: District = serde_json::from_value(serde_json::json!({
//!     "apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
//!     "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": [{"siteRef": {"name": "west"}, "role": "Primary"}]}
//! })).unwrap();
//! let scope = Scope::of_district("shinan", ["west"], Allotment::of(&district)).with_repository("main");
//!
//! let remove = |namespace: &str| Action::RemoveMovers { site: "west".into(), namespaces: vec![namespace.into()] };
//! assert!(scope.permits(&remove("shinan-approval")).is_ok());
//! assert_eq!(scope.permits(&remove("kube-system")).unwrap_err().reason(), "NamespaceNotAllotted");
//! ```

mod occupants;
mod permit;
#[cfg(test)]
mod tests;
mod touches;
#[cfg(test)]
mod two_districts;

pub use occupants::{Occupants, Occupied};
pub use permit::{AllottedSite, Permitted, SiteNotAllotted};
pub use touches::{HubObject, Touched};

use super::action::Action;
use crate::{
    engine::{Plan, StepId},
    ids::SiteName,
    names,
    objects::{self, ClusterKind},
};
use p861_crds::{
    District, Reason,
    names::{DRILL_LABEL, GROUP},
    platform::application::ClusterResource,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What every drill's copy has in its namespace's name, before the drill's id.
const COPY_INFIX: &str = "--drill-";

/// Which namespaces of its sites are a district's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allotment {
    /// Name of the District.
    district: String,
    prefixes: Vec<String>,
    names: Vec<String>,
}

impl Allotment {
    /// As the District states it in `spec.siteNamespaces`; `<district>-` as a prefix where it states nothing. An empty prefix, which would mean every namespace,
    /// allots nothing.
    pub fn of(district: &District) -> Self {
        let stated = district.spec.site_namespaces.clone().unwrap_or_default();
        let district = district.metadata.name.clone().unwrap_or_default();
        let prefixes = if stated.prefixes.is_empty() && stated.names.is_empty() { vec![format!("{district}-")] } else { stated.prefixes };
        Self { district, prefixes: prefixes.into_iter().filter(|prefix| !matches!(prefix.as_str(), "" | "-")).collect(), names: stated.names }
    }

    /// Whether the namespace is the district's. Kubernetes' own (`kube-…`) never is by a prefix, and what no namespace can be called never is: by a prefix alone,
    /// `shinan-a/../kube-system` would be.
    pub fn holds(&self, namespace: &str) -> bool {
        if !is_label(namespace) {
            return false;
        }
        self.names.iter().any(|name| name == namespace)
            || (!namespace.starts_with("kube-") && self.prefixes.iter().any(|prefix| namespace.starts_with(prefix.as_str())))
    }
}

impl Allotment {
    /// A namespace, or the begin of names, that both hold; none if they hold nothing together.
    pub fn common(&self, other: &Self) -> Option<String> {
        let begins = self.prefixes.iter().flat_map(|own| other.prefixes.iter().map(move |theirs| (own, theirs)));
        let mut nested = begins.filter(|(own, theirs)| own.starts_with(theirs.as_str()) || theirs.starts_with(own.as_str()));
        let longer = nested.next().map(|(own, theirs)| format!("{}…", if own.len() >= theirs.len() { own } else { theirs }));
        let named = || self.names.iter().find(|name| other.holds(name)).or_else(|| other.names.iter().find(|name| self.holds(name)));
        longer.or_else(|| named().cloned())
    }
}

/// The namespaces of sites that a run may touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Namespaces {
    /// All: a run of the city.
    All,
    /// Those of the district, without the copies of its drills.
    Allotted(Allotment),
    /// The copies of one drill, by its id, and nothing else.
    Isolated(Allotment, String),
}

/// What one run may touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// Its namespace on the hub. Everything on the hub that an action names is there.
    hub_namespace: String,
    sites: BTreeSet<SiteName>,
    namespaces: Namespaces,
    repositories: BTreeSet<String>,
    /// Nodes that its work is on, each with its site.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    nodes: BTreeSet<(SiteName, String)>,
    /// Its applications, whose namespaces it may fill. See [`Occupants`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    applications: BTreeSet<String>,
}

impl Scope {
    /// The scope of a district's run: its hub namespace, its sites, and its namespaces on them.
    pub fn of_district<S: Into<SiteName>>(hub_namespace: &str, sites: impl IntoIterator<Item = S>, allotment: Allotment) -> Self {
        let sites = sites.into_iter().map(Into::into).collect();
        Self {
            hub_namespace: hub_namespace.to_owned(),
            sites,
            namespaces: Namespaces::Allotted(allotment),
            repositories: BTreeSet::new(),
            nodes: BTreeSet::new(),
            applications: BTreeSet::new(),
        }
    }

    /// The scope of what a District itself declares: no drill, and no repository.
    pub fn of(district: &District) -> Self {
        let sites = district.spec.sites.iter().map(|site| site.site_ref.name.as_str());
        Self::of_district(district.hub_namespace(), sites, Allotment::of(district))
    }

    /// The scope of a run of the city, which isn't any district's: every namespace of the sites that it is given.
    pub fn of_city<S: Into<SiteName>>(hub_namespace: &str, sites: impl IntoIterator<Item = S>) -> Self {
        let sites = sites.into_iter().map(Into::into).collect();
        Self {
            hub_namespace: hub_namespace.to_owned(),
            sites,
            namespaces: Namespaces::All,
            repositories: BTreeSet::new(),
            nodes: BTreeSet::new(),
            applications: BTreeSet::new(),
        }
    }

    /// The run may use this BackupRepository of its hub namespace too.
    #[must_use]
    pub fn with_repository(mut self, name: &str) -> Self {
        self.repositories.insert(name.to_owned());
        self
    }

    /// The run's work is on this node: it may drain it, and silence its alerts.
    #[must_use]
    pub fn with_node(mut self, site: &SiteName, node: &str) -> Self {
        self.nodes.insert((site.clone(), node.to_owned()));
        self
    }

    /// The run restores this Application of its hub namespace: it may fill that one's namespaces.
    #[must_use]
    pub fn with_application(mut self, name: &str) -> Self {
        self.applications.insert(name.to_owned());
        self
    }

    /// The run is a drill (or a verification) in isolation: it may touch the copies `<namespace>--drill-<id>` of the district's namespaces, and not the originals.
    /// A run of the city stays as it is: it has no applications to drill.
    #[must_use]
    pub fn isolated(mut self, id: &str) -> Self {
        if let Namespaces::Allotted(allotment) | Namespaces::Isolated(allotment, _) = self.namespaces {
            self.namespaces = Namespaces::Isolated(allotment, id.to_owned());
        }
        self
    }

    /// The action, if the run may do it.
    ///
    /// # Errors
    /// [`OutOfScope`] names the first thing that isn't the run's. Such an action must not be performed and needs no retry: nothing but another spec mends it.
    pub fn permits<'a>(&'a self, action: &'a Action) -> Result<Permitted<'a>, OutOfScope> {
        let refused = |what| OutOfScope { action: action.word(), run_in: self.hub_namespace.clone(), what };
        self.permits_touching(&action.touches()).map_err(refused)?;
        Ok(Permitted::new(action, self))
    }

    /// Every step of a plan with what undoes it, if the run may do all of it: a run begins with nothing that it could neither do nor clean up.
    ///
    /// # Errors
    /// The first step that reaches beyond the run's scope, and how.
    pub fn permits_plan(&self, plan: &Plan<Action>) -> Result<(), (StepId, OutOfScope)> {
        for step in plan.steps() {
            for action in std::iter::once(&step.action).chain(&step.undo) {
                self.permits(action).map_err(|refused| (step.id.clone(), refused))?;
            }
        }
        Ok(())
    }

    fn permits_touching(&self, touched: &Touched<'_>) -> Result<(), Beyond> {
        // No field may be left out: what an action touches in a new way is looked at here as well.
        let Touched {
            sites,
            namespaces,
            workloads,
            sources,
            copies,
            drills,
            cluster,
            nodes,
            names,
            pages,
            districts,
            labels,
            uses_repository,
            repositories,
            hub,
            owners,
            as_city,
            silences,
        } = touched;
        let refuse_unless = |good: bool, what: fn(String) -> Beyond, name: &str| if good { Ok(()) } else { Err(what(name.to_owned())) };
        for site in sites {
            self.site(site).map_err(|refused| Beyond::Site(refused.site))?;
        }
        for namespace in namespaces {
            refuse_unless(self.may_touch(namespace), Beyond::Namespace, namespace)?;
        }
        for (acted_in, named) in workloads {
            refuse_unless(self.may_touch(named) || self.is_original_of(named, acted_in), Beyond::Namespace, named)?;
        }
        for namespace in sources {
            refuse_unless(self.is_own(namespace), Beyond::Namespace, namespace)?;
        }
        for (original, copy, id) in copies {
            refuse_unless(self.is_own(original), Beyond::Namespace, original)?;
            refuse_unless(self.is_drill(id) && names::bubble_namespace(original, id) == *copy, Beyond::Namespace, copy)?;
        }
        for id in drills {
            refuse_unless(self.is_drill(id), Beyond::Owner, id)?;
        }
        for resource in cluster {
            self.permits_cluster_resource(resource).map_err(Beyond::ClusterObject)?;
        }
        for (site, node) in nodes {
            let own = self.nodes.contains(&((*site).clone(), (*node).to_owned()));
            refuse_unless(own, Beyond::Node, &format!("{site}/{node}"))?;
        }
        if *uses_repository && self.repositories.is_empty() {
            return Err(Beyond::NoRepository);
        }
        for name in repositories {
            refuse_unless(self.repositories.contains(*name), Beyond::Repository, name)?;
        }
        for name in names {
            refuse_unless(is_name(name), Beyond::Name, name)?;
        }
        for page in pages {
            refuse_unless(stays_below(page), Beyond::Name, page)?;
        }
        for district in districts {
            refuse_unless(self.is_of_district(district), Beyond::Owner, district)?;
        }
        for (key, value) in labels {
            refuse_unless(self.may_label(key, value), Beyond::Label, &format!("{key}={value}"))?;
        }
        for object in hub {
            refuse_unless(is_name(object.name), Beyond::HubObject, &format!("{} {:?}", object.kind, object.name))?;
        }
        for owner in owners {
            refuse_unless(*owner == self.hub_namespace, Beyond::Owner, owner)?;
        }
        refuse_unless(!*as_city || self.namespaces == Namespaces::All, Beyond::Owner, "the city")?;
        for labels in silences {
            refuse_unless(self.may_silence(labels), Beyond::Silence, &format!("{labels:?}"))?;
        }
        Ok(())
    }

    /// Whether alerts with these labels are the run's to silence.
    fn may_silence(&self, labels: &BTreeMap<String, String>) -> bool {
        let [district, site, node] = ["district", "site", "node"].map(|label| labels.get(label).map(String::as_str));
        if site.is_some_and(|site| !self.sites.contains(site)) {
            return false;
        }
        if self.namespaces == Namespaces::All {
            return district.is_some() || site.is_some();
        }
        let of_node = || site.zip(node).is_some_and(|(site, node)| self.nodes.contains(&(site.into(), node.to_owned())));
        match district {
            Some(district) => district == self.hub_namespace,
            None => of_node(),
        }
    }

    /// A cluster-scoped object is every district's. Which names are this district's, the site's administrator says, and the site's API server holds to it.
    fn permits_cluster_resource(&self, resource: &ClusterResource) -> Result<(), String> {
        let kind: &ClusterKind = objects::permitted(resource)?;
        let copied = !matches!(self.namespaces, Namespaces::Isolated(..)) || kind.goes_into_a_copy();
        if copied { Ok(()) } else { Err(format!("{} {} holds for the whole cluster: a copy has none", resource.kind, resource.name)) }
    }

    /// Whether the run may read, write or run something there.
    fn may_touch(&self, namespace: &str) -> bool {
        match &self.namespaces {
            Namespaces::All => is_label(namespace),
            Namespaces::Allotted(_) => self.is_own(namespace),
            Namespaces::Isolated(_, id) => {
                let suffix = names::bubble_namespace("", id);
                namespace.strip_suffix(suffix.as_str()).is_some_and(|original| self.is_own(original))
            }
        }
    }

    /// Whether the namespace is the district's, and no drill's copy. Its namespace on the hub never is, also where the hub is a site: its Secrets, its approvals and
    /// what the operator knows of its runs are there.
    pub(crate) fn is_own(&self, namespace: &str) -> bool {
        if namespace == self.hub_namespace && !matches!(self.namespaces, Namespaces::All) {
            return false;
        }
        match &self.namespaces {
            Namespaces::All => is_label(namespace),
            Namespaces::Allotted(allotment) | Namespaces::Isolated(allotment, _) => allotment.holds(namespace) && !namespace.contains(COPY_INFIX),
        }
    }

    /// Whether what the run makes may be called this District's.
    fn is_of_district(&self, name: &str) -> bool {
        match &self.namespaces {
            Namespaces::All => true,
            Namespaces::Allotted(allotment) | Namespaces::Isolated(allotment, _) => allotment.district == name,
        }
    }

    /// Whether the run may give this label to what it writes. Of our own labels, by which network policies and clean-up choose, a drill gives its own id.
    fn may_label(&self, key: &str, value: &str) -> bool {
        let ours = key.split_once('/').is_some_and(|(prefix, _)| prefix == GROUP || prefix.ends_with(&format!(".{GROUP}")));
        !ours || (key == DRILL_LABEL && self.is_drill(value))
    }

    /// Whether the run is the drill with this id.
    fn is_drill(&self, id: &str) -> bool {
        matches!(&self.namespaces, Namespaces::Isolated(_, own) if own == id)
    }

    /// Whether `copy` stands for `namespace` in this drill: a workload of the Application keeps its namespace in its reference, and is looked for in the copy.
    fn is_original_of(&self, namespace: &str, copy: &str) -> bool {
        matches!(&self.namespaces, Namespaces::Isolated(_, id) if self.is_own(namespace) && names::bubble_namespace(namespace, id) == copy)
    }
}

/// Whether a namespace can have this name (a DNS label).
fn is_label(name: &str) -> bool {
    is_name(name) && !name.contains('.') && name.len() <= 63
}

/// Whether the path of a page leads nowhere above where it begins.
fn stays_below(page: &str) -> bool {
    let path = page.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace(['\\'], "/");
    path.split('/').all(|segment| segment != "..")
}

/// Whether an object can have this name. One with a slash, or of dots only, could mean another namespace's object in the path of a request.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().all(|byte| plain(byte) || b"-.".contains(&byte)) && name.bytes().next().is_some_and(plain) && name.bytes().last().is_some_and(plain)
}

/// What of an action isn't the run's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Beyond {
    Site(String),
    Namespace(String),
    Repository(String),
    NoRepository,
    Node(String),
    ClusterObject(String),
    Name(String),
    Label(String),
    HubObject(String),
    Owner(String),
    Silence(String),
}

/// An action would touch what isn't its run's. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct OutOfScope {
    action: &'static str,
    /// The run's namespace on the hub.
    run_in: String,
    what: Beyond,
}

impl OutOfScope {
    /// Reason, as conditions and events spell it.
    pub const fn reason(&self) -> Reason {
        match self.what {
            Beyond::Site(_) => Reason::SiteNotAllotted,
            Beyond::Namespace(_) => Reason::NamespaceNotAllotted,
            Beyond::Repository(_) | Beyond::NoRepository => Reason::RepositoryNotAllotted,
            Beyond::Node(_) | Beyond::ClusterObject(_) | Beyond::Name(_) | Beyond::Label(_) | Beyond::HubObject(_) | Beyond::Owner(_) | Beyond::Silence(_) => {
                Reason::OutOfScope
            }
        }
    }
}

impl fmt::Display for OutOfScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, run_in, what } = self;
        write!(f, "action {action} is refused: ")?;
        match what {
            Beyond::Site(site) => SiteNotAllotted { site: site.clone(), of: run_in.clone() }.fmt(f),
            Beyond::Namespace(namespace) => {
                write!(
                    f,
                    "this run of {run_in} may not touch namespace {namespace:?}: see spec.siteNamespaces of its District; a drill may touch its own copies only, and nothing else may touch those"
                )
            }
            Beyond::Repository(name) => write!(f, "repository {name} is not the run's"),
            Beyond::NoRepository => write!(f, "it needs a repository, and the run has none"),
            Beyond::Node(node) => write!(f, "node {node} is not the one that the run's work is on"),
            Beyond::ClusterObject(why) => f.write_str(why),
            Beyond::Name(name) => write!(f, "{name:?} is no name of an object, and no path below one"),
            Beyond::Label(label) => write!(f, "label {label} is not the run's to give"),
            Beyond::HubObject(object) => write!(f, "{object} is no name of an object in {run_in}"),
            Beyond::Owner(owner) => write!(f, "it speaks for {owner}, and the run is of {run_in}"),
            Beyond::Silence(labels) => {
                write!(f, "a silence of {labels} is limited neither to alerts of {run_in} nor to those of the node that its change drains")
            }
        }
    }
}
