use super::*;
use crate::movers::MoverAnswer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, DuplexStream},
    sync::oneshot,
};

const LIMITS: Limits = Limits { close: Duration::from_millis(100), exit: Duration::from_millis(200) };
/// No case takes longer on a busy machine.
const BOUND: Duration = Duration::from_secs(30);
/// More than fits into any buffer.
const FLOOD_BYTES: usize = 2 << 20;
const FLOOD: u64 = FLOOD_BYTES as u64;

/// What the command and its connection do, one after the other.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Writes to standard output.
    Writes(usize),
    /// Writes to standard error.
    Says(&'static str),
    /// Floods standard error.
    SaysALot,
    /// Reads standard input to its end.
    ReadsAll,
    /// Reads so much of standard input.
    Reads(usize),
    /// Exits, and its streams end.
    Exits(u8),
    /// Exits, and its streams stay open.
    ExitsOnly(u8),
    /// The client loses the connection: no exit comes, and it leaves the streams open.
    IsLost,
    /// Its standard output and error end.
    EndsStreams,
    /// Nobody takes its input any more.
    RefusesInput,
    /// It never ends by itself.
    Hangs,
}
use Does::{EndsStreams, Exits, ExitsOnly, Hangs, IsLost, Reads, ReadsAll, RefusesInput, Says, SaysALot, Writes};

/// The command's side of a connection.
struct Far {
    stdin: Option<DuplexStream>,
    stdout: Option<DuplexStream>,
    stderr: Option<DuplexStream>,
    exit: Option<oneshot::Sender<Status>>,
}

impl Far {
    fn exits(&mut self, code: u8) {
        let status = if code == 0 { "Success" } else { "Failure" };
        let message = Some(format!("command terminated with exit code {code}"));
        let _ = self.exit.take().unwrap().send(Status { status: Some(status.into()), message, ..Status::default() });
    }

    async fn says(&mut self, text: &str) {
        let _ = self.stderr.as_mut().unwrap().write_all(text.as_bytes()).await;
    }

    /// What is left of it stays as it is.
    async fn plays(mut self, script: &[Does]) {
        for does in script {
            match does {
                Writes(bytes) => drop(self.stdout.as_mut().unwrap().write_all(&vec![b'x'; *bytes]).await),
                Says(text) => self.says(text).await,
                SaysALot => self.says(&"noise\n".repeat(100_000)).await,
                ReadsAll => drop(self.stdin.as_mut().unwrap().read_to_end(&mut Vec::new()).await),
                Reads(bytes) => drop(self.stdin.as_mut().unwrap().read_exact(&mut vec![0; *bytes]).await),
                Exits(code) => {
                    self.exits(*code);
                    (self.stdout, self.stderr, self.stdin) = (None, None, None);
                }
                ExitsOnly(code) => self.exits(*code),
                IsLost => self.exit = None,
                EndsStreams => (self.stdout, self.stderr) = (None, None),
                RefusesInput => self.stdin = None,
                Hangs => {}
            }
        }
        std::future::pending::<()>().await;
    }
}

fn connection() -> (Attached, Far) {
    let (stdin, far_in) = tokio::io::duplex(1024);
    let (stdout, far_out) = tokio::io::duplex(1024);
    let (stderr, far_err) = tokio::io::duplex(1024);
    let (exit, status) = oneshot::channel();
    let status = Box::pin(async move { status.await.ok() });
    let attached = Attached { stdin: Some(Box::new(stdin)), stdout: Box::new(stdout), stderr: Box::new(stderr), status, connection: None };
    (attached, Far { stdin: Some(far_in), stdout: Some(far_out), stderr: Some(far_err), exit: Some(exit) })
}

fn place() -> Place {
    Place { program: "pg_dump".into(), pod: "shinan/postgres-0".into() }
}

fn broken_repository() -> VaultError {
    VaultError::Other { what: "write a pack".into(), message: "the bucket is full".into() }
}

fn reason_and_message(error: &WorkError) -> (Reason, String) {
    let MoverAnswer::Failed { reason, message, .. } = error.answer() else { panic!("{error} is no failure") };
    (reason, message)
}

type Expected = Result<u64, (Reason, &'static str)>;

fn failed(reason: Reason, text: &'static str) -> Expected {
    Err((reason, text))
}

fn compare(name: &str, ended: Result<u64, WorkError>, expected: Expected) {
    match (ended, expected) {
        (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected, "{name}"),
        (Err(error), Err((reason, text))) => {
            let (is, message) = reason_and_message(&error);
            assert_eq!(is, reason, "{name}: {message}");
            assert!(message.contains(text) && message.len() < 1_500, "{name}: {message}");
        }
        (ended, expected) => panic!("{name}: {ended:?} instead of {expected:?}"),
    }
}

type Store = fn(Box<dyn Read + Send>) -> Result<u64, VaultError>;

fn takes_all(mut reader: Box<dyn Read + Send>) -> Result<u64, VaultError> {
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| VaultError::ReadErrors { count: 1, first: error.to_string() })
}

fn fails_in_the_middle(mut reader: Box<dyn Read + Send>) -> Result<u64, VaultError> {
    let _ = reader.read(&mut [0; 100]);
    Err(broken_repository())
}

#[tokio::test]
async fn fault_d4_a_dump_ends_whichever_side_ends_and_with_its_reason() {
    let cut = || failed(Reason::ConnectionLost, "the connection ended");
    let full = || failed(Reason::VaultError, "the bucket is full");
    let cases: [(&str, &[Does], Store, Expected); 14] = [
        ("whole", &[Writes(100), Exits(0)], takes_all, Ok(100)),
        ("flood of stdout", &[Writes(FLOOD_BYTES), Exits(0)], takes_all, Ok(FLOOD)),
        ("flood of stderr", &[SaysALot, Writes(9), Exits(0)], takes_all, Ok(9)),
        ("last words after a flood", &[SaysALot, Says("no such table"), Exits(1)], takes_all, failed(Reason::CommandFailed, "no such table")),
        ("fails in the middle", &[Writes(5_000), Says("disk error"), Exits(2)], takes_all, failed(Reason::CommandFailed, "disk error")),
        ("fails without a word", &[Exits(137)], takes_all, failed(Reason::CommandFailed, "exit code 137")),
        ("the repository fails, the command is silent", &[Hangs], |_| Err(broken_repository()), full()),
        ("the repository fails under a flood", &[Writes(FLOOD_BYTES), Hangs], fails_in_the_middle, full()),
        ("stored before", &[Hangs], |_| Ok(7), Ok(7)),
        ("lost while silent", &[IsLost], takes_all, cut()),
        ("lost in the middle", &[Writes(FLOOD_BYTES), IsLost], takes_all, cut()),
        ("streams end, no exit comes", &[EndsStreams], takes_all, cut()),
        ("exit, no end of the streams", &[Writes(50), ExitsOnly(0)], takes_all, cut()),
        ("fails, no end of the streams", &[Says("killed"), ExitsOnly(1)], takes_all, failed(Reason::CommandFailed, "killed")),
    ];
    for (name, script, store, expected) in cases {
        let (attached, far) = connection();
        let side = tokio::spawn(far.plays(script));
        let ended = tokio::time::timeout(BOUND, dumped(attached, &place(), store, LIMITS)).await.unwrap_or_else(|_| panic!("{name}: it waits without end"));
        side.abort();
        compare(name, ended, expected);
    }
}

#[tokio::test]
async fn fault_a13_a_repository_that_fails_under_a_dump_closes_the_commands_connection() {
    let (attached, mut far) = connection();
    let side = tokio::spawn(async move { far.stdout.as_mut().unwrap().write_all(&vec![b'x'; FLOOD_BYTES]).await.is_err() });
    let ended = dumped(attached, &place(), fails_in_the_middle, LIMITS).await;
    assert_eq!(reason_and_message(&ended.unwrap_err()).0, Reason::VaultError);
    assert!(tokio::time::timeout(BOUND, side).await.expect("the command hears of it").unwrap(), "its output is refused");
}

type Source = fn(&mut dyn Write) -> Result<u64, VaultError>;

fn gives_a_flood(sink: &mut dyn Write) -> Result<u64, VaultError> {
    sink.write_all(&vec![b'x'; FLOOD_BYTES]).map_err(|error| VaultError::Other { what: "write the stream".into(), message: error.to_string() })?;
    Ok(FLOOD)
}

fn breaks_off(sink: &mut dyn Write) -> Result<u64, VaultError> {
    let _ = sink.write_all(&[b'x'; 5_000]);
    Err(broken_repository())
}

#[tokio::test]
async fn fault_d4_a_restore_ends_whichever_side_ends_and_with_its_reason() {
    let cut = || failed(Reason::ConnectionLost, "the connection ended");
    let full = || failed(Reason::VaultError, "the bucket is full");
    let cases: [(&str, &[Does], Source, Expected); 13] = [
        ("whole", &[ReadsAll, Exits(0)], gives_a_flood, Ok(FLOOD)),
        ("flood of stderr", &[SaysALot, ReadsAll, Exits(0)], gives_a_flood, Ok(FLOOD)),
        ("flood of stdout", &[Writes(FLOOD_BYTES), ReadsAll, Exits(0)], gives_a_flood, Ok(FLOOD)),
        ("fails at its end", &[ReadsAll, Says("no such role"), Exits(3)], gives_a_flood, failed(Reason::CommandFailed, "no such role")),
        ("exits before reading", &[Says("no such database"), Exits(1)], gives_a_flood, failed(Reason::CommandFailed, "no such database")),
        ("exits, no end of the streams", &[Says("no password"), ExitsOnly(1)], gives_a_flood, failed(Reason::CommandFailed, "no password")),
        ("exits with 0 before reading all", &[Reads(10), ExitsOnly(0)], gives_a_flood, failed(Reason::CommandFailed, "before it had read all")),
        ("knows the end of its input", &[Reads(FLOOD_BYTES), Exits(0)], gives_a_flood, Ok(FLOOD)),
        ("lost", &[IsLost], gives_a_flood, cut()),
        ("input refused, no exit", &[RefusesInput], gives_a_flood, cut()),
        ("streams end, no exit comes", &[EndsStreams], gives_a_flood, cut()),
        ("the repository breaks off", &[ReadsAll, Exits(0)], breaks_off, full()),
        ("the repository breaks off, the command hangs", &[Hangs], |_| Err(broken_repository()), full()),
    ];
    for (name, script, source, expected) in cases {
        let (attached, far) = connection();
        let side = tokio::spawn(far.plays(script));
        let ended = tokio::time::timeout(BOUND, restored(attached, &place(), source, LIMITS)).await.unwrap_or_else(|_| panic!("{name}: it waits without end"));
        side.abort();
        compare(name, ended.map(|(bytes, _)| bytes), expected);
    }
}
