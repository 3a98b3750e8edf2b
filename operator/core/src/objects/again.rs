//! The second try of a restore: once the application runs, it may serve the webhooks and the kinds that kept some of its objects from being written.

use super::{MAX_STATUS_NAMES, group, kind, name, namespace};
use crate::engine::{Awaits, Evidence, LeftOutObjects, ListedChange};
use p861_crds::protection::restore::RestoreChanges;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
};

/// What the API server says of a webhook that it could not ask, for admission and for conversion. One that was asked and said no `denied the request`.
const UNANSWERED: [&str; 3] = ["failed calling webhook", "failed to call webhook", "conversion webhook for"];
const DENIED: &str = "denied the request";
/// What the API server says of a kind that it has ceased to serve, or doesn't serve yet.
const UNSERVED: &str = "the server could not find the requested resource";

/// What an object waits for that was refused with this message; none if the same would be said again.
pub fn awaits(why: &str) -> Option<Awaits> {
    if why.contains(UNSERVED) {
        return Some(Awaits::Kind);
    }
    (!why.contains(DENIED) && UNANSWERED.iter().any(|said| why.contains(said))).then_some(Awaits::Webhook)
}

/// Which object of a site it is, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty if it has none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Identity {
    /// That of an object.
    pub fn of(object: &Value) -> Self {
        let owned = str::to_owned;
        Self { group: owned(group(object)), kind: owned(kind(object)), namespace: owned(namespace(object)), name: owned(name(object)) }
    }

    /// That of an object in a list.
    pub fn listed(listed: &ListedChange) -> Self {
        let ListedChange { action: _, group, kind, namespace, name, why: _, awaits: _, diff: _, manifest: _ } = listed;
        Self { group: group.clone(), kind: kind.clone(), namespace: namespace.clone(), name: name.clone() }
    }

    /// The kind with its group, as status and evidence count it: `Widget.demo.example`, `ConfigMap`.
    pub fn kind_with_group(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }
}

/// As the inventory of a backup names it: `Secret n/a`, `PriorityClass b`.
impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group: _, kind, namespace, name } = self;
        if namespace.is_empty() { write!(formatter, "{kind} {name}") } else { write!(formatter, "{kind} {namespace}/{name}") }
    }
}

/// What became of the objects of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectCounts {
    /// Number of objects by what happened.
    pub changes: RestoreChanges,
    /// Number of objects that were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Their names.
    pub left_out_names: LeftOutObjects,
    /// Number of objects of kinds that are not served, by kind.
    pub not_served: BTreeMap<String, u64>,
    /// Number of objects that were written otherwise than they were saved, by what was changed.
    pub adjusted: BTreeMap<String, u64>,
    /// The objects that were not written, as far as they are listed.
    pub refused: Vec<ListedChange>,
    /// Patches of a copy that no object was meant by.
    pub patches_unmatched: Vec<String>,
}

fn add(to: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (key, number) in more {
        *to.entry(key).or_default() += number;
    }
}

/// The names of a second list of what was left out, added to those of the first.
fn add_names(to: &mut LeftOutObjects, more: LeftOutObjects) {
    for (why, names) in more.first {
        let first = to.first.entry(why).or_default();
        let all: BTreeSet<String> = first.drain(..).chain(names).collect();
        first.extend(all.into_iter().take(MAX_STATUS_NAMES));
    }
    to.listed += more.listed;
    to.lists.extend(more.lists);
}

impl ObjectCounts {
    /// The end state after a second try: `tried` are those of the refused objects that it came to, each of which it counts anew. The others stay as they were.
    #[must_use]
    pub fn after_second_try(mut self, tried: &HashSet<Identity>, second: Self) -> Self {
        let (again, mut refused): (Vec<_>, Vec<_>) = self.refused.into_iter().partition(|listed| tried.contains(&Identity::listed(listed)));
        for listed in again {
            match listed.awaits {
                Some(Awaits::Kind) if self.changes.not_served > 0 => {
                    self.changes.not_served -= 1;
                    let of_kind = self.not_served.entry(Identity::listed(&listed).kind_with_group()).or_default();
                    *of_kind = of_kind.saturating_sub(1);
                }
                _ => self.changes.refused -= 1,
            }
        }
        self.not_served.retain(|_, number| *number > 0);
        let RestoreChanges { create, change, added, same, refused: still, not_served } = second.changes;
        self.changes.create += create;
        self.changes.change += change;
        self.changes.added += added;
        self.changes.same += same;
        self.changes.refused += still;
        self.changes.not_served += not_served;
        add(&mut self.left_out, second.left_out);
        add_names(&mut self.left_out_names, second.left_out_names);
        add(&mut self.not_served, second.not_served);
        add(&mut self.adjusted, second.adjusted);
        refused.extend(second.refused);
        // The second try sees only some objects: what it finds no object for, the first may have found one for.
        self.patches_unmatched.retain(|patch| second.patches_unmatched.contains(patch));
        refused.sort_by_cached_key(|listed| (listed.namespace.clone(), listed.kind.clone(), listed.name.clone()));
        Self { refused, ..self }
    }
}

/// What the first try proved, among what the steps before proved; none if a second try could write nothing more.
pub fn worth_a_second_try(inputs: &BTreeMap<String, Evidence>) -> Option<&Evidence> {
    inputs.values().find(|evidence| matches!(evidence, Evidence::ObjectsRestored { refused: Some(refused), .. } if refused.awaiting > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ObjectChange, RefusedObjects, StoredObject};

    #[test]
    fn fault_b13_only_what_did_not_answer_or_is_not_served_may_answer_later() {
        let calling = "Internal error occurred: failed calling webhook \"widgets.demo.example\": failed to call webhook: Post \"https://web.n.svc:443/check?timeout=10s\"";
        for (why, expected) in [
            (format!("{calling}: no endpoints available for service \"web\""), Some(Awaits::Webhook)),
            (format!("{calling}: context deadline exceeded"), Some(Awaits::Webhook)),
            (format!("{calling}: the server is currently unable to handle the request"), Some(Awaits::Webhook)),
            (
                "conversion webhook for demo.example/v1, Kind=Widget failed: Post \"https://web.n.svc:443/convert\": connect: connection refused".into(),
                Some(Awaits::Webhook),
            ),
            ("the server could not find the requested resource".into(), Some(Awaits::Kind)),
            ("admission webhook \"widgets.demo.example\" denied the request: no".into(), None),
            ("admission webhook \"widgets.demo.example\" denied the request: failed calling webhook".into(), None),
            ("Ingress.networking.k8s.io \"a\" is invalid: spec.rules[0].host: Invalid value".into(), None),
            ("namespaces \"n\" not found".into(), None),
        ] {
            assert_eq!(awaits(&why), expected, "{why}");
        }
    }

    #[test]
    fn fault_b13_a_second_try_is_made_only_where_something_may_be_taken_now() {
        let evidence = |awaiting: Option<u64>| Evidence::ObjectsRestored {
            changes: RestoreChanges::default(),
            left_out: BTreeMap::new(),
            left_out_names: None,
            not_served: BTreeMap::new(),
            adjusted: BTreeMap::new(),
            patches_unmatched: Vec::new(),
            refused: awaiting.map(|awaiting| RefusedObjects {
                first: refused("Widget", "a", "no", None),
                listed: 1,
                list: StoredObject { sha256: "a".into(), bytes: 1 },
                awaiting,
            }),
        };
        let ready = Evidence::WorkloadsReady { workloads: 1, ready: Vec::new(), not_awaited: Vec::new() };
        for (inputs, worth) in [
            (vec![ready.clone()], false),
            (vec![ready.clone(), evidence(None)], false),
            (vec![evidence(Some(0))], false),
            (vec![ready, evidence(Some(2))], true),
        ] {
            let inputs: BTreeMap<String, Evidence> = inputs.into_iter().enumerate().map(|(number, evidence)| (number.to_string(), evidence)).collect();
            assert_eq!(worth_a_second_try(&inputs).is_some(), worth, "{inputs:?}");
        }
    }

    fn refused(kind: &str, name: &str, why: &str, awaits: Option<Awaits>) -> ListedChange {
        let action = ObjectChange::Refused;
        ListedChange {
            action,
            group: "demo.example".into(),
            kind: kind.into(),
            namespace: "n".into(),
            name: name.into(),
            why: why.into(),
            awaits,
            diff: String::new(),
            manifest: None,
        }
    }

    #[test]
    fn fault_b13_the_end_state_counts_each_object_once_with_its_newest_reason() {
        let names = |why: &str, names: &[&str]| LeftOutObjects {
            first: BTreeMap::from([(why.to_owned(), names.iter().map(|name| (*name).to_owned()).collect())]),
            listed: names.len() as u64,
            lists: vec![StoredObject { sha256: why.into(), bytes: 1 }],
        };
        let first = ObjectCounts {
            left_out: BTreeMap::from([("skipped".into(), 2)]),
            left_out_names: names("skipped", &["Report n/b", "Report n/x"]),
            changes: RestoreChanges { create: 10, change: 1, added: 1, same: 2, refused: 2, not_served: 3 },
            not_served: BTreeMap::from([("Widget.demo.example".into(), 2), ("Gadget.demo.example".into(), 1)]),
            refused: vec![
                refused("Widget", "a", "not served", Some(Awaits::Kind)),
                refused("Widget", "b", "not served", Some(Awaits::Kind)),
                refused("Gadget", "c", "not served", Some(Awaits::Kind)),
                refused("Report", "d", "no endpoints", Some(Awaits::Webhook)),
                refused("Report", "e", "invalid", None),
            ],
            ..ObjectCounts::default()
        };
        let second = ObjectCounts {
            changes: RestoreChanges { create: 1, same: 1, refused: 1, ..RestoreChanges::default() },
            refused: vec![refused("Widget", "b", "denied", None)],
            adjusted: BTreeMap::from([("port".into(), 1)]),
            left_out: BTreeMap::from([("skipped".into(), 1)]),
            left_out_names: names("skipped", &["Report n/d"]),
            ..ObjectCounts::default()
        };
        // The list of the first try named a Gadget that the second did not come to.
        let tried = first.refused.iter().filter(|listed| listed.awaits.is_some() && listed.kind != "Gadget").map(Identity::listed).collect();
        let total = |counts: &ObjectCounts| {
            let RestoreChanges { create, change, added: _, same, refused, not_served } = &counts.changes;
            create + change + same + refused + not_served
        };
        let end = first.clone().after_second_try(&tried, second);
        assert_eq!(total(&end), total(&first), "no object is lost, none counts twice");
        assert_eq!(end.changes, RestoreChanges { create: 11, change: 1, added: 1, same: 3, refused: 2, not_served: 1 });
        assert_eq!(end.not_served, BTreeMap::from([("Gadget.demo.example".into(), 1)]));
        let left: Vec<_> = end.refused.iter().map(|listed| (listed.name.as_str(), listed.why.as_str())).collect();
        assert_eq!(left, [("c", "not served"), ("e", "invalid"), ("b", "denied")]);
        let LeftOutObjects { first, listed, lists } = end.left_out_names;
        assert_eq!((end.left_out["skipped"], listed, lists.len()), (3, 3, 2), "the lists of both tries are kept");
        assert_eq!(first["skipped"], ["Report n/b", "Report n/d", "Report n/x"]);
    }
}
