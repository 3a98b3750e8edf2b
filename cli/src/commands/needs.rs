//! Open problems: bad conditions, unchecked objects, waiting runs, an operator that does not renew its lease. Beside them advice, which may wait. Pure.

use super::{
    backup::damage,
    list::full_name,
    page::{self, Reader, is_bad, says},
    ticket::next::next,
};
use crate::{
    exit::ExitStatus,
    format::Clock,
    hub::{Heartbeat, Hub, Kind, Run, typed},
    run::{asked, question},
    text::{self, Language},
};
use kube::ResourceExt as _;
use p861_crds::{
    Application, Backup, BackupPolicy, BackupRepository, ChangeTemplate, Condition, ConditionType, District, Drill, DutyRoster, MaintenanceTicket, Platform,
    Reason, RecoveryPlan, Restore, Site, common::RunPhase, platform::status::State,
};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What needs a person.
    pub needs: Vec<Need>,
    /// What is worth knowing when money is spent. Nothing fails for it.
    pub advice: Vec<Need>,
}

/// Something that needs a person, or is advised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The object, as kubectl names it.
    pub object: String,
    /// The command line's word for its kind.
    pub noun: &'static str,
    /// Its name.
    pub name: String,
    /// The condition, or what it is instead.
    pub condition: String,
    /// Message, in the reader's language.
    pub said: String,
    /// The same in English, for programs.
    pub message: String,
    /// Command to type next.
    pub command: String,
    /// Whether something is wrong, rather than waiting.
    pub bad: bool,
}

/// Everything that is looked at.
#[derive(Debug, Default)]
pub struct Objects {
    /// The district.
    pub district: Option<District>,
    /// Its sites.
    pub sites: Vec<Site>,
    /// Its repositories.
    pub repositories: Vec<BackupRepository>,
    /// Its backup policies.
    pub policies: Vec<BackupPolicy>,
    /// Its applications.
    pub applications: Vec<Application>,
    /// Its plans.
    pub plans: Vec<RecoveryPlan>,
    /// Its platform, at most one.
    pub platforms: Vec<Platform>,
    /// Its backups.
    pub backups: Vec<Backup>,
    /// Its restores.
    pub restores: Vec<Restore>,
    /// Its drills.
    pub drills: Vec<Drill>,
    /// Its templates.
    pub templates: Vec<ChangeTemplate>,
    /// Its tickets.
    pub tickets: Vec<MaintenanceTicket>,
    /// Its rosters.
    pub rosters: Vec<DutyRoster>,
    /// The operator's sign of life, if it may be seen.
    pub heartbeat: Option<Heartbeat>,
}

/// How the needs are told.
pub struct Telling<'a> {
    /// The reader's language.
    pub language: Language,
    /// The options that lead to the district.
    pub place: &'a str,
    /// Now.
    pub clock: &'a Clock,
    /// Where the operator runs.
    pub operator_namespace: &'a str,
    /// By what name the hub knows the reader, if that matters.
    pub person: Option<&'a str>,
}

/// The exit code of a command that shows these objects: bad if `p861 status` names one of them among what needs a person.
pub fn verdict(hub: &Hub, objects: &Objects) -> ExitStatus {
    let telling = Telling { language: Language::En, place: hub.place(), clock: &hub.clock, operator_namespace: &hub.operator_namespace, person: None };
    ExitStatus::judged(found(objects, &telling).needs.is_empty())
}

/// Open problems, the most general first, and advice.
pub fn found(objects: &Objects, telling: &Telling<'_>) -> Found {
    let mut list = List { telling, found: Found::default() };
    list.operator(objects.heartbeat);
    macro_rules! declared {
        ($objects:expr, $kinds:expr) => {
            for object in $objects {
                list.declared(object, object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default(), $kinds);
            }
        };
    }
    declared!(objects.district.iter(), &[ConditionType::Ready, ConditionType::AccessApplied]);
    declared!(&objects.sites, &[ConditionType::Ready, ConditionType::Reachable]);
    declared!(&objects.platforms, &[ConditionType::Ready, ConditionType::Balanced]);
    objects.platforms.iter().for_each(|platform| list.items(platform));
    declared!(&objects.repositories, &[ConditionType::Ready, ConditionType::Checked, ConditionType::OffSite]);
    declared!(&objects.policies, &[ConditionType::Ready]);
    declared!(&objects.applications, &[ConditionType::Ready, ConditionType::Healthy, ConditionType::Protected, ConditionType::Recoverable]);
    declared!(&objects.plans, &[ConditionType::Ready, ConditionType::ReadyToFailover, ConditionType::Drilled]);
    declared!(&objects.rosters, &[ConditionType::Ready, ConditionType::AlertsArrive, ConditionType::PeopleReachable]);
    declared!(&objects.templates, &[ConditionType::Ready]);
    objects.tickets.iter().for_each(|ticket| list.ticket(ticket));
    for backup in &objects.backups {
        list.run(backup);
        if let Some(condition) = damage(backup.conditions()) {
            list.condition(backup, condition);
        }
        list.left(backup);
    }
    for restore in &objects.restores {
        list.run(restore);
        list.left(restore);
    }
    for drill in &objects.drills {
        list.run(drill);
        list.left(drill);
    }
    list.found
}

struct List<'a> {
    telling: &'a Telling<'a>,
    found: Found,
}

/// The command that shows an object, for a problem whose message ends with none.
fn shows(noun: &str, name: &str) -> String {
    match noun {
        "app" => format!("p861 app status {name}"),
        "platform" => "p861 platform gaps".to_owned(),
        "duty" => format!("p861 duty now --roster {name}"),
        "district" => format!("kubectl describe district {name}"),
        _ => format!("p861 {noun} show {name}"),
    }
}

impl List<'_> {
    fn operator(&mut self, heartbeat: Option<Heartbeat>) {
        let clock = self.telling.clock;
        let Some(leaderless) = heartbeat.and_then(|heartbeat| heartbeat.leaderless(clock.now)) else { return };
        let command = format!("kubectl -n {} get pods", self.telling.operator_namespace);
        self.add("deployment.apps/p861-operator".into(), "operator", "p861-operator", "Alive", &leaderless.warning(clock), command, true);
    }

    fn declared<K: Kind>(&mut self, object: &K, conditions: &[Condition], kinds: &[ConditionType]) {
        if conditions.is_empty() {
            let command = format!("kubectl -n {} get pods", self.telling.operator_namespace);
            self.add(full_name::<K>(&object.name_any()), K::NOUN, &object.name_any(), "Ready", &text::never_looked_at(), command, false);
        }
        let mut told: Vec<&str> = Vec::new();
        for condition in kinds.iter().filter_map(|kind| page::condition(conditions, *kind)).filter(|condition| is_bad(condition)) {
            // Report a problem once even if two conditions show it, and skip conditions that only refer to another one.
            if !told.contains(&condition.message.as_str()) && !condition.message.starts_with("see ") {
                self.condition(object, condition);
                told.push(&condition.message);
            }
        }
    }

    fn condition<K: Kind>(&mut self, object: &K, condition: &Condition) {
        let name = object.name_any();
        let reader = |language| Reader { language, place: self.telling.place, name: &name };
        let (said, command) = says(condition, &reader(self.telling.language));
        let said = text::Bilingual { en: says(condition, &reader(Language::En)).0, zh: said };
        let command = command.unwrap_or_else(|| shows(K::NOUN, &name));
        // Who suspends a policy says why and until when: nothing is open. That an application lacks its backups is told of the application.
        let is_advice = condition.reason == Reason::Excess || K::NOUN == BackupPolicy::NOUN && condition.reason == Reason::Suspended;
        let need = self.need(full_name::<K>(&name), K::NOUN, &name, &condition.type_, &said, command, !is_advice);
        if is_advice { self.found.advice.push(need) } else { self.found.needs.push(need) }
    }

    /// Items of the profile for which there is no application. An application is not made in a night.
    fn items(&mut self, platform: &Platform) {
        let items = platform.status.iter().flat_map(|status| &status.items);
        let missing: Vec<&str> =
            items.filter(|item| item.state == State::Missing && item.reason == Some(Reason::NoApplication)).map(|item| item.key.as_str()).collect();
        if missing.is_empty() {
            return;
        }
        let (name, noun) = (platform.name_any(), Platform::NOUN);
        let need = self.need(full_name::<Platform>(&name), noun, &name, "Items", &text::items_missing(&missing), shows(noun, &name), false);
        self.found.advice.push(need);
    }

    /// What an ended run left, or a running one can't remove.
    fn left<K: Run>(&mut self, run: &K) {
        if let Some(condition) = run.left() {
            self.condition(run, condition);
        }
    }

    /// A ticket is an open problem while it is unacknowledged, waits for approvals or manual work, or is overdue.
    fn ticket(&mut self, ticket: &MaintenanceTicket) {
        let (name, status) = (ticket.name_any(), ticket.status.clone().unwrap_or_default());
        let phase = status.phase.unwrap_or_default();
        if phase.is_end() {
            return;
        }
        let object = || full_name::<MaintenanceTicket>(&name);
        let late = page::condition(&status.conditions, ConditionType::WithinClocks).filter(|condition| is_bad(condition));
        if let Some(late) = late {
            self.condition(ticket, late);
        }
        let awaited = next(ticket, self.telling.person, self.telling.clock).filter(|next| next.is_awaited);
        let refused = page::condition(&status.conditions, ConditionType::Approved).filter(|condition| is_bad(condition));
        match (awaited, refused) {
            // That it is late says so.
            (Some(next), _) if next.state == "Open" && late.is_some() => {}
            (Some(next), _) => {
                let command = next.command.unwrap_or_else(|| shows("ticket", &name));
                self.add(object(), "ticket", &name, next.state, &next.said, command, false);
            }
            (None, Some(condition)) => self.condition(ticket, condition),
            (None, None) => {}
        }
        for step in status.current_steps.iter().filter(|step| step.phase == RunPhase::WaitingForPerson) {
            let said = text::Bilingual { en: question(step, Language::En), zh: question(step, Language::Zh) };
            let command = step.remedy.clone().unwrap_or_else(|| shows("ticket", &name));
            self.add(object(), "ticket", &name, "WaitingForPerson", &said, command, false);
        }
    }

    /// A run that makes progress is not an open problem.
    fn run<K: Run>(&mut self, run: &K) {
        let (name, noun) = (run.name_any(), K::NOUN);
        match run.phase() {
            RunPhase::Paused => self.add(full_name::<K>(&name), noun, &name, "Paused", &text::is_paused(), format!("p861 {noun} resume {name}"), false),
            RunPhase::WaitingForPerson => {
                for step in run.current_steps().iter().filter(|step| step.phase == RunPhase::WaitingForPerson) {
                    let clock = self.telling.clock;
                    let said = text::Bilingual {
                        en: format!("{}: {}", step.id, asked(step, clock, Language::En)),
                        zh: format!("{}：{}", step.id, asked(step, clock, Language::Zh)),
                    };
                    let verb = if step.prompt.is_some() { "answer" } else { "retry" };
                    let command = step.remedy.clone().unwrap_or_else(|| format!("p861 {noun} {verb} {name} {}", step.id));
                    self.add(full_name::<K>(&name), noun, &name, "WaitingForPerson", &said, command, false);
                }
            }
            RunPhase::Pending
            | RunPhase::Running
            | RunPhase::Aborting
            | RunPhase::CleaningUp
            | RunPhase::Succeeded
            | RunPhase::Failed
            | RunPhase::Aborted
            | RunPhase::Refused => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one argument per field")]
    fn add(&mut self, object: String, noun: &'static str, name: &str, condition: &str, said: &text::Bilingual, command: String, bad: bool) {
        let need = self.need(object, noun, name, condition, said, command, bad);
        self.found.needs.push(need);
    }

    #[expect(clippy::too_many_arguments, reason = "one argument per field")]
    fn need(&self, object: String, noun: &'static str, name: &str, condition: &str, said: &text::Bilingual, command: String, bad: bool) -> Need {
        let place = self.telling.place;
        // A command that came from a condition is complete already.
        let command = if !place.is_empty() && command.ends_with(place) { command } else { typed(&command, place) };
        Need {
            object,
            noun,
            name: name.to_owned(),
            condition: condition.to_owned(),
            said: said.pick(self.telling.language).to_owned(),
            message: said.en.clone(),
            command,
            bad,
        }
    }
}

#[cfg(test)]
mod tests;
