//! What closes the copy of a drill besides its objects ([`crate::objects::prepare`]): what it may connect to, what names mean in it, and the proof that its site
//! enforces that.
//!
//! A copy has a DNS server of its own. [`answer`] decides what it says: names of the original namespaces and of their entrypoints mean the copy, and every other
//! name is missing. Before anything is written, [`judge`] compares what a pod under the copy's policies reaches with what a free pod beside it reaches.

/// Where the DNS server of a copy listens in its pod: a port that needs no right. Its Service has port 53.
pub const COPY_DNS_PORT: u16 = 5353;
/// Environment variable with the order of the DNS server of a copy, a [`CopyZone`] as JSON.
pub const ZONE_VARIABLE: &str = "P861_COPY_ZONE";
/// Environment variable with the order of a probe, a [`ProbeOrder`] as JSON.
pub const PROBE_VARIABLE: &str = "P861_PROBE";

mod directory;
mod egress;
mod names;
mod proof;

pub use directory::{Backend, Directory, Endpoint, Port};
pub use egress::{AllowedEgress, matches_name};
pub use names::{Answer, CLUSTER_DOMAIN, CopyZone, Data, Entrypoint, Question, Record, RecordType, answer, order_of, searches};
pub use proof::{ProbeAnswer, ProbeFacts, ProbeOrder, ProbeTarget, Transport, Verdict, judge, resolver_of, targets};
