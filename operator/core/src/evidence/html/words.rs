//! Every word of the page, in both languages, and how values are written.

use crate::conditions::misleads;
use jiff::{
    SignedDuration, Timestamp,
    tz::{Offset, TimeZone},
};
use maud::{Markup, Render, html};
use p861_crds::{
    Reason,
    common::ActionKind,
    protection::backup::VerificationLevel,
    recovery::{
        drill::{DrillResult, DrillType, RpoProof},
        plan::PredictionBasis,
    },
};

use super::super::report::{CheckOutcome, DrillReport, Named, StepOutcome};
use crate::{
    engine::Evidence,
    runs::{Part, StepKey},
    told::in_chinese,
};

/// A text in both languages; the page shows one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub zh: String,
    pub en: String,
}

/// Both languages of a text.
pub(super) fn t(zh: impl Into<String>, en: impl Into<String>) -> Words {
    Words { zh: zh.into(), en: en.into() }
}

/// A text that is the same in both languages.
pub(super) fn same(text: impl Into<String>) -> Words {
    let text = text.into();
    Words { zh: text.clone(), en: text }
}

impl Render for Words {
    fn render(&self) -> Markup {
        if self.zh == self.en {
            return html! { (shown(&self.zh)) };
        }
        html! { span lang="zh" { (shown(&self.zh)) } span lang="en" { (shown(&self.en)) } }
    }
}

/// A text as it is shown: characters that would hide or reorder others are made visible, since a report must not look different from what it says.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if misleads(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// What the operator has said, or a check has seen.
pub(super) fn told(message: &str) -> Words {
    t(in_chinese(message), message)
}

/// Names, or what the operator has said in a list.
pub(super) fn listed(all: &[String]) -> Words {
    let chinese: Vec<String> = all.iter().map(|one| in_chinese(one)).collect();
    t(chinese.join("、"), all.join(", "))
}

/// The text of a reason; the reason itself if this version doesn't know it.
pub(super) fn reason(reason: &Reason) -> Words {
    crate::told::reason(reason).map_or_else(|| same(reason.as_str()), |word| t(word.zh, word.en))
}

/// Names for people, or the name itself.
pub(super) fn name(named: &Named) -> Words {
    match &named.names {
        Some(names) => t(names.in_language("zh"), names.in_language("en")),
        None => same(&named.name),
    }
}

/// A duration for people. Nothing took less than no time, whatever the clocks say.
pub(super) fn took(duration: SignedDuration) -> Words {
    let crate::shown::Shown { zh, en } = crate::shown::measured(duration.max(SignedDuration::ZERO));
    t(zh, en)
}

/// A duration that may not have been measured.
pub(super) fn took_or(duration: Option<SignedDuration>, otherwise: Words) -> Words {
    duration.map_or(otherwise, took)
}

/// Writes times of one report in its own offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    offset: Offset,
}

impl Clock {
    /// East of UTC by so many minutes; UTC if that is no offset there can be.
    pub fn east(minutes: i32) -> Self {
        Self { offset: minutes.checked_mul(60).and_then(|seconds| Offset::from_seconds(seconds).ok()).unwrap_or(Offset::UTC) }
    }

    fn zone(self) -> TimeZone {
        TimeZone::fixed(self.offset)
    }

    /// `2026-11-15 09:00:02`.
    pub fn full(self, time: Timestamp) -> String {
        crate::shown::second(time, &self.zone())
    }

    /// `09:00:02`.
    pub fn of_day(self, time: Timestamp) -> String {
        crate::shown::second_of_day(time, &self.zone())
    }

    /// `2026-11-15`.
    pub fn date(self, time: Timestamp) -> String {
        crate::shown::day(time, &self.zone())
    }

    /// `+08:00`.
    pub fn name(self) -> String {
        crate::shown::offset(Timestamp::UNIX_EPOCH, &self.zone())
    }
}

pub(super) fn result(result: DrillResult) -> Words {
    match result {
        DrillResult::Passed => t("通过", "Passed"),
        DrillResult::Failed => t("未通过", "Failed"),
        DrillResult::Incomplete => t("未完成", "Incomplete"),
    }
}

pub(super) fn drill_type(kind: DrillType) -> Words {
    match kind {
        DrillType::Tabletop => t("桌面演练", "Tabletop"),
        DrillType::Isolated => t("隔离演练", "Isolated"),
        DrillType::Live => t("实战演练", "Live"),
    }
}

pub(super) fn proof(proof: Option<RpoProof>) -> Words {
    match proof {
        Some(RpoProof::Marker) => t("数据标记证实", "proven by marker in the data"),
        Some(RpoProof::Assumed) => t("按备份时间推定", "assumed from the backup's time"),
        None => t("无", "none"),
    }
}

pub(super) fn level(level: Option<VerificationLevel>) -> Words {
    match level {
        Some(VerificationLevel::Stored) => t("已存储", "Stored"),
        Some(VerificationLevel::Restored) => t("已恢复", "Restored"),
        Some(VerificationLevel::Probed) => t("已恢复并检查", "Probed"),
        None => t("未验证", "not verified"),
    }
}

pub(super) fn basis(basis: PredictionBasis, samples: i32) -> Words {
    match basis {
        PredictionBasis::Drills => t(format!("依据 {samples} 次演练"), if samples == 1 { "from 1 drill".into() } else { format!("from {samples} drills") }),
        PredictionBasis::Estimate => t("依据数据量与时限估算", "estimated from sizes and deadlines"),
    }
}

pub(super) fn check(outcome: CheckOutcome) -> Words {
    match outcome {
        CheckOutcome::Passed => t("通过", "passed"),
        CheckOutcome::Failed => t("未通过", "failed"),
        CheckOutcome::NotRun => t("未执行", "not run"),
    }
}

pub(super) fn outcome(outcome: StepOutcome) -> Words {
    match outcome {
        StepOutcome::Done => t("完成", "done"),
        StepOutcome::Failed => t("失败", "failed"),
        StepOutcome::Cancelled => t("中止", "stopped"),
        StepOutcome::Skipped => t("人工跳过", "skipped by a person"),
        StepOutcome::NotReached => t("前序未完成", "not reached"),
        StepOutcome::NotRun => t("未执行", "not run"),
        StepOutcome::Undone => t("已撤销", "undone"),
        StepOutcome::Open => t("未结束", "not ended"),
    }
}

pub(super) fn action(action: ActionKind) -> Words {
    match action {
        ActionKind::Pause => t("暂停", "Pause"),
        ActionKind::Resume => t("继续", "Resume"),
        ActionKind::Abort => t("中止", "Abort"),
        ActionKind::Retry => t("重试", "Retry"),
        ActionKind::Skip => t("跳过", "Skip"),
        ActionKind::Answer => t("答复", "Answer"),
        ActionKind::Extend => t("延长", "Extend"),
        ActionKind::CleanUp => t("清理", "Clean up"),
        ActionKind::Forget => t("删除", "Forget"),
    }
}

/// A participant's part; parts that are not known stand as they were written.
pub(super) fn role(role: &str) -> Words {
    match role {
        "Commander" => t("指挥", "Commander"),
        "Observer" => t("观察", "Observer"),
        "Operator" => t("操作", "Operator"),
        "Approver" => t("审批", "Approver"),
        "Recorder" => t("记录", "Recorder"),
        other => same(other),
    }
}

/// A step's id, which may be broken behind each of its parts.
pub(super) fn step_id(id: &str) -> Markup {
    html! { code { @for part in id.split_inclusive('/') { (shown(part)) @if part.ends_with('/') { wbr; } } } }
}

/// Description of a step for people, without the application, which is the heading above.
pub(super) fn step(id: &str) -> Words {
    let Ok(key) = id.parse() else { return same(id) };
    match key {
        StepKey::Preflight => t("预检", "preflight"),
        StepKey::Isolate => t("建立隔离环境", "make the isolated environment"),
        StepKey::ProveIsolation => t("验证隔离", "prove the isolation"),
        StepKey::Prepare => t("建立命名空间", "make the namespaces"),
        StepKey::Hold => t("保留副本", "hold the copy"),
        StepKey::CleanUp => t("清理", "clean up"),
        StepKey::Forget => t("删除快照", "forget snapshots"),
        StepKey::Prune => t("回收备份库空间", "prune the repository"),
        StepKey::Snapshot { .. } => t("创建卷快照", "take volume snapshots"),
        StepKey::RemoveSnapshots { .. } => t("移除卷快照", "remove volume snapshots"),
        StepKey::Verify { .. } => t("验证备份", "verify the backup"),
        StepKey::Restore { part: Part::Objects, .. } => t("恢复对象", "restore objects"),
        StepKey::Restore { part: Part::ObjectsAgain, .. } => t("再次恢复被拒的对象", "restore the refused objects again"),
        StepKey::Restore { part: Part::Volume(claim), .. } => t(format!("恢复卷 {claim}"), format!("restore volume {claim}")),
        StepKey::Restore { part: Part::Stream(stream), .. } => t(format!("恢复数据流 {stream}"), format!("restore stream {stream}")),
        StepKey::Compare { volume: None, .. } => t("比对现有对象", "compare with what is there"),
        StepKey::Compare { volume: Some(claim), .. } => t(format!("比对卷 {claim}"), format!("compare with volume {claim}")),
        StepKey::Stop { .. } => t("停止工作负载", "stop the workloads"),
        StepKey::Start { tier: None, .. } => t("启动其余工作负载", "start the rest"),
        StepKey::Start { tier: Some(tier), .. } => t(format!("启动 {tier}"), format!("start {tier}")),
        StepKey::Marker { .. } => t("读取数据标记", "read the marker"),
        StepKey::Check { check, .. } => t(format!("检查 {check}"), format!("check {check}")),
        _ => same(id),
    }
}

/// What was proven of the isolation; none if nothing was tried.
pub(super) fn isolation(report: &DrillReport) -> Option<Words> {
    let step = report.steps.iter().find(|step| step.id.parse() == Ok(StepKey::ProveIsolation))?;
    let Evidence::IsolationProbed { nodes, refused, silent, reached, resolver: _ } = step.evidence.as_ref()? else { return None };
    let nodes = listed(nodes);
    if !reached.is_empty() {
        let reached = listed(reached);
        return Some(t(
            format!("未通过：副本中的 Pod（节点 {}）可以访问 {}", nodes.zh, reached.zh),
            format!("Not closed: a pod of the copy (on {}) reached {}", nodes.en, reached.en),
        ));
    }
    let (refused, silent) = (listed(refused), listed(silent));
    let said = |words: &str, all: &str| if all.is_empty() { String::new() } else { format!("{words}{all}") };
    let (more_zh, more_en) = (said("；均无应答，不作依据：", &silent.zh), said("; answered neither and proves nothing: ", &silent.en));
    Some(t(
        format!("副本中的 Pod（节点 {}）无法访问、而同处不受限的 Pod 可以访问：{}{more_zh}", nodes.zh, refused.zh),
        format!("Pods of the copy (on {}) did not reach, and a free pod beside them did: {}{more_en}", nodes.en, refused.en),
    ))
}

/// The application that a step is about, if it is about one.
pub(super) fn application_of(id: &str) -> Option<String> {
    id.parse::<StepKey>().ok()?.application().map(str::to_owned)
}
