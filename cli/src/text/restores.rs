//! What backups hold and restores do.

use super::{Bilingual, Language, Word, both, many_of, told};
use p861_crds::protection::{
    backup::{BackupContents, ChangedFiles, MissingClaim},
    restore::{ConflictPolicy, RestoreChanges},
};

/// What a preview will do.
pub fn preview_announced(backup: &str) -> Bilingual {
    both(format!("Preview of a restore of {backup}: nothing is written."), format!("预览恢复 {backup}：不写入任何内容。"))
}

/// What a restore does.
pub fn restore_announced(backup: &str) -> Bilingual {
    both(format!("Restore of {backup}."), format!("恢复 {backup}。"))
}

/// What is in a backup.
pub fn contents(contents: &BackupContents) -> Bilingual {
    both(
        format!("{}, {}, {}", many_of(contents.objects, "object"), many_of(contents.volumes, "volume"), many_of(contents.streams, "stream")),
        format!("{} 个对象，{} 个卷，{} 条数据流", contents.objects, contents.volumes, contents.streams),
    )
}

/// A claim that a backup lacks, and why.
pub fn missing_claim(missing: &MissingClaim) -> Bilingual {
    let colon = if missing.reason == "ClaimNotReadable" { "" } else { ":" };
    let Bilingual { en, zh } = told(&missing.message);
    both(format!("claim {}{colon} {en}", missing.claim), format!("存储卷声明 {}：{zh}", missing.claim))
}

/// Files of a claim that changed or vanished while they were read.
pub fn changed_files(changed: &ChangedFiles) -> Bilingual {
    let chinese: Vec<String> = changed.first.iter().map(|first| told(first).zh).collect();
    let is_all = usize::try_from(changed.count).is_ok_and(|count| count <= changed.first.len());
    let (more, more_zh) = if is_all { ("", "") } else { ("; …", "；…") };
    both(
        format!("claim {}, {}: {}{more}", changed.claim, many_of(changed.count, "file"), changed.first.join("; ")),
        format!("存储卷声明 {}，{} 个文件：{}{more_zh}", changed.claim, changed.count, chinese.join("；")),
    )
}

/// A claim that a restore doesn't bring, because its backup lacks it.
pub fn not_in_backup(missing: &MissingClaim) -> Bilingual {
    let Bilingual { en, zh } = missing_claim(missing);
    both(format!("Not in the backup: {en}"), format!("备份中没有：{zh}"))
}

/// The phase of a backup whose snapshot has all but what could not be read.
pub fn partial_phase(phase: &str, language: Language) -> String {
    both(format!("{phase}, partial"), format!("{phase}（部分已保存）")).pick(language).to_owned()
}

/// How to get what a partial backup has.
pub fn restores_the_rest(command: &str) -> Bilingual {
    both(format!("Everything else can be restored: {command}"), format!("其余内容可以恢复：{command}"))
}

/// The data in a backup.
pub fn data_parts(contents: &BackupContents) -> Bilingual {
    both(
        format!("{}, {}", many_of(contents.streams, "stream"), many_of(contents.volumes, "volume")),
        format!("{} 条数据流，{} 个卷", contents.streams, contents.volumes),
    )
}

/// `137 objects`.
pub fn objects(number: i64) -> Bilingual {
    both(many_of(number, "object"), format!("{number} 个对象"))
}

/// What a restore changed.
pub fn changes(changes: &RestoreChanges) -> Bilingual {
    let unserved = match changes.not_served {
        0 => Default::default(),
        number => (format!(", {number} of kinds that are not served here"), format!("，{number} 个对象的类型在此站点不存在")),
    };
    both(
        format!("{} created, {} changed, {} the same, {} refused{}", changes.create, changes.change, changes.same, changes.refused, unserved.0),
        format!("新建 {}，更改 {}，相同 {}，被拒绝 {}{}", changes.create, changes.change, changes.same, changes.refused, unserved.1),
    )
}

/// What a preview would do with an object. Names of the API stay as they are in English.
pub fn planned(action: &str, language: Language) -> String {
    let zh = match action {
        "create" => "新建",
        "change" => "更改",
        "same" => "相同",
        "leave" => "保留",
        "refused" => "被拒绝",
        "data" => "数据",
        other => other,
    };
    both(action, zh).pick(language).to_owned()
}

/// How many objects a preview doesn't list.
pub fn objects_left(number: u64) -> Bilingual {
    both(format!("{number} objects are not listed: preview fewer of them"), format!("另有 {number} 个对象未列出：请分批预览"))
}

/// Objects that a restore left out for one reason, and the first names.
pub fn left_out(count: i64, reason: &str, names: &[&str], more: bool) -> Bilingual {
    let more = if more { ", …" } else { "" };
    let names_zh = if names.is_empty() { String::new() } else { format!("：{}{more}", names.join("、")) };
    let names = if names.is_empty() { String::new() } else { format!(": {}{more}", names.join(", ")) };
    let Bilingual { en, zh } = told(reason);
    both(format!("{count} {en}{names}"), format!("{count} 个：{zh}{names_zh}"))
}

/// The command that lists all of them.
pub fn left_out_all(command: &str) -> Bilingual {
    both(format!("All that was not written: {command}"), format!("未写入的全部对象：{command}"))
}

/// How many objects that were not written are in no list.
pub fn unwritten_unlisted(number: i64) -> Bilingual {
    both(format!("{} not listed: the status counts them by reason", many_of(number, "object")), format!("另有 {number} 个对象未列出：状态中按原因计数"))
}

/// A restore without objects that were refused or left out.
pub fn nothing_unwritten(restore: &str) -> Bilingual {
    both(format!("Restore {restore} refused and left out no objects."), format!("恢复 {restore} 没有被拒绝或未恢复的对象。"))
}

/// `restore get` with `--no-wait`.
pub fn get_waits() -> Bilingual {
    both("p861 restore get prints what the operator has read: leave out --no-wait", "p861 restore get 须等待 operator 读取后输出：请去掉 --no-wait")
}

/// What `restore get` waits for.
pub fn get_begins(backup: &str, restore: &str) -> Bilingual {
    both(format!("Reading {backup} by the preview {restore}; nothing is written."), format!("通过预览 {restore} 读取 {backup}；不写入任何内容。"))
}

/// The backup could not be read.
pub fn get_failed(backup: &str, why: &str) -> Bilingual {
    let Bilingual { en, zh } = told(why);
    both(format!("{backup} can't be read: {en}"), format!("无法读取 {backup}：{zh}"))
}

/// A backup without objects of that kind.
pub fn get_nothing(backup: &str, kind: &str) -> Bilingual {
    let kind = if kind.is_empty() { String::new() } else { format!(" {kind}") };
    both(format!("{backup} has no{kind} objects"), format!("{backup} 中没有{kind} 对象"))
}

/// An object that a backup doesn't have.
pub fn get_missing(backup: &str, object: &str, list: &str) -> Bilingual {
    both(format!("{backup} has no {object}: {list} lists what there is"), format!("{backup} 中没有 {object}：可用 {list} 查看有哪些"))
}

/// The values of a Secret are not printed.
pub fn get_hidden(command: &str) -> Bilingual {
    both(
        format!("values of Secrets are hidden: restore it into another namespace and read it there, with your rights on that site: {command}"),
        format!("Secret 的值不显示：请恢复到另一命名空间，再以您在该站点的权限查看：{command}"),
    )
}

/// Why a restore would write nothing.
pub fn preview_blocked(change: i64) -> Bilingual {
    both(
        format!("Blocked by: {change} exist and differ, and the conflict policy is Refuse: nothing would be written"),
        format!("受阻：{change} 个已存在且不同，而冲突策略为 Refuse：不会写入任何内容"),
    )
}

/// What a restore could not write.
pub fn preview_incomplete(objects: i64) -> Bilingual {
    both(
        format!("Not everything: {objects} can't be written; everything else would be, and the restore would end as Failed"),
        format!("不完整：{objects} 个无法写入；其余会写入，恢复将以失败结束"),
    )
}

/// The command of a preview.
pub fn to_do_it(command: &str) -> Bilingual {
    both(format!("To do it: {command}"), format!("执行：{command}"))
}

/// The head of what is asked before a restore in the place of what runs.
pub fn restore_head(backup: &str, application: &str) -> Bilingual {
    both(
        format!("RESTORE of {backup}: it stops the running application {application} and overwrites it"),
        format!("恢复 {backup}：将停止并覆盖正在运行的应用 {application}"),
    )
}

/// The same, of one into other namespaces.
pub fn restore_beside(backup: &str, application: &str) -> Bilingual {
    both(
        format!("RESTORE of {backup}: it writes beside application {application}, which it doesn't touch"),
        format!("恢复 {backup}：写入其他命名空间，不改变应用 {application}"),
    )
}

/// The same, of one on a site where the application doesn't run.
pub fn restore_away(backup: &str, application: &str, site: &str, active: &str) -> Bilingual {
    both(
        format!("RESTORE of {backup} on {site}: application {application} runs on {active}, where it is not touched"),
        format!("在 {site} 恢复 {backup}：应用 {application} 在 {active} 运行，不受影响"),
    )
}

/// What becomes of objects that are there and different.
pub fn conflict(policy: ConflictPolicy) -> Word {
    match policy {
        ConflictPolicy::Refuse => {
            Word { en: "Refuse: if one exists and differs, nothing is written", zh: "Refuse：若有已存在且不同的对象，则不写入任何内容" }
        }
        ConflictPolicy::Skip => Word { en: "Skip: existing ones stay unchanged", zh: "Skip：已存在的对象保持不变" },
        ConflictPolicy::Merge => Word { en: "Merge: existing ones are updated from the backup", zh: "Merge：已存在的对象按备份更改" },
        ConflictPolicy::Replace => Word {
            en: "Replace: existing ones become as in the backup; no data is deleted",
            zh: "Replace：已存在的对象恢复为备份中的样子；不删除任何数据",
        },
    }
}

/// What becomes of data.
pub fn volumes_over(keep_extra: bool) -> Bilingual {
    let Bilingual { en, zh } = whole_volumes(keep_extra);
    both(format!("{en}; databases of the backup overwrite existing data"), format!("{zh}；备份中的数据库将覆盖现有数据"))
}

/// What becomes of a volume that is restored as a whole.
pub fn whole_volumes(keep_extra: bool) -> Bilingual {
    if keep_extra {
        both("files of the backup overwrite existing ones, other files stay", "备份中的文件将覆盖现有文件，其他文件保留")
    } else {
        both(
            "become exactly as in the backup: files that are not in it are removed (--keep-extra-files keeps them)",
            "与备份完全一致：备份中没有的文件将被移除（--keep-extra-files 可保留）",
        )
    }
}

/// Files that a restore removed.
pub fn files_removed(files: i64) -> Bilingual {
    both(format!("{} removed, not in the backup", many_of(files, "file")), format!("移除 {files} 个备份中没有的文件"))
}

/// What a preview would do to a volume.
pub fn planned_volume(volume: &str, [removed, changed, created]: [u64; 3], first: &[String]) -> Bilingual {
    if removed + changed + created == 0 {
        return both(format!("volume {volume}: nothing would change"), format!("卷 {volume}：不会改变"));
    }
    let (mut en, mut zh) = (
        format!("volume {volume}: {} would be removed, {changed} changed, {created} created", many_of(removed, "file")),
        format!("卷 {volume}：将移除 {removed} 个文件，更改 {changed} 个，新建 {created} 个"),
    );
    if !first.is_empty() {
        en.extend(["; first: ", &first.join(", ")]);
        zh.extend(["；前几个：", &first.join(", ")]);
    }
    both(en, zh)
}

/// Where files go.
pub fn files_into(files: &str, prefix: Option<&str>) -> Bilingual {
    match prefix {
        Some(prefix) => both(format!("{files}, under {prefix} of the volume"), format!("{files}，恢复到卷的 {prefix} 之下")),
        None => both(format!("{files}, overwriting existing files"), format!("{files}，覆盖现有文件")),
    }
}
