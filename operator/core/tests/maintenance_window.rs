//! Windows, freezes and the clocks of the world.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_core::maintenance::{
    ticket::Access,
    window::{DEFAULT_ZONE, Opening, Window, condition},
};
use p861_crds::{
    Duration, Reason, Time,
    maintenance::window::{ChangeClass, Freeze, MaintenanceWindowSpec, OpenDate, Recurrence},
};
use proptest::prelude::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn spec(recurrences: &[(&str, &str)]) -> MaintenanceWindowSpec {
    MaintenanceWindowSpec {
        time_zone: None,
        change_classes: vec![ChangeClass::Standard, ChangeClass::Normal],
        recurrences: recurrences.iter().map(|(schedule, duration)| Recurrence { schedule: (*schedule).into(), duration: Duration::from(*duration) }).collect(),
        dates: vec![],
        freezes: vec![],
    }
}

fn window(zone: &str, recurrences: &[(&str, &str)]) -> Window {
    Window::parse(&spec(recurrences), zone).unwrap()
}

fn freeze(name: &str, start: &str, end: &str) -> Freeze {
    Freeze { name: name.into(), start_time: Time(time(start)), end_time: Time(time(end)), reason: None, except: vec![ChangeClass::Emergency] }
}

fn normal(window: &Window, freezes: &[Freeze], at: &str) -> Opening {
    window.at(ChangeClass::Normal, freezes, time(at))
}

#[test]
fn saturday_night_opens_at_ten_in_the_evening_of_qingdao_for_six_hours() {
    let saturday = window(DEFAULT_ZONE, &[("0 22 * * 6", "6h")]);
    for (at, open, opens, closes) in [
        ("2026-11-24T00:00:00Z", false, Some("2026-11-28T14:00:00Z"), "2026-11-28T20:00:00Z"),
        ("2026-11-28T13:59:59Z", false, Some("2026-11-28T14:00:00Z"), "2026-11-28T20:00:00Z"),
        ("2026-11-28T14:00:00Z", true, None, "2026-11-28T20:00:00Z"),
        ("2026-11-28T19:59:59.999Z", true, None, "2026-11-28T20:00:00Z"),
        ("2026-11-28T20:00:00Z", false, Some("2026-12-05T14:00:00Z"), "2026-12-05T20:00:00Z"),
    ] {
        let opening = normal(&saturday, &[], at);
        assert_eq!(opening, Opening { open, frozen_by: None, next_open_time: opens.map(time), next_close_time: Some(time(closes)) }, "{at}");
    }
}

#[test]
fn the_last_day_of_a_month_is_found_in_long_and_short_months() {
    let last = window(DEFAULT_ZONE, &[("0 22 L * *", "4h")]);
    assert_eq!(normal(&last, &[], "2027-02-10T00:00:00Z").next_open_time, Some(time("2027-02-28T14:00:00Z")));
    assert_eq!(normal(&last, &[], "2028-02-10T00:00:00Z").next_open_time, Some(time("2028-02-29T14:00:00Z")));
    // An occurrence of the 31st that lasts into the next month is still open there.
    assert!(normal(&last, &[], "2026-12-31T17:59:59Z").open);
    let thirty_first = window(DEFAULT_ZONE, &[("0 22 31 * *", "4h")]);
    assert_eq!(normal(&thirty_first, &[], "2027-02-01T00:00:00Z").next_open_time, Some(time("2027-03-31T14:00:00Z")), "February has no 31st");
}

#[test]
fn where_clocks_are_put_forward_or_back_a_window_opens_once_and_lasts_as_long_as_it_says() {
    // Berlin skips 02:00 to 03:00 on 2027-03-28, and has it twice on 2027-10-31.
    let night = window("Europe/Berlin", &[("30 2 * * *", "2h")]);
    let starts = |from: &str, number: usize| {
        let mut at = time(from);
        (0..number)
            .map(|_| {
                let opens = night.at(ChangeClass::Normal, &[], at);
                let start = opens.next_open_time.unwrap();
                assert_eq!(opens.next_close_time.unwrap().duration_since(start), SignedDuration::from_hours(2), "{start}");
                at = opens.next_close_time.unwrap();
                start
            })
            .collect::<Vec<_>>()
    };
    let spring = starts("2027-03-26T12:00:00Z", 3);
    assert_eq!((spring[0], spring[2]), (time("2027-03-27T01:30:00Z"), time("2027-03-29T00:30:00Z")));
    assert!(
        spring[1] >= time("2027-03-28T01:00:00Z") && spring[1] <= time("2027-03-28T01:30:00Z"),
        "the skipped time is made up for at once, not left out: {}",
        spring[1]
    );
    let autumn = starts("2027-10-30T12:00:00Z", 2);
    assert_eq!(autumn, [time("2027-10-31T00:30:00Z"), time("2027-11-01T01:30:00Z")], "the first of the two times, and once");
    let evening = window("Europe/Berlin", &[("0 22 * * *", "8h")]);
    assert_eq!(
        normal(&evening, &[], "2027-03-27T22:00:00Z").next_close_time,
        Some(time("2027-03-28T05:00:00Z")),
        "elapsed time, not what the clock on the wall says"
    );
}

#[test]
fn a_freeze_is_stronger_than_every_window_but_not_than_what_it_excepts() {
    let saturday = window(DEFAULT_ZONE, &[("0 22 * * 6", "6h")]);
    let spring = [freeze("spring-festival-2027", "2027-01-31T16:00:00Z", "2027-02-14T16:00:00Z")];
    let opening = normal(&saturday, &spring, "2027-02-06T15:00:00Z");
    let expected = Opening {
        open: false,
        frozen_by: Some("spring-festival-2027".into()),
        next_open_time: Some(time("2027-02-20T14:00:00Z")),
        next_close_time: Some(time("2027-02-20T20:00:00Z")),
    };
    assert_eq!(opening, expected);
    assert!(saturday.at(ChangeClass::Emergency, &spring, time("2027-02-06T15:00:00Z")).open);
    // One that begins in the middle closes the window there; one that ends in the middle opens it.
    let middle = [freeze("visit", "2026-11-28T15:00:00Z", "2026-11-28T16:00:00Z")];
    assert_eq!(normal(&saturday, &middle, "2026-11-28T14:30:00Z").next_close_time, Some(time("2026-11-28T15:00:00Z")));
    assert_eq!(normal(&saturday, &middle, "2026-11-28T15:30:00Z").next_open_time, Some(time("2026-11-28T16:00:00Z")));
}

#[test]
fn work_that_is_longer_than_what_is_left_of_a_window_waits_for_an_opening_that_is_long_enough() {
    let saturday = window(DEFAULT_ZONE, &[("0 22 * * 6", "6h")]);
    let fits = |freezes: &[Freeze], at: &str, hours| saturday.fits(ChangeClass::Normal, freezes, time(at), SignedDuration::from_hours(hours));
    assert_eq!(fits(&[], "2026-11-28T15:00:00Z", 5), Some(time("2026-11-28T15:00:00Z")), "it is open, and for five hours more");
    assert_eq!(fits(&[], "2026-11-28T15:01:00Z", 5), Some(time("2026-12-05T14:00:00Z")), "a minute too late");
    assert_eq!(fits(&[], "2026-11-25T15:00:00Z", 6), Some(time("2026-11-28T14:00:00Z")));
    assert_eq!(fits(&[], "2026-11-25T15:00:00Z", 7), None, "it is never open for seven hours");
    let visit = [freeze("visit", "2026-11-28T16:00:00Z", "2026-11-28T17:00:00Z")];
    assert_eq!(
        fits(&visit, "2026-11-28T14:00:00Z", 3),
        Some(time("2026-11-28T17:00:00Z")),
        "what a freeze leaves of it is too short before, and long enough after"
    );
}

#[test]
fn a_change_that_does_not_fit_is_told_how_long_it_takes_and_when_it_may_start() {
    let windows = [window(DEFAULT_ZONE, &[("0 22 * * 6", "6h")]), window(DEFAULT_ZONE, &[("0 22 * * 3", "8h")])];
    let access = |at: &str, hours| {
        let zone = TimeZone::get(DEFAULT_ZONE).unwrap();
        Access::of(&windows, ChangeClass::Normal, &[], zone, SignedDuration::from_hours(hours), time(at))
    };
    let says = |at: &str, hours| access(at, hours).block(ChangeClass::Normal, time(at)).map(|block| block.message);
    let starts = |at: &str, hours| access(at, hours).start(ChangeClass::Normal, time(at));
    assert_eq!(says("2026-11-28T15:00:00Z", 5), None);
    assert_eq!(
        says("2026-11-28T16:00:00Z", 5).as_deref(),
        Some(
            "it takes about 5h (by its last backups and what it watches, or its expectedDuration), and the window closes Sun 2026-11-29 04:00: the next opening that is long enough begins Wed 2026-12-02 22:00"
        )
    );
    assert_eq!(says("2026-11-28T13:00:00Z", 7).as_deref(), Some("the window opens Wed 2026-12-02 22:00"));
    assert_eq!(starts("2026-11-28T13:00:00Z", 7), Some(time("2026-12-02T14:00:00Z")), "the window of Wednesday, which is long enough");
    assert_eq!(
        says("2026-11-28T15:00:00Z", 9).as_deref(),
        Some(
            "it takes about 9h (by its last backups and what it watches, or its expectedDuration), and no opening of the window in sight is that long: make it longer, or the work shorter"
        )
    );
    assert_eq!(starts("2026-11-28T15:00:00Z", 9), None);
    assert_eq!(access("2026-11-28T15:00:00Z", 9).block(ChangeClass::Emergency, time("2026-11-28T15:00:00Z")), None, "an emergency waits for no window");
}

#[test]
fn dates_open_once_and_what_is_over_opens_never_again() {
    let mut once = spec(&[]);
    once.dates = vec![OpenDate { start_time: Time(time("2026-12-01T00:00:00Z")), end_time: Time(time("2026-12-01T02:00:00Z")) }];
    let once = Window::parse(&once, DEFAULT_ZONE).unwrap();
    assert!(normal(&once, &[], "2026-12-01T01:00:00Z").open);
    assert_eq!(normal(&once, &[], "2026-12-01T02:00:00Z"), Opening::default());
}

#[test]
fn occurrences_that_overlap_are_one_opening() {
    let overlapping = window(DEFAULT_ZONE, &[("0 20 * * 6", "4h"), ("0 22 * * 6", "6h")]);
    let opening = normal(&overlapping, &[], "2026-11-28T12:00:00Z");
    assert_eq!((opening.open, opening.next_close_time), (true, Some(time("2026-11-28T20:00:00Z"))));
    let always = window(DEFAULT_ZONE, &[("* * * * *", "6h")]);
    assert_eq!(normal(&always, &[], "2026-11-28T12:00:00Z"), Opening { open: true, ..Opening::default() }, "no end is in sight");
}

#[test]
fn what_can_not_be_understood_is_refused_with_what_to_write() {
    for (zone, schedule, duration, words) in [
        ("Mars/Olympus", "0 22 * * 6", "6h", "time zone \"Mars/Olympus\" is unknown"),
        (DEFAULT_ZONE, "0 25 * * 6", "6h", "five fields"),
        (DEFAULT_ZONE, "0 0 22 * * 6", "6h", "five fields"),
        (DEFAULT_ZONE, "every night at ten", "6h", "five fields"),
        (DEFAULT_ZONE, "0 22 * * 6", "0s", "longer than 0s"),
        (DEFAULT_ZONE, "0 22 * * 6", "745h", "at most 744h"),
    ] {
        let error = Window::parse(&spec(&[(schedule, duration)]), zone).unwrap_err().to_string();
        assert!(error.contains(words), "{schedule}: {error}");
    }
}

#[test]
fn a_window_says_when_it_opens_in_its_own_time_zone() {
    let saturday = window(DEFAULT_ZONE, &[("0 22 * * 6", "6h")]);
    let says = |freezes: &[Freeze], at: &str| {
        let update = condition(&saturday.over_all(freezes, time(at)), &saturday.zone);
        (update.reason, update.message)
    };
    assert_eq!(says(&[], "2026-11-24T00:00:00Z"), (Reason::BetweenOccurrences, "opens Sat 2026-11-28 22:00 for 6h".into()));
    assert_eq!(says(&[], "2026-11-28T15:00:00Z"), (Reason::Open, "until Sun 2026-11-29 04:00".into()));
    let visit = [freeze("visit", "2026-11-23T00:00:00Z", "2026-11-28T16:00:00Z")];
    assert_eq!(says(&visit, "2026-11-24T00:00:00Z"), (Reason::Frozen, "freeze visit is in force; opens Sun 2026-11-29 00:00 for 4h".into()));
}

prop_compose! {
    fn schedules()(
        minute in 0..60u8,
        hour in 0..24u8,
        day in prop_oneof![Just("*".to_owned()), (1..32u8).prop_map(|day| day.to_string()), Just("L".to_owned())],
        weekday in prop_oneof![Just("*".to_owned()), (0..7u8).prop_map(|day| day.to_string())],
    ) -> String {
        // Both fields set means either, as in cron; that is another rule than the test's own.
        let weekday = if day == "*" { weekday } else { "*".into() };
        format!("{minute} {hour} {day} * {weekday}")
    }
}

prop_compose! {
    fn freezes()(start in 1_790_000_000i64..1_860_000_000, length in 1i64..3_000_000, emergency in any::<bool>()) -> Freeze {
        let at = |second| Time(Timestamp::from_second(second).unwrap());
        let except = if emergency { vec![ChangeClass::Emergency] } else { vec![] };
        Freeze { name: "freeze".into(), start_time: at(start), end_time: at(start + length), reason: None, except }
    }
}

/// Whether a local time is one that the schedule names: the test's own reading of cron, field by field.
fn is_named(schedule: &str, zoned: &jiff::Zoned) -> bool {
    let fields: Vec<&str> = schedule.split(' ').collect();
    let is = |field: &str, value: i8| field == "*" || field.parse::<i8>() == Ok(value);
    let last = fields[2] == "L" && zoned.day() == zoned.days_in_month();
    is(fields[0], zoned.minute())
        && is(fields[1], zoned.hour())
        && (is(fields[2], zoned.day()) || last)
        && is(fields[4], zoned.weekday().to_sunday_zero_offset())
}

proptest! {
    #[test]
    fn it_is_open_if_and_only_if_inside_an_occurrence_and_no_freeze(schedule in schedules(), hours in 1i64..30, freezes in prop::collection::vec(freezes(), 0..4), at in 1_790_000_000i64..1_850_000_000) {
        let at = Timestamp::from_second(at).unwrap();
        let window = window(DEFAULT_ZONE, &[(&schedule, &format!("{hours}h"))]);
        let frozen = freezes.iter().any(|f| f.start_time.0 <= at && at < f.end_time.0);
        // Every minute in which an occurrence that still lasts can have begun, looked at one by one. Shanghai's clocks were not changed since 1991.
        let minute = at.as_second().div_euclid(60);
        let started = (0..hours * 60).any(|back| is_named(&schedule, &Timestamp::from_second((minute - back) * 60).unwrap().to_zoned(window.zone.clone())));
        let opening = window.at(ChangeClass::Normal, &freezes, at);
        prop_assert_eq!(opening.open, started && !frozen);
        prop_assert_eq!(opening.frozen_by.is_some(), frozen);
    }

    #[test]
    fn the_next_opening_is_never_in_the_past_and_nothing_is_open_before_it(
        schedule in schedules(),
        hours in 1i64..30,
        freezes in prop::collection::vec(freezes(), 0..4),
        at in 1_790_000_000i64..1_850_000_000,
        zone in prop::sample::select(vec!["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    ) {
        let at = Timestamp::from_second(at).unwrap();
        let window = window(zone, &[(&schedule, &format!("{hours}h"))]);
        let open = |moment| window.at(ChangeClass::Normal, &freezes, moment).open;
        let opening = window.at(ChangeClass::Normal, &freezes, at);
        prop_assert!(!opening.open || opening.next_open_time.is_none());
        if let Some(opens) = opening.next_open_time {
            prop_assert!(opens > at && open(opens));
            let between = opens.duration_since(at).as_secs();
            for part in 0..16 {
                let moment = at + SignedDuration::from_secs(between * part / 16);
                prop_assert!(moment >= opens || !open(moment), "open at {}, before {}", moment, opens);
            }
        }
        if let Some(closes) = opening.next_close_time {
            prop_assert!(closes > opening.next_open_time.unwrap_or(at));
            prop_assert!(!open(closes) && open(closes - SignedDuration::from_millis(1)));
        }
    }
}

#[test]
fn fault_e29_whoever_writes_schedules_decides_not_how_long_the_operator_looks() {
    let never: Vec<(&str, &str)> = std::iter::repeat_n([("0 0 31 2 *", "1m"), ("0 0 30 2 *", "1m")], 16).flatten().collect();
    let mut always = never.clone();
    always[0] = ("*/1 * * * *", "744h");
    let mut rarely = never.clone();
    rarely[0] = ("* * * * *", "1m");
    let long = SignedDuration::from_hours(99_999);
    let now = time("2026-11-28T12:00:00Z");
    for (case, recurrences) in [("never", &never), ("always", &always), ("for a minute each minute", &rarely)] {
        let windows: Vec<Window> = (0..50).map(|_| window(DEFAULT_ZONE, recurrences)).collect();
        let began = std::time::Instant::now();
        let access = Access::of(&windows, ChangeClass::Normal, &[], TimeZone::UTC, long, now);
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{case}: {:?}", began.elapsed());
        assert_eq!(access.opening.is_some_and(|opening| opening.open), case != "never", "{case}");
    }
}

#[test]
fn fault_e29_what_is_rare_is_found_all_the_same() {
    let at = "2026-11-28T12:00:00Z";
    for (schedule, opens) in [
        ("0 0 29 2 *", Some("2028-02-28T16:00:00Z")),
        ("0 0 1 1 *", Some("2026-12-31T16:00:00Z")),
        ("0 0 31 2 *", None),
        ("0 3 * 2 1#1", Some("2027-01-31T19:00:00Z")),
    ] {
        assert_eq!(normal(&window(DEFAULT_ZONE, &[(schedule, "1h")]), &[], at).next_open_time, opens.map(time), "{schedule}");
    }
    // A year of nightly openings that are all too short, in five windows.
    let nightly: Vec<Window> = (0..5).map(|_| window(DEFAULT_ZONE, &[("0 22 * * *", "4h")])).collect();
    let access = |hours| Access::of(&nightly, ChangeClass::Normal, &[], TimeZone::UTC, SignedDuration::from_hours(hours), time(at)).fits;
    assert_eq!((access(3), access(5)), (Some(time("2026-11-28T14:00:00Z")), None));
}
