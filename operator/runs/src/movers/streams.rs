//! Streams of commands between a container and the repository.

use super::work::{WorkError, blocking};
use crate::{error::ErrorContext as _, sites::pods};
use kube::{Api, Client, api::AttachParams};
use p861_core::{engine::Evidence, ids::SnapshotId};
use p861_crds::{Reason, WorkloadReference};
use p861_vault::{Repository, RepositoryAccess};
use std::io::Read;
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, sync::mpsc, task::JoinHandle};

/// Chunks buffered between an async stream and its blocking reader or writer.
const CHANNEL_CAPACITY: usize = 16;
const CHUNK_BYTES: usize = 64 * 1024;

/// The reading end of a channel, for code that blocks.
struct ChannelReader {
    pieces: mpsc::Receiver<std::io::Result<Vec<u8>>>,
    current: std::io::Cursor<Vec<u8>>,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = Read::read(&mut self.current, buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = std::io::Cursor::new(piece?),
                None => return Ok(0),
            }
        }
    }
}

/// Starts a command and returns a blocking reader of its standard output. Unless the command exits with 0, the reader ends with an error, so that a broken dump
/// is never taken for a complete one.
///
/// # Errors
/// If no pod of the workload is ready, or the command can't be started.
pub async fn out_of(
    client: &Client,
    namespace: &str,
    workload: &WorkloadReference,
    container: Option<&str>,
    command: &[String],
) -> Result<(Box<dyn Read + Send>, JoinHandle<Result<(), WorkError>>), WorkError> {
    let pod = pods::ready_pod(client, namespace, workload).await?;
    let api: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client.clone(), namespace);
    let program = command.first().cloned().unwrap_or_default();
    let mut parameters = AttachParams::default().stdin(false).stdout(true).stderr(true).max_stdout_buf_size(CHUNK_BYTES * 4);
    if let Some(container) = container {
        parameters = parameters.container(container);
    }
    let mut process = api.exec(&pod, command, &parameters).await.context(|| format!("run {program} in {namespace}/{pod}"))?;
    let (sender, pieces) = mpsc::channel(CHANNEL_CAPACITY);
    let pump = tokio::spawn(async move {
        let status = process.take_status();
        let stdout = process.stdout();
        let stderr = process.stderr();
        let said = tokio::spawn(async move {
            let mut text = Vec::new();
            if let Some(stderr) = stderr {
                let _ = stderr.take(pods::MAX_OUTPUT_BYTES).read_to_end(&mut text).await;
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut broken = None;
        if let Some(mut stdout) = stdout {
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                match stdout.read(&mut buffer).await {
                    Ok(0) => break,
                    Ok(read) => {
                        if sender.send(Ok(buffer[..read].to_vec())).await.is_err() {
                            broken = Some("the repository took no more of it".to_owned());
                            break;
                        }
                    }
                    Err(error) => {
                        broken = Some(error.to_string());
                        break;
                    }
                }
            }
        }
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let said = said.await.unwrap_or_default();
        let result = match (broken, status.and_then(|status| status.status)) {
            (Some(error), _) => Err(WorkError::stated(Reason::ConnectionLost, format!("{program} in {pod}: {error}"), false)),
            (None, Some(ended)) if ended == "Success" => Ok(()),
            (None, Some(_)) => Err(WorkError::stated(
                Reason::CommandFailed,
                format!("{program} in pod {namespace}: {}", p861_core::conditions::shorten(said.trim(), 600), namespace = pod),
                false,
            )),
            (None, None) => {
                Err(WorkError::stated(Reason::ConnectionLost, format!("{program} in pod {pod}: the connection ended before the command did"), false))
            }
        };
        if let Err(error) = &result {
            // The reader must not take a broken dump for a whole one.
            let _ = sender.send(Err(std::io::Error::other(error.to_string()))).await;
        }
        result
    });
    Ok((Box::new(ChannelReader { pieces, current: std::io::Cursor::default() }), pump))
}

/// The writing end of a channel, for code that blocks.
struct ChannelWriter(mpsc::Sender<Vec<u8>>);

impl std::io::Write for ChannelWriter {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let piece = &buffer[..buffer.len().min(CHUNK_BYTES)];
        self.0.blocking_send(piece.to_vec()).map_err(|_| std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the command took no more of it"))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
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
    let pod = pods::ready_pod(client, namespace, workload).await?;
    let api: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client.clone(), namespace);
    let program = command.first().cloned().unwrap_or_default();
    let mut parameters = AttachParams::default().stdin(true).stdout(true).stderr(true);
    if let Some(container) = container {
        parameters = parameters.container(container);
    }
    let mut process = api.exec(&pod, command, &parameters).await.context(|| format!("run {program} in {namespace}/{pod}"))?;
    let status = process.take_status();
    let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(CHANNEL_CAPACITY);
    let mut stdin = process.stdin().ok_or_else(|| WorkError::stated(Reason::ConnectionLost, format!("{program} in {pod} has no standard input"), false))?;
    let (snapshot, part) = (snapshot.clone(), part.to_owned());
    let feed = blocking(move || {
        let repository = Repository::open(&access)?;
        let printer = super::work::Printer::new();
        repository.stream_out(snapshot.as_str(), &part, &mut ChannelWriter(sender), &|progress| printer.print(&progress))
    });
    let pump = async {
        while let Some(piece) = pieces.recv().await {
            if stdin.write_all(&piece).await.is_err() {
                break;
            }
        }
        // Ends standard input, so that the command ends.
        let _ = stdin.shutdown().await;
        drop(stdin);
        drop(pieces);
    };
    let drain = |stream: Option<Box<dyn tokio::io::AsyncRead + Unpin + Send>>| async move {
        let mut text = Vec::new();
        if let Some(mut stream) = stream {
            let _ = (&mut stream).take(pods::MAX_OUTPUT_BYTES).read_to_end(&mut text).await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let stdout = process.stdout().map(|stream| Box::new(stream) as Box<dyn tokio::io::AsyncRead + Unpin + Send>);
    let stderr = process.stderr().map(|stream| Box::new(stream) as Box<dyn tokio::io::AsyncRead + Unpin + Send>);
    let (fed, (), _, said) = tokio::join!(feed, pump, drain(stdout), drain(stderr));
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let said = p861_core::conditions::shorten(said.trim(), 600);
    match status.and_then(|status| status.status) {
        Some(ended) if ended == "Success" => {
            let fed = fed?;
            Ok(Evidence::StreamRestored { bytes: fed.bytes, sha256: fed.sha256, output: said })
        }
        Some(_) => Err(WorkError::stated(Reason::CommandFailed, format!("{program} in pod {pod}: {said}"), false)),
        None => Err(WorkError::stated(Reason::ConnectionLost, format!("{program} in pod {pod}: the connection ended before the command did"), false)),
    }
}
