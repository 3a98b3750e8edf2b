//! The Pod Security level of a district's namespaces.
//!
//! The District says how lax a namespace may be, since only the city writes it; the Platform, which is the district's own word, can only be stricter. A namespace
//! that the product makes enforces that level from the moment it is there.

use p861_crds::{
    PlatformSpec,
    platform::{district::DistrictLimits, platform::PodSecurity},
};
use std::collections::BTreeMap;

/// Label: the level that the API server enforces on pods of the namespace.
pub const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// Label: the version of the level that it enforces.
pub const ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";
const WARN: &str = "pod-security.kubernetes.io/warn";
const AUDIT: &str = "pod-security.kubernetes.io/audit";

/// The level that pods of the district's namespaces must meet.
pub fn level(limits: &DistrictLimits, platform: Option<&PlatformSpec>) -> PodSecurity {
    platform.map_or(limits.pod_security, |platform| platform.security.pod_security.max(limits.pod_security))
}

/// Labels of a namespace of the district that has a Platform.
///
/// Movers read volumes as root, which Restricted forbids: they would be refused wherever data is saved. So the namespace enforces Baseline, warns of what
/// Restricted refuses, and a policy of the Platform (see [`admission`](super::desired::admission)) refuses it for every pod but a mover's.
pub fn labels_beside_policy(level: PodSecurity) -> BTreeMap<&'static str, &'static str> {
    labels(level.min(PodSecurity::Baseline), level)
}

/// Labels of a namespace that the product makes for the district: for a restore, a drill's copy, or a component.
///
/// Without a Platform no policy refuses what Restricted does, so the API server must, movers that mount a claim included.
pub fn labels_of_new(limits: &DistrictLimits, platform: Option<&PlatformSpec>) -> BTreeMap<&'static str, &'static str> {
    let level = level(limits, platform);
    if platform.is_some() { labels_beside_policy(level) } else { labels(level, level) }
}

fn labels(enforced: PodSecurity, level: PodSecurity) -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([(ENFORCE, enforced.word()), (WARN, level.word()), (AUDIT, level.word())])
}

#[cfg(test)]
mod tests {
    use super::*;

    use PodSecurity::{Baseline, Privileged, Restricted};

    fn platform(level: PodSecurity) -> PlatformSpec {
        let mut spec = PlatformSpec::default();
        spec.security.pod_security = level;
        spec
    }

    #[test]
    fn fault_e4_a_new_namespace_is_as_strict_as_its_district_and_its_platform_ask_whichever_is_stricter() {
        for (limit, declared, enforced, warned) in [
            (Baseline, None, "baseline", "baseline"),
            (Privileged, None, "privileged", "privileged"),
            // No policy stands beside it.
            (Restricted, None, "restricted", "restricted"),
            (Baseline, Some(Privileged), "baseline", "baseline"),
            (Baseline, Some(Baseline), "baseline", "baseline"),
            (Baseline, Some(Restricted), "baseline", "restricted"),
            (Privileged, Some(Privileged), "privileged", "privileged"),
            (Privileged, Some(Baseline), "baseline", "baseline"),
            (Restricted, Some(Baseline), "baseline", "restricted"),
        ] {
            let limits = DistrictLimits { pod_security: limit, ..DistrictLimits::default() };
            let labels = labels_of_new(&limits, declared.map(platform).as_ref());
            assert_eq!((labels[ENFORCE], labels[WARN], labels[AUDIT]), (enforced, warned, warned), "{limit:?} {declared:?}");
        }
        assert_eq!(DistrictLimits::default().pod_security, Baseline, "a District that says nothing lets no namespace be privileged");
    }
}
