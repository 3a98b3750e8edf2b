//! Blockers of a change.

use crate::{
    ids::SiteName,
    maintenance::window::{Budget, Opening, Window, freeze_at},
    shown,
    time::{human_duration, whole_seconds},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use p861_crds::{
    Application, Backup, ConditionType, Drill, MaintenanceTicket, Reason, RecoveryPlan,
    maintenance::{
        change::Change,
        ticket::{Affected, AlertState, TicketAlert, TicketPhase},
        window::{ChangeClass, Freeze},
    },
    names::TICKET_LABEL,
    recovery::drill::DrillType,
};
use std::collections::BTreeSet;

/// Why a change may not start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockReason {
    /// A freeze is in force.
    Frozen,
    /// No window is open.
    OutsideWindow,
    /// A drill uses what it affects.
    DrillRunning,
    /// A backup reads what it affects.
    BackupRunning,
    /// An alert fires on what it affects.
    AlertFiring,
    /// What it affects is not healthy to begin with.
    PreCheckFailed,
}

impl From<BlockReason> for Reason {
    fn from(reason: BlockReason) -> Self {
        match reason {
            BlockReason::Frozen => Self::Frozen,
            BlockReason::OutsideWindow => Self::OutsideWindow,
            BlockReason::DrillRunning => Self::DrillRunning,
            BlockReason::BackupRunning => Self::BackupRunning,
            BlockReason::AlertFiring => Self::AlertFiring,
            BlockReason::PreCheckFailed => Self::PreCheckFailed,
        }
    }
}

/// Something in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Why.
    pub reason: BlockReason,
    /// What exactly, and what to do.
    pub message: String,
}

/// State of the maintenance windows for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether a window that is for it is open, and when that changes; none if there is no such window.
    pub opening: Option<Opening>,
    /// When a window is open for as long as the change takes: now, later, or never as far as can be seen.
    pub fits: Option<Timestamp>,
    /// How long the change takes; nothing once it has begun.
    pub takes: SignedDuration,
    /// A freeze of its class that is in force, whether there is a window or not.
    pub freeze: Option<String>,
    /// Where times are shown.
    pub zone: TimeZone,
}

impl Access {
    /// The windows' answer at `now` to a change of the class that takes so long. Of several windows the one counts that is open, or else lets it start first.
    pub fn of(windows: &[Window], class: ChangeClass, freezes: &[Freeze], zone: TimeZone, takes: SignedDuration, now: Timestamp) -> Self {
        let look = |window: &Window| {
            let budget = || Budget::of_each(windows.len());
            (window.at_within(class, freezes, now, &budget()), window.fits_within(class, freezes, now, takes, &budget()))
        };
        let looked: Vec<(Opening, Option<Timestamp>)> = windows.iter().map(look).collect();
        let fits = looked.iter().filter_map(|(_, fits)| *fits).min();
        let first =
            looked.into_iter().min_by_key(|(opening, fits)| (!opening.open, fits.unwrap_or(Timestamp::MAX), opening.next_open_time.unwrap_or(Timestamp::MAX)));
        let opening = first.map(|(opening, _)| opening);
        Self { opening, fits, takes, freeze: freeze_at(freezes, class, now).map(|freeze| freeze.name.clone()), zone }
    }

    /// When a change of the class may start: now, later, or never as things stand.
    pub fn start(&self, class: ChangeClass, now: Timestamp) -> Option<Timestamp> {
        match class {
            ChangeClass::Emergency => Some(now),
            ChangeClass::Standard | ChangeClass::Normal => self.fits.map(|fits| fits.max(now)),
        }
    }

    /// What of it is in the way at `now`.
    pub fn block(&self, class: ChangeClass, now: Timestamp) -> Option<Block> {
        let opens = self.opening.as_ref().and_then(|opening| opening.next_open_time).map(|opens| self.local(opens));
        if let Some(freeze) = &self.freeze {
            let then = opens.map(|opens| format!("; the window opens {opens}")).unwrap_or_default();
            return Some(Block { reason: BlockReason::Frozen, message: format!("freeze {freeze} is in force{then}") });
        }
        let message = match (class, &self.opening) {
            (ChangeClass::Emergency, _) => return None,
            (ChangeClass::Standard | ChangeClass::Normal, Some(opening)) if opening.open && self.fits.is_some_and(|fits| fits <= now) => return None,
            (ChangeClass::Standard | ChangeClass::Normal, Some(opening)) => self.too_early(opening),
            (ChangeClass::Standard | ChangeClass::Normal, None) => {
                format!("no window is for {class} changes, or the one that is named isn't there: p861 window list")
            }
        };
        Some(Block { reason: BlockReason::OutsideWindow, message })
    }

    fn local(&self, time: Timestamp) -> String {
        shown::weekday_and_minute(time, &self.zone)
    }

    /// Why a window lets it not start now, and when it does.
    fn too_early(&self, opening: &Opening) -> String {
        let takes = format!("{} (by its last backups and what it watches, or its expectedDuration)", human_duration(whole_seconds(self.takes)));
        match (opening.open, opening.next_open_time, self.fits) {
            (false, None, _) => "the window never opens again".to_owned(),
            (false, Some(opens), Some(fits)) if fits <= opens => format!("the window opens {}", self.local(opens)),
            (true, _, Some(fits)) => {
                let closes = opening.next_close_time.map(|closes| format!(", and the window closes {}", self.local(closes))).unwrap_or_default();
                format!("it takes about {takes}{closes}: the next opening that is long enough begins {}", self.local(fits))
            }
            (false, _, Some(fits)) => format!("it takes about {takes}: the first opening that is long enough begins {}", self.local(fits)),
            (_, _, None) => format!("it takes about {takes}, and no opening of the window in sight is that long: make it longer, or the work shorter"),
        }
    }
}

/// What else there is in the district.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours<'a> {
    /// Drills.
    pub drills: &'a [Drill],
    /// Plans, which say what a drill uses.
    pub plans: &'a [RecoveryPlan],
    /// Backups.
    pub backups: &'a [Backup],
    /// Tickets, whose alerts may fire.
    pub tickets: &'a [MaintenanceTicket],
    /// Applications.
    pub applications: &'a [Application],
}

/// Blockers of a change other than windows.
pub fn obstacles(ticket: &str, affects: &Affected, change: &Change, around: &Neighbours<'_>) -> Vec<Block> {
    let affected: BTreeSet<&str> = affects.application_refs.iter().map(|application| application.name.as_str()).collect();
    let sites: BTreeSet<&str> = affects.site_refs.iter().map(|site| site.name.as_str()).collect();
    let mut found = Vec::new();
    // A tabletop touches nothing.
    let touching = around.drills.iter().filter(|drill| drill.spec.r#type != DrillType::Tabletop);
    for drill in touching.filter(|drill| drill.status.as_ref().and_then(|status| status.phase).is_none_or(|phase| !phase.is_end())) {
        let plan = around.plans.iter().find(|plan| plan.metadata.name.as_ref() == Some(&drill.spec.plan_ref.name));
        let uses = plan
            .into_iter()
            .flat_map(|plan| &plan.spec.groups)
            .flat_map(|group| &group.members)
            .any(|member| affected.contains(member.application_ref.name.as_str()));
        if uses {
            found.push(Block {
                reason: BlockReason::DrillRunning,
                message: format!(
                    "drill {name} uses what it affects: wait for its end, or p861 drill abort {name}",
                    name = named(drill.metadata.name.as_deref())
                ),
            });
        }
    }
    let runs = around.backups.iter().filter(|backup| backup.status.as_ref().and_then(|status| status.phase).is_none_or(|phase| !phase.is_end()));
    // The one that is taken before this very change is part of it.
    let own = |backup: &&Backup| backup.metadata.labels.as_ref().and_then(|labels| labels.get(TICKET_LABEL)).is_some_and(|of| of == ticket);
    for backup in runs.filter(|backup| affected.contains(backup.spec.application_ref.name.as_str()) && !own(backup)) {
        found.push(Block {
            reason: BlockReason::BackupRunning,
            message: format!("backup {} reads what it affects: wait for its end", named(backup.metadata.name.as_deref())),
        });
    }
    let others = around.tickets.iter().filter(|other| {
        other.metadata.name.as_deref() != Some(ticket) && other.status.as_ref().and_then(|status| status.phase).is_none_or(|phase| !phase.is_end())
    });
    let touching = others.filter(|other| {
        let theirs = &other.spec.affects;
        theirs.application_refs.iter().any(|application| affected.contains(application.name.as_str()))
            || theirs.site_refs.iter().any(|site| sites.contains(site.name.as_str()))
    });
    for other in touching {
        let fires = |alert: &&TicketAlert| {
            alert.state == AlertState::Firing && change.blocking_alerts.iter().any(|blocking| alert.severity.as_deref() == Some(blocking.severity.as_str()))
        };
        if let Some(alert) = other.status.iter().flat_map(|status| &status.alerts).find(fires) {
            found.push(Block {
                reason: BlockReason::AlertFiring,
                message: format!("{} fires (ticket {}): mend that first", alert.alert_name, named(other.metadata.name.as_deref())),
            });
        }
    }
    for application in around.applications.iter().filter(|application| application.metadata.name.as_deref().is_some_and(|name| affected.contains(name))) {
        let healthy = application.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == ConditionType::Healthy);
        if healthy.is_some_and(|condition| condition.status == "False") {
            found.push(Block {
                reason: BlockReason::PreCheckFailed,
                message: format!("application {} is not healthy to begin with: p861 app status {0}", named(application.metadata.name.as_deref())),
            });
        }
    }
    found
}

/// The running change, if any, that blocks a drill of these applications on this site: a drill needs a stable state.
pub fn change_under_way<'a>(tickets: &'a [MaintenanceTicket], applications: &[&str], site: &SiteName) -> Option<&'a MaintenanceTicket> {
    // One that is suspended in the middle of its steps is under way all the same.
    let works = |ticket: &&MaintenanceTicket| {
        ticket.status.as_ref().is_some_and(|status| {
            matches!(status.phase, Some(TicketPhase::InProgress | TicketPhase::Verifying)) || status.work_phase.is_some_and(|phase| !phase.is_end())
        })
    };
    let touches = |ticket: &&MaintenanceTicket| {
        let affects = &ticket.spec.affects;
        let drained = ticket.spec.change.as_ref().and_then(|change| change.work.drain_node.as_ref()).map(|drain| drain.site_ref.name.as_str());
        affects.application_refs.iter().any(|application| applications.contains(&application.name.as_str()))
            || affects.site_refs.iter().map(|site| site.name.as_str()).chain(drained).any(|theirs| *site == theirs)
    };
    tickets.iter().filter(|ticket| ticket.spec.change.is_some()).find(|ticket| works(ticket) && touches(ticket))
}

fn named(name: Option<&str>) -> &str {
    name.unwrap_or_default()
}
