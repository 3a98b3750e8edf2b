//! How long a record of the hub is there: nobody of a district takes off what keeps a run until it has cleaned up, or has the cluster delete what he may not delete.

use crate::{
    admit_identity::hub,
    support::{
        judged::{creates, judged, said, until_said},
        lone::Lone,
        operator::{ACCOUNT, api},
    },
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const DISTRICT: &str = "shinan";
/// Whoever has every right in the district's namespace, and none elsewhere.
const CLERK: &str = "clerk";
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
const FINALIZER: &str = "platform861.io/cleanup";
const HELD: &str = "the finalizers platform861.io/… keep an object until its run has cleaned up";
const OWNED: &str = "metadata.ownerReferences decide when the cluster deletes an object";

fn place(client: &Client, kind: &str) -> Api<DynamicObject> {
    api(client, "platform861.io", kind, &format!("{}s", kind.to_lowercase()), Some(DISTRICT))
}

fn document(kind: &str, name: &str) -> Value {
    let spec = match kind {
        "Backup" => json!({"applicationRef": {"name": "tax"}}),
        "Restore" => json!({"source": {"backupRef": {"name": "tax-20261124-0800"}}}),
        "Drill" => json!({"planRef": {"name": "core"}, "type": "Isolated"}),
        _ => json!({"type": "Incident", "title": {"zh": "站点失联", "en": "Site unreachable"}, "impact": "High", "urgency": "High", "incident": {}}),
    };
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": DISTRICT}, "spec": spec})
}

async fn make(client: &Client, kind: &str, name: &str) {
    let object: DynamicObject = serde_json::from_value(document(kind, name)).expect("an object");
    place(client, kind).create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
}

/// A client that acts as an account, or as somebody.
async fn acting(server: &Lone, who: &str) -> Client {
    server.client(Some((who, &["system:authenticated"]))).await
}

/// What the operator does when a run begins and when it has cleaned up.
async fn hold(operator: &Client, kind: &str, name: &str, held: bool) -> String {
    let runs = place(operator, kind);
    let uid = runs.get(name).await.expect("the run").uid();
    let finalizers: &[&str] = if held { &[FINALIZER] } else { &[] };
    let patch = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "uid": uid, "finalizers": finalizers}});
    said(runs.patch(name, &PatchParams::apply(FINALIZER).force(), &Patch::Apply(patch)).await)
}

fn take_off() -> Patch<Value> {
    Patch::Json(serde_json::from_value(json!([{"op": "remove", "path": "/metadata/finalizers"}])).expect("a patch"))
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e_nobody_of_a_district_takes_off_what_keeps_a_run_until_it_has_cleaned_up() {
    let server = hub().await;
    let (operator, commander, engineer) = (acting(&server, ACCOUNT).await, server.person("commander-zhao").await, server.person("engineer-li").await);
    until_said(HELD, async || {
        let mut early = document("Backup", "early");
        early["metadata"]["finalizers"] = json!([FINALIZER]);
        creates(&place(&engineer, "Backup"), &early).await
    })
    .await;
    for (kind, person) in [("Drill", &commander), ("Restore", &engineer), ("Backup", &engineer)] {
        let (name, runs) = ("held", place(person, kind));
        make(person, kind, name).await;
        judged("the operator holds a run", &hold(&operator, kind, name, true).await, "");
        let ordinary = PatchParams::default();
        let merge = |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        for (what, patch) in
            [("removed", take_off()), ("nulled", merge(json!(null))), ("emptied", merge(json!([]))), ("another", merge(json!(["example.com/x"])))]
        {
            judged(&format!("{kind}: {what}"), &said(runs.patch(name, &ordinary, &patch).await), HELD);
        }
        let mut without = runs.get(name).await.expect("the run");
        without.metadata.finalizers = None;
        judged(&format!("{kind}: replaced"), &said(runs.replace(name, &PostParams::default(), &without).await), HELD);
        // What people do day by day, and finalizers that are their own affair.
        let noted = json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "labels": {"seen": "yes"}}});
        judged("applied", &said(runs.patch(name, &PatchParams::apply("kubectl").force(), &Patch::Apply(noted)).await), "");
        let mut own = runs.get(name).await.expect("the run");
        own.finalizers_mut().push("example.com/x".to_owned());
        judged("one more", &said(runs.replace(name, &PostParams::default(), &own).await), "");
        judged("and less", &said(runs.patch(name, &ordinary, &merge(json!([FINALIZER]))).await), "");
        // The object of a run that goes on is deleted and waits, whatever its district does.
        runs.delete(name, &DeleteParams::default()).await.expect("it may be deleted");
        judged(&format!("{kind}: removed from what is deleted"), &said(runs.patch(name, &ordinary, &take_off()).await), HELD);
        assert!(runs.get(name).await.expect("it stays").metadata.deletion_timestamp.is_some());
        judged("the operator lets go", &hold(&operator, kind, name, false).await, "");
        assert!(runs.get_opt(name).await.expect("an answer").is_none(), "{kind}: gone once it has cleaned up");
    }
    // When the operator is gone for good, the hub's administrator takes it off.
    make(&commander, "Drill", "stuck").await;
    judged("the operator holds a run", &hold(&operator, "Drill", "stuck", true).await, "");
    judged("an approver", &said(place(&server.person("approver-sun").await, "Drill").patch("stuck", &PatchParams::default(), &take_off()).await), HELD);
    let administrator = server.client(None).await;
    judged("the administrator", &said(place(&administrator, "Drill").patch("stuck", &PatchParams::default(), &take_off()).await), "");
}

/// This API server lets an owner be written only by who may delete the object, which many don't ask: so it is tried by somebody who may.
#[tokio::test(flavor = "multi_thread")]
async fn fault_e_no_record_goes_by_way_of_an_owner_that_somebody_of_a_district_gave_it() {
    let server = hub().await;
    server.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: clerk, namespace: {DISTRICT}}}, rules: [{{apiGroups: [\"*\"], resources: [\"*\"], verbs: [\"*\"]}}]}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: clerk, namespace: {DISTRICT}}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: clerk}}, \
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {CLERK}}}]}}"
    ));
    let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001"}]);
    let (clerk, engineer, collector) = (acting(&server, CLERK).await, server.person("engineer-li").await, acting(&server, COLLECTOR).await);
    let administrator = server.client(None).await;
    let given = json!({"metadata": {"ownerReferences": owners}});
    for kind in ["MaintenanceTicket", "Backup", "Restore", "Drill"] {
        let mut owned = document(kind, "owned");
        owned["metadata"]["ownerReferences"] = owners.clone();
        until_said(OWNED, async || creates(&place(&clerk, kind), &owned).await).await;
        make(&clerk, kind, "kept").await;
        judged(&format!("{kind} is given an owner"), &said(place(&clerk, kind).patch("kept", &PatchParams::default(), &Patch::Merge(&given)).await), OWNED);
        judged(
            "it is noted",
            &said(place(&clerk, kind).patch("kept", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}))).await),
            "",
        );
        // The cluster's own, and its administrator: an owner goes, and what it owned stays.
        judged("the administrator", &said(place(&administrator, kind).patch("kept", &PatchParams::default(), &Patch::Merge(&given)).await), "");
        let orphan = Patch::Merge(json!({"metadata": {"ownerReferences": null}}));
        judged("by another", &said(place(&clerk, kind).patch("kept", &PatchParams::default(), &orphan).await), OWNED);
        judged("the garbage collector", &said(place(&collector, kind).patch("kept", &PatchParams::default(), &orphan).await), "");
        place(&administrator, kind).delete("kept", &DeleteParams::default()).await.expect("cleaned up");
    }
    // As it was tried: who may only append to a ticket.
    make(&engineer, "MaintenanceTicket", "inc-7").await;
    let refused = said(place(&engineer, "MaintenanceTicket").patch("inc-7", &PatchParams::default(), &Patch::Merge(&given)).await);
    assert!(!refused.is_empty(), "an Engineer gives a ticket an owner");
    place(&administrator, "MaintenanceTicket").delete("inc-7", &DeleteParams::default()).await.expect("cleaned up");
}
