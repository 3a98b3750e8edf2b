//! What commands say: empty lists, drills, what was started.

use super::{Bilingual, Language, both, many_of, measured, span, told};
use jiff::SignedDuration;
use std::fmt::Write;

/// An empty list.
pub fn no_sites() -> Bilingual {
    both("There are no sites; declare a Site: kubectl explain sites.spec", "没有站点；请创建 Site：kubectl explain sites.spec")
}

/// An empty list.
pub fn no_districts() -> Bilingual {
    both("There are no districts; declare a District: kubectl explain districts.spec", "没有区；请创建 District：kubectl explain districts.spec")
}

/// An empty list.
pub fn no_applications(namespace: &str, place: &str) -> Bilingual {
    both(
        format!("There are no applications in {namespace}: p861 app discover NAMESPACE --site SITE{place}"),
        format!("{namespace} 中没有应用：p861 app discover NAMESPACE --site SITE{place}"),
    )
}

/// An empty list.
pub fn no_repositories(namespace: &str) -> Bilingual {
    both(
        format!("There are no repositories in {namespace}; declare a BackupRepository: kubectl explain backuprepositories.spec"),
        format!("{namespace} 中没有备份库；请创建 BackupRepository：kubectl explain backuprepositories.spec"),
    )
}

/// An empty list.
pub fn no_backups(namespace: &str, application: Option<&str>, place: &str) -> Bilingual {
    let (of, of_zh) = application.map(|name| (format!(" of {name}"), format!(" {name} 的"))).unwrap_or_default();
    let name = application.unwrap_or("APPLICATION");
    both(
        format!("There are no backups{of} in {namespace}: p861 backup now {name}{place}"),
        format!("{namespace} 中没有{of_zh}备份：p861 backup now {name}{place}"),
    )
}

/// An empty list.
pub fn no_restores(namespace: &str, place: &str) -> Bilingual {
    both(
        format!("There are no restores in {namespace}: p861 restore preview BACKUP{place}"),
        format!("{namespace} 中没有恢复：p861 restore preview BACKUP{place}"),
    )
}

/// An empty list.
pub fn no_plans(namespace: &str) -> Bilingual {
    both(
        format!("There are no plans in {namespace}; declare a RecoveryPlan: kubectl explain recoveryplans.spec"),
        format!("{namespace} 中没有预案；请创建 RecoveryPlan：kubectl explain recoveryplans.spec"),
    )
}

/// An empty list.
pub fn no_drills(namespace: &str, plan: Option<&str>, place: &str) -> Bilingual {
    let (of, of_zh) = plan.map(|name| (format!(" of {name}"), format!(" {name} 的"))).unwrap_or_default();
    let name = plan.unwrap_or("PLAN");
    both(
        format!("There are no drills{of} in {namespace}: p861 drill run {name}{place}"),
        format!("{namespace} 中没有{of_zh}演练：p861 drill run {name}{place}"),
    )
}

/// An empty list.
pub fn no_policies(namespace: &str) -> Bilingual {
    both(
        format!(
            "There are no backup policies in {namespace}, so nothing is backed up unless somebody asks; declare a BackupPolicy: kubectl explain backuppolicies.spec"
        ),
        format!("{namespace} 中没有备份策略，无人要求时不会备份；请创建 BackupPolicy：kubectl explain backuppolicies.spec"),
    )
}

/// An empty list.
pub fn no_windows(namespace: &str) -> Bilingual {
    both(
        format!("There are no maintenance windows in {namespace}; declare a MaintenanceWindow: kubectl explain maintenancewindows.spec"),
        format!("{namespace} 中没有维护窗口；请创建 MaintenanceWindow：kubectl explain maintenancewindows.spec"),
    )
}

/// An empty list.
pub fn no_templates(namespace: &str) -> Bilingual {
    both(
        format!("No template applies to {namespace}, so every change needs an approval: an Approver can publish a ChangeTemplate"),
        format!("{namespace} 没有可用的变更模板，每项变更均须批准：批准人可创建 ChangeTemplate"),
    )
}

/// What a drill will do.
pub fn drill_announced(plan: &str, site: Option<&str>, home: Option<&str>) -> Bilingual {
    if let Some(site) = site.filter(|site| Some(*site) == home) {
        return both(
            format!("Isolated drill of {plan} on {site}, where its applications run: proves nothing of the plan. Everything created is removed."),
            format!("{plan} 的隔离演练，在应用所在的 {site} 进行：不能证明该预案。结束后清理全部新建的资源。"),
        );
    }
    let (on, home) = (site.map(|site| format!(" on {site}")).unwrap_or_default(), home.unwrap_or("the primary"));
    both(
        format!("Isolated drill of {plan}{on}. {home} is not touched, backups continue, and everything created is removed."),
        format!(
            "{plan} 的隔离演练{}。不影响 {home}；备份照常进行；结束后清理全部新建的资源。",
            site.map(|site| format!("，在 {site} 进行")).unwrap_or_default()
        ),
    )
}

/// A drill that can't meet an RPO, before it starts.
pub fn rpo_missed(application: &str, age: SignedDuration, rpo: SignedDuration, place: &str) -> Bilingual {
    let [age_en, rpo_en] = [age, rpo].map(|time| measured(time, Language::En));
    let [age_zh, rpo_zh] = [age, rpo].map(|time| measured(time, Language::Zh));
    both(
        format!(
            "the newest backup of {application} is {age_en} old and its RPO is {rpo_en}: this drill will miss it; for a drill that can pass, take a backup first: p861 backup now {application}{place}"
        ),
        format!("{application} 的最新备份距今 {age_zh}，而其 RPO 为 {rpo_zh}：本次演练无法满足 RPO；要能通过，请先备份：p861 backup now {application}{place}"),
    )
}

/// The same, of a recovery point that was asked for.
pub fn rpo_missed_by_choice(application: &str, age: SignedDuration, rpo: SignedDuration) -> Bilingual {
    let [age_en, rpo_en] = [age, rpo].map(|time| measured(time, Language::En));
    let [age_zh, rpo_zh] = [age, rpo].map(|time| measured(time, Language::Zh));
    both(
        format!("the recovery point of {application} is at least {age_en} old, as --not-after asks, and its RPO is {rpo_en}: this drill will miss it"),
        format!("按 --not-after 的要求，{application} 的恢复点距今至少 {age_zh}，而其 RPO 为 {rpo_zh}：本次演练无法满足 RPO"),
    )
}

/// What a tabletop drill will do.
pub fn tabletop_announced(plan: &str) -> Bilingual {
    both(
        format!("Tabletop drill of {plan}: compiles, checks and predicts; changes nothing."),
        format!("{plan} 的桌面演练：生成步骤、检查、预测；不改动任何资源。"),
    )
}

/// What a backup will do.
pub fn backup_announced(application: &str) -> Bilingual {
    both(format!("Backup of {application}. The application keeps running."), format!("备份 {application}，应用照常运行。"))
}

/// Asks for a name in full.
pub fn type_to_go_on(name: &str) -> Bilingual {
    both(format!("Type {name} to continue, anything else to stop:"), format!("输入 {name} 继续，输入其他内容停止："))
}

/// What a tabletop drill expects.
pub fn predicted_rto(rto: &str, target: Option<&str>) -> Bilingual {
    let (of, of_zh) = target.map(|target| (format!(" of {target}"), format!("，目标 {}", span(target, Language::Zh)))).unwrap_or_default();
    both(format!("Predicted RTO {rto}{of}."), format!("预测 RTO {}{of_zh}。", span(rto, Language::Zh)))
}

/// The line under a drill's table.
pub fn longest_retried_skipped(longest: &[String], retried: i32, (skipped, not_run): (i32, i32)) -> Bilingual {
    let (en, zh) = if longest.is_empty() {
        (String::new(), String::new())
    } else {
        (format!("Longest: {}. ", longest.join(", ")), format!("最长：{}。", longest.join("、")))
    };
    let (never, never_zh) = if not_run > 0 { (format!(" Not run: {not_run}."), format!("未执行：{not_run}。")) } else { (String::new(), String::new()) };
    both(format!("{en}Retried: {retried}. Skipped by a person: {skipped}.{never}"), format!("{zh}重试：{retried}。人工跳过：{skipped}。{never_zh}"))
}

/// What was removed.
pub fn cleaned_up(removed: usize, left: &[String]) -> Bilingual {
    let (en, zh) = if left.is_empty() {
        ("nothing left".to_owned(), "无残留".to_owned())
    } else {
        (format!("LEFT: {}", left.join(", ")), format!("残留：{}", left.join("、")))
    };
    both(format!("Cleaned up: {}; {en}.", many_of(removed, "namespace")), format!("已清理：{removed} 个命名空间；{zh}。"))
}

/// What the operator says of the clean-up.
pub fn cleaned_up_says(message: &str) -> Bilingual {
    let Bilingual { en, zh } = told(message);
    both(format!("Cleaned up: {en}."), format!("已清理：{zh}。"))
}

/// Where the report is.
pub fn report_command(name: &str, place: &str) -> Bilingual {
    both(format!("Report: p861 drill report {name} -o html{place} > report.html"), format!("报告：p861 drill report {name} -o html{place} > report.html"))
}

/// A span of time.
pub fn from_to(start: &str, end: &str) -> Bilingual {
    both(format!("{start} to {end}"), format!("{start} 至 {end}"))
}

/// In the head of a tabletop drill.
pub fn nothing_touched() -> Bilingual {
    both("nothing was touched", "未改动任何资源")
}

/// In the head of an isolated drill.
pub fn untouched(site: &str) -> Bilingual {
    both(format!("{site} untouched"), format!("未影响 {site}"))
}

/// In the head of an isolated drill whose copy is beside the applications.
pub fn beside_applications(site: &str) -> Bilingual {
    both(format!("on {site}, where the applications run: proves nothing of the plan"), format!("在应用所在的 {site} 进行：不能证明该预案"))
}

/// The foot of a shortened list of backups.
pub fn backups_shown(shown: usize, all: usize) -> Bilingual {
    both(
        format!("{shown} of {all} (newest, and newest of each level); --all for all"),
        format!("共 {all} 个，显示 {shown} 个（最近的，以及各级别最近的）；--all 显示全部"),
    )
}

/// An empty list.
pub fn no_profiles() -> Bilingual {
    both(
        "There are no profiles; declare a PlatformProfile: kubectl explain platformprofiles.spec",
        "没有规范；请创建 PlatformProfile：kubectl explain platformprofiles.spec",
    )
}

/// The operator has not looked yet.
pub fn platform_not_judged(name: &str) -> Bilingual {
    both(format!("platform {name} has not been assessed yet: wait for the operator"), format!("平台 {name} 尚未评定：请等待 operator"))
}

/// What the platform carries, in one line.
pub fn platform_summary(running: i64, supportable: Option<i64>, shortest: Option<&str>, excess: &[String]) -> Bilingual {
    let (mut en, mut zh) = match supportable {
        Some(number) => (format!("{running} applications run, {number} supportable"), format!("运行 {running} 个应用，可支撑 {number} 个")),
        None => (format!("{running} applications run, number supportable unknown"), format!("运行 {running} 个应用，可支撑数未知")),
    };
    if let Some(shortest) = shortest {
        let _ = write!(en, "; weakest layer {shortest}");
        let _ = write!(zh, "；短板：{shortest}");
    }
    if !excess.is_empty() {
        let _ = write!(en, "; oversized: {}", excess.join(", "));
        let _ = write!(zh, "；一枝独秀：{}", excess.join("、"));
    }
    both(en, zh)
}

/// `62 applications`.
pub fn applications(number: i64) -> Bilingual {
    both(many_of(number, "application"), format!("{number} 个应用"))
}

/// A layer far above the shortest.
pub fn lopsided(shortest: &str) -> Bilingual {
    both(format!("oversized: more than 3 × {shortest}"), format!("一枝独秀：超过{shortest}的 3 倍"))
}

/// What to do about a layer far above the shortest.
pub fn spend_first(shortest: &str) -> Bilingual {
    both(format!("strengthen {shortest} first"), format!("先加强{shortest}"))
}

/// Under the table of gaps.
pub fn gaps_foot(missing: &[String], provisional: usize, short: Option<(&str, String)>) -> Bilingual {
    let (mut en, mut zh) = if missing.is_empty() {
        ("No item is missing.".to_owned(), "构成项无缺失。".to_owned())
    } else {
        (format!("Missing items: {}.", missing.join(", ")), format!("缺失项：{}。", missing.join("、")))
    };
    if provisional > 0 {
        let _ = write!(en, " Not assessed (provisional): {provisional}.");
        let _ = write!(zh, "未评定（待考）：{provisional} 项。");
    }
    if let Some((layer, day)) = short {
        let _ = write!(en, " {layer} runs short {day} at today's growth.");
        let _ = write!(zh, "按目前的增长，{layer}将于 {day} 不足。");
    }
    both(en, zh)
}

/// What a forecast rests on.
pub fn forecast_basis(days: i32) -> Bilingual {
    both(format!("linear, {days} days"), format!("线性推算，{days} 天"))
}

/// Nothing is counted.
pub fn nothing_to_forecast() -> Bilingual {
    both("Nothing to forecast yet: it needs a profile, and capacities in the Platform", "尚无可预测的数据：需要规范，并在 Platform 中声明容量")
}
