//! The kinds of `platform861.io/v1alpha1`: their fields, defaults, validation rules, printer columns and conditions.
//!
//! One file per kind, sorted by feature area (platform, protection, recovery, maintenance). Nothing here decides or does anything: the rules are CEL and run in the API
//! server, so that an invalid object is refused where its author can still see why. The YAML under `charts/p861-crds` is generated from these types by
//! `cargo run -p p861-crds --bin crdgen`; a test fails when it differs.
#![expect(clippy::duplicated_attributes, reason = "two printer columns may have the same type")]

pub mod common;
pub mod condition;
pub mod forms;
pub mod generate;
pub mod maintenance;
pub mod names;
pub mod platform;
pub mod protection;
pub mod reason;
pub mod recovery;
pub mod reference;
pub mod run;

pub use common::{Condition, Duration, LocalizedText, ObjectReference, WorkloadKind, WorkloadReference};
pub use condition::ConditionType;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
pub use maintenance::{
    approval::{Approval, ApprovalSpec, ApprovalStatus},
    roster::{DutyRoster, DutyRosterSpec, DutyRosterStatus},
    template::{ChangeTemplate, ChangeTemplateSpec, ChangeTemplateStatus},
    ticket::{MaintenanceTicket, MaintenanceTicketSpec, MaintenanceTicketStatus},
    window::{MaintenanceWindow, MaintenanceWindowSpec, MaintenanceWindowStatus},
};
pub use platform::{
    application::{Application, ApplicationSpec, ApplicationStatus},
    district::{District, DistrictSpec, DistrictStatus},
    platform::{Platform, PlatformSpec},
    profile::{PlatformProfile, PlatformProfileSpec, PlatformProfileStatus},
    site::{Site, SiteSpec, SiteStatus},
    status::PlatformStatus,
};
pub use protection::{
    backup::{Backup, BackupSpec, BackupStatus},
    policy::{BackupPolicy, BackupPolicySpec, BackupPolicyStatus, Retention},
    repository::{BackupRepository, BackupRepositorySpec, BackupRepositoryStatus},
    restore::{Restore, RestoreSpec, RestoreStatus},
};
pub use reason::Reason;
pub use recovery::{
    drill::{Drill, DrillSpec, DrillStatus},
    plan::{RecoveryPlan, RecoveryPlanSpec, RecoveryPlanStatus},
};
pub use run::{RunObject, RunStatus, RunView};
