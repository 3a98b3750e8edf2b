//! Failures: what happened, to which object, what to type next.

use super::{Bilingual, both, nearest, perhaps, retyped, told::object, type_with};
use p861_core::{maintenance::window::DEFAULT_ZONE, platform::kubeconfig::KubeconfigFault};
use p861_crds::common::{ActionKind, RunPhase};

/// Completes "you may not …".
pub fn to_connect() -> Bilingual {
    both("connect to the hub", "连接管理中心")
}

/// Completes "you may not …".
pub fn to_read(noun: &str, name: &str) -> Bilingual {
    both(format!("read {noun} {name}"), format!("读取{}", object(noun, name)))
}

/// Completes "you may not …".
pub fn to_list(plural: &str, namespace: Option<&str>) -> Bilingual {
    let place = namespace.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    both(format!("list {plural}{place}"), format!("列出 {plural}{place}"))
}

/// Completes "you may not …".
pub fn to_look_into(namespace: &str, site: &str) -> Bilingual {
    both(format!("look into namespace {namespace} of site {site}"), format!("查看站点 {site} 的命名空间 {namespace}"))
}

/// Completes "you may not …".
pub fn to_read_secret(namespace: &str, name: &str) -> Bilingual {
    both(format!("read Secret {namespace}/{name}"), format!("读取 Secret {namespace}/{name}"))
}

/// Completes "you may not …".
pub fn to_create(noun: &str, name: &str) -> Bilingual {
    both(format!("create {noun} {name}"), format!("创建{}", object(noun, name)))
}

/// Completes "you may not …".
pub fn to_act_on(noun: &str, name: &str) -> Bilingual {
    both(format!("act on {noun} {name}"), format!("操作{}", object(noun, name)))
}

/// Completes "you may not …".
pub fn to_know_oneself() -> Bilingual {
    both("ask the hub who you are", "向管理中心查询自己的身份")
}

/// 401.
pub fn not_known(address: &str) -> Bilingual {
    both(format!("{address} did not accept your credentials: renew them in your kubeconfig"), format!("{address} 未接受您的凭据：请在 kubeconfig 中更新"))
}

/// 403 of what belongs to no district: its roles help nobody there.
pub fn not_allowed_by_cluster(what: &Bilingual, message: &str) -> Bilingual {
    both(
        format!("you may not {}: {message}; the hub's administrator gives that right to groups by the chart's value hub.clusterReaders", what.en),
        format!("您无权{}：{message}；该权限由管理中心管理员在 chart 的 hub.clusterReaders 中授予用户组", what.zh),
    )
}

/// 403.
pub fn not_allowed(what: &Bilingual, message: &str) -> Bilingual {
    both(
        format!("you may not {}: {message}; a role of the district is given by spec.roleBindings of its District", what.en),
        format!("您无权{}：{message}；区的角色由 District 的 spec.roleBindings 授予", what.zh),
    )
}

/// 404 of a kind.
pub fn kinds_missing(address: &str) -> Bilingual {
    both(
        format!("{address} does not serve platform861.io: install chart p861-crds, or choose the hub's context with --context"),
        format!("{address} 没有 platform861.io 的资源类型：请安装 p861-crds，或用 --context 选择管理中心"),
    )
}

/// 404 of an object.
pub fn not_there(what: &Bilingual, message: &str) -> Bilingual {
    both(format!("can't {}: {message}", what.en), format!("无法{}：{message}", what.zh))
}

/// 429, 5xx.
pub fn hub_in_trouble(address: &str, code: u16, message: &str) -> Bilingual {
    both(format!("{address} answered {code}: {message}; try again"), format!("{address} 返回 {code}：{message}；请稍后重试"))
}

/// Other refusals.
pub fn not_accepted(what: &Bilingual, message: &str) -> Bilingual {
    both(format!("the hub refused to {}: {message}", what.en), format!("管理中心拒绝{}：{message}", what.zh))
}

/// No credentials could be had.
pub fn no_credentials(why: &str) -> Bilingual {
    both(format!("cannot load the credentials of your kubeconfig: {why}"), format!("无法取得 kubeconfig 中的凭据：{why}"))
}

/// An answer that is not understood.
pub fn not_understood(what: &Bilingual, why: &str) -> Bilingual {
    both(format!("cannot read the hub's answer to a request to {}: {why}", what.en), format!("{}时无法解析管理中心的应答：{why}", what.zh))
}

/// A kubeconfig that can't be used.
pub fn bad_kubeconfig(why: &str) -> Bilingual {
    both(
        format!("the kubeconfig is unusable: {why}; see KUBECONFIG, --kubeconfig and --context"),
        format!("kubeconfig 无法使用：{why}；请检查 KUBECONFIG、--kubeconfig 和 --context"),
    )
}

/// No kubeconfig.
pub fn no_kubeconfig(why: &str) -> Bilingual {
    both(format!("there is no kubeconfig: {why}; set KUBECONFIG or --kubeconfig"), format!("没有 kubeconfig：{why}；请设置 KUBECONFIG 或 --kubeconfig"))
}

/// The hub can't be reached.
pub fn hub_unreachable(address: &str, why: &str) -> Bilingual {
    both(format!("{address} is unreachable: {why}"), format!("无法连接 {address}：{why}"))
}

/// The hub's silence, on a line.
pub fn hub_silent_line(failure: &Bilingual) -> Bilingual {
    both(format!("{}; the run continues, this view waits", failure.en), format!("{}；任务继续进行，界面等待中", failure.zh))
}

/// The hub's silence, in a view.
pub fn hub_silent(passed: &str, why: &str) -> Bilingual {
    both(format!("no answer for {passed}: {why}; the run continues"), format!("{passed} 没有消息：{why}；任务继续进行"))
}

/// The hub is back.
pub fn hub_answers_again() -> Bilingual {
    both("the hub answers again", "管理中心已恢复响应")
}

/// An object of another version.
pub fn unreadable(noun: &str, name: &str, why: &str) -> Bilingual {
    both(format!("{noun} {name} is unreadable for this version of p861: {why}"), format!("本版本的 p861 无法读取{}：{why}", object(noun, name)))
}

/// Something could not be written as JSON or YAML.
pub fn unwritable(why: &str) -> Bilingual {
    both(format!("cannot write the output: {why}"), format!("无法写出结果：{why}"))
}

/// A name that nobody has, which of the `names` that there are was perhaps meant, and the command that lists them.
pub fn no_such_object(noun: &str, name: &str, namespace: Option<&str>, names: &[String], lister: &str) -> Bilingual {
    let at = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    let meant = perhaps(name, names.iter().map(String::as_str));
    // Where it is clear what was meant, that is what to type.
    let again = nearest(name, names.iter().map(String::as_str)).and_then(|other| retyped(name, other));
    let command = again.as_deref().unwrap_or(lister);
    both(format!("there is no {noun} {name}{at}{}: {command}", meant.en), format!("没有名为 {name} 的{}{}：{command}", super::noun(noun).zh, meant.zh))
}

/// A context that the kubeconfig lacks.
pub fn no_such_context(name: &str, names: &[String]) -> Bilingual {
    let meant = perhaps(name, names.iter().map(String::as_str));
    let again = type_with(name, names.iter().map(String::as_str));
    let (en, zh) = if names.is_empty() { ("none".to_owned(), "无".to_owned()) } else { (names.join(", "), names.join("、")) };
    both(
        format!("the kubeconfig has no context {name}{}; available: {en}{}", meant.en, again.en),
        format!("kubeconfig 中没有上下文 {name}{}；现有：{zh}{}", meant.zh, again.zh),
    )
}

/// `--as-group` without `--as`.
pub fn groups_without_user() -> Bilingual {
    both("--as-group needs a user that belongs to the group: add --as USER", "--as-group 须与用户合用：请加上 --as 用户")
}

/// A district that nobody has.
pub fn no_such_district(name: &str, names: &[String]) -> Bilingual {
    let (en, zh) = known_districts(names);
    let meant = perhaps(name, names.iter().map(String::as_str));
    let again = type_with(name, names.iter().map(String::as_str));
    both(format!("there is no district {name}{}; {en}{}", meant.en, again.en), format!("没有区 {name}{}；{zh}{}", meant.zh, again.zh))
}

/// Neither `-d` nor `-n` was typed, and the kubeconfig's namespace is no district's.
pub fn no_district_meant(namespace: &str, names: &[String]) -> Bilingual {
    let (en, zh) = known_districts(names);
    both(
        format!("namespace {namespace} of the kubeconfig belongs to no district: add -d DISTRICT; {en}"),
        format!("kubeconfig 的命名空间 {namespace} 不属于任何区：请加上 -d 区；{zh}"),
    )
}

/// A namespace that was typed, and is no district's.
pub fn no_district_named(namespace: &str, names: &[String]) -> Bilingual {
    let (en, zh) = known_districts(names);
    let meant = perhaps(namespace, names.iter().map(String::as_str));
    both(
        format!("namespace {namespace} belongs to no district{}: use -d DISTRICT instead of -n; {en}", meant.en),
        format!("命名空间 {namespace} 不属于任何区{}：请用 -d 区代替 -n；{zh}", meant.zh),
    )
}

fn known_districts(names: &[String]) -> (String, String) {
    if names.is_empty() {
        return (
            "there are none yet; declare a District: kubectl explain districts.spec".into(),
            "尚无任何区；请创建 District：kubectl explain districts.spec".into(),
        );
    }
    (format!("available: {}", names.join(", ")), format!("现有：{}", names.join("、")))
}

/// A time zone that nobody knows.
pub fn unknown_zone(district: &str, zone: &str) -> Bilingual {
    both(
        format!("district {district} has time zone {zone}, which is unknown; times are in UTC: correct spec.timeZone"),
        format!("区 {district} 的时区 {zone} 未知，时间按 UTC 显示：请更正 spec.timeZone"),
    )
}

/// A district that may not be read.
pub fn zone_unreadable(namespace: &str) -> Bilingual {
    both(
        format!("you may not read the District of {namespace}: times are in {DEFAULT_ZONE}; its administrator gives that right by hub.clusterReaders"),
        format!("您无权读取 {namespace} 的 District：时间按 {DEFAULT_ZONE} 显示；该权限由管理员在 hub.clusterReaders 中授予"),
    )
}

/// Sites that may not be read.
pub fn sites_hidden() -> Bilingual {
    both(
        "you may not list sites: this page says nothing of them; the hub's administrator gives that right by hub.clusterReaders",
        "您无权列出站点：本页不含站点状态；该权限由管理中心管理员在 hub.clusterReaders 中授予",
    )
}

/// A site without a kubeconfig.
pub fn site_without_access(name: &str) -> Bilingual {
    both(
        format!("site {name} declares no access: correct spec.access of Site {name}, or use --site-context or --site-kubeconfig"),
        format!("站点 {name} 未声明接入方式：请更正 Site {name} 的 spec.access，或改用 --site-context 或 --site-kubeconfig"),
    )
}

/// A site's Secret that is not there.
pub fn site_secret_missing(name: &str, namespace: &str, secret: &str) -> Bilingual {
    both(format!("site {name}: Secret {namespace}/{secret} has no key kubeconfig"), format!("站点 {name}：Secret {namespace}/{secret} 缺少键 kubeconfig"))
}

/// A site's Secret that may not be read.
pub fn site_secret_forbidden(name: &str, namespace: &str, secret: &str) -> Bilingual {
    both(
        format!("you may not read Secret {namespace}/{secret} of site {name}: use --site-context or --site-kubeconfig with your own permissions there"),
        format!("您无权读取站点 {name} 的 Secret {namespace}/{secret}：请用 --site-context 或 --site-kubeconfig"),
    )
}

/// A site's Secret that can't be used.
pub fn site_secret_unusable(name: &str, namespace: &str, secret: &str, fault: &KubeconfigFault) -> Bilingual {
    let zh = match fault {
        KubeconfigFault::Unreadable { at: Some((line, column)) } => format!("不是 kubeconfig：见第 {line} 行第 {column} 列"),
        KubeconfigFault::Unreadable { at: None } => "不是 kubeconfig".to_owned(),
        KubeconfigFault::Missing(what) => format!("没有可用的 {what}：请写明 current-context，以及含 cluster 和 user 的 context"),
        KubeconfigFault::RunsProgram(field) => {
            format!("含有会运行程序的字段 {field}，而站点的 kubeconfig 不允许运行程序：请为该用户改用令牌，kubectl create token p861-site")
        }
        KubeconfigFault::ReadsFile(field) => {
            format!("含有指向文件的字段 {field}，而站点的 kubeconfig 不允许读取文件：请写入文件内容，kubectl config view --raw --minify --flatten")
        }
        KubeconfigFault::UsesProxy(field) => format!("含有经由其他服务器转发请求的字段 {field}：请删除，并在 server 中写明管理中心可达的地址"),
        KubeconfigFault::UnknownField(field) => format!("含有未知字段 {field}：请删除"),
        KubeconfigFault::Server => "的 cluster.server 不是地址：请写 https://host:6443".to_owned(),
    };
    both(
        format!("site {name}: the kubeconfig in Secret {namespace}/{secret} {fault}"),
        format!("站点 {name}：Secret {namespace}/{secret} 中的 kubeconfig {zh}"),
    )
}

/// A run that was over.
pub fn run_has_ended(noun: &str, name: &str, phase: RunPhase, place: &str) -> Bilingual {
    both(
        format!("{noun} {name} has ended ({phase}): p861 {noun} show {name}{place}"),
        format!("{} 已结束（{}）：p861 {noun} show {name}{place}", object(noun, name), super::phase(phase).zh),
    )
}

/// A run that is gone.
pub fn run_gone(noun: &str, name: &str) -> Bilingual {
    both(format!("{noun} {name} was deleted"), format!("{} 已被删除", object(noun, name)))
}

/// No step waits.
pub fn no_step_waits(noun: &str, name: &str, place: &str) -> Bilingual {
    both(
        format!("no step of {noun} {name} is waiting for that: p861 {noun} show {name}{place}"),
        format!("{} 没有等待此操作的步骤：p861 {noun} show {name}{place}", object(noun, name)),
    )
}

/// A step that the run doesn't have.
pub fn no_such_step(noun: &str, name: &str, typed: &str, steps: &[String]) -> Bilingual {
    let meant = perhaps(typed, steps.iter().map(String::as_str));
    let again = type_with(typed, steps.iter().map(String::as_str));
    both(
        format!("{noun} {name} has no step {typed:?}{}; nothing was requested; its steps: {}{}", meant.en, steps.join(", "), again.en),
        format!("{} 没有步骤“{typed}”{}；未提出任何请求；现有步骤：{}{}", object(noun, name), meant.zh, steps.join("、"), again.zh),
    )
}

/// A name that several steps have.
pub fn several_steps_called(noun: &str, name: &str, typed: &str, steps: &[&str]) -> Bilingual {
    both(
        format!("several steps of {noun} {name} are called {typed:?}; name one by its id: {}", steps.join(", ")),
        format!("{} 有多个步骤名为“{typed}”，请用步骤标识指明：{}", object(noun, name), steps.join("、")),
    )
}

/// Several steps wait.
pub fn which_step(noun: &str, name: &str, steps: &[&str]) -> Bilingual {
    both(
        format!("several steps of {noun} {name} wait; name one: {}", steps.join(", ")),
        format!("{} 有多个步骤等待，请指明：{}", object(noun, name), steps.join("、")),
    )
}

/// An action that would change nothing.
pub fn already_so(noun: &str, name: &str, phase: RunPhase) -> Bilingual {
    both(format!("{noun} {name} is already {phase}"), format!("{}{}", object(noun, name), super::phase(phase).zh))
}

/// Resume of a run that goes on.
pub fn not_paused(noun: &str, name: &str, phase: RunPhase) -> Bilingual {
    both(format!("{noun} {name} is not paused: it is {phase}"), format!("{} 并未暂停：{}", object(noun, name), super::phase(phase).zh))
}

/// An answer that says neither yes nor no.
pub fn say_yes_or_no(noun: &str, name: &str, step: Option<&str>, place: &str) -> Bilingual {
    let step = step.map(|step| format!(" {step}")).unwrap_or_default();
    let (yes, no) = (format!("p861 {noun} answer {name}{step} --yes{place}"), format!("p861 {noun} answer {name}{step} --no{place}"));
    both(format!("say which answer is meant: {yes}, or {no}; nothing was requested"), format!("请指明答复：{yes}，或 {no}；未提出任何请求"))
}

/// A question that can't be retried.
pub fn answer_instead(noun: &str, name: &str, step: &str, place: &str) -> Bilingual {
    both(
        format!("step {step} asks a question: p861 {noun} answer {name} {step} --yes{place}, or --no"),
        format!("步骤 {step} 在提问：p861 {noun} answer {name} {step} --yes{place}，或 --no"),
    )
}

/// A drill without a copy that stands.
pub fn keeps_nothing(name: &str, place: &str) -> Bilingual {
    both(
        format!("drill {name} keeps no copy (it was started without --keep-for): p861 drill abort {name}{place} ends it early"),
        format!("演练 {name} 不保留副本（启动时未指定 --keep-for）：p861 drill abort {name}{place} 可提前结束"),
    )
}

/// A reason must be given.
pub fn reason_missing(kind: ActionKind) -> Bilingual {
    both(
        format!("{kind:?} needs --reason: it is recorded in the journal and the report"),
        format!("{}需要 --reason：它会写入运行记录和报告", super::value(kind).zh),
    )
}

/// The terminal does not do as it is told.
pub fn terminal_trouble(why: &str) -> Bilingual {
    both(format!("the terminal: {why}"), format!("终端：{why}"))
}

/// The program can't start.
pub fn cannot_start(why: &str) -> Bilingual {
    both(format!("p861 cannot start: {why}"), format!("p861 无法启动：{why}"))
}

/// A file can't be written.
pub fn cannot_write(path: &str, why: &str) -> Bilingual {
    both(format!("cannot write {path}: {why}"), format!("无法写入 {path}：{why}"))
}

/// A minute with too many runs.
pub fn too_many_runs(noun: &str, stem: &str) -> Bilingual {
    both(format!("there are too many {noun}s named {stem}: wait a minute"), format!("名为 {stem} 的{}太多：请稍等一分钟", super::noun(noun).zh))
}

/// `-o html` elsewhere.
pub fn html_is_for_reports() -> Bilingual {
    both("-o html is for reports only: p861 drill report DRILL -o html", "-o html 只用于报告：p861 drill report DRILL -o html")
}

/// Forms of a report.
pub fn report_forms() -> Bilingual {
    both("there is no report in this format: add -o html or -o json", "报告没有此格式：请使用 -o html 或 -o json")
}

/// A report that is not there.
pub fn report_missing(name: &str, map: &str) -> Bilingual {
    both(
        format!("the report of drill {name} is not on the hub (ConfigMap {map}); status.report says where the bucket has it"),
        format!("管理中心没有演练 {name} 的报告（ConfigMap {map}）；存储桶中的位置见 status.report"),
    )
}

/// A report that is not there yet.
pub fn report_not_yet(name: &str, place: &str) -> Bilingual {
    both(format!("drill {name} has not ended: p861 drill watch {name}{place}"), format!("演练 {name} 尚未结束：p861 drill watch {name}{place}"))
}

/// A report that was changed.
pub fn report_changed(name: &str, stated: &str, found: &str) -> Bilingual {
    both(
        format!("the report of drill {name} was changed: its digest is {found}, but {stated} was recorded; take it from the bucket, see status.report"),
        format!("演练 {name} 的报告被改动：摘要为 {found}，记录为 {stated}；请从存储桶获取，见 status.report"),
    )
}

/// A time that is none.
pub fn not_a_time(option: &str, text: &str) -> Bilingual {
    both(
        format!("{option}: {text:?} is not a time: write 2026-11-20 00:00 or 2026-11-20T00:00:00+08:00"),
        format!("{option}：{text:?} 不是时间：请写作 2026-11-20 00:00 或 2026-11-20T00:00:00+08:00"),
    )
}

/// A question without anybody to ask.
pub fn needs_asking(what: &str, options: &str) -> Bilingual {
    both(
        format!("{what} changes live data and there is no terminal for confirmation: add {options}"),
        format!("{what} 会改变正在使用的数据，而当前没有可供确认的终端：请加上 {options}"),
    )
}

/// The name was not typed.
pub fn not_confirmed(name: &str) -> Bilingual {
    both(format!("{name} was not typed: nothing was done"), format!("没有输入 {name}：未执行任何操作"))
}

/// A belief that is wrong.
pub fn wrong_belief(option: &str, stated: &str, real: &str) -> Bilingual {
    both(format!("{option} {stated} is not {real}: nothing was done"), format!("{option} {stated} 与 {real} 不符：未执行任何操作"))
}

/// A namespace without workloads.
pub fn nothing_discovered(namespace: &str, site: &str) -> Bilingual {
    both(
        format!("nothing runs in namespace {namespace} of site {site}, or there is no such namespace: kubectl get namespaces, with that site's kubeconfig"),
        format!("站点 {site} 的命名空间 {namespace} 中没有工作负载，或该命名空间不存在：请用该站点的 kubeconfig 执行 kubectl get namespaces"),
    )
}

/// A namespace that the district may not touch.
pub fn not_allotted(namespace: &str, district: &str) -> Bilingual {
    both(
        format!("namespace {namespace} does not belong to district {district}: allow it in spec.siteNamespaces of District {district} first"),
        format!("命名空间 {namespace} 不属于区 {district}：请先在 District {district} 的 spec.siteNamespaces 中允许"),
    )
}

/// A site that is not one of the district's.
pub fn site_not_allotted(site: &str, district: &str) -> Bilingual {
    both(
        format!("site {site} is not one of the sites of district {district}: see spec.sites of District {district}"),
        format!("站点 {site} 不属于区 {district}：请查看 District {district} 的 spec.sites"),
    )
}
