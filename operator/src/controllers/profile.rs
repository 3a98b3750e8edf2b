//! PlatformProfile: whether it is consistent, and which districts use it.

use crate::{context::Context, reconciler::Reconciler};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::ListParams, core::DeserializeGuard};
use p861_core::{conditions, platform::profile};
use p861_crds::{ConditionType, District, PlatformProfile};
use p861_runs::error::{Result, Tried as _};
use p861_runs::status::apply_status_with;
use std::{sync::Arc, time::Duration};

/// Time between reconciles. A profile seldom changes, but districts come and go.
const RECONCILE_INTERVAL: Duration = Duration::from_mins(1);

/// The controller.
pub struct ProfileReconciler;

impl Reconciler for ProfileReconciler {
    type Kind = PlatformProfile;
    const CONDITION: ConditionType = ConditionType::Ready;

    async fn reconcile(&self, context: &Context, object: Arc<PlatformProfile>, now: Timestamp) -> Result<Duration> {
        let name = object.name_any();
        let districts =
            Api::<DeserializeGuard<District>>::all(context.hub.client.clone()).list(&ListParams::default()).await.tried(|| "list the districts".into())?;
        let mut measured: Vec<String> = districts
            .items
            .into_iter()
            .filter_map(|guard| guard.0.ok())
            .filter(|district| district.spec.profile_ref.as_ref().is_some_and(|reference| reference.name == name))
            .map(|district| district.name_any())
            .collect();
        measured.sort();
        let mut status = object.status.clone().unwrap_or_default();
        status.observed_generation = object.metadata.generation;
        status.items = Some(profile::counts(&object.spec));
        status.districts = measured;
        status.conditions = conditions::apply(&status.conditions, &[profile::judge(&object.spec)], object.metadata.generation, now);
        apply_status_with(&context.hub, &Api::all(context.hub.client.clone()), object.as_ref(), object.status.as_ref(), &status).await?;
        Ok(RECONCILE_INTERVAL)
    }
}
