//! Owners of saved objects. A backup names them without their UID, since a restored owner has another.

use super::group;
use serde_json::{Value, json};

/// An owner that an object names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name; in the object's own namespace.
    pub name: String,
}

fn owner_of(reference: &Value) -> Owner {
    let of = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    Owner { group: group(reference).to_owned(), kind: of("kind"), name: of("name") }
}

/// The owners that an object names.
pub fn owners(object: &Value) -> Vec<Owner> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten().map(owner_of).collect()
}

/// Gives each owner its new UID, and drops those without one. Returns how many were dropped.
pub fn rewire(object: &mut Value, uid_of: impl Fn(&Owner) -> Option<String>) -> u64 {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return 0 };
    let Some(Value::Array(references)) = metadata.remove("ownerReferences") else { return 0 };
    let all = references.len();
    let rewired: Vec<Value> = references
        .into_iter()
        .filter_map(|mut reference| {
            let uid = uid_of(&owner_of(&reference))?;
            reference.as_object_mut()?.insert("uid".into(), json!(uid));
            Some(reference)
        })
        .collect();
    let dropped = all - rewired.len();
    if !rewired.is_empty() {
        metadata.insert("ownerReferences".into(), rewired.into());
    }
    dropped as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_b2_an_owner_gets_its_new_uid_and_one_that_is_not_there_is_dropped() {
        let reference =
            |kind: &str, name: &str| json!({"apiVersion": "demo.example/v1", "kind": kind, "name": name, "controller": true, "blockOwnerDeletion": true});
        let mut object = json!({"metadata": {"name": "a", "ownerReferences": [reference("Widget", "w"), reference("Widget", "gone")]}});
        assert_eq!(owners(&object)[0], Owner { group: "demo.example".into(), kind: "Widget".into(), name: "w".into() });
        let dropped = rewire(&mut object, |owner| (owner.name == "w").then(|| "u2".to_owned()));
        let mut expected = reference("Widget", "w");
        expected["uid"] = json!("u2");
        assert_eq!((dropped, &object["metadata"]["ownerReferences"]), (1, &json!([expected])));
        assert_eq!(rewire(&mut object, |_| None), 1);
        assert_eq!(object, json!({"metadata": {"name": "a"}}));
    }
}
