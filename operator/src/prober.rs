//! A connection that is tried from where this program runs: by the operator on its own site, and by its prober on another, in which the operator runs `connect`.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Connecting may take this long.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What came of it, as `connect` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connected {
    /// It was made, after so many milliseconds.
    Millis(u64),
    /// It was not.
    Failed(String),
}

/// Connects, by TCP.
pub async fn connect(host: &str, port: u16) -> Connected {
    let since = Instant::now();
    match tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Connected::Millis(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)),
        Ok(Err(error)) => Connected::Failed(error.to_string()),
        Err(_) => Connected::Failed(format!("no answer within {CONNECT_TIMEOUT:?}")),
    }
}

/// Does nothing until it is told to end: a pod to run `connect` in.
pub async fn stand() -> std::io::Result<()> {
    let mut ends = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    ends.recv().await;
    Ok(())
}
