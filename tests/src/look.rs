//! Looking at objects of a site, and waiting until they are as they should be.

use crate::reader;
use p861_testbed::bed::{Result, Site, until};
use serde_json::Value;
use std::time::Duration;

/// Reading objects as JSON.
pub trait Look {
    /// What `kubectl get ARGUMENTS --output json` prints, parsed; asked without kubectl.
    fn get(&self, arguments: &[&str]) -> Result<Value>;

    /// Waits until what `kubectl get ARGUMENTS` shows is good. `judge` gives what it wants of it, or what is wrong with it.
    fn wait<T>(&self, what: &str, limit: Duration, arguments: &[&str], judge: impl FnMut(&Value) -> std::result::Result<T, String>) -> Result<T>;

    /// Waits until an object's condition is True.
    fn wait_condition(&self, limit: Duration, object: &[&str], condition: &str) -> Result<Value> {
        let what = format!("{} is {condition}", object.join(" "));
        self.wait(&what, limit, object, |seen| match condition_of(seen, condition) {
            Some(found) if found["status"] == "True" => Ok(seen.clone()),
            Some(found) => Err(found.to_string()),
            None => Err(format!("no condition {condition}; status: {}", seen["status"])),
        })
    }
}

impl Look for Site {
    fn get(&self, arguments: &[&str]) -> Result<Value> {
        reader::get(self, arguments)
    }

    fn wait<T>(&self, what: &str, limit: Duration, arguments: &[&str], mut judge: impl FnMut(&Value) -> std::result::Result<T, String>) -> Result<T> {
        until(&format!("{}: {what}", self.name), limit, || judge(&self.get(arguments).map_err(|error| error.to_string())?))
    }
}

/// A condition of an object.
pub fn condition_of<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

/// Waits until all pods of a workload's newest template are ready.
pub fn wait_rolled_out(site: &Site, limit: Duration, namespace: &str, workload: &str) -> Result<()> {
    let what = format!("{workload} of {namespace} is ready");
    site.wait(&what, limit, &["--namespace", namespace, workload], |seen| {
        let number = |path: &str| seen.pointer(path).and_then(Value::as_i64).unwrap_or_default();
        let wanted = number("/spec/replicas");
        let good = number("/status/observedGeneration") == number("/metadata/generation")
            && number("/status/readyReplicas") == wanted
            && number("/status/updatedReplicas") == wanted
            // None of an older template is left.
            && number("/status/replicas") == wanted;
        if good { Ok(()) } else { Err(format!("{}; pods: {}", seen["status"], pods_of(site, namespace))) }
    })
}

/// The pods of a namespace and what they wait for, for a person.
pub fn pods_of(site: &Site, namespace: &str) -> String {
    site.kubectl(&["get", "pods,events", "--namespace", namespace]).unwrap_or_else(|error| error.to_string())
}
