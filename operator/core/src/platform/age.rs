//! Which of two objects was there first.

use jiff::Timestamp;
use p861_crds::ObjectMeta;

/// When an object was made, and its name: of two that claim the same thing the one with the lesser age has it. The API server counts in seconds; of two that were made in
/// one, the first by name counts as older.
pub fn age(metadata: &ObjectMeta) -> (Option<Timestamp>, Option<&str>) {
    (metadata.creation_timestamp.as_ref().map(|time| time.0), metadata.name.as_deref())
}
