//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

use super::error::{BedError, Result};
use super::process::Process;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until `look` gives something. Its error is what was seen instead, and stands in the error when `limit` is over.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> std::result::Result<T, String>) -> Result<T> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(last_seen) if start.elapsed() >= limit => return Err(BedError::NotSo { what: what.to_owned(), limit, last_seen }),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// As [`until`], but over at once when one of these processes has ended: its last words are the error then.
pub fn while_running<T>(processes: &[Process], what: &str, limit: Duration, mut look: impl FnMut() -> std::result::Result<T, String>) -> Result<T> {
    let outcome = until(what, limit, || match processes.iter().find_map(|process| process.check().err()) {
        Some(ended) => Ok(Err(ended)),
        None => look().map(Ok),
    });
    outcome?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_what_was_last_seen() {
        let mut looks = 0;
        let error = until::<()>("the door is open", Duration::from_millis(220), || {
            looks += 1;
            Err(format!("look {looks}: closed"))
        })
        .unwrap_err();
        assert!(looks > 1 && error.to_string().contains(&format!("look {looks}: closed")), "{error}");
    }
}
