//! Names and connections by the rules.

use crate::rules::{Refused, Rules, RulesError};
use parking_lot::RwLock;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};
use tokio::net::TcpStream;

/// Environment variable with the allow-list, as [`Rules::parse`] reads it.
pub const ALLOW_VARIABLE: &str = "P861_EGRESS_ALLOW";
/// Environment variable with networks of the hub's own cluster, as [`Rules::parse`] reads them.
pub const OWN_VARIABLE: &str = "P861_EGRESS_OWN";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name leads to closed addresses only.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name can't be resolved, or nobody answers.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The rules in force, shared by everything that connects. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Egress(Arc<RwLock<Arc<Rules>>>);

/// Of this process.
static OF_PROCESS: OnceLock<Egress> = OnceLock::new();

impl Egress {
    /// Rules for clients of a test.
    pub fn new(rules: Rules) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// Reads the rules of this process from its environment. A program calls it before it connects anywhere.
    ///
    /// # Errors
    /// [`RulesError`] with the entry that can't be read.
    pub fn configure() -> Result<Self, RulesError> {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let rules = Rules::parse(&variable(ALLOW_VARIABLE), &variable(OWN_VARIABLE))?;
        Ok(OF_PROCESS.get_or_init(|| Self::new(rules)).clone())
    }

    /// The rules of this process, from its environment. If that can't be read nothing is opened.
    pub fn of_process() -> Self {
        if let Some(known) = OF_PROCESS.get() {
            return known.clone();
        }
        Self::configure().unwrap_or_else(|error| {
            tracing::error!("{ALLOW_VARIABLE}, {OWN_VARIABLE}: {error}: no closed address is opened");
            OF_PROCESS.get_or_init(Self::default).clone()
        })
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.0.read().clone()
    }

    /// Puts other rules in force, for connections that are made from now on.
    pub fn replace(&self, rules: Rules) {
        *self.0.write() = Arc::new(rules);
    }

    /// Checks a host that is an address, with or without brackets. A name is checked when it is resolved. HTTP clients resolve names only, so they ask this first.
    ///
    /// # Errors
    /// If the address is closed.
    pub fn check_literal(&self, host: &str) -> Result<(), Refused> {
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => self.rules().permit(host.trim_matches(['[', ']']), address),
            Err(_) => Ok(()),
        }
    }

    /// The addresses of a host that are open.
    ///
    /// # Errors
    /// If the name has no address, or closed ones only.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let rules = self.rules();
        let (mut open, mut refused) = (Vec::new(), None);
        for address in tokio::net::lookup_host((host, port)).await? {
            match rules.permit(host, address.ip()) {
                Ok(()) => open.push(address),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(refused) if open.is_empty() => Err(refused.into()),
            None if open.is_empty() => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
            _ => Ok(open),
        }
    }

    /// Connects by TCP to the first open address of a host that answers. The caller bounds the time.
    ///
    /// # Errors
    /// If the name leads to closed addresses only, or none of the open ones answers.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let addresses = self.resolve(host, port).await?;
        // Exactly these addresses: a second resolution could lead elsewhere.
        Ok(TcpStream::connect(addresses.as_slice()).await?)
    }
}

/// The refusal that an error of a client comes from, however deep.
pub fn cause<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Refused> {
    std::iter::successors(Some(error), |error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // An io::Error's source is that of its payload, and not the payload.
        Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    })
    .find_map(|error| {
        error.downcast_ref::<Refused>().or_else(|| match error.downcast_ref::<ConnectError>() {
            Some(ConnectError::Refused(refused)) => Some(refused),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
    use tokio::net::TcpListener;

    fn egress(allow: &str) -> Egress {
        Egress::new(Rules::parse(allow, "").expect("rules"))
    }

    #[tokio::test]
    async fn fault_e18_the_address_is_checked_that_a_name_leads_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        // Written as an address, as a name, and in the forms that only the resolver understands.
        for host in ["127.0.0.1", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "0"] {
            let refused = egress("").connect(host, port).await.expect_err(host);
            assert!(matches!(refused, ConnectError::Refused(Refused(Place::ThisMachine))), "{host}: {refused}");
        }
        for (allow, host) in [("127.0.0.0/8", "localhost"), ("127.0.0.0/8", "127.1"), ("localhost", "localhost")] {
            egress(allow).connect(host, port).await.unwrap_or_else(|error| panic!("{allow} {host}: {error}"));
        }
        let refused = egress("other.example").connect("localhost", port).await;
        assert!(matches!(refused, Err(ConnectError::Refused(_))));
    }

    #[test]
    fn a_literal_is_checked_with_and_without_brackets_and_a_name_is_not() {
        let egress = egress("10.0.0.1");
        for closed in ["127.0.0.1", "[::1]", "::1", "[::ffff:169.254.169.254]"] {
            assert!(egress.check_literal(closed).is_err(), "{closed}");
        }
        for open in ["10.0.0.1", "203.0.113.1", "localhost", ""] {
            assert!(egress.check_literal(open).is_ok(), "{open}");
        }
    }

    #[tokio::test]
    async fn other_rules_are_in_force_at_once_for_all_that_share_them() {
        let (egress, port) = (egress("127.0.0.0/8"), TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        let (shared, port) = (egress.clone(), port.local_addr().expect("an address").port());
        assert!(shared.resolve("localhost", port).await.is_ok());
        egress.replace(Rules::default());
        assert!(matches!(shared.resolve("localhost", port).await, Err(ConnectError::Refused(_))));
    }

    #[test]
    fn a_refusal_is_found_under_the_errors_of_clients() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let refused = Refused(Place::Metadata);
        for inner in [io::Error::other(refused), io::Error::other(ConnectError::Refused(refused)), io::Error::other(Outer(io::Error::other(refused)))] {
            assert_eq!(cause(&Outer(inner)), Some(&refused));
        }
        assert_eq!(cause(&Outer(io::Error::other("x"))), None);
    }
}
