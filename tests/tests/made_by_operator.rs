//! What the operator makes for runs by itself: namespaces that take no privileged pod, and a Backup in its own name, also where the cluster fills in none.

use crate::support::{
    lone::Lone,
    operator::{ACCOUNT, Operator, api, apply, until},
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Arc, Weak},
};

const DISTRICT: &str = "shinan";

/// A hub that is both sites, and an operator that leads.
struct World {
    server: Lone,
    operator: Operator,
    _folder: tempfile::TempDir,
}

/// Two applications, of which one may run privileged pods at home; a plan; a component in a namespace that is missing and in one that enforces nothing.
fn manifest(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"
{{apiVersion: v1, kind: Namespace, metadata: {{name: shinan}}}}
---
{{apiVersion: v1, kind: Namespace, metadata: {{name: shinan-forms, labels: {{pod-security.kubernetes.io/enforce: privileged, team: forms}}}}}}
---
{{apiVersion: v1, kind: Namespace, metadata: {{name: shinan-ledger}}}}
---
{{apiVersion: v1, kind: Namespace, metadata: {{name: shinan-old}}}}
---
{{apiVersion: v1, kind: ConfigMap, metadata: {{name: one, namespace: shinan-forms}}, data: {{text: some}}}}
---
{{apiVersion: v1, kind: ConfigMap, metadata: {{name: one, namespace: shinan-ledger}}, data: {{text: some}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: Site, metadata: {{name: here}}, spec: {{failureDomain: here, access: {{inCluster: {{}}}}}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: Site, metadata: {{name: there}}, spec: {{failureDomain: there, access: {{inCluster: {{}}}}}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: District, metadata: {{name: shinan}}, spec: {{code: "370202", names: {{en: Shinan}}, sites: [{{siteRef: {{name: here}}, role: Primary}}, {{siteRef: {{name: there}}, role: Standby}}]}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: BackupRepository, metadata: {{name: folder, namespace: shinan}}, spec: {{failureDomain: there, folder: {{path: "{folder}"}}, encryption: {{keySecretRef: {{name: key}}}}}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: Application, metadata: {{name: forms, namespace: shinan}}, spec: {{names: {{en: Forms}}, department: any, namespaces: [shinan-forms]}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: Application, metadata: {{name: ledger, namespace: shinan}}, spec: {{names: {{en: Ledger}}, department: any, namespaces: [shinan-ledger]}}}}
---
{{apiVersion: platform861.io/v1alpha1, kind: RecoveryPlan, metadata: {{name: core, namespace: shinan}}, spec: {{repositoryRef: {{name: folder}}, groups: [{{name: all, members: [{{applicationRef: {{name: forms}}}}]}}]}}}}
"#
    )
}

impl World {
    /// The one that stands now, or a new one.
    async fn shared() -> Arc<Self> {
        static SHARED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        static STANDING: Mutex<Weak<World>> = Mutex::new(Weak::new());
        let _turn = SHARED.lock().await;
        let standing = STANDING.lock().upgrade();
        if let Some(standing) = standing {
            return standing;
        }
        let server = tokio::task::spawn_blocking(|| {
            let server = Lone::bare();
            server.install(&["admission.mutating=none"]);
            server
        });
        let server = server.await.expect("a server");
        let folder = tempfile::tempdir().expect("a folder");
        let client = server.client(None).await;
        apply(&client, &manifest(folder.path())).await;
        // Its movers are its children here, and have no rights but its own.
        for role in ["p861-mover-backup", "p861-mover-restore"] {
            let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": format!("children-{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "namespace": "p861-system", "name": "p861-operator"}]});
            apply(&client, &binding.to_string()).await;
        }
        let operator = Operator::start(&server);
        let world = Arc::new(Self { server, operator, _folder: folder });
        *STANDING.lock() = Arc::downgrade(&world);
        world
    }

    async fn client(&self) -> Client {
        self.server.client(None).await
    }

    /// Declares an object of the district.
    async fn declare(&self, kind: &str, name: &str, mut spec: Value) {
        if matches!(kind, "Backup" | "Restore" | "Drill" | "MaintenanceTicket") {
            spec["requestedBy"] = json!("administrator");
        }
        let metadata = json!({"name": name, "namespace": DISTRICT});
        apply(&self.client().await, &json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}).to_string()).await;
    }

    async fn ours(&self, kind: &str) -> Api<DynamicObject> {
        api(&self.client().await, "platform861.io", kind, &format!("{}s", kind.to_lowercase()), Some(DISTRICT))
    }

    async fn ends(&self, kind: &str, name: &str) {
        let api = self.ours(kind).await;
        until(&self.operator, &format!("{kind} {name} has succeeded"), async || {
            let seen = api.get(name).await.map_err(|error| error.to_string())?;
            if seen.data["status"]["phase"] == "Succeeded" { Ok(()) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
    }

    /// An emergency waits for no window, and somebody agrees to it.
    async fn change(&self, name: &str, affects: Value, mut change: Value) {
        change["class"] = json!("Emergency");
        change["silence"] = json!("None");
        let spec = json!({"type": "Change", "title": {"en": "A change"}, "impact": "Low", "urgency": "Low", "affects": affects, "change": change});
        self.declare("MaintenanceTicket", name, spec).await;
        let tickets = self.ours("MaintenanceTicket").await;
        let ticket = until(&self.operator, "there is something to agree to", async || {
            let seen = tickets.get(name).await.map_err(|error| error.to_string())?;
            if seen.data["status"]["planDigest"].is_string() { Ok(seen) } else { Err(seen.data["status"].to_string()) }
        })
        .await;
        let spec = json!({"subjectRef": {"kind": "MaintenanceTicket", "name": name, "uid": ticket.uid()}, "purpose": "Start",
            "digest": ticket.data["status"]["planDigest"], "decision": "Approved", "approver": "shift-leader-a"});
        let leader = self.server.client(Some(("shift-leader-a", &["system:masters"]))).await;
        let approval = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Approval", "metadata": {"name": format!("{name}-agreed"), "namespace": DISTRICT}, "spec": spec});
        api(&leader, "platform861.io", "Approval", "approvals", Some(DISTRICT))
            .create(&PostParams::default(), &serde_json::from_value(approval).expect("an Approval"))
            .await
            .expect("approved");
    }

    /// The administrator's word on a ticket, behind those that were said before.
    async fn says(&self, ticket: &str, action: &str) {
        let tickets = self.ours("MaintenanceTicket").await;
        let mut actions = tickets.get(ticket).await.expect("the ticket").data["spec"]["actions"].as_array().cloned().unwrap_or_default();
        actions.push(json!({"action": action, "by": "administrator"}));
        tickets.patch(ticket, &PatchParams::default(), &Patch::Merge(json!({"spec": {"actions": actions}}))).await.expect("said");
    }

    /// A node that says it is ready, with nothing on it that runs pods; and a storage class.
    async fn node(&self) {
        let client = self.client().await;
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "standard"}, "provisioner": "none"});
        apply(&client, &class.to_string()).await;
        apply(&client, &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}).to_string()).await;
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}]}});
        Api::<Node>::all(client).patch_status("node-1", &PatchParams::default(), &Patch::Merge(ready)).await.expect("it is ready");
    }

    /// Waits until the namespace is there, and demands that it takes no privileged pod, whoever makes one.
    async fn takes_no_privileged_pod(&self, name: &str) -> Namespace {
        let client = self.client().await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let there = until(&self.operator, &format!("namespace {name} is made"), async || {
            let seen = namespaces.get(name).await.map_err(|error| error.to_string())?;
            // One that was there before is labelled when it is written to.
            if seen.labels().contains_key("pod-security.kubernetes.io/enforce") { Ok(seen) } else { Err(format!("{:?}", seen.labels())) }
        })
        .await;
        assert_eq!(there.labels().get("pod-security.kubernetes.io/enforce").map(String::as_str), Some("baseline"), "{name}: {:?}", there.labels());
        // Nobody else is here to make it, and without it the API server takes no pod.
        apply(&client, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}).to_string()).await;
        for (what, spec) in [
            ("privileged", json!({"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": true}}]})),
            ("a node's files", json!({"containers": [{"name": "c", "image": "x"}], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]})),
            ("a node's processes", json!({"hostPID": true, "containers": [{"name": "c", "image": "x"}]})),
        ] {
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": name}, "spec": spec});
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let said = api(&client, "", "Pod", "pods", Some(name)).create(&dry, &serde_json::from_value(pod).expect("a pod")).await;
            let said = said.map(drop).expect_err(what).to_string();
            assert!(said.contains("violates PodSecurity \"baseline"), "{name}, {what}: {said}");
        }
        there
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e4_what_restores_components_and_drills_make_takes_no_privileged_pod() {
    let world = World::shared().await;
    world.declare("Backup", "first", json!({"applicationRef": {"name": "forms"}})).await;
    world.ends("Backup", "first").await;

    // An Engineer would have everything be privileged. The District says nothing, and so lets nothing be.
    let bundle = ["shinan-tools", "shinan-old"].map(|namespace| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: notice, namespace: {namespace}}}\nspec: {{selector: {{matchLabels: {{app: notice}}}}, \
             template: {{metadata: {{labels: {{app: notice}}}}, spec: {{containers: [{{name: notice, image: \"notice:1\", securityContext: {{privileged: true}}}}]}}}}}}\n"
        )
    });
    let bundle = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notice-bundle", "namespace": DISTRICT}, "data": {"a.yaml": bundle.join("---\n")}});
    apply(&world.client().await, &bundle.to_string()).await;
    let component = json!({"name": "notice", "version": "1.0.0", "bundle": {"configMapRef": {"name": "notice-bundle"}}});
    world.declare("Platform", DISTRICT, json!({"security": {"podSecurity": "Privileged"}, "baseSoftware": {"components": [component]}})).await;

    let mapping = json!([{"from": "shinan-forms", "to": "shinan-new"}]);
    world.declare("Restore", "elsewhere", json!({"source": {"backupRef": {"name": "first"}}, "target": {"namespaceMappings": mapping}})).await;
    let made = world.takes_no_privileged_pod("shinan-new").await;
    world.ends("Restore", "elsewhere").await;
    let restored = Api::<Namespace>::all(world.client().await).get("shinan-new").await.expect("restored");
    assert_eq!(restored.labels().get("team").map(String::as_str), Some("forms"), "what else the backup says of its namespace came with it");
    assert_eq!(restored.labels().get("pod-security.kubernetes.io/enforce"), made.labels().get("pod-security.kubernetes.io/enforce"), "and that did not");
    assert_eq!(restored.labels().get("platform861.io/district").map(String::as_str), Some(DISTRICT));

    // The operator installs with rights of its own; the pods are the cluster's to refuse.
    let work = json!({"upgradeComponent": {"component": "notice", "version": "1.0.0", "healthyWithin": "10s", "watchFor": "1s"}});
    world.change("install", json!({}), json!({"backup": "Skip", "work": work})).await;
    world.takes_no_privileged_pod("shinan-tools").await;
    world.takes_no_privileged_pod("shinan-old").await;
    let tickets = world.ours("MaintenanceTicket").await;
    // There is no kubelet: it doesn't become healthy, and is taken back.
    until(&world.operator, "the change is over", async || {
        let seen = tickets.get("install").await.map_err(|error| error.to_string())?;
        let phase = seen.data["status"]["phase"].as_str().unwrap_or_default();
        if matches!(phase, "Closed" | "RolledBack" | "Cancelled") { Ok(()) } else { Err(seen.data["status"].to_string()) }
    })
    .await;

    world.node().await;
    world.declare("Drill", "rehearsal", json!({"planRef": {"name": "core"}, "type": "Isolated", "keepFor": "1h"})).await;
    let drills = world.ours("Drill").await;
    let copy = until(&world.operator, "there is a copy", async || {
        let all = Api::<Namespace>::all(world.client().await).list(&ListParams::default().labels("platform861.io/drill")).await;
        let names: Vec<String> = all.map_err(|error| error.to_string())?.iter().map(kube::ResourceExt::name_any).collect();
        let told = drills.get("rehearsal").await.map_or_else(|error| error.to_string(), |drill| drill.data["status"].to_string());
        names.first().cloned().ok_or(told)
    })
    .await;
    assert!(copy.starts_with("shinan-forms--drill-"), "{copy}");
    world.takes_no_privileged_pod(&copy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e22_the_backup_before_a_change_bears_the_operators_name_where_the_cluster_fills_in_none() {
    let world = World::shared().await;
    // The rule of the chart is in force: a run without the name of who asks is refused.
    let client = world.server.client(Some((ACCOUNT, &["system:serviceaccounts", "system:authenticated"]))).await;
    let nameless = json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": "nameless", "namespace": DISTRICT}, "spec": {"applicationRef": {"name": "ledger"}}});
    let backups = api(&client, "platform861.io", "Backup", "backups", Some(DISTRICT));
    let said = backups.create(&PostParams::default(), &serde_json::from_value(nameless).expect("a Backup")).await.map(drop).expect_err("refused").to_string();
    assert!(said.contains(&format!("write requestedBy: {ACCOUNT}")), "{said}");

    world.change("disk", json!({"applicationRefs": [{"name": "ledger"}]}), json!({"work": {"manual": {}}, "plan": {"en": "Replace the disk"}})).await;
    // Work by hand begins when a person says so, and not before.
    let tickets = world.ours("MaintenanceTicket").await;
    until(&world.operator, "the change may begin", async || {
        let seen = tickets.get("disk").await.map_err(|error| error.to_string())?;
        if seen.data["status"]["phase"] == "Scheduled" { Ok(()) } else { Err(seen.data["status"].to_string()) }
    })
    .await;
    world.says("disk", "Start").await;
    let taken = until(&world.operator, "the backup before the change is taken", async || {
        let all = backups.list(&ListParams::default().labels("platform861.io/ticket=disk")).await.map_err(|error| error.to_string())?.items;
        let ticket = tickets.get("disk").await.map_err(|error| error.to_string())?;
        let taken = all.into_iter().find(|backup| backup.data["status"]["phase"] == "Succeeded");
        taken.ok_or_else(|| ticket.data["status"].to_string())
    })
    .await;
    assert_eq!(taken.data["spec"]["requestedBy"], ACCOUNT);
    world.says("disk", "Done").await;
}
