//! The objects of a preview, or those that a restore could not write, and those that it left out, as ConfigMaps of the hub: whoever may read the district's
//! ConfigMaps may read them, so nothing secret is in them.
//!
//! `<restore>-preview` has the first part, in the key `preview.json`, or packed in `preview.json.gz`; `parts` says how many there are. The others are in
//! `<restore>-preview-1` and so on. `<restore>-refused` and `<restore>-left-out` are made alike.

use k8s_openapi::ByteString;
use p861_core::{engine::ListedChange, runs::packed};
use p861_runs::owned_maps::MapContent;
use serde::Serialize;
use std::collections::BTreeMap;

/// The list of all objects of a preview.
pub const PREVIEW: &str = "preview";
/// The list of the objects that a restore could not write.
pub const REFUSED: &str = "refused";
/// The list of the objects that a restore left out, or would.
pub const LEFT_OUT: &str = "left-out";
/// Most ConfigMaps of one list.
pub const MAX_PARTS: usize = 48;
/// Size of a part in its ConfigMap, which holds 1 MiB in all, with what stands beside it. The API carries packed bytes as text that is a third longer.
const MAX_PART_BYTES: usize = 700 * 1024;
/// A longer list is packed.
const MAX_PLAIN_BYTES: usize = 256 * 1024;

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPart {
    /// Number of objects in it.
    pub objects: usize,
    body: Body,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Plain(String),
    Packed(Vec<u8>),
}

impl Default for ListPart {
    fn default() -> Self {
        Self { objects: 0, body: Body::Plain("[]".into()) }
    }
}

/// Splits a list into parts that fit into a ConfigMap each.
pub fn parts(listed: &[ListedChange]) -> Vec<ListPart> {
    // One object that alone is too long for a ConfigMap is named without its content.
    let diff = "(not shown: too long for a ConfigMap)";
    parts_of(listed, &|listed| ListedChange { diff: diff.into(), manifest: None, ..listed.clone() })
}

/// The same for anything that is listed. `shortened` makes one fit that is too long.
pub fn parts_of<T: Serialize>(listed: &[T], shortened: &dyn Fn(&T) -> T) -> Vec<ListPart> {
    if listed.is_empty() {
        return Vec::new();
    }
    let text = serde_json::to_string(listed).unwrap_or_else(|_| "[]".into());
    if text.len() <= MAX_PLAIN_BYTES {
        return vec![ListPart { objects: listed.len(), body: Body::Plain(text) }];
    }
    match packed::pack(&text) {
        Ok(bytes) if bytes.len() <= MAX_PART_BYTES => vec![ListPart { objects: listed.len(), body: Body::Packed(bytes) }],
        _ if listed.len() > 1 => {
            let (first, second) = listed.split_at(listed.len() / 2);
            [parts_of(first, shortened), parts_of(second, shortened)].concat()
        }
        _ => parts_of(&listed.iter().map(shortened).collect::<Vec<T>>(), shortened),
    }
}

/// The name of a part's ConfigMap; the first part is number 0.
pub fn part_name(base: &str, number: usize) -> String {
    if number == 0 { base.to_owned() } else { format!("{base}-{number}") }
}

/// The content of a part's ConfigMap. `what` names its key, `about` stands beside it.
pub fn data_of(what: &str, part: ListPart, about: BTreeMap<String, String>) -> MapContent {
    let mut content = MapContent { data: about, ..MapContent::default() };
    match part.body {
        Body::Plain(text) => drop(content.data.insert(format!("{what}.json"), text)),
        Body::Packed(bytes) => drop(content.binary_data.insert(format!("{what}.json{}", packed::SUFFIX), ByteString(bytes))),
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_core::engine::ObjectChange;

    fn listed(number: usize, diff: &str) -> ListedChange {
        ListedChange {
            action: ObjectChange::Change,
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "shinan-portal".into(),
            name: format!("portal-{number}"),
            why: "spec.replicas: 2 → 3".into(),
            awaits: None,
            diff: diff.into(),
            manifest: None,
        }
    }

    /// Text that can't be packed well.
    fn noise(bytes: usize) -> String {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(33 + u8::try_from(state % 90).unwrap_or(0))
        };
        (0..bytes).map(|_| next()).collect()
    }

    fn read(part: ListPart) -> Vec<ListedChange> {
        let MapContent { data, binary_data, .. } = data_of("preview", part, BTreeMap::new());
        let size = data.values().map(String::len).sum::<usize>() + binary_data.values().map(|bytes| bytes.0.len() * 4 / 3).sum::<usize>();
        assert!(size < 1024 * 1024, "{size} bytes");
        let packed = binary_data.get("preview.json.gz").map(|bytes| packed::unpack(&bytes.0).expect("unpacked"));
        let text = data.get("preview.json").cloned().or(packed).expect("a list");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn a_preview_names_every_object_whatever_their_number_and_the_size_of_their_differences() {
        let noise = noise(400 * 1024);
        for (count, diff, most) in [(0, "", 0), (1, "", 1), (1_000, "", 1), (50_000, "", 2), (9, noise.as_str(), 9)] {
            let list: Vec<ListedChange> = (0..count).map(|number| listed(number, diff)).collect();
            let parts = parts(&list);
            assert!(parts.len() <= most && parts.len() >= most.min(1), "{count}: {} parts", parts.len());
            assert_eq!(parts.iter().map(|part| part.objects).sum::<usize>(), count);
            assert_eq!(parts.into_iter().flat_map(read).collect::<Vec<_>>(), list, "{count}");
        }
    }

    #[test]
    fn an_object_whose_differences_no_config_map_holds_is_still_named() {
        let parts = parts(&[listed(1, &noise(2 * 1024 * 1024)), listed(2, "")]);
        let read: Vec<ListedChange> = parts.into_iter().flat_map(read).collect();
        assert_eq!(read.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>(), ["portal-1", "portal-2"]);
        assert!(read[0].diff.starts_with("(not shown") && read[1].diff.is_empty());
    }
}
