//! What a backup takes, and what it leaves and why.

use super::*;
use serde_json::json;

fn of(object: Value) -> Result<Value, LeaveReason> {
    among(object, &[])
}

/// With these Services in the namespace, each with or without a selector.
fn among(object: Value, services: &[(&str, bool)]) -> Result<Value, LeaveReason> {
    let facts = NamespaceFacts { services: services.iter().map(|(name, selects)| ((*name).to_owned(), *selects)).collect() };
    match judge(object, &[], &facts, StatusOwner::Controller) {
        SaveDecision::Keep(value) => Ok(value),
        SaveDecision::Leave(why) => Err(why),
    }
}

fn object(api: &str, kind: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "n"}});
    merge(&mut object, rest);
    object
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value)),
        (into, from) => *into = from,
    }
}

#[test]
fn the_servers_own_fields_are_gone_and_the_rest_is_untouched() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "managedFields": [],
        "labels": {"x": "y"}, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "me"}}, "data": {"k": "v"}, "status": {"a": 1}});
    let saved = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "labels": {"x": "y"}, "annotations": {"keep": "me"}}, "data": {"k": "v"}});
    assert_eq!(of(object), Ok(saved));
}

#[test]
fn fault_b2_whatever_nobody_is_known_to_make_again_is_kept_with_a_reference_to_its_owner() {
    let owned = |api: &str, kind: &str, owner: (&str, &str)| {
        let reference = json!({"apiVersion": owner.0, "kind": owner.1, "name": "o", "uid": "u-1", "controller": true, "blockOwnerDeletion": true});
        object(api, kind, json!({"metadata": {"ownerReferences": [reference]}}))
    };
    for (api, kind, owner, expected) in [
        ("v1", "Secret", ("v1", "ConfigMap"), None),
        ("v1", "Secret", ("example.com/v1", "Database"), None),
        ("apps/v1", "ReplicaSet", ("argoproj.io/v1alpha1", "Rollout"), None),
        ("v1", "PersistentVolumeClaim", ("apps/v1", "StatefulSet"), None),
        ("v1", "Pod", ("apps/v1", "ReplicaSet"), Some(LeaveReason::MadeByOwner)),
        ("apps/v1", "ReplicaSet", ("apps/v1", "Deployment"), Some(LeaveReason::MadeByOwner)),
        ("batch/v1", "Job", ("batch/v1", "CronJob"), Some(LeaveReason::MadeByOwner)),
        ("v1", "Pod", ("example.com/v1", "Database"), Some(LeaveReason::ControlledPod)),
    ] {
        let judged = of(owned(api, kind, owner));
        assert_eq!(judged.as_ref().err().copied(), expected, "{kind} of {owner:?}");
        if let Ok(saved) = judged {
            let reference = json!([{"apiVersion": owner.0, "kind": owner.1, "name": "o", "controller": true, "blockOwnerDeletion": true}]);
            assert_eq!(saved.pointer("/metadata/ownerReferences"), Some(&reference), "{kind} of {owner:?}");
        }
    }
}

#[test]
fn fault_b3_what_people_put_into_a_service_account_and_their_own_tokens_are_kept() {
    let account = |name: &str, rest: Value| {
        let mut account = object("v1", "ServiceAccount", rest);
        account["metadata"]["name"] = json!(name);
        account
    };
    let untouched =
        json!({"metadata": {"uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-11-15T00:00:00Z"}, "secrets": [{"name": "default-token-x7k2p"}]});
    assert_eq!(of(account("default", untouched.clone())), Err(LeaveReason::MadeByCluster));
    assert!(of(account("web", untouched)).is_ok(), "only the default one is made again");
    for put in [
        json!({"imagePullSecrets": [{"name": "reg"}]}),
        json!({"metadata": {"labels": {"team": "a"}}}),
        json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn"}}}),
        json!({"automountServiceAccountToken": false}),
        json!({"secrets": [{"name": "mountable"}]}),
    ] {
        let mut listed = account("default", put.clone());
        listed["metadata"]["uid"] = json!("u");
        assert_eq!(of(listed), Ok(account("default", put)));
    }
    let token = |name: &str, rest: Value| {
        let mut secret = object("v1", "Secret", rest);
        secret["metadata"]["name"] = json!(name);
        secret["type"] = json!("kubernetes.io/service-account-token");
        secret["metadata"]["annotations"]["kubernetes.io/service-account.name"] = json!("ci");
        secret
    };
    let filled = json!({"data": {"token": "dA==", "ca.crt": "Yw==", "namespace": "bg=="},
        "metadata": {"annotations": {"kubernetes.io/service-account.uid": "u"}, "labels": {"kubernetes.io/legacy-token-last-used": "2026-11-15"}}});
    assert_eq!(of(token("ci-token-x7k2p", filled.clone())), Err(LeaveReason::MadeByCluster));
    assert_eq!(of(token("ci-for-the-pipeline", filled)), Ok(token("ci-for-the-pipeline", json!({}))), "without data and the account's UID");
    let more = json!({"data": {"token": "dA==", "note": "bQ=="}});
    assert_eq!(of(token("ci-mine", more)), Ok(token("ci-mine", json!({"data": {"note": "bQ=="}}))), "a key of the user's own stays");
}

#[test]
fn fault_b4_addresses_that_a_person_wrote_are_kept_and_those_that_follow_pods_are_not() {
    let slice = |managed: &str| {
        object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            json!({"metadata": {"labels": {"kubernetes.io/service-name": "s", "endpointslice.kubernetes.io/managed-by": managed}}}),
        )
    };
    let endpoints = |rest: Value| object("v1", "Endpoints", rest);
    let managed = json!({"metadata": {"labels": {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}}});
    let by_hand = object("discovery.k8s.io/v1", "EndpointSlice", json!({"metadata": {"labels": {"kubernetes.io/service-name": "s"}}}));
    let in_default = |mut it: Value| {
        it["metadata"]["name"] = json!("kubernetes");
        it["metadata"]["namespace"] = json!("default");
        it
    };
    for (what, services, kept) in [
        (by_hand.clone(), &[("s", false)][..], true),
        (by_hand.clone(), &[("s", true)], true),
        (slice("me.example.com"), &[("s", false)], true),
        (slice("endpointslice-controller.k8s.io"), &[("s", true)], false),
        (slice("endpointslice-controller.k8s.io"), &[], false),
        // The selector was taken away: now it is whoever edits it.
        (slice("endpointslice-controller.k8s.io"), &[("s", false)], true),
        (slice("endpointslicemirroring-controller.k8s.io"), &[("s", false)], false),
        (endpoints(json!({})), &[("a", false)], true),
        (endpoints(json!({})), &[], true),
        (endpoints(json!({})), &[("a", true)], false),
        (endpoints(managed.clone()), &[], false),
        (endpoints(managed), &[("a", false)], true),
        (endpoints(json!({"metadata": {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}})), &[("a", false)], false),
        (in_default(by_hand), &[], false),
        (in_default(object("v1", "Service", json!({}))), &[], false),
        (in_default(endpoints(json!({}))), &[("kubernetes", false)], false),
    ] {
        let judged = among(what.clone(), services);
        assert_eq!(judged.is_ok(), kept, "{what} among {services:?}: {judged:?}");
        assert!(kept || judged == Err(LeaveReason::MadeByCluster), "{what}: {judged:?}");
    }
}

#[test]
fn fault_b5_of_a_namespace_what_people_put_there_is_kept() {
    let labels = json!({"kubernetes.io/metadata.name": "n", DISTRICT_LABEL: "shinan", PLATFORM_LABEL: "shinan", DEPARTMENT_LABEL: "it", DRILL_LABEL: "k7m2q", RUN_LABEL: "u",
        "pod-security.kubernetes.io/enforce": "restricted", "istio-injection": "enabled"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "uid": "u", "labels": labels, "annotations": {"owner": "me"}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    let kept = json!({"pod-security.kubernetes.io/enforce": "restricted", "istio-injection": "enabled"});
    assert_eq!(of(namespace), Ok(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": kept, "annotations": {"owner": "me"}}})));
}

#[test]
fn fault_b11_pod_templates_and_objects_with_a_role_of_the_users_own_are_kept() {
    assert!(of(object("v1", "PodTemplate", json!({}))).is_ok());
    for (labels, kept) in [
        (json!({ROLE_LABEL: "frontend"}), true),
        (json!({ROLE_LABEL: "mover"}), true),
        (json!({ROLE_LABEL: "mover", RUN_LABEL: "u"}), false),
        (json!({ROLE_LABEL: "frontend", RUN_LABEL: "u"}), true),
        (json!({ROLE_LABEL: "access", DISTRICT_LABEL: "shinan"}), false),
        (json!({ROLE_LABEL: "platform", PLATFORM_LABEL: "shinan"}), false),
        (json!({RUN_LABEL: "u"}), true),
    ] {
        assert_eq!(of(object("v1", "ConfigMap", json!({"metadata": {"labels": labels}}))).is_ok(), kept, "{labels}");
    }
}

#[test]
fn what_has_ended_is_left_and_what_has_not_is_kept() {
    for (api, kind, status, kept) in [
        ("batch/v1", "Job", json!({"conditions": [{"type": "Complete", "status": "True"}]}), false),
        ("batch/v1", "Job", json!({"conditions": [{"type": "Failed", "status": "True"}]}), false),
        ("batch/v1", "Job", json!({"conditions": [{"type": "Suspended", "status": "True"}]}), true),
        ("batch/v1", "Job", json!({"active": 1}), true),
        ("v1", "Pod", json!({"phase": "Succeeded"}), false),
        ("v1", "Pod", json!({"phase": "Failed"}), false),
        ("v1", "Pod", json!({"phase": "Running"}), true),
    ] {
        let judged = of(object(api, kind, json!({"status": status.clone()})));
        assert_eq!(judged.as_ref().err(), (!kept).then_some(&LeaveReason::Finished), "{kind} {status}");
    }
    let going = object("v1", "Secret", json!({"metadata": {"deletionTimestamp": "2026-11-15T00:00:00Z"}}));
    assert_eq!(of(going), Err(LeaveReason::BeingDeleted));
}

#[test]
fn what_the_application_excludes_is_left() {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cache"}});
    let rule = |name: Option<&str>, group: Option<&str>| ObjectSelector { group: group.map(Into::into), kind: "Deployment".into(), name: name.map(Into::into) };
    assert_eq!(save(object.clone(), &[rule(Some("cache"), Some("apps"))]), SaveDecision::Leave(LeaveReason::Excluded));
    assert!(matches!(save(object.clone(), &[rule(Some("other"), Some("apps"))]), SaveDecision::Keep(_)));
    assert!(matches!(save(object, &[rule(None, None)]), SaveDecision::Keep(_)), "a core Deployment does not exist");
}

#[test]
fn fault_b10_a_status_that_is_data_is_saved_with_the_object() {
    let gadget = object("demo.example/v1", "Gadget", json!({"spec": {"a": 1}, "status": {"serial": 7}, "metadata": {"uid": "u"}}));
    for (owner, status) in [(StatusOwner::Writer, Some(json!({"serial": 7}))), (StatusOwner::Controller, None)] {
        let SaveDecision::Keep(saved) = judge(gadget.clone(), &[], &NamespaceFacts::default(), owner) else { panic!("it is kept") };
        assert_eq!((saved.get("status"), saved["metadata"].get("uid")), (status.as_ref(), None), "{owner:?}");
    }
}
