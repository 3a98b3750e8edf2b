//! Reasons of windows, tickets, templates and approvals.

use super::{Explained, act, good, wait};
use p861_crds::Reason;

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::AcknowledgeOverdue => act(
            "没有人按时响应工单。",
            "Acknowledge it: that stops the calls. The next level is being called already.",
            "请响应工单，即可停止呼叫。此时已在呼叫下一级。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket ack TICKET"])
        .pages(&["P861TicketOverdue"]),
        Reason::Acknowledged => good("已有人响应该工单。"),
        Reason::ActionRefused => act(
            "有人的操作没有生效。",
            "The message says why, and what is possible instead.",
            "消息说明了原因以及可行的做法。",
        )
        .run(&["p861 ticket show TICKET", "p861 drill show DRILL"]),
        Reason::AlertFiring => act(
            "变更所涉对象有告警。",
            "Mend what fires first: the change can start when the alert that the message names is over.",
            "请先处理告警：消息中指出的告警恢复后，变更才能开始。",
        )
        .run(&["p861 ticket list"]),
        Reason::ApprovalRefused => act(
            "有一条批准不计入。",
            "The Approval's condition Counted says why: look at the change as it is now, and have it approved by another person, or anew.",
            "该批准的“有效”状态说明了原因：请核对变更的现状，由其他人批准或重新批准。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket approve TICKET"]),
        Reason::ApprovalsMissing => act(
            "批准的人数不足。",
            "Somebody else than the one who asks for the change approves it.",
            "请由变更提出人以外的人批准。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket approve TICKET"]),
        Reason::Approved => good("变更已获批准。"),
        Reason::BetweenOccurrences => wait("维护窗口已关闭，等待下一次开放。").run(&["p861 window show WINDOW"]),
        Reason::Cancelled => good("工单已取消。"),
        Reason::Clear => good("变更没有阻碍。"),
        Reason::DigestDiffers => act(
            "方案在批准之后发生了变化。",
            "Look at what the change does now, and approve that.",
            "请核对变更现在的内容，再行批准。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket approve TICKET"]),
        Reason::Done => good("已完成。"),
        Reason::DrainBlocked => act(
            "节点未能按时排空。",
            "The message names the pods that stay. See their disruption budgets: a budget that allows no disruption keeps its pods for ever. Then open the change anew.",
            "消息列出了仍未撤离的 Pod。请检查其中断预算：不允许任何中断的预算会一直阻止驱逐。之后请重新提出变更。",
        )
        .run(&["kubectl --context SITE get poddisruptionbudgets -A", "p861 ticket show TICKET"])
        .pages(&["P861RunFailed"]),
        Reason::EnoughApprovals => good("批准的人数已够。"),
        Reason::Escalated => act(
            "没有人响应工单，已呼叫下一级。",
            "Acknowledge the ticket: that stops the calls.",
            "请响应工单，即可停止呼叫。",
        )
        .run(&["p861 ticket ack TICKET", "p861 duty now"])
        .pages(&["P861TicketOverdue"]),
        Reason::Expired => act(
            "批准已过期。",
            "It was valid for spec.validFor, and nothing was started in that time: approve again.",
            "批准在 spec.validFor 内有效，其间没有开始作业：请重新批准。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket approve TICKET"]),
        Reason::Finished => good("工单已结束。"),
        Reason::FreezeStarted => good("变更冻结从现在起生效。"),
        Reason::Frozen => act(
            "正处于变更冻结期。",
            "No change starts until the freeze ends, also an emergency. If it must, whoever declared the freeze ends it in its MaintenanceWindow.",
            "冻结结束前任何变更都不会开始，紧急变更也不例外。确有必要时，请冻结的声明人在维护窗口中结束冻结。",
        )
        .run(&["p861 window list"]),
        Reason::IncidentClosed => good("事件已关闭：其告警均已恢复。"),
        Reason::IncidentOpened => act(
            "已新建事件。",
            "Acknowledge it, and look at what it is about.",
            "请响应该事件，并查看情况。",
        )
        .run(&["p861 ticket list", "p861 ticket ack TICKET"]),
        Reason::IncidentReopened => act(
            "导致该事件的告警在事件关闭后再次触发。",
            "The incident is as it was before it closed: go on with it.",
            "事件恢复为关闭前的状态：请继续处理。",
        )
        .run(&["p861 ticket show TICKET"]),
        Reason::InProgress => good("工单正在处理。"),
        Reason::InTime => good("工单的各项时限均未超出。"),
        Reason::Nameless => act(
            "批准、模板或变更没有署名。",
            "The admission policies that write the names are not in force: upgrade the chart p861 on the hub. Then delete the object and create it anew.",
            "负责署名的准入策略没有生效：请升级管理中心的 p861 chart，然后删除该对象并重新创建。",
        )
        .run(&["kubectl get validatingadmissionpolicies"]),
        Reason::NodeBusy => act(
            "节点正由另一工单占用。",
            "Wait until the ticket that the message names has ended, and open the change anew.",
            "请等待消息中指出的工单结束，再重新提出变更。",
        )
        .run(&["p861 ticket show TICKET"]),
        Reason::NodeMissing => act(
            "节点不存在。",
            "Correct the node's name, and open the change anew.",
            "请更正节点名称，再重新提出变更。",
        )
        .run(&["kubectl --context SITE get nodes"]),
        Reason::NodeShared => act(
            "另一个区也使用该节点。",
            "A district drains only nodes on which nobody else's pods run. Have the city open the change.",
            "区只能排空没有其他区的 Pod 的节点。请由市级管理员提出变更。",
        )
        .run(&["kubectl --context SITE get pods -A --field-selector spec.nodeName=NODE"]),
        Reason::NotCompiled => act(
            "无法生成变更的步骤。",
            "The message says what is wrong or missing. Mend that, or open the change anew.",
            "消息说明了有误或缺少的内容。请排除，或重新提出变更。",
        )
        .run(&["p861 ticket show TICKET"]),
        Reason::NotReproducible => good("事件未能重现。"),
        Reason::Open => good("维护窗口开放，或工单未结束。"),
        Reason::OutsideTemplate => act(
            "变更超出了模板的范围。",
            "The message has each difference. Open the change as the template permits it, or have it approved as a Normal change.",
            "消息列出了每处差异。请按模板允许的方式重新提出，或按一般变更请人批准。",
        )
        .run(&["p861 template show TEMPLATE", "p861 ticket approve TICKET"]),
        Reason::OutsideWindow => act(
            "变更不在维护窗口内。",
            "What the operator does starts by itself when a window opens that is long enough; manual work, a person starts then. If there is no such window, declare one or shorten the work.",
            "有足够长的维护窗口开放时，由 operator 执行的作业会自动开始，人工作业须由人开始。若没有这样的窗口，请声明一个或缩短作业。",
        )
        .run(&["p861 window list", "p861 ticket show TICKET"]),
        Reason::Planned => act(
            "变更已有方案。",
            "It waits for approval.",
            "等待批准。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket approve TICKET"]),
        Reason::PodHasLocalData => act(
            "节点上有 Pod 含有 emptyDir 数据，排空会将其删除。",
            "Move the data away, or open the change anew with the option that agrees to its loss.",
            "请先移走数据，或在重新提出变更时用选项同意其丢失。",
        )
        .run(&["p861 ticket open TITLE --change Normal --drain SITE/NODE --delete-emptydir-data"]),
        Reason::PodUnmanaged => act(
            "节点上有 Pod 没有控制器，不会在别处重新启动。",
            "Move what runs in the pod, or open the change anew with the option that agrees to its end.",
            "请先迁移该 Pod 中的程序，或在重新提出变更时用选项同意其终止。",
        )
        .run(&["p861 ticket open TITLE --change Normal --drain SITE/NODE --force"]),
        Reason::PreApproved => good("变更在预先批准的模板范围之内。"),
        Reason::PreCheckFailed => act(
            "变更所涉及的应用在变更前就不健康。",
            "Mend the application first: the change can start once it is healthy.",
            "请先修复应用：恢复健康后变更才能开始。",
        )
        .run(&["p861 app status APPLICATION"]),
        Reason::PriorityRaised => act(
            "有更严重的告警并入该事件。",
            "The incident has a higher priority now, with shorter deadlines: look at it again.",
            "该事件的优先级已提高，时限随之缩短：请再次查看。",
        )
        .run(&["p861 ticket show TICKET"]),
        Reason::Rejected => act(
            "有人否决了该变更。",
            "One no outweighs every yes. The ticket says who and why; the rejection holds until the plan is another, or its Approval is deleted.",
            "一票即可否决。工单中写有否决人和原因；在更改方案或删除其 Approval 对象之前，否决一直有效。",
        )
        .run(&["p861 ticket show TICKET", "kubectl get approvals -n DISTRICT"]),
        Reason::ReportOverdue => act(
            "没有人按时上报事件。",
            "Report the incident to the authority, then record that.",
            "请上报事件，然后记录。",
        )
        .run(&["p861 ticket note TICKET TEXT --reported"])
        .pages(&["P861TicketOverdue"]),
        Reason::RequesterCannotApprove => act(
            "变更的提出人不能批准它。",
            "Somebody else approves: neither who asks for the change nor who wrote a part of its plan, nor who published its template may.",
            "请由其他人批准：变更的提出人、方案的编写人、所用模板的发布人均不可。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket approve TICKET"]),
        Reason::ResolveOverdue => act(
            "没有按时解决工单。",
            "Assign it to somebody who has time, or suspend it with a reason if nothing can be done now.",
            "请指派给有空的人；若暂时无法处理，请说明原因并挂起。",
        )
        .run(&["p861 ticket assign TICKET PERSON", "p861 ticket suspend TICKET --reason TEXT"])
        .pages(&["P861TicketOverdue"]),
        Reason::RolledBack => act(
            "变更已回退。",
            "The ticket says how far the work got and why it was taken back. Mend that, and open another change.",
            "工单记录了进行到哪一步及回退的原因。请排除后提出新的变更。",
        )
        .run(&["p861 ticket show TICKET"])
        .pages(&["P861RunFailed"]),
        Reason::SamePerson => good("同一人之后已有新的意见，以新的为准。"),
        Reason::Scheduled => good("变更等待其维护窗口。"),
        Reason::SubjectGone => act(
            "批准所针对的对象已不存在。",
            "Delete the Approval. If the object was made anew, look at it and approve that.",
            "请删除该批准。若对象已重新创建，请核对后重新批准。",
        )
        .run(&["kubectl delete approval NAME -n DISTRICT"]),
        Reason::Suspended => act(
            "工单或备份策略已挂起。",
            "A ticket's Resolve deadline stands still: continue it when something can be done again. A policy takes no backups until the end that it states, or until its state is Active.",
            "工单的解决计时已暂停：条件具备时，请继续处理。备份策略在所述期限之前、或恢复启用之前不做备份。",
        )
        .run(&["p861 ticket resume TICKET", "p861 policy show POLICY"]),
        Reason::TemplateChanged => act(
            "变更模板与提出变更时不同。",
            "Look at the template as it is now, and open the change anew; or have this one approved as a Normal change.",
            "请核对模板现在的内容并重新提出变更，或将本变更按一般变更请人批准。",
        )
        .run(&["p861 template show TEMPLATE", "p861 ticket open --template TEMPLATE"]),
        Reason::TemplateMissing => act(
            "变更所用的模板不存在。",
            "Open the change with a template that exists, or have this one approved as a Normal change.",
            "请用存在的模板重新提出变更，或将本变更按一般变更请人批准。",
        )
        .run(&["p861 template list", "p861 ticket approve TICKET"]),
        Reason::TemplateNotReady => act(
            "变更所用的模板无法使用。",
            "The template's own condition says what is wrong with it. Have that corrected, or have this change approved as a Normal one.",
            "模板自身的状态说明了问题。请更正模板，或将本变更按一般变更请人批准。",
        )
        .run(&["p861 template show TEMPLATE", "p861 ticket approve TICKET"]),
        Reason::TooLate => good("批准在作业开始之后才给出，因此不计入。"),
        Reason::Verifying => act(
            "作业已完成，正在验证。",
            "Of a manual change: see whether it was good, and resolve it; start it again if not. The others go on by themselves.",
            "若是人工作业，请核对结果：良好则解决，否则重新开始。其他变更会自动继续。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket resolve TICKET"]),
        Reason::WindowOpened => good("维护窗口已开放。"),
        Reason::WorkBegan => good("变更的作业已开始。"),
        Reason::WorkDone => good("变更的作业已完成。"),
        Reason::WorkRolledBack => act(
            "变更的作业已回退。",
            "The message has the reason. Mend that, and open another change.",
            "消息中有原因。请排除后提出新的变更。",
        )
        .run(&["p861 ticket show TICKET"])
        .pages(&["P861RunFailed"]),
        _ => return None,
    })
}
