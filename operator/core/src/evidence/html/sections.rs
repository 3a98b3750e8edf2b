//! The sections of the page, in the order of an auditor's questions.

use maud::{Markup, html};

use super::bars::bar;
use super::proofs::{facts, with_names};
use super::timeline::timeline;
use super::words::{self, Clock, Words, same, shown, t, told, took, took_or};
use crate::{
    engine::Evidence,
    evidence::{
        path,
        report::{ApplicationReport, CheckOutcome, DrillReport, StepOutcome},
    },
    recovery::measure,
    runs::StepKey,
    time::{after, whole_seconds},
};
use jiff::SignedDuration;
use p861_crds::recovery::drill::{DrillResult, DrillType};

fn section(heading: &Words, body: Markup) -> Markup {
    html! { section { h2 { (heading) } (body) } }
}

/// The result, in sentences.
pub(super) fn conclusion(report: &DrillReport, clock: Clock) -> Markup {
    let (start, end) = (clock.full(report.start_time), clock.full(report.completion_time));
    let (plan, from, to) = (words::name(&report.plan), words::name(&report.from_site), words::name(&report.target_site));
    let (kind, result) = (words::drill_type(report.drill_type), words::result(report.result));
    let what = t(
        format!("{start} 至 {end}，对恢复预案“{}”进行{}，目标是将“{}”上的应用在“{}”恢复，结论为{}。", plan.zh, kind.zh, from.zh, to.zh, result.zh),
        format!(
            "From {start} to {end} the {} drill of the plan “{}” set out to recover the applications of {} on {}. It {}.",
            kind.en.to_lowercase(),
            plan.en,
            from.en,
            to.en,
            verdict_en(report.result)
        ),
    );
    let what = if report.drill_type == DrillType::Tabletop {
        t(
            format!("{start}，对恢复预案“{}”进行桌面演练：生成全部步骤并预检，未触动任何系统，结论为{}。", plan.zh, result.zh),
            format!("At {start} the plan “{}” was compiled and checked on paper; nothing was touched. It {}.", plan.en, verdict_en(report.result)),
        )
    } else {
        what
    };
    let isolated = (report.drill_type == DrillType::Isolated).then(|| {
        t(
            "副本运行于与外界隔离的环境中，对外名称未切换：恢复用时计至最后一项应用检查通过为止。生产应用与备份不受影响。",
            "The copy ran in an environment closed to everything outside, and no public name was switched: the RTO runs until the last check. Live applications and their backups were left alone.",
        )
    });
    section(
        &t("一、结论", "1. Conclusion"),
        html! {
            p { (what) }
            @if let Some(isolated) = &isolated { p { (isolated) } }
            @if report.drill_type == DrillType::Isolated && report.from_site.name == report.target_site.name {
                p { (t("副本位于应用所在的站点，本次演练不能证明该预案。", "The copy was on the site where the applications run, so this drill proves nothing of the plan.")) }
            }
            // Left out for a passed drill: it would repeat the sentence above.
            @if report.result != DrillResult::Passed {
                p.reason { code.tag { (shown(report.reason.as_str())) } " " (words::reason(&report.reason)) (t("：", ": ")) (told(&report.message)) }
            }
            @if let Some(failure) = &report.failure {
                div.failure {
                    h3 { (t("未成功的原因", "What failed, and why")) }
                    dl {
                        dt { (t("步骤", "Step")) } dd { (words::step(&failure.step)) " " code { (shown(&failure.step)) } }
                        dt { (t("原因", "Reason")) } dd { (words::reason(&failure.reason)) " " code { (shown(failure.reason.as_str())) } }
                        dt { (t("情况", "What was seen")) } dd { (told(&failure.message)) }
                    }
                }
            }
        },
    )
}

fn verdict_en(result: DrillResult) -> &'static str {
    match result {
        DrillResult::Passed => "passed",
        DrillResult::Failed => "did not pass",
        DrillResult::Incomplete => "was not completed",
    }
}

/// Particulars of the drill.
pub(super) fn particulars(report: &DrillReport, clock: Clock) -> Markup {
    let site = |named: &crate::evidence::report::Named| html! { (words::name(named)) " " code { (shown(&named.name)) } };
    section(
        &t("二、基本情况", "2. Particulars"),
        html! {
            dl.facts {
                dt { (t("演练编号", "Drill")) } dd { code { (shown(&report.drill)) } }
                dt { (t("区", "District")) } dd { (site(&report.district)) }
                dt { (t("恢复预案", "Plan")) } dd { (site(&report.plan)) }
                dt { (t("方式", "Type")) } dd { (words::drill_type(report.drill_type)) }
                @if let Some(scenario) = &report.scenario { dt { (t("情景", "Scenario")) } dd { (t(scenario.in_language("zh"), scenario.in_language("en"))) } }
                dt { (t("主用站点", "From site")) } dd { (site(&report.from_site)) }
                dt { (t("恢复站点", "Recovered on")) } dd { (site(&report.target_site)) }
                dt { (t("开始", "Started")) } dd { (clock.full(report.start_time)) " " small { (clock.name()) } }
                dt { (t("结束", "Ended")) } dd { (clock.full(report.completion_time)) " " small { (t("历时 ", "after ")) (took(report.completion_time.duration_since(report.start_time))) } }
                dt { (t("发起人", "Requested by")) } dd { code { (shown(&report.requested_by)) } }
                dt { (t("参加人", "Participants")) }
                dd {
                    @if report.participants.is_empty() { (t("未登记", "none named")) }
                    @for (index, person) in report.participants.iter().enumerate() {
                        @if index > 0 { (t("；", "; ")) }
                        (words::role(&person.role)) " " (shown(&person.person))
                    }
                }
                @if let Some(prediction) = report.prediction {
                    dt { (t("预计恢复用时", "Expected RTO")) } dd { (took(prediction.rto)) " " small { (words::basis(prediction.basis, prediction.samples)) } }
                }
                @if !report.isolation.is_empty() {
                    dt { (t("隔离环境", "Isolated in")) } dd { @for namespace in &report.isolation { code { (shown(namespace)) } " " } }
                }
                @if let Some(proof) = words::isolation(report) { dt { (t("隔离验证", "Proof of the isolation")) } dd { (proof) } }
            }
        },
    )
}

/// Target against measured.
pub(super) fn objectives(report: &DrillReport) -> Markup {
    let proven = report.applications.iter().any(|application| application.rpo_proof.is_some());
    let paused = report.rto.measured.map(|rto| paused_of(report, rto)).filter(|paused| !paused.is_zero());
    section(
        &t("三、目标与实测", "3. Objectives and what was measured"),
        html! {
            table.objectives {
                thead { tr { th { (t("应用", "Application")) } th { (t("恢复用时 RTO", "RTO")) } th { (t("数据损失 RPO", "RPO")) } @if proven { th { (t("RPO 依据", "Proof of RPO")) } } } }
                tbody {
                    @for application in &report.applications {
                        tr {
                            td { strong { (words::name(&application.application)) } br; code { (shown(&application.application.name)) } @if let Some(department) = &application.department { br; small { (shown(department)) } } }
                            td { (bar(application.rto)) }
                            td { (bar(application.rpo)) }
                            @if proven { td { (words::proof(application.rpo_proof)) } }
                        }
                    }
                    tr.total { td { strong { (t("整个预案", "Whole plan")) } } td { (bar(report.rto)) } td {} @if proven { td {} } }
                }
            }
            @if let Some(paused) = paused {
                p { (t("演练曾由人员暂停，RTO 含暂停时间：", "People had the drill paused, and the RTO includes that time: ")) (took(paused)) }
            }
        },
    )
}

/// How long people had the drill paused of what its RTO measures.
fn paused_of(report: &DrillReport, rto: SignedDuration) -> SignedDuration {
    let effective = report.actions.iter().filter(|action| action.refused.is_none()).map(|action| (action.action, action.time));
    whole_seconds(measure::paused(effective, after(report.start_time, rto)))
}

/// The time line.
pub(super) fn times(report: &DrillReport) -> Markup {
    section(&t("四、时间线", "4. Time line"), timeline(report))
}

/// Checks with what was seen.
pub(super) fn checks(report: &DrillReport, clock: Clock) -> Markup {
    let any = report.applications.iter().any(|application| !application.checks.is_empty());
    section(
        &t("五、检查与证据", "5. Checks and evidence"),
        html! {
            @if !any { p { (t("没有应用声明检查。", "No application states a check.")) } }
            @for application in report.applications.iter().filter(|application| !application.checks.is_empty()) {
                table.checks {
                    caption { (words::name(&application.application)) }
                    thead { tr { th { (t("检查", "Check")) } th { (t("结果", "Outcome")) } th { (t("时间", "Time")) } th { (t("证据", "Evidence")) } } }
                    tbody {
                        @for check in &application.checks {
                            tr {
                                td { code { (shown(&check.name)) } }
                                td { span.outcome.(match check.outcome { CheckOutcome::Passed => "good", CheckOutcome::Failed => "bad", CheckOutcome::NotRun => "none" }) { (words::check(check.outcome)) } }
                                td.time {
                                    @if let Some(ended) = check.ended { (clock.of_day(ended)) @if let Some(started) = check.started { br; small { (took(ended.duration_since(started))) } } } @else { "–" }
                                }
                                td { @if check.evidence.is_empty() { "–" } @else { div.fact { (told(&check.evidence)) } } }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// Which data came back.
pub(super) fn data(report: &DrillReport, clock: Clock) -> Markup {
    let backups = || report.applications.iter().filter_map(|application| application.backup.as_ref());
    let marked = report.applications.iter().any(|application| application.backup.is_some() && application.marker_time.is_some());
    let sized = backups().any(|backup| backup.size.is_some());
    let columns = 3 + usize::from(marked) + usize::from(sized);
    section(
        &t("六、所用备份", "6. Data that was recovered"),
        html! {
            table.data {
                thead { tr { th { (t("应用", "Application")) } th { (t("备份与快照", "Backup and snapshot")) } th { (t("恢复点", "Recovery point")) } @if marked { th { (t("最新标记", "Newest marker")) } } th { (t("事前验证", "Proven before")) } @if sized { th { (t("数据量", "Size")) } } } }
                tbody {
                    @for application in &report.applications {
                        tr {
                            td { (words::name(&application.application)) }
                            @match &application.backup {
                                Some(backup) => {
                                    td { code { (shown(&backup.name)) } br; small { code { (shown(backup.snapshot_id.get(..16).unwrap_or(&backup.snapshot_id))) } } br; small { (shown(&backup.repository)) } }
                                    td.time { (clock.full(backup.recovery_point_time)) }
                                    @if marked { td.time { @match application.marker_time { Some(time) => (clock.full(time)), None => "–" } } }
                                    td { (words::level(backup.verification)) }
                                    @if sized { td { @match &backup.size { Some(size) => (shown(size)), None => "–" } } }
                                }
                                None => td colspan=(columns) { (t("没有可用的备份", "no backup could be used")) }
                            }
                        }
                    }
                }
            }
            (left_out(report))
        },
    )
}

/// What the backups have and the copy had not.
fn left_out(report: &DrillReport) -> Markup {
    let of_application = |application: &ApplicationReport| {
        let key = StepKey::restore_objects(&application.application.name).to_string();
        let step = report.steps.iter().find(|step| step.id == key);
        match step.and_then(|step| step.evidence.as_ref()) {
            Some(Evidence::ObjectsRestored { left_out, left_out_names, adjusted, .. }) => {
                let named = left_out.iter().map(|(why, number)| (with_names(why, *number, left_out_names.as_ref()), *number));
                named.chain(adjusted.iter().map(|(how, number)| (told(how), *number))).collect()
            }
            _ => Vec::new(),
        }
    };
    let all: Vec<_> = report.applications.iter().map(|application| (application, of_application(application))).filter(|(_, list)| !list.is_empty()).collect();
    html! {
        @if !all.is_empty() {
            h3 { (t("副本与备份的差异", "How the copies differed from the backups")) }
            table.differences {
                thead { tr { th { (t("应用", "Application")) } th { (t("对象数", "Objects")) } th { (t("差异及原因", "What, and why")) } } }
                tbody {
                    @for (application, list) in &all {
                        @for (why, number) in list {
                            tr { td { (words::name(&application.application)) } td.number { (number) } td { (why) } }
                        }
                    }
                }
            }
        }
    }
}

/// Deviations, and interventions by people.
pub(super) fn deviations(report: &DrillReport, clock: Clock) -> Markup {
    let deviations = path::deviations(report);
    let of_steps = report.actions.iter().any(|action| action.step.is_some());
    section(
        &t("七、偏差与人工操作", "7. Deviations and what people did"),
        html! {
            @if deviations.is_empty() { p { (t("全部步骤一次完成。", "Every step was done at its first attempt.")) } } @else {
                table.deviations {
                    thead { tr { th { (t("步骤", "Step")) } th { (t("结果", "Outcome")) } th { (t("次数", "Attempts")) } th { (t("最近一次情况", "What happened last")) } } }
                    tbody {
                        @for step in &deviations {
                            tr {
                                td { (words::step(&step.id)) br; small { (words::step_id(&step.id)) } }
                                td { span.outcome.(grade(step.outcome)) { (words::outcome(step.outcome)) } }
                                td.number { (step.attempts) }
                                td { (told(step.message.as_deref().unwrap_or("–"))) }
                            }
                        }
                    }
                }
            }
            @if report.actions.is_empty() { p { (t("无人工操作。", "No person intervened.")) } } @else {
                table.actions {
                    thead { tr { th { (t("时间", "Time")) } th { (t("操作人", "Who")) } th { (t("操作", "Action")) } @if of_steps { th { (t("步骤", "Step")) } } th { (t("理由或答复", "Reason or answer")) } } }
                    tbody {
                        @for action in &report.actions {
                            tr {
                                td.time { (clock.of_day(action.time)) }
                                td { (shown(&action.by)) }
                                td { (words::action(action.action)) @if action.refused.is_some() { br; span.outcome.bad { (t("无效", "no effect")) } } }
                                @if of_steps { td { @match &action.step { Some(step) => small { (words::step_id(step)) }, None => "–" } } }
                                td {
                                    (shown(action.answer.as_deref().or(action.reason.as_deref()).unwrap_or("–")))
                                    @if let (Some(_), Some(reason)) = (&action.answer, &action.reason) { br; (shown(reason)) }
                                    @if let Some(refused) = &action.refused { br; small { (told(refused)) } }
                                }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// Clean-up of the copy.
pub(super) fn clean_up(report: &DrillReport) -> Markup {
    let clean_up = &report.clean_up;
    section(
        &t("八、清理", "8. Clean-up"),
        html! {
            @if clean_up.complete { p { (t("演练所建的一切均已移除。", "Everything that the drill made has been removed.")) } }
            @else { p.failure { (t("演练所建的内容未能全部移除，须人工处理：", "Not everything that the drill made could be removed; a person must see to it:")) } ul { @for left in &clean_up.left { li { (told(left)) } } } }
            @if !clean_up.removed.is_empty() { p { (t("已移除：", "Removed: ")) (words::listed(&clean_up.removed)) } }
            @if !clean_up.evidence.is_empty() { p { (t("依据：", "Evidence: ")) (told(&clean_up.evidence)) } }
        },
    )
}

/// Digests and versions for verifying the report.
pub(super) fn proof(report: &DrillReport, clock: Clock, digest: Option<&str>) -> Markup {
    section(
        &t("九、版本与核验", "9. Versions and verification"),
        html! {
            dl.facts {
                @for version in &report.versions { dt { (shown(&version.name)) } dd { code { (shown(&version.version)) } } }
                dt { (t("步骤清单摘要", "Digest of the steps")) } dd { code.long { (shown(&report.plan_digest)) } }
                @if let Some(journal) = &report.journal { dt { (t("运行记录位置", "Journal")) } dd { code.long { (shown(journal)) } } }
                @if let Some(digest) = digest { dt { (t("本报告数据摘要", "Digest of this report's data")) } dd { code.long { (digest) } } }
                dt { (t("报告生成时间", "Report made")) } dd { (clock.full(report.generated_time)) " " small { (clock.name()) } }
            }
        },
    )
}

/// Lines for findings and names, filled in by hand.
pub(super) fn signatures(report: &DrillReport) -> Markup {
    let open = path::deviations(report).len();
    let lines = open.clamp(3, 6);
    section(
        &t("十、整改与签字", "10. Follow-up and sign-off"),
        html! {
            table.blank {
                thead { tr { th { (t("发现的问题", "Finding")) } th { (t("责任人", "Owner")) } th { (t("期限", "Due")) } th { (t("状态", "Status")) } } }
                tbody { @for _ in 0..lines { tr { td {} td {} td {} td {} } } }
            }
            div.signatures {
                @for who in [t("演练负责人", "Drill leader"), t("业务部门代表", "For the departments"), t("审批领导", "Approved by"), t("审计", "Auditor")] {
                    div { span.line {} span.who { (who) } span.when { (t("签字 / 日期", "signature, date")) } }
                }
            }
        },
    )
}

/// Every step, with figures.
pub(super) fn steps(report: &DrillReport, clock: Clock) -> Markup {
    let planned = report.steps.iter().any(|step| step.planned.is_some());
    section(
        &t("附录：步骤明细", "Appendix: every step"),
        html! {
            table.steps {
                thead { tr { th { (t("步骤", "Step")) } @if planned { th { (t("计划", "Planned")) } } th { (t("开始", "Started")) } th { (t("用时", "Took")) } th { (t("次数", "Tries")) } th { (t("结果", "Outcome")) } th { (t("证据", "Evidence")) } } }
                tbody {
                    @for step in &report.steps {
                        tr {
                            td { (words::step_id(&step.id)) }
                            @if planned { td.time { (took_or(step.planned.map(|span| span.end.saturating_sub(span.start)), same("–"))) } }
                            td.time { @match step.started { Some(started) => (clock.of_day(started)), None => "–" } }
                            td.time { (took_or(step.started.zip(step.ended).map(|(started, ended)| ended.duration_since(started)), same("–"))) }
                            td.number { (step.attempts) }
                            td { span.outcome.(grade(step.outcome)) { (words::outcome(step.outcome)) } }
                            td { @let facts = step.evidence.as_ref().map(|evidence| facts(evidence, clock)).unwrap_or_default(); @if facts.is_empty() { "–" } @for fact in &facts { div.fact { (fact) } } }
                        }
                    }
                }
            }
        },
    )
}

fn grade(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Done => "good",
        StepOutcome::Failed | StepOutcome::Cancelled => "bad",
        StepOutcome::Skipped | StepOutcome::Open => "doubt",
        StepOutcome::NotReached | StepOutcome::NotRun | StepOutcome::Undone => "none",
    }
}
