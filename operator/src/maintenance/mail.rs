//! Mail to people on duty. lettre speaks SMTP; this module decides what may be sent over which connection, and bounds what a server may answer.

use super::notify::Message;
use futures::ready;
use jiff::Timestamp;
use lettre::{
    Address, Message as Mail,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters},
        extension::ClientId,
    },
};
use p861_core::maintenance::notify::{mail_address, mail_line, mail_lines};
use p861_crds::maintenance::roster::SmtpSecurity;
use p861_egress::Egress;
use p861_runs::tls;
use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256};
use std::{
    fmt::{self, Write as _},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Longest identifier of a mail that is written as it is. Of a longer one it is the digest.
const MAX_ID_BYTES: usize = 200;
/// How the operator introduces itself.
const CLIENT_NAME: &str = "p861";
/// A server's answers to one mail, TLS included, are at most this many bytes. Real ones are a tenth of it. lettre reads a long answer again for each of its lines.
const MAX_ANSWER_BYTES: usize = 128 << 10;

/// Mail server and how to connect to it.
pub struct Server<'a> {
    /// Its name, which its certificate must have.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// TLS mode.
    pub security: SmtpSecurity,
    /// Private certificate authorities (PEM); the machine's if absent.
    pub ca: Option<&'a str>,
    /// Username and password.
    pub credentials: Option<(&'a str, &'a str)>,
}

/// A message as a mail in plain text, to one recipient. Nothing of the message can become a header, a recipient or a command: addresses are typed, a subject is one
/// line, the body has whole lines only, and whatever is not ASCII is encoded.
///
/// # Errors
/// Names the invalid address. [`mail_address`] is stricter than lettre: no quotes, no comments, nothing that could end a line of SMTP.
pub fn compose(from: &str, to: &str, message: &Message<'_>, now: Timestamp) -> Result<Mail, String> {
    let mailbox = |whose: &str, address: &str| {
        let address = mail_address(address).and_then(|address| address.parse::<Address>().ok());
        address.map(|address| Mailbox::new(None, address)).ok_or_else(|| format!("the mail address of {whose} is none: write name@host"))
    };
    let generated = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into());
    let id = message.id.chars().fold(String::new(), |mut id, c| {
        let plain = c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let _ = if plain { write!(id, "{c}") } else { write!(id, "_{:x}", u32::from(c)) };
        id
    });
    // A header's line has at most 998 characters.
    let id = if id.len() > MAX_ID_BYTES { format!("{:x}", Sha256::digest(&id)) } else { id };
    Mail::builder()
        .from(mailbox("the channel", from)?)
        .to(mailbox(message.person, to)?)
        .subject(mail_line(&message.text.subject))
        .date(SystemTime::from(now))
        .message_id(Some(format!("<{id}@{CLIENT_NAME}>")))
        .raw_header(generated)
        .header(ContentType::TEXT_PLAIN)
        .body(mail_lines(&message.text.body))
        .map_err(|error| format!("the mail can't be written: {error}"))
}

/// Sends one mail.
///
/// # Errors
/// The server's answer, or why it is unreachable. Never contains a password.
pub async fn send(server: &Server<'_>, mail: &Mail) -> Result<(), String> {
    send_by(&Egress::of_process(), server, mail).await
}

async fn send_by(egress: &Egress, server: &Server<'_>, mail: &Mail) -> Result<(), String> {
    if server.credentials.is_some() && server.security == SmtpSecurity::None {
        return Err("a password is not sent without TLS: set security to Tls or StartTls".into());
    }
    let name = ClientId::Domain(CLIENT_NAME.to_owned());
    let tcp = egress.connect(server.host, server.port).await.map_err(|error| error.to_string())?;
    let stream: Box<dyn AsyncTokioStream> = match server.security {
        SmtpSecurity::Tls => Box::new(LineStream::new(handshake(server, tcp).await?)),
        SmtpSecurity::StartTls | SmtpSecurity::None => Box::new(LineStream::new(tcp)),
    };
    let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &name).await.map_err(words)?;
    if server.security == SmtpSecurity::StartTls {
        // Fail if STARTTLS is missing: a man in the middle can strip the offer.
        if !connection.can_starttls() {
            return Err("the server offers no STARTTLS: set security to Tls, or turn STARTTLS on there".into());
        }
        connection.starttls(starttls_parameters(server)?, &name).await.map_err(words)?;
    }
    if let Some((username, password)) = server.credentials {
        let credentials = Credentials::new(username.to_owned(), password.to_owned());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(words)?;
    }
    connection.send(mail.envelope(), &mail.formatted()).await.map_err(words)?;
    // The server has accepted the mail; an error on closing doesn't matter.
    let _ = connection.quit().await;
    Ok(())
}

/// TLS from the first byte.
async fn handshake(server: &Server<'_>, tcp: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let config = tls::client_config(server.ca).map_err(|what| format!("ca.crt {what}"))?;
    let name = ServerName::try_from(server.host.to_owned()).map_err(|_| format!("{} is no name that a certificate could have", server.host))?;
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| format!("TLS: {error}"))
}

fn starttls_parameters(server: &Server<'_>) -> Result<TlsParameters, String> {
    let mut parameters = TlsParameters::builder(server.host.to_owned());
    if let Some(pem) = server.ca {
        parameters = parameters.certificate_store(CertificateStore::None);
        for authority in tls::certificates(pem).ok_or("ca.crt holds no certificate in PEM")? {
            parameters = parameters.add_root_certificate(Certificate::from_der(authority.to_vec()).map_err(words)?);
        }
    }
    parameters.build().map_err(words)
}

/// Error message; for a refusal with what to do.
fn words(error: lettre::transport::smtp::Error) -> String {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let Some(code) = error.status().map(u16::from) else { return cause.to_string() };
    let said = cause.to_string();
    match code {
        530 | 534 | 535 | 538 => format!("the server answered {code} {said}: check username and password in the channel's Secret"),
        _ => format!("the server answered {code} {said}"),
    }
}

/// Gives lettre one line at a time, and [`MAX_ANSWER_BYTES`] at most.
///
/// lettre reads into a buffer that it keeps when STARTTLS turns the stream into TLS, so bytes that somebody put behind the answer to STARTTLS would be taken
/// for words of the server under TLS (CVE-2011-0411). Line by line the buffer is empty then, and such bytes break the handshake.
struct LineStream<S> {
    stream: BufReader<S>,
    left_bytes: usize,
}

impl<S: AsyncRead> LineStream<S> {
    fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream), left_bytes: MAX_ANSWER_BYTES }
    }
}

impl<S> fmt::Debug for LineStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineStream").field("left_bytes", &self.left_bytes).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LineStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left_bytes = self.left_bytes;
        let available = ready!(Pin::new(&mut self.stream).poll_fill_buf(context))?;
        let line = available.iter().position(|byte| *byte == b'\n').map_or(available.len(), |end| end + 1);
        let taken = line.min(into.remaining());
        if taken > left_bytes {
            return Poll::Ready(Err(io::Error::other("the server's answer has no end")));
        }
        into.put_slice(&available[..taken]);
        Pin::new(&mut self.stream).consume(taken);
        self.left_bytes -= taken;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LineStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> AsyncTokioStream for LineStream<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
mod tests;
