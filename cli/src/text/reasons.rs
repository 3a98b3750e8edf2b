//! Texts of conditions' reasons. A reason is a name that programs read; people read these.

use super::Word;

/// The text of a reason, if there is one.
pub fn reason(reason: &str) -> Option<Word> {
    Some(match reason {
        "NeverVerified" => Word { en: "never verified", zh: "从未验证" },
        "VerificationTooOld" => Word { en: "verified too long ago", zh: "验证已过期" },
        "NeverBackedUp" => Word { en: "never backed up", zh: "从未备份" },
        "NoRecoveryPoint" => Word { en: "no backup to recover from", zh: "没有可用的恢复点" },
        "BackupOverdue" | "BackupTooOld" => Word { en: "the newest backup is too old", zh: "最近备份已过期" },
        "BackedUp" => Word { en: "backed up", zh: "已备份" },
        "NeverDrilled" => Word { en: "never drilled", zh: "从未演练" },
        "DrillPassed" => Word { en: "the newest drill passed", zh: "最近演练通过" },
        "DrillFailed" => Word { en: "the newest drill did not pass", zh: "最近演练未通过" },
        "DrillOverdue" => Word { en: "drilled too long ago", zh: "演练已过期" },
        "PreflightFailed" => Word { en: "checks fail", zh: "预检未通过" },
        "PlanNotReady" => Word { en: "the plan is not ready", zh: "预案未就绪" },
        "NotRecoverable" => Word { en: "not recoverable", zh: "不可恢复" },
        "WorkloadMissing" => Word { en: "a workload is missing", zh: "缺少工作负载" },
        "NamespaceMissing" => Word { en: "a namespace is missing", zh: "缺少命名空间" },
        "NamespaceTaken" => Word { en: "the namespace is another's", zh: "命名空间已被占用" },
        "NamespaceNotAllotted" => Word { en: "the namespace is not the district's", zh: "命名空间不属于本区" },
        "ChecksFail" => Word { en: "checks fail", zh: "检查未通过" },
        "ChecksPass" => Word { en: "checks pass", zh: "检查通过" },
        "RTOExceeded" => Word { en: "RTO exceeded", zh: "超出 RTO" },
        "RPOExceeded" => Word { en: "RPO exceeded", zh: "超出 RPO" },
        "Unreachable" => Word { en: "unreachable", zh: "不可达" },
        "CredentialsRefused" => Word { en: "credentials refused", zh: "凭据被拒绝" },
        "ClusterChanged" => Word { en: "another cluster answers", zh: "集群已变更" },
        "KeyWrong" => Word { en: "wrong password", zh: "口令错误" },
        "Damaged" => Word { en: "damaged", zh: "已损坏" },
        "Invalid" => Word { en: "invalid", zh: "无效" },
        "Compiled" => Word { en: "compiled", zh: "已编译" },
        "Complete" => Word { en: "complete", zh: "完成" },
        "NothingLeft" => Word { en: "nothing left", zh: "无残留" },
        "InUse" => Word { en: "in use", zh: "使用中" },
        "Aborted" => Word { en: "aborted", zh: "已中止" },
        "DeadlineExceeded" => Word { en: "took too long", zh: "超时" },
        "Open" => Word { en: "open", zh: "开放中" },
        "Frozen" => Word { en: "frozen", zh: "变更冻结" },
        "BetweenOccurrences" => Word { en: "closed", zh: "未到窗口时间" },
        _ => return None,
    })
}
