use super::{
    hostile::{Hostile, Part, answer},
    *,
};
use axum::{Router, http::header::LOCATION, response::IntoResponse as _, routing::any};
use futures::StreamExt as _;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const LIMITS: Limits = Limits { time: Duration::from_secs(5), body_bytes: 1_000 };

/// Serves until the test ends; the URL of its root.
pub async fn serve(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn get(limits: Limits, url: Url) -> Result<String, HttpError> {
    HttpClient::new(None, limits).unwrap().send(Method::GET, url, HeaderMap::new(), Vec::new()).await
}

#[tokio::test]
async fn a_good_answer_is_its_body_and_a_refusal_is_what_the_server_said() {
    let cases = [
        (200, "fine", Ok("fine".to_owned())),
        (204, "", Ok(String::new())),
        (422, r#"{"code":601,"message":"matchers in body should have at least 1 items"}"#, Err("matchers in body should have at least 1 items")),
        (400, r#""start time must be before end time""#, Err("start time must be before end time")),
        (403, r#"{"error":"no\ntoken"}"#, Err("no token")),
        (503, "try\r\nlater\n", Err("try  later")),
        (500, "", Err("")),
    ];
    for (code, body, wanted) in cases {
        let status = StatusCode::from_u16(code).unwrap();
        let url = serve(Router::new().route("/", any(move || async move { (status, body) }))).await;
        let wanted = wanted.map_err(|said| HttpError::Refused { status, said: said.to_owned() });
        assert_eq!(get(LIMITS, url).await, wanted, "{code} {body}");
    }
}

#[tokio::test]
async fn an_answer_is_bounded_in_bytes_and_a_long_refusal_is_cut() {
    let url = serve(
        Router::new()
            .route("/good", any(|| async { "x".repeat(1_001) }))
            .route("/fits", any(|| async { "x".repeat(1_000) }))
            .route("/bad", any(|| async { (StatusCode::BAD_GATEWAY, "y".repeat(1 << 20)) })),
    )
    .await;
    assert_eq!(get(LIMITS, url.join("good").unwrap()).await, Err(HttpError::TooLong(1_000)));
    assert_eq!(get(LIMITS, url.join("fits").unwrap()).await.map(|body| body.len()), Ok(1_000));
    let Err(HttpError::Refused { status, said }) = get(LIMITS, url.join("bad").unwrap()).await else { panic!("it was refused") };
    assert!(status == StatusCode::BAD_GATEWAY && said.chars().count() == MAX_REFUSAL_CHARS && said.ends_with('…'), "{said}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    let elsewhere = serve(Router::new().fallback(any(move || async move { counted.fetch_add(1, Ordering::SeqCst).to_string() }))).await;
    for code in [301, 302, 307, 308] {
        let (status, target) = (StatusCode::from_u16(code).unwrap(), elsewhere.to_string());
        let url = serve(Router::new().route("/", any(move || async move { (status, [(LOCATION, target)]).into_response() }))).await;
        let refused = get(LIMITS, url).await.unwrap_err().to_string();
        assert!(refused.contains(&code.to_string()) && refused.contains("redirect"), "{refused}");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_hangs_is_left() {
    let limits = Limits { time: Duration::from_millis(100), ..LIMITS };
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent: Url = format!("http://{}/", silent.local_addr().unwrap()).parse().unwrap();
    let drips = serve(Router::new().route(
        "/",
        any(|| async { axum::body::Body::from_stream(futures::stream::once(async { Ok::<_, std::io::Error>("a") }).chain(futures::stream::pending())) }),
    ))
    .await;
    for url in [silent, drips] {
        assert_eq!(get(limits, url).await, Err(HttpError::TooSlow(limits.time)));
    }
}

#[tokio::test]
async fn no_error_shows_the_url() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{closed}/?key=hidden"), format!("https://{closed}/?key=hidden"), "http://nowhere.invalid/?key=hidden".to_owned()] {
        let Err(error @ HttpError::Unreachable(_)) = get(LIMITS, url.parse().unwrap()).await else { panic!("{url} was reached") };
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
    }
}

#[tokio::test]
async fn https_needs_a_certificate_of_an_authority_that_is_trusted() {
    let (pem, url) = tls_server().await;
    let client = |ca: Option<&str>| HttpClient::new(ca, LIMITS);
    let send = |client: HttpClient| {
        let url = url.clone();
        async move { client.send(Method::GET, url, HeaderMap::new(), Vec::new()).await }
    };
    assert_eq!(send(client(Some(&pem)).unwrap()).await, Ok("ok".to_owned()));
    let Err(HttpError::Unreachable(why)) = send(client(None).unwrap()).await else { panic!("anybody's certificate is taken") };
    assert!(why.contains("certificate"), "{why}");
    for (ca, wanted) in [("", "holds no certificate"), ("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", "can't be used")] {
        let refused = client(Some(ca)).err().unwrap();
        assert!(refused.contains(wanted), "{refused}");
    }
}

/// A server that says ok over TLS to everybody, and its certificate.
async fn tls_server() -> (String, Url) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (pem, acceptor) = test_server("localhost");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    });
    (pem, url)
}

/// A certificate for this name, signed by itself, in PEM, and a server that shows it.
pub(super) fn test_server(name: &str) -> (String, tokio_rustls::TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (made.cert.pem(), Arc::new(config).into())
}

/// What a server must not be able to do, and how it tries.
fn attacks() -> Vec<(&'static str, Vec<Part>)> {
    let head = |headers: &str| Part::Bytes(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes());
    let some = vec![b'x'; 16 << 10];
    vec![
        ("a body without end", vec![head("Content-Length: 1000000000000\r\n"), Part::Endless(some.clone())]),
        ("a body of unknown length without end", vec![head(""), Part::Endless(some.clone())]),
        ("chunks without end", vec![head("Transfer-Encoding: chunked\r\n"), Part::Endless([b"4000\r\n".as_slice(), &some, b"\r\n"].concat())]),
        ("one chunk without end", vec![head("Transfer-Encoding: chunked\r\n"), Part::Bytes(b"ffffffffffff\r\n".to_vec()), Part::Endless(some.clone())]),
        ("a body that drips", vec![head("Content-Length: 1000000000\r\n"), Part::Drip(b"x".to_vec())]),
        ("a body that never comes", vec![head("Content-Length: 10\r\n"), Part::Silence]),
        ("headers without end", vec![Part::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec()), Part::Endless(b"X-More: y\r\n".repeat(1_000))]),
        ("one header without end", vec![Part::Bytes(b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec()), Part::Endless(some.clone())]),
        ("headers that drip", vec![Part::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec()), Part::Drip(b"X-More: y\r\n".to_vec())]),
        ("interim answers without end", vec![Part::Endless(b"HTTP/1.1 103 Early Hints\r\nLink: y\r\n\r\n".repeat(100))]),
        ("trailers without end", vec![head("Transfer-Encoding: chunked\r\n"), Part::Bytes(b"0\r\n".to_vec()), Part::Endless(b"X-More: y\r\n".repeat(1_000))]),
        ("no HTTP", vec![Part::Endless(some)]),
        ("silence", vec![Part::Silence]),
    ]
}

#[tokio::test]
async fn fault_e11_whatever_a_server_does_its_answer_is_bounded_in_bytes_headers_and_time() {
    let limits = Limits { time: Duration::from_millis(700), body_bytes: 100_000 };
    for tls in [false, true] {
        for (what, parts) in attacks() {
            let server = Hostile::serve(tls, move |_| parts.clone()).await;
            let client = HttpClient::by(Egress::of_process(), Some(&server.ca), limits);
            let since = std::time::Instant::now();
            let error = client.send(Method::GET, server.url.clone(), HeaderMap::new(), Vec::new()).await.expect_err(what);
            assert!(matches!(error, HttpError::TooSlow(_) | HttpError::TooLong(_) | HttpError::Unreachable(_)), "{what}: {error}");
            assert!(since.elapsed() < Duration::from_secs(5), "{what} took {:?}", since.elapsed());
            drop(client);
            // What the kernel buffers besides is some megabytes on a machine with much memory. Interim answers are read past until the time is over.
            let sent = server.sent.load(Ordering::SeqCst);
            assert!(sent < 32 << 20 || what.starts_with("interim"), "{what}: {sent} bytes were taken");
        }
    }
}

#[tokio::test]
async fn fault_e11_a_packed_answer_is_not_unpacked() {
    // A gigabyte of zeros begins like this.
    let packed: Vec<u8> = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], [0xed, 0xc1, 1, 1, 0, 0, 0, 0x80, 0x90, 0xfe].repeat(50).as_slice()].concat();
    let expected = packed.clone();
    let server = Hostile::serve(false, move |_| answer("200 OK", "Content-Encoding: gzip\r\n", &packed)).await;
    let client = HttpClient::new(None, LIMITS).unwrap();
    let got = client.exchange(Method::GET, server.url.clone(), HeaderMap::new(), Vec::new(), 1_000).await.unwrap();
    assert_eq!(got.body, expected);
    assert!(!server.heads.lock()[0].to_lowercase().contains("accept-encoding"), "it is not asked for either");
}

#[tokio::test]
async fn fault_e11_a_loop_of_redirects_is_one_request() {
    let server = Hostile::serve(false, |head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        answer("302 Found", &format!("Location: http://{host}/again\r\n"), b"")
    })
    .await;
    let error = get(LIMITS, server.url.clone()).await.unwrap_err();
    assert!(error.to_string().contains("redirect") && server.heads.lock().len() == 1, "{error}");
}

#[tokio::test]
async fn fault_e18_a_closed_address_gets_no_request_however_it_is_written() {
    let server = Hostile::serve(false, |_| answer("200 OK", "", b"secret")).await;
    let port = server.url.port().unwrap();
    let client = HttpClient::by(Egress::default(), None, LIMITS);
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "2130706433", "[::1]", "169.254.169.254", "[fe80::1]"] {
        let url: Url = format!("http://{host}:{port}/latest/meta-data?key=hidden").parse().unwrap();
        let error = client.send(Method::GET, url, HeaderMap::new(), Vec::new()).await.expect_err(host);
        assert!(matches!(error, HttpError::NotAllowed(_)) && error.to_string().contains("operator.egress.allow"), "{host}: {error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
    }
    assert!(server.heads.lock().is_empty());
    let allowed = HttpClient::by(Egress::new(p861_egress::Rules::parse("localhost", "").unwrap()), None, LIMITS);
    assert_eq!(allowed.send(Method::GET, server.url.clone(), HeaderMap::new(), Vec::new()).await, Ok("secret".to_owned()));
}

/// Rule: only p861-egress, and what is listed here, opens connections and resolves names. Everything else goes through it.
#[test]
fn fault_e18_nothing_else_in_the_product_opens_a_connection() {
    const EXCEPT: [(&str, &str); 10] = [
        ("egress/src/connect.rs", "the one place"),
        ("runs/src/http_client.rs", "its client resolves by p861-egress"),
        ("vault/src/store/dial.rs", "its client resolves by p861-egress"),
        ("src/controllers/platform/certificates.rs", "API servers of Sites, from Secrets of the installation"),
        ("src/own_networks.rs", "the hub's own API server"),
        ("runs/src/effects/bubble/proof.rs", "it looks up the repository's name for a probe on the site, and connects to nothing"),
        ("src/copy_dns/outside.rs", "in a pod of a site: it asks the DNS that this pod was given"),
        ("src/copy_dns/reply.rs", "the wire format of DNS"),
        ("src/copy_dns/serve.rs", "it listens"),
        ("src/copy_probe.rs", "in a pod of a drill's copy: it shows that it reaches nothing"),
    ];
    const OPENS: [&str; 12] = [
        "TcpStream::connect",
        "TcpSocket",
        "UdpSocket",
        "UnixStream::connect",
        "lookup_host",
        "to_socket_addrs",
        "reqwest::Client",
        "reqwest::get",
        "hyper_util::client",
        "aws_smithy_http_client::Builder",
        "oci_client",
        "hickory",
    ];
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                files(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    let operator = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for part in ["src", "core/src", "egress/src", "runs/src", "vault/src"] {
        files(&operator.join(part), &mut found);
    }
    assert!(found.len() > 150, "{} files", found.len());
    let mut wrong = Vec::new();
    for path in found {
        let name = path.strip_prefix(&operator).unwrap().to_string_lossy().into_owned();
        let of_tests = name.contains("tests") || name.ends_with("hostile.rs") || name.ends_with("fake_hub.rs");
        if of_tests || EXCEPT.iter().any(|(file, _)| name == *file) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        wrong.extend(OPENS.iter().filter(|opens| product.contains(*opens)).map(|opens| format!("{name}: {opens}")));
    }
    assert!(wrong.is_empty(), "connect by p861_egress::Egress instead, or say here why not: {wrong:#?}");
}
