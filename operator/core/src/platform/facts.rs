//! Observed facts of a district's platform.

use super::quota;
use crate::conditions::is_true;
use jiff::Timestamp;
use p861_crds::{
    Application, BackupRepository, ConditionType, Reason,
    common::Quantity,
    platform::{district::SiteRole, profile::Layer},
};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a judgement rests on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The district's sites.
    pub sites: Vec<SiteFacts>,
    /// The repositories that the Platform names.
    pub repositories: Vec<RepositoryFacts>,
    /// The district's applications.
    pub applications: Vec<ApplicationFacts>,
}

/// One site.
#[derive(Clone, Debug)]
pub struct SiteFacts {
    /// The Site.
    pub name: String,
    /// Its part in the district.
    pub role: SiteRole,
    /// What was seen, or why nothing could be.
    pub sight: Result<Sight, Unseen>,
}

impl SiteFacts {
    /// Whether its capacity counts: an edge site is small and far, and carries no other site's applications.
    pub fn counts(&self) -> bool {
        matches!(self.role, SiteRole::Primary | SiteRole::Standby)
    }
}

impl ApplicationFacts {
    /// What an Application says of itself.
    pub fn of(application: &Application) -> Self {
        let conditions = application.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        Self {
            name: application.metadata.name.clone().unwrap_or_default(),
            profile_item: application.spec.profile_item.clone(),
            ready: is_true(conditions, ConditionType::Ready),
            failing: conditions.iter().any(|condition| condition.type_ == ConditionType::Healthy && condition.status == "False"),
        }
    }
}

impl RepositoryFacts {
    /// What the repository of this name says of itself, if it is among these.
    pub fn of(name: &str, repositories: &[BackupRepository]) -> Self {
        let bytes = |text: &Quantity| quota::read("requests.storage", &text.0);
        let found = repositories.iter().find(|repository| repository.metadata.name.as_deref() == Some(name));
        let status = found.and_then(|found| found.status.as_ref());
        Self {
            name: name.to_owned(),
            exists: found.is_some(),
            ready: status.is_some_and(|status| is_true(&status.conditions, ConditionType::Ready)),
            capacity: found.and_then(|found| found.spec.capacity.as_ref()).and_then(bytes),
            used: status.and_then(|status| status.used.as_ref()).and_then(bytes),
        }
    }
}

/// Why a site could not be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Reason of the API.
    pub reason: Reason,
    /// In words.
    pub message: String,
}

/// What was seen of a site.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Its nodes.
    pub nodes: Vec<NodeFacts>,
    /// Names of its StorageClasses.
    pub storage_classes: BTreeSet<String>,
    /// Names of its VolumeSnapshotClasses; none if the site doesn't serve that kind.
    pub snapshot_classes: Option<BTreeSet<String>>,
    /// Bytes that claims ask for, by StorageClass.
    pub claims: BTreeMap<String, i64>,
    /// Gateways that the Platform names, as `namespace/name`; one that isn't there is absent.
    pub gateways: BTreeMap<String, GatewayFacts>,
    /// Results of the probes that are tried from here, by name.
    pub probes: BTreeMap<String, ProbeFacts>,
    /// Certificates.
    pub certificates: Vec<CertificateFacts>,
    /// ValidatingAdmissionPolicies, and whether they are bound.
    pub admission_policies: BTreeMap<String, bool>,
    /// Departments' quotas as they were divided.
    pub quotas: Vec<QuotaFacts>,
    /// Components of the base software, by name; one that isn't installed is absent.
    pub components: BTreeMap<String, ComponentFacts>,
    /// Objects that could not be applied.
    pub refused: Vec<Refused>,
}

/// One node.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Ready, and not cordoned.
    pub usable: bool,
    /// What it offers.
    pub allocatable: Amounts,
    /// What the pods on it ask for.
    pub requested: Amounts,
}

/// Amounts of what servers offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Pods.
    pub pods: i64,
}

impl std::ops::AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
        self.pods = self.pods.saturating_add(other.pods);
    }
}

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayFacts {
    /// Whether it is in force.
    pub programmed: bool,
    /// What it says of itself.
    pub message: String,
}

/// Result of the last run of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeFacts {
    /// A connection was made.
    Connected {
        /// Milliseconds that connecting took.
        millis: u64,
    },
    /// None was made.
    Failed {
        /// Why.
        message: String,
    },
    /// It can't be tried from this site yet.
    Unmeasured {
        /// Why.
        message: String,
    },
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whose it is, for people.
    pub name: String,
    /// When it ends, or why that can't be read.
    pub expires: Result<Timestamp, String>,
}

/// How a department's quota compares with what it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaFacts {
    /// The layer whose quota it is.
    pub layer: Layer,
    /// The department.
    pub department: String,
    /// In the words of ResourceQuota.
    pub resource: String,
    /// What was granted, as written.
    pub granted: String,
    /// What is used, as written.
    pub used: String,
    /// Whether more is used than was granted.
    pub exceeded: bool,
}

/// What was seen of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentFacts {
    /// The version that is installed.
    pub installed: String,
    /// Health checks that don't hold, in words.
    pub failing: Vec<String>,
    /// Error reported by the engine that installs it.
    pub trouble: Option<String>,
}

/// Something that ought to be on a site and could not be put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The layer that it belongs to.
    pub layer: Layer,
    /// Reason of the API.
    pub reason: Reason,
    /// What it is, and why.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A repository.
#[derive(Clone, Debug, Default)]
pub struct RepositoryFacts {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub exists: bool,
    /// Whether it can be used.
    pub ready: bool,
    /// Bytes that it may hold, if that is declared.
    pub capacity: Option<i64>,
    /// Bytes stored, if that is known.
    pub used: Option<i64>,
}

/// An application.
#[derive(Clone, Debug, Default)]
pub struct ApplicationFacts {
    /// Its name.
    pub name: String,
    /// Item of the profile that it provides.
    pub profile_item: Option<String>,
    /// Whether it was found on its site.
    pub ready: bool,
    /// Whether a check of it fails.
    pub failing: bool,
}
