//! The suites of the kinds without an API server.

mod bounds;
mod examples;
mod generated;
