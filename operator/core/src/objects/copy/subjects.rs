//! Subjects of RoleBindings, which move with their namespaces.

use crate::runs::CopyRules;
use serde_json::{Value, json};

pub(super) fn prepare(object: &mut Value, rules: &CopyRules) {
    let target = |from: &str| rules.namespaces.get(from).cloned();
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        let of = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default();
        let (kind, name, namespace) = (of("kind"), of("name"), of("namespace"));
        let changed = match kind {
            // All accounts of a namespace.
            "Group" => name.strip_prefix("system:serviceaccounts:").and_then(target).map(|to| ("name", format!("system:serviceaccounts:{to}"))),
            // One account, by its name as a user.
            "User" => name
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
                .and_then(|(from, account)| Some(("name", format!("system:serviceaccount:{}:{account}", target(from)?)))),
            _ => target(namespace).map(|to| ("namespace", to)),
        };
        if let (Some((field, value)), Some(subject)) = (changed, subject.as_object_mut()) {
            subject.insert(field.into(), json!(value));
        }
    }
}
