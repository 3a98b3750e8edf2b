//! What became of each object, counted as it happened.

use p861_core::{
    conditions::shorten,
    engine::{ListedChange, ObjectChange},
    objects,
};
use p861_crds::protection::restore::RestoreChanges;
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects that changed or were refused that are listed by name.
const MAX_LISTED_DIFFERENCES: usize = 20_000;
/// Objects that a preview lists by name because they would be created. Those never take the place of a difference.
const MAX_LISTED_CREATIONS: usize = 20_000;
/// Characters of a reason in the list.
const MAX_WHY_CHARS: usize = 300;

/// What became of one object, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not there; with a remark, if there is one.
    Created(String),
    /// It was there and different; how.
    Changed(String),
    /// It was there and the same.
    Same,
    /// It is left as it is, and why.
    Left(&'static str),
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
    pub(super) not_served: BTreeMap<String, u64>,
    pub(super) adjusted: BTreeMap<String, u64>,
    pub(super) differences: Vec<ListedChange>,
    pub(super) creations: Vec<ListedChange>,
    pub(super) refused: Vec<ListedChange>,
}

impl Tally {
    pub(super) fn leave(&mut self, why: &str) {
        *self.left_out.entry(why.to_owned()).or_default() += 1;
    }

    pub(super) fn adjust(&mut self, how: &str) {
        *self.adjusted.entry(how.to_owned()).or_default() += 1;
    }

    pub(super) fn note(&mut self, outcome: Outcome, object: &Value) {
        let (action, why) = match outcome {
            Outcome::Left(why) => return self.leave(why),
            Outcome::Same => {
                self.changes.same += 1;
                return;
            }
            Outcome::NotServed => {
                let group = objects::group(object);
                let kind = if group.is_empty() { objects::kind(object).to_owned() } else { format!("{}.{group}", objects::kind(object)) };
                *self.not_served.entry(kind).or_default() += 1;
                self.changes.not_served += 1;
                (ObjectChange::Refused, format!("{} is not served on this site", object["apiVersion"].as_str().unwrap_or_default()))
            }
            Outcome::Created(why) => {
                self.changes.create += 1;
                (ObjectChange::Create, why)
            }
            Outcome::Changed(why) => {
                self.changes.change += 1;
                (ObjectChange::Change, why)
            }
            Outcome::Refused(why) => {
                self.changes.refused += 1;
                (ObjectChange::Refused, why)
            }
        };
        let (list, most) = match action {
            ObjectChange::Create => (&mut self.creations, MAX_LISTED_CREATIONS),
            ObjectChange::Refused => (&mut self.refused, MAX_LISTED_DIFFERENCES),
            ObjectChange::Change | ObjectChange::Same => (&mut self.differences, MAX_LISTED_DIFFERENCES),
        };
        if list.len() < most {
            list.push(ListedChange {
                action,
                kind: objects::kind(object).to_owned(),
                namespace: objects::namespace(object).to_owned(),
                name: objects::name(object).to_owned(),
                why: shorten(&why, MAX_WHY_CHARS),
            });
        }
    }

    /// The objects that would change or be refused, then those that would be created; each sorted. Handled side by side, they come in any order.
    pub(super) fn previewed(&mut self) -> Vec<ListedChange> {
        let mut list = std::mem::take(&mut self.differences);
        list.append(&mut self.refused);
        list.truncate(MAX_LISTED_DIFFERENCES);
        let mut creations = std::mem::take(&mut self.creations);
        sort(&mut list);
        sort(&mut creations);
        list.append(&mut creations);
        list
    }

    /// The objects that were not written, sorted.
    pub(super) fn refused(&mut self) -> Vec<ListedChange> {
        let mut list = std::mem::take(&mut self.refused);
        sort(&mut list);
        list
    }
}

fn sort(list: &mut [ListedChange]) {
    list.sort_by(|a, b| (&a.namespace, &a.kind, &a.name).cmp(&(&b.namespace, &b.kind, &b.name)));
}
