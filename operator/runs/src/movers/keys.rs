//! The keys of a mover's repository: on its standard input, where the operator writes them; of a child process in a file that the operator made.

use super::{
    MoverLine,
    work::{WorkError, bad, print_line},
};
use p861_core::protection::policy::bandwidth::UploadLimits;
use p861_crds::Reason;
use p861_vault::{DerivedKey, RepositoryAccess};
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead as _, BufReader, Read},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// What a mover is given, as one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MoverKeys {
    /// What opens the repository.
    #[serde(flatten)]
    pub access: RepositoryAccess,
    /// What the operator has derived of it, if it has: the mover needn't do it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<DerivedKey>,
    /// How fast it may upload; none if there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadLimits>,
}

/// How long a mover waits for them: longer than the operator takes to elect another leader. Its step is tried again.
const PATIENCE: Duration = Duration::from_mins(10);
/// Whether they have come. Until then nothing else is said: the operator hears the last line.
static HAVE_COME: AtomicBool = AtomicBool::new(false);
/// How often it says so: the last line of a pod's log may also be one of its standard error.
const ASK_INTERVAL: Duration = Duration::from_secs(2);
/// The most that is read of them.
const MAX_BYTES: u64 = 64 * 1024;

/// What opens the repository, and how fast may be uploaded to it.
pub(super) async fn access() -> Result<(RepositoryAccess, Option<UploadLimits>), WorkError> {
    let text = match std::env::var_os("P861_ACCESS_FILE") {
        Some(file) => {
            let failed = |error| WorkError::stated(Reason::SecretMissing, format!("{}: {error}", file.display()), false);
            std::fs::read_to_string(&file).map_err(failed)?
        }
        None => given().await?,
    };
    let MoverKeys { access, derived, upload } = serde_json::from_str(&text).map_err(|_| bad("what opens the repository"))?;
    if let Some(key) = &derived {
        p861_vault::take_over(&access, key);
    }
    HAVE_COME.store(true, Ordering::Relaxed);
    Ok((access, upload))
}

/// Whether the mover has what opens the repository.
pub(super) fn have_come() -> bool {
    HAVE_COME.load(Ordering::Relaxed)
}

async fn given() -> Result<String, WorkError> {
    let lost = |why: String| WorkError::stated(Reason::MoverLost, format!("the mover did not get the keys of the repository: {why}"), false);
    let (sender, mut receiver) = oneshot::channel();
    // A thread of its own: one that still reads keeps no process from ending.
    std::thread::spawn(move || drop(sender.send(first_line(std::io::stdin().lock()))));
    let begun = Instant::now();
    let line = loop {
        print_line(&MoverLine::wanting_keys());
        match tokio::time::timeout(ASK_INTERVAL, &mut receiver).await {
            Ok(Ok(Ok(line))) => break line,
            Ok(Ok(Err(error))) => return Err(lost(error.to_string())),
            Err(_) if begun.elapsed() < PATIENCE => {}
            Ok(Err(_)) | Err(_) => return Err(lost(format!("no operator gave them within {} minutes", PATIENCE.as_secs() / 60))),
        }
    };
    // The operator reads it, and knows that they have come.
    print_line(&MoverLine::under_way());
    Ok(line)
}

/// A whole line, of bounded length.
fn first_line(input: impl Read) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(input.take(MAX_BYTES)).read_line(&mut line)?;
    if line.ends_with('\n') { Ok(line) } else { Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "its standard input ended within the first line")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_one_whole_line_of_bounded_length() {
        assert_eq!(first_line(&b"{\"a\": 1}\nmore"[..]).unwrap(), "{\"a\": 1}\n");
        assert!(first_line(&b""[..]).is_err());
        assert!(first_line(&b"{\"a\": "[..]).is_err());
        assert!(first_line(std::io::repeat(b'x')).is_err());
    }

    #[test]
    fn fault_g2_a_mover_is_told_what_opens_the_repository_and_what_was_derived_of_it_if_anything_was() {
        let folder = tempfile::tempdir().unwrap();
        let location = p861_vault::Location::Folder { path: folder.path().to_owned() };
        let access = RepositoryAccess { location, credentials: None, password: "correct horse".into(), id: None };
        for opened in [false, true] {
            let line = serde_json::to_string(&MoverKeys { access: access.clone(), derived: p861_vault::derived(&access), upload: None }).unwrap();
            let told: MoverKeys = serde_json::from_str(&line).unwrap();
            assert!(told.access == access && told.derived.is_some() == opened && !line.contains('\n'), "{opened}");
            p861_vault::Repository::open_or_init(&access).unwrap();
        }
    }

    #[test]
    fn a_line_that_asks_for_keys_is_read_as_such_and_others_are_not() {
        let text = serde_json::to_string(&MoverLine::wanting_keys()).unwrap();
        assert!(MoverLine::read(&text).unwrap().wants_keys);
        assert!(!MoverLine::read(&serde_json::to_string(&MoverLine::under_way()).unwrap()).unwrap().wants_keys);
    }
}
