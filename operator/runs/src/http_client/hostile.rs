//! A server that answers as none should, for tests of what reads answers.

use parking_lot::Mutex;
use reqwest::Url;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A part of an answer.
#[derive(Clone)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, again and again until the client leaves.
    Endless(Vec<u8>),
    /// These bytes, one every 20 ms, again and again.
    Drip(Vec<u8>),
    /// Nothing more.
    Silence,
}

/// A whole answer with these headers and body.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<Part> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    vec![Part::Bytes([head.as_bytes(), body].concat())]
}

/// A server.
pub struct Hostile {
    /// Its root.
    pub url: Url,
    /// The authority of its certificate (PEM).
    pub ca: String,
    /// Bytes that it could send.
    pub sent: Arc<AtomicUsize>,
    /// The heads of the requests that it got.
    pub heads: Arc<Mutex<Vec<String>>>,
}

impl Hostile {
    /// Serves until the test ends: each request, by its head, is answered with these parts.
    pub async fn serve(tls: bool, answer: impl Fn(&str) -> Vec<Part> + Send + Sync + 'static) -> Self {
        let (ca, acceptor) = super::tests::test_server("localhost");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
        let server = Self { url, ca, sent: Arc::default(), heads: Arc::default() };
        let (sent, heads, answer) = (server.sent.clone(), server.heads.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, sent, heads, answer) = (acceptor.clone(), sent.clone(), heads.clone(), answer.clone());
                tokio::spawn(async move {
                    if tls {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            speak(stream, &sent, &heads, &*answer).await;
                        }
                    } else {
                        speak(stream, &sent, &heads, &*answer).await;
                    }
                });
            }
        });
        server
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.url.port().unwrap())
    }
}

async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin, sent: &AtomicUsize, heads: &Mutex<Vec<String>>, answer: &impl Fn(&str) -> Vec<Part>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut part = [0; 4_096];
        match stream.read(&mut part).await {
            Ok(read @ 1..) => head.extend_from_slice(&part[..read]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().push(head.clone());
    for part in answer(&head) {
        let (bytes, pause, again) = match part {
            Part::Bytes(bytes) => (bytes, None, false),
            Part::Endless(bytes) => (bytes, None, true),
            Part::Drip(bytes) => (bytes, Some(Duration::from_millis(20)), true),
            Part::Silence => return std::future::pending().await,
        };
        loop {
            let pieces: Vec<&[u8]> = if pause.is_some() { bytes.chunks(1).collect() } else { vec![&bytes] };
            for piece in pieces {
                if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                sent.fetch_add(piece.len(), Ordering::SeqCst);
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                }
            }
            if !again {
                break;
            }
        }
    }
    let _ = stream.shutdown().await;
}
