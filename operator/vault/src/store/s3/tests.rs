use super::*;
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// A server that gives this answer to one request.
fn answers(head: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 16 * 1024];
        let _ = stream.read(&mut request).unwrap();
        let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).unwrap();
    });
    address
}

/// The value of a header in the head of a request.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A request that a server has received.
struct Received {
    head: String,
    body: Vec<u8>,
}

/// A server that answers each request as `answer` does, on a connection of its own.
fn serve(answer: impl Fn(&Received, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut request = Vec::new();
                let end = loop {
                    let mut part = [0; 4096];
                    let length = stream.read(&mut part).unwrap_or_default();
                    if length == 0 {
                        return;
                    }
                    request.extend_from_slice(&part[..length]);
                    if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
                        break end + 4;
                    }
                };
                let head = String::from_utf8(request[..end].to_vec()).unwrap();
                let length: usize = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
                let mut body = request[end..].to_vec();
                let had = body.len();
                body.resize(length, 0);
                stream.read_exact(&mut body[had..]).unwrap();
                // The client may have had enough of it.
                let _ = answer(&Received { head, body }, &mut stream);
            });
        }
    });
    address
}

/// An answer that is whole.
fn whole(stream: &mut TcpStream, head: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An answer that never ends. Counts the bytes that the client took.
fn endless(stream: &mut TcpStream, head: &str, taken: &AtomicU64) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {head}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let chunk = vec![b'<'; 64 << 10];
    loop {
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(&chunk)?;
        stream.write_all(b"\r\n")?;
        taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
}

/// A bucket with object lock: it takes writes whose checksum is that of their body, and refuses all others as S3 does. Gives its address, and the heads of the
/// requests that it took.
fn locked_bucket() -> (String, std::sync::mpsc::Receiver<String>) {
    let (taken, seen) = std::sync::mpsc::channel();
    let address = serve(move |request, stream| {
        let digest = Md5::digest(&request.body);
        let tag = format!("200 OK\r\netag: \"{}\"", hex::encode(digest));
        let (code, text) = match header(&request.head, "content-md5") {
            Some(sent) if sent == base64::encode(digest) => (tag.as_str(), ""),
            Some(_) => ("400 Bad Request", "<Error><Code>BadDigest</Code><Message>the checksum is another</Message></Error>"),
            None => ("400 Bad Request", "<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- is required</Message></Error>"),
        };
        whole(stream, code, text)?;
        let _ = taken.send(request.head.clone());
        Ok(())
    });
    (address, seen)
}

#[tokio::test]
async fn fault_f7_every_kind_of_write_has_a_checksum_as_a_bucket_with_object_lock_asks_for() {
    let (address, heads) = locked_bucket();
    let store = store(address);
    for body in [Bytes::new(), Bytes::from_static(b"{}"), Bytes::from(vec![7; 300_000])] {
        for (condition, name, value) in
            [(Condition::Always, "if-match", None), (Condition::IfAbsent, "if-none-match", Some("*")), (Condition::IfMatch("\"t\""), "if-match", Some("\"t\""))]
        {
            let tag = store.write("locks/x", body.clone(), condition).await.unwrap_or_else(|error| panic!("{condition:?}, {} bytes: {error}", body.len()));
            assert_eq!(tag.trim_matches('"'), hex::encode(Md5::digest(&body)));
            assert_eq!(header(&heads.recv().unwrap(), name), value, "{condition:?}");
        }
    }
    assert!(heads.try_recv().is_err(), "the tag says that it was stored as it was sent: nothing more is asked");
}

#[tokio::test]
async fn what_is_written_at_a_limited_rate_arrives_whole_signed_and_in_its_time_and_what_is_small_does_not_wait_for_it() {
    let (address, heads) = locked_bucket();
    let location = Location::S3 { endpoint: address, region: "r".into(), bucket: "b".into(), prefix: String::new(), virtual_host: false, ca: None };
    let pace = Pace::default();
    pace.set(Some(256 << 10));
    let keys = Credentials { access_key_id: "a".into(), secret_access_key: "s".into() };
    let store = S3::with(&location, Some(&keys), (Egress::of_process(), pace)).unwrap();
    let began = Instant::now();
    let timed = async |bytes: usize| {
        store.write("data/x", Bytes::from(vec![7; bytes]), Condition::Always).await.unwrap();
        began.elapsed().as_secs_f64()
    };
    let (first, second, small) = tokio::join!(timed(256 << 10), timed(256 << 10), timed(1000));
    let large = [first.min(second), first.max(second)];
    assert!((0.8..1.8).contains(&large[0]) && (1.7..5.0).contains(&large[1]) && small < 0.8, "{large:?} {small}");
    let signed: Vec<bool> = heads.try_iter().map(|head| header(&head, "x-amz-content-sha256").is_some_and(|digest| digest.len() == 64)).collect();
    assert_eq!(signed, [true; 3], "the digest of the whole body");
}

#[tokio::test]
async fn fault_f7_where_the_tag_is_no_digest_the_size_that_is_stored_is_compared() {
    for (case, stored, tag, expected) in [
        ("as it was sent", 5, "\"made-in-another-way\"", None),
        ("cut", 3, "\"made-in-another-way\"", Some("5 bytes of it were written, and the store has 3")),
        ("written again by another since", 3, "\"another\"", None),
    ] {
        let address = serve(move |request, stream| {
            if request.head.starts_with("PUT") {
                return whole(stream, "200 OK\r\netag: \"made-in-another-way\"", "");
            }
            assert!(request.head.starts_with("HEAD"), "{}", request.head);
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\netag: {tag}\r\ncontent-length: {stored}\r\n\r\n")
        });
        let written = store(address).write("data/00/x", Bytes::from_static(b"12345"), Condition::Always).await;
        match (written, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(says)) => assert!(error.is_transient() && error.to_string().contains(says), "{case}: {error}"),
            (written, _) => panic!("{case}: {written:?}"),
        }
    }
}

/// An answer to a list, with these keys.
fn page(keys: &[String], next: Option<&str>) -> String {
    let objects = keys.iter().map(|key| format!("<Contents><Key>{key}</Key><Size>7</Size></Contents>")).collect::<Vec<_>>().concat();
    let next = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
    let truncated = next.is_some();
    format!("<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>{truncated}</IsTruncated>{}{objects}</ListBucketResult>", next.unwrap_or_default())
}

/// Lists all keys.
async fn listed(store: &S3, under: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    store
        .each(under, &mut |key, _| {
            keys.push(key.to_owned());
            std::ops::ControlFlow::Continue(())
        })
        .await?;
    Ok(keys)
}

/// What the nth page has: keys, and how it goes on.
type Page = Box<dyn Fn(u64) -> String + Send + Sync>;

#[tokio::test]
async fn fault_e11_pages_without_end_are_not_listed_without_end() {
    let more = |text: &str| page(&[], Some(text));
    let table: [(&str, &str, Page, &str); 5] = [
        ("one object a page", "keys/", Box::new(|n| page(&[format!("keys/{n}")], Some(&n.to_string()))), "more than 1000 objects"),
        ("no object", "index/", Box::new(move |n| more(&n.to_string())), "100 pages in a row have no object"),
        ("the same token", "keys/", Box::new(|n| page(&[format!("keys/{n}")], Some("again"))), "not how to ask for it"),
        ("a token that is empty", "keys/", Box::new(|n| page(&[format!("keys/{n}")], Some(""))), "not how to ask for it"),
        ("a long key", "keys/", Box::new(|_| page(&[format!("keys/{}", "k".repeat(2_000))], None)), "a key has at most 1024"),
    ];
    for (case, under, answer, says) in table {
        let requests = Arc::new(AtomicU64::new(0));
        let count = requests.clone();
        let address = serve(move |_, stream| whole(stream, "200 OK", &answer(count.fetch_add(1, Ordering::Relaxed))));
        let error = listed(&store(address), under).await.unwrap_err();
        assert!(error.is_too_large() && !error.is_transient(), "{case}: {error}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&format!("object {under}")), "{case}: {text}");
        assert!(requests.load(Ordering::Relaxed) <= 1_002, "{case}");
    }
    // What is not under the prefix was not asked for.
    let address = serve(|_, stream| whole(stream, "200 OK", &page(&["keys/a".into(), "config".into(), "../keys/b".into()], None)));
    assert_eq!(listed(&store(address), "keys/").await.unwrap(), ["keys/a"]);
}

#[tokio::test]
async fn fault_e11_an_answer_without_end_is_not_read_to_its_end() {
    let taken = Arc::new(AtomicU64::new(0));
    let count = taken.clone();
    let store = store(serve(move |request, stream| {
        let head = if request.head.contains("refused") { "500 Internal Server Error" } else { "200 OK" };
        endless(stream, head, &count)
    }));
    let most = |limit: u64| {
        let taken = taken.swap(0, Ordering::Relaxed);
        // What the connection had on its way, and a second attempt.
        assert!(taken < 2 * limit + (32 << 20), "{taken} bytes were taken");
    };
    let error = store.get("keys/x", 16 << 10).await.unwrap_err();
    assert!(error.is_too_large() && error.to_string().contains("object keys/x: it is larger than 16 KiB"), "{error}");
    most(16 << 10);
    let error = store.get_range("data/00/x", 0, 100).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("more than the 100 bytes"), "{error}");
    most(100);
    let error = listed(&store, "snapshots/").await.unwrap_err();
    assert!(error.is_too_large() && error.to_string().contains("object snapshots/: the store's answer is larger than 8 MiB"), "{error}");
    most(limits::MAX_ANSWER_BYTES);
    let bounded = |error: StoreError| {
        assert!(error.is_too_large() || error.is_transient(), "{error}");
        most(limits::MAX_ANSWER_BYTES);
    };
    bounded(store.write("config", Bytes::new(), Condition::Always).await.unwrap_err());
    bounded(store.delete("config").await.unwrap_err());
    bounded(store.get("refused", 1 << 20).await.unwrap_err());
    bounded(listed(&store, "refused/").await.unwrap_err());
}

#[tokio::test]
async fn fault_e11_an_object_that_says_that_it_is_large_is_not_read() {
    let taken = Arc::new(AtomicU64::new(0));
    let count = taken.clone();
    let store = store(serve(move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40)?;
        loop {
            stream.write_all(&vec![0; 64 << 10])?;
            count.fetch_add(64 << 10, Ordering::Relaxed);
        }
    }));
    assert!(store.get("config", 64 << 10).await.unwrap_err().is_too_large());
    assert!(taken.load(Ordering::Relaxed) < 32 << 20);
}

#[tokio::test]
async fn fault_e11_an_object_that_comes_byte_by_byte_is_not_waited_for() {
    let store = store(serve(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n")?;
        loop {
            stream.write_all(b"x")?;
            thread::sleep(Duration::from_millis(50));
        }
    }));
    let began = Instant::now();
    for error in
        [store.get("config", 64 << 10).await.unwrap_err(), store.get_range("data/00/x", 0, 1000).await.unwrap_err(), listed(&store, "keys/").await.unwrap_err()]
    {
        assert!(error.is_transient() && error.reason() == "Unreachable", "{error}");
    }
    let error = store.get("config", 64 << 10).await.unwrap_err().to_string();
    assert!(error.contains("object config") && error.contains("the store answers too slowly"), "{error}");
    assert!(began.elapsed() < 8 * limits::REQUEST_TIMEOUT, "{:?}", began.elapsed());
}

fn store(endpoint: String) -> S3 {
    let location = Location::S3 { endpoint, region: "r".into(), bucket: "b".into(), prefix: String::new(), virtual_host: false, ca: None };
    S3::new(&location, Some(&Credentials { access_key_id: "a".into(), secret_access_key: "s".into() })).unwrap()
}

#[tokio::test]
async fn fault_a8_only_the_s3_code_says_that_an_object_is_missing() {
    let xml =
        |code: &str| -> &'static str { Box::leak(format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>").into_boxed_str()) };
    let html = "<html><body>default backend - 404</body></html>";
    for (case, head, body, missing, transient) in [
        ("the store says so", "404 Not Found\r\ncontent-type: application/xml", xml("NoSuchKey"), true, false),
        ("a load balancer's page", "404 Not Found\r\ncontent-type: text/html", html, false, true),
        ("no body at all", "404 Not Found", "", false, true),
        ("another code", "404 Not Found\r\ncontent-type: application/xml", xml("NoSuchUpload"), false, true),
        ("a gateway's page", "502 Bad Gateway\r\ncontent-type: text/html", html, false, true),
    ] {
        let error = store(answers(head, body)).get("data/00/x", 1 << 20).await.unwrap_err();
        assert_eq!((error.is_missing(), error.is_not_found(), error.is_transient()), (missing, missing, transient), "{case}: {error}");
    }
    let error = store(answers("404 Not Found\r\ncontent-type: text/html", html)).get("data/00/x", 1 << 20).await.unwrap_err();
    assert!(error.to_string().contains("without the S3 code NoSuchKey"), "{error}");
    assert!(store(answers("404 Not Found", "")).head("config").await.unwrap_err().is_missing(), "HEAD has no body");
}

#[tokio::test]
async fn a_refusal_without_a_code_or_a_text_says_so_and_ends_with_no_colon() {
    let xml = "400 Bad Request\r\ncontent-type: application/xml";
    for (head, body, says) in [
        ("400 Bad Request", "", "refused with 400, without an S3 code or a text: check the endpoint"),
        ("307 Temporary Redirect", "", "refused with 307, without an S3 code or a text"),
        ("429 Too Many Requests", "", "refused with 429, without an S3 code or a text"),
        ("501 Not Implemented", "", "it answers 501, without an S3 code or a text"),
        ("418 Teapot\r\ncontent-type: text/html", "<html><body>no</body></html>", "refused with 418, without an S3 code or a text"),
        (xml, "<?xml version=\"1.0\"?><Error><Code>Odd</Code></Error>", "refused with 400 Odd"),
        (xml, "<?xml version=\"1.0\"?><Error><Code>Odd</Code><Message>no</Message></Error>", "refused with 400 Odd: no"),
    ] {
        let error = store(serve(move |_, stream| whole(stream, head, body))).get("config", 1 << 20).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(says) && !text.trim_end().ends_with(':') && !text.contains(" : "), "{head}: {text}");
    }
    assert_eq!(in_words("the store answers 503", "", " busy "), "the store answers 503: busy");
}

#[tokio::test]
async fn fault_e18_a_bucket_at_a_closed_address_gets_no_connection_however_its_endpoint_is_written() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let store = |endpoint: String, bucket: &str, virtual_host: bool| {
        let location = Location::S3 { endpoint, region: "r".into(), bucket: bucket.into(), prefix: String::new(), virtual_host, ca: None };
        let keys = Credentials { access_key_id: "a".into(), secret_access_key: "s".into() };
        S3::with(&location, Some(&keys), (Egress::default(), Pace::default())).unwrap()
    };
    for (host, bucket, virtual_host) in
        [("127.0.0.1", "b", false), ("localhost", "b", false), ("[::ffff:127.0.0.1]", "b", false), ("127.1", "b", false), ("localhost", "b", true)]
    {
        for scheme in ["http", "https"] {
            let endpoint = format!("{scheme}://{host}:{port}");
            let error = store(endpoint.clone(), bucket, virtual_host).get("config", 1 << 20).await.unwrap_err();
            let refused = error.reason() == "EgressRefused" && !error.is_transient() && error.to_string().contains("operator.egress.allow");
            // The name of a bucket before localhost need not exist, and 127.1 is no name that a certificate could have.
            let is_no_name = virtual_host || (host == "127.1" && scheme == "https");
            assert!(refused || (is_no_name && error.reason() == "Unreachable"), "{endpoint}: {error}");
        }
    }
    assert!(matches!(listener.accept(), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "nobody has connected");
}

/// Answers a DELETE and a HEAD.
fn keeps(deleted: &'static str, head: &'static str) -> S3 {
    let address = serve(move |request, stream| {
        let answer = if request.head.starts_with("DELETE") { deleted } else { head };
        whole(stream, answer, "")
    });
    store(address)
}

#[tokio::test]
async fn what_a_store_keeps_by_its_lock_is_told_from_what_it_refuses() {
    let ahead = "200 OK\r\nx-amz-object-lock-mode: COMPLIANCE\r\nx-amz-object-lock-retain-until-date: 2999-01-01T00:00:00Z";
    let over = "200 OK\r\nx-amz-object-lock-mode: COMPLIANCE\r\nx-amz-object-lock-retain-until-date: 2001-01-01T00:00:00Z";
    let held = "200 OK\r\nx-amz-object-lock-legal-hold: ON";
    let until = "2999-01-01T00:00:00Z".parse().unwrap();
    for (case, deleted, head, expected) in [
        ("no versions", "204 No Content", "404 Not Found", Some(Removal::Gone)),
        ("versions", "204 No Content\r\nx-amz-delete-marker: true", "404 Not Found", Some(Removal::Hidden)),
        ("locked", "403 Forbidden", ahead, Some(Removal::Locked(Some(until)))),
        ("locked, in the words of another store", "400 Bad Request", ahead, Some(Removal::Locked(Some(until)))),
        ("held", "403 Forbidden", held, Some(Removal::Locked(None))),
        ("the lock is over", "403 Forbidden", over, None),
        ("no right to delete", "403 Forbidden", "200 OK", None),
        ("no right at all", "403 Forbidden", "403 Forbidden", None),
    ] {
        let removed = keeps(deleted, head).remove("data/aa/aabb").await;
        assert_eq!(removed.as_ref().ok(), expected.as_ref(), "{case}: {removed:?}");
    }
}
