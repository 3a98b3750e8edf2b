//! Subjects of RoleBindings, which move with their namespaces.
//!
//! Into an isolated copy only accounts of the copy's own namespaces go. Whoever else has rights in production, a person, a pipeline or a controller elsewhere, has none
//! in a copy: he could open it after it was proven to be closed, read its data, or make a check pass.

use crate::runs::CopyRules;
use serde_json::{Value, json};

/// How a RoleBinding differs that lost subjects.
pub(super) const WITHOUT_OUTSIDERS: &str = "without rights of people and of accounts outside the copy";

/// Moves the subjects. Whether some were taken off, and whether one is left.
pub(super) fn prepare(object: &mut Value, rules: &CopyRules) -> (bool, bool) {
    let Some(subjects) = object.get_mut("subjects").and_then(Value::as_array_mut) else { return (false, false) };
    let before = subjects.len();
    subjects.retain_mut(|subject| move_subject(subject, rules) || !rules.isolated);
    (subjects.len() < before, !subjects.is_empty())
}

/// Moves a subject. Whether it is an account of a namespace that is restored.
fn move_subject(subject: &mut Value, rules: &CopyRules) -> bool {
    let target = |from: &str| rules.namespaces.get(from).cloned();
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
        "ServiceAccount" => target(namespace).map(|to| ("namespace", to)),
        _ => None,
    };
    let is_own = changed.is_some();
    if let (Some((field, value)), Some(subject)) = (changed, subject.as_object_mut()) {
        subject.insert(field.into(), json!(value));
    }
    is_own
}
