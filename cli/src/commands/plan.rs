//! `p861 plan …`

use super::{
    Context,
    agreed::{self, Shown, Steps},
    drill_run::sites,
    list::{full_name, print_list, print_object},
    needs::{self, Objects},
    page::{self, Facts, Reader, cell, split_command, truth},
};
use crate::{
    args::{PlanCheck, PlanCommand},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Line, Table, Tone},
    hub::Hub,
    printer::Output,
    run::{Outline, label},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_core::names;
use p861_crds::{
    ConditionType, RecoveryPlan,
    recovery::plan::{PreflightCheck, PreflightResult},
};
use serde_json::json;

/// A plan's steps are those of its drills.
const DRILL: &str = "drill";
/// The key of a plan's steps.
pub const STEPS: &str = "steps.json";

/// The ConfigMap of a plan's steps.
pub fn steps_map(plan: &str) -> String {
    names::steps_of_plan(plan)
}

/// Runs the command.
pub async fn perform(context: &Context<'_>, command: &PlanCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        PlanCommand::List => {
            let plans = hub.list_here::<RecoveryPlan>("").await?;
            print_list(printer, &plans, &text::no_plans(&hub.namespace), |plans| table(plans, printer.output == Output::Wide, printer.language))
        }
        PlanCommand::Show(name) => {
            let (read, shown) = agreed::of_plan(hub, &name.name).await?;
            print_object(printer, &read, |plan| {
                let mut lines = page(hub, plan, printer.language);
                lines.extend(shown.lines(text::plan_steps_head(), &hub.clock, printer.language));
                lines
            })?;
            Ok(needs::verdict(hub, &Objects { plans: vec![read.object], ..Objects::default() }))
        }
        PlanCommand::Check(what) => check(context, what).await,
    }
}

/// A plan's checks that pass, of all: `3/4`. Those of a plan that does not compile any more are of another plan.
fn checks_of(plan: &RecoveryPlan) -> Option<(usize, usize)> {
    let status = plan.status.as_ref().filter(|status| page::condition(&status.conditions, ConditionType::Ready).is_some_and(|ready| ready.status == "True"))?;
    let checks = &status.preflight.as_ref()?.checks;
    Some((checks.iter().filter(|check| check.result == PreflightResult::Pass).count(), checks.len()))
}

/// Whether everything that a recovery needs is there.
pub fn passes_checks(plan: &RecoveryPlan) -> bool {
    checks_of(plan).is_some_and(|(passed, all)| all > 0 && passed == all)
}

fn passed(plan: &RecoveryPlan) -> Line {
    let tone = if passes_checks(plan) { Tone::Good } else { Tone::Bad };
    checks_of(plan).map_or_else(page::dash, |(passed, all)| Line::toned(tone, format!("{passed}/{all}")))
}

fn table(plans: &[RecoveryPlan], wide: bool, language: Language) -> Vec<Line> {
    let mut heads = vec![text::PLAN, text::ACTIVE, text::EPOCH, text::READY, text::CHECKS, text::DRILLED, text::RTO, text::RTO_TARGET, text::RUN];
    if wide {
        heads.extend([text::DRILL, text::WRITER]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::EPOCH, text::RTO_TARGET, text::ACTIVE, text::RTO, text::RUN]);
    for plan in plans {
        let status = plan.status.clone().unwrap_or_default();
        let mut row = vec![
            Line::of(plan.name_any()),
            cell(status.active_site.as_ref()),
            cell(status.epoch.map(|epoch| epoch.to_string())),
            truth(&status.conditions, ConditionType::Ready, language),
            passed(plan),
            truth(&status.conditions, ConditionType::Drilled, language),
            cell(status.prediction.as_ref().map(|p| text::span(&p.rto.0, language))),
            cell(plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref()).map(|rto| text::span(&rto.0, language))),
            cell(status.current_run.as_ref()),
        ];
        if wide {
            row.extend([cell(status.last_drill.as_ref().map(|last| &last.name)), truth(&status.conditions, ConditionType::SingleWriter, language)]);
        }
        table.row(row);
    }
    table.lines()
}

/// `Plan shinan-core · xinxi-dasha → laoshan-dr · epoch 7 · 41 steps · predicted 9m40s of 30m (5 drills) · digest 1f0e8b6a9d24`.
fn head(hub: &Hub, plan: &RecoveryPlan, language: Language) -> Line {
    let status = plan.status.clone().unwrap_or_default();
    let (home, standby) = sites(plan, hub.district.as_ref());
    let mut parts = vec![format!("{} → {}", home.as_deref().unwrap_or("?"), standby.as_deref().unwrap_or("?"))];
    let mut say = |words: Option<text::Bilingual>| parts.extend(words.map(|words| words.pick(language).to_owned()));
    say(status.epoch.map(text::epoch));
    say(status.steps.as_ref().map(|steps| text::steps_total(steps.total)));
    let target = plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref()).map(|rto| rto.0.as_str());
    say(status.prediction.as_ref().map(|p| text::predicted(&p.rto.0, target, p.samples)));
    say(status.plan_digest.as_ref().map(|digest| text::digest(&digest.trim_start_matches("sha256:").chars().take(12).collect::<String>())));
    Line::toned(Tone::Strong, format!("{} {}", text::noun("plan").pick(language), plan.name_any())).with(format!(" · {}", parts.join(" · ")))
}

fn page(hub: &Hub, plan: &RecoveryPlan, language: Language) -> Vec<Line> {
    let status = plan.status.clone().unwrap_or_default();
    let mut lines = vec![head(hub, plan, language)];
    let members = |group: &p861_crds::recovery::plan::Group| page::listed(group.members.iter().map(|member| &member.application_ref.name), language);
    let groups: Vec<String> = plan.spec.groups.iter().map(|group| text::with_more(&group.name, &members(group)).pick(language).to_owned()).collect();
    let ago = |time: jiff::Timestamp| text::ago(&hub.clock.minute(time), &hub.clock.age(time, language)).pick(language).to_owned();
    let (colon, comma) = (text::COLON.pick(language), text::COMMA.pick(language));
    let last = status
        .last_drill
        .as_ref()
        .map(|last| format!("{}{colon}{}{comma}{}", last.name, text::result(last.result).pick(language), ago(last.completion_time.0)));
    lines.extend(
        Facts::new(language)
            .with(text::F_GROUPS, groups.join(" → "))
            .with(text::F_REPOSITORY, &plan.spec.repository_ref.name)
            .maybe(text::F_DRILL, last)
            .maybe(text::F_RUN, status.current_run.as_ref())
            .lines(),
    );
    lines.extend(page::conditions(&status.conditions, &Reader { language, place: hub.place(), name: &plan.name_any() }));
    lines
}

async fn check(context: &Context<'_>, what: &PlanCheck) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let (plan, shown) = if what.steps || what.graph {
        let (read, shown) = agreed::of_plan(hub, &what.name).await?;
        (read.object, shown)
    } else {
        (hub.get_here::<RecoveryPlan>(&what.name).await?.object, Shown::Nothing)
    };
    let status = plan.status.clone().unwrap_or_default();
    // The checked plan must be the current one.
    if status.observed_generation.is_none_or(|seen| plan.metadata.generation.is_some_and(|now| seen < now)) {
        return Err(Failure::refused(text::not_checked(&what.name, &hub.operator_namespace)));
    }
    let broken = page::condition(&status.conditions, ConditionType::Ready).filter(|ready| page::is_bad(ready));
    let checks = status.preflight.as_ref().map(|preflight| preflight.checks.clone()).unwrap_or_default();
    if broken.is_none() && checks.is_empty() {
        return Err(Failure::refused(text::not_checked(&what.name, &hub.operator_namespace)));
    }
    // Checks of a plan that does not compile any more are of another plan.
    let checks = if broken.is_some() { Vec::new() } else { checks };
    let failed = checks.iter().filter(|check| check.result == PreflightResult::Fail).count();
    let ready = broken.is_none() && failed == 0;
    // Asked for by name, they are not left out silently.
    let outline = shown.steps()?.map(Steps::outline).unwrap_or_default();
    match printer.output {
        Output::Json | Output::Yaml => {
            let mut answer = json!({"apiVersion": "cli.platform861.io/v1", "kind": "PlanCheck", "plan": what.name, "ready": ready, "digest": status.plan_digest, "checks": checks});
            if let Some(condition) = broken {
                answer["reason"] = json!(condition.reason);
                answer["message"] = json!(condition.message);
            }
            if what.steps {
                answer["steps"] = json!(outline.0);
            }
            if what.graph {
                answer["waves"] = json!(outline.waves());
            }
            printer.structure(&answer)?;
        }
        Output::Name => printer.line(&Line::of(full_name::<RecoveryPlan>(&what.name))),
        Output::Table | Output::Wide | Output::Html => {
            printer.line(&head(hub, &plan, printer.language));
            if let Some(condition) = broken {
                printer.lines(&page::conditions(std::slice::from_ref(condition), &Reader { language: printer.language, place: hub.place(), name: &what.name }));
            }
            printer.lines(&results(hub, &what.name, &checks, printer.language));
            printer.say(&if broken.is_some() { text::plan_broken() } else { text::plan_verdict(failed, checks.len(), what.steps, what.graph) });
            printer.lines(&steps(&outline, what, printer.language));
        }
    }
    Ok(ExitStatus::judged(ready))
}

/// The checks, a line each.
fn results(hub: &Hub, plan: &str, checks: &[PreflightCheck], language: Language) -> Vec<Line> {
    let mut table = Table::bare();
    for check in checks {
        let (mark, tone) = match check.result {
            PreflightResult::Pass => ("✓", Tone::Good),
            PreflightResult::Fail => ("✗", Tone::Bad),
        };
        let (said, command) = split_command(&check.message, plan);
        let name = text::told(&check.name);
        let mut row =
            vec![Line::toned(tone, mark).with(" ").with(name.pick(language)), Line::of(text::told_without_command(&check.message, said).pick(language))];
        row.extend(check.remedy.clone().or(command).map(|remedy| Line::toned(Tone::Strong, hub.typed(&remedy))));
        table.row(row);
    }
    table.lines()
}

/// Steps as the view of a drill calls them.
fn named<'a>(ids: impl Iterator<Item = &'a str>, language: Language) -> String {
    page::listed(ids.map(|id| label(DRILL, id, language)), language)
}

/// The steps with their deadlines, and the waves in which they may run. They are called as the view of a drill calls them.
fn steps(outline: &Outline, what: &PlanCheck, language: Language) -> Vec<Line> {
    let mut lines = Vec::new();
    if what.steps {
        let mut table = Table::new(language, &[text::STEP, text::ID, text::DEADLINE, text::AFTER]).spare(&[text::AFTER]);
        for step in &outline.0 {
            table.row(vec![
                Line::of(label(DRILL, &step.id, language)),
                Line::of(&step.id),
                cell(step.deadline.as_ref().map(|deadline| text::span(deadline, language))),
                Line::toned(Tone::Dim, named(step.after.iter().map(String::as_str), language)),
            ]);
        }
        lines.extend(table.lines());
    }
    if what.graph {
        let mut table = Table::bare();
        for (number, wave) in outline.waves().iter().enumerate() {
            table.row(vec![Line::toned(Tone::Dim, format!("{:>3}", number + 1)), Line::of(named(wave.iter().copied(), language))]);
        }
        lines.extend(table.lines());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::steps_called;

    #[test]
    fn a_plans_steps_have_the_names_that_the_view_of_a_drill_shows_and_the_ids_behind_them() {
        let outline = Outline::parse(r#"[{"id":"restore/a/objects"},{"id":"restore/a/objects-again","after":["restore/a/objects"]},{"id":"clean-up"}]"#);
        let outline = outline.expect("an outline");
        let ids: Vec<String> = outline.0.iter().map(|step| step.id.clone()).collect();
        let what = PlanCheck { name: "core".into(), steps: true, graph: true };
        for (language, again) in [(Language::En, "a try refused objects again"), (Language::Zh, "a 重试被拒的对象")] {
            let lines: Vec<String> = steps(&outline, &what, language).iter().map(ToString::to_string).collect();
            for id in &ids {
                let shown = label(DRILL, id, language);
                assert!(lines.iter().any(|line| line.starts_with(&shown) && line.contains(id)), "{shown} {id}: {lines:#?}");
                assert!(lines.iter().any(|line| line.trim_start().starts_with(|first: char| first.is_ascii_digit()) && line.contains(&shown)), "{lines:#?}");
                assert_eq!(steps_called(DRILL, &ids, &shown), [id], "what is shown can be typed");
            }
            assert_eq!(label(DRILL, "restore/a/objects-again", language), again);
        }
    }
}
