//! How a mover gets the keys of its repository: the operator writes them to its standard input.
//!
//! They are in no object of the site. Whoever may read Secrets in the namespace, by a role of Kubernetes or as an account that a restore brought, finds none; and the
//! mover keeps them in its memory only. A mover says by its last line that it waits for them, so they are given again until another line has come, whoever leads then.

use crate::{error::words_of, movers::MoverLine};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{AttachParams, AttachedProcess},
};
use p861_core::engine::StepProgress;
use std::{io, time::Duration};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// How long a pass waits for the mover to say that it has them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of the mover's answer at most.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// The container of a mover's pod.
pub const CONTAINER: &str = "mover";

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
