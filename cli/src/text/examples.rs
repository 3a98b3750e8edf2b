//! Examples of each command, as its help prints them. Names are those of the district that `make demo` builds; a test parses every line.

use super::{Bilingual, Language, Word, both};
use clap::Command;
use std::fmt::Write as _;

/// A line that can be typed, and what it is for.
struct Example(&'static str, Word);

/// Most examples that the help of a noun prints: the first of each of its verbs, in the verbs' order.
const EXAMPLES_OF_A_NOUN: usize = 3;

/// An example, and the noun and the verb that it is of.
type Placed = (Vec<String>, &'static Example);

const fn example(line: &'static str, en: &'static str, zh: &'static str) -> Example {
    Example(line, Word { en, zh })
}

#[rustfmt::skip]
const EXAMPLES: &[Example] = &[
    example("p861 -d shinan status", "All of district shinan on one page", "一页查看市南区（shinan）的全部情况"),
    example("p861 -d shinan status -o json", "The same for a program", "供程序读取"),

    example("p861 site list", "All sites", "列出全部站点"),
    example("p861 site show laoshan-dr", "Why a site is not ready", "查看某站点为何未就绪"),
    example("p861 district list -o wide", "All districts, with namespaces and time zones", "列出各区及其命名空间和时区"),
    example("p861 -d shinan profile list", "The standards that districts can be measured by", "列出可用于衡量各区的规范"),

    example("p861 -d shinan platform status", "The layers, and how many applications they carry", "查看各层及可支撑的应用数"),
    example("p861 -d shinan platform gaps", "What is missing, each with its remedy", "查看缺失之处及措施"),
    example("p861 -d shinan platform forecast", "Which layer runs short first", "查看哪一层最先不足"),

    example("p861 -d shinan app discover shinan-portal --site xinxi-dasha > portal.yaml", "Draft an Application from what runs in a namespace", "根据命名空间中的现状起草 Application"),
    example("p861 -d shinan app list", "All applications of the district", "列出本区全部应用"),
    example("p861 -d shinan app status approval", "Is approval protected, and can it be recovered?", "查看 approval 是否受保护、能否恢复"),

    example("p861 -d shinan repository list", "The repositories, and how full they are", "列出备份库及其用量"),
    example("p861 -d shinan repository show shinan", "When a repository was last checked", "查看备份库最近一次检查的时间"),

    example("p861 -d shinan policy list", "When applications are backed up next", "查看各应用下次何时备份"),
    example("p861 -d shinan policy show critical", "What a policy's backups wait for", "查看策略的备份在等什么"),

    example("p861 -d shinan backup now approval", "Back up approval before a risky change", "有风险的变更之前备份 approval"),
    example("p861 -d shinan backup now approval --keep-until 2027-01-31", "The same, and keep it", "同上，并保留到指定日期"),
    example("p861 -d shinan backup list approval", "The backups of approval", "列出 approval 的备份"),
    example("p861 -d shinan backup show approval-20261124-0230", "What a backup contains", "查看一个备份的内容"),
    example("p861 -d shinan backup calendar", "What runs when, this week", "查看本周各备份的时刻"),
    example("p861 -d shinan backup calendar approval --days 2", "When approval is backed up until tomorrow", "查看 approval 今明两天的备份时刻"),
    example("p861 -d shinan backup retention approval --plan", "What stays, what goes, and why", "哪些快照保留、哪些删除及其原因"),
    example("p861 -d shinan backup forget approval-20261124-0230 --reason \"test data\"", "Let a backup go for good", "永久删除一个备份"),
    example("p861 -d shinan backup watch approval-20261124-0230 --timeout 30m", "Wait for a backup, at most half an hour", "等待备份结束，最多半小时"),
    example("p861 -d shinan backup pause approval-20261124-0230", "Start no new step for now", "暂不开始新的步骤"),
    example("p861 -d shinan backup resume approval-20261124-0230", "Go on", "继续"),
    example("p861 -d shinan backup abort approval-20261124-0230 --reason \"wrong application\"", "Stop a backup", "中止备份"),
    example("p861 -d shinan backup retry approval-20261124-0230", "Try the failed step again", "重试失败的步骤"),
    example("p861 -d shinan backup skip approval-20261124-0230 --reason \"the claim is empty\"", "Continue without the failed step", "跳过失败的步骤"),
    example("p861 -d shinan backup answer approval-20261124-0230 --no", "Answer no to the step that asks", "对提问的步骤答复“否”"),

    example("p861 -d shinan restore preview approval-20261124-0230", "What would change, object by object", "逐个对象查看会有哪些改动"),
    example("p861 -d shinan restore preview approval-20261124-0230 --map shinan-approval=look", "What a restore beside the application would create", "预览恢复到另一命名空间的结果"),
    example("p861 -d shinan restore run approval-20261124-0230 --conflict Replace", "Put approval back to a backup", "将 approval 恢复到某个备份"),
    example("p861 -d shinan restore run portal-20261124-0230 --files site-files:/data", "Restore one folder", "只恢复一个目录"),
    example("p861 -d shinan restore get approval-20261124-0230 ConfigMap", "The ConfigMaps that a backup has", "列出备份中的 ConfigMap"),
    example("p861 -d shinan restore get approval-20261124-0230 Deployment approval-web -o yaml", "A Deployment as it was saved", "输出备份中某个 Deployment 的原样"),
    example("p861 -d shinan restore list", "All restores of the district", "列出本区全部恢复"),
    example("p861 -d shinan restore show one-page --objects", "What a restore did not write, and why", "查看恢复未写入的对象及原因"),
    example("p861 -d shinan restore watch one-page", "Wait for a restore", "等待恢复结束"),
    example("p861 -d shinan restore pause one-page", "Start no new step for now", "暂不开始新的步骤"),
    example("p861 -d shinan restore resume one-page", "Go on", "继续"),
    example("p861 -d shinan restore abort one-page --reason \"wrong backup\"", "Stop a restore; what it has written stays", "中止恢复；已写入的内容保留"),
    example("p861 -d shinan restore retry one-page", "Try the failed step again", "重试失败的步骤"),
    example("p861 -d shinan restore skip one-page --reason \"known\"", "Continue without the failed step", "跳过失败的步骤"),
    example("p861 -d shinan restore answer one-page --yes", "Answer yes to the step that asks", "对提问的步骤答复“是”"),

    example("p861 -d shinan plan list", "The plans, and how they were drilled", "列出预案及演练情况"),
    example("p861 -d shinan plan show shinan-core", "What a plan recovers, and where", "查看预案恢复什么、恢复到哪里"),
    example("p861 -d shinan plan check shinan-core --steps", "Could it run now, and with which steps?", "检查预案现在能否执行，并列出步骤"),

    example("p861 -d shinan drill run shinan-core", "Recover a copy on the standby, and measure it", "在备用站点恢复一份副本并度量"),
    example("p861 -d shinan drill run shinan-core --keep-for 1h", "Keep the copy for an hour to look at it", "保留副本一小时供人查看"),
    example("p861 -d shinan drill run shinan-core --type Tabletop", "Only check and predict", "只检查和预测"),
    example("p861 -d shinan drill list shinan-core", "The drills of a plan", "列出一个预案的演练"),
    example("p861 -d shinan drill show shinan-core-20261124-0900", "Which step took longest, and which failed", "查看哪个步骤最久、哪个失败"),
    example("p861 -d shinan drill report shinan-core-20261124-0900 -o html > report.html", "The report, for a browser", "输出浏览器可打开的报告"),
    example("p861 -d shinan drill cleanup shinan-core-20261124-0900", "Remove the kept copy before its time", "提前清理保留的副本"),
    example("p861 -d shinan drill extend shinan-core-20261124-0900 30m", "Keep the copy half an hour longer", "将副本多保留半小时"),
    example("p861 -d shinan drill watch shinan-core-20261124-0900", "See a drill again that you left", "重新观察已离开的演练"),
    example("p861 -d shinan drill pause shinan-core-20261124-0900", "Start no new step for now", "暂不开始新的步骤"),
    example("p861 -d shinan drill resume shinan-core-20261124-0900", "Go on", "继续"),
    example("p861 -d shinan drill abort shinan-core-20261124-0900 --reason \"wrong day\"", "Stop a drill and remove its copy", "中止演练并清理副本"),
    example("p861 -d shinan drill retry shinan-core-20261124-0900", "Try the failed step again", "重试失败的步骤"),
    example("p861 -d shinan drill skip shinan-core-20261124-0900 clean-up --reason \"removed by hand\"", "Continue without a step", "跳过指定的步骤"),
    example("p861 -d shinan drill answer shinan-core-20261124-0900 --yes", "Answer yes to the step that asks", "对提问的步骤答复“是”"),

    example("p861 -d shinan window list", "When changes are allowed", "查看何时可以变更"),
    example("p861 -d shinan window show saturday-night", "The next times of a window", "查看窗口下一次何时开放"),
    example("p861 -d shinan template list", "The changes that need no approval of their own", "列出无需另行批准的变更"),
    example("p861 -d shinan template show bulletin-patch", "What a template permits", "查看模板允许什么"),

    example("p861 -d shinan ticket open \"The portal is down\" --impact High --urgency High --app portal", "Open an incident", "新建事件"),
    example("p861 -d shinan ticket open upgrade bulletin --window saturday-night", "Open a change that upgrades a component", "提出升级组件的变更"),
    example("p861 -d shinan ticket open \"Replace a disk\" --change Normal --drain xinxi-dasha/node-1", "Open a change that drains a node first", "提出先排空节点的变更"),
    example("p861 -d shinan ticket list", "The open tickets", "列出未结束的工单"),
    example("p861 -d shinan ticket show inc-20261124-0311", "What a ticket waits for", "查看工单在等什么"),
    example("p861 -d shinan ticket ack inc-20261124-0311", "You have it: nobody else is called", "由您处理，不再呼叫他人"),
    example("p861 -d shinan ticket assign inc-20261124-0311 li", "Give it to li", "指派给 li"),
    example("p861 -d shinan ticket note inc-20261124-0311 \"mains cut at 03:11\"", "Record what you found", "记录所见情况"),
    example("p861 -d shinan ticket note inc-20261124-0311 \"told the city's duty desk\" --reported", "Record that it was reported", "记录已经上报"),
    example("p861 -d shinan ticket plan chg-20261124-1400 \"one disk after the other\"", "Say how it will be done", "填写实施方案"),
    example("p861 -d shinan ticket approve chg-20261124-1400", "Approve what is planned now", "批准当前方案"),
    example("p861 -d shinan ticket approve chg-20261124-1400 --reject --reason \"no way back\"", "Reject it", "否决"),
    example("p861 -d shinan ticket start chg-20261124-1400", "Start the work", "开始作业"),
    example("p861 -d shinan ticket done chg-20261124-1400", "The work is done: have it verified", "作业完成，等待验证"),
    example("p861 -d shinan ticket rollback chg-20261124-1400 --reason \"the page is slow\"", "Go back to what was before", "回退到变更之前"),
    example("p861 -d shinan ticket resolve inc-20261124-0311", "It is repaired", "已修复"),
    example("p861 -d shinan ticket resolve inc-20261124-0311 --resolution NotReproducible", "The alert was false", "属于误报"),
    example("p861 -d shinan ticket suspend inc-20261124-0311 --reason \"a part is on its way\"", "Stop the Resolve deadline while you wait", "等待期间暂停解决计时"),
    example("p861 -d shinan ticket resume inc-20261124-0311", "Go on with a suspended ticket", "继续处理挂起的工单"),
    example("p861 -d shinan ticket reopen inc-20261124-0311 --reason \"it is down again\"", "It was not repaired after all", "问题再次出现，重新打开"),
    example("p861 -d shinan ticket cancel chg-20261124-1400 --reason \"it was a rehearsal\"", "Give up a change", "取消变更"),

    example("p861 -d shinan duty now", "Who is called, and who next", "查看先呼叫谁、再呼叫谁"),
    example("p861 -d shinan duty handover --note \"a drill runs until 18:00\"", "Hand over, with what the next person must know", "交班，并留下须知事项"),
    example("p861 -d shinan duty take", "Take over", "接班"),

    example("source <(p861 completions bash)", "In ~/.bashrc: completes commands, options and names of objects", "写入 ~/.bashrc：补全命令、选项和对象名称"),
    example("p861 explain KeyWrong", "What a reason means, and what to do", "查看某个原因的含义和处理办法"),
    example("p861 explain", "All reasons, by what they are about", "按所属内容列出全部原因"),
    example("p861 explain P861DrillFailed", "What an alert means, and its runbook", "查看某个告警的含义和处置手册"),

    example("p861 completions fish > ~/.config/fish/completions/p861.fish", "For fish", "用于 fish"),
    example("p861 man /usr/local/share/man/man1", "For the manual of this computer", "安装到本机的手册"),
];

/// What the first page prints: how a stranger begins.
#[rustfmt::skip]
const FIRST: &[Example] = &[
    example("p861 -d shinan status", "All of district shinan on one page", "一页查看市南区（shinan）的全部情况"),
    example("p861 -d shinan backup now approval", "Back up an application, and watch it", "备份一个应用并观察"),
    example("p861 -d shinan drill run shinan-core", "Prove that a plan works", "通过演练证明预案可行"),
];

/// A command whose help, and that of every command under it, ends with examples. `program` is what the reader types for `p861`.
pub fn with_examples(command: Command, language: Language, program: &str) -> Command {
    let examples: Vec<Placed> = EXAMPLES.iter().map(|example| (meant(&command, example.0), example)).collect();
    let foot = command.get_after_help().map(|text| format!("\n\n{text}")).unwrap_or_default();
    let first = printed(FIRST.iter(), language, program);
    command.after_help(format!("{first}{foot}")).mut_subcommands(|noun| {
        let path = [noun.get_name().to_owned()];
        with_own(noun, &examples, &path, language, program)
    })
}

fn with_own(command: Command, examples: &[Placed], path: &[String], language: Language, program: &str) -> Command {
    let text = printed(of(examples, path).into_iter(), language, program);
    let command = if text.is_empty() { command } else { command.after_help(text) };
    command.mut_subcommands(|verb| {
        let path: Vec<String> = path.iter().cloned().chain([verb.get_name().to_owned()]).collect();
        with_own(verb, examples, &path, language, program)
    })
}

/// A command's own examples; those of a noun are the first of each of its verbs.
fn of(examples: &[Placed], path: &[String]) -> Vec<&'static Example> {
    let mut verbs: Vec<&[String]> = Vec::new();
    let mut found = Vec::new();
    for (of, example) in examples.iter().filter(|(of, _)| of.starts_with(path)) {
        let is_first_of_a_verb = !verbs.contains(&of.as_slice()) && verbs.len() < EXAMPLES_OF_A_NOUN;
        if of.as_slice() == path {
            found.push(*example);
        } else if is_first_of_a_verb {
            verbs.push(of);
            found.push(*example);
        }
    }
    found
}

/// The noun and the verb of a line.
fn meant(root: &Command, line: &str) -> Vec<String> {
    let (mut at, mut path) = (root, Vec::new());
    for word in line.split_whitespace() {
        if let Some(inner) = at.find_subcommand(word) {
            path.push(inner.get_name().to_owned());
            at = inner;
        }
    }
    path
}

fn printed(examples: impl Iterator<Item = &'static Example>, language: Language, program: &str) -> String {
    let mut text = String::new();
    for Example(line, what) in examples {
        let _ = write!(text, "\n  # {}\n  {}", what.pick(language), line.replacen("p861 ", &format!("{program} "), 1));
    }
    if text.is_empty() { text } else { format!("{}{text}", Word { en: "Examples:", zh: "示例：" }.pick(language)) }
}

/// What `--help` does.
pub fn print_help() -> Word {
    Word { en: "Print help", zh: "显示帮助" }
}

/// Where the options stand that every command has.
pub fn options_of_every_command(program: &str) -> Bilingual {
    both(
        format!("Options of every command, such as -d, -o, --as and --timeout: {program} --help"),
        format!("各命令通用选项（-d、-o、--as、--timeout 等）见 {program} --help"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;
    use std::ffi::OsString;

    /// The words of a line, as a shell splits them, up to where its output goes.
    fn words(line: &str) -> Vec<OsString> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        for c in line.trim_start_matches("source <(").trim_end_matches(')').chars() {
            match c {
                '"' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                '>' if !quoted => break,
                ' ' if !quoted => words.extend(word.take().map(OsString::from)),
                c => word.get_or_insert_default().push(c),
            }
        }
        assert!(!quoted, "{line}");
        words.extend(word.map(OsString::from));
        words
    }

    #[test]
    fn fault_h25_every_example_is_a_command_that_is_understood() {
        for Example(line, what) in EXAMPLES.iter().chain(FIRST) {
            if let Err(error) = args::parse(words(line), Language::En, false) {
                panic!("{line}: {error}");
            }
            assert!(!what.zh.is_ascii() && what.en.is_ascii(), "{line}: {what:?}");
            assert!(line.len() <= 90 && !what.en.ends_with('.'), "{line}");
        }
    }

    #[test]
    fn fault_h25_every_command_has_an_example_in_both_languages() {
        fn check(command: &Command, head: &str) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(command.is_hide_set() || text.starts_with(head), "{}: {text:?}", command.get_name());
            command.get_subcommands().for_each(|inner| check(inner, head));
        }
        check(&args::command(Language::En, false), "Examples:\n  # ");
        check(&args::command(Language::Zh, false), "示例：\n  # ");
    }

    #[test]
    fn examples_use_the_names_of_the_demo() {
        let demo = ["platform", "shinan", "sites"].map(|name| {
            let path = format!("{}/../tests/district/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        });
        let demo = demo.concat();
        for name in ["shinan", "approval", "portal", "shinan-core", "xinxi-dasha", "laoshan-dr", "approval-web"] {
            assert!(demo.contains(&format!("name: {name}")), "the demo has no {name}");
            assert!(EXAMPLES.iter().any(|Example(line, _)| line.split(' ').any(|word| word.starts_with(name))), "no example has {name}");
        }
    }

    #[test]
    fn the_options_that_the_foot_names_are_of_every_command() {
        let foot = options_of_every_command("p861");
        let command = args::command(Language::En, false);
        for option in ["-d", "-o", "--as", "--timeout"] {
            assert!(foot.en.contains(option) && foot.zh.contains(option));
            let spelled = |argument: &clap::Arg| {
                argument.get_short().is_some_and(|short| option == format!("-{short}")) || argument.get_long().is_some_and(|long| option == format!("--{long}"))
            };
            assert!(command.get_arguments().any(|argument| argument.is_global_set() && spelled(argument)), "{option}");
        }
    }
}
