//! What each reason means and what to do about it: the words of `p861 explain`, by room. The meaning in English stands beside the reason, in `crds`.
//!
//! What to do is a sentence and commands. The commands stand apart, so that a test can read each of them as the command line would.

pub mod alerts;
mod any;
mod duty;
mod layers;
mod maintenance;
mod platform;
mod protection;
mod recovery;
mod repositories;
mod runs;
#[cfg(test)]
mod tests;

use super::Word;
use p861_crds::Reason;

/// Head of what a reason means.
pub const MEANING: Word = Word { en: "Meaning", zh: "含义" };
/// Head of what to do about it.
pub const WHAT_TO_DO: Word = Word { en: "What to do", zh: "处理" };
/// Head of the reasons behind an alert.
pub const REASONS: Word = Word { en: "Reasons", zh: "相关原因" };
/// Head of the runbooks that say more.
pub const RUNBOOK: Word = Word { en: "Runbook", zh: "处置手册" };

/// What there is to do about a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Todo {
    /// It is no trouble.
    Nothing,
    /// It passes without anybody.
    Wait,
    /// No part of this release gives this reason.
    Unset,
    /// A person acts.
    Act(Word),
}

impl Todo {
    /// Whether a person acts.
    pub const fn is_act(self) -> bool {
        matches!(self, Self::Act(_))
    }

    /// In words.
    pub const fn words(self) -> Word {
        match self {
            Self::Nothing => Word { en: "Nothing: this is not a problem.", zh: "无需处理：这不是问题。" },
            Self::Wait => Word { en: "Nothing: it passes by itself, or is retried automatically.", zh: "无需处理：会自行恢复，或自动重试。" },
            Self::Unset => Word {
                en: "Nothing: this release never gives this reason. The API keeps its name for what comes later.",
                zh: "无需处理：本版本不会给出此原因，该名称为以后的功能保留。",
            },
            Self::Act(words) => words,
        }
    }
}

/// What is said of a reason beside its meaning in English.
#[derive(Clone, Copy, Debug)]
pub struct Explained {
    /// What it means, in Chinese. `Reason::meaning` has the English.
    pub meaning: &'static str,
    /// What to do.
    pub todo: Todo,
    /// Commands that help, as they are typed, with names of objects in capitals.
    pub commands: &'static [&'static str],
    /// The runbooks that say more.
    pub runbooks: &'static [&'static str],
}

impl Explained {
    /// With commands.
    #[must_use]
    const fn run(self, commands: &'static [&'static str]) -> Self {
        Self { commands, ..self }
    }

    /// With runbooks.
    #[must_use]
    const fn pages(self, runbooks: &'static [&'static str]) -> Self {
        Self { runbooks, ..self }
    }
}

const fn of(meaning: &'static str, todo: Todo) -> Explained {
    Explained { meaning, todo, commands: &[], runbooks: &[] }
}

/// No trouble.
const fn good(meaning: &'static str) -> Explained {
    of(meaning, Todo::Nothing)
}

/// It passes by itself.
const fn wait(meaning: &'static str) -> Explained {
    of(meaning, Todo::Wait)
}

/// Never given by this release.
const fn unset(meaning: &'static str) -> Explained {
    of(meaning, Todo::Unset)
}

/// A person acts.
const fn act(meaning: &'static str, en: &'static str, zh: &'static str) -> Explained {
    of(meaning, Todo::Act(Word { en, zh }))
}

/// A room: reasons that belong together.
#[derive(Debug)]
pub struct Room {
    /// As programs read it.
    pub key: &'static str,
    /// As people read it.
    pub name: Word,
    of: fn(&Reason) -> Option<Explained>,
}

impl Room {
    /// What it says of a reason; none of another room's.
    pub fn explain(&self, reason: &Reason) -> Option<Explained> {
        (self.of)(reason)
    }
}

/// The rooms, in the order of `Reason::ALL`.
pub static ROOMS: [Room; 6] = [
    Room { key: "Any", name: Word { en: "Of any kind", zh: "通用" }, of: any::explain },
    Room {
        key: "Platform",
        name: Word { en: "Platform: sites, districts, platforms, applications", zh: "平台：站点、区、平台、应用" },
        of: |reason| platform::explain(reason).or_else(|| layers::explain(reason)),
    },
    Room {
        key: "Protection",
        name: Word { en: "Protection: repositories, backups, restores", zh: "保护：备份库、备份、恢复" },
        of: |reason| protection::explain(reason).or_else(|| repositories::explain(reason)),
    },
    Room { key: "Recovery", name: Word { en: "Recovery: plans, drills", zh: "恢复：预案、演练" }, of: recovery::explain },
    Room { key: "Runs", name: Word { en: "Runs of every kind", zh: "各类任务" }, of: runs::explain },
    Room {
        key: "Maintenance",
        name: Word { en: "Maintenance: windows, tickets, approvals, duty, messages", zh: "运维：维护窗口、工单、批准、值班、通知" },
        of: |reason| maintenance::explain(reason).or_else(|| duty::explain(reason)),
    },
];

/// What is said of a reason, and its room; none if another version wrote it.
pub fn explain(reason: &Reason) -> Option<(&'static Room, Explained)> {
    ROOMS.iter().find_map(|room| Some((room, room.explain(reason)?)))
}
