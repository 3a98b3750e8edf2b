//! The CRD documents as they are installed, made from the types.

use crate::{
    Application, Approval, Backup, BackupPolicy, BackupRepository, ChangeTemplate, District, Drill, DutyRoster, MaintenanceTicket, MaintenanceWindow, Platform,
    PlatformProfile, RecoveryPlan, Restore, Site, forms,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

/// A document could not be written.
#[derive(Debug, thiserror::Error)]
#[error("can't write the CRD of {kind}: {why}")]
pub struct GenerateError {
    kind: String,
    why: String,
}

/// Every kind's definition, as the types give it.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        Site::crd(),
        District::crd(),
        PlatformProfile::crd(),
        Platform::crd(),
        Application::crd(),
        BackupRepository::crd(),
        BackupPolicy::crd(),
        Backup::crd(),
        Restore::crd(),
        RecoveryPlan::crd(),
        Drill::crd(),
        MaintenanceWindow::crd(),
        ChangeTemplate::crd(),
        MaintenanceTicket::crd(),
        Approval::crd(),
        DutyRoster::crd(),
    ]
}

/// Every definition as JSON, as it is installed.
///
/// # Errors
/// If a definition can't be written as JSON.
pub fn documents_as_json() -> Result<Vec<Value>, GenerateError> {
    definitions()
        .into_iter()
        .map(|crd| {
            let mut value = serde_json::to_value(&crd).map_err(|error| GenerateError { kind: crd.spec.names.kind.clone(), why: error.to_string() })?;
            normalise(&mut value);
            forms::say(&mut value);
            describe(&mut value);
            if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("annotations".into(), serde_json::json!({"helm.sh/resource-policy": "keep"}));
            }
            Ok(value)
        })
        .collect()
}

/// File name and YAML text of every definition, as it stands in the chart.
///
/// # Errors
/// If a definition can't be written as YAML.
pub fn documents() -> Result<Vec<(String, String)>, GenerateError> {
    documents_as_json()?
        .into_iter()
        .map(|value| {
            let word = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let text = serde_saphyr::to_string(&value).map_err(|error| GenerateError { kind: word("/spec/names/kind"), why: error.to_string() })?;
            Ok((format!("{}.yaml", word("/spec/names/plural")), format!("# Generated from crds/src by: make generate\n{text}")))
        })
        .collect()
}

/// `kubectl explain` begins with the kind's own sentence instead of the derive macro's.
fn describe(value: &mut Value) {
    let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) else { return };
    for schema in versions.iter_mut().filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema")) {
        if let Some(text) = schema.pointer("/properties/spec/description").cloned() {
            schema["description"] = text;
        }
    }
}

/// An explicit null in an optional field means "absent": without `nullable` the API server prunes it, so CEL's `has()` can be trusted. Formats that the
/// API server doesn't know only make it warn.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.contains_key("type") || map.contains_key("properties") || map.contains_key("x-kubernetes-int-or-string") {
                map.remove("nullable");
                if matches!(map.get("format"), Some(Value::String(format)) if format.starts_with("uint")) {
                    map.remove("format");
                }
            }
            map.values_mut().for_each(normalise);
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}
