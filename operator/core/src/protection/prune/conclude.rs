//! What a run that thins out a repository has come to, and how the repository stands by it.

use crate::{
    conditions::ConditionUpdate,
    engine::{Evidence, PrunedPacks, RunResult},
    quantity::{human_bytes, print_bytes},
    runs::{Action, BackupFinding, Conclusion, RunOutcome, SnapshotToForget, StepKey, unreadable},
    time::human_duration,
    told::Noun,
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::{
    BackupRepositoryStatus, Condition, ConditionType, Reason, Time,
    common::{Quantity, RunPhase},
    protection::retention::{EndedRetentionRun, RetentionResult, RetentionRun, RetentionWork},
};

/// A repository that was not pruned for so long grows by what nobody needs.
const OVERDUE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Runs that the status lists beside the last one.
pub const RUNS_LISTED: usize = 6;

/// What a run has come to. `before` is the repository's status with the fields that every run has.
pub fn conclude(before: &BackupRepositoryStatus, run: &RunOutcome<'_>) -> Conclusion<BackupRepositoryStatus> {
    let mut status = before.clone();
    let work = work(run);
    let (result, shortfall) = result(work, run);
    let has_succeeded = matches!(run.summary.result, Some((RunResult::Succeeded, ..))) && shortfall.is_none();
    if let Some(retention_run) = &mut status.retention_run {
        retention_run.result.clone_from(&result);
        if shortfall.is_some() && retention_run.phase == RunPhase::Succeeded {
            retention_run.phase = RunPhase::Failed;
        }
    }
    if let Some(ended) = run.summary.completion.filter(|_| has_succeeded) {
        match work {
            RetentionWork::Forget => (status.last_forget_time, status.forgotten) = (Some(Time(ended)), result.forgotten),
            RetentionWork::Prune => {
                (status.last_prune_time, status.reclaimed, status.marked) = (Some(Time(ended)), result.reclaimed.clone(), result.marked.clone());
            }
        }
    }
    let findings = if has_succeeded && result.locked.is_none() { gone(run) } else { Vec::new() };
    let updates = [succeeded(work, &result, run, shortfall)].into_iter().chain(run.clean_up_skipped()).collect();
    Conclusion { status, updates, findings }
}

/// The snapshots that the run was told to forget; none if it prunes.
fn to_forget<'a>(run: &RunOutcome<'a>) -> Option<&'a [SnapshotToForget]> {
    run.plan.steps().iter().find_map(|step| match &step.action {
        Action::Move { task, .. } => task.to_forget(),
        _ => None,
    })
}

fn work(run: &RunOutcome<'_>) -> RetentionWork {
    if to_forget(run).is_some() { RetentionWork::Forget } else { RetentionWork::Prune }
}

/// The result, and what can't be read of it.
fn result(work: RetentionWork, run: &RunOutcome<'_>) -> (RetentionResult, Option<String>) {
    let key = match work {
        RetentionWork::Forget => StepKey::Forget,
        RetentionWork::Prune => StepKey::Prune,
    };
    let Some(step) = run.done(|found| *found == key) else { return (RetentionResult::default(), None) };
    match &step.evidence {
        Some(Evidence::SnapshotsForgotten { forgotten, absent, locked }) => {
            let forgotten = Some(count(forgotten.saturating_add(*absent)));
            (RetentionResult { forgotten, locked: some_count(*locked), ..RetentionResult::default() }, None)
        }
        Some(Evidence::Pruned(pruned)) => (of_prune(pruned), None),
        _ => (RetentionResult::default(), Some(unreadable(step, "what has gone"))),
    }
}

fn of_prune(pruned: &PrunedPacks) -> RetentionResult {
    let bytes = |sum: u64| Some(Quantity(print_bytes(sum)));
    let PrunedPacks { marked, waiting, removed, hidden, locked, locked_until, recovered: _, repacked_bytes } = *pruned;
    RetentionResult {
        forgotten: None,
        reclaimed: bytes(removed.bytes.saturating_sub(hidden.bytes)),
        marked: bytes(marked.bytes.saturating_add(waiting.bytes).saturating_add(locked.bytes)),
        repacked: bytes(repacked_bytes).filter(|_| repacked_bytes > 0),
        old_versions: some_count(hidden.packs),
        locked: some_count(locked.packs),
        locked_until_time: locked_until.map(Time),
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn some_count(number: u64) -> Option<i64> {
    (number > 0).then(|| count(number))
}

/// What a forget that has succeeded proves of the Backups on the hub.
fn gone(run: &RunOutcome<'_>) -> Vec<BackupFinding> {
    let of_backup = to_forget(run).into_iter().flatten().filter_map(|forgotten| Some((forgotten.backup.clone()?, forgotten.why.clone())));
    let finding = |(backup, why)| BackupFinding { backup, update: ConditionUpdate::bad(ConditionType::Kept, Reason::Forgotten, why), level: None };
    of_backup.map(finding).collect()
}

fn succeeded(work: RetentionWork, result: &RetentionResult, run: &RunOutcome<'_>, shortfall: Option<String>) -> ConditionUpdate {
    let kind = ConditionType::Succeeded;
    if let Some(message) = shortfall {
        return ConditionUpdate::bad(kind, Reason::EvidenceUnreadable, message);
    }
    match &run.summary.result {
        None => ConditionUpdate::unknown(kind, Reason::Running, run.current_steps()),
        Some((RunResult::Succeeded, ..)) => {
            let reason = match (result.locked, work) {
                (Some(_), _) => Reason::ObjectLocked,
                (None, RetentionWork::Forget) => Reason::Forgotten,
                (None, RetentionWork::Prune) => Reason::Pruned,
            };
            ConditionUpdate::good(kind, reason, told(work, result))
        }
        Some((RunResult::Failed | RunResult::Aborted | RunResult::Refused, reason, message)) => ConditionUpdate::bad(kind, reason.clone(), message.clone()),
    }
}

/// What has come of a run that succeeded, in words.
fn told(work: RetentionWork, result: &RetentionResult) -> String {
    let bytes = |quantity: &Option<Quantity>| human_bytes(quantity.as_ref().and_then(bytes_of).unwrap_or_default());
    let did = match work {
        RetentionWork::Forget => format!("{} forgotten", Noun::Snapshot.count(result.forgotten.unwrap_or_default())),
        RetentionWork::Prune => format!("{} have left the store, {} are marked to leave it", bytes(&result.reclaimed), bytes(&result.marked)),
    };
    let did = match result.old_versions {
        None => did,
        Some(number) => format!("{did}; the store keeps {number} of its packs as old versions"),
    };
    match (result.locked, &result.locked_until_time) {
        (None, _) => did,
        (Some(number), None) => format!("{did}; the store keeps {number} by a lock of its own"),
        (Some(number), Some(until)) => format!("{did}; the store keeps {number} by a lock of its own until {:.0}", until.0),
    }
}

/// Bytes of a size that was written by this product.
pub fn bytes_of(quantity: &Quantity) -> Option<u64> {
    crate::quantity::Quantity::parse(&quantity.0).ok()?.bytes().ok()
}

/// Pruned, of a repository. `created` is when its object was made.
pub fn standing(status: &BackupRepositoryStatus, created: Timestamp, now: Timestamp) -> ConditionUpdate {
    let kind = ConditionType::Pruned;
    let last = status.retention_run.as_ref().filter(|last| matches!(last.phase, RunPhase::Failed | RunPhase::Refused));
    if let Some((last, said)) = last.and_then(|last| Some((last, said_of(last)?))) {
        let what = if last.work == RetentionWork::Forget { "snapshots could not be forgotten" } else { "it could not be pruned" };
        return ConditionUpdate::bad(kind, Reason::from_text(&said.reason), format!("{what}: {}", said.message));
    }
    let pruned = status.last_prune_time.as_ref().map(|time| time.0);
    let age = now.duration_since(pruned.unwrap_or(created));
    match pruned {
        _ if age > OVERDUE => {
            let message = format!("it was not pruned for {}: what nobody needs stays in the store", human_duration(SignedDuration::from_hours(age.as_hours())));
            ConditionUpdate::bad(kind, Reason::PruneOverdue, message)
        }
        None => ConditionUpdate::unknown(kind, Reason::NotYet, "it was not pruned yet: that is done at night, after snapshots have gone, or else once a week"),
        Some(_) => {
            let of_run = status.retention_run.as_ref().filter(|last| last.work == RetentionWork::Prune && last.phase == RunPhase::Succeeded);
            let result = RetentionResult { reclaimed: status.reclaimed.clone(), marked: status.marked.clone(), ..RetentionResult::default() };
            let result = of_run.map_or(result, |last| last.result.clone());
            let reason = if result.locked.is_some() { Reason::ObjectLocked } else { Reason::Pruned };
            ConditionUpdate::good(kind, reason, told(RetentionWork::Prune, &result))
        }
    }
}

fn said_of(run: &RetentionRun) -> Option<&Condition> {
    run.conditions.iter().find(|condition| condition.type_ == ConditionType::Succeeded)
}

/// Puts the last run behind, for another to begin. Returns the one whose journal is listed no more.
pub fn put_behind(status: &mut BackupRepositoryStatus) -> Option<EndedRetentionRun> {
    let last = status.retention_run.take()?;
    let ended = EndedRetentionRun {
        work: last.work,
        decided_time: last.decided_time.clone(),
        phase: last.phase,
        completion_time: last.completion_time.clone(),
        message: said_of(&last).map(|said| said.message.clone()).unwrap_or_default(),
        journal: last.journal.map(|journal| journal.location).unwrap_or_default(),
        result: last.result,
    };
    status.ended_retention_runs.insert(0, ended);
    if status.ended_retention_runs.len() > RUNS_LISTED { status.ended_retention_runs.pop() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        conditions,
        engine::{Failure, PackSum},
        protection::prune::{LEAST_DELAY, Ordered, RunFacts, compile},
        runs::played::{End, Played, asked, play},
    };
    use p861_crds::common::ActionKind;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn forget() -> Ordered {
        let of = |id: &str, backup: Option<&str>| SnapshotToForget {
            snapshot: id.into(),
            application: "portal".into(),
            backup: backup.map(str::to_owned),
            why: "hong has asked for it: test data".into(),
        };
        Ordered::Forget { at: time("2026-11-15T00:00:00Z"), snapshots: vec![of("5a1f", Some("portal-1")), of("6b2a", None)] }
    }

    fn prune() -> Ordered {
        Ordered::Prune { delay: LEAST_DELAY, memory_limit: "1Gi".into() }
    }

    fn played(ordered: Ordered, end: &End) -> Played {
        let facts = RunFacts { district: "shinan".into(), site: "hill".into(), namespace: "shinan-portal".into(), ordered };
        let abort = [asked(ActionKind::Abort, None)];
        play(compile(&facts).expect("a plan"), &abort, |step| if step == "clean-up" { End::Done(None) } else { end.clone() })
    }

    fn before(work: RetentionWork) -> BackupRepositoryStatus {
        let mut run = RetentionRun::new(work, Time(time("2026-11-15T00:00:00Z")));
        run.phase = RunPhase::Succeeded;
        BackupRepositoryStatus { retention_run: Some(run), ..BackupRepositoryStatus::default() }
    }

    fn sum(packs: u64) -> PackSum {
        PackSum { packs, bytes: packs << 20 }
    }

    fn pruned(locked: u64, hidden: u64) -> Evidence {
        Evidence::Pruned(PrunedPacks {
            marked: sum(3),
            waiting: sum(2),
            removed: sum(7),
            hidden: sum(hidden),
            locked: sum(locked),
            locked_until: (locked > 0).then(|| time("2026-12-15T00:00:00Z")),
            recovered: 0,
            repacked_bytes: 0,
        })
    }

    fn forgotten(locked: u64) -> Evidence {
        Evidence::SnapshotsForgotten { forgotten: 1, absent: 1, locked }
    }

    #[test]
    fn each_end_of_a_run_has_its_condition_and_only_success_counts() {
        let failed = End::Failed(Failure::permanent(Reason::NotOurs, "it is another district's"));
        for (case, ordered, end, expected, counts) in [
            ("forgotten", forget(), End::Done(Some(forgotten(0))), (Some(true), "Forgotten", "2 snapshots forgotten"), true),
            (
                "one is locked",
                forget(),
                End::Done(Some(forgotten(1))),
                (Some(true), "ObjectLocked", "2 snapshots forgotten; the store keeps 1 by a lock of its own"),
                true,
            ),
            ("refused", forget(), failed.clone(), (Some(false), "NotOurs", "it is another district's"), false),
            ("pruned", prune(), End::Done(Some(pruned(0, 0))), (Some(true), "Pruned", "7.0 MiB have left the store, 5.0 MiB are marked to leave it"), true),
            (
                "some is locked",
                prune(),
                End::Done(Some(pruned(1, 0))),
                (Some(true), "ObjectLocked", "the store keeps 1 by a lock of its own until 2026-12-15T00:00:00Z"),
                true,
            ),
            ("a store with versions", prune(), End::Done(Some(pruned(0, 4))), (Some(true), "Pruned", "the store keeps 4 of its packs as old versions"), true),
            ("what it proved can't be read", prune(), End::Done(None), (Some(false), "EvidenceUnreadable", "what has gone"), false),
            ("aborted", prune(), End::Open, (Some(false), "Aborted", ""), false),
        ] {
            let work = ordered.work();
            let run = played(ordered, &end);
            let concluded = conclude(&before(work), &run.outcome());
            let said = &concluded.updates[0];
            assert_eq!((said.kind, said.status, said.reason.as_str()), (ConditionType::Succeeded, expected.0, expected.1), "{case}: {}", said.message);
            assert!(said.message.contains(expected.2), "{case}: {}", said.message);
            let times = (concluded.status.last_forget_time.is_some(), concluded.status.last_prune_time.is_some());
            assert_eq!(times, (counts && work == RetentionWork::Forget, counts && work == RetentionWork::Prune), "{case}");
            let phase = concluded.status.retention_run.map(|run| run.phase);
            assert_eq!(phase == Some(RunPhase::Failed), expected.1 == "EvidenceUnreadable", "{case}: a success without its proof is none");
        }
    }

    #[test]
    fn the_backups_of_forgotten_snapshots_say_so_unless_the_store_keeps_some_of_them() {
        for (evidence, expected) in [(forgotten(0), vec!["portal-1"]), (forgotten(1), vec![])] {
            let run = played(forget(), &End::Done(Some(evidence)));
            let findings = conclude(&before(RetentionWork::Forget), &run.outcome()).findings;
            assert_eq!(findings.iter().map(|finding| finding.backup.as_str()).collect::<Vec<_>>(), expected);
            for finding in findings {
                let update = (finding.update.kind, finding.update.status, finding.update.reason, finding.level);
                assert_eq!(update, (ConditionType::Kept, Some(false), Reason::Forgotten, None));
            }
        }
    }

    #[test]
    fn a_prune_says_what_left_the_store_and_what_is_still_there() {
        let run = played(prune(), &End::Done(Some(pruned(1, 4))));
        let status = conclude(&before(RetentionWork::Prune), &run.outcome()).status;
        let quantity = |bytes: u64| Some(Quantity(print_bytes(bytes << 20)));
        assert_eq!((status.reclaimed.clone(), status.marked.clone()), (quantity(3), quantity(6)));
        assert_eq!(status.reclaimed.as_ref().and_then(bytes_of), Some(3 << 20));
    }

    #[test]
    fn a_repository_stands_by_its_last_run_and_by_how_long_ago_it_was_pruned() {
        let (created, now) = (time("2026-11-01T00:00:00Z"), time("2026-11-20T00:00:00Z"));
        let with = |work, phase, update: ConditionUpdate, pruned: Option<&str>| {
            let mut run = RetentionRun::new(work, Time(created));
            (run.phase, run.conditions) = (phase, conditions::apply(&[], &[update], None, created));
            let last_prune_time = pruned.map(|text| Time(time(text)));
            BackupRepositoryStatus { retention_run: Some(run), last_prune_time, ..BackupRepositoryStatus::default() }
        };
        let bad = || ConditionUpdate::bad(ConditionType::Succeeded, Reason::StoreError, "no answer");
        let good = || ConditionUpdate::good(ConditionType::Succeeded, Reason::Pruned, "");
        let recent = Some("2026-11-19T00:00:00Z");
        let never = BackupRepositoryStatus::default();
        for (case, status, created, expected) in [
            ("new", never.clone(), now, (None, "NotYet")),
            ("never, and old", never, created, (Some(false), "PruneOverdue")),
            ("lately", with(RetentionWork::Prune, RunPhase::Succeeded, good(), recent), created, (Some(true), "Pruned")),
            ("long ago", with(RetentionWork::Prune, RunPhase::Succeeded, good(), Some("2026-11-05T00:00:00Z")), created, (Some(false), "PruneOverdue")),
            ("it fails", with(RetentionWork::Prune, RunPhase::Failed, bad(), recent), created, (Some(false), "StoreError")),
            ("snapshots can't be forgotten", with(RetentionWork::Forget, RunPhase::Refused, bad(), recent), created, (Some(false), "StoreError")),
            ("a restore went first", with(RetentionWork::Prune, RunPhase::Aborted, bad(), recent), created, (Some(true), "Pruned")),
            ("it goes on", with(RetentionWork::Prune, RunPhase::Running, bad(), recent), created, (Some(true), "Pruned")),
        ] {
            let update = standing(&status, created, now);
            assert_eq!((update.status, update.reason.as_str()), expected, "{case}: {}", update.message);
        }
    }

    #[test]
    fn runs_are_listed_up_to_a_bound_and_the_journal_of_the_oldest_is_given_up() {
        let mut status = BackupRepositoryStatus::default();
        assert_eq!(put_behind(&mut status), None);
        let mut given_up = Vec::new();
        for hour in 0..10 {
            let decided = Time(Timestamp::from_second(hour * 3600).expect("a time"));
            status.retention_run = Some(RetentionRun::new(RetentionWork::Prune, decided));
            given_up.extend(put_behind(&mut status).map(|ended| ended.decided_time.0.as_second() / 3600));
        }
        let listed: Vec<i64> = status.ended_retention_runs.iter().map(|ended| ended.decided_time.0.as_second() / 3600).collect();
        assert_eq!((listed, given_up), (vec![9, 8, 7, 6, 5, 4], vec![0, 1, 2, 3]));
    }
}
