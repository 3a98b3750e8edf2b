//! TCP connection tests from the site where this program runs: in the operator on its own site, elsewhere in a prober pod, in which the operator runs
//! `connect`.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Time limit for connecting.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Result, as `connect` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connected {
    /// Connected, after this many milliseconds.
    Millis(u64),
    /// Not connected; with the reason.
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

/// Sleeps until it is terminated, so that a pod exists to run `connect` in.
pub async fn stand() -> std::io::Result<()> {
    let mut ends = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    ends.recv().await;
    Ok(())
}
