//! Long texts of a run, packed: what stands under a key that ends in [`SUFFIX`].

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use std::io::{self, Read as _, Write as _};

/// Ends the name of a key whose value is packed.
pub const SUFFIX: &str = ".gz";
/// The most that a packed text unpacks to, in bytes. No text that was packed here is longer, and a text that grows without end is refused.
const MAX_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;

/// Packs a text as gzip.
///
/// # Errors
/// If the encoder fails; it does not, while there is memory.
pub fn pack(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// Unpacks a text.
///
/// # Errors
/// If it is no gzip, no UTF-8, or longer than 256 MiB.
pub fn unpack(packed: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    let length = GzDecoder::new(packed).take(MAX_UNPACKED_BYTES + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_UNPACKED_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to more than 256 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_text_is_shorter_and_comes_back_and_another_is_refused() {
        let text = "{\"sequence\":1}\n".repeat(10_000);
        let packed = pack(&text).expect("packed");
        assert!(packed.len() < text.len() / 10);
        assert_eq!(unpack(&packed).expect("unpacked"), text);
        assert!(unpack(&packed[..packed.len() / 2]).is_err() && unpack(b"plain").is_err());
    }
}
