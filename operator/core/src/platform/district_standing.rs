//! Whether a district stands as it is declared.

use crate::{conditions::ConditionUpdate, platform::overlap::Overlap, told::Noun};
use p861_crds::{ConditionType, District, Reason, platform::district::SiteRole};
use std::collections::{BTreeMap, BTreeSet};

/// The profile that a district names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileSeen {
    /// It can be read.
    Readable,
    /// This version can't read it.
    Unreadable,
    /// It doesn't exist.
    Missing,
}

/// What a district is declared beside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DistrictFacts {
    /// The district whose label its hub namespace has; none if it has no label, or doesn't exist yet.
    pub namespace_owner: Option<String>,
    /// An older district with the same code.
    pub code_owner: Option<String>,
    /// What of its site namespaces is an older district's.
    pub overlap: Option<Overlap>,
    /// The profile that it names; none if it names none.
    pub profile: Option<ProfileSeen>,
    /// Failure domain of every site, by name.
    pub failure_domains: BTreeMap<String, String>,
}

/// Whether nothing may be done for the district: its hub namespace belongs to another, or what it was allotted does.
pub fn is_kept_away(district: &District, facts: &DistrictFacts) -> bool {
    is_namespace_foreign(district, facts) || facts.overlap.is_some()
}

/// Whether the hub namespace belongs to another district.
fn is_namespace_foreign(district: &District, facts: &DistrictFacts) -> bool {
    facts.namespace_owner.is_some() && facts.namespace_owner != district.metadata.name
}

/// Ready: the first thing that is not as declared.
pub fn ready(district: &District, facts: &DistrictFacts) -> ConditionUpdate {
    if is_namespace_foreign(district, facts) {
        let namespace = district.hub_namespace();
        return ConditionUpdate::bad(
            ConditionType::Ready,
            Reason::NamespaceNotOurs,
            format!("namespace {namespace} belongs to another district: set spec.namespace"),
        );
    }
    if let Some(overlap) = &facts.overlap {
        return ConditionUpdate::bad(ConditionType::Ready, Reason::NamespacesOverlap, overlap.to_string());
    }
    // Reports could not distinguish the two.
    if let Some(older) = &facts.code_owner {
        let code = &district.spec.code;
        let message = format!("code {code} is district {older}'s: a code can't be changed, so delete this District and declare it with its own");
        return ConditionUpdate::bad(ConditionType::Ready, Reason::CodeTaken, message);
    }
    profile_missing(district, facts).unwrap_or_else(|| sites(district, facts))
}

/// A district can't be assessed against a profile that is missing or invalid.
fn profile_missing(district: &District, facts: &DistrictFacts) -> Option<ConditionUpdate> {
    let name = district.spec.profile_ref.as_ref().map(|reference| reference.name.as_str()).unwrap_or_default();
    let message = match facts.profile? {
        ProfileSeen::Readable => return None,
        ProfileSeen::Unreadable => format!("profile {name} can't be read by this version: kubectl describe pprofile {name}"),
        ProfileSeen::Missing => format!("profile {name} doesn't exist: kubectl get pprofile"),
    };
    Some(ConditionUpdate::bad(ConditionType::Ready, Reason::ProfileMissing, message))
}

/// Whether its sites exist and have different failure domains.
fn sites(district: &District, facts: &DistrictFacts) -> ConditionUpdate {
    let sites = &district.spec.sites;
    if let Some(missing) = sites.iter().find(|site| !facts.failure_domains.contains_key(&site.site_ref.name)) {
        return ConditionUpdate::bad(ConditionType::Ready, Reason::SiteMissing, format!("site {} doesn't exist: kubectl get sites", missing.site_ref.name));
    }
    let domains = |role: SiteRole| -> BTreeSet<&String> {
        sites.iter().filter(|site| site.role == role).filter_map(|site| facts.failure_domains.get(&site.site_ref.name)).collect()
    };
    if let Some(shared) = domains(SiteRole::Primary).intersection(&domains(SiteRole::Standby)).next() {
        return ConditionUpdate::bad(
            ConditionType::Ready,
            Reason::SharedFailureDomain,
            format!("primary and standby are both in failure domain {shared}: one disaster would take both"),
        );
    }
    ConditionUpdate::good(ConditionType::Ready, Reason::AsDeclared, format!("namespace, roles and {} are in place", Noun::Site.count(sites.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn district() -> District {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"}, "spec": {
            "code": "370202", "names": {"zh": "市南区", "en": "Shinan"}, "timeZone": "Asia/Shanghai", "profileRef": {"name": "861-2008"},
            "sites": [{"siteRef": {"name": "a"}, "role": "Primary"}, {"siteRef": {"name": "b"}, "role": "Standby"}]}}))
        .expect("a district")
    }

    #[test]
    fn a_district_is_ready_if_namespace_code_profile_and_sites_are_its_own_and_there() {
        let domains = |pairs: &[(&str, &str)]| pairs.iter().map(|(site, domain)| ((*site).to_owned(), (*domain).to_owned())).collect();
        let sound = DistrictFacts {
            namespace_owner: Some("shinan".into()),
            code_owner: None,
            overlap: None,
            profile: Some(ProfileSeen::Readable),
            failure_domains: domains(&[("a", "hill"), ("b", "harbour")]),
        };
        let shared = Overlap { younger: "shinan".into(), older: "shibei".into(), site: "a".into(), what: "shi…".into() };
        for (case, facts, expected) in [
            ("as declared", sound.clone(), "AsDeclared"),
            ("no namespace yet", DistrictFacts { namespace_owner: None, ..sound.clone() }, "AsDeclared"),
            ("no profile named", DistrictFacts { profile: None, ..sound.clone() }, "AsDeclared"),
            ("another's namespace", DistrictFacts { namespace_owner: Some("shibei".into()), ..sound.clone() }, "NamespaceNotOurs"),
            ("another's site namespaces", DistrictFacts { overlap: Some(shared), ..sound.clone() }, "NamespacesOverlap"),
            ("another's code", DistrictFacts { code_owner: Some("shibei".into()), profile: Some(ProfileSeen::Missing), ..sound.clone() }, "CodeTaken"),
            ("no profile", DistrictFacts { profile: Some(ProfileSeen::Missing), ..sound.clone() }, "ProfileMissing"),
            ("a newer profile", DistrictFacts { profile: Some(ProfileSeen::Unreadable), ..sound.clone() }, "ProfileMissing"),
            ("no standby", DistrictFacts { failure_domains: domains(&[("a", "hill")]), ..sound.clone() }, "SiteMissing"),
            ("one hill", DistrictFacts { failure_domains: domains(&[("a", "hill"), ("b", "hill")]), ..sound.clone() }, "SharedFailureDomain"),
        ] {
            let update = ready(&district(), &facts);
            assert_eq!((update.reason.as_str(), update.holds()), (expected, expected == "AsDeclared"), "{case}");
            assert_eq!(is_kept_away(&district(), &facts), ["NamespaceNotOurs", "NamespacesOverlap"].contains(&expected), "{case}");
        }
    }
}
