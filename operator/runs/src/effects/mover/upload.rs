//! How fast a backup's mover may upload: as its site, its repository and its policy allow.

use crate::{
    context::RunContext,
    effects::StepContext,
    error::{ErrorContext as _, Result},
    hub::district_of,
};
use kube::Api;
use p861_core::{
    protection::policy::bandwidth::{UploadLimit, UploadLimits},
    runs::MoverTask,
};
use p861_crds::{Backup, BackupPolicy, BackupRepository, Site};

/// The limits of a mover that does this task; none if there are none, or it uploads nothing to speak of.
pub async fn limits(context: &RunContext, step_context: &StepContext, site: &str, task: &MoverTask) -> Result<Option<UploadLimits>> {
    let uploads = matches!(task, MoverTask::BackupObjects { .. } | MoverTask::BackupVolume { .. } | MoverTask::BackupStream { .. } | MoverTask::Seal { .. });
    if !uploads {
        return Ok(None);
    }
    let run = &step_context.run;
    let site: Option<Site> = Api::all(context.hub.client.clone()).get_opt(site).await.context(|| format!("read site {site}"))?;
    let uplink = site.and_then(|site| site.spec.uplink);
    let repositories: Api<BackupRepository> = Api::namespaced(context.hub.client.clone(), &run.namespace);
    let repository = repositories.get_opt(&run.repository).await.context(|| format!("read BackupRepository {}", run.repository))?;
    let policy = policy(context, step_context).await?;
    let found = [
        uplink.and_then(|uplink| UploadLimit::of(uplink.upload_bytes_per_second.as_ref(), &uplink.hours)),
        repository.and_then(|repository| UploadLimit::of(repository.spec.limits.upload_bytes_per_second.as_ref(), &[])),
        policy.and_then(|policy| UploadLimit::of(policy.spec.limits.upload_bytes_per_second.as_ref(), &policy.spec.limits.hours)),
    ];
    let limits: Vec<UploadLimit> = found.into_iter().flatten().collect();
    if limits.is_empty() {
        return Ok(None);
    }
    // Hours are the district's.
    let zone = if limits.iter().any(UploadLimit::depends_on_hours) {
        district_of(&context.hub.client, &run.namespace).await?.spec.time_zone
    } else {
        "UTC".to_owned()
    };
    Ok(Some(UploadLimits { zone, limits }))
}

/// The policy that the run's Backup follows.
async fn policy(context: &RunContext, step_context: &StepContext) -> Result<Option<BackupPolicy>> {
    let run = &step_context.run;
    let backups: Api<Backup> = Api::namespaced(context.hub.client.clone(), &run.namespace);
    let Some(backup) = backups.get_opt(&run.name).await.context(|| format!("read Backup {}", run.name))? else { return Ok(None) };
    let named = backup.spec.policy_ref.map(|policy| policy.name).or_else(|| backup.status.and_then(|status| status.policy));
    let Some(name) = named else { return Ok(None) };
    let policies: Api<BackupPolicy> = Api::namespaced(context.hub.client.clone(), &run.namespace);
    policies.get_opt(&name).await.context(|| format!("read BackupPolicy {name}"))
}
