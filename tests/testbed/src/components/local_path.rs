//! Rancher's local-path-provisioner: volumes as folders of the node, made and removed by helper pods.

use super::go::Recipe;

/// Built with the client-go of the bed's Kubernetes, which is compiled already.
pub const RECIPE: Recipe = Recipe {
    name: "local-path-provisioner",
    version: "v0.0.30",
    files: &[("go.mod", include_str!("../../go/local-path-provisioner/go.mod")), ("go.sum", include_str!("../../go/local-path-provisioner/go.sum"))],
    programs: &[("local-path-provisioner", "github.com/rancher/local-path-provisioner")],
    names: &[],
    link: "-X main.VERSION=v0.0.30",
    tested: false,
};
