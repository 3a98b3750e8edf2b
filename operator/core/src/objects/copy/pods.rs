//! Pods and their templates.

use super::text;
use crate::{
    objects::replace::{JOB_LABELS, TOKEN_VOLUME_PREFIX},
    runs::CopyRules,
};
use p861_crds::protection::restore::Mapping;
use serde_json::{Value, json};

/// Fields of a pod that scheduling and admission set, and that only they may set.
const SET_BY_ADMISSION: &[&str] = &["nodeName", "priority", "preemptionPolicy", "overhead", "ephemeralContainers"];

/// The API server generates these for a Job and refuses them on creation, unless the Job selects its pods itself.
pub(super) fn generated_job_fields(object: &mut Value) {
    if object.pointer("/spec/manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    // The Job's own are refused by nobody: its name is still true, its UID isn't.
    for (at, of_name) in [("/spec/template/metadata/labels", true), ("/metadata/labels", false)] {
        if let Some(labels) = object.pointer_mut(at).and_then(Value::as_object_mut) {
            for label in JOB_LABELS.iter().filter(|label| of_name || label.ends_with("controller-uid")) {
                labels.remove(*label);
            }
        }
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("selector");
    }
}

/// A pod without a controller is scheduled anew.
pub(super) fn bare(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    spec.retain(|field, _| !SET_BY_ADMISSION.contains(&field.as_str()));
    let is_token = |entry: &Value| entry.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with(TOKEN_VOLUME_PREFIX));
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|volume| !is_token(volume));
    }
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|mount| !is_token(mount));
            }
        }
    }
}

pub(super) fn pod_spec(pod: &mut Value, rules: &CopyRules) {
    for list in ["initContainers", "containers"] {
        for container in pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(image) = mapped(text(container, "/image"), &rules.images) {
                container["image"] = json!(image);
            }
        }
    }
    for volume in pod.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(image) = mapped(text(volume, "/image/reference"), &rules.images) {
            volume["image"]["reference"] = json!(image);
        }
    }
}

/// The image by the first mapping whose `from` is the whole beginning of its path: `registry.a` is not the beginning of `registry.ab/x`.
fn mapped(image: &str, mappings: &[Mapping]) -> Option<String> {
    let rest = |mapping: &Mapping| {
        let rest = image.strip_prefix(&mapping.from)?;
        // After a colon stands a tag, or the port of a registry, which is part of its name.
        let whole = rest.is_empty() || mapping.from.ends_with('/') || rest.starts_with(['/', '@']) || (rest.starts_with(':') && !rest.contains('/'));
        whole.then(|| format!("{}{rest}", mapping.to))
    };
    mappings.iter().find_map(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_b16_an_image_is_mapped_by_whole_components_of_its_path() {
        let mapping = |from: &str| vec![Mapping { from: from.into(), to: "to.example".into() }];
        for (from, image, expected) in [
            ("registry.a", "registry.a/x:1", Some("to.example/x:1")),
            ("registry.a", "registry.ab/x:1", None),
            ("registry.a", "registry.a.evil/x:1", None),
            ("registry.a", "registry.a:5000/x:1", None),
            ("registry.a:5000", "registry.a:5000/x:1", Some("to.example/x:1")),
            ("registry.a/team", "registry.a/team/x", Some("to.example/x")),
            ("registry.a/team", "registry.a/teams/x", None),
            ("registry.a/x", "registry.a/x:1", Some("to.example:1")),
            ("registry.a/x", "registry.a/x@sha256:0", Some("to.example@sha256:0")),
            ("registry.a/", "registry.a/x", Some("to.examplex")),
            ("nginx", "nginx", Some("to.example")),
            ("nginx", "nginx:1.2", Some("to.example:1.2")),
        ] {
            assert_eq!(mapped(image, &mapping(from)).as_deref(), expected, "{from} {image}");
        }
    }
}
