//! An object of a backup as people get it to read, and to apply.

use super::{group, kind, metadata};
use serde_json::{Map, Value, json};

/// What stands for a value of a Secret. It is no base64, so that nobody writes it over the real value: the API server refuses such a manifest.
pub const HIDDEN_VALUE: &str = "(hidden)";

/// The object as it was saved, ready to be applied: without owners, whose UIDs are others now. Values of Secrets are hidden.
pub fn manifest(saved: &Value) -> Value {
    let mut object = saved.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("ownerReferences");
    }
    if (group(&object), kind(&object)) == ("", "Secret") { hidden(&object) } else { object }
}

fn hidden_values(map: Option<&Value>) -> Map<String, Value> {
    map.and_then(Value::as_object).into_iter().flatten().map(|(key, _)| (key.clone(), json!(HIDDEN_VALUE))).collect()
}

/// A Secret of which only what is no secret is left. Its annotations may hold a whole manifest.
fn hidden(secret: &Value) -> Value {
    let mut data = hidden_values(secret.get("data"));
    data.extend(hidden_values(secret.get("stringData")));
    let mut shown: Map<String, Value> =
        ["apiVersion", "kind", "type", "immutable"].into_iter().filter_map(|key| Some((key.to_owned(), secret.get(key)?.clone()))).collect();
    let mut of_metadata = metadata(secret).cloned().unwrap_or_default();
    if let Some(annotations) = of_metadata.get_mut("annotations") {
        *annotations = hidden_values(Some(annotations)).into();
    }
    shown.insert("metadata".into(), of_metadata.into());
    if !data.is_empty() {
        shown.insert("data".into(), data.into());
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_shown_as_it_was_saved_without_what_can_not_be_applied() {
        let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "a"}]);
        let saved =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n", "ownerReferences": owners}, "data": {"a": "b"}});
        let shown = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": {"a": "b"}});
        assert_eq!(manifest(&saved), shown);
    }

    #[test]
    fn no_value_of_a_secret_is_shown_and_what_is_shown_can_not_be_applied_by_mistake() {
        let saved = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true, "data": {"a": "aHVzaA=="}, "stringData": {"b": "hush"}, "unknown": "hush",
            "metadata": {"name": "s", "namespace": "n", "labels": {"l": "1"}, "annotations": {"applied": "hush"}}});
        let shown = manifest(&saved);
        let text = shown.to_string();
        assert!(!text.contains("hush") && !text.contains("aHVzaA"), "{text}");
        assert_eq!(shown["data"], json!({"a": HIDDEN_VALUE, "b": HIDDEN_VALUE}));
        assert_eq!((&shown["metadata"]["labels"]["l"], &shown["type"], &shown["immutable"]), (&json!("1"), &json!("Opaque"), &json!(true)));
        assert!(!HIDDEN_VALUE.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=')), "it is no base64");
    }
}
