//! What a step has proven, in words: a fact a line.

use super::words::{Clock, Words, listed, reason, same, t, told, took};
use crate::{
    engine::{Evidence, KIND_KEY, LeftOutObjects, PreflightResult, RefusedObjects, StepProgress, VERSION_KEY},
    quantity::human_bytes,
    told::Noun,
};
use p861_crds::protection::restore::RestoreChanges;
use serde_json::Value;
use std::collections::BTreeMap;

/// The facts of what a step has proven. What this release can't read is shown as it is stored, and as unknown.
pub(super) fn facts(evidence: &Evidence, clock: Clock) -> Vec<Words> {
    match evidence {
        Evidence::CommandRun { workload, output } => vec![t(format!("已在 {workload} 中执行"), format!("ran in {workload}")), printed(output)],
        Evidence::MarkerRead { time, output } => {
            let time = clock.full(*time);
            vec![t(format!("数据中最新标记 {time}"), format!("newest marker in the data {time}")), printed(output)]
        }
        Evidence::CheckSeen { seen, .. } => vec![told(seen)],
        Evidence::Watched { checks, duration } => {
            let Words { zh, en } = took(*duration);
            vec![t(format!("{checks} 项检查持续通过 {zh}"), format!("{} passed for {en}", Noun::Check.count(*checks)))]
        }
        Evidence::Preflight { checks } => checks.iter().map(preflight).collect(),
        Evidence::Isolated { namespaces } => vec![named("隔离的命名空间", "closed namespaces", namespaces)],
        Evidence::IsolationProbed { resolver, nodes, refused, silent, reached } => {
            let resolver: Vec<String> = resolver.iter().map(ToString::to_string).collect();
            let all = [
                ("探测所在节点", "tried on the nodes", nodes),
                ("可访问（不应访问）", "reached, and should not", reached),
                ("无法访问", "not reached", refused),
                ("无应答，不作依据", "no answer, which proves nothing", silent),
                ("副本自身的 DNS", "the copy's own DNS", &resolver),
            ];
            all.into_iter().filter(|(.., names)| !names.is_empty()).map(|(zh, en, names)| named(zh, en, names)).collect()
        }
        Evidence::IsolationRemoved { namespaces } => vec![named("已移除的命名空间", "removed namespaces", namespaces)],
        Evidence::NamespacesMade { made } => some("新建的命名空间", "new namespaces", made),
        Evidence::WorkloadsStopped { workloads, stopped } => counted("已停止的工作负载", "stopped workloads", *workloads, stopped),
        Evidence::WorkloadsReady { workloads, ready, not_awaited } => {
            let mut facts = counted("就绪的工作负载", "workloads that are ready", *workloads, ready);
            facts.extend(some("备份时未就绪，因此未等待", "not ready when the backup was taken, and not waited for", not_awaited));
            facts
        }
        Evidence::SnapshotVerified { snapshot, blobs, packs, bytes, not_ready: _ } => {
            let (snapshot, bytes) = (snapshot.as_str().get(..16).unwrap_or(snapshot.as_str()).to_owned(), human_bytes(*bytes));
            vec![t(
                format!("快照 {snapshot} 完整：{blobs} 个数据块，{packs} 个数据包，{bytes}"),
                format!("snapshot {snapshot} is complete: blobs {blobs}, packs {packs}, {bytes}"),
            )]
        }
        Evidence::ObjectsRestored { changes, left_out, left_out_names: _, not_served, adjusted, refused, patches_unmatched } => {
            let mut facts = vec![objects(changes)];
            // Their names stand where the copies are compared with the backups.
            facts.extend(each(left_out));
            facts.extend(each(adjusted));
            facts.extend(not_served.iter().map(|(kind, number)| times(&t(format!("站点不支持 {kind}"), format!("the site doesn't serve {kind}")), *number)));
            facts.extend(refused.as_ref().map(first_refused));
            facts.extend(some("没有对象符合的补丁", "patches that no object matches", patches_unmatched));
            facts
        }
        Evidence::VolumeRestored { files, bytes, removed, removed_bytes } => {
            let bytes = human_bytes(*bytes);
            let mut facts = vec![t(format!("{files} 个文件，{bytes}"), format!("{}, {bytes}", Noun::File.count(*files)))];
            if *removed > 0 {
                let bytes = human_bytes(*removed_bytes);
                facts.push(t(
                    format!("移除 {removed} 个备份中没有的文件，{bytes}"),
                    format!("removed what the backup has not: {}, {bytes}", Noun::File.count(*removed)),
                ));
            }
            facts
        }
        Evidence::StreamRestored { bytes, sha256, output } => {
            let (bytes, digest) = (human_bytes(*bytes), sha256.get(..16).unwrap_or(sha256));
            let mut facts = vec![t(format!("{bytes}，SHA-256 {digest}…"), format!("{bytes}, SHA-256 {digest}…"))];
            facts.extend((!output.trim().is_empty()).then(|| printed(output)));
            facts
        }
        Evidence::Stopped(progress) => stopped(progress).into_iter().collect(),
        Evidence::NotDone { reason: why, message } => vec![reason(why), told(message)],
        Evidence::Unknown(stored) => {
            let unknown = evidence.unknown().unwrap_or_default();
            let Words { zh, en } = told(&unknown);
            vec![t(format!("本版本无法读取：{zh}"), format!("this release can't read it: {en}")), same(format!("“{stored}”"))]
        }
        // No step of a drill proves anything else.
        other => vec![same(format!("“{}”", as_stored(other)))],
    }
}

/// What a command has printed, in its own words.
fn printed(output: &str) -> Words {
    let output = output.trim();
    t(format!("输出：“{output}”"), format!("printed: “{output}”"))
}

fn named(zh: &str, en: &str, names: &[String]) -> Words {
    let names = listed(names);
    t(format!("{zh}：{}", names.zh), format!("{en}: {}", names.en))
}

/// A list, if it has anything.
fn some(zh: &str, en: &str, names: &[String]) -> Vec<Words> {
    if names.is_empty() { Vec::new() } else { vec![named(zh, en, names)] }
}

/// A number of things with the first of them.
fn counted(zh: &str, en: &str, number: u64, first: &[String]) -> Vec<Words> {
    let all = named(zh, en, first);
    let (more_zh, more_en) =
        if number > first.len() as u64 { (format!(" 等 {number} 个"), format!(", … ({number})")) } else { (String::new(), String::new()) };
    if number == 0 {
        return vec![t(format!("{zh}：0"), format!("{en}: 0"))];
    }
    vec![t(format!("{}{more_zh}", all.zh), format!("{}{more_en}", all.en))]
}

fn preflight(check: &PreflightResult) -> Words {
    let (name, seen) = (told(&check.name), told(&check.seen));
    let mark = if check.passed { '✓' } else { '✗' };
    t(format!("{mark} {}：{}", name.zh, seen.zh), format!("{mark} {}: {}", name.en, seen.en))
}

fn times(what: &Words, number: u64) -> Words {
    t(format!("{number} × {}", what.zh), format!("{number} × {}", what.en))
}

fn each(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = Words> + '_ {
    counts.iter().map(|(what, number)| times(&told(what), *number))
}

/// A reason with the first names of the objects that it kept out.
pub(super) fn with_names(why: &str, number: u64, names: Option<&LeftOutObjects>) -> Words {
    let first = names.and_then(|names| names.first.get(why)).map(Vec::as_slice).unwrap_or_default();
    let why = told(why);
    if first.is_empty() {
        return why;
    }
    let (names, is_all) = (listed(first), number <= first.len() as u64);
    let (more_zh, more_en) = if is_all { ("", "") } else { (" 等", ", …") };
    t(format!("{}：{}{more_zh}", why.zh, names.zh), format!("{}: {}{more_en}", why.en, names.en))
}

/// Objects by what became of them; of what did not happen nothing is said, but of what was created.
fn objects(changes: &RestoreChanges) -> Words {
    let RestoreChanges { create, change, added: _, same, refused, not_served } = *changes;
    let others = [(change, "更改", "changed"), (same, "相同", "the same"), (refused, "被拒绝", "refused"), (not_served, "站点不支持", "not served")];
    let (mut zh, mut en) = (format!("对象：新建 {create}"), format!("objects: {create} created"));
    for (number, chinese, english) in others.into_iter().filter(|(number, ..)| *number != 0) {
        zh.extend(["，", chinese, " ", &number.to_string()]);
        en.extend([", ", &number.to_string(), " ", english]);
    }
    t(zh, en)
}

fn first_refused(refused: &RefusedObjects) -> Words {
    let (first, why) = (&refused.first, told(&refused.first.why));
    let object = format!("{} {}/{}", first.kind, first.namespace, first.name);
    t(format!("首个被拒绝的对象 {object}：{}", why.zh), format!("the first that was refused: {object}: {}", why.en))
}

/// How far a step was that was stopped; none if nobody has counted.
fn stopped(progress: &StepProgress) -> Option<Words> {
    if let Some(message) = &progress.message {
        return Some(told(message));
    }
    let of =
        |done: String, total: Option<String>| total.map_or_else(|| same(done.clone()), |total| t(format!("{done} / {total}"), format!("{done} of {total}")));
    match (progress.bytes_done, progress.items_done) {
        (Some(done), _) => Some(of(human_bytes(done), progress.bytes_total.map(human_bytes))),
        (None, Some(done)) => Some(of(done.to_string(), progress.items_total.map(|total| total.to_string()))),
        (None, None) => None,
    }
}

/// The members as they are stored.
fn as_stored(evidence: &Evidence) -> String {
    match serde_json::to_value(evidence).unwrap_or_default() {
        Value::Object(mut members) => {
            let kind = members.remove(KIND_KEY).as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            members.remove(VERSION_KEY);
            format!("{kind} {}", Value::Object(members))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(stored: Value) -> Vec<Words> {
        let evidence: Evidence = serde_json::from_value(stored).expect("evidence");
        facts(&evidence, Clock::east(480))
    }

    #[test]
    fn a_fact_is_told_in_both_languages_with_times_and_sizes_by_the_rule() {
        for (stored, zh, en) in [
            (
                json!({"v": 1, "kind": "markerRead", "time": "2026-11-15T00:49:51Z", "output": "2026-11-15 00:49:51+00\n"}),
                "数据中最新标记 2026-11-15 08:49:51\n输出：“2026-11-15 00:49:51+00”",
                "newest marker in the data 2026-11-15 08:49:51\nprinted: “2026-11-15 00:49:51+00”",
            ),
            (
                json!({"v": 1, "kind": "preflight", "checks": [{"name": "StandbyReachable", "passed": true, "seen": "laoshan-dr, 1 node"}]}),
                "✓ 备用站点可达：laoshan-dr、1 个节点",
                "✓ StandbyReachable: laoshan-dr, 1 node",
            ),
            (
                json!({"v": 1, "kind": "volumeRestored", "files": 18231, "bytes": 20_401_094_656_u64, "removed": 1, "removedBytes": 412}),
                "18231 个文件，19 GiB\n移除 1 个备份中没有的文件，412 B",
                "18231 files, 19 GiB\nremoved what the backup has not: 1 file, 412 B",
            ),
            (
                json!({"v": 1, "kind": "workloadsReady", "workloads": 3, "ready": ["Deployment/web 2/2"]}),
                "就绪的工作负载：Deployment/web 2/2 等 3 个",
                "workloads that are ready: Deployment/web 2/2, … (3)",
            ),
            (json!({"v": 1, "kind": "namespacesMade", "made": []}), "", ""),
            (json!({"v": 1, "kind": "stopped", "bytesDone": 1024, "bytesTotal": 4096}), "1.0 KiB / 4.0 KiB", "1.0 KiB of 4.0 KiB"),
        ] {
            let facts = read(stored.clone());
            let joined = |pick: fn(&Words) -> &str| facts.iter().map(pick).collect::<Vec<_>>().join("\n");
            assert_eq!((joined(|words| &words.zh), joined(|words| &words.en)), (zh.to_owned(), en.to_owned()), "{stored}");
        }
    }

    #[test]
    fn evidence_of_another_release_is_shown_as_it_is_stored_and_as_unknown() {
        let facts = read(json!({"v": 9, "kind": "dreamt", "of": "sheep"}));
        assert!(facts[0].zh.starts_with("本版本无法读取：类型 ") && facts[0].en.contains("this release reads version 1"), "{facts:?}");
        assert!(facts[1].zh.contains("sheep"), "{facts:?}");
        assert_eq!(read(json!({"v": 1, "kind": "nodeDrained", "node": "n1"}))[0].zh, "“nodeDrained {\"node\":\"n1\"}”", "what no drill proves");
    }
}
