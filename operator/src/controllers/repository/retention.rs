//! Retention of a repository: it is looked at every few minutes, what was found is kept for people and for a hub that comes after, and says what is due.

use super::{
    look::{Look, look, zone},
    policies::{Policies, policies},
};
use crate::{
    context::Context,
    controllers::restore::listing::{self, MAX_PARTS, data_of, part_name, parts_of},
    hub_cache::ReadFrom,
};
use jiff::{Timestamp, tz::TimeZone};
use kube::ResourceExt as _;
use p861_core::{
    conditions::ConditionUpdate,
    names::{RETENTION_LIST, retention_of},
    protection::{
        choose,
        prune::{self, Due, DueFacts},
        retention::{Listed, known::asked},
    },
};
use p861_crds::{Backup, BackupRepository, BackupRepositoryStatus, Time, protection::retention::RetentionRun};
use p861_runs::{controller::record_findings, error::Result, owned_maps};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// Time between looks, while nothing is asked for and no snapshot comes or goes.
const LOOK_INTERVAL: Duration = Duration::from_mins(10);
/// Time between writes of a list that takes more than one ConfigMap.
const LONG_LIST_INTERVAL: Duration = Duration::from_hours(1);

/// What was found at the last look.
#[derive(Clone)]
struct Seen {
    at: Instant,
    /// Snapshots of the repository, of whomever.
    snapshots: usize,
    /// What people had asked for.
    asked: BTreeSet<String>,
    policies: Policies,
    /// Snapshots that Backups named and that were not there.
    missing: BTreeSet<String>,
    going: (usize, usize),
}

/// When the list was last written, in how many parts, and what it said.
#[derive(Clone)]
struct Written {
    at: Instant,
    parts: usize,
    listed: Vec<Listed>,
}

/// What is remembered of repositories, by their UIDs. A restart only causes one look more.
#[derive(Default)]
pub struct Retention {
    seen: Mutex<HashMap<String, Seen>>,
    written: Mutex<HashMap<String, Written>>,
}

/// By what is decided whether a run is due.
pub struct Standing {
    going: (usize, usize),
    zone: TimeZone,
}

/// Backups of a repository whose snapshots people have asked to go, and that are there.
fn asked_for(repository: &str, backups: &[Backup]) -> BTreeSet<String> {
    let of_repository = |backup: &&Backup| backup.status.as_ref().is_some_and(|status| status.repository.as_deref() == Some(repository));
    let asked = backups.iter().filter(of_repository).filter(|backup| asked(backup).is_some() && !choose::is_gone(backup));
    // By the number of actions, too: who asks again says more.
    asked.map(|backup| format!("{} {}", backup.name_any(), backup.spec.actions.len())).collect()
}

impl Retention {
    /// Looks at an open repository if that is due, and says what stands.
    ///
    /// # Errors
    /// If the hub or the repository can't be read or written.
    pub async fn stands(&self, context: &Context, repository: &BackupRepository, snapshots: usize, backups: &[Backup], now: Timestamp) -> Result<Standing> {
        let (namespace, name, uid) = (repository.namespace().unwrap_or_default(), repository.name_any(), repository.uid().unwrap_or_default());
        let (asked, policies) = (asked_for(&name, backups), policies(context, ReadFrom::Cache, &namespace, &name).await?);
        let zone = zone(context, &namespace).await?;
        let status = repository.status.clone().unwrap_or_default();
        let is_promised = status.next_retention_time.is_some_and(|time| time.0 <= now);
        let seen = self.seen.lock().get(&uid).cloned();
        let is_same = |seen: &Seen| seen.snapshots == snapshots && seen.asked == asked && seen.policies == policies && seen.at.elapsed() < LOOK_INTERVAL;
        if let Some(seen) = seen.as_ref().filter(|seen| is_same(seen) && !is_promised) {
            return Ok(Standing { going: seen.going, zone });
        }
        let look = look(context, repository, ReadFrom::Cache, now).await?;
        look.remember(context, &name).await?;
        let missing = seen.map(|seen| seen.missing).unwrap_or_default();
        record_findings(&context.hub, &namespace, look.findings(&name, &missing), now).await?;
        self.show(context, repository, &look, now).await?;
        let going = look.going();
        let seen = Seen { at: Instant::now(), snapshots, asked, policies: look.policies.clone(), missing: look.missing(&name), going };
        self.seen.lock().insert(uid, seen);
        Ok(Standing { going, zone })
    }

    /// What was last found is not so any more.
    pub fn look_again(&self, repository: &BackupRepository) {
        self.seen.lock().remove(&repository.uid().unwrap_or_default());
    }

    /// Writes what becomes of each snapshot where people read it, unless that was written already.
    async fn show(&self, context: &Context, repository: &BackupRepository, look: &Look, now: Timestamp) -> Result<()> {
        let (base, uid, listed) = (retention_of(&repository.name_any()), repository.uid().unwrap_or_default(), look.listed());
        let is_due = |last: &Written| last.listed != listed && (last.parts <= 1 || last.at.elapsed() >= LONG_LIST_INTERVAL);
        if self.written.lock().get(&uid).is_some_and(|last| !is_due(last)) {
            return Ok(());
        }
        let parts: Vec<_> = parts_of(&listed, &Listed::clone).into_iter().take(MAX_PARTS).collect();
        let number = parts.len().max(1);
        let about = BTreeMap::from([("parts".to_owned(), number.to_string()), ("asOf".to_owned(), format!("{now:.0}"))]);
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        for (part, at) in parts.zip(1..) {
            owned_maps::apply(&context.hub, repository, &part_name(&base, at), data_of(RETENTION_LIST, part, BTreeMap::new())).await?;
        }
        // The first part is written last: who sees it sees all.
        owned_maps::apply(&context.hub, repository, &base, listing::data_of(RETENTION_LIST, first, about)).await?;
        self.written.lock().insert(uid, Written { at: Instant::now(), parts: number, listed });
        Ok(())
    }
}

/// Decides whether a run begins: none is under way. Returns the condition of the repository.
pub fn decide(repository: &BackupRepository, status: &mut BackupRepositoryStatus, standing: Option<Standing>, now: Timestamp) -> ConditionUpdate {
    let created = repository.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let update = prune::standing(status, created, now);
    let Some(Standing { going: (going, asked), zone }) = standing else { return update };
    status.to_forget = i64::try_from(going).ok();
    let uid = repository.metadata.uid.as_deref().unwrap_or_default();
    match prune::due(&DueFacts { uid, created, status, going, asked, zone: &zone }, now) {
        Due::At(time) => status.next_retention_time = Some(Time(time)),
        Due::Now(work) if repository.metadata.deletion_timestamp.is_none() => {
            prune::put_behind(status);
            let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
            status.retention_run = Some(RetentionRun::new(work, Time(second)));
        }
        Due::Now(_) => {}
    }
    update
}
