//! Kinds of objects, as people type them.

use crate::text::{Bilingual, nearest, perhaps};
use p861_crds::protection::restore::ResourceSelector;

/// Kinds that every cluster has in its namespaces: API group, kind, plural, and what kubectl calls it for short.
const KNOWN: &[(&str, &str, &str, &str)] = &[
    ("", "ConfigMap", "configmaps", "cm"),
    ("", "Endpoints", "endpoints", "ep"),
    ("", "LimitRange", "limitranges", "limits"),
    ("", "Namespace", "namespaces", "ns"),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc"),
    ("", "Pod", "pods", "po"),
    ("", "PodTemplate", "podtemplates", ""),
    ("", "ReplicationController", "replicationcontrollers", "rc"),
    ("", "ResourceQuota", "resourcequotas", "quota"),
    ("", "Secret", "secrets", ""),
    ("", "Service", "services", "svc"),
    ("", "ServiceAccount", "serviceaccounts", "sa"),
    ("apps", "DaemonSet", "daemonsets", "ds"),
    ("apps", "Deployment", "deployments", "deploy"),
    ("apps", "ReplicaSet", "replicasets", "rs"),
    ("apps", "StatefulSet", "statefulsets", "sts"),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa"),
    ("batch", "CronJob", "cronjobs", "cj"),
    ("batch", "Job", "jobs", ""),
    ("discovery.k8s.io", "EndpointSlice", "endpointslices", ""),
    ("gateway.networking.k8s.io", "Gateway", "gateways", "gtw"),
    ("gateway.networking.k8s.io", "HTTPRoute", "httproutes", ""),
    ("networking.k8s.io", "Ingress", "ingresses", "ing"),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies", "netpol"),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets", "pdb"),
    ("rbac.authorization.k8s.io", "Role", "roles", ""),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", ""),
];

/// A kind: `deployments`, `Deployment.apps`, `svc`, `Widget.demo.example`. Other kinds than the cluster's own need their group, and are spelled as in their
/// manifests.
///
/// # Errors
/// What to type instead.
pub fn kind(text: &str) -> Result<ResourceSelector, String> {
    let (word, group) = text.split_once('.').map_or((text, None), |(word, group)| (word, Some(group)));
    let is = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(word);
    let known = KNOWN.iter().find(|(of, kind, plural, short)| group.is_none_or(|group| group == *of) && (is(kind) || is(plural) || is(short)));
    if let Some((group, kind, ..)) = known {
        return Ok(selector(group, kind));
    }
    match group {
        Some(group) if !group.is_empty() && word.starts_with(|first: char| first.is_ascii_uppercase()) => Ok(selector(group, word)),
        _ => {
            let meant = kind_that_looks_like(text);
            Err(format!(
                "{text} is no kind{}; write a kind of the cluster, for example ConfigMap, or KIND.GROUP as in the manifests, for example Widget.demo.example",
                meant.en
            ))
        }
    }
}

/// The cluster's own kind that was perhaps meant.
pub fn kind_that_looks_like(text: &str) -> Bilingual {
    let word = text.split(['.', '/']).next().unwrap_or_default();
    perhaps(word, kinds())
}

/// The cluster's own kind whose name looks most like a word.
pub fn nearest_kind(word: &str) -> Option<&'static str> {
    nearest(word, kinds())
}

fn kinds() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(_, kind, ..)| *kind)
}

/// What stands for every kind.
const EVERY: &str = "*";

/// A kind, or one of its objects: `ConfigMap/settings`. `*` is every kind.
///
/// # Errors
/// What to type instead.
pub fn resource(text: &str) -> Result<ResourceSelector, String> {
    match text.split_once('/') {
        None if text == EVERY => Ok(selector("", EVERY)),
        None => kind(text),
        Some((EVERY, name)) if !name.is_empty() => Ok(ResourceSelector { name: Some(name.to_owned()), ..selector("", EVERY) }),
        Some((_, "")) => Err("write KIND or KIND/NAME, for example ConfigMap/settings".into()),
        Some((of, name)) => Ok(ResourceSelector { name: Some(name.to_owned()), ..kind(of)? }),
    }
}

/// The same, as it is typed.
pub fn typed(selector: &ResourceSelector) -> String {
    let ResourceSelector { group, kind, name } = selector;
    let group = group.as_ref().map(|group| format!(".{group}")).unwrap_or_default();
    let name = name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    format!("{kind}{group}{name}")
}

fn selector(group: &str, kind: &str) -> ResourceSelector {
    ResourceSelector { group: (!group.is_empty()).then(|| group.to_owned()), kind: kind.to_owned(), name: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_understood_as_kubectl_understands_it() {
        for (text, expected) in [
            ("ConfigMap", Some("ConfigMap")),
            ("configmaps", Some("ConfigMap")),
            ("cm", Some("ConfigMap")),
            ("cm/settings", Some("ConfigMap/settings")),
            ("deploy", Some("Deployment.apps")),
            ("deployments.apps/web", Some("Deployment.apps/web")),
            ("Widget.demo.example", Some("Widget.demo.example")),
            ("Widget.demo.example/w.1", Some("Widget.demo.example/w.1")),
            ("Deployment.demo.example", Some("Deployment.demo.example")),
            // fault_i11: as spec.select.resources takes it.
            ("*", Some("*")),
            ("*/settings", Some("*/settings")),
            ("*/", None),
            ("Widget", None),
            ("widgets.demo.example", None),
            ("", None),
            ("cm/", None),
            (".apps", None),
        ] {
            assert_eq!(resource(text).ok().map(|selector| typed(&selector)).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn fault_h22_a_mistyped_kind_is_answered_with_the_one_that_looks_like_it() {
        assert!(kind("Confgmap").is_err_and(|why| why.starts_with("Confgmap is no kind, perhaps ConfigMap; write ")));
        assert!(kind("Widget").is_err_and(|why| why.starts_with("Widget is no kind; write ")));
    }

    #[test]
    fn what_is_typed_is_read_back() {
        for (group, of_kind, ..) in KNOWN {
            let selector = selector(group, of_kind);
            assert_eq!(kind(&typed(&selector)), Ok(selector));
        }
    }
}
