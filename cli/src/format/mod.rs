//! From facts to lines of text: times, sizes, tables. Nothing here knows a terminal or the hub.

mod clock;
mod line;
mod table;

pub use clock::{Clock, elapsed};
pub use line::{Line, Tone, width};
pub use table::Table;
