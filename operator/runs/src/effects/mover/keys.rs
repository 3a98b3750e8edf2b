//! How a mover gets the keys of its repository: the operator writes them to its standard input.
//!
//! They are in no object of the site. Whoever may read Secrets in the namespace, by a role of Kubernetes or as an account that a restore brought, finds none; and the
//! mover keeps them in its memory only. A mover says by its last line that it waits for them, so they are given again until another line has come, whoever leads then.

use crate::{effects::StepContext, error::words_of, movers::MoverLine};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{AttachParams, AttachedProcess},
};
use p861_core::engine::StepProgress;
use parking_lot::Mutex;
use std::{collections::HashMap, io, sync::Arc, time::Duration};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// How long a pass waits for the mover to say that it has them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of the mover's answer at most.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// The container of a mover's pod.
pub const CONTAINER: &str = "mover";

/// The movers of attempts that this process has begun, by run, and whether it has given each the keys. One that never had them has read nothing of a backup, and so has
/// changed nothing. Of attempts that another process has begun nothing is known.
#[derive(Clone, Debug)]
pub struct KeysGiven {
    /// When the process began.
    since: Timestamp,
    given: Arc<Mutex<HashMap<String, HashMap<String, bool>>>>,
}

impl Default for KeysGiven {
    fn default() -> Self {
        Self { since: Timestamp::now(), given: Arc::default() }
    }
}

impl KeysGiven {
    /// The attempt's mover is about to be made.
    pub(super) fn begin(&self, step_context: &StepContext, mover: &str) {
        if step_context.started >= self.since {
            self.given.lock().entry(step_context.run.uid.clone()).or_default().entry(mover.to_owned()).or_insert(false);
        }
    }

    /// It is about to get the keys.
    pub(super) fn give(&self, run: &str, mover: &str) {
        if let Some(given) = self.given.lock().get_mut(run).and_then(|movers| movers.get_mut(mover)) {
            *given = true;
        }
    }

    /// Whether the mover has certainly never had them.
    pub(super) fn never(&self, run: &str, mover: &str) -> bool {
        self.given.lock().get(run).and_then(|movers| movers.get(mover)) == Some(&false)
    }

    /// Nothing of the run's movers is left.
    pub(super) fn forget(&self, run: &str) {
        self.given.lock().remove(run);
    }
}

/// Gives them to the mover in a pod that is known to be the run's, and says how far that is. One that could not be reached is asked again in the next pass.
pub async fn give(pods: &Api<Pod>, pod: &Pod, keys: &str) -> StepProgress {
    let name = pod.name_any();
    let parameters = AttachParams::default().container(CONTAINER).stdin(true).stdout(true).stderr(false);
    let given = async {
        let process = pods.attach(&name, &parameters).await.map_err(|error| words_of(&error))?;
        hand_over(process, keys).await.map_err(|error| error.to_string())
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, given).await {
        Ok(Ok(line)) => line.progress,
        Ok(Err(error)) => StepProgress::message(format!("its mover can't be given the keys of the repository yet: {error}")),
        Err(_) => StepProgress::message("its mover is being given the keys of the repository"),
    }
}

/// Returns what the mover says next.
async fn hand_over(mut process: AttachedProcess, keys: &str) -> io::Result<MoverLine> {
    let (Some(mut input), Some(output)) = (process.stdin(), process.stdout()) else { return Ok(MoverLine::under_way()) };
    // A line: not every version of a connection tells where a stream ends.
    input.write_all(format!("{}\n", keys.trim()).as_bytes()).await?;
    input.flush().await?;
    let mut lines = BufReader::new(output.take(MAX_ANSWER_BYTES)).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(line) = MoverLine::read(&line).filter(|line| !line.wants_keys) {
            return Ok(line);
        }
    }
    Ok(MoverLine::under_way())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunIdentity;
    use jiff::SignedDuration;
    use p861_core::{engine::StepId, runs::Scope};
    use std::collections::BTreeMap;

    fn attempt(started: Timestamp) -> StepContext {
        let scope = Scope::of_city("p861", ["west"]);
        let run = RunIdentity { kind: "Restore", namespace: "shinan".into(), name: "r".into(), uid: "run-1".into(), repository: "main".into(), scope };
        let (step, deadline) = (StepId::new("restore/a/volume/files").unwrap(), SignedDuration::from_hours(1));
        StepContext { run, step, attempt: 1, started, deadline, inputs: BTreeMap::new(), followers: Vec::new(), leaders: Vec::new() }
    }

    #[test]
    fn fault_i2_only_a_mover_of_this_process_that_never_had_the_keys_has_certainly_changed_nothing() {
        let known = KeysGiven::default();
        let (now, before) = (Timestamp::now(), known.since - SignedDuration::from_secs(1));
        assert!(!known.never("run-1", "m"), "nobody knows of it");
        known.begin(&attempt(before), "m");
        assert!(!known.never("run-1", "m"), "another process may have given it the keys");
        known.begin(&attempt(now), "m");
        assert!(known.never("run-1", "m"));
        known.give("run-1", "m");
        known.begin(&attempt(now), "m");
        assert!(!known.never("run-1", "m"));
        known.begin(&attempt(now), "n");
        known.forget("run-1");
        assert!(!known.never("run-1", "n"));
    }
}
