//! `p861 plan …`

use super::{
    Context,
    drill_run::sites,
    list::{print_list, print_object},
    page::{self, cell, split_command, truth},
};
use crate::{
    args::{PlanCheck, PlanCommand},
    error::{Failure, Result},
    exit::ExitStatus,
    format::{Line, Table, Tone},
    hub::Hub,
    printer::Output,
    run::Outline,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{RecoveryPlan, recovery::plan::PreflightResult};
use serde_json::json;

/// The key of a plan's steps.
pub const STEPS: &str = "steps.json";

/// The ConfigMap of a plan's steps.
pub fn steps_map(plan: &str) -> String {
    format!("{plan}-steps")
}

/// Does what was typed.
pub async fn perform(context: &Context<'_>, command: &PlanCommand) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    match command {
        PlanCommand::List => {
            let plans = hub.list_here::<RecoveryPlan>("").await?;
            print_list(printer, &plans, &text::no_plans(&hub.namespace), |plans| table(plans, printer.language))
        }
        PlanCommand::Show(name) => {
            let read = hub.get_here::<RecoveryPlan>(&name.name).await?;
            print_object(printer, &read, |plan| page(hub, plan, printer.language))?;
            Ok(ExitStatus::Good)
        }
        PlanCommand::Check(what) => check(context, what).await,
    }
}

fn table(plans: &[RecoveryPlan], language: Language) -> Vec<Line> {
    let mut table = Table::new(language, &[text::PLAN, text::READY, text::DRILLED, text::RTO, text::TARGET, text::DRILL]);
    for plan in plans {
        let status = plan.status.clone().unwrap_or_default();
        let last = status.last_drill.as_ref().map(|last| last.name.clone());
        table.row(vec![
            Line::of(plan.name_any()),
            truth(&status.conditions, "ReadyToFailover", language),
            truth(&status.conditions, "Drilled", language),
            cell(status.prediction.as_ref().map(|p| &p.rto.0)),
            cell(plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref()).map(|rto| &rto.0)),
            cell(last),
        ]);
    }
    table.lines()
}

fn head(hub: &Hub, plan: &RecoveryPlan, language: Language) -> Line {
    let status = plan.status.clone().unwrap_or_default();
    let (home, standby) = sites(plan, hub.district.as_ref());
    let mut parts = vec![format!("{} → {}", home.as_deref().unwrap_or("?"), standby.as_deref().unwrap_or("?"))];
    parts.extend(status.epoch.map(|epoch| format!("epoch {epoch}")));
    parts.extend(status.steps.as_ref().map(|steps| text::step_counts(&p861_crds::common::StepCounts { total: steps.total, ..Default::default() }).pick(language).replace("0 of ", "").replace("0/", "")));
    let target = plan.spec.objectives.as_ref().and_then(|o| o.rto.as_ref()).map(|rto| rto.0.as_str());
    parts.extend(status.prediction.as_ref().map(|p| text::predicted(&p.rto.0, target).pick(language).trim_end_matches(['.', '。']).to_owned()));
    parts.extend(status.plan_digest.as_ref().map(|digest| digest.trim_start_matches("sha256:").chars().take(12).collect::<String>()));
    Line::toned(Tone::Strong, format!("{} {}", text::noun("plan").pick(language), plan.name_any())).with(format!(" · {}", parts.join(" · ")))
}

fn page(hub: &Hub, plan: &RecoveryPlan, language: Language) -> Vec<Line> {
    let mut lines = vec![head(hub, plan, language)];
    lines.extend(page::conditions(plan.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default(), language));
    lines
}

async fn check(context: &Context<'_>, what: &PlanCheck) -> Result<ExitStatus> {
    let (hub, printer) = (&context.hub, context.printer);
    let plan = hub.get_here::<RecoveryPlan>(&what.name).await?.object;
    let status = plan.status.clone().unwrap_or_default();
    let ready = page::condition(&status.conditions, "Ready").cloned();
    if let Some(bad) = ready.filter(page::is_bad) {
        let (said, command) = page::says(&bad, printer.language);
        let end = command.map(|command| format!(": {command}")).unwrap_or_default();
        return Err(Failure::new(ExitStatus::Bad, text::Bilingual::same(format!("{}: {said}{end}", what.name))));
    }
    let checks = status.preflight.as_ref().map(|preflight| preflight.checks.clone()).unwrap_or_default();
    if checks.is_empty() {
        return Err(Failure::refused(text::not_checked(&what.name)));
    }
    let failed = checks.iter().filter(|check| check.result == PreflightResult::Fail).count();
    let outline = if what.steps { Outline::load(hub, &steps_map(&what.name), STEPS).await } else { Outline::default() };
    if printer.structured() {
        printer.structure(&json!({"apiVersion": "cli.platform861.io/v1", "kind": "PlanCheck", "plan": what.name, "ready": failed == 0, "digest": status.plan_digest, "checks": checks, "steps": outline.0}))?;
        return Ok(ExitStatus::judged(failed == 0));
    }
    if printer.output == Output::Name {
        printer.line(&Line::of(super::list::full_name::<RecoveryPlan>(&what.name)));
        return Ok(ExitStatus::judged(failed == 0));
    }
    printer.line(&head(hub, &plan, printer.language));
    let mut table = Table::bare();
    for check in &checks {
        let (mark, tone) = match check.result {
            PreflightResult::Pass => ("✓", Tone::Good),
            PreflightResult::Fail => ("✗", Tone::Bad),
        };
        let (said, command) = split_command(&check.message);
        let mut row = vec![Line::toned(tone, mark).with(" ").with(&check.name), Line::of(said)];
        row.extend(check.remedy.clone().or(command).map(|remedy| Line::toned(Tone::Strong, remedy)));
        table.row(row);
    }
    printer.lines(&table.lines());
    printer.say(&text::plan_verdict(failed, checks.len()));
    if what.steps {
        let mut table = Table::bare();
        for step in &outline.0 {
            table.row(vec![Line::of(&step.id), cell(step.deadline.as_ref()), Line::toned(Tone::Dim, step.after.join(", "))]);
        }
        printer.lines(&table.lines());
    }
    Ok(ExitStatus::judged(failed == 0))
}
