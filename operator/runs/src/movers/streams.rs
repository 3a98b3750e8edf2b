//! Streams of commands between a container and the repository.
//!
//! Rule: whoever ends first ends the other, with the first one's reason. The repository ends a dump whether or not the command writes, and a command that exits
//! ends the reading of the repository. Neither waits for the other without end ([`crate::sites::attached`] says what is waited for, and how long).
//!
//! A stream is whole only if its end was said: a dump whose command exits with 0, and an input whose repository was read to its end. A channel that only closes
//! has broken off.

use super::work::{WorkError, blocking};
use crate::sites::{
    attached::{Attached, Ending, Exit, Kept, LIMITS, Limits, ReadOnce},
    pods,
};
use kube::Client;
use p861_core::{engine::Evidence, ids::SnapshotId};
use p861_crds::{Reason, WorkloadReference};
use p861_vault::{Repository, RepositoryAccess, VaultError};
use parking_lot::Mutex;
use std::{
    io::{Error as IoError, ErrorKind, Read, Write},
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::{io::AsyncWriteExt as _, sync::mpsc};

/// Chunks buffered between an async stream and its blocking reader or writer.
const CHANNEL_CAPACITY: usize = 16;
const CHUNK_BYTES: usize = 64 * 1024;

/// What goes through a channel.
#[derive(Debug)]
enum Piece {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// The stream is whole.
    End,
    /// It is not, and why.
    Broken(String),
}

/// The reading end of a channel, for code that blocks. Ends with an error unless the stream is whole, so that a broken dump is never taken for a complete one.
struct ChannelReader {
    pieces: mpsc::Receiver<Piece>,
    current: std::io::Cursor<Vec<u8>>,
    whole: bool,
}

impl ChannelReader {
    fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self { pieces, current: std::io::Cursor::default(), whole: false }
    }
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = Read::read(&mut self.current, buffer)?;
            if read > 0 || buffer.is_empty() || self.whole {
                return Ok(read);
            }
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.current = std::io::Cursor::new(bytes),
                Some(Piece::End) => self.whole = true,
                Some(Piece::Broken(why)) => return Err(IoError::other(why)),
                None => return Err(IoError::new(ErrorKind::UnexpectedEof, "the dump broke off")),
            }
        }
    }
}

/// The writing end of a channel, for code that blocks.
struct ChannelWriter(mpsc::Sender<Piece>);

impl ChannelWriter {
    /// Says that the stream is whole. The command may have ended already.
    fn end(self) {
        let _ = self.0.blocking_send(Piece::End);
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let piece = &buffer[..buffer.len().min(CHUNK_BYTES)];
        self.0.blocking_send(Piece::Bytes(piece.to_vec())).map_err(|_| IoError::new(ErrorKind::BrokenPipe, "the command took no more of it"))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where a command runs, for messages.
struct Place {
    program: String,
    pod: String,
}

impl Place {
    fn failed(&self, exit: &Exit, said: &Kept) -> WorkError {
        let Self { program, pod } = self;
        match exit {
            Exit::Lost => {
                let said = said.quoted();
                let said = if said.is_empty() { said } else { format!("; it had said: {said}") };
                WorkError::stated(Reason::ConnectionLost, format!("{program} in pod {pod}: the connection ended before the command did{said}"), false)
            }
            Exit::Success => WorkError::stated(Reason::CommandFailed, format!("{program} in pod {pod} exited with 0 before it had read all"), false),
            Exit::Failure(message) => {
                let said = said.quoted();
                WorkError::stated(Reason::CommandFailed, format!("{program} in pod {pod}: {}", if said.is_empty() { message } else { &said }), false)
            }
        }
    }
}

/// How a dump ended.
#[derive(Debug)]
enum DumpEnd {
    /// The command exited with 0, and all of its output was taken.
    Whole,
    /// The repository took no more of it.
    NotWanted,
    /// It is not whole.
    Failed(WorkError),
}

/// How reading a standard output ended.
#[derive(PartialEq, Eq)]
enum OutputEnd {
    Whole,
    Broken,
}

/// Passes a command's standard output on until one of both sides ends.
async fn dump(attached: Attached, place: &Place, sink: mpsc::Sender<Piece>, limits: Limits) -> DumpEnd {
    let Attached { stdin, mut stdout, stderr, status, connection } = attached;
    drop(stdin);
    let said = Mutex::new(Kept::errors());
    let (ending, watcher) = Ending::new(limits);
    let mut reads = watcher.clone();
    let output = async {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match reads.read(&mut stdout, &mut buffer).await {
                ReadOnce::Bytes(read) => {
                    if sink.send(Piece::Bytes(buffer[..read].to_vec())).await.is_err() {
                        // The branch below ends all of it.
                        std::future::pending::<()>().await;
                    }
                }
                ReadOnce::End => return OutputEnd::Whole,
                ReadOnce::Broken(_) | ReadOnce::Silent => return OutputEnd::Broken,
            }
        }
    };
    let streams = async { tokio::join!(output, watcher.drain(stderr, &said)).0 };
    let (exit, output) = tokio::select! {
        ended = ending.wait(status, streams) => ended,
        // Also while the command is silent.
        () = sink.closed() => return DumpEnd::NotWanted,
    };
    drop(connection);
    if exit.is_success() && output == OutputEnd::Whole {
        // Nobody takes it if the reader has ended meanwhile, which the repository's own result tells.
        let _ = sink.send(Piece::End).await;
        return DumpEnd::Whole;
    }
    let exit = if exit.is_success() { Exit::Lost } else { exit };
    let error = place.failed(&exit, &said.lock());
    let _ = sink.send(Piece::Broken(error.to_string())).await;
    DumpEnd::Failed(error)
}

/// The outcome of a dump: the repository's if it ended first, else the command's.
fn outcome<T>(stored: Result<T, WorkError>, dumped: DumpEnd) -> Result<T, WorkError> {
    match (stored, dumped) {
        // It was stored whole, or an earlier attempt has stored it.
        (Ok(stored), _) => Ok(stored),
        (Err(_), DumpEnd::Failed(error)) | (Err(error), DumpEnd::Whole | DumpEnd::NotWanted) => Err(error),
    }
}

/// Runs a command in a container and gives its standard output to `store`.
///
/// # Errors
/// If no pod of the workload is ready, or the command can't be started; the reason of the command or of the repository, whichever ended first.
pub async fn out_of<T: Send + 'static>(
    client: &Client,
    namespace: &str,
    workload: &WorkloadReference,
    container: Option<&str>,
    command: &[String],
    store: impl FnOnce(Box<dyn Read + Send>) -> Result<T, VaultError> + Send + 'static,
) -> Result<T, WorkError> {
    let target = pods::target(client, namespace, workload, container).await?;
    let attached = pods::attach(client, namespace, &target, command, false).await?;
    let place = Place { program: command.first().cloned().unwrap_or_default(), pod: format!("{namespace}/{}", target.pod) };
    dumped(attached, &place, store, LIMITS).await
}

/// As [`out_of`], of a command that was started.
async fn dumped<T: Send + 'static>(
    attached: Attached,
    place: &Place,
    store: impl FnOnce(Box<dyn Read + Send>) -> Result<T, VaultError> + Send + 'static,
    limits: Limits,
) -> Result<T, WorkError> {
    let (sink, pieces) = mpsc::channel(CHANNEL_CAPACITY);
    let reader: Box<dyn Read + Send> = Box::new(ChannelReader::new(pieces));
    let (stored, dumped) = tokio::join!(blocking(move || store(reader)), dump(attached, place, sink, limits));
    outcome(stored, dumped)
}

/// How feeding a command ended.
#[derive(Debug, PartialEq, Eq)]
enum Fed {
    /// It was given everything.
    All,
    /// The repository gave no more.
    BrokeOff,
    /// The command took no more.
    Refused,
}

/// Gives a command its standard input until one of both sides ends. None if the command exited first.
async fn feed(attached: Attached, mut pieces: mpsc::Receiver<Piece>, limits: Limits) -> (Exit, Option<Fed>, Kept) {
    let Attached { stdin, stdout, stderr, status, connection } = attached;
    let said = Mutex::new(Kept::errors());
    let nothing = Mutex::new(Kept::new(0, 0));
    let (ending, watcher) = Ending::new(limits);
    // Whether something was taken from the repository that the connection has not taken yet.
    let in_hand = AtomicBool::new(false);
    let write = async {
        let Some(mut stdin) = stdin else { return Fed::Refused };
        let fed = loop {
            match pieces.recv().await {
                Some(Piece::Bytes(bytes)) => {
                    in_hand.store(true, Ordering::Relaxed);
                    if stdin.write_all(&bytes).await.is_err() {
                        break Fed::Refused;
                    }
                    in_hand.store(false, Ordering::Relaxed);
                }
                Some(Piece::End) => break Fed::All,
                Some(Piece::Broken(_)) | None => break Fed::BrokeOff,
            }
        };
        // Ends standard input, so that the command ends.
        let _ = stdin.shutdown().await;
        fed
    };
    let streams = async { tokio::join!(watcher.clone().drain(stdout, &nothing), watcher.drain(stderr, &said)) };
    let both = async {
        let ended = ending.wait(status, streams);
        tokio::pin!(ended);
        tokio::select! {
            (exit, _) = &mut ended => (exit, None),
            fed = write => {
                // It works on what it was given.
                let exit = if fed == Fed::All { Ok(ended.await) } else { tokio::time::timeout(limits.exit, ended).await };
                (exit.map_or(Exit::Lost, |(exit, _)| exit), Some(fed))
            }
        }
    };
    let (exit, mut fed) = both.await;
    drop(connection);
    // Some commands know the end of their input without reading on: then nothing follows but the end.
    if exit.is_success() && fed.is_none() && !in_hand.load(Ordering::Relaxed) {
        let next = tokio::time::timeout(limits.exit, pieces.recv()).await;
        fed = matches!(next, Ok(Some(Piece::End))).then_some(Fed::All);
    }
    (exit, fed, said.into_inner())
}

/// Feeds a part to a command's standard input and waits for its end.
///
/// # Errors
/// If no pod of the workload is ready, if the part can't be read, or if the command fails.
#[expect(clippy::too_many_arguments, reason = "one argument per field of the task")]
pub async fn into(
    client: &Client,
    access: RepositoryAccess,
    snapshot: &SnapshotId,
    part: &str,
    namespace: &str,
    workload: &WorkloadReference,
    container: Option<&str>,
    command: &[String],
) -> Result<Evidence, WorkError> {
    let target = pods::target(client, namespace, workload, container).await?;
    let attached = pods::attach(client, namespace, &target, command, true).await?;
    let place = Place { program: command.first().cloned().unwrap_or_default(), pod: format!("{namespace}/{}", target.pod) };
    let (snapshot, part) = (snapshot.clone(), part.to_owned());
    let read = move |sink: &mut dyn Write| {
        let repository = Repository::open(&access)?;
        let printer = super::work::Printer::new();
        repository.stream_out(snapshot.as_str(), &part, sink, &|progress| printer.print(&progress))
    };
    let (fed, said) = restored(attached, &place, read, LIMITS).await?;
    Ok(Evidence::StreamRestored { bytes: fed.bytes, sha256: fed.sha256, output: p861_core::conditions::shorten(&said.quoted(), 600) })
}

/// As [`into`], of a command that was started.
async fn restored<T: Send + 'static>(
    attached: Attached,
    place: &Place,
    read: impl FnOnce(&mut dyn Write) -> Result<T, VaultError> + Send + 'static,
    limits: Limits,
) -> Result<(T, Kept), WorkError> {
    let (sink, pieces) = mpsc::channel(CHANNEL_CAPACITY);
    let reading = blocking(move || {
        let mut sink = ChannelWriter(sink);
        let result = read(&mut sink)?;
        sink.end();
        Ok(result)
    });
    let (read, (exit, fed, said)) = tokio::join!(reading, feed(attached, pieces, limits));
    match (read, exit, fed) {
        (Ok(read), Exit::Success, Some(Fed::All)) => Ok((read, said)),
        // The repository ended first: the command was given a part only, whatever it made of it.
        (Err(error), _, Some(Fed::BrokeOff)) => Err(error),
        (_, exit, _) => Err(place.failed(&exit, &said)),
    }
}

#[cfg(test)]
#[path = "streams/tests.rs"]
mod tests;
