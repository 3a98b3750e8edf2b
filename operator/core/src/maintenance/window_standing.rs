//! How a window stands: whether it is open, until when, and what people are told when that changes.

use super::window::{Window, condition};
use crate::conditions::{ConditionUpdate, ObjectEvent};
use jiff::Timestamp;
use p861_crds::{
    Condition, ConditionType, MaintenanceWindow, Reason, Time,
    maintenance::window::{Freeze, MaintenanceWindowSpec},
};

/// How a window stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowStanding {
    /// When it opens next; none if it is open, or never opens again.
    pub next_open_time: Option<Time>,
    /// When it closes next; none if it never does.
    pub next_close_time: Option<Time>,
    /// Condition Open.
    pub open: ConditionUpdate,
    /// When this changes.
    pub next_change: Option<Timestamp>,
}

/// How a window stands at `now`. `freezes` are those of all windows that hold for it.
pub fn standing(spec: &MaintenanceWindowSpec, default_zone: &str, freezes: &[Freeze], now: Timestamp) -> WindowStanding {
    match Window::parse(spec, default_zone) {
        Ok(parsed) => {
            let opening = parsed.over_all(freezes, now);
            WindowStanding {
                next_open_time: opening.next_open_time.map(Time),
                next_close_time: opening.next_close_time.map(Time),
                open: condition(&opening, &parsed.zone),
                next_change: opening.next_change(),
            }
        }
        Err(error) => WindowStanding {
            next_open_time: None,
            next_close_time: None,
            open: ConditionUpdate::bad(ConditionType::Open, Reason::Invalid, error.to_string()),
            next_change: None,
        },
    }
}

/// What people are told when the window opens or a freeze begins; nothing while its condition keeps its reason.
pub fn turn(before: &[Condition], open: &ConditionUpdate) -> Option<ObjectEvent> {
    let told = before.iter().any(|condition| condition.type_ == open.kind && condition.reason == open.reason);
    let reason = match open.reason {
        Reason::Open => Reason::WindowOpened,
        Reason::Frozen => Reason::FreezeStarted,
        _ => return None,
    };
    (!told).then(|| ObjectEvent { reason, note: open.message.clone(), warning: false })
}

/// All freezes of these windows.
pub fn freezes_of(windows: &[MaintenanceWindow]) -> Vec<Freeze> {
    windows.iter().flat_map(|window| window.spec.freezes.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conditions::apply, maintenance::window::DEFAULT_ZONE};
    use serde_json::json;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn spec(schedule: &str) -> MaintenanceWindowSpec {
        serde_json::from_value(json!({"changeClasses": ["Normal"], "recurrences": [{"schedule": schedule, "duration": "6h"}]})).expect("a window")
    }

    fn freeze() -> Freeze {
        serde_json::from_value(json!({"name": "festival", "startTime": "2026-11-28T15:00:00Z", "endTime": "2026-11-28T16:00:00Z"})).expect("a freeze")
    }

    #[test]
    fn a_window_stands_open_frozen_closed_or_invalid() {
        for (schedule, at, reason, changes) in [
            ("0 22 * * 6", "2026-11-28T13:00:00Z", "BetweenOccurrences", Some("2026-11-28T14:00:00Z")),
            ("0 22 * * 6", "2026-11-28T14:00:00Z", "Open", Some("2026-11-28T15:00:00Z")),
            ("0 22 * * 6", "2026-11-28T15:30:00Z", "Frozen", Some("2026-11-28T16:00:00Z")),
            ("never", "2026-11-28T15:30:00Z", "Invalid", None),
        ] {
            let stands = standing(&spec(schedule), DEFAULT_ZONE, &[freeze()], time(at));
            assert_eq!((stands.open.reason.as_str(), stands.next_change), (reason, changes.map(time)), "{schedule} at {at}");
            assert_eq!(stands.next_close_time.is_some(), reason != "Invalid", "{schedule} at {at}");
        }
    }

    #[test]
    fn people_are_told_once_that_a_window_opens_or_a_freeze_begins() {
        let open = ConditionUpdate::good(ConditionType::Open, Reason::Open, "until Sunday");
        let frozen = ConditionUpdate::bad(ConditionType::Open, Reason::Frozen, "freeze festival is in force");
        let closed = ConditionUpdate::bad(ConditionType::Open, Reason::BetweenOccurrences, "opens Saturday");
        for (before, after, told) in [
            (None, &open, Some("WindowOpened")),
            (Some(&closed), &open, Some("WindowOpened")),
            (Some(&open), &open, None),
            (Some(&open), &frozen, Some("FreezeStarted")),
            (Some(&frozen), &closed, None),
            (None, &closed, None),
        ] {
            let before = before.map(|before| apply(&[], std::slice::from_ref(before), None, time("2026-11-28T00:00:00Z"))).unwrap_or_default();
            assert_eq!(turn(&before, after).as_ref().map(|happened| happened.reason.as_str()), told, "{before:?} {after:?}");
        }
    }
}
