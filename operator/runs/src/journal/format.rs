//! Stored format of plan and journal. Pure.

use crate::error::{Category, Error, Result};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use p861_core::{
    engine::{Journal, Plan, Record},
    runs::{Action, packed},
};
use p861_crds::Reason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the stored format, in the plan. A reader refuses a newer one.
pub const FORMAT: u32 = 1;
/// The key, or the object, of the plan.
pub const PLAN: &str = "plan.json";
/// The key of the records.
pub const RECORDS: &str = "journal.jsonl";
/// Longer texts are stored in a ConfigMap as gzip, under the key with `.gz` appended.
const MAX_PLAIN_BYTES: usize = 96 * 1024;
/// The API server refuses a ConfigMap of more than 1 MiB; this leaves room for metadata.
const MAX_MAP_BYTES: usize = 1_000 * 1024;

#[derive(Serialize)]
struct Stored<'a> {
    format: u32,
    #[serde(flatten)]
    plan: &'a Plan<Action>,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The plan with the version of the format.
pub fn plan_text(plan: &Plan<Action>) -> Result<String> {
    serde_json::to_string(&Stored { format: FORMAT, plan }).map_err(|error| Error::Internal(format!("the plan can't be written: {error}")))
}

/// Reads it again, or says what is wrong with it.
pub fn read_plan(text: &str) -> std::result::Result<Plan<Action>, String> {
    let version: Version = serde_json::from_str(text).map_err(|error| format!("the version of {PLAN}: {error}"))?;
    if version.format != FORMAT {
        return Err(format!("its format is {}, this release reads {FORMAT}; go on with the release that began the run", version.format));
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A line for each record.
pub fn record_lines(records: &[Record]) -> Result<String> {
    let mut text = String::new();
    for record in records {
        text.push_str(&serde_json::to_string(record).map_err(|error| unwritable(&error))?);
        text.push('\n');
    }
    Ok(text)
}

/// The whole journal, as it stands in a ConfigMap or in a compacted object.
pub fn journal_text(journal: &Journal) -> Result<String> {
    journal.to_lines().map_err(|error| unwritable(&error))
}

/// A record that can't be written as JSON: a mistake of this program.
pub fn unwritable(error: &serde_json::Error) -> Error {
    Error::Internal(format!("a record can't be written: {error}"))
}

/// Sequence of the last record of these lines; 0 if there is none.
pub fn last_sequence(lines: &str) -> u64 {
    let last = lines.lines().rev().find(|line| !line.is_empty());
    last.and_then(|line| serde_json::from_str::<Record>(line).ok()).map_or(0, |record| record.sequence)
}

/// The text under a key of a ConfigMap, whether plain or packed; none if neither is there.
pub fn text_of(map: &ConfigMap, key: &str) -> std::result::Result<Option<String>, String> {
    let packed_key = format!("{key}{}", packed::SUFFIX);
    if let Some(ByteString(bytes)) = map.binary_data.as_ref().and_then(|data| data.get(&packed_key)) {
        return packed::unpack(bytes).map(Some).map_err(|error| format!("{packed_key} can't be unpacked: {error}"));
    }
    Ok(map.data.as_ref().and_then(|data| data.get(key)).cloned())
}

/// Puts a text under a key of a ConfigMap: plain while it is short, so that people can read it, else packed.
///
/// # Errors
/// `JournalFull` if the ConfigMap would be more than the API server takes; it is then half changed and must not be stored.
pub fn put_text(map: &mut ConfigMap, key: &str, text: String) -> Result<()> {
    let binary = map.binary_data.get_or_insert_default();
    let done = put(map.data.get_or_insert_default(), binary, key, text);
    if binary.is_empty() {
        map.binary_data = None;
    }
    done
}

/// The same, where no ConfigMap is yet.
///
/// # Errors
/// As [`put_text`].
pub fn put(data: &mut BTreeMap<String, String>, binary: &mut BTreeMap<String, ByteString>, key: &str, text: String) -> Result<()> {
    let packed_key = format!("{key}{}", packed::SUFFIX);
    data.remove(key);
    binary.remove(&packed_key);
    if text.len() <= MAX_PLAIN_BYTES {
        data.insert(key.to_owned(), text);
    } else {
        let bytes = packed::pack(&text).map_err(|error| Error::Internal(format!("{key} can't be packed: {error}")))?;
        binary.insert(packed_key, ByteString(bytes));
    }
    let size = data.values().map(String::len).sum::<usize>() + binary.values().map(|value| value.0.len()).sum::<usize>();
    if size <= MAX_MAP_BYTES {
        return Ok(());
    }
    Err(Error::Stated {
        reason: Reason::JournalFull,
        message: format!(
            "plan and journal of the run take {} KiB even packed, and a ConfigMap holds {}; select fewer volumes or objects, or split the application",
            size / 1024,
            MAX_MAP_BYTES / 1024
        ),
        category: Category::NeedsPerson,
    })
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
