//! All steps of a run, if known in advance. A status lists only running ones.

use crate::{error::Result, hub::Hub};
use jiff::SignedDuration;
use p861_core::{
    engine::{Plan, Step},
    runs::{Action, StepKey},
    time::print_duration,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One step of a compiled plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineStep {
    /// Its id.
    pub id: String,
    /// Steps that must be done before it.
    #[serde(default)]
    pub after: Vec<String>,
    /// Whether it is clean-up, which begins when all else has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finally: bool,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// How long it took the last time.
    #[serde(skip)]
    pub expected: Option<SignedDuration>,
}

/// The steps of a plan, in its order. Empty if they are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline(pub Vec<OutlineStep>);

impl Outline {
    /// Reads `steps.json` of a plan's ConfigMap, or the `plan.json` that stands beside a journal.
    pub fn parse(text: &str) -> Option<Self> {
        match serde_json::from_str::<Value>(text).ok()? {
            Value::Array(steps) => serde_json::from_value(Value::Array(steps)).ok().map(Self),
            plan => {
                let steps = plan.get("steps")?.as_array()?;
                let step = |step: &Value| -> Option<OutlineStep> {
                    let before = |kind: &str| step.get(kind).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
                    Some(OutlineStep {
                        id: step.get("id")?.as_str()?.to_owned(),
                        // Some wait for others to be done, some for their end however that is.
                        after: before("after").chain(before("onceSettled")).map(ToOwned::to_owned).collect(),
                        finally: step.get("finally").and_then(Value::as_bool).unwrap_or_default(),
                        deadline: step.get("deadline").and_then(Value::as_str).map(ToOwned::to_owned),
                        expected: None,
                    })
                };
                steps.iter().map(step).collect::<Option<Vec<_>>>().map(Self)
            }
        }
    }

    /// Of a compiled plan.
    pub fn of(plan: &Plan<Action>) -> Self {
        let one = |step: &Step<Action>| OutlineStep {
            id: step.id.to_string(),
            after: step.dependencies().map(ToString::to_string).collect(),
            finally: step.finally,
            deadline: print_duration(step.deadline).ok(),
            expected: None,
        };
        Self(plan.steps().iter().map(one).collect())
    }

    /// With how long each step took the last time.
    #[must_use]
    pub fn expecting(mut self, took: &BTreeMap<String, SignedDuration>) -> Self {
        for step in &mut self.0 {
            step.expected = took.get(&step.id).copied();
        }
        self
    }

    /// The steps in waves: each holds what may run as soon as the waves before it are done. Steps that wait for each other in a circle come late, and the
    /// clean-up, which waits for nothing but the end, comes last.
    pub fn waves(&self) -> Vec<Vec<&str>> {
        let mut waves: Vec<Vec<&str>> = Vec::new();
        let (last, steps): (Vec<&OutlineStep>, Vec<&OutlineStep>) = self.0.iter().partition(|step| step.id.parse() == Ok(StepKey::CleanUp));
        let mut placed: BTreeSet<&str> = BTreeSet::new();
        while placed.len() < steps.len() {
            let open = || steps.iter().filter(|step| !placed.contains(step.id.as_str()));
            let known = |id: &String| placed.contains(id.as_str()) || !self.0.iter().any(|step| step.id == *id);
            let ready: Vec<&str> = open().filter(|step| step.after.iter().all(known)).map(|step| step.id.as_str()).collect();
            let wave = if ready.is_empty() { open().map(|step| step.id.as_str()).collect() } else { ready };
            placed.extend(wave.iter().copied());
            waves.push(wave);
        }
        waves.extend(last.iter().map(|step| vec![step.id.as_str()]));
        waves
    }

    /// The outline under a key of a ConfigMap, if there is one.
    pub async fn read(hub: &Hub, name: &str, key: &str) -> Result<Option<Self>> {
        Self::read_any(hub, name, &[key]).await
    }

    /// The outline under the first of these keys that a ConfigMap has, if there is one.
    pub async fn read_any(hub: &Hub, name: &str, keys: &[&str]) -> Result<Option<Self>> {
        let map = hub.config_map(name).await?;
        Ok(map.and_then(|mut map| keys.iter().find_map(|key| map.remove(*key))).and_then(|text| Self::parse(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_holds_what_may_run_at_once() {
        let outline = Outline::parse(r#"[{"id":"a"},{"id":"b","after":["a"]},{"id":"c","after":["a","gone"]},{"id":"d","after":["b","c"]},{"id":"clean-up"}]"#)
            .expect("an outline");
        assert_eq!(outline.waves(), [vec!["a"], vec!["b", "c"], vec!["d"], vec!["clean-up"]]);
        let circle = Outline::parse(r#"[{"id":"a","after":["b"]},{"id":"b","after":["a"]}]"#).expect("an outline");
        assert_eq!(circle.waves(), [["a", "b"]], "a circle ends too");
    }

    #[test]
    fn the_plan_beside_a_journal_is_an_outline_too() {
        let outline =
            Outline::parse(r#"{"steps":[{"id":"save/a/objects","action":{"x":1}},{"id":"resume/a","after":[],"onceSettled":["save/a/objects"]}],"limits":{}}"#)
                .expect("an outline");
        assert_eq!(outline.0.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(), ["save/a/objects", "resume/a"]);
        assert_eq!(outline.0[1].after, ["save/a/objects"], "what comes once another has ended waits for it");
        assert_eq!(Outline::parse("nonsense"), None);
    }
}
