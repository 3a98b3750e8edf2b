//! Nouns and verbs of the room *maintenance*.

use super::Name;
use clap::{Args, Subcommand, ValueEnum};
use p861_crds::maintenance::{
    ticket::{Grade, Resolution},
    window::ChangeClass,
};

/// `p861 window …`
#[derive(Clone, Debug, Subcommand)]
pub enum WindowCommand {
    /// List the maintenance windows
    List,
    /// Show one maintenance window
    Show(Name),
}

/// `p861 ticket …`
#[derive(Clone, Debug, Subcommand)]
pub enum TicketCommand {
    /// Open an incident, or with --change a change
    Open(Box<TicketOpen>),
    /// List tickets that have not ended
    List(TicketList),
    /// Show one ticket: clocks, people, what is in its way, what was done
    Show(Name),
    /// I have it: the clock Acknowledge stops, nobody else is called
    Ack(TicketAct),
    /// Give a ticket to somebody
    Assign(TicketAssign),
    /// Remember something in a ticket
    Note(TicketNote),
    /// Say how a change is done
    Plan(TicketPlan),
    /// Approve a change as it is planned now, or reject it
    Approve(TicketApprove),
    /// Work begins
    Start(TicketAct),
    /// Work is done; was it good?
    Done(TicketAct),
    /// A change was taken back
    Rollback(TicketAct),
    /// It is over
    Resolve(TicketResolve),
    /// Nothing happens for now; the clock Resolve stands still
    Suspend(TicketAct),
    /// A suspended ticket goes on
    Resume(TicketAct),
    /// It was not over
    Reopen(TicketAct),
    /// It will not be done
    Cancel(TicketAct),
}

/// `p861 duty …`
#[derive(Clone, Debug, Subcommand)]
pub enum DutyCommand {
    /// Who is on duty, until when, and who is called next
    Now(DutyNow),
    /// Leave: what the next one must know
    Handover(DutyAct),
    /// Come: the duty is mine
    Take(DutyAct),
}

/// `p861 ticket open`
#[derive(Clone, Debug, Args)]
pub struct TicketOpen {
    /// What it is about, in a line; or upgrade, before the name of a component
    pub title: String,
    /// After upgrade: the component of the Platform that is brought to its declared version
    pub component: Option<String>,
    /// How much is hurt, or would be
    #[arg(long, value_enum, default_value = "medium", value_name = "GRADE")]
    pub impact: GradeWord,
    /// How soon something must be done
    #[arg(long, value_enum, default_value = "medium", value_name = "GRADE")]
    pub urgency: GradeWord,
    /// An application that it is about; may be given again
    #[arg(long = "app", value_name = "APPLICATION")]
    pub applications: Vec<String>,
    /// A site that it is about; may be given again
    #[arg(long = "site", value_name = "SITE")]
    pub sites: Vec<String>,
    /// A change of this class, instead of an incident
    #[arg(long, value_enum, value_name = "CLASS")]
    pub change: Option<ClassWord>,
    /// How the change is done
    #[arg(long, value_name = "TEXT")]
    pub plan: Option<String>,
    /// How the change is taken back
    #[arg(long, value_name = "TEXT")]
    pub rollback: Option<String>,
    /// The window of the change; any that is for its class when absent
    #[arg(long, value_name = "WINDOW")]
    pub window: Option<String>,
    /// How long the change is expected to take: it doesn't start where its window closes sooner
    #[arg(long = "expected", value_name = "DURATION")]
    pub expected: Option<String>,
    /// How long an upgraded component must stay healthy on a site before the next one follows
    #[arg(long, value_name = "DURATION", default_value = "10m", requires = "component")]
    pub watch: String,
    /// The change is work on this node, which is emptied for it
    #[arg(long, value_name = "SITE/NODE", requires = "change", conflicts_with = "component")]
    pub drain: Option<String>,
    /// How long the pods of the node may take to leave
    #[arg(long, value_name = "DURATION", default_value = "30m", requires = "drain")]
    pub drain_deadline: String,
    /// Take no backup of the applications before the change
    #[arg(long)]
    pub no_backup: bool,
    /// Silence no alerts during the change
    #[arg(long)]
    pub no_silence: bool,
    /// The run that it came out of, for example drill/shinan-core-20261115-0900
    #[arg(long, value_name = "KIND/NAME")]
    pub from: Option<String>,
    /// Until when it shall be done, for example "2026-12-24 18:00"
    #[arg(long, value_name = "TIME")]
    pub due: Option<String>,
}

/// `p861 ticket list`
#[derive(Clone, Debug, Args)]
pub struct TicketList {
    /// Also those that have ended
    #[arg(long)]
    pub all: bool,
}

/// An action on a ticket.
#[derive(Clone, Debug, Args)]
pub struct TicketAct {
    /// The ticket
    pub name: String,
    /// Why; it stands in the ticket
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `p861 ticket assign`
#[derive(Clone, Debug, Args)]
pub struct TicketAssign {
    /// The ticket
    pub name: String,
    /// Who shall have it
    pub person: String,
    /// Why; it stands in the ticket
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `p861 ticket note`
#[derive(Clone, Debug, Args)]
pub struct TicketNote {
    /// The ticket
    pub name: String,
    /// What to remember
    pub text: String,
    /// The incident was reported upwards: the clock Report stops
    #[arg(long)]
    pub reported: bool,
}

/// `p861 ticket plan`
#[derive(Clone, Debug, Args)]
pub struct TicketPlan {
    /// The ticket
    pub name: String,
    /// How it is done
    pub text: String,
}

/// `p861 ticket resolve`
#[derive(Clone, Debug, Args)]
pub struct TicketResolve {
    /// The ticket
    pub name: String,
    /// What came of it
    #[arg(long = "as", value_enum, default_value = "done", value_name = "RESOLUTION")]
    pub resolution: ResolutionWord,
    /// Why; it stands in the ticket
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `p861 ticket approve`
#[derive(Clone, Debug, Args)]
pub struct TicketApprove {
    /// The ticket
    pub name: String,
    /// Say no instead
    #[arg(long)]
    pub reject: bool,
    /// Why; it stands in the approval
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only if this is what is planned now
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
}

/// `p861 duty now`
#[derive(Clone, Debug, Args)]
pub struct DutyNow {
    /// The roster; the district's only one when absent
    #[arg(long, value_name = "ROSTER")]
    pub roster: Option<String>,
}

/// `p861 duty handover`, `p861 duty take`
#[derive(Clone, Debug, Args)]
pub struct DutyAct {
    /// What the next one must know
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// The roster; the district's only one when absent
    #[arg(long, value_name = "ROSTER")]
    pub roster: Option<String>,
}

/// High, medium or low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GradeWord {
    /// High
    High,
    /// Medium
    Medium,
    /// Low
    Low,
}

impl From<GradeWord> for Grade {
    fn from(word: GradeWord) -> Self {
        match word {
            GradeWord::High => Self::High,
            GradeWord::Medium => Self::Medium,
            GradeWord::Low => Self::Low,
        }
    }
}

/// Classes of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClassWord {
    /// Approved once for all
    Standard,
    /// Approved one by one
    Normal,
    /// Needs no window
    Emergency,
}

impl From<ClassWord> for ChangeClass {
    fn from(word: ClassWord) -> Self {
        match word {
            ClassWord::Standard => Self::Standard,
            ClassWord::Normal => Self::Normal,
            ClassWord::Emergency => Self::Emergency,
        }
    }
}

/// What came of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResolutionWord {
    /// As wanted
    Done,
    /// Another ticket has it
    Duplicate,
    /// It could not be seen again
    NotReproducible,
}

impl From<ResolutionWord> for Resolution {
    fn from(word: ResolutionWord) -> Self {
        match word {
            ResolutionWord::Done => Self::Done,
            ResolutionWord::Duplicate => Self::Duplicate,
            ResolutionWord::NotReproducible => Self::NotReproducible,
        }
    }
}
