//! Feature area *platform*: desired state, observed state, and capacity of a district's platform.
//!
//! `facts`: observed state; `desired`: objects to apply; `layers`: gaps; `balance`: comparison of the layers (短板, 一枝独秀); `forecast`: shortages ahead (适度超前);
//! `judge`: combines them into a status.

pub mod age;
pub mod application;
pub mod balance;
pub mod bundle;
pub mod certificate;
pub mod desired;
pub mod district;
pub mod district_standing;
pub mod drift;
pub mod facts;
pub mod forecast;
pub mod items;
pub mod judge;
pub mod kubeconfig;
pub mod layers;
pub mod moves;
pub mod object_limits;
pub mod overlap;
pub mod pattern;
pub mod pod_security;
pub mod profile;
pub mod quota;
pub mod quotas;
pub mod site;
pub mod supply;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
