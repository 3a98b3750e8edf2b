//! The agent that enforces NetworkPolicies on a site's node: our own, in `go/network-policy`, because none of the usual ones can be had
//! as a package. A drill's isolation rests on it, so it is built only after its own tests passed.

use super::go::Recipe;

/// The agent and CNI plugin.
pub const RECIPE: Recipe = Recipe {
    name: "network-policy",
    version: "v1",
    files: &[
        ("go.mod", include_str!("../../go/network-policy/go.mod")),
        ("go.sum", include_str!("../../go/network-policy/go.sum")),
        ("main.go", include_str!("../../go/network-policy/main.go")),
        ("agent.go", include_str!("../../go/network-policy/agent.go")),
        ("plugin.go", include_str!("../../go/network-policy/plugin.go")),
        ("rules.go", include_str!("../../go/network-policy/rules.go")),
        ("rules_test.go", include_str!("../../go/network-policy/rules_test.go")),
    ],
    programs: &[("network-policy", ".")],
    names: &[],
    link: "",
    tested: true,
};
