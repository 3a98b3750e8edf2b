//! The live view of a run: which steps are done, under way and to come, and what each waits for. From a story to lines; nothing here knows a terminal.

use super::{Amount, Ending, Known, Snapshot, State, Story, asked};
use crate::{
    format::{Clock, Line, Tone, elapsed, on_screen},
    text::{self, Language},
};
use jiff::{SignedDuration, Timestamp};
use p861_core::runs::{Part, StepKey};
use p861_crds::common::{CurrentStep, RunPhase};

/// Column where a step's message begins.
const MESSAGE: usize = 32;
/// Column where a step's time begins on a wide terminal, if the message leaves room.
const TIME: usize = 82;
/// Columns for a step's time, and how long it took before: `12:34/12:30`.
const TIME_WIDTH: usize = 11;
/// Lines are not drawn wider than this, however wide the terminal is.
const WIDEST: usize = 120;
/// Narrower than this, bars are half as long.
const NARROW: usize = 100;

/// Columns of a page that is printed once: its lines may have any length.
pub const PAGE: usize = usize::MAX;

/// What the view shows.
pub struct Tree<'a> {
    /// The run as it is now.
    pub seen: &'a Snapshot,
    /// Its steps.
    pub story: &'a Story,
    /// Now, in the district's zone.
    pub clock: &'a Clock,
    /// The language.
    pub language: Language,
    /// The step that a key would act on.
    pub selected: Option<&'a str>,
    /// How wide it may be.
    pub columns: usize,
}

/// What a line is about, so that lines can give way when there are too many.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Done,
    ToCome,
    NotRun,
    Now,
}

/// A step's place in the tree: the application that it is part of, if the run has several, and how it is called there.
fn place(noun: &str, id: &str, language: Language) -> (Option<String>, String) {
    let word = |key: &str| text::step_word(key).map_or(key.to_owned(), |word| word.pick(language).to_owned());
    let named = |key: &str, name: &str| format!("{} {name}", word(key));
    let Ok(key) = id.parse::<StepKey>() else { return (None, id.to_owned()) };
    let application = key.application().filter(|_| noun == "drill").map(str::to_owned);
    let label = match &key {
        StepKey::Save { part, .. } | StepKey::Restore { part, .. } => match part {
            Part::Objects => word("objects"),
            Part::ObjectsAgain => word("objects-again"),
            Part::Volume(claim) => named("volume", claim),
            Part::Stream(stream) => named("stream", stream),
        },
        StepKey::Quiesce { .. } => word("quiesce"),
        StepKey::Snapshot { .. } => word("snapshot"),
        StepKey::RemoveSnapshots { .. } => word("remove-snapshots"),
        StepKey::Resume { .. } => word("resume"),
        StepKey::Seal { .. } => word("seal"),
        StepKey::Verify { .. } => word("verify"),
        StepKey::Marker { .. } => word("marker"),
        StepKey::Compare { volume: None, .. } => word("compare"),
        StepKey::Compare { volume: Some(volume), .. } => named("compare", volume),
        StepKey::Stop { .. } => word("stop"),
        StepKey::Start { tier: Some(tier), .. } => named("start", tier),
        StepKey::Start { tier: None, .. } => named("start", &word("rest")),
        StepKey::Check { check, .. } => named("check", check),
        StepKey::Extra { name } => name.clone(),
        StepKey::Preflight
        | StepKey::Isolate
        | StepKey::ProveIsolation
        | StepKey::Prepare
        | StepKey::Hold
        | StepKey::Manual
        | StepKey::CleanUp
        | StepKey::Forget
        | StepKey::Prune
        | StepKey::Backup { .. }
        | StepKey::Silence { .. }
        | StepKey::EndSilence { .. }
        | StepKey::Inspect { .. }
        | StepKey::Cordon { .. }
        | StepKey::Drain { .. }
        | StepKey::Uncordon { .. }
        | StepKey::Install { .. }
        | StepKey::Health { .. }
        | StepKey::Watch { .. }
        | StepKey::EndInstall { .. } => id.split_once('/').map_or_else(|| word(id), |(verb, rest)| named(verb, rest)),
    };
    (application, label)
}

/// How a step is called in one line, for example `portal volume site-files`.
pub fn label(noun: &str, id: &str, language: Language) -> String {
    let (application, label) = place(noun, id, language);
    application.map_or(label.clone(), |application| format!("{application} {label}"))
}

/// The ids of the steps that a person means by a text: an id, or the name by which a view shows a step, with or without the application that it stands under.
pub fn steps_called<'a>(noun: &str, ids: &'a [String], typed: &str) -> Vec<&'a str> {
    if let Some(id) = ids.iter().find(|id| *id == typed) {
        return vec![id];
    }
    let typed = typed.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let called = |name: &dyn Fn(&str, Language) -> String| -> Vec<&'a str> {
        let is_it = |id: &&String| [Language::En, Language::Zh].into_iter().any(|language| name(id, language).to_lowercase() == typed);
        ids.iter().filter(is_it).map(String::as_str).collect()
    };
    let whole = called(&|id, language| label(noun, id, language));
    if whole.is_empty() { called(&|id, language| place(noun, id, language).1) } else { whole }
}

impl Tree<'_> {
    /// The lines, at most `rows` of them.
    pub fn lines(&self, rows: usize) -> Vec<Line> {
        let columns = self.width();
        let mut lines = vec![self.head(columns), self.counts()];
        lines.extend(give_way(self.body(), rows.saturating_sub(lines.len()), self.language));
        lines.truncate(rows);
        // What stays on a page is broken by the printer, and not cut.
        if self.columns == PAGE { lines } else { lines.into_iter().map(|line| line.fit(columns)).collect() }
    }

    fn width(&self) -> usize {
        self.columns.min(WIDEST)
    }

    /// Where the times of steps begin.
    fn time_column(&self) -> usize {
        TIME.min(self.width().saturating_sub(TIME_WIDTH))
    }

    /// A step's time behind its line: how long it has taken, and how long it took the last time.
    fn timed(&self, line: Line, id: &str, took: Option<SignedDuration>) -> Line {
        let expected = self.story.expected(id);
        let late = took.zip(expected).is_some_and(|(took, expected)| took > expected);
        let text = match (took, expected) {
            (None, None) => return line,
            (Some(took), None) => elapsed(took),
            (None, Some(expected)) => format!("/{}", elapsed(expected)),
            (Some(took), Some(expected)) => format!("{}/{}", elapsed(took), elapsed(expected)),
        };
        let tone = if late {
            Tone::Warn
        } else if took.is_some() {
            Tone::Plain
        } else {
            Tone::Dim
        };
        line.pad(self.time_column(), 2).tone(tone, text)
    }

    fn head(&self, columns: usize) -> Line {
        let now = self.clock.now;
        let left = Line::toned(Tone::Strong, format!("{} {}", text::noun(self.seen.noun).pick(self.language), self.seen.name));
        let mut parts = vec![text::elapsed_word(&elapsed(self.seen.elapsed(now)))];
        parts.extend(self.seen.target.map(|target| text::rto_target(&elapsed(target))));
        parts.extend(self.seen.left(now).filter(|_| !self.seen.phase.is_end()).map(|left| text::about_to_go(&elapsed(left))));
        let right = parts.iter().map(|part| part.pick(self.language)).collect::<Vec<_>>().join(" · ");
        let late = self.seen.target.is_some_and(|target| self.seen.elapsed(now) > target);
        let column = columns.saturating_sub(crate::format::width(&right));
        left.pad(column, 2).tone(if late { Tone::Bad } else { Tone::Plain }, right)
    }

    fn counts(&self) -> Line {
        let steps = &self.seen.steps;
        let tone = match self.seen.phase {
            RunPhase::Succeeded => Tone::Good,
            RunPhase::Failed | RunPhase::Aborted | RunPhase::Refused | RunPhase::Aborting => Tone::Bad,
            RunPhase::WaitingForPerson | RunPhase::Paused => Tone::Warn,
            RunPhase::Pending | RunPhase::Running | RunPhase::CleaningUp => Tone::Plain,
        };
        let mut line = Line::toned(tone, text::phase(self.seen.phase).pick(self.language));
        if steps.total > 0 {
            line = line.tone(Tone::Dim, format!(" · {}", text::step_counts(steps).pick(self.language)));
        }
        if let Some(message) = &self.seen.waits_for {
            line = line.tone(Tone::Warn, format!(" · {}", text::operator_says(message).pick(self.language)));
        }
        if self.seen.unread_actions > 0 {
            line = line.tone(Tone::Warn, format!(" · {}", text::actions_unread(self.seen.unread_actions).pick(self.language)));
        }
        // What the two times of a step are stands above them, where there is room.
        let column = self.time_column();
        if line.width() + 2 > column || self.story.steps().iter().all(|known| self.story.expected(&known.id).is_none()) {
            return line;
        }
        line.pad(column, 2).tone(Tone::Dim, text::NOW_AND_LAST_TIME.pick(self.language))
    }

    fn body(&self) -> Vec<(About, Line)> {
        let mut lines: Vec<(About, Line)> = Vec::new();
        let mut seen_groups: Vec<String> = Vec::new();
        let mut done_alone: Vec<String> = Vec::new();
        let flush = |done_alone: &mut Vec<String>, lines: &mut Vec<(About, Line)>| {
            if !done_alone.is_empty() {
                lines.push((About::Done, mark(Ending::Done, "").with(std::mem::take(done_alone).join(text::LISTED.pick(self.language)))));
            }
        };
        for known in self.story.steps() {
            let (group, label) = place(self.seen.noun, &known.id, self.language);
            match group {
                None => {
                    if let State::Ended(Ending::Done, None) = known.state {
                        done_alone.push(label);
                        continue;
                    }
                    flush(&mut done_alone, &mut lines);
                    lines.extend(self.step_lines(known, &label, ""));
                }
                Some(group) if seen_groups.contains(&group) => {}
                Some(group) => {
                    flush(&mut done_alone, &mut lines);
                    lines.extend(self.group(&group));
                    seen_groups.push(group);
                }
            }
        }
        flush(&mut done_alone, &mut lines);
        lines
    }

    fn group(&self, group: &str) -> Vec<(About, Line)> {
        let members: Vec<(&Known, String)> = self
            .story
            .steps()
            .iter()
            .filter_map(|known| {
                let (of, label) = place(self.seen.noun, &known.id, self.language);
                (of.as_deref() == Some(group)).then_some((known, label))
            })
            .collect();
        let (about, head) = group_head(members.iter().map(|(known, _)| &known.state));
        let note = self.seen.notes.get(group).map(String::as_str).unwrap_or_default();
        let mut lines = vec![(about, head.with(group).pad(MESSAGE, 2).tone(Tone::Dim, note))];
        lines.extend(members.into_iter().flat_map(|(known, label)| self.step_lines(known, &label, "  ")));
        lines
    }

    /// A step's line. What a person is asked is broken where the view ends, and never cut.
    fn step_lines(&self, known: &Known, label: &str, indent: &str) -> Vec<(About, Line)> {
        let (about, line) = self.step(known, label, indent);
        let asks = matches!(&known.state, State::Current(step) if step.phase == RunPhase::WaitingForPerson);
        if !asks || self.columns == PAGE {
            return vec![(about, line)];
        }
        let hang = MESSAGE.min(self.width() / 2);
        on_screen(&line, self.width(), hang).into_iter().map(|line| (about, line)).collect()
    }

    fn step(&self, known: &Known, label: &str, indent: &str) -> (About, Line) {
        match &known.state {
            State::Waiting => {
                let waits = self.waits_for(&known.id);
                let line = Line::of(indent).tone(Tone::Dim, "· ").tone(Tone::Dim, label).pad(MESSAGE, 2).tone(Tone::Dim, waits);
                (About::ToCome, self.timed(line, &known.id, None))
            }
            State::Ended(how, took) => {
                let (about, word) = match how {
                    Ending::Done => (About::Done, None),
                    Ending::Failed => (About::Now, Some(text::VERB_FAILED)),
                    Ending::Skipped => (About::Now, Some(text::SKIPPED_BY_PERSON)),
                    Ending::Stopped => (About::Now, Some(text::VERB_STOPPED)),
                    Ending::Undone => (About::Now, Some(text::VERB_UNDONE)),
                    Ending::NotRun => (About::NotRun, Some(text::VERB_NOT_RUN)),
                    Ending::Unclear => (About::Now, Some(text::VERB_ENDED)),
                };
                let line = mark(*how, indent).with(label);
                let line = if let Some(word) = word { line.pad(MESSAGE, 2).tone(Tone::Dim, word.pick(self.language)) } else { line };
                (about, if took.is_some() { self.timed(line, &known.id, *took) } else { line })
            }
            State::Current(step) => (About::Now, self.current(step, label, indent)),
        }
    }

    fn current(&self, step: &CurrentStep, label: &str, indent: &str) -> Line {
        let chosen = self.selected == Some(step.id.as_str());
        let sign = match step.phase {
            RunPhase::WaitingForPerson => Line::toned(Tone::Warn, "? "),
            RunPhase::Aborting => Line::toned(Tone::Warn, "↶ "),
            RunPhase::Paused | RunPhase::Pending => Line::toned(Tone::Dim, "· "),
            _ => Line::toned(Tone::Strong, "▸ "),
        };
        let line = Line::of(indent).then(sign).tone(if chosen { Tone::Strong } else { Tone::Plain }, label);
        let line = if chosen { line.tone(Tone::Strong, " ◂") } else { line };
        let line = line.pad(MESSAGE, 2).then(self.message(step));
        let line = if step.attempt > 1 { line.tone(Tone::Warn, format!("  {}", text::attempt(step.attempt).pick(self.language))) } else { line };
        match since(step) {
            Some(since) if step.phase != RunPhase::WaitingForPerson => {
                self.timed(line, &step.id, Some(self.clock.now.duration_since(since).max(SignedDuration::ZERO)))
            }
            _ => line,
        }
    }

    fn message(&self, step: &CurrentStep) -> Line {
        if step.phase == RunPhase::WaitingForPerson {
            return Line::toned(Tone::Warn, asked(step, self.clock, self.language));
        }
        let Some(amount) = Amount::read(&step.message) else { return Line::of(text::operator_says(&step.message).pick(self.language)) };
        let seconds = since(step).map_or(0, |since| self.clock.now.duration_since(since).as_secs());
        let mut line = Line::of(format!("{} {:>3}%", amount.bar(if self.width() < NARROW { 10 } else { 20 }), amount.percent()));
        if let Some(speed) = amount.speed(seconds) {
            line = line.with(format!("  {speed}"));
        }
        match amount.left(seconds) {
            Some(left) if amount.done < amount.total => line.with(format!("  {}", text::eta(&elapsed(SignedDuration::from_secs(left))).pick(self.language))),
            _ => line,
        }
    }

    fn waits_for_all(&self, names: &[&str]) -> String {
        text::waits_for(&names.join(text::BETWEEN.pick(self.language))).pick(self.language).to_owned()
    }

    fn waits_for(&self, id: &str) -> String {
        if id.parse() == Ok(StepKey::CleanUp) {
            return text::clean_up_always().pick(self.language).to_owned();
        }
        if self.story.is_finally(id) && self.seen.phase != RunPhase::CleaningUp {
            return text::operator_says("waits for the end of the run").pick(self.language).to_owned();
        }
        let open: Vec<String> = self.story.open_before(id).into_iter().map(|before| label(self.seen.noun, before, self.language)).collect();
        match open.as_slice() {
            [] => match self.seen.phase {
                RunPhase::Paused => text::operator_says("paused").pick(self.language).to_owned(),
                RunPhase::Running | RunPhase::WaitingForPerson => text::operator_says("waits for its turn").pick(self.language).to_owned(),
                _ => String::new(),
            },
            [one, two, rest @ ..] if !rest.is_empty() => self.waits_for_all(&[one, two, &format!("+{}", rest.len())]),
            few => self.waits_for_all(&few.iter().map(String::as_str).collect::<Vec<_>>()),
        }
    }
}

/// How a group stands, and its mark: it has ended as the worst of its steps.
fn group_head<'a>(states: impl Iterator<Item = &'a State> + Clone) -> (About, Line) {
    const WORST_FIRST: [Ending; 6] = [Ending::Failed, Ending::Stopped, Ending::Skipped, Ending::Undone, Ending::NotRun, Ending::Unclear];
    let worst = WORST_FIRST.into_iter().find(|worst| states.clone().any(|state| matches!(state, State::Ended(how, _) if how == worst)));
    let is_over = states.clone().all(|state| matches!(state, State::Ended(..)));
    let has_begun = states.clone().any(|state| *state != State::Waiting);
    match (is_over, worst) {
        (true, None) => (About::Done, mark(Ending::Done, "")),
        (true, Some(Ending::NotRun)) => (About::NotRun, mark(Ending::NotRun, "")),
        (true, Some(how)) => (About::Now, mark(how, "")),
        (false, Some(Ending::Failed)) => (About::Now, mark(Ending::Failed, "")),
        (false, _) if has_begun => (About::Now, Line::toned(Tone::Strong, "▸ ")),
        (false, _) => (About::ToCome, Line::toned(Tone::Dim, "· ")),
    }
}

fn since(step: &CurrentStep) -> Option<Timestamp> {
    step.start_time.as_ref().map(|time| time.0)
}

fn mark(how: Ending, indent: &str) -> Line {
    let line = Line::of(indent);
    match how {
        Ending::Done => line.tone(Tone::Good, "✓ "),
        Ending::Failed => line.tone(Tone::Bad, "✗ "),
        Ending::Skipped => line.tone(Tone::Warn, "↷ "),
        Ending::Stopped => line.tone(Tone::Warn, "✗ "),
        Ending::Undone => line.tone(Tone::Warn, "↶ "),
        Ending::NotRun | Ending::Unclear => line.tone(Tone::Dim, "- "),
    }
}

/// Fits lines into rows: first steps that are done give way to their number, then steps that never ran, then steps to come.
fn give_way(mut lines: Vec<(About, Line)>, rows: usize, language: Language) -> Vec<Line> {
    for about in [About::Done, About::NotRun, About::ToCome] {
        let some = lines.iter().filter(|(of, _)| *of == about).count();
        if lines.len() <= rows || some < 2 {
            continue;
        }
        let (number, sign) = match about {
            About::Done => (text::more_done(some), Line::toned(Tone::Good, "✓ ")),
            About::NotRun => (text::more_not_run(some), Line::toned(Tone::Dim, "- ")),
            About::ToCome | About::Now => (text::more_to_come(some), Line::toned(Tone::Dim, "· ")),
        };
        let at = lines.iter().position(|(of, _)| *of == about).unwrap_or(0);
        lines.retain(|(of, _)| *of != about);
        // What is done stands first, what is to come last.
        let at = if about == About::Done { at.min(lines.len()) } else { lines.len() };
        lines.insert(at, (About::Now, sign.tone(Tone::Dim, number.pick(language))));
    }
    let mut lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
    if lines.len() > rows && rows > 0 {
        lines.truncate(rows - 1);
        lines.push(Line::toned(Tone::Dim, "…"));
    }
    lines
}
