//! What commands and views say.

use super::{Bilingual, Word, both};
use p861_crds::{
    common::{ActionKind, RunPhase, StepCounts},
    protection::{
        backup::BackupContents,
        restore::{ConflictPolicy, RestoreChanges},
    },
};

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
    both(format!("There are no applications in {namespace}: p861 app discover NAMESPACE --site SITE"), format!("{namespace} 中没有应用：p861 app discover NAMESPACE --site SITE"))
}

/// An empty list.
pub fn no_repositories(namespace: &str) -> Bilingual {
    both(format!("There are no repositories in {namespace}: kubectl apply a BackupRepository"), format!("{namespace} 中没有备份库：请创建 BackupRepository"))
}

/// An empty list.
pub fn no_backups(namespace: &str, application: Option<&str>) -> Bilingual {
    let (of, of_zh) = application.map(|name| (format!(" of {name}"), format!(" {name} 的"))).unwrap_or_default();
    let name = application.unwrap_or("APPLICATION");
    both(format!("There are no backups{of} in {namespace}: p861 backup now {name}"), format!("{namespace} 中没有{of_zh}备份：p861 backup now {name}"))
}

/// An empty list.
pub fn no_restores(namespace: &str) -> Bilingual {
    both(format!("There are no restores in {namespace}: p861 restore preview BACKUP"), format!("{namespace} 中没有恢复：p861 restore preview BACKUP"))
}

/// An empty list.
pub fn no_plans(namespace: &str) -> Bilingual {
    both(format!("There are no plans in {namespace}: kubectl apply a RecoveryPlan"), format!("{namespace} 中没有预案：请创建 RecoveryPlan"))
}

/// An empty list.
pub fn no_drills(namespace: &str, plan: Option<&str>) -> Bilingual {
    let (of, of_zh) = plan.map(|name| (format!(" of {name}"), format!(" {name} 的"))).unwrap_or_default();
    let name = plan.unwrap_or("PLAN");
    both(format!("There are no drills{of} in {namespace}: p861 drill run {name}"), format!("{namespace} 中没有{of_zh}演练：p861 drill run {name}"))
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

/// After Ctrl-C.
pub fn ask_leaving(noun: &str) -> Bilingual {
    both(format!("Leave? The {noun} goes on. Ctrl-C or q: leave  a: abort the {noun}  any other key: stay"), "离开？任务会继续进行。Ctrl-C 或 q：离开  a：中止任务  其他键：留下")
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

/// What a preview will do.
pub fn preview_announced(backup: &str) -> Bilingual {
    both(format!("Preview of a restore of {backup}: nothing is written."), format!("预览恢复 {backup}：不写入任何内容。"))
}

/// What a restore does.
pub fn restore_announced(backup: &str) -> Bilingual {
    both(format!("Restore of {backup}."), format!("恢复 {backup}。"))
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
pub fn predicted_rto(rto: &str, target: Option<&str>) -> Bilingual {
    let (of, of_zh) = target.map(|target| (format!(" of {target}"), format!("，目标 {target}"))).unwrap_or_default();
    both(format!("Predicted RTO {rto}{of}."), format!("预测 RTO {rto}{of_zh}。"))
}

/// `predicted 9m40s of 30m (5 drills)`; without the drills if their number is 0.
pub fn predicted(rto: &str, target: Option<&str>, drills: i32) -> Bilingual {
    let (of, of_zh) = target.map(|target| (format!(" of {target}"), format!("／{target}"))).unwrap_or_default();
    let (from, from_zh) = match drills {
        0 => Default::default(),
        1 => (" (1 drill)".to_owned(), "（1 次演练）".to_owned()),
        many => (format!(" ({many} drills)"), format!("（{many} 次演练）")),
    };
    both(format!("predicted {rto}{of}{from}"), format!("预测 {rto}{of_zh}{from_zh}"))
}

/// The line under a drill's table.
pub fn longest_retried_skipped(longest: &[String], retried: i32, skipped: i32) -> Bilingual {
    let (en, zh) = if longest.is_empty() { (String::new(), String::new()) } else { (format!("Longest: {}. ", longest.join(", ")), format!("最长：{}。", longest.join("、"))) };
    both(format!("{en}Retried: {retried}. Skipped: {skipped}."), format!("{zh}重试：{retried}。跳过：{skipped}。"))
}

/// What was removed.
pub fn cleaned_up(removed: usize, left: &[String]) -> Bilingual {
    let (en, zh) = if left.is_empty() { ("nothing left".to_owned(), "无残留".to_owned()) } else { (format!("LEFT: {}", left.join(", ")), format!("残留：{}", left.join("、"))) };
    both(format!("Cleaned up: {}; {en}.", many_of(removed, "namespace")), format!("已清理：{removed} 个命名空间；{zh}。"))
}


/// What the operator says of the clean-up.
pub fn cleaned_up_says(message: &str) -> Bilingual {
    both(format!("Cleaned up: {message}."), format!("已清理：{message}。"))
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
    both("nothing was touched", "未触动任何资源")
}

/// In the head of an isolated drill.
pub fn untouched(site: &str) -> Bilingual {
    both(format!("{site} untouched"), format!("未触动 {site}"))
}

/// The newest drill of a plan.
pub fn drilled(result: &str, age: &str) -> Bilingual {
    both(format!("drilled {age} ago ({result})"), format!("{age}前演练（{result}）"))
}

/// A plan without a drill.
pub fn never_drilled() -> Bilingual {
    both("never drilled", "从未演练")
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

/// The verdict of `plan check`, and what else it can print.
pub fn plan_verdict(failed: usize, total: usize, steps: bool, graph: bool) -> Bilingual {
    let (en, zh) = match failed {
        0 => (format!("Ready: {total} of {total} pass."), format!("就绪：{total}/{total} 通过。")),
        1 => (format!("Not ready: 1 of {total} fails."), format!("未就绪：{total} 项中 1 项未通过。")),
        _ => (format!("Not ready: {failed} of {total} fail."), format!("未就绪：{total} 项中 {failed} 项未通过。")),
    };
    if steps || graph { both(en, zh) } else { both(format!("{en} --steps prints the steps, --graph the order."), format!("{zh}--steps 列出步骤，--graph 列出次序。")) }
}

/// The verdict on a plan that does not compile.
pub fn plan_broken() -> Bilingual {
    both("Not ready: the plan does not compile.", "未就绪：预案无法编译。")
}

/// No preflight yet.
pub fn not_checked(plan: &str, namespace: &str) -> Bilingual {
    both(
        format!("plan {plan} has not been checked in its present form: wait a moment, or see kubectl -n {namespace} get pods"),
        format!("预案 {plan} 的当前版本尚未检查：请稍候，或查看 kubectl -n {namespace} get pods"),
    )
}

/// `41 steps`.
pub fn steps_total(total: i32) -> Bilingual {
    both(many_of(total, "step"), format!("{total} 步"))
}

/// `epoch 7`.
pub fn epoch(epoch: i64) -> Bilingual {
    both(format!("epoch {epoch}"), format!("纪元 {epoch}"))
}

/// `digest 1f0e8b6a9d24`.
pub fn digest(digest: &str) -> Bilingual {
    both(format!("digest {digest}"), format!("摘要 {digest}"))
}

/// Nothing needs a person.
pub fn nothing_needed() -> Word {
    Word { en: "Nothing needs you.", zh: "没有待办事项。" }
}

/// Under a found application.
pub fn discover_next(file: &str) -> Bilingual {
    both(format!("Next: edit {file} (marked TODO), then kubectl apply -f {file}"), format!("下一步：编辑 {file}（标有 TODO 处），然后 kubectl apply -f {file}"))
}

/// An object without any condition.
pub fn never_looked_at() -> Bilingual {
    both("the operator has not looked at it yet", "operator 尚未检查")
}

/// A run that was paused.
pub fn is_paused() -> Bilingual {
    both("paused: nothing new is started", "已暂停：不再开始新的步骤")
}

/// An operator that does not renew its lease.
pub fn operator_silent(since: &str, age: impl Fn(super::Language) -> String) -> Bilingual {
    both(
        format!("the operator has not renewed its lease since {since} ({} ago): nothing here is newer", age(super::Language::En)),
        format!("operator 自 {since}（{}前）起未续租约：以上信息不会更新", age(super::Language::Zh)),
    )
}

/// An operator that was never there.
pub fn operator_never() -> Bilingual {
    both("no operator holds the lease: nothing is looked at", "没有 operator 持有租约：无人检查")
}

/// `hub on laoshan-dr`.
pub fn hub_on(site: &str) -> Bilingual {
    both(format!("hub on {site}"), format!("管理中心位于 {site}"))
}

/// `18/18 nodes`.
pub fn nodes(ready: i32, total: i32) -> Bilingual {
    both(format!("{ready}/{total} nodes"), format!("{ready}/{total} 个节点"))
}

/// `1 plan active`.
pub fn plans_active(number: usize) -> Bilingual {
    both(format!("{number} plan{} active", if number == 1 { "" } else { "s" }), format!("{number} 个预案在此运行"))
}

/// `0 of 1 plans ready`.
pub fn plans_ready(ready: usize, all: usize) -> Bilingual {
    both(format!("{ready} of {all} plans ready"), format!("{all} 个预案中 {ready} 个就绪"))
}

/// A run under way.
pub fn runs_now(run: &str) -> Bilingual {
    both(format!("{run} is running"), format!("{run} 进行中"))
}

/// `12 of 12 Protected, 11 Recoverable; oldest recovery point 32m`.
pub fn protection(all: usize, protected: usize, recoverable: usize, oldest: Option<&str>, without: usize) -> Bilingual {
    let (mut en, mut zh) = (format!("{protected} of {all} Protected, {recoverable} Recoverable"), format!("{all} 个应用中 {protected} 个已保护，{recoverable} 个可恢复"));
    if let Some(oldest) = oldest {
        en.push_str(&format!("; oldest recovery point {oldest}"));
        zh.push_str(&format!("；最旧恢复点 {oldest}"));
    }
    if without > 0 {
        en.push_str(&format!("; {without} without a backup"));
        zh.push_str(&format!("；{without} 个没有备份"));
    }
    both(en, zh)
}

/// What is in a backup.
pub fn contents(contents: &BackupContents) -> Bilingual {
    both(
        format!("{}, {}, {}", many_of(contents.objects, "object"), many_of(contents.volumes, "volume"), many_of(contents.streams, "stream")),
        format!("{} 个对象，{} 个卷，{} 个数据流", contents.objects, contents.volumes, contents.streams),
    )
}

/// The data in a backup.
pub fn data_parts(contents: &BackupContents) -> Bilingual {
    both(format!("{}, {}", many_of(contents.streams, "stream"), many_of(contents.volumes, "volume")), format!("{} 个数据流，{} 个卷", contents.streams, contents.volumes))
}

fn many_of(number: impl TryInto<i64>, one: &str) -> String {
    let number = number.try_into().unwrap_or(i64::MAX);
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// `137 objects`.
pub fn objects(number: i64) -> Bilingual {
    both(many_of(number, "object"), format!("{number} 个对象"))
}

/// What a restore changed.
pub fn changes(changes: &RestoreChanges) -> Bilingual {
    both(
        format!("{} created, {} changed, {} the same, {} refused", changes.create, changes.change, changes.same, changes.refused),
        format!("新建 {}，更改 {}，相同 {}，被拒绝 {}", changes.create, changes.change, changes.same, changes.refused),
    )
}

/// What a preview would do with an object. Names of the API stay as they are in English.
pub fn planned(action: &str, language: super::Language) -> String {
    let zh = match action {
        "create" => "新建",
        "change" => "更改",
        "same" => "相同",
        "refused" => "被拒绝",
        "data" => "数据",
        other => other,
    };
    both(action, zh).pick(language).to_owned()
}

/// Why a restore would stop.
pub fn preview_in_the_way(change: i64, refused: i64, policy: ConflictPolicy) -> Bilingual {
    let (mut en, mut zh) = (Vec::new(), Vec::new());
    if refused > 0 {
        en.push(format!("{refused} refused"));
        zh.push(format!("{refused} 个被拒绝"));
    }
    if change > 0 && policy == ConflictPolicy::Refuse {
        en.push(format!("{change} there and different, and the conflict policy is Refuse: nothing would be written"));
        zh.push(format!("{change} 个已存在且不同，而冲突策略为 Refuse：不会写入任何内容"));
    }
    both(format!("In the way: {}", en.join(", ")), format!("阻碍：{}", zh.join("，")))
}

/// The command of a preview.
pub fn to_do_it(command: &str) -> Bilingual {
    both(format!("To do it: {command}"), format!("执行：{command}"))
}

/// The head of what is asked before a restore.
pub fn restore_head(backup: &str) -> Bilingual {
    both(format!("RESTORE of {backup}: it changes what runs there now"), format!("恢复 {backup}：将改变现有运行内容"))
}

/// What becomes of objects that are there and different.
pub fn conflict(policy: ConflictPolicy) -> Word {
    match policy {
        ConflictPolicy::Refuse => Word { en: "Refuse: if one is there and different, nothing is written", zh: "Refuse：若有已存在且不同的对象，则不写入任何内容" },
        ConflictPolicy::Skip => Word { en: "Skip: those that are there stay as they are", zh: "Skip：已存在的对象保持不变" },
        ConflictPolicy::Merge => Word { en: "Merge: those that are there are changed to what the backup has", zh: "Merge：已存在的对象按备份更改" },
        ConflictPolicy::Replace => Word { en: "Replace: those that are there are deleted and made anew", zh: "Replace：已存在的对象删除后重建" },
    }
}

/// What becomes of data.
pub fn volumes_over() -> Bilingual {
    both("volumes and databases of the backup are written over what is there", "备份中的卷和数据库将覆盖现有数据")
}

/// Where files go.
pub fn files_into(files: &str, prefix: Option<&str>) -> Bilingual {
    match prefix {
        Some(prefix) => both(format!("{files}, under {prefix} of the volume"), format!("{files}，放到卷的 {prefix} 之下")),
        None => both(format!("{files}, over what is there"), format!("{files}，覆盖现有文件")),
    }
}

/// `cpu 4, memory 23 GiB, pods 110`.
pub fn capacity(cpu: &str, memory: &str, pods: &str) -> Bilingual {
    both(format!("cpu {cpu}, memory {memory}, pods {pods}"), format!("CPU {cpu}，内存 {memory}，容器组 {pods}"))
}

/// Where the order comes from.
pub fn from_services(order: &str) -> Bilingual {
    both(format!("{order}, from who calls whose Service"), format!("{order}，依据 Service 的调用关系"))
}

/// An address that a drill's copy can't reach.
pub fn names_outside(place: &str, address: &str) -> Bilingual {
    both(format!("{place} names {address}: unreachable in a drill unless isolation.allowEgress has it"), format!("{place} 指向 {address}：演练中不可达，除非 isolation.allowEgress 允许"))
}

/// Addresses that are not listed.
pub fn more_outside(number: usize) -> Bilingual {
    both(format!("{number} more addresses"), format!("另有 {number} 个地址"))
}

/// What a person must add.
pub fn yours() -> Bilingual {
    both("names, department, criticality, marker: marked TODO", "名称、部门、重要程度、标记：已标 TODO")
}

/// A database that was found.
pub fn found_stream(product: &str, stream: &str, has_claims: bool) -> Bilingual {
    let (en, zh) = if has_claims { (", its volume skipped", "，不备份其卷") } else { ("", "") };
    both(format!("{product}: stream {stream}{en}"), format!("{product}：数据流 {stream}{zh}"))
}

/// A claim that was found.
pub fn found_files(claim: &str, size: Option<&str>) -> Bilingual {
    let size = size.map(|size| format!(" {size}")).unwrap_or_default();
    both(format!("{claim}{size} (files)"), format!("{claim}{size}（文件）"))
}

/// No data was found.
pub fn no_data() -> Bilingual {
    both("none: no claim, no database that is known by its image", "无：没有存储卷声明，也没有可识别的数据库镜像")
}
