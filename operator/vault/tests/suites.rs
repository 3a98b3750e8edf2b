//! The suites of the repository: on a folder and on S3.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test stops where it is wrong")]

mod exact;
mod harmless;
mod repository;
mod s3;
mod support;
