//! Owners of objects: which children their owner certainly makes again, and how a reference to an owner is saved.

use super::{group, kind, metadata, text};
use serde_json::{Map, Value, json};

/// A kind, by group and kind.
type Kind = (&'static str, &'static str);

/// Owner and child: the built-in controller of the owner makes the child again, under the same name or another.
const MADE_AGAIN: &[(Kind, Kind)] = &[
    (("apps", "ReplicaSet"), ("", "Pod")),
    (("apps", "StatefulSet"), ("", "Pod")),
    (("apps", "DaemonSet"), ("", "Pod")),
    (("batch", "Job"), ("", "Pod")),
    (("", "ReplicationController"), ("", "Pod")),
    // The kubelet mirrors the static pods of its node.
    (("", "Node"), ("", "Pod")),
    (("apps", "Deployment"), ("apps", "ReplicaSet")),
    (("apps", "StatefulSet"), ("apps", "ControllerRevision")),
    (("apps", "DaemonSet"), ("apps", "ControllerRevision")),
    (("batch", "CronJob"), ("batch", "Job")),
    // From the template that the pod names.
    (("", "Pod"), ("resource.k8s.io", "ResourceClaim")),
];

/// Fields of a reference to an owner that mean something elsewhere. The UID is another's in another place: a restore fills it in.
const REFERENCE_FIELDS: &[&str] = &["apiVersion", "kind", "name", "controller", "blockOwnerDeletion"];

/// What becomes of an object because of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// A built-in controller makes it again.
    MadeAgain,
    /// A pod that a controller of an unknown kind has made: it makes another as soon as its own object is there, so that a restored pod would be one too many.
    PodOfAnother,
    /// It stays as it is: nobody is known to make it again.
    Kept,
}

/// What becomes of an object because of its controlling owner.
pub fn ownership(object: &Value) -> Ownership {
    let Some(owner) = controller(object) else { return Ownership::Kept };
    let child = (group(object), kind(object));
    if MADE_AGAIN.contains(&((group(owner), kind(owner)), child)) && !is_made_by_hand(object) {
        Ownership::MadeAgain
    } else if child == ("", "Pod") {
        Ownership::PodOfAnother
    } else {
        Ownership::Kept
    }
}

/// The owner that controls an object.
fn controller(object: &Value) -> Option<&Value> {
    metadata(object)?.get("ownerReferences")?.as_array()?.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

/// `kubectl create job --from=cronjob/x` makes a Job that its CronJob owns and never makes again.
fn is_made_by_hand(object: &Value) -> bool {
    text(object, "/metadata/annotations/cronjob.kubernetes.io~1instantiate") == "manual"
}

/// Reduces the references to owners to what holds elsewhere.
pub fn reduce_references(metadata: &mut Map<String, Value>) {
    let Some(references) = metadata.get_mut("ownerReferences") else { return };
    let reduced: Vec<Value> = references.as_array().into_iter().flatten().map(reduced).collect();
    if reduced.is_empty() {
        metadata.remove("ownerReferences");
    } else {
        *references = Value::Array(reduced);
    }
}

fn reduced(reference: &Value) -> Value {
    let fields = REFERENCE_FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), reference.get(*field)?.clone())));
    json!(fields.collect::<Map<String, Value>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(child: (&str, &str), owner: (&str, &str), controls: bool) -> Value {
        let reference = json!({"apiVersion": owner.0, "kind": owner.1, "name": "o", "uid": "u", "controller": controls});
        json!({"apiVersion": child.0, "kind": child.1, "metadata": {"name": "c", "ownerReferences": [reference]}})
    }

    #[test]
    fn fault_b2_only_what_a_built_in_controller_makes_again_is_left_to_it() {
        use Ownership as O;
        let custom = ("example.com/v1", "Database");
        for (child, owner, expected) in [
            (("v1", "Pod"), ("apps/v1", "ReplicaSet"), O::MadeAgain),
            (("v1", "Pod"), ("apps/v1", "StatefulSet"), O::MadeAgain),
            (("v1", "Pod"), ("apps/v1", "DaemonSet"), O::MadeAgain),
            (("v1", "Pod"), ("batch/v1", "Job"), O::MadeAgain),
            (("v1", "Pod"), ("v1", "ReplicationController"), O::MadeAgain),
            (("v1", "Pod"), ("v1", "Node"), O::MadeAgain),
            (("apps/v1", "ReplicaSet"), ("apps/v1", "Deployment"), O::MadeAgain),
            (("apps/v1", "ControllerRevision"), ("apps/v1", "StatefulSet"), O::MadeAgain),
            (("batch/v1", "Job"), ("batch/v1", "CronJob"), O::MadeAgain),
            (("v1", "Pod"), custom, O::PodOfAnother),
            // An owner of the same name in another group is another kind.
            (("v1", "Pod"), ("example.com/v1", "ReplicaSet"), O::PodOfAnother),
            (("apps/v1", "ReplicaSet"), ("argoproj.io/v1alpha1", "Rollout"), O::Kept),
            (("apps/v1", "ControllerRevision"), custom, O::Kept),
            (("batch/v1", "Job"), custom, O::Kept),
            (("v1", "Secret"), ("v1", "ConfigMap"), O::Kept),
            (("v1", "Secret"), custom, O::Kept),
            (("v1", "ConfigMap"), ("apps/v1", "Deployment"), O::Kept),
            (("v1", "PersistentVolumeClaim"), ("apps/v1", "StatefulSet"), O::Kept),
            (("example.com/v1", "Database"), ("example.com/v1", "Cluster"), O::Kept),
        ] {
            assert_eq!(ownership(&owned(child, owner, true)), expected, "{child:?} of {owner:?}");
            assert_eq!(ownership(&owned(child, owner, false)), O::Kept, "{child:?}, which {owner:?} doesn't control");
        }
        let mut by_hand = owned(("batch/v1", "Job"), ("batch/v1", "CronJob"), true);
        by_hand["metadata"]["annotations"] = json!({"cronjob.kubernetes.io/instantiate": "manual"});
        assert_eq!(ownership(&by_hand), O::Kept, "a Job that a person made from a CronJob");
    }

    #[test]
    fn a_reference_to_an_owner_keeps_what_holds_elsewhere() {
        let mut object = owned(("v1", "Secret"), ("v1", "ConfigMap"), true);
        object["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = json!(true);
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        reduce_references(metadata);
        assert_eq!(
            metadata["ownerReferences"],
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "controller": true, "blockOwnerDeletion": true}])
        );
        metadata.insert("ownerReferences".into(), json!([]));
        reduce_references(metadata);
        assert_eq!(metadata.get("ownerReferences"), None);
    }
}
