//! What a backup says of its namespace, beside what the namespace restored to enforces.

use super::*;
use std::collections::BTreeSet;

/// A saved Namespace whose pods were held to a level, or to none.
fn saved(level: &str) -> Value {
    let mut labels = json!({"team": "forms", "kubernetes.io/metadata.name": SOURCE, "pod-security.kubernetes.io/enforce-version": "v1.20"});
    if !level.is_empty() {
        labels["pod-security.kubernetes.io/enforce"] = json!(level);
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SOURCE, "labels": labels}})
}

/// The same server, with another backup.
fn with_backup(world: World, level: &str) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let pod = json!({"spec": {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": true}}]}});
    let files = [("namespaces", vec![saved(level)]), ("pods", vec![object("v1", "Pod", "root", pod)])];
    let (access, snapshot) = tokio::task::block_in_place(|| backup(folder.path(), &files));
    World { folder, access, snapshot, ..world }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a3_what_was_there_counts_as_changed_and_fault_a_what_is_left_out_has_its_name() {
    let account = object("v1", "ServiceAccount", "default", json!({"imagePullSecrets": [{"name": "registry"}]}));
    let map = |name: &str| object("v1", "ConfigMap", name, json!({"data": {"a": "b"}}));
    let files = [("namespaces", vec![saved("")]), ("serviceaccounts", vec![account]), ("configmaps", vec![map("cache"), map("plain"), map("settings")])];
    let world = World::with(&files).await;
    for (target, metadata, created) in [("there", String::new(), 1), ("made", format!(", annotations: {{platform861.io/made-by: {RUN}}}"), 2)] {
        world.server.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {target}{metadata}}}}}"));
        world.server.apply(&format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {target}}}}}"));
        world.server.apply(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings, namespace: {target}}}, data: {{a: live}}}}"));
        let mut task = world.task(target, ConflictPolicy::Skip, false);
        task.choice.exclude = serde_json::from_value(json!([{"kind": "ConfigMap", "name": "cache"}])).expect("selectors");
        // Under Skip the account is left as it is; only Refuse knows that nobody has written it.
        let outcome = world.perform(&task).await.expect("a restore");
        assert_eq!(counts(&outcome), [created, 2 - created, 0, 0, 0], "{target}: {:?}", named(&outcome.listed));
        let left: Vec<String> = outcome.left.iter().map(|left| format!("{} {}/{}: {}", left.kind, left.namespace, left.name, left.why)).collect();
        let skipped = "it is there and different: conflictPolicy Skip leaves it";
        let expected = [
            format!("ConfigMap {target}/settings: {skipped}"),
            format!("ServiceAccount {target}/default: {skipped}"),
            format!("ConfigMap {SOURCE}/cache: excluded by the Application"),
        ];
        assert_eq!(left.iter().collect::<BTreeSet<_>>(), expected.iter().collect::<BTreeSet<_>>(), "{target}");
        assert_eq!(
            (outcome.left_out.values().sum::<u64>(), &outcome.left_first[skipped]),
            (3, &vec![format!("ConfigMap {target}/settings"), format!("ServiceAccount {target}/default")])
        );
    }
    world.server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: refusing}}");
    world.server.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: refusing}}");
    for preview in [true, false] {
        let outcome = world.restore("refusing", ConflictPolicy::Refuse, preview).await.expect("nothing stands in the way");
        assert_eq!((counts(&outcome), outcome.changes.added), ([3, 2, 0, 0, 0], 2), "preview {preview}: {:?}", named(&outcome.listed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e4_no_backup_lets_a_privileged_pod_into_a_namespace_that_would_refuse_it() {
    let mut world = World::with(&[("namespaces", vec![saved("privileged")])]).await;
    // Made by the run, for a restore or as a copy; there before; there before and closed by nobody.
    let (baseline, made_by) = ("pod-security.kubernetes.io/enforce: baseline", format!("annotations: {{platform861.io/made-by: {RUN}}}"));
    for (number, (level, metadata, conflict, enforced, refused, told)) in [
        ("privileged", format!("labels: {{{baseline}}}, {made_by}"), ConflictHandling::Policy(ConflictPolicy::Refuse), "baseline", true, true),
        ("privileged", format!("labels: {{{baseline}, platform861.io/run: {RUN}}}"), ConflictHandling::Own, "baseline", true, true),
        ("restricted", format!("labels: {{{baseline}}}, {made_by}"), ConflictHandling::Policy(ConflictPolicy::Refuse), "restricted", true, false),
        ("restricted", format!("labels: {{{baseline}, platform861.io/run: {RUN}}}"), ConflictHandling::Own, "restricted", true, false),
        ("privileged", format!("labels: {{{baseline}}}"), ConflictHandling::Policy(ConflictPolicy::Replace), "baseline", true, true),
        ("restricted", format!("labels: {{{baseline}}}"), ConflictHandling::Policy(ConflictPolicy::Replace), "baseline", true, true),
        (
            "restricted",
            format!("labels: {{{baseline}}}, annotations: {{platform861.io/made-by: another}}"),
            ConflictHandling::Policy(ConflictPolicy::Merge),
            "baseline",
            true,
            true,
        ),
        ("privileged", "labels: {a: b}".to_owned(), ConflictHandling::Policy(ConflictPolicy::Merge), "", false, true),
    ]
    .into_iter()
    .enumerate()
    {
        world = with_backup(world, level);
        let target = format!("target-{number}");
        world.server.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {target}, {metadata}}}}}"));
        world.server.apply(&format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {target}}}}}"));
        let outcome = world.restore_with(&target, conflict, false, Vec::new()).await.expect("a restore");
        let what = format!("{level} into {metadata}");
        let there = world.server.get(&["namespace", &target])["metadata"]["labels"].clone();
        let labels = (
            there["team"].as_str(),
            there["pod-security.kubernetes.io/enforce"].as_str().unwrap_or_default(),
            there["pod-security.kubernetes.io/enforce-version"].as_str(),
        );
        assert_eq!(labels, (Some("forms"), enforced, None), "{what}");
        let of_pod: Vec<String> = named(&outcome.listed).into_iter().filter(|listed| listed.starts_with("Pod root: ")).collect();
        assert_eq!(of_pod.iter().any(|listed| listed.contains("violates PodSecurity")), refused, "{what}: {:?}", named(&outcome.listed));
        assert_eq!(outcome.adjusted.keys().any(|how| how.starts_with("Pod Security level of the namespace")), told, "{what}: {:?}", outcome.adjusted);
        let again = world.restore_with(&target, conflict, false, Vec::new()).await.expect("a second attempt");
        assert_eq!(again.changes.change, 0, "{what}: {:?}", named(&again.listed));
    }
}
