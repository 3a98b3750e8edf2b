//! Who is told of an incident, also when people come and go and clocks are wrong.

use crate::ticket_world::{World, action, after, incident};
use jiff::tz::TimeZone;
use p861_core::maintenance::notify::{self, Outcome};
use p861_crds::{
    Reason,
    maintenance::roster::OnDuty,
    maintenance::ticket::{NotificationState, Priority, TicketActionKind, TicketNotification, TicketPhase},
};
use proptest::prelude::*;

fn on_duty() -> Vec<OnDuty> {
    let level = |level: &str, person: &str, also: Option<&str>| OnDuty {
        level: level.into(),
        person: Some(person.into()),
        also: also.map(str::to_owned),
        until_time: None,
    };
    vec![level("duty", "b", Some("c")), level("leader", "lead", None), level("director", "chief", None)]
}

fn told(notifications: &[TicketNotification], state: NotificationState) -> Vec<String> {
    notifications
        .iter()
        .filter(|notification| notification.state == state)
        .map(|notification| format!("{} by {}", notification.person, notification.channel))
        .collect()
}

#[test]
fn who_is_called_is_told_once_by_each_channel_and_late_if_the_receiver_was_away() {
    let mut world = World::of(incident());
    (world.current, world.channels) = (on_duty(), vec!["message".into(), "mail".into()]);
    world.pass(0);
    assert_eq!(told(&world.status.notifications, NotificationState::Pending), ["b by message", "b by mail", "c by message", "c by mail"]);
    let outcome = |person: &str, channel: &str, minutes: i64, result: Result<(), String>| Outcome {
        person: person.into(),
        channel: channel.into(),
        at: after(minutes),
        result,
    };
    notify::settle(&mut world.status.notifications, &outcome("b", "message", 0, Ok(())));
    notify::settle(&mut world.status.notifications, &outcome("b", "mail", 0, Err("connection refused".into())));
    let again = world.pass(0);
    assert!(again.next.is_some_and(|next| next > after(0) || notify::due(&world.status.notifications, after(0)).count() == 2));
    assert_eq!(notify::due(&world.status.notifications, after(0)).map(|due| due.person.clone()).collect::<Vec<_>>(), ["c", "c"], "what failed waits a little");
    notify::settle(&mut world.status.notifications, &outcome("b", "mail", 9, Ok(())));
    let late: Vec<bool> = world.status.notifications.iter().filter(|known| known.state == NotificationState::Delivered).map(|known| known.late).collect();
    assert_eq!(late, [false, true]);
    notify::settle(&mut world.status.notifications, &outcome("b", "mail", 9, Err("again".into())));
    assert_eq!(told(&world.status.notifications, NotificationState::Delivered).len(), 2, "what was delivered stays delivered");
    world.pass(10);
    assert!(told(&world.status.notifications, NotificationState::Pending).contains(&"lead by mail".to_owned()), "the next level");
    world.act(11, action(TicketActionKind::Acknowledge, "b"));
    assert_eq!(told(&world.status.notifications, NotificationState::Pending), Vec::<String>::new(), "nobody waits for it any more");
    assert_eq!(notify::next(&world.status.notifications), None);
}

#[test]
fn a_message_says_what_where_who_and_that_it_is_late() {
    let mut world = World::of(incident());
    (world.current, world.channels) = (on_duty(), vec!["mail".into()]);
    world.pass(0);
    let notification = &world.status.notifications[0];
    let message = |minutes| notify::message("inc-1", &world.spec, Some(Priority::P1), notification, Some("https://hub/ack/x"), &TimeZone::UTC, after(minutes));
    let on_time = message(0);
    assert_eq!(on_time.subject, "[P1] Site unreachable");
    assert!(on_time.body.contains("https://hub/ack/x") && on_time.body.contains("inc-1") && !on_time.body.contains("LATE"), "{}", on_time.body);
    assert!(message(30).subject.contains("LATE") && message(30).body.contains("2026-12-07 19:06:12"), "{:?}", message(30));
}

#[test]
fn fault_h27_a_message_says_all_in_chinese_and_in_english_and_quotes_a_title_that_has_only_one() {
    let mut world = World::of(incident());
    (world.current, world.channels) = (on_duty(), vec!["mail".into()]);
    world.pass(0);
    world.spec.incident.as_mut().unwrap().runbook = Some("P861SiteUnreachable".into());
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let message = |spec: &_| notify::message("inc-1", spec, Some(Priority::P1), &world.status.notifications[0], None, &zone, after(30));
    let text = message(&world.spec);
    assert_eq!(text.subject, "【延迟 LATE】[P1] Site unreachable");
    let lines = [
        "【延迟】本应于 2026-12-08 03:06:12 +08:00 送达。/ LATE: it should have come at 2026-12-08 03:06:12 +08:00.",
        "工单 inc-1 · P1 · “Site unreachable”",
        "Ticket inc-1 · P1 · Site unreachable",
        "处置手册 / runbook: P861SiteUnreachable",
        "呼叫级别 / level: duty",
        "响应 / acknowledge: p861 ticket ack inc-1",
    ];
    assert_eq!(text.body.lines().collect::<Vec<_>>(), lines);
    world.spec.title.zh = Some("站点失联".into());
    let text = message(&world.spec);
    assert_eq!(text.subject, "【延迟 LATE】[P1] 站点失联");
    assert!(text.body.contains("工单 inc-1 · P1 · 站点失联\nTicket inc-1 · P1 · Site unreachable\n"), "{}", text.body);
}

#[test]
fn a_mail_address_can_not_end_a_line_of_a_mail_or_of_smtp() {
    for (address, good) in [
        ("a@b.example", true),
        (" a@b ", true),
        ("a", false),
        ("a@b\r\nRCPT TO:<c@d>", false),
        ("a@b\nBcc: c@d", false),
        ("a\u{85}@b", false),
        ("\"a b\"@c", false),
        ("<a@b>", false),
        ("a b@c", false),
        ("a@b,c@d", false),
        ("@b", false),
        ("a@", false),
        (&format!("{}@b", "a".repeat(300)), false),
    ] {
        assert_eq!(notify::mail_address(address).is_some(), good, "{address:?}");
    }
}

#[test]
fn whoever_leaves_the_roster_is_not_waited_for_and_whoever_comes_is_told() {
    let mut world = World::of(incident());
    (world.current, world.channels) = (on_duty(), vec!["message".into()]);
    world.pass(0);
    assert_eq!(told(&world.status.notifications, NotificationState::Pending), ["b by message", "c by message"]);
    // b is no more, n has come, c is still there.
    world.current[0].person = Some("n".into());
    world.pass(1);
    assert_eq!(told(&world.status.notifications, NotificationState::Pending), ["c by message", "n by message"]);
    let gone = world.status.notifications.iter().find(|known| known.person == "b").unwrap();
    assert_eq!((gone.state, gone.message.as_deref(), gone.next_time.as_ref()), (NotificationState::Dropped, Some("not on duty any more"), None));
    // Nobody at all is no reason to forget who was called.
    (world.current[0].person, world.current[0].also) = (None, None);
    world.pass(2);
    assert_eq!(told(&world.status.notifications, NotificationState::Pending), ["c by message", "n by message"]);
    world.current = on_duty();
    world.pass(3);
    assert_eq!(told(&world.status.notifications, NotificationState::Pending), ["b by message", "c by message"], "b is back, and told");
}

proptest! {
    /// Whatever the clock says from pass to pass: nobody is told twice, no level is called twice, and nothing but the word of a person moves the ticket.
    #[test]
    fn a_clock_that_jumps_tells_nobody_twice(minutes in prop::collection::vec(-20_000i64..2_000_000, 1..12)) {
        let mut world = World::of(incident());
        (world.current, world.channels) = (on_duty(), vec!["message".into()]);
        let mut escalated = std::collections::BTreeMap::<String, usize>::new();
        for minute in minutes {
            for happened in world.pass(minute).happened.into_iter().filter(|happened| happened.reason == Reason::Escalated) {
                *escalated.entry(happened.note).or_default() += 1;
            }
            prop_assert_eq!(world.phase(), TicketPhase::Open);
            let mut people: Vec<&str> = world.status.notifications.iter().map(|known| known.person.as_str()).collect();
            people.sort_unstable();
            people.dedup();
            prop_assert_eq!(people.len(), world.status.notifications.len());
        }
        prop_assert!(escalated.values().all(|times| *times == 1), "{:?}", escalated);
        world.act(2_000_001, action(TicketActionKind::Acknowledge, "b"));
        prop_assert_eq!(world.phase(), TicketPhase::Acknowledged);
    }
}
