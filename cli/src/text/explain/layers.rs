//! Reasons of a platform's layers, components and profile items.

use super::{Explained, act, good};
use p861_crds::Reason;

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::BeyondLimits => act(
            "平台声明的内容超出了区的限额。",
            "Write what the remedy says in the Platform, or ask the city to raise the limits of the District. Until then it is not applied.",
            "请按所列措施修改平台声明，或请市级管理员提高区的限额。在此之前该项不会生效。",
        )
        .run(&["p861 platform gaps"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::BundleChanged => act(
            "组件的安装包与批准的不同。",
            "Somebody has changed the bundle after it was approved. Look at it, and open another change.",
            "安装包在批准之后被改动。请核对内容，再提出新的变更。",
        )
        .run(&["p861 ticket open upgrade COMPONENT --change Normal"]),
        Reason::BundleMissing => act(
            "组件的安装包不存在。",
            "Put the bundle where the Platform says: push the image, or create the ConfigMap; or correct the component's bundle.",
            "请将安装包放到平台声明的位置（推送镜像或创建 ConfigMap），或更正组件的安装包地址。",
        )
        .run(&["kubectl get platform DISTRICT -n DISTRICT -o yaml"]),
        Reason::BundleRefused => act(
            "组件的安装包无法使用。",
            "The message says what is wrong in the bundle: its form, its size, a kind or a namespace that it must not have. Correct it and push it anew.",
            "消息说明了安装包的问题：格式、大小，或含有不允许的类型或命名空间。请更正后重新推送。",
        ),
        Reason::BundleUnsupported => act(
            "该组件没有安装包，须通过其 HelmRelease 升级。",
            "Upgrade the component where its HelmRelease is kept, or declare a bundle for it.",
            "请在管理其 HelmRelease 的地方升级，或为该组件声明安装包。",
        )
        .run(&["kubectl get platform DISTRICT -n DISTRICT -o yaml"]),
        Reason::CertificateExpired => act(
            "有证书已经到期。",
            "Renew the certificate that the message names. The operator reads it again within five minutes.",
            "请更新消息中指出的证书。operator 会在五分钟内重新读取。",
        )
        .run(&["p861 platform gaps"])
        .pages(&["P861CertificateExpiring", "P861PlatformLayerMissing"]),
        Reason::CertificateExpiring => {
            act("有证书即将到期。", "Renew the certificate that the message names before its date.", "请在到期前更新消息中指出的证书。")
                .run(&["p861 platform gaps"])
                .pages(&["P861CertificateExpiring", "P861PlatformLayerWeak"])
        }
        Reason::CertificateUnreadable => act(
            "有证书无法读取。",
            "The Secret has no certificate, or the server shows none. Renew it, or correct what names it.",
            "Secret 中没有证书，或服务器没有出示证书。请更新证书，或更正引用它的地方。",
        )
        .run(&["p861 platform gaps"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::ClassMissing => act(
            "站点上没有所声明的存储类或卷快照类。",
            "Install the class's driver on the site, or correct what names it: storage.classes of the Platform, or target.storageClassMappings of a Restore.",
            "请在站点上安装相应的驱动，或更正引用它的字段：平台的 storage.classes，或恢复的 target.storageClassMappings。",
        )
        .run(&["kubectl --context SITE get storageclasses", "kubectl --context SITE get volumesnapshotclasses"])
        .pages(&["P861PlatformLayerMissing", "P861PlatformLayerWeak"]),
        Reason::ComponentFailing => act(
            "基础软件的一个组件已安装但工作不正常。",
            "See why the component's pods do not run; the message has the trouble.",
            "请查看该组件的 Pod 为何不能运行；消息中有具体问题。",
        )
        .run(&["p861 platform gaps", "kubectl --context SITE get pods -n NAMESPACE"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::ComponentMissing => act(
            "组件没有安装，或没有声明。",
            "Install it by a change, as the remedy says. A change that names a component needs it in spec.baseSoftware.components of the Platform.",
            "请按所列措施通过变更安装。变更中的组件必须列在平台的 spec.baseSoftware.components 中。",
        )
        .run(&["p861 platform gaps"])
        .pages(&["P861PlatformLayerMissing"]),
        Reason::Excess => act(
            "有一层远高于最薄弱的层，应先加强后者。",
            "This is advice: spend next on the layer that the message calls the weakest.",
            "这是建议：下一笔投入请用于消息中指出的最薄弱层。",
        )
        .run(&["p861 platform forecast"]),
        Reason::GatewayMissing => act(
            "所声明的网关不存在。",
            "Create the Gateway on the site, or correct network.gateways of the Platform.",
            "请在站点上创建该网关，或更正平台的 network.gateways。",
        )
        .run(&["kubectl --context SITE get gateways -A"])
        .pages(&["P861PlatformLayerMissing"]),
        Reason::GatewayNotReady => act("网关未就绪。", "The Gateway's own conditions say what it lacks.", "网关自身的状态说明了缺少什么。")
            .run(&["kubectl --context SITE describe gateway NAME -n NAMESPACE"])
            .pages(&["P861PlatformLayerWeak"]),
        Reason::HealthFailed => act(
            "组件的健康检查未通过。",
            "The message has the check and what it saw. See why the component fails there; an upgrade is rolled back by the policy of its change.",
            "消息中有检查项及其结果。请查明组件为何异常；升级按变更的回退策略处理。",
        )
        .run(&["p861 platform gaps"])
        .pages(&["P861PlatformLayerWeak", "P861RunFailed"]),
        Reason::LayerMissing => {
            act("有一层缺少已声明的内容。", "See what is missing, on which site, and the remedy.", "请查看缺少什么、在哪个站点、应采取什么措施。")
                .run(&["p861 platform gaps"])
                .pages(&["P861PlatformLayerMissing"])
        }
        Reason::LayerWeak => act("有一层弱于声明。", "See what is weak, on which site, and the remedy.", "请查看哪里薄弱、在哪个站点、应采取什么措施。")
            .run(&["p861 platform gaps"])
            .pages(&["P861PlatformLayerWeak"]),
        Reason::Matched => good("各层均衡。"),
        Reason::NoApplication => act(
            "没有应用提供规范的这一构成项。",
            "Declare an Application for it, or name the item in profileItem of the one that provides it.",
            "请为该构成项声明应用，或在提供它的应用的 profileItem 中写上该构成项。",
        )
        .run(&["p861 app list", "p861 platform status"]),
        Reason::NodesMissing => {
            act("节点池中就绪的节点少于要求。", "Bring nodes back, or add some with the pool's labels.", "请恢复节点，或添加带有该节点池标签的节点。")
                .run(&["kubectl --context SITE get nodes"])
                .pages(&["P861PlatformLayerMissing", "P861PlatformLayerWeak", "P861SiteNodesNotReady"])
        }
        Reason::NotCounted => act(
            "有一层的容量无法计算。",
            "See which site can't be seen, and declare the capacities that the Platform lacks.",
            "请查看哪个站点无法访问，并补充平台中缺少的容量声明。",
        )
        .run(&["p861 platform status", "p861 site list"]),
        Reason::PolicyMissing => act(
            "准入策略不存在。",
            "Create the ValidatingAdmissionPolicy on the site, or correct security.admissionPolicies of the Platform.",
            "请在站点上创建该准入策略，或更正平台的 security.admissionPolicies。",
        )
        .run(&["kubectl --context SITE get validatingadmissionpolicies"])
        .pages(&["P861PlatformLayerMissing"]),
        Reason::PolicyNotBound => act("准入策略没有绑定，不起作用。", "Create its ValidatingAdmissionPolicyBinding on the site.", "请在站点上为它创建绑定。")
            .run(&["kubectl --context SITE get validatingadmissionpolicybindings"])
            .pages(&["P861PlatformLayerWeak"]),
        Reason::ProbeFailed => act(
            "网络探测失败，或耗时过长。",
            "Look at the line between the site and the host that the message names.",
            "请检查站点与消息中指出的主机之间的线路。",
        )
        .run(&["p861 platform gaps"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::ProberFailed => act(
            "站点的探针没有给出结果。",
            "See the prober's log on the site. After an upgrade, upgrade the chart p861 there to the operator's version.",
            "请查看站点上探针的日志。若刚升级过，请将该站点的 p861 chart 升级到与 operator 相同的版本。",
        )
        .run(&["kubectl --context SITE -n p861-system logs -l app.kubernetes.io/component=prober --tail=50"]),
        Reason::ProberMissing => act(
            "站点上没有就绪的探针。",
            "Upgrade the chart p861 on the site with site.prober=true, or see why the prober's pod is not ready.",
            "请在站点上以 site.prober=true 升级 p861 chart，或查看探针的 Pod 为何未就绪。",
        )
        .run(&["kubectl --context SITE -n p861-system get pods -l app.kubernetes.io/component=prober"]),
        Reason::ProbeUnmeasured => act(
            "网络探测尚无结果。",
            "See what keeps the site's prober from trying it; the message has the cause.",
            "请查看站点的探针为何没有探测；消息中有原因。",
        )
        .run(&["kubectl --context SITE -n p861-system get pods -l app.kubernetes.io/component=prober"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::Provisional => good("该构成项为待考，不计分。"),
        Reason::QuotaExceeded => act(
            "配额已用完。",
            "Raise the quota that the message names, or use less: delete what is not needed any more.",
            "请提高消息中指出的配额，或减少用量：删除不再需要的内容。",
        )
        .run(&["p861 platform gaps", "kubectl get resourcequotas -n DISTRICT"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::RecordDamaged => act(
            "组件的安装记录无法读取。",
            "Correct the ConfigMap that the message names. The operator touches the component no more until it can read what it has installed.",
            "请更正消息中指出的 ConfigMap。在能读取安装记录之前，operator 不再改动该组件。",
        )
        .run(&["kubectl describe configmap NAME -n NAMESPACE"]),
        Reason::RegistriesMissing => act(
            "要求镜像来自已声明的镜像仓库，却没有声明任何镜像仓库。",
            "Name the registries in baseSoftware.registries of the Platform.",
            "请在平台的 baseSoftware.registries 中列出镜像仓库。",
        )
        .run(&["kubectl edit platform DISTRICT -n DISTRICT"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::RegistryUnreachable => act(
            "镜像仓库没有应答。",
            "See whether the registry that the bundle names runs, and whether the hub reaches it. It is tried again.",
            "请确认安装包所在的镜像仓库在运行，且管理中心能连到它。operator 会自动重试。",
        ),
        Reason::RepositoryNotReady => act("本区的备份库未就绪。", "The repository's own conditions say why.", "备份库自身的状态说明了原因。")
            .run(&["p861 repository show REPOSITORY"])
            .pages(&["P861RepositoryNotReady"]),
        Reason::ReserveUsed => act("有一层已动用储备。", "Add what the remedy says, or free capacity.", "请按所列措施增加容量，或释放容量。")
            .run(&["p861 platform gaps", "p861 platform forecast"])
            .pages(&["P861PlatformLayerWeak"]),
        Reason::ShortPlank => act(
            "有一层限制了平台能支撑的应用数量。",
            "Strengthen the layer that the message names first: adding to any other does not raise the limit.",
            "请先加强消息中指出的层：加强其他层不能提高上限。",
        )
        .run(&["p861 platform gaps", "p861 platform forecast"])
        .pages(&["P861PlatformFull"]),
        Reason::UpgradeNeedsTicket => act(
            "声明了更新的版本：升级需要工单。",
            "Open a change for the upgrade, or restore the old version in the Platform.",
            "请为升级提出变更，或在平台声明中改回旧版本。",
        )
        .run(&["p861 ticket open upgrade COMPONENT --change Normal"])
        .pages(&["P861PlatformLayerWeak"]),
        Reason::VersionsDiffer => {
            act("同一组件在各站点的版本不同。", "Upgrade the component on the site that is behind, by a change.", "请通过变更，升级版本落后的站点上的该组件。")
                .run(&["p861 platform gaps", "p861 ticket open upgrade COMPONENT --change Normal"])
                .pages(&["P861PlatformLayerWeak"])
        }
        _ => return None,
    })
}
