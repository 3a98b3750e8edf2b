//! Borders of hours, days, weeks, months and years, by the district's zone.

use super::{tests::at, *};

fn snapshots(times: &[&str]) -> Vec<KnownSnapshot> {
    let known = |(number, time): (usize, &&str)| {
        let snapshot = format!("{number:064x}");
        KnownSnapshot { snapshot: snapshot.into(), backup: (*time).into(), time: at(time), proof: None, flaw: None, holds: Vec::new(), asked: None }
    };
    times.iter().enumerate().map(known).collect()
}

/// The times that stay by one of the numbers alone; the newest stays in any case.
fn kept(zone: &str, times: &[&str], retention: Retention) -> Vec<String> {
    let terms = Terms { retention: Some(retention), zone: TimeZone::get(zone).expect("a zone") };
    let plan = RetentionPlan::of(&snapshots(times), &terms, at("2030-01-01T00:00:00Z"));
    let stays = |judged: &&Judged| matches!(judged.verdict, Verdict::Keep(_));
    plan.judged.iter().filter(stays).map(|judged| judged.backup.clone()).collect()
}

fn hourly(number: u32) -> Retention {
    Retention { hourly: Some(number), ..Retention::default() }
}

fn daily(number: u32) -> Retention {
    Retention { daily: Some(number), ..Retention::default() }
}

fn weekly(number: u32) -> Retention {
    Retention { weekly: Some(number), ..Retention::default() }
}

fn monthly(number: u32) -> Retention {
    Retention { monthly: Some(number), ..Retention::default() }
}

fn yearly(number: u32) -> Retention {
    Retention { yearly: Some(number), ..Retention::default() }
}

#[test]
fn days_end_at_midnight_of_the_district_and_not_of_the_machine() {
    // 23:59 and 00:01 in Shanghai, within one day of UTC.
    let times = ["2026-11-14T16:01:00Z", "2026-11-14T15:59:00Z", "2026-11-14T01:00:00Z"];
    assert_eq!(kept("Asia/Shanghai", &times, daily(9)), ["2026-11-14T16:01:00Z", "2026-11-14T15:59:00Z"]);
    assert_eq!(kept("UTC", &times, daily(9)), ["2026-11-14T16:01:00Z"]);
}

#[test]
fn an_hour_that_comes_twice_when_clocks_are_set_back_is_two_hours() {
    // New York, 2026-11-01: 01:30 in summer time, and an hour later 01:30 again.
    let times =
        ["2026-11-01T07:30:00Z", "2026-11-01T06:45:00Z", "2026-11-01T06:30:00Z", "2026-11-01T05:45:00Z", "2026-11-01T05:30:00Z", "2026-11-01T04:30:00Z"];
    let newest_of_each = ["2026-11-01T07:30:00Z", "2026-11-01T06:45:00Z", "2026-11-01T05:45:00Z", "2026-11-01T04:30:00Z"];
    assert_eq!(kept("America/New_York", &times, hourly(9)), newest_of_each);
    assert_eq!(kept("America/New_York", &times, hourly(3)), newest_of_each[..3]);
    assert_eq!(kept("America/New_York", &times, daily(9)), ["2026-11-01T07:30:00Z"], "and the day of 25 hours is one day");
}

#[test]
fn the_hour_that_is_left_out_when_clocks_are_set_forward_is_missed_by_nobody() {
    // New York, 2026-03-08: 01:59 is followed by 03:00.
    let times = ["2026-03-08T07:10:00Z", "2026-03-08T06:50:00Z", "2026-03-08T05:50:00Z"];
    assert_eq!(kept("America/New_York", &times, hourly(3)), times);
    assert_eq!(kept("America/New_York", &times, hourly(2)), times[..2]);
    assert_eq!(kept("America/New_York", &times, daily(9)), ["2026-03-08T07:10:00Z"]);
}

#[test]
fn a_day_whose_last_hour_comes_twice_is_one_day() {
    // Havana, 2026-11-01: at 01:00 clocks are set back to 00:00; São Paulo, 2018-02-17: at 24:00 to 23:00.
    assert_eq!(kept("America/Havana", &["2026-11-01T05:30:00Z", "2026-11-01T04:30:00Z"], daily(9)), ["2026-11-01T05:30:00Z"]);
    assert_eq!(kept("America/Sao_Paulo", &["2018-02-18T02:30:00Z", "2018-02-18T01:30:00Z"], daily(9)), ["2018-02-18T02:30:00Z"]);
    // At Lord Howe clocks are set back by half an hour: 01:45 comes twice, in two hours of two offsets.
    assert_eq!(kept("Australia/Lord_Howe", &["2026-04-04T15:15:00Z", "2026-04-04T14:45:00Z"], hourly(9)).len(), 2);
}

#[test]
fn weeks_begin_on_monday_and_the_first_days_of_january_may_be_of_the_year_before() {
    // Friday 2027-01-01 is of week 53 of 2026, Monday 2027-01-04 of week 1.
    let times = ["2027-01-04T04:00:00Z", "2027-01-03T04:00:00Z", "2027-01-01T04:00:00Z", "2026-12-28T04:00:00Z", "2026-12-27T04:00:00Z"];
    assert_eq!(kept("Asia/Shanghai", &times, weekly(9)), ["2027-01-04T04:00:00Z", "2027-01-03T04:00:00Z", "2026-12-27T04:00:00Z"]);
    // Sunday 23:30 and Monday 00:30 of Shanghai.
    let border = ["2026-11-15T16:30:00Z", "2026-11-15T15:30:00Z"];
    assert_eq!(kept("Asia/Shanghai", &border, weekly(9)), border);
    assert_eq!(kept("UTC", &border, weekly(9)), border[..1], "in London both are of Sunday");
    // Monday 2024-12-30 is of week 1 of 2025: one week, two years.
    assert_eq!(kept("UTC", &["2025-01-01T12:00:00Z", "2024-12-30T12:00:00Z"], weekly(9)), ["2025-01-01T12:00:00Z"]);
}

#[test]
fn months_and_years_end_with_their_last_day_in_the_district() {
    let times =
        ["2026-03-01T00:30:00+08:00", "2026-02-28T23:30:00+08:00", "2026-02-01T00:00:00+08:00", "2026-01-31T23:59:59+08:00", "2025-12-31T23:59:59+08:00"];
    assert_eq!(kept("Asia/Shanghai", &times, monthly(9)), [times[0], times[1], times[3], times[4]]);
    assert_eq!(kept("Asia/Shanghai", &times, monthly(2)), times[..2]);
    assert_eq!(kept("Asia/Shanghai", &times, yearly(9)), [times[0], times[4]]);
    let leap = ["2028-02-29T12:00:00Z", "2028-02-28T12:00:00Z", "2027-02-28T12:00:00Z"];
    assert_eq!(kept("UTC", &leap, monthly(9)), [leap[0], leap[2]]);
}

#[test]
fn numbers_are_of_hours_and_days_that_have_a_snapshot_and_not_of_age() {
    let times = ["2026-11-15T04:00:00Z", "2026-09-01T04:00:00Z", "2026-09-01T03:00:00Z", "2025-01-01T04:00:00Z", "2024-01-01T04:00:00Z"];
    assert_eq!(kept("UTC", &times, daily(3)), [times[0], times[1], times[3]], "an application whose backups stood still for months loses nothing by that");
}

#[test]
fn a_year_of_ten_minute_backups_is_thinned_to_its_numbers_and_no_further() {
    let end = at("2026-11-24T00:00:00Z");
    let all: Vec<KnownSnapshot> = (0..52_560_i64)
        .map(|number| {
            let time = end - SignedDuration::from_mins(10 * number);
            let snapshot = format!("{number:064x}");
            KnownSnapshot { snapshot: snapshot.into(), backup: number.to_string(), time, proof: None, flaw: None, holds: Vec::new(), asked: None }
        })
        .collect();
    let retention = Retention { last: Some(12), hourly: Some(48), daily: Some(30), weekly: Some(12), monthly: Some(24), yearly: None };
    let terms = Terms { retention: Some(retention), zone: TimeZone::get("Asia/Shanghai").expect("a zone") };
    let plan = RetentionPlan::of(&all, &terms, end);
    let of = |wanted: KeepReason| {
        let has = |judged: &&Judged| matches!(&judged.verdict, Verdict::Keep(reasons) if reasons.contains(&wanted));
        plan.judged.iter().filter(has).count()
    };
    let numbers = [KeepReason::Last, KeepReason::Hourly, KeepReason::Daily, KeepReason::Weekly, KeepReason::Monthly].map(of);
    assert_eq!(numbers, [12, 48, 30, 12, 13], "there are no more than thirteen months yet");
    assert!(plan.judged.len() - plan.going().count() < 12 + 48 + 30 + 12 + 13);
}
