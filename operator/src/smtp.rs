//! As much of SMTP (RFC 5321) as it takes to hand one mail over: greeting, STARTTLS (RFC 3207), AUTH PLAIN (RFC 4954), one recipient, the mail.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use p861_crds::maintenance::roster::SmtpSecurity;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use std::sync::Arc;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// A server's answer may have so many lines of so many bytes.
const MOST_LINES: usize = 64;
const LONGEST_LINE: u64 = 4_096;

/// Where a mail is handed over, and how.
pub struct Server<'a> {
    /// Its name, which its certificate must have.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub security: SmtpSecurity,
    /// Certificates of authorities of one's own, as DER; the system's if absent.
    pub authorities: Option<Vec<Vec<u8>>>,
    /// Username and password.
    pub credentials: Option<(&'a str, &'a str)>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct Connection(BufReader<Box<dyn Stream>>);

impl Connection {
    /// Reads an answer: its code, and its lines.
    async fn answer(&mut self) -> Result<(u16, Vec<String>), String> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = (&mut self.0).take(LONGEST_LINE).read_until(b'\n', &mut line).await.map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code = text.get(..3).and_then(|code| code.parse::<u16>().ok());
            let Some(code) = code.filter(|_| read > 0 && line.ends_with(b"\n")) else { return Err("the server speaks no SMTP, or has gone".into()) };
            let last = text.as_bytes().get(3) != Some(&b'-');
            lines.push(text.get(4..).unwrap_or_default().to_owned());
            if last {
                return Ok((code, lines));
            }
            if lines.len() > MOST_LINES {
                return Err("the server's answer has no end".into());
            }
        }
    }

    async fn expect(&mut self, step: &str, wanted: &[u16]) -> Result<Vec<String>, String> {
        let (code, lines) = self.answer().await?;
        if wanted.contains(&code) { Ok(lines) } else { Err(format!("{step} was answered {code} {}", lines.last().map(String::as_str).unwrap_or_default())) }
    }

    /// Says a line and expects one of these answers. `step` names it in errors: a line may hold a password.
    async fn say(&mut self, step: &str, line: &str, wanted: &[u16]) -> Result<Vec<String>, String> {
        let stream = self.0.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes()).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        self.expect(step, wanted).await
    }
}

/// Hands one mail over.
///
/// # Errors
/// What the server said, or why it was not reached; never a password.
pub async fn send(server: &Server<'_>, from: &str, to: &str, mail: &str) -> Result<(), String> {
    let tcp = TcpStream::connect((server.host, server.port)).await.map_err(|error| error.to_string())?;
    let plain: Box<dyn Stream> = match server.security {
        SmtpSecurity::Tls => Box::new(wrap(server, Box::new(tcp)).await?),
        SmtpSecurity::StartTls | SmtpSecurity::None => Box::new(tcp),
    };
    let mut connection = Connection(BufReader::new(plain));
    connection.expect("the greeting", &[220]).await?;
    let mut offers = connection.say("EHLO", "EHLO p861", &[250]).await?;
    if server.security == SmtpSecurity::StartTls {
        // Not offering it is how somebody in between would have us send in the clear.
        if !offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
            return Err("the server offers no STARTTLS".into());
        }
        connection.say("STARTTLS", "STARTTLS", &[220]).await?;
        // What was sent before the handshake is nobody's word.
        if !connection.0.buffer().is_empty() {
            return Err("the server spoke before the TLS handshake".into());
        }
        connection = Connection(BufReader::new(Box::new(wrap(server, connection.0.into_inner()).await?)));
        offers = connection.say("EHLO", "EHLO p861", &[250]).await?;
    }
    if let Some((username, password)) = server.credentials {
        if server.security == SmtpSecurity::None {
            return Err("a password is not sent without TLS: set security to Tls or StartTls".into());
        }
        if !offers.iter().any(|offer| offer.to_ascii_uppercase().starts_with("AUTH") && offer.to_ascii_uppercase().contains("PLAIN")) {
            return Err("the server offers no AUTH PLAIN".into());
        }
        let word = BASE64_STANDARD.encode(format!("\0{username}\0{password}"));
        connection.say("AUTH", &format!("AUTH PLAIN {word}"), &[235]).await?;
    }
    connection.say("MAIL FROM", &format!("MAIL FROM:<{from}>"), &[250]).await?;
    connection.say("RCPT TO", &format!("RCPT TO:<{to}>"), &[250, 251]).await?;
    connection.say("DATA", "DATA", &[354]).await?;
    connection.say("the mail", &format!("{mail}\r\n."), &[250]).await?;
    // The server has it: how it says good-bye doesn't matter.
    let _ = connection.say("QUIT", "QUIT", &[221]).await;
    Ok(())
}

async fn wrap(server: &Server<'_>, stream: Box<dyn Stream>) -> Result<impl Stream + use<>, String> {
    let mut roots = RootCertStore::empty();
    match &server.authorities {
        Some(authorities) => {
            for authority in authorities {
                roots.add(CertificateDer::from(authority.clone())).map_err(|error| format!("ca.crt: {error}"))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(server.host.to_owned()).map_err(|_| format!("{} is no name that a certificate could have", server.host))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| format!("TLS: {error}"))
}

#[cfg(test)]
mod tests;
