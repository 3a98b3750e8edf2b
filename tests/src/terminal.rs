//! What a terminal shows of what was written to it: lines that stay, and for a while the screen that a program has taken for itself. It knows the sequences that the
//! programs of the pages write, no others. A shell that marks its prompts as terminals expect it (OSC 133) is heard, too.

use std::collections::VecDeque;

/// What a shell tells the terminal, apart from text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line was taken from the person.
    Accepted,
    /// A command begins: what follows is its own.
    Started,
    /// The command is not complete: another line is wanted.
    Continued,
    /// A prompt: the last command has ended.
    Ended {
        /// With this exit code.
        code: i32,
        /// The lines that stay of what it wrote, without spaces at their ends.
        printed: String,
    },
}

/// A terminal of any width: a line is as long as it was written.
#[derive(Debug, Default)]
pub struct Terminal {
    page: Grid,
    screen: Option<Grid>,
    unread: Vec<u8>,
    events: VecDeque<Event>,
}

#[derive(Debug, Default)]
struct Grid {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

/// A sequence that a terminal obeys.
enum Sequence<'a> {
    Control { parameters: &'a str, verb: char },
    SystemCommand(&'a str),
    Other,
}

impl Terminal {
    /// Takes what was written. A character or sequence whose end is missing waits for it.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        let unread = std::mem::take(&mut self.unread);
        let whole = match std::str::from_utf8(&unread) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => unread.len(),
        };
        let text = String::from_utf8_lossy(&unread[..whole]).into_owned();
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            if character != '\u{1b}' {
                self.grid().write(character);
                rest = &rest[character.len_utf8()..];
                continue;
            }
            let Some((length, sequence)) = sequence(rest) else { break };
            self.obey(&sequence);
            rest = &rest[length..];
        }
        self.unread = [rest.as_bytes(), &unread[whole..]].concat();
    }

    /// The next event that nobody has taken yet.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether a command has ended, and nobody has taken that yet.
    pub fn has_ended(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Ended { .. }))
    }

    /// What a person sees: the program's own screen, or else what was written since the last line was typed.
    pub fn shown(&self) -> String {
        self.screen.as_ref().unwrap_or(&self.page).text()
    }

    fn grid(&mut self) -> &mut Grid {
        self.screen.as_mut().unwrap_or(&mut self.page)
    }

    fn obey(&mut self, sequence: &Sequence<'_>) {
        match *sequence {
            Sequence::Control { parameters: "?1049", verb: 'h' } => self.screen = Some(Grid::default()),
            Sequence::Control { parameters: "?1049", verb: 'l' } => self.screen = None,
            // Readline takes pasted text between brackets only while it reads a line.
            Sequence::Control { parameters: "?2004", verb: 'l' } => self.begin(Event::Accepted),
            Sequence::Control { parameters, verb } => self.grid().move_or_erase(parameters, verb),
            Sequence::SystemCommand("133;C") => self.begin(Event::Started),
            Sequence::SystemCommand("133;P;k=s") => self.events.push_back(Event::Continued),
            Sequence::SystemCommand(command) => {
                if let Some(code) = command.strip_prefix("133;D;").and_then(|code| code.parse().ok()) {
                    self.events.push_back(Event::Ended { code, printed: self.page.text() });
                }
            }
            Sequence::Other => {}
        }
    }

    /// What was shown before belongs to an earlier line.
    fn begin(&mut self, event: Event) {
        self.page = Grid::default();
        self.events.push_back(event);
    }
}

impl Grid {
    fn text(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect();
        lines.join("\n").trim_end().to_owned()
    }

    fn line(&mut self) -> &mut Vec<char> {
        if self.lines.len() <= self.row {
            self.lines.resize(self.row + 1, Vec::new());
        }
        &mut self.lines[self.row]
    }

    fn write(&mut self, character: char) {
        match character {
            '\r' => self.column = 0,
            '\n' => {
                self.row += 1;
                self.line();
            }
            '\u{8}' => self.column = self.column.saturating_sub(1),
            '\t' => (self.column..self.column / 8 * 8 + 8).for_each(|_| self.write(' ')),
            control if control.is_control() => {}
            character => {
                let at = self.column;
                let line = self.line();
                if line.len() <= at {
                    line.resize(at + 1, ' ');
                }
                line[at] = character;
                self.column += 1;
            }
        }
    }

    fn move_or_erase(&mut self, parameters: &str, verb: char) {
        let mut numbers = parameters.split(';').map(|number| number.parse::<usize>().ok());
        let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
        let count = first.unwrap_or(1).max(1);
        let (row, column) = (self.row, self.column);
        match verb {
            'A' => self.row = row.saturating_sub(count),
            'B' => self.row = row + count,
            'C' => self.column = column + count,
            'D' => self.column = column.saturating_sub(count),
            'G' => self.column = count - 1,
            'H' | 'f' => (self.row, self.column) = (count - 1, second.unwrap_or(1).max(1) - 1),
            'J' if first.unwrap_or(0) == 0 => {
                self.line().truncate(column);
                self.lines.truncate(row + 1);
            }
            'J' => self.lines.clear(),
            'K' if first.unwrap_or(0) == 0 => self.line().truncate(column),
            'K' if first == Some(2) => self.line().clear(),
            _ => {}
        }
    }
}

/// The sequence at the beginning of a text, and how long it is; none if its end is missing.
fn sequence(text: &str) -> Option<(usize, Sequence<'_>)> {
    let rest = &text[1..];
    match rest.chars().next()? {
        '[' => {
            let at = rest[1..].find(|character: char| ('\u{40}'..='\u{7e}').contains(&character))?;
            let verb = rest[1 + at..].chars().next()?;
            Some((at + 3, Sequence::Control { parameters: &rest[1..=at], verb }))
        }
        ']' => {
            let ends = ["\u{7}", "\u{1b}\\"].into_iter().filter_map(|end| rest.find(end).map(|at| (at, end.len())));
            let (at, length) = ends.min()?;
            Some((1 + at + length, Sequence::SystemCommand(&rest[1..at])))
        }
        '(' | ')' => rest[1..].chars().next().map(|set| (2 + set.len_utf8(), Sequence::Other)),
        other => Some((1 + other.len_utf8(), Sequence::Other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(written: &str) -> String {
        let mut terminal = Terminal::default();
        // However the bytes come.
        written.as_bytes().chunks(3).for_each(|bytes| terminal.feed(bytes));
        terminal.shown()
    }

    #[test]
    fn a_line_that_is_drawn_again_stands_there_once() {
        assert_eq!(shown("⠋ Building … 0s\r\u{1b}[2K⠙ Building … 1s\r\u{1b}[2KBuilding … took 1 s\r\nDone\r\n"), "Building … took 1 s\nDone");
        assert_eq!(shown("one\r\ntwo\u{1b}[K\r\u{1b}[1A\u{1b}[1Gsaved\u{1b}[K\r\nsealed\u{1b}[K\u{1b}[J\r\n"), "saved\nsealed");
        assert_eq!(shown("a\tb\r\n\u{1b}[1;32mgood\u{1b}[0m   \r\n\r\n"), "a       b\ngood");
    }

    #[test]
    fn a_screen_that_a_program_takes_leaves_nothing_behind() {
        let taken = "before\r\n\u{1b}[?1049h\u{1b}[?25l\u{1b}[1;1H▸ one\u{1b}[K\r\n\u{1b}[1;1H✓ one\u{1b}[K\r\n? hold\u{1b}[K\u{1b}[J";
        assert_eq!(shown(taken), "✓ one\n? hold");
        assert_eq!(shown(&format!("{taken}\u{1b}[?1049l\u{1b}[?25hafter\r\n")), "before\nafter");
    }

    #[test]
    fn a_shell_s_marks_are_heard_and_the_page_begins_with_the_command() {
        let mut terminal = Terminal::default();
        terminal.feed(b"\x1b[?2004h\x1b]133;D;0\x07$ false\r\n\x1b[?2004l\r\x1b]133;C\x07said\r\n\x1b[?2004h\x1b]133;D;1\x1b\\$ ");
        let events: Vec<Event> = std::iter::from_fn(|| terminal.event()).collect();
        let ended = |code: i32, printed: &str| Event::Ended { code, printed: printed.to_owned() };
        assert_eq!(events, [ended(0, ""), Event::Accepted, Event::Started, ended(1, "said")]);
        terminal.feed(b"cat <<EOF\r\n\x1b[?2004l\r\x1b[?2004h\x1b]133;P;k=s\x07> ");
        assert_eq!((terminal.event(), terminal.event(), terminal.event()), (Some(Event::Accepted), Some(Event::Continued), None));
    }
}
