//! Reasons of plans and drills.

use super::{Explained, act, good, unset};
use p861_crds::Reason;

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::AlreadyActive => unset("预案已在该站点运行。"),
        Reason::ApplicationInOtherPlan => act(
            "有应用已属于其他预案。",
            "An application is in one plan: take it out of one of the two. The older plan keeps it until then.",
            "一个应用只能属于一个预案：请从其中一个预案中去掉它。在此之前，它归较早建立的预案。",
        )
        .run(&["p861 plan list", "kubectl edit recoveryplan PLAN -n DISTRICT"]),
        Reason::CleanUpFailed => act(
            "清理一再失败，会继续重试。",
            "The message says what stays: most often a finalizer, a pod that does not end, or an API that doesn't answer. Remove that; the clean-up then goes on by itself.",
            "消息说明了残留的内容：通常是 finalizer、无法终止的 Pod 或没有应答的 API。请排除；之后清理会自动继续。",
        )
        .run(&["p861 drill show DRILL", "kubectl --context SITE get namespaces -l platform861.io/drill"])
        .pages(&["P861CleanUpFailed"]),
        Reason::Compiled => good("已由预案生成步骤。"),
        Reason::DrillFailed => act(
            "最近的演练未通过。",
            "The report has the failed step with its evidence. Mend the cause, and drill again.",
            "报告中有失败的步骤及其证据。请排除原因后再次演练。",
        )
        .run(&["p861 drill report DRILL", "p861 drill run PLAN"])
        .pages(&["P861DrillFailed"]),
        Reason::DrillOverdue => act(
            "最近一次演练距今过久。",
            "Drill the plan again: a drill counts for 31 days.",
            "请再次演练：一次演练的有效期为 31 天。",
        )
        .run(&["p861 drill run PLAN"])
        .pages(&["P861DrillOverdue"]),
        Reason::DrillPassed => good("最近的演练通过。"),
        Reason::DrillRunning => act(
            "演练正在进行。",
            "A change waits until no drill uses what it affects. Wait for the drill's end, or abort it.",
            "有演练正在使用所涉应用时，变更须等待。请等待演练结束，或将其中止。",
        )
        .run(&["p861 drill list", "p861 drill abort DRILL --reason TEXT"]),
        Reason::EpochAdvanced => unset("预案的新纪元已写入。"),
        Reason::InUse => act(
            "演练的命名空间正在使用中。",
            "Nothing while the drill runs. A copy that is kept goes when its time is over, or at once by the command below.",
            "演练进行中无需处理。保留的副本到期后自动清理，也可用下面的命令立即清理。",
        )
        .run(&["p861 drill show DRILL", "p861 drill cleanup DRILL"]),
        Reason::IsolationNotEnforced => act(
            "演练副本中的 Pod 能访问到副本之外。",
            "Nothing of the applications was started. Give the site a network plugin that enforces NetworkPolicies, or start its agent on the nodes that the message names; then drill again.",
            "尚未启动任何应用。请为站点安装支持网络策略的网络插件，或在消息中指出的节点上启动其代理，然后再次演练。",
        )
        .run(&["p861 drill show DRILL", "p861 drill run PLAN"])
        .pages(&["P861DrillFailed"]),
        Reason::IsolationUnproven => act(
            "无法确认演练副本是否封闭。",
            "The message says what kept the proof away: pods that can't run, a network in which they don't reach the copy's own DNS, or an allowEgress that allows everything. Mend that, \
             and drill again.",
            "消息说明了无法验证的原因：Pod 无法运行、网络中连不到副本自己的 DNS，或 allowEgress 放行了所有地址。请排除后再次演练。",
        )
        .run(&["p861 drill show DRILL", "p861 drill run PLAN"])
        .pages(&["P861DrillFailed"]),
        Reason::NeverDrilled => act(
            "该预案还没有完成过隔离演练。",
            "Drill it. The live applications are not touched, and backups continue.",
            "请演练该预案。演练不影响现有应用，备份照常进行。",
        )
        .run(&["p861 plan check PLAN", "p861 drill run PLAN"])
        .pages(&["P861DrillOverdue"]),
        Reason::NoPlan => act(
            "没有预案，或变更没有写明方案。",
            "Name the application in a RecoveryPlan. Of a ticket: write how the change is done.",
            "请将应用写入一个预案。若是工单，请写明变更如何实施。",
        )
        .run(&["p861 plan list", "p861 ticket plan TICKET TEXT"]),
        Reason::NothingLeft => good("演练创建的内容已全部清理。"),
        Reason::NothingMade => good("演练没有创建任何内容。"),
        Reason::NotRecoverable => act(
            "该应用不可恢复。",
            "The condition Recoverable of the same application says why: begin there.",
            "同一应用的“可恢复”状态说明了原因：请先处理。",
        )
        .run(&["p861 app status APPLICATION"]),
        Reason::Passed => good("演练通过。"),
        Reason::PlanNotReady => act(
            "预案尚不具备切换的条件。",
            "See which check of the plan fails, and mend that.",
            "请查看预案的哪项检查未通过，并排除原因。",
        )
        .run(&["p861 plan check PLAN"]),
        Reason::PreflightFailed => act(
            "有一项预检未通过。",
            "The message names each check and what it saw. Mend that, and run it again.",
            "消息列出了未通过的检查及其结果。请排除后重新执行。",
        )
        .run(&["p861 plan check PLAN"])
        .pages(&["P861DrillFailed", "P861RunFailed"]),
        Reason::RPOExceeded => act(
            "会丢失的数据超出 RPO 的允许范围。",
            "Back up more often, or agree on another spec.objectives.rpo with the department.",
            "请提高备份频率，或与部门商定新的 spec.objectives.rpo。",
        )
        .run(&["p861 drill report DRILL", "p861 backup list APPLICATION"])
        .pages(&["P861DrillFailed"]),
        Reason::RPOUnproven => unset("RPO 未经数据证明。"),
        Reason::RTOAndRPOExceeded => act(
            "RTO 和 RPO 均超出。",
            "The report shows which steps took the time, and how old the data was. Shorten those, back up more often, or agree on other objectives with the department.",
            "报告列出了耗时的步骤和数据的新旧。请缩短这些步骤的用时、提高备份频率，或与部门商定新的目标。",
        )
        .run(&["p861 drill report DRILL"])
        .pages(&["P861DrillFailed"]),
        Reason::RTOExceeded => act(
            "恢复用时超出 RTO。",
            "The report shows which steps took the time. Shorten those, or agree on another spec.objectives.rto with the department.",
            "报告列出了耗时的步骤。请缩短这些步骤的用时，或与部门商定新的 spec.objectives.rto。",
        )
        .run(&["p861 drill report DRILL"])
        .pages(&["P861DrillFailed"]),
        Reason::SharedFailureDomain => act(
            "主用站点与备用站点处于同一故障域。",
            "Give the district a standby in another failure domain, or correct spec.failureDomain of the Sites.",
            "请为该区指定位于其他故障域的备用站点，或更正站点的 spec.failureDomain。",
        )
        .run(&["p861 site list"]),
        Reason::StandbyUnreachable => unset("备用站点没有应答。"),
        Reason::WithinObjectives => good("每个应用均达到目标。"),
        _ => return None,
    })
}
