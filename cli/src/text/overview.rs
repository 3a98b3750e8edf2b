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

/// Items of the profile that no application provides.
pub fn items_missing(keys: &[&str]) -> Bilingual {
    both(format!("no application provides {}", keys.join(", ")), format!("尚无应用提供：{}", keys.join("、")))
}

/// An incident that nobody has acknowledged.
pub fn nobody_has_it() -> Bilingual {
    both("not acknowledged yet", "尚无人响应")
}

/// A change that too few people have agreed to.
pub fn waits_for_approvals(missing: i32) -> Bilingual {
    let plural = if missing == 1 { "" } else { "s" };
    both(format!("waits for {missing} approval{plural}"), format!("还需 {missing} 人批准"))
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
