//! What is kept of a snapshot in memory: a repository may have tens of thousands, and the operator keeps many repositories open.

use super::{SEALED, SnapshotInfo};
use jiff::Timestamp;
use rustic_core::repofile::SnapshotId;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    mem::size_of,
    sync::Arc,
};

/// Tags that are read of a snapshot, and bytes of its texts that are kept. A sealed snapshot has six tags, of less than 1 KiB together with its other texts; one with
/// more is not ours.
const MAX_TAGS: usize = 32;
const MAX_TEXT_BYTES: usize = 4 << 10;
/// Most bytes that are kept of the snapshots of one repository.
pub(crate) const MAX_HELD_BYTES: usize = 32 << 20;

/// A snapshot's file, as far as it is kept. Everything else in it is passed over while it is read, and takes no memory.
#[derive(Deserialize)]
pub(super) struct Stored {
    time: Timestamp,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    tags: Tags,
}

#[derive(Default)]
struct Tags {
    read: Vec<String>,
    more: bool,
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tags")
            }

            fn visit_unit<E>(self) -> Result<Tags, E> {
                Ok(Tags::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tags, A::Error> {
                let mut tags = Tags::default();
                while tags.read.len() < MAX_TAGS {
                    let Some(tag) = list.next_element()? else { return Ok(tags) };
                    tags.read.push(tag);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    tags.more = true;
                }
                Ok(tags)
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

impl Stored {
    /// Whether it may be one of ours.
    pub(super) fn is_short(&self) -> bool {
        let bytes = self.hostname.len() + self.label.len() + self.tags.read.iter().map(String::len).sum::<usize>();
        !self.tags.more && bytes <= MAX_TEXT_BYTES
    }
}

/// What is kept of one snapshot.
#[derive(Debug)]
struct Brief {
    time: Timestamp,
    host: Arc<str>,
    label: Arc<str>,
    tags: Box<[Arc<str>]>,
}

/// What is kept of the snapshots of one repository. Texts that several have in common (the site, the application, the district) are kept once.
#[derive(Debug, Default)]
pub(crate) struct Briefs {
    /// None: it is not one of ours.
    snapshots: BTreeMap<SnapshotId, Option<Brief>>,
    texts: HashSet<Arc<str>>,
    held: usize,
}

/// Bytes that a text takes besides its own: its counts, its place in the set and in the snapshot.
const TEXT_BYTES: usize = 64;
const SNAPSHOT_BYTES: usize = size_of::<SnapshotId>() + size_of::<Option<Brief>>() + 32;

impl Briefs {
    pub(super) fn contains(&self, id: &SnapshotId) -> bool {
        self.snapshots.contains_key(id)
    }

    /// Keeps a snapshot, as long as there is room.
    pub(super) fn keep(&mut self, id: SnapshotId, stored: Option<Stored>) {
        let brief = stored.map(|Stored { time, hostname, label, tags }| Brief {
            time,
            host: self.text(hostname),
            label: self.text(label),
            tags: tags.read.into_iter().map(|tag| self.text(tag)).collect(),
        });
        self.held += SNAPSHOT_BYTES + brief.as_ref().map_or(0, |brief| brief.tags.len() * size_of::<Arc<str>>());
        self.snapshots.insert(id, brief);
    }

    fn text(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.texts.get(text.as_str()) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.held += text.len() + TEXT_BYTES;
        self.texts.insert(text.clone());
        text
    }

    /// Drops the snapshots that are not listed any more.
    pub(super) fn retain(&mut self, listed: &[SnapshotId]) {
        let before = self.snapshots.len();
        self.snapshots.retain(|id, _| listed.binary_search(id).is_ok());
        if self.snapshots.len() == before {
            return;
        }
        // One count is the set's own.
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        let texts: usize = self.texts.iter().map(|text| text.len() + TEXT_BYTES).sum();
        let tags: usize = self.snapshots.values().flatten().map(|brief| brief.tags.len() * size_of::<Arc<str>>()).sum();
        self.held = texts + tags + self.snapshots.len() * SNAPSHOT_BYTES;
    }

    /// About how many bytes this takes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held
    }

    /// How many are sealed.
    pub(super) fn sealed(&self) -> usize {
        self.snapshots.values().flatten().filter(|brief| brief.tags.iter().any(|tag| **tag == *SEALED)).count()
    }

    /// Those that a caller chooses by their tags.
    pub(super) fn chosen(&self, chosen: impl Fn(&[Arc<str>]) -> bool) -> Vec<SnapshotInfo> {
        let ours = self.snapshots.iter().filter_map(|(id, brief)| Some((id, brief.as_ref()?)));
        ours.filter(|(_, brief)| chosen(&brief.tags))
            .map(|(id, brief)| SnapshotInfo {
                id: id.to_hex().to_string(),
                time: brief.time,
                host: brief.host.to_string(),
                label: brief.label.to_string(),
                tags: brief.tags.iter().map(ToString::to_string).collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str) -> Stored {
        serde_json::from_str(text).unwrap()
    }

    fn id(number: u32) -> SnapshotId {
        format!("{number:064x}").parse().unwrap()
    }

    fn tags(of: &[Arc<str>]) -> Vec<&str> {
        of.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn fault_e10_texts_that_snapshots_have_in_common_are_kept_once_and_go_with_the_last() {
        let mut briefs = Briefs::default();
        for number in 0..1_000 {
            let text = format!(
                r#"{{"time":"2026-11-15T00:50:03.5+08:00","tree":"x","paths":["/a"],"hostname":"primary","label":"approval",
                    "tags":["application=approval","district=shinan","backup=nightly-{number}","p861-run:{number:036}","p861-sealed"]}}"#
            );
            let stored = stored(&text);
            assert!(stored.is_short());
            briefs.keep(id(number), Some(stored));
        }
        assert_eq!((briefs.sealed(), briefs.texts.len()), (1_000, 2_005));
        let each = briefs.held_bytes() / 1_000;
        assert!(each < 450, "{each} bytes for each snapshot");
        let one = briefs.chosen(|of| tags(of).contains(&"backup=nightly-7")).remove(0);
        assert_eq!((one.id.as_str(), one.time.to_string().as_str(), one.host.as_str()), (&*id(7).to_hex().to_string(), "2026-11-14T16:50:03.5Z", "primary"));
        briefs.retain(&[id(7), id(8)]);
        assert_eq!((briefs.sealed(), briefs.texts.len(), briefs.contains(&id(9))), (2, 9, false));
        briefs.retain(&[]);
        assert_eq!(briefs.held_bytes(), 0);
    }

    #[test]
    fn fault_e10_a_snapshot_with_many_or_long_tags_is_not_ours_and_keeps_no_text() {
        let many = format!(r#"{{"time":"2026-11-15T00:50:03Z","tags":[{}"a"]}}"#, r#""t","#.repeat(100_000));
        assert_eq!(stored(&many).tags.read.len(), MAX_TAGS);
        let long = format!(r#"{{"time":"2026-11-15T00:50:03Z","label":"{}"}}"#, "x".repeat(MAX_TEXT_BYTES + 1));
        for text in [many, long] {
            assert!(!stored(&text).is_short());
        }
        assert!(stored(r#"{"time":"2026-11-15T00:50:03Z","tags":null}"#).is_short());
        let mut briefs = Briefs::default();
        briefs.keep(id(1), None);
        assert_eq!((briefs.contains(&id(1)), briefs.sealed(), briefs.held_bytes()), (true, 0, SNAPSHOT_BYTES));
    }
}
