//! Room *platform*: what a district's platform ought to be on its sites, how it stands, and what it can carry.
//!
//! `facts` is what was seen, `desired` what ought to be there, `layers` what is not as declared; `balance` compares the layers (短板, 一枝独秀), `forecast` looks
//! ahead (适度超前), `judge` puts it together into a status that explains itself.

pub mod balance;
pub mod bundle;
pub mod certificate;
pub mod desired;
pub mod drift;
pub mod facts;
pub mod forecast;
pub mod items;
pub mod judge;
pub mod layers;
pub mod profile;
pub mod quota;
pub mod supply;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
