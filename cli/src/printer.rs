//! Output. Results go to stdout, messages to stderr; a closed pipe is not an error.

use crate::{
    error::Failure,
    format::{Line, Room, Tone, fitted, harmless_json},
    text::{Bilingual, Language},
};
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};

/// Forms of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table or page for people.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// The objects, as kubectl prints them.
    Json,
    /// The same as YAML.
    Yaml,
    /// kind/name, one a line.
    Name,
    /// A page for a browser; only of reports.
    Html,
}

/// A terminal that claims to be narrower than this gets lines of any length.
const NARROWEST: usize = 20;

/// Whether stdin and stdout are terminals.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seat {
    /// A program, or a file.
    Program,
    /// A person at a terminal that can only be written on, line by line.
    Lines,
    /// A person at a terminal that can be drawn on.
    Screen,
}

/// Prints in one language and form.
#[derive(Clone, Debug)]
pub struct Printer {
    /// The language of people's text.
    pub language: Language,
    /// The form of answers.
    pub output: Output,
    seat: Seat,
    /// Whether lines are laid out for the width of a terminal.
    to_terminal: bool,
    colour_out: bool,
    colour_err: bool,
}

impl Printer {
    /// A printer for this process's stdout and stderr.
    pub fn new(language: Language, output: Output) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let plain = dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let seat = match (out && io::stdin().is_terminal(), dumb) {
            (false, _) => Seat::Program,
            (true, true) => Seat::Lines,
            (true, false) => Seat::Screen,
        };
        Self { language, output, seat, to_terminal: out, colour_out: out && !plain, colour_err: err && !plain }
    }

    /// Whether a person sits at stdout, and at stdin, who can be asked.
    pub fn interactive(&self) -> bool {
        self.seat != Seat::Program
    }

    /// Whether colour may be used on stdout.
    pub fn colour(&self) -> bool {
        self.colour_out
    }

    /// Prints a line of the answer.
    pub fn line(&self, line: &Line) {
        self.lines(std::slice::from_ref(line));
    }

    /// Prints lines of the answer, laid out for the terminal. A program, and who asks for `--wide`, gets each row on one line.
    pub fn lines(&self, lines: &[Line]) {
        let wide = self.output == Output::Wide;
        let columns = (self.to_terminal && !wide).then(terminal_columns).flatten();
        for line in fitted(lines, Room { columns, every_column: wide }) {
            self.out(&line.render(self.colour_out));
        }
    }

    /// Prints a text of the answer.
    pub fn say(&self, text: &Bilingual) {
        self.line(&Line::of(text.pick(self.language)));
    }

    /// Prints text as it is, for another program or a file.
    #[expect(clippy::unused_self, reason = "everything that is printed goes through a printer")]
    pub fn raw(&self, text: &str) {
        let mut out = io::stdout().lock();
        // A reader that has seen enough (`| head`) closes the pipe: there is nobody left to tell.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn out(&self, text: &str) {
        self.raw(&format!("{text}\n"));
    }

    /// Prints a line beside the answer.
    pub fn note(&self, line: &Line) {
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "{}", line.render(self.colour_err));
    }

    /// Prints a remark beside the answer.
    pub fn remark(&self, text: &Bilingual) {
        self.note(&Line::of(text.pick(self.language)));
    }

    /// Prints a warning beside the answer.
    pub fn warn(&self, text: &Bilingual) {
        self.note(&Line::toned(Tone::Warn, "! ").with(text.pick(self.language)));
    }

    /// Prints a failure: one line.
    pub fn failure(&self, failure: &Failure) {
        let head = match self.language {
            Language::Zh => "错误：",
            Language::En => "error: ",
        };
        self.note(&Line::toned(Tone::Bad, head).with(failure.text.pick(self.language)));
    }

    /// Whether a run is watched in a view that lives, rather than line by line.
    pub fn live(&self) -> bool {
        self.seat == Seat::Screen && matches!(self.output, Output::Table | Output::Wide)
    }

    /// Whether the answer is for a program.
    pub fn structured(&self) -> bool {
        matches!(self.output, Output::Json | Output::Yaml)
    }

    /// Prints an answer for programs, as JSON or YAML.
    pub fn structure<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let unwritable = |why: String| Failure::unexpected(crate::text::unwritable(&why));
        if self.output == Output::Yaml {
            let value = serde_json::to_value(value).map_err(|error| unwritable(error.to_string()))?;
            self.raw(&serde_saphyr::to_string(&value).map_err(|error| unwritable(error.to_string()))?);
        } else {
            self.out(&harmless_json(&serde_json::to_string_pretty(value).map_err(|error| unwritable(error.to_string()))?));
        }
        Ok(())
    }

    /// Prints one change while watching: a JSON object on a line, or a YAML document.
    pub fn change<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        if self.output == Output::Yaml {
            self.out("---");
            return self.structure(value);
        }
        self.out(&harmless_json(&serde_json::to_string(value).map_err(|error| Failure::unexpected(crate::text::unwritable(&error.to_string())))?));
        Ok(())
    }
}

/// Columns of the terminal: what `COLUMNS` says, else what the terminal says.
fn terminal_columns() -> Option<usize> {
    let stated = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let measured = || crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns));
    stated.or_else(measured).filter(|columns| *columns >= NARROWEST)
}
