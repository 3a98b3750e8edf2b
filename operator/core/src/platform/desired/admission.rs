//! ValidatingAdmissionPolicies of the district's namespaces. Unlike a webhook, they cannot be down.

use super::{Document, Owner};
use crate::{objects::LABEL_VALUE_MOVER, platform::pod_security};
use p861_crds::{
    PlatformSpec,
    names::{DISTRICT_LABEL, GROUP, ROLE_LABEL},
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

/// Accounts that make the pods of a Job. Clusters whose controllers have no accounts of their own have the second.
const JOB_CONTROLLERS: &str = "['system:serviceaccount:kube-system:job-controller', 'system:kube-controller-manager']";

/// Whether an object is a mover's, as a CEL expression. Movers run beside the data, as root where they read volumes.
///
/// A label and an image are anybody's to write. What counts is who asks: a mover's Job comes from an account that may `run` the resource `movers` of our group in the
/// whole cluster, which the chart gives to the operator alone (no object has that resource, and no role in a namespace is enough); its pods come from the
/// controller of Jobs, which makes them as the Job says.
fn mover() -> String {
    let labelled =
        format!("has(object.metadata.labels) && '{ROLE_LABEL}' in object.metadata.labels && object.metadata.labels['{ROLE_LABEL}'] == '{LABEL_VALUE_MOVER}'");
    let of_job = "has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(o, o.kind == 'Job' && o.apiVersion == 'batch/v1' && has(o.controller) && o.controller)";
    format!(
        "{labelled} && (request.resource.resource == 'jobs' ? authorizer.group('{GROUP}').resource('movers').check('run').allowed() : \
         request.resource.resource == 'pods' && request.userInfo.username in {JOB_CONTROLLERS} && {of_job})"
    )
}

/// The policies and their bindings. They hold in every namespace of the district: its applications', those that restores make, drills' copies, and components'.
pub fn admission(spec: &PlatformSpec, owner: Owner<'_>) -> Vec<Document> {
    let mut all = Vec::new();
    let variables = json!([
        {"name": "pod", "expression": TEMPLATES},
        {"name": "before", "expression": format!("oldObject == null ? null : {}", TEMPLATES.replace("object.", "oldObject."))},
        {"name": "containers", "expression": "variables.pod.containers + (has(variables.pod.initContainers) ? variables.pod.initContainers : []) + (has(variables.pod.ephemeralContainers) ? variables.pod.ephemeralContainers : [])"},
        {"name": "mover", "expression": mover()},
        {"name": "same", "expression": "oldObject != null && variables.pod == variables.before"},
    ]);
    let rules = json!([
        {"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["pods", "pods/ephemeralcontainers", "replicationcontrollers"], "scope": "*"},
        {"apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments", "statefulsets", "daemonsets", "replicasets"], "scope": "*"},
        {"apiGroups": ["batch"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["jobs", "cronjobs"], "scope": "*"},
    ]);
    let validations: Vec<Value> = pod_rules(spec, owner)
        .into_iter()
        .map(|(expression, message)| json!({"expression": format!("variables.same || variables.mover || {expression}"), "message": message}))
        .collect();
    all.extend(policy(owner, "pods", &rules, &variables, &validations));
    let services = service_rules(spec);
    if !services.is_empty() {
        let rules = json!([{"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["services"], "scope": "*"}]);
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
            "namespaceSelector": {"matchLabels": {DISTRICT_LABEL: owner.district}},
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
fn pod_rules(spec: &PlatformSpec, owner: Owner<'_>) -> Vec<(String, String)> {
    let mut rules = vec![priority(owner)];
    let mut rule = |expression: String, message: &str| rules.push((expression, message.to_owned()));
    if spec.security.forbidden.contains(&Forbidden::LatestTag) {
        // The last part of the path decides: a host may have a port.
        let tagged = "variables.containers.all(c, c.image.contains('@sha256:') || (c.image.split('/')[size(c.image.split('/')) - 1].contains(':') && !c.image.endsWith(':latest')))";
        rule(tagged.to_owned(), "images need a tag other than latest, or a digest: what runs must be what was tested");
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
        let expression = format!("variables.containers.all(c, [{}].exists(r, c.image.startsWith(r)))", known.join(", "));
        rule(expression, "images come from the registries that the Platform names in baseSoftware.registries");
    }
    if pod_security::level(&owner.limits, Some(spec)) == PodSecurity::Restricted {
        rules.extend(restricted().into_iter().map(|(expression, message)| (expression, message.to_owned())));
    }
    rules
}

/// Whatever class a pod names, and whoever made it: the API server writes the class's value into the pod. A template names only the class.
fn priority(owner: Owner<'_>) -> (String, String) {
    let (most, district) = (owner.limits.max_priority, owner.district);
    let expression = format!(
        "(!has(variables.pod.priority) || variables.pod.priority <= {most}) && (!has(variables.pod.priorityClassName) || !variables.pod.priorityClassName.startsWith('system-'))"
    );
    let message =
        format!("pods have a priority of at most {most} here: choose another priorityClassName; the limit is spec.limits.maxPriority of District {district}");
    (expression, message)
}

/// Sources of volumes that Restricted admits.
const VOLUMES: [&str; 9] = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];

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
    let no_root = format!(
        "(!{} || variables.pod.securityContext.runAsUser != 0) && variables.containers.all(c, !{} || c.securityContext.runAsUser != 0)",
        of_pod("runAsUser"),
        of_container("runAsUser")
    );
    let added = format!(
        "variables.containers.all(c, !{} || !has(c.securityContext.capabilities.add) || c.securityContext.capabilities.add.all(a, a == 'NET_BIND_SERVICE'))",
        of_container("capabilities")
    );
    let sources = VOLUMES.map(|source| format!("has(v.{source})")).join(" || ");
    let volumes = format!("!has(variables.pod.volumes) || variables.pod.volumes.all(v, {sources})");
    vec![
        (non_root, "podSecurity is Restricted: set securityContext.runAsNonRoot: true"),
        (no_root, "podSecurity is Restricted: set securityContext.runAsUser to another user than 0, or leave it out"),
        (added, "podSecurity is Restricted: securityContext.capabilities.add may hold NET_BIND_SERVICE only"),
        (volumes, "podSecurity is Restricted: volumes are claims, ConfigMaps, Secrets, emptyDir, projected, downwardAPI, CSI, ephemeral or images"),
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
