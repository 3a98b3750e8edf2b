//! Kubernetes objects as data: what belongs in a backup, what is stripped from it, how a copy differs, and in which order objects are written.

mod copy;
mod order;
mod save;

pub use copy::{NOT_STARTED, Prepared, REPLICAS_ANNOTATION, prepare, stopped_replicas};
pub use order::rank;
pub use save::{SaveDecision, save};

use serde_json::{Map, Value};

/// An object's `metadata`, for reading.
fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata")?.as_object()
}

/// A text in an object, by JSON pointer.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The API group of an object; empty for the core group.
pub fn group(object: &Value) -> &str {
    text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group)
}

/// The kind of an object.
pub fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

/// The name of an object.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The namespace of an object; empty if it has none.
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}
