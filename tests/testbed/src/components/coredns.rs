//! CoreDNS with the plugins that cluster DNS needs: about one minute to build after Kubernetes.

use super::go::Recipe;

/// Its main package is ours, because upstream's links every plugin there is.
pub const RECIPE: Recipe = Recipe {
    name: "coredns",
    version: "v1.14.7",
    files: &[
        ("go.mod", include_str!("../../go/coredns/go.mod")),
        ("go.sum", include_str!("../../go/coredns/go.sum")),
        ("main.go", include_str!("../../go/coredns/main.go")),
    ],
    programs: &[("coredns", ".")],
    names: &[],
    link: "",
    tested: false,
};
