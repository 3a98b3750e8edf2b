//! Daily samples of usage in a ConfigMap that the Platform owns, the only input of the forecast.

use crate::context::Context;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use p861_core::platform::forecast::{Sample, extend};
use p861_crds::{Platform, Reason, names::PLATFORM_LABEL};
use p861_runs::{
    error::{Error, ErrorContext as _, Result},
    owned_maps::{self, MapContent},
};
use serde_json::json;

/// The key of the records.
const SAMPLES_KEY: &str = "samples.json";

fn name_of(platform: &Platform) -> String {
    format!("{}-platform-history", platform.name_any())
}

fn maps(context: &Context, platform: &Platform) -> Api<ConfigMap> {
    Api::namespaced(context.hub.client.clone(), &platform.namespace().unwrap_or_default())
}

/// Reads the samples. An unreadable ConfigMap is an error, not an empty history, so that it isn't overwritten.
pub async fn read(context: &Context, platform: &Platform) -> Result<Vec<Sample>> {
    let name = name_of(platform);
    let map = maps(context, platform).get_opt(&name).await.context(|| format!("read ConfigMap {name}"))?;
    let Some(text) = map.and_then(|map| map.data?.remove(SAMPLES_KEY)) else { return Ok(Vec::new()) };
    serde_json::from_str(&text).map_err(|error| {
        Error::invalid(Reason::HistoryUnreadable, format!("ConfigMap {name} can't be read: {error}. Correct it, or delete it and lose what was recorded"))
    })
}

/// Adds today's sample unless it exists.
pub async fn record(context: &Context, platform: &Platform, history: &[Sample], next: Sample) -> Result<()> {
    let Some(all) = extend(history, next) else { return Ok(()) };
    let name = name_of(platform);
    let text = serde_json::to_string(&all).map_err(|error| Error::Internal(error.to_string()))?;
    // An existing ConfigMap (perhaps restored by a person) is only extended: some clusters refuse to set an owner later.
    if !history.is_empty() {
        context.hub.leadership.ensure()?;
        let maps = maps(context, platform);
        let patch = json!({"data": {SAMPLES_KEY: text}});
        maps.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.context(|| format!("write ConfigMap {name}"))?;
        return Ok(());
    }
    let labels = Some([(PLATFORM_LABEL.to_owned(), platform.name_any())].into());
    let data = [(SAMPLES_KEY.to_owned(), text)].into();
    owned_maps::apply(&context.hub, platform, &name, MapContent { labels, data, ..MapContent::default() }).await
}
