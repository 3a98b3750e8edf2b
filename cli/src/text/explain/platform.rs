//! Reasons of sites, districts, profiles and applications.

use super::{Explained, act, good, unset};
use p861_crds::Reason;

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::Answers => good("API 服务器有应答。"),
        Reason::ApplicationMissing => act(
            "所指的应用不存在。",
            "Create the Application that the plan names, or take it out of the plan.",
            "请创建预案中列出的应用，或将其从预案中去掉。",
        )
        .run(&["p861 app list", "p861 plan show PLAN"]),
        Reason::ApplicationNotReady => act(
            "提供该构成项的应用均未就绪或不健康。",
            "See what the applications that the message names lack.",
            "请查看消息中指出的应用缺少什么。",
        )
        .run(&["p861 app status APPLICATION"]),
        Reason::CheckFailed => unset("应用的一项检查未通过。"),
        Reason::ChecksFail => act(
            "应用的检查未通过。",
            "The message names the checks and what they found. Mend the application, or correct spec.checks if it is well.",
            "消息列出了未通过的检查及其结果。请修复应用；若应用正常，请更正 spec.checks。",
        )
        .run(&["p861 app status APPLICATION"]),
        Reason::ChecksFailed => act(
            "检查在期限内一直未通过。",
            "The message says what the check found last. If the check fails on the live application, too, mend that; otherwise see what the copy or the site lacks.",
            "消息中有最后一次检查的结果。若在现有应用上也不通过，请先修复应用；否则请查看副本或站点缺少什么。",
        )
        .run(&["p861 app status APPLICATION", "p861 drill report DRILL"])
        .pages(&["P861DrillFailed", "P861RunFailed"]),
        Reason::ChecksPass => good("应用的检查全部通过。"),
        Reason::ClusterChanged => act(
            "该站点的 API 服务器属于另一个集群。",
            "The kubeconfig leads to another cluster than at first contact. Correct the Secret; if the cluster was replaced, make sure that the old one is gone and create the Site anew.",
            "kubeconfig 指向的集群与首次接入时不同。请更正 Secret；若集群确已更换，请先确认旧集群已停用，再重新创建站点。",
        )
        .run(&["p861 site show SITE"])
        .pages(&["P861SiteUnreachable"]),
        Reason::CodeTaken => act(
            "区划代码已属于另一个区。",
            "A code can't be changed: delete this District, and declare it with a code of its own.",
            "区划代码不能修改：请删除该区，并用自己的代码重新声明。",
        )
        .run(&["p861 district list"]),
        Reason::DepartmentUnknown => act(
            "应用所属的部门没有声明。",
            "Correct spec.department of the Application, or add the department to the District.",
            "请更正应用的 spec.department，或在区中添加该部门。",
        )
        .run(&["kubectl get district DISTRICT -o yaml"]),
        Reason::DistrictMissing => act(
            "该命名空间不属于任何区。",
            "Declare a District for the namespace, or create the object in the namespace of its district.",
            "请为该命名空间声明区，或在所属区的命名空间中创建该对象。",
        )
        .run(&["p861 district list"]),
        Reason::NamespaceMissing => act(
            "命名空间不存在。",
            "Correct spec.namespaces of the Application, or create the namespace on the site.",
            "请更正应用的 spec.namespaces，或在站点上创建该命名空间。",
        )
        .run(&["kubectl --context SITE get namespaces"]),
        Reason::NamespaceTerminating => act(
            "命名空间正在删除，不接受新的对象。",
            "Wait until it is gone. If it stays, its conditions say what keeps it, most often a finalizer or an API that doesn't answer.",
            "请等待删除完成。若一直存在，其状态说明了原因，通常是 finalizer 或某个没有应答的 API。",
        )
        .run(&["kubectl --context SITE describe namespace NAMESPACE", "kubectl --context SITE get apiservices"]),
        Reason::NamespaceNotAllotted => act(
            "该命名空间没有分配给本区。",
            "Use a namespace of the district: one that begins with its name and a hyphen, or one of spec.siteNamespaces of the District, which the city writes.",
            "请使用本区的命名空间：名称以“区名-”开头，或列在区的 spec.siteNamespaces 中（由市级管理员填写）。",
        )
        .run(&["kubectl get district DISTRICT -o yaml"]),
        Reason::NamespaceNotOurs => act(
            "管理中心的这个命名空间属于另一个区。",
            "Set spec.namespace of the District to a namespace of its own.",
            "请将区的 spec.namespace 改为自己的命名空间。",
        )
        .run(&["p861 district list"]),
        Reason::NamespacesOverlap => act(
            "分配给本区的站点命名空间同时属于一个更早的区。",
            "Make spec.siteNamespaces of the two Districts disjoint. Until then nothing is done for the younger district.",
            "请使两个区的 spec.siteNamespaces 互不重叠。在此之前，较晚建立的区不会得到处理。",
        )
        .run(&["kubectl get districts -o yaml"]),
        Reason::NamespaceTaken => act(
            "该命名空间已属于另一个应用或所有者。",
            "A namespace is in one application. Correct spec.namespaces. A restore or a drill writes into no namespace of another application: use one that no Application names, or wait until the run that owns it has ended.",
            "一个命名空间只属于一个应用。请更正 spec.namespaces。恢复和演练不会写入其他应用的命名空间：请改用未被任何应用指明的命名空间，或等待占用它的任务结束。",
        )
        .run(&["p861 app list", "p861 drill list"]),
        Reason::NoChecks => act(
            "应用没有声明检查项。",
            "Add checks to spec.checks of the Application. Without one, nobody can tell whether it is healthy, nor whether a restored copy works.",
            "请在应用的 spec.checks 中添加检查项。没有检查项，就无法判断应用是否健康、恢复出的副本是否可用。",
        )
        .run(&["kubectl edit application APPLICATION -n DISTRICT"]),
        Reason::ProfileMissing => act(
            "区没有指定可用的规范。",
            "Name a profile that exists in spec.profileRef of the District.",
            "请在区的 spec.profileRef 中指定一个存在的规范。",
        )
        .run(&["p861 profile list", "kubectl edit district DISTRICT"]),
        Reason::QuotaApplied => good("区的对象数量由配额限制。"),
        Reason::QuotaNotCounted => act(
            "管理中心的集群没有统计配额，因此没有任何限制。",
            "See whether the hub's kube-controller-manager runs its controller resourcequota.",
            "请确认管理中心的控制器管理器启用了 resourcequota 控制器。",
        )
        .run(&["kubectl get resourcequotas -n DISTRICT"]),
        Reason::RolesBound => good("区的角色在各处均已绑定。"),
        Reason::SiteMissing => act(
            "所指的站点不存在。",
            "Create the Site, or correct the name where it is written.",
            "请创建该站点，或更正引用处的名称。",
        )
        .run(&["p861 site list"]),
        Reason::SiteNotAllotted => act(
            "该站点没有分配给本区。",
            "Use one of the district's sites, or have the city add the site to spec.sites of the District.",
            "请使用本区的站点，或请市级管理员将其加入区的 spec.sites。",
        )
        .run(&["kubectl get district DISTRICT -o yaml"]),
        Reason::SiteUnreachable => unset("站点的 API 服务器没有应答。"),
        Reason::VersionUnsupported => act(
            "集群的版本不受支持。",
            "Upgrade the cluster: the message has the oldest version that will do.",
            "请升级该集群：消息中有所需的最低版本。",
        )
        .run(&["p861 site show SITE"]),
        Reason::WorkloadMissing => act(
            "所指的工作负载不存在。",
            "Correct the workload where the Application names it (tiers, checks, hooks, marker), or create it.",
            "请更正应用中引用该工作负载的地方（层级、检查、钩子、数据标记），或创建它。",
        )
        .run(&["p861 app status APPLICATION", "kubectl edit application APPLICATION -n DISTRICT"])
        .pages(&["P861BackupFailed"]),
        Reason::WorkloadNotReady => act(
            "工作负载没有就绪的 Pod。",
            "See why its pods are not ready. The step is tried again.",
            "请查看其 Pod 为何未就绪。该步骤会重试。",
        )
        .run(&["kubectl --context SITE get pods -n NAMESPACE"])
        .pages(&["P861BackupFailed"]),
        Reason::WorkloadNotStopped => act(
            "有工作负载无法停止，或停止后又被启动。",
            "Suspend what starts it again (GitOps, an autoscaler), or stop its pods by hand; then restore again.",
            "请停用会重新启动它的机制（GitOps、自动扩缩容），或手动停止其 Pod，然后重新恢复。",
        )
        .run(&["p861 restore show RESTORE", "p861 restore run BACKUP"])
        .pages(&["P861RunFailed"]),
        _ => return None,
    })
}
