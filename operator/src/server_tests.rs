use super::*;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SHORT: Limits =
    Limits { connections: 8, head_time: Duration::from_millis(300), time: Duration::from_millis(1_500), head_bytes: 8 << 10, headers: 20, requests: 2 };

fn health() -> Health {
    Health { ready: Arc::default(), pulse: Pulse::default(), leadership: Leadership::none(), metrics: Metrics::new().expect("metrics") }
}

/// A server with these limits and these routes; its address.
async fn server(outside: Router, limits: Limits) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve_within(listener, routes(health(), outside, limits), limits));
    address
}

/// Sends this, and reads until the server closes the connection; with how long that took.
async fn exchange(address: std::net::SocketAddr, text: &str) -> (String, Duration) {
    let (since, mut answer) = (Instant::now(), Vec::new());
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // A server that has heard enough closes while more is sent.
    let _ = stream.write_all(text.as_bytes()).await;
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server does not close the connection");
    (String::from_utf8_lossy(&answer).into_owned(), since.elapsed())
}

fn get_of(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[tokio::test]
async fn a_connection_serves_one_request_and_is_closed() {
    let address = server(Router::new(), SHORT).await;
    let (twice, _) = exchange(address, &format!("{}{}", get_of("/healthz"), get_of("/healthz"))).await;
    assert_eq!(twice.matches("HTTP/1.1 200").count(), 1, "{twice}");
    assert!(twice.contains("connection: close"), "{twice}");
    assert!(exchange(address, &get_of("/readyz")).await.0.starts_with("HTTP/1.1 503"));
    assert!(exchange(address, &get_of("/metrics")).await.0.contains("p861_operator_leader 0"));
    assert!(exchange(address, &get_of("/nothing")).await.0.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn fault_e21_a_head_that_is_slow_long_or_endless_is_not_waited_for() {
    let address = server(Router::new(), SHORT).await;
    for slow in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\n", "GET /healthz HTTP/1.1\r\nX: 1"] {
        let (_, time) = exchange(address, slow).await;
        assert!(time < SHORT.time, "{slow:?} took {time:?}");
    }
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: 1\r\n".repeat(SHORT.headers + 1));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(SHORT.head_bytes));
    let endless = format!("GET /healthz HTTP/1.1\r\nX: {}", "x".repeat(SHORT.head_bytes * 4));
    for refused in [many, long, endless] {
        let (said, _) = exchange(address, &refused).await;
        assert!(!said.contains("HTTP/1.1 200"), "{said}");
    }
}

#[tokio::test]
async fn fault_e21_a_head_that_drips_in_is_cut_off_however_steadily_it_does() {
    let address = server(Router::new(), SHORT).await;
    let (mut stream, since) = (TcpStream::connect(address).await.expect("it listens"), Instant::now());
    for byte in b"GET /healthz HTTP/1.1\r\nHost: a-very-long-name-of-a-host-that-never-ends\r\n".iter().cycle() {
        if stream.write_all(&[*byte]).await.is_err() || since.elapsed() > Duration::from_secs(10) {
            break;
        }
        let mut answer = [0; 64];
        if matches!(tokio::time::timeout(Duration::from_millis(20), stream.read(&mut answer)).await, Ok(Ok(0) | Err(_))) {
            break;
        }
    }
    assert!(since.elapsed() < SHORT.time * 2, "it held for {:?}", since.elapsed());
}

#[tokio::test]
async fn fault_e21_a_body_that_never_comes_and_an_answer_that_nobody_reads_end_with_the_connections_time() {
    let reads = axum::routing::post(|body: axum::body::Bytes| async move { body.len().to_string() });
    let large = get(|| async { "x".repeat(64 << 20) });
    let address = server(Router::new().route("/post", reads).route("/large", large), SHORT).await;
    let (_, time) = exchange(address, "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    assert!(time >= SHORT.head_time && time < SHORT.time * 3, "{time:?}");
    let mut unread = TcpStream::connect(address).await.expect("it listens");
    unread.write_all(get_of("/large").as_bytes()).await.expect("sent");
    tokio::time::sleep(SHORT.time + Duration::from_millis(500)).await;
    // What is in the buffers of the kernel can still be read; the rest never comes.
    let (mut read, mut part) = (0, vec![0; 1 << 16]);
    while let Ok(bytes @ 1..) = unread.read(&mut part).await {
        read += bytes;
    }
    assert!(read < 64 << 20, "{read} bytes came");
}

#[tokio::test]
async fn fault_e21_a_flood_of_connections_keeps_nobody_out_and_takes_no_more_than_its_number() {
    let patient = Limits { head_time: Duration::from_secs(30), time: Duration::from_mins(1), ..SHORT };
    let address = server(Router::new(), patient).await;
    let mut idle = Vec::new();
    for _ in 0..patient.connections * 5 {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.expect("sent");
        idle.push(stream);
    }
    let (said, time) = exchange(address, &get_of("/healthz")).await;
    assert!(said.starts_with("HTTP/1.1 200") && time < Duration::from_secs(5), "{said} after {time:?}");
    // The oldest were closed for the newest.
    let mut closed = 0;
    for stream in &mut idle {
        let mut byte = [0];
        closed += usize::from(matches!(tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await, Ok(Ok(0) | Err(_))));
    }
    assert!(closed >= patient.connections * 4, "{closed} of {} were closed", idle.len());
}

#[tokio::test]
async fn fault_e21_requests_beyond_their_number_are_turned_away_and_the_kubelets_are_answered() {
    let (held, hold) = tokio::sync::watch::channel(());
    let slow = get(move || {
        let mut hold = hold.clone();
        async move {
            let _ = hold.changed().await;
            "done"
        }
    });
    let patient = Limits { time: Duration::from_mins(1), ..SHORT };
    let address = server(Router::new().route("/slow", slow), patient).await;
    let waiting: Vec<_> = (0..patient.requests).map(|_| tokio::spawn(async move { exchange(address, &get_of("/slow")).await.0 })).collect();
    let since = Instant::now();
    while !exchange(address, &get_of("/metrics")).await.0.starts_with("HTTP/1.1 503") {
        assert!(since.elapsed() < Duration::from_secs(10), "more are answered than {}", patient.requests);
    }
    assert!(exchange(address, &get_of("/healthz")).await.0.starts_with("HTTP/1.1 200"));
    drop(held);
    for answer in waiting {
        assert!(answer.await.expect("it ends").ends_with("done"));
    }
    assert!(exchange(address, &get_of("/metrics")).await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn fault_h7_a_replica_that_does_not_lead_is_alive_and_one_whose_tasks_stand_still_is_not() {
    let of = async |health: Health| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve_within(listener, routes(health, Router::new(), SHORT), SHORT));
        exchange(address, &get_of("/healthz")).await.0
    };
    assert!(of(health()).await.starts_with("HTTP/1.1 200"));
    let dead = of(Health { pulse: Pulse::stopped(), ..health() }).await;
    assert!(dead.starts_with("HTTP/1.1 503") && dead.contains("does not get round to its tasks"), "{dead}");
}

#[test]
fn fault_h7_probes_are_answered_while_the_operator_is_too_busy_for_anything_and_routes_run_where_their_clients_belong() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = move |path: &'static str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { exchange(address, &get_of(path)).await.0 })
    };
    let busy = tokio::runtime::Builder::new_current_thread().thread_name("busy").enable_all().build().expect("a runtime");
    let here = std::thread::current().id();
    let outside = Router::new().route("/where", get(move || async move { (std::thread::current().id() == here).to_string() }));
    busy.block_on(async { start(listener, health(), outside) }).expect("it serves");
    // Nobody drives the operator's runtime.
    assert!(asked("/healthz").starts_with("HTTP/1.1 200"));
    assert!(asked("/metrics").contains("p861_operator_leader 0"));
    let routed = std::thread::spawn(move || asked("/where"));
    busy.block_on(async {
        while !routed.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(routed.join().expect("an answer").ends_with("true"));
}
