//! What a person does: types a command of `p861`, applies a manifest, and reads what comes back.

use crate::stage::{DISTRICT, Stage};
use p861_testbed::bed::{BedError, Result};
use serde_json::Value;
use std::process::{Child, Stdio};

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

impl Said {
    /// Everything, for an error.
    pub fn all(&self) -> String {
        format!("exit {}\n{}\n{}", self.code, self.out, self.err)
    }
}

impl Stage {
    /// Types a command without a terminal, and waits for its end.
    pub fn say(&self, arguments: &[&str]) -> Result<Said> {
        let output = self.p861(arguments)?.stdin(Stdio::null()).output();
        let output = output.map_err(|error| BedError::Refused(format!("p861 could not be started: {error}")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// The same, and refuses any other exit code.
    pub fn say_expecting(&self, code: i32, arguments: &[&str]) -> Result<Said> {
        let said = self.say(arguments)?;
        if said.code == code {
            Ok(said)
        } else {
            Err(BedError::Refused(format!("p861 {}: {}, not {code}\n{}", arguments.join(" "), said.all(), self.operator_log())))
        }
    }

    /// Types a command and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Result<Child> {
        let child = self.p861(arguments)?.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child.map_err(|error| BedError::Refused(format!("p861 could not be started: {error}")))
    }

    /// What a command prints with `-o json`, whatever its exit code.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        let said = self.say(&all)?;
        serde_json::from_str(&said.out).map_err(|error| BedError::Refused(format!("p861 {}: {error}: {}", all.join(" "), said.all())))
    }

    /// Creates an object of the district on the hub. One of this name, left by an earlier play on a stage that stays, is deleted first.
    pub fn create(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        if self.standing {
            self.delete(kind, name)?;
        }
        let document =
            serde_json::json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": DISTRICT}, "spec": spec});
        self.apply(self.standby()?, &format!("{}-{name}.json", kind.to_lowercase()), &document.to_string())
    }

    /// Patches an object of the district on the hub (a JSON merge patch).
    pub fn patch(&self, kind: &str, name: &str, patch: &Value) -> Result<()> {
        self.standby()?.kubectl(&["patch", "--namespace", DISTRICT, kind, name, "--type=merge", "--patch", &patch.to_string()]).map(drop)
    }

    /// Deletes an object of the district on the hub, and waits until it is gone.
    pub fn delete(&self, kind: &str, name: &str) -> Result<()> {
        self.standby()?.kubectl(&["delete", "--namespace", DISTRICT, kind, name, "--ignore-not-found", "--timeout=110s"]).map(drop)
    }
}
