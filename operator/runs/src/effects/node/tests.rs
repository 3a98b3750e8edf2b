use super::{evict::*, *};
use crate::leadership::Leadership;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc};

fn status(code: u16, message: &str, cause: Option<(&str, &str)>) -> Value {
    let causes: Vec<Value> = cause.iter().map(|(reason, message)| json!({"reason": reason, "message": message})).collect();
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message, "reason": "", "details": {"causes": causes}})
}

fn pod(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true});
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shinan-portal", "ownerReferences": [owner]},
        "spec": {"nodeName": "n1", "containers": []}, "status": {"phase": "Running"}});
    change(&mut pod);
    pod
}

/// A site whose node has these pods, and that answers evictions of a pod in this way. Also the names of the pods that were to be evicted.
fn site_with(pods: Vec<Value>, answers: Vec<(&'static str, Value)>) -> (Client, Arc<Mutex<Vec<String>>>) {
    let evicted: Arc<Mutex<Vec<String>>> = Arc::default();
    let asked = evicted.clone();
    let server = move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        let answer = if request.method() == Method::GET {
            json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods})
        } else {
            let name = path.trim_end_matches("/eviction").rsplit('/').next().unwrap_or_default().to_owned();
            let answer = answers.iter().find(|(pod, _)| *pod == name).map(|(_, answer)| answer.clone());
            asked.lock().push(name);
            answer.unwrap_or_else(|| json!({"apiVersion": "v1", "kind": "Status", "status": "Success", "code": 201}))
        };
        let code = answer["code"].as_u64().and_then(|code| u16::try_from(code).ok()).and_then(|code| StatusCode::from_u16(code).ok());
        let response = Response::builder().status(code.unwrap_or(StatusCode::OK)).body(Body::from(answer.to_string().into_bytes())).unwrap();
        std::future::ready(Ok::<_, Infallible>(response))
    };
    (Client::new(tower::service_fn(server), "default"), evicted)
}

async fn drained(pods: Vec<Value>, answers: Vec<(&'static str, Value)>, consent: DrainConsent) -> (Result<Remaining>, Vec<String>) {
    let (client, evicted) = site_with(pods, answers);
    let remaining = evict_all(&client, &Leadership::without_lease(), &"a".into(), "n1", &Others::default(), consent).await;
    let evicted = evicted.lock().clone();
    (remaining, evicted)
}

const TWO_BUDGETS: &str = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";

#[tokio::test]
async fn fault_f5_what_the_server_refuses_for_now_is_waited_for_with_its_reason_and_the_others_leave() {
    let budget = Some(("DisruptionBudget", "The disruption budget web needs 2 healthy pods and has 2 currently"));
    for (answer, words) in [
        (status(429, "Cannot evict pod as it would violate the pod's disruption budget.", budget), "disruption budget web needs 2 healthy pods"),
        (status(429, "too many requests", None), "too many requests"),
        (status(500, TWO_BUDGETS, None), "so that one budget is left"),
        (status(500, "etcdserver: request timed out", None), "request timed out"),
        (status(500, "Internal error occurred: failed calling webhook \"pods.example\"", None), "failed calling webhook"),
        (status(502, "", None), "502"),
        (status(503, "apiserver is shutting down", None), "shutting down"),
        (status(504, "Timeout: request did not complete", None), "did not complete"),
        (status(409, "the object has been modified", None), "modified"),
    ] {
        let pods = vec![pod("first", |_| {}), pod("held", |_| {}), pod("last", |_| {})];
        let (remaining, evicted) = drained(pods, vec![("held", answer.clone())], DrainConsent::default()).await;
        let remaining = remaining.unwrap_or_else(|error| panic!("{answer}: {error}"));
        assert_eq!((remaining.going, remaining.held.len(), evicted.as_slice()), (2, 1, &["first".to_owned(), "held".into(), "last".into()][..]), "{answer}");
        assert!(remaining.held[0].starts_with("pod shinan-portal/held (") && remaining.held[0].contains(words), "{answer}: {remaining:?}");
        assert!(remaining.words().starts_with("2 pods to leave; held back: pod shinan-portal/held"), "{}", remaining.words());
    }
}

#[tokio::test]
async fn fault_f5_what_is_refused_for_good_ends_the_drain_and_what_is_gone_is_gone() {
    let (refused, _) = drained(vec![pod("a", |_| {})], vec![("a", status(403, "User \"p861\" cannot create", None))], DrainConsent::default()).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::CredentialsRefused);
    let answers = vec![("a", status(404, "not found", None)), ("b", status(403, "namespace x is being terminated", None))];
    let (remaining, _) = drained(vec![pod("a", |_| {}), pod("b", |_| {})], answers, DrainConsent::default()).await;
    assert_eq!(remaining.unwrap(), Remaining { going: 1, held: Vec::new() });
}

#[tokio::test]
async fn fault_f5_a_pod_with_something_to_lose_is_not_evicted_unless_the_change_says_so() {
    let pods = || {
        vec![
            pod("data", |pod| pod["spec"]["volumes"] = json!([{"name": "tmp", "emptyDir": {}}])),
            pod("bare", |pod| pod["metadata"]["ownerReferences"] = json!([])),
            pod("daemon", |pod| pod["metadata"]["ownerReferences"][0]["kind"] = json!("DaemonSet")),
            pod("static", |pod| pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"})),
            pod("ended", |pod| (pod["status"]["phase"], pod["metadata"]["ownerReferences"]) = (json!("Failed"), json!([]))),
            // Of the backup before the change, whose pod ends a moment after it has answered.
            pod("mover", |pod| {
                pod["metadata"]["labels"] = json!({"platform861.io/role": "mover"});
                pod["spec"]["volumes"] = json!([{"name": "tmp", "emptyDir": {}}]);
            }),
        ]
    };
    let (remaining, evicted) = drained(pods(), Vec::new(), DrainConsent::default()).await;
    let remaining = remaining.unwrap();
    assert_eq!(evicted, ["ended", "mover"]);
    assert!(remaining.held[0].contains("data (it has emptyDir data") && remaining.held[1].contains("bare (it has no controller"), "{remaining:?}");
    let (remaining, evicted) = drained(pods(), Vec::new(), DrainConsent { delete_empty_dir_data: true, force: true }).await;
    assert_eq!((remaining.unwrap().held, evicted), (Vec::new(), vec!["data".to_owned(), "bare".into(), "ended".into(), "mover".into()]));
}

#[tokio::test]
async fn fault_f5_a_pod_that_terminates_longer_than_its_grace_is_named() {
    let now = Timestamp::now();
    let ending = |seconds: i64, finalizers: Value| {
        let due = (now - SignedDuration::from_secs(seconds)).to_string();
        pod("ending", move |pod| {
            (pod["metadata"]["deletionTimestamp"], pod["metadata"]["deletionGracePeriodSeconds"], pod["metadata"]["finalizers"]) =
                (json!(due), json!(30), finalizers);
        })
    };
    for (seconds, finalizers, words) in [
        (-20, json!([]), None),
        (10, json!([]), None),
        (95, json!([]), Some("longer than its grace of 30s; its node does not say that it has ended")),
        (95, json!(["example.com/hold"]), Some("finalizers: example.com/hold")),
    ] {
        let (remaining, evicted) = drained(vec![ending(seconds, finalizers)], Vec::new(), DrainConsent::default()).await;
        let remaining = remaining.unwrap();
        assert!(evicted.is_empty());
        match words {
            None => assert_eq!(remaining, Remaining { going: 1, held: Vec::new() }),
            Some(words) => assert!(remaining.held[0].contains(words) && remaining.held[0].contains("pod shinan-portal/ending"), "{remaining:?}"),
        }
    }
}

#[test]
fn fault_f5_an_error_that_may_pass_ends_no_drain() {
    let answered = |code: u16| -> Error {
        let status = serde_json::from_value(status(code, "no", None)).unwrap();
        Error::Kube { what: "list the pods".into(), source: Box::new(kube::Error::Api(Box::new(status))) }
    };
    for (error, waited) in [(answered(500), true), (answered(403), false), (answered(400), false), (Error::LeaseLost, false)] {
        assert_eq!(passes(&error), waited, "{error}");
    }
    // The executor waits for a server that is away: it counts no attempt.
    assert!(!passes(&answered(503)) && answered(503).is_unreachable());
}

#[tokio::test]
async fn fault_e25_a_drain_looks_again_whose_pods_they_are_and_moves_none_of_another_district() {
    let district = |name: &str| -> District {
        let spec = json!({"code": "370202", "names": {"en": name}, "sites": []});
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": name}, "spec": spec})).unwrap()
    };
    let others = Others { districts: vec![district("shibei")], city: "p861-system".into() };
    let all = DrainConsent { delete_empty_dir_data: true, force: true };
    let of = |name: &str, namespace: &'static str| pod(name, |pod| pod["metadata"]["namespace"] = json!(namespace));
    // It came after the inspection.
    let (client, evicted) = site_with(vec![of("mine", "shinan-portal"), of("theirs", "shibei-portal")], Vec::new());
    let refused = evict_all(&client, &Leadership::without_lease(), &"a".into(), "n1", &others, all).await.unwrap_err();
    assert!(refused.reason() == Reason::NodeShared && refused.to_string().contains("shibei"), "{refused}");
    assert!(evicted.lock().is_empty());
    let (client, evicted) = site_with(vec![of("mine", "shinan-portal"), of("nobodys", "monitoring")], Vec::new());
    evict_all(&client, &Leadership::without_lease(), &"a".into(), "n1", &others, all).await.unwrap();
    assert_eq!(*evicted.lock(), ["mine", "nobodys"]);
}
