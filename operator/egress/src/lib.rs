//! Where the product may connect to.
//!
//! Districts write addresses: of buckets, webhooks, mail servers, registries and probes. The operator stands where more can be reached than a district may reach:
//! its own machine, the metadata service of a cloud, the hub's Services, pods, nodes and API server. [`Rules`] say which addresses are closed and what an installation
//! opens; [`Egress`] resolves names and connects by them. The rule is applied to the address that a name leads to when the connection is made, so a name that
//! leads elsewhere a moment later changes nothing.
//!
//! This crate stands below the vault, which knows nothing of the product's kinds.

#![warn(clippy::missing_errors_doc)]

mod connect;
mod rules;

pub use connect::{ALLOW_VARIABLE, ConnectError, Egress, OWN_VARIABLE, cause};
pub use rules::{Place, Refused, Rules, RulesError};
