//! Formatting of times, sizes and tables, independent of terminal and hub.

mod clock;
mod line;
mod table;

pub use clock::{Clock, elapsed};
pub use line::{Line, Tone, harmless_json, width};
pub use table::Table;
