//! Two districts that were allotted one namespace of a site. It is the older's: the younger is told, and nothing is done for it, since whatever it did there would be done to
//! another district.

use super::age::age;
use crate::runs::Allotment;
use p861_crds::District;

/// What of a district's site namespaces is an older district's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "namespaces {what} on site {site} are district {older}'s as well, which is older: change spec.siteNamespaces of one of the two. Nothing is done for district {younger} until then"
)]
pub struct Overlap {
    /// The district that is told.
    pub younger: String,
    /// The district that has them.
    pub older: String,
    /// A site of both.
    pub site: String,
    /// The namespace, or the begin of its name.
    pub what: String,
}

/// Whether an older one of `all` districts was allotted something of what this one was, on a site of both. By name, where both are of one age.
pub fn overlap<'a>(district: &District, all: impl IntoIterator<Item = &'a District>) -> Option<Overlap> {
    let name = |district: &District| district.metadata.name.clone().unwrap_or_default();
    let (own, own_age) = (Allotment::of(district), age(&district.metadata));
    all.into_iter().filter(|other| age(&other.metadata) < own_age).find_map(|older| {
        let is_shared = |site: &&str| older.spec.sites.iter().any(|theirs| theirs.site_ref.name == **site);
        let site = district.spec.sites.iter().map(|site| site.site_ref.name.as_str()).find(is_shared)?;
        let what = own.common(&Allotment::of(older))?;
        Some(Overlap { younger: name(district), older: name(older), site: site.to_owned(), what })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn district(name: &str, year: u16, sites: &[&str], namespaces: &Value) -> District {
        let sites: Vec<Value> = sites.iter().map(|site| json!({"siteRef": {"name": site}, "role": "Primary"})).collect();
        let mut spec = json!({"code": "370202", "names": {"en": name}, "sites": sites});
        if !namespaces.is_null() {
            spec["siteNamespaces"] = namespaces.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": name, "creationTimestamp": format!("{year}-01-01T00:00:00Z")}, "spec": spec})).expect("a district")
    }

    #[test]
    fn fault_e49_no_namespace_is_two_districts() {
        for (case, older, younger, expected) in [
            ("by their names", json!(null), json!(null), None),
            ("a longer prefix", json!(null), json!({"prefixes": ["shinan-p"]}), Some("shinan-p…")),
            ("a shorter prefix", json!({"prefixes": ["gov-web"]}), json!({"prefixes": ["gov-"]}), Some("gov-web…")),
            ("a name within a prefix", json!(null), json!({"names": ["shinan-portal"]}), Some("shinan-portal")),
            ("a prefix over a name", json!({"names": ["portal"]}), json!({"prefixes": ["por"]}), Some("portal")),
            ("one name", json!({"names": ["portal"]}), json!({"names": ["portal"]}), Some("portal")),
            ("other names", json!({"names": ["portal"]}), json!({"names": ["portal2"]}), None),
        ] {
            let (older, younger) = (district("shinan", 2025, &["a", "b"], &older), district("licang", 2026, &["c", "b"], &younger));
            let found = overlap(&younger, [&older, &younger]);
            assert_eq!(
                found.as_ref().map(|found| (found.what.as_str(), found.site.as_str(), found.older.as_str())),
                expected.map(|what| (what, "b", "shinan")),
                "{case}"
            );
            assert_eq!(overlap(&older, [&older, &younger]), None, "{case}: the older one has them");
            let elsewhere = district("licang", 2026, &["c"], &json!({"prefixes": ["shinan-"]}));
            assert_eq!(overlap(&elsewhere, [&older]), None, "{case}: on other sites they are other namespaces");
        }
    }
}
