//! What is there already and differs, found before the first object is written.

use super::{
    Restoring,
    cluster::OfCluster,
    counting::Outcome,
    counting::Tally,
    place,
    reading::{File, Wanted},
    writing::{Kinds, Writer},
};
use crate::{asking::ask, error::Error, movers::work::WorkError};
use futures::{StreamExt as _, TryStreamExt as _, stream, stream::FuturesUnordered};
use kube::core::Status;
use p861_core::{
    engine::ListedChange,
    objects::{self, Identity, Prepared},
    runs::ConflictHandling,
    told::Noun,
};
use p861_crds::{Reason, protection::restore::ConflictPolicy};
use serde::Deserialize;
use serde_json::Value;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

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

/// The names on the site that objects of the file may have; none if there is nothing to compare, and the file needn't be read. Every namespace has the ConfigMap
/// that the cluster makes, and no backup has it: for its sake alone all ConfigMaps of the backup would be read.
fn to_compare(file: &File, mut there: HashSet<String>) -> Option<HashSet<String>> {
    if (file.group.as_str(), file.plural.as_str()) == ("", "configmaps") {
        there.remove(objects::ROOT_CA_CONFIG_MAP);
    }
    (!there.is_empty()).then_some(there)
}

/// The files of each kind in each namespace, by their places.
fn by_kind(files: &[File]) -> BTreeMap<(&str, &str, &str), Vec<usize>> {
    let mut kinds: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        kinds.entry((file.namespace.as_str(), file.plural.as_str(), file.group.as_str())).or_default().push(index);
    }
    kinds
}

/// The name of the object on a line, without the rest of it in memory. None if that can't be told, which a look at the whole line will say.
fn name_on(line: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    serde_json::from_slice::<Object<'_>>(line).ok().map(|object| object.metadata.name)
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
            self.note_compared(&writer, outcome, &object, &mut different);
        };
        while let Some(line) = lines.recv().await {
            let line = line?;
            // A Namespace is there, whatever it is called in the backup; no other object is renamed.
            let may_be_there = |name: &str| there.get(&line.file).is_some_and(|names| names.as_ref().is_none_or(|names| names.contains(name)));
            if name_on(&line.text).is_some_and(|name| !may_be_there(&name)) {
                continue;
            }
            let object = self.parse(&line)?;
            if self.task.choice.leaves(&object).is_some() {
                continue;
            }
            let Prepared::Write(mut object, _) = objects::prepare(object, &self.task.rules) else { continue };
            if !may_be_there(objects::name(&object)) {
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
        let number = different.changes.change + different.changes.refused;
        let Some(first) = different.listed().into_iter().next() else { return Ok(compared) };
        let ListedChange { kind, name, why, .. } = &first;
        let message = if self.task.conflict == ConflictHandling::Policy(ConflictPolicy::Refuse) {
            format!(
                "{} there and different, for example {kind} {name} ({why}); nothing was written. Choose spec.conflictPolicy Skip, Merge or Replace, or other namespaces",
                Noun::Object.are(number)
            )
        } else {
            let replace = if self.task.conflict == ConflictHandling::Policy(ConflictPolicy::Merge) {
                "choose spec.conflictPolicy Replace, which deletes and makes again what holds no data, "
            } else {
                ""
            };
            format!(
                "{} there and can't be changed in place, for example {kind} {name} ({why}); nothing was written. To restore the rest: {replace}leave them out with spec.exclude of the Application, delete them if they may go, or choose other namespaces",
                Noun::Object.are(number)
            )
        };
        Err(WorkError::stated(Reason::Conflicts, message, true))
    }

    /// Notes what the policy refuses: under Refuse what differs, otherwise what can't be changed in place. What is refused for another reason may be taken later.
    pub(super) fn note_compared(&self, writer: &Writer<'_>, outcome: Outcome, object: &Value, different: &mut Tally) {
        let refuses_differences = self.task.conflict == ConflictHandling::Policy(ConflictPolicy::Refuse);
        match outcome {
            Outcome::Changed(how) if refuses_differences => different.note(Outcome::Changed(objects::brief(&how)), object),
            Outcome::Refused(why) if !refuses_differences && writer.fixed.lock().contains(&Identity::of(object)) => {
                different.note(Outcome::Refused(why), object);
            }
            _ => {}
        }
    }

    /// The names that exist already, by file of the snapshot whose objects may have one; none for a Namespace, which always exists. A kind of a namespace is listed once,
    /// however many files its objects are in.
    async fn names_there(&self, kinds: &Kinds) -> Result<HashMap<usize, Option<Arc<HashSet<String>>>>, WorkError> {
        let (mut there, mut lists) = (HashMap::new(), Vec::new());
        for files in by_kind(&self.source.files).into_values() {
            let Some(file) = files.first().and_then(|index| self.source.files.get(*index)) else { continue };
            let Some(namespace) = self.task.rules.namespaces.get(&file.namespace) else { continue };
            if (file.group.as_str(), file.plural.as_str()) == ("", "namespaces") {
                there.extend(files.into_iter().map(|index| (index, None)));
            } else if let Some(resource) = Self::resource(kinds, file) {
                lists.push((file, resource, namespace, files));
            }
        }
        let mut listed = stream::iter(lists)
            .map(|(file, resource, namespace, files)| async move {
                let what = || format!("list {} in {namespace}", resource.plural);
                let answer = ask(self.pace, what, || place::names(self.client, resource, namespace)).await?;
                Ok::<_, WorkError>((files, to_compare(file, names_of(answer, what)?).map(Arc::new)))
            })
            .buffer_unordered(PARALLEL_LISTS);
        while let Some((files, names)) = listed.try_next().await? {
            if let Some(names) = names {
                there.extend(files.into_iter().map(|file| (file, Some(names.clone()))));
            }
        }
        Ok(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File {
        File::of((path.to_owned(), 1))
    }

    #[test]
    fn fault_g4_a_file_is_read_only_if_one_of_its_objects_may_be_there() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        for (path, there, compared) in [
            ("n/deployments.apps.jsonl", &[][..], None),
            ("n/deployments.apps.jsonl", &["web"][..], Some(&["web"][..])),
            ("n/configmaps.jsonl", &["kube-root-ca.crt"][..], None),
            ("n/configmaps.jsonl", &["kube-root-ca.crt", "settings"][..], Some(&["settings"][..])),
            ("n/configmaps.demo.example.jsonl", &["kube-root-ca.crt"][..], Some(&["kube-root-ca.crt"][..])),
        ] {
            assert_eq!(to_compare(&file(path), names(there)), compared.map(names), "{path} {there:?}");
        }
    }

    #[test]
    fn fault_g3_a_kind_whose_objects_are_in_many_files_is_listed_once_in_each_namespace() {
        let files =
            ["m/configmaps.jsonl", "n/configmaps.jsonl", "n/configmaps.jsonl+000002", "n/configmaps.jsonl+000003", "n/widgets.demo.example.jsonl"].map(file);
        let kinds: Vec<_> = by_kind(&files).into_iter().collect();
        let expected = [(("m", "configmaps", ""), vec![0]), (("n", "configmaps", ""), vec![1, 2, 3]), (("n", "widgets", "demo.example"), vec![4])];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn fault_g4_a_line_is_decoded_only_if_its_name_is_there() {
        for (line, name) in [
            (r#"{"apiVersion":"v1","data":{"name":"b"},"kind":"ConfigMap","metadata":{"labels":{"name":"c"},"name":"a"}}"#, Some("a")),
            (r#"{"metadata":{"name":"caf\u00e9"}}"#, Some("caf\u{e9}")),
            (r#"{"metadata":{"name":"a"},"data":{"#, None),
            (r#"{"metadata":{}}"#, None),
        ] {
            assert_eq!(name_on(line.as_bytes()).as_deref(), name, "{line}");
        }
    }
}
