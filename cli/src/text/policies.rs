//! What is said of backup policies and of their calendar.

use super::{Bilingual, Language, Word, both, told::span};
use jiff::civil::{Date, Weekday};
use p861_crds::platform::application::Criticality;

/// The word for a criticality.
pub fn criticality(criticality: Criticality) -> Word {
    match criticality {
        Criticality::Critical => Word { en: "Critical", zh: "关键" },
        Criticality::Important => Word { en: "Important", zh: "重要" },
        Criticality::Ordinary => Word { en: "Ordinary", zh: "一般" },
    }
}

/// A rule of which snapshots stay.
pub fn kept(rule: &str, number: u32) -> Bilingual {
    let of = match rule {
        "hourly" => "每小时",
        "daily" => "每日",
        "weekly" => "每周",
        "monthly" => "每月",
        "yearly" => "每年",
        _ => "最近",
    };
    both(format!("{rule} {number}"), format!("{of} {number} 个"))
}

/// How many objects of ended runs stay.
pub fn history(succeeded: i32, failed: i32) -> Bilingual {
    both(format!("{succeeded} that succeeded, {failed} that failed"), format!("成功 {succeeded} 个，失败 {failed} 个"))
}

/// How old a proof may be.
pub fn not_older_than(age: &str) -> Bilingual {
    both(format!("at most {age} old"), format!("不早于 {age}"))
}

/// A rate.
pub fn per_second(size: &str) -> String {
    format!("{size}/s")
}

/// What holds in some hours of the day.
pub fn in_hours(what: &str, start: &str, end: &str) -> Bilingual {
    both(format!("{what} from {start} to {end}"), format!("{start} 至 {end} 为 {what}"))
}

/// Backups that did not begin in time.
pub fn missed(number: i64, newest: &str, application: &str) -> Bilingual {
    both(format!("{number}, the newest {newest} ({application})"), format!("{number} 次，最近 {newest}（{application}）"))
}

/// A day of the calendar.
pub fn weekday_and_date(date: Date) -> Bilingual {
    let (en, zh) = match date.weekday() {
        Weekday::Monday => ("Mon", "周一"),
        Weekday::Tuesday => ("Tue", "周二"),
        Weekday::Wednesday => ("Wed", "周三"),
        Weekday::Thursday => ("Thu", "周四"),
        Weekday::Friday => ("Fri", "周五"),
        Weekday::Saturday => ("Sat", "周六"),
        Weekday::Sunday => ("Sun", "周日"),
    };
    both(format!("{en} {date}"), format!("{date}（{zh}）"))
}

/// Times of a day that are as far apart as each other.
pub fn every(period: &str, first: &str, last: &str) -> Bilingual {
    both(format!("every {period}, {first}–{last}"), format!("每 {}，{first}–{last}", span(period, Language::Zh)))
}

/// Times of a day that are too many to be named.
pub fn so_many_times(number: usize, first: &str, last: &str) -> Bilingual {
    both(format!("{number} times, {first}–{last}"), format!("{number} 次，{first}–{last}"))
}

/// No backup begins in the days that were asked for.
pub fn nothing_begins(days: u8, place: &str) -> Bilingual {
    both(format!("No backup begins within {days} days: p861 policy list{place}"), format!("{days} 天内没有备份开始：p861 policy list{place}"))
}
