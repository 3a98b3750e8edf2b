//! What the commands of the room *maintenance* say.

use super::{Bilingual, Language, Word, both, span, told};
use p861_crds::{
    Reason,
    maintenance::{
        change::RollbackPolicy,
        ticket::{ClockName, NotificationState, TicketActionKind, TicketPhase, TicketType},
        window::ChangeClass,
    },
};

/// An empty list.
pub fn no_tickets(namespace: &str, place: &str) -> Bilingual {
    both(
        format!("There is no open ticket in {namespace}: p861 ticket list --all{place}"),
        format!("{namespace} 中没有未结束的工单：p861 ticket list --all{place}"),
    )
}

/// No roster.
pub fn no_roster(namespace: &str) -> Bilingual {
    both(
        format!("there is no roster in {namespace}; declare a DutyRoster (docs/FIRST-NIGHT.md has one): kubectl explain dutyrosters.spec"),
        format!("{namespace} 中没有值班表；请创建 DutyRoster（示例见 docs/FIRST-NIGHT.md）：kubectl explain dutyrosters.spec"),
    )
}

/// Several rosters.
pub fn which_roster(names: &[String]) -> Bilingual {
    both(
        format!("there are several rosters; choose one with --roster: {}", names.join(", ")),
        format!("有多个值班表，请用 --roster 指明：{}", names.join("、")),
    )
}

/// The word for a type of ticket.
pub fn ticket_type(kind: TicketType) -> Word {
    match kind {
        TicketType::Incident => Word { en: "Incident", zh: "事件" },
        TicketType::Change => Word { en: "Change", zh: "变更" },
    }
}

/// The word for a phase of a ticket.
pub fn ticket_phase(phase: TicketPhase) -> Word {
    match phase {
        TicketPhase::Open => Word { en: "Open", zh: "待响应" },
        TicketPhase::Acknowledged => Word { en: "Acknowledged", zh: "已响应" },
        TicketPhase::Planned => Word { en: "Planned", zh: "已有方案" },
        TicketPhase::Approved => Word { en: "Approved", zh: "已批准" },
        TicketPhase::Scheduled => Word { en: "Scheduled", zh: "已排期" },
        TicketPhase::InProgress => Word { en: "InProgress", zh: "处理中" },
        TicketPhase::Verifying => Word { en: "Verifying", zh: "验证中" },
        TicketPhase::Closed => Word { en: "Closed", zh: "已关闭" },
        TicketPhase::Suspended => Word { en: "Suspended", zh: "已挂起" },
        TicketPhase::RolledBack => Word { en: "RolledBack", zh: "已回退" },
        TicketPhase::Cancelled => Word { en: "Cancelled", zh: "已取消" },
    }
}

/// The word for a class of change.
pub fn change_class(class: ChangeClass) -> Word {
    match class {
        ChangeClass::Standard => Word { en: "Standard", zh: "标准变更" },
        ChangeClass::Normal => Word { en: "Normal", zh: "一般变更" },
        ChangeClass::Emergency => Word { en: "Emergency", zh: "紧急变更" },
    }
}

/// A Standard change that is treated as a Normal one.
pub fn not_standard() -> Bilingual {
    both("Normal, since it does not keep within its template", "一般变更（超出模板范围）")
}

/// A template that was pinned at the opening.
pub fn pinned_template(name: &str, publisher: &str, digest: &str) -> Bilingual {
    both(format!("{name}, published by {publisher}, digest {digest}"), format!("{name}，{publisher} 发布，摘要 {digest}"))
}

/// The city's templates may not be read.
pub fn city_templates_hidden(namespace: &str) -> Bilingual {
    both(
        format!("the city's templates in {namespace} can't be read: ask its administrator for hub.clusterReaders"),
        format!("无法读取 {namespace} 中的市级模板：请管理员设置 hub.clusterReaders"),
    )
}

/// `--change` beside `--template`.
pub fn template_is_of_standard(place: &str) -> Bilingual {
    both(
        format!(
            "a Standard change follows a template, and no other does: give --template NAME, or --change Normal; p861 template list{place} shows the templates"
        ),
        format!("标准变更须依据模板，其他变更不用模板：请加 --template 名称，或改用 --change Normal；p861 template list{place} 列出模板"),
    )
}

/// The template leaves open what the command must say.
pub fn template_leaves_open(name: &str, example: &str) -> Bilingual {
    both(format!("template {name} leaves its work open: type {example}"), format!("模板 {name} 未限定唯一作业：请输入 {example}"))
}

/// The change departs from the template.
pub fn outside_template(name: &str, differences: &[String]) -> Bilingual {
    let (en, zh): (Vec<String>, Vec<String>) = differences.iter().map(|difference| told(difference)).map(|said| (said.en, said.zh)).unzip();
    both(
        format!("template {name} doesn't permit it: {}; --change Normal instead of --template {name} opens it for approval", en.join("; ")),
        format!("模板 {name} 不允许：{}；可改用 --change Normal（不用 --template {name}）提出，请人批准", zh.join("；")),
    )
}

/// Work of a template: an upgrade.
pub fn template_upgrade(components: &str, at_least: &str, below: &str) -> Bilingual {
    both(format!("upgrade {components} from {at_least} to below {below}"), format!("升级 {components}，{at_least} 起、低于 {below}"))
}

/// Work of a template: a drain.
pub fn template_drain(nodes: &str) -> Bilingual {
    both(format!("drain {nodes}"), format!("排空 {nodes}"))
}

/// Work of a template: by hand.
pub fn template_manual() -> Bilingual {
    both("manual work", "人工作业")
}

/// Any node of a site.
pub fn any_node_of(site: &str) -> Bilingual {
    both(format!("any node of {site}"), format!("{site} 任一节点"))
}

/// Limits of an upgrade.
pub fn upgrade_limits(healthy_within: &str, watch_for: &str) -> Bilingual {
    both(
        format!("healthy within at most {healthy_within}, watched for at least {watch_for}"),
        format!("须在 {}内恢复健康，至少观察 {}", span(healthy_within, Language::Zh), span(watch_for, Language::Zh)),
    )
}

/// Limits of a drain.
pub fn drain_limits(deadline: &str, deletes: bool, force: bool) -> Bilingual {
    let (mut en, mut zh) = (format!("drained within at most {deadline}"), format!("须在 {}内排空", span(deadline, Language::Zh)));
    if deletes {
        en.push_str(", emptyDir data may be deleted");
        zh.push_str("，可删除 emptyDir 数据");
    }
    if force {
        en.push_str(", pods without a controller may be drained");
        zh.push_str("，可驱逐没有控制器的 Pod");
    }
    both(en, zh)
}

/// Limits of every change.
pub fn change_limits(backup: bool, silence: bool, rollback: RollbackPolicy) -> Bilingual {
    let rollback = super::value(rollback);
    let backup = if backup { ("backup required", "须先备份") } else { ("backup optional", "可不备份") };
    let silence = if silence { ("silences permitted", "可静默告警") } else { ("no silences", "不得静默告警") };
    both(format!("{}, {}, rollback {}", backup.0, silence.0, rollback.en), format!("{}，{}，回退策略：{}", backup.1, silence.1, rollback.zh))
}

/// The word for an action on a ticket.
pub fn ticket_action(action: TicketActionKind) -> Word {
    match action {
        TicketActionKind::Acknowledge => Word { en: "acknowledged", zh: "响应" },
        TicketActionKind::Assign => Word { en: "assigned", zh: "指派" },
        TicketActionKind::Note => Word { en: "noted", zh: "添加记录" },
        TicketActionKind::Plan => Word { en: "planned", zh: "填写方案" },
        TicketActionKind::Start => Word { en: "started", zh: "开始作业" },
        TicketActionKind::Done => Word { en: "done", zh: "完成作业" },
        TicketActionKind::RollBack => Word { en: "rolled back", zh: "回退" },
        TicketActionKind::Resolve => Word { en: "resolved", zh: "解决" },
        TicketActionKind::Suspend => Word { en: "suspended", zh: "挂起" },
        TicketActionKind::Resume => Word { en: "resumed", zh: "继续处理" },
        TicketActionKind::Reopen => Word { en: "reopened", zh: "重新打开" },
        TicketActionKind::Cancel => Word { en: "cancelled", zh: "取消" },
    }
}

/// The word for a clock.
pub fn clock_name(name: ClockName) -> Word {
    match name {
        ClockName::Acknowledge => Word { en: "acknowledge", zh: "响应" },
        ClockName::Resolve => Word { en: "resolve", zh: "解决" },
        ClockName::Report => Word { en: "report", zh: "上报" },
    }
}

/// When a change may start.
pub fn starts_from(time: &str) -> Bilingual {
    both(format!("from {time}"), format!("{time} 起"))
}

/// A clock that has run out.
pub fn overdue(clock: &str, by: &str) -> Bilingual {
    both(format!("{clock} overdue {by}"), format!("{clock}超时 {by}"))
}

/// A ticket was opened.
pub fn ticket_opened(name: &str, show: &str) -> Bilingual {
    both(format!("Ticket {name} opened: {show}"), format!("工单 {name} 已新建：{show}"))
}

/// An action was sent and nobody waits.
pub fn ticket_action_sent(action: TicketActionKind, name: &str, place: &str) -> Bilingual {
    both(
        format!("{action} was requested; the operator will read it: p861 ticket show {name}{place}"),
        format!("已请求{}：p861 ticket show {name}{place}", ticket_action(action).zh),
    )
}

/// An action was read and done.
pub fn ticket_action_done(action: TicketActionKind, name: &str, phase: TicketPhase, place: &str) -> Bilingual {
    if action == TicketActionKind::RollBack && phase == TicketPhase::InProgress {
        return both(
            format!("Ticket {name}: completed steps are being rolled back: p861 ticket show {name}{place}"),
            format!("工单 {name}：正在回退已完成的步骤：p861 ticket show {name}{place}"),
        );
    }
    both(
        format!("Ticket {name}: {}; it is {phase}", ticket_action(action).en),
        format!("工单 {name}：{}已生效；当前状态：{}", ticket_action(action).zh, ticket_phase(phase).zh),
    )
}

/// An action was read and not possible.
pub fn ticket_action_refused(action: TicketActionKind, name: &str, why: &str) -> Bilingual {
    let Bilingual { en, zh } = told(why);
    both(format!("ticket {name}: {action} was refused: {en}"), format!("工单 {name}：{}被拒绝：{zh}", ticket_action(action).zh))
}

/// Asks why.
pub fn ask_ticket_reason(action: TicketActionKind) -> Bilingual {
    both(format!("{action}: why?"), format!("{}：原因？", ticket_action(action).zh))
}

/// A reason must be given.
pub fn ticket_reason_missing(action: TicketActionKind) -> Bilingual {
    both(format!("{action} needs --reason: it is recorded in the ticket"), format!("{}需要 --reason：它会写入工单", ticket_action(action).zh))
}

/// `--from` is no run.
pub fn not_an_origin(from: &str) -> Bilingual {
    both(format!("--from {from:?} names no run: write drill/NAME"), format!("--from {from:?} 不是任务：请写作 drill/NAME"))
}

/// Options of a change on an incident.
pub fn only_of_a_change() -> Bilingual {
    both(
        "--plan, --rollback, --window, --expected, --no-backup and --no-silence are only for changes: add --change Normal",
        "--plan、--rollback、--window、--expected、--no-backup 和 --no-silence 仅用于变更：请加 --change Normal",
    )
}

/// Two words where one title was meant.
pub fn one_title(title: &str, rest: &str) -> Bilingual {
    both(format!("quote the title: \"{title} {rest}\""), format!("标题须作为一个参数：请写作 \"{title} {rest}\""))
}

/// `upgrade`, and no component.
pub fn upgrade_of_nothing(title: &str, place: &str) -> Bilingual {
    both(
        format!("{title} needs the component that is upgraded; nothing was opened: type p861 ticket open upgrade COMPONENT{place}"),
        format!("{title} 须指明要升级的组件；未新建工单：请输入 p861 ticket open upgrade COMPONENT{place}"),
    )
}

/// `drain`, and no node.
pub fn drain_of_nothing(title: &str, place: &str) -> Bilingual {
    both(
        format!(
            "{title} is a kind of work and no title, and needs the node that is drained; nothing was opened: type p861 ticket open \"TITLE\" --change Normal --drain SITE/NODE{place}"
        ),
        format!("{title} 是作业类型，不是标题，且须指明要排空的节点；未新建工单：请输入 p861 ticket open \"TITLE\" --change Normal --drain SITE/NODE{place}"),
    )
}

/// A class of change, and no title.
pub fn change_without_title(title: &str, class: &str, place: &str) -> Bilingual {
    let option = if class == "Standard" { "--template TEMPLATE".to_owned() } else { format!("--change {class}") };
    both(
        format!("{title} is a kind of change and no title; nothing was opened: type p861 ticket open \"TITLE\" {option}{place}"),
        format!("{title} 是变更类型，不是标题；未新建工单：请输入 p861 ticket open \"TITLE\" {option}{place}"),
    )
}

/// `incident`, and no title.
pub fn incident_without_title(title: &str, place: &str) -> Bilingual {
    both(
        format!("{title} is a type of ticket and no title; nothing was opened: type p861 ticket open \"TITLE\"{place}"),
        format!("{title} 是工单类型，不是标题；未新建工单：请输入 p861 ticket open \"TITLE\"{place}"),
    )
}

/// The Platform has no such component.
pub fn no_component(component: &str, known: &[&str]) -> Bilingual {
    let meant = super::perhaps(component, known.iter().copied());
    let again = super::type_with(component, known.iter().copied());
    let known = if known.is_empty() { "-".to_owned() } else { known.join(", ") };
    both(
        format!("the district's Platform declares no component {component}{}; it declares {known}{}", meant.en, again.en),
        format!("本区平台未声明组件 {component}{}；已声明：{known}{}", meant.zh, again.zh),
    )
}

/// The title of an upgrade.
pub fn upgrade_title(component: &str, version: &str) -> p861_crds::LocalizedText {
    p861_crds::LocalizedText { zh: Some(format!("升级 {component} 到 {version}")), en: Some(format!("Upgrade {component} to {version}")) }
}

/// Options of other work than the change's.
pub fn not_of_this_work(option: &str, of: &str) -> Bilingual {
    both(format!("{option} is only for {of}"), format!("{option} 仅用于 {of}"))
}

/// `--drain` is no node.
pub fn not_a_node(place: &str) -> Bilingual {
    both(format!("--drain {place:?} names no node: write SITE/NODE"), format!("--drain {place:?} 不是节点：请写作 站点/节点"))
}

/// No plan yet.
pub fn nothing_to_approve(name: &str, place: &str) -> Bilingual {
    both(
        format!("ticket {name} has no plan to approve yet: p861 ticket plan {name} \"how it is done\"{place}"),
        format!("工单 {name} 尚无可批准的方案：p861 ticket plan {name} \"方案\"{place}"),
    )
}

/// Steps that can't be compiled, so that there are none to approve.
pub fn not_approvable(name: &str, why: &str) -> Bilingual {
    let Bilingual { en, zh } = told(why);
    both(format!("ticket {name} can't be approved as it is: {en}; nothing was created"), format!("工单 {name} 目前不能批准：{zh}；未创建任何对象"))
}

/// What is approved.
pub fn approving(title: &str, plan: Option<&str>, digest: &str) -> Bilingual {
    let plan = plan.unwrap_or("-");
    both(format!("{title}\nHow: {plan}\nDigest: {digest}"), format!("{title}\n方案：{plan}\n摘要：{digest}"))
}

/// What the operator says of a drain to those who are to agree.
pub fn approving_drain(said: &str) -> Bilingual {
    let Bilingual { en, zh } = told(said);
    both(format!("Now: {en}"), format!("目前：{zh}"))
}

/// An approval counts.
pub fn approval_counted(name: &str, rejected: bool, said: &str) -> Bilingual {
    if rejected {
        both(format!("Ticket {name}: your rejection counts"), format!("工单 {name}：否决有效"))
    } else {
        let Bilingual { en, zh } = told(said);
        both(format!("Ticket {name}: your approval counts, {en}"), format!("工单 {name}：批准有效，{zh}"))
    }
}

/// A change that names neither an application nor a site.
pub fn affects_nothing() -> Bilingual {
    both("no application or site is named: none is backed up, silenced or checked", "未指明应用或站点：不备份、不静默告警、不检查")
}

/// A person whom no roster has.
pub fn not_in_rosters(person: &str, known: &[String]) -> Bilingual {
    let meant = super::perhaps(person, known.iter().map(String::as_str));
    let again = super::type_with(person, known.iter().map(String::as_str));
    both(
        format!("no duty roster of the district has {person}{}; nothing was requested; people: {}{}", meant.en, known.join(", "), again.en),
        format!("本区的值班表中没有 {person}{}；未提出任何请求；人员：{}{}", meant.zh, known.join("、"), again.zh),
    )
}

/// Who opens tickets by alerts.
pub fn alertmanager_of(site: &str) -> Bilingual {
    both(format!("Alertmanager of {site}"), format!("{site} 的 Alertmanager"))
}

/// A decision that is no more than history.
pub fn does_not_count(why: &str) -> Bilingual {
    let Bilingual { en, zh } = told(why);
    both(format!("; does not count: {en}"), format!("；不计入：{zh}"))
}

/// An approval doesn't count.
pub fn approval_void(name: &str, reason: &str, message: &str) -> Bilingual {
    let Bilingual { en, zh } = told(message);
    both(
        format!("approval {name} does not count ({reason}): {en}"),
        format!("批准 {name} 无效（{}）：{zh}", super::reason(&Reason::from_text(reason)).map_or(reason, |word| word.zh)),
    )
}

/// Who is called later.
pub fn called_after(wait: &str) -> Bilingual {
    both(format!("called if nobody acknowledges within {wait}"), format!("{}内无人响应则呼叫", span(wait, Language::Zh)))
}

/// The duty was taken.
pub fn taken_at(time: &str) -> Bilingual {
    both(format!("took over {time}"), format!("{time} 已接班"))
}

/// The duty was not taken yet.
pub fn called_too(person: &str) -> Bilingual {
    both(format!("has not taken over yet: {person} is called too"), format!("尚未接班：{person} 也会被呼叫"))
}

/// Nobody is on duty.
pub fn nobody() -> Word {
    Word { en: "nobody", zh: "无人" }
}

/// The duty was given.
pub fn duty_given(roster: &str) -> Bilingual {
    both(
        format!("Handed over; until the other person types p861 duty take, both of you are called (roster {roster})"),
        format!("已交班；对方执行 p861 duty take 之前，双方都会被呼叫（值班表 {roster}）"),
    )
}

/// The duty was taken.
pub fn duty_taken(roster: &str, note: Option<&str>) -> Bilingual {
    let (en, zh) = note.map(|note| (format!(". Note: {note}"), format!("。交接事项：{note}"))).unwrap_or_default();
    both(format!("You are on duty (roster {roster}){en}"), format!("您已接班（值班表 {roster}）{zh}"))
}

/// Somebody who is not on the roster.
pub fn not_on_roster(person: &str, roster: &str) -> Bilingual {
    both(
        format!("you are {person}, who is not in spec.people of roster {roster}: nothing was handed over"),
        format!("您是 {person}，不在值班表 {roster} 的 spec.people 中：未交接"),
    )
}

/// The word for where a message stands.
pub fn notification_state(state: NotificationState, late: bool) -> Word {
    match (state, late) {
        (NotificationState::Pending, _) => Word { en: "pending", zh: "待送达" },
        (NotificationState::Delivered, false) => Word { en: "delivered", zh: "已送达" },
        (NotificationState::Delivered, true) => Word { en: "delivered late", zh: "延迟送达" },
        (NotificationState::Dropped, _) => Word { en: "no longer needed", zh: "已不需要" },
    }
}
