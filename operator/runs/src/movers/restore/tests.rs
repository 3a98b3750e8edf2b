//! Replacing, against an API server that says what a case wants and notes what it is asked.

use super::*;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use parking_lot::Mutex;
use std::{convert::Infallible, sync::Arc};

fn saved() -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader?x=y", "namespace": "n"}, "rules": [{"verbs": ["get"]}]})
}

fn kinds() -> Kinds {
    let resource = ApiResource {
        group: "rbac.authorization.k8s.io".into(),
        version: "v1".into(),
        api_version: "rbac.authorization.k8s.io/v1".into(),
        kind: "Role".into(),
        plural: "roles".into(),
    };
    Kinds::from([((resource.group.clone(), resource.kind.clone()), resource)])
}

fn refused(code: u16, reason: &str) -> (StatusCode, Value) {
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason});
    (StatusCode::from_u16(code).unwrap(), status)
}

/// What the server answers, and what it was asked.
struct Server {
    there: Option<Value>,
    on_apply: (StatusCode, Value),
    on_trial: (StatusCode, Value),
    asked: Vec<String>,
}

fn client(server: &Arc<Mutex<Server>>) -> Client {
    let server = server.clone();
    let answer = move |request: Request<Body>| {
        let mut server = server.lock();
        let trial = request.uri().query().unwrap_or_default().contains("dryRun=All");
        let method = request.method().clone();
        server.asked.push(format!("{method}{}", if trial { " as a trial" } else { "" }));
        let of_object = request.uri().path().ends_with("/roles/reader%3Fx%3Dy") || method == Method::POST;
        let (code, body) = match (of_object, method.as_str(), trial) {
            (false, ..) => refused(500, "another object was asked for"),
            (_, "GET", _) => server.there.clone().map_or_else(|| refused(404, "NotFound"), |there| (StatusCode::OK, there)),
            (_, "PATCH", true) => server.on_apply.clone(),
            (_, "POST", true) => server.on_trial.clone(),
            (_, "DELETE", false) => {
                server.there = None;
                (StatusCode::OK, json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}))
            }
            (_, "PATCH", false) => (StatusCode::OK, saved()),
            _ => refused(500, "nobody asks for that"),
        };
        std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()))
    };
    Client::new(tower::service_fn(answer), "n")
}

#[tokio::test]
async fn replacing_keeps_what_is_the_same_and_deletes_only_what_would_be_accepted_again() {
    let (ok, there, exists) = (StatusCode::OK, json!({"rules": [{"verbs": ["list"]}]}), refused(409, "AlreadyExists"));
    let mut other = saved();
    other["rules"] = there["rules"].clone();
    let (look, whole) = (["GET", "PATCH as a trial"], ["GET", "PATCH as a trial", "POST as a trial", "DELETE", "GET", "PATCH"]);
    for (case, there, on_apply, on_trial, asked, expected) in [
        ("the same", Some(saved()), (ok, saved()), exists.clone(), &look[..], Ok((0, 0, 1))),
        ("it differs", Some(other.clone()), (ok, saved()), exists.clone(), &whole[..], Ok((0, 1, 0))),
        ("it can't be changed in place", Some(other.clone()), refused(422, "Invalid"), exists.clone(), &whole[..], Ok((0, 1, 0))),
        ("it would not be accepted again", Some(other), refused(403, "Forbidden"), refused(403, "Forbidden"), &whole[..3], Err(Reason::RefusedByAdmission)),
    ] {
        let server = Arc::new(Mutex::new(Server { there, on_apply, on_trial, asked: Vec::new() }));
        let tally = Tally::default();
        let written = write(&client(&server), &kinds(), &saved(), ConflictHandling::Policy(ConflictPolicy::Replace), &tally).await;
        let RestoreChanges { create, change, same, refused } = tally.changes();
        let result = written.map(|()| (create, change, same)).map_err(|error| match error {
            WorkError::Operator(error) => error.reason(),
            other => panic!("{case}: {other}"),
        });
        assert_eq!((result, refused), (expected, 0), "{case}");
        assert_eq!(server.lock().asked, asked, "{case}");
    }
}
