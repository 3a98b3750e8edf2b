//! The sockets. Each question is answered by itself; how many at once is bounded.

use super::{
    known::Known,
    outside::Outside,
    reply::{self, Reply},
};
use hickory_proto::op::Message;
use p861_core::isolation::CopyZone;
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};

/// Questions that are answered at once, and connections that are open.
const MAX_AT_ONCE: usize = 256;
/// How long a connection may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest question in a datagram, in bytes.
const MAX_QUESTION: usize = 1_232;
/// Names that are missing and were told in the log; more aren't.
const MAX_TOLD: usize = 500;

struct Shared {
    zone: Arc<CopyZone>,
    known: Known,
    outside: Arc<Outside>,
    /// Names that the log has told as missing.
    told: Mutex<HashSet<String>>,
}

/// The server.
pub struct Server {
    datagrams: Arc<UdpSocket>,
    connections: TcpListener,
    shared: Arc<Shared>,
}

impl Server {
    /// Opens its sockets, for both kinds of addresses if the pod has both.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn bind(zone: Arc<CopyZone>, known: Known, outside: Arc<Outside>, port: u16) -> io::Result<Self> {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let connections = match TcpListener::bind(both).await {
            Ok(listener) => listener,
            // A node without IPv6.
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?,
        };
        let datagrams = Arc::new(UdpSocket::bind(connections.local_addr()?).await?);
        Ok(Self { datagrams, connections, shared: Arc::new(Shared { zone, known, outside, told: Mutex::default() }) })
    }

    /// Where it listens.
    #[cfg(test)]
    pub fn port(&self) -> u16 {
        self.connections.local_addr().map(|address| address.port()).unwrap_or_default()
    }

    /// Answers until a socket fails.
    ///
    /// # Errors
    /// If one does.
    pub async fn serve(self) -> io::Result<()> {
        tokio::try_join!(answer_datagrams(self.datagrams, self.shared.clone()), answer_connections(self.connections, self.shared)).map(drop)
    }
}

async fn answer_datagrams(socket: Arc<UdpSocket>, shared: Arc<Shared>) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(MAX_AT_ONCE));
    let mut buffer = vec![0; MAX_QUESTION];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // A client that is gone by the time of its answer.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) => continue,
            Err(error) => return Err(error),
        };
        // Without room it is lost like any datagram, and asked again.
        let Ok(permit) = room.clone().try_acquire_owned() else { continue };
        let (question, socket, shared) = (buffer[..length].to_vec(), socket.clone(), shared.clone());
        tokio::spawn(async move {
            if let Some(answer) = shared.answer(&question, true).await
                && let Err(error) = socket.send_to(&answer, client).await
            {
                tracing::debug!(%client, "not answered: {error}");
            }
            drop(permit);
        });
    }
}

async fn answer_connections(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(MAX_AT_ONCE));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("a connection is lost: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            // A client that goes away, or is silent, is none.
            let _ = answer_connection(stream, &shared).await;
            drop(permit);
        });
    }
}

async fn answer_connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    loop {
        let length = timeout(IDLE_TIMEOUT, stream.read_u16()).await.map_err(late)??;
        let mut question = vec![0; usize::from(length)];
        timeout(IDLE_TIMEOUT, stream.read_exact(&mut question)).await.map_err(late)??;
        let Some(answer) = shared.answer(&question, false).await else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        timeout(IDLE_TIMEOUT, async {
            stream.write_u16(length).await?;
            stream.write_all(&answer).await
        })
        .await
        .map_err(late)??;
    }
}

impl Shared {
    /// The answer to a question as bytes; none if it is none.
    async fn answer(&self, question: &[u8], in_datagram: bool) -> Option<Vec<u8>> {
        let request = reply::read(question)?;
        let directory = self.known.directory();
        let message = match reply::reply(&request, &self.zone, &directory) {
            Reply::Done(message) => message,
            Reply::AskOutside { mut message, name, record_type } => {
                reply::complete(&mut message, &self.zone, &name, self.outside.addresses(&name, record_type).await);
                message
            }
        };
        self.tell(&request, &message);
        reply::bytes(&request, &message, in_datagram)
    }

    /// Tells each missing name once: what an application looks for in vain.
    fn tell(&self, request: &Message, answer: &Message) {
        use hickory_proto::op::ResponseCode;
        let Some(query) = request.queries.first().filter(|_| answer.metadata.response_code != ResponseCode::NoError) else { return };
        let name = query.name().to_lowercase().to_ascii();
        let mut told = self.told.lock();
        if told.len() < MAX_TOLD && told.insert(name.clone()) {
            tracing::info!(name, code = %answer.metadata.response_code, "has no address in this copy");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::outside::{ask, ask_by_tcp},
        *,
    };
    use hickory_proto::{
        op::ResponseCode,
        rr::{Name, RecordType},
    };

    #[tokio::test]
    async fn fault_e14_it_answers_in_datagrams_and_by_tcp_and_asks_outside_only_what_is_allowed() {
        let zone = |names: &[&str]| {
            let egress = serde_json::json!({"networks": ["10.20.3.0/24"], "names": names});
            Arc::new(serde_json::from_value::<CopyZone>(serde_json::json!({"namespaces": {"n": "n--drill-x"}, "egress": egress})).expect("a zone"))
        };
        let nobody = Arc::new(Outside::at(SocketAddr::from(([127, 0, 0, 1], 9))));
        let inner = Server::bind(zone(&[]), Known::watch(0).0, nobody, 0).await.expect("bound");
        let of_cluster = SocketAddr::from(([127, 0, 0, 1], inner.port()));
        tokio::spawn(inner.serve());
        let server = Server::bind(zone(&["ldap.city.example"]), Known::watch(0).0, Arc::new(Outside::at(of_cluster)), 0).await.expect("bound");
        let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
        tokio::spawn(server.serve());
        let name = |text: &str| Name::from_ascii(text).expect("a name");
        for (asked, code) in
            [("n.svc.cluster.local.", ResponseCode::NoError), ("www.example.com.", ResponseCode::NXDomain), ("ldap.city.example.", ResponseCode::NXDomain)]
        {
            let in_datagram = ask(address, &name(asked), RecordType::A).await.expect("an answer");
            let by_tcp = ask_by_tcp(address, &name(asked), RecordType::A).await.expect("an answer");
            assert_eq!((in_datagram.metadata.response_code, by_tcp.metadata.response_code), (code, code), "{asked}");
        }
    }
}
