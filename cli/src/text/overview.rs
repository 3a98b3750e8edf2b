//! What `status` and plans say.

use super::{Bilingual, Language, Word, both, many_of, span};
use std::fmt::Write as _;

/// `predicted 9m40s of 30m (5 drills)`; without the drills if their number is 0.
pub fn predicted(rto: &str, target: Option<&str>, drills: i32) -> Bilingual {
    let (of, of_zh) = target.map(|target| (format!(" of {target}"), format!("／{}", span(target, Language::Zh)))).unwrap_or_default();
    let (from, from_zh) = match drills {
        0 => Default::default(),
        1 => (" (1 drill)".to_owned(), "（1 次演练）".to_owned()),
        many => (format!(" ({many} drills)"), format!("（{many} 次演练）")),
    };
    both(format!("predicted {rto}{of}{from}"), format!("预测 {}{of_zh}{from_zh}", span(rto, Language::Zh)))
}

/// The newest drill of a plan.
pub fn drilled(result: &str, age: &str) -> Bilingual {
    both(format!("drilled {age} ago ({result})"), format!("{age}前演练（{result}）"))
}

/// A name with more in brackets.
pub fn with_more(name: &str, more: &str) -> Bilingual {
    both(format!("{name} ({more})"), format!("{name}（{more}）"))
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

/// The verdict of `plan check`, and what else it can print.
pub fn plan_verdict(failed: usize, total: usize, steps: bool, graph: bool) -> Bilingual {
    let (en, zh) = match failed {
        0 => (format!("Ready for a drill: {total} of {total} pass."), format!("可以演练：{total}/{total} 通过。")),
        1 => (format!("Not ready: 1 of {total} fails."), format!("未就绪：{total} 项中 1 项未通过。")),
        _ => (format!("Not ready: {failed} of {total} fail."), format!("未就绪：{total} 项中 {failed} 项未通过。")),
    };
    if steps || graph {
        both(en, zh)
    } else {
        both(format!("{en} --steps prints the steps, --graph the order."), format!("{zh}--steps 列出步骤，--graph 列出次序。"))
    }
}

/// The verdict on a plan that does not compile.
pub fn plan_broken() -> Bilingual {
    both("Not ready: the plan does not compile.", "未就绪：无法由预案生成步骤。")
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

/// Below a table, about the columns for which the terminal is too narrow.
pub fn columns_left_out(number: usize) -> Bilingual {
    both(format!("{number} more column{}: --wide", if number == 1 { "" } else { "s" }), format!("另有 {number} 列：--wide"))
}

/// Nothing needs a person.
pub fn nothing_needed() -> Word {
    Word { en: "Nothing needs you.", zh: "没有待办事项。" }
}

/// An object without any condition.
pub fn never_looked_at() -> Bilingual {
    both("the operator has not checked it yet", "operator 尚未检查")
}

/// Items of the profile that no application provides, and where it is declared that one does.
pub fn items_missing(keys: &[&str]) -> Bilingual {
    match keys {
        [only] => both(
            format!("the profile expects {only}, and no application provides it; declare spec.profileItem: {only} in the Application that does"),
            format!("规范要求构成项 {only}，尚无应用提供；请在提供它的 Application 中写明 spec.profileItem: {only}"),
        ),
        _ => both(
            format!("the profile expects {}, and no application provides them; declare each as spec.profileItem of the Application that does", keys.join(", ")),
            format!("规范要求构成项 {}，尚无应用提供；请在提供各项的 Application 中用 spec.profileItem 写明", keys.join("、")),
        ),
    }
}

/// An incident that nobody has acknowledged.
pub fn nobody_has_it() -> Bilingual {
    both("not acknowledged yet", "尚无人响应")
}

/// A change that too few people have agreed to: never those who asked for it, or wrote a part of its plan. `is_own` if the reader is one of them.
pub fn waits_for_approvals(missing: i32, authors: &[String], is_own: bool) -> Bilingual {
    let plural = if missing == 1 { "" } else { "s" };
    let (en, zh) = match (is_own, authors) {
        (true, _) => (" of another person: you asked for it or wrote a part of its plan".to_owned(), "（您是提出人或方案编写人，须由他人批准）".to_owned()),
        (false, []) => (String::new(), String::new()),
        (false, authors) => (format!(", not of {}", authors.join(" or ")), format!("（{} 不计入）", authors.join("、"))),
    };
    both(format!("waits for {missing} approval{plural}{en}"), format!("还需 {missing} 人批准{zh}"))
}

/// What is next: a plan.
pub fn next_plan() -> Bilingual {
    both("say how it is done, so that it can be approved", "请填写方案，以便批准")
}

/// What is next after a rejection.
pub fn next_plan_anew() -> Bilingual {
    both("it was rejected: plan it otherwise, or cancel it", "已被否决：请更改方案或取消")
}

/// What is next: somebody starts the work.
pub fn next_start(later: Option<&str>) -> Bilingual {
    match later {
        Some(time) => both(format!("it may be started from {time}"), format!("{time} 起可开始作业")),
        None => both("it is approved and may be started now: nobody has started it", "已获批准，现在即可开始作业，但尚无人开始"),
    }
}

/// What is next: the operator starts the work.
pub fn next_starts_itself(later: Option<&str>) -> Bilingual {
    match later {
        Some(time) => both(format!("it begins by itself at {time}"), format!("{time} 自动开始")),
        None => both("it begins by itself now", "即将自动开始"),
    }
}

/// What is next after the work.
pub fn next_resolve_change() -> Bilingual {
    both("the work is done: resolve it if it was good, start it again if not", "作业已完成：结果良好请解决，否则请重新开始作业")
}

/// What is next of an incident that somebody has.
pub fn next_resolve_incident(has_alerts: bool) -> Bilingual {
    if has_alerts {
        both("it closes by itself when its alerts end; if they are wrong, resolve it", "告警恢复后自动关闭；若为误报请解决")
    } else {
        both("resolve it when it is over", "事件结束后请解决")
    }
}

/// What is next of what was suspended.
pub fn next_resume() -> Bilingual {
    both("it is suspended: resume it to go on", "已挂起：继续处理请恢复")
}

/// A run that was paused.
pub fn is_paused() -> Bilingual {
    both("paused: no new steps are started", "已暂停：不再开始新的步骤")
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

/// `0 of 1 plans pass their checks`.
pub fn plans_passing(passing: usize, all: usize) -> Bilingual {
    both(format!("{passing} of {all} plans pass their checks"), format!("{all} 个预案中 {passing} 个预检通过"))
}

/// A run under way.
pub fn runs_now(run: &str) -> Bilingual {
    both(format!("{run} is running"), format!("{run} 进行中"))
}

/// `12 of 12 Protected, 11 Recoverable; oldest recovery point 32m`.
pub fn protection(all: usize, protected: usize, recoverable: usize, oldest: Option<&str>, without: usize) -> Bilingual {
    let (mut en, mut zh) =
        (format!("{protected} of {all} Protected, {recoverable} Recoverable"), format!("{all} 个应用中 {protected} 个已保护，{recoverable} 个可恢复"));
    if let Some(oldest) = oldest {
        let _ = write!(en, "; oldest recovery point {oldest}");
        let _ = write!(zh, "；最早的恢复点 {oldest}");
    }
    if without > 0 {
        let _ = write!(en, "; {without} without a backup");
        let _ = write!(zh, "；{without} 个没有备份");
    }
    both(en, zh)
}

/// `cpu 4, memory 23 GiB, pods 110`.
pub fn capacity(cpu: &str, memory: &str, pods: &str) -> Bilingual {
    both(format!("cpu {cpu}, memory {memory}, pods {pods}"), format!("CPU {cpu}，内存 {memory}，Pod {pods}"))
}
