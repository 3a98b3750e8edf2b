//! ChangeTemplate: whether it can be used, and its digest.

use crate::{
    context::{Context, ReadContext},
    driver::{Controller, Decision, DecisionOf},
    hub_cache::ReadFrom,
};
use jiff::Timestamp;
use p861_core::maintenance::template;
use p861_crds::{ChangeTemplate, ChangeTemplateStatus, ConditionType};
use p861_runs::error::Result;
use std::time::Duration;

/// Time between reconciles. A template doesn't change.
const RECONCILE_INTERVAL: Duration = Duration::from_hours(1);

/// The controller.
pub struct TemplateController;

impl Controller for TemplateController {
    type Kind = ChangeTemplate;
    type Status = ChangeTemplateStatus;
    type Observed = ();
    type Effects = ();
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, _: &ReadContext, _: &ChangeTemplate, _: Timestamp) -> Result<()> {
        Ok(())
    }

    fn decide(object: &ChangeTemplate, (): &(), _: Timestamp) -> DecisionOf<Self> {
        let mut status = object.status.clone().unwrap_or_default();
        status.digest = Some(template::digest(&object.spec));
        Decision { status, conditions: vec![template::ready(&object.spec)], events: Vec::new(), effects: (), requeue: RECONCILE_INTERVAL }
    }
}

/// The templates that apply to a namespace: its own, then the city's.
pub async fn templates_for(context: &Context, source: ReadFrom, namespace: &str) -> Result<Vec<ChangeTemplate>> {
    let mut templates = source.list::<ChangeTemplate>(context, namespace).await?;
    if namespace != context.hub.namespace {
        templates.extend(source.list::<ChangeTemplate>(context, &context.hub.namespace).await?);
    }
    Ok(templates)
}
