use super::*;
use tokio::net::TcpListener;

/// A server that answers each line it gets by the script: (begins with, answer).
async fn scripted(script: &'static [(&'static str, &'static str)]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        for (wanted, answer) in script {
            if !wanted.is_empty() {
                let mut line = String::new();
                while !line.contains(wanted) {
                    if stream.read_line(&mut line).await.unwrap() == 0 {
                        return;
                    }
                }
            }
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
        }
    });
    port
}

fn server(port: u16, security: SmtpSecurity, credentials: Option<(&'static str, &'static str)>) -> Server<'static> {
    Server { host: "127.0.0.1", port, security, authorities: None, credentials }
}

#[tokio::test]
async fn a_mail_is_handed_over_and_what_the_server_refuses_is_said() {
    let port = scripted(&[
        ("", "220 hi\r\n"),
        ("EHLO", "250-me\r\n250 SIZE 1\r\n"),
        ("MAIL FROM:<a@x>", "250 ok\r\n"),
        ("RCPT TO:<b@y>", "250 ok\r\n"),
        ("DATA", "354 go\r\n"),
        ("\r\n.\r\n", "250 taken\r\n"),
        ("QUIT", "221 bye\r\n"),
    ])
    .await;
    assert_eq!(send(&server(port, SmtpSecurity::None, None), "a@x", "b@y", "Subject: x\r\n\r\nbody").await, Ok(()));
    let port = scripted(&[("", "220 hi\r\n"), ("EHLO", "250 me\r\n"), ("MAIL", "250 ok\r\n"), ("RCPT", "550 no such user\r\n")]).await;
    assert_eq!(send(&server(port, SmtpSecurity::None, None), "a@x", "b@y", "").await, Err("RCPT TO was answered 550 no such user".into()));
}

#[tokio::test]
async fn nothing_private_is_sent_in_the_clear() {
    let port = scripted(&[("", "220 hi\r\n"), ("EHLO", "250-me\r\n250 AUTH PLAIN\r\n")]).await;
    let refused = send(&server(port, SmtpSecurity::None, Some(("user", "secret"))), "a@x", "b@y", "").await.unwrap_err();
    assert!(refused.contains("not sent without TLS"), "{refused}");
    let port = scripted(&[("", "220 hi\r\n"), ("EHLO", "250 me\r\n")]).await;
    assert_eq!(send(&server(port, SmtpSecurity::StartTls, None), "a@x", "b@y", "").await, Err("the server offers no STARTTLS".into()));
    let port = scripted(&[("", "220 hi\r\n"), ("EHLO", "250 STARTTLS\r\n"), ("STARTTLS", "220 go\r\n250 injected\r\n")]).await;
    let refused = send(&server(port, SmtpSecurity::StartTls, None), "a@x", "b@y", "").await.unwrap_err();
    assert!(refused.contains("before the TLS handshake") || refused.contains("TLS"), "{refused}");
}

#[tokio::test]
async fn a_server_that_talks_without_end_is_left() {
    let endless: &'static str = Box::leak("250-more\r\n".repeat(200).into_boxed_str());
    let script: &'static [(&'static str, &'static str)] = Box::leak(Box::new([("", "220 hi\r\n"), ("EHLO", endless)]));
    assert_eq!(send(&server(scripted(script).await, SmtpSecurity::None, None), "a@x", "b@y", "").await, Err("the server's answer has no end".into()));
    let port = scripted(&[("", "HTTP/1.1 400 Bad Request\r\n")]).await;
    assert!(send(&server(port, SmtpSecurity::None, None), "a@x", "b@y", "").await.unwrap_err().contains("no SMTP"));
}
