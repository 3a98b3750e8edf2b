//! What became of each object, counted as it happened.

use super::choosing::NOT_SELECTED;
use p861_core::{
    conditions::shorten,
    engine::{Awaits, ListedChange, ObjectChange},
    objects::{self, Identity, MAX_STATUS_NAMES},
};
use p861_crds::protection::restore::RestoreChanges;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Objects that were refused that a restore lists by name.
const MAX_LISTED_REFUSALS: usize = 20_000;
/// Objects that were left out that a restore or a preview lists by name; the others are counted.
const MAX_LISTED_LEFT_OUT: usize = 50_000;
/// Objects that a preview lists by name. Those that would be created or are the same never take the place of a difference.
const MAX_LISTED: usize = 300_000;
/// Bytes of all differences that a preview lists in full. Bounds what it takes into memory.
const MAX_DIFF_BYTES: usize = 48 * 1024 * 1024;
/// Objects that are named of those that were written otherwise than they were saved, for each way.
const MAX_NAMED_ADJUSTED: usize = 3;
/// Characters of a reason in the list.
const MAX_WHY_CHARS: usize = 300;
/// What stands for a difference that is not listed in full.
const TOO_MUCH: &str = "(not shown: the differences of this preview are longer than 48 MiB; select fewer objects)";

/// What became of one object, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not there; with a remark, if there is one.
    Created(String),
    /// It was there and different; how, a difference a line.
    Changed(String),
    /// It was there and only lacked something, which it has now; what. No policy refuses that.
    Added(String),
    /// It was there and the same.
    Same,
    /// It is left as it is, and why; with the differences, one a line.
    Left(&'static str, String),
    /// Its kind is not served here.
    NotServed,
    /// It can't be written, and why.
    Refused(String),
}

/// Counts of objects by outcome.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) changes: RestoreChanges,
    pub(super) left_out: BTreeMap<String, u64>,
    /// The first names of what was left out, by reason.
    first: BTreeMap<String, BTreeSet<String>>,
    left: Vec<ListedChange>,
    pub(super) not_served: BTreeMap<String, u64>,
    pub(super) adjusted: BTreeMap<String, u64>,
    /// The first names of what was written otherwise, by how.
    first_adjusted: BTreeMap<String, BTreeSet<String>>,
    /// Places of the patches that matched an object.
    pub(super) patched: BTreeSet<usize>,
    /// Of a preview, which lists every object; else only those that were refused are.
    previewed: Option<Previewed>,
    refused: Vec<ListedChange>,
    /// Of a second try: the objects that it came to.
    pub(super) tried: HashSet<Identity>,
}

/// The objects of a preview but those that would be refused.
#[derive(Debug, Default)]
struct Previewed {
    differences: Vec<ListedChange>,
    creations: Vec<ListedChange>,
    same: Vec<ListedChange>,
    /// Bytes of their differences.
    diff_bytes: usize,
}

impl Tally {
    /// A tally that lists every object.
    pub(super) fn of_preview() -> Self {
        Self { previewed: Some(Previewed::default()), ..Self::default() }
    }

    /// Counts an object that is left out, and keeps its name.
    pub(super) fn leave(&mut self, why: &str, object: Identity) {
        *self.left_out.entry(why.to_owned()).or_default() += 1;
        let first = self.first.entry(why.to_owned()).or_default();
        first.insert(object.to_string());
        if first.len() > MAX_STATUS_NAMES {
            first.pop_last();
        }
        // A preview of some objects is asked about these: the rest of the backup is counted.
        let is_asked_for = self.previewed.is_none() || why != NOT_SELECTED;
        if is_asked_for && self.left.len() < MAX_LISTED_LEFT_OUT {
            let Identity { group, kind, namespace, name } = object;
            let (action, why) = (ObjectChange::Leave, shorten(why, MAX_WHY_CHARS));
            self.left.push(ListedChange { action, group, kind, namespace, name, why, awaits: None, diff: String::new(), manifest: None });
        }
    }

    /// The objects that were left out, sorted, and the first names of each reason.
    pub(super) fn left(&mut self) -> (Vec<ListedChange>, BTreeMap<String, Vec<String>>) {
        let mut left = std::mem::take(&mut self.left);
        sort(&mut left);
        (left, std::mem::take(&mut self.first).into_iter().map(|(why, names)| (why, names.into_iter().collect())).collect())
    }

    pub(super) fn adjust(&mut self, how: &str) {
        *self.adjusted.entry(how.to_owned()).or_default() += 1;
    }

    /// The same, and keeps the object's name.
    pub(super) fn adjust_of(&mut self, how: &str, object: &Identity) {
        self.adjust(how);
        let first = self.first_adjusted.entry(how.to_owned()).or_default();
        first.insert(object.to_string());
        if first.len() > MAX_NAMED_ADJUSTED {
            first.pop_last();
        }
    }

    /// The number of objects that were written otherwise than they were saved, by how, with the first names: nobody finds one among thousands.
    pub(super) fn adjusted_with_names(&self) -> BTreeMap<String, u64> {
        let with_names = |(how, number): (&String, &u64)| {
            let Some(first) = self.first_adjusted.get(how) else { return (how.clone(), *number) };
            let more = if *number > first.len() as u64 { ", …" } else { "" };
            let names: Vec<&str> = first.iter().map(String::as_str).collect();
            (format!("{how} ({}{more})", names.join(", ")), *number)
        };
        self.adjusted.iter().map(with_names).collect()
    }

    pub(super) fn note(&mut self, outcome: Outcome, object: &Value) {
        self.note_with(outcome, object, None);
    }

    /// Also lists the object as it was saved, as far as it may be shown.
    pub(super) fn note_with(&mut self, outcome: Outcome, object: &Value, manifest: Option<Value>) {
        self.note_as(outcome, (Identity::of(object), object["apiVersion"].as_str().unwrap_or_default()), manifest);
    }

    /// The same, of an object that isn't at hand any more: its identity and its API version.
    pub(super) fn note_as(&mut self, outcome: Outcome, (identity, api_version): (Identity, &str), manifest: Option<Value>) {
        let nothing = String::new;
        let (action, why, awaits, diff) = match outcome {
            Outcome::Left(why, diff) => {
                self.leave(why, identity.clone());
                (ObjectChange::Leave, why.to_owned(), None, diff)
            }
            Outcome::Same => {
                self.changes.same += 1;
                (ObjectChange::Same, nothing(), None, nothing())
            }
            Outcome::NotServed => {
                *self.not_served.entry(identity.kind_with_group()).or_default() += 1;
                self.changes.not_served += 1;
                let why = format!("{api_version} is not served on this site");
                (ObjectChange::Refused, why, Some(Awaits::Kind), nothing())
            }
            Outcome::Created(why) => {
                self.changes.create += 1;
                (ObjectChange::Create, why, None, nothing())
            }
            Outcome::Changed(diff) => {
                self.changes.change += 1;
                (ObjectChange::Change, objects::brief(&diff), None, diff)
            }
            Outcome::Added(what) => {
                self.changes.change += 1;
                self.changes.added += 1;
                (ObjectChange::Change, objects::brief(&what), None, what)
            }
            Outcome::Refused(why) => {
                self.changes.refused += 1;
                let awaits = objects::awaits(&why);
                (ObjectChange::Refused, why, awaits, nothing())
            }
        };
        let Identity { group, kind, namespace, name } = identity;
        let why = shorten(&why, MAX_WHY_CHARS);
        let diff = if diff == why { nothing() } else { diff };
        self.list(ListedChange { action, group, kind, namespace, name, why, awaits, diff, manifest });
    }

    fn list(&mut self, mut listed: ListedChange) {
        let refused = listed.action == ObjectChange::Refused;
        let Some(previewed) = &mut self.previewed else {
            if refused && self.refused.len() < MAX_LISTED_REFUSALS {
                self.refused.push(listed);
            }
            return;
        };
        if previewed.diff_bytes + listed.diff.len() > MAX_DIFF_BYTES {
            TOO_MUCH.clone_into(&mut listed.diff);
        }
        previewed.diff_bytes += listed.diff.len();
        let list = match listed.action {
            ObjectChange::Create => &mut previewed.creations,
            ObjectChange::Same => &mut previewed.same,
            ObjectChange::Refused => &mut self.refused,
            ObjectChange::Change | ObjectChange::Leave => &mut previewed.differences,
        };
        if list.len() < MAX_LISTED {
            list.push(listed);
        }
    }

    /// Of a preview the objects that would change, be left or be refused, then those that would be created, then those that are the same; else those that were
    /// not written. Each sorted: handled side by side, they come in any order.
    pub(super) fn listed(&mut self) -> Vec<ListedChange> {
        let mut list = std::mem::take(&mut self.refused);
        let Some(Previewed { mut differences, creations, same, .. }) = self.previewed.take() else {
            sort(&mut list);
            return list;
        };
        list.append(&mut differences);
        sort(&mut list);
        for mut more in [creations, same] {
            sort(&mut more);
            list.append(&mut more);
        }
        list.truncate(MAX_LISTED);
        list
    }
}

fn sort(list: &mut [ListedChange]) {
    list.sort_by(|a, b| (&a.namespace, &a.kind, &a.name).cmp(&(&b.namespace, &b.kind, &b.name)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}})
    }

    #[test]
    fn a_preview_lists_every_object_once_and_what_stands_in_the_way_first() {
        let outcomes = [
            ("e", Outcome::Same),
            ("d", Outcome::Created(String::new())),
            ("c", Outcome::Refused("no".into())),
            ("b", Outcome::Left("left", "data.a: 1 → 2".into())),
            ("a", Outcome::Changed("data.a: 1 → 2\ndata.b: 1 → 2".into())),
            ("f", Outcome::Added("labels are added".into())),
        ];
        let (mut preview, mut run) = (Tally::of_preview(), Tally::default());
        for (name, outcome) in outcomes {
            preview.note(outcome.clone(), &object(name));
            run.note(outcome, &object(name));
        }
        let listed = preview.listed();
        let said: Vec<_> = listed.iter().map(|listed| (listed.name.as_str(), listed.action, listed.why.as_str(), listed.diff.as_str())).collect();
        assert_eq!(
            said,
            [
                ("a", ObjectChange::Change, "data.a: 1 → 2", "data.a: 1 → 2\ndata.b: 1 → 2"),
                ("b", ObjectChange::Leave, "left", "data.a: 1 → 2"),
                ("c", ObjectChange::Refused, "no", ""),
                ("f", ObjectChange::Change, "labels are added", ""),
                ("d", ObjectChange::Create, "", ""),
                ("e", ObjectChange::Same, "", ""),
            ]
        );
        assert_eq!(run.listed().iter().map(|listed| listed.name.clone()).collect::<Vec<_>>(), ["c"], "a run lists what it could not write");
        assert_eq!((preview.changes.clone(), preview.left_out), (run.changes, run.left_out));
        assert_eq!((preview.changes.create, preview.changes.change, preview.changes.added, preview.changes.same), (1, 2, 1, 1), "fault_a3");
    }

    #[test]
    fn what_is_written_otherwise_than_it_was_saved_is_counted_with_its_first_names() {
        let how = "without rights of people";
        for (names, expected) in [
            (&["a"][..], "without rights of people (ConfigMap n/a)"),
            (&["c", "b", "a"][..], "without rights of people (ConfigMap n/a, ConfigMap n/b, ConfigMap n/c)"),
            (&["d", "c", "b", "a"][..], "without rights of people (ConfigMap n/a, ConfigMap n/b, ConfigMap n/c, …)"),
        ] {
            let mut tally = Tally::default();
            tally.adjust("it says its own name");
            for name in names {
                tally.adjust_of(how, &Identity::of(&object(name)));
            }
            let expected = BTreeMap::from([("it says its own name".to_owned(), 1), (expected.to_owned(), names.len() as u64)]);
            assert_eq!(tally.adjusted_with_names(), expected);
        }
    }

    #[test]
    fn fault_a_what_is_left_out_is_named_and_of_a_preview_what_nobody_asked_for_is_counted() {
        let skipped = "it is left";
        let (mut preview, mut run) = (Tally::of_preview(), Tally::default());
        for tally in [&mut preview, &mut run] {
            for number in (0..25).rev() {
                tally.leave(NOT_SELECTED, Identity::of(&object(&format!("m-{number:02}"))));
            }
            tally.note(Outcome::Left(skipped, "data.a: 1 → 2".into()), &object("b"));
            assert_eq!(tally.left_out, BTreeMap::from([(NOT_SELECTED.to_owned(), 25), (skipped.to_owned(), 1)]));
        }
        for (tally, listed) in [(&mut preview, 1), (&mut run, 26)] {
            let (left, first) = tally.left();
            assert_eq!((left.len(), first[NOT_SELECTED].len()), (listed, MAX_STATUS_NAMES));
            assert_eq!((first[NOT_SELECTED][0].as_str(), &first[skipped]), ("ConfigMap n/m-00", &vec!["ConfigMap n/b".to_owned()]));
            assert_eq!((left[0].name.as_str(), left[0].action, left[0].why.as_str()), ("b", ObjectChange::Leave, skipped));
        }
    }

    #[test]
    fn differences_beyond_the_bound_are_named_but_not_shown() {
        let mut preview = Tally::of_preview();
        let half = "x".repeat(MAX_DIFF_BYTES / 2);
        for name in ["a", "b", "c", "d"] {
            preview.note(Outcome::Changed(format!("data.a: 1 → 2\n{half}")), &object(name));
        }
        let listed = preview.listed();
        assert_eq!((listed.len(), listed.iter().filter(|listed| listed.diff == TOO_MUCH).count()), (4, 3));
        assert!(listed.iter().all(|listed| listed.why == "data.a: 1 → 2"));
    }
}
