//! Reasons that every kind of run can meet.

use super::{Explained, act, good, wait};
use p861_crds::Reason;

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::Aborted => act(
            "有人提前结束了该任务。",
            "Nothing, if that was meant. The message says who wanted it and what the run has left; begin another when the cause is gone.",
            "若是有意为之，则无需处理。消息说明了由谁提出以及残留的内容；原因消除后可重新开始。",
        ),
        Reason::AnsweredNo => act(
            "有人对步骤的提问答复了“否”。",
            "Nothing, if that was meant. Otherwise begin another run.",
            "若是有意为之，则无需处理；否则请重新开始一个任务。",
        ),
        Reason::ApplicationBusy => wait("另有任务正在使用该应用。").run(&["p861 backup list APPLICATION", "p861 restore list", "p861 drill list"]),
        Reason::CommandFailed => act(
            "容器中的命令执行失败。",
            "The message has the command's output. Mend the hook, the dump or the restore command in the Application, or what it needs in the pod.",
            "消息中有命令的输出。请更正应用中的钩子、导出命令或导入命令，或补上它在 Pod 中所需的内容。",
        )
        .run(&["p861 app status APPLICATION", "kubectl --context SITE get pods -n NAMESPACE"])
        .pages(&["P861BackupFailed"]),
        Reason::DeadlineExceeded => act(
            "用时超出期限。",
            "The message says what was not done in time. See what it waited for, or allow more in spec.deadline of the run.",
            "消息说明了哪项内容未按时完成。请查明它在等待什么，或放宽任务的 spec.deadline。",
        )
        .run(&["kubectl get events -n DISTRICT --field-selector type=Warning"])
        .pages(&["P861BackupFailed", "P861RunFailed"]),
        Reason::EvidenceUnreadable => act(
            "本版本无法读取某一步骤的证据。",
            "A step was done by another release of the operator, or the step that must prove it was skipped. Begin another run.",
            "该步骤由另一版本的 operator 执行，或应给出证据的步骤被跳过。请重新开始一个任务。",
        ),
        Reason::JournalBusy => wait("运行记录在读取期间不断变化。"),
        Reason::JournalDamaged => act(
            "运行记录无法读取。",
            "Put back what the message names, from a copy of the bucket or of the ConfigMap; or go on with the release of the operator that began the run. It goes no further until then.",
            "请从存储桶或 ConfigMap 的拷贝中放回消息中指出的内容，或用开始该任务的 operator 版本继续。在此之前任务不会继续。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        Reason::JournalFull => act(
            "运行记录已达到最大容量。",
            "Select fewer volumes or objects, or split the application.",
            "请减少所选的卷或对象，或拆分应用。",
        ),
        Reason::JournalKeyLost => act(
            "为运行记录加封印的密钥与任务开始时的不同。",
            "Put back the Secret p861-journals that was in the operator's namespace when the run began.",
            "请放回任务开始时 operator 命名空间中的 Secret p861-journals。",
        )
        .run(&["kubectl -n p861-system get secret p861-journals"]),
        Reason::JournalMissing => act(
            "运行记录已不存在，无法得知任务做过什么。",
            "The run goes no further. Look at what it touches, mend that by hand, and delete the run's object. Find out who removed the journal from the bucket.",
            "任务不会继续。请检查它涉及的对象并手动修复，然后删除该任务的对象，并查明谁从存储桶中删除了运行记录。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        Reason::JournalTampered => act(
            "运行记录被 operator 以外的人改动。",
            "The run stopped at once, and nothing was undone or cleaned up: remove by hand what it has made. Find out who can write in the bucket, and exchange its credentials.",
            "任务已立即停止，未撤销也未清理：请手动移除它创建的内容。请查明谁能写入存储桶，并更换其凭据。",
        )
        .run(&["kubectl --context SITE get namespaces -l platform861.io/drill"])
        .pages(&["P861DrillFailed"]),
        Reason::LimitReached => wait("同时进行的任务已达上限。").run(&["p861 backup list", "p861 restore list", "p861 drill list"]),
        Reason::NamespaceBusy => wait("另有任务正在使用该命名空间。").run(&["p861 restore list", "p861 drill list"]),
        Reason::NotAnswered => act(
            "没有人按时答复。",
            "Retry the step to be asked again, while the run goes on; or begin another.",
            "任务仍在进行时，请重试该步骤以再次提问；否则请重新开始一个任务。",
        )
        .run(&["p861 drill retry DRILL"]),
        Reason::OutOfScope => act(
            "该操作超出任务所属的区。",
            "Nothing was done. Correct the object that names what is not the district's; if none does, report it with the operator's log.",
            "未做任何操作。请更正引用了区外内容的对象；若没有这样的对象，请附上 operator 的日志上报。",
        )
        .run(&["kubectl -n p861-system logs -l app.kubernetes.io/component=operator --tail=500 --prefix"]),
        Reason::PlanBusy => act(
            "另有任务正在使用该预案或其站点。",
            "A run that waits begins by itself. A drill that was refused because a change is under way is run anew once the change has ended.",
            "等待中的任务会自动开始。若因变更正在进行而被拒绝，请在变更结束后重新演练。",
        )
        .run(&["p861 drill list", "p861 ticket list"]),
        Reason::PlanChanged => act(
            "步骤与批准时不同。",
            "Nothing was done. Reopen the ticket, look at what it does now, and have that approved.",
            "未做任何操作。请重新打开工单，核对现在的方案，再请人批准。",
        )
        .run(&["p861 ticket show TICKET", "p861 ticket reopen TICKET", "p861 ticket approve TICKET"]),
        Reason::RepositoryBusy => wait("另有任务正在使用该备份库。").run(&["p861 backup list", "p861 restore list"]),
        Reason::RunFinished => act(
            "任务已结束。",
            "Nothing, of an Event of type Normal. One of type Warning says why the run was refused before it began.",
            "Kubernetes 普通事件（Normal）无需处理。警告事件（Warning）说明了任务在开始前被拒绝的原因。",
        )
        .run(&["kubectl get events -n DISTRICT --field-selector reason=RunFinished"]),
        Reason::Running => good("任务正在进行。"),
        Reason::RunStarted => good("任务已开始。"),
        Reason::SiteBusy => wait("另有任务正在使用该站点。").run(&["p861 drill list", "p861 ticket list"]),
        Reason::Skipped => good("有人跳过了该步骤，该步骤已停止。"),
        Reason::StepFailed => act(
            "有一个步骤失败。",
            "The message has the step and why. While the run goes on, the step is tried again, or waits for a person who retries or skips it.",
            "消息中有步骤及原因。任务进行中会自动重试，或等待人工重试或跳过。",
        )
        .run(&["p861 drill show DRILL", "p861 drill retry DRILL", "p861 ticket show TICKET"])
        .pages(&["P861BackupFailed", "P861RunFailed"]),
        Reason::StepSkipped => act(
            "有一个步骤被跳过。",
            "The message has the step, and what it leaves undone. See to that by hand, or begin another run.",
            "消息中有步骤及其未完成的内容。请手动处理，或重新开始一个任务。",
        )
        .run(&["p861 drill show DRILL", "p861 restore show RESTORE"]),
        Reason::Superseded => wait("已由另一任务或另一个 operator 取代。"),
        Reason::WaitingForPerson => act(
            "有步骤在等待人工答复。",
            "Answer its question: yes, or no with --no. A failed step is retried, skipped or aborted.",
            "请答复提问：默认为“是”，--no 为“否”。失败的步骤请重试、跳过或中止。",
        )
        .run(&["p861 drill show DRILL", "p861 drill answer DRILL --yes", "p861 drill retry DRILL"]),
        _ => return None,
    })
}
