//! Questions to the cluster's DNS, about names that the copy may ask for.

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, RecordType as WireType},
};
use p861_core::isolation::RecordType;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// Where a pod finds whom it asks.
const RESOLVER_FILE: &str = "/etc/resolv.conf";
/// How long one server is waited for. A client waits for 5 s.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Servers that are asked.
const MAX_SERVERS: usize = 3;
/// The longest answer in a datagram that anybody sends, in bytes.
const MAX_DATAGRAM: usize = 4_096;
const PORT: u16 = 53;

/// The cluster's DNS.
#[derive(Debug)]
pub struct Outside {
    servers: Vec<SocketAddr>,
}

impl Outside {
    /// The servers that this pod was given.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn of_pod() -> io::Result<Self> {
        let text = std::fs::read_to_string(RESOLVER_FILE)?;
        Ok(Self { servers: servers(&text) })
    }

    #[cfg(test)]
    pub fn at(server: SocketAddr) -> Self {
        Self { servers: vec![server] }
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// NXDOMAIN if there is no such name; SERVFAIL if nobody has answered.
    pub async fn addresses(&self, name: &str, record_type: RecordType) -> Result<Vec<IpAddr>, ResponseCode> {
        let wire_type = if record_type == RecordType::Aaaa { WireType::AAAA } else { WireType::A };
        let name = Name::from_ascii(format!("{name}.")).map_err(|_| ResponseCode::NXDomain)?;
        for server in &self.servers {
            match ask(*server, &name, wire_type).await {
                Ok(message) if matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) => {
                    return addresses_of(&message, wire_type);
                }
                Ok(message) => tracing::warn!(%server, %name, "the cluster's DNS answers {}", message.metadata.response_code),
                Err(error) => tracing::warn!(%server, %name, "the cluster's DNS does not answer: {error}"),
            }
        }
        Err(ResponseCode::ServFail)
    }
}

fn servers(resolver_file: &str) -> Vec<SocketAddr> {
    let addresses = resolver_file.lines().filter_map(|line| {
        line.split_whitespace().collect::<Vec<_>>().get(..2).and_then(|words| (words[0] == "nameserver").then(|| words[1].parse::<IpAddr>().ok()).flatten())
    });
    addresses.take(MAX_SERVERS).map(|address| SocketAddr::new(address, PORT)).collect()
}

fn addresses_of(message: &Message, wanted: WireType) -> Result<Vec<IpAddr>, ResponseCode> {
    if message.metadata.response_code == ResponseCode::NXDomain {
        return Err(ResponseCode::NXDomain);
    }
    let addresses = message.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) if wanted == WireType::A => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) if wanted == WireType::AAAA => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    Ok(addresses.collect())
}

/// Asks a server, in a datagram, and by TCP if the answer doesn't fit into one. Answers to other questions are waited out.
///
/// # Errors
/// If it doesn't answer in time.
pub async fn ask(server: SocketAddr, name: &Name, record_type: WireType) -> io::Result<Message> {
    let message = question(name, record_type);
    let answer = timeout(PATIENCE, by_datagram(server, &message)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if answer.metadata.truncation { ask_by_tcp(server, name, record_type).await } else { Ok(answer) }
}

/// Asks a server by TCP.
///
/// # Errors
/// If it doesn't answer in time.
pub async fn ask_by_tcp(server: SocketAddr, name: &Name, record_type: WireType) -> io::Result<Message> {
    let message = question(name, record_type);
    timeout(PATIENCE, by_tcp(server, &message)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn question(name: &Name, record_type: WireType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.clone(), record_type));
    message
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

async fn by_datagram(server: SocketAddr, message: &Message) -> io::Result<Message> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connected, the socket takes datagrams of that server only, and learns at once if nobody is there.
    socket.connect(server).await?;
    socket.send(&message.to_vec().map_err(invalid)?).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Ok(answer) = Message::from_vec(&buffer[..length])
            && answer.metadata.id == message.metadata.id
            && answer.queries == message.queries
        {
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, message: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = message.to_vec().map_err(invalid)?;
    stream.write_u16(u16::try_from(bytes.len()).map_err(invalid)?).await?;
    stream.write_all(&bytes).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_pod_asks_is_read_from_its_resolver_file() {
        let text = "search n.svc.cluster.local svc.cluster.local\n# nameserver 9.9.9.9\nnameserver 10.96.0.10\nnameserver fd00::a\nnameserver no\nnameserver\noptions ndots:5\n";
        let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.96.0.10:53", "[fd00::a]:53"]);
    }
}
