//! A line of text with tones. Widths are columns of a terminal: a Chinese character has two.

use super::table::Row;
use p861_core::conditions::misleads;
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Meaning of a piece of text, shown as colour. Colour adds no information: marks and words say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
    /// Somebody should look.
    Warn,
    /// Less important.
    Dim,
    /// More important.
    Strong,
}

impl Tone {
    /// The escape sequence that begins it.
    fn begin(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Warn => "\x1b[33m",
            Self::Dim => "\x1b[2m",
            Self::Strong => "\x1b[1m",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    text: String,
    tone: Tone,
}

/// A line of text with tones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    spans: Vec<Span>,
    /// The row of a table that it is. A line that is changed is none any more.
    row: Option<Row>,
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Text from the hub may hold line ends and escape sequences, which a terminal must not obey, and characters that reorder or hide others, by which a person would read
/// something else than is there.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                ' '
            } else if misleads(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// JSON in which such characters are escaped. A program reads the same.
pub fn harmless_json(json: &str) -> String {
    let mut harmless = String::with_capacity(json.len());
    for c in json.chars() {
        // The line ends between its tokens; those in a text are escaped already.
        if misleads(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a text can't fail.
                let _ = write!(harmless, "\\u{unit:04x}");
            }
        } else {
            harmless.push(c);
        }
    }
    harmless
}

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of one piece.
    pub fn of(text: impl AsRef<str>) -> Self {
        Self::new().with(text)
    }

    /// A line of one piece with a tone.
    pub fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Self::new().tone(tone, text)
    }

    /// With more text.
    #[must_use]
    pub fn with(self, text: impl AsRef<str>) -> Self {
        self.tone(Tone::Plain, text)
    }

    /// With more text of a tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        let text = harmless(text.as_ref());
        if !text.is_empty() {
            self.spans.push(Span { text, tone });
        }
        self.row = None;
        self
    }

    /// With another line behind it.
    #[must_use]
    pub fn then(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self.row = None;
        self
    }

    /// As this row of a table.
    pub(super) fn in_row(self, row: Row) -> Self {
        Self { row: Some(row), ..self }
    }

    /// The row of a table that it is.
    pub(super) fn row(&self) -> Option<&Row> {
        self.row.as_ref()
    }

    /// Its characters with their tones.
    pub(super) fn characters(&self) -> Vec<(char, Tone)> {
        self.spans.iter().flat_map(|span| span.text.chars().map(|c| (c, span.tone))).collect()
    }

    /// Adds one of another line's characters.
    pub(super) fn push(&mut self, c: char, tone: Tone) {
        self.row = None;
        match self.spans.last_mut() {
            Some(last) if last.tone == tone => last.text.push(c),
            _ => self.spans.push(Span { text: c.into(), tone }),
        }
    }

    /// Filled with blanks up to a column; at least `gap` blanks if it is already there.
    #[must_use]
    pub fn pad(self, column: usize, gap: usize) -> Self {
        let blanks = column.saturating_sub(self.width()).max(gap);
        self.with(" ".repeat(blanks))
    }

    /// Columns that it takes.
    pub fn width(&self) -> usize {
        self.spans.iter().map(|span| width(&span.text)).sum()
    }

    /// At most so many columns; what is cut off leaves an ellipsis.
    #[must_use]
    pub fn fit(self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mut left = columns.saturating_sub(1);
        let mut spans = Vec::new();
        for span in self.spans {
            let mut text = String::new();
            let mut cut = false;
            for c in span.text.chars() {
                let wide = c.width().unwrap_or(0);
                if wide > left {
                    cut = true;
                    break;
                }
                left -= wide;
                text.push(c);
            }
            spans.push(Span { text, tone: span.tone });
            if cut {
                break;
            }
        }
        if columns > 0 {
            spans.push(Span { text: "…".into(), tone: Tone::Plain });
        }
        Self { spans, row: None }
    }

    /// As text for a terminal, with colour or without.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for span in &self.spans {
            if colour && span.tone != Tone::Plain {
                text.push_str(span.tone.begin());
                text.push_str(&span.text);
                text.push_str("\x1b[0m");
            } else {
                text.push_str(&span.text);
            }
        }
        let end = text.trim_end().len();
        text.truncate(end);
        text
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_columns_and_never_within_a_wide_character() {
        assert_eq!(Line::of("市南区核心业务").fit(14).to_string(), "市南区核心业务");
        assert_eq!(Line::of("市南区核心业务").fit(8).to_string(), "市南区…");
        assert_eq!(Line::of("ab").tone(Tone::Bad, "cdef").fit(4).to_string(), "abc…");
    }

    #[test]
    fn a_terminal_obeys_nothing_that_came_from_the_hub() {
        assert_eq!(Line::of("a\x1b[2J\nb\u{9b}2J").render(true), "a [2J b 2J");
    }

    #[test]
    fn fault_e19_nobody_reads_something_else_than_is_there() {
        assert_eq!(Line::of("drain n3 \u{202e}4n yltnetsni\u{2069}\u{200b}").render(true), "drain n3 \u{fffd}4n yltnetsni\u{fffd}\u{fffd}");
        let value = serde_json::json!({"reason": "a\n\u{9b}2J \u{202e}x\u{e0041}"});
        let text = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|c| c == '\n' || !misleads(c)) && text.contains("\\u009b") && text.contains("\\udb40\\udc41"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value, "a program reads the same");
    }

    #[test]
    fn colour_ends_with_its_piece() {
        assert_eq!(Line::of("a ").tone(Tone::Good, "b").with(" c").render(true), "a \x1b[32mb\x1b[0m c");
    }
}
