//! Texts of conditions' reasons. A reason is a name that programs read; people read these.

use super::Word;

/// The text of a reason, if there is one.
#[expect(clippy::too_many_lines, clippy::match_same_arms, reason = "a table, sorted by reason: one line each")]
pub fn reason(reason: &str) -> Option<Word> {
    Some(match reason {
        "Aborted" => Word { en: "aborted", zh: "已中止" },
        "AccessDenied" => Word { en: "access denied", zh: "访问被拒绝" },
        "AcknowledgeOverdue" => Word { en: "not acknowledged in time", zh: "响应超时" },
        "AddressInvalid" => Word { en: "a mail address is invalid", zh: "邮件地址无效" },
        "AddressMissing" => Word { en: "a mail address is missing", zh: "缺少邮件地址" },
        "AlertFiring" => Word { en: "an alert is firing", zh: "有告警" },
        "AlertmanagerRefused" => Word { en: "the Alertmanager refused", zh: "Alertmanager 拒绝" },
        "AlertmanagerUnreachable" => Word { en: "the Alertmanager is unreachable", zh: "Alertmanager 不可达" },
        "AlertmanagerUnreadable" => Word { en: "the Alertmanager's answer is invalid", zh: "Alertmanager 的应答无法解析" },
        "AlreadyActive" => Word { en: "already active there", zh: "已在该站点运行" },
        "AlreadyExists" => Word { en: "already exists", zh: "已存在" },
        "AnsweredNo" => Word { en: "answered with no", zh: "答复为否" },
        "Answers" => Word { en: "reachable", zh: "可达" },
        "ApiError" => Word { en: "the API server refused", zh: "API 服务器拒绝" },
        "ApplicationBusy" => Word { en: "another run uses the application", zh: "应用正由其他运行占用" },
        "ApplicationInOtherPlan" => Word { en: "an application is in another plan", zh: "应用已属于其他预案" },
        "ApplicationMissing" => Word { en: "an application is missing", zh: "缺少应用" },
        "ApprovalsMissing" => Word { en: "approvals are missing", zh: "批准人数不足" },
        "AsDeclared" => Word { en: "as declared", zh: "与声明一致" },
        "BackedUp" => Word { en: "backed up", zh: "已备份" },
        "BackupFailed" => Word { en: "the newest backup failed", zh: "最近备份失败" },
        "BackupOverdue" | "BackupTooOld" => Word { en: "the newest backup is too old", zh: "最近备份已过期" },
        "BackupRunning" => Word { en: "a backup is running", zh: "备份进行中" },
        "BackupsVerified" => Word { en: "no damage found", zh: "未发现损坏" },
        "BetweenOccurrences" => Word { en: "closed", zh: "未到窗口时间" },
        "BundleChanged" => Word { en: "the bundle has changed", zh: "安装包已变更" },
        "BundleMissing" => Word { en: "the bundle is missing", zh: "缺少安装包" },
        "BundleRefused" => Word { en: "the bundle is unusable", zh: "安装包不可用" },
        "BundleUnsupported" => Word { en: "this kind of bundle is not supported", zh: "此版本不支持该安装方式" },
        "Cancelled" => Word { en: "cancelled", zh: "已取消" },
        "CertificateExpired" => Word { en: "a certificate has expired", zh: "证书已到期" },
        "CertificateExpiring" => Word { en: "a certificate expires soon", zh: "证书即将到期" },
        "CertificateUnreadable" => Word { en: "a certificate is unreadable", zh: "证书无法读取" },
        "ChannelGone" => Word { en: "the channel is gone", zh: "通知渠道已不存在" },
        "ChannelInvalid" => Word { en: "a channel is invalid", zh: "通知渠道配置无效" },
        "CheckFailed" => Word { en: "a check failed", zh: "检查未通过" },
        "CheckOverdue" => Word { en: "the newest check is too old", zh: "检查已过期" },
        "ChecksFail" | "ChecksFailed" => Word { en: "checks fail", zh: "检查未通过" },
        "ChecksPass" => Word { en: "checks pass", zh: "检查通过" },
        "ClaimMissing" => Word { en: "a claim is missing", zh: "缺少存储卷声明" },
        "ClassMissing" => Word { en: "a class is missing", zh: "缺少存储类" },
        "CleanUpFailed" => Word { en: "clean-up keeps failing", zh: "清理失败" },
        "Clear" => Word { en: "no blockers", zh: "无阻碍" },
        "ClusterChanged" => Word { en: "the cluster has changed", zh: "集群已变更" },
        "CommandFailed" => Word { en: "a command failed", zh: "命令执行失败" },
        "CodeTaken" => Word { en: "the code belongs to another district", zh: "区划代码已被其他区占用" },
        "Compiled" => Word { en: "compiled", zh: "已编译" },
        "Complete" => Word { en: "complete", zh: "完成" },
        "ComponentFailing" => Word { en: "a component fails", zh: "组件异常" },
        "ComponentMissing" => Word { en: "a component is missing", zh: "缺少组件" },
        "ConditionalWriteMissing" => Word { en: "no support for conditional writes", zh: "不支持条件写入" },
        "Conflict" => Word { en: "somebody else has changed it", zh: "正被他人修改" },
        "Conflicts" => Word { en: "objects exist and differ", zh: "存在冲突对象" },
        "ConnectionLost" => Word { en: "the connection was lost", zh: "连接中断" },
        "Covered" => Word { en: "every level is covered", zh: "各级均有人值班" },
        "CredentialsRefused" => Word { en: "credentials refused", zh: "凭据被拒绝" },
        "Damaged" => Word { en: "damaged", zh: "已损坏" },
        "DeadlineExceeded" => Word { en: "took too long", zh: "超时" },
        "Delivered" => Word { en: "delivered", zh: "测试消息已送达" },
        "DepartmentUnknown" => Word { en: "unknown department", zh: "部门未知" },
        "DestinationRefused" => Word { en: "the volume refused", zh: "存储卷拒绝写入" },
        "DigestDiffers" => Word { en: "the plan has changed since", zh: "方案已变" },
        "DistrictMissing" => Word { en: "the district is missing", zh: "缺少区" },
        "Done" => Word { en: "done", zh: "完成" },
        "DrainBlocked" => Word { en: "the node was not drained in time", zh: "节点未能按时排空" },
        "DrillFailed" => Word { en: "the newest drill did not pass", zh: "最近演练未通过" },
        "DrillOverdue" => Word { en: "the newest drill is too old", zh: "演练已过期" },
        "DrillPassed" => Word { en: "the newest drill passed", zh: "最近演练通过" },
        "DrillRunning" => Word { en: "a drill is running", zh: "演练进行中" },
        "Duplicate" => Word { en: "a duplicate", zh: "重复" },
        "EndpointInvalid" => Word { en: "an address is invalid", zh: "地址无效" },
        "EnoughApprovals" => Word { en: "enough approvals", zh: "批准人数已够" },
        "Excess" => Word { en: "a layer far exceeds the others", zh: "一枝独秀" },
        "Expired" => Word { en: "expired", zh: "已过期" },
        "Finished" => Word { en: "finished", zh: "已结束" },
        "Frozen" => Word { en: "frozen", zh: "变更冻结" },
        "GatewayMissing" => Word { en: "a gateway is missing", zh: "缺少网关" },
        "GatewayNotReady" => Word { en: "a gateway is not ready", zh: "网关未生效" },
        "HealthFailed" => Word { en: "a health check fails", zh: "健康检查未通过" },
        "HeartbeatMissing" => Word { en: "alerts do not arrive", zh: "告警通路中断" },
        "HeartbeatSeen" => Word { en: "alerts arrive", zh: "告警通路正常" },
        "HistoryUnreadable" => Word { en: "the history is unreadable", zh: "历史记录无法读取" },
        "InternalError" => Word { en: "internal error of the operator", zh: "operator 内部错误" },
        "InTime" => Word { en: "in time", zh: "未超时" },
        "InUse" => Word { en: "in use", zh: "使用中" },
        "Invalid" => Word { en: "invalid", zh: "无效" },
        "JournalBusy" => Word { en: "the journal keeps changing", zh: "运行记录正在被修改" },
        "JournalDamaged" => Word { en: "the journal is damaged", zh: "运行记录已损坏" },
        "JournalFull" => Word { en: "the journal is full", zh: "运行记录已满" },
        "JournalMissing" => Word { en: "the journal is missing", zh: "缺少运行记录" },
        "KeyWrong" => Word { en: "wrong password", zh: "口令错误" },
        "LayerMissing" => Word { en: "a layer has missing parts", zh: "有层缺失" },
        "LayerWeak" => Word { en: "a layer is weak", zh: "有层薄弱" },
        "LeaseLost" => Word { en: "the lease was lost", zh: "租约丢失" },
        "LimitReached" => Word { en: "too many runs at once", zh: "同时运行数已达上限" },
        "MailFailed" => Word { en: "the mail was not accepted", zh: "邮件未能发出" },
        "MarkerUnreadable" => Word { en: "the marker is unreadable", zh: "无法读取数据标记" },
        "Matched" => Word { en: "the layers are balanced", zh: "各层均衡" },
        "MoverLost" => Word { en: "the mover was lost", zh: "搬运任务丢失" },
        "MoverMisused" => Word { en: "operator and mover have different versions", zh: "operator 与搬运任务版本不一致" },
        "NamespaceBusy" => Word { en: "another run uses the namespace", zh: "命名空间正由其他运行占用" },
        "NamespaceMissing" => Word { en: "a namespace is missing", zh: "缺少命名空间" },
        "NamespaceNotAllotted" => Word { en: "the namespace is not assigned to the district", zh: "命名空间不属于本区" },
        "NamespaceNotOurs" => Word { en: "the namespace belongs to another district", zh: "命名空间属于其他区" },
        "NamespaceTaken" => Word { en: "the namespace belongs to somebody else", zh: "命名空间已被占用" },
        "NameTaken" => Word { en: "the name is taken", zh: "名称已被占用" },
        "NeverBackedUp" | "NoBackupYet" => Word { en: "never backed up", zh: "从未备份" },
        "NeverDrilled" => Word { en: "never drilled", zh: "从未演练" },
        "NeverVerified" => Word { en: "never verified", zh: "从未验证" },
        "NoAlertmanager" => Word { en: "no Alertmanager is declared", zh: "未声明 Alertmanager" },
        "NoChecks" => Word { en: "no checks", zh: "没有检查项" },
        "NodeBusy" => Word { en: "another ticket works on the node", zh: "节点正由其他工单占用" },
        "NodeMissing" => Word { en: "the node is missing", zh: "节点不存在" },
        "NodeShared" => Word { en: "another district also uses the node", zh: "节点与其他区共用" },
        "NodesMissing" => Word { en: "nodes are missing", zh: "节点不足" },
        "NoNode" => Word { en: "the site has no node", zh: "站点没有节点" },
        "NoPlan" => Word { en: "not in any plan", zh: "不在任何预案中" },
        "NoPolicy" => Word { en: "no policy", zh: "没有备份策略" },
        "NoRecoveryPoint" => Word { en: "no backup to recover from", zh: "没有可用的恢复点" },
        "NoRepository" => Word { en: "no repository", zh: "没有备份库" },
        "NoSpace" => Word { en: "no space left", zh: "空间不足" },
        "NotAnswered" => Word { en: "nobody answered", zh: "无人答复" },
        "NotARepository" => Word { en: "no repository at this address", zh: "该地址没有备份库" },
        "NotCompiled" => Word { en: "the steps cannot be compiled", zh: "步骤无法编排" },
        "NotCounted" => Word { en: "not counted", zh: "无法计算" },
        "NotDelivered" => Word { en: "not delivered to all", zh: "测试消息未全部送达" },
        "NotFound" => Word { en: "not found", zh: "不存在" },
        "NothingLeft" => Word { en: "nothing left", zh: "无残留" },
        "NothingMade" => Word { en: "nothing left", zh: "无残留" },
        "NotOffSite" => Word { en: "not off site", zh: "未异地存放" },
        "NotListedYet" => Word { en: "not listed yet", zh: "尚未列出" },
        "NotOurs" => Word { en: "the object is not the platform's", zh: "对象不属于本平台" },
        "NotRecoverable" => Word { en: "not recoverable", zh: "不可恢复" },
        "NotReproducible" => Word { en: "not reproducible", zh: "无法重现" },
        "NotResolved" => Word { en: "a reference is not found yet", zh: "尚未找到" },
        "NotYet" => Word { en: "not yet", zh: "尚未" },
        "Open" => Word { en: "open", zh: "开放中" },
        "Opened" => Word { en: "opened", zh: "可打开" },
        "OtherFailureDomain" => Word { en: "in another failure domain", zh: "处于其他故障域" },
        "OutOfScope" => Word { en: "outside the run's district", zh: "超出本区范围" },
        "OutsideWindow" => Word { en: "outside its window", zh: "不在维护窗口内" },
        "Passed" => Word { en: "passed", zh: "通过" },
        "PlanBusy" => Word { en: "the plan is busy", zh: "预案正忙" },
        "PlanChanged" => Word { en: "differs from the approved plan", zh: "方案已与批准内容不符" },
        "PlanNotReady" => Word { en: "the plan is not ready", zh: "预案未就绪" },
        "PlanReady" => Word { en: "the plan is ready", zh: "预案就绪" },
        "PodUnmanaged" => Word { en: "a pod has no controller", zh: "Pod 没有控制器" },
        "PolicyMissing" => Word { en: "a policy is missing", zh: "缺少准入策略" },
        "PolicyNotBound" => Word { en: "a policy is not bound", zh: "准入策略未绑定" },
        "PreApproved" => Word { en: "pre-approved", zh: "标准变更，已预先批准" },
        "PreCheckFailed" => Word { en: "unhealthy before the change", zh: "变更前检查未通过" },
        "PreconditionFailed" => Word { en: "somebody else has written to it", zh: "已被他人写入" },
        "PreflightFailed" => Word { en: "checks fail", zh: "预检未通过" },
        "PreflightPassed" => Word { en: "checks pass", zh: "预检通过" },
        "Previewed" => Word { en: "previewed", zh: "已预览" },
        "Probed" => Word { en: "restored and checked", zh: "已恢复并检查" },
        "ProbeFailed" => Word { en: "a probe fails", zh: "探测失败" },
        "ProberFailed" => Word { en: "the site's prober did not answer", zh: "站点探针无应答" },
        "ProberMissing" => Word { en: "the site has no prober", zh: "站点没有探针" },
        "ProbeUnmeasured" => Word { en: "a probe has no measurement", zh: "探测未测量" },
        "ProfileMissing" => Word { en: "the profile is missing", zh: "缺少规范" },
        "Proven" => Word { en: "proven", zh: "已验证" },
        "QuotaExceeded" => Word { en: "over its quota", zh: "超出配额" },
        "ReadErrors" => Word { en: "files could not be read", zh: "部分文件无法读取" },
        "RecordDamaged" => Word { en: "the installation record is unreadable", zh: "安装记录无法读取" },
        "RefusedByAdmission" => Word { en: "refused by admission", zh: "被准入控制拒绝" },
        "RegistriesMissing" => Word { en: "no registry is declared", zh: "未声明镜像仓库" },
        "RegistryUnreachable" => Word { en: "the registry is unreachable", zh: "镜像仓库不可达" },
        "Rejected" => Word { en: "rejected", zh: "已否决" },
        "ReportOverdue" => Word { en: "not reported in time", zh: "报告超时" },
        "RepositoryBusy" => Word { en: "another run uses the repository", zh: "备份库正由其他运行占用" },
        "RepositoryChanged" => Word { en: "the repository has changed", zh: "备份库已变更" },
        "RepositoryNotAllotted" => Word { en: "the repository is not the run's", zh: "备份库不属于本次运行" },
        "RepositoryRefused" => Word { en: "the repository refused", zh: "备份库拒绝" },
        "RepositoryUnopened" => Word { en: "the repository has not been opened yet", zh: "备份库尚未打开" },
        "RequesterCannotApprove" => Word { en: "the requester cannot approve", zh: "提出人不能批准" },
        "ReserveUsed" => Word { en: "the reserve is in use", zh: "已动用储备" },
        "Resolved" => Word { en: "all references exist", zh: "均已找到" },
        "ResolveOverdue" => Word { en: "not resolved in time", zh: "处理超时" },
        "RolesBound" => Word { en: "roles bound", zh: "角色已绑定" },
        "RolledBack" => Word { en: "rolled back", zh: "已回退" },
        "RPOExceeded" => Word { en: "RPO exceeded", zh: "超出 RPO" },
        "RPOUnproven" => Word { en: "RPO unproven", zh: "RPO 未经证明" },
        "RTOAndRPOExceeded" => Word { en: "RTO and RPO exceeded", zh: "RTO 与 RPO 均超出" },
        "RTOExceeded" => Word { en: "RTO exceeded", zh: "超出 RTO" },
        "Running" => Word { en: "running", zh: "进行中" },
        "SameFailureDomain" => Word { en: "in the same failure domain", zh: "处于同一故障域" },
        "SamePerson" => Word { en: "replaced by a newer decision of the same person", zh: "同一人已有新的意见" },
        "SecretIncomplete" => Word { en: "a key of a Secret is missing", zh: "Secret 缺少键" },
        "SecretMissing" => Word { en: "a Secret is missing", zh: "缺少 Secret" },
        "SharedFailureDomain" => Word { en: "sites share a failure domain", zh: "站点处于同一故障域" },
        "ShortPlank" => Word { en: "one layer limits the platform", zh: "存在短板" },
        "SiteBusy" => Word { en: "another run uses the site", zh: "站点正由其他运行占用" },
        "SiteMissing" => Word { en: "a site is missing", zh: "缺少站点" },
        "SiteNotAllotted" => Word { en: "the site is not assigned to the district", zh: "站点不属于本区" },
        "SiteUnreachable" | "Unreachable" => Word { en: "unreachable", zh: "不可达" },
        "Skipped" => Word { en: "skipped", zh: "已跳过" },
        "SnapshotMissing" => Word { en: "the snapshot is missing", zh: "缺少快照" },
        "StandbyUnreachable" => Word { en: "the standby is unreachable", zh: "备用站点不可达" },
        "StepFailed" => Word { en: "a step failed", zh: "步骤失败" },
        "Stored" => Word { en: "stored", zh: "已存储" },
        "StoreError" => Word { en: "the object store failed", zh: "对象存储出错" },
        "SubjectGone" => Word { en: "its subject no longer exists", zh: "对象已不存在" },
        "Superseded" => Word { en: "superseded", zh: "已被取代" },
        "TokenMissing" => Word { en: "the token is missing", zh: "缺少令牌" },
        "Uncovered" => Word { en: "nobody is on duty", zh: "无人值班" },
        "Unsupported" => Word { en: "not supported", zh: "不支持" },
        "UpgradeNeedsTicket" => Word { en: "an upgrade needs a ticket", zh: "升级需要工单" },
        "Valid" => Word { en: "valid", zh: "有效" },
        "VaultError" => Word { en: "the repository failed", zh: "备份库出错" },
        "VerificationFailed" => Word { en: "verification failed", zh: "验证失败" },
        "VerificationTooOld" => Word { en: "the newest verification is too old", zh: "验证已过期" },
        "VersionsDiffer" => Word { en: "versions differ", zh: "版本不一致" },
        "VersionUnsupported" => Word { en: "version not supported", zh: "版本不受支持" },
        "WebhookFailed" => Word { en: "the webhook did not accept the message", zh: "Webhook 未接收" },
        "WebhookInvalid" => Word { en: "the webhook is invalid", zh: "Webhook 配置无效" },
        "WithinObjectives" => Word { en: "within objectives", zh: "达标" },
        "WorkloadMissing" => Word { en: "a workload is missing", zh: "缺少工作负载" },
        "WorkloadNotReady" => Word { en: "a workload is not ready", zh: "工作负载未就绪" },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::reason;
    use std::{collections::BTreeSet, fs, path::Path};

    /// What stands before a reason in the operator's code.
    const BEFORE: [&str; 7] =
        ["Error::invalid(", "Error::transient(", "Failure::permanent(", "Failure::transient(", "Failure::refused(", "stated(", "reason: "];
    /// What stands before a condition's type and its reason.
    const VERDICTS: [&str; 3] = ["Verdict::good(", "Verdict::bad(", "Verdict::unknown("];

    fn sources(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).expect("the operator's code").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                sources(&entry, into);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&entry).expect("a source");
                into.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
            }
        }
    }

    /// The text between the next two quotation marks, if it is a reason, and what comes after.
    fn literal(text: &str) -> Option<(&str, &str)> {
        let (word, rest) = text.trim_start().strip_prefix('"')?.split_once('"')?;
        let is_reason = word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric());
        is_reason.then_some((word, rest))
    }

    #[test]
    fn every_reason_that_the_operator_gives_has_its_text_in_both_languages() {
        let mut code = String::new();
        for folder in ["src", "core/src", "vault/src"] {
            sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator").join(folder), &mut code);
        }
        let mut given: BTreeSet<&str> = BEFORE.iter().flat_map(|before| code.split(before).skip(1)).filter_map(literal).map(|(word, _)| word).collect();
        let after_type = |text| literal(text).and_then(|(_, rest)| literal(rest.strip_prefix(',')?));
        given.extend(VERDICTS.iter().flat_map(|before| code.split(before).skip(1)).filter_map(after_type).map(|(word, _)| word));
        assert!(given.len() > 60, "only {} reasons were found: is the code read as it is written?", given.len());
        let untold: Vec<&&str> = given.iter().filter(|word| reason(word).is_none()).collect();
        assert!(untold.is_empty(), "reasons without a text: {untold:?}");
    }
}
