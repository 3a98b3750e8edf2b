//! A journal in a repository: `plan.json`, `records/<first sequence>.jsonl` for each batch of records, and `compacted/<last sequence>.jsonl`, which stands for
//! all batches up to that record. Every object is created only if absent and never changed.
//!
//! Why an executor that lost the run never succeeds in appending, although batches are deleted: a batch is deleted only after a compacted object that covers it
//! was created, and the newest compacted object is never deleted. A late executor may find its batch's name free because the batch there was deleted, but then
//! it finds that compacted object when it lists *after* its own write. [`append`] does.
//!
//! Why a reader misses nothing: it lists the compacted objects, reads, and lists them again. If the newest is still the same, nothing after it was deleted
//! meanwhile.

use super::StoreError;
use crate::{
    error::{Category, Error, Result},
    repository::vault,
};
use futures::{StreamExt as _, TryStreamExt as _};
use p861_crds::Reason;
use p861_vault::AsyncStore;

/// Batches that are read at once.
const PARALLEL_READS: usize = 16;
/// Most batches, and most bytes of all of them, that are read of a journal: they are in memory together. A journal is compacted long before.
const MAX_BATCHES: usize = 10_000;
const MAX_BYTES: usize = 32 << 20;
/// Attempts of a reader whose journal is compacted while it reads.
const MAX_READS: u32 = 5;

fn plan(prefix: &str) -> String {
    format!("{prefix}/{}", super::format::PLAN)
}

fn batch(prefix: &str, first: u64) -> String {
    format!("{prefix}/records/{first:020}.jsonl")
}

fn compacted(prefix: &str, through: u64) -> String {
    format!("{prefix}/compacted/{through:020}.jsonl")
}

/// The sequence in an object's name; none if the name is not one of ours.
fn sequence(key: &str) -> Option<u64> {
    key.rsplit('/').next()?.strip_suffix(".jsonl")?.parse().ok()
}

async fn sequences(store: &AsyncStore, under: &str) -> Result<Vec<u64>> {
    let keys = store.list(under).await.map_err(|error| vault("list the journal", &error))?;
    let mut found: Vec<u64> = keys.iter().filter_map(|key| sequence(key)).collect();
    found.sort_unstable();
    Ok(found)
}

/// The last record that is compacted; 0 if none.
async fn newest(store: &AsyncStore, prefix: &str) -> Result<u64> {
    Ok(sequences(store, &format!("{prefix}/compacted/")).await?.last().copied().unwrap_or_default())
}

/// An object's text; none if it isn't there. Whatever is no text was not written by the operator: its seal shows it.
async fn text(store: &AsyncStore, key: &str) -> Result<Option<String>> {
    match store.get(key).await {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(vault("read the journal", &error)),
    }
}

fn damaged(message: String) -> Error {
    Error::Stated { reason: Reason::JournalDamaged, message, category: Category::NeedsPerson }
}

/// The lines of the journal.
///
/// # Errors
/// Transient if it was compacted again and again while it was read.
pub async fn load(store: &AsyncStore, prefix: &str) -> Result<String> {
    for _ in 0..MAX_READS {
        let through = newest(store, prefix).await?;
        let read = read_after(store, prefix, through).await?;
        if newest(store, prefix).await? == through {
            return read.ok_or_else(|| damaged(format!("an object of the journal {prefix} vanished while it was read")));
        }
    }
    Err(Error::transient(Reason::JournalBusy, format!("the journal {prefix} was compacted each time it was read")))
}

/// The compacted object and the batches after it; none if one of them was deleted meanwhile.
async fn read_after(store: &AsyncStore, prefix: &str, through: u64) -> Result<Option<String>> {
    let batches = sequences(store, &format!("{prefix}/records/")).await?;
    let head = (through > 0).then(|| compacted(prefix, through));
    let after: Vec<u64> = batches.into_iter().filter(|first| *first > through).collect();
    if after.len() > MAX_BATCHES {
        return Err(too_large(prefix, &format!("{} batches of records are there, and at most {MAX_BATCHES} are read", after.len())));
    }
    let keys = head.into_iter().chain(after.into_iter().map(|first| batch(prefix, first)));
    let reads = keys.map(|key| async move { text(store, &key).await }).collect::<Vec<_>>();
    let mut reads = futures::stream::iter(reads).buffered(PARALLEL_READS);
    let (mut texts, mut bytes) = (Vec::new(), 0);
    while let Some(read) = reads.try_next().await? {
        let Some(read) = read else { return Ok(None) };
        bytes += read.len();
        if bytes > MAX_BYTES {
            return Err(too_large(prefix, &format!("it has more than {} MiB, which is the most that is read of one", MAX_BYTES >> 20)));
        }
        texts.push(read);
    }
    Ok(Some(texts.join("\n")))
}

fn too_large(prefix: &str, what: &str) -> Error {
    let message = format!("the journal {prefix}/: {what}: abort the run, or remove what is not of it from the bucket");
    Error::Stated { reason: Reason::TooLarge, message, category: Category::NeedsPerson }
}

/// Stores the plan unless one is there.
pub async fn put_plan(store: &AsyncStore, prefix: &str, text: String) -> Result<()> {
    match store.put_if_absent(&plan(prefix), text.into_bytes()).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(vault("store the plan of the run", &error)),
    }
}

/// The text of the plan; none if there is none.
pub async fn read_plan(store: &AsyncStore, prefix: &str) -> Result<Option<String>> {
    text(store, &plan(prefix)).await
}

/// Appends a batch of lines, whose first record has this sequence, after exactly the record before it.
pub async fn append(store: &AsyncStore, prefix: &str, first: u64, text: &str) -> std::result::Result<(), StoreError> {
    let key = batch(prefix, first);
    match store.put_if_absent(&key, text.as_bytes().to_vec()).await {
        Ok(_) => {}
        // Our own write may have arrived although its answer was lost: compare the content.
        Err(error) if error.is_already_exists() => match store.get(&key).await {
            Ok(bytes) if bytes == text.as_bytes() => {}
            _ => return Err(StoreError::Overtaken(first)),
        },
        Err(error) => return Err(StoreError::Other(vault("append to the journal", &error))),
    }
    // The name may be free only because its batch was compacted. Our batch is then never read, and the next compaction deletes it.
    if newest(store, prefix).await? >= first {
        return Err(StoreError::Overtaken(first));
    }
    Ok(())
}

/// Creates the compacted object. An existing one was made from the same records and has the same content.
pub async fn write_compacted(store: &AsyncStore, prefix: &str, through: u64, text: String) -> Result<()> {
    match store.put_if_absent(&compacted(prefix, through), text.into_bytes()).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(vault("compact the journal", &error)),
    }
}

/// Deletes the objects that the newest compacted object replaces. After a crash the next call deletes the rest.
pub async fn delete_superseded(store: &AsyncStore, prefix: &str) -> Result<()> {
    let mut compactions = sequences(store, &format!("{prefix}/compacted/")).await?;
    let Some(through) = compactions.pop() else { return Ok(()) };
    let batches = sequences(store, &format!("{prefix}/records/")).await?;
    let old = compactions.into_iter().map(|through| compacted(prefix, through));
    for key in batches.into_iter().filter(|first| *first <= through).map(|first| batch(prefix, first)).chain(old) {
        store.delete(&key).await.map_err(|error| vault("delete what was compacted", &error))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
