//! Reasons that any kind can have.

use super::{Explained, act, good, wait};
use p861_crds::Reason;

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::AlreadyExists => act(
            "已有同名的对象。",
            "The store has an object where the operator wanted to write a new one. If it lasts, find out who else writes at the repository's address.",
            "operator 要新建的对象在存储中已存在。若持续出现，请查明还有谁在向备份库的地址写入。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        Reason::ApiError => act(
            "API 服务器返回了错误。",
            "The message has the API server's own words. The operator tries again; if it lasts, see whether the cluster is well.",
            "消息中有 API 服务器的原话。operator 会重试；若持续出现，请检查该集群是否正常。",
        )
        .run(&["p861 site show SITE"]),
        Reason::AsDeclared => good("实际情况与声明一致。"),
        Reason::Complete => act(
            "全部步骤均已完成。",
            "Nothing, of a backup, a restore or a change. A drill with this reason has missed an objective: its report says which.",
            "备份、恢复和变更无需处理。演练若给出此原因，说明有目标未达到：请看报告。",
        )
        .run(&["p861 drill report DRILL"]),
        Reason::Conflict => wait("另有程序同时修改同一对象。"),
        Reason::ConnectionLost => act(
            "尚未收到完整应答，连接就中断了。",
            "The step is tried again. If it breaks each time, look at the line to the site and at the pod that the message names.",
            "该步骤会重试。若每次都中断，请检查到站点的线路以及消息中的 Pod。",
        )
        .run(&["p861 site show SITE", "kubectl --context SITE get pods -n NAMESPACE"]),
        Reason::CredentialsRefused => act(
            "对方拒绝了凭据，或账号没有所需的权限。",
            "Renew the credentials that the message names: those of a site, a registry or an Alertmanager. If an account lacks a right on a site, upgrade the chart p861 \
             there to the operator's version.",
            "请更新消息中指出的凭据（站点、镜像仓库或 Alertmanager）。若是账号在站点上缺少权限，请将该站点的 p861 chart 升级到与 operator 相同的版本。",
        )
        .run(&["p861 site show SITE"])
        .pages(&["P861BackupFailed", "P861SiteUnreachable"]),
        Reason::Duplicate => good("该工单与另一工单重复，已关闭。"),
        Reason::EgressRefused => act(
            "本安装不允许连接该地址。",
            "Correct the address. If the server really is there, whoever installs the chart opens its host with the value operator.egress.allow.",
            "请更正地址。若服务器确实在该处，请负责安装 chart 的管理员用 operator.egress.allow 放行。",
        )
        .pages(&["P861RepositoryNotReady"]),
        Reason::EndpointInvalid => act(
            "地址的写法有误，或该地址会重定向到别处。",
            "Correct the url or the ca.crt that the message names. If the address redirects, write the one that it leads to.",
            "请更正消息中指出的 url 或 ca.crt。若该地址会重定向，请直接填写最终地址。",
        )
        .run(&["kubectl get site SITE -o yaml", "kubectl get platform DISTRICT -n DISTRICT -o yaml"]),
        Reason::InternalError => act(
            "operator 程序有缺陷。",
            "Report it with the operator's log. Undoing the last change of the object ends it in most cases; so does deleting the object.",
            "请附上 operator 的日志上报。多数情况下，撤销对该对象的最近一次修改或删除该对象即可消除。",
        )
        .run(&["kubectl -n p861-system logs -l app.kubernetes.io/component=operator --tail=500 --prefix"])
        .pages(&["P861ObjectsNotReconciled"]),
        Reason::Invalid => act(
            "某个字段的值无法使用。",
            "Correct the field that the message names. If the message says that there is no room, set lower limits in the District.",
            "请更正消息中指出的字段。若消息提示已容不下，请调低区的限额。",
        )
        .run(&["kubectl describe KIND NAME -n DISTRICT", "kubectl edit KIND NAME -n DISTRICT"])
        .pages(&["P861InvalidObject"]),
        Reason::LeaseLost => act(
            "租约已丢失，原持有者不再写入。",
            "Nothing at first: another replica of the operator goes on, or the next attempt of the step takes a new lease of the repository. If it lasts, see whether an operator leads.",
            "一般无需处理：operator 的另一副本会接替，或由步骤的下一次尝试重新取得备份库租约。若持续出现，请确认 operator 有领导者。",
        )
        .run(&["p861 status", "kubectl -n p861-system get lease p861-operator"])
        .pages(&["P861NoLeader"]),
        Reason::NameTaken => act(
            "该名称已属于他人的对象。",
            "A Backup has the name that this change needs, and is not the change's. Delete it if nobody needs it, or open the change anew.",
            "已有别的备份占用了本次变更所需的名称。若无人需要，请将其删除；否则请重新提出变更。",
        )
        .run(&["p861 backup show BACKUP"]),
        Reason::NotAvailable => act(
            "本版本尚不支持。",
            "Failover comes with a later release. Until then a drill proves that the plan can be recovered.",
            "切换将在以后的版本提供。在此之前，可用演练验证预案能够恢复。",
        )
        .run(&["p861 drill run PLAN"]),
        Reason::NotFound => act(
            "所引用的对象不存在。",
            "Create the object that the message names, or correct the name where it is written.",
            "请创建消息中指出的对象，或更正引用处的名称。",
        ),
        Reason::NotListedYet => wait("operator 刚启动，尚未读完此类对象。"),
        Reason::NotOurs => act(
            "该对象并非由本平台创建，因此不会改动它。",
            "Look at the object that the message names. Delete or rename it if it may go, or hand it over to the operator by the label that the message names.",
            "请查看消息中指出的对象：若可以，将其删除或改名；也可加上消息中给出的标签，移交给 operator 管理。",
        )
        .run(&["p861 platform gaps"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::NotResolved => act(
            "有引用未找到，因此无法判断。",
            "The condition Ready of the same object says what is missing: begin there.",
            "同一对象的“就绪”状态说明了缺少什么：请先处理。",
        )
        .run(&["p861 app status APPLICATION"]),
        Reason::NotYet => wait("为时尚早，暂无结论。"),
        Reason::ReconcileTimeout => act(
            "处理该对象用时过长，已放弃，稍后重试。",
            "Something that the operator asks does not answer: a site, a repository, or the hub. The message names the step; see which of them is slow.",
            "operator 所访问的站点、备份库或管理中心没有应答。消息中有停住的步骤：请查明是哪一处缓慢。",
        )
        .run(&[
            "kubectl get sites",
            "kubectl get backuprepositories -n DISTRICT",
            "kubectl -n p861-system logs -l app.kubernetes.io/component=operator --tail=500 --prefix",
        ])
        .pages(&["P861ObjectsNotReconciled"]),
        Reason::RefusedByAdmission => act(
            "API 服务器的准入控制拒绝了该对象。",
            "The message has the words of the rule that refuses it. Correct the object, or map namespaces, storage classes or images in the next restore, or have the rule changed.",
            "消息中有拒绝它的规则的原话。请更正对象；或在下一次恢复时映射命名空间、存储类或镜像；或请管理员调整规则。",
        )
        .run(&["p861 restore preview BACKUP --map FROM=TO"])
        .pages(&["P861RunFailed"]),
        Reason::Resolved => good("所有引用均已找到。"),
        Reason::SecretIncomplete => act(
            "Secret 缺少某个键。",
            "Add the key that the message names to the Secret. With the role Engineer, which changes no Secret, create another and name that one.",
            "请在 Secret 中补上消息中指出的键。工程师角色不能修改 Secret：请新建一个，并改为引用它。",
        ),
        Reason::SecretMissing => act(
            "Secret 不存在，或其中没有要找的内容。",
            "Create the Secret, or correct its name; the message says which keys it needs.",
            "请创建该 Secret，或更正其名称；消息中列出了所需的键。",
        )
        .run(&["kubectl get secrets -n DISTRICT"])
        .pages(&["P861RepositoryNotReady"]),
        Reason::Unreachable => act(
            "服务器没有应答。",
            "See whether the server that the message names runs, and whether the hub reaches it: network, firewall, DNS name. The operator tries again by itself.",
            "请确认消息中指出的服务器在运行，且管理中心能连到它（网络、防火墙、DNS 名称）。operator 会自动重试。",
        )
        .run(&["p861 site show SITE", "p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady", "P861BackupFailed", "P861SiteUnreachable"]),
        Reason::Unsupported => act(
            "本版本不支持。",
            "Do it as the message says: a repository needs s3 or folder.path, and a restore a backup that this product has sealed.",
            "请按消息改用支持的方式：备份库用 s3 或 folder.path；恢复须用本产品封存的备份。",
        )
        .run(&["p861 backup list APPLICATION"]),
        Reason::Valid => good("有效，并计入。"),
        _ => return None,
    })
}
