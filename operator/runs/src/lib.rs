//! The executor of runs: journal, engine and effects. A library, so that the operator, a site's agent and the command line can all execute runs.

#![warn(clippy::missing_errors_doc)]

pub mod alertmanager;
pub mod context;
pub mod controller;
pub mod district;
pub mod effects;
pub mod error;
pub mod finalizer;
pub mod folders;
pub mod guard;
pub mod http_client;
pub mod hub;
pub mod hub_object;
pub mod kind;
pub mod leadership;
pub mod metrics;
pub mod movers;
pub mod object_path;
pub mod own_program;
pub mod owned_maps;
pub mod places;
pub mod printable;
pub mod repository;
pub mod run_objects;
pub mod secrets;
pub mod sharing;
pub mod sites;
pub mod slots;
pub mod status;
pub mod thinking;
pub mod tls;
pub mod volume_nodes;
pub mod workers;

mod admissions;
mod asking;
mod cache;
mod decoding;
mod executor;
mod journal;
mod occupancy;
mod pass;
mod tasks;
mod view;

pub use admissions::Admissions;
pub use cache::{RunCache, RunIdentity};
pub use context::{ComponentState, Hub, MoverSettings, RunContext};
pub use effects::{EffectOutcome, Effects, StepContext};
pub use executor::Executor;
pub use journal::{JournalKeys, JournalStore, KEY_SECRET, RecordStore, RunRecord, Sealing, StoredRun, plan_content};
pub use kind::{Readiness, RunKind, RunPlace};
pub use metrics::RunMetrics;
pub use occupancy::Occupancy;
pub use pass::{Pass, Stored, forget, load, pass};
pub use tasks::EffectTasks;
pub use view::view;
