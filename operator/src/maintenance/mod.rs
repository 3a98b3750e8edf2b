//! Maintenance beside the controllers: alerts become tickets, people on duty get messages, and a link in a message acknowledges.

pub mod alerts;
pub mod links;
mod mail;
pub mod notify;
pub mod resolution;
mod webhook;
