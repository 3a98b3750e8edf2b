//! Kubernetes objects as data: what belongs in a backup, what is stripped from it, how a copy differs, and in which order objects are written.

mod again;
mod allocate;
mod charged;
mod cluster;
mod compare;
mod copy;
mod diff;
mod halt;
mod kinds;
mod left_out;
mod made_again;
mod manifest;
mod namespaces;
mod needed;
mod order;
mod owners;
mod pace;
mod patch;
mod reach;
mod remains;
mod replace;
mod retention;
mod save;
mod stop;
mod tokens;

pub use again::{Identity, ObjectCounts, awaits, worth_a_second_try};
pub use allocate::allocate_anew;
pub use charged::is_charged;
pub use cluster::{CLUSTER_KINDS, CLUSTER_VERSION, ClusterKind, ClusterObject, defined_kind, is_established, names_object, permitted, prepare_cluster};
pub use compare::{ClaimMatch, compare_claims, content, content_as, covers, differences_of, is_untouched, metadata_patch};
pub use copy::{HARMLESS_KINDS, HarmlessKind, Prepared, prepare, refused_kind};
pub use diff::{brief, differences};
pub use halt::{Halt, Scene, Watch, halt, pod_spec, started_again, uses};
pub use kinds::{ChosenKind, ChosenKinds, ServedKind, ServedVersion, StatusOwner, choose_kinds};
pub use left_out::{LeaveReason, LeftOutTally, MAX_INVENTORY_NAMES, MAX_STATUS_NAMES, told};
pub use manifest::{HIDDEN_VALUE, manifest};
pub use namespaces::{NamespaceChanges, namespace_changes};
pub use needed::{Survey, needed};
pub use order::{rank, rank_of};
pub use owners::{Owner, owners, rewire};
pub use pace::Pace;
pub use patch::{matching as matching_patches, refused as refused_patch, told as told_patch};
pub use reach::{Rights, gives_more, rights};
pub use remains::{Leftover, Remains, is_copy_of, leftover, remains, told_terminating};
pub use replace::{MayReplace, in_place, once_stopped, replaceable};
pub use retention::WHEN_SCALED_ANNOTATION;
pub use save::{NamespaceFacts, ROOT_CA_CONFIG_MAP, SaveDecision, judge, may_hold_user_objects, save, selects};
pub use stop::{
    Controller, LABEL_VALUE_MOVER, NOT_STARTED, REPLICAS_ANNOTATION, Runner, Stop, controller, has_ended, held, held_alike, is_mover, is_stopped,
    marked_at_rest, merged, start, stop, stopped_replicas,
};

use serde_json::{Map, Value};

/// An object as one line of JSON with sorted keys, so that equal objects are equal bytes in every backup.
pub fn line(object: &Value) -> String {
    crate::canonical::canonical_json(object)
}

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
