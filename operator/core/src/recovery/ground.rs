//! What a recovery finds on its site: names that are others there, and the storage classes that its claims need.

use crate::{
    ids::SiteName,
    platform::moves::{self, SiteMove},
    protection::choose::RecoveryPoint,
    runs::PreflightSubject,
};
use p861_crds::platform::platform::PlatformSpec;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the sites between which a recovery moves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ground {
    /// The district's Platform, if it has one.
    pub platform: Option<PlatformSpec>,
    /// The storage classes of each application's claims where its backup was made, or why they are not known.
    pub classes: BTreeMap<String, Result<BTreeSet<String>, String>>,
}

impl Ground {
    /// How names differ between the site of a backup and the one that it is recovered on.
    pub fn from_backup(&self, point: &RecoveryPoint, site: &SiteName) -> SiteMove {
        moves::between(self.platform.as_ref(), point.site.as_ref(), site)
    }

    /// The storage classes of an application's claims, each with the one that they get; or why they are not known.
    pub fn classes_of(&self, application: &str, moved: &SiteMove) -> (BTreeMap<String, String>, Option<String>) {
        match self.classes.get(application) {
            Some(Ok(classes)) => (classes.iter().map(|class| (class.clone(), moved.class(class).to_owned())).collect(), None),
            Some(Err(why)) => (BTreeMap::new(), Some(why.clone())),
            None => (BTreeMap::new(), None),
        }
    }
}

/// Judges the storage classes of a site by what the claims of a recovery need: the problem, if there is one, and what was seen.
pub fn judge_classes(site: &SiteName, there: &[String], subjects: &[PreflightSubject]) -> (Option<String>, String) {
    if there.is_empty() {
        return (Some(format!("{site} has no storage class: claims would wait for ever")), String::new());
    }
    let (mut missing, mut seen) = (Vec::new(), vec![there.join(", ")]);
    for subject in subjects {
        let application = &subject.application;
        if let Some(why) = &subject.classes_unknown {
            seen.push(format!("{application}: the classes of its claims are not known ({why})"));
        }
        for (from, to) in &subject.classes {
            if from != to {
                seen.push(format!("{application}: {from} → {to}"));
            }
            if there.contains(to) {
                continue;
            }
            let why =
                if from == to { "the Platform names no other for it (spec.storage.classes)" } else { "which the Platform names for it (spec.storage.classes)" };
            missing.push(format!("claims of {application} have class {from}; {site} has no {to}, {why}"));
        }
    }
    ((!missing.is_empty()).then(|| missing.join("; ")), seen.join("; "))
}

/// Says which images come from another registry than in the backups; none if all stay as they are.
pub fn told_images(subjects: &[PreflightSubject]) -> Option<String> {
    let pairs: BTreeSet<String> = subjects.iter().flat_map(|subject| &subject.images).map(|mapping| format!("{} → {}", mapping.from, mapping.to)).collect();
    (!pairs.is_empty()).then(|| pairs.into_iter().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn subject(application: &str, classes: &[(&str, &str)], unknown: Option<&str>) -> PreflightSubject {
        let classes: BTreeMap<&str, &str> = classes.iter().copied().collect();
        serde_json::from_value(json!({"application": application, "backup": "b", "repository": "r", "snapshot": "s", "time": "2026-01-01T00:00:00Z",
            "classes": classes, "classesUnknown": unknown}))
        .expect("a subject")
    }

    #[test]
    fn fault_f9_a_storage_class_that_the_site_lacks_is_said_before_anything_is_made() {
        let there = ["topolvm".to_owned(), "local".to_owned()];
        for (case, subject, problem, seen) in [
            ("mapped", subject("a", &[("ceph-rbd", "topolvm")], None), None, "topolvm, local; a: ceph-rbd → topolvm"),
            ("the same", subject("a", &[("local", "local")], None), None, "topolvm, local"),
            ("not mapped", subject("a", &[("ceph-rbd", "ceph-rbd")], None), Some("has no ceph-rbd, the Platform names no other"), "topolvm, local"),
            (
                "mapped to what isn't there",
                subject("a", &[("ceph-rbd", "gone")], None),
                Some("has no gone, which the Platform names"),
                "topolvm, local; a: ceph-rbd → gone",
            ),
            ("not known", subject("a", &[], Some("no answer")), None, "topolvm, local; a: the classes of its claims are not known (no answer)"),
        ] {
            let (found, told) = judge_classes(&"east".into(), &there, &[subject]);
            assert_eq!(told, seen, "{case}");
            match problem {
                Some(problem) => assert!(found.as_ref().is_some_and(|found| found.contains(problem)), "{case}: {found:?}"),
                None => assert_eq!(found, None, "{case}"),
            }
        }
        assert!(judge_classes(&"east".into(), &[], &[]).0.is_some());
    }
}
