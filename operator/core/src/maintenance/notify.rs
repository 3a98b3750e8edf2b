//! Notifications of an incident: recipients, channels, retries, and text.
//!
//! Each person gets one message per channel. Failed deliveries are retried and marked late; they are dropped once the ticket is acknowledged.

use super::ticket::clocks::Level;
use crate::{shown, time::after};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    LocalizedText, MaintenanceTicketSpec, Time,
    maintenance::{
        roster::OnDuty,
        ticket::{NotificationState, Priority, TicketNotification},
    },
};
use std::fmt::Write as _;

/// A message delivered later than this after its due time is marked late.
const LATE: SignedDuration = SignedDuration::from_mins(2);
/// How long after a failed attempt the next one follows.
const WAITS: [i64; 6] = [5, 15, 30, 60, 120, 300];

/// Adds messages to everybody on duty on the called levels. `channels` are the roster's. Pending messages to people who are no longer on duty there are dropped; if
/// they return before the ticket is acknowledged, they are notified again.
pub fn call(notifications: &mut Vec<TicketNotification>, current: &[OnDuty], levels: &[Level], called_last: &str, channels: &[String], now: Timestamp) {
    let last = levels.iter().position(|level| level.name == called_last).unwrap_or(0);
    relieve(notifications, current, now);
    for level in levels.iter().take(last + 1) {
        let people = current.iter().filter(|duty| duty.level == level.name).flat_map(|duty| [duty.person.as_ref(), duty.also.as_ref()]).flatten();
        for person in people {
            for channel in channels {
                match notifications.iter_mut().find(|known| known.person == *person && known.channel == *channel) {
                    Some(known) if known.state == NotificationState::Dropped => {
                        (known.state, known.time, known.due_time, known.next_time) = (NotificationState::Pending, Time(now), Time(now), Some(Time(now)));
                        (known.attempts, known.message) = (0, None);
                        continue;
                    }
                    Some(_) => continue,
                    None => {}
                }
                notifications.push(TicketNotification {
                    person: person.clone(),
                    channel: channel.clone(),
                    level: level.name.clone(),
                    state: NotificationState::Pending,
                    time: Time(now),
                    due_time: Time(now),
                    attempts: 0,
                    next_time: Some(Time(now)),
                    late: false,
                    message: None,
                });
            }
        }
    }
}

/// Drops pending messages to people who are no longer on duty on the level, unless nobody else is on duty there.
fn relieve(notifications: &mut [TicketNotification], current: &[OnDuty], now: Timestamp) {
    for notification in notifications.iter_mut().filter(|notification| notification.state == NotificationState::Pending) {
        let people = || current.iter().flat_map(|duty| [duty.person.as_ref(), duty.also.as_ref()]).flatten();
        let covered = current.iter().any(|duty| duty.level == notification.level && duty.person.is_some());
        if covered && !people().any(|person| *person == notification.person) {
            notification.state = NotificationState::Dropped;
            notification.time = Time(now);
            notification.next_time = None;
            notification.message = Some("not on duty any more".into());
        }
    }
}

/// Drops pending messages once the ticket is acknowledged or closed.
pub fn drop_pending(notifications: &mut [TicketNotification], now: Timestamp) {
    for notification in notifications.iter_mut().filter(|notification| notification.state == NotificationState::Pending) {
        notification.state = NotificationState::Dropped;
        notification.time = Time(now);
        notification.next_time = None;
    }
}

/// Outcome of an attempt to deliver a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// To whom.
    pub person: String,
    /// By which channel.
    pub channel: String,
    /// When.
    pub at: Timestamp,
    /// Nothing, or why not.
    pub result: Result<(), String>,
}

/// Records the outcome of an attempt, at most once.
pub fn settle(notifications: &mut [TicketNotification], outcome: &Outcome) {
    let found = notifications
        .iter_mut()
        .find(|known| known.person == outcome.person && known.channel == outcome.channel && known.state != NotificationState::Delivered);
    let Some(notification) = found else { return };
    notification.attempts += 1;
    match &outcome.result {
        Ok(()) => {
            notification.state = NotificationState::Delivered;
            notification.time = Time(outcome.at);
            notification.late = outcome.at.duration_since(notification.due_time.0) > LATE;
            notification.next_time = None;
            notification.message = None;
        }
        Err(why) => {
            let wait = WAITS[usize::try_from(notification.attempts - 1).unwrap_or(0).min(WAITS.len() - 1)];
            if notification.state == NotificationState::Pending {
                notification.next_time = Some(Time(after(outcome.at, SignedDuration::from_secs(wait))));
            }
            notification.message = Some(crate::conditions::shorten(why, 256));
        }
    }
}

/// Those whose time has come.
pub fn due(notifications: &[TicketNotification], now: Timestamp) -> impl Iterator<Item = &TicketNotification> {
    notifications
        .iter()
        .filter(move |notification| notification.state == NotificationState::Pending && notification.next_time.as_ref().is_none_or(|next| next.0 <= now))
}

/// When the next one's time comes.
pub fn next(notifications: &[TicketNotification]) -> Option<Timestamp> {
    notifications
        .iter()
        .filter(|notification| notification.state == NotificationState::Pending)
        .filter_map(|notification| notification.next_time.as_ref())
        .map(|time| time.0)
        .min()
}

/// The text of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageText {
    /// In a line.
    pub subject: String,
    /// All of it, Chinese first.
    pub body: String,
}

/// The message of a ticket to a person.
pub fn message(
    name: &str,
    spec: &MaintenanceTicketSpec,
    priority: Option<Priority>,
    notification: &TicketNotification,
    link: Option<&str>,
    zone: &TimeZone,
    now: Timestamp,
) -> MessageText {
    let priority = priority.map_or_else(String::new, |priority| format!("{priority:?}"));
    let (zh, en) = (in_language(&spec.title, "zh"), in_language(&spec.title, "en"));
    let local = |time: Timestamp| format!("{} {}", shown::second(time, zone), shown::offset(time, zone));
    let incident = spec.incident.as_ref();
    let late = now.duration_since(notification.due_time.0) > LATE;
    let mut body = String::new();
    if late {
        let _ = writeln!(body, "【延迟】本应于 {} 送达。/ LATE: it should have come at {}.", local(notification.due_time.0), local(notification.due_time.0));
    }
    let _ = writeln!(body, "工单 {name} · {priority} · {zh}\nTicket {name} · {priority} · {en}");
    if let Some(start) = incident.and_then(|incident| incident.start_time.as_ref()) {
        let _ = writeln!(body, "开始 / since: {}", local(start.0));
    }
    if let Some(runbook) = incident.and_then(|incident| incident.runbook.as_ref()) {
        let _ = writeln!(body, "处置手册 / runbook: {runbook}");
    }
    let _ = writeln!(body, "呼叫级别 / level: {}", notification.level);
    match link {
        Some(link) => {
            let _ = writeln!(body, "响应（仅限本人，一次有效）/ acknowledge (for you only, once): {link}");
        }
        None => {
            let _ = writeln!(body, "响应 / acknowledge: p861 ticket ack {name}");
        }
    }
    MessageText { subject: format!("{}[{priority}] {}", if late { "【延迟 LATE】" } else { "" }, spec.title.in_language("zh")), body }
}

/// A person's text in a language; what is there in the other one only is quoted.
fn in_language(text: &LocalizedText, language: &str) -> String {
    let own = if language == "zh" { &text.zh } else { &text.en };
    own.clone().unwrap_or_else(|| format!("“{}”", text.in_language(language)))
}

/// The daily test message.
pub fn test_message(roster: &str, now: Timestamp, zone: &TimeZone) -> MessageText {
    let day = shown::day(now, zone);
    MessageText {
        subject: format!("[测试 TEST] {roster} {day}"),
        body: format!("这是值班表 {roster} 的每日测试消息，无需处理。\nThis is the daily test message of roster {roster}. Nothing needs to be done.\n"),
    }
}

/// The bare address of `name@host`; none if it is not one, or holds what could end a line of a mail or of SMTP.
pub fn mail_address(text: &str) -> Option<&str> {
    let text = text.trim();
    let (name, host) = text.rsplit_once('@')?;
    let harmless = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '(' | ')' | ',' | ';' | ':' | '\\' | '[' | ']'));
    (harmless && !name.is_empty() && !host.is_empty() && text.len() <= 254).then_some(text)
}

/// A text as one line of a mail: control characters and line separators become blanks, one for several.
pub fn mail_line(text: &str) -> String {
    text.split(is_break).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A text as lines of a mail: every end of a line is `\n`, and no other control character is left.
pub fn mail_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| {
            if c == '\n' || c == '\r' {
                '\n'
            } else if c != '\t' && is_break(c) {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// What ends a line somewhere, or means nothing in a text.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}
