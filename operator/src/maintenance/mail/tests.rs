use super::*;
use p861_core::maintenance::notify::MessageText;
use p861_egress::Rules;
use proptest::prelude::*;
use std::time::Duration;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// The first answer, which nothing is waited for.
const GREETING: (&str, &str) = ("", "220 hi\r\n");
/// What follows when the mail itself is taken.
const TAKEN: [(&str, &str); 5] =
    [("MAIL FROM:<p861@x>", "250 ok\r\n"), ("RCPT TO:<a@y>", "250 ok\r\n"), ("DATA", "354 go\r\n"), ("\r\n.\r\n", "250 taken\r\n"), ("QUIT", "221 bye\r\n")];

/// A server that waits for each text in turn and answers it. Returns all that it got.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, script: Vec<(String, String)>) -> String {
    let mut stream = BufReader::new(stream);
    let mut got = String::new();
    for (wanted, answer) in script {
        let from = got.len();
        while !got[from..].contains(&wanted) {
            if stream.read_line(&mut got).await.unwrap_or(0) == 0 {
                return got;
            }
        }
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return got;
        }
    }
    // The client leaves first.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut got)).await;
    got
}

/// What the client says, by its beginning, and what the server answers.
type Dialog<'a> = &'a [(&'a str, &'a str)];

fn script(parts: &[Dialog<'_>]) -> Vec<(String, String)> {
    parts.iter().copied().flatten().map(|(wanted, answer)| ((*wanted).to_owned(), (*answer).to_owned())).collect()
}

/// Serves one connection in the clear.
async fn plain(parts: &[Dialog<'_>]) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, script) = (listener.local_addr().unwrap().port(), script(parts));
    (port, tokio::spawn(async move { speak(listener.accept().await.unwrap().0, script).await }))
}

/// Serves one connection over TLS: from the first byte, or after a script in the clear.
async fn secured(acceptor: TlsAcceptor, clear: Option<&[(&'static str, &'static str)]>, parts: &[Dialog<'_>]) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, script, clear) = (listener.local_addr().unwrap().port(), script(parts), clear.map(<[_]>::to_vec));
    let served = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        for (wanted, answer) in clear.unwrap_or_default() {
            let mut line = String::new();
            while !line.contains(wanted) {
                line.push(char::from(stream.read_u8().await.unwrap()));
            }
            while !wanted.is_empty() && !line.ends_with('\n') {
                line.push(char::from(stream.read_u8().await.unwrap()));
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        match acceptor.accept(stream).await {
            Ok(stream) => speak(stream, script).await,
            Err(error) => format!("no handshake: {error}"),
        }
    });
    (port, served)
}

fn server(port: u16, security: SmtpSecurity) -> Server<'static> {
    Server { host: "localhost", port, security, ca: None, credentials: None }
}

fn mail_with(subject: &str, body: &str) -> Mail {
    let text = MessageText { subject: subject.into(), body: body.into() };
    let message = Message { id: "uid.1.li.mail".into(), person: "li", text: &text, ticket: None };
    compose("p861@x", "a@y", &message, "2026-12-07T19:06:12Z".parse().unwrap()).unwrap()
}

fn mail() -> Mail {
    mail_with("x", "body")
}

#[tokio::test]
async fn a_mail_is_handed_over_and_lines_of_dots_come_through() {
    let (port, served) = plain(&[&[GREETING, ("EHLO p861", "250-me\r\n250 SIZE 1\r\n")], &TAKEN]).await;
    assert_eq!(send(&server(port, SmtpSecurity::None), &mail_with("x", "one\r\n.\r\n..two\r\nend")).await, Ok(()));
    let got = served.await.unwrap();
    assert!(got.contains("Subject: x\r\n") && got.contains("one\r\n..\r\n...two\r\nend\r\n.\r\nQUIT"), "{got}");
}

#[tokio::test]
async fn what_the_server_refuses_is_told_with_what_to_do() {
    let ehlo = [GREETING, ("EHLO", "250 me\r\n")];
    let (port, _served) = plain(&[&ehlo, &[("MAIL", "250 ok\r\n"), ("RCPT", "550 no such user\r\n")]]).await;
    assert_eq!(send(&server(port, SmtpSecurity::None), &mail()).await, Err("the server answered 550 no such user".into()));
    let (port, _served) = plain(&[&ehlo, &[("MAIL", "530 log in first\r\n")]]).await;
    let refused = send(&server(port, SmtpSecurity::None), &mail()).await.unwrap_err();
    assert!(refused.contains("530 log in first") && refused.contains("check username and password"), "{refused}");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert!(send(&server(closed, SmtpSecurity::None), &mail()).await.unwrap_err().contains("refused"));
}

#[tokio::test]
async fn a_password_is_never_sent_in_the_clear() {
    let (port, served) = plain(&[&[GREETING, ("EHLO", "250-me\r\n250 AUTH PLAIN\r\n")]]).await;
    let with_password = Server { credentials: Some(("user", "secret")), ..server(port, SmtpSecurity::None) };
    let refused = send(&with_password, &mail()).await.unwrap_err();
    assert!(refused.contains("not sent without TLS"), "{refused}");
    served.abort();
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_where_it_is_required() {
    let (port, served) = plain(&[&[GREETING, ("EHLO", "250 me\r\n")]]).await;
    let refused = send(&server(port, SmtpSecurity::StartTls), &mail()).await.unwrap_err();
    assert!(refused.starts_with("the server offers no STARTTLS"), "{refused}");
    assert!(!served.await.unwrap().contains("MAIL"));
}

#[tokio::test]
async fn bytes_put_behind_the_answer_to_starttls_break_the_handshake() {
    let (pem, acceptor) = test_server("localhost");
    let offer = ("EHLO", "250 STARTTLS\r\n");
    // What was put there would answer the EHLO under TLS, and so take the offer of AUTH away, or add one.
    let injected = [GREETING, offer, ("STARTTLS", "220 go\r\n250-me\r\n250 AUTH PLAIN\r\n")];
    let (port, served) = secured(acceptor.clone(), Some(&injected), &[&[("EHLO", "250-me\r\n250 SIZE 1\r\n")], &TAKEN]).await;
    let own = Server { ca: Some(&pem), ..server(port, SmtpSecurity::StartTls) };
    assert!(send(&own, &mail()).await.is_err());
    let got = served.await.unwrap();
    assert!(!got.contains("EHLO") && !got.contains("MAIL"), "{got}");
    // And the same without them.
    let honest = [GREETING, offer, ("STARTTLS", "220 go\r\n")];
    let (port, served) = secured(acceptor, Some(&honest), &[&[("EHLO", "250 me\r\n")], &TAKEN]).await;
    assert_eq!(send(&Server { ca: Some(&pem), ..server(port, SmtpSecurity::StartTls) }, &mail()).await, Ok(()));
    assert!(served.await.unwrap().contains("Subject: x"));
}

#[tokio::test]
async fn a_user_logs_in_over_tls_by_the_way_that_the_server_offers() {
    let (pem, acceptor) = test_server("localhost");
    let ways: [(&str, Dialog<'_>); 2] = [
        ("250 AUTH PLAIN LOGIN\r\n", &[("AUTH PLAIN AHVzZXIAc2VjcmV0", "235 in\r\n")]),
        ("250 AUTH LOGIN\r\n", &[("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"), ("dXNlcg==", "334 UGFzc3dvcmQ6\r\n"), ("c2VjcmV0", "235 in\r\n")]),
    ];
    for (offer, dialog) in ways {
        let (port, served) = secured(acceptor.clone(), None, &[&[GREETING, ("EHLO", offer)], dialog, &TAKEN]).await;
        let with_password = Server { ca: Some(&pem), credentials: Some(("user", "secret")), ..server(port, SmtpSecurity::Tls) };
        assert_eq!(send(&with_password, &mail()).await, Ok(()), "{offer}");
        assert!(served.await.unwrap().contains("Subject: x"));
    }
    let refusals: [(&str, Dialog<'_>, &str); 2] =
        [("250 AUTH PLAIN\r\n", &[("AUTH", "535 bad\r\n")], "check username and password"), ("250 me\r\n", &[], "authentication")];
    for (offer, dialog, wanted) in refusals {
        let (port, _served) = secured(acceptor.clone(), None, &[&[GREETING, ("EHLO", offer)], dialog]).await;
        let with_password = Server { ca: Some(&pem), credentials: Some(("user", "secret")), ..server(port, SmtpSecurity::Tls) };
        let refused = send(&with_password, &mail()).await.unwrap_err();
        assert!(refused.contains(wanted) && !refused.contains("secret") && !refused.contains("c2VjcmV0"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_its_own_gets_nothing() {
    let (pem, acceptor) = test_server("elsewhere");
    let (_, other) = test_server("localhost");
    let offers = [GREETING, ("EHLO", "250 STARTTLS\r\n"), ("STARTTLS", "220 go\r\n")];
    for (acceptor, security, clear, ca) in [
        (acceptor.clone(), SmtpSecurity::Tls, None, Some(pem.as_str())),
        (acceptor, SmtpSecurity::StartTls, Some(&offers[..]), Some(pem.as_str())),
        (other.clone(), SmtpSecurity::Tls, None, None),
        (other, SmtpSecurity::StartTls, Some(&offers[..]), None),
    ] {
        let (port, served) = secured(acceptor, clear, &[&[GREETING, ("EHLO", "250 me\r\n")], &TAKEN]).await;
        let refused = send(&Server { ca, ..server(port, security) }, &mail()).await.unwrap_err();
        assert!(refused.contains("certificate"), "{refused}");
        assert!(served.await.unwrap().contains("no handshake"));
    }
}

#[tokio::test]
async fn a_server_that_talks_without_end_is_left() {
    let lines = "250-more\r\n".repeat(200_000);
    let endless_line = format!("250 {}", "x".repeat(2 * MAX_ANSWER_BYTES));
    for answer in [lines.as_str(), endless_line.as_str()] {
        let (port, served) = plain(&[&[GREETING, ("EHLO", answer)]]).await;
        let refused = send(&server(port, SmtpSecurity::None), &mail()).await.unwrap_err();
        assert!(refused.contains("no end") || refused.contains("too large"), "{refused}");
        served.abort();
    }
    let (port, _served) = plain(&[&[("", "HTTP/1.1 400 Bad Request\r\n")]]).await;
    assert!(send(&server(port, SmtpSecurity::None), &mail()).await.is_err());
}

#[test]
fn a_mail_carries_chinese_and_nobody_adds_a_line_to_it() {
    let title = "门户打不开".repeat(8);
    let mail = mail_with(&format!("[P1] {title}\r\nBcc: x@y\u{2028}\u{85}"), "你好\n.\n门户 end");
    let text = String::from_utf8(mail.formatted()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() <= 76 && !line.contains(['\r', '\n'])), "{text}");
    for line in ["From: p861@x", "To: a@y", "Message-ID: <uid.1.li.mail@p861>", "Auto-Submitted: auto-generated", "Date: Mon, 07 Dec 2026 19:06:12 +0000"] {
        assert!(head.split("\r\n").any(|known| known == line), "{line}: {head}");
    }
    assert_eq!(head.split("\r\n").filter(|line| !line.starts_with(' ')).count(), 8, "a name of a header each: {head}");
    assert!(!head.split("\r\n").any(|line| line.to_ascii_lowercase().starts_with("bcc")) && !body.contains("门"), "{head}");
    assert_eq!(mail.envelope().to().len(), 1);
}

#[test]
fn a_name_or_an_address_adds_no_header_and_no_recipient() {
    let text = MessageText { subject: "x".into(), body: "y".into() };
    let evil = "li\r\nBcc: z@y";
    let message = Message { id: format!("uid.{evil}.张"), person: evil, text: &text, ticket: None };
    let now = Timestamp::UNIX_EPOCH;
    let mail = String::from_utf8(compose("p861@x", "a@y", &message, now).unwrap().formatted()).unwrap();
    assert!(mail.contains("Message-ID: <uid.li_d_aBcc_3a_20z_40y._5f20@p861>\r\n") && !mail.contains("\nBcc"), "{mail}");
    for (from, to) in
        [("p861@x", "a@y\r\nRCPT TO:<c@d>"), ("p861@x", "a@y,c@d"), ("p861@x", "\"a\r\nb\"@y"), ("a@x>\r\nDATA", "a@y"), ("p861@x", ""), ("p861@x", "a@-")]
    {
        assert!(compose(from, to, &message, now).is_err(), "{from:?} {to:?}");
    }
}

/// A certificate for this name, signed by itself, in PEM, and a server that shows it.
fn test_server(name: &str) -> (String, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (made.cert.pem(), Arc::new(config).into())
}

/// A server that takes one mail as RFC 5321 says: a line ends with CR LF, and a mail with a line of one dot. Gives the commands, and the bytes of the mail.
async fn taken(stream: impl AsyncRead + AsyncWrite + Unpin) -> (Vec<String>, Vec<u8>) {
    let mut stream = BufReader::new(stream);
    let (mut commands, mut mail) = (Vec::new(), Vec::new());
    stream.get_mut().write_all(b"220 hi\r\n").await.unwrap();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            match stream.read_u8().await {
                Ok(byte) => line.push(byte),
                Err(_) => return (commands, mail),
            }
        }
        let command = String::from_utf8_lossy(&line).trim_end_matches("\r\n").to_owned();
        let is_data = command == "DATA";
        commands.push(command);
        stream.get_mut().write_all(if is_data { b"354 go\r\n" } else { b"250 ok\r\n" }).await.unwrap();
        if is_data {
            while !mail.ends_with(b"\r\n.\r\n") {
                mail.push(stream.read_u8().await.unwrap());
            }
            stream.get_mut().write_all(b"250 taken\r\n").await.unwrap();
        }
    }
}

/// The names of the headers of a mail as it is sent, and its bytes after them.
fn headers(mail: &[u8]) -> (Vec<String>, Vec<u8>) {
    let end = mail.windows(4).position(|four| four == b"\r\n\r\n").expect("headers end");
    let head = std::str::from_utf8(&mail[..end]).expect("headers are ASCII");
    assert!(head.is_ascii(), "{head}");
    // A line that begins with a blank goes on with the header before it.
    let names = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).map(|line| line.split_once(':').expect("a header").0.to_owned());
    (names.collect(), mail[end..].to_vec())
}

/// Demands that a mail is what was meant, whatever its texts are.
fn is_as_meant(mail: &Mail, from: &str, to: &str) {
    let envelope = mail.envelope();
    assert_eq!(envelope.to().iter().map(ToString::to_string).collect::<Vec<_>>(), [to.trim()]);
    assert_eq!(envelope.from().map(ToString::to_string).as_deref(), Some(from.trim()));
    let bytes = mail.formatted();
    let (mut names, _) = headers(&bytes);
    names.sort_unstable();
    let meant = ["Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"];
    // A mail in plain ASCII needs no MIME-Version.
    assert!(names == meant || names == meant.iter().copied().filter(|name| *name != "MIME-Version").collect::<Vec<_>>(), "{names:?}");
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| bytes[before]);
        assert!(*byte != b'\n' || before == Some(b'\r'), "a bare LF at {at}");
        assert!(*byte != b'\r' || bytes.get(at + 1) == Some(&b'\n'), "a bare CR at {at}");
        assert!(*byte != 0, "a NUL at {at}");
    }
    assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 999), "a line is too long");
}

const EVIL: [&str; 12] = [
    "li\r\nBcc: z@evil.example",
    "li\nBcc: z@evil.example",
    "li\rBcc: z@evil.example",
    "\r\n.\r\nMAIL FROM:<z@evil.example>\r\nRCPT TO:<y@evil.example>\r\nDATA\r\nx\r\n.\r\n",
    "\n.\nMAIL FROM:<z@evil.example>",
    "\r.\rQUIT\r",
    "\r\n\r\n<h1>body</h1>",
    "=?utf-8?q?=0D=0ABcc:_z@evil.example?=",
    "\u{0}\u{b}\u{c}\u{85}\u{2028}\u{2029}x",
    "工单\r\nBcc: z@evil.example",
    "a@y.example>\r\nRCPT TO:<z@evil.example",
    ".",
];

#[tokio::test]
async fn fault_e19_on_the_wire_there_is_one_recipient_and_one_mail_whatever_a_ticket_says() {
    for evil in EVIL {
        for body in [evil.to_owned(), format!("first\r\n{evil}\r\nlast"), format!("{evil}{}", "x".repeat(2_000))] {
            let text = MessageText { subject: evil.into(), body };
            let message = Message { id: format!("uid.1.{evil}.{evil}"), person: evil, text: &text, ticket: Some(evil) };
            let mail = compose("p861@x.example", "a@y.example", &message, Timestamp::UNIX_EPOCH).unwrap();
            is_as_meant(&mail, "p861@x.example", "a@y.example");
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let served = tokio::spawn(async move { taken(listener.accept().await.unwrap().0).await });
            assert_eq!(send(&server(port, SmtpSecurity::None), &mail).await, Ok(()), "{evil:?}");
            let (commands, mail) = served.await.unwrap();
            assert_eq!(commands, ["EHLO p861", "MAIL FROM:<p861@x.example>", "RCPT TO:<a@y.example>", "DATA", "QUIT"], "{evil:?}");
            assert!(!headers(&mail).0.iter().any(|name| name.eq_ignore_ascii_case("bcc")), "{evil:?}");
        }
    }
}

#[test]
fn fault_e19_an_address_that_is_more_than_one_is_refused() {
    let text = MessageText { subject: "x".into(), body: "y".into() };
    let message = Message { id: "id".into(), person: "li", text: &text, ticket: None };
    for evil in EVIL.into_iter().chain([
        "a@y.example, z@evil.example",
        "a@y.example;z@evil.example",
        "<a@y.example>",
        "\"a b\"@y.example",
        "a@[127.0.0.1]",
        "a@y@z",
        "@y",
        "a@",
        "(x)a@y",
    ]) {
        assert!(compose("p861@x.example", evil, &message, Timestamp::UNIX_EPOCH).is_err(), "{evil:?}");
        assert!(compose(evil, "a@y.example", &message, Timestamp::UNIX_EPOCH).is_err(), "{evil:?}");
        let joined = format!("a@y.example{evil}");
        if let Ok(mail) = compose("p861@x.example", &joined, &message, Timestamp::UNIX_EPOCH) {
            is_as_meant(&mail, "p861@x.example", &joined);
        }
    }
}

proptest! {
    #[test]
    fn fault_e19_whatever_the_texts_are_exactly_the_meant_recipient_and_headers_come_of_them(
        person in "(?s).{0,70}", subject in "(?s).{0,300}", body in "(?s)[\\r\\n. a-z\u{4e00}-\u{4eff}\\x00]{0,400}", id in "(?s).{0,300}", to in "[ -~\r\n\u{0}é]{0,40}",
    ) {
        let text = MessageText { subject, body };
        let message = Message { id, person: &person, text: &text, ticket: Some(&person) };
        let mail = compose("p861@x.example", "a@y.example", &message, Timestamp::UNIX_EPOCH).unwrap();
        is_as_meant(&mail, "p861@x.example", "a@y.example");
        let to = format!("{to}@y.example");
        if let Ok(mail) = compose("p861@x.example", &to, &message, Timestamp::UNIX_EPOCH) {
            is_as_meant(&mail, "p861@x.example", &to);
        }
    }
}

#[tokio::test]
async fn fault_e11_a_mail_server_that_talks_without_end_is_left_at_whatever_point_it_does() {
    let whole =
        [("", "220 hi\r\n"), ("EHLO", "250 me\r\n"), ("MAIL", "250 ok\r\n"), ("RCPT", "250 ok\r\n"), ("DATA", "354 go\r\n"), ("\r\n.\r\n", "250 taken\r\n")];
    let endless = ["250-more\r\n".repeat(MAX_ANSWER_BYTES / 5), format!("250 {}", "x".repeat(2 * MAX_ANSWER_BYTES)), "\0".repeat(2 * MAX_ANSWER_BYTES)];
    for at in 0..whole.len() {
        for answer in &endless {
            let mut dialog = whole[..=at].to_vec();
            dialog[at].1 = answer;
            let (port, served) = plain(&[&dialog]).await;
            let sent = tokio::time::timeout(Duration::from_secs(10), send(&server(port, SmtpSecurity::None), &mail())).await;
            assert!(sent.unwrap_or_else(|_| panic!("it waits after {:?}", whole[at])).is_err(), "after {:?}", whole[at]);
            served.abort();
        }
    }
}

#[tokio::test]
async fn fault_e18_a_mail_server_at_a_closed_address_gets_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["localhost", "127.0.0.1", "127.1"] {
        for security in [SmtpSecurity::None, SmtpSecurity::StartTls, SmtpSecurity::Tls] {
            let refused = send_by(&Egress::new(Rules::default()), &Server { host, ..server(port, security) }, &mail()).await.unwrap_err();
            assert!(refused.contains("operator.egress.allow"), "{host}: {refused}");
        }
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "nobody has connected");
}
