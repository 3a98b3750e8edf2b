//! What is said while no operator leads.

use super::{Bilingual, both};

/// No operator leads, and since when is not known.
pub fn no_operator_leads() -> Bilingual {
    both("no operator leads", "没有 operator 担任领导者")
}

/// No operator leads since then: a time and how long ago it was, in each language.
pub fn no_operator_since(ago: &str, ago_zh: &str) -> Bilingual {
    both(format!("no operator has led since {ago}"), format!("自 {ago_zh}起没有 operator 担任领导者"))
}

/// What it means for what is shown. `known`: whether it is known since when.
pub fn kept_by_nobody(said: &Bilingual, known: bool) -> Bilingual {
    let (en, zh) = if known { ("what is shown is as of then", "所示为当时的状态") } else { ("nothing is looked after", "无人照管任何对象") };
    both(format!("{}: {en}, and nothing goes on until one does", said.en), format!("{}：{zh}，选出领导者之前一切任务均不会推进", said.zh))
}

/// The same, and where to look.
pub fn kept_by_nobody_look(warning: &Bilingual, namespace: &str) -> Bilingual {
    both(format!("{}: kubectl -n {namespace} get pods", warning.en), format!("{}：kubectl -n {namespace} get pods", warning.zh))
}

/// A view of a run while no operator leads.
pub fn run_stands_still(said: &Bilingual) -> Bilingual {
    both(format!("{}: nothing goes on until one does", said.en), format!("{}：选出领导者之前不会推进", said.zh))
}

/// An operator leads again.
pub fn leads_again() -> Bilingual {
    both("an operator leads again", "已有 operator 担任领导者")
}

/// An action that nobody reads.
pub fn nobody_reads_it(said: &Bilingual, noun: &str, name: &str, seconds: u64, namespace: &str, back: &str) -> Bilingual {
    both(
        format!(
            "{}, so nobody has read it after {seconds} s; it is recorded in {noun} {name} and will be read: kubectl -n {namespace} get pods, {back}",
            said.en
        ),
        format!("{}，{seconds} 秒内无人读取；请求已写入 {noun} {name}，将会被处理：kubectl -n {namespace} get pods，{back}", said.zh),
    )
}

/// The lease can't be read, for another reason than that the person may not.
pub fn lead_unknown(why: &Bilingual) -> Bilingual {
    both(format!("whether an operator leads can't be seen: {}", why.en), format!("无法得知是否有 operator 担任领导者：{}", why.zh))
}
