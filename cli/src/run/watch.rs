//! Watching a run to its end, whatever the terminal is, and what the shell is told afterwards.

use super::{
    Snapshot, Story, Tree, asked, live, plain, screen,
    tree::{PAGE, label},
    updates::{Update, outline, updates},
};
use crate::{
    args::Global,
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Clock, Line},
    hub::{Hub, Run, Seen, follow_lead},
    printer::{Output, Printer},
    text::{self, Language},
};
use jiff::{SignedDuration, Timestamp};
use p861_crds::common::RunPhase;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

pub use screen::Stand;

/// A kind of run that can be watched.
pub trait Watched: Run {
    /// How its live view stands on the terminal.
    const STAND: Stand;

    /// What the views need of it.
    fn snapshot(&self, clock: &Clock, language: Language) -> Snapshot;

    /// The ConfigMap and key with the steps that it is expected to have, before it has begun.
    fn planned(&self) -> Option<(String, &'static str)> {
        None
    }

    /// Good or bad, once it has ended.
    fn verdict(&self) -> ExitStatus;

    /// The page at its end.
    fn summary(&self, hub: &Hub, language: Language) -> impl Future<Output = Vec<Line>> + Send;

    /// How long each step took the last time, where that is known.
    fn took_before(&self, _hub: &Hub) -> impl Future<Output = BTreeMap<String, SignedDuration>> + Send {
        std::future::ready(BTreeMap::new())
    }
}

/// How a run stands: its steps while it goes on, its page when it has ended.
pub async fn standing<K: Watched>(hub: &Hub, run: &K, language: Language) -> Vec<Line> {
    if run.phase().is_end() {
        return run.summary(hub, language).await;
    }
    let clock = hub.clock.at(Timestamp::now());
    let seen = run.snapshot(&clock, language);
    let mut story = Story::default();
    // Without its steps it is shown by those under way, which stand in its status.
    story.learn(outline(hub, run).await.unwrap_or_default());
    story.update(clock.now, &seen);
    Tree { seen: &seen, story: &story, clock: &clock, language, selected: None, columns: PAGE }.lines(usize::MAX)
}

/// How watching ended.
pub enum Outcome<K> {
    /// The run has ended.
    Ended(Box<K>),
    /// Nothing goes on until a person acts.
    Person(Box<K>),
    /// The person left the view.
    Left,
    /// Ctrl-C.
    Interrupted,
    /// `--timeout` has passed.
    TimedOut,
    /// The run is not there any more.
    Gone,
}

/// What a program gets of a run that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Documents {
    /// The run at each change.
    EachChange,
    /// The run as it stands when the command ends.
    Last,
}

/// Watches a run, prints what there is to print, and says what the shell is told. A program gets the run at each change.
pub async fn watch<K: Watched>(hub: &Hub, printer: &Printer, global: &Global, name: &str) -> Result<ExitStatus> {
    watch_with::<K>(hub, printer, global, name, Documents::EachChange).await
}

/// The same of a run that this command has started: a program gets one document, as of every command that does something.
pub async fn watch_started<K: Watched>(hub: &Hub, printer: &Printer, global: &Global, name: &str) -> Result<ExitStatus> {
    watch_with::<K>(hub, printer, global, name, Documents::Last).await
}

async fn watch_with<K: Watched>(hub: &Hub, printer: &Printer, global: &Global, name: &str, documents: Documents) -> Result<ExitStatus> {
    let first = hub.get_here::<K>(name).await?;
    if global.no_wait {
        return stand(hub, printer, &first.object, &first.raw).await;
    }
    let deadline = global.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).map(|timeout| Instant::now() + timeout);
    let each = documents == Documents::EachChange;
    let mut last = first.raw;
    let outcome = if first.object.phase().is_end() {
        if printer.structured() && each {
            printer.change(&last)?;
        }
        Outcome::Ended(Box::new(first.object))
    } else if printer.live() {
        live::watch::<K>(hub, printer, name, deadline).await?
    } else {
        lines::<K>(hub, printer, name, deadline, each, &mut last).await?
    };
    if printer.structured() && !each {
        printer.structure(&last)?;
    }
    finish(hub, printer, name, outcome).await
}

/// Says how a run stands, without waiting.
async fn stand<K: Watched>(hub: &Hub, printer: &Printer, run: &K, raw: &Value) -> Result<ExitStatus> {
    if printer.structured() {
        printer.structure(raw)?;
    } else if printer.output != Output::Name {
        printer.lines(&standing(hub, run, printer.language).await);
    }
    Ok(code_of(run))
}

/// What the shell is told of a run as it stands, by every command that shows it.
pub fn code_of<K: Watched>(run: &K) -> ExitStatus {
    match run.phase() {
        RunPhase::WaitingForPerson | RunPhase::Paused => ExitStatus::Person,
        phase if phase.is_end() => match run.verdict() {
            ExitStatus::Good => ExitStatus::judged(run.left().is_none()),
            bad => bad,
        },
        _ => ExitStatus::Good,
    }
}

/// How often it is checked what steps have been saying for a while.
const LASTING_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// One line per change, or one object per change if `each` is wanted. `last_raw` becomes the run as it was seen last.
async fn lines<K: Watched>(hub: &Hub, printer: &Printer, name: &str, deadline: Option<Instant>, each: bool, last_raw: &mut Value) -> Result<Outcome<K>> {
    let (mut updates, mut lead, mut story) = (updates::<K>(hub, name), follow_lead(hub), Story::default());
    let trouble = |error: std::io::Error| Failure::unexpected(text::terminal_trouble(&error.to_string()));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(trouble)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(trouble)?;
    let (mut shown, mut silent) = (false, false);
    let mut last: Option<Snapshot> = None;
    let tells = !printer.structured() && printer.output != Output::Name;
    let mut ticks = tokio::time::interval(LASTING_CHECK_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick(), if tells => {
                let clock = hub.clock.at(Timestamp::now());
                if let Some(seen) = &last {
                    printer.lines(&plain::lines(&story.lasting(clock.now), seen, &clock, printer.language, hub.place()));
                }
            }
            Ok(()) = lead.changed() => {
                let leaderless = *lead.borrow_and_update();
                match leaderless {
                    Some(leaderless) => printer.warn(&text::run_stands_still(&leaderless.said(&hub.clock.at(Timestamp::now())))),
                    None => printer.remark(&text::leads_again()),
                }
            }
            update = updates.recv() => match update {
                Some(Update::Steps(steps)) => story.learn(steps),
                Some(Update::Seen(Seen::Object(run, raw))) => {
                    if silent {
                        printer.remark(&text::hub_answers_again());
                        silent = false;
                    }
                    let clock = hub.clock.at(Timestamp::now());
                    let snapshot = run.snapshot(&clock, printer.language);
                    let changes = story.update(clock.now, &snapshot);
                    if printer.structured() {
                        if each && (!shown || *last_raw != raw) {
                            printer.change(&raw)?;
                        }
                    } else if tells {
                        printer.lines(&plain::lines(&changes, &snapshot, &clock, printer.language, hub.place()));
                    }
                    (shown, *last_raw) = (true, raw);
                    if run.phase().is_end() {
                        return Ok(Outcome::Ended(run));
                    }
                    // Without a terminal nobody can answer here; whoever started this must know.
                    if snapshot.stands_still() && snapshot.unread_actions == 0 {
                        return Ok(Outcome::Person(run));
                    }
                    last = Some(snapshot);
                }
                Some(Update::Seen(Seen::Unreachable(failure))) => {
                    if !silent {
                        printer.warn(&text::hub_silent_line(&failure.text));
                        silent = true;
                    }
                }
                Some(Update::Seen(Seen::Refused(failure))) => return Err(failure),
                Some(Update::Seen(Seen::Gone)) | None => return Ok(Outcome::Gone),
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return Ok(Outcome::TimedOut),
            _ = interrupt.recv() => return Ok(Outcome::Interrupted),
            _ = terminate.recv() => return Ok(Outcome::Interrupted),
        }
    }
}

async fn finish<K: Watched>(hub: &Hub, printer: &Printer, name: &str, outcome: Outcome<K>) -> Result<ExitStatus> {
    let back = hub.typed(&format!("p861 {} watch {name}", K::NOUN));
    Ok(match outcome {
        Outcome::Ended(run) => {
            if !printer.structured() && printer.output != Output::Name {
                printer.lines(&run.summary(hub, printer.language).await);
            }
            code_of(&*run)
        }
        Outcome::Person(run) => {
            for step in run.current_steps().iter().filter(|step| step.phase == RunPhase::WaitingForPerson) {
                let question = asked(step, &hub.clock.at(Timestamp::now()), printer.language);
                printer.warn(&text::person_waited_for(&label(K::NOUN, &step.id, printer.language), &question, &answer_command(hub, K::NOUN, name, step)));
            }
            ExitStatus::Person
        }
        Outcome::Left => {
            printer.remark(&text::left(K::NOUN, name, &back));
            ExitStatus::Good
        }
        Outcome::Interrupted => {
            printer.remark(&text::left(K::NOUN, name, &back));
            ExitStatus::Interrupted
        }
        Outcome::TimedOut => {
            printer.remark(&text::timed_out(K::NOUN, name, &back));
            ExitStatus::Timeout
        }
        // Nobody can say any more how it ended, so it is not good.
        Outcome::Gone => return Err(Failure::new(ExitStatus::Bad, text::run_gone(K::NOUN, name))),
    })
}

/// The command that answers a step: the operator's own word for it, with the district that is meant.
fn answer_command(hub: &Hub, noun: &str, name: &str, step: &p861_crds::common::CurrentStep) -> String {
    let command = step.remedy.clone().unwrap_or_else(|| format!("p861 {noun} {} {name} {}", if step.prompt.is_some() { "answer" } else { "retry" }, step.id));
    hub.typed(&command)
}

/// A stated duration; none if it is absent or no duration.
pub fn stated(duration: Option<&p861_crds::Duration>) -> Option<SignedDuration> {
    duration.and_then(|text| p861_core::time::parse_duration(&text.0).ok())
}
