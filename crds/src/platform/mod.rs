//! Feature area *platform*: sites, districts, profiles, platforms, applications.

pub mod application;
pub mod check;
pub mod district;
pub mod network;
#[expect(clippy::module_inception, reason = "the file has its kind's name, as all others")]
pub mod platform;
pub mod profile;
pub mod site;
pub mod software;
pub mod status;
