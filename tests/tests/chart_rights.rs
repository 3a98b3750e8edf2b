//! Least privilege: what each role may do is what the source uses or what the table here says, and nothing else, in the API server's own judgement.

use crate::support::{
    access::{MAIN_VERBS, Place, VERBS, allowed, demand_equal, may, rights, served},
    lone::{Lone, SYSTEM, lone},
    named, of_kind, render,
    tables::{HUB, MOVER_BACKUP, MOVER_RESTORE, ON_SITE, READER, ROLES, SITE_READER, SITE_ROLES, Table},
    uses::{Actor, uses},
    words,
};
use k8s_openapi::api::{
    core::v1::ConfigMap,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    scheduling::v1::PriorityClass,
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use p861_core::objects::{CLUSTER_KINDS, ClusterKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const OPERATOR: &str = "system:serviceaccount:p861-system:p861-operator";
const SITE: &str = "system:serviceaccount:p861-system:p861-site";
const MOVER: &str = "system:serviceaccount:shinan-portal:p861-run-0a1b2c3d";

/// The rules of a role, as `verb resource.group/subresource`.
fn granted(role: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                let (plural, sub) = resource.split_once('/').map_or((resource, String::new()), |(plural, sub)| (plural, format!("/{sub}")));
                let full = if group.is_empty() || (group, plural) == ("*", "*") { format!("{plural}{sub}") } else { format!("{plural}.{group}{sub}") };
                found.extend(words(&rule["verbs"]).iter().map(|verb| format!("{verb} {full}")));
            }
        }
    }
    found
}

#[test]
fn fault_e40_the_keys_of_a_repository_are_in_no_object_of_a_site() {
    let site = granted(named(&render(&[]), "ClusterRole", "p861-site"));
    let written: Vec<&String> = site.iter().filter(|right| right.ends_with(" secrets") && !right.starts_with("get ")).collect();
    assert!(written.is_empty(), "the operator could write a Secret: {written:?}");
    assert!(site.contains("create pods/attach"), "it gives them to the mover itself");
}

#[test]
fn the_operator_and_its_movers_are_granted_what_their_source_uses_and_nothing_else() {
    // With cluster-scoped objects of a district, every rule of the chart is rendered.
    let documents = render(&every_cluster_kind().iter().map(String::as_str).collect::<Vec<_>>());
    let roles = [
        (Actor::Hub, named(&documents, "ClusterRole", "p861-hub")),
        (Actor::Lease, named(&documents, "Role", "p861-operator")),
        (Actor::Site, named(&documents, "ClusterRole", "p861-site")),
        (Actor::Backup, named(&documents, "ClusterRole", "p861-mover-backup")),
        (Actor::Restore, named(&documents, "ClusterRole", "p861-mover-restore")),
        (Actor::Installer, named(&documents, "ClusterRole", "p861-site-installer")),
        (Actor::Cleaner, named(&documents, "ClusterRole", "p861-site-cleaner")),
        (Actor::CopyMaker, named(&documents, "ClusterRole", "p861-site-copy-maker")),
        (Actor::CopyDns, named(&documents, "ClusterRole", "p861-copy-dns")),
        (Actor::ClusterBackup, named(&documents, "ClusterRole", "p861-cluster-backup-shinan")),
    ];
    let uses = uses();
    let mut wrong = Vec::new();
    for (actor, role) in roles {
        let (used, granted) = (&uses[&actor], granted(role));
        let has = |right: &str| granted.contains(right) || granted.contains(&format!("{} *", right.split(' ').next().unwrap_or_default()));
        wrong.extend(
            used.iter().filter(|(right, _)| !has(right)).map(|(right, place)| format!("{}: {right} is missing, used at {place}", role["metadata"]["name"])),
        );
        wrong.extend(granted.iter().filter(|right| !used.contains_key(*right)).map(|right| format!("{}: {right} is used nowhere", role["metadata"]["name"])));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Values by which a district has an object of every cluster-scoped kind that an Application may name.
fn every_cluster_kind() -> Vec<String> {
    let values = |(index, kind): (usize, &ClusterKind)| {
        let object = format!("site.clusterResources.shinan.objects[{index}]");
        [format!("{object}.group={}", kind.group), format!("{object}.resource={}", kind.plural), format!("{object}.names={{gadgets}}")]
    };
    CLUSTER_KINDS.iter().enumerate().flat_map(values).collect()
}

#[test]
fn fault_b12_a_districts_movers_may_touch_its_cluster_scoped_objects_by_name_and_hand_out_nothing() {
    let documents = render(&every_cluster_kind().iter().map(String::as_str).collect::<Vec<_>>());
    for (task, verbs) in [("backup", &["get"][..]), ("restore", &["get", "create", "patch", "update"])] {
        let name = format!("p861-cluster-{task}-shinan");
        let rules = named(&documents, "ClusterRole", &name)["rules"].as_array().expect("rules");
        assert_eq!(rules.len(), CLUSTER_KINDS.len());
        for (rule, kind) in rules.iter().zip(CLUSTER_KINDS) {
            assert_eq!((words(&rule["apiGroups"]), words(&rule["resources"])), (vec![kind.group], vec![kind.plural]));
            assert_eq!((words(&rule["resourceNames"]), words(&rule["verbs"])), (vec!["gadgets"], verbs.to_vec()), "{name}: {rule}");
        }
        assert_eq!(named(&documents, "ClusterRoleBinding", &name)["subjects"], json!([]), "nobody has it but for the time of a run");
    }
    let site = named(&documents, "ClusterRole", "p861-site")["rules"].as_array().expect("rules");
    let of_bindings: Vec<&Value> = site.iter().filter(|rule| words(&rule["resources"]).contains(&"clusterrolebindings")).collect();
    assert_eq!(of_bindings.len(), 1);
    assert_eq!(words(&of_bindings[0]["resourceNames"]), ["p861-cluster-backup-shinan", "p861-cluster-restore-shinan"]);
}

#[test]
fn fault_h7_who_may_see_the_sites_may_see_whether_an_operator_leads_and_no_other_lease() {
    let documents = render(&["hub.clusterReaders={shinan-viewers}"]);
    let role = named(&documents, "Role", "p861-lease-reader");
    let expected = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["p861-operator"], "verbs": ["get"]}]);
    assert_eq!((&role["rules"], &role["metadata"]["namespace"]), (&expected, &json!(SYSTEM)));
    let binding = named(&documents, "RoleBinding", "p861-lease-reader");
    assert_eq!(binding["subjects"], json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "shinan-viewers"}]));
    assert_eq!(binding["roleRef"]["name"], "p861-lease-reader");
}

#[test]
fn no_verb_is_a_wildcard_and_no_resource_but_of_what_a_mover_saves_and_writes_and_of_what_remains_of_a_copy() {
    let documents = render(&[]);
    for role in of_kind(&documents, "ClusterRole").into_iter().chain(of_kind(&documents, "Role")) {
        let name = role["metadata"]["name"].as_str().expect("a name");
        for rule in role["rules"].as_array().expect("rules") {
            assert!(!words(&rule["verbs"]).contains(&"*"), "{name}: {rule}");
            assert!(rule.get("nonResourceURLs").is_none(), "{name}: {rule}");
            let wild = words(&rule["resources"]).contains(&"*") || words(&rule["apiGroups"]).contains(&"*");
            assert!(!wild || name.starts_with("p861-mover-") || name == "p861-site-cleaner", "{name}: {rule}");
        }
    }
    let everywhere: Vec<&str> = of_kind(&documents, "ClusterRoleBinding").iter().filter_map(|binding| binding["roleRef"]["name"].as_str()).collect();
    assert_eq!(everywhere, ["p861-hub", "p861-site"], "a mover's or a district's role is bound in one namespace at a time");
}

fn somewhere(user: &str) -> Place<'_> {
    Place { user, group: "", namespace: "" }
}

/// A RoleBinding or ClusterRoleBinding of a role of the chart to somebody.
fn bind(server: &Lone, role: &str, namespace: Option<&str>, subject: &Value) {
    // With the subject: tests beside each other give the same role to others.
    let name = format!("test-{role}-{}", subject["name"].as_str().unwrap_or_default());
    let kind = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
    let mut binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}});
    if let Some(namespace) = namespace {
        server.apply(&format!("{}", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})));
        binding["metadata"]["namespace"] = namespace.into();
    }
    server.apply(&binding.to_string());
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

/// Waits until the API server's authorizer has seen a new binding.
async fn until_may(server: &Lone, place: Place<'_>, verb: &str, resource: &str) {
    for _ in 0..1200 {
        if may(server, place, verb, resource, "").await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{place:?} still may not {verb} {resource} after a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_hub_and_on_a_site_the_operator_may_what_its_table_says() {
    let server = lone("chart_rights");
    let resources = served(&server.client(None).await).await;
    // The hub alone, as on a cluster where site.enabled is false.
    bind(&server, "p861-hub", None, &user("hub-alone"));
    until_may(&server, somewhere("hub-alone"), "get", "secrets").await;
    demand_equal("p861-hub", &rights(HUB, &resources), &allowed(&server, somewhere("hub-alone"), &resources, &VERBS).await);
    demand_equal("p861-site", &rights(ON_SITE, &resources), &allowed(&server, somewhere(SITE), &resources, &VERBS).await);
    let both = rights(&[HUB, ON_SITE].concat(), &resources);
    demand_equal("the operator on a hub that is a site too", &both, &allowed(&server, somewhere(OPERATOR), &resources, &VERBS).await);
    let lease = Place { namespace: SYSTEM, ..somewhere(OPERATOR) };
    for verb in VERBS {
        let expected = ["get", "create", "update"].contains(&verb);
        assert_eq!(may(&server, lease, verb, "leases.coordination.k8s.io", "p861-operator").await, expected, "{verb} the lease");
        assert!(
            !may(&server, Place { namespace: "kube-system", ..lease }, verb, "leases.coordination.k8s.io", "p861-operator").await,
            "{verb} a lease elsewhere"
        );
    }
}

/// Demands of each role that in its namespace it may what its table says, and nothing anywhere else.
async fn demand_roles(prefix: &str, namespace: &str, first: &str, reader: Table, roles: [(&str, &str, Table); 5]) {
    let server = lone("chart_rights");
    let resources = served(&server.client(None).await).await;
    for (person, role, table) in roles {
        // Somebody of his own, so that the roles of the hub and those of a site are not mixed: the two stand on one API server here.
        let person = &format!("{person}-{namespace}");
        bind(&server, &format!("{prefix}-{role}"), Some(namespace), &user(person));
        let here = Place { user: person, group: "", namespace };
        until_may(&server, here, "get", first).await;
        demand_equal(role, &rights(&[reader, table].concat(), &resources), &allowed(&server, here, &resources, &VERBS).await);
        for elsewhere in ["jimo", ""] {
            let found = allowed(&server, Place { namespace: elsewhere, ..here }, &resources, &MAIN_VERBS).await;
            assert!(found.is_empty(), "{role} of {namespace} may, in namespace {elsewhere:?}: {found:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_a_district_is_what_its_table_says_and_ends_at_its_namespace() {
    demand_roles("p861-role", "shinan", "drills.platform861.io", READER, ROLES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_a_district_on_a_site_reads_no_secret_and_ends_at_the_district_s_namespaces() {
    demand_roles("p861-site-role", "shinan-portal", "pods", SITE_READER, SITE_ROLES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mover_may_what_its_table_says_in_its_namespaces_and_nothing_elsewhere() {
    let server = lone("chart_rights");
    let resources = served(&server.client(None).await).await;
    let subject = json!({"kind": "ServiceAccount", "name": "p861-run-0a1b2c3d", "namespace": "shinan-portal"});
    let roles = [("p861-mover-backup", "shinan-portal", "list", MOVER_BACKUP), ("p861-mover-restore", "shinan-portal--drill-1", "get", MOVER_RESTORE)];
    for (role, namespace, first, table) in roles {
        bind(&server, role, Some(namespace), &subject);
        let here = Place { user: MOVER, group: "", namespace };
        until_may(&server, here, first, "secrets").await;
        demand_equal(role, &rights(table, &resources), &allowed(&server, here, &resources, &VERBS).await);
    }
    for elsewhere in ["shinan-approval", "p861-system", ""] {
        let found = allowed(&server, Place { user: MOVER, group: "", namespace: elsewhere }, &resources, &MAIN_VERBS).await;
        assert!(found.is_empty(), "the mover may, in namespace {elsewhere:?}: {found:?}");
    }
}

/// What the API server said when it refused.
fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> String {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 => status.message,
        other => panic!("not forbidden: {other:?}"),
    }
}

async fn account(server: &Lone, name: &str) -> Client {
    server.client(Some((name, &["system:serviceaccounts", "system:authenticated"]))).await
}

fn binding(name: &str, role: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [user("somebody")]})
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hands_out_more_than_the_roles_of_the_chart() {
    let server = lone("chart_rights");
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: handing-out}}");
    bind(&server, "p861-hub", None, &user("hub-alone"));
    until_may(&server, somewhere("hub-alone"), "get", "secrets").await;
    let apply = PatchParams::apply("p861-operator").force();
    // Not among the others: a role whose every right the account has itself, which it could hand out without being allowed to bind it.
    let given = [
        (
            "hub-alone",
            vec!["p861-role-viewer", "p861-role-engineer", "p861-role-approver", "p861-role-commander", "p861-role-auditor"],
            vec!["p861-mover-backup", "p861-mover-restore", "p861-site", "p861-site-role-viewer", "p861-site-role-engineer"],
        ),
        (
            SITE,
            vec![
                "p861-mover-backup",
                "p861-mover-restore",
                "p861-site-cleaner",
                "p861-site-copy-maker",
                "p861-copy-dns",
                "p861-site-role-viewer",
                "p861-site-role-engineer",
                "p861-site-role-approver",
                "p861-site-role-commander",
                "p861-site-role-auditor",
            ],
            vec!["p861-role-viewer", "p861-role-engineer", "p861-role-auditor", "p861-hub", "p861-cluster-reader"],
        ),
    ];
    for (who, roles, others) in given {
        let client = account(&server, who).await;
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), "handing-out");
        for role in &roles {
            bindings.patch(role, &apply, &Patch::Apply(binding(role, role))).await.unwrap_or_else(|error| panic!("{who} binds {role}: {error}"));
        }
        for role in others.into_iter().chain(["cluster-admin", "system:node", "system:aggregate-to-edit", "system:aggregate-to-view"]) {
            let name = format!("{}-too-much", role.replace(':', "-"));
            let said = refusal(bindings.patch(&name, &apply, &Patch::Apply(binding(&name, role))).await);
            assert!(said.contains("attempting to grant RBAC permissions not currently held"), "{who}, {role}: {said}");
        }
        let everywhere: Api<ClusterRoleBinding> = Api::all(client.clone());
        let mut document = binding("everywhere", roles[0]);
        document["kind"] = "ClusterRoleBinding".into();
        refusal(everywhere.patch("everywhere", &apply, &Patch::Apply(document)).await);
        let made: Api<Role> = Api::namespaced(client, "handing-out");
        refusal(
            made.create(
                &PostParams::default(),
                &Role { metadata: kube::core::ObjectMeta { name: Some("own".into()), ..Default::default() }, ..Default::default() },
            )
            .await,
        );
    }
}

/// Where an API server asks for a right over an owner that is kept until what it owns is gone, the journals need none: they don't keep it.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_owned_by_its_run_without_a_right_over_finalizers() {
    let server = lone("chart_rights");
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: owners}}");
    server.apply("{apiVersion: platform861.io/v1alpha1, kind: Drill, metadata: {name: owner, namespace: owners}, spec: {planRef: {name: core}, type: Isolated, requestedBy: administrator}}");
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", "Drill"), "drills");
    let operator = account(&server, OPERATOR).await;
    let drill: DynamicObject = Api::namespaced_with(operator.clone(), "owners", &resource).get("owner").await.expect("the operator reads the drill");
    let owner = kube::Resource::controller_owner_ref(&drill, &resource).expect("an owner");
    let maps: Api<ConfigMap> = Api::namespaced(operator, "owners");
    let map = |name: &str, blocking: bool| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": [{"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid, "controller": true, "blockOwnerDeletion": blocking}]}, "data": {"journal.jsonl": ""}});
    let apply = PatchParams::apply("p861-operator").force();
    let parsed: ConfigMap = serde_json::from_value(map("journal", false)).expect("a ConfigMap");
    let made = maps.create(&PostParams::default(), &parsed).await.expect("the journal is made");
    maps.replace("journal", &PostParams::default(), &ConfigMap { data: Some([("journal.jsonl".to_owned(), "{}\n".to_owned())].into()), ..made })
        .await
        .expect("the journal is appended to");
    maps.patch("report", &apply, &Patch::Apply(map("report", false))).await.expect("the report is written");
    maps.patch("report", &apply, &Patch::Apply(map("report", false))).await.expect("and written again");
    let said = refusal(maps.patch("blocking", &apply, &Patch::Apply(map("blocking", true))).await);
    assert!(said.contains("cannot set blockOwnerDeletion"), "the API server asks for that right at all: {said}");
}

/// The operator holds a run's object by applying its finalizer, and may patch runs but not create any.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_gone_is_not_made_anew_by_applying_to_it_with_its_uid() {
    let server = lone("chart_rights");
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: gone}}");
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("platform861.io", "v1alpha1", "Drill"), "drills");
    let drills: Api<DynamicObject> = Api::namespaced_with(account(&server, OPERATOR).await, "gone", &resource);
    let drill = |uid: &str| json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Drill", "metadata": {"name": "gone", "uid": uid, "finalizers": ["platform861.io/cleanup"]}});
    let apply = PatchParams::apply("platform861.io/cleanup").force();
    match drills.patch("gone", &apply, &Patch::Apply(drill("0a1b2c3d-0000-4000-8000-000000000001"))).await {
        Err(kube::Error::Api(status)) => assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"), "{}", status.message),
        other => panic!("not refused: {other:?}"),
    }
    assert!(drills.get_opt("gone").await.expect("the operator reads drills").is_none());
}

/// A restore writes whatever was saved: rights that the mover does not have itself are among it.
#[tokio::test(flavor = "multi_thread")]
async fn a_restoring_mover_writes_rights_that_it_has_not_but_only_where_it_is_bound() {
    let server = lone("chart_rights");
    let who = "system:serviceaccount:shinan-portal:p861-run-restoring";
    bind(&server, "p861-mover-restore", Some("restored"), &json!({"kind": "ServiceAccount", "name": "p861-run-restoring", "namespace": "shinan-portal"}));
    until_may(&server, Place { user: who, group: "", namespace: "restored" }, "get", "secrets").await;
    let client = server.mover(who).await;
    let apply = PatchParams::apply("p861-operator").force();
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "watcher"}, "rules": [{"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["*"]}]});
    let own = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "watcher"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "watcher"}, "subjects": [user("somebody")]});
    let (roles, bindings): (Api<Role>, Api<RoleBinding>) = (Api::namespaced(client.clone(), "restored"), Api::namespaced(client.clone(), "restored"));
    roles.patch("watcher", &apply, &Patch::Apply(role.clone())).await.expect("a Role with rights that the mover has not");
    bindings.patch("watcher", &apply, &Patch::Apply(own)).await.expect("a RoleBinding to it");
    bindings.patch("viewers", &apply, &Patch::Apply(binding("viewers", "view"))).await.expect("a RoleBinding to a ClusterRole");
    roles.delete("watcher", &DeleteParams::foreground()).await.expect("replaced: deleted first");
    let elsewhere: Api<Role> = Api::namespaced(client.clone(), "default");
    refusal(elsewhere.patch("watcher", &apply, &Patch::Apply(role)).await);
    let mut everywhere = binding("everywhere", "view");
    everywhere["kind"] = "ClusterRoleBinding".into();
    refusal(Api::<ClusterRoleBinding>::all(client).patch("everywhere", &apply, &Patch::Apply(everywhere)).await);
}

/// RBAC can't limit a creation to a name, but it can limit an application that creates.
#[tokio::test(flavor = "multi_thread")]
async fn fault_b12_a_mover_writes_its_districts_cluster_scoped_objects_by_name_and_no_right_beyond_its_own() {
    let server = lone("chart_rights");
    let object = |index: usize, group: &str, resource: &str, name: &str| {
        let object = format!("site.clusterResources.b12.objects[{index}]");
        [format!("{object}.group={group}"), format!("{object}.resource={resource}"), format!("{object}.names={{{name}}}")]
    };
    let rights = "site.clusterResources.b12.rights[0]";
    let rights = [format!("{rights}.apiGroups={{demo.example}}"), format!("{rights}.resources={{gadgets}}"), format!("{rights}.verbs={{get}}")];
    let values =
        [object(0, "scheduling.k8s.io", "priorityclasses", "b12-own"), object(1, "rbac.authorization.k8s.io", "clusterroles", "b12-own"), rights].concat();
    let documents = render(&values.iter().map(String::as_str).collect::<Vec<_>>());
    server.apply(&named(&documents, "ClusterRole", "p861-cluster-restore-b12").to_string());
    let who = "system:serviceaccount:shinan-portal:p861-run-b12";
    bind(&server, "p861-cluster-restore-b12", None, &json!({"kind": "ServiceAccount", "name": "p861-run-b12", "namespace": "shinan-portal"}));
    for _ in 0..1200 {
        if may(&server, somewhere(who), "patch", "priorityclasses.scheduling.k8s.io", "b12-own").await {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (client, apply) = (server.mover(who).await, PatchParams::apply("p861-operator"));
    let class = |name: &str| json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 5});
    let classes: Api<PriorityClass> = Api::all(client.clone());
    classes.patch("b12-own", &apply, &Patch::Apply(class("b12-own"))).await.expect("it is made by its name");
    classes.patch("b12-own", &apply, &Patch::Apply(class("b12-own"))).await.expect("and again");
    refusal(classes.patch("b12-other", &apply, &Patch::Apply(class("b12-other"))).await);
    refusal(classes.create(&PostParams::default(), &serde_json::from_value(class("b12-other")).expect("a class")).await);
    refusal(classes.delete("b12-own", &DeleteParams::default()).await);
    refusal(classes.list(&ListParams::default()).await);
    let role = |resources: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "b12-own"}, "rules": [{"apiGroups": ["demo.example"], "resources": [resources], "verbs": ["get"]}]});
    let roles: Api<ClusterRole> = Api::all(client);
    roles.patch("b12-own", &apply, &Patch::Apply(role("gadgets"))).await.expect("a role with the rights that the administrator lists");
    let said = refusal(roles.patch("b12-own", &apply, &Patch::Apply(role("secrets"))).await);
    assert!(said.contains("attempting to grant RBAC permissions not currently held"), "{said}");
}
