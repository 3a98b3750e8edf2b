//! What is said before people agree to something, and where something is refused before it is made.

use super::{Bilingual, Language, Word, both, noun, span};
use p861_core::maintenance::approval::Void;
use p861_crds::maintenance::ticket::ClockState;

/// A deadline of a ticket.
pub const F_CLOCK: Word = Word { en: "deadline", zh: "时限" };
/// Who is called next.
pub const F_NEXT_CALL: Word = Word { en: "next call", zh: "下次呼叫" };
/// The runbook of an incident.
pub const F_RUNBOOK: Word = Word { en: "runbook", zh: "处置手册" };

/// Over the steps of a ticket or a plan.
pub fn steps_head(begun: bool) -> Word {
    if begun { Word { en: "The approved steps:", zh: "已批准的步骤：" } } else { Word { en: "The steps to approve:", zh: "待批准的步骤：" } }
}

/// Over the steps of a plan.
pub fn plan_steps_head() -> Word {
    Word { en: "The steps:", zh: "步骤：" }
}

/// Compiled steps that are not there.
pub fn steps_missing(kind: &str, name: &str, map: &str) -> Bilingual {
    both(
        format!("the steps of {kind} {name} are not on the hub (ConfigMap {map}): wait for the operator"),
        format!("管理中心尚无{} {name} 的步骤（ConfigMap {map}）：请等待 operator 生成", noun(kind).zh),
    )
}

/// Compiled steps that this version can't read.
pub fn steps_unreadable(kind: &str, name: &str, map: &str, why: &str) -> Bilingual {
    both(
        format!("the steps of {kind} {name} (ConfigMap {map}) are unreadable for this version of p861: {why}"),
        format!("本版本的 p861 无法读取{} {name} 的步骤（ConfigMap {map}）：{why}", noun(kind).zh),
    )
}

/// Compiled steps of another digest than the object's.
pub fn steps_differ(kind: &str, name: &str, map: &str) -> Bilingual {
    both(
        format!("the steps in ConfigMap {map} are not those of {kind} {name}: their digests differ; approve nothing, and look again in a minute"),
        format!("ConfigMap {map} 中的步骤不属于{} {name}：摘要不符；请勿批准，一分钟后再看", noun(kind).zh),
    )
}

/// An incident asks nobody.
pub fn incident_needs_nobody(name: &str) -> Bilingual {
    both(format!("ticket {name} is an incident: it needs no approval"), format!("工单 {name} 是事件：无需批准"))
}

/// An approval that would never count.
pub fn would_not_count(name: &str, void: Void) -> Bilingual {
    let (en, zh) = match void {
        Void::RequesterCannotApprove => {
            ("you opened it or wrote a part of its plan, and can't approve it: somebody else must", "您是提出人或写过其方案，不能批准：须由他人批准")
        }
        Void::Ended => ("it has ended: there is nothing to approve", "已结束，无需批准"),
        Void::TooLate => ("its work has begun: it is too late to approve it", "作业已开始，批准为时已晚"),
        Void::DigestDiffers => ("its plan has changed: look at it again", "方案已变：请重新查看"),
        Void::Nameless => ("the hub doesn't know your name", "管理中心无法识别您的身份"),
        Void::SubjectGone => ("it was deleted", "已被删除"),
        Void::Expired => ("the approval would have expired already", "批准已过有效期"),
        Void::SamePerson => ("you have made a newer decision", "您之后已有新的意见"),
    };
    both(format!("ticket {name}: {en}; nothing was created"), format!("工单 {name}：{zh}；未创建任何对象"))
}

/// An approval without a terminal, of steps that nobody has said to have read.
pub fn read_before_approving(name: &str, place: &str) -> Bilingual {
    both(
        format!(
            "an approval is for steps that were read, and there is no terminal to ask: read them with p861 ticket show {name}{place}, then add --digest DIGEST"
        ),
        format!("批准的必须是已看过的步骤，而当前没有可供确认的终端：请先执行 p861 ticket show {name}{place}，再加上 --digest 摘要"),
    )
}

/// State of a deadline.
pub fn clock_state(state: ClockState) -> Word {
    match state {
        ClockState::Running => Word { en: "running", zh: "计时中" },
        ClockState::Met => Word { en: "met", zh: "已按时" },
        ClockState::Overdue => Word { en: "overdue", zh: "已超时" },
        ClockState::MetLate => Word { en: "met too late", zh: "超时完成" },
        ClockState::Paused => Word { en: "paused", zh: "已暂停" },
        ClockState::Stopped => Word { en: "no longer needed", zh: "已不需要" },
    }
}

/// Nobody was sent a message, though a level is called.
pub fn nobody_was_told(level: &str) -> Bilingual {
    both(
        format!("nobody: level {level} is called, but nobody on it was sent a message (see spec.channels of the roster)"),
        format!("无人：已呼叫 {level} 级，但未向其中任何人发送消息（见值班表的 spec.channels）"),
    )
}

/// A window that is not the district's.
pub fn unknown_window(name: &str, namespace: &str, city: &str, place: &str) -> Bilingual {
    both(
        format!("there is no window {name} in namespace {namespace} or {city}: p861 window list{place}; nothing was created"),
        format!("命名空间 {namespace} 和 {city} 中都没有维护窗口 {name}：p861 window list{place}；未创建任何对象"),
    )
}

/// A window that is not the district's, and the city's may not be read.
pub fn window_may_be_citys(name: &str, namespace: &str, city: &str) -> Bilingual {
    both(
        format!("there is no window {name} in namespace {namespace}, and you may not look whether the city has it in {city}: if not, the change never starts"),
        format!("命名空间 {namespace} 中没有维护窗口 {name}，而您无权查看市级窗口（{city}）：若其中也没有，变更将不会开始"),
    )
}

/// A site that the district has not.
pub fn unknown_site(site: &str, district: &str, known: &[&str]) -> Bilingual {
    if known.is_empty() {
        return both(
            format!("district {district} has no site {site}, nor any other; nothing was created"),
            format!("区 {district} 没有站点 {site}，也没有其他站点；未创建任何对象"),
        );
    }
    both(
        format!("district {district} has no site {site}; it has {}; nothing was created", known.join(", ")),
        format!("区 {district} 没有站点 {site}；现有 {}；未创建任何对象", known.join("、")),
    )
}

/// `--from` names a kind that runs have not.
pub fn not_a_kind_of_run(kind: &str) -> Bilingual {
    both(
        format!("--from: {kind:?} is no kind of run: write backup/NAME, restore/NAME, drill/NAME or ticket/NAME"),
        format!("--from：{kind:?} 不是任务的类型：请写作 backup/NAME、restore/NAME、drill/NAME 或 ticket/NAME"),
    )
}

/// An upgrade to what is there.
pub fn already_installed(component: &str, version: &str, sites: &str) -> Bilingual {
    both(
        format!("{component} {version} is installed on {sites} already: raise its version in the Platform first; nothing was created"),
        format!("{component} {version} 已安装于 {sites}：请先在 Platform 中提高其版本；未创建任何对象"),
    )
}

/// A copy that is kept for a while.
pub fn copy_kept(time: &str, command: &str) -> Bilingual {
    both(
        format!("The copy, with production's data, stands for {time} after the checks; to remove it earlier: {command}"),
        format!("检查后副本（含生产数据）再保留 {}；提前清理：{command}", span(time, Language::Zh)),
    )
}

/// A copy that nobody may keep so long.
pub fn kept_too_long(asked: &str, longest: &str) -> Bilingual {
    both(
        format!("--keep-for {asked} is more than {longest} (30 days), the longest that a copy of production's data may stand: ask for less"),
        format!("--keep-for {asked} 超过 {}（30 天）：含生产数据的副本最多保留 30 天，请缩短", span(longest, Language::Zh)),
    )
}

/// Before `c` cleans up.
pub fn ask_clean_up() -> Bilingual {
    both("Clean up now? Others may be looking at the copy.  y clean up  any other key keep it", "现在清理吗？可能有人正在查看副本。  y 清理  其他键 保留")
}

/// What an abort of a restore doesn't take back.
pub fn abort_leaves() -> Bilingual {
    both(
        "What the restore has written stays: objects that it created or changed, and files. What it stopped is started again.",
        "恢复已写入的内容会保留：已创建或更改的对象以及文件。已停止的工作负载会重新启动。",
    )
}

/// A restore that writes beside the running application.
pub fn second_writer(application: &str, site: &str, active: &str) -> Bilingual {
    both(
        format!(
            "TWO WRITERS: {application} runs on {active}; the copy on {site} runs beside it, under the same names, and writes, too. To look at it, use --map or an isolated drill"
        ),
        format!("双写风险：{application} 正在 {active} 运行；{site} 上的副本将以相同名称同时运行并写入。仅供查看请用 --map 或隔离演练"),
    )
}
