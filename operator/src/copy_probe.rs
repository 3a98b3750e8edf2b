//! The probe of a drill's copy: `p861-operator probe`, in a pod of the copy. It tries to reach what is outside and says what it reached; what that proves is decided
//! in `p861_core::isolation`.

use crate::copy_dns::outside::{ask, ask_by_tcp};
use futures::{StreamExt as _, stream::FuturesUnordered};
use hickory_proto::rr::{Name, RData, RecordType};
use p861_core::isolation::{PROBE_VARIABLE, ProbeAnswer, ProbeOrder, ProbeTarget, Transport};
use std::{
    collections::BTreeSet,
    error::Error,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::timeout};

/// Where the kubelet reads what a container says at its end.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";
/// How long a connection may take: a lost first packet is sent again after 1 s.
const CONNECT_PATIENCE: Duration = Duration::from_millis(1_500);
/// How long the copy's DNS is waited for: its pod starts beside this one.
const INSIDE_PATIENCE: Duration = Duration::from_mins(1);
const INSIDE_INTERVAL: Duration = Duration::from_millis(250);
const DNS_PORT: u16 = 53;
/// A name that every cluster's DNS has, and that others refuse with an answer.
const ANY_NAME: &str = "kubernetes.default.svc.cluster.local.";

/// Does what the environment says, and writes what it found.
///
/// # Errors
/// If its order can't be read, or its answer not be written.
pub async fn run() -> Result<(), Box<dyn Error>> {
    let order = std::env::var(PROBE_VARIABLE).map_err(|_| format!("{PROBE_VARIABLE} is not set: the operator starts this program in the copy of a drill"))?;
    let order: ProbeOrder = serde_json::from_str(&order).map_err(|error| format!("{PROBE_VARIABLE} can't be read: {error}"))?;
    let answer = probe(&order, DNS_PORT, INSIDE_PATIENCE).await?;
    tracing::info!(?answer, "has tried");
    std::fs::write(TERMINATION_MESSAGE_PATH, serde_json::to_string(&answer)?)?;
    Ok(())
}

/// Tries everything twice: at once, since a plugin may let a new pod out for a moment, and again once the copy's DNS has answered, since another may let nothing
/// pass before it is ready.
async fn probe(order: &ProbeOrder, dns_port: u16, patience: Duration) -> Result<ProbeAnswer, Box<dyn Error>> {
    let none = BTreeSet::new();
    let (mut all, inside) = tokio::join!(reached(&order.targets, &none), inside(order, dns_port, patience));
    let again = reached(&order.targets, &all).await;
    all.extend(again);
    Ok(ProbeAnswer { inside: inside?.err(), reached: all.into_iter().collect() })
}

/// The places of the targets that are reached, of those that weren't before.
async fn reached(targets: &[ProbeTarget], before: &BTreeSet<usize>) -> BTreeSet<usize> {
    let missed = targets.iter().enumerate().filter(|(at, _)| !before.contains(at));
    let tries: FuturesUnordered<_> = missed.map(|(at, target)| async move { (at, is_reached(target).await) }).collect();
    tries.filter_map(|(at, is_reached)| async move { is_reached.then_some(at) }).collect().await
}

async fn is_reached(target: &ProbeTarget) -> bool {
    let address = SocketAddr::new(target.address, target.port);
    match target.transport {
        Transport::Tcp => matches!(timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_))),
        Transport::Dns => match Name::from_ascii(ANY_NAME) {
            Ok(name) => ask(address, &name, RecordType::A).await.is_ok(),
            Err(_) => false,
        },
    }
}

/// Asks each server of the copy's DNS, in datagrams and by TCP. Says why if one does not answer in time.
async fn inside(order: &ProbeOrder, port: u16, patience: Duration) -> Result<Result<(), String>, Box<dyn Error>> {
    let (name, began) = (Name::from_ascii(format!("{}.", order.name))?, Instant::now());
    loop {
        let found = ask_all(order, &name, port).await;
        if found.is_ok() || began.elapsed() >= patience {
            return Ok(found);
        }
        tokio::time::sleep(INSIDE_INTERVAL).await;
    }
}

async fn ask_all(order: &ProbeOrder, name: &Name, port: u16) -> Result<(), String> {
    for address in &order.resolver {
        let (server, record_type) = (SocketAddr::new(*address, port), if address.is_ipv4() { RecordType::A } else { RecordType::AAAA });
        for (how, answer) in [("udp", ask(server, name, record_type).await), ("tcp", ask_by_tcp(server, name, record_type).await)] {
            let answer = answer.map_err(|error| format!("{server}/{how}: {error}"))?;
            if !answer.answers.iter().any(|record| matches!(record.data, RData::A(_) | RData::AAAA(_))) {
                return Err(format!("{server}/{how}: {name} has no address, the answer is {}", answer.metadata.response_code));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use tokio::net::{TcpListener, UdpSocket};

    #[tokio::test]
    async fn fault_e13_a_probe_says_what_it_reaches_and_whether_it_reaches_anything() {
        let here: IpAddr = Ipv4Addr::LOCALHOST.into();
        let open = TcpListener::bind((here, 0)).await.expect("a port");
        let silent = UdpSocket::bind((here, 0)).await.expect("a port");
        let closed = TcpListener::bind((here, 0)).await.expect("a port").local_addr().expect("an address").port();
        let target = |port: u16, transport: Transport| ProbeTarget { what: "x".into(), address: here, port, transport };
        let order = ProbeOrder {
            resolver: vec![here],
            name: "n.svc.cluster.local".into(),
            targets: vec![
                target(closed, Transport::Tcp),
                target(open.local_addr().expect("an address").port(), Transport::Tcp),
                target(silent.local_addr().expect("an address").port(), Transport::Dns),
            ],
        };
        let answer = probe(&order, closed, Duration::from_millis(1)).await.expect("an answer");
        assert_eq!(answer.reached, [1]);
        assert!(answer.inside.is_some_and(|why| why.contains(&format!("127.0.0.1:{closed}/udp"))));
    }
}
