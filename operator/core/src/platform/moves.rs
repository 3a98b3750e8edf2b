//! How names differ between two sites: what the district's Platform declares of each, as mappings for whatever goes from one to the other.

use crate::ids::SiteName;
use p861_crds::{
    platform::platform::PlatformSpec,
    protection::restore::{Mapping, RestoreTarget},
};
use std::{cmp::Reverse, collections::BTreeSet};

/// Names of one site that are others on another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteMove {
    /// Storage classes.
    pub storage_classes: Vec<Mapping>,
    /// Beginnings of image names. The longest comes first, since the first that fits holds.
    pub images: Vec<Mapping>,
}

/// What changes between two sites. Nothing does on one site, or if either is not known; what the Platform declares for one of them alone keeps its name.
///
/// An image under the name of its registry stays as it is: every site pulls it from its own mirror. One under the name of a mirror is pulled from the mirror of the
/// other site, or from the registry itself where that has none.
pub fn between(platform: Option<&PlatformSpec>, from: Option<&SiteName>, to: &SiteName) -> SiteMove {
    let mut found = SiteMove::default();
    let (Some(platform), Some(from)) = (platform, from.filter(|from| *from != to)) else { return found };
    let mut seen = BTreeSet::new();
    for class in &platform.storage.classes {
        let at = |site: &SiteName| class.sites.iter().find(|at| at.site_ref.name == site.as_str()).map(|at| at.storage_class_name.as_str());
        if let (Some(here), Some(there)) = (at(from), at(to))
            && seen.insert(here)
        {
            note(&mut found.storage_classes, here, there);
        }
    }
    let mut seen = BTreeSet::new();
    for registry in &platform.base_software.registries {
        let at = |site: &SiteName| registry.mirrors.iter().find(|at| at.site_ref.name == site.as_str()).map(|at| at.endpoint.trim_end_matches('/'));
        if let Some(here) = at(from)
            && seen.insert(here)
        {
            note(&mut found.images, here, at(to).unwrap_or(&registry.name));
        }
    }
    found.images.sort_by_key(|mapping| Reverse(mapping.from.len()));
    found
}

fn note(mappings: &mut Vec<Mapping>, from: &str, to: &str) {
    if from != to {
        mappings.push(Mapping { from: from.to_owned(), to: to.to_owned() });
    }
}

impl SiteMove {
    /// The same, but what a Restore says itself holds first.
    #[must_use]
    pub fn but(self, target: &RestoreTarget) -> Self {
        let both = |own: &[Mapping], declared: Vec<Mapping>| own.iter().cloned().chain(declared).collect();
        Self { storage_classes: both(&target.storage_class_mappings, self.storage_classes), images: both(&target.image_mappings, self.images) }
    }

    /// The class that a claim of this class gets.
    pub fn class<'a>(&'a self, class: &'a str) -> &'a str {
        self.storage_classes.iter().find(|mapping| mapping.from == class).map_or(class, |mapping| mapping.to.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn platform() -> PlatformSpec {
        let class = |name: &str, sites: &[(&str, &str)]| {
            let sites: Vec<_> = sites.iter().map(|(site, class)| json!({"siteRef": {"name": site}, "storageClassName": class})).collect();
            json!({"name": name, "sites": sites})
        };
        let registry = |name: &str, mirrors: &[(&str, &str)]| {
            let mirrors: Vec<_> = mirrors.iter().map(|(site, endpoint)| json!({"siteRef": {"name": site}, "endpoint": endpoint})).collect();
            json!({"name": name, "mirrors": mirrors})
        };
        serde_json::from_value(json!({
            "storage": {"classes": [
                class("block", &[("west", "ceph-rbd"), ("east", "topolvm")]), class("again", &[("west", "ceph-rbd"), ("east", "other")]),
                class("same", &[("west", "local"), ("east", "local")]), class("here", &[("west", "tape")]), class("there", &[("east", "nfs")])
            ]},
            "baseSoftware": {"registries": [
                registry("registry.city", &[("west", "registry.west/"), ("east", "registry.east")]), registry("team.city", &[("west", "registry.west/team")])
            ]}
        }))
        .expect("a Platform")
    }

    fn pairs(mappings: &[Mapping]) -> Vec<(&str, &str)> {
        mappings.iter().map(|mapping| (mapping.from.as_str(), mapping.to.as_str())).collect()
    }

    #[test]
    fn fault_f9_names_of_a_pair_of_sites_are_mapped_as_the_platform_declares_them() {
        let (platform, west, east) = (platform(), SiteName::from("west"), SiteName::from("east"));
        let there = between(Some(&platform), Some(&west), &east);
        assert_eq!(pairs(&there.storage_classes), [("ceph-rbd", "topolvm")], "the first declared holds; what one site lacks keeps its name");
        assert_eq!(pairs(&there.images), [("registry.west/team", "team.city"), ("registry.west", "registry.east")]);
        let back = between(Some(&platform), Some(&east), &west);
        assert_eq!(pairs(&back.storage_classes), [("topolvm", "ceph-rbd"), ("other", "ceph-rbd")]);
        assert_eq!(pairs(&back.images), [("registry.east", "registry.west")]);
        assert_eq!(["ceph-rbd", "local", "tape", "unknown"].map(|class| there.class(class)), ["topolvm", "local", "tape", "unknown"]);
        for (platform, from, to) in [(Some(&platform), Some(&west), &west), (Some(&platform), None, &east), (None, Some(&west), &east)] {
            assert_eq!(between(platform, from, to), SiteMove::default(), "{from:?} {to}");
        }
    }

    #[test]
    fn fault_f9_what_a_restore_says_itself_holds_before_the_platform() {
        let target: RestoreTarget = serde_json::from_value(json!({"storageClassMappings": [{"from": "ceph-rbd", "to": "mine"}]})).expect("a target");
        let both = between(Some(&platform()), Some(&"west".into()), &"east".into()).but(&target);
        assert_eq!(both.class("ceph-rbd"), "mine");
        assert_eq!(both.images.len(), 2);
    }
}
