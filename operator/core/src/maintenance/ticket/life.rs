//! The state machine of a ticket: one total function over (phase, event).

use p861_crds::maintenance::ticket::{TicketActionKind, TicketPhase, TicketType};

/// What happens to a ticket: what people do, and what the world does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A person has it.
    Acknowledge,
    /// A person gives it to somebody.
    Assign,
    /// A person remembers something.
    Note,
    /// A person says how it is done.
    Plan,
    /// Work begins.
    Start,
    /// Work is done.
    Done,
    /// It was taken back.
    RollBack,
    /// It is over.
    Resolve,
    /// Nothing happens for now.
    Suspend,
    /// It goes on.
    Resume,
    /// It was not over.
    Reopen,
    /// It will not be done.
    Cancel,
    /// How it is done stands in the spec.
    Compiled,
    /// Enough people agreed.
    Agreed,
    /// They don't any more.
    AgreementLost,
    /// It is known when it may start.
    Scheduled,
    /// When it may start is not known any more.
    ScheduleLost,
    /// None of its alerts fires any more.
    AlertsResolved,
    /// One of the alerts that closed it fires again.
    AlertsAgain,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Acknowledge,
        Self::Assign,
        Self::Note,
        Self::Plan,
        Self::Start,
        Self::Done,
        Self::RollBack,
        Self::Resolve,
        Self::Suspend,
        Self::Resume,
        Self::Reopen,
        Self::Cancel,
        Self::Compiled,
        Self::Agreed,
        Self::AgreementLost,
        Self::Scheduled,
        Self::ScheduleLost,
        Self::AlertsResolved,
        Self::AlertsAgain,
    ];
}

impl From<TicketActionKind> for Event {
    fn from(action: TicketActionKind) -> Self {
        match action {
            TicketActionKind::Acknowledge => Self::Acknowledge,
            TicketActionKind::Assign => Self::Assign,
            TicketActionKind::Note => Self::Note,
            TicketActionKind::Plan => Self::Plan,
            TicketActionKind::Start => Self::Start,
            TicketActionKind::Done => Self::Done,
            TicketActionKind::RollBack => Self::RollBack,
            TicketActionKind::Resolve => Self::Resolve,
            TicketActionKind::Suspend => Self::Suspend,
            TicketActionKind::Resume => Self::Resume,
            TicketActionKind::Reopen => Self::Reopen,
            TicketActionKind::Cancel => Self::Cancel,
        }
    }
}

/// Where an event leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// To another phase, or into the same one anew.
    Go(TicketPhase),
    /// Nowhere: it is noted, or it changes nothing.
    Stay,
    /// It is not possible; what to do instead.
    Refuse(&'static str),
}

const NOT_SUSPENDED: Course = Course::Refuse("it is not suspended");
const NOT_ENDED: Course = Course::Refuse("it has not ended: there is nothing to reopen");
const ENDED: Course = Course::Refuse("it has ended: Reopen it first");
const NOT_STARTED: Course = Course::Refuse("work has not begun: Start it first");
const NOT_READY: Course = Course::Refuse("a change starts when it is planned, approved and scheduled: its page says what is missing");
const NOT_DONE: Course = Course::Refuse("a change is resolved after its work: Start and Done first, or Cancel it");
const UNDER_WAY: Course = Course::Refuse("work is under way: RollBack, or Done");
const NO_CHANGE: Course = Course::Refuse("an incident has no plan to approve or to take back: add a Note");

/// Where `event` leads a ticket of that kind. `before` is the phase in which a suspended ticket is resumed, and one that its alerts closed goes on.
#[expect(clippy::match_same_arms, reason = "the table is read by phase and event; arms that happen to lead to the same place are different rules")]
pub fn next(kind: TicketType, phase: TicketPhase, before: Option<TicketPhase>, event: Event) -> Course {
    use Course::{Go, Refuse, Stay};
    use TicketPhase::{Acknowledged, Approved, Cancelled, Closed, InProgress, Open, Planned, RolledBack, Scheduled, Suspended, Verifying};
    let change = |course: Course, incident: Course| match kind {
        TicketType::Change => course,
        TicketType::Incident => incident,
    };
    match (phase, event) {
        // What can always be noted.
        (Open | Acknowledged | Planned | Approved | Scheduled | InProgress | Verifying | Closed | Suspended | RolledBack | Cancelled, Event::Note) => Stay,
        (Open | Acknowledged | Planned | Approved | Scheduled | InProgress | Verifying | Suspended, Event::Assign) => Stay,

        (Open, Event::Acknowledge) => Go(Acknowledged),
        // A second one changes who has it.
        (Acknowledged | Planned | Approved | Scheduled | InProgress | Verifying | Suspended, Event::Acknowledge) => Stay,

        // Another plan needs another agreement.
        (Open | Acknowledged | Planned | Approved | Scheduled, Event::Plan) => change(Go(Planned), NO_CHANGE),
        (Open | Acknowledged, Event::Compiled) => change(Go(Planned), Stay),
        (Planned | Approved | Scheduled | InProgress | Verifying | Closed | Suspended | RolledBack | Cancelled, Event::Compiled) => Stay,
        (InProgress | Verifying, Event::Plan) => change(UNDER_WAY, NO_CHANGE),
        (Suspended, Event::Plan) => change(Refuse("it is suspended: Resume it first"), NO_CHANGE),

        (Planned, Event::Agreed) => Go(Approved),
        (Open | Acknowledged | Approved | Scheduled | InProgress | Verifying | Closed | Suspended | RolledBack | Cancelled, Event::Agreed) => Stay,
        (Approved | Scheduled, Event::AgreementLost) => Go(Planned),
        // Work that has begun is not stopped by it: a person decides between RollBack and Done.
        (Open | Acknowledged | Planned | InProgress | Verifying | Closed | Suspended | RolledBack | Cancelled, Event::AgreementLost) => Stay,
        (Approved, Event::Scheduled) => Go(Scheduled),
        (Open | Acknowledged | Planned | Scheduled | InProgress | Verifying | Closed | Suspended | RolledBack | Cancelled, Event::Scheduled) => Stay,
        (Scheduled, Event::ScheduleLost) => Go(Approved),
        (Open | Acknowledged | Planned | Approved | InProgress | Verifying | Closed | Suspended | RolledBack | Cancelled, Event::ScheduleLost) => Stay,

        (Open | Acknowledged | Planned | Approved, Event::Start) => change(NOT_READY, Go(InProgress)),
        (Scheduled | Verifying, Event::Start) => Go(InProgress),
        (InProgress, Event::Start) => Refuse("work has begun already"),
        (InProgress, Event::Done) => Go(Verifying),
        (Verifying, Event::Done) => Refuse("work is done already: Resolve it if it was good, Start it again if not"),
        (Open | Acknowledged | Planned | Approved | Scheduled, Event::Done) => NOT_STARTED,
        (InProgress | Verifying, Event::RollBack) => change(Go(RolledBack), NO_CHANGE),
        (Open | Acknowledged | Planned | Approved | Scheduled, Event::RollBack) => change(NOT_STARTED, NO_CHANGE),
        (Suspended, Event::Start | Event::Done | Event::RollBack) => Refuse("it is suspended: Resume it first"),

        (Open | Acknowledged | Planned | Approved | Scheduled | InProgress, Event::Resolve) => change(NOT_DONE, Go(Closed)),
        (Verifying, Event::Resolve) => Go(Closed),
        (Suspended, Event::Resolve) => change(Refuse("it is suspended: Resume it first"), Go(Closed)),
        (Open | Acknowledged | Planned | Approved | Scheduled | InProgress | Verifying | Suspended, Event::AlertsResolved) => change(Stay, Go(Closed)),
        (Closed | RolledBack | Cancelled, Event::AlertsResolved) => Stay,
        // What a person has ended stays ended.
        (Closed, Event::AlertsAgain) => before.map_or(Stay, |before| change(Stay, Go(before))),
        (Open | Acknowledged | Planned | Approved | Scheduled | InProgress | Verifying | Suspended | RolledBack | Cancelled, Event::AlertsAgain) => Stay,

        (Open | Acknowledged | Planned | Approved | Scheduled | InProgress | Verifying, Event::Suspend) => Go(Suspended),
        (Suspended, Event::Suspend) => Refuse("it is suspended already"),
        (Suspended, Event::Resume) => Go(before.unwrap_or(Open)),
        (Open | Acknowledged | Planned | Approved | Scheduled | InProgress | Verifying, Event::Resume) => NOT_SUSPENDED,

        (Open | Acknowledged | Planned | Approved | Scheduled, Event::Cancel) => Go(Cancelled),
        (InProgress | Verifying, Event::Cancel) => change(UNDER_WAY, Go(Cancelled)),
        (Suspended, Event::Cancel) => match before {
            Some(InProgress | Verifying) => change(UNDER_WAY, Go(Cancelled)),
            Some(Open | Acknowledged | Planned | Approved | Scheduled | Closed | Suspended | RolledBack | Cancelled) | None => Go(Cancelled),
        },

        (Closed | RolledBack | Cancelled, Event::Reopen) => Go(Open),
        (Open | Acknowledged | Planned | Approved | Scheduled | InProgress | Verifying | Suspended, Event::Reopen) => NOT_ENDED,
        (
            Closed | RolledBack | Cancelled,
            Event::Acknowledge
            | Event::Assign
            | Event::Plan
            | Event::Start
            | Event::Done
            | Event::RollBack
            | Event::Resolve
            | Event::Suspend
            | Event::Resume
            | Event::Cancel,
        ) => ENDED,
    }
}
