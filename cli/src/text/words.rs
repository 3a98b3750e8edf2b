//! Words: heads of tables, names of facts, phases, results, conditions.

use super::Word;
use p861_crds::{
    ConditionType,
    common::RunPhase,
    platform::{application::VolumeMethod, district::SiteRole, profile::Layer, status::State},
    protection::restore::RestoreMode,
    recovery::drill::{DrillResult, DrillType},
};

macro_rules! words {
    ($($name:ident: $en:literal, $zh:literal;)*) => { $(#[doc = $en] pub const $name: Word = Word { en: $en, zh: $zh };)* };
}

words! {
    ACTIVE: "ACTIVE", "当前站点";
    ADDED: "ADDED", "新增";
    AFTER: "AFTER", "前置";
    AGE: "AGE", "距今";
    AGENT: "AGENT", "代理";
    APPLICATION: "APPLICATION", "应用";
    ASSUMED: "assumed", "推定";
    BACKUP: "BACKUP", "备份";
    APPLICATIONS: "APPLICATIONS", "应用数";
    CAPACITY: "CAPACITY", "容量";
    CHECKED: "CHECKED", "已检查";
    CHECKS: "CHECKS", "检查";
    CLEAN: "CLEAN", "已清理";
    CLUSTER_UID: "CLUSTER UID", "集群标识";
    CODE: "CODE", "区划代码";
    COLON: ": ", "：";
    COMMA: ", ", "，";
    BETWEEN: ", ", "、";
    DATA_AS_OF: "DATA AS OF", "数据截至";
    DAY: "DAY", "日期";
    DEADLINE: "DEADLINE", "期限";
    DEPARTMENT: "DEPARTMENT", "部门";
    DISTRICT: "DISTRICT", "区";
    DOMAIN: "FAILURE DOMAIN", "故障域";
    DRILL: "DRILL", "演练";
    DRILLED: "DRILLED", "已演练";
    EPOCH: "EPOCH", "纪元";
    ESCROW: "ESCROW", "密钥托管";
    FALSE: "False", "否";
    FROM: "FROM", "来自";
    HEALTHY: "HEALTHY", "健康";
    HUB_ITSELF: "the hub itself", "管理中心自身";
    ID: "ID", "标识";
    KIND: "KIND", "类型";
    ACTION: "ACTION", "操作";
    WHY: "WHY", "原因";
    LAST: "LAST", "上次";
    LAST_BACKUP: "LAST BACKUP", "最近备份";
    LISTED: ", ", "、";
    LOCATION: "LOCATION", "位置";
    MAX_AGE: "MAX AGE", "验证时限";
    MISSED: "MISSED", "错过";
    MARKER: "marker", "数据标记";
    MODE: "MODE", "方式";
    NAME: "NAME", "名称";
    NAMESPACE: "NAMESPACE", "命名空间";
    NEXT: "NEXT", "下次";
    NOW_AND_LAST_TIME: "now/before", "本次/上次";
    NOBODYS_NAMESPACE: " (no application's; made if it isn't there)", "（不属于任何应用；不存在时新建）";
    OFF_SITE: "OFF SITE", "异地";
    PERCENT: "PERCENT", "进度";
    PHASE: "PHASE", "阶段";
    PLAN: "PLAN", "预案";
    POLICY: "POLICY", "策略";
    PRIMARY: "PRIMARY", "主用";
    PROFILE: "PROFILE", "规范";
    PROOF: "PROOF", "依据";
    PROTECTED: "PROTECTED", "已保护";
    READY: "READY", "就绪";
    READY_NODES: "NODES", "节点";
    READY_NOW: "Ready", "就绪";
    REASON: "REASON", "原因";
    RECOVERABLE: "RECOVERABLE", "可恢复";
    REPOSITORY: "REPOSITORY", "备份库";
    RESTORE: "RESTORE", "恢复";
    RESULT: "RESULT", "结果";
    RPO: "RPO", "RPO";
    RPO_TARGET: "RPO TARGET", "RPO 目标";
    RTO: "RTO", "RTO";
    RTO_TARGET: "RTO TARGET", "RTO 目标";
    SCHEDULE: "SCHEDULE", "时间表";
    RUN: "RUN", "当前任务";
    SEMICOLON: "; ", "；";
    SITE: "SITE", "站点";
    SIZE: "SIZE", "大小";
    SNAPSHOT: "SNAPSHOT", "快照";
    SNAPSHOTS: "SNAPSHOTS", "快照";
    STANDBY: "STANDBY", "备用";
    STARTED: "STARTED", "开始";
    STEP: "STEP", "步骤";
    TIMES: "TIMES", "时刻";
    TIME_ZONE: "TIME ZONE", "时区";
    TRUE: "True", "是";
    TYPE: "TYPE", "类型";
    UNKNOWN: "Unknown", "未知";
    USED: "USED", "已用";
    VERIFIED: "VERIFIED", "已验证";
    WAITING: "WAITING", "等待";
    VERSION: "KUBERNETES", "Kubernetes";
    WINDOW: "WINDOW", "窗口";
    TEMPLATE: "TEMPLATE", "模板";
    PUBLISHER: "PUBLISHED BY", "发布人";
    WORK: "WORK", "作业";
    DIGEST: "DIGEST", "摘要";
    TICKET: "TICKET", "工单";
    PRIORITY: "PRI", "优先级";
    STATE: "STATE", "状态";
    ASSIGNEE: "ASSIGNEE", "处理人";
    DUE: "DUE", "时限";
    TITLE: "TITLE", "标题";
    LEVEL: "LEVEL", "级别";
    ON_DUTY: "ON DUTY", "值班人";
    UNTIL: "UNTIL", "截至";
    REMARK: "REMARK", "备注";
    FIRING: "firing", "告警中";
    TICKET_OPENED: "opened", "提出";
    REPORTED: "reported to the authority", "已上报主管部门";
    APPROVED: "approved", "已批准";
    REJECTED: "rejected", "已否决";
    WORK_BEGAN: "work began by itself", "作业自动开始";
    ALERTS_ENDED: "none of its alerts fires any more", "其告警均已恢复";
    RESOLVED: "resolved", "已恢复";
    F_STATE: "state", "状态";
    F_ASSIGNEE: "assignee", "处理人";
    F_RESOLUTION: "resolution", "处理结果";
    F_REQUESTED_BY: "opened by", "提出人";
    F_AFFECTS: "affects", "影响";
    F_FROM: "from", "来自";
    F_DUE: "due", "时限";
    F_STARTS: "may start", "可开始";
    F_NEXT: "next", "下一步";
    F_PLAN_OF_CHANGE: "how", "方案";
    F_ROLLBACK: "rollback", "回退";
    F_CLASS: "class", "变更类别";
    F_TEMPLATE: "template", "模板";
    F_PUBLISHER: "published by", "发布人";
    F_WORK: "work", "作业";
    F_LIMITS: "limits", "限定";
    F_BUNDLES: "manifests from", "安装包来源";
    F_DIGEST: "digest", "摘要";
    F_ALERT: "alert", "告警";
    F_NODE: "node", "节点";
    F_STEPS: "steps", "步骤";
    F_STEP: "step", "当前步骤";
    F_BACKUP_TAKEN: "backup taken", "已做备份";
    F_SILENCE: "silence", "告警静默";
    F_TOLD: "notified", "通知";
    OPEN: "OPEN", "开放";
    OPENS: "OPENS", "下次开放";
    CLOSES: "CLOSES", "关闭";
    FOR: "FOR", "适用变更";
    F_OPENS: "opens", "开放";
    F_CLOSES: "closes", "关闭";
    F_FOR: "for changes", "适用变更";
    F_RECURRENCE: "recurrence", "周期";
    F_DATE: "date", "日期";
    F_FREEZE: "freeze", "变更冻结";
    F_TIME_ZONE: "time zone", "时区";
    WHOLE_PLAN: "plan", "预案";
    WRITER: "WRITER", "写入站点";
    D_CLUSTER: "cluster", "集群";
    D_DATA: "data", "数据";
    D_ORDER: "order", "次序";
    D_OUTSIDE: "outside", "外部";
    D_WORKLOADS: "workloads", "工作负载";
    D_YOURS: "yours", "待填";
    F_ACCESS: "access", "接入";
    F_ACTIVE_SITE: "active site", "当前站点";
    F_AGENT: "agent", "代理";
    F_APPLICATIONS: "applications", "应用数";
    F_APPLICATION: "application", "应用";
    F_ALLOCATABLE: "allocatable", "可分配";
    F_AT_ONCE: "backups at once", "并行备份";
    F_BACKUP: "newest backup", "最近备份";
    F_CLUSTER_UID: "cluster UID", "集群标识";
    F_CONTENTS: "contents", "内容";
    F_CHANGED_FILES: "changed", "读取期间变化";
    F_DATA: "data", "数据";
    F_DATA_AS_OF: "data as of", "数据截至";
    F_DEFAULT_FOR: "default for", "默认用于";
    F_DEPARTMENT: "department", "部门";
    F_DOMAIN: "failure domain", "故障域";
    F_DRILL: "newest drill", "最近演练";
    F_FILES: "files", "文件";
    F_FROM_BACKUP: "backup", "备份";
    F_BEGINS_WITHIN: "begins within", "开始时限";
    F_GROUPS: "groups", "分组";
    F_FORGOTTEN: "forgotten", "已删除快照";
    F_HISTORY: "objects kept", "保留对象";
    F_JITTER: "spread over", "错开";
    F_KEPT: "snapshots kept", "保留快照";
    F_LAST: "last", "上次";
    F_LAST_CHECK: "last check", "最近检查";
    F_NEXT_RETENTION: "next", "下次处理";
    F_PRUNED: "pruned", "最近回收";
    F_MARKED: "to be removed", "待删除";
    F_TO_FORGET: "to be forgotten", "待删除快照";
    F_LEFT_OUT: "left out", "未恢复";
    F_LOCATION: "location", "位置";
    F_MISSED: "missed", "错过";
    F_MISSING: "missing", "缺少";
    F_MOVERS: "movers at once", "并行搬运";
    F_NAMESPACES: "namespaces", "命名空间";
    F_NEXT_SLOT: "next", "下次";
    F_NEXT_BACKUP: "next backup", "下次备份";
    F_NODES: "nodes ready", "就绪节点";
    F_OBJECTS: "objects", "对象";
    F_OBJECTIVES: "objectives", "目标";
    F_PLAN: "recovery plan", "恢复预案";
    F_POLICY: "backup policy", "备份策略";
    F_PREVIEW: "preview", "预览";
    F_REPOSITORY: "repository", "备份库";
    F_REPOSITORY_ID: "repository id", "备份库标识";
    F_REQUESTED: "requested", "已申请";
    F_SCHEDULE: "schedule", "时间表";
    F_RUN: "running", "当前任务";
    F_SITE: "site", "站点";
    F_SIZE: "size", "大小";
    F_SNAPSHOT: "snapshot", "快照";
    F_SNAPSHOTS: "snapshots", "快照";
    F_UPLOAD: "upload limit", "上传限速";
    F_USED: "used", "已用";
    F_VERIFICATION: "verification", "验证";
    F_VERIFIED: "verified", "已验证";
    F_VERSION: "Kubernetes", "Kubernetes";
    F_VOLUME_METHOD: "claims saved by", "卷保存方式";
    F_VOLUMES: "volumes", "卷";
    F_WAITS: "waits", "等待";
    KEY_ABORT: "a abort", "a 中止";
    KEY_ANSWER: "y/n answer", "y/n 答复";
    KEY_CLEAN_UP: "c clean up", "c 清理";
    KEY_LOG: "l log", "l 日志";
    KEY_PAUSE: "p pause", "p 暂停";
    KEY_RESUME: "p resume", "p 继续";
    KEY_RETRY: "r retry", "r 重试";
    KEY_SKIP: "s skip", "s 跳过";
    KEY_TREE: "l steps", "l 步骤";
    VERB_AGAIN: "again", "重试";
    VERB_ASKS: "asks", "询问";
    VERB_DONE: "done", "完成";
    VERB_ENDED: "ended", "结束";
    VERB_FAILED: "failed", "失败";
    VERB_NOT_RUN: "not run", "未执行";
    VERB_PHASE: "phase", "阶段";
    VERB_REFUSED: "refused", "拒绝";
    SKIPPED_BY_PERSON: "skipped by a person", "人工跳过";
    VERB_SKIPPED: "skipped", "跳过";
    VERB_STARTED: "started", "开始";
    VERB_STOPPED: "stopped", "停止";
    VERB_UNDONE: "undone", "撤销";
    VERB_WAITS: "waits", "等待";
    SITES: "SITES", "站点";
    PROTECTION: "PROTECTION", "保护";
    RECOVERY: "RECOVERY", "恢复";
    NEEDS_YOU: "NEEDS YOU", "待办";
    PLATFORM: "PLATFORM", "平台";
    ADVICE: "ADVICE", "建议";
    ALL: "all", "全部";
    BASIS: "BASIS", "依据";
    BOTH: "both", "两站";
    COMPONENT: "COMPONENT", "组件";
    DECLARED: "DECLARED", "声明版本";
    DISTRICTS: "DISTRICTS", "区";
    EDITION: "EDITION", "版本";
    GAP: "GAP", "差距";
    GAPS: "GAPS", "差距";
    INSTALLED: "INSTALLED", "已装版本";
    ITEM: "ITEM", "构成项";
    ITEMS: "ITEMS", "构成项";
    LAYER: "LAYER", "层";
    PROVIDED_BY: "PROVIDED BY", "提供者";
    PROVISIONAL: "PROVISIONAL", "待考";
    REMEDY: "REMEDY", "措施";
    SHORT: "RUNS SHORT", "预计短缺";
    SOURCE: "SOURCE", "来源";
    SUPPORTS: "SUPPORTS", "可支撑";
}

/// The word for a kind, as the command line calls it.
pub fn noun(noun: &str) -> Word {
    match noun {
        "site" => Word { en: "Site", zh: "站点" },
        "district" => Word { en: "District", zh: "区" },
        "app" => Word { en: "Application", zh: "应用" },
        "profile" => Word { en: "Profile", zh: "规范" },
        "platform" => Word { en: "Platform", zh: "平台" },
        "repository" => Word { en: "Repository", zh: "备份库" },
        "policy" => Word { en: "Backup policy", zh: "备份策略" },
        "backup" => Word { en: "Backup", zh: "备份" },
        "restore" => Word { en: "Restore", zh: "恢复" },
        "plan" => Word { en: "Plan", zh: "预案" },
        "drill" => Word { en: "Drill", zh: "演练" },
        "ticket" => Word { en: "Ticket", zh: "工单" },
        "duty" => Word { en: "Duty roster", zh: "值班表" },
        "window" => Word { en: "Maintenance window", zh: "维护窗口" },
        "template" => Word { en: "Template", zh: "变更模板" },
        _ => Word { en: "Object", zh: "对象" },
    }
}

/// The word for a layer of the platform.
pub fn layer(layer: Layer) -> Word {
    match layer {
        Layer::Network => Word { en: "Network", zh: "网络" },
        Layer::Servers => Word { en: "Servers", zh: "服务器" },
        Layer::Storage => Word { en: "Storage", zh: "存储" },
        Layer::Security => Word { en: "Security", zh: "安全" },
        Layer::BaseSoftware => Word { en: "BaseSoftware", zh: "基础软件" },
    }
}

/// The word for how a layer, a component or an item stands.
pub fn state(state: State) -> Word {
    match state {
        State::Ready => Word { en: "Ready", zh: "就绪" },
        State::Weak => Word { en: "Weak", zh: "薄弱" },
        State::Missing => Word { en: "Missing", zh: "缺失" },
        State::NotAssessed => Word { en: "NotAssessed", zh: "未评定" },
    }
}

/// The word for a phase.
pub fn phase(phase: RunPhase) -> Word {
    match phase {
        RunPhase::Pending => Word { en: "pending", zh: "等待" },
        RunPhase::Running => Word { en: "running", zh: "进行中" },
        RunPhase::Paused => Word { en: "paused", zh: "已暂停" },
        RunPhase::WaitingForPerson => Word { en: "waiting for a person", zh: "等待人工" },
        RunPhase::Aborting => Word { en: "aborting", zh: "正在中止" },
        RunPhase::CleaningUp => Word { en: "cleaning up", zh: "正在清理" },
        RunPhase::Succeeded => Word { en: "succeeded", zh: "成功" },
        RunPhase::Failed => Word { en: "failed", zh: "失败" },
        RunPhase::Aborted => Word { en: "aborted", zh: "已中止" },
        RunPhase::Refused => Word { en: "refused", zh: "被拒绝" },
    }
}

/// The word for a drill's result.
pub fn result(result: DrillResult) -> Word {
    match result {
        DrillResult::Passed => Word { en: "passed", zh: "通过" },
        DrillResult::Failed => Word { en: "failed", zh: "未通过" },
        DrillResult::Incomplete => Word { en: "incomplete", zh: "未完成" },
    }
}

/// The word for how far a drill goes.
pub fn drill_type(kind: DrillType) -> Word {
    match kind {
        DrillType::Tabletop => Word { en: "tabletop", zh: "桌面" },
        DrillType::Isolated => Word { en: "isolated", zh: "隔离" },
        DrillType::Live => Word { en: "live", zh: "实战" },
    }
}

/// The word for a site's part in a district.
pub fn role(role: SiteRole) -> Word {
    match role {
        SiteRole::Primary => Word { en: "Primary", zh: "主用" },
        SiteRole::Standby => Word { en: "Standby", zh: "备用" },
        SiteRole::Edge => Word { en: "Edge", zh: "边缘" },
    }
}

/// The word for what a restore does.
pub fn mode(mode: RestoreMode) -> Word {
    match mode {
        RestoreMode::Execute => Word { en: "restore", zh: "恢复" },
        RestoreMode::Preview => Word { en: "preview", zh: "预览" },
    }
}

/// How claims are saved, in words.
pub fn volume_method(method: VolumeMethod) -> Word {
    match method {
        VolumeMethod::Snapshot => Word { en: "volume snapshots", zh: "卷快照" },
        VolumeMethod::Files => Word { en: "their files", zh: "读取文件" },
        VolumeMethod::Skip => Word { en: "nothing: they are skipped", zh: "不备份" },
    }
}

/// Words of step ids: the verbs, and what they act on. See [`p861_core::runs::StepKey`].
pub fn step_word(key: &str) -> Option<Word> {
    Some(match key {
        "preflight" => Word { en: "preflight", zh: "预检" },
        "isolate" => Word { en: "isolate", zh: "隔离" },
        "prove-isolation" => Word { en: "prove isolation", zh: "验证隔离" },
        "verify" => Word { en: "verify", zh: "验证" },
        "objects" => Word { en: "objects", zh: "对象" },
        "objects-again" => Word { en: "try refused objects again", zh: "重试被拒的对象" },
        "volume" => Word { en: "volume", zh: "卷" },
        "stream" => Word { en: "stream", zh: "数据流" },
        "compare" => Word { en: "compare", zh: "比对" },
        "stop" => Word { en: "stop", zh: "停止" },
        "start" => Word { en: "start", zh: "启动" },
        "rest" => Word { en: "the rest", zh: "其余" },
        "check" => Word { en: "check", zh: "检查" },
        "marker" => Word { en: "marker", zh: "数据标记" },
        "seal" => Word { en: "seal", zh: "封存" },
        "prepare" => Word { en: "make namespaces", zh: "建立命名空间" },
        "hold" => Word { en: "hold", zh: "保留" },
        "quiesce" => Word { en: "quiesce", zh: "暂停写入" },
        "snapshot" => Word { en: "take volume snapshots", zh: "创建卷快照" },
        "remove-snapshots" => Word { en: "remove volume snapshots", zh: "移除卷快照" },
        "resume" => Word { en: "resume", zh: "恢复写入" },
        "clean-up" => Word { en: "clean up", zh: "清理" },
        "forget" => Word { en: "forget snapshots", zh: "删除快照" },
        "prune" => Word { en: "prune", zh: "回收备份库空间" },
        "manual" => Word { en: "manual work", zh: "人工作业" },
        "backup" => Word { en: "backup", zh: "备份" },
        "silence" => Word { en: "silence", zh: "静默告警" },
        "end-silence" => Word { en: "end silence", zh: "结束静默" },
        "inspect" => Word { en: "inspect", zh: "检查节点" },
        "cordon" => Word { en: "cordon", zh: "封锁节点" },
        "drain" => Word { en: "drain", zh: "排空节点" },
        "uncordon" => Word { en: "uncordon", zh: "解除封锁" },
        "install" => Word { en: "install", zh: "安装" },
        "health" => Word { en: "health", zh: "健康检查" },
        "watch" => Word { en: "watch", zh: "观察" },
        "end-install" => Word { en: "end install", zh: "结束安装" },
        _ => return None,
    })
}

/// The word for a condition, or for a state that is shown like one.
pub fn condition(kind: &str) -> Option<Word> {
    Some(match kind.parse() {
        Ok(ConditionType::Ready) => Word { en: "Ready", zh: "就绪" },
        Ok(ConditionType::Reachable) => Word { en: "Reachable", zh: "可达" },
        Ok(ConditionType::Healthy) => Word { en: "Healthy", zh: "健康" },
        Ok(ConditionType::Protected) => Word { en: "Protected", zh: "已保护" },
        Ok(ConditionType::Recoverable) => Word { en: "Recoverable", zh: "可恢复" },
        Ok(ConditionType::ReadyToFailover) => Word { en: "ReadyToFailover", zh: "可切换" },
        Ok(ConditionType::DrainSafe) => Word { en: "DrainSafe", zh: "排空无损" },
        Ok(ConditionType::Drilled) => Word { en: "Drilled", zh: "已演练" },
        Ok(ConditionType::Succeeded) => Word { en: "Succeeded", zh: "成功" },
        Ok(ConditionType::ObjectivesMet) => Word { en: "ObjectivesMet", zh: "达标" },
        Ok(ConditionType::CleanedUp) => Word { en: "CleanedUp", zh: "已清理" },
        Ok(ConditionType::Verified) => Word { en: "Verified", zh: "已验证" },
        Ok(ConditionType::Open) => Word { en: "Open", zh: "开放" },
        Ok(ConditionType::Approved) => Word { en: "Approved", zh: "已批准" },
        Ok(ConditionType::Blocked) => Word { en: "Unblocked", zh: "无阻碍" },
        Ok(ConditionType::WithinClocks) => Word { en: "WithinClocks", zh: "未超时" },
        Ok(ConditionType::Counted) => Word { en: "Counted", zh: "有效" },
        Ok(ConditionType::PeopleReachable) => Word { en: "PeopleReachable", zh: "人员可达" },
        Ok(ConditionType::AlertsArrive) => Word { en: "AlertsArrive", zh: "告警通路" },
        Ok(ConditionType::OffSite) => Word { en: "OffSite", zh: "异地" },
        Ok(ConditionType::Checked) => Word { en: "Checked", zh: "已检查" },
        Ok(ConditionType::AccessApplied) => Word { en: "AccessApplied", zh: "权限已应用" },
        Ok(ConditionType::ObjectsLimited) => Word { en: "ObjectsLimited", zh: "对象数量已限制" },
        Ok(ConditionType::Balanced) => Word { en: "Balanced", zh: "均衡" },
        Ok(ConditionType::BaseSoftwareReady) => Word { en: "BaseSoftwareReady", zh: "基础软件就绪" },
        Ok(ConditionType::Committed) => Word { en: "Committed", zh: "已提交" },
        Ok(ConditionType::EscrowProven) => Word { en: "EscrowProven", zh: "托管密钥已验证" },
        Ok(ConditionType::Kept) => Word { en: "Kept", zh: "保留" },
        Ok(ConditionType::Pruned) => Word { en: "Pruned", zh: "空间已回收" },
        Ok(ConditionType::NetworkReady) => Word { en: "NetworkReady", zh: "网络就绪" },
        Ok(ConditionType::SecurityReady) => Word { en: "SecurityReady", zh: "安全就绪" },
        Ok(ConditionType::ServersReady) => Word { en: "ServersReady", zh: "服务器就绪" },
        Ok(ConditionType::SingleWriter) => Word { en: "SingleWriter", zh: "单一写入" },
        Ok(ConditionType::StorageReady) => Word { en: "StorageReady", zh: "存储就绪" },
        Err(_) => return other_state(kind),
    })
}

/// The word for a state that is shown like a condition and is none.
fn other_state(state: &str) -> Option<Word> {
    Some(match state {
        "Items" => Word { en: "Items", zh: "构成项" },
        "Alive" => Word { en: "Alive", zh: "存活" },
        "Paused" => Word { en: "Paused", zh: "已暂停" },
        "Scheduled" => Word { en: "Scheduled", zh: "已排期" },
        "Verifying" => Word { en: "Verifying", zh: "验证中" },
        "WaitingForPerson" => Word { en: "WaitingForPerson", zh: "等待人工" },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_a_condition_as_it_is_printed() {
        let mut named = 0;
        for (message, _) in p861_core::told::pairs() {
            let mut words = message.split_whitespace().skip_while(|word| !matches!(*word, "condition" | "conditions")).skip(1);
            while let Some(word) =
                words.next().map(|word| word.trim_matches([',', ':', ';', '.'])).filter(|word| *word == "and" || word.parse::<ConditionType>().is_ok())
            {
                if let Some(printed) = condition(word) {
                    named += 1;
                    assert_eq!(printed.en, word, "{message:?} names a condition that pages call otherwise");
                }
            }
        }
        assert!(named > 0, "no message names a condition: this test shows nothing");
    }
}
