//! TLS verification for connections to mail servers, webhooks, Alertmanagers and registries.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::sync::{Arc, OnceLock};

/// The certificates of a PEM text; None if there is none in it, or one is damaged.
pub fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

/// Certificate authorities of the machine, read once: the image doesn't change.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

/// A client that trusts the authorities in `ca` (PEM), or those of the machine if there is none.
///
/// # Errors
/// The fault of `ca`, as a phrase that follows its name in a message.
pub fn client_config(ca: Option<&str>) -> Result<ClientConfig, String> {
    match ca {
        None => config_of(system_roots().clone()),
        Some(pem) => config_of(with_authorities(RootCertStore::empty(), pem)?),
    }
}

/// A client that trusts the authorities of the machine, and those in `ca` (PEM) besides.
///
/// # Errors
/// The fault of `ca`, as a phrase that follows its name in a message.
pub fn client_config_with(ca: Option<&str>) -> Result<ClientConfig, String> {
    let roots = system_roots().clone();
    config_of(match ca {
        None => roots,
        Some(pem) => with_authorities(roots, pem)?,
    })
}

fn with_authorities(mut roots: RootCertStore, pem: &str) -> Result<RootCertStore, String> {
    for authority in certificates(pem).ok_or("holds no certificate in PEM")? {
        roots.add(authority).map_err(|error| format!("holds a certificate that can't be used: {error}"))?;
    }
    Ok(roots)
}

fn config_of(roots: RootCertStore) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
