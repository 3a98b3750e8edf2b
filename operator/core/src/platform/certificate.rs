//! When an X.509 certificate ends. Of the whole structure (RFC 5280, 4.1) only the way to `notAfter` is read, and nothing that is found there is trusted.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Error for bytes that are not a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is no PEM block of a certificate.
    #[error("there is no certificate in it (no block BEGIN CERTIFICATE in base64)")]
    NoPem,
    /// The structure is not that of a certificate.
    #[error("it is no X.509 certificate")]
    Malformed,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// One element of DER (ITU-T X.690): its tag, its contents, and what follows it.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        (bytes.iter().try_fold(0_usize, |length, byte| length.checked_mul(256)?.checked_add(usize::from(*byte)))?, rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// The contents of an element that must have that tag, and what follows it.
fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(input).filter(|(found, _, _)| *found == tag).map(|(_, contents, rest)| (contents, rest))
}

fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (to_be_signed, _) = expect(certificate, SEQUENCE)?;
    let rest = match element(to_be_signed)? {
        (VERSION, _, rest) => rest,
        _ => to_be_signed,
    };
    let (_serial, rest) = expect(rest, INTEGER)?;
    let (_algorithm, rest) = expect(rest, SEQUENCE)?;
    let (_issuer, rest) = expect(rest, SEQUENCE)?;
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, contents, _) = element(rest)?;
    let text = std::str::from_utf8(contents).ok()?;
    let whole = match tag {
        // RFC 5280, 4.1.2.5.1: years 50 to 99 are of the last century.
        UTC_TIME => format!("{}{text}", if text.get(..2)? >= "50" { "19" } else { "20" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let local = DateTime::strptime("%Y%m%d%H%M%SZ", whole).ok()?;
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// When a certificate in DER ends.
///
/// # Errors
/// [`CertificateError::Malformed`].
pub fn end_of(der: &[u8]) -> Result<Timestamp, CertificateError> {
    not_after(der).ok_or(CertificateError::Malformed)
}

/// When the first certificate of a PEM text ends: it is the server's own, those behind it are its issuers'.
///
/// # Errors
/// [`CertificateError`].
pub fn end_of_pem(pem: &[u8]) -> Result<Timestamp, CertificateError> {
    let text = std::str::from_utf8(pem).map_err(|_| CertificateError::NoPem)?;
    let (_, block) = text.split_once("-----BEGIN CERTIFICATE-----").ok_or(CertificateError::NoPem)?;
    let (block, _) = block.split_once("-----END CERTIFICATE-----").ok_or(CertificateError::NoPem)?;
    end_of(&base64(block).ok_or(CertificateError::NoPem)?)
}

/// Reads base64 (RFC 4648), blanks and line ends left out.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made by openssl: P-256, self-signed; the second one ends after 2049.
    const PEM: &str = include_str!("certificate.test.pem");

    #[test]
    fn the_end_of_a_real_certificate_is_read() {
        let blocks: Vec<&str> = PEM.split_inclusive("-----END CERTIFICATE-----\n").collect();
        assert_eq!(end_of_pem(blocks[0].as_bytes()).unwrap().to_string(), "2031-03-05T06:07:08Z");
        assert_eq!(end_of_pem(blocks[1].as_bytes()).unwrap().to_string(), "2061-03-05T06:07:08Z");
        assert_eq!(end_of_pem(PEM.as_bytes()), end_of_pem(blocks[0].as_bytes()), "the first of a chain");
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        assert_eq!(end_of_pem(b"hello"), Err(CertificateError::NoPem));
        assert_eq!(end_of_pem(b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"), Err(CertificateError::Malformed));
        let block = PEM.split_once("-----BEGIN CERTIFICATE-----").unwrap().1.split_once("-----END").unwrap().0;
        let der = base64(block).unwrap();
        for length in 0..40 {
            assert_eq!(end_of(&der[..length]), Err(CertificateError::Malformed), "cut after {length} bytes");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_stops_the_program(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..400_usize, byte: u8) {
            let _ = end_of(&bytes);
            let _ = end_of_pem(&bytes);
            let block = PEM.split_once("-----BEGIN CERTIFICATE-----").unwrap().1.split_once("-----END").unwrap().0;
            let mut der = base64(block).unwrap();
            let length = der.len();
            der[at % length] = byte;
            let _ = end_of(&der);
        }
    }
}
