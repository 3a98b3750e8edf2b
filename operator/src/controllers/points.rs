//! Recovery points: of the Backups on the hub or, where their objects have gone, of the snapshots in the repositories.

use super::all;
use crate::context::Context;
use jiff::Timestamp;
use p861_core::protection::choose::{self, CataloguedPoint, NoRecoveryPoint, RecoveryPoint};
use p861_crds::{Backup, BackupRepository, Reason, protection::restore::SnapshotReference};
use p861_runs::{
    error::{Category, Error, Result},
    repository,
};

/// The newest sound recovery point of an application, no newer than `not_after`. If no Backup on the hub is old enough, the repositories are asked.
///
/// # Errors
/// `NoRecoveryPoint` if there is none; otherwise that of the hub or of a repository.
pub async fn newest(context: &Context, namespace: &str, application: &str, backups: &[Backup], not_after: Option<Timestamp>) -> Result<RecoveryPoint> {
    let refused = match choose::newest_sound(application, backups, not_after) {
        Ok(point) => return Ok(point),
        Err(refused) => refused,
    };
    let older = match &refused {
        NoRecoveryPoint::AllNewer { .. } | NoRecoveryPoint::AllHalfRestored(_) => {
            choose::newest_catalogued(application, &catalogue(context, namespace).await?, backups, not_after)
        }
        NoRecoveryPoint::None(_) | NoRecoveryPoint::AllDamaged(_) | NoRecoveryPoint::Unread(_) => None,
    };
    older.ok_or_else(|| Error::invalid(Reason::NoRecoveryPoint, refused.to_string()))
}

/// The point of a Backup that is not on the hub any more, by the name that its snapshot keeps.
///
/// # Errors
/// That of the hub or of a repository.
pub async fn of_collected(context: &Context, namespace: &str, backup: &str) -> Result<Option<CataloguedPoint>> {
    let (catalogue, unseen) = catalogues(context, namespace).await?;
    // A name can be used again once its object is gone: the newest is meant.
    let found = catalogue.into_iter().filter(|catalogued| catalogued.point.backup == backup).max_by_key(|catalogued| catalogued.point.time);
    // One repository that can't be opened keeps nothing from being found in another.
    match (found, unseen) {
        (None, Some(error)) => Err(error),
        (found, _) => Ok(found),
    }
}

/// The point of a snapshot.
///
/// # Errors
/// `SnapshotMissing` if its id fits none, or several; otherwise that of the hub or of the repository.
pub async fn of_snapshot(context: &Context, namespace: &str, snapshot: &SnapshotReference) -> Result<CataloguedPoint> {
    let (repository, id) = (&snapshot.repository_ref.name, &snapshot.id);
    let catalogue = repository::catalogue(&context.hub, namespace, repository).await?;
    choose::catalogued_snapshot(id, &catalogue).cloned().ok_or_else(|| {
        let message = format!("repository {repository} has no sealed snapshot whose id begins with {id}, or several: restic snapshots, or p861 backup list");
        Error::invalid(Reason::SnapshotMissing, message)
    })
}

/// The points in all repositories of a namespace.
async fn catalogue(context: &Context, namespace: &str) -> Result<Vec<CataloguedPoint>> {
    match catalogues(context, namespace).await? {
        (points, None) => Ok(points),
        (_, Some(error)) => Err(error),
    }
}

/// The points in all repositories of a namespace that can be read now, and why the first other one can't be. One that isn't declared as it must be is left out: it has no
/// say in what the others hold.
async fn catalogues(context: &Context, namespace: &str) -> Result<(Vec<CataloguedPoint>, Option<Error>)> {
    let repositories: Vec<BackupRepository> = all(&context.hub.client, namespace).await?;
    let (mut points, mut unseen) = (Vec::new(), None);
    for name in repositories.into_iter().filter_map(|repository| repository.metadata.name) {
        match repository::catalogue(&context.hub, namespace, &name).await {
            Ok(found) => points.extend(found),
            Err(error) if error.category() == Category::Invalid => tracing::debug!(namespace, name, "its snapshots are left out: {error}"),
            Err(error) => unseen = unseen.or(Some(error)),
        }
    }
    Ok((points, unseen))
}
