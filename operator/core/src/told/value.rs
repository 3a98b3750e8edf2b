//! What is the same in both languages, or has a form of its own in each: names, numbers, durations, times, commands, values of the API.

use super::{counted::Noun, words::WORDS};
use crate::time::parse_duration;

/// Kinds that stand before a name.
const KINDS: [&str; 23] = [
    "Application",
    "Backup",
    "BackupPolicy",
    "BackupRepository",
    "ConfigMap",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "District",
    "Gateway",
    "HelmRelease",
    "Job",
    "Namespace",
    "Pod",
    "PodTemplate",
    "Restore",
    "Secret",
    "Service",
    "Site",
    "StatefulSet",
    "VolumeSnapshot",
    "VolumeSnapshotClass",
    "VolumeSnapshotContent",
];

/// Units of sizes and rates.
const UNITS: [&str; 8] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "Mbit/s"];

/// Weekdays as times have them.
const WEEKDAYS: [(&str, &str); 7] = [("Mon", "周一"), ("Tue", "周二"), ("Wed", "周三"), ("Thu", "周四"), ("Fri", "周五"), ("Sat", "周六"), ("Sun", "周日")];

/// A duration as the API writes it, for a Chinese reader: `9分40秒` for `9m40s`; none if it is none.
pub fn span(duration: &str) -> Option<String> {
    let unsigned = duration.strip_prefix('-').unwrap_or(duration);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    // Rust prints `1.5s` where GEP-2257 writes `1s500ms`.
    let is_decimal = |text: &str| text.strip_suffix('s').is_some_and(|number| number.contains('.') && number.parse::<f64>().is_ok());
    if !is_decimal(unsigned) {
        parse_duration(unsigned).ok()?;
    }
    Some(chinese_units(duration))
}

/// A duration with Chinese units; `duration` is one. Minutes that end it have their whole name: `15分` alone would be points.
pub(crate) fn chinese_units(duration: &str) -> String {
    let told = duration.replace("ms", "毫秒").replace('h', "小时").replace('m', "分").replace('s', "秒");
    if told.ends_with('分') { told + "钟" } else { told }
}

/// A value of the API, for a Chinese reader: `已恢复并检查` for `Probed`; none if it has no word.
pub fn word(value: &str) -> Option<&'static str> {
    WORDS.iter().find(|(english, _)| *english == value).map(|(_, chinese)| *chinese)
}

/// A text that needs no translation, or whose form alone says what it is; none if it must be read.
pub(super) fn in_chinese(text: &str) -> Option<String> {
    if let Some(told) = span(text)
        .or_else(|| word(text).map(ToOwned::to_owned))
        .or_else(|| Noun::in_chinese(text))
        .or_else(|| numbered(text))
        .or_else(|| progress(text))
        .or_else(|| moment(text))
    {
        return Some(told);
    }
    let is_command = text.starts_with("p861 ") || text.starts_with("kubectl ");
    let is_quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"') && !text.get(1..text.len() - 1).is_some_and(|inside| inside.contains('"'));
    let is_whole = !text.contains(char::is_whitespace) && !text.ends_with([':', ';', ',', '.']) && !text.starts_with('(');
    let is_named = text.split_once(' ').is_some_and(|(kind, name)| KINDS.contains(&kind) && !name.contains(' '));
    let is_plain = words(text) == 0 && !text.ends_with([':', ';', ',', '.']) && !["; ", ": ", ", ", " (", " → ", " × "].iter().any(|mark| text.contains(mark));
    if is_quoted {
        return Some(format!("“{}”", text.trim_matches('"')));
    }
    (is_command || is_whole || is_named || is_size(text) || is_plain).then(|| text.to_owned())
}

fn is_size(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(number, unit)| number.parse::<f64>().is_ok() && UNITS.contains(&unit))
}

/// `1.3 GiB / 2.0 GiB` for `1.3 GiB of 2.0 GiB`.
fn progress(text: &str) -> Option<String> {
    let (done, total) = text.split_once(" of ")?;
    (is_size(done) && is_size(total)).then(|| format!("{done} / {total}"))
}

/// `网络 62` for `Network 62`, and `2 个正在删除` for `2 BeingDeleted`.
fn numbered(text: &str) -> Option<String> {
    let (first, second) = text.split_once(' ')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (word(first), word(second)) {
        (Some(value), _) if is_number(second) => Some(format!("{value} {second}")),
        (_, Some(value)) if is_number(first) => Some(format!("{first} 个{value}")),
        _ => None,
    }
}

/// A time as windows and rosters write it: `2026-11-24（周二）08:00` for `Tue 2026-11-24 08:00`.
fn moment(text: &str) -> Option<String> {
    let (first, rest) = text.split_once(' ')?;
    let (date, time) = match rest.split_once(' ') {
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    let digits = |text: &str, mark: char| text.contains(mark) && text.chars().all(|character| character.is_ascii_digit() || character == mark);
    if let Some((_, weekday)) = WEEKDAYS.iter().find(|(english, _)| *english == first) {
        return (digits(date, '-') && (time.is_empty() || digits(time, ':'))).then(|| format!("{date}（{weekday}）{time}"));
    }
    (digits(first, '-') && digits(rest, ':')).then(|| text.to_owned())
}

/// How many English words the text has: two letters or more, and not part of a name, a path, an option or a value.
pub(super) fn words(text: &str) -> usize {
    let trimmed = |word: &str| word.trim_matches(|character: char| !character.is_ascii_alphanumeric()).to_owned();
    let is_word = |word: &String| word.len() > 1 && word.chars().all(|character| character.is_ascii_alphabetic() || character == '\'');
    text.split_whitespace().map(trimmed).filter(is_word).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_with_chinese_units() {
        for (duration, told) in [("9m40s", "9分40秒"), ("1h", "1小时"), ("500ms", "500毫秒"), ("-2m", "-2分钟"), ("1.5s", "1.5秒"), ("168h", "168小时")]
        {
            assert_eq!(span(duration).as_deref(), Some(told));
        }
        assert_eq!([span("shinan"), span("m"), span("5x"), span("")], [None, None, None, None]);
    }

    #[test]
    fn a_time_keeps_its_form_and_its_weekday_is_chinese() {
        assert_eq!(in_chinese("Tue 2026-11-24 08:00").as_deref(), Some("2026-11-24（周二）08:00"));
        assert_eq!(in_chinese("2026-11-24 08:00").as_deref(), Some("2026-11-24 08:00"));
    }

    #[test]
    fn names_values_and_commands_need_no_reading_and_sentences_do() {
        for same in ["laoshan-dr", "p861 plan check core", "kubectl get pods", "Deployment web", "1.4 MiB", "10.0.0.1 443", "spec.sites"] {
            assert_eq!(in_chinese(same).as_deref(), Some(same));
        }
        assert_eq!(in_chinese("Storage").as_deref(), Some("存储"));
        assert_eq!(in_chinese("\"a b\"").as_deref(), Some("“a b”"), "what others said, in the quotation marks of the language");
        for sentence in ["connection refused", "it is gone", "a: b c", "lost:"] {
            assert_eq!(in_chinese(sentence), None, "{sentence}");
        }
    }
}
