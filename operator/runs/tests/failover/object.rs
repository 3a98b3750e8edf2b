//! The object of the sketch, which crds will hold. A drill's status serves it.

use kube::CustomResource;
use p861_crds::{
    DrillStatus, RunObject,
    common::{ObjectReference, RunAction},
};
use serde::{Deserialize, Serialize};

/// What a user asks for.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize)]
#[kube(group = "platform861.io", version = "v1alpha1", kind = "Failover", namespaced, status = "DrillStatus", schema = "disabled")]
#[serde(rename_all = "camelCase")]
pub struct FailoverSpec {
    pub plan_ref: ObjectReference,
    #[serde(default)]
    pub actions: Vec<RunAction>,
}

impl RunObject for Failover {
    type Status = DrillStatus;

    fn run_status(&self) -> Option<&DrillStatus> {
        self.status.as_ref()
    }

    fn actions(&self) -> &[RunAction] {
        &self.spec.actions
    }
}
