//! Which objects of a snapshot a restore comes to.

use p861_core::objects;
use p861_crds::{
    WorkloadReference,
    platform::application::{ClusterResource, ObjectSelector},
    protection::restore::{ResourceSelector, RestoreSelection},
};
use parking_lot::Mutex;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

/// Why an object is left out that the Restore doesn't select.
pub(super) const NOT_SELECTED: &str = "not selected";
/// The kind of a selector that means all kinds.
const EVERY_KIND: &str = "*";

/// Which objects of a snapshot are restored.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// As the Restore says.
    pub select: RestoreSelection,
    /// If there are any, no other workloads.
    pub workloads: Vec<WorkloadReference>,
    /// Left out, as the Application says.
    pub exclude: Vec<ObjectSelector>,
    /// The cluster-scoped objects that may be written.
    pub cluster: Vec<ClusterResource>,
    /// Which of the Restore's selectors have met an object of the snapshot, by their places; clones share it.
    pub met: Arc<Mutex<BTreeSet<usize>>>,
}

impl Choice {
    /// Why an object is left out; none if it is restored.
    pub(super) fn leaves(&self, object: &Value) -> Option<&'static str> {
        let (kind, group, name) = (objects::kind(object), objects::group(object), objects::name(object));
        let resources = &self.select.resources;
        let of_kind = |wanted: &ResourceSelector| wanted.kind == EVERY_KIND || (wanted.kind == kind && wanted.group.as_deref().unwrap_or_default() == group);
        let is_wanted = |wanted: &ResourceSelector| of_kind(wanted) && wanted.name.as_deref().is_none_or(|wanted| wanted == name);
        let wanted_by: Vec<usize> = resources.iter().enumerate().filter(|(_, wanted)| is_wanted(wanted)).map(|(place, _)| place).collect();
        let selected = resources.is_empty() || !wanted_by.is_empty();
        if selected && !wanted_by.is_empty() {
            self.met.lock().extend(wanted_by);
        }
        if self.exclude.iter().any(|selector| objects::selects(selector, object)) {
            return Some("excluded by the Application");
        }
        let is_workload = group == "apps" && matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet");
        let named = |workload: &WorkloadReference| {
            workload.kind.to_string() == kind && workload.name == name && workload.namespace.as_deref() == Some(objects::namespace(object))
        };
        let chosen = selected && (self.workloads.is_empty() || !is_workload || self.workloads.iter().any(named));
        (!chosen).then_some(NOT_SELECTED)
    }

    /// The selectors that no object of the snapshot has met, in words; none if each has. Asked once all of it was read: a name with a typo would else be a success.
    pub(in crate::movers) fn unmet(&self) -> Option<String> {
        let met = self.met.lock();
        let words = |wanted: &ResourceSelector| {
            let group = wanted.group.as_deref().filter(|group| !group.is_empty()).map_or_else(String::new, |group| format!(".{group}"));
            format!("{}{group}{}", wanted.kind, wanted.name.as_deref().map_or_else(String::new, |name| format!(" {name}")))
        };
        let unmet: Vec<String> = self.select.resources.iter().enumerate().filter(|(place, _)| !met.contains(place)).map(|(_, wanted)| words(wanted)).collect();
        (!unmet.is_empty()).then(|| unmet.join(", "))
    }

    /// Whether single objects are chosen, each by its name.
    pub(super) fn is_by_name(&self) -> bool {
        let resources = &self.select.resources;
        !resources.is_empty() && resources.iter().all(|wanted| wanted.name.is_some())
    }
}
