//! Checks of a recovered application. A check passes, or fails at its deadline with its last observation.

use super::{EffectOutcome, StepContext};
use crate::{
    context::RunContext,
    error::{Error, ErrorContext as _, Result},
    sites::{
        answer,
        pods::{self, Target, WorkloadState},
    },
    thinking,
};
use jiff::SignedDuration;
use k8s_openapi::{
    api::core::v1::{Pod, Service, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{Api, Client};
use p861_core::{
    engine::{Evidence, Failure},
    platform::pattern::{MAX_TEXT_BYTES, Pattern},
    runs::{AllottedSite, Permitted},
    time::{human_duration, parse_duration, whole_seconds},
};
use p861_crds::{
    Reason,
    common::ContainerCommand,
    platform::application::{Check, ConditionCheck, ExecCheck, HttpCheck, TcpCheck},
};
use std::time::Duration;

/// Time limit for one try of a check.
const CHECK_TRY_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a page that are read: the application's own pod decides how long it is.
const MAX_PAGE_BYTES: usize = MAX_TEXT_BYTES;

/// Result of one try of a check.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// Whether the check passes.
    pub holds: bool,
    /// Observation, shown to people.
    pub what: String,
}

/// Tries a check once.
///
/// # Errors
/// If it can't be tried. A check that fails is a result.
pub(super) async fn try_once(client: &Client, permitted: Permitted<'_>, namespace: &str, check: &Check) -> Result<CheckResult> {
    pods::reaches(permitted, namespace)?;
    let result = if let Some(http) = &check.http {
        http_check(client, namespace, http).await
    } else if let Some(tcp) = &check.tcp {
        tcp_check(client, namespace, tcp).await
    } else if let Some(exec) = &check.exec {
        exec_check(client, permitted, namespace, exec).await
    } else if let Some(condition) = &check.condition {
        condition_check(client, namespace, condition).await
    } else {
        Err(Error::invalid(Reason::Invalid, format!("check {} says nothing to check: give http, tcp, exec or condition", check.name)))
    };
    match result {
        // While an application starts, its check often can't be tried at all: that is not a failure.
        Err(error) if error.category() == crate::error::Category::Transient => Ok(CheckResult { holds: false, what: error.to_string() }),
        other => other,
    }
}

/// Tries the check once per pass until it passes or its own deadline is over.
///
/// # Errors
/// If the site can't be reached, or the check can't be tried. A check that doesn't hold in time is an outcome.
pub(super) async fn perform(
    context: &RunContext,
    step_context: &StepContext,
    permitted: Permitted<'_>,
    site: &AllottedSite,
    namespace: &str,
    check: &Check,
) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    let seen = try_once(&client, permitted, namespace, check).await?;
    let evidence = Evidence::CheckSeen { check: check.name.clone(), seen: seen.what.clone() };
    if seen.holds {
        return Ok(EffectOutcome::done(evidence));
    }
    let deadline = parse_duration(&check.deadline.0).map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))?;
    if jiff::Timestamp::now().duration_since(step_context.started) >= deadline {
        let message = format!("check {} did not hold within {}: {}", check.name, check.deadline, seen.what);
        return Ok(EffectOutcome::Failed(Failure::permanent(Reason::ChecksFailed, message), Some(evidence)));
    }
    Ok(EffectOutcome::running(seen.what))
}

/// Tries all checks once per pass until they have passed for `duration`.
///
/// # Errors
/// If the site can't be reached, or a check can't be tried. A check that no longer holds is an outcome.
pub(super) async fn watch(
    context: &RunContext,
    step_context: &StepContext,
    permitted: Permitted<'_>,
    site: &AllottedSite,
    checks: &[(String, Check)],
    duration: SignedDuration,
) -> Result<EffectOutcome> {
    let client = context.sites.client(site).await?;
    for (namespace, check) in checks {
        let seen = try_once(&client, permitted, namespace, check).await?;
        if !seen.holds {
            let message = format!("check {} held, and does not hold any more: {}", check.name, seen.what);
            let evidence = Evidence::CheckSeen { check: check.name.clone(), seen: seen.what };
            return Ok(EffectOutcome::Failed(Failure::permanent(Reason::HealthFailed, message), Some(evidence)));
        }
    }
    let left = duration - jiff::Timestamp::now().duration_since(step_context.started);
    if left.is_positive() {
        let message = format!("{0} of {0} health checks pass, {1} to go", checks.len(), human_duration(whole_seconds(left)));
        return Ok(EffectOutcome::running(message));
    }
    Ok(EffectOutcome::done(Evidence::Watched { checks: checks.len() as u64, duration: whole_seconds(duration) }))
}

/// Whether the text has a match of the pattern, if there is one. Both are the district's, so a thread of its own finds out.
async fn matches(pattern: Option<&str>, text: &str) -> Result<bool> {
    let Some(pattern) = pattern.map(str::to_owned) else { return Ok(true) };
    let text = text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned();
    let found = thinking::apart(move || Pattern::read(&pattern).map(|pattern| pattern.is_in(&text))).await?;
    found.map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))
}

fn excerpt(text: &str) -> String {
    p861_core::conditions::shorten(text.trim(), 300)
}

/// The way of the API server to a page. None if what is written could lead to anything else that the API server has: it is asked with the operator's rights.
fn page_uri(namespace: &str, check: &HttpCheck, path: &str) -> Option<String> {
    let is_name =
        |name: &str| !name.is_empty() && name.len() <= 63 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let plain = path.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace('\\', "/");
    let stays = plain.split('/').all(|part| part != "..");
    (is_name(namespace) && is_name(&check.service_name) && stays)
        .then(|| format!("/api/v1/namespaces/{namespace}/services/http:{}:{}/proxy{path}", check.service_name, check.port))
}

/// Fetches a page through the site's API server, since the hub can't connect into an isolated namespace.
async fn http_check(client: &Client, namespace: &str, check: &HttpCheck) -> Result<CheckResult> {
    let path = if check.path.starts_with('/') { check.path.clone() } else { format!("/{}", check.path) };
    let address = format!("{}:{}{path}", check.service_name, check.port);
    let uri = page_uri(namespace, check, &path)
        .ok_or_else(|| Error::invalid(Reason::Invalid, format!("http {address}: serviceName is the name of a Service, and path a path without .. in it")))?;
    let request = http::Request::get(uri)
        .body(Vec::new())
        .map_err(|error| Error::invalid(Reason::Invalid, format!("http {address}: the path can't be asked for: {error}")))?;
    let page = match tokio::time::timeout(CHECK_TRY_TIMEOUT, answer::of_page(client, request, MAX_PAGE_BYTES)).await {
        Ok(page) => page.context(|| format!("http {address}"))?,
        Err(_) => return Ok(CheckResult { holds: false, what: format!("http {address}: no answer within {CHECK_TRY_TIMEOUT:?}") }),
    };
    let (status, body, expected) = (page.status, &page.text, check.expect.status);
    let is_good = |status: i32| (200..300).contains(&status);
    let alike = if is_good(expected) { is_good(status) } else { status == expected };
    let matches = matches(check.expect.pattern.as_deref(), body).await?;
    let where_in = if page.is_cut { format!("the first {MAX_PAGE_BYTES} bytes of the page have") } else { "the page has".to_owned() };
    let what = match (alike, matches) {
        (true, true) => format!("http {address}: {expected}"),
        (true, false) => format!(
            "http {address}: {expected}, but {where_in} no match of {:?}; it begins {:?}",
            check.expect.pattern.as_deref().unwrap_or_default(),
            p861_core::conditions::shorten(body.trim(), 120)
        ),
        (false, _) => format!("http {address}: {status} instead of {expected}: {}", excerpt(body)),
    };
    Ok(CheckResult { holds: alike && matches, what })
}

/// Connects to a ready pod behind the Service, forwarded by the API server: to none of the platform's own, whatever the Service selects.
async fn tcp_check(client: &Client, namespace: &str, check: &TcpCheck) -> Result<CheckResult> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let address = format!("{}:{}", check.service_name, check.port);
    let Some(service) = services.get_opt(&check.service_name).await.context(|| format!("tcp {address}"))? else {
        return Ok(CheckResult { holds: false, what: format!("tcp {address}: the Service doesn't exist") });
    };
    let spec = service.spec.unwrap_or_default();
    let Some(port) = spec.ports.iter().flatten().find(|port| port.port == check.port) else {
        return Err(Error::invalid(Reason::Invalid, format!("tcp {address}: the Service has no port {}", check.port)));
    };
    let selector = spec.selector.clone().unwrap_or_default().iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    if selector.is_empty() {
        // An empty selector would mean every pod of the namespace.
        return Err(Error::invalid(Reason::Invalid, format!("tcp {address}: the Service selects no pods; use a check of type exec or http")));
    }
    let pods_api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut any_ready = false;
    let found = pods::first_of(&pods_api, &selector, |pod| {
        let ready = pods::is_ready(pod);
        any_ready |= ready;
        if ready { Some((Target::of(pod, None)?, target_port(port, pod)?)) } else { None }
    });
    let Some((target, number)) = found.await.context(|| format!("tcp {address}"))? else {
        let why = if any_ready { format!("no ready pod behind it has the port {}", port_name(port)) } else { "no ready pod behind it".to_owned() };
        return Ok(CheckResult { holds: false, what: format!("tcp {address}: {why}") });
    };
    let connect = async {
        let mut forward = pods_api.portforward(&target.pod, &[number]).await.context(|| format!("tcp {address}"))?;
        let failed = forward.take_error(number);
        let stream = forward.take_stream(number);
        // The API server reports a refused connection on the error channel, shortly after the stream opens.
        let refused = match failed {
            Some(failed) => tokio::time::timeout(Duration::from_millis(700), failed).await.ok().flatten(),
            None => None,
        };
        drop(stream);
        Ok::<_, Error>(refused)
    };
    match tokio::time::timeout(CHECK_TRY_TIMEOUT, connect).await {
        Ok(Ok(None)) => Ok(CheckResult { holds: true, what: format!("tcp {address}: accepts") }),
        Ok(Ok(Some(refused))) => Ok(CheckResult { holds: false, what: format!("tcp {address}: {}", excerpt(&refused)) }),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(CheckResult { holds: false, what: format!("tcp {address}: no connection within {CHECK_TRY_TIMEOUT:?}") }),
    }
}

fn port_name(port: &ServicePort) -> String {
    match &port.target_port {
        Some(IntOrString::String(name)) => name.clone(),
        Some(IntOrString::Int(number)) => number.to_string(),
        None => port.port.to_string(),
    }
}

/// The port of a pod that a Service's port leads to, found as Kubernetes finds it: a name is a port of that name and protocol of any of its containers, sidecars
/// included. Pods of one Service may differ in it. None if the pod has no such port.
fn target_port(port: &ServicePort, pod: &Pod) -> Option<u16> {
    let name = match &port.target_port {
        None => return u16::try_from(port.port).ok(),
        Some(IntOrString::Int(number)) => return u16::try_from(*number).ok(),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let protocol = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".into());
    let mut ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let found = ports.find(|offered| offered.name.as_ref() == Some(name) && protocol(&offered.protocol) == protocol(&port.protocol))?;
    u16::try_from(found.container_port).ok()
}

async fn exec_check(client: &Client, permitted: Permitted<'_>, namespace: &str, check: &ExecCheck) -> Result<CheckResult> {
    let command = ContainerCommand { workload_ref: check.workload_ref.clone(), container: check.container.clone(), command: check.command.clone() };
    let output = pods::execute(client, permitted, namespace, &command, CHECK_TRY_TIMEOUT).await?;
    let name = check.command.first().map(String::as_str).unwrap_or_default();
    if !output.success {
        return Ok(CheckResult { holds: false, what: format!("{name} in {}: {}: {}", check.workload_ref, output.message, output.excerpt()) });
    }
    // Without trimming, a pattern that ends in $ would never match.
    let printed = output.stdout.trim_end_matches(['\r', '\n']);
    let matches = matches(check.expect.as_ref().map(|expect| expect.pattern.as_str()), printed).await?;
    let what = if matches {
        format!("{name} in {}: {}", check.workload_ref, output.excerpt())
    } else {
        format!(
            "{name} in {} printed {:?}, which has no match of {:?}",
            check.workload_ref,
            output.excerpt(),
            check.expect.as_ref().map(|e| e.pattern.as_str()).unwrap_or_default()
        )
    };
    Ok(CheckResult { holds: matches, what })
}

async fn condition_check(client: &Client, namespace: &str, check: &ConditionCheck) -> Result<CheckResult> {
    let workload = &check.workload_ref;
    Ok(condition_result(pods::workload(client, namespace, workload).await?.as_ref(), namespace, check))
}

/// Result of a condition check; `state` is None if the workload doesn't exist.
pub fn condition_result(state: Option<&WorkloadState>, namespace: &str, check: &ConditionCheck) -> CheckResult {
    let workload = &check.workload_ref;
    let Some(state) = state else { return CheckResult { holds: false, what: format!("{workload} doesn't exist in {namespace}") } };
    let holds = state.conditions.contains(&check.r#type);
    let (kind, counted) = (&check.r#type, format!("{}/{}", state.ready, state.wanted));
    CheckResult { holds, what: if holds { format!("{workload} is {kind} ({counted})") } else { format!("{workload} is not {kind} ({counted})") } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fault_f2_a_services_port_leads_to_the_port_of_that_name_of_the_pod() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "initContainers": [{"name": "once", "ports": [{"name": "setup", "containerPort": 1}]}, {"name": "mesh", "restartPolicy": "Always", "ports": [{"name": "mesh", "containerPort": 15001}]}],
            "containers": [{"name": "dns", "ports": [{"name": "dns", "containerPort": 5353, "protocol": "UDP"}]}, {"name": "db", "ports": [{"name": "dns", "containerPort": 5300}, {"name": "pg", "containerPort": 5432}]}]}}))
        .unwrap();
        for (port, expected) in [
            (json!({"port": 80}), Some(80)),
            (json!({"port": 80, "targetPort": 8080}), Some(8080)),
            (json!({"port": 80, "targetPort": "pg"}), Some(5432)),
            (json!({"port": 80, "targetPort": "dns"}), Some(5300)),
            (json!({"port": 80, "targetPort": "dns", "protocol": "UDP"}), Some(5353)),
            (json!({"port": 80, "targetPort": "mesh"}), Some(15001)),
            (json!({"port": 80, "targetPort": "setup"}), None),
            (json!({"port": 80, "targetPort": "http"}), None),
        ] {
            let port: ServicePort = serde_json::from_value(port).unwrap();
            assert_eq!(target_port(&port, &pod), expected, "{}", port_name(&port));
        }
    }

    #[tokio::test]
    async fn fault_e38_a_check_connects_to_no_movers_pod_whatever_its_service_selects() {
        let ready = |name: &str, labels: serde_json::Value| {
            let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
            json!({"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "c"}]}, "status": status})
        };
        let (mover, web) = (ready("a-mover", json!({"app": "web", "platform861.io/role": "mover"})), ready("web-0", json!({"app": "web"})));
        for (pods, connects_to) in [(vec![mover.clone()], None), (vec![mover, web], Some("web-0"))] {
            let asked: std::sync::Arc<parking_lot::Mutex<Vec<String>>> = std::sync::Arc::default();
            let seen = asked.clone();
            let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
                let path = request.uri().path().to_owned();
                let (code, answer) = if path.ends_with("/services/web") {
                    (200, json!({"kind": "Service", "apiVersion": "v1", "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}))
                } else if path.ends_with("/pods") {
                    (200, json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods}))
                } else {
                    seen.lock().push(path);
                    (403, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "seen"}))
                };
                async move { http::Response::builder().status(code).body(kube::client::Body::from(answer.to_string().into_bytes())) }
            });
            let check: TcpCheck = serde_json::from_value(json!({"serviceName": "web", "port": 80})).unwrap();
            let tried = tcp_check(&Client::new(server, "default"), "n", &check).await;
            let expected: Vec<String> = connects_to.iter().map(|pod| format!("/api/v1/namespaces/n/pods/{pod}/portforward")).collect();
            assert_eq!(*asked.lock(), expected, "{connects_to:?}");
            if connects_to.is_none() {
                let tried = tried.unwrap();
                assert!(!tried.holds && tried.what.ends_with("no ready pod behind it"), "{}", tried.what);
            }
        }
    }

    #[tokio::test]
    async fn fault_e28_a_check_whose_pattern_takes_too_much_is_invalid_and_the_runtime_goes_on() {
        let refused = matches(Some("a[ab]{60000}[^a]"), &"a".repeat(65_000)).await.unwrap_err();
        assert!(refused.reason() == Reason::Invalid && refused.to_string().contains("takes more than"), "{refused}");
        // One that is allowed, and takes as long as one can.
        let (slow, text) = ("(?:a?){1000}[^ab]", "a".repeat(1 << 20));
        let mut ticks = 0;
        let tick = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticks += 1;
            }
        };
        tokio::select! {
            found = matches(Some(slow), &text) => assert!(!found.unwrap()),
            () = tick => {}
        }
        assert!(ticks > 0, "it had the one thread of this runtime for itself");
        assert!(matches(None, "").await.unwrap() && matches(Some("^ok$"), "ok").await.unwrap());
    }

    #[test]
    fn fault_e18_a_check_of_a_page_leads_to_its_service_and_to_nothing_else_that_the_api_server_has() {
        let check = |service: &str, path: &str| -> HttpCheck {
            serde_json::from_value(json!({"serviceName": service, "port": 80, "path": path, "expect": {"status": 200}})).unwrap()
        };
        for (path, uri) in [
            ("/", "/api/v1/namespaces/n/services/http:web:80/proxy/"),
            ("/a/b?next=/../x", "/api/v1/namespaces/n/services/http:web:80/proxy/a/b?next=/../x"),
            ("/a..b/...", "/api/v1/namespaces/n/services/http:web:80/proxy/a..b/..."),
        ] {
            assert_eq!(page_uri("n", &check("web", path), path).as_deref(), Some(uri));
        }
        for path in ["/../../secrets", "/a/..", "/%2e%2e/x", "/a/%2E./x", "/..%2fx", "/a\\..\\x"] {
            assert_eq!(page_uri("n", &check("web", path), path), None, "{path}");
        }
        for service in ["", "web/../../../kube-system/secrets/x?", "web:80", "https:web", "WEB", "web%2f", "a".repeat(64).as_str()] {
            assert_eq!(page_uri("n", &check(service, "/"), "/"), None, "{service}");
        }
        assert_eq!(page_uri("n/secrets", &check("web", "/"), "/"), None);
    }
}
