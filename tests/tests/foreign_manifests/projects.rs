//! The projects whose manifests are saved and restored. Each stands in a Go module, which is fetched by version and checksum.

use p861_testbed::components::manifests::Carrier;

/// A project, and how many of its objects in namespaces an API server takes at least.
pub struct Project {
    pub carrier: Carrier,
    pub at_least: usize,
}

/// In this order: what a later one needs is defined by an earlier one.
pub const PROJECTS: [Project; 5] = [
    Project {
        carrier: Carrier {
            name: "kubernetes",
            module: "k8s.io/kubernetes",
            version: "v1.36.3",
            sum: "h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o=",
            paths: &[
                "cluster/addons/calico-policy-controller",
                "cluster/addons/cloud-controller-manager",
                "cluster/addons/cluster-loadbalancing",
                "cluster/addons/dns-horizontal-autoscaler",
                "cluster/addons/metrics-server",
                "cluster/addons/node-problem-detector",
                "cluster/addons/rbac",
                "test/e2e/dra/test-driver/deploy/example",
                "test/e2e/testing-manifests/guestbook",
                "test/e2e/testing-manifests/serviceloadbalancer",
                "test/e2e/testing-manifests/statefulset",
                "test/e2e/testing-manifests/storage-csi",
                "test/fixtures/doc-yaml",
            ],
        },
        at_least: 133,
    },
    Project {
        carrier: Carrier {
            name: "prometheus-operator",
            module: "github.com/prometheus-operator/prometheus-operator",
            version: "v0.85.0",
            sum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
            paths: &[
                "example/additional-scrape-configs",
                "example/admission-webhook",
                "example/networkpolicies",
                "example/non-rbac",
                "example/prometheus-operator-crd",
                "example/rbac",
                "example/shards",
                "example/storage",
                "example/thanos",
                "example/user-guides",
                "test/framework/resources",
            ],
        },
        at_least: 50,
    },
    Project {
        carrier: Carrier {
            name: "gateway-api",
            module: "sigs.k8s.io/gateway-api",
            version: "v1.4.0",
            sum: "h1:ZwlNM6zOHq0h3WUX2gfByPs2yAEsy/EenYJB78jpQfQ=",
            paths: &["config/crd/experimental", "conformance/base", "conformance/tests", "examples"],
        },
        at_least: 267,
    },
    Project {
        carrier: Carrier {
            name: "metallb",
            module: "go.universe.tf/metallb",
            version: "v0.16.2",
            sum: "h1:RCSAGoZmqcvTg0e56+Okbwz8iTuQVX30JpKX5mYEPUM=",
            // With the manifests of kube-prometheus, which no module carries.
            paths: &[
                "config/manifests/metallb-frr-k8s-prometheus.yaml",
                "config/manifests/metallb-native.yaml",
                "configsamples",
                "dev-env/kube-prometheus/manifests",
            ],
        },
        at_least: 64,
    },
    Project {
        carrier: Carrier {
            name: "knative-serving",
            module: "knative.dev/serving",
            version: "v0.51.0",
            sum: "h1:yN2Q7eYqJgoPfZkATjoBZyGbZ2P1Qhns9HIMU4mF+to=",
            paths: &["config/core", "config/hpa-autoscaling", "test/performance", "test/test_images"],
        },
        at_least: 85,
    },
];
