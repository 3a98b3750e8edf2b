//! Nouns and verbs of the feature area *maintenance*.

use super::{DurationText, Name};
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
    #[command(aliases = super::nouns::SHOW)]
    Show(Name),
}

/// `p861 template …`
#[derive(Clone, Debug, Subcommand)]
pub enum TemplateCommand {
    /// List the templates that the district's changes may follow
    List,
    /// Show one template: its work and its limits
    #[command(aliases = super::nouns::SHOW)]
    Show(Name),
}

/// `p861 ticket …`
#[derive(Clone, Debug, Subcommand)]
pub enum TicketCommand {
    /// Open an incident, or with --change a change
    #[command(aliases = ["create", "new"])]
    Open(Box<TicketOpen>),
    /// List open tickets
    List(TicketList),
    /// Show one ticket: deadlines, people, blockers, history
    #[command(aliases = super::nouns::SHOW)]
    Show(Name),
    /// Acknowledge a ticket: stops the Acknowledge deadline and further calls
    Ack(TicketAct),
    /// Assign a ticket
    Assign(TicketAssign),
    /// Add a note to a ticket
    Note(TicketNote),
    /// Describe how a change will be done
    Plan(TicketPlan),
    /// Approve or reject a change as currently planned
    Approve(TicketApprove),
    /// Start the work
    Start(TicketAct),
    /// Report the work as done; verification follows
    Done(TicketAct),
    /// Roll back a change
    Rollback(TicketActWithReason),
    /// Resolve a ticket
    Resolve(TicketResolve),
    /// Suspend a ticket: pauses the Resolve deadline
    Suspend(TicketAct),
    /// Continue a suspended ticket
    Resume(TicketAct),
    /// Reopen a ticket
    Reopen(TicketAct),
    /// Cancel a ticket
    Cancel(TicketActWithReason),
}

/// `p861 duty …`
#[derive(Clone, Debug, Subcommand)]
pub enum DutyCommand {
    /// Show who is on duty, until when, and who is called next
    #[command(aliases = super::nouns::STATUS)]
    Now(DutyNow),
    /// Hand over the duty, with notes for the next person
    Handover(DutyAct),
    /// Take over the duty
    Take(DutyAct),
}

/// `p861 ticket open`
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("of_change").multiple(true).args(["change", "template"]))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command")]
pub struct TicketOpen {
    /// Title in one line; or upgrade, followed by the name of a component; optional with --template
    #[arg(required_unless_present = "template")]
    pub title: Option<String>,
    /// After upgrade: the component of the Platform to upgrade to its declared version
    pub component: Option<String>,
    /// Impact
    #[arg(long, value_enum, default_value = "Medium", value_name = "GRADE")]
    pub impact: GradeWord,
    /// Urgency
    #[arg(long, value_enum, default_value = "Medium", value_name = "GRADE")]
    pub urgency: GradeWord,
    /// Affected application; may be repeated
    #[arg(long = "app", value_name = "APPLICATION")]
    pub applications: Vec<String>,
    /// Affected site; may be repeated
    #[arg(long = "site", value_name = "SITE")]
    pub sites: Vec<String>,
    /// Open a change instead of an incident: approved once by a template, on its own, or without a window
    #[arg(long, value_enum, value_name = "CLASS")]
    pub change: Option<ClassWord>,
    /// Open a Standard change that follows this template; what the template states is filled in
    #[arg(long, value_name = "TEMPLATE")]
    pub template: Option<String>,
    /// Description of the work
    #[arg(long, value_name = "TEXT")]
    pub plan: Option<String>,
    /// Description of the rollback
    #[arg(long, value_name = "TEXT")]
    pub rollback: Option<String>,
    /// Maintenance window of the change; default: any window for its class
    #[arg(long, value_name = "WINDOW")]
    pub window: Option<String>,
    /// Expected duration of the change: it does not start if its window closes sooner
    #[arg(long = "expected", value_name = "DURATION", value_parser = super::duration_text)]
    pub expected: Option<DurationText>,
    /// How long an upgraded component must stay healthy on a site before the next site follows; default: 10m, or the template's
    #[arg(long, value_name = "DURATION", value_parser = super::duration_text)]
    pub watch: Option<DurationText>,
    /// Node to drain for the change: SITE/NODE
    #[arg(long, value_name = "SITE/NODE", requires = "of_change", conflicts_with = "component")]
    pub drain: Option<String>,
    /// Maximum time to drain the node; default: 30m, or the template's
    #[arg(long, value_name = "DURATION", value_parser = super::duration_text)]
    pub drain_deadline: Option<DurationText>,
    /// Drain pods with emptyDir data, too; the data is deleted with them
    #[arg(long, requires = "of_change")]
    pub delete_emptydir_data: bool,
    /// Drain pods without a controller, too; nothing starts them again
    #[arg(long, requires = "of_change")]
    pub force: bool,
    /// Do not back up the applications before the change
    #[arg(long)]
    pub no_backup: bool,
    /// Do not silence alerts during the change
    #[arg(long)]
    pub no_silence: bool,
    /// Run that caused the ticket, for example drill/shinan-core-20261115-0900
    #[arg(long, value_name = "KIND/NAME")]
    pub from: Option<String>,
    /// Due time, for example "2026-12-24 18:00"
    #[arg(long, value_name = "TIME")]
    pub due: Option<String>,
}

/// `p861 ticket list`
#[derive(Clone, Debug, Args)]
pub struct TicketList {
    /// Include closed tickets
    #[arg(long)]
    pub all: bool,
}

/// An action on a ticket.
#[derive(Clone, Debug, Args)]
pub struct TicketAct {
    /// The ticket
    pub name: String,
    /// Reason, recorded in the ticket
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// An action on a ticket that nobody takes without saying why.
#[derive(Clone, Debug, Args)]
pub struct TicketActWithReason {
    /// The ticket
    pub name: String,
    /// Reason, recorded in the ticket; required, asked for at a terminal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `p861 ticket assign`
#[derive(Clone, Debug, Args)]
pub struct TicketAssign {
    /// The ticket
    pub name: String,
    /// The new assignee
    pub person: String,
    /// Reason, recorded in the ticket
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `p861 ticket note`
#[derive(Clone, Debug, Args)]
pub struct TicketNote {
    /// The ticket
    pub name: String,
    /// Text of the note
    pub text: String,
    /// The incident was reported to the authority: stops the Report deadline
    #[arg(long)]
    pub reported: bool,
}

/// `p861 ticket plan`
#[derive(Clone, Debug, Args)]
pub struct TicketPlan {
    /// The ticket
    pub name: String,
    /// Description of the work
    pub text: String,
}

/// `p861 ticket resolve`
#[derive(Clone, Debug, Args)]
pub struct TicketResolve {
    /// The ticket
    pub name: String,
    /// Resolution
    #[arg(long, value_enum, default_value = "Done", value_name = "RESOLUTION")]
    pub resolution: ResolutionWord,
    /// Reason, recorded in the ticket
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `p861 ticket approve`
#[derive(Clone, Debug, Args)]
pub struct TicketApprove {
    /// The ticket
    pub name: String,
    /// Reject instead
    #[arg(long)]
    pub reject: bool,
    /// Reason, recorded in the approval
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Approve only if the current plan has this digest
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
}

/// `p861 duty now`
#[derive(Clone, Debug, Args)]
pub struct DutyNow {
    /// Duty roster; default: the only one of the district
    #[arg(long, value_name = "ROSTER")]
    pub roster: Option<String>,
}

/// `p861 duty handover`, `p861 duty take`
#[derive(Clone, Debug, Args)]
pub struct DutyAct {
    /// Notes for the next person
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Duty roster; default: the only one of the district
    #[arg(long, value_name = "ROSTER")]
    pub roster: Option<String>,
}

/// High, medium or low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GradeWord {
    /// High
    #[value(name = "High")]
    High,
    /// Medium
    #[value(name = "Medium")]
    Medium,
    /// Low
    #[value(name = "Low")]
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
    /// Pre-approved
    #[value(name = "Standard")]
    Standard,
    /// Approved individually
    #[value(name = "Normal")]
    Normal,
    /// Needs no maintenance window
    #[value(name = "Emergency")]
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

/// Resolution of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResolutionWord {
    /// Done
    #[value(name = "Done")]
    Done,
    /// Duplicate of another ticket
    #[value(name = "Duplicate")]
    Duplicate,
    /// Not reproducible
    #[value(name = "NotReproducible")]
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
