//! Help in Chinese. The English stands beside what it describes, in `args`; here each English text has its Chinese one. One that is missing stays English.

use super::Language;
use clap::Command;
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
    ("Write the report: -o html or -o json", "输出报告：-o html 或 -o json"),
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
    ("The language of tables and messages; LANG decides when absent", "表格和消息的语言；缺省由 LANG 决定"),
    ("Watch no longer than this, for example 30m; the run goes on, exit code 7", "最多观察多久，例如 30m；任务继续，退出码为 7"),
    ("Start it and return at once", "开始后立即返回"),
    ("The kubeconfig's context", "kubeconfig 的上下文"),
    ("The kubeconfig; KUBECONFIG or ~/.kube/config when absent", "kubeconfig；缺省为 KUBECONFIG 或 ~/.kube/config"),
];

/// The command with its help in a language.
pub fn translate(command: Command, language: Language) -> Command {
    if language == Language::En {
        return command;
    }
    let texts: HashMap<&str, &str> = TEXTS.iter().copied().collect();
    said(command, &texts)
}

fn said(command: Command, texts: &HashMap<&str, &str>) -> Command {
    let of = |text: Option<String>| text.and_then(|text| texts.get(text.as_str()).map(|zh| (*zh).to_owned()));
    let command = match of(command.get_about().map(ToString::to_string)) {
        Some(zh) => command.about(zh),
        None => command,
    };
    let command = command.mut_args(|argument| match of(argument.get_help().map(ToString::to_string)) {
        Some(zh) => argument.help(zh),
        None => argument,
    });
    command.mut_subcommands(|inner| said(inner, texts))
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
    fn every_command_is_described_in_chinese() {
        fn check(command: &Command) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(command.is_hide_set() || !about.is_ascii(), "{}: {about}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&crate::args::command(Language::Zh, false));
    }
}
