//! A command's failure: one line for people, one code for scripts.

use crate::{
    exit::ExitStatus,
    text::{Bilingual, Language},
};

/// Failure of a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .text.pick(Language::En))]
pub struct Failure {
    /// Exit code.
    pub exit: ExitStatus,
    /// What happened, to which object, what to type next.
    pub text: Bilingual,
    /// Whether the person has no right to it, and nothing else is wrong.
    pub is_forbidden: bool,
}

impl Failure {
    /// A failure with that code.
    pub fn new(exit: ExitStatus, text: Bilingual) -> Self {
        Self { exit, text, is_forbidden: false }
    }

    /// Refused; nothing was changed.
    pub fn refused(text: Bilingual) -> Self {
        Self::new(ExitStatus::Refused, text)
    }

    /// Refused, since the person has no right to it.
    pub fn forbidden(text: Bilingual) -> Self {
        Self { is_forbidden: true, ..Self::refused(text) }
    }

    /// Wrong usage.
    pub fn usage(text: Bilingual) -> Self {
        Self::new(ExitStatus::Usage, text)
    }

    /// Something that should not happen.
    pub fn unexpected(text: Bilingual) -> Self {
        Self::new(ExitStatus::Unexpected, text)
    }
}

/// The result of a part of a command.
pub type Result<T> = std::result::Result<T, Failure>;
