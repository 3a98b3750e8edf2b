//! Which kinds of an API server are saved, and in which version each is read.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// A version of an API group, as discovery lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedVersion {
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The server behind it didn't answer when the API server last asked it what it serves.
    pub is_stale: bool,
    /// Discovery names at least one resource of it, of whatever scope.
    pub is_known: bool,
    /// Its namespaced kinds that can be listed.
    pub kinds: Vec<ServedKind>,
}

/// A kind, as one version serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    /// Its name.
    pub kind: String,
    /// Its name in addresses.
    pub plural: String,
    /// It has a status subresource: whoever writes an object can't write its status with it.
    pub has_status: bool,
}

/// Whose the status of an object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusOwner {
    /// A controller's, which finds out again how things are. It is no part of the data.
    #[default]
    Controller,
    /// Whoever writes the object: a custom resource without a status subresource. It is data like any other field.
    Writer,
}

impl StatusOwner {
    /// Of a kind of that group. Kinds of Kubernetes itself have no status but by their controllers.
    pub fn of(group: &str, has_status_subresource: bool) -> Self {
        let of_kubernetes = !group.contains('.') || group.ends_with(".k8s.io");
        if has_status_subresource || of_kubernetes { Self::Controller } else { Self::Writer }
    }
}

/// A kind in the version in which it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenKind {
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// Its name.
    pub kind: String,
    /// Its name in addresses.
    pub plural: String,
    /// Whose the status of its objects is.
    pub status: StatusOwner,
}

/// What is read of an API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenKinds {
    /// Each kind once, in order of group and plural.
    pub kinds: Vec<ChosenKind>,
    /// Kinds that no answering server serves, as people call them: `every Metric of example.com/v1`, or `every kind of example.com/v1` if none is known.
    pub unanswered: Vec<String>,
}

/// Chooses one version for each kind: the one that its group prefers if that serves it, otherwise the most stable and newest that does. A version whose server
/// doesn't answer is taken for no kind. The versions of a group come in the order in which discovery has them, the preferred one first.
pub fn choose_kinds(versions: &[ServedVersion]) -> ChosenKinds {
    let mut preferred: BTreeMap<&str, &str> = BTreeMap::new();
    for version in versions {
        preferred.entry(&version.group).or_insert(&version.version);
    }
    let mut chosen: BTreeMap<(&str, &str), (&ServedVersion, &ServedKind)> = BTreeMap::new();
    for version in versions.iter().filter(|version| !version.is_stale) {
        for kind in &version.kinds {
            let place = chosen.entry((&version.group, &kind.plural)).or_insert((version, kind));
            if rank(&preferred, version) > rank(&preferred, place.0) {
                *place = (version, kind);
            }
        }
    }
    let mut unanswered = BTreeSet::new();
    for version in versions.iter().filter(|version| version.is_stale) {
        let of = if version.group.is_empty() { version.version.clone() } else { format!("{}/{}", version.group, version.version) };
        if !version.is_known {
            unanswered.insert(format!("every kind of {of}"));
        }
        let lost = version.kinds.iter().filter(|kind| !chosen.contains_key(&(version.group.as_str(), kind.plural.as_str())));
        unanswered.extend(lost.map(|kind| format!("every {} of {of}", kind.kind)));
    }
    let kinds = chosen.into_values().map(|(version, kind)| ChosenKind {
        group: version.group.clone(),
        version: version.version.clone(),
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
        status: StatusOwner::of(&version.group, kind.has_status),
    });
    ChosenKinds { kinds: kinds.collect(), unanswered: unanswered.into_iter().collect() }
}

/// Rank of a version in its group; the greatest is taken.
fn rank<'a>(preferred: &BTreeMap<&str, &str>, version: &'a ServedVersion) -> (bool, Priority<'a>) {
    (preferred.get(version.group.as_str()) == Some(&version.version.as_str()), priority(&version.version))
}

/// Stability, major and minor number, and the name.
type Priority<'a> = (u8, u32, u32, Reverse<&'a str>);

/// Priority of a version; the greater comes first: general availability, beta, alpha, each by its numbers, then names of another form in alphabetical order.
/// Source: Kubernetes, "Versions in CustomResourceDefinitions", version priority.
fn priority(version: &str) -> Priority<'_> {
    let of_another_form = (0, 0, 0, Reverse(version));
    let Some(rest) = version.strip_prefix('v') else { return of_another_form };
    let (major, suffix) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let Ok(major) = major.parse() else { return of_another_form };
    let level = |level: u8, minor: &str| minor.parse().map_or(of_another_form, |minor| (level, major, minor, Reverse(version)));
    match (suffix, suffix.strip_prefix("beta"), suffix.strip_prefix("alpha")) {
        ("", ..) => (3, major, 0, Reverse(version)),
        (_, Some(minor), _) => level(2, minor),
        (_, _, Some(minor)) => level(1, minor),
        _ => of_another_form,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Reads `group/version: Kind, Kind`; a version with `?` doesn't answer, and one without a colon has unknown kinds.
    fn served(lines: &[&str]) -> Vec<ServedVersion> {
        let read = |line: &&str| {
            let (of, kinds) = line.split_once(':').map_or((*line, None), |(of, kinds)| (of, Some(kinds)));
            let (group, version) = of.split_once('/').expect("group/version");
            let kinds = kinds.map(|kinds| kinds.split(',').map(str::trim).filter(|kind| !kind.is_empty()));
            let kind = |kind: &str| ServedKind { kind: kind.into(), plural: format!("{}s", kind.to_lowercase()), has_status: false };
            ServedVersion {
                group: group.into(),
                version: version.trim_end_matches('?').into(),
                is_stale: version.ends_with('?'),
                is_known: kinds.is_some(),
                kinds: kinds.into_iter().flatten().map(kind).collect(),
            }
        };
        lines.iter().map(read).collect()
    }

    #[test]
    fn fault_b1_each_kind_is_read_once_in_its_best_version_whatever_its_group_prefers() {
        for (lines, kinds, unanswered) in [
            // Gadget is served only in a version that its group doesn't prefer.
            (&["demo/v1: Widget", "demo/v1alpha1: Gadget, Widget"][..], &["demo/v1 Widget", "demo/v1alpha1 Gadget"][..], &[][..]),
            // The version that the group prefers is taken even if another is more stable.
            (&["demo/v1beta1: Widget", "demo/v1: Widget"], &["demo/v1beta1 Widget"], &[]),
            // Beside it, the most stable and newest, in whatever order they come.
            (
                &["demo/v9: Other", "demo/v1beta2: A, B", "demo/v1alpha9: A, B", "demo/v1: A", "demo/v2: A", "demo/v10beta1: B", "demo/nightly: A, B, C"],
                &["demo/v2 A", "demo/v10beta1 B", "demo/nightly C", "demo/v9 Other"],
                &[],
            ),
            // Equal names of different groups are different kinds.
            (&["/v1: Event, Pod", "events/v1: Event"], &["/v1 Event", "/v1 Pod", "events/v1 Event"], &[]),
            // A server that doesn't answer: what it alone serves is named, and what it never said as well.
            (&["metrics/v1beta1?: PodMetric"], &[], &["every PodMetric of metrics/v1beta1"]),
            (&["metrics/v1beta1?", "/v1: Pod"], &["/v1 Pod"], &["every kind of metrics/v1beta1"]),
            (&["demo/v2?: Widget, Gadget", "demo/v1: Widget"], &["demo/v1 Widget"], &["every Gadget of demo/v2"]),
            // Nothing of it is namespaced, so nothing is left out.
            (&["nodes/v1?:", "/v1: Pod"], &["/v1 Pod"], &[]),
        ] {
            let chosen = choose_kinds(&served(lines));
            let read: BTreeSet<String> = chosen.kinds.iter().map(|kind| format!("{}/{} {}", kind.group, kind.version, kind.kind)).collect();
            assert_eq!(
                (read.iter().map(String::as_str).collect::<BTreeSet<_>>(), chosen.kinds.len(), chosen.unanswered),
                (kinds.iter().copied().collect(), kinds.len(), unanswered.iter().map(ToString::to_string).collect()),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn fault_b10_the_status_of_a_custom_resource_is_data_where_it_is_no_subresource() {
        for (group, has_status, owner) in [
            ("demo.example", false, StatusOwner::Writer),
            ("demo.example", true, StatusOwner::Controller),
            ("", false, StatusOwner::Controller),
            ("apps", true, StatusOwner::Controller),
            ("batch", false, StatusOwner::Controller),
            ("gateway.networking.k8s.io", false, StatusOwner::Controller),
        ] {
            assert_eq!(StatusOwner::of(group, has_status), owner, "{group}, status subresource: {has_status}");
        }
        let kind = |has_status: bool| vec![ServedKind { kind: "Gadget".into(), plural: "gadgets".into(), has_status }];
        let version = |name: &str, has_status: bool| ServedVersion {
            group: "demo.example".into(),
            version: name.into(),
            is_known: true,
            kinds: kind(has_status),
            ..ServedVersion::default()
        };
        let chosen = choose_kinds(&[version("v1", false), version("v1beta1", true)]);
        assert_eq!(chosen.kinds[0].status, StatusOwner::Writer, "of the version in which it is read");
    }

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        // The example of the documentation.
        let sorted = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"];
        let mut mixed = ["foo10", "v1", "v11alpha2", "v3beta1", "v10beta3", "v2", "foo1", "v12alpha1", "v10", "v11beta2"];
        mixed.sort_by(|a, b| priority(b).cmp(&priority(a)));
        assert_eq!(mixed, sorted);
    }
}
