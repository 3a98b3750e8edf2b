//! Help in Chinese. The English stands beside what it describes, in `args`; here each English text has its Chinese one. A test finds one that is missing.

use super::Language;
use clap::{Arg, ArgAction, Command};
use std::collections::HashMap;

const TEXTS: &[(&str, &str)] = &[
    ("Disaster recovery for the 861 platforms of a city: proven backups, measured drills", "城市 861 平台的容灾：备份经过验证，演练有度量"),
    ("Show one page: state, protection, and open problems (exit code 4 if there are any)", "一页概览：运行、保护、待处理问题（有问题时退出码为 4）"),
    ("Sites: the managed clusters", "站点：受管理的集群"),
    ("Districts", "区"),
    ("Applications of the district", "本区的应用"),
    ("Repositories: storage for backups", "备份库：存放备份"),
    ("Backups: take, list, watch", "备份：执行、列出、观察"),
    ("Restores: preview, run, watch", "恢复：预览、执行、观察"),
    ("Recovery plans: list, check", "恢复预案：列出、检查"),
    ("Drills: run, watch, control, report", "演练：执行、观察、操作、报告"),
    ("Tickets: incidents and changes", "工单：事件与变更，从接报到关闭"),
    ("Duty: who is on duty, and hand-over", "值班：查看与交接班"),
    ("Open an incident, or with --change a change", "新建事件；加 --change 则提出变更"),
    ("List open tickets", "列出未结束的工单"),
    ("Show one ticket: deadlines, people, blockers, history", "显示一个工单：时限、人员、阻碍、处理记录"),
    ("Acknowledge a ticket: stops the Acknowledge deadline and further calls", "响应工单：停止响应计时，不再呼叫他人"),
    ("Assign a ticket", "指派工单"),
    ("Add a note to a ticket", "在工单中添加记录"),
    ("Describe how a change will be done", "填写变更方案"),
    ("Approve or reject a change as currently planned", "按当前方案批准或否决变更"),
    ("Start the work", "开始作业"),
    ("Report the work as done; verification follows", "报告作业完成，等待验证"),
    ("Roll back a change", "回退变更"),
    ("Resolve a ticket", "解决并关闭工单"),
    ("Suspend a ticket: pauses the Resolve deadline", "挂起工单：暂停解决计时"),
    ("Continue a suspended ticket", "继续处理挂起的工单"),
    ("Reopen a ticket", "重新打开工单"),
    ("Cancel a ticket", "取消工单"),
    ("Show who is on duty, until when, and who is called next", "查看谁在值班、到何时、接下来呼叫谁"),
    ("Hand over the duty, with notes for the next person", "交班：留下交接事项"),
    ("Take over the duty", "接班"),
    ("Explain a reason or an alert; without one, list all reasons", "解释一个原因或告警；不写则列出全部原因"),
    ("The reason, as conditions, Events and -o json have it; or the name of an alert", "原因，名称见状态条件、Kubernetes 事件或 -o json；或告警名称"),
    ("Maintenance windows: when changes are allowed", "维护窗口：何时可以变更"),
    ("List the maintenance windows", "列出维护窗口"),
    ("Show one maintenance window", "显示一个维护窗口"),
    ("Templates: changes that are approved once for all", "变更模板：一次批准、重复适用的变更"),
    ("List the templates that the district's changes may follow", "列出本区变更可依据的模板"),
    ("Show one template: its work and its limits", "显示一个模板：作业与限定"),
    ("Print the completion script for a shell", "输出 shell 的自动补全脚本"),
    ("List the sites", "列出站点"),
    ("Show one site", "显示一个站点"),
    ("List the districts", "列出各区"),
    ("Profiles: the standards for districts", "规范：衡量各区的标准"),
    ("List the profiles", "列出规范"),
    ("The district's platform: layers, gaps, forecast", "本区平台：各层、差距、预测"),
    ("Show layers, components and profile items (exit code 4 if a layer is not ready)", "显示各层、组件和规范的构成项（有一层未就绪时退出码为 4）"),
    (
        "Show what is missing or weak, on which site, with the remedy (exit code 4 if a layer is not ready)",
        "显示缺失和薄弱之处、所在站点及措施（有一层未就绪时退出码为 4）",
    ),
    ("Forecast when each layer runs short", "预测各层何时不足"),
    ("List the repositories", "列出备份库"),
    ("Show one repository", "显示一个备份库"),
    ("Backup policies: when applications are backed up", "备份策略：应用何时备份"),
    ("List the backup policies", "列出备份策略"),
    ("Show one backup policy (exit code 4 if it does not take backups as it says)", "显示一个备份策略（未按其所述备份时退出码为 4）"),
    ("Show which backups begin when: today and the days to come", "显示今天及以后几天各备份的开始时刻"),
    ("Only this application, with its own times", "只列该应用，及其自身的时刻"),
    ("Number of days, today included", "天数，含今天"),
    ("List the applications", "列出应用"),
    (
        "Draft an Application from a namespace on a site: YAML to stdout, findings to stderr",
        "根据站点上的命名空间起草 Application：YAML 输出到 stdout，发现的问题输出到 stderr",
    ),
    (
        "Show one application: conditions, objectives, newest backup and drill (exit code 4 if a condition is not good)",
        "显示一个应用：状态、目标、最近的备份和演练（状态不良时退出码为 4）",
    ),
    ("List the plans", "列出预案"),
    ("Show one plan", "显示一个预案"),
    ("Check whether a plan could run now (exit code 4 if a check fails)", "逐项检查预案现在能否执行（有一项未通过时退出码为 4）"),
    ("Back up an application now, and watch the run", "立即备份一个应用并观察"),
    ("List backups: the newest ones, and the newest of each level", "列出备份：最近的，以及各级别最近的"),
    ("Show one backup", "显示一个备份"),
    ("Show which snapshots stay, which go, and why, before any goes", "在删除之前，列出哪些快照保留、哪些删除及其原因"),
    ("Let a backup's snapshot leave its repository for good, after confirmation", "询问后从备份库永久删除一个备份的快照"),
    ("The application, or a policy; default: all of the district", "应用或备份策略；缺省为全区"),
    ("Show every snapshot; otherwise only those that go", "列出全部快照；否则只列将删除的"),
    ("Also if it is the newest, or the newest of its level", "即使是最新的，或其级别中最新的"),
    (
        "Show what a restore would do, without writing anything (exit code 4 if it would be refused)",
        "预览恢复的结果，不写入任何内容（恢复会被拒绝时退出码为 4）",
    ),
    ("Restore a backup, after confirmation", "确认后恢复一个备份"),
    ("List restores", "列出恢复"),
    ("Show one restore", "显示一次恢复"),
    ("Drill a plan, and watch the run (exit code 0 if it passed, 4 if not)", "演练一个预案并观察（通过退出码为 0，否则为 4）"),
    ("List drills", "列出演练"),
    ("Show one drill", "显示一次演练"),
    ("Write the report to stdout: -o html or -o json; a summary without either", "将报告输出到 stdout：-o html 或 -o json；否则输出摘要"),
    ("Remove a kept copy now", "立即清理保留中的副本"),
    ("Keep the copy longer", "延长副本的保留时间"),
    ("Watch a run until it ends", "观察任务直到结束"),
    ("Pause: start no new steps until resume", "暂停：不再开始新的步骤"),
    ("Continue after pause", "暂停后继续"),
    ("Stop the run, undo what can be undone, clean up; what a restore has written stays", "中止任务，能撤销的予以撤销并清理；恢复已写入的内容保留"),
    ("Retry a failed step", "重试失败的步骤"),
    ("Give up a step and continue without it", "跳过一个步骤并继续"),
    ("Answer a step's question: --yes or --no", "答复步骤的提问：--yes（是）或 --no（否）"),
    ("District; default: the namespace of the kubeconfig context", "区；缺省为 kubeconfig 上下文的命名空间"),
    ("Namespace of the district on the hub", "区在管理中心的命名空间"),
    (
        "Output format: a table, one with more columns, the objects as JSON or YAML, their names; html for reports only",
        "输出格式：表格、多列表格、JSON 或 YAML、名称；html 只用于报告\n",
    ),
    ("Print every column of a table, each row on one line: the same as -o wide", "显示表格的全部列，每行不折行；等同于 -o wide"),
    ("User to act as; the hub must allow you to impersonate", "以此用户的身份操作；须有模拟（impersonate）权限"),
    ("Group to act as, together with --as; may be repeated", "与 --as 合用：以此用户组的身份操作；可重复"),
    ("Language of tables and messages; default: P861_LANG, then LANG", "表格和消息的语言；缺省依次由 P861_LANG、LANG 决定"),
    ("Stop watching after this time, for example 30m (exit code 7); the run continues", "最多观察多久，例如 30m；任务继续，退出码为 7"),
    ("Do not watch: start the run, or print its state, and return at once", "不观察：开始任务或显示现状后立即返回"),
    ("Context of the kubeconfig", "kubeconfig 的上下文"),
    ("Kubeconfig file; default: KUBECONFIG, then ~/.kube/config", "kubeconfig；缺省为 KUBECONFIG 或 ~/.kube/config"),
    ("Write the manual pages to a directory", "将手册页写入目录"),
    ("Print the reference of all commands as Markdown", "以 Markdown 输出全部命令的参考"),
    ("The shell", "shell 名称"),
    ("The directory", "目录"),
    ("Its name", "名称"),
    ("Namespace of the operator on the hub", "operator 在管理中心的命名空间"),
    ("The plan", "预案"),
    ("Also print the compiled steps", "同时列出步骤"),
    ("Also print the order of the steps, in waves that may run in parallel", "同时分批列出可并行执行的步骤"),
    ("The namespace on the site", "站点上的命名空间"),
    ("Site, read with its own kubeconfig (you need access to that Secret)", "站点；若您有权读取其 Secret，则用其中的 kubeconfig"),
    ("Read the site with this context of your kubeconfig instead", "改用您 kubeconfig 的此上下文读取站点"),
    ("Read the site with this kubeconfig instead", "改用此 kubeconfig 读取站点"),
    ("Name of the Application; default: the namespace without the district's prefix", "Application 的名称；缺省为去掉区前缀的命名空间"),
    ("The run", "任务"),
    ("Reason, recorded in the journal and the report", "原因；写入运行记录和报告"),
    ("Reason, recorded in the journal and the report; required, asked for at a terminal", "原因；写入运行记录和报告；必填，在终端上会询问"),
    (
        "The step: its name as the view shows it, in quotes, or its id (p861 plan check PLAN --steps, or -o json); optional if there is only one candidate",
        "步骤：视图中的名称（加引号）或标识（见 p861 plan check --steps）；仅一个时可省略",
    ),
    ("Answer yes", "答复“是”"),
    ("Answer no", "答复“否”"),
    ("Additional time, for example 30m", "延长多久，例如 30m"),
    (
        "Type of the drill: recover an isolated copy, or only compile, check and predict at the table",
        "演练类型：恢复一份隔离的副本，或只生成步骤、检查、预测\n",
    ),
    ("Target site; default: the plan's standby", "目标站点；缺省为预案的备用站点"),
    ("Latest recovery point to use, for example \"2026-11-20 00:00\"", "不使用晚于此时间的数据，例如 \"2026-11-20 00:00\""),
    ("Scenario of the exercise", "演练情景"),
    ("Keep the copy this long for inspection, for example 1h", "将副本保留多久供人查看，例如 1h"),
    ("Only drills of this plan", "只列此预案的"),
    ("The application", "应用"),
    (
        "Repository; default: that of the recovery plan, else of the newest backup, else the only one",
        "备份库；缺省为恢复预案的，其次最近一次备份的，再次本区唯一的",
    ),
    ("Reason for the backup", "备份的原因"),
    ("Keep it at least until this time, for example 2027-01-31", "至少保留到此时间，例如 2027-01-31"),
    ("Only backups of this application", "只列此应用的"),
    ("List all of them", "全部列出"),
    ("The backup", "备份"),
    ("Target site; default: the application's active site", "目标站点；缺省为应用当前所在站点"),
    ("Restore into another namespace: FROM=TO; may be repeated", "恢复到另一命名空间：FROM=TO；可重复"),
    ("Restore only files: a claim, or CLAIM:/PATH; may be repeated", "只恢复文件：存储卷声明，或 CLAIM:/PATH；可重复"),
    (
        "Keep files that are not in the backup; otherwise they are removed from each volume that is restored as a whole",
        "保留备份中没有的文件；否则整卷恢复时将其移除",
    ),
    ("Put the files under this path of their volume, beside the existing files", "将文件放到卷内的此路径下，不覆盖现有文件"),
    (
        "Existing objects that differ: refuse the restore, skip them, merge the backup into them, or replace them",
        "已有对象不同时：拒绝恢复、跳过、并入或替换\n",
    ),
    ("Print objects of a backup as they were saved; without a name, list their names", "输出备份中对象的原样；不写名称时列出名称"),
    ("Restore only objects: a kind, or KIND/NAME; may be repeated", "只恢复对象：类型，或 KIND/NAME；可重复"),
    (
        "Kind of the objects, for example ConfigMap, deployments or Widget.demo.example; every kind when absent",
        "对象的类型，例如 ConfigMap、deployments 或 Widget.demo.example；缺省为所有类型",
    ),
    ("Name of the object", "对象的名称"),
    ("Site that is to read the backup; default: the application's active site", "由哪个站点读取备份；缺省为应用当前所在站点"),
    ("Show every object with all of its differences; values of Secrets are never shown", "列出每个对象及其全部差异；从不显示 Secret 的值"),
    ("List every object that was not written, refused or left out, with the reason", "列出未写入的每个对象（被拒绝或被保留）及其原因"),
    ("List every object that the operator reports, including those that would only be created", "列出 operator 给出的每个对象，包括仅将新建的对象"),
    ("Do not ask for confirmation; needs --backup", "不询问；须同时给出 --backup"),
    ("With --yes: the name of the backup, again", "与 --yes 合用：再次写出备份名称"),
    ("After upgrade: the component of the Platform to upgrade to its declared version", "upgrade 之后：要升到声明版本的平台组件"),
    (
        "How long an upgraded component must stay healthy on a site before the next site follows; default: 10m, or the template's",
        "组件在一个站点须保持健康多久才升级下一站点；缺省为 10m 或模板所定",
    ),
    (
        "Title in one line; or upgrade, followed by the name of a component; optional with --template",
        "一句话说明事由；或写 upgrade，其后为组件名；有 --template 时可省略",
    ),
    ("Open a Standard change that follows this template; what the template states is filled in", "依据此模板提出标准变更；模板所定的内容自动填入"),
    ("Impact", "影响程度"),
    ("Urgency", "紧急程度"),
    ("Affected application; may be repeated", "涉及的应用；可重复"),
    ("Affected site; may be repeated", "涉及的站点；可重复"),
    (
        "Open a change instead of an incident: approved once by a template, on its own, or without a window",
        "提出变更而不是新建事件：依据模板批准、单独批准，或不受窗口限制\n",
    ),
    ("Description of the work", "实施方案"),
    ("Description of the rollback", "回退方案"),
    ("Maintenance window of the change; default: any window for its class", "变更所用的维护窗口；缺省为适用于该类变更的任一窗口"),
    ("Node to drain for the change: SITE/NODE", "变更前须排空的节点：站点/节点"),
    ("Expected duration of the change: it does not start if its window closes sooner", "预计所需时间：距窗口关闭不足该时长时不开始"),
    ("Maximum time to drain the node; default: 30m, or the template's", "排空节点的最长时间；缺省为 30m 或模板所定"),
    ("Drain pods with emptyDir data, too; the data is deleted with them", "也驱逐含 emptyDir 数据的 Pod；数据随之删除"),
    ("Drain pods without a controller, too; nothing starts them again", "也驱逐没有控制器的 Pod；它们不会再被拉起"),
    ("Do not back up the applications before the change", "变更前不备份应用"),
    ("Do not silence alerts during the change", "变更期间不静默告警"),
    ("Run that caused the ticket, for example drill/shinan-core-20261115-0900", "来源任务，例如 drill/shinan-core-20261115-0900"),
    ("Due time, for example \"2026-12-24 18:00\"", "要求完成的时间，例如 \"2026-12-24 18:00\""),
    ("Include closed tickets", "同时列出已关闭的工单"),
    ("The ticket", "工单"),
    ("Reason, recorded in the ticket", "原因；写入工单"),
    ("Reason, recorded in the ticket; required, asked for at a terminal", "原因；写入工单；必填，在终端上会询问"),
    ("The new assignee", "指派给谁"),
    ("Text of the note", "记录内容"),
    ("The incident was reported to the authority: stops the Report deadline", "事件已上报：停止上报计时"),
    ("Resolution", "处理结果"),
    ("Reject instead", "改为否决"),
    ("Reason, recorded in the approval", "原因；写入批准记录"),
    ("Approve only if the current plan has this digest", "仅当现有方案的摘要与此一致时批准"),
    ("Notes for the next person", "须交接给下一班的事项"),
    ("Duty roster; default: the only one of the district", "值班表；缺省为本区唯一的"),
];

/// The page of a command in Chinese; clap's own has English heads.
const PAGE: &str = "{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}";

const EXIT_CODES: &str = "退出码：0 良好，1 意外错误，2 用法错误，3 被拒绝，4 结果不良，5 等待人工，6 无法连接，7 已到 --timeout，130 Ctrl-C";

/// The command with its help in a language.
pub fn translate(command: Command, language: Language) -> Command {
    if language == Language::En {
        return command;
    }
    let texts: HashMap<&str, &str> = TEXTS.iter().copied().collect();
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version).help("显示版本").help_heading("选项");
    said(command.disable_version_flag(true).arg(version).after_help(EXIT_CODES), &texts)
}

fn said(command: Command, texts: &HashMap<&str, &str>) -> Command {
    let of = |text: Option<String>| text.and_then(|text| texts.get(text.as_str()).map(|zh| (*zh).to_owned()));
    let command = match of(command.get_about().map(ToString::to_string)) {
        Some(zh) => command.about(zh),
        None => command,
    };
    let command = command.mut_args(|argument| match of(argument.get_help().map(ToString::to_string)) {
        Some(zh) => argument_said(argument, zh),
        None => argument,
    });
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).help("显示帮助").help_heading("选项");
    let command = command.disable_help_flag(true).arg(help).help_template(PAGE).subcommand_help_heading("命令").subcommand_value_name("命令");
    command.mut_subcommands(|inner| said(inner, texts))
}

/// An argument in Chinese, with what it may be and what it is when absent: clap would say those in English.
fn argument_said(argument: Arg, zh: String) -> Arg {
    let heading = match argument.get_help_heading() {
        Some(_) => "各命令通用选项",
        None if argument.is_positional() => "参数",
        None => "选项",
    };
    let takes_value = argument.get_action().takes_values();
    let shown = argument.get_possible_values().into_iter().filter(|_| !argument.is_hide_possible_values_set());
    let possible: Vec<String> = shown.map(|value| value.get_name().to_owned()).collect();
    let default: Vec<String> = argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if !takes_value {
        return argument.help(zh).help_heading(heading);
    }
    let mut text = zh;
    let (possible, default) = (possible.join("、"), default.join("、"));
    match (possible.as_str(), default.as_str()) {
        ("", "") => {}
        (possible, "") => text.extend(["（可选 ", possible, "）"]),
        ("", default) => text.extend(["（缺省 ", default, "）"]),
        (possible, default) => text.extend(["（", possible, "；缺省 ", default, "）"]),
    }
    argument.help(text).help_heading(heading).hide_possible_values(true).hide_default_value(true).hide_env(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_of_a_command_that_there_is() {
        fn collect(command: &Command, found: &mut Vec<String>) {
            found.extend(command.get_about().map(ToString::to_string));
            found.extend(command.get_arguments().filter_map(|argument| argument.get_help().map(ToString::to_string)));
            command.get_subcommands().for_each(|inner| collect(inner, found));
        }
        let mut found = Vec::new();
        collect(&crate::args::command(Language::En, false), &mut found);
        for (english, _) in TEXTS {
            assert!(found.iter().any(|text| text == english), "{english}");
        }
    }

    #[test]
    fn every_command_and_every_argument_is_described_in_chinese() {
        fn check(command: &Command) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_ascii(), "{}: {about}", command.get_name());
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_ascii(), "{} {}: {help:?}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&crate::args::command(Language::Zh, false));
    }
}
