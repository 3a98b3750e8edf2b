//! What a copy may connect to: the entries of `spec.isolation.allowEgress` of its Applications.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a copy may connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedEgress {
    /// Networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// DNS names, in lower case. One may begin with `*.`, for every name below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl AllowedEgress {
    /// Reads the entries.
    ///
    /// # Errors
    /// What is wrong with the first entry that is neither a network nor a DNS name.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a String>) -> Result<Self, String> {
        let mut allowed = Self::default();
        for entry in entries {
            if let Ok(network) = entry.parse::<IpNet>() {
                allowed.networks.push(network.trunc());
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                return Err(format!("{entry} is an address: write it as a network, {}", IpNet::from(address)));
            } else if is_name(entry) {
                allowed.names.push(entry.trim_end_matches('.').to_ascii_lowercase());
            } else {
                return Err(format!("{entry:?} is neither a network, for example 10.20.3.7/32, nor a DNS name, for example ldap.city.example"));
            }
        }
        Ok(allowed)
    }

    /// The networks, as a NetworkPolicy names them.
    pub fn cidrs(&self) -> Vec<String> {
        self.networks.iter().map(IpNet::to_string).collect()
    }

    /// Whether a copy may connect to this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether the copy's DNS may ask outside for this name, which is in lower case and has no dot at its end.
    pub fn names_it(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| matches_name(pattern, name))
    }
}

/// Whether a name is meant by a DNS name that may begin with `*.`. Both are in lower case.
pub fn matches_name(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(below) => name.len() > below.len() && name.ends_with(below),
        None => pattern == name,
    }
}

/// A DNS name of at least two labels, of which the first may be `*`.
fn is_name(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(entries: &[&str]) -> Result<AllowedEgress, String> {
        AllowedEgress::of(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn fault_e14_an_entry_is_a_network_or_a_name() {
        let read = allowed(&["10.20.3.7/32", "10.20.9.9/24", "fd00::/8", "LDAP.city.example.", "*.mail.example"]).expect("read");
        let networks: Vec<String> = read.networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.20.3.7/32", "10.20.9.0/24", "fd00::/8"]);
        assert_eq!(read.names, ["ldap.city.example", "*.mail.example"]);
        for (address, inside) in [("10.20.3.7", true), ("10.20.3.8", false), ("10.20.9.200", true), ("fd12::1", true), ("fe80::1", false)] {
            assert_eq!(read.contains(address.parse().expect("an address")), inside, "{address}");
        }
        for (entry, says) in [
            ("10.20.3.7", "10.20.3.7/32"),
            ("fd00::1", "fd00::1/128"),
            ("10.20.3.7/99", "neither"),
            ("ldap", "neither"),
            ("a b.example", "neither"),
            ("", "neither"),
        ] {
            let why = allowed(&[entry]).expect_err(entry);
            assert!(why.contains(says), "{entry}: {why}");
        }
    }

    #[test]
    fn fault_e14_a_wildcard_means_what_is_below_and_nothing_else() {
        for (pattern, name, matches) in [
            ("ldap.city.example", "ldap.city.example", true),
            ("ldap.city.example", "x.ldap.city.example", false),
            ("*.city.example", "ldap.city.example", true),
            ("*.city.example", "a.b.city.example", true),
            ("*.city.example", "city.example", false),
            ("*.city.example", ".city.example", false),
            ("*.city.example", "evilcity.example", false),
        ] {
            assert_eq!(matches_name(pattern, name), matches, "{pattern} {name}");
        }
    }
}
