//! What each alert means, for `p861 explain ALERT`. What is to be done about one stands in the runbook of its name.

use super::super::Word;

/// An alert of the chart.
#[derive(Debug)]
pub struct Alert {
    /// Its name, and its runbook's.
    pub name: &'static str,
    /// How bad it is: `critical` calls somebody, whatever the hour.
    pub severity: &'static str,
    /// What it has found.
    pub meaning: Word,
}

const fn critical(name: &'static str, en: &'static str, zh: &'static str) -> Alert {
    Alert { name, severity: "critical", meaning: Word { en, zh } }
}

const fn warning(name: &'static str, en: &'static str, zh: &'static str) -> Alert {
    Alert { name, severity: "warning", meaning: Word { en, zh } }
}

/// All alerts, as the list of runbooks has them.
#[rustfmt::skip]
pub static ALERTS: [Alert; 29] = [
    warning("P861AlertPostsRefused", "The operator refuses posts from an Alertmanager.", "operator 拒绝了 Alertmanager 的推送。"),
    critical("P861AlertsNotArriving", "The heartbeat of a site's alerts does not arrive.", "某个站点的心跳告警中断。"),
    warning("P861BackupFailed", "A backup of an application has failed.", "应用的一次备份失败。"),
    warning("P861BackupMissed", "Backups by a policy do not begin at their times.", "备份策略的备份没有按时开始。"),
    critical("P861BackupOverdue", "An application has no recovery point within its RPO.", "应用没有满足 RPO 的恢复点。"),
    critical("P861CertificateExpiring", "A certificate expires within 14 days, or has expired.", "证书将在 14 天内到期或已到期。"),
    warning("P861CleanUpFailed", "Objects created by a run cannot be removed.", "任务所建的对象无法清除。"),
    warning("P861DrillFailed", "The newest drill of a plan did not pass.", "恢复预案最近一次演练未通过。"),
    warning("P861DrillOverdue", "A plan has not been drilled for 31 days.", "恢复预案已超过 31 天未演练。"),
    critical("P861DutyUncovered", "A level of a roster has nobody on duty.", "值班表有级别无人值班。"),
    warning("P861InvalidObject", "This version of the operator cannot read some objects.", "当前版本的 operator 无法读取部分对象。"),
    warning("P861MessagesUndelivered", "Messages to people on duty are not delivered.", "值班通知无法送达。"),
    critical("P861NoLeader", "The operator is running, but no replica leads.", "operator 在运行，但没有领导者。"),
    warning("P861ObjectsNotReconciled", "Objects of a district can't be looked after.", "区内有对象迟迟未能处理完成。"),
    critical("P861OperatorDown", "Prometheus cannot scrape any replica of the operator.", "Prometheus 采集不到任何 operator 副本的指标。"),
    warning("P861OperatorStarved", "The operator keeps losing its lease.", "operator 反复丢失租约。"),
    warning("P861PeopleUnreachable", "A roster's test message did not reach everybody.", "值班表的测试消息未全部送达。"),
    warning("P861PlatformFull", "A district's platform has no capacity for another application.", "区平台已无法再支撑新的应用。"),
    critical("P861PlatformLayerMissing", "Something declared in a layer is missing.", "平台某一层缺少声明的内容。"),
    warning("P861PlatformLayerWeak", "A layer has been weak for six hours.", "平台某一层偏弱已有六小时。"),
    warning("P861PlatformRunsShort", "A layer will run short within 60 days.", "平台某一层将在 60 天内不足。"),
    warning("P861ReconcileErrors", "Reconciles of a kind keep failing.", "operator 处理某类对象时持续出错。"),
    critical("P861RepositoryDamaged", "A file in a repository is missing or modified.", "备份库中有文件缺失或被改动。"),
    critical("P861RepositoryNotReady", "A repository cannot be used.", "备份库不可用。"),
    warning("P861RunFailed", "A restore, or the work of a change, has failed.", "一次恢复或一项变更的作业失败。"),
    warning("P861RunStuck", "A run has made no progress for ten minutes.", "任务已十分钟没有进展。"),
    warning("P861SiteNodesNotReady", "Nodes of a site are not ready.", "站点有节点未就绪。"),
    critical("P861SiteUnreachable", "The API server of a site does not answer the hub.", "管理中心无法访问站点的 API 服务器。"),
    warning("P861TicketOverdue", "Tickets have missed a deadline.", "有工单超时。"),
];
