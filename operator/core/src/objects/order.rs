//! The order in which kinds are written: dependencies first; equal ranks in parallel.

use super::{group, kind};
use serde_json::Value;

/// Rank of an object; lower is written earlier.
pub fn rank(object: &Value) -> u8 {
    rank_of(group(object), kind(object))
}

/// Rank of a kind's objects.
pub fn rank_of(group: &str, kind: &str) -> u8 {
    match (group, kind) {
        ("", "Namespace") => 0,
        ("apiextensions.k8s.io" | "scheduling.k8s.io", _) => 1,
        ("", "ServiceAccount" | "LimitRange" | "ResourceQuota") => 2,
        ("rbac.authorization.k8s.io", "Role") => 3,
        ("rbac.authorization.k8s.io", _) => 4,
        ("", "ConfigMap" | "Secret" | "Service" | "PersistentVolumeClaim") | ("networking.k8s.io" | "policy", _) => 5,
        ("apps" | "batch" | "autoscaling", _) | ("", "Pod" | "ReplicationController") => 7,
        // Custom resources and unknown kinds: after the built-in kinds they may reference.
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_workload_comes_after_everything_that_it_mounts_or_runs_as() {
        let rank_of = |api: &str, kind: &str| rank(&json!({"apiVersion": api, "kind": kind}));
        for (api, kind) in
            [("v1", "Secret"), ("v1", "ConfigMap"), ("v1", "ServiceAccount"), ("v1", "PersistentVolumeClaim"), ("rbac.authorization.k8s.io/v1", "RoleBinding")]
        {
            assert!(rank_of(api, kind) < rank_of("apps/v1", "StatefulSet"), "{kind}");
        }
    }
}
