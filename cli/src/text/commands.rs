//! What commands and views say.

use super::{Bilingual, Word, both};
use p861_crds::common::{ActionKind, RunPhase, StepCounts};

/// An empty list.
pub fn no_sites() -> Bilingual {
    both("There are no sites: kubectl apply a Site", "没有站点：请创建 Site")
}

/// An empty list.
pub fn no_districts() -> Bilingual {
    both("There are no districts: kubectl apply a District", "没有区：请创建 District")
}

/// An empty list.
pub fn no_applications(namespace: &str) -> Bilingual {
    both(format!("There are no applications in {namespace}: p861 app discover"), format!("{namespace} 中没有应用：p861 app discover"))
}

/// An empty list.
pub fn no_repositories(namespace: &str) -> Bilingual {
    both(format!("There are no repositories in {namespace}: kubectl apply a BackupRepository"), format!("{namespace} 中没有备份库：请创建 BackupRepository"))
}

/// An empty list.
pub fn no_backups(namespace: &str) -> Bilingual {
    both(format!("There are no backups in {namespace}: p861 backup now"), format!("{namespace} 中没有备份：p861 backup now"))
}

/// An empty list.
pub fn no_restores(namespace: &str) -> Bilingual {
    both(format!("There are no restores in {namespace}"), format!("{namespace} 中没有恢复"))
}

/// An empty list.
pub fn no_plans(namespace: &str) -> Bilingual {
    both(format!("There are no plans in {namespace}: kubectl apply a RecoveryPlan"), format!("{namespace} 中没有预案：请创建 RecoveryPlan"))
}

/// An empty list.
pub fn no_drills(namespace: &str) -> Bilingual {
    both(format!("There are no drills in {namespace}: p861 drill run"), format!("{namespace} 中没有演练：p861 drill run"))
}

/// An empty list.
pub fn no_windows(namespace: &str) -> Bilingual {
    both(format!("There are no maintenance windows in {namespace}: kubectl apply a MaintenanceWindow"), format!("{namespace} 中没有维护窗口：请创建 MaintenanceWindow"))
}

/// `12 of 24 steps, 1 failed`.
pub fn step_counts(steps: &StepCounts) -> Bilingual {
    let (mut en, mut zh) = (format!("{} of {} steps", steps.done, steps.total), format!("{}/{} 步", steps.done, steps.total));
    for (number, word_en, word_zh) in [(steps.failed, "failed", "失败"), (steps.skipped, "skipped", "跳过")] {
        if number > 0 {
            en.push_str(&format!(", {number} {word_en}"));
            zh.push_str(&format!("，{number} {word_zh}"));
        }
    }
    both(en, zh)
}

/// `2nd attempt`.
pub fn attempt(number: i32) -> Bilingual {
    let ending = match (number % 10, number % 100) {
        (1, n) if n != 11 => "st",
        (2, n) if n != 12 => "nd",
        (3, n) if n != 13 => "rd",
        _ => "th",
    };
    both(format!("{number}{ending} attempt"), format!("第 {number} 次尝试"))
}

/// What the operator says of a step; its fixed words are translated.
pub fn operator_says(message: &str) -> Bilingual {
    let zh = match message {
        "under way" => "进行中",
        "its pod starts" => "容器启动中",
        "its mover starts" => "搬运任务启动中",
        "its mover is being stopped" => "搬运任务停止中",
        other => other,
    };
    both(message, zh)
}

/// In the head of a view.
pub fn elapsed_word(time: &str) -> Bilingual {
    both(format!("elapsed {time}"), format!("已用 {time}"))
}

/// In the head of a view.
pub fn rto_target(time: &str) -> Bilingual {
    both(format!("RTO target {time}"), format!("RTO 目标 {time}"))
}

/// In the head of a view.
pub fn about_to_go(time: &str) -> Bilingual {
    both(format!("about {time} to go"), format!("约剩 {time}"))
}

/// How long work under way will take.
pub fn eta(time: &str) -> Bilingual {
    both(format!("eta {time}"), format!("剩余 {time}"))
}

/// The time until which something stands.
pub fn until(time: &str) -> Bilingual {
    both(format!("until {time}"), format!("截至 {time}"))
}

/// What a step waits for.
pub fn waits_for(what: &str) -> Bilingual {
    both(format!("waits for {what}"), format!("等待 {what}"))
}

/// The last step.
pub fn clean_up_always() -> Bilingual {
    both("always, also if this terminal closes", "总会执行，即使关闭此终端")
}

/// Steps that don't fit.
pub fn more_done(number: usize) -> Bilingual {
    both(format!("{number} more steps done"), format!("另有 {number} 步已完成"))
}

/// Steps that don't fit.
pub fn more_to_come(number: usize) -> Bilingual {
    both(format!("{number} more steps to come"), format!("另有 {number} 步待执行"))
}

/// Actions that wait for the operator.
pub fn actions_unread(number: usize) -> Bilingual {
    both(format!("{number} asked, not yet read by the operator"), format!("{number} 项请求待处理"))
}

/// The key that leaves.
pub fn key_quit(noun: &str) -> Bilingual {
    both(format!("q leave (the {noun} goes on)"), "q 离开（任务继续）")
}

/// A key without anything to act on.
pub fn nothing_to_retry() -> Bilingual {
    both("the marked step waits for no retry", "所选步骤无需重试")
}

/// A key without anything to act on.
pub fn nothing_to_skip() -> Bilingual {
    both("no step is marked", "未选择步骤")
}

/// A key without anything to act on.
pub fn nothing_to_answer() -> Bilingual {
    both("the marked step asks nothing", "所选步骤没有提问")
}

/// A question was left.
pub fn nothing_was_asked() -> Bilingual {
    both("nothing was asked for", "未提交任何请求")
}

/// A reason must be typed.
pub fn reason_needed() -> Bilingual {
    both("a reason is needed: it stands in the journal and the report", "需要填写原因：它会写入日志和报告")
}

/// Asks why.
pub fn ask_reason(action: ActionKind, step: Option<&str>, answer: Option<&str>, required: bool) -> Bilingual {
    let what = [Some(format!("{action:?}")), step.map(str::to_owned), answer.map(str::to_owned)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let (en, zh) = if required { ("why?", "原因？") } else { ("why? (may be left empty)", "原因？（可留空）") };
    both(format!("{what}: {en}"), format!("{what}：{zh}"))
}

/// Before the first answer.
pub fn asking_the_hub() -> Bilingual {
    both("asking the hub …", "正在询问管理中心…")
}

/// An action was sent.
pub fn action_asked(kind: ActionKind, step: Option<&str>) -> Bilingual {
    let step = step.map(|step| format!(" {step}")).unwrap_or_default();
    both(format!("{kind:?}{step} was asked for"), format!("已请求 {kind:?}{step}"))
}

/// An action was read.
pub fn action_read(noun: &str, name: &str, phase: RunPhase, back: &str) -> Bilingual {
    both(format!("the operator has read it; {noun} {name} is {phase}: {back}"), format!("operator 已读取；{noun} {name}：{phase}：{back}"))
}

/// An action was not read.
pub fn action_unread(noun: &str, name: &str, seconds: u64, back: &str) -> Bilingual {
    both(
        format!("the operator has not read it after {seconds} s; it stands in {noun} {name} and will be read: kubectl -n p861-system get pods, {back}"),
        format!("{seconds} 秒后 operator 仍未读取；请求已写入 {noun} {name}，将会被处理：kubectl -n p861-system get pods，{back}"),
    )
}

/// A run was started and is not watched.
pub fn started(noun: &str, name: &str, watch: &str) -> Bilingual {
    both(format!("{noun} {name} was started: {watch}"), format!("{noun} {name} 已开始：{watch}"))
}

/// The view was left.
pub fn left(noun: &str, name: &str, back: &str) -> Bilingual {
    both(format!("{noun} {name} goes on: {back}"), format!("{noun} {name} 继续进行：{back}"))
}

/// `--timeout` has passed.
pub fn timed_out(noun: &str, name: &str, back: &str) -> Bilingual {
    both(format!("--timeout has passed; {noun} {name} goes on: {back}"), format!("已到 --timeout；{noun} {name} 继续进行：{back}"))
}

/// A person is waited for.
pub fn person_waited_for(step: &str, question: &str, command: &str) -> Bilingual {
    both(format!("{step} waits for a person: {question}: {command}"), format!("{step} 等待人工：{question}：{command}"))
}

/// What a drill will do.
pub fn drill_announced(plan: &str, site: Option<&str>, home: Option<&str>) -> Bilingual {
    let (on, home) = (site.map(|site| format!(" on {site}")).unwrap_or_default(), home.unwrap_or("the primary"));
    both(
        format!("Isolated drill of {plan}{on}. Nothing of {home} is touched; backups go on; everything made is removed."),
        format!("{plan} 的隔离演练{}。不触动 {home}；备份照常；所建资源全部清除。", site.map(|site| format!("，在 {site} 进行")).unwrap_or_default()),
    )
}

/// What a tabletop drill will do.
pub fn tabletop_announced(plan: &str) -> Bilingual {
    both(format!("Tabletop drill of {plan}: compiled, checked, predicted; nothing is touched."), format!("{plan} 的桌面演练：编译、检查、预测；不触动任何资源。"))
}

/// What a backup will do.
pub fn backup_announced(application: &str) -> Bilingual {
    both(format!("Backup of {application}. It keeps running."), format!("备份 {application}，应用照常运行。"))
}

/// What a restore will do.
pub fn restore_announced(backup: &str, preview: bool) -> Bilingual {
    if preview {
        both(format!("Preview of a restore of {backup}: nothing is written."), format!("预览恢复 {backup}：不写入任何内容。"))
    } else {
        both(format!("Restore of {backup}."), format!("恢复 {backup}。"))
    }
}

/// Asks for a name in full.
pub fn type_to_go_on(name: &str) -> Bilingual {
    both(format!("Type {name} to go on, anything else to stop:"), format!("输入 {name} 继续，输入其他内容停止："))
}

/// The age of what is recovered.
pub fn data_as_of(time: &str, age: &str, backup: Option<&str>) -> Bilingual {
    let from = backup.map(|backup| format!(", {backup}")).unwrap_or_default();
    both(format!("data as of {time} ({age} old{from})"), format!("数据截至 {time}（{age} 前{from}）"))
}

/// What a tabletop drill expects.
pub fn predicted(rto: &str, target: Option<&str>) -> Bilingual {
    let (of, of_zh) = target.map(|target| (format!(" of {target}"), format!("，目标 {target}"))).unwrap_or_default();
    both(format!("Predicted RTO {rto}{of}."), format!("预测 RTO {rto}{of_zh}。"))
}

/// The line under a drill's table.
pub fn longest_retried_skipped(longest: &[String], retried: i32, skipped: i32) -> Bilingual {
    let (en, zh) = if longest.is_empty() { (String::new(), String::new()) } else { (format!("Longest: {}. ", longest.join(", ")), format!("最长：{}。", longest.join("、"))) };
    both(format!("{en}Retried: {retried}. Skipped: {skipped}."), format!("{zh}重试：{retried}。跳过：{skipped}。"))
}

/// What was removed.
pub fn cleaned_up(removed: &[String], left: &[String]) -> Bilingual {
    let (en, zh) = if left.is_empty() { ("nothing left".to_owned(), "无残留".to_owned()) } else { (format!("LEFT: {}", left.join(", ")), format!("残留：{}", left.join("、"))) };
    both(format!("Cleaned up: {}; {en}.", removed.join(", ")), format!("已清理：{}；{zh}。", removed.join("、")))
}

/// What the operator says of the clean-up.
pub fn cleaned_up_says(message: &str) -> Bilingual {
    both(format!("Cleaned up: {message}."), format!("已清理：{message}。"))
}

/// Where the report is.
pub fn report_command(name: &str) -> Bilingual {
    both(format!("Report: p861 drill report {name} -o html > report.html"), format!("报告：p861 drill report {name} -o html > report.html"))
}

/// A span of time.
pub fn from_to(start: &str, end: &str) -> Bilingual {
    both(format!("{start} to {end}"), format!("{start} 至 {end}"))
}

/// In the head of a tabletop drill.
pub fn nothing_touched() -> Bilingual {
    both("nothing was touched", "未触动任何资源")
}

/// In the head of an isolated drill.
pub fn untouched(site: &str) -> Bilingual {
    both(format!("{site} untouched"), format!("未触动 {site}"))
}

/// The newest drill of a plan.
pub fn drilled(result: &str, age: &str) -> Bilingual {
    both(format!("{result} {age} ago"), format!("{age}前{result}"))
}

/// `15 of 20`.
pub fn of(part: &str, whole: &str) -> Bilingual {
    both(format!("{part} of {whole}"), format!("{part}／{whole}"))
}

/// A time and how long ago it was.
pub fn ago(time: &str, age: &str) -> Bilingual {
    both(format!("{time} ({age} ago)"), format!("{time}（{age}前）"))
}

/// The foot of a shortened list of backups.
pub fn backups_shown(shown: usize, all: usize) -> Bilingual {
    both(format!("{shown} of {all} (newest, and newest of each level); --all for all"), format!("共 {all} 个，显示 {shown} 个（最近的，以及各级别最近的）；--all 显示全部"))
}

/// The verdict of `plan check`.
pub fn plan_verdict(failed: usize, total: usize) -> Bilingual {
    if failed == 0 {
        both(format!("Ready: {total} of {total} pass."), format!("就绪：{total}/{total} 通过。"))
    } else {
        both(format!("Not ready: {failed} of {total} fails."), format!("未就绪：{total} 项中 {failed} 项未通过。"))
    }
}

/// No preflight yet.
pub fn not_checked(plan: &str) -> Bilingual {
    both(format!("plan {plan} has not been checked yet: wait for the operator"), format!("预案 {plan} 尚未检查：请等待 operator"))
}

/// Nothing needs a person.
pub fn nothing_needed() -> Word {
    Word { en: "Nothing needs you.", zh: "没有待办事项。" }
}

/// Under a found application.
pub fn discover_next(file: &str) -> Bilingual {
    both(format!("Next: edit {file} (marked TODO), then kubectl apply -f {file}"), format!("下一步：编辑 {file}（标有 TODO 处），然后 kubectl apply -f {file}"))
}
