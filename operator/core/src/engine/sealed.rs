//! Seals of a journal that is kept where others can write: a chain of HMACs over its records, and what the hub knows of it.
//!
//! A drill's journal is in the plan's repository, so that it outlives the hub, and the district has the credentials of that bucket. Whoever can write there must
//! not make the operator act. So each record is stored with a seal that covers the run, the record's sequence number, the seal before it and the record's text. The
//! key is derived from the operator's own, which no district has ([`MasterKey`]).
//!
//! | what somebody does | what finds it |
//! |---|---|
//! | changes or invents a record, or the plan | its seal |
//! | removes one, reorders them, or puts one in between | the seal of the next, which continues another |
//! | puts records of another run there | the key, which is another for each run |
//! | puts the plan of another run there, or an older one | the digest in the claims of the journal, and the hub's [`Pin`] |
//! | removes the newest records, or puts an older journal back | the hub's [`Pin`], as far as it says |
//!
//! A line is the record's JSON with the seal as its last member; the seal is over the text without it. A compacted journal is sealed as a whole, and keeps the seal
//! of the last record that it stands for, which the next record continues.

use super::{
    event::Record,
    journal::{Head, Journal, JournalError},
};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

type HmacSha256 = Hmac<Sha256>;

/// Bytes of a key and of a seal.
const KEY_BYTES: usize = 32;
/// Bytes of a key's id: enough to tell keys apart, and no help to guess one.
const ID_BYTES: usize = 8;
/// Where a line's seal begins.
const SEAL_MEMBER: &str = r#","seal":""#;
/// How the first line of a compacted journal begins.
const COMPACTED_BEGIN: &str = r#"{"compacted":"#;

/// An HMAC over parts of which none can be taken for another: each is preceded by its length, the purpose first.
fn mac(key: &[u8], purpose: &str, parts: &[&[u8]]) -> HmacSha256 {
    let mut mac = HmacSha256::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac
}

fn derived(key: &[u8], purpose: &str, of: &str) -> [u8; KEY_BYTES] {
    mac(key, purpose, &[of.as_bytes()]).finalize().into_bytes().into()
}

macro_rules! hidden {
    ($($key:ty),*) => {$(
        impl fmt::Debug for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($key), "(hidden)"))
            }
        }
    )*};
}

/// The operator's key, from which all others are derived. It stays on the hub.
#[derive(Clone)]
pub struct MasterKey([u8; KEY_BYTES]);

/// The key of a district's runs. It may be handed to who carries on the district's runs without the hub, and says nothing of the master key or of another
/// district's.
#[derive(Clone)]
pub struct DistrictKey([u8; KEY_BYTES]);

/// The key of one run's journal.
#[derive(Clone)]
pub struct RunKey {
    key: [u8; KEY_BYTES],
    id: String,
}

hidden!(MasterKey, DistrictKey, RunKey);

impl MasterKey {
    /// The key in 64 hexadecimal digits; none if the text is something else.
    pub fn from_text(text: &str) -> Option<Self> {
        key_from(text).map(Self)
    }

    /// The key of the runs in this hub namespace.
    pub fn of_district(&self, hub_namespace: &str) -> DistrictKey {
        DistrictKey(derived(&self.0, "platform861.io/journal/district/1", hub_namespace))
    }
}

impl DistrictKey {
    /// The key in 64 hexadecimal digits; none if the text is something else.
    pub fn from_text(text: &str) -> Option<Self> {
        key_from(text).map(Self)
    }

    /// The key in 64 hexadecimal digits, to be handed over. It is a secret.
    pub fn to_text(&self) -> String {
        hex::encode(self.0)
    }

    /// What tells this key from others; no secret.
    pub fn id(&self) -> String {
        hex::encode(&derived(&self.0, "platform861.io/journal/id/1", "")[..ID_BYTES])
    }

    /// The key of the run with this UID.
    pub fn of_run(&self, uid: &str) -> RunKey {
        RunKey { key: derived(&self.0, "platform861.io/journal/run/1", uid), id: self.id() }
    }
}

fn key_from(text: &str) -> Option<[u8; KEY_BYTES]> {
    hex::decode(text.trim()).ok()?.try_into().ok()
}

impl RunKey {
    /// The id of the district's key that it was derived from.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn record(&self, before: &ChainHead, text: &str) -> HmacSha256 {
        let sequence = before.sequence.saturating_add(1).to_be_bytes();
        mac(&self.key, "record", &[before.seal.as_bytes(), &sequence, text.as_bytes()])
    }

    fn compacted(&self, head: &str, records: &[&str]) -> HmacSha256 {
        let parts: Vec<&[u8]> = std::iter::once(head).chain(records.iter().copied()).map(str::as_bytes).collect();
        mac(&self.key, "compacted", &parts)
    }
}

/// The last record of a sealed journal, as far as its seals go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Its sequence number; 0 before the first.
    pub sequence: u64,
    /// Its seal, in hexadecimal digits.
    pub seal: String,
}

impl ChainHead {
    /// The head of a journal without records: what the first seal continues.
    pub fn begin(key: &RunKey) -> Self {
        Self { sequence: 0, seal: hex::encode(mac(&key.key, "begin", &[]).finalize().into_bytes()) }
    }
}

/// What the hub knows of a journal that others can write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// Digest of the run's plan.
    pub plan: String,
    /// Id of the key that seals the journal.
    pub key: String,
    /// A record that was certainly stored; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<ChainHead>,
}

/// A journal, or the plan beside it, is not what the operator has stored. Nothing in it may be acted upon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tampered {
    /// The plan has no seal of this run.
    #[error("its plan was not written by the operator for this run")]
    Plan,
    /// The plan is a plan of this run, and not the one that it follows.
    #[error("its plan is {found}, and the run was begun with {pinned}")]
    OtherPlan {
        /// The digest that is known.
        pinned: String,
        /// The digest of the plan that is there.
        found: String,
    },
    /// A record has no seal, or one that doesn't continue the record before it.
    #[error("record {sequence} was changed, or what came before it was changed or removed")]
    Record {
        /// The sequence number that the record should have.
        sequence: u64,
    },
    /// The compacted part is not what was written.
    #[error("its compacted part was changed")]
    Compacted,
    /// Records that were stored are gone.
    #[error("it ends at record {found}, and record {pinned} was stored")]
    RolledBack {
        /// A record that was stored.
        pinned: u64,
        /// The last one that is there.
        found: u64,
    },
    /// Another record stands in the place of one that was stored.
    #[error("record {sequence} is another than the one that was stored")]
    Replaced {
        /// Its sequence number.
        sequence: u64,
    },
}

/// Why a sealed journal can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It isn't what was stored.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// It is what was stored, and this release can't read it.
    #[error(transparent)]
    Unreadable(#[from] JournalError),
}

/// A sealed journal whose seals hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// Its last record's seal.
    pub head: ChainHead,
}

/// A JSON object with a last member `seal`. Only for texts that end with a brace, as every object does.
fn with_seal(json: &str, seal: &str) -> String {
    format!("{}{SEAL_MEMBER}{seal}\"}}", json.strip_suffix('}').unwrap_or(json))
}

/// The JSON object without its seal, and the seal in hexadecimal digits; none if it has none.
fn without_seal(line: &str) -> Option<(String, &str)> {
    let (json, seal) = line.trim_end().strip_suffix("\"}")?.rsplit_once(SEAL_MEMBER)?;
    Some((format!("{json}}}"), seal))
}

fn holds(mac: HmacSha256, seal: &str) -> bool {
    // One spelling only, since the next seal is over this text.
    hex::decode(seal).is_ok_and(|bytes| hex::encode(&bytes) == seal && mac.verify_slice(&bytes).is_ok())
}

/// The plan's text with its seal.
pub fn seal_plan(key: &RunKey, text: &str) -> String {
    with_seal(text, &hex::encode(mac(&key.key, "plan", &[text.as_bytes()]).finalize().into_bytes()))
}

/// The plan's text without its seal.
///
/// # Errors
/// [`Tampered::Plan`] if it has none of this run.
pub fn open_plan(key: &RunKey, text: &str) -> Result<String, Tampered> {
    let (plan, seal) = without_seal(text).ok_or(Tampered::Plan)?;
    if holds(mac(&key.key, "plan", &[plan.as_bytes()]), seal) { Ok(plan) } else { Err(Tampered::Plan) }
}

/// The records as lines with their seals, each continuing the one before it, and the new head.
///
/// # Errors
/// If evidence can't be written as JSON.
pub fn seal_records(key: &RunKey, head: &ChainHead, records: &[Record]) -> Result<(String, ChainHead), serde_json::Error> {
    let (mut text, mut head) = (String::new(), head.clone());
    for record in records {
        let json = serde_json::to_string(record)?;
        let seal = hex::encode(key.record(&head, &json).finalize().into_bytes());
        text.push_str(&with_seal(&json, &seal));
        text.push('\n');
        head = ChainHead { sequence: head.sequence.saturating_add(1), seal };
    }
    Ok((text, head))
}

/// The first line of a compacted journal.
#[derive(Serialize, Deserialize)]
struct CompactedLine {
    compacted: Head,
    /// The seal of the last record that it stands for.
    chain: String,
}

/// A compacted journal as it is stored: sealed as a whole. `head` is that of the journal before it was compacted, and of the shorter one as well.
///
/// # Errors
/// If evidence can't be written as JSON.
pub fn seal_compacted(key: &RunKey, head: &ChainHead, shorter: &Journal) -> Result<String, serde_json::Error> {
    let first = serde_json::to_string(&CompactedLine { compacted: shorter.head(), chain: head.seal.clone() })?;
    let records = shorter.records().iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let lines: Vec<&str> = records.iter().map(String::as_str).collect();
    let seal = hex::encode(key.compacted(&first, &lines).finalize().into_bytes());
    let mut text = with_seal(&first, &seal);
    for line in lines {
        text.push('\n');
        text.push_str(line);
    }
    text.push('\n');
    Ok(text)
}

/// Reads a sealed journal: at most one compacted part, and records after it. `known` are records that were certainly stored, as the hub knows. Empty lines are
/// ignored. What a compacted part stands for can't be compared with them one by one: only where it ends.
///
/// # Errors
/// [`Tampered`], with the first thing that isn't as stored; [`OpenError::Unreadable`] for a journal of another release.
pub fn open(key: &RunKey, text: &str, known: &[ChainHead]) -> Result<Opened, OpenError> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    let (mut plain, mut head) = (String::new(), ChainHead::begin(key));
    if let Some(first) = lines.next_if(|line| line.starts_with(COMPACTED_BEGIN)) {
        let (json, seal) = without_seal(first).ok_or(Tampered::Compacted)?;
        let CompactedLine { compacted, chain } = serde_json::from_str(&json).map_err(|_| Tampered::Compacted)?;
        let records: Vec<&str> = lines.by_ref().take(usize::try_from(compacted.records).unwrap_or(usize::MAX)).collect();
        if !holds(key.compacted(&json, &records), seal) {
            return Err(Tampered::Compacted.into());
        }
        head = ChainHead { sequence: compacted.through, seal: chain };
        compare(&head, known)?;
        for line in std::iter::once(json.as_str()).chain(records) {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    for line in lines {
        let sequence = head.sequence.saturating_add(1);
        let (json, seal) = without_seal(line).ok_or(Tampered::Record { sequence })?;
        if !holds(key.record(&head, &json), seal) {
            return Err(Tampered::Record { sequence }.into());
        }
        head = ChainHead { sequence, seal: seal.to_owned() };
        compare(&head, known)?;
        plain.push_str(&json);
        plain.push('\n');
    }
    if let Some(lost) = known.iter().map(|known| known.sequence).find(|known| *known > head.sequence) {
        return Err(Tampered::RolledBack { pinned: lost, found: head.sequence }.into());
    }
    Ok(Opened { journal: Journal::from_lines(&plain)?, head })
}

fn compare(head: &ChainHead, known: &[ChainHead]) -> Result<(), Tampered> {
    if known.iter().any(|known| known.sequence == head.sequence && known.seal != head.seal) {
        return Err(Tampered::Replaced { sequence: head.sequence });
    }
    Ok(())
}

/// Checks that a plan is the one that the run follows: by what the hub knows, and by the claims of its journal.
///
/// # Errors
/// [`Tampered::OtherPlan`].
pub fn same_plan<'a>(found: &str, pinned: impl IntoIterator<Item = &'a str>, journal: &'a Journal) -> Result<(), Tampered> {
    let claims = journal.records().iter().filter_map(|record| match &record.event {
        super::Event::Claimed { plan } => Some(plan.as_str()),
        _ => None,
    });
    match pinned.into_iter().chain(claims).find(|pinned| *pinned != found) {
        Some(pinned) => Err(Tampered::OtherPlan { pinned: pinned.to_owned(), found: found.to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
