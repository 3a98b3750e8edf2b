//! The time line: every step, planned against actual, on one scale. One drawing per application, so that a printed page can break between them.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use std::collections::HashSet;

use super::words::{self, Words, same, shown, t, took};
use crate::{
    evidence::{
        path::critical_path,
        report::{DrillReport, StepOutcome, StepReport},
    },
    shown::running,
};

/// Units of the drawings; the page scales them.
const WIDTH: f64 = 740.0;
const LEFT: f64 = 216.0;
const RIGHT: f64 = 672.0;
const ROW: f64 = 22.0;
const AXIS: f64 = 30.0;
/// Seconds between two marks of the axis: the first that leaves room for their texts.
const TICKS: [u32; 17] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 86_400, 604_800];
/// A drawing has at most this many rows, so that it fits on a sheet of A4.
const MOST_ROWS: usize = 36;

/// Time lines of all steps, the applications in the order of their first step.
pub(super) fn timeline(report: &DrillReport) -> Markup {
    let path: HashSet<&str> = critical_path(report).into_iter().collect();
    let scale = Scale::of(report);
    let mut groups: Vec<(Group, Vec<&StepReport>)> = Vec::new();
    for step in &report.steps {
        let group = match words::application_of(&step.id) {
            Some(application) => Group::Application(application),
            None if step.clean_up || groups.iter().any(|(group, _)| matches!(group, Group::Application(_))) => Group::After,
            None => Group::Before,
        };
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, steps)) => steps.push(step),
            None => groups.push((group, vec![step])),
        }
    }
    groups.sort_by_key(|(group, _)| match group {
        Group::Before => 0,
        Group::Application(_) => 1,
        Group::After => 2,
    });
    let planned = report.steps.iter().any(|step| step.planned.is_some());
    html! {
        p.legend {
            @if planned { span.key { svg viewBox="0 0 28 10" aria-hidden="true" { rect.plan x="1" y="3" width="26" height="4" {} } (t("计划", "planned")) } }
            span.key { svg viewBox="0 0 28 10" aria-hidden="true" { rect.path x="0" y="1" width="28" height="8" {} } (t("实际（关键路径：决定恢复用时）", "actual, on the critical path: it decided the RTO")) }
            span.key { svg viewBox="0 0 28 10" aria-hidden="true" { rect.done x="0" y="1" width="28" height="8" {} } (t("实际", "actual")) }
            span.key { svg viewBox="0 0 28 10" aria-hidden="true" { rect.bad x="0" y="1" width="28" height="8" {} } (t("失败或中止", "failed or stopped")) }
        }
        @if !planned { p.note { (t("此前没有可作依据的演练，故无计划时间。", "There was no earlier drill to plan from, so no planned times are shown.")) } }
        @for (index, (group, steps)) in groups.iter().enumerate() {
            @for (part, rows) in steps.chunks(MOST_ROWS).enumerate() {
                (drawing(report, &scale, &path, (part == 0).then_some(group), rows, index == 0 && part == 0))
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Group {
    Before,
    Application(String),
    After,
}

/// From seconds since the drill's start to units.
struct Scale {
    start: Timestamp,
    seconds: f64,
    tick: u32,
}

impl Scale {
    fn of(report: &DrillReport) -> Self {
        let planned = report.steps.iter().filter_map(|step| step.planned).map(|span| span.end);
        let actual = report.steps.iter().filter_map(|step| step.ended).chain([report.completion_time]).map(|end| end.duration_since(report.start_time));
        let longest = planned.chain(actual).max().unwrap_or_default();
        let target = report.rto.target.filter(|target| target.as_secs_f64() <= longest.as_secs_f64() * 1.25).unwrap_or_default();
        let seconds = (longest.max(target).as_secs_f64() * 1.02).max(1.0);
        let tick = TICKS.into_iter().find(|tick| seconds / f64::from(*tick) <= 9.0).unwrap_or(u32::MAX);
        Self { start: report.start_time, seconds, tick }
    }

    fn at(&self, since_start: SignedDuration) -> f64 {
        LEFT + (RIGHT - LEFT) * (since_start.as_secs_f64() / self.seconds).clamp(0.0, 1.0)
    }

    fn of_time(&self, time: Timestamp) -> f64 {
        self.at(time.duration_since(self.start))
    }

    /// Seconds of the marks below the axis.
    fn marks(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(Some(0_u32), |mark| mark.checked_add(self.tick)).take_while(|mark| f64::from(*mark) <= self.seconds)
    }
}

fn drawing(report: &DrillReport, scale: &Scale, path: &HashSet<&str>, group: Option<&Group>, steps: &[&StepReport], first: bool) -> Markup {
    let height = below(steps.len()) + 4.0;
    let title = group.map(|group| match group {
        Group::Before => t("准备", "Preparation"),
        Group::Application(name) => {
            let known = report.applications.iter().find(|application| application.application.name == **name);
            known.map_or_else(|| same(name.as_str()), |application| words::name(&application.application))
        }
        Group::After => t("收尾", "Afterwards"),
    });
    html! {
        svg.timeline viewBox={ "0 0 " (number(WIDTH)) " " (number(height)) } role="img" {
            @if let Some(title) = &title { (text(title, 0.0, 20.0, "group")) }
            @for mark in scale.marks() {
                @let since_start = SignedDuration::from_secs(i64::from(mark));
                @let x = scale.at(since_start);
                line.grid x1=(number(x)) y1=(number(AXIS - 6.0)) x2=(number(x)) y2=(number(height)) {}
                text.tick x=(number(x)) y=(number(AXIS - 10.0)) { (running(since_start)) }
            }
            @if let Some(measured) = report.rto.measured {
                @let x = scale.at(measured);
                line.rto x1=(number(x)) y1=(number(AXIS - 6.0)) x2=(number(x)) y2=(number(height)) {}
                @if first { text.rto x=(number(x)) y="9" { "RTO" } }
            }
            @if let Some(target) = report.rto.target.filter(|target| target.as_secs_f64() <= scale.seconds) {
                @let x = scale.at(target);
                line.target x1=(number(x)) y1=(number(AXIS - 6.0)) x2=(number(x)) y2=(number(height)) {}
                @if first { (text(&t("目标", "target"), x, 9.0, "target")) }
            }
            @for (index, step) in steps.iter().enumerate() {
                (row(scale, step, path.contains(step.id.as_str()), below(index)))
            }
        }
    }
}

fn row(scale: &Scale, step: &StepReport, critical: bool, top: f64) -> Markup {
    let label = words::step(&step.id);
    let label = t(clip(&label.zh, 32), clip(&label.en, 32));
    let class = match step.outcome {
        StepOutcome::Done if critical => "path",
        StepOutcome::Done | StepOutcome::Open => "done",
        StepOutcome::Failed | StepOutcome::Cancelled => "bad",
        StepOutcome::Skipped | StepOutcome::NotReached | StepOutcome::NotRun | StepOutcome::Undone => "none",
    };
    html! {
        g {
            title { (shown(&step.id)) }
            (text(&label, 12.0, top + 14.5, if critical { "step critical" } else { "step" }))
            @if let Some(planned) = step.planned {
                @let (from, to) = (scale.at(planned.start), scale.at(planned.end));
                rect.plan x=(number(from)) y=(number(top + 2.0)) width=(number((to - from).max(1.5))) height="4" {}
            }
            @match (step.started, step.ended) {
                (Some(started), ended) => {
                    @let (from, to) = (scale.of_time(started), ended.map_or(RIGHT, |ended| scale.of_time(ended)));
                    rect class=(class) x=(number(from)) y=(number(top + 7.5)) width=(number((to - from).max(1.5))) height="9" {}
                    @let note = note(step, ended.map(|ended| ended.duration_since(started)));
                    @if to > RIGHT - 110.0 && from > LEFT + 140.0 {
                        (text(&note, from - 5.0, top + 15.0, "took before"))
                    } @else {
                        (text(&note, to + 5.0, top + 15.0, "took"))
                    }
                }
                (None, _) => (text(&words::outcome(step.outcome), LEFT + 4.0, top + 15.0, "took")),
            }
        }
    }
}

/// Where the row after so many rows begins.
fn below(rows: usize) -> f64 {
    AXIS + ROW * f64::from(u32::try_from(rows).unwrap_or(u32::MAX))
}

/// The label beside a bar: duration and deviations.
fn note(step: &StepReport, duration: Option<SignedDuration>) -> Words {
    let base = duration.map_or_else(|| words::outcome(StepOutcome::Open), took);
    let tries = |words: Words| {
        if step.attempts > 1 { t(format!("{} · 第 {} 次", words.zh, step.attempts), format!("{} · attempt {}", words.en, step.attempts)) } else { words }
    };
    if step.outcome == StepOutcome::Done {
        return tries(base);
    }
    let outcome = words::outcome(step.outcome);
    tries(t(format!("{} · {}", base.zh, outcome.zh), format!("{} · {}", base.en, outcome.en)))
}

/// A text of the drawing in both languages.
fn text(words: &Words, x: f64, y: f64, class: &str) -> Markup {
    html! {
        @for (language, words) in [("zh", &words.zh), ("en", &words.en)] {
            text class=(class) lang=(language) x=(number(x)) y=(number(y)) { (shown(words)) }
        }
    }
}

/// A coordinate: two decimals, no more than a reader needs.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The text, shortened to so many columns; a Chinese character has two.
fn clip(text: &str, columns: usize) -> String {
    let width = |c: char| if u32::from(c) >= 0x1100 { 2 } else { 1 };
    if text.chars().map(width).sum::<usize>() <= columns {
        return text.to_owned();
    }
    let mut used = 1;
    let kept: String = text
        .chars()
        .take_while(|c| {
            used += width(*c);
            used <= columns
        })
        .collect();
    format!("{kept}…")
}
