//! `p861 duty …`

use super::{
    Context,
    act::unread,
    list::print_object,
    needs::{self, Objects},
    page::{self, Reader, cell},
};
use crate::{
    args::{DutyAct, DutyCommand},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Read, Seen, append, follow},
    text::{self, Language},
};
use jiff::Timestamp;
use kube::ResourceExt;
use p861_crds::{
    DutyRoster,
    maintenance::roster::{DutyAction, DutyActionKind},
};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The operator reads an action within this time, or something is wrong with it.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &DutyCommand) -> Result<ExitStatus> {
    match command {
        DutyCommand::Now(what) => {
            let roster = the_roster(context, what.roster.as_ref()).await?;
            print_object(context.printer, &roster, |roster| now(roster, &context.hub.clock, context.printer.language, context.hub.place()))?;
            Ok(needs::verdict(&context.hub, &Objects { rosters: vec![roster.object], ..Objects::default() }))
        }
        DutyCommand::Handover(what) => act(context, what, DutyActionKind::HandOver).await,
        DutyCommand::Take(what) => act(context, what, DutyActionKind::TakeOver).await,
    }
}

/// The roster that is meant: the one that was named, or the only one.
async fn the_roster(context: &Context<'_>, name: Option<&String>) -> Result<Read<DutyRoster>> {
    let hub = &context.hub;
    if let Some(name) = name {
        return hub.get_here::<DutyRoster>(name).await;
    }
    let mut rosters = hub.list_here::<DutyRoster>("").await?;
    if let Some(why) = rosters.unreadable.first() {
        return Err(Failure::unexpected(why.clone()));
    }
    match (rosters.items.len(), rosters.items.pop(), rosters.raw.pop()) {
        (1, Some(object), Some(raw)) => Ok(Read { object, raw }),
        (0, ..) => Err(Failure::refused(text::no_roster(&hub.namespace))),
        (_, last, _) => {
            let names = rosters.items.iter().chain(last.as_ref()).map(ResourceExt::name_any).collect::<Vec<_>>();
            Err(Failure::usage(text::which_roster(&names)))
        }
    }
}

/// For each level: who, until when, and notes.
fn now(roster: &DutyRoster, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let clock = clock.at(Timestamp::now());
    let status = roster.status.clone().unwrap_or_default();
    let mut table = Table::new(language, &[text::LEVEL, text::ON_DUTY, text::UNTIL, text::REMARK]);
    for (index, level) in status.current.iter().enumerate() {
        let taken =
            status.last_hand_over.as_ref().filter(|hand_over| index == 0 && hand_over.to == level.person).and_then(|hand_over| hand_over.taken_time.as_ref());
        // A level is called when the one before it has not acknowledged.
        let wait = index.checked_sub(1).and_then(|before| roster.spec.levels.get(before)).and_then(|before| before.escalate_after.as_ref());
        let remark = match (&level.also, taken, wait) {
            (Some(also), ..) => Line::toned(Tone::Warn, text::called_too(also).pick(language)),
            (None, Some(taken), _) => Line::of(text::taken_at(&clock.moment(taken.0)).pick(language)),
            (None, None, Some(wait)) => Line::of(text::called_after(&wait.0).pick(language)),
            (None, None, None) => page::dash(),
        };
        let person = level.person.as_ref().map_or_else(|| Line::toned(Tone::Bad, text::nobody().pick(language)), Line::of);
        table.row(vec![Line::of(&level.level), person, cell(level.until_time.as_ref().map(|time| clock.minute(time.0))), remark]);
    }
    let mut lines = table.lines();
    lines.extend(page::conditions(&status.conditions, &Reader { language, place, name: &roster.name_any() }));
    lines
}

/// Gives or takes the duty, and waits until the operator has read it.
async fn act(context: &Context<'_>, what: &DutyAct, kind: DutyActionKind) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let name = the_roster(context, what.roster.as_ref()).await?.object.name_any();
    let action = DutyAction { action: kind, note: what.note.clone(), by: Some(hub.identity().await?) };
    let roster: DutyRoster = append(hub, &name, &action).await?;
    let number = roster.spec.actions.len();
    let person = hub.identity().await?;
    let on_roster = roster.spec.people.iter().find(|known| known.username.as_ref().unwrap_or(&known.name) == &person).map(|known| known.name.clone());
    let patience = context.global.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(READ_WITHIN);
    let deadline = Instant::now() + patience;
    let mut updates = follow::<DutyRoster>(hub, &name);
    loop {
        tokio::select! {
            seen = updates.recv() => match seen {
                Some(Seen::Object(roster, _)) => {
                    let status = roster.status.unwrap_or_default();
                    if usize::try_from(status.observed_actions.unwrap_or_default()).unwrap_or_default() < number {
                        continue;
                    }
                    let last = status.last_hand_over.unwrap_or_default();
                    let ours = match kind {
                        DutyActionKind::HandOver => &last.from,
                        DutyActionKind::TakeOver => &last.to,
                    };
                    if on_roster.is_none() || *ours != on_roster {
                        return Err(Failure::refused(text::not_on_roster(&person, &name)));
                    }
                    printer.remark(&match kind {
                        DutyActionKind::HandOver => text::duty_given(&name),
                        DutyActionKind::TakeOver => text::duty_taken(&name, last.note.as_deref()),
                    });
                    return Ok(ExitStatus::Good);
                }
                Some(Seen::Unreachable(_)) => {}
                Some(Seen::Refused(failure)) => return Err(failure),
                Some(Seen::Gone) | None => return Err(Failure::refused(text::run_gone("roster", &name))),
            },
            () = sleep_until(deadline) => {
                printer.warn(&unread(hub, "roster", &name, patience, &format!("p861 duty now{}", hub.place())).await);
                return Ok(ExitStatus::Timeout);
            }
        }
    }
}
