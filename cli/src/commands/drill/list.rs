//! `p861 drill list`

use super::super::{
    Context,
    list::print_list,
    page::{cell, dash, truth},
};
use crate::{
    args::DrillList,
    error::Result,
    exit::ExitStatus,
    format::{Clock, Line, Table, Tone},
    printer::Output,
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{
    ConditionType, Drill, RecoveryPlan,
    common::RunPhase,
    recovery::drill::{DrillResult, DrillStatus},
};

/// Lists drills, the newest first.
pub async fn list(context: &Context<'_>, what: &DrillList) -> Result<ExitStatus> {
    let fields = what.plan.as_ref().map(|plan| format!("spec.planRef.name={plan}")).unwrap_or_default();
    let (hub, printer) = (&context.hub, context.printer);
    let mut drills = hub.list_here::<Drill>(&fields).await?;
    if let Some(plan) = what.plan.as_ref().filter(|_| drills.is_empty()) {
        // An empty list for an unknown plan would be misleading: report the unknown name.
        hub.get_here::<RecoveryPlan>(plan).await?;
    }
    drills.sort_by_key(|drill| (std::cmp::Reverse(drill.metadata.creation_timestamp.as_ref().map(|time| time.0)), drill.name_any()));
    print_list(printer, &drills, &text::no_drills(&hub.namespace, what.plan.as_deref(), hub.place()), |drills| {
        table(drills, printer.output == Output::Wide, &hub.clock, printer.language)
    })
}

/// A phase as a cell.
pub fn phase(phase: RunPhase, language: Language) -> Line {
    let tone = match phase {
        RunPhase::Succeeded => Tone::Good,
        RunPhase::Failed | RunPhase::Refused | RunPhase::Aborted => Tone::Bad,
        RunPhase::WaitingForPerson | RunPhase::Paused | RunPhase::Aborting => Tone::Warn,
        RunPhase::Pending | RunPhase::Running | RunPhase::CleaningUp => Tone::Plain,
    };
    Line::toned(tone, text::phase(phase).pick(language))
}

/// A result as a cell.
pub fn result(result: Option<DrillResult>, language: Language) -> Line {
    match result {
        Some(DrillResult::Passed) => Line::toned(Tone::Good, text::result(DrillResult::Passed).pick(language)),
        Some(bad) => Line::toned(Tone::Bad, text::result(bad).pick(language)),
        None => dash(),
    }
}

/// The table, in the order given.
pub fn table(drills: &[Drill], wide: bool, clock: &Clock, language: Language) -> Vec<Line> {
    let mut heads = vec![text::DRILL, text::PLAN, text::TYPE, text::PHASE, text::RESULT, text::RTO, text::CLEAN, text::STARTED];
    if wide {
        heads.extend([text::SITE, text::REASON]);
    }
    let mut table = Table::new(language, &heads).spare(&[text::TYPE, text::PLAN, text::CLEAN, text::STARTED, text::RTO]);
    for drill in drills {
        let status = drill.status.clone().unwrap_or_default();
        table.row(row(drill, &status, wide, clock, language));
    }
    table.lines()
}

fn row(drill: &Drill, status: &DrillStatus, wide: bool, clock: &Clock, language: Language) -> Vec<Line> {
    let mut row = vec![
        Line::of(drill.name_any()),
        Line::of(&drill.spec.plan_ref.name),
        Line::of(text::drill_type(drill.spec.r#type).pick(language)),
        phase(status.phase.unwrap_or_default(), language),
        result(status.result, language),
        cell(status.measured.as_ref().and_then(|measured| measured.rto.as_ref()).map(|rto| text::span(&rto.0, language))),
        truth(&status.conditions, ConditionType::CleanedUp, language),
        cell(status.start_time.as_ref().map(|time| clock.minute(time.0))),
    ];
    if wide {
        let reason = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Succeeded).map(|condition| condition.reason.clone());
        row.extend([cell(status.target_site.as_ref()), cell(reason.filter(|reason| !reason.is_empty()))]);
    }
    row
}
