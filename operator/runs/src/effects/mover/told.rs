//! What a mover is told when it starts. Must not contain secrets.

use super::shared;
use crate::{
    effects::StepContext,
    error::{Error, Result},
};
use p861_core::{engine::StoredObject, names, runs::MoverTask};
use p861_egress::{ALLOW_VARIABLE, Egress};
use serde::Serialize;

/// A variable of JSON.
fn json(name: &'static str, value: &impl Serialize) -> Result<(&'static str, String)> {
    let text = serde_json::to_string(value).map_err(|error| Error::Internal(format!("the mover's {name} can't be written: {error}")))?;
    Ok((name, text))
}

/// Environment of a mover: its task, the steps that it goes on with, and the evidence that the task needs.
///
/// # Errors
/// Never in practice: if they can't be written.
pub fn environment(step_context: &StepContext, task: &MoverTask, inputs: Option<&StoredObject>) -> Result<Vec<(&'static str, String)>> {
    let (run, step) = (&step_context.run, step_context.step.as_str());
    let mut variables = vec![
        json("P861_TASK", task)?,
        ("P861_RUN", run.uid.clone()),
        ("P861_STEP", step.to_owned()),
        ("P861_MOVER", names::mover(&run.uid, step, step_context.attempt)),
        ("P861_HOLDER", format!("{} {}/{}, step {step}", run.kind, run.namespace, run.name)),
        ("P861_LOG", "json".into()),
    ];
    let allowed = Egress::of_process().rules().allow_text();
    if !allowed.is_empty() {
        variables.push((ALLOW_VARIABLE, allowed));
    }
    if let Some(inputs) = inputs {
        variables.push(json("P861_INPUTS", inputs)?);
    }
    let then = shared::next_tasks(step_context);
    if !then.is_empty() {
        variables.push(json("P861_THEN", &then)?);
    }
    Ok(variables)
}
