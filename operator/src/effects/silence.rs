//! Silences that stand exactly as long as a change goes on. Each ends by itself soon after the last time that it was extended, whoever dies meanwhile.

use super::{Effect, Situation};
use crate::{
    alertmanager::Alertmanager,
    context::Context,
    error::{Error, Result, Tried as _},
};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use p861_core::engine::Failure;
use p861_crds::{Site, Time, maintenance::ticket::Silence};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A silence that nobody extends ends after this time.
const STANDS: SignedDuration = SignedDuration::from_mins(5);
/// It is extended when less than this is left of it.
const EXTENDED_AT: SignedDuration = SignedDuration::from_mins(3);

/// Makes the silences, or finds those that were made before a crash.
pub async fn make(context: &Context, situation: &Situation<'_>, site: &str, owner: &str, labels: &[BTreeMap<String, String>]) -> Result<Effect> {
    let alertmanager = match of(context, site).await {
        Ok(Some(alertmanager)) => alertmanager,
        Ok(None) => return Ok(Effect::Failed(Failure::permanent("NoAlertmanager", format!("site {site} names no Alertmanager any more")), Value::Null)),
        Err(error) => return Err(error),
    };
    let now = Timestamp::now();
    let standing = alertmanager.silences(owner).await.map_err(|error| hint(situation, &error))?;
    let mut ids = Vec::new();
    for wanted in labels {
        let id = match standing.iter().find(|silence| silence.is_for(wanted)) {
            Some(silence) => silence.id.clone(),
            None => alertmanager.silence(owner, wanted, now, now + STANDS).await.map_err(|error| hint(situation, &error))?,
        };
        ids.push(id);
    }
    Ok(Effect::Done(json!({"silences": ids, "message": format!("{} silences", ids.len())})))
}

/// What to do if it can't be: the person who asked for the change may do without.
fn hint(situation: &Situation<'_>, error: &Error) -> Error {
    let message = format!("{error}; mend it, or open the change {} anew with silence: None", situation.run.name);
    Error::transient("AlertmanagerUnreachable", message)
}

/// Ends what stands.
pub async fn end(context: &Context, site: &str, owner: &str) -> Result<Effect> {
    let Some(alertmanager) = of(context, site).await? else { return Ok(Effect::Done(json!({"message": "no Alertmanager any more"}))) };
    let standing = alertmanager.silences(owner).await?;
    for silence in &standing {
        alertmanager.end(&silence.id).await?;
    }
    Ok(Effect::Done(json!({"ended": standing.len()})))
}

/// Extends what stands for a change that goes on, and says what stands. An Alertmanager that can't be asked now is asked in the next pass.
pub async fn extend(context: &Context, sites: &[&str], owner: &str, before: &[Silence]) -> Vec<Silence> {
    let now = Timestamp::now();
    let mut all = Vec::new();
    for site in sites {
        let known: Vec<&Silence> = before.iter().filter(|silence| silence.site == *site).collect();
        if !known.is_empty() && known.iter().all(|silence| silence.end_time.0.duration_since(now) > EXTENDED_AT) {
            all.extend(known.into_iter().cloned());
            continue;
        }
        match extended(context, site, owner, now).await {
            Ok(silences) => all.extend(silences),
            Err(error) => {
                tracing::warn!(site, owner, "silences can't be extended: {error}");
                all.extend(known.into_iter().cloned());
            }
        }
    }
    all
}

async fn extended(context: &Context, site: &str, owner: &str, now: Timestamp) -> Result<Vec<Silence>> {
    let Some(alertmanager) = of(context, site).await? else { return Ok(Vec::new()) };
    let mut silences = Vec::new();
    for standing in alertmanager.silences(owner).await? {
        let end = now + STANDS;
        let id = alertmanager.extend(owner, &standing, end).await?;
        silences.push(Silence { site: site.to_owned(), id, end_time: Time(end) });
    }
    Ok(silences)
}

async fn of(context: &Context, site: &str) -> Result<Option<Alertmanager>> {
    let found: Option<Site> = Api::all(context.client.clone()).get_opt(site).await.tried(|| format!("read site {site}"))?;
    match found {
        Some(site) => Alertmanager::of(&context.client, &context.leadership, &context.namespace, &site).await,
        None => Ok(None),
    }
}
