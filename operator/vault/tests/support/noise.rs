//! Bytes that neither compress nor repeat, quickly.

use sha2::{Digest as _, Sha256};
use std::{
    io::{self, Read},
    sync::OnceLock,
};

/// What is made by a digest; after it only the stamps differ. Longer than any piece that is compressed as a whole.
const BASE: usize = 8 << 20;
/// Each so many bytes begin with the seed and their number.
const STAMPED: usize = 64 << 10;

fn base() -> &'static [u8] {
    static READY: OnceLock<Vec<u8>> = OnceLock::new();
    READY.get_or_init(|| (0..BASE as u64 / 32).flat_map(|counter| Sha256::digest(counter.to_le_bytes())).collect())
}

/// Bytes that don't repeat, from a seed.
pub struct Noise {
    seed: u64,
    at: usize,
    pub left: u64,
}

impl Noise {
    pub fn new(seed: u64, length: u64) -> Self {
        Self { seed, at: 0, left: length }
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let within = self.at % STAMPED;
        let stamp = [self.seed.to_le_bytes(), (self.at / STAMPED).to_le_bytes()].concat();
        let piece = if within < stamp.len() { &stamp[within..] } else { &base()[self.at % BASE..][..STAMPED - within] };
        let n = buffer.len().min(piece.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        buffer[..n].copy_from_slice(&piece[..n]);
        self.at += n;
        self.left -= n as u64;
        Ok(n)
    }
}

/// So many bytes at once.
pub fn noise(seed: u64, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Noise never fails.
    let _ = Noise::new(seed, length).read_to_end(&mut bytes);
    bytes
}
