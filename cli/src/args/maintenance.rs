//! Nouns and verbs of the room *maintenance*.

use clap::Subcommand;

/// `p861 window …`
#[derive(Clone, Debug, Subcommand)]
pub enum WindowCommand {
    /// List the maintenance windows
    List,
    /// Show one maintenance window
    Show(super::Name),
}
