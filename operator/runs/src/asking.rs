//! Asks the API server with patience: what passes is waited for, and what it refuses is an answer.

use crate::error::{Error, Result};
use kube::core::Status;
use p861_core::objects::Pace;
use p861_crds::Reason;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How often one request is made until the step fails and is tried again as a whole.
const MAX_TRIES: u32 = 7;
/// Wait before the second try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// How long one answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);

/// Whether the answer concerns this object: asked again at once it would be the same.
fn is_refusal(status: &Status) -> bool {
    let of_webhook = status.message.contains("webhook");
    match status.code {
        // Of 410, the list is begun anew.
        401 | 408 | 410 | 429 => false,
        // Two quotas or two writers at once.
        409 => !(status.reason == "Conflict" && status.message.contains("quota")),
        400..=499 => true,
        500..=599 => of_webhook || is_duplicate(status),
        _ => false,
    }
}

/// Server-side apply can't tell entries with one key apart, such as two variables of one name.
pub(crate) fn is_duplicate(status: &Status) -> bool {
    status.message.contains("duplicate entries for key")
}

/// Whether a dry run was refused because of a webhook that knows none.
pub(crate) fn is_untried(status: &Status) -> bool {
    status.code == 400 && status.message.contains("does not support dry run")
}

/// The fields that an answer names.
pub(crate) fn fields(status: &Status) -> Vec<&str> {
    status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.field.as_str()).collect()
}

/// Makes a request until it is answered. The answer may be a refusal of this object.
///
/// # Errors
/// If the API server can't be reached, doesn't know the account, or the namespace is being deleted.
pub(crate) async fn ask<T, F: Future<Output = kube::Result<T>>>(
    pace: &Mutex<Pace>,
    what: impl Fn() -> String,
    request: impl Fn() -> F,
) -> Result<std::result::Result<T, Box<Status>>> {
    let mut wait = FIRST_WAIT;
    let mut tries = 0;
    loop {
        tries += 1;
        let since = Instant::now();
        let answer = tokio::time::timeout(ANSWER_DEADLINE, request()).await;
        let error = match answer {
            Ok(Ok(value)) => {
                pace.lock().answered(since.elapsed());
                return Ok(Ok(value));
            }
            Ok(Err(kube::Error::SerdeError(error))) => {
                return Err(Error::invalid(Reason::ApiError, format!("{}: the API server's answer can't be read: {error}", what())));
            }
            Ok(Err(kube::Error::Api(status))) if is_refusal(&status) => {
                let error = Error::Kube { what: what(), source: Box::new(kube::Error::Api(status.clone())) };
                if error.reason() == Reason::NamespaceTerminating {
                    return Err(error);
                }
                pace.lock().answered(since.elapsed());
                return Ok(Err(status));
            }
            Ok(Err(error)) => {
                if matches!(&error, kube::Error::Api(status) if matches!(status.code, 429 | 503 | 504)) {
                    pace.lock().refused();
                }
                Error::Kube { what: what(), source: Box::new(error) }
            }
            Err(_) => {
                pace.lock().refused();
                Error::transient(Reason::Unreachable, format!("{}: no answer within {} s", what(), ANSWER_DEADLINE.as_secs()))
            }
        };
        if tries >= MAX_TRIES || error.reason() == Reason::CredentialsRefused {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}
