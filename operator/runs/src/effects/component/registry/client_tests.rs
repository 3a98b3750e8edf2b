use super::*;
use crate::http_client::hostile::{Hostile, Part, answer};
use p861_egress::{Egress, Rules};
use std::time::Instant;

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const LIMITS: Limits = Limits { time: Duration::from_millis(700), body_bytes: MAX_TOKEN_BYTES };

/// An image in this registry, read by these rules.
fn image_in(server: &Hostile, account: bool, egress: Egress) -> Registry {
    let account = account.then(|| Account { user: "robot".into(), password: "s3cr3t".into() });
    let image = ImageName { registry: server.authority(), repository: "shinan/notice".into() };
    Registry { client: HttpClient::by(egress, Some(&server.ca), LIMITS), image, account, authorization: None }
}

fn open() -> Egress {
    Egress::new(Rules::parse("localhost", "").expect("rules"))
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn host(head: &str) -> String {
    header(head, "host").unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_image_is_read_with_the_token_that_the_registry_asks_for_and_its_blobs_from_where_it_redirects_to() {
    let store = Hostile::serve(true, |_| answer("200 OK", "", b"from the store")).await;
    let elsewhere = store.url.join("blob?signature=x").expect("a URL").to_string();
    let server = Hostile::serve(true, move |head| match (path(head), header(head, "authorization")) {
        (path, _) if path.starts_with("/token") => answer("200 OK", "", br#"{"token": "opens"}"#),
        (_, None) => answer("401 Unauthorized", &format!("WWW-Authenticate: Bearer realm=\"https://{}/token\",service=\"registry\"\r\n", host(head)), b""),
        (path, Some("Bearer opens")) if path.contains("/blobs/") => answer("307 Temporary Redirect", &format!("Location: {elsewhere}\r\n"), b""),
        (_, Some("Bearer opens")) => answer("200 OK", "", b"{}"),
        _ => answer("403 Forbidden", "", b""),
    })
    .await;
    let mut image = image_in(&server, true, open());
    assert_eq!(image.manifest(DIGEST, 100).await.expect("a manifest"), b"{}");
    // Another authority signs the store's certificate.
    image.client = HttpClient::by(open(), Some(&format!("{}{}", server.ca, store.ca)), LIMITS);
    assert_eq!(image.blob(DIGEST, 100).await.expect("a blob"), b"from the store");
    let heads = server.heads.lock();
    let token = heads.iter().find(|head| path(head).starts_with("/token")).expect("a token was asked for");
    assert_eq!(path(token), "/token?service=registry&scope=repository%3Ashinan%2Fnotice%3Apull");
    assert_eq!(header(token, "authorization"), Some("Basic cm9ib3Q6czNjcjN0"));
    assert_eq!(header(&store.heads.lock()[0], "authorization"), None, "the token is for the registry alone");
}

#[tokio::test]
async fn a_name_and_a_password_go_where_they_are_asked_for_and_a_refusal_is_one() {
    let server = Hostile::serve(true, |head| match header(head, "authorization") {
        Some("Basic cm9ib3Q6czNjcjN0") => answer("200 OK", "", b"{}"),
        _ => answer("401 Unauthorized", "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"x\"\r\n", b""),
    })
    .await;
    assert!(image_in(&server, true, open()).manifest(DIGEST, 100).await.is_ok());
    assert!(matches!(image_in(&server, false, open()).manifest(DIGEST, 100).await, Err(PullError::Denied)));
    for (status, wanted) in [("404 Not Found", "Missing"), ("403 Forbidden", "Denied"), ("500 Oops", "Answers(500)"), ("401 Unauthorized", "Denied")] {
        let server = Hostile::serve(true, move |_| answer(status, "", b"")).await;
        let error = image_in(&server, true, open()).manifest(DIGEST, 100).await.expect_err(status);
        assert_eq!(format!("{error:?}"), wanted, "{status}");
    }
}

/// What a server answers to a request.
type Server = Box<dyn Fn(&str) -> Vec<Part> + Send + Sync>;

#[tokio::test]
async fn fault_e11_a_registry_that_sends_without_end_redirects_in_a_circle_or_drips_is_left() {
    let endless = || vec![Part::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n".to_vec()), Part::Endless(vec![b'x'; 16 << 10])];
    let drips = || vec![Part::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec()), Part::Drip(b"x".to_vec())];
    let asks = |head: &str| answer("401 Unauthorized", &format!("WWW-Authenticate: Bearer realm=\"https://{}/token\"\r\n", host(head)), b"");
    let servers: [(&str, &str, Server); 8] = [
        ("an endless manifest", "Http(TooLong(1000))", Box::new(move |_| endless())),
        ("a dripping manifest", "Http(TooSlow(700ms))", Box::new(move |_| drips())),
        ("an endless token", "Http(TooLong(65536))", Box::new(move |head| if path(head).starts_with("/token") { endless() } else { asks(head) })),
        ("a dripping token", "Http(TooSlow(700ms))", Box::new(move |head| if path(head).starts_with("/token") { drips() } else { asks(head) })),
        (
            "a circle of redirects",
            "Redirect(\"again and again\")",
            Box::new(|head| answer("302 Found", &format!("Location: https://{}/v2/x\r\n", host(head)), b"")),
        ),
        (
            "a circle of questions",
            "Denied",
            Box::new(move |head| if path(head).starts_with("/token") { answer("200 OK", "", br#"{"token": "x"}"#) } else { asks(head) }),
        ),
        ("an endless refusal", "Denied", Box::new(|_| vec![Part::Bytes(b"HTTP/1.1 403 No\r\n\r\n".to_vec()), Part::Endless(vec![b'x'; 16 << 10])])),
        (
            "a redirected token",
            "Redirect(\"who asks for a token, which is not followed\")",
            Box::new(move |head| if path(head).starts_with("/token") { answer("302 Found", "Location: https://localhost:1/\r\n", b"") } else { asks(head) }),
        ),
    ];
    for (what, wanted, serve) in servers {
        let server = Hostile::serve(true, serve).await;
        let since = Instant::now();
        let error = image_in(&server, true, open()).manifest(DIGEST, 1_000).await.expect_err(what);
        assert_eq!(format!("{error:?}"), wanted, "{what}");
        assert!(since.elapsed() < Duration::from_secs(5) && server.heads.lock().len() <= MAX_REDIRECTS + 1, "{what}: {:?}", server.heads.lock());
        assert!(server.sent.load(std::sync::atomic::Ordering::SeqCst) < 32 << 20, "{what}");
    }
}

#[tokio::test]
async fn fault_e18_a_registry_leads_nobody_to_a_closed_address_by_its_token_server_or_a_redirect() {
    let inner = Hostile::serve(true, |_| answer("200 OK", "", br#"{"token": "x"}"#)).await;
    let port = inner.url.port().expect("a port");
    // The registry's own name is open, and no other way to this machine.
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "169.254.169.254"] {
        let closed = format!("https://{host}:{port}/x");
        for by_token in [true, false] {
            let closed = closed.clone();
            let server = Hostile::serve(true, move |_| {
                if by_token {
                    answer("401 Unauthorized", &format!("WWW-Authenticate: Bearer realm=\"{closed}\"\r\n"), b"")
                } else {
                    answer("307 Temporary Redirect", &format!("Location: {closed}\r\n"), b"")
                }
            })
            .await;
            let error = image_in(&server, true, open()).manifest(DIGEST, 1_000).await.expect_err(host);
            assert!(matches!(error, PullError::Http(HttpError::NotAllowed(_))), "{host} {by_token}: {error:?}");
        }
    }
    for (headers, wanted) in [
        ("Location: http://localhost:1/x\r\n", "Redirect(\"to an address without https\")"),
        ("Location: file:///etc/passwd\r\n", "Redirect(\"to an address without https\")"),
        ("", "Redirect(\"nowhere\")"),
    ] {
        let server = Hostile::serve(true, move |_| answer("302 Found", headers, b"")).await;
        assert_eq!(format!("{:?}", image_in(&server, true, open()).manifest(DIGEST, 1_000).await.expect_err(headers)), wanted);
    }
    let server = Hostile::serve(true, |_| answer("401 Unauthorized", "WWW-Authenticate: Bearer realm=\"http://localhost:1/token\"\r\n", b"")).await;
    let error = image_in(&server, true, open()).manifest(DIGEST, 1_000).await.expect_err("a token server without TLS");
    assert!(matches!(error, PullError::Unreadable(_)), "{error:?}");
    assert!(matches!(image_in(&server, true, Egress::default()).manifest(DIGEST, 1_000).await, Err(PullError::Http(HttpError::NotAllowed(_)))));
    assert!(inner.heads.lock().is_empty(), "nobody has connected");
}
