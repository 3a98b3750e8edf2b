//! ValidatingAdmissionPolicies of the district's namespaces. Unlike a webhook, they cannot be down.

use super::{Document, Owner};
use p861_crds::{
    PlatformSpec,
    names::{DEPARTMENT_LABEL, DISTRICT_LABEL},
    platform::{
        platform::{Forbidden, PodSecurity},
        profile::Layer,
    },
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Kinds with a pod template. Updates that do not change the template are admitted, so that a new policy does not block controllers.
const TEMPLATES: &str =
    "has(object.spec.template) ? object.spec.template.spec : has(object.spec.jobTemplate) ? object.spec.jobTemplate.spec.template.spec : object.spec";

/// The policies and their bindings.
pub fn admission(spec: &PlatformSpec, owner: Owner<'_>) -> Vec<Document> {
    let mut all = Vec::new();
    let pods = pod_rules(spec, owner);
    if !pods.is_empty() {
        let variables = json!([
            {"name": "pod", "expression": TEMPLATES},
            {"name": "before", "expression": format!("oldObject == null ? null : {}", TEMPLATES.replace("object.", "oldObject."))},
            {"name": "containers", "expression": "variables.pod.containers + (has(variables.pod.initContainers) ? variables.pod.initContainers : []) + (has(variables.pod.ephemeralContainers) ? variables.pod.ephemeralContainers : [])"},
            // Movers run beside the data, as root, from the operator's image, and from nowhere else.
            {"name": "mover", "expression": format!("variables.containers.all(c, c.image == {})", quoted(owner.image))},
            {"name": "same", "expression": "oldObject != null && variables.pod == variables.before"},
        ]);
        let rules = json!([
            {"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["pods"]},
            {"apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments", "statefulsets", "daemonsets", "replicasets"]},
            {"apiGroups": ["batch"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["jobs", "cronjobs"]},
        ]);
        let validations: Vec<Value> = pods
            .into_iter()
            .map(|(expression, message)| json!({"expression": format!("variables.same || variables.mover || {expression}"), "message": message}))
            .collect();
        all.extend(policy(owner, "pods", &rules, &variables, &validations));
    }
    let services = service_rules(spec);
    if !services.is_empty() {
        let rules = json!([{"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]}]);
        let validations: Vec<Value> = services
            .into_iter()
            .map(|(kind, message)| json!({"expression": format!("!has(object.spec.type) || object.spec.type != '{kind}'"), "message": message}))
            .collect();
        all.extend(policy(owner, "services", &rules, &json!([]), &validations));
    }
    all
}

fn policy(owner: Owner<'_>, about: &str, rules: &Value, variables: &Value, validations: &[Value]) -> [Document; 2] {
    let name = format!("p861-{}-{about}", owner.district);
    let api = "admissionregistration.k8s.io/v1";
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchLabels": {DISTRICT_LABEL: owner.district}, "matchExpressions": [{"key": DEPARTMENT_LABEL, "operator": "Exists"}]},
            "objectSelector": {},
            "resourceRules": rules,
        },
        "variables": variables,
        "validations": validations,
    });
    [
        owner.document(Layer::Security, api, "ValidatingAdmissionPolicy", &name, None, json!({"spec": spec})),
        owner.document(
            Layer::Security,
            api,
            "ValidatingAdmissionPolicyBinding",
            &name,
            None,
            json!({"spec": {"policyName": name, "validationActions": ["Deny"]}}),
        ),
    ]
}

/// CEL expressions that a pod must satisfy, with the message for a violation.
fn pod_rules(spec: &PlatformSpec, owner: Owner<'_>) -> Vec<(String, &'static str)> {
    let mut rules = Vec::new();
    if spec.security.forbidden.contains(&Forbidden::LatestTag) {
        // The last part of the path decides: a host may have a port.
        let tagged = "variables.containers.all(c, c.image.contains('@sha256:') || (c.image.split('/')[size(c.image.split('/')) - 1].contains(':') && !c.image.endsWith(':latest')))";
        rules.push((tagged.to_owned(), "images need a tag other than latest, or a digest: what runs must be what was tested"));
    }
    let registries: BTreeSet<&str> = spec
        .base_software
        .registries
        .iter()
        .flat_map(|registry| {
            std::iter::once(registry.name.as_str())
                .chain(registry.mirrors.iter().filter(|mirror| mirror.site_ref.name == owner.site).map(|mirror| mirror.endpoint.as_str()))
        })
        .collect();
    if spec.security.forbidden.contains(&Forbidden::UnknownRegistry) && !registries.is_empty() {
        let known: Vec<String> = registries.iter().map(|registry| quoted(&format!("{}/", registry.trim_end_matches('/')))).collect();
        rules.push((
            format!("variables.containers.all(c, [{}].exists(r, c.image.startsWith(r)))", known.join(", ")),
            "images come from the registries that the Platform names in baseSoftware.registries",
        ));
    }
    if spec.security.pod_security == PodSecurity::Restricted {
        rules.extend(restricted());
    }
    rules
}

/// Kubernetes' Pod Security Standard Restricted, beyond what Baseline refuses already.
fn restricted() -> Vec<(String, &'static str)> {
    let of_pod = |field: &str| format!("(has(variables.pod.securityContext) && has(variables.pod.securityContext.{field}))");
    let of_container = |field: &str| format!("(has(c.securityContext) && has(c.securityContext.{field}))");
    let non_root = format!(
        "variables.containers.all(c, {} ? c.securityContext.runAsNonRoot : {} && variables.pod.securityContext.runAsNonRoot)",
        of_container("runAsNonRoot"),
        of_pod("runAsNonRoot")
    );
    let seccomp = format!("variables.containers.all(c, {} || {})", of_container("seccompProfile"), of_pod("seccompProfile"));
    vec![
        (non_root, "podSecurity is Restricted: set securityContext.runAsNonRoot: true"),
        (
            format!("variables.containers.all(c, {} && !c.securityContext.allowPrivilegeEscalation)", of_container("allowPrivilegeEscalation")),
            "podSecurity is Restricted: set securityContext.allowPrivilegeEscalation: false in every container",
        ),
        (
            format!(
                "variables.containers.all(c, {} && has(c.securityContext.capabilities.drop) && 'ALL' in c.securityContext.capabilities.drop)",
                of_container("capabilities")
            ),
            "podSecurity is Restricted: set securityContext.capabilities.drop: [ALL] in every container",
        ),
        (seccomp, "podSecurity is Restricted: set securityContext.seccompProfile.type: RuntimeDefault"),
    ]
}

fn service_rules(spec: &PlatformSpec) -> Vec<(&'static str, &'static str)> {
    let forbidden = |what: Forbidden| spec.security.forbidden.contains(&what);
    let mut rules = Vec::new();
    if forbidden(Forbidden::NodePort) {
        rules.push(("NodePort", "Services of type NodePort are forbidden here: use a gateway of the Platform"));
    }
    if forbidden(Forbidden::LoadBalancer) {
        rules.push(("LoadBalancer", "Services of type LoadBalancer are forbidden here: use a gateway of the Platform"));
    }
    rules
}

/// A text as a CEL literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
