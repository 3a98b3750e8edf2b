//! What the compiled steps of a change or a plan do, for those who are to agree to them.

use super::{Bilingual, Language, Word, both, many_of, span};
use p861_core::{
    engine::{OnFailure, Outcome, Step},
    maintenance::drain::DrainConsent,
    runs::{Action, MoverTask, ObjectsMode},
    time::human_duration,
};
use p861_crds::{WorkloadReference, common::ContainerCommand, platform::platform::Bundle};
use std::collections::BTreeMap;

/// What a step does: its question if it asks one, else its effect.
pub fn step_does(step: &Step<Action>) -> Bilingual {
    let Some(prompt) = &step.needs_person else { return action(&step.action) };
    both(format!("ask a person: {}", prompt.text.in_language("en")), format!("人工确认：{}", prompt.text.in_language("zh")))
}

/// What happens if a step fails.
fn on_failure(step: &Step<Action>) -> Bilingual {
    match (step.finally, step.on_failure) {
        (true, _) => both("it is tried again, however the rest ends", "无论其余步骤如何结束，均会重试"),
        (false, OnFailure::Abort) => both("everything is rolled back", "全部回退"),
        (false, OnFailure::Prompt) => both("a person decides", "由人工决定"),
        (false, OnFailure::Continue) => both("the rest goes on, the result is failed", "其余步骤继续，结果为失败"),
    }
}

/// The same, where it follows what the step does.
pub fn if_it_fails(step: &Step<Action>) -> Bilingual {
    let follows = on_failure(step);
    both(format!("; if it fails, {}", follows.en), format!("；若失败：{}", follows.zh))
}

/// How a step has ended; none if it has not.
pub fn outcome(outcome: Outcome) -> Option<Word> {
    Some(match outcome {
        Outcome::Open => return None,
        Outcome::Done => Word { en: "done", zh: "完成" },
        Outcome::Failed => Word { en: "failed", zh: "失败" },
        Outcome::Cancelled => Word { en: "stopped", zh: "已停止" },
        Outcome::Skipped => Word { en: "skipped by a person", zh: "人工跳过" },
        Outcome::NotReached | Outcome::NotRun => Word { en: "not run", zh: "未执行" },
        Outcome::Undone => Word { en: "rolled back", zh: "已回退" },
    })
}

fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn command(command: &[String]) -> String {
    command.join(" ")
}

/// The first twelve digits of a digest.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}

fn losses(consent: DrainConsent) -> (String, String) {
    let lost = [
        (consent.delete_empty_dir_data, ", and delete their emptyDir data", "，并删除其 emptyDir 数据"),
        (consent.force, ", also those that nothing starts again", "，包括不会再被拉起的 Pod"),
    ];
    let said = lost.iter().filter(|(lost, ..)| *lost);
    said.fold((String::new(), String::new()), |(en, zh), (_, more_en, more_zh)| (en + more_en, zh + more_zh))
}

fn action(action: &Action) -> Bilingual {
    match action {
        Action::Move { site, namespace, claim, task, .. } => moves(site.as_str(), namespace, claim.as_deref(), task),
        Action::Execute { site, namespace, command } => executes(site.as_str(), namespace, command),
        Action::Preflight { site, subjects } => preflight(site.as_str(), &names(subjects.iter().map(|subject| &subject.application))),
        Action::Isolate { site, bubble } => isolates(site.as_str(), &names(bubble.namespaces.values())),
        Action::ProveIsolation { site, .. } => {
            both(format!("prove that the copy on {site} reaches nothing outside"), format!("验证 {site} 上的副本无法访问外部"))
        }
        Action::RemoveBubble { site, bubble } => removes_copy(site.as_str(), &names(bubble.namespaces.values())),
        Action::Stop { site, namespaces } => stops(site.as_str(), namespaces),
        Action::StartAgain { site, namespaces } => starts_again(site.as_str(), &names(namespaces)),
        Action::Start { site, workloads, .. } => starts(site.as_str(), workloads),
        Action::Check { site, namespace, check } => checks(site.as_str(), namespace, &check.name),
        Action::ReadMarker { site, namespace, .. } => {
            both(format!("read the newest marker in {namespace} on {site}"), format!("读取 {site} 上 {namespace} 的最新数据标记"))
        }
        Action::TakeSnapshots { site, snapshots } => {
            let claims: Vec<String> = snapshots.iter().map(|snapshot| format!("{}/{}", snapshot.namespace, snapshot.claim)).collect();
            both(format!("take volume snapshots on {site}: {}", claims.join(", ")), format!("在 {site} 创建卷快照：{}", claims.join("、")))
        }
        Action::RemoveSnapshots { site, namespaces } => removes(site.as_str(), &names(namespaces), ("volume snapshots", "卷快照")),
        Action::RemoveMovers { site, namespaces } => removes(site.as_str(), &names(namespaces), ("movers", "搬运任务")),
        Action::TakeBackup { application, backup } => both(format!("back up {application} as {backup}"), format!("备份 {application}，名为 {backup}")),
        Action::Silence { site, labels, .. } => silences(site.as_str(), labels),
        Action::EndSilence { site, .. } => both(format!("end the silences of {site}"), format!("结束 {site} 的告警静默")),
        Action::InspectNode { site, node, .. } => {
            both(format!("check that everything on node {site}/{node} can leave it"), format!("检查节点 {site}/{node} 上的 Pod 是否都能迁出"))
        }
        Action::Cordon { site, node, .. } => both(format!("cordon node {site}/{node}"), format!("封锁节点 {site}/{node}")),
        Action::Uncordon { site, node, .. } => both(format!("uncordon node {site}/{node}"), format!("解除节点 {site}/{node} 的封锁")),
        Action::Drain { site, node, consent, .. } => {
            let (en, zh) = losses(*consent);
            both(format!("evict the pods of node {site}/{node}{en}"), format!("驱逐节点 {site}/{node} 上的 Pod{zh}"))
        }
        Action::InstallComponent { site, component, version, bundle, digest } => installs(site.as_str(), &format!("{component} {version}"), bundle, digest),
        Action::RevertComponent { site, component, version } => reverts(site.as_str(), &format!("{component} {version}")),
        Action::EndInstallation { site, component } => {
            both(format!("take back the right to install {component} on {site}"), format!("收回在 {site} 安装 {component} 的权限"))
        }
        Action::Watch { site, checks, duration } => watches(site.as_str(), checks.len(), &human_duration(*duration)),
        Action::MakeNamespaces { site, namespaces, preview, .. } => makes(site.as_str(), &names(namespaces), *preview),
        Action::Ask {} => both("ask a person", "人工确认"),
    }
}

fn preflight(site: &str, applications: &str) -> Bilingual {
    both(format!("check whether {site} can take {applications}"), format!("检查 {site} 能否承载 {applications}"))
}

fn isolates(site: &str, namespaces: &str) -> Bilingual {
    both(format!("make closed namespaces on {site}: {namespaces}"), format!("在 {site} 建立隔离的命名空间：{namespaces}"))
}

fn removes_copy(site: &str, namespaces: &str) -> Bilingual {
    both(format!("remove the copy from {site}: {namespaces}"), format!("移除 {site} 上的副本：{namespaces}"))
}

/// Namespace → claims: what uses them is stopped; all of it where there are none.
fn stops(site: &str, namespaces: &BTreeMap<String, Vec<String>>) -> Bilingual {
    let (stopped, claims) = (names(namespaces.keys()), names(namespaces.values().flatten()));
    if claims.is_empty() {
        both(format!("stop everything in {stopped} on {site}"), format!("停止 {site} 上 {stopped} 中的全部工作负载"))
    } else {
        both(format!("stop what uses {claims} in {stopped} on {site}"), format!("停止 {site} 上 {stopped} 中使用 {claims} 的工作负载"))
    }
}

fn starts_again(site: &str, namespaces: &str) -> Bilingual {
    both(format!("start again what was stopped in {namespaces} on {site}"), format!("重新启动 {site} 上 {namespaces} 中已停止的工作负载"))
}

fn starts(site: &str, workloads: &BTreeMap<String, Vec<WorkloadReference>>) -> Bilingual {
    let of = |all: &str| {
        let one = |(namespace, workloads): (&String, &Vec<WorkloadReference>)| {
            let named: Vec<String> = workloads.iter().map(ToString::to_string).collect();
            if named.is_empty() { format!("{namespace} ({all})") } else { format!("{namespace} ({})", named.join(", ")) }
        };
        workloads.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    both(format!("start on {site}: {}", of("everything")), format!("在 {site} 启动：{}", of("全部")))
}

fn checks(site: &str, namespace: &str, name: &str) -> Bilingual {
    both(format!("check {name} in {namespace} on {site}"), format!("检查 {site} 上 {namespace} 的 {name}"))
}

fn removes(site: &str, namespaces: &str, (en, zh): (&str, &str)) -> Bilingual {
    both(format!("remove the run's {en} from {namespaces} on {site}"), format!("移除 {site} 上 {namespaces} 中本次任务的{zh}"))
}

fn silences(site: &str, labels: &[BTreeMap<String, String>]) -> Bilingual {
    let one = |labels: &BTreeMap<String, String>| labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let alerts = labels.iter().map(one).collect::<Vec<_>>().join("; ");
    both(format!("silence alerts of {site}: {alerts}"), format!("静默 {site} 的告警：{alerts}"))
}

fn installs(site: &str, what: &str, bundle: &Bundle, digest: &str) -> Bilingual {
    let digest = short(digest);
    both(format!("install {what} on {site} from {bundle}, manifests {digest}"), format!("在 {site} 安装 {what}，来源 {bundle}，清单摘要 {digest}"))
}

fn reverts(site: &str, what: &str) -> Bilingual {
    both(format!("roll back {what} on {site} to what was installed before"), format!("将 {site} 上的 {what} 回退到此前安装的版本"))
}

fn watches(site: &str, checks: usize, time: &str) -> Bilingual {
    both(format!("watch {} on {site} for {time}", many_of(checks, "check")), format!("在 {site} 观察 {checks} 项检查 {}", span(time, Language::Zh)))
}

fn makes(site: &str, namespaces: &str, preview: bool) -> Bilingual {
    if preview {
        both(format!("check whether {namespaces} on {site} may be written to"), format!("检查能否写入 {site} 上的 {namespaces}"))
    } else {
        both(format!("make namespaces that are missing on {site}: {namespaces}"), format!("在 {site} 补建命名空间：{namespaces}"))
    }
}

fn executes(site: &str, namespace: &str, run: &ContainerCommand) -> Bilingual {
    let (workload, typed) = (&run.workload_ref, command(&run.command));
    both(format!("run in {namespace}/{workload} on {site}: {typed}"), format!("在 {site} 的 {namespace}/{workload} 中执行：{typed}"))
}

/// What a mover does.
fn moves(site: &str, namespace: &str, claim: Option<&str>, task: &MoverTask) -> Bilingual {
    let claim = || format!("{namespace}/{}", claim.unwrap_or("-"));
    match task {
        MoverTask::BackupObjects { namespaces, .. } => {
            let namespaces = names(namespaces);
            both(format!("save the objects of {namespaces} on {site}"), format!("保存 {site} 上 {namespaces} 的对象"))
        }
        MoverTask::BackupVolume { part, .. } => both(format!("save {part} on {site}"), format!("保存 {site} 上的 {part}")),
        MoverTask::BackupStream { part, namespace, workload_ref, dump, .. } => {
            let typed = command(dump);
            both(
                format!("save {part} from {namespace}/{workload_ref} on {site}: {typed}"),
                format!("从 {site} 的 {namespace}/{workload_ref} 保存 {part}：{typed}"),
            )
        }
        MoverTask::Seal { .. } => both("make one snapshot of it all", "封存为一个快照"),
        MoverTask::VerifyStored { .. } => both("read every byte of the snapshot in the repository", "逐字节读取备份库中的快照"),
        MoverTask::RestoreObjects { rules, mode, .. } => objects(site, &names(rules.namespaces.values()), *mode),
        MoverTask::RestoreVolume { part, .. } => {
            let claim = claim();
            both(format!("write {part} into claim {claim} on {site}"), format!("将 {part} 写入 {site} 的存储卷声明 {claim}"))
        }
        MoverTask::PreviewVolume { part, .. } => {
            let claim = claim();
            both(format!("compare {part} with claim {claim} on {site}"), format!("比对 {part} 与 {site} 的存储卷声明 {claim}"))
        }
        MoverTask::RestoreStream { part, namespace, workload_ref, restore, .. } => {
            let typed = command(restore);
            both(
                format!("feed {part} to {namespace}/{workload_ref} on {site}: {typed}"),
                format!("将 {part} 导入 {site} 的 {namespace}/{workload_ref}：{typed}"),
            )
        }
        MoverTask::Forget { snapshots, .. } => {
            let count = snapshots.len();
            both(format!("forget {count} snapshots, each with a record"), format!("删除 {count} 个快照，逐个留有记录"))
        }
        MoverTask::Prune { delay, .. } => {
            let hours = delay.as_hours();
            both(
                format!("mark what no snapshot needs, and remove what has been marked for {hours} h"),
                format!("标记已无快照需要的数据，删除已标记满 {hours} 小时的数据"),
            )
        }
    }
}

fn objects(site: &str, namespaces: &str, mode: ObjectsMode) -> Bilingual {
    match mode {
        ObjectsMode::Write => both(format!("write the objects into {namespaces} on {site}"), format!("将对象写入 {site} 的 {namespaces}")),
        ObjectsMode::Again => both(format!("write refused objects into {namespaces} on {site} again"), format!("将被拒的对象再次写入 {site} 的 {namespaces}")),
        ObjectsMode::Compare | ObjectsMode::Preview => {
            both(format!("compare the objects with those in {namespaces} on {site}"), format!("比对 {site} 上 {namespaces} 的对象"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use p861_core::engine::{Prompt, StepId};
    use p861_crds::LocalizedText;
    use serde_json::{Value, json};

    fn does(action: Value) -> Bilingual {
        let action: Action = serde_json::from_value(action).expect("an action");
        step_does(&Step::new(StepId::new("x").expect("an id"), action, SignedDuration::from_secs(1)))
    }

    #[test]
    fn fault_h8_a_step_says_what_it_changes_and_where() {
        for (action, en, zh) in [
            (
                json!({"do": "installComponent", "site": "laoshan-dr", "component": "bulletin", "version": "1.0.0", "bundle": {"configMapRef": {"name": "bulletin-bundle"}}, "digest": "sha256:1f0e8b6a9d24beef"}),
                "install bulletin 1.0.0 on laoshan-dr from ConfigMap bulletin-bundle, manifests 1f0e8b6a9d24",
                "在 laoshan-dr 安装 bulletin 1.0.0，来源 ConfigMap bulletin-bundle，清单摘要 1f0e8b6a9d24",
            ),
            (
                json!({"do": "drain", "site": "xinxi-dasha", "node": "n1", "district": "shinan", "consent": {"deleteEmptyDirData": true, "force": false}}),
                "evict the pods of node xinxi-dasha/n1, and delete their emptyDir data",
                "驱逐节点 xinxi-dasha/n1 上的 Pod，并删除其 emptyDir 数据",
            ),
            (
                json!({"do": "silence", "site": "a", "owner": "shinan/chg", "labels": [{"application": "portal", "district": "shinan"}]}),
                "silence alerts of a: application=portal,district=shinan",
                "静默 a 的告警：application=portal,district=shinan",
            ),
            (
                json!({"do": "takeBackup", "application": "portal", "backup": "portal-chg-1"}),
                "back up portal as portal-chg-1",
                "备份 portal，名为 portal-chg-1",
            ),
        ] {
            assert_eq!(does(action), both(en, zh));
        }
    }

    #[test]
    fn a_step_that_asks_says_its_question() {
        let text = LocalizedText { zh: Some("热线已通知？".into()), en: Some("Was the hotline called?".into()) };
        let step = Step::new(StepId::new("announce").expect("an id"), Action::Ask {}, SignedDuration::from_secs(1)).needs_person(Prompt::new(text));
        assert_eq!(step_does(&step), both("ask a person: Was the hotline called?", "人工确认：热线已通知？"));
    }
}
