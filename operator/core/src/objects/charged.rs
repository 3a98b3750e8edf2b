//! What the creation of an object is charged to: quotas count before the API server looks whether the name is taken.

/// Whether a resource of a quota, a key of its `spec.hard`, is charged when an object of that kind is created. Amounts, of storage or of cores, are of those that have
/// any: that too many are taken for charged costs a question each, and nothing else.
pub fn is_charged(resource: &str, group: &str, plural: &str) -> bool {
    if let Some(counted) = resource.strip_prefix("count/") {
        return match counted.split_once('.') {
            None => group.is_empty() && counted == plural,
            Some((of_plural, of_group)) => of_plural == plural && of_group == group,
        };
    }
    match (group, plural) {
        ("", "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas") => resource == plural,
        ("", "services") => resource == plural || resource.starts_with("services."),
        ("", "pods" | "persistentvolumeclaims") | ("resource.k8s.io", "resourceclaims") => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_i3_whatever_a_quota_can_name_is_known_to_be_charged_by_the_kind_that_it_counts() {
        for (resource, group, plural, charged) in [
            ("persistentvolumeclaims", "", "persistentvolumeclaims", true),
            ("requests.storage", "", "persistentvolumeclaims", true),
            ("fast.storageclass.storage.k8s.io/requests.storage", "", "persistentvolumeclaims", true),
            ("count/persistentvolumeclaims", "", "persistentvolumeclaims", true),
            ("limits.cpu", "", "pods", true),
            ("requests.nvidia.com/gpu", "", "pods", true),
            ("count/deployments.apps", "apps", "deployments", true),
            ("count/deployments.apps", "apps", "statefulsets", false),
            ("count/deployments.apps", "extensions", "deployments", false),
            ("count/jobs.batch", "batch", "jobs", true),
            ("count/widgets.demo.example", "demo.example", "widgets", true),
            ("count/secrets", "", "secrets", true),
            ("count/secrets", "demo.example", "secrets", false),
            ("secrets", "", "secrets", true),
            ("secrets", "", "configmaps", false),
            ("configmaps", "", "configmaps", true),
            ("services", "", "services", true),
            ("services.nodeports", "", "services", true),
            ("services.loadbalancers", "", "services", true),
            ("requests.cpu", "", "services", false),
            ("replicationcontrollers", "", "replicationcontrollers", true),
            ("resourcequotas", "", "resourcequotas", true),
            ("limits.memory", "apps", "deployments", false),
            ("gpu.deviceclass.resource.k8s.io/devices", "resource.k8s.io", "resourceclaims", true),
        ] {
            assert_eq!(is_charged(resource, group, plural), charged, "{resource} {group} {plural}");
        }
    }
}
