//! restic's encryption of whole files, as far as the bounds need it: the engine unpacks a file of any length, and a few kilobytes may unpack to gigabytes.
//!
//! A file is a nonce of 16 bytes, the ciphertext (AES-256 in counter mode) and an authentication code (Poly1305-AES). The plain text is JSON, or the byte 2 and JSON
//! that is compressed with zstd. Source: restic's design document, "Keys, Encryption and MAC" and "Repository Format".

use crate::limits;
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce, aead::Aead as _};
use rustic_core::repofile::MasterKey;
use std::{fmt, io::Read as _};

const NONCE_BYTES: usize = 16;
const KEY_BYTES: usize = 64;
/// First byte of a compressed file.
const COMPRESSED: u8 = 2;

/// Why a file can't be decrypted or unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CipherError {
    /// It was encrypted with another key, or has changed.
    NotOurs,
    /// It was encrypted with this key and makes no sense.
    Malformed(&'static str),
    /// It unpacks to more than so many bytes.
    TooLarge(u64),
}

impl fmt::Display for CipherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("it was encrypted with another key, or has changed"),
            Self::Malformed(what) => f.write_str(what),
            Self::TooLarge(limit) => write!(f, "it unpacks to more than {}, which is the most that is read of it", limits::size(*limit)),
        }
    }
}

/// A key and what it opens.
#[derive(Clone)]
pub(crate) struct Cipher(Aes256CtrPoly1305Aes);

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(hidden)")
    }
}

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Aes256CtrPoly1305Aes::new(Key::from_slice(key)))
    }

    /// The cipher of a repository's master key; none if its parts don't have the lengths of one.
    pub(crate) fn of(master: &MasterKey) -> Option<Self> {
        let parts = [&master.encrypt, &master.mac.k, &master.mac.r];
        if parts.map(Vec::len) != [32, 16, 16] {
            return None;
        }
        let mut key = [0; KEY_BYTES];
        key.iter_mut().zip(parts.into_iter().flatten()).for_each(|(into, byte)| *into = *byte);
        Some(Self::new(&key))
    }

    pub(crate) fn decrypt(&self, data: &[u8]) -> Result<Vec<u8>, CipherError> {
        let (nonce, rest) = data.split_at_checked(NONCE_BYTES).ok_or(CipherError::NotOurs)?;
        self.0.decrypt(Nonce::from_slice(nonce), rest).map_err(|_| CipherError::NotOurs)
    }

    /// Encrypts with a random nonce.
    pub(crate) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, CipherError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| CipherError::Malformed("this machine gives no random numbers"))?;
        let sealed = self.0.encrypt(Nonce::from_slice(&nonce), plain).map_err(|_| CipherError::Malformed("it can't be encrypted"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Decrypts and unpacks a file of at most `limit` bytes.
    pub(crate) fn open(&self, data: &[u8], limit: u64) -> Result<Vec<u8>, CipherError> {
        let plain = self.decrypt(data)?;
        match plain.split_first() {
            Some((b'{' | b'[', _)) if plain.len() as u64 > limit => Err(CipherError::TooLarge(limit)),
            Some((b'{' | b'[', _)) => Ok(plain),
            Some((&COMPRESSED, packed)) => unpack(packed, limit),
            _ => Err(CipherError::Malformed("it is neither JSON nor compressed JSON")),
        }
    }
}

fn unpack(packed: &[u8], limit: u64) -> Result<Vec<u8>, CipherError> {
    let malformed = |_| CipherError::Malformed("its compressed content can't be unpacked");
    let decoder = zstd::Decoder::with_buffer(packed).map_err(malformed)?;
    let mut unpacked = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut unpacked).map_err(malformed)?;
    if unpacked.len() as u64 > limit { Err(CipherError::TooLarge(limit)) } else { Ok(unpacked) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        [vec![COMPRESSED], zstd::encode_all(plain, 3).unwrap()].concat()
    }

    #[test]
    fn fault_e10_a_file_is_unpacked_up_to_its_bound_and_no_further() {
        let (master, other) = (MasterKey::new(), MasterKey::new());
        let cipher = Cipher::of(&master).unwrap();
        let encrypt = |master: &MasterKey, plain: &[u8]| Cipher::of(master).unwrap().encrypt(plain).unwrap();
        let bomb = packed(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 16 << 10, "a few kilobytes: {}", bomb.len());
        for (case, data, expected) in [
            ("JSON", encrypt(&master, b"{}"), Ok(b"{}".to_vec())),
            ("compressed", encrypt(&master, &packed(b"[1]")), Ok(b"[1]".to_vec())),
            ("a bomb", encrypt(&master, &bomb), Err(CipherError::TooLarge(1024))),
            ("long JSON", encrypt(&master, &[&[b'{'][..], &[b' '; 1024]].concat()), Err(CipherError::TooLarge(1024))),
            ("another key's", encrypt(&other, b"{}"), Err(CipherError::NotOurs)),
            ("cut", vec![1; 5], Err(CipherError::NotOurs)),
            ("empty", encrypt(&master, b""), Err(CipherError::Malformed("it is neither JSON nor compressed JSON"))),
            ("no zstd", encrypt(&master, b"\x02zstd"), Err(CipherError::Malformed("its compressed content can't be unpacked"))),
        ] {
            assert_eq!(cipher.open(&data, 1024), expected, "{case}");
        }
    }

    #[test]
    fn fault_e10_a_master_key_with_parts_of_other_lengths_is_none() {
        let parts = serde_json::to_value(MasterKey::new()).unwrap();
        for (part, text) in [("/encrypt", "AAAA"), ("/mac/k", ""), ("/mac/r", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA")] {
            let mut wrong = parts.clone();
            *wrong.pointer_mut(part).unwrap() = text.into();
            let wrong: MasterKey = serde_json::from_value(wrong).unwrap();
            assert!(Cipher::of(&wrong).is_none(), "{part}");
        }
    }
}
