//! All text for people, in Chinese and English. What programs read (JSON, names, reasons) is never translated and never here.

mod approvals;
mod commands;
mod examples;
pub mod explain;
mod failures;
mod found;
mod help;
mod here;
mod leading;
mod maintenance;
mod overview;
mod perhaps;
mod policies;
mod restores;
mod retention;
mod retyped;
mod steps;
mod told;
mod usage;
mod views;
mod words;

pub use approvals::*;
pub use commands::*;
pub use examples::{options_of_every_command, print_help, with_examples};
pub use failures::*;
pub use found::*;
pub use help::translate;
pub use here::{here, settle};
pub use leading::*;
pub use maintenance::*;
pub use overview::*;
pub use perhaps::{by_meaning, nearest, perhaps};
pub use policies::*;
pub use restores::*;
pub use retention::*;
pub use retyped::{retyped, settle_line, type_with};
pub use steps::{if_it_fails, outcome, step_does};
pub use told::{measured, pick, reason, span, told, told_without_command, value};
pub use usage::usage;
pub use views::*;
pub use words::*;

use crate::exit::ExitStatus;

/// What each exit code means, the same for every command.
pub const EXIT_CODES: [(ExitStatus, &str); 9] = [
    (ExitStatus::Good, "success"),
    (ExitStatus::Unexpected, "an unexpected error"),
    (ExitStatus::Usage, "wrong usage; nothing was sent"),
    (ExitStatus::Refused, "refused; nothing was changed"),
    (ExitStatus::Bad, "completed with a bad result: a check, a run or an objective failed, or there is an open problem"),
    (ExitStatus::Person, "a person must answer (without a terminal, or with `--no-wait`)"),
    (ExitStatus::Unreachable, "the hub, a bucket or a site cannot be reached"),
    (ExitStatus::Timeout, "`--timeout` has passed, or the operator has not read an action within 20 s; the run continues"),
    (ExitStatus::Interrupted, "Ctrl-C; the run continues"),
];

/// A language that people read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// 中文
    Zh,
    /// English
    #[default]
    En,
}

impl Language {
    /// The language to use: what was asked for, else what `P861_LANG` says, else `LC_ALL`, `LC_MESSAGES` or `LANG`, else English.
    pub fn choose(asked: Option<Self>, environment: impl Fn(&str) -> Option<String>) -> Self {
        let of_locale = |locale: &str| if locale.to_ascii_lowercase().starts_with("zh") { Self::Zh } else { Self::En };
        let ours = || environment("P861_LANG").and_then(|value| clap::ValueEnum::from_str(&value, true).ok());
        asked.or_else(ours).unwrap_or_else(|| {
            ["LC_ALL", "LC_MESSAGES", "LANG"]
                .iter()
                .filter_map(|name| environment(name))
                .find(|value| !value.is_empty())
                .map_or(Self::En, |value| of_locale(&value))
        })
    }

    /// As the API spells it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }
}

/// A text in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bilingual {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Bilingual {
    /// The text in one language.
    pub fn pick(&self, language: Language) -> &str {
        match language {
            Language::Zh => &self.zh,
            Language::En => &self.en,
        }
    }

    /// A text that is the same in both, for example what a server said.
    pub fn same(text: impl Into<String>) -> Self {
        let en = text.into();
        Self { zh: en.clone(), en }
    }
}

/// A fixed word in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// English.
    pub en: &'static str,
    /// Chinese.
    pub zh: &'static str,
}

impl Word {
    /// The word in one language.
    pub fn pick(self, language: Language) -> &'static str {
        match language {
            Language::Zh => self.zh,
            Language::En => self.en,
        }
    }
}

/// `1 step`, `2 steps`.
fn many_of(number: impl TryInto<i64>, one: &str) -> String {
    let number = number.try_into().unwrap_or(i64::MAX);
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// Both texts, English first.
pub(crate) fn both(en: impl Into<String>, zh: impl Into<String>) -> Bilingual {
    Bilingual { zh: zh.into(), en: en.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands that stand in a text without what leads back to its district: there is none yet, or it is another person's.
    const ELSEWHERE: &[&str] = &["p861 explain", "p861 drill report DRILL -o html", "p861 restore get ", "p861 duty take"];

    #[test]
    fn fault_h25_every_command_in_a_text_leads_back_to_where_it_was_printed() {
        let nouns = crate::args::command(Language::En, false);
        let (mut seen, mut lost) = (0, Vec::new());
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/text")).expect("the texts").map(|file| file.expect("a file").path()) {
            // What help and examples print is typed before there is a district. The explanations name theirs when they are told.
            if file.is_dir() || ["help.rs", "examples.rs"].iter().any(|name| file.ends_with(name)) {
                continue;
            }
            let source = std::fs::read_to_string(&file).expect("a file");
            let texts = source.split("#[cfg(test)]").next().unwrap_or_default().lines().filter(|line| !line.trim_start().starts_with("//"));
            let texts: Vec<String> = texts.map(|line| line.replace("\\\"", "'")).collect();
            for command in texts.iter().flat_map(|line| line.split("p861 ").skip(1)) {
                let noun = command.split(' ').next().unwrap_or_default();
                if noun != "{noun}" && nouns.find_subcommand(noun).is_none() {
                    continue;
                }
                seen += 1;
                let text = command.split('"').next().unwrap_or_default();
                if !text.contains("{place}") && !ELSEWHERE.iter().any(|known| format!("p861 {text}").starts_with(known)) {
                    lost.push(format!("{}: p861 {text}", file.display()));
                }
            }
        }
        assert!(seen > 20, "only {seen} commands");
        assert!(lost.is_empty(), "these need {{place}}:\n{}", lost.join("\n"));
    }

    #[test]
    fn a_kubectl_command_in_a_text_can_be_typed() {
        use kube::Resource as _;
        let plurals = [
            p861_crds::Site::plural(&()),
            p861_crds::District::plural(&()),
            p861_crds::BackupRepository::plural(&()),
            p861_crds::BackupPolicy::plural(&()),
            p861_crds::RecoveryPlan::plural(&()),
            p861_crds::MaintenanceWindow::plural(&()),
            p861_crds::PlatformProfile::plural(&()),
            p861_crds::DutyRoster::plural(&()),
        ];
        let mut explained = 0;
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/text")).expect("the texts").map(|file| file.expect("a file").path()) {
            if file.is_dir() {
                continue;
            }
            let source = std::fs::read_to_string(&file).expect("a file");
            for command in source.split("#[cfg(test)]").next().unwrap_or_default().split("kubectl ").skip(1) {
                assert!(!command.starts_with("apply a"), "{}: kubectl {}", file.display(), command.lines().next().unwrap_or_default());
                let Some(field) = command.strip_prefix("explain ") else { continue };
                let kind = field.split('.').next().unwrap_or_default();
                assert!(plurals.iter().any(|plural| plural == kind), "{}: {kind}", file.display());
                explained += 1;
            }
        }
        assert!(explained >= 16, "only {explained}");
    }

    #[test]
    fn the_language_is_the_one_asked_for_then_the_locale_then_english() {
        let with = |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| value.to_owned());
        assert_eq!(Language::choose(Some(Language::En), with("LANG", "zh_CN.UTF-8")), Language::En);
        assert_eq!(Language::choose(None, with("LANG", "zh_CN.UTF-8")), Language::Zh);
        assert_eq!(Language::choose(None, with("P861_LANG", "ZH")), Language::Zh);
        let both = |asked: &str| Some(if asked == "P861_LANG" { "en" } else { "zh_CN.UTF-8" }.to_owned());
        assert_eq!(Language::choose(None, both), Language::En, "our own variable comes before the locale");
        assert_eq!(Language::choose(None, with("LC_ALL", "C")), Language::En);
        assert_eq!(Language::choose(None, |_| None), Language::En);
    }
}
