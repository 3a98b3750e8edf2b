//! PlatformProfile: whether it is consistent, and which districts use it.

use crate::{
    context::ReadContext,
    driver::{Controller, Decision, DecisionOf},
};
use jiff::Timestamp;
use p861_core::platform::profile;
use p861_crds::{ConditionType, District, PlatformProfile, PlatformProfileStatus};
use p861_runs::{error::Result, hub::districts};
use std::time::Duration;

/// Time between reconciles. A profile seldom changes, but districts come and go.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);

/// The controller. It observes all districts.
pub struct ProfileController;

impl Controller for ProfileController {
    type Kind = PlatformProfile;
    type Status = PlatformProfileStatus;
    type Observed = Vec<District>;
    type Effects = ();
    type Performed = ();
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn observe(&self, context: &ReadContext, _: &PlatformProfile, _: Timestamp) -> Result<Vec<District>> {
        districts(&context.hub.client).await
    }

    fn decide(profile: &PlatformProfile, districts: &Vec<District>, _: Timestamp) -> DecisionOf<Self> {
        let mut status = profile.status.clone().unwrap_or_default();
        status.items = Some(profile::counts(&profile.spec));
        status.districts = profile::users(profile.metadata.name.as_deref().unwrap_or_default(), districts);
        Decision { status, conditions: vec![profile::judge(&profile.spec)], events: Vec::new(), effects: (), requeue: RECONCILE_INTERVAL }
    }
}
