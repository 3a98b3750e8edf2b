//! The repository's store, as the engine sees it while it prunes: it may write and remove only as long as it is allowed to.

use super::{MayWrite, Packs};
use crate::{
    VaultError,
    backend::{Store, key},
    store::Removal,
};
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What became of the packs that were to be removed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Removed {
    pub(super) gone: Packs,
    /// Of these, hidden.
    pub(super) hidden: Packs,
    pub(super) locked: Packs,
    pub(super) locked_until: Option<Timestamp>,
}

/// What the engine has listed, and what came of its removals.
#[derive(Default)]
struct Seen {
    /// The snapshots that the plan follows from.
    snapshots: Option<BTreeSet<Id>>,
    /// They were listed again before the first removal.
    compared: bool,
    packs: BTreeMap<Id, u32>,
    removed: Removed,
    /// Why it may go no further; the engine keeps only texts.
    stopped: Option<VaultError>,
}

pub(super) struct Guarded {
    store: Arc<Store>,
    may_write: MayWrite,
    seen: Mutex<Seen>,
}

impl Guarded {
    pub(super) fn new(store: Arc<Store>, may_write: MayWrite) -> Self {
        Self { store, may_write, seen: Mutex::default() }
    }

    pub(super) fn removed(&self) -> Removed {
        self.seen.lock().removed
    }

    pub(super) fn take_stopped(&self) -> Option<VaultError> {
        self.seen.lock().stopped.take()
    }

    /// The packs that the engine has listed, with their sizes.
    pub(super) fn listed_packs(&self) -> BTreeMap<Id, u32> {
        self.seen.lock().packs.clone()
    }

    /// The first reason is told; threads that work beside it stop for it, too.
    pub(super) fn stop(&self, why: VaultError) -> Box<RusticError> {
        self.seen.lock().stopped.get_or_insert(why);
        RusticError::new(ErrorKind::Backend, "it was stopped")
    }

    fn ask(&self) -> RusticResult<()> {
        (self.may_write)().map_err(|lost| self.stop(lost))
    }

    /// Lists the snapshots again before anything is removed.
    fn compare_snapshots(&self) -> RusticResult<()> {
        let mut seen = self.seen.lock();
        if seen.compared {
            return Ok(());
        }
        let listed = self.store.files(FileType::Snapshot);
        let why = match listed {
            Err(error) => error.into(),
            Ok(listed) => match listed.into_iter().find(|(id, _)| seen.snapshots.as_ref().is_none_or(|known| !known.contains(id))) {
                None => {
                    seen.compared = true;
                    return Ok(());
                }
                Some((id, _)) => VaultError::Other {
                    what: "prune the repository".into(),
                    message: format!(
                        "{} was not there when the plan was made: somebody stores into the repository without its lease, or the store lists late; nothing was removed",
                        key(FileType::Snapshot, &id)
                    ),
                },
            },
        };
        drop(seen);
        Err(self.stop(why))
    }

    fn note(&self, id: &Id, removal: Removal) {
        let mut seen = self.seen.lock();
        let size = u64::from(seen.packs.get(id).copied().unwrap_or_default());
        let add = |packs: &mut Packs| {
            packs.packs += 1;
            packs.bytes = packs.bytes.saturating_add(size);
        };
        match removal {
            Removal::Gone => add(&mut seen.removed.gone),
            Removal::Hidden => {
                add(&mut seen.removed.gone);
                add(&mut seen.removed.hidden);
            }
            Removal::Locked(until) => {
                add(&mut seen.removed.locked);
                seen.removed.locked_until = seen.removed.locked_until.max(until);
            }
        }
    }
}

impl ReadBackend for Guarded {
    fn location(&self) -> String {
        ReadBackend::location(&*self.store)
    }

    fn list_with_size(&self, tpe: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let listed = self.store.list_with_size(tpe)?;
        let mut seen = self.seen.lock();
        match tpe {
            // The first list is the plan's.
            FileType::Snapshot if seen.snapshots.is_none() => seen.snapshots = Some(listed.iter().map(|(id, _)| *id).collect()),
            FileType::Pack => seen.packs = listed.iter().copied().collect(),
            FileType::Config | FileType::Index | FileType::Key | FileType::Snapshot => {}
        }
        Ok(listed)
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        self.store.read_full(tpe, id)
    }

    fn read_partial(&self, tpe: FileType, id: &Id, cacheable: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        self.store.read_partial(tpe, id, cacheable, offset, length)
    }

    fn warmup_path(&self, tpe: FileType, id: &Id) -> String {
        self.store.warmup_path(tpe, id)
    }
}

impl WriteBackend for Guarded {
    fn create(&self) -> RusticResult<()> {
        self.ask()?;
        self.store.create()
    }

    fn write_bytes(&self, tpe: FileType, id: &Id, cacheable: bool, content: BytesList) -> RusticResult<()> {
        self.ask()?;
        self.store.write_bytes(tpe, id, cacheable, content)
    }

    fn remove(&self, tpe: FileType, id: &Id, _: bool) -> RusticResult<()> {
        self.ask()?;
        self.compare_snapshots()?;
        let key = key(tpe, id);
        let removal = self.store.run(|| self.store.store().remove(&key)).map_err(|error| self.stop(error.into()))?;
        match (tpe, removal) {
            (FileType::Pack, removal) => {
                self.note(id, removal);
                Ok(())
            }
            // What it names must stay as long as it does.
            (_, Removal::Locked(until)) => Err(self.stop(VaultError::Locked { object: key, until })),
            (_, Removal::Gone | Removal::Hidden) => Ok(()),
        }
    }
}
