//! The gate before every effect: whether a run's district may touch what an action touches.
//!
//! Plans come from compilers, from stored journals and from buckets. Whatever has made or kept them, the executor asks [`Scope::permits`] at the moment of the
//! effect, for actions and for their undoing. [`Action::touches`] states what an action touches; a new action doesn't compile before it does.
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

#[cfg(test)]
mod tests;
mod touches;

pub use touches::{HubObject, Touched};

use super::action::Action;
use crate::{
    ids::SiteName,
    names,
    objects::{self, ClusterKind},
};
use p861_crds::{District, Reason, platform::application::ClusterResource};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// What every drill's copy has in its namespace's name, before the drill's id.
const COPY_INFIX: &str = "--drill-";

/// Which namespaces of its sites are a district's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allotment {
    prefixes: Vec<String>,
    names: Vec<String>,
}

impl Allotment {
    /// As the District states it in `spec.siteNamespaces`; `<district>-` as a prefix where it states nothing. An empty prefix, which would mean every namespace,
    /// allots nothing.
    pub fn of(district: &District) -> Self {
        let stated = district.spec.site_namespaces.clone().unwrap_or_default();
        let prefixes = if stated.prefixes.is_empty() && stated.names.is_empty() {
            vec![format!("{}-", district.metadata.name.as_deref().unwrap_or_default())]
        } else {
            stated.prefixes
        };
        Self { prefixes: prefixes.into_iter().filter(|prefix| !matches!(prefix.as_str(), "" | "-")).collect(), names: stated.names }
    }

    /// Whether the namespace is the district's. Kubernetes' own (`kube-…`) never is by a prefix.
    pub fn holds(&self, namespace: &str) -> bool {
        self.names.iter().any(|name| name == namespace)
            || (!namespace.starts_with("kube-") && self.prefixes.iter().any(|prefix| namespace.starts_with(prefix.as_str())))
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
}

impl Scope {
    /// The scope of a district's run: its hub namespace, its sites, and its namespaces on them.
    pub fn of_district<S: Into<SiteName>>(hub_namespace: &str, sites: impl IntoIterator<Item = S>, allotment: Allotment) -> Self {
        let sites = sites.into_iter().map(Into::into).collect();
        Self { hub_namespace: hub_namespace.to_owned(), sites, namespaces: Namespaces::Allotted(allotment), repositories: BTreeSet::new() }
    }

    /// The scope of a run of the city, which isn't any district's: every namespace of the sites that it is given.
    pub fn of_city<S: Into<SiteName>>(hub_namespace: &str, sites: impl IntoIterator<Item = S>) -> Self {
        let sites = sites.into_iter().map(Into::into).collect();
        Self { hub_namespace: hub_namespace.to_owned(), sites, namespaces: Namespaces::All, repositories: BTreeSet::new() }
    }

    /// The run may use this BackupRepository of its hub namespace too.
    #[must_use]
    pub fn with_repository(mut self, name: &str) -> Self {
        self.repositories.insert(name.to_owned());
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

    /// Whether the run may do this.
    ///
    /// # Errors
    /// [`OutOfScope`] names the first thing that isn't the run's. Such an action must not be performed and needs no retry: nothing but another spec mends it.
    pub fn permits(&self, action: &Action) -> Result<(), OutOfScope> {
        self.permits_touching(&action.touches()).map_err(|what| OutOfScope { action: action.word(), run_in: self.hub_namespace.clone(), what })
    }

    fn permits_touching(&self, touched: &Touched<'_>) -> Result<(), Beyond> {
        let Touched { sites, namespaces, workloads, sources, copies, cluster, nodes: _, uses_repository, repositories, hub, owners, as_city, silences } =
            touched;
        let refuse_unless = |good: bool, what: fn(String) -> Beyond, name: &str| if good { Ok(()) } else { Err(what(name.to_owned())) };
        for site in sites {
            refuse_unless(self.sites.contains(*site), Beyond::Site, site.as_str())?;
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
            let of_this_run = matches!(&self.namespaces, Namespaces::Isolated(_, own) if own == id) && names::bubble_namespace(original, id) == *copy;
            refuse_unless(self.is_own(original), Beyond::Namespace, original)?;
            refuse_unless(of_this_run, Beyond::Namespace, copy)?;
        }
        for resource in cluster {
            self.permits_cluster_resource(resource).map_err(Beyond::ClusterObject)?;
        }
        if *uses_repository && self.repositories.is_empty() {
            return Err(Beyond::NoRepository);
        }
        for name in repositories {
            refuse_unless(self.repositories.contains(*name), Beyond::Repository, name)?;
        }
        for object in hub {
            // A name with a slash could mean another namespace's object in a path.
            let is_name =
                !object.name.is_empty() && object.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
            refuse_unless(is_name, Beyond::HubObject, &format!("{} {:?}", object.kind, object.name))?;
        }
        for owner in owners {
            refuse_unless(*owner == self.hub_namespace, Beyond::Owner, owner)?;
        }
        refuse_unless(!*as_city || self.namespaces == Namespaces::All, Beyond::Owner, "the city")?;
        for labels in silences {
            let (district, site) = (labels.get("district"), labels.get("site"));
            let own = district.is_some_and(|district| *district == self.hub_namespace || self.namespaces == Namespaces::All);
            let of_site = district.is_none() && site.is_some_and(|site| self.sites.contains(site.as_str()));
            refuse_unless(own || of_site, Beyond::Silence, &format!("{labels:?}"))?;
        }
        Ok(())
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
            Namespaces::All => !namespace.is_empty(),
            Namespaces::Allotted(_) => self.is_own(namespace),
            Namespaces::Isolated(_, id) => {
                let suffix = names::bubble_namespace("", id);
                namespace.strip_suffix(suffix.as_str()).is_some_and(|original| self.is_own(original))
            }
        }
    }

    /// Whether the namespace is the district's, and no drill's copy.
    fn is_own(&self, namespace: &str) -> bool {
        match &self.namespaces {
            Namespaces::All => !namespace.is_empty(),
            Namespaces::Allotted(allotment) | Namespaces::Isolated(allotment, _) => allotment.holds(namespace) && !namespace.contains(COPY_INFIX),
        }
    }

    /// Whether `copy` stands for `namespace` in this drill: a workload of the Application keeps its namespace in its reference, and is looked for in the copy.
    fn is_original_of(&self, namespace: &str, copy: &str) -> bool {
        matches!(&self.namespaces, Namespaces::Isolated(_, id) if self.is_own(namespace) && names::bubble_namespace(namespace, id) == copy)
    }
}

/// What of an action isn't the run's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Beyond {
    Site(String),
    Namespace(String),
    Repository(String),
    NoRepository,
    ClusterObject(String),
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
            Beyond::ClusterObject(_) | Beyond::HubObject(_) | Beyond::Owner(_) | Beyond::Silence(_) => Reason::OutOfScope,
        }
    }
}

impl fmt::Display for OutOfScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, run_in, what } = self;
        write!(f, "action {action} is refused: ")?;
        match what {
            Beyond::Site(site) => write!(f, "site {site} is not one of the sites of {run_in}: see spec.sites of its District"),
            Beyond::Namespace(namespace) => {
                write!(
                    f,
                    "this run of {run_in} may not touch namespace {namespace:?}: see spec.siteNamespaces of its District; a drill may touch its own copies only, and nothing else may touch those"
                )
            }
            Beyond::Repository(name) => write!(f, "repository {name} is not the run's"),
            Beyond::NoRepository => write!(f, "it needs a repository, and the run has none"),
            Beyond::ClusterObject(why) => f.write_str(why),
            Beyond::HubObject(object) => write!(f, "{object} is no name of an object in {run_in}"),
            Beyond::Owner(owner) => write!(f, "it speaks for {owner}, and the run is of {run_in}"),
            Beyond::Silence(labels) => write!(f, "a silence of {labels} is neither limited to {run_in} nor to one of its sites"),
        }
    }
}
