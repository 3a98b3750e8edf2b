//! Messages as people meet them, told in Chinese.

use super::{MAX_READINGS, Teller, in_chinese, tell};

#[test]
fn a_message_is_told_with_the_messages_in_its_holes() {
    for (message, told) in [
        ("1 of 4 checks fail (RecoverableData): p861 plan check core", "4 项检查中 1 项未通过（数据可恢复）：p861 plan check core"),
        ("laoshan-dr, 1 node", "laoshan-dr、1 个节点"),
        ("the newest backup is older than the RPO of 15m: p861 backup now portal", "最近备份已超出 RPO 15分钟：p861 backup now portal"),
        ("never restored and probed: portal, approval", "从未恢复并检查：portal、approval"),
        ("Network 62 far above Storage 8: spend on Storage first", "网络 62 远高于存储 8：应先投入存储"),
        ("24 steps, 2 applications", "24 个步骤、2 个应用"),
        ("portal: RTO 9m40s of 5m, RPO 1h of 15m", "portal：RTO 9分40秒，目标 5分钟，RPO 1小时，目标 15分钟"),
        ("under way (attempt 2)", "进行中（第 2 次尝试）"),
        ("paused", "已暂停"),
        ("opens Tue 2026-11-24 08:00 for 4h", "2026-11-24（周二）08:00 开放，持续 4小时"),
        (
            "list the pods of portal on laoshan-dr: the API server answers 403 pods is forbidden",
            "列出 laoshan-dr 的 portal 中的 Pod：API 服务器返回 403 “pods is forbidden”",
        ),
        ("its mover starts; before: no answer within 10 s", "搬运任务启动中；此前：10 秒内没有应答"),
        (
            "2 objects created, 0 changed, 1 the same; 3 files; 2 × clusterIP taken or out of range, another was allotted",
            "新建 2 个对象，更改 0，相同 1；3 个文件；2 × clusterIP 已占用或超出范围，已另行分配",
        ),
    ] {
        assert_eq!(in_chinese(message), told);
    }
}

#[test]
fn what_other_programs_say_stays_in_their_words() {
    let told = tell("site laoshan-dr: connection refused by peer");
    assert_eq!((told.chinese.as_str(), told.foreign_words), ("站点 laoshan-dr：“connection refused by peer”", 4));
    assert_eq!(in_chinese("something new happened"), "something new happened", "nothing of it is known: it stays as it is");
    assert_eq!(in_chinese(""), "");
}

#[test]
fn what_a_command_of_a_check_has_printed_stands_in_its_words_and_the_rest_is_told() {
    for (message, told) in [
        ("psql in StatefulSet/db: 12 rows are there", "StatefulSet/db 中的 psql：“12 rows are there”"),
        (
            "check balance did not hold within 2m: psql in StatefulSet/db: command terminated: 3 rows differ",
            "检查 balance 未能在 2分钟内通过：StatefulSet/db 中的 psql：“command terminated: 3 rows differ”",
        ),
        ("psql in the sun: it is warm", "psql in the sun: it is warm"),
    ] {
        assert_eq!(in_chinese(message), told);
    }
}

#[test]
fn a_text_of_separators_takes_no_longer_than_a_message() {
    for hostile in ["a b, c d; e f: ".repeat(280), " and ".repeat(800), "(a b) (c, d) ".repeat(300)] {
        let mut teller = Teller::default();
        assert!(!teller.read(&hostile, 0).chinese.is_empty());
        assert!(teller.read.len() <= MAX_READINGS, "{}", teller.read.len());
    }
}

#[test]
fn a_short_shape_fits_only_what_can_be_told() {
    assert_eq!(in_chinese("read or write timeout"), "read or write timeout");
    assert_eq!(in_chinese("read namespace portal on laoshan-dr"), "读取 laoshan-dr 上的命名空间 portal");
}
