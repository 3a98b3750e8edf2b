//! The claims of an application: as they stand on its site, and as a backup has them.

use super::backup::{Claim, is_skipped};
use crate::{ids::SiteName, names};
use p861_crds::{ApplicationSpec, Reason, protection::backup::MissingClaim};
use std::fmt;

/// An application's spec names something that its site doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// A namespace doesn't exist.
    #[error("application {application}: namespace {namespace} doesn't exist on {site}: correct spec.namespaces")]
    NamespaceMissing {
        /// The Application's name.
        application: String,
        /// The namespace.
        namespace: String,
        /// The site that was read.
        site: SiteName,
    },
    /// A volume rule names a claim that doesn't exist.
    #[error("application {application}: claim {claim} doesn't exist in {namespaces} on {site}: correct spec.volumes")]
    ClaimMissing {
        /// The Application's name.
        application: String,
        /// The claim.
        claim: String,
        /// The application's namespaces, separated by commas.
        namespaces: String,
        /// The site that was read.
        site: SiteName,
    },
}

impl ClaimsError {
    /// The reason of the API.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NamespaceMissing { .. } => Reason::NamespaceMissing,
            Self::ClaimMissing { .. } => Reason::ClaimMissing,
        }
    }
}

/// The claims of an application on `site`, in order of namespace and name. `claims_in` lists a namespace's claims; none if the namespace doesn't exist.
///
/// # Errors
/// [`ClaimsError`]. A missing namespace is an error, not an empty backup.
pub fn own_claims(
    site: &SiteName,
    application: &str,
    spec: &ApplicationSpec,
    claims_in: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<Vec<Claim>, ClaimsError> {
    let mut found = Vec::new();
    for namespace in &spec.namespaces {
        let Some(names) = claims_in(namespace) else {
            return Err(ClaimsError::NamespaceMissing { application: application.into(), namespace: namespace.clone(), site: site.clone() });
        };
        found.extend(names.into_iter().map(|name| Claim { namespace: namespace.clone(), name }));
    }
    found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    // A pattern may match nothing today. A name that matches nothing is a mistake, and the claim it meant would be missing from every backup.
    let named = spec.volumes.iter().map(|rule| &rule.claim).filter(|claim| !claim.contains('*'));
    if let Some(missing) = named.into_iter().find(|name| !found.iter().any(|claim| claim.name == **name)) {
        return Err(ClaimsError::ClaimMissing {
            application: application.into(),
            claim: missing.clone(),
            namespaces: spec.namespaces.join(", "),
            site: site.clone(),
        });
    }
    Ok(found)
}

/// The claim behind a part's path in a snapshot; none for a part that is no volume. `first` is the application's first namespace.
pub fn claim_of(part: &str, first: &str) -> Option<Claim> {
    let name = part.strip_prefix("volumes/")?;
    Some(match name.split_once('.') {
        Some((namespace, claim)) if names::volume_part(first, namespace, claim) == part => Claim { namespace: namespace.into(), name: claim.into() },
        _ => Claim { namespace: first.into(), name: name.into() },
    })
}

/// The claims among the parts of a snapshot. `first` is the application's first namespace.
pub fn claims_in(parts: &[String], first: &str) -> Vec<Claim> {
    parts.iter().filter_map(|part| claim_of(part, first)).collect()
}

/// What an application's spec promises and a snapshot has no part for, as people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissingPart {
    /// The objects.
    Objects,
    /// A stream.
    Stream(String),
    /// A claim that a volume rule names.
    Volume(String),
}

impl fmt::Display for MissingPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects => f.write_str("objects"),
            Self::Stream(name) => write!(f, "stream {name}"),
            Self::Volume(claim) => write!(f, "volume {claim}"),
        }
    }
}

/// What the application's spec promises and the snapshot has no part for. A pattern promises nothing, since it may match nothing; nor does a claim that had no files.
pub fn missing_parts(spec: &ApplicationSpec, parts: &[String], unused: &[MissingClaim]) -> Vec<MissingPart> {
    let first = spec.namespaces.first().map(String::as_str).unwrap_or_default();
    let claims = claims_in(parts, first);
    let streams = spec.streams.iter().filter(|stream| !parts.contains(&format!("streams/{}", stream.name)));
    let named = spec.volumes.iter().map(|rule| &rule.claim).filter(|claim| !claim.contains('*') && !is_skipped(spec, claim));
    let had_none = |name: &str| unused.iter().any(|missing| missing.claim.split_once('/').is_some_and(|(_, claim)| claim == name));
    let absent = named.filter(|name| !claims.iter().any(|claim| claim.name == **name) && !had_none(name));
    let objects = (!parts.iter().any(|part| part == "objects")).then_some(MissingPart::Objects);
    let streams = streams.map(|stream| MissingPart::Stream(stream.name.clone()));
    objects.into_iter().chain(streams).chain(absent.map(|claim| MissingPart::Volume(claim.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(namespace: &str, name: &str) -> Claim {
        Claim { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn a_part_of_a_snapshot_names_its_claim() {
        for (part, expected) in [
            ("volumes/files", Some(claim("one", "files"))),
            ("volumes/two.files", Some(claim("two", "files"))),
            ("volumes/data.v2", Some(claim("data", "v2"))),
            ("volumes/one.files", Some(claim("one", "one.files"))),
            ("streams/db", None),
            ("objects", None),
        ] {
            assert_eq!(claim_of(part, "one"), expected, "{part}");
        }
    }

    #[test]
    fn a_snapshot_need_not_have_a_claim_that_had_no_files() {
        let spec: ApplicationSpec =
            serde_json::from_value(serde_json::json!({"department": "d", "namespaces": ["one"], "volumes": [{"claim": "new", "method": "Files"}]}))
                .expect("a spec");
        let unused = MissingClaim { claim: "one/new".into(), reason: "ClaimUnused".into(), message: String::new() };
        let parts = ["objects".to_owned()];
        assert_eq!(missing_parts(&spec, &parts, &[]), [MissingPart::Volume("new".into())]);
        assert_eq!(missing_parts(&spec, &parts, &[unused]), []);
        let other = MissingClaim { claim: "one/other-new".into(), reason: "ClaimUnused".into(), message: String::new() };
        assert_eq!(missing_parts(&spec, &parts, &[other]), [MissingPart::Volume("new".into())]);
    }

    #[test]
    fn the_claims_of_every_namespace_are_found_and_what_is_missing_is_named() {
        let spec = |volumes: serde_json::Value| -> ApplicationSpec {
            serde_json::from_value(serde_json::json!({"department": "d", "namespaces": ["two", "one"], "volumes": volumes})).expect("a spec")
        };
        let there = |namespace: &str| match namespace {
            "one" => Some(vec!["z".to_owned(), "a".to_owned()]),
            "two" => Some(vec!["files".to_owned()]),
            _ => None,
        };
        let rule = |claim: &str| serde_json::json!([{"claim": claim, "method": "Skip"}]);
        let all = vec![claim("one", "a"), claim("one", "z"), claim("two", "files")];
        for (volumes, expected) in [
            (serde_json::json!([]), Ok(all.clone())),
            (rule("files"), Ok(all.clone())),
            (rule("nothing-*"), Ok(all)),
            (rule("fiels"), Err("application portal: claim fiels doesn't exist in two, one on home: correct spec.volumes".to_owned())),
        ] {
            let found = own_claims(&"home".into(), "portal", &spec(volumes.clone()), there).map_err(|error| error.to_string());
            assert_eq!(found, expected, "{volumes}");
        }
        let gone = own_claims(&"home".into(), "portal", &spec(serde_json::json!([])), |name| there(name).filter(|_| name != "one"));
        let gone = gone.expect_err("a namespace is missing");
        assert_eq!(gone.reason(), "NamespaceMissing");
        assert_eq!(gone.to_string(), "application portal: namespace one doesn't exist on home: correct spec.namespaces");
    }
}
