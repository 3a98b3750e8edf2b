//! The suites of the kinds without an API server.

mod examples;
mod generated;
