use super::*;
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
fn test_server(name: &str) -> (String, tokio_rustls::TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (made.cert.pem(), Arc::new(config).into())
}
