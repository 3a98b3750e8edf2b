//! What is said while no operator leads.

use super::{Bilingual, both, told::object};

/// No operator leads, and since when is not known.
pub fn no_operator_leads() -> Bilingual {
    both("no operator leads", "operator 没有领导者")
}

/// No operator leads since then: a time and how long ago it was, in each language.
pub fn no_operator_since(ago: &str, ago_zh: &str) -> Bilingual {
    both(format!("no operator has led since {ago}"), format!("自 {ago_zh}起 operator 没有领导者"))
}

/// What it means for what is shown. `known`: whether it is known since when.
pub fn kept_by_nobody(said: &Bilingual, known: bool) -> Bilingual {
    let (en, zh) =
        if known { ("the state shown is of that time", "所示为当时的状态") } else { ("nothing is reconciled", "所有对象均无人处理") };
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
    both("an operator leads again", "operator 已重新选出领导者")
}

/// An action that nobody reads.
pub fn nobody_reads_it(said: &Bilingual, noun: &str, name: &str, seconds: u64, namespace: &str, back: &str) -> Bilingual {
    both(
        format!(
            "{}, so nobody has read it after {seconds} s; it is recorded in {noun} {name} and will be read: kubectl -n {namespace} get pods, {back}",
            said.en
        ),
        format!("{}，{seconds} 秒内无人读取；请求已写入{}，将会被处理：kubectl -n {namespace} get pods，{back}", said.zh, object(noun, name)),
    )
}

/// The lease can't be read, for another reason than that the person may not.
pub fn lead_unknown(why: &Bilingual) -> Bilingual {
    both(format!("whether an operator leads can't be seen: {}", why.en), format!("无法得知 operator 是否有领导者：{}", why.zh))
}
