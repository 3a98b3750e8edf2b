//! The terminal of the live view. It is always restored.

use crate::{
    error::{Failure, Result},
    format::Line,
    text,
};
use crossterm::{
    cursor::{Hide, MoveTo, MoveToColumn, MoveUp, Show},
    event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    queue,
    terminal::{self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen},
};
use rustix::termios::{QueueSelector, tcflush};
use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// Placement of the view on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Full screen; the previous content is restored afterwards.
    Whole,
    /// Inline, below earlier output; its last state remains.
    Below,
}

/// A key that means something, or text for a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Ctrl-C.
    Interrupt,
    /// Return.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Up.
    Up,
    /// Down.
    Down,
    /// The terminal has another size now.
    Resize,
}

/// The terminal, in raw mode until this is dropped.
pub struct Screen {
    stand: Stand,
    colour: bool,
    /// The lines that stand there.
    shown: Vec<String>,
    /// The terminal's size when they were drawn.
    size: Option<(u16, u16)>,
    stop: Arc<AtomicBool>,
}

/// How often the keyboard looks whether it is still wanted.
const KEYBOARD_PATIENCE: Duration = Duration::from_millis(100);

fn trouble(error: io::Error) -> Failure {
    Failure::unexpected(text::terminal_trouble(&error.to_string()))
}

impl Screen {
    /// Takes the terminal, and listens to its keys.
    pub fn take(stand: Stand, colour: bool) -> Result<(Self, mpsc::UnboundedReceiver<Key>)> {
        terminal::enable_raw_mode().map_err(trouble)?;
        // What was typed before the view was there is not for its keys: of a pasted block the rest would pause the run, skip a step, or abort it.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        let screen = Self { stand, colour, shown: Vec::new(), size: None, stop: Arc::new(AtomicBool::new(false)) };
        let mut out = io::stdout();
        if stand == Stand::Whole {
            queue!(out, EnterAlternateScreen).map_err(trouble)?;
        }
        queue!(out, Hide).and_then(|()| out.flush()).map_err(trouble)?;
        let (sender, keys) = mpsc::unbounded_channel();
        let stop = screen.stop.clone();
        std::thread::spawn(move || listen(&stop, &sender));
        Ok((screen, keys))
    }

    /// Rows and columns for drawing. The last column stays free, so that nothing wraps.
    pub fn size(&self) -> (usize, usize) {
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        let rows = if self.stand == Stand::Whole { rows } else { rows.saturating_sub(1) };
        (usize::from(rows.max(1)), usize::from(columns.saturating_sub(1).max(1)))
    }

    /// Draws lines instead of those before: those that differ.
    pub fn draw(&mut self, lines: &[Line]) -> Result<()> {
        self.write(lines).map_err(trouble)
    }

    fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        let lines: Vec<String> = lines.iter().map(|line| line.render(self.colour)).collect();
        let size = terminal::size().ok();
        // What a terminal does with its lines when it becomes wider or narrower nobody knows.
        let anew = self.shown.is_empty() || size != self.size;
        if !anew && lines == self.shown {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&drawing(self.stand, &self.shown, &lines, anew)?)?;
        (self.shown, self.size) = (lines, size);
        out.flush()
    }
}

/// What is written so that lines stand where others are shown: those that differ, or `anew` all of them. The cursor stands in the last one, before and afterwards.
fn drawing(stand: Stand, shown: &[String], lines: &[String], anew: bool) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    queue!(out, BeginSynchronizedUpdate)?;
    match (stand, u16::try_from(shown.len()).unwrap_or(u16::MAX)) {
        (Stand::Whole, _) => queue!(out, MoveTo(0, 0))?,
        (Stand::Below, 0 | 1) => queue!(out, MoveToColumn(0))?,
        (Stand::Below, drawn) => queue!(out, MoveUp(drawn - 1), MoveToColumn(0))?,
    }
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            out.write_all(b"\r\n")?;
        }
        if anew || shown.get(number) != Some(line) {
            out.write_all(line.as_bytes())?;
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
    }
    if anew {
        queue!(out, Clear(ClearType::FromCursorDown))?;
    } else if lines.len() < shown.len() {
        out.write_all(b"\r\n")?;
        queue!(out, Clear(ClearType::FromCursorDown), MoveUp(1))?;
    }
    queue!(out, EndSynchronizedUpdate)?;
    Ok(out)
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut out = io::stdout();
        // Nothing can be done about a terminal that went away.
        let _ = match self.stand {
            Stand::Whole => queue!(out, LeaveAlternateScreen, Show),
            Stand::Below => queue!(out, Show).and_then(|()| if self.shown.is_empty() { Ok(()) } else { out.write_all(b"\r\n") }),
        };
        let _ = out.flush();
        let _ = terminal::disable_raw_mode();
    }
}

fn listen(stop: &AtomicBool, keys: &mpsc::UnboundedSender<Key>) {
    while !stop.load(Ordering::Relaxed) {
        match event::poll(KEYBOARD_PATIENCE) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) => return,
        }
        let Ok(event) = event::read() else { return };
        if let Some(key) = meaning(&event)
            && keys.send(key).is_err()
        {
            return;
        }
    }
}

fn meaning(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Resize),
        Event::Key(KeyEvent { code, modifiers, kind, .. }) if *kind != KeyEventKind::Release => match code {
            KeyCode::Char('c' | 'C') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Interrupt),
            KeyCode::Char(c) if !modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => Some(Key::Char(*c)),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Esc => Some(Key::Escape),
            KeyCode::Backspace => Some(Key::Backspace),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    fn drawn(stand: Stand, shown: &[String], lines: &[String], anew: bool) -> String {
        String::from_utf8(drawing(stand, shown, lines, anew).expect("drawn")).expect("UTF-8")
    }

    #[test]
    fn only_lines_that_differ_are_written_again() {
        let before = texts(&["Drill d 0:01", "alpha", "beta", "gamma"]);
        let whole = drawn(Stand::Whole, &[], &before, true);
        assert!(before.iter().all(|line| whole.contains(line)), "{whole:?}");
        for stand in [Stand::Whole, Stand::Below] {
            let tick = drawn(stand, &before, &texts(&["Drill d 0:02", "alpha", "beta", "gamma"]), false);
            assert!(tick.contains("Drill d 0:02") && !["alpha", "beta", "gamma"].iter().any(|line| tick.contains(line)), "{tick:?}");
            let shorter = drawn(stand, &before, &texts(&["Drill d 0:01", "alpha", "gamma"]), false);
            assert!(shorter.contains("gamma") && !shorter.contains("alpha"), "{shorter:?}");
            assert!(shorter.contains("\r\n\u{1b}[J\u{1b}[1A"), "what stood below is gone, and the cursor is in the last line: {shorter:?}");
            let resized = drawn(stand, &before, &before, true);
            assert!(before.iter().all(|line| resized.contains(line)), "{resized:?}");
        }
    }

    #[test]
    fn sixteen_minutes_of_a_copy_that_stands_are_few_bytes() {
        let rest: Vec<String> = (0..30).map(|number| format!("  ✓ step {number} {}", "of a long plan ".repeat(5))).collect();
        let at = |second: usize| [vec![format!("Drill d · {second}")], rest.clone()].concat();
        let written: usize = (1..960).map(|second| drawn(Stand::Whole, &at(second - 1), &at(second), false).len()).sum();
        assert!(written < 200_000, "{written} bytes");
    }
}
