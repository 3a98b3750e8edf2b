//! Whether a NetworkPolicy of its namespace keeps a mover from its store. The store only says that it can't be reached.

use super::{LABEL_VALUE_MOVER, MoverPlace};
use crate::{
    context::RunContext,
    effects::{EffectOutcome, StepContext},
    hub::named,
};
use k8s_openapi::{
    api::networking::v1::{NetworkPolicy, NetworkPolicySpec},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use p861_core::{conditions::is_true, engine::StepProgress};
use p861_crds::{
    BackupRepository, ConditionType,
    names::{ROLE_LABEL, RUN_LABEL},
};
use std::collections::BTreeMap;

/// What the error of a store says that was not reached at all.
const UNREACHED: &str = "the store can't be reached";
/// Policies that a message names.
const MAX_NAMED: usize = 3;

/// The outcome of a mover's step; one whose mover doesn't reach a store that the operator reaches says which NetworkPolicies of its namespace limit it. Whatever can't be read here
/// only explains.
pub async fn explained(context: &RunContext, step_context: &StepContext, place: &MoverPlace<'_>, outcome: EffectOutcome) -> EffectOutcome {
    let said = match &outcome {
        EffectOutcome::Running(StepProgress { message: Some(said), .. }) => said,
        EffectOutcome::Failed(failure, _) => &failure.message,
        _ => return outcome,
    };
    if !said.contains(UNREACHED) || !is_reached_from_here(context, step_context).await {
        return outcome;
    }
    let Ok(client) = context.sites.client(place.site).await else { return outcome };
    match hint(&client, step_context, place).await {
        Some(hint) => with(outcome, &hint),
        None => outcome,
    }
}

/// Whether the operator reaches the run's repository, as far as it knows.
async fn is_reached_from_here(context: &RunContext, step_context: &StepContext) -> bool {
    let run = &step_context.run;
    let repository = named::<BackupRepository>(&context.hub.client, &run.namespace, &run.repository).await;
    repository.is_ok_and(|repository| repository.status.is_some_and(|status| is_true(&status.conditions, ConditionType::Ready)))
}

fn with(outcome: EffectOutcome, hint: &str) -> EffectOutcome {
    match outcome {
        EffectOutcome::Running(progress) => {
            let message = progress.message.as_ref().map(|said| format!("{said}; {hint}"));
            EffectOutcome::Running(StepProgress { message, ..progress })
        }
        EffectOutcome::Failed(mut failure, evidence) => {
            failure.message = format!("{}; {hint}", failure.message);
            EffectOutcome::Failed(failure, evidence)
        }
        other => other,
    }
}

/// What limits the mover, and what to allow; none if nothing does.
async fn hint(client: &Client, step_context: &StepContext, place: &MoverPlace<'_>) -> Option<String> {
    let (namespace, site) = (place.namespace, place.site);
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
    let list = match policies.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => {
            tracing::warn!("the NetworkPolicies of {namespace} on {site} can't be read: {error}");
            return Some(format!(
                "a NetworkPolicy in namespace {namespace} on {site} may be in its way: let pods with the label platform861.io/role=mover reach the store and DNS"
            ));
        }
    };
    let labels = BTreeMap::from([(ROLE_LABEL.to_owned(), LABEL_VALUE_MOVER.to_owned()), (RUN_LABEL.to_owned(), step_context.run.uid.clone())]);
    let limiting = limiting(&list, &labels);
    if limiting.is_empty() {
        return None;
    }
    let shown = limiting.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    Some(format!(
        "NetworkPolicy {shown} in namespace {namespace} on {site} limits what it reaches: let pods with the label platform861.io/role=mover reach the store and DNS"
    ))
}

/// The names of the policies that limit where a pod with these labels connects, sorted. None if there are none, or one of them lets it connect anywhere.
fn limiting(policies: &[NetworkPolicy], labels: &BTreeMap<String, String>) -> Vec<String> {
    let of_pod = |policy: &&NetworkPolicy| policy.spec.as_ref().is_some_and(|spec| limits_egress(spec) && selects(spec.pod_selector.as_ref(), labels));
    let all: Vec<&NetworkPolicy> = policies.iter().filter(of_pod).collect();
    let anywhere = |policy: &&NetworkPolicy| {
        let mut rules = policy.spec.iter().flat_map(|spec| spec.egress.iter().flatten());
        rules.any(|rule| rule.to.as_ref().is_none_or(Vec::is_empty) && rule.ports.as_ref().is_none_or(Vec::is_empty))
    };
    if all.iter().any(anywhere) {
        return Vec::new();
    }
    let mut names: Vec<String> = all.iter().map(|policy| policy.name_any()).collect();
    names.sort();
    names
}

/// Without policyTypes, one with rules for egress limits it.
fn limits_egress(spec: &NetworkPolicySpec) -> bool {
    match spec.policy_types.as_deref() {
        None | Some([]) => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        Some(types) => types.iter().any(|kind| kind == "Egress"),
    }
}

/// Whether a selector takes such a pod. One that isn't there, or is empty, takes all.
fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else { return true };
    let by_labels = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let by_expressions = selector.match_expressions.iter().flatten().all(|expression| {
        let value = labels.get(&expression.key);
        let is_listed = || value.is_some_and(|value| expression.values.iter().flatten().any(|listed| listed == value));
        match expression.operator.as_str() {
            "In" => is_listed(),
            "NotIn" => !is_listed(),
            "Exists" => value.is_some(),
            _ => value.is_none(),
        }
    });
    by_labels && by_expressions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunIdentity;
    use http::{Request, Response};
    use jiff::{SignedDuration, Timestamp};
    use kube::client::Body;
    use p861_core::{
        engine::{Failure, StepId},
        runs::Scope,
    };
    use p861_crds::Reason;
    use serde_json::{Value, json};
    use std::convert::Infallible;

    fn policy(name: &str, spec: &Value) -> NetworkPolicy {
        serde_json::from_value(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec})).unwrap()
    }

    fn labels() -> BTreeMap<String, String> {
        BTreeMap::from([(ROLE_LABEL.to_owned(), LABEL_VALUE_MOVER.to_owned()), (RUN_LABEL.to_owned(), "run-1".to_owned())])
    }

    #[test]
    fn a_policy_limits_a_mover_if_it_selects_it_for_egress_and_none_lets_it_go_anywhere() {
        let role = |operator: &str, values: &Value| json!({"matchExpressions": [{"key": "platform861.io/role", "operator": operator, "values": values}]});
        let deny = json!({"podSelector": {}, "policyTypes": ["Egress"]});
        let dns = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]});
        let movers = json!({"podSelector": {"matchLabels": {"platform861.io/role": "mover"}}, "policyTypes": ["Egress"], "egress": [{}]});
        for (case, specs, expected) in [
            ("none", vec![], &[][..]),
            ("everything is denied", vec![deny.clone()], &["p0"][..]),
            ("everything but DNS", vec![deny.clone(), dns], &["p0", "p1"][..]),
            ("and movers may go anywhere", vec![deny, movers], &[][..]),
            ("no selector", vec![json!({"policyTypes": ["Ingress", "Egress"]})], &["p0"][..]),
            ("ingress only", vec![json!({"podSelector": {}, "policyTypes": ["Ingress"]})], &[][..]),
            ("no types, and no rules for egress", vec![json!({"podSelector": {}, "ingress": []})], &[][..]),
            ("no types, and a rule", vec![json!({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]})], &["p0"][..]),
            ("of other pods", vec![json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]})], &[][..]),
            ("all but movers", vec![json!({"podSelector": role("NotIn", &json!(["mover"])), "policyTypes": ["Egress"]})], &[][..]),
            ("movers by a list", vec![json!({"podSelector": role("In", &json!(["x", "mover"])), "policyTypes": ["Egress"]})], &["p0"][..]),
            ("who has a role", vec![json!({"podSelector": role("Exists", &Value::Null), "policyTypes": ["Egress"]})], &["p0"][..]),
            ("who has none", vec![json!({"podSelector": role("DoesNotExist", &Value::Null), "policyTypes": ["Egress"]})], &[][..]),
        ] {
            let policies: Vec<NetworkPolicy> = specs.iter().enumerate().map(|(number, spec)| policy(&format!("p{number}"), spec)).collect();
            assert_eq!(limiting(&policies, &labels()), expected, "{case}");
        }
    }

    fn step_context() -> StepContext {
        let scope = Scope::of_city("p861", ["west"]);
        let run = RunIdentity { kind: "Backup", namespace: "shinan".into(), name: "b".into(), uid: "run-1".into(), repository: "main".into(), scope };
        StepContext {
            run,
            step: StepId::new("save/a/volume/files").unwrap(),
            attempt: 1,
            started: Timestamp::UNIX_EPOCH,
            deadline: SignedDuration::from_hours(1),
            inputs: BTreeMap::new(),
            followers: Vec::new(),
            leaders: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_mover_that_does_not_reach_its_store_names_the_policy_and_what_to_allow() {
        let site = Scope::of_city("p861", ["west"]).site(&"west".into()).unwrap();
        let place = MoverPlace { site: &site, namespace: "n", claim: None, snapshot: None, namespaces: &[] };
        for (case, code, policies, expected) in [
            (
                "named",
                200_u16,
                vec![json!({"metadata": {"name": "deny"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}})],
                Some("NetworkPolicy deny in namespace n on west limits "),
            ),
            ("there is none", 200, vec![], None),
            ("it can't be read", 403, vec![], Some("a NetworkPolicy in namespace n on west may be in its way: ")),
        ] {
            let answer = move |_: Request<Body>| {
                let body = if code == 200 {
                    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList", "metadata": {}, "items": policies.clone()})
                } else {
                    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Forbidden", "code": code, "message": "no"})
                };
                let response = Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap();
                std::future::ready(Ok::<_, Infallible>(response))
            };
            let client = Client::new(tower::service_fn(answer), "n");
            let hint = hint(&client, &step_context(), &place).await;
            assert_eq!(hint.is_some(), expected.is_some(), "{case}: {hint:?}");
            if let (Some(hint), Some(expected)) = (hint, expected) {
                assert!(hint.starts_with(expected) && hint.ends_with("platform861.io/role=mover reach the store and DNS"), "{case}: {hint}");
            }
        }
    }

    #[test]
    fn what_limits_a_mover_stands_behind_what_its_store_said() {
        let EffectOutcome::Running(progress) = with(EffectOutcome::running("it waits"), "why") else { panic!("it runs") };
        assert_eq!(progress.message.as_deref(), Some("it waits; why"));
        let EffectOutcome::Failed(failure, None) = with(EffectOutcome::Failed(Failure::transient(Reason::Unreachable, "no answer"), None), "why") else {
            panic!("it has failed")
        };
        assert_eq!((failure.reason, failure.message.as_str()), (Reason::Unreachable, "no answer; why"));
        // The words are the store's.
        assert!(include_str!("../../../../vault/src/store/s3.rs").contains(UNREACHED));
    }
}
