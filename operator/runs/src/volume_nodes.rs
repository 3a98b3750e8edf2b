//! On which nodes a PersistentVolume can be mounted, as its node affinity says.

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume};
use kube::ResourceExt as _;

/// Whether a node takes pods and runs them.
pub fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The nodes that can mount a volume; none if nothing binds it to some of them, as with storage that every node reaches.
pub fn nodes_of<'n>(volume: &PersistentVolume, nodes: &'n [Node]) -> Option<Vec<&'n Node>> {
    let terms = &volume.spec.as_ref()?.node_affinity.as_ref()?.required.as_ref()?.node_selector_terms;
    Some(nodes.iter().filter(|node| terms.iter().any(|term| chooses(term, node))).collect())
}

/// Whether a term chooses a node: all of its requirements hold. One without any chooses none.
fn chooses(term: &NodeSelectorTerm, node: &Node) -> bool {
    let labels = || term.match_expressions.iter().flatten();
    let fields = || term.match_fields.iter().flatten();
    let name = node.name_any();
    (labels().next().is_some() || fields().next().is_some())
        && labels().all(|requirement| holds(requirement, node.labels().get(&requirement.key).map(String::as_str)))
        && fields().all(|requirement| holds(requirement, (requirement.key == "metadata.name").then_some(name.as_str())))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = || requirement.values.iter().flatten();
    let number = |text: &str| text.parse::<i64>().ok();
    let compared = |is_so: fn(&i64, &i64) -> bool| {
        let (here, limit) = (value.and_then(number), values().next().and_then(|limit| number(limit)));
        here.zip(limit).is_some_and(|(here, limit)| is_so(&here, &limit))
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| values().any(|allowed| allowed == value)),
        "NotIn" => value.is_none_or(|value| values().all(|refused| refused != value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared(i64::gt),
        "Lt" => compared(i64::lt),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, zone: &str) -> Node {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": zone, "rank": "5"}}})).unwrap()
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    }

    #[test]
    fn fault_d5_the_nodes_of_a_volume_are_those_that_its_affinity_chooses() {
        let nodes = [node("n1", "a"), node("n2", "a"), node("n3", "b")];
        for (terms, expected) in [
            (json!([expression("kubernetes.io/hostname", "In", &["n1"])]), vec!["n1"]),
            (json!([expression("zone", "In", &["a"])]), vec!["n1", "n2"]),
            (json!([expression("zone", "NotIn", &["a"])]), vec!["n3"]),
            (json!([expression("zone", "Exists", &[])]), vec!["n1", "n2", "n3"]),
            (json!([expression("gpu", "DoesNotExist", &[])]), vec!["n1", "n2", "n3"]),
            (json!([expression("rank", "Gt", &["4"])]), vec!["n1", "n2", "n3"]),
            (json!([expression("rank", "Lt", &["4"])]), vec![]),
            (json!([expression("kubernetes.io/hostname", "In", &["n1"]), expression("zone", "In", &["b"])]), vec!["n1", "n3"]),
            (json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}]), vec!["n2"]),
            (json!([{}]), vec![]),
            (json!([expression("kubernetes.io/hostname", "In", &["gone"])]), vec![]),
        ] {
            let volume: PersistentVolume = serde_json::from_value(json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}})).unwrap();
            let found: Vec<String> = nodes_of(&volume, &nodes).expect("it is bound to nodes").into_iter().map(kube::ResourceExt::name_any).collect();
            assert_eq!(found, expected, "{terms}");
        }
        let anywhere: PersistentVolume = serde_json::from_value(json!({"spec": {}})).unwrap();
        assert_eq!(nodes_of(&anywhere, &nodes), None, "every node can mount it");
    }
}
