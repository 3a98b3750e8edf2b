//! `p861 policy …`

use super::{
    Context,
    list::{print_list, print_object},
    needs::{self, Objects},
    page::{self, Facts, Reader, cell, size, truth},
};
use crate::{
    args::PolicyCommand,
    error::Result,
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    printer::Output,
    text::{self, Bilingual, Language},
};
use kube::ResourceExt as _;
use p861_crds::{
    BackupPolicy, BackupPolicySpec, ConditionType,
    protection::policy::{PolicyLimits, Retention, WaitingSlot},
};

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &PolicyCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        PolicyCommand::List => {
            let policies = hub.list_here::<BackupPolicy>("").await?;
            print_list(printer, &policies, &text::no_policies(&hub.namespace), |policies| {
                list(policies, printer.output == Output::Wide, &hub.clock, printer.language, hub.place())
            })
        }
        PolicyCommand::Show(name) => {
            let read = hub.get_here::<BackupPolicy>(&name.name).await?;
            print_object(printer, &read, |policy| show(policy, &hub.clock, printer.language, hub.place()))?;
            Ok(needs::verdict(hub, &Objects { policies: vec![read.object], ..Objects::default() }))
        }
    }
}

/// The table of policies.
fn list(policies: &[BackupPolicy], wide: bool, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let mut heads = vec![text::POLICY, text::READY, text::SCHEDULE, text::NEXT, text::APPLICATIONS, text::REPOSITORY, text::LEVEL, text::MAX_AGE];
    if wide {
        heads.extend([text::LAST, text::WAITING, text::MISSED, text::REASON]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::MAX_AGE, text::LEVEL, text::REPOSITORY, text::APPLICATIONS]);
    for policy in policies {
        let (spec, status) = (&policy.spec, policy.status.clone().unwrap_or_default());
        let verification = spec.verification.as_ref();
        let mut row = vec![
            Line::of(policy.name_any()),
            truth(&status.conditions, ConditionType::Ready, language),
            Line::of(&spec.schedule),
            cell(status.next_slot_time.as_ref().map(|time| clock.minute(time.0))),
            cell(status.applications.map(|number| number.to_string())),
            Line::of(&spec.repository_ref.name),
            cell(verification.map(|verification| text::value(verification.level).pick(language).to_owned())),
            cell(verification.map(|verification| text::span(&verification.max_age.0, language))),
        ];
        if wide {
            let said = page::condition(&status.conditions, ConditionType::Ready)
                .map(|condition| page::says(condition, &Reader { language, place, name: &policy.name_any() }).0);
            row.extend([
                cell(status.last_slot_time.as_ref().map(|time| clock.minute(time.0))),
                cell(status.waiting_slots.map(|number| number.to_string())),
                cell(status.missed.as_ref().map(|missed| missed.slots.to_string())),
                cell(said),
            ]);
        }
        table.row(row);
    }
    table.lines()
}

/// Which snapshots stay, as it is written: `last 12, daily 30`.
fn kept(retention: &Retention) -> Vec<(&'static str, u32)> {
    let Retention { last, hourly, daily, weekly, monthly, yearly } = *retention;
    let rules = [("last", last), ("hourly", hourly), ("daily", daily), ("weekly", weekly), ("monthly", monthly), ("yearly", yearly)];
    rules.into_iter().filter_map(|(rule, number)| Some((rule, number?))).collect()
}

fn uploads(limits: &PolicyLimits, language: Language) -> Option<String> {
    let always = limits.upload_bytes_per_second.as_ref().map(|rate| text::per_second(&size(rate)));
    let hours = limits.hours.iter().map(|hours| text::in_hours(&text::per_second(&size(&hours.upload_bytes_per_second)), &hours.start, &hours.end));
    let all: Vec<Bilingual> = always.map(|rate| Bilingual { zh: rate.clone(), en: rate }).into_iter().chain(hours).collect();
    (!all.is_empty()).then(|| all.iter().map(|limit| limit.pick(language)).collect::<Vec<_>>().join(text::COMMA.pick(language)))
}

fn facts(spec: &BackupPolicySpec, language: Language) -> Facts {
    let comma = text::COMMA.pick(language);
    let for_criticalities =
        spec.default_for.iter().map(|criticality| text::criticality(*criticality).pick(language)).collect::<Vec<_>>().join(text::LISTED.pick(language));
    let kept = spec.retention.as_ref().map(|retention| {
        let rules = kept(retention);
        rules.iter().map(|(rule, number)| text::kept(rule, *number).pick(language).to_owned()).collect::<Vec<_>>().join(comma)
    });
    let verification = spec.verification.as_ref().map(|verification| {
        let level = text::value(verification.level).pick(language).to_owned();
        [level, verification.schedule.clone(), text::not_older_than(&text::span(&verification.max_age.0, language)).pick(language).to_owned()].join(comma)
    });
    Facts::new(language)
        .with(text::F_SCHEDULE, &spec.schedule)
        .maybe(text::F_DEFAULT_FOR, Some(for_criticalities).filter(|names| !names.is_empty()))
        .with(text::F_REPOSITORY, &spec.repository_ref.name)
        .maybe(text::F_JITTER, spec.jitter.as_ref().map(|jitter| text::span(&jitter.0, language)))
        .with(text::F_BEGINS_WITHIN, text::span(&spec.starting_deadline.0, language))
        .with(text::F_VOLUME_METHOD, text::volume_method(spec.volume_method).pick(language))
        .maybe(text::F_KEPT, kept)
        .maybe(text::F_HISTORY, spec.history.as_ref().map(|history| text::history(history.succeeded, history.failed).pick(language).to_owned()))
        .maybe(text::F_VERIFICATION, verification)
        .with(text::F_AT_ONCE, spec.limits.backups.to_string())
        .maybe(text::F_UPLOAD, uploads(&spec.limits, language))
}

fn waits(slot: &WaitingSlot, clock: &Clock, language: Language) -> String {
    let said = text::told(&slot.message);
    format!("{} {}{}{}", slot.application, clock.minute(slot.slot_time.0), text::COLON.pick(language), said.pick(language))
}

/// The page of a policy.
fn show(policy: &BackupPolicy, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let status = policy.status.clone().unwrap_or_default();
    let mut lines = vec![Line::toned(Tone::Strong, format!("{} {}", text::noun("policy").pick(language), policy.name_any()))];
    let minute = |time: &p861_crds::Time| clock.minute(time.0);
    let missed = status.missed.as_ref().map(|missed| text::missed(missed.slots, &minute(&missed.last_slot_time), &missed.application));
    let facts = facts(&policy.spec, language)
        .maybe(text::F_APPLICATIONS, status.applications.map(|number| number.to_string()))
        .maybe(text::F_NEXT_SLOT, status.next_slot_time.as_ref().map(minute))
        .maybe(text::F_LAST, status.last_slot_time.as_ref().map(minute))
        .maybe(text::F_MISSED, missed.as_ref().map(|missed| missed.pick(language)));
    let facts = status.waiting.iter().fold(facts, |facts, slot| facts.with(text::F_WAITS, waits(slot, clock, language)));
    lines.extend(facts.lines());
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &policy.name_any() }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_is_shown_with_what_it_promises_and_what_its_backups_wait_for() {
        let spec = json!({"repositoryRef": {"name": "main"}, "schedule": "*/10 * * * *", "defaultFor": ["Critical"], "retention": {"last": 12, "daily": 30},
            "verification": {"level": "Probed", "schedule": "0 4 * * 0", "maxAge": "168h"},
            "limits": {"hours": [{"start": "08:00", "end": "18:00", "uploadBytesPerSecond": "2Mi"}]}});
        let time = "2026-11-24T00:00:00Z";
        let waiting =
            json!({"application": "approval", "slotTime": time, "reason": "BackupRunning", "message": "backup a1 has not ended yet: p861 backup show a1"});
        let missed = json!({"slots": 3, "lastSlotTime": time, "application": "approval", "reason": "BackupRunning"});
        let status = json!({"applications": 12, "nextSlotTime": "2026-11-24T00:10:00Z", "waitingSlots": 1, "missed": missed, "waiting": [waiting]});
        let policy: BackupPolicy = serde_json::from_value(
            json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupPolicy", "metadata": {"name": "critical"}, "spec": spec, "status": status}),
        )
        .expect("a policy");
        let clock = Clock::in_zone(jiff::tz::TimeZone::UTC);
        for (language, told) in [
            (
                Language::En,
                [
                    "Critical",
                    "last 12, daily 30",
                    "Probed, 0 4 * * 0, at most 168h old",
                    "2.0 MiB/s from 08:00 to 18:00",
                    "3, the newest 2026-11-24 00:00 (approval)",
                    "approval 2026-11-24 00:00: backup a1 has not ended yet: p861 backup show a1",
                ],
            ),
            (
                Language::Zh,
                [
                    "关键",
                    "最近 12 个，每日 30 个",
                    "已恢复并检查，0 4 * * 0，不早于 168小时",
                    "08:00 至 18:00 为 2.0 MiB/s",
                    "3 次，最近 2026-11-24 00:00（approval）",
                    "approval 2026-11-24 00:00：备份 a1 尚未结束：p861 backup show a1",
                ],
            ),
        ] {
            let page = show(&policy, &clock, language, "").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            for text in told {
                assert!(page.contains(text), "{text}: {page}");
            }
            let table = list(std::slice::from_ref(&policy), true, &clock, language, "").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(["critical", "*/10 * * * *", "2026-11-24 00:10", "12", "main"].iter().all(|text| table.contains(text)), "{table}");
        }
    }
}
