//! Why a run has no plan.

use crate::{
    engine::{PlanError, StepIdError},
    time::DurationError,
};

/// The steps of a run can't be compiled from what was declared.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The steps contradict each other.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name can't be part of a step's id.
    #[error(transparent)]
    Step(#[from] StepIdError),
    /// A duration of a spec can't be read.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// What was declared can't be carried out; the message says what to correct.
    #[error("{0}")]
    Invalid(String),
}
