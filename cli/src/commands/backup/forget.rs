//! `p861 backup forget`: lets a backup's snapshot go. It says what goes, and asks for the backup's name.

use super::{
    super::{Context, act, page::Facts},
    gone,
    retention::load,
};
use crate::{
    args::BackupForget,
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Line, Tone},
    hub::{Hub, Seen, append_action, follow},
    text::{self, Bilingual, Language},
};
use kube::ResourceExt as _;
use p861_core::protection::retention::{KeepReason, Verdict, known::EVEN_NEWEST};
use p861_crds::{
    Backup, BackupRepository, Condition, ConditionType, Reason,
    common::{ActionKind, RunAction, RunPhase},
};
use std::time::Duration;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

/// A repository is looked at once a minute, and a run in it takes seconds: what lasts longer waits for another run.
const GONE_WITHIN: Duration = Duration::from_mins(3);

/// Runs the command.
pub async fn perform(context: &Context<'_>, what: &BackupForget) -> Result<ExitStatus> {
    let (hub, printer, name) = (&context.hub, context.printer, &what.name);
    let backup = hub.get_here::<Backup>(name).await?.object;
    let status = backup.status.clone().unwrap_or_default();
    if !status.phase.is_some_and(RunPhase::is_end) {
        return Err(Failure::refused(text::forget_running(name, hub.place())));
    }
    let Some(repository) = status.repository.as_deref().filter(|_| status.snapshot_id.is_some() && gone(&status.conditions).is_none()) else {
        return Err(Failure::refused(text::nothing_to_forget(name, hub.place())));
    };
    refuse_what_stays(hub, &backup, repository, what.even_newest).await?;
    match (&what.belief, what.yes) {
        (Some(belief), true) if belief == name => {}
        (Some(belief), true) => return Err(Failure::refused(text::wrong_belief("--backup", belief, name))),
        _ if printer.interactive() => {
            printer.lines(&announcement(&backup, repository, hub, printer.language));
            let answer = act::ask(&format!("{} ", text::type_to_go_on(name).pick(printer.language)))?;
            if answer.trim() != name {
                return Err(Failure::refused(text::not_confirmed(name)));
            }
        }
        _ => return Err(Failure::refused(text::needs_asking("p861 backup forget", &format!("--yes --backup {name}")))),
    }
    let reason = act::needed_reason(context, what.reason.clone(), ActionKind::Forget)?;
    let answer = what.even_newest.then(|| EVEN_NEWEST.to_owned());
    append_action::<Backup>(hub, name, RunAction { answer, ..act::new(ActionKind::Forget, None, Some(reason)) }).await?;
    printer.remark(&text::forget_asked(name));
    if context.global.no_wait { Ok(ExitStatus::Good) } else { wait(context, name).await }
}

/// Refuses what the operator would not let go, as far as it has said so: the newest, unless that is meant, and what is in use or kept.
async fn refuse_what_stays(hub: &Hub, backup: &Backup, repository: &str, even_newest: bool) -> Result<()> {
    let Some(declared) = hub.find::<BackupRepository>(Some(&hub.namespace), repository).await?.map(|read| read.object) else { return Ok(()) };
    let Some(found) = load(hub, declared).await? else { return Ok(()) };
    let id = backup.status.as_ref().and_then(|status| status.snapshot_id.as_deref()).unwrap_or_default();
    let Some(listed) = found.listed.iter().find(|listed| listed.judged.snapshot == *id) else { return Ok(()) };
    let Verdict::Keep(reasons) = &listed.judged.verdict else { return Ok(()) };
    match why_it_stays(&backup.name_any(), reasons, even_newest, |time| hub.clock.minute(time)) {
        Some(why) => Err(Failure::refused(why)),
        None => Ok(()),
    }
}

fn why_it_stays(name: &str, reasons: &[KeepReason], even_newest: bool, time: impl Fn(jiff::Timestamp) -> String + Copy) -> Option<Bilingual> {
    let only = |is: fn(&KeepReason) -> bool| -> Vec<KeepReason> { reasons.iter().filter(|reason| is(reason)).cloned().collect() };
    let held = only(|reason| matches!(reason, KeepReason::Until { .. } | KeepReason::Marked | KeepReason::InUse { .. } | KeepReason::WarmCopy { .. }));
    let first = only(|reason| matches!(reason, KeepReason::Newest | KeepReason::NewestOfLevel { .. } | KeepReason::NothingSounder { .. }));
    let told = |reasons: &[KeepReason], tell: fn(&str, &str) -> Bilingual| {
        let joined = text::reasons_joined(reasons, time);
        text::both(tell(name, &joined.en).en, tell(name, &joined.zh).zh)
    };
    if !held.is_empty() {
        Some(told(&held, text::forget_held))
    } else if !first.is_empty() && !even_newest {
        Some(told(&first, text::forget_newest))
    } else {
        None
    }
}

/// Says what goes, before the question.
fn announcement(backup: &Backup, repository: &str, hub: &Hub, language: Language) -> Vec<Line> {
    let status = backup.status.clone().unwrap_or_default();
    let as_of = status.recovery_point_time.as_ref();
    let as_of = as_of.map(|time| text::data_as_of(&hub.clock.moment(time.0), &hub.clock.age(time.0, language), None).pick(language).to_owned());
    let mut lines = vec![Line::toned(Tone::Warn, text::forget_head(&backup.name_any(), repository).pick(language))];
    let facts = Facts::new(language)
        .with(text::F_APPLICATION, &backup.spec.application_ref.name)
        .maybe(text::F_DATA, as_of)
        .maybe(text::F_SIZE, status.size.as_ref().map(|all| super::super::page::size(&all.total)))
        .maybe(text::F_SNAPSHOT, status.snapshot_id.as_ref().map(|id| id.chars().take(12).collect::<String>()));
    lines.extend(facts.lines());
    lines.push(Line::of(text::forget_follows().pick(language)));
    lines
}

/// What the operator has answered.
enum Answered {
    Gone,
    Stays(Condition),
    NotYet,
}

fn answered(backup: &Backup) -> Answered {
    let mut conditions = backup.status.iter().flat_map(|status| &status.conditions);
    let kept = conditions.rfind(|condition| condition.type_ == ConditionType::Kept);
    match kept {
        Some(kept) if kept.status == "False" => Answered::Gone,
        Some(kept) if kept.reason == Reason::ActionRefused => Answered::Stays(kept.clone()),
        _ => Answered::NotYet,
    }
}

/// Waits until the snapshot is gone, or the operator says why it stays.
async fn wait(context: &Context<'_>, name: &str) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let patience = context.global.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(GONE_WITHIN);
    let deadline = Instant::now() + patience;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::unexpected(text::terminal_trouble(&error.to_string())))?;
    let mut updates = follow::<Backup>(hub, name);
    // What was answered to an earlier request is not the answer to this one.
    let mut before: Option<Condition> = None;
    let mut is_first = true;
    loop {
        tokio::select! {
            seen = updates.recv() => match seen {
                Some(Seen::Object(backup, _)) => match answered(&backup) {
                    Answered::Gone => {
                        printer.remark(&text::forget_done(name));
                        return Ok(ExitStatus::Good);
                    }
                    Answered::Stays(kept) if is_first => (before, is_first) = (Some(kept), false),
                    Answered::Stays(kept) if before.as_ref() != Some(&kept) => return Err(Failure::refused(text::told(&kept.message))),
                    Answered::Stays(_) | Answered::NotYet => is_first = false,
                },
                Some(Seen::Unreachable(_)) => {}
                Some(Seen::Refused(failure)) => return Err(failure),
                Some(Seen::Gone) | None => return Err(Failure::new(ExitStatus::Bad, text::run_gone("backup", name))),
            },
            _ = interrupt.recv() => {
                printer.remark(&text::forget_asked(name));
                return Ok(ExitStatus::Interrupted);
            }
            () = sleep_until(deadline) => {
                printer.warn(&text::forget_waits(name, patience.as_secs(), hub.place()));
                return Ok(ExitStatus::Timeout);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use p861_crds::protection::backup::VerificationLevel;
    use serde_json::json;

    #[test]
    fn the_newest_of_a_level_goes_only_if_that_is_said_and_what_is_in_use_never() {
        let newest = KeepReason::NewestOfLevel { level: VerificationLevel::Probed };
        let used = KeepReason::InUse { by: "drill core-3".into() };
        let time = |_: Timestamp| "then".to_owned();
        for (reasons, even_newest, expected) in [
            (vec![KeepReason::Last, KeepReason::Daily], false, None),
            (vec![KeepReason::Last, newest.clone()], false, Some(("stays (newest Probed): add --even-newest", "保留（最新的已恢复并检查）"))),
            (vec![newest.clone()], true, None),
            (vec![newest, used.clone()], true, Some(("stays (used by drill core-3): nothing was done", "保留（drill core-3 使用中）"))),
            (vec![used, KeepReason::Marked], false, Some(("used by drill core-3, kept by a person", "drill core-3 使用中，人工标记保留"))),
        ] {
            let told = why_it_stays("portal-1", &reasons, even_newest, time);
            match (told, expected) {
                (None, None) => {}
                (Some(told), Some((en, zh))) => assert!(told.en.contains(en) && told.zh.contains(zh), "{told:?}"),
                (told, expected) => panic!("{told:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn the_answer_is_read_from_the_condition_kept() {
        let backup = |status: &str, reason: &str| -> Backup {
            let condition = json!([{"type": "Kept", "status": status, "reason": reason, "message": "why", "lastTransitionTime": "2026-11-15T00:00:00Z"}]);
            serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
                "spec": {"applicationRef": {"name": "a"}}, "status": {"phase": "Succeeded", "conditions": condition}}))
            .expect("a backup")
        };
        assert!(matches!(answered(&backup("False", "Forgotten")), Answered::Gone));
        assert!(matches!(answered(&backup("True", "ActionRefused")), Answered::Stays(kept) if kept.message == "why"));
        assert!(matches!(answered(&backup("True", "Stored")), Answered::NotYet));
    }
}
