//! Reasons of backups and restores.

use super::{Explained, act, good, unset, wait};
use p861_crds::Reason;

/// Where the pods of movers are seen.
const MOVERS: &str = "kubectl --context SITE get pods --all-namespaces -l platform861.io/role=mover";

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::BackedUp => good("最近的备份足够新。"),
        Reason::BackupFailed => act(
            "变更前的备份未成功。",
            "Nothing was changed. Mend the cause, which the Backup's own condition gives, and open the change anew.",
            "尚未做任何改动。备份自身的状态说明了原因：请排除后重新提出变更。",
        )
        .run(&["p861 backup show BACKUP"])
        .pages(&["P861BackupFailed"]),
        Reason::BackupMissed => act(
            "备份未在策略规定的时刻开始，此后也未及时开始。",
            "See what it waits for: a backup before it that has not ended, an application or a repository that is not Ready. Mend that: the newest is then made up for by itself.",
            "查看它在等待什么：前一次备份尚未结束、应用或备份库未就绪。排除后会自动补做最近的一次。",
        )
        .run(&["p861 policy show POLICY", "p861 backup list APPLICATION"])
        .pages(&["P861BackupMissed"]),
        Reason::BackupOverdue => act(
            "最近的备份早于 RPO 所允许的时间。",
            "Take a backup now. Then see why its policy has brought none in time: its backups may fail, wait, take too long, or be too rare.",
            "请立即备份，再查看备份策略为何未按时备份：备份可能失败、在等待、耗时过长或间隔过大。",
        )
        .run(&["p861 backup now APPLICATION", "p861 backup list APPLICATION", "p861 backup calendar"])
        .pages(&["P861BackupOverdue"]),
        Reason::BackupRunning => wait("备份正在进行。").run(&["p861 backup list APPLICATION"]),
        Reason::BackupTooOld => unset("最近的备份过旧。"),
        Reason::ClaimMissing => act(
            "存储卷声明不存在。",
            "Correct spec.volumes of the Application, or create the claim on the site.",
            "请更正应用的 spec.volumes，或在站点上创建该存储卷声明。",
        )
        .run(&["kubectl --context SITE get persistentvolumeclaims -n NAMESPACE"]),
        Reason::ClaimInUse => act(
            "要整卷恢复的存储卷声明仍被 Pod 使用。",
            "Stop what runs the pods that the message names, and restore again: they would write beside the restore.",
            "请停止消息中指出的 Pod，然后重新恢复：否则它们会与恢复同时写入。",
        )
        .run(&["kubectl --context SITE get pods -n NAMESPACE", "p861 restore run BACKUP"])
        .pages(&["P861RunFailed", "P861RunStuck"]),
        Reason::ClaimNotReadable => act(
            "存储卷声明无法按文件读取。",
            "The message says why: a block device, ReadWriteOncePod in use, a volume that can't be made, being deleted, or a node that is not Ready. Mend that and back up again, or leave the claim \
             out with method Skip in spec.volumes.",
            "消息说明了原因：块设备、ReadWriteOncePod 且正在使用、卷无法创建、正在删除，或节点未就绪。请排除后重新备份，或在 spec.volumes 中以 Skip 排除它。",
        )
        .run(&["p861 backup show BACKUP", "p861 backup now APPLICATION"])
        .pages(&["P861BackupFailed"]),
        Reason::ClaimUnused => act(
            "存储卷声明从未有过卷，因为没有 Pod 挂载过它：没有可保存的数据。",
            "Nothing need be done: the claim itself is saved, and its files are from the first backup after a pod has mounted it.",
            "无需处理：声明本身已保存；有 Pod 挂载之后的首次备份起，会保存其文件。",
        )
        .run(&["p861 backup show BACKUP"]),
        Reason::ClusterResourceMissing => act(
            "应用所指的集群级对象不存在。",
            "Create the object on the site, or take it out of spec.clusterResources of the Application; then back up again. A restore that names this backup brings the rest back.",
            "请在站点上创建该对象，或将其从应用的 spec.clusterResources 中去掉，然后重新备份。指名使用本备份的恢复，仍可恢复其余内容。",
        )
        .run(&["p861 backup show BACKUP", "p861 backup now APPLICATION"])
        .pages(&["P861BackupFailed"]),
        Reason::ClusterResourcesNotGranted => act(
            "站点不允许本区的任务访问这些集群级对象。",
            "The site's administrator lists them under site.clusterResources in the values of the chart p861 there; or take them out of spec.clusterResources of the Application.",
            "请站点管理员在该站点 p861 chart 的 site.clusterResources 中放行，或将其从应用的 spec.clusterResources 中去掉。",
        )
        .run(&["kubectl get application APPLICATION -n DISTRICT -o yaml"])
        .pages(&["P861BackupFailed"]),
        Reason::Conflicts => act(
            "已有的对象与备份不同。",
            "Look at the differences, and choose a policy: Skip leaves the objects, Merge changes them, Replace makes them what they are in the backup. Nothing was written.",
            "请先查看差异，再选择策略：Skip 保留现有对象，Merge 按备份更改，Replace 替换为备份中的样子。此次未写入任何内容。",
        )
        .run(&["p861 restore preview BACKUP --objects", "p861 restore run BACKUP --conflict Merge"])
        .pages(&["P861RunFailed"]),
        Reason::DefaultTaken => act(
            "同一重要程度已有更早的默认备份策略。",
            "Take the criticality out of defaultFor of one of the two. Until then the older one holds for it.",
            "从其中一个策略的默认范围中去掉该重要程度。在此之前以较早的策略为准。",
        )
        .run(&["p861 policy list"]),
        Reason::DestinationRefused => act(
            "卷无法写入。",
            "The message has the path and the cause: a volume that is read-only, or a right that is missing. Mend that, and restore again.",
            "消息中有路径和原因，例如卷为只读或缺少权限。请排除后重新恢复。",
        )
        .run(&["p861 restore show RESTORE", "p861 restore run BACKUP"])
        .pages(&["P861RunFailed"]),
        Reason::Forgotten => good("备份的快照已按保留策略或应人要求删除。"),
        Reason::HalfRestored => act(
            "应用曾有一次恢复中途结束，此后的备份数据新旧混杂。",
            "Restore the application as a whole; or, if its data was checked and is right, say so with the command that the condition Protected prints. Then back up.",
            "请整体恢复该应用；若已核对数据无误，请用“已保护”状态中给出的命令予以确认。然后重新备份。",
        )
        .run(&["p861 app status APPLICATION", "p861 restore run BACKUP", "p861 backup now APPLICATION"])
        .pages(&["P861BackupOverdue"]),
        Reason::HistoryUnreadable => act(
            "平台记录的历史数据无法读取。",
            "Correct the ConfigMap that the message names, or delete it and lose what was recorded for the forecast.",
            "请更正消息中指出的 ConfigMap；也可将其删除，但会失去用于预测的历史数据。",
        )
        .run(&["kubectl get configmap DISTRICT-platform-history -n DISTRICT -o yaml"]),
        Reason::MarkerUnreadable => act(
            "应用的数据标记无法读取。",
            "Run the command marker.read of the Application in its pod: it must print the time that marker.write wrote.",
            "请在应用的 Pod 中执行 marker.read 命令：它必须输出 marker.write 写入的时间。",
        )
        .run(&["kubectl get application APPLICATION -n DISTRICT -o yaml"]),
        Reason::MoverLost => act(
            "搬运任务没有给出结果就结束了。",
            "Its pod was killed: out of memory, evicted, or its node is gone. The step is tried again; if it is killed each time, look at the node.",
            "其 Pod 被终止：内存不足、被驱逐，或所在节点已不存在。该步骤会重试；若每次都被终止，请检查节点。",
        )
        .run(&[MOVERS, "kubectl --context SITE get nodes"])
        .pages(&["P861BackupFailed"]),
        Reason::MoverMisused => act(
            "operator 与搬运任务的版本不一致。",
            "Movers run the operator's own image. See that one version of the chart p861 is installed, and that nobody starts movers by hand; then run it again.",
            "搬运任务使用与 operator 相同的镜像。请确认只安装了一个版本的 p861 chart，且没有人手动启动搬运任务，然后重新执行。",
        )
        .run(&["kubectl -n p861-system get deployment p861-operator -o yaml", MOVERS]),
        Reason::MoverNotStarted => act(
            "搬运任务的 Pod 未能启动。",
            "The message says what keeps it: an image that can't be pulled, or a volume that can't be mounted. It is tried again.",
            "消息说明了原因：镜像无法拉取，或卷无法挂载。operator 会自动重试。",
        )
        .run(&[MOVERS, "kubectl --context SITE get events --all-namespaces --field-selector type=Warning"])
        .pages(&["P861RunStuck"]),
        Reason::MoverRefused => act(
            "搬运任务的 Pod 被配额或准入控制拒绝。",
            "Do what the message ends with: raise the quota, widen the LimitRange, or let the rule admit pods with the label platform861.io/role=mover.",
            "请按消息末尾的提示处理：提高配额、放宽 LimitRange，或让规则放行带 platform861.io/role=mover 标签的 Pod。",
        )
        .run(&["kubectl --context SITE get resourcequotas -n NAMESPACE"])
        .pages(&["P861RunStuck"]),
        Reason::MoverUnschedulable => act(
            "没有节点可以运行搬运任务的 Pod。",
            "Make room on the node that the message names, or remove the taint that no pod of the application tolerates. The mover then starts by itself.",
            "请在消息中指出的节点上腾出资源，或移除该应用的 Pod 不能容忍的污点。之后搬运任务会自动启动。",
        )
        .run(&[MOVERS, "kubectl --context SITE get nodes"])
        .pages(&["P861RunStuck"]),
        Reason::NeverBackedUp => unset("该应用从未备份。"),
        Reason::NeverVerified => act(
            "从未有备份经恢复和检查得到验证。",
            "Drill the plan of the application: that restores a backup and probes it. The application needs a check for that.",
            "请演练该应用的预案：演练会恢复一个备份并检查。应用须有检查项。",
        )
        .run(&["p861 drill run PLAN"]),
        Reason::NoBackupYet => act(
            "还没有可用的备份。",
            "Take a backup; if there are some that failed, the newest says why.",
            "请备份；若已有失败的备份，最近的一次说明了原因。",
        )
        .run(&["p861 backup now APPLICATION", "p861 backup list APPLICATION"])
        .pages(&["P861BackupOverdue"]),
        Reason::NoNode => act(
            "站点没有可运行搬运任务的节点。",
            "Only a pod on a node can mount a volume, and only pods can try a copy's isolation: give the site a node.",
            "挂载卷、验证副本的隔离都需要在节点上运行 Pod：请为站点添加节点。",
        )
        .run(&["p861 site show SITE"]),
        Reason::NoPolicy => act(
            "没有为该应用做备份的备份策略。",
            "Name a policy in spec.backupPolicyRef of the Application, or let one be the default of its criticality. If its policy is suspended, see why and until when.",
            "在应用的 spec.backupPolicyRef 中指明备份策略，或设置其重要程度的默认策略。若策略已挂起，请查看原因和期限。",
        )
        .run(&["p861 policy list", "p861 backup now APPLICATION"])
        .pages(&["P861BackupOverdue"]),
        Reason::NoRecoveryPoint => act(
            "没有可用于恢复的备份。",
            "The message says whether there is none, or all are newer than asked for, damaged, or mixtures. Take a backup, or name the one that you want.",
            "消息说明了是没有备份，还是备份都晚于所要的时间、已损坏，或数据新旧混杂。请备份，或指定所要的备份。",
        )
        .run(&["p861 backup list APPLICATION", "p861 backup now APPLICATION"])
        .pages(&["P861BackupOverdue"]),
        Reason::NoSnapshotClass => act(
            "需要以快照保存的存储卷声明没有可用的卷快照类。",
            "Install the snapshot controller and a VolumeSnapshotClass for the storage, or write method Files in spec.volumes of the Application.",
            "请安装快照控制器及该存储的卷快照类，或在应用的 spec.volumes 中改用 Files。",
        )
        .run(&["kubectl --context SITE get volumesnapshotclasses"]),
        Reason::PartiallyRestored => act(
            "备份中有部分对象未能写入。",
            "See which and why. Define the kinds that are missing, or leave the objects out with spec.exclude of the Application, and restore again: what is there stays as it is.",
            "请查看是哪些对象及原因。请补上缺少的类型，或用应用的 spec.exclude 排除这些对象，再重新恢复：已有的内容保持不变。",
        )
        .run(&["p861 restore show RESTORE --objects"])
        .pages(&["P861RunFailed"]),
        Reason::Restored => act(
            "备份已在演练中恢复，但应用没有检查项，无法验证其可用。",
            "Add a check to spec.checks of the Application, and drill again: only a probed backup proves that it is recoverable.",
            "请在应用的 spec.checks 中添加检查项，再重新演练：只有通过检查的备份才能证明可恢复。",
        )
        .run(&["kubectl edit application APPLICATION -n DISTRICT", "p861 drill run PLAN"]),
        Reason::PartiallySaved => act(
            "部分卷无法读取，其余内容已保存。",
            "The message names each volume and why. Mend that and back up again: this backup doesn't count, but a restore that names it brings the rest back.",
            "消息列出了每个卷及原因。请排除后重新备份：本备份不计入，但指名使用它的恢复仍可恢复其余内容。",
        )
        .run(&["p861 backup show BACKUP", "p861 backup now APPLICATION"])
        .pages(&["P861BackupFailed"]),
        Reason::Previewed => good("已预览恢复，未做任何改动。"),
        Reason::Probed => good("备份已恢复，且应用的检查通过。"),
        Reason::Proven => good("近期的恢复已得到验证。"),
        Reason::ReadErrors => act(
            "有文件无法读取，备份不完整。",
            "The message names the first file. Correct its permissions, or leave the volume out with method Skip in spec.volumes; then back up again.",
            "消息给出了第一个无法读取的文件。请更正其权限，或在 spec.volumes 中以 Skip 排除该卷，然后重新备份。",
        )
        .run(&["p861 backup now APPLICATION"])
        .pages(&["P861BackupFailed"]),
        Reason::SchedulesTooSparse => act(
            "备份间隔过大，无法满足 RPO。",
            "Let the policy take backups as often as the message says. If one backup alone takes too long, save less, or agree on another RPO.",
            "请按消息所述缩短策略的备份间隔。若一次备份耗时过长，请减少备份内容或另行约定 RPO。",
        )
        .run(&["p861 policy show POLICY", "p861 app status APPLICATION"])
        .pages(&["P861BackupOverdue"]),
        Reason::SlotTaken => good("此时刻的备份由同用一个备份库的另一中心执行。"),
        Reason::SnapshotNotTaken => act(
            "存储驱动没有完成卷快照，或快照已不存在。",
            "The message has the driver's error. Mend it and back up again, or write method Files in spec.volumes of the Application.",
            "消息中有驱动的错误。请排除后重新备份，或在应用的 spec.volumes 中改用 Files。",
        )
        .run(&["kubectl --context SITE get volumesnapshots -n NAMESPACE"])
        .pages(&["P861BackupFailed"]),
        Reason::Stored => good("备份已存储，所需文件齐全。"),
        Reason::VerificationFailed => unset("验证失败。"),
        Reason::VerificationTooOld => act(
            "最近一次恢复并检查距今过久。",
            "Drill the plan of the application: a proof counts for a week.",
            "请演练该应用的预案：验证的有效期为一周。",
        )
        .run(&["p861 drill run PLAN"]),
        _ => return None,
    })
}
