//! Writing one object, against an API server that says what a case wants and notes what it is asked.

use super::{conflicts::names_of, counting::Outcome, *};
use http::{Method, Request, Response, StatusCode};
use kube::{client::Body, core::Status};
use p861_crds::{platform::application::ObjectSelector, protection::restore::RestoreSelection};
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc};

/// A small API server with one object.
struct Server {
    there: Option<Value>,
    /// How it answers what would change the object in place.
    on_change: Option<(u16, &'static str)>,
    /// How it answers what would create it, unless it is there.
    on_create: Vec<(u16, &'static str, &'static str)>,
    asked: Vec<String>,
}

fn status(code: u16, message: &str, field: &str) -> (StatusCode, Value) {
    let reason = match (code, message) {
        (409, "changed") => "Conflict",
        (409, _) => "AlreadyExists",
        (404, _) => "NotFound",
        (422, _) => "Invalid",
        _ => "Other",
    };
    let details = json!({"causes": [{"field": field, "message": message, "reason": "FieldValueInvalid"}]});
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, "details": details});
    (StatusCode::from_u16(code).unwrap(), status)
}

fn merged(mut live: Value, patch: &Value) -> Value {
    match (&mut live, patch) {
        (Value::Object(live), Value::Object(patch)) => {
            for (key, value) in patch {
                let before = live.remove(key).unwrap_or(Value::Null);
                live.insert(key.clone(), merged(before, value));
            }
        }
        _ => return patch.clone(),
    }
    live
}

fn client(server: &Arc<Mutex<Server>>) -> Client {
    let server = server.clone();
    let answer = move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (head, body) = request.into_parts();
            let body: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
            let trial = head.uri.query().unwrap_or_default().contains("dryRun=All");
            let mut server = server.lock();
            let uid = body.pointer("/preconditions/uid").and_then(Value::as_str).map(|uid| format!(" {uid}")).unwrap_or_default();
            let policy = body.get("propagationPolicy").and_then(Value::as_str).map(|policy| format!(" {policy}")).unwrap_or_default();
            server.asked.push(format!("{}{}{uid}{policy}", head.method, if trial { " as a trial" } else { "" }));
            let (code, body) = match (&head.method, server.there.clone()) {
                (&Method::GET, Some(there)) => (StatusCode::OK, there),
                (&Method::POST, there) => match server.on_create.pop() {
                    Some((code, message, field)) => status(code, message, field),
                    None if there.is_some() => status(409, "exists", ""),
                    None => {
                        if !trial {
                            server.there = Some(body.clone());
                        }
                        (StatusCode::CREATED, body)
                    }
                },
                (&Method::DELETE, Some(_)) => {
                    server.there = None;
                    (StatusCode::OK, json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}))
                }
                (method, Some(there)) => {
                    if let Some((code, message)) = server.on_change {
                        status(code, message, "spec")
                    } else {
                        let after = if method == Method::PUT { body } else { merged(there, &body) };
                        if !trial {
                            server.there = Some(after.clone());
                        }
                        (StatusCode::OK, after)
                    }
                }
                (_, None) => status(404, "not found", ""),
            };
            Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap())
        }
    };
    Client::new(tower::service_fn(answer), "n")
}

fn object(api: &str, kind: &str, spec: Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "n", "uid": "u1", "resourceVersion": "7"}, "spec": spec})
}

fn saved(live: &Value, spec: Value) -> Value {
    let mut object = live.clone();
    object["spec"] = spec;
    object["metadata"] = json!({"name": "a", "namespace": "n"});
    object
}

/// A server that serves the object's kind alone.
fn kinds_of(object: &Value) -> Kinds {
    let (group, kind) = (objects::group(object).to_owned(), objects::kind(object).to_owned());
    let api_version = object["apiVersion"].as_str().unwrap().to_owned();
    let resource = ApiResource { group: group.clone(), version: "v1".into(), api_version, plural: format!("{}s", kind.to_lowercase()), kind: kind.clone() };
    Kinds::from([((group, kind), resource)])
}

fn writer<'a>(client: &'a Client, kinds: Kinds, conflict: ConflictHandling, dry_run: bool, pace: &'a Mutex<Pace>) -> Writer<'a> {
    Writer {
        client,
        run: "run",
        kinds,
        conflict,
        isolated: false,
        restored: ["n".to_owned()].into(),
        absent: &[],
        dry_run,
        holds: false,
        stops_first: dry_run,
        fixed: Mutex::default(),
        pace,
        owners: Mutex::default(),
        quotas: Quotas::default(),
    }
}

struct World {
    server: Arc<Mutex<Server>>,
    tally: Mutex<Tally>,
}

impl World {
    fn with(there: Option<Value>) -> Self {
        Self { server: Arc::new(Mutex::new(Server { there, on_change: None, on_create: Vec::new(), asked: Vec::new() })), tally: Mutex::default() }
    }

    fn refusing_changes(self, code: u16, message: &'static str) -> Self {
        self.server.lock().on_change = Some((code, message));
        self
    }

    async fn write(&self, object: Value, policy: Option<ConflictPolicy>) -> Outcome {
        let (client, pace) = (client(&self.server), Mutex::default());
        let conflict = policy.map_or(ConflictHandling::Own, ConflictHandling::Policy);
        let writer = writer(&client, kinds_of(&object), conflict, false, &pace);
        let (outcome, adjusted) = writer.write(object, false).await.unwrap();
        for how in adjusted {
            self.tally.lock().adjust(how);
        }
        outcome
    }

    /// What a look before anything is written finds.
    async fn look(&self, object: Value, policy: ConflictPolicy) -> Outcome {
        let (client, pace, conflict) = (client(&self.server), Mutex::default(), ConflictHandling::Policy(policy));
        let writer = writer(&client, kinds_of(&object), conflict, true, &pace);
        writer.look(object).await.unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.server.lock().asked)
    }
}

const POLICIES: [ConflictPolicy; 4] = [ConflictPolicy::Refuse, ConflictPolicy::Skip, ConflictPolicy::Merge, ConflictPolicy::Replace];

#[tokio::test]
async fn fault_a3_each_object_counts_as_what_happened_under_every_policy() {
    let live = object("apps/v1", "Deployment", json!({"a": 1, "b": 2}));
    for policy in POLICIES {
        let world = World::with(None);
        assert_eq!(world.write(saved(&live, json!({"a": 1})), Some(policy)).await, Outcome::Created(String::new()), "{policy:?}");
        assert_eq!(world.asked(), ["POST"], "{policy:?}: nothing is asked beside");
        // A second attempt finds what the first one wrote.
        let world = World::with(Some(live.clone()));
        assert_eq!(world.write(saved(&live, json!({"a": 1, "b": 2})), Some(policy)).await, Outcome::Same, "{policy:?}");
        assert_eq!(world.asked(), ["POST", "GET"], "{policy:?}: nothing is written again");
    }
    for (policy, outcome, after) in [
        (ConflictPolicy::Merge, Some("spec.a: 1 → 3"), json!({"a": 3, "b": 2})),
        (ConflictPolicy::Replace, Some("spec.a: 1 → 3\nspec.b: 2 → (none)"), json!({"a": 3})),
        (ConflictPolicy::Skip, None, json!({"a": 1, "b": 2})),
        (ConflictPolicy::Refuse, None, json!({"a": 1, "b": 2})),
    ] {
        let world = World::with(Some(live.clone()));
        let found = world.write(saved(&live, json!({"a": 3})), Some(policy)).await;
        match outcome {
            Some(how) => assert_eq!(found, Outcome::Changed(how.into()), "{policy:?}"),
            None => assert!(matches!(found, Outcome::Left(..) | Outcome::Refused(_)), "{policy:?}: {found:?}"),
        }
        assert_eq!(world.server.lock().there.as_ref().unwrap()["spec"], after, "{policy:?}");
    }
}

#[tokio::test]
async fn fault_i3_what_a_quota_counts_is_created_only_if_it_is_missing() {
    let live = object("v1", "Secret", json!({"a": 1}));
    let (wanted, other) = (saved(&live, json!({"a": 1})), saved(&live, json!({"a": 3})));
    let (secrets, maps) = (Some(&["count/secrets"][..]), Some(&["configmaps"][..]));
    for policy in POLICIES {
        for (case, quota, there, wanted, asked) in [
            ("counted and there", secrets, true, &wanted, &["GET"][..]),
            ("whose quotas can't be read", None, true, &wanted, &["GET"][..]),
            ("counted and missing", secrets, false, &wanted, &["GET", "POST"][..]),
            ("not counted", maps, true, &wanted, &["POST", "GET"][..]),
            ("without a quota", Some(&[][..]), false, &wanted, &["POST"][..]),
        ] {
            let world = World::with(there.then(|| live.clone()));
            let (client, pace) = (client(&world.server), Mutex::default());
            let mut writer = writer(&client, kinds_of(wanted), ConflictHandling::Policy(policy), false, &pace);
            writer.quotas = Quotas::of("n", quota);
            let (outcome, _) = writer.write(wanted.clone(), false).await.unwrap();
            assert_eq!(outcome, if there { Outcome::Same } else { Outcome::Created(String::new()) }, "{case}, {policy:?}");
            assert_eq!(world.asked(), asked, "{case}, {policy:?}");
        }
        let world = World::with(Some(live.clone()));
        let (client, pace) = (client(&world.server), Mutex::default());
        let mut writer = writer(&client, kinds_of(&other), ConflictHandling::Policy(policy), false, &pace);
        writer.quotas = Quotas::of("n", secrets);
        writer.write(other.clone(), false).await.unwrap();
        assert!(!world.asked().contains(&"POST".to_owned()), "{policy:?}: what differs isn't created either");
    }
}

#[tokio::test]
async fn fault_i3_a_quota_that_the_restore_writes_itself_counts_from_then_on() {
    let quota = object("v1", "ResourceQuota", json!({"hard": {"persistentvolumeclaims": "3"}}));
    let world = World::with(None);
    let (client, pace) = (client(&world.server), Mutex::default());
    let claim = object("v1", "PersistentVolumeClaim", json!({}));
    let kinds = kinds_of(&quota).into_iter().chain(kinds_of(&claim)).collect();
    let writer = writer(&client, kinds, ConflictHandling::Policy(ConflictPolicy::Merge), false, &pace);
    writer.write(saved(&quota, quota["spec"].clone()), false).await.unwrap();
    world.server.lock().there = Some(claim.clone());
    world.asked();
    writer.write(saved(&claim, json!({})), false).await.unwrap();
    assert!(!world.asked().contains(&"POST".to_owned()));
}

#[tokio::test]
async fn fault_a3_what_was_there_and_only_lacked_something_counts_as_changed_and_is_no_conflict() {
    let namespace = |metadata: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
    let saved = namespace(json!({"name": "n", "labels": {"team": "a"}}));
    let made = json!({(p861_crds::names::MADE_BY_ANNOTATION): "run"});
    for policy in POLICIES {
        for (live, first, second) in [
            (json!({"name": "n", "labels": {"other": "b"}}), "added", "same"),
            // The run itself has made it a moment ago.
            (json!({"name": "n", "annotations": made}), "created", "created"),
        ] {
            let world = World::with(Some(namespace(live)));
            let looked = world.look(saved.clone(), policy).await;
            assert!(!matches!(looked, Outcome::Changed(_)), "{policy:?}: it stands in nobody's way: {looked:?}");
            for expected in [first, second] {
                let found = match world.write(saved.clone(), Some(policy)).await {
                    Outcome::Added(_) => "added",
                    Outcome::Created(_) => "created",
                    Outcome::Same => "same",
                    other => panic!("{policy:?}: {other:?}"),
                };
                assert_eq!(found, expected, "{policy:?}");
            }
            assert_eq!(world.server.lock().there.as_ref().unwrap()["metadata"]["labels"]["team"], "a", "{policy:?}");
        }
    }
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "n", "uid": "u1"}});
    let mut saved = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "n"}});
    saved["imagePullSecrets"] = json!([{"name": "registry"}]);
    let world = World::with(Some(account));
    assert!(matches!(world.look(saved.clone(), ConflictPolicy::Refuse).await, Outcome::Added(_)));
    assert!(matches!(world.write(saved.clone(), Some(ConflictPolicy::Refuse)).await, Outcome::Added(_)));
    assert_eq!(world.write(saved, Some(ConflictPolicy::Refuse)).await, Outcome::Same);
}

#[tokio::test]
async fn fault_c1_nothing_that_holds_data_is_deleted_whatever_the_api_server_refuses() {
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let other = json!({"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}});
    for policy in [None].into_iter().chain(POLICIES.map(Some)) {
        for (api, kind, spec, wanted) in [
            ("v1", "PersistentVolumeClaim", claim.clone(), other.clone()),
            ("demo.example/v1", "Database", json!({"size": 1}), json!({"size": 2})),
            ("v1", "Unlisted", json!({"size": 1}), json!({"size": 2})),
        ] {
            let live = object(api, kind, spec);
            let world = World::with(Some(live.clone())).refusing_changes(422, "spec: field is immutable");
            let found = world.write(saved(&live, wanted), policy).await;
            assert!(matches!(found, Outcome::Refused(_) | Outcome::Left(..)), "{policy:?} {kind}: {found:?}");
            assert!(!world.asked().iter().any(|asked| asked.starts_with("DELETE")), "{policy:?} {kind}");
            assert_eq!(world.server.lock().there.as_ref(), Some(&live), "{policy:?} {kind}");
        }
    }
}

#[tokio::test]
async fn fault_c1_what_cannot_be_changed_in_place_is_made_again_by_its_uid_and_orphans_what_it_owns() {
    let live = object("apps/v1", "StatefulSet", json!({"serviceName": "a"}));
    let whole = ["POST", "GET", "PUT", "POST as a trial", "DELETE u1 Orphan", "GET", "POST"];
    let world = World::with(Some(live.clone())).refusing_changes(422, "spec: Forbidden: updates to it are forbidden");
    let found = world.write(saved(&live, json!({"serviceName": "b"})), Some(ConflictPolicy::Replace)).await;
    assert!(matches!(found, Outcome::Changed(_)), "{found:?}");
    assert_eq!(world.asked(), whole);
    assert_eq!(world.server.lock().there.as_ref().unwrap()["spec"], json!({"serviceName": "b"}));
    // Under Merge nothing is deleted, and neither is what the API server would not take again, or refuses for another reason than that it can't be changed.
    for (policy, code, message, on_create, asked) in [
        (ConflictPolicy::Merge, 422, "immutable", vec![], &["POST", "GET", "PATCH"][..]),
        (ConflictPolicy::Replace, 422, "immutable", vec![(403, "no", ""), (409, "exists", "")], &whole[..4]),
        (ConflictPolicy::Replace, 403, "webhook says no", vec![], &whole[..3]),
    ] {
        let world = World::with(Some(live.clone())).refusing_changes(code, message);
        world.server.lock().on_create = on_create;
        let found = world.write(saved(&live, json!({"serviceName": "b"})), Some(policy)).await;
        assert!(matches!(found, Outcome::Refused(_)), "{policy:?} {code}: {found:?}");
        assert_eq!(world.asked(), asked, "{policy:?} {code}");
    }
}

#[tokio::test]
async fn fault_c1_what_cannot_become_as_saved_is_a_difference_that_is_found_before_anything_is_written() {
    let claim = |size: &str| object("v1", "PersistentVolumeClaim", json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}));
    let mut going = claim("5Gi");
    going["metadata"]["deletionTimestamp"] = json!("2026-11-15T00:00:00Z");
    for (live, says) in [(claim("1Gi"), "it requests 1Gi, the backup's 5Gi"), (going, "it is being deleted")] {
        let world = World::with(Some(live));
        let looked = world.look(claim("5Gi"), ConflictPolicy::Refuse).await;
        assert!(matches!(&looked, Outcome::Changed(why) if why.contains(says)), "{looked:?}");
        assert!(matches!(world.write(claim("5Gi"), Some(ConflictPolicy::Skip)).await, Outcome::Left(..)), "Skip leaves what differs: {says}");
        let merged = world.write(claim("5Gi"), Some(ConflictPolicy::Merge)).await;
        assert!(matches!(&merged, Outcome::Refused(why) if why.contains(says)), "{merged:?}");
    }
}

#[tokio::test]
async fn fault_b14_what_can_not_be_changed_is_known_from_a_look_and_what_may_be_taken_later_is_not_called_so() {
    let running = |mut live: Value| {
        live["status"] = json!({"replicas": 2});
        live
    };
    let (web, map) = (object("apps/v1", "Deployment", json!({"a": 1})), object("v1", "ConfigMap", json!({"a": 1})));
    let widget = object("demo.example/v1", "Widget", json!({"a": 1}));
    for (case, live, policy, code, fixed) in [
        ("an immutable field under Merge", running(web.clone()), ConflictPolicy::Merge, 422, true),
        ("under Replace it is made again, once it is stopped", running(web.clone()), ConflictPolicy::Replace, 422, false),
        ("of a kind that is never deleted", widget.clone(), ConflictPolicy::Replace, 422, true),
        ("a webhook that doesn't answer yet", running(web), ConflictPolicy::Merge, 403, false),
        ("a sealed map under Merge", map.clone(), ConflictPolicy::Merge, 422, true),
        ("Skip changes nothing", map, ConflictPolicy::Skip, 422, true),
    ] {
        let world = World::with(Some(live.clone())).refusing_changes(code, "spec: field is immutable");
        let (client, pace, conflict) = (client(&world.server), Mutex::default(), ConflictHandling::Policy(policy));
        let wanted = saved(&live, json!({"a": 2}));
        let writer = writer(&client, kinds_of(&wanted), conflict, true, &pace);
        let outcome = writer.look(wanted.clone()).await.unwrap();
        assert_eq!(writer.fixed.lock().contains(&objects::Identity::of(&wanted)), fixed, "{case}: {outcome:?}");
        assert_eq!(world.server.lock().there.as_ref(), Some(&live), "{case}: nothing was changed");
    }
}

#[test]
fn fault_c1_who_cannot_see_what_is_there_does_not_write() {
    let answer = |code: u16| {
        let status: Status = serde_json::from_value(json!({"status": "Failure", "code": code, "message": "no", "reason": "Forbidden"})).unwrap();
        names_of(Err(Box::new(status)), || "list secrets in n".into())
    };
    for (code, nothing_there) in [(404, true), (405, true), (403, false), (400, false), (422, false)] {
        assert_eq!(answer(code).is_ok_and(|names| names.is_empty()), nothing_there, "{code}");
    }
}

#[tokio::test]
async fn fault_a4_a_kind_that_is_not_served_is_no_conflict() {
    let (client, pace, mut tally) = (client(&World::with(None).server), Mutex::default(), Tally::default());
    let conflict = ConflictHandling::Policy(ConflictPolicy::Refuse);
    let writer = writer(&client, Kinds::new(), conflict, false, &pace);
    let widget = object("demo.example/v1", "Widget", json!({}));
    for dry_run in [false, true] {
        let outcome = if dry_run { writer.look(widget.clone()).await.unwrap() } else { writer.write(widget.clone(), false).await.unwrap().0 };
        assert_eq!(outcome, Outcome::NotServed);
    }
    tally.note(Outcome::NotServed, &widget);
    assert_eq!((tally.changes.not_served, tally.changes.change, tally.not_served), (1, 0, BTreeMap::from([("Widget.demo.example".into(), 1)])));
}

#[tokio::test]
async fn fault_b6_a_node_port_that_is_taken_is_allotted_anew_and_counted() {
    let service = object("v1", "Service", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30888}]}));
    let world = World::with(None);
    world.server.lock().on_create = vec![(422, "provided port is already allocated", "spec.ports[0].nodePort")];
    assert_eq!(world.write(service.clone(), Some(ConflictPolicy::Refuse)).await, Outcome::Created(String::new()));
    assert_eq!(world.server.lock().there.as_ref().unwrap()["spec"]["ports"], json!([{"port": 80}]));
    assert_eq!(world.tally.lock().adjusted.values().sum::<u64>(), 1);
}

#[tokio::test]
async fn fault_a3_of_a_service_that_is_there_nothing_is_allotted_anew() {
    let spec = json!({"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{"port": 80}]});
    let live = object("v1", "Service", spec.clone());
    let world = World::with(Some(live.clone()));
    world.server.lock().on_create = vec![(422, "provided IP is already allocated", "spec.clusterIPs")];
    assert_eq!(world.write(saved(&live, spec), Some(ConflictPolicy::Refuse)).await, Outcome::Same);
    assert_eq!(world.tally.lock().adjusted.values().sum::<u64>(), 0, "it keeps its own address");
}

#[tokio::test]
async fn fault_g1_what_rests_in_the_backup_is_made_without_a_mark_and_gets_its_own_where_another_was_stopped() {
    let off = object("apps/v1", "Deployment", json!({"replicas": 0}));
    let stopped = merged(off.clone(), &json!({"metadata": {"annotations": {"platform861.io/replicas": "3"}}}));
    let wanted = saved(&off, json!({"replicas": 0}));
    for (case, there, mark) in [("not there", None, None), ("it rests as well", Some(off), None), ("it was stopped", Some(stopped), Some("0"))] {
        for policy in [ConflictPolicy::Merge, ConflictPolicy::Replace] {
            let world = World::with(there.clone());
            let (client, pace) = (client(&world.server), Mutex::default());
            let mut writer = writer(&client, kinds_of(&wanted), ConflictHandling::Policy(policy), false, &pace);
            writer.holds = true;
            writer.write(wanted.clone(), false).await.unwrap();
            let there = world.server.lock().there.clone().unwrap();
            assert_eq!(objects::stopped_replicas(&there), mark, "{case}, {policy:?}: the start makes it what the backup says");
        }
    }
}

#[tokio::test]
async fn fault_b14_what_server_side_apply_cannot_express_is_updated_whole() {
    let live = object("apps/v1", "Deployment", json!({"a": 1}));
    let world = World::with(Some(live.clone())).refusing_changes(400, "duplicate entries for key [name=\"A\"]");
    let found = world.write(saved(&live, json!({"a": 2})), Some(ConflictPolicy::Merge)).await;
    assert_eq!(world.asked(), ["POST", "GET", "PATCH", "PUT"]);
    assert!(matches!(found, Outcome::Refused(_)), "this server refuses that as well: {found:?}");
}

#[test]
fn fault_b13_what_the_application_excludes_is_left_out_of_a_restore_too() {
    let exclude = |group: Option<&str>, kind: &str, name: Option<&str>| Choice {
        exclude: vec![ObjectSelector { group: group.map(str::to_owned), kind: kind.into(), name: name.map(str::to_owned) }],
        ..Choice::default()
    };
    let widget = object("demo.example/v1", "Widget", json!({}));
    for (choice, left) in [
        (exclude(Some("demo.example"), "Widget", None), true),
        (exclude(Some("demo.example"), "Widget", Some("a")), true),
        (exclude(Some("demo.example"), "Widget", Some("b")), false),
        (exclude(None, "Widget", None), false),
    ] {
        assert_eq!(choice.leaves(&widget).is_some(), left, "{choice:?}");
    }
}

#[test]
fn fault_a_what_a_restore_selects_and_the_backup_does_not_have_is_named() {
    let resources =
        json!([{"group": "apps", "kind": "Deployment", "name": "a"}, {"group": "apps", "kind": "Deployment", "name": "nosuch"}, {"kind": "Secret"}]);
    let choice = Choice {
        select: RestoreSelection { resources: serde_json::from_value(resources).unwrap(), ..RestoreSelection::default() },
        // What the Application leaves out is there all the same.
        exclude: vec![ObjectSelector { group: None, kind: "Secret".into(), name: None }],
        ..Choice::default()
    };
    assert_eq!(choice.unmet().as_deref(), Some("Deployment.apps a, Deployment.apps nosuch, Secret"));
    for saved in [object("apps/v1", "Deployment", json!({})), object("v1", "Secret", json!({})), object("v1", "Service", json!({}))] {
        choice.clone().leaves(&saved);
    }
    assert_eq!(choice.unmet().as_deref(), Some("Deployment.apps nosuch"));
    assert_eq!(Choice::default().unmet(), None, "a restore of everything names nothing");
}

#[test]
fn kinds_and_single_objects_are_selected_by_group_kind_and_name() {
    let choice = |selectors: Value| Choice {
        select: RestoreSelection { resources: serde_json::from_value(selectors).unwrap(), ..RestoreSelection::default() },
        ..Choice::default()
    };
    let deployment = object("apps/v1", "Deployment", json!({}));
    for (selectors, chosen, by_name) in [
        (json!([]), true, false),
        (json!([{"kind": "*"}]), true, false),
        (json!([{"group": "apps", "kind": "Deployment"}]), true, false),
        (json!([{"kind": "Deployment"}]), false, false),
        (json!([{"group": "apps", "kind": "Deployment", "name": "a"}]), true, true),
        (json!([{"group": "apps", "kind": "Deployment", "name": "b"}]), false, true),
        (json!([{"group": "apps", "kind": "Deployment", "name": "b"}, {"kind": "*", "name": "a"}]), true, true),
        (json!([{"group": "apps", "kind": "Deployment", "name": "a"}, {"kind": "Secret"}]), true, false),
    ] {
        let choice = choice(selectors.clone());
        assert_eq!((choice.leaves(&deployment).is_none(), choice.is_by_name()), (chosen, by_name), "{selectors}");
    }
}
