//! What of a saved Namespace goes to the one that is restored to.
//!
//! What a namespace enforces on its pods is decided here, where it is: a backup lies in a bucket of the district, and whoever writes there could let any pod in. So
//! the level of a backup goes only to a namespace that the run itself has made, and only if it is stricter than what the operator has given that namespace.
//!
//! To a namespace of a drill's copy nothing else goes at all. By its labels and annotations a cluster chooses networks, policies and webhooks for it, and the copy has
//! been proven to be closed before they would come.

use super::{compare::metadata_patch, save::SERVER_ANNOTATIONS, text};
use crate::platform::pod_security::{ENFORCE, ENFORCE_VERSION};
use p861_crds::{
    names::{DRILL_LABEL, GROUP, MADE_BY_ANNOTATION, RUN_LABEL},
    platform::platform::PodSecurity,
};
use serde_json::Value;

/// Labels and annotations that a saved Namespace brings, as merge patches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceChanges {
    /// Those that the live one lacks; none if it lacks none.
    pub missing: Option<Value>,
    /// With those that it has otherwise; none if it has them all.
    pub all: Option<Value>,
    /// The level that the backup's pods were held to is not the one that is enforced here.
    pub keeps_level: bool,
    /// The run itself has made the live one: it was not there before.
    pub made_by_run: bool,
}

/// What a run with this UID may bring from a saved Namespace to a live one. What the cluster allots stays its own, and so do our labels, by which a copy is closed.
pub fn namespace_changes(saved: &Value, live: &Value, run: &str) -> NamespaceChanges {
    let label = |object: &Value, label: &str| text(object, &format!("/metadata/labels/{}", label.replace('/', "~1"))).to_owned();
    let (enforced, wanted) = (label(live, ENFORCE), label(saved, ENFORCE));
    let level = |word: &str| PodSecurity::from_word(word);
    let made_by_run = is_made_by(live, run);
    let tightens = made_by_run && level(&wanted).is_some_and(|wanted| level(&enforced).is_none_or(|enforced| wanted > enforced));
    let is_copy = !label(live, DRILL_LABEL).is_empty();
    let goes = |key: &str| match key.split_once('/').map_or("", |(domain, _)| domain) {
        GROUP => false,
        _ if key == ENFORCE => tightens,
        _ if key == ENFORCE_VERSION => false,
        // They refuse nothing. Those of a Platform stand beside what it enforces.
        "pod-security.kubernetes.io" => enforced.is_empty() || tightens,
        _ if is_copy => false,
        "openshift.io" => !key.starts_with("openshift.io/sa.scc."),
        _ => key != "kubernetes.io/metadata.name" && !SERVER_ANNOTATIONS.contains(&key),
    };
    let mut there = live.clone();
    if let Some(labels) = there.pointer_mut("/metadata/labels").and_then(Value::as_object_mut).filter(|_| tightens) {
        // What the operator gave a namespace to begin with is no difference that anybody made.
        labels.retain(|key, _| !key.starts_with("pod-security.kubernetes.io/"));
    }
    let [missing, all] = [false, true].map(|overwrite| metadata_patch(saved, &there, overwrite, goes));
    NamespaceChanges { missing, all, keeps_level: !wanted.is_empty() && wanted != enforced && !tightens, made_by_run }
}

/// Whether the run has made the namespace: for a restore, or as a copy.
fn is_made_by(live: &Value, run: &str) -> bool {
    let key = |map: &str, key: &str| text(live, &format!("/metadata/{map}/{}", key.replace('/', "~1"))) == run;
    !run.is_empty() && (key("annotations", MADE_BY_ANNOTATION) || key("labels", RUN_LABEL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PSA: &str = "pod-security.kubernetes.io/";

    fn enforcing(level: &str) -> Value {
        if level.is_empty() { json!({"metadata": {"labels": {"team": "a"}}}) } else { json!({"metadata": {"labels": {ENFORCE: level, "team": "a"}}}) }
    }

    /// The same, made by a run.
    fn made(level: &str, as_copy: bool) -> Value {
        let mut namespace = enforcing(level);
        if as_copy {
            namespace["metadata"]["labels"][RUN_LABEL] = json!("run-1");
        } else {
            namespace["metadata"]["annotations"] = json!({MADE_BY_ANNOTATION: "run-1"});
        }
        namespace
    }

    #[test]
    fn fault_e4_a_backup_relaxes_no_namespace_and_tightens_only_one_that_its_own_run_has_made() {
        for (saved, live, level, keeps) in [
            // Made by this run.
            ("restricted", made("baseline", false), Some("restricted"), false),
            ("restricted", made("baseline", true), Some("restricted"), false),
            ("baseline", made("privileged", false), Some("baseline"), false),
            ("privileged", made("baseline", false), None, true),
            ("privileged", made("baseline", true), None, true),
            ("baseline", made("restricted", true), None, true),
            ("baseline", made("baseline", true), None, false),
            ("", made("baseline", true), None, false),
            ("no-such-level", made("privileged", true), None, true),
            // There before.
            ("privileged", enforcing("baseline"), None, true),
            ("restricted", enforcing("baseline"), None, true),
            ("privileged", enforcing(""), None, true),
            ("baseline", enforcing(""), None, true),
            ("", enforcing("restricted"), None, false),
        ] {
            let changes = namespace_changes(&enforcing(saved), &live, "run-1");
            let written = |patch: &Option<Value>| patch.as_ref().and_then(|patch| patch["metadata"]["labels"][ENFORCE].as_str().map(str::to_owned));
            let found = (written(&changes.missing), written(&changes.all), changes.keeps_level);
            assert_eq!(found, (level.map(str::to_owned), level.map(str::to_owned), keeps), "{saved:?} to {live}");
            assert!(namespace_changes(&enforcing(saved), &live, "another").all.is_none(), "{saved:?}: made by another run");
        }
    }

    #[test]
    fn fault_e4_an_older_version_of_a_level_is_laxer_and_never_comes_from_a_backup() {
        let mut saved = enforcing("restricted");
        saved["metadata"]["labels"][ENFORCE_VERSION] = json!("v1.0");
        for live in [made("baseline", false), made("baseline", true), enforcing(""), enforcing("restricted")] {
            let all = namespace_changes(&saved, &live, "run-1").all.unwrap_or_default().to_string();
            assert!(!all.contains("enforce-version"), "{live}: {all}");
        }
    }

    #[test]
    fn fault_b5_a_namespaces_labels_are_merged_but_never_those_of_its_isolation_and_a_copy_takes_none() {
        let saved = json!({"metadata": {"labels": {"kubernetes.io/metadata.name": "n", "platform861.io/drill": "x", ENFORCE: "restricted",
            format!("{PSA}warn"): "restricted", "istio-injection": "enabled", "team": "a"},
            "annotations": {"note": "b", "platform861.io/made-by": "run-1", "openshift.io/sa.scc.uid-range": "1/2", "openshift.io/description": "c"}}});
        let annotations = json!({"note": "b", "openshift.io/description": "c"});
        let empty = namespace_changes(&saved, &json!({"metadata": {}}), "run-1");
        let rest = json!({format!("{PSA}warn"): "restricted", "istio-injection": "enabled", "team": "a"});
        assert_eq!(empty.missing, Some(json!({"metadata": {"labels": rest, "annotations": annotations}})));
        assert!(empty.keeps_level);
        let copy =
            json!({"metadata": {"labels": {"platform861.io/drill": "k7m2q", RUN_LABEL: "run-1", ENFORCE: "baseline", format!("{PSA}warn"): "baseline"}}});
        let level = json!({ENFORCE: "restricted", format!("{PSA}warn"): "restricted"});
        let of_copy = namespace_changes(&saved, &copy, "run-1");
        assert_eq!(
            (of_copy.missing.as_ref(), of_copy.keeps_level),
            (Some(&json!({"metadata": {"labels": level}})), false),
            "a copy takes a stricter level and nothing else"
        );
        assert_eq!(of_copy.missing, of_copy.all, "what the operator wrote first is no conflict");
        let live = json!({"metadata": {"labels": {ENFORCE: "restricted", "istio-injection": "enabled", "team": "b"}, "annotations": {"note": "b", "openshift.io/description": "c"}}});
        let found = namespace_changes(&saved, &live, "run-1");
        assert_eq!((found.missing, found.all), (None, Some(json!({"metadata": {"labels": {"team": "a"}}}))));
    }
}
