//! Watching on a terminal: the tree, whose changed lines are drawn at every change and every half second, and the keys that act on the run.

use super::{
    Story,
    console::{Console, Intent},
    is_hold, kept_until, label, plain,
    screen::{Key, Screen},
    tree::Tree,
    updates::{Update, updates},
    watch::{Outcome, Watched},
};
use crate::{
    error::Result,
    format::{Line, Room, Tone, elapsed, fitted},
    hub::{Hub, Leaderless, Refused, Seen, append_action, follow_lead},
    printer::Printer,
    text,
};
use jiff::Timestamp;
use p861_crds::common::RunAction;
use std::time::Duration;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch as latest},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// The clock moves on the view at least this often.
const TICK: Duration = Duration::from_millis(500);

/// The view's memory.
struct View<'a, K> {
    hub: &'a Hub,
    printer: &'a Printer,
    story: Story,
    console: Console,
    log: Vec<Line>,
    now: Option<Box<K>>,
    /// Since when the hub has not answered, and what it was.
    silence: Option<(Instant, String)>,
    /// Whether an operator leads.
    lead: latest::Receiver<Option<Leaderless>>,
}

/// Watches until the run ends or the person leaves.
pub async fn watch<K: Watched>(hub: &Hub, printer: &Printer, name: &str, deadline: Option<Instant>) -> Result<Outcome<K>> {
    let (mut screen, mut keys) = Screen::take(K::STAND, printer.colour())?;
    let mut updates = updates::<K>(hub, name);
    let (sender, mut answers) = mpsc::unbounded_channel();
    let (story, console, lead) = (Story::default(), Console::default(), follow_lead(hub));
    let mut view = View { hub, printer, story, console, log: Vec::new(), now: None, silence: None, lead };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let trouble = |error: std::io::Error| crate::error::Failure::unexpected(text::terminal_trouble(&error.to_string()));
    let mut terminate = signal(SignalKind::terminate()).map_err(trouble)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(trouble)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(trouble)?;
    let outcome = loop {
        tokio::select! {
            update = updates.recv() => match update {
                Some(Update::Steps(steps)) => view.story.learn(steps),
                Some(Update::Seen(Seen::Object(object, _))) => {
                    view.take(object);
                    if let Some(run) = view.now.as_ref().filter(|run| run.phase().is_end()) {
                        break Outcome::Ended(run.clone());
                    }
                }
                Some(Update::Seen(Seen::Unreachable(failure))) => {
                    let why = failure.text.pick(printer.language).to_owned();
                    let since = view.silence.take().map_or_else(Instant::now, |(since, _)| since);
                    view.silence = Some((since, why));
                }
                Some(Update::Seen(Seen::Refused(failure))) => return Err(failure),
                Some(Update::Seen(Seen::Gone)) | None => break Outcome::Gone,
            },
            key = keys.recv() => match key {
                Some(key) => match view.press(key) {
                    Intent::Nothing => {}
                    Intent::Leave => break Outcome::Left,
                    Intent::Interrupt => break Outcome::Interrupted,
                    Intent::Act(action) => {
                        let said = view.acknowledgement(&action);
                        act::<K>(hub, name, action, said, sender.clone());
                    }
                },
                None => break Outcome::Left,
            },
            Some(answer) = answers.recv() => view.console.message = Some(answer),
            _ = tick.tick() => {}
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break Outcome::TimedOut,
            _ = terminate.recv() => break Outcome::Interrupted,
            _ = hang_up.recv() => break Outcome::Interrupted,
            _ = interrupt.recv() => break Outcome::Interrupted,
        }
        screen.draw(&view.lines(&screen, true))?;
    };
    // What stays on the terminal has no keys: nobody listens to them any more. A terminal that went away shows nothing.
    let _ = screen.draw(&view.lines(&screen, false));
    Ok(outcome)
}

/// Asks something of the run, without holding the view up.
fn act<K: Watched>(hub: &Hub, name: &str, action: RunAction, said: text::Bilingual, answers: mpsc::UnboundedSender<(Tone, text::Bilingual)>) {
    let (hub, name) = (hub.clone(), name.to_owned());
    tokio::spawn(async move {
        let answer = match append_action::<K>(&hub, &name, action).await {
            Ok(_) => (Tone::Good, said),
            Err(failure) => (Tone::Bad, failure.text),
        };
        // If the view is closed by now, the run's status still shows it.
        let _ = answers.send(answer);
    });
}

impl<K: Watched> View<'_, K> {
    fn take(&mut self, object: Box<K>) {
        self.silence = None;
        let clock = self.hub.clock.at(Timestamp::now());
        let seen = object.snapshot(&clock, self.printer.language);
        // What was asked of the run here or elsewhere and had no effect.
        let known = self.now.as_ref().map(|run| run.refused());
        if let Some(refused) = seen.refused.iter().rfind(|refused| known.as_ref().is_some_and(|known| !known.contains(refused))) {
            let Refused { action, why, .. } = refused;
            let step = action.step.as_deref().map(|step| label(K::NOUN, step, self.printer.language));
            self.console.message = Some((Tone::Bad, text::action_refused(action.action, step.as_deref(), action.by.as_deref(), why)));
        }
        let changes = self.story.update(clock.now, &seen);
        self.log.extend(plain::lines(&changes, &seen, &clock, self.printer.language, self.hub.place()));
        self.now = Some(object);
    }

    /// What is said of an action that was sent. A no at the hold changes nothing but what the person knows: how long the copy stands.
    fn acknowledgement(&self, action: &RunAction) -> text::Bilingual {
        let current = self.now.as_ref().map(|run| run.current_steps()).unwrap_or_default();
        let keeps = action.answer.as_deref() == Some("no") && current.iter().any(|step| is_hold(step) && Some(&step.id) == action.step.as_ref());
        let kept = keeps.then(|| kept_until(current, &self.hub.clock.at(Timestamp::now()))).flatten();
        let step = action.step.as_deref().map(|step| label(K::NOUN, step, self.printer.language));
        kept.unwrap_or_else(|| text::action_asked(action.action, step.as_deref()))
    }

    fn press(&mut self, key: Key) -> Intent {
        let clock = self.hub.clock.at(Timestamp::now());
        let seen = self.now.as_ref().map(|run| run.snapshot(&clock, self.printer.language)).unwrap_or_default();
        self.console.press(key, &seen)
    }

    /// The lines, with the keys as long as somebody listens to them.
    fn lines(&self, screen: &Screen, keys: bool) -> Vec<Line> {
        let (rows, columns) = screen.size();
        let language = self.printer.language;
        let clock = self.hub.clock.at(Timestamp::now());
        let Some(run) = &self.now else {
            let word = match &self.silence {
                Some((since, why)) => self.silent(*since, why),
                None => Line::toned(Tone::Dim, text::asking_the_hub().pick(language)),
            };
            return vec![word.fit(columns)];
        };
        let seen = run.snapshot(&clock, language);
        let mut foot = Vec::new();
        if let Some((since, why)) = &self.silence {
            foot.push(self.silent(*since, why));
        } else if let Some(leaderless) = (*self.lead.borrow()).filter(|_| !seen.phase.is_end()) {
            foot.push(Line::toned(Tone::Warn, text::run_stands_still(&leaderless.said(&clock)).pick(language)));
        }
        let mut foot = fitted(&foot, Room { columns: Some(columns), every_column: false });
        if keys {
            foot.extend(self.console.foot(&seen, language, columns));
        }
        let room = rows.saturating_sub(foot.len() + 1);
        let selected = self
            .console
            .selected(&seen)
            .filter(|_| seen.phase == p861_crds::common::RunPhase::WaitingForPerson || seen.current.len() > 1)
            .map(|step| step.id.clone());
        let tree = Tree { seen: &seen, story: &self.story, clock: &clock, language, selected: selected.as_deref(), columns };
        let mut lines = if self.console.log {
            let mut lines = tree.lines(2);
            let from = self.log.len().saturating_sub(room.saturating_sub(lines.len()));
            lines.extend(self.log.iter().skip(from).cloned());
            lines
        } else {
            tree.lines(room)
        };
        if !foot.is_empty() {
            lines.push(Line::new());
        }
        lines.extend(foot);
        let skip = lines.len().saturating_sub(rows);
        lines.into_iter().skip(skip).map(|line| line.fit(columns)).collect()
    }

    fn silent(&self, since: Instant, why: &str) -> Line {
        let passed = jiff::SignedDuration::try_from(since.elapsed()).unwrap_or_default();
        Line::toned(Tone::Warn, text::hub_silent(&elapsed(passed), why).pick(self.printer.language))
    }
}
