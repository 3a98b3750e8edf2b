//! The suites that prove the product's promises beside a real API server, in one program: `cargo test -p p861-tests --test suites -- SUITE` runs one of them.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod admit_copies;
mod admit_identity;
mod admit_kept;
mod admit_kinds;
mod admit_movers;
mod admit_names;
mod admit_namespaces;
mod admit_records;
mod chart_install;
mod chart_render;
mod chart_rights;
mod chart_rules;
mod cli_commands;
mod foreign_manifests;
mod lease_lost;
mod made_by_operator;
mod maintenance_objects;
mod operator_alone;
mod own_edge;
mod platform_access;
mod platform_objects;
mod policy_slots;
mod restore_objects;
mod runbook_alerts;
mod runbook_pages;
mod scale;
mod security_md;
mod support;
mod told_as_it_is;
mod volume_snapshots;
