//! Exit codes: the same table for every command.

use std::process::ExitCode;

/// How a command ended, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// Done, and good.
    Good = 0,
    /// An unexpected error.
    Unexpected = 1,
    /// Wrong usage; nothing was sent.
    Usage = 2,
    /// Refused; nothing was changed.
    Refused = 3,
    /// Done, and bad: a check, a run or an objective failed, or a gap exists.
    Bad = 4,
    /// A person is waited for.
    Person = 5,
    /// The hub, a bucket or a site cannot be reached.
    Unreachable = 6,
    /// `--timeout` passed; the run goes on.
    Timeout = 7,
    /// Ctrl-C; the run goes on.
    Interrupted = 130,
}

impl ExitStatus {
    /// Good or bad.
    pub fn judged(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::ExitStatus::*;

    #[test]
    fn the_codes_are_those_of_the_table() {
        let codes = [Good, Unexpected, Usage, Refused, Bad, Person, Unreachable, Timeout, Interrupted].map(super::ExitStatus::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 130]);
    }
}
