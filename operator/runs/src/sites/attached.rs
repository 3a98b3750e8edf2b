//! A command in a container, and the end of its connection.
//!
//! Rule: nothing waits for the other side without end. A command may be silent for as long as its step's deadline allows, and only that. Beyond it:
//!
//! - What the command writes to its standard error is read to the end, always: a full buffer would stop the command. Only its first and last KiB are kept.
//! - The command's exit ends the wait for its streams: what it had written arrives first, and silence of [`Limits::close`] after it ends them.
//! - The end of both streams ends the wait for the exit, after the same time. So does the loss of the connection, which the client tells by an exit without a
//!   status (it leaves the streams open then).
//! - Whoever stops reading, writing or waiting drops the [`Attached`], which closes the connection.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::AttachedProcess;
use p861_core::conditions::shorten;
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    sync::watch,
};

/// A stream from the command.
pub type Reader = Box<dyn AsyncRead + Unpin + Send>;
/// The command's standard input.
pub type Writer = Box<dyn AsyncWrite + Unpin + Send>;
/// The command's exit; none if the connection was lost.
pub type StatusFuture = futures::future::BoxFuture<'static, Option<Status>>;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// What is kept of a standard error, at its begin and at its end.
const ERRORS_KEPT_BYTES: usize = 1024;
/// What a message quotes of the begin and of the end of a standard error.
const QUOTED_BEGIN_CHARS: usize = 300;
const QUOTED_END_CHARS: usize = 700;

/// How long the other side may take for what must follow at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Silence after the command's exit, and the exit after the end of its streams.
    pub close: Duration,
    /// The exit of a command whose input broke off.
    pub exit: Duration,
}

/// The limits of real connections.
pub const LIMITS: Limits = Limits { close: Duration::from_secs(5), exit: Duration::from_secs(30) };

/// A command under way. Dropping it closes the connection.
pub struct Attached {
    /// Its standard input, if it was asked for.
    pub stdin: Option<Writer>,
    /// Its standard output.
    pub stdout: Reader,
    /// Its standard error.
    pub stderr: Reader,
    /// Its exit.
    pub status: StatusFuture,
    /// The connection, which ends with this.
    pub connection: Option<AttachedProcess>,
}

impl From<AttachedProcess> for Attached {
    fn from(mut process: AttachedProcess) -> Self {
        fn reader(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Reader {
            stream.map_or_else(|| Box::new(tokio::io::empty()) as Reader, |stream| Box::new(stream) as Reader)
        }
        let status = process.take_status();
        Self {
            stdin: process.stdin().map(|stream| Box::new(stream) as Writer),
            stdout: reader(process.stdout()),
            stderr: reader(process.stderr()),
            status: Box::pin(async move {
                match status {
                    Some(status) => status.await,
                    None => None,
                }
            }),
            connection: Some(process),
        }
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With 0.
    Success,
    /// Otherwise; with the API server's words for it.
    Failure(String),
    /// Nobody knows: the connection ended before the command did.
    Lost,
}

impl Exit {
    /// Whether it exited with 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Success
    }
}

impl From<Option<Status>> for Exit {
    fn from(status: Option<Status>) -> Self {
        match status {
            None => Self::Lost,
            Some(status) if status.status.as_deref() == Some("Success") => Self::Success,
            Some(status) => Self::Failure(shorten(&status.message.unwrap_or_else(|| "it failed".into()), QUOTED_BEGIN_CHARS + QUOTED_END_CHARS)),
        }
    }
}

/// The first and the last bytes of a stream.
#[derive(Debug)]
pub struct Kept {
    first: usize,
    last: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Kept {
    /// Keeps so many bytes of the begin and of the end.
    pub fn new(first: usize, last: usize) -> Self {
        Self { first, last, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    /// For a standard error.
    pub fn errors() -> Self {
        Self::new(ERRORS_KEPT_BYTES, ERRORS_KEPT_BYTES)
    }

    /// Takes what was read next.
    pub fn take(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let to_head = bytes.len().min(self.first - self.head.len());
        self.head.extend_from_slice(&bytes[..to_head]);
        let rest = &bytes[to_head..];
        self.tail.extend(&rest[rest.len().saturating_sub(self.last)..]);
        let over = self.tail.len().saturating_sub(self.last);
        self.tail.drain(..over);
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// The begin.
    pub fn begin(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// Begin and end as a message quotes them. A command often says at its end why it failed.
    pub fn quoted(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&tail));
        let left_out = self.total.saturating_sub(self.held() as u64);
        let whole = format!("{head}{tail}");
        let text = whole.trim();
        if left_out == 0 && text.chars().count() <= QUOTED_BEGIN_CHARS + QUOTED_END_CHARS {
            return text.to_owned();
        }
        let begin: String = text.chars().take(QUOTED_BEGIN_CHARS).collect();
        let skipped = text.chars().count().saturating_sub(QUOTED_END_CHARS);
        let end: String = text.chars().skip(skipped.max(QUOTED_BEGIN_CHARS)).collect();
        format!("{begin} … {end}")
    }
}

/// Sees to it that a stream is not waited for without end: whether the command has exited, and since when.
#[derive(Clone)]
pub struct Watcher {
    exited: watch::Receiver<bool>,
    close: Duration,
}

/// What a read of a [`Watcher`] gave.
pub enum ReadOnce {
    /// So many bytes.
    Bytes(usize),
    /// The end of the stream.
    End,
    /// The stream broke.
    Broken(std::io::Error),
    /// The command has exited, and its stream has neither bytes nor an end.
    Silent,
}

impl Watcher {
    /// Reads once. Waits for the command as long as it runs.
    pub async fn read(&mut self, stream: &mut Reader, buffer: &mut [u8]) -> ReadOnce {
        let (exited, close) = (&mut self.exited, self.close);
        let silence = async {
            // An error means that nobody waits for the exit any more.
            let _ = exited.wait_for(|exited| *exited).await;
            tokio::time::sleep(close).await;
        };
        tokio::select! {
            biased;
            read = stream.read(buffer) => match read {
                Ok(0) => ReadOnce::End,
                Ok(read) => ReadOnce::Bytes(read),
                Err(error) => ReadOnce::Broken(error),
            },
            () = silence => ReadOnce::Silent,
        }
    }

    /// Reads to the end of the stream, keeping what `kept` keeps.
    pub async fn drain(mut self, mut stream: Reader, kept: &Mutex<Kept>) {
        let mut buffer = vec![0; READ_BYTES];
        while let ReadOnce::Bytes(read) = self.read(&mut stream, &mut buffer).await {
            kept.lock().take(&buffer[..read]);
        }
    }
}

/// The exit of a command, and who must hear of it.
pub struct Ending {
    exited: watch::Sender<bool>,
    limits: Limits,
}

impl Ending {
    /// An exit that has not come, and the watcher of its streams.
    pub fn new(limits: Limits) -> (Self, Watcher) {
        let (sender, exited) = watch::channel(false);
        (Self { exited: sender, limits }, Watcher { exited, close: limits.close })
    }

    /// Waits for the exit while `streams` are read. After the streams have ended, no longer than [`Limits::close`].
    pub async fn wait<T>(self, status: StatusFuture, streams: impl Future<Output = T>) -> (Exit, T) {
        let (closed, mut is_closed) = watch::channel(false);
        let exit = async {
            let late = async {
                let _ = is_closed.wait_for(|closed| *closed).await;
                tokio::time::sleep(self.limits.close).await;
            };
            let exit = tokio::select! {
                biased;
                status = status => Exit::from(status),
                () = late => Exit::Lost,
            };
            self.exited.send_replace(true);
            exit
        };
        let streams = async {
            let read = streams.await;
            closed.send_replace(true);
            read
        };
        tokio::join!(exit, streams)
    }
}

/// Reads all output of a command until its end; of the standard output the first `bytes` are kept. The caller bounds the time.
pub async fn output(attached: Attached, limits: Limits, bytes: usize) -> (Exit, Kept, Kept) {
    let Attached { stdin, stdout, stderr, status, connection } = attached;
    drop(stdin);
    let (said, errors) = (Mutex::new(Kept::new(bytes, 0)), Mutex::new(Kept::errors()));
    let (ending, watcher) = Ending::new(limits);
    let streams = async { tokio::join!(watcher.clone().drain(stdout, &said), watcher.drain(stderr, &errors)) };
    let (exit, _) = ending.wait(status, streams).await;
    drop(connection);
    (exit, said.into_inner(), errors.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_stream_the_begin_and_the_end_are_kept() {
        for (pieces, whole, held) in
            [(vec!["a".repeat(100)], true, 100), (vec!["b".repeat(1024), "end".into()], false, 1027), (vec!["x".repeat(700); 5000], false, 2048)]
        {
            let mut kept = Kept::errors();
            for piece in &pieces {
                kept.take(piece.as_bytes());
            }
            assert_eq!(kept.held(), held);
            assert_eq!(kept.quoted() == pieces.concat(), whole);
            assert!(kept.quoted().chars().count() < QUOTED_BEGIN_CHARS + QUOTED_END_CHARS + 10);
        }
        let mut kept = Kept::errors();
        kept.take(format!("begin {} why it failed", "noise ".repeat(100_000)).as_bytes());
        assert!(kept.quoted().starts_with("begin noise") && kept.quoted().ends_with("why it failed"), "{}", kept.quoted());
    }
}
