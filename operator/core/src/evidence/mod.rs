//! Feature area *evidence*: reports.

pub mod compose;
mod html;
mod path;
pub mod report;

pub use html::{Language, render_html, render_html_in};
pub use path::{critical_path, deviations};
pub use report::{DrillReport, Published, ReportError, publish};

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
