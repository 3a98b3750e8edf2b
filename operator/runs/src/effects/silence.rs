//! Silences for the duration of a change. Each is short and extended again and again, so that it ends by itself if the operator dies.

use super::{EffectOutcome, StepContext};
use crate::{
    alertmanager::Alertmanager,
    context::RunContext,
    error::{Error, ErrorContext as _, Result},
};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use p861_core::{
    engine::{Evidence, Failure},
    ids::SiteName,
    runs::{Action, AllottedSite, Scope},
};
use p861_crds::{Reason, Site, Time, maintenance::ticket::Silence};
use std::collections::BTreeMap;

/// How long a silence lasts unless it is extended.
const SILENCE_DURATION: SignedDuration = SignedDuration::from_mins(5);
/// A silence is extended when it has less than this left.
const SILENCE_RENEWAL_MARGIN: SignedDuration = SignedDuration::from_mins(3);

/// Creates the silences, or finds those that were created before a crash.
///
/// # Errors
/// If Alertmanager can't be reached or refuses.
pub async fn make(
    context: &RunContext,
    step_context: &StepContext,
    site: &AllottedSite,
    owner: &str,
    labels: &[BTreeMap<String, String>],
) -> Result<EffectOutcome> {
    let alertmanager = match of(context, site).await {
        Ok(Some(alertmanager)) => alertmanager,
        Ok(None) => return Ok(EffectOutcome::Failed(Failure::permanent(Reason::NoAlertmanager, format!("site {site} names no Alertmanager any more")), None)),
        Err(error) => return Err(error),
    };
    let made = stand(&alertmanager, site, owner, labels, Timestamp::now()).await.map_err(|error| hint(step_context, &error))?;
    Ok(EffectOutcome::done(Evidence::Silenced { silences: made.into_iter().map(|silence| silence.id).collect() }))
}

/// Extends the silence of each set of labels, or creates it if it is missing or has expired.
async fn stand(alertmanager: &Alertmanager, site: &SiteName, owner: &str, labels: &[BTreeMap<String, String>], now: Timestamp) -> Result<Vec<Silence>> {
    let (standing, end) = (alertmanager.silences(owner).await?, now + SILENCE_DURATION);
    let mut silences = Vec::new();
    for wanted in labels {
        let id = match standing.iter().find(|silence| silence.is_for(wanted)) {
            Some(silence) => alertmanager.extend(owner, silence, end).await?,
            None => alertmanager.silence(owner, wanted, now, end).await?,
        };
        silences.push(Silence { site: site.to_string(), id, end_time: Time(end) });
    }
    Ok(silences)
}

/// Adds to the error that the requester may do without the silence.
fn hint(step_context: &StepContext, error: &Error) -> Error {
    let message = format!("{error}; mend it, or open the change {} anew with silence: None", step_context.run.name);
    Error::transient(Reason::AlertmanagerUnreachable, message)
}

/// Ends all silences of the owner.
///
/// # Errors
/// If Alertmanager can't be reached or refuses.
pub async fn end(context: &RunContext, site: &AllottedSite, owner: &str) -> Result<EffectOutcome> {
    let Some(alertmanager) = of(context, site).await? else { return Ok(EffectOutcome::done(Evidence::SilencesEnded { ended: 0 })) };
    let standing = alertmanager.silences(owner).await?;
    for silence in &standing {
        alertmanager.end(&silence.id).await?;
    }
    Ok(EffectOutcome::done(Evidence::SilencesEnded { ended: standing.len() as u64 }))
}

/// Extends the silences that a running change has made, and returns them. Each passes the gate again. An unreachable Alertmanager is asked again in the next pass.
pub async fn extend(context: &RunContext, scope: &Scope, made: &[Action], before: &[Silence]) -> Vec<Silence> {
    let now = Timestamp::now();
    let mut all = Vec::new();
    for action in made.iter().filter(|action| scope.permits(action).is_ok()) {
        let Action::Silence { site, owner, labels } = action else { continue };
        let Ok(site) = scope.site(site) else { continue };
        let known: Vec<Silence> = before.iter().filter(|silence| site.as_str() == silence.site).cloned().collect();
        if !known.is_empty() && known.iter().all(|silence| silence.end_time.0.duration_since(now) > SILENCE_RENEWAL_MARGIN) {
            all.extend(known);
            continue;
        }
        let kept = async {
            match of(context, &site).await? {
                Some(alertmanager) => stand(&alertmanager, &site, owner, labels, now).await,
                None => Ok(Vec::new()),
            }
        };
        all.extend(kept.await.unwrap_or_else(|error| {
            tracing::warn!(%site, owner, "silences can't be extended: {error}");
            known
        }));
    }
    all
}

async fn of(context: &RunContext, site: &AllottedSite) -> Result<Option<Alertmanager>> {
    let found: Option<Site> = Api::all(context.hub.client.clone()).get_opt(site.as_str()).await.context(|| format!("read site {site}"))?;
    match found {
        Some(site) => Alertmanager::of(&context.hub.client, &context.hub.leadership, &context.hub.namespace, &site).await,
        None => Ok(None),
    }
}
