//! Derived names: performing an effect twice finds the objects of the first time.

use sha2::{Digest as _, Sha256};

/// The first `length` characters of a name-safe digest of the parts: letters and digits, beginning with a letter.
pub fn short_digest(parts: &[&str], length: usize) -> String {
    // No vowels and no 0, 1, l: no words, nothing to misread.
    const LETTERS: &[u8; 28] = b"bcdfghjkmnpqrstvwxz234567892";
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    (0..length.min(digest.len()))
        .map(|index| {
            let choices = if index == 0 { 19 } else { 27 };
            char::from(LETTERS[usize::from(digest[index]) % choices])
        })
        .collect()
}

/// The short id of a drill's bubble, from the Drill's UID.
pub fn drill_id(uid: &str) -> String {
    short_digest(&["drill", uid], 5)
}

/// The namespace of a drill's copy that corresponds to `namespace`.
pub fn bubble_namespace(namespace: &str, drill_id: &str) -> String {
    format!("{namespace}--drill-{drill_id}")
}

/// The name of a mover's Job and Secret: stable per run, step and attempt, at most 52 characters so that pod names keep room.
pub fn mover(run_uid: &str, step: &str, attempt: u32) -> String {
    let last = step.rsplit('/').next().unwrap_or(step);
    let readable: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(24).collect();
    format!("p861-{}-{}-{attempt}", readable.trim_matches('-'), short_digest(&[run_uid, step], 8))
}

/// The beginning of the names of a run's VolumeSnapshots.
pub fn snapshot_prefix(run_uid: &str) -> String {
    format!("p861-snap-{}-", short_digest(&["snapshots", run_uid], 8))
}

/// The VolumeSnapshot of a claim: another one for each attempt, since an attempt takes all of its snapshots at one moment.
pub fn snapshot(run_uid: &str, attempt: u32, namespace: &str, claim: &str) -> String {
    format!("{}{}-{attempt}", snapshot_prefix(run_uid), short_digest(&[namespace, claim], 8))
}

/// The ConfigMap of a run, with its record and perhaps its journal. It belongs to one run: an object that was made again under its name is another run, and finds
/// nothing of the one before. `noun` is the run's in `p861`, for example `backup`.
pub fn journal(object: &str, noun: &str, run_uid: &str) -> String {
    const LONGEST_OBJECT: usize = 200;
    format!("{}-{noun}-journal-{}", bounded(object, LONGEST_OBJECT), short_digest(&["journal", run_uid], 8))
}

/// The ConfigMap of a plan's compiled steps.
pub fn steps_of_plan(plan: &str) -> String {
    format!("{plan}-steps")
}

/// What retention makes of a repository's snapshots, as it is called in its ConfigMap.
pub const RETENTION_LIST: &str = "retention";

/// The ConfigMap of that, or of its first part.
pub fn retention_of(repository: &str) -> String {
    format!("{repository}-{RETENTION_LIST}")
}

/// The ConfigMap of a change's compiled steps. It ends as no other ConfigMap of ours does: a plan may have a ticket's name.
pub fn steps_of_ticket(ticket: &str) -> String {
    format!("{ticket}.steps")
}

/// The name, or if it is longer than `length` its beginning and a digest of all of it.
pub fn bounded(name: &str, length: usize) -> String {
    const DIGEST: usize = 8;
    if name.len() <= length {
        return name.to_owned();
    }
    let beginning: String = name.chars().take(length.saturating_sub(DIGEST + 1)).collect();
    format!("{}-{}", beginning.trim_end_matches(['-', '.']), short_digest(&[name], DIGEST))
}

/// A label value for a step id, which may hold slashes and be longer than a label.
pub fn step_label(step: &str) -> String {
    short_digest(&[step], 12)
}

/// What the name of an object or a node may look like, in words.
pub const NAME_RULE: &str =
    "a name has at most 253 lower-case letters, digits, - and ., and begins and ends with a letter or digit, as does each part between dots";

/// Whether most kinds of objects, and nodes, can have this name (a DNS subdomain).
pub fn is_object_name(name: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain) && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

/// Where a claim's files are in a snapshot. The application's first namespace is not named, so that a path survives a rename of the namespace.
pub fn volume_part(first_namespace: &str, namespace: &str, claim: &str) -> String {
    if namespace == first_namespace { format!("volumes/{claim}") } else { format!("volumes/{namespace}.{claim}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_kubernetes_and_differ_by_attempt() {
        let long = format!("restore/{}/volume/{}", "a".repeat(40), "DATA_postgres.0".repeat(10));
        let name = mover("3b1f9a52", &long, 12);
        assert!(name.len() <= 52, "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
        assert_ne!(mover("u", "x", 1), mover("u", "x", 2));
        assert_ne!(mover("u", "a/x", 1), mover("u", "b/x", 1));
    }

    #[test]
    fn fault_a2_a_journal_belongs_to_one_run_by_its_uid_not_to_a_name() {
        assert_ne!(journal("nightly", "backup", "uid-1"), journal("nightly", "backup", "uid-2"));
        assert_ne!(journal("nightly", "backup", "uid-1"), journal("nightly", "restore", "uid-1"));
        assert!(journal("nightly", "backup", "uid-1").starts_with("nightly-backup-journal-"));
        let long = "n".repeat(253);
        assert!(journal(&long, "restore", "uid").len() <= 253);
    }

    #[test]
    fn snapshots_differ_by_run_claim_and_attempt_and_are_known_by_their_run() {
        let names =
            [snapshot("u", 1, "n", "c"), snapshot("u", 2, "n", "c"), snapshot("u", 1, "m", "c"), snapshot("u", 1, "n", "d"), snapshot("v", 1, "n", "c")];
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
        assert_eq!(names.iter().filter(|name| name.starts_with(&snapshot_prefix("u"))).count(), 4);
    }

    #[test]
    fn a_bubble_of_the_longest_namespace_still_is_a_namespace() {
        assert!(bubble_namespace(&"n".repeat(47), &drill_id("some-uid")).len() <= 63);
    }

    #[test]
    fn a_name_that_no_object_has_is_told_from_one_that_can_be() {
        let long = "n".repeat(253);
        for name in ["a", "node-3", "ip-10-0-0-7.eu.internal", "0a", long.as_str()] {
            assert!(is_object_name(name), "{name}");
        }
        let longer = "n".repeat(254);
        for name in ["", ".", "..", "../../secrets", "a/b", "A", "a_b", "-a", "a-", "a..b", "a.-b", "a b", "é", "100%", longer.as_str()] {
            assert!(!is_object_name(name), "{name}");
        }
    }

    #[test]
    fn parts_are_not_confused_by_where_one_ends() {
        assert_ne!(short_digest(&["ab", "c"], 8), short_digest(&["a", "bc"], 8));
    }
}
