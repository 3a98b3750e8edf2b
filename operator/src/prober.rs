//! TCP connection tests from the site where this program runs: in the operator on its own site, elsewhere in a prober pod, in which the operator runs
//! `connect`.

use p861_egress::Egress;
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

/// Connects by TCP, unless the address is closed.
pub async fn connect(host: &str, port: u16) -> Connected {
    connect_by(&Egress::of_process(), host, port).await
}

async fn connect_by(egress: &Egress, host: &str, port: u16) -> Connected {
    let since = Instant::now();
    match tokio::time::timeout(CONNECT_TIMEOUT, egress.connect(host, port)).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fault_e18_a_probe_of_a_closed_address_makes_no_connection_and_says_what_to_do() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for host in ["127.0.0.1", "localhost", "127.1"] {
            let Connected::Failed(said) = connect_by(&Egress::default(), host, port).await else { panic!("{host} was reached") };
            assert!(said.contains("operator.egress.allow"), "{said}");
        }
        assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "nobody has connected");
        let open = Egress::new(p861_egress::Rules::parse("localhost", "").expect("rules"));
        assert!(matches!(connect_by(&open, "localhost", port).await, Connected::Millis(_)));
    }
}
