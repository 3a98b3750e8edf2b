//! Help in Chinese. The English stands beside what it describes, in `args`; here each English text has its Chinese one. A test finds one that is missing.

use super::Language;
use clap::{Arg, ArgAction, Command};
use std::collections::HashMap;

const TEXTS: &[(&str, &str)] = &[
    ("Backups that are proven, drills that are measured, for the 861 platforms of a city's districts", "面向各区 861 平台：可证明的备份，可度量的演练"),
    ("One page: what runs, what is protected, what needs a person (exit code 4 if something does)", "一页概览：运行、保护、待办（有待办时退出码为 4）"),
    ("Sites: the clusters that are managed", "站点：受管理的集群"),
    ("Districts", "区"),
    ("Applications of the district", "本区的应用"),
    ("Repositories: where backups are kept", "备份库：备份存放之处"),
    ("Backups: take, list, watch", "备份：执行、列出、观察"),
    ("Restores: preview, run, watch", "恢复：预览、执行、观察"),
    ("Recovery plans: list, check", "恢复预案：列出、检查"),
    ("Drills: run, watch, act on, report", "演练：执行、观察、操作、报告"),
    ("Tickets: incidents and changes, from the first call to the last note", "工单：事件与变更，从接报到关闭"),
    ("Duty: who has it, and handing it over", "值班：谁在值班，交接班"),
    ("Open an incident, or with --change a change", "新建事件；加 --change 新建变更"),
    ("List tickets that have not ended", "列出未结束的工单"),
    ("Show one ticket: clocks, people, what is in its way, what was done", "显示一个工单：时限、人员、阻碍、记录"),
    ("I have it: the clock Acknowledge stops, nobody else is called", "响应工单：停止响应计时，不再呼叫他人"),
    ("Give a ticket to somebody", "指派工单"),
    ("Remember something in a ticket", "在工单中记录"),
    ("Say how a change is done", "填写变更方案"),
    ("Approve a change as it is planned now, or reject it", "按现有方案批准变更，或否决"),
    ("Work begins", "开始处理"),
    ("Work is done; was it good?", "处理完毕，待验证"),
    ("A change was taken back", "变更已回退"),
    ("It is over", "解决并关闭"),
    ("Nothing happens for now; the clock Resolve stands still", "挂起：暂停处理计时"),
    ("A suspended ticket goes on", "恢复挂起的工单"),
    ("It was not over", "重新打开"),
    ("It will not be done", "取消"),
    ("Who is on duty, until when, and who is called next", "谁在值班、到何时、下一级呼叫谁"),
    ("Leave: what the next one must know", "交班：留下交接事项"),
    ("Come: the duty is mine", "接班"),
    ("Maintenance windows: when something may change", "维护窗口：何时可以变更"),
    ("List the maintenance windows", "列出维护窗口"),
    ("Show one maintenance window", "显示一个维护窗口"),
    ("Print the completion script of a shell", "输出 shell 的自动补全脚本"),
    ("List the sites", "列出站点"),
    ("Show one site", "显示一个站点"),
    ("List the districts", "列出各区"),
    ("Profiles: what districts are measured against", "规范：各区的衡量依据"),
    ("List the profiles", "列出规范"),
    ("The district's platform: its five layers, what is missing, what runs short", "本区平台：五层、差距、预测"),
    ("Show layers, components and items of the profile (exit code 4 if a layer is not ready)", "显示各层、组件和构成项（有一层未就绪时退出码为 4）"),
    ("Show what is missing or weak, where, and what to do about it (exit code 4 if a gap exists)", "显示缺失和薄弱之处、所在站点及措施（有差距时退出码为 4）"),
    ("Show which layer runs short when, and what that rests on", "显示各层何时不足及其依据"),
    ("List the repositories", "列出备份库"),
    ("Show one repository", "显示一个备份库"),
    ("List the applications", "列出应用"),
    (
        "Write the Application for what runs in a site's namespace: YAML to stdout, what was found to stderr",
        "为站点命名空间中运行的应用生成 Application：YAML 输出到 stdout，发现结果输出到 stderr",
    ),
    (
        "Show one application: conditions, objectives, newest backup and drill (exit code 4 if a condition is bad)",
        "显示一个应用：状态、目标、最近的备份和演练（状态不良时退出码为 4）",
    ),
    ("List the plans", "列出预案"),
    ("Show one plan", "显示一个预案"),
    ("Show whether a plan could be run now: its checks, one by one (exit code 4 if one fails)", "逐项检查预案现在能否执行（有一项未通过时退出码为 4）"),
    ("Take a backup of an application now, and watch it", "立即备份一个应用并观察"),
    ("List backups: the newest, and the newest of each level", "列出备份：最近的，以及各级别最近的"),
    ("Show one backup", "显示一个备份"),
    ("Show what a restore would do; nothing is written (exit code 4 if something is in its way)", "预览恢复的效果，不写入任何内容（有阻碍时退出码为 4）"),
    ("Restore a backup, after asking", "询问后恢复一个备份"),
    ("List restores", "列出恢复"),
    ("Show one restore", "显示一次恢复"),
    ("Rehearse a plan, and watch it (exit code 0 if it passed, 4 if not)", "演练一个预案并观察（通过退出码为 0，否则为 4）"),
    ("List drills", "列出演练"),
    ("Show one drill", "显示一次演练"),
    ("Write the report to stdout: -o html or -o json; without either, its summary", "将报告输出到 stdout：-o html 或 -o json；否则输出摘要"),
    ("Clean up a copy that is kept standing, now", "立即清理保留中的副本"),
    ("Keep the copy standing longer", "延长副本的保留"),
    ("Watch a run until it ends", "观察任务直到结束"),
    ("Start nothing new until resume", "暂停：不再开始新的步骤"),
    ("Go on after pause", "暂停后继续"),
    ("Stop the run, undo what was done, clean up", "中止任务，撤销并清理"),
    ("Try a failed step again", "重试失败的步骤"),
    ("Go on without a step", "跳过一个步骤"),
    ("Answer a step's question; yes unless --no", "回答步骤的提问；默认回答“是”，--no 回答“否”"),
    ("The district; the kubeconfig context's namespace when absent", "区；缺省为 kubeconfig 上下文的命名空间"),
    ("The district's namespace on the hub", "区在管理中心的命名空间"),
    ("The form of the answer", "结果的形式"),
    ("The language of tables and messages; P861_LANG, then LANG, decides when absent", "表格和消息的语言；缺省依次由 P861_LANG、LANG 决定"),
    ("Watch no longer than this, for example 30m; the run goes on, exit code 7", "最多观察多久，例如 30m；任务继续，退出码为 7"),
    ("Do not watch: start it, or say how it stands, and return at once", "不观察：开始任务或显示现状后立即返回"),
    ("The kubeconfig's context", "kubeconfig 的上下文"),
    ("The kubeconfig; KUBECONFIG or ~/.kube/config when absent", "kubeconfig；缺省为 KUBECONFIG 或 ~/.kube/config"),
    ("Write the manual pages into a folder", "将手册页写入目录"),
    ("Print the reference of all commands as Markdown", "以 Markdown 输出全部命令的参考"),
    ("The shell", "shell 名称"),
    ("The folder", "目录"),
    ("Its name", "名称"),
    ("The operator's namespace on the hub", "operator 在管理中心的命名空间"),
    ("The plan", "预案"),
    ("Also print the compiled steps", "同时列出编译后的步骤"),
    ("Also print the order: what may run at once, wave by wave", "同时列出次序：逐批显示可同时执行的步骤"),
    ("The namespace on the site", "站点上的命名空间"),
    ("The site, read by its own kubeconfig if you may read that Secret", "站点；若您有权读取其 Secret，则用其中的 kubeconfig"),
    ("Read the site by this context of your kubeconfig instead", "改用您 kubeconfig 的此上下文读取站点"),
    ("Read the site by this kubeconfig instead", "改用此 kubeconfig 读取站点"),
    ("The Application's name; the namespace without the district's prefix when absent", "Application 的名称；缺省为去掉区前缀的命名空间"),
    ("The run", "任务"),
    ("Why; it stands in the journal and the report", "原因；写入日志和报告"),
    ("The step; may be left out if only one is meant", "步骤；只有一个时可省略"),
    ("Answer yes", "回答“是”"),
    ("Answer no", "回答“否”"),
    ("By how long, for example 30m", "延长多久，例如 30m"),
    ("How far it goes", "演练的深度"),
    ("Where; the plan's standby when absent", "演练站点；缺省为预案的备用站点"),
    ("Use no data newer than this, for example \"2026-11-20 00:00\"", "不使用晚于此时间的数据，例如 \"2026-11-20 00:00\""),
    ("What is imagined to have happened", "设想的场景"),
    ("Keep the copy standing this long for people to look at, for example 1h", "将副本保留多久供人查看，例如 1h"),
    ("Only of this plan", "只列此预案的"),
    ("The application", "应用"),
    ("Where to; the policy's, or the district's only one, when absent", "备份库；缺省为策略指定的，或本区唯一的"),
    ("Why it is taken", "备份的原因"),
    ("Keep it at least until then, for example 2027-01-31", "至少保留到此时间，例如 2027-01-31"),
    ("Only of this application", "只列此应用的"),
    ("All of them", "全部列出"),
    ("The backup", "备份"),
    ("The site; the application's active one when absent", "站点；缺省为应用当前所在站点"),
    ("Into another namespace: FROM=TO; may be repeated", "恢复到另一命名空间：FROM=TO；可重复"),
    ("Only files: a claim, or CLAIM:/PATH; may be repeated", "只恢复文件：存储卷声明，或 CLAIM:/PATH；可重复"),
    ("Put the files under this path of their volume, beside what is there", "将文件放到卷内的此路径下，不覆盖现有文件"),
    ("What is done about objects that are there and different", "已有且不同的对象如何处理"),
    ("Name every object that the operator lists, also those that would only be created", "列出 operator 给出的每个对象，包括仅需创建的"),
    ("Do not ask; needs --backup", "不询问；须同时给出 --backup"),
    ("With --yes: the backup's name again, as you believe it to be", "与 --yes 合用：再次写出您认定的备份名称"),
    ("After upgrade: the component of the Platform that is brought to its declared version", "upgrade 之后：要升到声明版本的平台组件"),
    ("How long an upgraded component must stay healthy on a site before the next one follows", "组件在一个站点升级后须保持健康多久才升级下一站点"),
    ("What it is about, in a line; or upgrade, before the name of a component", "一句话说明事由；或写 upgrade，其后为组件名"),
    ("How much is hurt, or would be", "影响程度"),
    ("How soon something must be done", "紧急程度"),
    ("An application that it is about; may be given again", "涉及的应用；可重复"),
    ("A site that it is about; may be given again", "涉及的站点；可重复"),
    ("A change of this class, instead of an incident", "新建此类变更，而不是事件"),
    ("How the change is done", "变更方案"),
    ("How the change is taken back", "回退方案"),
    ("The window of the change; any that is for its class when absent", "变更所用的维护窗口；缺省为适用于该类变更的任一窗口"),
    ("The change is work on this node, which is emptied for it", "变更为该节点上的作业，作业前将其排空"),
    ("How long the change is expected to take: it doesn't start where its window closes sooner", "预计所需时间：距窗口关闭不足该时长时不开始"),
    ("How long the pods of the node may take to leave", "节点上的 Pod 迁出的最长时间"),
    ("Take no backup of the applications before the change", "变更前不备份应用"),
    ("Silence no alerts during the change", "变更期间不静默告警"),
    ("The run that it came out of, for example drill/shinan-core-20261115-0900", "来源任务，例如 drill/shinan-core-20261115-0900"),
    ("Until when it shall be done, for example \"2026-12-24 18:00\"", "要求完成的时间，例如 \"2026-12-24 18:00\""),
    ("Also those that have ended", "同时列出已结束的"),
    ("The ticket", "工单"),
    ("Why; it stands in the ticket", "原因；写入工单"),
    ("Who shall have it", "指派给谁"),
    ("What to remember", "记录内容"),
    ("The incident was reported upwards: the clock Report stops", "事件已上报：停止上报计时"),
    ("How it is done", "如何实施"),
    ("What came of it", "处理结果"),
    ("Say no instead", "改为否决"),
    ("Why; it stands in the approval", "原因；写入批准记录"),
    ("Only if this is what is planned now", "仅当现有方案的摘要与此一致时"),
    ("What the next one must know", "须交接给下一班的事项"),
    ("The roster; the district's only one when absent", "值班表；缺省为本区唯一的"),
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
    let possible: Vec<String> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
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
