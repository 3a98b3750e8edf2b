//! Errors of a store, with messages that say what to do.

/// Category of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unreachable,
    AccessDenied,
    NotFound,
    /// The object has fewer bytes than it must have.
    Shorter,
    AlreadyExists,
    PreconditionFailed,
    NoSpace,
    /// The object or the listing is larger than what is read of one.
    TooLarge,
    /// The installation doesn't let the product connect there.
    NotAllowed,
    /// The request will never be taken as it is.
    Invalid,
    Other,
}

/// The store refused, or can't be reached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{place}{}{key}: {what}", if key.is_empty() { "" } else { ", object " })]
pub struct StoreError {
    pub(super) refusal: Refusal,
    /// The location, as people read it.
    place: String,
    key: String,
    what: String,
}

impl StoreError {
    pub(crate) fn new(refusal: Refusal, place: &str, key: &str, what: impl Into<String>) -> Self {
        Self { refusal, place: place.to_owned(), key: key.to_owned(), what: what.into() }
    }

    /// The object that it was about; empty when it was about the whole store.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What happened, without where.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The object is there already.
    pub fn is_already_exists(&self) -> bool {
        self.refusal == Refusal::AlreadyExists
    }

    /// The object, or a part of it, is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.refusal, Refusal::NotFound | Refusal::Shorter)
    }

    /// The whole object is not there.
    pub fn is_missing(&self) -> bool {
        self.refusal == Refusal::NotFound
    }

    /// The object has changed.
    pub fn is_precondition_failed(&self) -> bool {
        self.refusal == Refusal::PreconditionFailed
    }

    /// It is larger than what is read of its kind.
    pub fn is_too_large(&self) -> bool {
        self.refusal == Refusal::TooLarge
    }

    /// It may go away by itself.
    pub fn is_transient(&self) -> bool {
        matches!(self.refusal, Refusal::Unreachable | Refusal::Other)
    }

    /// Reason, as the API spells it.
    pub fn reason(&self) -> &'static str {
        match self.refusal {
            Refusal::Unreachable => "Unreachable",
            Refusal::AccessDenied => "AccessDenied",
            Refusal::NotFound | Refusal::Shorter => "NotFound",
            Refusal::AlreadyExists => "AlreadyExists",
            Refusal::PreconditionFailed => "PreconditionFailed",
            Refusal::NoSpace => "NoSpace",
            Refusal::TooLarge => "TooLarge",
            Refusal::NotAllowed => "EgressRefused",
            Refusal::Invalid | Refusal::Other => "StoreError",
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, StoreError>;
