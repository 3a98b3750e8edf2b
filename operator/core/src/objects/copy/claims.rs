//! Claims, which are bound anew.

use crate::runs::CopyRules;
use p861_crds::protection::restore::Mapping;
use serde_json::{Map, Value, json};

/// The way in which a claim named its class before it had a field for it. It still holds.
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// Beginnings of the annotations that binding and provisioning write.
const OF_BINDING: &[&str] = &["pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/"];

pub(super) fn claim(object: &mut Value, rules: &CopyRules) {
    let classes = &rules.storage_classes;
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        finalizers(metadata);
        annotations(metadata, rules);
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("volumeName");
        spec.remove("dataSource");
        spec.remove("dataSourceRef");
        map_class(spec, "storageClassName", classes);
        if rules.isolated {
            close(spec);
        }
    }
}

/// A claim of a copy takes a volume that is provisioned for it, and none that an administrator has prepared: that one may be meant for the day of the failover.
pub(super) fn close(spec: &mut Map<String, Value>) {
    for field in ["selector", "volumeName", "dataSource", "dataSourceRef"] {
        spec.remove(field);
    }
    // No class means prepared volumes only; without the field it means the site's default.
    if spec.get("storageClassName").and_then(Value::as_str) == Some("") {
        spec.remove("storageClassName");
    }
}

pub(super) fn templates(object: &mut Value, rules: &CopyRules) {
    let classes = &rules.storage_classes;
    for template in object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(template) = template.as_object_mut() else { continue };
        template.remove("status");
        if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
            annotations(metadata, rules);
        }
        if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
            map_class(spec, "storageClassName", classes);
            if rules.isolated {
                close(spec);
            }
        }
    }
}

/// Kubernetes' own controllers put theirs on the claim again.
fn finalizers(metadata: &mut Map<String, Value>) {
    let of_the_cluster = |name: &str| name.split_once('/').is_some_and(|(domain, _)| domain == "kubernetes.io" || domain.ends_with(".kubernetes.io"));
    let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) else { return };
    finalizers.retain(|finalizer| !finalizer.as_str().is_some_and(of_the_cluster));
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    }
}

fn annotations(metadata: &mut Map<String, Value>, rules: &CopyRules) {
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        let is_no_class = |key: &str, value: &Value| rules.isolated && key == OLD_CLASS && value.as_str() == Some("");
        annotations.retain(|key, value| key == OLD_CLASS && !is_no_class(key, value) || !OF_BINDING.iter().any(|known| key.starts_with(known)));
        map_class(annotations, OLD_CLASS, &rules.storage_classes);
    }
}

fn map_class(fields: &mut Map<String, Value>, field: &str, classes: &[Mapping]) {
    let Some(class) = fields.get(field).and_then(Value::as_str) else { return };
    if let Some(mapping) = classes.iter().find(|mapping| mapping.from == class) {
        fields.insert(field.into(), json!(mapping.to));
    }
}
