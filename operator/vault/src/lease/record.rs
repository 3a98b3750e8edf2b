//! The record of all leases, and what may be written over it.

use super::{LeaseError, LeaseKind};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Version of the record's shape.
const VERSION: u32 = 1;

/// Everything that is known of a repository's leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    version: u32,
    /// Counts the writes.
    sequence: u64,
    /// Never the same twice, so that no two versions have the same tag.
    nonce: String,
    pub(super) holders: Vec<Holder>,
}

/// One that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Holder {
    /// Never the same twice.
    pub(super) id: String,
    /// For people.
    pub(super) name: String,
    pub(super) kind: LeaseKind,
    ttl_millis: u64,
    /// Raised by the holder alone.
    pub(super) renewal: u64,
}

impl Holder {
    pub(super) fn new(id: &str, name: &str, kind: LeaseKind, ttl: Duration) -> Self {
        Self { id: id.to_owned(), name: name.to_owned(), kind, ttl_millis: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX), renewal: 0 }
    }

    /// How long it holds after a renewal.
    pub(super) fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_millis)
    }
}

impl Record {
    /// Nothing was ever written.
    pub(super) const fn empty() -> Self {
        Self { version: VERSION, sequence: 0, nonce: String::new(), holders: Vec::new() }
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, LeaseError> {
        let record: Self = serde_json::from_slice(body).map_err(|error| LeaseError::Unreadable { what: error.to_string() })?;
        if record.version != VERSION {
            return Err(LeaseError::Unreadable { what: format!("it has version {}, this program knows {VERSION}", record.version) });
        }
        Ok(record)
    }

    /// The next version's text.
    pub(super) fn next(&self, nonce: String) -> Result<Vec<u8>, LeaseError> {
        let next = Self { sequence: self.sequence.saturating_add(1), nonce, ..self.clone() };
        serde_json::to_vec(&next).map_err(|error| LeaseError::Unreadable { what: error.to_string() })
    }

    pub(super) fn holder(&self, id: &str) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.id == id)
    }

    pub(super) fn holder_mut(&mut self, id: &str) -> Option<&mut Holder> {
        self.holders.iter_mut().find(|holder| holder.id == id)
    }
}
