//! Expiry of certificates: those of gateways and ingresses from their TLS Secrets, and the API server's own from a handshake. Private keys are not read.

use crate::context::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use p861_core::{
    ids::SiteName,
    platform::{certificate, facts::CertificateFacts},
    runs::AllottedSite,
};
use p861_crds::Reason;
use p861_runs::{
    error::{Error, Result},
    object_path::in_path,
};
use parking_lot::Mutex;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    collections::HashMap,
    net::{TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long an expiry is cached.
const EXPIRY_TTL: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// A certificate that ends within this time, or could not be read, is cached only for [`EXPIRING_TTL`]: somebody may be renewing it.
const EXPIRING_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 30);
const EXPIRING_TTL: jiff::SignedDuration = jiff::SignedDuration::from_secs(45);
/// Time limit for the TLS handshake with an API server.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Expiry of a certificate, or why it is unknown.
type Expiry = std::result::Result<Timestamp, String>;

/// Cache of expiries, with the time of reading.
#[derive(Default)]
pub struct Certificates {
    read: Mutex<HashMap<String, (Timestamp, Expiry)>>,
}

impl Certificates {
    fn cached(&self, key: &str, now: Timestamp) -> Option<Expiry> {
        let read = self.read.lock();
        let lasts = |expires: &Expiry| expires.as_ref().is_ok_and(|end| end.duration_since(now) > EXPIRING_WITHIN);
        let (at, expires) = read.get(key)?;
        (now.duration_since(*at) < if lasts(expires) { EXPIRY_TTL } else { EXPIRING_TTL }).then(|| expires.clone())
    }

    fn learn(&self, key: String, now: Timestamp, expires: &Expiry) {
        let mut read = self.read.lock();
        // Evicts certificates that are no longer read.
        read.retain(|_, (at, _)| now.duration_since(*at) < EXPIRY_TTL * 4);
        read.insert(key, (now, expires.clone()));
    }

    /// The certificate of a TLS Secret.
    pub async fn read_tls_secret(&self, client: &Client, site: &SiteName, namespace: &str, name: &str, now: Timestamp) -> CertificateFacts {
        let key = format!("{site}/{namespace}/{name}");
        let expires = if let Some(cached) = self.cached(&key, now) {
            cached
        } else {
            let read = read_secret(client, namespace, name).await;
            self.learn(key, now, &read);
            read
        };
        CertificateFacts { name: format!("Secret {namespace}/{name}"), expires }
    }

    /// The certificate of a site's API server.
    pub async fn read_api_server(&self, context: &Context, site: &AllottedSite, now: Timestamp) -> CertificateFacts {
        let key = format!("{site} API server");
        let expires = if let Some(cached) = self.cached(&key, now) {
            cached
        } else {
            let read = shown_by(context, site).await.map_err(|error| error.to_string());
            self.learn(key, now, &read);
            read
        };
        CertificateFacts { name: "the API server".into(), expires }
    }
}

async fn read_secret(client: &Client, namespace: &str, name: &str) -> Expiry {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let name = in_path(name).map_err(|error| error.to_string())?;
    let secret = match secrets.get_opt(&name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => return Err("the Secret doesn't exist".into()),
        Err(kube::Error::Api(status)) if status.code == 403 => return Err("the operator may not read it: set site.readCertificates in chart p861 there".into()),
        Err(error) => return Err(error.to_string()),
    };
    let text = secret.data.as_ref().and_then(|data| data.get("tls.crt")).ok_or("the Secret has no key tls.crt")?;
    certificate::end_of_pem(&text.0).map_err(|error| format!("tls.crt: {error}"))
}

/// Reads the API server's certificate from a TLS handshake, which needs no permission.
async fn shown_by(context: &Context, site: &AllottedSite) -> Result<Timestamp> {
    let address = context.sites.address(site).await?;
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = address.port_u16().unwrap_or(443);
    let what = format!("{host}:{port}");
    let shown = tokio::task::spawn_blocking(move || handshake(&host, port, HANDSHAKE_TIMEOUT)).await.map_err(|error| Error::Internal(error.to_string()))?;
    shown.map_err(|message| Error::transient(Reason::CertificateUnreadable, format!("{what}: {message}")))
}

/// Shakes hands as far as the certificate, within `limit` in all.
fn handshake(host: &str, port: u16, limit: Duration) -> Expiry {
    let said = |error: &dyn std::error::Error| error.to_string();
    let since = Instant::now();
    let address = (host, port).to_socket_addrs().map_err(|error| said(&error))?.next().ok_or("the name has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(|error| said(&error))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| said(&error))?;
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(NoVerification)).with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| said(&error))?;
    while connection.is_handshaking() && connection.peer_certificates().is_none() {
        // Of the whole, and not of each byte: one that drips would hold a thread for hours.
        let left = limit.checked_sub(since.elapsed()).filter(|left| !left.is_zero()).ok_or_else(|| format!("no certificate within {limit:?}"))?;
        stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left))).map_err(|error| said(&error))?;
        if connection.wants_write() {
            connection.write_tls(&mut stream).map_err(|error| said(&error))?;
        } else if connection.read_tls(&mut stream).map_err(|error| said(&error))? == 0 {
            return Err("it closes the connection".to_owned());
        } else {
            connection.process_new_packets().map_err(|error| said(&error))?;
        }
    }
    let shown = connection.peer_certificates().and_then(|chain| chain.first()).ok_or("it shows no certificate")?;
    certificate::end_of(shown).map_err(|error| said(&error))
}

/// Accepts any certificate: only its expiry is read and no data is sent. Trust is the clients' concern.
#[derive(Debug)]
struct NoVerification;

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, net::TcpListener, thread};

    /// What a server sends when somebody connects.
    type Sends = fn(&mut TcpStream, &[u8]) -> std::io::Result<()>;

    #[test]
    fn fault_e11_an_api_server_that_drips_is_silent_or_talks_without_end_is_left() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let limit = Duration::from_millis(500);
        // The head of a handshake record that says that much more follows.
        let record: Vec<u8> = [&[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc], [0; 64].as_slice()].concat();
        let drips: Sends = |stream, record| {
            record.iter().cycle().try_for_each(|byte| {
                thread::sleep(Duration::from_millis(20));
                stream.write_all(&[*byte])
            })
        };
        let endless: Sends = |stream, record| std::iter::repeat(record).try_for_each(|record| stream.write_all(record));
        let silent: Sends = |_, _| {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        };
        for (what, sends) in [("drips", drips), ("endless", endless), ("silent", silent)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (port, record) = (listener.local_addr().unwrap().port(), record.clone());
            thread::spawn(move || sends(&mut listener.accept().unwrap().0, &record));
            let since = Instant::now();
            assert!(handshake("127.0.0.1", port, limit).is_err(), "{what}");
            assert!(since.elapsed() < limit * 4, "{what} took {:?}", since.elapsed());
        }
    }
}
