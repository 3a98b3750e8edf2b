//! Where the documents of ended runs are in a repository, and which of them go.
//!
//! `history/<noun>/<group>/<succeeded or failed>/<end>_<name>_<uid>.json`: the documents that count against one limit are in one folder, and their names say in which
//! order they ended. So one list says which are beyond the limit, without reading any.
//!
//! Rule: a repository keeps as many documents of each group and outcome as the hub keeps objects, the newest. What a drill left besides goes with its document. Of
//! each plan and type the newest drill that passed stays under any limit: it is the proof. An object of another name is not ours, and stays.

use super::{RunClass, history::EndedRun};

/// How the end of a run is written, in UTC: texts are in the order of times.
const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";
/// An example of it, by which others are known.
const TIME_EXAMPLE: &[u8] = b"00000000T000000Z";
/// Between the parts of a document's name: no name and no UID has it.
const SEPARATOR: char = '_';

/// A document that goes, with what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Its key in the repository.
    pub key: String,
    /// The name of the run.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// The folder of the documents that count against the same limit as that of this run, with a slash at its end.
pub fn folder(run: &EndedRun) -> String {
    // The application of a Restore whose Backup is gone is not known.
    let group: Vec<&str> = run.group.iter().map(|part| if part.is_empty() { "_" } else { part }).collect();
    format!("history/{}/{}/{}/", run.class.noun(), group.join("/"), if run.succeeded { "succeeded" } else { "failed" })
}

/// The key of the document of this run.
pub fn key(run: &EndedRun) -> String {
    format!("{}{}{SEPARATOR}{}{SEPARATOR}{}.json", folder(run), run.order.strftime(TIME_FORMAT), run.name, run.uid)
}

/// Of the keys in the folder of this run those that are beyond the limit, the oldest first.
pub fn beyond(run: &EndedRun, keys: &[String]) -> Vec<StoredRun> {
    let limit = usize::try_from(if run.succeeded { run.limits.succeeded } else { run.limits.failed }).unwrap_or_default();
    let is_proof = run.class == RunClass::Drill && run.succeeded;
    let folder = folder(run);
    let mut stored: Vec<(&str, StoredRun)> = keys.iter().filter_map(|key| parsed(key, &folder)).collect();
    stored.sort_by(|(a, _), (b, _)| b.cmp(a));
    stored.into_iter().skip(if is_proof { limit.max(1) } else { limit }).rev().map(|(_, stored)| stored).collect()
}

/// The name of a document and what it says; none if it is no document of ours.
fn parsed<'a>(key: &'a str, folder: &str) -> Option<(&'a str, StoredRun)> {
    let file = key.strip_prefix(folder)?;
    let (time, rest) = file.strip_suffix(".json")?.split_once(SEPARATOR)?;
    let (name, uid) = rest.split_once(SEPARATOR)?;
    let fits = |byte: u8, example: u8| if example == b'0' { byte.is_ascii_digit() } else { byte == example };
    let is_time = time.len() == TIME_EXAMPLE.len() && time.bytes().zip(TIME_EXAMPLE).all(|(byte, example)| fits(byte, *example));
    let is_uid = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    (is_time && is_uid && is_name).then(|| (file, StoredRun { key: key.to_owned(), name: name.to_owned(), uid: uid.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, Timestamp};
    use p861_crds::common::HistoryLimits;

    fn run(class: RunClass, group: &[&str], succeeded: bool, day: i64) -> EndedRun {
        let first: Timestamp = "2026-11-01T08:00:00.5Z".parse().expect("a time");
        EndedRun {
            class,
            name: format!("core-{day}.x"),
            uid: format!("3b1f9a52-8c0d-4b1e-9b7e-{day:012}"),
            resource_version: "1".into(),
            approvals: Vec::new(),
            group: group.iter().map(|part| (*part).to_owned()).collect(),
            succeeded,
            order: first + SignedDuration::from_hours(24 * day),
            limits: HistoryLimits { succeeded: 9, failed: 0 },
        }
    }

    #[test]
    fn fault_f8_a_document_is_in_the_folder_of_its_group_and_its_name_says_when_its_run_ended() {
        for (run, expected) in [
            (run(RunClass::Drill, &["Isolated", "core"], true, 3), "history/drill/Isolated/core/succeeded/20261104T080000Z_core-3.x_"),
            (run(RunClass::Backup, &["approval"], false, 30), "history/backup/approval/failed/20261201T080000Z_core-30.x_"),
            (run(RunClass::Restore, &["preview", ""], true, 0), "history/restore/preview/_/succeeded/20261101T080000Z_core-0.x_"),
        ] {
            let key = key(&run);
            assert_eq!(key, format!("{expected}{}.json", run.uid));
            let (_, stored) = parsed(&key, &folder(&run)).expect("it is read as it was written");
            assert_eq!((stored.name, stored.uid), (run.name, run.uid));
        }
    }

    #[test]
    fn fault_f8_the_newest_documents_of_a_group_stay_and_nothing_goes_that_is_no_document() {
        let of = |day: i64| run(RunClass::Drill, &["Isolated", "core"], true, day);
        let mut keys: Vec<String> = [5, 3, 9, 1, 7].map(|day| key(&of(day))).to_vec();
        let folder = folder(&of(1));
        let uid = of(0).uid;
        keys.extend([
            format!("{folder}20260101T080000Z_{uid}.json"),
            format!("{folder}20260101T080000Z_a/b_{uid}.json"),
            format!("{folder}20260101T080000Z_../../x_{uid}.json"),
            format!("{folder}2026-01-01_a_{uid}.json"),
            format!("{folder}20260101T080000Z_a_../../../journal/other/uid.json"),
            format!("{folder}20260101T080000Z_a_{uid}.json.bak"),
            format!("{folder}20260101T080000Z_a_.json"),
            format!("{folder}\u{8bc1}.json"),
            key(&run(RunClass::Drill, &["Isolated", "other"], true, 0)),
            key(&run(RunClass::Drill, &["Isolated", "core"], false, 0)),
        ]);
        for (succeeded, gone) in
            [(2, vec!["core-1.x", "core-3.x", "core-5.x"]), (4, vec!["core-1.x"]), (5, vec![]), (0, vec!["core-1.x", "core-3.x", "core-5.x", "core-7.x"])]
        {
            let beyond = beyond(&EndedRun { limits: HistoryLimits { succeeded, failed: 0 }, ..of(1) }, &keys);
            assert_eq!(beyond.iter().map(|stored| stored.name.as_str()).collect::<Vec<_>>(), gone, "{succeeded}: the newest proof stays under any limit");
        }
        let failed = |day: i64| run(RunClass::Drill, &["Isolated", "core"], false, day);
        assert_eq!(beyond(&failed(1), &[key(&failed(1))]).len(), 1, "a failed one proves nothing");
    }
}
