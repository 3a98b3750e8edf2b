//! The rules: a pure function of the host as it was written and the address that it leads to.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What a closed address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The machine or pod that connects.
    ThisMachine,
    /// The link: nobody further away has such an address, and the metadata services of most clouds do.
    LinkLocal,
    /// A metadata service of a cloud, which hands out credentials of the machine.
    Metadata,
    /// A group of machines, or nobody.
    Group,
    /// The hub's own cluster: its Services, pods, nodes and API server.
    OwnCluster,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThisMachine => "the operator's own machine (loopback)",
            Self::LinkLocal => "the link of the operator's machine (link-local)",
            Self::Metadata => "the metadata service of a cloud",
            Self::Group => "a group of machines (multicast or reserved)",
            Self::OwnCluster => "the hub's own cluster",
        })
    }
}

/// A closed address. Neither the host nor the address is part of the message: the URL of a webhook is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address leads to {0}, which is closed: write another one, or have the installation open it (operator.egress.allow of chart p861)")]
pub struct Refused(pub Place);

/// An entry of the allow-list, or a network, that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a network (10.20.0.0/16, fd00::/8), nor an address, nor a host name (minio.example, *.example)")]
pub struct RulesError(String);

/// A host name that is open, whatever it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// This name.
    Exactly(String),
    /// Every name that ends like this; it begins with a dot.
    EndsIn(String),
}

/// Which addresses are closed, and what the installation opens. The default opens nothing and knows no networks of the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    names: Vec<Name>,
    networks: Vec<IpNet>,
    own: Vec<IpNet>,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(address: Ipv6Addr, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(address, length))
}

/// Closed addresses. Networks by RFC 1122, 3927, 4291, 5771 and 1112; metadata services that are not link-local by the documentation of AWS, Alibaba Cloud, Azure,
/// Google Cloud and Oracle Cloud.
const CLOSED: [(IpNet, Place); 14] = [
    (v4(0, 0, 0, 0, 8), Place::ThisMachine),
    (v4(127, 0, 0, 0, 8), Place::ThisMachine),
    (v4(169, 254, 0, 0, 16), Place::LinkLocal),
    (v4(100, 100, 100, 200, 32), Place::Metadata),
    (v4(168, 63, 129, 16, 32), Place::Metadata),
    (v4(192, 0, 0, 192, 32), Place::Metadata),
    (v4(224, 0, 0, 0, 4), Place::Group),
    (v4(240, 0, 0, 0, 4), Place::Group),
    (v6(Ipv6Addr::UNSPECIFIED, 128), Place::ThisMachine),
    (v6(Ipv6Addr::LOCALHOST, 128), Place::ThisMachine),
    (v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), Place::LinkLocal),
    (v6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254), 128), Place::Metadata),
    (v6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254), 128), Place::Metadata),
    (v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8), Place::Group),
];

/// The IPv4 address that an IPv6 address stands for: mapped (RFC 4291), compatible (the same), translated (RFC 6052, 8215), or 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |segments: [u16; 8]| Ipv4Addr::from_bits(u32::from(segments[6]) << 16 | u32::from(segments[7]));
    match address.segments() {
        // ::1 and :: are themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        segments @ ([0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..]) => Some(last(segments)),
        [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

/// An address, and the one that it stands for.
fn forms(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let inner = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => embedded(address).map(IpAddr::V4),
    };
    [Some(address), inner].into_iter().flatten()
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(|net| net.trunc())
}

fn name(text: &str) -> Option<Name> {
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    let (suffix, rest) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text.as_str()),
    };
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if rest.len() > 253 || !rest.split('.').all(label) {
        return None;
    }
    Some(if suffix { Name::EndsIn(format!(".{rest}")) } else { Name::Exactly(rest.to_owned()) })
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty())
}

impl Rules {
    /// Reads the allow-list (networks, addresses, host names, `*.` before a domain) and the hub's own networks. Both are separated by commas or blanks.
    ///
    /// # Errors
    /// [`RulesError`] with the first entry that can't be read.
    pub fn parse(allow: &str, own: &str) -> Result<Self, RulesError> {
        let mut rules = Self::default();
        for entry in entries(allow) {
            match (network(entry), name(entry)) {
                (Some(network), _) => rules.networks.push(network),
                // A number that is no network is a mistake, and no name.
                (None, Some(name)) if entry.bytes().any(|byte| byte.is_ascii_alphabetic()) => rules.names.push(name),
                _ => return Err(RulesError(entry.to_owned())),
            }
        }
        rules.own = entries(own).map(|entry| network(entry).ok_or_else(|| RulesError(entry.to_owned()))).collect::<Result<_, _>>()?;
        Ok(rules)
    }

    /// The same rules with these networks of the hub in addition. What is no network is left out.
    #[must_use]
    pub fn with_own<'a>(mut self, networks: impl IntoIterator<Item = &'a str>) -> Self {
        self.own.extend(networks.into_iter().filter_map(network));
        self.own.sort_unstable();
        self.own.dedup();
        self
    }

    /// The allow-list, as [`Self::parse`] reads it.
    pub fn allow_text(&self) -> String {
        let names = self.names.iter().map(|name| match name {
            Name::Exactly(name) => name.clone(),
            Name::EndsIn(suffix) => format!("*{suffix}"),
        });
        self.networks.iter().map(IpNet::to_string).chain(names).collect::<Vec<_>>().join(",")
    }

    /// The hub's own networks, as [`Self::parse`] reads them.
    pub fn own_text(&self) -> String {
        self.own.iter().map(IpNet::to_string).collect::<Vec<_>>().join(",")
    }

    /// Whether an address is in one of the hub's own networks.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.own.iter().any(|net| net.contains(&address))
    }

    /// Whether `host`, as somebody wrote it, may be connected to at `address`.
    ///
    /// # Errors
    /// [`Refused`] with what the address belongs to.
    pub fn permit(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        if self.opens(host, address) {
            return Ok(());
        }
        for form in forms(address) {
            if let Some((_, place)) = CLOSED.iter().find(|(net, _)| net.contains(&form)) {
                return Err(Refused(*place));
            }
            if self.is_own(form) {
                return Err(Refused(Place::OwnCluster));
            }
        }
        Ok(())
    }

    fn opens(&self, host: &str, address: IpAddr) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let named = self.names.iter().any(|name| match name {
            Name::Exactly(name) => *name == host,
            Name::EndsIn(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        });
        named || forms(address).any(|form| self.networks.iter().any(|net| net.contains(&form)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn permit(rules: &Rules, host: &str, address: &str) -> Option<Place> {
        rules.permit(host, address.parse().expect("an address")).err().map(|refused| refused.0)
    }

    #[test]
    fn fault_e18_closed_by_default_are_the_machine_the_link_metadata_and_the_hubs_own_networks_in_every_form() {
        let rules = Rules::default().with_own(["10.96.0.0/12", "10.244.3.0/24", "192.0.2.7", "fd77::/64"]);
        for (address, place) in [
            ("127.0.0.1", Place::ThisMachine),
            ("127.255.0.9", Place::ThisMachine),
            ("0.0.0.0", Place::ThisMachine),
            ("::", Place::ThisMachine),
            ("::1", Place::ThisMachine),
            ("::ffff:127.0.0.1", Place::ThisMachine),
            ("::127.0.0.1", Place::ThisMachine),
            ("64:ff9b::127.0.0.1", Place::ThisMachine),
            ("64:ff9b:1::a9fe:a9fe", Place::LinkLocal),
            ("2002:7f00:1::", Place::ThisMachine),
            ("169.254.169.254", Place::LinkLocal),
            ("::ffff:169.254.169.254", Place::LinkLocal),
            ("2002:a9fe:a9fe::1", Place::LinkLocal),
            ("fe80::1", Place::LinkLocal),
            ("febf::1", Place::LinkLocal),
            ("100.100.100.200", Place::Metadata),
            ("168.63.129.16", Place::Metadata),
            ("192.0.0.192", Place::Metadata),
            ("fd00:ec2::254", Place::Metadata),
            ("fd20:ce::254", Place::Metadata),
            ("224.0.0.1", Place::Group),
            ("255.255.255.255", Place::Group),
            ("ff02::1", Place::Group),
            ("10.96.0.1", Place::OwnCluster),
            ("10.111.255.255", Place::OwnCluster),
            ("::ffff:10.96.0.1", Place::OwnCluster),
            ("10.244.3.9", Place::OwnCluster),
            ("192.0.2.7", Place::OwnCluster),
            ("fd77::9", Place::OwnCluster),
        ] {
            assert_eq!(permit(&rules, "bucket.example", address), Some(place), "{address}");
        }
        for open in ["10.20.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "203.0.113.9", "10.244.4.1", "192.0.2.8", "2001:db8::1", "fd00::1", "fd78::9"] {
            assert_eq!(permit(&rules, "bucket.example", open), None, "{open}");
        }
    }

    #[test]
    fn fault_e18_an_entry_opens_a_network_or_a_name_and_nothing_beside_it() {
        let rules = Rules::parse("127.0.0.0/8, minio.storage.svc *.lab.example,10.96.7.7", "10.96.0.0/12").expect("rules");
        for (host, address, open) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("x.example", "127.0.0.1", true),
            ("x.example", "::ffff:127.0.0.1", true),
            ("x.example", "::1", false),
            ("minio.storage.svc", "10.96.0.9", true),
            ("MinIO.storage.svc.", "10.96.0.9", true),
            ("evil-minio.storage.svc", "10.96.0.9", false),
            ("minio.storage.svc.evil.example", "10.96.0.9", false),
            ("a.lab.example", "169.254.1.1", true),
            ("a.b.lab.example", "169.254.1.1", true),
            ("lab.example", "169.254.1.1", false),
            (".lab.example", "169.254.1.1", false),
            ("evillab.example", "169.254.1.1", false),
            ("10.96.7.7", "10.96.7.7", true),
            ("10.96.7.8", "10.96.7.8", false),
        ] {
            assert_eq!(permit(&rules, host, address).is_none(), open, "{host} {address}");
        }
        assert_eq!(Rules::parse(&rules.allow_text(), &rules.own_text()).expect("its own text"), rules);
        for wrong in ["http://x", "*", "a/b", "10.0.0.0/33", "1.2.3", "x..y", "*.", "a b:9", "käse", "127.0.0.1:80"] {
            let error = Rules::parse(wrong, "").expect_err(wrong).to_string();
            assert!(error.contains("is neither a network"), "{error}");
        }
        assert!(Rules::parse("", "minio").is_err(), "the hub's networks are networks");
    }

    #[test]
    fn a_refusal_says_what_to_do_and_neither_host_nor_address() {
        let said = Rules::default().permit("secret.example", IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254))).expect_err("closed").to_string();
        assert!(said.contains("link-local") && said.contains("operator.egress.allow"), "{said}");
        assert!(!said.contains("secret") && !said.contains("169"), "{said}");
    }

    proptest! {
        #[test]
        fn fault_e18_an_ipv6_form_of_a_closed_ipv4_address_is_closed(a in any::<u32>()) {
            let four = Ipv4Addr::from_bits(a);
            let [one, two, three, last] = a.to_be_bytes();
            let [high, low] = [u16::from_be_bytes([one, two]), u16::from_be_bytes([three, last])];
            let closed = Rules::default().permit("x", IpAddr::V4(four)).is_err();
            for six in [four.to_ipv6_mapped(), Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low), Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)] {
                prop_assert_eq!(Rules::default().permit("x", IpAddr::V6(six)).is_err(), closed);
            }
        }

        #[test]
        fn whatever_is_written_it_is_read_or_refused(allow in ".{0,60}", own in ".{0,60}") {
            let _ = Rules::parse(&allow, &own);
        }
    }
}
