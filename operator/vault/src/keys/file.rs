//! A key file, and the bounds of what it may ask for.

use crate::{VaultError, cipher::Cipher, limits::size};
use aws_smithy_types::base64;
use rustic_core::repofile::MasterKey;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most memory that one derivation takes: 128·N·r bytes. What rustic chooses (N = 2^17, r = 8) needs exactly this; restic chooses at most 60 MiB (N = 2^15, r = 8).
pub(crate) const MAX_MEMORY_BYTES: u64 = 128 << 20;
/// Most memory that one derivation needs besides, for its p blocks: 128·r·p bytes.
const MAX_BLOCKS_BYTES: u64 = 1 << 20;
/// Most memory traffic of one derivation: 128·N·r·p bytes, some seconds. restic chooses p so that it takes half a second on the machine that makes the key.
pub(crate) const MAX_WORK_BYTES: u64 = 1 << 30;
/// Most memory traffic for all key files of one opening.
pub(super) const MAX_TOTAL_WORK_BYTES: u64 = 4 << 30;

/// Parameters of the keys that are made: 32 MiB of memory, as restic's own, and 128 MiB of memory traffic, as rustic's. Unit tests make many.
const LOG_N: u8 = if cfg!(test) { 10 } else { 15 };
const R: u32 = 8;
const P: u32 = 4;
const SALT_BYTES: usize = 64;

/// Why a key file is not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As restic writes it. Other fields (who made it, and where) say nothing of the key.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
    salt: String,
    data: String,
}

/// A key file whose key may be derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFile {
    log_n: u8,
    r: u32,
    p: u32,
    salt: Vec<u8>,
    data: Vec<u8>,
}

impl KeyFile {
    /// Parses a key file and compares what it asks for with the bounds. Derives nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let stored: Stored = serde_json::from_slice(body).map_err(|error| Refusal(format!("it can't be read: {error}")))?;
        if stored.kdf != "scrypt" {
            return Err(Refusal(format!("its key is derived by {:?}, and only scrypt is known", stored.kdf.chars().take(20).collect::<String>())));
        }
        let Stored { n, r, p, .. } = stored;
        if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
            return Err(Refusal(format!("its scrypt parameters N={n}, r={r}, p={p} are none: N must be a power of two, r and p at least 1")));
        }
        let product = |factors: &[u64]| factors.iter().fold(128_u64, |product, factor| product.saturating_mul(*factor));
        let (memory, blocks, work) = (product(&[n, r]), product(&[r, p]), product(&[n, r, p]));
        if memory > MAX_MEMORY_BYTES || blocks > MAX_BLOCKS_BYTES || work > MAX_WORK_BYTES {
            return Err(Refusal(format!(
                "its scrypt parameters N={n}, r={r}, p={p} ask for {} of memory (128·N·r) and {} of memory traffic (128·N·r·p); at most {} and {} are spent on one",
                size(memory.max(blocks)),
                size(work),
                size(MAX_MEMORY_BYTES),
                size(MAX_WORK_BYTES),
            )));
        }
        let bytes = |text: &str| base64::decode(text).map_err(|_| Refusal("its salt or data is not base64".into()));
        let narrow = |number: u64| u32::try_from(number).map_err(|_| Refusal("its scrypt parameters are too large".into()));
        let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| Refusal("its scrypt parameters are too large".into()))?;
        Ok(Self { log_n, r: narrow(r)?, p: narrow(p)?, salt: bytes(&stored.salt)?, data: bytes(&stored.data)? })
    }

    /// Memory traffic of a derivation: 128·N·r·p bytes.
    pub(crate) fn work_bytes(&self) -> u64 {
        128 * (1_u64 << self.log_n) * u64::from(self.r) * u64::from(self.p)
    }

    /// The key that the password gives; none if scrypt can't be computed with these parameters.
    pub(super) fn derive(&self, password: &str) -> Option<[u8; 64]> {
        let parameters = scrypt::Params::new(self.log_n, self.r, self.p).ok()?;
        let mut key = [0; 64];
        scrypt::scrypt(password.as_bytes(), &self.salt, &parameters, &mut key).ok()?;
        Some(key)
    }

    /// The encrypted master key, for which the derived key is the key.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Makes a key file: the master key, encrypted with a key that is derived from the password. Derives a key.
///
/// # Errors
/// If this machine gives no random numbers.
pub(crate) fn make(master: &MasterKey, password: &str) -> Result<Vec<u8>, VaultError> {
    let what = "make the repository's key";
    let failed = |message: String| VaultError::Other { what: what.into(), message };
    let mut salt = vec![0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| failed(format!("this machine gives no random numbers: {error}")))?;
    let parameters = KeyFile { log_n: LOG_N, r: R, p: P, salt, data: Vec::new() };
    let derived = super::alone(|| parameters.derive(password)).ok_or_else(|| failed("scrypt refuses its parameters".into()))?;
    let plain = serde_json::to_vec(master).map_err(|error| failed(error.to_string()))?;
    let stored = Stored {
        created: Some(jiff::Timestamp::now().to_string()),
        kdf: "scrypt".into(),
        n: 1 << LOG_N,
        r: R.into(),
        p: P.into(),
        salt: base64::encode(&parameters.salt),
        data: base64::encode(Cipher::new(&derived).encrypt(&plain).map_err(|error| failed(error.to_string()))?),
    };
    serde_json::to_vec(&stored).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(n: u64, r: u64, p: u64) -> Result<KeyFile, Refusal> {
        let body = serde_json::json!({"hostname": "h", "username": "u", "kdf": "scrypt", "N": n, "r": r, "p": p, "salt": "AAAA", "data": "AAAA"});
        KeyFile::parse(&serde_json::to_vec(&body).unwrap())
    }

    #[test]
    fn fault_e10_what_restic_and_rustic_choose_is_allowed_and_what_asks_for_more_is_refused_before_anything_is_derived() {
        for (case, n, r, p) in [
            ("rustic", 1 << 17, 8, 1),
            ("restic, on a slow machine", 1 << 15, 8, 1),
            ("restic, on a fast machine", 1 << 15, 8, 12),
            ("restic, on a machine five times as fast as today's", 1 << 15, 8, 32),
            ("restic's tests", 1 << 10, 1, 1),
        ] {
            let file = parsed(n, r, p).unwrap_or_else(|refusal| panic!("{case}: {refusal}"));
            assert_eq!(file.work_bytes(), 128 * n * r * p, "{case}");
        }
        for (case, n, r, p, says) in [
            ("a gigabyte", 1 << 20, 8, 1, "1024 MiB of memory"),
            ("twice as much", 1 << 18, 8, 1, "256 MiB of memory"),
            ("a large r", 1 << 10, 1 << 11, 1, "256 MiB of memory"),
            ("a large p", 1 << 17, 8, 9, "1152 MiB of memory traffic"),
            ("many small blocks", 2, 1, 1 << 20, "128 MiB of memory"),
            ("an overflow", 1 << 63, u64::MAX, u64::MAX, "MiB of memory"),
            ("no power of two", 100_000, 8, 1, "power of two"),
            ("nothing", 0, 8, 1, "power of two"),
            ("one", 1, 8, 1, "power of two"),
            ("no r", 1 << 15, 0, 1, "at least 1"),
            ("no p", 1 << 15, 8, 0, "at least 1"),
        ] {
            let refusal = parsed(n, r, p).expect_err(case);
            assert!(refusal.0.contains(says), "{case}: {refusal}");
        }
    }

    #[test]
    fn fault_e10_a_file_that_is_no_key_is_refused() {
        for (body, says) in [
            (&b"{"[..], "can't be read"),
            (br#"{"kdf":"argon2","N":32768,"r":8,"p":1,"salt":"","data":""}"#, "argon2"),
            (br#"{"kdf":"scrypt","N":-1,"r":8,"p":1,"salt":"","data":""}"#, "can't be read"),
            (br#"{"kdf":"scrypt","N":32768,"r":8,"p":1,"salt":"!","data":""}"#, "not base64"),
        ] {
            let refusal = KeyFile::parse(body).unwrap_err();
            assert!(refusal.0.contains(says), "{refusal}");
        }
    }
}
