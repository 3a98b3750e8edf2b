//! The backup repository: restic's format on S3 or a folder.
//!
//! An application's backup is one snapshot. Its parts (objects, each volume, each stream) are written by processes of their own, each as a snapshot that is
//! marked as a part; sealing merges their trees into one snapshot and removes the parts. Stock `restic` reads all of it.
//!
//! Everything but [`AsyncStore`] blocks: it is called by movers, which are processes that may be killed at any moment.

#![warn(clippy::missing_errors_doc)]

mod backend;
mod beneath;
mod blame;
mod budget;
mod cipher;
mod error;
mod folders;
mod forget;
mod initialise;
mod keys;
mod lease;
mod limits;
mod metadata;
mod pace;
mod parallel;
mod parts;
mod prune;
mod read;
mod repository;
mod restore;
mod seal;
mod snapshots;
mod source;
mod store;
mod verify;

pub use error::{REASONS, VaultError};
pub use forget::{FORGOTTEN, ForgetOrder, Forgettable, Forgotten};
pub use keys::{DerivedKey, derived, take_over};
pub use lease::{Lease, LeaseError, LeaseKind, Leases};
pub use pace::set_upload_rate;
pub use parts::{OnProgress, PartResult, PartSpec, Progress};
pub use prune::{MayWrite, Packs, PruneReport, PruneSpec};
pub use read::StreamResult;
pub use repository::Repository;
pub use restore::{Existing, FolderComparison, FolderRestore, RestoreResult};
pub use seal::{SealSpec, Sealed};
pub use snapshots::SnapshotInfo;
pub use source::Filled;
pub use store::{AsyncStore, Credentials, Location, RepositoryAccess, StoreError, Stored};
pub use verify::{CheckError, CheckReport, VerifyReport};
