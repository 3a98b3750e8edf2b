//! What is there already and differs, found before the first object is written.

use super::{Restoring, cluster::OfCluster, counting::Outcome, counting::Tally, place, reading::Wanted, writing::Kinds};
use crate::{asking::ask, error::Error, movers::work::WorkError};
use futures::{StreamExt as _, TryStreamExt as _, stream, stream::FuturesUnordered};
use kube::core::Status;
use p861_core::objects::{self, Prepared};
use p861_crds::Reason;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Lists of names that are made at once.
const PARALLEL_LISTS: usize = 8;

/// The names in an answer to a list. Whoever can't see what is there must not write.
pub(super) fn names_of(answer: Result<HashSet<String>, Box<Status>>, what: impl FnOnce() -> String) -> Result<HashSet<String>, WorkError> {
    match answer {
        Ok(names) => Ok(names),
        // The kind is gone since discovery, or has no list: nothing is there.
        Err(status) if matches!(status.code, 404 | 405) => Ok(HashSet::new()),
        Err(status) => Err(Error::Kube { what: what(), source: Box::new(kube::Error::Api(status)) }.into()),
    }
}

impl Restoring<'_> {
    /// Compares all objects that are there already. Returns how many of those in namespaces are there; cluster-scoped ones are compared and not counted.
    pub(super) async fn refuse_conflicts(&self, of_cluster: &[OfCluster]) -> Result<u64, WorkError> {
        let writer = self.writer(true).await?;
        let mut different = Tally::of_preview();
        self.compare_cluster(&writer, of_cluster, &mut different).await?;
        let there = self.names_there(&writer.kinds).await?;
        let wanted: Wanted = there.keys().map(|file| (*file, None)).collect();
        let order = self.order(&writer.kinds).into_iter().map(|(_, file)| file).collect();
        let mut lines = self.source.read(order, wanted);
        let mut under_way = FuturesUnordered::new();
        let mut compared = 0;
        let mut note = |(object, outcome): (Value, Outcome)| {
            compared += 1;
            if let Outcome::Changed(how) = outcome {
                different.note(Outcome::Changed(objects::brief(&how)), &object);
            }
        };
        while let Some(line) = lines.recv().await {
            let line = line?;
            let object = self.parse(&line)?;
            if self.task.choice.leaves(&object).is_some() {
                continue;
            }
            let Prepared::Write(mut object, _) = objects::prepare(object, &self.task.rules) else { continue };
            if !there.get(&line.file).is_some_and(|names| names.as_ref().is_none_or(|names| names.contains(objects::name(&object)))) {
                continue;
            }
            objects::rewire(&mut object, |_| None);
            self.leave_status(&mut object);
            while under_way.len() >= self.pace.lock().at_once() {
                match under_way.next().await {
                    Some(looked) => note(looked?),
                    None => break,
                }
            }
            let writer = &writer;
            under_way.push(async move { Ok::<_, WorkError>((object.clone(), writer.look(object).await?)) });
        }
        while let Some(looked) = under_way.next().await {
            note(looked?);
        }
        drop(under_way);
        let number = different.changes.change;
        let Some(first) = different.listed().into_iter().next() else { return Ok(compared) };
        let message = format!(
            "{number} objects are there and different, for example {} {} ({}); nothing was written. Choose spec.conflictPolicy Skip, Merge or Replace, or other namespaces",
            first.kind, first.name, first.why
        );
        Err(WorkError::stated(Reason::Conflicts, message, true))
    }

    /// The names that exist already, by file of the snapshot; none for a Namespace, which always exists.
    async fn names_there(&self, kinds: &Kinds) -> Result<HashMap<usize, Option<HashSet<String>>>, WorkError> {
        let lists = self.source.files.iter().enumerate().filter_map(|(index, file)| {
            let namespace = self.task.rules.namespaces.get(&file.namespace)?;
            if (file.group.as_str(), file.plural.as_str()) == ("", "namespaces") {
                return Some((index, None));
            }
            Some((index, Some((Self::resource(kinds, file)?, namespace))))
        });
        stream::iter(lists)
            .map(|(index, list)| async move {
                let Some((resource, namespace)) = list else { return Ok::<_, WorkError>((index, None)) };
                let what = || format!("list {} in {namespace}", resource.plural);
                let answer = ask(self.pace, what, || place::names(self.client, resource, namespace)).await?;
                Ok((index, Some(names_of(answer, what)?)))
            })
            .buffer_unordered(PARALLEL_LISTS)
            .try_collect()
            .await
    }
}
