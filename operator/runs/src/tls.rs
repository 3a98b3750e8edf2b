//! Certificates of authorities that objects name.

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

/// The certificates of a PEM text, as DER; none if the text has no certificate or a broken one.
pub fn certificates(pem: &str) -> Option<Vec<Vec<u8>>> {
    let found: Vec<Vec<u8>> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(|certificate| certificate.map(|der| der.to_vec())).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}
