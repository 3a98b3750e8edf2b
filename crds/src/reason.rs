//! Reasons: why a condition has its state, why a step failed, what an Event tells. Programs and people match on them, so each is spelled here once.

use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, convert::Infallible, fmt, str::FromStr};

/// Declares the reasons: variants, names and meanings from one table.
macro_rules! reasons {
    ($($name:ident: $meaning:literal,)*) => {
        /// A reason of a condition, a failure, an Event or an error, in CamelCase. Equal to its text.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
            /// A reason that another version of the product wrote. It is kept as it was read.
            Other(UnknownReason),
        }

        impl Reason {
            /// All reasons that this version writes, by room.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its text, as conditions, journals and Events have it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Other(text) => &text.0,
                }
            }

            /// What it means, in one English sentence; empty if another version wrote it.
            pub const fn meaning(&self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                    Self::Other(_) => "",
                }
            }

            /// The reason of that text.
            pub fn from_text(text: &str) -> Self {
                match text {
                    $(stringify!($name) => Self::$name,)*
                    _ => Self::Other(UnknownReason(text.to_owned())),
                }
            }
        }
    };
}

/// The text of a reason that this version doesn't know. Only [`Reason::from_text`] makes one, so that each text has one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnknownReason(String);

reasons! {
    // Of any kind.
    AlreadyExists: "An object of that name exists already.",
    ApiError: "An API server refused the request.",
    AsDeclared: "What was observed is as declared.",
    Complete: "Everything was done.",
    Conflict: "Another writer changes the object at the same time.",
    ConnectionLost: "The connection was lost before the answer was complete.",
    CredentialsRefused: "The server refused the credentials.",
    Duplicate: "It duplicates another ticket.",
    EgressRefused: "The installation doesn't let the product connect to that address.",
    EndpointInvalid: "An address is malformed, or redirects elsewhere.",
    InternalError: "A bug in the operator.",
    Invalid: "A field has a value that can't be used.",
    LeaseLost: "This process lost its lease and no longer writes.",
    NameTaken: "An object of that name belongs to somebody else.",
    NotAvailable: "This release can't do it.",
    NotFound: "An object doesn't exist.",
    NotListedYet: "The operator has just started and has not listed these objects yet.",
    NotOurs: "The object exists and was not made by the platform, so it is not touched.",
    NotResolved: "A reference was not found, so this is not known.",
    NotYet: "It is too early to tell.",
    ReconcileTimeout: "Looking after the object took too long and was given up; it is tried again.",
    RefusedByAdmission: "The API server's admission refused the object.",
    Resolved: "All references exist.",
    SecretIncomplete: "A Secret lacks a key.",
    SecretMissing: "A Secret doesn't exist, or lacks what is looked for.",
    Unreachable: "The server doesn't answer.",
    Unsupported: "This version doesn't support it.",
    Valid: "It is valid, and it counts.",

    // Platform: sites, districts, profiles, platforms, applications.
    Answers: "The API server answers.",
    ApplicationMissing: "An Application that is named doesn't exist.",
    ApplicationNotReady: "The applications that provide the item are not ready or not healthy.",
    BeyondLimits: "The Platform declares more than its District allows.",
    BundleChanged: "The component's bundle differs from the one that was approved.",
    BundleMissing: "The component's bundle doesn't exist.",
    BundleRefused: "The component's bundle can't be used as it is.",
    BundleUnsupported: "The component has no bundle; its HelmRelease is upgraded elsewhere.",
    CertificateExpired: "A certificate has expired.",
    CertificateExpiring: "A certificate expires soon.",
    CertificateUnreadable: "A certificate can't be read.",
    CheckFailed: "A check of the application failed.",
    ChecksFail: "Checks of the application fail.",
    ChecksFailed: "Checks failed until their deadline.",
    ChecksPass: "All checks of the application pass.",
    ClassMissing: "A storage or snapshot class doesn't exist on the site.",
    ClusterChanged: "The API server is of another cluster than the one first seen.",
    CodeTaken: "Another district has the same code.",
    ComponentFailing: "A component of the base software is installed and doesn't work.",
    ComponentMissing: "A component is not installed, or not declared.",
    DepartmentUnknown: "The application's department is not declared.",
    DistrictMissing: "The namespace belongs to no District.",
    Excess: "One layer is far above the weakest: strengthen that one first.",
    GatewayMissing: "A declared Gateway doesn't exist.",
    GatewayNotReady: "A Gateway has not been programmed.",
    HealthFailed: "A health check of a component fails.",
    LayerMissing: "A layer lacks something that is declared.",
    LayerWeak: "A layer is weaker than declared.",
    Matched: "The layers are balanced.",
    NamespaceMissing: "A namespace doesn't exist.",
    NamespaceTerminating: "A namespace is being deleted, and takes nothing new.",
    NamespaceNotAllotted: "The namespace is not assigned to the district.",
    NamespaceNotOurs: "The namespace belongs to another district.",
    NamespacesOverlap: "Namespaces of sites that it was allotted are an older district's as well.",
    NamespaceTaken: "The namespace belongs to another application or owner.",
    NoApplication: "No Application provides the item of the profile.",
    NoChecks: "The application declares no checks.",
    NodesMissing: "A pool has fewer ready nodes than its minimum.",
    NotCounted: "A layer's capacity could not be counted.",
    PolicyMissing: "An admission policy doesn't exist.",
    PolicyNotBound: "An admission policy is not bound.",
    ProbeFailed: "A network probe fails, or is too slow.",
    ProberFailed: "The site's prober did not answer.",
    ProberMissing: "The site has no prober.",
    ProbeUnmeasured: "A network probe has no measurement yet.",
    ProfileMissing: "The District names no profile that exists.",
    Provisional: "The item of the profile is provisional and not scored.",
    QuotaApplied: "A quota limits the number of the district's objects.",
    QuotaExceeded: "A department's quota is used up.",
    QuotaNotCounted: "The hub's cluster does not count objects for quotas, so nothing is limited.",
    RecordDamaged: "The record of an installed component can't be read.",
    RegistriesMissing: "Images must come from declared registries, and none is declared.",
    RegistryUnreachable: "The registry doesn't answer.",
    RepositoryNotReady: "The district's repository is not ready.",
    ReserveUsed: "A layer's reserve is in use.",
    RolesBound: "The district's roles are bound everywhere.",
    ShortPlank: "One layer limits how many applications the platform supports.",
    SiteMissing: "A Site that is named doesn't exist.",
    SiteNotAllotted: "The site is not assigned to the district.",
    SiteUnreachable: "A site's API server doesn't answer.",
    UpgradeNeedsTicket: "A newer version is declared: an upgrade needs a ticket.",
    VersionsDiffer: "Sites have different versions of a component.",
    VersionUnsupported: "The cluster's version is not supported.",
    WorkloadMissing: "A workload that is named doesn't exist.",
    WorkloadNotReady: "A workload has too few ready pods.",
    WorkloadNotStopped: "A workload can't be stopped, or somebody starts it again.",

    // Protection: repositories, backups, restores.
    AccessDenied: "The object store denied access.",
    BackedUp: "The newest backup is recent enough.",
    BackupFailed: "A backup that a change takes first did not succeed.",
    BackupMissed: "A backup did not begin when its policy's schedule says, nor soon after.",
    BackupOverdue: "The newest backup is older than the RPO.",
    BackupRunning: "A backup is under way.",
    BackupsVerified: "No damage was found at the last verification.",
    BackupTooOld: "The newest backup is too old.",
    CheckOverdue: "The last check of the repository is too old.",
    ClaimMissing: "A PersistentVolumeClaim doesn't exist.",
    ClaimInUse: "Pods use a PersistentVolumeClaim that is to be restored as a whole.",
    ClaimNotReadable: "A PersistentVolumeClaim can't be read as files.",
    ClaimUnused: "A PersistentVolumeClaim never had a volume, because nothing has mounted it: there is nothing to save.",
    ClusterResourceMissing: "A cluster-scoped object that the application names doesn't exist.",
    ClusterResourcesNotGranted: "The site doesn't permit the district's runs to touch these cluster-scoped objects.",
    ConditionalWriteMissing: "The object store has no conditional writes, which leases and journals need.",
    ConfigMissing: "The address holds parts of a repository, and its file config is gone.",
    Conflicts: "Objects exist already and differ.",
    Damaged: "Data in the repository is damaged or missing.",
    DefaultTaken: "An older policy is the default of the same criticality.",
    DestinationRefused: "The volume can't be written.",
    FolderRefused: "The installation doesn't let a repository be in that folder.",
    Forgotten: "The snapshot was forgotten: by retention, or because somebody asked for it.",
    HalfRestored: "A restore ended half way in the application: a backup that is taken of it since then holds a mixture.",
    HistoryUnreadable: "What a platform has recorded for its forecast can't be read.",
    KeyRefused: "A key file of the repository asks for more memory or time than is spent on one, or is none.",
    KeyWrong: "The password of spec.encryption.keySecretRef opens none of the repository's keys: the repository was made with another one.",
    LeaseUnreadable: "The record of the repository's leases can't be read.",
    MarkerUnreadable: "The application's data marker can't be read.",
    MoverLost: "A mover ended without a result.",
    MoverMisused: "Operator and mover have different versions.",
    MoverNotStarted: "A mover's pod did not start.",
    MoverRefused: "A mover's pod is refused by a quota or by admission.",
    MoverUnschedulable: "No node takes a mover's pod.",
    NeverBackedUp: "The application was never backed up.",
    NeverVerified: "No backup was ever restored and probed.",
    NoBackupYet: "No usable backup exists yet.",
    NoNode: "The site has no node that can run the mover.",
    NoPolicy: "No backup policy takes backups of the application.",
    NoRecoveryPoint: "No backup can be recovered from.",
    NoRepository: "No repository is declared.",
    NoSnapshotClass: "No VolumeSnapshotClass can be used for a claim that is to be saved from a snapshot.",
    NoSpace: "No space is left.",
    NotARepository: "No repository is at this address.",
    NotOffSite: "The backups are not off site.",
    ObjectLocked: "The store keeps what is to be removed by a lock of its own.",
    Opened: "The repository was opened, written and read back.",
    OtherFailureDomain: "The repository is in another failure domain than its applications.",
    PartiallyRestored: "Some objects of the backup could not be written.",
    Restored: "The backup was restored in a drill; its application has no check that could have probed it.",
    PartiallySaved: "Some volumes could not be read; everything else is in the backup's snapshot.",
    PathMissing: "The backup has no such file or folder.",
    PreconditionFailed: "The object was changed by another writer.",
    Previewed: "The restore was previewed; nothing was changed.",
    Probed: "The backup was restored, and the application's checks passed.",
    Proven: "A recent restore was proven.",
    Pruned: "What no snapshot needs is marked, and what was marked for long enough has left the store.",
    PruneOverdue: "The repository was last pruned too long ago.",
    RandomUnavailable: "The machine gives no random numbers.",
    ReadErrors: "Files could not be read, so the backup is not complete.",
    RepositoryChanged: "The address holds another repository than before.",
    RepositoryDamaged: "A backup in the repository was found damaged.",
    RepositoryNotAllotted: "The repository is not the run's.",
    RepositoryRefused: "The repository refused.",
    RepositoryUnopened: "The repository has not been opened yet.",
    ResultDamaged: "A result that a mover stored is not what it stored.",
    ResultMissing: "A result that a mover stored is gone.",
    ResultTooLarge: "A result of a mover is larger than allowed.",
    SameFailureDomain: "The repository is in the failure domain of its applications.",
    SchedulesTooSparse: "Backups are taken too rarely for the RPO.",
    SlotTaken: "Another hub has taken the backup of that time.",
    SnapshotMissing: "The snapshot is not in the repository.",
    SnapshotNotTaken: "The storage driver has not taken the snapshot of a volume.",
    Stored: "The backup is stored.",
    StoreError: "The object store failed.",
    TooLarge: "The object store has an object, or a listing, that is larger than what is read of one.",
    VaultError: "Work in the repository failed.",
    VerificationFailed: "A verification failed.",
    VerificationTooOld: "The newest proven backup is too old.",

    // Recovery: plans, drills.
    AlreadyActive: "The plan is already active on that site.",
    ApplicationInOtherPlan: "An application is in another plan.",
    CleanUpFailed: "Clean-up keeps failing and is tried again.",
    Compiled: "The plan compiles to steps.",
    DrillFailed: "The newest drill did not pass.",
    DrillOverdue: "The newest drill is too old.",
    DrillPassed: "The newest drill passed.",
    DrillRunning: "A drill is under way.",
    EpochAdvanced: "The plan's new epoch is written.",
    InUse: "The drill's namespaces are in use.",
    IsolationNotEnforced: "A pod of the drill's copy reaches what is outside it.",
    IsolationUnproven: "Whether the drill's copy is closed could not be found out.",
    NeverDrilled: "No isolated drill of the plan has ended.",
    NoPlan: "There is no plan.",
    NothingLeft: "Everything that the drill made is gone.",
    NothingMade: "The drill made nothing.",
    NotRecoverable: "The application is not recoverable.",
    Passed: "The drill passed.",
    PlanNotReady: "The plan is not ready for a failover.",
    PreflightFailed: "A preflight check fails.",
    RPOExceeded: "More data would be lost than the RPO allows.",
    RPOUnproven: "The RPO was not proven by data.",
    RTOAndRPOExceeded: "Both RTO and RPO were exceeded.",
    RTOExceeded: "Recovery took longer than the RTO allows.",
    SharedFailureDomain: "The plan's sites share a failure domain.",
    StandbyUnreachable: "The standby site doesn't answer.",
    WithinObjectives: "Every application is within its objectives.",

    // Runs: what every kind of run can meet.
    Aborted: "A person ended the run early.",
    AnsweredNo: "A person answered the question with no.",
    ApplicationBusy: "Another run uses the application.",
    CommandFailed: "A command in a container failed.",
    DeadlineExceeded: "It took longer than its deadline.",
    EvidenceUnreadable: "This release can't read what a step proved.",
    JournalBusy: "The journal changes each time it is read.",
    JournalDamaged: "The journal can't be read.",
    JournalFull: "The journal has reached its greatest size.",
    JournalKeyLost: "The key that seals the run's journal is not the one that it was begun with.",
    JournalMissing: "The journal is gone, so what the run did is not known.",
    JournalTampered: "Somebody other than the operator has changed the journal.",
    LimitReached: "As many runs as allowed are under way.",
    NamespaceBusy: "Another run uses the namespace.",
    NotAnswered: "Nobody answered in time.",
    OutOfScope: "The action is outside the run's district.",
    PlanBusy: "Another run uses the plan or its site.",
    PlanChanged: "The steps differ from what was approved.",
    RepositoryBusy: "Another run uses the repository.",
    RunFinished: "The run has ended.",
    Running: "The run is under way.",
    RunStarted: "The run has begun.",
    SiteBusy: "Another run uses the site.",
    Skipped: "A person skipped it.",
    StepFailed: "A step failed.",
    StepSkipped: "A step was skipped.",
    Superseded: "Another run or orchestrator has taken its place.",
    WaitingForPerson: "A step waits for a person's answer.",

    // Maintenance: windows, tickets, approvals, rosters, messages.
    AcknowledgeOverdue: "Nobody acknowledged the ticket in time.",
    Acknowledged: "Somebody has acknowledged the ticket.",
    ActionRefused: "A person's action has no effect.",
    AddressInvalid: "A mail address is invalid.",
    AddressMissing: "A mail address is missing.",
    AlertFiring: "An alert fires on what the change affects.",
    AlertUnreadable: "An alert in a post of Alertmanager can't be read, so it has no ticket.",
    AlertmanagerRefused: "The Alertmanager refused the request.",
    AlertmanagerUnreachable: "The Alertmanager doesn't answer.",
    AlertmanagerUnreadable: "The Alertmanager's answer can't be read.",
    ApprovalRefused: "An approval doesn't count.",
    ApprovalsMissing: "Fewer people have approved than must.",
    Approved: "The change is approved.",
    BetweenOccurrences: "The window is closed until its next occurrence.",
    Cancelled: "The ticket was cancelled.",
    ChannelGone: "The roster has no such channel any more.",
    ChannelInvalid: "A channel of the roster is invalid.",
    Clear: "Nothing blocks the change.",
    Covered: "Every level of the roster has somebody on duty.",
    Delivered: "The test message was delivered to everybody.",
    DigestDiffers: "The plan has changed since it was approved.",
    Done: "It is done.",
    DrainBlocked: "The node was not drained in time.",
    DutyGiven: "Somebody has given the duty to another.",
    DutyTaken: "Somebody has taken the duty.",
    EnoughApprovals: "Enough people have approved.",
    Escalated: "Nobody acknowledged the ticket: the next level is called.",
    Expired: "The approval has expired.",
    Finished: "The ticket has ended.",
    FreezeStarted: "A freeze is in force from now on.",
    Frozen: "A freeze is in force.",
    HeartbeatMissing: "Alertmanager's heartbeat does not arrive, so alerts may be lost.",
    HeartbeatSeen: "Alertmanager's heartbeat arrives.",
    IncidentClosed: "The incident is closed: none of its alerts fires.",
    IncidentOpened: "An incident was opened.",
    IncidentReopened: "One of the alerts that closed the incident fires again.",
    InProgress: "Work on the ticket is under way.",
    InTime: "No clock of the ticket is overdue.",
    MailFailed: "The mail server did not accept the mail.",
    Nameless: "The approval, or the template, bears nobody's name.",
    NoAlertmanager: "No Alertmanager is declared.",
    NodeBusy: "Another ticket works on the node.",
    NodeMissing: "The node doesn't exist.",
    NodeShared: "Another district uses the node, too.",
    NotCompiled: "The change's steps can't be compiled.",
    NotDelivered: "The test message was not delivered to everybody.",
    NotReproducible: "The incident could not be reproduced.",
    Open: "The window, or the ticket, is open.",
    OutsideTemplate: "The change does not keep within its template.",
    OutsideWindow: "No window is open for the change.",
    Planned: "The change has a plan.",
    PodHasLocalData: "A pod on the node has emptyDir data, which a drain deletes.",
    PodUnmanaged: "A pod on the node has no controller that would start it elsewhere.",
    PreApproved: "The change keeps within a template that was approved once for all.",
    PreCheckFailed: "What the change affects is not healthy to begin with.",
    PriorityRaised: "A graver alert has joined the incident.",
    Rejected: "Somebody has rejected the change.",
    ReportOverdue: "Nobody reported the incident in time.",
    RequesterCannotApprove: "The one who asks for a change can't approve it.",
    ResolveOverdue: "The ticket was not resolved in time.",
    RolledBack: "The change was rolled back.",
    SamePerson: "The same person has decided anew since.",
    Scheduled: "The change waits for its window.",
    SubjectGone: "The approval's subject doesn't exist any more.",
    Suspended: "The ticket, or the policy, is suspended.",
    TemplateChanged: "The change's template is no longer the one of its opening.",
    TemplateMissing: "The change's template doesn't exist.",
    TemplateNotReady: "The change's template can't be used.",
    TokenMissing: "The token of the link is missing.",
    TooLate: "The approval came after work had begun, or after the end.",
    Uncovered: "Nobody is on duty at some level.",
    Verifying: "The work is done and its checks run.",
    WebhookFailed: "The webhook did not accept the message.",
    WebhookInvalid: "The webhook's URL is invalid.",
    WindowOpened: "The window has opened.",
    WorkBegan: "Work on the change has begun.",
    WorkDone: "The change's work is done.",
    WorkRolledBack: "The change's work was rolled back.",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::from_text(text))
    }
}

/// Sorted by their texts.
impl Ord for Reason {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Reason {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::from_text(&text)
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.as_str().to_owned()
    }
}

super::common::compares_with_text!(Reason);

#[cfg(test)]
mod tests {
    use super::Reason;
    use std::collections::BTreeSet;

    #[test]
    fn a_reason_is_read_back_from_its_own_text() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(&serde_json::from_value::<Reason>(reason.as_str().into()).unwrap(), reason);
            assert!(reason.meaning().ends_with('.'), "{reason}");
        }
        let texts: BTreeSet<&str> = Reason::ALL.iter().map(Reason::as_str).collect();
        assert_eq!(texts.len(), Reason::ALL.len());
    }

    #[test]
    fn a_reason_of_another_version_keeps_its_text() {
        let read: Reason = serde_json::from_value("FromTheFuture".into()).unwrap();
        assert_eq!(read, "FromTheFuture");
        assert_eq!(serde_json::to_value(&read).unwrap(), "FromTheFuture");
        assert!(!Reason::ALL.contains(&read) && read.meaning().is_empty());
    }
}
