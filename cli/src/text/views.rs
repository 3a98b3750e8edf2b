//! What views of a run say, and what is said when one is left.

use super::{Bilingual, Language, both, span, told, told::object};
use p861_crds::common::{ActionKind, RunPhase, StepCounts};
use std::fmt::Write as _;

/// How many steps a person has skipped, and how many never ran or were stopped, which is another matter.
pub fn skipped_and_not_run(steps: &StepCounts) -> (i32, i32) {
    let letters = |wanted: &[char]| i32::try_from(steps.states.chars().filter(|state| wanted.contains(state)).count()).unwrap_or(i32::MAX);
    // An operator of an earlier release tells only both together, mostly of steps that never ran.
    if steps.states.is_empty() { (0, steps.skipped) } else { (letters(&['s']), letters(&['n', 'c'])) }
}

/// `12 of 24 steps, 1 failed`.
pub fn step_counts(steps: &StepCounts) -> Bilingual {
    let (mut en, mut zh) = (format!("{} of {} steps", steps.done, steps.total), format!("{}/{} 步", steps.done, steps.total));
    let (skipped, not_run) = skipped_and_not_run(steps);
    for (number, word_en, word_zh) in [(steps.failed, "failed", "失败"), (skipped, "skipped by a person", "人工跳过"), (not_run, "not run", "未执行")]
    {
        if number > 0 {
            let _ = write!(en, ", {number} {word_en}");
            let _ = write!(zh, "，{number} {word_zh}");
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

/// What the operator says of a step. What failed before stands first where a person must decide.
pub fn operator_says(message: &str) -> Bilingual {
    let (now, before) = message.split_once("; before: ").map_or((message, None), |(now, before)| (now, Some(before)));
    match (now, before) {
        ("waits for a person: retry, skip or abort", Some(failure)) => {
            let Bilingual { en, zh } = told(failure);
            both(format!("failed: {en}; retry, skip or abort"), format!("失败：{zh}；请重试、跳过或中止"))
        }
        (_, Some(failure)) => {
            let (now, failure) = (told(now), told(failure));
            both(format!("{}; before: {}", now.en, failure.en), format!("{}；此前：{}", now.zh, failure.zh))
        }
        (_, None) => told(now),
    }
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

/// The time until which something stands, behind it.
pub fn until(time: &str) -> Bilingual {
    both(format!(" (until {time})"), format!("（截至 {time}）"))
}

/// A copy that is kept, and its question.
pub fn kept_and_asked(until: &str, question: &str) -> Bilingual {
    both(format!("the copy is kept until {until}. {question}"), format!("副本保留至 {until}。{question}"))
}

/// How long a copy is kept.
pub fn copy_kept_until(until: &str) -> Bilingual {
    both(format!("the copy is kept until {until}"), format!("副本保留至 {until}"))
}

/// A copy that is not there yet is kept longer.
pub fn copy_kept_longer(by: &str, kept: &str) -> Bilingual {
    both(
        format!("the copy will be kept {by} longer: {kept} and what extends it, counted from the end of the checks"),
        format!("副本将多保留 {}：自检查结束起保留 {}，另加各次延长", span(by, Language::Zh), span(kept, Language::Zh)),
    )
}

/// A clean-up that is asked for before there is anything to look at.
pub fn cleaned_when_checked() -> Bilingual {
    both(
        "the drill is under way: its copy will be removed as soon as the checks have ended, and not be kept",
        "演练正在进行：检查结束后副本将立即清理，不再保留",
    )
}

/// What a step waits for.
pub fn waits_for(what: &str) -> Bilingual {
    both(format!("waits for {what}"), format!("等待 {what}"))
}

/// The last step.
pub fn clean_up_always() -> Bilingual {
    both("always runs, even if this terminal closes", "无论如何都会执行，即使关闭此终端")
}

/// Steps that don't fit.
pub fn more_done(number: usize) -> Bilingual {
    both(format!("{number} more steps done"), format!("另有 {number} 步已完成"))
}

/// Steps that don't fit.
pub fn more_to_come(number: usize) -> Bilingual {
    both(format!("{number} more steps to come"), format!("另有 {number} 步待执行"))
}

/// Steps that never ran and don't fit.
pub fn more_not_run(number: usize) -> Bilingual {
    both(format!("{number} more steps not run"), format!("另有 {number} 步未执行"))
}

/// Actions that wait for the operator.
pub fn actions_unread(number: usize) -> Bilingual {
    both(format!("{number} requested, not read by the operator yet"), format!("{number} 项请求待处理"))
}

/// The key that leaves.
pub fn key_quit(noun: &str) -> Bilingual {
    both(format!("q leave (the {noun} continues)"), "q 离开（任务继续）")
}

/// After Ctrl-C.
pub fn ask_leaving(noun: &str) -> Bilingual {
    both(format!("Leave? The {noun} continues.  Ctrl-C, q leave  a abort  any other key stay"), "离开？任务会继续进行。  Ctrl-C、q 离开  a 中止  其他键 留下")
}

/// A key without anything to act on.
pub fn nothing_to_retry() -> Bilingual {
    both("the selected step needs no retry", "所选步骤无需重试")
}

/// A key without anything to act on.
pub fn nothing_to_skip() -> Bilingual {
    both("no step is selected", "未选择步骤")
}

/// A key without anything to act on.
pub fn nothing_to_answer() -> Bilingual {
    both("the selected step asks no question", "所选步骤没有提问")
}

/// A question was left.
pub fn nothing_was_asked() -> Bilingual {
    both("nothing was requested", "未提交任何请求")
}

/// A reason must be typed.
pub fn reason_needed() -> Bilingual {
    both("a reason is needed: it is recorded in the journal and the report", "需要填写原因：它会写入运行记录和报告")
}

/// Asks why.
pub fn ask_reason(action: ActionKind, step: Option<&str>, answer: Option<&str>, required: bool) -> Bilingual {
    let word = super::value(action);
    let what = |word: &str| [Some(word), step, answer].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let (en, zh) = if required { ("why?", "原因？") } else { ("why? (may be left empty)", "原因？（可留空）") };
    both(format!("{}: {en}", what(&word.en)), format!("{}：{zh}", what(&word.zh)))
}

/// Before the first answer.
pub fn asking_the_hub() -> Bilingual {
    both("asking the hub …", "正在查询管理中心…")
}

/// An action was sent.
pub fn action_asked(kind: ActionKind, step: Option<&str>) -> Bilingual {
    let step = step.map(|step| format!(" {step}")).unwrap_or_default();
    both(format!("{kind:?}{step} was requested"), format!("已请求{}{step}", super::value(kind).zh))
}

/// An action was read.
pub fn action_read(noun: &str, name: &str, phase: RunPhase, back: &str) -> Bilingual {
    both(
        format!("the operator has read it; {noun} {name} is {phase}: {back}"),
        format!("operator 已读取请求；{}：{}：{back}", object(noun, name), super::phase(phase).zh),
    )
}

/// An action that had no effect, where a run is shown.
pub fn action_refused(kind: ActionKind, step: Option<&str>, by: Option<&str>, why: &str) -> Bilingual {
    let step = step.map(|step| format!(" {step}")).unwrap_or_default();
    let (en, zh) = by.map(|by| (format!(" of {by}"), format!("{by} 的"))).unwrap_or_default();
    let why = told(why);
    both(format!("{kind:?}{step}{en} had no effect: {}", why.en), format!("{zh}{}{step}无效：{}", super::value(kind).zh, why.zh))
}

/// The action that this command has sent had no effect.
pub fn run_action_refused(kind: ActionKind, step: Option<&str>, noun: &str, name: &str, why: &str) -> Bilingual {
    let step = step.map(|step| format!(" {step}")).unwrap_or_default();
    let Bilingual { en, zh } = told(why);
    both(format!("{noun} {name}: {kind:?}{step} had no effect: {en}"), format!("{}：{}{step}无效：{zh}", object(noun, name), super::value(kind).zh))
}

/// An action was not read.
pub fn action_unread(noun: &str, name: &str, seconds: u64, namespace: &str, back: &str) -> Bilingual {
    both(
        format!("the operator has not read it after {seconds} s; it is recorded in {noun} {name} and will be read: kubectl -n {namespace} get pods, {back}"),
        format!("{seconds} 秒后 operator 仍未读取；请求已写入{}，将会被处理：kubectl -n {namespace} get pods，{back}", object(noun, name)),
    )
}

/// A run was started and is not watched.
pub fn started(noun: &str, name: &str, watch: &str) -> Bilingual {
    both(format!("{noun} {name} was started: {watch}"), format!("{} 已开始：{watch}", object(noun, name)))
}

/// The view was left.
pub fn left(noun: &str, name: &str, back: &str) -> Bilingual {
    both(format!("{noun} {name} continues: {back}"), format!("{} 继续进行：{back}", object(noun, name)))
}

/// `--timeout` has passed.
pub fn timed_out(noun: &str, name: &str, back: &str) -> Bilingual {
    both(format!("--timeout has passed; {noun} {name} continues: {back}"), format!("已到 --timeout；{} 继续进行：{back}", object(noun, name)))
}

/// A person is waited for.
pub fn person_waited_for(step: &str, question: &str, command: &str) -> Bilingual {
    both(format!("{step} waits for a person: {question}: {command}"), format!("{step} 等待人工：{question}：{command}"))
}

/// The age of what is recovered.
pub fn data_as_of(time: &str, age: &str, backup: Option<&str>) -> Bilingual {
    let (from, from_zh) = backup.map(|backup| (format!(", {backup}"), format!("，{backup}"))).unwrap_or_default();
    both(format!("data as of {time} ({age} old{from})"), format!("数据截至 {time}（{age}前{from_zh}）"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_stands_first_where_a_person_must_decide() {
        let told = operator_says("waits for a person: retry, skip or abort; before: page answered 500");
        assert_eq!((told.en.as_str(), told.zh.as_str()), ("failed: page answered 500; retry, skip or abort", "失败：page answered 500；请重试、跳过或中止"));
        assert_eq!(operator_says("its mover starts; before: S3 was down").zh, "搬运任务启动中；此前：S3 was down");
        assert_eq!(operator_says("something new").zh, "something new", "what is not known stays as it is");
    }
}
