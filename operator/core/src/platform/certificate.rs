//! When an X.509 certificate expires. Nothing else in it is used, and nothing is trusted.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

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

/// When a certificate in DER expires. Bytes after it are ignored.
///
/// # Errors
/// [`CertificateError::Malformed`].
pub fn end_of(der: &[u8]) -> Result<Timestamp, CertificateError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).map_err(|_| CertificateError::Malformed)
}

/// When the first certificate of a PEM text expires: it is the server's own, those behind it are its issuers'.
///
/// # Errors
/// [`CertificateError`].
pub fn end_of_pem(pem: &[u8]) -> Result<Timestamp, CertificateError> {
    let text = std::str::from_utf8(pem).map_err(|_| CertificateError::NoPem)?;
    let (_, block) = text.split_once("-----BEGIN CERTIFICATE-----").ok_or(CertificateError::NoPem)?;
    let (block, _) = block.split_once("-----END CERTIFICATE-----").ok_or(CertificateError::NoPem)?;
    let letters: String = block.split_ascii_whitespace().collect();
    end_of(&BASE64_STANDARD.decode(letters).map_err(|_| CertificateError::NoPem)?)
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
        let der = BASE64_STANDARD.decode(block.replace('\n', "")).unwrap();
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
            let mut der = BASE64_STANDARD.decode(block.replace('\n', "")).unwrap();
            let length = der.len();
            der[at % length] = byte;
            let _ = end_of(&der);
        }
    }
}
