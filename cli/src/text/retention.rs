//! What is said of retention, and of snapshots that go.

use super::{Bilingual, COMMA, Language, both, value};
use jiff::Timestamp;
use p861_core::protection::retention::{Flaw, ForgetReason, KeepReason};

/// The head of an application's snapshots.
pub fn retention_head(application: &str, policy: Option<&str>, staying: usize, going: usize) -> Bilingual {
    let (by, by_zh) = match policy {
        Some(policy) => (format!(" (policy {policy})"), format!("（策略 {policy}）")),
        None => (" (no policy)".into(), "（无策略）".into()),
    };
    let verb = |number: usize, one: &str, several: &str| format!("{number} {}", if number == 1 { one } else { several });
    both(
        format!("{application}{by}: {}, {}", verb(staying, "stays", "stay"), verb(going, "goes", "go")),
        format!("{application}{by_zh}：保留 {staying} 个，删除 {going} 个"),
    )
}

/// Below the snapshots of a repository.
pub fn retention_foot(repository: &str, next: Option<&str>, every: bool, place: &str) -> Bilingual {
    let (when, when_zh) = match next {
        Some(next) => (format!("what goes leaves repository {repository} from {next} on"), format!("将删除的于 {next} 起离开备份库 {repository}")),
        None => (format!("nothing leaves repository {repository}"), format!("备份库 {repository} 中没有将删除的快照")),
    };
    let (all, all_zh) = if every {
        (String::new(), String::new())
    } else {
        (format!("; all of them: p861 backup retention --plan{place}"), format!("；查看全部：p861 backup retention --plan{place}"))
    };
    both(format!("{when}{all}"), format!("{when_zh}{all_zh}"))
}

/// The operator has not looked.
pub fn retention_unseen(repository: &str, place: &str) -> Bilingual {
    both(
        format!("what retention makes of repository {repository} is not known yet: p861 repository show {repository}{place}"),
        format!("尚不知道备份库 {repository} 的保留情况：p861 repository show {repository}{place}"),
    )
}

/// An empty list.
pub fn no_snapshots(namespace: &str, of: Option<&str>) -> Bilingual {
    match of {
        Some(of) => both(format!("There are no snapshots of {of} in the repositories of {namespace}"), format!("{namespace} 的备份库中没有 {of} 的快照")),
        None => both(format!("There are no snapshots in the repositories of {namespace}"), format!("{namespace} 的备份库中没有快照")),
    }
}

/// Why a snapshot stays, in a cell.
pub fn stays(reasons: &[KeepReason], time: impl Fn(Timestamp) -> String, language: Language) -> String {
    let reasons: Vec<String> = reasons.iter().map(|reason| kept(reason, &time).pick(language).to_owned()).collect();
    let (head, joint) = match language {
        Language::En => ("stays: ", ", "),
        Language::Zh => ("保留：", "、"),
    };
    format!("{head}{}", reasons.join(joint))
}

fn kept(reason: &KeepReason, time: &impl Fn(Timestamp) -> String) -> Bilingual {
    match reason {
        KeepReason::Last => both("last", "最近"),
        KeepReason::Hourly => both("hourly", "每小时"),
        KeepReason::Daily => both("daily", "每日"),
        KeepReason::Weekly => both("weekly", "每周"),
        KeepReason::Monthly => both("monthly", "每月"),
        KeepReason::Yearly => both("yearly", "每年"),
        KeepReason::Newest => both("newest", "最新"),
        KeepReason::NewestOfLevel { level } => {
            let level = value(*level);
            both(format!("newest {}", level.en), format!("最新的{}", level.zh))
        }
        KeepReason::Until { time: until } => both(format!("kept until {}", time(*until)), format!("保留至 {}", time(*until))),
        KeepReason::Marked => both("kept by a person", "人工标记保留"),
        KeepReason::InUse { by } => both(format!("used by {by}"), format!("{by} 使用中")),
        KeepReason::WarmCopy { plan } => both(format!("warm copy of {plan}"), format!("预案 {plan} 的热备")),
        KeepReason::Future => both("of the future", "时间在未来"),
        KeepReason::NoRetention => both("no retention stated", "未规定保留数量"),
        KeepReason::NothingSounder { flaw } => {
            let flaw = flawed(*flaw);
            both(format!("{}, and nothing sound is newer", flaw.en), format!("{}，但没有更新的完好快照", flaw.zh))
        }
        KeepReason::Flawed { flaw, until } => {
            let flaw = flawed(*flaw);
            both(format!("{}, until {}", flaw.en, time(*until)), format!("{}，保留至 {}", flaw.zh, time(*until)))
        }
    }
}

fn flawed(flaw: Flaw) -> Bilingual {
    match flaw {
        Flaw::Damaged => both("damaged", "已损坏"),
        Flaw::Partial => both("lacks something", "不完整"),
        Flaw::HalfRestored => both("holds a mixture", "数据新旧混杂"),
    }
}

/// Why a snapshot goes, in a cell.
pub fn goes(reason: &ForgetReason, language: Language) -> String {
    let why = match reason {
        ForgetReason::NoPlace => both("no place for it", "没有保留名额"),
        ForgetReason::Flawed { flaw } => {
            let flaw = flawed(*flaw);
            both(format!("{}, and a sound one is newer", flaw.en), format!("{}，且有更新的完好快照", flaw.zh))
        }
        ForgetReason::Asked { by, reason } => {
            let said = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let who = by.as_deref().unwrap_or("-");
            both(format!("{who} asked for it{said}"), format!("{who} 要求删除{}", said.replacen(": ", "：", 1)))
        }
    };
    match language {
        Language::En => format!("goes: {}", why.en),
        Language::Zh => format!("删除：{}", why.zh),
    }
}

/// What forgetting a backup does.
pub fn forget_head(backup: &str, repository: &str) -> Bilingual {
    both(
        format!("Forget backup {backup}: its snapshot leaves repository {repository} for good."),
        format!("删除备份 {backup}：其快照将永久离开备份库 {repository}。"),
    )
}

/// What happens then.
pub fn forget_follows() -> Bilingual {
    both(
        "Data that only it needs is marked by the next prune and removed by the one after that, a day later at the earliest. Until then it can be put back (docs/BACKUP-FORMAT.md).",
        "仅它需要的数据由下一次空间回收标记，最早一天后由再下一次空间回收删除。在此之前可以放回（docs/BACKUP-FORMAT.md）。",
    )
}

/// It was asked for.
pub fn forget_asked(backup: &str) -> Bilingual {
    both(format!("Backup {backup} is to be forgotten, once nothing else uses its repository."), format!("备份 {backup} 将在备份库空闲后删除。"))
}

/// It is done.
pub fn forget_done(backup: &str) -> Bilingual {
    both(format!("Backup {backup} is forgotten."), format!("备份 {backup} 已删除。"))
}

/// It is not done yet.
pub fn forget_waits(backup: &str, seconds: u64, place: &str) -> Bilingual {
    both(
        format!("Backup {backup} is not forgotten after {seconds} s; it goes as soon as it can: p861 backup show {backup}{place}"),
        format!("{seconds} 秒后备份 {backup} 仍未删除；一旦可行即会删除：p861 backup show {backup}{place}"),
    )
}

/// It has no snapshot.
pub fn nothing_to_forget(backup: &str, place: &str) -> Bilingual {
    both(
        format!("backup {backup} has no snapshot that could be forgotten: p861 backup show {backup}{place}"),
        format!("备份 {backup} 没有可删除的快照：p861 backup show {backup}{place}"),
    )
}

/// It still runs.
pub fn forget_running(backup: &str, place: &str) -> Bilingual {
    both(format!("backup {backup} is under way: p861 backup abort {backup}{place}"), format!("备份 {backup} 正在进行：p861 backup abort {backup}{place}"))
}

/// It is the first in some respect.
pub fn forget_newest(backup: &str, reasons: &str) -> Bilingual {
    both(
        format!("backup {backup} {reasons}: add --even-newest if it is to go all the same"),
        format!("备份 {backup} {reasons}：若仍要删除，请加上 --even-newest"),
    )
}

/// It is held.
pub fn forget_held(backup: &str, reasons: &str) -> Bilingual {
    both(format!("backup {backup} {reasons}: nothing was done"), format!("备份 {backup} {reasons}：未执行任何操作"))
}

/// The reasons of a list, in one sentence of either language.
pub fn reasons_joined(reasons: &[KeepReason], time: impl Fn(Timestamp) -> String) -> Bilingual {
    let joined = |language: Language| {
        let all: Vec<String> = reasons.iter().map(|reason| kept(reason, &time).pick(language).to_owned()).collect();
        all.join(COMMA.pick(language))
    };
    both(format!("stays ({})", joined(Language::En)), format!("保留（{}）", joined(Language::Zh)))
}

/// What left a repository when it was last pruned.
pub fn reclaimed_at(bytes: &str, time: &str) -> Bilingual {
    both(format!("{bytes} left it at {time}"), format!("{time} 删除 {bytes}"))
}

/// How many snapshots were last forgotten.
pub fn forgotten_at(number: i64, time: &str) -> Bilingual {
    both(format!("{number} at {time}"), format!("{time}，{number} 个"))
}
