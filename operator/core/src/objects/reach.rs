//! What a restore into place does not bring, because it would reach beyond the application.
//!
//! A backup is the district's word: whoever can write into its bucket, or declare a repository of his own, chooses what is in it. And a mover may write more than he
//! may. So a restore gives nobody rights that he does not have already, replaces nothing that the platform keeps, and gives no orders to a controller that would carry
//! them out with rights of its own. What an isolated copy takes is decided by `copy`.

use super::{group, kind, name, save::is_ours, text};
use p861_crds::names::GROUP;
use serde_json::{Value, json};

/// How objects of the platform's own are called.
const OWN_NAME: &str = "p861-";
/// Kinds by which the platform limits and closes a district's namespaces, gives rights in them, and keeps what its movers use.
const KEPT_KINDS: &[(&str, &str)] = &[
    ("", "LimitRange"),
    ("", "ResourceQuota"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
];
/// Kinds of Flux that are carried out as the account in `spec.serviceAccountName`; without one, with Flux's own rights over the whole cluster.
const OF_FLUX: &[(&str, &str)] = &[("kustomize.toolkit.fluxcd.io", "Kustomization"), ("helm.toolkit.fluxcd.io", "HelmRelease")];

/// Why an object is not restored; none if it may be.
pub fn beyond(object: &Value) -> Option<&'static str> {
    let of = (group(object), kind(object));
    if group(object) == GROUP {
        return Some("the kinds of platform861.io are declared on the hub, in a district's namespace there: apply it by hand");
    }
    if is_ours(object) || (KEPT_KINDS.contains(&of) && name(object).starts_with(OWN_NAME)) {
        return Some("it is the platform's own, which keeps it itself");
    }
    let has_no_account = || text(object, "/spec/serviceAccountName").is_empty();
    (OF_FLUX.contains(&of) && has_no_account())
        .then_some("without spec.serviceAccountName its controller would carry it out with rights over the whole cluster: apply it by hand")
}

/// What of a RoleBinding a restore may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// All of it.
    Whole,
    /// Fewer subjects.
    Fewer(Value),
    /// Nothing: no subject is left.
    Nothing,
}

/// What of a RoleBinding may be written: subjects that are accounts of namespaces that are restored, and those to whom the live one gives the same role.
pub fn rights(binding: &Value, live: Option<&Value>, is_restored: impl Fn(&str) -> bool) -> Rights {
    let all = binding.get("subjects").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let there: &[Value] = match live.filter(|live| live.get("roleRef") == binding.get("roleRef")) {
        Some(live) => live.get("subjects").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default(),
        None => &[],
    };
    let may = |subject: &&Value| is_account_of(subject, &is_restored) || there.contains(subject);
    let kept: Vec<&Value> = all.iter().filter(may).collect();
    if kept.len() == all.len() {
        return Rights::Whole;
    }
    if kept.is_empty() {
        return Rights::Nothing;
    }
    let mut fewer = binding.clone();
    fewer["subjects"] = json!(kept);
    Rights::Fewer(fewer)
}

/// Whether a Role as it was saved would give rights to somebody other than accounts of namespaces that are restored: by its rules, where `bindings` of its namespace
/// already name it. One whose rules are those of the live one gives nothing new.
pub fn gives_more(role: &Value, live: Option<&Value>, bindings: &[Value], is_restored: impl Fn(&str) -> bool) -> bool {
    let rules = |role: &Value| role.get("rules").cloned().unwrap_or_default();
    if live.is_some_and(|live| rules(live) == rules(role)) {
        return false;
    }
    let names_it = |binding: &&Value| text(binding, "/roleRef/kind") == "Role" && text(binding, "/roleRef/name") == name(role);
    let subjects = bindings.iter().filter(names_it).filter_map(|binding| binding.get("subjects").and_then(Value::as_array)).flatten();
    subjects.into_iter().any(|subject| !is_account_of(subject, &is_restored))
}

/// Whether a subject is an account, or all accounts, of such a namespace.
fn is_account_of(subject: &Value, is_restored: impl Fn(&str) -> bool) -> bool {
    let of = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default();
    let namespace = match of("kind") {
        "ServiceAccount" => of("namespace"),
        "Group" => of("name").strip_prefix("system:serviceaccounts:").unwrap_or_default(),
        "User" => of("name").strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')).map_or("", |(namespace, _)| namespace),
        _ => "",
    };
    !namespace.is_empty() && is_restored(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::slice;

    fn subject(kind: &str, name: &str, namespace: Option<&str>) -> Value {
        let mut subject = json!({"kind": kind, "name": name});
        if let Some(namespace) = namespace {
            subject["namespace"] = json!(namespace);
        }
        subject
    }

    fn binding(role: &str, subjects: &[Value]) -> Value {
        json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "shinan-portal"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects})
    }

    #[test]
    fn fault_e4_a_restore_gives_nobody_rights_that_he_does_not_have() {
        let (own, eng) = (subject("ServiceAccount", "web", Some("shinan-portal")), subject("User", "eng", None));
        let restored = |namespace: &str| namespace == "shinan-portal";
        for outsider in [
            eng.clone(),
            subject("Group", "portal-devs", None),
            subject("Group", "system:authenticated", None),
            subject("Group", "system:serviceaccounts", None),
            subject("Group", "system:serviceaccounts:licang-portal", None),
            subject("ServiceAccount", "web", Some("licang-portal")),
            subject("User", "system:serviceaccount:licang-portal:web", None),
            subject("ServiceAccount", "web", None),
        ] {
            assert_eq!(rights(&binding("admin", slice::from_ref(&outsider)), None, restored), Rights::Nothing, "{outsider}");
            let fewer = Rights::Fewer(binding("admin", slice::from_ref(&own)));
            assert_eq!(rights(&binding("admin", &[outsider.clone(), own.clone()]), None, restored), fewer, "{outsider}");
            // He has them: a restore in place takes nothing from anybody.
            let there = binding("admin", slice::from_ref(&outsider));
            assert_eq!(rights(&binding("admin", &[outsider.clone(), own.clone()]), Some(&there), restored), Rights::Whole, "{outsider}");
            let other_role = binding("view", slice::from_ref(&outsider));
            assert_eq!(rights(&binding("admin", slice::from_ref(&outsider)), Some(&other_role), restored), Rights::Nothing, "{outsider}: another role");
        }
        assert_eq!(rights(&binding("admin", &[]), None, restored), Rights::Whole);
    }

    #[test]
    fn fault_e43_a_role_that_people_are_bound_to_is_not_widened_by_a_restore() {
        let role = |verbs: &[&str]| json!({"kind": "Role", "metadata": {"name": "debug", "namespace": "shinan-portal"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]});
        let bound = |kind: &str, to: &str, subjects: &[Value]| json!({"roleRef": {"kind": kind, "name": to}, "subjects": subjects});
        let (own, eng) = (subject("ServiceAccount", "web", Some("shinan-portal")), subject("User", "eng", None));
        let (narrow, wide) = (role(&["get"]), role(&["*"]));
        for (case, live, bindings, more) in [
            ("a person is bound", Some(&narrow), vec![bound("Role", "debug", &[own.clone(), eng.clone()])], true),
            ("a person is bound to one that is not there yet", None, vec![bound("Role", "debug", slice::from_ref(&eng))], true),
            ("an account elsewhere is bound", Some(&narrow), vec![bound("Role", "debug", &[subject("ServiceAccount", "web", Some("licang-portal"))])], true),
            ("only its own account is bound", Some(&narrow), vec![bound("Role", "debug", slice::from_ref(&own))], false),
            (
                "a person is bound to another",
                Some(&narrow),
                vec![bound("Role", "view", slice::from_ref(&eng)), bound("ClusterRole", "debug", slice::from_ref(&eng))],
                false,
            ),
            ("it is as it was", Some(&wide), vec![bound("Role", "debug", slice::from_ref(&eng))], false),
            ("nobody is bound", None, vec![], false),
        ] {
            assert_eq!(gives_more(&wide, live, &bindings, |namespace| namespace == "shinan-portal"), more, "{case}");
        }
    }

    #[test]
    fn fault_e4_what_the_platform_keeps_and_orders_to_mighty_controllers_are_not_restored() {
        let object = |api: &str, kind: &str, name: &str, more: Value| {
            let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "n"}});
            object["spec"] = more;
            object
        };
        let ours = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "labels": {"platform861.io/role": "platform", "platform861.io/platform": "shinan"}}});
        for (object, stays_out) in [
            (ours, true),
            (object("v1", "ResourceQuota", "p861-servers", json!({"hard": {}})), true),
            (object("v1", "ResourceQuota", "servers", json!({"hard": {}})), false),
            (object("networking.k8s.io/v1", "NetworkPolicy", "p861-default-deny", json!({})), true),
            (object("rbac.authorization.k8s.io/v1", "RoleBinding", "p861-site-role-approver", json!({})), true),
            (object("v1", "ConfigMap", "p861-settings", json!({})), false),
            (object("platform861.io/v1alpha1", "MaintenanceTicket", "many", json!({})), true),
            (object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "x", json!({"path": "./"})), true),
            (object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "x", json!({"serviceAccountName": "web"})), false),
            (object("helm.toolkit.fluxcd.io/v2", "HelmRelease", "x", json!({})), true),
            (object("source.toolkit.fluxcd.io/v1", "GitRepository", "x", json!({})), false),
        ] {
            assert_eq!(beyond(&object).is_some(), stays_out, "{object}");
        }
    }

    proptest! {
        #[test]
        fn fault_e4_no_binding_is_written_with_a_subject_that_is_neither_restored_nor_there(
            all in prop::collection::vec((0..4usize, 0..3usize), 0..6), there in prop::collection::vec((0..4usize, 0..3usize), 0..6), same in any::<bool>()
        ) {
            let of = |(kind, place): &(usize, usize)| {
                let namespace = ["shinan-portal", "shinan-db", "licang-portal"][*place];
                match kind {
                    0 => subject("ServiceAccount", "a", Some(namespace)),
                    1 => subject("Group", &format!("system:serviceaccounts:{namespace}"), None),
                    2 => subject("User", &format!("system:serviceaccount:{namespace}:a"), None),
                    _ => subject("User", namespace, None),
                }
            };
            let (all, there): (Vec<Value>, Vec<Value>) = (all.iter().map(of).collect(), there.iter().map(of).collect());
            let live = binding(if same { "admin" } else { "view" }, &there);
            let written = match rights(&binding("admin", &all), Some(&live), |namespace| namespace.starts_with("shinan-")) {
                Rights::Whole => all.clone(),
                Rights::Fewer(fewer) => fewer["subjects"].as_array().cloned().unwrap_or_default(),
                Rights::Nothing => Vec::new(),
            };
            for subject in &all {
                let may = (same && there.contains(subject)) || (subject["kind"] != "User" || subject["name"].as_str().is_some_and(|name| name.starts_with("system:"))) && !subject.to_string().contains("licang");
                prop_assert_eq!(written.contains(subject), may, "{}", subject);
            }
        }
    }
}
