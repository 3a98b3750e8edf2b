//! Verbs that act on a run: `watch pause resume abort retry skip answer`, and a drill's `cleanup extend`. An action is appended to the run's spec; the
//! operator reads it and records the outcome in the journal.

use super::Context;
use crate::{
    args::{Act, ActOnStep, ActOnStepWithReason, ActWithReason, RunVerb},
    error::{Failure, Result},
    exit::ExitStatus,
    hub::{Hub, Kind, Seen, append_action, follow},
    run::{Watched, kept_until, outline, steps_called, watch},
    text::{self, Bilingual},
};
use jiff::Timestamp;
use p861_crds::{
    Restore,
    common::{ActionKind, CurrentStep, RunAction, RunPhase},
};
use std::{
    io::{BufRead as _, Write as _},
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

/// The operator reads an action within this time, or something is wrong with it.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// Runs the command.
pub async fn perform<K: Watched>(context: &Context<'_>, verb: &RunVerb) -> Result<ExitStatus> {
    match verb {
        RunVerb::Watch(name) => watch::<K>(&context.hub, context.printer, context.global, &name.name).await,
        RunVerb::Pause(act) => on_run::<K>(context, act, ActionKind::Pause).await,
        RunVerb::Resume(act) => on_run::<K>(context, act, ActionKind::Resume).await,
        RunVerb::Abort(ActWithReason { name, reason }) => on_run::<K>(context, &Act { name: name.clone(), reason: reason.clone() }, ActionKind::Abort).await,
        RunVerb::Retry(act) => on_step::<K>(context, act, ActionKind::Retry).await,
        RunVerb::Skip(ActOnStepWithReason { name, step, reason }) => {
            on_step::<K>(context, &ActOnStep { name: name.clone(), step: step.clone(), reason: reason.clone() }, ActionKind::Skip).await
        }
        RunVerb::Answer(answer) => {
            // A question of a drill may decide whether data is removed: nobody says yes to it by saying nothing.
            if !answer.yes && !answer.no {
                return Err(Failure::usage(text::say_yes_or_no(K::NOUN, &answer.name, answer.step.as_deref(), context.hub.place())));
            }
            let act = ActOnStep { name: answer.name.clone(), step: answer.step.clone(), reason: answer.reason.clone() };
            let run = open::<K>(context, &act.name).await?;
            let step = the_step(context, &act, &run, ActionKind::Answer).await?;
            let said = if answer.no { "no" } else { "yes" };
            send::<K>(context, &act.name, RunAction { answer: Some(said.into()), ..new(ActionKind::Answer, Some(step), act.reason) }).await
        }
    }
}

/// An action on the whole run.
pub async fn on_run<K: Watched>(context: &Context<'_>, act: &Act, kind: ActionKind) -> Result<ExitStatus> {
    let run = open::<K>(context, &act.name).await?;
    refuse_what_has_no_effect(&run, kind)?;
    if kind == ActionKind::Abort && K::NOUN == <Restore as Kind>::NOUN {
        context.printer.remark(&text::abort_leaves());
    }
    let reason = if kind == ActionKind::Abort { Some(needed_reason(context, act.reason.clone(), kind)?) } else { act.reason.clone() };
    send::<K>(context, &act.name, new(kind, None, reason)).await
}

async fn on_step<K: Watched>(context: &Context<'_>, act: &ActOnStep, kind: ActionKind) -> Result<ExitStatus> {
    let run = open::<K>(context, &act.name).await?;
    let step = the_step(context, act, &run, kind).await?;
    let asks = |current: &&CurrentStep| current.id == step && current.prompt.is_some();
    if kind == ActionKind::Retry && run.current_steps().iter().any(|current| asks(&current)) {
        return Err(Failure::refused(text::answer_instead(K::NOUN, &act.name, &step, context.hub.place())));
    }
    let reason = if kind == ActionKind::Skip { Some(needed_reason(context, act.reason.clone(), kind)?) } else { act.reason.clone() };
    send::<K>(context, &act.name, new(kind, Some(step), reason)).await
}

/// The operator would read such an action and do nothing. While it has not read all there is, the phase says too little to judge.
fn refuse_what_has_no_effect<K: Watched>(run: &K, kind: ActionKind) -> Result<()> {
    let (asked, read) = run.actions();
    let (name, phase) = (kube::ResourceExt::name_any(run), run.phase());
    match (kind, phase) {
        _ if asked > read => Ok(()),
        (ActionKind::Pause, RunPhase::Paused) | (ActionKind::Abort, RunPhase::Aborting) => Err(Failure::refused(text::already_so(K::NOUN, &name, phase))),
        (ActionKind::Resume, phase) if phase != RunPhase::Paused => Err(Failure::refused(text::not_paused(K::NOUN, &name, phase))),
        _ => Ok(()),
    }
}

/// An action without the fields that few have.
pub fn new(action: ActionKind, step: Option<String>, reason: Option<String>) -> RunAction {
    RunAction { action, step, reason, answer: None, duration: None, by: None }
}

/// The run, if it has not ended.
pub async fn open<K: Watched>(context: &Context<'_>, name: &str) -> Result<K> {
    let run = context.hub.get_here::<K>(name).await?.object;
    if run.phase().is_end() {
        return Err(Failure::refused(text::run_has_ended(K::NOUN, name, run.phase(), context.hub.place())));
    }
    Ok(run)
}

/// The step that is meant: the one that was typed, or the only one that waits for such an action.
async fn the_step<K: Watched>(context: &Context<'_>, act: &ActOnStep, run: &K, kind: ActionKind) -> Result<String> {
    if let Some(typed) = &act.step {
        return named_step(context, run, &act.name, typed).await;
    }
    let fits = |step: &CurrentStep| match kind {
        ActionKind::Skip => true,
        ActionKind::Answer => step.prompt.is_some(),
        _ => step.prompt.is_none(),
    };
    let ids =
        |those: &dyn Fn(&CurrentStep) -> bool| -> Vec<&str> { run.current_steps().iter().filter(|step| those(step)).map(|step| step.id.as_str()).collect() };
    let mut waiting = ids(&|step| step.phase == RunPhase::WaitingForPerson && fits(step));
    // A step that waits for something else than a person is given up all the same.
    if waiting.is_empty() && kind == ActionKind::Skip {
        waiting = ids(&|_| true);
    }
    match waiting.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(Failure::refused(text::no_step_waits(K::NOUN, &act.name, context.hub.place()))),
        many => Err(Failure::usage(text::which_step(K::NOUN, &act.name, many))),
    }
}

/// The id of a step by its id, or by the name that views show. If nobody can look the steps up, the operator does.
async fn named_step<K: Watched>(context: &Context<'_>, run: &K, name: &str, typed: &str) -> Result<String> {
    let outline = outline(&context.hub, run).await?;
    let mut ids: Vec<String> = outline.0.iter().map(|step| step.id.clone()).collect();
    ids.extend(run.current_steps().iter().map(|step| step.id.clone()).filter(|id| !outline.0.iter().any(|step| step.id == *id)));
    match steps_called(K::NOUN, &ids, typed).as_slice() {
        [one] => Ok((*one).to_owned()),
        // Without the run's own steps, those under way are not all that it has.
        [] if outline.0.is_empty() => Ok(typed.to_owned()),
        [] => Err(Failure::refused(text::no_such_step(K::NOUN, name, typed, &ids))),
        many => Err(Failure::usage(text::several_steps_called(K::NOUN, name, typed, many))),
    }
}

/// The reason, asked for if there is a person to ask.
pub fn needed_reason(context: &Context<'_>, reason: Option<String>, kind: ActionKind) -> Result<String> {
    let given = match reason {
        Some(reason) => reason,
        None if context.printer.interactive() => ask(&format!("{} ", text::ask_reason(kind, None, None, true).pick(context.printer.language)))?,
        None => String::new(),
    };
    let given = given.trim().to_owned();
    if given.is_empty() { Err(Failure::usage(text::reason_missing(kind))) } else { Ok(given) }
}

/// Asks the person at the terminal for a line.
pub fn ask(question: &str) -> Result<String> {
    let trouble = |error: std::io::Error| Failure::unexpected(text::terminal_trouble(&error.to_string()));
    let mut out = std::io::stderr();
    write!(out, "{question}").and_then(|()| out.flush()).map_err(trouble)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(trouble)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// What is said of an action that nobody has read in time: perhaps there is nobody who could.
pub async fn unread(hub: &Hub, noun: &str, name: &str, waited: Duration, back: &str) -> Bilingual {
    let (seconds, namespace, now) = (waited.as_secs(), &hub.operator_namespace, Timestamp::now());
    // Whether anybody leads may be hidden from this person, or from everybody just now: then that the operator is silent is all there is to say.
    match hub.read_heartbeat().await.ok().flatten().and_then(|heartbeat| heartbeat.leaderless(now)) {
        Some(leaderless) => text::nobody_reads_it(&leaderless.said(&hub.clock.at(now)), noun, name, seconds, namespace, back),
        None => text::action_unread(noun, name, seconds, namespace, back),
    }
}

/// Appends the action and waits until the operator has read it.
pub async fn send<K: Watched>(context: &Context<'_>, name: &str, action: RunAction) -> Result<ExitStatus> {
    let (kind, step) = (action.action, action.step.clone());
    let keeps = kind == ActionKind::Extend || action.answer.as_deref() == Some("no");
    let number = append_action::<K>(&context.hub, name, action).await?;
    let back = context.hub.typed(&format!("p861 {} watch {name}", K::NOUN));
    context.printer.remark(&text::action_asked(kind, step.as_deref()));
    if context.global.no_wait {
        return Ok(ExitStatus::Good);
    }
    let patience = context.global.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(READ_WITHIN);
    let deadline = Instant::now() + patience;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::unexpected(text::terminal_trouble(&error.to_string())))?;
    let mut updates = follow::<K>(&context.hub, name);
    loop {
        tokio::select! {
            seen = updates.recv() => match seen {
                Some(Seen::Object(run, _)) if run.actions().1 >= number => {
                    // Others may ask at the same time; ours is the last that the hub had when it answered.
                    if let Some(refused) = run.refused().into_iter().find(|refused| refused.index == number - 1) {
                        return Err(Failure::refused(text::run_action_refused(kind, step.as_deref(), K::NOUN, name, &refused.why)));
                    }
                    context.printer.remark(&text::action_read(K::NOUN, name, run.phase(), &back));
                    if let Some(kept) = kept_until(run.current_steps(), &context.hub.clock.at(Timestamp::now())).filter(|_| keeps) {
                        context.printer.remark(&kept);
                    }
                    return Ok(ExitStatus::Good);
                }
                // It was ended while it waited, by an operator that didn't count what it had read.
                Some(Seen::Object(run, _)) if run.phase() == RunPhase::Aborted && kind == ActionKind::Abort => {
                    context.printer.remark(&text::action_read(K::NOUN, name, run.phase(), &back));
                    return Ok(ExitStatus::Good);
                }
                Some(Seen::Object(run, _)) if run.phase().is_end() => {
                    return Err(Failure::refused(text::run_has_ended(K::NOUN, name, run.phase(), context.hub.place())));
                }
                Some(Seen::Object(..) | Seen::Unreachable(_)) => {}
                Some(Seen::Refused(failure)) => return Err(failure),
                Some(Seen::Gone) | None => return Err(Failure::new(ExitStatus::Bad, text::run_gone(K::NOUN, name))),
            },
            // The request is recorded in the run and will be read; only this process stops waiting for it.
            _ = interrupt.recv() => {
                context.printer.remark(&text::left(K::NOUN, name, &back));
                return Ok(ExitStatus::Interrupted);
            }
            () = sleep_until(deadline) => {
                context.printer.warn(&unread(&context.hub, K::NOUN, name, patience, &back).await);
                return Ok(ExitStatus::Timeout);
            }
        }
    }
}
