//! Keys of the live view. Pure: from a key and the run to an action.

use super::{Snapshot, is_hold, label, screen::Key};
use crate::{
    format::{Line, Room, Tone, fitted, on_screen, width},
    text::{self, Bilingual, Language},
};
use p861_crds::common::{ActionKind, CurrentStep, RunAction, RunPhase};

/// Action after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Draw again.
    Nothing,
    /// Leave the view; the run goes on.
    Leave,
    /// The same, by Ctrl-C.
    Interrupt,
    /// Ask this of the run.
    Act(RunAction),
}

/// A reason is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    action: ActionKind,
    step: Option<String>,
    answer: Option<&'static str>,
    text: String,
    /// Whether an empty reason is none.
    required: bool,
}

/// The state of the keyboard's side of the view.
#[derive(Clone, Debug, Default)]
pub struct Console {
    question: Option<Question>,
    /// Ctrl-C was pressed: asking whether to leave or abort.
    leaving: bool,
    /// `c` was pressed: asking whether to clean up, since others may look at the copy.
    cleaning: bool,
    chosen: usize,
    /// Whether the log is shown instead of the tree.
    pub log: bool,
    /// Result of the last key.
    pub message: Option<(Tone, Bilingual)>,
}

/// What stands between two keys.
const BETWEEN_KEYS: &str = "  ";
/// Longer reasons the API does not take.
const LONGEST_REASON: usize = 1024;

/// Steps that a key may be about: those that wait for a person, else all under way.
fn candidates(seen: &Snapshot) -> Vec<&CurrentStep> {
    let waiting: Vec<&CurrentStep> = seen.waiting_for_person().collect();
    if waiting.is_empty() { seen.current.iter().collect() } else { waiting }
}

/// Whether a step waits for an answer, rather than for a decision about its failure.
fn asks(step: &CurrentStep) -> bool {
    step.phase == RunPhase::WaitingForPerson && step.prompt.is_some()
}

impl Console {
    /// The step that a key would act on, if there is a choice or a person is waited for.
    pub fn selected<'a>(&self, seen: &'a Snapshot) -> Option<&'a CurrentStep> {
        let all = candidates(seen);
        all.get(self.chosen.min(all.len().saturating_sub(1))).copied()
    }

    /// What a key means.
    pub fn press(&mut self, key: Key, seen: &Snapshot) -> Intent {
        if key == Key::Interrupt {
            return self.interrupt(seen);
        }
        if std::mem::take(&mut self.leaving) {
            return match key {
                Key::Char('q') => Intent::Leave,
                Key::Char('a') => self.ask(ActionKind::Abort, None, None, true),
                _ => Intent::Nothing,
            };
        }
        if std::mem::take(&mut self.cleaning) {
            return match key {
                Key::Char('y') => Intent::Act(action(ActionKind::CleanUp, None, None, None)),
                _ => self.say(text::nothing_was_asked()),
            };
        }
        if let Some(question) = self.question.take() {
            return self.answer(question, key);
        }
        self.message = None;
        match key {
            Key::Char('q') | Key::Escape => Intent::Leave,
            Key::Char('l') => {
                self.log = !self.log;
                Intent::Nothing
            }
            Key::Up | Key::Char('k') => {
                self.chosen = self.chosen.saturating_sub(1);
                Intent::Nothing
            }
            Key::Down | Key::Char('j') => {
                self.chosen = (self.chosen + 1).min(candidates(seen).len().saturating_sub(1));
                Intent::Nothing
            }
            Key::Char(_) if seen.phase.is_end() => Intent::Nothing,
            Key::Char('p') if seen.phase == RunPhase::Paused => Intent::Act(action(ActionKind::Resume, None, None, None)),
            Key::Char('p') => Intent::Act(action(ActionKind::Pause, None, None, None)),
            Key::Char('a') => self.ask(ActionKind::Abort, None, None, true),
            Key::Char('c') if seen.noun == "drill" => {
                self.cleaning = true;
                Intent::Nothing
            }
            Key::Char('r') => match self.selected(seen).filter(|step| step.phase == RunPhase::WaitingForPerson && !asks(step)) {
                Some(step) => self.ask(ActionKind::Retry, Some(step.id.clone()), None, false),
                None => self.say(text::nothing_to_retry()),
            },
            Key::Char('s') => match self.selected(seen) {
                Some(step) => self.ask(ActionKind::Skip, Some(step.id.clone()), None, true),
                None => self.say(text::nothing_to_skip()),
            },
            Key::Char(answer @ ('y' | 'n')) => match self.selected(seen).filter(|step| asks(step)) {
                Some(step) => self.ask(ActionKind::Answer, Some(step.id.clone()), Some(if answer == 'y' { "yes" } else { "no" }), false),
                None => self.say(text::nothing_to_answer()),
            },
            Key::Char(_) | Key::Enter | Key::Backspace | Key::Resize | Key::Interrupt => Intent::Nothing,
        }
    }

    /// Ctrl-C may mean the view or the run, so it asks once. The second one leaves, whatever the first was about.
    fn interrupt(&mut self, seen: &Snapshot) -> Intent {
        if self.leaving || seen.phase.is_end() {
            return Intent::Interrupt;
        }
        self.leaving = true;
        self.cleaning = false;
        self.question = None;
        self.message = None;
        Intent::Nothing
    }

    fn say(&mut self, what: Bilingual) -> Intent {
        self.message = Some((Tone::Warn, what));
        Intent::Nothing
    }

    fn ask(&mut self, action: ActionKind, step: Option<String>, answer: Option<&'static str>, required: bool) -> Intent {
        self.question = Some(Question { action, step, answer, text: String::new(), required });
        Intent::Nothing
    }

    fn answer(&mut self, mut question: Question, key: Key) -> Intent {
        match key {
            Key::Escape => return self.say(text::nothing_was_asked()),
            Key::Enter if question.required && question.text.trim().is_empty() => {
                self.message = Some((Tone::Warn, text::reason_needed()));
            }
            Key::Enter => {
                let reason = Some(question.text.trim().to_owned()).filter(|reason| !reason.is_empty());
                return Intent::Act(action(question.action, question.step, reason, question.answer));
            }
            Key::Backspace => {
                question.text.pop();
            }
            Key::Char(c) if question.text.len() < LONGEST_REASON => question.text.push(c),
            Key::Char(_) | Key::Up | Key::Down | Key::Resize | Key::Interrupt => {}
        }
        self.question = Some(question);
        Intent::Nothing
    }

    /// The lines at the foot of the view, none of them wider than so many columns: what a person is asked, and which keys there are, is never cut.
    pub fn foot(&self, seen: &Snapshot, language: Language, columns: usize) -> Vec<Line> {
        let mut lines = self.asked(seen, language);
        if self.question.is_none() && !self.cleaning && !self.leaving {
            lines.extend(self.keys(seen, language, columns));
        }
        let lines = fitted(&lines, Room { columns: Some(columns), every_column: false });
        // What is wider than the screen is broken, too: a reason that is typed has no end.
        lines.iter().flat_map(|line| on_screen(line, columns, 0)).collect()
    }

    /// What was said, and what is asked.
    fn asked(&self, seen: &Snapshot, language: Language) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some((tone, message)) = &self.message {
            lines.push(Line::toned(*tone, message.pick(language)));
        }
        if seen.noun == "restore" && self.question.as_ref().is_some_and(|question| question.action == ActionKind::Abort) {
            lines.push(Line::toned(Tone::Warn, text::abort_leaves().pick(language)));
        }
        match &self.question {
            None if self.cleaning => lines.push(Line::toned(Tone::Warn, text::ask_clean_up().pick(language))),
            None if self.leaving => lines.push(Line::toned(Tone::Warn, text::ask_leaving(seen.noun).pick(language))),
            Some(question) => {
                let step = question.step.as_deref().map(|step| label(seen.noun, step, language));
                let ask = text::ask_reason(question.action, step.as_deref(), question.answer, question.required);
                lines.push(Line::toned(Tone::Strong, ask.pick(language)).with(" ").with(&question.text).with("▏"));
            }
            None => {}
        }
        lines
    }

    /// The keys, each with its meaning on one line.
    fn keys(&self, seen: &Snapshot, language: Language, columns: usize) -> Vec<Line> {
        let mut keys = Vec::new();
        if !seen.phase.is_end() {
            keys.push(if seen.phase == RunPhase::Paused { text::KEY_RESUME } else { text::KEY_PAUSE });
            keys.push(text::KEY_ABORT);
            keys.push(text::KEY_RETRY);
            keys.push(text::KEY_SKIP);
            if self.selected(seen).is_some_and(asks) {
                keys.push(text::KEY_ANSWER);
            }
            if seen.noun == "drill" && seen.current.iter().any(is_hold) {
                keys.push(text::KEY_CLEAN_UP);
            }
        }
        keys.push(if self.log { text::KEY_TREE } else { text::KEY_LOG });
        let mut keys: Vec<String> = keys.into_iter().map(|word| word.pick(language).to_owned()).collect();
        keys.push(text::key_quit(seen.noun).pick(language).to_owned());
        let mut lines: Vec<String> = Vec::new();
        for key in keys {
            match lines.last_mut().filter(|line| width(line) + BETWEEN_KEYS.len() + width(&key) <= columns) {
                Some(line) => line.extend([BETWEEN_KEYS, key.as_str()]),
                None => lines.push(key),
            }
        }
        lines.into_iter().map(|line| Line::toned(Tone::Dim, line)).collect()
    }
}

fn action(action: ActionKind, step: Option<String>, reason: Option<String>, answer: Option<&str>) -> RunAction {
    RunAction { action, step, reason, answer: answer.map(ToOwned::to_owned), duration: None, by: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p861_crds::LocalizedText;

    fn seen(current: Vec<CurrentStep>) -> Snapshot {
        Snapshot { noun: "drill", phase: RunPhase::Running, current, ..Default::default() }
    }

    fn step(id: &str, phase: RunPhase) -> CurrentStep {
        CurrentStep { id: id.into(), phase, ..Default::default() }
    }

    fn typed(console: &mut Console, text: &str, seen: &Snapshot) -> Intent {
        for c in text.chars() {
            console.press(Key::Char(c), seen);
        }
        console.press(Key::Enter, seen)
    }

    #[test]
    fn abort_and_skip_want_a_reason_and_escape_takes_it_back() {
        let seen = seen(vec![step("a", RunPhase::Running)]);
        let mut console = Console::default();
        console.press(Key::Char('a'), &seen);
        assert_eq!(console.press(Key::Enter, &seen), Intent::Nothing, "an empty reason is none");
        assert_eq!(typed(&mut console, "wrong day", &seen), Intent::Act(action(ActionKind::Abort, None, Some("wrong day".into()), None)));
        console.press(Key::Char('s'), &seen);
        assert_eq!(console.press(Key::Escape, &seen), Intent::Nothing);
        assert_eq!(console.press(Key::Escape, &seen), Intent::Leave, "the second escape is about the view");
    }

    #[test]
    fn while_a_reason_is_typed_letters_are_letters() {
        let seen = seen(vec![step("a", RunPhase::WaitingForPerson)]);
        let mut console = Console::default();
        console.press(Key::Char('r'), &seen);
        assert_eq!(typed(&mut console, "qp 开关已恢复", &seen), Intent::Act(action(ActionKind::Retry, Some("a".into()), Some("qp 开关已恢复".into()), None)));
    }

    #[test]
    fn keys_act_on_the_step_that_was_chosen_among_those_that_wait() {
        let seen = seen(vec![step("runs", RunPhase::Running), step("a", RunPhase::WaitingForPerson), step("b", RunPhase::WaitingForPerson)]);
        let mut console = Console::default();
        console.press(Key::Down, &seen);
        console.press(Key::Down, &seen);
        console.press(Key::Char('r'), &seen);
        assert_eq!(typed(&mut console, "", &seen), Intent::Act(action(ActionKind::Retry, Some("b".into()), None, None)));
    }

    #[test]
    fn a_question_is_answered_and_not_retried() {
        let asked = CurrentStep { prompt: Some(LocalizedText { zh: None, en: Some("Go on?".into()) }), ..step("announce", RunPhase::WaitingForPerson) };
        let seen = seen(vec![asked]);
        let mut console = Console::default();
        assert_eq!(console.press(Key::Char('r'), &seen), Intent::Nothing);
        assert!(console.message.is_some(), "it says why");
        console.press(Key::Char('y'), &seen);
        assert_eq!(typed(&mut console, "", &seen), Intent::Act(action(ActionKind::Answer, Some("announce".into()), None, Some("yes"))));
    }

    #[test]
    fn ctrl_c_asks_and_a_second_one_leaves() {
        let seen = seen(vec![step("a", RunPhase::Running)]);
        let mut console = Console::default();
        assert_eq!(console.press(Key::Interrupt, &seen), Intent::Nothing);
        assert!(console.foot(&seen, Language::En, 120).iter().any(|line| line.to_string().contains("continues")), "it says what leaving means");
        assert_eq!(console.press(Key::Interrupt, &seen), Intent::Interrupt);

        let mut console = Console::default();
        console.press(Key::Interrupt, &seen);
        assert_eq!(console.press(Key::Char('x'), &seen), Intent::Nothing, "any other key stays");
        console.press(Key::Interrupt, &seen);
        console.press(Key::Char('a'), &seen);
        assert_eq!(typed(&mut console, "wrong day", &seen), Intent::Act(action(ActionKind::Abort, None, Some("wrong day".into()), None)));
    }

    #[test]
    fn fault_h3_c_asks_before_it_cleans_up_and_any_other_key_keeps_the_copy() {
        let hold = step("hold", RunPhase::WaitingForPerson);
        let seen = seen(vec![hold]);
        for (key, asked) in [(Key::Char('y'), true), (Key::Char('n'), false), (Key::Enter, false), (Key::Escape, false), (Key::Char('c'), false)] {
            let mut console = Console::default();
            assert_eq!(console.press(Key::Char('c'), &seen), Intent::Nothing, "it only asks");
            assert!(console.foot(&seen, Language::En, 120).iter().any(|line| line.to_string().contains("Clean up now?")));
            let intent = console.press(key, &seen);
            let expected = if asked { Intent::Act(action(ActionKind::CleanUp, None, None, None)) } else { Intent::Nothing };
            assert_eq!(intent, expected, "{key:?}");
            assert_eq!(console.message.is_some(), !asked, "that nothing was asked is said");
            assert!(!console.foot(&seen, Language::En, 120).iter().any(|line| line.to_string().contains("Clean up now?")), "it was answered");
        }
    }

    #[test]
    fn fault_h12_before_a_restore_is_aborted_it_is_said_what_stays() {
        let mut seen = seen(vec![step("restore/a/objects", RunPhase::Running)]);
        let said = |console: &Console, seen: &Snapshot| console.foot(seen, Language::En, 120).iter().any(|line| line.to_string().contains("stays"));
        let mut console = Console::default();
        console.press(Key::Char('a'), &seen);
        assert!(!said(&console, &seen), "of a drill nothing stays");
        seen.noun = "restore";
        assert!(said(&console, &seen));
    }

    #[test]
    fn on_a_narrow_terminal_every_key_is_there_and_whole() {
        let hold = CurrentStep { prompt: Some(LocalizedText::written("Clean up now?")), ..step("hold", RunPhase::WaitingForPerson) };
        let seen = seen(vec![hold]);
        for (columns, language) in [(60, Language::En), (60, Language::Zh), (40, Language::En), (20, Language::Zh)] {
            let lines: Vec<String> = Console::default().foot(&seen, language, columns).iter().map(ToString::to_string).collect();
            for key in [text::KEY_PAUSE, text::KEY_ABORT, text::KEY_RETRY, text::KEY_SKIP, text::KEY_ANSWER, text::KEY_CLEAN_UP, text::KEY_LOG] {
                assert!(lines.iter().any(|line| line.contains(key.pick(language))), "{columns}: {key:?} is not in {lines:#?}");
            }
            assert!(lines.iter().all(|line| width(line) <= columns && !line.ends_with('…')), "{columns}: {lines:#?}");
        }
        let mut console = Console::default();
        console.press(Key::Char('c'), &seen);
        let asked: Vec<String> = console.foot(&seen, Language::En, 40).iter().map(ToString::to_string).collect();
        assert!(asked.len() > 1 && asked.iter().all(|line| width(line) <= 40), "a question is broken, and not cut: {asked:#?}");
    }

    #[test]
    fn p_pauses_and_resumes() {
        let mut paused = seen(vec![]);
        assert!(matches!(Console::default().press(Key::Char('p'), &paused), Intent::Act(RunAction { action: ActionKind::Pause, .. })));
        paused.phase = RunPhase::Paused;
        assert!(matches!(Console::default().press(Key::Char('p'), &paused), Intent::Act(RunAction { action: ActionKind::Resume, .. })));
    }

    #[test]
    fn an_ended_run_is_only_left() {
        let mut ended = seen(vec![]);
        ended.phase = RunPhase::Succeeded;
        let mut console = Console::default();
        assert_eq!(console.press(Key::Char('a'), &ended), Intent::Nothing);
        assert_eq!(console.press(Key::Interrupt, &ended), Intent::Interrupt);
        assert_eq!(console.press(Key::Char('q'), &ended), Intent::Leave);
    }
}
