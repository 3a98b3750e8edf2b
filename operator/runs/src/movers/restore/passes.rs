//! The passes over the objects in namespaces: rank by rank, then what waits for its owner, then once more what was refused.

use super::{Line, Restoring, WorkError, cluster::DEFINED_BEFORE, counting::Outcome, reading::Wanted, writing::Writer};
use futures::{StreamExt as _, stream::FuturesUnordered};
use p861_core::objects::{self, Identity, Owner, Prepared};
use p861_crds::Reason;
use p861_vault::Progress;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::atomic::Ordering,
};

/// How often what waits for its owner is looked at again.
const MAX_OWNER_PASSES: usize = 8;
const STATUS_LEFT: &str = "its status is its controller's on this site, and was not written";
const OWNER_DROPPED: &str = "owner not restored, the reference to it was dropped";

/// What a later pass is to do.
#[derive(Default)]
struct Pending {
    lines: Wanted,
    /// Objects that wait for their owner.
    owned: usize,
    /// All of them, by identity.
    identities: HashSet<Identity>,
}

/// What came of one line.
enum Handled {
    Done,
    Later { owned: bool, identity: Identity },
}

/// How a pass goes over its lines.
struct Pass<'a> {
    number: usize,
    /// What is refused now is refused, and owners that are missing now stay so.
    last: bool,
    /// What the pass before left.
    before: &'a HashSet<Identity>,
}

fn identity_of(namespace: &str, owner: &Owner) -> Identity {
    let Owner { group, kind, name } = owner.clone();
    Identity { group, kind, namespace: namespace.to_owned(), name }
}

impl Restoring<'_> {
    /// All passes over what is in namespaces.
    pub(super) async fn namespaced<'a>(&'a self, mut writer: Writer<'a>) -> Result<(), WorkError> {
        let everything = self.source.files.iter().enumerate().filter(|(_, file)| !file.is_of_cluster()).map(|(file, _)| (file, None)).collect();
        let mut pending = self.pass(&writer, everything, &Pass { number: 0, last: self.task.preview, before: &HashSet::new() }).await?;
        for number in 1.. {
            if pending.lines.is_empty() {
                break;
            }
            let owned = pending.owned;
            let last = owned == 0 || number > MAX_OWNER_PASSES;
            // A kind may have been defined since by an operator that was restored.
            writer = self.writer(false).await?;
            let next = self.pass(&writer, std::mem::take(&mut pending.lines), &Pass { number, last, before: &pending.identities }).await?;
            if last {
                break;
            }
            let stuck = next.owned > 0 && next.owned >= owned;
            pending = next;
            if stuck {
                let last = Pass { number: number + 1, last: true, before: &pending.identities };
                self.pass(&writer, std::mem::take(&mut pending.lines), &last).await?;
                break;
            }
        }
        Ok(())
    }

    /// Goes over these lines, a rank at a time.
    async fn pass(&self, writer: &Writer<'_>, wanted: Wanted, pass: &Pass<'_>) -> Result<Pending, WorkError> {
        let order = self.order(&writer.kinds);
        let ranks: HashMap<usize, u8> = order.iter().map(|(rank, file)| (*file, *rank)).collect();
        let mut lines = self.source.read(order.into_iter().map(|(_, file)| file).collect(), wanted);
        let (mut pending, mut rank) = (Pending::default(), None);
        let mut under_way = FuturesUnordered::new();
        let mut collect = |(file, number, handled): (usize, usize, Handled)| {
            if let Handled::Later { owned, identity } = handled {
                pending.owned += usize::from(owned);
                pending.identities.insert(identity);
                pending.lines.entry(file).or_insert_with(|| Some(BTreeSet::new())).get_or_insert_default().insert(number);
            }
        };
        let mut is_cut = false;
        while let Some(line) = lines.recv().await {
            if self.end.is_made() {
                is_cut = true;
                break;
            }
            let line = line?;
            let of_line = ranks.get(&line.file).copied();
            let most = if of_line == rank { self.pace.lock().at_once() } else { 1 };
            rank = of_line;
            while under_way.len() >= most {
                match under_way.next().await {
                    Some(handled) => collect(handled?),
                    None => break,
                }
            }
            under_way.push(self.line(writer, pass, line));
        }
        while let Some(handled) = under_way.next().await {
            collect(handled?);
        }
        drop(under_way);
        if is_cut {
            return Err(self.ended());
        }
        Ok(pending)
    }

    pub(super) fn parse(&self, line: &Line) -> Result<Value, WorkError> {
        let path = self.source.files.get(line.file).map_or("", |file| file.path.as_str());
        serde_json::from_slice(&line.text)
            .map_err(|error| WorkError::stated(Reason::Damaged, format!("objects/{path}, line {}: {error}", line.number + 1), true))
    }

    async fn line(&self, writer: &Writer<'_>, pass: &Pass<'_>, line: Line) -> Result<(usize, usize, Handled), WorkError> {
        let object = self.parse(&line)?;
        let handled = self.object(writer, pass, object).await?;
        if matches!(handled, Handled::Done) {
            self.progressed(line.text.len() as u64 + 1);
        }
        Ok((line.file, line.number, handled))
    }

    /// One object of so many bytes is done.
    pub(super) fn progressed(&self, bytes: u64) {
        let bytes_done = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let items_done = self.items.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes_total = Some(self.source.files.iter().map(|file| file.bytes).sum());
        (self.on_progress)(Progress { items_done, items_total: None, bytes_done, bytes_total });
    }

    async fn object(&self, writer: &Writer<'_>, pass: &Pass<'_>, object: Value) -> Result<Handled, WorkError> {
        let manifest = (self.task.preview && self.task.choice.is_by_name()).then(|| objects::manifest(&object));
        let saved = Identity::of(&object);
        let object = if let Some(why) = self.task.choice.leaves(&object) {
            Prepared::Leave(why.into())
        } else {
            let patches = objects::matching_patches(&self.task.rules.patches, &object);
            let prepared = objects::prepare(object, &self.task.rules);
            if matches!(prepared, Prepared::Write(..)) {
                self.tally.lock().patched.extend(patches);
            }
            prepared
        };
        let (mut object, closed) = match object {
            Prepared::Write(object, closed) => (object, closed),
            Prepared::Leave(why) => {
                if self.task.again.is_none() {
                    self.tally.lock().leave(&why, saved);
                }
                return Ok(Handled::Done);
            }
        };
        let identity = Identity::of(&object);
        if self.task.again.as_ref().is_some_and(|again| !again.contains(&identity)) {
            return Ok(Handled::Done);
        }
        let owned = !objects::owners(&object).is_empty();
        let mut orphaned = false;
        if self.task.preview {
            // The UID of an owner that would be created is not known yet.
            objects::rewire(&mut object, |_| None);
        } else if owned {
            // Its owner comes first.
            let rewired = if pass.number == 0 { None } else { self.rewire(writer, pass, &mut object).await? };
            let Some(dropped) = rewired else { return Ok(Handled::Later { owned, identity }) };
            orphaned = dropped > 0;
        }
        let status_left = self.leave_status(&mut object);
        let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let written = writer.write(object, owned && !self.task.preview).await;
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        let (mut outcome, adjusted) = written?;
        if outcome == Outcome::NotServed && self.is_promised(&identity) {
            outcome = Outcome::Created(DEFINED_BEFORE.into());
        }
        if !pass.last && matches!(outcome, Outcome::Refused(_) | Outcome::NotServed) {
            return Ok(Handled::Later { owned: false, identity });
        }
        let mut tally = self.tally.lock();
        if !matches!(outcome, Outcome::Refused(_) | Outcome::NotServed) {
            let more = orphaned.then_some(OWNER_DROPPED).into_iter().chain(status_left.then_some(STATUS_LEFT));
            adjusted.into_iter().chain(more).chain(closed).for_each(|how| tally.adjust_of(how, &identity));
        }
        if self.task.again.is_some() {
            tally.tried.insert(identity.clone());
        }
        tally.note_as(outcome, (identity, &api_version), manifest);
        Ok(Handled::Done)
    }

    /// Takes away a status that was data where the object was saved, and is its controller's here: the API server would not take it. Says whether it did.
    pub(super) fn leave_status(&self, object: &mut Value) -> bool {
        if object.get("status").is_none() {
            return false;
        }
        let kind = (objects::group(object).to_owned(), objects::kind(object).to_owned());
        !self.with_status.lock().contains(&kind) && object.as_object_mut().is_some_and(|map| map.remove("status").is_some())
    }

    /// Gives the object its owners of this site. Returns how many references to owners were dropped; none while an owner is waited for that is written in this pass
    /// or later.
    async fn rewire(&self, writer: &Writer<'_>, pass: &Pass<'_>, object: &mut Value) -> Result<Option<u64>, WorkError> {
        let namespace = objects::namespace(object).to_owned();
        let mut found: HashMap<Owner, String> = HashMap::new();
        for owner in objects::owners(object) {
            match writer.owner(&namespace, &owner).await? {
                Some(uid) => drop(found.insert(owner, uid)),
                None if !pass.last && pass.before.contains(&identity_of(&namespace, &owner)) => return Ok(None),
                None => {}
            }
        }
        Ok(Some(objects::rewire(object, |owner| found.get(owner).cloned())))
    }
}
