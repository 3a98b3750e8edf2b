//! What went wrong, with a stable category that decides when it is tried again.

use std::time::Duration;

/// How an error is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// It may go away by itself.
    Transient,
    /// A server said no; trying soon again is useless.
    Refused,
    /// What a person wrote is wrong; trying again without a change is useless.
    Invalid,
    /// A person must decide.
    NeedsPerson,
}

impl Category {
    /// As metrics spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::NeedsPerson => "needsPerson",
        }
    }

    /// When it is tried again.
    pub fn requeue(self) -> Duration {
        match self {
            Self::Transient => Duration::from_secs(5),
            Self::Refused | Self::NeedsPerson => Duration::from_mins(1),
            Self::Invalid => Duration::from_mins(5),
        }
    }
}

/// An error of the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server of the hub or of a site.
    #[error("{what}: {source}")]
    Kube {
        /// What was tried.
        what: String,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The repository.
    #[error("{what}: {message}")]
    Vault {
        /// What was tried.
        what: String,
        /// What it said, and what to do.
        message: String,
        /// Reason of the API, for example AccessDenied.
        reason: &'static str,
        /// How it is to be taken.
        category: Category,
    },
    /// Something that a person wrote, or that is not there.
    #[error("{message}")]
    Stated {
        /// Reason of the API.
        reason: &'static str,
        /// What happened, to which object, what to do.
        message: String,
        /// How it is to be taken.
        category: Category,
    },
    /// This process is not the leader any more.
    #[error("the leader's lease has expired: nothing is written any more")]
    LeaseLost,
    /// Another orchestrator has taken the run.
    #[error("the run belongs to another orchestrator: {0}")]
    RunLost(String),
    /// A mistake of ours, reported instead of hidden.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An object or a spec is wrong.
    pub fn invalid(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Stated { reason, message: message.into(), category: Category::Invalid }
    }

    /// Something isn't so yet.
    pub fn transient(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Stated { reason, message: message.into(), category: Category::Transient }
    }

    /// Its category.
    pub fn category(&self) -> Category {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if matches!(status.code, 401 | 403 | 422) => Category::Refused,
                kube::Error::Api(status) if status.code == 400 => Category::Invalid,
                _ => Category::Transient,
            },
            Self::Vault { category, .. } | Self::Stated { category, .. } => *category,
            Self::LeaseLost | Self::RunLost(_) | Self::Internal(_) => Category::Transient,
        }
    }

    /// Its reason, as conditions have it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if matches!(status.code, 401 | 403) => "CredentialsRefused",
                kube::Error::Api(status) if status.code == 422 => "RefusedByAdmission",
                kube::Error::Api(_) => "ApiError",
                _ => "Unreachable",
            },
            Self::Vault { reason, .. } | Self::Stated { reason, .. } => reason,
            Self::LeaseLost => "LeaseLost",
            Self::RunLost(_) => "Superseded",
            Self::Internal(_) => "InternalError",
        }
    }
}

/// The result of something that may go wrong in the operator.
pub type Result<T> = std::result::Result<T, Error>;

/// Says what was tried when the API server refuses.
pub trait Tried<T> {
    /// Adds what was tried.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Tried<T> for std::result::Result<T, kube::Error> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Kube { what: what(), source: Box::new(source) })
    }
}

/// Whether the API server said that the object isn't there.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether the API server said that the object is there already, or was changed by someone else.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
