//! View of a drill, and its page at the end.

use super::{
    super::page::{self, Reader, condition, is_bad},
    report,
};
use crate::{
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    hub::{Hub, Run as _},
    run::{self, Snapshot, Stand, Watched, stated},
    text::{self, Language},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use p861_core::{recovery::conclude::is_on_standby, runs::StepKey};
use p861_crds::{
    ConditionType, Drill, RecoveryPlan,
    common::RunPhase,
    recovery::drill::{DrillResult, DrillType, DrilledApplication, RpoProof},
};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// The report may be written a moment after the end is seen; longer than this after the end it is not waited for.
const REPORT_WITHIN: SignedDuration = SignedDuration::from_secs(10);

impl Watched for Drill {
    const STAND: Stand = Stand::Whole;

    fn snapshot(&self, clock: &Clock, language: Language) -> Snapshot {
        let status = self.status.clone().unwrap_or_default();
        let note = |application: &DrilledApplication| {
            let time = application.recovery_point_time.as_ref()?.0;
            let age = clock.age(time, language);
            Some((application.name.clone(), text::data_as_of(&clock.moment(time), &age, application.backup.as_deref()).pick(language).to_owned()))
        };
        let target = status.objectives.as_ref().and_then(|objectives| stated(objectives.rto.as_ref()));
        // A copy that is kept standing is no part of the recovery that is measured.
        Snapshot {
            target,
            predicted: status.prediction.as_ref().and_then(|p| stated(Some(&p.rto))),
            notes: status.applications.iter().filter_map(note).collect(),
            ..Snapshot::of(self)
        }
    }

    fn planned(&self) -> Option<(String, &'static str)> {
        (self.spec.r#type == DrillType::Isolated).then(|| (super::super::plan::steps_map(&self.spec.plan_ref.name), super::super::plan::STEPS))
    }

    fn verdict(&self) -> ExitStatus {
        let status = self.status.as_ref();
        match (self.phase(), status.and_then(|status| status.result)) {
            (RunPhase::Refused, _) => ExitStatus::Refused,
            (_, Some(DrillResult::Passed)) => ExitStatus::Good,
            _ => ExitStatus::Bad,
        }
    }

    async fn summary(&self, hub: &Hub, language: Language) -> Vec<Line> {
        let told = Told::of(hub, self).await;
        summary(self, told.as_ref(), &hub.clock.at(Timestamp::now()), language, hub.place())
    }

    /// From the report of the plan's newest drill; without it the steps are watched without.
    async fn took_before(&self, hub: &Hub) -> BTreeMap<String, SignedDuration> {
        let plan = hub.get_here::<RecoveryPlan>(&self.spec.plan_ref.name).await.ok();
        let last = plan.and_then(|plan| plan.object.status?.last_drill).filter(|last| last.name != self.name_any());
        match last {
            Some(last) => Told::read(hub, &last.name).await.map(|told| told.took()).unwrap_or_default(),
            None => BTreeMap::new(),
        }
    }
}

/// What the page takes from the report: how long steps took, and what was removed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Told {
    steps: Vec<ToldStep>,
    clean_up: ToldCleanUp,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ToldStep {
    id: String,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    outcome: String,
    clean_up: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ToldCleanUp {
    removed: Vec<String>,
    left: Vec<String>,
}

impl Told {
    /// A drill's report; none if there is none, which the page survives.
    async fn read(hub: &Hub, drill: &str) -> Option<Self> {
        let map = hub.config_map(&report::config_map(drill)).await.ok().flatten()?;
        serde_json::from_str(map.get(report::JSON)?).ok()
    }

    /// The same, waiting a moment for the report of a drill that has ended just now.
    async fn of(hub: &Hub, drill: &Drill) -> Option<Self> {
        let status = drill.status.clone().unwrap_or_default();
        let until = status.completion_time.filter(|_| status.report.is_some()).map(|end| end.0 + REPORT_WITHIN);
        loop {
            match Self::read(hub, &drill.name_any()).await {
                None if until.is_some_and(|until| Timestamp::now() < until) => sleep(Duration::from_millis(500)).await,
                told => return told,
            }
        }
    }

    /// How long each step that was done took.
    fn took(&self) -> BTreeMap<String, SignedDuration> {
        self.steps.iter().filter(|step| step.outcome == "Done").filter_map(|step| Some((step.id.clone(), step.ended?.duration_since(step.started?)))).collect()
    }
}

/// The page at the end of a drill.
pub fn summary(drill: &Drill, told: Option<&Told>, clock: &Clock, language: Language, place: &str) -> Vec<Line> {
    let status = drill.status.clone().unwrap_or_default();
    let (name, phase) = (drill.name_any(), status.phase.unwrap_or_default());
    let mut lines = vec![head(drill, &name, phase, clock, language)];
    if !status.applications.is_empty() && drill.spec.r#type != DrillType::Tabletop {
        lines.extend(table(drill, language));
    }
    if drill.spec.r#type == DrillType::Tabletop
        && let Some(prediction) = &status.prediction
    {
        let target = status.objectives.as_ref().and_then(|o| o.rto.as_ref()).map(|rto| rto.0.as_str());
        lines.push(Line::of(text::predicted_rto(&prediction.rto.0, target).pick(language)));
    }
    for bad in [ConditionType::Succeeded, ConditionType::ObjectivesMet, ConditionType::CleanedUp]
        .into_iter()
        .filter_map(|kind| condition(&status.conditions, kind))
        .filter(|condition| is_bad(condition))
    {
        lines.extend(page::conditions(std::slice::from_ref(bad), &Reader { language, place, name: &name }));
    }
    if phase == RunPhase::Refused {
        return lines;
    }
    let steps = status.steps.clone().unwrap_or_default();
    let longest = told.map(|told| longest(told, language)).unwrap_or_default();
    lines.push(Line::of(text::longest_retried_skipped(&longest, steps.retried, text::skipped_and_not_run(&steps)).pick(language)));
    let cleaned = match told {
        Some(told) if !told.clean_up.removed.is_empty() || !told.clean_up.left.is_empty() => {
            Some(text::cleaned_up(told.clean_up.removed.len(), &told.clean_up.left).pick(language).to_owned())
        }
        _ => condition(&status.conditions, ConditionType::CleanedUp)
            .filter(|condition| condition.status == "True" && !condition.message.is_empty())
            .map(|condition| text::cleaned_up_says(&condition.message).pick(language).to_owned()),
    };
    let report = told.is_some().then(|| text::report_command(&name, place).pick(language).to_owned());
    let last: Vec<String> = [cleaned, report].into_iter().flatten().collect();
    if !last.is_empty() {
        // A Chinese full stop has its own space.
        lines.push(Line::of(last.join(if language == Language::Zh { "" } else { " " })));
    }
    lines
}

fn head(drill: &Drill, name: &str, phase: RunPhase, clock: &Clock, language: Language) -> Line {
    let status = drill.status.clone().unwrap_or_default();
    let (tone, word) = match (phase, status.result) {
        (RunPhase::Refused, _) => (Tone::Bad, text::phase(RunPhase::Refused).pick(language).to_uppercase()),
        (_, Some(DrillResult::Passed)) => (Tone::Good, text::result(DrillResult::Passed).pick(language).to_uppercase()),
        (_, Some(bad)) => (Tone::Bad, text::result(bad).pick(language).to_uppercase()),
        (phase, None) => (Tone::Bad, text::phase(phase).pick(language).to_uppercase()),
    };
    let mut line = Line::of(format!("{} {name} ", text::noun("drill").pick(language))).tone(tone, word);
    if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time) {
        line = line.with(format!(" · {}", text::from_to(&clock.moment(start.0), &clock.second(end.0)).pick(language)));
    }
    match (&status.from_site, drill.spec.r#type) {
        (_, DrillType::Tabletop) => line.with(format!(" · {}", text::nothing_touched().pick(language))),
        (Some(site), DrillType::Isolated) => {
            let said = if is_on_standby(&status) { text::untouched(site) } else { text::beside_applications(site) };
            line.with(format!(" · {}", said.pick(language)))
        }
        _ => line,
    }
}

/// RTO and RPO per application and of the plan, against their targets.
fn table(drill: &Drill, language: Language) -> Vec<Line> {
    let status = drill.status.clone().unwrap_or_default();
    let mut table = Table::new(language, &[text::APPLICATION, text::RTO, text::RTO_TARGET, text::RPO, text::RPO_TARGET, text::PROOF, text::CHECKS, text::FROM])
        .spare(&[text::FROM, text::PROOF, text::RTO_TARGET, text::RPO_TARGET]);
    for application in &status.applications {
        let (rto, rpo) = (&application.measured.rto, &application.measured.rpo);
        let checks = &application.checks;
        table.row(vec![
            Line::of(&application.name),
            measured(rto.as_ref(), application.objectives.rto.as_ref(), language),
            page::cell(application.objectives.rto.as_ref().map(|rto| text::span(&rto.0, language))),
            measured(rpo.as_ref(), application.objectives.rpo.as_ref(), language),
            page::cell(application.objectives.rpo.as_ref().map(|rpo| text::span(&rpo.0, language))),
            match application.rpo_proof {
                Some(RpoProof::Marker) => Line::of(text::MARKER.pick(language)),
                Some(RpoProof::Assumed) => Line::toned(Tone::Warn, text::ASSUMED.pick(language)),
                None => page::dash(),
            },
            Line::toned(if checks.passed == checks.total { Tone::Plain } else { Tone::Bad }, format!("{}/{}", checks.passed, checks.total)),
            page::cell(application.backup.as_ref()),
        ]);
    }
    let (rto, target) = (status.measured.as_ref().and_then(|m| m.rto.as_ref()), status.objectives.as_ref().and_then(|o| o.rto.as_ref()));
    table.row(vec![
        Line::of(text::WHOLE_PLAN.pick(language)),
        measured(rto, target, language),
        page::cell(target.map(|target| text::span(&target.0, language))),
    ]);
    table.lines()
}

/// A measured time, red if it is over its target, or missing where there is one.
fn measured(value: Option<&p861_crds::Duration>, target: Option<&p861_crds::Duration>, language: Language) -> Line {
    match (value, stated(value), stated(target)) {
        (Some(text), Some(value), Some(target)) if value > target => Line::toned(Tone::Bad, text::span(&text.0, language)),
        (Some(text), ..) => Line::of(text::span(&text.0, language)),
        (None, _, Some(_)) => Line::toned(Tone::Bad, "-"),
        (None, ..) => page::dash(),
    }
}

/// The two steps that took longest, clean-up aside: `portal volume site-files 4:12`.
fn longest(told: &Told, language: Language) -> Vec<String> {
    let mut took: Vec<(SignedDuration, &str)> = told
        .steps
        .iter()
        .filter(|step| !step.clean_up && step.id.parse() != Ok(StepKey::Hold))
        .filter_map(|step| Some((step.ended?.duration_since(step.started?), step.id.as_str())))
        .collect();
    took.sort_by_key(|(took, id)| (std::cmp::Reverse(*took), *id));
    took.iter()
        .filter(|(took, _)| took.as_secs() > 0)
        .take(2)
        .map(|(took, id)| format!("{} {}", run::label("drill", id, language), text::measured(*took, language)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fault_e47_no_drill_on_the_applications_own_site_says_that_the_site_was_untouched() {
        let clock = Clock { now: "2026-11-24T00:30:00Z".parse().expect("a time"), zone: jiff::tz::TimeZone::UTC };
        for (target, said) in [("standby", "primary untouched"), ("primary", "on primary, where the applications run: proves nothing of the plan")] {
            let drill: Drill = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Drill", "metadata": {"name": "d"},
                "spec": {"planRef": {"name": "core"}, "type": "Isolated"},
                "status": {"phase": "Succeeded", "result": "Passed", "fromSite": "primary", "targetSite": target}}))
            .expect("a drill");
            assert_eq!(head(&drill, "d", RunPhase::Succeeded, &clock, Language::En).to_string(), format!("Drill d PASSED · {said}"));
            let announced = text::drill_announced("core", Some(target), Some("primary"));
            assert_eq!(announced.pick(Language::En).contains("primary is not touched"), target == "standby");
        }
    }
}
