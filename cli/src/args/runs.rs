//! Nouns and verbs of runs. The verbs that act on a run are the same everywhere.

use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;
use p861_crds::{
    protection::restore::{ConflictPolicy, FileSelection, Mapping, ResourceSelector},
    recovery::drill::DrillType,
};

/// `p861 backup …`
#[derive(Clone, Debug, Subcommand)]
pub enum BackupCommand {
    /// Back up an application now, and watch the run
    #[command(aliases = ["create", "run", "start", "take"])]
    Now(BackupNow),
    /// List backups: the newest ones, and the newest of each level
    List(BackupList),
    /// Show one backup
    #[command(aliases = super::nouns::SHOW)]
    Show(super::Name),
    /// Show which backups begin when: today and the days to come
    Calendar(BackupCalendar),
    /// Show which snapshots stay, which go, and why, before any goes
    Retention(BackupRetention),
    /// Let a backup's snapshot leave its repository for good, after confirmation
    Forget(BackupForget),
    #[command(flatten)]
    Act(RunVerb),
}

/// `p861 restore …`
#[derive(Clone, Debug, Subcommand)]
pub enum RestoreCommand {
    /// Show what a restore would do, without writing anything (exit code 4 if it would be refused)
    Preview(RestorePreview),
    /// Restore a backup, after confirmation
    Run(RestoreRun),
    /// Print objects of a backup as they were saved; without a name, list their names
    Get(RestoreGet),
    /// List restores
    List,
    /// Show one restore
    #[command(aliases = super::nouns::SHOW)]
    Show(RestoreShow),
    #[command(flatten)]
    Act(RunVerb),
}

/// `p861 drill …`
#[derive(Clone, Debug, Subcommand)]
pub enum DrillCommand {
    /// Drill a plan, and watch the run (exit code 0 if it passed, 4 if not)
    #[command(aliases = ["create", "start"])]
    Run(DrillRun),
    /// List drills
    List(DrillList),
    /// Show one drill
    #[command(aliases = super::nouns::SHOW)]
    Show(super::Name),
    /// Write the report to stdout: -o html or -o json; a summary without either
    Report(super::Name),
    /// Remove a kept copy now
    Cleanup(Act),
    /// Keep the copy longer
    Extend(Extend),
    #[command(flatten)]
    Act(RunVerb),
}

/// Verbs of every run.
#[derive(Clone, Debug, Subcommand)]
pub enum RunVerb {
    /// Watch a run until it ends
    Watch(super::Name),
    /// Pause: start no new steps until resume
    Pause(Act),
    /// Continue after pause
    Resume(Act),
    /// Stop the run, undo what can be undone, clean up; what a restore has written stays
    Abort(ActWithReason),
    /// Retry a failed step
    Retry(ActOnStep),
    /// Give up a step and continue without it
    Skip(ActOnStepWithReason),
    /// Answer a step's question: --yes or --no
    Answer(Answer),
}

/// An action on a run.
#[derive(Clone, Debug, Args)]
pub struct Act {
    /// The run
    pub name: String,
    /// Reason, recorded in the journal and the report
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// An action on a run that nobody takes without saying why.
#[derive(Clone, Debug, Args)]
pub struct ActWithReason {
    /// The run
    pub name: String,
    /// Reason, recorded in the journal and the report; required, asked for at a terminal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// An action on a step that nobody takes without saying why.
#[derive(Clone, Debug, Args)]
pub struct ActOnStepWithReason {
    /// The run
    pub name: String,
    /// The step: its name as the view shows it, in quotes, or its id (p861 plan check PLAN --steps, or -o json); optional if there is only one candidate
    pub step: Option<String>,
    /// Reason, recorded in the journal and the report; required, asked for at a terminal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// An action on a step of a run.
#[derive(Clone, Debug, Args)]
pub struct ActOnStep {
    /// The run
    pub name: String,
    /// The step: its name as the view shows it, in quotes, or its id (p861 plan check PLAN --steps, or -o json); optional if there is only one candidate
    pub step: Option<String>,
    /// Reason, recorded in the journal and the report
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// An answer to a step's question.
#[derive(Clone, Debug, Args)]
pub struct Answer {
    /// The run
    pub name: String,
    /// The step: its name as the view shows it, in quotes, or its id (p861 plan check PLAN --steps, or -o json); optional if there is only one candidate
    pub step: Option<String>,
    /// Answer yes
    #[arg(long, conflicts_with = "no")]
    pub yes: bool,
    /// Answer no
    #[arg(long)]
    pub no: bool,
    /// Reason, recorded in the journal and the report
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `p861 drill extend`
#[derive(Clone, Debug, Args)]
pub struct Extend {
    /// The run
    pub name: String,
    /// Additional time, for example 30m
    #[arg(value_parser = super::duration, value_name = "DURATION")]
    pub by: SignedDuration,
    /// Reason, recorded in the journal and the report
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// How far a drill goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DrillKind {
    /// Recover an isolated copy
    #[default]
    #[value(name = "Isolated")]
    Isolated,
    /// Compile, check and predict, without changing anything
    #[value(name = "Tabletop")]
    Tabletop,
}

impl From<DrillKind> for DrillType {
    fn from(kind: DrillKind) -> Self {
        match kind {
            DrillKind::Isolated => Self::Isolated,
            DrillKind::Tabletop => Self::Tabletop,
        }
    }
}

/// `p861 drill run`
#[derive(Clone, Debug, Args)]
pub struct DrillRun {
    /// The plan
    pub plan: String,
    /// Type of the drill: recover an isolated copy, or only compile, check and predict at the table
    #[arg(long = "type", value_enum, default_value = "Isolated", value_name = "TYPE")]
    pub kind: DrillKind,
    /// Target site; default: the plan's standby
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// Latest recovery point to use, for example "2026-11-20 00:00"
    #[arg(long, value_name = "TIME")]
    pub not_after: Option<String>,
    /// Scenario of the exercise
    #[arg(long, value_name = "TEXT")]
    pub scenario: Option<String>,
    /// Keep the copy this long for inspection, for example 1h
    #[arg(long, value_parser = super::duration, value_name = "DURATION")]
    pub keep_for: Option<SignedDuration>,
}

/// `p861 drill list`
#[derive(Clone, Debug, Args)]
pub struct DrillList {
    /// Only drills of this plan
    pub plan: Option<String>,
}

/// `p861 backup now`
#[derive(Clone, Debug, Args)]
pub struct BackupNow {
    /// The application
    pub application: String,
    /// Repository; default: that of the recovery plan, else of the newest backup, else the only one
    #[arg(long, value_name = "REPOSITORY")]
    pub repository: Option<String>,
    /// Reason for the backup
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Keep it at least until this time, for example 2027-01-31
    #[arg(long, value_name = "TIME")]
    pub keep_until: Option<String>,
}

/// `p861 backup list`
#[derive(Clone, Debug, Args)]
pub struct BackupList {
    /// Only backups of this application
    pub application: Option<String>,
    /// List all of them
    #[arg(long)]
    pub all: bool,
}

/// `p861 backup calendar`
#[derive(Clone, Debug, Args)]
pub struct BackupCalendar {
    /// Only this application, with its own times
    pub application: Option<String>,
    /// Number of days, today included
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=31))]
    pub days: u8,
}

/// `p861 backup retention`
#[derive(Clone, Debug, Args)]
pub struct BackupRetention {
    /// The application, or a policy; default: all of the district
    #[arg(value_name = "APPLICATION|POLICY")]
    pub of: Option<String>,
    /// Show every snapshot; otherwise only those that go
    #[arg(long)]
    pub plan: bool,
}

/// `p861 backup forget`
#[derive(Clone, Debug, Args)]
pub struct BackupForget {
    /// The backup
    pub name: String,
    /// Reason, recorded in the journal and the report; required, asked for at a terminal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Also if it is the newest, or the newest of its level
    #[arg(long)]
    pub even_newest: bool,
    /// Do not ask for confirmation; needs --backup
    #[arg(long, requires = "belief")]
    pub yes: bool,
    /// With --yes: the name of the backup, again
    #[arg(long = "backup", id = "belief", value_name = "NAME")]
    pub belief: Option<String>,
}

/// What is done about objects that are there and different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Conflict {
    /// Refuse the restore
    #[default]
    #[value(name = "Refuse")]
    Refuse,
    /// Leave them unchanged
    #[value(name = "Skip")]
    Skip,
    /// Update them
    #[value(name = "Merge")]
    Merge,
    /// Make them as in the backup; data is never deleted
    #[value(name = "Replace")]
    Replace,
}

impl From<Conflict> for ConflictPolicy {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Refuse => Self::Refuse,
            Conflict::Skip => Self::Skip,
            Conflict::Merge => Self::Merge,
            Conflict::Replace => Self::Replace,
        }
    }
}

/// Selection and target of a restore.
#[derive(Clone, Debug, Args)]
pub struct RestoreWhat {
    /// The backup
    pub backup: String,
    /// Target site; default: the application's active site
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// Restore into another namespace: FROM=TO; may be repeated
    #[arg(long, value_name = "FROM=TO", value_parser = mapping)]
    pub map: Vec<Mapping>,
    /// Restore only files: a claim, or CLAIM:/PATH; may be repeated
    #[arg(long, value_name = "CLAIM[:/PATH]", value_parser = files)]
    pub files: Vec<FileSelection>,
    /// Restore only objects: a kind, or KIND/NAME; may be repeated
    #[arg(long, value_name = "KIND[.GROUP][/NAME]", conflicts_with = "files", value_parser = super::resource)]
    pub resource: Vec<ResourceSelector>,
    /// Put the files under this path of their volume, beside the existing files
    #[arg(long, value_name = "PATH", requires = "files", value_parser = absolute)]
    pub prefix: Option<AbsolutePath>,
    /// Keep files that are not in the backup; otherwise they are removed from each volume that is restored as a whole
    #[arg(long)]
    pub keep_extra_files: bool,
    /// Existing objects that differ: refuse the restore, skip them, merge the backup into them, or replace them
    #[arg(long, value_enum, default_value = "Refuse", value_name = "POLICY")]
    pub conflict: Conflict,
}

fn mapping(text: &str) -> Result<Mapping, String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok(Mapping { from: from.to_owned(), to: to.to_owned() }),
        _ => Err("write FROM=TO, for example shinan-approval=shinan-approval-look".into()),
    }
}

fn files(text: &str) -> Result<FileSelection, String> {
    let (claim, path) = text.split_once(':').map_or((text, None), |(claim, path)| (claim, Some(path)));
    match path {
        _ if claim.is_empty() => Err("write CLAIM or CLAIM:/PATH, for example site-files:/news/2026".into()),
        None => Ok(FileSelection { claim: claim.to_owned(), paths: Vec::new() }),
        Some(path) => Ok(FileSelection { claim: claim.to_owned(), paths: vec![absolute(path)?.0] }),
    }
}

/// A path of a volume, from its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsolutePath(pub String);

fn absolute(text: &str) -> Result<AbsolutePath, String> {
    if text.starts_with('/') { Ok(AbsolutePath(text.to_owned())) } else { Err("write a path that begins with /, for example /news/2026".into()) }
}

impl RestoreWhat {
    /// The files that were named, one entry for each claim.
    pub fn selected_files(&self) -> Vec<FileSelection> {
        let mut chosen: Vec<FileSelection> = Vec::new();
        for file in &self.files {
            match chosen.iter_mut().find(|known| known.claim == file.claim) {
                // A claim without a path means all of it.
                Some(known) if known.paths.is_empty() || file.paths.is_empty() => known.paths.clear(),
                Some(known) => known.paths.extend(file.paths.clone()),
                None => chosen.push(file.clone()),
            }
        }
        chosen
    }
}

/// `p861 restore preview`
#[derive(Clone, Debug, Args)]
pub struct RestorePreview {
    #[command(flatten)]
    pub what: RestoreWhat,
    /// List every object that the operator reports, including those that would only be created
    #[arg(long)]
    pub list: bool,
    /// Show every object with all of its differences; values of Secrets are never shown
    #[arg(long)]
    pub objects: bool,
}

/// `p861 restore show`
#[derive(Clone, Debug, Args)]
pub struct RestoreShow {
    #[command(flatten)]
    pub name: super::Name,
    /// List every object that was not written, refused or left out, with the reason
    #[arg(long)]
    pub objects: bool,
}

/// `p861 restore get`
#[derive(Clone, Debug, Args)]
pub struct RestoreGet {
    /// The backup
    pub backup: String,
    /// Kind of the objects, for example ConfigMap, deployments or Widget.demo.example; every kind when absent
    #[arg(value_parser = super::kind)]
    pub kind: Option<ResourceSelector>,
    /// Name of the object
    pub name: Option<String>,
    /// Site that is to read the backup; default: the application's active site
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
}

/// `p861 restore run`
#[derive(Clone, Debug, Args)]
pub struct RestoreRun {
    #[command(flatten)]
    pub what: RestoreWhat,
    /// Do not ask for confirmation; needs --backup
    #[arg(long, requires = "belief")]
    pub yes: bool,
    /// With --yes: the name of the backup, again
    #[arg(long = "backup", id = "belief", value_name = "NAME")]
    pub belief: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(arguments: &[&str]) -> RestoreWhat {
        let words = ["p861", "restore", "preview", "approval-1"].iter().chain(arguments).map(std::ffi::OsString::from);
        match super::super::parse(words, crate::text::Language::En, false).expect("it is understood").command {
            super::super::Command::Restore(RestoreCommand::Preview(preview)) => preview.what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_of_one_claim_are_one_selection_and_a_claim_alone_means_all_of_it() {
        let selection = |claim: &str, paths: &[&str]| FileSelection { claim: claim.into(), paths: paths.iter().map(ToString::to_string).collect() };
        assert_eq!(what(&["--files", "a:/x", "--files", "b", "--files", "a:/y:z"]).selected_files(), [selection("a", &["/x", "/y:z"]), selection("b", &[])]);
        assert_eq!(what(&["--files", "a:/x", "--files", "a"]).selected_files(), [selection("a", &[])]);
    }
}
