//! Progress lines for a person who waits: what is being done, and how long it took.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Where progress goes. On a terminal the current step shows a spinner with the elapsed time; elsewhere there are only whole lines.
#[derive(Debug, Clone)]
pub struct Report {
    sink: Sink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Terminal,
    Lines,
    Silent,
}

impl Report {
    /// Reports on standard error, which leaves standard output to the command's own result.
    pub fn stderr() -> Self {
        let sink = if std::io::stderr().is_terminal() { Sink::Terminal } else { Sink::Lines };
        Self { sink }
    }

    /// Reports nothing.
    pub const fn silent() -> Self {
        Self { sink: Sink::Silent }
    }

    /// Prints one line.
    pub fn line(&self, text: &str) {
        if self.sink != Sink::Silent {
            // A closed standard error is no reason to stop the work that was asked for.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Runs `work` and prints `what … took 12 s`, or `what … failed after 12 s`. The error itself is left to the caller to print.
    pub fn timed<T, E>(&self, what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let spinner = (self.sink == Sink::Terminal).then(|| spinner(what));
        if self.sink == Sink::Lines {
            self.line(&format!("{what} …"));
        }
        let start = Instant::now();
        let result = work();
        let took = seconds(start.elapsed());
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        match &result {
            Ok(_) => self.line(&format!("{what} … took {took}")),
            Err(_) => self.line(&format!("{what} … failed after {took}")),
        }
        result
    }
}

fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} … {elapsed}") {
        spinner.set_style(style);
    }
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// `0.4 s`, `12 s`, `9 min 30 s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..120 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_as_a_person_would_say_it() {
        let table = [(412, "0.4 s"), (12_700, "12 s"), (119_999, "119 s"), (570_000, "9 min 30 s")];
        for (milliseconds, text) in table {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn timed_hands_the_error_back_unchanged() {
        let result: Result<(), &str> = Report::silent().timed("work", || Err("no"));
        assert_eq!(result, Err("no"));
    }
}
