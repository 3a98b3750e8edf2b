//! BackupRepository: can it be opened, is it still the same, does it stand elsewhere.

use super::{active_site, all, district_of};
use crate::{context::Context, drive::Drive, metrics::Metrics};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use p861_core::{
    conditions::{self, Verdict},
    protection::choose,
    quantity::print_bytes,
};
use p861_crds::{Backup, BackupRepository, Site, common::Quantity};
use p861_runs::status::{apply_status, event_type, publish_event};
use p861_runs::{
    error::{Error, Result, Tried as _},
    repository,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often a repository is looked at.
const PERIOD: Duration = Duration::from_mins(1);

/// How often it is measured: every object of it is listed for that.
const MEASURED: Duration = Duration::from_hours(1);

/// The controller. It remembers when each repository was measured; a restart only measures once more.
#[derive(Default)]
pub struct RepositoryDriver {
    measured: Mutex<HashMap<String, Instant>>,
}

impl Drive for RepositoryDriver {
    type Kind = BackupRepository;
    const CONDITION: &'static str = "Ready";

    fn gone(&self, metrics: &Metrics, namespace: &str, name: &str) {
        let _ = metrics.repository_ready.remove_label_values(&[namespace, name]);
        let _ = metrics.repository_damaged.remove_label_values(&[namespace, name]);
    }

    async fn pass(&self, context: &Context, repository: Arc<BackupRepository>, now: Timestamp) -> Result<Duration> {
        let (name, namespace) = (repository.name_any(), repository.namespace().unwrap_or_default());
        let mut status = repository.status.clone().unwrap_or_default();
        let opened = repository::open_and_look(&context.hub, &repository, status.repository_id.clone()).await;
        let mut verdicts = Vec::new();
        match &opened {
            Ok(look) => {
                status.repository_id = Some(look.id.clone());
                status.snapshots = i32::try_from(look.snapshots).ok();
                if let Some(bytes) = self.measure(context, &namespace, &name, &look.id).await {
                    status.used = Some(Quantity(print_bytes(bytes)));
                }
                verdicts.push(Verdict::good("Ready", "Opened", "opened, written and read back"));
            }
            Err(error) => verdicts.push(Verdict::bad("Ready", error.reason(), error.to_string())),
        }
        verdicts.push(off_site(context, &namespace, &repository).await);
        let backups: Vec<Backup> = all(&context.hub.client, &namespace).await?;
        let checked = checked(&name, &backups);
        let damaged = checked.reason == "Damaged" && !status.conditions.iter().any(|before| before.type_ == "Checked" && before.reason == "Damaged");
        if damaged {
            publish_event(&context.hub, repository.as_ref(), event_type(true), "RepositoryDamaged", &checked.message).await;
        }
        context.metrics.repository_damaged.with_label_values(&[&namespace, &name]).set(i64::from(checked.reason == "Damaged"));
        verdicts.push(checked);
        context.metrics.repository_ready.with_label_values(&[&namespace, &name]).set(i64::from(opened.is_ok()));
        status.observed_generation = repository.metadata.generation;
        status.conditions = conditions::apply(&status.conditions, &verdicts, repository.metadata.generation, now);
        apply_status(&context.hub, repository.as_ref(), repository.status.as_ref(), &status).await?;
        Ok(if opened.is_ok() { PERIOD } else { PERIOD / 6 })
    }
}

/// What the verifications of its backups found: each walks what its backup needs, a drill reads every byte of it.
fn checked(name: &str, backups: &[Backup]) -> Verdict {
    let here: Vec<&Backup> = backups.iter().filter(|backup| backup.status.as_ref().is_some_and(|status| status.repository.as_deref() == Some(name))).collect();
    let damaged: Vec<&Backup> = here.iter().copied().filter(|backup| choose::is_damaged(backup)).collect();
    if let Some(first) = damaged.first() {
        let conditions = first.status.iter().flat_map(|status| &status.conditions);
        let what = conditions.filter(|condition| condition.type_ == "Verified").map(|condition| condition.message.as_str()).next().unwrap_or_default();
        let names: Vec<String> = damaged.iter().map(|backup| backup.name_any()).collect();
        return Verdict::bad("Checked", "Damaged", format!("repository {name}: backups {} can't be used; {what}", names.join(", ")));
    }
    let newest = here.iter().filter_map(|backup| backup.status.as_ref()?.verification.as_ref()).map(|verification| verification.verified_time.0).max();
    match newest {
        Some(time) => Verdict::good("Checked", "BackupsVerified", format!("no backup in it was found damaged; the last verification was at {time:.0}")),
        None => Verdict::unknown("Checked", "NotYet", "no backup in it was verified yet"),
    }
}

impl RepositoryDriver {
    /// Bytes stored, if it is time to measure. What can't be measured now keeps its last number and is tried again in the next pass.
    async fn measure(&self, context: &Context, namespace: &str, name: &str, id: &str) -> Option<u64> {
        let due = self.measured.lock().unwrap_or_else(PoisonError::into_inner).get(id).is_none_or(|at| at.elapsed() >= MEASURED);
        if !due {
            return None;
        }
        match repository::bytes_stored(&context.hub, namespace, name).await {
            Ok(bytes) => {
                self.measured.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), Instant::now());
                Some(bytes)
            }
            Err(error) => {
                tracing::warn!(namespace, name, "the repository can't be measured: {error}");
                None
            }
        }
    }
}

/// A repository that burns together with the applications that it protects protects nothing.
async fn off_site(context: &Context, namespace: &str, repository: &BackupRepository) -> Verdict {
    let domain = async {
        let district = district_of(&context.hub.client, namespace).await?;
        let site = active_site(&district)?;
        let site: Option<Site> = Api::all(context.hub.client.clone()).get_opt(&site).await.tried(|| format!("read site {site}"))?;
        site.map(|site| site.spec.failure_domain).ok_or_else(|| Error::invalid("SiteMissing", "the district's primary site doesn't exist"))
    };
    let own = &repository.spec.failure_domain;
    match domain.await {
        Ok(domain) if domain == *own => {
            Verdict::bad("OffSite", "SameFailureDomain", format!("repository and applications both stand in {own}: use a bucket elsewhere"))
        }
        Ok(domain) => Verdict::good("OffSite", "OtherFailureDomain", format!("{own}; its applications run in {domain}")),
        Err(error) => Verdict::unknown("OffSite", error.reason(), error.to_string()),
    }
}
