//! Claims of a StatefulSet that is scaled to zero. Where its policy says so, its controller deletes the claims of the pods that it scales away, and the volumes go
//! with them. While a set is held its policy is `Retain`; an annotation keeps what it was.

use super::{group, kind, text};
use serde_json::{Value, json};

/// Annotation of a held StatefulSet whose `persistentVolumeClaimRetentionPolicy.whenScaled` was another than `Retain`: what it was.
pub const WHEN_SCALED_ANNOTATION: &str = "platform861.io/when-scaled";

/// The policy under which claims outlive their pods.
const RETAIN: &str = "Retain";

/// The policy that a StatefulSet has and that would cost it its claims; none if they are kept, as they are without a policy.
fn costly_policy(object: &Value) -> Option<&str> {
    let policy = object.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenScaled").and_then(Value::as_str);
    policy.filter(|policy| (group(object), kind(object)) == ("apps", "StatefulSet") && *policy != RETAIN)
}

/// Whether the claims of pods that are scaled away would be deleted.
pub(super) fn deletes_claims(object: &Value) -> bool {
    costly_policy(object).is_some()
}

/// What was remembered of a held StatefulSet's policy.
fn remembered(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations/platform861.io~1when-scaled").and_then(Value::as_str)
}

/// Whether a policy is still to be put back.
pub(super) fn is_kept(object: &Value) -> bool {
    remembered(object).is_some()
}

/// Adds to the merge patch that holds the object: its claims stay. In the same patch, since its controller may act on a number of zero at once.
pub(super) fn hold(object: &Value, patch: &mut Value) {
    if let Some(policy) = costly_policy(object) {
        patch["metadata"]["annotations"][WHEN_SCALED_ANNOTATION] = json!(policy);
        patch["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": RETAIN});
    }
}

/// Adds to the merge patch that gives the object so many replicas: its policy is what it was. Not as long as there are pods beyond that number: their claims would
/// go. A later look puts it back.
pub(super) fn release(object: &Value, replicas: i64, patch: &mut Value) {
    let pods = object.pointer("/status/replicas").and_then(Value::as_i64).unwrap_or(0);
    if let Some(policy) = remembered(object).filter(|_| pods <= replicas) {
        patch["metadata"]["annotations"][WHEN_SCALED_ANNOTATION] = Value::Null;
        // Somebody may have set one meanwhile: it stays.
        if text(object, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled") == RETAIN {
            patch["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": policy});
        }
    }
}
