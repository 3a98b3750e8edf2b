//! Restore: one run of the restore plan, or its preview.

mod classes;
pub(super) mod listing;

use super::{
    active_site, all, allotted_site,
    backup::claim_states,
    district_of, named, platform_of, points,
    run::{runs_of, scope_of},
    takes_objects,
};
use crate::context::Context;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use p861_core::{
    engine::{Evidence, ListedChange, Plan, StoredObject},
    ids::SiteName,
    protection::{
        backup::Claim,
        choose::{self, CataloguedPoint, RecoveryPoint},
        claims::{MissingPart, claims_in, missing_parts},
        conclude::{self, InPlace, RestoreConclusionFacts},
        readable::{self, Unreadable},
        restore::{self, RestoreFacts},
    },
    recovery::bring_up::Subject,
    runs::{Action, AllottedSite, Conclusion, Part, Request, RunClass, RunOutcome, SiteNamespace, StepKey},
    time::parse_limit,
};
use p861_crds::{
    Application, ApplicationSpec, Backup, Reason, Restore, RestoreStatus, Time,
    platform::platform::PlatformSpec,
    protection::{
        backup::{Consistency, MissingClaim},
        restore::{RestoreMode, RestoreSelection},
    },
};
use p861_runs::{
    Pass, Readiness, RunKind, RunPlace, RunRecord,
    error::{Error, Result},
    kind::{journal_on_hub, remembered, request_of, to_remember},
    owned_maps, repository,
    run_objects::RunObjects,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Restores.
pub struct RestoreRun {
    context: Context,
}

impl From<Context> for RestoreRun {
    fn from(context: Context) -> Self {
        Self { context }
    }
}

/// Input of the compiler.
pub struct Target {
    name: String,
    application: ApplicationSpec,
    district: String,
    site: AllottedSite,
    /// The application runs there.
    is_active_site: bool,
    /// The parts that the snapshot names.
    parts: Vec<String>,
    /// It says itself that it lacks something.
    is_partial: bool,
    /// Claims that had no files when it was taken.
    unused: Vec<MissingClaim>,
    /// Claims that can be looked into.
    present: Vec<Claim>,
    /// Those that are there and can't, each with the reason.
    hidden: Vec<(Claim, Unreadable)>,
    deadline: SignedDuration,
    platform: Option<PlatformSpec>,
}

/// What is restored.
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of the restore")]
struct Source {
    point: RecoveryPoint,
    /// Its Backup is called damaged.
    was_damaged: bool,
    /// Its snapshot lacks something, as the Backup or the snapshot says.
    is_partial: bool,
    /// It was taken after a restore had ended half way, as the Backup or the snapshot says.
    is_half_restored: bool,
    /// The claims that it lacks, as the Backup says. Empty if the Backup's object is gone.
    missing: Vec<MissingClaim>,
    /// Hooks had quiesced the application, as far as is known.
    quiesced: bool,
    application: Application,
}

/// State that a restore depends on.
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of the restore")]
pub struct Facts {
    point: RecoveryPoint,
    /// Name of the Application.
    application: String,
    /// Where it is restored.
    site: SiteName,
    /// The namespaces that it writes to.
    writes: Vec<String>,
    /// One of them is where the application runs.
    in_place: bool,
    /// Its Backup was called damaged, and all of it is restored.
    reads_damaged_anew: bool,
    /// Claims whose files the backup lacks, of those that are asked for.
    missing: Vec<MissingClaim>,
    /// All of the application is restored, from a backup that is no mixture.
    is_whole: bool,
    /// Hooks had quiesced the application while the backup was taken.
    quiesced: bool,
    /// None once the run has begun.
    target: Option<Target>,
}

/// What a restore keeps from its beginning.
#[derive(Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of the restore")]
struct Remembered {
    point: RecoveryPoint,
    application: String,
    site: SiteName,
    writes: Vec<String>,
    in_place: bool,
    reads_damaged_anew: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<MissingClaim>,
    #[serde(default)]
    is_whole: bool,
    #[serde(default)]
    quiesced: bool,
}

impl RunKind for RestoreRun {
    type Object = Restore;
    type Facts = Facts;
    const CLASS: RunClass = RunClass::Restore;

    async fn locate(&self, object: &Restore, begun: Option<&RunRecord>) -> Result<Readiness<RunPlace>> {
        let (repository, application) = if let Some(begun) = begun {
            (begun.repository.clone(), remembered::<Remembered>(begun)?.application)
        } else {
            let Source { point, application, .. } = source(&self.context, object).await?;
            (point.repository, application.name_any())
        };
        let journal = journal_on_hub(&self.context.hub, object, Self::CLASS, &Self::run_uid(object))?;
        let namespace = object.namespace().unwrap_or_default();
        let scope = scope_of(&self.context, &namespace, &repository, begun).await?.with_application(&application);
        let repository_runs = runs_of(&self.context, &namespace, &repository).await?;
        Ok(Readiness::Ready(RunPlace { repository, repository_runs, journal, scope }))
    }

    async fn gather(&self, object: &Restore, place: &RunPlace, begun: Option<&RunRecord>) -> Result<Facts> {
        // A run that has begun restores what it began with, whatever has become of its Backup and Application, and whichever backup is the newest now.
        if let Some(begun) = begun {
            let Remembered { point, application, site, writes, in_place, reads_damaged_anew, missing, is_whole, quiesced } = remembered(begun)?;
            return Ok(Facts { point, application, site, writes, in_place, reads_damaged_anew, missing, is_whole, quiesced, target: None });
        }
        let Source { point, was_damaged, is_partial, is_half_restored, missing, quiesced, application } = source(&self.context, object).await?;
        if point.repository != place.repository {
            return Err(Error::transient(Reason::Superseded, "another backup became the newest meanwhile: it is looked for again"));
        }
        let name = application.name_any();
        let unused = missing.iter().filter(|missing| readable::is_unused(missing)).cloned().collect();
        let target = target(&self.context, object, (&point, is_partial, unused), application).await?;
        let writes: Vec<String> = restore::namespaces(&restore_facts(object, &point, &target)).into_values().collect();
        self.refuse_occupied(object, place, &target, &writes).await?;
        let in_place = target.is_active_site && writes.iter().any(|namespace| target.application.namespaces.contains(namespace));
        let is_whole = object.spec.select == RestoreSelection::default();
        let reads_damaged_anew = was_damaged && is_whole;
        let missing = match (is_whole, is_partial) {
            (false, _) => Vec::new(),
            (true, true) => named_missing(missing, &target, &point),
            // A backup that is whole names those that had no files.
            (true, false) => missing,
        };
        let everywhere = target.application.namespaces.iter().all(|namespace| writes.contains(namespace));
        let is_whole = is_whole && everywhere && !is_partial && !is_half_restored;
        let site = (*target.site).clone();
        Ok(Facts { point, application: name, site, writes, in_place, reads_damaged_anew, missing, is_whole, quiesced, target: Some(target) })
    }

    fn remember(facts: &Facts) -> Result<serde_json::Value> {
        let Facts { point, application, site, writes, in_place, reads_damaged_anew, missing, is_whole, quiesced, target: _ } = facts;
        let (point, application, site, writes, missing) = (point.clone(), application.clone(), site.clone(), writes.clone(), missing.clone());
        to_remember(&Remembered {
            point,
            application,
            site,
            writes,
            in_place: *in_place,
            reads_damaged_anew: *reads_damaged_anew,
            missing,
            is_whole: *is_whole,
            quiesced: *quiesced,
        })
    }

    fn request(object: &Restore, place: &RunPlace, facts: &Facts) -> Option<Request> {
        let spec = &object.spec;
        let request = request_of(object, Self::CLASS, place);
        if spec.mode == RestoreMode::Preview {
            return Some(request);
        }
        let writes = facts.writes.iter().map(|namespace| SiteNamespace { site: facts.site.clone(), namespace: namespace.clone() });
        Some(Request {
            applications: [facts.application.clone()].into(),
            sites: [facts.site.clone()].into(),
            writes: writes.collect(),
            writes_in_place: facts.in_place,
            ..request
        })
    }

    fn compile(object: &Restore, facts: &Facts) -> Result<Plan<Action>> {
        let target = facts.target.as_ref().ok_or_else(|| Error::Internal("a restore that has begun is compiled again".into()))?;
        restore::compile(&restore_facts(object, &facts.point, target)).map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))
    }

    fn conclude(object: &Restore, facts: &Facts, before: &RestoreStatus, run: &RunOutcome<'_>) -> Conclusion<RestoreStatus> {
        let mut before = before.clone();
        let point = &facts.point;
        before.backup = Some(point.backup.clone());
        before.snapshot_id = Some(point.snapshot.to_string());
        before.recovery_point_time = Some(Time(point.time));
        before.repository = Some(point.repository.clone());
        let in_place = facts.in_place && object.spec.mode == RestoreMode::Execute;
        conclude::restore(
            &RestoreConclusionFacts {
                mode: object.spec.mode,
                before: &before,
                backup: &point.backup,
                reads_damaged_anew: facts.reads_damaged_anew,
                missing: &facts.missing,
                in_place: in_place.then_some(InPlace { application: &facts.application, is_whole: facts.is_whole }),
                writes: &facts.writes,
                quiesced: facts.quiesced,
            },
            run,
        )
    }

    async fn finish(&self, object: &Restore, facts: &Facts, _: &mut RestoreStatus, pass: &Pass) -> Result<()> {
        store_lists(&self.context, object, &facts.point.repository, pass).await
    }
}

impl RestoreRun {
    /// Refuses a restore that would fill namespaces of another application, before it waits for others, or goes before them. It is asked again when its plan is begun, and
    /// before each effect.
    async fn refuse_occupied(&self, object: &Restore, place: &RunPlace, target: &Target, writes: &[String]) -> Result<()> {
        let preview = object.spec.mode == RestoreMode::Preview;
        let fills = Action::MakeNamespaces { site: (*target.site).clone(), namespaces: writes.to_vec(), district: target.district.clone(), preview };
        // Who waits for others asks each second.
        self.context.runs.occupancy.refuse(&self.context.hub, &place.scope, &fills, Timestamp::UNIX_EPOCH).await
    }
}

fn restore_facts<'a>(object: &'a Restore, point: &RecoveryPoint, target: &'a Target) -> RestoreFacts<'a> {
    let Target { name, application, district, site, is_active_site: _, parts, is_partial, unused, present, hidden, deadline, platform } = target;
    let first = application.namespaces.first().map(String::as_str).unwrap_or_default();
    let subject = Subject { name, spec: application, point: point.clone(), claims: claims_in(parts, first) };
    let (spec, is_partial, deadline, platform) = (&object.spec, *is_partial, *deadline, platform.as_ref());
    RestoreFacts { spec, subject, parts, is_partial, unused, district, site, present, hidden, deadline, platform }
}

/// The claims that a partial snapshot lacks, as its Backup named them. Where that object is gone, only the inventory in the snapshot has them all: then at least
/// those are named that the Application's spec promises.
fn named_missing(known: Vec<MissingClaim>, target: &Target, point: &RecoveryPoint) -> Vec<MissingClaim> {
    if !known.is_empty() {
        return known;
    }
    let why = format!("is not in it; inventory.json in snapshot {} says why, and what else is missing", point.snapshot);
    let first = target.application.namespaces.first().map(String::as_str).unwrap_or_default();
    let promised = missing_parts(&target.application, &target.parts, &target.unused).into_iter().filter_map(|part| match part {
        MissingPart::Volume(name) => Some(format!("{first}/{name}")),
        MissingPart::Objects | MissingPart::Stream(_) => None,
    });
    promised.map(|claim| MissingClaim { claim, reason: Reason::ClaimNotReadable.to_string(), message: why.clone() }).collect()
}

/// The backup to restore, and its application. A damaged one is refused where the application is, with the newest sound one in the message.
async fn source(context: &Context, object: &Restore) -> Result<Source> {
    let namespace = object.namespace().unwrap_or_default();
    let backups: Vec<Backup> = all(&context.hub.client, &namespace).await?;
    let source = &object.spec.source;
    let mut was_damaged = false;
    let CataloguedPoint { application, point, is_partial, is_half_restored, .. } = if let Some(reference) = &source.backup_ref {
        was_damaged = backups.iter().any(|backup| backup.metadata.name.as_ref() == Some(&reference.name) && choose::is_damaged(backup));
        of_backup(context, &namespace, &backups, &reference.name).await?
    } else if let Some(reference) = &source.application_ref {
        let not_after = source.not_after_time.as_ref().map(|time| time.0);
        let point = points::newest(context, &namespace, &reference.name, &backups, not_after).await?;
        CataloguedPoint { application: reference.name.clone(), point, is_partial: false, is_half_restored: false, district: None }
    } else if let Some(snapshot) = &source.snapshot {
        let of_snapshot = backups.iter().find(|b| b.status.as_ref().and_then(|s| s.snapshot_id.as_deref()).is_some_and(|id| id.starts_with(&snapshot.id)));
        match of_snapshot {
            Some(chosen) => {
                let application = chosen.spec.application_ref.name.clone();
                let is_partial = chosen.status.as_ref().is_some_and(choose::is_partial);
                let is_half_restored = choose::is_half_restored(chosen);
                let named = if (is_partial || is_half_restored) && !choose::is_damaged(chosen) { choose::as_point(chosen) } else { None };
                let point = named.map_or_else(|| choose::newest_sound(&application, std::iter::once(chosen), None), Ok);
                let point = point.map_err(|error| Error::invalid(Reason::NoRecoveryPoint, error.to_string()))?;
                CataloguedPoint { application, point, is_partial, is_half_restored, district: None }
            }
            None => points::of_snapshot(context, &namespace, snapshot).await?,
        }
    } else {
        return Err(Error::invalid(Reason::Invalid, "give exactly one of source.backupRef, source.applicationRef and source.snapshot"));
    };
    let application: Application = named(&context.hub.client, &namespace, &application).await?;
    // Into other namespaces it may be tried: that reads everything anew, and success clears what was found.
    if was_damaged && !restore::goes_elsewhere(&application.spec, &object.spec) {
        let other = choose::newest_sound(&application.name_any(), &backups, None)
            .map_or_else(|error| error.to_string(), |sound| format!("the newest sound one is {}", sound.backup));
        let backup = &point.backup;
        let message = format!(
            "backup {backup} is damaged in its repository; {other}. To read it anew, restore it into other namespaces (p861 restore run {backup} --map NAMESPACE=OTHER): if all of it comes, it counts as sound again"
        );
        return Err(Error::invalid(Reason::Damaged, message));
    }
    let status = backups.iter().filter_map(|backup| backup.status.as_ref()).find(|status| status.snapshot_id.as_deref() == Some(point.snapshot.as_str()));
    let missing = status.and_then(|status| status.contents.as_ref()).map(|contents| contents.missing_claims.clone()).unwrap_or_default();
    // A backup without an object is thought to be of the Application as it is now.
    let quiesced = application.spec.hooks.is_some() && status.and_then(|status| status.consistency) != Some(Consistency::Crash);
    Ok(Source { point, was_damaged, is_partial, is_half_restored, missing, quiesced, application })
}

/// The point of the Backup of that name. One whose object has left the hub is found by its snapshot, which keeps its name.
async fn of_backup(context: &Context, namespace: &str, backups: &[Backup], name: &str) -> Result<CataloguedPoint> {
    let Some(chosen) = backups.iter().find(|backup| backup.metadata.name.as_deref() == Some(name)) else {
        let message = format!("Backup {name} doesn't exist in namespace {namespace}, nor a snapshot of it in a repository: kubectl get backups -n {namespace}");
        return points::of_collected(context, namespace, name).await?.ok_or_else(|| Error::invalid(Reason::NotFound, message));
    };
    let application = chosen.spec.application_ref.name.clone();
    if let Some(gone) = choose::gone(chosen) {
        let message = format!("the snapshot of backup {name} is not in its repository any more ({}): p861 backup list {application}", gone.reason);
        return Err(Error::invalid(Reason::SnapshotMissing, message));
    }
    let unfinished = || Error::invalid(Reason::NoRecoveryPoint, format!("backup {name} has not succeeded: p861 backup list {application}"));
    let point = choose::as_point(chosen).ok_or_else(unfinished)?;
    let (is_partial, is_half_restored) = (chosen.status.as_ref().is_some_and(choose::is_partial), choose::is_half_restored(chosen));
    Ok(CataloguedPoint { application, point, is_partial, is_half_restored, district: None })
}

/// Destination of the restore and content of the backup.
async fn target(
    context: &Context,
    object: &Restore,
    (point, is_partial, unused): (&RecoveryPoint, bool, Vec<MissingClaim>),
    application: Application,
) -> Result<Target> {
    // Before it is asked where they lead: a mapping that doesn't count leads nowhere.
    restore::refuse_mappings(&application.name_any(), &application.spec, &object.spec.target.namespace_mappings)
        .map_err(|error| Error::invalid(Reason::Invalid, error.to_string()))?;
    let namespace = object.namespace().unwrap_or_default();
    let district = district_of(&context.hub.client, &namespace).await?;
    let (site, is_active_site) = match &object.spec.target.site_ref {
        Some(site) => {
            let site = allotted_site(&district, &site.name.as_str().into())?;
            // Where no site is known to be the active one, the restore may well write beside the application.
            let is_active = active_site(context, &district, &application.name_any()).await.map_or(true, |active| active == site);
            (site, is_active)
        }
        None => (active_site(context, &district, &application.name_any()).await?, true),
    };
    classes::refuse_missing(&context.sites, &site, &application.spec, &object.spec.target.storage_class_mappings).await?;
    let parts = repository::snapshot_parts(&context.hub, &namespace, point).await?;
    let deadline = parse_limit("spec.deadline", &object.spec.deadline.0).map_err(|error| Error::invalid(Reason::Invalid, error))?;
    let (name, present, hidden) = (application.name_any(), Vec::new(), Vec::new());
    let platform = platform_of(&context.hub.client, &namespace).await?;
    let (application, district_name) = (application.spec, district.name_any());
    let mut target =
        Target { name, application, district: district_name, site, is_active_site, parts, is_partial, unused, present, hidden, deadline, platform };
    let targets = restore::namespaces(&restore_facts(object, point, &target));
    if let Some(foreign) = targets.values().find(|target| !takes_objects(&district, target)) {
        return Err(Error::invalid(
            Reason::NamespaceNotAllotted,
            format!(
                "namespace {foreign} is not the district's to restore into: its namespaces are those of spec.siteNamespaces of District {}, without drills' copies",
                district.name_any()
            ),
        ));
    }
    if restore::looks_into_claims(&target.application, &object.spec) {
        // One that waits for its first pod would get a volume by being looked at.
        let states = claim_states(&context.sites.client(&target.site).await?, &target.site, targets.values()).await?;
        for state in states.into_values().flatten() {
            match state.unreadable() {
                None => target.present.push(state.claim),
                Some(why) => target.hidden.push((state.claim, why)),
            }
        }
    }
    Ok(target)
}

/// Stores a preview's results for `p861 restore preview`, or the objects that a restore could not write; besides, those that were left out.
async fn store_lists(context: &Context, object: &Restore, repository: &str, pass: &Pass) -> Result<()> {
    let outcome = pass.outcome();
    let is_preview = object.spec.mode == RestoreMode::Preview;
    let evidence = outcome.objects_restored().into_values().next();
    let hub_lists = HubLists { context, object, repository };
    if let Some(Evidence::RestorePreviewed { left_out_names: Some(names), .. } | Evidence::ObjectsRestored { left_out_names: Some(names), .. }) = evidence
        && !names.lists.is_empty()
    {
        hub_lists.store(listing::LEFT_OUT, &names.lists, BTreeMap::new()).await?;
    }
    match evidence {
        Some(Evidence::RestorePreviewed { lists, .. }) => {
            hub_lists.store(listing::PREVIEW, lists, BTreeMap::from([("volumes.json".into(), volumes_text(&outcome))])).await
        }
        Some(Evidence::ObjectsRestored { refused: Some(refused), .. }) => {
            hub_lists.store(listing::REFUSED, std::slice::from_ref(&refused.list), BTreeMap::new()).await
        }
        _ if is_preview => hub_lists.store(listing::PREVIEW, &[], BTreeMap::from([("volumes.json".into(), volumes_text(&outcome))])).await,
        _ => Ok(()),
    }
}

/// Where the lists of a restore go.
struct HubLists<'a> {
    context: &'a Context,
    object: &'a Restore,
    repository: &'a str,
}

impl HubLists<'_> {
    /// Stores a list in ConfigMaps, of which the first has `about` beside it.
    async fn store(&self, what: &str, lists: &[StoredObject], mut about: BTreeMap<String, String>) -> Result<()> {
        let Self { context, object, repository } = *self;
        let base = format!("{}-{what}", object.name_any());
        // The first part is written last: who sees it sees all.
        let (mut first, mut parts, mut left) = (None, 0, 0);
        for list in lists {
            let listed = read_list(context, object, repository, list).await?;
            for part in listing::parts(&listed) {
                if parts >= listing::MAX_PARTS {
                    left += part.objects;
                    continue;
                }
                if parts == 0 {
                    first = Some(part);
                } else {
                    owned_maps::apply(&context.hub, object, &listing::part_name(&base, parts), listing::data_of(what, part, BTreeMap::new())).await?;
                }
                parts += 1;
            }
        }
        about.insert("parts".to_owned(), parts.max(1).to_string());
        about.extend((left > 0).then(|| ("left".to_owned(), left.to_string())));
        owned_maps::apply(&context.hub, object, &base, listing::data_of(what, first.unwrap_or_default(), about)).await
    }
}

/// What would become of the files of each claim that is there, as a JSON array.
fn volumes_text(outcome: &RunOutcome<'_>) -> String {
    let seen = outcome.summary.timeline.iter().filter_map(|step| match (StepKey::of(&step.id)?, step.evidence.as_ref()?) {
        (StepKey::Restore { part: Part::Volume(volume), .. }, Evidence::VolumePreviewed { removed, changed, created, first }) => {
            Some(json!({"volume": volume, "removed": removed, "changed": changed, "created": created, "first": first}))
        }
        _ => None,
    });
    serde_json::Value::Array(seen.collect()).to_string()
}

/// One of the lists, from the run's objects. One that is gone or damaged is left out: the numbers are in the status.
async fn read_list(context: &Context, object: &Restore, repository: &str, list: &StoredObject) -> Result<Vec<ListedChange>> {
    let store = repository::open_store(&context.hub, &object.namespace().unwrap_or_default(), repository).await?;
    match RunObjects::new(store, &object.uid().unwrap_or_default()).get(list).await {
        Ok(listed) => Ok(listed),
        Err(error) if error.is_transient() => Err(Error::transient(error.reason(), format!("a list of the restore's objects can't be read: {error}"))),
        Err(error) => {
            tracing::warn!(restore = object.name_any(), "a list of the restore's objects is left out: {error}");
            Ok(Vec::new())
        }
    }
}
