//! Formatting of times, sizes and tables, independent of terminal and hub.

mod clock;
mod fit;
mod line;
mod table;
mod wrap;

pub use clock::{Clock, default_zone};
pub use fit::{Room, fitted, on_screen};
pub use line::{Line, Tone, harmless_json, width};
pub use p861_core::shown::running as elapsed;
pub use table::Table;
